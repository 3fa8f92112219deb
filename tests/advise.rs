//! What a target needs of a machine, as tables over made samples; and `check` and `tune` as programs.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;
#[expect(dead_code, reason = "what other tests use")]
mod synthetic;

use std::fs;
use std::path::Path;

use c1m_top::advise::{
    Addresses, Ask, OwnEngines, Program, Proposal, Report, Side, Surroundings, Traffic, check, obsolete, table,
};
use c1m_top::limits::{LimitId, Need, Verdict};
use c1m_top::sample::{
    Absent, Allowance, Conntrack, Link, Machine, MemCgroup, Runtime, RuntimeLimit, Sample, SoftHard, UserThreads,
};
use c1m_top::units::whole;
use serde_json::{Value, json};

use support::{BINARY, Home, program, without_privilege};

const MIB: u64 = 1 << 20;

fn ask(target: u64, role: Side, program: Program) -> Ask {
    Ask {
        target,
        role,
        program,
        running: false,
        port: 9900,
        ports: 100,
        sources_named: 0,
        addresses: (role != Side::Server).then_some(Addresses { sources: 1, ports: 100, per_pair: 28_232 }),
        traffic: None,
        rate: 50_000,
        user_bytes: 0,
        measured: None,
        guard: None,
        engines: OwnEngines { table_own: 14, most_workers: 1000, workers: None, lanes: 2, in_flight: 512 },
    }
}

/// A machine of 24 GiB on which nothing runs; one process with these limits, root or not.
fn machine(soft: u64, hard: u64, root: bool) -> Sample {
    let mut sample = synthetic::host_only(0);
    synthetic::foreign(&mut sample, 7, "shell", 10, soft);
    sample.kernel.processes[0].nofile = Ok(SoftHard { soft, hard });
    sample.kernel.processes[0].exempt_from_file_max = Ok(root);
    sample.kernel.net.link = Ok(Link { name: "eth0".into(), bits_per_s: 1_000_000_000 });
    sample
}

fn around() -> Surroundings {
    let machine = Machine { host_name: Some("web-1".into()), cores: Some(2), ..Machine::default() };
    Surroundings { machine, netdev_max_backlog: Some(1000) }
}

fn run(ask: &Ask, sample: &Sample) -> Report {
    check(ask, &sample.kernel, &around())
}

fn row<'a>(report: &'a Report, id: &str) -> &'a Need {
    report.limits.iter().find(|r| r.id.name() == id).unwrap()
}

const OTHER: Program = Program::Other { processes: 1 };

#[test]
fn descriptors_level_by_level() {
    // soft, hard, program, processes, the verdict of each row with this id, what the first cure says
    let rows: [(u64, u64, Program, &[Verdict], &str); 8] = [
        (1024, 20_000, Program::Own, &[Verdict::Fits, Verdict::Fits], ""),
        (20_000, 20_000, Program::Own, &[Verdict::Fits, Verdict::Fits], ""),
        (100, 114, Program::Own, &[Verdict::TooSmall, Verdict::TooSmall], "LimitNOFILE=1120"),
        (
            1024,
            2_000_000,
            OTHER,
            &[Verdict::TooSmall, Verdict::Fits],
            "raise the soft limit 1024 to the hard limit 2000000",
        ),
        (
            1024,
            1_000_205,
            OTHER,
            &[Verdict::TooSmall, Verdict::Fits],
            "raise the soft limit 1024 to the hard limit 1000205",
        ),
        (1024, 20_000, OTHER, &[Verdict::TooSmall, Verdict::TooSmall], "raise the hard limit first"),
        (1_048_576, 1_048_576, OTHER, &[Verdict::Fits, Verdict::Fits], ""),
        (20_000, 20_000, Program::Other { processes: 100 }, &[Verdict::Fits, Verdict::Fits], ""),
    ];
    for (soft, hard, program, verdicts, cure) in rows {
        let role = if program == Program::Own { Side::Both } else { Side::Server };
        let report = run(&ask(1_000_000, role, program), &machine(soft, hard, true));
        let tables: Vec<&Need> = report.limits.iter().filter(|r| r.id.name() == "nofile").collect();
        assert_eq!(tables.iter().map(|r| r.verdict).collect::<Vec<_>>(), verdicts, "{soft} {hard} {program:?}");
        let got = tables[0].cure.to_string();
        assert!(got.starts_with(cure) && got.is_empty() == cure.is_empty(), "{soft} {hard}: {got}");
    }
}

