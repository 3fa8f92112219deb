//! Rows of samples in, sentences out: the model as the screen and the machine output see it.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
#![expect(clippy::unwrap_used, reason = "in the helpers of tests: what is missing there fails the test")]

mod synthetic;

use c1m_top::model::chart::{Chart, LineAt};
use c1m_top::model::{
    Cause, CountSource, Event, Forecast, Limit, LimitState, Model, RunPhase, Setup, Severity, Verdict, XAxis,
};
use c1m_top::protocol::{EngineEvent, EngineStats, ErrorCount, FailedCall, Phase, Role, Stop, StopCause, Traffic};
use c1m_top::sample::{Absent, AcceptQueue, Listeners, Sample};

use synthetic::{engine, set_target, with_memcg};

fn model(target: u64) -> Model {
    Model::new(Setup { target: Some(target), interval_ms: 500, ..Setup::default() })
}

/// A ramp in steps of 20,000 connections each half second, every sample changed by `change`.
fn ramp(to: u64, target: u64, change: impl Fn(&mut Sample, u64)) -> Vec<Sample> {
    (0..=to / 20_000)
        .map(|i| {
            let mut sample = synthetic::sample(i * 20_000, i * 500);
            set_target(&mut sample, target);
            change(&mut sample, i * 20_000);
            sample
        })
        .collect()
}

/// Drives a model with a ramp and then `last` changed from a sample half a second after it.
fn after(to: u64, target: u64, change: impl Fn(&mut Sample, u64), last: impl Fn(&mut Sample)) -> Model {
    let mut model = model(target);
    let samples = ramp(to, target, &change);
    for sample in &samples {
        model.update(sample);
    }
    let mut sample = samples[samples.len() - 1].clone();
    later(&mut sample, 500);
    last(&mut sample);
    model.update(&sample);
    model
}

/// The same moment, so much later by every clock.
fn later(sample: &mut Sample, ms: u64) {
    sample.t_ms += ms;
    for role in [Role::Server, Role::Client] {
        if let Some(stats) = engine(sample, role) {
            stats.t_us += ms * 1000;
        }
    }
}

fn stats(sample: &mut Sample, role: Role) -> &mut EngineStats {
    engine(sample, role).unwrap()
}

fn fail(sample: &mut Sample, role: Role, op: &str, errno: i32, name: &str, count: u64) {
    let error = ErrorCount { op: op.into(), errno, name: name.into(), count };
    stats(sample, role).errors.push(error);
}

fn limit<'a>(model: &'a Model, id: &str) -> &'a Limit {
    model.limits().iter().find(|l| l.info.name == id).unwrap()
}

/// Events worse than information.
fn alarms(model: &Model) -> Vec<&str> {
    model.events().all().iter().filter(|e| e.severity > Severity::Info).map(|e| e.text.as_str()).collect()
}

fn event<'a>(model: &'a Model, id: &str) -> &'a Event {
    let found = model.events().all().iter().find(|e| e.id == id);
    found.unwrap_or_else(|| panic!("no {id} in {:#?}", model.events().all()))
}

#[test]
fn a_message_that_takes_long_to_come_back_whole_is_no_standstill() {
    for (bytes_a_second, told) in [(100 << 20, false), (0, true)] {
        let mut model = model(4);
        let mut sample = synthetic::sample(4, 0);
        for second in 0..20 {
            let client = stats(&mut sample, Role::Client);
            client.phase = Phase::Holding;
            // None whole yet, and the next of each is due and skipped.
            client.traffic = Some(Traffic {
                active: 4,
                message: 1 << 30,
                every_us: 1_000_000,
                sent: 4,
                skipped: 4 * second,
                echoed_bytes: bytes_a_second * second,
                ..Traffic::default()
            });
            model.update(&sample);
            later(&mut sample, 1000);
        }
        assert_eq!(model.events().all().iter().any(|e| e.id == "echo_stall"), told, "{bytes_a_second} B/s");
    }
}

#[test]
fn the_slab_of_the_start_is_not_shown_as_that_of_what_was_opened_since() {
    let mut model = model(5000);
    let first = synthetic::sample(0, 0);
    model.update(&first);
    let mut all = synthetic::sample(5000, 200);
    let fresh = std::mem::replace(&mut all.kernel.host.slab, first.kernel.host.slab.clone());
    all.kernel.host.slab_is_old = true;
    model.update(&all);
    let slab = |model: &Model| {
        let chart = model.chart(XAxis::Connections, None);
        let curve = chart.curves.iter().find(|c| c.label == "socket slab").unwrap();
        curve.segments.iter().flatten().last().copied().unwrap()
    };
    assert!(slab(&model).0 < 1.0, "nothing is known at 5,000 yet: {:?}", slab(&model));
    later(&mut all, 1000);
    (all.kernel.host.slab, all.kernel.host.slab_is_old) = (fresh, false);
    model.update(&all);
    let (connections, bytes) = slab(&model);
    assert!(connections > 4999.0 && bytes > 5000.0 * 4000.0, "{connections} {bytes}");
}

