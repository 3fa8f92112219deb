//! Network namespaces: one that a whole test runs in, and any number that stand for hosts.

use std::ffi::OsStr;
use std::fs;
use std::process::{Command, Stdio};

use c1m_top::sys;

use super::{BINARY, Need, Run, Started, are_met, run_again, succeed};

/// Set, to the name of the test, inside the namespace.
const INSIDE: &str = "C1M_TOP_TEST_NAMESPACE";

/// Runs the whole test in a network namespace of its own, as its first statement: the test starts itself again in one, so
/// that its own sockets are there too, and is over outside.
#[macro_export]
macro_rules! own_namespace {
    () => {
        if !$crate::support::is_in_own_namespace($crate::test_name!()) {
            return;
        }
    };
}

/// As [`own_namespace!`](crate::own_namespace), with process ids of its own too: whatever the test starts, and what that
/// starts in turn, ends with it. Takes root.
#[macro_export]
macro_rules! own_processes {
    () => {
        if !$crate::support::is_among_own_processes($crate::test_name!()) {
            return;
        }
    };
}

/// Whether this is the test inside its namespace; else runs it there. `name` is its full name (`module::function`).
pub(crate) fn is_in_own_namespace(name: &str) -> bool {
    is_inside(name, &[Need::NetworkNamespace], || unshare(r#"exec "$0" "$@""#))
}

/// As [`is_in_own_namespace`], with process ids of its own.
pub(crate) fn is_among_own_processes(name: &str) -> bool {
    is_inside(name, &[Need::Root, Need::PidNamespace], || contained(r#""$0" "$@""#))
}

fn is_inside(name: &str, needs: &[Need], enter: impl Fn() -> Command) -> bool {
    if std::env::var(INSIDE).is_ok_and(|inside| inside == name) {
        return true;
    }
    if are_met(name, needs) {
        run_again(name, enter().arg(std::env::current_exe().unwrap()).env(INSIDE, name));
    }
    false
}

/// A shell that is the first process of new namespaces, the network's with loopback up. When it ends, or the thread that
/// started it, every process in there is killed.
pub(super) fn contained(line: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args("--pdeathsig KILL unshare --net --pid --fork --kill-child --mount-proc sh -c".split(' '));
    command.arg(format!("ip link set lo up && {line}"));
    command
}

/// A shell in a new network namespace whose loopback is up.
fn unshare(line: &str) -> Command {
    let mut command = Command::new("unshare");
    command.arg("--net");
    if sys::euid() != 0 {
        // Without root a user namespace gives the right to make the other, where the machine allows it.
        command.arg("--map-root-user");
    }
    command.args(["sh", "-c", &format!("ip link set lo up && {line}")]);
    command
}

/// Why no network namespace can be made in which this line of shell succeeds.
pub(crate) fn refused(line: &str) -> Option<String> {
    match unshare(line).output() {
        Ok(out) if out.status.success() => None,
        Ok(out) => Some(String::from_utf8_lossy(&out.stderr).lines().next().unwrap_or("unshare failed").to_owned()),
        Err(e) => Some(format!("unshare: {e}")),
    }
}

/// A network namespace that lives as long as this. The test requires `Root` and `NetworkNamespace`, or is in a namespace of
/// its own.
#[derive(Debug)]
pub(crate) struct Net(Started);

impl Net {
    /// Makes one, with loopback up.
    pub(crate) fn new() -> Self {
        // It becomes cat when loopback is up, and ends with the test whatever becomes of that.
        let mut holder = unshare("exec cat");
        Self(Started::become_program(holder.stdin(Stdio::piped()).stdout(Stdio::null()), "cat"))
    }

    /// Process that holds it.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// A program to be run inside. nsenter(1) becomes it, so that the process id is the program's.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.pid())).arg(program);
        command
    }

    /// Starts c1m-top inside.
    pub(crate) fn run(&self, options: &str) -> Run {
        self.run_after(":", options)
    }

    /// Starts c1m-top inside, after a line of shell.
    pub(crate) fn run_after(&self, line: &str, options: &str) -> Run {
        let mut command = self.command("sh");
        command.args(["-c", &format!("{line} && exec \"$0\" \"$@\""), BINARY, "--output", "json"]);
        Run::spawn(command.args(options.split_whitespace()))
    }

    /// Runs a line of shell inside; what it prints.
    #[track_caller]
    pub(crate) fn sh(&self, line: &str) -> String {
        succeed(self.command("sh").args(["-c", line]))
    }

    /// Adds a rule for what comes in (`input`) or leaves (`output`), in a table of its own. The test requires nft.
    #[track_caller]
    pub(crate) fn filter(&self, hook: &str, rule: &str) {
        let chain = format!("add chain inet c1m {hook} {{ type filter hook {hook} priority 0; }}");
        self.sh(&format!("nft 'add table inet c1m; {chain}; add rule inet c1m {hook} {rule}'"));
    }

    /// Tracks its connections, by a rule that matches their states. The test requires nft.
    pub(crate) fn track(&self) {
        self.filter("input", "ct state new,established,related accept");
    }

    /// Joins two by a veth pair: 10.9.0.1 here, 10.9.0.2 there.
    pub(crate) fn join(&self, other: &Net) {
        self.sh(&format!("ip link add v0 type veth peer name v1 netns {}", other.pid()));
        self.sh("ip addr add 10.9.0.1/24 dev v0 && ip link set v0 up");
        other.sh("ip addr add 10.9.0.2/24 dev v1 && ip link set v1 up");
    }

    /// A field of its sockstat.
    pub(crate) fn sockstat(&self, field: &str) -> u64 {
        sockstat_of(&self.pid().to_string(), field)
    }
}

/// A field of the TCP line of sockstat (`inuse`, `tw`) in this network namespace. `inuse` adds the IPv6 sockets.
pub(crate) fn sockstat(field: &str) -> u64 {
    sockstat_of("self", field)
}

fn sockstat_of(process: &str, field: &str) -> u64 {
    let read = |file: &str, protocol: &str| {
        let text = fs::read_to_string(format!("/proc/{process}/net/{file}")).unwrap();
        let line = text.lines().find_map(|l| l.strip_prefix(protocol)).unwrap_or_default().to_owned();
        let mut words = line.split_whitespace().skip_while(|w| *w != field).skip(1);
        words.next().map_or(0, |n| n.parse::<u64>().unwrap())
    };
    read("sockstat", "TCP:") + read("sockstat6", "TCP6:")
}
