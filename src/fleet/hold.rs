//! The server's guard over all clients: how many connections each may hold, so that all together stay below its ceiling however
//! late they hear of it.
//!
//! The server says how many it had at a moment, and how many it allows. A client knows how many it had itself at that moment, and
//! takes its share of the room from there: what all have opened since counts against that room, so that no lateness lets them
//! pass the ceiling together, and a client that has lost the store stops where it was last allowed to go. What the server had
//! not accepted yet at that moment is kept off by the rate times the lateness, as it was measured.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

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
    /// Servers that it was last held by.
    servers: usize,
    /// Whether points were dropped.
    forgot: bool,
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

    /// What this client may hold, by what the servers say now; `joined` is its number among those that share the room, `None` where
    /// it is none of them. `None` where no server bounds it.
    pub(super) fn obey(
        &mut self,
        holds: &[Hold],
        joined: Option<u64>,
        now_us: u64,
        rate_per_s: f64,
        target: Option<u64>,
    ) -> Option<Held> {
        let newest = holds.iter().map(|hold| hold.at_us).max().unwrap_or(0);
        if newest > self.last_us {
            self.last_us = newest;
            // The worst of late, forgotten by a tenth with each that comes.
            self.late_us = now_us.saturating_sub(newest).max(self.late_us - self.late_us / 10);
        }
        let margin = whole(rate_per_s.max(0.0) * (self.late_us as f64 / 1e6));
        let had = self.points.back().map_or(0, |(_, n)| *n);
        let allowed = holds.iter().filter_map(|hold| {
            let room = hold.ceiling?.saturating_sub(hold.connections) / hold.sharers.max(1);
            let Some(then) = self.connections_at(hold.at_us) else {
                // Too old to be counted from: no more than was allowed by what came in time.
                return Some(self.held.map_or(had, |held| held.allowed));
            };
            Some(match joined {
                // What it has is not taken away.
                Some(joined) if joined <= hold.joined => then.saturating_add(room).saturating_sub(margin).max(then),
                // The room is the others' until the server counts it among them.
                Some(_) => then,
                // What it has lost of late it may open again.
                None => self.points.iter().map(|(_, n)| *n).max().unwrap_or(0),
            })
        });
        let allowed = allowed.min();
        self.servers = holds.len();
        self.held = allowed.map(|allowed| Held {
            allowed,
            holds: joined.is_some() && had >= allowed && target.is_some_and(|target| had < target),
            late_us: self.late_us,
            age_ms: now_us.saturating_sub(newest) / 1000,
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

    fn hold(at_us: u64, connections: u64, sharers: u64) -> Hold {
        Hold { at_us, connections, ceiling: Some(10_000), by: None, sharers, joined: sharers }
    }

    #[test]
    fn the_room_is_divided_as_when_the_server_spoke() {
        // Of two clients one ends; the other hears what the server said before that twice.
        let mut client = Allowance::default();
        client.had(1_000_000, 1000);
        let said = hold(1_000_000, 2000, 2);
        let allowed = client.obey(&[said], Some(1), 1_200_000, 0.0, Some(9000)).unwrap().allowed;
        assert_eq!(allowed, 1000 + 8000 / 2);
        // One that has joined since has none of it, until the server counts it.
        let mut late = Allowance::default();
        late.had(900_000, 0);
        let held = late.obey(&[said], Some(3), 1_200_000, 0.0, Some(9000)).unwrap();
        assert_eq!((held.allowed, held.holds), (0, true));
        let next = late.obey(&[hold(1_400_000, 2000, 3)], Some(3), 1_500_000, 0.0, Some(9000)).unwrap();
        assert_eq!(next.allowed, 8000 / 3);
        // One that wants no more keeps what it had of late, and is not held.
        let mut full = Allowance::default();
        full.had(900_000, 1000);
        full.had(1_000_000, 990);
        let held = full.obey(&[said], None, 1_200_000, 0.0, Some(1000)).unwrap();
        assert_eq!((held.allowed, held.holds), (1000, false));
    }

    #[test]
    fn a_hold_that_is_older_than_what_is_remembered_gives_no_room_again() {
        let mut client = Allowance::default();
        let said = hold(1_000_000, 0, 1);
        let mut open = 0;
        for second in 1..600_u64 {
            client.had(second * 1_000_000, open);
            open = client.obey(&[said], Some(1), second * 1_000_000, 0.0, None).unwrap().allowed;
        }
        assert_eq!(open, 10_000, "the room of one moment, once");
    }

    #[test]
    fn a_store_that_was_started_anew_lifts_no_guard() {
        let mut client = Allowance::default();
        assert!(!client.awaits(&[]), "nothing was held");
        client.had(5, 100);
        let two = [hold(5, 9000, 1), hold(5, 9900, 1)];
        client.obey(&two, Some(1), 5, 0.0, None);
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
                let held = client.obey(heard.as_slice(), Some(1), now, 0.0, Some(1_000_000));
                // Before the first word it is slow; then it takes all it may.
                *open = held.map_or(*open + 10, |held| (*open + 5000).min(held.allowed));
            }
        }
        assert!((9_990..=10_000).contains(&most), "{most}");
        assert_eq!(open.iter().sum::<u64>(), most, "and it is held there");
        assert!(clients.iter().all(|client| client.held().is_some_and(|held| held.holds)));
    }

    #[test]
    fn what_is_under_way_is_kept_off_by_rate_and_lateness() {
        let mut client = Allowance::default();
        client.had(1_000_000, 500);
        let held = client.obey(&[hold(1_000_000, 2000, 2)], Some(1), 1_300_000, 1000.0, Some(9000)).unwrap();
        assert_eq!((held.allowed, held.late_us), (500 + 4000 - 300, 300_000));
        // Beyond the ceiling nothing is taken away.
        let held = client.obey(&[hold(1_000_000, 20_000, 2)], Some(1), 1_300_000, 1000.0, Some(9000)).unwrap();
        assert_eq!((held.allowed, held.holds), (500, true));
    }

    #[test]
    fn of_several_servers_the_tightest_holds_and_one_without_a_bound_does_not() {
        let mut client = Allowance::default();
        client.had(5, 100);
        let free = Hold { ceiling: None, ..hold(5, 0, 1) };
        assert_eq!(client.obey(&[free], Some(1), 5, 0.0, None), None);
        let held = client.obey(&[free, hold(5, 9000, 1), hold(5, 9900, 1)], Some(1), 5, 0.0, None).unwrap();
        assert_eq!(held.allowed, 200);
    }
}
