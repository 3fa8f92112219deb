//! The table of limits: read, forecast each from its own slope, judge, put the nearest first.

use std::cmp::Ordering;

use crate::protocol::Role;
use crate::units;

use super::engine::Death;
use super::errno;
use super::limit::{Forecast, Limit, LimitState, Unit};
use super::meters::{self, Context, Growth, Meter};
use super::names;
use super::now::{Now, RunPhase};
use super::slope::{Slope, Trend};
use super::track::Track;

/// Connections from which on a slope of counted things is judged: these are exact.
const RANGE_COUNT: f64 = 200.0;
/// The same for bytes, where an engine's start weighs more than the first connections.
const RANGE_BYTES: f64 = 2000.0;
/// Share of the way to a predicted count that must have been seen before the prediction may raise an alarm.
const SEEN: f64 = 0.02;
/// Seconds before a limit at which its warning becomes critical.
const SOON_S: f64 = 10.0;
/// A limit is "never" met when it lies this many times beyond target and count.
const BEYOND: f64 = 10.0;

/// Memory is alarmed at only once so many connections have been seen, unless a connection costs about what it should:
/// before that, what other programs take within a second outweighs the run.
const SEEN_OF_MEMORY: f64 = 50_000.0;
/// Without a target, a limit that comes soon is an alarm from this share of it on.
const UNAIMED: f64 = 0.5;
/// What a cure adds to a limit that the run uses to the brim, as a factor.
const SPARE_OF_PLANNED: f64 = 1.1;
/// A slope up to so many times the expected is about what it should be.
const PLAUSIBLE: f64 = 3.0;
/// Doubt in a cost that has not been measured yet: half of the way is left until it has.
const DOUBT: f64 = 2.0;

/// A limit that grows with connections and would stop the run, as the guard needs it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Brake {
    /// Id of the limit.
    pub id: &'static str,
    /// Its scope.
    pub scope: String,
    /// Use and bound, in the limit's own unit.
    pub used: f64,
    /// See `used`.
    pub limit: f64,
    /// The most that one connection may add.
    pub cost: f64,
    /// Steps in which the use grows, own unit: kept as a distance.
    pub step: f64,
    /// The use counts connects under way.
    pub with_in_flight: bool,
    /// The connections it has room for, where the run alone uses it and that is exact.
    pub room: Option<u64>,
}

/// A limit that refused something.
#[derive(Debug, Clone)]
struct Hit {
    id: &'static str,
    scope: String,
    /// Its bound then: a limit raised since is no longer hit.
    limit: Option<u64>,
    reason: String,
}

/// Trends and hits behind the list of limits.
#[derive(Debug, Clone, Default)]
pub(super) struct LimitTable {
    trends: Vec<(&'static str, String, Trend)>,
    /// The use of each limit over the run.
    tracks: Vec<Track>,
    hits: Vec<Hit>,
    limits: Vec<Limit>,
    brakes: Vec<Brake>,
}

impl LimitTable {
    /// What the guard watches besides memory.
    pub(super) fn brakes(&self) -> &[Brake] {
        &self.brakes
    }

    /// Every limit, nearest first.
    pub(super) fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// The limit that was hit or comes first.
    pub(super) fn nearest(&self) -> Option<&Limit> {
        self.limits.first().filter(|l| l.state == LimitState::Hit || l.forecast.connections().is_some())
    }

    /// The slope of one limit's use.
    pub(super) fn slope(&self, id: &str, scope: &str) -> Option<Slope> {
        self.trend(id, scope).and_then(Trend::slope)
    }

    /// The use of a limit over the run, where one is known.
    pub(super) fn track(&self, id: &str, scope: &str) -> Option<&Track> {
        self.tracks.iter().find(|t| t.id == id && t.scope == scope)
    }

    /// Forgets every slope.
    pub(super) fn restart(&mut self) {
        self.trends.clear();
    }

    /// Takes a sample. With an engine dead, or its counters `old`, the table stays as it was, but for what was hit.
    pub(super) fn update(&mut self, context: &Context<'_>, now: &Now, deaths: &[Death], old: bool) {
        if !(now.phase == RunPhase::EngineDied || old) || self.limits.is_empty() {
            let meters = meters::read(context);
            self.collect_hits(context, &meters);
            self.brakes.clear();
            self.limits = meters.into_iter().filter_map(|m| self.limit(m, now, context.spare)).collect();
        }
        self.mark_killed(deaths);
        self.limits.sort_by(order);
    }

