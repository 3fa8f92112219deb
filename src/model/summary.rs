//! The lines of `--output json`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::cost::Basis;
use super::event::{About, Event, Proof, Severity};
use super::now::RunPhase;
use crate::limits::{Cure, LimitId, LimitState, Unit};
use crate::part::Part;
pub use crate::protocol::Latency;
use crate::protocol::{Role, Traffic};
use crate::sample::ListenerCensus;
use crate::units::grouped;

/// How a run ended. If several apply, the first in this order is the run's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// An engine died.
    EngineKilled,
    /// A watched process of others died.
    ProcessDied,
    /// An engine did not run (stopped, or without CPU) when the run ended.
    EngineSilent,
    /// A limit stopped the run.
    LimitHit,
    /// The guard stopped the ramp.
    GuardStopped,
    /// The server refuses connections, or accepts and closes them at once.
    ServerRefuses,
    /// The server takes no more connections, or answers no greetings, and no limit that can be seen explains it.
    ServerStalled,
    /// Too many messages left too late.
    Late,
    /// `--duration` was over before the target was reached.
    TimeUp,
    /// Of a fleet: a worker did not come before `--fleet-wait` was over, or was lost.
    WorkersMissing,
    /// Every connection asked for was open at both ends that are known, and greeted where that was asked.
    TargetReached,
    /// A server without a client of this run has served until it was ended.
    Served,
    /// A run or a process of others was watched until the end.
    Watched,
    /// The user ended it before the target.
    Interrupted,
}

impl Verdict {
    /// Its name in words: `target reached`.
    pub fn words(self) -> String {
        let name = serde_json::to_value(self).unwrap_or_default();
        name.as_str().unwrap_or_default().replace('_', " ")
    }

    /// Exit status of the program.
    pub fn status(self) -> u8 {
        match self {
            Verdict::EngineKilled | Verdict::ProcessDied | Verdict::EngineSilent => 4,
            Verdict::LimitHit
            | Verdict::GuardStopped
            | Verdict::ServerRefuses
            | Verdict::ServerStalled
            | Verdict::Late
            | Verdict::TimeUp
            | Verdict::WorkersMissing => 3,
            Verdict::TargetReached | Verdict::Served | Verdict::Watched | Verdict::Interrupted => 0,
        }
    }
}

/// A watched program that is no engine: a process, and those that descend from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessLine {
    /// The number of the process that was named.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Living processes of the program.
    #[serde(default)]
    pub processes: u64,
    /// Resident memory of all of them, bytes.
    pub rss_bytes: Option<u64>,
    /// Of it, files and shared memory, which several of them may have in common, bytes.
    pub shared_bytes: Option<u64>,
    /// CPU of all of them, percent of one core.
    pub cpu_percent: Option<f64>,
    /// Open descriptors of all of them.
    pub descriptors: Option<u64>,
    /// Connections it holds: established on its listeners less what waits to be accepted; of a program without listeners, its
    /// descriptors less those at rest. Null where neither is known.
    pub connections: Option<u64>,
    /// Waiting to be accepted.
    pub queued: Option<u64>,
    /// Closed by the peer and not by the program.
    pub close_wait: Option<u64>,
    /// How old the count is, milliseconds; `connections` follows the descriptors in between.
    pub age_ms: Option<u64>,
    /// Process by process: the named one, then those with the most descriptors; at most 1,024.
    #[serde(default)]
    pub members: Vec<MemberLine>,
    /// How many of `processes` are not among `members`.
    #[serde(default)]
    pub members_left_out: u64,
    /// Port by port.
    pub listeners: Vec<ListenerCensus>,
}

/// One process of a watched program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberLine {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Its part of the connections.
    pub connections: Option<u64>,
    /// Resident memory, bytes.
    pub rss_bytes: Option<u64>,
    /// CPU, percent of one core.
    pub cpu_percent: Option<f64>,
    /// Open descriptors.
    pub descriptors: Option<u64>,
    /// It has stopped listening, as after a reload, and serves what it holds until that is closed.
    #[serde(default)]
    pub draining: bool,
}

impl MemberLine {
    /// Its name, and what it is doing, for people.
    pub fn label(&self) -> String {
        if self.draining { format!("{} draining", self.name) } else { self.name.clone() }
    }
}

