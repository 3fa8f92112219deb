//! The sources of one network namespace, but for what is set in it ([`super::settings`]).

use std::time::Instant;

use super::allowance::AllowanceSource;
use super::conntrack;
use super::listeners::{Counted, ListenerSource};
use super::network::{Network, Unseen};
use super::settings::{SettingSources, Settings};
use super::source::{Roots, Source};
use super::text::number;
use super::{snmp, sockstat};
use crate::sample::kernel::{Absent, Conntrack, Link, Net, Reading, Received};

/// Kept-open files, and a netlink socket.
#[derive(Debug)]
pub(crate) struct NetSources {
    scope: String,
    network: Network,
    sockstat: Source,
    sockstat6: Source,
    snmp: Source,
    netstat: Source,
    conntrack_stat: Source,
    conntrack_count: Source,
    link: Reading<Link>,
    allowance: AllowanceSource,
    listeners: ListenerSource,
}

impl NetSources {
    /// Opens the sources of the namespace of `pid`, or of the dashboard's own.
    ///
    /// An open file of `/proc/PID/net` keeps its namespace, so that it stays readable when the process has ended.
    pub(crate) fn open(roots: &Roots, pid: Option<u32>, buf: &mut Vec<u8>) -> Self {
        let network = Network::of(roots, pid);
        let other = network.other();
        let net = other.map_or_else(|| "/proc/net".to_owned(), |pid| format!("/proc/{pid}/net"));
        let of_net = |file: &str| Source::open(roots, format!("{net}/{file}"));
        Self {
            scope: other.map_or_else(|| "this".to_owned(), |pid| format!("of {pid}")),
            sockstat: of_net("sockstat"),
            sockstat6: Source::open_or(roots, format!("{net}/sockstat6"), Absent::because("IPv6 is switched off")),
            snmp: of_net("snmp"),
            netstat: of_net("netstat"),
            conntrack_stat: Source::open_or(roots, format!("{net}/stat/nf_conntrack"), Absent::NotTracking),
            conntrack_count: network.own("netfilter/nf_conntrack_count", Some(Absent::NotTracking)),
            link: network.link(buf),
            allowance: AllowanceSource::open(roots, &network, buf),
            listeners: ListenerSource::open(roots, other),
            network,
        }
    }

    /// The namespace.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// What is not known of it, with these settings, where it is another one that cannot be entered.
    pub(crate) fn unseen(&self, settings: &SettingSources) -> Option<Unseen> {
        self.network.unseen(settings.unseen())
    }

    /// Looks at the accept queues of these ports alone, which are in order.
    pub(crate) fn only_listeners(&mut self, ports: Vec<u16>) {
        self.listeners.only(ports);
    }

    /// Reads all, and what is set if it is time to or something was refused.
    pub(crate) fn read<'s>(
        &mut self,
        settings: &'s mut SettingSources,
        now: Instant,
        buf: &mut Vec<u8>,
    ) -> (Net, &'s Settings) {
        let tcp = self.snmp.get(buf, snmp::parse_tcp);
        let netstat = self.netstat.get(buf, |text| Ok((snmp::parse_ext(text)?, snmp::octets(text))));
        let received = match (&tcp, &netstat) {
            (Ok(tcp), Ok((_, Some(bytes)))) => Ok(Received { bytes: *bytes, segments: tcp.in_segs }),
            (Ok(_), Ok((_, None))) => Err(Absent::because("this kernel does not count received bytes")),
            (Err(why), _) | (_, Err(why)) => Err(why.clone()),
        };
        let ext = netstat.map(|(ext, _)| ext);
        // Optional in the kernel (CONFIG_NF_CONNTRACK_PROCFS).
        let tracked = self.conntrack_stat.get(buf, conntrack::parse);
        let refusals = (ext.as_ref().ok().copied(), tracked.as_ref().ok().map(|t| t.drop));
        let set = settings.read(now, refusals, buf);
        let counted = match (&tcp, &ext) {
            (Ok(tcp), Ok(ext)) => Some(Counted { opens: tcp.passive_opens, overflows: ext.listen_overflows }),
            _ => None,
        };
        let net = Net {
            scope: self.scope.clone(),
            sockstat: self.sockstat.get(buf, sockstat::parse),
            inuse6: self.sockstat6.get(buf, sockstat::parse6),
            tcp,
            ext,
            conntrack: self.conntrack(tracked, set, buf),
            tcp_mem: set.tcp_mem.clone(),
            ports: set.ports.clone(),
            max_buffers: set.max_buffers.clone(),
            received,
            max_tw: set.max_tw.clone(),
            max_orphans: set.max_orphans.clone(),
            somaxconn: set.somaxconn.clone(),
            max_syn_backlog: set.max_syn_backlog.clone(),
            syncookies: set.syncookies.clone(),
            ehash_entries: set.ehash_entries.clone(),
            link: self.link.clone(),
            allowance: self.allowance.read(now),
            listeners: self.listeners.read(buf, counted),
        };
        (net, set)
    }

    fn conntrack(
        &mut self,
        tracked: Reading<conntrack::Stat>,
        set: &Settings,
        buf: &mut Vec<u8>,
    ) -> Reading<Conntrack> {
        let max = set.conntrack_max.clone()?;
        let drop = tracked.as_ref().ok().map(|t| t.drop);
        let is_unseen = self.conntrack_count.unseen().is_some();
        let count = if is_unseen { tracked?.entries } else { self.conntrack_count.get(buf, number)? };
        Ok(Conntrack { count, max, drop })
    }
}
