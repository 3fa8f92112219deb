//! One run of the real program with its dashboard on, seen from outside: engines' counters over a control connection of our
//! own, sockets, memory and the dashboard's cost from the kernel; only the cost of a sample is the program's own word.

use std::fs;
use std::os::unix::process::CommandExt;
use std::thread;
use std::time::{Duration, Instant};

use c1m_top::model::{Summary, Verdict};
use c1m_top::protocol::{CloseMode, Command, EngineStats, Latency, Phase};
use serde::Serialize;

use crate::measure::kernel::{Meminfo, Sockets};
use crate::measure::numbers::quantile;
use crate::measure::{Interrupted, Outcome};
use crate::slope::slope;
use crate::support::{self, Control, program};

/// First port and number of ports.
const PORT: u16 = 9900;
const PORTS: u16 = 100;

/// How long the target is held while the dashboard's cost is measured.
const HOLD: Duration = Duration::from_secs(10);

/// A ramp that takes longer has stalled.
const LONGEST: Duration = Duration::from_mins(5);

/// Between two looks at a ramp: some twenty points at 100,000 connections, 0.1 % of a core.
const LOOK: Duration = Duration::from_millis(50);

/// What came of one run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) target: u64,
    /// From the first connect until both ends have them all.
    pub(crate) seconds: f64,
    pub(crate) rate_per_s: f64,
    /// User and system time since the engines' start.
    pub(crate) server_cpu_us_per_connection: f64,
    pub(crate) client_cpu_us_per_connection: f64,
    /// Slopes over the ramp; `None` where there were too few points. Slab and resident memory of both engines.
    pub(crate) bytes_per_connection: Option<f64>,
    /// By the fall of free memory less what page cache took, with the free pages of per-core lists counted as free.
    pub(crate) free_bytes_per_connection: Option<f64>,
    /// `bytes_per_connection.total` of the program's summary.
    pub(crate) summary_bytes_per_connection: Option<f64>,
    pub(crate) server_user_bytes_per_connection: Option<f64>,
    pub(crate) client_user_bytes_per_connection: Option<f64>,
    pub(crate) server_rss_bytes: u64,
    pub(crate) client_rss_bytes: u64,
    pub(crate) peak_established: u64,
    pub(crate) peak_accepted: u64,
    /// Sockets in use at the end of the hold, without listeners and what was there before.
    pub(crate) sockets_held: u64,
    pub(crate) lost: u64,
    pub(crate) failures: u64,
    pub(crate) connect: Latency,
    /// Median and number of the dashboard's samples over the hold.
    pub(crate) sample_us_p50: Option<f64>,
    pub(crate) samples: usize,
    pub(crate) dashboard_share_of_core: f64,
    pub(crate) dashboard_rss_bytes: u64,
    /// Close by reset: from the command until the sockets are gone.
    pub(crate) teardown_s: f64,
    pub(crate) time_wait_left: u64,
    pub(crate) verdict: Verdict,
}

/// The program and its two engines.
struct Rig {
    dashboard: support::Run,
    server: Control,
    client: Control,
}

/// Holds one connection and samples as usual: the cost of a sample with (next to) no sockets.
pub(crate) fn sample_cost_at_rest(stop: &Interrupted) -> Outcome<Option<f64>> {
    let rig = Rig::start(1)?;
    stop.sleep(Duration::from_secs(1))?;
    let first = rig.sampled();
    stop.sleep(HOLD)?;
    let samples = rig.samples(first);
    rig.leave();
    Ok(quantile(&samples, 0.5))
}

/// Runs to `target` and back.
pub(crate) fn run(target: u64, sockets: &Sockets, stop: &Interrupted) -> Outcome<Run> {
    let (before, waiting) = (sockets.in_use()?, support::sockstat("tw"));
    let mut rig = Rig::start(target)?;
    let points = rig.ramp(target, stop)?;
    let (server, client) = (rig.server.stats(), rig.client.stats());
    // Each engine has a clock of its own; both are read within the same millisecond here.
    let server_ahead = server.t_us as f64 - client.t_us as f64;
    let started = client.ramp_started_us.ok_or("the ramp did not start")? as f64;
    let ended = peak_us(&client)?.max(peak_us(&server)? - server_ahead);
    let seconds = (ended - started) / 1e6;

    stop.sleep(Duration::from_secs(1))?;
    let (held_from, first, cpu) = (Instant::now(), rig.sampled(), cpu_ns(rig.dashboard.pid())?);
    let mut dashboard_rss = 0;
    while held_from.elapsed() < HOLD {
        stop.sleep(Duration::from_millis(500))?;
        dashboard_rss = dashboard_rss.max(rss(rig.dashboard.pid())?);
    }
    let share = (cpu_ns(rig.dashboard.pid())? - cpu) as f64 / held_from.elapsed().as_nanos() as f64;
    let samples = rig.samples(first);
    let held = sockets.in_use()?.saturating_sub(before + u64::from(PORTS));
    let (server_end, client_end) = (rig.server.stats(), rig.client.stats());
    let (server_rss, client_rss) = (rss(rig.server.pid)?, rss(rig.client.pid)?);

    let start = Instant::now();
    rig.client.tell(&Command::Close { mode: CloseMode::Rst, per_s: None });
    let teardown = sockets.wait_for(before + u64::from(PORTS) + 8, start, LONGEST, stop)?;
    let summary = rig.leave();

    let per = |us: u64| us as f64 / target as f64;
    let over = |of: fn(&Point) -> (f64, f64)| slope(&points.iter().map(of).collect::<Vec<_>>());
    Ok(Run {
        target,
        seconds,
        rate_per_s: target as f64 / seconds,
        server_cpu_us_per_connection: per(server.cpu_us),
        client_cpu_us_per_connection: per(client.cpu_us),
        bytes_per_connection: over(|p| (p.established, p.slab + p.server_rss + p.client_rss)),
        free_bytes_per_connection: over(|p| (p.established, -p.unused)),
        summary_bytes_per_connection: summary.bytes_per_connection.total,
        server_user_bytes_per_connection: over(|p| (p.accepted, p.server_rss)),
        client_user_bytes_per_connection: over(|p| (p.established, p.client_rss)),
        server_rss_bytes: server_rss,
        client_rss_bytes: client_rss,
        peak_established: client_end.peak,
        peak_accepted: server_end.peak,
        sockets_held: held,
        lost: server_end.lost + client_end.lost,
        failures: server_end.errors.iter().chain(&client_end.errors).map(|e| e.count).sum(),
        connect: client_end.connect,
        sample_us_p50: quantile(&samples, 0.5),
        samples: samples.len(),
        dashboard_share_of_core: share,
        dashboard_rss_bytes: dashboard_rss,
        teardown_s: teardown.as_secs_f64(),
        time_wait_left: support::sockstat("tw").saturating_sub(waiting),
        verdict: summary.verdict,
    })
}

