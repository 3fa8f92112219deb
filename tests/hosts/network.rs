//! Hosts made of network namespaces: a server's, and clients' that reach it over a veth pair each.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::support::{Run, skip};

/// The server's address, the same from every client.
pub(crate) const SERVER: &str = "10.77.0.1";

/// And its IPv6 address.
pub(crate) const SERVER_V6: &str = "fd77::1";

/// One host: a named network namespace, removed with its veth pair when dropped.
#[derive(Debug)]
pub(crate) struct Host {
    name: String,
}

impl Host {
    fn add(role: &str) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let host = Self { name: format!("c1mtop-{}-{}-{role}", std::process::id(), COUNT.fetch_add(1, Relaxed)) };
        ip(&format!("netns add {}", host.name))?;
        host.set("link set lo up");
        Ok(host)
    }

    fn ip(&self, arguments: &str) -> Result<String, String> {
        ip(&format!("-netns {} {arguments}", self.name))
    }

    /// Runs `ip` on this host; returns what it prints.
    pub(crate) fn set(&self, arguments: &str) -> String {
        self.ip(arguments).unwrap()
    }

    /// Gives a client further addresses, of either family.
    pub(crate) fn add_addresses(&self, net: u8, last: std::ops::Range<u8>) {
        for i in last {
            self.set(&format!("address add 10.{net}.0.{i}/24 dev wire"));
            self.set(&format!("address add fd{net}::{i}/64 dev wire nodad"));
        }
    }

    /// Sets a sysctl of this host, which must be one that belongs to a namespace.
    pub(crate) fn sysctl(&self, key: &str, value: &str) {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        let out = self.command(&["tee", &path], value);
        assert_eq!(out.trim(), value, "{key}");
    }

    /// What a command prints on this host, given this as its input.
    fn command(&self, words: &[&str], input: &str) -> String {
        let script = r#"printf %s "$0" | "$@""#;
        let out = Command::new("ip")
            .args(["netns", "exec", &self.name, "sh", "-c", script, input])
            .args(words)
            .output()
            .unwrap();
        assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    /// Starts the program on this host, with `--output json`.
    pub(crate) fn run(&self, options: &str) -> Run {
        self.run_under(&[], options)
    }

    /// As [`Host::run`], by way of a wrapper such as prlimit(1).
    pub(crate) fn run_under(&self, wrapper: &[&str], options: &str) -> Run {
        // `ip netns exec` becomes what it runs, so that the process id is the program's.
        Run::under(&[&["ip", "netns", "exec", &self.name], wrapper].concat(), options)
    }

    /// A field of the TCP lines of sockstat: `inuse` is of both families, `tw` is in the first alone.
    pub(crate) fn sockstat(&self, field: &str) -> u64 {
        let text = self.command(&["cat", "/proc/net/sockstat", "/proc/net/sockstat6"], "");
        let tcp = text.lines().filter(|l| l.starts_with("TCP:") || l.starts_with("TCP6:"));
        tcp.filter_map(|l| l.split_whitespace().skip_while(|w| *w != field).nth(1)?.parse::<u64>().ok()).sum()
    }

    /// Established connections by remote address, as this host's kernel lists them. For small counts.
    pub(crate) fn peers(&self) -> Vec<(String, u64)> {
        let text = self.command(&["ss", "-Htn", "state", "established"], "");
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
}

impl Drop for Host {
    fn drop(&mut self) {
        // Takes its end of the veth pair along, and with it the other.
        let _ = ip(&format!("netns delete {}", self.name));
    }
}

/// A server's host and its clients'.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) server: Host,
    pub(crate) clients: Vec<Host>,
}

impl Network {
    /// Makes one server and so many clients, each with `sources` addresses of either family: 10.77.0.2 and `fd77::2`
    /// and on for the first, 10.78.0.2 and on for the second. A thousand local ports each, so that small counts need several
    /// addresses. `None`, and a line that says why, where this may not be done.
    pub(crate) fn new(test: &str, clients: u8, sources: u8) -> Option<Self> {
        Self::make(clients, sources).map_err(|why| skip(test, &why)).ok()
    }

    fn make(clients: u8, sources: u8) -> Result<Self, String> {
        if c1m_top::sys::euid() != 0 {
            return Err("named network namespaces need root".to_owned());
        }
        let server = Host::add("server")?;
        let mut network = Self { server, clients: Vec::new() };
        for n in 0..clients {
            let client = Host::add("client")?;
            network.join(&client, 77 + n, sources)?;
            client.sysctl("net.ipv4.ip_local_port_range", "40000\t40999");
            network.clients.push(client);
        }
        Ok(network)
    }

    /// Only what privilege and kernel may refuse is an error; anything else that fails is a defect of the test.
    fn join(&self, client: &Host, net: u8, sources: u8) -> Result<(), String> {
        let (server, link) = (&self.server, format!("to{net}"));
        server.ip(&format!("link add {link} type veth peer name wire netns {}", client.name))?;
        server.set(&format!("address add 10.{net}.0.1/24 dev {link}"));
        server.set(&format!("address add fd{net}::1/64 dev {link} nodad"));
        client.add_addresses(net, 2..2 + sources);
        server.set(&format!("link set {link} up"));
        client.set("link set wire up");
        if net != 77 {
            // The server answers to its first address from every side.
            client.set(&format!("route add {SERVER} via 10.{net}.0.1"));
        }
        Ok(())
    }

    /// The first client.
    pub(crate) fn client(&self) -> &Host {
        &self.clients[0]
    }
}

fn ip(arguments: &str) -> Result<String, String> {
    let out = Command::new("ip").args(arguments.split_whitespace()).output().map_err(|e| format!("ip: {e}"))?;
    if out.status.success() {
        return String::from_utf8(out.stdout).map_err(|e| e.to_string());
    }
    Err(format!("ip {arguments}: {}", String::from_utf8_lossy(&out.stderr).trim()))
}
