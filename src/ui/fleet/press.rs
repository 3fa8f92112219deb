//! What a key does on the fleet's screen: the same keys as on a run's, where they mean something here.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use super::board::{Board, Pane};
use super::frame::{self, Panel};
use super::here::row_of;
use super::table;
use crate::ui::action::Action;
use crate::ui::commands::{self, Typed};
use crate::ui::keys::{Command, Stroke};
use crate::ui::prompt::{Edit, For, Prompt};
use crate::ui::state::Chosen;

/// Rows of a page, and those that one notch of the wheel goes.
const PAGE: isize = 10;
const NOTCH: isize = 3;

/// Room for every worker.
const ALL: (usize, usize) = (usize::MAX, 0);

/// What takes the fleet's token.
const NO_TOKEN: &str = "view only: C1M_FLEET_TOKEN is not set";

impl Board {
    /// Takes a key press; `None` when nothing is to be drawn for it.
    pub fn on_key(&mut self, event: KeyEvent) -> Option<Action> {
        let hushed = self.hush();
        let asked = std::mem::take(&mut self.closes);
        if event.modifiers.contains(KeyModifiers::CONTROL) {
            match event.code {
                KeyCode::Char('c') => return Some(Action::Quit),
                KeyCode::Char('z') => return Some(Action::Suspend),
                _ if self.prompt.is_none() => return (asked || hushed).then_some(Action::Redraw),
                _ => {}
            }
        }
        if asked {
            if matches!(event.code, KeyCode::Char('y' | 'Y')) {
                return Some(Action::Close);
            }
            self.say("not closed");
            return Some(Action::Redraw);
        }
        if self.prompt.is_some() {
            return Some(self.type_on(event));
        }
        let command = self.keys.lookup(event);
        let Some(command) = command.filter(|command| row_of(*command).is_some()) else {
            let key = Stroke::of(event).label(self.ascii);
            self.say(format!("{key} does nothing here; {} lists the keys", self.keys.label(Command::Help, false)));
            return Some(Action::Redraw);
        };
        Some(self.obey(command))
    }

    fn obey(&mut self, command: Command) -> Action {
        if self.help && !matches!(command, Command::Quit) {
            self.help = false;
            return Action::Redraw;
        }
        match command {
            Command::Quit => return Action::Quit,
            Command::Help => self.help = true,
            Command::Up => self.step(-1),
            Command::Down => self.step(1),
            Command::PageUp => self.step(-PAGE),
            Command::PageDown => self.step(PAGE),
            Command::First => self.step(isize::MIN),
            Command::Open => self.open(),
            Command::Filter => {
                self.filter.clear();
                (self.chosen, self.opened, self.focus) = (Chosen::First, false, Pane::Workers);
                self.prompt = Some(Prompt::new(For::Command));
                self.filtering = true;
            }
            Command::Sort => {
                self.order = self.order.next();
                self.say(format!("workers {}", self.order.word()));
            }
            Command::Prompt => {
                self.prompt = Some(Prompt::new(For::Command));
                self.filtering = false;
            }
            Command::Next => self.turn(1),
            Command::Previous => self.turn(-1),
            Command::Enlarge => self.enlarge(),
            Command::Back => self.back(),
            Command::Mouse => {
                self.mouse = !self.mouse;
                self.say(if self.mouse { "mouse: click a row, turn the wheel" } else { "mouse given back" });
                return Action::Mouse(self.mouse);
            }
            Command::Pause => return self.drive(Action::PauseToggle),
            Command::RateUp => return self.drive(Action::RateUp),
            Command::RateDown => return self.drive(Action::RateDown),
            Command::Close if self.commands => self.closes = true,
            Command::Close => self.say(NO_TOKEN),
            _ => {}
        }
        Action::Redraw
    }

    /// Asks for what drives the fleet, where this screen may.
    fn drive(&mut self, action: Action) -> Action {
        if self.commands {
            return action;
        }
        self.say(NO_TOKEN);
        Action::Redraw
    }

    /// So many rows up or down in the panel that has the focus.
    fn step(&mut self, by: isize) {
        let Some(view) = &self.view else { return };
        if frame::focus(self.area, view, self) == Pane::Events {
            let last = view.events.len().saturating_sub(1);
            self.event = self.event.saturating_add_signed(by).min(last);
            return;
        }
        let listed = match frame::workers(self, view) {
            Some((place, look)) => table::listed(place, self, view, look).0,
            None => self.listed(view, ALL),
        };
        let to = self.row_of(view, &listed).saturating_add_signed(by).min(listed.len().saturating_sub(1));
        self.chosen = match listed.rows.get(to) {
            Some(_) if to == 0 => Chosen::First,
            Some(i) => Chosen::One(view.rows[*i].state.who.id.clone()),
            None if listed.folded.is_empty() => Chosen::First,
            None => Chosen::Fold,
        };
    }

