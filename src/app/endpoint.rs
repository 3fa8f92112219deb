//! Where the client connects to, as people write it: an address or a host name, a port, a zone. Nothing but what this program
//! may load comes through.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;

use crate::cli;

/// One host, and the port where it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) ip: IpAddr,
    /// Index of the interface, of an IPv6 address that means something on one link alone; 0 for none.
    pub(super) zone: u32,
    pub(super) port: Option<u16>,
    /// What a host name was taken for, one sentence.
    pub(super) note: Option<String>,
}

impl Endpoint {
    /// Reads the one or two words after `--client`. A host name is looked up.
    ///
    /// # Errors
    /// One line: what is wrong, what to do.
    pub(super) fn read(words: &[String], allow_public: bool) -> Result<Self, String> {
        let (first, second) = (words.first().map_or("", String::as_str), words.get(1));
        let (host, joined) = split(first)?;
        let second = second.map(|port| cli::port(port)).transpose()?;
        let port = match (joined, second) {
            (Some(a), Some(b)) if a != b => {
                return Err(format!("{first} and the port {b} behind it differ; name one of them"));
            }
            (a, b) => a.or(b),
        };
        let found = addresses(host)?;
        for at in &found {
            permit(at.ip(), host, allow_public)?;
        }
        let Some(first) = found.first() else { return Err(format!("'{host}' has no address")) };
        let (ip, zone) = match first {
            SocketAddr::V4(at) => (IpAddr::V4(*at.ip()), 0),
            SocketAddr::V6(at) => (IpAddr::V6(*at.ip()).to_canonical(), at.scope_id()),
        };
        let of = if found.len() > 1 { format!(", the first of its {} addresses", found.len()) } else { String::new() };
        let note = literal(host).is_none().then(|| format!("The client connects to {ip}: {host}{of}."));
        Ok(Self { ip, zone, port, note })
    }
}

/// Takes the port off: `host:9900`, `[::1]:9900`.
fn split(text: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, after)) if after.starts_with(':') => (host, Some(&after[1..])),
            _ => return Err(unreadable(text)),
        },
        // Several colons are an IPv6 address.
        None if text.matches(':').count() == 1 => text.split_once(':').map_or((text, None), |(h, p)| (h, Some(p))),
        None => (text, None),
    };
    Ok((host, port.map(cli::port).transpose()?))
}

fn unreadable(text: &str) -> String {
    format!("'{text}' is not an address or a host name; write for example --client 127.0.0.1 9900")
}

/// An address that needs no look-up.
fn literal(host: &str) -> Option<IpAddr> {
    host.split('%').next().unwrap_or(host).parse().ok()
}

/// The addresses of a host, best first, as getaddrinfo(3) orders them.
fn addresses(host: &str) -> Result<Vec<SocketAddr>, String> {
    if let (Some(ip), None) = (literal(host), host.split_once('%')) {
        return Ok(vec![SocketAddr::new(ip.to_canonical(), 0)]);
    }
    let zone = host.split_once('%').map(|(_, zone)| zone).filter(|_| literal(host).is_some_and(|ip| ip.is_ipv6()));
    // The resolver takes 127.0.0.256 for a name, and asks the network for it.
    let number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    let is_name = |host: &str| {
        let letters = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_') || b >= 0x80);
        letters && !host.is_empty() && !host.trim_end_matches('.').rsplit('.').next().is_none_or(number)
    };
    if zone.is_none() && !is_name(host) {
        return Err(unreadable(host));
    }
    let here = |path: &str| Path::new(path).exists();
    // This machine, whatever a resolver says (RFC 6761). Without the file musl's asks a name server, for five seconds.
    if host.eq_ignore_ascii_case("localhost") && !here("/etc/hosts") {
        return Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))]);
    }
    let looked_up = (host, 0).to_socket_addrs().map(Iterator::collect);
    looked_up.map_err(|e| {
        if let Some(zone) = zone {
            return format!("'{host}' names the interface {zone}, which is not here (see: ip link)");
        }
        let why = e.to_string();
        let why = why.trim_start_matches("failed to lookup address information: ");
        let of = if here("/etc/resolv.conf") { "" } else { " (there is no /etc/resolv.conf here)" };
        format!("the host name {host} has no address: {why}{of}; write another name, or an address")
    })
}

