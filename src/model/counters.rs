//! Counters of the kernel since the first sample: what was dropped, refused or squeezed, and what that means.

use crate::sample::{LogTopic, Sample, TcpExt};

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
    /// A rise by less is told of, not warned of: other programs drop a packet now and then.
    pub few: u64,
    /// What happened, to be followed by the number.
    pub what: &'static str,
    /// What helps.
    pub cure: &'static str,
    /// The limit whose numbers and cure say more, where that is readable.
    pub limit: Option<&'static str>,
    /// The limit that it is about where that row has neither.
    pub about: Option<&'static str>,
    /// What the kernel logs with it.
    pub log: &'static [LogTopic],
}

fn ext(sample: &Sample, read: fn(&TcpExt) -> u64) -> Option<u64> {
    sample.kernel.net.ext.as_ref().ok().map(read)
}

/// `tcp_syncookies`, where it can be seen.
fn syncookies(sample: &Sample) -> Option<u64> {
    sample.kernel.net.syncookies.as_ref().ok().copied()
}

/// `ListenDrops` counts each overflow of either queue again; only what exceeds those is its own.
fn other_drops(sample: &Sample) -> Option<u64> {
    ext(sample, |e| e.listen_drops.saturating_sub(e.listen_overflows + e.req_q_full_drop))
}

/// How a queue of a listening socket is made larger. `listen(2)` reads `somaxconn`, and since Linux 4.4 it bounds the SYN
/// queue as well as the accept queue (`inet_csk_reqsk_queue_is_full`); `tcp_max_syn_backlog` does so without SYN cookies only.
pub(super) const LARGER_QUEUES: &str = "accept faster; or sysctl -w net.core.somaxconn=65535 and a server started anew with as large \
                             a backlog: a listener keeps the size it was opened with";

/// What the rows below leave out.
const COUNTER: CounterInfo = CounterInfo {
    id: "",
    proof: "",
    read: |_| None,
    severity: Severity::Warning,
    few: 5,
    what: "",
    cure: "",
    limit: None,
    about: None,
    log: &[],
};

