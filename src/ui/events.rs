//! What happened, newest first, in whole sentences. Where there is room the chosen one is opened: with what proves it, what cures
//! it, and the use of its limit around it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::panel::{self, Look};
use super::text::{cut, put, wrap};
use super::{over_time, spark};
use crate::limits::Limit;
use crate::model::Model;
use crate::model::event::{Event, ProofValue};
use crate::units;

/// Column at which sentences start: after `00:00:17 `.
const INDENT: u16 = 10;

/// Rows from which on the chosen event is opened below the list.
const OPENED: u16 = 20;

/// Rows of the curve of a limit at most, and rows that what else went on needs.
const CURVE: u16 = 8;
const AROUND: u16 = 8;

/// Draws the panel: the list from the `chosen`-th event on, or, `whole`, the list with the chosen event opened.
pub(super) fn draw(
    buf: &mut Buffer,
    area: Rect,
    model: &Model,
    events: &[&Event],
    chosen: usize,
    whole: bool,
    look: Look,
) {
    let name = if chosen > 0 {
        format!("Events, from {} of {}", (chosen + 1).min(events.len()), events.len())
    } else {
        "Events, newest first".to_owned()
    };
    let inner = panel::frame(buf, area, &name, look);
    if events.is_empty() {
        put(buf, inner, 1, 0, "nothing to report", look.dim());
        return;
    }
    let Some(event) = events.get(chosen).filter(|_| whole && inner.height >= OPENED) else {
        return list(buf, inner, model, events, chosen, look);
    };
    let listed = listed(events.len(), inner);
    let (above, below) =
        (Rect { height: listed, ..inner }, Rect { y: inner.y + listed, height: inner.height - listed, ..inner });
    lines(buf, above, events, chosen, look);
    opened(buf, below, model, event, look);
}

/// The event that stands at a height of the screen, by its row.
pub(super) fn row_at(area: Rect, events: &[&Event], chosen: usize, whole: bool, look: Look, y: u16) -> Option<usize> {
    let inner = panel::inner(area, look);
    let line = y.checked_sub(inner.y).filter(|line| *line < inner.height)?;
    if whole && inner.height >= OPENED {
        let rows = listed(events.len(), inner).saturating_sub(1).max(1);
        let row = (chosen + 1).saturating_sub(rows.into()) + usize::from(line);
        return (line < rows && row < events.len()).then_some(row);
    }
    let columns = usize::from(inner.width.saturating_sub(INDENT + 1));
    let mut below = 0;
    for (row, event) in events.iter().enumerate().skip(chosen) {
        below += sentence(event, columns).len();
        if usize::from(line) < below {
            return Some(row);
        }
    }
    None
}

/// Rows of the list above the opened event.
fn listed(events: usize, inner: Rect) -> u16 {
    let wanted = u16::try_from(events + 1).unwrap_or(u16::MAX);
    wanted.clamp(4, inner.height / 2)
}

/// What is said of an event, in lines.
fn sentence(event: &Event, columns: usize) -> Vec<String> {
    let times = if event.count > 1 { format!(" ×{}", units::grouped(event.count)) } else { String::new() };
    wrap(&format!("{} {}{times}", event.severity.word(), event.text), columns)
}

/// Whole sentences, from the chosen one on.
fn list(buf: &mut Buffer, area: Rect, model: &Model, events: &[&Event], chosen: usize, look: Look) {
    let mut row = 0;
    for event in events.iter().skip(chosen) {
        if row >= area.height {
            break;
        }
        if row == 0 && (look.focused || chosen > 0) && model.limit_of(event).is_some() {
            put(buf, area, 0, 0, look.chosen_mark(), look.strong());
        }
        row += one(buf, area, row, event, look);
    }
}

/// A line each, with the chosen one marked.
fn lines(buf: &mut Buffer, area: Rect, events: &[&Event], chosen: usize, look: Look) {
    let rows = usize::from(area.height.saturating_sub(1)).max(1);
    let first = (chosen + 1).saturating_sub(rows);
    for (row, event) in events.iter().skip(first).take(rows).enumerate() {
        let line = Rect { y: area.y + row as u16, height: 1, ..area };
        one(buf, line, 0, event, look);
        if first + row == chosen {
            put(buf, line, 0, 0, look.chosen_mark(), look.strong());
        }
    }
}

