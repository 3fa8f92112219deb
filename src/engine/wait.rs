//! Waiting for events to the microsecond: `epoll_wait` counts milliseconds, and `epoll_pwait2` came with Linux 5.11.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use mio::{Events, Poll};

use crate::sys::{self, Wait};

/// Waits for events until `timeout` is over. Leaves `events` empty when there are none.
///
/// # Errors
/// What epoll says; not that a signal came.
pub fn exactly(poll: &mut Poll, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
    let Some(time) = timeout.filter(|t| !t.is_zero()) else { return coarsely(poll, events, timeout) };
    match sys::wait_readable(poll.registry().as_fd(), time) {
        Wait::Ready => coarsely(poll, events, Some(Duration::ZERO)),
        Wait::Nothing | Wait::HungUp => {
            events.clear();
            Ok(())
        }
    }
}

/// The same to the millisecond, rounded up, with one system call less.
///
/// # Errors
/// What epoll says; not that a signal came.
pub fn coarsely(poll: &mut Poll, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
    match poll.poll(events, timeout) {
        Err(e) if e.kind() == io::ErrorKind::Interrupted => {
            events.clear();
            Ok(())
        }
        result => result,
    }
}
