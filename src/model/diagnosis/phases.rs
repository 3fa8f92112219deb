//! Changes of phase, in words.

use crate::limits::{Oom, stopped_by};
use crate::model::event::{Event, Kind, Severity};
use crate::model::now::RunPhase;
use crate::protocol::Role;
use crate::units;

use super::{Facts, Say};
use crate::units::whole;

/// The phase last announced.
#[derive(Debug, Clone, Default)]
pub(super) struct Announced {
    phase: RunPhase,
    /// When closing began, milliseconds, and of how many connections.
    closing: Option<(u64, u64)>,
    /// The guard held the ramp at the last sample.
    held: bool,
}

impl Announced {
    pub(super) fn update(&mut self, facts: &Facts<'_>, say: Say<'_>) {
        let now = facts.now;
        // A run that ends while it is held back says why, however short that was.
        if now.phase == RunPhase::Closing && self.held && self.phase != RunPhase::Guarded {
            say(guarded(facts));
        }
        self.held = now.held;
        let before = std::mem::replace(&mut self.phase, now.phase);
        if before == now.phase {
            return;
        }
        let count = units::grouped(now.connections);
        let mut tell =
            |severity, id: &str, text: String| say(Event::new(Kind::Phase, severity, format!("phase/{id}"), text));
        let client = facts.sample.engine(Role::Client);
        match now.phase {
            RunPhase::Ramping if matches!(before, RunPhase::Paused | RunPhase::Guarded) => {
                tell(Severity::Info, "resumed", format!("resumed at {count} connections"));
            }
            RunPhase::Ramping => {
                let target = now.target.map_or(String::new(), |t| format!(", target {}", units::grouped(t)));
                let text = match client {
                    Some(_) => format!("the ramp has started{target}"),
                    None => "the server is accepting connections".to_owned(),
                };
                tell(Severity::Info, "ramping", text);
            }
            RunPhase::Holding => {
                let took = client.and_then(|c| Some(c.peak_us?.saturating_sub(c.ramp_started_us?) as f64 / 1e6));
                let after = took.map_or(String::new(), |s| format!(" after {s:.1} s"));
                tell(Severity::Info, "holding", format!("target reached: {count} connections{after}"));
            }
            RunPhase::Paused => tell(Severity::Info, "paused", format!("paused at {count} connections")),
            RunPhase::Guarded => say(guarded(facts)),
            // Nothing was open.
            RunPhase::Closing | RunPhase::Closed if now.connections == 0 && self.closing.is_none() => {}
            RunPhase::Closing => {
                self.closing = Some((now.t_ms, now.connections));
                tell(Severity::Info, "closing", format!("closing {count} connections"));
            }
            RunPhase::Closed => {
                let took = self.closing.filter(|(at, _)| now.t_ms > *at).map_or(String::new(), |(at, closed)| {
                    let s = (now.t_ms - at) as f64 / 1000.0;
                    format!(" after {s:.1} s ({}/s)", units::grouped(whole(closed as f64 / s)))
                });
                tell(Severity::Info, "closed", format!("all connections closed{took}"));
            }
            RunPhase::Stopped => {
                let stop = client.and_then(|c| c.stop.as_ref());
                let why = stop.map_or(String::new(), |s| format!(": {}", s.text));
                let about = stop.and_then(stopped_by);
                let limit = about.and_then(|id| facts.limit(id, Some(Role::Client.name())));
                // The failed call says it, if there is one.
                let cure = limit.filter(|l| !facts.failed_at(l.info.id));
                let cure = cure.map_or(String::new(), |l| facts.advice(&l.cure));
                // Of a server of this run that is dying its death is what counts.
                let severity = if facts.server_gone() { Severity::Info } else { Severity::Critical };
                let text = format!("the client stopped at {count} connections{why}{cure}");
                let event = Event::new(Kind::Phase, severity, "phase/stopped", text).about(about);
                say(event.of_limit(limit));
            }
            RunPhase::Watching | RunPhase::Starting | RunPhase::EngineDied => {}
        }
    }
}

/// Where the guard holds, and what it keeps the run from.
fn guarded(facts: &Facts<'_>) -> Event {
    let client = facts.sample.engine(Role::Client);
    let ceiling = client.and_then(|c| c.ceiling).unwrap_or(facts.now.connections);
    if facts.guard.held_by_fleet() {
        let text = format!(
            "the fleet's guard holds the ramp at {}: that is what the server allows this client now",
            units::grouped(ceiling)
        );
        return Event::new(Kind::Phase, Severity::Info, "phase/guarded", text);
    }
    let (percent, left) = (facts.guard.share() * 100.0, 100.0 - facts.guard.share() * 100.0);
    let part = if (left - 10.0).abs() < 0.05 { "a tenth".to_owned() } else { format!("{left:.0} %") };
    let by = facts.guard.by();
    let limit = by.and_then(|(id, scope)| facts.limits.iter().find(|l| l.is(id, scope)));
    let of_memory = || format!("more would leave less than {part} of the memory that was free at the start");
    let why = match limit {
        None => by.map_or_else(of_memory, |(id, _)| format!("more would leave less than {part} of {id}")),
        Some(limit) if limit.info.oom == Some(Oom::Machine) => of_memory(),
        Some(limit) => {
            let name = (limit.info.phrase)(limit);
            let of = |n: Option<u64>| limit.unit.write(n.unwrap_or(0));
            let used = format!("{} of {}", of(limit.used), of(limit.limit));
            let what = if limit.info.oom == Some(Oom::Cgroup) {
                format!("more would leave less than {part} of the room {name} had at the start ({used} used)")
            } else {
                format!("more would use over {percent:.0} % of {name} ({used} used)")
            };
            format!("{what}. To go further: {}", limit.cure)
        }
    };
    let text = format!("the guard stopped the ramp at {}: {why}. --no-guard carries on", units::grouped(ceiling));
    let event = Event::new(Kind::Phase, Severity::Info, "phase/guarded", text);
    event.of_limit(limit)
}
