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
    /// The moment of its sample, by the store's clock, microseconds.
    pub(super) at_us: u64,
    /// Connections that it had.
    pub(super) connections: u64,
    /// The most that its guard allows; `None`: nothing bounds it.
    pub(super) ceiling: Option<u64>,
    /// The limit that this comes from.
    pub(super) by: Option<LimitId>,
}

/// A client's part of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Allowance {
    /// Moments by the store's clock, and connections then.
    points: VecDeque<(u64, u64)>,
    last_us: u64,
    late_us: u64,
    held: Option<Held>,
}

impl Allowance {
    /// So many connections at this moment by the store's clock.
    pub(super) fn had(&mut self, at_us: u64, connections: u64) {
        self.points.push_back((at_us, connections));
        while self.points.len() > POINTS || self.points.front().is_some_and(|(t, _)| t + REMEMBERED_US < at_us) {
            self.points.pop_front();
        }
    }

    /// What this client may hold, by what the servers say now; `clients` of them share the room, itself included. `None` where no
    /// server bounds it.
    pub(super) fn obey(
        &mut self,
        holds: &[Hold],
        clients: u64,
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
            let room = hold.ceiling?.saturating_sub(hold.connections) / clients.max(1);
            let then = self.connections_at(hold.at_us);
            // What it has is not taken away.
            Some(then.saturating_add(room).saturating_sub(margin).max(then))
        });
        self.held = allowed.min().map(|allowed| Held {
            allowed,
            holds: had >= allowed && target.is_some_and(|target| had < target),
            late_us: self.late_us,
            age_ms: now_us.saturating_sub(newest) / 1000,
        });
        self.held
    }

    /// What was last allowed.
    pub(super) fn held(&self) -> Option<Held> {
        self.held
    }

    /// Connections at a moment: those of the last point before it, which are no more than there were in a ramp.
    fn connections_at(&self, at_us: u64) -> u64 {
        let before = self.points.iter().rev().find(|(t, _)| *t <= at_us);
        before.or(self.points.front()).map_or(0, |(_, n)| *n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(at_us: u64, connections: u64) -> Hold {
        Hold { at_us, connections, ceiling: Some(10_000), by: None }
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
            said.push_back(hold(now, total));
            let heard = if said.len() > 10 { said.pop_front() } else { None };
            for (client, open) in clients.iter_mut().zip(&mut open) {
                client.had(now, *open);
                let held = client.obey(heard.as_slice(), 4, now, 0.0, Some(1_000_000));
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
        let held = client.obey(&[hold(1_000_000, 2000)], 2, 1_300_000, 1000.0, Some(9000)).unwrap();
        assert_eq!((held.allowed, held.late_us), (500 + 4000 - 300, 300_000));
        // Beyond the ceiling nothing is taken away.
        let held = client.obey(&[hold(1_000_000, 20_000)], 2, 1_300_000, 1000.0, Some(9000)).unwrap();
        assert_eq!((held.allowed, held.holds), (500, true));
    }

    #[test]
    fn of_several_servers_the_tightest_holds_and_one_without_a_bound_does_not() {
        let mut client = Allowance::default();
        client.had(5, 100);
        let free = Hold { ceiling: None, ..hold(5, 0) };
        assert_eq!(client.obey(&[free], 1, 5, 0.0, None), None);
        let held = client.obey(&[free, hold(5, 9000), hold(5, 9900)], 1, 5, 0.0, None).unwrap();
        assert_eq!(held.allowed, 200);
    }
}
