//! `c1m-top report`: a run, or several, for whoever was not there.

use super::Failure;
use super::gather::{check, facts, write};
use crate::cli::{ReportArgs, ReportOutputArg};
use crate::output::harmless;
use crate::report::{Facts, card, markdown, page, picture};

/// More than a page can show side by side.
const MOST: usize = 8;

/// Writes the report.
pub(super) fn run(args: &ReportArgs) -> Result<u8, Failure> {
    if args.runs.len() > MOST {
        return Err(Failure::Usage(format!("a report takes {MOST} runs at most")));
    }
    if args.output == ReportOutputArg::Svg && args.runs.len() > 1 {
        return Err(Failure::Usage("--output svg is of one run: name one, or write --output html".into()));
    }
    check(&args.to)?;
    let runs: Vec<Facts> = args.runs.iter().map(|run| facts(run)).collect::<Result<_, _>>()?;
    let text = match args.output {
        ReportOutputArg::Html => page::write(&runs),
        ReportOutputArg::Svg => picture::write(&runs[0]),
        ReportOutputArg::Md => harmless(&markdown::write(&runs)),
        ReportOutputArg::Card => harmless(&runs.iter().map(card::write).collect::<Vec<_>>().join("\n")),
    };
    write(&args.to, &text)?;
    Ok(0)
}
