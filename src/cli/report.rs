//! The options of `compare` and `report`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

pub(super) const COMPARE_HELP: &str = "\
Compares runs with the first one by connection count, not by time: memory, rate, CPU and latency at 10,000, at 100,000, at
500,000. Each figure is better, the same or worse; better and worse mean by more than noise. Noise comes from the run's own
slopes, and from repeats if you have them: join several runs of one side with commas.

Exit status: 0 nothing is worse, 5 something is worse, 2 bad input or different plans (see --any-plan).

Examples:
  c1m-top compare before.c1m after.c1m
  c1m-top compare a1.c1m,a2.c1m,a3.c1m b1.c1m,b2.c1m,b3.c1m
  c1m-top compare 2 last --output markdown";

pub(super) const REPORT_HELP: &str = "\
html is a single page that needs no network, script or style sheet; md is for a pull request, svg a picture for a README, card
fifteen lines to post and compare. Several runs are compared with the first.

Examples:
  c1m-top report last -o run.html
  c1m-top report before.c1m after.c1m -o both.html
  c1m-top report last --output card";

/// Options of `compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// The runs: files, numbers of c1m-top runs, or last. Join repeats of one side with commas. The others are compared with
    /// the first.
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<String>,

    /// Compare runs even if their plans differ.
    #[arg(long)]
    pub any_plan: bool,

    /// Format of the comparison.
    #[arg(long, value_enum, default_value = "text", help_heading = "Output")]
    pub output: CompareOutputArg,

    /// Where it goes.
    #[command(flatten)]
    pub to: ToArgs,
}

/// Options of `report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// The runs: files, numbers of c1m-top runs, or last. Several are compared with the first.
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<String>,

    /// Format of the report.
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
