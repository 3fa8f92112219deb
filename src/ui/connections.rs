//! The count: how many of how many, how fast, how long to go; at the target how long held, and what traffic does.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::digits;
use super::panel::{self, Look};
use super::text::{put, width};
use crate::limits::LimitState;
use crate::model::{CountSource, Model, Quantity, RunPhase};
use crate::protocol::Role;
use crate::units;

/// Rows inside the frame from which on the count is written large.
const LARGE: u16 = digits::ROWS;

/// Columns from which on it is.
const LARGE_FROM: u16 = 100;

/// Draws the panel: the count and its bar; below it, where there is room, what the kernel counts beside it.
pub(super) fn draw(buf: &mut Buffer, area: Rect, model: &Model, look: Look) {
    let title = title(model);
    let inner = panel::frame(buf, area, &title, look);
    if let Some(listen) = &model.setup().listen {
        panel::remark(buf, area, &title, &format!("server listens on {listen}"), look);
    }
    if let Some(note) = &model.setup().target_note {
        panel::foot(buf, area, note, look);
    }
    if inner.height >= LARGE && inner.width >= LARGE_FROM && !look.is_plain() {
        return large(buf, inner, model, look);
    }
    let column = put(buf, inner, 1, 0, &count(model), count_style(model, look));
    progress(buf, inner, column, model, look);
    if inner.height > 1 {
        details(buf, Rect { y: inner.y + 1, height: 1, ..inner }, 1, model, look);
    }
    if let (Some(note), false) = (&model.setup().target_note, look.boxed) {
        put(buf, inner, 1, 2, note, look.dim());
    }
}

/// Digits on the left that are read from two metres, three lines beside them.
fn large(buf: &mut Buffer, area: Rect, model: &Model, look: Look) {
    let text = count(model);
    let number = text.trim_start();
    let wide = digits::width(&text.replace(' ', "0"));
    let left = 2 + wide - digits::width(number).min(wide);
    digits::draw(buf, area, left, number, count_style(model, look));
    let x = 2 + wide + 1;
    let beside = Rect { x: area.x + x, width: area.width.saturating_sub(x), ..area };
    let column = if model.now().target.is_some() { 0 } else { put(buf, beside, 0, 0, "connections", look.dim()) };
    let Some(target) = model.now().target else {
        put(buf, beside, column + 3, 0, &pace(model), look.text());
        return details(buf, Rect { y: beside.y + 2, height: 1, ..beside }, 0, model, look);
    };
    let column = put(buf, beside, 0, 0, &format!("of {}", units::grouped(target)), look.text());
    let room = beside.width.saturating_sub(column + 3 + 10).min(100);
    if room >= 6 {
        meter(buf, beside, column + 3, 0, room, share(model.now().connections, target), look);
    }
    put(buf, beside, 0, 1, &pace(model), look.text());
    details(buf, Rect { y: beside.y + 2, height: 1, ..beside }, 0, model, look);
}

fn title(model: &Model) -> String {
    let program = model.program();
    match (model.now().source, &program) {
        _ if model.last_sample().is_none() => "Connections".to_owned(),
        (CountSource::Client, _) => "Connections established, counted by the client".to_owned(),
        (CountSource::Server, _) => "Connections accepted, counted by the server".to_owned(),
        (CountSource::Process, Some(program)) if program.queued.is_some() => {
            format!("Connections that {} holds, on the ports it listens on", program.name)
        }
        (CountSource::Process, Some(program)) => format!("Connections that {} holds, by its open files", program.name),
        (CountSource::Process, None) => "Connections held".to_owned(),
        (CountSource::Namespace, _) => "Established sockets, counted by the kernel".to_owned(),
    }
}

/// Old figures are faint.
fn count_style(model: &Model, look: Look) -> Style {
    let old = counted_by(model).is_some_and(|role| model.now().silent_ms(role).is_some());
    if old { look.dim() } else { look.strong() }
}

