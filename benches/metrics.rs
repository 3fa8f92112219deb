//! `cargo bench --bench metrics [-- HOURS]`: what the text of a scrape costs, beside what the model takes for a sample; and a day
//! exported.

#![expect(clippy::cast_precision_loss, reason = "times and sizes far below 2^52")]

#[path = "measure/mod.rs"]
#[expect(dead_code, reason = "it holds no connections")]
mod measure;

use std::fs::{self, File};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use c1m_top::model::Model;
use c1m_top::output::metrics::{Format, Moment, Timed, write};
use c1m_top::record::{self, Entry};
use c1m_top::sample::Sample;
use c1m_top::sys;

use measure::Outcome;
use measure::numbers::quantile;

/// Texts made of one moment.
const TEXTS: u32 = 500;

fn main() -> ExitCode {
    let Some(arguments) = measure::arguments() else {
        println!("metrics: a benchmark, run by `cargo bench --bench metrics`");
        return ExitCode::SUCCESS;
    };
    match bench(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("metrics: {e}");
            ExitCode::FAILURE
        }
    }
}

fn bench(arguments: &[String]) -> Outcome<()> {
    let hours: u64 = arguments.first().map_or(Ok(24), |text| text.parse())?;
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/results/200k.c1m");
    let recorded = record::open(&run).map_err(|e| e.to_string())?;
    let samples: Vec<Sample> = recorded
        .entries()
        .filter_map(|entry| if let Entry::Sample { sample, .. } = entry { Some(Sample::clone(&sample)) } else { None })
        .collect();
    let mut model = Model::new(recorded.header().setup.clone());
    let mut taken = Vec::new();
    for sample in &samples {
        taken.push(micros(cpu_of(|| model.update(sample))));
    }
    let median = |times: &[f64]| quantile(times, 0.5).unwrap_or_default();
    let update = median(&taken);
    println!("A run of 200,000 connections: the model takes {update:.0} us of CPU for a sample");
    for (name, format) in [("OpenMetrics", Format::OpenMetrics), ("text 0.0.4", Format::Prometheus)] {
        let moment = Moment { model: &model, run: &[], verdict: None };
        let times: Vec<f64> =
            (0..TEXTS).map(|_| micros(cpu_of(|| drop(std::hint::black_box(write(&moment, format)))))).collect();
        let text = write(&moment, format);
        let (bytes, series) = (text.len(), text.lines().filter(|line| !line.starts_with('#')).count());
        let each = median(&times);
        println!("{name}: {bytes} B, {series} series, {each:.0} us of CPU: {:.1} times a sample's", each / update);
    }
    day(&samples, &recorded.header().setup, hours)
}

/// The samples over and over, one a second, and all of them exported.
fn day(samples: &[Sample], setup: &c1m_top::model::Setup, hours: u64) -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let count = hours * 3600;
    let (start, before) = (Instant::now(), rss()?);
    let mut most = before;
    let mut timed = Timed::new(tempfile::tempfile_in(dir.path())?);
    let mut model = Model::new(setup.clone());
    let mut making = Duration::ZERO;
    for (i, sample) in (0..count).zip(samples.iter().cycle()) {
        let sample = Sample { t_ms: i * 1000, ..sample.clone() };
        making += cpu_of(|| model.update(&sample));
        timed.add(&Moment { model: &model, run: &[], verdict: None }, samples[0].wall_ms + i * 1000)?;
        if i % 1000 == 0 {
            most = most.max(rss()?);
        }
    }
    let path = dir.path().join("day.om");
    timed.finish(&mut std::io::BufWriter::new(File::create(&path)?))?;
    most = most.max(rss()?);
    let took = start.elapsed().saturating_sub(making);
    println!(
        "{hours} h exported: {count} moments, {:.0} MB of text, {:.1} s ({:.0} us a moment) and {:.1} s of the model; {:.1} MiB more memory",
        fs::metadata(&path)?.len() as f64 / 1e6,
        took.as_secs_f64(),
        micros(took) / count.max(1) as f64,
        making.as_secs_f64(),
        most.saturating_sub(before) as f64 / f64::from(1 << 20),
    );
    Ok(())
}

fn cpu_of(work: impl FnOnce()) -> Duration {
    let before = sys::thread_cpu_time();
    work();
    sys::thread_cpu_time().saturating_sub(before)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Resident memory of this process, bytes.
fn rss() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kb =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
    kb.map(|kb: u64| kb * 1024).ok_or_else(|| "no VmRSS".into())
}
