//! What both benchmarks need besides the harness of the tests: numbers of the kernel, an end on every way out.

pub(crate) mod kernel;
pub(crate) mod numbers;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Anything that ends a benchmark, as one line.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Set by a signal: the benchmark then leaves by its ordinary way out, which ends what it started.
#[derive(Debug, Clone)]
pub(crate) struct Interrupted(Arc<AtomicBool>);

impl Interrupted {
    /// Catches SIGINT, SIGTERM and SIGHUP from now on.
    pub(crate) fn catch() -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    /// An error once a signal came.
    pub(crate) fn check(&self) -> Outcome<()> {
        if self.0.load(Relaxed) { Err("interrupted".into()) } else { Ok(()) }
    }

    /// Sleeps, unless a signal comes.
    pub(crate) fn sleep(&self, time: Duration) -> Outcome<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.check()?;
            thread::sleep(until.saturating_duration_since(Instant::now()).min(Duration::from_millis(100)));
        }
        self.check()
    }
}

/// Whether `cargo bench` runs this, and not `cargo test --all-targets`, which would start the same binary: the arguments
/// without cargo's own, or `None`.
pub(crate) fn arguments() -> Option<Vec<String>> {
    let all: Vec<String> = std::env::args().skip(1).collect();
    let bench = all.iter().any(|a| a == "--bench");
    bench.then(|| all.into_iter().filter(|a| a != "--bench").collect())
}
