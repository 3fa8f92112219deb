//! The options of a fleet: those of its workers, and `c1m-top fleet`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::report::ToArgs;
use super::shared::ScreenArgs;
use super::values;
use crate::fleet::Address;
use crate::units::parse_duration;

pub(super) const FLEET_HELP: &str = "\
URL is redis://[user:password@]host[:port][/db]/NAME, or rediss:// for an encrypted connection; without one it is taken from
C1M_FLEET. NAME is letters, digits, '-', '_' and '.', a letter first, at most 64. valkey:// works too. Any number of viewers can
watch.

Commands: pause, resume, rate 50k, rate max, target 800k, close. Numbers are the whole fleet's. They need the token that the
workers were started with, in C1M_FLEET_TOKEN; only the workers notice a wrong one.

Exit status: that of the worst worker's verdict; 3 if workers are missing; 2 bad input.

Examples:
  c1m-top fleet redis://10.0.0.5/night-run
  c1m-top fleet redis://10.0.0.5/night-run --output json
  c1m-top fleet redis://10.0.0.5/night-run pause";

/// What a worker of a fleet is told.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Fleet")]
pub struct WorkerArgs {
    /// Join a run on several hosts, which meet in this Redis or Valkey: `redis://10.0.0.5/night-run`. If there is a password in it,
    /// use `C1M_FLEET` instead: anyone on the host can read a command line. A worker obeys commands signed with the token in
    /// `C1M_FLEET_TOKEN`, and none without one.
    #[arg(long, value_name = "URL")]
    pub fleet: Option<Address>,

    /// Certificates of the authority that signed the store's, PEM, for rediss://. Default: the system's.
    #[arg(long, value_name = "FILE")]
    pub fleet_ca: Option<PathBuf>,

    /// Start once this many workers are ready, servers and clients, this one included. Default: all parts, with --part.
    #[arg(long, value_name = "COUNT", value_parser = values::fleet_workers)]
    pub expect_workers: Option<u32>,

    /// How long to wait for them, and at the end for a lost client whose connections are still open. Default: 2m.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub fleet_wait: Option<Duration>,

    /// What to do when another worker is lost. Default: continue.
    #[arg(long, value_enum)]
    pub on_lost: Option<OnLostArg>,
}

/// What to do when another worker is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnLostArg {
    /// Go on without it.
    Continue,
    /// Close and end, with exit status 3.
    Fail,
}

/// `c1m-top fleet`.
#[derive(Debug, Clone, Args)]
pub struct FleetArgs {
    /// Where the fleet meets, and a command to it, if any.
    #[arg(value_name = "URL|COMMAND")]
    pub words: Vec<String>,

    /// Certificates of the authority that signed the store's, PEM, for rediss://. Default: the system's.
    #[arg(long, value_name = "FILE")]
    pub fleet_ca: Option<PathBuf>,

    /// Show how the last run ended, up to an hour ago.
    #[arg(long)]
    pub last: bool,

    /// Stop watching after this long.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// How the fleet is shown: on a screen, as lines of text, or as a JSON object a second. Default: tui on a terminal, else
    /// text.
    #[arg(long, value_enum, help_heading = "Output")]
    pub output: Option<FleetOutputArg>,

    /// Where that goes.
    #[command(flatten)]
    pub to: ToArgs,

    /// How the screen looks.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// How a fleet is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FleetOutputArg {
    /// The screen.
    Tui,
    /// A line a second, and the workers' rows when they change.
    Text,
    /// An object a second.
    Json,
}
