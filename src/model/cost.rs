//! What one connection costs.
//!
//! Added up from below (slab caches that grow with sockets, resident memory of the watched processes) and not read off the
//! fall of free memory: whatever else runs on the machine takes and gives memory too, and a compiler that ended beside a
//! ramp halved the cost so measured. Where nothing else runs the two agree: 8,246 B and 8,216 B (`MemFree` with the
//! per-core lists) at 200,000 connections.
//!
//! The slab is the machine's, and so is what it is divided by: every TCP socket of the machine (`alloc` of sockstat), whoever
//! opened it. Two runs side by side each said 16,400 B when it was divided by one's own.

use serde::{Deserialize, Serialize};

use crate::limits::socket_memory;
use crate::protocol::Role;
use crate::sample::{Program, Sample, SlabCache};

use super::entry;
pub use super::slope::Slope;
use super::slope::Trend;

/// Slopes, bytes per connection.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cost {
    /// What the machine loses per connection: kernel and user.
    pub total: Option<Slope>,
    /// The fall of `MemFree` alone, to be compared with a measurement by hand. It is too small while the kernel's per-core
    /// lists still hold what an earlier run freed.
    pub mem_free: Option<Slope>,
    /// `total` less the user memory of the engines.
    pub kernel: Option<Slope>,
    /// Growth of the server engine's resident memory.
    pub server_user: Option<Slope>,
    /// Growth of the client engine's resident memory.
    pub client_user: Option<Slope>,
    /// The same of a program that is no engine, all its processes.
    pub user: Option<Slope>,
    /// What it was made from; `None` while there is no total.
    pub basis: Option<Basis>,
    /// By slab cache, largest first, those of 1 B and more.
    pub slab: Vec<(String, f64)>,
    /// Whether the two ends of a connection are both on this machine.
    pub both_ends: bool,
}

/// What the cost of a connection was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The growth of slab caches and of resident memory.
    SlabAndRss,
    /// The same, with all slab for want of `/proc/slabinfo` (root).
    AllSlabAndRss,
    /// A watched program that held its connections before: its memory divided by them, and the kernel's objects for a socket.
    Quotient,
}

impl Basis {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::SlabAndRss | Self::AllSlabAndRss => "measured as it grew",
            Self::Quotient => "by division: all its memory over what it holds",
        }
    }
}

impl Cost {
    /// Which ends it covers, for people.
    pub fn ends(&self) -> &'static str {
        if self.both_ends { "both ends" } else { "this end" }
    }
}

const MIB: f64 = 1024.0 * 1024.0;
/// Connections from which on bytes per connection mean something: below, an engine's start is the larger part.
const RANGE: f64 = 2000.0;

/// The trends behind [`Cost`].
#[derive(Debug, Clone)]
pub(super) struct CostTrends {
    /// Of the kernel's memory, over the sockets of the machine.
    socket: Trend,
    mem_free: Trend,
    /// Of the resident memory of a server engine, a client engine, and all processes of others.
    user: [Trend; 3],
    sockets: Trend,
    /// Of a program that is no engine.
    descriptors: Trend,
    slab: Vec<(String, Trend)>,
}

impl Default for CostTrends {
    fn default() -> Self {
        Self {
            socket: Trend::new(2.0 * MIB, RANGE),
            mem_free: Trend::new(2.0 * MIB, RANGE),
            user: std::array::from_fn(|_| Trend::new(MIB / 16.0, RANGE)),
            sockets: Trend::new(64.0, RANGE),
            descriptors: Trend::new(64.0, RANGE),
            slab: Vec::new(),
        }
    }
}

impl CostTrends {
    /// Takes a sample of a run whose engines live, at `connections`.
    pub(super) fn update(&mut self, sample: &Sample, connections: u64) {
        let kernel = &sample.kernel;
        if let (Some(bytes), Ok(sockets)) = (socket_memory(sample), &kernel.net.sockstat) {
            self.socket.add(sockets.alloc, bytes as f64);
        }
        if let Ok(mem) = &sample.kernel.host.mem {
            self.mem_free.add(connections, -(mem.free as f64));
        }
        for (trend, role) in self.user.iter_mut().zip([Some(Role::Server), Some(Role::Client), None]) {
            let of_role = sample.living().filter(|w| w.role() == role);
            let rss: Vec<u64> = of_role.filter_map(|w| w.process.rss_bytes.as_ref().ok().copied()).collect();
            let bytes = match &kernel.program {
                Some(program) if role.is_none() => Some(program.private_bytes()),
                _ => (!rss.is_empty()).then(|| rss.iter().sum()),
            };
            if let Some(bytes) = bytes {
                trend.add(connections, bytes as f64);
            }
        }
        if let Some(open) = kernel.program.as_ref().and_then(|program| program.descriptors) {
            self.descriptors.add(connections, open as f64);
        }
        if let Ok(sockets) = sample.kernel.net.tcp_sockets() {
            self.sockets.add(connections, sockets as f64);
        }
        let caches = kernel.host.slab.as_deref().unwrap_or_default();
        // Caches of fewer sockets would make each look cheaper.
        let Some(sockets) = kernel.net.sockstat.as_ref().ok().filter(|_| !kernel.host.slab_is_old) else { return };
        for cache in caches {
            let new = || (cache.name.clone(), Trend::new(MIB / 8.0, RANGE));
            entry(&mut self.slab, |s| s.0 == cache.name, new).1.add(sockets.alloc, cache.bytes as f64);
        }
    }

