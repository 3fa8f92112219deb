//! The probe thread: takes a sample each interval, more often while connections come or go, and at once when an engine's
//! phase changes; passes commands on.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};

use super::link::{FromEngine, Link};
use crate::probe::Sampler;
use crate::protocol::{Command, Phase, Role};
use crate::sample::{EngineReading, Sample};
use crate::units::micros;

/// Time between two samples while connections come or go: what was reached before a death, and what is foretold in the first
/// second, are not left to chance.
const MOVING: Duration = Duration::from_millis(200);

/// Connections a second, of whatever process, from which on they come or go.
const MOVES_PER_S: u64 = 100;

/// An engine that has not been awake for so long may have stopped.
const QUIET_MS: u64 = 1000;

/// Token of the waker; link `i` has token `i`.
const WAKE: Token = Token(usize::MAX);

/// What the thread reports.
#[derive(Debug)]
pub(super) enum Report {
    /// A sample.
    Sample {
        /// When its reading began: nothing in it is older.
        at: Instant,
        /// What was read.
        sample: Arc<Sample>,
        /// It is one that is shown; those between two of these only make what is shown right.
        shown: bool,
    },
    /// The control connection of this process has ended; `bye`: it was told to end.
    Gone {
        /// The process.
        pid: u32,
        /// It said goodbye.
        bye: bool,
    },
    /// An engine refused a command.
    Refused(String),
}

/// Orders to the thread.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Order {
    /// Send this to the engines of a role (`None`: all).
    Tell(Option<Role>, Command),
    /// Take a sample now.
    Sample,
}

/// The other side's handle. Dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Handle {
    orders: Sender<Order>,
    waker: Arc<Waker>,
}

impl Handle {
    pub(super) fn give(&self, order: Order) {
        // An error means that the thread has ended, which it reports by itself.
        let _ = self.orders.send(order);
        let _ = self.waker.wake();
    }
}

struct Watcher {
    sampler: Sampler,
    started: Instant,
    /// Also of engines that have ended.
    links: Vec<Link>,
    poll: Poll,
    events: Events,
    orders: Receiver<Order>,
    /// Between two samples that are shown.
    interval: Duration,
    /// Something happened that is worth a sample at once.
    due: bool,
    /// Connections come or go.
    moving: bool,
    /// When sockets were last counted, and how many there were.
    sockets: Option<(Duration, u64)>,
    /// Failures of all engines as last counted: when they rise, limits and settings are read anew.
    failures: u64,
}

/// Starts the thread.
pub(super) fn start<T>(
    sampler: Sampler,
    mut links: Vec<Link>,
    interval: Duration,
    to: SyncSender<T>,
) -> io::Result<(Handle, thread::JoinHandle<()>)>
where
    T: From<Report> + Send + 'static,
{
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
    let (give, orders) = channel();
    for (i, link) in links.iter_mut().enumerate() {
        link.register(poll.registry(), Token(i))?;
    }
    let mut watcher = Watcher {
        sampler,
        started: Instant::now(),
        links,
        poll,
        events: Events::with_capacity(16),
        orders,
        interval,
        due: false,
        moving: false,
        sockets: None,
        failures: 0,
    };
    let thread = thread::Builder::new().name("probe".into()).spawn(move || {
        // The receiver has gone: the program is ending.
        let _ = watcher.run(&to);
    })?;
    Ok((Handle { orders: give, waker }, thread))
}

/// The other end of a channel has gone.
struct Ended;

impl Watcher {
    fn run<T: From<Report>>(&mut self, to: &SyncSender<T>) -> Result<(), Ended> {
        let mut next = Instant::now();
        let mut between = next;
        loop {
            let until = match (self.due, self.moving) {
                (true, _) => Instant::now(),
                (false, true) => next.min(between),
                (false, false) => next,
            };
            self.wait(until, to)?;
            self.obey()?;
            let now = Instant::now();
            let beat = now >= next;
            let shown = beat || self.due;
            if shown || (self.moving && now >= between) {
                // Only a sample of the beat moves the beat; after a stop (a suspended terminal, a frozen machine) the missed
                // ones are not made up for.
                if beat {
                    next = (next + self.interval).max(now);
                }
                between = now + MOVING;
                self.due = false;
                self.sample(to, shown)?;
            }
        }
    }

