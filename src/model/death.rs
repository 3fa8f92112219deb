//! How a process ended: the kernel's counters tell an OOM kill from another `SIGKILL`.

use std::collections::VecDeque;
use std::sync::Arc;

use signal_hook::low_level::signal_name;

use crate::limits::{Headroom, all_chains, bound, tightest};
use crate::protocol::Role;
use crate::sample::{HeapUse, MemCgroup, Sample, Watched};
use crate::units;

use super::engine::{Cause, Death};
use super::entry;
use super::kernel_log::{self as logged, KernelLog};
use super::now::{Now, RunPhase};

/// Time looked back over, milliseconds: the counters rise at the kill, and the process is seen alive until the kernel has
/// closed its sockets, of which 37,000 take a second and a million take ten.
const BACK_MS: u64 = 30_000;
/// The newest samples are all kept, older ones one a second.
const DENSE: usize = 4;
/// See [`DENSE`].
const APART_MS: u64 = 1000;
/// A heap of which so many percent were certainly in use, and perhaps so many, when its process was last seen: that is why it is
/// gone. V8 gives up from 80 on ("Ineffective mark-compacts near heap limit").
const FULL_HEAP: (f64, f64) = (80.0, 90.0);

/// How long the fullest heap counts, milliseconds: full ones are collected over and over before they are given up (7 s, node 20
/// at 64 MiB).
const LATE_MS: u64 = 10_000;

/// `SIGKILL`, signal(7).
const SIGKILL: i32 = 9;

/// What one sample tells of processes that may be about to die.
#[derive(Debug, Clone, Default)]
struct Seen {
    t_ms: u64,
    oom_kills: Option<u64>,
    /// Highest count that holds for this moment: own count, or the peak of whoever still counts.
    connections: u64,
    phase: RunPhase,
    /// Number and resident memory.
    alive: Vec<(u32, Option<u64>)>,
    /// The counters of their memory cgroups. They stand still but when something dies, and are shared until then.
    groups: Arc<Vec<GroupCounters>>,
}

/// What a memory cgroup counts when it is full.
#[derive(Debug, Clone, PartialEq, Eq)]
struct GroupCounters {
    path: String,
    oom_kills: u64,
    max_hits: u64,
}

/// The heap of a process when it was fullest of late: a JVM whose threads end collects once more before it exits.
#[derive(Debug, Clone)]
struct Heap {
    pid: u32,
    t_ms: u64,
    used: HeapUse,
    /// What sets its limit.
    set_by: String,
}

/// The last samples.
#[derive(Debug, Clone, Default)]
pub(super) struct Witness {
    /// Shared by copies: none is changed any more.
    seen: VecDeque<Arc<Seen>>,
    /// The cgroups of each process when limits of them were last seen: at its end version 1 shows it in the root before it is
    /// gone.
    chains: Vec<(u32, Arc<[MemCgroup]>)>,
    /// The heap of each process of late.
    heaps: Vec<Heap>,
}

