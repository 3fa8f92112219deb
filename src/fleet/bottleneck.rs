//! Who keeps the fleet from more: the load generators, or the server.

use serde::Serialize;

use super::row::{Row, Standing};
use super::worker::WorkerState;
use crate::limits::LimitState;
use crate::model::{RunPhase, Verdict};
use crate::units;

/// Share of its cores from which on a worker has no CPU to spare.
const BUSY: f64 = 0.9;

/// Which side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// A client cannot do more: what is measured is the load generator.
    Generator,
    /// The server cannot.
    Server,
}

/// What keeps the fleet from more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bottleneck {
    /// Which side.
    pub bound: Bound,
    /// The worker's place among the rows.
    pub row: usize,
    /// By what: `CPU`, a limit's name, `refuses`.
    pub by: String,
    /// One sentence.
    pub text: String,
}

/// Finds it; the server comes first, for clients wait where it does.
pub(super) fn find(rows: &[Row]) -> Option<Bottleneck> {
    let going =
        |(_, row): &&(usize, &Row)| row.standing.counts() && row.standing != Standing::Waiting && !row.never_began();
    let rows: Vec<(usize, &Row)> = rows.iter().enumerate().collect();
    let servers = rows.iter().filter(going).filter(|(_, row)| row.state.who.role.serves());
    let clients = || rows.iter().filter(going).filter(|(_, row)| row.state.who.role.connects());
    let of = |bound, (i, row): &(usize, &Row), by: String, how: &str| {
        let side = if bound == Bound::Server { "server-bound" } else { "generator-bound" };
        Bottleneck { bound, row: *i, text: format!("{side}: {} {how}", row.state.who.name()), by }
    };
    let held = clients().any(|(_, row)| row.state.is_held_back() || is_stopped(&row.state, true));
    // Of several servers it is the one that came nearest to what its guard allows.
    let ceiling = |state: &WorkerState| state.server.as_ref().and_then(|side| side.ceiling).unwrap_or(u64::MAX);
    let left = |row: &Row| ceiling(&row.state).saturating_sub(row.state.peak);
    let holder = servers.clone().min_by_key(|(_, row)| left(row)).map(|(i, _)| *i).filter(|_| held);
    for server in servers {
        let state = &server.1.state;
        if let Some(hit) = hit(state) {
            return Some(of(Bound::Server, server, hit.clone(), &format!("hit its limit: {hit}")));
        }
        if holder == Some(server.0) {
            let side = state.server.as_ref();
            let by = side.and_then(|s| s.ceiling_by).map_or("its guard", |id| id.descriptor().label).to_owned();
            return Some(of(
                Bound::Server,
                server,
                by.clone(),
                &format!("stops the clients short of its limit ({by})"),
            ));
        }
        if let Some(how) = clients().find_map(|(_, row)| refused(&row.state)) {
            return Some(of(Bound::Server, server, how.to_owned(), how));
        }
        if let Some(text) = busy(state).filter(|_| clients().any(|(_, row)| wants(&row.state))) {
            return Some(of(Bound::Server, server, "CPU".to_owned(), &text));
        }
    }
    for client in clients() {
        let state = &client.1.state;
        if let Some(hit) = hit(state) {
            return Some(of(Bound::Generator, client, hit.clone(), &format!("hit its limit: {hit}")));
        }
        if is_stopped(state, false) && !state.is_held_back() {
            let by = state.nearest.as_ref().map_or("its own guard", |limit| limit.name.as_str()).to_owned();
            return Some(of(Bound::Generator, client, by.clone(), &format!("is held by its own guard ({by})")));
        }
        if state.verdict == Some(Verdict::Late) {
            return Some(of(Bound::Generator, client, "CPU".to_owned(), "sends its messages too late"));
        }
        if let Some(text) = busy(state).filter(|_| wants(state)) {
            return Some(of(Bound::Generator, client, "CPU".to_owned(), &text));
        }
    }
    None
}

/// Whether a guard has stopped it: a server's, or its own.
fn is_stopped(state: &WorkerState, by_server: bool) -> bool {
    let guarded = state.phase == RunPhase::Guarded || state.verdict == Some(Verdict::GuardStopped);
    guarded && state.stopped_by_server == by_server
}

/// The limit that stopped it.
fn hit(state: &WorkerState) -> Option<String> {
    let hit = state.nearest.as_ref().filter(|limit| limit.state == LimitState::Hit);
    let stopped = [state.blocked, state.verdict].contains(&Some(Verdict::LimitHit));
    let name = || state.nearest.as_ref().map_or("what its summary names", |limit| limit.name.as_str()).to_owned();
    hit.map(|limit| limit.name.clone()).or_else(|| stopped.then(name))
}

/// How a server turns a client away.
fn refused(state: &WorkerState) -> Option<&'static str> {
    match state.verdict.or(state.blocked)? {
        Verdict::ServerRefuses => Some("refuses connections"),
        Verdict::ServerStalled => Some("takes no more connections"),
        _ => None,
    }
}

/// Whether it wants more than it has, as fast as it can get it.
fn wants(state: &WorkerState) -> bool {
    let asked = state.rate_limit.map_or(f64::INFINITY, |rate| rate as f64);
    let below = state.target.is_some_and(|target| state.connections < target);
    // Within a tenth of the rate that it is held to it does what was asked.
    below && state.phase == RunPhase::Ramping && state.rate_per_s.is_some_and(|rate| rate < 0.9 * asked)
}

/// In words how much of its CPU is used, where hardly any is left.
fn busy(state: &WorkerState) -> Option<String> {
    let cpu = state.cpu.filter(|cpu| cpu.cores_used >= BUSY * f64::from(cpu.cores.max(1)))?;
    let cores = if cpu.cores == 1 { "its core".to_owned() } else { format!("its {} cores", cpu.cores) };
    let percent = units::whole((cpu.cores_used / f64::from(cpu.cores.max(1)) * 100.0).round());
    Some(format!("uses {percent} % of {cores}"))
}
