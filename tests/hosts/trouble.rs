//! What one host sees of trouble on the other.

use c1m_top::model::Verdict;
use c1m_top::sys;

use super::network::{Network, SERVER};
use super::support::{require, wait_until};
use super::{accepted, serve};

#[test]
fn a_full_server_is_a_stall_that_points_to_the_other_host() {
    require!(Root, NetworkNamespace, Veth);
    let network = Network::new(1, 2);
    // Small queues: what the server does not accept waits there.
    network.server.sh("sysctl -qw net.core.somaxconn=16");
    let options = format!("--server --listen {SERVER} --ports 2 --workers 1 --interval 100ms");
    let mut server = network.server.run_after("ulimit -n 500", &options);
    server.engines(true, false);
    let mut client = network.client().run(&format!("--client {SERVER} 9900 --ports 2 --target 3k --interval 100ms"));
    let (text, at) = client.wait_for("the stall", |p| {
        let event = p.events.iter().find(|e| e.id == "stall")?;
        Some((event.text.clone(), p.samples.last()?.established))
    });
    for part in ["no connection was established", "other host", "out of open files"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // The server's own dashboard knows better.
    server.until("the server naming its limit", |p| p.events.iter().any(|e| e.text.contains("at its open-file limit")));
    let open = accepted(&server);
    assert!((400..500).contains(&open), "{open}");
    // For the client those in the queues are established too, and those whose last ACK the full queue dropped.
    assert!((open..3_000).contains(&at), "{at} at the client, {open} at the server");
}

#[test]
fn a_killed_client_leaves_nothing_at_the_server() {
    require!(Root, NetworkNamespace, Veth);
    let network = Network::new(1, 4);
    let server = serve(&network.server, SERVER);
    let mut client = network.client().run(&format!("--client {SERVER} 9900 --ports 2 --target 5k --interval 100ms"));
    let engine = client.engines(false, true).client.unwrap();
    client.until_holding();
    wait_until("the server taking all", || (accepted(&server) == 5_000).then_some(()));
    sys::kill(engine, libc::SIGKILL).unwrap();
    let ended = client.finish();
    assert_eq!((ended.code, ended.summary().verdict), (Some(4), Verdict::EngineKilled), "{ended:#?}");
    wait_until("the server noticing", || (accepted(&server) == 0).then_some(()));
    wait_until("the kernel letting go", || (network.server.sockstat("inuse") == 2).then_some(()));
    let ended = server.interrupt();
    assert_eq!((ended.code, ended.summary().peak_accepted), (Some(0), Some(5_000)), "{ended:#?}");
}
