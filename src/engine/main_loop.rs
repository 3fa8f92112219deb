//! The main thread of an engine: control socket, notices of the workers, phases.

use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::parent_id;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::control::{Control, Incoming, OWNER};
use super::counters::Counters;
use super::page::Word;
use super::pool::{MOST_SLOTS, Notice, Pool};
use super::socket::Listening;
use super::wait;
use crate::protocol::{CloseMode, Command, EngineStats, Hello, Phase, Reply, Severity};
use crate::sys;

/// Token of the workers' bell.
const BELL: Token = Token(0);

/// How often the phase is looked at while it may change by itself, and the report renewed.
const TICK: Duration = Duration::from_millis(100);

/// The longest time between two beats, which tells an engine that has nothing to do from one that is stopped.
const BEAT: Duration = Duration::from_millis(200);

/// How long the end of a process that was told to end may wait for connections to be reset.
pub const LAST_CLOSE: Duration = Duration::from_millis(400);

/// The same of one whose owner has gone, for as long as the reset goes on: nobody waits for it.
const UNWATCHED_CLOSE: Duration = Duration::from_secs(5);

/// What makes an engine a server or a client.
pub trait Engine {
    /// The greeting.
    fn hello(&self, owner: u32) -> Hello;
    /// Everything it knows.
    fn stats(&self) -> EngineStats;
    /// What it is doing, derived from its state.
    fn phase(&mut self) -> Phase;
    /// Carries out a command other than `Stop`.
    fn command(&mut self, command: &Command);
    /// The workers and their slots.
    fn pool(&mut self) -> &mut Pool;
    /// Its counters.
    fn counters(&self) -> &Counters;
    /// Every table is full and no worker may be added; called once each time that begins.
    fn tables_full(&mut self);
    /// A worker could not be started or ended with an error.
    fn worker_failed(&mut self, error: &io::Error);
}

/// Prepares the process: limits, OOM score, what the end of the parent does.
///
/// # Errors
/// When the descriptor limit cannot be raised to the hard one.
pub fn prepare() -> io::Result<()> {
    sys::raise_nofile()?;
    // The kernel shall take the engine and not the terminal; raising needs no privilege. Not fatal where /proc is read-only.
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
    sys::wake_with_parent()
}

/// Runs until told to stop or the owner has gone. `channel` is the owner's connection, `listening` where others connect.
///
/// # Errors
/// When epoll fails.
pub fn run(
    engine: &mut dyn Engine,
    slots: usize,
    channel: UnixStream,
    listening: io::Result<Listening>,
) -> io::Result<()> {
    let owner = parent_id();
    let listening = listening
        .inspect_err(|e| {
            let text =
                format!("No other dashboard can attach to this engine: its control socket cannot be created ({e}).");
            engine.counters().note(Severity::Info, "no_control_socket", text);
        })
        .ok();
    let mut poll = Poll::new()?;
    let bell = std::sync::Arc::clone(engine.pool().bell());
    poll.registry().register(&mut SourceFd(&bell.fd()), BELL, Interest::READABLE)?;
    let mut control = Control::new(poll.registry(), channel, listening)?;
    for slot in 0..slots {
        engine.pool().place(slot)?;
    }
    report(engine);
    control.send(OWNER, &Reply::Hello(engine.hello(owner)));
    let mut reported = Instant::now();
    let mut events = Events::with_capacity(64);
    let mut incoming = Vec::new();
    let mut phase = Phase::Starting;
    loop {
        let now = engine.phase();
        engine.counters().page().beat();
        if now != phase || reported.elapsed() >= TICK {
            report(engine);
            reported = Instant::now();
        }
        if now != phase {
            phase = now;
            control.broadcast(&Reply::Phase { phase });
        }
        let moving = matches!(phase, Phase::Starting | Phase::Ramping | Phase::Guarded | Phase::Closing);
        let timeout = Some(if moving { TICK } else { BEAT });
        wait::coarsely(&mut poll, &mut events, timeout)?;
        for event in &events {
            if event.token() == BELL {
                notices(engine);
            } else {
                control.event(poll.registry(), event.token(), &mut incoming);
            }
        }
        for message in incoming.drain(..) {
            match message {
                Incoming::Joined(peer) => control.send(peer, &Reply::Hello(engine.hello(owner))),
                Incoming::Command(_, Command::Stop) => {
                    control.broadcast(&Reply::Bye);
                    reset_all(engine, LAST_CLOSE, false);
                    return Ok(());
                }
                Incoming::OwnerGone => {
                    // No farewell: whoever else watches shall see that the run has died.
                    reset_all(engine, UNWATCHED_CLOSE, true);
                    return Ok(());
                }
                Incoming::Command(peer, command) => {
                    engine.command(&command);
                    // Whoever hears that it was taken shall see what it did.
                    report(engine);
                    control.send(peer, &Reply::Ok);
                }
                Incoming::Refused(why) => {
                    let text = format!("The control socket refused {why}.");
                    engine.counters().note(Severity::Warning, "control_refused", text);
                    report(engine);
                }
            }
        }
    }
}

/// Leaves what is more than a counter for whoever watches.
fn report(engine: &dyn Engine) {
    engine.counters().page().report(engine.stats());
}

/// Resets what is still open before the process ends: closed by its end, connections would stay in `TIME_WAIT`. Bounded by
/// `patience`, from now or (`goes_on`) from the last that was closed.
fn reset_all(engine: &mut dyn Engine, patience: Duration, goes_on: bool) {
    // On loopback a connect under way is established as a rule.
    let open = |engine: &dyn Engine| {
        let counters = engine.counters();
        counters.get(Word::Open) + counters.get(Word::InFlight)
    };
    let mut left = open(engine);
    if left == 0 {
        return;
    }
    engine.command(&Command::Close { mode: CloseMode::Rst, per_s: None });
    let mut deadline = Instant::now() + patience;
    while left > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
        engine.counters().page().beat();
        let now = open(engine);
        if goes_on && now < left {
            deadline = Instant::now() + patience;
        }
        left = now;
    }
}

/// Hands slots on and looks for workers that ended.
fn notices(engine: &mut dyn Engine) {
    let bell = std::sync::Arc::clone(engine.pool().bell());
    let parked_before = engine.pool().parked();
    let mut result = engine.pool().retry_parked();
    for notice in bell.take() {
        match notice {
            Notice::Full { slots } => {
                for slot in (0..MOST_SLOTS).filter(|slot| slots & 1 << slot != 0) {
                    let placed = engine.pool().place(slot);
                    result = result.and(placed);
                }
            }
            // Among other things a worker without a slot may have given claims back: those that hold one go on.
            Notice::Look => engine.pool().wake_slots(),
        }
    }
    let failure = engine.pool().failure();
    if let Some(e) = result.err().or(failure) {
        engine.worker_failed(&e);
    }
    if engine.pool().parked() > parked_before {
        engine.tables_full();
    }
}
