//! What the dashboard and an engine say to each other: one JSON object a line over a Unix socket.
//!
//! The engine greets with [`Reply::Hello`]; after that it answers each [`Command`] with one [`Reply`], and speaks
//! unasked only when its phase changes ([`Reply::Phase`]), so that the dashboard can take a sample at that moment. Counts
//! are not asked for: they are in the memory that the greeting names (`engine::page`).

pub mod errno;

use serde::{Deserialize, Serialize};

/// Version of this protocol; an engine of another version is refused, not misread.
pub const PROTOCOL: u32 = 2;

/// The longest line either side accepts, in bytes. A longer one is garbage, not a message.
pub const MAX_LINE: usize = 64 * 1024;

/// Most descriptor tables of an engine, one a worker, when the command line names no number: 20 million connections at 20,000
/// a table.
pub const MOST_TABLES: u32 = 1000;

/// Which end of the experiment an engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Listens, accepts, echoes.
    #[default]
    Server,
    /// Connects, holds, sends.
    Client,
}

impl Role {
    /// The word used on the screen and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Role::Server => "server",
            Role::Client => "client",
        }
    }
}

/// What an engine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not yet connecting or accepting.
    #[default]
    Starting,
    /// A client opening connections, or a server accepting them.
    Ramping,
    /// Told to pause: nothing new is opened or accepted.
    Paused,
    /// A client below its target, held back by the guard's ceiling.
    Guarded,
    /// A client at its target.
    Holding,
    /// Closing its connections.
    Closing,
    /// All connections closed.
    Closed,
    /// A client that cannot open more: see [`EngineStats::stop`].
    Stopped,
}

/// First line an engine sends on a new control connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] of the engine.
    pub protocol: u32,
    /// Program version of the engine.
    pub version: String,
    /// Which end it is.
    pub role: Role,
    /// Process id of the engine.
    pub pid: u32,
    /// Process id of the dashboard that started it.
    pub owner: u32,
    /// Connections it aims at; for a server the run's target where known, else 0.
    pub target: u64,
    /// What it listens on or connects to, for people: `127.0.0.1`, `[::1]`, `every address`.
    pub address: String,
    /// First port.
    pub port: u16,
    /// Number of consecutive ports.
    pub ports: u16,
    /// Descriptor of the page with its counters, in its main table.
    #[serde(default)]
    pub page: i32,
}

/// What the dashboard asks of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
pub enum Command {
    /// Open (or accept) nothing new until [`Command::Resume`].
    Pause,
    /// Go on after [`Command::Pause`].
    Resume,
    /// Open at most so many connections per second; `None` is as fast as it goes.
    Rate {
        /// Connections per second.
        per_s: Option<u64>,
    },
    /// Aim at this many connections from now on, up to [`EngineStats::capacity`]. One that is below what is open closes nothing.
    Target {
        /// Connections.
        connections: u64,
    },
    /// Never hold more than this many connections: the guard's closed loop. `None` lifts it.
    Ceiling {
        /// Connections.
        connections: Option<u64>,
    },
    /// Close every connection and report [`Phase::Closed`].
    Close {
        /// How to close.
        mode: CloseMode,
        /// Closes per second; `None` is as fast as it goes.
        per_s: Option<u64>,
    },
    /// End the process.
    Stop,
}

/// How a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseMode {
    /// Reset (`SO_LINGER` 0): no `TIME_WAIT`, the port is free at once.
    Rst,
    /// The orderly FIN: the closer's end stays in `TIME_WAIT` for 60 s.
    Fin,
}

/// What an engine answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reply {
    /// The greeting.
    Hello(Hello),
    /// The command was taken.
    Ok,
    /// Unasked: the phase has changed.
    Phase {
        /// The new phase.
        phase: Phase,
    },
    /// Unasked: the engine ends because it was told to.
    Bye,
    /// The line was refused; the connection is closed after it.
    Error {
        /// Why, for people.
        text: String,
    },
}

/// How often one operation failed with one errno.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCount {
    /// The system call or stage: `socket`, `bind`, `connect`, `established`, `accept`, `epoll_ctl`, `read`, `write`.
    pub op: String,
    /// errno.
    pub errno: i32,
    /// Its name: `EMFILE`.
    pub name: String,
    /// Times since the engine started.
    pub count: u64,
}

/// A distribution of times, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Latency {
    /// Values recorded.
    pub count: u64,
    /// Median.
    pub p50_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// 99.9th percentile.
    pub p999_us: u64,
    /// Largest.
    pub max_us: u64,
}

