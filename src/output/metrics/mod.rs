//! A run as metrics for Prometheus and whatever else reads its text: scraped while it goes on, or made of a recording.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `run`, `connections`, `limits`, `program`, `own` | the metrics, a row each: what it is called, what it means, where it is read |
//! | `text` | the two text formats |
//! | `timed` | a recording as `OpenMetrics` text with times, in bounded memory |
//!
//! Names follow the conventions of Prometheus: base units (seconds, bytes) in the name, `_total` for what only rises. What cannot
//! be known is left out and never 0. How many series there are is bounded, whatever is watched: see `MOST_LIMITS` and the like.

mod connections;
mod limits;
mod own;
mod program;
mod run;
mod text;
mod timed;

use std::borrow::Cow;
use std::fmt::Write as _;

pub use text::{Format, write};
pub use timed::Timed;

use crate::model::{Model, Verdict};
use crate::protocol::Role;

/// What kind of metric it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rises and falls.
    Gauge,
    /// Only rises, but where an engine begins to count anew.
    Counter,
    /// Times, counted by how long they were.
    Histogram,
    /// Labels alone.
    Info,
}

impl Kind {
    /// Its name in `OpenMetrics`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
            Kind::Info => "info",
        }
    }
}

/// A metric: all series of one name.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Its name, without the suffix that its kind has in the text (`_total`, `_info`).
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// What it means, one line.
    pub help: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// Reads it.
    read: fn(&Moment<'_>) -> Vec<Point>,
}

impl Family {
    /// Its unit, with which its name ends; none for what is counted.
    pub fn unit(&self) -> Option<&'static str> {
        ["seconds", "bytes"].into_iter().find(|unit| self.name.ends_with(&format!("_{unit}")))
    }

    /// The name of its series in queries; of a histogram without `_bucket`, `_sum` and `_count`.
    pub fn series(&self) -> String {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        format!("{}{suffix}", self.name)
    }

    /// Its series at a moment. Two of the same labels would be refused by whoever reads them: the first counts.
    pub fn points(&self, moment: &Moment<'_>) -> Vec<Point> {
        let mut points: Vec<Point> = Vec::new();
        for point in (self.read)(moment) {
            if point.value.is_known() && points.iter().all(|p| p.labels != point.labels) {
                points.push(point);
            }
        }
        points
    }
}

/// Every metric, in the order in which they are written.
pub fn families() -> impl Iterator<Item = &'static Family> {
    [run::FAMILIES, connections::FAMILIES, limits::FAMILIES, program::FAMILIES, own::FAMILIES].into_iter().flatten()
}

/// Every metric as a row of a table, for `docs/metrics.md`.
pub fn table() -> String {
    let mut table = "| name | kind | labels | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for family in families() {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels) = (family.kind.name(), labels.join(" "));
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| `{}` | {kind} | {labels} | {} |", family.series(), family.help);
    }
    table
}

/// What metrics are made of.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The run so far.
    pub model: &'a Model,
    /// What run it is: labels of `c1m_top_run_info`.
    pub run: &'a [(String, String)],
    /// How it ended, once it has.
    pub verdict: Option<Verdict>,
}

/// One series at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    labels: Vec<(Cow<'static, str>, String)>,
    value: Value,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Number(f64),
    /// How many took up to each bound of a histogram, how many there are, and their sum in seconds.
    Times {
        up_to: Vec<u64>,
        all: u64,
        sum: f64,
    },
}

impl Value {
    fn is_known(&self) -> bool {
        match self {
            Value::Number(n) => n.is_finite(),
            Value::Times { sum, .. } => sum.is_finite(),
        }
    }
}

