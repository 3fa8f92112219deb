//! Commands of who has the token, and of who has not.

use c1m_top::model::{RunPhase, Severity, Verdict};

use super::store::{self, Store, View, said, url, worker};
use super::support::{Run, own_namespace, program, require};

/// The program as whoever commands the fleet.
#[track_caller]
fn command(token: &str, words: &str) -> (Option<i32>, String) {
    store::command(&url("night"), token, words)
}

/// A worker of the fleet with the token `secret`.
#[track_caller]
fn obedient(options: &str) -> Run {
    let mut command = program();
    command.args(options.split(' ')).args(["--output", "json", "--fleet", &url("night")]);
    Run::spawn(command.env("C1M_FLEET_TOKEN", "secret"))
}

/// A client of them.
#[track_caller]
fn client() -> Run {
    obedient("--client 127.0.0.1 9900 --target 6k --rate 300 --ports 4 --interval 200ms --close-rate 20k")
}

/// A fleet of a server and a client that opens.
#[track_caller]
fn opens() -> (Store, View, Run, Run) {
    let store = Store::start(&[]);
    let view = View::open("night");
    let server = worker("night", "--server --listen 127.0.0.1 --ports 4");
    let mut run = client();
    run.until("it opens", |p| p.established() > 0);
    (store, view, server, run)
}

#[test]
fn a_fleet_obeys_its_token_once_and_nothing_else() {
    require!(Root, Program("redis-server"));
    own_namespace!();
    let store = Store::start(&[]);
    let mut server = worker("night", "--server --listen 127.0.0.1 --ports 4");
    server.until("it runs", |p| p.event("fleet/start").is_some());
    let (code, line) = command("secret", "rate 50k");
    assert!(code == Some(2) && line.contains("named its target"), "of no target there is no part: {line}");
    let mut run = client();
    run.until("it opens", |p| p.established() > 0);
    let (code, line) = command("guess", "close");
    assert_eq!((code, line.as_str()), (Some(0), ""), "who gives it is not told what the workers make of it");
    run.until("the forged one", |p| p.event("fleet/forged").is_some());
    // As many as are read at once, and more, stand before the next.
    let key = store.key("c1m-top:1:night:*:commands");
    let many = "local t=redis.call('TIME') for i=1,40 do redis.call('ZADD',KEYS[1],t[1]*1000000+t[2],'forged'..i) end";
    store.ask(&["EVAL", many, "1", &key]);
    let opens = |p: &super::support::Printed| p.samples.last().is_some_and(|s| s.phase == RunPhase::Ramping);
    // Both are heard at once, before a sample has seen the first.
    command("secret", "pause");
    command("secret", "resume");
    run.until("both", |p| p.event("fleet/command/resume").is_some());
    run.until("the ramp after both", opens);
    assert_eq!(command("secret", "pause"), (Some(0), String::new()));
    run.until("the pause", |p| p.samples.last().is_some_and(|s| s.phase == RunPhase::Paused));
    // Heard by somebody, and given again, after the one that lets it go on.
    let heard = store.ask(&["ZRANGE", &key, "-1", "-1"]);
    assert_eq!(command("secret", "resume"), (Some(0), String::new()));
    run.until("the ramp again", opens);
    store.ask(&["ZADD", &key, "9007199254740991", &heard]);
    run.until("the one given again", |p| p.event("fleet/repeated").is_some());
    assert!(opens(&run.printed()), "{:#?}", run.printed().samples.last());
    // Beyond what it was started for it does not go.
    command("secret", "target 900k");
    command("secret", "rate max");
    run.until("the target", |p| p.event("fleet/command/target").is_some_and(|e| e.text.ends_with("target 6,000 here")));
    run.until_holding();
    assert!(run.printed().samples.iter().all(|s| s.established <= 6000));
    command("secret", "close");
    let end = run.finish();
    said("the client", &end);
    assert_eq!(end.code, Some(0), "{end:#?}");
}

