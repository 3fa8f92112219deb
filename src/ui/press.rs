//! What a key press does to the view, and what it asks of the program.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::action::Action;
use super::frame::layout;
use super::keys::{self, Command, Screen};
use super::panels::{self, Panel};
use super::state::{Chosen, Opened, Question, View, can_drive};
use crate::model::{Model, XAxis};

/// Connections of this program's own above which quitting is asked about: so many take a while to open again.
const MANY: u64 = 10_000;

/// Sockets from which on counting them one by one is asked about: 28 ms of one core.
const COSTLY: u64 = 20_000;

/// One step of the time cursor, milliseconds.
const STEP_MS: i64 = 1000;

impl View {
    /// Takes a key press; `None` when it means nothing here.
    pub fn on_key(&mut self, event: KeyEvent, model: &Model) -> Option<Action> {
        let asked = self.question.take();
        self.hush();
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
            Command::Back => return self.back(),
            Command::Pause => return Some(Action::PauseToggle),
            Command::RateUp => return Some(Action::RateUp),
            Command::RateDown => return Some(Action::RateDown),
            Command::Close => self.question = Some(Question::Close),
            Command::Help => self.help = !self.help,
            Command::Show(screen) => {
                self.go_to(screen);
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
            Command::Next | Command::Previous => {
                let steps = if key.command == Command::Next { 1 } else { -1 };
                self.focus = panels::after(self.focus, &layout(self.area, model, self), steps)?;
            }
            Command::Enlarge => return self.panel(model).map(|panel| self.enlarge(panel)),
            Command::Range => {
                self.range = self.range.next();
                self.say(format!("memory: {}", self.range.word()), model);
            }
            Command::Sort => self.sort(model)?,
            Command::Earlier | Command::Later => {
                let by = if event.modifiers.contains(KeyModifiers::SHIFT) { 10 } else { 1 };
                return Some(self.travel(model, if key.command == Command::Later { by } else { -by }));
            }
            Command::Now => return self.cursor.map(|_| self.seek(None)),
            Command::Up => self.step(model, -1),
            Command::Down => self.step(model, 1),
            Command::Open => return self.open(model),
        }
        Some(Action::Redraw)
    }

    /// Closes what was opened last, then chooses the newest again, then goes back to now; `None` where there is nothing to close.
    /// It never ends a run.
    fn back(&mut self) -> Option<Action> {
        if self.help {
            self.help = false;
        } else if self.opened.is_some() {
            self.opened = None;
        } else if self.enlarged.take().is_some() {
        } else if self.event.is_some()
            || self.limit != Chosen::First
            || self.listener.is_some()
            || self.member.is_some()
        {
            self.choose_nothing();
        } else if self.cursor.is_some() {
            return Some(self.seek(None));
        } else {
            self.frozen.take()?;
        }
        Some(Action::Redraw)
    }

    /// The panel that has the focus.
    fn panel(&self, model: &Model) -> Option<Panel> {
        panels::focused(self.focus, &layout(self.area, model, self))
    }

    /// One row up or down in the list that has the focus.
    fn step(&mut self, model: &Model, by: isize) {
        let shown = self.shown(model);
        let next = |row: usize, rows: usize| row.saturating_add_signed(by).min(rows.saturating_sub(1));
        match (self.panel(model), shown.program()) {
            (Some(Panel::Events), _) => {
                let rows = self.event_rows(shown);
                let row = next(self.chosen_event(&rows), rows.len());
                self.event = rows.get(row).filter(|_| row > 0).map(|e| e.id.clone());
            }
            (Some(Panel::Limits), _) => {
                let rows = self.limit_rows(shown);
                let lines = rows.rows.len() + usize::from(!rows.folded.is_empty());
                let row = next(self.chosen_limit(&rows), lines);
                self.limit = match rows.rows.get(row) {
                    _ if row == 0 => Chosen::First,
                    Some(limit) => Chosen::One((limit.info.id, limit.scope.clone())),
                    None => Chosen::Fold,
                };
            }
            (Some(Panel::Processes), Some(program)) => {
                let rows = self.member_rows(program);
                let row = next(self.chosen_member(&rows), rows.len());
                self.member = rows.get(row).filter(|_| row > 0).map(|m| m.pid);
            }
            (Some(Panel::Listeners), Some(program)) => {
                let rows = self.listener_rows(program);
                let row = next(self.chosen_listener(&rows), rows.len());
                self.listener = rows.get(row).filter(|_| row > 0).map(|l| l.port);
            }
            (Some(Panel::Peers), _) => self.step_network(by),
            _ => {}
        }
    }

