//! Of each limit the nearest, with whose it is.
//!
//! A part has judged its limits by its own connections. In a merged run they stand at counts of all connections. A part that has a
//! share `s` of what is opened comes to a limit for which it has room for `r` more when all have opened `r / s` more. Where several
//! parts fill one limit, as the parts of a host its memory, each has that room for itself alone: together they fill it after
//! `1 / (s1/r1 + s2/r2 + …)`.

use crate::limits::{Forecast, Limit, LimitId, LimitState};
use crate::units::whole;

/// The limits of one part.
pub(super) struct Judged<'a> {
    /// What they belong to.
    pub(super) name: &'a str,
    /// Its machine and its network namespace.
    pub(super) host: &'a str,
    pub(super) network: &'a str,
    /// Whether it still counts: of a part that has ended or was killed only what it met is told.
    pub(super) live: bool,
    /// Whether it has a client.
    pub(super) opens: bool,
    /// Its share of what is opened, 0 to 1.
    pub(super) share: f64,
    /// Its own connections now.
    pub(super) connections: u64,
    pub(super) limits: &'a [Limit],
}

/// Who fills a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filled<'a> {
    Process(usize),
    Network(&'a str),
    Host(&'a str),
}

/// One limit, as several parts judged it.
struct Row<'a> {
    id: LimitId,
    filled: Filled<'a>,
    /// The nearest of them, in counts of all connections.
    limit: Limit,
    /// Shares by room.
    pace: f64,
    per_connection: Option<f64>,
}

/// The limits of all parts, while `all` connections are open: of each the nearest.
pub(super) fn nearest(parts: &[Judged<'_>], all: u64) -> Vec<Limit> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        // What is still opened is opened by the living alone.
        let going: f64 = parts.iter().filter(|p| p.live && p.opens == part.opens).map(|p| p.share).sum();
        let share = if going > 0.0 { part.share / going } else { part.share };
        for limit in part.limits.iter().filter(|limit| part.live || limit.state == LimitState::Hit) {
            let filled = match limit.scope.as_str() {
                "host" | "user" => Filled::Host(part.host),
                scope if scope.starts_with("network namespace") => Filled::Network(part.network),
                _ => Filled::Process(i),
            };
            let room = limit.forecast.connections().map(|at| at.saturating_sub(part.connections).max(1) as f64);
            let pace = room.filter(|_| part.live).map_or(0.0, |room| share / room);
            let grown = limit.per_connection.map(|each| each * share);
            let owned = Limit { scope: scope(part.name, limit), ..limit.clone() };
            let known = rows
                .iter_mut()
                .find(|row| row.id == limit.info.id && row.filled == filled && !matches!(filled, Filled::Process(_)));
            match known {
                Some(row) => {
                    row.pace += pace;
                    row.per_connection =
                        row.per_connection.zip(grown).map(|(a, b)| a + b).or(row.per_connection).or(grown);
                    if before(&owned, &row.limit) {
                        row.limit = owned;
                    }
                }
                None => rows.push(Row { id: limit.info.id, filled, limit: owned, pace, per_connection: grown }),
            }
        }
    }
    let mut nearest: Vec<Limit> = Vec::new();
    for row in rows {
        let limit = in_all(row, all);
        let place = nearest.iter_mut().find(|l| is_same(l, &limit));
        match place {
            Some(there) if before(&limit, there) => *there = limit,
            Some(_) => {}
            None => nearest.push(limit),
        }
    }
    nearest
}

/// Adds to some limits those of another list that are not among them.
pub(super) fn keep(limits: &mut Vec<Limit>, last: &[Limit]) {
    for limit in last {
        if !limits.iter().any(|l| is_same(l, limit)) {
            limits.push(limit.clone());
        }
    }
}

/// A row with its count among all connections.
fn in_all(row: Row<'_>, all: u64) -> Limit {
    let Row { mut limit, pace, per_connection, .. } = row;
    if let (Forecast::At { connections, plus_minus, seconds }, true) = (limit.forecast, pace > 0.0) {
        let room = 1.0 / pace;
        // The doubt is as large a part of the room as it was.
        let doubt = plus_minus as f64 / connections.max(1) as f64;
        let at = all + whole(room);
        limit.forecast = Forecast::At { connections: at, plus_minus: whole(doubt * at as f64), seconds };
    }
    limit.per_connection = per_connection;
    limit
}

/// Whose it is, and of what: of the limits that each process has `client 3`, of others `client 3, host`.
fn scope(name: &str, limit: &Limit) -> String {
    match (limit.info.of_process, limit.scope.as_str()) {
        // A part with both ends has two of them.
        (true, scope @ ("client" | "server")) if name.starts_with("part ") => {
            format!("{scope} {}", name.trim_start_matches("part "))
        }
        (true, _) => name.to_owned(),
        (false, scope) => format!("{name}, {scope}"),
    }
}

/// Whether two rows are of one limit of a merged run.
fn is_same(a: &Limit, b: &Limit) -> bool {
    a.info.id == b.info.id && of_role(&a.scope) == of_role(&b.scope)
}

