//! What one connection costs.
//!
//! Added up from below (slab caches that grow with sockets, resident memory of the watched processes) and not read off the
//! fall of free memory: whatever else runs on the machine takes and gives memory too, and a compiler that ended beside a
//! ramp halved the cost so measured. Where nothing else runs the two agree: 8,246 B and 8,216 B (`MemFree` with the
//! per-core lists) at 200,000 connections.
//!
//! The slab is the machine's, and so is what it is divided by: every TCP socket of the machine (`alloc` of sockstat), whoever
//! opened it. Two runs side by side each said 16,400 B when it was divided by one's own.
//!
//! Of a program that is no engine anybody may open and close sockets beside it, in whatever network namespace. So the growth
//! of the slab is held against the sizes of the objects that a socket consists of, which no neighbour changes: what is too
//! little for them (slabs that a neighbour has left half empty were filled) or too much (they were left) is not believed, and
//! the sizes are given instead. Alone on Linux 6.18 the growth is 4,112 B a socket and the sizes are 4,037 B: the rest are the
//! bind buckets of clients that have a port each. After 120,000 sockets of a neighbour came and went, the growth was 6,731 B.
//!
//! User memory is the program's own: its growth from end to end, as anyone would take it by hand. A slope that no outlier bends
//! leaves out what warming up takes: of Node.js 7 MB with the first 700 connections, 11 % of 12,000.

use serde::{Deserialize, Serialize};

use crate::limits::{per_connection, socket_memory};
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
    /// What a connection's sockets consist of, by the sizes of their objects, cache by cache: what the slab would grow by if no
    /// neighbour had left any half empty. Empty where slabinfo cannot be read.
    pub objects: Vec<(String, f64)>,
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
    /// The growth of a watched program's resident memory, and the sizes of the kernel's objects for a socket: the slab did not
    /// grow by them, for what others opened or closed.
    ObjectsAndRss,
    /// A watched program that held its connections before: its memory divided by them, and the kernel's objects for a socket.
    Quotient,
}