    /// The slopes now.
    pub(super) fn cost(&self, sample: &Sample) -> Cost {
        let both_ends = self.both_ends(sample);
        let program = sample.kernel.program.as_ref();
        // A proxy has a socket to either side of each connection.
        let own = program.map_or(1.0, |program| self.sockets_each(program));
        let ends = if both_ends { own + 1.0 } else { own };
        let kernel = self.socket.slope().map(|s| Slope {
            per_connection: s.per_connection * ends,
            spread: s.spread * ends,
            ..s
        });
        let [server_user, client_user, mut user] = self.user.each_ref().map(Trend::slope);
        let all_slab = sample.kernel.host.slab.is_err();
        let mut basis = if all_slab { Basis::AllSlabAndRss } else { Basis::SlabAndRss };
        let mut kernel = kernel;
        if let Some(by_user) = program.filter(|_| user.is_none() || kernel.is_none()).and_then(quotient) {
            user = user.or(Some(by_user));
            kernel = kernel.or_else(|| of_objects(sample).map(|bytes| by_division(bytes * ends)));
            basis = Basis::Quotient;
        }
        let total = kernel.map(|kernel| {
            let user = [server_user, client_user, user].into_iter().flatten();
            user.fold(kernel, |sum, user| Slope {
                per_connection: sum.per_connection + user.per_connection,
                spread: sum.spread + user.spread,
                points: sum.points,
            })
        });
        let mut slab: Vec<(String, f64)> = self
            .slab
            .iter()
            .filter_map(|(name, trend)| Some((name.clone(), trend.slope()?.per_connection * ends)))
            .filter(|(_, bytes)| *bytes >= 1.0)
            .collect();
        slab.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mem_free = self.mem_free.slope();
        let basis = total.map(|_| basis);
        Cost { total, mem_free, kernel, server_user, client_user, user, basis, slab, both_ends }
    }

    /// Sockets that a program has for each of its connections.
    fn sockets_each(&self, program: &Program) -> f64 {
        let held = program.census.as_ref().map_or(0, |c| c.connections);
        let at_rest: u64 = program.members.iter().filter_map(|m| m.at_rest).sum();
        let quotient = program.descriptors.filter(|_| held as f64 >= RANGE);
        let quotient = quotient.map(|open| open.saturating_sub(at_rest) as f64 / held as f64);
        let each = self.descriptors.slope().map(|slope| slope.per_connection).or(quotient);
        each.map_or(1.0, |each| each.round().clamp(1.0, 4.0))
    }

    /// Both engines are here, or the one talks to loopback, or two sockets appear for each connection.
    fn both_ends(&self, sample: &Sample) -> bool {
        let here = |role| sample.engines.iter().any(|e| e.hello.role == role);
        let engines = [here(Role::Server), here(Role::Client)];
        match engines {
            [true, true] => true,
            [false, false] => sample.kernel.program.as_ref().is_some_and(has_both_ends),
            _ if loopback(sample) => true,
            _ => self.sockets.slope().is_some_and(|s| s.per_connection > 1.5),
        }
    }
}

/// Whether the other ends of nearly all of a program's connections are in its network namespace too.
fn has_both_ends(program: &Program) -> bool {
    let census = program.census.as_ref().ok().filter(|census| census.by_socket);
    census.is_some_and(|census| {
        let established: u64 = census.listeners.iter().map(|l| l.established).sum();
        established > 0 && census.both_ends as f64 > 0.9 * established as f64
    })
}

/// A slope that is a mere division.
fn by_division(per_connection: f64) -> Slope {
    Slope { per_connection, spread: DOUBT * per_connection, points: 0 }
}

/// How far a division may be off: a program's memory before its first connection counts as theirs.
const DOUBT: f64 = 0.2;

/// A program's resident memory divided by the connections it holds.
fn quotient(program: &Program) -> Option<Slope> {
    let held = program.census.as_ref().ok().map(|c| c.connections as f64).filter(|held| *held >= RANGE)?;
    Some(by_division(program.private_bytes() as f64 / held))
}

/// The slab caches of which each socket has an object, in an epoll set as nearly all are.
const OBJECTS: [&str; 8] = [
    "sock_inode_cache",
    "filp",
    "dentry",
    "eventpoll_epi",
    "anon_vma_chain",
    "lsm_inode_cache",
    "lsm_file_cache",
    "TCP",
];

