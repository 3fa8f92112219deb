//! Processes that the benchmark started.

use std::process::{Child, Command, ExitStatus};

use super::Outcome;
use crate::support::wait_until;

/// A process that ends, at the latest, when this value does.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) child: Child,
}

impl Started {
    /// In a process group of its own: Ctrl-C ends the benchmark, and that ends the process.
    pub(crate) fn new(command: &mut Command) -> Outcome<Self> {
        use std::os::unix::process::CommandExt;
        Ok(Self { child: command.process_group(0).spawn()? })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_until("the end of a process", || self.child.try_wait().ok()?)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // An engine is told by the kernel when the process that started it has gone.
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
