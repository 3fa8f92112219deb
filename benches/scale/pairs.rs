//! Both ends of a connection in one thread, in batches, without any waiting: the least the kernel lets a connection cost.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use c1m_top::engine::conns::token;
use c1m_top::sys;
use mio::unix::SourceFd;
use mio::{Interest, Poll};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::measure::Outcome;

/// Connections to one listener before the first of them is accepted; also the batch that the engines use.
const BATCH: usize = 64;

/// Ports listened on, the program's own by default: with one alone connect(2) would search ever longer for a free local port.
const PORTS: std::ops::Range<u16> = 9900..10_000;

/// Listening sockets on `127.0.0.1`.
#[derive(Debug)]
pub(crate) struct Listeners(Vec<(Socket, SockAddr)>);

impl Listeners {
    pub(crate) fn new() -> Outcome<Self> {
        let listen = |port| {
            let address: SockAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into();
            let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            socket.bind(&address)?;
            socket.listen(4096)?;
            Ok((socket, address))
        };
        let all = PORTS.map(listen).collect::<std::io::Result<_>>();
        Ok(Self(all.map_err(|e| format!("cannot listen on ports {PORTS:?} of 127.0.0.1: {e}"))?))
    }

    /// Their descriptors.
    pub(crate) fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.0.iter().map(|(socket, _)| socket.as_fd()).collect()
    }
}

/// One thread's epoll set, and the listeners, which a thread with a table of its own has under the same numbers.
#[derive(Debug)]
pub(crate) struct Pairs<'a> {
    listeners: &'a Listeners,
    poll: Poll,
}

impl<'a> Pairs<'a> {
    pub(crate) fn new(listeners: &'a Listeners) -> Outcome<Self> {
        Ok(Self { listeners, poll: Poll::new()? })
    }

    /// Connections that one descriptor table of the present limit has room for.
    pub(crate) fn room() -> usize {
        let spare = PORTS.len() as u64 + 32;
        (sys::nofile().0.saturating_sub(spare) / 2) as usize
    }

    /// Opens `n` connections: socket, connect, accept4 and two `epoll_ctl` each. The connecting ends come first.
    pub(crate) fn open(&self, n: usize) -> Outcome<(Vec<OwnedFd>, Vec<OwnedFd>)> {
        let kind = Type::STREAM.nonblocking().cloexec();
        let mut near = Vec::with_capacity(n);
        let mut far = Vec::with_capacity(n);
        for (listener, address) in self.listeners.0.iter().cycle() {
            let batch = BATCH.min(n - near.len());
            if batch == 0 {
                break;
            }
            for _ in 0..batch {
                let socket = Socket::new_raw(Domain::IPV4, kind, Some(Protocol::TCP))?;
                match socket.connect(address) {
                    Err(e) if e.raw_os_error() != Some(libc::EINPROGRESS) => return Err(e.into()),
                    _ => {}
                }
                near.push(self.watch(socket.into(), Interest::READABLE | Interest::WRITABLE)?);
            }
            for _ in 0..batch {
                far.push(self.watch(sys::accept(listener.as_fd())?, Interest::READABLE)?);
            }
        }
        Ok((near, far))
    }

    fn watch(&self, fd: OwnedFd, interest: Interest) -> Outcome<OwnedFd> {
        let raw = fd.as_raw_fd();
        self.poll.registry().register(&mut SourceFd(&raw), token(raw), interest)?;
        Ok(fd)
    }
}
