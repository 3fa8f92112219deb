//! The one-core kernel floor: what a connection costs when nobody waits for anybody.

use std::time::Instant;

use c1m_top::engine::closing::reset_on_close;
use c1m_top::sys;
use serde::Serialize;

use crate::measure::numbers::quantile;
use crate::measure::{Interrupted, Outcome};
use crate::pairs::{Listeners, Pairs};

/// Connections of a round, where one descriptor table has room for both their ends.
const CONNECTIONS: usize = 10_000;

/// Rounds of one measurement.
const ROUNDS: usize = 7;

/// Rounds so far.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    connections: u64,
    rate: Vec<f64>,
    cpu_us: Vec<f64>,
    close_us: Vec<f64>,
}

/// Medians of all rounds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Floor {
    pub(crate) connections: u64,
    pub(crate) rounds: usize,
    pub(crate) rate_per_s: f64,
    pub(crate) rate_lowest: f64,
    pub(crate) rate_highest: f64,
    pub(crate) cpu_us_per_connection: f64,
    /// Both ends closed by reset, one core.
    pub(crate) close_us_per_connection: f64,
}

impl Rounds {
    /// Measures a few more rounds. The calling thread must be the only one that works.
    pub(crate) fn measure(&mut self, stop: &Interrupted) -> Outcome<()> {
        sys::raise_nofile()?;
        let n = CONNECTIONS.min(Pairs::room());
        self.connections = n as u64;
        let listeners = Listeners::new()?;
        let pairs = Pairs::new(&listeners)?;
        // The first grows the slab caches, which the program's own first connections do too; the median is of warm ones, so
        // that the floor is rather too fast than too slow.
        for _ in 0..ROUNDS {
            stop.check()?;
            let (cpu, start) = (sys::cpu_time(), Instant::now());
            let (near, far) = pairs.open(n)?;
            let (wall, spent) = (start.elapsed(), sys::cpu_time().saturating_sub(cpu));
            self.rate.push(n as f64 / wall.as_secs_f64());
            self.cpu_us.push(spent.as_secs_f64() * 1e6 / n as f64);
            let start = Instant::now();
            for fd in near {
                reset_on_close(&fd)?;
            }
            drop(far);
            self.close_us.push(start.elapsed().as_secs_f64() * 1e6 / n as f64);
        }
        Ok(())
    }

    pub(crate) fn floor(&self) -> Floor {
        Floor {
            connections: self.connections,
            rounds: self.rate.len(),
            rate_per_s: median(&self.rate),
            rate_lowest: quantile(&self.rate, 0.0).unwrap_or_default(),
            rate_highest: quantile(&self.rate, 1.0).unwrap_or_default(),
            cpu_us_per_connection: median(&self.cpu_us),
            close_us_per_connection: median(&self.close_us),
        }
    }
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5).unwrap_or_default()
}
