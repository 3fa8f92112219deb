//! Who is connected to one port: its established sockets by `sock_diag(7)`, each with its `TCP_INFO`, when the user asks.
//!
//! The kernel walks every socket of the namespace and writes a message for each of the port: 1.3 us of CPU time. Nothing is
//! sent to the program, and none of its sockets changes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::listeners::{self, INFO, Question, half, word};
use super::namespace::same_network;
use super::source::{Roots, exists};
use crate::sample::kernel::{Absent, IdlePeer, Network, Peers, Reading};
use crate::sys;
use crate::units::micros;

/// `TCP_ESTABLISHED` and `TCP_CLOSE_WAIT` of `include/net/tcp_states.h`.
const ESTABLISHED: u8 = 1;
const CLOSE_WAIT: u8 = 8;

/// Bytes of `struct inet_diag_msg`; attributes follow.
const MESSAGE: usize = 72;

/// `tcpi_last_data_sent` and `tcpi_last_data_recv` in `struct tcp_info` (`include/uapi/linux/tcp.h`), milliseconds ago. Both
/// begin when the connection is established.
const LAST_SENT: usize = 44;
const LAST_RECEIVED: usize = 52;

/// Networks of IPv4 are /24, of IPv6 /56: what one customer of a provider has, or one site.
const BITS_V4: u8 = 24;
const BITS_V6: u8 = 56;

/// Counts the peers of a port in the network namespace of a process. It takes as long as it takes ([`Peers::cost_us`]): for a
/// thread that has nothing else to do.
///
/// # Errors
/// The process has ended, its namespace may not be entered, or the kernel does not answer.
pub fn peers(roots: &Roots, pid: u32, port: u16) -> Reading<Peers> {
    let other = match same_network(&roots.proc, pid) {
        None if !exists(&roots.proc.join(pid.to_string())) => return Err(Absent::ProcessEnded),
        same => same == Some(false),
    };
    let socket = listeners::open(roots, other.then_some(pid))?;
    let start = sys::thread_cpu_time();
    let asked = Question { states: 1 << ESTABLISHED | 1 << CLOSE_WAIT, port, info: true };
    let mut tally = Tally { port, ..Tally::default() };
    listeners::each_of(&socket, asked, &mut Vec::new(), &mut |message| tally.add(message))?;
    let peers = tally.peers();
    Ok(Peers { cpu_us: micros(sys::thread_cpu_time().saturating_sub(start)), ..peers })
}

/// What has been counted so far.
#[derive(Debug, Default)]
struct Tally {
    port: u16,
    /// The address of each peer, as one of IPv6. Sixteen bytes a connection; in order, those of a network are neighbours.
    addresses: Vec<u128>,
    peers: Peers,
}

impl Tally {
    /// `struct inet_diag_msg` and its attributes.
    fn add(&mut self, message: &[u8]) -> Reading<()> {
        let state = message.get(1).copied().unwrap_or_default();
        // The kernel has been asked for no others.
        if u16::from_be(half(message, 4)?) != self.port || !matches!(state, ESTABLISHED | CLOSE_WAIT) {
            return Ok(());
        }
        let (unread, inode) = (word(message, 56)?, word(message, 68)?);
        let address = peer(message)?;
        self.addresses.push(address.to_bits());
        let peers = &mut self.peers;
        peers.connections += 1;
        peers.close_wait += u64::from(state == CLOSE_WAIT);
        // It gets its inode when it is accepted.
        peers.queued += u64::from(inode == 0);
        let Some(idle_ms) = idle_ms(message) else {
            peers.untold += 1;
            return Ok(());
        };
        peers.idle[Peers::BOUNDS_MS.partition_point(|bound| *bound <= idle_ms)] += 1;
        if peers.oldest.len() == Peers::OLDEST && peers.oldest.last().is_some_and(|last| last.idle_ms >= idle_ms) {
            return Ok(());
        }
        let peer = SocketAddr::new(address.to_canonical(), u16::from_be(half(message, 6)?));
        let place = peers.oldest.partition_point(|older| older.idle_ms >= idle_ms);
        peers.oldest.insert(place, IdlePeer { peer, idle_ms, unread: unread.into() });
        peers.oldest.truncate(Peers::OLDEST);
        Ok(())
    }

    fn peers(mut self) -> Peers {
        self.addresses.sort_unstable();
        let mut networks: Vec<Network> = Vec::new();
        let mut last = None;
        for bits in self.addresses {
            let new = last.replace(bits) != Some(bits);
            self.peers.addresses += u64::from(new);
            let (address, bits) = network(bits);
            match networks.last_mut() {
                Some(known) if known.address == address => {
                    known.connections += 1;
                    known.addresses += u64::from(new);
                }
                _ => networks.push(Network { address, bits, connections: 1, addresses: 1 }),
            }
        }
        self.peers.networks = networks.len() as u64;
        // Of networks alike the lower address, so that the order does not jump.
        networks.sort_by_key(|network| (std::cmp::Reverse(network.connections), network.address));
        networks.truncate(Peers::NETWORKS);
        Peers { top: networks, ..self.peers }
    }
}

