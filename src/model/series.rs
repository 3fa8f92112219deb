//! The history behind the charts: bounded whatever the run's length.

use super::shared::Shared;

/// Most points kept: about three for each column of a wide terminal in Braille.
pub(super) const MOST: usize = 600;

/// One point: a mean of `n` neighbouring samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point<const N: usize> {
    /// Milliseconds since the dashboard started.
    pub t_ms: f64,
    /// Connections.
    pub connections: f64,
    /// The quantities; NaN where absent. Seven digits are more than a chart shows, and thousands of points are kept.
    values: [f32; N],
    /// Samples merged into it.
    n: u32,
    /// No line leads here from the point before: time without data lies between.
    begins: bool,
}

impl<const N: usize> Point<N> {
    /// The point of one sample.
    pub(super) fn of(t_ms: u64, connections: u64, values: [f64; N], begins: bool) -> Self {
        Self { t_ms: t_ms as f64, connections: connections as f64, values: values.map(short), n: 1, begins }
    }

    /// A quantity; NaN where absent.
    pub(super) fn value(&self, quantity: usize) -> f64 {
        long(self.values[quantity])
    }

    /// Whether time without data lies before it.
    pub(super) fn begins(&self) -> bool {
        self.begins
    }

    /// Takes in a later point.
    pub(super) fn merge(&mut self, other: &Self) {
        let (a, b) = (f64::from(self.n), f64::from(other.n));
        let mean = |x: f64, y: f64| match (x.is_nan(), y.is_nan()) {
            (true, _) => y,
            (_, true) => x,
            _ => (x * a + y * b) / (a + b),
        };
        self.t_ms = mean(self.t_ms, other.t_ms);
        self.connections = mean(self.connections, other.connections);
        for (value, other) in self.values.iter_mut().zip(other.values) {
            *value = short(mean(long(*value), long(other)));
        }
        self.n += other.n;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is rounded to seven digits")]
fn short(value: f64) -> f32 {
    value as f32
}

/// The number that was meant where it has six decimals at the most: 0.3 and not 0.30000001, which scales and whole percents would
/// show.
fn long(value: f32) -> f64 {
    let plain = (f64::from(value) * 1e6).round() / 1e6;
    if short(plain).to_bits() == value.to_bits() { plain } else { value.into() }
}

/// Points in the order of time.
#[derive(Debug, Clone)]
pub(super) struct Series<const N: usize> {
    points: Shared<Point<N>>,
    /// Samples that go into one point; doubles whenever the series is full.
    stride: u32,
    broken: bool,
}

impl<const N: usize> Default for Series<N> {
    fn default() -> Self {
        Self { points: Shared::default(), stride: 1, broken: true }
    }
}

impl<const N: usize> Series<N> {
    /// Its points, in the order of time.
    pub(super) fn points(&self) -> &Shared<Point<N>> {
        &self.points
    }

    /// Adds a sample.
    pub(super) fn push(&mut self, t_ms: u64, connections: u64, values: [f64; N]) {
        let begins = std::mem::take(&mut self.broken);
        let point = Point::of(t_ms, connections, values, begins);
        match self.points.last_mut() {
            Some(last) if !begins && last.n < self.stride => last.merge(&point),
            _ => {
                if self.points.len() == MOST {
                    self.halve();
                }
                self.points.push(point);
            }
        }
    }

    /// Puts a quantity of the newest point right, unless that is a mean by now.
    pub(super) fn settle(&mut self, quantity: usize, value: f64) {
        if let Some(last) = self.points.last_mut().filter(|last| last.n == 1) {
            last.values[quantity] = short(value);
        }
    }

    /// The next sample does not continue the last.
    pub(super) fn gap(&mut self) {
        self.broken = true;
    }

    /// Runs of points without a gap, mapped; a point mapped to `None` is a gap as well.
    pub(super) fn segments(&self, map: impl Fn(&Point<N>) -> Option<(f64, f64)>) -> Vec<Vec<(f64, f64)>> {
        let mut segments: Vec<Vec<(f64, f64)>> = Vec::new();
        let mut open = false;
        for point in self.points.iter() {
            open &= !point.begins;
            match (map(point), segments.last_mut()) {
                (None, _) => open = false,
                (Some(at), Some(segment)) if open => segment.push(at),
                (Some(at), _) => {
                    segments.push(vec![at]);
                    open = true;
                }
            }
        }
        segments
    }

    /// The first quantity in `columns` equal steps of time: the most within each, on straight lines between samples; empty
    /// before the second sample.
    pub(super) fn columns(&self, columns: usize) -> Vec<f64> {
        let points = self.segments(|p| Some((p.t_ms, p.value(0)))).concat();
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
        if points.len() < 2 {
            return Vec::new();
        }
        let step = (last.0 - first.0) / columns.max(1) as f64;
        let at = |t: f64| {
            let next = points.partition_point(|p| p.0 < t).clamp(1, points.len() - 1);
            let (a, b) = (points[next - 1], points[next]);
            a.1 + (b.1 - a.1) * ((t - a.0) / (b.0 - a.0).max(1.0)).clamp(0.0, 1.0)
        };
        let column = |c: usize| {
            let (from, to) = (first.0 + step * c as f64, first.0 + step * (c + 1) as f64);
            let inside = &points[points.partition_point(|p| p.0 < from)..points.partition_point(|p| p.0 <= to)];
            inside.iter().map(|p| p.1).fold(at(to), f64::max)
        };
        (0..columns).map(column).collect()
    }

    /// Merges neighbours; never across a gap.
    fn halve(&mut self) {
        self.stride = self.stride.saturating_mul(2);
        let mut merged: Vec<Point<N>> = Vec::with_capacity(MOST);
        for point in self.points.iter() {
            match merged.last_mut() {
                Some(last) if !point.begins && last.n + point.n <= self.stride => last.merge(point),
                _ => merged.push(*point),
            }
        }
        if merged.len() > MOST * 3 / 4 {
            // Hundreds of gaps cannot be merged: the oldest go.
            merged.drain(..MOST / 4);
        }
        self.points = merged.into_iter().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn y(point: &Point<1>) -> Option<(f64, f64)> {
        (!point.value(0).is_nan()).then_some((point.connections, point.value(0)))
    }

    #[test]
    fn a_number_that_is_put_in_is_taken_out() {
        for value in [0.0, 0.3, 0.01, 1.1, 30.1, -7.5, 262_144.0, 3.0 * 1_073_741_824.0] {
            assert_eq!(Point::of(0, 0, [value], false).value(0).to_bits(), f64::to_bits(value), "{value}");
        }
        let more = 12_345.678_9;
        assert!((Point::of(0, 0, [more], false).value(0) / more - 1.0).abs() < 1e-7);
    }

    #[test]
    fn a_long_run_stays_bounded_and_keeps_its_line() {
        let mut series = Series::default();
        for i in 0..100_000_u64 {
            series.push(i, i, [2.0 * i as f64]);
        }
        assert!(series.points.len() <= MOST && series.points.len() >= MOST / 2);
        let segments = series.segments(y);
        assert_eq!(segments.len(), 1);
        assert!(segments[0].windows(2).all(|w| w[0].0 < w[1].0));
        assert!(segments[0].iter().all(|(x, y)| (y - 2.0 * x).abs() < 1e-6));
        assert!(segments[0][0].0 < 300.0 && segments[0].last().is_some_and(|p| p.0 > 99_700.0));
    }

    #[test]
    fn gaps_stay_gaps_through_merging() {
        let mut series = Series::default();
        for i in 0..4000_u64 {
            if i == 1001 || i == 3003 {
                series.gap();
            }
            series.push(i, i, [1.0]);
        }
        let segments = series.segments(y);
        assert_eq!(segments.len(), 3);
        assert!(segments[0].last().is_some_and(|p| p.0 <= 1000.0) && segments[1][0].0 >= 1001.0);
    }

    #[test]
    fn an_absent_value_is_a_gap() {
        let mut series = Series::default();
        for (i, value) in [1.0, f64::NAN, 2.0].into_iter().enumerate() {
            series.push(i as u64, i as u64, [value]);
        }
        assert_eq!(series.segments(y), vec![vec![(0.0, 1.0)], vec![(2.0, 2.0)]]);
    }

    #[test]
    fn endless_gaps_are_bounded_too() {
        let mut series = Series::default();
        for i in 0..5000_u64 {
            series.gap();
            series.push(i, i, [1.0]);
        }
        assert!(series.points.len() <= MOST);
    }
}
