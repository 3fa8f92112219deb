//! Messages on the active connections: sent on a fixed schedule (open loop), echoed by the server and compared. Latency
//! counts from when a message was *due*, so that a sender that falls behind cannot hide it (coordinated omission).

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "positions in a message and in the pattern, in memory as they are; a count of connections"
)]

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::lifetimes::Birth;
use super::schedule::{Place, Schedule, Turn};
use crate::engine::config::TrafficConfig;
use crate::engine::conns::Conns;
use crate::engine::counters::{LONGEST_WAIT_US, histogram, latency, lock, record, spread, written};
use crate::protocol::Traffic;
use crate::sys;
use crate::units::{micros, whole};

/// Period of the byte pattern: a prime, so that a lost or doubled block of any round size shows.
const PERIOD: usize = 251;

/// Most bytes written or compared at once.
const CHUNK: usize = 64 * 1024;

/// The pattern, long enough for a chunk from any phase.
static PATTERN: [u8; CHUNK + PERIOD] = {
    let mut bytes = [0; CHUNK + PERIOD];
    let mut i = 0;
    while i < bytes.len() {
        bytes[i] = (i % PERIOD) as u8;
        i += 1;
    }
    bytes
};

/// Messages sent before the events are looked at again.
const LOT: usize = 256;

/// What leaves later than this after it was due is late, and a tenth of a shorter time between two messages is not looked at:
/// a scheduler's hiccup is no load that cannot be carried.
const HICCUP: Duration = Duration::from_millis(5);

/// From the target on messages count that are due after so long: none of them has been sent when the counts begin anew.
const SETTLE: Duration = Duration::from_millis(10);

/// Most messages of one connection without an answer: what is kept of each must not outgrow the socket's own buffers.
const MOST_UNANSWERED: usize = 4096;

/// What all workers count.
#[derive(Debug)]
pub(super) struct TrafficCounters {
    config: TrafficConfig,
    start: Instant,
    /// Messages count that were due at so many microseconds after `start`, or later.
    from_us: AtomicU64,
    candidates: AtomicU64,
    active: AtomicU64,
    sent: AtomicU64,
    echoed: AtomicU64,
    echoed_bytes: AtomicU64,
    mismatched: AtomicU64,
    late: AtomicU64,
    overdue: AtomicU64,
    skipped: AtomicU64,
    echo: Mutex<Histogram<u32>>,
}

impl TrafficCounters {
    /// `first` connections are others': those of the parts of the run before this one.
    pub(super) fn new(config: TrafficConfig, first: u64, start: Instant) -> io::Result<Self> {
        let zero = || AtomicU64::new(0);
        Ok(Self {
            config,
            start,
            from_us: zero(),
            candidates: AtomicU64::new(first),
            active: zero(),
            sent: zero(),
            echoed: zero(),
            echoed_bytes: zero(),
            mismatched: zero(),
            late: zero(),
            overdue: zero(),
            skipped: zero(),
            echo: Mutex::new(histogram(LONGEST_WAIT_US)?),
        })
    }

    /// Whether the next established connection is an active one: exactly the share, evenly spread, over all
    /// parts of a run.
    pub(super) fn choose(&self) -> bool {
        let n = self.candidates.fetch_add(1, Relaxed) as f64;
        ((n + 1.0) * self.config.share).floor() > (n * self.config.share).floor()
    }

    /// Counts anew, but for mismatches: what was sent while connections were being opened tells of the ramp, not of the load.
    /// A message that is under way counts neither as sent nor as echoed.
    pub(super) fn restart(&self, now: Instant) {
        self.from_us.store(micros((now + SETTLE).saturating_duration_since(self.start)), Relaxed);
        for counter in [&self.sent, &self.echoed, &self.late, &self.overdue, &self.skipped] {
            counter.store(0, Relaxed);
        }
        lock(&self.echo).reset();
    }

    /// Whether a message that was due then counts.
    fn counts(&self, due: Instant) -> bool {
        micros(due.saturating_duration_since(self.start)) >= self.from_us.load(Relaxed)
    }

    /// How the times of echoes are spread, and their sum.
    pub(super) fn spread(&self) -> (Vec<u64>, u64) {
        spread(&lock(&self.echo))
    }

    /// All of them.
    pub(super) fn times(&self) -> String {
        written(&lock(&self.echo))
    }

    pub(super) fn report(&self) -> Traffic {
        // Before what was sent: of what is echoed here, that has been counted then.
        let echoed = self.echoed.load(Acquire);
        Traffic {
            active: self.active.load(Relaxed),
            message: self.config.message,
            every_us: self.config.every_us,
            no_wait: !self.config.wait,
            sent: self.sent.load(Relaxed),
            echoed,
            echoed_bytes: self.echoed_bytes.load(Relaxed),
            mismatched: self.mismatched.load(Relaxed),
            late: self.late.load(Relaxed),
            overdue: self.overdue.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            echo: latency(&lock(&self.echo)),
        }
    }
}