    /// Waits until `until` at the longest, or for something from an engine or the program.
    fn wait<T: From<Report>>(&mut self, until: Instant, to: &SyncSender<T>) -> Result<(), Ended> {
        let timeout = until.saturating_duration_since(Instant::now());
        // Interrupted by a signal is a wait that was short.
        let _ = self.poll.poll(&mut self.events, Some(timeout));
        let tokens: Vec<Token> = self.events.iter().map(mio::event::Event::token).collect();
        for Token(i) in tokens {
            let Some(link) = self.links.get_mut(i) else { continue };
            let pid = link.hello().pid;
            for message in link.read() {
                match message {
                    FromEngine::PhaseChanged => self.sample_anew(),
                    FromEngine::Refused(text) => send(to, Report::Refused(text))?,
                    FromEngine::Gone { bye } => {
                        send(to, Report::Gone { pid, bye })?;
                        self.due = true;
                    }
                }
            }
        }
        Ok(())
    }

    /// Carries out what was ordered.
    fn obey(&mut self) -> Result<(), Ended> {
        loop {
            match self.orders.try_recv() {
                Ok(Order::Sample) => self.sample_anew(),
                Ok(Order::Tell(role, command)) => {
                    for link in self.links.iter_mut().filter(|l| role.is_none_or(|r| r == l.hello().role)) {
                        // A broken connection is reported when it is read.
                        let _ = link.send(&command);
                    }
                }
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(Ended),
            }
        }
    }

    /// Has a sample taken at once, with what is kept between samples read anew.
    fn sample_anew(&mut self) {
        self.due = true;
        self.sampler.refresh();
    }

    /// One pass: the engines' counters at one instant, then the kernel.
    fn sample<T: From<Report>>(&mut self, to: &SyncSender<T>, shown: bool) -> Result<(), Ended> {
        let began = Instant::now();
        let at = began.duration_since(self.started);
        let reading = |link: &mut Link| EngineReading { stats: link.stats(), hello: link.hello().clone() };
        let engines: Vec<EngineReading> = self.links.iter_mut().map(reading).collect();
        let counted = engines.iter().filter_map(|e| e.stats.as_ref().ok()).flat_map(|s| &s.errors);
        let failures = counted.map(|e| e.count).sum();
        if std::mem::replace(&mut self.failures, failures) != failures {
            self.sampler.refresh();
        }
        let (kernel, own) = self.sampler.read();
        let sample = Sample::join(at, kernel, engines, own);
        self.moving = self.moves(at, &sample);
        send(to, Report::Sample { at: began, sample: Arc::new(sample), shown })
    }

    /// Whether connections come or go: those of a client by what it is doing, those of any other by the sockets there are. An
    /// engine that may have stopped is watched as closely: how long it did not run is reported when it does again.
    fn moves(&mut self, at: Duration, sample: &Sample) -> bool {
        let ramps = |phase| matches!(phase, Phase::Ramping | Phase::Closing);
        let client = sample.engine(Role::Client).is_some_and(|client| ramps(client.phase)) || sample.is_unaccepted();
        let quiet = sample.counters().any(|engine| engine.silent_ms >= QUIET_MS);
        let sockets = sample.kernel.net.tcp_sockets().ok().map(|n| (at, n));
        let before = std::mem::replace(&mut self.sockets, sockets);
        let per_s = before.zip(sockets).map(|((then, n), (now, m))| {
            n.abs_diff(m).saturating_mul(1000) / (micros(now.saturating_sub(then)) / 1000).max(1)
        });
        client || quiet || per_s.is_some_and(|n| n >= MOVES_PER_S)
    }
}

fn send<T: From<Report>>(to: &SyncSender<T>, report: Report) -> Result<(), Ended> {
    to.send(report.into()).map_err(|_| Ended)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::sync_channel;

    use super::super::link::tests::hello;
    use super::*;
    use crate::engine::page::Page;
    use crate::probe::Roots;
    use crate::protocol::PROTOCOL;

    #[test]
    fn a_command_does_not_wait_for_the_next_sample() {
        let page = Page::new().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut engine = BufReader::new(theirs);
        engine.get_mut().write_all(&hello(PROTOCOL, &page)).unwrap();
        // Only a defect makes it wait for this long.
        engine.get_ref().set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let link = Link::greeted(ours, Duration::from_mins(1)).unwrap();
        let sampler = Sampler::new(Roots::default(), &[]).unwrap();
        let (to, reports) = sync_channel::<Report>(64);
        let (handle, _) = start(sampler, vec![link], Duration::from_hours(1), to).unwrap();
        let Report::Sample { sample, shown: true, .. } = reports.recv().unwrap() else { panic!("no sample") };
        assert!(sample.engines[0].stats.is_err(), "an engine without a report delays no sample");
        for order in [Command::Pause, Command::Stop] {
            handle.give(Order::Tell(None, order.clone()));
            let mut heard = String::new();
            engine.read_line(&mut heard).expect("the command");
            assert_eq!(serde_json::from_str::<Command>(&heard).unwrap(), order);
        }
    }
}
