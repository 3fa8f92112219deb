//! `cargo bench --bench fleet [-- WORKERS]`: so many workers of one process that ramp and then hold, against one Redis on loopback:
//! commands and bytes a second, the store's CPU, what a look at all of them costs, and what the whole program costs that shows them:
//! on a terminal of 120x40, and as JSON.

#![expect(clippy::cast_precision_loss, reason = "rates of counts far below 2^52")]

#[path = "measure/mod.rs"]
#[expect(dead_code, reason = "it holds no connections")]
mod measure;

use std::error::Error;
use std::fs;
use std::io::Read;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use c1m_top::fleet::{
    CpuUse, Handle, Held, Identity, Looker, Member, ServerSide, Terms, WorkerEvent, WorkerLimit, WorkerRole,
    WorkerState,
};
use c1m_top::limits::{LimitId, LimitState};
use c1m_top::model::{RunPhase, Severity};
use c1m_top::part::{Origin, Part};
use c1m_top::sys;
use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};

use measure::Outcome;

/// How long each phase is measured.
const PHASE: Duration = Duration::from_secs(30);

/// Time between two samples of a worker that ramps.
const SAMPLE: Duration = Duration::from_millis(200);

/// Where the store listens.
const PORT: u16 = 16_379;

fn main() -> ExitCode {
    let Some(arguments) = measure::arguments() else {
        println!("fleet: a benchmark, run by `cargo bench --bench fleet`");
        return ExitCode::SUCCESS;
    };
    match bench(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("fleet: {e}");
            ExitCode::FAILURE
        }
    }
}

/// The fleet.
fn place() -> String {
    format!("redis://127.0.0.1:{PORT}/bench")
}

/// A program that ends with the benchmark.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn bench(arguments: &[String]) -> Outcome<()> {
    let count: u32 = arguments.first().map_or(Ok(1000), |text| text.parse())?;
    sys::raise_nofile()?;
    let mut command = Command::new("redis-server");
    command.args(["--save", "", "--bind", "127.0.0.1", "--port", &PORT.to_string()]).stdout(Stdio::null());
    let store = Started(command.spawn()?);
    sleep(Duration::from_millis(500));
    let address = place().parse()?;
    let mut workers = Vec::new();
    for number in 0..=count {
        let (role, part) = match number {
            0 => (WorkerRole::Server, None),
            number => (WorkerRole::Client, Some(Part { number, of: count, from: Origin::Option })),
        };
        let who = Identity {
            host: format!("node{number:04}.cluster.example"),
            pid: number,
            role,
            part,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            what: "10.0.0.5:9900".to_owned(),
            expects: Some(count + 1),
            ..Identity::default()
        };
        let terms = Terms { wait: Duration::from_mins(5), token: None };
        workers.push(Member::join(&address, None, who, terms)?.start(|_| true)?);
    }
    println!("{count} clients and a server of one fleet, {} s a phase", PHASE.as_secs());
    workers.iter().for_each(Handle::ready);
    let mut looker = Looker::new(&address, None)?;
    let began = Instant::now();
    loop {
        let view = looker.look(false)?.ok_or("nobody has come")?;
        if view.count.running == u64::from(count) + 1 {
            println!(
                "all started {} us apart, {:.1} s after the last was ready",
                view.skew.start_us.unwrap_or(0),
                began.elapsed().as_secs_f64()
            );
            break;
        }
        sleep(SAMPLE);
    }
    let screen = Screen::start()?;
    let mut json = Command::new(BINARY);
    json.args(["fleet", &place(), "--output", "json"]).stdout(Stdio::null());
    let json = Started(json.spawn()?);
    let viewers = [("the screen", screen.pid()?), ("JSON", json.0.id())];
    for phase in [RunPhase::Ramping, RunPhase::Holding] {
        let before = screen.written.load(Relaxed);
        measure_phase(&workers, &mut looker, phase, store.0.id(), viewers)?;
        let written = screen.written.load(Relaxed) - before;
        println!("  {:.1} KiB/s to the terminal", written as f64 / 1024.0 / PHASE.as_secs_f64());
    }
    Ok(())
}

/// The program, as a user starts it.
const BINARY: &str = env!("CARGO_BIN_EXE_c1m-top");

/// `c1m-top fleet` on a terminal of its own, which somebody reads.
struct Screen {
    child: Box<dyn portable_pty::Child + Send + Sync>,
    /// Kept: without it the terminal hangs up.
    _master: Box<dyn MasterPty + Send>,
    /// Bytes that it has written.
    written: Arc<AtomicU64>,
}

