//! The options of `runs` and `replay`.

use clap::{Args, Subcommand};

use super::advise::ReportArg;
use super::report::ToArgs;
use super::shared::ScreenArgs;
use super::values::{self, OutputArg};
use crate::model::Expect;

pub(super) const RUN_HELP: &str = "\
RUN is a file written by --record, a number from c1m-top runs (1 is the newest), or last.";

pub(super) const REPLAY_HELP: &str = "\
RUN is a file written by --record, a number from c1m-top runs (1 is the newest), or last.

On the screen, Space plays and pauses, . and , change the speed; the arrows move through time (ten steps with Shift), [ and ]
from event to event, :12m goes to a time, :1m conns to a count, End to the end of the run.";

/// `c1m-top runs`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct RunsArgs {
    /// What to do instead of listing the runs.
    #[command(subcommand)]
    pub command: Option<RunsSub>,

    /// Text, or one JSON object.
    #[arg(long, value_enum, default_value = "text")]
    pub output: ReportArg,
}

/// What can be done with a run.
#[derive(Debug, Clone, Subcommand)]
pub enum RunsSub {
    /// Write a run as JSON, one object per line, for jq.
    #[command(after_help = RUN_HELP)]
    Cat {
        /// Which.
        #[arg(value_name = "RUN")]
        run: String,
    },
    /// Write a run for another program to load.
    #[command(after_help = RUN_HELP)]
    Export {
        /// As text with times, which promtool tsdb create-blocks-from openmetrics loads into Prometheus.
        #[arg(long, required = true)]
        openmetrics: bool,
        /// Which.
        #[arg(value_name = "RUN")]
        run: String,
        /// Where it goes.
        #[command(flatten)]
        to: ToArgs,
    },
}

/// `c1m-top replay`.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// Which.
    #[arg(value_name = "RUN")]
    pub run: String,

    /// How it is shown. Default: tui on a terminal, else text. text and json are what the run itself wrote, line for line.
    #[arg(long, value_parser = values::output(), help_heading = "Output")]
    pub output: Option<OutputArg>,

    /// Where text or JSON goes.
    #[command(flatten)]
    pub to: ToArgs,

    /// Hold its summary against a number: `bytes_per_connection.total < 9000`, and write what came of it, a line each. Exit
    /// status 5 where one fails.
    #[arg(long, value_name = "KEY < NUMBER", help_heading = "Output")]
    pub expect: Vec<Expect>,

    /// How the screen looks.
    #[command(flatten)]
    pub screen: ScreenArgs,
}