#[test]
fn too_few_workers_are_cured_by_more_of_them() {
    let mut few = ask(5000, Side::Both, Program::Own);
    few.engines.workers = Some(2);
    few.ports = 10;
    let report = run(&few, &machine(2000, 2000, true));
    let nofile = row(&report, "nofile");
    // Measured: a server with two tables of 2,000 and ten listeners stops accepting at 3,952.
    assert_eq!((nofile.verdict, nofile.met_at_connections), (Verdict::TooSmall, Some(3952)));
    assert_eq!(nofile.cure.to_string(), "--workers 4, or none: as many as it needs");
    assert!(Proposal::new(&report, vec![]).nofile.is_none(), "no limit of the machine has to change");
}

#[test]
fn one_table_beyond_nr_open_needs_the_sysctl_first() {
    let report = run(&ask(2_000_000, Side::Server, OTHER), &machine(1024, 1_048_576, false));
    let nr_open = row(&report, "nr_open");
    assert_eq!(
        (nr_open.verdict, nr_open.cure.to_string().as_str()),
        (Verdict::TooSmall, "sysctl -w fs.nr_open=2010000")
    );
    let hard = report.limits.iter().filter(|r| r.id.name() == "nofile").nth(1).unwrap();
    assert!(hard.cure.to_string().starts_with("sysctl -w fs.nr_open=2010000, then LimitNOFILE=2010000"));
    assert_eq!(report.first_limit.as_ref().unwrap().connections, 1024 - 200);
    assert!(!report.fits);
    let own = run(&ask(2_000_000, Side::Server, Program::Own), &machine(1024, 20_000, true));
    assert_eq!(row(&own, "nr_open").verdict, Verdict::NotApplicable);
    assert!(own.fits, "{}", table::write(&ask(2_000_000, Side::Server, Program::Own), &own));
}

#[test]
fn file_max_binds_all_but_root_and_two_sockets_count_twice() {
    let files = |root, role, program| {
        let mut sample = machine(1024, 20_000, root);
        sample.kernel.host.files.as_mut().unwrap().max = 1_500_000;
        run(&ask(1_000_000, role, program), &sample)
    };
    let free = files(true, Side::Both, Program::Own);
    assert_eq!(row(&free, "file-max").verdict, Verdict::NotApplicable);
    let bound = files(false, Side::Both, Program::Own);
    let bound = row(&bound, "file-max");
    assert_eq!(
        (bound.verdict, bound.needed, bound.met_at_connections),
        (Verdict::TooSmall, Some(2_001_500), Some(749_250))
    );
    assert_eq!(bound.cure.to_string(), "sysctl -w fs.file-max=2010000");
    let one_end = files(false, Side::Client, Program::Own);
    assert_eq!(row(&one_end, "file-max").verdict, Verdict::Fits);
    // Root asks, but the server will not run as root.
    let server = files(true, Side::Both, OTHER);
    assert_eq!(row(&server, "file-max").verdict, Verdict::TooSmall);
}

#[test]
fn the_guard_of_a_run_needs_room_above_the_target() {
    let mut sample = machine(20_000, 20_000, false);
    sample.kernel.net.conntrack = Ok(Conntrack { count: 1_000, max: 110_000, drop: Some(0) });
    // Who runs, the guard, what 100,000 connections need of the table, and the count at which it is met.
    let rows = [
        (Side::Both, Program::Own, None, 101_000, 109_000),
        (Side::Both, Program::Own, Some(0.9), 112_223, 98_000),
        (Side::Client, Program::Own, Some(0.5), 202_000, 54_000),
        // c1m-top's guard holds its own client back and nobody else's.
        (Side::Server, Program::Own, Some(0.9), 101_000, 109_000),
        (Side::Both, Program::Other { processes: 1 }, Some(0.9), 112_223, 98_000),
        (Side::Client, Program::Other { processes: 1 }, Some(0.9), 101_000, 109_000),
    ];
    for (role, program, guard, needed, met_at) in rows {
        let report = run(&Ask { guard, ..ask(100_000, role, program) }, &sample);
        let row = row(&report, "conntrack");
        assert_eq!(
            (row.needed, row.met_at_connections),
            (Some(needed), Some(met_at)),
            "{role:?} {program:?} {guard:?}"
        );
    }
}

