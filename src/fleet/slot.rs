//! What the run hands to the fleet's thread: the newest state alone, so that nothing queues up while the store is away.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::worker::WorkerState;
use crate::model::Verdict;

/// Most counts that wait for the thread: more than come in the time that it waits for the store.
const POINTS: usize = 256;

/// What has come since it was last taken.
#[derive(Debug, Default)]
pub(super) struct Handed {
    /// The newest state, and when it was true.
    pub(super) state: Option<(Instant, Box<WorkerState>)>,
    /// Connections at every moment since.
    pub(super) points: Vec<(Instant, u64)>,
    /// Everything is up.
    pub(super) ready: bool,
    /// The run is over, and how it ended, where it ran.
    pub(super) leave: Option<Farewell>,
}

/// The last word of a worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Farewell(pub(super) Option<Verdict>);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Slot {
    handed: Mutex<Handed>,
    changed: Condvar,
    /// The store's time less that of the thread's own clock, microseconds.
    offset_us: AtomicI64,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Handed> {
        // What is in it is whole whoever panicked.
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn publish(&self, at: Instant, state: WorkerState) {
        let mut handed = self.lock();
        if handed.points.len() < POINTS {
            handed.points.push((at, state.connections));
        }
        handed.state = Some((at, Box::new(state)));
        self.changed.notify_one();
    }

    pub(super) fn ready(&self) {
        self.lock().ready = true;
        self.changed.notify_one();
    }

    pub(super) fn leave(&self, verdict: Option<Verdict>) {
        self.lock().leave = Some(Farewell(verdict));
        self.changed.notify_one();
    }

    /// Waits until `until` at the longest, or until something comes; takes what has come.
    pub(super) fn take(&self, until: Instant) -> Handed {
        let wait = until.saturating_duration_since(Instant::now()).min(Duration::from_secs(1));
        let nothing = |handed: &mut Handed| handed.state.is_none() && !handed.ready && handed.leave.is_none();
        let waited = self.changed.wait_timeout_while(self.lock(), wait, nothing);
        let (mut handed, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *handed)
    }

    pub(super) fn set_offset(&self, us: i64) {
        self.offset_us.store(us, Relaxed);
    }

    pub(super) fn offset_us(&self) -> i64 {
        self.offset_us.load(Relaxed)
    }
}
