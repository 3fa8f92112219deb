//! Every style and mark by what it means. An alarm is a colour *and* a word.

use ratatui::style::{Color, Modifier, Style};

use super::colours::{CONTRAST, DARK, Depth, Ink, Inks, LIGHT};
use super::glyphs::Charset;
use crate::limits::LimitState;
use crate::model::event::Severity;

/// What curves and bars are drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Marker {
    /// 2 × 4 dots a cell: finest, needs a font with Braille.
    #[default]
    Braille,
    /// Half blocks, 1 × 2 a cell: every font with box drawing has them.
    Block,
    /// One mark a cell, and no box drawing anywhere: for fonts and logs that have neither.
    Dot,
}

/// Which colours there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Palette {
    /// For a dark terminal, or one not known.
    #[default]
    Dark,
    /// For a light terminal.
    Light,
    /// White on black with bright colours, whatever the terminal has behind it.
    Contrast,
    /// The terminal's own 16 colours over its own background, whatever palette somebody chose.
    Ansi,
    /// No colour at all: bold, dim and reversed only (<https://no-color.org>).
    Plain,
}

impl Palette {
    /// Every theme by its name.
    pub const NAMED: [(&'static str, Palette); 5] = [
        ("dark", Palette::Dark),
        ("light", Palette::Light),
        ("contrast", Palette::Contrast),
        ("ansi", Palette::Ansi),
        ("plain", Palette::Plain),
    ];

    /// The theme of this name.
    ///
    /// # Errors
    /// A sentence that says which there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = Self::NAMED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, palette)| *palette).ok_or_else(|| {
            let names: Vec<&str> = Self::NAMED.iter().map(|(known, _)| *known).collect();
            format!("'{name}' is not a theme; there are {}", names.join(", "))
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(_, palette)| *palette == self).map_or("dark", |(name, _)| name)
    }
}

/// How everything looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Theme {
    /// Which colours.
    pub palette: Palette,
    /// Marks.
    pub marker: Marker,
    /// How many colours the terminal has.
    pub depth: Depth,
    /// Which characters.
    pub charset: Charset,
}

impl Theme {
    /// A theme in the terminal's 16 colours.
    pub const fn new(palette: Palette, marker: Marker) -> Self {
        Self { palette, marker, depth: Depth::Sixteen, charset: Charset::Unicode }
    }

    /// The same on a terminal with so many colours.
    #[must_use]
    pub const fn with_depth(self, depth: Depth) -> Self {
        Self { depth, ..self }
    }

    /// The same in ASCII alone.
    #[must_use]
    pub const fn in_ascii(self) -> Self {
        Self { charset: Charset::Ascii, marker: Marker::Dot, ..self }
    }

    /// The theme for a terminal, from what the environment says of it: `TERM` and `COLORTERM` (how many colours, which
    /// characters), `COLORFGBG` (`foreground;background`, as rxvt and its kin set it; 7 and 15 are light backgrounds), and
    /// `NO_COLOR` (set and not empty).
    pub fn of_terminal(env: impl Fn(&str) -> Option<String>) -> Self {
        let term = env("TERM").unwrap_or_default();
        let no_colour = env("NO_COLOR").is_some_and(|v| !v.is_empty());
        let palette = match env("COLORFGBG").as_deref().and_then(|v| v.rsplit(';').next()) {
            // The terminals of DEC have one colour.
            _ if no_colour || is_vt(&term) => Palette::Plain,
            Some("7" | "15") => Palette::Light,
            _ => Palette::Dark,
        };
        let announced = env("COLORTERM").is_some_and(|v| v == "truecolor" || v == "24bit");
        let depth = match term.as_str() {
            "linux" => Depth::Sixteen,
            _ if announced || term.ends_with("-direct") => Depth::True,
            _ if term.contains("256color") => Depth::Indexed,
            _ => Depth::Sixteen,
        };
        let theme = Self::new(palette, Marker::Braille).with_depth(depth);
        match term.as_str() {
            "linux" => Self { charset: Charset::Console, marker: Marker::Block, ..theme },
            term if is_vt(term) || term == "dumb" => theme.in_ascii(),
            _ => theme,
        }
    }