impl Basis {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::SlabAndRss | Self::AllSlabAndRss => "measured as it grew",
            Self::ObjectsAndRss => "its own memory as it grew, the kernel's from the sizes of its objects",
            Self::Quotient => "all its memory divided by its connections",
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

/// Samples at an unchanged count until resident memory is what it stays: an engine's, and that of a program whose runtime goes on
/// collecting what its last connections left (of ejabberd 14 % within two seconds).
const SETTLED: u8 = 5;
const COLLECTED: u8 = 12;

/// The trends behind [`Cost`].
#[derive(Debug, Clone)]
pub(super) struct CostTrends {
    /// Of the kernel's memory, over the sockets of the machine.
    socket: Trend,
    mem_free: Trend,
    /// Of the resident memory of a server engine, a client engine, and all processes of others.
    user: [Trend; 3],
    sockets: Trend,
    /// TCP sockets of the machine, over connections.
    machine: Trend,
    /// Of a program that is no engine.
    descriptors: Trend,
    /// What a socket consists of, by the newest reading of the slab: while sockets are closed there is none.
    objects: Vec<(String, f64)>,
    /// The same, and what the ports of clients on this machine take.
    with_ports: Vec<(String, f64)>,
    slab: Vec<(String, Trend)>,
}

impl Default for CostTrends {
    fn default() -> Self {
        Self {
            socket: Trend::new(2.0 * MIB, RANGE),
            mem_free: Trend::new(2.0 * MIB, RANGE),
            user: [SETTLED, SETTLED, COLLECTED].map(|samples| Trend::new(MIB / 16.0, RANGE).settling(samples)),
            sockets: Trend::new(64.0, RANGE),
            machine: Trend::new(64.0, RANGE),
            descriptors: Trend::new(64.0, RANGE),
            objects: Vec::new(),
            with_ports: Vec::new(),
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
        if let Ok(sockets) = &kernel.net.sockstat {
            self.machine.add(connections, sockets.alloc as f64);
        }
        if let Ok(sockets) = sample.kernel.net.tcp_sockets() {
            self.sockets.add(connections, sockets as f64);
        }
        if kernel.host.slab.is_ok() && !kernel.host.slab_is_old {
            self.objects = of_objects(sample, 1.0);
            self.with_ports = of_objects(sample, 2.0);
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
        let own = program.map_or(1.0, |program| self.sockets_each(sample, program, both_ends));
        let ends = if both_ends { own + 1.0 } else { own };
        let mut slab = self.by_cache();
        let [server_user, client_user, mut user] = self.user.each_ref().map(Trend::slope);
        let all_slab = sample.kernel.host.slab.is_err() && self.objects.is_empty();
        let mut basis = if all_slab { Basis::AllSlabAndRss } else { Basis::SlabAndRss };
        let mut kernel = self.socket.slope();
        if let Some(program) = program {
            user = self.grown();
            if user.is_none() {
                user = quotient(program);
                basis = Basis::Quotient;
            }
            kernel = kernel.filter(|slope| self.is_of_sockets(*slope, ends));
            if kernel.is_none() && !self.objects.is_empty() && user.is_some() {
                let objects = if both_ends { &self.with_ports } else { &self.objects };
                kernel = Some(by_division(sum(objects), OBJECTS_DOUBT));
                slab.clone_from(objects);
                basis = if basis == Basis::Quotient { basis } else { Basis::ObjectsAndRss };
            }
        }
        let kernel = kernel.map(|s| Slope { per_connection: s.per_connection * ends, spread: s.spread * ends, ..s });
        let total = kernel.map(|kernel| {
            let user = [server_user, client_user, user].into_iter().flatten();
            user.fold(kernel, |sum, user| Slope {
                per_connection: sum.per_connection + user.per_connection,
                spread: sum.spread + user.spread,
                points: sum.points,
            })
        });
        // Without its own memory it is not what a connection of a program costs.
        let total = total.filter(|_| program.is_none() || user.is_some());
        for (_, bytes) in &mut slab {
            *bytes *= ends;
        }
        slab.retain(|(_, bytes)| *bytes >= 1.0);
        slab.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mem_free = self.mem_free.slope();
        let basis = total.map(|_| basis);
        let objects = self.objects.iter().map(|(name, bytes)| (name.clone(), bytes * ends)).collect();
        Cost { total, mem_free, kernel, server_user, client_user, user, basis, slab, objects, both_ends }
    }

    /// What each cache has grown by with each socket.
    fn by_cache(&self) -> Vec<(String, f64)> {
        self.slab.iter().filter_map(|(name, trend)| Some((name.clone(), trend.slope()?.per_connection))).collect()
    }

    /// The growth of a program's resident memory; `None` where it has not grown since it was last lowest.
    fn grown(&self) -> Option<Slope> {
        let slope = self.user[2].slope()?;
        let each = self.user[2].end_to_end()?;
        // A heap that is collected goes up and down by more than all else; and it is not known to more than half of itself.
        let doubt = slope.spread.max((each - slope.per_connection).abs() / 2.0).min(each / 2.0);
        (each > 0.0).then_some(Slope { per_connection: each, spread: doubt, ..slope })
    }

    /// Whether the slab has grown by what a socket consists of, and not by what others left there, or took that was there.
    fn is_of_sockets(&self, slope: Slope, ends: f64) -> bool {
        let grown = slope.per_connection;
        if self.objects.is_empty() {
            // Of all slab nobody knows whose it is. A socket is about what it is on every kernel.
            let usual = per_connection(false);
            return (usual / 2.0..usual * 2.0).contains(&grown);
        }
        let bytes = sum(&self.objects);
        // A server may have more for each connection than a socket, such as a timer. What others open may be anything.
        let alone = self.machine.slope().is_some_and(|s| (s.per_connection / ends - 1.0).abs() < ALONE);
        let most = if alone && slope.spread < STEADY * grown { MOST_ALONE } else { MOST };
        (LEAST * bytes..most * bytes).contains(&grown)
    }

    /// Sockets that a program has for each of its connections, by its descriptors. There are no more of them than the network
    /// namespace has: a server with a process for each connection has more descriptors, and one socket.
    fn sockets_each(&self, sample: &Sample, program: &Program, both_ends: bool) -> f64 {
        let held = program.census.as_ref().map_or(0, |c| c.connections) as f64;
        let at_rest: u64 = program.members.iter().filter_map(|m| m.at_rest).sum();
        let each = |trend: &Trend, now: Option<u64>| {
            let quotient = now.filter(|_| held >= RANGE).map(|n| n as f64 / held);
            trend.slope().map(|slope| slope.per_connection).or(quotient)
        };
        let open = each(&self.descriptors, program.descriptors.map(|open| open.saturating_sub(at_rest)));
        let there = each(&self.sockets, sample.kernel.net.tcp_sockets().ok());
        let there = there.map_or(f64::MAX, |all| all - f64::from(u8::from(both_ends)));
        open.map_or(1.0, |each| each.min(there).round().clamp(1.0, 4.0))
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
        let established = census.established();
        established > 0 && census.both_ends as f64 > 0.9 * established as f64
    })
}

/// All caches together.
fn sum(caches: &[(String, f64)]) -> f64 {
    caches.iter().map(|(_, bytes)| bytes).sum()
}

/// Sockets of the machine that appear for each of a program's own, within this share of one: nobody else opens any.
const ALONE: f64 = 0.1;
/// A growth that is known to this share of itself goes with the sockets and nothing else.
const STEADY: f64 = 0.03;
/// What the slab may grow by with each socket, as shares of the sizes of its objects. Measured: 1.03 for servers
/// whose clients have a port each, 1.01 for engines; below 0.97 it can be nothing but slabs that were there before.
const LEAST: f64 = 0.97;
const MOST: f64 = 1.06;
const MOST_ALONE: f64 = 2.0;

/// A slope that is a mere division, known to this share of itself.
fn by_division(per_connection: f64, doubt: f64) -> Slope {
    Slope { per_connection, spread: doubt * per_connection, points: 0 }
}

/// How far a division may be off: a program's memory before its first connection counts as theirs.
const DOUBT: f64 = 0.2;
/// How far the sizes of objects may be off.
const OBJECTS_DOUBT: f64 = 0.03;

/// A program's resident memory divided by the connections it holds.
fn quotient(program: &Program) -> Option<Slope> {
    let held = program.census.as_ref().ok().map(|c| c.connections as f64).filter(|held| *held >= RANGE)?;
    Some(by_division(program.private_bytes() as f64 / held, DOUBT))
}

/// The slab caches of which each socket has an object, whatever it is for.
const OF_SOCKET: [&str; 5] = ["sock_inode_cache", "filp", "dentry", "lsm_inode_cache", "lsm_file_cache"];
/// Of each row one object for a socket in an epoll set. The kernel merges caches of one size, and lists `eventpoll_pwq` under
/// another's name then.
const OF_EPOLL: [&[&str]; 3] = [&["eventpoll_epi"], &["eventpoll_pwq", "anon_vma_chain", "fs_cache"], &["ep_head"]];

/// Kernel memory of a socket by the sizes of its objects, cache by cache, bytes; what a slab loses at its end included. Empty
/// where slabinfo cannot be read. A client's local port has two objects, and they are of the size of one in an epoll set
/// (`tcp_bind_bucket`, `tcp_bind2_bucket`): where the kernel has merged these caches they are counted with it, `most` for each
/// socket.
fn of_objects(sample: &Sample, most: f64) -> Vec<(String, f64)> {
    let (Ok(caches), net) = (&sample.kernel.host.slab, &sample.kernel.net) else { return Vec::new() };
    let cache = |name: &str| caches.iter().find(|c| c.name == name);
    let mut found: Vec<(String, f64)> = Vec::new();
    let mut add = |cache: Option<&SlabCache>, share: f64| {
        found.extend(cache.map(|c| (c.name.clone(), c.each_bytes() * share)));
    };
    // An IPv6 socket is of a cache of its own, also with an IPv4 peer.
    let (all, six) = (net.tcp_sockets().unwrap_or(0), net.inuse6.as_ref().map_or(0, |n| *n));
    let six = six as f64 / all.max(1) as f64;
    add(cache("TCP"), 1.0 - six);
    add(cache("TCPv6"), six);
    for name in OF_SOCKET {
        add(cache(name), 1.0);
    }
    // A server with a thread for each connection has none in an epoll set.
    let sockets = net.sockstat.as_ref().map_or(1, |s| s.alloc.max(1));
    let registered = cache("eventpoll_epi").map_or(1.0, |c| c.active_objs as f64 / sockets as f64);
    for (names, most) in OF_EPOLL.into_iter().zip([most, 1.0, 1.0]) {
        add(names.iter().find_map(|name| cache(name)), registered.min(most));
    }
    found
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
    use crate::sample::Absent;

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

    /// A server that is no engine with so many connections, whose clients are on another machine: 50 MiB at rest and 3,000 B for
    /// each. Others have so many sockets on this one.
    fn served(n: u64, others: u64) -> Sample {
        // Of the synthetic machine's connections each has two sockets.
        let mut sample = synthetic::sample(u64::midpoint(n, others), n);
        synthetic::foreign(&mut sample, 77, "server", 30 + n, 100_000);
        sample.kernel.net.sockstat.as_mut().unwrap().inuse = 5 + n;
        let program = sample.kernel.program.as_mut().unwrap();
        program.census = Ok(synthetic::census(n, 80));
        program.rss_bytes += 3000 * n;
        sample
    }

    fn cost_of_served(samples: &[Sample]) -> Cost {
        let mut trends = CostTrends::default();
        for sample in samples {
            trends.update(sample, sample.kernel.program.as_ref().unwrap().census.as_ref().unwrap().connections);
        }
        trends.cost(&samples[samples.len() - 1])
    }

    #[track_caller]
    fn assert_cost(cost: &Cost, user: f64, kernel: f64, basis: Basis) {
        let near = |slope: Option<Slope>, want: f64| (slope.unwrap().per_connection / want - 1.0).abs() < 0.03;
        assert!(near(cost.user, user) && near(cost.kernel, kernel), "{cost:#?}");
        assert_eq!(cost.basis, Some(basis), "{cost:#?}");
        let slab: f64 = cost.slab.iter().map(|(_, bytes)| bytes).sum();
        assert!((slab / kernel - 1.0).abs() < 0.03, "{cost:#?}");
    }

    #[test]
    fn no_neighbour_bends_what_a_server_costs() {
        let steps = 0..=24;
        let alone: Vec<Sample> = steps.clone().map(|i| served(i * 500, 0)).collect();
        assert_cost(&cost_of_served(&alone), 3000.0, 4062.0, Basis::SlabAndRss);
        let beside: Vec<Sample> = steps.clone().map(|i| served(i * 500, i * 3000)).collect();
        assert_cost(&cost_of_served(&beside), 3000.0, 4062.0, Basis::SlabAndRss);
        // One that has gone left its slabs, which are filled, or grew some other cache with each of its own.
        for (per_mille, others) in [(400, 0), (1800, 3000)] {
            let mut left: Vec<Sample> = steps.clone().map(|i| served(i * 500, i * others)).collect();
            for sample in &mut left {
                for cache in sample.kernel.host.slab.as_mut().unwrap() {
                    cache.bytes = cache.bytes * per_mille / 1000;
                }
            }
            assert_cost(&cost_of_served(&left), 3000.0, 4010.0, Basis::ObjectsAndRss);
        }
        // All of it closes: what the kernel's caches are then says nothing.
        let mut closing = beside.clone();
        closing.push(served(12_000, 0));
        let host = &mut closing.last_mut().unwrap().kernel.host;
        (host.slab, host.slab_is_old) = (Err(Absent::because("closing")), true);
        assert_cost(&cost_of_served(&closing), 3000.0, 4062.0, Basis::SlabAndRss);
    }

    #[test]
    fn of_all_slab_what_is_no_socket_is_left_out() {
        for (others, told) in [(0, true), (20_000_000, false)] {
            let mut samples: Vec<Sample> = (0..=24).map(|i| served(i * 500, 0)).collect();
            for (i, sample) in samples.iter_mut().enumerate() {
                sample.kernel.host.slab = Err(Absent::because("needs root"));
                sample.kernel.host.mem.as_mut().unwrap().slab += others * i as u64;
            }
            let cost = cost_of_served(&samples);
            assert_eq!(cost.basis, told.then_some(Basis::AllSlabAndRss), "{cost:#?}");
            assert_eq!((cost.kernel.is_some(), cost.user.is_some()), (told, true));
        }
    }

    #[test]
    fn a_server_that_has_its_connections_is_divided() {
        let cost = cost_of_served(&vec![served(12_000, 60_000); 20]);
        assert_cost(&cost, 3000.0 + f64::from(50 << 20) / 12_000.0, 4010.0, Basis::Quotient);
        // A heap that only falls has not cost less than nothing.
        let mut falls: Vec<Sample> = (0..=24).map(|i| served(i * 500, 0)).collect();
        for (i, sample) in falls.iter_mut().enumerate() {
            sample.kernel.program.as_mut().unwrap().rss_bytes = (100 - i as u64) << 20;
        }
        let cost = cost_of_served(&falls);
        assert_eq!(cost.basis, Some(Basis::Quotient));
        assert!((cost.user.unwrap().per_connection - f64::from(76 << 20) / 12_000.0).abs() < 1.0, "{cost:#?}");
    }

    #[test]
    fn sockets_of_a_connection_are_no_more_than_there_are() {
        // Descriptors for each connection, sockets of the namespace, and how many of these are the program's.
        for (descriptors, there, own) in [(1, 1, 1.0), (2, 2, 2.0), (8, 1, 1.0), (2, 4, 2.0)] {
            for grows in [true, false] {
                let of = |n: u64| {
                    let mut sample = served(n, 0);
                    sample.kernel.net.sockstat.as_mut().unwrap().inuse = 5 + there * n;
                    sample.kernel.program.as_mut().unwrap().descriptors = Some(30 + descriptors * n);
                    sample
                };
                let samples: Vec<Sample> = (0..=24).map(|i| of(if grows { i * 500 } else { 12_000 })).collect();
                let kernel = cost_of_served(&samples).kernel.unwrap().per_connection;
                assert!((kernel / 4036.0 / own - 1.0).abs() < 0.03, "{descriptors} {there} {grows}: {kernel}");
            }
        }
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
