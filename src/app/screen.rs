//! The dashboard as an output: terminal, view, when to draw.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use crossterm::event::{KeyEvent, MouseEvent};

use super::message::Message;
use crate::cli::{MarkerArg, ScreenArgs};
use crate::config::Config;
use crate::model::Model;
use crate::sample::{Peers, Reading};
use crate::sys;
use crate::ui::{self, Action, Charset, Input, Marker, Palette, Playing, Terminal, Theme, View, Wake};

/// The dashboard.
pub(super) struct Screen {
    terminal: Option<Terminal>,
    /// Has the loop draw again once the terminal is free.
    wake: Wake,
    view: View,
    theme: Theme,
    /// There is something new to draw.
    dirty: bool,
}

impl Screen {
    /// Takes the terminal and starts to read keys.
    pub(super) fn open(args: &ScreenArgs, config: Config, to: SyncSender<Message>) -> io::Result<Self> {
        let theme = theme(args, &config, |name| std::env::var(name).ok());
        let mouse = args.mouse || config.mouse.unwrap_or(false);
        let view = View::new().on(config.view.unwrap_or_default()).with_keys(config.keys);
        let view = view.with(mouse, theme.charset == Charset::Ascii);
        let waker = to.clone();
        // A loop that has so much to do will draw anyway.
        let wake: Wake = Arc::new(move || _ = waker.try_send(Input::Free.into()));
        let mut terminal = Terminal::enter(Arc::clone(&wake))?;
        if mouse {
            terminal.mouse(true)?;
        }
        ui::input::spawn(to)?;
        Ok(Self { terminal: Some(terminal), wake, view, theme, dirty: true })
    }

    pub(super) fn key(&mut self, key: KeyEvent, model: &Model) -> Option<Action> {
        self.view.on_key(key, model)
    }

    pub(super) fn mouse(&mut self, mouse: MouseEvent, model: &Model) -> Option<Action> {
        self.view.on_mouse(mouse, model)
    }