    /// Marks the limit that an OOM kill met.
    pub(super) fn mark_killed(&mut self, deaths: &[Death]) {
        for death in deaths {
            let found = self.limits.iter_mut().find(|l| death.met(l));
            if let Some(limit) = found {
                limit.state = LimitState::Hit;
                limit.reason = Some(format!("the OOM killer took the {} engine", death.role_or_name));
            }
        }
        self.limits.sort_by(order);
    }

    fn trend(&self, id: &str, scope: &str) -> Option<&Trend> {
        self.trends.iter().find(|t| t.0 == id && t.1 == scope).map(|t| &t.2)
    }

    /// Adds the point of one meter to its trend.
    fn follow(&mut self, meter: &Meter, connections: u64, noise: f64) {
        let Some(used) = meter.followed.or(meter.way.map(|w| w.0)).or(meter.used.map(|u| u as f64)) else { return };
        if used.is_nan() {
            return;
        }
        let known = self.trends.iter().position(|t| t.0 == meter.id && t.1 == meter.scope).unwrap_or_else(|| {
            let range = if meter.unit == Unit::Bytes { RANGE_BYTES } else { RANGE_COUNT };
            self.trends.push((meter.id, meter.scope.clone(), Trend::new(noise, range)));
            self.trends.len() - 1
        });
        self.trends[known].2.add(connections, used);
    }

    /// Adds the use of one meter to its track.
    fn keep(&mut self, meter: &Meter, now: &Now) {
        let Some(used) = meter.used else { return };
        let known = self.tracks.iter().position(|t| t.id == meter.id && t.scope == meter.scope).unwrap_or_else(|| {
            self.tracks.push(Track::new(meter.id, meter.scope.clone()));
            self.tracks.len() - 1
        });
        self.tracks[known].add(now, used);
    }

    fn limit(&mut self, meter: Meter, now: &Now, spare: f64) -> Option<Limit> {
        let info = names::info(meter.id)?;
        if let Growth::WithConnections { noise } = meter.growth {
            self.follow(&meter, now.connections, noise);
        }
        self.keep(&meter, now);
        let trend = self.trend(meter.id, &meter.scope);
        let slope = trend.and_then(Trend::slope);
        let forecast = forecast(&meter, slope, now);
        let seen = trend.map_or(0.0, Trend::span);
        self.brakes.extend(brake(&meter, slope, now));
        let hit = self.hits.iter().find(|h| h.id == meter.id && h.scope == meter.scope);
        let state = if hit.is_some() { LimitState::Hit } else { judge(&meter, forecast, slope, seen, now) };
        let grown = slope.filter(|s| s.grows()).map(|s| s.per_connection);
        let need = need(&meter, grown.unwrap_or(meter.expected), now, spare);
        // Nobody buys twice the memory for a run that fits.
        let idle =
            meter.id == "memory" && state < LimitState::Warn && need == meter.limit.unwrap_or(0).saturating_mul(2);
        let cure = if idle { String::new() } else { (meter.cure)(need) };
        Some(Limit {
            info,
            scope: meter.scope,
            unit: meter.unit,
            used: meter.used,
            limit: meter.limit,
            state,
            forecast,
            per_connection: grown,
            reason: hit.map(|h| h.reason.clone()).or(meter.reason),
            cure,
        })
    }

