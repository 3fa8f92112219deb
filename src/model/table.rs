//! The table of limits: read, forecast each from its own slope, judge, put the nearest first.

use crate::limits::{
    self, Context, Cure, Forecast, Growth, Guarded, Limit, LimitId, LimitState, Meter, OnDemand, Unit, shown_by,
};
use crate::protocol::Role;
use crate::units;

use super::engine::{Cause, Death};
use super::entry;
use super::failures::Failure;
use super::now::{CountSource, Now, RunPhase};
use super::slope::{Slope, Trend};
use super::track::Track;
use crate::units::whole;

/// Connections from which on a slope of counted things is judged: these are exact.
const RANGE_COUNT: f64 = 200.0;
/// The same for bytes, where an engine's start weighs more than the first connections.
const RANGE_BYTES: f64 = 2000.0;
/// Share of the way to a predicted count that must have been seen before the prediction may raise an alarm.
const SEEN: f64 = 0.02;
/// Seconds before a limit at which its warning becomes critical.
const SOON_S: f64 = 10.0;
/// A limit is "never" met when it lies this many times beyond target and count: what grows at all has a count at which it comes.
const BEYOND: f64 = 1000.0;

/// Without a target, a limit that comes soon is an alarm from this share of it on.
const UNAIMED: f64 = 0.5;
/// What a cure adds to a limit that the run means to use up, as a factor.
const SPARE_OF_PLANNED: f64 = 1.1;
/// A slope up to so many times the expected is about what it should be.
const PLAUSIBLE: f64 = 3.0;
/// A limit that grows with connections and would stop the run, as the guard needs it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GuardInput {
    /// The limit.
    pub id: LimitId,
    /// Its scope.
    pub scope: String,
    /// Use and bound, in the limit's own unit.
    pub used: f64,
    /// See `used`.
    pub limit: f64,
    /// The most that one connection may add.
    pub cost: f64,
    /// What is kept free, and in which steps the use grows.
    pub rule: Guarded,
    /// The connections it has room for, where the run alone uses it and that is exact.
    pub room: Option<u64>,
}

/// A limit that was reached, and how that showed.
#[derive(Debug, Clone)]
struct Hit {
    id: LimitId,
    scope: String,
    /// Its bound then: a limit raised since is no longer hit.
    limit: Option<u64>,
    reason: String,
}

/// What a sample brings besides its readings.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    /// What failed since the sample before.
    pub failures: &'a [Failure],
    /// Processes that have ended.
    pub deaths: &'a [Death],
    /// The engines' counters are of an earlier moment.
    pub old: bool,
    /// How many times what the target uses a limit should be, for the run to pass below it.
    pub spare: f64,
}

/// Trends and hits behind the list of limits.
#[derive(Debug, Clone, Default)]
pub(super) struct LimitTable {
    trends: Vec<(LimitId, String, Trend)>,
    /// The use of each limit over the run.
    tracks: Vec<Track>,
    hits: Vec<Hit>,
    limits: Vec<Limit>,
    /// The limits when the watched program was last alive.
    before_end: Vec<Limit>,
    guard_inputs: Vec<GuardInput>,
}

