//! Every few seconds: claims renewed, the clock read, and who is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use super::given;
use super::keys::{KEPT_MS, RENEW_MS};
use super::look::states;
use super::member::News;
use super::round::Rounds;
use super::row::LOST_MS;
use super::store::StoreError;
use crate::units::micros;

/// Most lost workers that are taken off the lists at once.
const LOST: isize = 1024;

/// Most of them that are named at once.
const NAMED: usize = 16;

/// What a server knows of the others.
#[derive(Debug, Clone, Copy)]
struct Others {
    /// Clients that have not left and are not lost.
    clients: u64,
    /// Whether any worker is lost.
    lost: bool,
    /// Workers that are lost, but not for longer than `--fleet-wait` yet.
    lately: u64,
    /// Connections that the server has.
    open: u64,
    /// How long ago the store was last back; `None`: it was never away.
    back: Option<Duration>,
}

/// How the last client went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parting {
    /// It has said so, or its connections are closed: the kernel does that for one that was killed.
    Left,
    /// Its host is gone, and nobody closes its connections.
    Gone,
}

impl Others {
    /// How the last client went; `None` while one may still be going on. `wait` is `--fleet-wait`.
    fn parting(self, wait: Duration) -> Option<Parting> {
        if self.clients > 0 {
            return None;
        }
        if !self.lost || self.open == 0 {
            return Some(Parting::Left);
        }
        // It may be cut off from the store alone. While that was away nobody could be heard: the time begins anew.
        let heard_for = wait.saturating_add(Duration::from_millis(LOST_MS));
        let gone = self.lately == 0 && self.back.is_none_or(|back| back > heard_for);
        gone.then_some(Parting::Gone)
    }
}

impl Rounds {
    /// Renews claims, reads the clock, looks for who is lost.
    pub(super) fn keep(&mut self, news: &mut Vec<News>) -> Result<(), StoreError> {
        self.member.store.read_clock()?;
        if self.member.agree(self.started_us.is_some())? {
            self.came = None;
            self.enter_again()?;
        }
        let keys = self.member.keys.clone();
        let mut pipe = redis::pipe();
        if let Some((at_us, _)) = self.start {
            // A store that has lost it would let those that come late wait for ever.
            pipe.cmd("SET").arg(keys.start()).arg(at_us).arg("NX").arg("PX").arg(KEPT_MS).ignore();
        }
        // One of all does it, a minute after it was done.
        pipe.cmd("SET").arg(keys.renewed()).arg(1).arg("NX").arg("PX").arg(RENEW_MS);
        let long_ago = self.member.store.now_us().saturating_sub(LOST_MS * 1000);
        let longer_ago = long_ago.saturating_sub(micros(self.member.wait()));
        pipe.zrangebyscore_limit(keys.alive(), "-inf", long_ago, 0, LOST).scard(keys.clients());
        pipe.zcount(keys.alive(), format!("({longer_ago}"), long_ago);
        pipe.sismember(keys.ramping(), &self.member.who.id).sismember(keys.present(), &self.member.who.id);
        let (renews, lost, clients, lately, shares, present): (Option<String>, Vec<String>, u64, u64, bool, bool) =
            self.member.store.ask(&pipe)?;
        if !shares {
            // Who was taken off joins again, with another number: the room was the others' in the meantime.
            self.sharing = None;
        }
        if !present {
            // The others took it for lost.
            self.enter_again()?;
        }
        if renews.is_some() {
            self.member.renew()?;
        }
        if self.knows() {
            self.forget(&lost)?;
            self.tell_lost(&lost, news)?;
        }
        let others = Others {
            clients,
            lost: !self.lost.is_empty(),
            lately,
            open: self.state.as_ref().map_or(0, |(_, state)| state.connections),
            back: self.back.map(|back| back.elapsed()),
        };
        if self.had_clients
            && self.started_us.is_some()
            && self.knows()
            && let Some(parting) = others.parting(self.member.wait())
        {
            self.had_clients = false;
            let gone =
                if parting == Parting::Gone { self.lost.values().flatten().cloned().collect() } else { Vec::new() };
            news.push(News::ClientsLeft(gone));
        }
        if !self.displaced
            && let Some(taken) = self.member.claim_part()?
        {
            self.displaced = true;
            news.push(News::Displaced(taken));
        }
        Ok(())
    }