    /// What the engines' errors and the counters prove.
    fn collect_hits(&mut self, context: &Context<'_>, meters: &[Meter]) {
        let raised = |h: &Hit| {
            meters.iter().any(|m| {
                m.id == h.id && m.scope == h.scope && matches!((m.limit, h.limit), (Some(a), Some(b)) if a > b)
            })
        };
        self.hits.retain(|h| !raised(h));
        for failure in context.failures {
            let (role, error) = (failure.role, &failure.error);
            let Some(id) = errno::limit_of(&error.op, &error.name) else { continue };
            // A full table among many is how workers pass the baton, not a limit of the run.
            let baton = context.sample.engine(role).is_some_and(|stats| {
                let capacity = stats.table_limit.saturating_mul(u64::from(stats.tables_max));
                stats.stop.is_none() && (stats.descriptors as f64) < 0.95 * capacity as f64
            });
            if id != "nofile" || !baton {
                let reason = format!("{}: {} failed with {}", role.name(), error.op, error.name);
                self.hit(meters, id, Some(role.name()), reason);
            }
        }
        let stopped = context.sample.engine(Role::Client).and_then(|c| c.stop.as_ref());
        if let Some((stop, info)) = stopped.and_then(|s| Some((s, names::info(&s.limit_id)?))) {
            self.hit(meters, info.id, Some(Role::Client.name()), stop.text.clone());
        }
        let drops = context.counters.total("conntrack_drop");
        let full =
            |m: &&Meter| m.id == "conntrack" && m.used.zip(m.limit).is_some_and(|(u, l)| u as f64 >= 0.9 * l as f64);
        if drops > 0 && meters.iter().any(|m| full(&m)) {
            self.hit(meters, "conntrack", None, format!("{} packets dropped", units::grouped(drops)));
        }
    }

