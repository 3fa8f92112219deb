//! Which source and destination port each connection takes: round robin over both, in short runs so that a listener has a
//! batch to accept, leaving out what is used up or refused.

#![expect(clippy::cast_precision_loss, reason = "ports: 2^32 at the most")]

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering::Relaxed};

use socket2::{Domain, SockAddr};

use super::ports::OwnPorts;
use super::sources;
use crate::engine::config::ClientConfig;
use crate::units::{PortRange, whole};

/// Local ports of a kernel whose range cannot be read: 32768 to 60999.
const DEFAULT_PORTS: u64 = 28_232;

/// Connections in a row to the same tuple of source and destination port.
const RUN: u64 = 16;

/// Share of a tuple's local ports that is planned for. Beyond half, connect(2) searches ever longer for a free port: it tries
/// the even ones first, one by one (`__inet_hash_connect`).
const COMFORTABLE: f64 = 0.4;

/// What has become of a tuple: it is taken.
const IN: u8 = 0;
/// Tuples up to which they are counted for a report: some 20 us.
const MOST_COUNTED: usize = 1 << 14;
/// Ports or addresses up to which they are listed there, one by one: a report has room for more, but none to spare.
const MOST_LISTED: usize = 1 << 10;
/// Its local ports are used up.
const USED_UP: u8 = 1;
/// Its destination port refuses.
const REFUSED: u8 = 2;

/// The plan.
#[derive(Debug)]
pub struct Plan {
    domain: Domain,
    sources: Vec<SockAddr>,
    destinations: Vec<SockAddr>,
    /// By `source * destinations + destination`.
    out: Vec<AtomicU8>,
    /// Connections that each tuple has been given while it had a port for each.
    given: Vec<AtomicU32>,
    all_given: AtomicBool,
    /// Whether a destination has taken a connection.
    taken: Vec<AtomicBool>,
    next: AtomicUsize,
    left: AtomicUsize,
    /// The local ports of each tuple, where the range of the system is known.
    own: Option<OwnPorts>,
}

/// One (source, destination) of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tuple(usize);

impl Plan {
    /// Makes the plan; every source is bound once, to see that it is local.
    ///
    /// # Errors
    /// A sentence with the source that is not one of this machine's.
    pub fn new(config: &ClientConfig, range: Option<PortRange>) -> io::Result<Self> {
        let ip = config.target_ip;
        let port = config.common.port;
        let last = port.saturating_add(config.common.ports - 1);
        let own = range.map(|r| OwnPorts::choose(r, port, last));
        let usable = own.map_or(DEFAULT_PORTS, |own| own.usable);
        let comfortable = whole(u64::from(config.common.ports) as f64 * usable as f64 * COMFORTABLE);
        let sources = if config.sources.is_empty() {
            sources::automatic(ip, config.common.target, comfortable, config.share)
        } else {
            config.sources.clone()
        };
        let domain = if ip.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        for source in &sources {
            sources::probe(domain, *source)?;
        }
        let at = |port| match ip {
            IpAddr::V4(_) => SocketAddr::new(ip, port).into(),
            IpAddr::V6(v6) => SocketAddrV6::new(v6, port, 0, config.zone).into(),
        };
        let destinations: Vec<SockAddr> = (port..).take(usize::from(config.common.ports)).map(at).collect();
        let tuples = sources.len().max(1) * destinations.len();
        // Parts that have to share a pair of addresses do not all begin with the same one.
        let first = config.share.map_or(0, |share| share.first() / RUN % tuples as u64);
        let first = usize::try_from(first).unwrap_or(0);
        let taken = destinations.iter().map(|_| AtomicBool::new(false)).collect();
        Ok(Self {
            domain,
            sources: sources.into_iter().map(|ip| SocketAddr::new(ip, 0).into()).collect(),
            destinations,
            out: (0..tuples).map(|_| AtomicU8::new(IN)).collect(),
            given: (0..tuples).map(|_| AtomicU32::new(0)).collect(),
            all_given: AtomicBool::new(false),
            taken,
            next: AtomicUsize::new(first),
            left: AtomicUsize::new(tuples),
            own,
        })
    }

    /// Connections the plan allows: sources × destination ports × local ports.
    pub fn capacity(&self) -> Option<u64> {
        self.own.map(|own| own.usable * self.out.len() as u64)
    }

    /// Connections the plan allows while these ports are others' (see [`super::listening`]).
    pub fn capacity_beside(&self, others: &BTreeSet<u16>) -> Option<u64> {
        let OwnPorts { usable, span: (low, high), .. } = self.own?;
        let taken = others.range(low..=high).count() as u64;
        Some(usable.saturating_sub(taken) * self.out.len() as u64)
    }

