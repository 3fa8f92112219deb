//! Who is connected to one port of a watched program: its sockets, looked at one by one when the user asks.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The peers of one port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peers {
    /// Sockets of the port that are established, accepted or not, `CLOSE_WAIT` among them.
    pub connections: u64,
    /// Of them, those that wait to be accepted.
    pub queued: u64,
    /// Of them, those in `CLOSE_WAIT`: the peer has closed, the program has not.
    pub close_wait: u64,
    /// Different addresses of peers.
    pub addresses: u64,
    /// Different networks that they are in: /24 of IPv4, /56 of IPv6.
    pub networks: u64,
    /// The networks with the most connections, at most [`Peers::NETWORKS`], the largest first.
    pub top: Vec<Network>,
    /// Connections by how long no data has gone either way: each below the bound in [`Peers::BOUNDS_MS`], the last above all.
    pub idle: [u64; 6],
    /// Connections of which the kernel does not tell how long they have been idle.
    pub untold: u64,
    /// The connections that have been idle longest, at most [`Peers::OLDEST`], the longest first.
    pub oldest: Vec<IdlePeer>,
    /// CPU time that counting them took, microseconds.
    pub cpu_us: u64,
}

/// Peers of one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Its lowest address.
    pub address: IpAddr,
    /// How many bits of the address it is.
    pub bits: u8,
    /// Connections from it.
    pub connections: u64,
    /// Different addresses that they come from.
    pub addresses: u64,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// A connection on which nothing moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdlePeer {
    /// The other end.
    pub peer: SocketAddr,
    /// Since data last went either way, or since it was established, milliseconds.
    pub idle_ms: u64,
    /// Bytes that have arrived and that the program has not read.
    pub unread: u64,
}

impl Peers {
    /// Networks that are listed one by one.
    pub const NETWORKS: usize = 20;
    /// Idle connections that are listed one by one.
    pub const OLDEST: usize = 10;
    /// The bounds between the classes of idle times, milliseconds.
    pub const BOUNDS_MS: [u64; 5] = [1_000, 10_000, 60_000, 600_000, 3_600_000];

    /// CPU time that counting so many sockets will take, microseconds: 1.3 each with `TCP_INFO` (of 195,000 of one port, among
    /// 390,000 of the namespace, 1.25 to 1.34 on Linux 6.18).
    pub const fn cost_us(sockets: u64) -> u64 {
        sockets.saturating_mul(13) / 10
    }
}