/// Draws one event from `row` on and returns the rows it takes.
fn one(buf: &mut Buffer, area: Rect, row: u16, event: &Event, look: Look) -> u16 {
    put(buf, area, 1, row, &units::clock(event.t_ms), look.dim());
    let word = event.severity.word();
    let columns = usize::from(area.width.saturating_sub(INDENT + 1));
    let lines = sentence(event, columns);
    let room = usize::from(area.height.saturating_sub(row));
    for (i, line) in lines.iter().take(room).enumerate() {
        let more = i + 1 == room && lines.len() > room;
        let line = if more { cut(&format!("{line} {}", lines[i + 1]), columns) } else { line.clone() };
        put(buf, area, INDENT, row + i as u16, &line, look.text());
    }
    // The word leads the sentence; it is only painted once more.
    put(buf, area, INDENT, row, &cut(word, columns), look.severity(event.severity));
    lines.len() as u16
}

/// All that is known of one event.
fn opened(buf: &mut Buffer, area: Rect, model: &Model, event: &Event, look: Look) {
    for column in 0..area.width {
        put(buf, area, column, 0, look.rule(), look.dim());
    }
    let wide = usize::from(area.width.saturating_sub(2));
    let mut row = 1;
    let mut write = |buf: &mut Buffer, caption: &str, text: &str, style| {
        for (i, line) in wrap(text, wide.saturating_sub(usize::from(INDENT))).iter().enumerate() {
            if i == 0 {
                put(buf, area, 1, row, caption, look.dim());
            }
            put(buf, area, INDENT, row, line, style);
            row += 1;
        }
    };
    let word = event.severity.word();
    write(buf, &units::clock(event.t_ms), format!("{word} {}", event.text).trim(), look.text());
    if event.count > 1 {
        write(buf, "times", &units::grouped(event.count), look.text());
    }
    for (i, proof) in event.proof.iter().enumerate() {
        let value = match &proof.value {
            ProofValue::Number(n) => units::grouped(*n),
            ProofValue::Text(text) => units::printable(text).into_owned(),
        };
        write(buf, if i == 0 { "proof" } else { "" }, &format!("{}: {value}", proof.name), look.text());
    }
    for (i, remedy) in event.cure.0.iter().enumerate() {
        let (text, style) = match &remedy.command {
            Some(command) => (command.clone(), look.key()),
            None => (remedy.text.clone(), look.text()),
        };
        let needs = remedy.privilege.as_ref().map_or(String::new(), |p| format!("   (needs {p})"));
        write(buf, if i == 0 { "cure" } else { "or" }, &format!("{text}{needs}"), style);
    }
    let below = Rect { y: area.y + (row + 1).min(area.height), height: area.height.saturating_sub(row + 1), ..area };
    let used = model.limit_of(event).map_or(0, |limit| curve(buf, below, model, event, limit, look));
    let rest = Rect { y: below.y + used, height: below.height - used, ..below };
    if rest.height >= AROUND {
        // What else went on then.
        let shown = over_time::Shown { model, cursor: Some(event.t_ms), then: None };
        over_time::draw(buf, rest, &shown, Look { boxed: false, focused: false, ..look });
    }
}

/// The use of the limit that it is about, over the run, with the moment of the event marked. Returns the rows it takes.
fn curve(buf: &mut Buffer, area: Rect, model: &Model, event: &Event, limit: &Limit, look: Look) -> u16 {
    let columns = area.width.saturating_sub(2);
    let (values, most) = model.limit_history(limit, columns.into());
    let Some((first, last)) = model.timespan() else { return 0 };
    if area.height < 4 || most == 0 || values.is_empty() {
        return 0;
    }
    let name = limit.name();
    put(buf, area, 1, 0, &format!("{name} over the run, peak {}", limit.unit.write(most)), look.dim());
    let plot = Rect { x: area.x + 1, y: area.y + 1, width: columns, height: (area.height - 2).min(CURVE) };
    spark::stacked(buf, plot, &[(&values, look.first())], most as f64, look.theme);
    let share = event.t_ms.saturating_sub(first) as f64 / (last - first).max(1) as f64;
    let column = (share.min(1.0) * f64::from(columns.saturating_sub(1))).round() as u16;
    let mark = if look.is_plain() { "^" } else { "▲" };
    let below = Rect { y: plot.y + plot.height, height: 1, ..plot };
    put(buf, below, column, 0, mark, look.severity(event.severity));
    (plot.height + 3).min(area.height)
}
