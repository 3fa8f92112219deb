//! How long connections lived that the other end closed. When each began is kept in four bytes.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use hdrhistogram::Histogram;

use crate::engine::counters::{histogram, latency, lock, record, written};
use crate::protocol::Latency;
use crate::units::micros;

/// The clock's unit, microseconds. The events of one look at the sockets have the same time, so that a finer one would tell
/// nothing; in a coarser one "at once" and "after a round trip" would be the same.
const TICK_US: u64 = 100;

/// The longest lifetime that is told from longer ones: as long as [`Birth`] can count, five days.
const LONGEST_US: u64 = (1 << 32) * TICK_US;

/// When a connection was established: ticks since the clock's start; `u32::MAX` is too late to be counted.
pub(super) type Birth = u32;

/// The clock, and what it has measured.
#[derive(Debug)]
pub(super) struct Lifetimes {
    start: Instant,
    ended: Mutex<Histogram<u32>>,
    total_us: AtomicU64,
}

impl Lifetimes {
    pub(super) fn new(start: Instant) -> io::Result<Self> {
        Ok(Self { start, ended: Mutex::new(histogram(LONGEST_US)?), total_us: AtomicU64::new(0) })
    }

    /// What to keep of a connection that is established now.
    pub(super) fn birth(&self, now: Instant) -> Birth {
        let ticks = micros(now.saturating_duration_since(self.start)) / TICK_US;
        Birth::try_from(ticks).unwrap_or(Birth::MAX)
    }

    /// How long a connection has lived that ends now, microseconds: whole ticks, one at the least. `None` of one that began
    /// when the clock could no longer count.
    pub(super) fn lived(&self, birth: Birth, now: Instant) -> Option<u64> {
        let ticks = micros(now.saturating_duration_since(self.start)) / TICK_US;
        (birth != Birth::MAX).then(|| ticks.saturating_sub(u64::from(birth)).max(1) * TICK_US)
    }

    /// Adds the lifetimes of a batch, microseconds.
    pub(super) fn add(&self, lifetimes: &[u64]) {
        let mut ended = lock(&self.ended);
        for &us in lifetimes {
            record(&mut ended, us);
        }
        self.total_us.fetch_add(lifetimes.iter().sum(), Relaxed);
    }

    /// All of them added up, microseconds.
    pub(super) fn total_us(&self) -> u64 {
        self.total_us.load(Relaxed)
    }

    /// The whole distribution.
    pub(super) fn times(&self) -> String {
        written(&lock(&self.ended))
    }

    /// The quantiles that are shown.
    pub(super) fn report(&self) -> Latency {
        latency(&lock(&self.ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn counts_from_a_tick_to_five_days() {
        let start = Instant::now();
        let lifetimes = Lifetimes::new(start).unwrap();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let day = 24 * 3600 * 1000;
        for (born, ended, want) in [
            (5, 5, Some(100)),
            (5, 6, Some(1_000)),
            (1_000, 61_000, Some(60_000_000)),
            // The clock goes on when it can no longer be written down.
            (day, 30 * day, Some(29 * day * 1000)),
            (4 * day, 5 * day, Some(day * 1000)),
            (5 * day, 6 * day, None),
        ] {
            assert_eq!(lifetimes.lived(lifetimes.birth(at(born)), at(ended)), want, "{born} to {ended} ms");
        }
    }

    #[test]
    fn the_longest_stands_for_all_that_are_longer() {
        let lifetimes = Lifetimes::new(Instant::now()).unwrap();
        lifetimes.add(&[100, 200, 300, 2 * LONGEST_US]);
        let seen = lifetimes.report();
        assert_eq!((seen.count, lifetimes.total_us()), (4, 600 + 2 * LONGEST_US));
        assert!((198..=202).contains(&seen.p50_us) && seen.max_us >= LONGEST_US * 98 / 100, "{seen:?}");
    }
}
