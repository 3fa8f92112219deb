//! Derives everything shown from a row of [`Sample`]s. Pure: no I/O, no clock, no thread, so that a recording drives it
//! as well as a live run.

#![expect(
    clippy::cast_precision_loss,
    reason = "slopes and forecasts of counts, bytes and milliseconds, all of them far below 2^52"
)]

pub mod chart;
pub mod cost;
mod death;
mod diagnosis;
pub mod engine;
pub mod event;
pub mod expect;
mod failures;
pub mod guard;
mod history;
mod kernel_log;
pub mod now;
mod outcome;
mod program;
mod progress;
mod rate;
mod report;
mod run;
mod series;
mod shared;
pub mod slope;
pub mod spread;
mod steps;
pub mod summary;
#[cfg(test)]
#[expect(dead_code, reason = "what the tests beside `src/` use")]
#[path = "../../tests/synthetic/mod.rs"]
pub(crate) mod synthetic;
mod table;
pub mod timeline;
mod track;

pub use crate::limits::{Forecast, Headroom, Limit, LimitState, Unit};
pub use chart::{Chart, Range, XAxis};
pub use cost::{Basis, Cost, Slope};
pub use engine::{Cause, Death, Engine};
pub use event::{About, Event, EventLog, Kind, Severity};
pub use expect::Expect;
pub use failures::happened;
pub use guard::safe_target;
pub use now::{CountSource, Now, RunPhase, Stale};
pub use summary::{
    EventLine, Expectation, Latency, MemberLine, Merged, PartLine, ProcessLine, SampleLine, Summary, Verdict,
};
pub use timeline::{Drift, Quantity};

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::part::Part;
use crate::protocol::Role;
use crate::sample::{Machine, Sample};
use crate::units;

use guard::Guard;
use steps::{Account, Learning, Observer, Outlook};
use timeline::Timeline;

use crate::limits::LimitId;

/// A cure makes a limit so many times as large as the target needs, and the guard's share on top: the next run may have a
/// guard though this one has none. The forecast may be off by some percent, and memory is told of from nine tenths on.
const SPARE: f64 = 1.1;

/// What is known of the run before its first sample.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Setup {
    /// The engines are this program's own: its end closes their connections.
    pub own_engines: bool,
    /// Which part of a larger run this is; `None` is all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// What it was merged from; `None` where it is a run as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged: Option<MergedFrom>,
    /// Connections aimed at, here; `None` when only watching.
    pub target: Option<u64>,
    /// Where the target came from when the program chose it: one sentence.
    pub target_note: Option<String>,
    /// The machine that is watched, for the header.
    pub machine: Machine,
    /// Endpoint for the header: `127.0.0.1:9900-9999`.
    pub endpoint: Option<String>,
    /// What the server listens on, for people; `None` without a server.
    pub listen: Option<String>,
    /// Share of a limit up to which the guard lets the ramp go, in thousandths; `None` is 900.
    pub guard_per_mille: Option<u32>,
    /// Milliseconds between two outputs.
    pub interval_ms: u64,
    /// How long everything is to be held, milliseconds; `None` where nobody said.
    pub hold_ms: Option<u64>,
}

/// What a merged run was merged from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergedFrom {
    /// Recordings.
    pub parts: u32,
    /// Machines that they are of.
    pub hosts: u32,
}

/// `7 parts on 2 hosts`.
impl fmt::Display for MergedFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |n: u32, word: &str| if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") };
        write!(f, "{} on {}", one(self.parts, "part"), one(self.hosts, "host"))
    }
}

/// Connections that must have ended with a process of a program for that to be news.
const LEAST_LOST: u64 = 20;

/// The entry that `is` finds; a new one where there is none.
fn entry<T>(list: &mut Vec<T>, is: impl FnMut(&T) -> bool, new: impl FnOnce() -> T) -> &mut T {
    let at = list.iter().position(is).unwrap_or_else(|| {
        list.push(new());
        list.len() - 1
    });
    &mut list[at]
}

/// Everything derived so far.
#[derive(Debug, Clone, Default)]
pub struct Model {
    setup: Setup,
    now: Now,
    observer: Observer,
    learning: Learning,
    outlook: Outlook,
    account: Account,
    timeline: Timeline,
    last: Option<Arc<Sample>>,
    program: Option<ProcessLine>,
}