/// One look at the ramp.
struct Point {
    established: f64,
    accepted: f64,
    slab: f64,
    /// Free, on per-core lists or page cache.
    unused: f64,
    server_rss: f64,
    client_rss: f64,
}

impl Rig {
    fn start(target: u64) -> Outcome<Self> {
        let mut command = program();
        command.args(["--server", "--client", "127.0.0.1", &PORT.to_string(), "--ports", &PORTS.to_string()]);
        // The benchmark has looked at memory before. Ctrl-C ends the benchmark, and that ends the program.
        command.args(["--target", &target.to_string(), "--no-guard", "--output", "json"]).process_group(0);
        let dashboard = support::Run::spawn(&mut command);
        let engines = dashboard.engines(true, true);
        let of = |pid: Option<u32>| pid.map(Control::wait_for).ok_or("an engine is missing");
        Ok(Self { server: of(engines.server)?, client: of(engines.client)?, dashboard })
    }

    /// Looks on until both ends have `target` connections.
    fn ramp(&mut self, target: u64, stop: &Interrupted) -> Outcome<Vec<Point>> {
        let start = Instant::now();
        let mut points = Vec::new();
        loop {
            let (server, client) = (self.server.stats(), self.client.stats());
            let memory = Meminfo::read()?;
            let unused = memory.get("MemFree")? + memory.get("Buffers")? + memory.get("Cached")?;
            let unused = unused + on_core_lists()?;
            points.push(Point {
                established: client.open as f64,
                accepted: server.open as f64,
                slab: memory.get("Slab")? as f64,
                unused: unused as f64,
                server_rss: rss(self.server.pid)? as f64,
                client_rss: rss(self.client.pid)? as f64,
            });
            if client.phase == Phase::Holding && server.open >= target {
                return Ok(points);
            }
            if let Some(reason) = &client.stop {
                return Err(format!("the client stopped at {}: {}", client.open, reason.text).into());
            }
            if start.elapsed() > LONGEST {
                return Err(format!("stalled at {} established, {} accepted", client.open, server.open).into());
            }
            stop.check()?;
            thread::sleep(LOOK);
        }
    }

    /// How many samples have been printed.
    fn sampled(&self) -> usize {
        self.dashboard.printed().samples.len()
    }

    /// `sample_us` of the samples printed since there were `first`.
    fn samples(&self, first: usize) -> Vec<f64> {
        self.dashboard.printed().samples[first..].iter().map(|s| s.sample_us as f64).collect()
    }

    /// Ends the program as a user would; its summary.
    fn leave(self) -> Summary {
        self.dashboard.interrupt().summary().clone()
    }
}

fn peak_us(stats: &EngineStats) -> Outcome<f64> {
    Ok(stats.peak_us.ok_or("no connection was made")? as f64)
}

/// Resident memory, bytes.
fn rss(pid: u32) -> Outcome<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// CPU time of all threads, nanoseconds; `stat` counts in ticks of 10 ms, too coarse for half a percent of 10 s.
fn cpu_ns(pid: u32) -> Outcome<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        sum += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(sum)
}

/// Free pages that wait on per-core lists, bytes. `MemFree` does not count them, and since Linux 6.7 they grow to gigabytes
/// when much is freed at once: a ramp that follows takes these first.
fn on_core_lists() -> Outcome<u64> {
    let text = fs::read_to_string("/proc/zoneinfo")?;
    let counts = text.lines().filter_map(|l| l.trim_start().strip_prefix("count:")?.trim().parse::<u64>().ok());
    Ok(counts.sum::<u64>() * procfs::page_size())
}
