//! Limits that come near: each announced once, and once more when it gets worse.

use crate::limits::{Forecast, Limit, LimitId, LimitState};
use crate::model::entry;
use crate::model::event::{Event, Kind, Severity};
use crate::units;

use super::{Facts, Say};

/// The worst state announced of each limit.
#[derive(Debug, Clone, Default)]
pub(super) struct Announced {
    worst: Vec<(LimitId, String, LimitState)>,
}

impl Announced {
    pub(super) fn update(&mut self, facts: &Facts<'_>, say: Say<'_>) {
        for limit in facts.limits {
            self.met(limit, facts, say);
            // Another limit that is hit has its own event: the failure, the drops, or the death that showed it.
            if !matches!(limit.state, LimitState::Warn | LimitState::Critical) {
                continue;
            }
            // What a counter has said already, with these numbers; queues of which only the drops are known speak through
            // their counters alone.
            if limit.limit.is_none() || facts.counters.spoke_for(limit.info.id) {
                continue;
            }
            if !self.is_worse(limit) {
                continue;
            }
            let severity = if limit.state == LimitState::Critical { Severity::Critical } else { Severity::Warning };
            let id = format!("limit/{}/{}", limit.info.id, limit.scope);
            let text = (limit.info.alarm)(limit, facts.sample).unwrap_or_else(|| sentence(limit, facts));
            say(Event::new(Kind::Limit, severity, id, text).of_limit(Some(limit)));
        }
    }

    /// Whether it is in a worse state than it has ever been; from now on that is known.
    fn is_worse(&mut self, limit: &Limit) -> bool {
        let new = || (limit.info.id, limit.scope.clone(), LimitState::Ok);
        let worst = &mut entry(&mut self.worst, |w| limit.is(w.0, &w.1), new).2;
        let before = *worst;
        *worst = before.max(limit.state);
        before < limit.state
    }

    /// A limit that is met and shows by nothing else.
    fn met(&mut self, limit: &Limit, facts: &Facts<'_>, say: Say<'_>) {
        let Some(how) = limit.met.as_ref().filter(|_| limit.state == LimitState::Hit) else { return };
        if !self.is_worse(limit) {
            return;
        }
        let name = (limit.info.phrase)(limit);
        let numbers = if limit.place.is_some() { limit.in_brackets() } else { String::new() };
        let text = format!("{how}: {name}{numbers}{}", facts.advice(&limit.cure));
        let id = format!("{}/{}", limit.info.id, limit.scope);
        say(Event::new(Kind::Limit, Severity::Critical, id, text).of_limit(Some(limit)));
    }
}

/// When, or how full, and what helps.
fn sentence(limit: &Limit, facts: &Facts<'_>) -> String {
    let name = (limit.info.phrase)(limit);
    match limit.forecast {
        Forecast::At { connections, seconds, .. }
            if facts.now.phase.aims() && facts.now.target.is_none_or(|t| connections < t) =>
        {
            let when = seconds.map_or(String::new(), |s| format!(", in {}", units::seconds(s)));
            let target =
                facts.now.target.map_or(String::new(), |t| format!(", before the target of {}", units::grouped(t)));
            format!(
                "{name} would be hit at {} connections{when}{target}: {}",
                units::short_count(connections),
                limit.cure
            )
        }
        _ => {
            let of = |n: u64| limit.unit.write(n);
            let (used, max) = (limit.used.unwrap_or(0), limit.limit.unwrap_or(0));
            let percent = limit.share().unwrap_or(0.0) * 100.0;
            let note = limit.note.as_ref().map_or(String::new(), |note| format!("; {note}"));
            format!("{name} is {percent:.0} % used ({} of {}){note}: {}", of(used), of(max), limit.cure)
        }
    }
}