/// One active connection.
#[derive(Debug)]
struct Active {
    /// Where in the schedule it is, and since when.
    place: Place,
    since: Instant,
    /// When the oldest message without an answer was due; `None` when all have come back.
    due: Option<Instant>,
    /// The same of those after it; empty where each is waited for.
    later: VecDeque<Instant>,
    /// Bytes sent of the newest message; `None` once it has been sent whole.
    sending: Option<u64>,
    /// Bytes that have come back of the oldest.
    received: u64,
    /// Phases of the pattern of the newest and of the oldest message.
    sent_phase: usize,
    echo_phase: usize,
    differs: bool,
}

/// The active connections of one worker and their schedule.
#[derive(Debug)]
pub(super) struct Sender {
    message: u64,
    /// Whether a message waits for the one before to come back.
    wait: bool,
    /// What is sent later than this after it was due is late.
    late: Duration,
    /// What is sent later than this is not the load that was asked for.
    grace: Duration,
    schedule: Schedule,
    active: HashMap<RawFd, Active>,
}

impl Sender {
    /// For a worker that may hold `most` connections.
    pub(super) fn new(config: &TrafficConfig, most: u64, now: Instant) -> Self {
        let every = Duration::from_micros(config.every_us.max(1));
        let late = every.min(HICCUP);
        Self {
            message: config.message,
            wait: config.wait,
            late,
            grace: late.max(every / 10),
            schedule: Schedule::new(every, whole(most as f64 * config.share), now),
            active: HashMap::new(),
        }
    }

    /// Adds a connection, at the next place of the schedule.
    pub(super) fn add(&mut self, fd: RawFd, now: Instant, counters: &TrafficCounters) {
        counters.active.fetch_add(1, Relaxed);
        let phase = fd.cast_unsigned() as usize % PERIOD;
        let active = Active {
            place: self.schedule.add(fd, now),
            since: now,
            due: None,
            later: VecDeque::new(),
            sending: None,
            received: 0,
            sent_phase: phase,
            echo_phase: (phase + 1) % PERIOD,
            differs: false,
        };
        self.active.insert(fd, active);
    }

    pub(super) fn has(&self, fd: RawFd) -> bool {
        self.active.contains_key(&fd)
    }

    /// Forgets a connection that has ended.
    pub(super) fn remove(&mut self, fd: RawFd, counters: &TrafficCounters) {
        if let Some(active) = self.active.remove(&fd) {
            self.schedule.remove(active.place);
            counters.active.fetch_sub(1, Relaxed);
        }
    }

    /// Forgets all: the run is over, and the count of those that were active stays for its report.
    pub(super) fn clear(&mut self) {
        self.active.clear();
        self.schedule.clear();
    }

    /// Sends what is due. Connections that failed are left in `broken`. Returns how long until the next message is due; `None`
    /// when no connection is active.
    pub(super) fn send_due(
        &mut self,
        now: Instant,
        conns: &Conns<Birth>,
        counters: &TrafficCounters,
        broken: &mut Vec<RawFd>,
    ) -> Option<Duration> {
        let mut lot = LOT;
        while lot > 0 {
            let (fd, due) = match self.schedule.next(now)? {
                Turn::Due(fd, due) => (fd, due),
                Turn::Wait(wait) => return Some(wait),
            };
            let (Some(active), Some(socket)) = (self.active.get_mut(&fd), conns.get(fd)) else { continue };
            if due < active.since {
                continue;
            }
            let counts = u64::from(counters.counts(due));
            if !active.may_send(self.wait) {
                counters.skipped.fetch_add(counts, Relaxed);
                continue;
            }
            lot -= 1;
            let behind = now - due;
            if behind > self.late {
                counters.late.fetch_add(counts, Relaxed);
            }
            if behind > self.grace {
                counters.overdue.fetch_add(counts, Relaxed);
            }
            match active.due {
                None => active.due = Some(due),
                Some(_) => active.later.push_back(due),
            }
            active.sending = Some(0);
            active.sent_phase = (active.sent_phase + 1) % PERIOD;
            if !push(socket.as_fd(), active, self.message, counters) {
                broken.push(fd);
            }
        }
        Some(Duration::ZERO)
    }

    /// Goes on with a message that did not fit; false when the connection failed.
    pub(super) fn writable(&mut self, socket: BorrowedFd<'_>, counters: &TrafficCounters) -> bool {
        let Some(active) = self.active.get_mut(&socket.as_raw_fd()) else { return true };
        push(socket, active, self.message, counters)
    }

