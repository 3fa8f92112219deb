//! What is set, and hardly ever changes while connections are held: the sysctls of a sample. `fs.file-max` is not among
//! them, for it comes with the count of files.
//!
//! They are kept for two seconds. A counter of refusals that moves, an engine that fails or changes its phase, and a user
//! who asks for a sample have them read straight away: whoever raises a limit does so because it was hit.

use std::time::Instant;

use super::kept::{Kept, PACE};
use super::network::Network;
use super::source::{Roots, Source};
use super::text::{number, numbers, odd};
use crate::sample::kernel::{Absent, PortRange, Reading, TcpExt};

/// Counters that rise when a limit has refused something.
pub(crate) type Refusals = (Option<TcpExt>, Option<u64>);

/// Kept-open files.
#[derive(Debug)]
pub(crate) struct SettingSources {
    files: Files,
    kept: Kept<Settings, Refusals>,
}

#[derive(Debug)]
struct Files {
    nr_open: Source,
    max_user_watches: Source,
    threads_max: Source,
    pid_max: Source,
    conntrack_max: Source,
    tcp_mem: Source,
    port_range: Source,
    reserved_ports: Source,
    rmem: Source,
    wmem: Source,
    max_tw: Source,
    max_orphans: Source,
    somaxconn: Source,
    max_syn_backlog: Source,
    syncookies: Source,
    ehash_entries: Source,
}

/// As last read; each is described where a sample has it.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) nr_open: Reading<u64>,
    pub(crate) max_user_watches: Reading<u64>,
    pub(crate) threads_max: Reading<u64>,
    pub(crate) pid_max: Reading<u64>,
    pub(crate) conntrack_max: Reading<u64>,
    pub(crate) tcp_mem: Reading<[u64; 3]>,
    pub(crate) ports: Reading<PortRange>,
    pub(crate) max_buffers: Reading<[u64; 2]>,
    pub(crate) max_tw: Reading<u64>,
    pub(crate) max_orphans: Reading<u64>,
    pub(crate) somaxconn: Reading<u64>,
    pub(crate) max_syn_backlog: Reading<u64>,
    pub(crate) syncookies: Reading<u64>,
    pub(crate) ehash_entries: Reading<u64>,
}

impl SettingSources {
    /// Opens them, those of `network` inside it.
    pub(crate) fn open(roots: &Roots, network: &Network) -> Self {
        let open = |path: &str| Source::open(roots, format!("/proc/sys/{path}"));
        // The host-wide ones exist in the first namespace only.
        let own = |path: &str| network.own(path, Some(Absent::NotInThisNamespace));
        let of_machine = |path: &str| network.of_machine(path, Some(Absent::NotInThisNamespace));
        let files = Files {
            nr_open: open("fs/nr_open"),
            max_user_watches: open("fs/epoll/max_user_watches"),
            threads_max: open("kernel/threads-max"),
            pid_max: open("kernel/pid_max"),
            conntrack_max: network.own_or_of_machine("netfilter/nf_conntrack_max", Some(Absent::NotTracking)),
            tcp_mem: of_machine("ipv4/tcp_mem"),
            port_range: own("ipv4/ip_local_port_range"),
            reserved_ports: own("ipv4/ip_local_reserved_ports"),
            rmem: own("ipv4/tcp_rmem"),
            wmem: own("ipv4/tcp_wmem"),
            max_tw: own("ipv4/tcp_max_tw_buckets"),
            max_orphans: of_machine("ipv4/tcp_max_orphans"),
            somaxconn: own("core/somaxconn"),
            max_syn_backlog: own("ipv4/tcp_max_syn_backlog"),
            syncookies: own("ipv4/tcp_syncookies"),
            ehash_entries: network.own("ipv4/tcp_ehash_entries", None),
        };
        Self { files, kept: Kept::every(PACE) }
    }

    /// The settings now, or as they were within the last two seconds if nothing has been refused since.
    pub(crate) fn read(&mut self, now: Instant, refusals: Refusals, buf: &mut Vec<u8>) -> &Settings {
        self.kept.get(now, refusals, || self.files.read(buf))
    }

    /// Those that are not seen because they belong to a network namespace that cannot be entered.
    pub(crate) fn unseen(&self) -> impl Iterator<Item = &str> {
        let files = &self.files;
        let own = [&files.somaxconn, &files.port_range, &files.reserved_ports, &files.max_tw, &files.max_syn_backlog];
        let more = [&files.syncookies, &files.rmem, &files.wmem, &files.ehash_entries];
        own.into_iter().chain(more).filter_map(Source::unseen)
    }

    /// Has the next sample read them.
    pub(crate) fn refresh(&mut self) {
        self.kept.forget();
    }
}

impl Files {
    fn read(&mut self, buf: &mut Vec<u8>) -> Settings {
        Settings {
            nr_open: self.nr_open.get(buf, number),
            max_user_watches: self.max_user_watches.get(buf, number),
            threads_max: self.threads_max.get(buf, number),
            pid_max: self.pid_max.get(buf, number),
            conntrack_max: self.conntrack_max.get(buf, number),
            tcp_mem: self.tcp_mem.get(buf, numbers),
            ports: self.ports(buf),
            max_buffers: self.max_buffers(buf),
            max_tw: self.max_tw.get(buf, number),
            max_orphans: self.max_orphans.get(buf, number),
            somaxconn: self.somaxconn.get(buf, number),
            max_syn_backlog: self.max_syn_backlog.get(buf, number),
            syncookies: self.syncookies.get(buf, number),
            ehash_entries: self.ehash_entries.get(buf, buckets),
        }
    }

    fn max_buffers(&mut self, buf: &mut Vec<u8>) -> Reading<[u64; 2]> {
        let [_, _, read] = self.rmem.get(buf, numbers)?;
        let [_, _, write] = self.wmem.get(buf, numbers)?;
        Ok([read, write])
    }

    fn ports(&mut self, buf: &mut Vec<u8>) -> Reading<PortRange> {
        let range = self.port_range.get(buf, |text| PortRange::parse(text).map_err(odd))?;
        self.reserved_ports.get(buf, |list| range.without(list).map_err(odd))
    }
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
