//! The watched processes, as the engines view shows them, and how they ended.

use crate::protocol::{ErrorCount, Latency, Phase, Role, Stop, Traffic};

/// A watched process: an engine, or a foreign process.
#[derive(Debug, Clone, PartialEq)]
pub struct Engine {
    /// `server`, `client`, or the `comm` of a foreign process.
    pub name: String,
    /// Which end; `None` for a foreign process.
    pub role: Option<Role>,
    /// Process id.
    pub pid: u32,
    /// False once it has ended.
    pub alive: bool,
    /// What it is doing (engines).
    pub phase: Option<Phase>,
    /// Connections open (engines).
    pub open: Option<u64>,
    /// Most connections that were open at once (engines).
    pub peak: Option<u64>,
    /// Connections ever opened (engines).
    pub opened: Option<u64>,
    /// Connections closed without being asked for here (engines).
    pub lost: Option<u64>,
    /// Connects under way (client).
    pub in_flight: Option<u64>,
    /// Greetings echoed (engines).
    pub greeted: Option<u64>,
    /// Resident memory, bytes.
    pub rss_bytes: Option<u64>,
    /// CPU, share of one core.
    pub cpu_share: Option<f64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Open descriptors: all tables of an engine, the main table of a foreign process.
    pub descriptors: Option<u64>,
    /// Soft `RLIMIT_NOFILE`: what one table may hold.
    pub table_limit: Option<u64>,
    /// Hard `RLIMIT_NOFILE`.
    pub hard_limit: Option<u64>,
    /// Descriptor tables in use (engines).
    pub tables: Option<u32>,
    /// Most tables it may start (engines).
    pub tables_max: Option<u32>,
    /// Connections per second allowed; `None` is no limit.
    pub rate_limit: Option<u64>,
    /// The guard's ceiling in force.
    pub ceiling: Option<u64>,
    /// Echo bytes waiting for slow readers (server).
    pub buffered_bytes: Option<u64>,
    /// Failures by operation and errno.
    pub errors: Vec<ErrorCount>,
    /// Connect times (client).
    pub connect: Latency,
    /// Messages, with `--active`.
    pub traffic: Option<Traffic>,
    /// Why it stopped before its target.
    pub stop: Option<Stop>,
    /// How it ended.
    pub death: Option<Death>,
}

/// The end of a watched process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// `server`, `client`, or the name of a foreign process.
    pub role_or_name: String,
    /// Process id.
    pub pid: u32,
    /// How.
    pub cause: Cause,
    /// Connections at that moment, as near as samples tell.
    pub at_connections: u64,
    /// When it was noted, milliseconds since the dashboard started.
    pub t_ms: u64,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It returned this code.
    Exit(i32),
    /// This signal ended it.
    Signal(i32),
    /// The kernel's OOM killer took it: for a memory cgroup's limit, or (`None`) for the whole machine.
    OomKilled {
        /// Path of the cgroup.
        cgroup: Option<String>,
    },
    /// It is gone, and nobody could see how (a process that is not our child).
    Vanished,
}
