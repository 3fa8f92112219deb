//! Derives everything shown from a row of [`Sample`]s. Pure: no I/O, no clock, no thread, so that a recording drives it
//! as well as a live run.

pub mod chart;
pub mod cost;
pub mod engine;
pub mod event;
pub mod guard;
pub mod headroom;
pub mod limit;
pub mod now;
pub mod slope;
pub mod summary;
#[doc(hidden)]
pub mod synthetic;

pub use chart::{Chart, XAxis};
pub use cost::{Cost, Slope};
pub use engine::{Cause, Death, Engine};
pub use event::{Event, EventLog, Severity};
pub use guard::safe_target;
pub use headroom::Headroom;
pub use limit::{Forecast, Limit, LimitInfo, LimitState, Unit};
pub use now::{CountSource, Now, RunPhase};
pub use summary::{EventLine, SampleLine, Summary, Verdict};

use crate::probe::sample::Sample;

/// What is known of the run before its first sample.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Setup {
    /// Connections aimed at; `None` when only watching.
    pub target: Option<u64>,
    /// Where the target came from when the program chose it: one sentence.
    pub target_note: Option<String>,
    /// Endpoint for the header: `127.0.0.1:9900-9999`.
    pub endpoint: Option<String>,
    /// What the server listens on, for people; `None` without a server.
    pub listen: Option<String>,
    /// Whether the guard is on.
    pub guard: bool,
    /// Interval of samples, milliseconds.
    pub interval_ms: u64,
}

/// Everything derived so far.
#[derive(Debug, Clone, Default)]
pub struct Model {
    setup: Setup,
    now: Now,
    engines: Vec<Engine>,
    cost: Cost,
    limits: Vec<Limit>,
    headroom: Option<Headroom>,
    events: EventLog,
    deaths: Vec<Death>,
    last: Option<Sample>,
}

impl Model {
    /// A model before its first sample.
    pub fn new(setup: Setup) -> Self {
        Self { now: Now { target: setup.target, ..Now::default() }, setup, ..Self::default() }
    }

    /// Takes the next sample.
    pub fn update(&mut self, sample: &Sample) {
        self.last = Some(sample.clone());
    }

    /// Notes that a watched process ended, with its status as `wait` saw it. Call it after a sample taken once the
    /// process was gone, so that the counters of a kill are in: an OOM kill is told from another `SIGKILL` by them.
    pub fn note_death(&mut self, role_or_name: &str, pid: u32, status: Cause) {
        let death = Death {
            role_or_name: role_or_name.to_owned(),
            pid,
            cause: status,
            at_connections: self.now.connections,
            t_ms: self.now.t_ms,
        };
        self.deaths.push(death);
    }

    /// Adds an event of the program's own.
    pub fn note(&mut self, severity: Severity, id: &str, text: impl Into<String>) {
        self.events.push(Event { t_ms: self.now.t_ms, severity, id: id.to_owned(), text: text.into(), count: 1 });
    }

    /// Changes the target, with a sentence when the program chose it.
    pub fn set_target(&mut self, target: u64, note: Option<String>) {
        self.setup.target = Some(target);
        self.setup.target_note = note;
        self.now.target = Some(target);
    }

    /// The next sample does not continue the last: time without data lies between.
    pub fn gap(&mut self) {}

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
        &self.engines
    }

    /// What one connection costs.
    pub fn cost(&self) -> &Cost {
        &self.cost
    }

    /// Every limit, nearest first: hit, then by forecast count, then by share; unknown and not applicable last.
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// The limit that comes first, or was hit.
    pub fn nearest(&self) -> Option<&Limit> {
        self.limits.first().filter(|l| l.state == LimitState::Hit || l.forecast.connections().is_some())
    }

    /// Real memory headroom.
    pub fn headroom(&self) -> Option<Headroom> {
        self.headroom
    }

    /// The highest count a client may reach without real headroom falling under a tenth of what it was at the start.
    pub fn guard_ceiling(&self) -> Option<u64> {
        None
    }

    /// The memory chart.
    pub fn chart(&self, x: XAxis) -> Chart {
        Chart { x, ..Chart::default() }
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
        let n = &self.now;
        SampleLine {
            kind: summary::SampleKind::Sample,
            t_ms: n.t_ms,
            phase: n.phase,
            established: n.connections,
            accepted: n.accepted,
            target: n.target,
            in_flight: n.in_flight,
            rate_per_s: n.rate_per_s,
            eta_s: n.eta_s,
            nearest_limit: None,
            mem_used_bytes: None,
            headroom_bytes: None,
            tcp_mem_bytes: n.tcp_mem_bytes,
            sockets: n.sockets,
            time_wait: n.time_wait,
            orphans: n.orphans,
            failures: n.failures,
            own_cpu_share: n.own_cpu_share,
            own_rss_bytes: n.own_rss_bytes,
            sample_us: n.sample_us,
        }
    }

    /// What the run came to.
    pub fn summary(&self, verdict: Verdict) -> Summary {
        Summary {
            kind: summary::SummaryKind::Summary,
            verdict,
            stopped_by: None,
            target: self.setup.target,
            peak_established: None,
            peak_accepted: None,
            elapsed_s: 0.0,
            time_to_peak_s: None,
            mean_rate_per_s: None,
            cpu_us_per_connection: None,
            bytes_per_connection: summary::BytesPerConnection::default(),
            limits: Vec::new(),
            forecasts: Vec::new(),
            dashboard: summary::Dashboard::default(),
        }
    }
}
