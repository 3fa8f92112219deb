//! Processes that the benchmark started.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::Outcome;

/// The program under test, built by cargo for this benchmark.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_c1m-top"));
    command.stdin(Stdio::null());
    command
}

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

    /// Waits for its end; `None` when it did not come within `longest`.
    pub(crate) fn wait(&mut self, longest: Duration) -> Outcome<Option<ExitStatus>> {
        let until = Instant::now() + longest;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() > until {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
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