    /// One row up or down among the networks of the peers.
    fn step_network(&mut self, by: isize) {
        let Some(opened) = &mut self.opened else { return };
        let networks = opened.told.as_ref().and_then(|t| t.peers.as_ref().ok()).map_or(0, |p| p.top.len());
        opened.row = opened.row.saturating_add_signed(by).min(networks.saturating_sub(1));
    }

    /// Opens the chosen row, or enlarges the panel where no row can be chosen; `None` where nothing can be opened.
    fn open(&mut self, model: &Model) -> Option<Action> {
        match self.panel(model)? {
            _ if self.help => None,
            Panel::Events => self.open_event(model).map(|()| Action::Redraw),
            Panel::Listeners | Panel::Peers => self.open_listener(model),
            Panel::Limits if self.limit == Chosen::Fold => {
                self.unfolded = true;
                Some(Action::Redraw)
            }
            Panel::Limits if self.screen != Screen::Limits => {
                let limit = std::mem::take(&mut self.limit);
                self.go_to(Screen::Limits);
                self.limit = limit;
                Some(Action::Redraw)
            }
            Panel::Limits | Panel::Processes => None,
            panel => Some(self.enlarge(panel)),
        }
    }

    /// Sorts the list that has the focus another way; `None` where there is no list.
    fn sort(&mut self, model: &Model) -> Option<()> {
        let panel = self.panel(model).filter(|panel| panel.has_rows() && *panel != Panel::Peers)?;
        (self.sort, self.sorted) = (self.sort_of(panel).next(), panel);
        self.say(format!("{}: {}", panel.title(), self.sort.word()), model);
        Some(())
    }

    /// Gives a panel the screen to itself, or the others their places again.
    fn enlarge(&mut self, panel: Panel) -> Action {
        self.enlarged = if self.enlarged.is_some() { None } else { Some(panel) };
        Action::Redraw
    }

    /// Moves the time cursor.
    fn seek(&mut self, to: Option<u64>) -> Action {
        self.cursor = to;
        if to.is_none() {
            self.past = None;
        }
        Action::Seek(to)
    }

    /// Moves the time cursor by so many steps; at the end of time it is now again.
    fn travel(&mut self, model: &Model, steps: i64) -> Action {
        let end = model.now().t_ms;
        let to = self.cursor.unwrap_or(end).saturating_add_signed(steps * STEP_MS);
        self.seek((to < end).then_some(to))
    }

    /// Goes from the chosen listener to its peers, or has those that are looked at counted again. Asks first where they are many.
    fn open_listener(&mut self, model: &Model) -> Option<Action> {
        let program = self.shown(model).program()?;
        let port = match &self.opened {
            Some(opened) if opened.counting => return None,
            Some(opened) => opened.port,
            None => {
                let rows = self.listener_rows(program);
                rows.get(self.chosen_listener(&rows))?.port
            }
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

    /// Goes from the first event shown to the limit it is about; `None` where it is about none.
    fn open_event(&mut self, model: &Model) -> Option<()> {
        let shown = self.shown(model);
        let rows = self.event_rows(shown);
        let event = rows.get(self.chosen_event(&rows))?;
        let limit = shown.limit_of(event)?;
        let chosen = (limit.info.id, limit.scope.clone());
        self.go_to(Screen::Limits);
        self.limit = Chosen::One(chosen);
        Some(())
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
