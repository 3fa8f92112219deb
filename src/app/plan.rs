//! From the command line to what will be run: everything that can be wrong is found here, before anything starts.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::endpoint::Endpoint;
use crate::cli::{AskArgs, CloseArg, RunArgs, Source, TrafficArgs};
use crate::engine::config::{ClientConfig, Common, ServerConfig, TrafficConfig};
use crate::probe::Selector;
use crate::protocol::CloseMode;
use crate::units::{micros, whole};

/// Most sources a prefix may stand for.
const MOST_SOURCES: usize = 65_536;

/// Time between two samples where nothing else is said.
const INTERVAL: Duration = Duration::from_secs(1);

/// What will be run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) server: Option<ServerConfig>,
    pub(super) client: Option<ClientConfig>,
    /// What the client's host name was taken for.
    pub(super) endpoint_note: Option<String>,
    #[expect(clippy::option_option, reason = "without a value the user chooses from a list")]
    pub(super) attach: Option<Option<Selector>>,
    /// Not what the attached processes have started.
    pub(super) only: bool,
    /// Connections that the attached server allows itself.
    pub(super) app_limit: Option<u64>,
    /// What sysctls are to be set for, but for the target, which memory may lower; `None` sets none.
    pub(super) tune: Option<AskArgs>,
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
    let ports = args.addresses.ports_or_default();
    let to = args.client.as_ref().map(|words| Endpoint::read(words, args.allow_public)).transpose();
    let to = to.map_err(|e| format!("--client: {e}"))?;
    let port = match (args.addresses.port, to.as_ref().and_then(|to| to.port)) {
        (Some(a), Some(b)) if a != b => {
            return Err(format!("--port {a} and the client's port {b} differ: name one of them"));
        }
        (_, Some(port)) => port,
        (_, None) => args.addresses.port_or_default(),
    };
    check_ports(port, ports)?;
    let target = args.ramp.target_or_default();
    let common = Common { port, ports, workers: args.engines.workers, target };
    let client = to.as_ref().map(|to| client(args, to, common.clone())).transpose()?;
    let server = args.server.then(|| ServerConfig {
        listen: match &to {
            Some(to) if args.listen.is_empty() && to.ip.is_loopback() => vec![to.ip],
            _ => unique(args.listen.clone()),
        },
        common: Common { target: if client.is_some() { target } else { args.ramp.target.unwrap_or(0) }, ..common },
    });
    let mut tune = args.tune.then(|| AskArgs::of_run(args));
    if let Some(ask) = &mut tune {
        ask.addresses.port = Some(port);
    }
    Ok(Plan {
        server,
        client,
        endpoint_note: to.and_then(|to| to.note),
        attach: args.attach.clone(),
        only: args.only,
        app_limit: args.app_limit,
        tune,
        target_given: args.ramp.target.is_some(),
        guard: !args.ramp.no_guard,
        guard_per_mille: u32::try_from(whole((args.ramp.guard * 10.0).round())).unwrap_or(1000),
        hold: args.hold,
        duration: args.duration,
        interval: args.interval.unwrap_or(INTERVAL),
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
pub(super) fn traffic(args: &TrafficArgs) -> Option<TrafficConfig> {
    let percent = args.active.filter(|percent| *percent > 0.0)?;
    let every_us = micros(args.every);
    Some(TrafficConfig { share: percent / 100.0, message: args.message, every_us, wait: true })
}

fn client(args: &RunArgs, to: &Endpoint, common: Common) -> Result<ClientConfig, String> {
    let sources = sources(&args.addresses.source)?;
    if let Some(other) = sources.iter().find(|ip| ip.is_ipv4() != to.ip.is_ipv4()) {
        return Err(format!("--source {other} is of another address family than the target {}", to.ip));
    }
    Ok(ClientConfig {
        common,
        target_ip: to.ip,
        zone: to.zone,
        sources,
        rate: args.ramp.rate.0,
        greet: args.greet,
        persist: args.persist,
        traffic: traffic(&args.traffic).map(|t| TrafficConfig { wait: !args.no_wait, ..t }),
    })
}

/// The addresses that the values of `--source` stand for, each once.
pub(super) fn sources(named: &[Source]) -> Result<Vec<IpAddr>, String> {
    let mut all = Vec::new();
    for source in named {
        expand(*source, &mut all)?;
    }
    Ok(unique(all))
}

/// Each address once, where it stood first.
fn unique(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut seen = HashSet::new();
    addresses.retain(|ip| seen.insert(*ip));
    addresses
}

/// The addresses a `--source` stands for: of an IPv4 subnet without its network and broadcast address.
fn expand(source: Source, out: &mut Vec<IpAddr>) -> Result<(), String> {
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
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(n).unwrap_or(u32::MAX))),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(n)),
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Unread};

    fn of(line: &str) -> Result<Plan, String> {
        match Cli::read(format!("c1m-top {line}").split_whitespace()) {
            Ok(cli) => plan(&cli.run),
            Err(Unread::Wrong(text)) => Err(text),
            Err(Unread::Asked(e)) => panic!("{line}: {e}"),
        }
    }

    #[test]
    fn bad_input_is_one_line_that_says_what_to_do() {
        for (line, part) in [
            ("--server --port 65500", "beyond 65535"),
            ("--client 127.0.0.1 9900 --port 9901", "differ"),
            ("--client 127.0.0.1:9900 --port 9901", "differ"),
            ("--client 127.0.0.1 --source ::1", "another address family"),
            ("--client 127.0.0.1 --source 10.0.0.0/8", "longer prefix"),
        ] {
            let text = of(line).unwrap_err();
            assert!(text.contains(part) && !text.contains('\n'), "{line}: {text}");
        }
    }

    #[test]
    fn a_run_is_tuned_for_its_own_port() {
        let ask = of("--server --client 127.0.0.1:9950 --tune").unwrap().tune.unwrap();
        assert_eq!(ask.addresses.port, Some(9950));
        assert!(of("--server").unwrap().tune.is_none());
    }

    #[test]
    fn the_server_of_a_loopback_run_listens_there_alone() {
        let server = |line: &str| of(line).unwrap().server.unwrap();
        assert_eq!(server("--server --client 127.0.0.1 9900").listen, ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert!(server("--server").listen.is_empty());
        assert!(server("--server --client 10.0.0.1").listen.is_empty());
        assert_eq!(server("--server --listen 127.0.0.9,127.0.0.9,::ffff:127.0.0.9").listen.len(), 1, "named thrice");
        assert_eq!(server("--server").common.target, 0, "a server alone aims at nothing");
    }

    #[test]
    fn a_prefix_is_its_hosts() {
        let sources = |s: &str| of(&format!("--client {s}")).unwrap().client.unwrap().sources;
        assert_eq!(sources("10.0.0.9 --source 10.0.0.0/29").len(), 6);
        assert_eq!(sources("10.0.0.9 --source 10.0.0.1,10.0.0.2")[1].to_string(), "10.0.0.2");
        assert_eq!(
            sources("10.0.0.9 --source 10.0.0.2,10.0.0.0/30,10.0.0.1 --source 10.0.0.2").len(),
            2,
            "named twice"
        );
        assert_eq!(sources("127.0.0.1 --source 127.0.0.0/30").len(), 3, "127.0.0.0 itself cannot be used");
        assert_eq!(sources("127.0.0.1 --source 127.0.7.0/30").len(), 4);
        assert_eq!(sources("fd00::9 --source fd00::/126").len(), 4);
    }
}
