//! What happened, each thing once, with how often.

use serde::{Deserialize, Serialize};

pub use crate::protocol::Severity;

/// Something that happened, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Milliseconds since the dashboard started, of the first time.
    pub t_ms: u64,
    /// How bad.
    pub severity: Severity,
    /// Stable id; a second event with this id raises `count` instead of adding a line.
    pub id: String,
    /// One sentence a newcomer understands: what, which limit, the number that proves it, the command that cures it.
    pub text: String,
    /// Times it happened.
    pub count: u64,
}

/// Events in the order in which they first happened.
#[derive(Debug, Clone, Default)]
pub struct EventLog {
    events: Vec<Event>,
    /// The severity at which each was last taken; `None` for one that has not been.
    taken: Vec<Option<Severity>>,
}

/// More distinct ids than this is a defect, not a history; the oldest go.
const MOST: usize = 500;

impl EventLog {
    /// Adds an event, or counts it up (with the newer text and the worse severity) when its id is known.
    pub fn push(&mut self, event: Event) {
        if let Some(known) = self.events.iter_mut().find(|e| e.id == event.id) {
            known.count += event.count;
            known.severity = known.severity.max(event.severity);
            known.text = event.text;
            return;
        }
        if self.events.len() == MOST {
            self.events.remove(0);
            self.taken.remove(0);
        }
        self.events.push(event);
        self.taken.push(None);
    }

    /// Every event, oldest first.
    pub fn all(&self) -> &[Event] {
        &self.events
    }

    /// Events not yet taken, for outputs that print each once, and those that have become worse since.
    pub fn take_new(&mut self) -> Vec<Event> {
        let mut new = Vec::new();
        for (event, taken) in self.events.iter().zip(&mut self.taken) {
            if *taken < Some(event.severity) {
                *taken = Some(event.severity);
                new.push(event.clone());
            }
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, severity: Severity) -> Event {
        Event { t_ms: 1, severity, id: id.into(), text: id.into(), count: 1 }
    }

    #[test]
    fn one_line_an_id() {
        let mut log = EventLog::default();
        log.push(event("a", Severity::Info));
        log.push(event("a", Severity::Critical));
        assert_eq!(log.all().len(), 1);
        assert_eq!((log.all()[0].count, log.all()[0].severity), (2, Severity::Critical));
        assert_eq!(log.take_new().len(), 1);
        assert!(log.take_new().is_empty());
        log.push(event("b", Severity::Info));
        log.push(event("a", Severity::Critical));
        assert_eq!(log.take_new().len(), 1, "a is no worse than it was");
        log.push(event("b", Severity::Warning));
        log.push(event("b", Severity::Warning));
        let worse = log.take_new();
        assert_eq!((worse.len(), worse[0].severity, worse[0].count), (1, Severity::Warning, 3));
    }

    #[test]
    fn the_log_is_bounded_and_still_hands_out_each_once() {
        let mut log = EventLog::default();
        for i in 0..MOST + 10 {
            log.push(event(&i.to_string(), Severity::Info));
        }
        assert_eq!(log.all().len(), MOST);
        assert_eq!(log.take_new().len(), MOST);
        log.push(event("last", Severity::Info));
        assert_eq!(log.take_new().len(), 1);
    }
}
