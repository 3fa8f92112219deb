//! The fleet as a whole, made from what its workers publish. Pure: whoever has the states has the view.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::bottleneck::{self, Bottleneck};
use super::outcome::{self, FleetVerdict, listed};
use super::row::{Count, Row, Standing, Totals, share};
use super::worker::{WorkerEvent, WorkerLimit, WorkerState};
use crate::limits::LimitState;
use crate::model::RunPhase;

/// How far the workers are apart.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Skew {
    /// Between the first and the last that was let go, microseconds, by the store's clock; `None` before two have been.
    pub start_us: Option<u64>,
    /// The store's time is known to this at every worker, microseconds: the spread is true to twice that.
    pub clock_error_us: u64,
    /// The client that has the least of its target, and how much, 0 to 1.
    pub slowest: Option<(usize, f64)>,
    /// The client that has the most.
    pub fastest: Option<(usize, f64)>,
}

impl Skew {
    /// Whoever starts so long after the first, microseconds, has joined a run that was under way: that is no skew.
    pub const LATECOMER_US: u64 = 5_000_000;
}

/// The limit that comes first of all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FleetLimit {
    /// The worker's place in [`FleetView::rows`].
    pub row: usize,
    /// The limit.
    pub limit: WorkerLimit,
    /// Connections of the whole fleet when it is reached, where all go on as they do; `None` where that cannot be told.
    pub fleet_connections: Option<u64>,
}

/// The server's guard, and how it arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FleetGuard {
    /// The server's place in [`FleetView::rows`].
    pub row: usize,
    /// The most connections that it allows.
    pub ceiling: u64,
    /// Clients that are kept from their target by it now.
    pub holds: usize,
    /// The latest that a client obeyed it, microseconds after the server's sample.
    pub late_us: Option<u64>,
}

/// What the server's memory does under the fleet's connections.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServerMemory {
    /// The server's place in [`FleetView::rows`].
    pub row: usize,
    /// Resident memory of the server, bytes.
    pub rss_bytes: Option<u64>,
    /// Memory of its machine in use, bytes.
    pub mem_used_bytes: Option<u64>,
    /// Memory of its machine that is left, bytes.
    pub headroom_bytes: Option<u64>,
    /// What a connection costs there, bytes.
    pub bytes_per_connection: Option<f64>,
}

/// The whole fleet at one moment. `connections` of the totals against `memory` is the chart of the server's memory: keep the
/// views' pairs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FleetView {
    /// The fleet's name.
    pub name: String,
    /// The moment, by the store's clock, microseconds since the Unix epoch.
    pub at_us: u64,
    /// A row a worker: servers first, then by part, then by host.
    pub rows: Vec<Row>,
    /// Who has not come, could not begin, or is lost, each in a few words: `part 3/5`, `part 4/5 on web4 (LOST, heard 25 s ago)`.
    pub missing: Vec<String>,
    /// How many stand how.
    pub count: Count,
    /// The sums.
    pub totals: Totals,
    /// How far they are apart.
    pub skew: Skew,
    /// The limit that comes first.
    pub nearest: Option<FleetLimit>,
    /// The server's guard.
    pub guard: Option<FleetGuard>,
    /// The server's memory.
    pub memory: Option<ServerMemory>,
    /// Who keeps the fleet from more, and by what.
    pub bottleneck: Option<Bottleneck>,
    /// The newest warnings of all, newest first, each with the row that it is of.
    pub events: Vec<(usize, WorkerEvent)>,
    /// Versions that differ: `0.1.0 (web1, web2), 0.2.0 (web3)`; `None` where all are the same.
    pub versions: Option<String>,
    /// How it ended, once every worker that came has left or is lost; before that, how it would end now.
    pub verdict: FleetVerdict,
}

impl FleetView {
    /// The view of these workers at `now_us` by the store's clock.
    pub fn of(name: &str, now_us: u64, workers: Vec<WorkerState>) -> Self {
        Self::known(name, now_us, workers, true)
    }

