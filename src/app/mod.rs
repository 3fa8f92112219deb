//! The composition root: modes, processes, threads, channels, shutdown. The only module that sees all others.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `plan`, `endpoint` | the command line, checked and joined; where the client connects to |
//! | `parts` | which part of a run this is, and what of the options is its own |
//! | `announce` | what a run is going to do, before it does it |
//! | `setup` | engines started or attached to, the sampler opened |
//! | `child`, `link` | an engine process; the control connection to it |
//! | `watcher` | the probe thread |
//! | `controller` | what the run does next |
//! | `run` | a run from its start to its end |
//! | `session` | one loop for every output: reports in, model updated, steps carried out |
//! | `processes`, `ending` | the engines and how they die; the end of a run, step by step |
//! | `message`, `state`, `view` | what comes to that loop; what is known; where it is shown |
//! | `recording`, `runs` | what a run is recorded into; the runs that are kept |
//! | `replay`, `player` | `runs`, and `replay` as lines and on a terminal |
//! | `past` | a run as it was at another moment |
//! | `screen` | the dashboard |
//! | `fleet`, `fleet_news`, `fleet_view` | this run as a worker of a fleet; what it hears; `c1m-top fleet` |
//! | `peers` | who is connected to a listener, when asked |
//! | `metrics`, `scrape`; `http`, `request` | a run served to Prometheus; a small HTTP server |
//! | `export` | a recording for Prometheus |
//! | `advise`, `tuning` | `check` and `tune`; sysctls set and put back |
//! | `gather`, `compare`, `report` | what recorded runs were; held against each other; as a page, a picture, a card |
//! | `merge` | the parts of a run as one recording |
//! | `engine_process` | the other side: what `c1m-top engine` runs |

mod advise;
mod announce;
mod attach;
mod child;
mod compare;
mod controller;
mod ending;
mod endpoint;
mod engine_process;
mod export;
mod fleet;
mod fleet_eyes;
mod fleet_news;
mod fleet_screen;
mod fleet_view;
mod gather;
mod http;
mod link;
mod merge;
mod message;
mod metrics;
mod no_thread;
mod parts;
mod past;
mod peers;
mod plan;
mod player;
mod print;
mod processes;
mod recording;
mod replay;
mod report;
mod request;
mod run;
mod runs;
mod scrape;
mod screen;
mod session;
mod setup;
mod state;
mod tuning;
mod view;
mod watcher;

use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use crate::cli::{Cli, Sub, Unread};
use crate::config;
use crate::units::printable;

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
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(Unread::Asked(help)) => {
            // Printing fails only when nobody reads.
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
        Err(Unread::Wrong(text)) => return failed(&Failure::Usage(text)),
    };
    let result = match cli.command {
        Some(Sub::Engine { config }) => return engine_process::run(&config),
        Some(Sub::Check(args)) => machine_is_here().and_then(|()| advise::check(&args)),
        Some(Sub::Tune(args)) => machine_is_here().and_then(|()| advise::tune(&args)),
        Some(Sub::Runs(args)) => replay::list(&args),
        Some(Sub::Replay(args)) => replay::replay(&args),
        Some(Sub::Compare(args)) => compare::run(&args),
        Some(Sub::Report(args)) => report::run(&args),
        Some(Sub::Merge(args)) => merge::run(&args),
        Some(Sub::Fleet(args)) => fleet_view::run(&args),
        Some(Sub::Config) => Ok(print_config()),
        None => machine_is_here().and_then(|()| run::run(&cli.run)),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(failure) => failed(&failure),
    }
}

/// Refuses a root directory, of a container or chroot(8), that lacks what looking at the machine and starting engines takes.
fn machine_is_here() -> Result<(), Failure> {
    for (path, name, cure) in [
        ("/proc/self/exe", "/proc", "mount -t proc proc /proc"),
        ("/dev/null", "/dev/null", "mount --rbind /dev DIR/dev"),
    ] {
        if !Path::new(path).exists() {
            return Err(Failure::Usage(format!(
                "{name} is missing, and nothing works without it; in a chroot: {cure}"
            )));
        }
    }
    Ok(())
}

/// Prints the defaults of the configuration file, and where it is looked for.
fn print_config() -> u8 {
    let path = config::path(|name| std::env::var_os(name));
    let place = path.map_or("nowhere (there is no home directory)".to_owned(), |path| path.display().to_string());
    let text = format!("# Looked for at: {}\n{}", printable(&place), config::defaults());
    // A reader that has seen enough is no failure.
    let _ = io::stdout().write_all(text.as_bytes());
    0
}

/// One line on standard error, and the exit status that goes with it.
fn failed(failure: &Failure) -> ExitCode {
    eprintln!("c1m-top: {}", printable(&failure.to_string()));
    ExitCode::from(if matches!(failure, Failure::Usage(_)) { 2 } else { 1 })
}
