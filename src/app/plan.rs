//! From the command line to what will be run: everything that can be wrong is found here, before anything starts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::cli::{CloseArg, RunArgs, Source};
use crate::engine::config::{ClientConfig, Common, ServerConfig, TrafficConfig};
use crate::protocol::CloseMode;

/// Port of a run that names none.
pub(super) const PORT: u16 = 9900;

/// Most sources a prefix may stand for.
const MOST_SOURCES: usize = 65_536;

/// Target of a run that names none, before the machine's memory is looked at.
pub(super) const TARGET: u64 = 1_000_000;

/// What will be run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) server: Option<ServerConfig>,
    pub(super) client: Option<ClientConfig>,
    pub(super) attach: Option<u32>,
    /// The target was named on the command line.
    pub(super) target_given: bool,
    pub(super) guard: bool,
    /// Share of a limit up to which the guard lets the ramp go, in thousandths.
    pub(super) guard_per_mille: u32,
    pub(super) hold: Option<Duration>,
    pub(super) duration: Option<Duration>,
    pub(super) interval: Duration,
    pub(super) close: CloseMode,
    pub(super) close_rate: Option<u64>,
}

/// Checks and joins the options.
///
/// # Errors
/// One line: what is wrong, where, what to do.
pub(super) fn plan(args: &RunArgs) -> Result<Plan, String> {
    if args.interval < Duration::from_millis(100) {
        return Err(format!(
            "--interval {:?} is under 100ms: sampling that often would cost what it measures; use 100ms or more",
            args.interval
        ));
    }
    if args.target == Some(0) {
        return Err("--target 0 opens nothing; write a count such as 200k or 1m".into());
    }
    if args.guard < 1.0 {
        return Err("--guard under 1% lets nothing be opened; write a share such as 90%, or --no-guard".into());
    }
    let target_ip = args.client.as_ref().map(|c| parse_ip(&c[0], args.allow_public)).transpose()?;
    let client_port = match args.client.as_deref() {
        Some([_, port]) => Some(parse_port(port)?),
        _ => None,
    };
    let port = match (args.port, client_port) {
        (Some(a), Some(b)) if a != b => {
            return Err(format!("--port {a} and the client's port {b} differ: name one of them"));
        }
        (a, b) => a.or(b).unwrap_or(PORT),
    };
    check_ports(port, args.ports)?;
    let common = Common { port, ports: args.ports, workers: args.workers, target: args.target.unwrap_or(TARGET) };
    let client = target_ip.map(|ip| client(args, ip, common.clone())).transpose()?;
    let server = args.server.then(|| ServerConfig {
        listen: match target_ip {
            Some(ip) if args.listen.is_empty() && ip.is_loopback() => vec![ip],
            _ => args.listen.clone(),
        },
        common: Common { target: if client.is_some() { common.target } else { args.target.unwrap_or(0) }, ..common },
    });
    Ok(Plan {
        server,
        client,
        attach: args.attach,
        target_given: args.target.is_some(),
        guard: !args.no_guard,
        guard_per_mille: (args.guard * 10.0).round() as u32,
        hold: args.hold,
        duration: args.duration,
        interval: args.interval,
        close: match args.close {
            CloseArg::Rst => CloseMode::Rst,
            CloseArg::Fin => CloseMode::Fin,
        },
        close_rate: args.close_rate.0,
    })
}

/// Consecutive ports that exist.
pub(super) fn check_ports(port: u16, ports: u16) -> Result<(), String> {
    let last = u32::from(port) + u32::from(ports) - 1;
    if last > 65_535 {
        return Err(format!("ports {port} to {last} (--ports {ports}) end beyond 65535: start lower or use fewer"));
    }
    Ok(())
}

/// Messages on a share of the connections.
pub(super) fn traffic(active: Option<f64>, message: u64, every: Duration) -> Result<Option<TrafficConfig>, String> {
    let Some(percent) = active.filter(|percent| *percent > 0.0) else { return Ok(None) };
    if message == 0 {
        return Err("--message 0 sends nothing; write a size such as 64 or 1KiB".into());
    }
    if every < Duration::from_millis(1) {
        return Err("--every is under 1ms; write a time such as 1s".into());
    }
    Ok(Some(TrafficConfig { share: percent / 100.0, message, every_us: every.as_micros() as u64, wait: true }))
}

fn client(args: &RunArgs, target_ip: IpAddr, common: Common) -> Result<ClientConfig, String> {
    let traffic = traffic(args.active, args.message, args.every)?;
    let traffic = traffic.map(|t| TrafficConfig { wait: !args.no_wait, ..t });
    let mut sources = Vec::new();
    for source in &args.source {
        expand(*source, &mut sources)?;
    }
    if let Some(other) = sources.iter().find(|ip| ip.is_ipv4() != target_ip.is_ipv4()) {
        return Err(format!("--source {other} is of another family than the target {target_ip}"));
    }
    Ok(ClientConfig { common, target_ip, sources, rate: args.rate.0, greet: args.greet, traffic })
}

fn parse_port(text: &str) -> Result<u16, String> {
    match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("'{text}' is not a port; write a number from 1 to 65535")),
    }
}

