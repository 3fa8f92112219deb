//! What a limit reads from a sample, before any forecast.

use crate::protocol::Role;
use crate::sample::{Absent, Received, Sample};

use super::accept_queue::Standing;
use super::app::Turnover;
use super::counters::Counters;
use super::cure::{Cure, Remedy};
use super::headroom::Headroom;
use super::limit::{LimitState, Unit};
use super::slope::Slope;
use super::{LimitId, epoll};

/// What the readers need besides the sample.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The sample.
    pub sample: &'a Sample,
    /// Real headroom at it.
    pub headroom: Option<Headroom>,
    /// Counters of the kernel up to it.
    pub counters: &'a Counters,
    /// Whether a connection has both its ends on this machine.
    pub both_ends: bool,
    /// What a connection of this run costs the machine, bytes, once that is known.
    pub cost: Option<Slope>,
    /// What earlier samples showed.
    pub noted: &'a Noted,
}

impl Context<'_> {
    /// Sockets on this machine for each connection.
    pub(super) fn ends(&self) -> f64 {
        if self.both_ends { 2.0 } else { 1.0 }
    }

    /// What the network namespace is called as a scope.
    pub(super) fn namespace(&self) -> String {
        match self.sample.kernel.net.scope.as_str() {
            "this" => "network namespace".into(),
            of => format!("network namespace {of}"),
        }
    }
}

/// What earlier samples showed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Noted {
    /// Local ports of one pair of addresses when the client made its plan.
    pub(super) ports: Option<u64>,
    /// Epoll registrations of other programs when an engine was first seen.
    pub(super) epoll: Option<u64>,
    /// How long an accept queue has been full while nothing was accepted.
    pub(super) standing: Standing,
    /// How the connections of a watched program come and go.
    pub(super) turnover: Turnover,
    /// What arrives in the network namespace.
    pub(super) received: Option<Arrival>,
    last_received: Option<(u64, Received)>,
}

/// What arrives in a network namespace, headers included; a mean over some seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Arrival {
    /// Bytes a second.
    pub bytes_per_s: f64,
    /// TCP segments a second.
    pub segments_per_s: f64,
}

/// Seconds over which what arrives is averaged.
const ARRIVAL_S: f64 = 3.0;

impl Noted {
    /// Takes a sample.
    pub fn update(&mut self, sample: &Sample) {
        let planned = sample.engine(Role::Client).is_some_and(|c| c.capacity.is_some());
        if let (None, true, Ok(ports)) = (self.ports, planned, &sample.kernel.net.ports) {
            self.ports = Some(ports.usable());
        }
        self.epoll = self.epoll.or_else(|| epoll::of_others(sample));
        self.standing.update(sample);
        self.turnover.update(sample);
        self.arrives(sample);
    }

    fn arrives(&mut self, sample: &Sample) {
        let Ok(now) = sample.kernel.net.received else { return };
        let before = self.last_received.replace((sample.t_ms, now));
        let Some((t_ms, before)) = before.filter(|(t_ms, _)| *t_ms < sample.t_ms) else { return };
        let seconds = (sample.t_ms - t_ms) as f64 / 1000.0;
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        let new =
            Arrival { bytes_per_s: rate(now.bytes, before.bytes), segments_per_s: rate(now.segments, before.segments) };
        let kept = self.received.map_or(0.0, |_| (-seconds / ARRIVAL_S).exp());
        let mean = |old: f64, new: f64| old * kept + new * (1.0 - kept);
        let old = self.received.unwrap_or(new);
        self.received = Some(Arrival {
            bytes_per_s: mean(old.bytes_per_s, new.bytes_per_s),
            segments_per_s: mean(old.segments_per_s, new.segments_per_s),
        });
    }
}

/// How a use behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Growth {
    /// It grows with connections and may move by so much (its own unit) without any.
    WithConnections {
        /// That much.
        noise: f64,
    },
    /// It follows something else: never forecast.
    Independent,
    /// Nothing is counted.
    NotTracking,
}

/// What the guard keeps free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// A share of the limit.
    OfLimit,
    /// A share of the room that there was at the start: others use the rest.
    OfRoomAtStart,
}

/// What the guard allows for a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guarded {
    /// What it keeps free.
    pub keeps: Keeps,
    /// What a connection may add before that has been measured, own unit.
    pub unmeasured: f64,
    /// A measured slope is not believed below this: a ramp that reuses what the last one freed looks cheaper than it is.
    pub floor: f64,
    /// Steps in which the use grows, own unit: kept as a distance.
    pub step: f64,
    /// Whether the use counts connects under way.
    pub with_in_flight: bool,
}

/// Doubt in a cost that has not been measured yet: half of the distance is left until it has.
const DOUBT: f64 = 2.0;

/// A use that is known within bounds only, and a limit that is met somewhere between two marks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Doubt {
    /// The use is at least so much, own unit.
    pub least: f64,
    /// And at most so much.
    pub most: f64,
    /// The limit may be met when the use is here,
    pub from: f64,
    /// and has been met when it is here.
    pub to: f64,
    /// A connection adds at least so much, whatever its slope says.
    pub floor: f64,
}

impl Doubt {
    /// The middle of the use: what its slope is taken of.
    pub fn middle(&self) -> f64 {
        f64::midpoint(self.least, self.most)
    }

