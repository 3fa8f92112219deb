//! Gives a format what is new, and flushes after each line, so that a pipe sees it at once.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::{Format, Output};
use crate::model::{Model, Summary};

/// An output and where it goes.
pub struct Writer {
    output: Box<dyn Output>,
    to: Box<dyn Write>,
    name: String,
    /// Something has been written.
    begun: bool,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("name", &self.name).field("begun", &self.begun).finish_non_exhaustive()
    }
}

/// Why something could not be written.
#[derive(Debug)]
pub enum Unwritten {
    /// Nobody reads any more: `| head -1`.
    NobodyReads,
    /// Not even the first line could be: the output was never writable.
    Never(String),
    /// Anything else.
    Failed(String),
}

impl Writer {
    /// Opens the output: a file, or standard output.
    ///
    /// # Errors
    /// A sentence.
    pub fn open(format: Format, file: Option<&Path>) -> Result<Self, String> {
        let (to, name): (Box<dyn Write>, _) = match file {
            None => (Box::new(io::stdout()), "standard output".to_owned()),
            Some(path) => {
                let shown = path.display().to_string();
                let file = File::create(path).map_err(|e| format!("cannot write {shown}: {e} (--output-file)"))?;
                (Box::new(file), shown)
            }
        };
        Ok(Self { output: (format.new)(), to, name, begun: false })
    }

    /// The events that are new, then the sample.
    ///
    /// # Errors
    /// See [`Unwritten`].
    pub fn sample(&mut self, model: &mut Model) -> Result<(), Unwritten> {
        self.events(model)?;
        self.write(|output, to| output.sample(to, model))
    }

    /// What is left of the events, then the summary.
    ///
    /// # Errors
    /// See [`Unwritten`].
    pub fn summary(&mut self, model: &mut Model, summary: &Summary) -> Result<(), Unwritten> {
        self.events(model)?;
        self.write(|output, to| output.summary(to, model, summary))
    }

    fn events(&mut self, model: &mut Model) -> Result<(), Unwritten> {
        let new = model.events_mut().take_new();
        new.iter().try_for_each(|event| self.write(|output, to| output.event(to, event)))
    }

    fn write(&mut self, one: impl FnOnce(&mut dyn Output, &mut dyn Write) -> io::Result<()>) -> Result<(), Unwritten> {
        let written = one(self.output.as_mut(), self.to.as_mut()).and_then(|()| self.to.flush());
        let begun = std::mem::replace(&mut self.begun, true);
        written.map_err(|e| match e.kind() {
            io::ErrorKind::BrokenPipe => Unwritten::NobodyReads,
            _ if begun => Unwritten::Failed(format!("cannot write to {}: {e}", self.name)),
            _ => Unwritten::Never(format!("cannot write to {}: {e}", self.name)),
        })
    }
}
