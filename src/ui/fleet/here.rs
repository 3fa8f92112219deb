//! The keys that mean something on the fleet's screen, of the one table of keys.

use crate::ui::keys::{Command, KEYS, Row};

/// The keys that mean something here, the most needed in the footer first: the command, and what it does.
pub(super) const HERE: &[(Command, &str, &str)] = &[
    (Command::Quit, "quit", "Leaves this screen; the fleet goes on"),
    (Command::Help, "help", "These keys"),
    (Command::Up, "choose", "Chooses a worker"),
    (Command::Open, "open", "Opens the chosen worker's own dashboard, or the line of those with nothing wrong"),
    (Command::Filter, "filter", "Shows only workers whose host, part, role, state or limit contains what you type"),
    (Command::Sort, "sort", "Sorts the workers: by part, furthest behind first, nearest limit first, by host"),
    (Command::Pause, "pause", "Pauses every client's ramp, or lets it go on (needs C1M_FLEET_TOKEN)"),
    (Command::Close, "close", "Closes all connections of the fleet (asks first; needs C1M_FLEET_TOKEN)"),
    (Command::RateUp, "rate", "Raises or lowers the fleet's rate of new connections (needs C1M_FLEET_TOKEN)"),
    (Command::Prompt, "command", "A command: rate 200k, target 2m, pause, close, theme light, quit"),
    (Command::Next, "panel", "The next panel, or the previous one"),
    (Command::Enlarge, "enlarge", "Enlarges the panel, or brings the others back"),
    (Command::PageUp, "", "Ten rows up or down; the first row"),
    (Command::Mouse, "mouse", "Takes the mouse, or gives it back for selecting text"),
    (Command::Back, "", "Closes the prompt, then what is open, then the filter; goes back from a worker; never quits"),
];

/// The row of the table of keys that has a command which means something here.
pub(super) fn row_of(command: Command) -> Option<&'static Row> {
    let here = |row: &&Row| HERE.iter().any(|(known, ..)| row.commands().contains(known));
    KEYS.iter().filter(here).find(|row| row.commands().contains(&command))
}
