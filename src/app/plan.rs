//! From the command line to what will be run: everything that can be wrong is found here, before anything starts.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::endpoint::Endpoint;
use super::parts;
use crate::cli::{AskArgs, CloseArg, PartArgs, Rate, RunArgs, Source, TrafficArgs};
use crate::engine::config::{ClientConfig, Common, ServerConfig, Share, TrafficConfig};
use crate::part::Part;
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
    /// The first port of the run; a part of it may have others.
    pub(super) port: u16,
    /// Which part of a larger run this is, and what that has of the whole, in a sentence.
    pub(super) part: Option<Part>,
    pub(super) part_note: Option<String>,
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

impl Plan {
    /// Whether a connection has both its ends on this machine.
    pub(super) fn both_ends(&self) -> bool {
        self.client.as_ref().is_some_and(|client| self.server.is_some() || client.target_ip.is_loopback())
    }
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
    let which = parts::of(&args.parts)?;
    let of_all = args.ramp.target_or_default();
    let target = parts::share(which, of_all, "--target")?;
    let rate = |rate: Option<u64>, option| rate.map(|whole| parts::share(which, whole, option)).transpose();
    let (rate, close_rate) = (rate(args.ramp.rate.0, "--rate")?, rate(args.close_rate.0, "--close-rate")?);
    let common = Common { port, ports, workers: args.engines.workers, target };
    let own = to.as_ref().map(|to| addresses(args, to, which, (port, ports))).transpose()?;
    let client = to.as_ref().zip(own.as_ref()).map(|(to, own)| ClientConfig {
        common: Common { port: own.ports.0, ports: own.ports.1, ..common.clone() },
        target_ip: to.ip,
        zone: to.zone,
        sources: own.sources.clone(),
        rate,
        greet: args.greet,
        persist: args.persist,
        traffic: traffic(&args.traffic).map(|t| TrafficConfig { wait: !args.no_wait, ..t }),
        share: which.map(|part| Share { part, whole: of_all }),
    });
    let aimed = (client.is_some() || args.ramp.target.is_some()).then_some((target, of_all));
    let part_note = which.map(|part| parts::describe(part, aimed, own.as_ref()));
    let server = args.server.then(|| ServerConfig {
        listen: match &to {
            Some(to) if args.listen.is_empty() && to.ip.is_loopback() => vec![to.ip],
            _ => unique(args.listen.clone()),
        },
        common: Common { target: aimed.map_or(0, |(target, _)| target), ..common },
    });
    let mut tune = args.tune.then(|| AskArgs::of_run(args));
    if let Some(ask) = &mut tune {
        ask.addresses.port = Some(port);
        // What is tuned for is this part's own.
        ask.parts = PartArgs::default();
        ask.ramp.target = args.ramp.target.map(|_| target);
        ask.ramp.rate = Rate(rate);
        let own = own.iter().flat_map(|own| &own.sources);
        ask.addresses.source = own.map(|ip| Source { ip: *ip, prefix: None }).collect();
    }
    Ok(Plan {
        server,
        client,
        port,
        part: which,
        part_note,
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
        close_rate,
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

/// From where and to which ports this part connects.
fn addresses(args: &RunArgs, to: &Endpoint, part: Option<Part>, ports: (u16, u16)) -> Result<parts::Addresses, String> {
    let sources = sources(&args.addresses.source)?;
    if let Some(other) = sources.iter().find(|ip| ip.is_ipv4() != to.ip.is_ipv4()) {
        return Err(format!("--source {other} is of another address family than the server's address {}", to.ip));
    }
    Ok(parts::addresses(part, sources, to.ip, ports))
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
    fn parts_of_a_run_add_up_to_it() {
        let line = "--client 10.0.0.1 --target 1000001 --rate 1000 --close-rate 50 --source 10.0.7.0/28 --active 20%";
        let parts: Vec<Plan> = (1..=7).map(|n| of(&format!("{line} --part {n}/7")).unwrap()).collect();
        let client = |plan: &Plan| plan.client.clone().unwrap();
        let sum = |of: fn(&ClientConfig) -> u64| parts.iter().map(|plan| of(&client(plan))).sum::<u64>();
        assert_eq!(sum(|client| client.common.target), 1_000_001);
        assert_eq!(sum(|client| client.rate.unwrap()), 1000);
        assert_eq!(parts.iter().map(|plan| plan.close_rate.unwrap()).sum::<u64>(), 50);
        let sources: Vec<IpAddr> = parts.iter().flat_map(|plan| client(plan).sources).collect();
        assert_eq!(sources, client(&of(line).unwrap()).sources, "each once, in order");
        // Each begins where the one before ends.
        let first: Vec<u64> = parts.iter().map(|plan| client(plan).share.unwrap().first()).collect();
        let ends = parts.iter().zip(&first).map(|(plan, first)| first + client(plan).common.target);
        assert_eq!(ends.collect::<Vec<_>>()[..6], first[1..]);
        let [two, three] = ["2/7", "3/7"].map(|n| of(&format!("{line} --part {n}")).unwrap().part_note.unwrap());
        assert_eq!(two, "This is part 2 of 7, from --part: 142,858 of 1,000,001 connections.");
        assert!(three.contains("142,857 of 1,000,001"), "{three}");
    }

    #[test]
    fn parts_that_share_a_source_divide_the_ports() {
        let part = |n: u32| of(&format!("--client 10.0.0.1 --source 10.0.7.1,10.0.7.2 --part {n}/5")).unwrap();
        let own = |n| part(n).client.map(|c| (c.sources[0].to_string(), c.common.port, c.common.ports)).unwrap();
        assert_eq!(own(1), ("10.0.7.1".into(), 9900, 34));
        assert_eq!(own(3), ("10.0.7.1".into(), 9967, 33));
        assert_eq!(own(4), ("10.0.7.2".into(), 9900, 50));
        let note = part(4).part_note.unwrap();
        assert!(note.ends_with("; 2 parts connect from 10.0.7.2, this one to ports 9900 to 9949."), "{note}");
        let server = of("--server --target 1001 --part 2/2").unwrap();
        let config = server.server.unwrap().common;
        assert_eq!((config.target, config.port, config.ports), (500, 9900, 100), "a server has all its ports");
        assert_eq!(of("--server --part 2/2").unwrap().part_note.unwrap(), "This is part 2 of 2, from --part.");
    }

    #[test]
    fn a_part_that_cannot_be_is_refused() {
        for (line, why) in [
            ("--client ::1 --part 0/5", "counted from 1 to 5"),
            ("--client ::1 --part 6/5", "counted from 1 to 5"),
            ("--client ::1 --part 2/0", "1 to 1000000 parts"),
            ("--client ::1 --part -1/2", "for example 2/5"),
            ("--client ::1 --part autos", "for example 2/5"),
            ("--client ::1 --part 1/5 --target 4", "--target 4 is less than one for each of 5 parts"),
            ("--client ::1 --part 1/5 --rate 4", "--rate 4 is less"),
            ("--client ::1 --part 1/5 --close-rate 4", "--close-rate 4 is less"),
            ("--client ::1 --part 1/5 --parts 5", "without --part auto"),
            ("--client ::1 --parts 5", "without --part auto"),
            ("--client ::1 --part auto --parts 0", "a number of parts"),
            ("--attach 1 --part 1/2", "with --attach"),
            ("--part 1/2", "when nothing is started"),
        ] {
            let text = of(line).map(|plan| plan.part).unwrap_err();
            assert!(text.contains(why) && !text.contains('\n'), "{line}: {text}");
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
