//! A process that holds many connections, opened by one core: how fast that is, and how fast the kernel closes them when
//! the process is killed.
//!
//! The process is this benchmark again, started with [`HOLD`]; it opens both ends, one thread after the other, each with a
//! descriptor table of its own.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use c1m_top::engine::closing::reset_on_close;
use c1m_top::sys;
use serde::Serialize;

use crate::measure::kernel::Sockets;
use crate::measure::numbers::quantile;
use crate::measure::{Interrupted, Outcome};
use crate::pairs::{Listeners, Pairs};
use crate::support::{Started, wait_until};

/// First argument of the holding process.
pub(crate) const HOLD: &str = "--hold-and-wait";

/// Connections closed in this measurement; longer runs are scaled from it.
pub(crate) const CONNECTIONS: u64 = 100_000;

/// Measurements of the close by reset; the median counts.
pub(crate) const ROUNDS: usize = 3;

/// Seconds from the kill until the sockets are gone.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MassClose {
    pub(crate) connections: u64,
    /// The process had set `SO_LINGER` 0 on the connecting ends, as the program does: they go by reset.
    pub(crate) reset_s: f64,
    /// Left as they were: FIN, and `TIME_WAIT` behind them. Measured last, because that stays for a minute.
    pub(crate) fin_s: Option<f64>,
}

impl MassClose {
    /// Measures the close by reset.
    pub(crate) fn by_reset(sockets: &Sockets, stop: &Interrupted) -> Outcome<Self> {
        let times: Outcome<Vec<f64>> = (0..ROUNDS).map(|_| Ok(kill_one(sockets, "rst", stop)?.as_secs_f64())).collect();
        let reset_s = quantile(&times?, 0.5).unwrap_or_default();
        Ok(Self { connections: CONNECTIONS, reset_s, fin_s: None })
    }

    /// Measures the close by FIN too.
    pub(crate) fn by_fin(&mut self, sockets: &Sockets, stop: &Interrupted) -> Outcome<()> {
        self.fin_s = Some(kill_one(sockets, "fin", stop)?.as_secs_f64());
        Ok(())
    }

    /// Microseconds per connection, by reset.
    pub(crate) fn reset_us(&self) -> f64 {
        self.reset_s * 1e6 / self.connections as f64
    }

    /// Microseconds per connection, by FIN.
    pub(crate) fn fin_us(&self) -> Option<f64> {
        Some(self.fin_s? * 1e6 / self.connections as f64)
    }
}

/// Opening as many connections as a run of the program, on one core: what more sockets and memory that was not in use
/// before cost, whoever opens them.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct OneCore {
    pub(crate) connections: u64,
    pub(crate) rate_per_s: f64,
    pub(crate) cpu_us_per_connection: f64,
}

impl OneCore {
    pub(crate) fn measure(count: u64, sockets: &Sockets, stop: &Interrupted) -> Outcome<Self> {
        let base = sockets.in_use()?;
        let (holder, [wall_s, cpu_s]) = start(count, "rst")?;
        sys::kill(holder.id(), libc::SIGKILL)?;
        sockets.wait_for(base + 8, Instant::now(), Duration::from_mins(2), stop)?;
        let count_f = count as f64;
        Ok(Self { connections: count, rate_per_s: count_f / wall_s, cpu_us_per_connection: cpu_s * 1e6 / count_f })
    }
}

fn kill_one(sockets: &Sockets, how: &str, stop: &Interrupted) -> Outcome<Duration> {
    let base = sockets.in_use()?;
    let (mut holder, _) = start(CONNECTIONS, how)?;
    stop.sleep(Duration::from_secs(1))?;
    let start = Instant::now();
    sys::kill(holder.id(), libc::SIGKILL)?;
    let time = sockets.wait_for(base + 8, start, Duration::from_mins(1), stop)?;
    wait_until("the end of the holding process", || holder.try_wait().ok()?);
    Ok(time)
}

/// Starts the holding process; it, and the seconds and CPU seconds that opening took.
fn start(count: u64, how: &str) -> Outcome<(Started, [f64; 2])> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--bench", HOLD, &count.to_string(), how]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = Started::spawn(command.process_group(0));
    let out = holder.stdout.take().ok_or("no pipe")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    let times: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let times = times.try_into().map_err(|_| "the holding process could not open its connections")?;
    Ok((holder, times))
}

/// The holding process: opens, says how long that took, and waits to be killed, or for the end of the benchmark.
pub(crate) fn hold(count: usize, reset: bool) -> Outcome<()> {
    sys::raise_nofile()?;
    let listeners = Arc::new(Listeners::new()?);
    let (ready, is_ready) = channel();
    let threads = count.div_ceil(Pairs::room().min(10_000));
    let (mut wall, mut cpu) = (Duration::ZERO, Duration::ZERO);
    for i in 0..threads {
        let (ready, kept) = (ready.clone(), Arc::clone(&listeners));
        let n = count / threads + usize::from(i < count % threads);
        let body = move || {
            let open = || -> Outcome<_> {
                let pairs = Pairs::new(&kept)?;
                let (start, before) = (Instant::now(), sys::cpu_time());
                let (near, far) = pairs.open(n)?;
                let times = (start.elapsed(), sys::cpu_time().saturating_sub(before));
                if reset {
                    near.iter().try_for_each(reset_on_close)?;
                }
                Ok((times, pairs, near, far))
            };
            let held = open();
            let _ = ready.send(held.as_ref().map(|h| h.0).map_err(ToString::to_string));
            loop {
                thread::park();
            }
        };
        #[expect(unsafe_code, reason = "the call wants to know what the thread uses")]
        // SAFETY: of what others opened the thread uses the listeners, which are kept, and it keeps what it opens for good.
        unsafe { sys::spawn_with_own_table(thread::Builder::new(), &listeners.fds(), body) }?;
        // One after the other: this is one core.
        let times = is_ready.recv()??;
        wall += times.0;
        cpu += times.1;
    }
    println!("{} {}", wall.as_secs_f64(), cpu.as_secs_f64());
    // Ends with the benchmark, however that ends.
    let _ = std::io::stdin().read(&mut [0]);
    Ok(())
}
