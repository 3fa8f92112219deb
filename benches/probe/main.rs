//! `cargo bench --bench probe [-- COUNT…]`: what each source of a sample costs, and a whole sample, with 0, 100 k and 1 M
//! connections held by real engines.

#![expect(clippy::cast_precision_loss, reason = "rates and means of counts far below 2^52")]

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
use c1m_top::protocol::Role;
use c1m_top::sys;
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
const SPACED: [(usize, Duration); 2] = [(40, Duration::from_millis(100)), (15, Duration::from_secs(1))];

/// Microseconds of whole samples: by the clock, and of CPU.
type Times = (Vec<f64>, Vec<f64>);

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
        let rows = Engines::start(count).and_then(|mut engines| measure(&mut engines, count, &stop));
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

fn measure(engines: &mut Engines, count: u64, stop: &Interrupted) -> Outcome<Vec<Row>> {
    let watch = |pid, role: Role| Watch::named(pid, role.name());
    let watches = [watch(engines.server_pid(), Role::Server), watch(engines.client_pid(), Role::Client)];
    let mut sampler = Sampler::new(Roots::default(), &watches).map_err(|e| e.to_string())?;
    // How long it took, which is longer where others have the core, and what it cost.
    let mut read = |times: &mut Times| {
        let before = sys::cpu_time();
        times.0.push(sampler.read().0.took_us as f64);
        times.1.push(sys::cpu_time().saturating_sub(before).as_nanos() as f64 / 1000.0);
    };
    let mut ramp = Times::default();
    if count > 0 {
        engines.ramp(count, stop, || read(&mut ramp))?;
    }
    stop.sleep(Duration::from_secs(1))?;
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
    let mut whole = |when: &str, (times, cpu): Times| {
        rows.push((format!("whole sample, {when}"), times));
        rows.push((format!("whole sample, {when}, CPU"), cpu));
    };
    let mut row = Times::default();
    (0..READINGS).for_each(|_| read(&mut row));
    whole("in a row", row);
    for (samples, pause) in SPACED {
        let mut spaced = Times::default();
        for _ in 0..samples {
            stop.sleep(pause)?;
            read(&mut spaced);
        }
        whole(&format!("every {} ms", pause.as_millis()), spaced);
    }
    whole("every 100 ms of the ramp", ramp);
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
            let at = |q| quantile(times, q).map_or_else(|| "–".to_owned(), |us| format!("{us:.1}"));
            let _ = write!(out, "{:>11}{:>9}", at(0.5), at(0.99));
        }
    }
    out + "\n"
}
