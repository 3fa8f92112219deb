//! Counters of the kernel since the first sample: what was dropped, refused or squeezed, and what that means.

use crate::probe::sample::{Sample, TcpExt};

use super::event::Severity;

/// One counter and its sentence.
pub(super) struct CounterInfo {
    /// Id of its event, and its name here.
    pub id: &'static str,
    /// Its name in the kernel, the proof.
    pub proof: &'static str,
    /// Where it is.
    read: fn(&Sample) -> Option<u64>,
    /// How bad a rise is.
    pub severity: Severity,
    /// What happened, to be followed by the number.
    pub what: &'static str,
    /// What helps.
    pub cure: &'static str,
    /// The limit whose numbers and cure say more, where that is readable.
    pub limit: Option<&'static str>,
}

fn ext(sample: &Sample, read: fn(&TcpExt) -> u64) -> Option<u64> {
    sample.net.ext.as_ref().ok().map(read)
}

fn conntrack_drops(sample: &Sample) -> Option<u64> {
    sample.net.conntrack.as_ref().ok().and_then(|c| c.drop)
}

/// Every counter that speaks. `ListenDrops` counts each overflow again, so only what exceeds those is its own.
pub(super) static COUNTERS: [CounterInfo; 13] = [
    CounterInfo {
        id: "listen_overflows",
        proof: "ListenOverflows",
        read: |s| ext(s, |e| e.listen_overflows),
        severity: Severity::Warning,
        what: "the accept queue of a listening socket was full: connections were dropped and are retried after a second",
        cure: "accept faster, a larger backlog, sysctl -w net.core.somaxconn=65535",
        limit: None,
    },
    CounterInfo {
        id: "listen_drops",
        proof: "ListenDrops less ListenOverflows",
        read: |s| ext(s, |e| e.listen_drops.saturating_sub(e.listen_overflows)),
        severity: Severity::Warning,
        what: "a listening socket dropped connections for another reason than a full queue, mostly for want of memory",
        cure: "look at memory and tcp_mem",
        limit: None,
    },
    CounterInfo {
        id: "syncookies_sent",
        proof: "SyncookiesSent",
        read: |s| ext(s, |e| e.syncookies_sent),
        severity: Severity::Warning,
        what: "the SYN queue was full and the kernel answered with SYN cookies",
        cure: "sysctl -w net.ipv4.tcp_max_syn_backlog=65536 net.core.somaxconn=65535",
        limit: None,
    },
    CounterInfo {
        id: "req_q_full_do_cookies",
        proof: "TCPReqQFullDoCookies",
        read: |s| ext(s, |e| e.req_q_full_do_cookies),
        severity: Severity::Warning,
        what: "the SYN queue was full: SYN cookies took over",
        cure: "sysctl -w net.ipv4.tcp_max_syn_backlog=65536 net.core.somaxconn=65535",
        limit: None,
    },
    CounterInfo {
        id: "req_q_full_drop",
        proof: "TCPReqQFullDrop",
        read: |s| ext(s, |e| e.req_q_full_drop),
        severity: Severity::Warning,
        what: "the SYN queue was full and SYNs were dropped",
        cure: "sysctl -w net.ipv4.tcp_max_syn_backlog=65536 net.core.somaxconn=65535",
        limit: None,
    },
    CounterInfo {
        id: "memory_pressures",
        proof: "TCPMemoryPressures",
        read: |s| ext(s, |e| e.memory_pressures),
        severity: Severity::Warning,
        what: "TCP buffer memory passed its pressure mark: every socket slows down",
        cure: "read faster, or raise net.ipv4.tcp_mem",
        limit: None,
    },
    CounterInfo {
        id: "prune_called",
        proof: "PruneCalled",
        read: |s| ext(s, |e| e.prune_called),
        severity: Severity::Warning,
        what: "receive queues were squeezed for want of buffer memory: someone does not read what is sent to them",
        cure: "read faster, or raise net.ipv4.tcp_rmem and tcp_mem",
        limit: None,
    },
    CounterInfo {
        id: "rcv_pruned",
        proof: "RcvPruned",
        read: |s| ext(s, |e| e.rcv_pruned),
        severity: Severity::Warning,
        what: "packets were dropped from receive queues for want of buffer memory",
        cure: "read faster, or raise net.ipv4.tcp_rmem and tcp_mem",
        limit: None,
    },
    CounterInfo {
        id: "abort_on_memory",
        proof: "TCPAbortOnMemory",
        read: |s| ext(s, |e| e.abort_on_memory),
        severity: Severity::Critical,
        what: "the kernel reset connections for want of TCP memory or because of too many orphans",
        cure: "raise net.ipv4.tcp_mem, or close at a lower rate (net.ipv4.tcp_max_orphans)",
        limit: None,
    },
    CounterInfo {
        id: "time_wait_overflow",
        proof: "TCPTimeWaitOverflow",
        read: |s| ext(s, |e| e.time_wait_overflow),
        severity: Severity::Warning,
        what: "the TIME_WAIT table was full: connections ended without the wait",
        cure: "close by reset or at a lower rate, or raise net.ipv4.tcp_max_tw_buckets",
        limit: Some("time_wait"),
    },
    CounterInfo {
        id: "backlog_drop",
        proof: "TCPBacklogDrop",
        read: |s| ext(s, |e| e.backlog_drop),
        severity: Severity::Warning,
        what: "packets were dropped because a socket's own backlog was full",
        cure: "read faster, or raise net.ipv4.tcp_rmem",
        limit: None,
    },
    CounterInfo {
        id: "conntrack_drop",
        proof: "drop in /proc/net/stat/nf_conntrack",
        read: conntrack_drops,
        severity: Severity::Critical,
        what: "connection tracking dropped packets without an answer, as it does when its table is full",
        cure: "raise net.netfilter.nf_conntrack_max, or a NOTRACK rule for the ports of this run",
        limit: Some("conntrack"),
    },
    CounterInfo {
        id: "softnet_dropped",
        proof: "column 2 of softnet_stat",
        read: |s| s.host.softnet.as_ref().ok().map(|n| n.dropped),
        severity: Severity::Warning,
        what: "packets were dropped because a core's queue was full",
        cure: "sysctl -w net.core.netdev_max_backlog=10000",
        limit: None,
    },
];

