//! `cargo bench --bench echo [-- COUNT…]`: how many messages one core echoes, by size, with so many connections that all send.
//! More is asked for than the machine can do; what came back is divided by the CPU time that it took, so that a machine that
//! does other things as well, or hands a core to somebody else for a while, changes little.

#![expect(clippy::cast_precision_loss, reason = "rates and means of counts far below 2^52")]

#[path = "../measure/mod.rs"]
mod measure;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use c1m_top::protocol::{EngineStats, Role, Traffic};
use c1m_top::units::{bytes, grouped, parse_count, whole};

use measure::kernel::{self, Meminfo, Sockets};
use measure::numbers::{quantile, short};
use measure::{Interrupted, Outcome};
use support::Control;

/// Counts measured without arguments.
const COUNTS: [u64; 3] = [1_000, 20_000, 100_000];

/// Bytes of a message, and so many a second are asked for: more than two cores have been seen to echo.
const LOADS: [(u64, u64); 3] = [(64, 800_000), (1024, 700_000), (16 * 1024, 200_000)];

/// Before the first round, and of each round.
const SETTLE: Duration = Duration::from_secs(2);
const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    let Some(arguments) = measure::arguments() else {
        println!("echo: a benchmark, run by `cargo bench --bench echo`");
        return ExitCode::SUCCESS;
    };
    match echo(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("echo: {e}");
            ExitCode::FAILURE
        }
    }
}

fn echo(arguments: &[String]) -> Outcome<()> {
    let counts = arguments.iter().map(|a| parse_count(a)).collect::<Result<Vec<_>, _>>()?;
    let counts = if counts.is_empty() { COUNTS.to_vec() } else { counts };
    let stop = Interrupted::catch()?;
    let sockets = Sockets::open()?;
    let before = sockets.in_use()?;
    println!(
        "Messages echoed, per second; per second of one core's time: medians of {ROUNDS} rounds\n{}\n",
        kernel::describe()?
    );
    println!(
        "| message | connections | all cores | one core, both ends | server alone | client alone | kernel threads |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (message, per_s) in LOADS {
        for &count in &counts {
            if let Some(why) = too_much(message, count)? {
                println!("| {} | {} | skipped: {why} | | | | |", bytes(message), short(count));
                continue;
            }
            row(message, count, per_s, &stop)?;
            sockets.wait_for(before + 8, Instant::now(), Duration::from_mins(1), &stop)?;
        }
    }
    Ok(())
}

/// Why a row is left out: memory, or TCP buffers that others need as well.
fn too_much(message: u64, count: u64) -> Outcome<Option<String>> {
    // One message a connection is under way, in whole pages and one that the sender keeps ready. From a twentieth of memory on
    // (the low mark of tcp_mem, which a network namespace does not show) buffers are short for everybody.
    let needed = count * ((message + 700).div_ceil(4096) + 1) * 4096;
    if needed > Meminfo::read()?.get("MemTotal")? / 20 {
        return Ok(Some(format!("{} of messages under way", bytes(needed))));
    }
    kernel::too_little_memory(count)
}

/// What one round came to.
struct Round {
    per_s: f64,
    both: f64,
    server: f64,
    client: f64,
    /// Share of the CPU time that the kernel's own threads took.
    kernel: f64,
}

fn row(message: u64, count: u64, per_s: u64, stop: &Interrupted) -> Outcome<()> {
    let every_us = (count * 1_000_000 / per_s).max(1_000);
    let traffic = format!("--active 100% --message {message} --every {every_us}us");
    let options = format!("--server --client 127.0.0.1 9900 --ports 10 --target {count} {traffic}");
    let mut run = support::Run::start(&options);
    run.until("the target", |p| p.event("phase/holding").is_some());
    let [mut server, mut client] = [Role::Server, Role::Client].map(|role| Control::wait_for(run.engine(role)));
    stop.sleep(SETTLE)?;
    let mut rounds = Vec::new();
    let mut before = (server.stats(), client.stats(), softirq_us());
    for _ in 0..ROUNDS {
        stop.sleep(ROUND)?;
        let after = (server.stats(), client.stats(), softirq_us());
        let messages = (sent(&after.1)?.echoed - sent(&before.1)?.echoed) as f64;
        let of = |engine: &EngineStats, then: &EngineStats| (engine.cpu_us - then.cpu_us) as f64 / 1e6;
        let (s, c) = (of(&after.0, &before.0), of(&after.1, &before.1));
        let k = (after.2 - before.2) / 1e6;
        rounds.push(Round {
            per_s: messages / ((after.1.t_us - before.1.t_us) as f64 / 1e6),
            both: messages / (s + c + k),
            server: messages / s,
            client: messages / c,
            kernel: k / (s + c + k),
        });
        before = after;
    }
    let mismatched = sent(&before.1)?.mismatched;
    run.interrupt();
    if mismatched > 0 {
        return Err(format!("{mismatched} messages came back changed").into());
    }
    let median = |of: fn(&Round) -> f64| quantile(&rounds.iter().map(of).collect::<Vec<_>>(), 0.5).unwrap_or(0.0);
    let count_of = |of| grouped(whole(median(of)));
    println!(
        "| {} | {} | {} | {} | {} | {} | {:.0} % |",
        bytes(message),
        short(count),
        count_of(|r| r.per_s),
        count_of(|r| r.both),
        count_of(|r| r.server),
        count_of(|r| r.client),
        median(|r| r.kernel) * 100.0
    );
    Ok(())
}

fn sent(client: &EngineStats) -> Outcome<Traffic> {
    Ok(client.traffic.ok_or("the client sends nothing")?)
}

/// CPU time of the kernel's threads that take what arrives while nobody else does, microseconds.
fn softirq_us() -> f64 {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten().map(|e| e.path());
    let threads = pids.filter(|p| fs::read_to_string(p.join("comm")).is_ok_and(|name| name.starts_with("ksoftirqd/")));
    let ns = |p: std::path::PathBuf| -> Option<f64> {
        fs::read_to_string(p.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
    };
    threads.filter_map(ns).sum::<f64>() / 1000.0
}
