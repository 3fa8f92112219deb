//! Makes sentences of what happened: failures, silent drops, stalls, limits coming near, changes of phase.

mod aftermath;
mod failures;
mod foreign;
mod late;
mod limits;
mod losses;
mod phases;
mod silent;
mod stall;

use crate::limits::{Counters, Cure, Limit, LimitId, Noted, logged_by, overflowed, shown_by, still_full};
use crate::protocol::{FailedCall, Role};
use crate::sample::{LogTopic, Sample};
use crate::units;

use super::entry;
use super::event::{Event, EventLog, Kind, Severity};
use super::failures::Failure;
use super::guard::Guard;
use super::kernel_log::KernelLog;
use super::now::{Now, RunPhase};
use super::outcome::Outcome;
use super::program::ProgramLog;

/// Where events go.
type Say<'a> = &'a mut dyn FnMut(Event);

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
    /// How far the run has come.
    pub outcome: &'a Outcome,
    /// The program that is watched, where it is no engine.
    pub program: &'a ProgramLog,
    /// What earlier samples showed.
    pub noted: &'a Noted,
}

impl Facts<'_> {
    /// The row of a limit: that of `scope` if there is one.
    fn limit(&self, id: LimitId, scope: Option<&str>) -> Option<&Limit> {
        Limit::row(self.limits, id, scope)
    }

    /// Whether a call failed since the sample before that shows this limit.
    fn failed_at(&self, id: LimitId) -> bool {
        self.failures.iter().any(|f| shown_by(&f.error.op, &f.error.name).is_some_and(|l| l.id == id))
    }

    /// Whether this very call of an engine failed since the sample before.
    fn failed(&self, role: Role, call: &FailedCall) -> bool {
        self.failures.iter().any(|f| f.role == role && f.error.op == call.op && f.error.name == call.name)
    }

    /// Whether a server of this run has died, or no longer answers while its connections go.
    fn server_gone(&self) -> bool {
        let mut servers = self.sample.watched().filter(|t| t.role() == Some(Role::Server));
        servers.any(|t| !t.alive || t.is_ending())
    }

    /// A cure to end a sentence with; none for what follows from the end of an engine.
    fn advice(&self, cure: &Cure) -> String {
        if aftermath::ended_engine(self.sample, self.now).is_some() { String::new() } else { cure.advice() }
    }

    /// Whether connections are being closed, or those who held them are gone: resets are then no news.
    fn ending(&self) -> bool {
        matches!(self.now.phase, RunPhase::Closing | RunPhase::Closed | RunPhase::EngineDied)
    }
}

/// What was already said.
#[derive(Debug, Clone, Default)]
pub(super) struct Diagnosis {
    limits: limits::Announced,
    phases: phases::Announced,
    stall: stall::Watch,
    losses: losses::Watch,
    silent: silent::Watch,
    late: late::Told,
    foreign: foreign::Watch,
    aftermath: aftermath::Aftermath,
    /// Highest number of an engine's events passed on, by pid.
    passed: Vec<(u32, u64)>,
}

impl Diagnosis {
    /// Takes a moment and adds its events.
    pub(super) fn update(&mut self, facts: &Facts<'_>, log: &mut EventLog) {
        let mut said = self.aftermath.update(facts.sample, facts.now);
        let held = said.len();
        let mut say = |event| said.push(event);
        self.phases.update(facts, &mut say);
        self.silent.update(facts, &mut say);
        failures::tell(facts, &mut say);
        counters(facts, &mut say);
        allocations(facts, &mut say);
        self.stall.update(facts, &mut say);
        self.losses.update(facts, &mut say);
        self.late.update(facts, &mut say);
        self.foreign.update(facts, &mut say);
        self.limits.update(facts, &mut say);
        self.pass_on(facts, &mut say);
        let new = said.split_off(held).into_iter().filter_map(|e| self.aftermath.pass(e, facts.now.phase));
        said.extend(new);
        for event in said {
            log.push(Event { t_ms: facts.now.t_ms, ..event });
        }
    }

