//! The two text formats: `OpenMetrics` 1.0, and the older one of Prometheus (text 0.0.4), which more programs read.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::{Family, Kind, Moment, Point, Value, families};
use crate::units::printable;

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// The text format 0.0.4 of Prometheus.
    Prometheus,
}

impl Format {
    /// What HTTP calls it.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Bounds of a histogram: 1 us, and twice as much from each to the next, up to two minutes.
pub(super) const PLACES: usize = 28;

/// A bound in seconds.
fn bound(place: usize) -> f64 {
    2_f64.powi(i32::try_from(place).unwrap_or(i32::MAX)) / 1e6
}

/// Every metric at a moment.
pub fn write(moment: &Moment<'_>, format: Format) -> String {
    let mut text = String::with_capacity(32 * 1024);
    for family in families() {
        let points = family.points(moment);
        if points.is_empty() {
            continue;
        }
        head(&mut text, family, format);
        for point in &points {
            lines(&mut text, family, point, None);
        }
    }
    if format == Format::OpenMetrics {
        text.push_str(END);
    }
    text
}

/// The last line of `OpenMetrics`.
pub(super) const END: &str = "# EOF\n";

/// What stands before the series of a metric.
pub(super) fn head(text: &mut String, family: &Family, format: Format) {
    let open = format == Format::OpenMetrics;
    let name = if open { Cow::Borrowed(family.name) } else { Cow::Owned(family.series()) };
    // The older format has no such kind.
    let kind = if !open && family.kind == Kind::Info { Kind::Gauge } else { family.kind };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# TYPE {name} {}", kind.name());
    if let Some(unit) = family.unit().filter(|_| open) {
        let _ = writeln!(text, "# UNIT {name} {unit}");
    }
    let _ = writeln!(text, "# HELP {name} {}", family.help);
}

/// The lines of one series, with a time (milliseconds since the Unix epoch) where there is one.
pub(super) fn lines(text: &mut String, family: &Family, point: &Point, at_ms: Option<u64>) {
    match &point.value {
        Value::Number(n) => line(text, &family.series(), point, None, *n, at_ms),
        Value::Times { up_to, all, sum } => {
            let bucket = format!("{}_bucket", family.name);
            for (place, n) in up_to.iter().enumerate() {
                line(text, &bucket, point, Some(&bound(place).to_string()), super::float(*n), at_ms);
            }
            line(text, &bucket, point, Some("+Inf"), super::float(*all), at_ms);
            line(text, &format!("{}_sum", family.name), point, None, *sum, at_ms);
            line(text, &format!("{}_count", family.name), point, None, super::float(*all), at_ms);
        }
    }
}

fn line(text: &mut String, name: &str, point: &Point, le: Option<&str>, value: f64, at_ms: Option<u64>) {
    text.push_str(name);
    let labels = point.labels.iter().map(|(name, value)| (name.as_ref(), value.as_str()));
    let mut before = '{';
    for (name, value) in labels.chain(le.map(|le| ("le", le))) {
        text.push(before);
        before = ',';
        text.push_str(name);
        text.push_str("=\"");
        escape(text, value);
        text.push('"');
    }
    if before == ',' {
        text.push('}');
    }
    let _ = write!(text, " {value}");
    if let Some(ms) = at_ms {
        let _ = write!(text, " {}.{:03}", ms / 1000, ms % 1000);
    }
    text.push('\n');
}

/// A label's value: nothing in it that ends it, nor that a terminal obeys.
fn escape(text: &mut String, value: &str) {
    for c in printable(value).chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Model, Verdict, synthetic};
    use crate::protocol::Role;

    fn ramped() -> Model {
        let mut model = Model::default();
        for sample in synthetic::ramp(100_000, 20_000, 1000) {
            model.update(&sample);
        }
        model
    }

    fn text(model: &Model, format: Format) -> String {
        let run =
            [("version".to_owned(), "1.2.3".to_owned()), ("what".to_owned(), "a \"b\"\\ \u{1b}[2J\nc".to_owned())];
        write(&Moment { model, run: &run, verdict: None }, format)
    }

