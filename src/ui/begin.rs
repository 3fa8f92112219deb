//! How to begin, where nothing is watched.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::panel::{self, Look};
use super::text::{cut, put, width};

/// What can be typed, what it does, and the same for 80 columns.
const WAYS: [(&str, &str, &str); 3] = [
    (
        "c1m-top --server --client 127.0.0.1 --target 200k",
        "opens 200,000 connections to a server of its own, here",
        "opens 200,000 connections",
    ),
    ("c1m-top --attach :443", "watches the server that listens on port 443", "watches a running server"),
    (
        "c1m-top check --target 1m",
        "says whether this machine can hold a million, and what it runs out of first",
        "says if a million will fit",
    ),
];

/// Rows that it needs with its frame, boxed or not.
pub(super) const ROWS: u16 = WAYS.len() as u16;

/// Draws the panel.
pub(super) fn draw(buf: &mut Buffer, area: Rect, look: Look) {
    let inner = panel::frame(buf, area, "Nothing is running or being watched. To begin", look);
    let commands = WAYS.iter().map(|(command, ..)| command.len()).max().unwrap_or(0) as u16;
    for (row, (command, does, short)) in WAYS.iter().enumerate() {
        put(buf, inner, 1, row as u16, command, look.key());
        let column = commands + 4;
        let room = usize::from(inner.width.saturating_sub(column));
        if room >= 20 {
            let does = if width(does) <= room { does } else { short };
            put(buf, inner, column, row as u16, &cut(does, room), look.text());
        }
    }
}