    /// Compares what came back by `now`.
    pub(super) fn received(&mut self, fd: RawFd, data: &[u8], now: Instant, counters: &TrafficCounters) {
        let Some(active) = self.active.get_mut(&fd) else { return };
        counters.echoed_bytes.fetch_add(data.len() as u64, Relaxed);
        let mut data = data;
        while !data.is_empty() {
            let Some(due) = active.due else {
                // More came back than was sent.
                counters.mismatched.fetch_add(1, Relaxed);
                return;
            };
            let left = (self.message - active.received).min(CHUNK as u64) as usize;
            let (part, rest) = data.split_at(left.min(data.len()));
            let from = (active.echo_phase + active.received as usize % PERIOD) % PERIOD;
            active.differs |= part != &PATTERN[from..from + part.len()];
            active.received += part.len() as u64;
            data = rest;
            if active.received < self.message {
                continue;
            }
            if std::mem::take(&mut active.differs) {
                counters.mismatched.fetch_add(1, Relaxed);
            } else if counters.counts(due) {
                counters.echoed.fetch_add(1, Release);
                record(&mut lock(&counters.echo), micros(now.saturating_duration_since(due)));
            }
            active.due = active.later.pop_front();
            (active.received, active.echo_phase) = (0, (active.echo_phase + 1) % PERIOD);
        }
    }
}

impl Active {
    /// Whether the next message may be sent: the one before has left whole, and has come back where that is waited for.
    fn may_send(&self, wait: bool) -> bool {
        self.sending.is_none() && self.later.len() < MOST_UNANSWERED && !(wait && self.due.is_some())
    }
}