impl Model {
    /// A model before its first sample.
    pub fn new(setup: Setup) -> Self {
        let outlook = Outlook { guard: Guard::new(setup.guard_per_mille), ..Outlook::default() };
        let now = Now { target: setup.target, ..Now::default() };
        let observer = Observer::new(setup.interval_ms);
        let mut model = Self { setup, now, observer, outlook, ..Self::default() };
        if let Some(note) = model.setup.target_note.clone() {
            model.note(Severity::Info, "target", note);
        }
        model
    }

    /// Takes the next sample.
    pub fn update(&mut self, sample: &Sample) {
        self.take(Arc::new(sample.clone()));
    }

    /// The same of one that need not be copied.
    pub fn take(&mut self, taken: Arc<Sample>) {
        let sample = &*taken;
        let before = self.last.as_ref().map(|_| &self.now);
        let moment = self.observer.take(sample, self.setup.target, before);
        let learnt = self.learning.take(&moment);
        let merged = self.setup.merged.is_some();
        let judged = self.outlook.take(&moment, &learnt, &self.observer, &self.account.deaths, merged);
        let cpu = sample.kernel.program.as_ref().and_then(|program| self.observer.program.cpu(program));
        self.timeline.update(sample, &moment.now, learnt.headroom, cpu);
        self.account.take(&moment, &judged, &self.observer, self.setup.interval_ms, merged);
        self.now = moment.now;
        self.program = sample.kernel.program.as_ref().map(|program| self.observer.program.line(program));
        self.last = Some(taken);
        for process in self.observer.roster.left().to_vec() {
            self.note_parting(&process);
        }
    }

    /// Takes the limits of a merged run as its parts judged them: nothing of the sum of several machines could tell them.
    pub fn give_limits(&mut self, limits: Vec<Limit>) {
        self.outlook.table.give(limits, &self.now);
    }

    /// Tells again what a part of a merged run told; `whose` is that part.
    pub fn retell(&mut self, whose: &str, event: &EventLine) {
        let EventLine { t_ms, severity, id, text, count, about, proof, cure, .. } = event.clone();
        let event = Event::new(Kind::Program, severity, format!("{whose}/{id}"), format!("{whose}: {text}"));
        self.account.events.push(Event { t_ms, about, proof, cure, count, ..event });
    }

    /// Notes that a process of a watched program ended while others of it go on, where that is news: the kernel killed it, or
    /// a good part of the connections was its own. Workers come and go.
    fn note_parting(&mut self, process: &Engine) {
        let (pid, name) = (process.pid, process.name.as_str());
        let (death, text) = self.account.witness.judge(
            (None, name),
            pid,
            Cause::Vanished,
            self.last.as_deref(),
            &self.now,
            &self.observer.log,
        );
        if death.cause != Cause::Vanished {
            return self.tell_death(death, Severity::Critical, text);
        }
        let held = self.observer.program.held_by(pid).unwrap_or(0);
        let before = self.now.connections.max(held);
        if held < LEAST_LOST || held * 10 < before {
            return;
        }
        let left = self.last.as_ref().and_then(|s| s.kernel.program.as_ref()).map_or(0, |p| p.processes);
        let text = format!(
            "{} has ended, and up to {} connections with it; processes still running: {}",
            death.process(),
            units::grouped(held),
            units::grouped(left),
        );
        let id = format!("parted/{name}/{pid}");
        self.push(Event::new(Kind::Death { pid }, Severity::Warning, id, text).proved("connections", held));
    }

    /// Notes that a watched process ended, with its status as `wait` saw it. Call it after a sample taken once the
    /// process was gone, so that the counters of a kill are in: they tell an OOM kill from another `SIGKILL`.
    pub fn note_death(&mut self, pid: u32, status: Cause) {
        if self.account.deaths.iter().any(|d| d.pid == pid) {
            return;
        }
        let known = self.engines().iter().find(|e| e.pid == pid);
        // One that no sample has seen is an engine that this program started a moment before.
        let (role, name) = known.map_or((None, "process"), |e| (e.role, e.name.as_str()));
        let (death, text) =
            self.account.witness.judge((role, name), pid, status, self.last.as_deref(), &self.now, &self.observer.log);
        let severity = match death.cause {
            Cause::Exit(0) => Severity::Info,
            Cause::Vanished | Cause::OutOfHeap if role.is_none() => Severity::Warning,
            _ => Severity::Critical,
        };
        self.observer.roster.died(&death);
        self.tell_death(death, severity, text);
    }

