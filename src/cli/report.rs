//! The options of `compare` and `report`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

pub(super) const COMPARE_HELP: &str = "\
Runs are held against the first, by connections and not by time: what the memory, the rate, the CPU and the latency were at
10,000, at 100,000, at 500,000. Each figure is better, the same or worse by more than it moves by itself. How much that is
is told by the run's own slopes, and by repeats where there are any: several runs of one side are joined by commas.

Exit status: 0 nothing is worse, 5 something is, 2 bad input, or the plans differ (--any-plan).

Examples:
  c1m-top compare before.c1m after.c1m
  c1m-top compare a1.c1m,a2.c1m,a3.c1m b1.c1m,b2.c1m,b3.c1m
  c1m-top compare 2 last --output markdown";

pub(super) const REPORT_HELP: &str = "\
A page (html) is one file that needs no network, no script and no style. md is for a pull request, svg a picture for a README,
card fifteen lines to be posted and compared. Several runs become a comparison with the first.

Examples:
  c1m-top report last -o run.html
  c1m-top report before.c1m after.c1m -o both.html
  c1m-top report last --output card";

/// Options of `compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// The runs: files, numbers of c1m-top runs, or last. Repeats of one side are joined by commas. The first is what the others
    /// are held against.
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<String>,

    /// Compare runs that were asked for different things.
    #[arg(long)]
    pub any_plan: bool,

    /// How the comparison is written.
    #[arg(long, value_enum, default_value = "text", help_heading = "Output")]
    pub output: CompareOutputArg,

    /// Where it goes.
    #[command(flatten)]
    pub to: ToArgs,
}

/// Options of `report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// The runs: files, numbers of c1m-top runs, or last. Of several, the first is what the others are held against.
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<String>,

    /// What is made.
    #[arg(long, value_enum, default_value = "html", help_heading = "Output")]
    pub output: ReportOutputArg,

    /// Where it goes.
    #[command(flatten)]
    pub to: ToArgs,
}

/// Where something made of runs goes.
#[derive(Debug, Clone, Args)]
pub struct ToArgs {
    /// Write to this file instead of standard output.
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output_file: Option<PathBuf>,

    /// Overwrite a file that is there already.
    #[arg(long, requires = "output_file", help_heading = "Output")]
    pub force: bool,
}

/// How a comparison is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompareOutputArg {
    /// A chart and a table.
    Text,
    /// One object.
    Json,
    /// Tables for a pull request.
    Markdown,
}

/// What a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportOutputArg {
    /// A page.
    Html,
    /// Markdown, for a pull request.
    Md,
    /// A picture, for a README.
    Svg,
    /// Fifteen lines of text.
    Card,
}