/// One line per interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename = "sample")]
pub struct SampleLine {
    /// Milliseconds since the dashboard started.
    pub t_ms: u64,
    /// What the run is doing.
    pub phase: RunPhase,
    /// Connections open.
    pub established: u64,
    /// Connections open at the server engine.
    pub accepted: Option<u64>,
    /// Connections aimed at.
    pub target: Option<u64>,
    /// Connects under way.
    pub in_flight: Option<u64>,
    /// Connections per second over the last output interval: opened less closed.
    pub rate_per_s: Option<f64>,
    /// Connections opened per second over the same interval; null without an engine.
    pub opened_per_s: Option<f64>,
    /// The same of those closed, whoever closed them.
    pub closed_per_s: Option<f64>,
    /// The same of calls that failed.
    pub failed_per_s: Option<f64>,
    /// Seconds to the target.
    pub eta_s: Option<f64>,
    /// The limit that comes first.
    pub nearest_limit: Option<NearestLimit>,
    /// Memory in use: capacity less real headroom, bytes.
    pub mem_used_bytes: Option<u64>,
    /// Real headroom, bytes.
    pub headroom_bytes: Option<u64>,
    /// TCP buffer memory, bytes.
    pub tcp_mem_bytes: Option<u64>,
    /// TCP sockets of the namespace.
    pub sockets: Option<u64>,
    /// Sockets in `TIME_WAIT`.
    pub time_wait: Option<u64>,
    /// Orphaned sockets.
    pub orphans: Option<u64>,
    /// Share of the last ten seconds in which some task of the machine waited for memory, percent.
    pub memory_pressure_percent: Option<f64>,
    /// TCP segments of the namespace sent again since the first sample.
    pub retransmits: Option<u64>,
    /// Failures so far.
    pub failures: u64,
    /// Connections that the other end or an error closed so far; null without an engine.
    pub lost: Option<u64>,
    /// Connects that the other end refused or reset so far; null without a client.
    pub refused: Option<u64>,
    /// How long the lost ones had been open, microseconds; null before the first.
    pub lifetime_us: Option<Latency>,
    /// Engines that have not been awake for two seconds: what comes from them is old.
    #[serde(default)]
    pub stale: Vec<Role>,
    /// The watched process; null where there are engines, or nothing is watched.
    pub process: Option<ProcessLine>,
    /// CPU of the dashboard, share of one core.
    pub own_cpu_share: Option<f64>,
    /// Resident memory of the dashboard, bytes.
    pub own_rss_bytes: u64,
    /// What taking this sample cost, microseconds.
    pub sample_us: u64,
}

/// The limit that comes first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NearestLimit {
    /// Its id.
    pub id: LimitId,
    /// Count at which it is reached; null when it has been hit and no forecast was possible.
    pub connections: Option<u64>,
    /// Half width of the uncertainty, connections.
    pub plus_minus: Option<u64>,
    /// Seconds until then; null while the count stands still.
    pub seconds: Option<f64>,
}

/// One line per event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename = "event")]
pub struct EventLine {
    /// Milliseconds since the dashboard started.
    pub t_ms: u64,
    /// How bad.
    pub severity: Severity,
    /// Stable id.
    pub id: String,
    /// One sentence.
    pub text: String,
    /// Times it happened.
    pub count: u64,
    /// The limit that it is about.
    pub about: Option<About>,
    /// What proves it.
    #[serde(default)]
    pub proof: Vec<Proof>,
    /// What helps, the best first.
    #[serde(default)]
    pub cure: Cure,
}

impl From<&Event> for EventLine {
    fn from(event: &Event) -> Self {
        Self {
            t_ms: event.t_ms,
            severity: event.severity,
            id: event.id.clone(),
            text: event.text.clone(),
            count: event.count,
            about: event.about.clone(),
            proof: event.proof.clone(),
            cure: event.cure.clone(),
        }
    }
}

/// The last line: what the run came to. The keys are the machine interface; docs/output.md lists them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename = "summary")]
pub struct Summary {
    /// How it ended.
    pub verdict: Verdict,
    /// Id of the limit that stopped it.
    pub stopped_by: Option<String>,
    /// Which part of a larger run it was; null where it was all of it.
    #[serde(default)]
    pub part: Option<Part>,
    /// What it was merged from; null where it is a run as it was.
    #[serde(default)]
    pub merged: Option<Merged>,
    /// Connections aimed at, by this part where it is one.
    pub target: Option<u64>,
    /// Peak of established connections, counted by the client engine; null without one.
    pub peak_established: Option<u64>,
    /// Peak of accepted connections, counted by the server engine; null without one.
    pub peak_accepted: Option<u64>,
    /// Seconds from the start of the ramp (without engines: of the watching) to the last sample.
    pub elapsed_s: f64,
    /// Seconds from the start of the ramp to the highest count.
    pub time_to_peak_s: Option<f64>,
    /// Highest count divided by the time to it.
    pub mean_rate_per_s: Option<f64>,
    /// CPU of both engines, user and system, during the ramp, per connection of the highest count, microseconds.
    pub cpu_us_per_connection: Option<f64>,
    /// Slopes, bytes per connection.
    pub bytes_per_connection: BytesPerConnection,
    /// Every limit, nearest first.
    pub limits: Vec<LimitLine>,
    /// What was predicted when.
    pub forecasts: Vec<ForecastLine>,
    /// Seconds that closing everything took; null when nothing was closed or not all.
    pub close_s: Option<f64>,
    /// Failures of both engines, every errno.
    pub failures: u64,
    /// Connections that the other end or an error closed; null without an engine.
    pub lost: Option<u64>,
    /// Connects that the other end refused or reset; null without a client.
    pub refused: Option<u64>,
    /// How long the lost ones had been open, microseconds; null where none was lost.
    pub lifetime_us: Option<Latency>,
    /// Connect times of the client, microseconds, with what they waited in its own queue.
    pub connect: Option<Latency>,
    /// Of these the network's part: from SYN to established, microseconds.
    pub handshake: Option<Latency>,
    /// Greetings echoed; null without `--greet`.
    pub greeted: Option<u64>,
    /// Messages since the target was reached; null without `--active`.
    pub traffic: Option<Traffic>,
    /// The watched process as last seen, `connections` at their highest.
    pub process: Option<ProcessLine>,
    /// What watching cost.
    pub dashboard: Dashboard,
    /// The file that the run was recorded into; null where it was not.
    #[serde(default)]
    pub recording: Option<String>,
    /// What became of each `--expect`.
    #[serde(default)]
    pub expectations: Vec<Expectation>,
}

