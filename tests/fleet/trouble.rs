//! What a fleet says when something of it fails.

use std::path::Path;

use c1m_top::model::{RunPhase, Verdict};
use c1m_top::record::{self, Entry};

use super::store::{Store, View, rows, said, url, worker};
use super::support::{Finished, Home, Printed, Run, own_namespace, program, require, wait_until};

const SERVER: &str = "--server --listen 127.0.0.1 --ports 10 --expect-workers 3";
const CLIENT: &str = "--client 127.0.0.1 9900 --ports 10 --target 6k --expect-workers 3";

#[test]
fn a_store_killed_in_any_phase_costs_the_view_alone() {
    require!(Root, Program("redis-server"));
    own_namespace!();
    let mut store = Store::start(&[]);
    // Each outage that lasts is told.
    let aways = |p: &Printed| p.events.iter().filter(|e| e.id.starts_with("fleet/away")).count();
    let backs = |p: &Printed| p.events.iter().filter(|e| e.id.starts_with("fleet/back")).count();
    let mut again = |missing: &mut [&mut Run]| {
        let before: Vec<usize> = missing.iter().map(|worker| aways(&worker.printed())).collect();
        store.kill();
        for (worker, before) in missing.iter_mut().zip(before) {
            worker.until("the store is missed", |p| aways(p) > before);
        }
        store.restart();
    };
    let client =
        "--client 127.0.0.1 9900 --ports 10 --target 1k --rate 200 --hold 4s --close-rate 200 --interval 200ms";
    let file = |n: usize| Home::path().join(format!("{n}.c1m"));
    let client = |n: usize| {
        let record = file(n);
        worker("night", &format!("{client} --expect-workers 3 --part {n}/2 --record {}", record.display()))
    };
    // As often as the clients, so that it says at once what it misses.
    let mut server = worker("night", &format!("{SERVER} --interval 200ms"));
    let mut one = client(1);
    one.until("it waits", |p| p.event("fleet/waiting").is_some());
    again(&mut [&mut server, &mut one]);
    for worker in [&mut server, &mut one] {
        worker.until("the store is back", |p| p.event("fleet/back").is_some());
    }
    // The store has forgotten both; they name themselves again, and are waited for.
    let mut two = client(2);
    two.until("the ramp", |p| p.established() > 50);
    again(&mut [&mut server, &mut one, &mut two]);
    let view = View::open("night");
    view.until("all three again", |view| view["count"]["running"] == 3);
    one.until_holding();
    two.until_holding();
    again(&mut [&mut one, &mut two]);
    let closes = |p: &Printed| p.samples.last().is_some_and(|s| s.phase == RunPhase::Closing);
    for worker in [&mut one, &mut two] {
        worker.until("the store is back, and closing", |p| backs(p) >= aways(p) && closes(p));
    }
    again(&mut [&mut one, &mut two]);
    for (n, end) in [(1, one.finish()), (2, two.finish())] {
        said("a client", &end);
        let missed = missed_while(&end, &file(n));
        // The second came after the first had waited.
        for phase in &["waiting", "ramping", "holding", "closing"][n - 1..] {
            assert!(missed.iter().any(|then| then == phase), "client {n}, {phase}: {missed:?}");
        }
        assert_eq!((end.code, end.summary().verdict), (Some(0), Verdict::TargetReached), "{end:#?}");
        assert_eq!(end.peak(), 500);
    }
    // A store that was away may have forgotten a client: the server does not take that for its end at once.
    assert_eq!(server.interrupt().summary().verdict, Verdict::Served);
    let (code, summary) = view.finish();
    assert_eq!(
        (code, &summary["text"]),
        (Some(0), &"3 of 3 workers, 1,000 of 1,000 connections".into()),
        "{summary:#}"
    );
}

