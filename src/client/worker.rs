//! One client worker: opens connections while it holds a lane of the ramp, keeps them, sends on the active ones.

#![expect(clippy::cast_possible_truncation, reason = "a greeting of five bytes")]

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use super::Shared;
use super::backoff::{Leave, Seen};
use super::connect::{self, Consequence};
use super::lifetimes::Birth;
use super::plan::Tuple;
use super::traffic::Sender;
use crate::engine::closing::reset_on_close;
use crate::engine::conns::{Conns, number, token};
use crate::engine::page::Word;
use crate::engine::pool::{Notice, Worker};
use crate::engine::wait;
use crate::protocol::{CloseMode, Stop, StopCause, errno};
use crate::sys::{self, Handshake};
use crate::units::micros;

/// Token of the eventfd; connections have their descriptor number.
const WAKE: Token = Token(usize::MAX);

/// Connects under way at once in one lane.
pub const WINDOW: usize = 256;

/// Connects between two looks at the events.
const LOT: u64 = 64;

/// A connect without an answer for so long has failed: SYN was sent at 0, 1, 3 and 7 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long without a success, of connects that have no answer, after which the ramp gives up: two rounds of such connects,
/// of four SYNs each. One may fall into a moment in which the server stands still.
const GIVE_UP_AFTER: Duration = Duration::from_secs(20);

/// How long until a host that cannot be reached is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// How often a client that persists tries the ports again that refuse.
const RETRY_REFUSED: Duration = Duration::from_secs(5);

/// The greeting.
const HELLO: &[u8] = b"hello";

/// State of a connection: connect under way.
const CONNECTING: u8 = 0;
/// State of a connection: established.
const IDLE: u8 = 1;
/// State of a connection: carries traffic.
const ACTIVE: u8 = 2;
/// State of a connection: waits for the rest of its greeting; `GREETING + n` has n bytes to come.
const GREETING: u8 = 10;
/// The same of one whose greeting came back changed so far.
const CHANGED: u8 = 20;

/// A connect under way.
#[derive(Debug, Clone, Copy)]
struct Pending {
    since: Instant,
    tuple: Tuple,
}

struct State<'a> {
    worker: &'a Worker,
    shared: &'a Shared,
    poll: Poll,
    conns: Conns<Birth>,
    pending: HashMap<RawFd, Pending>,
    sender: Option<Sender>,
    scratch: Box<[u8]>,
    /// The tuple in use and how many connections of its run are left.
    run: Option<(Tuple, u64)>,
    /// Since the last [`State::publish`].
    opened: u64,
    closed: u64,
    lost: u64,
    lifetimes: Vec<u64>,
    refused: u64,
    turned_away: u64,
    greeted: u64,
    in_flight_told: u64,
    times: Vec<u64>,
    /// Of the first of `times` the part that was the network's.
    handshake: Option<u64>,
    /// Claims were given back outside the lane: whoever holds a lane has to hear of it.
    given_back: bool,
    /// Connections that all workers had opened when that last changed, and when this was seen.
    success: (u64, Instant),
    /// A connect had no answer since.
    failing: bool,
    next_timeout_scan: Instant,
    next_retry_of_refused: Instant,
    cursor: RawFd,
}

/// Runs one worker.
///
/// # Errors
/// When epoll fails.
pub(super) fn run(worker: &Worker, shared: &Shared) -> io::Result<()> {
    let now = Instant::now();
    let mut state = State {
        worker,
        shared,
        poll: Poll::new()?,
        conns: Conns::default(),
        pending: HashMap::new(),
        sender: shared
            .config
            .traffic
            .map(|t| Sender::new(&t, shared.config.common.target.min(worker.room as u64), now)),
        scratch: vec![0; if shared.traffic.is_some() { 64 * 1024 } else { 1024 }].into_boxed_slice(),
        run: None,
        opened: 0,
        closed: 0,
        lost: 0,
        lifetimes: Vec::new(),
        refused: 0,
        turned_away: 0,
        greeted: 0,
        in_flight_told: 0,
        times: Vec::new(),
        handshake: None,
        given_back: false,
        success: (0, now),
        failing: false,
        next_timeout_scan: now,
        next_retry_of_refused: now,
        cursor: 0,
    };
    let wake = worker.mail.wake_fd();
    state.poll.registry().register(&mut SourceFd(&wake), WAKE, Interest::READABLE)?;
    if state.sender.is_some() {
        // A thread's timers may be 50 us late by default, which is more than a message takes over loopback.
        let _ = sys::exact_timers();
    }
    let mut events = Events::with_capacity(512);
    loop {
        let timeout = state.work();
        state.publish();
        // Messages are due at their own moments.
        let wait = if state.sender.is_some() { wait::exactly } else { wait::coarsely };
        wait(&mut state.poll, &mut events, timeout)?;
        let now = Instant::now();
        for event in &events {
            if event.token() == WAKE {
                state.worker.mail.clear_wake();
            } else {
                state.event(number(event.token()), event, now);
            }
        }
        // What has become of those before decides how many are opened next.
        state.publish();
    }
}

