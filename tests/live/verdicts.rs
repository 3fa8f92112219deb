//! How a run ends, at both ends: what it is called, its exit status, and that each leaves its summary.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

use c1m_top::limits::LimitState;
use c1m_top::model::{Severity, Verdict};
use c1m_top::protocol::Role;
use c1m_top::sys;

use super::support::{Control, Finished, Run, Started, is_running, own_namespace, require, tries, wait_until};

/// The verdict with its exit status.
#[track_caller]
fn ended(run: &Finished, verdict: Verdict, code: i32) {
    assert_eq!((run.summary().verdict, run.code), (verdict, Some(code)), "{}", run.log());
    assert_eq!(i32::from(verdict.status()), code);
    assert_eq!(run.stderr, "");
}

/// A server that accepts and never says a word, until it is dropped.
struct Mute {
    over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Mute {
    fn listen(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let accepting = thread::spawn(move || {
            let mut held: Vec<TcpStream> = Vec::new();
            for stream in listener.incoming() {
                if until.load(Relaxed) {
                    break;
                }
                held.push(stream.unwrap());
            }
        });
        Self { over, accepting: Some(accepting) }
    }
}

impl Drop for Mute {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        // Wakes it.
        let _ = TcpStream::connect(("127.0.0.1", 9900));
        let _ = self.accepting.take().map(JoinHandle::join);
    }
}

#[test]
fn a_target_that_only_the_client_has_reached_is_not_reached() {
    require!(Program("prlimit"));
    own_namespace!();
    for _ in tries() {
        for guard in ["", " --no-guard"] {
            // A table has room for 16 connections, and the main table for the wake-ups of 16 workers.
            let options = format!("--server --client 127.0.0.1 9900 --target 5000 --hold 1s{guard}");
            let run = Run::under(&["prlimit", "--nofile=130:130"], &options).finish();
            ended(&run, Verdict::LimitHit, 3);
            assert_eq!(run.summary().stopped_by.as_deref(), Some("nofile"));
            let row = run.limit("nofile");
            assert_eq!((row.scope.as_str(), row.state), ("server", LimitState::Hit));
            assert_eq!(run.summary().peak_accepted, Some(256));
            run.assert_event("nofile/server/accept/EMFILE", &["the process is at its open-file limit", "Cure: "]);
        }
    }
}

#[test]
fn the_cure_of_a_server_without_descriptors_is_one() {
    require!(Program("prlimit"));
    own_namespace!();
    let options = "--server --client 127.0.0.1 9900 --target 5000 --hold 1s --no-guard";
    let full = Run::under(&["prlimit", "--nofile=130:130"], options).finish();
    let cure = full.assert_event("nofile/server/accept/EMFILE", &[]).cure.clone();
    let needed =
        cure.0.iter().find_map(|r| r.text.strip_prefix("LimitNOFILE=")?.split(' ').next()?.parse::<u64>().ok());
    let needed = needed.unwrap_or_else(|| panic!("{cure:?}"));
    let cured = Run::under(&["prlimit", &format!("--nofile={needed}:{needed}")], options).finish();
    ended(&cured, Verdict::TargetReached, 0);
}

#[test]
fn greetings_that_never_come_back_are_a_stalled_server() {
    own_namespace!();
    let _mute = Mute::listen(9900);
    for _ in tries() {
        let run = Run::start("--client 127.0.0.1 9900 --ports 1 --greet --target 100").finish();
        ended(&run, Verdict::ServerStalled, 3);
        assert_eq!((run.summary().greeted, run.summary().peak_established), (Some(0), Some(100)));
        run.assert_event("stall/greeting", &["0 of 100 connections have been answered", "--greet needs one"]);
        assert!(run.event("phase/holding").is_none(), "nothing was reached: {}", run.log());
    }
}

