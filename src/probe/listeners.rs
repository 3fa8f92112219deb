//! How full the accept queues are. No file tells it without listing every connection; `sock_diag(7)` lists the listening
//! sockets alone (`inet_diag_dump_icsk` in `net/ipv4/inet_diag.c` leaves before the table of connections).
//!
//! The kernel walks its table of listeners, up to 65,536 buckets, and before Linux 6.9 takes a lock for each, empty or not;
//! with cold caches that is a quarter of a sample or more. So it is asked at a pace, and a reading is kept in between: for long
//! while nothing came in, and not at all once a queue has overflowed.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "constants of the kernel's, each cast to the width of its field"
)]

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::namespace::Namespace;
use super::source::{Roots, reason};
use super::text::odd;
use crate::sample::kernel::{Absent, AcceptQueue, Listeners, Reading};
use crate::sys;

/// Asked this often at the most, unless a queue overflows; a little less than two seconds, so that with a sample each second
/// every other one asks.
const LEAST: Duration = Duration::from_millis(1900);
/// Asked this often while the queues cannot but be empty: listeners come and go.
const OLD: Duration = Duration::from_secs(10);
/// At most this part of the time goes into asking: after a dump of 3 ms the next waits three seconds.
const REST: u32 = 1000;
/// The same while a queue overflows: which one is what everybody wants to know then.
const REST_IN_NEED: u32 = 50;

/// The kernel hands out a dump in parts of this size at the most (`netlink_recvmsg` in `net/netlink/af_netlink.c`).
const PART: usize = 32 * 1024;
/// No dump has more parts: twenty million sockets.
const PARTS: usize = 65_536;

/// What people call it.
const SHOWN: &str = "sock_diag(7)";

/// The netlink socket of one network namespace.
#[derive(Debug)]
pub(crate) struct ListenerSource {
    socket: Reading<Socket>,
    /// Ports that count, in order; `None` is all.
    ports: Option<Vec<u16>>,
    /// Number of the last question: an answer to an older one is passed over.
    seq: u32,
    last: Reading<Listeners>,
    /// Times asked.
    questions: u64,
    /// When it was asked last, and the CPU time that took.
    asked: Option<(Instant, Duration)>,
    /// What had been counted at that time.
    counted: Option<Counted>,
}

/// Counters that tell whether the queues can have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    /// `PassiveOpens`: connections that entered a queue.
    pub opens: u64,
    /// `ListenOverflows`: connections that found one full.
    pub overflows: u64,
}

impl ListenerSource {
    /// Opens it in the namespace of `other`, or in the dashboard's own. The socket keeps its namespace.
    pub(crate) fn open(roots: &Roots, other: Option<u32>) -> Self {
        let socket = open(roots, other);
        Self { socket, ports: None, seq: 0, last: Err(Absent::NoSockDiag), questions: 0, asked: None, counted: None }
    }

    /// Counts listeners on these ports alone, in order.
    pub(crate) fn only(&mut self, ports: Vec<u16>) {
        self.ports = Some(ports);
        self.asked = None;
    }

    /// The queues now, or as they were within the last two seconds. `counted` is what the kernel has counted by now.
    pub(crate) fn read(&mut self, buf: &mut Vec<u8>, counted: Option<Counted>) -> Reading<Listeners> {
        let start = Instant::now();
        let pause = self.pause(counted);
        let rest = if pause.is_zero() { REST_IN_NEED } else { REST };
        if self.asked.is_none_or(|(at, took)| start >= at + pause.max(took * rest)) {
            let cpu = sys::cpu_time();
            self.last = self.ask(buf);
            if self.last == Err(Absent::NoSockDiag) {
                // Each question would have the kernel look for a module once more.
                self.socket = Err(Absent::NoSockDiag);
            }
            self.questions += 1;
            // What it cost, not how long others had the core meanwhile.
            self.asked = Some((start, sys::cpu_time().saturating_sub(cpu)));
            self.counted = counted;
        }
        self.last.clone()
    }

