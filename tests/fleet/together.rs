//! Started together, and seen as one.

use std::net::TcpListener;
use std::thread;

use c1m_top::model::Verdict;
use c1m_top::record;

use super::store::{Store, View, rows, said, worker};
use super::support::{Home, Run, own_namespace, print_uncaptured, require};

const CLIENT: &str = "--client 127.0.0.1 9900 --ports 10 --target 3001 --rate 4k --expect-workers 3 --interval 200ms";

#[test]
fn all_start_when_the_last_is_ready_and_their_sum_is_the_fleet() {
    require!(Root, Program("redis-server"));
    own_namespace!();
    let _store = Store::start(&[]);
    let view = View::open("night");
    let mut server = worker("night", "--server --listen 127.0.0.1 --ports 10 --expect-workers 3");
    server.until("the server is up", |p| p.event("fleet/waiting").is_some());
    let mut one = worker("night", &format!("{CLIENT} --part 1/2 --hold 2s"));
    one.until("what it waits for", |p| p.event("fleet/waiting").is_some_and(|e| e.text == "waiting for part 2/2"));
    let waiting = view.until("both wait", |view| view["count"]["waiting"] == 2);
    assert_eq!(waiting["missing"][0], "part 2/2", "{waiting:#}");
    assert_eq!(waiting["totals"]["connections"], 0);
    assert!(one.printed().event("fleet/start").is_none() && one.printed().established() == 0, "nobody starts early");
    let file = Home::path().join("two.c1m");
    let two = worker("night", &format!("{CLIENT} --part 2/2 --hold 2s --record {}", file.display()));
    let ends = [one.finish(), two.finish(), server.finish()];
    for (end, verdict) in ends.iter().zip([Verdict::TargetReached, Verdict::TargetReached, Verdict::Served]) {
        assert_eq!((end.code, end.summary().verdict), (Some(0), verdict), "{end:#?}");
        print_uncaptured(&end.assert_event("fleet/start", &["all workers are ready"]).text);
    }
    // Whatever is shown of the whole is the sum of what is shown of each.
    for seen in view.views() {
        let open = |row: &&serde_json::Value| row["standing"] == "running" && row["state"]["who"]["role"] == "client";
        let clients = seen["rows"].as_array().unwrap().iter().filter(open);
        let sum: u64 = clients.map(|row| row["state"]["connections"].as_u64().unwrap()).sum();
        assert_eq!(seen["totals"]["connections"], sum, "{seen:#}");
    }
    let views = view.views();
    let most = views.iter().filter_map(|view| view["totals"]["connections"].as_u64()).max();
    assert_eq!(most, Some(3001), "all at once");
    let spread = views.iter().find_map(|view| view["skew"]["start_us"].as_u64());
    print_uncaptured(&format!("started within {} us of one another", spread.unwrap()));
    let (code, summary) = view.finish();
    assert_eq!((code, summary["kind"].as_str()), (Some(0), Some("fleet_summary")), "{summary:#}");
    assert_eq!(summary["text"], "3 of 3 workers, 3,001 of 3,001 connections");
    assert_eq!(summary["verdict"], "target_reached");
    let header = record::open(&file).unwrap().header().clone();
    let offset = header.clock_offset_us.unwrap();
    assert!(offset.unsigned_abs() < 1_000_000, "one clock on one machine: {offset} us");
}

#[test]
fn nothing_starts_with_a_part_missing_or_taken_twice() {
    require!(Root, Program("redis-server"));
    own_namespace!();
    let _store = Store::start(&[]);
    thread::scope(|scope| [who_does_not_come, a_part_taken_twice].map(|of| drop(scope.spawn(of))));
}

#[test]
fn who_cannot_begin_is_missing_until_it_is_started_again() {
    require!(Root, Program("redis-server"));
    own_namespace!();
    let _store = Store::start(&[]);
    thread::scope(|scope| [who_has_no_route, who_has_no_port].map(|of| drop(scope.spawn(of))));
}

