//! The addresses to connect from, where the command line names none.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};

use crate::engine::config::Share;
use crate::sys;

/// Most loopback sources: far more than any count here needs, and well inside 127.0.0.0/8.
const MOST_LOOPBACK: u64 = 60_000;

/// Sources for `target` connections of which one source carries `comfortable`: none where the kernel's own choice is
/// enough, which saves two system calls a connection; else as many of 127.0.0.0/8 as needed for a loopback target, and
/// every address that routes to any other. Parts of a run that are on this host, which they are where they connect to loopback,
/// divide those of 127.0.0.0/8 that all of them need.
pub(super) fn automatic(ip: IpAddr, target: u64, comfortable: u64, share: Option<Share>) -> Vec<IpAddr> {
    let whole = share.filter(|_| ip.is_loopback()).map_or(target, |share| share.whole);
    if whole <= comfortable {
        return Vec::new();
    }
    match ip {
        IpAddr::V4(v4) if v4.is_loopback() => {
            let parts = share.map_or(1, |share| u64::from(share.part.of));
            let needed = whole.div_ceil(comfortable.max(1)).max(parts).min(MOST_LOOPBACK) as u32;
            let network = Ipv4Addr::new(127, 0, 0, 0).to_bits();
            let all: Vec<IpAddr> = (1..=needed).map(|i| IpAddr::V4(Ipv4Addr::from_bits(network + i))).collect();
            share.map_or_else(|| all.clone(), |share| share.part.of_list(&all).0)
        }
        // IPv6 has one loopback address.
        ip if ip.is_loopback() => Vec::new(),
        ip => {
            let near = match ip {
                IpAddr::V4(v4) => near_v4(v4, &read("/proc/net/fib_trie"), &read("/proc/net/route")),
                IpAddr::V6(v6) => near_v6(v6, &read("/proc/net/if_inet6"), &read("/proc/net/ipv6_route")),
            };
            let routed: Vec<IpAddr> = near.into_iter().filter(|source| routes(*source, ip)).collect();
            // One is what the kernel would have chosen.
            if routed.len() > 1 { routed } else { Vec::new() }
        }
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Own addresses that the target can answer: those in a subnet of the interface that the route to it leaves by, all of them
/// where the target is an address of this host. An address of another interface (a container bridge, say) would send its
/// SYN as well, and wait for ever.
fn near_v4(target: Ipv4Addr, trie: &str, routes: &str) -> Vec<IpAddr> {
    let own = fib_trie(trie);
    if own.contains(&target) {
        return own.into_iter().map(IpAddr::V4).collect();
    }
    let routes: Vec<RouteV4> = routes.lines().filter_map(RouteV4::parse).collect();
    let Some(out) =
        routes.iter().filter(|r| r.holds(target)).max_by_key(|r| (r.mask.count_ones(), u32::MAX - r.metric))
    else {
        return Vec::new();
    };
    let subnets: Vec<&RouteV4> =
        routes.iter().filter(|r| r.device == out.device && r.gateway == 0 && r.mask != 0).collect();
    own.into_iter().filter(|ip| subnets.iter().any(|r| r.holds(*ip))).map(IpAddr::V4).collect()
}

/// A line of `/proc/net/route` (`fib_route_seq_show` in `net/ipv4/fib_trie.c`); numbers as the host stores them.
struct RouteV4<'a> {
    device: &'a str,
    destination: u32,
    gateway: u32,
    metric: u32,
    mask: u32,
}

impl<'a> RouteV4<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let hex = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok();
        let metric = words.get(6)?.parse().ok()?;
        Some(Self { device: words[0], destination: hex(1)?, gateway: hex(2)?, metric, mask: hex(7)? })
    }

    fn holds(&self, ip: Ipv4Addr) -> bool {
        u32::from_ne_bytes(ip.octets()) & self.mask == self.destination
    }
}

/// The same for IPv6.
fn near_v6(target: Ipv6Addr, addresses: &str, routes: &str) -> Vec<IpAddr> {
    let own = if_inet6(addresses);
    let all = || own.iter().map(|(ip, _)| IpAddr::V6(*ip)).collect();
    if own.iter().any(|(ip, _)| *ip == target) {
        return all();
    }
    let Some(device) = route_v6(target, routes) else { return Vec::new() };
    own.iter().filter(|(_, on)| *on == device).map(|(ip, _)| IpAddr::V6(*ip)).collect()
}

/// The device of the route to `target` in `/proc/net/ipv6_route`: destination and prefix length in hex first, metric sixth,
/// device last.
fn route_v6(target: Ipv6Addr, routes: &str) -> Option<&str> {
    let parse = |line| -> Option<(u32, u32, &str)> {
        let words: Vec<&str> = str::split_whitespace(line).collect();
        let destination = u128::from_str_radix(words.first()?, 16).ok()?;
        let length = u32::from_str_radix(words.get(1)?, 16).ok()?;
        let metric = u32::from_str_radix(words.get(5)?, 16).ok()?;
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
        let device = *words.get(9)?;
        // The unreachable default of every namespace is on lo.
        (target.to_bits() & mask == destination && device != "lo").then_some((length, u32::MAX - metric, device))
    };
    routes.lines().filter_map(parse).max_by_key(|r| (r.0, r.1)).map(|r| r.2)
}

/// `host LOCAL` leaves of `/proc/net/fib_trie` (`net/ipv4/fib_trie.c`), loopback left out; each stands in two tries.
fn fib_trie(text: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut leaf: Option<Ipv4Addr> = None;
    for line in text.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if line.starts_with("/32 host LOCAL")
            && let Some(ip) = leaf.filter(|ip| !ip.is_loopback())
            && !found.contains(&ip)
        {
            found.push(ip);
        }
    }
    found
}