    fn open(&mut self) {
        if self.chosen == Chosen::Fold && !self.unfolded {
            (self.unfolded, self.chosen) = (true, Chosen::First);
            self.say("all workers are listed; Esc folds them again");
        } else if self.view.is_some() {
            // First is whichever is first: what is opened stays what it is.
            self.step(0);
            if let (Chosen::First, Some(view)) = (&self.chosen, &self.view) {
                let listed = self.listed(view, ALL);
                if let Some(i) = listed.rows.first() {
                    self.chosen = Chosen::One(view.rows[*i].state.who.id.clone());
                }
            }
            self.opened = matches!(self.chosen, Chosen::One(_));
        }
    }

    /// Closes one thing, the innermost.
    fn back(&mut self) {
        if self.opened {
            self.opened = false;
        } else if self.enlarged.take().is_some() {
            self.say("all panels again");
        } else if !self.filter.is_empty() {
            self.filter.clear();
            self.say("all workers");
        } else if self.unfolded {
            (self.unfolded, self.chosen) = (false, Chosen::First);
        }
    }

    /// The focus goes on by so many panels.
    fn turn(&mut self, by: isize) {
        let Some(view) = &self.view else { return };
        let there = frame::layout(self.area, view, self);
        let panes: Vec<Pane> = there.iter().filter_map(|(panel, _)| panel.pane()).collect();
        let now = frame::focus(self.area, view, self);
        let Some(place) = panes.iter().position(|pane| *pane == now) else { return };
        let next = place.checked_add_signed(by).unwrap_or(panes.len() - 1) % panes.len();
        self.focus = panes[next];
        self.say(self.focus.title());
    }

    fn enlarge(&mut self) {
        let Some(view) = &self.view else { return };
        if self.enlarged.take().is_none() {
            self.enlarged = Some(frame::focus(self.area, view, self));
        }
    }

    /// A key goes into the prompt.
    fn type_on(&mut self, event: KeyEvent) -> Action {
        let Some(mut prompt) = self.prompt.take() else { return Action::Redraw };
        match (prompt.take(event), self.filtering) {
            (Edit::Changed, true) => {
                self.filter.clone_from(&prompt.text);
                self.prompt = Some(prompt);
            }
            (Edit::Complete, true) | (Edit::Changed, false) => self.prompt = Some(prompt),
            (Edit::Dropped, true) => self.filter.clear(),
            (Edit::Entered, true) | (Edit::Dropped, false) => {}
            (Edit::Complete, false) => {
                if let Some(name) = commands::complete(&prompt.text) {
                    prompt.text = format!("{name} ");
                }
                self.prompt = Some(prompt);
            }
            (Edit::Entered, false) => return self.run(&prompt.text),
        }
        Action::Redraw
    }

    /// Does what was typed.
    fn run(&mut self, text: &str) -> Action {
        match commands::parse(text) {
            Ok(Typed::Rate(per_s)) => self.drive(Action::Rate(per_s)),
            Ok(Typed::Target(count)) => self.drive(Action::Target(count)),
            Ok(Typed::Pause) => self.drive(Action::PauseToggle),
            Ok(Typed::Close) => self.obey(Command::Close),
            Ok(Typed::Quit) => Action::Quit,
            Ok(Typed::Help) => self.obey(Command::Help),
            Ok(Typed::Theme(palette)) => Action::Theme(palette),
            Ok(Typed::Time(_) | Typed::Count(_)) => {
                self.say("the fleet's screen has no past; each worker records its own run");
                Action::Redraw
            }
            Err(wrong) => {
                self.say(wrong);
                Action::Redraw
            }
        }
    }

    /// Takes a press or a turn of the wheel; `None` when nothing is to be drawn for it.
    pub fn on_mouse(&mut self, event: MouseEvent) -> Option<Action> {
        if self.closes || self.prompt.is_some() {
            // Those are answered with keys.
            return None;
        }
        self.hush();
        let view = self.view.as_ref()?;
        let at = Position::new(event.column, event.row);
        let panels = frame::layout(self.area, view, self);
        let (panel, place) = panels.into_iter().find(|(_, place)| place.contains(at))?;
        let Panel::Of(pane) = panel else { return None };
        match event.kind {
            MouseEventKind::ScrollDown | MouseEventKind::ScrollUp => {
                self.focus = pane;
                self.step(if event.kind == MouseEventKind::ScrollDown { NOTCH } else { -NOTCH });
            }
            _ if pane == Pane::Workers => {
                let (_, look) = frame::workers(self, view)?;
                let row = table::row_at(place, self, view, look, (event.column, event.row))?;
                let (listed, now) = table::listed(place, self, view, look);
                self.focus = pane;
                if row < listed.len() {
                    self.step(row.cast_signed() - now.cast_signed());
                }
            }
            _ => self.focus = pane,
        }
        Some(Action::Redraw)
    }
}
