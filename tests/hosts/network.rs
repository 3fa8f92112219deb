//! Hosts made of network namespaces: a server's, and clients' that reach it over a veth pair each.

use crate::support::Net;

/// The server's address, the same from every client.
pub(crate) const SERVER: &str = "10.77.0.1";

/// And its IPv6 address.
pub(crate) const SERVER_V6: &str = "fd77::1";

/// Gives a client further addresses, of either family.
pub(crate) fn add_addresses(host: &Net, net: u8, last: std::ops::Range<u8>) {
    for i in last {
        host.sh(&format!("ip address add 10.{net}.0.{i}/24 dev wire"));
        host.sh(&format!("ip address add fd{net}::{i}/64 dev wire nodad"));
    }
}

/// Established connections by remote address, as a host's kernel lists them. For small counts.
pub(crate) fn peers_of(host: &Net) -> Vec<(String, u64)> {
    let text = host.sh("ss -Htn state established");
    let mut peers: Vec<(String, u64)> = Vec::new();
    for peer in text.lines().filter_map(|l| l.split_whitespace().last()?.rsplit_once(':')) {
        match peers.iter_mut().find(|p| p.0 == peer.0) {
            Some(known) => known.1 += 1,
            None => peers.push((peer.0.to_owned(), 1)),
        }
    }
    peers.sort();
    peers
}

/// A server's host and its clients'.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) server: Net,
    pub(crate) clients: Vec<Net>,
}

impl Network {
    /// Makes one server and so many clients, each with `sources` addresses of either family: 10.77.0.2 and `fd77::2`
    /// and on for the first, 10.78.0.2 and on for the second. A thousand local ports each, so that small counts need several
    /// addresses.
    pub(crate) fn new(clients: u8, sources: u8) -> Self {
        let mut network = Self { server: Net::new(), clients: Vec::new() };
        for n in 0..clients {
            let client = Net::new();
            network.join(&client, 77 + n, sources);
            client.sh("sysctl -qw net.ipv4.ip_local_port_range='40000 40999'");
            network.clients.push(client);
        }
        network
    }

    fn join(&self, client: &Net, net: u8, sources: u8) {
        let (server, link) = (&self.server, format!("to{net}"));
        server.sh(&format!("ip link add {link} type veth peer name wire netns {}", client.pid()));
        server.sh(&format!("ip address add 10.{net}.0.1/24 dev {link}"));
        server.sh(&format!("ip address add fd{net}::1/64 dev {link} nodad"));
        add_addresses(client, net, 2..2 + sources);
        server.sh(&format!("ip link set {link} up"));
        client.sh("ip link set wire up");
        if net != 77 {
            // The server answers to its first address from every side.
            client.sh(&format!("ip route add {SERVER} via 10.{net}.0.1"));
        }
    }

    /// The first client.
    pub(crate) fn client(&self) -> &Net {
        &self.clients[0]
    }
}
