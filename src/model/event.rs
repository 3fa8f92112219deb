//! What happened, each thing once, with how often.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::{Cure, Limit, LimitId};

pub use crate::protocol::Severity;

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A limit comes near.
    Limit,
    /// A call of an engine failed.
    Failure,
    /// A counter of the kernel rose.
    Counter,
    /// The run has entered another phase.
    Phase,
    /// A watched process has ended.
    Death {
        /// Which.
        pid: u32,
    },
    /// Something no longer moves, or is lost, though it should not be.
    Stall,
    /// An engine has something to say.
    Engine,
    /// The program has something to say of what it does.
    Program,
}

/// The limit that an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Which.
    pub id: LimitId,
    /// Whose, where there is one each.
    pub scope: Option<String>,
}

/// A number or a line that proves what an event says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// What it is: `ListenOverflows`, `used`, `kernel log`.
    pub name: String,
    /// What it says.
    pub value: ProofValue,
}

/// See [`Proof`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ProofValue {
    /// A number, in the unit of what it names.
    Number(u64),
    /// A line.
    Text(String),
}

/// Something that happened, in one sentence and as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Milliseconds since the dashboard started, of the first time.
    pub t_ms: u64,
    /// What kind of thing it is.
    pub of: Kind,
    /// How bad.
    pub severity: Severity,
    /// Stable id; a second event with this id raises `count` instead of adding a line.
    pub id: String,
    /// One sentence a newcomer understands: what, which limit, the number that proves it, the command that cures it.
    pub text: String,
    /// The limit that it is about.
    pub about: Option<About>,
    /// What proves it.
    pub proof: Vec<Proof>,
    /// What helps.
    pub cure: Cure,
    /// Times it happened.
    pub count: u64,
}

impl Event {
    /// An event that happens now, once.
    pub fn new(of: Kind, severity: Severity, id: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            t_ms: 0,
            of,
            severity,
            id: id.into(),
            text: text.into(),
            about: None,
            proof: Vec::new(),
            cure: Cure::none(),
            count: 1,
        }
    }

    /// With this count.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self { count, ..self }
    }

    /// About a limit, of whatever scope.
    #[must_use]
    pub fn about(self, id: Option<LimitId>) -> Self {
        Self { about: id.map(|id| About { id, scope: None }), ..self }
    }

    /// About a limit as it stands, if there is one, with its numbers as proof and its cure.
    #[must_use]
    pub fn of_limit(mut self, limit: Option<&Limit>) -> Self {
        let Some(limit) = limit else { return self };
        self.about = Some(About { id: limit.info.id, scope: Some(limit.scope.clone()) });
        let numbers = [("used", limit.used), ("limit", limit.limit)];
        self.proof.extend(numbers.into_iter().filter_map(|(name, n)| Some(Proof::number(name, n?))));
        self.cure = Cure::clone(&limit.cure);
        self
    }

    /// Proved by a number.
    #[must_use]
    pub fn proved(mut self, name: impl Into<String>, value: u64) -> Self {
        self.proof.push(Proof::number(name, value));
        self
    }

    /// Proved by a line of the kernel's log, if there is one.
    #[must_use]
    pub fn logged(mut self, line: Option<String>) -> Self {
        self.proof.extend(line.map(|line| Proof { name: "kernel log".into(), value: ProofValue::Text(line) }));
        self
    }

    /// With what helps.
    #[must_use]
    pub fn cured(self, cure: Cure) -> Self {
        Self { cure, ..self }
    }
}

impl Proof {
    fn number(name: impl Into<String>, value: u64) -> Self {
        Self { name: name.into(), value: ProofValue::Number(value) }
    }
}

/// Events in the order in which they first happened.
#[derive(Debug, Clone, Default)]
pub struct EventLog {
    /// Shared by copies of the log until one of them changes it.
    events: Arc<Vec<Event>>,
    /// The severity at which each was last taken; `None` for one that has not been.
    taken: Vec<Option<Severity>>,
}

/// More distinct ids than this is a defect, not a history; the oldest go.
const MOST: usize = 500;

impl EventLog {
    /// Adds an event, or counts it up (with the newer text and the worse severity) when its id is known.
    pub fn push(&mut self, event: Event) {
        let known = self.events.iter().position(|e| e.id == event.id);
        let events = Arc::make_mut(&mut self.events);
        if let Some(known) = known.and_then(|i| events.get_mut(i)) {
            known.count += event.count;
            known.severity = known.severity.max(event.severity);
            (known.text, known.proof, known.cure) = (event.text, event.proof, event.cure);
            known.about = event.about.or(known.about.take());
            return;
        }
        if events.len() == MOST {
            events.remove(0);
            self.taken.remove(0);
        }
        events.push(event);
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
        Event::new(Kind::Program, severity, id, id)
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
