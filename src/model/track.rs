//! The use of one limit over the run, for a graph.

use crate::limits::LimitId;

use super::now::Now;
use super::series::Series;

/// One limit's use.
#[derive(Debug, Clone)]
pub(super) struct Track {
    pub(super) id: LimitId,
    pub(super) scope: String,
    series: Series,
    most: u64,
}

impl Track {
    pub(super) fn new(id: LimitId, scope: String) -> Self {
        Self { id, scope, series: Series::default(), most: 0 }
    }

    /// Takes a sample.
    pub(super) fn add(&mut self, now: &Now, used: u64) {
        self.most = self.most.max(used);
        self.series.push(now.t_ms, now.connections, [used as f64, f64::NAN, f64::NAN]);
    }

    /// The most that any sample saw, own unit: peaks that the graph has averaged away included.
    pub(super) fn most(&self) -> u64 {
        self.most
    }

    /// The use in `columns` equal steps of time, own unit: the most within each, on straight lines between samples; empty
    /// before the second sample.
    pub(super) fn columns(&self, columns: usize) -> Vec<f64> {
        let points = self.series.segments(|p| Some((p.t_ms, p.values[0]))).concat();
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_peak_is_neither_averaged_away_nor_stepped_over() {
        let mut track = Track::new(LimitId::AcceptQueue, "x".into());
        assert!(track.columns(10).is_empty());
        for i in 0..300 {
            track.add(&Now { t_ms: i * 100, ..Now::default() }, if i == 137 { 400 } else { 1 });
        }
        for columns in [1, 7, 56, 116, 196] {
            let drawn = track.columns(columns);
            assert_eq!((drawn.len(), drawn.iter().fold(0.0_f64, |a, b| a.max(*b))), (columns, 400.0));
        }
        for i in 300..5000 {
            track.add(&Now { t_ms: i * 100, ..Now::default() }, 1);
        }
        assert_eq!(track.most(), 400);
    }
}
