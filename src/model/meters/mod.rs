//! Reads from a sample how far each limit is used, before any forecast: one file per kind of resource.

mod descriptors;
mod memory;
mod network;
mod queues;
mod runtime;
mod tasks;

use crate::protocol::Role;
use crate::sample::{Absent, Sample};

use super::counters::Counters;
use super::failures::Failure;
use super::headroom::Headroom;
use super::limit::{LimitState, Unit};
use super::names;

pub(crate) use descriptors::raise;
pub(super) use memory::chains;
pub(crate) use memory::{bound, charge, charged_per_connection, per_connection, tightest};
pub(crate) use network::{LONG_CHAIN, on_the_wire};
pub(super) use queues::{Standing, waiting};
pub(super) use runtime::name as runtime_name;
pub(crate) use runtime::{heap_note, more_heap, more_ports};
pub(crate) use tasks::more_threads;

/// What the readers need besides the sample.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    /// The sample.
    pub sample: &'a Sample,
    /// Real headroom at it.
    pub headroom: Option<Headroom>,
    /// Counter deltas up to it.
    pub counters: &'a Counters,
    /// What failed since the sample before.
    pub failures: &'a [Failure],
    /// Whether a connection has both its ends on this machine.
    pub both_ends: bool,
    /// What was so at the start.
    pub baseline: Baseline,
    /// How many times what the target uses a limit should be, for the run to pass below it.
    pub spare: f64,
    /// How long an accept queue has been full and nothing accepted.
    pub standing: Standing,
}

/// What is read once, when an engine is first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Baseline {
    /// Local ports of one pair of addresses when the client made its plan.
    pub ports: Option<u64>,
    /// Epoll registrations of other programs.
    pub epoll: Option<u64>,
}

impl Baseline {
    /// Takes a sample.
    pub(super) fn note(&mut self, sample: &Sample) {
        let planned = sample.engine(Role::Client).is_some_and(|c| c.capacity.is_some());
        if let (None, true, Ok(ports)) = (self.ports, planned, &sample.kernel.net.ports) {
            self.ports = Some(ports.usable());
        }
        let own = descriptors::own_registrations(sample);
        if let (None, Some(own), Ok(slab)) = (self.epoll, own, &sample.kernel.host.slab) {
            let all = slab.iter().find(|c| c.name == "eventpoll_epi").map_or(0, |c| c.active_objs);
            self.epoll = Some(all.saturating_sub(own));
        }
    }
}

impl Context<'_> {
    /// Sockets on this machine for each connection.
    fn ends(&self) -> f64 {
        if self.both_ends { 2.0 } else { 1.0 }
    }
}

/// How a use behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Growth {
    /// It grows with connections and may move by so much (its own unit) without any.
    WithConnections {
        /// That much.
        noise: f64,
    },
    /// It follows something else: never forecast.
    Apart,
    /// Nothing is counted.
    NotTracking,
}

/// One limit as read.
pub(super) struct Meter {
    /// Id, a row of [`super::names::LIMITS`].
    pub id: &'static str,
    /// What it belongs to.
    pub scope: String,
    /// What its numbers count: what its row of names says, unless changed.
    pub unit: Unit,
    /// Use now.
    pub used: Option<u64>,
    /// The bound.
    pub limit: Option<u64>,
    /// What is followed for the slope where that is not the use itself: something that grows with it, and with nothing else.
    /// NaN: nothing, this time.
    pub followed: Option<f64>,
    /// Where the run is and where it ends, in connections or the limit's own unit, where that is finer or nearer to the truth
    /// than use and bound.
    pub way: Option<(f64, f64)>,
    /// How the use behaves.
    pub growth: Growth,
    /// What a connection is expected to add before that has been measured.
    pub expected: f64,
    /// Shares from which on it warns and is critical.
    pub levels: (f64, f64),
    /// The run plans to use it up to the brim: a full one is no alarm as long as the target fits.
    pub planned: bool,
    /// A state that no share decides: unknown, not applicable, or judged by a counter.
    pub state: Option<LimitState>,
    /// Why.
    pub reason: Option<String>,
    /// The cure that makes room for so much use.
    pub cure: Box<dyn Fn(u64) -> String>,
}

