//! Plausible samples for tests: a machine of 24 GiB at N connections, both ends on it, with the bytes per connection that
//! physics has measured on Linux 6.18. Tests change what they are about and leave the rest. The unit tests in `src/` and those
//! beside this file include it.

#![expect(clippy::cast_precision_loss, reason = "shares of counts far below 2^52")]

use c1m_top::protocol::{EngineStats, Hello, Latency, PROTOCOL, Phase, Role};
use c1m_top::sample::{
    Absent, AcceptQueue, Census, Conntrack, EngineReading, FileNr, Host, Kernel, Link, ListenerCensus, Listeners, Mem,
    MemCgroup, Member, Neighbours, Net, Own, PortRange, Process, Program, Received, Sample, SlabCache, Sockstat,
    SoftHard, Softnet, TcpCounters, TcpExt,
};
use c1m_top::units;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// Slab caches: name, object size, objects per connection (both ends), bytes per connection, bytes before the first one.
const CACHES: [(&str, u64, u64, u64, u64); 8] = [
    ("TCP", 2368, 2, 5041, 8 * MIB),
    ("sock_inode_cache", 832, 2, 1727, 4 * MIB),
    ("filp", 192, 2, 390, 6 * MIB),
    ("dentry", 192, 2, 387, 60 * MIB),
    ("eventpoll_epi", 128, 2, 282, MIB),
    ("anon_vma_chain", 64, 2, 128, 3 * MIB),
    ("lsm_inode_cache", 32, 2, 64, 10 * MIB),
    ("kmalloc-64", 64, 1, 105, 12 * MIB),
];

/// Bytes that all slab caches together take per connection.
pub(crate) const SLAB_PER_CONNECTION: u64 = 8124;
/// Of them, in `SReclaimable`.
pub(crate) const RECLAIMABLE_PER_CONNECTION: u64 = 2114;

/// The machine with nothing watched: `sockets` host sockets are idle ones of other programs.
pub(crate) fn host_only(t_ms: u64) -> Sample {
    build(t_ms, 0, false)
}

/// Server and client engine on one machine, `connections` open, the client aiming at one million: ramping, or at the
/// target holding.
pub(crate) fn sample(connections: u64, t_ms: u64) -> Sample {
    build(t_ms, connections, true)
}

/// A steady ramp from 0 to `target`, `per_s` connections a second, a sample every `interval_ms`.
pub(crate) fn ramp(target: u64, per_s: u64, interval_ms: u64) -> Vec<Sample> {
    let step = (per_s * interval_ms / 1000).max(1);
    (0..=target.div_ceil(step))
        .map(|i| {
            let mut sample = sample((i * step).min(target), i * interval_ms);
            set_target(&mut sample, target);
            sample
        })
        .collect()
}

/// Gives both engines this target and the client the phase that fits.
pub(crate) fn set_target(sample: &mut Sample, target: u64) {
    for engine in &mut sample.engines {
        engine.hello.target = target;
        if let Ok(stats) = &mut engine.stats {
            stats.target = target;
            if stats.open >= target {
                stats.in_flight = 0;
                if stats.role == Role::Client {
                    stats.phase = Phase::Holding;
                }
            }
        }
    }
}

/// The counters of one engine.
pub(crate) fn engine(sample: &mut Sample, role: Role) -> Option<&mut EngineStats> {
    sample.engines.iter_mut().filter(|e| e.hello.role == role).find_map(|e| e.stats.as_deref_mut().ok())
}

/// Puts every watched process into a memory cgroup that is charged 5,900 B per connection.
pub(crate) fn with_memcg(sample: &mut Sample, path: &str, limit: u64) {
    let open = engine(sample, Role::Client).map_or(0, |c| c.open);
    let group = MemCgroup {
        path: path.to_owned(),
        dir: format!("/sys/fs/cgroup{path}"),
        version: 2,
        used: 30 * MIB + open * 5900,
        limit: Some(limit),
        with_swap: None,
        file_bytes: 20 * MIB,
        oom_kills: 0,
        max_hits: 0,
    };
    let root =
        MemCgroup { path: "/".into(), dir: "/sys/fs/cgroup".into(), limit: None, used: 4 * GIB, ..group.clone() };
    for target in &mut sample.kernel.processes {
        target.memcg = Ok(vec![group.clone(), root.clone()]);
    }
}

