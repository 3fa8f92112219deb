//! Failures of the engines: one event for each operation and errno.

use crate::limits::{LimitState, shown_by};
use crate::model::event::{Event, Kind, Severity};
use crate::model::failures::happened;
use crate::protocol::errno::meaning;

use super::{Facts, Say};

/// Whether this is how connections end when the other side closes or dies, and no fault of the run.
fn is_goodbye(op: &str, name: &str) -> bool {
    matches!((op, name), ("read" | "write", "ECONNRESET" | "EPIPE" | "ETIMEDOUT"))
}

pub(super) fn tell(facts: &Facts<'_>, say: Say<'_>) {
    for failure in facts.failures {
        let (role, error) = (failure.role.name(), &failure.error);
        // A server of this run that is dying resets and refuses: its death is what counts.
        let echo = error.op == "connect"
            && matches!(error.name.as_str(), "ECONNRESET" | "ECONNREFUSED")
            && facts.server_gone();
        let goodbye = echo || is_goodbye(&error.op, &error.name);
        if goodbye && facts.ending() {
            continue;
        }
        let shows = shown_by(&error.op, &error.name).map(|l| l.id);
        let meaning = if error.errno == 0 { String::new() } else { format!(": {}", meaning(&error.name)) };
        let mut text = format!("{role}: {}{meaning}", happened(error));
        let limit = shows.and_then(|id| facts.limit(id, Some(role)));
        let mut severity = if goodbye { Severity::Info } else { Severity::Warning };
        let mut log = None;
        if let Some(limit) = limit {
            let met = limit.state == LimitState::Hit;
            severity = if met { Severity::Critical } else { Severity::Warning };
            match limit.info.unless_met {
                Some(other) if !met => {
                    severity = Severity::Info;
                    text = format!("{role}: {other}");
                }
                _ => {
                    log = facts.log.line(limit.info.log);
                    let quote = facts.log.quote(limit.info.log);
                    text = format!("{text}{}{quote}{}", limit.in_brackets(), facts.advice(&limit.cure));
                }
            }
        } else if error.name == "ETIMEDOUT" {
            text.push_str(&silence(facts));
        }
        let prefix = shows.map_or(String::new(), |id| format!("{id}/"));
        let id = format!("{prefix}{role}/{}/{}", error.op, error.name);
        let event = Event::new(Kind::Failure, severity, id, text)
            .times(failure.step)
            .about(shows)
            .proved(format!("{} of {}", error.name, error.op), error.count);
        say(event.of_limit(limit).logged(log));
    }
}

/// What may have swallowed packets.
pub(super) fn silence(facts: &Facts<'_>) -> String {
    let mut causes = facts.limits.iter().filter_map(|l| (l.info.swallows)(l, facts.sample, facts.counters));
    causes.next().unwrap_or_default()
}
