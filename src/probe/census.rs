//! The connections of a watched process, counted socket by socket by `sock_diag(7)`: those of the ports it listens on.
//!
//! For each question the kernel walks every TCP socket of the namespace and hands out what is asked for, about 1 us each. So a
//! thread of its own asks, for a hundredth of the time at the most, and what the process' descriptors have changed by
//! since carries the count on.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::find::ports_of;
use super::listeners::{self, half, word};
use super::process;
use super::source::Roots;
use crate::sample::kernel::{Absent, Census, ListenerCensus, Reading};

/// Between two questions at the least.
const LEAST: Duration = Duration::from_secs(1);
/// At most this part of the time goes into asking.
const REST: u32 = 100;
/// How often the thread looks whether anybody still wants to know.
const NAP: Duration = Duration::from_millis(100);

/// `TCP_ESTABLISHED`, `TCP_CLOSE_WAIT` and `TCP_LISTEN` of `include/net/tcp_states.h`.
const ESTABLISHED: u8 = 1;
const CLOSE_WAIT: u8 = 8;
const LISTEN: u8 = 10;

/// The newest answer.
#[derive(Debug)]
struct Answer {
    census: Reading<Census>,
    at: Instant,
    /// Descriptors of the process at that time.
    descriptors: Option<u64>,
}

/// Asks, in a thread of its own, for as long as this lives.
#[derive(Debug)]
pub(crate) struct CensusSource {
    answer: Arc<Mutex<Answer>>,
}

/// What the thread needs.
struct Asking {
    roots: Roots,
    pid: u32,
    socket: Socket,
    fd: PathBuf,
    /// Listeners of the namespace when its ports were last looked up.
    inodes: HashMap<u64, u16>,
    ports: Vec<u16>,
    buf: Vec<u8>,
}

impl CensusSource {
    /// Counts once and goes on; `other` says that the process is in another network namespace than the dashboard.
    pub(crate) fn open(roots: &Roots, pid: u32, other: bool) -> Reading<Self> {
        let socket = listeners::open(roots, other.then_some(pid))?;
        let fd = roots.proc.join(format!("{pid}/fd"));
        let (inodes, ports) = (HashMap::new(), Vec::new());
        let mut asking = Asking { roots: roots.clone(), pid, socket, fd, inodes, ports, buf: Vec::new() };
        let start = Instant::now();
        let answer = Arc::new(Mutex::new(asking.ask()));
        let (told, took) = (Arc::downgrade(&answer), start.elapsed());
        let thread = thread::Builder::new().name("census".into());
        thread.spawn(move || asking.go_on(&told, took)).map_err(|e| Absent::Because(e.to_string().into()))?;
        Ok(Self { answer })
    }

    /// The count now: the last one, and what the `descriptors` have changed by since.
    pub(crate) fn read(&self, descriptors: &Reading<u64>) -> Reading<Census> {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut census = answer.census.clone()?;
        census.age_ms = u64::try_from(answer.at.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let (Ok(now), Some(then)) = (descriptors, answer.descriptors) {
            census.connections = (census.connections + now).saturating_sub(then);
            census.carried = true;
        }
        Ok(census)
    }
}

impl Asking {
    /// Until nobody wants to know any more.
    fn go_on(&mut self, told: &Weak<Mutex<Answer>>, first: Duration) {
        let mut took = first;
        loop {
            let next = Instant::now() + LEAST.max(took * REST);
            while Instant::now() < next {
                thread::sleep(NAP);
                if told.strong_count() == 0 {
                    return;
                }
            }
            let start = Instant::now();
            let answer = self.ask();
            took = start.elapsed();
            let Some(place) = told.upgrade() else { return };
            *place.lock().unwrap_or_else(PoisonError::into_inner) = answer;
        }
    }

    fn ask(&mut self) -> Answer {
        let (before, at) = (self.descriptors(), Instant::now());
        let census = self.count();
        // Of a process whose connections came or went meanwhile the middle is nearest.
        let descriptors = before.zip(self.descriptors()).map(|(a, b)| u64::midpoint(a, b));
        let census = census.and_then(|census| match descriptors {
            // Workers share listeners: what the ports have is then more than one process can hold.
            Some(descriptors) if census.connections > descriptors => Err(SHARED),
            _ => Ok(census),
        });
        Answer { census, at, descriptors }
    }

    fn descriptors(&self) -> Option<u64> {
        process::descriptors(&self.fd).ok().flatten()
    }

