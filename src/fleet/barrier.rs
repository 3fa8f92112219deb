//! Waiting until all are ready: whoever sees it first sets when all start.

use std::time::Instant;

use super::keys::{KEPT_MS, mortal};
use super::look::states;
use super::member::News;
use super::round::{PUBLISH, Rounds};
use super::row::{SILENT_MS, Standing};
use super::store::StoreError;
use super::view::FleetView;
use super::worker::{Stage, WorkerState};

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

    /// Says once that one more is ready, before it is counted for the first time. From then on servers go on for a client.
    pub(super) fn count_in(&mut self) -> Result<(), StoreError> {
        if self.ready.is_none() || self.counted {
            return Ok(());
        }
        let (keys, id) = (&self.member.keys, &self.member.who.id);
        let (became, came) = (keys.became_ready(), keys.clients_came());
        let mut pipe = redis::pipe();
        pipe.cmd("INCR").arg(&became).ignore();
        mortal(&mut pipe, &became);
        if self.member.who.role.is_held() {
            // First it is where it is looked for when it is lost.
            pipe.zadd(keys.alive(), id, self.member.store.now_us()).ignore();
            pipe.sadd(keys.clients(), id).ignore().cmd("INCR").arg(&came).ignore();
            for key in [keys.alive(), keys.clients(), came] {
                mortal(&mut pipe, &key);
            }
        }
        self.member.store.ask::<()>(&pipe)?;
        self.counted = true;
        Ok(())
    }

    /// Sees whether all are ready; whoever does first sets when all start.
    pub(super) fn wait_for_others(&mut self, now: Instant, news: &mut Vec<News>) -> Result<(), StoreError> {
        let expects = self.expects().unwrap_or(1);
        let keys = self.member.keys.clone();
        let now_us = self.member.store.now_us();
        let heard_since = now_us.saturating_sub(SILENT_MS * 1000);
        let mut pipe = redis::pipe();
        pipe.zadd(keys.alive(), &self.member.who.id, now_us).ignore();
        if let Some(part) = self.member.who.part {
            pipe.zadd(keys.ready_parts(), part.number, now_us).ignore();
            mortal(&mut pipe, &keys.ready_parts());
        }
        mortal(&mut pipe, &keys.alive());
        let settled_since = self.gathered.since(now_us).max(heard_since);
        pipe.zcount(self.waited_for(), heard_since, "+inf").zcount(self.waited_for(), settled_since, "+inf");
        pipe.get(keys.became_ready()).get(keys.start());
        let (ready, here, became, mut start): (u64, u64, Option<u64>, Option<u64>) = self.member.store.ask(&pipe)?;
        let settled = self.gathered.settled(became, self.member.store.now_us());
        if start.is_none() && settled && here >= u64::from(expects) {
            let at = self.member.store.now_us() + START_IN_US;
            let mut pipe = redis::pipe();
            pipe.cmd("SET").arg(keys.start()).arg(at).arg("NX").arg("PX").arg(KEPT_MS).ignore();
            pipe.get(keys.start());
            (start,) = self.member.store.ask(&pipe)?;
        }
        if let Some(at_us) = start.filter(|at_us| is_near(*at_us, now_us)) {
            let store = &self.member.store;
            self.start = Some((at_us, store.instant(store.clock().mono_us(at_us))));
            if self.member.who.role.serves() {
                // Nothing is asked until then: all that wait are to have their share when they start.
                self.hold()?;
            }
            if at_us <= now_us && !self.late {
                // What it was allowed so far was for who waits with the others.
                (self.late, self.has_share, self.next.poll) = (true, false, now);
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
        Ok(named(all, self.member.store.now_us(), self.knows()))
    }
}

/// Each that all wait for, once: who has not come, who has left, is not heard of or is not ready.
fn named(mut all: Vec<WorkerState>, now_us: u64, knows: bool) -> Vec<String> {
    // Whoever has left before the start is waited for as if it had not come.
    all.retain(|state| state.stage != Stage::Left);
    let view = FleetView::known("", now_us, all, knows);
    let late = view.rows.iter().filter_map(|row| {
        // Without the seconds, which would be news each time.
        let why = match row.standing {
            Standing::Lost | Standing::Silent => row.standing.word(),
            _ if row.state.stage == Stage::Joining => "not ready yet",
            _ => return None,
        };
        Some(format!("{} ({why})", row.state.who.name()))
    });
    view.absent().chain(late).collect()
}

/// Whether a start by the store's clock is one that somebody can have set.
fn is_near(at_us: u64, now_us: u64) -> bool {
    at_us <= now_us.saturating_add(AHEAD_US)
}

#[cfg(test)]
mod tests {
    use super::super::worker::{Identity, WorkerRole};
    use super::*;
    use crate::part::{Origin, Part};

    #[test]
    fn a_start_far_ahead_is_none() {
        let now = 1_000_000_000;
        assert!(is_near(now + START_IN_US, now) && is_near(0, now), "one that is past is for those that come late");
        assert!(!is_near(now + 3_600_000_000, now) && !is_near(u64::MAX, now));
    }

    #[test]
    fn each_that_is_waited_for_is_named_once() {
        const NOW: u64 = 1_000_000_000;
        let of = |number, of, role, stage, ago_s: u64| {
            let part = (of > 0).then_some(Part { number, of, from: Origin::Option });
            let host = format!("web{number}");
            let who = Identity { host, role, part, expects: Some(5), ..Identity::default() };
            WorkerState { who, stage, at_us: NOW - ago_s * 1_000_000, ..WorkerState::default() }
        };
        let client = |number, stage, ago_s| of(number, 4, WorkerRole::Client, stage, ago_s);
        let says = |all: Vec<WorkerState>| named(all, NOW, true).join(", ");
        let waits = |number| client(number, Stage::Waiting, 0);
        let server = || of(9, 0, WorkerRole::Server, Stage::Waiting, 0);
        assert_eq!(says(vec![server()]), "4 workers", "of no part it is known yet");
        assert_eq!(says(vec![waits(2)]), "part 1/4, part 3/4, part 4/4, the server");
        assert_eq!(says(vec![server(), waits(2), waits(4)]), "part 1/4, part 3/4");
        // Come, and not ready: in whichever way, and one way at a time.
        let one = |stage, ago_s| says(vec![server(), client(1, stage, ago_s), waits(2), waits(3), waits(4)]);
        assert_eq!(one(Stage::Waiting, 0), "");
        assert_eq!(one(Stage::Joining, 0), "part 1/4 on web1 (not ready yet)");
        assert_eq!(one(Stage::Joining, 9), "part 1/4 on web1 (SILENT)");
        assert_eq!(one(Stage::Waiting, 9), "part 1/4 on web1 (SILENT)");
        assert_eq!(one(Stage::Waiting, 30), "part 1/4 on web1 (LOST)");
        assert_eq!(one(Stage::Left, 30), "part 1/4", "it can come again");
        let lost = vec![client(1, Stage::Waiting, 30)];
        assert_eq!(named(lost, NOW, false)[3..], ["the server", "part 1/4 on web1 (SILENT)"], "the store was away");
        // Without parts only how many.
        let plain = |number, stage| of(number, 0, WorkerRole::Client, stage, 0);
        assert_eq!(
            says(vec![plain(1, Stage::Waiting), plain(2, Stage::Joining)]),
            "3 workers, client on web2 (not ready yet)"
        );
        assert_eq!(says((1..5).map(|n| plain(n, Stage::Waiting)).collect()), "1 worker");
    }
}
