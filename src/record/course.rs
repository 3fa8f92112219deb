//! The course of a run: the model and what is shown of it, driven by entries, whether they come now or from a file.

use std::sync::Arc;

use super::format::Entry;
use super::read::Recording;
use crate::model::{Model, Setup, Severity, Summary, Verdict};

/// The model, and the one from before the first engine died: that stays on the screen, and not what falls apart after it.
#[derive(Debug, Clone, Default)]
pub struct Course {
    model: Model,
    before_death: Option<Box<Model>>,
}

impl Course {
    /// A run before its first sample.
    pub fn new(setup: Setup) -> Self {
        Self { model: Model::new(setup), before_death: None }
    }

    /// All that is known.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The same, for an output that takes what is new of the events.
    pub fn model_mut(&mut self) -> &mut Model {
        &mut self.model
    }

    /// What is shown.
    pub fn shown(&self) -> &Model {
        self.before_death.as_deref().unwrap_or(&self.model)
    }

    /// What is shown, for good.
    pub fn into_shown(self) -> Box<Model> {
        self.before_death.unwrap_or_else(|| Box::new(self.model))
    }

    /// Takes the next entry.
    pub fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::Sample { sample, .. } => self.model.take(Arc::clone(sample)),
            Entry::Note { severity, id, text, .. } => self.model.note(*severity, id, text.as_str()),
            Entry::Death { pid, cause, .. } => {
                self.model.note_death(*pid, cause.clone());
                if let Some(kept) = &mut self.before_death {
                    kept.adopt_deaths(&self.model);
                }
            }
            Entry::Kept { id, text, .. } => {
                let model = &self.model;
                let kept = self.before_death.get_or_insert_with(|| Box::new(model.clone()));
                kept.note(Severity::Warning, id, text.as_str());
            }
            Entry::FleetBound { binds, .. } => self.model.fleet_bound(*binds),
            Entry::Gap { .. } => self.model.gap(),
            Entry::Told { name, event, .. } => self.model.retell(name, event),
            Entry::Limits { limits, .. } => self.model.give_limits(limits.clone()),
            Entry::Header { .. }
            | Entry::Shown { .. }
            | Entry::Command { .. }
            | Entry::Quit { .. }
            | Entry::Event { .. }
            | Entry::Part { .. }
            | Entry::Summary { .. } => {}
        }
    }

    /// What the run came to. Queues and `TIME_WAIT` after a death are its consequence: the limits are those before it.
    pub fn summary(&self, verdict: Verdict) -> Summary {
        let mut summary = self.model.summary(verdict);
        if let Some(kept) = &self.before_death {
            summary.limits = kept.summary(verdict).limits;
        }
        summary
    }
}

/// The model at the end of a recording.
pub fn play(recording: &Recording) -> Model {
    play_with(recording, |_, _| ())
}

/// The same; what it was after each entry is shown on the way, with the entry.
pub fn play_with(recording: &Recording, mut each: impl FnMut(&Model, &Entry)) -> Model {
    let mut course = Course::new(recording.header().setup.clone());
    for entry in recording.entries() {
        course.take(&entry);
        each(course.model(), &entry);
    }
    course.model
}

/// How a run whose recording has no summary would have ended at that moment, as far as the model knows.
pub fn verdict_so_far(model: &Model) -> Verdict {
    if model.deaths().iter().any(|death| death.role.is_some()) {
        Verdict::EngineKilled
    } else if !model.deaths().is_empty() {
        Verdict::ProcessDied
    } else if model.engines().is_empty() || model.program().is_some() {
        Verdict::Watched
    } else if model.reached() {
        if model.late() { Verdict::Late } else { Verdict::TargetReached }
    } else {
        model.blocked().unwrap_or(Verdict::Interrupted)
    }
}