/// A foreign process with so many descriptors in place of the engines.
pub(crate) fn foreign(sample: &mut Sample, pid: u32, name: &str, descriptors: u64, nofile: u64) {
    sample.engines.clear();
    let member = Member {
        pid,
        name: name.to_owned(),
        rss_bytes: Some(50 * MIB),
        cpu_us: sample.t_ms * 100,
        descriptors: Some(descriptors),
        at_rest: None,
        connections: None,
        draining: false,
    };
    sample.kernel.program = Some(Program {
        pid,
        name: name.to_owned(),
        processes: 1,
        members: vec![member],
        rss_bytes: 50 * MIB,
        shared_bytes: 0,
        other_threads: 0,
        descriptors: Some(descriptors),
        census: Err(Absent::because("not counted")),
        app_limit: None,
    });
    sample.kernel.processes = vec![Process {
        pid,
        name: name.to_owned(),
        alive: true,
        rss_bytes: Ok(50 * MIB),
        cpu_us: Ok(sample.t_ms * 100),
        system_us: Ok(sample.t_ms * 60),
        threads: Ok(8),
        stopped: false,
        descriptors: Ok(descriptors),
        nofile: Ok(SoftHard { soft: nofile, hard: nofile.max(20_000) }),
        // As the probe finds it: BEAM keeps to what it was started with.
        nofile_at_start: name.starts_with("beam").then_some(nofile),
        user_threads: Ok(None),
        runtime: Ok(None),
        app: Ok(None),
        heap: Ok(None),
        memcg: Err(Absent::because("no memory cgroup")),
        pids_cgroups: Ok(Vec::new()),
        exempt_from_file_max: Ok(false),
    }];
}

/// So many connections of one port, which this program alone listens on.
pub(crate) fn census(connections: u64, port: u16) -> Census {
    let listener = ListenerCensus { address: "*".into(), port, established: connections, queued: 0, backlog: 4096 };
    Census { connections, by_socket: true, alone: true, listeners: vec![listener], ..Census::default() }
}

/// The same program as a master that holds nothing, and workers that share its connections, numbered from the next on.
pub(crate) fn workers(sample: &mut Sample, shares: &[f64]) {
    let master = sample.kernel.processes[0].clone();
    let Some(program) = &mut sample.kernel.program else { return };
    let held = program.census.as_ref().map_or(0, |census| census.connections);
    for (pid, share) in (master.pid + 1..).zip(shares) {
        let own = units::whole(held as f64 * share);
        let process = Process { pid, descriptors: Ok(own + 10), ..master.clone() };
        program.members.push(Member {
            pid,
            connections: Some(own),
            descriptors: Some(own + 10),
            at_rest: Some(10),
            ..program.members[0].clone()
        });
        sample.kernel.processes.push(process);
    }
    program.processes += shares.len() as u64;
    program.members[0].connections = Some(0);
    program.rss_bytes *= program.processes;
    sample.kernel.processes[0].descriptors = Ok(12);
    program.members[0].descriptors = Some(12);
    program.descriptors = program.members.iter().map(|m| m.descriptors).sum();
}

