//! One server worker: accepts while it holds a slot, echoes on what it accepted.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::Shared;
use super::echo::{Echo, Outcome};
use crate::engine::closing::reset_on_close;
use crate::engine::conns::{Conns, number, token};
use crate::engine::page::Word;
use crate::engine::pool::Worker;
use crate::engine::wait;
use crate::sys;

/// Token of the eventfd.
const WAKE: Token = Token(usize::MAX);

/// Token of the listeners' epoll; connections have their descriptor number.
const ARRIVALS: Token = Token(usize::MAX - 1);

/// Connections taken from one listener before the next has its turn.
const PER_LISTENER: usize = 64;

/// Listeners are left alone so long after something was taken from them, so that arrivals gather: on few cores a wake-up for
/// every connection halves the rate, and a rest of 1 ms costs a quarter of it (measured). What has been accepted is not kept
/// waiting meanwhile.
const GATHER: Duration = Duration::from_micros(200);

/// A round this large shows that there is no need to gather.
const LARGE_BATCH: usize = 256;

/// How long to leave the listeners alone when the machine refused a descriptor (`ENFILE`, `ENOBUFS`, `ENOMEM`).
const REFUSED_WAIT: Duration = Duration::from_millis(100);

/// State of a connection: nothing unusual.
const IDLE: u8 = 0;
/// State of a connection: registered for writing too, because an echo is unfinished.
const BLOCKED: u8 = 1;

struct State<'a> {
    worker: &'a Worker,
    shared: &'a Shared,
    poll: Poll,
    conns: Conns,
    echo: Echo,
    listeners: &'a [OwnedFd],
    /// The slots whose listeners are registered, a bit each.
    slots: u64,
    /// The listeners' own epoll, inside of `poll` while nothing arrives.
    arrivals: Poll,
    arrived: Events,
    /// Something has arrived, or did so in the round before: `arrivals` is looked at from time to time.
    look: bool,
    /// `arrivals` is inside of `poll`, and wakes this worker.
    inside: bool,
    /// Listeners with something in their queue, by index.
    ready: Vec<usize>,
    /// When the next round may begin.
    rest_until: Instant,
    /// Connections that used up their turn.
    again: Vec<RawFd>,
    /// Counted, not yet told to the counters.
    closed: u64,
    lost: u64,
    /// Echo bytes last told.
    buffered: u64,
    cursor: RawFd,
}

/// Runs one worker.
///
/// # Errors
/// When epoll fails.
pub(super) fn run(worker: &Worker, shared: &Shared) -> io::Result<()> {
    let mut state = State {
        worker,
        shared,
        poll: Poll::new()?,
        conns: Conns::default(),
        echo: Echo::new(),
        listeners: &shared.listeners,
        slots: 0,
        arrivals: Poll::new()?,
        arrived: Events::with_capacity(64),
        look: false,
        inside: false,
        ready: Vec::new(),
        rest_until: Instant::now(),
        again: Vec::new(),
        closed: 0,
        lost: 0,
        buffered: 0,
        cursor: 0,
    };
    let wake = worker.mail.wake_fd();
    state.poll.registry().register(&mut SourceFd(&wake), WAKE, Interest::READABLE)?;
    let mut events = Events::with_capacity(512);
    loop {
        let timeout = state.work()?;
        state.publish();
        wait::exactly(&mut state.poll, &mut events, timeout)?;
        for event in &events {
            match event.token() {
                WAKE => state.worker.mail.clear_wake(),
                ARRIVALS => state.look = true,
                connection => state.connection(number(connection), event),
            }
        }
    }
}

