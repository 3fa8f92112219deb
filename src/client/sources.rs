//! The addresses to connect from, where the command line names none.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};

use crate::sys;

/// Most loopback sources: far more than any count here needs, and well inside 127.0.0.0/8.
const MOST_LOOPBACK: u64 = 60_000;

/// Sources for `target` connections of which one source carries `comfortable`: none where the kernel's own choice is
/// enough, which saves two system calls a connection; else as many of 127.0.0.0/8 as needed for a loopback target, and
/// every address that routes to any other.
pub(super) fn automatic(ip: IpAddr, target: u64, comfortable: u64) -> Vec<IpAddr> {
    if target <= comfortable {
        return Vec::new();
    }
    match ip {
        IpAddr::V4(v4) if v4.is_loopback() => {
            let needed = target.div_ceil(comfortable.max(1)).min(MOST_LOOPBACK) as u32;
            let network = Ipv4Addr::new(127, 0, 0, 0).to_bits();
            (1..=needed).map(|i| IpAddr::V4(Ipv4Addr::from_bits(network + i))).collect()
        }
        // IPv6 has one loopback address.
        ip if ip.is_loopback() => Vec::new(),
        ip => {
            let routed: Vec<IpAddr> = local(ip.is_ipv4()).into_iter().filter(|source| routes(*source, ip)).collect();
            // One is what the kernel would have chosen.
            if routed.len() > 1 { routed } else { Vec::new() }
        }
    }
}

/// Every unicast address of this network namespace, loopback left out.
fn local(v4: bool) -> Vec<IpAddr> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    if v4 { fib_trie(&read("/proc/net/fib_trie")) } else { if_inet6(&read("/proc/net/if_inet6")) }
}

/// `host LOCAL` leaves of `/proc/net/fib_trie` (`net/ipv4/fib_trie.c`); each stands in two tries.
fn fib_trie(text: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut leaf: Option<Ipv4Addr> = None;
    for line in text.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if line.starts_with("/32 host LOCAL")
            && let Some(ip) = leaf.filter(|ip| !ip.is_loopback()).map(IpAddr::V4)
            && !found.contains(&ip)
        {
            found.push(ip);
        }
    }
    found
}

/// `/proc/net/if_inet6`: address in hex, index, prefix, scope (0 is global), flags, name.
fn if_inet6(text: &str) -> Vec<IpAddr> {
    let global = |line: &str| {
        let mut words = line.split_whitespace();
        let bits = u128::from_str_radix(words.next()?, 16).ok()?;
        (words.nth(2)? == "00").then(|| IpAddr::V6(Ipv6Addr::from_bits(bits)))
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
                format!("cannot connect from {ip}: it is of another family than the target (--source)")
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
            assert_eq!(automatic(loopback, target, 1000).len(), want, "{target}");
        }
        assert_eq!(automatic(loopback, 5000, 1000)[0], loopback);
        assert!(automatic("::1".parse().unwrap(), 5000, 1000).is_empty());
    }

    #[test]
    fn reads_the_kernels_address_lists() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.2\n        /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\nLocal:\n     |-- 10.0.0.2\n        /32 host LOCAL\n";
        assert_eq!(fib_trie(trie), ["10.0.0.2".parse::<IpAddr>().unwrap()]);
        let inet6 = "00000000000000000000000000000001 01 80 10 80       lo\nfd000000000000000000000000000002 02 40 00 80     eth0\nfe800000000000000000000000000001 02 40 20 80     eth0\n";
        assert_eq!(if_inet6(inet6), ["fd00::2".parse::<IpAddr>().unwrap()]);
        assert!(fib_trie("/32 host LOCAL").is_empty() && if_inet6("zz").is_empty());
    }
}