impl Witness {
    /// Takes a sample.
    pub(super) fn update(&mut self, sample: &Sample, now: &Now) {
        // A process takes a while to die, and what was counted before it began to is what its end is judged by.
        let known = |pid| self.seen.back().is_some_and(|s| s.alive.iter().any(|a| a.0 == pid && a.1.is_some()));
        if sample.kernel.processes.iter().any(|t| t.is_ending() && known(t.pid)) {
            return;
        }
        for process in sample.kernel.processes.iter().filter(|t| t.alive) {
            let (Ok(Some(heap)), Ok(Some(limit))) = (&process.heap, &process.runtime) else { continue };
            let new = || Heap { pid: process.pid, t_ms: sample.t_ms, used: *heap, set_by: limit.set_by.clone() };
            let known = entry(&mut self.heaps, |h| h.pid == process.pid, new);
            if heap.least_bytes >= known.used.least_bytes || known.t_ms + LATE_MS < sample.t_ms {
                (known.t_ms, known.used) = (sample.t_ms, *heap);
            }
        }
        // A cgroup that is full may hold up the dashboard as well, for longer than that: the last samples stay in any case.
        while self.seen.len() > DENSE && self.seen.front().is_some_and(|s| s.t_ms + BACK_MS < sample.t_ms) {
            self.seen.pop_front();
        }
        let aging = self.seen.len().saturating_sub(DENSE);
        if aging > 0 && self.seen[aging].t_ms < self.seen[aging - 1].t_ms + APART_MS {
            self.seen.remove(aging);
        }
        let groups = self.groups(sample);
        let alive = sample.kernel.processes.iter().filter(|t| t.alive);
        self.seen.push_back(Arc::new(Seen {
            t_ms: sample.t_ms,
            oom_kills: sample.kernel.host.oom_kills.as_ref().ok().copied(),
            connections: now.connections,
            phase: now.phase,
            alive: alive.map(|t| (t.pid, t.rss_bytes.as_ref().ok().copied())).collect(),
            groups,
        }));
    }

    /// Follows the cgroups of the living; what they count.
    fn groups(&mut self, sample: &Sample) -> Arc<Vec<GroupCounters>> {
        let mut groups: Vec<GroupCounters> = Vec::new();
        let mut chains: Vec<Arc<[MemCgroup]>> = Vec::new();
        for process in sample.kernel.processes.iter().filter(|t| t.alive) {
            let chain = process.memcg.as_deref().unwrap_or_default();
            // Several processes have the same as a rule.
            let known = chains.iter().position(|c| **c == *chain).unwrap_or_else(|| {
                for MemCgroup { path, oom_kills, max_hits, .. } in chain {
                    if groups.iter().all(|g| g.path != *path) {
                        groups.push(GroupCounters { path: path.clone(), oom_kills: *oom_kills, max_hits: *max_hits });
                    }
                }
                chains.push(chain.into());
                chains.len() - 1
            });
            let limits = |chain: &[MemCgroup]| chain.iter().any(|g| bound(g).is_some());
            let new = || (process.pid, Arc::clone(&chains[known]));
            let kept = entry(&mut self.chains, |c| c.0 == process.pid, new);
            if limits(chain) || !limits(&kept.1) {
                kept.1 = Arc::clone(&chains[known]);
            }
        }
        let seen = &self.seen;
        self.chains.retain(|(pid, _)| {
            let alive = |seen: &Seen| seen.alive.iter().any(|a| a.0 == *pid);
            sample.kernel.processes.iter().any(|t| t.pid == *pid) || seen.iter().any(|seen| alive(seen))
        });
        let before = self.seen.back().filter(|seen| *seen.groups == groups);
        before.map_or_else(|| groups.into(), |seen| Arc::clone(&seen.groups))
    }

