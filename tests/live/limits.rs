//! Runs that meet a limit: exit status 3, and the limit by its name. And those that get past one.

use std::process::Command;

use c1m_top::model::{LimitState, Severity, Verdict};

use super::support::{BINARY, Cgroup, Control, Controller, Finished, Run, Version, own_namespace, require, wait_until};

fn stopped_by(ended: &Finished, limit: &str) {
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    let summary = ended.summary();
    assert_eq!((summary.verdict, summary.stopped_by.as_deref()), (Verdict::LimitHit, Some(limit)), "{}", ended.log());
}

#[test]
fn one_worker_stops_at_its_descriptor_limit() {
    own_namespace!();
    let run = Run::under(
        &["prlimit", "--nofile=2000"],
        "--server --client 127.0.0.1 9900 --workers 1 --target 30k --interval 100ms --no-guard",
    );
    let ended = run.finish();
    stopped_by(&ended, "nofile");
    let peak = ended.summary().peak_established.unwrap();
    assert!(peak > 1_800 && peak < 2_000, "{peak}");
    let line = ended.limit("nofile");
    assert_eq!(line.limit, Some(2_000), "{line:?}");
    assert!(ended.log().contains("ulimit"), "a cure: {}", ended.log());
}

#[test]
fn a_limit_that_both_engines_have_says_whose_was_hit() {
    own_namespace!();
    let options = "--server --client 127.0.0.1 9900 --workers 1 --target 30k --no-guard --output text";
    let mut command = Command::new("prlimit");
    let out = command.arg("--nofile=2000").arg(BINARY).args(options.split(' ')).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let hit = text.lines().find_map(|l| l.strip_prefix("  limits hit")).expect("a line of the limits that were hit");
    assert!(hit.split(',').all(|l| ["client: open files", "server: open files"].contains(&l.trim())), "{text}");
}

#[test]
fn a_start_without_threads_names_their_limit() {
    require!(Root, Cgroup(Controller::Pids, Version::V1));
    own_namespace!();
    let group = Cgroup::pids(Version::V1, "start", 5);
    let script = format!("{} && exec \"$0\" \"$@\"", group.join());
    let options = "--server --client 127.0.0.1 9900 --target 100 --output json";
    let mut command = Command::new("sh");
    let out = command.args(["-c", &script]).arg(BINARY).args(options.split(' ')).output().unwrap();
    let line = String::from_utf8(out.stderr).unwrap();
    assert_eq!((out.status.code(), line.lines().count()), (Some(2), 1), "{line}");
    for part in
        ["cannot start an engine: no more threads are allowed", "(threads 5 of 5)", "Cure: echo 10 > ", "/pids.max"]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn more_tables_get_past_the_descriptor_limit() {
    own_namespace!();
    for wrapper in ["--nofile=1000:1000", "--nofile=256:1000"] {
        let mut run =
            Run::under(&["prlimit", wrapper], "--server --client 127.0.0.1 9900 --target 5k --interval 100ms");
        let engines = run.engines(true, true);
        run.until_holding();
        for pid in [engines.server.unwrap(), engines.client.unwrap()] {
            // The count is of this moment, the tables are of the engine's last report.
            let mut control = Control::connect(pid).unwrap();
            let stats = wait_until("the tables of all", || Some(control.stats()).filter(|s| s.tables >= 6));
            assert_eq!((stats.open, stats.table_limit), (5_000, 1_000), "soft is raised to hard: {stats:?}");
            assert!(stats.tables <= stats.tables_max, "{stats:?}");
        }
        let ended = run.interrupt();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert_eq!((ended.summary().peak_established, ended.summary().peak_accepted), (Some(5_000), Some(5_000)));
    }
}

#[test]
fn more_messages_than_cores_echo_are_told_and_fewer_are_not() {
    own_namespace!();
    // Two million a second are asked for, then two thousand. Few connections: what is under way at once stays small.
    for (every, state) in [("1ms", LimitState::Warn), ("1s", LimitState::Ok)] {
        let traffic = format!("--active 100% --message 16KiB --every {every}");
        let options = format!("--server --client 127.0.0.1 9900 --ports 2 --target 2k {traffic} --hold 2s");
        let ended = Run::start(&options).finish();
        let row = ended.limit("echo");
        assert_eq!(row.state, state, "{every}: {row:?}\n{}", ended.log());
        assert!(row.limit.is_some_and(|n| n > 0) && row.reason.as_ref().unwrap().contains("an estimate: "), "{row:?}");
        if state == LimitState::Warn {
            let event = ended.assert_event("limit/echo/host", &["messages a second are more than the cores can echo"]);
            assert!(!event.cure.is_empty() && event.severity == Severity::Warning, "{event:?}");
        } else {
            assert!(ended.event("limit/echo").is_none(), "{}", ended.log());
        }
    }
}

/// A thousand local ports in this namespace.
fn narrow_ports() {
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40999").unwrap();
}

#[test]
fn ports_that_others_hold_stop_the_ramp() {
    own_namespace!();
    narrow_ports();
    let mut first = Run::start("--server --client 127.0.0.1 9900 --ports 2 --source 127.0.0.1 --target 1k");
    first.until_holding();
    let second = Run::start("--client 127.0.0.1 9900 --ports 2 --source 127.0.0.1 --target 2k");
    let ended = second.finish();
    stopped_by(&ended, "ports");
    assert_eq!(ended.summary().peak_established, Some(1_000), "what the first left");
}

#[test]
fn a_target_beyond_the_ports_is_refused_before_anything_opens() {
    own_namespace!();
    narrow_ports();
    let one_source = "--server --client 127.0.0.1 9900 --ports 2 --target 5k --source 127.0.0.1";
    let ended = Run::start(one_source).finish();
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1), "{ended:#?}");
    // The number that there is, and the two that would do.
    for part in ["2,000", "--ports 5", "3 source addresses"] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
    // The cure it names works, and so do the further loopback addresses that it takes by itself.
    for cure in [
        "--server --client 127.0.0.1 9900 --ports 5 --target 5k --source 127.0.0.1 --hold 500ms",
        "--server --client 127.0.0.1 9900 --ports 2 --target 5k --source 127.0.0.1,127.0.0.2,127.0.0.3 --hold 500ms",
        "--server --client 127.0.0.1 9900 --ports 2 --target 5k --hold 500ms",
    ] {
        let ended = Run::start(cure).finish();
        assert_eq!((ended.code, ended.summary().peak_established), (Some(0), Some(5_000)), "{cure}: {ended:#?}");
    }
}

#[test]
fn destination_ports_inside_the_local_range_are_kept_apart() {
    own_namespace!();
    narrow_ports();
    let ended = Run::start("--server --client 127.0.0.1 40000 --ports 100 --target 20k --hold 500ms").finish();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!((ended.summary().peak_established, ended.summary().peak_accepted), (Some(20_000), Some(20_000)));
}

#[test]
fn a_server_without_room_is_named_by_the_server() {
    own_namespace!();
    let mut server = Run::under(&["prlimit", "--nofile=500"], "--server --ports 2 --workers 1 --interval 100ms");
    let engines = server.engines(true, false);
    let _client = Run::start("--client 127.0.0.1 9900 --ports 2 --target 1k");
    server.wait_for("the event of the server", |p| {
        p.events.iter().any(|e| e.text.contains("at its open-file limit")).then_some(())
    });
    let stats = Control::connect(engines.server.unwrap()).unwrap().stats();
    assert!(stats.open < 500 && stats.open > 400, "{stats:?}");
}