    fn hit(&mut self, meters: &[Meter], id: &'static str, role: Option<&str>, reason: String) {
        let mut rows = meters.iter().filter(|m| m.id == id);
        let Some(meter) = rows.clone().find(|m| role.is_some_and(|r| r == m.scope)).or_else(|| rows.next()) else {
            return;
        };
        match self.hits.iter_mut().find(|h| h.id == id && h.scope == meter.scope) {
            Some(known) => known.reason = reason,
            None => self.hits.push(Hit { id, scope: meter.scope.clone(), limit: meter.limit, reason }),
        }
    }
}

/// When the limit is met, by this slope.
fn forecast(meter: &Meter, slope: Option<Slope>, now: &Now) -> Forecast {
    match meter.growth {
        Growth::NotTracking => return Forecast::NotTracking,
        Growth::Apart => return Forecast::Never,
        Growth::WithConnections { .. } => {}
    }
    let (Some(used), Some(limit)) = (meter.used, meter.limit) else { return Forecast::NotYet };
    let Some(slope) = slope else { return Forecast::NotYet };
    if !slope.grows() {
        return Forecast::Never;
    }
    let (at, end) = meter.way.unwrap_or((used as f64, limit as f64));
    // From where the run is, by the slope of the ramp: a constant offset, before or after the ramp, cancels out.
    let left = (end - at).max(0.0) / slope.per_connection;
    let at = now.connections as f64 + left;
    let anything = now.target.unwrap_or(0).max(now.connections).max(1_000_000);
    if at > BEYOND * anything as f64 {
        return Forecast::Never;
    }
    Forecast::At {
        connections: at as u64,
        plus_minus: (left * slope.spread / slope.per_connection).ceil() as u64,
        seconds: now.rate_per_s.filter(|r| *r > 0.0 && rising(now)).map(|r| left / r),
    }
}

/// What the guard has to know of a limit; `None` for one that does not stop a run, or that it judges by its own rule.
fn brake(meter: &Meter, slope: Option<Slope>, now: &Now) -> Option<Brake> {
    let stops = ["nofile", "ports", "conntrack", "epoll", "file-max", "threads"].contains(&meter.id);
    // Before the first connection nothing is tracked whatever the rules say.
    let untried = meter.growth == Growth::NotTracking && now.connections == 0;
    let grows = matches!(meter.growth, Growth::WithConnections { .. }) || untried;
    let (Some(used), Some(limit)) = (meter.used, meter.limit) else { return None };
    if !stops || !grows || limit == 0 {
        return None;
    }
    let measured = slope.map(|s| s.per_connection + 2.0 * s.spread);
    let cost = measured.map_or(meter.expected * DOUBT, |m| m.max(meter.expected / 2.0));
    Some(Brake {
        id: meter.id,
        scope: meter.scope.clone(),
        used: used as f64,
        limit: limit as f64,
        cost,
        // Two engines, each with a worker more than its connections need by now.
        step: if meter.id == "threads" { 2.0 } else { 0.0 },
        with_in_flight: meter.scope != "server",
        room: meter.way.filter(|_| meter.planned).map(|w| w.1 as u64),
    })
    .filter(|b| b.cost > 0.0)
}

fn rising(now: &Now) -> bool {
    matches!(now.phase, RunPhase::Ramping | RunPhase::Watching)
}

/// How near a limit is: by the forecast first, by the level second.
fn judge(meter: &Meter, forecast: Forecast, slope: Option<Slope>, seen: f64, now: &Now) -> LimitState {
    if let Some(state) = meter.state {
        return state;
    }
    let (Some(used), Some(limit)) = (meter.used, meter.limit) else { return LimitState::Unknown };
    let share = if limit == 0 { 0.0 } else { used as f64 / limit as f64 };
    // What closes was at its target, or has given it up: entries of connections that are gone live on for a while.
    let mut fits = !now.phase.aims() || now.target.is_some_and(|t| now.connections >= t);
    let mut state = LimitState::Ok;
    if let Forecast::At { connections, plus_minus, seconds } = forecast {
        let plausible = slope.is_none_or(|s| s.per_connection <= PLAUSIBLE * meter.expected);
        let known = meter.id != "memory" || seen >= SEEN_OF_MEMORY || plausible;
        let sure = known && seen >= SEEN * connections as f64;
        let soon = |s: f64| seconds.is_some_and(|left| left <= s);
        match now.target {
            Some(target) => {
                fits |= connections + plus_minus >= target;
                if sure && !fits {
                    state = if soon(SOON_S) { LimitState::Critical } else { LimitState::Warn };
                }
            }
            // Nobody knows how far a server's peers want to go: 300,000 that come within two seconds are on no way to millions.
            None if share < UNAIMED => {}
            None if sure && soon(SOON_S) => state = LimitState::Critical,
            None if sure && soon(6.0 * SOON_S) => state = LimitState::Warn,
            None => {}
        }
    }
    let level = if share >= meter.levels.1 {
        LimitState::Critical
    } else if share >= meter.levels.0 {
        LimitState::Warn
    } else {
        LimitState::Ok
    };
    // A run that ends before the limit may come near it: what grows with connections and nothing else is no alarm then. A
    // limit shared with every other program still is when it is nearly full, and memory at any level.
    let calm = match meter.growth {
        Growth::WithConnections { .. } if fits && meter.planned => LimitState::Critical,
        Growth::WithConnections { .. } if fits && meter.unit != Unit::Bytes => LimitState::Warn,
        _ => LimitState::Ok,
    };
    if level <= calm { state } else { state.max(level) }
}

/// The bound that the target needs; where the present one suffices, twice that.
fn need(meter: &Meter, per_connection: f64, now: &Now, spare: f64) -> u64 {
    let (used, limit) = (meter.used.unwrap_or(0), meter.limit.unwrap_or(0));
    let more = now.target.map_or(0, |t| t.saturating_sub(now.connections));
    // The guard lets a run fill to the brim what it has planned for.
    let spare = if meter.planned { SPARE_OF_PLANNED } else { spare };
    let need = units::round_up(((used as f64 + per_connection * more as f64) * spare).ceil() as u64);
    // Nobody knows how far a server's peers want to go.
    let twice = limit.saturating_mul(2).min(i64::MAX as u64);
    if need > limit && now.target.is_some() { need } else { need.max(twice) }
}

/// Nearest first.
fn order(a: &Limit, b: &Limit) -> Ordering {
    let rank = |l: &Limit| match (l.state, l.forecast) {
        (LimitState::Hit, _) => 0,
        (LimitState::Unknown, _) => 3,
        (LimitState::NotApplicable, _) => 4,
        (_, Forecast::At { .. }) => 1,
        _ => 2,
    };
    let count = |l: &Limit| l.forecast.connections().unwrap_or(u64::MAX);
    // What counts nothing (conntrack without a rule), and what is only a note, has no share to compare.
    let share = |l: &Limit| match l.forecast {
        Forecast::NotTracking => -1.0,
        _ if l.info.id == "hash_load" || l.info.id == "nr_open" => -0.5,
        // In steps, so that rows do not change places with every sample.
        _ => (l.share().unwrap_or(0.0) * 10.0).floor(),
    };
    rank(a).cmp(&rank(b)).then(count(a).cmp(&count(b))).then(share(b).total_cmp(&share(a)))
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