    /// How `pid` ended, given its wait status and the sample taken after, and the sentence for it.
    pub(super) fn judge(
        &self,
        (role, name): (Option<Role>, &str),
        pid: u32,
        status: Cause,
        after: Option<&Sample>,
        now: &Now,
        log: &KernelLog,
    ) -> (Death, String) {
        // The last sample that saw it alive; the count then is the nearest to the count at its death, unless the other
        // engine still counted on.
        let last = self.seen.iter().rev().find(|s| s.alive.iter().any(|a| a.0 == pid));
        let survivor = after.iter().flat_map(|s| s.counters()).find_map(|own| {
            // A server that has seen earlier runs may have peaked in one of them.
            (own.role == Role::Client || own.opened <= own.peak + own.peak / 100).then_some(own.peak)
        });
        let count = last.map_or(now.connections, |s| s.connections);
        let at_connections = match last.map(|s| s.phase) {
            Some(RunPhase::Closing | RunPhase::Closed) => count,
            phase => {
                // A large process takes a while to die, and the other end loses its connections meanwhile: the highest
                // count just before is the one that counts, in a ramp also what the survivor reached since.
                let before = self.seen.iter().map(|s| s.connections).max().unwrap_or(0).max(count);
                let ramping = matches!(phase, Some(RunPhase::Ramping | RunPhase::Starting));
                let its = after.and_then(|s| s.watched().find(|w| w.pid == pid)).and_then(Watched::stats);
                let before = before.max(its.map_or(0, |s| s.open));
                before.max(survivor.filter(|_| ramping).unwrap_or(0))
            }
        };
        let cause = match status {
            // The log names the process. Without it the counters tell, by when they rose; but only of one that SIGKILL ended,
            // for the counters are not its own: a process that vanished may have ended while another one was killed.
            Cause::Signal(SIGKILL) | Cause::Vanished => match log.verdict(pid) {
                logged::Verdict::NotKilled | logged::Verdict::Unknown if status == Cause::Vanished => {
                    self.vanished(pid)
                }
                logged::Verdict::NotKilled => status,
                logged::Verdict::ByMachine => Cause::OomKilled { cgroup: None },
                logged::Verdict::ByCgroup => {
                    let counted = after.and_then(|s| self.oom(pid, s));
                    let named = matches!(counted, Some(Cause::OomKilled { cgroup: Some(_) }));
                    counted.filter(|_| named).unwrap_or_else(|| Cause::OomKilled { cgroup: self.nearest(pid) })
                }
                logged::Verdict::Killed => {
                    after.and_then(|s| self.oom(pid, s)).unwrap_or(Cause::OomKilled { cgroup: None })
                }
                logged::Verdict::Unknown => after.and_then(|s| self.oom(pid, s)).unwrap_or(status),
            },
            other => other,
        };
        let death = Death { role, name: name.to_owned(), pid, cause, at_connections, t_ms: now.t_ms };
        let text = self.sentence(&death) + &log.quote_kill(pid);
        (death, text)
    }

    /// Why a process is gone that nobody saw end.
    fn vanished(&self, pid: u32) -> Cause {
        // In whole percent, as it is told: what is said to be at 80 % is taken to be. A node is read so now and then.
        let full = |heap: &HeapUse| {
            let (least, most) = heap_percent(heap);
            least.round() >= FULL_HEAP.0 && most >= FULL_HEAP.1
        };
        if self.heaps.iter().any(|h| h.pid == pid && full(&h.used)) { Cause::OutOfHeap } else { Cause::Vanished }
    }

    /// Its heap when that was last read, if it may have been full, for the sentence.
    fn heap(&self, pid: u32) -> String {
        let full = |heap: &HeapUse| heap_percent(heap).1 >= FULL_HEAP.1;
        self.heaps.iter().find(|h| h.pid == pid && full(&h.used)).map_or(String::new(), |h| of_heap(&h.used, &h.set_by))
    }

    /// The OOM kill that took `pid`, if the counters show one.
    fn oom(&self, pid: u32, after: &Sample) -> Option<Cause> {
        let before = self.seen.front()?;
        let chain = self.chain(pid)?;
        let now_of = |path: &str| all_chains(&after.kernel).flatten().find(|g| g.path == path);
        let count = |g: &MemCgroup| (g.oom_kills, g.max_hits);
        let then_of = |path: &str| {
            let before = before.groups.iter().find(|g| g.path == path).map(|g| (g.oom_kills, g.max_hits));
            before.or_else(|| chain.iter().find(|g| g.path == path).map(count))
        };
        let limiting = chain.iter().filter(|g| bound(g).is_some());
        let rose = |g: &&MemCgroup, read: fn((u64, u64)) -> u64| {
            now_of(&g.path).zip(then_of(&g.path)).is_some_and(|(now, then)| read(count(now)) > read(then))
        };
        let kills = after.kernel.host.oom_kills.as_ref().ok().zip(before.oom_kills.as_ref());
        let host_rose = kills.is_some_and(|(now, then)| now > then);
        let killed: Vec<&MemCgroup> = limiting.filter(|g| rose(g, |counts| counts.0)).collect();
        if killed.is_empty() && !host_rose {
            return None;
        }
        // A kill for the whole machine counts in the victim's cgroup as well; then no limit of a cgroup was met.
        let met = killed.iter().find(|g| rose(g, |counts| counts.1));
        let roomy = Headroom::of(&after.kernel, None).is_none_or(|h| h.bytes as f64 > 0.05 * h.capacity_bytes as f64);
        // With the cgroup gone or unreadable: a machine with room to spare does not kill, so its limit did.
        let nearest = killed.first().map_or_else(|| self.nearest(pid), |g| Some(g.path.clone()));
        Some(Cause::OomKilled { cgroup: met.map(|g| g.path.clone()).or(nearest.filter(|_| roomy)) })
    }

