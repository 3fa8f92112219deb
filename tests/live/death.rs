//! Engines that die: the dashboard stays, says what happened at which count, and ends with 4.

use c1m_top::model::{Severity, Verdict};
use c1m_top::sys;

use super::support::{Cgroup, Finished, Run, in_namespace, is_running, skip, sockstat, wait_until};

/// The event of a death: critical, once, with the role, how, and a count that is not below what the client had reported.
fn death<'a>(ended: &'a Finished, role: &str) -> &'a str {
    let deaths: Vec<_> = ended.printed.events.iter().filter(|e| e.id.starts_with(&format!("death/{role}"))).collect();
    assert_eq!(deaths.len(), 1, "{}", ended.events());
    assert_eq!((deaths[0].severity, deaths[0].count), (Severity::Critical, 1));
    let text = &deaths[0].text;
    assert!(text.contains(role), "{text}");
    let (head, _) = text.split_once(" connections").unwrap_or_else(|| panic!("no count: {text}"));
    let count: u64 = head.rsplit(' ').next().unwrap().replace(',', "").parse().unwrap();
    let seen = ended.summary().peak_established.unwrap();
    assert!(count >= seen && seen > 0, "{seen} connections were seen: {text}");
    text
}

#[test]
fn a_killed_engine_is_named_with_signal_and_count() {
    in_namespace("death::a_killed_engine_is_named_with_signal_and_count", || {
        for role in ["server", "client"] {
            let mut run = Run::start("--server --client 127.0.0.1 9900 --target 100k --rate 2k --interval 100ms");
            let engines = run.engines(true, true);
            run.wait_for("connections", |p| p.samples.iter().any(|s| s.established > 500).then_some(()));
            let pid = if role == "server" { engines.server } else { engines.client };
            sys::kill(pid.unwrap(), libc::SIGKILL).unwrap();
            let ended = run.finish();
            assert_eq!(ended.code, Some(4), "{role}: {ended:#?}");
            assert_eq!(ended.summary().verdict, Verdict::EngineKilled);
            assert_eq!(ended.stderr, "");
            let text = death(&ended, role);
            assert!(text.contains("signal 9") && text.contains(&pid.unwrap().to_string()), "{text}");
            assert!(!text.contains("OOM"), "a signal is not an OOM kill: {text}");
            for pid in [engines.server.unwrap(), engines.client.unwrap()] {
                assert!(!is_running(pid), "{role}: engine {pid} stays behind");
            }
            // The kernel takes the last of a killed process apart behind its back.
            wait_until("the sockets gone", || (sockstat("inuse") == 0).then_some(()));
        }
    });
}

#[test]
fn an_engine_that_is_stopped_and_continued_is_not_dead() {
    in_namespace("death::an_engine_that_is_stopped_and_continued_is_not_dead", || {
        let mut run =
            Run::start("--server --client 127.0.0.1 9900 --target 3k --rate 2k --interval 100ms --hold 500ms");
        let engines = run.engines(true, true);
        sys::kill(engines.server.unwrap(), libc::SIGSTOP).unwrap();
        let before = run.wait_for("a sample", |p| Some(p.samples.len()));
        run.wait_for("samples going on", |p| (p.samples.len() > before + 3).then_some(()));
        sys::kill(engines.server.unwrap(), libc::SIGCONT).unwrap();
        let ended = run.finish();
        assert_eq!((ended.code, ended.summary().verdict), (Some(0), Verdict::TargetReached), "{ended:#?}");
    });
}

#[test]
fn an_oom_kill_is_named_with_its_cgroup() {
    const NAME: &str = "death::an_oom_kill_is_named_with_its_cgroup";
    in_namespace(NAME, || {
        let group = match Cgroup::with_limit("c1m-top-test", 60 << 20) {
            Ok(group) => group,
            Err(why) => return skip(NAME, &format!("no memory cgroup can be made: {why}")),
        };
        let options = "--server --client 127.0.0.1 9900 --target 60k --rate 5k --no-guard --interval 100ms";
        let ended = group.run(options).finish();
        assert_eq!(ended.code, Some(4), "{ended:#?}");
        assert_eq!(ended.summary().verdict, Verdict::EngineKilled);
        let text = death(&ended, "");
        assert!(text.contains("OOM killer"), "{text}");
        assert!(text.contains(group.name()) && text.contains("60.0 MiB"), "{text}");
        assert_eq!(ended.summary().stopped_by.as_deref(), Some("memcg"), "{}", ended.events());
        let peak = ended.summary().peak_established.unwrap();
        assert!(peak > 1_000 && peak < 60_000, "{peak}");
    });
}

#[test]
fn the_guard_stops_before_the_cgroups_limit() {
    const NAME: &str = "death::the_guard_stops_before_the_cgroups_limit";
    in_namespace(NAME, || {
        let group = match Cgroup::with_limit("c1m-top-test", 60 << 20) {
            Ok(group) => group,
            Err(why) => return skip(NAME, &format!("no memory cgroup can be made: {why}")),
        };
        let options = "--server --client 127.0.0.1 9900 --target 60k --rate 5k --hold 500ms --interval 100ms";
        let ended = group.run(options).finish();
        assert_eq!((ended.code, ended.summary().verdict), (Some(3), Verdict::GuardStopped), "{ended:#?}");
        assert_eq!(ended.summary().stopped_by.as_deref(), Some("memcg"), "{}", ended.events());
        let peak = ended.summary().peak_established.unwrap();
        assert!(peak > 1_000 && peak < 60_000, "{peak}");
    });
}
