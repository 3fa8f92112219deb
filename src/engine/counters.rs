//! What the workers count and the main thread reports. Workers add once a batch, not once a connection.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::protocol::{EngineEvent, ErrorCount, FailedCall, Latency, Severity, errno};
use crate::sys;

/// Locks a mutex that a panicking thread may have left: the counters stay readable.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counters of one engine.
#[derive(Debug)]
pub struct Counters {
    start: Instant,
    /// Connections open now.
    pub open: AtomicU64,
    /// Most that were open at once.
    peak: AtomicU64,
    /// When `peak` was last raised, microseconds since the start.
    peak_us: AtomicU64,
    /// Connections ever opened.
    pub opened: AtomicU64,
    /// Connections closed.
    pub closed: AtomicU64,
    /// Closed by the other end or an error.
    pub lost: AtomicU64,
    /// Connects under way.
    pub in_flight: AtomicU64,
    /// Greetings echoed.
    pub greeted: AtomicU64,
    /// Echo bytes waiting for slow readers.
    pub buffered: AtomicU64,
    errors: Mutex<BTreeMap<(&'static str, i32), u64>>,
    connect: Mutex<Histogram<u32>>,
    events: Mutex<Vec<EngineEvent>>,
}

/// Times are kept from 1 us to this many.
const LONGEST_US: u64 = 120_000_000;

/// An empty histogram of microseconds with two significant digits: about 10 KiB.
///
/// # Errors
/// Never with these constants; the library's constructor is fallible.
pub fn histogram() -> io::Result<Histogram<u32>> {
    Histogram::new_with_bounds(1, LONGEST_US, 2).map_err(io::Error::other)
}

/// Adds a time to a histogram; longer than the longest counts as the longest.
pub fn record(histogram: &mut Histogram<u32>, us: u64) {
    histogram.saturating_record(us.clamp(1, LONGEST_US));
}

/// The quantiles that are shown.
pub fn latency(histogram: &Histogram<u32>) -> Latency {
    Latency {
        count: histogram.len(),
        p50_us: histogram.value_at_quantile(0.5),
        p99_us: histogram.value_at_quantile(0.99),
        p999_us: histogram.value_at_quantile(0.999),
        max_us: histogram.max(),
    }
}

impl Counters {
    /// All zero, from now.
    ///
    /// # Errors
    /// See [`histogram`].
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            start: Instant::now(),
            open: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            peak_us: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            greeted: AtomicU64::new(0),
            buffered: AtomicU64::new(0),
            errors: Mutex::new(BTreeMap::new()),
            connect: Mutex::new(histogram()?),
            events: Mutex::new(Vec::new()),
        })
    }

    /// Microseconds since the start.
    pub fn now_us(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    /// A batch of connections was opened. Returns how many are open now.
    pub fn add_opened(&self, n: u64) -> u64 {
        self.opened.fetch_add(n, Relaxed);
        let open = self.open.fetch_add(n, Relaxed) + n;
        if open > self.peak.fetch_max(open, Relaxed) {
            self.peak_us.store(self.now_us(), Relaxed);
        }
        open
    }

    /// A batch was closed; `lost` of them not by us.
    pub fn add_closed(&self, n: u64, lost: u64) {
        self.closed.fetch_add(n, Relaxed);
        self.lost.fetch_add(lost, Relaxed);
        self.open.fetch_sub(n, Relaxed);
    }

    /// Most connections that were open at once, and when that count was reached.
    pub fn peak(&self) -> (u64, Option<u64>) {
        let peak = self.peak.load(Relaxed);
        (peak, (peak > 0).then(|| self.peak_us.load(Relaxed)))
    }

    /// Counts a failure.
    pub fn add_error(&self, op: &'static str, errno: i32) {
        *lock(&self.errors).entry((op, errno)).or_default() += 1;
    }

    /// Failures so far.
    pub fn errors(&self) -> Vec<ErrorCount> {
        lock(&self.errors)
            .iter()
            .map(|(&(op, errno), &count)| ErrorCount { op: op.to_owned(), errno, name: errno::name(errno), count })
            .collect()
    }

    /// How long ago the highest count was reached.
    pub fn since_peak(&self) -> Duration {
        Duration::from_micros(self.now_us().saturating_sub(self.peak_us.load(Relaxed)))
    }

    /// Adds the connect times of a batch, microseconds.
    pub fn add_connects(&self, times: &[u64]) {
        let mut histogram = lock(&self.connect);
        for &us in times {
            record(&mut histogram, us);
        }
    }

    /// Connect times so far.
    pub fn connects(&self) -> Latency {
        latency(&lock(&self.connect))
    }

    /// Notes something for the dashboard. The list is bounded: an engine that is attacked must not grow by what it logs.
    pub fn note(&self, severity: Severity, id: &str, text: String) {
        self.note_failed(severity, id, text, None);
    }

    /// The same of a failed call.
    pub fn note_failed(&self, severity: Severity, id: &str, text: String, call: Option<FailedCall>) {
        const MOST: usize = 200;
        let mut events = lock(&self.events);
        let seq = events.last().map_or(1, |e| e.seq + 1);
        if events.len() == MOST {
            events.remove(0);
        }
        events.push(EngineEvent { seq, t_us: self.now_us(), severity, id: id.to_owned(), text, call });
    }

    /// Events above a number.
    pub fn events_since(&self, seq: u64) -> Vec<EngineEvent> {
        lock(&self.events).iter().filter(|e| e.seq > seq).cloned().collect()
    }

    /// User plus system time of the process, microseconds.
    pub fn cpu_us() -> u64 {
        sys::cpu_time().as_micros() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_outlives_closing() {
        let counters = Counters::new().unwrap();
        assert_eq!(counters.peak(), (0, None));
        counters.add_opened(5);
        counters.add_closed(3, 1);
        counters.add_opened(2);
        assert_eq!(counters.peak().0, 5);
        assert_eq!((counters.open.load(Relaxed), counters.lost.load(Relaxed)), (4, 1));
    }

    #[test]
    fn events_are_numbered_and_bounded() {
        let counters = Counters::new().unwrap();
        for i in 0..500 {
            counters.note(Severity::Info, "x", i.to_string());
        }
        let new = counters.events_since(490);
        assert_eq!((new.len(), new[0].seq, new[0].text.as_str()), (10, 491, "490"));
        assert_eq!(counters.events_since(0).len(), 200);
    }

    #[test]
    fn long_times_count_as_the_longest() {
        let mut h = histogram().unwrap();
        record(&mut h, u64::MAX);
        record(&mut h, 0);
        let l = latency(&h);
        assert_eq!(l.count, 2);
        assert!(l.max_us >= LONGEST_US * 98 / 100);
    }
}