#[test]
fn a_healthy_run_to_a_million_and_back_has_no_alarm() {
    let mut model = model(1_000_000);
    let mut t_ms = 0;
    for mut sample in synthetic::ramp(1_000_000, 40_000, 500) {
        t_ms = sample.t_ms;
        // A little noise of other programs.
        sample.kernel.host.files.as_mut().unwrap().used += t_ms % 130;
        sample.kernel.host.mem.as_mut().unwrap().free -= (t_ms % 700) * 10_000;
        model.update(&sample);
    }
    let ramped = model.cost().total.unwrap();
    for i in 1..=10 {
        let mut hold = synthetic::sample(1_000_000, t_ms + i * 500);
        set_target(&mut hold, 1_000_000);
        model.update(&hold);
    }
    for i in 0..=20_u64 {
        let open = 1_000_000 - i * 50_000;
        let mut closing = synthetic::sample(open, t_ms + 6000 + i * 500);
        for role in [Role::Server, Role::Client] {
            let stats = stats(&mut closing, role);
            (stats.opened, stats.peak, stats.closed) = (1_000_000, 1_000_000, 1_000_000 - open);
        }
        let client = stats(&mut closing, Role::Client);
        client.phase = if open == 0 { Phase::Closed } else { Phase::Closing };
        client.in_flight = 0;
        fail(&mut closing, Role::Server, "read", 104, "ECONNRESET", 1_000_000 - open);
        model.update(&closing);
        let falling = model.now().rate_per_s.is_some_and(|r| r < 0.0);
        assert_eq!(falling, (1..20).contains(&i), "closing shows as a falling count, sample {i}");
    }
    assert_eq!(alarms(&model), Vec::<&str>::new());
    let kept = model.cost().total.unwrap();
    assert!((kept.per_connection / ramped.per_connection - 1.0).abs() < 0.01, "{ramped:?} {kept:?}");
    let said: Vec<&str> = model.events().all().iter().map(|e| e.text.as_str()).collect();
    assert_eq!(
        said,
        [
            "the ramp has started, target 1,000,000",
            "target reached: 1,000,000 connections after 25.0 s",
            "closing 1,000,000 connections",
            "all connections closed after 10.0 s (100,000/s)",
        ]
    );
    let summary = model.summary(Verdict::TargetReached);
    assert_eq!((summary.peak_established, summary.peak_accepted), (Some(1_000_000), Some(1_000_000)));
    assert_eq!(summary.stopped_by, None);
    assert!(summary.cpu_us_per_connection.is_some_and(|us| (us - 20.0).abs() < 0.1), "{summary:?}");
}

#[test]
fn a_limit_before_the_target_is_said_once_with_its_cure() {
    let model = after(200_000, 2_000_000, |_, _| (), |_| ());
    assert_eq!(
        event(&model, "limit/file-max/host").text,
        "the system's open-file limit (fs.file-max) would be hit at 1.23 M connections, in 30 s, before the target of 2,000,000: sysctl -w fs.file-max=4900000"
    );
    assert_eq!(event(&model, "limit/file-max/host").count, 1);
    assert_eq!(model.nearest().map(|l| l.info.name), Some("file-max"));
    let Forecast::At { connections, plus_minus, seconds } = limit(&model, "file-max").forecast else {
        panic!("{:?}", limit(&model, "file-max").forecast)
    };
    assert!(connections.abs_diff(1_229_250) < 2_000 && plus_minus < 5_000, "{connections} ± {plus_minus}");
    assert!(seconds.is_some_and(|s| s > 25.0 && s < 35.0), "{seconds:?}");
}

type Row = (&'static str, u64, fn(&mut Sample), Severity, &'static str);

#[test]
#[expect(clippy::too_many_lines, reason = "rows in a table")]
fn every_failure_names_its_limit_the_proof_and_the_cure() {
    let rows: [Row; 11] = [
        (
            "nofile/server/accept/EMFILE",
            100_000,
            |s| {
                fail(s, Role::Server, "accept", 24, "EMFILE", 7);
                let server = stats(s, Role::Server);
                (server.tables_max, server.descriptors) = (5, 100_000);
            },
            Severity::Critical,
            "server: accept failed with EMFILE 7 times: the process is at its open-file limit (open files 100,000 of \
             100,000). Cure: --workers 56",
        ),
        (
            "nofile/client/socket/EMFILE",
            100_000,
            |s| fail(s, Role::Client, "socket", 24, "EMFILE", 1),
            Severity::Info,
            "client: one descriptor table is full, and the next worker thread takes over",
        ),
        (
            "file-max/client/socket/ENFILE",
            100_000,
            |s| {
                fail(s, Role::Client, "socket", 23, "ENFILE", 1);
                s.kernel.host.files.as_mut().unwrap().max = 201_500;
            },
            Severity::Critical,
            "client: socket failed with ENFILE once: the system is at its open-file limit (system open files 201,500 of \
             201,500). Cure: sysctl -w fs.file-max=2450000",
        ),
        (
            "ports/client/connect/EADDRNOTAVAIL",
            100_000,
            |s| {
                fail(s, Role::Client, "connect", 99, "EADDRNOTAVAIL", 256);
                stats(s, Role::Client).capacity = Some(100_259);
            },
            Severity::Critical,
            "client: connect failed with EADDRNOTAVAIL 256 times: no local port is left for these sources and destination \
             ports (local ports 100,259 of 100,259). Cure: --ports 1108 (on the server as well), or more \
             addresses to connect from (--source), or sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"",
        ),
        (
            "epoll/server/epoll_ctl/ENOSPC",
            100_000,
            |s| {
                fail(s, Role::Server, "epoll_ctl", 28, "ENOSPC", 1);
                s.kernel.host.max_user_watches = Ok(200_000);
            },
            Severity::Critical,
            "server: epoll_ctl failed with ENOSPC once: the user has no epoll watches left (epoll watches 208,192 of \
             200,000). Cure: sysctl -w fs.epoll.max_user_watches=2460000",
        ),
        (
            "memory/client/socket/ENOBUFS",
            100_000,
            |s| fail(s, Role::Client, "socket", 105, "ENOBUFS", 2),
            Severity::Critical,
            "client: socket failed with ENOBUFS 2 times: the kernel had no buffers for it (memory ",
        ),
        (
            "client/connect/ECONNREFUSED",
            0,
            |s| fail(s, Role::Client, "connect", 111, "ECONNREFUSED", 5),
            Severity::Warning,
            "client: connect failed with ECONNREFUSED 5 times: nothing listens there, or a firewall refuses",
        ),
        (
            "client/connect/ETIMEDOUT",
            20_000,
            |s| {
                fail(s, Role::Client, "connect", 110, "ETIMEDOUT", 5);
                let table = s.kernel.net.conntrack.as_mut().unwrap();
                (table.count, table.max) = (20_000, 20_000);
            },
            Severity::Warning,
            "client: connect failed with ETIMEDOUT 5 times: no answer: the server is not accepting (its accept queue is full, or it is \
             out of open files), packets are dropped on the way (a full conntrack table, a firewall), or the other host is down; \
             the conntrack table is full (20,000 of 20,000). Cure: sysctl -w net.netfilter.nf_conntrack_max=1230000, or a NOTRACK rule for the ports of this run",
        ),
        (
            "client/connect/EHOSTUNREACH",
            0,
            |s| fail(s, Role::Client, "connect", 113, "EHOSTUNREACH", 1),
            Severity::Warning,
            "client: connect failed with EHOSTUNREACH once: no host answers at that address: a missing route",
        ),
        (
            "client/established/ECONNRESET",
            0,
            |s| fail(s, Role::Client, "established", 104, "ECONNRESET", 1),
            Severity::Warning,
            "client: established failed with ECONNRESET once: the other end reset the connection",
        ),
        (
            "server/read/ECONNRESET",
            100_000,
            |s| fail(s, Role::Server, "read", 104, "ECONNRESET", 12),
            Severity::Info,
            "server: read failed with ECONNRESET 12 times: the other end reset the connection",
        ),
    ];
    for (id, to, last, severity, text) in rows {
        let model = after(to, 1_000_000, |_, _| (), last);
        let event = event(&model, id);
        assert!(event.text.starts_with(text), "{id}: {}", event.text);
        assert_eq!(event.severity, severity, "{id}");
    }
}

