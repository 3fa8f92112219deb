//! The processes side by side: a column each, a row for each thing known of them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::panel;
use super::text::{cut, put, wrap};
use super::theme::Theme;
use crate::limits::LimitState;
use crate::model::{Engine, Model};
use crate::protocol::Phase;
use crate::units;

/// Columns of a row's name.
const NAME: u16 = 15;

/// Draws the panel.
pub(super) fn draw(buf: &mut Buffer, area: Rect, model: &Model, theme: Theme) {
    let inner = panel::frame(buf, area, "Engines", theme);
    let engines = model.engines();
    if engines.is_empty() {
        put(buf, inner, 1, 0, "no process is watched: only this machine", theme.dim());
        return;
    }
    let each = (inner.width.saturating_sub(NAME + 2) / engines.len() as u16).min(44);
    let column_of = |i: usize| NAME + 2 + i as u16 * each;
    for (i, engine) in engines.iter().enumerate() {
        let title = format!("{} {}", engine.name, engine.pid);
        put(buf, inner, column_of(i), 0, &cut(&title, usize::from(each.saturating_sub(1))), theme.strong());
    }
    let all: Vec<Vec<Row>> = engines.iter().map(rows).collect();
    let mut y = 1;
    for (r, (name, _, _)) in all[0].iter().enumerate() {
        // A row that nobody has anything for would only be noise.
        if all.iter().all(|rows| rows[r].1.is_none()) {
            continue;
        }
        put(buf, inner, 1, y, name, theme.dim());
        for (i, rows) in all.iter().enumerate() {
            let text = rows[r].1.as_deref().unwrap_or("         –");
            let style = if rows[r].2 { theme.state(LimitState::Warn) } else { theme.text() };
            put(buf, inner, column_of(i), y, &cut(text, usize::from(each.saturating_sub(1))), style);
        }
        y += 1;
    }
    notes(buf, Rect { y: inner.y + y, height: inner.height.saturating_sub(y), ..inner }, engines, theme);
}

/// Name, value where there is one, whether it is a warning.
type Row = (&'static str, Option<String>, bool);

fn rows(e: &Engine) -> Vec<Row> {
    let count = |v: Option<u64>| v.map(|v| format!("{:>10}", units::grouped(v)));
    let lost = e.lost.is_some_and(|l| l > 0) && !matches!(e.phase, Some(Phase::Closing | Phase::Closed));
    let latency = |us: u64| (e.connect.count > 0).then(|| format!("{:>10.2} ms", us as f64 / 1000.0));
    let traffic = e.traffic.as_ref();
    let mismatched = traffic.map(|t| t.mismatched);
    vec![
        ("state", Some(state(e)), !e.alive),
        ("connections", count(e.open), false),
        ("most at once", count(e.peak), false),
        ("opened so far", count(e.opened), false),
        ("lost", count(e.lost), lost),
        ("in flight", count(e.in_flight), false),
        ("greeted", count(e.greeted.filter(|g| *g > 0)), false),
        ("rate limit", e.phase.map(|_| rate_limit(e)), false),
        ("guard's ceiling", count(e.ceiling), false),
        ("descriptors", descriptors(e), false),
        ("tables", tables(e), false),
        ("threads", count(e.threads), false),
        ("memory (RSS)", e.rss_bytes.map(|b| format!("{:>10}", units::bytes(b))), false),
        ("CPU", e.cpu_share.map(|s| format!("{:>8.1} % of a core", s * 100.0)), false),
        ("echo waiting", e.buffered_bytes.map(|b| format!("{:>10}", units::bytes(b))), false),
        ("connect median", latency(e.connect.p50_us), false),
        ("connect 99 %", latency(e.connect.p99_us), false),
        ("connect 99.9 %", latency(e.connect.p999_us), false),
        ("connect longest", latency(e.connect.max_us), false),
        ("active", count(traffic.map(|t| t.active)), false),
        ("messages sent", count(traffic.map(|t| t.sent)), false),
        ("echoed", count(traffic.map(|t| t.echoed)), false),
        ("echoed wrong", count(mismatched), mismatched.is_some_and(|m| m > 0)),
        ("late", count(traffic.map(|t| t.late)), false),
        ("skipped", count(traffic.map(|t| t.skipped)), false),
        ("echo median", traffic.map(|t| format!("{:>10.2} ms", t.echo.p50_us as f64 / 1000.0)), false),
        ("echo 99 %", traffic.map(|t| format!("{:>10.2} ms", t.echo.p99_us as f64 / 1000.0)), false),
    ]
}

fn state(e: &Engine) -> String {
    match (&e.death, e.alive, e.phase) {
        (Some(death), _, _) => death.cause.to_string(),
        (None, false, _) => "gone".into(),
        (None, true, Some(phase)) => format!("{phase:?}").to_lowercase(),
        (None, true, None) => "running, watched without control".into(),
    }
}

fn rate_limit(e: &Engine) -> String {
    e.rate_limit.map_or_else(|| format!("{:>10}", "none"), |r| format!("{:>8}/s", units::grouped(r)))
}

/// `    655,200 of 1,300,000` over all tables.
fn descriptors(e: &Engine) -> Option<String> {
    let used = e.descriptors?;
    let bound = e.table_limit.map(|each| each.saturating_mul(u64::from(e.tables_max.unwrap_or(1))));
    Some(match bound {
        Some(bound) => format!("{:>10} of {}", units::grouped(used), units::short_count(bound)),
        None => format!("{:>10}", units::grouped(used)),
    })
}

/// `33 of at most 256, 20,000 each`.
fn tables(e: &Engine) -> Option<String> {
    let (tables, most, each) = (e.tables?, e.tables_max?, e.table_limit?);
    Some(format!("{tables:>10} of {most}, {} each", units::grouped(each)))
}

/// What needs sentences: why an engine stopped, which errors it met.
fn notes(buf: &mut Buffer, area: Rect, engines: &[Engine], theme: Theme) {
    let mut lines: Vec<(String, Style)> = Vec::new();
    for e in engines {
        if let Some(stop) = &e.stop {
            lines.push((format!("{} stopped: {}", e.name, stop.text), theme.strong()));
        }
        for error in &e.errors {
            lines.push((
                format!("{}: {} failed with {} {} times", e.name, error.op, error.name, units::grouped(error.count)),
                theme.text(),
            ));
        }
    }
    let mut row = 1;
    for (text, style) in lines {
        for line in wrap(&text, usize::from(area.width.saturating_sub(2))) {
            put(buf, area, 1, row, &line, style);
            row += 1;
        }
    }
}
