//! The text of a run's metrics, asked for and made.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use serde_json::Value;

use crate::model::Model;
use crate::output::metrics::{Format, Moment, write};
use crate::record::{Header, RunRole};

/// What a run is, as labels.
pub(super) type Labels = Vec<(String, String)>;

/// Somebody asks for the text.
#[derive(Debug)]
pub(super) struct Scrape {
    pub(super) run: Arc<Labels>,
    pub(super) format: Format,
    pub(super) to: SyncSender<String>,
}

impl Scrape {
    /// Makes it. Whoever has asked may have given up.
    pub(super) fn answer(self, model: &Model) {
        let text = write(&Moment { model, run: &self.run, verdict: None }, self.format);
        let _ = self.to.try_send(text);
    }
}

/// What run it is: version, kind, what runs, and the options that were given.
pub(super) fn labels(header: &Header) -> Labels {
    let role = match header.role {
        RunRole::Both => "both",
        RunRole::Server => "server",
        RunRole::Client => "client",
        RunRole::Attach => "attach",
        RunRole::Watch => "watch",
    };
    let own = [("version", header.version.as_str()), ("role", role), ("what", &header.what)];
    let mut labels: Labels = own.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    for (key, value) in &header.plan {
        let value = match value {
            Value::Null | Value::Bool(false) => continue,
            Value::Array(all) if all.is_empty() => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        // `server` and `client` are roles; a plan's part is one of its options.
        labels.push((format!("option_{}", key.replace(|c: char| !c.is_ascii_alphanumeric(), "_")), value));
    }
    labels
}
