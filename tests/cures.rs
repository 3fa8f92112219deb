//! Each scenario runs into its limit, says so in the right sentence with the right cure, and with that cure applied the same
//! run passes.

mod scenario;
mod support;

use std::sync::{Mutex, PoisonError};

use scenario::{Mode, scenario};
use support::are_met;

/// The run that meets a limit of the machine would disturb the others.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs a scenario twice. The event whose id begins with `id` has every one of `parts`; what follows its "Cure: " is applied.
#[track_caller]
fn cured(name: &str, id: &str, parts: &[&str]) {
    let scenario = scenario(name);
    if !are_met(name, scenario.needs) {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let met = (scenario.run)(Mode::Meet);
    let event = met.assert_event(id, parts);
    let Some((_, cure)) = event.text.split_once("Cure: ") else { panic!("no cure: {}", event.text) };
    let passed = (scenario.run)(Mode::Cured(cure));
    let summary = passed.summary();
    let alarms: Vec<_> = passed.alarms().into_iter().filter(|e| !EXPECTED.contains(&e.id.as_str())).collect();
    assert!(alarms.is_empty(), "{name}, cured by {cure}: {alarms:#?}");
    assert_eq!(passed.code, Some(0), "{name}: {:?}", summary.verdict);
    let (peak, target) = (passed.peak(), summary.target);
    assert!(target.is_none_or(|t| peak >= t), "{name}, cured by {cure}: {peak} of {target:?}");
}

/// Told of besides in a run that its cure lets pass: a reader that stops for a moment squeezes queues at any `tcp_mem`.
///
/// A server does not know how far its clients want to go: more than half of a limit that is seconds away is an alarm to it.
const EXPECTED: [&str; 2] = ["prune_called", "limit/nofile/server"];

#[test]
fn descriptors_of_the_client() {
    cured(
        "descriptors of the client",
        "nofile/client/socket/EMFILE",
        &["socket failed with EMFILE", "of 2,000)", "--workers ", "LimitNOFILE="],
    );
}

#[test]
fn descriptors_of_the_server() {
    cured(
        "descriptors of the server",
        "nofile/server/accept/EMFILE",
        &["accept failed with EMFILE", "of 5,000)", "--workers 3, or LimitNOFILE=10007"],
    );
}

#[test]
fn ports() {
    cured(
        "ports",
        "ports/client/connect/EADDRNOTAVAIL",
        &["no local port is left", "(local ports 2,000 of 2,000)", "--ports ", "ip_local_port_range=\"1024 65535\""],
    );
}

#[test]
fn conntrack() {
    cured(
        "conntrack",
        "conntrack_drop",
        &[
            "connection tracking dropped packets",
            "(conntrack table 8,000 of 8,000)",
            "sysctl -w net.netfilter.nf_conntrack_max=",
        ],
    );
}

#[test]
fn memory_cgroup_of_version_1() {
    cured(
        "memory cgroup, version 1",
        "death/",
        &["OOM killer", "memory cgroup /c1m-top-", "its limit of 100 MiB", "echo ", "/memory.limit_in_bytes"],
    );
}

#[test]
fn memory_cgroup_of_version_2() {
    cured(
        "memory cgroup, version 2",
        "death/",
        &["OOM killer", "memory cgroup /c1m-top-", "its limit of 100 MiB", "echo ", "/memory.max"],
    );
}

#[test]
fn epoll() {
    cured(
        "epoll registrations",
        "epoll/client/epoll_ctl/ENOSPC",
        &["the user has no epoll watches left", "sysctl -w fs.epoll.max_user_watches="],
    );
}

#[test]
fn file_max() {
    cured(
        "file-max",
        "file-max/",
        &["failed with ENFILE", "the system is at its open-file limit", "sysctl -w fs.file-max="],
    );
}

/// What a run says of a full pids cgroup, of either version.
const THREADS: [&str; 4] = ["no more threads are allowed", "(threads 100 of 100)", "/pids.max", "echo "];

#[test]
fn threads_of_version_1() {
    cured("threads, version 1", "threads/client/thread/EAGAIN", &THREADS);
}

#[test]
fn threads_of_version_2() {
    cured("threads, version 2", "threads/client/thread/EAGAIN", &THREADS);
}

#[test]
fn threads_of_a_user() {
    cured(
        "threads of a user",
        "threads/client/thread/EAGAIN",
        &["no more threads are allowed", "of 100)", "ulimit -u "],
    );
}

#[test]
fn accept_queue() {
    cured(
        "accept queue",
        "listen_overflows",
        &["accept queue", "ListenOverflows +", "sysctl -w net.core.somaxconn=65535"],
    );
}

#[test]
fn syn_queue() {
    cured("SYN queue", "syn_cookies", &["SYN queue", "was full", "TCPReqQFullDoCookies +", "net.core.somaxconn=65535"]);
}

#[test]
fn syn_queue_without_cookies() {
    cured(
        "SYN queue without cookies",
        "req_q_full_drop",
        &["SYN queue", "SYNs were dropped", "TCPReqQFullDrop +", "net.core.somaxconn=65535"],
    );
}

#[test]
fn half_open_connections_without_cookies() {
    cured(
        "half-open connections without cookies",
        "syn_drop",
        &["three quarters of net.ipv4.tcp_max_syn_backlog", "SYN cookies are off", "tcp_max_syn_backlog=65535"],
    );
}

#[test]
fn time_wait() {
    cured(
        "TIME_WAIT",
        "time_wait_overflow",
        &[
            "TIME_WAIT table was full",
            "(TIME_WAIT 1,000 of 1,000)",
            "TCPTimeWaitOverflow +",
            "net.ipv4.tcp_max_tw_buckets=",
        ],
    );
}

#[test]
fn orphans() {
    cured("orphans", "abort_on_memory", &["too many orphans", "TCPAbortOnMemory +", "net.ipv4.tcp_max_orphans"]);
}

#[test]
fn tcp_memory() {
    cured(
        "TCP memory",
        "memory_pressures",
        &["passed their pressure mark", "TCPMemoryPressures +1", "sysctl -w net.ipv4.tcp_mem=\""],
    );
}

#[test]
fn neighbours() {
    cured(
        "neighbours",
        "neighbours_full",
        &["neighbour table was full", "table_fulls in /proc/net/stat +", "gc_thresh3"],
    );
}

#[test]
fn softnet() {
    cured(
        "softnet",
        "softnet_dropped",
        &["a core's backlog was full", "softnet_stat", "sysctl -w net.core.netdev_max_backlog="],
    );
}
