//! The help overlay: every key, and what the words on the screen mean.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Widget};

use super::keys::{Command, KEYS};
use super::panel;
use super::text::{put, put_right, width, wrap};
use super::theme::Theme;

/// Words on the screen that a newcomer may not know.
const WORDS: &[(&str, &str)] = &[
    ("at 1.23 M", "the count at which this limit is met, if each further connection uses what the last ones did"),
    ("dotted line", "the measured slope, carried on to the limit that comes first"),
    ("never", "this limit's use does not grow with connections"),
    ("not tracking", "the kernel counts nothing against this limit now"),
    ("–", "not known; never the same as 0"),
    ("both ends", "client and server run on this machine: every connection is two sockets"),
    ("slab", "the kernel's memory for objects of one kind; idle connections cost this, not buffers"),
    ("in flight", "connects begun and not yet answered"),
    ("handshake", "SYN to established, as the kernel saw it"),
    ("connect", "the same with the client's own queue"),
    ("self", "what this dashboard costs: share of one core, and memory"),
];

/// Columns of the names, right-aligned.
const NAMES: u16 = 14;

/// One line: a name, its text, whether the name is a key.
type Entry = (&'static str, String, bool);

/// Draws the overlay in the middle of `area`: sentences, or where they do not fit a grid of keys.
pub(super) fn draw(buf: &mut Buffer, area: Rect, theme: Theme) {
    let wide = area.width.min(88);
    let columns = usize::from(wide.saturating_sub(NAMES + 6));
    let keys = entries(KEYS.iter().map(|k| (k.label, k.help)), columns, true);
    let words = entries(WORDS.iter().copied(), columns, false);
    let room = usize::from(area.height.saturating_sub(3));
    if columns == 0 || keys.len() > room {
        let inner = frame(buf, area, area, theme);
        grid(buf, inner, theme);
        return;
    }
    let mut lines = keys;
    if lines.len() + words.len() < room {
        lines.push(("", String::new(), false));
    }
    lines.extend(words);
    lines.truncate(room);
    let tall = lines.len() as u16 + 2;
    let place =
        Rect { x: area.x + (area.width - wide) / 2, y: area.y + (area.height - tall) / 2, width: wide, height: tall };
    let inner = frame(buf, area, place, theme);
    for (row, (name, text, is_key)) in lines.iter().enumerate() {
        let style = if *is_key { theme.key() } else { theme.strong() };
        put_right(buf, inner, NAMES, row as u16, name, style);
        put(buf, inner, NAMES + 2, row as u16, text, theme.text());
    }
}

fn entries(rows: impl Iterator<Item = (&'static str, &'static str)>, columns: usize, is_key: bool) -> Vec<Entry> {
    rows.flat_map(|(name, text)| {
        let name_of = move |i| if i == 0 { name } else { "" };
        wrap(text, columns).into_iter().enumerate().map(move |(i, line)| (name_of(i), line, is_key))
    })
    .collect()
}

/// A box over what is below, and the room in it.
fn frame(buf: &mut Buffer, area: Rect, place: Rect, theme: Theme) -> Rect {
    Clear.render(place, buf);
    let inner = panel::frame(buf, place, "Keys and words (Esc closes)", theme);
    if place.height > 1 {
        for column in 0..place.width {
            put(buf, place, column, place.height - 1, theme.rule(), theme.dim());
        }
    }
    if place != area {
        let sides = theme.box_marks();
        for row in 0..place.height {
            let (left, right) = match row {
                0 => (sides[0], sides[1]),
                _ if row + 1 == place.height => (sides[2], sides[3]),
                _ => (sides[4], sides[4]),
            };
            put(buf, place, 0, row, left, theme.dim());
            put(buf, place, place.width - 1, row, right, theme.dim());
        }
    }
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), height: inner.height.saturating_sub(1), ..inner }
}

/// `q quit   ? help   …` in columns.
fn grid(buf: &mut Buffer, area: Rect, theme: Theme) {
    const EACH: u16 = 18;
    let across = (area.width / EACH).max(1);
    for (i, key) in KEYS.iter().enumerate() {
        let (row, column) = (i as u16 / across, i as u16 % across * EACH + 1);
        put(buf, area, column, row, key.label, theme.key());
        let word = match key.command {
            Command::Up | Command::Down => "scroll",
            Command::Open => "open",
            _ => key.short,
        };
        put(buf, area, column + width(key.label) as u16 + 1, row, word, theme.text());
    }
}
