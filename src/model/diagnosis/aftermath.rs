//! What follows from the end of an engine: packets dropped, queues that overflow, connects refused. It is reported after the death, as
//! a consequence: a cure of its own would cure what is no trouble.

use crate::limits::Cure;
use crate::model::event::{Event, Kind, Severity};
use crate::model::now::{Now, RunPhase};
use crate::protocol::Role;
use crate::sample::{Sample, Watched};

/// How an engine ended is known when the kernel has taken it apart. What follows is reported then, or after this many milliseconds: a
/// million sockets take ten seconds, and of an engine that was attached to nobody may ever know.
const LONGEST_MS: u64 = 15_000;

/// The engine of this sample that ends or has ended, in a run that has not closed everything: then it has done its work.
pub(super) fn ended_engine(sample: &Sample, now: &Now) -> Option<Role> {
    let mut gone = sample.watched().filter(|t| !t.alive || t.is_ending());
    gone.find_map(Watched::role).filter(|_| now.phase != RunPhase::Closed)
}

/// The first end of an engine, and what came after it.
#[derive(Debug, Clone, Default)]
pub(super) struct Aftermath {
    /// Whose end, and when it was first seen, milliseconds.
    end: Option<(Role, u64)>,
    /// The death is in the log.
    is_told: bool,
    held: Vec<Event>,
}

impl Aftermath {
    /// Takes a moment, and returns what has been held for long enough.
    pub(super) fn update(&mut self, sample: &Sample, now: &Now) -> Vec<Event> {
        self.end = self.end.or_else(|| ended_engine(sample, now).map(|role| (role, now.t_ms)));
        match self.end {
            Some((_, since)) if now.t_ms.saturating_sub(since) > LONGEST_MS => self.release(),
            _ => Vec::new(),
        }
    }

    /// What of an event is to be told now.
    pub(super) fn pass(&mut self, event: Event, phase: RunPhase) -> Option<Event> {
        let Some((role, _)) = self.end else { return Some(event) };
        // What somebody asks for is no consequence; that the client gives up is.
        if event.of == Kind::Phase && phase != RunPhase::Stopped {
            return Some(event);
        }
        // With an id of its own: what happened before keeps its words and its cure.
        let event = Event {
            severity: Severity::Info,
            id: format!("after/{}", event.id),
            text: format!("after the {} engine ended: {}", role.name(), event.text),
            cure: Cure::none(),
            ..event
        };
        if self.is_told {
            return Some(event);
        }
        self.held.push(event);
        None
    }

    /// The death has been reported: what follows from it is reported now, and from now on straight away.
    pub(super) fn release(&mut self) -> Vec<Event> {
        self.is_told = true;
        std::mem::take(&mut self.held)
    }
}
