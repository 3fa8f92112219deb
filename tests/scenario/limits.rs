//! One scenario for each limit that stops a run: the run meets it, or with the guard comes near it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use super::Skipped;
use super::kernel::{Cgroup, Net, Undo, number, slab_objects};
use super::run::{Outcome, Run, finish};

/// The program.
pub(super) const BINARY: &str = env!("CARGO_BIN_EXE_c1m-top");

/// One limit that a run really meets.
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// Id of the limit.
    pub limit: &'static str,
    /// Most connections at 90 % of it, where that is exact.
    pub ninety: Option<u64>,
    /// Runs into the limit, up to it, or past where it was; or says why not here.
    pub run: fn(Mode<'_>) -> Result<Outcome, Skipped>,
}

/// How a scenario is run.
#[derive(Debug, Clone, Copy)]
pub enum Mode<'a> {
    /// Without the guard, into the limit.
    Meet,
    /// With the guard, which holds before it.
    Guarded,
    /// With the cure that the run which met it printed: it reaches its target.
    Cured(&'a str),
}

impl Mode<'_> {
    /// Applies a cure that is a command, inside `net`.
    pub fn apply(self, net: &Net) -> Result<(), Skipped> {
        match self {
            Mode::Cured(cure) => net.sh(command(cure)),
            _ => Ok(()),
        }
    }

    /// The value that a cure gives an option of the command line, or its `default`.
    fn option(self, name: &str, default: &str) -> String {
        let Mode::Cured(text) = self else { return format!("{name} {default}") };
        let value = text.split_once(name).and_then(|(_, rest)| rest.split([' ', ',', ')']).find(|w| !w.is_empty()));
        format!("{name} {}", value.unwrap_or_else(|| panic!("no {name} in the cure: {text}")))
    }
}

/// The first command of a cure, as one would copy it.
pub fn command(text: &str) -> &str {
    let starts = ["sysctl -w ", "echo "].iter().filter_map(|c| text.find(c)).min();
    let from = &text[starts.unwrap_or_else(|| panic!("no command in the cure: {text}"))..];
    let end = [", ", " (", "; ", " and "].iter().filter_map(|s| from.find(s)).min().unwrap_or(from.len());
    &from[..end]
}

/// Every scenario.
pub static SCENARIOS: [Scenario; 9] = [
    Scenario { name: "descriptors of the client", limit: "nofile", ninety: Some(1_800), run: client_descriptors },
    Scenario { name: "descriptors of the server", limit: "nofile", ninety: None, run: server_descriptors },
    Scenario { name: "ports", limit: "ports", ninety: Some(1_800), run: ports },
    Scenario { name: "conntrack", limit: "conntrack", ninety: Some(7_200), run: conntrack },
    Scenario { name: "memory cgroup", limit: "memcg", ninety: None, run: memory_cgroup },
    Scenario { name: "epoll registrations", limit: "epoll", ninety: None, run: epoll },
    Scenario { name: "file-max", limit: "file-max", ninety: None, run: file_max },
    Scenario { name: "threads", limit: "threads", ninety: None, run: threads },
    Scenario { name: "threads of a user", limit: "threads", ninety: None, run: threads_of_a_user },
];

/// Both ends in one process group, a sample every 100 ms. To meet a limit it goes on until it can go no further, or 20 s;
/// guarded it holds for a second; cured it ends at its target.
pub(super) fn both(command: &mut Command, mode: Mode<'_>, options: &str) {
    command.args(["--server", "--client", "127.0.0.1", "9900", "--output", "json", "--interval", "100ms"]);
    ends(command, mode);
    command.args(options.split_whitespace());
}

pub(super) fn ends(command: &mut Command, mode: Mode<'_>) {
    command.args(match mode {
        Mode::Meet => ["--no-guard", "--duration", "20s"].as_slice(),
        Mode::Guarded => &["--hold", "1s", "--duration", "40s"],
        Mode::Cured(_) => &["--hold", "200ms", "--duration", "40s"],
    });
}

