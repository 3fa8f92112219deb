//! What is refused at the start: one line, exit status 2, and nothing is left behind.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use super::store::{Store, said, url, worker};
use super::support::{own_namespace, program, require};

/// Holds what a worker says that cannot join, and what a look says. They wait side by side: a store that does not answer is tried
/// for seconds.
fn refused(all: &[(&str, &str)]) {
    let of = |options: &[&str], fleet: &str, part: &str| {
        let out = program().args(options).arg(fleet).output().unwrap();
        let line = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{options:?}: {line}");
        assert_eq!(line.lines().count(), 1, "{options:?}: {line}");
        assert!(line.contains(part), "{options:?}: {line}");
        assert!(!line.contains("geheim"), "{options:?}: {line}");
    };
    thread::scope(|scope| {
        for (fleet, part) in all {
            scope.spawn(move || of(&["--server", "--listen", "127.0.0.1", "--fleet"], fleet, part));
            scope.spawn(move || of(&["fleet"], fleet, part));
        }
    });
}

#[test]
fn a_store_that_cannot_be_used_is_one_line() {
    require!(Root, Program("redis-server"));
    own_namespace!();
    let _store = Store::start(&["--requirepass", "offen"]);
    // What speaks another protocol, and what says nothing at all.
    let web = TcpListener::bind("127.0.0.1:8080").unwrap();
    thread::spawn(move || {
        for stream in web.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let _silent = TcpListener::bind("127.0.0.1:8081").unwrap();
    refused(&[
        ("redis://127.0.0.1:8082/night", "refuses connections"),
        (&url("night"), "requires a password"),
        ("redis://:geheim@127.0.0.1/night", "refuses the user or the password"),
        ("redis://127.0.0.1:8080/night", "not Redis"),
        ("redis://127.0.0.1:8081/night", "does not answer"),
    ]);
}

#[test]
fn an_empty_variable_names_no_fleet() {
    for variable in [Some(""), None] {
        let mut command = program();
        command.args(["--server", "--listen", "127.0.0.1", "--no-guard"]).env_remove("C1M_FLEET");
        let out = command.envs(variable.map(|text| ("C1M_FLEET", text))).output().unwrap();
        let line = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.code() == Some(2) && line.contains("--no-guard does nothing"), "{line}");
    }
}

#[test]
fn keys_of_another_program_are_left_alone() {
    require!(Root, Program("redis-server"));
    own_namespace!();
    let store = Store::start(&[]);
    store.ask(&["EVAL", "for i=1,20000 do redis.call('SET','other:'..i,i) end", "0"]);
    let mut server = worker("night", "--server --listen 127.0.0.1");
    server.until("it runs", |p| p.event("fleet/start").is_some());
    // So full that it takes nothing more, for a while.
    store.ask(&["CONFIG", "SET", "maxmemory", "1mb"]);
    server.until("the store that is full", |p| p.event("fleet/away").is_some_and(|e| e.text.contains("out of memory")));
    store.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    let end = server.interrupt();
    said("the server", &end);
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert_eq!(store.ask(&["EVAL", "return #redis.call('KEYS','other:*')", "0"]), "20000");
    // Every key of ours ends by itself.
    let ours = store.ask(&["KEYS", "c1m-top:*"]);
    assert!(!ours.is_empty());
    for key in ours.lines() {
        let left: i64 = store.ask(&["PTTL", key]).parse().unwrap();
        assert!(left > 0, "{key} has no time to live");
    }
    // Where ours should be.
    store.ask(&["RPUSH", "c1m-top:1:day:run", "x"]);
    let out = program().args(["--server", "--listen", "127.0.0.1", "--fleet", &url("day")]).output().unwrap();
    let line = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.code() == Some(2) && line.contains("another program uses this fleet"), "{line}");
}

#[test]
fn a_password_is_in_no_process_and_no_recording() {
    require!(Root, Program("redis-server"));
    own_namespace!();
    let _store = Store::start(&["--requirepass", "geheim"]);
    let record = super::support::Home::path().join("run.c1m");
    let mut command = program();
    command.args(["--server", "--listen", "127.0.0.1", "--output", "json", "--record"]).arg(&record);
    command.env("C1M_FLEET", "redis://:geheim@127.0.0.1/night").env("C1M_FLEET_TOKEN", "geheim-too");
    let mut run = super::support::Run::spawn(&mut command);
    run.until("it runs", |p| p.event("fleet/start").is_some());
    let engine = run.engines(true, false).server.unwrap();
    for file in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{engine}/{file}")).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("geheim"), "the engine's {file}");
    }
    let end = run.interrupt();
    assert_eq!(end.code, Some(0), "{end:#?}");
    let told = end.assert_event("fleet", &["a worker of the fleet redis://127.0.0.1:6379/night"]);
    assert!(!told.text.contains("geheim"));
    let text = program().args(["runs", "cat"]).arg(&record).output().unwrap().stdout;
    assert!(!text.is_empty() && !String::from_utf8_lossy(&text).contains("geheim"));
}
