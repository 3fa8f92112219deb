//! Local ports: the connections that the client's addresses allow.

use crate::sample::PortRange;

use super::prelude::*;
use crate::units::whole;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "ports",
    label: "local ports",
    unit: Unit::Count,
    help: "Connections the client's addresses allow: source addresses × destination ports × local ports. When all are used, connect fails with EADDRNOTAVAIL.",
    sources: "the client's own count; ip_local_port_range, ip_local_reserved_ports",
    sysctls: &[KEY],
    stops_run: true,
    errnos: &[("", "EADDRNOTAVAIL"), ("connect", "EADDRINUSE"), ("bind", "EADDRINUSE")],
    read,
    need,
    phrase: |_| "the local ports towards these destinations".to_owned(),
    ..PLAIN
};

const ID: LimitId = LimitId::Ports;
const KEY: &str = "net.ipv4.ip_local_port_range";

/// A range is not widened below this port: services listen there, and one that is restarted finds its port taken.
const LOWEST: u64 = 10_000;

/// Tuples the client's plan allows; used by open connections, those under way, and TIME_WAIT.
fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let net = &context.sample.kernel.net;
    let Some(client) = context.sample.engine(Role::Client) else {
        return out.push(Meter::not_applicable(ID, "client", "applies to the client: there is none here"));
    };
    let Some(planned) = client.capacity else {
        return out.push(Meter::without(ID, "client", LimitState::Unknown, "the client has not planned its addresses yet"));
    };
    // The plan was made from the range as it was then; a range that has been changed since holds for every connect to come.
    let capacity = match (&net.ports, context.noted.ports) {
        (Ok(now), Some(then)) if then > 0 => whole(planned as f64 * now.usable() as f64 / then as f64),
        _ => planned,
    };
    let time_wait = net.sockstat.as_ref().map_or(0, |s| s.tw);
    let wide = net.ports.as_ref().is_ok_and(|p| p.low <= 1024 && p.high == u16::MAX);
    // A connect that finds no port is under way for a moment and takes none.
    let used = (client.open + client.in_flight + time_wait).min(capacity);
    let hello = context.sample.engines.iter().map(|e| &e.hello).find(|h| h.role == Role::Client);
    let (first, ports) = hello.map_or((0, 1), |h| (u64::from(h.port), u64::from(h.ports)));
    let mut meter = Meter::growing(ID, "client", used, capacity, 8.0).levels(0.95, 0.99).cured(move |need| {
        let more = (need.saturating_mul(ports)).div_ceil(capacity.max(1));
        let more = (first + more <= 1 << 16).then(|| Remedy::option(format!("--ports {more} (on the server as well)")));
        let sources = Remedy::option("more addresses to connect from (--source)");
        let range = (!wide).then(|| Remedy::sysctl(KEY, "1024 65535"));
        Cure([more, Some(sources), range].into_iter().flatten().collect())
    });
    meter.planned = true;
    meter.progress = Some(((client.open + time_wait) as f64, capacity as f64));
    out.push(meter);
}

fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    let ask = given.ask;
    if !ask.connects() {
        return out.push(Need::not_applicable(ID, "applies to the client: check on its machine"));
    }
    let Some(addresses) = ask.addresses else {
        return out.push(Need::without(ID, Verdict::Unknown, "the range of local ports cannot be read"));
    };
    let capacity = addresses.pairs().saturating_mul(addresses.per_pair);
    let needed = ask.target.div_ceil(addresses.pairs());
    let need = Need::compare(ID, "client", capacity, ask.target).met_at(capacity).because(format!(
        "{} source{} x {} port{} x {} local ports",
        grouped(addresses.sources),
        plural(addresses.sources),
        grouped(addresses.ports),
        plural(addresses.ports),
        grouped(addresses.per_pair)
    ));
    let need = need.cured(|| {
        let ports = ask.target.div_ceil(addresses.sources * addresses.per_pair.max(1));
        let sources = ask.target.div_ceil(addresses.ports * addresses.per_pair.max(1));
        let ports = Remedy::option(format!("--ports {} (on the server as well)", grouped(ports)));
        let sources = Remedy::advice(Level::Host, format!("{} source addresses (--source)", grouped(sources)));
        let range = given.kernel.net.ports.as_ref().ok();
        let wider = range.and_then(|range| widen(*range, needed, ask.port, ask.ports)).map(|to| Remedy::sysctl(KEY, to));
        Cure([Some(ports), Some(sources), wider].into_iter().flatten().collect())
    });
    out.push(Need { of_what: " connections", ..need });
}

fn plural(n: u64) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// The range with so many ports for each pair that leaves the destination ports and everything low alone; `None` where
/// there is none.
fn widen(range: PortRange, needed: u64, first: u16, ports: u16) -> Option<String> {
    let behind = u64::from(first) + u64::from(ports);
    let present = u64::from(range.low);
    // IPv4 refuses 65536 as the upper end.
    let needed = 65_536_u64.checked_sub(needed + u64::from(range.reserved))?;
    let (low, lowest) = if needed >= present {
        // The upper end alone is too low.
        (present, behind)
    } else {
        let lowest = LOWEST.max(behind);
        (if needed > lowest { (needed / 1000 * 1000).max(lowest) } else { needed }, lowest)
    };
    (low >= lowest && (low < present || range.high < u16::MAX)).then(|| format!("{low} 65535"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_widened_no_further_than_needed_and_away_from_services() {
        let range = PortRange { low: 32_768, high: 60_999, reserved: 0 };
        for (needed, first, ports, want) in [
            (30_000, 9900, 100, Some("32768 65535")),
            (50_000, 9900, 1, Some("15000 65535")),
            (55_536, 9900, 100, Some("10000 65535")),
            (55_537, 9900, 100, None),
            (64_000, 9900, 1, None),
            (50_000, 12_000, 1000, Some("15000 65535")),
            (53_000, 12_000, 1000, None),
            (30_000, 60_000, 100, None),
        ] {
            assert_eq!(widen(range, needed, first, ports).as_deref(), want, "{needed} {first}");
        }
        assert_eq!(widen(PortRange { reserved: 1000, ..range }, 30_000, 9900, 1).as_deref(), Some("32768 65535"));
    }
}
