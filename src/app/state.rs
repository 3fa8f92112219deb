//! What is known of a run, and what of it is shown.

use std::ops::{Deref, DerefMut};

use crate::model::{Model, Severity, Summary, Verdict};

/// The model, and the one from before the first engine died: that stays on the screen, and not what falls apart after it.
#[derive(Debug)]
pub(super) struct State {
    model: Model,
    before_death: Option<Box<Model>>,
}

impl Deref for State {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.model
    }
}

impl DerefMut for State {
    fn deref_mut(&mut self) -> &mut Model {
        &mut self.model
    }
}

impl State {
    pub(super) fn new(model: Model) -> Self {
        Self { model, before_death: None }
    }

    /// What is shown.
    pub(super) fn shown(&self) -> &Model {
        self.before_death.as_deref().unwrap_or(&self.model)
    }

    /// Keeps what is shown, because an engine has ended; the screen says so until it is known how.
    pub(super) fn keep(&mut self, id: &str, text: String) {
        let model = &self.model;
        let kept = self.before_death.get_or_insert_with(|| Box::new(model.clone()));
        kept.note(Severity::Warning, id, text);
    }

    /// Adds the deaths that have become known to what is shown.
    pub(super) fn adopt_deaths(&mut self) {
        if let Some(kept) = &mut self.before_death {
            kept.adopt_deaths(&self.model);
        }
    }

    /// What the run came to. Queues and `TIME_WAIT` after a death are its consequence: the limits are those before it.
    pub(super) fn summary(&self, verdict: Verdict) -> Summary {
        let mut summary = self.model.summary(verdict);
        if let Some(kept) = &self.before_death {
            summary.limits = kept.summary(verdict).limits;
        }
        summary
    }
}