    fn count(&mut self) -> Reading<Census> {
        let inodes = listeners::inodes(&self.socket, &mut self.buf)?;
        // Its descriptors are listed again once somebody listens elsewhere: a server that is reloaded opens others.
        if inodes != self.inodes || self.ports.is_empty() {
            let ports = ports_of(&self.roots, self.pid, &inodes);
            self.inodes = inodes;
            if !ports.is_empty() {
                self.ports = ports;
            }
        }
        if self.ports.is_empty() {
            return Err(NOWHERE);
        }
        let mut tally = Tally { ports: &self.ports, listeners: BTreeMap::new(), close_wait: 0 };
        let states = 1 << ESTABLISHED | 1 << CLOSE_WAIT | 1 << LISTEN;
        listeners::each(&self.socket, states, &mut self.buf, &mut |message| tally.add(message))?;
        Ok(tally.census())
    }
}

const NOWHERE: Absent = Absent::because("it listens on no port that can be seen here");
const SHARED: Absent =
    Absent::because("its listeners are other processes' as well: a count of sockets cannot tell whose they are");

/// What has been counted so far, by port.
struct Tally<'a> {
    ports: &'a [u16],
    listeners: BTreeMap<u16, ListenerCensus>,
    close_wait: u64,
}

impl Tally<'_> {
    /// `struct inet_diag_msg`: of a connection of these ports, or a listener of them.
    fn add(&mut self, message: &[u8]) -> Reading<()> {
        let (state, port) = (message.get(1).copied().unwrap_or_default(), u16::from_be(half(message, 4)?));
        if !self.ports.contains(&port) {
            return Ok(());
        }
        let listener = self.listeners.entry(port).or_insert(ListenerCensus { port, ..ListenerCensus::default() });
        match state {
            LISTEN => {
                listener.queued += u64::from(word(message, 56)?);
                listener.backlog = listener.backlog.max(word(message, 60)?.into());
            }
            ESTABLISHED => listener.established += 1,
            CLOSE_WAIT => {
                listener.established += 1;
                self.close_wait += 1;
            }
            _ => {}
        }
        Ok(())
    }

    fn census(self) -> Census {
        let listeners: Vec<ListenerCensus> = self.listeners.into_values().collect();
        let sum = |of: fn(&ListenerCensus) -> u64| listeners.iter().map(of).sum::<u64>();
        let (established, queued) = (sum(|l| l.established), sum(|l| l.queued));
        Census {
            connections: established.saturating_sub(queued),
            queued,
            close_wait: self.close_wait,
            age_ms: 0,
            carried: false,
            listeners,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(state: u8, port: u16, used: u32, max: u32) -> Vec<u8> {
        let mut out = vec![0; 72];
        out[1] = state;
        out[4..6].copy_from_slice(&port.to_be_bytes());
        out[56..60].copy_from_slice(&used.to_ne_bytes());
        out[60..64].copy_from_slice(&max.to_ne_bytes());
        out
    }

    #[test]
    fn what_waits_to_be_accepted_is_not_held_and_other_ports_are_others() {
        let mut tally = Tally { ports: &[80, 443], listeners: BTreeMap::new(), close_wait: 0 };
        let sockets = [
            message(LISTEN, 80, 3, 128),
            message(LISTEN, 443, 0, 511),
            message(LISTEN, 22, 5, 9),
            message(CLOSE_WAIT, 80, 0, 0),
            message(ESTABLISHED, 40_000, 0, 0),
        ];
        let many = std::iter::repeat_n(message(ESTABLISHED, 80, 0, 0), 10);
        sockets.into_iter().chain(many).for_each(|m| tally.add(&m).unwrap());
        let census = tally.census();
        assert_eq!((census.connections, census.queued, census.close_wait), (8, 3, 1));
        let listener = |port, established, queued, backlog| ListenerCensus { port, established, queued, backlog };
        assert_eq!(census.listeners, [listener(80, 11, 3, 128), listener(443, 0, 0, 511)]);
        assert!(Tally { ports: &[80], listeners: BTreeMap::new(), close_wait: 0 }.add(&[0; 3]).is_err(), "cut short");
    }

    #[test]
    fn descriptors_carry_the_count_on() {
        let census = Census { connections: 100, ..Census::default() };
        let answer = Answer { census: Ok(census), at: Instant::now(), descriptors: Some(130) };
        let source = CensusSource { answer: Arc::new(Mutex::new(answer)) };
        for (now, want) in [(Ok(130), 100), (Ok(180), 150), (Ok(20), 0), (Err(Absent::because("x")), 100)] {
            let census = source.read(&now).unwrap();
            assert_eq!((census.connections, census.carried), (want, now.is_ok()));
        }
    }
}
