//! Who counts: workers that leave or are killed, and come again.

use std::thread;

use super::store::{Store, said, worker};
use super::support::{Run, own_namespace, require, wait_until};

#[test]
fn who_is_started_anew_while_all_wait_counts_once() {
    require!(Root, Program("redis-server"));
    own_namespace!();
    let _store = Store::start(&[]);
    // Two fleets.
    thread::scope(|scope| [a_part_that_left, a_worker_that_was_killed].map(|of| drop(scope.spawn(of))));
}

/// Waits until a worker says whom it waits for, and fails if it starts instead.
#[track_caller]
fn waits(run: &mut Run) {
    run.until("what it waits for, or its start", |p| p.event("fleet/waiting").or(p.event("fleet/start")).is_some());
    let started = run.printed().event("fleet/start").map(|e| e.text.clone());
    assert_eq!(started, None, "it starts alone");
}

/// A part gives its place back.
fn a_part_that_left() {
    // It waits for more than will come, so that the run stays the same.
    let mut server = worker("night", "--server --listen 127.0.0.1 --ports 1 --expect-workers 9");
    waits(&mut server);
    let client = |n| worker("night", &format!("--client 127.0.0.1 9900 --target 300 --hold 1s --part {n}/2"));
    let mut one = client(1);
    waits(&mut one);
    assert_eq!(one.interrupt().code, Some(0));
    let mut again = client(1);
    waits(&mut again);
    let two = client(2);
    for end in [again.finish(), two.finish()] {
        end.assert_event("fleet/start", &["all workers are ready"]);
    }
}

/// One without a part that was killed is not counted beside the one that stands for it.
fn a_worker_that_was_killed() {
    let mut server = worker("day", "--server --listen 127.0.0.2 --ports 1 --expect-workers 3");
    waits(&mut server);
    let client = || worker("day", "--client 127.0.0.2 9900 --target 300 --hold 1s --expect-workers 3");
    let mut one = client();
    waits(&mut one);
    one.signal(libc::SIGKILL);
    let mut again = client();
    waits(&mut again);
    let last = client();
    for end in [again.finish(), last.finish()] {
        end.assert_event("fleet/start", &["all workers are ready"]);
        assert_eq!(end.code, Some(0), "{end:#?}");
    }
}

#[test]
fn a_server_ends_with_its_clients_however_short_they_were_there() {
    require!(Root, Program("redis-server"));
    own_namespace!();
    let store = Store::start(&[]);
    thread::scope(|scope| {
        scope.spawn(|| ends_after_a_short_client(server("night", 1), "night", 1));
        scope.spawn(|| {
            let server = server("day", 2);
            let killed = worker("day", "--client 127.0.0.2 9900 --target 10");
            wait_until("it joins", || (come(&store, "day") == 2).then_some(()));
            killed.signal(libc::SIGKILL);
            ends_after_a_short_client(server, "day", 2);
        });
    });
}

/// A server that waits for nobody and has started.
fn server(name: &str, address: u32) -> Run {
    let mut server = worker(name, &format!("--server --listen 127.0.0.{address} --ports 1"));
    server.until("it runs", |p| p.event("fleet/start").is_some());
    server
}

/// How many workers have joined.
fn come(store: &Store, name: &str) -> u64 {
    store.ask(&["SCARD", &store.key(&format!("c1m-top:1:{name}:*:workers"))]).parse().unwrap()
}

/// Has a client come and leave between two renewals of the server's claims.
fn ends_after_a_short_client(server: Run, name: &str, address: u32) {
    let end = worker(name, &format!("--client 127.0.0.{address} 9900 --target 10 --hold 100ms")).finish();
    assert_eq!((end.code, end.peak()), (Some(0), 10), "{end:#?}");
    let end = server.finish();
    said("the server", &end);
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.assert_event("fleet/clients_left", &[]);
}

