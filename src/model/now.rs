//! What holds at the moment of the last sample.

use serde::{Deserialize, Serialize};

use crate::protocol::Phase;

/// Where the count of connections comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CountSource {
    /// `open` of the client engine.
    Client,
    /// `open` of the server engine.
    Server,
    /// `CurrEstab` of the namespace (RFC 4022: ESTABLISHED and CLOSE-WAIT): a connection with both ends in the
    /// namespace counts twice.
    #[default]
    Namespace,
}

/// The run as a whole in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunPhase {
    /// No engine: only watching.
    #[default]
    Watching,
    /// Engines are starting.
    Starting,
    /// Connections are being opened (or accepted, with a server alone).
    Ramping,
    /// Paused by the user.
    Paused,
    /// Held back by the guard.
    Guarded,
    /// At the target.
    Holding,
    /// Closing.
    Closing,
    /// All closed.
    Closed,
    /// The client cannot open more.
    Stopped,
    /// An engine has died.
    EngineDied,
}

impl RunPhase {
    /// The word in the header.
    pub fn word(self) -> &'static str {
        match self {
            RunPhase::Watching => "WATCHING",
            RunPhase::Starting => "STARTING",
            RunPhase::Ramping => "RAMPING",
            RunPhase::Paused => "PAUSED",
            RunPhase::Guarded => "GUARDED",
            RunPhase::Holding => "HOLDING",
            RunPhase::Closing => "CLOSING",
            RunPhase::Closed => "CLOSED",
            RunPhase::Stopped => "STOPPED",
            RunPhase::EngineDied => "ENGINE DIED",
        }
    }
}

impl From<Phase> for RunPhase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Starting => RunPhase::Starting,
            Phase::Ramping => RunPhase::Ramping,
            Phase::Paused => RunPhase::Paused,
            Phase::Guarded => RunPhase::Guarded,
            Phase::Holding => RunPhase::Holding,
            Phase::Closing => RunPhase::Closing,
            Phase::Closed => RunPhase::Closed,
            Phase::Stopped => RunPhase::Stopped,
        }
    }
}

/// The latest derived values. `None` is "cannot be known", never 0.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Now {
    /// Time of the sample, milliseconds since the dashboard started.
    pub t_ms: u64,
    /// What the run is doing.
    pub phase: RunPhase,
    /// Where `connections` comes from.
    pub source: CountSource,
    /// Connections open.
    pub connections: u64,
    /// Connections aimed at.
    pub target: Option<u64>,
    /// Connections per second over the last three seconds or so, by the engine's own clock; negative while closing.
    pub rate_per_s: Option<f64>,
    /// Seconds to the target at this rate; `None` when not ramping.
    pub eta_s: Option<f64>,
    /// Connections open at the server engine.
    pub accepted: Option<u64>,
    /// Connects under way at the client engine.
    pub in_flight: Option<u64>,
    /// Failures of both engines, every errno.
    pub failures: u64,
    /// TCP sockets of the namespace, IPv4 and IPv6 (`inuse` of sockstat and sockstat6).
    pub sockets: Option<u64>,
    /// Sockets in `TIME_WAIT`.
    pub time_wait: Option<u64>,
    /// Orphaned sockets, host-wide.
    pub orphans: Option<u64>,
    /// TCP buffer memory, bytes, host-wide.
    pub tcp_mem_bytes: Option<u64>,
    /// CPU of the dashboard, share of one core.
    pub own_cpu_share: Option<f64>,
    /// Resident memory of the dashboard, bytes.
    pub own_rss_bytes: u64,
    /// What taking this sample cost, microseconds.
    pub sample_us: u64,
}
