//! The store's clock as this process sees it: the monotonic clock and an offset, so that no step of a wall clock moves it.

/// How long a reading is kept though a later one was slower, microseconds: two crystals drift apart by some 50 us in a second.
const KEPT_US: u64 = 60_000_000;

/// A reading this far from what the clock says, beyond what round trips explain, is of a clock that was set, or of another
/// store, microseconds.
const STEP_US: u64 = 20_000;

/// One reading.
#[expect(clippy::struct_field_names, reason = "each is in microseconds")]
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// The store's time less the monotonic one, microseconds.
    offset_us: i64,
    /// Half of its round trip.
    error_us: u64,
    /// When, monotonic.
    at_us: u64,
}

/// The clock.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StoreClock {
    best: Option<Reading>,
}

impl StoreClock {
    /// Takes a reading of the store's time: monotonic before and after it, all in microseconds. The shortest round trip wins.
    pub(super) fn read(&mut self, before_us: u64, store_us: u64, after_us: u64) {
        let trip = after_us.saturating_sub(before_us);
        let middle = before_us + trip / 2;
        let offset_us = signed(store_us).saturating_sub(signed(middle));
        let new = Reading { offset_us, error_us: trip / 2 + 1, at_us: after_us };
        let keep = self.best.is_some_and(|best| {
            let apart = best.offset_us.abs_diff(new.offset_us);
            let stepped = apart > best.error_us + new.error_us + STEP_US;
            let old = after_us.saturating_sub(best.at_us) > KEPT_US;
            best.error_us <= new.error_us && !stepped && !old
        });
        if !keep {
            self.best = Some(new);
        }
    }

    /// The store's time at a monotonic moment, microseconds; before the first reading the moment itself.
    pub(super) fn store_us(&self, mono_us: u64) -> u64 {
        mono_us.saturating_add_signed(self.offset_us())
    }

    /// The monotonic moment of a time of the store.
    pub(super) fn mono_us(&self, store_us: u64) -> u64 {
        store_us.saturating_add_signed(self.offset_us().saturating_neg())
    }

    /// The store's time less the monotonic one, microseconds.
    pub(super) fn offset_us(&self) -> i64 {
        self.best.map_or(0, |best| best.offset_us)
    }

    /// The store's time is known to this, microseconds.
    pub(super) fn error_us(&self) -> u64 {
        self.best.map_or(0, |best| best.error_us)
    }
}

fn signed(us: u64) -> i64 {
    i64::try_from(us).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_round_trip_wins() {
        let mut clock = StoreClock::default();
        // The answer came late, so that the middle is off by 4.5 ms.
        clock.read(1_000_000, 5_000_500, 1_010_000);
        assert_eq!((clock.store_us(1_010_000), clock.error_us()), (5_005_500, 5001));
        clock.read(2_000_000, 6_000_100, 2_000_200);
        assert_eq!((clock.store_us(2_000_200), clock.error_us()), (6_000_200, 101));
        clock.read(3_000_000, 7_004_000, 3_008_000);
        assert_eq!(clock.error_us(), 101, "a slower one is no better");
        assert_eq!(clock.mono_us(clock.store_us(77_000_000)), 77_000_000);
    }

    #[test]
    fn a_store_whose_clock_was_set_is_believed() {
        let mut clock = StoreClock::default();
        clock.read(1_000_000, 5_000_100, 1_000_200);
        clock.read(2_000_000, 606_000_500, 2_001_000);
        assert_eq!(clock.store_us(2_001_000), 606_001_000, "ten minutes on, though its round trip was longer");
    }

    #[test]
    fn a_reading_grows_old() {
        let mut clock = StoreClock::default();
        clock.read(1_000_000, 5_000_100, 1_000_200);
        clock.read(62_000_000, 66_003_000, 62_002_000);
        assert_eq!(clock.error_us(), 1001, "after a minute a slower one is better than an old one");
    }
}
