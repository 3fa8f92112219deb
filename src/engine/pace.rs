//! The pace of opening and closing: a token bucket whose clock the caller gives.

#![expect(clippy::cast_precision_loss, reason = "connections a second, far below 2^52")]

use std::time::{Duration, Instant};

use crate::units::whole;

/// How much of a second a caller that was late may catch up with: enough to bridge a scheduling hiccup, too little for a
/// burst that would fill an accept queue.
const CATCH_UP: Duration = Duration::from_millis(20);

/// So many per second, handed out in lots.
#[derive(Debug)]
pub struct Pace {
    per_s: Option<u64>,
    /// Since when tokens have been counting.
    since: Instant,
    /// Fraction of a token left over.
    tokens: f64,
}

impl Pace {
    /// `None` is no limit.
    pub fn new(per_s: Option<u64>, now: Instant) -> Self {
        Self { per_s, since: now, tokens: 0.0 }
    }

    /// The rate in force.
    pub fn per_s(&self) -> Option<u64> {
        self.per_s
    }

    /// Changes the rate from now on.
    pub fn set(&mut self, per_s: Option<u64>, now: Instant) {
        *self = Self::new(per_s, now);
    }

    /// Takes up to `want`.
    ///
    /// # Errors
    /// When none is left yet: how long to wait for the next.
    pub fn take(&mut self, want: u64, now: Instant) -> Result<u64, Duration> {
        let Some(per_s) = self.per_s else { return Ok(want) };
        let rate = per_s.max(1) as f64;
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        // Two lanes may ask with times in the other order.
        self.since = self.since.max(now);
        // At least one token fits in, or a slow rate would never give any.
        let most = (rate * CATCH_UP.as_secs_f64()).max(1.0);
        self.tokens = (self.tokens + passed * rate).min(most);
        let got = whole(self.tokens).min(want);
        if got == 0 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / rate));
        }
        self.tokens -= got as f64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a bucket for `ms` milliseconds in steps and returns what it gave.
    fn run(per_s: u64, ms: u64, step: u64) -> u64 {
        let start = Instant::now();
        let mut pace = Pace::new(Some(per_s), start);
        (1..=ms / step).filter_map(|i| pace.take(u64::MAX, start + Duration::from_millis(i * step)).ok()).sum()
    }

    #[test]
    fn gives_the_rate_whatever_the_step() {
        for (per_s, step) in [(1000, 1), (1000, 7), (50_000, 10), (3, 1)] {
            let got = run(per_s, 10_000, step);
            assert!(got.abs_diff(per_s * 10) <= per_s / 100 + 1, "{per_s}/s in steps of {step} ms gave {got}");
        }
    }

    #[test]
    fn a_late_caller_does_not_burst() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(1000), start);
        assert_eq!(pace.take(u64::MAX, start + Duration::from_mins(1)), Ok(20));
    }

    #[test]
    fn says_how_long_to_wait() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(10), start);
        assert_eq!(pace.take(5, start), Err(Duration::from_millis(100)));
        let late = start + Duration::from_secs(1);
        assert_eq!(pace.take(5, late), Ok(1), "the bucket holds one token at this rate, however long nobody asks");
    }
}
