//! When each active connection sends: once a round, spread over it however many there are.
//!
//! Each is due at its own moment, to the nanosecond, so that messages do not leave in lots that then wait for one another. As
//! many as may come divide the round evenly. Those of a lot follow one another: they were opened together, and what the
//! kernel keeps of them lies together (spread one by one, 1,000 connections cost a tenth of the messages that two cores echo:
//! `cargo bench --bench traffic`, saturation). The lots follow one another in steps of φ, the golden ratio, so that the
//! first few of them are spread evenly as well.

use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// Fraction of the round, in units of 2^-32, and whose it is.
pub(super) type Place = (u32, RawFd);

/// The golden ratio's fractional part, in millionths.
const GOLDEN: u64 = 618_034;

/// Most connections of a lot.
const LOT: u64 = 64;

/// Places of a bucket, if they are as many as may be, and most buckets, as a power of two.
const PER_BUCKET: u64 = 16;
const MOST_BUCKETS: u32 = 10;

/// The places of one worker's active connections.
#[derive(Debug)]
pub(super) struct Schedule {
    every: Duration,
    /// When the round under way began.
    round: Instant,
    /// Equal parts of the round, each in order.
    buckets: Vec<Vec<Place>>,
    /// Bits of a fraction that its bucket does not tell.
    shift: u32,
    /// Bucket and index of the first that has not had its turn in this round.
    at: (usize, usize),
    /// When that one is due, where it has been looked up.
    due: Option<Instant>,
    /// Connections there are, and have been added.
    count: usize,
    added: u64,
    /// Lots of a round, the connections of each, and how many lots further the next begins.
    lots: u64,
    lot: u64,
    stride: u64,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is this connection's turn, since then.
    Due(RawFd, Instant),
    /// Nothing for so long.
    Wait(Duration),
}

impl Schedule {
    /// Without connections, of which there may be `most`; a round takes `every` and the first begins now.
    pub(super) fn new(every: Duration, most: u64, now: Instant) -> Self {
        let lots = most.div_ceil(LOT).max(1);
        // Without a common divisor it comes by every lot before it comes back to the first.
        let nearest = (lots.saturating_mul(GOLDEN) / 1_000_000).max(1);
        let stride = (nearest..lots).find(|stride| gcd(*stride, lots) == 1).unwrap_or(1);
        let bits = most.div_ceil(PER_BUCKET).next_power_of_two().trailing_zeros().clamp(1, MOST_BUCKETS);
        Self {
            every,
            round: now,
            buckets: vec![Vec::new(); 1 << bits],
            shift: u32::BITS - bits,
            at: (0, 0),
            due: None,
            count: 0,
            added: 0,
            lots,
            lot: most.div_ceil(lots).max(1),
            stride,
        }
    }

    /// Adds a connection. A turn of before `now` may still come up for it.
    pub(super) fn add(&mut self, fd: RawFd, now: Instant) -> Place {
        if self.count == 0 {
            // Nobody had a turn in the rounds that have gone by.
            let gone = now.saturating_duration_since(self.round).as_nanos() / self.every.as_nanos().max(1);
            self.round += self.every * u32::try_from(gone).unwrap_or(u32::MAX);
            self.at = (0, 0);
        }
        let place = (self.fraction(self.added), fd);
        self.added += 1;
        let (bucket, index) = self.find(place);
        self.buckets[bucket].insert(index, place);
        self.at.1 += usize::from(bucket == self.at.0 && index < self.at.1);
        (self.count, self.due) = (self.count + 1, None);
        place
    }

    pub(super) fn remove(&mut self, place: Place) {
        let (bucket, index) = self.find(place);
        if self.buckets[bucket].get(index) == Some(&place) {
            self.buckets[bucket].remove(index);
            self.at.1 -= usize::from(bucket == self.at.0 && index < self.at.1);
            (self.count, self.due) = (self.count - 1, None);
        }
    }

    pub(super) fn clear(&mut self) {
        self.buckets.iter_mut().for_each(Vec::clear);
        (self.at, self.due, self.count) = ((0, 0), None, 0);
    }

    /// The next turn, which is passed with that; `None` without connections. One that was missed comes late and is not left
    /// out.
    pub(super) fn next(&mut self, now: Instant) -> Option<Turn> {
        if self.count == 0 {
            return None;
        }
        if let Some(due) = self.due.filter(|due| *due > now) {
            return Some(Turn::Wait(due - now));
        }
        let (mut round, (mut bucket, mut index)) = (self.round, self.at);
        let place = loop {
            if let Some(place) = self.buckets[bucket].get(index) {
                break *place;
            }
            (bucket, index) = (bucket + 1, 0);
            if bucket == self.buckets.len() {
                (round, bucket) = (round + self.every, 0);
            }
        };
        let due = round + self.after(place.0);
        if due > now {
            // Who is added before then may come before it: nothing is passed yet.
            self.due = Some(due);
            return Some(Turn::Wait(due - now));
        }
        (self.round, self.at) = (round, (bucket, index + 1));
        Some(Turn::Due(place.1, due))
    }

