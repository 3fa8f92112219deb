//! How many connections are safe: the guard's ceiling and the default target.
//!
//! The ceiling is a count that the client obeys by itself: between two samples it stops there, at whatever rate it
//! connects, and nothing has to act in time. Each sample moves it.

use crate::limits::{Headroom, Keeps, LimitId, all_chains, per_connection, room, tightest};
use crate::part::Part;
use crate::sample::{Kernel, MemCgroup};
use crate::units;

use super::entry;
use super::now::{Now, RunPhase};
use super::table::GuardInput;
use crate::units::whole;

/// Share of a limit up to which the guard lets the ramp go, in thousandths. Of memory it keeps the rest of the headroom that
/// was there at the start.
const UP_TO: u32 = 900;
/// The kernel's counts are read some milliseconds before the engine's: what is opened in that time, seconds.
const SKEW_S: f64 = 0.01;
/// A target chosen by the program leaves this share.
const SPARE: f64 = 0.2;
/// The default target of a machine that has room for it.
pub const DEFAULT: u64 = 1_000_000;
/// The target where no memory figure can be read.
const BLIND: u64 = 100_000;

/// A limit and its scope.
type Which = (LimitId, String);

/// The ceiling, and what it comes from.
#[derive(Debug, Clone, Default)]
pub(super) struct Guard {
    per_mille: Option<u32>,
    /// The room that each limit had when it was first seen, own unit.
    at_start: Vec<(Which, f64)>,
    ceiling: Option<u64>,
    /// The limit that the ceiling comes from.
    by: Option<Which>,
    /// The same when the ramp was last stopped by it.
    stopped_by: Option<Which>,
    /// The guard of the fleet's server allows less than this one now.
    fleet: bool,
    /// It did when the ramp was last stopped.
    stopped_by_fleet: bool,
}

impl Guard {
    /// A guard that lets a limit be used to so many thousandths (`None`: 900).
    pub(super) fn new(per_mille: Option<u32>) -> Self {
        Self { per_mille, ..Self::default() }
    }

    /// The highest count that keeps a tenth of every headroom and of every limit.
    pub(super) fn ceiling(&self) -> Option<u64> {
        self.ceiling
    }

    /// The limit that stops the ramp first, and its scope.
    pub(super) fn by(&self) -> Option<(LimitId, &str)> {
        // While a run that was stopped is being closed other limits come first.
        self.stopped_by.as_ref().or(self.by.as_ref()).map(|b| (b.0, b.1.as_str()))
    }

    /// Whether the fleet's server allows less than this.
    pub(super) fn fleet_bound(&mut self, binds: bool) {
        self.fleet = binds;
    }

    /// Whether it does now.
    pub(super) fn fleet_binds(&self) -> bool {
        self.fleet
    }

    /// Whether the ramp is, or was last, stopped for the fleet's server.
    pub(super) fn held_by_fleet(&self) -> bool {
        self.stopped_by_fleet
    }

    /// Share of a limit that may be used.
    pub(super) fn share(&self) -> f64 {
        f64::from(self.per_mille.unwrap_or(UP_TO)) / 1000.0
    }

    /// Sets the ceiling to what every limit allows at this moment.
    pub(super) fn update(&mut self, now: &Now, inputs: &[GuardInput]) {
        (self.ceiling, self.by) = (None, None);
        for input in inputs {
            // A target that fits into what this run alone fills is no danger: the engine counts those rooms exactly.
            if input.room.zip(now.target).is_some_and(|(room, target)| target <= room) {
                continue;
            }
            let skew = now.rate_per_s.unwrap_or(0.0).max(0.0) * SKEW_S;
            let more = whole(self.left(input) / input.cost - skew);
            let under_way = if input.rule.with_in_flight { now.in_flight.unwrap_or(0) } else { 0 };
            let count = now.connections.saturating_add(under_way).saturating_add(more);
            if self.ceiling.is_none_or(|c| count < c) {
                self.ceiling = Some(count);
                self.by = Some((input.id, input.scope.clone()));
            }
        }
        // The last sample before a close is in the phase that it was stopped in.
        if now.phase == RunPhase::Guarded || now.held {
            self.stopped_by_fleet = self.fleet;
        }
        if now.phase == RunPhase::Guarded {
            self.stopped_by.clone_from(&self.by);
        }
    }

