//! What goes to standard output at once.

use std::io::{self, Write};

use super::Failure;
use crate::output::harmless;

/// Prints text, for people or for programs; nothing in it is obeyed by a terminal.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut to = io::stdout().lock();
    written(to.write_all(harmless(text).as_bytes()).and_then(|()| to.flush())).map(|_| ())
}

/// Whether somebody reads on: a closed pipe is no failure, for the exit status still says how it stands.
pub(super) fn written(result: io::Result<()>) -> Result<bool, Failure> {
    match result {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Failure::Usage(format!("cannot write to standard output: {e}"))),
    }
}