#[test]
fn a_command_is_divided_as_if_no_other_had_been_given() {
    require!(Root, Program("redis-server"));
    own_namespace!();
    let (_store, view, _server, mut run) = opens();
    view.until("what it aims at", |view| view["totals"]["target"] == 6000);
    let mut told = |words: &str, said: &str| {
        assert_eq!(command("secret", words).0, Some(0), "{words}");
        run.until(said, |p| p.events.iter().any(|e| e.text == format!("fleet command: {said}")));
    };
    told("pause", "pause");
    told("target 3k", "target 3,000 here");
    view.until("the lower target", |view| view["totals"]["target"] == 3000);
    told("rate 600", "rate 600/s here");
    told("target 4500", "target 4,500 here");
    // Before anybody has seen that, too.
    told("target 6k", "target 6,000 here");
}

#[test]
fn a_target_that_is_refused_is_a_warning_to_all() {
    require!(Root, Program("redis-server"));
    own_namespace!();
    let (_store, view, _server, mut run) = opens();
    run.until("enough", |p| p.established() > 500);
    assert_eq!(command("secret", "target 400").0, Some(0));
    run.until("the refusal", |p| p.event("fleet/refused/target 400 here").is_some());
    let told = run.printed().event("fleet/refused").unwrap().clone();
    assert!(told.severity == Severity::Warning && told.text.contains(" are open already"), "{told:?}");
    assert!(run.printed().event("fleet/command").is_none(), "it is not told as obeyed: {:#?}", run.printed().events);
    let event = |object: &serde_json::Value| object["kind"] == "fleet_event" && object["text"] == told.text;
    view.until("the worker's word", |_| view.all().iter().any(event));
}

#[test]
fn what_is_told_while_all_wait_is_obeyed() {
    require!(Root, Program("redis-server"));
    own_namespace!();
    let _store = Store::start(&[]);
    let server = |of: u32| obedient(&format!("--server --listen 127.0.0.1 --ports 4 --expect-workers {of}"));
    let client = |of: u32| {
        let options = "--client 127.0.0.1 9900 --ports 4 --target 100 --hold 1s --interval 200ms";
        let mut run = obedient(&format!("{options} --expect-workers {of}"));
        run.until("it waits", |p| p.event("fleet/waiting").is_some());
        run
    };
    let mut run = client(2);
    let view = View::open("night");
    let mut told = |word: &str, phase: &str| {
        assert_eq!(command("secret", word).0, Some(0));
        view.until(word, |view| view["rows"][0]["state"]["phase"] == phase);
        run.until(word, |p| p.event(&format!("fleet/command/{word}")).is_some());
    };
    told("pause", "paused");
    told("resume", "starting");
    told("pause", "paused");
    let beside = server(2);
    run.until("the start", |p| p.event("fleet/start").is_some());
    run.until("the pause", |p| p.samples.last().is_some_and(|s| s.phase == RunPhase::Paused));
    assert!(run.printed().samples.iter().all(|s| s.established == 0), "{:#?}", run.printed());
    assert_eq!(command("secret", "resume").0, Some(0));
    run.until_holding();
    assert_eq!((run.finish().code, beside.finish().code, view.finish().0), (Some(0), Some(0), Some(0)));
    // Closed, nobody waits on for the one that has not come.
    let mut beside = server(3);
    beside.until("it waits", |p| p.event("fleet/waiting").is_some());
    let waiting = [beside, client(3)];
    assert_eq!(command("secret", "close").0, Some(0));
    let ends = waiting.map(Run::finish).map(|end| (end.code, end.summary().verdict));
    assert_eq!(ends, [(Some(0), Verdict::Served), (Some(0), Verdict::Interrupted)]);
}

#[test]
fn a_wrong_command_is_one_line() {
    require!(Root, Program("redis-server"));
    own_namespace!();
    let _store = Store::start(&[]);
    for (token, words, part) in [
        ("secret", "explode", "is not a fleet command"),
        ("secret", "rate", "rate needs a value"),
        ("secret", "rate 0", "would never start"),
        ("", "pause", "needs the workers' token"),
        ("secret", "pause", "no worker has joined the fleet"),
    ] {
        let (code, line) = command(token, words);
        assert!(code == Some(2) && line.contains(part) && line.lines().count() == 1, "{words}: {line}");
    }
}
