//! Models in states worth looking at, made from synthetic samples: for the frame snapshots and `examples/frames.rs`.

use std::net::{IpAddr, SocketAddr};

use c1m_top::model::event::Severity;
use c1m_top::model::{Cause, Event, Kind, Model, Setup};
use c1m_top::protocol::{ErrorCount, FailedCall, Latency, Phase, Role, Stop, StopCause, Traffic};
use c1m_top::sample::{AcceptQueue, AppLimit, IdlePeer, ListenerCensus, Listeners, Machine, Network, Peers, Sample};

use crate::synthetic;

/// A scene: its name and what makes it.
pub(crate) type Scene = (&'static str, fn() -> Model);

/// Every scene.
pub(crate) const ALL: [Scene; 15] = [
    ("first", first),
    ("ramp", ramp),
    ("hold", hold),
    ("warning", warning),
    ("traffic", traffic),
    ("guarded", guarded),
    ("closing", closing),
    ("silent", silent),
    ("died", died),
    ("exited", exited),
    ("stopped", stopped),
    ("foreign", foreign),
    ("workers", workers),
    ("ports", ports),
    ("host", host),
];

fn setup() -> Setup {
    Setup {
        part: None,
        merged: None,
        own_engines: true,
        machine: Machine { host_name: Some("web-1".into()), cores: Some(2), ..Machine::default() },
        target: Some(1_000_000),
        target_note: None,
        endpoint: Some("127.0.0.1:9900-9999".into()),
        listen: Some("loopback only".into()),
        guard_per_mille: None,
        interval_ms: 1000,
        hold_ms: None,
    }
}

fn watching() -> Setup {
    Setup { own_engines: false, target: None, endpoint: None, listen: None, ..setup() }
}

/// Before the first sample.
pub(crate) fn first() -> Model {
    Model::new(setup())
}

/// In the middle of a ramp at 38,420/s.
pub(crate) fn ramp() -> Model {
    ramp_to(17)
}

/// A ramp after so many seconds.
pub(crate) fn ramp_to(seconds: usize) -> Model {
    let mut model = Model::new(setup());
    for sample in synthetic::ramp(1_000_000, 38_420, 1000).iter().take(seconds + 1) {
        model.update(sample);
    }
    model
}

/// At the target, with `fs.file-max` almost met and conntrack counting.
pub(crate) fn hold() -> Model {
    let mut model = Model::new(setup());
    let mut samples = synthetic::ramp(1_000_000, 50_000, 1000);
    let last = samples[samples.len() - 1].clone();
    for t in 1..=20 {
        let mut more = last.clone();
        more.t_ms = last.t_ms + t * 1000;
        on(&mut more, t * 1000);
        samples.push(more);
    }
    for sample in &mut samples {
        let open = synthetic::engine(sample, Role::Client).map_or(0, |c| c.open);
        if let Ok(files) = &mut sample.kernel.host.files {
            files.max = 2_080_000;
        }
        if let Ok(conntrack) = &mut sample.kernel.net.conntrack {
            (conntrack.count, conntrack.max) = (open, 1_200_000);
        }
        model.update(sample);
    }
    let text = "The accept queue of 127.0.0.1:9900 overflowed (ListenOverflows): the server accepts too slowly.";
    let event = Event::new(Kind::Counter, Severity::Warning, "scene_overflow", text).times(3);
    model.events_mut().push(Event { t_ms: 12_000, ..event });
    model
}

/// Moves the engines' clocks on, and what they and the kernel spend in that time.
fn on(sample: &mut Sample, ms: u64) {
    for role in [Role::Server, Role::Client] {
        if let Some(stats) = synthetic::engine(sample, role) {
            (stats.t_us, stats.cpu_us) = (stats.t_us + ms * 1000, stats.cpu_us + ms * 20);
        }
    }
    for process in &mut sample.kernel.processes {
        process.system_us = process.system_us.clone().map(|us| us + ms * 15);
    }
    sample.kernel.host.soft_interrupts_us = Ok(sample.t_ms * 100);
}

/// A ramp that will meet the limit of connection tracking before its target.
pub(crate) fn warning() -> Model {
    let mut model = Model::new(setup());
    for mut sample in synthetic::ramp(1_000_000, 38_420, 1000).into_iter().take(12) {
        let open = synthetic::engine(&mut sample, Role::Client).map_or(0, |c| c.open);
        if let Ok(conntrack) = &mut sample.kernel.net.conntrack {
            (conntrack.count, conntrack.max) = (open, 900_000);
        }
        model.update(&sample);
    }
    model
}

/// At a target of 200,000 with traffic; some are lost and opened again, and memory rises by a megabyte a second.
pub(crate) fn traffic() -> Model {
    let mut model = Model::new(Setup { target: Some(200_000), hold_ms: Some(600_000), ..setup() });
    let mut samples = synthetic::ramp(200_000, 20_000, 1000);
    let last = samples[samples.len() - 1].clone();
    for t in 1..=90 {
        let mut more = last.clone();
        more.t_ms = last.t_ms + t * 1000;
        on(&mut more, t * 1000);
        if let Ok(mem) = &mut more.kernel.host.mem {
            mem.free -= t << 20;
        }
        if let Ok(tcp) = &mut more.kernel.net.tcp {
            tcp.retrans_segs = t.saturating_sub(60) * 3;
        }
        samples.push(more);
    }
    for (i, sample) in samples.iter_mut().enumerate() {
        synthetic::set_target(sample, 200_000);
        let held = (i as u64).saturating_sub(10);
        if let Some(client) = synthetic::engine(sample, Role::Client) {
            let sent = 6_600 * held;
            client.traffic = Some(Traffic {
                active: client.open,
                message: 64,
                every_us: 30_000_000,
                sent,
                echoed: sent,
                echoed_bytes: sent * 64,
                echo: Latency { count: sent, p50_us: 310, p99_us: 1_450, p999_us: 4_100, max_us: 22_000 },
                ..Traffic::default()
            });
            client.echo_spread = vec![0; 12];
            client.echo_spread.extend([sent / 20, sent / 8, sent / 4, sent / 4, sent / 5, sent / 10]);
            client.echo_spread.extend([sent / 50, sent / 100, sent / 100, sent / 200, sent / 500]);
            (client.lost, client.closed) = (held / 9, held / 9);
            client.opened += held / 9;
        }
        model.update(sample);
    }
    model
}

/// Held by the guard, for the files of the system.
pub(crate) fn guarded() -> Model {
    let mut model = Model::new(setup());
    let samples = synthetic::ramp(450_000, 40_000, 1000);
    let last = samples[samples.len() - 1].clone();
    let after = (1..=8).map(|t| {
        let mut more = last.clone();
        more.t_ms = last.t_ms + t * 1000;
        on(&mut more, t * 1000);
        more
    });
    for mut sample in samples.into_iter().chain(after) {
        synthetic::set_target(&mut sample, 1_000_000);
        let ceiling = model.guard_ceiling();
        if let Ok(files) = &mut sample.kernel.host.files {
            files.max = 1_002_000;
        }
        if let Some(client) = synthetic::engine(&mut sample, Role::Client) {
            client.ceiling = ceiling;
            if client.open == 450_000 {
                (client.phase, client.in_flight) = (Phase::Guarded, 0);
            }
        }
        model.update(&sample);
    }
    model
}

/// On the way down.
pub(crate) fn closing() -> Model {
    let mut model = hold();
    for t in 1..=8 {
        let mut sample = synthetic::sample(1_000_000 - t * 80_000, 40_000 + t * 1000);
        for role in [Role::Server, Role::Client] {
            if let Some(stats) = synthetic::engine(&mut sample, role) {
                (stats.phase, stats.closed) = (Phase::Closing, t * 80_000);
                (stats.opened, stats.peak, stats.in_flight) = (1_000_000, 1_000_000, 0);
                (stats.t_us, stats.cpu_us) = (stats.t_us + 20_000_000, 10_400_000 + t * 300_000);
            }
        }
        model.update(&sample);
    }
    model
}

/// A server that has been stopped in the middle of a ramp.
pub(crate) fn silent() -> Model {
    let mut model = ramp_to(9);
    for t in 1..=5_u64 {
        let mut sample = synthetic::sample(345_780, 9000 + t * 1000);
        if let Some(server) = synthetic::engine(&mut sample, Role::Server) {
            (server.silent_ms, server.cpu_us) = (t * 1000, 3_457_800);
        }
        model.update(&sample);
    }
    model
}

/// The client killed for its memory cgroup.
pub(crate) fn died() -> Model {
    let mut model = Model::new(setup());
    let limit = 400 << 20;
    let samples = synthetic::ramp(1_000_000, 30_000, 500);
    for sample in samples.iter().take(5) {
        let mut sample = sample.clone();
        synthetic::with_memcg(&mut sample, "/c1m", limit);
        model.update(&sample);
    }
    let mut last = samples[4].clone();
    last.t_ms += 500;
    synthetic::with_memcg(&mut last, "/c1m", limit);
    last.kernel.host.oom_kills = Ok(1);
    for target in &mut last.kernel.processes {
        if let Ok(groups) = &mut target.memcg {
            groups[0].oom_kills = 1;
        }
        target.alive = target.pid != 4022;
    }
    model.update(&last);
    model.note_death(4022, Cause::Signal(9));
    model
}

/// The server ended by itself.
pub(crate) fn exited() -> Model {
    let mut model = ramp_to(9);
    model.note_death(4021, Cause::Exit(101));
    model
}

/// The client out of descriptors.
pub(crate) fn stopped() -> Model {
    let mut model = Model::new(setup());
    for mut sample in synthetic::ramp(200_000, 40_000, 1000) {
        synthetic::set_target(&mut sample, 1_000_000);
        if let Some(client) = synthetic::engine(&mut sample, Role::Client) {
            client.tables_max = 10;
            client.tables = client.tables.min(10);
            client.descriptors = client.open;
            if client.open == 200_000 {
                client.phase = Phase::Stopped;
                client.in_flight = 0;
                client.errors = vec![ErrorCount { op: "socket".into(), errno: 24, name: "EMFILE".into(), count: 1 }];
                client.stop = Some(Stop {
                    cause: StopCause::Limit,
                    call: FailedCall { op: "socket".into(), errno: 24, name: "EMFILE".into() },
                    text: "every descriptor table is full: 10 tables of 20,000".into(),
                });
            }
        }
        model.update(&sample);
    }
    model
}

/// Somebody else's process, which is slow to accept.
pub(crate) fn foreign() -> Model {
    let mut model = Model::new(watching());
    for i in 0..30 {
        let mut sample = synthetic::sample(3000 + i * 40, i * 1000);
        synthetic::foreign(&mut sample, 812, "beam.smp", 3050 + i * 40, 65_536);
        let mut census = synthetic::census(3000 + i * 40, 5222);
        (census.queued, census.listeners[0].queued, census.listeners[0].backlog) = (480, 480, 511);
        if let Some(program) = &mut sample.kernel.program {
            program.census = Ok(census);
        }
        let fullest = Some(AcceptQueue { port: 5222, used: 480, max: 511 });
        sample.kernel.net.listeners = Ok(Listeners { reading: 1, count: 4, waiting: 480, fullest });
        model.update(&sample);
    }
    model
}

/// A master and three workers, of which one takes most of a ramp and comes near its own limit.
pub(crate) fn workers() -> Model {
    let mut model = Model::new(watching());
    for i in 0..40 {
        let held = i * 700;
        let mut sample = synthetic::sample(held, i * 1000);
        synthetic::foreign(&mut sample, 8121, "nginx", 12, 65_536);
        if let Some(program) = &mut sample.kernel.program {
            program.rss_bytes += held * 131;
            program.census = Ok(synthetic::census(held, 443));
        }
        synthetic::workers(&mut sample, &[0.66, 0.2, 0.14]);
        for process in sample.kernel.processes.iter_mut().skip(1) {
            process.app = Ok(Some(AppLimit {
                limit: 20_000,
                idle: None,
                each_process: true,
                closes: true,
                setting: "worker_connections".into(),
                set_in: "/etc/nginx/nginx.conf".into(),
            }));
        }
        model.update(&sample);
    }
    model
}

/// A program that listens on three ports, of which the second has most of its connections.
pub(crate) fn ports() -> Model {
    let mut model = Model::new(watching());
    let listener = |address: &str, port, established| ListenerCensus {
        address: address.to_owned(),
        port,
        established,
        queued: 0,
        backlog: 511,
    };
    for i in 0..20 {
        let held = 91_516 + i;
        let mut sample = synthetic::sample(held, i * 1000);
        synthetic::foreign(&mut sample, 8121, "haproxy", held + 40, 1_048_576);
        let mut census = synthetic::census(held, 443);
        census.listeners = vec![listener("*", 80, 312), listener("*", 443, 91_204 + i), listener("::1", 8404, 0)];
        if let Some(program) = &mut sample.kernel.program {
            program.census = Ok(census);
        }
        model.update(&sample);
    }
    model
}

/// Who is connected to the second port of [`ports`]: more networks and idle connections than any screen has rows.
pub(crate) fn peers() -> Peers {
    let network = |i: u8| {
        let v6 = i % 5 == 2;
        let address: IpAddr =
            if v6 { [0x2001, 0xdb8, i.into(), 0xff00, 0, 0, 0, 0].into() } else { [198, 51, 100 + i, 0].into() };
        let connections = 30_000_u64 >> i.min(12);
        let addresses = connections.div_ceil(7).min(254);
        Network { address, bits: if v6 { 56 } else { 24 }, connections, addresses }
    };
    let idle = |i: u8| {
        let address: IpAddr = match i % 3 {
            1 => [0x2001, 0xdb8, 0xaaaa, 0xbb00, 0xcccc, 0xdddd, 0xeeee, i.into()].into(),
            _ => [198, 51, 100, 10 + i].into(),
        };
        let peer = SocketAddr::new(address, 40_000 + u16::from(i));
        let unread = if i % 4 == 1 { 4_096 * u64::from(i) } else { 0 };
        IdlePeer { peer, idle_ms: 8_123_000 >> i, unread }
    };
    Peers {
        connections: 91_223,
        queued: 12,
        close_wait: 340,
        addresses: 12_345,
        networks: 1_410,
        top: (0..20).map(network).collect(),
        idle: [60_411, 22_000, 8_000, 700, 100, 12],
        untold: 0,
        oldest: (0..10).map(idle).collect(),
        cpu_us: 127_712,
    }
}

/// The machine alone.
pub(crate) fn host() -> Model {
    let mut model = Model::new(watching());
    for i in 0..30 {
        model.update(&synthetic::host_only(i * 1000));
    }
    model
}
