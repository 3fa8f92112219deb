//! Failures that stop no run by themselves: queues that overflow, tables that are full, data that nobody reads.

use std::process::Command;
use std::time::Duration;

use super::Skipped;
use super::kernel::{Net, Undo, number};
use super::limits::{BINARY, Mode, Scenario, both, cure_host, ends, server};
use super::run::{Outcome, Run, engine, finish, signal};

/// Every such scenario. `limit` is the beginning of the id of its event.
pub static SILENT: [Scenario; 9] = [
    Scenario { name: "accept queue", limit: "listen_overflows", ninety: None, run: accept_queue },
    Scenario { name: "SYN queue", limit: "syn_cookies", ninety: None, run: syn_queue },
    Scenario { name: "SYN queue without cookies", limit: "req_q_full_drop", ninety: None, run: syn_queue_drop },
    Scenario { name: "half-open connections without cookies", limit: "syn_drop", ninety: None, run: syn_drop },
    Scenario { name: "TIME_WAIT", limit: "time_wait_overflow", ninety: None, run: time_wait },
    Scenario { name: "orphans", limit: "abort_on_memory", ninety: None, run: orphans },
    Scenario { name: "TCP memory", limit: "memory_pressures", ninety: None, run: tcp_memory },
    Scenario { name: "neighbours", limit: "neighbours_full", ninety: None, run: neighbours },
    Scenario { name: "softnet", limit: "softnet_dropped", ninety: None, run: softnet },
];

/// A server that does not accept, with room for 64 in its queue.
fn accept_queue(mode: Mode<'_>) -> Result<Outcome, Skipped> {
    let net = Net::new()?;
    net.sh("sysctl -qw net.core.somaxconn=64")?;
    mode.apply(&net)?;
    let server = server(&net, "--ports 1", ":")?;
    signal(engine(&server, "server"), "STOP");
    let mut command = net.command(BINARY);
    command.args("--client 127.0.0.1 9900 --ports 1 --target 2k --rate 1k --output json --interval 100ms".split(' '));
    ends(&mut command, mode);
    let mut client = Run::start(command)?;
    client.until(|o| o.event("stall").is_some());
    client.interrupt();
    let outcome = client.finish();
    signal(engine(&server, "server"), "CONT");
    server.interrupt();
    server.finish();
    Ok(outcome)
}

/// For two thirds of a second the server's answers are lost, so that connections stay half open until it repeats them.
fn lossy(mode: Mode<'_>, setting: &str) -> Result<Outcome, Skipped> {
    let net = Net::new()?;
    net.sh("nft 'add table inet c1m; add chain inet c1m out { type filter hook output priority 0; }; \
         add rule inet c1m out tcp flags & (syn|ack) == (syn|ack) drop'")?;
    net.sh(setting)?;
    mode.apply(&net)?;
    let mut command = net.command(BINARY);
    both(&mut command, mode, "--ports 1 --target 500 --rate 200");
    let mut run = Run::start(command)?;
    run.until(|o| o.samples.last().is_some_and(|s| s.t_ms > 600));
    net.sh("nft flush table inet c1m")?;
    if matches!(mode, Mode::Meet) {
        run.until(|o| o.samples.last().is_some_and(|s| s.t_ms > 1_500));
        run.interrupt();
    }
    Ok(run.finish())
}

fn syn_queue(mode: Mode<'_>) -> Result<Outcome, Skipped> {
    lossy(mode, "sysctl -qw net.core.somaxconn=16")
}

fn syn_queue_drop(mode: Mode<'_>) -> Result<Outcome, Skipped> {
    lossy(mode, "sysctl -qw net.core.somaxconn=16 net.ipv4.tcp_syncookies=0")
}

fn syn_drop(mode: Mode<'_>) -> Result<Outcome, Skipped> {
    lossy(mode, "sysctl -qw net.ipv4.tcp_max_syn_backlog=32 net.ipv4.tcp_syncookies=0")
}

/// 3,000 closed by FIN, and room for 1,000.
fn time_wait(mode: Mode<'_>) -> Result<Outcome, Skipped> {
    let net = Net::new()?;
    net.sh("sysctl -qw net.ipv4.tcp_max_tw_buckets=1000")?;
    mode.apply(&net)?;
    let mut command = net.command(BINARY);
    command.args("--server --client 127.0.0.1 9900 --ports 2 --target 3k --rate 5k --hold 300ms".split(' '));
    command.args("--close fin --output json --interval 100ms".split(' '));
    finish(command)
}

