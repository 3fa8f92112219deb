//! A count that has to rise.

/// The count, and when it last moved, by the clock of whoever asks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Progress {
    last: Option<(u64, u64)>,
}

impl Progress {
    /// For how long the count has stood though it was `due` to rise, in the clock's unit; 0 where it moved or need not. A clock
    /// that went back is another process'.
    pub(super) fn stands(&mut self, count: u64, t: u64, due: bool) -> u64 {
        match self.last {
            Some((known, since)) if due && count == known && t >= since => t - since,
            _ => {
                self.last = Some((count, t));
                0
            }
        }
    }

    /// Whether this is another count than the last.
    pub(super) fn has_moved(&self, count: u64) -> bool {
        self.last.is_none_or(|(known, _)| known != count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_from_when_it_last_moved_or_was_not_due() {
        let mut progress = Progress::default();
        for (count, t, due, want) in [
            (5, 10, true, 0),
            (5, 12, true, 2),
            (5, 17, true, 7),
            (6, 18, true, 0),
            (6, 20, false, 0),
            (6, 21, true, 1),
            (6, 3, true, 0),
            (4, 4, true, 0),
            (4, 9, true, 5),
        ] {
            assert_eq!(progress.stands(count, t, due), want, "{count} at {t}");
            assert!(!progress.has_moved(count) && progress.has_moved(count + 1));
        }
    }
}
