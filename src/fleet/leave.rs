//! The last word of a worker.

use std::time::{Duration, Instant};

use super::given;
use super::keys::{KEPT_MS, Keys, mortal};
use super::round::Rounds;
use super::store::StoreError;
use super::worker::Stage;
use crate::model::Verdict;

/// How long a worker that leaves sends what is left of its own run.
const LAST_PIECES: Duration = Duration::from_secs(1);

impl Rounds {
    /// The last word. A store that is away does not get it.
    pub(super) fn goodbye(&mut self, verdict: Option<Verdict>) {
        self.stage = Stage::Left;
        let keys = self.member.keys.clone();
        let id = self.member.who.id.clone();
        let mut state = self.current();
        state.verdict = verdict;
        let text = serde_json::to_vec(&state).unwrap_or_default();
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(keys.worker(&id)).arg(text).arg("PX").arg(KEPT_MS).ignore();
        pipe.zrem(keys.alive(), &id).ignore().srem(keys.ramping(), &id).ignore().srem(keys.clients(), &id).ignore();
        pipe.hdel(keys.hold(), &id).ignore().srem(keys.present(), &id).ignore();
        if self.member.who.role.is_held() {
            given::give_back(&mut pipe, &keys.given(), &id);
        }
        if let Some(part) = self.member.who.part.filter(|_| !self.displaced) {
            pipe.del(keys.part(part.number)).ignore().zrem(keys.ready_parts(), part.number).ignore();
        }
        if self.ready.is_some() && !self.counted && self.member.who.role.is_held() {
            // The store was away all the time.
            pipe.cmd("INCR").arg(keys.clients_came()).ignore();
            mortal(&mut pipe, &keys.clients_came());
        }
        pipe.scard(keys.present()).get(Keys::run_of(keys.fleet()));
        let connected = self.member.store.connect().and_then(|()| {
            if self.outage.is_some() && self.started_us.is_some() {
                // It may have forgotten this worker, of which the last word is still to be seen.
                self.member.agree(true)?;
                self.member.enter()?;
            }
            Ok(())
        });
        let said = connected.and_then(|()| self.member.store.ask::<(u64, Option<String>)>(&pipe));
        if let Ok((0, named)) = said {
            let _ = self.end_run(named.as_deref());
        }
        // Whoever looks at its own run sees the end of that, where the store takes it quickly.
        let until = Instant::now() + LAST_PIECES;
        while self.feeding.is_waiting() && Instant::now() < until && self.send_piece().is_ok() {}
    }

    /// The last has left: the next run of this name is another, where that has not begun.
    fn end_run(&mut self, named: Option<&str>) -> Result<(), StoreError> {
        let keys = &self.member.keys;
        if named == Some(keys.run_id()) {
            let mut pipe = redis::pipe();
            pipe.del(Keys::run_of(keys.fleet())).ignore();
            self.member.store.ask::<()>(&pipe)?;
        }
        self.member.renew()
    }
}