#[test]
fn silent_drops_are_told_with_their_counter() {
    type Row = (&'static str, fn(&mut Sample), Severity, &'static str);
    let rows: [Row; 6] = [
        (
            "listen_overflows",
            |s| s.kernel.net.ext.as_mut().unwrap().listen_overflows = 40,
            Severity::Warning,
            "(ListenOverflows +40). Cure: accept faster",
        ),
        ("listen_overflows", |s| s.kernel.net.ext.as_mut().unwrap().listen_overflows = 2, Severity::Info, "+2"),
        (
            "time_wait_overflow",
            |s| s.kernel.net.ext.as_mut().unwrap().time_wait_overflow = 1000,
            Severity::Warning,
            "TCPTimeWaitOverflow +1,000",
        ),
        (
            "abort_on_memory",
            |s| s.kernel.net.ext.as_mut().unwrap().abort_on_memory = 1,
            Severity::Critical,
            "TCPAbortOnMemory +1",
        ),
        (
            "conntrack_drop",
            |s| s.kernel.net.conntrack.as_mut().unwrap().drop = Some(9),
            Severity::Critical,
            "nf_conntrack_max",
        ),
        (
            "softnet_dropped",
            |s| s.kernel.host.softnet.as_mut().unwrap().dropped = 70,
            Severity::Warning,
            "netdev_max_backlog",
        ),
    ];
    for (id, last, severity, part) in rows {
        let model = after(100_000, 1_000_000, |_, _| (), last);
        let event = event(&model, id);
        assert!(event.text.contains(part), "{id}: {}", event.text);
        assert_eq!(event.severity, severity, "{id}");
    }
    let busy = after(100_000, 1_000_000, |_, _| (), |s| s.kernel.net.ext.as_mut().unwrap().listen_overflows = 40);
    assert_eq!(limit(&busy, "accept_queue").state, LimitState::Warn);
}

#[test]
fn a_close_teaches_nothing_of_the_cost() {
    let mut model = Model::new(Setup { target: Some(100_000), interval_ms: 1000, ..Setup::default() });
    for sample in synthetic::ramp(100_000, 20_000, 1000) {
        model.update(&sample);
    }
    let before = model.cost().clone();
    for (i, open) in [99_000, 60_000, 20_000, 0].into_iter().enumerate() {
        let mut sample = synthetic::sample(open, 6000 + i as u64 * 200);
        synthetic::engine(&mut sample, Role::Client).unwrap().phase = Phase::Closing;
        // slabinfo is left out, and somebody walks files meanwhile.
        sample.kernel.host.slab = Err(Absent::because("not read while sockets are closed"));
        sample.kernel.host.slab_is_old = true;
        sample.kernel.host.mem.as_mut().unwrap().slab += 3 << 30;
        model.update(&sample);
        assert_eq!(model.cost().total, before.total, "{open}");
    }
}

