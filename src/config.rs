//! The configuration file: how the screen looks, and which keys do what. It is for the screen alone; what a run does stands
//! on its command line. Flags come before the environment, and the environment before the file.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::ui::{Keys, Marker, Palette, Screen, Stroke};
use crate::units::{nearest, parse_interval, printable};

/// What the file says; `None` where it says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// The colours.
    pub theme: Option<Palette>,
    /// The first view.
    pub view: Option<Screen>,
    /// Time between two samples.
    pub interval: Option<Duration>,
    /// Whether the mouse is taken from the start.
    pub mouse: Option<bool>,
    /// What curves are drawn with.
    pub marker: Option<Marker>,
    /// Whether only ASCII is drawn.
    pub ascii: Option<bool>,
    /// Which key does what.
    pub keys: Keys,
}

/// What is wrong with a file, and in which line, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    line: usize,
    text: String,
}

/// A setting: its name, its default as the file writes it, what it is for.
struct Setting {
    name: &'static str,
    default: &'static str,
    about: &'static str,
    take: fn(&mut Config, &DeValue<'_>) -> Result<(), String>,
}

const SETTINGS: [Setting; 6] = [
    Setting {
        name: "theme",
        default: "\"dark\"",
        about: "Colours: dark, light, contrast (white on black), ansi (the terminal's own 16 colours), plain (none).\n\
                Left out: light where COLORFGBG announces a light background, else dark. NO_COLOR means plain.",
        take: |config, value| Palette::named(text(value)?).map(|theme| config.theme = Some(theme)),
    },
    Setting {
        name: "view",
        default: "\"overview\"",
        about: "The first view: overview, memory, limits or engines.",
        take: |config, value| one_of(text(value)?, &Screen::NAMED, "view").map(|view| config.view = Some(view)),
    },
    Setting {
        name: "interval",
        default: "\"1s\"",
        about: "Time between two samples, 100ms or more.",
        take: |config, value| parse_interval(text(value)?).map(|time| config.interval = Some(time)),
    },
    Setting {
        name: "mouse",
        default: "false",
        about: "Take the mouse from the start. Without it text can be selected; the key m changes it.",
        take: |config, value| truth(value).map(|mouse| config.mouse = Some(mouse)),
    },
    Setting {
        name: "marker",
        default: "\"braille\"",
        about: "What curves are drawn with: braille, block, or dot. Left out: block on the Linux console.",
        take: |config, value| one_of(text(value)?, &MARKERS, "marker").map(|marker| config.marker = Some(marker)),
    },
    Setting {
        name: "ascii",
        default: "false",
        about: "Draw with ASCII alone: serial lines, logs. Left out: true on a vt100 and its kin.",
        take: |config, value| truth(value).map(|ascii| config.ascii = Some(ascii)),
    },
];

const MARKERS: [(&str, Marker); 3] = [("braille", Marker::Braille), ("block", Marker::Block), ("dot", Marker::Dot)];

impl Config {
    /// Reads a file's text.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(input: &str) -> Result<Self, Wrong> {
        let line = |span: &Range<usize>| input[..span.start.min(input.len())].matches('\n').count() + 1;
        let table = DeTable::parse(input).map_err(|e| Wrong {
            line: e.span().map_or(1, |span| line(&span)),
            text: e.message().lines().collect::<Vec<_>>().join(", "),
        })?;
        let mut config = Self::default();
        // In the order of the file, so that what is named is what a reader meets first.
        let mut entries: Vec<_> = table.get_ref().iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in entries {
            if name.get_ref() == "keys" {
                config.take_keys(value, &line)?;
                continue;
            }
            let wrong = |span: &Range<usize>, text: String| Wrong { line: line(span), text };
            let Some(setting) = SETTINGS.iter().find(|s| s.name == name.get_ref()) else {
                let known = SETTINGS.iter().map(|s| s.name).chain(["keys"]);
                return Err(wrong(&name.span(), unknown("setting", name.get_ref(), known)));
            };
            (setting.take)(&mut config, value.get_ref())
                .map_err(|text| wrong(&value.span(), format!("{}: {text}", setting.name)))?;
        }
        Ok(config)
    }

