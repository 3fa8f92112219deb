//! Opening the chosen row, and going back.

use super::action::Action;
use super::keys::Screen;
use super::panels::Panel;
use super::state::{Chosen, Opened, Place, Question, View};
use crate::model::Model;

/// Sockets from which on counting them one by one is asked about: 26 ms of one core.
const COSTLY: u64 = 20_000;

impl View {
    /// Opens the chosen row, or enlarges the panel where no row opens.
    pub(super) fn open(&mut self, model: &Model) -> Action {
        match self.panel(model) {
            Some(Panel::Events) => self.open_event(model),
            Some(Panel::Listeners | Panel::Peers) => self.open_listener(model),
            Some(Panel::Limits) => self.open_limit(model),
            Some(panel) => self.enlarge(panel),
            None => {
                self.say("no room to open anything at this size");
                Action::Redraw
            }
        }
    }

    /// Opens what was folded away, or goes to what there is to know of the chosen limit.
    fn open_limit(&mut self, model: &Model) -> Action {
        let rows = self.limit_rows(self.shown(model));
        if self.limit == Chosen::Fold && !rows.folded.is_empty() {
            self.unfolded = true;
            return Action::Redraw;
        }
        let chosen = rows.rows.get(self.chosen_limit(&rows)).map(|l| (l.info.id, l.scope.clone()));
        match chosen {
            None => self.say("no limit is chosen"),
            Some(_) if self.screen == Screen::Limits => return self.enlarge(Panel::Limits),
            Some(chosen) => {
                self.leave_for(Screen::Limits);
                self.limit = Chosen::One(chosen);
            }
        }
        Action::Redraw
    }

    /// Goes from the chosen event to the limit it is about. One that is about none is read whole.
    fn open_event(&mut self, model: &Model) -> Action {
        let shown = self.shown(model);
        let rows = self.event_rows(shown);
        let Some(event) = rows.get(self.chosen_event(&rows)) else {
            self.say("no events yet");
            return Action::Redraw;
        };
        let Some(limit) = shown.limit_of(event) else { return self.enlarge(Panel::Events) };
        let chosen = (limit.info.id, limit.scope.clone());
        self.leave_for(Screen::Limits);
        self.limit = Chosen::One(chosen);
        Action::Redraw
    }

    /// Goes from the chosen listener to its peers, or has those that are looked at counted again. Asks first where they are many.
    fn open_listener(&mut self, model: &Model) -> Action {
        let Some(program) = self.shown(model).program() else { return Action::Redraw };
        let port = match &self.opened {
            Some(opened) if opened.counting => {
                self.say("still counting");
                return Action::Redraw;
            }
            Some(opened) => Some(opened.port),
            None => {
                let rows = self.listener_rows(program);
                rows.get(self.chosen_listener(&rows)).map(|l| l.port)
            }
        };
        let Some(port) = port else {
            self.say("it has no listening port that can be seen here");
            return Action::Redraw;
        };
        let sockets = program.listeners.iter().find(|l| l.port == port).map_or(0, |l| l.established);
        if sockets < COSTLY {
            return self.ask_peers(port);
        }
        self.question = Some(Question::Peers { port, sockets });
        Action::Redraw
    }

    /// Opens the peers of a port, which are to be counted now.
    pub(super) fn ask_peers(&mut self, port: u16) -> Action {
        let opened = self.opened.take().filter(|opened| opened.port == port);
        if self.screen != Screen::Engines {
            self.leave_for(Screen::Engines);
        }
        self.listener = Some(port);
        let new = Opened { port, counting: true, told: None, row: 0 };
        self.opened = Some(opened.map_or(new, |opened| Opened { counting: true, ..opened }));
        Action::Peers(port)
    }

    /// Goes to another screen, from which `back` returns here.
    fn leave_for(&mut self, screen: Screen) {
        let here = Place {
            screen: self.screen,
            focus: self.focus,
            enlarged: self.enlarged,
            event: self.event.clone(),
            limit: self.limit.clone(),
            member: self.member,
            listener: self.listener,
        };
        self.go_to(screen);
        self.from = Some(here);
    }

    /// Closes what was opened last, then goes back to now; `None` where there is nothing to close. It never ends a run.
    pub(super) fn back(&mut self) -> Option<Action> {
        let chosen = self.event.is_some() || self.limit != Chosen::First || self.listener.is_some();
        if self.help {
            self.help = false;
        } else if self.opened.is_some() || self.from.is_some() {
            self.opened = None;
            if let Some(place) = self.from.take() {
                (self.screen, self.focus, self.enlarged) = (place.screen, place.focus, place.enlarged);
                (self.event, self.limit) = (place.event, place.limit);
                (self.member, self.listener) = (place.member, place.listener);
            }
        } else if self.enlarged.is_some() {
            self.enlarged = None;
        } else if self.unfolded {
            self.unfolded = false;
        } else if !self.filter.is_empty() {
            self.filter.clear();
            self.say("all rows shown again");
        } else if chosen || self.member.is_some() {
            self.choose_nothing();
        } else if self.cursor.is_some() {
            return Some(self.back_to_now());
        } else if self.frozen.take().is_some() {
            self.say("live again");
        } else {
            return self.remote.as_ref().map(|_| Action::Leave);
        }
        Some(Action::Redraw)
    }
}
