//! How fast the kernel itself closes: a process that holds connections is killed, and the sockets are waited for.
//!
//! The process is this benchmark again, started with [`HOLD`]; it opens both ends in threads with a descriptor table each.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use c1m_top::engine::closing::reset_on_close;
use c1m_top::sys;
use serde::Serialize;

use crate::pairs::Pairs;
use crate::support::kernel::Sockets;
use crate::support::started::Started;
use crate::support::{Interrupted, Outcome};

/// First argument of the holding process.
pub(crate) const HOLD: &str = "--hold-and-wait";

/// Connections closed in this measurement; longer runs are scaled from it.
pub(crate) const CONNECTIONS: u64 = 100_000;

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
        let reset_s = kill_one(sockets, "rst", stop)?.as_secs_f64();
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

fn kill_one(sockets: &Sockets, how: &str, stop: &Interrupted) -> Outcome<Duration> {
    let base = sockets.in_use()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--bench", HOLD, &CONNECTIONS.to_string(), how]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = Started::new(&mut command)?;
    let out = holder.child.stdout.take().ok_or("no pipe")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    if line.trim() != "ready" {
        return Err("the holding process could not open its connections".into());
    }
    stop.sleep(Duration::from_secs(1))?;
    let start = Instant::now();
    sys::kill(holder.pid(), libc::SIGKILL)?;
    let time = sockets.wait_for(base + 8, start, Duration::from_mins(1), stop)?;
    holder.wait(Duration::from_mins(1))?;
    Ok(time)
}

/// The holding process: opens, says `ready`, and waits to be killed, or for the end of the benchmark.
pub(crate) fn hold(count: usize, reset: bool) -> Outcome<()> {
    sys::raise_nofile()?;
    let (ready, is_ready) = channel();
    let room = Pairs::room()?.min(10_000);
    let threads = count.div_ceil(room);
    for i in 0..threads {
        let ready = ready.clone();
        let n = count / threads + usize::from(i < count % threads);
        thread::spawn(move || {
            let open = || -> Outcome<_> {
                sys::unshare_files()?;
                let pairs = Pairs::new()?;
                let (near, far) = pairs.open(n)?;
                if reset {
                    near.iter().try_for_each(reset_on_close)?;
                }
                Ok((pairs, near, far))
            };
            let held = open();
            let _ = ready.send(held.is_ok());
            loop {
                thread::park();
            }
        });
        // One after the other: a table is copied when its thread starts, and must not get another's connections.
        if is_ready.recv() != Ok(true) {
            return Err("could not open".into());
        }
    }
    println!("ready");
    // Ends with the benchmark, however that ends.
    let _ = std::io::stdin().read(&mut [0]);
    Ok(())
}