    /// Whether what the store says of the others is true: one that was away, or has forgotten all, knows of nobody before they have
    /// named themselves again.
    pub(super) fn knows(&self) -> bool {
        self.back.is_none_or(|back| back.elapsed().as_millis() >= u128::from(LOST_MS))
    }

    /// Takes those that are lost off the lists of who goes on, so that a run with a killed client ends as well. Whoever comes back
    /// sees that, and names itself again.
    fn forget(&mut self, lost: &[String]) -> Result<(), StoreError> {
        let lost: Vec<&String> = lost.iter().filter(|id| **id != self.member.who.id).collect();
        if lost.is_empty() {
            return Ok(());
        }
        let keys = &self.member.keys;
        let mut pipe = redis::pipe();
        for key in [keys.clients(), keys.present(), keys.ramping()] {
            pipe.srem(key, &lost).ignore();
        }
        // By those who have room to give: all others need not say it too. Where a server speaks, one that is lost bounds nobody any
        // more; the last word of the only one stays.
        if self.member.who.role.serves() {
            pipe.hdel(keys.hold(), &lost).ignore();
            for id in &lost {
                given::give_back(&mut pipe, &keys.given(), id);
            }
        }
        self.member.store.ask::<()>(&pipe)
    }

    /// Tells who is lost now and who is back. Who was lost before this one came does not concern it, and may be whom it replaces.
    fn tell_lost(&mut self, lost: &[String], news: &mut Vec<News>) -> Result<(), StoreError> {
        let new: Vec<String> =
            lost.iter().filter(|id| **id != self.member.who.id && !self.lost.contains_key(*id)).cloned().collect();
        let told = if self.saw_lost { new.get(..NAMED).unwrap_or(&new) } else { &[] };
        let part = self.member.who.part.map(|part| part.number);
        let others = states(&mut self.member.store, &self.member.keys, told)?.into_iter();
        // A part is free again before who had it is lost.
        let others = others.filter(|state| part.is_none() || state.who.part.map(|part| part.number) != part);
        let mut names: BTreeMap<String, String> =
            others.map(|state| (state.who.id.clone(), state.who.name())).collect();
        self.saw_lost = true;
        if !names.is_empty() {
            news.push(News::Lost(names.values().cloned().collect()));
        }
        for id in new {
            let name = names.remove(&id);
            self.lost.insert(id, name);
        }
        let back: Vec<String> = self.lost.keys().filter(|id| !lost.contains(id)).cloned().collect();
        let back: Vec<String> = back.iter().filter_map(|id| self.lost.remove(id)?).collect();
        if !back.is_empty() {
            news.push(News::Returned(back));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_mins(2);

    #[test]
    fn a_client_that_is_gone_counts_as_left_after_the_wait_and_when_all_others_have_left() {
        let gone = Others { clients: 0, lost: true, lately: 0, open: 500, back: None };
        assert_eq!(gone.parting(WAIT), Some(Parting::Gone));
        assert_eq!(Others { clients: 1, ..gone }.parting(WAIT), None, "another goes on");
        assert_eq!(Others { lately: 1, ..gone }.parting(WAIT), None, "another is lost since a moment ago");
        let back = |s| Others { back: Some(Duration::from_secs(s)), ..gone };
        assert_eq!(back(139).parting(WAIT), None, "nobody could be heard before");
        assert_eq!(back(141).parting(WAIT), Some(Parting::Gone));
        assert_eq!(gone.parting(Duration::MAX), Some(Parting::Gone), "the store counts who is lost for how long");
        assert_eq!(back(141).parting(Duration::MAX), None);
    }

    #[test]
    fn a_client_whose_connections_are_closed_has_left_at_once() {
        let killed = Others { clients: 0, lost: true, lately: 1, open: 0, back: None };
        assert_eq!(killed.parting(WAIT), Some(Parting::Left));
        let left = Others { lost: false, lately: 0, open: 3, ..killed };
        assert_eq!(left.parting(WAIT), Some(Parting::Left), "the last sample is older than its word");
    }
}
