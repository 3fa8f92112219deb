//! Closing everything: how, how fast, and the work of one worker.

use std::io;
use std::os::fd::{AsFd, RawFd};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::conns::Conns;
use super::counters::lock;
use super::pace::Pace;
use crate::protocol::CloseMode;

/// Connections a worker closes before it looks at its events again.
const LOT: u64 = 256;

/// The close in force, shared by the workers.
#[derive(Debug)]
pub struct Closing {
    state: Mutex<(Option<CloseMode>, Pace)>,
}

impl Closing {
    /// Nothing is being closed.
    pub fn new(now: Instant) -> Self {
        Self { state: Mutex::new((None, Pace::new(None, now))) }
    }

    /// Begins to close.
    pub fn start(&self, mode: CloseMode, per_s: Option<u64>, now: Instant) {
        *lock(&self.state) = (Some(mode), Pace::new(per_s, now));
    }

    /// How, once begun.
    pub fn mode(&self) -> Option<CloseMode> {
        lock(&self.state).0
    }

    /// Closes a lot of `conns`, from the descriptor `cursor` on; from the first again after the last. Returns how many, and how
    /// long the pace allows no more.
    pub fn turn<T: Copy + Default>(&self, conns: &mut Conns<T>, cursor: &mut RawFd, now: Instant) -> (u64, Duration) {
        let (mode, lot) = {
            let mut state = lock(&self.state);
            let Some(mode) = state.0 else { return (0, Duration::from_millis(100)) };
            match state.1.take(LOT.min(conns.len() as u64), now) {
                Ok(lot) => (mode, lot),
                Err(wait) => return (0, wait),
            }
        };
        if *cursor >= conns.bound() {
            *cursor = 0;
        }
        let mut closed = 0;
        while closed < lot && *cursor < conns.bound() {
            if let Some(fd) = conns.remove(*cursor) {
                if mode == CloseMode::Rst {
                    // A failure here means the connection is gone already; closing is all that is left.
                    let _ = reset_on_close(&fd);
                }
                drop(fd);
                closed += 1;
            }
            *cursor += 1;
        }
        (closed, Duration::ZERO)
    }
}

/// Makes the next close of this socket a reset: nothing stays behind in `TIME_WAIT`.
///
/// # Errors
/// What setsockopt(2) says.
pub fn reset_on_close(fd: &impl AsFd) -> io::Result<()> {
    SockRef::from(fd).set_linger(Some(Duration::ZERO))
}
