//! The keys: one table that makes the lookup, the footer, the help and the table in the documents.

use std::fmt::Write as _;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::panels::Panel;

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

impl Screen {
    /// The screens by the names that the configuration file has for them.
    pub const NAMED: [(&'static str, Screen); 4] = [
        ("overview", Screen::Overview),
        ("memory", Screen::Memory),
        ("limits", Screen::Limits),
        ("engines", Screen::Engines),
    ];
}

/// What a key means to the dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Quit,
    Help,
    Show(Screen),
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Next,
    Previous,
    Filter,
    Sort,
    Open,
    Enlarge,
    Copy,
    Earlier,
    Later,
    MuchEarlier,
    MuchLater,
    EventBefore,
    EventAfter,
    Now,
    Freeze,
    Slower,
    Faster,
    Range,
    Axis,
    Prompt,
    Pause,
    RateUp,
    RateDown,
    Close,
    Mouse,
    Back,
}

/// A key as it is pressed. Shift counts only where the character does not tell it: `Shift-Left`, but `H`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stroke {
    code: KeyCode,
    shift: bool,
}

/// Keys that have no character, by the names that the configuration file has for them; and how they are written with arrows.
const NAMED: &[(&str, KeyCode, &str)] = &[
    ("Up", KeyCode::Up, "↑"),
    ("Down", KeyCode::Down, "↓"),
    ("Left", KeyCode::Left, "←"),
    ("Right", KeyCode::Right, "→"),
    ("PageUp", KeyCode::PageUp, "PgUp"),
    ("PageDown", KeyCode::PageDown, "PgDn"),
    ("Home", KeyCode::Home, "Home"),
    ("End", KeyCode::End, "End"),
    ("Tab", KeyCode::Tab, "Tab"),
    ("Shift-Tab", KeyCode::BackTab, "Shift-Tab"),
    ("Enter", KeyCode::Enter, "Enter"),
    ("Esc", KeyCode::Esc, "Esc"),
    ("Space", KeyCode::Char(' '), "Space"),
    ("Backspace", KeyCode::Backspace, "Backspace"),
    ("Delete", KeyCode::Delete, "Delete"),
    ("Insert", KeyCode::Insert, "Insert"),
];

impl Stroke {
    /// The stroke of a key event.
    pub(super) fn of(event: KeyEvent) -> Self {
        let told = matches!(event.code, KeyCode::Char(_) | KeyCode::BackTab);
        Self { code: event.code, shift: !told && event.modifiers.contains(KeyModifiers::SHIFT) }
    }

    /// Reads a key as the configuration file has it: `q`, `Space`, `F1`, `Shift-Left`.
    ///
    /// # Errors
    /// A sentence that says what is accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("'{text}' is not a key; write one character, or a name such as Space, Enter, Left, Shift-Left, F2")
        };
        let mut chars = text.chars();
        if let (Some(one), None) = (chars.next(), chars.next()) {
            return if one.is_control() || one == ' ' {
                Err(wrong())
            } else {
                Ok(Self { code: KeyCode::Char(one), shift: false })
            };
        }
        let named = |name: &str| NAMED.iter().find(|n| n.0.eq_ignore_ascii_case(name)).map(|n| n.1);
        let plain = |name: &str| {
            let digits = name.strip_prefix(['F', 'f'])?;
            digits.parse().ok().filter(|n| (1..=12).contains(n)).map(KeyCode::F)
        };
        let read = |name: &str| named(name).or_else(|| plain(name));
        match (read(text), text.split_once('-')) {
            (Some(code), _) => Ok(Self { code, shift: false }),
            (None, Some((shift, name))) if shift.eq_ignore_ascii_case("shift") => {
                let code = read(name).filter(|c| !matches!(c, KeyCode::Char(_) | KeyCode::BackTab | KeyCode::Tab));
                code.map(|code| Self { code, shift: true }).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }

    /// How it is written: with arrows, or in ASCII as the configuration file has it.
    pub(super) fn label(self, ascii: bool) -> String {
        let shift = if self.shift { "Shift-" } else { "" };
        let name = NAMED.iter().find(|n| n.1 == self.code).map(|n| if ascii { n.0 } else { n.2 });
        match (name, self.code) {
            (Some(name), _) => format!("{shift}{name}"),
            (None, KeyCode::Char(c)) => c.to_string(),
            (None, KeyCode::F(n)) => format!("{shift}F{n}"),
            (None, _) => "?".to_owned(),
        }
    }
}

