//! Echo on one connection. A buffer exists only while a write is unfinished, and while it does the connection is not read:
//! a peer that does not read cannot make the server grow.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use crate::sys;

/// Bytes read at once, and so the most that is kept for one slow reader.
pub(super) const CHUNK: usize = 16 * 1024;

/// Reads of one connection before others get their turn.
const TURNS: usize = 16;

/// What is left of a write.
#[derive(Debug)]
struct Rest {
    bytes: Box<[u8]>,
    sent: usize,
}

/// Echo state of one worker.
#[derive(Debug)]
pub(super) struct Echo {
    scratch: Box<[u8]>,
    rests: HashMap<RawFd, Rest>,
    /// Bytes in `rests` that are not sent.
    buffered: u64,
}

/// How a turn with one connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing more to read now.
    Drained,
    /// There may be more to read: come back without waiting for an event.
    Again,
    /// The peer does not take the echo: wait until it can be written to.
    Blocked,
    /// Closed by the peer.
    Closed,
    /// Failed.
    Failed(i32),
}

impl Echo {
    pub(super) fn new() -> Self {
        Self { scratch: vec![0; CHUNK].into_boxed_slice(), rests: HashMap::new(), buffered: 0 }
    }

    /// Reads and echoes. `ended` says that the event carried the end of the stream, so that a short read is not yet the end
    /// of what there is.
    pub(super) fn turn(&mut self, socket: BorrowedFd<'_>, ended: bool) -> Outcome {
        if let Some(outcome) = self.flush(socket) {
            return outcome;
        }
        for _ in 0..TURNS {
            let n = match sys::recv(socket, &mut self.scratch) {
                Ok(0) => return Outcome::Closed,
                Ok(n) => n,
                Err(e) => return failed(&e, Outcome::Drained),
            };
            let sent = match sys::send(socket, &self.scratch[..n]) {
                Ok(sent) => sent,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
                Err(e) => return failed(&e, Outcome::Blocked),
            };
            if sent < n {
                self.buffered += (n - sent) as u64;
                self.rests.insert(socket.as_raw_fd(), Rest { bytes: self.scratch[sent..n].into(), sent: 0 });
                return Outcome::Blocked;
            }
            if n < self.scratch.len() && !ended {
                return Outcome::Drained;
            }
        }
        Outcome::Again
    }

    /// Writes what was left; `None` when nothing is left any more.
    fn flush(&mut self, socket: BorrowedFd<'_>) -> Option<Outcome> {
        let rest = self.rests.get_mut(&socket.as_raw_fd())?;
        match sys::send(socket, &rest.bytes[rest.sent..]) {
            Ok(n) => {
                rest.sent += n;
                self.buffered -= n as u64;
            }
            Err(e) => return Some(failed(&e, Outcome::Blocked)),
        }
        if rest.sent < rest.bytes.len() {
            return Some(Outcome::Blocked);
        }
        self.rests.remove(&socket.as_raw_fd());
        None
    }

    /// Forgets a connection that is being closed.
    pub(super) fn forget(&mut self, fd: RawFd) {
        if let Some(rest) = self.rests.remove(&fd) {
            self.buffered -= (rest.bytes.len() - rest.sent) as u64;
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.rests.clear();
        self.buffered = 0;
    }

    /// Bytes waiting for slow readers.
    pub(super) fn buffered(&self) -> u64 {
        self.buffered
    }
}

/// What an error means: to wait, a close by the peer, or a failure.
fn failed(e: &io::Error, would_block: Outcome) -> Outcome {
    match e.raw_os_error() {
        Some(libc::EAGAIN) => would_block,
        Some(libc::EINTR) => Outcome::Again,
        Some(libc::ECONNRESET | libc::EPIPE) => Outcome::Closed,
        other => Outcome::Failed(other.unwrap_or(0)),
    }
}
