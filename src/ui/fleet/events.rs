//! What happened at the workers, newest first, each with its host.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::board::Board;
use super::cells::heard;
use crate::fleet::FleetView;
use crate::ui::panel::{self, Look};
use crate::ui::text::{cut, put, put_right, wrap};
use crate::units;

/// Column at which a sentence starts: after how long ago.
const INDENT: u16 = 9;

/// Draws the panel, from the chosen event on.
pub(super) fn draw(buf: &mut Buffer, area: Rect, board: &Board, view: &FleetView, look: Look) {
    let first = board.event.min(view.events.len().saturating_sub(1));
    let name = if first > 0 {
        format!("Events, from {} of {}", first + 1, view.events.len())
    } else {
        "Events, newest first".to_owned()
    };
    let inner = panel::frame(buf, area, &name, look);
    if view.events.is_empty() {
        put(buf, inner, 1, 0, "nothing to report", look.dim());
        return;
    }
    let columns = usize::from(inner.width.saturating_sub(INDENT + 1));
    let mut row = 0;
    for (of, event) in view.events.iter().skip(first) {
        let room = usize::from(inner.height.saturating_sub(row));
        if room == 0 {
            break;
        }
        let who = view.rows.get(*of).map_or("", |row| row.state.who.host.as_str());
        let times = if event.count > 1 { format!(" ×{}", units::grouped(event.count)) } else { String::new() };
        let word = event.severity.word();
        let lines = wrap(&format!("{word} {who}: {}{times}", event.text), columns);
        let ago = heard(view.at_us.saturating_sub(event.at_us) / 1000);
        put_right(buf, inner, INDENT - 1, row, &ago, look.dim());
        for (i, line) in lines.iter().take(room).enumerate() {
            let more = i + 1 == room && lines.len() > room;
            let line = if more { cut(&format!("{line} {}", lines[i + 1]), columns) } else { line.clone() };
            put(buf, inner, INDENT, row + i as u16, &line, look.text());
        }
        // The word leads the sentence; it is only painted once more.
        put(buf, inner, INDENT, row, &cut(word, columns), look.severity(event.severity));
        row += lines.len() as u16;
    }
}
