//! Engines that die: the dashboard stays, says what happened at which count, and ends with 4.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use c1m_top::client::WINDOW;
use c1m_top::engine::page::Reader;
use c1m_top::model::{Severity, Verdict};
use c1m_top::protocol::Role;
use c1m_top::sys;

use super::support::{
    AS_NOBODY, Cgroup, Control, Finished, Run, Version, both_versions, is_running, own_namespace, require, sockstat,
    tries, wait_until,
};

/// The event of a death: critical, once, with the role (empty: whichever died first), how, and a count that is not below what
/// the client had reported.
fn death<'a>(ended: &'a Finished, role: &str) -> &'a str {
    let deaths: Vec<_> = ended.events.iter().filter(|e| e.id.starts_with(&format!("death/{role}"))).collect();
    // In a cgroup that is full the kernel may take both engines, one after the other.
    assert!(deaths.len() == 1 || role.is_empty() && deaths.len() == 2, "{}", ended.log());
    assert_eq!((deaths[0].severity, deaths[0].count), (Severity::Critical, 1));
    let text = &deaths[0].text;
    assert!(text.contains(role), "{text}");
    let (head, _) = text.split_once(" connections").unwrap_or_else(|| panic!("no count: {text}"));
    let count: u64 = head.rsplit(' ').next().unwrap().replace(',', "").parse().unwrap();
    let seen = ended.summary().peak_established.unwrap();
    // While the server is taken apart the client goes on for some milliseconds.
    assert!(count + count / 50 >= seen && seen > 0, "{seen} connections were seen: {text}");
    text
}

#[test]
fn a_killed_engine_is_named_with_signal_and_count() {
    own_namespace!();
    for role in ["server", "client"] {
        let mut run = Run::start("--server --client 127.0.0.1 9900 --target 100k --rate 2k --interval 100ms");
        let engines = run.engines(true, true);
        run.until("connections", |p| p.samples.iter().any(|s| s.established > 500));
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
}

#[test]
fn what_follows_from_a_kill_has_neither_alarm_nor_cure() {
    own_namespace!();
    let mut run = Run::start(
        "--server --client 127.0.0.1 9900 --ports 1 --source 127.0.0.1,127.0.0.2 --target 50k --rate 10k --interval 100ms",
    );
    let server = run.engine(Role::Server);
    run.until("connections", |p| p.established() > 20_000);
    let before = run.wait_for("the events so far", |p| Some(p.events.len()));
    sys::kill(server, libc::SIGKILL).unwrap();
    let ended = run.finish();
    death(&ended, "server");
    let at = ended.events.iter().position(|e| e.id.starts_with("death/")).unwrap();
    // Between the kill and its being known a sample may still tell of the run itself.
    for event in ended.events[before..at].iter().chain(&ended.events[at + 1..]) {
        assert!(event.severity == Severity::Info && event.cure.is_empty(), "{event:#?}\n{}", ended.log());
    }
    // Whether a connect is refused before the run ends is chance; where one was, it is told as what follows.
    if let Some(refused) = ended.events.iter().find(|e| e.id.ends_with("client/connect/ECONNREFUSED")) {
        assert!(refused.text.starts_with("after the server engine ended: client: connect failed"), "{refused:#?}");
    }
}

#[test]
fn what_a_killed_engine_had_reached_is_exact() {
    own_namespace!();
    for role in [Role::Server, Role::Client] {
        // As fast as it goes, and no sample of the beat: what is known at the end was read after the kill.
        let run = Run::start("--server --client 127.0.0.1 9900 --target 300k --no-guard --interval 10m");
        let mut engine = Control::wait_for(run.engine(role));
        wait_until("the ramp", || (engine.stats().open > 5_000).then_some(()));
        sys::kill(engine.pid, libc::SIGKILL).unwrap();
        let ended = run.finish();
        // The page outlives its engine, also for another reader.
        let reached = engine.stats().peak;
        let summary = ended.summary();
        let peak = if role == Role::Server { summary.peak_accepted } else { summary.peak_established };
        assert!(reached > 5_000);
        assert_eq!(peak, Some(reached), "{role:?}: {ended:#?}");
        death(&ended, role.name());
    }
}

#[test]
fn stopped_engines_delay_no_sample_and_their_counts_stand() {
    own_namespace!();
    let mut run = Run::start("--server --client 127.0.0.1 9900 --target 100k --rate 2k --interval 100ms");
    let engines = run.engines(true, true);
    run.until("connections", |p| p.established() > 500);
    let pids = [engines.server.unwrap(), engines.client.unwrap()];
    for pid in pids {
        sys::kill(pid, libc::SIGSTOP).unwrap();
    }
    let before = run.wait_for("a sample", |p| Some(p.samples.len()));
    let after = run.wait_for("samples going on", |p| Some(p.samples.len()).filter(|n| *n > before + 10));
    let [server, client] = pids.map(|pid| Reader::open(pid, page_of(pid)).unwrap().read().unwrap());
    for pid in pids {
        sys::kill(pid, libc::SIGCONT).unwrap();
    }
    let ended = run.interrupt();
    // A stop takes its time: the first samples may have been taken before it.
    for sample in &ended.samples[after - 5..after] {
        assert_eq!((sample.established, sample.accepted), (client.open, Some(server.open)));
    }
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

/// The page of an engine that cannot be asked for it, by the name that its descriptor has.
fn page_of(pid: u32) -> i32 {
    let numbers = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let mut pages = numbers.filter(|fd| {
        std::fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy().contains("memfd:c1m-top-counters"))
    });
    pages.next().unwrap().file_name().to_str().unwrap().parse().unwrap()
}

#[test]
fn counters_are_for_their_user_alone() {
    require!(OtherUser);
    own_namespace!();
    let run = Run::start("--server --listen 127.0.0.1 --ports 4");
    let pid = run.engines(true, false).server.unwrap();
    let path = format!("/proc/{pid}/fd/{}", page_of(pid));
    let read = |words: &[&str]| {
        let out = std::process::Command::new(words[0]).args(&words[1..]).args(["head", "-c8", &path]).output().unwrap();
        (out.status.success(), out.stdout)
    };
    assert_eq!(read(&["env"]), (true, b"c1m-top\0".to_vec()));
    assert_eq!(read(&AS_NOBODY), (false, Vec::new()));
}

/// The most TCP sockets that the kernel has counted in this namespace, looked at each millisecond.
struct MostSockets {
    over: Arc<AtomicBool>,
    looking: JoinHandle<u64>,
}

impl MostSockets {
    fn watch() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let looking = thread::spawn(move || {
            let mut most = 0;
            while !until.load(Relaxed) {
                most = most.max(sockstat("inuse"));
                thread::sleep(Duration::from_millis(1));
            }
            most
        });
        Self { over, looking }
    }

    fn end(self) -> u64 {
        self.over.store(true, Relaxed);
        self.looking.join().unwrap()
    }
}

