//! The watched processes, as the engines view shows them, and how they ended.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};
use signal_hook::low_level::signal_name;

use crate::limits::{Limit, LimitId, Oom};
use crate::protocol::{EngineStats, Phase, Role};
use crate::sample::{Process, Sample, Watched};

use super::entry;
use super::rate::CpuShare;

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Exit(code) => write!(f, "it ended with exit code {code}"),
            Cause::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "killed by {name} ({signal})"),
                None => write!(f, "killed by signal {signal}"),
            },
            Cause::OomKilled { cgroup: Some(path) } => {
                write!(f, "killed by the kernel (OOM): the memory cgroup {path} is full")
            }
            Cause::OomKilled { cgroup: None } => {
                f.write_str("killed by the kernel (OOM): the machine is out of memory")
            }
            Cause::OutOfHeap => f.write_str("it is gone, and its heap was full"),
            Cause::Vanished => f.write_str("it is gone, and nobody saw how"),
        }
    }
}

/// A watched process, as it was when last seen alive: an engine, or a foreign process.
#[derive(Debug, Clone, PartialEq)]
pub struct Engine {
    /// Which end; `None` for a foreign process.
    pub role: Option<Role>,
    /// What the kernel says of it.
    pub process: Process,
    /// What an engine says of itself.
    pub stats: Option<EngineStats>,
    /// CPU, share of one core.
    pub cpu_share: Option<f64>,
    /// It has not been awake for longer than any work of its own takes.
    pub silent: bool,
    /// How it ended.
    pub death: Option<Death>,
}

impl Deref for Engine {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl Engine {
    /// What it is doing (engines).
    pub fn phase(&self) -> Option<Phase> {
        self.stats.as_ref().map(|s| s.phase)
    }

    /// Open descriptors: all tables of an engine, the main table of a foreign process.
    pub fn open_descriptors(&self) -> Option<u64> {
        let stats = self.stats.as_ref().map(|s| s.descriptors);
        stats.or_else(|| self.descriptors.as_ref().ok().copied())
    }

    /// What one table may hold: the soft `RLIMIT_NOFILE`.
    pub fn table_limit(&self) -> Option<u64> {
        let stats = self.stats.as_ref().map(|s| s.table_limit);
        stats.or_else(|| self.nofile.as_ref().ok().map(|n| n.soft))
    }
}

/// The end of a watched process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// Which end; `None` for a foreign process, whatever it calls itself.
    pub role: Option<Role>,
    /// Its name; of an engine, that of its role.
    pub name: String,
    /// Process id.
    pub pid: u32,
    /// How.
    pub cause: Cause,
    /// Connections at that moment, as near as samples tell.
    pub at_connections: u64,
    /// When it was noted, milliseconds since the dashboard started.
    pub t_ms: u64,
}

impl Death {
    /// Whose end it was, for a sentence: `server engine 4021`, `nginx (77)`.
    pub fn process(&self) -> String {
        match self.role {
            Some(role) => format!("{} engine {}", role.name(), self.pid),
            None => format!("{} ({})", self.name, self.pid),
        }
    }

    /// Whether this is the limit that ended it.
    pub(super) fn met(&self, limit: &Limit) -> bool {
        let cgroup = match &self.cause {
            Cause::OomKilled { cgroup } => cgroup.as_ref(),
            Cause::OutOfHeap => return limit.is(LimitId::Runtime, &format!("{} {}", self.name, self.pid)),
            _ => return false,
        };
        limit.info.oom == self.cause.oom() && cgroup.is_none_or(|path| limit.scope == *path)
    }
}

