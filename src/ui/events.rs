//! What happened, newest first, in whole sentences. The first one shown is marked where it leads to a
//! limit (Enter).

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::panel;
use super::text::{cut, put, wrap};
use super::theme::Theme;
use crate::model::Model;
use crate::model::event::Event;
use crate::units;

/// Column at which sentences start: after `00:00:17 `.
const INDENT: u16 = 10;

/// Draws the panel, from the `chosen`-th newest event on.
pub(super) fn draw(buf: &mut Buffer, area: Rect, model: &Model, events: &[&Event], chosen: usize, theme: Theme) {
    let name = if chosen > 0 {
        format!("Events, newest first (from {} of {})", (chosen + 1).min(events.len()), events.len())
    } else {
        "Events, newest first".to_owned()
    };
    let inner = panel::frame(buf, area, &name, theme);
    if events.is_empty() {
        put(buf, inner, 1, 0, "nothing to report", theme.dim());
    }
    let mut row = 0;
    for event in events.iter().skip(chosen) {
        if row >= inner.height {
            break;
        }
        if row == 0 && model.limit_of(event).is_some() {
            put(buf, inner, 0, 0, theme.chosen_mark(), theme.strong());
        }
        row += one(buf, inner, row, event, theme);
    }
}

/// Draws one event from `row` on and returns the rows it takes.
fn one(buf: &mut Buffer, area: Rect, row: u16, event: &Event, theme: Theme) -> u16 {
    put(buf, area, 1, row, &units::clock(event.t_ms), theme.dim());
    let word = event.severity.word();
    let times = if event.count > 1 { format!(" ×{}", units::grouped(event.count)) } else { String::new() };
    let columns = usize::from(area.width.saturating_sub(INDENT + 1));
    let lines = wrap(&format!("{word} {}{times}", event.text), columns);
    let room = usize::from(area.height.saturating_sub(row));
    for (i, line) in lines.iter().take(room).enumerate() {
        let more = i + 1 == room && lines.len() > room;
        let line = if more { cut(&format!("{line} {}", lines[i + 1]), columns) } else { line.clone() };
        put(buf, area, INDENT, row + i as u16, &line, theme.text());
    }
    // The word leads the sentence; it is only painted once more.
    put(buf, area, INDENT, row, &cut(word, columns), theme.severity(event.severity));
    lines.len() as u16
}