fn build(t_ms: u64, n: u64, engines: bool) -> Sample {
    let slab: Vec<SlabCache> = CACHES
        .iter()
        .map(|&(name, obj_size, objs, per, base)| SlabCache {
            name: name.to_owned(),
            active_objs: base / obj_size + objs * n,
            obj_size,
            // Slabs are 32 KiB at most: use grows in steps.
            bytes: (base + per * n).next_multiple_of(32 * 1024),
            // As many bytes for each object as it grows by.
            objs_per_slab: objs,
            slab_bytes: per,
        })
        .collect();
    let slab_bytes: u64 = slab.iter().map(|c| c.bytes).sum();
    let s_reclaimable = 300 * MIB + RECLAIMABLE_PER_CONNECTION * n;
    let free = (20 * GIB).saturating_sub(SLAB_PER_CONNECTION * n);
    let mem = Mem {
        total: 24 * GIB,
        free,
        active_file: GIB,
        inactive_file: 900 * MIB,
        slab: slab_bytes + 400 * MIB,
        s_reclaimable,
    };
    let host = Host {
        page_size: 4096,
        mem: Ok(mem),
        slab: Ok(slab),
        slab_is_old: false,
        reserve_bytes: Ok(84 * MIB),
        core_lists_bytes: Ok(0),
        files: Ok(FileNr { used: 1500 + 2 * n, max: 2_460_000 }),
        nr_open: Ok(1_048_576),
        max_user_watches: Ok(5_400_000),
        oom_kills: Ok(0),
        memory_pressure: Ok(0.0),
        softnet: Ok(Softnet { dropped: 0, cores: 2 }),
        soft_interrupts_us: Ok(t_ms * 100),
        threads_max: Ok(190_000),
        pid_max: Ok(4_194_304),
        tasks: Ok(150 + n / 9_000),
        neighbours: [Ok(Neighbours { entries: 2, table_fulls: 0, max: Some(1024) }), Ok(Neighbours::default())],
        log: Err(Absent::because("needs root (/dev/kmsg)")),
    };
    let net = Net {
        scope: "this".into(),
        sockstat: Ok(Sockstat {
            used: 220 + 2 * n,
            inuse: 12 + 2 * n,
            orphan: 0,
            tw: 3,
            alloc: 14 + 2 * n,
            mem_pages: 2 + n / 5000,
        }),
        inuse6: Ok(2),
        tcp: Ok(TcpCounters { passive_opens: n, in_segs: 6 * n, curr_estab: 4 + 2 * n, retrans_segs: 0 }),
        ext: Ok(TcpExt::default()),
        conntrack: Ok(Conntrack { count: 0, max: 262_144, drop: Some(0) }),
        tcp_mem: Ok([280_000, 374_000, 560_000]),
        ports: Ok(PortRange { low: 32_768, high: 60_999, reserved: 0 }),
        max_buffers: Ok([33_554_432, 4_194_304]),
        received: Ok(Received { bytes: 60 * 6 * n, segments: 6 * n }),
        max_tw: Ok(131_072),
        max_orphans: Ok(131_072),
        somaxconn: Ok(4096),
        max_syn_backlog: Ok(2048),
        syncookies: Ok(1),
        ehash_entries: Ok(262_144),
        link: Ok(Link { name: "eth0".into(), bits_per_s: 10_000_000_000 }),
        allowance: None,
        listeners: Ok(Listeners {
            reading: t_ms,
            count: if engines { 100 } else { 3 },
            waiting: 0,
            fullest: Some(AcceptQueue {
                port: if engines { 9900 } else { 22 },
                used: 0,
                max: if engines { 4096 } else { 128 },
            }),
        }),
    };
    let roles: &[Role] = if engines { &[Role::Server, Role::Client] } else { &[] };
    Sample {
        t_ms,
        wall_ms: 1_790_000_000_000 + t_ms,
        kernel: Kernel {
            took_us: 400,
            host,
            net,
            processes: roles.iter().map(|r| process(*r, n)).collect(),
            program: None,
        },
        engines: roles.iter().map(|r| reading(*r, n, t_ms)).collect(),
        own: Own { cpu_us: t_ms * 6, rss_bytes: 9 * MIB },
    }
}

fn pid(role: Role) -> u32 {
    if role == Role::Server { 4021 } else { 4022 }
}

