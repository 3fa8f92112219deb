//! The rounds of the fleet's thread: what it says and asks when, and what it makes of the answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::command::Gate;
use super::feed::Feeding;
use super::gathered::Gathered;
use super::hold::Allowance;
use super::member::{Member, News};
use super::outage::Outage;
use super::slot::{Farewell, Handed, Slot};
use super::store::StoreError;
use super::worker::{Stage, WorkerState};

/// Between two publications.
pub(super) const PUBLISH: Duration = Duration::from_secs(1);

/// Between two looks at what the servers allow, while a client opens, and at who is ready, while all wait. Two commands each.
const POLL: Duration = Duration::from_millis(200);

/// Between two renewals of claims.
const KEEP: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the worker")]
pub(super) struct Rounds {
    pub(super) member: Member,
    pub(super) gate: Option<Gate>,
    pub(super) slot: Arc<Slot>,
    pub(super) joined: Instant,
    pub(super) state: Option<(Instant, Box<WorkerState>)>,
    pub(super) stage: Stage,
    /// Since when everything is up.
    pub(super) ready: Option<Instant>,
    /// Whether the store knows that it is.
    pub(super) counted: bool,
    pub(super) gathered: Gathered,
    /// When all start, by the store's clock, microseconds, and by this process'.
    pub(super) start: Option<(u64, Instant)>,
    pub(super) started_us: Option<u64>,
    /// It came after the start.
    pub(super) late: bool,
    /// Every server that bounds it has counted it, so that it has its share from when it starts.
    pub(super) has_share: bool,
    pub(super) allowance: Allowance,
    /// Its number among those that share the room; `None`: it is none of them.
    pub(super) sharing: Option<u64>,
    /// Whether the store may have it on the list of these, and count what it was given.
    pub(super) in_room: bool,
    /// A server's: who shared the room when it last asked, and when it asked before its newest sample.
    pub(super) sharers: Sharers,
    pub(super) sharers_before: Sharers,
    /// A server's state that its guard has not spoken of.
    pub(super) hold_due: bool,
    pub(super) next: Next,
    pub(super) outage: Option<Outage>,
    /// The last that is over, and when.
    over: Option<(Outage, Instant)>,
    /// Who is missing, as last told.
    pub(super) missing: Option<Vec<String>>,
    pub(super) wait_over: bool,
    /// Those that are lost, by id, and by what name that was told; `None`: it was not.
    pub(super) lost: BTreeMap<String, Option<String>>,
    /// Whether it has looked who is.
    pub(super) saw_lost: bool,
    pub(super) displaced: bool,
    /// Whether a server has had clients since all of them had left.
    pub(super) had_clients: bool,
    /// How many it knows to have come; `None`: it has not asked yet.
    pub(super) came: Option<u64>,
    /// Its own run, for those who look at it.
    pub(super) feeding: Feeding,
    /// When the store was last back.
    pub(super) back: Option<Instant>,
}

/// Longest wait for the servers' next word before a start: they say one within 200 ms.
const SHARE_WAIT: Duration = Duration::from_secs(1);

/// When what is due.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) publish: Instant,
    pub(super) poll: Instant,
    pub(super) keep: Instant,
    pub(super) name: Instant,
}

/// Those that share the room that a server has.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sharers {
    /// When the store said so; `None`: it has not.
    pub(super) read: Option<Instant>,
    pub(super) now: u64,
    /// How many had joined them in all.
    pub(super) joined: u64,
}

