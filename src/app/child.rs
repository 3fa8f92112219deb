//! Engine processes: started, waited for, and read out when they have ended.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::link::Link;
use super::{Failure, fleet, no_thread};
use crate::engine::config::EngineConfig;
use crate::model::Cause;

/// How long an engine may take to greet. Binding a hundred ports takes milliseconds.
const START: Duration = Duration::from_secs(10);

/// An engine that this process started.
#[derive(Debug)]
pub(super) struct Engine {
    child: Child,
    status: Option<ExitStatus>,
}

/// Starts an engine. It inherits one end of its control connection.
pub(super) fn start(config: &EngineConfig) -> Result<(Engine, Link), Failure> {
    let internal = |what: &str, e: &dyn std::fmt::Display| Failure::Internal(format!("{what}: {e}"));
    let json = serde_json::to_string(config).map_err(|e| internal("engine configuration", &e))?;
    let (ours, theirs) = UnixStream::pair().map_err(|e| internal("control connection", &e))?;
    // Not current_exe: a binary that was replaced while it runs (an upgrade, a rebuild) must start its own engines.
    let child = Command::new("/proc/self/exe")
        .arg("engine")
        .arg(json)
        // What the store asks for is nothing that an engine needs.
        .env_remove(fleet::FLEET)
        .env_remove(fleet::TOKEN)
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Ctrl-C in the terminal goes to the whole foreground group; the engines close when the dashboard says so.
        .process_group(0)
        .spawn()
        .map_err(|e| no_thread::failure("an engine", &e))?;
    let mut engine = Engine { child, status: None };
    match Link::greeted(ours, START) {
        Ok(link) => Ok((engine, link)),
        Err(e) => Err(engine.failed(&e)),
    }
}

impl Engine {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has. An engine that was killed with many connections open ends only once the kernel has freed
    /// them.
    pub(super) fn ended(&mut self) -> Option<Cause> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status.map(cause)
    }

    /// Why it did not greet: what it wrote, if it has ended.
    fn failed(&mut self, greeting: &io::Error) -> Failure {
        if greeting.kind() != io::ErrorKind::UnexpectedEof {
            let _ = self.child.kill();
            return Failure::Internal(format!("an engine: {greeting}"));
        }
        let status = match self.child.wait() {
            Ok(status) => status,
            Err(e) => return Failure::Internal(format!("an engine: {e}")),
        };
        let line = self.message().unwrap_or_else(|| "the engine ended at once".to_owned());
        match status.code() {
            Some(2) => Failure::Usage(line),
            _ => Failure::Internal(format!("{line} ({status})")),
        }
    }

    /// The first line of what it wrote to its standard error, once it has ended.
    pub(super) fn message(&mut self) -> Option<String> {
        let mut text = String::new();
        // Bounded: an engine says a line or two.
        let _ = self.child.stderr.take()?.take(64 * 1024).read_to_string(&mut text);
        text.lines().next().map(ToOwned::to_owned)
    }

    /// Waits for its end; kills it when that takes longer than `patience`. Returns whether it had to.
    pub(super) fn finish(&mut self, patience: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + patience;
        while self.ended().is_none() {
            if Instant::now() > deadline {
                self.child.kill()?;
                self.status = Some(self.child.wait()?);
                return Ok(true);
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(false)
    }
}

impl Drop for Engine {
    /// Whatever way out is taken, no engine stays behind.
    fn drop(&mut self) {
        if self.ended().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn cause(status: ExitStatus) -> Cause {
    match (status.code(), status.signal()) {
        (Some(code), _) => Cause::Exit(code),
        (_, Some(signal)) => Cause::Signal(signal),
        _ => Cause::Vanished,
    }
}