    /// Connections that each destination port and each source address has been given so far, in the order of the plan; empty where
    /// there are too many to count ten times a second.
    pub fn given(&self) -> (Vec<u64>, Vec<u64>) {
        let n = self.destinations.len();
        if self.given.len() > MOST_COUNTED || n.max(self.sources.len()) > MOST_LISTED || self.own.is_none() {
            return (Vec::new(), Vec::new());
        }
        let (mut ports, mut sources) = (vec![0; n], vec![0; self.given.len() / n.max(1)]);
        for (at, given) in self.given.iter().enumerate() {
            let given = u64::from(given.load(Relaxed));
            ports[at % n] += given;
            sources[at / n] += given;
        }
        (ports, sources)
    }

    /// Source addresses (0: the kernel's choice of one), destination ports, and local ports of each pair.
    pub fn factors(&self) -> (usize, usize, Option<u64>) {
        (self.sources.len(), self.destinations.len(), self.own.map(|own| own.usable))
    }

    /// Local ports that each socket is bound to choose from (`IP_LOCAL_PORT_RANGE`), where the system's range holds
    /// destination ports.
    pub(super) fn narrowed(&self) -> Option<(u16, u16)> {
        self.own?.narrowed
    }

    /// Socket family.
    pub(super) fn domain(&self) -> Domain {
        self.domain
    }

    /// Whether a connection to itself is possible, so that each has to be looked at.
    pub(super) fn check_self(&self) -> bool {
        // Where the range cannot be read, nothing says that it does not hold a destination port.
        self.own.is_none_or(|own| own.overlaps && own.narrowed.is_none())
    }

    /// The tuple for the next run of connections, and how long that is; `None` when all are used up or refused. Each tuple is
    /// first given as many as it has ports, and no more; what fails or is lost leaves ports in some, which are then tried.
    pub(super) fn next(&self) -> Option<(Tuple, u64)> {
        let n = self.out.len();
        let first = self.next.fetch_add(1, Relaxed);
        let mut left = (0..n).map(|i| (first + i) % n).filter(|&at| self.out[at].load(Relaxed) == IN);
        if !self.all_given.load(Relaxed) {
            if let Some(fresh) = left.clone().find_map(|at| Some((Tuple(at), self.give(at)?))) {
                return Some(fresh);
            }
            self.all_given.store(true, Relaxed);
        }
        left.next().map(|at| (Tuple(at), RUN))
    }

    /// How many connections in a row a tuple has ports for that no run has been given yet.
    fn give(&self, at: usize) -> Option<u64> {
        let Some(OwnPorts { usable, .. }) = self.own else { return Some(RUN) };
        let run = |given: u32| RUN.min(usable.saturating_sub(u64::from(given)));
        let more = |given| u32::try_from(run(given)).ok().filter(|n| *n > 0).map(|n| given + n);
        self.given[at].fetch_update(Relaxed, Relaxed, more).ok().map(run)
    }

    /// The source to bind to, if any, and where to connect.
    pub(super) fn addresses(&self, tuple: Tuple) -> (Option<&SockAddr>, &SockAddr) {
        let n = self.destinations.len();
        (self.sources.get(tuple.0 / n), &self.destinations[tuple.0 % n])
    }

    /// Takes a tuple out: its local ports are used up. Returns how many tuples are left.
    pub(super) fn used_up(&self, tuple: Tuple) -> usize {
        self.take_out(tuple, USED_UP)
    }

    fn take_out(&self, tuple: Tuple, why: u8) -> usize {
        if self.out[tuple.0].compare_exchange(IN, why, Relaxed, Relaxed).is_err() {
            return self.left.load(Relaxed);
        }
        self.left.fetch_sub(1, Relaxed) - 1
    }

    /// Notes that a destination takes connections.
    pub(super) fn took(&self, tuple: Tuple) {
        let taken = &self.taken[tuple.0 % self.destinations.len()];
        // A load is cheap; a store takes the line away from the other lanes.
        if !taken.load(Relaxed) {
            taken.store(true, Relaxed);
        }
    }

    /// Whether a destination has taken a connection before.
    pub(super) fn has_taken(&self, tuple: Tuple) -> bool {
        self.taken[tuple.0 % self.destinations.len()].load(Relaxed)
    }

    /// Takes the ports in again that refused, `all` of them or those that have taken connections before; whether there were
    /// any.
    pub(super) fn retry_refused(&self, all: bool) -> bool {
        let mut any = false;
        let refused =
            |(at, out): &(usize, &AtomicU8)| out.load(Relaxed) == REFUSED && (all || self.has_taken(Tuple(*at)));
        for (_, out) in self.out.iter().enumerate().filter(refused) {
            // Counted first: whoever takes it out again at once must find it counted.
            self.left.fetch_add(1, Relaxed);
            if out.compare_exchange(REFUSED, IN, Relaxed, Relaxed).is_ok() {
                any = true;
            } else {
                self.left.fetch_sub(1, Relaxed);
            }
        }
        any
    }

    /// Takes a destination port out for every source: it refuses. Returns how many tuples are left.
    pub(super) fn refused(&self, tuple: Tuple) -> usize {
        let n = self.destinations.len();
        for at in (tuple.0 % n..self.out.len()).step_by(n) {
            self.take_out(Tuple(at), REFUSED);
        }
        self.left.load(Relaxed)
    }

