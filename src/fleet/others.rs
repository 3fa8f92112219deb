//! Every few seconds: claims renewed, the clock read, and who is lost.

use std::collections::BTreeMap;

use super::keys::{KEPT_MS, mortal};
use super::look::states;
use super::member::News;
use super::round::Rounds;
use super::row::LOST_MS;
use super::store::StoreError;

/// Every so many times the keys that all share are let live on: they live for an hour.
const RENEW: u32 = 20;

/// Most lost workers that are taken off the lists at once.
const LOST: isize = 1024;

/// Most of them that are named.
const NAMED: usize = 16;

impl Rounds {
    /// Renews claims, reads the clock, looks for who is lost.
    pub(super) fn keep(&mut self, news: &mut Vec<News>) -> Result<(), StoreError> {
        self.member.store.read_clock()?;
        if self.member.agree(self.started_us.is_some())? {
            self.member.enter()?;
            self.sharing = None;
        }
        let keys = self.member.keys.clone();
        let mut pipe = redis::pipe();
        if let Some((at_us, _)) = self.start {
            // A store that has lost it would let those that come late wait for ever.
            pipe.cmd("SET").arg(keys.start()).arg(at_us).arg("NX").arg("PX").arg(KEPT_MS).ignore();
        }
        if self.kept.is_multiple_of(RENEW) {
            keys.shared().iter().for_each(|key| mortal(&mut pipe, key));
        }
        self.kept = self.kept.wrapping_add(1);
        let long_ago = self.member.store.now_us().saturating_sub(LOST_MS * 1000);
        pipe.zrangebyscore_limit(keys.alive(), "-inf", long_ago, 0, LOST).scard(keys.clients());
        pipe.sismember(keys.ramping(), &self.member.who.id).sismember(keys.present(), &self.member.who.id);
        let (lost, clients, shares, present): (Vec<String>, u64, bool, bool) = self.member.store.ask(&pipe)?;
        if !shares {
            // Who was taken off joins again, with another number: the room was the others' in the meantime.
            self.sharing = None;
        }
        if !present {
            // The others took it for lost.
            self.member.enter()?;
        }
        if self.knows() {
            self.forget(&lost)?;
            self.tell_lost(lost.get(..NAMED).unwrap_or(&lost), news)?;
        }
        // Of a client that is lost the kernel closes the connections, unless it is only cut off from the store.
        let open = self.state.as_ref().map_or(0, |(_, state)| state.connections);
        let left = clients == 0 && (self.lost.is_empty() || open == 0);
        if self.had_clients && left && self.started_us.is_some() && self.knows() {
            self.had_clients = false;
            news.push(News::ClientsLeft);
        }
        self.had_clients |= clients > 0 && self.member.who.role.serves();
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
        self.member.store.ask::<()>(&pipe)
    }

    pub(super) fn tell_lost(&mut self, lost: &[String], news: &mut Vec<News>) -> Result<(), StoreError> {
        let lost: Vec<&String> = lost.iter().filter(|id| **id != self.member.who.id).collect();
        let new: Vec<String> =
            lost.iter().filter(|id| !self.lost.contains_key(id.as_str())).map(|id| (*id).clone()).collect();
        if !new.is_empty() {
            let names: BTreeMap<String, String> = states(&mut self.member.store, &self.member.keys, &new)?
                .into_iter()
                .map(|state| (state.who.id.clone(), state.who.name()))
                .collect();
            news.push(News::Lost(names.values().cloned().collect()));
            self.lost.extend(names);
        }
        let back: Vec<String> = self.lost.keys().filter(|id| !lost.contains(id)).cloned().collect();
        if !back.is_empty() {
            news.push(News::Returned(back.iter().filter_map(|id| self.lost.remove(id)).collect()));
        }
        Ok(())
    }
}
