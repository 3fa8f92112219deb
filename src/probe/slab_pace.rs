//! When to read `/proc/slabinfo`, the one source whose cost is not its own.
//!
//! For each cache the kernel walks the list of partly filled slabs under a lock (`count_partial`, `mm/slub.c`). While sockets
//! are opened that list is short. While 2.5 million were closed one reading took up to 1.9 s, on the list that the closing
//! itself needs. And while their number stands still there is nothing new to read.

use std::time::{Duration, Instant};

/// A change of the socket count that is worth a reading: one in so many, and at least [`FEW`].
const SHARE: u64 = 500;
const FEW: u64 = 32;
/// Other users of the caches are looked at this often.
const OLD: Duration = Duration::from_secs(10);
/// At most this part of the time goes into reading: after one of 10 ms the next waits two seconds.
const REST: u32 = 200;

/// What to do this time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Read.
    Read,
    /// The last reading still holds.
    Keep,
    /// It is too soon for another one, and the last no longer holds: sockets have been opened since.
    KeepOld,
    /// Sockets are being closed: there is no reading.
    Leave,
}

/// State of the rule.
#[derive(Debug, Default)]
pub(crate) struct SlabPace {
    /// Sockets when it was last read.
    at: Option<u64>,
    /// Sockets the last time that was asked.
    before: u64,
    read: Option<Instant>,
    not_before: Option<Instant>,
}

impl SlabPace {
    /// Decides. `sockets` is how many the host has now, where known.
    pub(crate) fn next(&mut self, sockets: Option<u64>, now: Instant) -> Turn {
        let (Some(count), Some(read)) = (sockets, self.read) else { return self.go(sockets) };
        let falling = count + (self.before / SHARE).max(FEW) < self.before;
        // The first few of a close are too few to tell it from coming and going; a reading then would be amid it already.
        let fewer = count < self.before;
        self.before = count;
        if falling {
            // What is left in the caches says nothing of the sockets that are left.
            self.at = None;
            return Turn::Leave;
        }
        let moved = self.at.is_none_or(|at| count.abs_diff(at) >= (at / SHARE).max(FEW));
        if fewer || self.not_before.is_some_and(|at| now < at) {
            return match self.at {
                None => Turn::Leave,
                Some(_) if moved => Turn::KeepOld,
                Some(_) => Turn::Keep,
            };
        }
        if moved || now.duration_since(read) >= OLD { self.go(sockets) } else { Turn::Keep }
    }

    fn go(&mut self, sockets: Option<u64>) -> Turn {
        self.at = sockets;
        self.before = sockets.unwrap_or(0);
        Turn::Read
    }

    /// Told what the reading cost.
    pub(crate) fn took(&mut self, cost: Duration, now: Instant) {
        self.read = Some(now);
        self.not_before = Some(now + cost * REST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks at each count, a second apart; a reading costs `cost`.
    fn run(counts: &[u64], cost: Duration) -> String {
        let mut pace = SlabPace::default();
        let start = Instant::now();
        let turn = |(i, count): (usize, &u64)| {
            let now = start + Duration::from_secs(i as u64);
            match pace.next(Some(*count), now) {
                Turn::Read => {
                    pace.took(cost, now);
                    'R'
                }
                Turn::Keep | Turn::KeepOld => 'k',
                Turn::Leave => '-',
            }
        };
        counts.iter().enumerate().map(turn).collect()
    }

    #[test]
    fn reads_while_rising_keeps_while_standing_leaves_while_falling() {
        let quick = Duration::from_micros(80);
        assert_eq!(run(&[0, 100_000, 200_000, 300_000, 300_000, 300_010, 300_000], quick), "RRRRkkk");
        assert_eq!(run(&[300_000, 200_000, 100_000, 0, 0, 0], quick), "R---Rk");
        let mut begins = vec![300_000; 12];
        begins.push(299_900);
        assert_eq!(run(&begins, quick), "RkkkkkkkkkRkk", "a close that has just begun is no time to look");
        begins[10] = 299_900;
        assert_eq!(&run(&begins, quick)[9..12], "kkR", "due, but falling; read once that is over");
        assert_eq!(run(&[7; 22], quick), "RkkkkkkkkkRkkkkkkkkkRk", "every ten seconds while nothing changes");
    }

    #[test]
    fn a_dear_reading_is_rested_from() {
        let costly = Duration::from_millis(20);
        assert_eq!(run(&[0, 1000, 2000, 3000, 4000, 5000, 6000], costly), "RkkkRkk");
    }

    #[test]
    fn a_reading_that_sockets_have_overtaken_is_called_old() {
        let mut pace = SlabPace::default();
        let start = Instant::now();
        assert_eq!(pace.next(Some(180_000), start), Turn::Read);
        pace.took(Duration::from_millis(7), start);
        let soon = start + Duration::from_secs(1);
        assert_eq!(pace.next(Some(180_010), soon), Turn::Keep, "ten sockets are nothing");
        assert_eq!(pace.next(Some(360_000), soon), Turn::KeepOld);
        assert_eq!(pace.next(Some(540_000), start + Duration::from_secs(2)), Turn::Read);
    }

    #[test]
    fn without_a_count_it_reads_each_time() {
        let mut pace = SlabPace::default();
        let now = Instant::now();
        assert_eq!(pace.next(None, now), Turn::Read);
        pace.took(Duration::ZERO, now);
        assert_eq!(pace.next(None, now), Turn::Read);
    }
}