    /// What of a limit the run may still use, own unit.
    fn left(&mut self, input: &GuardInput) -> f64 {
        let room = input.limit - input.used;
        let kept = match input.rule.keeps {
            Keeps::OfLimit => input.limit,
            Keeps::OfRoomAtStart => {
                let new = || ((input.id, input.scope.clone()), room);
                entry(&mut self.at_start, |(which, _)| which.0 == input.id && which.1 == input.scope, new).1
            }
        };
        room - (1.0 - self.share()) * kept - input.rule.step
    }
}

/// The target of a run that names none: one million, or what the machine (and every limiting cgroup of `own_memcg` and of
/// the sample's targets) can hold with a fifth of its real headroom left. With the sentence that says which.
/// A part of a run takes its share of that million.
pub fn safe_target(kernel: &Kernel, both_ends: bool, own_memcg: &[MemCgroup], part: Option<Part>) -> (u64, String) {
    let default = part.map_or(DEFAULT, |part| part.share(DEFAULT));
    let cost = per_connection(both_ends);
    let holds = |left: u64| whole((1.0 - SPARE) * left as f64 / cost);
    let Some(headroom) = Headroom::of(kernel, None) else {
        let blind = BLIND.min(default);
        return (blind, format!("target {}: memory cannot be read here; --target sets another", units::grouped(blind)));
    };
    let mut least = (holds(headroom.bytes), headroom.bytes, "real memory headroom".to_owned());
    for group in tightest(std::iter::once(own_memcg).chain(all_chains(kernel))) {
        let Some(left) = room(group) else { continue };
        if holds(left) < least.0 {
            least = (holds(left), left, format!("room in memory cgroup {}", group.path));
        }
    }
    let (count, left, what) = least;
    if count >= default {
        let of =
            part.map_or("the default".to_owned(), |part| format!("{part} of the default, {}", units::grouped(DEFAULT)));
        return (
            default,
            format!(
                "target {}, {of}; this machine could hold about {}",
                units::grouped(default),
                units::short_count(count)
            ),
        );
    }
    // A round number is easier to recognise; three digits are within a percent.
    let unit = 10_u64.pow(count.max(1).ilog10().saturating_sub(2));
    let count = (count / unit * unit).max(1);
    let text = format!(
        "target {}: at {} B per connection that leaves a fifth of the {} of {what}",
        units::grouped(count),
        units::grouped(whole(cost)),
        units::bytes(left)
    );
    (count, text)
}

#[cfg(test)]
mod tests {
    use super::super::{Model, Setup, synthetic};
    use super::*;
    use crate::limits::Guarded;
    use crate::protocol::Role;
    use crate::sample::{Absent, Sample};

    const MIB: u64 = 1 << 20;

    /// A model's ceiling after a ramp to `to`, with every sample changed, and its headroom at the start.
    fn ceiling(to: u64, change: impl Fn(&mut Sample)) -> (Option<u64>, Option<LimitId>, f64) {
        let mut model = Model::new(Setup { interval_ms: 500, ..Setup::default() });
        let mut first = None;
        for mut sample in synthetic::ramp(to, 40_000, 500) {
            synthetic::set_target(&mut sample, 10_000_000);
            // Memory alone is to bound it.
            sample.kernel.host.files = Err(Absent::because("no bound"));
            sample.kernel.host.max_user_watches = Err(Absent::because("no bound"));
            sample.kernel.net.conntrack = Err(Absent::because("no bound"));
            synthetic::engine(&mut sample, Role::Client).unwrap().capacity = None;
            for role in [Role::Server, Role::Client] {
                synthetic::engine(&mut sample, role).unwrap().tables_max = 5_000;
            }
            change(&mut sample);
            first = first.or(Headroom::of(&sample.kernel, None));
            model.update(&sample);
        }
        (model.guard_ceiling(), model.guard_limit(), first.map_or(0.0, |h| h.bytes as f64))
    }

    #[test]
    fn a_client_at_the_ceiling_leaves_a_tenth() {
        for at in [200_000, 500_000, 1_500_000] {
            let (got, by, headroom) = ceiling(at, |_| ());
            let left = headroom - got.unwrap() as f64 * 8124.0;
            assert!((left / headroom - 0.1).abs() < 0.005, "at {at}: {got:?} leaves {left}");
            assert_eq!(by, Some(LimitId::Memory));
        }
        let (unmeasured, _, headroom) = ceiling(0, |_| ());
        assert!((unmeasured.unwrap() as f64 * 8232.0 * 1.25 / (0.9 * headroom) - 1.0).abs() < 0.01);
    }

