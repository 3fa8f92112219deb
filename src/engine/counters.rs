//! What the workers count and the main thread reports. Workers add once a batch, not once a connection.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;

use super::page::{self, Page, Word};
use crate::protocol::{
    EngineEvent, EngineStats, ErrorCount, FailedCall, Latency, Role, Severity, Times, errno, spread_bound_us,
};
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

/// Bytes of a distribution: four of them and every event fit into a report.
const MOST_WRITTEN: usize = 12 * 1024;

/// The whole distribution, for [`crate::protocol::Times`]. One that is spread over so many places that it would be too long
/// has neighbours taken together, at the longer of their times.
pub fn written(histogram: &Histogram<u32>) -> String {
    let places = histogram.iter_recorded().map(|v| (v.value_iterated_to(), v.count_since_last_iteration()));
    let mut places: Vec<(u64, u64)> = places.collect();
    loop {
        let pairs: Vec<String> = places.iter().map(|(us, count)| format!("{us}:{count}")).collect();
        let text = pairs.join(" ");
        if text.len() <= MOST_WRITTEN {
            return text;
        }
        let pair = |two: &[(u64, u64)]| two.iter().copied().reduce(|a, b| (b.0, a.1 + b.1)).unwrap_or_default();
        places = places.chunks(2).map(pair).collect();
    }
}

/// How the values are spread, for [`EngineStats::connect_spread`], in as many places as it takes; and their sum.
pub fn spread(histogram: &Histogram<u32>) -> (Vec<u64>, u64) {
    let mut places: Vec<u64> = Vec::new();
    let (mut place, mut sum) = (0, 0_u64);
    for value in histogram.iter_recorded() {
        let us = f64::from(u32::try_from(value.value_iterated_to()).unwrap_or(u32::MAX));
        while spread_bound_us(place) < us {
            place += 1;
        }
        places.resize(places.len().max(place + 1), 0);
        let count = value.count_since_last_iteration();
        places[place] += count;
        sum = sum.saturating_add(histogram.median_equivalent(value.value_iterated_to()).saturating_mul(count));
    }
    (places, sum)
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

    /// A count.
    pub fn get(&self, at: Word) -> u64 {
        self.word(at).load(Relaxed)
    }

    /// Adds a batch to a count.
    pub fn add(&self, at: Word, n: u64) {
        self.word(at).fetch_add(n, Relaxed);
    }

    /// Changes a count from `before` to `now`, as far as the caller's own part of it goes. Wrapping: the difference may be
    /// negative, and the sum over all workers is not.
    pub fn change(&self, at: Word, before: u64, now: u64) {
        if now != before {
            self.add(at, now.wrapping_sub(before));
        }
    }

    /// What every engine says of itself, without what only its role knows: a report of [`Page`] is made from it.
    pub fn stats(&self, role: Role) -> EngineStats {
        // Locked once: what a temporary locks stays locked to the end of the whole expression.
        let of = |times: &Mutex<Histogram<u32>>| {
            let histogram = lock(times);
            (latency(&histogram), spread(&histogram))
        };
        let (connect, (connect_spread, connect_sum_us)) = of(&self.connect);
        let (handshake, (handshake_spread, handshake_sum_us)) = of(&self.handshake);
        let mut stats = EngineStats {
            role,
            pid: std::process::id(),
            t_us: self.now_us(),
            errors: self.errors(),
            cpu_us: Self::cpu_us(),
            connect,
            handshake,
            connect_spread,
            connect_sum_us,
            handshake_spread,
            handshake_sum_us,
            events: lock(&self.events).clone(),
            ..EngineStats::default()
        };
        page::counts(&mut stats, |at| self.get(at));
        stats
    }

    /// Connect times and handshakes, whole.
    pub fn times(&self) -> Times {
        Times { connect: written(&lock(&self.connect)), handshake: written(&lock(&self.handshake)), ..Times::default() }
    }

    /// Microseconds since the start.
    pub fn now_us(&self) -> u64 {
        self.page.now_us()
    }

    /// A batch of connections was opened. Returns how many are open now.
    pub fn add_opened(&self, n: u64) -> u64 {
        self.add(Word::Opened, n);
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
        self.add(Word::Closed, n);
        self.add(Word::Lost, lost);
        self.word(Word::Open).fetch_sub(n, Relaxed);
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
        let text = format!("A {} worker thread could not start: {error}.", role.name());
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
        let peak = || {
            let stats = counters.stats(Role::Server);
            (stats.peak, stats.peak_us)
        };
        assert_eq!(peak(), (0, None));
        counters.add_opened(5);
        counters.add_closed(3, 1);
        counters.add_opened(2);
        assert_eq!(peak().0, 5);
        assert_eq!((counters.get(Word::Open), counters.get(Word::Lost)), (4, 1));
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
    fn a_spread_has_every_value_and_their_sum_to_two_digits() {
        let mut h = histogram(LONGEST_WAIT_US).unwrap();
        let values = [1, 2, 3, 700, 701, 25_000, 1_900_000];
        for us in values {
            record(&mut h, us);
        }
        let (places, sum) = spread(&h);
        assert_eq!(places.iter().sum::<u64>(), 7);
        let below_a_millisecond: u64 = places.iter().take(21).sum();
        assert_eq!(below_a_millisecond, 5, "{places:?}");
        let exact: u64 = values.iter().sum();
        assert!(sum.abs_diff(exact) * 100 < exact, "{sum} for {exact}");
        assert_eq!(spread(&histogram(LONGEST_WAIT_US).unwrap()), (Vec::new(), 0));
    }

    #[test]
    fn a_distribution_is_written_within_bounds() {
        let mut h = histogram(LONGEST_WAIT_US).unwrap();
        assert_eq!(written(&h), "");
        for us in [5, 90, 90] {
            record(&mut h, us);
        }
        assert_eq!(written(&h), "5:1 90:2");
        for power in 0..26 {
            for n in 0..500 {
                record(&mut h, (1 << power) + (n << power) / 500);
            }
        }
        let text = written(&h);
        let counts = text.split(' ').map(|pair| pair.split_once(':').unwrap().1.parse::<u64>().unwrap());
        assert!(text.len() <= MOST_WRITTEN, "{}", text.len());
        assert_eq!(counts.sum::<u64>(), h.len(), "none is left out");
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
