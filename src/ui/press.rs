//! What a key press does to the view, and what it asks of the program. Every key that did something, or could not, is told
//! of in the footer.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::action::Action;
use super::frame::layout;
use super::keys::{Command, KEYS, Stroke};
use super::panels::{self, Panel};
use super::prompt::{For, Prompt};
use super::state::{Question, View, can_drive};
use crate::limits::Cure;
use crate::model::{Model, Range, XAxis};

/// Connections of this program's own above which quitting is asked about: so many take a while to open again.
const MANY: u64 = 10_000;

/// Rows of a page.
const PAGE: isize = 10;

impl View {
    /// Takes a key press; `None` when nothing is to be drawn for it.
    pub fn on_key(&mut self, event: KeyEvent, model: &Model) -> Option<Action> {
        let asked = self.question.take();
        let hushed = self.hush();
        // Raw mode delivers these as keys; they do what they do everywhere else, and ask nothing.
        if event.modifiers.contains(KeyModifiers::CONTROL) {
            match event.code {
                KeyCode::Char('c') => return Some(Action::Quit),
                KeyCode::Char('z') => return Some(Action::Suspend),
                _ if self.prompt.is_none() => return (asked.is_some() || hushed).then_some(Action::Redraw),
                _ => {}
            }
        }
        if let Some(question) = asked {
            return Some(self.answer(question, event));
        }
        if self.prompt.is_some() {
            return Some(self.type_on(event, model));
        }
        let Some(command) = self.keys.lookup(event) else {
            let key = Stroke::of(event).label(self.ascii);
            self.say(format!("{key} does nothing here; {} lists the keys", self.keys.label(Command::Help, false)));
            return Some(Action::Redraw);
        };
        let nothing = hushed.then_some(Action::Redraw);
        self.obey(command, model).or(nothing)
    }

    /// Does what a key means.
    fn obey(&mut self, command: Command, model: &Model) -> Option<Action> {
        let drives = KEYS.iter().any(|row| row.drives && row.commands().contains(&command));
        if drives && !can_drive(model, self) {
            self.say(self.why_not());
            return Some(Action::Redraw);
        }
        let replays = KEYS.iter().any(|row| row.replays && row.commands().contains(&command));
        if replays && self.playing.is_none() {
            self.say("only in a replay");
            return Some(Action::Redraw);
        }
        if self.help && !matches!(command, Command::Quit | Command::Back | Command::Help | Command::Show(_)) {
            return Some(self.scroll_help(command));
        }
        match command {
            Command::Quit => return Some(self.quit(model)),
            Command::Back => return self.back(),
            Command::Pause => return Some(Action::PauseToggle),
            Command::RateUp => return Some(Action::RateUp),
            Command::RateDown => return Some(Action::RateDown),
            Command::Close => self.question = Some(Question::Close),
            Command::Help => {
                self.help = !self.help;
                self.help_row = 0;
            }
            Command::Show(screen) => self.go_to(screen),
            Command::Axis => self.turn_axis(model),
            Command::Freeze if self.playing.is_some() => return Some(Action::PlayToggle),
            Command::Freeze => self.freeze(model),
            Command::Slower => return Some(Action::Slower),
            Command::Faster => return Some(Action::Faster),
            Command::Next => self.focus_on(model, 1),
            Command::Previous => self.focus_on(model, -1),
            Command::Enlarge => match self.panel(model) {
                Some(panel) => return Some(self.enlarge(panel)),
                None => self.say("no panel to enlarge at this size"),
            },
            Command::Range => {
                let next = self.range_of(model).map_or(Range::Data, Range::next);
                self.range = Some(next);
                self.say(format!("memory: {}", next.word()));
            }
            Command::Filter => self.begin_filter(model),
            Command::Prompt => self.prompt = Some(Prompt::new(For::Command)),
            Command::Sort => self.sort(model),
            Command::Copy => return Some(self.copy(model)),
            Command::Mouse => {
                self.mouse = !self.mouse;
                self.say(if self.mouse {
                    "mouse: click a panel or a row, turn the wheel; Shift selects text in most terminals"
                } else {
                    "mouse given back: text can be selected"
                });
                return Some(Action::Mouse(self.mouse));
            }
            Command::Earlier => return Some(self.travel(model, -1)),
            Command::Later => return Some(self.travel(model, 1)),
            Command::MuchEarlier => return Some(self.travel(model, -10)),
            Command::MuchLater => return Some(self.travel(model, 10)),
            Command::EventBefore => return Some(self.seek_event(model, false)),
            Command::EventAfter => return Some(self.seek_event(model, true)),
            Command::Now => return Some(self.back_to_now()),
            Command::Up => self.step(model, -1),
            Command::Down => self.step(model, 1),
            Command::PageUp => self.step(model, -PAGE),
            Command::PageDown => self.step(model, PAGE),
            Command::First => self.step(model, isize::MIN),
            Command::Open => return Some(self.open(model)),
        }
        Some(Action::Redraw)
    }