#[test]
fn what_a_cloud_tracks_is_held_against_the_target() {
    let mut sample = machine(64 * 1024, 2_000_000, false);
    let clients = ask(100_000, Side::Server, OTHER);
    assert_eq!(row(&run(&clients, &sample), "allowance").verdict, Verdict::NotApplicable);
    let available = 76_957;
    sample.kernel.net.allowance = Some(Allowance { interface: "ens5".into(), available, most: available, exceeded: 0 });
    let report = run(&clients, &sample);
    let allowance = row(&report, "allowance");
    assert_eq!((allowance.verdict, allowance.met_at_connections), (Verdict::TooSmall, Some(available)));
    assert_eq!(
        (allowance.scope.as_str(), allowance.present, allowance.needed),
        ("ens5", Some(available), Some(100_000))
    );
    assert!(allowance.cure.to_string().ends_with("or a larger instance"), "{}", allowance.cure);
    assert_eq!(row(&run(&ask(50_000, Side::Server, OTHER), &sample), "allowance").verdict, Verdict::Fits);
    assert_eq!(row(&run(&ask(100_000, Side::Both, OTHER), &sample), "allowance").verdict, Verdict::NotApplicable);
}

#[test]
fn memory_keeps_a_tenth_and_small_memory_comes_first() {
    let mut sample = machine(1024, 20_000, true);
    let mem = sample.kernel.host.mem.as_mut().unwrap();
    (mem.free, mem.active_file, mem.inactive_file) = (1024 * MIB, 0, 0);
    let ask_both = ask(1_000_000, Side::Both, Program::Own);
    let report = run(&ask_both, &sample);
    let memory = row(&report, "memory");
    assert_eq!((memory.verdict, memory.needed), (Verdict::TooSmall, Some(8_232_000_000)));
    let met = memory.met_at_connections.unwrap();
    assert_eq!(met, whole(memory.present.unwrap() as f64 / 8232.0));
    assert_eq!(report.first_limit.as_ref().map(|f| (f.id, f.connections)), Some((LimitId::Memory, met)));
    assert!(memory.cure.to_string().contains("smaller buffers save nothing"));
    let text = table::write(&ask_both, &report);
    assert_eq!(text.lines().nth(1), Some("web-1, 2 cores"));
    assert!(
        text.contains("The target does not fit: 1 limit is too small. The first to stop the run: memory (host), at"),
        "{text}"
    );
    assert!(!Proposal::new(&report, vec![]).fits_then, "no setting makes memory");
    // One end needs half, and what the program takes comes on top.
    let one = run(&Ask { user_bytes: 20_480, ..ask(1_000_000, Side::Server, OTHER) }, &sample);
    assert_eq!(one.memory_needed_bytes, (4116 + 20_480) * 1_000_000);
}

#[test]
fn the_cgroup_is_charged_less_but_may_be_the_first() {
    let mut sample = machine(1024, 20_000, true);
    let group = |limit| MemCgroup {
        path: "/c1m.service".into(),
        dir: "/sys/fs/cgroup/c1m".into(),
        version: 2,
        used: 30 * MIB,
        limit,
        with_swap: None,
        file_bytes: 20 * MIB,
        oom_kills: 0,
        max_hits: 0,
    };
    sample.kernel.processes[0].memcg = Ok(vec![group(Some(400 * MIB))]);
    let report = run(&ask(1_000_000, Side::Both, Program::Own), &sample);
    let memcg = row(&report, "memcg");
    assert_eq!(memcg.verdict, Verdict::TooSmall);
    // 390 MiB of room, a tenth kept, 5,927 B each.
    assert!(memcg.met_at_connections.unwrap().abs_diff(62_095) < 100, "{:?}", memcg.met_at_connections);
    assert_eq!(report.first_limit.as_ref().unwrap().id, LimitId::Memcg);
    let proposal = Proposal::new(&report, vec![]);
    assert!(proposal.fits_then);
    // Set as proposed, it fits.
    sample.kernel.processes[0].memcg = Ok(vec![group(proposal.memory_max_bytes)]);
    assert_eq!(row(&run(&ask(1_000_000, Side::Both, Program::Own), &sample), "memcg").verdict, Verdict::Fits);
    // The running server has a cgroup of its own, the client beside it none: one end is charged.
    let mut apart = sample.clone();
    apart.kernel.processes.push(machine(1024, 20_000, true).kernel.processes.remove(0));
    let running = Ask { running: true, ..ask(10_000, Side::Both, OTHER) };
    assert_eq!(row(&run(&running, &apart), "memcg").needed, Some(29_635_200));
    sample.kernel.processes[0].memcg = Ok(vec![group(None)]);
    assert_eq!(row(&run(&ask(1_000_000, Side::Both, Program::Own), &sample), "memcg").verdict, Verdict::NotApplicable);
}

