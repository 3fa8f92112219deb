//! What the viewer has chosen: which screen, frozen or live, what is chosen in a list.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::keys::{self, Command, Screen};
use crate::limits::LimitId;
use crate::model::chart::XAxis;
use crate::model::{Basis, Model, ProcessLine, RunPhase};
use crate::protocol::Role;
use crate::sample::{Peers, Reading};

/// What a key press asks of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// End.
    Quit,
    /// Pause the ramp, or resume it.
    PauseToggle,
    /// A higher rate.
    RateUp,
    /// A lower rate.
    RateDown,
    /// Close every connection at a steady pace. Already confirmed.
    Close,
    /// Have the peers of this port of the watched program counted. Already confirmed.
    Peers(u16),
    /// Give the terminal back and stop, until the shell lets the program go on.
    Suspend,
    /// Only draw again.
    Redraw,
}

/// A question that is asked before something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// Close every connection.
    Close,
    /// Quit, which closes them too.
    Quit,
    /// Count the peers of a port, which so many sockets make costly.
    Peers { port: u16, sockets: u64 },
}

/// Connections of this program's own above which quitting is asked about: so many take a while to open again.
const MANY: u64 = 10_000;

/// Sockets from which on counting them one by one is asked about: 26 ms of one core.
const COSTLY: u64 = 20_000;

/// The listener whose peers are on the screen.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) port: u16,
    /// They are being counted.
    pub(super) counting: bool,
    /// The last answer.
    pub(super) told: Option<Told>,
    /// The row chosen among its networks.
    pub(super) row: usize,
}

/// An answer, and when it came.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) peers: Reading<Peers>,
    pub(super) at_ms: u64,
}

/// The viewer's choices.
#[derive(Debug, Clone, Default)]
pub struct View {
    pub(super) screen: Screen,
    /// `None` until chosen: connections for a run, time for watching.
    axis: Option<XAxis>,
    pub(super) help: bool,
    /// The question that is open.
    pub(super) question: Option<Question>,
    /// The model as it was when `f` was pressed.
    pub(super) frozen: Option<Box<Model>>,
    /// The event chosen, by id: new ones come in above it. `None` is the newest.
    event: Option<String>,
    /// The limit chosen, by id and scope: rows change places. `None` is the nearest.
    limit: Option<(LimitId, String)>,
    /// The listener chosen, by port: others come and go. `None` is the first.
    listener: Option<u16>,
    /// The peers that are looked at.
    pub(super) opened: Option<Opened>,
    /// What a helper thread died of.
    pub(super) failure: Option<String>,
}

impl View {
    /// The overview, live.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts at another screen.
    #[must_use]
    pub fn on(mut self, screen: Screen) -> Self {
        self.screen = screen;
        self
    }

    /// Shows a banner for a helper thread that failed: what is on the screen may be stale from here on.
    pub fn fail(&mut self, text: impl Into<String>) {
        self.failure = Some(text.into());
    }

    /// What runs along the chart's x axis. A count that nobody drives hardly moves: watching is drawn
    /// over time, until what a connection takes shows.
    pub(super) fn axis(&self, model: &Model) -> XAxis {
        let cost = model.cost();
        let grows = cost.user.is_some() && cost.basis != Some(Basis::Quotient);
        let driven = model.setup().target.is_some() || model.now().phase != RunPhase::Watching || grows;
        self.axis.unwrap_or(if driven { XAxis::Connections } else { XAxis::Time })
    }