impl Sharers {
    /// All that shared the room at any time from `before` until now: one that has left since may have opened until then.
    pub(super) fn since(self, before: Sharers) -> u64 {
        before.now.saturating_add(self.joined.saturating_sub(before.joined)).max(self.now)
    }
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
            ready: None,
            counted: false,
            gathered: Gathered::default(),
            start: None,
            started_us: None,
            late: false,
            has_share: false,
            allowance: Allowance::default(),
            sharing: None,
            in_room: false,
            sharers: Sharers::default(),
            sharers_before: Sharers::default(),
            hold_due: false,
            next: Next { publish: now, poll: now, keep: now, name: now },
            outage: None,
            over: None,
            missing: None,
            wait_over: false,
            lost: BTreeMap::new(),
            saw_lost: false,
            displaced: false,
            had_clients: false,
            came: None,
            feeding: Feeding::default(),
            back: None,
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
                if !self.waits_for_share(now) {
                    self.go(Some(at_us), tell)?;
                }
            }
            None if self.starts_now(now) => self.go(None, tell)?,
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
        if let Some(outage) = &mut self.outage {
            outage.news(now).map_or(Ok(()), &mut *tell)?;
            if now < outage.next() {
                return Ok(());
            }
        }
        let mut news = Vec::new();
        let done = self.member.store.connect().and_then(|()| self.speak(now, &mut news));
        if let Err(error) = done {
            self.away(now, &error);
        }
        news.into_iter().try_for_each(tell)
    }

    /// When to look again.
    fn due(&self) -> Instant {
        let now = Instant::now();
        let go = self.start.filter(|_| self.started_us.is_none() && !self.waits_for_share(now)).map(|(_, at)| at);
        if let Some(at) = go.or_else(|| self.starts_now(now).then_some(now)) {
            return at;
        }
        if self.feeding.is_waiting() && self.outage.is_none() {
            return Instant::now();
        }
        let next = self.next.publish.min(self.next.keep);
        let next = if self.polls() { next.min(self.next.poll) } else { next };
        self.outage.as_ref().map_or(next, Outage::due)
    }

    /// Whether no barrier is before its start.
    pub(super) fn starts_by_itself(&self) -> bool {
        self.late || self.expects().is_none()
    }

    /// Whether it waits for the servers' next word before it starts: without a share it would begin by being held.
    fn waits_for_share(&self, now: Instant) -> bool {
        let is_new = self.ready.is_some_and(|ready| now.saturating_duration_since(ready) < SHARE_WAIT);
        self.member.who.role.is_held() && self.starts_by_itself() && is_new && !self.has_share
    }

    /// Whether it starts at this moment, and not at one that was agreed on.
    fn starts_now(&self, now: Instant) -> bool {
        let alone = self.start.is_none() && self.expects().is_none();
        self.ready.is_some() && self.started_us.is_none() && alone && !self.waits_for_share(now)
    }

    /// Whether it has to hear quickly of what changes.
    pub(super) fn polls(&self) -> bool {
        self.member.who.role.serves() || self.sharing.is_some() || (self.ready.is_some() && self.started_us.is_none())
    }

    fn take(&mut self, handed: Handed) {
        if handed.ready {
            self.ready.get_or_insert_with(Instant::now);
        }
        if self.ready.is_some() && self.stage == Stage::Joining {
            self.stage = Stage::Waiting;
            self.next.publish = Instant::now();
        }
        for (at, connections) in handed.points {
            let store = &self.member.store;
            self.allowance.had(store.clock().store_us(store.mono_us(at)), connections);
        }
        self.feeding.take(handed.pieces);
        let Some((at, state)) = handed.state else { return };
        // A phase that has changed is told at once.
        if self.state.as_ref().is_none_or(|(_, before)| before.phase != state.phase || before.blocked != state.blocked)
        {
            self.next.publish = Instant::now();
        }
        self.hold_due = self.member.who.role.serves();
        if self.sharers.read.is_some_and(|read| read <= at) {
            self.sharers_before = self.sharers;
        }
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

    /// One round with the store: what is heard is news, also where the store fails after it.
    fn speak(&mut self, now: Instant, news: &mut Vec<News>) -> Result<(), StoreError> {
        if self.outage.is_some() {
            // It may have no memory but for what is given back.
            self.end_feed();
            self.forget_feed()?;
            // It may have lost everything.
            if self.member.agree(self.started_us.is_some())? {
                self.came = None;
            }
            self.enter_again()?;
            self.next.publish = now;
            self.next.keep = now;
            self.back = Some(now);
            (self.sharers, self.sharers_before) = Default::default();
        }
        if let Some(outage) = self.outage.take() {
            news.extend(outage.over(now));
            self.over = Some((outage, now));
        }
        // First: one that was away for long must not count itself among those that share the room.
        if now >= self.next.keep {
            self.next.keep = now + KEEP;
            self.keep(news)?;
        }
        self.want_room()?;
        // Then: who is counted shares the room from the start on.
        self.count_in()?;
        if now >= self.next.publish {
            self.next.publish = now + PUBLISH;
            self.next.poll = now + POLL;
            self.publish(news)?;
        } else if self.polls() && now >= self.next.poll {
            self.next.poll = now + POLL;
            self.poll(news)?;
        }
        if self.hold_due {
            self.hold()?;
        }
        self.send_piece()?;
        if self.ready.is_some() && self.started_us.is_none() && self.expects().is_some() {
            self.wait_for_others(now, news)?;
        }
        self.slot.set_offset(self.member.store.clock().offset_us());
        Ok(())
    }

    /// Puts itself on the lists again, which the store has lost or the others have taken it off.
    pub(super) fn enter_again(&mut self) -> Result<(), StoreError> {
        self.counted = false;
        self.gathered = Gathered::default();
        self.sharing = None;
        self.member.enter()
    }

    fn away(&mut self, now: Instant, error: &StoreError) {
        // It may have forgotten who shares the room.
        self.sharing = None;
        match &mut self.outage {
            Some(outage) => outage.goes_on(),
            None => self.outage = Some(Outage::new(self.over.take(), now, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shared_the_room_at_any_time_counts() {
        let of = |now, joined| Sharers { read: None, now, joined };
        assert_eq!(of(2, 3).since(of(2, 2)), 3, "one has left, one has come");
        assert_eq!(of(1, 2).since(of(2, 2)), 2, "one has left");
        assert_eq!(of(4, 4).since(Sharers::default()), 4, "nobody was asked before");
        assert_eq!(of(2, 2).since(of(9, 9)), 9, "a store that was emptied");
    }
}
