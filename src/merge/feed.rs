//! One recording on its way through time.

use std::sync::Arc;

use super::engines::Held;
use super::parts::Member;
use crate::model::Summary;
use crate::protocol::Role;
use crate::record::{Course, Entries, Entry, verdict_so_far};
use crate::sample::Sample;

/// A recording, and where in it the merge is.
pub(super) struct Feed<'a> {
    pub(super) member: &'a Member,
    pub(super) entries: Entries<'a>,
    pub(super) next: Option<Entry>,
    pub(super) course: Course,
    /// Its own start, milliseconds after the first part's.
    pub(super) start_ms: u64,
    pub(super) host: String,
    pub(super) network: String,
    /// Its share of what its role opens, 0 to 1.
    pub(super) share: f64,
    /// As it was last sampled; before its start as it was first.
    pub(super) sample: Arc<Sample>,
    /// When that was, milliseconds after the first part's start.
    pub(super) at_ms: u64,
    pub(super) begun: bool,
    pub(super) ended: bool,
    /// Its own summary.
    pub(super) summary: Option<Summary>,
}

impl Feed<'_> {
    pub(super) fn live(&self) -> bool {
        self.begun && !self.ended
    }

    /// When its next entry was, milliseconds after the first part's start; what has no time comes with what is before it.
    pub(super) fn due(&self) -> Option<u64> {
        let next = self.next.as_ref()?;
        Some(next.t_ms().map_or(self.at_ms, |t_ms| self.start_ms + t_ms))
    }

    /// What it came to, or had come to where it was cut short.
    pub(super) fn came_to(&self) -> Summary {
        self.summary.clone().unwrap_or_else(|| self.course.summary(verdict_so_far(self.course.model())))
    }

    pub(super) fn is_cut_short(&self) -> bool {
        self.summary.is_none()
    }

    pub(super) fn held(&self, role: Role) -> Option<Held<'_>> {
        let watched = self.sample.watched().find(|w| w.role() == Some(role))?;
        let (engine, stats) = (watched.engine?, watched.stats()?);
        let now_us = (self.start_ms + self.sample.t_ms) * 1000;
        let start_us = now_us.saturating_sub(stats.t_us);
        Some(Held {
            hello: &engine.hello,
            process: watched.process,
            stats,
            live: self.live() && watched.alive,
            start_us,
        })
    }
}
