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

/// Most lost workers that are named at once.
const LOST: isize = 16;

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
        pipe.sismember(keys.ramping(), &self.member.who.id);
        let (lost, clients, shares): (Vec<String>, u64, bool) = self.member.store.ask(&pipe)?;
        if !shares {
            // Who was taken off joins again, with another number: the room was the others' in the meantime.
            self.sharing = None;
        }
        self.tell_lost(&lost, news)?;
        if self.had_clients && clients == 0 && self.started_us.is_some() && self.knows() {
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