/// A command inside `net` that becomes `program` after one line of shell.
pub(super) fn after(net: &Net, line: &str, program: &str) -> Command {
    let mut command = net.command("sh");
    command.args(["-c", &format!("{line} && exec \"$0\" \"$@\""), program]);
    command
}

/// A server on its own and the client with one table of 2,000.
fn client_descriptors(mode: Mode<'_>) -> Result<Outcome, Skipped> {
    let net = Net::new()?;
    let server = server(&net, "--ports 2", ":")?;
    let mut client = after(&net, "ulimit -n 2000", BINARY);
    client.args(["--client", "127.0.0.1", "9900", "--output", "json", "--interval", "100ms"]);
    client.args(mode.option("--workers", "1").split_whitespace());
    ends(&mut client, mode);
    client.args("--ports 2 --target 5k --rate 600".split_whitespace());
    let outcome = finish(client);
    server.interrupt();
    server.finish();
    outcome
}

/// A server with one small table and a client with room; what is looked at is the server's own view.
fn server_descriptors(mode: Mode<'_>) -> Result<Outcome, Skipped> {
    if matches!(mode, Mode::Guarded) {
        return Err("a server has no ramp to hold back".into());
    }
    let net = Net::new()?;
    let workers = mode.option("--workers", "1");
    let mut server = server(&net, &format!("--ports 2 {workers}"), "ulimit -n 5000")?;
    let mut command = net.command(BINARY);
    command.args(
        "--client 127.0.0.1 9900 --ports 2 --target 7k --rate 1200 --output json --duration 9s".split_whitespace(),
    );
    let mut client = Run::start(command)?;
    server.until(|o| o.event("nofile/server").is_some() || o.samples.last().is_some_and(|s| s.established >= 7_000));
    client.until(|o| !o.samples.is_empty());
    client.interrupt();
    client.finish();
    server.interrupt();
    Ok(server.finish())
}

/// A server that listens.
pub(super) fn server(net: &Net, options: &str, before: &str) -> Result<Run, Skipped> {
    let mut command = after(net, before, BINARY);
    command.args("--server --output json --interval 100ms --listen 127.0.0.1".split_whitespace());
    command.args(options.split_whitespace());
    let mut server = Run::start(command)?;
    server.until(|o| !o.samples.is_empty());
    let printed = server.printed();
    if printed.samples.is_empty() { Err(server.finish().noise) } else { Ok(server) }
}

/// The range of local ports is narrowed while the run is on its way: a plan that cannot be kept is refused at the start.
fn ports(mode: Mode<'_>) -> Result<Outcome, Skipped> {
    let net = Net::new()?;
    net.sh("echo 20000 22999 > /proc/sys/net/ipv4/ip_local_port_range")?;
    let mut command = net.command(BINARY);
    let ports = mode.option("--ports", "2");
    both(&mut command, mode, &format!("{ports} --source 127.0.0.1 --target 5k --rate 600"));
    let mut run = Run::start(command)?;
    run.until(|o| o.samples.last().is_some_and(|s| s.established > 0));
    net.sh("echo 20000 20999 > /proc/sys/net/ipv4/ip_local_port_range")?;
    Ok(run.finish())
}

fn conntrack(mode: Mode<'_>) -> Result<Outcome, Skipped> {
    let net = Net::new()?;
    net.sh("nft 'add table inet c1m; add chain inet c1m in { type filter hook input priority 0; }; \
         add rule inet c1m in ct state new,established,related accept'")?;
    let _undo = Undo::sysctl("/proc/sys/net/netfilter/nf_conntrack_max", "8000")?;
    cure_host(mode)?;
    let mut command = net.command(BINARY);
    both(&mut command, mode, "--ports 2 --target 14k --rate 2k");
    let mut run = Run::start(command)?;
    run.until(|o| o.event("stall").is_some());
    if matches!(mode, Mode::Meet) {
        run.interrupt();
    }
    Ok(run.finish())
}

