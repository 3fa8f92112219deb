//! The charts of a report, from what is known of a run.

use super::facts::{Facts, Point};
use super::svg::{COLOURS, Chart, Curve, Mark};
use super::words::short_time;
use crate::limits::{Limit, LimitState};
use crate::model::chart::LineAt;
use crate::units::axis::Scale;
use crate::units::{grouped, short_count, signed, whole};

/// Parts of the time that say their numbers when they are pointed at.
const HINTS: usize = 60;

/// Memory over connections, with its limits and where it goes.
pub fn memory(facts: &Facts, height: f64) -> Chart {
    let chart = &facts.chart;
    let mut curves: Vec<Curve> = (0..)
        .zip(&chart.curves)
        .map(|(colour, c)| Curve {
            label: c.label.to_owned(),
            colour: colour % COLOURS.len(),
            segments: c.segments.clone(),
            dashed: false,
        })
        .collect();
    if let Some([from, to]) = chart.forecast.filter(|forecast| forecast[0].0 < chart.x_bounds.1) {
        curves.push(Curve { label: "at this cost".into(), colour: 0, segments: vec![vec![from, to]], dashed: true });
    }
    let marks = chart.lines.iter().map(|line| {
        let (at, upright) = match line.at {
            LineAt::Bytes(bytes) => (bytes, false),
            LineAt::Connections(count) => (count, true),
        };
        Mark { label: line.label.clone(), at, upright, strong: line.nearest }
    });
    let whose = chart.of.as_ref().map_or_else(|| "the machine".to_owned(), ToOwned::to_owned);
    Chart {
        title: format!("Memory of {whose} over connections"),
        x: Scale::Connections,
        y: (Scale::Bytes, ""),
        bounds: [chart.x_bounds, chart.y_bounds],
        marks: marks.collect(),
        hints: of_connections(facts),
        curves,
        height,
    }
}

/// What the memory was, count by count.
fn of_connections(facts: &Facts) -> Vec<(f64, f64, String)> {
    let rising = facts.rising();
    let step = (rising.len() / HINTS).max(1);
    let hints = rising.windows(step + 1).step_by(step).filter_map(|part| {
        let (first, last) = (part.first()?, part.last()?);
        let text =
            format!("{} connections: {} in use", grouped(last.connections), crate::units::bytes(whole(last.memory)));
        last.memory.is_finite().then_some((first.connections as f64, last.connections as f64, text))
    });
    hints.collect()
}

/// Memory taken since the start over connections, of several runs.
pub fn memory_of(runs: &[(String, &Facts)], height: f64) -> Chart {
    let curves = of_runs(runs, |run| {
        let known: Vec<&Point> = run.highest().into_iter().filter(|p| !p.own_memory.is_nan()).collect();
        segments(known.into_iter(), |p| (p.connections as f64, p.own_memory))
    });
    with_curves(
        "Memory taken since the start (sockets, processes), over connections",
        (Scale::Connections, Scale::Bytes, ""),
        curves,
        height,
    )
}

/// Connections over time, of several runs.
pub fn connections_of(runs: &[(String, &Facts)], height: f64) -> Chart {
    let curves = of_runs(runs, |run| over_time(run, |p| p.connections as f64));
    with_curves("Connections over time", (Scale::Seconds, Scale::Connections, ""), curves, height)
}

fn of_runs(runs: &[(String, &Facts)], of: impl Fn(&Facts) -> Vec<Vec<(f64, f64)>>) -> Vec<Curve> {
    let curve = |(i, (label, run)): (usize, &(String, &Facts))| Curve {
        label: label.clone(),
        colour: i % COLOURS.len(),
        segments: of(run),
        dashed: false,
    };
    runs.iter().enumerate().map(curve).collect()
}

/// What there is over time: connections, rate, CPU, latency; those that are known.
pub fn over_time_of(facts: &Facts, height: f64) -> Vec<Chart> {
    let curve = |label: &str, colour, of: fn(&Point) -> f64| Curve {
        label: label.to_owned(),
        colour,
        segments: over_time(facts, of),
        dashed: false,
    };
    let engines = facts.points.iter().any(|p| !p.cpu_us.is_nan());
    let server = if engines { "server" } else { "the watched program" };
    let all = [
        (
            "Connections open, over time",
            (Scale::Connections, ""),
            vec![curve("open", 0, |p| p.connections as f64)],
            (|p| format!("{} open", grouped(p.connections))) as fn(&Point) -> String,
        ),
        (
            "Connections opened a second, over time",
            (Scale::Connections, "/s"),
            vec![curve("opened a second", 2, |p| p.rate.max(0.0))],
            |p| format!("{}/s", signed(p.rate)),
        ),
        (
            "Cores in use, over time",
            (Scale::Number, ""),
            vec![curve(server, 0, |p| p.cores[0]), curve("client", 1, |p| p.cores[1])],
            |p| format!("{:.2} cores", p.cores.iter().filter(|c| !c.is_nan()).sum::<f64>()),
        ),
        (
            "Latency of connects so far, with what they waited in the client's own queue, over time",
            (Scale::Number, " ms"),
            vec![curve("connect, p99", 0, |p| p.connect_p99 / 1e3)],
            |p| format!("p99 {:.2} ms", p.connect_p99 / 1e3),
        ),
        (
            "Latency of handshakes so far, the network's part of it, over time",
            (Scale::Number, " us"),
            vec![curve("handshake, p99", 2, |p| p.handshake_p99)],
            |p| format!("p99 {:.0} us", p.handshake_p99),
        ),
        (
            "Latency of echoes since the target was reached, over time",
            (Scale::Number, " ms"),
            vec![curve("echo, p99", 1, |p| p.echo[0] / 1e3), curve("echo, median", 3, |p| p.echo[1] / 1e3)],
            |p| format!("p99 {:.2} ms, median {:.2} ms", p.echo[0] / 1e3, p.echo[1] / 1e3),
        ),
    ];
    all.into_iter()
        .map(|(title, (scale, unit), curves, hint)| {
            let chart = with_curves(title, (Scale::Seconds, scale, unit), curves, height);
            Chart { hints: of_time(facts, hint), ..chart }
        })
        .filter(|chart| !chart.is_empty())
        .collect()
}