    /// The death of an engine is in the log: what follows from it, held until now.
    pub(super) fn death_told(&mut self) -> Vec<Event> {
        self.aftermath.release()
    }

    /// The engines' own events.
    fn pass_on(&mut self, facts: &Facts<'_>, say: Say<'_>) {
        for role in [Role::Server, Role::Client] {
            let Some(stats) = facts.sample.engine(role) else { continue };
            let last = &mut entry(&mut self.passed, |p| p.0 == stats.pid, || (stats.pid, 0)).1;
            // What a failed call of this sample says with its proof and its cure, the engine need not say again.
            let said = |call: &Option<FailedCall>| call.as_ref().is_some_and(|call| facts.failed(role, call));
            for event in stats.events.iter().filter(|e| e.seq > *last && !said(&e.call)) {
                // What a client says of a server that is dying is its echo.
                let echo = role == Role::Client && facts.server_gone();
                let severity = if echo { Severity::Info } else { event.severity };
                let id = format!("{}/{}", role.name(), event.id);
                let text = format!("{}: {}", role.name(), event.text);
                let shows = event.call.as_ref().and_then(|call| shown_by(&call.op, &call.name)).map(|l| l.id);
                let limit = shows.and_then(|id| facts.limit(id, Some(role.name())));
                let event = Event::new(Kind::Engine, severity, id, text);
                say(event.of_limit(limit));
            }
            *last = stats.events.iter().map(|e| e.seq).fold(*last, u64::max);
        }
    }
}

/// Counters of the kernel that rose.
fn counters(facts: &Facts<'_>, say: Say<'_>) {
    for risen in facts.counters.risen() {
        let info = risen.info;
        let few = risen.total < info.few && info.severity == Severity::Warning;
        let severity = if few { Severity::Info } else { info.severity };
        // The log knows which of two limits a counter speaks of.
        let logged = facts.log.limit(info.log);
        let row = logged.or(risen.about.filter(|_| info.with_numbers)).and_then(|id| facts.limit(id, None));
        let row = row.filter(|l| l.share().is_some());
        let (used, cure) = match row {
            // What has fallen again since it was full would seem to contradict.
            Some(row) if row.share() < Some(0.5) => (String::new(), Cure::clone(&row.cure)),
            Some(row) => (row.in_brackets(), Cure::clone(&row.cure)),
            None => (String::new(), info.cure_in(facts.sample)),
        };
        let still = if info.still_full { still_full(facts.sample) } else { String::new() };
        let cure = if info.still_full { overflowed(facts.sample, facts.noted) } else { cure };
        let log = facts.log.quote(info.log);
        let total = units::grouped(risen.total);
        let text = format!("{}{used}{still} ({} +{total}){log}{}", info.what, info.proof, facts.advice(&cure));
        say(Event::new(Kind::Counter, severity, info.id, text)
            .times(risen.step)
            .about(logged.or(risen.about))
            .proved(info.proof, risen.total)
            .logged(facts.log.line(info.log))
            .cured(cure));
    }
}

/// Requests of the kernel's own for which it found no memory: no counter tells of them.
fn allocations(facts: &Facts<'_>, say: Say<'_>) {
    const TOPIC: [LogTopic; 1] = [LogTopic::Allocation];
    let lines = facts.sample.kernel.host.log.iter().flat_map(|log| &log.lines);
    let count = lines.filter(|line| TOPIC.contains(&line.topic)).count() as u64;
    let Some(about) = logged_by(LogTopic::Allocation).filter(|_| count > 0) else { return };
    let limit = facts.limit(about, None);
    let cure = limit.map_or(String::new(), |l| facts.advice(&l.cure));
    let text = format!("the kernel itself could not get memory{}{cure}", facts.log.quote(&TOPIC));
    let event = Event::new(Kind::Counter, Severity::Warning, format!("{about}/allocation"), text).times(count);
    say(event.of_limit(limit).logged(facts.log.line(&TOPIC)));
}
