//! `cargo bench --bench probe [-- COUNT…]`: what each source of a sample costs, and a whole sample, with 0, 100 k and 1 M
//! connections held by real engines.

mod engines;
#[path = "../measure/mod.rs"]
mod measure;
mod sources;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::fmt::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use c1m_top::probe::{Roots, Sampler, Watch};
use c1m_top::units::parse_count;

use engines::Engines;
use measure::kernel::{self, Sockets};
use measure::numbers::{quantile, short};
use measure::{Interrupted, Outcome};

/// Counts measured without arguments.
const COUNTS: [u64; 3] = [0, 100_000, 1_000_000];

/// Readings of each source, one after the other.
const READINGS: usize = 200;

/// Whole samples with a pause before each, so that caches are as cold as in use.
const SPACED: usize = 40;
const PAUSE: Duration = Duration::from_millis(100);

/// A measured row: its name and the microseconds of each reading.
type Row = (String, Vec<f64>);

fn main() -> ExitCode {
    let Some(arguments) = measure::arguments() else {
        println!("probe: a benchmark, run by `cargo bench --bench probe`");
        return ExitCode::SUCCESS;
    };
    match probe(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("probe: {e}");
            ExitCode::FAILURE
        }
    }
}

fn probe(arguments: &[String]) -> Outcome<()> {
    let counts = arguments.iter().map(|a| parse_count(a)).collect::<Result<Vec<_>, _>>()?;
    let counts = if counts.is_empty() { COUNTS.to_vec() } else { counts };
    let stop = Interrupted::catch()?;
    let sockets = Sockets::open()?;
    let before = sockets.in_use()?;
    let mut columns: Vec<(String, Vec<Row>)> = Vec::new();
    let mut skipped = Vec::new();
    for count in counts {
        if let Some(line) = kernel::too_little_memory(count)? {
            skipped.push(line);
            continue;
        }
        eprintln!("probe: measuring with {} connections", short(count));
        let rows = Engines::start(count, &stop).and_then(|engines| measure(&engines, &stop));
        // The engines have been ended by now, also after an error.
        sockets.wait_for(before + 8, Instant::now(), Duration::from_mins(2), &stop)?;
        columns.push((short(count), rows?));
    }
    println!(
        "Reading each source of a sample, microseconds: median and 99th percentile of {READINGS} readings in a row"
    );
    println!("{}\n", kernel::describe()?);
    print!("{}", table(&columns));
    for line in skipped {
        println!("{line}");
    }
    Ok(())
}

fn measure(engines: &Engines, stop: &Interrupted) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    let mut buf = Vec::new();
    for mut source in sources::open(engines.server_pid(), engines.client_pid()) {
        stop.check()?;
        let mut times = Vec::with_capacity(READINGS);
        for _ in 0..READINGS {
            let start = Instant::now();
            source.read(&mut buf)?;
            times.push(start.elapsed().as_nanos() as f64 / 1000.0);
        }
        rows.push((source.name, times));
    }
    let watch = |pid, role: c1m_top::protocol::Role| Watch::named(pid, role.name());
    let watches = [
        watch(engines.server_pid(), c1m_top::protocol::Role::Server),
        watch(engines.client_pid(), c1m_top::protocol::Role::Client),
    ];
    let mut sampler = Sampler::new(Roots::default(), &watches).map_err(|e| e.to_string())?;
    let row = |_| sampler.read().0.took_us as f64;
    rows.push(("whole sample, in a row".into(), (0..READINGS).map(row).collect()));
    let mut spaced = Vec::with_capacity(SPACED);
    for _ in 0..SPACED {
        stop.sleep(PAUSE)?;
        spaced.push(sampler.read().0.took_us as f64);
    }
    rows.push((format!("whole sample, every {} ms", PAUSE.as_millis()), spaced));
    Ok(rows)
}

fn table(columns: &[(String, Vec<Row>)]) -> String {
    // Writing to a string cannot fail.
    let mut out = format!("{:<46}", "connections");
    for (head, _) in columns {
        let _ = write!(out, "{:>20}", format!("{head}: p50, p99"));
    }
    let names = columns.first().map_or(&[][..], |(_, rows)| rows);
    for (i, (name, _)) in names.iter().enumerate() {
        let _ = write!(out, "\n{name:<46}");
        for (_, times) in columns.iter().filter_map(|(_, rows)| rows.get(i)) {
            let at = |q| quantile(times, q).unwrap_or_default();
            let _ = write!(out, "{:>11.1}{:>9.1}", at(0.5), at(0.99));
        }
    }
    out + "\n"
}
