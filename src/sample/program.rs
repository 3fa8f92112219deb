//! A watched program that is no engine of ours: a process, and those that descend from it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::absent::Reading;

/// A program: master and workers, postmaster and backends, shell and child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The process that was named, or the first of those.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Living processes of it.
    pub processes: u64,
    /// Its processes: the one that was named first, then those with the most descriptors. At most 1,024 of them.
    pub members: Vec<Member>,
    /// Resident memory of all processes, bytes; what they share counts in each.
    pub rss_bytes: u64,
    /// Of it, what is not a process' own, bytes: files and shared memory, which several may have in common (`shared` of
    /// `/proc/PID/statm`).
    #[serde(default)]
    pub shared_bytes: u64,
    /// Threads of those processes that are not among the watched ones ([`super::Kernel::processes`]).
    pub other_threads: u64,
    /// Open descriptors of all processes; `None` where the kernel does not count them (before Linux 6.2), or this user may not
    /// ask.
    pub descriptors: Option<u64>,
    /// Its connections.
    pub census: Reading<Census>,
    /// Connections that it allows itself, where the user has said so.
    pub app_limit: Option<u64>,
}

impl Member {
    /// Its descriptors that are connections.
    pub fn held(&self) -> Option<u64> {
        Some(self.descriptors?.saturating_sub(self.at_rest?))
    }
}

impl Census {
    /// Established on its listeners, accepted or not.
    pub fn established(&self) -> u64 {
        self.listeners.iter().map(|listener| listener.established).sum()
    }

    /// What it held when its sockets were counted; `connections` has been carried on since.
    pub fn counted(&self) -> u64 {
        self.established().saturating_sub(self.queued)
    }
}

/// `*:443`, `[::1]:8404`.
impl fmt::Display for ListenerCensus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.address.contains(':') {
            write!(f, "[{}]:{}", self.address, self.port)
        } else {
            write!(f, "{}:{}", self.address, self.port)
        }
    }
}

impl Program {
    /// What its limits belong to, for people: `nginx 4021`.
    pub fn scope(&self) -> String {
        format!("{} {}", self.name, self.pid)
    }

    /// Memory that its processes have for themselves, bytes.
    pub fn private_bytes(&self) -> u64 {
        self.rss_bytes.saturating_sub(self.shared_bytes)
    }

    /// The ports that it listens on, in order.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.census.iter().flat_map(|census| &census.listeners).map(|listener| listener.port)
    }
}

/// One process of a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Process id.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Resident memory, bytes; `None` while it ends.
    pub rss_bytes: Option<u64>,
    /// User plus system time since its start, microseconds.
    pub cpu_us: u64,
    /// Open descriptors.
    pub descriptors: Option<u64>,
    /// Those of them that are no connection: logs, listeners, pipes. Counted once, among the first 1,024 that it opened.
    pub at_rest: Option<u64>,
    /// Connections it holds: its share of the program's, by its descriptors less those at rest.
    pub connections: Option<u64>,
    /// It has stopped listening, as after a reload, and serves what it holds until that is closed.
    #[serde(default)]
    pub draining: bool,
}

/// The connections of a program, by the ports it listens on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Census {
    /// Number of the count: it is kept until sockets are counted again.
    pub reading: u64,
    /// Held: established on its listeners (`CLOSE_WAIT` too) less what waits to be accepted. Of a program without listeners
    /// of its own: descriptors less those at rest.
    pub connections: u64,
    /// Whether they were counted as sockets of its listeners, and not as descriptors.
    pub by_socket: bool,
    /// Waiting to be accepted.
    pub queued: u64,
    /// In `CLOSE_WAIT`: the peer has closed, the program has not.
    pub close_wait: u64,
    /// In `TIME_WAIT` on its ports: the program closed them first, within the last minute.
    pub time_wait: u64,
    /// Connections that its network namespace had taken in by then (`PassiveOpens`), where that can be read.
    pub opens: Option<u64>,
    /// Whether nothing else that listens in its network namespace has connections worth a word: what is taken in there is its
    /// own.
    pub alone: bool,
    /// Those whose other end is a socket of the same network namespace.
    pub both_ends: u64,
    /// Of a part of the sockets that the count before saw, how many: at most 1,024.
    pub known: u64,
    /// How many of them are there no longer.
    pub gone: u64,
    /// How old the count is, milliseconds.
    pub age_ms: u64,
    /// `connections` has been carried on since by what the descriptors have changed by.
    pub carried: bool,
    /// Listener by listener, by port.
    pub listeners: Vec<ListenerCensus>,
}

/// The same of one port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ListenerCensus {
    /// Address that it listens on: `*` for every address; several are joined by commas.
    #[serde(default)]
    pub address: String,
    /// The port.
    pub port: u16,
    /// Established, accepted or not.
    pub established: u64,
    /// Waiting to be accepted.
    pub queued: u64,
    /// How many may wait.
    pub backlog: u64,
}
