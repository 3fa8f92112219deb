//! Failures of the engines: one event for each operation and errno.

use crate::model::errno::{is_goodbye, limit_of, meaning};
use crate::model::event::Severity;
use crate::model::limit::LimitState;
use crate::model::meters::waiting;
use crate::sample::{AcceptQueue, LogTopic};
use crate::units;

use super::Facts;

pub(super) fn tell(facts: &Facts<'_>, say: &mut dyn FnMut(Severity, String, String, u64)) {
    for failure in facts.failures {
        let (role, error) = (failure.role.name(), &failure.error);
        // A server of this run that is dying resets and refuses: its death is what is told.
        let echo = error.op == "connect"
            && matches!(error.name.as_str(), "ECONNRESET" | "ECONNREFUSED")
            && facts.server_gone();
        let goodbye = echo || is_goodbye(&error.op, &error.name);
        if goodbye && facts.ending() {
            continue;
        }
        let id = limit_of(&error.op, &error.name);
        let times = if error.count == 1 { "once".to_owned() } else { format!("{} times", units::grouped(error.count)) };
        let mut text = format!("{role}: {} failed with {} {times}: {}", error.op, error.name, meaning(&error.name));
        let limit = id.and_then(|id| facts.limit(id, Some(role)));
        let mut severity = if goodbye { Severity::Info } else { Severity::Warning };
        if let Some(limit) = limit {
            // A worker whose table is full hands over to the next: news only when no table is left.
            severity = if limit.state == LimitState::Hit { Severity::Critical } else { Severity::Warning };
            if limit.info.id == "nofile" && limit.state != LimitState::Hit {
                severity = Severity::Info;
                text = format!("{role}: one descriptor table is full; the next worker takes over");
            } else {
                let log =
                    if limit.info.id == "file-max" { facts.log.quote(&[LogTopic::FileMax]) } else { String::new() };
                text = format!("{text}{}{log}{}", proof(limit), limit.advice());
            }
        } else if error.name == "ETIMEDOUT" {
            text.push_str(&silence(facts));
        }
        let prefix = id.map_or(String::new(), |id| format!("{id}/"));
        say(severity, format!("{prefix}{role}/{}/{}", error.op, error.name), text, failure.step);
    }
}

/// The numbers of the limit.
pub(super) fn proof(limit: &crate::model::limit::Limit) -> String {
    match (limit.used, limit.limit) {
        (Some(used), Some(max)) => {
            format!(" ({} {} of {})", limit.info.label, limit.unit.write(used), limit.unit.write(max))
        }
        _ => String::new(),
    }
}

/// The fullest accept queue here, if it is full now.
pub(super) fn full_queue(facts: &Facts<'_>) -> Option<AcceptQueue> {
    facts.sample.kernel.net.fullest_queue().filter(|queue| queue.is_full())
}

/// What may have swallowed packets.
pub(super) fn silence(facts: &Facts<'_>) -> String {
    let full = facts.limit("conntrack", None).filter(|l| l.share().is_some_and(|s| s >= 0.9));
    if let Some(limit) = full {
        return format!("; connection tracking is full{}{}", proof(limit), limit.advice());
    }
    if let Some(queue) = full_queue(facts) {
        let (port, waiting) = (queue.port, waiting(queue));
        return format!("; the accept queue of port {port} is full ({waiting}): the server does not accept");
    }
    let overflows = facts.counters.total("listen_overflows");
    if overflows > 0 {
        return format!(
            "; the accept queue here overflowed {} times (ListenOverflows): the server accepts too slowly",
            units::grouped(overflows)
        );
    }
    String::new()
}
