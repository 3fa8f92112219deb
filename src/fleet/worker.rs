//! What a worker says of itself once a second: small, whole, and true for the moment that it names.

use serde::{Deserialize, Serialize};

use crate::limits::{Forecast, Headroom, LimitId, LimitState};
use crate::model::{Model, RunPhase, Severity, Verdict};
use crate::part::Part;
use crate::protocol::{Latency, Role};

/// Most events of a worker that it publishes: the newest of those that are worse than news.
const EVENTS: usize = 4;

/// Most characters of an event's sentence.
const SENTENCE: usize = 300;

/// What a worker is for in the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerRole {
    /// It accepts: an engine of its own.
    Server,
    /// It watches a server of others (`--attach`), which the fleet's clients connect to.
    Attach,
    /// It connects.
    #[default]
    Client,
    /// Both ends: a run by itself, seen beside the others.
    Both,
}

impl WorkerRole {
    /// The word on the screen and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            WorkerRole::Server => "server",
            WorkerRole::Attach => "attach",
            WorkerRole::Client => "client",
            WorkerRole::Both => "both",
        }
    }

    /// Whether its connections are opened by it, and so are the fleet's.
    pub fn connects(self) -> bool {
        matches!(self, WorkerRole::Client | WorkerRole::Both)
    }

    /// Whether it connects to the fleet's servers: their guards hold it, and they end with it.
    pub fn is_held(self) -> bool {
        self == WorkerRole::Client
    }

    /// Whether it is the end that all clients connect to.
    pub fn serves(self) -> bool {
        matches!(self, WorkerRole::Server | WorkerRole::Attach)
    }
}

/// Who a worker is. It does not change while the run lasts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Identity {
    /// A random name, new with every start of the program.
    pub id: String,
    /// Its host.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// What it is for.
    pub role: WorkerRole,
    /// Its part, where the run is divided.
    #[serde(default)]
    pub part: Option<Part>,
    /// The version of its program.
    pub version: String,
    /// What it listens on, connects to or watches: `10.0.0.5:9900-9999`, `nginx`.
    #[serde(default)]
    pub what: String,
    /// Workers that it was told to expect, itself included; `None`: it waited for nobody.
    #[serde(default)]
    pub expects: Option<u32>,
}

impl Identity {
    /// What people call it: `part 2/5 on web3`, `server on web1`.
    pub fn name(&self) -> String {
        let what = match self.part {
            Some(part) => format!("part {}/{}", part.number, part.of),
            None => self.role.name().to_owned(),
        };
        format!("{what} on {}", self.host)
    }
}

/// Where a worker is in the fleet's run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It has come, and its engine is not up yet.
    #[default]
    Joining,
    /// Ready, and waiting until all others are.
    Waiting,
    /// Started.
    Running,
    /// Its run is over, and [`WorkerState::verdict`] is how it ended.
    Left,
}

/// How a worker's monotonic clock relates to the store's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClockReading {
    /// Half of the shortest round trip to the store: the store's time is known to this, microseconds.
    pub error_us: u64,
    /// By how much the host's wall clock is ahead of the store's, microseconds; negative where it is behind. Nothing is timed by the
    /// wall clock: it only explains why times in logs differ.
    pub wall_ahead_us: i64,
}

/// CPU of what holds the connections.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct CpuUse {
    /// Cores' worth used.
    pub cores_used: f64,
    /// Cores there are.
    pub cores: u32,
}

/// The limit that comes first for a worker, or was hit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerLimit {
    /// Which.
    pub id: LimitId,
    /// What people call it, and whose it is: `server: open files`.
    pub name: String,
    /// How near.
    pub state: LimitState,
    /// Use as a share of the bound.
    pub share: Option<f64>,
    /// The worker's connections at which it is reached.
    pub connections: Option<u64>,
    /// Seconds until then at the present rate.
    pub seconds: Option<f64>,
}

/// Something that happened at a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerEvent {
    /// When, by the store's clock, microseconds since the Unix epoch.
    pub at_us: u64,
    /// How bad.
    pub severity: Severity,
    /// Stable id.
    pub id: String,
    /// One sentence.
    pub text: String,
    /// Times it happened.
    pub count: u64,
}

/// What the server's guard asks of the fleet, as the client that obeys it sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Held {
    /// The most connections that this client may hold now.
    pub allowed: u64,
    /// That keeps it from its target at this moment.
    pub holds: bool,
    /// From the server's sample until this client obeyed it, the worst of late, microseconds.
    pub late_us: u64,
    /// How old what the server said is, milliseconds.
    pub age_ms: u64,
}

/// What the end that serves knows that no client does.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ServerSide {
    /// Resident memory of the server, all its processes, bytes.
    pub rss_bytes: Option<u64>,
    /// Memory of its machine in use, bytes.
    pub mem_used_bytes: Option<u64>,
    /// Memory of its machine that is left, bytes.
    pub headroom_bytes: Option<u64>,
    /// What a connection costs there, bytes.
    pub bytes_per_connection: Option<f64>,
    /// The most connections that its guard allows.
    pub ceiling: Option<u64>,
    /// The limit that this comes from.
    pub ceiling_by: Option<LimitId>,
}

