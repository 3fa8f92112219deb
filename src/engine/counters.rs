//! What the workers count and the main thread reports. Workers add once a batch, not once a connection.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;

use super::page::{Page, Word};
use crate::protocol::{EngineEvent, EngineStats, ErrorCount, FailedCall, Latency, Phase, Role, Severity, errno};
use crate::sys;
use crate::units::micros;

/// Locks a mutex that a panicking thread may have left: the counters stay readable.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counters of one engine.
#[derive(Debug)]
pub struct Counters {
    /// The plain ones, where whoever watches reads them.
    page: Page,
    /// The peak whose time is kept.
    peak_timed: AtomicU64,
    errors: Mutex<BTreeMap<(&'static str, i32), u64>>,
    connect: Mutex<Histogram<u32>>,
    handshake: Mutex<Histogram<u32>>,
    events: Mutex<Vec<EngineEvent>>,
}

/// The longest time that is told from longer ones where an answer is waited for, microseconds.
pub const LONGEST_WAIT_US: u64 = 120_000_000;

/// A count that has not reached a new peak for so long stands still.
const STANDSTILL_US: u64 = 1_000_000;

/// An empty histogram from 1 us to `longest_us` with two significant digits: about 10 KiB for two minutes.
///
/// # Errors
/// When `longest_us` is under 2.
pub fn histogram(longest_us: u64) -> io::Result<Histogram<u32>> {
    Histogram::new_with_bounds(1, longest_us, 2).map_err(io::Error::other)
}

/// Adds a time to a histogram; longer than the longest counts as the longest.
pub fn record(histogram: &mut Histogram<u32>, us: u64) {
    histogram.saturating_record(us.max(1));
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

/// How the values are spread, for [`EngineStats::connect_spread`]; as many places as it takes.
pub fn spread(histogram: &Histogram<u32>) -> Vec<u64> {
    let mut places: Vec<u64> = Vec::new();
    for value in histogram.iter_recorded() {
        let us = value.value_iterated_to().max(1) as f64;
        let place = (us.log2() * 2.0 - 1e-9).ceil().max(0.0) as usize;
        if places.len() <= place {
            places.resize(place + 1, 0);
        }
        places[place] += value.count_since_last_iteration();
    }
    places
}

/// Adds the difference. Wrapping: it may be negative, and the sum over all workers is not.
fn change(word: &AtomicU64, before: u64, now: u64) {
    if now != before {
        word.fetch_add(now.wrapping_sub(before), Relaxed);
    }
}

impl Counters {
    /// All zero, from now.
    ///
    /// # Errors
    /// See [`Page::new`].
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            page: Page::new()?,
            peak_timed: AtomicU64::new(0),
            errors: Mutex::new(BTreeMap::new()),
            connect: Mutex::new(histogram(LONGEST_WAIT_US)?),
            handshake: Mutex::new(histogram(LONGEST_WAIT_US)?),
            events: Mutex::new(Vec::new()),
        })
    }

    /// Where whoever watches reads them.
    pub fn page(&self) -> &Page {
        &self.page
    }

    fn word(&self, at: Word) -> &AtomicU64 {
        self.page.word(at)
    }

    /// Connections open now.
    pub fn open(&self) -> u64 {
        self.word(Word::Open).load(Relaxed)
    }

    /// Connections ever opened.
    pub fn opened(&self) -> u64 {
        self.word(Word::Opened).load(Relaxed)
    }

    /// Connections closed by the other end or an error.
    pub fn lost(&self) -> u64 {
        self.word(Word::Lost).load(Relaxed)
    }

    /// Connects that the other end refused or reset.
    pub fn refused(&self) -> u64 {
        self.word(Word::Refused).load(Relaxed)
    }

    /// A batch of connects was refused or reset.
    pub fn add_refused(&self, n: u64) {
        self.word(Word::Refused).fetch_add(n, Relaxed);
    }

    /// Connects under way.
    pub fn in_flight(&self) -> u64 {
        self.word(Word::InFlight).load(Relaxed)
    }

    /// Changes how many connects are under way: from `before` to `now`, as far as the caller's own go.
    pub fn change_in_flight(&self, before: u64, now: u64) {
        change(self.word(Word::InFlight), before, now);
    }

    /// The same of echo bytes that wait for slow readers.
    pub fn change_buffered(&self, before: u64, now: u64) {
        change(self.word(Word::Buffered), before, now);
    }

    /// Greetings were echoed.
    pub fn add_greeted(&self, n: u64) {
        self.word(Word::Greeted).fetch_add(n, Relaxed);
    }

    /// What every engine says of itself, without what only its role knows: a report of [`Page`] is made from it.
    pub fn stats(&self, role: Role) -> EngineStats {
        let load = |at| self.word(at).load(Relaxed);
        let (peak, peak_us) = self.peak();
        // Locked once: what a temporary locks stays locked to the end of the whole expression.
        let (connect, connect_spread) = {
            let histogram = lock(&self.connect);
            (latency(&histogram), spread(&histogram))
        };
        EngineStats {
            role,
            pid: std::process::id(),
            t_us: self.now_us(),
            silent_ms: 0,
            phase: Phase::Starting,
            target: 0,
            capacity: None,
            open: self.open(),
            peak,
            opened: self.opened(),
            closed: load(Word::Closed),
            lost: self.lost(),
            refused: self.refused(),
            lifetime: Latency::default(),
            backoff_ms: 0,
            in_flight: self.in_flight(),
            greet: false,
            greeted: load(Word::Greeted),
            rate_limit: None,
            ceiling: None,
            errors: self.errors(),
            tables: 0,
            tables_max: 0,
            table_limit: 0,
            table_room: 0,
            descriptors: 0,
            buffered_bytes: load(Word::Buffered),
            cpu_us: Self::cpu_us(),
            ramp_started_us: None,
            peak_us,
            ramp_cpu_us: None,
            connect,
            handshake: latency(&lock(&self.handshake)),
            connect_spread,
            echo_spread: Vec::new(),
            table_use: Vec::new(),
            port_given: Vec::new(),
            source_given: Vec::new(),
            traffic: None,
            stop: None,
            events: lock(&self.events).clone(),
        }
    }

    /// Microseconds since the start.
    pub fn now_us(&self) -> u64 {
        self.page.now_us()
    }

    /// A batch of connections was opened. Returns how many are open now.
    pub fn add_opened(&self, n: u64) -> u64 {
        self.word(Word::Opened).fetch_add(n, Relaxed);
        let open = self.word(Word::Open).fetch_add(n, Relaxed) + n;
        let peak = self.word(Word::Peak).fetch_max(open, Relaxed);
        if open > peak {
            self.peak_rose(open, self.now_us());
        }
        open
    }

    /// Moves the time of the peak along with a count that goes on rising. What rises after a standstill by less than a hundredth
    /// is the jitter of a plateau, and no ramp that took so long.
    fn peak_rose(&self, open: u64, now: u64) {
        let (timed, at) = (&self.peak_timed, self.word(Word::PeakUs));
        let known = timed.load(Relaxed);
        if now < at.load(Relaxed) + STANDSTILL_US || open > known + known / 100 {
            timed.store(open, Relaxed);
            at.store(now, Relaxed);
        }
    }

    /// A batch was closed; `lost` of them not by us.
    pub fn add_closed(&self, n: u64, lost: u64) {
        self.word(Word::Closed).fetch_add(n, Relaxed);
        self.word(Word::Lost).fetch_add(lost, Relaxed);
        self.word(Word::Open).fetch_sub(n, Relaxed);
    }

    /// Most connections that were open at once, and when that count was reached.
    pub fn peak(&self) -> (u64, Option<u64>) {
        let peak = self.word(Word::Peak).load(Relaxed);
        (peak, (peak > 0).then(|| self.word(Word::PeakUs).load(Relaxed)))
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

    /// Adds the connect times of a batch, and the time that one handshake of it took, which stands for all; microseconds.
    pub fn add_connects(&self, times: &[u64], handshake: Option<u64>) {
        let mut histogram = lock(&self.connect);
        for &us in times {
            record(&mut histogram, us);
        }
        drop(histogram);
        if let Some(us) = handshake {
            lock(&self.handshake).saturating_record_n(us.max(1), u32::try_from(times.len()).unwrap_or(u32::MAX));
        }
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

    /// Notes that a worker of this engine could not run; the call that failed.
    pub fn note_worker_failed(&self, role: Role, error: &io::Error) -> FailedCall {
        let call = errno::failed("thread", error.raw_os_error().unwrap_or(0));
        self.add_error("thread", call.errno);
        let text = format!("A {} worker could not run: {error}.", role.name());
        self.note_failed(Severity::Critical, "worker_failed", text, Some(call.clone()));
        call
    }

    /// User plus system time of the process, microseconds.
    pub fn cpu_us() -> u64 {
        micros(sys::cpu_time())
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
        assert_eq!((counters.open(), counters.lost()), (4, 1));
    }

    #[test]
    fn the_jitter_of_a_plateau_does_not_move_the_time_of_the_peak() {
        let counters = Counters::new().unwrap();
        for (open, second, want) in
            [(1000, 1, 1), (57_000, 2, 2), (57_600, 3, 3), (57_646, 4, 3), (57_700, 60, 3), (59_000, 70, 70)]
        {
            counters.peak_rose(open, second * 1_000_000);
            assert_eq!(counters.word(Word::PeakUs).load(Relaxed), want * 1_000_000, "{open} after {second} s");
        }
        counters.peak_rose(59_001, 70_900_000);
        assert_eq!(counters.word(Word::PeakUs).load(Relaxed), 70_900_000, "which goes on rising");
    }

    #[test]
    fn events_are_numbered_and_bounded() {
        let counters = Counters::new().unwrap();
        for i in 0..500 {
            counters.note(Severity::Info, "x", i.to_string());
        }
        let events = counters.stats(Role::Client).events;
        assert_eq!((events.len(), events[0].seq, events[199].text.as_str()), (200, 301, "499"));
    }

    #[test]
    fn long_times_count_as_the_longest() {
        let mut h = histogram(LONGEST_WAIT_US).unwrap();
        record(&mut h, u64::MAX);
        record(&mut h, 0);
        let l = latency(&h);
        assert_eq!(l.count, 2);
        assert!(l.max_us >= LONGEST_WAIT_US * 98 / 100);
    }
}