#[test]
fn caches_that_lag_behind_the_sockets_make_no_connection_cheaper() {
    let ramp = |lags: bool| {
        let mut model = Model::new(Setup { target: Some(1_000_000), interval_ms: 1000, ..Setup::default() });
        let mut kept = None;
        for (i, mut sample) in synthetic::ramp(1_000_000, 180_000, 1000).into_iter().take(4).enumerate() {
            // The third reading of slabinfo was costly: the fourth sample still has it.
            if lags && i == 3 {
                sample.kernel.host.slab = kept.take().unwrap();
                sample.kernel.host.slab_is_old = true;
            }
            kept = Some(sample.kernel.host.slab.clone());
            model.update(&sample);
        }
        model
    };
    let (fresh, lagging) = (ramp(false), ramp(true));
    let cost = |m: &Model| m.cost().total.unwrap().per_connection;
    assert!((cost(&lagging) / cost(&fresh) - 1.0).abs() < 0.01, "{} for {}", cost(&lagging), cost(&fresh));
    let at = |m: &Model| limit(m, "memory").forecast.connections().unwrap() as f64;
    assert!((at(&lagging) / at(&fresh) - 1.0).abs() < 0.02, "{} for {}", at(&lagging), at(&fresh));
}

/// So many wait at port 9900, of 64.
fn wait(sample: &mut Sample, used: u64) {
    let fullest = Some(AcceptQueue { port: 9900, used, max: 64 });
    sample.kernel.net.listeners = Ok(Listeners { reading: sample.t_ms, count: 1, waiting: used, fullest });
}

/// A held run of eleven seconds, a sample a second, each changed by `change(sample, second)`; and what was told of queues.
fn queue_run(change: impl Fn(&mut Sample, u64)) -> (Model, Vec<Event>) {
    let mut model = model(100_000);
    for second in 0..=10 {
        let mut sample = synthetic::sample(100_000, second * 1000);
        synthetic::set_target(&mut sample, 100_000);
        change(&mut sample, second);
        model.update(&sample);
    }
    let told = |e: &&Event| e.id.contains("accept_queue") || e.id == "listen_overflows";
    let told = model.events().all().iter().filter(told).cloned().collect();
    (model, told)
}

#[test]
fn a_queue_that_a_burst_fills_is_no_alarm() {
    type Change = fn(&mut Sample, u64);
    let rows: [(&str, Change); 4] = [
        ("full for a sample or three", |s, second| wait(s, if (4..=6).contains(&second) { 65 } else { 0 })),
        ("full, and the server accepts as fast as others come", |s, second| {
            wait(s, 65);
            s.kernel.net.tcp.as_mut().unwrap().passive_opens += second;
        }),
        ("filled in part", |s, _| wait(s, 57)),
        ("full now and then", |s, second| wait(s, 65 * (second % 2))),
    ];
    for (what, change) in rows {
        let (model, told) = queue_run(change);
        assert_eq!(told, [], "{what}");
        assert_eq!(limit(&model, "accept_queue").state, LimitState::Ok, "{what}");
    }
    let (model, _) = queue_run(|s, _| wait(s, 57));
    let row = limit(&model, "accept_queue");
    assert_eq!((row.used, row.limit, row.forecast), (Some(57), Some(64), Forecast::Never));
    assert_eq!(row.reason.as_deref(), Some("port 9900: 57 of 64 waiting"));
}

#[test]
fn a_queue_that_stays_full_says_that_the_server_does_not_accept() {
    let (model, told) = queue_run(|s, _| wait(s, 60));
    assert_eq!(limit(&model, "accept_queue").state, LimitState::Warn);
    assert_eq!((told.len(), told[0].t_ms, told[0].severity), (1, 3000, Severity::Warning), "{told:?}");
    let text = "the server on port 9900 is not accepting: 60 of 64 waiting in its accept queue; is the server stopped";
    assert!(told[0].text.starts_with(text), "{}", told[0].text);

    // Whether the drops can be read or not.
    let (model, told) = queue_run(|s, _| {
        wait(s, 60);
        s.kernel.net.ext = Err(Absent::because("not told"));
    });
    assert_eq!((limit(&model, "accept_queue").state, told.len()), (LimitState::Warn, 1));
    assert_eq!(limit(&model, "syn_queue").state, LimitState::Unknown);
    let (model, _) = queue_run(|s, _| {
        s.kernel.net.listeners = Err(Absent::because("not told"));
        s.kernel.net.ext = Err(Absent::because("nor these"));
    });
    assert_eq!(limit(&model, "accept_queue").state, LimitState::Unknown);

    // One voice: where connections were dropped, the counter speaks.
    let (model, told) = queue_run(|s, second| {
        wait(s, 65);
        s.kernel.net.ext.as_mut().unwrap().listen_overflows = second;
    });
    assert_eq!(told.iter().map(|e| e.id.as_str()).collect::<Vec<_>>(), ["listen_overflows"]);
    assert!(told[0].text.contains("the one on port 9900 still is, 65 of 64 waiting"), "{}", told[0].text);
    let row = limit(&model, "accept_queue");
    assert_eq!(row.reason.as_deref(), Some("port 9900: 65 of 64 waiting; 10 overflows since the start"));

    let (model, _) = queue_run(|s, _| s.kernel.net.listeners = Err(Absent::because("not told")));
    let row = limit(&model, "accept_queue");
    assert_eq!((row.used, row.limit, row.state), (Some(0), None, LimitState::Ok));
    assert_eq!(row.reason.as_deref(), Some("cannot tell how full it is: not told"));

    // Without listeners to look at, the drops alone, as ever.
    let (model, _) = queue_run(|s, second| {
        s.kernel.net.listeners = Ok(Listeners::default());
        s.kernel.net.ext.as_mut().unwrap().listen_overflows = 4 * second;
    });
    let row = limit(&model, "accept_queue");
    assert_eq!((row.used, row.limit, row.state), (Some(40), None, LimitState::Warn));
}

