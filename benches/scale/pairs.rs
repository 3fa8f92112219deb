//! Both ends of a connection in one thread, in batches, without any waiting: the least the kernel lets a connection cost.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use c1m_top::sys;
use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::support::Outcome;

/// Connections to one listener before the first of them is accepted; also the batch that the engines use.
const BATCH: usize = 64;

/// Listeners, as many as the program has by default: with one alone connect(2) would search ever longer for a free port.
const LISTENERS: usize = 100;

/// Listening sockets of one thread and its epoll set.
#[derive(Debug)]
pub(crate) struct Pairs {
    listeners: Vec<(Socket, SockAddr)>,
    poll: Poll,
}

impl Pairs {
    /// Listens on `127.0.0.1` at ports that the kernel chooses.
    pub(crate) fn new() -> Outcome<Self> {
        let listeners = (0..LISTENERS)
            .map(|_| {
                let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
                socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
                socket.listen(4096)?;
                let address = socket.local_addr()?;
                Ok((socket, address))
            })
            .collect::<std::io::Result<Vec<_>>>()?;
        Ok(Self { listeners, poll: Poll::new()? })
    }

    /// Connections that one descriptor table of the present limit has room for.
    pub(crate) fn room() -> Outcome<usize> {
        let spare = LISTENERS as u64 + 32;
        Ok((sys::nofile()?.0.saturating_sub(spare) / 2) as usize)
    }

    /// Opens `n` connections: socket, connect, accept4 and two `epoll_ctl` each. The connecting ends come first.
    pub(crate) fn open(&self, n: usize) -> Outcome<(Vec<OwnedFd>, Vec<OwnedFd>)> {
        let kind = Type::STREAM.nonblocking().cloexec();
        let mut near = Vec::with_capacity(n);
        let mut far = Vec::with_capacity(n);
        for (listener, address) in self.listeners.iter().cycle() {
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
                far.push(self.watch(sys::accept(listener.as_raw_fd())?, Interest::READABLE)?);
            }
        }
        Ok((near, far))
    }

    fn watch(&self, fd: OwnedFd, interest: Interest) -> Outcome<OwnedFd> {
        let raw = fd.as_raw_fd();
        self.poll.registry().register(&mut SourceFd(&raw), Token(raw as usize), interest)?;
        Ok(fd)
    }
}
