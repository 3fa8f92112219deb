//! The server's guard over all clients: how many connections each may hold, so that all together stay below its ceiling however
//! late they hear of it.
//!
//! The server says how many it had at a moment, and how many it allows. A client knows how many it had itself at that moment, and
//! wants its share of the room from there: what all have opened since counts against that room. What it is given the store counts
//! until it is used ([`super::given`]), so that no client gets what another may still open, however late that one hears; and a
//! client that has lost the store goes on to where it was last allowed to go, and stops there. What the server had not accepted
//! yet at that moment is kept off by the rate times the lateness, as it was measured.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::given::Ask;
use super::worker::Held;
use crate::limits::LimitId;
use crate::units::whole;

/// For how long a client remembers how many connections it had, microseconds: longer than a hold is late.
const REMEMBERED_US: u64 = 120_000_000;

/// Most moments remembered; five a second.
const POINTS: usize = 1024;

/// What a server says of its guard, with each of its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hold {
    /// When the reading of its sample began, by the store's clock, microseconds: a date after it was counted would have clients count
    /// as room what they had opened in between.
    pub(super) at_us: u64,
    /// Connections that it had.
    pub(super) connections: u64,
    /// The most that its guard allows; `None`: nothing bounds it.
    pub(super) ceiling: Option<u64>,
    /// The limit that this comes from.
    pub(super) by: Option<LimitId>,
    /// The clients that share the room, and those that did at any time since before the sample.
    #[serde(default)]
    pub(super) sharers: u64,
    /// How many had joined them in all by then: one that came later is not among them.
    #[serde(default)]
    pub(super) joined: u64,
}

/// A client's part of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Allowance {
    /// Moments by the store's clock, and connections then.
    points: VecDeque<(u64, u64)>,
    last_us: u64,
    late_us: u64,
    held: Option<Held>,
    /// How far it has been given room, connections.
    given_to: u64,
    /// Servers that it was last held by.
    servers: usize,
    /// Whether points were dropped.
    forgot: bool,
}

/// Whether a client shares the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// It waits for the start, before which all joined that wait and the servers speak of them.
    FromTheStart,
    /// It has this number among those that do.
    Joined(u64),
    /// It wants no more.
    Not,
}

/// What a client wants to hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// What it had when the server spoke.
    then: u64,
    /// What it wants beyond that.
    more: u64,
    /// Every server that bounds it has counted it among those that share.
    pub(super) counted: bool,
    /// What is asked of the store for it, by whoever has joined.
    pub(super) ask: Option<Ask>,
    had: u64,
    wants_more: bool,
    age_ms: u64,
}

impl Allowance {
    /// So many connections at this moment by the store's clock.
    pub(super) fn had(&mut self, at_us: u64, connections: u64) {
        self.points.push_back((at_us, connections));
        while self.points.len() > POINTS || self.points.front().is_some_and(|(t, _)| t + REMEMBERED_US < at_us) {
            self.points.pop_front();
            self.forgot = true;
        }
    }

    /// Whether a store that was away until just now has not heard of every server again. What is allowed stays as it is then: a
    /// guard that is not there is no guard that was lifted.
    pub(super) fn awaits(&self, holds: &[Hold]) -> bool {
        self.held.is_some() && holds.len() < self.servers
    }

    /// What this client wants to hold, by what the servers say now. `None` where no server bounds it.
    pub(super) fn wish(
        &mut self,
        holds: &[Hold],
        sharing: Sharing,
        now_us: u64,
        rate_per_s: f64,
        target: Option<u64>,
    ) -> Option<Wish> {
        let newest = holds.iter().map(|hold| hold.at_us).max().unwrap_or(0);
        if newest > self.last_us {
            self.last_us = newest;
            // The worst of late, forgotten by a tenth with each that comes.
            self.late_us = now_us.saturating_sub(newest).max(self.late_us - self.late_us / 10);
        }
        self.servers = holds.len();
        let margin = whole(rate_per_s.max(0.0) * (self.late_us as f64 / 1e6));
        let had = self.points.back().map_or(0, |(_, n)| *n);
        let before = self.held.map(|held| held.allowed);
        let room = |hold: &Hold| hold.ceiling.map(|ceiling| ceiling.saturating_sub(hold.connections));
        // Since when, and what beyond what it had then.
        let wanted = holds.iter().filter_map(|hold| {
            let share = room(hold)? / hold.sharers.max(1);
            let Some(then) = self.connections_at(hold.at_us) else {
                // Too old to be counted from: no more than was allowed by what came in time.
                return Some((had, before.unwrap_or(had).saturating_sub(had)));
            };
            Some(match sharing {
                // The room is the others' until the server counts it among them.
                Sharing::Joined(number) if number > hold.joined => (then, 0),
                // What it has is not taken away.
                Sharing::FromTheStart | Sharing::Joined(_) => (then, share.saturating_sub(margin)),
                // What it has lost of late it may open again.
                Sharing::Not => (then, self.points.iter().map(|(_, n)| *n).max().unwrap_or(0).saturating_sub(then)),
            })
        });
        let (then, more) = wanted.min_by_key(|(then, more)| then.saturating_add(*more))?;
        let bound = |more: u64| target.map_or(more, |target| more.min(target.saturating_sub(then)));
        let ask = matches!(sharing, Sharing::Joined(_)).then(|| Ask {
            // What it cannot use is left to the others.
            wants: bound(more),
            keeps: bound(self.given_to.saturating_sub(then)),
            room: holds.iter().filter_map(room).min().unwrap_or(0),
        });
        let wants_more = target.is_some_and(|target| had < target);
        let has_counted =
            |hold: &Hold| hold.ceiling.is_none() || matches!(sharing, Sharing::Joined(n) if n <= hold.joined);
        let counted = holds.iter().all(has_counted);
        Some(Wish { then, more, counted, ask, had, wants_more, age_ms: now_us.saturating_sub(newest) / 1000 })
    }