/// Writes as much of the message as fits; false when the connection failed.
fn push(socket: BorrowedFd<'_>, active: &mut Active, message: u64, counters: &TrafficCounters) -> bool {
    let Some(sent) = &mut active.sending else { return true };
    while *sent < message {
        let from = (active.sent_phase + *sent as usize % PERIOD) % PERIOD;
        let len = CHUNK.min((message - *sent) as usize);
        match sys::send(socket, &PATTERN[from..from + len]) {
            Ok(n) => *sent += n as u64,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return e.kind() == io::ErrorKind::WouldBlock,
        }
    }
    active.sending = None;
    let due = active.later.back().copied().or(active.due);
    counters.sent.fetch_add(u64::from(due.is_some_and(|due| counters.counts(due))), Relaxed);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    fn config(share: f64) -> TrafficConfig {
        TrafficConfig { share, message: 1000, every_us: 1_000_000, wait: true }
    }

    #[test]
    fn chooses_exactly_the_share() {
        for (share, want) in [(0.0, 0), (0.2, 200), (0.333, 333), (1.0, 1000)] {
            let counters = TrafficCounters::new(config(share), 0, Instant::now()).unwrap();
            assert_eq!((0..1000).filter(|_| counters.choose()).count(), want, "{share}");
            // Over seven parts of a run it is the same connections.
            let chosen = |n: u64| {
                let range = format!("{n}/7").parse::<crate::part::Part>().unwrap().range(1000);
                let counters = TrafficCounters::new(config(share), range.start, Instant::now()).unwrap();
                range.filter(|_| counters.choose()).count()
            };
            assert_eq!((1..=7).map(chosen).sum::<usize>(), want, "{share}");
        }
    }

    /// A sender with one active connection, its number, and the table that has it.
    fn one_active(
        config: &TrafficConfig,
        start: Instant,
        counters: &TrafficCounters,
    ) -> (Sender, RawFd, Conns<Birth>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let (fd, mut conns, mut sender) = (ours.as_raw_fd(), Conns::default(), Sender::new(config, 1, start));
        conns.insert(ours.into(), 0);
        sender.add(fd, start, counters);
        (sender, fd, conns, theirs)
    }

    /// One message over a real socket, changed on the way or not.
    fn round_trip(spoil: bool) -> Traffic {
        let start = Instant::now();
        let counters = TrafficCounters::new(config(1.0), 0, start).unwrap();
        let (mut sender, fd, conns, mut theirs) = one_active(&config(1.0), start, &counters);
        assert_eq!(
            sender.send_due(start + Duration::from_millis(1), &conns, &counters, &mut Vec::new()),
            Some(Duration::from_millis(999))
        );
        let mut buf = vec![0; 1000];
        theirs.read_exact(&mut buf).unwrap();
        buf[500] ^= u8::from(spoil);
        theirs.write_all(&buf).unwrap();
        let later = start + Duration::from_millis(30);
        sender.received(fd, &buf[..400], later, &counters);
        sender.received(fd, &buf[400..], later, &counters);
        counters.report()
    }

    #[test]
    fn an_equal_echo_counts_from_when_it_was_due() {
        let t = round_trip(false);
        assert_eq!((t.sent, t.echoed, t.mismatched), (1, 1, 0));
        assert!((29_000..31_000).contains(&t.echo.max_us), "{t:?}");
    }

    #[test]
    fn a_changed_byte_is_a_mismatch() {
        let t = round_trip(true);
        assert_eq!((t.sent, t.echoed, t.mismatched), (1, 0, 1));
    }

    #[test]
    fn without_waiting_messages_follow_one_another_and_come_back_in_order() {
        let config = TrafficConfig { wait: false, ..config(1.0) };
        let start = Instant::now();
        let counters = TrafficCounters::new(config, 0, start).unwrap();
        let (mut sender, fd, conns, mut theirs) = one_active(&config, start, &counters);
        let _ = sender.send_due(start + Duration::from_millis(2500), &conns, &counters, &mut Vec::new());
        assert_eq!(counters.report().sent, 3, "due at 0, 1 and 2 s, none of them answered");
        let mut buf = vec![0; 3000];
        theirs.read_exact(&mut buf).unwrap();
        let later = start + Duration::from_millis(2600);
        sender.received(fd, &buf[..1700], later, &counters);
        assert_eq!(counters.report().echoed, 1);
        buf[2500] ^= 1;
        sender.received(fd, &buf[1700..], later, &counters);
        sender.received(fd, &[0], later, &counters);
        let t = counters.report();
        assert_eq!((t.echoed, t.mismatched), (2, 2), "the third was changed, and a byte too many came");
        assert!((2_590_000..2_650_000).contains(&t.echo.max_us), "{t:?}");
    }

    #[test]
    fn a_full_socket_bounds_what_is_sent_without_waiting() {
        let config = TrafficConfig { wait: false, message: 64 * 1024, ..config(1.0) };
        let start = Instant::now();
        let counters = TrafficCounters::new(config, 0, start).unwrap();
        let (mut sender, _, conns, _theirs) = one_active(&config, start, &counters);
        let _ = sender.send_due(start + Duration::from_secs(1000), &conns, &counters, &mut Vec::new());
        let t = counters.report();
        assert!(t.sent < 100 && t.sent + t.skipped >= 1000, "{t:?}");
    }

    #[test]
    fn a_sender_that_was_away_counts_late_and_skipped() {
        let start = Instant::now();
        let counters = TrafficCounters::new(config(1.0), 0, start).unwrap();
        let (mut sender, _, conns, _theirs) = one_active(&config(1.0), start, &counters);
        let _ = sender.send_due(start + Duration::from_millis(3500), &conns, &counters, &mut Vec::new());
        let t = counters.report();
        assert_eq!((t.sent, t.late, t.skipped), (1, 1, 3), "due at 0, 1, 2 and 3 s, the first sent 3.5 s late");
        assert_eq!(t.overdue, 1, "what was skipped is counted as such");
        counters.restart(start + Duration::from_millis(3500));
        assert_eq!(counters.report().overdue, 0);
    }

    /// What is overdue of two messages that are looked at so long after they were due, with an answer to each or to none.
    fn overdue(every_us: u64, wait: bool, answers: bool, behind: Duration) -> (u64, u64) {
        let config = TrafficConfig { every_us, wait, ..config(1.0) };
        let start = Instant::now();
        let counters = TrafficCounters::new(config, 0, start).unwrap();
        let (mut sender, fd, conns, mut theirs) = one_active(&config, start, &counters);
        for message in 0..2 {
            let now = start + Duration::from_micros(every_us) * message + behind;
            let _ = sender.send_due(now, &conns, &counters, &mut Vec::new());
            if answers {
                let mut buf = vec![0; 1000];
                theirs.read_exact(&mut buf).unwrap();
                sender.received(fd, &buf, now, &counters);
            }
        }
        let t = counters.report();
        assert_eq!(t.sent + t.skipped, 2, "{t:?}");
        (t.late, t.overdue)
    }

    #[test]
    fn a_message_is_overdue_after_a_tenth_of_the_time_between_two() {
        let ms = Duration::from_millis;
        for wait in [true, false] {
            assert_eq!(overdue(1_000_000, wait, true, ms(4)), (0, 0), "{wait}");
            assert_eq!(overdue(1_000_000, wait, true, ms(99)), (2, 0), "{wait}");
            assert_eq!(overdue(1_000_000, wait, true, ms(101)), (2, 2), "{wait}");
            // Of 10 ms a tenth is less than a hiccup.
            assert_eq!(overdue(10_000, wait, true, ms(4)), (0, 0), "{wait}");
            assert_eq!(overdue(10_000, wait, true, ms(6)), (2, 2), "{wait}");
        }
        // Without an answer the second is skipped, or sent all the same.
        assert_eq!(overdue(1_000_000, true, false, ms(101)), (1, 1));
        assert_eq!(overdue(1_000_000, false, false, ms(101)), (2, 2));
    }
}
