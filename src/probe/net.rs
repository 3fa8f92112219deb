//! The sources of one network namespace.

use std::ops::RangeInclusive;

use super::conntrack;
use super::listeners::{Counted, ListenerSource};
use super::namespace::same_network;
use super::source::{Roots, Source};
use super::text::{number, numbers};
use super::{link, ports, snmp, sockstat};
use crate::sample::kernel::{Absent, Conntrack, Link, Net, PortRange, Reading};

/// Files of `/proc/sys/net` show the namespace of who reads them.
const ELSEWHERE: Absent = Absent::because("set in the target's network namespace, not visible from this one");

/// What it means when a file of `/proc/sys/net` is not there: the host-wide ones exist in the first namespace only.
const NOT_HERE: &str = "not in this network namespace";

const NO_CONNTRACK: &str = "connection tracking is not loaded";

/// Kept-open files, and a netlink socket.
#[derive(Debug)]
pub(crate) struct NetSources {
    scope: String,
    /// Whether the namespace is another than the dashboard's own.
    foreign: bool,
    sockstat: Source,
    sockstat6: Source,
    snmp: Source,
    netstat: Source,
    conntrack_stat: Source,
    conntrack_count: Source,
    conntrack_max: Source,
    tcp_mem: Source,
    port_range: Source,
    reserved_ports: Source,
    max_tw: Source,
    max_orphans: Source,
    somaxconn: Source,
    max_syn_backlog: Source,
    syncookies: Source,
    ehash_entries: Source,
    link: Reading<Link>,
    listeners: ListenerSource,
}

impl NetSources {
    /// Opens the sources of the namespace of `pid`, or of the dashboard's own.
    ///
    /// An open file of `/proc/PID/net` keeps its namespace, so that it stays readable when the process has ended.
    pub(crate) fn open(roots: &Roots, pid: Option<u32>, buf: &mut Vec<u8>) -> Self {
        let other = pid.filter(|&pid| same_network(roots, pid) == Some(false));
        let net = other.map_or_else(|| "/proc/net".to_owned(), |pid| format!("/proc/{pid}/net"));
        let of_net = |file: &str| Source::open(roots, format!("{net}/{file}"));
        let sysctl = |file: &str| Source::open_or(roots, format!("/proc/sys/net/{file}"), NOT_HERE);
        let tracking = |path: &str| Source::open_or(roots, path, NO_CONNTRACK);
        Self {
            scope: other.map_or_else(|| "this".to_owned(), |pid| format!("of {pid}")),
            foreign: other.is_some(),
            sockstat: of_net("sockstat"),
            sockstat6: Source::open_or(roots, format!("{net}/sockstat6"), "IPv6 is switched off"),
            snmp: of_net("snmp"),
            netstat: of_net("netstat"),
            conntrack_stat: tracking(&format!("{net}/stat/nf_conntrack")),
            conntrack_count: tracking("/proc/sys/net/netfilter/nf_conntrack_count"),
            conntrack_max: tracking("/proc/sys/net/netfilter/nf_conntrack_max"),
            tcp_mem: sysctl("ipv4/tcp_mem"),
            port_range: sysctl("ipv4/ip_local_port_range"),
            reserved_ports: sysctl("ipv4/ip_local_reserved_ports"),
            max_tw: sysctl("ipv4/tcp_max_tw_buckets"),
            max_orphans: sysctl("ipv4/tcp_max_orphans"),
            somaxconn: sysctl("core/somaxconn"),
            max_syn_backlog: sysctl("ipv4/tcp_max_syn_backlog"),
            syncookies: sysctl("ipv4/tcp_syncookies"),
            ehash_entries: Source::open(roots, "/proc/sys/net/ipv4/tcp_ehash_entries"),
            link: if other.is_some() { Err(ELSEWHERE) } else { link::fastest(roots, buf) },
            listeners: ListenerSource::open(roots, other),
        }
    }

    /// Looks at the accept queues of these ports alone.
    pub(crate) fn only_listeners(&mut self, ports: RangeInclusive<u16>) {
        self.listeners.only(ports);
    }

    pub(crate) fn read(&mut self, buf: &mut Vec<u8>) -> Net {
        let (tcp, ext) = (self.snmp.get(buf, snmp::parse_tcp), self.netstat.get(buf, snmp::parse_ext));
        let counted = match (&tcp, &ext) {
            (Ok(tcp), Ok(ext)) => Some(Counted { opens: tcp.passive_opens, overflows: ext.listen_overflows }),
            _ => None,
        };
        Net {
            scope: self.scope.clone(),
            sockstat: self.sockstat.get(buf, sockstat::parse),
            inuse6: self.sockstat6.get(buf, sockstat::parse6),
            tcp,
            ext,
            conntrack: self.conntrack(buf),
            tcp_mem: self.tcp_mem.get(buf, numbers),
            ports: self.ports(buf),
            max_tw: own(self.foreign, &mut self.max_tw, buf, number),
            max_orphans: self.max_orphans.get(buf, number),
            somaxconn: own(self.foreign, &mut self.somaxconn, buf, number),
            max_syn_backlog: own(self.foreign, &mut self.max_syn_backlog, buf, number),
            syncookies: own(self.foreign, &mut self.syncookies, buf, number),
            ehash_entries: own(self.foreign, &mut self.ehash_entries, buf, buckets),
            link: self.link.clone(),
            listeners: self.listeners.read(buf, counted),
        }
    }

    fn conntrack(&mut self, buf: &mut Vec<u8>) -> Reading<Conntrack> {
        let max = self.conntrack_max.get(buf, number)?;
        // Optional in the kernel (CONFIG_NF_CONNTRACK_PROCFS).
        let stat = self.conntrack_stat.get(buf, conntrack::parse);
        let count = if self.foreign { stat.clone()?.entries } else { self.conntrack_count.get(buf, number)? };
        let stat = stat.ok();
        Ok(Conntrack { count, max, drop: stat.map(|s| s.drop), early_drop: stat.map(|s| s.early_drop) })
    }

    fn ports(&mut self, buf: &mut Vec<u8>) -> Reading<PortRange> {
        let range = own(self.foreign, &mut self.port_range, buf, ports::range)?;
        let reserved = self.reserved_ports.get(buf, |text| ports::reserved(text, range))?;
        Ok(PortRange { reserved, ..range })
    }
}

/// Reads what is set per namespace.
fn own<T>(foreign: bool, source: &mut Source, buf: &mut Vec<u8>, parse: impl FnOnce(&str) -> Reading<T>) -> Reading<T> {
    if foreign { Err(ELSEWHERE) } else { source.get(buf, parse) }
}

/// `tcp_ehash_entries`; negative in a namespace that shares the table of the first one (Linux 6.1 and later).
fn buckets(text: &str) -> Reading<u64> {
    number(text.trim().trim_start_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_hash_table_counts_like_its_own() {
        assert_eq!(buckets("-262144\n"), Ok(262_144));
        assert_eq!(buckets("262144\n"), Ok(262_144));
        assert!(buckets("-").is_err());
    }
}
