//! Colours and marks. Only the 16 ANSI colours over the terminal's own foreground and background, so that whatever
//! palette somebody chose stays readable; an alarm is always a colour *and* a word.

use ratatui::style::{Color, Modifier, Style};

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

/// The background the colours must be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Palette {
    /// A dark terminal, or one not known.
    #[default]
    Dark,
    /// A light terminal.
    Light,
    /// No colour at all: bold, dim and reversed only (<https://no-color.org>).
    Plain,
}

/// How everything looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Theme {
    /// Colours.
    pub palette: Palette,
    /// Marks.
    pub marker: Marker,
}

impl Theme {
    /// A theme.
    pub const fn new(palette: Palette, marker: Marker) -> Self {
        Self { palette, marker }
    }

    /// The palette from the environment: `NO_COLOR` (set and not empty), then `COLORFGBG` (`foreground;background`, as
    /// rxvt and its kin set it; 7 and 15 are light backgrounds).
    pub fn palette_from(no_color: Option<&str>, colorfgbg: Option<&str>) -> Palette {
        if no_color.is_some_and(|v| !v.is_empty()) {
            return Palette::Plain;
        }
        match colorfgbg.and_then(|v| v.rsplit(';').next()) {
            Some("7" | "15") => Palette::Light,
            _ => Palette::Dark,
        }
    }

    /// `dark` or `light` in colour, nothing in plain. (crossterm drops every colour by itself when `NO_COLOR` is set: a
    /// theme other than plain would then lose its alarms.)
    fn ink(self, dark: Color, light: Color) -> Style {
        match self.palette {
            Palette::Dark => Style::new().fg(dark),
            Palette::Light => Style::new().fg(light),
            Palette::Plain => Style::new(),
        }
    }

    /// `front` on `back` in colour; reversed in plain. Both colours are named, so that it reads on any background.
    fn chip(self, front: Color, back: Color) -> Style {
        match self.palette {
            Palette::Plain => Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD),
            _ => Style::new().fg(front).bg(back).add_modifier(Modifier::BOLD),
        }
    }

    /// Numbers and words.
    pub fn text(self) -> Style {
        Style::new()
    }

    /// Captions, units, what is not the point.
    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// The number looked at first.
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// A panel's name.
    pub fn title(self) -> Style {
        self.ink(Color::Cyan, Color::Blue).add_modifier(Modifier::BOLD)
    }

    /// Keys in the status bar and the help.
    pub fn key(self) -> Style {
        self.ink(Color::Cyan, Color::Blue).add_modifier(Modifier::BOLD)
    }

    /// The first curve and the progress bar.
    pub fn first(self) -> Style {
        self.ink(Color::Cyan, Color::Blue)
    }

    /// The second curve; without colour told from the first by being fainter.
    pub fn second(self) -> Style {
        if self.palette == Palette::Plain { self.dim() } else { self.ink(Color::Magenta, Color::Magenta) }
    }

    /// Further curves.
    pub fn third(self) -> Style {
        self.ink(Color::Green, Color::Green)
    }

    /// A limit's bar. Bars may be yellow on white, words may not: see [`Theme::state`].
    pub fn bar(self, state: LimitState) -> Style {
        match state {
            LimitState::NotApplicable | LimitState::Unknown => self.dim(),
            LimitState::Ok => self.ink(Color::Green, Color::Green),
            LimitState::Warn => self.ink(Color::Yellow, Color::Yellow),
            LimitState::Critical | LimitState::Hit => self.ink(Color::Red, Color::Red),
        }
    }

    /// A limit's state word.
    pub fn state(self, state: LimitState) -> Style {
        match state {
            LimitState::NotApplicable | LimitState::Unknown | LimitState::Ok => self.dim(),
            LimitState::Warn => self.chip(Color::Black, Color::Yellow),
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
        // Bright white where there is one: plain white is grey in most palettes.
        self.chip(Color::White, Color::Red)
    }

    /// A calm chip: the phase, frozen.
    pub fn phase(self) -> Style {
        self.chip(Color::Black, Color::Cyan)
    }

    /// A chip for what waits: a ramp that is paused or stopped by the guard, a frozen screen, a question.
    pub fn paused(self) -> Style {
        self.chip(Color::Black, Color::Yellow)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses() {
        for (no_color, fgbg, want) in [
            (None, None, Palette::Dark),
            (Some(""), None, Palette::Dark),
            (Some("1"), Some("0;15"), Palette::Plain),
            (None, Some("0;15"), Palette::Light),
            (None, Some("0;default;7"), Palette::Light),
            (None, Some("15;0"), Palette::Dark),
            (None, Some("nonsense"), Palette::Dark),
        ] {
            assert_eq!(Theme::palette_from(no_color, fgbg), want, "{no_color:?} {fgbg:?}");
        }
    }

    #[test]
    fn words_in_alarm_name_both_their_colours() {
        for palette in [Palette::Dark, Palette::Light] {
            let theme = Theme::new(palette, Marker::Braille);
            for state in [LimitState::Warn, LimitState::Critical, LimitState::Hit] {
                let style = theme.state(state);
                assert!(style.fg.is_some() && style.bg.is_some(), "{palette:?} {state:?}");
            }
        }
    }
}
