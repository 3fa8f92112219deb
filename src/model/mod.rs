//! Derives everything shown from a row of [`Sample`]s. Pure: no I/O, no clock, no thread, so that a recording drives it
//! as well as a live run.

mod bridge;
pub mod chart;
pub mod cost;
mod death;
mod diagnosis;
pub mod engine;
pub mod event;
mod failures;
pub mod guard;
mod history;
mod kernel_log;
pub mod now;
mod rate;
mod report;
mod run;
mod series;
pub mod slope;
pub mod summary;
#[doc(hidden)]
pub mod synthetic;
mod table;
mod track;

pub use crate::limits::{Forecast, Headroom, Limit, LimitState, Unit};
pub use chart::{Chart, XAxis};
pub use cost::{Cost, Slope};
pub use engine::{Cause, Death, Engine};
pub use event::{About, Event, EventLog, Kind, Severity};
pub use guard::safe_target;
pub use now::{CountSource, Now, RunPhase};
pub use summary::{EventLine, SampleLine, Summary, Verdict};

use crate::protocol::Role;
use crate::sample::{Machine, Sample};

use bridge::Bridge;
use cost::CostTrends;
use death::Witness;
use diagnosis::{Diagnosis, Facts};
use engine::Roster;
use failures::Failures;
use guard::Guard;
use history::{History, View};
use kernel_log::KernelLog;
use now::Pace;
use run::RunLog;
use table::{LimitTable, Seen};

use crate::limits::{Context, Counters, LimitId, Noted, Oom, behind};

/// A cure makes a limit so many times as large as the target needs, and the guard's share on top: the next run may have a
/// guard though this one has none. The forecast may be off by some percent, and memory is told of from nine tenths on.
const SPARE: f64 = 1.1;

/// What is known of the run before its first sample.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Setup {
    /// Connections aimed at; `None` when only watching.
    pub target: Option<u64>,
    /// Where the target came from when the program chose it: one sentence.
    pub target_note: Option<String>,
    /// The machine that is watched, for the header.
    pub machine: Machine,
    /// Endpoint for the header: `127.0.0.1:9900-9999`.
    pub endpoint: Option<String>,
    /// What the server listens on, for people; `None` without a server.
    pub listen: Option<String>,
    /// Whether the guard is on.
    pub guard: bool,
    /// Share of a limit up to which the guard lets the ramp go, in thousandths; `None` is 900.
    pub guard_per_mille: Option<u32>,
    /// Interval of samples, milliseconds.
    pub interval_ms: u64,
}

/// Everything derived so far.
#[derive(Debug, Clone, Default)]
pub struct Model {
    setup: Setup,
    now: Now,
    bridge: Bridge,
    pace: Pace,
    roster: Roster,
    trends: CostTrends,
    cost: Cost,
    counters: Counters,
    failures: Failures,
    log: KernelLog,
    table: LimitTable,
    headroom: Option<Headroom>,
    guard: Guard,
    history: History,
    diagnosis: Diagnosis,
    witness: Witness,
    run: RunLog,
    events: EventLog,
    deaths: Vec<Death>,
    noted: Noted,
    last: Option<Sample>,
}

impl Model {
    /// A model before its first sample.
    pub fn new(setup: Setup) -> Self {
        let guard = Guard::new(setup.guard_per_mille);
        let mut model = Self { now: Now { target: setup.target, ..Now::default() }, setup, guard, ..Self::default() };
        if let Some(note) = model.setup.target_note.clone() {
            model.note(Severity::Info, "target", note);
        }
        model
    }

