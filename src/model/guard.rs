//! How many connections are safe: the guard's ceiling and the default target.
//!
//! The ceiling is a count that the client obeys by itself: between two samples it stops there, at whatever rate it
//! connects, and nothing has to act in time. Each sample moves it.

use crate::sample::{Kernel, MemCgroup, Sample};
use crate::units;

use super::headroom::Headroom;
use super::meters::{bound, charge, per_connection, tightest};
use super::now::{Now, RunPhase};
use super::slope::Slope;
use super::table::Brake;

/// Share of a limit up to which the guard lets the ramp go, in thousandths. Of memory it keeps the rest of the headroom that
/// was there at the start.
const UP_TO: u32 = 900;
/// The kernel's counts are read some milliseconds before the engine's: what is opened in that time, seconds.
const SKEW_S: f64 = 0.01;
/// Unless told otherwise it keeps this share of the headroom that was there at the start.
pub(crate) const KEEP: f64 = 0.1;
/// A target chosen by the program leaves this share.
const SPARE: f64 = 0.2;
/// Doubt in a cost that has not been measured yet.
const DOUBT: f64 = 1.25;
/// A measured slope is not believed below this share of the cost of one idle end: a ramp that reuses memory freed by the
/// last one looks cheaper than it is.
const FLOOR: f64 = 0.5;
/// The default target of a machine that has room for it.
const DEFAULT: u64 = 1_000_000;
/// The target where no memory figure can be read.
const BLIND: u64 = 100_000;