    /// Something about the terminal itself.
    pub(super) fn terminal(&mut self, action: Action) -> io::Result<()> {
        self.dirty();
        match (action, &mut self.terminal) {
            (Action::Theme(palette), _) => self.theme.palette = palette,
            (Action::Copy(text), Some(terminal)) => return terminal.copy(&text),
            (Action::Mouse(on), Some(terminal)) => return terminal.mouse(on),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn say(&mut self, text: &str) {
        self.view.say(text);
        self.dirty();
    }

    /// What is shown of the past; `None` is now.
    pub(super) fn past(&mut self, past: Option<Box<Model>>) {
        self.view.show_past(past);
        self.dirty();
    }

    /// A replay is at this moment (`None`: at the end), and goes on so.
    pub(super) fn play(&mut self, at: Option<u64>, playing: Playing) {
        self.view.play(at, playing);
        self.dirty();
    }

    /// Who is connected to a port has been counted.
    pub(super) fn peers(&mut self, port: u16, peers: Reading<Peers>, model: &Model) {
        self.view.peers_told(port, peers, model);
        self.dirty();
    }

    /// What is shown has changed.
    pub(super) fn dirty(&mut self) {
        self.dirty = true;
    }

    /// The terminal's size has changed.
    pub(super) fn resized(&mut self) -> io::Result<()> {
        self.dirty();
        self.terminal.as_mut().map_or(Ok(()), Terminal::repaint)
    }

    /// Gives the terminal back, stops, and takes it again once the program is continued.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        self.dirty();
        self.terminal = None;
        let stopped = sys::stop_self();
        let mut terminal = Terminal::enter(Arc::clone(&self.wake))?;
        if self.view.has_mouse() {
            terminal.mouse(true)?;
        }
        self.terminal = Some(terminal);
        stopped
    }

    pub(super) fn fail(&mut self, text: &str) {
        let why = ui::terminal::take_helper_panic();
        self.view.fail(why.map_or_else(|| text.to_owned(), |why| format!("{text}: {why}")));
        self.dirty();
    }

    /// Draws, if there is anything new.
    pub(super) fn draw(&mut self, model: &Model) -> io::Result<()> {
        let Some(terminal) = &mut self.terminal else { return Ok(()) };
        if !self.dirty {
            return Ok(());
        }
        let drawn = terminal.draw(|frame| {
            self.view.fit(frame.area());
            ui::draw(frame, model, &self.view, self.theme);
        })?;
        self.dirty = !drawn;
        Ok(())
    }

    /// Gives the terminal back.
    pub(super) fn close(&mut self) {
        self.terminal = None;
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").field("view", &self.view).field("dirty", &self.dirty).finish_non_exhaustive()
    }
}

/// How the screen looks: a flag before the environment, the environment before the file, and what the terminal is last.
pub(super) fn theme(args: &ScreenArgs, config: &Config, env: impl Fn(&str) -> Option<String>) -> Theme {
    let no_colour = env("NO_COLOR").is_some_and(|value| !value.is_empty());
    let of_terminal = Theme::of_terminal(env);
    let marker = args.marker.map(|marker| match marker {
        MarkerArg::Braille => Marker::Braille,
        MarkerArg::Block => Marker::Block,
        MarkerArg::Dot => Marker::Dot,
    });
    let palette = args.theme.or(no_colour.then_some(Palette::Plain)).or(config.theme).unwrap_or(of_terminal.palette);
    let charset = match (args.ascii, config.ascii) {
        (true, _) | (false, Some(true)) => Charset::Ascii,
        // Whoever says that this terminal can more knows it better than its name tells.
        (false, Some(false)) => Charset::Unicode,
        (false, None) => of_terminal.charset,
    };
    let theme = Theme { palette, charset, ..of_terminal };
    let theme = if charset == Charset::Ascii { theme.in_ascii() } else { theme };
    Theme { marker: marker.or(config.marker).filter(|_| charset != Charset::Ascii).unwrap_or(theme.marker), ..theme }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;

    fn theme_of(line: &str, file: &str, vars: &[(&str, &str)]) -> Theme {
        let args = Cli::read(format!("c1m-top {line}").split_whitespace()).unwrap().run.screen;
        let config = Config::parse(file).unwrap();
        theme(&args, &config, |name| vars.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn flags_come_before_the_environment_and_that_before_the_file() {
        let light = "theme = \"light\"";
        for (line, file, vars, want) in [
            ("", "", &[][..], Palette::Dark),
            ("", light, &[], Palette::Light),
            ("", light, &[("NO_COLOR", "1")], Palette::Plain),
            ("--theme ansi", light, &[("NO_COLOR", "1")], Palette::Ansi),
            ("", "", &[("COLORFGBG", "0;15")], Palette::Light),
            ("", "theme = \"dark\"", &[("COLORFGBG", "0;15")], Palette::Dark),
        ] {
            assert_eq!(theme_of(line, file, vars).palette, want, "{line} {file} {vars:?}");
        }
    }

    #[test]
    fn the_terminal_decides_what_nobody_has_said() {
        let (vt100, console) = ([("TERM", "vt100")], [("TERM", "linux")]);
        for (line, file, vars, charset, marker) in [
            ("", "", &[][..], Charset::Unicode, Marker::Braille),
            ("--ascii", "", &[], Charset::Ascii, Marker::Dot),
            ("--ascii --marker braille", "", &[], Charset::Ascii, Marker::Dot),
            ("", "ascii = true", &[], Charset::Ascii, Marker::Dot),
            ("", "", &vt100, Charset::Ascii, Marker::Dot),
            ("", "ascii = false", &vt100, Charset::Unicode, Marker::Dot),
            ("", "", &console, Charset::Console, Marker::Block),
            ("--marker dot", "", &console, Charset::Console, Marker::Dot),
            ("", "marker = \"block\"", &[], Charset::Unicode, Marker::Block),
            ("--marker braille", "marker = \"block\"", &[], Charset::Unicode, Marker::Braille),
        ] {
            let theme = theme_of(line, file, vars);
            assert_eq!((theme.charset, theme.marker), (charset, marker), "{line} {file} {vars:?}");
        }
    }
}