    /// The table of keys.
    fn take_keys(&mut self, table: &Spanned<DeValue<'_>>, line: &impl Fn(&Range<usize>) -> usize) -> Result<(), Wrong> {
        let wrong = |span: &Range<usize>, text: String| Wrong { line: line(span), text };
        let DeValue::Table(keys) = table.get_ref() else {
            return Err(wrong(&table.span(), "keys is a table: write [keys], and below it pause = \"p\"".to_owned()));
        };
        let mut entries: Vec<_> = keys.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let mut taken: Vec<(Stroke, String)> = Vec::new();
        for (name, value) in entries {
            let strokes = strokes(value.get_ref())
                .map_err(|text| wrong(&value.span(), format!("{name}: {text}", name = name.get_ref())))?;
            for stroke in &strokes {
                if let Some((_, other)) = taken.iter().find(|(known, _)| known == stroke) {
                    let text = format!("{}: that key is given to {other} already", name.get_ref());
                    return Err(wrong(&value.span(), text));
                }
            }
            if !self.keys.bind(name.get_ref(), &strokes) {
                let defaults = Keys::defaults();
                let known = defaults.iter().map(|(name, _)| *name);
                return Err(wrong(&name.span(), unknown("command", name.get_ref(), known)));
            }
            taken.extend(strokes.into_iter().map(|stroke| (stroke, name.get_ref().to_string())));
        }
        Ok(())
    }

    /// The file of this user, if there is one: `$XDG_CONFIG_HOME/c1m-top/config.toml`, else below `~/.config`.
    ///
    /// # Errors
    /// One line: which file, which line, what is wrong with it.
    pub fn of_user(env: impl Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        // No home is no error.
        let Some(path) = path(env) else { return Ok(Self::default()) };
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).map_err(|wrong| {
                format!("{}:{}: {}", printable(&path.display().to_string()), wrong.line, printable(&wrong.text))
            }),
            Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                Ok(Self::default())
            }
            Err(e) => Err(format!("{} cannot be read: {e}", printable(&path.display().to_string()))),
        }
    }
}

/// Where the file is looked for; `None` without a home.
pub fn path(env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = set("XDG_CONFIG_HOME").filter(|dir| dir.is_absolute()).or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(dir.join(Path::new("c1m-top/config.toml")))
}

/// The defaults with what they are for, as a file that changes nothing.
pub fn defaults() -> String {
    let mut out = String::from(
        "# c1m-top: how the screen looks, and which keys do what. Everything here is the default and can be left out.\n\
         # Flags come before the environment, and the environment before this file.\n",
    );
    for setting in &SETTINGS {
        out.push('\n');
        for line in setting.about.lines() {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "# {line}");
        }
        let _ = writeln!(out, "#{} = {}", setting.name, setting.default);
    }
    out.push_str(
        "\n# One key or several for each command: a character, or Up, Down, Left, Right, PageUp, PageDown, Home, End, Tab,\n\
         # Enter, Esc, Space, F1 to F12, Shift-Left and so on. A key that is given to one command is taken from any other.\n\
         # Ctrl-C always quits.\n[keys]\n",
    );
    for (name, keys) in Keys::defaults() {
        let keys: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
        let _ = writeln!(out, "#{name} = [{}]", keys.join(", "));
    }
    out
}

fn text<'a>(value: &'a DeValue<'_>) -> Result<&'a str, String> {
    match value {
        DeValue::String(text) => Ok(text),
        other => Err(format!("{} is not text; quote it", of_kind(other))),
    }
}

fn truth(value: &DeValue<'_>) -> Result<bool, String> {
    match value {
        DeValue::Boolean(truth) => Ok(*truth),
        other => Err(format!("{} is neither true nor false", of_kind(other))),
    }
}

fn of_kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{text}\""),
        DeValue::Integer(n) => n.to_string(),
        DeValue::Float(n) => n.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// One key, or a list of them.
fn strokes(value: &DeValue<'_>) -> Result<Vec<Stroke>, String> {
    match value {
        DeValue::Array(all) => all.iter().map(|one| Stroke::parse(text(one.get_ref())?)).collect(),
        one => Ok(vec![Stroke::parse(text(one)?)?]),
    }
}

fn one_of<T: Copy>(name: &str, known: &[(&str, T)], what: &str) -> Result<T, String> {
    let found = known.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        format!("'{name}' is not a {what}; there are {}", names.join(", "))
    })
}

