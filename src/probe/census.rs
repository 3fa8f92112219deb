//! The connections of a program, counted socket by socket by `sock_diag(7)`: those of the ports it listens on.
//!
//! For each question the kernel walks every TCP socket of the namespace and hands out what is asked for, about 1 us each.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use socket2::Socket;

use super::listeners::{self, half, word};
use crate::sample::kernel::{Census, ListenerCensus, Reading};

/// `TCP_ESTABLISHED`, `TCP_TIME_WAIT`, `TCP_CLOSE_WAIT` and `TCP_LISTEN` of `include/net/tcp_states.h`.
const ESTABLISHED: u8 = 1;
const TIME_WAIT: u8 = 6;
const CLOSE_WAIT: u8 = 8;
const LISTEN: u8 = 10;

/// Sockets of one count that the next one looks for.
const KEPT: u64 = 1024;

/// Others in the namespace take nothing in that matters, if they have one connection for so many of the program's.
const FEW: u64 = 20;

/// What one count hands on to the next.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    /// Some of the connections, by inode: chance decides, and no order of the kernel's tables.
    kept: HashSet<u64>,
    /// One of 2 to the so many connections is kept.
    thin: u32,
    readings: u64,
}

impl Counter {
    /// Counts the sockets of these ports. Those of `asked` that are TCP connections, of whatever port, are put into `found`.
    pub(crate) fn count(
        &mut self,
        socket: &Socket,
        ports: &[u16],
        asked: &HashSet<u64>,
        found: &mut HashSet<u64>,
        buf: &mut Vec<u8>,
    ) -> Reading<Census> {
        let mut tally = Tally::new(ports, &self.kept, self.thin);
        let states = 1 << ESTABLISHED | 1 << TIME_WAIT | 1 << CLOSE_WAIT | 1 << LISTEN;
        listeners::each(socket, states, buf, &mut |message| {
            let inode = u64::from(word(message, 68)?);
            if asked.contains(&inode) && message.get(1) != Some(&LISTEN) {
                found.insert(inode);
            }
            tally.add(message, inode)
        })?;
        let known = self.kept.len() as u64;
        let (census, keep) = tally.census();
        self.readings += 1;
        self.kept = keep;
        // As many as there are now decide how many of the next ones are kept.
        self.thin = (census.connections / KEPT).checked_ilog2().map_or(0, |n| n + 1);
        Ok(Census { reading: self.readings, known, ..census })
    }
}

/// What has been counted so far, by port.
struct Tally<'a> {
    ports: Vec<bool>,
    kept: &'a HashSet<u64>,
    thin: u32,
    keep: HashSet<u64>,
    listeners: BTreeMap<u16, ListenerCensus>,
    addresses: HashMap<u16, Vec<IpAddr>>,
    close_wait: u64,
    time_wait: u64,
    /// Ports that other programs listen on, and connections there.
    others: Vec<bool>,
    of_others: u64,
    both_ends: u64,
    still: u64,
}

impl<'a> Tally<'a> {
    fn new(ports: &[u16], kept: &'a HashSet<u64>, thin: u32) -> Self {
        let mut of = vec![false; 1 << 16];
        for port in ports {
            of[usize::from(*port)] = true;
        }
        Self {
            ports: of,
            kept,
            thin,
            keep: HashSet::new(),
            listeners: BTreeMap::new(),
            addresses: HashMap::new(),
            close_wait: 0,
            time_wait: 0,
            others: vec![false; 1 << 16],
            of_others: 0,
            both_ends: 0,
            still: 0,
        }
    }

    /// `struct inet_diag_msg`: of a connection of these ports, its other end, or a listener of them.
    fn add(&mut self, message: &[u8], inode: u64) -> Reading<()> {
        let state = message.get(1).copied().unwrap_or_default();
        let (port, peer) = (u16::from_be(half(message, 4)?), u16::from_be(half(message, 6)?));
        if !self.ports[usize::from(port)] {
            self.both_ends += u64::from(self.ports[usize::from(peer)] && matches!(state, ESTABLISHED | CLOSE_WAIT));
            match state {
                LISTEN => self.others[usize::from(port)] = true,
                ESTABLISHED => self.of_others += u64::from(self.others[usize::from(port)]),
                _ => {}
            }
            return Ok(());
        }
        if state == TIME_WAIT {
            self.time_wait += 1;
            return Ok(());
        }
        if state == LISTEN {
            self.addresses.entry(port).or_default().extend(address(message));
        }
        let listener = self.listeners.entry(port).or_insert(ListenerCensus { port, ..ListenerCensus::default() });
        match state {
            LISTEN => {
                listener.queued += u64::from(word(message, 56)?);
                listener.backlog = listener.backlog.max(word(message, 60)?.into());
                return Ok(());
            }
            CLOSE_WAIT => self.close_wait += 1,
            ESTABLISHED => {}
            _ => return Ok(()),
        }
        listener.established += 1;
        self.still += u64::from(self.kept.contains(&inode));
        if chosen(inode, self.thin) && (self.keep.len() as u64) < 2 * KEPT {
            self.keep.insert(inode);
        }
        Ok(())
    }

