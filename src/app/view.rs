//! Where a run is shown: the dashboard, or one of the outputs.

use std::io::{self, Write as _};

use crossterm::event::{KeyEvent, MouseEvent};

use super::Failure;
use super::screen::Screen;
use crate::model::{Model, Summary};
use crate::output::{Unwritten, Writer, summary_text};
use crate::sample::{Peers, Reading};
use crate::sys;
use crate::ui::Action;

/// The dashboard, or lines.
#[derive(Debug)]
pub(super) enum View {
    Screen(Box<Screen>),
    Lines(Writer),
}

/// Whether anybody looks on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    There,
    Gone,
}

impl View {
    /// A sample that is to be shown has been taken.
    pub(super) fn sample(&mut self, model: &mut Model) -> Result<Reader, Failure> {
        match self {
            View::Screen(screen) => {
                screen.dirty();
                Ok(Reader::There)
            }
            View::Lines(lines) => reader(lines.sample(model)),
        }
    }

    /// A key was pressed.
    pub(super) fn key(&mut self, key: KeyEvent, model: &Model) -> Option<Action> {
        match self {
            View::Screen(screen) => screen.key(key, model),
            View::Lines(_) => None,
        }
    }

    /// The mouse was pressed, or its wheel turned.
    pub(super) fn mouse(&mut self, mouse: MouseEvent, model: &Model) -> Option<Action> {
        match self {
            View::Screen(screen) => screen.mouse(mouse, model),
            View::Lines(_) => None,
        }
    }

    /// Something about the terminal itself: its clipboard, its mouse, its colours.
    pub(super) fn terminal(&mut self, action: Option<Action>) -> Result<(), Failure> {
        match (self, action) {
            (View::Screen(screen), Some(action)) => screen.terminal(action).map_err(|e| terminal(&e)),
            _ => Ok(()),
        }
    }

    /// What is shown of the past; `None` is now.
    pub(super) fn past(&mut self, past: Option<Box<Model>>) {
        if let View::Screen(screen) = self {
            screen.past(past);
        }
    }

    /// Says in the footer what a key did, or why it could not.
    pub(super) fn say(&mut self, text: &str) {
        if let View::Screen(screen) = self {
            screen.say(text);
        }
    }

    /// Who is connected to a port has been counted.
    pub(super) fn peers(&mut self, port: u16, peers: Reading<Peers>, model: &Model) {
        if let View::Screen(screen) = self {
            screen.peers(port, peers, model);
        }
    }

    /// Something other than a sample has changed what is shown.
    pub(super) fn dirty(&mut self) {
        if let View::Screen(screen) = self {
            screen.dirty();
        }
    }

    /// The terminal's size has changed.
    pub(super) fn resized(&mut self) -> Result<(), Failure> {
        match self {
            View::Screen(screen) => screen.resized().map_err(|e| terminal(&e)),
            View::Lines(_) => Ok(()),
        }
    }

    /// Stops the program until it is continued; the shell has the terminal as it was meanwhile. The engines go on.
    pub(super) fn suspend(&mut self) -> Result<(), Failure> {
        let stopped = |e: io::Error| Failure::Internal(format!("cannot stop: {e}"));
        match self {
            View::Screen(screen) => screen.suspend().map_err(|e| terminal(&e)),
            View::Lines(_) => sys::stop_self().map_err(stopped),
        }
    }

    /// A helper thread has failed: lines end, the dashboard says so and stays.
    pub(super) fn fail(&mut self, text: &str) -> Result<(), Failure> {
        match self {
            View::Screen(screen) => screen.fail(text),
            View::Lines(_) => return Err(Failure::Internal(text.to_owned())),
        }
        Ok(())
    }

    /// Draws what there is to draw.
    pub(super) fn draw(&mut self, model: &Model) -> Result<(), Failure> {
        match self {
            View::Screen(screen) => screen.draw(model).map_err(|e| terminal(&e)),
            View::Lines(_) => Ok(()),
        }
    }

    /// The run is over.
    pub(super) fn summary(&mut self, model: &mut Model, summary: &Summary) -> Result<(), Failure> {
        match self {
            View::Lines(lines) => match reader(lines.summary(model, summary)) {
                // A run that has been is no wrong command line any more.
                Err(Failure::Usage(text)) => Err(Failure::Internal(text)),
                other => other.map(drop),
            },
            View::Screen(screen) => {
                screen.close();
                // A terminal that has gone cannot be told.
                let _ = io::stdout().write_all(summary_text(summary, model).as_bytes());
                Ok(())
            }
        }
    }
}

fn terminal(e: &io::Error) -> Failure {
    Failure::Internal(format!("terminal: {e}"))
}

fn reader(written: Result<(), Unwritten>) -> Result<Reader, Failure> {
    match written {
        Ok(()) => Ok(Reader::There),
        Err(Unwritten::NobodyReads) => Ok(Reader::Gone),
        Err(Unwritten::Never(text)) => Err(Failure::Usage(text)),
        Err(Unwritten::Failed(text)) => Err(Failure::Internal(text)),
    }
}
