//! The processes side by side: a column each, a row for each thing known of them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::given;
use super::panel::{self, Look};
use super::spark;
use super::text::{cut, put, wrap};
use crate::limits::LimitState;
use crate::model::{Engine, Model, Quantity, RunPhase, happened};
use crate::protocol::{EngineStats, Latency, Phase, Role, Traffic};
use crate::units;

/// Columns of a row's name.
const NAME: u16 = 15;

/// Draws the panel.
pub(super) fn draw(buf: &mut Buffer, area: Rect, model: &Model, theme: Look) {
    let inner = panel::frame(buf, area, "Engines", theme);
    let engines = model.engines();
    if engines.is_empty() {
        put(buf, inner, 1, 0, "no process is watched, only this machine", theme.dim());
        return;
    }
    let each = (inner.width.saturating_sub(NAME + 2) / engines.len() as u16).min(44);
    let column_of = |i: usize| NAME + 2 + i as u16 * each;
    for (i, engine) in engines.iter().enumerate() {
        // The engines of several parts have no number between them.
        let merged = model.setup().merged.is_some();
        let title = if merged { format!("{}s", engine.name) } else { format!("{} {}", engine.name, engine.pid) };
        put(buf, inner, column_of(i), 0, &cut(&title, usize::from(each.saturating_sub(1))), theme.strong());
    }
    let holding = model.now().phase == RunPhase::Holding;
    let all: Vec<Vec<Row>> = engines.iter().map(|e| rows(e, holding)).collect();
    let mut y = 1;
    if inner.height >= 14 {
        y = cpu(buf, inner, y, model, each, theme);
    }
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
    let below = |y: u16| Rect { y: inner.y + y, height: inner.height.saturating_sub(y), ..inner };
    y += notes(buf, below(y), engines, theme) + 1;
    given::draw(buf, below(y), model, theme);
}

/// The CPU of each engine over the last minute, in the kernel and in user mode; returns the next row.
fn cpu(buf: &mut Buffer, area: Rect, y: u16, model: &Model, each: u16, theme: Look) -> u16 {
    const ROWS: u16 = 2;
    let Some((first, last)) = model.timespan() else { return y };
    let from = last.saturating_sub(60_000).max(first);
    put(buf, area, 1, y, "CPU, last min", theme.dim());
    for (i, engine) in model.engines().iter().enumerate() {
        let layers = match engine.role {
            Some(Role::Server) => [Quantity::ServerSystem, Quantity::ServerUser],
            Some(Role::Client) => [Quantity::ClientSystem, Quantity::ClientUser],
            None => continue,
        };
        let wide = each.saturating_sub(3).min(30);
        let [system, user] = layers.map(|q| model.over_time(q, (from, from + 60_000), wide.into()));
        let place = Rect { x: area.x + NAME + 2 + i as u16 * each, y: area.y + y, width: wide, height: ROWS };
        let both: Vec<f64> = system.iter().zip(&user).map(|(a, b)| a + b).collect();
        let most = spark::scale(&both).max(0.1);
        spark::stacked(buf, place, &[(&system, theme.second()), (&user, theme.first())], most, theme.theme);
    }
    y + ROWS
}