/// Whole distributions, which those of other engines can be added to: the times of two are not told by their percentiles. Each
/// is its times in microseconds, a time with its count, `87:12 88:3`, to two significant digits. They are written anew with every change of
/// phase and a few times a minute.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Times {
    /// What [`EngineStats::connect`] is of.
    #[serde(default)]
    pub connect: String,
    /// What [`EngineStats::handshake`] is of.
    #[serde(default)]
    pub handshake: String,
    /// What [`EngineStats::lifetime`] is of.
    #[serde(default)]
    pub lifetime: String,
    /// What [`Traffic::echo`] is of.
    #[serde(default)]
    pub echo: String,
}

/// The longest time that a place of a spread counts, microseconds: two places to each doubling.
pub fn spread_bound_us(place: usize) -> f64 {
    2_f64.powf(u32::try_from(place).map_or(f64::INFINITY, f64::from) / 2.0)
}

/// Messages on active connections. Counts are since the target was reached (before that: since the start), mismatches since
/// the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Connections that carry traffic.
    pub active: u64,
    /// Bytes of one message.
    #[serde(default)]
    pub message: u64,
    /// Microseconds between two messages of one connection; 0 from an engine that does not say.
    #[serde(default)]
    pub every_us: u64,
    /// Whether a message is sent when it is due, though the one before has not come back.
    #[serde(default)]
    pub no_wait: bool,
    /// Messages sent whole.
    pub sent: u64,
    /// Messages echoed whole and equal.
    pub echoed: u64,
    /// Bytes of echoes since the start, also of those that are not whole yet.
    #[serde(default)]
    pub echoed_bytes: u64,
    /// Echoes that differed from what was sent.
    pub mismatched: u64,
    /// Messages that left more than 5 ms after they were due, or `every_us` where that is less (the coordinated-omission count).
    pub late: u64,
    /// Of these, messages that left more than a tenth of `every_us` after they were due, where that is more: the load is not
    /// the one asked for.
    #[serde(default)]
    pub overdue: u64,
    /// Messages not sent because the one before was still unanswered when they fell due; without waiting, because it had
    /// not left whole.
    pub skipped: u64,
    /// Time from when a message was due until its echo was whole.
    pub echo: Latency,
}

/// Something an engine noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineEvent {
    /// Number, from 1, without gaps.
    pub seq: u64,
    /// Microseconds since the engine started.
    pub t_us: u64,
    /// `info`, `warning` or `critical`.
    pub severity: Severity,
    /// Stable id, such as `control_refused`.
    pub id: String,
    /// One sentence.
    pub text: String,
    /// The failed call behind it, if one is.
    pub call: Option<FailedCall>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Will become a failure if nothing changes.
    Warning,
    /// Has failed.
    Critical,
}

impl Severity {
    /// The word for people; none for what is only worth knowing.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Info => "",
            Severity::Warning => "WARN",
            Severity::Critical => "CRITICAL",
        }
    }
}

/// A call that failed: by it the dashboard knows the limit that was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCall {
    /// The operation, as in [`ErrorCount::op`].
    pub op: String,
    /// errno, 0 for none.
    pub errno: i32,
    /// Its name: `EMFILE`.
    pub name: String,
}

/// What kind of end a ramp came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    /// A limit, which the failed call shows.
    Limit,
    /// The server refuses: every port refuses connects, or it accepts connections and closes them at once.
    Refused,
    /// There is no way to the other host.
    Unreachable,
    /// Nothing succeeds any more.
    Stall,
}

impl StopCause {
    /// The word used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            StopCause::Limit => "limit",
            StopCause::Refused => "refused",
            StopCause::Unreachable => "unreachable",
            StopCause::Stall => "stall",
        }
    }
}

/// Why a client gave up before its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// What kind of end it is.
    pub cause: StopCause,
    /// The call that failed last.
    pub call: FailedCall,
    /// One sentence.
    pub text: String,
}

