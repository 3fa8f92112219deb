//! Real limits on the real kernel, met, guarded and cured: runs of the program in namespaces, in cgroups, and under settings
//! that are put back whatever happens.

#![expect(dead_code, reason = "shared by tests and a benchmark, each of which uses its part")]
#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

pub(crate) mod limits;
mod silent;
pub(crate) mod standstill;

use std::process::Command;

use crate::support::{AS_NOBODY, BINARY, Finished, Home, NOBODY, Need, Net, Printed, Run, succeed};

/// One limit that a run really meets.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Id of the limit, or the beginning of the id of its event.
    pub(crate) limit: &'static str,
    /// Most connections at 90 % of it, where that is exact.
    pub(crate) ninety: Option<u64>,
    pub(crate) needs: &'static [Need],
    /// Runs into the limit, up to it, or past where it was.
    pub(crate) run: fn(Mode<'_>) -> Finished,
}

impl Scenario {
    /// One whose count at 90 % is not exact.
    const fn new(
        name: &'static str,
        limit: &'static str,
        needs: &'static [Need],
        run: fn(Mode<'_>) -> Finished,
    ) -> Self {
        Self { name, limit, ninety: None, needs, run }
    }

    /// The same with that count.
    const fn ninety(self, connections: u64) -> Self {
        Self { ninety: Some(connections), ..self }
    }
}

/// Needed by a run in a namespace.
const NET: &[Need] = &[Need::Root, Need::NetworkNamespace];

/// And by one whose packets are looked at.
const NFT: &[Need] = &[Need::Root, Need::NetworkNamespace, Need::Program("nft")];

/// The scenario of this name.
pub(crate) fn scenario(name: &str) -> &'static Scenario {
    limits::SCENARIOS.iter().chain(&silent::SILENT).find(|s| s.name == name).unwrap()
}

/// How a scenario is run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mode<'a> {
    /// Without the guard, into the limit.
    Meet,
    /// With the guard, which holds before it.
    Guarded,
    /// With the cure that the run which met it printed: it reaches its target.
    Cured(&'a str),
}

impl Mode<'_> {
    /// Options of how it ends. To meet a limit it goes on until it can go no further, or 20 s; guarded it holds for a second;
    /// cured it ends at its target.
    fn end(self) -> &'static str {
        match self {
            Mode::Meet => "--no-guard --duration 20s",
            Mode::Guarded => "--hold 1s --duration 40s",
            Mode::Cured(_) => "--hold 200ms --duration 40s",
        }
    }

    /// Options of both ends in one process group, a sample every 100 ms.
    fn both(self, options: &str) -> String {
        format!("--server --client 127.0.0.1 9900 --interval 100ms {} {options}", self.end())
    }

    /// Options of a client whose server is apart.
    fn client(self, options: &str) -> String {
        format!("--client 127.0.0.1 9900 --interval 100ms {} {options}", self.end())
    }

    /// Applies a cure that is a command, inside `net`.
    fn cure(self, net: &Net) {
        if let Mode::Cured(cure) = self {
            net.sh(command(cure));
        }
    }

    /// Applies a cure that is a command for the whole machine, or for a cgroup, which has the same name in each run of a
    /// scenario; who made the limit puts it back.
    fn cure_host(self) {
        if let Mode::Cured(cure) = self {
            shell(command(cure));
        }
    }

    /// The value that a cure gives an option of the command line, or its `default`.
    fn option(self, name: &str, default: &str) -> String {
        let Mode::Cured(text) = self else { return format!("{name} {default}") };
        let value = text.split_once(name).and_then(|(_, rest)| rest.split([' ', ',', ')']).find(|w| !w.is_empty()));
        format!("{name} {}", value.unwrap_or_else(|| panic!("no {name} in the cure: {text}")))
    }

    /// Waits for what shows that the limit was met, and ends the run then; one that is to pass ends by itself.
    fn finish(self, mut run: Run, what: &str, met: impl Fn(&Printed) -> bool) -> Finished {
        if !matches!(self, Mode::Meet) {
            return run.finish();
        }
        run.until(what, met);
        run.interrupt()
    }
}

/// Runs a line of shell on this machine.
fn shell(line: &str) {
    succeed(Command::new("sh").args(["-c", line]));
}

/// The first command of a cure, as one would copy it.
fn command(text: &str) -> &str {
    let starts = ["sysctl -w ", "echo "].iter().filter_map(|c| text.find(c)).min();
    let from = &text[starts.unwrap_or_else(|| panic!("no command in the cure: {text}"))..];
    let end = [", ", " (", "; ", " and "].iter().filter_map(|s| from.find(s)).min().unwrap_or(from.len());
    &from[..end]
}

/// A server that listens, after a line of shell.
pub(crate) fn server(net: &Net, before: &str, options: &str) -> Run {
    let mut server = net.run_after(before, &format!("--server --interval 100ms {options}"));
    server.until("the server", |p| !p.samples.is_empty());
    server
}

/// Both ends as a user without privilege, who runs a line of shell before, from a copy that this user can read.
fn as_nobody(mode: Mode<'_>, before: &str, options: &str) -> Finished {
    let home = Home::of_user(NOBODY);
    let copy = home.join("c1m-top");
    std::fs::copy(BINARY, &copy).unwrap();
    let net = Net::new();
    let mut shell = net.command(AS_NOBODY[0]);
    // Of the shells this one has `ulimit -u`.
    shell.args(&AS_NOBODY[1..]).args(["bash", "-c"]);
    let directories = format!("XDG_RUNTIME_DIR={0}/run XDG_STATE_HOME={0}/state", home.display());
    shell.arg(format!("{before} && export {directories} && exec \"$0\" \"$@\"")).arg(&copy).args(["--output", "json"]);
    Run::spawn(shell.args(mode.both(options).split_whitespace())).finish()
}