/// What a worker publishes, once a second and with every change of its phase. Counts are of its own connections.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WorkerState {
    /// Who.
    pub who: Identity,
    /// When this was published, by the store's clock, microseconds since the Unix epoch.
    pub at_us: u64,
    /// How old the figures were then, milliseconds: more than a second only with a long `--interval`.
    #[serde(default)]
    pub figures_age_ms: u64,
    /// Where it is in the fleet's run.
    pub stage: Stage,
    /// What it is doing.
    pub phase: RunPhase,
    /// Connections open.
    pub connections: u64,
    /// Most that were open at once.
    pub peak: u64,
    /// Connections aimed at.
    pub target: Option<u64>,
    /// Connections that it was started for: its share of what a command asks of all, whatever target it was given since.
    #[serde(default)]
    pub started_for: Option<u64>,
    /// Connections per second, opened less closed.
    pub rate_per_s: Option<f64>,
    /// Connections per second that it is held to; `None`: as fast as it goes.
    #[serde(default)]
    pub rate_limit: Option<u64>,
    /// Calls that failed.
    pub failures: u64,
    /// Connections that the other end or an error closed.
    pub lost: Option<u64>,
    /// CPU of its engine, or of the server that it watches.
    pub cpu: Option<CpuUse>,
    /// The limit that comes first.
    pub nearest: Option<WorkerLimit>,
    /// Why it does not go on towards its target.
    pub blocked: Option<Verdict>,
    /// An engine that has not been awake for two seconds, or has ended.
    #[serde(default)]
    pub engine_silent: bool,
    /// Messages echoed, from when each was due.
    #[serde(default)]
    pub echo: Option<Latency>,
    /// The fleet's guard; `None` where no server publishes one.
    #[serde(default)]
    pub held: Option<Held>,
    /// It is a server's guard, and not its own, that stops its ramp or last did.
    #[serde(default)]
    pub stopped_by_server: bool,
    /// What a server knows.
    #[serde(default)]
    pub server: Option<ServerSide>,
    /// When its ramp was let go, by the store's clock, microseconds since the Unix epoch.
    #[serde(default)]
    pub started_us: Option<u64>,
    /// Its clock.
    #[serde(default)]
    pub clock: ClockReading,
    /// The newest warnings.
    #[serde(default)]
    pub events: Vec<WorkerEvent>,
    /// Number of the feed of its own run, while somebody looks at that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<u64>,
    /// How its run ended, once it has.
    #[serde(default)]
    pub verdict: Option<Verdict>,
}

impl WorkerState {
    /// Whether a server's guard keeps it from its target now.
    pub fn is_held_back(&self) -> bool {
        let guarded = self.phase == RunPhase::Guarded && self.stopped_by_server;
        guarded || self.held.is_some_and(|held| held.holds)
    }

    /// What a model says, for the worker `who`, `at_us` by the store's clock; what the fleet knows of it is added when it is
    /// published.
    pub fn of(model: &Model, who: &Identity, at_us: u64) -> Self {
        let now = model.now();
        let own = if who.role.connects() { Role::Client } else { Role::Server };
        let engine = model.engine(own);
        let stats = engine.and_then(|e| e.stats.as_ref());
        let program = model.program();
        let used = program.map_or_else(
            || engine.and_then(|e| e.cpu_share),
            |program| program.cpu_percent.map(|percent| percent / 100.0),
        );
        let cores = model.setup().machine.cores.and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
        // An event's time is since the dashboard started, as the sample's is.
        let when = |t_ms: u64| at_us.saturating_sub(now.t_ms.saturating_sub(t_ms) * 1000);
        let worse = model.events().all().iter().rev().filter(|e| e.severity > Severity::Info);
        let events = worse.take(EVENTS).map(|e| WorkerEvent {
            at_us: when(e.t_ms),
            severity: e.severity,
            id: e.id.clone(),
            text: e.text.chars().take(SENTENCE).collect(),
            count: e.count,
        });
        Self {
            who: who.clone(),
            at_us,
            phase: now.phase,
            connections: now.connections,
            peak: stats.map_or(now.connections, |stats| stats.peak),
            target: now.target.filter(|_| who.role.connects()),
            started_for: model.setup().target.filter(|_| who.role.connects()),
            rate_per_s: now.rate_per_s,
            rate_limit: stats.and_then(|stats| stats.rate_limit),
            failures: now.failures,
            lost: now.lost,
            cpu: used.map(|cores_used| CpuUse { cores_used, cores }),
            nearest: model.nearest().map(|limit| WorkerLimit {
                id: limit.info.id,
                name: limit.name(),
                state: limit.state,
                share: limit.share(),
                connections: limit.forecast.connections(),
                seconds: match limit.forecast {
                    Forecast::At { seconds, .. } => seconds,
                    _ => None,
                },
            }),
            blocked: model.blocked(),
            engine_silent: !now.stale.is_empty(),
            echo: stats.and_then(|stats| stats.traffic).map(|traffic| traffic.echo).filter(|echo| echo.count > 0),
            stopped_by_server: model.held_by_fleet(),
            server: who.role.serves().then(|| ServerSide::of(model)),
            events: events.collect(),
            ..Self::default()
        }
    }
}

impl ServerSide {
    fn of(model: &Model) -> Self {
        let headroom = model.headroom();
        let rss = model.engine(Role::Server).and_then(|e| e.rss_bytes.as_ref().ok().copied());
        Self {
            rss_bytes: model.program().map_or(rss, |program| program.rss_bytes),
            mem_used_bytes: headroom.map(Headroom::used_bytes),
            headroom_bytes: headroom.map(|h| h.bytes),
            bytes_per_connection: model.cost().total.map(|slope| slope.per_connection),
            ceiling: model.guard_ceiling(),
            ceiling_by: model.guard_limit(),
        }
    }
}