#[test]
fn a_server_that_refuses_from_the_start_leaves_a_summary() {
    own_namespace!();
    for _ in tries() {
        let run = Run::start("--client 127.0.0.1 9900 --target 1000").finish();
        ended(&run, Verdict::ServerRefuses, 3);
        assert_eq!(run.summary().stopped_by.as_deref(), Some("refused"));
        run.assert_event("phase/stopped", &["every destination port refuses connections: is the server running"]);
    }
}

#[test]
fn time_that_is_up_after_the_target_is_a_target_reached() {
    own_namespace!();
    let run = Run::start("--server --client 127.0.0.1 9900 --target 100 --duration 1s").finish();
    ended(&run, Verdict::TargetReached, 0);
    let run = Run::start("--server --listen 127.0.0.1 --duration 500ms").finish();
    ended(&run, Verdict::Served, 0);
}

#[test]
fn a_watched_process_that_dies_is_told_from_one_that_is_left() {
    let sleeper = || Started::spawn(std::process::Command::new("sleep").arg("60"));
    let mut one = sleeper();
    let mut run = Run::start(&format!("--attach {} --interval 100ms", one.id()));
    run.until("a sample", |p| !p.samples.is_empty());
    one.kill().unwrap();
    one.wait().unwrap();
    let run = run.finish();
    ended(&run, Verdict::ProcessDied, 4);
    let death = run.assert_event("death/", &["is gone"]);
    assert_eq!(death.severity, Severity::Warning);
    let other = sleeper();
    let mut run = Run::start(&format!("--attach {} --interval 100ms", other.id()));
    run.until("a sample", |p| !p.samples.is_empty());
    ended(&run.interrupt(), Verdict::Watched, 0);
}

#[test]
fn a_silent_client_is_named_and_its_return_too() {
    own_namespace!();
    for _ in tries() {
        let mut run = Run::start("--server --client 127.0.0.1 9900 --target 1m --rate 2k --interval 200ms");
        let client = run.engine(Role::Client);
        run.until("connections", |p| p.established() > 500);
        sys::kill(client, libc::SIGSTOP).unwrap();
        run.until("the silence", |p| p.event("silent/client").is_some());
        let from = run.printed().samples.len();
        run.until("the pause in the figures", |p| p.samples.len() > from + 8);
        let seen: Vec<_> = run.printed().samples[from..from + 8].to_vec();
        sys::kill(client, libc::SIGCONT).unwrap();
        run.until("its return", |p| p.event("silent/client/over").is_some());
        let count = run.printed().established();
        run.until("connections again", |p| p.established() > count + 500);
        let run = run.interrupt();
        for sample in &seen {
            let figures = (&sample.stale[..], sample.rate_per_s, sample.eta_s, sample.established);
            assert_eq!(figures, (&[Role::Client][..], Some(0.0), None, seen[0].established));
        }
        assert!(run.samples.last().unwrap().stale.is_empty());
        run.assert_event("silent/client", &["stopped by a signal or a debugger", &format!("kill -CONT {client}")]);
        run.assert_event("silent/client/over", &["is running again; it was silent for "]);
        assert!(run.event("stall").is_none(), "a silence is not the server's stall: {}", run.log());
        ended(&run, Verdict::Interrupted, 0);
    }
}

#[test]
fn behind_a_silent_server_the_kernels_figures_are_live() {
    own_namespace!();
    for _ in tries() {
        // A queue of 4,096 at most.
        let mut run =
            Run::start("--server --client 127.0.0.1 9900 --ports 1 --target 20k --rate 2k --interval 200ms --no-guard");
        let server = run.engine(Role::Server);
        run.until("connections", |p| p.established() > 500);
        sys::kill(server, libc::SIGSTOP).unwrap();
        run.until("the queue", |p| p.event("listen_overflows").is_some());
        let accepted = run.printed().samples.last().unwrap().accepted;
        run.until("the silence", |p| p.event("silent/server").is_some());
        assert_eq!(run.printed().samples.last().unwrap().stale, [Role::Server]);
        sys::kill(server, libc::SIGCONT).unwrap();
        run.until("its return", |p| p.event("silent/server/over").is_some());
        run.until("the backlog taken", |p| p.samples.last().is_some_and(|s| s.accepted > accepted.map(|n| n + 1000)));
        let run = run.interrupt();
        run.assert_event("listen_overflows", &["port 9900 still is, 4,097 of 4,096 waiting"]);
        run.assert_event("silent/server", &["the server engine", "the kernel's are live"]);
        ended(&run, Verdict::Interrupted, 0);
    }
}