/// One row of the table: keys that belong together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// What each key means, the usual one first.
    binds: &'static [(KeyCode, Command)],
    /// The same with Shift.
    shifted: &'static [(KeyCode, Command)],
    /// One or two words for the footer; empty: not there.
    pub(super) short: &'static str,
    /// A sentence for the help.
    pub(super) help: &'static str,
    /// The panels to which it belongs; none: to all.
    pub(super) panels: &'static [Panel],
    /// Whether it drives the client engine and means nothing without one.
    pub(super) drives: bool,
    /// Whether it belongs to a replay and means nothing in a run that goes on.
    pub(super) replays: bool,
    /// Place in the footer when room is short: lower stays longer.
    pub(super) rank: u8,
}

impl Row {
    /// Its commands, each once.
    pub(super) fn commands(&self) -> Vec<Command> {
        let mut all: Vec<Command> = Vec::new();
        for (_, command) in self.binds.iter().chain(self.shifted) {
            if !all.contains(command) {
                all.push(*command);
            }
        }
        all
    }

    /// The command of its first key.
    pub(super) fn first(&self) -> Command {
        self.binds[0].1
    }

    fn strokes(&self) -> impl Iterator<Item = (Stroke, Command)> {
        let with = |shift| move |&(code, command): &(KeyCode, Command)| (Stroke { code, shift }, command);
        self.binds.iter().map(with(false)).chain(self.shifted.iter().map(with(true)))
    }
}

const ROW: Row =
    Row { binds: &[], shifted: &[], short: "", help: "", panels: &[], drives: false, replays: false, rank: 9 };

/// Panels with rows.
const LISTS: &[Panel] = &[Panel::Limits, Panel::Events, Panel::Processes, Panel::Listeners, Panel::Peers];
/// Lists that can be filtered and sorted.
const SORTED: &[Panel] = &[Panel::Limits, Panel::Events, Panel::Processes, Panel::Listeners];
/// Lists whose rows open.
const OPENS: &[Panel] = &[Panel::Limits, Panel::Events, Panel::Listeners, Panel::Peers];
/// Panels that have time on an axis.
const TIMED: &[Panel] = &[Panel::Memory, Panel::OverTime];