    /// Takes the next sample.
    pub fn update(&mut self, sample: &Sample) {
        let raw = sample;
        let (sample, old) = self.bridge.fill(raw);
        let sample = &*sample;
        let old = old || now::engine_dies(sample);
        let source = self.now.source;
        self.now = self.pace.now(sample, self.setup.target);
        let engine_died = self.now.phase == RunPhase::EngineDied;
        if self.now.source != source && self.last.is_some() && !engine_died {
            // Counts of another source are of other connections: what grew with those says nothing of these.
            self.trends = CostTrends::default();
            self.table.restart();
            self.history.restart();
            self.run.restart();
        }
        self.roster.update(sample);
        self.counters.update(sample);
        self.failures.update(sample);
        self.log.update(sample);
        self.headroom = Headroom::of(&sample.kernel, self.headroom);
        if !engine_died && !old {
            // What the kernel frees behind a dead engine says nothing of a connection's cost.
            self.trends.update(sample, self.now.connections);
            self.cost = self.trends.cost(sample);
        }
        self.noted.update(sample);
        let context = Context {
            sample,
            headroom: self.headroom,
            counters: &self.counters,
            both_ends: self.cost.both_ends,
            noted: &self.noted,
        };
        let seen =
            Seen { failures: self.failures.risen(), deaths: &self.deaths, old, spare: SPARE / self.guard.share() };
        self.table.update(&context, &self.now, seen);
        if !engine_died {
            self.guard.update(&self.now, self.table.guard_inputs());
        }
        let view = Self::view(&self.now, &self.table, self.headroom, &self.cost);
        self.history.update(sample, &view);
        let facts = Facts {
            sample,
            now: &self.now,
            limits: self.table.limits(),
            failures: self.failures.risen(),
            counters: &self.counters,
            log: &self.log,
            guard: &self.guard,
        };
        self.diagnosis.update(&facts, &mut self.events);
        self.run.update(sample, &self.now, self.table.limits(), self.setup.interval_ms);
        self.witness.update(sample, &self.now);
        self.last = Some(raw.clone());
    }

    /// Notes that a watched process ended, with its status as `wait` saw it. Call it after a sample taken once the
    /// process was gone, so that the counters of a kill are in: an OOM kill is told from another `SIGKILL` by them.
    pub fn note_death(&mut self, role_or_name: &str, pid: u32, status: Cause) {
        if self.deaths.iter().any(|d| d.pid == pid) {
            return;
        }
        let (death, text) = self.witness.judge(role_or_name, pid, status, self.last.as_ref(), &self.now, &self.log);
        let severity = match death.cause {
            Cause::Exit(0) => Severity::Info,
            Cause::Vanished if !matches!(role_or_name, "server" | "client") => Severity::Warning,
            _ => Severity::Critical,
        };
        self.roster.died(&death);
        let met = self.limits().iter().find(|l| death.met(l)).cloned();
        let cure = met.as_ref().map_or(String::new(), |l| l.cure.advice());
        let id = format!("death/{role_or_name}/{pid}");
        let event = Event::new(Kind::Death { pid }, severity, id, text + &cure)
            .proved("connections", death.at_connections)
            .logged(self.log.kill_line(pid));
        self.deaths.push(death);
        self.table.mark_killed(&self.deaths);
        self.push(event.of_limit(met.as_ref()));
    }

    /// Takes over the deaths that `later` knows of, so that a model kept from before them shows the last state with what
    /// ended it.
    pub fn adopt_deaths(&mut self, later: &Model) {
        for death in &later.deaths {
            if self.deaths.iter().any(|d| d.pid == death.pid) {
                continue;
            }
            if let Some(event) = later.events.all().iter().find(|e| e.of == Kind::Death { pid: death.pid }) {
                self.events.push(event.clone());
            }
            self.roster.died(death);
            self.deaths.push(death.clone());
            if !matches!(death.cause, Cause::Exit(0)) {
                self.now.phase = RunPhase::EngineDied;
                self.now.eta_s = None;
            }
        }
        self.table.mark_killed(&self.deaths);
    }

    /// Adds an event of the program's own.
    pub fn note(&mut self, severity: Severity, id: &str, text: impl Into<String>) {
        self.push(Event::new(Kind::Program, severity, id, text));
    }

    /// Adds an event that happens now.
    pub fn push(&mut self, event: Event) {
        self.events.push(Event { t_ms: self.now.t_ms, ..event });
    }

