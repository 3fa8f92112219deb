//! The server engine: listens on all its ports, accepts in batches, echoes.

mod echo;
mod listen;
mod worker;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

pub use listen::Listeners;

use crate::engine::closing::Closing;
use crate::engine::config::{self, ServerConfig};
use crate::engine::counters::Counters;
use crate::engine::main_loop::{self, Engine};
use crate::engine::pool::{MOST_SLOTS, MOST_WORKERS, Pool};
use crate::protocol::{Command, EngineStats, Hello, PROTOCOL, Phase, Role, Severity, errno};

/// What the main thread and the workers of a server share.
#[derive(Debug)]
struct Shared {
    counters: Counters,
    listeners: Listeners,
    /// Workers that accept at once.
    slots: usize,
    paused: AtomicBool,
    closing: Closing,
}

/// The server's main-thread side.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    shared: Arc<Shared>,
    pool: Pool,
    ramp_started_us: Option<u64>,
}

/// Makes a server engine, with the slots it wants; `main_loop::run` runs it.
///
/// # Errors
/// A sentence for the user: a port in use, an address that is not local, a limit that leaves no descriptor.
pub fn start(config: ServerConfig) -> io::Result<(Server, usize)> {
    main_loop::prepare()?;
    let listeners = Listeners::bind(&config)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let max = config.common.workers.map_or(MOST_WORKERS, |n| n as usize);
    let slots = cores.min(max).min(listeners.len()).min(MOST_SLOTS);
    let inherited = Arc::clone(listeners.sockets());
    let shared = Arc::new(Shared {
        counters: Counters::new()?,
        listeners,
        slots,
        paused: AtomicBool::new(false),
        closing: Closing::new(Instant::now()),
    });
    let for_workers = Arc::clone(&shared);
    let pool = Pool::new(max, inherited, Arc::new(move |w| worker::run(&w, &for_workers)))?;
    Ok((Server { config, shared, pool, ramp_started_us: None }, slots))
}

impl Engine for Server {
    fn hello(&self, owner: u32) -> Hello {
        Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: Role::Server,
            pid: std::process::id(),
            owner,
            target: self.config.common.target,
            address: config::describe(&self.config.listen),
            port: self.config.common.port,
            ports: self.config.common.ports,
            page: self.shared.counters.page().number(),
        }
    }

    fn stats(&self) -> EngineStats {
        let stats = self.shared.counters.stats(Role::Server);
        EngineStats {
            phase: self.current_phase(),
            target: self.config.common.target,
            ramp_started_us: self.ramp_started_us,
            ..self.pool.described(stats)
        }
    }

    fn phase(&mut self) -> Phase {
        if self.ramp_started_us.is_none() && self.shared.counters.open() > 0 {
            self.ramp_started_us = Some(self.shared.counters.now_us());
        }
        self.current_phase()
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::Pause => self.shared.paused.store(true, Relaxed),
            Command::Resume => {
                self.shared.paused.store(false, Relaxed);
                self.pool.wake_slots();
            }
            Command::Close { mode, per_s } => {
                self.shared.paused.store(true, Relaxed);
                self.shared.closing.start(*mode, *per_s, Instant::now());
                self.pool.close_all();
            }
            // A server opens nothing, so that a rate or a ceiling has nothing to act on.
            Command::Rate { .. } | Command::Target { .. } | Command::Ceiling { .. } | Command::Stop => {}
        }
    }

    fn pool(&mut self) -> &mut Pool {
        &mut self.pool
    }

    fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    fn tables_full(&mut self) {
        let (tables, room) = (self.pool.max(), self.pool.room());
        self.shared.counters.add_error("accept", libc::EMFILE);
        self.shared.counters.note_failed(
            Severity::Critical,
            "tables_full",
            format!(
                "The server's descriptor tables are full ({tables} x {room} connections): it accepts no more, and clients see only a stall. Allow more tables (--workers) or raise the hard limit (ulimit -Hn)."
            ),
            Some(errno::failed("accept", libc::EMFILE)),
        );
    }

    fn worker_failed(&mut self, error: &io::Error) {
        self.shared.counters.note_worker_failed(Role::Server, error);
    }
}

impl Server {
    fn current_phase(&self) -> Phase {
        let open = self.shared.counters.open();
        match self.shared.closing.mode() {
            Some(_) if open == 0 => Phase::Closed,
            Some(_) => Phase::Closing,
            None if self.shared.paused.load(Relaxed) => Phase::Paused,
            None => Phase::Ramping,
        }
    }
}
