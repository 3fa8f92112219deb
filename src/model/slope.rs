//! A slope that steps, noise and outliers do not bend.
//!
//! Theil–Sen: the median of the slopes of all pairs of points, here weighted by the pairs' distance in connections, so that
//! the far pairs decide and the result stays near the end-to-end quotient (fall of `MemFree` divided by connections) that
//! anyone can check by hand. Compared on rows of 200,000 connections: 300 MB that come and go within the ramp pull least
//! squares 8 to 15 % away from that quotient and this by nothing; 20 MB spent once at the start pull this 0.9 % away and
//! least squares 0.6 %; under mere noise the two are equal.
//! Only the growing part of a run counts: while connections stay or fall, the slope of the ramp is kept.

use std::sync::Arc;

pub use crate::limits::Slope;

/// Most points kept; all pairs of them are 1,128 slopes, about 50 µs to sort.
const MOST: usize = 48;
/// Points needed for a full answer.
const ENOUGH: usize = 5;
/// A heap that falls by less than this share of itself was not collected: it breathes. That of a Node.js of 71 MB moves by 1 MB,
/// a quarter of what 12,000 connections add to it once it is warm.
const BREATH: f64 = 0.02;
/// Samples at an unchanged highest count that still correct its value: late frees and charges settle in that time.
const SETTLE: u8 = 5;

/// Points of one quantity over connections, and their slope.
#[derive(Debug, Clone)]
pub struct Trend {
    /// Shared by copies until one of them changes it.
    points: Arc<Vec<(f64, f64)>>,
    /// The newest point of the growing part; it may lie nearer to the last of `points` than `spacing`.
    tail: Option<(f64, f64)>,
    /// Least distance of two points, connections; doubles or so whenever `points` is full.
    spacing: f64,
    /// Samples seen at the count of `tail`, and how many of them correct its value.
    settled: u8,
    settles: u8,
    /// What the quantity may move without any connection: bounds the uncertainty from below.
    noise: f64,
    /// Range of connections from which on five points suffice.
    range: f64,
    /// `tail` when the slope was last computed.
    computed: f64,
    slope: Option<Slope>,
}

impl Trend {
    /// An empty trend of a quantity that may move by `noise` without any connection, and is judged from `range`
    /// connections on.
    pub fn new(noise: f64, range: f64) -> Self {
        Self {
            points: Arc::default(),
            tail: None,
            spacing: 1.0,
            settled: 0,
            settles: SETTLE,
            noise,
            range,
            computed: f64::MIN,
            slope: None,
        }
    }

    /// The same of a quantity that takes so many samples at an unchanged count to become what it stays.
    pub(super) fn settling(self, samples: u8) -> Self {
        Self { settles: samples, ..self }
    }

    /// Takes the value `y` at `x` connections; ignored unless `x` is the highest count so far.
    pub fn add(&mut self, x: u64, y: f64) {
        let x = x as f64;
        if !y.is_finite() {
            return;
        }
        let highest = self.tail.map_or(f64::MIN, |(x, _)| x);
        if x < highest {
            return;
        }
        if x > highest {
            self.settled = 0;
        } else if self.points.len() == 1 {
            // Nothing has grown yet: what a program takes before its first connection is where that begins, however long it
            // warms up.
        } else if self.settled < self.settles {
            self.settled += 1;
        } else {
            return;
        }
        self.tail = Some((x, y));
        let committed = match self.points.last() {
            Some(last) if last.0 >= x => {
                if let Some(last) = Arc::make_mut(&mut self.points).last_mut() {
                    last.1 = y;
                }
                true
            }
            Some(last) if x - last.0 < self.spacing => false,
            _ => {
                if self.points.len() == MOST {
                    self.thin();
                }
                Arc::make_mut(&mut self.points).push((x, y));
                true
            }
        };
        // The tail alone moves the slope little: half a spacing is soon enough, and bounds the work over a long ramp.
        if committed || self.settled > 0 || x - self.computed >= self.spacing / 2.0 {
            self.computed = x;
            self.slope = self.compute();
        }
    }

    /// The slope; `None` while there is too little to tell: fewer than five points or less than the range, unless two
    /// points lie ten ranges apart (a ramp shorter than a few intervals).
    pub fn slope(&self) -> Option<Slope> {
        self.slope
    }

