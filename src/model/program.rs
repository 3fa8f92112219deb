//! What can be said of a watched program that is no engine: its processes, their CPU and connections, and how those change.

use std::collections::HashMap;

use crate::sample::{Census, Member, Program, Sample};

use super::entry;
use super::rate::{CpuShare, Rate};
use super::series::Series;
use super::summary::{MemberLine, ProcessLine};

/// What the rate at which unclosed connections pile up is taken over, microseconds.
const LEAK_US: u64 = 30_000_000;

/// What is followed from sample to sample.
#[derive(Debug, Clone)]
pub(super) struct ProgramLog {
    cpu: Vec<(u32, CpuShare)>,
    close_wait: Rate,
    /// Number of the count last seen.
    reading: u64,
    /// Connections that each process was last seen with.
    held: HashMap<u32, u64>,
    /// The same over the run, of those that are shown.
    tracks: Vec<(u32, Series)>,
}

/// Processes that are remembered, those that have ended among them.
const MOST_HELD: usize = 1024;

impl Default for ProgramLog {
    fn default() -> Self {
        Self { cpu: Vec::new(), close_wait: Rate::over(LEAK_US), reading: 0, held: HashMap::new(), tracks: Vec::new() }
    }
}

impl ProgramLog {
    /// Takes a sample.
    pub(super) fn update(&mut self, sample: &Sample) {
        let Some(program) = &sample.kernel.program else { return };
        let t_us = sample.t_ms * 1000;
        for member in &program.members {
            entry(&mut self.cpu, |c| c.0 == member.pid, || (member.pid, CpuShare::default()))
                .1
                .add(t_us, member.cpu_us);
        }
        self.cpu.retain(|(pid, _)| program.members.iter().any(|m| m.pid == *pid));
        self.held.extend(program.members.iter().filter_map(|m| Some((m.pid, m.connections?))));
        for member in program.members.iter().take(LISTED) {
            let track = &mut entry(&mut self.tracks, |t| t.0 == member.pid, || (member.pid, Series::default())).1;
            if let Some(held) = member.connections {
                track.push(sample.t_ms, held, [held as f64, f64::NAN, f64::NAN]);
            }
        }
        self.tracks.retain(|(pid, _)| program.members.iter().any(|m| m.pid == *pid));
        if self.held.len() > MOST_HELD {
            self.held.retain(|pid, _| program.members.iter().any(|m| m.pid == *pid));
        }
        let Ok(census) = &program.census else { return };
        if std::mem::replace(&mut self.reading, census.reading) == census.reading {
            return;
        }
        self.close_wait.add(t_us.saturating_sub(census.age_ms * 1000), census.close_wait);
    }

    /// CPU of a process, share of one core.
    pub(super) fn cpu_share(&self, pid: u32) -> Option<f64> {
        self.cpu.iter().find(|c| c.0 == pid).and_then(|c| c.1.share())
    }

    /// Connections that a process was last seen with.
    pub(super) fn held_by(&self, pid: u32) -> Option<u64> {
        self.held.get(&pid).copied()
    }

    /// The connections of a process over the run in `columns` equal steps of time; empty before the second sample.
    pub(super) fn columns(&self, pid: u32, columns: usize) -> Vec<f64> {
        self.tracks.iter().find(|t| t.0 == pid).map_or(Vec::new(), |t| t.1.columns(columns))
    }

    /// How fast connections pile up that the peer has closed and the program has not, per second.
    pub(super) fn close_wait_per_s(&self) -> Option<f64> {
        self.close_wait.per_s()
    }

    /// The program as JSON and text say it.
    pub(super) fn line(&self, program: &Program) -> ProcessLine {
        let census: Option<&Census> = program.census.as_ref().ok();
        let percent = |share: f64| (share * 1000.0).round() / 10.0;
        let member = |m: &Member| MemberLine {
            pid: m.pid,
            name: m.name.clone(),
            connections: m.connections,
            rss_bytes: m.rss_bytes,
            cpu_percent: self.cpu_share(m.pid).map(percent),
            descriptors: m.descriptors,
        };
        let shares: Vec<f64> = program.members.iter().filter_map(|m| self.cpu_share(m.pid)).collect();
        ProcessLine {
            pid: program.pid,
            name: program.name.clone(),
            processes: program.processes,
            rss_bytes: Some(program.rss_bytes).filter(|bytes| *bytes > 0),
            shared_bytes: Some(program.shared_bytes).filter(|_| program.rss_bytes > 0),
            cpu_percent: (!shares.is_empty()).then(|| percent(shares.iter().sum())),
            descriptors: program.descriptors,
            connections: census.map(|c| c.connections),
            queued: census.filter(|c| c.by_socket).map(|c| c.queued),
            close_wait: census.filter(|c| c.by_socket).map(|c| c.close_wait),
            age_ms: census.map(|c| c.age_ms),
            members: program.members.iter().take(LISTED).map(member).collect(),
            listeners: census.map(|c| c.listeners.clone()).unwrap_or_default(),
        }
    }
}

/// Processes that are written one by one.
const LISTED: usize = 32;