/// Every counter that speaks.
pub(super) static COUNTERS: [CounterInfo; 15] = [
    CounterInfo {
        id: "listen_overflows",
        proof: "ListenOverflows",
        read: |s| ext(s, |e| e.listen_overflows),
        what: "the accept queue of a listening socket was full: connections were dropped and are retried after a second",
        cure: LARGER_QUEUES,
        about: Some("accept_queue"),
        ..COUNTER
    },
    CounterInfo {
        id: "listen_drops",
        proof: "ListenDrops less ListenOverflows and TCPReqQFullDrop",
        read: |s| if syncookies(s) == Some(0) { None } else { other_drops(s) },
        what: "a listening socket dropped connections for another reason than a full queue, mostly for want of memory",
        cure: "look at memory and tcp_mem",
        about: Some("tcp_mem"),
        ..COUNTER
    },
    CounterInfo {
        id: "syn_drop",
        proof: "ListenDrops less ListenOverflows and TCPReqQFullDrop",
        read: |s| if syncookies(s) == Some(0) { other_drops(s) } else { None },
        what: "SYNs were dropped: three quarters of net.ipv4.tcp_max_syn_backlog were half open, and SYN cookies are off",
        cure: "sysctl -w net.ipv4.tcp_max_syn_backlog=65535, or net.ipv4.tcp_syncookies=1",
        log: &[LogTopic::SynQueue],
        about: Some("syn_queue"),
        ..COUNTER
    },
    CounterInfo {
        id: "syn_cookies",
        proof: "TCPReqQFullDoCookies",
        read: |s| if syncookies(s) == Some(2) { None } else { ext(s, |e| e.req_q_full_do_cookies) },
        what: "the SYN queue of a listening socket was full: connections were answered with SYN cookies, which keep no place in it",
        cure: LARGER_QUEUES,
        log: &[LogTopic::SynQueue],
        about: Some("syn_queue"),
        ..COUNTER
    },
    CounterInfo {
        id: "syn_cookies_always",
        proof: "TCPReqQFullDoCookies",
        read: |s| if syncookies(s) == Some(2) { ext(s, |e| e.req_q_full_do_cookies) } else { None },
        severity: Severity::Info,
        what: "every connection is answered with a SYN cookie, because net.ipv4.tcp_syncookies is 2: no queue was full",
        cure: "sysctl -w net.ipv4.tcp_syncookies=1, unless that is meant",
        about: Some("syn_queue"),
        ..COUNTER
    },
    CounterInfo {
        id: "req_q_full_drop",
        proof: "TCPReqQFullDrop",
        read: |s| ext(s, |e| e.req_q_full_drop),
        what: "the SYN queue of a listening socket was full and SYNs were dropped, because SYN cookies are off",
        cure: LARGER_QUEUES,
        log: &[LogTopic::SynQueue],
        about: Some("syn_queue"),
        ..COUNTER
    },
    CounterInfo {
        id: "memory_pressures",
        proof: "TCPMemoryPressures",
        read: |s| ext(s, |e| e.memory_pressures),
        // Counts how often pressure began, not whom it met.
        few: 1,
        what: "TCP buffer memory passed its pressure mark: every socket slows down",
        cure: "read faster, or raise net.ipv4.tcp_mem",
        limit: Some("tcp_mem"),
        ..COUNTER
    },
    CounterInfo {
        id: "prune_called",
        proof: "PruneCalled",
        read: |s| ext(s, |e| e.prune_called),
        what: "receive queues were squeezed for want of buffer memory: someone does not read what is sent to them",
        cure: "read faster, or raise net.ipv4.tcp_rmem and tcp_mem",
        about: Some("tcp_mem"),
        ..COUNTER
    },
    CounterInfo {
        id: "rcv_pruned",
        proof: "RcvPruned",
        read: |s| ext(s, |e| e.rcv_pruned),
        what: "packets were dropped from receive queues for want of buffer memory",
        cure: "read faster, or raise net.ipv4.tcp_rmem and tcp_mem",
        about: Some("tcp_mem"),
        ..COUNTER
    },
    CounterInfo {
        id: "abort_on_memory",
        proof: "TCPAbortOnMemory",
        read: |s| ext(s, |e| e.abort_on_memory),
        severity: Severity::Critical,
        what: "the kernel reset connections for want of TCP memory or because of too many orphans",
        cure: "raise net.ipv4.tcp_mem, or close at a lower rate (net.ipv4.tcp_max_orphans)",
        log: &[LogTopic::TcpMemory, LogTopic::Orphans],
        about: Some("tcp_mem"),
        ..COUNTER
    },
    CounterInfo {
        id: "time_wait_overflow",
        proof: "TCPTimeWaitOverflow",
        read: |s| ext(s, |e| e.time_wait_overflow),
        what: "the TIME_WAIT table was full: connections ended without the wait",
        cure: "close by reset or at a lower rate, or raise net.ipv4.tcp_max_tw_buckets",
        limit: Some("time_wait"),
        log: &[LogTopic::TimeWait],
        ..COUNTER
    },
    CounterInfo {
        id: "backlog_drop",
        proof: "TCPBacklogDrop",
        read: |s| ext(s, |e| e.backlog_drop),
        what: "packets were dropped because a socket's own backlog was full",
        cure: "read faster, or raise net.ipv4.tcp_rmem",
        ..COUNTER
    },
    CounterInfo {
        id: "conntrack_drop",
        proof: "drop in /proc/net/stat/nf_conntrack",
        read: |s| s.kernel.net.conntrack.as_ref().ok().and_then(|c| c.drop),
        severity: Severity::Critical,
        what: "connection tracking dropped packets without an answer, as it does when its table is full",
        cure: "raise net.netfilter.nf_conntrack_max, or a NOTRACK rule for the ports of this run",
        limit: Some("conntrack"),
        log: &[LogTopic::Conntrack],
        ..COUNTER
    },
    CounterInfo {
        id: "neighbours_full",
        proof: "table_fulls in /proc/net/stat",
        read: |s| s.kernel.host.neighbours.iter().flatten().map(|n| n.table_fulls).reduce(|a, b| a + b),
        what: "the neighbour table was full: packets to more addresses of the link were dropped without an answer",
        cure: "a routed prefix for the clients, or raise net.ipv4.neigh.default.gc_thresh3",
        limit: Some("neighbours"),
        log: &[LogTopic::Neighbours],
        ..COUNTER
    },
    CounterInfo {
        id: "softnet_dropped",
        proof: "column 2 of softnet_stat",
        read: |s| s.kernel.host.softnet.as_ref().ok().map(|n| n.dropped),
        what: "packets were dropped because a core's queue was full",
        cure: "sysctl -w net.core.netdev_max_backlog=10000",
        about: Some("backlog"),
        ..COUNTER
    },
];

/// The limit that a counter's event is about.
pub(super) fn about(id: &str) -> Option<&'static str> {
    let info = COUNTERS.iter().find(|info| info.id == id)?;
    info.limit.or(info.about)
}

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
            let Some(value) = (info.read)(sample) else {
                // What it rises by while it is not looked at is not told of later.
                counter.last = None;
                continue;
            };
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

    /// Whether one that speaks for this limit has risen.
    pub(super) fn told_of(&self, limit: &str) -> bool {
        COUNTERS.iter().zip(&self.counters).any(|(info, c)| info.limit == Some(limit) && c.total >= info.few)
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
            sample.kernel.net.ext.as_mut().unwrap().listen_overflows = value;
            counters.update(&sample);
            let risen: Vec<_> = counters.risen().filter(|r| r.0.id == "listen_overflows").map(|r| r.1).collect();
            assert_eq!(risen, if step > 0 { vec![step] } else { vec![] });
            assert_eq!(counters.total("listen_overflows"), total);
        }
        assert!(counters.per_s("listen_overflows") < 1.0);
    }
}
