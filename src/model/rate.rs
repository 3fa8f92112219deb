//! Rates over the last moments, by the clock of whoever counts.

use std::collections::VecDeque;

/// Parts of its window in which a rate keeps one reading each at most.
const PARTS: u64 = 32;

/// Time from which on a change tells a rate, microseconds: the first lot of a ramp comes at once.
const LEAST_US: u64 = 50_000;

/// How fast a count changes, over a window that ends with the newest reading.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    window_us: u64,
    readings: VecDeque<(u64, u64)>,
}

impl Rate {
    /// Over so many microseconds.
    pub(super) fn over(window_us: u64) -> Self {
        Self { window_us: window_us.max(1), readings: VecDeque::new() }
    }

    /// Takes a reading: the counter `value` at `t_us` of its own clock. A clock that went back is another
    /// process: what was known is dropped.
    pub(super) fn add(&mut self, t_us: u64, value: u64) {
        if self.readings.back().is_some_and(|last| t_us < last.0) {
            self.readings.clear();
        }
        // The newest but one goes where it is nearer to the one before it than a part of the window.
        let n = self.readings.len();
        let dense = n > 1 && self.readings[n - 1].0 - self.readings[n - 2].0 < self.window_us / PARTS;
        if dense || self.readings.back().is_some_and(|last| t_us == last.0) {
            self.readings.pop_back();
        }
        self.readings.push_back((t_us, value));
        // One reading at or before the window's start stays, so that the window is always full.
        while self.readings.get(1).is_some_and(|r| r.0 + self.window_us <= t_us) {
            self.readings.pop_front();
        }
    }

    /// Forgets all but the newest reading: what follows is of another kind.
    pub(super) fn restart(&mut self) {
        let newest = self.readings.pop_back();
        self.readings.clear();
        self.readings.extend(newest);
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.readings.clear();
    }

    /// Per second, negative when the value falls; `None` before two readings that are far enough apart.
    pub(super) fn per_s(&self) -> Option<f64> {
        let (first, last) = (self.readings.front()?, self.readings.back()?);
        let us = last.0.checked_sub(first.0).filter(|us| *us >= LEAST_US.min(self.window_us))?;
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
    /// The share as last found.
    pub(super) fn share(self) -> Option<f64> {
        self.share
    }

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
    fn the_rate_is_of_its_window() {
        let mut rate = Rate::over(3_000_000);
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
    fn a_long_window_is_full_and_small_however_often_it_is_read() {
        let mut rate = Rate::over(60_000_000);
        for i in 0..3_000_u64 {
            rate.add(i * 200_000, i * i);
        }
        assert!(rate.readings.len() as u64 <= PARTS + 3, "{}", rate.readings.len());
        // The mean over the last minute, or a part of it more: 300 readings.
        let want = (2_999.0_f64.powi(2) - 2_699.0_f64.powi(2)) / 60.0;
        let got = rate.per_s().unwrap();
        assert!((got / want - 1.0).abs() < 0.01, "{got} {want}");
    }

    #[test]
    fn another_clock_starts_anew() {
        let mut rate = Rate::over(3_000_000);
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
