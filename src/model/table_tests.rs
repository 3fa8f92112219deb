use super::super::failures::Failures;
use super::super::now::Pace;
use super::super::synthetic;
use super::*;
use crate::limits::{Counters, Headroom, Noted};
use crate::protocol::{ErrorCount, FailedCall, Phase, Stop, StopCause, Traffic};
use crate::sample::{Absent, Allowance, HeapSource, HeapUse, PidsCgroup, Runtime, RuntimeLimit, Sample, UserThreads};

/// Drives a table with these samples.
fn drive(samples: &[Sample], target: Option<u64>) -> LimitTable {
    let (mut table, mut pace, mut counters) = (LimitTable::default(), Pace::default(), Counters::default());
    let (mut failures, mut noted) = (Failures::default(), Noted::default());
    for sample in samples {
        let mut sample = sample.clone();
        // What the client aims at comes before what the run began with.
        if let Some(client) = synthetic::engine(&mut sample, Role::Client) {
            client.target = target.unwrap_or(client.target);
        }
        let sample = &sample;
        counters.update(sample);
        noted.update(sample);
        failures.update(sample);
        let now = pace.now(sample, target);
        let headroom = Headroom::of(&sample.kernel, None);
        let both_ends = sample.kernel.processes.len() == 2;
        let context = Context { sample, headroom, counters: &counters, both_ends, cost: None, noted: &noted };
        let seen = Seen { failures: failures.risen(), deaths: &[], old: false, spare: 1.1 };
        table.update(&context, &now, seen);
    }
    table
}

fn find(table: &LimitTable, id: LimitId) -> &Limit {
    table.limits().iter().find(|l| l.info.id == id).unwrap()
}

/// A ramp up to `to`, 20,000 connections between samples, each changed by `change(sample, connections)`.
fn rows(to: u64, change: impl Fn(&mut Sample, u64)) -> Vec<Sample> {
    (0..=to / 20_000)
        .map(|i| {
            let mut sample = synthetic::sample(i * 20_000, i * 500);
            change(&mut sample, i * 20_000);
            sample
        })
        .collect()
}

type Change = fn(&mut Sample, u64);

#[test]
fn count_limits_are_forecast_within_two_percent_half_way_and_five_at_a_quarter() {
    // id, true count, what makes the row.
    let table: [(LimitId, u64, Change); 6] = [
        (LimitId::FileMax, 600_000, |s, n| {
            // A constant offset of 70,000 files, and the grain of the per-core counters.
            let files = s.kernel.host.files.as_mut().unwrap();
            files.max = 70_000 + 1_200_000;
            files.used = (70_000 + 2 * n) / 64 * 64;
        }),
        (LimitId::Nofile, 500_000, |s, n| {
            let stats = synthetic::engine(s, Role::Server).unwrap();
            stats.tables_max = 25;
            stats.descriptors = n + 8 * (n / 19_990 + 1);
        }),
        (LimitId::Ports, 400_000, |s, _| {
            s.kernel.net.sockstat.as_mut().unwrap().tw = 20_000;
            synthetic::engine(s, Role::Client).unwrap().capacity = Some(420_256);
        }),
        (LimitId::Conntrack, 800_000, |s, n| {
            let table = s.kernel.net.conntrack.as_mut().unwrap();
            table.max = 800_350;
            table.count = n + 350;
        }),
        (LimitId::Epoll, 700_000, |s, _| s.kernel.host.max_user_watches = Ok(1_400_000)),
        (LimitId::Threads, 900_000, |s, n| {
            s.kernel.host.threads_max = Ok(400 + 900_000 / 5_000);
            s.kernel.host.tasks = Ok(400 + n / 5_000);
        }),
    ];
    for (id, truth, change) in table {
        for (part, tolerance) in [(2, 0.02), (4, 0.05)] {
            let got = find(&drive(&rows(truth / part, change), None), id).forecast.connections().unwrap();
            let error = (got as f64 / truth as f64 - 1.0).abs();
            assert!(error <= tolerance, "{id} at 1/{part}: {got} for {truth}");
        }
    }
}

