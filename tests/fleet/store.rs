//! The store of a test, and what looks at a fleet in it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::Value;

use super::support::{Finished, Run, Started, poll, program, succeed, wait_until};

/// Where it listens in the test's own network namespace.
pub(crate) const PORT: u16 = 6379;

/// A Redis that keeps nothing on disk.
#[derive(Debug)]
pub(crate) struct Store {
    process: Option<Started>,
    options: Vec<String>,
}

impl Store {
    /// Starts one, with more options.
    #[track_caller]
    pub(crate) fn start(options: &[&str]) -> Self {
        let mut store = Self { process: None, options: options.iter().map(ToString::to_string).collect() };
        store.restart();
        store
    }

    /// Kills it: what it knew is forgotten.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Stops it, or lets it go on.
    pub(crate) fn signal(&self, signal: i32) {
        let process = self.process.as_ref().unwrap();
        c1m_top::sys::kill(process.id(), signal).unwrap();
    }

    /// Starts it anew.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port", &PORT.to_string()]);
        command.args(["--loglevel", "warning", "--dir", "/tmp"]).args(&self.options);
        self.process = Some(Started::spawn(command.stdout(Stdio::null()).stderr(Stdio::null())));
        wait_until("the store", || std::net::TcpStream::connect(("127.0.0.1", PORT)).ok());
    }

    /// What it answers to a command.
    #[track_caller]
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        assert!(self.process.is_some(), "it does not run");
        succeed(Command::new("redis-cli").args(["-p", &PORT.to_string()]).args(words)).trim().to_owned()
    }

    /// The only key of this form.
    #[track_caller]
    pub(crate) fn key(&self, form: &str) -> String {
        wait_until(form, || Some(self.ask(&["KEYS", form])).filter(|key| !key.is_empty() && !key.contains('\n')))
    }
}

/// A fleet's address in the test's store.
pub(crate) fn url(name: &str) -> String {
    format!("redis://127.0.0.1:{PORT}/{name}")
}

/// A line of shell in the test's own namespace.
#[track_caller]
pub(crate) fn sh(line: &str) {
    succeed(Command::new("sh").args(["-c", line]));
}

/// A worker: a run with these options, of this fleet.
#[track_caller]
pub(crate) fn worker(name: &str, options: &str) -> Run {
    Run::start(&format!("{options} --fleet {}", url(name)))
}

/// The program as whoever commands a fleet, or asks about it: its exit status, and its errors.
#[track_caller]
pub(crate) fn command(fleet: &str, token: &str, words: &str) -> (Option<i32>, String) {
    let mut command = program();
    command.args(["fleet", fleet]).args(words.split(' ')).env("C1M_FLEET_TOKEN", token);
    let out = command.output().unwrap();
    (out.status.code(), String::from_utf8(out.stderr).unwrap())
}

/// `c1m-top fleet --output json`, its objects as they come.
#[derive(Debug)]
pub(crate) struct View {
    child: Started,
    objects: Arc<Mutex<Vec<Value>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl View {
    #[track_caller]
    pub(crate) fn open(name: &str) -> Self {
        let mut command = program();
        command.args(["fleet", &url(name), "--output", "json"]).stdout(Stdio::piped());
        let mut child = Started::spawn(&mut command);
        let objects = Arc::new(Mutex::new(Vec::new()));
        let (out, into) = (child.stdout.take().unwrap(), Arc::clone(&objects));
        let reader = thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                let object = serde_json::from_str(&line.unwrap()).unwrap();
                into.lock().unwrap_or_else(PoisonError::into_inner).push(object);
            }
        });
        Self { child, objects, reader: Some(reader) }
    }

    /// All that has come.
    pub(crate) fn all(&self) -> Vec<Value> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The views alone.
    pub(crate) fn views(&self) -> Vec<Value> {
        self.all().into_iter().filter(|object| object["kind"] == "fleet").collect()
    }

    /// Waits until the newest view shows something.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let seen = poll(super::support::PATIENCE, || self.views().pop().filter(|view| is(view)));
        seen.unwrap_or_else(|| panic!("waited in vain: {what}\n{:#?}", self.views().pop()))
    }

    /// Waits for its end: its exit status, and its last object.
    #[track_caller]
    pub(crate) fn finish(mut self) -> (Option<i32>, Value) {
        let status = wait_until("the end of the view", || self.child.try_wait().unwrap());
        self.reader.take().unwrap().join().unwrap();
        let all = self.all();
        for event in all.iter().filter(|object| object["kind"] == "fleet_event") {
            eprintln!("the fleet of {}: {}", event["worker"], event["text"]);
        }
        let last = all.last().unwrap().clone();
        eprintln!("the fleet: {} {}, exit status {:?}", last["verdict"], last["text"], status.code());
        (status.code(), last)
    }
}

/// Writes what a worker has said of its fleet, and how it ended: docs/fleet.md has these words.
pub(crate) fn said(who: &str, end: &Finished) {
    for event in end.events.iter().filter(|event| event.id.starts_with("fleet/")) {
        eprintln!("{who}: {:?}: {}", event.severity, event.text);
    }
    let verdict = end.summary.as_ref().map(|summary| summary.verdict);
    eprintln!("{who}: {verdict:?}, exit status {:?} {}", end.code, end.stderr);
}

/// The rows of a view: name of the state, by what a worker is.
pub(crate) fn rows(view: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = view["rows"].as_array().unwrap();
    let name = |row: &Value| {
        let who = &row["state"]["who"];
        who["part"]["number"].as_u64().map_or_else(|| text(&who["role"]), |number| number.to_string())
    };
    rows.iter().map(|row| (name(row), text(&row["standing"]))).collect()
}
