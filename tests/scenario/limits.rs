//! One scenario for each limit that stops a run: the run meets it, or with the guard comes near it.

use std::fs;

use super::{Mode, NET, Scenario, as_nobody, server};
use crate::support::Need::{Cgroup, FewEpollItems, Host, NetworkNamespace, Program, Root};
use crate::support::{self, Controller, Finished, HostSetting, Need, Net, Version, slab_objects};

/// Every scenario.
pub(crate) static SCENARIOS: [Scenario; 11] = [
    Scenario::new("descriptors of the client", "nofile", NET, client_descriptors).ninety(1_800),
    Scenario::new("descriptors of the server", "nofile", NET, server_descriptors),
    Scenario::new("ports", "ports", NET, ports).ninety(1_800),
    Scenario::new("conntrack", "conntrack", &[Host, Root, NetworkNamespace, Program("nft")], conntrack).ninety(7_200),
    Scenario::new("memory cgroup, version 1", "memcg", MEMORY_V1, |mode| memory_cgroup(mode, Version::V1)),
    Scenario::new("memory cgroup, version 2", "memcg", MEMORY_V2, |mode| memory_cgroup(mode, Version::V2)),
    Scenario::new("epoll registrations", "epoll", &[Host, Root, NetworkNamespace, FewEpollItems], epoll),
    Scenario::new("file-max", "file-max", &[Host, Root, NetworkNamespace], file_max),
    Scenario::new("threads, version 1", "threads", PIDS_V1, |mode| threads(mode, Version::V1)),
    Scenario::new("threads, version 2", "threads", PIDS_V2, |mode| threads(mode, Version::V2)),
    Scenario::new("threads of a user", "threads", NET, threads_of_a_user),
];

const MEMORY_V1: &[Need] = &[Root, NetworkNamespace, Cgroup(Controller::Memory, Version::V1)];
const MEMORY_V2: &[Need] = &[Root, NetworkNamespace, Cgroup(Controller::Memory, Version::V2)];
const PIDS_V1: &[Need] = &[Root, NetworkNamespace, Cgroup(Controller::Pids, Version::V1)];
const PIDS_V2: &[Need] = &[Root, NetworkNamespace, Cgroup(Controller::Pids, Version::V2)];

/// A server on its own and the client with one table of 2,000.
fn client_descriptors(mode: Mode<'_>) -> Finished {
    let net = Net::new();
    let server = server(&net, ":", "--listen 127.0.0.1 --ports 2");
    let workers = mode.option("--workers", "1");
    let options = mode.client(&format!("{workers} --ports 2 --target 5k --rate 600"));
    let client = net.run_after("ulimit -n 2000", &options).finish();
    server.interrupt();
    client
}

/// A server with one small table and a client with room; what is looked at is the server's own view.
fn server_descriptors(mode: Mode<'_>) -> Finished {
    assert!(!matches!(mode, Mode::Guarded), "a server has no ramp to hold back");
    let net = Net::new();
    let workers = mode.option("--workers", "1");
    let mut server = server(&net, "ulimit -n 5000", &format!("--listen 127.0.0.1 --ports 2 {workers}"));
    let mut client = net.run("--client 127.0.0.1 9900 --ports 2 --target 7k --rate 1200 --duration 9s");
    server.until("the limit, or all", |p| p.event("nofile/server").is_some() || p.established() >= 7_000);
    client.until("the client", |p| !p.samples.is_empty());
    client.interrupt();
    server.interrupt()
}

/// The range of local ports is narrowed while the run is on its way: a plan that cannot be kept is refused at the start.
fn ports(mode: Mode<'_>) -> Finished {
    let net = Net::new();
    net.sh("echo 20000 22999 > /proc/sys/net/ipv4/ip_local_port_range");
    let ports = mode.option("--ports", "2");
    let mut run = net.run(&mode.both(&format!("{ports} --source 127.0.0.1 --target 5k --rate 600")));
    run.until("connections", |p| p.established() > 0);
    net.sh("echo 20000 20999 > /proc/sys/net/ipv4/ip_local_port_range");
    run.finish()
}

fn conntrack(mode: Mode<'_>) -> Finished {
    let net = Net::new();
    net.track();
    let _setting = HostSetting::set("/proc/sys/net/netfilter/nf_conntrack_max", "8000");
    mode.cure_host();
    let run = net.run(&mode.both("--ports 2 --target 14k --rate 2k"));
    mode.finish(run, "the stall", |p| p.event("stall").is_some())
}

/// Of 100 MiB, with 20 of swap, as a container has it: in version 1 the one cannot be raised before the other. With the
/// kernel's OOM killer.
fn memory_cgroup(mode: Mode<'_>, version: Version) -> Finished {
    let net = Net::new();
    let group = support::Cgroup::memory(version, "scenario", 100 << 20, Some(20 << 20));
    mode.cure_host();
    net.run_after(&group.join(), &mode.both("--ports 4 --target 30k --rate 3k")).finish()
}

/// As a user who runs nothing else, so that every registration is the run's own.
fn epoll(mode: Mode<'_>) -> Finished {
    let most = slab_objects("eventpoll_epi").unwrap() + 40_000;
    let _setting = HostSetting::set("/proc/sys/fs/epoll/max_user_watches", &most.to_string());
    mode.cure_host();
    as_nobody(mode, ":", "--ports 4 --target 45k --rate 5k")
}

/// As a user without privilege: root is exempt.
fn file_max(mode: Mode<'_>) -> Finished {
    let files = fs::read_to_string("/proc/sys/fs/file-nr").unwrap();
    let used: u64 = files.split_whitespace().next().unwrap().parse().unwrap();
    let _setting = HostSetting::set("/proc/sys/fs/file-max", &(used + 16_000).to_string());
    mode.cure_host();
    as_nobody(mode, ":", "--ports 4 --target 12k --rate 2k")
}

/// Small tables, so that workers are many: each is a thread.
fn threads(mode: Mode<'_>, version: Version) -> Finished {
    let net = Net::new();
    let group = support::Cgroup::pids(version, "scenario", 100);
    mode.cure_host();
    let before = format!("{} && ulimit -n 220", group.join());
    net.run_after(&before, &mode.both("--ports 2 --target 14k --rate 2k")).finish()
}

/// The same for a user whose threads are limited, and who runs nothing else.
fn threads_of_a_user(mode: Mode<'_>) -> Finished {
    // The soft limit alone: the user may raise it.
    let before = mode.option("ulimit -u", "100").replace("-u 100", "-S -u 100");
    as_nobody(mode, &format!("{before} && ulimit -n 220"), "--ports 2 --target 14k --rate 2k")
}