#[test]
fn answers_of_their_own() {
    let ramp = |n| rows(n, |_, _| ());
    assert_eq!(find(&drive(&ramp(0), None), LimitId::FileMax).forecast, Forecast::NotYet);
    let after = drive(&ramp(400_000), None);
    assert_eq!(find(&after, LimitId::Conntrack).forecast, Forecast::NotTracking);
    assert_eq!(find(&after, LimitId::TcpMem).forecast, Forecast::Never);
    assert_eq!(find(&after, LimitId::TimeWait).forecast, Forecast::Never);
    let endless = drive(&rows(400_000, |s, _| s.kernel.host.files.as_mut().unwrap().max = i64::MAX as u64), None);
    assert_eq!(find(&endless, LimitId::FileMax).forecast, Forecast::Never);
}

#[test]
fn what_a_program_was_started_with_bounds_it_whatever_it_is_given_later() {
    let of = |soft: u64, most: u64| {
        let samples = rows(most, |s, n| {
            s.kernel.net.tcp.as_mut().unwrap().curr_estab = n;
            synthetic::foreign(s, 7, "beam.smp", 30 + n, soft);
            s.kernel.processes[0].nofile_at_start = Some(200_000);
        });
        find(&drive(&samples, None), LimitId::Nofile).clone()
    };
    for soft in [200_000, 1_000_000] {
        let half = of(soft, 100_000);
        assert!(half.forecast.connections().unwrap().abs_diff(199_970) < 10, "{half:?}");
        assert_eq!((half.limit, half.met), (Some(200_000), None));
    }
    assert_eq!(of(150_000, 20_000).limit, Some(150_000));
    let met = of(200_000, 200_000);
    assert!(met.state == LimitState::Hit && met.met.as_ref().unwrap().contains("is out of open files"), "{met:?}");
    // It accepts them, and its clients are content: nobody else tells.
    let raised = of(1_000_000, 400_000);
    assert!(
        raised.state == LimitState::Hit && raised.met.as_ref().unwrap().contains("does not serve them"),
        "{raised:?}"
    );
    assert!(raised.cure.first().unwrap().contains("a restart") && !raised.cure.to_string().contains("prlimit --pid"));
}

#[test]
fn absence_is_a_state_with_its_reason() {
    let mut sample = synthetic::host_only(0);
    sample.kernel.host.files = Err(Absent::because("not mounted"));
    sample.kernel.net.conntrack = Err(Absent::because("module not loaded"));
    sample.kernel.host.slab = Err(Absent::because("needs root"));
    let table = drive(&[sample], None);
    let rows = [
        (LimitId::FileMax, LimitState::Unknown, "not mounted"),
        (LimitId::Conntrack, LimitState::NotApplicable, "module not loaded"),
        (LimitId::Epoll, LimitState::Unknown, "needs root"),
        (LimitId::Ports, LimitState::NotApplicable, "applies to the client"),
        (LimitId::Memcg, LimitState::NotApplicable, "no process watched"),
    ];
    for (id, state, reason) in rows {
        let limit = find(&table, id);
        assert_eq!(limit.state, state, "{id}");
        assert!(limit.reason.as_deref().unwrap().starts_with(reason), "{id}: {:?}", limit.reason);
        assert_eq!(limit.share(), None, "{id}");
    }
    assert!(table.nearest().is_none());
}

#[test]
fn nearest_is_the_smallest_count_and_the_order_follows() {
    let table = drive(&rows(400_000, |_, _| ()), Some(1_000_000));
    let ids: Vec<LimitId> = table.limits().iter().map(|l| l.info.id).collect();
    assert_eq!(ids[0], LimitId::FileMax, "{ids:?}");
    let counts: Vec<u64> = table.limits().iter().map_while(|l| l.forecast.connections()).collect();
    assert!(counts.len() >= 5 && counts.is_sorted(), "{counts:?}");
    let last = table.limits().last().unwrap();
    assert_eq!(last.state, LimitState::NotApplicable);
}

