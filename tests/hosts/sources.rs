//! Where a client on another host connects from.

use super::network::{Network, SERVER, SERVER_V6, add_addresses, peers_of};
use super::support::{Finished, Net, require, wait_until};
use super::{accepted, leave, serve};

/// Runs a client to its target and returns from which addresses the server has how many.
fn peers(network: &Network, listen: &str, options: &str, target: u64) -> Vec<(String, u64)> {
    let server = serve(&network.server, listen);
    let mut client =
        network.client().run(&format!("--client {listen} 9900 --ports 2 --target {target} --interval 100ms {options}"));
    client.until_holding();
    wait_until("the server taking all", || (accepted(&server) == target).then_some(()));
    let peers = peers_of(&network.server);
    assert_eq!(peers.iter().map(|p| p.1).sum::<u64>(), target);
    leave(network, &server, client, target);
    peers
}

fn addresses(peers: &[(String, u64)]) -> Vec<&str> {
    peers.iter().map(|p| p.0.as_str()).collect()
}

#[test]
fn finds_its_addresses_when_one_does_not_do() {
    require!(Root, NetworkNamespace, Veth);
    let network = Network::new(1, 4);
    // 2 ports x 1,000 local ports, of which two in five are taken before another address is.
    assert_eq!(addresses(&peers(&network, SERVER, "", 800)), ["10.77.0.2"], "the kernel's choice");
    let four = peers(&network, SERVER, "", 6_000);
    assert_eq!(addresses(&four), ["10.77.0.2", "10.77.0.3", "10.77.0.4", "10.77.0.5"]);
    assert!(four.iter().all(|p| p.1 > 1_000), "each takes its share: {four:?}");
    let four = peers(&network, SERVER_V6, "", 6_000);
    assert_eq!(addresses(&four), ["[fd77::2]", "[fd77::3]", "[fd77::4]", "[fd77::5]"]);
}

#[test]
fn uses_the_addresses_it_is_given_and_no_other() {
    require!(Root, NetworkNamespace, Veth);
    let network = Network::new(1, 4);
    for (listen, source, want) in [
        (SERVER, "10.77.0.4", vec!["10.77.0.4"]),
        (SERVER, "10.77.0.3,10.77.0.5", vec!["10.77.0.3", "10.77.0.5"]),
        (SERVER_V6, "fd77::4,fd77::5", vec!["[fd77::4]", "[fd77::5]"]),
    ] {
        let peers = peers(&network, listen, &format!("--source {source}"), 1_500);
        assert_eq!(addresses(&peers), want);
    }
}

/// Entries of a host's neighbour table.
fn neighbours(host: &Net) -> usize {
    host.sh("ip -4 neighbour show").lines().count()
}

#[test]
fn a_routed_prefix_is_no_crowd_of_neighbours() {
    require!(Root, NetworkNamespace, Veth);
    let network = Network::new(1, 1);
    let client = network.client();
    client.sh("ip route add local 10.88.0.0/24 dev lo");
    network.server.sh("ip route add 10.88.0.0/24 via 10.77.0.2");
    let peers = peers(&network, SERVER, "--source 10.88.0.0/28", 20_000);
    assert_eq!(peers.len(), 14, "a subnet without its network and broadcast address: {peers:?}");
    assert!(peers.iter().all(|p| p.0.starts_with("10.88.0.")), "{peers:?}");
    // The server knows the router, not fourteen neighbours. Its table may also hold the source that the router's own question
    // (ARP, RFC 826) was asked from: by default it is that of the packet that waits (arp_announce 0).
    assert_eq!(neighbours(client), 1);
    assert!((1..=3).contains(&neighbours(&network.server)), "{}", network.server.sh("ip -4 neighbour show"));
}

#[test]
fn a_target_beyond_its_addresses_is_refused_with_what_would_do() {
    require!(Root, NetworkNamespace, Veth);
    let network = Network::new(1, 2);
    let client = network.client();
    let refused = |options: &str, parts: &[&str]| {
        let ended: Finished = client.run(&format!("--client {SERVER} 9900 --ports 2 {options}")).finish();
        assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1), "{ended:#?}");
        assert!(ended.samples.is_empty(), "nothing began");
        for part in parts {
            assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
        }
    };
    // Both of its addresses count, although none was named.
    refused("--target 9k", &["4,000", "2 source addresses", "--ports 5 ", "5 source addresses"]);
    refused("--target 9k --source 10.77.0.3", &["2,000", "1 source address ", "--ports 9 ", "5 source addresses"]);
    // What it names does.
    add_addresses(client, 77, 4..7);
    assert_eq!(peers(&network, SERVER, "", 9_000).len(), 5);
}
#[test]
fn leaves_out_an_address_that_the_server_has_no_way_back_to() {
    require!(Root, NetworkNamespace, Veth);
    let network = Network::new(1, 4);
    let client = network.client();
    // Such as that of docker0: packets from it find a way to the server, and no answer finds one back.
    client.sh("ip link add bridge0 type veth peer name bridge1");
    client.sh("ip address add 172.20.0.1/16 dev bridge0");
    client.sh("ip link set bridge0 up");
    assert_eq!(peers(&network, SERVER, "", 3_000).len(), 4);
}
