//! What a cloud lets an interface of this machine track, as the interface's driver tells it: the ENA driver of AWS, from 2.8.1 on,
//! in its own statistics (`ethtool -S`). The tables are the hypervisor's, and nothing in the kernel shows that they are full.

use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::kept::Kept;
use super::link;
use super::network::Network;
use super::source::{Roots, Source};
use crate::sample::kernel::Allowance;
use crate::sys;

/// The driver asks the device for it, which takes longer than reading memory.
const PACE: Duration = Duration::from_millis(1900);

/// What is left, and packets dropped for want of it.
const NAMES: [&str; 2] = ["conntrack_allowance_available", "conntrack_allowance_exceeded"];

/// The statistics of one interface.
#[derive(Debug)]
pub(crate) struct AllowanceSource {
    /// `None` where no interface has them.
    open: Option<Open>,
    kept: Kept<Option<[u64; 2]>>,
    most: u64,
}

#[derive(Debug)]
struct Open {
    /// Any socket of the interface's network namespace.
    socket: UdpSocket,
    interface: String,
    /// Where the two are among the statistics.
    places: [usize; 2],
}

impl AllowanceSource {
    /// Looks at the interfaces of a network namespace. Of a container's own none has them, and the machine's, by which its
    /// packets leave, has: so the dashboard's own are looked at too.
    pub(crate) fn open(roots: &Roots, network: &Network, buf: &mut Vec<u8>) -> Self {
        let mut own = || find(roots, "/proc/net/dev", any_socket, NAMES, buf);
        let open = match network.other() {
            None => own(),
            Some(pid) => {
                let inside = || network.inside(any_socket);
                find(roots, &format!("/proc/{pid}/net/dev"), inside, NAMES, &mut Vec::new()).or_else(own)
            }
        };
        Self { open, kept: Kept::every(PACE), most: 0 }
    }

    /// As the driver says, at most two seconds old.
    pub(crate) fn read(&mut self, now: Instant) -> Option<Allowance> {
        let open = self.open.as_ref()?;
        let [available, exceeded] = (*self.kept.get(now, (), || open.read()))?;
        self.most = self.most.max(available);
        Some(Allowance { interface: open.interface.clone(), available, most: self.most, exceeded })
    }
}

impl Open {
    fn read(&self) -> Option<[u64; 2]> {
        let all = sys::statistics(self.socket.as_fd(), &self.interface).ok()?;
        let [available, exceeded] = self.places.map(|place| all.get(place).copied());
        Some([available?, exceeded?])
    }
}

/// A socket that is bound to nothing.
fn any_socket() -> std::io::Result<UdpSocket> {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).map(Into::into)
}

/// The first interface of a list, `/proc/net/dev` of some namespace, whose driver has both statistics.
fn find(
    roots: &Roots,
    list: &str,
    socket: impl FnOnce() -> std::io::Result<UdpSocket>,
    wanted: [&str; 2],
    buf: &mut Vec<u8>,
) -> Option<Open> {
    let interfaces = Source::open(roots, list).get(buf, |text| Ok(link::names(text))).ok()?;
    let socket = socket().ok()?;
    let has_both = |interface: &String| {
        let names = sys::statistic_names(socket.as_fd(), interface).ok()?;
        let [first, second] = wanted.map(|wanted| names.iter().position(|name| name == wanted));
        Some((interface.clone(), [first?, second?]))
    };
    let (interface, places) = interfaces.iter().find_map(has_both)?;
    Some(Open { socket, interface, places })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_no_driver_counts_it_there_is_none() {
        let roots = Roots::default();
        let mut source = AllowanceSource::open(&roots, &Network::of(&roots, None), &mut Vec::new());
        assert_eq!(source.read(Instant::now()), None);
    }
}
