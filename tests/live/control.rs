//! The control socket of an engine: who may speak, what is refused, what commands do.

use c1m_top::protocol::{CloseMode, Command, MAX_LINE, Phase, Reply, Role};

use super::support::{Control, Engines, Run, is_running, own_namespace, sockstat, wait_until};

/// A slow ramp in this namespace, its engines, and a connection to each (server, client).
fn ramping() -> (Run, Engines, Control, Control) {
    let run = Run::start("--server --client 127.0.0.1 9900 --target 20k --rate 500 --no-guard --ports 4");
    let engines = run.engines(true, true);
    let [server, client] = [engines.server, engines.client].map(|pid| Control::connect(pid.unwrap()).unwrap());
    (run, engines, server, client)
}

/// What the engine says it refused.
fn refusals(engine: &mut Control) -> Vec<String> {
    let events = engine.stats().events;
    events.into_iter().filter(|e| e.id == "control_refused").map(|e| e.text).collect()
}

#[test]
fn the_socket_greets() {
    own_namespace!();
    let (run, _, server, client) = ramping();
    assert_eq!((server.hello.role, client.hello.role), (Role::Server, Role::Client));
    for hello in [&server.hello, &client.hello] {
        assert_eq!((hello.owner, hello.target), (run.pid(), 20_000));
        assert_eq!((hello.address.as_str(), hello.port, hello.ports), ("127.0.0.1", 9900, 4));
    }
}

#[test]
fn garbage_is_refused_logged_and_harms_nobody_else() {
    own_namespace!();
    let (_run, engines, mut server, mut client) = ramping();
    for (pid, watcher) in [(engines.server, &mut server), (engines.client, &mut client)] {
        let long = vec![b'x'; MAX_LINE + 8192];
        let lines: [&[u8]; 6] = [
            b"garbage\n",
            b"\n",
            b"{\"cmd\":\"explode\"}\n",
            b"\xff\xfe\x00\n",
            b"{\"cmd\":\"rate\",\"per_s\":-1}\n",
            &long,
        ];
        for (i, line) in lines.into_iter().enumerate() {
            let mut peer = Control::connect(pid.unwrap()).unwrap();
            peer.raw(line);
            assert!(matches!(peer.reply(), Some(Reply::Error { .. })), "{i}");
            assert_eq!(peer.reply(), None, "{i}: hangs up after a refusal");
            let logged = wait_until("the refusal", || Some(refusals(watcher)).filter(|all| all.len() == i + 1));
            assert!(logged[i].contains(&std::process::id().to_string()), "names the process: {logged:?}");
        }
        // Half a line, and gone: no command was given, nothing to refuse.
        let mut peer = Control::connect(pid.unwrap()).unwrap();
        peer.raw(b"{\"cmd\":\"sto");
        drop(peer);
        assert_eq!(refusals(watcher).len(), 6);
    }
    let before = client.stats().open;
    wait_until("the ramp going on", || (client.stats().open > before).then_some(()));
}

#[test]
fn a_command_in_pieces_and_several_at_once() {
    own_namespace!();
    let (_run, _, mut server, _) = ramping();
    server.raw(b"{\"cmd\":\"pa");
    std::thread::sleep(std::time::Duration::from_millis(50));
    server.raw(b"use\"}\n{\"cmd\":\"resume\"}\n{\"cmd\":\"pause\"}\n");
    for _ in 0..3 {
        assert_eq!(server.reply(), Some(Reply::Ok));
    }
    assert_eq!(server.stats().phase, Phase::Paused);
}

#[test]
fn many_dashboards_at_once_and_not_too_many() {
    own_namespace!();
    let (_run, engines, mut server, _) = ramping();
    let pid = engines.server.unwrap();
    let mut peers = Vec::new();
    while let Some(peer) = Control::connect(pid) {
        peers.push(peer);
        assert!(peers.len() < 100, "there is no bound");
    }
    assert!(peers.len() >= 8, "{}", peers.len());
    for peer in &mut peers {
        assert_eq!(peer.stats().pid, pid);
    }
    wait_until("the refusal", || refusals(&mut server).last().filter(|t| t.contains("already connected")).map(drop));
    drop(peers);
    wait_until("room for another", || Control::connect(pid));
}

