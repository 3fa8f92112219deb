//! The fleet's screen in a pseudo-terminal, over a real Redis and real workers.

use std::process::{Command, Stdio};

use super::support::{Home, Run, Started, own_namespace, program, require, wait_until};
use super::tty::Tty;

/// Where they meet, in the namespace of the test.
const FLEET: &str = "redis://127.0.0.1:7399/screen";

fn redis() -> Started {
    let mut server = Command::new("redis-server");
    server.args(["--port", "7399", "--save", "", "--dir"]).arg(Home::path());
    let started = Started::spawn(server.stdout(Stdio::null()));
    wait_until("redis", || std::net::TcpStream::connect("127.0.0.1:7399").ok());
    started
}

/// A worker that waits for the two others, with the token of the screen.
fn worker(options: &str) -> Run {
    let mut command = program();
    command.args(["--output", "json", "--no-record", "--fleet", FLEET, "--expect-workers", "3", "--interval", "200ms"]);
    Run::spawn(command.env("C1M_FLEET_TOKEN", "open sesame").args(options.split_whitespace()))
}

#[test]
fn the_fleets_screen_shows_its_workers_and_drives_them() {
    require!(Program("redis-server"));
    own_namespace!();
    let mut store = redis();
    let mut tty = Tty::start(&format!("fleet {FLEET}"), 40, 120, &[("C1M_FLEET_TOKEN", "open sesame")]);
    tty.shows("No worker has come to redis://127.0.0.1:7399/screen yet");
    let server = worker("--server --listen 127.0.0.1");
    tty.shows("1 of 3 workers have come");
    let mut first = worker("--client 127.0.0.1 9900 --target 20k --rate 2k --part 1/2 --hold 2s");
    let mut second = worker("--client 127.0.0.1 9900 --target 20k --rate 2k --part 2/2 --hold 2s");
    tty.shows("3 of 3 workers");
    tty.shows("RAMPING");
    tty.press("p");
    tty.shows("PAUSED");
    let held = first.printed().established();
    assert!(held < 10_000, "{held}");
    // What was last known stays while the store is gone.
    store.kill().unwrap();
    store.wait().unwrap();
    tty.shows("the store does not answer, so this is old");
    tty.shows("1/2");
    let _store = redis();
    tty.shows("nothing is wrong");
    tty.press("p");
    tty.shows("HOLDING");
    tty.press("j\r");
    tty.shows("part 1/2 on");
    tty.press("\x1b");
    tty.shows("ENDED");
    tty.shows("3 of 3 workers, 20,000 of 20,000 connections");
    for client in [&mut first, &mut second] {
        client.wait_for("its summary", |p| p.summary.as_ref().map(|_| ()));
    }
    assert_eq!((first.finish().peak(), second.finish().peak()), (10_000, 10_000));
    server.finish();
    tty.press("q");
    assert_eq!(tty.ended().exit_code(), 0);
    tty.is_restored();
}