impl State<'_> {
    /// What needs no event; returns how long the next wait for events may take.
    fn work(&mut self) -> io::Result<Option<Duration>> {
        for fd in std::mem::take(&mut self.again) {
            self.turn(fd, true);
        }
        if self.worker.mail.closing() {
            return Ok(self.close_some());
        }
        self.follow_slots()?;
        let rest = self.accept_some()?;
        Ok(if self.again.is_empty() { rest } else { Some(Duration::ZERO) })
    }

    /// Registers the listeners of the slots that were handed over.
    fn follow_slots(&mut self) -> io::Result<()> {
        let slots = self.worker.mail.slots();
        let added = slots & !self.slots;
        for index in (0..self.listeners.len()).filter(|index| added & self.slot_of(*index) != 0) {
            let listener = self.listeners[index].as_raw_fd();
            // What came before is reported by it too.
            self.arrivals.registry().register(&mut SourceFd(&listener), Token(index), Interest::READABLE)?;
        }
        self.look |= added != 0;
        self.slots |= added;
        Ok(())
    }

    /// The slot that a listener belongs to, as its bit.
    fn slot_of(&self, index: usize) -> u64 {
        1 << (index % self.shared.slots)
    }

    fn leave_listeners(&mut self) {
        for index in (0..self.listeners.len()).filter(|i| self.slots & self.slot_of(*i) != 0) {
            let _ = self.arrivals.registry().deregister(&mut SourceFd(&self.listeners[index].as_raw_fd()));
        }
        self.slots = 0;
        self.ready.clear();
    }

    /// Whether arrivals are announced by an event.
    fn tell_of_arrivals(&mut self, tell: bool) -> io::Result<()> {
        if std::mem::replace(&mut self.inside, tell) == tell {
            return Ok(());
        }
        let arrivals = self.arrivals.as_raw_fd();
        let (registry, mut source) = (self.poll.registry(), SourceFd(&arrivals));
        if tell {
            registry.register(&mut source, ARRIVALS, Interest::READABLE)
        } else {
            registry.deregister(&mut source)
        }
    }

    /// A round over the listeners, if it is time for one; returns how long until the next.
    fn accept_some(&mut self) -> io::Result<Option<Duration>> {
        if self.slots == 0 || !self.look || self.shared.paused.load(Relaxed) {
            return Ok(None);
        }
        let now = Instant::now();
        if now < self.rest_until {
            return Ok(Some(self.rest_until - now));
        }
        wait::coarsely(&mut self.arrivals, &mut self.arrived, Some(Duration::ZERO))?;
        for Token(index) in self.arrived.iter().map(Event::token) {
            if !self.ready.contains(&index) {
                self.ready.push(index);
            }
        }
        // Nobody came while nobody was told: from now on somebody is, and at once if one came just now.
        self.look = !self.ready.is_empty();
        self.tell_of_arrivals(!self.look)?;
        if !self.look {
            return Ok(None);
        }
        let rest = self.accept();
        self.publish();
        self.rest_until = now + rest;
        Ok(Some(rest))
    }

    /// One round over the listeners that have something; returns how long to leave them alone.
    fn accept(&mut self) -> Duration {
        let (mut accepted, mut opened) = (0, 0);
        let mut rest = GATHER;
        let mut at = 0;
        'listeners: while at < self.ready.len() {
            let listener = self.listeners[self.ready[at]].as_fd();
            for _ in 0..PER_LISTENER {
                if self.conns.len() >= self.worker.room {
                    self.hand_on();
                    break 'listeners;
                }
                match sys::accept(listener) {
                    Ok(fd) => {
                        opened += u64::from(self.take(fd));
                        accepted += 1;
                    }
                    Err(e) => match e.raw_os_error() {
                        Some(libc::EAGAIN) => {
                            self.ready.swap_remove(at);
                            continue 'listeners;
                        }
                        Some(libc::ECONNABORTED | libc::EINTR) => {}
                        Some(libc::EMFILE) => {
                            self.hand_on();
                            break 'listeners;
                        }
                        other => {
                            self.shared.counters.add_error("accept", other.unwrap_or(0));
                            rest = REFUSED_WAIT;
                            break 'listeners;
                        }
                    },
                }
            }
            at += 1;
        }
        self.shared.counters.add_opened(opened);
        if rest == GATHER && (accepted >= LARGE_BATCH || !self.ready.is_empty()) { Duration::ZERO } else { rest }
    }

    /// Takes in what was accepted; false where it cannot be watched.
    fn take(&mut self, fd: OwnedFd) -> bool {
        let raw = fd.as_raw_fd();
        match self.poll.registry().register(&mut SourceFd(&raw), token(raw), Interest::READABLE) {
            Ok(()) => {
                self.conns.insert(fd, IDLE);
                true
            }
            // ENOSPC: fs.epoll.max_user_watches. The client sees the reset, and nothing stays in TIME_WAIT.
            Err(e) => {
                let _ = reset_on_close(&fd);
                self.shared.counters.add_error("epoll_ctl", e.raw_os_error().unwrap_or(0));
                false
            }
        }
    }

    /// The table is full: leaves the listeners and gives the slot back.
    fn hand_on(&mut self) {
        self.leave_listeners();
        self.publish();
        self.worker.hand_on();
    }

    fn connection(&mut self, fd: RawFd, event: &Event) {
        if self.conns.state(fd).is_none() {
            return;
        }
        // An error is pending (a reset, as a rule): there is nobody left to echo to.
        if event.is_error() {
            self.close(fd);
        } else {
            self.turn(fd, event.is_read_closed());
        }
    }

    /// Echoes on one connection.
    fn turn(&mut self, fd: RawFd, ended: bool) {
        let (Some(socket), Some(state)) = (self.conns.get(fd), self.conns.state(fd)) else { return };
        let want = match self.echo.turn(socket.as_fd(), ended) {
            Outcome::Drained => IDLE,
            Outcome::Again => {
                self.again.push(fd);
                IDLE
            }
            Outcome::Blocked => BLOCKED,
            Outcome::Closed => return self.close(fd),
            Outcome::Failed(errno) => {
                self.shared.counters.add_error("read", errno);
                self.lost += 1;
                return self.close(fd);
            }
        };
        if want != state {
            let interest = if want == BLOCKED { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            let _ = self.poll.registry().reregister(&mut SourceFd(&fd), token(fd), interest);
            self.conns.set_state(fd, want);
        }
    }

    fn close(&mut self, fd: RawFd) {
        if self.conns.remove(fd).is_some() {
            self.echo.forget(fd);
            self.closed += 1;
        }
    }

    fn close_some(&mut self) -> Option<Duration> {
        self.leave_listeners();
        if self.conns.is_empty() {
            self.echo.clear();
            return None;
        }
        let (closed, wait) = self.shared.closing.turn(&mut self.conns, &mut self.cursor, Instant::now());
        self.closed += closed;
        Some(wait)
    }

    /// Tells the shared counters what this batch did.
    fn publish(&mut self) {
        self.worker.mail.set_used(self.conns.len());
        if self.closed > 0 {
            self.shared.counters.add_closed(self.closed, self.lost);
            (self.closed, self.lost) = (0, 0);
            self.worker.ring_if_wanted();
        }
        let buffered = self.echo.buffered();
        self.shared.counters.change(Word::Buffered, std::mem::replace(&mut self.buffered, buffered), buffered);
    }
}
