//! The rounds of the fleet's thread: what it says and asks when, and what it makes of the answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Pipeline;

use super::command::{Gate, Run};
use super::hold::{Allowance, Hold};
use super::keys::{CLAIM_MS, KEPT_MS, Keys};
use super::look::states;
use super::member::{Member, News, wall_ahead_us};
use super::slot::{Farewell, Handed, Slot};
use super::store::StoreError;
use super::view::{FleetView, LOST_MS, SILENT_MS};
use super::worker::{ClockReading, Stage, WorkerState};
use crate::model::{RunPhase, Verdict};

/// Between two publications.
const PUBLISH: Duration = Duration::from_secs(1);

/// Between two looks at what the servers allow, while a client opens, and at who is ready, while all wait. Two commands each.
const POLL: Duration = Duration::from_millis(200);

/// Between two renewals of claims.
const KEEP: Duration = Duration::from_secs(3);

/// From when all are ready until all start: longer than a look and a slow round trip, so that the last to hear is in time.
const START_IN_US: u64 = 1_000_000;

/// Longest time between two attempts to reach a store that has gone.
const BACK_OFF: Duration = Duration::from_secs(5);

/// Most workers that are waited for by name. Beyond, each would read what all others say.
const NAMED: u32 = 64;

/// Most commands taken at once.
const COMMANDS: isize = 16;

/// Most lost workers that are named at once.
const LOST: isize = 16;

/// See the module.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the worker")]
pub(super) struct Rounds {
    member: Member,
    gate: Option<Gate>,
    slot: Arc<Slot>,
    joined: Instant,
    state: Option<(Instant, Box<WorkerState>)>,
    stage: Stage,
    ready: bool,
    /// When all start, by the store's clock, microseconds, and by this process'.
    start: Option<(u64, Instant)>,
    started_us: Option<u64>,
    allowance: Allowance,
    /// Whether it is among those that share the room.
    ramping: bool,
    /// A server's state that its guard has not spoken of.
    hold_due: bool,
    next: Next,
    outage: Option<Outage>,
    /// Who is missing, as last told.
    missing: Option<Vec<String>>,
    wait_over: bool,
    /// Those that are lost, by id, and what they are called.
    lost: BTreeMap<String, String>,
    displaced: bool,
    had_clients: bool,
}

/// When what is due.
#[derive(Debug)]
struct Next {
    publish: Instant,
    poll: Instant,
    keep: Instant,
    name: Instant,
}

/// The store is away.
#[derive(Debug)]
struct Outage {
    since: Instant,
    next: Instant,
    wait: Duration,
}

/// Nobody listens any more.
struct Ended;

impl Rounds {
    pub(super) fn new(member: Member, gate: Option<Gate>, slot: Arc<Slot>) -> Self {
        let now = Instant::now();
        Self {
            member,
            gate,
            slot,
            joined: now,
            state: None,
            stage: Stage::Joining,
            ready: false,
            start: None,
            started_us: None,
            allowance: Allowance::default(),
            ramping: false,
            hold_due: false,
            next: Next { publish: now, poll: now, keep: now + KEEP, name: now },
            outage: None,
            missing: None,
            wait_over: false,
            lost: BTreeMap::new(),
            displaced: false,
            had_clients: false,
        }
    }

    /// Until the run is over, or nobody listens.
    pub(super) fn run(&mut self, mut tell: impl FnMut(News) -> bool) {
        let mut tell = |news| if tell(news) { Ok(()) } else { Err(Ended) };
        loop {
            let mut handed = self.slot.take(self.due());
            let leave = handed.leave.take();
            self.take(handed);
            if let Some(Farewell(verdict)) = leave {
                return self.goodbye(verdict);
            }
            if self.turn(Instant::now(), &mut tell).is_err() {
                return self.goodbye(None);
            }
        }
    }

    fn turn(&mut self, now: Instant, tell: &mut dyn FnMut(News) -> Result<(), Ended>) -> Result<(), Ended> {
        match self.start {
            Some((at_us, at)) if self.started_us.is_none() => {
                // No answer of the store may delay it.
                if at > now {
                    return Ok(());
                }
                self.go(Some(at_us), tell)?;
            }
            None if self.ready && self.started_us.is_none() && self.expects().is_none() => {
                self.go(None, tell)?;
            }
            _ => {}
        }
        if self.started_us.is_none()
            && self.start.is_none()
            && !self.wait_over
            && now - self.joined >= self.member.wait()
        {
            self.wait_over = true;
            tell(News::WaitOver(self.missing.clone().unwrap_or_default()))?;
        }
        if let Some(outage) = &self.outage
            && now < outage.next
        {
            return Ok(());
        }
        let done = self.member.store.connect().and_then(|()| self.speak(now, tell));
        match done {
            Ok(heard) => heard,
            Err(error) => self.away(now, &error, tell),
        }
    }