    /// The inks of the palette; `None` where there is no colour.
    fn inks(self) -> Option<&'static Inks> {
        match self.palette {
            Palette::Dark | Palette::Ansi => Some(&DARK),
            Palette::Light => Some(&LIGHT),
            Palette::Contrast => Some(&CONTRAST),
            Palette::Plain => None,
        }
    }

    /// As the terminal can show it.
    fn color(self, ink: Ink) -> Color {
        ink.color(if self.palette == Palette::Ansi { Depth::Sixteen } else { self.depth })
    }

    /// One of the palette's inks on its ground; nothing in plain. (crossterm drops every colour by itself when `NO_COLOR` is
    /// set: a theme other than plain would then lose its alarms.)
    fn ink(self, pick: impl Fn(&Inks) -> Ink) -> Style {
        self.inks().map_or_else(Style::new, |inks| self.ground().fg(self.color(pick(inks))))
    }

    /// A word on a coloured ground; reversed in plain. Both colours are named, so that it reads on any background.
    fn chip(self, pick: impl Fn(&Inks) -> (Ink, Ink)) -> Style {
        match self.inks().map(pick) {
            None => Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD),
            Some((front, back)) => Style::new().fg(self.color(front)).bg(self.color(back)).add_modifier(Modifier::BOLD),
        }
    }

    /// What is behind everything: the terminal's own, but for high contrast.
    pub fn ground(self) -> Style {
        let inks = self.inks().filter(|_| self.palette == Palette::Contrast);
        inks.map_or_else(Style::new, |inks| Style::new().bg(self.color(inks.ground)))
    }

    /// Numbers and words.
    pub fn text(self) -> Style {
        match self.inks().and_then(|inks| inks.text) {
            Some(ink) => self.ground().fg(self.color(ink)),
            None => Style::new(),
        }
    }

    /// Captions, units, what is not the point.
    pub fn dim(self) -> Style {
        // Of the 16, no grey is sure to be seen on every background; fainter than the text is.
        let faint = self.palette == Palette::Ansi || self.depth == Depth::Sixteen;
        match self.palette {
            Palette::Contrast => self.ink(|inks| inks.dim),
            Palette::Plain => Style::new().add_modifier(Modifier::DIM),
            _ if faint => Style::new().add_modifier(Modifier::DIM),
            _ => self.ink(|inks| inks.dim),
        }
    }

    /// The number looked at first.
    pub fn strong(self) -> Style {
        self.text().add_modifier(Modifier::BOLD)
    }

    /// A panel's name.
    pub fn title(self) -> Style {
        self.ink(|inks| inks.accent).add_modifier(Modifier::BOLD)
    }

    /// The name of the panel that has the focus: told from the others without colour too.
    pub fn focused(self) -> Style {
        self.title().add_modifier(Modifier::REVERSED)
    }

    /// Keys in the footer and the help.
    pub fn key(self) -> Style {
        self.ink(|inks| inks.accent).add_modifier(Modifier::BOLD)
    }

    /// The first curve and the progress bar.
    pub fn first(self) -> Style {
        self.ink(|inks| inks.first)
    }

    /// The second curve; without colour told from the first by being fainter.
    pub fn second(self) -> Style {
        if self.palette == Palette::Plain { self.dim() } else { self.ink(|inks| inks.second) }
    }

    /// Further curves.
    pub fn third(self) -> Style {
        self.ink(|inks| inks.third)
    }

    /// A place in the one large bar, or in a filled curve, 0 to 1: from a darker shade of the first curve's colour to it.
    /// One colour where there are only 16 or 256: of those the nearest to a shade is another hue.
    pub fn shade(self, at: f64) -> Style {
        if self.depth != Depth::True {
            return self.first();
        }
        // Not all the way to the ground: the first cell is to be seen.
        self.ink(|inks| inks.first.towards(inks.ground, (1.0 - at) * 0.5).with_ansi(inks.first))
    }

    /// A place in a bar that fills up to a limit, 0 to 1: calm, then a warning, then critical.
    pub fn heat(self, at: f64) -> Style {
        const WARN: f64 = 0.7;
        self.ink(|inks| {
            if at < WARN {
                inks.ok.towards(inks.warn, at / WARN)
            } else {
                inks.warn.towards(inks.critical, (at - WARN) / (1.0 - WARN))
            }
        })
    }

    /// A limit's bar. Bars may be yellow on white, words may not: see [`Theme::state`].
    pub fn bar(self, state: LimitState) -> Style {
        match state {
            LimitState::NotApplicable | LimitState::Unknown => self.dim(),
            LimitState::Ok => self.ink(|inks| inks.ok),
            LimitState::Warn => self.ink(|inks| inks.warn),
            LimitState::Critical | LimitState::Hit => self.ink(|inks| inks.critical),
        }
    }

    /// A limit's state word.
    pub fn state(self, state: LimitState) -> Style {
        match state {
            LimitState::NotApplicable | LimitState::Unknown | LimitState::Ok => self.dim(),
            LimitState::Warn => self.paused(),
            LimitState::Critical | LimitState::Hit => self.alarm(),
        }
    }

    /// An event's word.
    pub fn severity(self, severity: Severity) -> Style {
        match severity {
            Severity::Info => self.dim(),
            Severity::Warning => self.state(LimitState::Warn),
            Severity::Critical => self.alarm(),
        }
    }

    /// What must not be overlooked.
    pub fn alarm(self) -> Style {
        self.chip(|inks| (inks.on_alarm, inks.alarm))
    }

    /// A calm chip: the phase.
    pub fn phase(self) -> Style {
        self.chip(|inks| (inks.on_calm, inks.calm))
    }

    /// A chip for what waits or warns: a ramp that is paused or stopped by the guard, a frozen screen, a question.
    pub fn paused(self) -> Style {
        self.chip(|inks| (inks.on_warning, inks.warning))
    }

    /// The filled and the empty part of a bar in a list: lower than a row, so that bars do not grow into one another.
    pub fn bar_marks(self) -> (&'static str, &'static str) {
        if self.marker == Marker::Dot { ("#", ".") } else { ("━", "─") }
    }

    /// The filled and the empty part of the one large bar.
    pub fn progress_marks(self) -> (&'static str, &'static str) {
        if self.marker == Marker::Dot { ("#", ".") } else { ("█", "░") }
    }

    /// The row chosen in a list.
    pub fn chosen_mark(self) -> &'static str {
        if self.marker == Marker::Dot { ">" } else { "▸" }
    }

    /// A column of a graph, an eighth of a row more each.
    pub fn bar_steps(self) -> [&'static str; 8] {
        if self.marker == Marker::Dot {
            [".", ".", ".", ":", ":", "#", "#", "#"]
        } else {
            ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]
        }
    }

    /// The rule of a panel.
    pub fn rule(self) -> &'static str {
        if self.marker == Marker::Dot { "-" } else { "─" }
    }

    /// A horizontal and a vertical limit line.
    pub fn limit_marks(self) -> (&'static str, &'static str) {
        if self.marker == Marker::Dot { ("-", ":") } else { ("╌", "┆") }
    }

    /// Corners of a box (left above, right above, left below, right below) and its sides.
    pub fn box_marks(self) -> [&'static str; 5] {
        if self.marker == Marker::Dot { ["+", "+", "+", "+", "|"] } else { ["╭", "╮", "╰", "╯", "│"] }
    }

    /// The y axis, its tick, the corner, the x axis, its tick.
    pub fn axis_marks(self) -> [&'static str; 5] {
        if self.marker == Marker::Dot { ["|", "+", "+", "-", "+"] } else { ["│", "┤", "└", "─", "┴"] }
    }
}

