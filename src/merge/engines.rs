//! Several engines of a role as one: sums of what they count, the least of what bounds each.

use std::collections::BTreeMap;

use super::times;
use crate::protocol::{EngineStats, ErrorCount, Hello, Phase, Role, Times, Traffic};
use crate::sample::{Absent, EngineReading, Process, Reading};

/// An engine of one part, as it was last seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held<'a> {
    pub(super) hello: &'a Hello,
    pub(super) process: &'a Process,
    pub(super) stats: &'a EngineStats,
    /// It lives, and its recording covers this moment.
    pub(super) live: bool,
    /// When it was started, microseconds after the first part was.
    pub(super) start_us: u64,
}

/// What is carried from one moment to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    peak: u64,
    /// The peak whose time is kept, and that time, microseconds.
    timed: (u64, Option<u64>),
    connect: times::Sum,
    handshake: times::Sum,
    lifetime: times::Sum,
    echo: times::Sum,
}

/// A count that has not reached a new peak for so long stands still, microseconds: what rises later by less than a hundredth is no
/// ramp (as an engine does it).
const STANDSTILL_US: u64 = 1_000_000;

impl Memory {
    fn rose(&mut self, open: u64, now_us: u64) {
        if open <= self.peak {
            return;
        }
        self.peak = open;
        let (known, at) = self.timed;
        if at.is_none_or(|at| now_us < at + STANDSTILL_US) || open > known + known / 100 {
            self.timed = (open, Some(now_us));
        }
    }
}

/// The moment, and what no engine of it tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// Connections that all aim at.
    pub(super) target: u64,
    /// Some have not begun.
    pub(super) waits: bool,
    /// Microseconds after the first part started.
    pub(super) us: u64,
}