/// Seconds over which a rate fades.
const FADE_S: f64 = 10.0;

#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    last: Option<u64>,
    total: u64,
    step: u64,
    per_s: f64,
}

/// The counters of [`COUNTERS`].
#[derive(Debug, Clone, Default)]
pub(super) struct Counters {
    counters: [Counter; COUNTERS.len()],
    t_ms: u64,
}

impl Counters {
    /// Takes a sample.
    pub(super) fn update(&mut self, sample: &Sample) {
        let seconds = sample.t_ms.saturating_sub(self.t_ms) as f64 / 1000.0;
        self.t_ms = sample.t_ms;
        for (counter, info) in self.counters.iter_mut().zip(&COUNTERS) {
            counter.per_s *= (-seconds / FADE_S).exp();
            counter.step = 0;
            let Some(value) = (info.read)(sample) else { continue };
            // A counter that fell belongs to another namespace or a restarted table: start over.
            let step = value.saturating_sub(counter.last.unwrap_or(value));
            counter.last = Some(value);
            counter.step = step;
            counter.total += step;
            counter.per_s += step as f64 / FADE_S;
        }
    }

    /// Rise since the first sample.
    pub(super) fn total(&self, id: &str) -> u64 {
        self.find(id).map_or(0, |c| c.total)
    }

    /// Rise per second, over the last ten seconds or so.
    pub(super) fn per_s(&self, id: &str) -> f64 {
        self.find(id).map_or(0.0, |c| c.per_s)
    }

    /// Those that rose with the last sample, by how much, and in all.
    pub(super) fn risen(&self) -> impl Iterator<Item = (&'static CounterInfo, u64, u64)> {
        COUNTERS.iter().zip(&self.counters).filter(|(_, c)| c.step > 0).map(|(info, c)| (info, c.step, c.total))
    }

    fn find(&self, id: &str) -> Option<&Counter> {
        COUNTERS.iter().position(|c| c.id == id).map(|i| &self.counters[i])
    }
}

#[cfg(test)]
mod tests {
    use super::super::synthetic;
    use super::*;

    #[test]
    fn only_what_rose_since_the_first_sample_counts() {
        let mut counters = Counters::default();
        let mut sample = synthetic::sample(0, 0);
        for (t_ms, value, step, total) in [(0, 500, 0, 0), (1000, 510, 10, 10), (2000, 510, 0, 10), (3000, 3, 0, 10)] {
            sample.t_ms = t_ms;
            sample.net.ext.as_mut().unwrap().listen_overflows = value;
            counters.update(&sample);
            let risen: Vec<_> = counters.risen().filter(|r| r.0.id == "listen_overflows").map(|r| r.1).collect();
            assert_eq!(risen, if step > 0 { vec![step] } else { vec![] });
            assert_eq!(counters.total("listen_overflows"), total);
        }
        assert!(counters.per_s("listen_overflows") < 1.0);
    }
}
