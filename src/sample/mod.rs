//! The raw record of one moment: what the kernel, the engines and the dashboard itself said. Everything else (rates, slopes,
//! limits, sentences) is derived from a row of these.

mod absent;
pub mod kernel;
mod machine;
mod peers;
mod program;

use std::ops::Deref;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::protocol::{EngineStats, Hello, Role};
use crate::units::micros;

pub use kernel::*;
pub use machine::Machine;

/// One moment: every source read once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Milliseconds since the dashboard started.
    pub t_ms: u64,
    /// Milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// What the kernel said.
    pub kernel: Kernel,
    /// What the engines said of themselves; each is one of the kernel's processes.
    pub engines: Vec<EngineReading>,
    /// The dashboard itself.
    pub own: Own,
}

/// What an engine said of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineReading {
    /// Its greeting.
    pub hello: Hello,
    /// Its counters.
    pub stats: Reading<Box<EngineStats>>,
}

/// What the dashboard costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Own {
    /// User plus system time since its start, microseconds.
    pub cpu_us: u64,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
}

/// An engine that is well is awake five times a second.
const SILENT_MS: u64 = 2000;

/// A watched process, and what it said of itself if it is an engine.
#[derive(Debug, Clone, Copy)]
pub struct Watched<'a> {
    /// What the kernel says of it.
    pub process: &'a Process,
    /// What it said; `None` for a foreign process.
    pub engine: Option<&'a EngineReading>,
}

impl Deref for Watched<'_> {
    type Target = Process;

    fn deref(&self) -> &Process {
        self.process
    }
}

impl<'a> Watched<'a> {
    /// Which end it is; `None` for a foreign process.
    pub fn role(self) -> Option<Role> {
        self.engine.map(|e| e.hello.role)
    }

    /// An engine's own counters.
    pub fn stats(self) -> Option<&'a EngineStats> {
        self.engine?.stats.as_deref().ok()
    }

    /// How long an engine has not been awake, milliseconds, where that is longer than any work of its own takes: it is
    /// stopped, or gets no CPU. One that is being taken apart is not silent but ending.
    pub fn silent_ms(self) -> Option<u64> {
        let stats = self.stats().filter(|_| self.alive && !self.is_ending())?;
        Some(stats.silent_ms).filter(|ms| *ms >= SILENT_MS)
    }

    /// What its limits belong to, for people: `server`, `nginx 4021`.
    pub fn scope(self) -> String {
        match self.role() {
            Some(role) => role.name().to_owned(),
            None => format!("{} {}", self.name, self.pid),
        }
    }
}

impl Sample {
    /// Joins what was read `at` this time after the dashboard's start.
    pub fn join(at: Duration, kernel: Kernel, engines: Vec<EngineReading>, own: Own) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { t_ms: micros(at) / 1000, wall_ms: micros(wall) / 1000, kernel, engines, own }
    }

    /// Every watched process, in the kernel's order.
    pub fn watched(&self) -> impl DoubleEndedIterator<Item = Watched<'_>> {
        let engine = |process: &Process| self.engines.iter().find(|e| e.hello.pid == process.pid);
        self.kernel.processes.iter().map(move |process| Watched { process, engine: engine(process) })
    }

    /// The watched processes that live.
    pub fn living(&self) -> impl DoubleEndedIterator<Item = Watched<'_>> {
        self.watched().filter(|w| w.alive)
    }

    /// Counters of the living engines.
    pub fn counters(&self) -> impl Iterator<Item = &EngineStats> {
        self.living().filter_map(Watched::stats)
    }

    /// Whether the server has yet to accept some of what the client has open, where both are known.
    pub fn is_unaccepted(&self) -> bool {
        let ends = self.engine(Role::Client).zip(self.engine(Role::Server));
        ends.is_some_and(|(client, server)| server.open < client.open)
    }

    /// Whether what the client has opened is open at every end that is known, and greeted where that was asked.
    pub fn is_complete(&self) -> bool {
        !self.is_unaccepted() && !self.engine(Role::Client).is_some_and(EngineStats::is_ungreeted)
    }

    /// Counters of the living engine of that role.
    pub fn engine(&self, role: Role) -> Option<&EngineStats> {
        self.living().filter(|w| w.role() == Some(role)).find_map(Watched::stats)
    }
}
