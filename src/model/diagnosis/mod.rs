//! Makes sentences of what happened: failures, silent drops, stalls, limits coming near, changes of phase.

mod failures;
mod limits;
mod losses;
mod phases;
mod stall;

use crate::sample::{AcceptQueue, LogTopic, Sample};
use crate::units;

use super::counters::Counters;
use super::errno::limit_of;
use super::event::{Event, EventLog, Severity};
use super::failures::Failure;
use super::guard::Guard;
use super::kernel_log::KernelLog;
use super::limit::Limit;
use super::meters::waiting;
use super::now::{Now, RunPhase};
use crate::protocol::Role;

/// What the sentences are made from.
pub(super) struct Facts<'a> {
    /// The sample.
    pub sample: &'a Sample,
    /// What holds now.
    pub now: &'a Now,
    /// The limits now, nearest first.
    pub limits: &'a [Limit],
    /// What failed since the sample before.
    pub failures: &'a [Failure],
    /// Counters of the kernel.
    pub counters: &'a Counters,
    /// The kernel's log.
    pub log: &'a KernelLog,
    /// What holds the ramp back.
    pub guard: &'a Guard,
}

impl Facts<'_> {
    /// The row of a limit: that of `scope` if there is one.
    fn limit(&self, id: &str, scope: Option<&str>) -> Option<&Limit> {
        let mut rows = self.limits.iter().filter(|l| l.info.id == id);
        rows.clone().find(|l| scope.is_some_and(|s| s == l.scope)).or_else(|| rows.next())
    }

    /// Whether a call that failed since the sample before met this limit; of one engine, or of either.
    fn failed_at(&self, id: &str, role: Option<Role>) -> bool {
        let mut failures = self.failures.iter().filter(|f| role.is_none_or(|role| f.role == role));
        failures.any(|f| limit_of(&f.error.op, &f.error.name) == Some(id))
    }

    /// Whether a server of this run has died, or no longer answers while its connections go.
    fn server_gone(&self) -> bool {
        let mut servers = self.sample.watched().filter(|t| t.role() == Some(Role::Server));
        servers.any(|t| !t.alive || t.is_ending())
    }

    /// Whether connections are being closed, or those who held them are gone: resets are then no news.
    fn ending(&self) -> bool {
        matches!(self.now.phase, RunPhase::Closing | RunPhase::Closed | RunPhase::EngineDied)
    }
}

/// What was already said.
#[derive(Debug, Clone, Default)]
pub(super) struct Diagnosis {
    limits: limits::Said,
    phases: phases::Said,
    stall: stall::Watch,
    losses: losses::Watch,
    /// Highest number of an engine's events passed on, by pid.
    passed: Vec<(u32, u64)>,
}

impl Diagnosis {
    /// Takes a moment and adds its events.
    pub(super) fn update(&mut self, facts: &Facts<'_>, log: &mut EventLog) {
        let mut say = |severity, id: String, text: String, count| {
            log.push(Event { t_ms: facts.now.t_ms, severity, id, text, count });
        };
        self.phases.update(facts, &mut say);
        failures::tell(facts, &mut say);
        counters(facts, &mut say);
        allocations(facts, &mut say);
        self.stall.update(facts, &mut say);
        self.losses.update(facts, &mut say);
        self.limits.update(facts, &mut say);
        self.pass_on(facts, &mut say);
    }

    /// The engines' own events.
    fn pass_on(&mut self, facts: &Facts<'_>, say: &mut dyn FnMut(Severity, String, String, u64)) {
        for role in [Role::Server, Role::Client] {
            let Some(stats) = facts.sample.engine(role) else { continue };
            let known = self.passed.iter().position(|p| p.0 == stats.pid).unwrap_or_else(|| {
                self.passed.push((stats.pid, 0));
                self.passed.len() - 1
            });
            let last = &mut self.passed[known].1;
            // What a failed call of this sample says with its proof and its cure, the engine need not say again.
            for event in stats.events.iter().filter(|e| e.seq > *last && !facts.failed_at(&e.id, Some(role))) {
                // What a client says of a server that is dying is its echo.
                let echo = role == Role::Client && facts.server_gone();
                say(
                    if echo { Severity::Info } else { event.severity },
                    format!("{}/{}", role.name(), event.id),
                    format!("{}: {}", role.name(), event.text),
                    1,
                );
            }
            *last = stats.events.iter().map(|e| e.seq).fold(*last, u64::max);
        }
    }
}

/// Counters of the kernel that rose.
fn counters(facts: &Facts<'_>, say: &mut dyn FnMut(Severity, String, String, u64)) {
    for (info, step, total) in facts.counters.risen() {
        let few = total < info.few && info.severity == Severity::Warning;
        let severity = if few { Severity::Info } else { info.severity };
        // The log knows which of two limits a counter speaks of.
        let id = info.limit.or_else(|| facts.log.limit(info.log));
        let row = id.and_then(|id| facts.limit(id, None)).filter(|l| l.share().is_some());
        let (used, cure) = match row {
            // What has fallen again since it was full would seem to contradict.
            Some(row) if row.share() < Some(0.5) => (String::new(), row.cure.as_str()),
            Some(row) => (failures::proof(row), row.cure.as_str()),
            None if info.id == "listen_overflows" => (still_full(facts), info.cure),
            None => (String::new(), info.cure),
        };
        let log = facts.log.quote(info.log);
        let text = format!("{}{used} ({} +{}){log}. Cure: {cure}", info.what, info.proof, units::grouped(total));
        say(severity, info.id.to_owned(), text, step);
    }
}

/// Requests of the kernel's own for which it found no memory: no counter tells of them.
fn allocations(facts: &Facts<'_>, say: &mut dyn FnMut(Severity, String, String, u64)) {
    let lines = facts.sample.kernel.host.log.iter().flat_map(|log| &log.lines);
    let count = lines.filter(|line| line.topic == LogTopic::Allocation).count() as u64;
    if count > 0 {
        let cure = facts.limit("memory", None).map_or(String::new(), Limit::advice);
        let log = facts.log.quote(&[LogTopic::Allocation]);
        say(
            Severity::Warning,
            "memory/allocation".into(),
            format!("the kernel found no memory for a request{log}{cure}"),
            count,
        );
    }
}

/// The queue that overflowed, where it has not drained since.
fn still_full(facts: &Facts<'_>) -> String {
    let still = |queue: AcceptQueue| format!("; that of port {} still is, {}", queue.port, waiting(queue));
    failures::full_queue(facts).map_or(String::new(), still)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_counter_makes_a_sentence() {
        for info in &crate::model::counters::COUNTERS {
            assert!(!info.what.ends_with('.') && !info.cure.ends_with('.') && !info.proof.is_empty(), "{}", info.id);
        }
    }
}