#[test]
fn conntrack_counts_where_something_is_tracked() {
    let with = |count, max| {
        let mut sample = machine(1024, 20_000, true);
        let table = sample.kernel.net.conntrack.as_mut().unwrap();
        (table.count, table.max) = (count, max);
        run(&ask(1_000_000, Side::Both, Program::Own), &sample)
    };
    let idle = with(0, 262_144);
    let idle = row(&idle, "conntrack");
    assert_eq!(idle.verdict, Verdict::NotApplicable);
    assert!(idle.reason.as_ref().unwrap().contains("262,144 would be the most"));
    let tracking = with(12, 262_144);
    let tracking = row(&tracking, "conntrack");
    assert_eq!((tracking.verdict, tracking.met_at_connections), (Verdict::TooSmall, Some(262_132)));
    assert!(tracking.cure.to_string().starts_with("sysctl -w net.netfilter.nf_conntrack_max=1010000, or a NOTRACK"));
    assert_eq!(row(&with(12, 1_010_000), "conntrack").verdict, Verdict::Fits, "as cured");
}

#[test]
fn ports_narrow_and_wide() {
    let with = |sources, ports: u16, per_pair, target| {
        let addresses = Some(Addresses { sources, ports: u64::from(ports), per_pair });
        run(&Ask { addresses, ports, ..ask(target, Side::Client, Program::Own) }, &machine(1024, 20_000, true))
    };
    let narrow = with(1, 1, 28_232, 50_000);
    let ports = row(&narrow, "ports");
    assert_eq!((ports.verdict, ports.met_at_connections), (Verdict::TooSmall, Some(28_232)));
    assert_eq!(
        ports.cure.to_string(),
        "--ports 2 (on the server as well), or 2 source addresses (--source), or sysctl -w net.ipv4.ip_local_port_range=\"15000 65535\""
    );
    let change = &Proposal::new(&narrow, vec![]).sysctl[0];
    assert_eq!((change.key, change.to.as_str()), ("net.ipv4.ip_local_port_range", "15000 65535"));
    // Beyond what a range can give there is nothing to set.
    let far = with(1, 1, 28_232, 1_000_000);
    assert_eq!(
        row(&far, "ports").cure.to_string(),
        "--ports 36 (on the server as well), or 36 source addresses (--source)"
    );
    assert!(Proposal::new(&far, vec![]).sysctl.is_empty());
    assert_eq!(row(&with(36, 1, 28_232, 1_000_000), "ports").verdict, Verdict::Fits);
    assert_eq!(
        row(&run(&ask(1, Side::Server, OTHER), &machine(1024, 1024, true)), "ports").verdict,
        Verdict::NotApplicable
    );
}