impl Meter {
    /// A limit that grows with connections.
    fn growing(id: &'static str, scope: impl Into<String>, used: u64, limit: u64, noise: f64) -> Self {
        Self {
            id,
            scope: scope.into(),
            unit: names::info(id).map_or(Unit::Count, |i| i.unit),
            used: Some(used),
            limit: Some(limit),
            followed: None,
            way: None,
            growth: Growth::WithConnections { noise },
            expected: 1.0,
            levels: (0.9, 0.95),
            planned: false,
            state: None,
            reason: None,
            cure: Box::new(|_| String::new()),
        }
    }

    /// A limit whose use follows something else than the number of connections.
    fn apart(id: &'static str, scope: impl Into<String>, used: u64, limit: Option<u64>) -> Self {
        Self { growth: Growth::Apart, limit, ..Self::growing(id, scope, used, 0, 0.0) }
    }

    /// A limit of which nothing can be said.
    fn without(id: &'static str, scope: impl Into<String>, state: LimitState, why: impl Into<String>) -> Self {
        Self {
            used: None,
            limit: None,
            growth: Growth::Apart,
            state: Some(state),
            reason: Some(why.into()),
            ..Self::growing(id, scope, 0, 0, 0.0)
        }
    }

    /// A limit whose source cannot be read.
    fn unknown(id: &'static str, scope: impl Into<String>, why: &Absent) -> Self {
        Self::without(id, scope, LimitState::Unknown, why.to_string())
    }

    /// What the use may move without any connection.
    fn noise(&mut self, noise: f64) {
        if let Growth::WithConnections { noise: known } = &mut self.growth {
            *known = noise;
        }
    }

    fn levels(self, warn: f64, critical: f64) -> Self {
        Self { levels: (warn, critical), ..self }
    }

    fn expecting(self, per_connection: f64) -> Self {
        Self { expected: per_connection, ..self }
    }

    fn cured(self, cure: impl Fn(u64) -> String + 'static) -> Self {
        Self { cure: Box::new(cure), ..self }
    }

    /// Cured by a sysctl.
    fn sysctl(self, key: &'static str) -> Self {
        self.cured(move |need| format!("sysctl -w {key}={need}"))
    }
}

/// Every limit that this sample tells of.
pub(super) fn read(context: &Context<'_>) -> Vec<Meter> {
    let mut meters = Vec::with_capacity(24);
    descriptors::read(context, &mut meters);
    memory::read(context, &mut meters);
    network::read(context, &mut meters);
    queues::read(context, &mut meters);
    tasks::read(context, &mut meters);
    runtime::read(context, &mut meters);
    meters
}

/// The command that writes a number to a file of a cgroup. systemd writes `\x2d` into names of its slices, which a shell takes
/// for something else.
fn write(number: u64, dir: &str, file: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-@:".contains(c);
    let quote = if dir.chars().all(plain) { "" } else { "'" };
    format!("echo {number} > {quote}{dir}/{file}{quote}")
}

/// How the namespace is called in a scope.
fn namespace(sample: &Sample) -> String {
    if sample.kernel.net.scope == "this" {
        "network namespace".into()
    } else {
        format!("network namespace {}", sample.kernel.net.scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_a_shell_would_change_is_quoted() {
        assert_eq!(write(7, "/sys/fs/cgroup/a.slice/b@1", "pids.max"), "echo 7 > /sys/fs/cgroup/a.slice/b@1/pids.max");
        assert_eq!(write(7, r"/sys/fs/cgroup/my\x2dapp", "pids.max"), r"echo 7 > '/sys/fs/cgroup/my\x2dapp/pids.max'");
    }

    #[test]
    fn the_level_that_bounds_threads_is_named() {
        assert!(more_threads(400, 500).starts_with("ulimit -u 400 before the start"));
        assert!(
            more_threads(501, 500).starts_with("LimitNPROC=501 in the service's systemd unit"),
            "beyond the hard limit"
        );
    }
}
