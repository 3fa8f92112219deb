//! Counting the peers of a listener: in a thread of its own, for it takes as long as there are sockets.

use std::panic;
use std::sync::mpsc::SyncSender;
use std::thread;

use super::message::Message;
use crate::probe::{self, Roots};
use crate::sample::Absent;

/// Asks, one question at a time.
#[derive(Debug)]
pub(super) struct Asker {
    to: SyncSender<Message>,
    /// A thread counts.
    busy: bool,
    /// What was asked meanwhile, the newest alone: the user looks at that.
    next: Option<(u32, u16)>,
}

impl Asker {
    pub(super) fn new(to: SyncSender<Message>) -> Self {
        Self { to, busy: false, next: None }
    }

    /// Has the peers of a port counted, in the network namespace of that process. Exactly one message comes of it, unless
    /// another question is asked before its turn.
    ///
    /// # Errors
    /// Why nothing can be counted now; no message comes then.
    pub(super) fn ask(&mut self, pid: u32, port: u16) -> Result<(), Absent> {
        if self.busy {
            self.next = Some((pid, port));
            return Ok(());
        }
        let to = self.to.clone();
        let count = move || {
            // A defect in it must not leave the screen waiting.
            let counted = panic::catch_unwind(|| probe::peers(&Roots::default(), pid, port));
            let peers = counted.unwrap_or_else(|_| Err(Absent::because("counting its sockets failed")));
            // An error means that the program is ending.
            let _ = to.send(Message::Peers(port, Box::new(peers)));
        };
        let started = thread::Builder::new().name("peers".into()).spawn(count);
        self.busy = started.is_ok();
        started.map(drop).map_err(|error| Absent::Because(error.to_string().into()))
    }

    /// An answer has come. The port that was asked for meanwhile comes back where it cannot be counted, and why.
    pub(super) fn answered(&mut self) -> Option<(u16, Absent)> {
        self.busy = false;
        let (pid, port) = self.next.take()?;
        self.ask(pid, port).err().map(|why| (port, why))
    }
}