    /// As [`FleetView::of`]; where it is not known yet who is lost, as the store was away, nobody is: those are silent.
    pub fn known(name: &str, now_us: u64, workers: Vec<WorkerState>, knows: bool) -> Self {
        let mut rows = one_a_part(workers.into_iter().map(|state| Row::of(state, now_us)));
        for row in rows.iter_mut().filter(|row| !knows && row.standing == Standing::Lost) {
            row.standing = Standing::Silent;
        }
        settle_servers(&mut rows);
        rows.sort_by(|a, b| order(&a.state).cmp(&order(&b.state)));
        let count = counted(&rows);
        let totals = totals(&rows);
        let missing = missing(&rows, &count);
        let bottleneck = bottleneck::find(&rows);
        let verdict = outcome::verdict(&rows, &count, &totals, &missing, bottleneck.as_ref());
        Self {
            name: name.to_owned(),
            at_us: now_us,
            skew: skew(&rows),
            nearest: nearest(&rows, &totals),
            guard: guard(&rows),
            memory: memory(&rows),
            events: events(&rows),
            versions: versions(&rows),
            missing,
            count,
            totals,
            bottleneck,
            verdict,
            rows,
        }
    }

    /// Whether no worker is going on: all that came have left or are lost.
    pub fn is_over(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| matches!(row.standing, Standing::Left | Standing::Lost))
    }

    /// The clients that a command reaches: what the others last said is not so any more.
    pub fn clients(&self) -> impl Iterator<Item = &Row> {
        clients(&self.rows)
    }

    /// What a command's number is divided by: what all clients were started for. One that is lost may hear it yet, one that has left
    /// does not.
    pub fn divided_by(&self) -> u64 {
        let here = self.rows.iter().filter(|row| row.standing != Standing::Left && row.state.who.role.connects());
        here.filter_map(|row| row.state.started_for.or(row.state.target)).fold(0, u64::saturating_add)
    }

    /// Who has not come, as [`FleetView::missing`] has it.
    pub(super) fn absent(&self) -> impl Iterator<Item = String> {
        absent(&self.rows, &self.count).into_iter()
    }
}

/// See [`FleetView::clients`].
fn clients(rows: &[Row]) -> impl Iterator<Item = &Row> {
    let here = rows.iter().filter(|row| row.standing.counts() && row.standing != Standing::Left);
    here.filter(|row| row.state.who.role.connects())
}

/// A worker that was started anew counts once: of several workers of one part whoever goes on stays, else who was heard last. Of two
/// that both go on it is the one that started later, so that they do not change places with each word.
fn one_a_part(all: impl Iterator<Item = Row>) -> Vec<Row> {
    let rank = |row: &Row| {
        let goes_on = !matches!(row.standing, Standing::Lost | Standing::Left);
        let started = row.state.started_us.unwrap_or(u64::MAX);
        if goes_on { (true, started, row.state.at_us) } else { (false, row.state.at_us, 0) }
    };
    let mut rows = Vec::new();
    let mut parts: BTreeMap<u32, Row> = BTreeMap::new();
    for row in all {
        let Some(part) = row.state.who.part else {
            rows.push(row);
            continue;
        };
        if parts.get(&part.number).is_none_or(|other| rank(other) < rank(&row)) {
            parts.insert(part.number, row);
        }
    }
    // One without a part that could not begin was started again where its host has one of that role that began after it.
    let (failed, begun): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(Row::never_began);
    let again = |row: &Row, other: &Row| {
        let (who, of) = (&row.state.who, &other.state.who);
        (who.role, &who.host) == (of.role, &of.host) && other.state.started_us > Some(row.state.at_us)
    };
    let waits = failed.into_iter().filter(|row| !begun.iter().any(|other| again(row, other)));
    let waits: Vec<Row> = waits.collect();
    begun.into_iter().chain(waits).chain(parts.into_values()).collect()
}

/// A server alone knows no target, so that it never says that it holds: it does when all of its clients do.
fn settle_servers(rows: &mut [Row]) {
    let mut clients =
        rows.iter().filter(|row| row.state.who.role.is_held() && row.standing != Standing::Left).peekable();
    let some = clients.peek().is_some();
    let all_hold = some && clients.all(|row| row.state.phase == RunPhase::Holding);
    let targets = rows.iter().filter(|row| row.state.who.role.is_held()).map(|row| row.state.target);
    let target = targets.sum::<Option<u64>>().filter(|target| *target > 0);
    for row in rows.iter_mut().filter(|row| row.state.who.role.serves() && row.state.phase == RunPhase::Ramping) {
        let open = target.is_some_and(|target| row.state.connections >= target);
        if all_hold || open {
            row.state.phase = RunPhase::Holding;
        }
    }
}

