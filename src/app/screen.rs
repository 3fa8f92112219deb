//! The dashboard as an output: terminal, view, when to draw.

use std::io;
use std::sync::mpsc::SyncSender;

use crossterm::event::KeyEvent;

use super::message::Message;
use crate::cli::MarkerArg;
use crate::model::Model;
use crate::sample::{Peers, Reading};
use crate::sys;
use crate::ui::{self, Action, Marker, Terminal, Theme, View};

/// The dashboard.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: Option<Terminal>,
    view: View,
    theme: Theme,
    /// There is something new to draw.
    dirty: bool,
}

impl Screen {
    /// Takes the terminal and starts to read keys.
    pub(super) fn open(marker: MarkerArg, to: SyncSender<Message>) -> io::Result<Self> {
        let env = |name: &str| std::env::var(name).ok();
        let palette = Theme::palette_from(env("NO_COLOR").as_deref(), env("COLORFGBG").as_deref());
        let marker = match marker {
            MarkerArg::Braille => Marker::Braille,
            MarkerArg::Block => Marker::Block,
            MarkerArg::Dot => Marker::Dot,
        };
        let terminal = Terminal::enter()?;
        ui::input::spawn(to)?;
        Ok(Self { terminal: Some(terminal), view: View::new(), theme: Theme::new(palette, marker), dirty: true })
    }

    pub(super) fn key(&mut self, key: KeyEvent, model: &Model) -> Option<Action> {
        self.view.on_key(key, model)
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
        self.terminal = Some(Terminal::enter()?);
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
        if !std::mem::take(&mut self.dirty) {
            return Ok(());
        }
        terminal.draw(|frame| {
            self.view.fit(frame.area());
            ui::draw(frame, model, &self.view, self.theme);
        })
    }

    /// Gives the terminal back.
    pub(super) fn close(&mut self) {
        self.terminal = None;
    }
}