/// Name, value where there is one, whether it is a warning.
type Row = (&'static str, Option<String>, bool);

fn rows(e: &Engine, holding: bool) -> Vec<Row> {
    let stats = e.stats.as_ref();
    let number = |v: Option<u64>| v.map(|v| format!("{:>10}", units::grouped(v)));
    let count = |of: fn(&EngineStats) -> u64| number(stats.map(of));
    let client = stats.filter(|s| s.role == Role::Client);
    let lost = stats.is_some_and(|s| s.lost > 0 && !matches!(s.phase, Phase::Closing | Phase::Closed));
    let latency = |us: u64| format!("{:>10.2} ms", us as f64 / 1000.0);
    let connect = |of: fn(Latency) -> u64| stats.filter(|s| s.connect.count > 0).map(|s| latency(of(s.connect)));
    let handshake = |of: fn(Latency) -> u64| stats.filter(|s| s.handshake.count > 0).map(|s| latency(of(s.handshake)));
    let traffic = stats.and_then(|s| s.traffic);
    let messages = |of: fn(Traffic) -> u64| number(traffic.map(of));
    let bytes = |b: u64| format!("{:>10}", units::bytes(b));
    vec![
        ("state", Some(state(e, holding)), !e.alive || e.silent),
        ("connections", count(|s| s.open), false),
        ("peak", count(|s| s.peak), false),
        ("opened so far", count(|s| s.opened), false),
        ("lost", count(|s| s.lost), lost),
        ("refused", number(client.map(|s| s.refused).filter(|n| *n > 0)), true),
        ("lost after", client.filter(|s| s.lifetime.count > 0).map(|s| latency(s.lifetime.p50_us)), false),
        ("backing off", client.filter(|s| s.backoff_ms > 0).map(|s| latency(s.backoff_ms * 1000)), true),
        ("in flight", number(client.map(|s| s.in_flight)), false),
        ("greeted", number(stats.filter(|s| s.greet || s.greeted > 0).map(|s| s.greeted)), false),
        ("rate limit", stats.map(rate_limit), false),
        ("guard's ceiling", number(stats.and_then(|s| s.ceiling)), false),
        ("open files", open_files(e), false),
        ("tables", stats.map(tables), false),
        ("threads", number(e.threads.as_ref().ok().copied()), false),
        ("memory (RSS)", e.rss_bytes.as_ref().ok().copied().map(bytes), false),
        ("CPU", e.cpu_share.map(|s| format!("{:>8.1} % of a core", s * 100.0)), false),
        ("echo waiting", stats.map(|s| bytes(s.buffered_bytes)), false),
        ("handshake median", handshake(|h| h.p50_us), false),
        ("handshake 99 %", handshake(|h| h.p99_us), false),
        ("connect median", connect(|c| c.p50_us), false),
        ("connect 99 %", connect(|c| c.p99_us), false),
        ("connect 99.9 %", connect(|c| c.p999_us), false),
        ("connect longest", connect(|c| c.max_us), false),
        ("active", messages(|t| t.active), false),
        ("messages sent", messages(|t| t.sent), false),
        ("echoed", messages(|t| t.echoed), false),
        ("altered", messages(|t| t.mismatched), traffic.is_some_and(|t| t.mismatched > 0)),
        ("late", messages(|t| t.late), false),
        ("overdue", messages(|t| t.overdue), traffic.is_some_and(|t| t.overdue > 0)),
        ("skipped", messages(|t| t.skipped), false),
        ("echo median", traffic.map(|t| latency(t.echo.p50_us)), false),
        ("echo 99 %", traffic.map(|t| latency(t.echo.p99_us)), false),
    ]
}

fn state(e: &Engine, holding: bool) -> String {
    match (&e.death, e.alive, e.phase()) {
        (Some(death), _, _) => death.cause.to_string(),
        (None, false, _) => "gone".into(),
        (None, true, _) if e.silent => "silent: stopped, or getting no CPU".into(),
        (None, true, Some(Phase::Ramping)) if e.role == Some(Role::Server) && holding => "holding".into(),
        // A server is always ready for more; whether some come is its clients' affair.
        (None, true, Some(Phase::Ramping)) if e.role == Some(Role::Server) => "accepting".into(),
        (None, true, Some(phase)) => format!("{phase:?}").to_lowercase(),
        (None, true, None) => "running, watched without control".into(),
    }
}

fn rate_limit(stats: &EngineStats) -> String {
    stats.rate_limit.map_or_else(|| format!("{:>10}", "none"), |r| format!("{:>8}/s", units::grouped(r)))
}

/// `    655,200 of 1,300,000` over all tables.
fn open_files(e: &Engine) -> Option<String> {
    let used = e.open_descriptors()?;
    let tables = e.stats.as_ref().map_or(1, |s| s.tables_max);
    Some(match e.table_limit().map(|each| each.saturating_mul(u64::from(tables))) {
        Some(bound) => format!("{:>10} of {}", units::grouped(used), units::short_count(bound)),
        None => format!("{:>10}", units::grouped(used)),
    })
}

/// `33 of at most 256`.
fn tables(stats: &EngineStats) -> String {
    format!("{:>10} of {}", stats.tables, stats.tables_max)
}

/// What needs sentences: why an engine stopped, which errors it met. Returns the rows it took.
fn notes(buf: &mut Buffer, area: Rect, engines: &[Engine], theme: Look) -> u16 {
    let mut lines: Vec<(String, Style)> = Vec::new();
    for (e, stats) in engines.iter().filter_map(|e| Some((e, e.stats.as_ref()?))) {
        if let Some(stop) = &stats.stop {
            lines.push((format!("{} stopped: {}", e.name, stop.text), theme.strong()));
        }
        for error in &stats.errors {
            lines.push((format!("{}: {}", e.name, happened(error)), theme.text()));
        }
    }
    let mut row = 1;
    for (text, style) in lines {
        for line in wrap(&text, usize::from(area.width.saturating_sub(2))) {
            put(buf, area, 1, row, &line, style);
            row += 1;
        }
    }
    if row > 1 { row } else { 0 }
}
