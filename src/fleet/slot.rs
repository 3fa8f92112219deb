//! What the run hands to the fleet's thread: the newest state alone, so that nothing queues up while the store is away.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::worker::WorkerState;
use crate::model::Verdict;

/// Most counts that wait for the thread: more than come in the time that it waits for the store.
const POINTS: usize = 256;

/// Most bytes of the worker's own run that wait for the store: one that is away for longer has those who look begin anew.
const FEED_WAITS: usize = 8 << 20;

/// What has come since it was last taken.
#[derive(Debug, Default)]
pub(super) struct Handed {
    /// The newest state, and when its reading began.
    pub(super) state: Option<(Instant, Box<WorkerState>)>,
    /// Connections at every moment since.
    pub(super) points: Vec<(Instant, u64)>,
    /// Pieces of the worker's own run.
    pub(super) pieces: Vec<Vec<u8>>,
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
    /// The feed that goes on, of those who look at the worker's own run; 0: none does.
    feed: AtomicU64,
    /// Bytes of it that wait for the store.
    feed_bytes: AtomicUsize,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Handed> {
        // What is in it is whole whoever panicked.
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest state, whose reading began `at` this moment.
    pub(super) fn publish(&self, at: Instant, state: WorkerState) {
        let mut handed = self.lock();
        if handed.points.len() < POINTS {
            // Dated after it was counted, as a server's count is dated before: both ways a client takes itself to have had less at
            // that moment, and has less room.
            handed.points.push((Instant::now(), state.connections));
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
        let nothing = |handed: &mut Handed| {
            handed.state.is_none() && handed.pieces.is_empty() && !handed.ready && handed.leave.is_none()
        };
        let waited = self.changed.wait_timeout_while(self.lock(), wait, nothing);
        let (mut handed, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *handed)
    }

    /// A feed begins.
    pub(super) fn begin_feed(&self, number: u64) {
        let mut handed = self.lock();
        handed.pieces.clear();
        self.feed_bytes.store(0, Relaxed);
        self.feed.store(number, Relaxed);
    }

    /// Whether that feed goes on.
    pub(super) fn feeds(&self, number: u64) -> bool {
        self.feed.load(Relaxed) == number
    }

    /// That feed, if it still goes on, does so no more.
    pub(super) fn end_feed(&self, number: u64) {
        // Another may have begun.
        let _ = self.feed.compare_exchange(number, 0, Relaxed, Relaxed);
    }

    /// The next piece of a feed; whether that goes on.
    pub(super) fn feed(&self, number: u64, piece: Vec<u8>) -> bool {
        let mut handed = self.lock();
        if !self.feeds(number) {
            return false;
        }
        if self.feed_bytes.fetch_add(piece.len(), Relaxed) > FEED_WAITS {
            self.end_feed(number);
            return false;
        }
        handed.pieces.push(piece);
        self.changed.notify_one();
        true
    }

    /// A piece of so many bytes no longer waits.
    pub(super) fn piece_taken(&self, bytes: usize) {
        self.feed_bytes.fetch_sub(bytes, Relaxed);
    }

    pub(super) fn set_offset(&self, us: i64) {
        self.offset_us.store(us, Relaxed);
    }

    pub(super) fn offset_us(&self) -> i64 {
        self.offset_us.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_counted_is_dated_before_it_and_what_a_client_counted_after_it() {
        let slot = Slot::default();
        let began = Instant::now();
        std::thread::sleep(Duration::from_millis(2));
        let read = Instant::now();
        slot.publish(began, WorkerState::default());
        let handed = slot.take(read);
        assert_eq!(handed.state.map(|(at, _)| at), Some(began));
        assert!(handed.points[0].0 >= read);
    }

    #[test]
    fn a_store_that_takes_nothing_ends_the_feed_and_not_the_memory() {
        let slot = Slot::default();
        assert!(!slot.feed(7, vec![0; 10]), "nobody has asked for it");
        slot.begin_feed(7);
        let given = (0..1000).take_while(|_| slot.feed(7, vec![0; 1 << 20])).count();
        assert_eq!(given, (FEED_WAITS >> 20) + 1);
        assert!(!slot.feeds(7) && !slot.feed(7, vec![0; 10]));
        // The next begins with nothing of it, and the end of the one before is not its own.
        slot.begin_feed(8);
        slot.end_feed(7);
        assert!(slot.feed(8, vec![1]) && slot.take(Instant::now()).pieces == [[1]]);
        slot.end_feed(8);
        assert!(!slot.feed(8, vec![1]));
    }
}