    /// The place of the `n`-th connection.
    fn fraction(&self, n: u64) -> u32 {
        let lot = n / self.lot % self.lots * self.stride % self.lots;
        let place = (u128::from(lot * self.lot + n % self.lot) << u32::BITS) / u128::from(self.lots * self.lot);
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// Where a place is, or belongs.
    fn find(&self, place: Place) -> (usize, usize) {
        let bucket = (place.0 >> self.shift) as usize;
        (bucket, self.buckets[bucket].partition_point(|p| *p < place))
    }

    /// How long after the beginning of a round a fraction of it is.
    fn after(&self, fraction: u32) -> Duration {
        let ns = (self.every.as_nanos() * u128::from(fraction)) >> 32;
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

/// The greatest common divisor.
fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn with(connections: RawFd, start: Instant) -> Schedule {
        let mut schedule = Schedule::new(SECOND, connections.cast_unsigned().into(), start);
        for fd in 0..connections {
            schedule.add(fd, start);
        }
        schedule
    }

    /// The turns up to `now`: whose, and how long after `start`.
    fn turns(schedule: &mut Schedule, start: Instant, now: Instant) -> Vec<(RawFd, Duration)> {
        let turn = || match schedule.next(now) {
            Some(Turn::Due(fd, due)) => Some((fd, due - start)),
            _ => None,
        };
        std::iter::from_fn(turn).collect()
    }

    /// The widest gap between two turns of the second round, in even ones.
    fn widest(connections: RawFd, most: u64) -> f64 {
        let start = Instant::now();
        let mut schedule = Schedule::new(SECOND, most, start);
        for fd in 0..connections {
            schedule.add(fd, start);
        }
        let mut seen = vec![0; connections.cast_unsigned() as usize];
        let turns = turns(&mut schedule, start, start + Duration::from_nanos(2_999_999_999));
        for turn in &turns {
            seen[turn.0.cast_unsigned() as usize] += 1;
        }
        assert!(seen.iter().all(|n| *n == 3), "{connections}: {seen:?}");
        let Some(Turn::Wait(wait)) = schedule.next(start + 2 * SECOND) else { panic!("nothing to wait for") };
        assert_eq!(wait, SECOND, "connection 0 begins each round");
        let gaps = turns.windows(2).map(|pair| pair[1].1.as_secs_f64() - pair[0].1.as_secs_f64());
        gaps.fold(0.0, f64::max) * f64::from(connections)
    }

    #[test]
    fn each_has_one_turn_a_round_and_all_are_evenly_apart() {
        for connections in [1, 2, 3, 10, 64, 65, 1000, 20_000] {
            let gap = widest(connections, connections.cast_unsigned().into());
            // The last lot may not be full.
            assert!(gap < 64.0, "{connections}: {gap}");
        }
        for connections in [10, 128, 6400] {
            assert!(widest(connections, connections.cast_unsigned().into()) < 1.01);
        }
    }

    #[test]
    fn the_first_of_many_are_spread_as_well() {
        for connections in [640, 6_400] {
            // Of 1,000 lots 10 and 100: evenly they would be a tenth and a hundredth of a round apart.
            let gap = widest(connections, 64_000) / 64.0;
            assert!(gap < 5.0, "{connections}: {gap}");
        }
        assert!((4.1..4.3).contains(&widest(5, 25)), "in one lot they follow one another");
    }

    #[test]
    fn who_has_left_has_no_turn_and_nobody_loses_one_to_it() {
        let start = Instant::now();
        let mut schedule = with(3, start);
        assert_eq!(schedule.next(start), Some(Turn::Due(0, start)));
        schedule.remove(schedule.buckets[0][0]);
        let whose = |turns: Vec<(RawFd, Duration)>| turns.into_iter().map(|t| t.0).collect::<Vec<_>>();
        assert_eq!(whose(turns(&mut schedule, start, start + 2 * SECOND)), [1, 2, 1, 2]);
        schedule.clear();
        assert_eq!(schedule.next(start), None);
    }

    #[test]
    fn the_first_after_a_long_time_without_any_begins_with_its_own_round() {
        let start = Instant::now();
        let mut schedule = Schedule::new(SECOND, 1, start);
        let later = start + 1000 * SECOND + SECOND / 2;
        schedule.add(7, later);
        assert_eq!(turns(&mut schedule, start, later), [(7, 1000 * SECOND)], "which the sender passes over");
        assert_eq!(schedule.next(later), Some(Turn::Wait(SECOND / 2)));
    }
}
