//! A run of the program with `--output json`, its lines parsed as they come.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use c1m_top::model::{EventLine, SampleLine, Summary};
use c1m_top::protocol::Role;
use c1m_top::sys;

use super::{Control, wait_until};

/// The program.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_c1m-top");

/// What the program has printed so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Printed {
    pub(crate) samples: Vec<SampleLine>,
    pub(crate) events: Vec<EventLine>,
    pub(crate) summary: Option<Summary>,
}

impl Printed {
    fn take(&mut self, line: &str) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}"));
        assert!(self.summary.is_none(), "after the summary: {line}");
        match value["kind"].as_str() {
            Some("sample") => self.samples.push(parsed(&value)),
            Some("event") => self.events.push(parsed(&value)),
            Some("summary") => self.summary = Some(parsed(&value)),
            other => panic!("a line of kind {other:?}: {line}"),
        }
    }
}

fn parsed<T: serde::de::DeserializeOwned>(line: &serde_json::Value) -> T {
    T::deserialize(line).unwrap_or_else(|e| panic!("{e}: {line}"))
}

/// A run that is under way. Dropping it kills it, and with it its engines.
pub(crate) struct Run {
    child: Child,
    printed: Arc<Mutex<Printed>>,
    out: Option<JoinHandle<()>>,
    err: Option<JoinHandle<String>>,
}

/// Process ids of the engines of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Engines {
    pub(crate) server: Option<u32>,
    pub(crate) client: Option<u32>,
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Exit status; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) printed: Printed,
    pub(crate) stderr: String,
}

impl Finished {
    /// The summary, which every run that began has.
    pub(crate) fn summary(&self) -> &Summary {
        self.printed.summary.as_ref().unwrap_or_else(|| panic!("no summary: {self:#?}"))
    }

    /// The events as one text, for messages.
    pub(crate) fn events(&self) -> String {
        let lines = self.printed.events.iter().map(|e| format!("{} x{}: {}", e.id, e.count, e.text));
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Run {
    /// Starts the program with these options, separated by blanks, and `--output json`.
    pub(crate) fn start(options: &str) -> Self {
        Self::under(&[], options)
    }

    /// As [`Run::start`], by way of a wrapper such as `prlimit --nofile=2000` that becomes the program.
    pub(crate) fn under(wrapper: &[&str], options: &str) -> Self {
        let mut words = wrapper.to_vec();
        words.push(BINARY);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(options.split_whitespace()).args(["--output", "json"]);
        Self::spawn(&mut command)
    }

    /// Starts a command that prints the program's JSON.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let printed = Arc::new(Mutex::new(Printed::default()));
        let (stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let into = Arc::clone(&printed);
        let out = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                into.lock().unwrap().take(&line.unwrap());
            }
        });
        let err = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        Self { child, printed, out: Some(out), err: Some(err) }
    }

    /// Process id of the dashboard.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the dashboard.
    pub(crate) fn signal(&self, signal: i32) {
        sys::kill(self.pid(), signal).unwrap();
    }

    /// Waits until what has been printed shows something.
    pub(crate) fn wait_for<T>(&mut self, what: &str, mut look: impl FnMut(&Printed) -> Option<T>) -> T {
        wait_until(what, || {
            let seen = look(&self.printed.lock().unwrap());
            if seen.is_none()
                && let Some(status) = self.child.try_wait().unwrap()
            {
                // What it printed last may be on its way; the reader ends with the pipe.
                self.out.take().map(JoinHandle::join).transpose().unwrap();
                let printed = self.printed.lock().unwrap().clone();
                return Some(look(&printed).unwrap_or_else(|| panic!("ended ({status}) before: {what}\n{printed:#?}")));
            }
            seen
        })
    }

    /// The engines, once they can be asked; the arguments say which are expected.
    pub(crate) fn engines(&self, server: bool, client: bool) -> Engines {
        engines_of(self.pid(), server, client)
    }

    /// Waits for the end.
    pub(crate) fn finish(mut self) -> Finished {
        let status = wait_until("the end of the run", || self.child.try_wait().unwrap());
        self.out.take().map(JoinHandle::join).transpose().expect("readable output");
        let stderr = self.err.take().unwrap().join().unwrap();
        let printed = self.printed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        Finished { code: status.code(), printed, stderr }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // The engines end with it: a test of its own holds that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The engines of a dashboard, once they can be asked.
pub(crate) fn engines_of(dashboard: u32, server: bool, client: bool) -> Engines {
    let children = format!("/proc/{dashboard}/task/{dashboard}/children");
    wait_until("the engines", || {
        let mut engines = Engines { server: None, client: None };
        for pid in std::fs::read_to_string(&children).ok()?.split_whitespace() {
            let pid = pid.parse().unwrap();
            match Control::connect(pid).map(|c| c.hello.role) {
                Some(Role::Server) => engines.server = Some(pid),
                Some(Role::Client) => engines.client = Some(pid),
                None => {}
            }
        }
        (engines.server.is_some() == server && engines.client.is_some() == client).then_some(engines)
    })
}