/// All of them as one engine at this moment.
pub(super) fn together(
    role: Role,
    held: &[Held<'_>],
    now: Now,
    memory: &mut Memory,
) -> Option<(Process, EngineReading)> {
    let first = held.first()?;
    let all = || held.iter().map(|h| h.stats);
    let live = || held.iter().filter(|h| h.live).map(|h| h.stats);
    let sum = |of: fn(&EngineStats) -> u64| all().map(of).sum::<u64>();
    let present = |of: fn(&EngineStats) -> u64| live().map(of).sum::<u64>();
    let least = |of: fn(&EngineStats) -> u64| all().map(of).filter(|n| *n > 0).min().unwrap_or(0);
    let open = present(|s| s.open);
    memory.rose(open, now.us);
    let texts = |of: fn(&Times) -> &String| all().map(|s| of(&s.times).clone()).collect::<Vec<_>>();
    let same_ports = held.iter().all(|h| (h.hello.port, h.hello.ports) == (first.hello.port, first.hello.ports));
    let stats = EngineStats {
        role,
        pid: pid(role),
        t_us: now.us,
        silent_ms: live().map(|s| s.silent_ms).max().unwrap_or(0),
        phase: phase(held, now.waits),
        target: now.target,
        open,
        peak: memory.peak,
        opened: sum(|s| s.opened),
        closed: sum(|s| s.closed),
        lost: sum(|s| s.lost),
        refused: sum(|s| s.refused),
        lifetime: memory.lifetime.of(texts(|t| &t.lifetime)),
        backoff_ms: live().map(|s| s.backoff_ms).max().unwrap_or(0),
        in_flight: present(|s| s.in_flight),
        greet: all().any(|s| s.greet),
        greeted: sum(|s| s.greeted),
        rate_limit: all().map(|s| s.rate_limit).sum(),
        ceiling: None,
        errors: errors(all()),
        tables: all().map(|s| s.tables).sum(),
        tables_max: all().map(|s| s.tables_max).fold(0, u32::saturating_add),
        table_limit: least(|s| s.table_limit),
        table_room: least(|s| s.table_room),
        descriptors: present(|s| s.descriptors),
        capacity: all().map(|s| s.capacity).sum(),
        buffered_bytes: present(|s| s.buffered_bytes),
        cpu_us: sum(|s| s.cpu_us),
        ramp_started_us: held.iter().filter_map(|h| Some(h.start_us + h.stats.ramp_started_us?)).min(),
        peak_us: memory.timed.1,
        // Of a ramp that goes on somewhere it is not over.
        ramp_cpu_us: if now.waits { None } else { all().map(|s| s.ramp_cpu_us).sum() },
        connect: memory.connect.of(texts(|t| &t.connect)),
        handshake: memory.handshake.of(texts(|t| &t.handshake)),
        connect_spread: by_place(all().map(|s| &s.connect_spread)),
        connect_sum_us: sum(|s| s.connect_sum_us),
        handshake_spread: by_place(all().map(|s| &s.handshake_spread)),
        handshake_sum_us: sum(|s| s.handshake_sum_us),
        echo_spread: by_place(all().map(|s| &s.echo_spread)),
        echo_sum_us: sum(|s| s.echo_sum_us),
        times: Times::default(),
        table_use: live().flat_map(|s| s.table_use.iter().copied()).collect(),
        port_given: if same_ports { by_place(all().map(|s| &s.port_given)) } else { Vec::new() },
        source_given: all().flat_map(|s| s.source_given.iter().copied()).collect(),
        traffic: traffic(all().filter_map(|s| s.traffic), memory, texts(|t| &t.echo)),
        stop: all().find_map(|s| s.stop.clone()),
        events: Vec::new(),
    };
    let hello = Hello { pid: pid(role), owner: 0, target: now.target, page: 0, ..first.hello.clone() };
    Some((process(role, held), EngineReading { hello, stats: Ok(Box::new(stats)) }))
}

/// There is no such process: what tells the two apart.
fn pid(role: Role) -> u32 {
    match role {
        Role::Server => 1,
        Role::Client => 2,
    }
}

/// What all of them are doing: the ramp goes on while one of them is on its way or has yet to begin, and all is held when all hold. Parts whose
/// recording has ended no longer count while others go on.
fn phase(held: &[Held<'_>], waits: bool) -> Phase {
    let live: Vec<Phase> = held.iter().filter(|h| h.live).map(|h| h.stats.phase).collect();
    let phases = if live.is_empty() { held.iter().map(|h| h.stats.phase).collect() } else { live };
    let any = |phase| phases.contains(&phase);
    let starting = waits || any(Phase::Starting);
    if phases.iter().all(|phase| *phase == Phase::Starting) {
        return Phase::Starting;
    }
    let order = [Phase::Ramping, Phase::Paused, Phase::Guarded, Phase::Stopped];
    if let Some(phase) = order.into_iter().find(|phase| any(*phase)).filter(|_| !starting) {
        return phase;
    }
    match (starting, any(Phase::Holding), any(Phase::Closing), any(Phase::Closed)) {
        (true, ..) => Phase::Ramping,
        (_, true, false, false) => Phase::Holding,
        (_, true, ..) | (_, _, true, _) => Phase::Closing,
        _ => Phase::Closed,
    }
}

fn errors<'a>(all: impl Iterator<Item = &'a EngineStats>) -> Vec<ErrorCount> {
    let mut sums: BTreeMap<(&str, i32), ErrorCount> = BTreeMap::new();
    for error in all.flat_map(|s| &s.errors) {
        let none = || ErrorCount { count: 0, ..error.clone() };
        sums.entry((error.op.as_str(), error.errno)).or_insert_with(none).count += error.count;
    }
    sums.into_values().collect()
}

fn by_place<'a>(lists: impl Iterator<Item = &'a Vec<u64>>) -> Vec<u64> {
    lists.fold(Vec::new(), |mut sums, list| {
        sums.resize(sums.len().max(list.len()), 0);
        for (sum, n) in sums.iter_mut().zip(list) {
            *sum += n;
        }
        sums
    })
}

fn traffic(all: impl Iterator<Item = Traffic>, memory: &mut Memory, echoes: Vec<String>) -> Option<Traffic> {
    let sum = all.reduce(|a, b| Traffic {
        active: a.active + b.active,
        sent: a.sent + b.sent,
        echoed: a.echoed + b.echoed,
        echoed_bytes: a.echoed_bytes + b.echoed_bytes,
        mismatched: a.mismatched + b.mismatched,
        late: a.late + b.late,
        overdue: a.overdue + b.overdue,
        skipped: a.skipped + b.skipped,
        ..a
    })?;
    Some(Traffic { echo: memory.echo.of(echoes), ..sum })
}

fn each<T>() -> Reading<T> {
    Err(Absent::because("of several processes, each with its own"))
}

