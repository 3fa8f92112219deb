//! A run of the program with `--output json`, its lines parsed as they come.

use std::io::{BufRead, BufReader, Read};
use std::ops::Deref;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use c1m_top::model::summary::LimitLine;
use c1m_top::model::{EventLine, RunPhase, SampleLine, Severity, Summary};
use c1m_top::protocol::Role;
use c1m_top::sys;

use super::wait::PATIENCE;
use super::{Control, Home, Started, poll, wait_until};

/// The program.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_c1m-top");

/// The program with the directories of this test, and nothing to read.
pub(crate) fn program() -> Command {
    let mut command = Command::new(BINARY);
    Home::share(&mut command).stdin(Stdio::null());
    command
}

/// What a run has printed so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Printed {
    pub(crate) samples: Vec<SampleLine>,
    pub(crate) events: Vec<EventLine>,
    pub(crate) summary: Option<Summary>,
}

impl Printed {
    /// Every line is JSON of a known kind, and the summary is the last.
    fn take(&mut self, line: &str) -> Result<(), String> {
        let bad = |e: serde_json::Error| format!("{e}: {line}");
        let value: serde_json::Value = serde_json::from_str(line).map_err(bad)?;
        if self.summary.is_some() {
            return Err(format!("after the summary: {line}"));
        }
        match value["kind"].as_str() {
            Some("sample") => self.samples.push(serde_json::from_value(value).map_err(bad)?),
            Some("event") => self.events.push(serde_json::from_value(value).map_err(bad)?),
            Some("summary") => self.summary = Some(serde_json::from_value(value).map_err(bad)?),
            other => return Err(format!("a line of kind {other:?}: {line}")),
        }
        Ok(())
    }

    /// The count of the last sample.
    pub(crate) fn established(&self) -> u64 {
        self.samples.last().map_or(0, |s| s.established)
    }

    /// Whether a sample shows the run at its target.
    pub(crate) fn is_at_target(&self) -> bool {
        self.samples.iter().any(|s| s.phase == RunPhase::Holding)
    }

    /// The event whose id begins so.
    pub(crate) fn event(&self, id: &str) -> Option<&EventLine> {
        self.events.iter().find(|e| e.id.starts_with(id))
    }

    /// Events above info.
    pub(crate) fn alarms(&self) -> Vec<&EventLine> {
        self.events.iter().filter(|e| e.severity > Severity::Info).collect()
    }

    /// Highest count of the client, or else of the server.
    pub(crate) fn peak(&self) -> u64 {
        let of = |s: &Summary| s.peak_established.or(s.peak_accepted);
        self.summary.as_ref().and_then(of).unwrap_or(0)
    }

    /// How far the forecast that was shown nearest to `at` connections may be off.
    pub(crate) fn doubt(&self, id: &str, at: f64) -> Option<u64> {
        let shown = self.samples.iter().filter_map(|s| Some((s.established, s.nearest_limit.as_ref()?)));
        let of_limit = shown.filter(|(_, limit)| limit.id.name() == id && limit.connections.is_some());
        let distance = |n: u64| (n as f64 - at).abs();
        let near = of_limit.filter(|f| f.0 > 0).min_by(|a, b| distance(a.0).total_cmp(&distance(b.0)))?;
        near.1.plus_minus
    }

    /// What was forecast for a limit when the count was nearest to `at`: the count then, and the forecast.
    pub(crate) fn forecast(&self, id: &str, at: f64) -> Option<(u64, u64)> {
        let near = self.samples.iter().filter_map(|s| {
            let limit = s.nearest_limit.as_ref().filter(|l| l.id.name() == id)?;
            Some((s.established, limit.connections?))
        });
        let records = self.summary.iter().flat_map(|s| &s.forecasts);
        let recorded = records.filter(|f| f.limit_id.name() == id).map(|f| (f.at_connections, f.predicted_connections));
        let distance = |n: u64| (n as f64 - at).abs();
        near.chain(recorded).filter(|f| f.0 > 0).min_by(|a, b| distance(a.0).total_cmp(&distance(b.0)))
    }
}

