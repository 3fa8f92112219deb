//! The store is away: when it is tried again, and when that is worth a line.

use std::time::{Duration, Instant};

use super::member::News;
use super::store::StoreError;

/// A store that is back sooner is not worth a line.
const SHORT: Duration = Duration::from_secs(2);

/// Shortest and longest time between two attempts to reach a store that has gone.
const FIRST: Duration = Duration::from_millis(200);
const BACK_OFF: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(super) struct Outage {
    since: Instant,
    next: Instant,
    wait: Duration,
    why: String,
    told: bool,
    /// Counted from 1, only those that are told.
    number: u32,
}

impl Outage {
    /// It begins; or the one before goes on, which nobody has heard of and which seemed over at a moment just now.
    pub(super) fn new(before: Option<(Outage, Instant)>, now: Instant, error: &StoreError) -> Self {
        let next = Instant::now() + FIRST;
        match before {
            Some((before, over)) if !before.told && now - over < SHORT => Self { next, wait: FIRST, ..before },
            before => {
                let number = before.map_or(1, |(before, _)| before.number + u32::from(before.told));
                Self { since: now, next, wait: FIRST, why: error.to_string(), told: false, number }
            }
        }
    }

    /// It was tried again in vain.
    pub(super) fn goes_on(&mut self) {
        self.wait = (self.wait * 2).min(BACK_OFF);
        // The attempt itself takes time.
        self.next = Instant::now() + self.wait;
    }

    /// When the store is tried again.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Instant {
        if self.told { self.next } else { self.next.min(self.since + SHORT) }
    }

    /// What is told of it: once, when it has lasted.
    pub(super) fn news(&mut self, now: Instant) -> Option<News> {
        let tell = !self.told && now - self.since >= SHORT;
        self.told |= tell;
        tell.then(|| News::Away { why: self.why.clone(), number: self.number })
    }

    /// What is told of its end: nothing where nobody heard of it.
    pub(super) fn over(&self, now: Instant) -> Option<News> {
        self.told.then(|| News::Back { after: now - self.since, number: self.number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> StoreError {
        StoreError::Away("it refuses connections".to_owned())
    }

    #[test]
    fn an_outage_is_told_once_and_only_when_it_lasts() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let away = |number| Some(News::Away { why: "it refuses connections".to_owned(), number });
        let back = |ms, number| Some(News::Back { after: Duration::from_millis(ms), number });
        let mut short = Outage::new(None, start, &refused());
        assert_eq!((short.news(at(1900)), short.over(at(1900))), (None, None));
        let mut first = Outage::new(Some((short, at(1900))), at(9000), &refused());
        assert_eq!((first.news(at(11_000)), first.news(at(12_000))), (away(1), None));
        assert_eq!(first.over(at(13_000)), back(4000, 1));
        let mut second = Outage::new(Some((first, at(13_000))), at(13_500), &refused());
        assert_eq!((second.news(at(15_000)), second.news(at(15_500))), (None, away(2)));
    }

    #[test]
    fn a_store_that_flaps_is_told_though_no_outage_lasts() {
        let start = Instant::now();
        let mut outage = Outage::new(None, start, &refused());
        for n in 1..5 {
            let now = start + FIRST * 2 * n;
            assert_eq!(outage.news(now), None);
            outage = Outage::new(Some((outage, now)), now + FIRST, &refused());
        }
        assert!(outage.news(start + SHORT).is_some());
    }
}