impl Screen {
    fn start() -> Outcome<Self> {
        let pair = native_pty_system().openpty(PtySize { rows: 40, cols: 120, ..PtySize::default() })?;
        let mut command = CommandBuilder::new(BINARY);
        command.args(["fleet", &place()]);
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command)?;
        let mut reader = pair.master.try_clone_reader()?;
        let written = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&written);
        thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                counted.fetch_add(n as u64, Relaxed);
            }
        });
        Ok(Self { child, _master: pair.master, written })
    }

    fn pid(&self) -> Outcome<u32> {
        Ok(self.child.process_id().ok_or("the screen has ended")?)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn measure_phase(
    workers: &[Handle],
    looker: &mut Looker,
    phase: RunPhase,
    store: u32,
    viewers: [(&str, u32); 2],
) -> Outcome<()> {
    let before = (info()?, cpu_s(store)?, Instant::now());
    let viewers_before = viewers.map(|(_, pid)| cpu_s(pid));
    let mut looks = Vec::new();
    let mut thread_s = 0.0;
    let mut step = 0_u64;
    while before.2.elapsed() < PHASE {
        step += 1;
        let every = if phase == RunPhase::Ramping { 1 } else { 5 };
        if step.is_multiple_of(every) {
            for worker in workers {
                worker.publish(Instant::now(), state(worker.who(), phase, step));
            }
        }
        if step.is_multiple_of(5) {
            let (cpu, began) = (own_thread_s()?, Instant::now());
            let view = looker.look(false)?.ok_or("nobody has come")?;
            thread_s += own_thread_s()? - cpu;
            looks.push(began.elapsed());
            assert_eq!(view.count.lost, 0);
        }
        sleep(SAMPLE);
    }
    let (after, seconds) = (info()?, before.2.elapsed().as_secs_f64());
    let rate = |i: usize| (after[i] - before.0[i]) as f64 / seconds;
    looks.sort();
    println!(
        "{phase:?}: {:.0} commands/s, {:.0} KiB/s in, {:.0} KiB/s out; store {:.1} % of a core; a look {:.1} ms, of them {:.1} ms of CPU",
        rate(0),
        rate(1) / 1024.0,
        rate(2) / 1024.0,
        100.0 * (cpu_s(store)? - before.1) / seconds,
        looks[looks.len() / 2].as_secs_f64() * 1e3,
        thread_s * 1e3 / looks.len() as f64,
    );
    for ((what, pid), before) in viewers.into_iter().zip(viewers_before) {
        let share = 100.0 * (cpu_s(pid)? - before?) / seconds;
        println!("  {what}: {share:.1} % of a core, {:.1} MiB at the most", peak_kib(pid)? as f64 / 1024.0);
    }
    Ok(())
}

/// As a worker of a real run has it: counts, CPU, a limit, its share of the guard's room, two warnings.
fn state(who: &Identity, phase: RunPhase, step: u64) -> WorkerState {
    let event = |id: &str| WorkerEvent {
        at_us: 1,
        severity: Severity::Warning,
        id: id.to_owned(),
        text: "The accept queue of port 9900 overflowed 12 times: raise net.core.somaxconn, now 4,096".to_owned(),
        count: 12,
    };
    WorkerState {
        who: who.clone(),
        phase,
        connections: 100 * step,
        peak: 100 * step,
        target: Some(1_000_000).filter(|_| who.role.connects()),
        rate_per_s: Some(500.0),
        cpu: Some(CpuUse { cores_used: 0.731_904, cores: 2 }),
        nearest: Some(WorkerLimit {
            id: LimitId::Ports,
            name: "client: local ports".to_owned(),
            state: LimitState::Ok,
            share: Some(0.000_35 * step as f64),
            connections: Some(282_310),
            seconds: Some(282_310.0 / 500.0),
        }),
        held: Some(Held { allowed: 1_000_000, holds: false, late_us: 203_411, age_ms: 231 })
            .filter(|_| who.role.is_held()),
        server: who.role.serves().then(|| ServerSide { ceiling: Some(1_000_000_000), ..ServerSide::default() }),
        events: vec![event("accept_queue/overflow"), event("syn_queue/full")],
        ..WorkerState::default()
    }
}

/// Commands, bytes in and bytes out since the store's start.
fn info() -> Outcome<[u64; 3]> {
    let out = Command::new("redis-cli").args(["-p", &PORT.to_string(), "INFO", "stats"]).output()?;
    let text = String::from_utf8(out.stdout)?;
    let number = |name: &str| -> Result<u64, Box<dyn Error>> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(line.ok_or_else(|| format!("the store does not say {name}"))?.trim().parse()?)
    };
    Ok([number("total_commands_processed")?, number("total_net_input_bytes")?, number("total_net_output_bytes")?])
}

/// CPU time of a process, seconds.
fn cpu_s(pid: u32) -> Outcome<f64> {
    ticks(&fs::read_to_string(format!("/proc/{pid}/stat"))?)
}

/// The most memory that a process has had, KiB.
fn peak_kib(pid: u32) -> Outcome<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// CPU time of this thread, seconds, as the scheduler counts it.
fn own_thread_s() -> Outcome<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let ns: u64 = text.split_whitespace().next().ok_or("no schedstat")?.parse()?;
    Ok(ns as f64 / 1e9)
}

fn ticks(stat: &str) -> Outcome<f64> {
    let (_, rest) = stat.rsplit_once(')').ok_or("no stat")?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let user: u64 = words.get(11).ok_or("no utime")?.parse()?;
    let system: u64 = words.get(12).ok_or("no stime")?.parse()?;
    Ok((user + system) as f64 / 100.0)
}