/// Every key, in the order of the help.
pub(super) static KEYS: &[Row] = {
    use Command as C;
    use KeyCode::{Char, Down, End, Enter, Esc, F, Home, Left, PageDown, PageUp, Right, Up};
    &[
        Row {
            binds: &[(Char('q'), C::Quit)],
            short: "quit",
            rank: 0,
            help: "Quits; asks first if that would close more than 10,000 connections of its own. Ctrl-C never asks. \
                   Ctrl-Z stops the program, fg brings it back",
            ..ROW
        },
        Row {
            binds: &[(Char('?'), C::Help), (F(1), C::Help)],
            short: "help",
            rank: 0,
            help: "These keys, and what the words on the screen mean",
            ..ROW
        },
        Row {
            binds: &[
                (Char('1'), C::Show(Screen::Overview)),
                (Char('2'), C::Show(Screen::Memory)),
                (Char('3'), C::Show(Screen::Limits)),
                (Char('4'), C::Show(Screen::Engines)),
            ],
            short: "views",
            rank: 4,
            help: "The views: 1 everything at a glance, 2 memory, 3 limits, 4 engines or the processes of a watched program",
            ..ROW
        },
        Row {
            binds: &[(KeyCode::Tab, C::Next), (KeyCode::BackTab, C::Previous)],
            short: "panel",
            rank: 5,
            help: "The next panel, or the previous one; the footer shows its keys first",
            ..ROW
        },
        Row {
            binds: &[(Up, C::Up), (Down, C::Down), (Char('k'), C::Up), (Char('j'), C::Down)],
            short: "choose",
            panels: LISTS,
            rank: 3,
            help: "Chooses a row",
            ..ROW
        },
        Row {
            binds: &[(PageUp, C::PageUp), (PageDown, C::PageDown), (Home, C::First)],
            panels: LISTS,
            help: "Ten rows up or down; the first row",
            ..ROW
        },
        Row {
            binds: &[(Enter, C::Open)],
            short: "open",
            panels: OPENS,
            rank: 2,
            help: "Opens the chosen row: an event its limit, a limit its details, a listener its peers (counted one by one; asks \
                   first if there are many). Where no row can be chosen, enlarges the panel",
            ..ROW
        },
        Row {
            binds: &[(Char('e'), C::Enlarge)],
            short: "enlarge",
            rank: 6,
            help: "Enlarges the panel, or brings the others back",
            ..ROW
        },
        Row {
            binds: &[(Char('/'), C::Filter)],
            short: "filter",
            panels: SORTED,
            rank: 4,
            help: "Shows only the rows that contain what you type",
            ..ROW
        },
        Row {
            binds: &[(Char('s'), C::Sort)],
            short: "sort",
            panels: SORTED,
            rank: 5,
            help: "Sorts the rows: as they come, largest first, by name",
            ..ROW
        },
        Row {
            binds: &[(Char('y'), C::Copy)],
            short: "copy fix",
            panels: &[Panel::Limits, Panel::Events, Panel::Next],
            rank: 5,
            help: "Sends the fix of the chosen limit or event to the terminal's clipboard (OSC 52)",
            ..ROW
        },
        Row {
            binds: &[(Char('z'), C::Range)],
            short: "range",
            panels: TIMED,
            rank: 4,
            help: "How far the memory chart reaches: what is measured, the target, the first limit, all limits",
            ..ROW
        },
        Row {
            binds: &[(Char('t'), C::Axis)],
            short: "axis",
            panels: &[Panel::Memory],
            rank: 6,
            help: "Memory over connections, or over time",
            ..ROW
        },
        Row {
            binds: &[
                (Left, C::Earlier),
                (Right, C::Later),
                (Char('h'), C::Earlier),
                (Char('l'), C::Later),
                (Char('H'), C::MuchEarlier),
                (Char('L'), C::MuchLater),
            ],
            shifted: &[(Left, C::MuchEarlier), (Right, C::MuchLater)],
            short: "time",
            panels: TIMED,
            rank: 5,
            help: "Moves the time cursor back or forward; with Shift, ten steps",
            ..ROW
        },
        Row {
            binds: &[(Char('['), C::EventBefore), (Char(']'), C::EventAfter)],
            short: "events",
            panels: TIMED,
            rank: 7,
            help: "Moves the time cursor to the previous event, or the next",
            ..ROW
        },
        Row { binds: &[(End, C::Now)], help: "Brings the time cursor back to now", ..ROW },
        Row {
            binds: &[(Char(' '), C::Freeze), (Char('f'), C::Freeze)],
            short: "freeze",
            rank: 6,
            help: "Freezes the picture, or unfreezes it; collecting never stops. Plays or stops a replay",
            ..ROW
        },
        Row {
            binds: &[(Char(','), C::Slower), (Char('.'), C::Faster)],
            short: "speed",
            replays: true,
            rank: 4,
            help: "Plays a replay slower or faster",
            ..ROW
        },
        Row {
            binds: &[(Char(':'), C::Prompt)],
            short: "command",
            rank: 5,
            help: "A command: rate 20k, target 2m, pause, close, theme light, quit; 12m goes to a time, 1m conns to a count",
            ..ROW
        },
        Row {
            binds: &[(Char('p'), C::Pause)],
            short: "pause",
            drives: true,
            rank: 2,
            help: "Pauses or resumes the ramp",
            ..ROW
        },
        Row {
            binds: &[
                (Char('+'), C::RateUp),
                (Char('-'), C::RateDown),
                (Char('='), C::RateUp),
                (Char('_'), C::RateDown),
            ],
            short: "rate",
            drives: true,
            rank: 5,
            help: "Raises or lowers the rate of new connections",
            ..ROW
        },
        Row {
            binds: &[(Char('c'), C::Close)],
            short: "close",
            drives: true,
            rank: 4,
            help: "Closes all connections at a steady pace (asks first)",
            ..ROW
        },
        Row {
            binds: &[(Char('m'), C::Mouse)],
            short: "mouse",
            rank: 8,
            help: "Takes the mouse, or gives it back for selecting text: a click chooses; the wheel scrolls lists and zooms the chart",
            ..ROW
        },
        Row {
            binds: &[(Esc, C::Back)],
            rank: 2,
            help: "Closes the prompt, then whatever is open or enlarged, then goes back to now; never quits",
            ..ROW
        },
    ]
};

