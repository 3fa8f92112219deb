//! One scenario for each limit that stops a run: the run meets it, or with the guard comes near it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use super::Skipped;
use super::kernel::{Cgroup, Net, Undo, number, slab_objects};
use super::run::{Outcome, Run, finish};

/// The program.
const BINARY: &str = env!("CARGO_BIN_EXE_c1m-top");

/// One limit that a run really meets.
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// Id of the limit.
    pub limit: &'static str,
    /// Most connections at 90 % of it, where that is exact.
    pub ninety: Option<u64>,
    /// Runs into the limit, or with the guard up to it; or says why not here.
    pub run: fn(guard: bool) -> Result<Outcome, Skipped>,
}

/// Every scenario.
pub static SCENARIOS: [Scenario; 9] = [
    Scenario { name: "descriptors of the client", limit: "nofile", ninety: Some(4_440), run: client_descriptors },
    Scenario { name: "descriptors of the server", limit: "nofile", ninety: None, run: server_descriptors },
    Scenario { name: "ports", limit: "ports", ninety: Some(6_300), run: ports },
    Scenario { name: "conntrack", limit: "conntrack", ninety: Some(7_200), run: conntrack },
    Scenario { name: "memory cgroup", limit: "memcg", ninety: None, run: memory_cgroup },
    Scenario { name: "epoll registrations", limit: "epoll", ninety: None, run: epoll },
    Scenario { name: "file-max", limit: "file-max", ninety: None, run: file_max },
    Scenario { name: "threads", limit: "threads", ninety: None, run: threads },
    Scenario { name: "threads of a user", limit: "threads", ninety: None, run: threads_of_a_user },
];

/// Both ends in one process group, a sample every 100 ms. Unguarded it ends when it can go no further, or after 20 s; guarded
/// it holds for a second.
fn both(command: &mut Command, guard: bool, more: &str) {
    command.args(["--server", "--client", "127.0.0.1", "9900", "--output", "json", "--interval", "100ms"]);
    ends(command, guard);
    command.args(more.split_whitespace());
}

fn ends(command: &mut Command, guard: bool) {
    command.args(if guard {
        ["--hold", "1s", "--duration", "40s"].as_slice()
    } else {
        &["--no-guard", "--duration", "20s"]
    });
}

/// A command inside `net` that becomes `program` after one line of shell.
fn after(net: &Net, line: &str, program: &str) -> Command {
    let mut command = net.command("sh");
    command.args(["-c", &format!("{line} && exec \"$0\" \"$@\""), program]);
    command
}

/// A server on its own and the client's tables small.
fn client_descriptors(guard: bool) -> Result<Outcome, Skipped> {
    let net = Net::new()?;
    let server = server(&net, "--ports 2", ":")?;
    let mut client = after(&net, "ulimit -n 500", BINARY);
    client.args(["--client", "127.0.0.1", "9900", "--output", "json", "--interval", "100ms", "--workers", "10"]);
    ends(&mut client, guard);
    client.args("--ports 2 --target 10k --rate 1500".split_whitespace());
    let outcome = finish(client);
    server.interrupt();
    server.finish();
    outcome
}

/// A server with one small table and a client with room; what is looked at is the server's own view.
fn server_descriptors(guard: bool) -> Result<Outcome, Skipped> {
    if guard {
        return Err("a server has no ramp to hold back".into());
    }
    let net = Net::new()?;
    let mut server = server(&net, "--ports 2 --workers 1", "ulimit -n 5000")?;
    let mut command = net.command(BINARY);
    command.args(
        "--client 127.0.0.1 9900 --ports 2 --target 7k --rate 1200 --output json --duration 9s".split_whitespace(),
    );
    let client = Run::start(command)?;
    server.until(|o| o.event("nofile/server").is_some());
    client.interrupt();
    client.finish();
    server.interrupt();
    Ok(server.finish())
}

/// A server that listens.
fn server(net: &Net, options: &str, before: &str) -> Result<Run, Skipped> {
    let mut command = after(net, before, BINARY);
    command.args("--server --output json --interval 100ms --listen 127.0.0.1".split_whitespace());
    command.args(options.split_whitespace());
    let mut server = Run::start(command)?;
    server.until(|o| !o.samples.is_empty());
    let printed = server.printed();
    if printed.samples.is_empty() { Err(server.finish().noise) } else { Ok(server) }
}