/// What a client did each time that it missed the store, as its recording has it.
fn missed_while(end: &Finished, file: &Path) -> Vec<String> {
    let recording = record::open(file).unwrap();
    let missed = recording.entries().filter_map(|entry| match entry {
        Entry::Note { t_ms, id, .. } if id.starts_with("fleet/away") => Some(t_ms),
        _ => None,
    });
    let phase_at = |t_ms| {
        let mut phases = end.events.iter().filter_map(|e| Some((e.t_ms, e.id.strip_prefix("phase/")?)));
        phases.rfind(|(since, _)| *since <= t_ms).map_or("waiting", |(_, phase)| phase).to_owned()
    };
    missed.map(phase_at).collect()
}

#[test]
fn a_killed_worker_is_missing_in_the_verdict_and_its_part_comes_back() {
    require!(Root, Program("redis-server"), Long);
    own_namespace!();
    let _store = Store::start(&[]);
    let view = View::open("night");
    let server = worker("night", &format!("{SERVER} --duration 60s"));
    let mut one = worker("night", &format!("{CLIENT} --part 1/2 --hold 35s"));
    let mut two = worker("night", &format!("{CLIENT} --part 2/2 --on-lost fail"));
    two.until_holding();
    one.until_holding();
    one.signal(libc::SIGKILL);
    let end = two.finish();
    said("the other client", &end);
    assert_eq!((end.code, end.summary().verdict), (Some(3), Verdict::WorkersMissing), "{end:#?}");
    end.assert_event("fleet/lost", &["part 1/2 on "]);
    let taken = worker("night", &format!("{CLIENT} --part 1/2")).interrupt();
    assert_ne!(taken.code, Some(2), "a part of one that was killed can be taken: {taken:#?}");
    said("the server", &server.interrupt());
    let (code, summary) = view.finish();
    assert_eq!((code, summary["verdict"].as_str()), (Some(3), Some("workers_missing")), "{summary:#}");
}

#[test]
fn a_replacement_does_not_end_for_whom_it_replaces() {
    require!(Root, Program("redis-server"), Long);
    own_namespace!();
    let store = Store::start(&[]);
    let server = worker("night", &format!("{SERVER} --duration 90s"));
    let mut one = worker("night", &format!("{CLIENT} --part 1/2"));
    let mut two = worker("night", &format!("{CLIENT} --part 2/2 --on-lost fail"));
    one.until_holding();
    two.until_holding();
    let part = store.key("c1m-top:1:night:*:part:1");
    one.signal(libc::SIGKILL);
    // Its part is free again before the others take it for lost.
    wait_until("the part is free", || (store.ask(&["EXISTS", &part]) == "0").then_some(()));
    let again = worker("night", &format!("{CLIENT} --part 1/2 --on-lost fail --hold 25s"));
    let end = two.finish();
    assert_eq!((end.code, end.summary().verdict), (Some(3), Verdict::WorkersMissing), "{end:#?}");
    // And one that takes the part of another, of which it is no news that the first is lost.
    let next = worker("night", &format!("{CLIENT} --part 2/2 --on-lost fail --hold 8s"));
    for end in [again.finish(), next.finish()] {
        said("a replacement", &end);
        assert_eq!((end.code, end.summary().verdict), (Some(0), Verdict::TargetReached), "{end:#?}");
        let told = end.event("fleet/lost").or(end.event("fleet/returned"));
        assert!(told.is_none(), "{told:#?}");
    }
    server.finish();
}

#[test]
fn a_store_that_paused_loses_nobody() {
    require!(Root, Program("redis-server"), Long);
    own_namespace!();
    let store = Store::start(&[]);
    let view = View::open("night");
    let server = worker("night", &format!("{SERVER} --on-lost fail"));
    let client = |n| worker("night", &format!("{CLIENT} --part {n}/2 --hold 70s --on-lost fail"));
    let mut all = [client(1), client(2)];
    all.iter_mut().for_each(Run::until_holding);
    store.signal(libc::SIGSTOP);
    std::thread::sleep(std::time::Duration::from_secs(25));
    store.signal(libc::SIGCONT);
    for one in all.map(Run::finish) {
        said("a client", &one);
        assert_eq!((one.code, one.summary().verdict), (Some(0), Verdict::TargetReached), "{one:#?}");
        one.assert_event("fleet/away", &["it does not answer within a second"]);
        one.assert_event("fleet/back", &["the fleet's store is back after "]);
        assert!(one.event("fleet/lost").is_none(), "{one:#?}");
    }
    assert_eq!(server.finish().code, Some(0));
    assert_eq!(view.finish().1["text"], "3 of 3 workers, 6,000 of 6,000 connections");
}

