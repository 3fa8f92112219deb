//! A reading that is kept for a while: of what hardly ever changes, or costs more than it tells.

use std::time::{Duration, Instant};

/// Kept this long; a little less than two seconds, so that with a sample each second every other one reads.
pub(crate) const PACE: Duration = Duration::from_millis(1900);

/// The last reading, and the hint it was read with.
#[derive(Debug)]
pub(crate) struct Kept<T, H = ()> {
    pace: Duration,
    last: Option<(Instant, H, T)>,
}

impl<T, H: PartialEq> Kept<T, H> {
    /// Nothing yet.
    pub(crate) fn every(pace: Duration) -> Self {
        Self { pace, last: None }
    }

    /// The last reading; a new one once it is as old as the pace, and at once when `hint` is not what it was then.
    pub(crate) fn get(&mut self, now: Instant, hint: H, read: impl FnOnce() -> T) -> &T {
        let last = self.last.take().filter(|(at, then, _)| now < *at + self.pace && *then == hint);
        &self.last.insert(last.unwrap_or_else(|| (now, hint, read()))).2
    }

    /// Has the next [`Self::get`] read.
    pub(crate) fn forget(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_kept_until_it_is_old_or_something_hints_at_a_change() {
        let start = Instant::now();
        let mut kept = Kept::every(PACE);
        let mut readings = 0;
        for (ms, hint, forget, want) in [
            (0, 7, false, 1),
            (1000, 7, false, 1),
            (1899, 7, false, 1),
            (1900, 7, false, 2),
            (2000, 8, false, 3),
            (2001, 8, false, 3),
            (2002, 8, true, 4),
        ] {
            if forget {
                kept.forget();
            }
            let got = *kept.get(start + Duration::from_millis(ms), hint, || {
                readings += 1;
                readings
            });
            assert_eq!(got, want, "at {ms} ms");
        }
    }
}