#[test]
fn commands_change_what_the_client_does() {
    own_namespace!();
    let (run, _, mut server, mut client) = ramping();
    wait_until("the ramp", || (client.stats().open > 0).then_some(()));

    client.tell(&Command::Pause);
    assert_eq!(client.stats().phase, Phase::Paused);
    // What was in flight still arrives.
    wait_until("the last before the pause", || (client.stats().in_flight == 0).then_some(()));
    let paused_at = client.stats().opened;
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(client.stats().opened, paused_at, "nothing is opened while paused");

    client.tell(&Command::Rate { per_s: Some(2_000) });
    assert_eq!(client.stats().rate_limit, Some(2_000));
    let ceiling = paused_at + 1_000;
    client.tell(&Command::Ceiling { connections: Some(ceiling) });
    client.tell(&Command::Resume);
    wait_until("the ceiling", || (client.stats().phase == Phase::Guarded).then_some(()));
    assert_eq!(client.stats().open, ceiling);
    wait_until("the server counting the same", || (server.stats().open == ceiling).then_some(()));

    client.tell(&Command::Ceiling { connections: None });
    client.tell(&Command::Rate { per_s: None });
    assert_eq!((client.stats().ceiling, client.stats().rate_limit), (None, None));
    wait_until("the target", || (client.stats().phase == Phase::Holding).then_some(()));
    assert_eq!((client.stats().open, client.stats().peak), (20_000, 20_000));
    wait_until("the server having them all", || (server.stats().open == 20_000).then_some(()));

    // Slowly enough to be looked at: a run that nobody watches ends when somebody else has closed everything.
    client.tell(&Command::Close { mode: CloseMode::Rst, per_s: Some(10_000) });
    wait_until("half of them closed", || {
        let stats = client.stats();
        assert_eq!((stats.phase, stats.lost), (Phase::Closing, 0));
        (stats.open < 10_000 && server.stats().open < 12_000).then_some(())
    });
    drop((server, client));
    let ended = run.finish();
    assert_eq!((ended.code, ended.summary().peak_accepted), (Some(0), Some(20_000)), "{ended:#?}");
}

#[test]
fn a_close_amid_a_ramp_leaves_nothing_in_time_wait() {
    own_namespace!();
    // Packets on loopback are delivered by another core than the one that connects: a handshake can then be over before the
    // client has heard of it.
    let steer = "mount -t sysfs sysfs /sys && echo $(( (1 << $(nproc)) - 1 )) > /sys/class/net/lo/queues/rx-0/rps_cpus";
    let steered = std::process::Command::new("unshare").args(["--mount", "sh", "-c", steer]).output().unwrap();
    eprintln!("receive packet steering: {steered:?}");
    for round in 0..4 {
        // As fast as it goes: hundreds of connects are under way at any moment.
        let mut run = Run::start("--server --client 127.0.0.1 9900 --target 200k --no-guard --interval 100ms");
        let mut client = Control::wait_for(run.engine(Role::Client));
        run.until("the ramp", |p| p.established() > 1_000);
        client.tell(&Command::Close { mode: CloseMode::Rst, per_s: None });
        let peak = run.finish().peak();
        assert!((1_000..200_000).contains(&peak), "it was closed amid the ramp: {peak}");
        assert_eq!(sockstat("tw"), 0, "{round}");
    }
}

#[test]
fn a_paused_server_accepts_nothing_until_resumed() {
    own_namespace!();
    let (_run, _, mut server, mut client) = ramping();
    wait_until("the ramp", || (server.stats().open > 0).then_some(()));
    server.tell(&Command::Pause);
    assert_eq!(server.stats().phase, Phase::Paused);
    std::thread::sleep(std::time::Duration::from_millis(100));
    let accepted = server.stats().opened;
    let established = client.stats().opened;
    wait_until("the client going on into the backlog", || (client.stats().opened > established + 200).then_some(()));
    assert_eq!(server.stats().opened, accepted);
    server.tell(&Command::Resume);
    wait_until("the backlog accepted", || (server.stats().opened > accepted + 200).then_some(()));
}

#[test]
fn engines_end_with_their_owner() {
    own_namespace!();
    let (run, engines, _server, mut client) = ramping();
    wait_until("connections", || (client.stats().open > 100).then_some(()));
    run.signal(libc::SIGKILL);
    for pid in [engines.server.unwrap(), engines.client.unwrap()] {
        wait_until("the end of an orphaned engine", || (!is_running(pid)).then_some(()));
    }
}