#[test]
fn a_forecast_below_the_target_warns_and_is_critical_shortly_before() {
    let small: Change = |s, _| s.kernel.host.files.as_mut().unwrap().max = 1_001_500;
    for (at, state) in [(80_000, LimitState::Warn), (200_000, LimitState::Critical)] {
        let table = drive(&rows(at, small), Some(1_000_000));
        let limit = find(&table, LimitId::FileMax);
        assert_eq!(limit.state, state, "at {at}: {:?}", limit.forecast);
        assert_eq!(limit.cure.to_string(), "sysctl -w fs.file-max=2210000");
    }
    let fits = drive(&rows(200_000, small), Some(400_000));
    assert_eq!(find(&fits, LimitId::FileMax).state, LimitState::Ok);
}

#[test]
fn levels_of_their_own() {
    type Row = (LimitId, fn(&mut Sample), LimitState);
    let rows: [Row; 9] = [
        (LimitId::Orphans, |s| s.kernel.net.sockstat.as_mut().unwrap().orphan = 40_000, LimitState::Warn),
        (LimitId::Orphans, |s| s.kernel.net.sockstat.as_mut().unwrap().orphan = 70_000, LimitState::Critical),
        (LimitId::Conntrack, |s| s.kernel.net.conntrack.as_mut().unwrap().count = 200_000, LimitState::Warn),
        (LimitId::FileMax, |s| s.kernel.host.files.as_mut().unwrap().used = 1_800_000, LimitState::Warn),
        (LimitId::FileMax, |s| s.kernel.host.files.as_mut().unwrap().used = 2_300_000, LimitState::Critical),
        (LimitId::TcpMem, |s| s.kernel.net.sockstat.as_mut().unwrap().mem_pages = 380_000, LimitState::Warn),
        (LimitId::TcpMem, |s| s.kernel.net.sockstat.as_mut().unwrap().mem_pages = 510_000, LimitState::Critical),
        (LimitId::HashLoad, |s| s.kernel.net.sockstat.as_mut().unwrap().inuse = 4_000_000, LimitState::Ok),
        (LimitId::Memory, |s| s.kernel.host.mem.as_mut().unwrap().free = 0, LimitState::Warn),
    ];
    for (id, change, want) in rows {
        let mut sample = synthetic::host_only(0);
        change(&mut sample);
        assert_eq!(find(&drive(&[sample], None), id).state, want, "{id}");
    }
}

#[test]
fn a_clouds_allowance_is_foretold_by_what_is_left_of_it() {
    // The machine tracked 3,000 connections before, and may track 76,957 more.
    let tracks = |dropped: u64| {
        rows(60_000, move |s, n| {
            s.kernel.processes.truncate(1);
            let of_last = if n == 60_000 { dropped } else { 0 };
            s.kernel.net.allowance = Some(Allowance {
                interface: "ens5".into(),
                available: 76_957 - n,
                most: 76_957,
                exceeded: 4 + of_last,
            });
        })
    };
    let table = drive(&tracks(0), Some(100_000));
    let row = find(&table, LimitId::Allowance);
    assert_eq!((row.scope.as_str(), row.used, row.limit), ("ens5", Some(60_000), Some(76_957)));
    assert_eq!(row.forecast.connections(), Some(76_957), "{row:?}");
    assert_eq!(
        (row.state, find(&drive(&tracks(0), None), LimitId::Allowance).state),
        (LimitState::Critical, LimitState::Critical)
    );
    assert!(row.cure.to_string().contains("security-group rule that is not tracked"), "{}", row.cure);
    // Dropped packets prove that it was met only near it: others drop some in a burst.
    let far = find(&drive(&tracks(9), None), LimitId::Allowance).state;
    let mut full = tracks(9);
    full.last_mut().unwrap().kernel.net.allowance.as_mut().unwrap().available = 12;
    assert_eq!((far, find(&drive(&full, None), LimitId::Allowance).state), (LimitState::Critical, LimitState::Hit));
    let both = rows(20_000, |s, _| s.kernel.net.allowance = Some(Allowance::default()));
    assert_eq!(find(&drive(&both, None), LimitId::Allowance).state, LimitState::NotApplicable);
    let nowhere = drive(&rows(20_000, |_, _| ()), None);
    assert!(nowhere.limits().iter().all(|l| l.info.id != LimitId::Allowance), "no driver tells");
}