/// The place of a worker among the rows.
fn order(state: &WorkerState) -> (bool, Option<u32>, &str, u32) {
    let who = &state.who;
    (!who.role.serves(), who.part.map(|part| part.number), &who.host, who.pid)
}

fn counted(rows: &[Row]) -> Count {
    let parts = rows.iter().filter_map(|row| row.state.who.part).map(|part| u64::from(part.of)).max();
    let whole = rows.iter().filter(|row| row.state.who.part.is_none() && !row.never_began()).count() as u64;
    let told = rows.iter().filter_map(|row| row.state.who.expects).map(u64::from);
    // One that could not begin is as if it had not come: it may be started again, and then nothing is missing.
    let (all, come) = (rows.len() as u64, rows.iter().filter(|row| !row.never_began()).count() as u64);
    let of = |standing| rows.iter().filter(|row| row.standing == standing).count() as u64;
    Count {
        expected: told.chain(parts.map(|of| of + whole)).max().or((come < all).then_some(all)),
        come,
        waiting: of(Standing::Waiting),
        running: of(Standing::Running),
        silent: of(Standing::Silent),
        lost: of(Standing::Lost),
        left: of(Standing::Left),
    }
}

fn totals(rows: &[Row]) -> Totals {
    let clients = || rows.iter().filter(|row| row.state.who.role.connects());
    let servers = || rows.iter().filter(|row| row.state.who.role.serves());
    // One that has left has closed its connections, whatever it last said.
    let open = |row: &&Row| row.standing.counts() && row.standing != Standing::Left;
    let accepted = servers().next().is_some().then(|| servers().filter(open).map(|r| r.state.connections).sum());
    let of_clients: u64 = clients().filter(open).map(|r| r.state.connections).sum();
    let any_client = clients().next().is_some();
    let counts =
        || if any_client { Box::new(clients()) as Box<dyn Iterator<Item = &Row>> } else { Box::new(servers()) };
    Totals {
        connections: if any_client { of_clients } else { accepted.unwrap_or(0) },
        accepted,
        target: clients().filter_map(|row| row.state.target).reduce(u64::saturating_add),
        rate_per_s: counts().filter(open).filter_map(|row| row.state.rate_per_s).sum(),
        failures: rows.iter().map(|row| row.state.failures).sum(),
        lost: counts().filter_map(|row| row.state.lost).sum(),
        peak: counts().filter(|row| row.standing.counts()).map(|row| row.state.peak).sum(),
    }
}

/// Who has not come and who is lost. Parts tell by their numbers; without them only how many.
fn missing(rows: &[Row], count: &Count) -> Vec<String> {
    let mut named = absent(rows, count);
    let gone = rows.iter().filter(|row| row.standing == Standing::Lost);
    named.extend(gone.map(|row| {
        let seconds = row.age_ms / 1000;
        format!("{} (LOST, heard {seconds} s ago)", row.state.who.name())
    }));
    named
}

/// Who has not come, or could not begin.
fn absent(rows: &[Row], count: &Count) -> Vec<String> {
    let failed = |part: Option<u32>| {
        let of = rows.iter().filter(move |row| row.never_began() && row.state.who.part.map(|p| p.number) == part);
        of.map(|row| format!("{} (could not begin)", row.state.who.name()))
    };
    let parts = || rows.iter().filter_map(|row| Some((row.state.who.part?, row.never_began())));
    let of = parts().map(|(part, _)| part.of).max().unwrap_or(0);
    let come: BTreeSet<u32> = parts().filter(|(_, failed)| !failed).map(|(part, _)| part.number).collect();
    let not_come = (1..=of).filter(|number| !come.contains(number));
    let mut absent: Vec<String> =
        not_come.map(|number| failed(Some(number)).next().unwrap_or_else(|| format!("part {number}/{of}"))).collect();
    // What is expected beyond the parts that are known of: a server, or workers without a part.
    let mut more = count.expected.map_or(0, |n| n.saturating_sub(count.come)).saturating_sub(absent.len() as u64);
    for name in failed(None).take(usize::try_from(more).unwrap_or(usize::MAX)) {
        absent.push(name);
        more -= 1;
    }
    if more > 0 {
        let no_server = !rows.iter().any(|row| row.state.who.role.serves());
        let others = if of > 0 && no_server && more == 1 { "the server".to_owned() } else { plural(more, "worker") };
        absent.push(others);
    }
    absent
}