/// Each command by the name that the configuration file has for it.
const NAMES: &[(&str, Command)] = &[
    ("quit", Command::Quit),
    ("help", Command::Help),
    ("overview", Command::Show(Screen::Overview)),
    ("memory", Command::Show(Screen::Memory)),
    ("limits", Command::Show(Screen::Limits)),
    ("engines", Command::Show(Screen::Engines)),
    ("next_panel", Command::Next),
    ("previous_panel", Command::Previous),
    ("up", Command::Up),
    ("down", Command::Down),
    ("page_up", Command::PageUp),
    ("page_down", Command::PageDown),
    ("first", Command::First),
    ("open", Command::Open),
    ("enlarge", Command::Enlarge),
    ("filter", Command::Filter),
    ("sort", Command::Sort),
    ("copy", Command::Copy),
    ("range", Command::Range),
    ("axis", Command::Axis),
    ("earlier", Command::Earlier),
    ("later", Command::Later),
    ("much_earlier", Command::MuchEarlier),
    ("much_later", Command::MuchLater),
    ("event_before", Command::EventBefore),
    ("event_after", Command::EventAfter),
    ("now", Command::Now),
    ("freeze", Command::Freeze),
    ("slower", Command::Slower),
    ("faster", Command::Faster),
    ("command", Command::Prompt),
    ("pause", Command::Pause),
    ("rate_up", Command::RateUp),
    ("rate_down", Command::RateDown),
    ("close", Command::Close),
    ("mouse", Command::Mouse),
    ("back", Command::Back),
];

/// Which key does what: the table, with what the configuration file has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys(Vec<(Stroke, Command)>);

impl Default for Keys {
    fn default() -> Self {
        Self(KEYS.iter().flat_map(Row::strokes).collect())
    }
}

impl Keys {
    /// The names of all commands, and the keys that each has by default, as the configuration file writes them.
    pub fn defaults() -> Vec<(&'static str, Vec<String>)> {
        let keys = Self::default();
        let of = |command| keys.strokes(command).map(|stroke| stroke.label(true)).collect();
        NAMES.iter().map(|(name, command)| (*name, of(*command))).collect()
    }

    /// Gives the command of this name these keys instead of its own; another command that has one of them loses it. False
    /// where no command has the name.
    pub fn bind(&mut self, name: &str, strokes: &[Stroke]) -> bool {
        let Some((_, command)) = NAMES.iter().find(|(known, _)| *known == name) else { return false };
        self.0.retain(|(stroke, bound)| bound != command && !strokes.contains(stroke));
        self.0.extend(strokes.iter().map(|stroke| (*stroke, *command)));
        true
    }

    /// What a key press without Ctrl or Alt means.
    pub(super) fn lookup(&self, event: KeyEvent) -> Option<Command> {
        let pressed = Stroke::of(event);
        self.0.iter().find(|(stroke, _)| *stroke == pressed).map(|(_, command)| *command)
    }

    /// The keys of a command, the usual one first.
    fn strokes(&self, command: Command) -> impl Iterator<Item = Stroke> {
        self.0.iter().filter(move |(_, bound)| *bound == command).map(|(stroke, _)| *stroke)
    }

    /// How the usual key of a command is written; empty where it has none.
    pub(super) fn label(&self, command: Command, ascii: bool) -> String {
        self.strokes(command).next().map_or_else(String::new, |stroke| stroke.label(ascii))
    }

    /// How the usual keys of a row are written in the footer: `↑↓`, `+-`, `1-4`.
    pub(super) fn short_label(&self, row: &Row, ascii: bool) -> String {
        let rare = |command: &Command| row.shifted.iter().any(|(_, shifted)| shifted == command);
        let commands = row.commands().into_iter().filter(|command| !rare(command));
        let labels: Vec<String> = commands.map(|command| self.label(command, ascii)).collect();
        let plain: Vec<&str> =
            labels.iter().map(String::as_str).filter(|l| !l.is_empty() && !l.starts_with("Shift-")).collect();
        let short = plain.iter().all(|label| label.chars().count() == 1);
        match plain.as_slice() {
            [first, .., last] if short && plain.iter().all(|l| l.as_bytes()[0].is_ascii_digit()) => {
                format!("{first}-{last}")
            }
            _ => plain.join(if short { "" } else { "/" }),
        }
    }

