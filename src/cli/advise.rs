//! The options of `check` and `tune`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{AddressArgs, EngineArgs, PartArgs, RampArgs, RunArgs, TrafficArgs, values};
use crate::units::parse_bytes;

pub(super) const CHECK_HELP: &str = "\
Whose limits: c1m-top gives each worker thread its own descriptor table, so that RLIMIT_NOFILE limits a table and not the
run, and root is exempt from fs.file-max. A server of yours (ejabberd, nginx, your own) has one table per process, which must
hold all its connections, and usually runs without privilege: use --program other. With --role both, it is the server and
c1m-top the client.

Exit status: 0 the target fits, 3 it does not, 2 bad input.

Examples:
  c1m-top check --target 1m                                     both ends here, c1m-top's own
  c1m-top check --target 1m --role server --program other       a server of yours, started from here
  c1m-top check --target 1m --role server --pid 4021            that server, running, with the limits it has
  c1m-top check --target 1m --role server --active 20% --message 1KiB
  c1m-top check --limits                                        every limit, explained";

pub(super) const TUNE_HELP: &str = "\
Without --apply or --revert nothing is changed: it prints a sysctl.d file, a limits.conf and a systemd drop-in, with a line
only where the present value is too small. --apply writes the old values to the state file, then sets the sysctls of the
running kernel. --revert puts the old values back exactly, even if --apply was interrupted. A value that somebody else has
changed since is reported and left alone, unless you add --force. After a reboot that is every value that differs, because
nothing --apply sets survives a reboot.

Exit status: 0 the target fits with what is printed, or every value was set or put back; 3 if not; 2 bad input, or a state
file that is damaged, not ours, or from before a reboot.";

/// What is checked or tuned for.
#[derive(Debug, Clone, Args)]
pub struct AskArgs {
    /// Which end of the connections is on this machine.
    #[arg(long, value_enum, default_value = "both", help_heading = "What to check for")]
    pub role: RoleArg,

    /// Whose program holds the connections.
    #[arg(long, value_enum, default_value = "c1m-top", help_heading = "What to check for")]
    pub program: ProgramArg,

    /// That other program, already running: uses its own limits, cgroup and network namespace. Implies --program other.
    #[arg(long, value_name = "PID", value_parser = values::pid, help_heading = "What to check for")]
    pub pid: Option<u32>,

    /// What the program itself needs per connection: 0, 20KiB.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "0", help_heading = "What to check for")]
    pub user_memory: u64,

    /// How many, how fast, how far.
    #[command(flatten)]
    pub ramp: RampArgs,

    /// From where and to which ports.
    #[command(flatten)]
    pub addresses: AddressArgs,

    /// Which part of a run it is.
    #[command(flatten)]
    pub parts: PartArgs,

    /// What holds the connections.
    #[command(flatten)]
    pub engines: EngineArgs,

    /// What they carry.
    #[command(flatten)]
    pub traffic: TrafficArgs,

    /// Text, or one JSON object.
    #[arg(long, value_enum, default_value = "text", help_heading = "Output")]
    pub output: ReportArg,
}

impl AskArgs {
    /// What a run of c1m-top's own engines needs.
    pub fn of_run(run: &RunArgs) -> Self {
        Self {
            role: match (run.server, run.client.is_some()) {
                (true, false) => RoleArg::Server,
                (false, true) => RoleArg::Client,
                _ => RoleArg::Both,
            },
            program: ProgramArg::Own,
            pid: None,
            user_memory: 0,
            ramp: run.ramp.clone(),
            addresses: run.addresses.clone(),
            parts: run.parts.clone(),
            engines: run.engines.clone(),
            traffic: run.traffic.clone(),
            output: ReportArg::Text,
        }
    }

    /// Whether a program other than c1m-top holds the connections.
    pub fn is_of_another_program(&self) -> bool {
        self.pid.is_some() || self.program == ProgramArg::Other
    }
}

/// Options of `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// What for.
    #[command(flatten)]
    pub ask: AskArgs,

    /// How many connections this machine would hold at what one cost in this run: a file, a number from c1m-top runs, or
    /// last.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["role", "program", "user_memory"], help_heading = "What for")]
    pub from: Option<String>,

    /// List every limit, with what it limits and where its numbers come from, and check nothing.
    #[arg(long)]
    pub limits: bool,
}

/// Options of `tune`.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct TuneArgs {
    /// What for.
    #[command(flatten)]
    pub ask: AskArgs,

    /// Print what would be set and change nothing. The default.
    #[arg(long, conflicts_with_all = ["apply", "revert"], help_heading = "Changing the machine")]
    pub dry_run: bool,

    /// Set the sysctls of the running kernel, and keep the old values in the state file.
    #[arg(long, conflicts_with = "revert", help_heading = "Changing the machine")]
    pub apply: bool,

    /// Put the old values back.
    #[arg(long, help_heading = "Changing the machine")]
    pub revert: bool,

    /// With --revert: also put back values that somebody else has changed since.
    #[arg(long, requires = "revert", help_heading = "Changing the machine")]
    pub force: bool,

    /// The state file. Default: `/var/lib/c1m-top/tune.json`; without root, under `$XDG_STATE_HOME` or `~/.local/state`.
    #[arg(long, value_name = "FILE", help_heading = "Changing the machine")]
    pub state: Option<PathBuf>,
}

/// The ends on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// The accepting end.
    Server,
    /// The connecting end.
    Client,
    /// Both.
    Both,
}

/// Whose program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgramArg {
    /// c1m-top's engines: one descriptor table per worker thread.
    #[value(name = "c1m-top")]
    Own,
    /// Any other, such as a server of yours: one descriptor table per process.
    Other,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportArg {
    /// For people.
    Text,
    /// One object.
    Json,
}