    /// How long the last reading holds.
    fn pause(&self, counted: Option<Counted>) -> Duration {
        let (Some(now), Some(then)) = (counted, self.counted) else { return LEAST };
        let empty = self.last.as_ref().is_ok_and(|last| last.waiting == 0);
        if now.overflows != then.overflows {
            Duration::ZERO
        } else if empty && now.opens == then.opens {
            OLD
        } else {
            LEAST
        }
    }

    fn ask(&mut self, buf: &mut Vec<u8>) -> Reading<Listeners> {
        let socket = self.socket.as_ref().map_err(Absent::clone)?;
        if buf.len() < PART {
            buf.resize(PART, 0);
        }
        let found = Listeners { reading: self.questions + 1, ..Listeners::default() };
        let mut tally = Tally { ports: self.ports.clone(), found };
        for family in [libc::AF_INET, libc::AF_INET6] {
            self.seq = self.seq.wrapping_add(1);
            let asked = Question::states(1 << STATE_LISTEN);
            let told = dump(socket, (family as u8, asked, self.seq), buf, &mut |message| tally.add(message));
            if told.is_err() {
                // The rest of a dump that was not understood would refuse the next one (EBUSY).
                let _ = (0..PARTS).find(|_| (&mut &*socket).read(buf).is_err());
            }
            told?;
        }
        Ok(tally.found)
    }
}

/// A socket to ask on, in the namespace of `other` or in the dashboard's own, which it keeps.
pub(crate) fn open(roots: &Roots, other: Option<u32>) -> Reading<Socket> {
    match other {
        None => netlink().map_err(|error| why(&error)),
        Some(pid) => elsewhere(roots, pid),
    }
}

/// Which TCP sockets of the namespace are asked for, and what of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    /// States, a bit each.
    pub states: u32,
    /// Their own port; 0 is every one. The kernel passes over all others without a message.
    pub port: u16,
    /// With `struct tcp_info`, as an attribute ([`INFO`]) after `struct inet_diag_msg`.
    pub info: bool,
}

impl Question {
    /// Every socket in these states, without more.
    fn states(states: u32) -> Self {
        Self { states, port: 0, info: false }
    }
}

/// Hands out every TCP socket of the namespace that is in one of these states (a bit each), of both families.
pub(crate) fn each(socket: &Socket, states: u32, buf: &mut Vec<u8>, each: &mut Each<'_>) -> Reading<()> {
    each_of(socket, Question::states(states), buf, each)
}

/// Hands out the TCP sockets of the namespace that are asked for, of both families.
pub(crate) fn each_of(socket: &Socket, asked: Question, buf: &mut Vec<u8>, each: &mut Each<'_>) -> Reading<()> {
    if buf.len() < PART {
        buf.resize(PART, 0);
    }
    for family in [libc::AF_INET, libc::AF_INET6] {
        dump(socket, (family as u8, asked, family.cast_unsigned()), buf, each)?;
    }
    Ok(())
}

/// The port of each listener of the namespace, by the inode of its socket.
pub(crate) fn inodes(socket: &Socket, buf: &mut Vec<u8>) -> Reading<HashMap<u64, u16>> {
    let mut found = HashMap::new();
    each(socket, 1 << STATE_LISTEN, buf, &mut |message| {
        let (port, inode) = (u16::from_be(half(message, 4)?), word(message, 68)?);
        found.insert(inode.into(), port);
        Ok(())
    })?;
    Ok(found)
}

/// A socket to ask on, in the namespace of the calling thread. It never waits: the kernel answers within the call.
fn netlink() -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::from(libc::AF_NETLINK),
        Type::RAW.nonblocking(),
        Some(Protocol::from(libc::NETLINK_SOCK_DIAG)),
    )?;
    Ok(socket)
}

/// The same in the namespace of `pid`.
fn elsewhere(roots: &Roots, pid: u32) -> Reading<Socket> {
    let socket = Namespace::of(&roots.proc, pid).and_then(|namespace| namespace.inside(netlink));
    socket.map_err(|error| reason(&error, &format!("/proc/{pid}/ns/net"), Some(&Absent::ProcessEnded)))
}

/// What went wrong with the socket, in words.
fn why(error: &io::Error) -> Absent {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT) => Absent::NoSockDiag,
        _ => reason(error, SHOWN, None),
    }
}