impl Point {
    fn new<const N: usize>(labels: [(&'static str, &str); N], value: f64) -> Self {
        let labels = labels.into_iter().map(|(name, value)| (Cow::Borrowed(name), value.to_owned())).collect();
        Self { labels, value: Value::Number(value) }
    }

    fn times(labels: Vec<(Cow<'static, str>, String)>, up_to: Vec<u64>, all: u64, sum: f64) -> Self {
        Self { labels, value: Value::Times { up_to, all, sum } }
    }

    #[cfg(test)]
    fn labels(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(|(name, _)| name.as_ref())
    }
}

/// A metric of one series.
fn one(value: Option<f64>) -> Vec<Point> {
    value.map(|value| Point::new([], value)).into_iter().collect()
}

/// The same of a count.
fn count(value: Option<u64>) -> Vec<Point> {
    one(value.map(float))
}

/// A count as the text has it: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts and bytes far below 2^53")]
fn float(n: u64) -> f64 {
    n as f64
}

/// 1 for yes.
fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// The label of a watched program that is no engine of ours.
const PROCESS: &str = "process";

/// A series for each engine, living or not, that has the value.
fn by_role(moment: &Moment<'_>, value: impl Fn(&crate::model::Engine) -> Option<f64>) -> Vec<Point> {
    let engines = [Role::Client, Role::Server].into_iter().filter_map(|role| moment.model.engine(role));
    let named = engines.filter_map(|engine| Some((engine.role?.name(), value(engine)?)));
    named.map(|(role, value)| Point::new([("role", role)], value)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::model::synthetic;
    use crate::protocol::{ErrorCount, Traffic};

    #[test]
    fn names_are_those_of_the_conventions() {
        let mut names = HashSet::new();
        for family in families() {
            let name = family.name;
            assert!(names.insert(name), "{name} twice");
            assert!(name.starts_with("c1m_top_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
            for suffix in ["_total", "_info", "_bucket", "_count", "_sum", "_created"] {
                assert!(!name.ends_with(suffix), "{name}: its kind adds what it needs");
            }
            assert!(family.help.ends_with('.') && !family.help.contains(['\n', '|', '\\']), "{name}: {}", family.help);
            for other in ["milliseconds", "microseconds", "kilobytes", "_ms", "_us", "percent"] {
                assert!(!name.ends_with(other), "{name} is in no base unit");
            }
        }
    }

    #[test]
    fn each_series_has_the_labels_of_its_family_and_no_two_are_the_same() {
        let mut ramp = synthetic::ramp(100_000, 20_000, 1000);
        // On its way, with all that a client can say.
        ramp.pop();
        let client = synthetic::engine(ramp.last_mut().unwrap(), Role::Client).unwrap();
        (client.greet, client.ceiling, client.traffic) = (true, Some(90_000), Some(Traffic::default()));
        client.errors.push(ErrorCount { op: "connect".into(), errno: 99, name: "EADDRNOTAVAIL".into(), count: 3 });
        let mut model = Model::default();
        for sample in &ramp {
            model.update(sample);
        }
        let mut foreign = Model::default();
        let mut sample = synthetic::sample(5000, 1000);
        synthetic::foreign(&mut sample, 77, "nginx", 90, 1024);
        let program = sample.kernel.program.as_mut().unwrap();
        program.census = Ok(synthetic::census(5000, 80));
        program.members[0].connections = Some(5000);
        foreign.update(&sample);
        let mut seen = HashSet::new();
        for model in [&model, &foreign] {
            let run = [("version".to_owned(), "1".to_owned()), ("role".to_owned(), "both".to_owned())];
            let moment = Moment { model, run: &run, verdict: Some(Verdict::TargetReached) };
            for family in families() {
                let points = family.points(&moment);
                if !points.is_empty() {
                    seen.insert(family.name);
                }
                for (i, point) in points.iter().enumerate() {
                    let labels: Vec<&str> = point.labels().collect();
                    assert!(family.kind == Kind::Info || labels == family.labels, "{}: {labels:?}", family.name);
                    assert!(points[..i].iter().all(|p| p.labels != point.labels), "{}: {point:?}", family.name);
                }
            }
        }
        let missing: Vec<&str> = families().map(|f| f.name).filter(|name| !seen.contains(name)).collect();
        assert!(missing.is_empty(), "never seen: {missing:?}");
    }
}