    /// The growth from end to end, which anyone can check by hand; a heap that was collected begins anew where it was lowest
    /// for the last time. Before that it may give back as much as new connections take: of ejabberd, filled a second time, what
    /// they took was a quarter too little when it began where it was lowest first.
    /// `None` without a slope, or when too little has been opened since.
    pub fn end_to_end(&self) -> Option<f64> {
        self.slope?;
        let newest = self.tail?;
        let lowest = self.points.iter().map(|(_, y)| *y).min_by(f64::total_cmp)?;
        let is_low = |point: &&(f64, f64)| point.1 <= lowest + lowest.abs() * BREATH;
        let first = self.points.first().filter(is_low).or_else(|| self.points.iter().rev().find(is_low))?;
        let span = newest.0 - first.0;
        (span >= self.range).then(|| (newest.1 - first.1) / span)
    }

    /// Connections between the first and the newest point.
    pub fn span(&self) -> f64 {
        match (self.points.first(), self.tail) {
            (Some(first), Some(tail)) => tail.0 - first.0,
            _ => 0.0,
        }
    }

    /// Keeps points that are well apart, about two thirds of them at most.
    fn thin(&mut self) {
        self.spacing = (self.span() / (MOST * 2 / 3) as f64).max(1.0);
        let mut last = f64::MIN;
        let spacing = self.spacing;
        let points = Arc::make_mut(&mut self.points);
        points.retain(|&(x, _)| {
            let keep = x - last >= spacing;
            if keep {
                last = x;
            }
            keep
        });
        if points.len() == MOST {
            points.remove(MOST / 2);
        }
    }

