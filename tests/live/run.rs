//! Whole runs: server and client in a network namespace, their counts held against the kernel's.

use c1m_top::model::{EventLine, LimitState, Severity, Verdict};
use c1m_top::protocol::EngineStats;
use c1m_top::sys;

use super::support::{
    Cgroup, Control, Controller, Engines, Finished, HostSetting, Run, Version, is_running, own_namespace, program,
    require, sockstat, succeed, wait_until,
};

fn stats(pid: Option<u32>) -> EngineStats {
    Control::connect(pid.unwrap()).unwrap().stats()
}

/// A run that reached its target left nothing behind.
fn reached(ended: &Finished, engines: Engines, target: u64) {
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.stderr, "");
    let summary = ended.summary();
    assert_eq!((summary.verdict, summary.stopped_by.as_deref()), (Verdict::TargetReached, None), "{}", ended.log());
    assert_eq!((summary.target, summary.peak_established), (Some(target), Some(target)));
    assert_eq!(summary.peak_accepted, Some(target));
    left_nothing(engines);
}

/// No process, no socket, no `TIME_WAIT`.
fn left_nothing(engines: Engines) {
    for pid in [engines.server, engines.client].into_iter().flatten() {
        assert!(!is_running(pid), "engine {pid} still runs");
    }
    assert_eq!((sockstat("tw"), sockstat("inuse")), (0, 0));
}

#[test]
fn counts_are_the_kernels_and_nothing_stays_behind() {
    own_namespace!();
    for (ip, target) in [("127.0.0.1", 30_000), ("::1", 10_000)] {
        let mut run = Run::start(&format!("--server --client {ip} 9900 --target {target} --hold 2s"));
        let engines = run.engines(true, true);
        run.until_holding();
        // Both ends, and a hundred listeners.
        let (inuse, want) = (sockstat("inuse"), 2 * target + 100);
        assert!(inuse.abs_diff(want) * 1000 <= want, "{ip}: {inuse} sockets, wants {want}");
        let seen = run.wait_for("a sample at the hold", |p| p.samples.last().and_then(|s| s.sockets));
        assert!(seen.abs_diff(want) * 1000 <= want, "{ip}: the sample says {seen}, wants {want}");
        reached(&run.finish(), engines, target);
    }
}

#[test]
fn every_connection_is_greeted() {
    own_namespace!();
    let mut run = Run::start("--server --client 127.0.0.1 9900 --target 6k --greet");
    let engines = run.engines(true, true);
    run.until_holding();
    wait_until("all greetings echoed", || (stats(engines.client).greeted == 6_000).then_some(()));
    assert_eq!(stats(engines.client).errors, []);
    reached(&run.interrupt(), engines, 6_000);
}

#[test]
fn messages_come_back_as_they_went() {
    own_namespace!();
    let mut run = Run::start(
        "--server --client 127.0.0.1 9900 --target 5k --active 20% --message 1KiB --every 200ms --interval 200ms",
    );
    let engines = run.engines(true, true);
    run.until_holding();
    // The counts begin anew while messages are under way: they count neither as sent nor as echoed.
    let mut client = Control::connect(engines.client.unwrap()).unwrap();
    let traffic = wait_until("three messages on each active connection", || {
        let traffic = client.stats().traffic?;
        assert!(traffic.echoed <= traffic.sent && traffic.late <= traffic.sent, "{traffic:?}");
        (traffic.echoed >= 3_000).then_some(traffic)
    });
    assert_eq!((traffic.active, traffic.mismatched), (1_000, 0), "{traffic:?}");
    let stats = client.stats();
    assert_eq!((stats.connect.count, stats.handshake.count), (5_000, 5_000), "{stats:?}");
    assert!((1..=stats.connect.p50_us).contains(&stats.handshake.p50_us), "{stats:?}");
    reached(&run.interrupt(), engines, 5_000);
}

#[test]
fn a_message_larger_than_any_buffer_comes_back_too() {
    own_namespace!();
    let mut run = Run::start("--server --client 127.0.0.1 9900 --target 20 --active 100% --message 8MiB --every 100ms");
    let engines = run.engines(true, true);
    run.until_holding();
    let traffic = wait_until("large messages echoed", || stats(engines.client).traffic.filter(|t| t.echoed >= 40));
    assert_eq!((traffic.active, traffic.mismatched), (20, 0), "{traffic:?}");
    reached(&run.interrupt(), engines, 20);
}