    /// Why nothing can be driven.
    pub(super) fn why_not(&self) -> String {
        if self.remote.is_some() {
            let back = self.keys.label(Command::Back, self.ascii);
            return format!("commands are for the whole fleet: {back} goes back to its screen");
        }
        "no client of this dashboard runs here: nothing to pause, speed up or close".to_owned()
    }

    /// Quits, or asks first where much would be closed.
    pub(super) fn quit(&mut self, model: &Model) -> Action {
        if model.setup().own_engines && model.now().connections > MANY {
            self.question = Some(Question::Quit);
            return Action::Redraw;
        }
        Action::Quit
    }

    /// The panel that has the focus.
    pub(super) fn panel(&self, model: &Model) -> Option<Panel> {
        panels::focused(self.focus, &layout(self.area, model, self))
    }

    /// The focus goes on by so many panels.
    fn focus_on(&mut self, model: &Model, steps: isize) {
        match panels::after(self.focus, &layout(self.area, model, self), steps) {
            Some(panel) => {
                self.focus = panel;
                self.say(panel.title());
            }
            None => self.say("no panel at this size"),
        }
    }

    /// Gives a panel the screen to itself, or the others their places again.
    pub(super) fn enlarge(&mut self, panel: Panel) -> Action {
        if self.enlarged.take().is_some() {
            self.say("all panels again");
        } else {
            self.enlarged = Some(panel);
            let back = self.keys.label(Command::Back, self.ascii);
            self.say(format!("{} enlarged; {back} brings the others back", panel.title()));
        }
        Action::Redraw
    }

    fn turn_axis(&mut self, model: &Model) {
        let (axis, word) = match self.axis(model) {
            XAxis::Connections => (XAxis::Time, "memory over time"),
            XAxis::Time => (XAxis::Connections, "memory over connections"),
        };
        self.axis = Some(axis);
        self.say(word);
    }

    fn freeze(&mut self, model: &Model) {
        if self.frozen.take().is_some() {
            self.say("live again");
        } else {
            self.frozen = Some(Box::new(model.clone()));
        }
    }

    /// Sorts the list that has the focus another way.
    fn sort(&mut self, model: &Model) {
        let Some(panel) = self.panel(model).filter(|panel| panel.is_sorted()) else {
            return self.say("only limits, events, processes and listeners can be sorted; Tab goes to them");
        };
        (self.sort, self.sorted) = (self.sort_of(panel).next(), panel);
        self.say(format!("{} {}", panel.title(), self.sort.word()));
    }

    /// The fix of what is chosen, for the terminal's clipboard.
    fn copy(&mut self, model: &Model) -> Action {
        let shown = self.shown(model);
        let (what, cure) = match self.panel(model) {
            Some(Panel::Events) => {
                let rows = self.event_rows(shown);
                let event = rows.get(self.chosen_event(&rows));
                ("this event", event.map(|e| e.cure.clone()))
            }
            Some(Panel::Limits) => {
                let rows = self.limit_rows(shown);
                let limit = rows.rows.get(self.chosen_limit(&rows));
                ("this limit", limit.map(|l| Cure::clone(&l.cure)))
            }
            _ => ("the next limit", shown.nearest().map(|l| Cure::clone(&l.cure))),
        };
        let Some(text) = cure.and_then(|cure| cure.first().map(ToOwned::to_owned)) else {
            self.say(format!("no fix for {what}"));
            return Action::Redraw;
        };
        self.say(format!("sent to terminal: {text}"));
        Action::Copy(text)
    }

    /// What an answer to a question does. Anything but yes is no.
    fn answer(&mut self, question: Question, event: KeyEvent) -> Action {
        match (question, event.code) {
            (Question::Peers { port, .. }, KeyCode::Enter | KeyCode::Char('y' | 'Y')) => self.ask_peers(port),
            (Question::Close, KeyCode::Char('y' | 'Y')) => Action::Close,
            (Question::Quit, KeyCode::Char('y' | 'Y')) => Action::Quit,
            _ => {
                self.say(match question {
                    Question::Close => "not closed",
                    Question::Quit => "still running",
                    Question::Peers { .. } => "not counted",
                });
                Action::Redraw
            }
        }
    }
}
