//! Whom workers wait for: each is named, once, and again when that changes.

use std::thread;

use super::store::{Store, View, worker};
use super::support::{Printed, Run, own_namespace, program, require};

/// Waits until a worker has said, in this order and nothing else, that it waits for these.
#[track_caller]
fn waits_for(run: &mut Run, all: &[&str]) {
    let said = |p: &Printed| -> Vec<String> {
        // Who is just coming may be seen before it is ready.
        let events = p.events.iter().filter(|e| e.id.starts_with("fleet/waiting") && !e.text.contains("not ready"));
        events.map(|e| e.text.trim_start_matches("waiting for ").to_owned()).collect()
    };
    run.until(all.last().unwrap(), |p| said(p).len() >= all.len());
    assert_eq!(said(&run.printed()), all);
}

#[test]
fn who_is_missing_is_named_once_and_again_when_that_changes() {
    require!(Root, Program("redis-server"));
    own_namespace!();
    let store = Store::start(&[]);
    thread::scope(|scope| {
        scope.spawn(parts);
        without_parts_and_of_another_version(&store);
    });
}

/// Parts are named.
fn parts() {
    let view = View::open("night");
    let client = |n: u32| {
        worker("night", &format!("--client 127.0.0.1 9900 --ports 1 --target 30 --expect-workers 4 --part {n}/3"))
    };
    let mut one = client(1);
    waits_for(&mut one, &["part 2/3, part 3/3, the server"]);
    let mut server = worker("night", "--server --listen 127.0.0.1 --ports 1 --expect-workers 4");
    waits_for(&mut one, &["part 2/3, part 3/3, the server", "part 2/3, part 3/3"]);
    // Each has said whom it waits for before that changes.
    waits_for(&mut server, &["part 2/3, part 3/3"]);
    let mut two = client(2);
    waits_for(&mut one, &["part 2/3, part 3/3, the server", "part 2/3, part 3/3", "part 3/3"]);
    waits_for(&mut two, &["part 3/3"]);
    waits_for(&mut server, &["part 2/3, part 3/3", "part 3/3"]);
    let seen = view.until("what the fleet waits for", |view| view["count"]["waiting"] == 3);
    assert_eq!(seen["missing"], serde_json::json!(["part 3/3"]), "{seen:#}");
    // Whoever leaves is waited for again.
    assert_eq!(one.interrupt().code, Some(0));
    waits_for(&mut two, &["part 3/3", "part 1/3, part 3/3"]);
    waits_for(&mut server, &["part 2/3, part 3/3", "part 3/3", "part 1/3, part 3/3"]);
}

/// Without parts it is told how many are missing; and a worker of another version is named.
fn without_parts_and_of_another_version(store: &Store) {
    let view = View::open("day");
    let mut server = worker("day", "--server --listen 127.0.0.2 --ports 1 --expect-workers 3");
    waits_for(&mut server, &["2 workers"]);
    // As if the first were of another version.
    let (key, own) = (store.key("c1m-top:1:day:*:version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(store.ask(&["GET", &key]), own);
    store.ask(&["SET", &key, "0.0.9"]);
    let state = store.key("c1m-top:1:day:*:worker:*");
    let other = "local text = redis.call('GET', KEYS[1]):gsub('\"version\":\"[^\"]*\"', '\"version\":\"0.0.9\"')
        redis.call('SET', KEYS[2], text, 'PX', 60000)
        redis.call('SADD', KEYS[3], 'other')";
    let (before, _) = state.rsplit_once("worker:").unwrap();
    store.ask(&["EVAL", other, "3", &state, &format!("{before}worker:other"), &format!("{before}workers")]);
    let mut one = worker("day", "--client 127.0.0.2 9900 --ports 1 --target 30 --expect-workers 3");
    one.until("the other version", |p| p.event("fleet/version").is_some());
    let told = one.printed().event("fleet/version").unwrap().text.clone();
    assert_eq!(told, format!("the first worker of this fleet runs c1m-top 0.0.9, this one {own}: use one version"));
    // Whoever looks is told by the worker and by what all of them say.
    let seen = view.until("both versions", |view| view["versions"].is_string());
    let versions = seen["versions"].as_str().unwrap();
    assert!(versions.starts_with("0.0.9 (") && versions.contains(&format!("), {own} (")), "{versions}");
    let event = |object: &serde_json::Value| object["kind"] == "fleet_event" && object["id"] == "fleet/version";
    view.until("the worker's word", |_| view.all().iter().any(event));
    let mut text = program();
    text.args(["fleet", &super::store::url("day"), "--output", "text", "--duration", "1500ms"]);
    let text = String::from_utf8(text.output().unwrap().stdout).unwrap();
    let count = |words: &str| text.matches(words).count();
    let looks = count("  versions differ: ");
    assert!(
        looks >= 2 && looks == count(&format!("  versions differ: {versions}")),
        "in each look and at the end: {text}"
    );
    assert!(text.contains(&told), "{text}");
}