    fn value(text: &str, series: &str) -> Option<f64> {
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    #[test]
    fn a_label_is_harmless_whatever_is_in_it() {
        let text = text(&Model::default(), Format::OpenMetrics);
        let line = text.lines().find(|line| line.starts_with("c1m_top_run_info")).unwrap();
        assert_eq!(line, r#"c1m_top_run_info{version="1.2.3",what="a \"b\"\\ \\u{1b}[2J\\nc"} 1"#);
    }

    #[test]
    fn figures_are_those_of_the_model_in_base_units() {
        let model = ramped();
        for format in [Format::OpenMetrics, Format::Prometheus] {
            let text = text(&model, format);
            assert_eq!(value(&text, r#"c1m_top_connections{role="client",state="established"}"#), Some(100_000.0));
            assert_eq!(value(&text, r#"c1m_top_connections_opened_total{role="server"}"#), Some(100_000.0));
            assert_eq!(value(&text, "c1m_top_sample_duration_seconds"), Some(0.0004));
            let limit = model.limits().iter().find(|l| l.forecast.connections().is_some()).unwrap();
            let labels = format!("{{limit=\"{}\",scope=\"{}\"}}", limit.info.name, limit.scope);
            let forecast = value(&text, &format!("c1m_top_limit_forecast_connections{labels}"));
            assert_eq!(forecast, limit.forecast.connections().map(super::super::float));
            let total = model.cost().total.unwrap().per_connection;
            assert_eq!(value(&text, "c1m_top_connection_memory_bytes"), Some(total));
        }
    }

    #[test]
    fn what_is_not_known_is_not_there() {
        let mut model = Model::default();
        model.update(&synthetic::host_only(1000));
        let text = text(&model, Format::OpenMetrics);
        for absent in ["connections_opened", "connections_target", "connect_duration", "verdict", "target_eta", "guard"]
        {
            assert!(!text.contains(&format!("c1m_top_{absent}")), "{absent}: {text}");
        }
        assert!(text.contains(r#"c1m_top_connections{role="namespace",state="established"} 4"#), "{text}");
    }

    #[test]
    fn a_silent_engine_is_marked_and_a_dead_one_has_no_connections() {
        let mut model = ramped();
        let mut sample = synthetic::sample(100_000, 6000);
        synthetic::engine(&mut sample, Role::Server).unwrap().silent_ms = 3000;
        sample.kernel.processes[1].alive = false;
        model.update(&sample);
        let text = text(&model, Format::OpenMetrics);
        assert_eq!(value(&text, r#"c1m_top_engine_silent{role="server"}"#), Some(1.0));
        assert!(!text.contains(r#"c1m_top_connections{role="client""#), "{text}");
        assert_eq!(value(&text, r#"c1m_top_connections_opened_total{role="client"}"#), Some(100_000.0));
    }

    #[test]
    fn buckets_rise_to_the_count_and_their_bounds_are_doublings() {
        let text = text(&ramped(), Format::OpenMetrics);
        for name in ["connect", "handshake"] {
            let prefix = format!("c1m_top_{name}_duration_seconds");
            let buckets = text.lines().filter(|line| line.starts_with(&format!("{prefix}_bucket{{")));
            let numbers: Vec<f64> = buckets.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
            assert_eq!(numbers.len(), PLACES + 1);
            assert!(numbers.is_sorted(), "{numbers:?}");
            assert_eq!(numbers.last().copied(), value(&text, &format!("{prefix}_count")), "{name}");
        }
        // All of the synthetic run's are above 2^4 us and up to 2^4.5.
        assert_eq!(value(&text, r#"c1m_top_handshake_duration_seconds_bucket{le="0.000016"}"#), Some(0.0));
        assert_eq!(value(&text, r#"c1m_top_handshake_duration_seconds_bucket{le="0.000032"}"#), Some(100_000.0));
        assert_eq!(value(&text, "c1m_top_handshake_duration_seconds_sum"), Some(2.1));
        let last = bound(PLACES - 1);
        assert!(last > 120.0 && last < 240.0, "{last}: two minutes are the longest time that is told from others");
    }

    #[test]
    fn the_two_formats_differ_in_heads_alone() {
        let model = ramped();
        let (open, old) = (text(&model, Format::OpenMetrics), text(&model, Format::Prometheus));
        assert!(open.ends_with("\n# EOF\n") && !old.contains("EOF"));
        let bare = |text: &str| text.lines().filter(|l| !l.starts_with('#')).map(ToOwned::to_owned).collect::<Vec<_>>();
        assert_eq!(bare(&open), bare(&old));
        assert!(open.contains("# TYPE c1m_top_connections_opened counter\n"), "{open}");
        assert!(old.contains("# TYPE c1m_top_connections_opened_total counter\n"), "{old}");
        assert!(open.contains("# TYPE c1m_top_run info\n") && old.contains("# TYPE c1m_top_run_info gauge\n"));
        assert!(open.contains("# UNIT c1m_top_own_cpu_seconds seconds\n") && !old.contains("# UNIT"));
    }

    #[test]
    fn a_verdict_is_there_once_the_run_is_over() {
        let model = ramped();
        let text = write(&Moment { model: &model, run: &[], verdict: Some(Verdict::LimitHit) }, Format::Prometheus);
        assert_eq!(value(&text, r#"c1m_top_verdict{verdict="limit_hit"}"#), Some(1.0));
    }
}
