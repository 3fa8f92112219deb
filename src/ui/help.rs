//! The help overlay: every key, and what the words on the screen mean. It scrolls.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Widget};

use super::action::Action;
use super::keys::{Command, KEYS, Row};
use super::panel;
use super::state::View;
use super::text::{put, put_right, wrap};
use super::theme::Theme;

/// Words on the screen that a newcomer may not know.
const WORDS: &[(&str, &str)] = &[
    ("at 1.23 M", "the count at which this limit is reached, if each further connection uses what the last ones did"),
    ("dotted line", "the measured slope, extended to the limit that comes first"),
    ("never", "this limit's use does not grow with connections"),
    ("not tracking", "the kernel is not counting against this limit now"),
    ("–", "unknown; never means 0"),
    ("both ends", "client and server run on this machine: every connection is two sockets"),
    ("slab", "the kernel's memory for objects of one kind; idle connections cost this, not buffers"),
    ("in flight", "connects still unanswered"),
    ("handshake", "SYN to established, as the kernel saw it"),
    ("connect", "the same with the client's own queue"),
    ("self", "what this dashboard costs: share of one core, and memory"),
];

/// Columns of the names, right-aligned.
const NAMES: u16 = 14;

/// Columns of the overlay at most.
const WIDE: u16 = 88;

/// One line: a name, its text, whether the name is a key.
type Entry = (String, String, bool);

/// The overlay: its place on a screen, its lines, how many of them fit.
struct Sheet {
    place: Rect,
    lines: Vec<Entry>,
    room: usize,
}

impl Sheet {
    fn of(area: Rect, view: &View) -> Self {
        let wide = area.width.min(WIDE);
        let columns = usize::from(wide.saturating_sub(NAMES + 6));
        let keys = KEYS.iter().map(|row| (view.keys.short_label(row, view.ascii), sentence(row, view)));
        // A key that has lost its place to another one is named by what it is for.
        let keys = keys.map(|(label, text)| (if label.is_empty() { "-".to_owned() } else { label }, text));
        let words = WORDS.iter().map(|(word, text)| ((*word).to_owned(), (*text).to_owned()));
        let mut lines = entries(keys, columns, true);
        lines.push((String::new(), String::new(), false));
        lines.extend(entries(words, columns, false));
        let tall = (lines.len() as u16 + 2).min(area.height);
        let place = Rect {
            x: area.x + (area.width - wide) / 2,
            y: area.y + (area.height - tall) / 2,
            width: wide,
            height: tall,
        };
        Self { place, lines, room: usize::from(tall.saturating_sub(2)) }
    }

    /// The last line that can stand first.
    fn last(&self) -> usize {
        self.lines.len() - self.room.min(self.lines.len())
    }
}

impl View {
    /// The help goes up or down, if there is more of it.
    pub(super) fn scroll_help(&mut self, command: Command) -> Action {
        let sheet = Sheet::of(self.area, self);
        let page = sheet.room.saturating_sub(1).max(1);
        self.help_row = match command {
            Command::Up => self.help_row.saturating_sub(1),
            Command::Down => self.help_row + 1,
            Command::PageUp => self.help_row.saturating_sub(page),
            Command::PageDown | Command::Freeze => self.help_row + page,
            Command::First => 0,
            Command::Now => sheet.last(),
            _ => {
                self.say("the help is open; Esc closes it");
                return Action::Redraw;
            }
        };
        self.help_row = self.help_row.min(sheet.last());
        Action::Redraw
    }
}

/// What a row of keys does, and by which other keys.
fn sentence(row: &Row, view: &View) -> String {
    let short = view.keys.short_label(row, view.ascii);
    let long = view.keys.long_label(row, view.ascii);
    let digits = row.commands().len() > 2 && short.contains('-');
    let others: Vec<&str> = long.split(' ').filter(|label| !digits && !short.contains(*label)).collect();
    if others.is_empty() { row.help.to_owned() } else { format!("{} (also {})", row.help, others.join(" ")) }
}

/// Draws the overlay in the middle of `area`.
pub(super) fn draw(buf: &mut Buffer, area: Rect, view: &View, theme: Theme) {
    let sheet = Sheet::of(area, view);
    let first = view.help_row.min(sheet.last());
    let inner = frame(buf, area, sheet.place, theme);
    for (row, (name, text, is_key)) in sheet.lines.iter().skip(first).take(sheet.room).enumerate() {
        let style = if *is_key { theme.key() } else { theme.strong() };
        put_right(buf, inner, NAMES, row as u16, name, style);
        put(buf, inner, NAMES + 2, row as u16, text, theme.text());
    }
    if sheet.last() > 0 {
        let text = format!(" {}-{} of {} ", first + 1, first + sheet.room, sheet.lines.len());
        let place = sheet.place;
        put_right(buf, place, place.width.saturating_sub(2), place.height.saturating_sub(1), &text, theme.text());
    }
}

fn entries(rows: impl Iterator<Item = (String, String)>, columns: usize, is_key: bool) -> Vec<Entry> {
    rows.flat_map(|(name, text)| {
        let name_of = move |i| if i == 0 { name.clone() } else { String::new() };
        wrap(&text, columns).into_iter().enumerate().map(move |(i, line)| (name_of(i), line, is_key))
    })
    .collect()
}

/// A box over what is below, and the room in it.
fn frame(buf: &mut Buffer, area: Rect, place: Rect, theme: Theme) -> Rect {
    Clear.render(place, buf);
    buf.set_style(place, theme.ground());
    let inner = panel::frame(buf, place, "Keys and words (Esc closes, arrows scroll)", theme);
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
