//! The help overlay: every key, and what the words on the screen mean.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Widget};

use super::keys::KEYS;
use super::panel;
use super::text::{put, width, wrap};
use super::theme::Theme;

/// Words on the screen that a newcomer may not know.
const WORDS: &[(&str, &str)] = &[
    ("at 1.23 M", "the count at which this limit is met, if each further connection uses what the last ones did"),
    ("never", "this limit's use does not grow with connections"),
    ("not tracking", "the kernel counts nothing against this limit now"),
    ("–", "not known; never the same as 0"),
    ("both ends", "client and server run on this machine: every connection is two sockets"),
    ("slab", "the kernel's memory for objects of one kind; idle connections cost this, not buffers"),
    ("in flight", "connects begun and not yet answered"),
    ("self", "what this dashboard costs: share of one core, and memory"),
];

/// Draws the overlay in the middle of `area`.
pub(super) fn draw(buf: &mut Buffer, area: Rect, theme: Theme) {
    let wide = area.width.min(84);
    let left = 16;
    let columns = usize::from(wide.saturating_sub(left + 1));
    let mut lines: Vec<(&str, String, bool)> = Vec::new();
    for key in KEYS {
        for (i, line) in wrap(key.help, columns).into_iter().enumerate() {
            lines.push((if i == 0 { key.label } else { "" }, line, true));
        }
    }
    lines.push(("", String::new(), false));
    for (word, meaning) in WORDS {
        for (i, line) in wrap(meaning, columns).into_iter().enumerate() {
            lines.push((if i == 0 { word } else { "" }, line, false));
        }
    }
    let tall = area.height.min(lines.len() as u16 + 3);
    let place =
        Rect { x: area.x + (area.width - wide) / 2, y: area.y + (area.height - tall) / 2, width: wide, height: tall };
    Clear.render(place, buf);
    let inner = panel::frame(buf, place, "Keys and words (? or Esc closes this)", theme);
    for (row, (name, text, is_key)) in lines.iter().take(usize::from(inner.height)).enumerate() {
        let row = row as u16;
        let style = if *is_key { theme.key() } else { theme.strong() };
        put(buf, inner, 15_u16.saturating_sub(width(name) as u16), row, name, style);
        put(buf, inner, left, row, text, theme.text());
    }
    if place.height > 1 {
        let last = Rect { y: place.bottom() - 1, height: 1, ..place };
        for column in 0..last.width {
            put(buf, last, column, 0, theme.rule(), theme.dim());
        }
    }
}