    /// When to look again.
    fn due(&self) -> Instant {
        let go = self.start.filter(|_| self.started_us.is_none()).map(|(_, at)| at);
        if let Some(at) = go {
            return at;
        }
        let next = self.next.publish.min(self.next.keep);
        let next = if self.polls() { next.min(self.next.poll) } else { next };
        self.outage.as_ref().map_or(next, |outage| outage.next)
    }

    /// Whether it has to hear quickly of what changes.
    fn polls(&self) -> bool {
        self.ramping || (self.ready && self.started_us.is_none())
    }

    fn take(&mut self, handed: Handed) {
        self.ready |= handed.ready;
        if self.ready && self.stage == Stage::Joining {
            self.stage = Stage::Waiting;
            self.next.publish = Instant::now();
        }
        for (at, connections) in handed.points {
            let store = &self.member.store;
            self.allowance.had(store.clock().store_us(store.mono_us(at)), connections);
        }
        let Some((at, state)) = handed.state else { return };
        // A phase that has changed is told at once.
        if self.state.as_ref().is_none_or(|(_, before)| before.phase != state.phase || before.blocked != state.blocked)
        {
            self.next.publish = Instant::now();
        }
        self.hold_due = self.member.who.role.serves();
        self.state = Some((at, state));
    }

    fn go(&mut self, planned_us: Option<u64>, tell: &mut dyn FnMut(News) -> Result<(), Ended>) -> Result<(), Ended> {
        let started = self.member.store.now_us();
        self.started_us = Some(started);
        self.stage = Stage::Running;
        self.next.publish = Instant::now();
        let late_us = planned_us.map(|planned| started.saturating_sub(planned));
        tell(News::Go { late_us, error_us: self.member.store.clock().error_us() })
    }

    /// One round with the store. What is heard is told once the store has answered; the outer result is the store's.
    fn speak(
        &mut self,
        now: Instant,
        tell: &mut dyn FnMut(News) -> Result<(), Ended>,
    ) -> Result<Result<(), Ended>, StoreError> {
        let mut news = Vec::new();
        if let Some(outage) = self.outage.take() {
            // It may have lost everything.
            self.member.enter()?;
            self.next.publish = now;
            self.next.keep = now;
            news.push(News::Back(now - outage.since));
        }
        self.want_room()?;
        if now >= self.next.publish {
            self.next.publish = now + PUBLISH;
            self.next.poll = now + POLL;
            self.publish(&mut news)?;
        } else if self.polls() && now >= self.next.poll {
            self.next.poll = now + POLL;
            self.poll(&mut news)?;
        }
        if self.hold_due {
            self.hold()?;
        }
        if self.ready && self.started_us.is_none() && self.expects().is_some() {
            self.wait_for_others(now, &mut news)?;
        }
        if now >= self.next.keep {
            self.next.keep = now + KEEP;
            self.keep(&mut news)?;
        }
        self.slot.set_offset(self.member.store.clock().offset_us());
        Ok(news.into_iter().try_for_each(tell))
    }