#[test]
fn a_plan_that_is_used_in_full_is_no_alarm() {
    let full: Change = |s, _| {
        synthetic::engine(s, Role::Client).unwrap().capacity = Some(400_300);
        synthetic::set_target(s, 400_000);
    };
    let table = drive(&rows(400_000, full), Some(400_000));
    assert_eq!(find(&table, LimitId::Ports).state, LimitState::Ok);
}

#[test]
fn an_errno_marks_its_limit_hit_until_the_limit_is_raised() {
    let enfile = |s: &mut Sample, max| {
        s.kernel.host.files.as_mut().unwrap().max = max;
        let error = ErrorCount { op: "accept".into(), errno: 23, name: "ENFILE".into(), count: 3 };
        synthetic::engine(s, Role::Server).unwrap().errors.push(error);
    };
    let mut samples = rows(100_000, |_, _| ());
    let mut last = synthetic::sample(101_000, 9_000);
    enfile(&mut last, 203_500);
    samples.push(last.clone());
    let table = drive(&samples, Some(1_000_000));
    assert_eq!(table.nearest().map(|l| (l.info.id, l.state)), Some((LimitId::FileMax, LimitState::Hit)));
    assert_eq!(table.limits()[0].reason.as_deref(), Some("server: accept failed with ENFILE"));
    last.kernel.host.files.as_mut().unwrap().max = 3_000_000;
    samples.push(last);
    assert_eq!(find(&drive(&samples, Some(1_000_000)), LimitId::FileMax).state, LimitState::Ok);
}

#[test]
fn one_full_table_among_many_is_not_the_limit_but_the_last_is() {
    let emfile = |open, stop| {
        let mut sample = synthetic::sample(open, 1000);
        let stats = synthetic::engine(&mut sample, Role::Client).unwrap();
        stats.tables_max = 2;
        stats.errors.push(ErrorCount { op: "socket".into(), errno: 24, name: "EMFILE".into(), count: 1 });
        stats.stop = stop;
        let table = drive(&[sample], None);
        table.limits().iter().any(|l| l.info.id == LimitId::Nofile && l.scope == "client" && l.state == LimitState::Hit)
    };
    let stop = Stop {
        cause: StopCause::Limit,
        call: FailedCall { op: "socket".into(), errno: 24, name: "EMFILE".into() },
        text: "tables full".into(),
    };
    // Each table has room for 19,880.
    for (open, stop, hit) in [(20_000, None, false), (39_760, None, true), (20_000, Some(stop), true)] {
        assert_eq!(emfile(open, stop), hit, "{open}");
    }
}

#[test]
fn the_nearest_cgroup_is_judged_by_its_own_slope() {
    let table = drive(
        &rows(40_000, |s, _| {
            synthetic::with_memcg(s, "/c1m", 400 << 20);
            s.kernel.processes[0].pids_cgroups =
                Ok(vec![PidsCgroup { dir: "/sys/fs/cgroup/pids/c1m".into(), used: 50, limit: 60 }]);
        }),
        Some(1_000_000),
    );
    let nearest = table.nearest().unwrap();
    assert_eq!((nearest.info.id, nearest.scope.as_str()), (LimitId::Memcg, "/c1m"));
    // (400 MiB - 10 MiB) / 5,900 B
    let at = nearest.forecast.connections().unwrap();
    assert!(at.abs_diff(69_312) < 700, "{at}");
    assert_eq!(nearest.state, LimitState::Critical);
    assert_eq!(find(&table, LimitId::Threads).scope, "cgroup");
}

