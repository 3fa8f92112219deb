//! The count: how many of how many, how fast, how long yet.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::panel;
use super::text::{put, width};
use super::theme::Theme;
use crate::limits::LimitState;
use crate::model::{CountSource, Model};
use crate::protocol::Role;
use crate::units;

/// Draws the panel: the count and its bar; below it, where there is room, what the kernel counts beside it.
pub(super) fn draw(buf: &mut Buffer, area: Rect, model: &Model, theme: Theme) {
    let program = model.program();
    let title = match (model.now().source, &program) {
        _ if model.last_sample().is_none() => "Connections".to_owned(),
        (CountSource::Client, _) => "Connections established, counted by the client".to_owned(),
        (CountSource::Server, _) => "Connections accepted, counted by the server".to_owned(),
        (CountSource::Process, Some(program)) if program.queued.is_some() => {
            format!("Connections that {} holds, on the ports it listens on", program.name)
        }
        (CountSource::Process, Some(program)) => format!("Connections that {} holds, by its descriptors", program.name),
        (CountSource::Process, None) => "Connections held".to_owned(),
        (CountSource::Namespace, _) => "Established sockets, counted by the kernel".to_owned(),
    };
    let title = title.as_str();
    let inner = panel::frame(buf, area, title, theme);
    if let Some(listen) = &model.setup().listen {
        panel::remark(buf, area, title, &format!("server listens on {listen}"), theme);
    }
    progress(buf, inner, model, theme);
    if inner.height > 1 {
        details(buf, Rect { y: inner.y + 1, height: 1, ..inner }, model, theme);
    }
    if let Some(note) = &model.setup().target_note {
        put(buf, inner, 1, 2, note, theme.dim());
    }
}

/// `  654,321 of 1,000,000  ████░░  65 %     38,420/s  ETA 9 s`.
fn progress(buf: &mut Buffer, area: Rect, model: &Model, theme: Theme) {
    let now = model.now();
    let left = count(model);
    let style =
        if counted_by(model).is_some_and(|role| now.silent_ms(role).is_some()) { theme.dim() } else { theme.strong() };
    let right = format!("{}{}  {}", rate(model), rate_limit(model), eta(model));
    let mut column = put(buf, area, 1, 0, &left, style);
    if let Some(target) = now.target {
        column = put(buf, area, column, 0, &format!(" of {}", units::grouped(target)), theme.text());
        let room = area.width.saturating_sub(column + width(&right) as u16 + 14);
        let room = room.min(80);
        if room >= 6 {
            column = meter(buf, area, column + 2, 0, room, share(now.connections, target), theme);
        }
    }
    put(buf, area, column + 3, 0, &right, theme.text());
}

/// A bar with its percentage.
fn meter(buf: &mut Buffer, area: Rect, column: u16, row: u16, columns: u16, share: f64, theme: Theme) -> u16 {
    let (full, empty) = panel::bar(theme.progress_marks(), share, columns);
    let column = put(buf, area, column, row, &full, theme.first());
    let column = put(buf, area, column, row, &empty, theme.dim());
    put(buf, area, column + 1, row, &format!("{:>5.1} %", (share * 1000.0).floor() / 10.0), theme.text())
}

fn share(count: u64, target: u64) -> f64 {
    if target == 0 { 0.0 } else { count as f64 / target as f64 }
}

/// Which end the count comes from.
fn counted_by(model: &Model) -> Option<Role> {
    match model.now().source {
        CountSource::Client => Some(Role::Client),
        CountSource::Server => Some(Role::Server),
        CountSource::Process | CountSource::Namespace => None,
    }
}

/// The count in the width of the target, or of nine columns: `  654,321`.
fn count(model: &Model) -> String {
    let now = model.now();
    let wide = now.target.map_or(0, |t| units::grouped(t).len()).max(9);
    format!("{:>wide$}", units::grouped(now.connections))
}

/// `  38,420/s`, and no number where there is none.
fn rate(model: &Model) -> String {
    let rate = model.now().rate_per_s.map_or_else(|| "–".to_owned(), units::signed);
    format!("{rate:>8}/s")
}

/// ` (at most 50,000/s)` where the user set a limit.
fn rate_limit(model: &Model) -> String {
    let limit = model.engine(Role::Client).and_then(|e| e.stats.as_ref()?.rate_limit);
    limit.map_or_else(String::new, |l| format!(" (at most {}/s)", units::grouped(l)))
}