/// Kernel memory of a socket by the sizes of its objects, bytes; what a slab loses at its end included.
fn of_objects(sample: &Sample) -> Option<f64> {
    let caches = sample.kernel.host.slab.as_ref().ok()?;
    let of = |cache: &SlabCache| match cache.name.as_str() {
        "TCP" => cache.bytes as f64 / cache.active_objs.max(1) as f64,
        _ => cache.obj_size as f64,
    };
    Some(caches.iter().filter(|c| OBJECTS.contains(&c.name.as_str())).map(of).sum())
}

/// Whether an engine listens on or connects to a loopback address alone.
fn loopback(sample: &Sample) -> bool {
    let mut addresses = sample.engines.iter().map(|e| e.hello.address.as_str());
    addresses.any(|a| a.starts_with("127.") || a.trim_matches(['[', ']']) == "::1")
}

#[cfg(test)]
mod tests {
    use super::super::synthetic;
    use super::*;

    fn cost_of(samples: &[Sample]) -> Cost {
        let mut trends = CostTrends::default();
        for (i, sample) in samples.iter().enumerate() {
            let open = sample.counters().next().map(|s| s.open);
            trends.update(sample, open.unwrap_or(i as u64));
        }
        trends.cost(&samples[samples.len() - 1])
    }

    #[test]
    fn slopes_match_what_was_put_in() {
        let cost = cost_of(&synthetic::ramp(200_000, 40_000, 1000));
        let total = cost.total.unwrap();
        assert!((total.per_connection / 8124.0 - 1.0).abs() < 0.01, "{total:?}");
        assert!((cost.kernel.unwrap().per_connection - total.per_connection + 4.0).abs() < 0.01);
        assert!((cost.server_user.unwrap().per_connection - 2.0).abs() < 0.01);
        assert_eq!(cost.slab[0].0, "TCP");
        assert!((cost.slab[0].1 - 5041.0).abs() < 20.0, "{:?}", cost.slab);
        assert!(cost.both_ends);
    }

    #[test]
    fn what_others_open_beside_it_is_not_its_cost() {
        let mut samples = synthetic::ramp(200_000, 20_000, 1000);
        for sample in &mut samples {
            // Another run opens three connections for each of this one's, perhaps in another network namespace.
            let open = sample.counters().next().unwrap().open;
            let machine = synthetic::sample(4 * open, sample.t_ms).kernel;
            sample.kernel.host.slab = machine.host.slab;
            sample.kernel.net.sockstat.as_mut().unwrap().alloc = machine.net.sockstat.unwrap().alloc;
        }
        let cost = cost_of(&samples);
        assert!((cost.total.unwrap().per_connection / 8124.0 - 1.0).abs() < 0.01, "{cost:?}");
        assert!((cost.slab[0].1 / 5041.0 - 1.0).abs() < 0.01, "{:?}", cost.slab);
    }

    #[test]
    fn of_one_end_half_of_the_sockets_count() {
        let mut samples = synthetic::ramp(50_000, 5_000, 1000);
        for (i, sample) in samples.iter_mut().enumerate() {
            sample.kernel.processes.truncate(1);
            sample.engines.truncate(1);
            sample.engines[0].hello.address = "every address".into();
            // The peers are on this machine, and in another network namespace.
            sample.kernel.net.sockstat.as_mut().unwrap().inuse = i as u64 * 5_000;
        }
        let cost = cost_of(&samples);
        assert!((cost.kernel.unwrap().per_connection / 4062.0 - 1.0).abs() < 0.01, "{cost:?}");
    }

    #[test]
    fn total_stays_with_the_end_to_end_quotient() {
        // What a user checks by hand: the fall of MemFree divided by connections over the same span.
        let samples = synthetic::ramp(200_000, 47_000, 1000);
        let free = |s: &Sample| s.kernel.host.mem.as_ref().unwrap().free as f64;
        let quotient = (free(&samples[0]) - free(&samples[samples.len() - 1])) / 200_000.0;
        let total = cost_of(&samples).total.unwrap().per_connection;
        assert!((total / quotient - 1.0).abs() < 0.01, "{total} and {quotient}");
    }

    #[test]
    fn one_engine_whose_peer_is_here_too_is_told_by_address_or_sockets() {
        let mut samples = synthetic::ramp(50_000, 5_000, 1000);
        for sample in &mut samples {
            sample.kernel.processes.truncate(1);
            sample.engines.truncate(1);
        }
        assert!(cost_of(&samples).both_ends, "a loopback address");
        for sample in &mut samples {
            sample.engines[0].hello.address = "every address".into();
        }
        assert!(cost_of(&samples).both_ends, "two sockets for each connection");
        for (i, sample) in samples.iter_mut().enumerate() {
            sample.kernel.net.sockstat.as_mut().unwrap().inuse = i as u64 * 5_000;
        }
        assert!(!cost_of(&samples).both_ends);
    }
}