/// Takes one `struct inet_diag_msg`.
pub(crate) type Each<'a> = dyn FnMut(&[u8]) -> Reading<()> + 'a;

/// Asks for the sockets of one family, and hands out what comes with that number, to the end.
fn dump(
    socket: &Socket,
    (family, asked, seq): (u8, Question, u32),
    buf: &mut [u8],
    each: &mut Each<'_>,
) -> Reading<()> {
    socket.send(&question(family, asked, seq)).map_err(|error| why(&error))?;
    for _ in 0..PARTS {
        let len = match (&mut &*socket).read(buf) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(why(&error)),
        };
        if part(&buf[..len], seq, each)? {
            return Ok(());
        }
    }
    Err(odd("more sockets than can be counted"))
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2` (`include/uapi/linux/inet_diag.h`): every TCP socket of a family that is
/// asked for.
fn question(family: u8, asked: Question, seq: u32) -> [u8; 72] {
    let mut out = [0; 72];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &72_u32.to_ne_bytes());
    put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(6, &((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    put(8, &seq.to_ne_bytes());
    let extensions = if asked.info { 1 << (INFO - 1) } else { 0 };
    put(16, &[family, libc::IPPROTO_TCP as u8, extensions]);
    put(20, &asked.states.to_ne_bytes());
    put(24, &asked.port.to_be_bytes());
    out
}

/// `INET_DIAG_INFO` of `include/uapi/linux/inet_diag.h`: the attribute that is `struct tcp_info`.
pub(crate) const INFO: u16 = 2;

/// `TCP_LISTEN` of `include/net/tcp_states.h`.
const STATE_LISTEN: u8 = 10;
/// Type of question and answer (`include/uapi/linux/sock_diag.h`).
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// Bytes of `struct nlmsghdr`.
const HEAD: usize = 16;

/// Hands out the messages of one part of a dump; true when the dump is over.
fn part(mut bytes: &[u8], seq: u32, each: &mut Each<'_>) -> Reading<bool> {
    while !bytes.is_empty() {
        let len = word(bytes, 0)? as usize;
        let kind = half(bytes, 4)?;
        let message = bytes.get(HEAD..len).ok_or(CUT)?;
        if word(bytes, 8)? == seq {
            match libc::c_int::from(kind) {
                // Both carry an errno, negative: a dump that fails (no tcp_diag) says so at its end.
                libc::NLMSG_DONE | libc::NLMSG_ERROR => match word(message, 0)?.cast_signed() {
                    0.. => return Ok(true),
                    code => return Err(why(&io::Error::from_raw_os_error(code.saturating_neg()))),
                },
                _ if kind == SOCK_DIAG_BY_FAMILY => each(message)?,
                _ => {}
            }
        }
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

const CUT: Absent = Absent::Malformed { what: Cow::Borrowed("cut short"), path: Some(Cow::Borrowed(SHOWN)) };

pub(crate) fn word(bytes: &[u8], at: usize) -> Reading<u32> {
    bytes.get(at..).and_then(|b| b.first_chunk()).map(|b| u32::from_ne_bytes(*b)).ok_or(CUT)
}

pub(crate) fn half(bytes: &[u8], at: usize) -> Reading<u16> {
    bytes.get(at..).and_then(|b| b.first_chunk()).map(|b| u16::from_ne_bytes(*b)).ok_or(CUT)
}

/// What was counted so far.
#[derive(Debug)]
struct Tally {
    ports: Option<Vec<u16>>,
    found: Listeners,
}

impl Tally {
    /// `struct inet_diag_msg`. Of a listener `idiag_rqueue` is what waits (`sk_ack_backlog`) and `idiag_wqueue` what may
    /// (`sk_max_ack_backlog`): `tcp_diag_get_info` in `net/ipv4/tcp_diag.c`.
    fn add(&mut self, message: &[u8]) -> Reading<()> {
        let (state, port) = (message.get(1).copied().ok_or(CUT)?, half(message, 4)?);
        let queue =
            AcceptQueue { port: u16::from_be(port), used: word(message, 56)?.into(), max: word(message, 60)?.into() };
        if state != STATE_LISTEN || self.ports.as_ref().is_some_and(|ports| ports.binary_search(&queue.port).is_err()) {
            return Ok(());
        }
        let found = &mut self.found;
        found.count += 1;
        found.waiting += queue.used;
        if found.fullest.is_none_or(|known| fuller(queue, known)) {
            found.fullest = Some(queue);
        }
        Ok(())
    }
}

/// By share; of two alike the smaller, which overflows first, then the lower port, so that the choice does not jump.
fn fuller(a: AcceptQueue, b: AcceptQueue) -> bool {
    // Products of 32 bits each; one more than `max` may wait.
    let (left, right) = (a.used * (b.max + 1), b.used * (a.max + 1));
    (left, b.max, b.port) > (right, a.max, a.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Linux 6.18 said of port 9900 (1 of 511 waits) and 9901 (9 of 8), and the end.
    const TOLD: &[u8] = include_bytes!("../../tests/fixtures/sock_diag-6.18");
    const SEQ: u32 = 7;

    fn tally(ports: Option<Vec<u16>>) -> Tally {
        Tally { ports, found: Listeners::default() }
    }

    fn listener(port: u16, used: u32, max: u32) -> Vec<u8> {
        let mut out = TOLD[..124].to_vec();
        out[20..22].copy_from_slice(&port.to_be_bytes());
        out[72..76].copy_from_slice(&used.to_ne_bytes());
        out[76..80].copy_from_slice(&max.to_ne_bytes());
        out
    }

    #[test]
    fn the_fullest_is_kept_with_its_port() {
        let mut all = tally(None);
        assert_eq!(part(TOLD, SEQ, &mut |m| all.add(m)), Ok(true));
        let full = AcceptQueue { port: 9901, used: 9, max: 8 };
        assert_eq!(all.found, Listeners { reading: 0, count: 2, waiting: 10, fullest: Some(full) });
        assert!(full.is_full());

        let mut one = tally(Some(vec![9900]));
        assert_eq!(part(TOLD, SEQ, &mut |m| one.add(m)), Ok(true));
        let idle = AcceptQueue { port: 9900, used: 1, max: 511 };
        assert_eq!(one.found, Listeners { reading: 0, count: 1, waiting: 1, fullest: Some(idle) });
        assert!(!idle.is_full());

        let mut none = tally(Some(vec![1, 2]));
        assert_eq!(part(TOLD, SEQ, &mut |m| none.add(m)), Ok(true));
        assert_eq!(none.found, Listeners::default());
    }

    #[test]
    fn of_queues_alike_the_smallest_is_named() {
        let told = [listener(80, 0, 4096), listener(443, 0, 128), listener(22, 0, 128), listener(81, 0, 511)].concat();
        let mut all = tally(None);
        assert_eq!(part(&told, SEQ, &mut |m| all.add(m)), Ok(false), "more to come");
        assert_eq!(all.found.fullest, Some(AcceptQueue { port: 22, used: 0, max: 128 }));
        part(&listener(80, 1, 4096), SEQ, &mut |m| all.add(m)).unwrap();
        assert_eq!(all.found.fullest.unwrap().port, 80);
        part(&listener(7, 1, 0), SEQ, &mut |m| all.add(m)).unwrap();
        part(&listener(9, u32::MAX, u32::MAX), SEQ, &mut |m| all.add(m)).unwrap();
        assert_eq!(all.found.fullest, Some(AcceptQueue { port: 7, used: 1, max: 0 }), "nothing more fits");
    }

    #[test]
    fn an_error_is_a_reason_and_another_question_s_answer_is_passed_over() {
        let error = |kind: libc::c_int, errno: i32| {
            let words = [20, kind, SEQ.cast_signed(), 0, errno];
            words.iter().flat_map(|w| w.to_ne_bytes()).collect::<Vec<u8>>()
        };
        for (errno, want) in [
            (-libc::ENOENT, "this kernel does not report accept queues (no tcp_diag)"),
            (-libc::EACCES, "needs root (sock_diag(7))"),
            (i32::MIN, "sock_diag(7): "),
        ] {
            for kind in [libc::NLMSG_ERROR, libc::NLMSG_DONE] {
                let why = part(&error(kind, errno), SEQ, &mut |m| tally(None).add(m)).unwrap_err().to_string();
                assert!(why.starts_with(want), "{why}");
            }
        }
        let mut all = tally(None);
        assert_eq!(part(&error(libc::NLMSG_ERROR, -libc::ENOENT), SEQ + 1, &mut |m| all.add(m)), Ok(false));
        assert_eq!(part(TOLD, SEQ + 1, &mut |m| all.add(m)), Ok(false));
        assert_eq!(all.found, Listeners::default());
    }

    #[test]
    fn hostile_input_is_a_reason() {
        for end in 1..TOLD.len() {
            let cut = part(&TOLD[..end], SEQ, &mut |m| tally(None).add(m));
            assert_eq!(cut.is_err(), end != 124 && end != 248, "{end}: only whole messages are understood");
        }
        let mut short = TOLD[..124].to_vec();
        for len in [0_u32, 15, 16, 79, 125, u32::MAX] {
            short[..4].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(part(&short, SEQ, &mut |m| tally(None).add(m)), Err(CUT), "{len}");
        }
    }

    /// Any bytes are a value or a reason: the real answer with bytes of every kind put in, at every place.
    #[test]
    fn no_bytes_break_it() {
        let mut state = 1_u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        let mut understood = 0;
        for _ in 0..100_000 {
            let mut bytes = TOLD.to_vec();
            for _ in 0..=next() % 8 {
                let at = next() % bytes.len();
                bytes[at] = [0, 1, 4, 16, 0x7f, 0x80, 0xff, next() as u8][next() % 8];
            }
            bytes.truncate(next() % (TOLD.len() + 64));
            understood += u32::from(part(&bytes, SEQ, &mut |m| tally(None).add(m)).is_ok());
        }
        assert!((1000..99_000).contains(&understood), "both ways are taken: {understood}");
        let mut noise = [0; 4096];
        for _ in 0..1000 {
            noise.fill_with(|| next() as u8);
            let _ = part(&noise, SEQ, &mut |m| tally(None).add(m));
        }
    }

    #[test]
    fn a_reading_is_kept_until_the_next_is_due() {
        // Each question is counted, whatever the answer: no kernel is needed here.
        let absent = Absent::ProcessEnded;
        let mut source = ListenerSource {
            socket: Err(absent.clone()),
            ports: None,
            seq: 0,
            last: Err(absent),
            questions: 0,
            asked: None,
            counted: None,
        };
        let (mut buf, now) = (Vec::new(), |opens, overflows| Some(Counted { opens, overflows }));
        // Whether it is asked, with `waiting` in the queues so long ago, at 5 and 5, at the price of `took`.
        let mut asked = |waiting: u64, ago: Duration, took: Duration, counted: Option<Counted>| {
            source.last = Ok(Listeners { waiting, ..Listeners::default() });
            (source.asked, source.counted) = (Some((Instant::now().checked_sub(ago).unwrap(), took)), now(5, 5));
            let before = source.questions;
            let _ = source.read(&mut buf, counted);
            source.questions == before + 1
        };
        let (short, quick, costly) = (Duration::from_millis(100), Duration::from_micros(50), Duration::from_millis(12));
        assert!(!asked(9, short, quick, now(6, 5)), "kept");
        assert!(asked(9, LEAST, quick, now(5, 5)), "accepted by now, perhaps");
        assert!(!asked(0, LEAST, quick, now(5, 5)), "nothing waited and nothing came");
        assert!(asked(0, LEAST, quick, now(6, 5)));
        assert!(asked(0, LEAST, quick, None));
        assert!(asked(0, OLD, quick, now(5, 5)));
        assert!(asked(0, short, quick, now(5, 6)), "a queue has overflowed since");
        assert!(!asked(9, LEAST, costly, now(6, 5)), "too costly");
        assert!(asked(9, costly * REST, costly, now(6, 5)));
        assert!(!asked(9, short, costly, now(6, 6)), "too costly even then");
        assert!(asked(9, costly * REST_IN_NEED, costly, now(6, 6)), "which queue it is matters now");
        let before = source.questions;
        source.only(vec![1]);
        let _ = source.read(&mut buf, now(5, 5));
        assert_eq!(source.questions, before + 1, "for other ports at once");
    }
}
