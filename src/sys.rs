//! Every `unsafe` line of the program.
#![expect(unsafe_code, reason = "the one module that may: each use says why it is sound")]

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// What waiting on a terminal came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Bytes can be read.
    Ready,
    /// Nothing within the time, or a signal (a resize, perhaps) came first.
    Nothing,
    /// The other end is gone: reading gives no more, writing fails.
    HungUp,
}

/// Waits until `fd` can be read, its other end is gone, a signal arrives or `timeout` (at most 60 s) is over.
pub fn wait_readable(fd: BorrowedFd<'_>, timeout: Duration) -> Wait {
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let ms = timeout.as_millis().min(60_000) as libc::c_int;
    // SAFETY: `entry` is one valid, writable pollfd and outlives the call; `fd` is borrowed, so it stays open meanwhile.
    let n = unsafe { libc::poll(&raw mut entry, 1, ms) };
    match (n, entry.revents) {
        (1.., seen) if seen & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0 => Wait::HungUp,
        (1.., seen) if seen & libc::POLLIN != 0 => Wait::Ready,
        _ => Wait::Nothing,
    }
}

/// Whether the other end of a terminal (or pipe, or socket) is gone. Does not wait.
pub fn hung_up(fd: BorrowedFd<'_>) -> bool {
    wait_readable(fd, Duration::ZERO) == Wait::HungUp
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_pipe_is_quiet_then_ready_then_gone() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        assert_eq!(wait_readable(reader.as_fd(), Duration::ZERO), Wait::Nothing);
        writer.write_all(b"x").unwrap();
        assert_eq!(wait_readable(reader.as_fd(), Duration::ZERO), Wait::Ready);
        assert!(!hung_up(reader.as_fd()));
        drop(writer);
        assert!(hung_up(reader.as_fd()));
    }
}