/// `1 worker`, `3 workers`.
pub(super) fn plural(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn skew(rows: &[Row]) -> Skew {
    let starts = || rows.iter().filter_map(|row| row.state.started_us);
    let first = starts().min().unwrap_or(0);
    let together = || starts().map(|start| start - first).filter(|late| *late < Skew::LATECOMER_US);
    let start_us = together().max().filter(|_| together().count() > 1);
    let mut ordered: Vec<(usize, f64)> = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.state.who.role.connects() && row.standing.counts())
        .filter_map(|(i, row)| Some((i, row.progress?)))
        .collect();
    ordered.sort_by(|a, b| a.1.total_cmp(&b.1));
    Skew {
        start_us,
        clock_error_us: rows.iter().map(|row| row.state.clock.error_us).max().unwrap_or(0),
        slowest: ordered.first().copied(),
        fastest: ordered.last().copied(),
    }
}

fn nearest(rows: &[Row], totals: &Totals) -> Option<FleetLimit> {
    let going = rows.iter().enumerate().filter(|(_, row)| row.standing.counts() && row.standing != Standing::Left);
    let with = going.filter_map(|(i, row)| Some((i, row, row.state.nearest.as_ref()?)));
    // Hit before all; then what comes first in time; then what comes first in connections of its own worker.
    let rank = |row: &Row, limit: &WorkerLimit| {
        let hit = limit.state == LimitState::Hit;
        let left = limit.connections.map_or(f64::INFINITY, |at| share(at, row.state.connections));
        (!hit, limit.seconds.unwrap_or(f64::INFINITY), left)
    };
    let (i, row, limit) = with.min_by(|(_, a, x), (_, b, y)| {
        let (a, b) = (rank(a, x), rank(b, y));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2))
    })?;
    // The server's count is the fleet's. A client's grows with the fleet's as it does now.
    let fleet_connections = limit.connections.map(|at| {
        let own = row.state.connections.max(1);
        if row.state.who.role.serves() { at } else { scaled(at, totals.connections, own) }
    });
    Some(FleetLimit { row: i, limit: limit.clone(), fleet_connections })
}

/// `n` times `by` over `over`, without overflow.
fn scaled(n: u64, by: u64, over: u64) -> u64 {
    u64::try_from(u128::from(n) * u128::from(by) / u128::from(over.max(1))).unwrap_or(u64::MAX)
}

fn guard(rows: &[Row]) -> Option<FleetGuard> {
    let held = || rows.iter().filter_map(|row| row.state.held);
    let ceilings = rows.iter().enumerate().filter_map(|(i, row)| Some((i, row.state.server.as_ref()?.ceiling?)));
    // Of several servers the one with the least room: it holds the clients.
    let (row, ceiling) = ceilings.min_by_key(|(i, ceiling)| ceiling.saturating_sub(rows[*i].state.connections))?;
    Some(FleetGuard {
        row,
        ceiling,
        holds: clients(rows).filter(|row| row.state.is_held_back()).count(),
        late_us: held().map(|held| held.late_us).max(),
    })
}

fn memory(rows: &[Row]) -> Option<ServerMemory> {
    let (row, side) = rows.iter().enumerate().find_map(|(i, row)| Some((i, row.state.server.as_ref()?)))?;
    Some(ServerMemory {
        row,
        rss_bytes: side.rss_bytes,
        mem_used_bytes: side.mem_used_bytes,
        headroom_bytes: side.headroom_bytes,
        bytes_per_connection: side.bytes_per_connection,
    })
}

fn events(rows: &[Row]) -> Vec<(usize, WorkerEvent)> {
    let all = rows.iter().enumerate().flat_map(|(i, row)| row.state.events.iter().map(move |e| (i, e.clone())));
    let mut all: Vec<_> = all.collect();
    all.sort_by(|a, b| b.1.at_us.cmp(&a.1.at_us).then(a.0.cmp(&b.0)));
    all
}

fn versions(rows: &[Row]) -> Option<String> {
    let mut by: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in rows {
        by.entry(&row.state.who.version).or_default().insert(&row.state.who.host);
    }
    let hosts = |hosts: &BTreeSet<&str>| listed(&hosts.iter().map(ToString::to_string).collect::<Vec<_>>());
    let all = by.iter().map(|(version, of)| format!("{version} ({})", hosts(of)));
    (by.len() > 1).then(|| all.collect::<Vec<_>>().join(", "))
}
