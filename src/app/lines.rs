//! Text and JSON: one line per interval, one per event, the summary last; each flushed, so that a pipe sees it at once.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::summary_text;
use crate::model::event::Event;
use crate::model::{EventLine, Model, Severity, Summary};
use crate::units::{bytes, clock, grouped, seconds, short_count};

/// Where lines go.
pub(super) struct Lines {
    json: bool,
    out: Box<dyn Write>,
    name: String,
    /// Something has been written.
    begun: bool,
}

/// Why a line could not be written.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// Nobody reads any more: `| head -1`.
    NobodyReads,
    /// Not even the first line could be: the output was never writable.
    Never(String),
    /// Anything else.
    Failed(String),
}

impl Lines {
    /// Opens the output.
    pub(super) fn open(json: bool, file: Option<&Path>) -> Result<Self, String> {
        Ok(match file {
            None => Self { json, out: Box::new(io::stdout()), name: "standard output".into(), begun: false },
            Some(path) => {
                let file =
                    File::create(path).map_err(|e| format!("cannot write {}: {e} (--output-file)", path.display()))?;
                Self { json, out: Box::new(file), name: path.display().to_string(), begun: false }
            }
        })
    }

    /// The events that are new, then the sample.
    pub(super) fn sample(&mut self, model: &mut Model) -> Result<(), Unwritten> {
        self.events(model)?;
        if self.json { self.object(&model.sample_line()) } else { self.line(&progress(model)) }
    }

    fn events(&mut self, model: &mut Model) -> Result<(), Unwritten> {
        for event in model.events_mut().take_new() {
            if self.json {
                self.object(&EventLine::from(&event))?;
            } else {
                self.line(&event_text(&event))?;
            }
        }
        Ok(())
    }

    /// What is left of the events, and the summary.
    pub(super) fn summary(&mut self, model: &mut Model, summary: &Summary) -> Result<(), Unwritten> {
        self.events(model)?;
        if self.json { self.object(summary) } else { self.line(summary_text::write(summary, model).trim_end()) }
    }

    fn object(&mut self, value: &impl Serialize) -> Result<(), Unwritten> {
        let text = serde_json::to_string(value).map_err(|e| Unwritten::Failed(e.to_string()))?;
        self.line(&text)
    }

    fn line(&mut self, text: &str) -> Result<(), Unwritten> {
        let written = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
        let begun = std::mem::replace(&mut self.begun, true);
        written.map_err(|e| match e.kind() {
            io::ErrorKind::BrokenPipe => Unwritten::NobodyReads,
            _ if begun => Unwritten::Failed(format!("cannot write to {}: {e}", self.name)),
            _ => Unwritten::Never(format!("cannot write to {}: {e}", self.name)),
        })
    }
}

/// An event as a line.
fn event_text(event: &Event) -> String {
    let word = match event.severity {
        Severity::Info => "",
        Severity::Warning => "WARNING ",
        Severity::Critical => "CRITICAL ",
    };
    format!("{} {word}{}", clock(event.t_ms), event.text)
}

/// A sample as a line.
fn progress(model: &Model) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_progress(&mut text, model);
    text
}

fn write_progress(text: &mut String, model: &Model) -> fmt::Result {
    let now = model.now();
    write!(text, "{} {:<9} {:>11}", clock(now.t_ms), now.phase.word().to_lowercase(), grouped(now.connections))?;
    if let Some(target) = now.target.filter(|t| *t > 0) {
        let percent = now.connections as f64 / target as f64 * 100.0;
        write!(text, " of {} ({percent:>5.1} %)", grouped(target))?;
    }
    if let Some(rate) = now.rate_per_s {
        write!(text, "  {:>8}/s", grouped(rate.max(0.0) as u64))?;
    }
    if let Some(eta) = now.eta_s {
        write!(text, "  ETA {}", seconds(eta))?;
    }
    if let Some(headroom) = model.headroom() {
        write!(text, "  headroom {}", bytes(headroom.bytes))?;
    }
    if let Some(limit) = model.nearest() {
        write!(text, "  next {}", limit.info.label)?;
        if let Some(at) = limit.forecast.connections() {
            write!(text, " at {}", short_count(at))?;
        }
    }
    if let Some(percent) = now.memory_pressure_percent.filter(|p| *p > 0.0) {
        write!(text, "  memory pressure {percent:.1} %")?;
    }
    if let Some(segments) = now.retransmits.filter(|n| *n > 0) {
        write!(text, "  retransmits {}", grouped(segments))?;
    }
    Ok(())
}