#[test]
fn bandwidth_is_the_classic_sum_against_the_link() {
    let traffic = Some(Traffic { share: 0.2, message: 1000, every_us: 1_000_000 });
    let ask = Ask { traffic, ..ask(1_000_000, Side::Server, Program::Own) };
    let report = run(&ask, &machine(1024, 20_000, true));
    assert_eq!(report.bandwidth_bits_per_s, 1_600_000_000);
    let bandwidth = row(&report, "bandwidth");
    assert_eq!((bandwidth.verdict, bandwidth.scope.as_str()), (Verdict::TooSmall, "eth0"));
    assert_eq!(bandwidth.met_at_connections, Some(573_394), "with headers: 1.744 Gbit/s");
    let mut virtual_link = machine(1024, 20_000, true);
    virtual_link.kernel.net.link = Err(Absent::because("eth0 reports no link speed (virtual)"));
    let unknown = run(&ask, &virtual_link);
    let unknown = row(&unknown, "bandwidth");
    assert_eq!((unknown.verdict, unknown.needed), (Verdict::Unknown, Some(1_744_000_000)));
    let text = table::write(&ask, &report);
    assert!(
        text.contains("Bandwidth needed: 1.60 Gbit/s each way, 3.20 Gbit/s in all (20 % of the connections"),
        "{text}"
    );
}

#[test]
fn cores_echo_so_many_messages_and_no_more() {
    let echo = |target, role, program, message| {
        let traffic = Some(Traffic { share: 1.0, message, every_us: 1_000_000 });
        let report = run(&Ask { traffic, ..ask(target, role, program) }, &machine(1024, 20_000, true));
        (row(&report, "echo").clone(), report.fits)
    };
    let (both, fits) = echo(1_000_000, Side::Both, Program::Own, 16_384);
    assert_eq!((both.verdict, both.needed, fits), (Verdict::TooSmall, Some(1_000_000), false));
    // A hundred thousand of these have been seen to be late on two cores.
    assert!(both.met_at_connections.unwrap() < 100_000, "{both:?}");
    assert!(both.reason.as_ref().unwrap().starts_with("an estimate: 2 cores x "), "{both:?}");
    let cure = both.cure.to_string();
    for part in ["active connections (--active)", "--every ", "--message", " cores", "the client on another host"] {
        assert!(cure.contains(part), "{part}: {cure}");
    }
    let (server, _) = echo(1_000_000, Side::Server, Program::Own, 16_384);
    assert!(server.present > both.present && !server.cure.to_string().contains("another host"), "{server:?}");
    assert!(server.present < echo(1, Side::Server, Program::Own, 64).0.present);
    assert_eq!(echo(50_000, Side::Both, Program::Own, 64).0.verdict, Verdict::Fits);
    let (other, _) = echo(1_000_000, Side::Server, OTHER, 64);
    assert_eq!((other.verdict, other.needed), (Verdict::Unknown, Some(1_000_000)), "nobody knows what it does");
    let idle = run(&ask(1_000_000, Side::Both, Program::Own), &machine(1024, 20_000, true));
    assert_eq!(row(&idle, "echo").verdict, Verdict::NotApplicable);
}

#[test]
fn the_runtime_of_a_program_that_runs_bounds_it() {
    let running = |limit: Option<(Runtime, u64, &str)>, ask: &Ask| {
        let mut sample = machine(2_000_000, 2_000_000, false);
        let limit =
            limit.map(|(runtime, limit, set_by)| RuntimeLimit { runtime, limit, set_by: set_by.into(), besides: 0 });
        sample.kernel.processes[0].runtime = Ok(limit);
        run(ask, &sample)
    };
    let server = Ask { ports: 1, running: true, ..ask(1_000_000, Side::Server, OTHER) };
    let beam = running(Some((Runtime::Beam, 65_536, "the default")), &server);
    let ports = row(&beam, "runtime");
    assert_eq!((ports.scope.as_str(), ports.verdict), ("shell 7", Verdict::TooSmall));
    assert_eq!((ports.needed, ports.met_at_connections), (Some(1_000_101), Some(65_435)));
    assert!(ports.cure.to_string().starts_with("start it with +Q 1010000, or with ERL_MAX_PORTS=1010000"));
    assert_eq!(beam.first_limit.as_ref().unwrap().id, LimitId::Runtime);
    // What it was started with bounds it, and nothing raises that while it runs.
    let kept = {
        let mut sample = machine(2_000_000, 2_000_000, false);
        sample.kernel.processes[0].nofile_at_start = Some(1024);
        run(&server, &sample)
    };
    let files = row(&kept, "nofile");
    assert_eq!((files.verdict, files.present), (Verdict::TooSmall, Some(1024)));
    assert!(!kept.limits.iter().any(|row| row.cure.to_string().contains("prlimit --pid")), "{kept:#?}");
    let raised = running(Some((Runtime::Beam, 1 << 20, "+Q 1010000")), &server);
    assert_eq!(row(&raised, "runtime").verdict, Verdict::Fits, "as cured: the table is a power of two");
    // Of a heap nothing can be said before somebody says what a connection needs of it.
    let java = Some((Runtime::Jvm, 1 << 30, "-Xmx1g"));
    let unsaid = running(java, &server);
    assert_eq!((row(&unsaid, "runtime").verdict, row(&unsaid, "runtime").present), (Verdict::Unknown, Some(1 << 30)));
    let said = running(java, &Ask { user_bytes: 4096, ..server.clone() });
    let heap = row(&said, "runtime");
    assert_eq!((heap.verdict, heap.met_at_connections), (Verdict::Caution, Some(262_144)));
    assert_eq!(heap.cure.to_string(), "-Xmx3911m");
    assert_eq!(row(&running(None, &server), "runtime").verdict, Verdict::Unknown);
    // Before it runs, nothing is known of it.
    let not_yet = Ask { running: false, ..server };
    let not_yet = running(java, &not_yet);
    assert!(row(&not_yet, "runtime").reason.as_ref().unwrap().contains("cannot be seen from here: BEAM +Q"));
}