#[test]
fn a_run_that_ends_while_an_engine_is_silent_says_so() {
    own_namespace!();
    for _ in tries() {
        for role in [Role::Server, Role::Client] {
            let mut run = Run::start("--server --client 127.0.0.1 9900 --target 1000 --interval 200ms");
            let engines = run.engines(true, true);
            run.until_holding();
            sys::kill(engines.get(role).unwrap(), libc::SIGSTOP).unwrap();
            run.until("the silence", |p| p.event("silent/").is_some());
            let run = run.interrupt();
            ended(&run, Verdict::EngineSilent, 4);
            let killed = format!(
                "the {} engine {} did not end when asked, and was killed",
                role.name(),
                engines.get(role).unwrap()
            );
            run.assert_event("killed/", &[&killed]);
            assert_eq!(run.summary().peak_established, Some(1000));
            for pid in [engines.server, engines.client].into_iter().flatten() {
                wait_until("the engines gone", || (!is_running(pid)).then_some(()));
            }
        }
    }
}

#[test]
fn messages_that_leave_too_late_are_told_and_the_verdict() {
    own_namespace!();
    // Some four gigabytes a second are more than two cores copy four times.
    let run = Run::start(
        "--server --client 127.0.0.1 9900 --target 4k --active 100% --message 64KiB --every 60ms --hold 20s",
    );
    let run = run.finish();
    ended(&run, Verdict::Late, 3);
    let event = run.assert_event("late", &["more than 1 % of messages", "4,000 active connections", "--active"]);
    assert_eq!(event.severity, Severity::Critical);
    let traffic = run.summary().traffic.unwrap();
    assert!((traffic.overdue + traffic.skipped) * 100 > traffic.sent + traffic.skipped, "{traffic:?}");
    // A load that is easily carried.
    let run =
        Run::start("--server --client 127.0.0.1 9900 --target 100 --active 100% --message 64B --every 10s --hold 7s");
    let run = run.finish();
    assert!(run.event("late").is_none(), "{}", run.log());
    ended(&run, Verdict::TargetReached, 0);
}

#[test]
fn a_death_within_the_first_second_has_its_forecasts() {
    own_namespace!();
    for _ in tries() {
        let run = Run::start("--server --client 127.0.0.1 9900 --target 1m --rate 30k --no-guard --interval 5s");
        let client = run.engine(Role::Client);
        let mut control = Control::wait_for(client);
        wait_until("some of the ramp", || (control.stats().open > 15_000).then_some(()));
        sys::kill(client, libc::SIGKILL).unwrap();
        let run = run.finish();
        ended(&run, Verdict::EngineKilled, 4);
        let reached = control.stats();
        let summary = run.summary();
        assert_eq!(summary.peak_established, Some(reached.peak));
        assert!(!summary.forecasts.is_empty(), "{}", run.log());
        // The page's own times: from the first connect to the peak.
        let took = (reached.peak_us.unwrap() - reached.ramp_started_us.unwrap()) as f64 / 1e6;
        assert!((summary.time_to_peak_s.unwrap() / took - 1.0).abs() < 0.01, "{took} {summary:?}");
        let rate = summary.mean_rate_per_s.unwrap();
        assert!((rate / (reached.peak as f64 / took) - 1.0).abs() < 0.01, "{rate} {reached:?}");
    }
}