/// The ceiling, and what it comes from.
#[derive(Debug, Clone, Default)]
pub(super) struct Guard {
    per_mille: Option<u32>,
    /// Headroom at the first sight of each cgroup that bounds memory.
    groups: Vec<(String, u64)>,
    ceiling: Option<u64>,
    /// Id and scope of the limit that the ceiling comes from.
    by: Option<(&'static str, String)>,
    /// The same when the ramp was last held.
    held_by: Option<(&'static str, String)>,
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

    /// Id and scope of the limit that holds the ramp back first.
    pub(super) fn by(&self) -> Option<(&'static str, &str)> {
        // While a held run is being closed other limits come first.
        self.held_by.as_ref().or(self.by.as_ref()).map(|b| (b.0, b.1.as_str()))
    }

    /// Share of a limit that may be used.
    pub(super) fn share(&self) -> f64 {
        f64::from(self.per_mille.unwrap_or(UP_TO)) / 1000.0
    }

    /// Lowers the ceiling to what the limits besides memory allow.
    pub(super) fn brake(&mut self, now: &Now, brakes: &[Brake]) {
        let in_flight = now.in_flight.unwrap_or(0);
        for brake in brakes {
            // A target that fits into what this run alone fills is no danger: the engine counts those rooms exactly.
            if brake.room.zip(now.target).is_some_and(|(room, target)| target <= room) {
                continue;
            }
            let skew = now.rate_per_s.unwrap_or(0.0).max(0.0) * SKEW_S;
            let left = self.share() * brake.limit - brake.used - brake.step;
            let more = (left / brake.cost - skew).max(0.0) as u64;
            let count =
                now.connections.saturating_add(if brake.with_in_flight { in_flight } else { 0 }).saturating_add(more);
            if self.ceiling.is_none_or(|c| count < c) {
                self.ceiling = Some(count);
                self.by = Some((brake.id, brake.scope.clone()));
            }
        }
        if now.phase == RunPhase::Guarded {
            self.held_by.clone_from(&self.by);
        }
    }

    /// Takes a sample. `slope` is that of a limit's use, by id and scope.
    pub(super) fn update(
        &mut self,
        sample: &Sample,
        now: &Now,
        headroom: Option<Headroom>,
        both_ends: bool,
        slope: impl Fn(&str, &str) -> Option<Slope>,
    ) {
        let keep = 1.0 - self.share();
        let mut ceiling: Option<u64> = None;
        let mut by = None;
        let mut bounded = |left: f64, cost: f64, id: &'static str, scope: &str| {
            let more = (left / cost).max(0.0) as u64;
            let count = now.connections.saturating_add(more);
            if ceiling.is_none_or(|c| count < c) {
                ceiling = Some(count);
                by = Some((id, scope.to_owned()));
            }
        };
        if let Some(h) = headroom {
            let cost = dear(slope("memory", "host"), both_ends);
            bounded(h.bytes as f64 - keep * h.at_start_bytes as f64, cost, "memory", "host");
        }
        for group in tightest(engine_chains(sample)) {
            let left = bound(group).unwrap_or(u64::MAX).saturating_sub(charge(group));
            let known = self.groups.iter().position(|g| g.0 == group.path).unwrap_or_else(|| {
                self.groups.push((group.path.clone(), left));
                self.groups.len() - 1
            });
            let start = self.groups[known].1;
            let cost = dear(slope("memcg", &group.path), both_ends);
            bounded(left as f64 - keep * start as f64, cost, "memcg", &group.path);
        }
        (self.ceiling, self.by) = (ceiling, by);
    }
}

/// The chains of the living engines.
fn engine_chains(sample: &Sample) -> impl Iterator<Item = &[MemCgroup]> {
    sample.living().filter(|t| t.engine.is_some()).filter_map(|t| t.process.memcg.as_deref().ok())
}

/// The most that a connection may cost, bytes.
fn dear(slope: Option<Slope>, both_ends: bool) -> f64 {
    match slope {
        Some(slope) => (slope.per_connection + 2.0 * slope.spread).max(FLOOR * per_connection(false)),
        None => per_connection(both_ends) * DOUBT,
    }
}

/// The target of a run that names none: one million, or what the machine (and every limiting cgroup of `own_memcg` and of
/// the sample's targets) can hold with a fifth of its real headroom left. With the sentence that says which.
pub fn safe_target(kernel: &Kernel, both_ends: bool, own_memcg: &[MemCgroup]) -> (u64, String) {
    let cost = per_connection(both_ends);
    let holds = |left: u64| ((1.0 - SPARE) * left as f64 / cost) as u64;
    let Some(headroom) = Headroom::of(kernel, None) else {
        return (
            BLIND,
            format!("aims at {}: memory cannot be read here; --target sets another", units::grouped(BLIND)),
        );
    };
    let mut least = (holds(headroom.bytes), headroom.bytes, "real memory headroom".to_owned());
    for group in
        tightest(std::iter::once(own_memcg).chain(kernel.processes.iter().filter_map(|p| p.memcg.as_deref().ok())))
    {
        let left = bound(group).unwrap_or(u64::MAX).saturating_sub(charge(group));
        if holds(left) < least.0 {
            least = (holds(left), left, format!("room in memory cgroup {}", group.path));
        }
    }
    let (count, left, what) = least;
    if count >= DEFAULT {
        return (
            DEFAULT,
            format!(
                "aims at {}, the default; the machine could hold about {}",
                units::grouped(DEFAULT),
                units::short_count(count)
            ),
        );
    }
    // A round number is easier to recognise; three digits are within a percent.
    let unit = 10_u64.pow(count.max(1).ilog10().saturating_sub(2));
    let count = (count / unit * unit).max(1);
    let text = format!(
        "aims at {}: with {} B for a connection that leaves a fifth of the {} of {what}",
        units::grouped(count),
        units::grouped(cost as u64),
        units::bytes(left)
    );
    (count, text)
}

#[cfg(test)]
mod tests {
    use super::super::synthetic;
    use super::*;
    use crate::sample::Absent;

    const MIB: u64 = 1 << 20;

    fn now_at(connections: u64) -> Now {
        Now { connections, ..Now::default() }
    }

    fn ceiling(sample: &Sample, at: u64, start: Option<&Sample>, slope: Option<f64>) -> Option<u64> {
        let first = start.and_then(|s| Headroom::of(&s.kernel, None));
        let mut guard = Guard::default();
        let slope = slope.map(|s| Slope { per_connection: s, spread: 0.0, points: 9 });
        if let Some(start) = start {
            guard.update(start, &now_at(0), first, true, |_, _| None);
        }
        guard.update(sample, &now_at(at), Headroom::of(&sample.kernel, first), true, |_, _| slope);
        guard.ceiling()
    }

