//! A worker's row, and the sums and counts over all of them.

use serde::Serialize;

use super::worker::{Stage, WorkerState};
use crate::model::RunPhase;

/// A worker that has not been heard of for so long is silent, milliseconds: it publishes once a second.
pub const SILENT_MS: u64 = 5_000;

/// From then on it is lost: its connections are no longer counted, milliseconds. Heard again it is back.
pub const LOST_MS: u64 = 20_000;

/// How a worker stands, as far as the store tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It has come, and waits until all others are ready.
    Waiting,
    /// Heard of within [`SILENT_MS`].
    Running,
    /// Not heard of for longer than that: stopped, or cut off from the store.
    Silent,
    /// Not heard of for [`LOST_MS`].
    Lost,
    /// Its run is over.
    Left,
}

impl Standing {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Waiting => "waiting",
            Standing::Running => "running",
            Standing::Silent => "SILENT",
            Standing::Lost => "LOST",
            Standing::Left => "ended",
        }
    }

    /// Whether what it last said still holds.
    pub fn counts(self) -> bool {
        !matches!(self, Standing::Lost)
    }
}

/// A worker's row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What it last said.
    pub state: WorkerState,
    /// How it stands.
    pub standing: Standing,
    /// How long ago it said that, milliseconds.
    pub age_ms: u64,
    /// Share of its target that it has, 0 to 1; `None` without a target.
    pub progress: Option<f64>,
}

impl Row {
    pub(super) fn of(state: WorkerState, now_us: u64) -> Self {
        let age_ms = now_us.saturating_sub(state.at_us) / 1000;
        let standing = match state.stage {
            Stage::Left => Standing::Left,
            _ if age_ms >= LOST_MS => Standing::Lost,
            _ if age_ms >= SILENT_MS => Standing::Silent,
            Stage::Joining | Stage::Waiting => Standing::Waiting,
            Stage::Running => Standing::Running,
        };
        let progress = state.target.filter(|target| *target > 0).map(|t| share(state.connections, t));
        Self { state, standing, age_ms, progress }
    }

    /// Whether it ended before it began: it could not, and has said no more than its exit status.
    pub fn never_began(&self) -> bool {
        self.standing == Standing::Left && self.state.verdict.is_none()
    }

    /// The word for its state: what its run is doing, or how it stands where that matters more.
    pub fn word(&self) -> &'static str {
        match self.standing {
            Standing::Running if self.state.phase == RunPhase::Guarded && self.state.is_held_back() => "HELD",
            Standing::Running => self.state.phase.word_of(self.state.who.role.serves()),
            standing => standing.word(),
        }
    }
}

/// Sums over the workers that count.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Connections open at the clients; where no client is in the fleet, at the servers.
    pub connections: u64,
    /// Connections open at the servers; `None` without one.
    pub accepted: Option<u64>,
    /// Connections aimed at by every client that has come, also by those that are lost.
    pub target: Option<u64>,
    /// Connections per second.
    pub rate_per_s: f64,
    /// Calls that failed.
    pub failures: u64,
    /// Connections that the other end or an error closed, at the clients.
    pub lost: u64,
    /// The sum of the most that each client had open: as many at once only where nothing was lost in between.
    pub peak: u64,
}

/// How many workers stand how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Workers that the fleet was told to expect, or that its parts are; `None`: nobody said, and each that came could begin.
    pub expected: Option<u64>,
    /// Workers that have come, but for those that could not begin.
    pub come: u64,
    /// Come, and waiting.
    pub waiting: u64,
    /// Running and heard of.
    pub running: u64,
    /// Silent.
    pub silent: u64,
    /// Lost.
    pub lost: u64,
    /// Over.
    pub left: u64,
}

/// One of the other, 0 to 1.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