#[test]
fn a_limit_raised_during_the_run_is_followed() {
    let mut samples = rows(200_000, |_, _| ());
    let before = find(&drive(&samples, None), LimitId::FileMax).forecast.connections().unwrap();
    samples.last_mut().unwrap().kernel.host.files.as_mut().unwrap().max = 4_000_000;
    let after = find(&drive(&samples, None), LimitId::FileMax).forecast.connections().unwrap();
    assert!(before < 1_240_000 && after > 1_980_000, "{before} {after}");
}

#[test]
fn memory_that_others_take_at_the_start_is_no_alarm() {
    // A neighbour took 465 MB of slab within the first half second: 230 kB for each of 2,000 connections.
    let ramp = |bytes: u64| {
        let samples: Vec<Sample> = (0..=5)
            .map(|i| {
                let mut sample = synthetic::sample(i * 400, i * 100);
                sample.kernel.host.slab.as_mut().unwrap()[0].bytes += bytes * i * 400;
                sample
            })
            .collect();
        find(&drive(&samples, Some(4_000_000)), LimitId::Memory).state
    };
    assert_eq!(ramp(230_000), LimitState::Ok);
    assert_eq!(
        find(&drive(&rows(400_000, |_, _| ()), Some(4_000_000)), LimitId::Memory).state,
        LimitState::Warn,
        "a real one"
    );
}

#[test]
fn threads_of_the_start_raise_no_alarm_at_a_limit_that_suffices() {
    // As above: 14,000 connections need some 140 threads of 175; and four of the programs start one by one.
    let samples: Vec<Sample> = [0, 24, 212, 412, 611, 812]
        .into_iter()
        .enumerate()
        .map(|(i, n)| {
            let mut sample = synthetic::sample(n, i as u64 * 100);
            let tables = n / 206 + 1;
            for role in [Role::Server, Role::Client] {
                let stats = synthetic::engine(&mut sample, role).unwrap();
                (stats.open, stats.tables, stats.tables_max, stats.table_room) =
                    (n, u32::try_from(tables).unwrap(), 1000, 206);
            }
            let late = 4_u64.saturating_sub(i as u64);
            (sample.kernel.host.tasks, sample.kernel.host.threads_max) = (Ok(10 + 2 * tables - late), Ok(175));
            sample
        })
        .collect();
    let table = drive(&samples, Some(14_000));
    let threads = find(&table, LimitId::Threads);
    assert_eq!(threads.state, LimitState::Ok, "{threads:?}");
}

#[test]
fn threads_that_come_with_whole_tables_are_forecast_between_the_steps() {
    // Tables of 206 connections: each engine starts a thread whenever one is full; the last of 100 threads is the end.
    let samples: Vec<Sample> = (0..=30)
        .map(|i| {
            let n = i * 130;
            let mut sample = synthetic::sample(n, i * 100);
            let tables = n / 206 + 1;
            for role in [Role::Server, Role::Client] {
                let stats = synthetic::engine(&mut sample, role).unwrap();
                (stats.tables, stats.tables_max, stats.table_room) = (u32::try_from(tables).unwrap(), 1000, 206);
            }
            (sample.kernel.host.tasks, sample.kernel.host.threads_max) = (Ok(8 + 2 * tables), Ok(100));
            sample
        })
        .collect();
    // 46 tables each are full at 9,476.
    let got = find(&drive(&samples, None), LimitId::Threads).forecast.connections().unwrap();
    assert!(got.abs_diff(9_476) <= 206, "{got}");
}

