//! What is typed after a colon.

use super::theme::Palette;
use crate::units::{nearest, parse_count, parse_duration, parse_rate};

/// A command as it was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Typed {
    /// Connections per second; `None` is as fast as it goes.
    Rate(Option<u64>),
    /// Connections to aim at.
    Target(u64),
    Pause,
    Close,
    Quit,
    Help,
    Theme(Palette),
    /// To this time, milliseconds since the start.
    Time(u64),
    /// To when there were so many connections.
    Count(u64),
}

/// The commands: name, what follows, an example.
const COMMANDS: [(&str, &str); 7] = [
    ("rate", "rate 20k, or rate max"),
    ("target", "target 2m"),
    ("pause", "pause"),
    ("close", "close"),
    ("theme", "theme light"),
    ("quit", "quit"),
    ("help", "help"),
];

/// Reads a command.
///
/// # Errors
/// One line: what is wrong, and what would be right.
pub(super) fn parse(text: &str) -> Result<Typed, String> {
    let text = text.trim();
    let (name, rest) = text.split_once(char::is_whitespace).map_or((text, ""), |(name, rest)| (name, rest.trim()));
    let alone = |typed| if rest.is_empty() { Ok(typed) } else { Err(format!("{name} takes nothing; write {name}")) };
    match name.to_ascii_lowercase().as_str() {
        "" => Err("nothing typed; commands are, for example, rate 20k, target 2m, 12m, 1m conns".to_owned()),
        "rate" | "target" if rest.is_empty() => Err(usage(name)),
        "rate" => parse_rate(rest).map(Typed::Rate),
        "target" => match parse_count(rest)? {
            0 => Err("a target of 0 opens nothing; close closes every connection".to_owned()),
            n => Ok(Typed::Target(n)),
        },
        "theme" => Palette::named(rest).map(Typed::Theme),
        "pause" => alone(Typed::Pause),
        "close" => alone(Typed::Close),
        "quit" | "q" => alone(Typed::Quit),
        "help" => alone(Typed::Help),
        _ => place(text, rest).ok_or_else(|| unknown(name)),
    }
}

/// A time or a count to go to: `12m`, `1h30m`, `90s`, `1m conns`.
fn place(text: &str, rest: &str) -> Option<Typed> {
    if ["conns", "conn", "connections", "connection"].contains(&rest.to_ascii_lowercase().as_str()) {
        let count = text.split_whitespace().next()?;
        return parse_count(count).ok().map(Typed::Count);
    }
    let time = parse_duration(text).ok()?;
    u64::try_from(time.as_millis()).ok().map(Typed::Time)
}

fn usage(name: &str) -> String {
    let example = COMMANDS.iter().find(|c| c.0.eq_ignore_ascii_case(name)).map_or("", |c| c.1);
    format!("{name} needs a number; write for example {example}")
}

/// No such command: the ones that are near, or all.
fn unknown(name: &str) -> String {
    let near = nearest(name, COMMANDS.iter().map(|c| c.0));
    if near.is_empty() {
        let all: Vec<&str> = COMMANDS.iter().map(|c| c.0).collect();
        return format!("no command '{name}'; there are {}, a time (12m) and a count (1m conns)", all.join(", "));
    }
    format!("no command '{name}'; did you mean {}?", near.join(" or "))
}

/// The one command that begins like this.
pub(super) fn complete(text: &str) -> Option<&'static str> {
    let mut begins = COMMANDS.iter().map(|c| c.0).filter(|known| !text.is_empty() && known.starts_with(text));
    begins.next().filter(|_| begins.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_with_the_units_of_the_command_line() {
        for (text, want) in [
            ("rate 20k", Typed::Rate(Some(20_000))),
            (" RATE  1500/s ", Typed::Rate(Some(1500))),
            ("rate max", Typed::Rate(None)),
            ("target 2m", Typed::Target(2_000_000)),
            ("close", Typed::Close),
            ("pause", Typed::Pause),
            ("q", Typed::Quit),
            ("quit", Typed::Quit),
            ("help", Typed::Help),
            ("theme light", Typed::Theme(Palette::Light)),
            ("12m", Typed::Time(720_000)),
            ("1h30m", Typed::Time(5_400_000)),
            ("90", Typed::Time(90_000)),
            ("1m conns", Typed::Count(1_000_000)),
            ("250k connections", Typed::Count(250_000)),
        ] {
            assert_eq!(parse(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line_with_what_is_near() {
        for (text, want) in [
            ("", "nothing typed"),
            ("rate", "rate needs a number; write for example rate 20k"),
            ("rate fast", "'fast' is not a rate"),
            ("rate 0", "would never start"),
            ("target", "target needs a number"),
            ("target none", "'none' is not a count"),
            ("target 0", "opens nothing"),
            ("close now", "close takes nothing"),
            ("tarjet 2m", "no command 'tarjet'; did you mean target?"),
            ("t", "did you mean target or theme?"),
            ("xyzzy", "no command 'xyzzy'; there are rate, target"),
            ("theme mauve", "'mauve' is not a theme"),
            ("1m cats", "no command '1m'"),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.contains(want) && !said.contains('\n'), "{text}: {said}");
        }
    }

    #[test]
    fn tab_completes_what_only_one_command_begins_with() {
        for (text, want) in [("ra", Some("rate")), ("t", None), ("", None), ("x", None), ("th", Some("theme"))] {
            assert_eq!(complete(text), want);
        }
    }
}