    /// Takes a key press; `None` when it means nothing here.
    pub fn on_key(&mut self, event: KeyEvent, model: &Model) -> Option<Action> {
        let asked = self.question.take();
        // Raw mode delivers these as keys; they do what they do everywhere else, and ask nothing.
        if event.modifiers.contains(KeyModifiers::CONTROL) {
            return match event.code {
                KeyCode::Char('c') => Some(Action::Quit),
                KeyCode::Char('z') => Some(Action::Suspend),
                _ => asked.map(|_| Action::Redraw),
            };
        }
        if let Some(Question::Peers { port, .. }) = asked
            && event.code == KeyCode::Enter
        {
            return Some(self.ask_peers(port));
        }
        if let Some(question) = asked {
            return Some(answer(question, event));
        }
        let key = keys::lookup(event)?;
        if key.drives && !can_drive(model) {
            return None;
        }
        match key.command {
            Command::Quit if model.setup().own_engines && model.now().connections > MANY => {
                self.question = Some(Question::Quit);
            }
            Command::Quit => return Some(Action::Quit),
            Command::Back => self.back()?,
            Command::Pause => return Some(Action::PauseToggle),
            Command::RateUp => return Some(Action::RateUp),
            Command::RateDown => return Some(Action::RateDown),
            Command::Close => self.question = Some(Question::Close),
            Command::Help => self.help = !self.help,
            Command::Show(screen) => {
                self.screen = screen;
                self.event = None;
                self.limit = None;
                self.listener = None;
                self.opened = None;
                self.help = false;
            }
            Command::Axis => {
                self.axis = Some(match self.axis(model) {
                    XAxis::Connections => XAxis::Time,
                    XAxis::Time => XAxis::Connections,
                });
            }
            Command::Freeze => {
                self.frozen = if self.frozen.is_some() { None } else { Some(Box::new(model.clone())) };
            }
            Command::Up => self.step(model, -1),
            Command::Down => self.step(model, 1),
            Command::Open => return self.open(model),
        }
        Some(Action::Redraw)
    }

    /// Closes what was opened last, then chooses the newest again, then goes back to now; `None` where there is nothing to close.
    /// It never ends a run.
    fn back(&mut self) -> Option<()> {
        if self.help {
            self.help = false;
        } else if self.opened.is_some() {
            self.opened = None;
        } else if self.event.is_some() || self.limit.is_some() || self.listener.is_some() {
            (self.event, self.limit, self.listener) = (None, None, None);
        } else {
            self.frozen.take()?;
        }
        Some(())
    }

    /// What is on the screen: the model, or the one that was frozen.
    pub(super) fn shown<'a>(&'a self, model: &'a Model) -> &'a Model {
        self.frozen.as_deref().unwrap_or(model)
    }

    /// One row up or down in the list on the screen.
    fn step(&mut self, model: &Model, by: isize) {
        let shown = self.shown(model);
        match self.screen {
            Screen::Overview => {
                let events = shown.events().all();
                let row = self.chosen_event(shown).saturating_add_signed(by).min(events.len().saturating_sub(1));
                self.event = events.iter().rev().nth(row).filter(|_| row > 0).map(|e| e.id.clone());
            }
            Screen::Limits => {
                let row = self.chosen(shown).saturating_add_signed(by).min(shown.limits().len().saturating_sub(1));
                self.limit = shown.limits().get(row).map(|l| (l.info.id, l.scope.clone()));
            }
            Screen::Engines => {
                if self.opened.is_some() {
                    self.step_network(by);
                } else if let Some(program) = shown.program() {
                    let row = self.chosen_listener(program).saturating_add_signed(by);
                    let listeners = &program.listeners;
                    self.listener = listeners.get(row).or(listeners.last()).filter(|_| row > 0).map(|l| l.port);
                }
            }
            Screen::Memory => {}
        }
    }

    /// One row up or down among the networks of the peers.
    fn step_network(&mut self, by: isize) {
        let Some(opened) = &mut self.opened else { return };
        let networks = opened.told.as_ref().and_then(|t| t.peers.as_ref().ok()).map_or(0, |p| p.top.len());
        opened.row = opened.row.saturating_add_signed(by).min(networks.saturating_sub(1));
    }

