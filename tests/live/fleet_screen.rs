//! The fleet's screen in a pseudo-terminal, over a real Redis and real workers.

use std::process::{Command, Stdio};

use super::support::{Home, PATIENCE, Run, Started, own_namespace, poll, program, require, succeed, wait_until};
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

/// What signs the commands of the screen.
const TOKEN: (&str, &str) = ("C1M_FLEET_TOKEN", "open sesame");

/// A worker that waits for the two others, with the token of the screen.
fn worker(options: &str) -> Run {
    let mut command = program();
    command.args(["--output", "json", "--no-record", "--fleet", FLEET, "--expect-workers", "3", "--interval", "200ms"]);
    Run::spawn(command.env(TOKEN.0, TOKEN.1).args(options.split_whitespace()))
}

#[test]
fn the_fleets_screen_shows_its_workers_and_drives_them() {
    require!(Program("redis-server"));
    own_namespace!();
    let mut store = redis();
    let mut tty = Tty::start(&format!("fleet {FLEET}"), 40, 120, &[TOKEN]);
    tty.shows("No worker has joined redis://127.0.0.1:7399/screen yet");
    let server = worker("--server --listen 127.0.0.1");
    tty.shows("1 of 3 workers have joined");
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
    tty.shows("the store is unreachable, so this is old");
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

/// Waits until two screens show the same, but for their last row, the footer.
#[track_caller]
fn show_the_same(one: &Tty, other: &Tty) {
    let rows =
        |tty: &Tty| -> Vec<String> { tty.text().lines().take(39).map(|row| row.trim_end().to_owned()).collect() };
    let same = poll(PATIENCE, || (rows(one) == rows(other)).then_some(()));
    let differ: Vec<_> = rows(one).into_iter().zip(rows(other)).filter(|(one, other)| one != other).collect();
    assert!(same.is_some(), "{differ:#?}");
}

/// The key under which the store has the commands that were given; empty where none was.
fn commands() -> String {
    succeed(Command::new("redis-cli").args(["-p", "7399", "KEYS", "c1m-top:1:screen:*:commands"])).trim().to_owned()
}

#[test]
fn a_worker_opens_to_its_own_dashboard() {
    require!(Program("redis-server"));
    own_namespace!();
    let mut store = redis();
    let start = |options: &str| {
        let options = format!("{options} --fleet {FLEET} --expect-workers 2 --interval 2s");
        Tty::start(&options, 40, 120, &[TOKEN])
    };
    let file = Home::path().join("client.c1m");
    let server = start("--server --listen 127.0.0.1 --no-record");
    let client = format!("--client 127.0.0.1 9900 --target 900 --rate 300 --hold 10m --record {}", file.display());
    let mut client = start(&client);
    let mut fleet = Tty::start(&format!("fleet {FLEET}"), 40, 120, &[TOKEN]);
    fleet.shows("2 of 2 workers");
    client.shows("HOLDING");
    // The second row: the client. It is recorded, so that its beginning comes too, and what the keys do is as there.
    fleet.press("j\r");
    fleet.shows("client on ");
    show_the_same(&fleet, &client);
    fleet.shows("the ramp has started");
    fleet.press("2");
    client.press("2");
    fleet.shows("Esc back");
    show_the_same(&fleet, &client);
    fleet.press("p");
    fleet.shows("commands are for the whole fleet: Esc goes back to its screen");
    // Back in time, over there.
    client.press("1");
    fleet.press("1:1s\r");
    fleet.shows(" AT 00:00:01");
    let early =
        |text: &str| text.lines().next().is_some_and(|first| first.contains("00:00:00") || first.contains("00:00:01"));
    wait_until("its first second", || early(&fleet.text()).then_some(()));
    fleet.press("\x1b");
    show_the_same(&fleet, &client);
    // The key that was pressed there has given no command.
    assert_eq!(commands(), "");
    // A store that comes back empty is told anew.
    store.kill().unwrap();
    store.wait().unwrap();
    fleet.shows("store unreachable");
    let store = redis();
    wait_until("the store", || (!fleet.text().contains("store unreachable")).then_some(()));
    show_the_same(&fleet, &client);
    // Back to the fleet, where the same key gives a command.
    fleet.press("\x1b");
    fleet.shows("2 of 2 workers");
    fleet.press("p");
    wait_until("the command in the store", || (!commands().is_empty()).then_some(()));
    // And to one that is not recorded: it is shown from now on.
    fleet.press("k\r");
    fleet.shows("counted by the server");
    fleet.shows(" server on ");
    assert!(!fleet.text().contains("all workers are ready"), "{}", fleet.text());
    fleet.press("\x1b");
    fleet.shows("2 of 2 workers");
    fleet.press("j\r");
    fleet.shows("client on ");
    fleet.shows("counted by the client");
    // Killed, it keeps its last screen, which says how old it is.
    c1m_top::sys::kill(client.pid(), 9).unwrap();
    fleet.shows(" last heard from ");
    fleet.shows("counted by the client");
    fleet.press("q");
    assert_eq!(fleet.ended().exit_code(), 0);
    fleet.is_restored();
    drop((server, store));
}