#[test]
fn a_stall_names_what_swallows_the_connections() {
    type Row = (u64, fn(&mut Sample), &'static str);
    let rows: [Row; 6] = [
        (
            500_000,
            |s| {
                s.kernel.processes.remove(0);
                s.engines.remove(0);
                wait(s, 65);
                s.kernel.net.ext.as_mut().unwrap().listen_overflows = 7 + s.t_ms;
            },
            "; the accept queue of port 9900 is full (65 of 64 waiting): the server is not accepting",
        ),
        (28_232, |_| (), "28,232, all ports of the default ip_local_port_range for one destination port"),
        (500_000, |s| stats(s, Role::Server).phase = Phase::Paused, ": the server is paused"),
        (500_000, |s| fail(s, Role::Server, "accept", 24, "EMFILE", 1), "EMFILE on accept). Cure: --workers"),
        (
            20_000,
            |s| {
                let table = s.kernel.net.conntrack.as_mut().unwrap();
                (table.count, table.max, table.drop) = (20_000, 20_000, Some(300));
            },
            "the conntrack table is full (20,000 of 20,000)",
        ),
        (500_000, |s| drop((s.kernel.processes.remove(0), s.engines.remove(0))), ": look at the other host"),
    ];
    for (count, change, part) in rows {
        let mut model = model(1_000_000);
        for i in 0..=6 {
            let mut sample = synthetic::sample(count, 1000 + i * 500);
            change(&mut sample);
            model.update(&sample);
            let told = model.events().all().iter().any(|e| e.id == "stall");
            assert_eq!(told, i >= 4, "{part}: sample {i}");
        }
        let stall = event(&model, "stall");
        assert!(stall.text.starts_with("no connection was established for 2 s at "), "{}", stall.text);
        assert!(stall.text.contains(part), "{}", stall.text);
        assert_eq!(stall.count, 1, "one stall, however long");
    }
}

#[test]
fn a_ramp_with_nothing_under_way_or_held_back_is_no_stall() {
    for (phase, in_flight) in [(Phase::Ramping, 0), (Phase::Paused, 256), (Phase::Guarded, 256), (Phase::Holding, 0)] {
        let mut model = model(1_000_000);
        for i in 0..10 {
            let mut sample = synthetic::sample(300_000, i * 500);
            let client = stats(&mut sample, Role::Client);
            (client.phase, client.in_flight) = (phase, in_flight);
            model.update(&sample);
        }
        assert!(model.events().all().iter().all(|e| e.id != "stall"), "{phase:?}");
    }
}

#[test]
fn an_oom_kill_of_a_cgroup_keeps_the_last_state_and_says_what_it_was() {
    let mut model = model(1_000_000);
    for mut sample in ramp(60_000, 1_000_000, |s, _| with_memcg(s, "/c1m", 400 << 20)) {
        sample.kernel.processes[0].rss_bytes = Ok(1_782_579);
        model.update(&sample);
    }
    let limits = model.limits().to_vec();
    let mut gone = synthetic::sample(62_300, 2000);
    with_memcg(&mut gone, "/c1m", 400 << 20);
    for group in gone.kernel.processes.iter_mut().flat_map(|t| t.memcg.as_mut().unwrap()) {
        group.oom_kills = 1;
        group.max_hits = 9;
        group.used = 0;
    }
    gone.kernel.processes[0].alive = false;
    gone.engines[0].stats = Err(Absent::because("process gone"));
    model.update(&gone);
    model.note_death(4021, Cause::Signal(9));
    model.note_death(4021, Cause::Signal(9));
    assert_eq!(
        event(&model, "death/server/4021").text,
        "server engine 4021 was killed by the kernel's OOM killer at 62,300 connections: memory cgroup /c1m reached its limit \
         of 400 MiB (RSS was 1.70 MiB; it went into kernel socket memory, which RSS does not show). Cure: echo \
         7230000000 > /sys/fs/cgroup/c1m/memory.max, or MemoryMax=6896M in the service's systemd unit (a container: its memory limit), or a lower --target"
    );
    assert_eq!(model.deaths().len(), 1);
    assert_eq!(model.now().phase, RunPhase::EngineDied);
    assert_eq!(model.nearest().map(|l| (l.info.name, l.state)), Some(("memcg", LimitState::Hit)));
    let before = limits.iter().find(|l| l.info.name == "file-max").unwrap();
    assert_eq!(limit(&model, "file-max").forecast, before.forecast);
    let server = model.engines().iter().find(|e| e.name == "server").unwrap();
    assert_eq!((server.alive, server.stats.as_ref().map(|s| s.open)), (false, Some(60_000)));
    assert!(server.death.is_some());
    let summary = model.summary(Verdict::EngineKilled);
    assert_eq!(summary.stopped_by.as_deref(), Some("memcg"));
    assert_eq!(summary.peak_accepted, Some(60_000));
}

/// A ramp to 40,000 in which an accept queue overflows once; then the server is killed, which the kernel takes seconds over.
fn killed_in_a_ramp() -> Model {
    let mut model = model(1_000_000);
    for mut sample in ramp(40_000, 1_000_000, |_, _| ()) {
        sample.kernel.net.ext.as_mut().unwrap().listen_overflows = 7 * u64::from(sample.t_ms >= 1000);
        model.update(&sample);
    }
    event(&model, "listen_overflows");
    model
}

/// What follows from the end of the server: `alive` while the kernel still takes it apart.
fn aftermath(alive: bool, t_ms: u64, drops: u64) -> Sample {
    let mut sample = synthetic::sample(40_000, t_ms);
    let ext = sample.kernel.net.ext.as_mut().unwrap();
    (ext.listen_overflows, ext.listen_drops, ext.time_wait_overflow) = (7 + drops, drops, drops);
    sample.kernel.host.softnet.as_mut().unwrap().dropped = drops;
    fail(&mut sample, Role::Client, "connect", 111, "ECONNREFUSED", drops);
    sample.kernel.processes[0].rss_bytes = Err(Absent::because("the process is ending"));
    sample.kernel.processes[0].alive = alive;
    if !alive {
        sample.engines[0].stats = Err(Absent::because("process gone"));
    }
    sample
}

#[test]
fn what_follows_from_a_kill_is_told_after_it_without_a_cure() {
    let mut model = killed_in_a_ramp();
    let before = model.events().all().to_vec();
    for (t_ms, drops) in [(3000, 500), (4000, 900), (5000, 900)] {
        model.update(&aftermath(true, t_ms, drops));
        assert_eq!(model.events().all(), before, "at {t_ms} ms nobody knows yet what it follows from");
    }
    model.update(&aftermath(false, 6000, 950));
    model.note_death(4021, Cause::Signal(9));
    let events = model.events().all();
    assert_eq!(events[..before.len()], before, "what was before it keeps its words and its cure");
    let [death, after @ ..] = &events[before.len()..] else { panic!("{events:#?}") };
    assert_eq!((death.id.as_str(), death.severity), ("death/server/4021", Severity::Critical));
    for id in ["listen_overflows", "time_wait_overflow", "softnet_dropped", "client/connect/ECONNREFUSED"] {
        let found = after.iter().find(|e| e.id == format!("after/{id}"));
        let event = found.unwrap_or_else(|| panic!("no {id}: {after:#?}"));
        assert_eq!(event.severity, Severity::Info, "{}", event.text);
        assert!(event.cure.is_empty() && !event.text.contains("Cure"), "{}", event.text);
        assert!(event.text.starts_with("after the server engine ended: "), "{}", event.text);
        assert!(event.t_ms >= death.t_ms, "{}: {} ms", event.id, event.t_ms);
    }
    assert_eq!(event(&model, "after/listen_overflows").count, 950);
    // From now on at once.
    model.update(&aftermath(false, 7000, 990));
    assert_eq!(event(&model, "after/listen_overflows").count, 990);
    assert!(model.events().all()[before.len() + 1..].iter().all(|e| e.severity == Severity::Info));
}

#[test]
fn what_follows_from_an_end_that_nobody_knows_of_is_told_in_the_end() {
    let mut model = killed_in_a_ramp();
    for t_ms in (3000..=17_000).step_by(1000) {
        model.update(&aftermath(true, t_ms, t_ms));
        assert!(model.events().all().iter().all(|e| !e.id.starts_with("after/")), "at {t_ms} ms");
    }
    model.update(&aftermath(true, 19_000, 19_000));
    assert_eq!(event(&model, "after/listen_overflows").severity, Severity::Info);
}

#[test]
fn drops_while_everything_is_closed_are_no_consequence() {
    let mut model = killed_in_a_ramp();
    let mut sample = aftermath(false, 3000, 500);
    stats(&mut sample, Role::Client).phase = Phase::Closed;
    sample.kernel.processes[0].alive = true;
    model.update(&sample);
    sample.kernel.processes[0].alive = false;
    sample.t_ms += 1000;
    sample.kernel.net.ext.as_mut().unwrap().listen_overflows += 600;
    model.update(&sample);
    assert_eq!(event(&model, "listen_overflows").count, 1107);
    assert!(!event(&model, "listen_overflows").cure.is_empty());
}

/// Takes the other limits out of the guard's way.
fn memory_comes_first(sample: &mut Sample) {
    sample.kernel.host.max_user_watches = Ok(50_000_000);
    sample.kernel.host.files.as_mut().unwrap().max = 50_000_000;
    sample.kernel.net.conntrack.as_mut().unwrap().max = 50_000_000;
}

#[test]
fn the_guard_and_a_stop_are_told_with_their_reason() {
    let mut guarded = after(
        500_000,
        1_000_000,
        |_, _| (),
        |s| {
            let client = stats(s, Role::Client);
            (client.phase, client.ceiling) = (Phase::Guarded, Some(500_000));
            memory_comes_first(s);
        },
    );
    let told = |model: &Model| model.events().all().iter().any(|e| e.id == "phase/guarded");
    assert!(!told(&guarded), "held for a moment is not told");
    let mut again = guarded.last_sample().unwrap().clone();
    again.t_ms += 1000;
    guarded.update(&again);
    let text = &event(&guarded, "phase/guarded").text;
    let want = "the guard stopped the ramp at 500,000: more would leave less than a tenth of the memory that was free";
    assert!(text.starts_with(want), "{text}");
    assert_eq!(guarded.summary(Verdict::GuardStopped).stopped_by.as_deref(), Some("memory"));

    let stopped = after(
        500_000,
        1_000_000,
        |_, _| (),
        |s| {
            let client = stats(s, Role::Client);
            client.phase = Phase::Stopped;
            client.capacity = Some(500_259);
            client.stop = Some(Stop {
                cause: StopCause::Limit,
                call: FailedCall { op: "connect".into(), errno: 99, name: "EADDRNOTAVAIL".into() },
                text: "no address is left".into(),
            });
        },
    );
    let text = &event(&stopped, "phase/stopped").text;
    let want = "the client stopped at 500,000 connections: no address is left. Cure: --ports ";
    assert!(text.starts_with(want), "{text}");
    assert_eq!(stopped.summary(Verdict::LimitHit).stopped_by.as_deref(), Some("ports"));
}

#[test]
fn engine_events_come_through_once() {
    let engine_event = |s: &mut Sample| {
        let event = EngineEvent {
            seq: 3,
            t_us: 5,
            severity: Severity::Warning,
            id: "control_refused".into(),
            text: "a line on the control socket was refused".into(),
            call: None,
        };
        stats(s, Role::Server).events.push(event);
    };
    let mut model = after(20_000, 1_000_000, |_, _| (), engine_event);
    let mut again = synthetic::sample(20_000, 3000);
    engine_event(&mut again);
    model.update(&again);
    let event = event(&model, "server/control_refused");
    assert_eq!((event.count, event.text.as_str()), (1, "server: a line on the control socket was refused"));
}

#[test]
fn a_foreign_process_is_judged_by_what_can_be_seen() {
    let mut model = Model::new(Setup { interval_ms: 1000, ..Setup::default() });
    for i in 0..12 {
        let mut sample = synthetic::host_only(i * 1000);
        sample.kernel.net.tcp.as_mut().unwrap().curr_estab = i * 1000;
        synthetic::foreign(&mut sample, 77, "beam.smp", 30 + i * 1000, 20_000);
        model.update(&sample);
    }
    assert_eq!((model.now().source, model.now().connections), (CountSource::Namespace, 11_000));
    let nofile = limit(&model, "nofile");
    assert_eq!(nofile.scope, "beam.smp 77");
    assert_eq!(nofile.forecast.connections(), Some(19_970));
    assert_eq!(model.nearest().map(|l| l.info.name), Some("nofile"));
}

#[test]
fn the_guards_ceiling_is_there_from_the_first_sample_and_never_below_the_count() {
    let mut model = model(10_000_000);
    let mut least = u64::MAX;
    for i in 0..=100 {
        let mut sample = synthetic::sample(i * 24_000, i * 500);
        set_target(&mut sample, 10_000_000);
        memory_comes_first(&mut sample);
        model.update(&sample);
        let ceiling = model.guard_ceiling().unwrap();
        assert!(ceiling >= i * 24_000);
        least = least.min(ceiling);
    }
    let headroom = model.headroom().unwrap();
    let end = model.guard_ceiling().unwrap();
    // A tenth of 22.1 GiB left at 8,124 B each.
    assert!(end.abs_diff(2_640_000) < 40_000, "{end} {headroom:?}");
    assert!(least >= 2_000_000, "no needless stop early: {least}");
}

#[test]
fn the_chart_covers_target_and_nearest_limit_and_does_not_fold_back() {
    let mut model = after(400_000, 1_000_000, |_, _| (), |_| ());
    let chart = model.chart(XAxis::Connections, None);
    assert_eq!(chart.x_bounds, (0.0, 1_500_000.0), "target and file-max at 1.23 M");
    assert_eq!(labels(&chart), ["memory in use", "socket slab"]);
    let line = |at: fn(&LineAt) -> bool| chart.lines.iter().find(|l| at(&l.at)).map(|l| (l.label.as_str(), l.nearest));
    assert_eq!(line(|at| matches!(at, LineAt::Connections(_))), Some(("system open files at 1.23 M", true)));
    assert_eq!(line(|at| matches!(at, LineAt::Bytes(_))), Some(("memory 23.9 GiB", false)));
    assert!(chart.y_bounds.1 >= 23.9 * 1024.0_f64.powi(3), "the memory line is to scale: {:?}", chart.y_bounds);
    let [from, to] = chart.forecast.unwrap();
    assert!((from.0 - 400_000.0).abs() < 1.0 && (to.0 - 1_229_250.0).abs() < 3_000.0, "{from:?} {to:?}");
    assert!(((to.1 - from.1) / (to.0 - from.0) / 8124.0 - 1.0).abs() < 0.01, "{from:?} {to:?}");
    let rising = points(&chart);

    for i in 0..20 {
        let mut closing = synthetic::sample(400_000 - i * 20_000, 20_000 + i * 500);
        stats(&mut closing, Role::Client).phase = Phase::Closing;
        model.update(&closing);
    }
    assert_eq!(points(&model.chart(XAxis::Connections, None)), rising, "over connections only the way up");
    let time = model.chart(XAxis::Time, None);
    assert_eq!(points(&time).len(), rising.len() + 21, "over time everything");
    assert!(time.lines.iter().all(|l| matches!(l.at, LineAt::Bytes(_))));
}

fn labels(chart: &Chart) -> Vec<&'static str> {
    chart.curves.iter().map(|c| c.label).collect()
}