#[test]
fn a_range_of_ports_that_is_narrowed_on_the_way_is_followed() {
    let samples = rows(100_000, |s, n| {
        if n > 40_000 {
            s.kernel.net.ports.as_mut().unwrap().high = 32_768 + 14_115;
        }
        synthetic::engine(s, Role::Client).unwrap().capacity = Some(282_320);
    });
    let ports = drive(&samples, None);
    let ports = find(&ports, LimitId::Ports);
    assert_eq!(ports.limit, Some(141_160));
    assert!(ports.forecast.connections().unwrap().abs_diff(141_160) <= 256, "{ports:?}");
}

#[test]
fn registrations_of_other_programs_count_against_the_users_limit() {
    let samples = rows(100_000, |s, n| {
        let slab = s.kernel.host.slab.as_mut().unwrap();
        let cache = slab.iter_mut().find(|c| c.name == "eventpoll_epi").unwrap();
        // Free objects kept for later look active in the middle of a ramp.
        cache.active_objs = 19_400 + 512 + n * 3;
        s.kernel.host.max_user_watches = Ok(419_400);
        synthetic::engine(s, Role::Client).unwrap().in_flight = if n == 0 { 512 } else { 256 };
    });
    let epoll = drive(&samples, None);
    let got = find(&epoll, LimitId::Epoll).forecast.connections().unwrap();
    assert!(got.abs_diff(200_000) < 300, "{got}");
}

#[test]
fn pages_are_as_large_as_where_the_sample_was_taken() {
    let mut sample = synthetic::sample(1000, 0);
    sample.kernel.host.page_size = 65_536;
    sample.kernel.net.sockstat.as_mut().unwrap().mem_pages = 100;
    sample.kernel.net.tcp_mem = Ok([1000, 2000, 3000]);
    let table = drive(&[sample], None);
    let row = find(&table, LimitId::TcpMem);
    assert_eq!((row.used, row.limit), (Some(100 * 65_536), Some(3000 * 65_536)));
}

#[test]
fn the_nearest_of_three_bounds_of_threads_is_shown() {
    let scope = |used, limit| {
        let mut sample = synthetic::sample(1000, 0);
        sample.kernel.processes[0].pids_cgroups = Ok(vec![PidsCgroup { dir: "/x".into(), used: 50, limit: 200 }]);
        sample.kernel.processes[1].user_threads = Ok(Some(UserThreads { used, limit, hard: limit }));
        let table = drive(&[sample], None);
        let threads = find(&table, LimitId::Threads).clone();
        (threads.scope, threads.used, threads.limit)
    };
    assert_eq!(scope(60, 200), ("user".into(), Some(60), Some(200)));
    assert_eq!(scope(60, 1000), ("cgroup".into(), Some(50), Some(200)));
}

