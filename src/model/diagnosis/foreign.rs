//! What goes wrong within a program that is no engine: connections that it never closes, workers of which one has most, or that
//! drain after a reload.

use std::collections::HashSet;

use crate::limits::{Level, Remedy};
use crate::model::event::{Event, Kind, Severity};
use crate::sample::{Census, Member, Program, Sample};
use crate::units;

use super::{Facts, Say};

/// Connections that are not closed before that is worth a word.
const LEAST_LEFT: u64 = 50;
/// How many a second there must be more.
const LEAK_PER_S: f64 = 0.5;
/// Counts that must have shown it: some seconds.
const COUNTS: u32 = 8;

/// Connections from which on the share of a worker means something.
const LEAST_SHARED: u64 = 1000;
/// A worker with so many times its fair share has most.
const UNFAIR: f64 = 1.5;

/// What is watched.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch {
    /// Number and `CLOSE_WAIT` of the last count.
    last: (u64, u64),
    /// Counts in a row that showed more than the one before.
    rising: u32,
    /// The worker that was said to have most.
    skewed: Option<u32>,
    /// Those that were said to drain.
    draining: HashSet<u32>,
}

impl Watch {
    pub(super) fn update(&mut self, facts: &Facts<'_>, say: Say<'_>) {
        let Some(program) = &facts.sample.kernel.program else { return };
        self.drains(program, say);
        let Ok(census) = &program.census else { return };
        self.leak(program, census, facts, say);
        self.skew(program, census, say);
    }

    fn leak(&mut self, program: &Program, census: &Census, facts: &Facts<'_>, say: Say<'_>) {
        let (reading, before) = std::mem::replace(&mut self.last, (census.reading, census.close_wait));
        if reading == census.reading {
            return;
        }
        self.rising = if census.close_wait > before { self.rising + 1 } else { 0 };
        let per_s = facts.program.close_wait_per_s().unwrap_or(0.0);
        if self.rising < COUNTS || census.close_wait < LEAST_LEFT || per_s < LEAK_PER_S {
            return;
        }
        let end = descriptors_left(facts.sample).map_or(String::new(), |left| {
            format!("; at that rate it is out of open files in {}", units::seconds(left as f64 / per_s))
        });
        let text = format!(
            "{} does not close connections its peers have closed: {} in CLOSE_WAIT, {per_s:.1} more a second{end}",
            program.name,
            units::grouped(census.close_wait),
        );
        let cure = Remedy::advice(
            Level::Server,
            "close() a socket when read() returns 0; until that is fixed, a restart frees them",
        );
        say(Event::new(Kind::Counter, Severity::Warning, "leak/close_wait", text)
            .proved("CLOSE_WAIT", census.close_wait)
            .cured(cure.into()));
    }

    /// Workers of before a reload: their connections are the program's, and nobody finds them among the new workers.
    fn drains(&mut self, program: &Program, say: Say<'_>) {
        let holds = |m: &&Member| m.draining && m.connections.is_some_and(|n| n > 0);
        let all: Vec<&Member> = program.members.iter().filter(holds).collect();
        let before = std::mem::replace(&mut self.draining, all.iter().map(|m| m.pid).collect());
        let Some(first) = all.iter().find(|m| !before.contains(&m.pid)) else { return };
        let held: u64 = all.iter().filter_map(|m| m.connections).sum();
        let (who, they) = match all.as_slice() {
            [one] => (format!("{} {} is draining: it no longer listens, but", one.name, one.pid), "holds"),
            many => {
                (format!("{} workers of {} are draining: they no longer listen, but", many.len(), program.name), "hold")
            }
        };
        let text = format!("{who} still {they} {} connections until their peers close them", units::grouped(held));
        let cure =
            Remedy::advice(Level::Server, "to bound it: worker_shutdown_timeout (nginx), hard-stop-after (haproxy)");
        let event = Event::new(Kind::Counter, Severity::Info, format!("draining/{}", first.pid), text);
        say(event.proved("connections", held).cured(cure.into()));
    }

    fn skew(&mut self, program: &Program, census: &Census, say: Say<'_>) {
        let held = || {
            program.members.iter().filter(|m| !m.draining).filter_map(|m| Some((m, m.connections.filter(|n| *n > 0)?)))
        };
        let workers = held().count();
        let Some((worker, most)) = held().max_by_key(|(_, n)| *n).filter(|_| workers > 1) else { return };
        let share = most as f64 / census.connections.max(1) as f64;
        let unfair = census.connections >= LEAST_SHARED && share * workers as f64 >= UNFAIR && share > 0.5;
        if !unfair || self.skewed == Some(worker.pid) {
            return;
        }
        self.skewed = Some(worker.pid);
        let text = format!(
            "one worker of {workers} ({} {}) holds {:.0} % of the connections and will hit its limits first",
            worker.name,
            worker.pid,
            share * 100.0
        );
        let cure = Remedy::advice(Level::Server, "a listener per worker (SO_REUSEPORT; nginx: listen … reuseport)");
        let event = Event::new(Kind::Counter, Severity::Info, "skew", text).proved("connections", most);
        say(event.cured(cure.into()));
    }
}

/// Descriptors that the fullest process can still open.
fn descriptors_left(sample: &Sample) -> Option<u64> {
    let left = |p: &crate::sample::Process| Some(p.usable_descriptors()?.saturating_sub(*p.descriptors.as_ref().ok()?));
    sample.kernel.processes.iter().filter(|p| p.alive).filter_map(left).min()
}