/// The process that all of them are: what it has, and no bound, which is each one's own.
fn process(role: Role, held: &[Held<'_>]) -> Process {
    let live = || held.iter().filter(|h| h.live).map(|h| h.process);
    let sum = |of: fn(&Process) -> &Reading<u64>| {
        live().map(of).try_fold(0, |all, one| Ok(all + *one.as_ref().map_err(Clone::clone)?))
    };
    // CPU that has been used stays used.
    let used = |of: fn(&Process) -> &Reading<u64>| Ok(held.iter().filter_map(|h| of(h.process).as_ref().ok()).sum());
    Process {
        pid: pid(role),
        name: role.name().to_owned(),
        alive: true,
        rss_bytes: sum(|p| &p.rss_bytes),
        cpu_us: used(|p| &p.cpu_us),
        system_us: used(|p| &p.system_us),
        stopped: live().any(|p| p.stopped),
        threads: sum(|p| &p.threads),
        descriptors: sum(|p| &p.descriptors),
        nofile: each(),
        nofile_at_start: None,
        user_threads: each(),
        runtime: each(),
        app: each(),
        heap: each(),
        memcg: each(),
        pids_cgroups: each(),
        exempt_from_file_max: each(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::synthetic;

    fn with(phase: Phase, open: u64, change: impl Fn(&mut EngineStats)) -> (Hello, Process, EngineStats) {
        let sample = synthetic::sample(open, 1000);
        let engine = sample.engines.iter().find(|e| e.hello.role == Role::Client).unwrap();
        let process = sample.kernel.processes.iter().find(|p| p.pid == engine.hello.pid).unwrap();
        let mut stats = engine.stats.clone().unwrap();
        stats.phase = phase;
        change(&mut stats);
        (engine.hello.clone(), process.clone(), *stats)
    }

    fn merged(engines: &[((Hello, Process, EngineStats), bool)], now_us: u64, memory: &mut Memory) -> EngineStats {
        let held: Vec<Held<'_>> = engines
            .iter()
            .map(|((hello, process, stats), live)| Held { hello, process, stats, live: *live, start_us: 500 })
            .collect();
        let now = Now { target: 700, waits: false, us: now_us };
        *together(Role::Client, &held, now, memory).unwrap().1.stats.unwrap()
    }

    #[test]
    fn counters_are_sums_and_what_has_ended_holds_nothing() {
        let mut memory = Memory::default();
        let part = |open, live| {
            let change = |s: &mut EngineStats| {
                (s.opened, s.lost, s.port_given) = (open + 10, 1, vec![open, 1]);
                s.errors = vec![ErrorCount { op: "connect".into(), errno: 111, name: "ECONNREFUSED".into(), count: 2 }];
                s.times.connect = "100:5".into();
                s.ramp_started_us = Some(open);
            };
            (with(Phase::Holding, open, change), live)
        };
        let all = merged(&[part(100, true), part(200, true)], 5_000_000, &mut memory);
        assert_eq!((all.open, all.opened, all.lost, all.peak, all.target), (300, 320, 2, 300, 700));
        assert_eq!((all.errors.len(), all.errors[0].count, all.port_given), (1, 4, vec![300, 2]));
        assert_eq!((all.connect.count, all.connect.p50_us, all.ramp_started_us), (10, 100, Some(600)));
        let all = merged(&[part(100, true), part(200, false)], 6_000_000, &mut memory);
        assert_eq!((all.open, all.opened, all.peak, all.peak_us), (100, 320, 300, Some(5_000_000)));
    }

    #[test]
    fn the_ramp_goes_on_while_one_is_on_its_way() {
        use Phase::{Closed, Closing, Guarded, Holding, Ramping, Starting, Stopped};
        for (phases, want) in [
            (vec![Holding, Ramping, Stopped], Ramping),
            (vec![Holding, Starting], Ramping),
            (vec![Starting, Starting], Starting),
            (vec![Holding, Holding], Holding),
            (vec![Holding, Guarded], Guarded),
            (vec![Holding, Stopped], Stopped),
            (vec![Holding, Closed], Closing),
            (vec![Closing, Closed], Closing),
            (vec![Closed, Closed], Closed),
        ] {
            let engines: Vec<_> = phases.iter().map(|phase| (with(*phase, 10, |_| ()), true)).collect();
            assert_eq!(merged(&engines, 0, &mut Memory::default()).phase, want, "{phases:?}");
        }
        let ended = [(with(Ramping, 10, |_| ()), false), (with(Holding, 10, |_| ()), true)];
        assert_eq!(merged(&ended, 0, &mut Memory::default()).phase, Holding, "its recording has ended");
        let (hello, process, stats) = with(Holding, 10, |s| s.ramp_cpu_us = Some(5));
        let held = [Held { hello: &hello, process: &process, stats: &stats, live: true, start_us: 0 }];
        let at = |waits| {
            let now = Now { target: 20, waits, us: 0 };
            let all = together(Role::Client, &held, now, &mut Memory::default()).unwrap().1.stats.unwrap();
            (all.phase, all.ramp_cpu_us)
        };
        assert_eq!((at(false), at(true)), ((Holding, Some(5)), (Ramping, None)), "another part has yet to begin");
    }
}
