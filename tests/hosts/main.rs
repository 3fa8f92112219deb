//! Server and client on different hosts: network namespaces joined by veth pairs, so that packets cross a link, routes and
//! neighbours matter, and neither end sees the other's counters.
//!
//! Where the privilege for that is missing a test says `skipped: …`.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod network;
mod sources;
mod trouble;

use c1m_top::model::RunPhase;

use network::{Network, SERVER, SERVER_V6};
use support::{Control, Net, Run, wait_until};

/// Starts a server on its host. Listens on two ports: with a thousand local ports, 2,000 connections for each source address.
fn serve(host: &Net, listen: &str) -> Run {
    let run = host.run(&format!("--server --listen {listen} --ports 2 --interval 100ms"));
    run.engines(true, false);
    run
}

/// Connections open at the server's engine.
fn accepted(server: &Run) -> u64 {
    let engine = server.engines(true, false).server.unwrap();
    Control::connect(engine).unwrap().stats().open
}

/// Ends a client that reached its target, and holds that neither host keeps anything of it.
fn leave(network: &Network, server: &Run, client: Run, target: u64) {
    let ended = client.interrupt();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:#?}");
    assert_eq!((ended.summary().peak_established, ended.summary().failures), (Some(target), 0), "{}", ended.log());
    wait_until("the server noticing", || (accepted(server) == 0).then_some(()));
    for host in network.clients.iter().chain([&network.server]) {
        assert_eq!(host.sockstat("tw"), 0);
    }
}

#[test]
fn both_ends_count_the_same_as_their_kernels() {
    require!(Root, NetworkNamespace, Veth);
    let network = Network::new(1, 5);
    for ip in [SERVER, SERVER_V6] {
        let server = serve(&network.server, ip);
        let mut client = network.client().run(&format!("--client {ip} 9900 --ports 2 --target 8k --interval 100ms"));
        client.until_holding();
        // A connection is established at the client a moment before the server takes it.
        wait_until("the server taking all", || (accepted(&server) == 8_000).then_some(()));
        assert_eq!(network.client().sockstat("inuse"), 8_000, "{ip}");
        assert_eq!(network.server.sockstat("inuse"), 8_000 + 2, "{ip}: and two listeners");
        let seen = client.wait_for("a sample at the hold", |p| {
            p.samples.last().filter(|s| s.phase == RunPhase::Holding).and_then(|s| s.sockets)
        });
        assert_eq!(seen, 8_000, "{ip}: the client's dashboard sees its own host alone");
        leave(&network, &server, client, 8_000);
    }
}

#[test]
fn two_clients_share_a_server() {
    require!(Root, NetworkNamespace, Veth);
    let network = Network::new(2, 5);
    let mut server = serve(&network.server, SERVER);
    let start = |host: &Net| host.run(&format!("--client {SERVER} 9900 --ports 2 --target 6k --interval 100ms"));
    let mut clients: Vec<Run> = network.clients.iter().map(start).collect();
    for client in &mut clients {
        client.until_holding();
    }
    server.until("both", |p| p.samples.last().is_some_and(|s| s.accepted == Some(12_000)));
    assert_eq!(network.server.sockstat("inuse"), 12_002);
    for host in &network.clients {
        assert_eq!(host.sockstat("inuse"), 6_000);
    }
    // One leaves: the other keeps all it has.
    let second = clients.pop().unwrap();
    assert_eq!(second.interrupt().code, Some(0));
    wait_until("the server noticing", || (accepted(&server) == 6_000).then_some(()));
    assert_eq!(network.client().sockstat("inuse"), 6_000);
    leave(&network, &server, clients.pop().unwrap(), 6_000);
}