fn points(chart: &Chart) -> Vec<(f64, f64)> {
    chart.curves[0].segments.concat()
}

#[test]
fn a_gap_breaks_the_curve() {
    let mut model = model(1_000_000);
    for (i, sample) in ramp(200_000, 1_000_000, |_, _| ()).iter().enumerate() {
        if i == 5 {
            model.gap();
        }
        model.update(sample);
    }
    assert_eq!(model.chart(XAxis::Time, None).curves[0].segments.len(), 2);
    assert_eq!(model.summary(Verdict::Interrupted).dashboard.late_samples, 0);
}

#[test]
fn a_cgroup_that_comes_first_has_its_curve_and_line() {
    let model = after(40_000, 1_000_000, |s, _| with_memcg(s, "/c1m", 400 << 20), |_| ());
    let chart = model.chart(XAxis::Connections, None);
    assert_eq!(labels(&chart), ["cgroup charge", "memory in use", "socket slab"]);
    assert!(chart.lines.iter().any(|l| l.label == "cgroup memory 400 MiB" && l.nearest), "{:?}", chart.lines);
    assert!(chart.y_bounds.1 < 1e9, "{:?}", chart.y_bounds);
    assert!(chart.lines.iter().any(|l| l.label == "memory 23.9 GiB, above"), "{:?}", chart.lines);
}

