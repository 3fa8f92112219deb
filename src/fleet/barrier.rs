//! Waiting until all are ready: whoever sees it first sets when all start.

use std::time::Instant;

use super::keys::{KEPT_MS, mortal};
use super::look::states;
use super::member::News;
use super::round::{PUBLISH, Rounds};
use super::row::{LOST_MS, SILENT_MS, Standing};
use super::store::StoreError;
use super::view::FleetView;
use super::worker::Stage;

/// From when all are ready until all start: longer than a look and a slow round trip, so that the last to hear is in time.
const START_IN_US: u64 = 1_000_000;

/// A start that is further ahead is none: nobody sets one, and waiting for it would have no end.
const AHEAD_US: u64 = 10 * START_IN_US;

/// Most workers that are waited for by name. Beyond, each would read what all others say.
const NAMED: u32 = 64;

impl Rounds {
    /// How many have to be ready: as many as it was told, else all parts.
    pub(super) fn expects(&self) -> Option<u32> {
        self.member.who.expects.or_else(|| self.member.who.part.map(|part| part.of))
    }

    /// Those that are counted for that: where parts alone are waited for, nobody else.
    pub(super) fn waited_for(&self) -> String {
        let keys = &self.member.keys;
        if self.member.who.expects.is_some() { keys.alive() } else { keys.ready_parts() }
    }

    /// Sees whether all are ready; whoever does first sets when all start.
    pub(super) fn wait_for_others(&mut self, now: Instant, news: &mut Vec<News>) -> Result<(), StoreError> {
        let expects = self.expects().unwrap_or(1);
        let keys = self.member.keys.clone();
        let now_us = self.member.store.now_us();
        let heard_since = now_us.saturating_sub(SILENT_MS * 1000);
        let mut pipe = redis::pipe();
        pipe.zadd(keys.alive(), &self.member.who.id, now_us).ignore();
        if self.member.who.part.is_some() {
            pipe.zadd(keys.ready_parts(), &self.member.who.id, now_us).ignore();
            mortal(&mut pipe, &keys.ready_parts());
        }
        mortal(&mut pipe, &keys.alive());
        pipe.zcount(self.waited_for(), heard_since, "+inf").get(keys.start());
        let (ready, mut start): (u64, Option<u64>) = self.member.store.ask(&pipe)?;
        if start.is_none() && ready >= u64::from(expects) {
            let at = self.member.store.now_us() + START_IN_US;
            let mut pipe = redis::pipe();
            pipe.cmd("SET").arg(keys.start()).arg(at).arg("NX").arg("PX").arg(KEPT_MS).ignore();
            pipe.get(keys.start());
            (start,) = self.member.store.ask(&pipe)?;
        }
        if let Some(at_us) = start.filter(|at_us| is_near(*at_us, now_us)) {
            let mut pipe = redis::pipe();
            pipe.scard(keys.clients());
            let (clients,): (u64,) = self.member.store.ask(&pipe)?;
            // They may have left before the next time that it looks.
            self.had_clients |= clients > 0 && self.member.who.role.serves();
            let store = &self.member.store;
            self.start = Some((at_us, store.instant(store.clock().mono_us(at_us))));
            if self.member.who.role.serves() {
                // Nothing is asked until then: all that wait are to have their share when they start.
                self.hold()?;
            }
            return Ok(());
        }
        if now < self.next.name {
            return Ok(());
        }
        self.next.name = now + PUBLISH;
        let missing = if expects <= NAMED {
            self.name_missing()?
        } else {
            vec![format!("{} of {expects} workers", u64::from(expects).saturating_sub(ready))]
        };
        if self.missing.as_ref() != Some(&missing) && !missing.is_empty() {
            self.missing = Some(missing.clone());
            news.push(News::Waiting(missing));
        }
        Ok(())
    }

    /// Who has not come, and who has and is not ready.
    pub(super) fn name_missing(&mut self) -> Result<Vec<String>, StoreError> {
        let keys = self.member.keys.clone();
        let mut pipe = redis::pipe();
        pipe.smembers(keys.workers());
        let (ids,): (Vec<String>,) = self.member.store.ask(&pipe)?;
        let all = states(&mut self.member.store, &keys, &ids)?;
        let view = FleetView::of(keys.fleet(), self.member.store.now_us(), all);
        let lost = view.rows.iter().filter(|row| row.standing == Standing::Lost);
        // Without the seconds, which would be news each time.
        let lost = lost.map(|row| format!("{} (LOST)", row.state.who.name()));
        let joining = view.rows.iter().filter(|row| row.state.stage == Stage::Joining && row.age_ms < LOST_MS);
        let joining = joining.map(|row| format!("{} (not ready yet)", row.state.who.name()));
        Ok(view.absent().chain(lost).chain(joining).collect())
    }
}

/// Whether a start by the store's clock is one that somebody can have set.
fn is_near(at_us: u64, now_us: u64) -> bool {
    at_us <= now_us.saturating_add(AHEAD_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_far_ahead_is_none() {
        let now = 1_000_000_000;
        assert!(is_near(now + START_IN_US, now) && is_near(0, now), "one that is past is for those that come late");
        assert!(!is_near(now + 3_600_000_000, now) && !is_near(u64::MAX, now));
    }
}