/// The address of the other end (`id.idiag_dst`); one of IPv4 as `::ffff:a.b.c.d`, as a socket of both families has it.
fn peer(message: &[u8]) -> Reading<Ipv6Addr> {
    // Four words of four bytes each: cut short, the last is missing.
    word(message, 36)?;
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&message[24..40]);
    Ok(match i32::from(message[0]) {
        libc::AF_INET => Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).to_ipv6_mapped(),
        _ => bytes.into(),
    })
}

/// The network that an address is in, and its bits.
fn network(bits: u128) -> (IpAddr, u8) {
    let address = Ipv6Addr::from_bits(bits);
    match address.to_ipv4_mapped() {
        Some(v4) => (Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << (32 - BITS_V4))).into(), BITS_V4),
        None => (Ipv6Addr::from_bits(bits & (u128::MAX << (128 - BITS_V6))).into(), BITS_V6),
    }
}

/// How long no data has gone either way, where the kernel tells it: `struct rtattr` after `struct rtattr`.
fn idle_ms(message: &[u8]) -> Option<u64> {
    let mut rest = message.get(MESSAGE..)?;
    loop {
        let (len, kind) = (usize::from(half(rest, 0).ok()?), half(rest, 2).ok()?);
        let info = rest.get(4..len)?;
        if kind == INFO {
            let (sent, received) = (word(info, LAST_SENT).ok()?, word(info, LAST_RECEIVED).ok()?);
            return Some(sent.min(received).into());
        }
        rest = rest.get(len.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket of port 80 with this peer; when data was last sent and received, and what is unread.
    fn message(state: u8, peer: &str, (sent, received): (u32, u32), unread: u32) -> Vec<u8> {
        let peer: SocketAddr = peer.parse().unwrap();
        let mut out = vec![0; MESSAGE];
        out[1] = state;
        out[4..6].copy_from_slice(&80_u16.to_be_bytes());
        out[6..8].copy_from_slice(&peer.port().to_be_bytes());
        match peer.ip() {
            IpAddr::V4(v4) => {
                out[0] = u8::try_from(libc::AF_INET).unwrap();
                out[24..28].copy_from_slice(&v4.octets());
            }
            IpAddr::V6(v6) => {
                out[0] = u8::try_from(libc::AF_INET6).unwrap();
                out[24..40].copy_from_slice(&v6.octets());
            }
        }
        out[56..60].copy_from_slice(&unread.to_ne_bytes());
        out[68..72].copy_from_slice(&7_u32.to_ne_bytes());
        // What the kernel always tells comes first: INET_DIAG_SHUTDOWN, one byte and three to the next word.
        out.extend([5, 0, 8, 0, 3, 0, 0, 0]);
        let mut info = [0; 248];
        info[LAST_SENT..LAST_SENT + 4].copy_from_slice(&sent.to_ne_bytes());
        info[LAST_RECEIVED..LAST_RECEIVED + 4].copy_from_slice(&received.to_ne_bytes());
        out.extend([252_u16, INFO].map(u16::to_ne_bytes).concat());
        out.extend(info);
        out
    }

    fn tally<'a>(messages: impl IntoIterator<Item = &'a Vec<u8>>) -> Peers {
        let mut tally = Tally { port: 80, ..Tally::default() };
        messages.into_iter().for_each(|message| tally.add(message).unwrap());
        tally.peers()
    }

    fn fresh(peer: &str) -> Vec<u8> {
        message(ESTABLISHED, peer, (0, 0), 0)
    }

    #[test]
    fn peers_are_told_by_network_and_a_mapped_address_is_one_of_ipv4() {
        let told = tally(&[
            fresh("10.1.2.3:1"),
            fresh("10.1.2.3:2"),
            fresh("[::ffff:10.1.2.200]:3"),
            fresh("10.1.3.1:4"),
            fresh("[2001:db8:1:2ff::1]:5"),
            fresh("[2001:db8:1:200:ffff::1]:6"),
            fresh("[2001:db8:1:3ff::1]:7"),
            fresh("[2001:db8:1:3ff::1]:8"),
            fresh("[2001:db8:1:3ff::1]:9"),
            fresh("[2001:db8:1:3ff::1]:10"),
        ]);
        let rows: Vec<(String, u64, u64)> =
            told.top.iter().map(|n| (n.to_string(), n.connections, n.addresses)).collect();
        let row = |network: &str, connections, addresses| (network.to_owned(), connections, addresses);
        assert_eq!(
            rows,
            [
                row("2001:db8:1:300::/56", 4, 1),
                row("10.1.2.0/24", 3, 2),
                row("2001:db8:1:200::/56", 2, 2),
                row("10.1.3.0/24", 1, 1),
            ]
        );
        assert_eq!((told.connections, told.addresses, told.networks), (10, 6, 4));
        let of_both = told.oldest.iter().find(|idle| idle.peer.port() == 3).unwrap();
        assert_eq!(of_both.peer.to_string(), "10.1.2.200:3");
    }

    #[test]
    fn the_largest_networks_are_told_and_the_others_counted() {
        let many: Vec<Vec<u8>> =
            (0..30_u32).flat_map(|i| (0..=i).map(move |n| fresh(&format!("10.0.{i}.1:{}", n + 1)))).collect();
        let told = tally(&many);
        assert_eq!((told.networks, told.top.len(), told.connections), (30, Peers::NETWORKS, 465));
        assert_eq!((told.top[0].to_string(), told.top[0].connections), ("10.0.29.0/24".to_owned(), 30));
        assert_eq!(told.top[19].to_string(), "10.0.10.0/24");
    }

    #[test]
    fn idle_is_what_neither_sent_nor_received() {
        let told = tally(&[
            message(ESTABLISHED, "10.0.0.1:1", (5_000, 900_000), 0),
            message(ESTABLISHED, "10.0.0.2:1", (900_000, 999), 7),
            message(CLOSE_WAIT, "10.0.0.3:1", (4_000_000, 3_600_000), 512),
            message(ESTABLISHED, "10.0.0.4:1", (1_000, 1_000), 0),
            message(ESTABLISHED, "10.0.0.5:1", (59_999, u32::MAX), 0),
            message(ESTABLISHED, "10.0.0.6:1", (60_000, 60_000), 0),
            message(ESTABLISHED, "10.0.0.7:1", (600_000, 600_000), 0),
        ]);
        assert_eq!(told.idle, [1, 2, 1, 1, 1, 1]);
        let oldest: Vec<(u64, u64)> = told.oldest.iter().map(|idle| (idle.idle_ms, idle.unread)).collect();
        let want = [(3_600_000, 512), (600_000, 0), (60_000, 0), (59_999, 0), (5_000, 0), (1_000, 0), (999, 7)];
        assert_eq!(oldest, want);
        assert_eq!((told.close_wait, told.untold, told.queued), (1, 0, 0));
    }

    #[test]
    fn the_oldest_are_kept_in_whatever_order_they_come() {
        let idle = |ms: u32| message(ESTABLISHED, "10.0.0.1:1", (ms, ms), 0);
        for step in [7, 93] {
            let told = tally(&(0..100).map(|i| idle(i * step % 100)).collect::<Vec<_>>());
            let oldest: Vec<u64> = told.oldest.iter().map(|idle| idle.idle_ms).collect();
            assert_eq!(oldest, (90..100).rev().collect::<Vec<_>>());
        }
    }

    #[test]
    fn other_sockets_are_passed_over_and_what_is_missing_is_no_zero() {
        let mut other = fresh("10.0.0.1:1");
        other[5] = 81;
        let listener = message(10, "0.0.0.0:0", (0, 0), 0);
        assert_eq!(tally(&[other, listener]), Peers::default());

        let mut waiting = fresh("10.0.0.1:1");
        waiting[68..72].fill(0);
        let without = fresh("10.0.0.2:1")[..MESSAGE].to_vec();
        // A kernel that tells less of a connection than it is asked for.
        let mut short = fresh("10.0.0.3:1");
        short.truncate(MESSAGE + 8 + 4 + 52);
        short[MESSAGE + 8..MESSAGE + 10].copy_from_slice(&56_u16.to_ne_bytes());
        let told = tally(&[waiting, without, short]);
        assert_eq!((told.connections, told.queued, told.untold, told.oldest.len()), (3, 1, 2, 1));
    }

    #[test]
    fn any_bytes_are_counted_or_a_reason() {
        let whole = fresh("10.0.0.1:1");
        for end in 2..whole.len() {
            let told = Tally { port: 80, ..Tally::default() }.add(&whole[..end]);
            assert_eq!(told.is_ok(), end >= MESSAGE, "{end}");
        }
        let mut state = 1_u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap()
        };
        let mut tally = Tally { port: 80, ..Tally::default() };
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..=next() % 8 {
                let at = next() % bytes.len();
                bytes[at] = [0, 1, 4, 0x7f, 0x80, 0xff, next().to_le_bytes()[0]][next() % 7];
            }
            let _ = tally.add(&bytes);
        }
        let told = tally.peers();
        assert_eq!(told.connections, told.idle.iter().sum::<u64>() + told.untold);
    }
}
