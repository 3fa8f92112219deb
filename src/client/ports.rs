//! The local ports that connections may take.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};

use socket2::{Domain, Protocol, Socket, Type};
use std::os::fd::AsFd;

use crate::sys;
use crate::units::PortRange;

/// The local ports of this network namespace; `None` where they cannot be read.
pub fn local_ports() -> Option<PortRange> {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/sys/net/ipv4/{file}"));
    let range = PortRange::parse(&read("ip_local_port_range").ok()?).ok()?;
    Some(range.without(&read("ip_local_reserved_ports").unwrap_or_default()).unwrap_or(range))
}

/// Ports that somebody listens on in this network namespace: no connect takes one of them by itself, whatever the address.
pub fn listening() -> BTreeSet<u16> {
    let head = |file| File::open(format!("/proc/net/{file}")).map(|f| listeners(BufReader::new(f))).unwrap_or_default();
    ["tcp", "tcp6"].into_iter().flat_map(head).collect()
}

/// The ports of the listeners in a table of sockets, of which they are the first: what follows is not read.
fn listeners(table: impl BufRead) -> Vec<u16> {
    let port = |line: String| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (local, state) = (words.next()?, words.nth(1)?);
        let port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
        (state == "0A").then_some(port)
    };
    table.lines().skip(1).map_while(|line| port(line.ok()?)).collect()
}

/// What is left of the range for a client of certain destination ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OwnPorts {
    /// Ports of each tuple.
    pub(super) usable: u64,
    /// The first and the last of them.
    pub(super) span: (u16, u16),
    /// The destination ports lie in the range, whole or in part: a connection could take one of them, or meet itself.
    pub(super) overlaps: bool,
    /// The larger part beside the destination ports, where the kernel can hold a socket to it.
    pub(super) narrowed: Option<(u16, u16)>,
}

impl OwnPorts {
    /// Keeps the client's own ports apart from its destination ports.
    pub(super) fn choose(range: PortRange, first: u16, last: u16) -> Self {
        let overlaps = first <= range.high && last >= range.low;
        let size = |(low, high)| PortRange { low, high, reserved: 0 }.usable();
        let below = (range.low, first.saturating_sub(1));
        let above = (last.saturating_add(1), range.high);
        let larger = if size(below) >= size(above) { below } else { above };
        let narrowed = (overlaps && size(larger) > 0 && last < u16::MAX && supported(larger).is_ok()).then_some(larger);
        let (low, high) = narrowed.unwrap_or((range.low, range.high));
        Self { usable: PortRange { low, high, ..range }.usable(), span: (low, high), overlaps, narrowed }
    }
}

/// Whether the kernel takes `IP_LOCAL_PORT_RANGE` (Linux 6.3).
fn supported((low, high): (u16, u16)) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    sys::local_port_range(socket.as_fd(), low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: PortRange = PortRange { low: 32_768, high: 60_999, reserved: 0 };

    #[test]
    fn ports_apart_from_the_range_change_nothing() {
        let whole = OwnPorts { usable: 28_232, span: (32_768, 60_999), overlaps: false, narrowed: None };
        assert_eq!(OwnPorts::choose(RANGE, 9900, 9999), whole);
    }

    #[test]
    fn ports_inside_the_range_leave_the_larger_part() {
        let wide = PortRange { low: 1024, high: 65_535, reserved: 100 };
        // The range, the first and last destination port, the larger part beside them, and what is usable of the whole range.
        for (range, first, last, larger, whole) in [
            (RANGE, 40_000, 40_099, Some((40_100, 60_999)), 28_232),
            (RANGE, 60_000, 60_099, Some((32_768, 59_999)), 28_232),
            (RANGE, 30_000, 65_000, None, 28_232),
            (wide, 9_900, 9_999, Some((10_000, 65_535)), 64_412),
            (wide, 60_000, 65_000, Some((1_024, 59_999)), 64_412),
        ] {
            // A kernel that cannot hold a socket to the part (before Linux 6.3) leaves the whole range.
            let narrowed = larger.filter(|part| supported(*part).is_ok());
            let usable = narrowed.map_or(whole, |(low, high)| u64::from(high - low) + 1 - u64::from(range.reserved));
            let span = narrowed.unwrap_or((range.low, range.high));
            let want = OwnPorts { usable, span, overlaps: true, narrowed };
            assert_eq!(OwnPorts::choose(range, first, last), want, "{first}");
        }
    }

    #[test]
    fn listeners_are_the_head_of_the_table() {
        let table = "  sl  local_address rem_address   st tx_queue\n   0: 00000000:26AC 00000000:0000 0A 00000000\n   \
            1: 00000000000000000000000001000000:9C40 00000000000000000000000000000000:0000 0A 0\n   \
            2: 0100007F:9C41 0100007F:26AC 01 0\n   3: 0100007F:9C42 00000000:0000 0A 0\n";
        assert_eq!(listeners(table.as_bytes()), [9900, 40_000]);
        assert!(listeners("".as_bytes()).is_empty());
    }
}