#[test]
fn a_users_limit_of_threads_counts_what_the_user_runs_already() {
    let with = |user| {
        let mut sample = machine(1024, 20_000, false);
        sample.kernel.processes[0].user_threads = Ok(user);
        run(&ask(1_000_000, Side::Both, Program::Own), &sample)
    };
    // 51 workers and 2 threads each.
    let fits = with(Some(UserThreads { used: 300, limit: 500, hard: 500 }));
    let row_of = |report: &Report| row(report, "threads").clone();
    assert_eq!((row_of(&fits).scope.as_str(), row_of(&fits).verdict), ("user", Verdict::Fits));
    let small = row_of(&with(Some(UserThreads { used: 300, limit: 400, hard: 400 })));
    assert_eq!((small.verdict, small.needed), (Verdict::TooSmall, Some(406)));
    assert!(small.cure.to_string().starts_with("LimitNPROC=406 in the service"));
    assert_eq!(row_of(&with(None)).scope, "host", "root");
}

#[test]
fn queues_slow_down_and_do_not_fail() {
    let mut sample = machine(1_048_576, 1_048_576, true);
    sample.kernel.net.somaxconn = Ok(128);
    let report = run(&Ask { ports: 1, ..ask(100_000, Side::Server, OTHER) }, &sample);
    let queue = row(&report, "accept_queue");
    assert_eq!((queue.verdict, queue.needed), (Verdict::Caution, Some(5000)));
    assert_eq!(queue.cure.0[0].command.as_deref(), Some("sysctl -w net.core.somaxconn=5000"));
    assert!(report.fits);
    // With SYN cookies the SYN queue is bounded by the listener's own size, as the accept queue is: one key for both.
    assert_eq!(row(&report, "syn_queue").cure, queue.cure);
    let proposal = Proposal::new(&report, vec![]);
    assert_eq!(proposal.sysctl.iter().filter(|c| c.key == "net.core.somaxconn").count(), 1);
    // Without them `tcp_max_syn_backlog` is met first, at three quarters.
    (sample.kernel.net.syncookies, sample.kernel.net.somaxconn) = (Ok(0), Ok(65_535));
    let report = run(&Ask { ports: 1, ..ask(100_000, Side::Server, OTHER) }, &sample);
    let queue = row(&report, "syn_queue");
    assert_eq!((queue.scope.as_str(), queue.needed), ("net.ipv4.tcp_max_syn_backlog", Some(6666)));
    assert!(queue.cure.to_string().starts_with("sysctl -w net.ipv4.tcp_max_syn_backlog=6670, or"), "{}", queue.cure);
    assert!(report.first_limit.as_ref().is_some_and(|f| f.id != LimitId::HashLoad), "{:?}", report.first_limit);
}

