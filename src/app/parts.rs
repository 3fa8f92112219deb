//! What of a run's options is this part's own.

use std::net::IpAddr;

use crate::cli::{PartArg, PartArgs};
use crate::part::Part;
use crate::units::grouped;

/// Which part of a run this is; `None` is all of it.
///
/// # Errors
/// One line: `auto`, and no launcher says which.
pub(super) fn of(args: &PartArgs) -> Result<Option<Part>, String> {
    let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    match args.part {
        None => Ok(None),
        Some(PartArg::Named(part)) => Ok(Some(part)),
        Some(PartArg::Auto) => Part::of_launcher(args.parts, variable).map(Some),
    }
}

/// A part's share of what an option says, one at least.
///
/// # Errors
/// One line: there is not one for each part.
pub(super) fn share(part: Option<Part>, whole: u64, option: &str) -> Result<u64, String> {
    let Some(part) = part else { return Ok(whole) };
    if whole < u64::from(part.of) {
        let whole = grouped(whole);
        return Err(format!(
            "{option} {whole} is less than one for each of {} parts: raise it, or use fewer parts",
            part.of
        ));
    }
    Ok(part.share(whole))
}

/// From where and to which ports a part connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Addresses {
    /// Its source addresses; empty leaves the choice to the kernel.
    pub(super) sources: Vec<IpAddr>,
    /// The first of its destination ports, and how many.
    pub(super) ports: (u16, u16),
    /// Where other parts connect from the same source: its place among them.
    pub(super) shared: Option<Part>,
}

/// Divides sources among the parts. Parts that have to share one, because there are fewer, divide the destination ports: a
/// source address is of one host, so that they are neighbours, and no two of them want the same pair of ports. (Where there are
/// fewer ports as well, the kernel keeps them apart.) Without `--source` each host has its own addresses, and nothing is
/// divided.
pub(super) fn addresses(which: Option<Part>, sources: Vec<IpAddr>, to: IpAddr, (port, ports): (u16, u16)) -> Addresses {
    let Some(which) = which else { return Addresses { sources, ports: (port, ports), shared: None } };
    let (own, shared) = if sources.is_empty() && to.is_ipv6() && to.is_loopback() {
        // There is one address on that host for all of them.
        (Vec::new(), (which.of > 1).then_some(which))
    } else {
        which.of_list(&sources)
    };
    let list: Vec<u16> = (port..=port.saturating_add(ports.saturating_sub(1))).collect();
    let list = shared.map_or_else(|| list.clone(), |place| place.of_list(&list).0);
    let ports = (list.first().copied().unwrap_or(port), u16::try_from(list.len()).unwrap_or(ports));
    Addresses { sources: own, ports, shared }
}

/// For people: which part it is, and what it takes of the whole.
pub(super) fn describe(part: Part, target: Option<(u64, u64)>, addresses: Option<&Addresses>) -> String {
    let of =
        target.map_or(String::new(), |(own, whole)| format!(": {} of {} connections", grouped(own), grouped(whole)));
    let shared = addresses.and_then(|own| Some((own, own.shared?))).map_or(String::new(), |(own, place)| {
        let from = own.sources.first().map_or(String::new(), |ip| format!(" from {ip}"));
        let (first, last) = (own.ports.0, u32::from(own.ports.0) + u32::from(own.ports.1) - 1);
        format!("; {} parts connect{from}, this one to ports {first} to {last}", place.of)
    });
    format!("This is {part}, from {}{of}{shared}.", part.from.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::Origin;
    use std::collections::BTreeSet;

    fn all(of: u32) -> impl Iterator<Item = Part> {
        (1..=of).map(move |number| Part { number, of, from: Origin::Option })
    }

    fn ips(n: u8) -> Vec<IpAddr> {
        (1..=n).map(|i| IpAddr::from([10, 0, 0, i])).collect()
    }

    #[test]
    fn no_two_parts_have_a_pair_in_common_while_there_are_enough() {
        let to = IpAddr::from([10, 0, 1, 1]);
        for of in [1, 2, 3, 5, 7, 16] {
            for n in [1_u8, 2, 3, 5, 7, 20] {
                for ports in [1_u16, 3, 7, 100] {
                    let whole = ips(n);
                    let mut union = BTreeSet::new();
                    let mut pairs = 0;
                    for part in all(of) {
                        let own = addresses(Some(part), whole.clone(), to, (9900, ports));
                        assert!(!own.sources.is_empty() && own.ports.1 > 0, "{part} has nothing");
                        for source in &own.sources {
                            for port in own.ports.0..own.ports.0 + own.ports.1 {
                                union.insert((*source, port));
                                pairs += 1;
                            }
                        }
                    }
                    let all = usize::from(n) * usize::from(ports);
                    assert_eq!(union.len(), all, "{of} parts, {n} sources, {ports} ports: the union is the whole");
                    // Whoever shares a source has at most so many beside it.
                    if u32::from(ports) >= of.div_ceil(u32::from(n)) {
                        assert_eq!(pairs, all, "{of} parts, {n} sources, {ports} ports");
                    }
                }
            }
        }
    }

    #[test]
    fn without_sources_only_one_loopback_address_is_divided() {
        let part = all(4).nth(1);
        let own = |to: &str| addresses(part, Vec::new(), to.parse().unwrap(), (9900, 100));
        let last = addresses(part, Vec::new(), "::1".parse().unwrap(), (u16::MAX, 1));
        assert_eq!(last.ports, (u16::MAX, 1));
        for to in ["10.0.0.1", "127.0.0.1", "fd00::1"] {
            assert_eq!(own(to), Addresses { sources: Vec::new(), ports: (9900, 100), shared: None }, "{to}");
        }
        assert_eq!((own("::1").ports, own("::1").shared), ((9925, 25), part));
    }

    #[test]
    fn what_is_too_little_for_the_parts_is_told() {
        let part = all(5).next();
        assert_eq!(share(part, 11, "--rate"), Ok(3));
        let why = share(part, 4, "--rate").unwrap_err();
        assert!(why.starts_with("--rate 4 ") && why.contains("5 parts"), "{why}");
    }
}