/// Which end a scope is of: of the limits of processes one each is kept.
fn of_role(scope: &str) -> &str {
    if scope.contains(',') { "" } else { scope.split(' ').next().unwrap_or_default() }
}

/// Whether a limit is nearer than another: hit, then by the count at which it comes, then by its state and its use.
fn before(a: &Limit, b: &Limit) -> bool {
    let rank = |l: &Limit| {
        let at = l.forecast.connections().unwrap_or(u64::MAX);
        (l.state != LimitState::Hit, at, std::cmp::Reverse(l.state))
    };
    let share = |l: &Limit| l.share().unwrap_or(-1.0);
    rank(a).cmp(&rank(b)).then(share(b).total_cmp(&share(a))).is_lt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{Cure, Unit};

    fn limit(id: LimitId, scope: &str, used: u64, at: Option<u64>) -> Limit {
        let forecast =
            at.map_or(Forecast::Never, |connections| Forecast::At { connections, plus_minus: 0, seconds: None });
        Limit {
            info: id.descriptor(),
            scope: scope.into(),
            unit: Unit::Count,
            used: Some(used),
            limit: Some(1000),
            state: LimitState::Ok,
            forecast,
            per_connection: Some(1.0),
            reason: None,
            place: None,
            note: None,
            met: None,
            cure: Cure::none().into(),
        }
    }

    fn part<'a>(name: &'a str, host: &'a str, share: f64, limits: &'a [Limit]) -> Judged<'a> {
        Judged { name, host, network: name, live: true, opens: true, share, connections: 100, limits }
    }

    #[test]
    fn the_nearest_of_all_is_kept_with_whose_it_is() {
        let own = |memory, files| {
            [limit(LimitId::Memory, "host", 10, Some(memory)), limit(LimitId::Nofile, "client", 10, Some(files))]
        };
        let (a, b) = (own(500, 900), own(400, 1100));
        let parts = [part("client 1", "a", 0.5, &a), part("client 2", "b", 0.5, &b)];
        let all = nearest(&parts, 200);
        let rows: Vec<_> = all.iter().map(|l| (l.scope.as_str(), l.forecast.connections().unwrap())).collect();
        // Each opens half of them: with room for 300 more of its own, 600 more of all.
        assert_eq!(rows, [("client 2, host", 200 + 600), ("client 1", 200 + 1600)]);
    }

    #[test]
    fn parts_of_one_host_fill_its_memory_together() {
        let own = [limit(LimitId::Memory, "host", 10, Some(800))];
        for n in [1_u32, 2, 7] {
            let names: Vec<String> = (1..=n).map(|i| format!("client {i}")).collect();
            let parts: Vec<_> = names.iter().map(|name| part(name, "a", 1.0 / f64::from(n), &own)).collect();
            let at = nearest(&parts, 1000)[0].forecast.connections().unwrap();
            // Room for 700 more, whoever opens them; were each a host of its own it would be as often as much.
            assert!(at.abs_diff(1700) <= 1, "{n}: {at}");
        }
    }

    #[test]
    fn of_a_part_that_was_killed_only_what_it_met_is_told() {
        let near = [limit(LimitId::Memory, "host", 10, Some(150))];
        let far = [limit(LimitId::Memory, "host", 10, Some(400))];
        let killed = |limits| Judged { live: false, ..part("client 1", "a", 0.5, limits) };
        let all = nearest(&[killed(&near), part("client 2", "b", 0.5, &far)], 100);
        let rows: Vec<_> = all.iter().map(|l| (l.scope.as_str(), l.forecast.connections())).collect();
        // Whoever is left opens all that is opened.
        assert_eq!(rows, [("client 2, host", Some(100 + 300))]);
        let hit = [Limit { state: LimitState::Hit, ..limit(LimitId::Nofile, "client", 1000, None) }];
        let all = nearest(&[killed(&hit), part("client 2", "b", 0.5, &far)], 100);
        assert_eq!(all.iter().map(|l| l.scope.as_str()).collect::<Vec<_>>(), ["client 1", "client 2, host"]);
    }

    #[test]
    fn what_is_hit_comes_before_what_is_near() {
        let near = [limit(LimitId::Nofile, "client", 10, Some(101))];
        let hit = [Limit { state: LimitState::Hit, ..limit(LimitId::Nofile, "client", 1000, None) }];
        let all = nearest(&[part("client 1", "a", 0.5, &near), part("client 2", "b", 0.5, &hit)], 200);
        assert_eq!((all.len(), all[0].scope.as_str(), all[0].state), (1, "client 2", LimitState::Hit));
        let both = [limit(LimitId::Nofile, "server", 1, None), limit(LimitId::Nofile, "client", 1, None)];
        let all = nearest(&[part("part 3", "a", 0.5, &both)], 200);
        assert_eq!(all.iter().map(|l| l.scope.as_str()).collect::<Vec<_>>(), ["server 3", "client 3"]);
    }
}
