//! The footer of the fleet's screen, and its keys drawn over it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Widget};

use super::board::Board;
use super::here::{HERE, row_of};
use crate::ui::keys::Command;
use crate::ui::panel;
use crate::ui::text::{cut, put, put_right, width, wrap};
use crate::ui::theme::Theme;
use crate::units;

/// Draws the last row: what is asked or typed, what the last key did, or the keys.
pub(super) fn draw(buf: &mut Buffer, area: Rect, board: &Board, theme: Theme) {
    if board.closes {
        let all = board.view.as_ref().map_or(0, |view| view.totals.connections);
        let text = format!(" Close all {} connections of the fleet? ", units::grouped(all));
        let column = put(buf, area, 0, 0, &text, theme.paused());
        put(buf, area, column + 1, 0, "y yes  n no", theme.text());
        return;
    }
    if let Some(prompt) = &board.prompt {
        let (mark, hint) = if board.filtering {
            ("/", "Enter keeps it, Esc shows all workers")
        } else {
            (":", "Enter runs it, Tab completes, Esc closes")
        };
        let column = put(buf, area, 1, 0, &format!("{mark}{}", prompt.text), theme.strong());
        let column = put(buf, area, column, 0, " ", theme.focused()) + 2;
        put(buf, area, column, 0, hint, theme.dim());
        return;
    }
    let mut column = 1;
    if !board.filter.is_empty() {
        column = put(buf, area, 0, 0, &format!(" workers with '{}' ", board.filter), theme.paused()) + 1;
    }
    if let Some(notice) = board.notice() {
        put(buf, area, column, 0, &cut(notice, usize::from(area.width.saturating_sub(column))), theme.strong());
        return;
    }
    for (command, short, _) in HERE.iter().filter(|(_, short, _)| !short.is_empty()) {
        let takes_token = matches!(command, Command::Pause | Command::Close | Command::RateUp);
        let Some(row) = row_of(*command).filter(|_| board.commands || !takes_token) else { continue };
        let label = board.keys.short_label(row, board.ascii);
        if label.is_empty() || usize::from(column) + width(&label) + width(short) + 1 > usize::from(area.width) {
            continue;
        }
        column = put(buf, area, column, 0, &label, theme.key());
        column = put(buf, area, column, 0, &format!(" {short}"), theme.text()) + 2;
    }
}

/// Draws the keys over the screen.
pub(super) fn help(buf: &mut Buffer, area: Rect, board: &Board, theme: Theme) {
    const NAMES: u16 = 14;
    let wide = area.width.min(88);
    let columns = usize::from(wide.saturating_sub(NAMES + 6));
    let mut lines = Vec::new();
    for (command, _, help) in HERE {
        let label = row_of(*command).map_or_else(String::new, |row| board.keys.short_label(row, board.ascii));
        let text = wrap(help, columns);
        lines.extend(
            text.into_iter().enumerate().map(|(i, line)| (if i == 0 { label.clone() } else { String::new() }, line)),
        );
    }
    let tall = (lines.len() as u16 + 2).min(area.height);
    let place =
        Rect { x: area.x + (area.width - wide) / 2, y: area.y + (area.height - tall) / 2, width: wide, height: tall };
    Clear.render(place, buf);
    buf.set_style(place, theme.ground());
    let look = panel::Look { theme, boxed: true, focused: false };
    let inner = panel::frame(buf, place, "Keys of the fleet's screen (any key closes)", look);
    for (row, (label, text)) in lines.iter().take(inner.height.into()).enumerate() {
        put_right(buf, inner, NAMES, row as u16, label, theme.key());
        put(buf, inner, NAMES + 2, row as u16, text, theme.text());
    }
}
