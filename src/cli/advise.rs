//! The options of `check` and `tune`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::Source;
use crate::units::{parse_bytes, parse_count, parse_duration, parse_percent};

pub(super) const CHECK_HELP: &str = "\
Whose limits: c1m-top gives each worker thread a descriptor table of its own, so that RLIMIT_NOFILE bounds a table and not
the run, and root is exempt from fs.file-max. A server of yours (ejabberd, nginx, your own) has one table a process, which
must hold all of its connections, and usually runs without privilege. --program other reckons with that; with --role both
it is the server, and c1m-top the client.

Exit status: 0 the target fits, 3 it does not, 2 bad input.

Examples:
  c1m-top check --target 1m                                     both ends here, c1m-top's own
  c1m-top check --target 1m --role server --program other       a server of yours, as started from here
  c1m-top check --target 1m --role server --pid 4021            that server, running, with the limits it has
  c1m-top check --target 1m --role server --active 20% --message 1KiB
  c1m-top check --limits                                        every limit there is, in words";

pub(super) const TUNE_HELP: &str = "\
Without --apply or --revert nothing is changed: a sysctl.d file, a limits.conf and a systemd drop-in are printed, a line
only where the present value is too small. --apply sets the running sysctls and writes the old values to the state file
first. --revert puts those back exactly, also when --apply was interrupted. A value that somebody else has changed since is
named and left as it is, unless --force is given; after a reboot that is every value that is not the old one, because
nothing that --apply set outlives a reboot.

Exit status: 0 the target fits with what is printed, or all lines were set or put back; 3 not so; 2 bad input, or a state
file that is torn, foreign or of another boot.";

/// What is checked or tuned for.
#[derive(Debug, Clone, Args)]
pub struct AskArgs {
    /// Connections: 200k, 1m.
    #[arg(long, value_name = "COUNT", value_parser = parse_count, default_value = "1m")]
    pub target: u64,

    /// The ends of the connections on this machine.
    #[arg(long, value_enum, default_value = "both")]
    pub role: RoleArg,

    /// Whose program holds the connections.
    #[arg(long, value_enum, default_value = "c1m-top")]
    pub program: ProgramArg,

    /// That other program, running: its own limits, cgroup and network namespace count. Implies --program other.
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,

    /// First port.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,

    /// Number of consecutive ports. Default: 100, as a run has it; 1 with --program other.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub ports: Option<u16>,

    /// Addresses the client connects from, or a prefix, separated by commas.
    #[arg(long, value_name = "IP|PREFIX", value_delimiter = ',')]
    pub source: Vec<Source>,

    /// c1m-top: worker threads of each engine. Another program: processes that share the connections evenly.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub workers: Option<u32>,

    /// Connections per second to reckon with where the clients are elsewhere.
    #[arg(long, value_name = "PER SECOND", value_parser = parse_count, default_value = "50k")]
    pub rate: u64,

    /// Share of the connections that carry messages: 20%.
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    pub active: Option<f64>,

    /// Size of a message, sent and echoed: 512, 1KiB.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "64")]
    pub message: u64,

    /// Time between two messages of one connection.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1s")]
    pub every: Duration,

    /// The share of a limit at which the guard of a run with c1m-top's client would hold.
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent, default_value = "90%")]
    pub guard: f64,

    /// Reckon with a run to the brim of every limit.
    #[arg(long, conflicts_with = "guard")]
    pub no_guard: bool,

    /// What the program itself needs for each connection: 0, 20KiB.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "0")]
    pub user_memory: u64,

    /// Text, or one JSON object.
    #[arg(long, value_enum, default_value = "text")]
    pub output: ReportArg,
}

/// Options of `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// What for.
    #[command(flatten)]
    pub ask: AskArgs,

    /// List every limit there is, with what it bounds and where its numbers are read, and check nothing.
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

    /// Print what would be set and change nothing: the default.
    #[arg(long, conflicts_with_all = ["apply", "revert"], help_heading = "Changing the machine")]
    pub dry_run: bool,

    /// Set the running sysctl values, and keep the old ones in the state file.
    #[arg(long, conflicts_with = "revert", help_heading = "Changing the machine")]
    pub apply: bool,

    /// Put the old values back.
    #[arg(long, help_heading = "Changing the machine")]
    pub revert: bool,

    /// With --revert: also values that somebody else has changed since.
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
    /// c1m-top's engines: a descriptor table for each worker thread.
    #[value(name = "c1m-top")]
    Own,
    /// Any other, a server of yours: one table a process.
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