    /// The cgroup whose limit was nearest when `pid` was last seen alive.
    fn nearest(&self, pid: u32) -> Option<String> {
        tightest(self.chain(pid).into_iter()).first().map(|g| g.path.clone())
    }

    /// The cgroups of `pid` when limits of them were last seen. `None` for one never seen alive.
    fn chain(&self, pid: u32) -> Option<&[MemCgroup]> {
        self.chains.iter().find(|c| c.0 == pid).map(|c| &*c.1)
    }

    fn sentence(&self, death: &Death) -> String {
        let who = death.process();
        let at = format!("at {} connections", units::grouped(death.at_connections));
        let rss = self.seen.iter().rev().find_map(|s| s.alive.iter().find(|a| a.0 == death.pid)?.1);
        // Of our engines we know what they hold.
        let whose =
            if death.role.is_some() { "; it went into kernel socket memory, which RSS does not show" } else { "" };
        let rss = rss.map_or(String::new(), |rss| format!(" (RSS was {}{whose})", units::bytes(rss)));
        match &death.cause {
            Cause::Exit(0) => format!("{who} ended {at}"),
            Cause::Exit(code) => format!("{who} ended with exit code {code} {at}"),
            Cause::Signal(signal) => {
                let name = signal_name(*signal).map_or(String::new(), |name| format!(" ({name})"));
                format!("{who} was ended by signal {signal}{name} {at}")
            }
            Cause::OutOfHeap => format!("{who} is gone {at}{}: it ran out of heap", self.heap(death.pid)),
            Cause::Vanished => {
                let heap = self.heap(death.pid);
                format!("{who} is gone {at}; it was not started here, so how it ended is unknown{heap}")
            }
            Cause::OomKilled { cgroup: Some(path) } => {
                let group = self.chain(death.pid).and_then(|c| c.iter().find(|g| g.path == *path));
                let limit = group.and_then(bound);
                let limit_text = limit.map_or(String::new(), |l| format!(" of {}", units::bytes(l)));
                format!(
                    "{who} was killed by the kernel's OOM killer {at}: memory cgroup {path} reached its limit{limit_text}{rss}"
                )
            }
            Cause::OomKilled { cgroup: None } => {
                format!("{who} was killed by the kernel's OOM killer {at}: the machine had no memory left{rss}")
            }
        }
    }
}

/// How full a heap was, at least and at most.
fn heap_percent(heap: &HeapUse) -> (f64, f64) {
    let percent = |bytes: u64| bytes.min(heap.limit_bytes) as f64 / heap.limit_bytes.max(1) as f64 * 100.0;
    (percent(heap.least_bytes), percent(heap.most_bytes))
}

/// How full a heap was, for the sentence.
fn of_heap(heap: &HeapUse, set_by: &str) -> String {
    let (least, most) = heap_percent(heap);
    let limit = units::bytes(heap.limit_bytes);
    let share = if most - least < 1.0 { format!("{least:.0}") } else { format!("{least:.0} to {most:.0}") };
    format!("; its heap was at {share} % of its limit of {limit} ({set_by})")
}

