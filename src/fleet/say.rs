//! What a worker says once a second, and what it hears of commands and of the servers' guards.

use std::time::Instant;

use redis::Pipeline;

use super::command::Run;
use super::given;
use super::hold::{Hold, Sharing};
use super::keys::{KEPT_MS, mortal};
use super::member::{News, wall_ahead_us};
use super::round::{Rounds, Sharers};
use super::store::StoreError;
use super::worker::{ClockReading, WorkerState};
use crate::model::RunPhase;

/// Most commands read at once.
const COMMANDS: isize = 16;

/// Most of them that are looked at in one go, where others are refused that stand before.
const LOOKED_AT: isize = 256;

impl Rounds {
    /// What is published: the newest state with what the fleet knows of it.
    pub(super) fn current(&self) -> WorkerState {
        let store = &self.member.store;
        let base = self.state.as_ref().map(|(at, state)| (*at, (**state).clone()));
        let (at, state) = base.unwrap_or_else(|| (Instant::now(), WorkerState::default()));
        WorkerState {
            who: self.member.who.clone(),
            at_us: store.now_us(),
            figures_age_ms: u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX),
            stage: self.stage,
            held: self.allowance.held(),
            started_us: self.started_us,
            feed: self.feeding.shown(),
            clock: ClockReading { error_us: store.clock().error_us(), wall_ahead_us: wall_ahead_us(store) },
            ..state
        }
    }

    pub(super) fn write_state(&self, pipe: &mut Pipeline) {
        let state = self.current();
        let text = serde_json::to_vec(&state).unwrap_or_default();
        pipe.cmd("SET").arg(self.member.keys.worker(&state.who.id)).arg(text).arg("PX").arg(KEPT_MS).ignore();
    }

    pub(super) fn publish(&mut self, news: &mut Vec<News>) -> Result<(), StoreError> {
        news.extend(self.member.version_note.take().map(News::OtherVersion));
        let keys = self.member.keys.clone();
        let mut pipe = redis::pipe();
        self.write_state(&mut pipe);
        if self.ready.is_some() {
            pipe.zadd(keys.alive(), &self.member.who.id, self.member.store.now_us()).ignore();
            mortal(&mut pipe, &keys.alive());
        }
        self.keep_feed(&mut pipe);
        pipe.exists(keys.looked_at(&self.member.who.id));
        let (looked,): (bool,) = self.member.store.ask(&pipe)?;
        self.looked_at(looked, news)?;
        self.hear(news)?;
        self.poll(news)
    }

    /// Hears what is commanded.
    fn hear(&mut self, news: &mut Vec<News>) -> Result<(), StoreError> {
        let Some(gate) = &mut self.gate else { return Ok(()) };
        let keys = &self.member.keys;
        let since = format!("({}", gate.last());
        let of = Run { fleet: keys.fleet(), id: keys.run_id() };
        let mut at = 0;
        loop {
            let mut pipe = redis::pipe();
            pipe.zrangebyscore_limit(keys.commands(), &since, "+inf", at, COMMANDS);
            let (commands,): (Vec<Vec<u8>>,) = self.member.store.ask(&pipe)?;
            let heard = commands.iter().filter_map(|text| gate.hear(of, text));
            news.extend(heard.map(|taken| taken.map_or_else(News::Refused, News::Command)));
            at += COMMANDS;
            // Those that are refused stay where they are: what is genuine may stand behind them.
            if commands.len().cast_signed() < COMMANDS || at >= LOOKED_AT {
                return Ok(());
            }
        }
    }

    /// What the servers allow now.
    pub(super) fn poll(&mut self, news: &mut Vec<News>) -> Result<(), StoreError> {
        if self.member.who.role.serves() {
            // A client that has joined waits for the room, and a server where nothing happens takes few samples.
            let mut pipe = redis::pipe();
            let keys = &self.member.keys;
            pipe.get(keys.joined()).get(keys.clients_came()).scard(keys.clients());
            let (joined, came, clients): (Option<u64>, Option<u64>, u64) = self.member.store.ask(&pipe)?;
            self.hold_due |= joined.unwrap_or(0) != self.sharers.joined;
            // Also one that has come and left in between. Who left before this one came was no client of it.
            let came = came.unwrap_or(0);
            self.had_clients |= clients > 0 || self.came.is_some_and(|before| came > before);
            self.came = Some(came);
            if clients == 0 && self.had_clients && self.knows() {
                // Whether that is the end is looked at now, and not up to three seconds later.
                self.next.keep = Instant::now();
            }
        }
        if !self.member.who.role.is_held() {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        pipe.hvals(self.member.keys.hold());
        let (holds,): (Vec<Vec<u8>>,) = self.member.store.ask(&pipe)?;
        let holds: Vec<Hold> = holds.iter().filter_map(|text| serde_json::from_slice(text).ok()).collect();
        if !self.knows() && self.allowance.awaits(&holds) {
            return Ok(());
        }
        let now_us = self.member.store.now_us();
        let before = self.allowance.held();
        let state = self.state.as_ref().map(|(_, state)| state);
        let rate = state.and_then(|state| state.rate_per_s).unwrap_or(0.0);
        let target = state.and_then(|state| state.target);
        let sharing = match self.sharing {
            _ if self.started_us.is_none() && !self.starts_by_itself() => Sharing::FromTheStart,
            Some(number) => Sharing::Joined(number),
            None => Sharing::Not,
        };
        let wish = self.allowance.wish(&holds, sharing, now_us, rate, target);
        self.has_share = wish.is_none_or(|wish| wish.counted);
        let mut given = 0;
        if let Some(ask) = wish.and_then(|wish| wish.ask) {
            let mut pipe = redis::pipe();
            given::ask(&mut pipe, &self.member.keys.given(), &self.member.who.id, ask);
            (given,) = self.member.store.ask(&pipe)?;
        }
        let held = self.allowance.obey(wish, given);
        if held.map(|h| (h.allowed, h.holds)) != before.map(|h| (h.allowed, h.holds)) {
            news.push(News::Held(held));
        }
        Ok(())
    }

    /// A server says what its guard allows.
    pub(super) fn hold(&mut self) -> Result<(), StoreError> {
        let Some((at, state)) = &self.state else { return Ok(()) };
        let side = state.server.as_ref();
        // In this order, as whoever joins is in the set before it is counted.
        let mut pipe = redis::pipe();
        pipe.get(self.member.keys.joined()).scard(self.member.keys.ramping());
        let (joined, now): (Option<u64>, u64) = self.member.store.ask(&pipe)?;
        self.sharers = Sharers { read: Some(Instant::now()), now, joined: joined.unwrap_or(0) };
        let store = &self.member.store;
        let hold = Hold {
            at_us: store.clock().store_us(store.mono_us(*at)),
            connections: state.connections,
            ceiling: side.and_then(|side| side.ceiling),
            by: side.and_then(|side| side.ceiling_by),
            sharers: self.sharers.since(self.sharers_before),
            joined: self.sharers.joined,
        };
        let text = serde_json::to_vec(&hold).unwrap_or_default();
        let mut pipe = redis::pipe();
        let key = self.member.keys.hold();
        pipe.hset(&key, &self.member.who.id, text).ignore();
        mortal(&mut pipe, &key);
        self.member.store.ask::<()>(&pipe)?;
        self.hold_due = false;
        Ok(())
    }

    /// Joins or leaves those that share the room that the servers have.
    pub(super) fn want_room(&mut self) -> Result<(), StoreError> {
        if !self.member.who.role.is_held() {
            return Ok(());
        }
        let wants = match &self.state {
            // Whoever waits for the start will want it.
            _ if self.started_us.is_none() => self.ready.is_some(),
            Some((_, state)) => {
                let goes_on = matches!(state.phase, RunPhase::Starting | RunPhase::Ramping | RunPhase::Guarded);
                goes_on && state.target.is_none_or(|target| state.connections < target)
            }
            None => true,
        };
        if wants == self.sharing.is_some() && (wants || !self.in_room) {
            return Ok(());
        }
        let (keys, id) = (&self.member.keys, &self.member.who.id);
        let mut pipe = redis::pipe();
        if wants {
            self.in_room = true;
            let joined = keys.joined();
            pipe.sadd(keys.ramping(), id).ignore();
            mortal(&mut pipe, &keys.ramping());
            pipe.cmd("INCR").arg(&joined);
            mortal(&mut pipe, &joined);
            let (number,): (u64,) = self.member.store.ask(&pipe)?;
            self.sharing = Some(number);
        } else {
            pipe.srem(keys.ramping(), id).ignore();
            given::give_back(&mut pipe, &keys.given(), id);
            self.member.store.ask::<()>(&pipe)?;
            (self.sharing, self.in_room) = (None, false);
        }
        Ok(())
    }
}