/// A run that is under way. Dropping it kills it, and with it its engines: a test of its own holds that.
#[derive(Debug)]
pub(crate) struct Run {
    child: Started,
    printed: Arc<Mutex<Printed>>,
    out: Mutex<Option<JoinHandle<Result<(), String>>>>,
    err: Mutex<Option<JoinHandle<String>>>,
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
    printed: Printed,
    pub(crate) stderr: String,
}

impl Deref for Finished {
    type Target = Printed;

    fn deref(&self) -> &Printed {
        &self.printed
    }
}

impl Finished {
    /// The summary, which every run that began has.
    #[track_caller]
    pub(crate) fn summary(&self) -> &Summary {
        self.printed.summary.as_ref().unwrap_or_else(|| panic!("no summary: {self:#?}"))
    }

    /// A row of the limits in the summary.
    #[track_caller]
    pub(crate) fn limit(&self, id: &str) -> &LimitLine {
        let row = self.summary().limits.iter().find(|l| l.id.name() == id);
        row.unwrap_or_else(|| panic!("no limit {id}: {self:#?}"))
    }

    /// The events as one text, for messages.
    pub(crate) fn log(&self) -> String {
        let lines = self.events.iter().map(|e| format!("{} x{}: {}", e.id, e.count, e.text));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The event whose id begins so. Fails where there is none, or one of these parts is not in its text.
    #[track_caller]
    pub(crate) fn assert_event(&self, id: &str, parts: &[&str]) -> &EventLine {
        let event = self.event(id).unwrap_or_else(|| panic!("no event {id}: {self:#?}"));
        eprintln!("{} x{}: {}", event.id, event.count, event.text);
        for part in parts {
            assert!(event.text.contains(part), "'{part}' is not in: {}", event.text);
        }
        event
    }
}

impl Run {
    /// Starts the program with these options, separated by blanks, and `--output json`.
    pub(crate) fn start(options: &str) -> Self {
        Self::under(&[], options)
    }

    /// As [`Run::start`], by way of a wrapper such as `prlimit --nofile=2000` that becomes the program.
    pub(crate) fn under(wrapper: &[&str], options: &str) -> Self {
        let words = [wrapper, &[BINARY]].concat();
        let mut command = Command::new(words[0]);
        Self::spawn(command.args(&words[1..]).args(["--output", "json"]).args(options.split_whitespace()))
    }

    /// Starts a command that prints the program's JSON, with the directories of this test.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Home::share(command).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Started::spawn(command);
        let printed = Arc::new(Mutex::new(Printed::default()));
        let (stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let into = Arc::clone(&printed);
        let out = std::thread::spawn(move || {
            BufReader::new(stdout).lines().try_for_each(|line| lock(&into).take(&line.map_err(|e| e.to_string())?))
        });
        let err = std::thread::spawn(move || {
            let mut text = Vec::new();
            stderr.read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        });
        Self { child, printed, out: Mutex::new(Some(out)), err: Mutex::new(Some(err)) }
    }

    /// Process id of the dashboard.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the dashboard.
    #[track_caller]
    pub(crate) fn signal(&self, signal: i32) {
        sys::kill(self.pid(), signal).unwrap();
    }

    /// What has been printed so far.
    pub(crate) fn printed(&self) -> MutexGuard<'_, Printed> {
        lock(&self.printed)
    }

    /// Joins the reader of its standard output, which ends with it or at a line that may not be.
    #[track_caller]
    fn read_to_the_end(&self) {
        if let Some(Err(why)) = lock(&self.out).take().map(|out| out.join().unwrap()) {
            panic!("{why}");
        }
    }

