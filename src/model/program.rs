//! What can be said of a watched program that is no engine: its processes, their CPU and connections, and how those change.

use std::collections::{HashMap, HashSet};

use crate::sample::{Census, Member, Program, Sample};

use super::rate::{CpuShare, Rate};
use super::series::Series;
use super::summary::{MemberLine, ProcessLine};

/// What the rate at which unclosed connections pile up is taken over, microseconds.
const LEAK_US: u64 = 30_000_000;

/// What is followed from sample to sample.
#[derive(Debug, Clone)]
pub(super) struct ProgramLog {
    /// By process, those that have ended among them.
    processes: HashMap<u32, Followed>,
    close_wait: Rate,
    /// Number of the count last seen.
    reading: u64,
}

/// One process.
#[derive(Debug, Clone, Default)]
struct Followed {
    cpu: CpuShare,
    /// Connections that it was last seen with.
    held: Option<u64>,
    /// The same over the run, of one that is shown.
    track: Series<1>,
}

/// Processes that are remembered.
const MOST: usize = 1024;

impl Default for ProgramLog {
    fn default() -> Self {
        Self { processes: HashMap::new(), close_wait: Rate::over(LEAK_US), reading: 0 }
    }
}

impl ProgramLog {
    /// Takes a sample.
    pub(super) fn update(&mut self, sample: &Sample) {
        let Some(program) = &sample.kernel.program else { return };
        let t_us = sample.t_ms * 1000;
        for (place, member) in program.members.iter().enumerate() {
            let process = self.processes.entry(member.pid).or_default();
            process.cpu.add(t_us, member.cpu_us);
            process.held = member.connections.or(process.held);
            if let Some(held) = member.connections.filter(|_| place < LISTED) {
                process.track.push(sample.t_ms, held, [held as f64]);
            }
        }
        if self.processes.len() > MOST {
            let living: HashSet<u32> = program.members.iter().map(|m| m.pid).collect();
            self.processes.retain(|pid, _| living.contains(pid));
        }
        let Ok(census) = &program.census else { return };
        if std::mem::replace(&mut self.reading, census.reading) == census.reading {
            return;
        }
        self.close_wait.add(t_us.saturating_sub(census.age_ms * 1000), census.close_wait);
    }

    /// CPU of a process, share of one core.
    fn cpu_share(&self, pid: u32) -> Option<f64> {
        self.processes.get(&pid)?.cpu.share()
    }

    /// CPU of all its processes, in cores.
    pub(super) fn cpu(&self, program: &Program) -> Option<f64> {
        program.members.iter().filter_map(|m| self.cpu_share(m.pid)).reduce(|a, b| a + b)
    }

    /// Connections that a process was last seen with.
    pub(super) fn held_by(&self, pid: u32) -> Option<u64> {
        self.processes.get(&pid)?.held
    }

    /// The connections of a process over the run in `columns` equal steps of time; empty before the second sample.
    pub(super) fn columns(&self, pid: u32, columns: usize) -> Vec<f64> {
        self.processes.get(&pid).map_or(Vec::new(), |process| process.track.columns(columns))
    }

    /// How fast connections pile up that the peer has closed and the program has not, per second.
    pub(super) fn close_wait_per_s(&self) -> Option<f64> {
        self.close_wait.per_s()
    }

    /// The program for people, with its first processes.
    pub(super) fn line(&self, program: &Program) -> ProcessLine {
        self.line_with(program, LISTED)
    }

    /// The program as JSON says it, with every process that is known one by one.
    pub(super) fn whole_line(&self, program: &Program) -> ProcessLine {
        self.line_with(program, usize::MAX)
    }

    fn line_with(&self, program: &Program, listed: usize) -> ProcessLine {
        let census: Option<&Census> = program.census.as_ref().ok();
        let percent = |share: f64| (share * 1000.0).round() / 10.0;
        let member = |m: &Member| MemberLine {
            pid: m.pid,
            name: m.name.clone(),
            connections: m.connections,
            rss_bytes: m.rss_bytes,
            cpu_percent: self.cpu_share(m.pid).map(percent),
            descriptors: m.descriptors,
            draining: m.draining,
        };
        let members: Vec<MemberLine> = program.members.iter().take(listed).map(member).collect();
        ProcessLine {
            pid: program.pid,
            name: program.name.clone(),
            processes: program.processes,
            rss_bytes: Some(program.rss_bytes).filter(|bytes| *bytes > 0),
            shared_bytes: Some(program.shared_bytes).filter(|_| program.rss_bytes > 0),
            cpu_percent: self.cpu(program).map(percent),
            descriptors: program.descriptors,
            connections: census.map(|c| c.connections),
            queued: census.filter(|c| c.by_socket).map(|c| c.queued),
            close_wait: census.filter(|c| c.by_socket).map(|c| c.close_wait),
            age_ms: census.map(|c| c.age_ms),
            members_left_out: program.processes.saturating_sub(members.len() as u64),
            members,
            listeners: census.map(|c| c.listeners.clone()).unwrap_or_default(),
        }
    }
}

/// Processes that are shown one by one, and whose connections are followed over the run.
const LISTED: usize = 32;
