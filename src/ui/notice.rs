//! What the footer says for a moment.

use std::time::{Duration, Instant};

/// How long it stands.
const STANDS: Duration = Duration::from_secs(4);

/// What a key did, or why it did nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Notice(Option<(String, Instant)>);

impl Notice {
    /// Says it from now on.
    pub(super) fn say(&mut self, text: String) {
        self.0 = Some((text, Instant::now()));
    }

    /// Nothing more is said; whether something was.
    pub(super) fn hush(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// What is said now. It goes with the first frame after its time: nothing is drawn for it alone.
    pub(super) fn text(&self) -> Option<&str> {
        self.0.as_ref().filter(|(_, at)| at.elapsed() < STANDS).map(|(text, _)| text.as_str())
    }
}