fn process(role: Role, n: u64) -> Process {
    Process {
        pid: pid(role),
        name: role.name().to_owned(),
        alive: true,
        rss_bytes: Ok(4 * MIB + n * 2),
        cpu_us: Ok(10 * n),
        system_us: Ok(9 * n),
        threads: Ok(1 + n / 18_000),
        stopped: false,
        descriptors: Ok(20),
        nofile: Ok(SoftHard { soft: 20_000, hard: 20_000 }),
        nofile_at_start: None,
        user_threads: Ok(None),
        runtime: Ok(None),
        app: Ok(None),
        heap: Ok(None),
        memcg: Err(Absent::because("no memory cgroup")),
        pids_cgroups: Ok(Vec::new()),
        exempt_from_file_max: Ok(false),
    }
}

fn reading(role: Role, n: u64, t_ms: u64) -> EngineReading {
    let hello = Hello {
        protocol: PROTOCOL,
        version: "0.1.0".into(),
        role,
        pid: pid(role),
        owner: 4020,
        target: 1_000_000,
        address: "127.0.0.1".into(),
        port: 9900,
        ports: 100,
        page: 9,
    };
    EngineReading { hello, stats: Ok(Box::new(stats(role, pid(role), n, t_ms))) }
}

/// How `n` connects are spread: most near a millisecond, few up to 30.
fn connects(n: u64) -> Vec<u64> {
    let mut places = vec![0; 31];
    for (place, per_mille) in
        [(17, 60), (18, 140), (19, 260), (20, 300), (21, 150), (22, 60), (23, 20), (24, 8), (27, 2)]
    {
        places[place] = n * per_mille / 1000;
    }
    places
}

fn stats(role: Role, pid: u32, n: u64, t_ms: u64) -> EngineStats {
    let client = role == Role::Client;
    let done = n >= 1_000_000;
    EngineStats {
        role,
        pid,
        t_us: t_ms * 1000 + 50_000,
        silent_ms: 0,
        phase: if client && done { Phase::Holding } else { Phase::Ramping },
        target: 1_000_000,
        open: n,
        peak: n,
        opened: n,
        closed: 0,
        lost: 0,
        refused: 0,
        lifetime: Latency::default(),
        backoff_ms: 0,
        in_flight: if client && !done { 256 } else { 0 },
        greet: false,
        greeted: 0,
        rate_limit: None,
        ceiling: None,
        errors: Vec::new(),
        tables: u32::try_from(n / 19_900 + 1).unwrap_or(u32::MAX),
        tables_max: 256,
        table_limit: 20_000,
        table_room: 19_880,
        descriptors: n + 20 + 6 * (n / 19_900),
        capacity: client.then_some(6_450_000),
        buffered_bytes: 0,
        cpu_us: 10 * n,
        ramp_started_us: Some(50_000),
        peak_us: Some(t_ms * 1000 + 50_000),
        ramp_cpu_us: None,
        connect: if client {
            Latency { count: n, p50_us: 900, p99_us: 4_000, p999_us: 9_000, max_us: 30_000 }
        } else {
            Latency::default()
        },
        handshake: if client {
            Latency { count: n, p50_us: 20, p99_us: 90, p999_us: 300, max_us: 1_000 }
        } else {
            Latency::default()
        },
        connect_spread: if client { connects(n) } else { Vec::new() },
        connect_sum_us: if client { 1_100 * n } else { 0 },
        handshake_spread: if client { vec![0, 0, 0, 0, 0, 0, 0, 0, 0, n] } else { Vec::new() },
        handshake_sum_us: if client { 21 * n } else { 0 },
        echo_spread: Vec::new(),
        echo_sum_us: 0,
        times: c1m_top::protocol::Times::default(),
        table_use: (0..=n / 19_900)
            .map(|i| u32::try_from((n - i * 19_900).min(19_900) + 6).unwrap_or(u32::MAX))
            .collect(),
        port_given: if client { (0..100).map(|i| n / 100 + u64::from(i < n % 100)).collect() } else { Vec::new() },
        source_given: if client { vec![n.div_ceil(2), n / 2] } else { Vec::new() },
        traffic: None,
        stop: None,
        events: Vec::new(),
    }
}
