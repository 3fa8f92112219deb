//! A watched program that is no engine: its processes, and what it listens on.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::panel::{self, Look};
use super::text::{cut, put, put_right};
use crate::limits::LimitState;
use crate::model::{Basis, MemberLine, Model, ProcessLine};
use crate::sample::ListenerCensus;
use crate::units;
use crate::units::whole;

/// Rows that each panel needs inside of its frame to show all it has.
pub(super) fn heights(program: &ProcessLine) -> (u16, u16) {
    let more = u16::from(program.processes > program.members.len() as u64);
    (program.members.len() as u16 + 1 + more, program.listeners.len().max(1) as u16 + 1)
}

/// Columns of the table of processes, from the left; the graph takes what is left.
const PID: u16 = 8;
const NAME: u16 = 10;
const HELD: u16 = 33;
const SHARE: u16 = 39;
const RSS: u16 = 49;
const CPU: u16 = 55;
const DESCRIPTORS: u16 = 67;
const GRAPH: u16 = 69;

/// Its processes, the named one first, then those with the most descriptors.
pub(super) fn processes(
    buf: &mut Buffer,
    area: Rect,
    model: &Model,
    program: &ProcessLine,
    (listed, chosen): (&[&MemberLine], Option<usize>),
    theme: Look,
) {
    let name = match program.processes {
        1 => "Process".to_owned(),
        n => format!("Processes of {} ({})", program.name, units::grouped(n)),
    };
    let inner = panel::frame(buf, area, &name, theme);
    panel::remark(buf, area, &name, &cost(model), theme);
    let end = |column: u16| column.min(inner.width);
    let headings = [(HELD, "held"), (SHARE, "share"), (RSS, "RSS"), (CPU, "CPU"), (DESCRIPTORS, "open files")];
    put_right(buf, inner, PID, 0, "pid", theme.dim());
    put(buf, inner, NAME, 0, "name", theme.dim());
    for (column, heading) in headings.into_iter().filter(|(column, _)| *column <= inner.width) {
        put_right(buf, inner, end(column), 0, heading, theme.dim());
    }
    if GRAPH + 12 <= inner.width {
        put(buf, inner, GRAPH, 0, "held over time", theme.dim());
    }
    let rows = usize::from(inner.height.saturating_sub(1));
    let all = if listed.len() < program.members.len() { listed.len() } else { program.processes as usize };
    let left = all.saturating_sub(listed.len().min(rows));
    let shown = if left > 0 { rows.saturating_sub(1) } else { rows };
    let first = chosen.map_or(0, |chosen| (chosen + 1).saturating_sub(shown));
    let most = program.members.iter().filter_map(|m| m.connections).max().unwrap_or(0);
    for (row, member) in listed.iter().skip(first).take(shown).enumerate() {
        let line = Rect { y: inner.y + 1 + row as u16, height: 1, ..inner };
        self::row(buf, line, model, program, member, most, theme);
        if chosen == Some(first + row) && listed.len() > 1 {
            put(buf, line, 0, 0, theme.chosen_mark(), theme.strong());
        }
    }
    let left = all.saturating_sub(shown);
    if left > 0 && rows > 0 {
        let line = Rect { y: inner.y + 1 + shown as u16, height: 1, ..inner };
        put(buf, line, NAME, 0, &format!("and {} more", units::grouped(left as u64)), theme.dim());
    }
}

fn row(
    buf: &mut Buffer,
    line: Rect,
    model: &Model,
    program: &ProcessLine,
    member: &MemberLine,
    most: u64,
    theme: Look,
) {
    put_right(buf, line, PID, 0, &member.pid.to_string(), theme.text());
    put(buf, line, NAME, 0, &cut(&member.label(), usize::from(HELD - NAME - 7)), theme.text());
    let number = |n: Option<u64>| n.map_or_else(|| "–".to_owned(), units::grouped);
    let share =
        member.connections.zip(program.connections.filter(|all| *all > 0)).map_or(String::new(), |(own, all)| {
            if program.processes > 1 {
                panel::percent(own as f64 / all as f64).trim_start().to_owned()
            } else {
                String::new()
            }
        });
    let cells = [
        (HELD, number(member.connections)),
        (SHARE, share),
        (RSS, member.rss_bytes.map_or_else(|| "–".to_owned(), units::bytes)),
        (CPU, member.cpu_percent.map_or_else(|| "–".to_owned(), |p| format!("{p:.0} %"))),
        (DESCRIPTORS, number(member.descriptors)),
    ];
    for (column, text) in cells.into_iter().filter(|(column, _)| *column <= line.width) {
        put_right(buf, line, column, 0, &text, theme.text());
    }
    let room = line.width.saturating_sub(GRAPH + 1).min(60);
    if room >= 11 && most > 0 {
        let marks = theme.bar_steps();
        for (i, value) in model.held_by(member.pid, room.into()).into_iter().enumerate() {
            let eighths = (value / most as f64 * 8.0).round().clamp(0.0, 8.0) as usize;
            if eighths > 0 {
                put(buf, line, GRAPH + i as u16, 0, marks[eighths - 1], theme.first());
            }
        }
    }
}