#[test]
fn what_cannot_be_read_is_unknown_and_not_too_small() {
    let mut sample = machine(1024, 20_000, true);
    let hidden = || Absent::because("hidden");
    sample.kernel.host.mem = Err(hidden());
    sample.kernel.host.max_user_watches = Err(hidden());
    sample.kernel.net.tcp_mem = Err(hidden());
    let report = run(&ask(1_000_000, Side::Both, Program::Own), &sample);
    for id in ["memory", "epoll", "tcp_mem"] {
        assert_eq!(row(&report, id).verdict, Verdict::Unknown, "{id}");
    }
    assert!(report.fits);
}

#[test]
fn the_files_hold_a_line_only_where_it_is_needed_each_with_its_reason() {
    let server = Ask { ports: 1, ..ask(2_000_000, Side::Server, OTHER) };
    let mut sample = machine(1024, 524_288, false);
    sample.kernel.host.max_user_watches = Ok(712_000);
    let found = obsolete::scan("/etc/sysctl.conf", "net.ipv4.tcp_tw_recycle = 1\n");
    let proposal = Proposal::new(&run(&server, &sample), found);
    let text = proposal.write(&server);
    for part in [
        "# ---- /etc/sysctl.d/90-c1m-top.conf",
        "# open files ceiling: 1,048,576 now, 2,000,101 needed; the highest a hard limit can be\nfs.nr_open = 2010000\n",
        "# epoll watches: 712,000 now, 2,008,192 needed; 8,192 are already in use\nfs.epoll.max_user_watches = 2010000\n",
        "*    hard nofile 2010000\n",
        "[Service]\nLimitNOFILE=2010000\n",
        "# /etc/sysctl.conf:1: net.ipv4.tcp_tw_recycle: gone since Linux 4.12",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    assert!(!text.contains("fs.file-max ="), "2,460,000 is enough:\n{text}");
    assert!(!text.contains("tcp_rmem") && !text.contains("tcp_wmem"), "{text}");
    // The hard limit stays where only the soft one is too small.
    let soft = Ask { target: 100_000, ..server };
    let text = Proposal::new(&run(&soft, &sample), vec![]).write(&soft);
    assert!(text.contains("LimitNOFILE=101000:524288\n") && !text.contains("hard nofile"), "{text}");
    let nothing = ask(1000, Side::Both, Program::Own);
    let text = Proposal::new(&run(&nothing, &sample), vec![]).write(&nothing);
    assert!(text.contains("Nothing to set"), "{text}");
}

#[test]
fn a_target_whose_messages_no_core_echoes_does_not_fit() {
    // A billion a second: whatever cores this machine has.
    let line = "check --target 1m --active 100 --message 16KiB --every 1ms --output json";
    let out = program().args(line.split(' ')).output().unwrap();
    assert_eq!(out.status.code(), Some(3), "{}", text(&out.stderr));
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    let row = report["limits"].as_array().unwrap().iter().find(|row| row["id"] == "echo").unwrap();
    assert_eq!((&row["verdict"], &row["unit"]), (&json!("too_small"), &json!("per_second")), "{row}");
    assert_eq!(row["needed"], json!(1_000_000_000), "{row}");
    assert!(row["reason"].as_str().unwrap().starts_with("an estimate: "), "{row}");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn bad_input_is_one_line_and_exit_2() {
    for (line, part) in [
        ("check --target 0", "--target: 0 opens nothing"),
        ("check --port 65500 --ports 100", "beyond 65535"),
        ("check --active 5% --message 0", "--message: 0 sends nothing"),
        ("check --pid 4194304", "4194304"),
        ("check --source 192.0.2.77", "192.0.2.77"),
        ("check --target many", "many"),
        ("tune --apply --revert", "--revert"),
        ("tune --force", "--revert"),
    ] {
        let out = program().args(line.split(' ')).output().unwrap();
        let text = text(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{line}: {text}");
        assert!(text.contains(part) && text.trim_end().lines().count() == 1, "{line}: {text}");
    }
}

#[test]
fn check_speaks_json_and_says_by_its_status_whether_it_fits() {
    for (target, fits) in [("1k", true), ("900g", false)] {
        let out = program().args(["check", "--target", target, "--output", "json"]).output().unwrap();
        let report: Value = serde_json::from_slice(&out.stdout).unwrap();
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert_eq!(report["machine"]["host_name"].as_str(), Some(name.trim()));
        assert_eq!((report["kind"].as_str(), report["fits"].as_bool()), (Some("check"), Some(fits)));
        assert_eq!(report["schema"], 2);
        assert_eq!(out.status.code(), Some(if fits { 0 } else { 3 }));
        let first = &report["limits"][0];
        for key in ["id", "scope", "unit", "present", "needed", "verdict", "met_at_connections", "reason", "cure"] {
            assert!(first.get(key).is_some(), "{key}");
        }
    }
}

/// Of all that `tune` sets the port range alone belongs to the network namespace, not to the machine; and nothing else is too
/// small for so few connections.
#[test]
fn apply_and_revert_in_a_network_namespace() {
    const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
    own_namespace!();
    let state = Home::path().join("later/tune.json");
    let tune = |options: &str| -> Value {
        let mut tune = program();
        tune.arg("tune").args(options.split(' ')).args(["--output", "json"]);
        if options.contains("--apply") || options.contains("--revert") {
            tune.arg("--state").arg(&state);
        }
        let out = tune.output().unwrap();
        assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), String::new()), "{options}");
        serde_json::from_slice(&out.stdout).unwrap()
    };
    fs::write(RANGE, "64000 64999").unwrap();
    for (target, from, to) in [(1_200, "64000 64999", "64000 65535"), (2_000, "64000 65535", "63000 65535")] {
        let ask = format!("--target {target} --role client --ports 1");
        let proposed = &tune(&ask)["sysctl"];
        let keys: Vec<_> = proposed.as_array().unwrap().iter().map(|change| &change["key"]).collect();
        assert_eq!(keys, ["net.ipv4.ip_local_port_range"], "nothing of the whole machine");
        assert_eq!(range_of(RANGE), from, "without --apply nothing is set");
        assert_eq!(tune(&format!("--apply {ask}"))["done"], set(from, to));
        assert_eq!(range_of(RANGE), to);
        assert!(state.exists());
    }
    assert_eq!(tune("--revert")["done"], set("63000 65535", "64000 64999"), "as it was before the first");
    assert_eq!(range_of(RANGE), "64000 64999");
    // In text the command that puts it back can be run as it is printed, whatever the name of the file.
    let state = Home::path().join("an odd name/tune.json");
    let apply = ["tune", "--apply", "--target", "1200", "--role", "client", "--ports", "1", "--state"];
    let out = text(&program().args(apply).arg(&state).output().unwrap().stdout);
    let (_, revert) = out.split_once("kept in ").unwrap().1.split_once(": c1m-top ").unwrap();
    let command = format!("{} {}", env!("CARGO_BIN_EXE_c1m-top"), revert.trim());
    assert!(std::process::Command::new("sh").args(["-c", &command]).output().unwrap().status.success(), "{command}");
    assert_eq!(range_of(RANGE), "64000 64999");
    assert!(!state.exists());
}

/// The words of a file, one blank between two.
fn range_of(path: &str) -> String {
    fs::read_to_string(path).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What `tune` says when it has set the port range.
fn set(from: &str, to: &str) -> Value {
    json!([{ "key": "net.ipv4.ip_local_port_range", "from": from, "to": to, "result": "set" }])
}

#[test]
fn without_privilege_the_lines_that_cannot_be_set_are_named() {
    require!(Program("setpriv"));
    let state = Home::path().join("tune.json");
    let before = fs::read_to_string("/proc/sys/fs/nr_open").unwrap();
    let mut tune = without_privilege(Path::new(BINARY));
    tune.args("tune --apply --target 900m --role server --program other --state".split(' ')).arg(&state);
    let out = tune.output().unwrap();
    let text = text(&out.stdout);
    assert_eq!(out.status.code(), Some(3), "{text}{:?}", out.stderr);
    assert!(text.contains("fs.nr_open: NOT set, still") && text.contains("needs root"), "{text}");
    assert!(!text.contains("->"), "nothing was set: {text}");
    assert_eq!(fs::read_to_string("/proc/sys/fs/nr_open").unwrap(), before);
    assert!(!state.exists());
}
