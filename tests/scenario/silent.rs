//! Failures that stop no run by themselves: queues that overflow, tables that are full, data that nobody reads.

use std::time::Duration;

use c1m_top::protocol::Role;
use c1m_top::sys;

use super::{Mode, NET, NFT, Scenario, server, shell};
use crate::support::Need::{Host, NetworkNamespace, Program, Root, Veth};
use crate::support::{Finished, HostSetting, Net, Run};

/// Every such scenario.
pub(crate) static SILENT: [Scenario; 9] = [
    Scenario::new("accept queue", "listen_overflows", NET, accept_queue),
    Scenario::new("SYN queue", "syn_cookies", NFT, |mode| lossy(mode, "net.core.somaxconn=16")),
    Scenario::new("SYN queue without cookies", "req_q_full_drop", NFT, |mode| {
        lossy(mode, "net.core.somaxconn=16 net.ipv4.tcp_syncookies=0")
    }),
    Scenario::new("half-open connections without cookies", "syn_drop", NFT, |mode| {
        lossy(mode, "net.ipv4.tcp_max_syn_backlog=32 net.ipv4.tcp_syncookies=0")
    }),
    Scenario::new("TIME_WAIT", "time_wait_overflow", NET, time_wait),
    Scenario::new("orphans", "abort_on_memory", &[Host, Root, NetworkNamespace, Program("nft")], orphans),
    Scenario::new("TCP memory", "memory_pressures", &[Host, Root], tcp_memory),
    Scenario::new("neighbours", "neighbours_full", &[Host, Root, NetworkNamespace, Veth], neighbours),
    Scenario::new("softnet", "softnet_dropped", &[Host, Root, NetworkNamespace], softnet),
];

/// A server with room for eight in its queue, and a client that has 256 connects under way.
fn accept_queue(mode: Mode<'_>) -> Finished {
    let net = Net::new();
    net.sh("sysctl -qw net.core.somaxconn=8");
    mode.cure(&net);
    let server = server(&net, ":", "--listen 127.0.0.1 --ports 1");
    let client = net.run(&mode.client("--ports 1 --target 10k"));
    let client = mode.finish(client, "an overflow", |p| p.event("listen_overflows").is_some());
    server.interrupt();
    client
}

/// For two thirds of a second the server's answers are lost, so that connections stay half open until it repeats them.
fn lossy(mode: Mode<'_>, settings: &str) -> Finished {
    let net = Net::new();
    net.filter("output", "tcp flags & (syn|ack) == (syn|ack) drop");
    net.sh(&format!("sysctl -qw {settings}"));
    mode.cure(&net);
    let mut run = net.run(&mode.both("--ports 1 --target 500 --rate 200"));
    run.until("two thirds of a second", |p| p.samples.last().is_some_and(|s| s.t_ms > 600));
    net.sh("nft flush table inet c1m");
    mode.finish(run, "a second more", |p| p.samples.last().is_some_and(|s| s.t_ms > 1_500))
}

/// 3,000 closed by FIN, and room for 1,000.
fn time_wait(mode: Mode<'_>) -> Finished {
    let net = Net::new();
    net.sh("sysctl -qw net.ipv4.tcp_max_tw_buckets=1000");
    mode.cure(&net);
    let options = "--server --client 127.0.0.1 9900 --ports 2 --target 3k --rate 5k --hold 300ms";
    net.run(&format!("{options} --close fin --interval 100ms")).finish()
}

/// 500 closed by FIN of which no answer comes, so that each stays behind without an owner, and room for 64. The kernel counts
/// them ten times a second.
fn orphans(mode: Mode<'_>) -> Finished {
    let net = Net::new();
    let _setting = HostSetting::set("/proc/sys/net/ipv4/tcp_max_orphans", "64");
    // The whole machine's, which is not seen from a namespace: the sentence names no number.
    if let Mode::Cured(_) = mode {
        shell("sysctl -w net.ipv4.tcp_max_orphans=8192");
    }
    let options = "--server --client 127.0.0.1 9900 --ports 2 --target 500 --rate 5k --hold 1s";
    let mut run = net.run(&format!("{options} --close fin --close-rate 500 --interval 100ms"));
    run.until("the hold", |p| p.event("phase/holding").is_some());
    net.filter("output", "tcp dport 9900-9901 drop");
    run.finish()
}

/// Messages of 4 MiB to a server that stops reading. In the first network namespace, which alone shows `tcp_mem`.
/// What fills the buffers is the one message of each that waits: they are so far apart that few are half answered by then, on a
/// busy machine too, and the stop lasts until they have been sent.
fn tcp_memory(mode: Mode<'_>) -> Finished {
    let _setting = HostSetting::set("/proc/sys/net/ipv4/tcp_mem", "20000 30000 60000");
    mode.cure_host();
    let traffic = "--ports 1 --target 40 --active 100% --message 4MiB --every 1s --hold 5s";
    let mut run = Run::start(&format!("--server --client 127.0.0.1 19900 {traffic} --interval 100ms"));
    let engine = run.engine(Role::Server);
    run.until("the connections", |p| p.established() >= 40);
    std::thread::sleep(Duration::from_millis(400));
    sys::kill(engine, libc::SIGSTOP).unwrap();
    match mode {
        Mode::Cured(_) => std::thread::sleep(Duration::from_millis(1_500)),
        _ => run.until("the mark", |p| p.event("memory_pressures").is_some()),
    }
    sys::kill(engine, libc::SIGCONT).unwrap();
    run.finish()
}

/// A server with 188 clients on its link (a source for 16 connections each), and room for 100.
fn neighbours(mode: Mode<'_>) -> Finished {
    let (here, there) = (Net::new(), Net::new());
    here.join(&there);
    here.sh("ip addr add 10.9.0.1/16 dev v0 && ip route add local 10.9.1.0/24 dev lo");
    there.sh("ip addr add 10.9.0.2/16 dev v1");
    let _setting = HostSetting::set("/proc/sys/net/ipv4/neigh/default/gc_thresh3", "100");
    // The whole machine's, which is not seen from a namespace: the sentence names no number.
    if let Mode::Cured(_) = mode {
        shell("sysctl -w net.ipv4.neigh.default.gc_thresh3=4096");
    }
    let server = server(&there, ":", "--listen 10.9.0.2 --ports 1");
    let options = "--client 10.9.0.2 9900 --ports 1 --source 10.9.1.0/24 --target 3k --rate 2k";
    let client = here.run(&format!("{options} --hold 200ms --duration 5s --interval 100ms")).finish();
    let reached = client.summary().peak_established;
    assert!(!matches!(mode, Mode::Cured(_)) || reached == Some(3_000), "the client reached {reached:?}: {client:#?}");
    server.interrupt()
}

/// Packets are handed to the other core, and at most one waits there.
fn softnet(mode: Mode<'_>) -> Finished {
    let net = Net::new();
    net.sh("unshare --mount sh -c 'mount -t sysfs none /sys && echo 3 > /sys/class/net/lo/queues/rx-0/rps_cpus'");
    let _setting = HostSetting::set("/proc/sys/net/core/netdev_max_backlog", "1");
    mode.cure_host();
    let run = net.run(&mode.both("--ports 10 --target 60k"));
    mode.finish(run, "dropped packets", |p| p.alarms().iter().any(|e| e.id == "softnet_dropped"))
}
