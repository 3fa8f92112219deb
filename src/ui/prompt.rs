//! The line that is being typed: a filter or a command.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::panels::Panel;

/// The longest line that is taken, characters.
const MOST: usize = 80;

/// What the line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// The rows of a list that have it.
    Filter(Panel),
    /// A command.
    Command,
}

/// An open prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prompt {
    pub(super) what: For,
    pub(super) text: String,
}

/// What a key did to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    /// It has other text, or none.
    Changed,
    /// It is done.
    Entered,
    /// It is dropped.
    Dropped,
    /// What there is of the name should be completed.
    Complete,
}

impl Prompt {
    /// An empty one.
    pub(super) fn new(what: For) -> Self {
        Self { what, text: String::new() }
    }

    /// Takes a key. Deleting from an empty line drops it.
    pub(super) fn take(&mut self, event: KeyEvent) -> Edit {
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        match event.code {
            KeyCode::Enter => return Edit::Entered,
            KeyCode::Esc => return Edit::Dropped,
            KeyCode::Tab => return Edit::Complete,
            KeyCode::Backspace if self.text.pop().is_none() => return Edit::Dropped,
            KeyCode::Char('u') if control => self.text.clear(),
            KeyCode::Char('w') if control => {
                let kept = self.text.trim_end().rfind(' ').map_or(0, |space| space + 1);
                self.text.truncate(kept);
            }
            KeyCode::Char(c) if !control && !c.is_control() && self.text.chars().count() < MOST => self.text.push(c),
            _ => {}
        }
        Edit::Changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_edited_as_in_a_shell() {
        let mut prompt = Prompt::new(For::Command);
        let plain = |code| KeyEvent::new(code, KeyModifiers::NONE);
        let control = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
        for c in "rate 20k".chars() {
            assert_eq!(prompt.take(plain(KeyCode::Char(c))), Edit::Changed);
        }
        prompt.take(plain(KeyCode::Backspace));
        assert_eq!(prompt.text, "rate 20");
        prompt.take(control('w'));
        assert_eq!(prompt.text, "rate ");
        prompt.take(control('w'));
        assert_eq!(prompt.text, "");
        prompt.take(plain(KeyCode::Char('x')));
        prompt.take(control('u'));
        assert_eq!(prompt.text, "");
        assert_eq!(prompt.take(plain(KeyCode::Backspace)), Edit::Dropped);
        assert_eq!(prompt.take(plain(KeyCode::Enter)), Edit::Entered);
        assert_eq!(prompt.take(plain(KeyCode::Esc)), Edit::Dropped);
        for _ in 0..200 {
            prompt.take(plain(KeyCode::Char('é')));
        }
        assert_eq!(prompt.text.chars().count(), MOST);
    }
}