#[test]
fn without_slabinfo_the_kernels_slab_stands_in_and_nothing_is_made_up() {
    let model = after(400_000, 1_000_000, |s, _| s.kernel.host.slab = Err(Absent::because("needs root")), |_| ());
    assert_eq!(labels(&model.chart(XAxis::Connections, None)), ["memory in use", "kernel slab"]);
    assert!(model.cost().slab.is_empty());
    let total = model.cost().total.unwrap().per_connection;
    assert!((total / 8124.0 - 1.0).abs() < 0.01, "{total}");
}

#[test]
fn connections_of_other_programs_before_the_engines_start_bend_nothing() {
    let mut model = model(1_000_000);
    let mut host = synthetic::host_only(0);
    host.kernel.net.tcp.as_mut().unwrap().curr_estab = 500_000;
    model.update(&host);
    assert_eq!(model.now().connections, 500_000);
    for mut sample in ramp(200_000, 1_000_000, |_, _| ()) {
        later(&mut sample, 1000);
        model.update(&sample);
    }
    let total = model.cost().total.unwrap().per_connection;
    assert!((total / 8124.0 - 1.0).abs() < 0.01, "{total}");
    assert!(limit(&model, "file-max").forecast.connections().is_some());
    assert_eq!(points(&model.chart(XAxis::Connections, None)).len(), 11);
}

