//! The client engine: ramps to its target over ports and sources, holds, sends, closes.

mod backoff;
mod connect;
mod lifetimes;
mod plan;
mod ports;
mod ramp;
mod refusing;
mod schedule;
mod sources;
mod traffic;
mod worker;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use backoff::{Backoff, Totals};
use lifetimes::Lifetimes;
pub use plan::Plan;
pub use ports::{listening, local_ports};
use ramp::Ramp;
use refusing::Refusing;
use traffic::TrafficCounters;
pub use worker::WINDOW;

use crate::engine::closing::Closing;
use crate::engine::config::{ClientConfig, Share};
use crate::engine::counters::{Counters, lock};
use crate::engine::main_loop::{self, Engine};
use crate::engine::page::Word;
use crate::engine::pool::{MOST_WORKERS, Pool};
use crate::protocol::errno;
use crate::protocol::{Command, EngineStats, Hello, Phase, Role, Severity, Stop, StopCause, Times};
use crate::units::micros;

/// What the main thread and the workers of a client share.
#[derive(Debug)]
struct Shared {
    config: ClientConfig,
    counters: Counters,
    plan: Plan,
    ramp: Ramp,
    lifetimes: Lifetimes,
    /// Connects refused by a server that has taken some before, or that is waited for, or reset: those of all that
    /// [`Backoff`] is about.
    turned_away: AtomicU64,
    closing: Closing,
    traffic: Option<TrafficCounters>,
}

impl Shared {
    /// What the workers have told so far.
    fn totals(&self) -> Totals {
        let counters = &self.counters;
        Totals {
            opened: counters.get(Word::Opened),
            lost: counters.get(Word::Lost),
            refused: self.turned_away.load(Relaxed),
            open: counters.get(Word::Open),
            in_flight: counters.get(Word::InFlight),
            lived_us: self.lifetimes.total_us(),
        }
    }
}

/// The client's main-thread side.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    pool: Pool,
    lanes: usize,
    /// CPU of the ramp, once it is over, microseconds.
    ramp_cpu_us: Option<u64>,
    /// CPU while the target was held, where it was raised then, microseconds.
    held_cpu_us: u64,
    refusing: Refusing,
    /// It has been told that local ports are searched for.
    searching: bool,
    told: Mutex<Told>,
}

/// The distributions as they were last written, when, and in which phase. A report is made ten times a second, and these are
/// the larger part of it.
#[derive(Debug, Default)]
struct Told {
    at: Option<(Instant, Phase)>,
    times: Times,
}

impl Told {
    /// Whether they are to be written anew.
    fn is_old(&self, now: Instant, phase: Phase) -> bool {
        let lasts = if phase == Phase::Ramping { TOLD_OF_RAMP } else { TOLD };
        self.at.is_none_or(|(at, of)| of != phase || now.saturating_duration_since(at) >= lasts)
    }
}

/// How old distributions may be: a run that is killed loses so much of them.
const TOLD: Duration = Duration::from_secs(30);
/// The same during the ramp, in which connect times come in.
const TOLD_OF_RAMP: Duration = Duration::from_secs(5);

/// Makes a client engine, with the slots it wants; `main_loop::run` runs it.
///
/// # Errors
/// A sentence for the user: a source that is not local, a limit that leaves no descriptor.
pub fn start(config: ClientConfig) -> io::Result<(Client, usize)> {
    main_loop::prepare()?;
    let plan = Plan::new(&config, local_ports())?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let counters = Counters::new()?;
    let now = Instant::now();
    let backoff = Backoff::new(config.persist, RandomState::new().hash_one(std::process::id()), now);
    let ramp = Ramp::new(config.common.target, config.rate, backoff, now);
    let traffic =
        config.traffic.map(|t| TrafficCounters::new(t, config.share.map_or(0, Share::first), now)).transpose()?;
    let workers = config.common.workers;
    let shared = Arc::new(Shared {
        config,
        counters,
        plan,
        ramp,
        lifetimes: Lifetimes::new(now)?,
        turned_away: AtomicU64::new(0),
        closing: Closing::new(now),
        traffic,
    });
    let for_workers = Arc::clone(&shared);
    let max = workers.map_or(MOST_WORKERS, |n| n as usize);
    let pool = Pool::new(max, Arc::default(), Arc::new(move |w| worker::run(&w, &for_workers)))?;
    let lanes = lanes(cores, shared.config.common.target, pool.room() as u64).min(max);
    Ok((
        Client {
            shared,
            pool,
            lanes,
            ramp_cpu_us: None,
            held_cpu_us: 0,
            refusing: Refusing::new(now),
            searching: false,
            told: Mutex::default(),
        },
        lanes,
    ))
}

/// Workers that open connections at once towards `target`, with `room` in a table: one where a single table and core are
/// enough, else one a core, eight at most.
pub fn lanes(cores: usize, target: u64, room: u64) -> usize {
    if target < 10_000.min(room) { 1 } else { cores.min(8) }
}

impl Engine for Client {
    fn hello(&self, owner: u32) -> Hello {
        let config = &self.shared.config;
        Hello {
            target: self.shared.ramp.target(),
            ..config.common.hello(Role::Client, owner, &[config.target_ip], self.shared.counters.page())
        }
    }

