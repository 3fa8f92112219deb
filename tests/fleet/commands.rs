//! Commands of who has the token, and of who has not.

use c1m_top::model::RunPhase;

use super::store::{Store, said, url, worker};
use super::support::{Run, own_namespace, program, require};

/// The program as whoever commands the fleet.
#[track_caller]
fn command(token: &str, words: &str) -> (Option<i32>, String) {
    let mut command = program();
    command.args(["fleet", &url("night")]).args(words.split(' ')).env("C1M_FLEET_TOKEN", token);
    let out = command.output().unwrap();
    (out.status.code(), String::from_utf8(out.stderr).unwrap())
}

/// A client of the fleet with the token `secret`.
#[track_caller]
fn client() -> Run {
    let mut command = program();
    command.args(["--client", "127.0.0.1", "9900", "--output", "json", "--fleet", &url("night")]);
    command
        .args("--target 6k --rate 300 --ports 4 --interval 200ms --close-rate 20k".split(' '))
        .env("C1M_FLEET_TOKEN", "secret");
    Run::spawn(&mut command)
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
