//! A run of the binary with `--output json`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use c1m_top::model::{EventLine, SampleLine, Severity, Summary};

/// No run of a scenario takes so long.
const PATIENCE: Duration = Duration::from_mins(2);

/// What a run printed.
#[derive(Debug, Default, Clone)]
pub struct Outcome {
    /// Its samples.
    pub samples: Vec<SampleLine>,
    /// Its events, each as first said.
    pub events: Vec<EventLine>,
    /// Its summary.
    pub summary: Option<Summary>,
    /// What it wrote to standard error, and how it ended.
    pub noise: String,
    /// Exit status.
    pub code: Option<i32>,
}

impl Outcome {
    /// Highest count of the client, or else of the server.
    pub fn peak(&self) -> u64 {
        let of = |s: &Summary| s.peak_established.or(s.peak_accepted);
        self.summary.as_ref().and_then(of).unwrap_or(0)
    }

    /// What was forecast for a limit when the count was nearest to `at`: the count then, and the forecast.
    pub fn forecast(&self, id: &str, at: f64) -> Option<(u64, u64)> {
        let near = self.samples.iter().filter_map(|s| {
            let limit = s.nearest_limit.as_ref().filter(|l| l.id.name() == id)?;
            Some((s.established, limit.connections?))
        });
        let records = self.summary.iter().flat_map(|s| &s.forecasts);
        let recorded = records.filter(|f| f.limit_id.name() == id).map(|f| (f.at_connections, f.predicted_connections));
        let distance = |n: u64| (n as f64 - at).abs();
        near.chain(recorded).filter(|f| f.0 > 0).min_by(|a, b| distance(a.0).total_cmp(&distance(b.0)))
    }

    /// The event whose id begins so.
    pub fn event(&self, id: &str) -> Option<&EventLine> {
        self.events.iter().find(|e| e.id.starts_with(id))
    }

    /// Events above info.
    pub fn alarms(&self) -> Vec<&EventLine> {
        self.events.iter().filter(|e| e.severity > Severity::Info).collect()
    }
}

/// A run under way. Dropped, it is killed, and with it its engines.
#[derive(Debug)]
pub struct Run {
    child: Child,
    printed: Arc<Mutex<Outcome>>,
    reader: Option<JoinHandle<()>>,
    noise: Option<JoinHandle<String>>,
}

impl Run {
    /// Starts a command that becomes the program.
    pub fn start(mut command: Command) -> Result<Self, String> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{command:?}: {e}"))?;
        let printed = Arc::new(Mutex::new(Outcome::default()));
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let into = Arc::clone(&printed);
        let reader = std::thread::spawn(move || {
            for line in out.into_iter().flat_map(|o| BufReader::new(o).lines()).map_while(Result::ok) {
                take(&line, &mut into.lock().unwrap_or_else(PoisonError::into_inner));
            }
        });
        let noise = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = err.map(|mut e| e.read_to_string(&mut text));
            text
        });
        Ok(Self { child, printed, reader: Some(reader), noise: Some(noise) })
    }

    /// What it has printed so far.
    pub fn printed(&self) -> Outcome {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until what it has printed satisfies `is`, or it has ended.
    pub fn until(&mut self, is: impl Fn(&Outcome) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is(&self.printed()) && matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its process: the program itself, for every wrapper before it became it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, as Ctrl-C does.
    pub fn interrupt(&self) {
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        let mut code = None;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                code = status.code();
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.reader.take().map(JoinHandle::join);
        let noise = self.noise.take().and_then(|n| n.join().ok()).unwrap_or_default();
        Outcome { noise, code, ..self.printed() }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process of a run's engine.
pub fn engine(run: &Run, role: &str) -> u32 {
    let line = format!("ps -o pid=,comm= --ppid {} | awk '/{role}/ {{ print $1 }}'", run.pid());
    let out = Command::new("sh").args(["-c", &line]).output().map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
    let pid = out.as_deref().unwrap_or_default().trim().parse();
    pid.unwrap_or_else(|_| panic!("no {role} engine: {out:?}"))
}

/// Sends a signal to a process of a run.
pub fn signal(pid: u32, signal: &str) {
    let status = Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status();
    assert!(status.is_ok_and(|s| s.success()), "kill -{signal} {pid}");
}

/// Runs a command to its end; an error where it printed no summary.
pub fn finish(command: Command) -> Result<Outcome, String> {
    let outcome = Run::start(command)?.finish();
    if outcome.summary.is_none() { Err(outcome.noise.trim().to_owned()) } else { Ok(outcome) }
}

fn take(line: &str, into: &mut Outcome) {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else {
        into.noise.push_str(line);
        return;
    };
    match value["kind"].as_str() {
        Some("sample") => into.samples.extend(serde_json::from_value(value)),
        Some("event") => into.events.extend(serde_json::from_value(value)),
        _ => into.summary = serde_json::from_value(value).ok(),
    }
}