    /// Connections from now to where the limit is met, at least and at most; `span` connections lie behind the slope. The
    /// true use may have been at one bound when that began, and be at the other one now.
    pub fn left(&self, slope: Slope, span: f64) -> (f64, f64) {
        let doubt = slope.spread + (self.most - self.least) / 2.0 / span.max(1.0);
        let most = (slope.per_connection + doubt).max(self.floor);
        let least = (slope.per_connection - doubt).max(self.floor);
        ((self.from - self.most).max(0.0) / most, (self.to - self.least).max(0.0) / least)
    }
}

/// One limit as read.
pub struct Meter {
    /// Which.
    pub id: LimitId,
    /// What it belongs to.
    pub scope: String,
    /// What its numbers count: what its descriptor says, unless changed.
    pub unit: Unit,
    /// Use now.
    pub used: Option<u64>,
    /// The bound.
    pub limit: Option<u64>,
    /// What is followed for the slope where that is not the use itself: something that grows with it, and with nothing else.
    /// NaN: nothing, this time.
    pub followed: Option<f64>,
    /// The slope where it is known from elsewhere.
    pub slope: Option<Slope>,
    /// Where the run is and where it ends, in connections or the limit's own unit, where that is finer or nearer to the truth
    /// than use and bound.
    pub progress: Option<(f64, f64)>,
    /// The bounds of the use where it is not known exactly.
    pub doubt: Option<Doubt>,
    /// How the use behaves.
    pub growth: Growth,
    /// What a connection is expected to add before that has been measured.
    pub expected: f64,
    /// Shares from which on it warns and is critical.
    pub levels: (f64, f64),
    /// The run plans to use all of it: a full one is no alarm as long as the target fits.
    pub planned: bool,
    /// A state that no share decides: unknown, not applicable, or judged by a counter.
    pub state: Option<LimitState>,
    /// Why.
    pub reason: Option<String>,
    /// Where, in a word or two, for a row of the table: `port 9900`.
    pub place: Option<String>,
    /// What an alarm adds to its sentence.
    pub note: Option<String>,
    /// How it is known that it was met, where no errno and no counter tells.
    pub met: Option<String>,
    /// Its whole use is that of the watched program: divided by the connections that one holds it is what each adds, where
    /// nothing has grown yet.
    pub divides: bool,
    /// What the guard allows for it; `None` for the usual rule.
    pub guarded: Option<Guarded>,
    /// What makes room for so much use.
    pub cure: Box<dyn Fn(u64) -> Cure + Send>,
}

impl Meter {
    /// A limit that grows with connections.
    pub(super) fn growing(id: LimitId, scope: impl Into<String>, used: u64, limit: u64, noise: f64) -> Self {
        Self {
            id,
            scope: scope.into(),
            unit: id.descriptor().unit,
            used: Some(used),
            limit: Some(limit),
            followed: None,
            slope: None,
            progress: None,
            doubt: None,
            growth: Growth::WithConnections { noise },
            expected: 1.0,
            levels: (0.9, 0.95),
            planned: false,
            state: None,
            reason: None,
            place: None,
            note: None,
            met: None,
            divides: false,
            guarded: None,
            cure: Box::new(|_| Cure::none()),
        }
    }

    /// A limit whose use follows something else than the number of connections.
    pub(super) fn independent(id: LimitId, scope: impl Into<String>, used: u64, limit: Option<u64>) -> Self {
        Self { growth: Growth::Independent, limit, expected: 0.0, ..Self::growing(id, scope, used, 0, 0.0) }
    }

    /// A limit of which nothing can be said.
    pub(super) fn without(id: LimitId, scope: impl Into<String>, state: LimitState, why: impl Into<String>) -> Self {
        Self {
            used: None,
            limit: None,
            growth: Growth::Independent,
            state: Some(state),
            reason: Some(why.into()),
            ..Self::growing(id, scope, 0, 0, 0.0)
        }
    }

    /// A limit whose source cannot be read.
    pub(super) fn unknown(id: LimitId, scope: impl Into<String>, why: &Absent) -> Self {
        Self::without(id, scope, LimitState::Unknown, why.to_string())
    }

    /// A limit that does not bound this run.
    pub(super) fn not_applicable(id: LimitId, scope: impl Into<String>, why: impl Into<String>) -> Self {
        Self::without(id, scope, LimitState::NotApplicable, why)
    }

    /// What the use may move without any connection.
    pub(super) fn set_noise(&mut self, noise: f64) {
        if let Growth::WithConnections { noise: known } = &mut self.growth {
            *known = noise;
        }
    }

    pub(super) fn levels(self, warn: f64, critical: f64) -> Self {
        Self { levels: (warn, critical), ..self }
    }

    pub(super) fn expecting(self, per_connection: f64) -> Self {
        Self { expected: per_connection, ..self }
    }

    pub(super) fn cured<C: Into<Cure>>(self, cure: impl Fn(u64) -> C + Send + 'static) -> Self {
        Self { cure: Box::new(move |need| cure(need).into()), ..self }
    }

    /// Cured by a sysctl.
    pub(super) fn sysctl(self, key: &'static str) -> Self {
        self.cured(move |need| Remedy::sysctl(key, need))
    }

    /// What the guard allows for it.
    pub fn guarded(&self) -> Guarded {
        self.guarded.unwrap_or(Guarded {
            keeps: Keeps::OfLimit,
            unmeasured: self.expected * DOUBT,
            floor: self.expected / 2.0,
            step: 0.0,
            with_in_flight: self.scope != Role::Server.name(),
        })
    }
}
