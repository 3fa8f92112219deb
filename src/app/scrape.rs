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

/// Options with a default that mean nothing where no engine is started.
const OF_ENGINES: [&str; 5] = ["close", "close_rate_per_s", "guard_percent", "port", "ports"];

/// What run it is: version, kind, what runs, the fleet that it is a worker of, and the options that were given.
pub(super) fn labels(header: &Header, fleet: Option<&str>) -> Labels {
    let role = match header.role {
        RunRole::Both => "both",
        RunRole::Server => "server",
        RunRole::Client => "client",
        RunRole::Attach => "attach",
        RunRole::Watch => "watch",
    };
    let own = [("version", header.version.as_str()), ("role", role), ("what", &header.what)];
    let own = own.into_iter().chain(fleet.map(|fleet| ("fleet", fleet)));
    let mut labels: Labels = own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let started = !matches!(header.role, RunRole::Attach | RunRole::Watch);
    for (key, value) in header.plan.iter().filter(|(key, _)| started || !OF_ENGINES.contains(&key.as_str())) {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Setup;

    #[test]
    fn a_run_is_labelled_with_the_options_that_are_set_and_mean_something() {
        let plan = [
            ("target", json!(1_000_000)),
            ("rate_per_s", json!(null)),
            ("greet", json!(false)),
            ("sources", json!([])),
            ("listen", json!(["127.0.0.1"])),
            ("close", json!("rst")),
        ];
        let mut header = Header::new(Setup::default());
        header.plan = plan.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        header.role = RunRole::Both;
        let names = |header: &Header| labels(header, None).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let always = ["version", "role", "what"];
        assert_eq!(names(&header), [&always[..], &["option_close", "option_listen", "option_target"]].concat());
        assert_eq!(labels(&header, None)[4].1, r#"["127.0.0.1"]"#);
        assert_eq!(labels(&header, Some("night-run"))[3], ("fleet".to_owned(), "night-run".to_owned()));
        header.role = RunRole::Attach;
        assert_eq!(names(&header), [&always[..], &["option_listen", "option_target"]].concat());
    }
}