/// Slopes, bytes per connection; null where there was too little to tell.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BytesPerConnection {
    /// What the machine lost per connection.
    pub total: Option<f64>,
    /// The fall of `MemFree` alone, which leaves the kernel's per-core free lists out.
    pub mem_free: Option<f64>,
    /// Of it, kernel memory.
    pub kernel: Option<f64>,
    /// Of it, resident memory of the server engine.
    pub server_user: Option<f64>,
    /// Of it, resident memory of the client engine.
    pub client_user: Option<f64>,
    /// Of it, resident memory of a watched program that is no engine.
    pub user: Option<f64>,
    /// What it was made from; null without a total.
    pub basis: Option<Basis>,
    /// By slab cache; empty where slabinfo cannot be read.
    pub slab: BTreeMap<String, f64>,
}

/// One limit at the end of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitLine {
    /// Its id.
    pub id: LimitId,
    /// What it belongs to.
    pub scope: String,
    /// What `used` and `limit` count.
    #[serde(default)]
    pub unit: Unit,
    /// Use.
    pub used: Option<u64>,
    /// Bound.
    pub limit: Option<u64>,
    /// How near.
    pub state: LimitState,
    /// Count at which it is reached.
    pub forecast_connections: Option<u64>,
    /// Half width of the uncertainty of that, connections.
    pub forecast_plus_minus: Option<u64>,
    /// Why it is unknown, not applicable, or was hit.
    pub reason: Option<String>,
}

/// What was predicted at one moment, to be compared with what came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForecastLine {
    /// Connections when it was predicted.
    pub at_connections: u64,
    /// Id of the limit.
    pub limit_id: LimitId,
    /// Count predicted for it.
    pub predicted_connections: u64,
}

/// What became of an expectation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// The expectation: `bytes_per_connection.total < 9000`.
    pub expect: String,
    /// The number that its key has; null where the run has none. Of a limit that several have, the first that fails.
    pub value: Option<f64>,
    /// Whether it holds. What is null never does.
    pub holds: bool,
}

/// What a merged run is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Merged {
    /// Every recording in it: servers first, then by the number of the part.
    pub parts: Vec<PartLine>,
    /// What is missing, was left out or does not fit, a sentence each; empty where the parts are the whole run.
    pub remarks: Vec<String>,
}

/// One part of a merged run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartLine {
    /// What its limits and events begin with: `client 3`, `server`.
    pub name: String,
    /// Which part it was; null of a run that was all of its role.
    pub part: Option<Part>,
    /// Its recording.
    pub file: String,
    /// Its machine.
    pub host: Option<String>,
    /// How it ended; as far as was recorded where it was cut short.
    pub verdict: Verdict,
    /// Id of the limit that stopped it.
    pub stopped_by: Option<String>,
    /// Its recording ends before the run did.
    pub cut_short: bool,
    /// Its share of the target.
    pub target: Option<u64>,
    /// Most connections that it held at once.
    pub peak: u64,
    /// When it began, milliseconds after the first part did.
    pub starts_ms: u64,
    /// When its recording ends, milliseconds after the first part began.
    pub ends_ms: u64,
    /// Connections that the other end or an error closed.
    pub lost: Option<u64>,
    /// Calls that failed.
    pub failures: u64,
    /// Connect times of its client, microseconds.
    pub connect: Option<Latency>,
}

/// `2,857 of 2,858 connections on web-1, target reached, cut short`.
impl fmt::Display for PartLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", grouped(self.peak))?;
        if let Some(target) = self.target.filter(|target| *target > 0) {
            write!(f, " of {}", grouped(target))?;
        }
        f.write_str(" connections")?;
        if let Some(host) = &self.host {
            write!(f, " on {host}")?;
        }
        write!(f, ", {}", self.verdict.words())?;
        if let Some(limit) = &self.stopped_by {
            write!(f, " ({limit})")?;
        }
        f.write_str(if self.cut_short { ", its recording cut short" } else { "" })
    }
}

/// What watching cost.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Dashboard {
    /// User plus system time of the dashboard, seconds.
    pub cpu_s: f64,
    /// Its resident memory, bytes.
    pub rss_bytes: u64,
    /// Median cost of a sample, microseconds.
    pub sample_us_p50: u64,
    /// Dearest sample, microseconds.
    pub sample_us_max: u64,
    /// Samples taken.
    pub samples: u64,
    /// Samples that came more than half an interval late.
    pub late_samples: u64,
}