/// The range of local ports is narrowed while the run is on its way: a plan that cannot be kept is refused at the start.
fn ports(guard: bool) -> Result<Outcome, Skipped> {
    let net = Net::new()?;
    net.sh("echo 20000 24999 > /proc/sys/net/ipv4/ip_local_port_range")?;
    let mut command = net.command(BINARY);
    both(&mut command, guard, "--ports 2 --source 127.0.0.1 --target 10k --rate 1500");
    let mut run = Run::start(command)?;
    run.until(|o| o.samples.last().is_some_and(|s| s.established > 0));
    net.sh("echo 20000 23499 > /proc/sys/net/ipv4/ip_local_port_range")?;
    Ok(run.finish())
}

fn conntrack(guard: bool) -> Result<Outcome, Skipped> {
    let net = Net::new()?;
    net.sh("nft 'add table inet c1m; add chain inet c1m in { type filter hook input priority 0; }; \
         add rule inet c1m in ct state new,established,related accept'")?;
    let _undo = Undo::sysctl("/proc/sys/net/netfilter/nf_conntrack_max", "8000")?;
    let mut command = net.command(BINARY);
    both(&mut command, guard, "--ports 2 --target 20k --rate 2k");
    let mut run = Run::start(command)?;
    run.until(|o| o.event("stall").is_some());
    if !guard {
        run.interrupt();
    }
    Ok(run.finish())
}

fn memory_cgroup(guard: bool) -> Result<Outcome, Skipped> {
    let net = Net::new()?;
    let group = Cgroup::new("memory", "memory.limit_in_bytes", "200M")?;
    let mut command = after(&net, &format!("echo $$ > {}", group.procs()), BINARY);
    both(&mut command, guard, "--ports 4 --target 100k --rate 4k");
    let outcome = finish(command);
    drop(net);
    outcome
}

/// As a user who runs nothing else, so that every registration is the run's own.
fn epoll(guard: bool) -> Result<Outcome, Skipped> {
    let used = slab_objects("eventpoll_epi")?;
    if used > 100_000 {
        return Err(format!("other programs hold {used} epoll registrations and would meet the lowered limit"));
    }
    let _undo = Undo::sysctl("/proc/sys/fs/epoll/max_user_watches", &(used + 40_000).to_string())?;
    as_nobody(guard, &[], "--ports 4 --target 60k --rate 5k")
}

/// As a user without privilege: root is exempt.
fn file_max(guard: bool) -> Result<Outcome, Skipped> {
    let used = number("/proc/sys/fs/file-nr")?;
    let _undo = Undo::sysctl("/proc/sys/fs/file-max", &(used + 16_000).to_string())?;
    as_nobody(guard, &[], "--ports 4 --target 60k --rate 2k")
}

/// Both ends as a user without privilege and with these options of prlimit, from a copy that this user can read.
fn as_nobody(guard: bool, limits: &[&str], more: &str) -> Result<Outcome, Skipped> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let copy = dir.path().join("c1m-top");
    let copied =
        fs::copy(BINARY, &copy).and_then(|_| fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)));
    copied.map_err(|e| e.to_string())?;
    let net = Net::new()?;
    let mut command = net.command("prlimit");
    command.args(limits).args(["setpriv", "--reuid=65534", "--clear-groups", "--pdeathsig", "TERM"]).arg(&copy);
    both(&mut command, guard, more);
    finish(command)
}

/// Small tables, so that workers are many: each is a thread.
fn threads(guard: bool) -> Result<Outcome, Skipped> {
    let net = Net::new()?;
    let group = Cgroup::new("pids", "pids.max", "100")?;
    let line = format!("echo $$ > {} && ulimit -n 220", group.procs());
    let mut command = after(&net, &line, BINARY);
    both(&mut command, guard, "--ports 2 --target 20k --rate 2k");
    // The shell itself has ended by then.
    let outcome = finish(command);
    std::thread::sleep(Duration::from_millis(100));
    outcome
}

/// The same for a user whose threads are limited, and who runs nothing else.
fn threads_of_a_user(guard: bool) -> Result<Outcome, Skipped> {
    as_nobody(guard, &["--nproc=100", "--nofile=220"], "--ports 2 --target 20k --rate 2k")
}
