//! `cargo bench --bench record [-- HOURS]`: a day of a watched server, made by playing real samples fast: how large its file is,
//! what writing it cost, how long opening it and going anywhere in it take, and in how much memory.

#![expect(clippy::cast_precision_loss, reason = "rates and means of counts far below 2^52")]

#[path = "../measure/mod.rs"]
#[expect(dead_code, reason = "it holds no connections")]
mod measure;

use std::fs::{self, File};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use c1m_top::record::{self, Entry, Header, Past, Recorder, Recording};
use c1m_top::sample::Sample;
use c1m_top::sys;

use measure::Outcome;
use measure::numbers::quantile;

/// Seconds between two samples of the day.
const EVERY_MS: u64 = 1000;

/// Samples of the recording that goes on: the header is written twice within them, and so is the reference.
const LIVE: u64 = 40;

fn main() -> ExitCode {
    let Some(arguments) = measure::arguments() else {
        println!("record: a benchmark, run by `cargo bench --bench record`");
        return ExitCode::SUCCESS;
    };
    match bench(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("record: {e}");
            ExitCode::FAILURE
        }
    }
}

fn bench(arguments: &[String]) -> Outcome<()> {
    let hours: u64 = arguments.first().map_or(Ok(24), |text| text.parse())?;
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/runs/nginx-1.c1m");
    let recorded = record::open(&fixture).map_err(|e| e.to_string())?;
    let samples: Vec<Sample> = recorded
        .entries()
        .filter_map(|entry| match entry {
            Entry::Sample { sample, .. } => Some(Arc::unwrap_or_clone(sample)),
            _ => None,
        })
        .collect();
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("day.c1m");
    let count = hours * 3_600_000 / EVERY_MS;
    println!("{hours} h of a watched nginx with five processes, a sample a second: {count} samples");
    // First, so that nothing which was used before hides what it takes.
    live(dir.path(), recorded.header(), &samples)?;
    write(&path, recorded.header(), &samples, count)?;
    drop((samples, recorded));
    read(&path, count)
}

/// The sample of that number: the recorded ones forward and backward in turn, with counters that go on.
fn at(samples: &[Sample], i: u64) -> Sample {
    let n = samples.len() as u64 - 1;
    let (round, place) = (i / n, i % n);
    let place = if round % 2 == 0 { place } else { n - place };
    let mut sample = samples[usize::try_from(place).unwrap_or(0)].clone();
    (sample.t_ms, sample.wall_ms) = (i * EVERY_MS, samples[0].wall_ms + i * EVERY_MS);
    for process in &mut sample.kernel.processes {
        if let Ok(us) = &mut process.cpu_us {
            *us += i * 137;
        }
    }
    if let Some(program) = &mut sample.kernel.program {
        for member in &mut program.members {
            member.cpu_us += i * 137;
        }
    }
    sample.own.cpu_us = i * 1500;
    if let Ok(tcp) = &mut sample.kernel.net.tcp {
        tcp.in_segs += i * 211;
        tcp.passive_opens += i * 3;
    }
    if let Ok(received) = &mut sample.kernel.net.received {
        received.bytes += i * 21_000;
        received.segments += i * 211;
    }
    sample
}

/// Size, and CPU for a sample.
fn write(path: &Path, header: &Header, samples: &[Sample], count: u64) -> Outcome<()> {
    let made = Instant::now();
    let cpu = sys::thread_cpu_time();
    for i in 0..count {
        std::hint::black_box(at(samples, i));
    }
    let making = sys::thread_cpu_time().saturating_sub(cpu);
    let cpu = sys::thread_cpu_time();
    let entries = (0..count).map(|i| Entry::Sample { shown: true, sample: Arc::new(at(samples, i)) });
    record::write_all(File::create(path)?, header.clone(), entries)?;
    let cost = sys::thread_cpu_time().saturating_sub(cpu).saturating_sub(making);
    let bytes = fs::metadata(path)?.len();
    println!(
        "written: {:.1} MB, {:.0} B a sample; {:.0} us of CPU a sample, {:.3} % of a core at one a second ({:.1} s in all)",
        bytes as f64 / 1e6,
        bytes as f64 / count as f64,
        cost.as_secs_f64() * 1e6 / count as f64,
        cost.as_secs_f64() * 1e2 / count as f64,
        made.elapsed().as_secs_f64(),
    );
    Ok(())
}

/// What a recording that goes on adds to a program: memory, and time of the thread that gives it samples.
fn live(dir: &Path, header: &Header, samples: &[Sample]) -> Outcome<()> {
    let path = dir.join("live.c1m");
    let before = rss()?;
    let mut recorder = Recorder::start(&path, File::create(&path)?, header.clone())?;
    let mut worst = Duration::ZERO;
    for i in 0..LIVE {
        let entry = Entry::Sample { shown: true, sample: Arc::new(at(samples, i)) };
        let asked = Instant::now();
        recorder.put(entry);
        worst = worst.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(EVERY_MS));
    }
    let after = rss()?;
    recorder.finish(Entry::Quit { t_ms: 300 * EVERY_MS });
    println!(
        "recording {LIVE} samples, one a second: {:.2} MiB more memory; giving a sample to it took {:.0} us at most",
        after.saturating_sub(before) as f64 / f64::from(1 << 20),
        worst.as_secs_f64() * 1e6,
    );
    Ok(())
}

/// Opening, the first frame, playing all of it, going anywhere.
fn read(path: &Path, count: u64) -> Outcome<()> {
    let before = rss()?;
    let start = Instant::now();
    let recording = record::open(path).map_err(|e| e.to_string())?;
    let opened = start.elapsed();
    let first = Past::default().at(&recording, 0);
    std::hint::black_box(first.model().now().connections);
    println!("opened: {:.0} ms, with the first sample shown {:.0} ms", ms(opened), ms(start.elapsed()));
    let mut past = Past::default();
    let start = Instant::now();
    while past.prepare(&recording) {}
    let took = start.elapsed();
    println!(
        "prepared to go anywhere: {:.1} s, {:.0} us a sample; {:.1} MiB more memory",
        took.as_secs_f64(),
        took.as_secs_f64() * 1e6 / count as f64,
        (rss()?.saturating_sub(before)) as f64 / f64::from(1 << 20),
    );
    seeks(&recording, &mut past);
    println!("memory at the end: {:.1} MiB more", (rss()?.saturating_sub(before)) as f64 / f64::from(1 << 20));
    Ok(())
}

fn seeks(recording: &Recording, past: &mut Past) {
    let (_, end) = recording.span_ms();
    let times: Vec<f64> = (0..200)
        .map(|i: u64| {
            // The golden ratio spreads them evenly.
            let t_ms = (i * 618_034 % 1_000_000) * end / 1_000_000;
            let asked = Instant::now();
            std::hint::black_box(past.at(recording, t_ms).model().now().connections);
            ms(asked.elapsed())
        })
        .collect();
    let at = |q| quantile(&times, q).unwrap_or_default();
    println!("200 seeks anywhere: median {:.0} ms, 99 % within {:.0} ms, longest {:.0} ms", at(0.5), at(0.99), at(1.0));
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Resident memory of this process, bytes.
fn rss() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kb =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
    kb.map(|kb: u64| kb * 1024).ok_or_else(|| "no VmRSS".into())
}