    #[test]
    fn a_client_at_the_ceiling_leaves_a_tenth() {
        let start = synthetic::sample(0, 0);
        let headroom = Headroom::of(&start.kernel, None).unwrap().bytes as f64;
        for at in [0, 500_000, 1_500_000] {
            let sample = synthetic::sample(at, 1000);
            let got = ceiling(&sample, at, Some(&start), Some(8124.0)).unwrap() as f64;
            let left = headroom - got * 8124.0;
            assert!((left / headroom - 0.1).abs() < 0.005, "at {at}: {got} leaves {left}");
        }
        let unmeasured = ceiling(&start, 0, None, None).unwrap() as f64;
        assert!((unmeasured * 8232.0 * 1.25 / (0.9 * headroom) - 1.0).abs() < 0.01);
    }

    #[test]
    fn doubt_in_the_slope_lowers_the_ceiling() {
        let start = synthetic::sample(0, 0);
        let first = Headroom::of(&start.kernel, None);
        let with = |spread| {
            let mut guard = Guard::default();
            let slope = Slope { per_connection: 8000.0, spread, points: 9 };
            guard.update(&start, &now_at(0), first, true, |_, _| Some(slope));
            guard.ceiling().unwrap() as f64
        };
        assert!((with(1000.0) / with(0.0) - 0.8).abs() < 1e-3, "{} {}", with(1000.0), with(0.0));
        let reused = Slope { per_connection: 0.0, spread: 0.0, points: 9 };
        let mut guard = Guard::default();
        guard.update(&start, &now_at(0), first, true, |_, _| Some(reused));
        assert!(guard.ceiling().is_some_and(|c| c < 12_000_000), "a slope of nothing is not believed");
    }

    #[test]
    fn under_the_tenth_it_is_the_present_count() {
        let start = synthetic::sample(0, 0);
        let mut low = synthetic::sample(900_000, 1000);
        low.kernel.host.mem.as_mut().unwrap().free = 0;
        low.kernel.host.mem.as_mut().unwrap().inactive_file = 0;
        assert_eq!(ceiling(&low, 900_000, Some(&start), Some(8124.0)), Some(900_000));
    }

    #[test]
    fn a_cgroup_that_limits_an_engine_bounds_it_first() {
        let [mut start, mut sample] = [synthetic::sample(0, 0), synthetic::sample(20_000, 1000)];
        synthetic::with_memcg(&mut start, "/c1m", 400 * MIB);
        synthetic::with_memcg(&mut sample, "/c1m", 400 * MIB);
        let got = ceiling(&sample, 20_000, Some(&start), Some(5900.0)).unwrap();
        let exact = (0.9 * (390 * MIB) as f64 / 5900.0) as u64;
        assert!(got.abs_diff(exact) < 100, "{got} for {exact}");
    }

    #[test]
    fn nothing_readable_no_ceiling() {
        let mut sample = synthetic::sample(0, 0);
        sample.kernel.host.mem = Err(Absent::because("hidden"));
        assert_eq!(ceiling(&sample, 0, None, None), None);
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
                "aims at 1,000,000, the default; the machine could hold about",
            ),
            (
                shrunk(2048 * MIB),
                true,
                vec![],
                230_000,
                "aims at 230,000: with 8,232 B for a connection that leaves a fifth of the 2.21 GiB of real memory headroom",
            ),
            (shrunk(2048 * MIB), false, vec![], 460_000, "aims at 460,000: with 4,116 B"),
            (
                synthetic::host_only(0),
                true,
                vec![group(410 * MIB)],
                40_700,
                "aims at 40,700: with 8,232 B for a connection that leaves a fifth of the 400 MiB of room in memory cgroup /user.slice",
            ),
        ];
        for (sample, both_ends, own, want, text) in rows {
            let (got, why) = safe_target(&sample.kernel, both_ends, &own);
            assert!(why.starts_with(text), "{why}");
            assert_eq!(got, want, "{why}");
        }
    }
}