    fn compute(&self) -> Option<Slope> {
        let tail = self.tail.filter(|t| self.points.last().is_some_and(|p| p.0 < t.0));
        let points: Vec<(f64, f64)> = self.points.iter().copied().chain(tail).collect();
        let (span, n) = (self.span(), points.len());
        let full = n >= ENOUGH && span >= self.range;
        let far = n >= 2 && span >= 10.0 * self.range;
        if !(full || far) {
            return None;
        }
        let mut slopes = Vec::with_capacity(n * (n - 1) / 2);
        for (i, a) in points.iter().enumerate() {
            for b in &points[i + 1..] {
                let distance = b.0 - a.0;
                slopes.push(((b.1 - a.1) / distance, distance));
            }
        }
        slopes.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let total: f64 = slopes.iter().map(|s| s.1).sum();
        let quantile = |share: f64| {
            let mut sum = 0.0;
            let at = slopes.iter().find(|s| {
                sum += s.1;
                sum >= share * total
            });
            at.or(slopes.last()).map_or(0.0, |s| s.0)
        };
        // With few points their scatter says little: doubt the ends more.
        let noise = if full { self.noise } else { 4.0 * self.noise };
        Some(Slope {
            per_connection: quantile(0.5),
            spread: (quantile(0.75) - quantile(0.25)) / 2.0 + noise / span,
            points: n,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cheap deterministic noise in -1..1.
    fn jitter(i: u64) -> f64 {
        (i.wrapping_mul(2_654_435_761) % 2001) as f64 / 1000.0 - 1.0
    }

    fn trend_of(n: u64, step: u64, y: impl Fn(u64) -> f64) -> Trend {
        let mut trend = Trend::new(0.0, 2000.0);
        (0..n).for_each(|i| trend.add(i * step, y(i * step)));
        trend
    }

    fn slope_of(n: u64, step: u64, y: impl Fn(u64) -> f64) -> f64 {
        trend_of(n, step, y).slope().unwrap().per_connection
    }

    #[test]
    fn a_line_is_found_whatever_bends_it() {
        type Row = (&'static str, f64, fn(u64) -> f64, f64);
        let rows: [Row; 6] = [
            ("exact", 8232.0, |x| 1e9 + 8232.0 * x as f64, 1e-9),
            ("slab grows in steps of 32 KiB", 64.0, |x| (64 * x).next_multiple_of(32768) as f64, 0.01),
            ("20 MB of noise", 8232.0, |x| 8232.0 * x as f64 + 2e7 * jitter(x), 0.02),
            ("a neighbour took 100 MB for good", 8232.0, |x| 8232.0 * x as f64 + f64::from(x > 300_000) * 1e8, 0.03),
            (
                "and gave it back",
                8232.0,
                |x| 8232.0 * x as f64 + f64::from((200_000..300_000).contains(&x)) * 3e8,
                0.01,
            ),
            ("one wild sample", 1.0, |x| if x == 40_000 { 9e9 } else { x as f64 }, 1e-3),
        ];
        for (name, want, y, tolerance) in rows {
            for (n, step) in [(20, 40_000), (600, 1_000), (6_000, 100)] {
                let got = slope_of(n, step, y);
                assert!((got / want - 1.0).abs() <= tolerance, "{name}: {got} for {want} with {n} points");
            }
        }
    }

    #[test]
    fn too_little_is_no_slope() {
        for (n, step, enough) in [(0, 1, false), (1, 1, false), (4, 1000, false), (5, 400, false), (5, 500, true)] {
            assert_eq!(trend_of(n, step, |x| x as f64).slope().is_some(), enough, "{n} points {step} apart");
        }
        assert!(trend_of(2, 20_000, |x| x as f64).slope().is_some(), "a ramp between two samples");
    }

    #[test]
    fn standing_still_or_noise_does_not_grow() {
        assert!(!trend_of(50, 1000, |_| 7.0).slope().unwrap().grows());
        assert!(!trend_of(50, 1000, |x| 1e6 * jitter(x)).slope().unwrap().grows());
        let mut within_noise = Trend::new(64.0, 200.0);
        (0..10).for_each(|i| within_noise.add(i * 1000, (i * 5) as f64));
        assert!(!within_noise.slope().unwrap().grows());
    }

    #[test]
    fn the_ramps_slope_outlives_hold_and_teardown() {
        let mut trend = trend_of(50, 1000, |x| 10.0 * x as f64);
        (0..100).for_each(|i| trend.add(49_000, 490_000.0 + f64::from(i) * 1000.0));
        (0..49).for_each(|i| trend.add(48_000 - i * 1000, 490_000.0));
        let slope = trend.slope().unwrap();
        assert!((slope.per_connection - 10.0).abs() < 0.2, "{slope:?}");
    }

    #[test]
    fn growth_is_taken_from_end_to_end() {
        // 7 MB before the first connection, 7 MB of code compiled with the first few, then 2,500 B each.
        let warms_up = trend_of(24, 500, |x| 7e6 + f64::from(x > 0) * 7e6 + 2500.0 * x as f64);
        let by_hand = (7e6 + 2500.0 * 11_500.0) / 11_500.0;
        assert!((warms_up.end_to_end().unwrap() / by_hand - 1.0).abs() < 1e-9);
        assert!((warms_up.slope().unwrap().per_connection / 2500.0 - 1.0).abs() < 0.1);
        // 72 MB of what earlier connections left, until it is collected.
        let collected = trend_of(24, 500, |x| if x < 3500 { 72e6 } else { 12e6 + 2500.0 * x as f64 });
        assert!((collected.end_to_end().unwrap() / 2500.0 - 1.0).abs() < 1e-9);
        // The same that is given back little by little, at last as fast as new connections take.
        let hides = trend_of(24, 500, |x| match x as f64 {
            x if x < 3000.0 => 200e6 - 20_000.0 * x,
            x if x <= 5000.0 => 140e6,
            x => 140e6 + 13_000.0 * (x - 5000.0),
        });
        assert!((hides.end_to_end().unwrap() / 13_000.0 - 1.0).abs() < 1e-9, "{hides:?}");
        // One that is warm moves by 1 MB without being collected.
        let breathes = trend_of(24, 500, |x| 71e6 - 1e6 * f64::from(x == 2000) + 333.0 * x as f64);
        assert!((breathes.end_to_end().unwrap() / 333.0 - 1.0).abs() < 1e-9, "{breathes:?}");
        assert!(trend_of(24, 500, |x| 72e6 - 1000.0 * x as f64).end_to_end().is_none(), "it only falls");
        let mut waits = Trend::new(0.0, 2000.0);
        (0..50).for_each(|i| waits.add(0, f64::from(i) * 1e6));
        (1..10).for_each(|i| waits.add(i * 1000, 49e6 + (i * 1000) as f64));
        assert!((waits.end_to_end().unwrap() - 1.0).abs() < 1e-9, "from what it was last at rest");
    }

    #[test]
    fn memory_and_work_are_bounded() {
        let trend = trend_of(100_000, 7, |x| 3.0 * x as f64);
        assert!(trend.points.len() <= MOST);
        assert!((trend.slope().unwrap().per_connection - 3.0).abs() < 1e-6);
    }
}
