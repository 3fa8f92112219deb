//! Settings by their names, as they hold for a process: for the head of a recording.

use std::collections::BTreeMap;

use super::namespace::same_network;
use super::network::Network;
use super::source::{Roots, Source};

/// Those below `net` that are the machine's, whatever network namespace they are shown in (`core/netdev_max_backlog` in the first
/// one alone).
const OF_MACHINE: [&str; 5] = [
    "net.core.netdev_max_backlog",
    "net.ipv4.neigh.default.gc_thresh3",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_mem",
    "net.ipv6.neigh.default.gc_thresh3",
];
/// The machine's on older kernels.
const CONNTRACK: &str = "net.netfilter.nf_conntrack_max";

/// The values of these sysctls that `pid` is bound by, their words one space apart. What cannot be read is left out, and so is
/// what belongs to a network namespace that cannot be entered, or not be told from this one.
pub fn sysctls(roots: &Roots, pid: u32, names: &[&str]) -> BTreeMap<String, String> {
    let network = Network::of(roots, Some(pid));
    let known = same_network(&roots.proc, pid).is_some();
    let mut buf = Vec::new();
    let mut value = |name: &str| {
        let path = name.replace('.', "/");
        let mut source = match path.strip_prefix("net/") {
            None => Source::open(roots, format!("/proc/sys/{path}")),
            Some(path) if OF_MACHINE.contains(&name) => network.of_machine(path, None),
            Some(_) if !known => return None,
            Some(path) if name == CONNTRACK => network.own_or_of_machine(path, None),
            Some(path) => network.own(path, None),
        };
        let text = source.read(&mut buf).ok()?;
        Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    names.iter().filter_map(|name| Some(((*name).to_owned(), value(name)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_process_that_has_ended_only_the_machines_are_known() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let names = ["fs.nr_open", "net.core.somaxconn", "net.no.such"];
        let own = sysctls(&Roots::default(), std::process::id(), &names);
        assert_eq!(own.keys().collect::<Vec<_>>(), ["fs.nr_open", "net.core.somaxconn"]);
        let ended = sysctls(&Roots::default(), child.id(), &names);
        assert_eq!(ended.keys().collect::<Vec<_>>(), ["fs.nr_open"]);
    }
}
