//! A recording as `OpenMetrics` text with times. The format wants all times of a series in a row, and all series of a metric; a run
//! has them moment by moment. So each series is collected on its own, in blocks of a file on disk: one pass over the recording, and
//! memory that does not grow with its length.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use super::text::{END, Format, head, lines};
use super::{Moment, families};

/// Text of a series that is collected before it goes to the file.
const BLOCK: usize = 16 * 1024;
/// Text of all series together that is kept in memory.
const MOST_KEPT: usize = 16 * 1024 * 1024;
/// Series of one metric: a server with a process for each connection has ever new ones.
const MOST_SERIES: usize = 10_000;

/// Collects.
#[derive(Debug)]
pub struct Timed {
    file: File,
    end: u64,
    kept: usize,
    metrics: Vec<Metric>,
    left_out: u64,
}

#[derive(Debug, Default)]
struct Metric {
    /// Where each is in `series`.
    known: HashMap<String, usize>,
    series: Vec<Series>,
}

#[derive(Debug, Default)]
struct Series {
    text: String,
    /// Where in the file its earlier text is: place and length.
    blocks: Vec<(u64, usize)>,
    last_ms: Option<u64>,
}

impl Timed {
    /// Collects in this file, which is empty and nobody else's.
    pub fn new(file: File) -> Self {
        let metrics = families().map(|_| Metric::default()).collect();
        Self { file, end: 0, kept: 0, metrics, left_out: 0 }
    }

    /// Takes a moment, milliseconds since the Unix epoch. Of a series that has been taken at that moment or after it, the first
    /// value counts.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&mut self, moment: &Moment<'_>, at_ms: u64) -> io::Result<()> {
        for (i, family) in families().enumerate() {
            for point in family.points(moment) {
                let Some(series) = self.metrics[i].of(&point.labels) else {
                    self.left_out += 1;
                    continue;
                };
                if series.last_ms.is_some_and(|last| at_ms <= last) {
                    continue;
                }
                series.last_ms = Some(at_ms);
                let before = series.text.len();
                lines(&mut series.text, family, &point, Some(at_ms));
                self.kept += series.text.len() - before;
                if series.text.len() >= BLOCK {
                    self.kept -= series.put(&self.file, &mut self.end)?;
                }
            }
        }
        if self.kept > MOST_KEPT {
            for series in self.metrics.iter_mut().flat_map(|metric| &mut metric.series) {
                self.kept -= series.put(&self.file, &mut self.end)?;
            }
        }
        Ok(())
    }

    /// Values that were left out, because there were too many series of their metric.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Writes all.
    ///
    /// # Errors
    /// The file cannot be read, or the text not be written.
    pub fn finish(self, to: &mut dyn Write) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (metric, family) in self.metrics.iter().zip(families()).filter(|(metric, _)| !metric.series.is_empty()) {
            let mut text = String::new();
            head(&mut text, family, Format::OpenMetrics);
            to.write_all(text.as_bytes())?;
            for series in &metric.series {
                for (at, length) in &series.blocks {
                    bytes.resize(*length, 0);
                    self.file.read_exact_at(&mut bytes, *at)?;
                    to.write_all(&bytes)?;
                }
                to.write_all(series.text.as_bytes())?;
            }
        }
        to.write_all(END.as_bytes())?;
        to.flush()
    }
}

impl Metric {
    /// The series of these labels; `None` where there are too many.
    fn of(&mut self, labels: &[(std::borrow::Cow<'static, str>, String)]) -> Option<&mut Series> {
        let key = labels.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("\0");
        let at = match self.known.get(&key) {
            Some(at) => *at,
            None if self.series.len() < MOST_SERIES => {
                self.known.insert(key, self.series.len());
                self.series.push(Series::default());
                self.series.len() - 1
            }
            None => return None,
        };
        self.series.get_mut(at)
    }
}

impl Series {
    /// Puts what it has into the file; returns how much that was.
    fn put(&mut self, file: &File, end: &mut u64) -> io::Result<usize> {
        let length = self.text.len();
        if length > 0 {
            file.write_all_at(self.text.as_bytes(), *end)?;
            self.blocks.push((*end, length));
            *end += length as u64;
            self.text = String::new();
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Model, synthetic};

    /// The text of a ramp, each sample so many times, 100 ms apart.
    fn exported(times: u64) -> String {
        let mut collected = Timed::new(tempfile::tempfile().unwrap());
        let mut model = Model::default();
        for (i, sample) in synthetic::ramp(100_000, 20_000, 1000).iter().enumerate() {
            model.update(sample);
            for n in 0..times {
                let moment = Moment { model: &model, run: &[], verdict: None };
                collected.add(&moment, 1_700_000_000_000 + i as u64 * 1000 + n * 1000 / times).unwrap();
            }
            let moment = Moment { model: &model, run: &[], verdict: None };
            collected.add(&moment, 1_700_000_000_000).unwrap();
        }
        assert_eq!(collected.left_out(), 0);
        let mut out = Vec::new();
        collected.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_metric_has_a_bounded_number_of_series_and_those_that_it_has_go_on() {
        let mut metric = Metric::default();
        let mut known = |pid: usize| metric.of(&[("pid".into(), pid.to_string())]).is_some();
        assert!((0..MOST_SERIES).all(&mut known));
        assert!(!known(MOST_SERIES) && !known(MOST_SERIES + 1) && known(7));
        assert_eq!((metric.series.len(), metric.known.len()), (MOST_SERIES, MOST_SERIES));
    }

    #[test]
    fn every_series_is_in_a_row_in_the_order_of_time() {
        // More than a block of a series, and less.
        for times in [1, 40] {
            let text = exported(times);
            let mut done: Vec<String> = Vec::new();
            let mut now = (String::new(), 0.0);
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let (series, value_and_time) = line.rsplit_once("} ").unwrap_or_else(|| line.split_once(' ').unwrap());
                // The buckets of a histogram belong to one series.
                let series = series.split("_bucket").next().unwrap();
                let series = series.trim_end_matches("_sum").trim_end_matches("_count").to_owned();
                let time: f64 = value_and_time.rsplit(' ').next().unwrap().parse().unwrap();
                if series == now.0 {
                    assert!(time >= now.1, "{line}");
                } else {
                    assert!(!done.contains(&series), "{series} twice");
                    done.push(std::mem::replace(&mut now.0, series));
                }
                now.1 = time;
            }
            assert!(done.len() > 50, "{}", done.len());
            assert!(text.contains("\nc1m_top_connections{role=\"client\",state=\"established\"} 0 1700000000.000\n"));
            assert_eq!(text.matches("# TYPE c1m_top_connections gauge").count(), 1);
            let at_once = text.lines().filter(|l| l.starts_with("c1m_top_own_cpu_seconds_total")).count();
            assert_eq!(at_once as u64, 6 * times);
            assert!(text.ends_with("# EOF\n"));
        }
    }
}