#[test]
fn messages_are_held_against_what_cores_echo_and_then_against_what_comes_back() {
    let with = |share: u64| {
        rows(60_000, move |s, n| {
            let client = synthetic::engine(s, Role::Client).unwrap();
            let active = n * share / 100;
            client.traffic = Some(Traffic { active, message: 16_384, every_us: 1_000_000, ..Traffic::default() });
        })
    };
    let echo = |samples: &[Sample]| find(&drive(samples, Some(1_000_000)), LimitId::Echo).clone();
    // A million messages a second are asked for at the target, two cores echo less than a tenth.
    let beyond = echo(&with(100));
    assert_eq!((beyond.state, beyond.unit), (LimitState::Warn, Unit::PerSecond), "{beyond:?}");
    let at = beyond.forecast.connections().unwrap();
    assert!(at.abs_diff(beyond.limit.unwrap()) < 100, "a message a second each: {beyond:?}");
    assert!(beyond.cure.to_string().contains("the client on another host"), "{}", beyond.cure);
    let few = echo(&with(1));
    assert_eq!((few.state, few.cure.is_empty()), (LimitState::Ok, true), "{few:?}");
    // At the target what comes back counts for more than an estimate.
    let held = |active, skipped| {
        let mut samples = with(100);
        let client = synthetic::engine(samples.last_mut().unwrap(), Role::Client).unwrap();
        client.phase = Phase::Holding;
        let traffic = client.traffic.as_mut().unwrap();
        (traffic.active, traffic.sent, traffic.skipped) = (active, 100_000, skipped);
        echo(&samples)
    };
    assert_eq!((held(100_000, 500).state, held(100_000, 2_000).state), (LimitState::Ok, LimitState::Warn));
    let stopped = held(1_000, 2_000);
    assert_eq!(stopped.state, LimitState::Ok, "so few are not late for want of cores: {stopped:?}");
    let idle = drive(&rows(20_000, |_, _| ()), Some(1_000_000));
    assert_eq!(find(&idle, LimitId::Echo).state, LimitState::NotApplicable);
    assert_ne!(idle.nearest().map(|l| l.info.id), Some(LimitId::Echo));
}

#[test]
fn traffic_is_forecast_against_the_link() {
    // A fifth of the connections, 1,000 bytes a second each: 8,720 bits with headers. 1 Gbit/s is full at 573,394.
    let change = |s: &mut Sample, n: u64| {
        s.kernel.processes.remove(0);
        s.engines.remove(0);
        s.engines[0].hello.address = "10.0.0.1".into();
        s.kernel.net.link.as_mut().unwrap().bits_per_s = 1_000_000_000;
        let traffic = Traffic { active: n / 5, message: 1000, every_us: 1_000_000, ..Traffic::default() };
        synthetic::engine(s, Role::Client).unwrap().traffic = Some(traffic);
    };
    let table = drive(&rows(140_000, change), Some(1_000_000));
    let bandwidth = find(&table, LimitId::Bandwidth);
    assert_eq!((bandwidth.unit, bandwidth.scope.as_str()), (Unit::BitsPerSecond, "eth0"));
    assert!(bandwidth.forecast.connections().unwrap().abs_diff(573_394) < 100, "{bandwidth:?}");
    assert!(bandwidth.state >= LimitState::Warn);
    let virtual_link = |s: &mut Sample, n| {
        change(s, n);
        s.kernel.net.link = Err(Absent::because("eth0 reports no link speed (virtual)"));
    };
    let unknown = drive(&rows(20_000, virtual_link), None);
    let unknown = find(&unknown, LimitId::Bandwidth);
    assert_eq!((unknown.state, unknown.used), (LimitState::Unknown, Some(34_880_000)));
    let both = rows(20_000, |s, n| {
        let traffic = Traffic { active: n, message: 1000, every_us: 1, ..Traffic::default() };
        synthetic::engine(s, Role::Client).unwrap().traffic = Some(traffic);
    });
    assert_eq!(find(&drive(&both, None), LimitId::Bandwidth).state, LimitState::NotApplicable, "loopback has no link");
    assert_eq!(find(&drive(&rows(20_000, |_, _| ()), None), LimitId::Bandwidth).state, LimitState::NotApplicable);
}