    /// What this client may hold, after it was given so much of what it asked for.
    pub(super) fn obey(&mut self, wish: Option<Wish>, given: u64) -> Option<Held> {
        self.given_to = wish.filter(|wish| wish.ask.is_some()).map_or(0, |wish| wish.then.saturating_add(given));
        self.held = wish.map(|wish| {
            let more = if wish.ask.is_none_or(|ask| given >= ask.wants) { wish.more } else { given };
            let allowed = wish.then.saturating_add(more);
            Held {
                allowed,
                holds: wish.ask.is_some() && wish.had >= allowed && wish.wants_more,
                late_us: self.late_us,
                age_ms: wish.age_ms,
            }
        });
        self.held
    }

    /// What was last allowed.
    pub(super) fn held(&self) -> Option<Held> {
        self.held
    }

    /// Connections at a moment: those of the last point before it, which are no more than there were in a ramp; `None` of one that
    /// is forgotten.
    fn connections_at(&self, at_us: u64) -> Option<u64> {
        let before = self.points.iter().rev().find(|(t, _)| *t <= at_us);
        // Before the first it had none.
        before.map(|(_, n)| *n).or((!self.forgot).then_some(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Allowance {
        /// What it may hold where the store gives all that is asked for.
        fn alone(
            &mut self,
            holds: &[Hold],
            sharing: Sharing,
            now_us: u64,
            rate_per_s: f64,
            target: Option<u64>,
        ) -> Option<Held> {
            let wish = self.wish(holds, sharing, now_us, rate_per_s, target);
            self.obey(wish, wish.and_then(|wish| wish.ask).map_or(0, |ask| ask.wants))
        }
    }

    fn hold(at_us: u64, connections: u64, sharers: u64) -> Hold {
        Hold { at_us, connections, ceiling: Some(10_000), by: None, sharers, joined: sharers }
    }

    #[test]
    fn the_room_is_divided_as_when_the_server_spoke() {
        // Of two clients one ends; the other hears what the server said before that twice.
        let mut client = Allowance::default();
        client.had(1_000_000, 1000);
        let said = hold(1_000_000, 2000, 2);
        let allowed = client.alone(&[said], Sharing::Joined(1), 1_200_000, 0.0, Some(9000)).unwrap().allowed;
        assert_eq!(allowed, 1000 + 8000 / 2);
        // One that has joined since has none of it, until the server counts it.
        let mut late = Allowance::default();
        late.had(900_000, 0);
        let held = late.alone(&[said], Sharing::Joined(3), 1_200_000, 0.0, Some(9000)).unwrap();
        assert_eq!((held.allowed, held.holds), (0, true));
        let next = late.alone(&[hold(1_400_000, 2000, 3)], Sharing::Joined(3), 1_500_000, 0.0, Some(9000)).unwrap();
        assert_eq!(next.allowed, 8000 / 3);
        // One that wants no more keeps what it had of late, and is not held.
        let mut full = Allowance::default();
        full.had(900_000, 1000);
        full.had(1_000_000, 990);
        let held = full.alone(&[said], Sharing::Not, 1_200_000, 0.0, Some(1000)).unwrap();
        assert_eq!((held.allowed, held.holds), (1000, false));
    }

    #[test]
    fn a_hold_that_is_older_than_what_is_remembered_gives_no_room_again() {
        let mut client = Allowance::default();
        let said = hold(1_000_000, 0, 1);
        let mut open = 0;
        for second in 1..600_u64 {
            client.had(second * 1_000_000, open);
            open = client.alone(&[said], Sharing::Joined(1), second * 1_000_000, 0.0, None).unwrap().allowed;
        }
        assert_eq!(open, 10_000, "the room of one moment, once");
    }

    #[test]
    fn a_store_that_was_started_anew_lifts_no_guard() {
        let mut client = Allowance::default();
        assert!(!client.awaits(&[]), "nothing was held");
        client.had(5, 100);
        let two = [hold(5, 9000, 1), hold(5, 9900, 1)];
        client.alone(&two, Sharing::Joined(1), 5, 0.0, None);
        assert!(client.awaits(&[]) && client.awaits(&two[..1]) && !client.awaits(&two));
    }

    #[test]
    fn all_clients_together_stay_below_however_late_they_hear() {
        // Four clients that open as fast as they may; what the server says arrives two seconds late.
        let mut clients = vec![Allowance::default(); 4];
        let mut open = [0_u64; 4];
        let mut said = VecDeque::new();
        let mut most = 0;
        for step in 1..400_u64 {
            let now = step * 200_000;
            let total = open.iter().sum();
            most = most.max(total);
            said.push_back(hold(now, total, 4));
            let heard = if said.len() > 10 { said.pop_front() } else { None };
            for (client, open) in clients.iter_mut().zip(&mut open) {
                client.had(now, *open);
                let held = client.alone(heard.as_slice(), Sharing::Joined(1), now, 0.0, Some(1_000_000));
                // Before the first word it is slow; then it takes all it may.
                *open = held.map_or(*open + 10, |held| (*open + 5000).min(held.allowed));
            }
        }
        assert!((9_990..=10_000).contains(&most), "{most}");
        assert_eq!(open.iter().sum::<u64>(), most, "and it is held there");
        assert!(clients.iter().all(|client| client.held().is_some_and(|held| held.holds)));
    }

    #[test]
    fn a_client_that_hears_no_more_keeps_what_it_was_given_and_nobody_else_gets_it() {
        // One is slow, and hears the first word alone. The other is fast, and hears each.
        let (mut fast, mut slow) = (Allowance::default(), Allowance::default());
        let mut open = [0_u64; 2];
        let mut given = [0_u64; 2];
        // As the store gives.
        let mut give = |id: usize, ask: Ask, gone: bool| {
            let others = if gone { 0 } else { given[1 - id] };
            given[id] = ask.wants.min(ask.keeps.max(ask.room.saturating_sub(others)));
            given[id]
        };
        for step in 1..600_u64 {
            let now = step * 200_000;
            let said = [hold(now, open.iter().sum(), 2)];
            let gone = step > 500;
            for (id, client) in [&mut fast, &mut slow].into_iter().enumerate() {
                client.had(now, open[id]);
                if id == 0 || step == 1 {
                    let wish = client.wish(&said, Sharing::Joined(1), now, 0.0, Some(1_000_000));
                    let granted = wish.and_then(|wish| wish.ask).map_or(0, |ask| give(id, ask, gone));
                    client.obey(wish, granted);
                }
                let pace = if id == 0 { 1000 } else { 7 * u64::from(!gone) };
                open[id] = (open[id] + pace).min(client.held().unwrap().allowed);
            }
            assert!(open.iter().sum::<u64>() <= 10_000, "{open:?}");
            assert!(step != 500 || open == [5_000, 500 * 7], "{open:?}");
        }
        let all: u64 = open.iter().sum();
        assert!(all >= 9_990, "what a client that is gone was given goes to the others: {open:?}");
    }

    #[test]
    fn what_is_under_way_is_kept_off_by_rate_and_lateness() {
        let mut client = Allowance::default();
        client.had(1_000_000, 500);
        let held =
            client.alone(&[hold(1_000_000, 2000, 2)], Sharing::Joined(1), 1_300_000, 1000.0, Some(9000)).unwrap();
        assert_eq!((held.allowed, held.late_us), (500 + 4000 - 300, 300_000));
        // Beyond the ceiling nothing is taken away.
        let held =
            client.alone(&[hold(1_000_000, 20_000, 2)], Sharing::Joined(1), 1_300_000, 1000.0, Some(9000)).unwrap();
        assert_eq!((held.allowed, held.holds), (500, true));
    }

    #[test]
    fn of_several_servers_the_tightest_holds_and_one_without_a_bound_does_not() {
        let mut client = Allowance::default();
        client.had(5, 100);
        let free = Hold { ceiling: None, ..hold(5, 0, 1) };
        assert_eq!(client.alone(&[free], Sharing::Joined(1), 5, 0.0, None), None);
        let held = client.alone(&[free, hold(5, 9000, 1), hold(5, 9900, 1)], Sharing::Joined(1), 5, 0.0, None).unwrap();
        assert_eq!(held.allowed, 200);
    }
}