    /// Waits until what has been printed shows something.
    #[track_caller]
    pub(crate) fn wait_for<T>(&mut self, what: &str, mut look: impl FnMut(&Printed) -> Option<T>) -> T {
        let seen = poll(PATIENCE, || {
            let ended = self.has_ended();
            if ended {
                self.read_to_the_end();
            }
            let seen = look(&self.printed());
            (seen.is_some() || ended).then_some(seen)
        });
        match seen {
            Some(Some(seen)) => seen,
            Some(None) => self.ended_before(what),
            None => panic!("waited {PATIENCE:?} in vain: {what}\n{:#?}", self.printed()),
        }
    }

    /// As [`Run::wait_for`], for what is only true or not.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, is: impl Fn(&Printed) -> bool) {
        self.wait_for(what, |p| is(p).then_some(()));
    }

    /// Waits for the target.
    #[track_caller]
    pub(crate) fn until_holding(&mut self) {
        self.until("the target", Printed::is_at_target);
    }

    /// The engines, once they can be asked; the arguments say which are expected.
    #[track_caller]
    pub(crate) fn engines(&self, server: bool, client: bool) -> Engines {
        self.wait_for_engines(|now| Some(now).filter(|now| now.are(server, client)))
    }

    /// The engine of one role, once it can be asked.
    #[track_caller]
    pub(crate) fn engine(&self, role: Role) -> u32 {
        self.wait_for_engines(|now| now.get(role))
    }

    #[track_caller]
    fn wait_for_engines<T>(&self, look: impl Fn(Engines) -> Option<T>) -> T {
        wait_until("the engines", || {
            if self.has_ended() {
                self.read_to_the_end();
                self.ended_before("the engines could be asked");
            }
            look(engines_now(self.pid()))
        })
    }

    /// Whether its standard output is at an end, or at a line that may not be.
    fn has_ended(&self) -> bool {
        lock(&self.out).as_ref().is_none_or(JoinHandle::is_finished)
    }

    #[track_caller]
    fn ended_before(&self, what: &str) -> ! {
        // It has closed its standard output; standard error is read until it is gone.
        let _ = sys::kill(self.pid(), libc::SIGKILL);
        panic!("ended before: {what}\n{:#?}\n{}", self.printed(), self.stderr())
    }

    /// Standard error, which ends with the run.
    fn stderr(&self) -> String {
        lock(&self.err).take().map(|err| err.join().unwrap()).unwrap_or_default()
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Finished {
        let status = poll(PATIENCE, || self.child.try_wait().unwrap());
        let status = status.unwrap_or_else(|| panic!("did not end in {PATIENCE:?}:\n{:#?}", self.printed()));
        self.read_to_the_end();
        let stderr = self.stderr();
        Finished { code: status.code(), printed: self.printed().clone(), stderr }
    }

    /// Ends it as Ctrl-C does, and waits for that.
    #[track_caller]
    pub(crate) fn interrupt(self) -> Finished {
        self.signal(libc::SIGINT);
        self.finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engines {
    /// Whether these and no others are there.
    fn are(self, server: bool, client: bool) -> bool {
        self.server.is_some() == server && self.client.is_some() == client
    }

    /// The engine of one role.
    pub(crate) fn get(self, role: Role) -> Option<u32> {
        match role {
            Role::Server => self.server,
            Role::Client => self.client,
        }
    }
}

/// The engines of a dashboard that can be asked now.
fn engines_now(dashboard: u32) -> Engines {
    let children = format!("/proc/{dashboard}/task/{dashboard}/children");
    let mut engines = Engines { server: None, client: None };
    for pid in std::fs::read_to_string(&children).unwrap_or_default().split_whitespace() {
        let pid = pid.parse().unwrap();
        match Control::connect(pid).map(|c| c.hello.role) {
            Some(Role::Server) => engines.server = Some(pid),
            Some(Role::Client) => engines.client = Some(pid),
            None => {}
        }
    }
    engines
}

/// The engines of a dashboard, once they can be asked.
pub(crate) fn engines_of(dashboard: u32, server: bool, client: bool) -> Engines {
    wait_until("the engines", || Some(engines_now(dashboard)).filter(|now| now.are(server, client)))
}