/// Of 100 MiB, with swap 120, as a container has it: the one cannot be raised before the other. With the kernel's OOM killer.
fn memory_cgroup(mode: Mode<'_>) -> Result<Outcome, Skipped> {
    let net = Net::new()?;
    let group = Cgroup::new("memory", "memory.limit_in_bytes", "100M")?;
    group.set("memory.memsw.limit_in_bytes", "120M");
    cure_host(mode)?;
    let mut command = after(&net, &format!("echo $$ > {}", group.procs()), BINARY);
    both(&mut command, mode, "--ports 4 --target 30k --rate 3k");
    let outcome = finish(command);
    drop(net);
    outcome
}

/// As a user who runs nothing else, so that every registration is the run's own.
fn epoll(mode: Mode<'_>) -> Result<Outcome, Skipped> {
    let used = slab_objects("eventpoll_epi")?;
    if used > 40_000 {
        return Err(format!("other programs hold {used} epoll registrations and would meet the lowered limit"));
    }
    let _undo = Undo::sysctl("/proc/sys/fs/epoll/max_user_watches", &(used + 40_000).to_string())?;
    cure_host(mode)?;
    as_nobody(mode, ":", "--ports 4 --target 45k --rate 5k")
}

/// As a user without privilege: root is exempt.
fn file_max(mode: Mode<'_>) -> Result<Outcome, Skipped> {
    let used = number("/proc/sys/fs/file-nr")?;
    let _undo = Undo::sysctl("/proc/sys/fs/file-max", &(used + 16_000).to_string())?;
    cure_host(mode)?;
    as_nobody(mode, ":", "--ports 4 --target 12k --rate 2k")
}

/// Both ends as a user without privilege, who runs a line of shell before, from a copy that this user can read.
fn as_nobody(mode: Mode<'_>, before: &str, options: &str) -> Result<Outcome, Skipped> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let copy = dir.path().join("c1m-top");
    let copied =
        fs::copy(BINARY, &copy).and_then(|_| fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)));
    copied.map_err(|e| e.to_string())?;
    let net = Net::new()?;
    let mut command = net.command("setpriv");
    command.args(["--reuid=65534", "--clear-groups", "--pdeathsig", "TERM", "bash", "-c"]);
    command.arg(format!("{before} && exec \"$0\" \"$@\"")).arg(&copy);
    both(&mut command, mode, options);
    finish(command)
}

/// Small tables, so that workers are many: each is a thread.
fn threads(mode: Mode<'_>) -> Result<Outcome, Skipped> {
    let net = Net::new()?;
    let group = Cgroup::new("pids", "pids.max", "100")?;
    cure_host(mode)?;
    let line = format!("echo $$ > {} && ulimit -n 220", group.procs());
    let mut command = after(&net, &line, BINARY);
    both(&mut command, mode, "--ports 2 --target 14k --rate 2k");
    // The shell itself has ended by then.
    let outcome = finish(command);
    std::thread::sleep(Duration::from_millis(100));
    outcome
}

/// The same for a user whose threads are limited, and who runs nothing else.
fn threads_of_a_user(mode: Mode<'_>) -> Result<Outcome, Skipped> {
    // The soft limit alone: the user may raise it.
    let before = mode.option("ulimit -u", "100").replace("-u 100", "-S -u 100");
    as_nobody(mode, &format!("{before} && ulimit -n 220"), "--ports 2 --target 14k --rate 2k")
}

/// Applies a cure that is a command for the whole machine, whose old value somebody else keeps.
pub(super) fn cure_host(mode: Mode<'_>) -> Result<(), Skipped> {
    let Mode::Cured(text) = mode else { return Ok(()) };
    let out = Command::new("sh").args(["-c", command(text)]).output().map_err(|e| e.to_string())?;
    if out.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&out.stderr).trim().to_owned()) }
}
