//! How times are spread, from the counts an engine reports: percentiles of the last second instead of the whole run.

use crate::protocol::spread_bound_us;

/// What percentiles are taken over, milliseconds.
const OVER_MS: u64 = 1000;

/// The counts of one kind of time, from report to report.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent {
    at_ms: u64,
    counts: Vec<u64>,
    found: Option<(f64, f64)>,
}

impl Recent {
    /// Takes the counts at a moment and returns median and 99th percentile of what came within the last second, microseconds;
    /// `None` where nothing came.
    pub(super) fn take(&mut self, t_ms: u64, counts: &[u64]) -> Option<(f64, f64)> {
        if counts.is_empty() {
            *self = Self::default();
            return None;
        }
        if t_ms >= self.at_ms + OVER_MS || self.counts.is_empty() {
            let before = |i: usize| self.counts.get(i).copied().unwrap_or(0);
            // Fewer than before: the engine has begun to count anew.
            let anew = counts.iter().enumerate().any(|(i, n)| *n < before(i)) || counts.len() < self.counts.len();
            let new: Vec<u64> = counts.iter().enumerate().map(|(i, n)| if anew { *n } else { n - before(i) }).collect();
            self.found = percentile(&new, 0.5).zip(percentile(&new, 0.99));
            (self.at_ms, self.counts) = (t_ms, counts.to_vec());
        }
        self.found
    }
}

/// A percentile of counted times, microseconds: within a step on a straight line.
pub fn percentile(counts: &[u64], share: f64) -> Option<f64> {
    let all: u64 = counts.iter().sum();
    let mut want = all as f64 * share;
    for (i, n) in counts.iter().enumerate() {
        let n = *n as f64;
        if n >= want && n > 0.0 {
            let low = if i == 0 { 0.0 } else { spread_bound_us(i - 1) };
            return Some(low + (spread_bound_us(i) - low) * want / n);
        }
        want -= n;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_last_second() {
        let mut recent = Recent::default();
        let mut counts = vec![0; 30];
        counts[10] = 1000;
        let (p50, p99) = recent.take(1000, &counts).unwrap();
        assert!(p50 > spread_bound_us(9) && p99 <= spread_bound_us(10), "{p50} {p99}");
        counts[20] = 50;
        assert_eq!(recent.take(1500, &counts), Some((p50, p99)), "too soon");
        let (slow, _) = recent.take(2000, &counts).unwrap();
        assert!(slow > spread_bound_us(19), "only what is new: {slow}");
        assert_eq!(recent.take(3000, &counts), None, "nothing came");
        counts[10] = 3;
        assert!(recent.take(4000, &counts).is_some(), "counted anew");
        assert_eq!(recent.take(5000, &[]), None);
    }
}