impl Cause {
    /// Whose memory had run out, where that is how it ended.
    pub(super) fn oom(&self) -> Option<Oom> {
        match self {
            Cause::OomKilled { cgroup: Some(_) } => Some(Oom::Cgroup),
            Cause::OomKilled { cgroup: None } => Some(Oom::Machine),
            _ => None,
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// It is gone, and nobody could see how; but the heap that its runtime limits was full.
    OutOfHeap,
    /// It is gone, and nobody could see how (a process that is not our child).
    Vanished,
}

/// Turns the targets of each sample into [`Engine`]s; what a process was last seen with outlives it.
#[derive(Debug, Clone, Default)]
pub(super) struct Roster {
    engines: Vec<Engine>,
    cpu: Vec<(u32, CpuShare)>,
    /// Processes of a program that goes on without them, ended with the last sample.
    left: Vec<Engine>,
}

impl Roster {
    /// Takes the targets of a sample.
    pub(super) fn update(&mut self, sample: &Sample) {
        for target in sample.watched() {
            let known = self.engines.iter().position(|e| e.pid == target.pid);
            if !target.alive {
                match known {
                    Some(i) => (self.engines[i].process.alive, self.engines[i].cpu_share) = (false, None),
                    None => self.engines.push(seen(target)),
                }
                continue;
            }
            let mut engine = seen(target);
            let (t_us, cpu_us) = match target.stats() {
                Some(stats) => (stats.t_us, Some(stats.cpu_us)),
                None => (sample.t_ms * 1000, target.cpu_us.as_ref().ok().copied()),
            };
            let share = entry(&mut self.cpu, |c| c.0 == target.pid, || (target.pid, CpuShare::default()));
            engine.cpu_share = cpu_us.and_then(|us| share.1.add(t_us, us));
            match known {
                Some(i) => self.engines[i] = engine,
                None => self.engines.push(engine),
            }
        }
        self.part(sample);
    }

    /// Lets go the processes of a foreign program that have ended while others of it go on.
    fn part(&mut self, sample: &Sample) {
        self.left.clear();
        if sample.kernel.program.as_ref().is_none_or(|p| p.processes == 0) {
            return;
        }
        let here = |e: &Engine| sample.kernel.processes.iter().any(|p| p.pid == e.pid);
        let (stay, left) = std::mem::take(&mut self.engines).into_iter().partition(here);
        (self.engines, self.left) = (stay, left);
        self.left.retain(|e| !e.alive);
        self.cpu.retain(|(pid, _)| self.engines.iter().any(|e| e.pid == *pid));
        // In the order of the sample: those with the most descriptors first.
        let place = |e: &Engine| sample.kernel.processes.iter().position(|p| p.pid == e.pid);
        self.engines.sort_by_key(place);
    }

    /// Processes of a program that goes on without them, ended with the last sample.
    pub(super) fn left(&self) -> &[Engine] {
        &self.left
    }

    /// Everything watched, living or not.
    pub(super) fn engines(&self) -> &[Engine] {
        &self.engines
    }

    /// Notes how one ended.
    pub(super) fn died(&mut self, death: &Death) {
        if let Some(engine) = self.engines.iter_mut().find(|e| e.pid == death.pid) {
            engine.process.alive = false;
            engine.death = Some(death.clone());
        }
    }
}

fn seen(target: Watched<'_>) -> Engine {
    Engine {
        role: target.role(),
        process: target.process.clone(),
        stats: target.stats().cloned(),
        cpu_share: None,
        silent: target.silent_ms().is_some(),
        death: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::synthetic;
    use super::*;

    #[test]
    fn the_last_state_outlives_the_process() {
        let mut roster = Roster::default();
        roster.update(&synthetic::sample(50_000, 1000));
        let mut gone = synthetic::sample(50_000, 2000);
        gone.kernel.processes[0].alive = false;
        gone.kernel.processes[0].rss_bytes = Err(crate::sample::Absent::because("process gone"));
        roster.update(&gone);
        let server = &roster.engines()[0];
        let open = server.stats.as_ref().map(|s| s.open);
        assert_eq!((server.alive, open, server.name.as_str()), (false, Some(50_000), "server"));
        assert!(server.rss_bytes.is_ok());
    }

    #[test]
    fn a_foreign_process_has_what_can_be_seen() {
        let mut sample = synthetic::host_only(0);
        synthetic::foreign(&mut sample, 77, "beam.smp", 900, 1024);
        let mut roster = Roster::default();
        roster.update(&sample);
        let one = &roster.engines()[0];
        assert_eq!((one.role, one.open_descriptors(), one.table_limit()), (None, Some(900), Some(1024)));
        assert!(one.stats.is_none());
    }
}
