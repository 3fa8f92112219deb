//! The keys: one table that makes the lookup, the status bar, the help overlay and the table in the documents.

use std::fmt::Write as _;

use crossterm::event::{KeyCode, KeyEvent};

/// The four screens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Screen {
    /// Everything at a glance.
    #[default]
    Overview,
    /// The chart and the cost of one connection.
    Memory,
    /// Every limit with its cure.
    Limits,
    /// Every process.
    Engines,
}

/// What a key means to the dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Quit,
    Back,
    Help,
    Show(Screen),
    Axis,
    Freeze,
    Pause,
    RateUp,
    RateDown,
    Close,
    Up,
    Down,
    Open,
    Next,
    Previous,
    Enlarge,
    Range,
    Earlier,
    Later,
    Now,
    Sort,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// Any of these.
    codes: &'static [KeyCode],
    /// How it is written.
    pub(super) label: &'static str,
    /// One or two words for the status bar; empty: only where the key opens or closes something there.
    pub(super) short: &'static str,
    /// A sentence for the help.
    pub(super) help: &'static str,
    pub(super) command: Command,
    /// Whether it drives the client engine and means nothing without one.
    pub(super) drives: bool,
    /// Place in the status bar when room is short: lower stays longer.
    pub(super) rank: u8,
}

/// A row that is always there.
const fn key(
    codes: &'static [KeyCode],
    label: &'static str,
    short: &'static str,
    rank: u8,
    command: Command,
    help: &'static str,
) -> Key {
    Key { codes, label, short, help, command, drives: false, rank }
}

/// A row that drives the client.
const fn drive(
    codes: &'static [KeyCode],
    label: &'static str,
    short: &'static str,
    rank: u8,
    command: Command,
    help: &'static str,
) -> Key {
    Key { drives: true, ..key(codes, label, short, rank, command, help) }
}

/// Every key, in the order of the status bar and the help.
pub(super) static KEYS: &[Key] = {
    use Command as C;
    use KeyCode::{Char, Esc};
    &[
        key(
            &[Char('q')],
            "q",
            "quit",
            0,
            C::Quit,
            "Quit, and Ctrl-C without being asked. Engines this program started end with it. Ctrl-Z stops the program, fg goes on",
        ),
        key(&[Char('?'), KeyCode::F(1)], "?", "help", 1, C::Help, "This list"),
        key(&[Char('1')], "1", "overview", 4, C::Show(Screen::Overview), "Everything at a glance"),
        key(
            &[Char('2')],
            "2",
            "memory",
            4,
            C::Show(Screen::Memory),
            "The chart of memory, large, and what one connection costs",
        ),
        key(
            &[Char('3')],
            "3",
            "limits",
            4,
            C::Show(Screen::Limits),
            "Every limit: used, bound, slope, forecast; of the chosen one what it means, its history and its cure",
        ),
        key(
            &[Char('4')],
            "4",
            "engines",
            4,
            C::Show(Screen::Engines),
            "The processes: descriptors, CPU, errors, times; of a watched program what it listens on too",
        ),
        key(&[Char('t')], "t", "time axis", 7, C::Axis, "Memory over connections, or over time"),
        key(&[Char(' '), Char('f')], "f", "freeze", 5, C::Freeze, "Hold the picture still; collecting goes on"),
        drive(&[Char('p')], "p", "pause", 2, C::Pause, "Pause the ramp, or go on"),
        drive(&[Char('+'), Char('=')], "+", "faster", 6, C::RateUp, "Raise the connection rate"),
        drive(&[Char('-'), Char('_')], "-", "slower", 6, C::RateDown, "Lower the connection rate"),
        drive(&[Char('c')], "c", "close", 3, C::Close, "Close all connections at a steady pace (asks first)"),
        key(&[KeyCode::Up, Char('k'), KeyCode::PageUp], "↑", "", 9, C::Up, "Up in events, limits, listeners, networks"),
        key(
            &[KeyCode::Down, Char('j'), KeyCode::PageDown],
            "↓",
            "",
            9,
            C::Down,
            "Down in events, limits, listeners, networks",
        ),
        key(&[KeyCode::Tab], "Tab", "", 9, C::Next, "The next panel"),
        key(&[KeyCode::BackTab], "Shift-Tab", "", 9, C::Previous, "The panel before"),
        key(&[Char('s')], "s", "", 9, C::Sort, "Sorts the list: its own order, the largest first, by name"),
        key(&[Char('e')], "e", "", 9, C::Enlarge, "The panel has the screen to itself, or the others are back"),
        key(
            &[Char('z')],
            "z",
            "",
            9,
            C::Range,
            "How far the chart of memory reaches: to now, the target, the first limit, everything",
        ),
        key(&[KeyCode::Left, Char('h')], "←", "", 9, C::Earlier, "Back in time by a second, with Shift by ten"),
        key(&[KeyCode::Right, Char('l')], "→", "", 9, C::Later, "Forward in time by a second, with Shift by ten"),
        key(&[KeyCode::End], "End", "", 9, C::Now, "Back to now"),
        key(&[Esc], "Esc", "", 2, C::Back, "Closes what is open, then goes back to the newest, then to now"),
        key(
            &[KeyCode::Enter],
            "Enter",
            "",
            3,
            C::Open,
            "From an event to the limit it is about; from a listener to its peers: counted one by one, of many asks first",
        ),
    ]
};

/// The row of a key press without Ctrl.
pub(super) fn lookup(event: KeyEvent) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.codes.contains(&event.code))
}

/// The keys as a Markdown table: a document holds exactly this, and a test compares.
pub fn keys_table() -> String {
    let mut out = String::from("| key | what it does |\n| --- | --- |\n");
    for key in KEYS {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "| `{}` | {} |", key.label, key.help);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things() {
        for (i, a) in KEYS.iter().enumerate() {
            for b in &KEYS[i + 1..] {
                assert!(a.codes.iter().all(|code| !b.codes.contains(code)), "{} and {}", a.label, b.label);
            }
        }
    }

    #[test]
    fn the_keys_table_has_every_key() {
        let table = keys_table();
        assert_eq!(table.lines().count(), KEYS.len() + 2);
        assert!(table.contains("| `q` | Quit"));
    }
}
