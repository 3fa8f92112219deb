//! Rates that can be read: smoothed over some seconds, by the clock of whoever counts.

use std::collections::VecDeque;

/// Time over which a rate is taken, microseconds.
const WINDOW_US: u64 = 3_000_000;
/// Most readings kept: at 100 ms between samples, 30 lie in the window.
const MOST: usize = 64;

/// A counter over the last seconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Rate {
    readings: VecDeque<(u64, u64)>,
}

impl Rate {
    /// Takes a reading: the counter `value` at `t_us` of its own clock. A clock that went back is another
    /// process: what was known is dropped.
    pub(super) fn add(&mut self, t_us: u64, value: u64) {
        if let Some(&(last, _)) = self.readings.back() {
            if t_us < last {
                self.readings.clear();
            } else if t_us == last {
                self.readings.pop_back();
            }
        }
        self.readings.push_back((t_us, value));
        // One reading at or before the window's start stays, so that the window is always full.
        while self.readings.len() > MOST || self.readings.get(1).is_some_and(|r| r.0 + WINDOW_US <= t_us) {
            self.readings.pop_front();
        }
    }

    /// Forgets all but the newest reading: what follows is of another kind.
    pub(super) fn restart(&mut self) {
        let newest = self.readings.pop_back();
        self.readings.clear();
        self.readings.extend(newest);
    }

    /// Per second, negative when the value falls; `None` before two readings.
    pub(super) fn per_s(&self) -> Option<f64> {
        let (first, last) = (self.readings.front()?, self.readings.back()?);
        let us = last.0.checked_sub(first.0).filter(|us| *us > 0)?;
        Some((last.1 as f64 - first.1 as f64) * 1e6 / us as f64)
    }
}

/// The share of one core that a CPU time (microseconds) takes, between samples that are far enough apart to tell.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CpuShare {
    last: Option<(u64, u64)>,
    share: Option<f64>,
}

/// Readings nearer than this would show the grain of the clock; microseconds.
const APART_US: u64 = 200_000;

impl CpuShare {
    /// Takes a reading and returns the share.
    pub(super) fn add(&mut self, t_us: u64, cpu_us: u64) -> Option<f64> {
        match self.last {
            Some((t, cpu)) if t_us >= t && cpu_us >= cpu => {
                if t_us - t >= APART_US {
                    self.share = Some((cpu_us - cpu) as f64 / (t_us - t) as f64);
                    self.last = Some((t_us, cpu_us));
                }
            }
            _ => *self = Self { last: Some((t_us, cpu_us)), share: None },
        }
        self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_of_the_last_three_seconds() {
        let mut rate = Rate::default();
        assert_eq!(rate.per_s(), None);
        for t in 0..=10_u64 {
            rate.add(t * 1_000_000, if t < 5 { 0 } else { (t - 5) * 40_000 });
        }
        assert_eq!(rate.per_s(), Some(40_000.0));
        rate.restart();
        assert_eq!(rate.per_s(), None);
        rate.add(11_000_000, 100_000);
        assert_eq!(rate.per_s(), Some(-100_000.0));
    }

    #[test]
    fn another_clock_starts_anew() {
        let mut rate = Rate::default();
        rate.add(5_000_000, 9);
        rate.add(1_000_000, 0);
        assert_eq!(rate.per_s(), None);
    }

    #[test]
    fn cpu_shares_need_some_time_between() {
        let mut cpu = CpuShare::default();
        assert_eq!(cpu.add(0, 0), None);
        assert_eq!(cpu.add(100_000, 90_000), None);
        assert_eq!(cpu.add(1_000_000, 500_000), Some(0.5));
        assert_eq!(cpu.add(1_001_000, 900_000), Some(0.5));
        assert_eq!(cpu.add(500_000, 10), None, "another process");
    }
}