#[test]
fn forecasts_are_kept_to_be_held_against_what_came() {
    let model = after(1_000_000, 1_000_000, |_, _| (), |_| ());
    let summary = model.summary(Verdict::TargetReached);
    let of_files: Vec<_> = summary.forecasts.iter().filter(|f| f.limit_id.name() == "file-max").collect();
    assert!(of_files.len() >= 8 && summary.forecasts.len() < 100, "{}", summary.forecasts.len());
    let of_epoll = summary.forecasts.iter().filter(|f| f.limit_id.name() == "epoll").count();
    assert!(of_epoll >= 3, "each eighth of the way of a limit that is not the nearest: {of_epoll}");
    for f in of_files {
        assert!(f.predicted_connections.abs_diff(1_229_250) < 1_229_250 / 50, "{f:?}");
    }
}

#[test]
fn an_hour_of_samples_stays_small() {
    let mut model = Model::new(Setup { interval_ms: 100, ..Setup::default() });
    for i in 0..36_000_u64 {
        let mut sample = synthetic::sample(i * 20, i * 100);
        set_target(&mut sample, 10_000_000);
        model.update(&sample);
    }
    let chart = model.chart(XAxis::Time, None);
    assert!(chart.curves.iter().flat_map(|c| &c.segments).map(Vec::len).sum::<usize>() <= 2 * 600);
    assert!(model.events().all().len() < 20, "{:#?}", model.events().all());
    assert!(model.summary(Verdict::Interrupted).forecasts.len() <= 400);
}

/// A master and workers with so many connections each, of which the first `draining` drain.
fn workers(held: &[u64], draining: usize) -> Sample {
    let all: u64 = held.iter().sum();
    let mut sample = synthetic::sample(all, 1000);
    synthetic::foreign(&mut sample, 8121, "nginx", 12, 65_536);
    sample.kernel.program.as_mut().unwrap().census = Ok(synthetic::census(all, 80));
    let shares: Vec<f64> = held.iter().map(|n| *n as f64 / all as f64).collect();
    synthetic::workers(&mut sample, &shares);
    let program = sample.kernel.program.as_mut().unwrap();
    program.members.iter_mut().skip(1).take(draining).for_each(|m| m.draining = true);
    sample
}

#[test]
fn old_workers_are_told_with_what_they_hold_and_are_not_unfair() {
    let mut model = Model::default();
    model.update(&workers(&[900, 800, 250, 200], 2));
    let drain = event(&model, "draining/8122");
    let want = "2 workers of nginx are draining: they no longer listen, but still hold 1,700 connections until their peers close them";
    assert_eq!((drain.text.as_str(), drain.severity), (want, Severity::Info));
    assert!(model.events().all().iter().all(|e| e.id != "skew"), "{:?}", model.events().all());
    // The same again is no news; one more is.
    model.update(&workers(&[900, 800, 250, 200], 2));
    model.update(&workers(&[0, 700, 250, 200], 3));
    let told: Vec<_> = model.events().all().iter().filter(|e| e.id.starts_with("draining/")).collect();
    assert_eq!((told.len(), told[0].count), (2, 1), "{told:?}");
    assert!(told[1].text.starts_with("2 workers of nginx are draining"), "{told:?}");
    let members = model.sample_line().process.unwrap().members;
    assert_eq!(members.iter().map(|m| m.draining).collect::<Vec<_>>(), [false, true, true, true, false]);
    assert_eq!(members[1].label(), "nginx draining");
}

#[test]
fn every_process_is_listed_and_those_left_out_are_counted() {
    let mut model = Model::default();
    let mut sample = workers(&[10; 900], 0);
    sample.kernel.program.as_mut().unwrap().processes = 1500;
    model.update(&sample);
    let process = model.sample_line().process.unwrap();
    assert_eq!((process.processes, process.members.len(), process.members_left_out), (1500, 901, 599));
    assert_eq!(model.program().map(|p| p.members.len()), Some(32), "a screen has no room for more");
}