#[test]
fn the_rate_is_kept() {
    own_namespace!();
    let run = Run::start("--server --client 127.0.0.1 9900 --target 4k --rate 2k --hold 500ms");
    let engines = run.engines(true, true);
    let ended = run.finish();
    reached(&ended, engines, 4_000);
    // By the engine's own clock, and never more however busy the machine is: what may be caught up with is 20 ms' worth.
    let rate = ended.summary().mean_rate_per_s.unwrap();
    assert!(rate < 2_200.0, "{rate} per second");
}

#[test]
fn past_half_of_the_local_ports_it_says_why_connects_are_slow() {
    own_namespace!();
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "20000 21999").unwrap();
    for (target, told) in [(900, false), (1500, true)] {
        let options = format!("--server --client 127.0.0.1 9900 --ports 1 --source 127.0.0.1 --target {target}");
        let ended = Run::start(&format!("{options} --rate 2k --hold 100ms")).finish();
        assert_eq!(ended.summary().verdict, Verdict::TargetReached, "{}", ended.log());
        assert_eq!(ended.event("client/ports_half").is_some(), told, "{}", ended.log());
    }
    // What it advises is enough.
    let options = "--server --client 127.0.0.1 9900 --ports 2 --source 127.0.0.1 --target 1500";
    let ended = Run::start(&format!("{options} --rate 2k --hold 100ms")).finish();
    assert!(ended.event("client/ports_half").is_none(), "{}", ended.log());
}

#[test]
fn some_ports_that_refuse_are_named_in_one_sentence() {
    own_namespace!();
    let mut server = Run::start("--server --ports 10 --duration 20s");
    server.until("the server", |p| p.samples.last().is_some());
    let options = "--client 127.0.0.1 9900 --ports 60 --target 3000 --rate 2k --hold 100ms";
    let ended = Run::start(options).finish();
    assert_eq!(ended.summary().verdict, Verdict::TargetReached, "{}", ended.log());
    ended.assert_event("client/refused", &["50 ports of the server refuse connections (9910-9959) and are left out"]);
    server.interrupt();
}

#[test]
fn a_duration_ends_a_run_that_is_not_there_yet() {
    own_namespace!();
    let run = Run::start("--server --client 127.0.0.1 9900 --target 1m --rate 1k --duration 1s");
    let engines = run.engines(true, true);
    let ended = run.finish();
    assert_eq!((ended.code, ended.summary().verdict), (Some(3), Verdict::TimeUp), "{ended:#?}");
    let peak = ended.summary().peak_established.unwrap();
    assert!(peak > 0 && peak < 1_000_000, "{peak}");
    left_nothing(engines);
}

#[test]
fn a_signal_closes_and_ends_with_0() {
    own_namespace!();
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let mut run = Run::start("--server --client 127.0.0.1 9900 --target 1m --rate 2k --interval 100ms");
        let engines = run.engines(true, true);
        run.until("connections", |p| p.samples.iter().any(|s| s.established > 0));
        run.signal(signal);
        let ended = run.finish();
        assert_eq!((ended.code, ended.summary().verdict), (Some(0), Verdict::Interrupted), "{ended:#?}");
        let last = ended.samples.last().unwrap();
        assert_eq!((last.established, last.accepted), (0, Some(0)), "closed before the end");
        left_nothing(engines);
    }
}

#[test]
fn engines_leave_a_signal_to_all_processes_to_the_dashboard() {
    own_namespace!();
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let mut run = Run::start("--server --client 127.0.0.1 9900 --target 2k --interval 100ms");
        run.until_holding();
        let engines = run.engines(true, true);
        // As scancel and systemd end what they have started, but one after the other.
        for engine in [engines.server, engines.client] {
            sys::kill(engine.unwrap(), signal).unwrap();
        }
        let before = run.printed().samples.len();
        run.until("samples going on", |p| p.samples.len() > before + 3);
        assert_eq!(run.printed().established(), 2_000);
        run.signal(signal);
        let ended = run.finish();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert!(ended.alarms().is_empty(), "{}", ended.log());
        assert_eq!((sockstat("tw"), sockstat("inuse")), (0, 0), "signal {signal}");
        left_nothing(engines);
    }
}

