//! The options of `merge`.

use std::path::PathBuf;

use clap::Args;

pub(super) const MERGE_HELP: &str = "\
Takes the recordings of the parts of one run (--part 2/5) and, if there is one, that of its server. The merged run is a recording
like any other, for report, compare, replay and runs cat; each part is still in it. docs/parts.md says how each figure is made.

Exit status: 0 written, 2 the runs are not the parts of one run.

Examples:
  c1m-top merge part1.c1m part2.c1m part3.c1m -o all.c1m
  c1m-top merge server.c1m client*.c1m -o all.c1m --partial";

/// Options of `merge`.
#[derive(Debug, Clone, Args)]
pub struct MergeArgs {
    /// The parts: files, numbers of c1m-top runs, or last.
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<String>,

    /// Merge what there is, even if parts are missing or do not fit. The result says what is missing and what was left out.
    #[arg(long)]
    pub partial: bool,

    /// The file to write.
    #[arg(short, long, value_name = "FILE", required = true, help_heading = "Output")]
    pub output_file: PathBuf,

    /// Overwrite a file that is there already.
    #[arg(long, help_heading = "Output")]
    pub force: bool,
}
