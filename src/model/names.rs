//! The names of every limit: id, label, unit, help, in one table.

use super::limit::{LimitInfo, Unit};

/// Builds one row.
const fn row(id: &'static str, label: &'static str, unit: Unit, help: &'static str) -> LimitInfo {
    LimitInfo { id, label, unit, help }
}

/// Every limit the model knows.
pub static LIMITS: [LimitInfo; 19] = [
    row(
        "nofile",
        "descriptors",
        Unit::Count,
        "Open descriptors of one process: RLIMIT_NOFILE for each descriptor table, times its tables. Met, accept or socket fails with EMFILE; a server that meets it looks like a stall from the client.",
    ),
    row(
        "nr_open",
        "nr_open",
        Unit::Count,
        "The most that RLIMIT_NOFILE of any process may be set to (fs.nr_open). Above it, setrlimit fails with EPERM even for root.",
    ),
    row(
        "file-max",
        "file-max",
        Unit::Count,
        "Open files of the whole machine (fs.file-max). Met, every open fails with ENFILE for all but root.",
    ),
    row(
        "ports",
        "ports",
        Unit::Count,
        "Connections the client's addresses allow: sources × destination ports × local ports. Met, connect fails with EADDRNOTAVAIL.",
    ),
    row(
        "memory",
        "memory",
        Unit::Bytes,
        "Memory of the machine, judged by real headroom: what open sockets pin is not available. Met, the kernel's OOM killer ends a process.",
    ),
    row(
        "memcg",
        "cgroup mem",
        Unit::Bytes,
        "The nearest limit of the engines' memory cgroup and its ancestors. Sockets are charged to it. Met, the OOM killer ends an engine while the machine has memory left.",
    ),
    row(
        "tcp_mem",
        "tcp_mem",
        Unit::Bytes,
        "Buffer memory of all TCP sockets: data in flight or unread. Idle connections need none. Above the pressure mark every socket slows down; at the maximum sends fail.",
    ),
    row(
        "conntrack",
        "conntrack",
        Unit::Count,
        "Connections that the firewall tracks (nf_conntrack_max). Met, SYNs are dropped without an answer.",
    ),
    row(
        "epoll",
        "epoll",
        Unit::Count,
        "Epoll registrations of one user (fs.epoll.max_user_watches). Met, epoll_ctl fails with ENOSPC.",
    ),
    row(
        "accept_queue",
        "accept queue",
        Unit::Count,
        "Connections waiting for accept on a listening socket: the smaller of its backlog and net.core.somaxconn. Overflowing, new connections are dropped and retried a second later.",
    ),
    row(
        "syn_queue",
        "SYN queue",
        Unit::Count,
        "Connections half open (tcp_max_syn_backlog, somaxconn). Overflowing, the kernel answers with SYN cookies or drops.",
    ),
    row(
        "orphans",
        "orphans",
        Unit::Count,
        "Sockets closed by their program and not yet by TCP (tcp_max_orphans). It matters when many are closed at once: the kernel resets them from a quarter or half of it on.",
    ),
    row(
        "time_wait",
        "TIME_WAIT",
        Unit::Count,
        "Closed connections that keep their ports for 60 s (tcp_max_tw_buckets). Above it they end without the wait.",
    ),
    row(
        "backlog",
        "softnet",
        Unit::Count,
        "Packets waiting for a core (net.core.netdev_max_backlog). Overflowing, packets are dropped.",
    ),
    row(
        "threads",
        "threads",
        Unit::Count,
        "Threads of the machine (threads-max, pid_max), of the engines' cgroup (pids.max) or of their user (RLIMIT_NPROC), whichever is nearest. Met, clone fails with EAGAIN.",
    ),
    row(
        "hash_load",
        "hash load",
        Unit::Count,
        "Sockets for each bucket of the established hash. It fails nothing: connecting slows down as chains grow.",
    ),
    row(
        "bandwidth",
        "bandwidth",
        Unit::BitsPerSecond,
        "What the active connections send each way, headers included, against the fastest link. Above it messages are late.",
    ),
    row(
        "runtime",
        "runtime",
        Unit::Count,
        "What a watched program limits itself to when it starts: BEAM's ports (+Q), the heap of V8 and the JVM, Go's GOMEMLIMIT.",
    ),
    row(
        "neighbours",
        "neighbours",
        Unit::Count,
        "Neighbour entries (gc_thresh3). Met, sends to new addresses on the link fail with EHOSTUNREACH or ENOBUFS.",
    ),
];

/// The names of one limit.
pub fn info(id: &str) -> Option<&'static LimitInfo> {
    LIMITS.iter().find(|l| l.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_fit_and_ids_are_unique() {
        for (i, row) in LIMITS.iter().enumerate() {
            assert!(row.label.chars().count() <= 12, "{}", row.label);
            assert!(row.help.ends_with('.'));
            assert!(LIMITS[i + 1..].iter().all(|other| other.id != row.id));
        }
    }
}