#[cfg(test)]
mod tests {
    use super::super::synthetic;
    use super::*;
    use crate::sample::{Absent, HeapSource, Log, LogLine, LogTopic, Runtime, RuntimeLimit};

    const LIMIT: u64 = 400 << 20;
    const SERVER: (Option<Role>, &str) = (Some(Role::Server), "server");
    const CLIENT: (Option<Role>, &str) = (Some(Role::Client), "client");

    /// A ramp to 62,300 with the server dead in the last sample, which `after` then changes.
    fn judge(limited: bool, status: Cause, after: impl Fn(&mut Sample)) -> (Death, String) {
        let mut witness = Witness::default();
        let now = |n| Now { connections: n, phase: RunPhase::Ramping, ..Now::default() };
        for (i, n) in [0, 20_000, 40_000, 62_000].into_iter().enumerate() {
            let mut sample = synthetic::sample(n, i as u64 * 400);
            if limited {
                synthetic::with_memcg(&mut sample, "/c1m", LIMIT);
            }
            witness.update(&sample, &now(n));
        }
        let mut last = synthetic::sample(62_300, 2000);
        if limited {
            synthetic::with_memcg(&mut last, "/c1m", LIMIT);
        }
        last.kernel.processes[0].alive = false;
        last.engines[0].stats = Err(Absent::because("process gone"));
        after(&mut last);
        witness.update(&last, &now(62_300));
        witness.judge(SERVER, 4021, status, Some(&last), &now(62_300), &KernelLog::default())
    }

    fn rise(sample: &mut Sample, oom: u64, hits: u64) {
        for group in sample.kernel.processes.iter_mut().flat_map(|t| t.memcg.as_mut().unwrap()) {
            group.oom_kills += oom;
            group.max_hits += hits;
        }
    }

    fn oom(path: Option<&str>) -> Cause {
        Cause::OomKilled { cgroup: path.map(ToOwned::to_owned) }
    }