/// An address that this program may load.
fn parse_ip(text: &str, allow_public: bool) -> Result<IpAddr, String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let ip = bare
        .parse::<IpAddr>()
        .map_err(|_| match text.parse::<SocketAddr>() {
            Ok(at) => format!("'{text}' joins address and port; write --client {} {}", at.ip(), at.port()),
            Err(_) => format!("'{text}' is not an IP address; write for example --client 127.0.0.1 9900"),
        })?
        .to_canonical();
    if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err(format!("{ip} is not the address of one host"));
    }
    if !allow_public && !is_near(ip) {
        return Err(format!(
            "{ip} is a public address and this is a load generator: a million connections to a host that is not yours is an attack; if it is yours, add --allow-public"
        ));
    }
    Ok(ip)
}

/// Loopback, private, link-local or unique-local (RFC 1122, 1918, 3927, 4193, 4291).
fn is_near(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// The addresses a `--source` stands for: of an IPv4 subnet without its network and broadcast address.
pub(super) fn expand(source: Source, out: &mut Vec<IpAddr>) -> Result<(), String> {
    let Some(prefix) = source.prefix else {
        out.push(source.ip);
        return Ok(());
    };
    let (bits, value) = match source.ip {
        IpAddr::V4(ip) => (32, u128::from(ip.to_bits())),
        IpAddr::V6(ip) => (128, ip.to_bits()),
    };
    let host_bits = u32::from(bits - prefix);
    if host_bits > 16 {
        return Err(format!(
            "--source {}/{prefix} stands for more than {MOST_SOURCES} addresses; use a longer prefix",
            source.ip
        ));
    }
    let size = 1u128 << host_bits;
    let first = value & !(size - 1);
    let subnet = source.ip.is_ipv4() && !source.ip.is_loopback() && host_bits > 1;
    // 127.0.0.0 is the network's own address and cannot be bound to.
    let net_loopback = first == u128::from(Ipv4Addr::new(127, 0, 0, 0).to_bits()) && source.ip.is_ipv4() && size > 1;
    let (skip, take) = if subnet { (1, size - 2) } else { (u128::from(net_loopback), size) };
    out.extend((first + skip..first + size).take(take as usize).map(|n| match source.ip {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(n as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(n)),
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn of(line: &str) -> Result<Plan, String> {
        plan(&Cli::try_parse_from(format!("c1m-top {line}").split_whitespace()).unwrap().run)
    }

    #[test]
    fn bad_input_is_one_line_that_says_what_to_do() {
        for (line, part) in [
            ("--interval 50ms", "--interval 50ms"),
            ("--server --target 0", "--target 0"),
            ("--server --guard 0%", "--guard"),
            ("--server --port 65500", "beyond 65535"),
            ("--client 127.0.0.1 9900 --port 9901", "differ"),
            ("--client 127.0.0.1 0", "not a port"),
            ("--client 127.0.0.1:9900", "--client 127.0.0.1 9900"),
            ("--client localhost", "not an IP address"),
            ("--client 8.8.8.8", "--allow-public"),
            ("--client 2001:4860::1", "--allow-public"),
            ("--client ::ffff:8.8.8.8", "--allow-public"),
            ("--client 0.0.0.0", "not the address of one host"),
            ("--client 224.0.0.1", "not the address of one host"),
            ("--client 127.0.0.1 --source ::1", "another family"),
            ("--client 127.0.0.1 --source 10.0.0.0/8", "longer prefix"),
            ("--client 127.0.0.1 --active 5% --message 0", "--message 0"),
            ("--client 127.0.0.1 --active 5% --every 10us", "--every"),
        ] {
            let text = of(line).unwrap_err();
            assert!(text.contains(part) && !text.contains('\n'), "{line}: {text}");
        }
    }

    #[test]
    fn near_addresses_need_no_flag() {
        for ip in ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.1.1", "::1", "[fd00::1]", "fe80::1"] {
            assert!(of(&format!("--client {ip} 9900")).is_ok(), "{ip}");
        }
        assert!(of("--client 8.8.8.8 --allow-public").is_ok());
    }

    #[test]
    fn the_server_of_a_loopback_run_listens_there_alone() {
        let server = |line: &str| of(line).unwrap().server.unwrap();
        assert_eq!(server("--server --client 127.0.0.1 9900").listen, ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert!(server("--server").listen.is_empty());
        assert!(server("--server --client 10.0.0.1").listen.is_empty());
        assert_eq!(server("--server --listen 127.0.0.9").listen.len(), 1);
        assert_eq!(server("--server").common.target, 0, "a server alone aims at nothing");
    }

    #[test]
    fn a_prefix_is_its_hosts() {
        let sources = |s: &str| of(&format!("--client {s}")).unwrap().client.unwrap().sources;
        assert_eq!(sources("10.0.0.9 --source 10.0.0.0/29").len(), 6);
        assert_eq!(sources("10.0.0.9 --source 10.0.0.1,10.0.0.2")[1].to_string(), "10.0.0.2");
        assert_eq!(sources("127.0.0.1 --source 127.0.0.0/30").len(), 3, "127.0.0.0 itself cannot be used");
        assert_eq!(sources("127.0.0.1 --source 127.0.7.0/30").len(), 4);
        assert_eq!(sources("fd00::9 --source fd00::/126").len(), 4);
    }
}