impl LimitTable {
    /// What the guard watches.
    pub(super) fn guard_inputs(&self) -> &[GuardInput] {
        &self.guard_inputs
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
    pub(super) fn slope(&self, id: LimitId, scope: &str) -> Option<Slope> {
        self.trend(id, scope).and_then(Trend::slope)
    }

    /// The use of a limit over the run, where one is known.
    pub(super) fn track(&self, id: LimitId, scope: &str) -> Option<&Track> {
        self.tracks.iter().find(|t| t.id == id && t.scope == scope)
    }

    /// Takes limits that somebody else has judged: those of the parts that a run was merged from.
    pub(super) fn give(&mut self, limits: Vec<Limit>, now: &Now) {
        self.limits = limits;
        self.limits.sort_by_cached_key(place);
        for limit in &self.limits {
            let Some(used) = limit.used else { continue };
            let new = || Track::new(limit.info.id, limit.scope.clone());
            entry(&mut self.tracks, |t| t.id == limit.info.id && t.scope == limit.scope, new).add(now, used);
        }
    }

    /// Forgets every slope.
    pub(super) fn restart(&mut self) {
        self.trends.clear();
    }

    /// Takes a sample, and what failed since the one before. With an engine dead, or its counters `old`, the table stays as it
    /// was, but for what was hit. A cure makes a limit `spare` times as large as the target needs.
    pub(super) fn update(&mut self, context: &Context<'_>, now: &Now, seen: Seen<'_>) {
        let ended = context.sample.kernel.program.as_ref().is_some_and(|program| program.processes == 0);
        if ended && self.before_end.is_empty() {
            self.before_end = self.limits.clone();
        }
        if !(now.phase == RunPhase::EngineDied || seen.old) || self.limits.is_empty() {
            let meters = limits::read(context);
            self.collect_hits(context, &meters, seen.failures);
            self.guard_inputs.clear();
            self.limits = meters.into_iter().map(|m| self.limit(m, now, seen.spare)).collect();
        }
        self.mark_killed(seen.deaths);
    }

    /// Marks the limit that an OOM kill or a full heap met, and puts the nearest first.
    pub(super) fn mark_killed(&mut self, deaths: &[Death]) {
        for death in deaths {
            if !self.limits.iter().any(|l| death.met(l)) {
                // Nothing is read of a program that has ended: what it met is the row that it had.
                self.limits.extend(self.before_end.iter().find(|l| death.met(l)).cloned());
            }
            let found = self.limits.iter_mut().find(|l| death.met(l));
            if let Some(limit) = found {
                limit.state = LimitState::Hit;
                limit.reason = Some(match death.cause {
                    Cause::OutOfHeap => format!("{} ran out of it", death.process()),
                    _ => format!("the OOM killer took {}", death.process()),
                });
            }
        }
        self.limits.sort_by_cached_key(place);
    }

    fn trend(&self, id: LimitId, scope: &str) -> Option<&Trend> {
        self.trends.iter().find(|t| t.0 == id && t.1 == scope).map(|t| &t.2)
    }

    /// Adds the point of one meter to its trend.
    fn follow(&mut self, meter: &Meter, connections: u64, noise: f64) {
        let Some(used) = meter.followed.or(meter.progress.map(|p| p.0)).or(meter.used.map(|u| u as f64)) else {
            return;
        };
        if used.is_nan() {
            return;
        }
        let range = if meter.unit == Unit::Bytes && meter.doubt.is_none() { RANGE_BYTES } else { RANGE_COUNT };
        let new = || (meter.id, meter.scope.clone(), Trend::new(noise, range));
        entry(&mut self.trends, |t| t.0 == meter.id && t.1 == meter.scope, new).2.add(connections, used);
    }

    /// Adds the use of one meter to its track.
    fn keep(&mut self, meter: &Meter, now: &Now) {
        let Some(used) = meter.used else { return };
        let new = || Track::new(meter.id, meter.scope.clone());
        entry(&mut self.tracks, |t| t.id == meter.id && t.scope == meter.scope, new).add(now, used);
    }

    fn limit(&mut self, meter: Meter, now: &Now, spare: f64) -> Limit {
        let info = meter.id.descriptor();
        if let Growth::WithConnections { noise } = meter.growth {
            self.follow(&meter, now.connections, noise);
        }
        self.keep(&meter, now);
        let trend = self.trend(meter.id, &meter.scope);
        let slope = meter.slope.or_else(|| trend.and_then(Trend::slope)).or_else(|| quotient(&meter, now));
        let seen = trend.map_or(0.0, Trend::span);
        let forecast = forecast(&meter, slope, seen, now);
        self.guard_inputs.extend(guard_input(&meter, slope, now));
        let hit = self.hits.iter().find(|h| h.id == meter.id && h.scope == meter.scope);
        let state = if hit.is_some() { LimitState::Hit } else { judge(&meter, forecast, slope, seen, now) };
        let grown = slope.filter(|s| s.grows()).map(|s| s.per_connection);
        let needed = need(&meter, grown.unwrap_or(meter.expected), now, spare);
        let in_need =
            info.cure_in_advance || state >= LimitState::Warn || needed != meter.limit.unwrap_or(0).saturating_mul(2);
        let cure = meter.cure;
        Limit {
            info,
            scope: meter.scope,
            unit: meter.unit,
            used: meter.used,
            limit: meter.limit,
            state,
            forecast,
            per_connection: grown,
            reason: hit.map(|h| h.reason.clone()).or(meter.reason),
            place: meter.place,
            note: meter.note,
            met: meter.met,
            cure: OnDemand::new(move || if in_need { cure(needed) } else { Cure::none() }),
        }
    }

    /// What the engines' errors and the counters prove.
    fn collect_hits(&mut self, context: &Context<'_>, meters: &[Meter], failures: &[Failure]) {
        let raised = |h: &Hit| {
            meters.iter().any(|m| {
                m.id == h.id && m.scope == h.scope && matches!((m.limit, h.limit), (Some(a), Some(b)) if a > b)
            })
        };
        self.hits.retain(|h| !raised(h));
        for failure in failures {
            let (role, error) = (failure.role, &failure.error);
            let Some(limit) = shown_by(&error.op, &error.name) else { continue };
            if context.sample.engine(role).is_none_or(limit.met_by) {
                let reason = format!("{}: {} failed with {}", role.name(), error.op, error.name);
                self.hit(meters, limit.id, Some(role.name()), reason);
            }
        }
        let stop = context.sample.engine(Role::Client).and_then(|c| c.stop.as_ref());
        if let Some((stop, limit)) = stop.and_then(|s| Some((s, limits::stopped_by(s)?))) {
            self.hit(meters, limit, Some(Role::Client.name()), stop.text.clone());
        }
        for meter in meters {
            if let Some(reason) = &meter.met {
                self.hit(meters, meter.id, Some(&meter.scope), reason.clone());
            }
        }
        for (limit, from, dropped) in context.counters.proofs() {
            let met = |m: &Meter| m.used.zip(m.limit).is_some_and(|(used, limit)| used as f64 >= from * limit as f64);
            if meters.iter().any(|m| m.id == limit && met(m)) {
                self.hit(meters, limit, None, format!("{} packets dropped", units::grouped(dropped)));
            }
        }
    }

    fn hit(&mut self, meters: &[Meter], id: LimitId, role: Option<&str>, reason: String) {
        let mut rows = meters.iter().filter(|m| m.id == id);
        let Some(meter) = rows.clone().find(|m| role.is_some_and(|r| r == m.scope)).or_else(|| rows.next()) else {
            return;
        };
        let new = || Hit { id, scope: meter.scope.clone(), limit: meter.limit, reason: String::new() };
        entry(&mut self.hits, |h| h.id == id && h.scope == meter.scope, new).reason = reason;
    }
}

/// What each connection of a watched program adds, where it held them before it was watched.
fn quotient(meter: &Meter, now: &Now) -> Option<Slope> {
    let used = meter.used.filter(|_| meter.divides && now.source == CountSource::Process)? as f64;
    let held = now.connections as f64;
    let each = used / held;
    // What is at rest counts as the connections'.
    (held >= RANGE_COUNT).then_some(Slope { per_connection: each, spread: 0.02 * each, points: 0 })
}

/// When the limit is met, by this slope, which was seen over so many connections.
fn forecast(meter: &Meter, slope: Option<Slope>, seen: f64, now: &Now) -> Forecast {
    match meter.growth {
        Growth::NotTracking => return Forecast::NotTracking,
        Growth::Independent => return Forecast::Never,
        Growth::WithConnections { .. } => {}
    }
    let (Some(used), Some(limit)) = (meter.used, meter.limit) else { return Forecast::NotYet };
    let Some(slope) = slope else { return Forecast::NotYet };
    let anything = now.target.unwrap_or(0).max(now.connections).max(1_000_000);
    let seconds = |left: f64| now.trend_per_s.filter(|r| *r > 0.0 && rising(now)).map(|r| left / r);
    if let Some(doubt) = meter.doubt {
        let (least, most) = doubt.left(slope, seen);
        if now.connections as f64 + least > BEYOND * anything as f64 {
            return Forecast::Never;
        }
        let left = f64::midpoint(least, most);
        return Forecast::At {
            connections: whole(now.connections as f64 + left),
            plus_minus: whole(((most - least) / 2.0).ceil()),
            seconds: seconds(left),
        };
    }
    if !slope.grows() {
        return Forecast::Never;
    }
    let (at, end) = meter.progress.unwrap_or((used as f64, limit as f64));
    // From where the run is, by the slope of the ramp: a constant offset, before or after the ramp, cancels out.
    let left = (end - at).max(0.0) / slope.per_connection;
    let at = now.connections as f64 + left;
    if at > BEYOND * anything as f64 {
        return Forecast::Never;
    }
    Forecast::At {
        connections: whole(at),
        plus_minus: whole((left * slope.spread / slope.per_connection).ceil()),
        seconds: seconds(left),
    }
}

/// What the guard has to know of a limit; `None` for one that does not stop a run.
fn guard_input(meter: &Meter, slope: Option<Slope>, now: &Now) -> Option<GuardInput> {
    // Before the first connection nothing is tracked whatever the rules say.
    let untried = meter.growth == Growth::NotTracking && now.connections == 0;
    let grows = matches!(meter.growth, Growth::WithConnections { .. }) || untried;
    let (Some(used), Some(limit)) = (meter.used, meter.limit) else { return None };
    if !meter.id.descriptor().stops_run || !grows || limit == 0 {
        return None;
    }
    let rule = meter.guarded();
    let measured = slope.map(|s| s.per_connection + 2.0 * s.spread);
    let cost = measured.map_or(rule.unmeasured, |m| m.max(rule.floor));
    let room = meter.progress.filter(|_| meter.planned).map(|p| whole(p.1));
    let input = GuardInput {
        id: meter.id,
        scope: meter.scope.clone(),
        used: used as f64,
        limit: limit as f64,
        cost,
        rule,
        room,
    };
    (cost > 0.0).then_some(input)
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
        let known = plausible || seen >= meter.id.descriptor().sure_from;
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
    // An engine plans for what it holds itself: a server that is full lags behind what its client has opened.
    let own = meter.progress.filter(|_| meter.planned).map(|p| whole(p.0));
    let more = now.target.map_or(0, |t| t.saturating_sub(own.unwrap_or(now.connections)));
    let per_connection = if meter.planned { per_connection.max(meter.expected) } else { per_connection };
    // The guard lets a run use up what it has planned for.
    let spare = if meter.planned { SPARE_OF_PLANNED } else { spare };
    let need = units::round_up(whole(((used as f64 + per_connection * more as f64) * spare).ceil()));
    // Nobody knows how far a server's peers want to go.
    let twice = limit.saturating_mul(2).min(i64::MAX as u64);
    if need > limit && now.target.is_some() { need } else { need.max(twice) }
}

/// Its place in the list, nearest first.
fn place(limit: &Limit) -> (u8, u64, i64) {
    let rank = match (limit.state, limit.forecast) {
        (LimitState::Hit, _) => 0,
        (LimitState::Unknown, _) => 3,
        (LimitState::NotApplicable, _) => 4,
        (_, Forecast::At { .. }) => 1,
        _ => 2,
    };
    // What counts nothing (conntrack without a rule), and what is only a note, has no share to compare.
    let share = match limit.forecast {
        Forecast::NotTracking => -2,
        _ if !limit.info.is_met => -1,
        // In steps, so that rows do not change places with every sample.
        _ => i64::try_from(whole(limit.share().unwrap_or(0.0) * 10.0)).unwrap_or(i64::MAX),
    };
    (rank, limit.forecast.connections().unwrap_or(u64::MAX), -share)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
