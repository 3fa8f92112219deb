//! Local ports of the client.

use crate::advise::Verdict;
use crate::advise::row::{Row, Setting};
use crate::sample::PortRange;
use crate::units::grouped;

use super::Given;

/// A range is not widened below this port: services listen there, and one that is restarted finds its port taken.
const LOWEST: u64 = 10_000;

pub(super) fn row(given: &Given<'_>) -> Row {
    let ask = given.ask;
    if !ask.connects() {
        return Row::na("ports", "bounds who connects: check on the client's machine");
    }
    let Some(addresses) = ask.addresses else {
        return Row::without("ports", Verdict::Unknown, "the range of local ports cannot be read");
    };
    let capacity = addresses.pairs().saturating_mul(addresses.per_pair);
    let needed = ask.target.div_ceil(addresses.pairs());
    let wider = given.kernel.net.ports.as_ref().ok().and_then(|range| widen(*range, needed, ask.port, ask.ports));
    let row = Row::held("ports", "client", capacity, ask.target).met_at(capacity).because(format!(
        "{} source{} x {} port{} x {} local ports",
        grouped(addresses.sources),
        plural(addresses.sources),
        grouped(addresses.ports),
        plural(addresses.ports),
        grouped(addresses.per_pair)
    ));
    let more = || {
        let ports = ask.target.div_ceil(addresses.sources * addresses.per_pair.max(1));
        let sources = ask.target.div_ceil(addresses.ports * addresses.per_pair.max(1));
        format!("--ports {} (the server too), or {} source addresses (--source)", grouped(ports), grouped(sources))
    };
    match wider {
        Some(to) => {
            let setting = Setting::Sysctl { key: "net.ipv4.ip_local_port_range", to };
            let command = setting.command();
            row.cured(|| format!("{}; or {command}", more())).set(|| setting)
        }
        None => row.cured(more),
    }
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