/// A terminal of DEC, or one that is taken for it.
fn is_vt(term: &str) -> bool {
    term.strip_prefix("vt").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(env: &[(&str, &str)]) -> Theme {
        let env: Vec<(String, String)> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Theme::of_terminal(|name| env.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()))
    }

    #[test]
    fn the_environment_chooses_the_palette() {
        for (no_color, fgbg, want) in [
            (None, None, Palette::Dark),
            (Some(""), None, Palette::Dark),
            (Some("1"), Some("0;15"), Palette::Plain),
            (None, Some("0;15"), Palette::Light),
            (None, Some("0;default;7"), Palette::Light),
            (None, Some("15;0"), Palette::Dark),
            (None, Some("nonsense"), Palette::Dark),
        ] {
            let given = [("NO_COLOR", no_color), ("COLORFGBG", fgbg)];
            let env: Vec<(&str, &str)> = given.into_iter().filter_map(|(k, v)| Some((k, v?))).collect();
            assert_eq!(of(&env).palette, want, "{env:?}");
        }
    }

    #[test]
    fn the_terminal_gets_the_colours_and_characters_that_it_has() {
        use Charset::{Ascii, Console, Unicode};
        for (term, colorterm, depth, charset, marker) in [
            ("xterm", "", Depth::Sixteen, Unicode, Marker::Braille),
            ("xterm-256color", "", Depth::Indexed, Unicode, Marker::Braille),
            ("xterm-256color", "truecolor", Depth::True, Unicode, Marker::Braille),
            ("tmux-256color", "24bit", Depth::True, Unicode, Marker::Braille),
            ("xterm-direct", "", Depth::True, Unicode, Marker::Braille),
            ("screen", "", Depth::Sixteen, Unicode, Marker::Braille),
            ("linux", "truecolor", Depth::Sixteen, Console, Marker::Block),
            ("vt100", "", Depth::Sixteen, Ascii, Marker::Dot),
            ("vt220", "", Depth::Sixteen, Ascii, Marker::Dot),
            ("dumb", "", Depth::Sixteen, Ascii, Marker::Dot),
            ("vtwhatever", "", Depth::Sixteen, Unicode, Marker::Braille),
        ] {
            let theme = of(&[("TERM", term), ("COLORTERM", colorterm)]);
            assert_eq!((theme.depth, theme.charset, theme.marker), (depth, charset, marker), "{term} {colorterm}");
        }
        assert_eq!(of(&[("TERM", "vt100")]).palette, Palette::Plain);
    }

    #[test]
    fn themes_are_found_by_their_names() {
        for (name, palette) in Palette::NAMED {
            assert_eq!((Palette::named(name), palette.name()), (Ok(palette), name));
        }
        let said = Palette::named("mauve").unwrap_err();
        assert_eq!(said, "'mauve' is not a theme; there are dark, light, contrast, ansi, plain");
    }

    #[test]
    fn sixteen_colours_are_named_and_true_colours_are_mixed() {
        let few = Theme::new(Palette::Dark, Marker::Braille);
        let many = few.with_depth(Depth::True);
        assert_eq!((few.heat(0.1).fg, few.heat(0.99).fg), (Some(Color::Green), Some(Color::Red)));
        for depth in [Depth::Sixteen, Depth::Indexed] {
            let few = few.with_depth(depth);
            assert_eq!((few.shade(0.0), few.shade(1.0)), (few.first(), few.first()));
        }
        assert!(matches!(many.heat(0.3).fg, Some(Color::Rgb(..))) && many.heat(0.3) != many.heat(0.4));
        assert_ne!(many.shade(0.0), many.shade(1.0));
        assert_eq!(many.shade(1.0), many.first());
        let own = Theme::new(Palette::Ansi, Marker::Braille).with_depth(Depth::True);
        assert_eq!(own.heat(0.99).fg, Some(Color::Red), "the terminal's own 16 colours");
        let plain = Theme::new(Palette::Plain, Marker::Braille).with_depth(Depth::True);
        assert_eq!((plain.heat(0.99), plain.shade(0.2)), (Style::new(), Style::new()));
    }

    #[test]
    fn high_contrast_brings_its_ground_along() {
        let theme = Theme::new(Palette::Contrast, Marker::Braille);
        for style in [theme.text(), theme.dim(), theme.strong(), theme.title(), theme.first()] {
            assert_eq!(style.bg, Some(Color::Black));
            assert!(!style.add_modifier.contains(Modifier::DIM));
        }
    }

    #[test]
    fn words_in_alarm_name_both_their_colours() {
        for (_, palette) in Palette::NAMED.into_iter().filter(|(name, _)| *name != "plain") {
            let theme = Theme::new(palette, Marker::Braille);
            for state in [LimitState::Warn, LimitState::Critical, LimitState::Hit] {
                let style = theme.state(state);
                assert!(style.fg.is_some() && style.bg.is_some(), "{palette:?} {state:?}");
            }
        }
    }
}