/// 500 closed by FIN of which no answer comes, so that each stays behind without an owner, and room for 64. The kernel counts
/// them ten times a second.
fn orphans(mode: Mode<'_>) -> Result<Outcome, Skipped> {
    let net = Net::new()?;
    let _undo = Undo::sysctl("/proc/sys/net/ipv4/tcp_max_orphans", "64")?;
    // The whole machine's, which is not seen from a namespace: the sentence names no number.
    if let Mode::Cured(_) = mode {
        cure_host(Mode::Cured("sysctl -w net.ipv4.tcp_max_orphans=8192"))?;
    }
    let mut command = net.command(BINARY);
    command.args("--server --client 127.0.0.1 9900 --ports 2 --target 500 --rate 5k --hold 1s".split(' '));
    command.args("--close fin --close-rate 500 --output json --interval 100ms".split(' '));
    let mut run = Run::start(command)?;
    run.until(|o| o.event("phase/holding").is_some());
    net.sh("nft 'add table inet c1m; add chain inet c1m out { type filter hook output priority 0; }; \
         add rule inet c1m out tcp dport 9900-9901 drop'")?;
    Ok(run.finish())
}

/// Messages of 4 MiB to a server that stops reading. In the first network namespace, which alone shows `tcp_mem`.
fn tcp_memory(mode: Mode<'_>) -> Result<Outcome, Skipped> {
    let _undo = Undo::sysctl("/proc/sys/net/ipv4/tcp_mem", "20000 30000 60000")?;
    cure_host(mode)?;
    let mut command = Command::new(BINARY);
    command.args("--server --client 127.0.0.1 19900 --ports 1 --target 40 --active 100% --message 4MiB".split(' '));
    command.args("--every 200ms --hold 4s --output json --interval 100ms".split(' '));
    let mut run = Run::start(command)?;
    run.until(|o| o.samples.last().is_some_and(|s| s.established >= 40));
    std::thread::sleep(Duration::from_millis(400));
    signal(engine(&run, "server"), "STOP");
    match mode {
        Mode::Cured(_) => std::thread::sleep(Duration::from_millis(1_500)),
        _ => run.until(|o| o.event("echo_stall").is_some()),
    }
    signal(engine(&run, "server"), "CONT");
    run.until(|o| o.summary.is_some());
    Ok(run.finish())
}

/// A server with 188 clients on its link (a source for 16 connections each), and room for 100.
fn neighbours(mode: Mode<'_>) -> Result<Outcome, Skipped> {
    const MOST: &str = "/proc/sys/net/ipv4/neigh/default/gc_thresh3";
    let (here, there) = (Net::new()?, Net::new()?);
    number(MOST)?;
    here.join(&there)?;
    here.sh("ip addr add 10.9.0.1/16 dev v0 && ip route add local 10.9.1.0/24 dev lo")?;
    there.sh("ip addr add 10.9.0.2/16 dev v1")?;
    let _undo = Undo::sysctl(MOST, "100")?;
    // The whole machine's, which is not seen from a namespace: the sentence names no number.
    if let Mode::Cured(_) = mode {
        cure_host(Mode::Cured("sysctl -w net.ipv4.neigh.default.gc_thresh3=4096"))?;
    }
    let mut command = there.command(BINARY);
    command.args("--server --listen 10.9.0.2 --ports 1 --output json --interval 100ms".split(' '));
    let mut server = Run::start(command)?;
    server.until(|o| !o.samples.is_empty());
    let mut command = here.command(BINARY);
    command
        .args("--client 10.9.0.2 9900 --ports 1 --source 10.9.1.0/24 --target 3k --rate 2k --output json".split(' '));
    command.args("--hold 200ms --duration 5s --interval 100ms".split(' '));
    let client = finish(command)?;
    let reached = client.summary.as_ref().and_then(|s| s.peak_established);
    if matches!(mode, Mode::Cured(_)) && reached != Some(3_000) {
        return Err(format!("the client reached {reached:?}: {:#?}", client.events));
    }
    server.interrupt();
    Ok(server.finish())
}

/// Packets are handed to the other core, and at most one waits there.
fn softnet(mode: Mode<'_>) -> Result<Outcome, Skipped> {
    let net = Net::new()?;
    net.sh("unshare --mount sh -c 'mount -t sysfs none /sys && echo 3 > /sys/class/net/lo/queues/rx-0/rps_cpus'")?;
    let _undo = Undo::sysctl("/proc/sys/net/core/netdev_max_backlog", "1")?;
    cure_host(mode)?;
    let mut command = net.command(BINARY);
    both(&mut command, mode, "--ports 10 --target 60k");
    let mut run = Run::start(command)?;
    if matches!(mode, Mode::Meet) {
        run.until(|o| o.alarms().iter().any(|e| e.id == "softnet_dropped"));
        run.interrupt();
    }
    Ok(run.finish())
}
