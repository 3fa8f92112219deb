//! A reload while connections are held: nginx starts new workers, and the old ones go on with what they hold.

use std::collections::HashSet;
use std::io::Write;
use std::net::TcpStream;

use c1m_top::model::{MemberLine, Verdict};
use c1m_top::sys;

use super::servers::{self, Server};
use super::support::{Finished, Printed, Run, own_processes, program, require};

/// Opens so many connections, each with a request that is never finished: idle ones are closed by a worker that ends.
fn begun(server: &Server, connections: usize) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
        stream
    };
    (0..connections).map(open).collect()
}

fn members(printed: &Printed) -> &[MemberLine] {
    let process = printed.samples.last().and_then(|s| s.process.as_ref());
    process.map_or(&[], |process| process.members.as_slice())
}

/// Numbers and connections of those that drain, or do not; the master has none.
fn workers(printed: &Printed, draining: bool) -> (HashSet<u32>, u64) {
    let of = || members(printed).iter().skip(1).filter(|m| m.draining == draining);
    (of().map(|m| m.pid).collect(), of().filter_map(|m| m.connections).sum())
}

#[track_caller]
fn assert_told(ended: &Finished, held: u64) {
    let told: Vec<_> = ended.events.iter().filter(|e| e.id.starts_with("draining/")).collect();
    let [event] = told.as_slice() else { panic!("{}", ended.log()) };
    let want = format!("2 workers of nginx are draining: they no longer listen, but still hold {held} connections");
    assert!(event.text.starts_with(&want), "{}", event.text);
    assert!(event.cure.to_string().contains("worker_shutdown_timeout"), "{event:?}");
}

#[test]
fn old_workers_drain_and_are_told_with_what_they_hold() {
    require!(Root, Program("nginx"));
    own_processes!();
    let server = servers::nginx(1000);
    let mut watcher = Run::start(&format!("--attach {} --interval 100ms", server.attach));
    let old_held = begun(&server, 240);
    watcher.until("two workers", |p| workers(p, false) == (workers(p, false).0, 240) && members(p).len() == 3);
    let old = workers(&watcher.printed(), false).0;
    // A worker is seen to listen at a second look.
    let counted = watcher.printed().samples.len();
    watcher.until("another look", |p| p.samples.len() > counted + 25);
    assert!(workers(&watcher.printed(), true).0.is_empty(), "before the reload none drains");

    sys::kill(server.attach, libc::SIGHUP).unwrap();
    watcher.until("the old workers draining", |p| workers(p, true) == (old.clone(), 240));
    let new_held = begun(&server, 60);
    watcher.until("new workers beside them", |p| {
        let (new, held) = workers(p, false);
        held == 60 && new.len() == 2 && new.is_disjoint(&old)
    });
    // Who attaches only now is told by the workers' own titles.
    let late = Run::start(&format!("--attach {} --duration 1s --interval 100ms", server.attach)).finish();
    assert_eq!(workers(&late, true), (old.clone(), 240), "{}", late.log());
    assert_told(&late, 240);
    let mut text = program();
    text.args(["--attach", &server.attach.to_string(), "--duration", "300ms", "--output", "text"]);
    let text = String::from_utf8(text.output().unwrap().stdout).unwrap();
    let line = text.lines().find(|line| line.contains("  draining ")).unwrap_or_else(|| panic!("{text}"));
    for part in ["300 held", "waiting 0", "open files ", "RSS ", "CPU ", "processes 5", "draining 240"] {
        assert!(line.contains(part), "{part}: {line}");
    }

    drop(old_held);
    watcher.until("their end", |p| workers(p, true).0.is_empty() && members(p).len() == 3);
    let ended = watcher.interrupt();
    assert_eq!((ended.code, ended.summary().verdict), (Some(0), Verdict::Watched), "{}", ended.log());
    assert_told(&ended, 240);
    let parted: Vec<_> = ended.events.iter().filter(|e| e.id.starts_with("parted/")).map(|e| &e.text).collect();
    assert!(parted.is_empty(), "one that has nothing left may end: {parted:?}");
    drop(new_held);
}