    type Row = (&'static str, bool, Cause, fn(&mut Sample), Cause);

    #[test]
    fn a_kill_is_judged_by_its_counters() {
        let rows: [Row; 7] = [
            ("kill -9", true, Cause::Signal(9), |_| (), Cause::Signal(9)),
            (
                "another signal while others are killed",
                false,
                Cause::Signal(15),
                |s| s.kernel.host.oom_kills = Ok(3),
                Cause::Signal(15),
            ),
            ("cgroup", true, Cause::Signal(9), |s| rise(s, 1, 5), oom(Some("/c1m"))),
            ("host", false, Cause::Signal(9), |s| s.kernel.host.oom_kills = Ok(1), oom(None)),
            (
                "cgroup gone since, machine roomy",
                true,
                Cause::Signal(9),
                |s| {
                    s.kernel.host.oom_kills = Ok(1);
                    s.kernel.processes.iter_mut().for_each(|t| t.memcg = Err(Absent::because("gone")));
                },
                oom(Some("/c1m")),
            ),
            (
                "host kill counted in a roomy cgroup",
                true,
                Cause::Signal(9),
                |s| {
                    rise(s, 1, 0);
                    s.kernel.host.oom_kills = Ok(1);
                    let mem = s.kernel.host.mem.as_mut().unwrap();
                    (mem.free, mem.active_file, mem.inactive_file) = (0, 0, 0);
                },
                oom(None),
            ),
            ("exit", false, Cause::Exit(2), |s| s.kernel.host.oom_kills = Ok(1), Cause::Exit(2)),
        ];
        for (name, limited, status, after, want) in rows {
            let (death, text) = judge(limited, status, after);
            assert_eq!(death.cause, want, "{name}: {text}");
            assert_eq!(death.at_connections, 62_300, "{name}: the client counted on");
        }
    }

    #[test]
    fn a_standstill_before_the_kill_loses_no_cgroup() {
        let mut witness = Witness::default();
        let now = |n| Now { connections: n, phase: RunPhase::Ramping, ..Now::default() };
        let mut log = KernelLog::default();
        let mut last = synthetic::sample(0, 0);
        // Both ends and the dashboard are in the cgroup that is full: no sample for 40 seconds.
        for (t_ms, n) in [(0, 0), (1000, 5_000), (1900, 9_500), (42_000, 9_800)] {
            last = synthetic::sample(n, t_ms);
            synthetic::with_memcg(&mut last, "/c1m", LIMIT);
            if t_ms > 40_000 {
                last.kernel.processes[0].memcg = Err(Absent::because("gone"));
                let text = "Memory cgroup out of memory: Killed process 4021 (c1m-top) total-vm:5kB".to_owned();
                let line = LogLine { topic: LogTopic::OomKill { pid: 4021, cgroup: Some(true) }, text };
                last.kernel.host.log = Ok(Log { lines: vec![line], whole: true });
            }
            witness.update(&last, &now(n));
            log.update(&last);
        }
        let (death, text) = witness.judge(SERVER, 4021, Cause::Signal(9), Some(&last), &now(9_800), &log);
        assert_eq!(death.cause, oom(Some("/c1m")), "{text}");
    }

    #[test]
    fn the_log_knows_whom_the_oom_killer_took_and_why() {
        let now = Now { connections: 1000, ..Now::default() };
        let kill = |cgroup, text: &str| LogLine { topic: LogTopic::OomKill { pid: 4021, cgroup }, text: text.into() };
        let unsaid = kill(None, "Killed process 4021 (c1m-top) total-vm:5kB");
        let of_group = kill(Some(true), "Memory cgroup out of memory: Killed process 4021 (c1m-top) total-vm:5kB");
        let of_machine = kill(Some(false), "Out of memory: Killed process 4021 (c1m-top) total-vm:5kB");
        let signal = Cause::Signal(9);
        let rows = [
            // The line, whether the cgroup's counters rose, process, status, cause.
            (Some(&of_group), true, 4021, &signal, oom(Some("/c1m"))),
            (Some(&of_group), false, 4021, &signal, oom(Some("/c1m"))),
            (Some(&of_machine), true, 4021, &signal, oom(None)),
            (Some(&of_group), true, 4021, &Cause::Vanished, oom(Some("/c1m"))),
            (Some(&of_group), true, 4022, &signal, signal.clone()),
            (Some(&of_group), true, 4022, &Cause::Vanished, Cause::Vanished),
            (None, false, 4021, &signal, signal.clone()),
            (Some(&unsaid), true, 4021, &signal, oom(Some("/c1m"))),
            (Some(&unsaid), false, 4021, &signal, oom(None)),
        ];
        for (line, counted, pid, status, want) in rows {
            let mut witness = Witness::default();
            let mut sample = synthetic::sample(1000, 0);
            synthetic::with_memcg(&mut sample, "/c1m", LIMIT);
            witness.update(&sample, &now);
            rise(&mut sample, u64::from(counted), u64::from(counted));
            sample.kernel.host.log = Ok(Log { lines: line.into_iter().cloned().collect(), whole: true });
            let mut log = KernelLog::default();
            log.update(&sample);
            let (death, text) = witness.judge((None, "x"), pid, status.clone(), Some(&sample), &now, &log);
            assert_eq!(death.cause, want, "{line:?} {counted} {pid} {status:?}");
            assert_eq!(text.contains("; the kernel's log: "), death.cause != *status, "{text}");
        }
        // Without the log a process that only vanished is no victim of a kill that was counted meanwhile.
        for (status, want) in [(Cause::Vanished, Cause::Vanished), (Cause::Signal(9), oom(Some("/c1m")))] {
            assert_eq!(judge(true, status, |s| rise(s, 1, 5)).0.cause, want);
        }
    }

    #[test]
    fn a_slow_death_is_judged_by_what_was_counted_before_it() {
        let mut witness = Witness::default();
        let mut sample = synthetic::sample(50_000, 0);
        synthetic::with_memcg(&mut sample, "/c1m", LIMIT);
        witness.update(&sample, &Now::default());
        rise(&mut sample, 1, 5);
        sample.kernel.processes[0].rss_bytes = Err(Absent::because("the process is ending"));
        for _ in 0..2 * DENSE {
            witness.update(&sample, &Now::default());
        }
        let (death, _) =
            witness.judge(SERVER, 4021, Cause::Signal(9), Some(&sample), &Now::default(), &KernelLog::default());
        assert_eq!(death.cause, oom(Some("/c1m")));
    }

    #[test]
    fn the_limit_that_was_met_is_named_not_the_nearest() {
        let chain = |hits: [u64; 2], kills| {
            let group = |path: &str, limit, max_hits| MemCgroup {
                path: path.into(),
                dir: path.into(),
                version: 2,
                used: 1 << 20,
                limit: Some(limit),
                with_swap: None,
                file_bytes: 0,
                oom_kills: kills,
                max_hits,
            };
            Ok(vec![group("/pod/c1m", LIMIT, hits[0]), group("/pod", 2 * LIMIT, hits[1])])
        };
        for (hits, want) in [([4, 9], "/pod/c1m"), ([0, 9], "/pod")] {
            let mut witness = Witness::default();
            let mut sample = synthetic::sample(50_000, 0);
            sample.kernel.processes.iter_mut().for_each(|t| t.memcg = chain([0, 0], 0));
            witness.update(&sample, &Now::default());
            sample.kernel.processes.iter_mut().for_each(|t| t.memcg = chain(hits, 1));
            let (death, _) =
                witness.judge(SERVER, 4021, Cause::Signal(9), Some(&sample), &Now::default(), &KernelLog::default());
            assert_eq!(death.cause, oom(Some(want)));
        }
    }

    #[test]
    fn the_count_is_the_one_before_the_other_end_lost_its_connections() {
        let mut witness = Witness::default();
        let now = |n| Now { connections: n, phase: RunPhase::Ramping, ..Now::default() };
        // The client is killed and takes a moment to die: without its answer the server's count is shown, which falls.
        for (n, answers) in [(1_800, true), (1_000, false)] {
            let mut sample = synthetic::sample(n, 400);
            if !answers {
                sample.engines[1].stats = Err(Absent::because("no answer"));
            }
            witness.update(&sample, &now(n));
        }
        let mut last = synthetic::sample(3, 900);
        last.kernel.processes[1].alive = false;
        last.engines[1].stats = Err(Absent::because("process gone"));
        if let Ok(server) = &mut last.engines[0].stats {
            server.peak = 1_950;
        }
        let (death, _) = witness.judge(CLIENT, 4022, Cause::Signal(9), Some(&last), &now(3), &KernelLog::default());
        assert_eq!(death.at_connections, 1_950);
    }

    #[test]
    fn a_kill_is_told_by_its_counter_however_long_the_process_takes_to_die() {
        let mut witness = Witness::default();
        let now = Now { connections: 37_000, phase: RunPhase::Ramping, ..Now::default() };
        let at = |t_ms, kills| {
            let mut sample = synthetic::sample(37_000, t_ms);
            synthetic::with_memcg(&mut sample, "/c1m", LIMIT);
            rise(&mut sample, kills, kills * 9);
            sample
        };
        // Killed at 5 s, seen alive until 12 s, a sample every 100 ms.
        (0..120).for_each(|i| witness.update(&at(i * 100, u64::from(i > 50)), &now));
        assert!(witness.seen.len() < 24, "{}", witness.seen.len());
        let mut after = at(12_000, 1);
        after.kernel.processes[0].alive = false;
        let (death, _) = witness.judge(
            SERVER,
            after.kernel.processes[0].pid,
            Cause::Signal(9),
            Some(&after),
            &now,
            &KernelLog::default(),
        );
        assert_eq!(death.cause, Cause::OomKilled { cgroup: Some("/c1m".into()) });
        // A minute later another kill is another matter.
        (130..700).for_each(|i| witness.update(&at(i * 100, 1), &now));
        let (death, _) = witness.judge(
            CLIENT,
            after.kernel.processes[1].pid,
            Cause::Signal(9),
            Some(&at(70_000, 1)),
            &now,
            &KernelLog::default(),
        );
        assert_eq!(death.cause, Cause::Signal(9));
    }

    #[test]
    fn a_full_heap_is_why_its_process_is_gone() {
        const MIB: u64 = 1 << 20;
        let limit = RuntimeLimit {
            runtime: Runtime::V8,
            limit: 64 * MIB,
            set_by: "--max-old-space-size=64".into(),
            besides: 32 * MIB,
        };
        let of = |heap: Option<(u64, u64)>, status: Cause| {
            let mut sample = synthetic::host_only(0);
            synthetic::foreign(&mut sample, 77, "node", 900, 1024);
            sample.kernel.processes[0].runtime = Ok(Some(limit.clone()));
            sample.kernel.processes[0].heap = Ok(heap.map(|(least, most)| HeapUse {
                least_bytes: least * MIB,
                most_bytes: most * MIB,
                limit_bytes: 64 * MIB,
                by: HeapSource::Pages,
            }));
            let mut witness = Witness::default();
            let now = Now { connections: 4_300, ..Now::default() };
            witness.update(&sample, &now);
            // Collected once more on its way out.
            if let Ok(Some(heap)) = &mut sample.kernel.processes[0].heap {
                (heap.least_bytes, heap.most_bytes) = (0, MIB);
            }
            witness.update(&sample, &now);
            sample.kernel.processes[0].alive = false;
            sample.kernel.processes[0].heap = Err(Absent::ProcessEnded);
            witness.update(&sample, &now);
            witness.judge((None, "node"), 77, status, Some(&sample), &now, &KernelLog::default())
        };
        let (death, text) = of(Some((56, 88)), Cause::Vanished);
        assert_eq!(death.cause, Cause::OutOfHeap);
        assert_eq!(
            text,
            "node (77) is gone at 4,300 connections; its heap was at 88 to 100 % of its limit of 64.0 MiB \
             (--max-old-space-size=64): it ran out of heap"
        );
        let (death, text) = of(Some((63, 63)), Cause::Vanished);
        assert!(death.cause == Cause::OutOfHeap && text.contains("was at 98 % of its limit"), "{text}");
        let (death, text) = of(Some((51, 64)), Cause::Vanished);
        assert!(death.cause == Cause::OutOfHeap && text.contains("was at 80 to 100 % of its limit"), "{text}");
        // What may be is said as that, and what is too little is not said.
        let (death, text) = of(Some((30, 62)), Cause::Vanished);
        assert!(death.cause == Cause::Vanished && text.contains("is unknown; its heap was at 47 to 97 %"), "{text}");
        for heap in [None, Some((10, 42)), Some((56, 57))] {
            let (death, text) = of(heap, Cause::Vanished);
            assert!(death.cause == Cause::Vanished && !text.contains("heap"), "{text}");
        }
        assert_eq!(of(Some((63, 63)), Cause::Signal(9)).0.cause, Cause::Signal(9));
    }

    #[test]
    fn the_sentence_names_cgroup_limit_and_count() {
        let (_, text) = judge(true, Cause::Signal(9), |s| rise(s, 1, 5));
        assert_eq!(
            text,
            "server engine 4021 was killed by the kernel's OOM killer at 62,300 connections: memory cgroup /c1m reached its \
             limit of 400 MiB (RSS was 4.12 MiB; it went into kernel socket memory, which RSS does not show)"
        );
        let (_, text) = judge(false, Cause::Signal(9), |_| ());
        assert_eq!(text, "server engine 4021 was ended by signal 9 (SIGKILL) at 62,300 connections");
    }
}