    /// Adds the end of a process: the limit that it met, and what follows from it.
    fn tell_death(&mut self, death: Death, severity: Severity, text: String) {
        let pid = death.pid;
        let met = self.limits().iter().find(|l| death.met(l)).cloned();
        let cure = met.as_ref().map_or(String::new(), |l| l.cure.advice());
        let id = format!("death/{}/{pid}", death.name);
        let event = Event::new(Kind::Death { pid }, severity, id, text + &cure)
            .proved("connections", death.at_connections)
            .logged(self.observer.log.kill_line(pid));
        self.account.deaths.push(death);
        self.outlook.table.mark_killed(&self.account.deaths);
        self.push(event.of_limit(met.as_ref()));
        for event in self.account.diagnosis.death_told() {
            self.push(event);
        }
    }

    /// Takes over the deaths that `later` knows of, so that a model kept from before them shows the last state with what
    /// ended it.
    pub fn adopt_deaths(&mut self, later: &Model) {
        for death in &later.account.deaths {
            if self.account.deaths.iter().any(|d| d.pid == death.pid) {
                continue;
            }
            if let Some(event) = later.account.events.all().iter().find(|e| e.of == Kind::Death { pid: death.pid }) {
                self.account.events.push(event.clone());
            }
            self.observer.roster.died(death);
            self.account.deaths.push(death.clone());
            if !matches!(death.cause, Cause::Exit(0)) {
                self.now.phase = RunPhase::EngineDied;
                self.now.eta_s = None;
            }
        }
        self.outlook.table.mark_killed(&self.account.deaths);
    }

    /// Adds an event of the program's own.
    pub fn note(&mut self, severity: Severity, id: &str, text: impl Into<String>) {
        self.push(Event::new(Kind::Program, severity, id, text));
    }

    /// Adds an event that happens now.
    pub fn push(&mut self, event: Event) {
        self.account.events.push(Event { t_ms: self.now.t_ms, ..event });
    }

    /// Whether the guard of a fleet's server allows this client less than its own does.
    pub fn fleet_bound(&mut self, binds: bool) {
        self.outlook.guard.fleet_bound(binds);
    }

    /// See [`Model::fleet_bound`].
    pub fn fleet_binds(&self) -> bool {
        self.outlook.guard.fleet_binds()
    }

    /// Whether the ramp is, or was last, stopped by the guard of a fleet's server.
    pub fn held_by_fleet(&self) -> bool {
        self.outlook.guard.held_by_fleet()
    }

    /// The next sample does not continue the last: time without data lies between.
    pub fn gap(&mut self) {
        self.outlook.history.gap();
        self.timeline.gap();
        self.account.run.gap();
    }

    /// The run is somebody else's, or over: leaving the screen ends nothing of it.
    pub fn disown(&mut self) {
        self.setup.own_engines = false;
    }

    /// What was known at the start.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The latest values.
    pub fn now(&self) -> &Now {
        &self.now
    }

    /// The watched processes.
    pub fn engines(&self) -> &[Engine] {
        self.observer.roster.engines()
    }

    /// The engine of a role, where one is watched.
    pub fn engine(&self, role: Role) -> Option<&Engine> {
        self.engines().iter().find(|e| e.role == Some(role))
    }

    /// What one connection costs.
    pub fn cost(&self) -> &Cost {
        self.learning.learnt().cost
    }

    /// Every limit, nearest first: hit, then by forecast count, then by share; unknown and not applicable last.
    pub fn limits(&self) -> &[Limit] {
        self.outlook.table.limits()
    }

    /// The limit that comes first, or was hit.
    pub fn nearest(&self) -> Option<&Limit> {
        self.outlook.table.nearest()
    }

    /// The use of a limit over the run in `columns` equal steps of time, and the most that any sample saw, own unit; empty
    /// before the second sample.
    pub fn limit_history(&self, limit: &Limit, columns: usize) -> (Vec<f64>, u64) {
        let track = self.outlook.table.track(limit.info.id, &limit.scope);
        track.map_or((Vec::new(), 0), |track| (track.columns(columns), track.most()))
    }

    /// The limit that an event is about.
    pub fn limit_of(&self, event: &Event) -> Option<&Limit> {
        let about = event.about.as_ref()?;
        Limit::row(self.limits(), about.id, about.scope.as_deref())
    }