    /// Destination ports that are out because they refuse, where others are left.
    pub(super) fn refusing(&self) -> Vec<u16> {
        if self.left.load(Relaxed) == 0 {
            return Vec::new();
        }
        // Of the first source: a port is taken out for all.
        let out = self.destinations.iter().zip(&self.out).filter(|(_, out)| out.load(Relaxed) == REFUSED);
        out.filter_map(|(destination, _)| Some(destination.as_socket()?.port())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config::Common;

    const RANGE: PortRange = PortRange { low: 32_768, high: 60_999, reserved: 0 };

    fn plan(ip: &str, ports: u16, target: u64, sources: &[&str]) -> io::Result<Plan> {
        plan_in(RANGE, ip, ports, target, sources)
    }

    fn plan_in(range: PortRange, ip: &str, ports: u16, target: u64, sources: &[&str]) -> io::Result<Plan> {
        let config = ClientConfig {
            common: Common { port: 9900, ports, workers: None, target },
            target_ip: ip.parse().unwrap(),
            zone: 0,
            sources: sources.iter().map(|s| s.parse().unwrap()).collect(),
            rate: None,
            greet: false,
            persist: false,
            traffic: None,
            share: None,
        };
        Plan::new(&config, Some(range))
    }

    impl Plan {
        /// Destination port of a tuple.
        fn port(&self, tuple: Tuple) -> u16 {
            self.addresses(tuple).1.as_socket().unwrap().port()
        }
    }

    #[test]
    fn goes_round_and_leaves_out_what_is_used_up() {
        let plan = plan("127.0.0.1", 3, 100, &[]).unwrap();
        let ports: Vec<u16> = (0..4).map(|_| plan.port(plan.next().unwrap().0)).collect();
        assert_eq!(ports, [9900, 9901, 9902, 9900]);
        assert_eq!(plan.used_up(Tuple(1)), 2);
        assert_eq!(plan.used_up(Tuple(1)), 2, "twice is once");
        assert!((0..6).all(|_| plan.port(plan.next().unwrap().0) != 9901));
        assert_eq!((plan.refused(Tuple(0)), plan.refusing()), (1, vec![9900]));
        assert_eq!(plan.used_up(Tuple(2)), 0);
        assert_eq!((plan.next(), plan.refusing()), (None, vec![]), "none is left that takes connections");
        assert!(!plan.retry_refused(false), "it has never taken any");
        plan.took(Tuple(0));
        assert!(plan.retry_refused(false) && !plan.retry_refused(true));
        assert!((0..3).all(|_| plan.port(plan.next().unwrap().0) == 9900), "what is used up stays out");
        assert_eq!(plan.used_up(Tuple(0)), 0);
    }

    #[test]
    fn a_tuple_is_given_no_more_than_it_has_ports() {
        let range = PortRange { low: 40_000, high: 40_019, reserved: 0 };
        let plan = plan_in(range, "127.0.0.1", 3, 60, &["127.0.0.5"]).unwrap();
        let runs: Vec<u64> = (0..6).map(|_| plan.next().unwrap().1).collect();
        assert_eq!(runs, [16, 16, 16, 4, 4, 4], "runs of 16 alone would ask the first for 32");
        // Some of them may have been lost: only connect can tell where ports are free again.
        assert_eq!(plan.next().unwrap().1, RUN);
        (0..3).for_each(|at| assert_eq!(plan.used_up(Tuple(at)), 2 - at));
        assert_eq!(plan.next(), None);
    }

    #[test]
    fn a_refused_port_goes_for_every_source() {
        let plan = plan("127.0.0.1", 2, 100, &["127.0.0.5", "127.0.0.6"]).unwrap();
        assert_eq!(plan.capacity(), Some(4 * 28_232));
        let others = [22, 9900, 32_767, 32_768, 60_999, 61_000].into();
        assert_eq!(plan.capacity_beside(&others), Some(4 * 28_230), "the first and the last of the range are others'");
        assert_eq!(plan.refused(Tuple(0)), 2);
        assert!((0..4).all(|_| plan.port(plan.next().unwrap().0) == 9901));
    }

    #[test]
    fn takes_more_of_loopback_for_more_connections() {
        for (target, want) in [(1_000_000, 0), (1_200_000, 2), (2_500_000, 3)] {
            let plan = plan("127.0.0.1", 100, target, &[]).unwrap();
            assert_eq!(plan.sources.len(), want, "{target}");
            assert!(plan.capacity().unwrap() >= target);
        }
    }

    #[test]
    fn says_which_source_is_wrong() {
        let text = plan("127.0.0.1", 1, 1, &["192.0.2.7"]).unwrap_err().to_string();
        assert!(text.contains("192.0.2.7") && text.contains("--source"), "{text}");
        let text = plan("127.0.0.1", 1, 1, &["::1"]).unwrap_err().to_string();
        assert!(text.contains("another address family"), "{text}");
    }
}