/// The client's peak of a run whose end was a death is half of the sockets that the kernel counted, within 0.5 % or what may be
/// under way, and the server's what it had accepted of these; their time and rate are those of the ramp, and there are
/// forecasts.
#[track_caller]
fn peaks_are_the_kernels(ended: &Finished, most: u64, listeners: u64, rate: f64) {
    let summary = ended.summary();
    assert_eq!((ended.code, summary.verdict), (Some(4), Verdict::EngineKilled), "{}", ended.log());
    let pairs = (most - listeners) / 2;
    let peaks = [summary.peak_established, summary.peak_accepted].map(Option::unwrap);
    eprintln!("{peaks:?} of {pairs}: {:?} s, {:?}/s", summary.time_to_peak_s, summary.mean_rate_per_s);
    let [established, accepted] = peaks;
    // The kernel has counted what a lane's connects under way have come to before the client is told, and what waits to be
    // accepted; and while one is taken apart the other goes on for some milliseconds.
    let untold = (pairs / 200).max(2 * WINDOW as u64);
    let most = pairs + pairs / 33;
    assert!((pairs - untold..most).contains(&established), "{peaks:?} of {pairs}");
    assert!((pairs - pairs / 20..most).contains(&accepted), "{peaks:?} of {pairs}");
    let (time, mean) = (summary.time_to_peak_s.unwrap(), summary.mean_rate_per_s.unwrap());
    assert!((time * mean / peaks[0] as f64 - 1.0).abs() < 0.01, "{time} s at {mean}");
    assert!(mean < 1.1 * rate, "{mean} is more than was allowed");
    assert!(!summary.forecasts.is_empty(), "{}", ended.log());
}

#[test]
fn what_the_engines_had_reached_when_one_was_killed_is_what_the_kernel_counted() {
    own_namespace!();
    for role in [Role::Server, Role::Client] {
        for _ in tries() {
            wait_until("the sockets of before gone", || (sockstat("inuse") == 0).then_some(()));
            let most = MostSockets::watch();
            let run = Run::start("--server --client 127.0.0.1 9900 --target 1m --rate 30k --no-guard --interval 5s");
            let engine = Control::wait_for(run.engine(role));
            wait_until("the ramp", || (sockstat("inuse") > 40_000).then_some(()));
            sys::kill(engine.pid, libc::SIGKILL).unwrap();
            let ended = run.finish();
            peaks_are_the_kernels(&ended, most.end(), 100, 30_000.0);
        }
    }
}

