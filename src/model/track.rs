//! The use of one limit over the run, for a graph.

use crate::limits::LimitId;

use super::now::Now;
use super::series::Series;

/// One limit's use.
#[derive(Debug, Clone)]
pub(super) struct Track {
    pub(super) id: LimitId,
    pub(super) scope: String,
    series: Series<1>,
    most: u64,
}

impl Track {
    pub(super) fn new(id: LimitId, scope: String) -> Self {
        Self { id, scope, series: Series::default(), most: 0 }
    }

    /// Takes a sample.
    pub(super) fn add(&mut self, now: &Now, used: u64) {
        self.most = self.most.max(used);
        self.series.push(now.t_ms, now.connections, [used as f64]);
    }

    /// The most that any sample saw, own unit: peaks that the graph has averaged away included.
    pub(super) fn most(&self) -> u64 {
        self.most
    }

    /// The use in `columns` equal steps of time, own unit: the most within each, on straight lines between samples; empty
    /// before the second sample.
    pub(super) fn columns(&self, columns: usize) -> Vec<f64> {
        self.series.columns(columns)
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