    /// How all keys of a row are written in the help.
    pub(super) fn long_label(&self, row: &Row, ascii: bool) -> String {
        let commands = row.commands();
        let own = self.0.iter().filter(|(_, command)| commands.contains(command));
        own.map(|(stroke, _)| stroke.label(ascii)).collect::<Vec<_>>().join(" ")
    }
}

/// The keys as a Markdown table: a document holds exactly this, and a test compares.
pub fn keys_table() -> String {
    let mut out = String::from("| key | what it does |\n| --- | --- |\n");
    for row in KEYS {
        let labels: Vec<String> = row.strokes().map(|(stroke, _)| format!("`{}`", stroke.label(false))).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "| {} | {} |", labels.join(" "), row.help);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things() {
        let all: Vec<(Stroke, Command)> = KEYS.iter().flat_map(Row::strokes).collect();
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| b.0 != a.0), "{a:?}");
        }
    }

    #[test]
    fn every_command_has_a_key_and_a_name() {
        for (_, command) in KEYS.iter().flat_map(Row::strokes) {
            assert_eq!(NAMES.iter().filter(|(_, named)| *named == command).count(), 1, "{command:?}");
        }
        let defaults = Keys::defaults();
        assert!(defaults.iter().all(|(_, keys)| !keys.is_empty()), "{defaults:?}");
        // What is printed as a default can be read again and changes nothing.
        let mut keys = Keys::default();
        for (name, labels) in defaults {
            let strokes: Vec<Stroke> = labels.iter().map(|label| Stroke::parse(label).unwrap()).collect();
            assert!(keys.bind(name, &strokes), "{name}");
        }
        for (stroke, command) in &Keys::default().0 {
            assert!(keys.0.contains(&(*stroke, *command)), "{stroke:?}");
        }
    }

    #[test]
    fn the_table_for_documents_has_every_key() {
        let table = keys_table();
        assert_eq!(table.lines().count(), KEYS.len() + 2);
        assert!(table.contains("| `q` | Quits") && table.contains("| `↑` `↓` `k` `j` | Chooses a row |"), "{table}");
        assert!(table.contains("`Shift-←`"), "{table}");
    }

    #[test]
    fn strokes_are_read_as_people_write_them() {
        for (text, label) in [("q", "q"), ("H", "H"), ("space", "Space"), ("f5", "F5"), ("shift-left", "Shift-←")] {
            assert_eq!(Stroke::parse(text).map(|s| s.label(false)), Ok(label.to_owned()));
        }
        for text in ["", "qq", "F13", "Shift-q", "Ctrl-c", " ", "Shift-Tabb"] {
            assert!(Stroke::parse(text).unwrap_err().contains("is not a key"), "{text}");
        }
    }

    #[test]
    fn another_key_takes_the_place_of_the_usual_one() {
        let press = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
        let mut keys = Keys::default();
        assert!(keys.bind("pause", &[Stroke::parse("s").unwrap()]));
        assert_eq!(keys.lookup(press('s')), Some(Command::Pause));
        assert_eq!(keys.lookup(press('p')), None);
        assert_eq!(keys.label(Command::Pause, false), "s");
        assert_eq!(keys.label(Command::Sort, false), "", "it has lost its key");
        assert!(!keys.bind("sing", &[]));
    }

    #[test]
    fn labels_are_short_in_the_footer_and_whole_in_the_help() {
        let keys = Keys::default();
        let row = |command| KEYS.iter().find(|row| row.first() == command).unwrap();
        for (command, short, ascii, long) in [
            (Command::Up, "↑↓", "Up/Down", "↑ ↓ k j"),
            (Command::RateUp, "+-", "+-", "+ - = _"),
            (Command::Show(Screen::Overview), "1-4", "1-4", "1 2 3 4"),
            (Command::Next, "Tab", "Tab", "Tab Shift-Tab"),
            (Command::Earlier, "←→", "Left/Right", "← → h l H L Shift-← Shift-→"),
            (Command::EventBefore, "[]", "[]", "[ ]"),
            (Command::Help, "?", "?", "? F1"),
            (Command::Freeze, "Space", "Space", "Space f"),
        ] {
            let row = row(command);
            assert_eq!(keys.short_label(row, false), short);
            assert_eq!(keys.short_label(row, true), ascii);
            assert_eq!(keys.long_label(row, false), long);
        }
    }
}