/// There is no such name: the nearest, or all.
fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = known.collect();
    match nearest(name, all.iter().copied()).as_slice() {
        [] if all.len() <= 8 => format!("no {what} '{name}'; there are {}", all.join(", ")),
        [] => format!("no {what} '{name}'; c1m-top config prints them all"),
        near => format!("no {what} '{name}'; did you mean {}?", near.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> (usize, String) {
        let wrong = Config::parse(text).unwrap_err();
        assert!(!wrong.text.contains('\n'), "{}", wrong.text);
        (wrong.line, wrong.text)
    }

    #[test]
    fn every_setting_is_read() {
        let text = "theme = \"light\"\nview = \"limits\"\ninterval = \"500ms\"\nmouse = true\nmarker = \"block\"\nascii = true\n\
                    [keys]\npause = \"P\"\nquit = [\"q\", \"F10\"]\n";
        let config = Config::parse(text).unwrap();
        assert_eq!((config.theme, config.view), (Some(Palette::Light), Some(Screen::Limits)));
        assert_eq!((config.interval, config.mouse), (Some(Duration::from_millis(500)), Some(true)));
        assert_eq!((config.marker, config.ascii), (Some(Marker::Block), Some(true)));
        assert_ne!(config.keys, Keys::default());
        assert_eq!(Config::parse("").unwrap(), Config::default());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, part) in [
            ("theme = \"mauve\"", 1, "theme: 'mauve' is not a theme; there are dark"),
            ("\n\ntheme = 7", 3, "theme: 7 is not text"),
            ("mouse = \"yes\"", 1, "mouse: \"yes\" is neither true nor false"),
            ("# a\nthem = \"dark\"", 2, "no setting 'them'; did you mean theme?"),
            ("xyzzy = 1", 1, "no setting 'xyzzy'; there are theme, view"),
            ("interval = \"1ms\"", 1, "under 100ms"),
            ("view = \"peers\"", 1, "'peers' is not a view; there are overview, memory"),
            ("keys = 1", 1, "keys is a table"),
            ("[keys]\npaus = \"p\"", 2, "no command 'paus'; did you mean pause?"),
            ("[keys]\nxyzzy = \"p\"", 2, "c1m-top config prints them all"),
            ("[keys]\npause = \"pp\"", 2, "pause: 'pp' is not a key"),
            ("[keys]\npause = \"x\"\nsort = [\"s\",\n\"x\"]", 3, "sort: that key is given to pause already"),
            ("theme = ", 1, ""),
            ("theme = \"dark\"\ntheme = \"light\"", 2, "duplicate"),
            ("a\u{0}b", 1, ""),
        ] {
            let (got, said) = wrong(text);
            assert!(got == line && said.contains(part), "{text:?}: {got}: {said}");
        }
    }

    #[test]
    fn the_printed_defaults_are_the_defaults() {
        let printed = defaults();
        assert_eq!(Config::parse(&printed), Ok(Config::default()), "as it is printed it changes nothing");
        let all: String = printed
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
            .fold(String::new(), |all, line| all + line + "\n");
        let config = Config::parse(&all).unwrap_or_else(|e| panic!("{e:?}\n{all}"));
        assert_eq!((config.theme, config.view), (Some(Palette::default()), Some(Screen::default())));
        assert_eq!((config.interval, config.marker), (Some(Duration::from_secs(1)), Some(Marker::default())));
        assert_eq!((config.mouse, config.ascii), (Some(false), Some(false)));
    }

    #[test]
    fn the_file_is_where_xdg_says_and_no_home_is_no_error() {
        let at = |vars: &'static [(&str, &str)]| {
            path(move |name| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value)))
        };
        assert_eq!(at(&[("HOME", "/h")]), Some("/h/.config/c1m-top/config.toml".into()));
        assert_eq!(at(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]), Some("/x/c1m-top/config.toml".into()));
        assert_eq!(
            at(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "relative")]),
            Some("/h/.config/c1m-top/config.toml".into())
        );
        assert_eq!(at(&[("HOME", ""), ("XDG_CONFIG_HOME", "")]), None);
        assert_eq!(Config::of_user(|_| None), Ok(Config::default()));
    }
}
