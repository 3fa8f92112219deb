//! What is typed into a prompt, and what becomes of it.

use crossterm::event::KeyEvent;

use super::action::Action;
use super::commands::{self, Typed};
use super::prompt::{Edit, For, Prompt};
use super::state::{Question, View, can_drive};
use crate::model::Model;

impl View {
    /// Opens the filter of the list that has the focus.
    pub(super) fn begin_filter(&mut self, model: &Model) {
        let Some(panel) = self.panel(model).filter(|panel| panel.is_sorted()) else {
            return self.say("only limits, events, processes and listeners can be filtered; Tab goes to them");
        };
        self.filtered = panel;
        self.filter.clear();
        self.choose_nothing();
        self.prompt = Some(Prompt::new(For::Filter(panel)));
    }

    /// A key goes into the prompt.
    pub(super) fn type_on(&mut self, event: KeyEvent, model: &Model) -> Action {
        let Some(mut prompt) = self.prompt.take() else { return Action::Redraw };
        match (prompt.take(event), prompt.what) {
            (Edit::Changed, For::Filter(_)) => {
                self.filter.clone_from(&prompt.text);
                self.prompt = Some(prompt);
            }
            (Edit::Entered, For::Filter(panel)) => {
                let rows = self.place(model, panel).1;
                if self.filter.is_empty() {
                    self.say("all rows");
                } else {
                    self.say(format!("{rows} rows with '{}'; Esc shows all", self.filter));
                }
            }
            (Edit::Dropped, For::Filter(_)) => self.filter.clear(),
            (Edit::Entered, For::Command) => return self.run(&prompt.text, model),
            (Edit::Dropped, For::Command) => {}
            (Edit::Complete, For::Command) => {
                if let Some(name) = commands::complete(&prompt.text) {
                    prompt.text = format!("{name} ");
                }
                self.prompt = Some(prompt);
            }
            (Edit::Complete, For::Filter(_)) | (Edit::Changed, For::Command) => self.prompt = Some(prompt),
        }
        Action::Redraw
    }

    /// Does what was typed.
    fn run(&mut self, text: &str, model: &Model) -> Action {
        let typed = match commands::parse(text) {
            Ok(typed) => typed,
            Err(wrong) => {
                self.say(wrong);
                return Action::Redraw;
            }
        };
        let drives = matches!(typed, Typed::Rate(_) | Typed::Target(_) | Typed::Pause | Typed::Close);
        if drives && !can_drive(model, self) {
            self.say(self.why_not());
            return Action::Redraw;
        }
        match typed {
            Typed::Rate(per_s) => Action::Rate(per_s),
            Typed::Target(count) => Action::Target(count),
            Typed::Pause => Action::PauseToggle,
            Typed::Close => {
                self.question = Some(Question::Close);
                Action::Redraw
            }
            Typed::Quit => self.quit(model),
            Typed::Help => {
                (self.help, self.help_row) = (true, 0);
                Action::Redraw
            }
            Typed::Theme(palette) => {
                self.say(format!("theme: {}", palette.name()));
                Action::Theme(palette)
            }
            Typed::Time(at) => self.seek_time(model, at),
            Typed::Count(count) => self.seek_count(model, count),
        }
    }
}