/// `ETA 9 s`, or `backing off 4 s` from a server that refuses, in a field that holds the longest.
fn eta(model: &Model) -> String {
    let now = model.now();
    let text = match (now.backoff_ms, now.eta_s) {
        (Some(..1000), _) => "backing off <1 s".to_owned(),
        (Some(ms), _) => format!("backing off {} s", ms / 1000),
        (None, Some(s)) => format!("ETA {}", units::seconds(s)),
        (None, None) => String::new(),
    };
    format!("{text:<16}")
}

/// What stands beside the count: the other end, the kernel's sockets, what went wrong.
fn details(buf: &mut Buffer, area: Rect, model: &Model, theme: Theme) {
    let now = model.now();
    let number = |value: Option<u64>, wide: usize| {
        value.map_or_else(|| format!("{:>wide$}", "–"), |v| format!("{:>wide$}", units::grouped(v)))
    };
    let failures = if now.failures > 0 { theme.state(LimitState::Warn) } else { theme.text() };
    let mut parts: Vec<(&str, String, Style)> = Vec::new();
    if now.source == CountSource::Client {
        let old = now.silent_ms(Role::Server).is_some();
        parts.push(("at server", number(now.accepted, 9), if old { theme.dim() } else { theme.text() }));
    }
    if now.failures > 0 || counted_by(model).is_some() {
        parts.push(("failures", number(Some(now.failures), 7), failures));
    }
    for (caption, count) in [("lost", now.lost), ("refused", now.refused)] {
        if count.is_some_and(|n| n > 0) {
            parts.push((caption, number(count, 7), theme.state(LimitState::Warn)));
        }
    }
    if let Some(program) = model.program() {
        parts.push(("waiting", number(program.queued, 6), theme.text()));
        if let Some(left) = program.close_wait.filter(|n| *n > 0) {
            parts.push(("CLOSE_WAIT", number(Some(left), 6), theme.text()));
        }
        parts.push(("descriptors", number(program.descriptors, 9), theme.text()));
        let rss = program.rss_bytes.map_or_else(|| "–".to_owned(), units::bytes);
        parts.push(("RSS", format!("{rss:>8}"), theme.text()));
        let cpu = program.cpu_percent.map_or_else(|| "–".to_owned(), |p| format!("{p:.0} %"));
        parts.push(("CPU", format!("{cpu:>6}"), theme.text()));
    }
    parts.push(("sockets", number(now.sockets, 10), theme.text()));
    if now.source == CountSource::Client {
        parts.push(("in flight", number(now.in_flight, 5), theme.text()));
    }
    parts.push(("TIME_WAIT", number(now.time_wait, 7), theme.text()));
    parts.push((crate::limits::LimitId::Orphans.descriptor().label, number(now.orphans, 7), theme.text()));
    if now.retransmits.is_some_and(|n| n > 0) {
        parts.push(("retransmits", number(now.retransmits, 7), theme.text()));
    }
    if let Some(percent) = now.memory_pressure_percent.filter(|p| *p > 0.0) {
        parts.push(("memory pressure", format!("{percent:.1} %"), theme.state(LimitState::Warn)));
    }
    let mut column = 1;
    for (caption, value, style) in parts {
        if column as usize + width(caption) + 1 + width(&value) > usize::from(area.width) {
            break;
        }
        column = put(buf, area, column, 0, caption, theme.dim()) + 1;
        // The style is the number's, not its padding's.
        let number = value.trim_start();
        column += (width(&value) - width(number)) as u16;
        column = put(buf, area, column, 0, number, style) + 3;
    }
}

/// Three rows without a frame, for a screen too small for panels: count, bar, rate.
pub(super) fn draw_small(buf: &mut Buffer, area: Rect, model: &Model, theme: Theme) {
    let now = model.now();
    let mut column = put(buf, area, 1, 0, &count(model), theme.strong());
    column = match now.target {
        Some(target) => put(buf, area, column, 0, &format!(" of {}", units::grouped(target)), theme.text()),
        None if now.source == CountSource::Namespace => put(buf, area, column, 0, " established sockets", theme.text()),
        None => put(buf, area, column, 0, " connections", theme.text()),
    };
    if area.height == 1 {
        put(buf, area, column + 2, 0, rate(model).trim_start(), theme.text());
        return;
    }
    put(buf, area, 1, 1, &format!("{}  {}", rate(model), eta(model)), theme.text());
    if let Some(target) = now.target
        && area.width > 12
    {
        meter(buf, area, 1, 2, area.width - 10, share(now.connections, target), theme);
    }
}