fn what_was_reached_at_an_oom_kill(version: Version) {
    let group = Cgroup::memory(version, "full", 170 << 20, None);
    for _ in tries() {
        wait_until("the sockets of before gone", || (sockstat("inuse") == 0).then_some(()));
        let most = MostSockets::watch();
        let options = "--server --client 127.0.0.1 9900 --target 100k --rate 20k --no-guard --interval 5s";
        let ended = group.run(options).finish();
        peaks_are_the_kernels(&ended, most.end(), 100, 20_000.0);
        stopped_by_memory(&ended);
    }
}

both_versions!(
    what_was_reached_at_an_oom_kill,
    what_was_reached_at_an_oom_kill_in_version_1,
    what_was_reached_at_an_oom_kill_in_version_2,
    own_namespace
);

#[test]
fn a_killed_dashboard_leaves_neither_engine_nor_time_wait() {
    own_namespace!();
    for stopped in [None, Some(Role::Client), Some(Role::Server)] {
        let mut run = Run::start("--server --client 127.0.0.1 9900 --target 60k --no-guard");
        let engines = run.engines(true, true);
        run.until_holding();
        if let Some(role) = stopped {
            sys::kill(engines.get(role).unwrap(), libc::SIGSTOP).unwrap();
        }
        run.signal(libc::SIGKILL);
        for pid in [engines.server, engines.client].into_iter().flatten() {
            wait_until("the engines gone", || (!is_running(pid)).then_some(()));
        }
        // The last of its listeners may be freed a moment later.
        wait_until("no socket", || (sockstat("inuse") == 0).then_some(()));
        assert_eq!(sockstat("tw"), 0, "{stopped:?}");
    }
}

#[test]
fn an_engine_that_is_stopped_and_continued_is_not_dead() {
    own_namespace!();
    let mut run = Run::start("--server --client 127.0.0.1 9900 --target 3k --rate 2k --interval 100ms --hold 500ms");
    let engines = run.engines(true, true);
    sys::kill(engines.server.unwrap(), libc::SIGSTOP).unwrap();
    let before = run.wait_for("a sample", |p| Some(p.samples.len()));
    run.until("samples going on", |p| p.samples.len() > before + 3);
    sys::kill(engines.server.unwrap(), libc::SIGCONT).unwrap();
    let ended = run.finish();
    assert_eq!((ended.code, ended.summary().verdict), (Some(0), Verdict::TargetReached), "{ended:#?}");
}

/// A run that a memory cgroup of 60 MiB is too small for.
const TOO_LARGE: &str = "--server --client 127.0.0.1 9900 --target 60k --rate 5k --interval 100ms";

/// It ended for want of memory, neither at once nor at its target.
fn stopped_by_memory(ended: &Finished) {
    assert_eq!(ended.summary().stopped_by.as_deref(), Some("memcg"), "{}", ended.log());
    let peak = ended.summary().peak_established.unwrap();
    assert!(peak > 1_000 && peak < 60_000, "{peak}");
}

fn oom_kill_is_named(version: Version) {
    let group = Cgroup::memory(version, "small", 60 << 20, None);
    let ended = group.run(&format!("{TOO_LARGE} --no-guard")).finish();
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    assert_eq!(ended.summary().verdict, Verdict::EngineKilled);
    let text = death(&ended, "");
    assert!(text.contains("OOM killer"), "{text}");
    assert!(text.contains(group.name()) && text.contains("60.0 MiB"), "{text}");
    stopped_by_memory(&ended);
}

both_versions!(
    oom_kill_is_named,
    an_oom_kill_is_named_with_its_cgroup_of_version_1,
    an_oom_kill_is_named_with_its_cgroup_of_version_2,
    own_namespace
);

fn guard_stops_before_the_limit(version: Version) {
    let group = Cgroup::memory(version, "small", 60 << 20, None);
    let ended = group.run(&format!("{TOO_LARGE} --hold 500ms")).finish();
    assert_eq!((ended.code, ended.summary().verdict), (Some(3), Verdict::GuardStopped), "{ended:#?}");
    stopped_by_memory(&ended);
}

both_versions!(
    guard_stops_before_the_limit,
    the_guard_stops_before_the_limit_of_a_cgroup_of_version_1,
    the_guard_stops_before_the_limit_of_a_cgroup_of_version_2,
    own_namespace
);
