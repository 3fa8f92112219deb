//! One connect, and what each errno means.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use socket2::{Protocol, Socket, Type};

use super::plan::{Plan, Tuple};
use crate::protocol::StopCause;
use crate::sys;

/// What a failure asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Consequence {
    /// This worker's table is full: hand on.
    TableFull,
    /// This tuple has no free local port: take another.
    TupleUsedUp,
    /// Nobody listens at this port: leave it out.
    PortRefused,
    /// The server has thrown this one out: nothing to do about it but to wait before the next.
    Reset,
    /// Count it and try again.
    Retry,
    /// The whole ramp ends.
    Stop(StopCause),
}

/// Starts one connection. On failure says which operation failed.
pub(super) fn start(plan: &Plan, tuple: Tuple) -> Result<OwnedFd, (&'static str, io::Error)> {
    let (source, destination) = plan.addresses(tuple);
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new_raw(plan.domain(), kind, Some(Protocol::TCP)).map_err(|e| ("socket", e))?;
    if let Some(source) = source {
        // The local port is chosen by connect, per destination; without this bind takes it for all destinations.
        sys::bind_address_no_port(socket.as_fd()).map_err(|e| ("bind", e))?;
        socket.bind(source).map_err(|e| ("bind", e))?;
    }
    if let Some((low, high)) = plan.narrowed() {
        sys::local_port_range(socket.as_fd(), low, high).map_err(|e| ("socket", e))?;
    }
    match socket.connect(destination) {
        Err(e) if e.raw_os_error() != Some(libc::EINPROGRESS) => Err(("connect", e)),
        // Also on loopback, where the handshake is over before connect returns, it says EINPROGRESS.
        _ => Ok(socket.into()),
    }
}

/// What to do about an errno of `op`.
pub(super) fn consequence(op: &str, errno: i32) -> Consequence {
    match errno {
        libc::EMFILE => Consequence::TableFull,
        libc::ENFILE | libc::ENOMEM | libc::ENOBUFS => Consequence::Stop(StopCause::Limit),
        libc::EADDRNOTAVAIL => Consequence::TupleUsedUp,
        libc::EADDRINUSE if op == "bind" => Consequence::TupleUsedUp,
        libc::ENOSPC if op == "epoll_ctl" => Consequence::Stop(StopCause::Limit),
        libc::ECONNREFUSED => Consequence::PortRefused,
        libc::ECONNRESET => Consequence::Reset,
        libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EPERM | libc::EINVAL => {
            Consequence::Stop(StopCause::Unreachable)
        }
        _ => Consequence::Retry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_errno_has_its_consequence() {
        for (op, errno, want) in [
            ("socket", libc::EMFILE, Consequence::TableFull),
            ("socket", libc::ENFILE, Consequence::Stop(StopCause::Limit)),
            ("connect", libc::EADDRNOTAVAIL, Consequence::TupleUsedUp),
            ("bind", libc::EADDRINUSE, Consequence::TupleUsedUp),
            ("epoll_ctl", libc::ENOSPC, Consequence::Stop(StopCause::Limit)),
            ("connect", libc::ENOBUFS, Consequence::Stop(StopCause::Limit)),
            ("connect", libc::ECONNREFUSED, Consequence::PortRefused),
            ("connect", libc::ECONNRESET, Consequence::Reset),
            ("connect", libc::ETIMEDOUT, Consequence::Retry),
            ("connect", libc::EHOSTUNREACH, Consequence::Stop(StopCause::Unreachable)),
        ] {
            assert_eq!(consequence(op, errno), want, "{op} {errno}");
        }
    }
}