fn with_curves(title: &str, (x, y, unit): (Scale, Scale, &'static str), mut curves: Vec<Curve>, height: f64) -> Chart {
    curves.retain(|curve| curve.segments.iter().any(|s| !s.is_empty()));
    let bounds = Chart::fit(&curves);
    Chart { title: title.to_owned(), x, y: (y, unit), bounds, curves, marks: Vec::new(), hints: Vec::new(), height }
}

fn over_time(facts: &Facts, of: impl Fn(&Point) -> f64) -> Vec<Vec<(f64, f64)>> {
    segments(facts.points.iter(), |p| (p.t_ms as f64 / 1000.0, of(p)))
}

/// Runs of points without a gap: what is not known is one, and so is time without a sample.
fn segments<'a>(points: impl Iterator<Item = &'a Point>, of: impl Fn(&Point) -> (f64, f64)) -> Vec<Vec<(f64, f64)>> {
    let mut segments: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut open = false;
    for point in points {
        open &= !point.begins;
        let at = of(point);
        match segments.last_mut() {
            _ if at.1.is_nan() => open = false,
            Some(segment) if open => segment.push(at),
            _ => {
                segments.push(vec![at]);
                open = true;
            }
        }
    }
    segments
}

fn of_time(facts: &Facts, text: fn(&Point) -> String) -> Vec<(f64, f64, String)> {
    let step = (facts.points.len() / HINTS).max(1);
    let parts = facts.points.windows(step + 1).step_by(step);
    parts
        .map(|part| {
            let (from, last) = (part[0].t_ms as f64 / 1000.0, part[part.len() - 1]);
            let to = last.t_ms as f64 / 1000.0;
            (from, to, format!("{}: {}", short_time(to), text(&last)))
        })
        .filter(|hint| !hint.2.contains("NaN"))
        .collect()
}

/// What was foretold of a limit on the way, and what came; nothing where it was foretold once or never.
pub fn forecasts(facts: &Facts, limit: &Limit, height: f64) -> Option<Chart> {
    let points: Vec<(f64, f64)> =
        facts.forecasts(limit).map(|f| (f.at_connections as f64, f.predicted_connections as f64)).collect();
    if points.len() < 2 {
        return None;
    }
    let met = limit.state == LimitState::Hit;
    let came = if met { Some(facts.peak) } else { limit.forecast.connections() };
    let curve = Curve {
        label: "forecast".into(),
        colour: 0,
        segments: points.iter().map(|p| vec![*p]).collect(),
        dashed: false,
    };
    let title = format!("{}: the forecast, by the count when it was made", limit.info.label);
    let mut chart = with_curves(&title, (Scale::Connections, Scale::Connections, ""), vec![curve], height);
    if let Some(came) = came {
        let what = if met { "reached at" } else { "last forecast" };
        let label = format!("{what} {}", short_count(came));
        chart.marks.push(Mark { label, at: came as f64, upright: false, strong: met });
    }
    // Not from 0: how near they were to what came is the point.
    let all = points.iter().map(|p| p.1).chain(came.map(|came| came as f64));
    let (least, most) = all.fold((f64::INFINITY, 0.0), |(least, most): (f64, f64), y| (least.min(y), most.max(y)));
    chart.bounds[1] = (least * 0.85, most * 1.15);
    chart.bounds[0].0 = 0.0;
    Some(chart)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{facts, facts_with};
    use super::*;

    #[test]
    fn a_run_has_its_charts() {
        let facts = facts(200_000);
        let memory = memory(&facts, 300.0);
        assert!(memory.curves.len() >= 2, "{memory:?}");
        assert!(!memory.hints.is_empty());
        let titles: Vec<String> = over_time_of(&facts, 150.0).into_iter().map(|c| c.title).collect();
        assert_eq!(titles.len(), 5, "{titles:?}");
        let nearest = facts.nearest().unwrap();
        assert!(forecasts(&facts, nearest, 150.0).is_some());
        let both = [("a".to_owned(), &facts), ("b".to_owned(), &facts)];
        assert_eq!(memory_of(&both, 300.0).curves.len(), 2);
        assert!(!connections_of(&both, 300.0).is_empty());
    }

    #[test]
    fn the_limit_that_comes_first_stands_out() {
        let facts = facts_with(200_000, |sample, open| {
            if let Ok(conntrack) = &mut sample.kernel.net.conntrack {
                (conntrack.count, conntrack.max) = (open, 250_000);
            }
        });
        let marks = memory(&facts, 300.0).marks;
        let strong: Vec<&str> = marks.iter().filter(|m| m.strong).map(|m| m.label.as_str()).collect();
        assert!(strong.len() == 1 && strong[0].ends_with(" at 250 k"), "{marks:?}");
    }

    #[test]
    fn what_is_not_known_is_a_gap() {
        let facts = facts_with(50_000, |sample, open| {
            if (20_000..40_000).contains(&open) {
                sample.kernel.host.mem = Err(crate::sample::Absent::because("gone"));
            }
        });
        assert_eq!(over_time(&facts, |p| p.memory).len(), 3, "before, amid the close, after");
        let mut facts = facts;
        facts.points[3].begins = true;
        assert_eq!(over_time(&facts, |p| p.connections as f64).len(), 2);
    }
}