#[test]
fn an_orderly_close_leaves_time_wait_and_says_so() {
    own_namespace!();
    let run = Run::start("--server --client 127.0.0.1 9900 --target 2k --hold 500ms --close fin");
    let ended = run.finish();
    assert_eq!((ended.code, ended.summary().verdict), (Some(0), Verdict::TargetReached), "{ended:#?}");
    // 60 s each (TCP_TIMEWAIT_LEN, include/net/tcp.h). Some go early: an acknowledgement that finds the server's end
    // gone is answered with a reset, and that ends the other end's TIME_WAIT (RFC 1337).
    assert!(sockstat("tw") > 1_000, "{}", sockstat("tw"));
}

#[test]
fn sources_named_on_the_command_line_are_used() {
    own_namespace!();
    // One port of a narrow range: what one source can carry is seen in the count.
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40999").unwrap();
    let run = Run::start("--server --client 127.0.0.1 9900 --ports 1 --source 127.0.7.0/30 --target 3500 --hold 500ms");
    let engines = run.engines(true, true);
    reached(&run.finish(), engines, 3_500);
}

#[test]
fn a_server_and_a_client_started_apart() {
    own_namespace!();
    let server = Run::start("--server --listen 127.0.0.1 --interval 100ms");
    let engine = server.engines(true, false);
    let client = Run::start("--client 127.0.0.1 9900 --target 3k --hold 1s");
    let ended = client.finish();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!((ended.summary().peak_established, ended.summary().peak_accepted), (Some(3_000), None));
    wait_until("the server noticing", || (stats(engine.server).open == 0).then_some(()));
    let ended = server.interrupt();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!((ended.summary().peak_established, ended.summary().peak_accepted), (None, Some(3_000)));
    left_nothing(engine);
}

#[test]
fn watching_alone_ends_by_itself_after_its_duration() {
    let ended = Run::start("--duration 300ms --interval 100ms").finish();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.samples.len() >= 2, "{ended:#?}");
    assert_eq!((ended.summary().peak_established, ended.summary().peak_accepted), (None, None));
}

#[test]
fn a_user_without_a_home_is_no_error() {
    own_namespace!();
    let options = "--server --client 127.0.0.1 9900 --target 100 --hold 0s";
    let ended = Run::under(&["env", "-u", "HOME", "-u", "XDG_STATE_HOME"], options).finish();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:#?}");
}