/// ` of 1,000,000  ████░░  65 %     38,420/s  9 s to go`.
fn progress(buf: &mut Buffer, area: Rect, mut column: u16, model: &Model, look: Look) {
    let now = model.now();
    let right = pace(model);
    if let Some(target) = now.target {
        column = put(buf, area, column, 0, &format!(" of {}", units::grouped(target)), look.text());
        let room = area.width.saturating_sub(column + width(&right) as u16 + 14);
        let room = room.min(80);
        if room >= 6 {
            column = meter(buf, area, column + 2, 0, room, share(now.connections, target), look);
        }
    }
    put(buf, area, column + 3, 0, &right, look.text());
}

/// A bar with its percentage.
pub(super) fn meter(buf: &mut Buffer, area: Rect, column: u16, row: u16, columns: u16, share: f64, look: Look) -> u16 {
    let (full, empty) = panel::bar(look.progress_marks(), share, columns);
    let mut after = column;
    for (i, cell) in full.chars().enumerate() {
        let place = (i + 1) as f64 / f64::from(columns);
        after = put(buf, area, after, row, cell.encode_utf8(&mut [0; 4]), look.shade(place));
    }
    let column = put(buf, area, after, row, &empty, look.dim());
    put(buf, area, column + 1, row, &format!("{:>5.1} %", (share * 1000.0).floor() / 10.0), look.text())
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

/// How fast and how long to go; at the target how long it has been held, and of how long.
fn pace(model: &Model) -> String {
    if model.now().phase == RunPhase::Holding
        && let Some(held) = model.held_ms()
    {
        let of = model.setup().hold_ms.map_or(String::new(), |ms| format!(" of {}", units::millis(ms)));
        return format!("{:<32}", format!("held for {}{of}", units::millis(held)));
    }
    format!("{}{}  {}", rate(model), rate_limit(model), to_go(model))
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

/// `9 s to go`, or `backing off 4 s` from a server that refuses, in a field that holds the longest.
fn to_go(model: &Model) -> String {
    let now = model.now();
    let text = match (now.backoff_ms, now.eta_s) {
        (Some(..1000), _) => "backing off <1 s".to_owned(),
        (Some(ms), _) => format!("backing off {} s", ms / 1000),
        (None, Some(s)) => format!("{:>5} to go", units::seconds(s)),
        (None, None) => String::new(),
    };
    format!("{text:<16}")
}

/// What stands beside the count: caption, number, how it is drawn; the most important first.
fn parts(model: &Model, look: Look) -> Vec<(String, String, Style)> {
    let now = model.now();
    let number = |value: Option<u64>, wide: usize| {
        value.map_or_else(|| format!("{:>wide$}", "–"), |v| format!("{:>wide$}", units::grouped(v)))
    };
    let mut parts: Vec<(String, String, Style)> = Vec::new();
    let mut add = |caption: &str, value: String, style: Style| parts.push((caption.to_owned(), value, style));
    let warn = look.state(LimitState::Warn);
    if now.phase == RunPhase::Holding {
        held_parts(model, look, &mut add);
    }
    if now.source == CountSource::Client {
        let old = now.silent_ms(Role::Server).is_some();
        add("at server", number(now.accepted, 9), if old { look.dim() } else { look.text() });
    }
    if now.failures > 0 || counted_by(model).is_some() {
        add("failures", number(Some(now.failures), 7), if now.failures > 0 { warn } else { look.text() });
    }
    if now.phase != RunPhase::Holding {
        for (caption, count) in [("lost", now.lost), ("refused", now.refused)] {
            if count.is_some_and(|n| n > 0) {
                add(caption, number(count, 7), warn);
            }
        }
    }
    if let Some(program) = model.program() {
        add("waiting", number(program.queued, 6), look.text());
        if let Some(left) = program.close_wait.filter(|n| *n > 0) {
            add("CLOSE_WAIT", number(Some(left), 6), look.text());
        }
        add("open files", number(program.descriptors, 9), look.text());
        let rss = program.rss_bytes.map_or_else(|| "–".to_owned(), units::bytes);
        add("RSS", format!("{rss:>8}"), look.text());
        let cpu = program.cpu_percent.map_or_else(|| "–".to_owned(), |p| format!("{p:.0} %"));
        add("CPU", format!("{cpu:>6}"), look.text());
    }
    add("sockets", number(now.sockets, 10), look.text());
    if now.source == CountSource::Client && now.phase != RunPhase::Holding {
        add("in flight", number(now.in_flight, 5), look.text());
    }
    if now.retransmits.is_some_and(|n| n > 0) {
        add("retransmits", number(now.retransmits, 7), look.text());
    }
    if let Some(percent) = now.memory_pressure_percent.filter(|p| *p > 0.0) {
        add("memory pressure", format!("{percent:.1} %"), warn);
    }
    add("TIME_WAIT", number(now.time_wait, 7), look.text());
    add(crate::limits::LimitId::Orphans.descriptor().label, number(now.orphans, 7), look.text());
    parts
}

/// What lives while connections are held: losses, reconnects, traffic, and whether memory stands still.
fn held_parts(model: &Model, look: Look, add: &mut impl FnMut(&str, String, Style)) {
    let now = model.now();
    let warn = look.state(LimitState::Warn);
    let lost = now.lost.unwrap_or(0);
    add("lost", format!("{:>5}", units::grouped(lost)), if lost > 0 { warn } else { look.text() });
    let again =
        model.engine(Role::Client).and_then(|e| e.stats.as_ref()).map_or(0, |s| s.opened.saturating_sub(s.peak));
    add("reconnected", format!("{:>5}", units::grouped(again)), look.text());
    match model.drift() {
        Some(drift) => {
            let sign = if drift.bytes_per_min < 0.0 { "-" } else { "+" };
            let bytes = units::bytes(units::whole(drift.bytes_per_min.abs()));
            let word = if drift.rises() { "rising" } else { "steady" };
            let style = if drift.rises() { warn } else { look.text() };
            add("memory", format!("{sign}{bytes:>8}/min, {word}"), style);
        }
        None => add("memory", "      – /min".to_owned(), look.dim()),
    }
    let at = |quantity| model.at(quantity, now.t_ms);
    if let Some(rate) = at(Quantity::Messages) {
        add("messages", format!("{:>9}/s", units::signed(rate)), look.text());
        let latency = at(Quantity::EchoP99).map_or_else(|| "–".to_owned(), units::fine_time);
        add("echo 99 %", format!("{latency:>8}"), look.text());
    }
}

/// As many of the parts as fit, on the first row of `area`.
fn details(buf: &mut Buffer, area: Rect, mut column: u16, model: &Model, look: Look) {
    for (caption, value, style) in parts(model, look) {
        if column as usize + width(&caption) + 1 + width(&value) > usize::from(area.width) {
            break;
        }
        column = put(buf, area, column, 0, &caption, look.dim()) + 1;
        // The style is the number's, not its padding's.
        let number = value.trim_start();
        column += (width(&value) - width(number)) as u16;
        column = put(buf, area, column, 0, number, style) + 3;
    }
}

/// Three rows without a frame, for a screen too small for panels: count, bar, rate.
pub(super) fn draw_small(buf: &mut Buffer, area: Rect, model: &Model, look: Look) {
    let now = model.now();
    let mut column = put(buf, area, 1, 0, &count(model), look.strong());
    column = match now.target {
        Some(target) => put(buf, area, column, 0, &format!(" of {}", units::grouped(target)), look.text()),
        None if now.source == CountSource::Namespace => put(buf, area, column, 0, " established sockets", look.text()),
        None => put(buf, area, column, 0, " connections", look.text()),
    };
    if area.height == 1 {
        put(buf, area, column + 2, 0, rate(model).trim_start(), look.text());
        return;
    }
    put(buf, area, 1, 1, &pace(model), look.text());
    if let Some(target) = now.target
        && area.width > 12
    {
        meter(buf, area, 1, 2, area.width - 10, share(now.connections, target), look);
    }
}
