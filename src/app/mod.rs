//! The composition root: modes, processes, threads, channels, shutdown. The only module that sees all others.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `plan` | the command line, checked and joined |
//! | `setup` | engines started or attached to, the sampler opened |
//! | `child`, `link` | an engine process; the control connection to it |
//! | `watcher` | the probe thread |
//! | `controller` | what the run does next |
//! | `session` | one loop for every output: reports in, model updated, steps carried out |
//! | `screen`, `lines` | the dashboard; text and JSON |
//! | `advise`, `tuning` | `check` and `tune`; sysctls set and put back |
//! | `engine_process` | the other side: what `c1m-top engine` runs |

mod advise;
mod attach;
mod child;
mod controller;
mod engine_process;
mod lines;
mod link;
mod plan;
mod screen;
mod session;
mod setup;
mod summary_text;
mod tuning;
mod watcher;

use std::fmt;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::{Cli, Sub};
use crate::model::Verdict;

/// Why the program ends without having run.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was asked for cannot be: one line for the user, exit status 2.
    Usage(String),
    /// Something of ours failed: exit status 1.
    Internal(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(text) | Failure::Internal(text) => f.write_str(text),
        }
    }
}

/// Parses the command line and runs; the exit status is part of the machine interface.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return parse_failed(&e),
    };
    let result = match cli.command {
        Some(Sub::Engine { config }) => return engine_process::run(&config),
        Some(Sub::Check(args)) => advise::check(&args),
        Some(Sub::Tune(args)) => advise::tune(&args),
        None => session::run(&cli.run).map(status),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            eprintln!("c1m-top: {failure}");
            ExitCode::from(if matches!(failure, Failure::Usage(_)) { 2 } else { 1 })
        }
    }
}

/// Exit status of a run that ran.
fn status(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::TargetReached | Verdict::Interrupted => 0,
        Verdict::LimitHit | Verdict::GuardStopped => 3,
        Verdict::EngineKilled => 4,
    }
}

/// Help and version as clap prints them; an error in one line.
fn parse_failed(e: &clap::Error) -> ExitCode {
    if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Printing fails only when nobody reads.
        let _ = e.print();
        return ExitCode::SUCCESS;
    }
    let text = e.to_string();
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    let first = lines.next().unwrap_or("unreadable command line").trim_start_matches("error: ").to_owned();
    // A list (missing or conflicting arguments) follows a colon.
    let list: Vec<&str> =
        if first.ends_with(':') { lines.take_while(|l| l.starts_with(['-', '<'])).collect() } else { Vec::new() };
    let list = list.join(", ");
    eprintln!("c1m-top: {first}{}{list} (see c1m-top --help)", if list.is_empty() { "" } else { " " });
    ExitCode::from(2)
}
