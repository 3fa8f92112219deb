//! `c1m-top compare`: runs held against the first.

use std::io::{self, IsTerminal};
use std::path::Path;

use super::Failure;
use super::gather::{check, facts, write};
use crate::cli::{CompareArgs, CompareOutputArg};
use crate::output::{harmless, object};
use crate::report::{Comparison, Facts, Side, compare, plot, table};
use crate::units::printable;

/// Nothing is worse.
const FINE: u8 = 0;
/// Something is.
const WORSE: u8 = 5;
/// More sides than letters that anybody would read.
const MOST_SIDES: usize = 8;
/// Columns and rows of the chart where the terminal's are not known.
const CHART: (u16, u16) = (78, 18);

/// Compares.
pub(super) fn run(args: &CompareArgs) -> Result<u8, Failure> {
    if args.runs.len() < 2 {
        return Err(Failure::Usage("compare needs two runs at least: c1m-top compare BEFORE AFTER".into()));
    }
    if args.runs.len() > MOST_SIDES {
        return Err(Failure::Usage(format!("compare takes {MOST_SIDES} runs at most; join repeats by commas")));
    }
    check(&args.to)?;
    let sides: Vec<Vec<Facts>> = args.runs.iter().map(|side| side_of(side)).collect::<Result<_, _>>()?;
    let letters: Vec<Side<'_>> =
        ('A'..).zip(&sides).map(|(letter, runs)| Side { letter, runs: runs.iter().collect() }).collect();
    let comparison = compare(&letters);
    if let Some(difference) = comparison.plan_difference().filter(|_| !args.any_plan) {
        return Err(Failure::Usage(format!(
            "the runs were asked for different things, {}: compare runs of one plan, or add --any-plan",
            printable(&difference.to_string())
        )));
    }
    let text = match args.output {
        CompareOutputArg::Json => object(&comparison).map_err(|e| Failure::Internal(e.to_string()))? + "\n",
        CompareOutputArg::Markdown => harmless(&table::markdown(&comparison)),
        CompareOutputArg::Text => text(args, &comparison, &letters),
    };
    write(&args.to, &text)?;
    Ok(if comparison.worse > 0 { WORSE } else { FINE })
}

/// The runs of one side: one file whose name has a comma is that file.
fn side_of(side: &str) -> Result<Vec<Facts>, Failure> {
    if Path::new(side).exists() || !side.contains(',') {
        return Ok(vec![facts(side)?]);
    }
    let repeats: Vec<&str> = side.split(',').collect();
    if repeats.contains(&"") {
        return Err(Failure::Usage(format!("{side}: empty run name next to a comma")));
    }
    repeats.into_iter().map(facts).collect()
}

/// The table, with the chart above it.
fn text(args: &CompareArgs, comparison: &Comparison, sides: &[Side<'_>]) -> String {
    let on_terminal = args.to.output_file.is_none() && io::stdout().is_terminal();
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let coloured = on_terminal && named("NO_COLOR").is_none() && named("TERM").is_none_or(|term| term != "dumb");
    let size = crossterm::terminal::size().ok().filter(|_| on_terminal);
    let (width, height) = size.map_or(CHART, |(w, h)| (w.clamp(40, 120), (h / 2).clamp(10, 24)));
    let first = sides.iter().filter_map(|side| Some((side.letter, *side.runs.first()?)));
    let named: Vec<(char, &Facts)> = first.collect();
    table::text(comparison, &plot::memory(&named, width, height, coloured))
}