/// One ends at its first connect.
fn who_has_no_route() {
    let view = View::open("night");
    let options = "--ports 1 --expect-workers 3 --fleet-wait 1m";
    let server = worker("night", &format!("--server --listen 127.0.0.2 {options}"));
    let client = |to: &str| worker("night", &format!("--client {to} 9900 --target 500 --hold 2s {options}"));
    let [one, two] = [client("127.0.0.2"), client("10.9.9.9")].map(Run::finish);
    assert_eq!((one.code, two.code, server.finish().code), (Some(0), Some(2), Some(0)), "{one:#?} {two:#?}");
    assert!(two.stderr.contains("cannot connect to 10.9.9.9"), "{}", two.stderr);
    let (code, summary) = view.finish();
    assert_eq!((code, summary["verdict"].as_str()), (Some(3), Some("workers_missing")), "{summary:#}");
    let text = summary["text"].as_str().unwrap();
    assert!(text.starts_with("2 of 3 workers, 500 of 1,000 connections; missing: client on "), "{text}");
    assert!(text.ends_with(" (could not begin)"), "{text}");
}

/// One is refused its port, and started again.
fn who_has_no_port() {
    let view = View::open("day");
    let taken = TcpListener::bind(("127.0.0.1", 9900)).unwrap();
    let one = worker("day", "--client 127.0.0.1 9900 --ports 1 --target 100 --hold 1s --expect-workers 2");
    view.until("the first", |view| rows(view) == [("client".to_owned(), "waiting".to_owned())]);
    let server = || worker("day", "--server --listen 127.0.0.1 --ports 1 --expect-workers 2");
    assert_eq!(server().finish().code, Some(2));
    drop(taken);
    let again = server();
    assert_eq!((one.finish().code, again.finish().code), (Some(0), Some(0)));
    let (code, summary) = view.finish();
    assert_eq!(
        (code, summary["text"].as_str()),
        (Some(0), Some("2 of 2 workers, 100 of 100 connections")),
        "{summary:#}"
    );
}

/// Who does not come is named, and is the verdict.
fn who_does_not_come() {
    let view = View::open("night");
    let client = "--client 127.0.0.1 9900 --target 300 --fleet-wait 2s";
    let one = worker("night", &format!("{client} --part 1/3"));
    let three = worker("night", &format!("{client} --part 3/3"));
    for end in [one.finish(), three.finish()] {
        said("a client", &end);
        assert_eq!((end.code, end.summary().verdict), (Some(3), Verdict::WorkersMissing), "{end:#?}");
        end.assert_event("fleet/missing", &["still missing: part 2/3"]);
        assert_eq!(end.peak(), 0, "nothing was opened");
    }
    let (code, summary) = view.finish();
    assert_eq!((code, summary["verdict"].as_str()), (Some(3), Some("workers_missing")), "{summary:#}");
    assert_eq!((&summary["workers"], &summary["of_workers"]), (&2.into(), &3.into()));
    assert!(summary["text"].as_str().unwrap().contains("missing: part 2/3"), "{summary:#}");
}

/// It is refused before anything starts.
fn a_part_taken_twice() {
    let view = View::open("day");
    let one = worker("day", "--client 127.0.0.1 9900 --target 300 --part 1/2");
    view.until("the first has come", |view| rows(view) == [("1".to_owned(), "waiting".to_owned())]);
    let again = worker("day", "--client 127.0.0.1 9900 --target 300 --part 1/2").finish();
    assert_eq!(again.code, Some(2), "{again:#?}");
    let (pid, line) = (one.pid(), &again.stderr);
    assert!(line.contains("part 1/2 is taken by ") && line.contains(&format!("(process {pid})")), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    let end = one.interrupt();
    assert_eq!(end.code, Some(0), "{end:#?}");
    // Given back.
    let mut next = worker("day", "--client 127.0.0.1 9900 --target 300 --part 1/2");
    next.until("it waits", |p| p.event("fleet/waiting").is_some());
}