    fn census(mut self) -> (Census, HashSet<u64>) {
        for (port, addresses) in &mut self.addresses {
            addresses.sort_unstable();
            addresses.dedup();
            if let Some(listener) = self.listeners.get_mut(port) {
                listener.address = written(addresses);
            }
        }
        let listeners: Vec<ListenerCensus> = self.listeners.into_values().collect();
        let sum = |of: fn(&ListenerCensus) -> u64| listeners.iter().map(of).sum::<u64>();
        let (established, queued) = (sum(|l| l.established), sum(|l| l.queued));
        let census = Census {
            connections: established.saturating_sub(queued),
            by_socket: true,
            queued,
            close_wait: self.close_wait,
            time_wait: self.time_wait,
            alone: self.of_others * FEW <= established,
            both_ends: self.both_ends.min(established),
            gone: (self.kept.len() as u64).saturating_sub(self.still),
            listeners,
            ..Census::default()
        };
        (census, self.keep)
    }
}

/// Whether chance chooses this socket, one of 2 to the power of `thin`: always the same ones.
fn chosen(inode: u64, thin: u32) -> bool {
    // Fibonacci hashing (Knuth, TAOCP 3, 6.4): inodes come one after another.
    thin == 0 || inode.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - thin.min(63)) == 0
}

/// The address of a listener: `id.idiag_src`.
fn address(message: &[u8]) -> Option<IpAddr> {
    let bytes: [u8; 16] = *message.get(8..)?.first_chunk()?;
    Some(match i32::from(*message.first()?) {
        libc::AF_INET => Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into(),
        _ => Ipv6Addr::from(bytes).into(),
    })
}

/// Addresses for people: `*` is every one.
fn written(addresses: &[IpAddr]) -> String {
    if addresses.iter().any(IpAddr::is_unspecified) {
        return "*".to_owned();
    }
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(state: u8, (port, peer): (u16, u16), used: u32, max: u32) -> Vec<u8> {
        let mut out = vec![0; 72];
        out[0] = u8::try_from(libc::AF_INET).unwrap();
        out[1] = state;
        out[4..6].copy_from_slice(&port.to_be_bytes());
        out[6..8].copy_from_slice(&peer.to_be_bytes());
        out[8] = 127;
        out[11] = 1;
        out[56..60].copy_from_slice(&used.to_ne_bytes());
        out[60..64].copy_from_slice(&max.to_ne_bytes());
        out
    }

    #[test]
    fn what_waits_to_be_accepted_is_not_held_and_other_ports_are_others() {
        let none = HashSet::new();
        let mut tally = Tally::new(&[80, 443], &none, 0);
        let sockets = [
            message(LISTEN, (80, 0), 3, 128),
            message(LISTEN, (443, 0), 0, 511),
            message(LISTEN, (22, 0), 5, 9),
            message(CLOSE_WAIT, (80, 1), 0, 0),
            message(ESTABLISHED, (40_000, 80), 0, 0),
            message(ESTABLISHED, (40_001, 5432), 0, 0),
        ];
        let many = std::iter::repeat_n(message(ESTABLISHED, (80, 9), 0, 0), 10);
        sockets.into_iter().chain(many).for_each(|m| tally.add(&m, 7).unwrap());
        let (census, _) = tally.census();
        assert_eq!((census.connections, census.queued, census.close_wait, census.both_ends), (8, 3, 1, 1));
        let address = || "127.0.0.1".to_owned();
        let listener = |port, established, queued, backlog| ListenerCensus {
            address: address(),
            port,
            established,
            queued,
            backlog,
        };
        assert_eq!(census.listeners, [listener(80, 11, 3, 128), listener(443, 0, 0, 511)]);
        assert!(Tally::new(&[80], &none, 0).add(&[0; 3], 0).is_err(), "cut short");
    }

    #[test]
    fn which_connections_have_gone_is_told_by_some_of_them() {
        let count = |kept: &HashSet<u64>, thin, inodes: std::ops::Range<u64>| {
            let mut tally = Tally::new(&[80], kept, thin);
            inodes.for_each(|inode| tally.add(&message(ESTABLISHED, (80, 9), 0, 0), inode).unwrap());
            tally.census()
        };
        let (_, few) = count(&HashSet::new(), 0, 0..900);
        assert_eq!(few.len(), 900);
        // A tenth of them has been replaced.
        assert_eq!(count(&few, 0, 90..990).0.gone, 90);
        let (_, some) = count(&HashSet::new(), 7, 0..100_000);
        assert!((700..900).contains(&some.len()), "one of 128: {}", some.len());
        let (gone, all) = (count(&some, 7, 50_000..150_000).0.gone, some.len() as u64);
        assert!((all * 45 / 100..=all * 55 / 100).contains(&gone), "{gone} of {all}");
    }

    #[test]
    fn a_listener_of_every_address_is_one() {
        let of = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(written(&[of("0.0.0.0"), of("::")]), "*");
        assert_eq!(written(&[of("10.0.0.1"), of("127.0.0.1")]), "10.0.0.1, 127.0.0.1");
    }
}
