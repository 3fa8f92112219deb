//! Which of those that were ready still are.

/// Since when nobody more has become ready. Who was heard of before, and is not since, may have been killed, and the newest may be
/// the same worker, started anew: both are not to count.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Gathered {
    /// How many had become ready; `None`: not seen yet.
    became: Option<u64>,
    /// Since when it has been so many, by the store's clock, microseconds.
    since_us: u64,
}

impl Gathered {
    /// From when on one must have been heard of to be counted.
    pub(super) fn since(&mut self, now_us: u64) -> u64 {
        // A clock of the store that was set back must not make all wait until it is there again.
        self.since_us = self.since_us.min(now_us);
        self.since_us
    }

    /// So many have become ready by now; whether it was the same before, so that what was counted is true.
    pub(super) fn settled(&mut self, became: Option<u64>, now_us: u64) -> bool {
        let became = Some(became.unwrap_or(0));
        let settled = self.became == became;
        if !settled {
            *self = Self { became, since_us: now_us };
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_heard_of_no_more_when_the_last_is_ready_does_not_count() {
        let mut gathered = Gathered::default();
        assert_eq!(gathered.since(5), 0);
        assert!(!gathered.settled(Some(2), 10), "the first look");
        assert_eq!(gathered.since(11), 10);
        assert!(gathered.settled(Some(2), 20));
        assert_eq!(gathered.since(21), 10);
        assert!(!gathered.settled(Some(3), 30), "one more, and whoever was counted may be the same");
        assert_eq!(gathered.since(31), 30);
        assert!(gathered.settled(Some(3), 40));
        assert_eq!(gathered.since(7), 7, "the store's clock was set back");
        assert!(!gathered.settled(None, 50), "a store that was emptied");
        assert!(gathered.settled(None, 60));
    }
}
