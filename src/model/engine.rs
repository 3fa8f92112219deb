//! The watched processes, as the engines view shows them, and how they ended.

use std::fmt;

use crate::limits::{Limit, Oom};
use crate::protocol::{ErrorCount, Latency, Phase, Role, Stop, Traffic};
use crate::sample::{Sample, Watched};

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
            Cause::Vanished => f.write_str("it is gone, and nobody saw how"),
        }
    }
}

/// Names of signal(7) on x86 and ARM.
pub(super) fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        31 => "SIGSYS",
        _ => return None,
    })
}

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

impl Death {
    /// Whether this is the limit that ended it.
    pub(super) fn met(&self, limit: &Limit) -> bool {
        let cgroup = match &self.cause {
            Cause::OomKilled { cgroup } => cgroup.as_ref(),
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

/// Turns the targets of each sample into [`Engine`]s; what a process was last seen with outlives it.
#[derive(Debug, Clone, Default)]
pub(super) struct Roster {
    engines: Vec<Engine>,
    cpu: Vec<(u32, CpuShare)>,
}

impl Roster {
    /// Takes the targets of a sample.
    pub(super) fn update(&mut self, sample: &Sample) {
        for target in sample.watched() {
            if !target.alive {
                self.ended(target);
                continue;
            }
            let mut engine = seen(target);
            let (t_us, cpu_us) = match target.stats() {
                Some(stats) => (stats.t_us, Some(stats.cpu_us)),
                None => (sample.t_ms * 1000, target.cpu_us.as_ref().ok().copied()),
            };
            let known = self.cpu.iter().position(|c| c.0 == target.pid).unwrap_or_else(|| {
                self.cpu.push((target.pid, CpuShare::default()));
                self.cpu.len() - 1
            });
            engine.cpu_share = cpu_us.and_then(|us| self.cpu[known].1.add(t_us, us));
            match self.engines.iter_mut().find(|e| e.pid == target.pid) {
                Some(known) => *known = engine,
                None => self.engines.push(engine),
            }
        }
    }

    /// Everything watched, living or not.
    pub(super) fn engines(&self) -> &[Engine] {
        &self.engines
    }

    /// Notes how one ended.
    pub(super) fn died(&mut self, death: &Death) {
        if let Some(engine) = self.engines.iter_mut().find(|e| e.pid == death.pid) {
            engine.alive = false;
            engine.death = Some(death.clone());
        }
    }

    fn ended(&mut self, target: Watched<'_>) {
        match self.engines.iter_mut().find(|e| e.pid == target.pid) {
            Some(known) => {
                known.alive = false;
                known.cpu_share = None;
            }
            None => self.engines.push(seen(target)),
        }
    }
}

fn seen(target: Watched<'_>) -> Engine {
    let stats = target.stats();
    Engine {
        name: target.name.clone(),
        role: target.role(),
        pid: target.pid,
        alive: target.alive,
        phase: stats.map(|s| s.phase),
        open: stats.map(|s| s.open),
        peak: stats.map(|s| s.peak),
        opened: stats.map(|s| s.opened),
        lost: stats.map(|s| s.lost),
        in_flight: stats.filter(|s| s.role == Role::Client).map(|s| s.in_flight),
        greeted: stats.map(|s| s.greeted),
        rss_bytes: target.rss_bytes.as_ref().ok().copied(),
        cpu_share: None,
        threads: target.threads.as_ref().ok().copied(),
        descriptors: stats.map(|s| s.descriptors).or_else(|| target.descriptors.as_ref().ok().copied()),
        table_limit: stats.map(|s| s.table_limit).or_else(|| target.nofile.as_ref().ok().map(|n| n.soft)),
        hard_limit: target.nofile.as_ref().ok().map(|n| n.hard),
        tables: stats.map(|s| s.tables),
        tables_max: stats.map(|s| s.tables_max),
        rate_limit: stats.and_then(|s| s.rate_limit),
        ceiling: stats.and_then(|s| s.ceiling),
        buffered_bytes: stats.map(|s| s.buffered_bytes),
        errors: stats.map(|s| s.errors.clone()).unwrap_or_default(),
        connect: stats.map(|s| s.connect).unwrap_or_default(),
        traffic: stats.and_then(|s| s.traffic),
        stop: stats.and_then(|s| s.stop.clone()),
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
        assert_eq!((server.alive, server.open, server.name.as_str()), (false, Some(50_000), "server"));
        assert!(server.rss_bytes.is_some());
    }

    #[test]
    fn a_foreign_process_has_what_can_be_seen() {
        let mut sample = synthetic::host_only(0);
        synthetic::foreign(&mut sample, 77, "beam.smp", 900, 1024);
        let mut roster = Roster::default();
        roster.update(&sample);
        let one = &roster.engines()[0];
        assert_eq!((one.role, one.descriptors, one.table_limit, one.open), (None, Some(900), Some(1024), None));
    }
}