    fn stats(&self) -> EngineStats {
        let shared = &self.shared;
        let stats = shared.counters.stats(Role::Client);
        let (port_given, source_given) = shared.plan.given();
        let (echo_spread, echo_sum_us) = shared.traffic.as_ref().map(TrafficCounters::spread).unwrap_or_default();
        let phase = self.current_phase();
        EngineStats {
            phase,
            times: self.times(phase),
            target: shared.ramp.target(),
            capacity: shared.plan.capacity(),
            greet: shared.config.greet,
            lifetime: shared.lifetimes.report(),
            backoff_ms: micros(shared.ramp.backoff()) / 1000,
            rate_limit: shared.ramp.rate(),
            ceiling: shared.ramp.ceiling(),
            ramp_started_us: shared.ramp.started_us(),
            ramp_cpu_us: self.ramp_cpu_us,
            traffic: shared.traffic.as_ref().map(TrafficCounters::report),
            port_given,
            source_given,
            echo_spread,
            echo_sum_us,
            stop: shared.ramp.stopped(),
            ..self.pool.described(stats)
        }
    }

    fn phase(&mut self) -> Phase {
        let phase = self.current_phase();
        self.tell_of_refusing();
        self.tell_of_searching(phase);
        if self.ramp_cpu_us.is_none() && matches!(phase, Phase::Holding | Phase::Stopped) {
            self.ramp_cpu_us = Some(Counters::cpu_us().saturating_sub(self.held_cpu_us));
            if let Some(traffic) = &self.shared.traffic {
                traffic.restart(Instant::now());
            }
        }
        phase
    }

    fn command(&mut self, command: &Command) {
        let ramp = &self.shared.ramp;
        match command {
            Command::Pause => ramp.pause(true),
            Command::Resume => ramp.pause(false),
            Command::Rate { per_s } => ramp.set_rate(*per_s, Instant::now()),
            Command::Target { connections } => {
                let counters = &self.shared.counters;
                let most = self.shared.plan.capacity().unwrap_or(u64::MAX);
                let held = counters.get(Word::Open) + counters.get(Word::InFlight);
                // What holding has cost meanwhile is none of the ramp's.
                if ramp.set_target((*connections).min(most), held)
                    && let Some(ramped) = self.ramp_cpu_us.take()
                {
                    self.held_cpu_us = Counters::cpu_us().saturating_sub(ramped);
                }
            }
            Command::Ceiling { connections } => ramp.set_ceiling(*connections),
            Command::Close { mode, per_s } => {
                ramp.end();
                self.shared.closing.start(*mode, *per_s, Instant::now());
                self.pool.close_all();
            }
            Command::Stop => {}
        }
        self.pool.wake_slots();
    }

    fn pool(&mut self) -> &mut Pool {
        &mut self.pool
    }

    fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    fn tables_full(&mut self) {
        // A lane without a table is not the end while another fills the last of them.
        if self.pool.parked() < self.lanes {
            return;
        }
        let (tables, room) = (self.pool.max(), self.pool.room());
        self.shared.counters.add_error("socket", libc::EMFILE);
        self.shared.ramp.stop(Stop {
            cause: StopCause::Limit,
            call: errno::failed("socket", libc::EMFILE),
            text: format!(
                "the client's descriptor tables are full ({tables} x {room} connections): allow more tables (--workers) or raise the hard limit (ulimit -Hn)"
            ),
        });
    }

    fn worker_failed(&mut self, error: &io::Error) {
        let call = self.shared.counters.note_worker_failed(Role::Client, error);
        self.shared.ramp.stop(Stop {
            cause: StopCause::Limit,
            call,
            text: format!("a client worker thread could not start: {error}"),
        });
    }
}

impl Client {
    /// Notes which ports are left out, of a server that takes connections at others.
    fn tell_of_refusing(&mut self) {
        let shared = &self.shared;
        let counters = &shared.counters;
        let left_out = counters.get(Word::Refused) > 0 && counters.get(Word::Opened) > 0;
        if !left_out || shared.config.persist || !shared.ramp.backoff().is_zero() {
            return;
        }
        if let Some(text) = self.refusing.update(shared.plan.refusing(), Instant::now()) {
            counters.note(Severity::Warning, "refused", text);
        }
    }

    /// Notes once why connects become slow: `__inet_hash_connect` takes ports of one parity by a hash, and when those are used
    /// up tries the others one by one. Measured with one pair of addresses: 70,000 a second before half, 1,500 after it.
    fn tell_of_searching(&mut self, phase: Phase) {
        let shared = &self.shared;
        let Some(capacity) = shared.plan.capacity().filter(|_| phase == Phase::Ramping && !self.searching) else {
            return;
        };
        if shared.counters.get(Word::Open).saturating_mul(2) <= capacity {
            return;
        }
        self.searching = true;
        let target = shared.ramp.target().min(capacity);
        let ports = (target * 2 * u64::from(shared.config.common.ports)).div_ceil(capacity.max(1));
        let text = format!(
            "Half of the local ports for each destination are in use: from here on the kernel has to search for a \
             free one, and connecting is ten to fifty times slower. --ports {ports} (on the server as well) or \
             another --source keeps it fast."
        );
        shared.counters.note(Severity::Info, "ports_half", text);
    }

    /// Every distribution, whole.
    fn times(&self, phase: Phase) -> Times {
        let (shared, now) = (&self.shared, Instant::now());
        let mut told = lock(&self.told);
        if told.is_old(now, phase) {
            told.at = Some((now, phase));
            told.times = Times {
                lifetime: shared.lifetimes.times(),
                echo: shared.traffic.as_ref().map(TrafficCounters::times).unwrap_or_default(),
                ..shared.counters.times()
            };
        }
        told.times.clone()
    }

    fn current_phase(&self) -> Phase {
        let shared = &self.shared;
        let counters = &shared.counters;
        let (open, in_flight) = (counters.get(Word::Open), counters.get(Word::InFlight));
        if shared.closing.mode().is_some() {
            return if open + in_flight == 0 { Phase::Closed } else { Phase::Closing };
        }
        shared.ramp.phase(open)
    }
}