    fn input(cost: f64, limit: f64) -> GuardInput {
        let rule =
            Guarded { keeps: Keeps::OfRoomAtStart, unmeasured: 0.0, floor: 0.0, step: 0.0, with_in_flight: false };
        GuardInput { id: LimitId::Memory, scope: "host".into(), used: 0.0, limit, cost, rule, room: None }
    }

    #[test]
    fn a_dearer_connection_lowers_the_ceiling() {
        let with = |cost| {
            let mut guard = Guard::default();
            guard.update(&Now::default(), &[input(cost, 1e10)]);
            guard.ceiling().unwrap() as f64
        };
        assert!((with(10_000.0) / with(8000.0) - 0.8).abs() < 1e-3, "{} {}", with(10_000.0), with(8000.0));
    }

    #[test]
    fn a_slope_of_nothing_is_not_believed() {
        // Memory that a ramp before has freed is used again: nothing seems to be taken.
        let (got, ..) = ceiling(500_000, |s| {
            for cache in s.kernel.host.slab.as_mut().unwrap() {
                cache.bytes = 1 << 30;
            }
        });
        assert!(got.is_some_and(|c| c < 12_000_000), "{got:?}");
    }

    #[test]
    fn under_the_tenth_it_is_the_present_count() {
        let mut guard = Guard::default();
        guard.update(&Now::default(), &[input(8124.0, 1e10)]);
        let now = Now { connections: 900_000, ..Now::default() };
        guard.update(&now, &[GuardInput { used: 9.5e9, ..input(8124.0, 1e10) }]);
        assert_eq!(guard.ceiling(), Some(900_000));
    }

    #[test]
    fn a_cgroup_that_limits_an_engine_bounds_it_first() {
        let (got, by, _) = ceiling(40_000, |s| synthetic::with_memcg(s, "/c1m", 400 * MIB));
        let exact = whole(0.9 * (390 * MIB) as f64 / 5900.0);
        assert!(got.unwrap().abs_diff(exact) < 1000, "{got:?} for {exact}");
        assert_eq!(by, Some(LimitId::Memcg));
    }

    #[test]
    fn nothing_readable_no_ceiling() {
        let mut guard = Guard::default();
        guard.update(&Now::default(), &[]);
        assert_eq!(guard.ceiling(), None);
    }

    #[test]
    fn the_default_target_fits_the_machine_and_says_why() {
        let group = |limit| MemCgroup {
            path: "/user.slice".into(),
            dir: "/sys/fs/cgroup/c1m".into(),
            version: 2,
            used: 10 * MIB,
            limit: Some(limit),
            with_swap: None,
            file_bytes: 0,
            oom_kills: 0,
            max_hits: 0,
        };
        let shrunk = |free: u64| {
            let mut sample = synthetic::host_only(0);
            let mem = sample.kernel.host.mem.as_mut().unwrap();
            (mem.free, mem.active_file, mem.inactive_file) = (free, 0, 0);
            sample
        };
        let rows = [
            (
                synthetic::host_only(0),
                true,
                vec![],
                1_000_000,
                "target 1,000,000, the default; this machine could hold about",
            ),
            (
                shrunk(2048 * MIB),
                true,
                vec![],
                230_000,
                "target 230,000: at 8,232 B per connection that leaves a fifth of the 2.21 GiB of real memory headroom",
            ),
            (shrunk(2048 * MIB), false, vec![], 460_000, "target 460,000: at 4,116 B"),
            (
                synthetic::host_only(0),
                true,
                vec![group(410 * MIB)],
                40_700,
                "target 40,700: at 8,232 B per connection that leaves a fifth of the 400 MiB of room in memory cgroup /user.slice",
            ),
        ];
        for (sample, both_ends, own, want, text) in rows {
            let (got, why) = safe_target(&sample.kernel, both_ends, &own, None);
            assert!(why.starts_with(text), "{why}");
            assert_eq!(got, want, "{why}");
        }
        let part = "2/7".parse().ok();
        let (got, why) = safe_target(&synthetic::host_only(0).kernel, true, &[], part);
        let text = "target 142,857, part 2 of 7 of the default, 1,000,000; this machine could hold about";
        assert!(got == 142_857 && why.starts_with(text), "{why}");
    }
}
