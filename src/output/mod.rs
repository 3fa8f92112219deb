//! How a run is written where there is no dashboard: one file a format, each behind [`Output`].
//!
//! | file | what it writes |
//! | --- | --- |
//! | `text` | a line for a sample, one for an event |
//! | `json` | an object each, the machine interface |
//! | `fleet` | a fleet as text |
//! | `summary` | the summary for people, which the dashboard prints too |
//! | `writer` | gives a format what is new, and flushes |
//! | `metrics` | the run as metrics, for Prometheus |

mod fleet;
mod json;
pub mod metrics;
mod summary;
mod text;
mod writer;

use std::io::{self, Write};

pub use fleet::{line as fleet_line, rows as fleet_rows, summary as fleet_summary};
pub use json::{object, unobeyed};
pub use summary::write as summary_text;
pub use writer::{Unwritten, Writer};

use crate::model::{Event, Model, Summary};
use crate::units;

/// One way to write a run. What it writes is flushed after each call.
pub trait Output {
    /// A sample has been taken.
    ///
    /// # Errors
    /// It cannot be written.
    fn sample(&mut self, to: &mut dyn Write, model: &Model) -> io::Result<()>;

    /// Something has happened, or has become worse.
    ///
    /// # Errors
    /// It cannot be written.
    fn event(&mut self, to: &mut dyn Write, event: &Event) -> io::Result<()>;

    /// The run is over.
    ///
    /// # Errors
    /// It cannot be written.
    fn summary(&mut self, to: &mut dyn Write, model: &Model, summary: &Summary) -> io::Result<()>;
}

/// A format that `--output` names.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it writes, for the help.
    pub help: &'static str,
    /// Begins to write.
    pub new: fn() -> Box<dyn Output>,
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Every format, the default first.
pub static FORMATS: &[Format] = &[
    Format { name: "text", help: "One line per interval, for people", new: || Box::new(text::Text) },
    Format { name: "json", help: "One object per line, for programs", new: || Box::new(json::Json) },
];

/// Text for people, as it may go to a terminal: in lines, each of them harmless.
pub fn harmless(text: &str) -> String {
    text.split('\n').map(units::printable).collect::<Vec<_>>().join("\n")
}
