//! A fleet as text: a line a look, a row a worker, and what it came to.

use std::fmt::Write as _;

use crate::fleet::{FleetView, Row, Standing};
use crate::units::{bytes, grouped, seconds, short_count, whole};

/// One line: the sums, and what comes next.
pub fn line(view: &FleetView) -> String {
    let (count, totals) = (&view.count, &view.totals);
    let going = count.running + count.silent + count.waiting;
    let workers = count.expected.map_or(going.to_string(), |n| format!("{going} of {n}"));
    let target = totals.target.map_or(String::new(), |target| format!(" of {}", grouped(target)));
    let mut text = format!("{workers} workers  {}{target}", grouped(totals.connections));
    if totals.rate_per_s.abs() >= 1.0 {
        let _ = write!(text, "  {}/s", crate::units::signed(totals.rate_per_s));
    }
    if let Some(accepted) = totals.accepted.filter(|_| totals.target.is_some()) {
        let _ = write!(text, "  accepted {}", grouped(accepted));
    }
    for (n, what) in [(totals.lost, "lost"), (totals.failures, "failures")] {
        if n > 0 {
            let _ = write!(text, "  {what} {}", grouped(n));
        }
    }
    if let Some(nearest) = &view.nearest {
        let host = &view.rows[nearest.row].state.who.host;
        let at = nearest.fleet_connections.map_or(String::new(), |n| format!(" at {}", short_count(n)));
        let when = nearest.limit.seconds.map_or(String::new(), |s| format!(" in {}", seconds(s)));
        let _ = write!(text, "  next {} on {host}{at}{when}", nearest.limit.name);
    }
    if !view.missing.is_empty() {
        let _ = write!(text, "  missing: {}", view.missing.join(", "));
    }
    if let Some(bottleneck) = &view.bottleneck {
        let _ = write!(text, "  {}", bottleneck.text);
    }
    if let Some(versions) = &view.versions {
        let _ = write!(text, "  versions differ: {versions}");
    }
    text + "\n"
}

/// A line a worker.
pub fn rows<'a>(rows: impl Iterator<Item = &'a Row>) -> String {
    let mut text = String::new();
    for row in rows {
        let state = &row.state;
        let target = state.target.map_or(String::new(), |target| format!(" of {}", grouped(target)));
        let rate = state
            .rate_per_s
            .filter(|_| row.standing != Standing::Left)
            .map_or(String::new(), |rate| format!("{}/s", crate::units::signed(rate)));
        let cpu = state.cpu.map_or(String::new(), |cpu| {
            let percent = whole((100.0 * cpu.cores_used / f64::from(cpu.cores.max(1))).round());
            format!("CPU {percent} %")
        });
        let limit = state.nearest.as_ref().map_or(String::new(), |limit| {
            let at = limit.connections.map_or(String::new(), |n| format!(" at {}", short_count(n)));
            format!("next {}{at}", limit.name)
        });
        let heard = if row.age_ms >= 2000 { format!("heard {} s ago", row.age_ms / 1000) } else { String::new() };
        let ended = state.verdict.map_or(String::new(), |verdict| {
            serde_json::to_value(verdict).ok().and_then(|v| v.as_str().map(ToOwned::to_owned)).unwrap_or_default()
        });
        let parts = [rate, cpu, limit, heard, ended];
        let rest: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let connections = match row.standing {
            // What it had; it has closed all.
            Standing::Left => format!("peak {}{target}", grouped(state.peak)),
            _ => format!("{}{target}", grouped(state.connections)),
        };
        let _ = writeln!(text, "  {:<24} {:<9} {connections}  {}", state.who.name(), row.word(), rest.join("  "));
    }
    text
}

/// What it came to.
pub fn summary(view: &FleetView) -> String {
    let mut text = rows(view.rows.iter());
    if let Some(us) = view.skew.start_us {
        let error = view.skew.clock_error_us;
        let _ = writeln!(text, "  started within {us} us of one another (clocks ± {error} us)");
    }
    // How many it allows is that of a server that has closed all.
    if let Some(late_us) = view.guard.as_ref().and_then(|guard| guard.late_us) {
        let _ = writeln!(text, "  guard delay {} ms, the worst lately", late_us / 1000);
    }
    if let Some((memory, each)) = view.memory.as_ref().and_then(|memory| Some((memory, memory.bytes_per_connection?))) {
        let host = &view.rows[memory.row].state.who.host;
        let _ = writeln!(text, "  a connection took {} on {host}", bytes(whole(each)));
    }
    text.extend(view.versions.as_ref().map(|versions| format!("  versions differ: {versions}\n")));
    format!("{text}c1m-top fleet {}: {}\n", view.name, view.verdict.text)
}
