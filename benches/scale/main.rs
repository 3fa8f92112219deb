//! `cargo bench --bench scale [-- COUNT… --warm --json FILE]`: the program at 100 k, 500 k, 1 M and 2.5 M connections against
//! what the kernel lets a connection cost at the least. Both ends are on this machine; all of it is measured in one run.

#![expect(clippy::cast_precision_loss, reason = "rates and means of counts far below 2^52")]

mod floor;
mod holder;
#[path = "../measure/mod.rs"]
mod measure;
mod pairs;
mod run;
mod slope;
#[path = "../../tests/support/mod.rs"]
mod support;
mod table;
mod warm;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use c1m_top::units::parse_count;

use holder::{MassClose, OneCore};
use measure::kernel::{self, Sockets};
use measure::numbers::short;
use measure::{Interrupted, Outcome};
use table::Report;

/// Counts run without arguments.
const COUNTS: [u64; 4] = [100_000, 500_000, 1_000_000, 2_500_000];

/// One core is compared up to here: beyond, the program needs more source addresses, which that side has not.
const ONE_CORE_MOST: u64 = 1_000_000;

/// Where the kernel takes so long to take back what a run held, something else is wrong.
const SETTLE: Duration = Duration::from_mins(1);

fn main() -> ExitCode {
    let Some(arguments) = measure::arguments() else {
        println!("scale: a benchmark, run by `cargo bench --bench scale`");
        return ExitCode::SUCCESS;
    };
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        [warm::TOUCH, size] => size.parse().map_err(Into::into).map(warm::touch),
        [holder::HOLD, count, how] => {
            parse_count(count).map_err(Into::into).and_then(|n| holder::hold(usize::try_from(n)?, *how == "rst"))
        }
        words => scale(words),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("scale: {e}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
struct Options {
    counts: Vec<u64>,
    /// File for the numbers.
    json: Option<String>,
    /// Memory is touched before each run.
    warm: bool,
}

fn options(words: &[&str]) -> Outcome<Options> {
    let (mut counts, mut json, mut warm) = (Vec::new(), None, false);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if *word == "--json" {
            json = Some((*words.next().ok_or("--json needs a file")?).to_owned());
        } else if *word == "--warm" {
            warm = true;
        } else {
            counts.push(parse_count(word)?);
        }
    }
    if counts.contains(&0) {
        return Err("a count is at least 1".into());
    }
    if counts.is_empty() {
        counts.extend(COUNTS);
    }
    Ok(Options { counts, json, warm })
}

fn scale(words: &[&str]) -> Outcome<()> {
    let options = options(words)?;
    let stop = Interrupted::catch()?;
    let sockets = Sockets::open()?;
    let before = sockets.in_use()?;
    let report = measure(&options, &sockets, &stop);
    // Also after an error: what was started has been ended by now, and its sockets go.
    let left = sockets.wait_for(before + 8, Instant::now(), SETTLE, &stop);
    let report = report?;
    left?;
    println!("{}\n{}\n\n{}\n{}", report.program, report.machine, report.table(), report.notes());
    for line in &report.skipped {
        println!("{line}");
    }
    if let Some(file) = options.json {
        std::fs::write(&file, serde_json::to_string_pretty(&report)? + "\n").map_err(|e| format!("{file}: {e}"))?;
    }
    Ok(())
}

fn measure(options: &Options, sockets: &Sockets, stop: &Interrupted) -> Outcome<Report> {
    let mut rounds = floor::Rounds::default();
    let (mut runs, mut one_core, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    say("the one-core floor");
    rounds.measure(stop)?;
    say("the kernel's own mass close by reset");
    let mut mass_close = if kernel::too_little_memory(holder::CONNECTIONS)?.is_none() {
        Some(MassClose::by_reset(sockets, stop)?)
    } else {
        None
    };
    say("a sample at rest");
    let at_rest = run::sample_cost_at_rest(stop)?;
    for &count in &options.counts {
        if let Some(line) = kernel::too_little_memory(count)? {
            skipped.push(line);
            continue;
        }
        if options.warm {
            warm::memory(count, stop)?;
        }
        say(&format!("{} connections", short(count)));
        runs.push(run::run(count, sockets, stop).map_err(|e| format!("{} connections: {e}", short(count)))?);
        if count <= ONE_CORE_MOST {
            stop.sleep(Duration::from_secs(2))?;
            if options.warm {
                warm::memory(count, stop)?;
            }
            say(&format!("one core to {} connections", short(count)));
            one_core.push(OneCore::measure(count, sockets, stop)?);
        }
        // A machine's speed drifts; the floor is measured beside every run.
        stop.sleep(Duration::from_secs(2))?;
        rounds.measure(stop)?;
    }
    if let Some(close) = &mut mass_close {
        say("the kernel's own mass close by FIN");
        close.by_fin(sockets, stop)?;
    }
    Ok(Report {
        machine: kernel::describe()?,
        program: format!("c1m-top {}, dashboard on (--output json, a sample a second)", env!("CARGO_PKG_VERSION")),
        memory_touched_before: options.warm,
        floor: rounds.floor(),
        mass_close,
        sample_us_p50_at_rest: at_rest,
        runs,
        one_core,
        skipped,
    })
}

fn say(what: &str) {
    eprintln!("scale: measuring {what}");
}