#[test]
fn what_a_run_leaves_behind_lives_for_an_hour_after_its_end() {
    require!(Root, Program("redis-server"));
    own_namespace!();
    let store = Store::start(&[]);
    let mut server = worker("night", "--server --listen 127.0.0.1 --ports 1 --expect-workers 3");
    let client = |more: &str| format!("--client 127.0.0.1 9900 --target 10 --expect-workers 3 {more}");
    let mut two = worker("night", &client("--part 2/2"));
    let end = worker("night", &client("--part 1/2 --hold 100ms")).finish();
    assert_eq!(end.code, Some(0), "{end:#?}");
    two.until_holding();
    // As if the first had ended an hour before the others, less a minute or two.
    let old = |store: &Store| {
        for key in store.ask(&["KEYS", "c1m-top:1:night:*"]).lines() {
            store.ask(&["PEXPIRE", key, "120000"]);
        }
    };
    let lives = |store: &Store| {
        let keys = store.ask(&["KEYS", "c1m-top:1:night:*"]);
        let kept = |key: &&str| key.contains(":worker") || key.ends_with(":last");
        let left = |key| store.ask(&["PTTL", key]).parse::<u64>().unwrap();
        let kept: Vec<u64> = keys.lines().filter(kept).map(left).collect();
        // Each worker's own, the list of them, and which run was last.
        (kept.len() == 5 && kept.iter().all(|ms| *ms > 3_000_000)).then_some(())
    };
    old(&store);
    store.ask(&["DEL", &store.key("c1m-top:1:night:*:renewed")]);
    wait_until("all live on while it goes on", || lives(&store));
    old(&store);
    assert_eq!(two.interrupt().code, Some(0));
    server.until("its clients have left", |p| p.event("fleet/clients_left").is_some());
    let end = server.finish();
    assert_eq!(end.code, Some(0), "{end:#?}");
    lives(&store).unwrap();
}

#[test]
fn an_old_run_does_not_take_a_new_one_over() {
    require!(Root, Program("redis-server"));
    own_namespace!();
    let store = Store::start(&[]);
    let name = "c1m-top:1:night:run";
    let mut old = worker("night", "--server --listen 127.0.0.1 --ports 1 --expect-workers 1");
    old.until("it runs", |p| p.event("fleet/start").is_some());
    // As if it were cut off, and the last of the others had left without it.
    old.signal(libc::SIGSTOP);
    let renewed = store.key("c1m-top:1:night:*:renewed");
    store.ask(&["DEL", name, &renewed]);
    let client = |n| worker("night", &format!("--client 127.0.0.1 9900 --target 10 --hold 100ms --part {n}/2"));
    let mut one = client(1);
    waits(&mut one);
    let new = store.ask(&["GET", name]);
    old.signal(libc::SIGCONT);
    wait_until("the old one renews its claims", || (store.ask(&["EXISTS", &renewed]) == "1").then_some(()));
    assert_eq!(store.ask(&["GET", name]), new, "while it goes on");
    assert_eq!(old.interrupt().code, Some(0));
    assert_eq!(store.ask(&["GET", name]), new, "after its end");
    let two = client(2);
    for end in [one.finish(), two.finish()] {
        said("a client", &end);
        end.assert_event("fleet/start", &["all workers are ready"]);
    }
}

#[test]
fn a_server_that_is_lost_holds_nobody_while_another_goes_on() {
    require!(Root, Long, Program("redis-server"));
    own_namespace!();
    let _store = Store::start(&[]);
    let killed = server("night", 1);
    let other = server("night", 2);
    killed.signal(libc::SIGKILL);
    // The last word of the one that is gone has not counted it, and never will.
    let mut client = worker("night", "--client 127.0.0.2 9900 --ports 1 --target 10 --hold 40s");
    client.until("it waits for its share", |p| p.event("phase/guarded").is_some());
    client.until_holding();
    assert_eq!(client.interrupt().peak(), 10);
    assert_eq!(other.finish().code, Some(0));
}