#[test]
fn a_server_ends_though_its_only_client_was_killed() {
    require!(Root, Program("redis-server"), Long);
    own_namespace!();
    let store = Store::start(&[]);
    let server = worker("night", "--server --listen 127.0.0.1 --ports 10");
    let mut one = worker("night", "--client 127.0.0.1 9900 --ports 10 --target 500");
    one.until_holding();
    one.signal(libc::SIGKILL);
    let end = server.finish();
    said("the server", &end);
    assert_eq!((end.code, end.summary().verdict), (Some(0), Verdict::Served), "{end:#?}");
    end.assert_event("fleet/clients_left", &[]);
    assert_eq!(store.ask(&["EXISTS", "c1m-top:1:night:run"]), "0", "the next run of this name is another");
}

#[test]
fn a_stopped_worker_is_silent_then_lost_and_back_when_it_goes_on() {
    require!(Root, Program("redis-server"), Long);
    own_namespace!();
    let _store = Store::start(&[]);
    let view = View::open("night");
    let server = worker("night", SERVER);
    let mut one = worker("night", &format!("{CLIENT} --part 1/2 --hold 50s"));
    let mut two = worker("night", &format!("{CLIENT} --part 2/2 --hold 50s"));
    one.until_holding();
    one.signal(libc::SIGSTOP);
    let of_one =
        |standing: &'static str| move |view: &serde_json::Value| rows(view).contains(&("1".into(), standing.into()));
    view.until("silent", of_one("silent"));
    let lost = view.until("lost", of_one("lost"));
    assert!(lost["missing"][0].as_str().unwrap().starts_with("part 1/2 on "), "{lost:#}");
    assert_eq!(lost["totals"]["connections"], 3000, "what it holds nobody knows");
    two.until("the other client missing it", |p| p.event("fleet/lost").is_some());
    one.signal(libc::SIGCONT);
    let back = view.until("running", of_one("running"));
    assert_eq!(back["totals"]["connections"], 6000);
    for end in [one.finish(), two.finish(), server.finish()] {
        said("a worker", &end);
        assert_eq!(end.code, Some(0), "{end:#?}");
    }
    assert_eq!(view.finish().1["text"], "3 of 3 workers, 6,000 of 6,000 connections");
}

#[test]
fn a_wall_clock_ten_minutes_off_changes_nothing() {
    require!(Root, Program("redis-server"), Program("faketime"), Long);
    own_namespace!();
    let _store = Store::start(&[]);
    let view = View::open("night");
    let server = worker("night", SERVER);
    let one = worker("night", &format!("{CLIENT} --part 1/2 --hold 4s"));
    let mut command = program();
    command.env("LD_PRELOAD", faketime()).env("FAKETIME", "+10m").env("DONT_FAKE_MONOTONIC", "1");
    command.args(["--output", "json", "--part", "2/2", "--hold", "4s", "--fleet", &url("night")]);
    let two = Run::spawn(command.args(CLIENT.split(' ')));
    let seen = view.until("all run", |view| view["count"]["running"] == 3);
    let ahead = |view: &serde_json::Value| view["rows"][2]["state"]["clock"]["wall_ahead_us"].as_i64().unwrap();
    assert!((590_000_000..610_000_000).contains(&ahead(&seen)), "{seen:#}");
    for end in [one.finish(), two.finish(), server.finish()] {
        said("a worker", &end);
        assert_eq!(end.code, Some(0), "{end:#?}");
        end.assert_event("fleet/start", &["all workers are ready"]);
    }
    assert_eq!(view.finish().1["text"], "3 of 3 workers, 6,000 of 6,000 connections");
}

/// Debian's library.
fn faketime() -> String {
    let dir = format!("/usr/lib/{}-linux-gnu/faketime", std::env::consts::ARCH);
    format!("{dir}/libfaketimeMT.so.1")
}