    /// What is published: the newest state with what the fleet knows of it.
    fn current(&self) -> WorkerState {
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
            clock: ClockReading { error_us: store.clock().error_us(), wall_ahead_us: wall_ahead_us(store) },
            ..state
        }
    }

    fn write_state(&self, pipe: &mut Pipeline) {
        let state = self.current();
        let text = serde_json::to_vec(&state).unwrap_or_default();
        pipe.cmd("SET").arg(self.member.keys.worker(&state.who.id)).arg(text).arg("PX").arg(KEPT_MS).ignore();
    }

    fn publish(&mut self, news: &mut Vec<News>) -> Result<(), StoreError> {
        let keys = self.member.keys.clone();
        let mut pipe = redis::pipe();
        self.write_state(&mut pipe);
        if self.ready {
            pipe.zadd(keys.alive(), &self.member.who.id, self.member.store.now_us()).ignore();
        }
        let Some(gate) = &self.gate else {
            self.member.store.ask::<()>(&pipe)?;
            return self.poll(news);
        };
        let since = format!("({}", gate.last());
        pipe.zrangebyscore_limit(keys.commands(), since, "+inf", 0, COMMANDS);
        let (commands,): (Vec<Vec<u8>>,) = self.member.store.ask(&pipe)?;
        let of = Run { fleet: keys.fleet(), id: keys.run_id() };
        for text in commands {
            let taken = self.gate.as_mut().map(|gate| gate.take(of, &String::from_utf8_lossy(&text)));
            news.extend(taken.map(|taken| taken.map_or_else(News::Refused, News::Command)));
        }
        self.poll(news)
    }

    /// What the servers allow now.
    fn poll(&mut self, news: &mut Vec<News>) -> Result<(), StoreError> {
        if !self.member.who.role.connects() {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        pipe.hvals(self.member.keys.hold()).scard(self.member.keys.ramping());
        let (holds, clients): (Vec<Vec<u8>>, u64) = self.member.store.ask(&pipe)?;
        let holds: Vec<Hold> = holds.iter().filter_map(|text| serde_json::from_slice(text).ok()).collect();
        let now_us = self.member.store.now_us();
        let before = self.allowance.held();
        let state = self.state.as_ref().map(|(_, state)| state);
        let rate = state.and_then(|state| state.rate_per_s).unwrap_or(0.0);
        let target = state.and_then(|state| state.target);
        let held = self.allowance.obey(&holds, clients, now_us, rate, target);
        if held.map(|h| (h.allowed, h.holds)) != before.map(|h| (h.allowed, h.holds)) {
            news.push(News::Held(held));
        }
        Ok(())
    }

    /// A server says what its guard allows.
    fn hold(&mut self) -> Result<(), StoreError> {
        let Some((at, state)) = &self.state else { return Ok(()) };
        let (store, side) = (&self.member.store, state.server.as_ref());
        let hold = Hold {
            at_us: store.clock().store_us(store.mono_us(*at)),
            connections: state.connections,
            ceiling: side.and_then(|side| side.ceiling),
            by: side.and_then(|side| side.ceiling_by),
        };
        let text = serde_json::to_vec(&hold).unwrap_or_default();
        let mut pipe = redis::pipe();
        pipe.hset(self.member.keys.hold(), &self.member.who.id, text).ignore();
        self.member.store.ask::<()>(&pipe)?;
        self.hold_due = false;
        Ok(())
    }

    /// Joins or leaves those that share the room that the servers have.
    fn want_room(&mut self) -> Result<(), StoreError> {
        if !self.member.who.role.connects() {
            return Ok(());
        }
        let wants = match &self.state {
            // Whoever waits for the start will want it.
            _ if self.started_us.is_none() => self.ready,
            Some((_, state)) => {
                let goes_on = matches!(state.phase, RunPhase::Starting | RunPhase::Ramping | RunPhase::Guarded);
                goes_on && state.target.is_none_or(|target| state.connections < target)
            }
            None => true,
        };
        if wants == self.ramping {
            return Ok(());
        }
        let (key, id) = (self.member.keys.ramping(), &self.member.who.id);
        let mut pipe = redis::pipe();
        if wants {
            pipe.sadd(key, id).ignore()
        } else {
            pipe.srem(key, id).ignore()
        };
        self.member.store.ask::<()>(&pipe)?;
        self.ramping = wants;
        Ok(())
    }

    /// How many have to be ready: as many as it was told, else all parts.
    fn expects(&self) -> Option<u32> {
        self.member.who.expects.or_else(|| self.member.who.part.map(|part| part.of))
    }

    /// Those that are counted for that: where parts alone are waited for, nobody else.
    fn waited_for(&self) -> String {
        let keys = &self.member.keys;
        if self.member.who.expects.is_some() { keys.alive() } else { keys.ready_parts() }
    }

    /// Sees whether all are ready; whoever does first sets when all start.
    fn wait_for_others(&mut self, now: Instant, news: &mut Vec<News>) -> Result<(), StoreError> {
        let expects = self.expects().unwrap_or(1);
        let keys = self.member.keys.clone();
        let now_us = self.member.store.now_us();
        let heard_since = now_us.saturating_sub(SILENT_MS * 1000);
        let mut pipe = redis::pipe();
        pipe.zadd(keys.alive(), &self.member.who.id, now_us).ignore();
        if self.member.who.part.is_some() {
            pipe.zadd(keys.ready_parts(), &self.member.who.id, now_us).ignore();
        }
        pipe.zcount(self.waited_for(), heard_since, "+inf").get(keys.start());
        let (ready, mut start): (u64, Option<u64>) = self.member.store.ask(&pipe)?;
        if start.is_none() && ready >= u64::from(expects) {
            let at = self.member.store.now_us() + START_IN_US;
            let mut pipe = redis::pipe();
            pipe.cmd("SET").arg(keys.start()).arg(at).arg("NX").arg("PX").arg(KEPT_MS).ignore();
            pipe.get(keys.start());
            (start,) = self.member.store.ask(&pipe)?;
        }
        if let Some(at_us) = start {
            let store = &self.member.store;
            self.start = Some((at_us, store.instant(store.clock().mono_us(at_us))));
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
    fn name_missing(&mut self) -> Result<Vec<String>, StoreError> {
        let keys = self.member.keys.clone();
        let mut pipe = redis::pipe();
        pipe.smembers(keys.workers());
        let (ids,): (Vec<String>,) = self.member.store.ask(&pipe)?;
        let all = states(&mut self.member.store, &keys, &ids)?;
        let view = FleetView::of(keys.fleet(), self.member.store.now_us(), all);
        let joining = view.rows.iter().filter(|row| row.state.stage == Stage::Joining && row.age_ms < LOST_MS);
        let joining = joining.map(|row| format!("{} (not ready yet)", row.state.who.name()));
        Ok(view.missing.iter().cloned().chain(joining).collect())
    }

    /// Renews claims, reads the clock, looks for who is lost.
    fn keep(&mut self, news: &mut Vec<News>) -> Result<(), StoreError> {
        self.member.store.read_clock()?;
        let keys = self.member.keys.clone();
        let mut pipe = redis::pipe();
        let run = Keys::run_of(keys.fleet());
        pipe.cmd("SET").arg(&run).arg(keys.run_id()).arg("NX").arg("PX").arg(CLAIM_MS).ignore();
        pipe.cmd("PEXPIRE").arg(&run).arg(CLAIM_MS).ignore();
        if let Some((at_us, _)) = self.start {
            // A store that has lost it would let those that come late wait for ever.
            pipe.cmd("SET").arg(keys.start()).arg(at_us).arg("NX").ignore();
        }
        if self.ramping {
            pipe.sadd(keys.ramping(), &self.member.who.id).ignore();
        }
        for key in keys.shared() {
            pipe.cmd("PEXPIRE").arg(key).arg(KEPT_MS).ignore();
        }
        let long_ago = self.member.store.now_us().saturating_sub(LOST_MS * 1000);
        pipe.zrangebyscore_limit(keys.alive(), "-inf", long_ago, 0, LOST).scard(keys.clients());
        let (lost, clients): (Vec<String>, u64) = self.member.store.ask(&pipe)?;
        self.tell_lost(&lost, news)?;
        if self.had_clients && clients == 0 && self.started_us.is_some() {
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

    fn tell_lost(&mut self, lost: &[String], news: &mut Vec<News>) -> Result<(), StoreError> {
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

    fn away(
        &mut self,
        now: Instant,
        error: &StoreError,
        tell: &mut dyn FnMut(News) -> Result<(), Ended>,
    ) -> Result<(), Ended> {
        // It may have forgotten who shares the room.
        self.ramping = false;
        if let Some(outage) = &mut self.outage {
            outage.wait = (outage.wait * 2).min(BACK_OFF);
            // The attempt itself takes time.
            outage.next = Instant::now() + outage.wait;
            return Ok(());
        }
        self.outage = Some(Outage { since: now, next: Instant::now() + POLL, wait: POLL });
        tell(News::Away(error.text().to_owned()))
    }

    /// The last word. A store that is away does not get it.
    fn goodbye(&mut self, verdict: Option<Verdict>) {
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
        if let Some(part) = self.member.who.part.filter(|_| !self.displaced) {
            pipe.del(keys.part(part.number)).ignore();
        }
        pipe.scard(keys.present());
        let said = self.member.store.connect().and_then(|()| self.member.store.ask::<(u64,)>(&pipe));
        if let Ok((0,)) = said {
            // The last to leave: the next run of this name is another.
            let mut pipe = redis::pipe();
            pipe.del(Keys::run_of(keys.fleet())).ignore();
            let _ = self.member.store.ask::<()>(&pipe);
        }
    }
}