    /// Changes the target, with a sentence when the program chose it.
    pub fn set_target(&mut self, target: u64, note: Option<String>) {
        self.setup.target = Some(target);
        self.setup.target_note = note;
        self.now.target = Some(target);
    }

    /// The next sample does not continue the last: time without data lies between.
    pub fn gap(&mut self) {
        self.history.gap();
        self.run.gap();
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
        self.roster.engines()
    }

    /// The engine of a role, where one is watched.
    pub fn engine(&self, role: Role) -> Option<&Engine> {
        self.engines().iter().find(|e| e.role == Some(role))
    }

    /// What one connection costs.
    pub fn cost(&self) -> &Cost {
        &self.cost
    }

    /// Every limit, nearest first: hit, then by forecast count, then by share; unknown and not applicable last.
    pub fn limits(&self) -> &[Limit] {
        self.table.limits()
    }

    /// The limit that comes first, or was hit.
    pub fn nearest(&self) -> Option<&Limit> {
        self.table.nearest()
    }

    /// The use of a limit over the run in `columns` equal steps of time, and the most that any sample saw, own unit; empty
    /// before the second sample.
    pub fn limit_history(&self, limit: &Limit, columns: usize) -> (Vec<f64>, u64) {
        let track = self.table.track(limit.info.id, &limit.scope);
        track.map_or((Vec::new(), 0), |track| (track.columns(columns), track.most()))
    }

    /// The limit that an event is about.
    pub fn limit_of(&self, event: &Event) -> Option<&Limit> {
        let about = event.about.as_ref()?;
        let mut rows = self.limits().iter().filter(|l| l.info.id == about.id);
        rows.clone().find(|l| Some(&l.scope) == about.scope.as_ref()).or_else(|| rows.next())
    }

    /// Real memory headroom.
    pub fn headroom(&self) -> Option<Headroom> {
        self.headroom
    }

    /// The highest count a client may reach with every limit that would stop it used to 90 % (or what `--guard` says) at
    /// most; of memory and memory cgroups, with a tenth left of the headroom that was there at the start. Before a slope has
    /// been measured a connection is taken to cost more than expected. The bound holds between samples: a client
    /// that obeys it cannot overshoot. `None` where nothing can be read.
    pub fn guard_ceiling(&self) -> Option<u64> {
        self.guard.ceiling()
    }

    /// The limit that the guard's ceiling comes from.
    pub fn guard_limit(&self) -> Option<LimitId> {
        self.guard.by().map(|b| b.0)
    }

    /// The memory chart.
    pub fn chart(&self, x: XAxis) -> Chart {
        self.history.chart(x, &Self::view(&self.now, &self.table, self.headroom, &self.cost))
    }

    /// What happened.
    pub fn events(&self) -> &EventLog {
        &self.events
    }

    /// What happened, to take what is new or to add.
    pub fn events_mut(&mut self) -> &mut EventLog {
        &mut self.events
    }

    /// Watched processes that ended.
    pub fn deaths(&self) -> &[Death] {
        &self.deaths
    }

    /// The last sample.
    pub fn last_sample(&self) -> Option<&Sample> {
        self.last.as_ref()
    }

    /// The JSON line of the last sample.
    pub fn sample_line(&self) -> SampleLine {
        report::sample_line(self)
    }

    /// What the run came to.
    pub fn summary(&self, verdict: Verdict) -> Summary {
        report::summary(self, &self.run, verdict)
    }

    fn view<'a>(now: &'a Now, table: &'a LimitTable, headroom: Option<Headroom>, cost: &Cost) -> View<'a> {
        let group = table.limits().iter().find(|l| l.info.oom == Some(Oom::Cgroup));
        View {
            now,
            limits: table.limits(),
            headroom,
            total: cost.total,
            charged: group.and_then(|g| table.slope(behind(Oom::Cgroup), &g.scope)),
            both_ends: cost.both_ends,
        }
    }
}
