//! What the run is to be, and what of the machine no sample holds.

use serde::Serialize;

use crate::sample::Machine;
use crate::units::whole;

/// Which ends of the connections are on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The accepting end.
    Server,
    /// The connecting end.
    Client,
    /// Both.
    Both,
}

/// Whose program holds the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// c1m-top's engines.
    Own,
    /// Any other: its connections are spread over so many processes (nginx: its workers), each with one table. On the
    /// side that is not asked about (`--role both`: the client) c1m-top's engine runs.
    Other {
        /// Processes, from 1.
        processes: u64,
    },
}

impl Program {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Program::Own => "c1m-top",
            Program::Other { .. } => "other",
        }
    }
}

/// What c1m-top's engines take besides connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnEngines {
    /// Descriptors of each table that are neither listeners nor connections.
    pub table_own: u64,
    /// Most worker threads of one engine.
    pub most_workers: u64,
    /// `--workers`, where given.
    pub workers: Option<u64>,
    /// Workers that open connections at once: one for each core.
    pub lanes: u64,
    /// Connects under way at once, all lanes together.
    pub in_flight: u64,
}

/// What the client's addresses allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Source addresses, from 1.
    pub sources: u64,
    /// Destination ports.
    pub ports: u64,
    /// Local ports of each pair of the two.
    pub per_pair: u64,
}

impl Addresses {
    /// Pairs of source and destination port.
    pub fn pairs(self) -> u64 {
        (self.sources * self.ports).max(1)
    }
}

/// Messages on a share of the connections, echoed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Traffic {
    /// 0 to 1.
    pub share: f64,
    /// Bytes of one message.
    pub message: u64,
    /// Microseconds between two messages of one connection.
    pub every_us: u64,
}

/// What a connection has cost in a run, at the ends that were on its machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Bytes that the machine lost.
    pub total_bytes: f64,
    /// Of them, memory of the processes.
    pub user_bytes: f64,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// Connections.
    pub target: u64,
    /// The ends on this machine.
    pub role: Side,
    /// Whose program.
    pub program: Program,
    /// Whether the first target of the sample is that very program, running (`--pid`).
    pub running: bool,
    /// First port.
    pub port: u16,
    /// Ports.
    pub ports: u16,
    /// Source addresses named (`--source`), 0 for none.
    pub sources_named: u64,
    /// What the client's addresses allow; `None` without a client here, or where it cannot be known.
    pub addresses: Option<Addresses>,
    /// Traffic, if any.
    pub traffic: Option<Traffic>,
    /// Connections per second to reckon with where clients are elsewhere.
    pub rate: u64,
    /// What the program itself needs for each connection, bytes.
    pub user_bytes: u64,
    /// What a connection has cost in a run before: counts instead of what is expected of one, and of `user_bytes`.
    pub measured: Option<Measured>,
    /// The share of a limit up to which c1m-top's client goes, 0 to 1; `None` without its guard.
    pub guard: Option<f64>,
    /// c1m-top's engines.
    pub engines: OwnEngines,
}

impl Ask {
    /// The share of a limit up to which the run goes: less than all where c1m-top's client connects, with its guard.
    pub fn share(&self) -> f64 {
        let own = self.role == Side::Both || (self.role == Side::Client && self.program == Program::Own);
        self.guard.filter(|_| own).unwrap_or(1.0)
    }

    /// Sockets on this machine for each connection.
    pub fn ends(&self) -> u64 {
        if self.role == Side::Both { 2 } else { 1 }
    }

    /// Payload in each direction at so many connections, bits per second.
    pub fn payload_bits_per_s(&self, connections: u64) -> u64 {
        self.traffic.map_or(0, |t| whole(self.messages_per_s(connections) * t.message as f64 * 8.0))
    }

    /// Messages in each direction, per second.
    pub fn messages_per_s(&self, connections: u64) -> f64 {
        self.traffic.map_or(0.0, |t| connections as f64 * t.share * 1e6 / t.every_us.max(1) as f64)
    }

    /// Whether a client runs here.
    pub fn connects(&self) -> bool {
        self.role != Side::Server
    }

    /// Whether a server runs here.
    pub fn accepts(&self) -> bool {
        self.role != Side::Client
    }
}

/// What of the machine no sample holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// Which one it is.
    pub machine: Machine,
    /// `net.core.netdev_max_backlog`.
    pub netdev_max_backlog: Option<u64>,
}
