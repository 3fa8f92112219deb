//! A worker that speaks: its thread, and what the run has of it. Nobody waits for that thread but the end of the run, for a
//! moment.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::command::Gate;
use super::feed::FeedTo;
use super::member::{Member, News};
use super::round::Rounds;
use super::slot::Slot;
use super::worker::{Identity, WorkerState};
use crate::model::Verdict;
use crate::units::micros;

/// How long the end of a run waits until its last word is in the store.
const GOODBYE: Duration = Duration::from_secs(3);

impl Member {
    /// Begins to speak, from a thread of its own. `tell` is called with all that is heard; it returns whether anybody still listens.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(self, tell: impl FnMut(News) -> bool + Send + 'static) -> io::Result<Handle> {
        let slot = Arc::new(Slot::default());
        let who = self.who.clone();
        let gate = self.terms.token.clone().map(|token| Gate::new(token, self.store.now_us()));
        let (done, ended) = channel();
        let origin = self.store.instant(0);
        slot.set_offset(self.store.clock().offset_us());
        let mut rounds = Rounds::new(self, gate, Arc::clone(&slot));
        thread::Builder::new().name("fleet".into()).spawn(move || {
            rounds.run(tell);
            drop(done);
        })?;
        Ok(Handle { slot, who, origin, ended, left: false })
    }
}

/// What the run has of its fleet. Dropping it leaves the fleet.
#[derive(Debug)]
pub struct Handle {
    slot: Arc<Slot>,
    who: Identity,
    origin: Instant,
    ended: Receiver<()>,
    left: bool,
}

impl Handle {
    /// Who this worker is.
    pub fn who(&self) -> &Identity {
        &self.who
    }

    /// The store's time now, microseconds since the Unix epoch.
    pub fn now_us(&self) -> u64 {
        micros(self.origin.elapsed()).saturating_add_signed(self.slot.offset_us())
    }

    /// This is how things stood `at` this moment or shortly after it; what was said before and is not in the store yet is forgotten.
    /// Never waits for the store.
    pub fn publish(&self, at: Instant, state: WorkerState) {
        self.slot.publish(at, state);
    }

    /// Where the pieces of this worker's own run go, which somebody looks at ([`News::LookedAt`]).
    pub fn feed(&self, number: u64) -> FeedTo {
        FeedTo::new(Arc::clone(&self.slot), number)
    }

    /// Everything is up: the ramp can begin.
    pub fn ready(&self) {
        self.slot.ready();
    }

    /// The run is over, and this is how it ended: says so, and waits for a moment until that is in the store.
    pub fn leave(&mut self, verdict: Option<Verdict>) {
        if std::mem::replace(&mut self.left, true) {
            return;
        }
        self.slot.leave(verdict);
        // The thread ends when it has said so, or cannot.
        let _ = self.ended.recv_timeout(GOODBYE);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.leave(None);
    }
}