    /// Opens the chosen row; `None` where nothing can be opened.
    fn open(&mut self, model: &Model) -> Option<Action> {
        match self.screen {
            _ if self.help => None,
            Screen::Overview => self.open_event(model).map(|()| Action::Redraw),
            Screen::Engines => self.open_listener(model),
            Screen::Memory | Screen::Limits => None,
        }
    }

    /// Goes from the chosen listener to its peers, or has those that are looked at counted again. Asks first where they are many.
    fn open_listener(&mut self, model: &Model) -> Option<Action> {
        let program = self.shown(model).program()?;
        let port = match &self.opened {
            Some(opened) if opened.counting => return None,
            Some(opened) => opened.port,
            None => program.listeners.get(self.chosen_listener(program))?.port,
        };
        let sockets = program.listeners.iter().find(|l| l.port == port).map_or(0, |l| l.established);
        if sockets < COSTLY {
            return Some(self.ask_peers(port));
        }
        self.question = Some(Question::Peers { port, sockets });
        Some(Action::Redraw)
    }

    /// Opens the peers of a port, which are to be counted now.
    fn ask_peers(&mut self, port: u16) -> Action {
        let opened = self.opened.take().filter(|opened| opened.port == port);
        let new = Opened { port, counting: true, told: None, row: 0 };
        self.opened = Some(opened.map_or(new, |opened| Opened { counting: true, ..opened }));
        Action::Peers(port)
    }

    /// The peers of a port have been counted: shown, if they are still looked at.
    pub fn peers_told(&mut self, port: u16, peers: Reading<Peers>, model: &Model) {
        if let Some(opened) = self.opened.as_mut().filter(|opened| opened.port == port) {
            opened.counting = false;
            opened.row = opened.row.min(peers.as_ref().map_or(0, |p| p.top.len().saturating_sub(1)));
            opened.told = Some(Told { peers, at_ms: model.now().t_ms });
        }
    }

    /// Goes from the first event shown to the limit it is about; `None` where it is about none.
    fn open_event(&mut self, model: &Model) -> Option<()> {
        let shown = self.shown(model);
        let event = shown.events().all().iter().rev().nth(self.chosen_event(shown))?;
        let limit = shown.limit_of(event)?;
        let chosen = (limit.info.id, limit.scope.clone());
        *self = Self { screen: Screen::Limits, limit: Some(chosen), event: None, ..std::mem::take(self) };
        Some(())
    }

    /// How many events are newer than the one chosen.
    pub(super) fn chosen_event(&self, model: &Model) -> usize {
        let events = model.events().all();
        let is = |e: &crate::model::Event| self.event.as_ref() == Some(&e.id);
        events.iter().rev().position(is).unwrap_or(0)
    }

    /// The row of the listener chosen.
    pub(super) fn chosen_listener(&self, program: &ProcessLine) -> usize {
        program.listeners.iter().position(|l| Some(l.port) == self.listener).unwrap_or(0)
    }

    /// The row of the limit chosen.
    pub(super) fn chosen(&self, model: &Model) -> usize {
        let is = |l: &crate::model::Limit| self.limit.as_ref().is_some_and(|c| l.is(c.0, &c.1));
        model.limits().iter().position(is).unwrap_or(0)
    }
}

/// Anything but yes is no.
fn answer(question: Question, event: KeyEvent) -> Action {
    match (question, event.code) {
        (Question::Close, KeyCode::Char('y' | 'Y')) => Action::Close,
        (Question::Quit, KeyCode::Char('y' | 'Y')) => Action::Quit,
        _ => Action::Redraw,
    }
}

/// Whether a program is watched that listens somewhere.
pub(super) fn has_listeners(model: &Model) -> bool {
    let program = model.last_sample().and_then(|sample| sample.kernel.program.as_ref());
    program.is_some_and(|program| program.ports().next().is_some())
}

/// Whether there is a client engine to pause, to speed up or to close.
pub(super) fn can_drive(model: &Model) -> bool {
    model.engine(Role::Client).is_some_and(|e| e.alive)
}