impl State<'_> {
    /// What needs no event; returns how long the next wait for events may take.
    fn work(&mut self) -> Option<Duration> {
        let now = Instant::now();
        if self.worker.mail.closing() {
            return self.close_some(now);
        }
        let mut timeout = None;
        if self.worker.mail.slots() != 0 {
            timeout = self.open_some(now);
        }
        if !self.pending.is_empty() {
            timeout = Some(timeout.unwrap_or(Duration::MAX).min(Duration::from_millis(100)));
            if now >= self.next_timeout_scan {
                self.next_timeout_scan = now + Duration::from_millis(500);
                self.time_out(now);
            }
        }
        if let Some(next) = self.send_due(now) {
            timeout = Some(timeout.unwrap_or(Duration::MAX).min(next));
        }
        timeout
    }

    /// Opens a lot of connections, where ramp, window and table allow it.
    fn open_some(&mut self, now: Instant) -> Option<Duration> {
        let window = WINDOW.saturating_sub(self.pending.len()) as u64;
        let room = self.worker.room.saturating_sub(self.conns.len()) as u64;
        if room == 0 {
            self.hand_on();
            return None;
        }
        if window == 0 {
            return None;
        }
        let lot = match self.shared.ramp.claim(LOT.min(window).min(room), now, &self.shared.totals()) {
            Some(Leave::Open(lot)) => lot,
            Some(Leave::Wait(wait)) => return Some(wait),
            Some(Leave::GiveUp(seen)) => {
                self.server_refuses(seen);
                return None;
            }
            None => {
                self.failing &= !self.pending.is_empty();
                return None;
            }
        };
        self.shared.ramp.begin(self.shared.counters.now_us());
        if self.pending.is_empty() && !self.failing {
            // The time without success counts from here, and not from before a pause or a hand-over.
            self.success.1 = now;
        }
        if self.shared.config.persist && now >= self.next_retry_of_refused {
            self.next_retry_of_refused = now + RETRY_REFUSED;
            self.shared.plan.retry_refused(true);
        }
        for done in 0..lot {
            let Some(tuple) = self.tuple() else {
                self.shared.ramp.give_back(lot - done);
                self.no_tuple_left();
                return None;
            };
            match connect::start(&self.shared.plan, tuple) {
                Ok(fd) => {
                    if let Err(e) = self.watch(fd, tuple, now) {
                        self.give_back(lot - done);
                        self.failed("epoll_ctl", e.raw_os_error().unwrap_or(0), tuple);
                        return None;
                    }
                }
                Err((op, e)) => {
                    let errno = e.raw_os_error().unwrap_or(0);
                    let enough = self.failed(op, errno, tuple);
                    // A full table has given the lane away by now: its next holder may have found nothing to claim.
                    self.give_back(if enough { lot - done } else { 1 });
                    if enough {
                        return Some(if self.failing { AGAIN } else { Duration::ZERO });
                    }
                }
            }
        }
        Some(Duration::ZERO)
    }

    /// The tuple for the next connection: a run of them goes to the same one.
    fn tuple(&mut self) -> Option<Tuple> {
        if let Some((tuple, left)) = &mut self.run
            && *left > 0
        {
            *left -= 1;
            return Some(*tuple);
        }
        let plan = &self.shared.plan;
        // Where every port refuses there is no other to take: the back-off says how often they are tried.
        let (tuple, run) =
            plan.next().or_else(|| plan.retry_refused(self.shared.config.persist).then(|| plan.next())?)?;
        self.run = Some((tuple, run - 1));
        Some(tuple)
    }

    fn watch(&mut self, fd: OwnedFd, tuple: Tuple, now: Instant) -> io::Result<()> {
        let raw = fd.as_raw_fd();
        // Edge-triggered, both directions once: the first event says established, later ones cost nothing while idle.
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(e) = self.poll.registry().register(&mut SourceFd(&raw), token(raw), interest) {
            // On loopback it is established already.
            let _ = reset_on_close(&fd);
            return Err(e);
        }
        self.conns.insert(fd, CONNECTING);
        self.pending.insert(raw, Pending { since: now, tuple });
        Ok(())
    }

    /// Counts a failure and does what it asks for; true when this lane should stop for now.
    fn failed(&mut self, op: &'static str, errno: i32, tuple: Tuple) -> bool {
        // A host that was there is waited for, as one that does not answer: its link may be down for a moment.
        let gone = matches!(errno, libc::EHOSTUNREACH | libc::ENETUNREACH) && self.has_opened();
        let consequence = if gone { Consequence::Retry } else { connect::consequence(op, errno) };
        if consequence == Consequence::TableFull {
            // Not a failure while another table has room: the pool counts it when none has.
            self.hand_on();
            return true;
        }
        let plan = &self.shared.plan;
        if consequence == Consequence::TupleUsedUp {
            self.run = None;
            // Nor is this while another tuple has ports.
            if plan.used_up(tuple) > 0 {
                return false;
            }
        }
        self.shared.counters.add_error(op, errno);
        match consequence {
            Consequence::TableFull | Consequence::TupleUsedUp => {}
            Consequence::PortRefused => {
                self.run = None;
                let left = plan.refused(tuple);
                let persist = self.shared.config.persist;
                let was_there = self.has_opened();
                self.refused += 1;
                // A port that has never taken any is not the server's: it is left out, and no reason to wait.
                self.turned_away += u64::from(plan.has_taken(tuple) || persist);
                if left == 0 && !was_there && !persist {
                    self.stop(
                        StopCause::Refused,
                        (op, errno),
                        "every destination port refuses connections: is the server running, on these ports?".to_owned(),
                    );
                    return true;
                }
            }
            Consequence::Reset => {
                self.refused += 1;
                self.turned_away += 1;
            }
            Consequence::Retry => {
                self.failing = true;
                if self.success.1.elapsed() >= GIVE_UP_AFTER && !self.shared.config.persist {
                    let name = errno::name(errno);
                    self.stop(
                        StopCause::Stall,
                        (op, errno),
                        format!("no connection succeeded for {} s ({name})", GIVE_UP_AFTER.as_secs()),
                    );
                    return true;
                }
                return gone;
            }
            Consequence::Stop(cause) => {
                let text = format!("{op} failed: {}", io::Error::from_raw_os_error(errno));
                self.stop(cause, (op, errno), text);
                return true;
            }
        }
        false
    }

    /// Whether any connection has ever been established.
    fn has_opened(&self) -> bool {
        self.shared.counters.get(Word::Opened) + self.opened > 0
    }

    fn no_tuple_left(&self) {
        let capacity = self.shared.plan.capacity().map_or_else(String::new, |c| format!(" of {c}"));
        self.stop(
            StopCause::Limit,
            ("connect", libc::EADDRNOTAVAIL),
            format!("all local ports{capacity} are used: more destination ports (--ports), more source addresses (--source) or a wider net.ipv4.ip_local_port_range"),
        );
    }

    /// The server takes no more of what it is sent.
    fn server_refuses(&self, seen: Seen) {
        let errors = self.shared.counters.errors();
        let refusals = errors.iter().filter(|e| matches!(e.errno, libc::ECONNREFUSED | libc::ECONNRESET));
        let most = refusals.filter(|_| seen.refused > seen.lost).max_by_key(|e| e.count);
        let text = seen.sentence(self.shared.lifetimes.report().p50_us);
        self.stop(StopCause::Refused, ("connect", most.map_or(0, |e| e.errno)), text);
    }

    fn stop(&self, cause: StopCause, (op, errno): (&str, i32), text: String) {
        self.shared.ramp.stop(Stop { cause, call: errno::failed(op, errno), text });
        self.worker.bell.ring(Notice::Look);
    }

    /// The table is full: gives the lane back.
    fn hand_on(&mut self) {
        self.publish();
        self.worker.hand_on();
    }

    fn event(&mut self, fd: RawFd, event: &Event, now: Instant) {
        let Some(mut state) = self.conns.state(fd) else { return };
        if state == CONNECTING {
            if event.is_error() {
                return self.connect_failed(fd);
            }
            if !event.is_writable() {
                return;
            }
            state = self.established(fd, now);
            if self.conns.get(fd).is_none() {
                return;
            }
        }
        if event.is_error() {
            return self.lose(fd, now);
        }
        if event.is_readable() || event.is_read_closed() {
            self.read(fd, state, event.is_read_closed(), now);
        }
        if event.is_writable()
            && let (Some(sender), Some(traffic)) = (&mut self.sender, &self.shared.traffic)
            && let Some(socket) = self.conns.get(fd)
            && !sender.writable(socket.as_fd(), traffic)
        {
            self.lose(fd, now);
        }
    }

    fn connect_failed(&mut self, fd: RawFd) {
        let Some(socket) = self.conns.remove(fd) else { return };
        let errno = SockRef::from(&socket).take_error().ok().flatten().and_then(|e| e.raw_os_error()).unwrap_or(0);
        drop(socket);
        self.give_back(1);
        if let Some(pending) = self.pending.remove(&fd) {
            self.failed("connect", errno, pending.tuple);
        }
    }

    /// Returns the state the connection is in now.
    fn established(&mut self, fd: RawFd, now: Instant) -> u8 {
        let Some(pending) = self.pending.remove(&fd) else { return IDLE };
        if self.shared.plan.check_self() && self.is_self(fd) {
            self.shared.counters.add_error("self_connect", 0);
            if let Some(socket) = self.conns.remove(fd) {
                let _ = reset_on_close(&socket);
            }
            self.give_back(1);
            return IDLE;
        }
        let took = micros(now.saturating_duration_since(pending.since));
        if self.times.is_empty() {
            let handshake = self.conns.get(fd).and_then(|socket| sys::handshake(socket.as_fd()).ok());
            self.handshake = handshake.map(|h| if let Handshake::Took(us) = h { us } else { took });
        }
        self.times.push(took);
        self.opened += 1;
        self.shared.plan.took(pending.tuple);
        self.failing = false;
        self.conns.set_extra(fd, self.shared.lifetimes.birth(now));
        let mut state = IDLE;
        if self.shared.config.greet
            && let Some(socket) = self.conns.get(fd)
        {
            // Five bytes into an empty send buffer always fit.
            state = if sys::send(socket.as_fd(), HELLO).is_ok() { GREETING + HELLO.len() as u8 } else { IDLE };
        }
        if let (Some(sender), Some(traffic)) = (&mut self.sender, &self.shared.traffic)
            && traffic.choose()
        {
            if let Some(socket) = self.conns.get(fd) {
                // What is due leaves, though what was sent before may not have been acknowledged.
                let _ = SockRef::from(socket).set_tcp_nodelay(true);
            }
            sender.add(fd, now, traffic);
            state = if state == IDLE { ACTIVE } else { state };
        }
        self.conns.set_state(fd, state);
        state
    }

    fn is_self(&self, fd: RawFd) -> bool {
        self.conns.get(fd).is_some_and(|socket| {
            let socket = SockRef::from(socket);
            let local = socket.local_addr().ok().and_then(|a| a.as_socket());
            local.is_some() && local == socket.peer_addr().ok().and_then(|a| a.as_socket())
        })
    }

    /// Reads until there is nothing more.
    fn read(&mut self, fd: RawFd, mut state: u8, ended: bool, now: Instant) {
        loop {
            let Some(socket) = self.conns.get(fd) else { return };
            let n = match sys::recv(socket.as_fd(), &mut self.scratch) {
                Ok(0) => return self.lose(fd, now),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return self.lose(fd, now),
            };
            let mut data = &self.scratch[..n];
            if state > GREETING {
                let base = if state > CHANGED { CHANGED } else { GREETING };
                let (greeting, rest) = data.split_at(usize::from(state - base).min(n));
                let at = HELLO.len() - usize::from(state - base);
                state -= greeting.len() as u8;
                if base == GREETING && &HELLO[at..at + greeting.len()] != greeting {
                    self.shared.counters.add_error("greeting", 0);
                    state += CHANGED - GREETING;
                } else if state == GREETING {
                    self.greeted += 1;
                }
                if matches!(state, GREETING | CHANGED) {
                    state = if self.sender.as_ref().is_some_and(|s| s.has(fd)) { ACTIVE } else { IDLE };
                }
                self.conns.set_state(fd, state);
                data = rest;
            }
            if state == ACTIVE
                && !data.is_empty()
                && let (Some(sender), Some(traffic)) = (&mut self.sender, &self.shared.traffic)
            {
                // The time now, and not that of the events: what was read before has taken its time.
                sender.received(fd, data, Instant::now(), traffic);
            }
            if n < self.scratch.len() && !ended {
                return;
            }
        }
    }

    /// A connection that ended without being asked to.
    fn lose(&mut self, fd: RawFd, now: Instant) {
        let Some(birth) = self.conns.extra(fd) else { return };
        self.conns.remove(fd);
        if let (Some(sender), Some(traffic)) = (&mut self.sender, &self.shared.traffic) {
            sender.remove(fd, traffic);
        }
        self.closed += 1;
        if self.worker.mail.closing() {
            // It was to be closed: who of both was first makes no difference.
            return;
        }
        self.lost += 1;
        self.lifetimes.extend(self.shared.lifetimes.lived(birth, now));
        if !self.shared.ramp.reached() {
            self.give_back(1);
        }
    }

    /// Gives claims back, so that other connections are opened in their place.
    fn give_back(&mut self, n: u64) {
        self.shared.ramp.give_back(n);
        self.given_back = true;
    }

    /// Fails connects that had no answer.
    fn time_out(&mut self, now: Instant) {
        let opened = self.shared.counters.get(Word::Opened);
        if opened != self.success.0 {
            self.success = (opened, now);
        }
        let late = |p: &Pending| now.saturating_duration_since(p.since) > CONNECT_TIMEOUT;
        let fds: Vec<(RawFd, Tuple)> =
            self.pending.iter().filter(|(_, p)| late(p)).map(|(fd, p)| (*fd, p.tuple)).collect();
        for (fd, tuple) in fds {
            self.pending.remove(&fd);
            self.conns.remove(fd);
            self.give_back(1);
            self.failed("connect", libc::ETIMEDOUT, tuple);
        }
    }

    /// Sends what is due; returns how long until the next is.
    fn send_due(&mut self, now: Instant) -> Option<Duration> {
        let (sender, traffic) = (self.sender.as_mut()?, self.shared.traffic.as_ref()?);
        let mut broken = Vec::new();
        let next = sender.send_due(now, &self.conns, traffic, &mut broken);
        for fd in broken {
            self.lose(fd, now);
        }
        next
    }

    fn close_some(&mut self, now: Instant) -> Option<Duration> {
        let reset = self.shared.closing.mode() == Some(CloseMode::Rst);
        for (fd, _) in self.pending.drain() {
            if let Some(socket) = self.conns.remove(fd)
                && reset
            {
                // Established meanwhile, perhaps, without having been told: what is then closed stays in TIME_WAIT.
                let _ = reset_on_close(&socket);
            }
            self.shared.ramp.give_back(1);
        }
        if let Some(sender) = &mut self.sender {
            sender.clear();
        }
        if self.conns.is_empty() {
            return None;
        }
        let (closed, wait) = self.shared.closing.turn(&mut self.conns, &mut self.cursor, now);
        self.closed += closed;
        Some(wait)
    }

    /// Tells the shared counters what this batch did.
    fn publish(&mut self) {
        let counters = &self.shared.counters;
        self.worker.mail.set_used(self.conns.len());
        let in_flight = self.pending.len() as u64;
        counters.change(Word::InFlight, std::mem::replace(&mut self.in_flight_told, in_flight), in_flight);
        if self.opened > 0 {
            let open = counters.add_opened(std::mem::take(&mut self.opened));
            counters.add_connects(&self.times, self.handshake.take());
            self.times.clear();
            if self.shared.ramp.check_reached(open) {
                self.worker.bell.ring(Notice::Look);
            }
        }
        if std::mem::take(&mut self.given_back) && self.worker.mail.slots() == 0 {
            self.worker.bell.ring(Notice::Look);
        }
        if self.refused > 0 {
            counters.add(Word::Refused, std::mem::take(&mut self.refused));
            self.shared.turned_away.fetch_add(std::mem::take(&mut self.turned_away), Relaxed);
        }
        if !self.lifetimes.is_empty() {
            self.shared.lifetimes.add(&self.lifetimes);
            self.lifetimes.clear();
        }
        if self.greeted > 0 {
            counters.add(Word::Greeted, std::mem::take(&mut self.greeted));
        }
        if self.closed > 0 {
            counters.add_closed(std::mem::take(&mut self.closed), std::mem::take(&mut self.lost));
            self.worker.ring_if_wanted();
        }
    }
}