    /// The watched program with all its processes, as far as they are known one by one.
    pub(crate) fn whole_program(&self) -> Option<ProcessLine> {
        let program = self.last.as_ref()?.kernel.program.as_ref()?;
        Some(self.observer.program.whole_line(program))
    }

    /// The watched program, where it is no engine.
    pub fn program(&self) -> Option<&ProcessLine> {
        self.program.as_ref()
    }

    /// Connections of one of its processes over the run, in `columns` equal steps of time; empty before the second sample.
    pub fn held_by(&self, pid: u32, columns: usize) -> Vec<f64> {
        self.observer.program.columns(pid, columns)
    }

    /// Real memory headroom.
    pub fn headroom(&self) -> Option<Headroom> {
        self.learning.learnt().headroom
    }

    /// The highest count a client may reach with every limit that would stop it used to 90 % (or what `--guard` says) at
    /// most; of memory and memory cgroups, with a tenth left of the headroom that was there at the start. Before a slope has
    /// been measured a connection is taken to cost more than expected. The bound holds between samples: a client
    /// that obeys it cannot overshoot. `None` where nothing can be read.
    pub fn guard_ceiling(&self) -> Option<u64> {
        self.outlook.guard.ceiling()
    }

    /// The limit that the guard's ceiling comes from.
    pub fn guard_limit(&self) -> Option<LimitId> {
        self.outlook.guard.by().map(|b| b.0)
    }

    /// The memory chart, as far as `range` says, or as is usual.
    pub fn chart(&self, x: XAxis, range: Option<Range>) -> Chart {
        let Some(sample) = &self.last else { return Chart::default() };
        let (outlook, learnt) = (&self.outlook, self.learning.learnt());
        let view = steps::view(sample, &self.now, &outlook.table, learnt, outlook.guard.share());
        outlook.history.chart(x, range, &view)
    }

    /// First and last moment of what is known over time, milliseconds since the dashboard started.
    pub fn timespan(&self) -> Option<(u64, u64)> {
        self.timeline.span()
    }

    /// A quantity in `columns` equal steps from one moment to another: the most within each; NaN where nothing is known.
    pub fn over_time(&self, quantity: Quantity, span_ms: (u64, u64), columns: usize) -> Vec<f64> {
        self.timeline.columns(quantity, span_ms, columns)
    }

    /// A quantity as it was at a moment.
    pub fn at(&self, quantity: Quantity, t_ms: u64) -> Option<f64> {
        self.timeline.at(quantity, t_ms)
    }

    /// How long everything has been held, milliseconds; `None` where it is not.
    pub fn held_ms(&self) -> Option<u64> {
        self.timeline.held_since().map(|since| self.now.t_ms.saturating_sub(since))
    }

    /// How memory has moved while everything is held; `None` before there is enough to tell.
    pub fn drift(&self) -> Option<Drift> {
        self.timeline.drift()
    }

    /// What happened.
    pub fn events(&self) -> &EventLog {
        &self.account.events
    }

    /// What happened, to take what is new or to add.
    pub fn events_mut(&mut self) -> &mut EventLog {
        &mut self.account.events
    }

    /// Watched processes that ended.
    pub fn deaths(&self) -> &[Death] {
        &self.account.deaths
    }

    /// Whether everything asked for has been open at every end that is known, and greeted where that was asked.
    pub fn reached(&self) -> bool {
        self.account.outcome.reached()
    }

    /// Whether more messages than may be left late, or not at all, for longer than a moment.
    pub fn late(&self) -> bool {
        self.account.outcome.late()
    }

    /// Why the run does not go on towards its target: the verdict, if it ended now.
    pub fn blocked(&self) -> Option<Verdict> {
        self.account.outcome.blocked()
    }

    /// The last sample.
    pub fn last_sample(&self) -> Option<&Sample> {
        self.last.as_deref()
    }

    /// The JSON line of the last sample.
    pub fn sample_line(&self) -> SampleLine {
        report::sample_line(self)
    }

    /// The limits that come next, nearest first, as they were while the run was on its way or held: for its summary.
    pub fn ahead(&self) -> &[Limit] {
        self.account.run.ahead()
    }

    /// What watching has cost so far.
    pub fn dashboard(&self) -> summary::Dashboard {
        self.account.run.dashboard()
    }

    /// What the run came to.
    pub fn summary(&self, verdict: Verdict) -> Summary {
        report::summary(self, &self.account.run, verdict)
    }
}