/// `/proc/net/if_inet6`: address in hex, index, prefix, scope (0 is global), flags, name.
fn if_inet6(text: &str) -> Vec<(Ipv6Addr, &str)> {
    let global = |line| {
        let mut words = str::split_whitespace(line);
        let bits = u128::from_str_radix(words.next()?, 16).ok()?;
        (words.nth(2)? == "00").then_some((Ipv6Addr::from_bits(bits), words.nth(1)?))
    };
    text.lines().filter_map(global).collect()
}

/// Whether packets from `source` find a route to `ip`. Connecting a UDP socket asks the routing table and sends nothing.
fn routes(source: IpAddr, ip: IpAddr) -> bool {
    UdpSocket::bind((source, 0)).and_then(|socket| socket.connect((ip, 9))).is_ok()
}

/// Binds a source once, to see that it can be used.
///
/// # Errors
/// A sentence with the source and why not.
pub(super) fn probe(domain: Domain, ip: IpAddr) -> io::Result<()> {
    let bind = || -> io::Result<()> {
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        sys::bind_address_no_port(socket.as_fd())?;
        socket.bind(&SocketAddr::new(ip, 0).into())
    };
    bind().map_err(|e| {
        let text = match e.raw_os_error() {
            Some(libc::EADDRNOTAVAIL) => {
                format!("cannot connect from {ip}: it is not an address of this machine (--source; see: ip address)")
            }
            Some(libc::EINVAL | libc::EAFNOSUPPORT) => {
                format!("cannot connect from {ip}: it is of another address family than the server (--source)")
            }
            _ => format!("cannot connect from {ip}: {e} (--source)"),
        };
        io::Error::new(e.kind(), text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_more_of_loopback_for_more_connections() {
        let loopback = "127.0.0.1".parse().unwrap();
        for (target, want) in [(1000, 0), (1001, 2), (9500, 10)] {
            assert_eq!(automatic(loopback, target, 1000, None).len(), want, "{target}");
        }
        assert_eq!(automatic(loopback, 5000, 1000, None)[0], loopback);
        assert!(automatic("::1".parse().unwrap(), 5000, 1000, None).is_empty());
    }

    #[test]
    fn parts_on_loopback_divide_what_all_of_them_need() {
        let loopback = "127.0.0.1".parse().unwrap();
        for (whole, parts, want) in [(9500, 3, 10), (9500, 40, 40), (2000, 2, 2), (1000, 7, 0)] {
            let share = |part: u32| Share { part: format!("{part}/{parts}").parse().unwrap(), whole };
            let own = |part| automatic(loopback, share(part).part.share(whole), 1000, Some(share(part)));
            let all: Vec<IpAddr> = (1..=parts).flat_map(own).collect();
            let once: std::collections::BTreeSet<_> = all.iter().collect();
            assert_eq!((all.len(), once.len()), (want, want), "{whole} over {parts}");
        }
    }

    const TRIE: &str = "Main:\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.2\n        /32 host LOCAL\n     |-- 10.0.0.3\n        /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 172.17.0.1\n        /32 host LOCAL\nLocal:\n     |-- 10.0.0.2\n        /32 host LOCAL\n";
    const ROUTES: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
        docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";

    fn strings(found: &[IpAddr]) -> Vec<String> {
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_addresses_that_the_target_can_answer() {
        for (target, want) in [
            ("10.0.0.9", vec!["10.0.0.2", "10.0.0.3"]),
            ("192.168.9.9", vec!["10.0.0.2", "10.0.0.3"]),
            ("172.17.0.9", vec!["172.17.0.1"]),
            ("10.0.0.3", vec!["10.0.0.2", "10.0.0.3", "172.17.0.1"]),
        ] {
            assert_eq!(strings(&near_v4(target.parse().unwrap(), TRIE, ROUTES)), want, "{target}");
        }
        assert!(near_v4("10.0.0.9".parse().unwrap(), TRIE, "junk\n").is_empty());
        assert!(near_v4("10.0.0.9".parse().unwrap(), "/32 host LOCAL", ROUTES).is_empty());
    }

    #[test]
    fn the_same_for_ipv6() {
        let addresses = "00000000000000000000000000000001 01 80 10 80       lo\n\
            fd000000000000000000000000000002 02 40 00 80     eth0\n\
            fd000000000000000000000000000003 02 40 00 80     eth0\n\
            fd170000000000000000000000000001 03 40 00 80     docker0\n\
            fe800000000000000000000000000001 02 40 20 80     eth0\n";
        let routes = "fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n\
            fd170000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001  docker0\n\
            00000000000000000000000000000000 00 fd000000000000000000000000000001 00 00000000000000000000000000000000 00000400 00000001 00000000 00000003     eth0\n\
            00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n";
        for (target, want) in [
            ("fd00::9", vec!["fd00::2", "fd00::3"]),
            ("2001:db8::1", vec!["fd00::2", "fd00::3"]),
            ("fd17::9", vec!["fd17::1"]),
            ("fd00::3", vec!["fd00::2", "fd00::3", "fd17::1"]),
        ] {
            assert_eq!(strings(&near_v6(target.parse().unwrap(), addresses, routes)), want, "{target}");
        }
        assert!(near_v6("fd00::9".parse().unwrap(), "zz", routes).is_empty());
    }
}