/// Whether this program may load an address of `host`.
fn permit(ip: IpAddr, host: &str, allow_public: bool) -> Result<(), String> {
    let ip = ip.to_canonical();
    let shown = if literal(host).is_some() { ip.to_string() } else { format!("{ip} ({host})") };
    if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err(format!("{shown} is not the address of one host; write for example --client 127.0.0.1 9900"));
    }
    if matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()) && !host.contains('%') {
        return Err(format!("{shown} is link-local; name the interface: --client {ip}%eth0"));
    }
    if !allow_public && !is_near(ip) {
        return Err(format!(
            "{shown} is a public address and this is a load generator: a million connections to a host that is not yours is an attack; if it is yours, add --allow-public"
        ));
    }
    Ok(())
}

/// Loopback, private, link-local or unique-local (RFC 1122, 1918, 3927, 4193, 4291).
fn is_near(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Endpoint, String> {
        Endpoint::read(&line.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>(), false)
    }

    #[test]
    fn addresses_and_ports_as_people_write_them() {
        for (line, ip, port) in [
            ("127.0.0.1", "127.0.0.1", None),
            ("10.1.2.3 9900", "10.1.2.3", Some(9900)),
            ("10.1.2.3:9900", "10.1.2.3", Some(9900)),
            ("10.1.2.3:9900 9900", "10.1.2.3", Some(9900)),
            ("::1 9900", "::1", Some(9900)),
            ("[::1]", "::1", None),
            ("[fd00::1]:9900", "fd00::1", Some(9900)),
            ("::ffff:10.0.0.1", "10.0.0.1", None),
            ("172.16.0.1", "172.16.0.1", None),
            ("192.168.1.1", "192.168.1.1", None),
            ("169.254.1.1", "169.254.1.1", None),
        ] {
            let found = read(line).unwrap();
            assert_eq!(
                (found.ip.to_string().as_str(), found.port, found.zone, found.note),
                (ip, port, 0, None),
                "{line}"
            );
        }
    }

    #[test]
    fn a_zone_is_an_interface_of_this_machine() {
        // `lo` is the first interface of every network namespace.
        for line in ["fe80::1%lo 9900", "[fe80::1%lo]:9900", "fe80::1%1 9900"] {
            let found = read(line).unwrap();
            assert_eq!((found.zone, found.port, found.note), (1, Some(9900), None), "{line}");
        }
        assert!(read("fe80::1%nowhere0").unwrap_err().contains("the interface nowhere0"));
        assert!(read("fe80::1").unwrap_err().contains("name the interface"));
    }

    #[test]
    fn a_host_name_is_taken_by_its_first_address_and_said() {
        let found = read("localhost:9900").unwrap();
        assert!(found.ip.is_loopback() && found.port == Some(9900), "{found:?}");
        assert!(found.note.unwrap().contains(": localhost"));
    }

    #[test]
    fn what_cannot_be_is_one_line() {
        for (line, part) in [
            ("127.0.0.256 9900", "'127.0.0.256' is not an address or a host name"),
            ("127.0.0.1 0", "'0' is not a port"),
            ("127.0.0.1:zzz", "'zzz' is not a port"),
            ("127.0.0.1:9900 9901", "differ"),
            ("[::1", "not an address"),
            ("[::1]9900", "not an address"),
            ("[::1%nowhere0]:1", "the interface nowhere0"),
            ("a/b", "not an address"),
            (":9900", "not an address"),
            ("8.8.8.8", "--allow-public"),
            ("2001:4860::1", "--allow-public"),
            ("::ffff:8.8.8.8", "--allow-public"),
            ("0.0.0.0", "not the address of one host"),
            ("224.0.0.1", "not the address of one host"),
        ] {
            let text = read(line).unwrap_err();
            assert!(text.contains(part) && !text.contains('\n'), "{line}: {text}");
        }
        assert!(Endpoint::read(&["8.8.8.8".to_owned()], true).is_ok());
    }
}