#[test]
fn text_output_has_progress_and_the_same_summary() {
    own_namespace!();
    let out = program()
        .args(["--server", "--client", "127.0.0.1", "9900", "--target", "2k", "--hold", "300ms"])
        .args(["--interval", "100ms", "--output", "text"])
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(0), "{text}");
    // What is going to happen comes before anything that does.
    let at = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words:?} is not in:\n{text}"));
    let said = [at("Opening 2,000 connections to "), at("Changes no system setting."), at("the ramp has started")];
    assert!(said.is_sorted(), "{text}");
    assert!(text.lines().any(|l| l.contains("holding") && l.contains("2,000 of 2,000")), "{text}");
    assert!(text.contains("c1m-top: the target was reached") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_host_name_is_taken_for_an_address_and_said() {
    own_namespace!();
    let run = Run::start("--server --client localhost:9900 --ports 1k --target 2k --hold 0s");
    let engines = run.engines(true, true);
    let ended = run.finish();
    let said = ended.assert_event("endpoint", &["The client connects to ", ": localhost"]);
    assert!(said.text.contains("127.0.0.1") || said.text.contains("::1"), "{}", said.text);
    reached(&ended, engines, 2_000);
}

#[test]
fn an_address_of_one_link_is_reached_by_its_zone() {
    own_namespace!();
    succeed(std::process::Command::new("ip").args("address add fe80::77/64 dev lo nodad".split(' ')));
    let run = Run::start("--server --client fe80::77%lo 9900 --ports 2 --target 2k --hold 0s");
    let engines = run.engines(true, true);
    reached(&run.finish(), engines, 2_000);
}

#[test]
fn addresses_named_twice_count_once() {
    own_namespace!();
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40999").unwrap();
    let listen = "--server --listen 127.0.0.1,127.0.0.1";
    let sources = "--client 127.0.0.1 9900 --ports 1 --source 127.0.0.5,127.0.0.5,127.0.0.4/31";
    let run = Run::start(&format!("{listen} {sources} --target 1500 --hold 0s"));
    let engines = run.engines(true, true);
    let ended = run.finish();
    ended.assert_event("capacity", &["2,000 connections", "2 source addresses"]);
    reached(&ended, engines, 1_500);
}

#[test]
fn a_target_lowered_to_what_ports_allow_is_reached_without_alarm() {
    own_namespace!();
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40999").unwrap();
    // No connect takes this one, of whatever address.
    let listener = std::net::TcpListener::bind("127.0.0.77:40007").unwrap();
    // The ports of a tuple are no multiple of the connections that go to it in a row.
    for (to, target) in [
        ("::1 9900 --ports 1", 999),
        ("::1 9900 --ports 3", 2_997),
        ("127.0.0.1 9900 --ports 1 --source 127.0.0.2,127.0.0.3", 1_998),
    ] {
        let ended = Run::start(&format!("--server --client {to} --hold 0s")).finish();
        let summary = ended.summary();
        assert_eq!((ended.code, summary.target, summary.failures), (Some(0), Some(target), 0), "{}", ended.log());
        assert_eq!(summary.peak_established, Some(target));
        assert_eq!(ended.limit("ports").state, LimitState::Ok, "{}", ended.log());
        let about_ports = |e: &&EventLine| e.severity > Severity::Info && e.text.contains("port");
        assert_eq!(ended.events.iter().find(about_ports), None, "{}", ended.log());
        let said = ended.events.iter().filter(|e| e.id == "target" || e.text.contains("ports allow"));
        assert_eq!(said.count(), 1, "{}", ended.log());
        ended.assert_event("target", &["target ", "all that addresses and ports allow", "other programs listen"]);
    }
    drop(listener);
    // Named, it is refused before anything starts.
    let out = program().args("--server --client ::1 9900 --ports 2 --target 2001".split(' ')).output().unwrap();
    let err = String::from_utf8(out.stderr).unwrap();
    assert_eq!((out.status.code(), err.lines().count(), out.stdout), (Some(2), 1, Vec::new()), "{err}");
    assert!(err.contains("--target 2,001 is more than the 2,000 that") && err.contains("--ports 3"), "{err}");
}

/// The port range of this namespace.
fn port_range() -> String {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The turn of a test whose run sets sysctls: all such runs of a user share one state file. The setting keeps its value.
fn turn() -> HostSetting {
    const PATH: &str = "/proc/sys/fs/file-max";
    HostSetting::set(PATH, std::fs::read_to_string(PATH).unwrap().trim())
}

/// A run with `--tune`. With one source address the port range of the namespace is what it lacks.
const TUNED: &str = "--server --client 127.0.0.1 9900 --source 127.0.0.1 --tune --interval 100ms";

#[test]
fn tuned_sysctls_are_put_back_however_early_the_run_is_interrupted() {
    require!(Host, Root);
    own_namespace!();
    let _turn = turn();
    for _ in 0..5 {
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40099").unwrap();
        let run = Run::start(&format!("{TUNED} --ports 1 --target 1000"));
        wait_until("the range being set", || (port_range() != "40000 40099").then_some(()));
        let ended = run.interrupt();
        assert_eq!(port_range(), "40000 40099", "{ended:#?}");
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }
}

#[test]
fn a_run_is_tuned_for_the_target_that_memory_holds() {
    require!(Host, Root, Cgroup(Controller::Memory, Version::V1));
    own_namespace!();
    let _turn = turn();
    // A hundred thousand: enough for what 400 MiB hold, and not for a million.
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40999").unwrap();
    let group = Cgroup::memory(Version::V1, "tuned", 400 << 20, None);
    let ended = group.run(&format!("{TUNED} --duration 1s")).finish();
    let target = ended.summary().target.unwrap();
    assert!((10_000..60_000).contains(&target), "{ended:#?}");
    assert!(ended.event("tuned/").is_none(), "{}", ended.log());
    assert_eq!(port_range(), "40000 40999");
}