/// Everything an engine knows of itself. Counts are since its start unless said otherwise.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EngineStats {
    /// Which end.
    pub role: Role,
    /// Process id.
    pub pid: u32,
    /// Microseconds since the engine started.
    pub t_us: u64,
    /// How long its main thread has not been awake, milliseconds. More than a second or two: it is stopped, or gets no CPU.
    #[serde(default)]
    pub silent_ms: u64,
    /// What it is doing.
    pub phase: Phase,
    /// Connections it aims at (0: none of its own).
    pub target: u64,
    /// Connections open now: established for a client, accepted and not closed for a server.
    pub open: u64,
    /// Most connections that were open at once.
    pub peak: u64,
    /// Connections ever established or accepted.
    pub opened: u64,
    /// Connections closed, whoever closed them.
    pub closed: u64,
    /// Of these, not asked for: for a client whatever it did not close itself, for a server what ended in an error (that its
    /// peers close is no loss).
    pub lost: u64,
    /// Connects that the other end refused or reset (`ECONNREFUSED`, `ECONNRESET`); 0 for a server.
    #[serde(default)]
    pub refused: u64,
    /// How long connections that the other end closed had been open (client).
    #[serde(default)]
    pub lifetime: Latency,
    /// How long the client now waits between two attempts because too many are lost or refused, milliseconds; 0: not at all.
    #[serde(default)]
    pub backoff_ms: u64,
    /// Connects under way.
    pub in_flight: u64,
    /// Whether each connection sends a greeting and waits for it to come back (`--greet`; client).
    #[serde(default)]
    pub greet: bool,
    /// Greetings echoed back (client) or echoed (server: bytes received at least once); 0 without `--greet`.
    pub greeted: u64,
    /// Connections per second allowed; `None` is no limit.
    pub rate_limit: Option<u64>,
    /// The guard's ceiling in force.
    pub ceiling: Option<u64>,
    /// Failures by operation and errno.
    pub errors: Vec<ErrorCount>,
    /// Worker threads running, each with its own descriptor table.
    pub tables: u32,
    /// Most worker threads it may start.
    pub tables_max: u32,
    /// Descriptors one table may hold: the soft `RLIMIT_NOFILE`.
    pub table_limit: u64,
    /// Connections one table has room for: `table_limit` less what the engine itself opens.
    pub table_room: u64,
    /// Descriptors used in all tables together.
    pub descriptors: u64,
    /// Client: connections its address plan allows (sources × destination ports × usable local ports, less what other
    /// programs hold where known). `None` for a server, or before the plan is made.
    pub capacity: Option<u64>,
    /// Server: echo bytes waiting for slow readers. Client: 0.
    pub buffered_bytes: u64,
    /// User plus system time of the process, microseconds.
    pub cpu_us: u64,
    /// When the ramp started, `t_us` of that moment.
    pub ramp_started_us: Option<u64>,
    /// When the highest count so far was reached, `t_us` of that moment.
    pub peak_us: Option<u64>,
    /// `cpu_us` when the ramp ended (target reached or stopped).
    pub ramp_cpu_us: Option<u64>,
    /// Client: times from a connect until the client took note that it was established. At full rate that is mostly the
    /// client's own queue, of up to 256 connects under way.
    pub connect: Latency,
    /// Client: times from SYN to established, as the kernel measured them; of each batch one, which stands for all of it.
    #[serde(default)]
    pub handshake: Latency,
    /// Client: how `connect` is spread: values at or below [`spread_bound_us`] of each place, and above that of the one before.
    #[serde(default)]
    pub connect_spread: Vec<u64>,
    /// All times behind it together, microseconds, each to two digits.
    #[serde(default)]
    pub connect_sum_us: u64,
    /// The same two of `handshake`.
    #[serde(default)]
    pub handshake_spread: Vec<u64>,
    /// See `connect_sum_us`.
    #[serde(default)]
    pub handshake_sum_us: u64,
    /// The same two of the echoes of `traffic`.
    #[serde(default)]
    pub echo_spread: Vec<u64>,
    /// See `connect_sum_us`.
    #[serde(default)]
    pub echo_sum_us: u64,
    /// Client: all of its distributions, as they were a moment ago.
    #[serde(default)]
    pub times: Times,
    /// Descriptors in use of each worker's table, in the order in which the workers were started.
    #[serde(default)]
    pub table_use: Vec<u32>,
    /// Client: connections that each destination port has been given since the start, from the first port on; empty where they
    /// are not counted.
    #[serde(default)]
    pub port_given: Vec<u64>,
    /// The same of each source address.
    #[serde(default)]
    pub source_given: Vec<u64>,
    /// Messages, with `--active`.
    pub traffic: Option<Traffic>,
    /// Why it stopped before its target.
    pub stop: Option<Stop>,
    /// Events that are new: of a report every one that the engine keeps.
    pub events: Vec<EngineEvent>,
}

impl EngineStats {
    /// Whether a client waits for greetings to come back.
    pub fn is_ungreeted(&self) -> bool {
        self.greet && self.greeted + self.lost < self.opened
    }
}