/// `each: 525 B of its own, 4.02 KiB in the kernel (this end)`.
fn cost(model: &Model) -> String {
    let cost = model.cost();
    let bytes = |slope: Option<crate::model::Slope>| slope.map(|s| units::bytes(whole(s.per_connection.round())));
    let (user, kernel) = (bytes(cost.user), bytes(cost.kernel));
    let about = if cost.basis == Some(Basis::Quotient) { "about " } else { "" };
    match (user, kernel) {
        (Some(user), Some(kernel)) => {
            format!("a connection takes {about}{user} of its own, {kernel} in the kernel ({})", cost.ends())
        }
        (Some(user), None) => format!("a connection takes {about}{user} of its own"),
        (None, Some(kernel)) => format!("a connection takes {kernel} in the kernel ({})", cost.ends()),
        (None, None) => String::new(),
    }
}

/// The row, of `all` with `extra` more that are only counted, that stands at a height of the screen below the headings.
pub(super) fn row_at(area: Rect, all: usize, extra: usize, chosen: usize, look: Look, y: u16) -> Option<usize> {
    let inner = panel::inner(area, look);
    let room = usize::from(inner.height.saturating_sub(1));
    let rows = if all + extra > room { room.saturating_sub(1) } else { room };
    let first = if look.focused { (chosen + 1).saturating_sub(rows) } else { 0 };
    let line = usize::from(y.checked_sub(inner.y + 1)?);
    (line < rows && first + line < all).then_some(first + line)
}

/// What it listens on: who is connected there, who waits. Where one is chosen, that one is always on the screen.
pub(super) fn listeners(buf: &mut Buffer, area: Rect, listed: &[&ListenerCensus], chosen: Option<usize>, theme: Look) {
    let inner = panel::frame(buf, area, "Listens on", theme);
    if listed.is_empty() {
        put(buf, inner, 1, 0, "no port that can be seen from here", theme.dim());
        return;
    }
    let columns = [(34, "established"), (44, "waiting"), (55, "backlog")];
    put(buf, inner, 1, 0, "address and port", theme.dim());
    for (column, heading) in columns.into_iter().filter(|(column, _)| *column <= inner.width) {
        put_right(buf, inner, column, 0, heading, theme.dim());
    }
    let all = listed.len();
    let room = usize::from(inner.height.saturating_sub(1));
    let rows = if all > room { room.saturating_sub(1) } else { room };
    let first = chosen.map_or(0, |chosen| (chosen + 1).saturating_sub(rows));
    if all > room && room > 0 {
        put(buf, inner, 1, room as u16, &format!("and {} more ports", all - rows), theme.dim());
    }
    for (place, listener) in listed.iter().enumerate().skip(first).take(rows) {
        let row = (place - first) as u16 + 1;
        if chosen == Some(place) {
            put(buf, inner, 0, row, theme.chosen_mark(), theme.strong());
        }
        put(buf, inner, 1, row, &cut(&endpoint(&listener.address, listener.port), 21), theme.text());
        let full = listener.queued > 0 && listener.queued * 10 >= listener.backlog * 9;
        let waiting = if full { theme.state(LimitState::Warn) } else { theme.text() };
        let cells = [
            (34, listener.established, theme.text()),
            (44, listener.queued, waiting),
            (55, listener.backlog, theme.text()),
        ];
        for (column, number, style) in cells.into_iter().filter(|(column, ..)| *column <= inner.width) {
            put_right(buf, inner, column, row, &units::grouped(number), style);
        }
    }
}

/// Address and port as people write them: `*:443`, `[::1]:80`.
pub(super) fn endpoint(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}