#[test]
fn the_limit_of_a_runtime_is_forecast_where_it_grows_with_connections_and_no_alarm_where_it_does_not() {
    let of = |runtime, limit, change: fn(&mut Sample, u64)| {
        let samples = rows(60_000, |s, n| {
            s.kernel.net.tcp.as_mut().unwrap().curr_estab = n;
            synthetic::foreign(s, 7, "chat", 30 + n, 2_000_000);
            s.kernel.processes[0].runtime =
                Ok(Some(RuntimeLimit { runtime, limit, set_by: "chosen".into(), besides: 0 }));
            change(s, n);
        });
        find(&drive(&samples, None), LimitId::Runtime).clone()
    };
    let beam = of(Runtime::Beam, 131_072, |_, _| ());
    assert_eq!((beam.scope.as_str(), beam.unit), ("chat 7", Unit::Count));
    assert!(beam.forecast.connections().unwrap().abs_diff(131_042) < 10, "{beam:?}");
    assert_eq!(
        of(Runtime::Beam, 65_536, |s, _| s.kernel.processes[0].descriptors = Ok(65_000)).state,
        LimitState::Critical
    );
    let no_ports = of(Runtime::Beam, 1024, |_, _| ());
    assert_eq!((no_ports.state, no_ports.forecast), (LimitState::Ok, Forecast::Never), "sockets that are no ports");
    // 4 KiB a connection beside 50 MiB: 1 GiB is full at 249,000 or so.
    let heap: fn(&mut Sample, u64) = |s, n| s.kernel.processes[0].rss_bytes = Ok((50 << 20) + n * 4096);
    let node = of(Runtime::V8, 1 << 30, heap);
    let bounds = |limit: &Limit| match limit.forecast {
        Forecast::At { connections, plus_minus, .. } => connections - plus_minus..=connections + plus_minus,
        other => panic!("{other:?}"),
    };
    // All of that may be heap, or hardly any.
    assert!(bounds(&node).contains(&249_344) && bounds(&node).contains(&1_000_000), "{node:?}");
    assert_eq!((node.unit, node.state), (Unit::Bytes, LimitState::Ok));
    let full: fn(&mut Sample, u64) = |s, _| s.kernel.processes[0].rss_bytes = Ok(1 << 30);
    for runtime in [Runtime::V8, Runtime::Jvm, Runtime::Go] {
        assert_eq!(of(runtime, 1 << 30, full).state, LimitState::Ok, "resident memory is more than a heap");
    }
    assert_eq!(of(Runtime::Jvm, 1 << 30, heap).forecast, Forecast::Never);
    // A heap that is read: 4 KiB a connection, 32 MiB of it in doubt.
    let read: fn(&mut Sample, u64) = |s, n| {
        let (most_bytes, limit_bytes) = ((36 << 20) + n * 4096, 1 << 30);
        let by = HeapSource::Pages;
        let heap = HeapUse { least_bytes: most_bytes - (32 << 20), most_bytes, limit_bytes, by };
        s.kernel.processes[0].heap = Ok(Some(heap));
    };
    for runtime in [Runtime::V8, Runtime::Jvm] {
        let heap = of(runtime, 1 << 30, read);
        assert!(bounds(&heap).contains(&261_120), "{heap:?}");
        assert!(bounds(&heap).end() - bounds(&heap).start() < 120_000, "{heap:?}");
        assert_eq!((heap.state, heap.used), (LimitState::Ok, Some((20 << 20) + 60_000 * 4096)));
    }
    let filled: [fn(&mut Sample, u64); 3] = [
        |s, _| s.kernel.processes[0].heap = Ok(Some(heap_of(790, 1200))),
        |s, _| s.kernel.processes[0].heap = Ok(Some(heap_of(830, 840))),
        |s, _| s.kernel.processes[0].heap = Ok(Some(heap_of(980, 1000))),
    ];
    for (heap, state) in filled.into_iter().zip([LimitState::Ok, LimitState::Warn, LimitState::Critical]) {
        assert_eq!(of(Runtime::V8, 1 << 30, heap).state, state);
    }
    let table = drive(&rows(20_000, |_, _| ()), None);
    assert_eq!(find(&table, LimitId::Runtime).reason.as_deref(), Some("c1m-top's engines have none"));
}

/// A heap of 1 GiB, and what is in it, MiB.
fn heap_of(least: u64, most: u64) -> HeapUse {
    let (least_bytes, most_bytes) = (least << 20, most << 20);
    HeapUse { least_bytes, most_bytes, limit_bytes: 1 << 30, by: HeapSource::PerfData }
}
