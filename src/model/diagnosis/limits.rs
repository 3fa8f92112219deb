//! Limits that come near: each said once, and once more when it gets worse.

use crate::model::event::Severity;
use crate::model::limit::{Forecast, Limit, LimitState};
use crate::model::meters::runtime_name;
use crate::model::meters::waiting;
use crate::units;

use super::Facts;

/// The worst state said of each limit.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    worst: Vec<(&'static str, String, LimitState)>,
}

impl Said {
    pub(super) fn update(&mut self, facts: &Facts<'_>, say: &mut dyn FnMut(Severity, String, String, u64)) {
        for limit in facts.limits {
            // A hit limit has its own event: the failure, the drops, or the death that showed it.
            if !matches!(limit.state, LimitState::Warn | LimitState::Critical) {
                continue;
            }
            // What a counter has told of already, with these numbers; queues of which only the drops are known speak through
            // their counters alone.
            let overflowed = limit.info.id == "accept_queue" && facts.counters.total("listen_overflows") > 0;
            if limit.limit.is_none() || overflowed || facts.counters.told_of(limit.info.id) {
                continue;
            }
            match self.worst.iter_mut().find(|w| w.0 == limit.info.id && w.1 == limit.scope) {
                Some(known) if known.2 >= limit.state => continue,
                Some(known) => known.2 = limit.state,
                None => self.worst.push((limit.info.id, limit.scope.clone(), limit.state)),
            }
            let severity = if limit.state == LimitState::Critical { Severity::Critical } else { Severity::Warning };
            say(severity, format!("limit/{}/{}", limit.info.id, limit.scope), sentence(limit, facts), 1);
        }
    }
}

/// The limit in words.
pub(super) fn name(limit: &Limit) -> String {
    match limit.info.id {
        "memory" => "memory (by real headroom)".to_owned(),
        "memcg" => format!("the memory limit of cgroup {}", limit.scope),
        "nofile" => format!("the descriptor limit of the {}", limit.scope),
        "conntrack" => "the connection tracking table".to_owned(),
        "epoll" => "the user's limit of epoll registrations".to_owned(),
        "ports" => "the local ports towards these destinations".to_owned(),
        "threads" if limit.scope == "host" => "the machine's limit of threads".to_owned(),
        "threads" if limit.scope == "user" => "the user's limit of threads (RLIMIT_NPROC)".to_owned(),
        "threads" => "the cgroup's limit of threads (pids.max)".to_owned(),
        "runtime" => runtime_name(limit.unit, &limit.scope),
        "bandwidth" => format!("the speed of the link {}", limit.scope),
        _ => limit.info.label.to_owned(),
    }
}

/// When, or how full, and what helps.
fn sentence(limit: &Limit, facts: &Facts<'_>) -> String {
    if limit.info.id == "accept_queue"
        && let Some(queue) = facts.sample.kernel.net.fullest_queue()
    {
        let (port, cure) = (queue.port, &limit.cure);
        return format!("the server on port {port} does not accept: {} in its accept queue; {cure}", waiting(queue));
    }
    let name = name(limit);
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
            // Whom it binds, where that is not this run.
            let whom = limit.reason.as_ref().filter(|_| limit.info.id == "file-max");
            let whom = whom.map_or(String::new(), |r| format!("; it {r}"));
            format!("{name} is {percent:.0} % used ({} of {}){whom}: {}", of(used), of(max), limit.cure)
        }
    }
}
