//! The page in which an engine keeps its counters. Whoever watches maps it, so that reading never waits: not for an engine
//! that is busy, stopped or dead.
//!
//! Plain counters are words that the workers change in place. What is more than a counter (the phase, errors, times, events)
//! is a report, JSON, of which the main thread writes a new one when something has changed, and with each beat at the latest.
//! There are two places for reports; the generation says which holds the newest, so that an engine that is killed while it
//! writes leaves the one before whole.
//!
//! A reader trusts nothing in it: not the length, not the JSON, not the size of a number.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

use serde_json::Value;

use crate::protocol::EngineStats;
use crate::sys::{self, SharedView, SharedWords};
use crate::units::micros;

/// `c1m-top` and a zero.
const MAGIC: u64 = u64::from_le_bytes(*b"c1m-top\0");

/// Version of the layout: a page of another one is refused, not misread.
const LAYOUT: u64 = 2;

/// Words of a report. With every event that an engine keeps it needs a quarter of them; older events go first.
const REPORT: usize = 16 * 1024;

/// Where reports begin.
const REPORTS: usize = 16;

/// Words of the page; each place for a report begins with its length in bytes.
const WORDS: usize = REPORTS + 2 * (1 + REPORT);

/// No counter of an honest engine comes near; sums of some of these do not overflow.
const MOST: u64 = 1 << 48;

/// How often a reader looks again when a report was replaced while it was being copied. They are replaced ten times a second.
const LOOKS: usize = 4;

/// The words before the reports.
#[derive(Debug, Clone, Copy)]
pub enum Word {
    /// `MAGIC`, once everything else is in place.
    Magic,
    /// `LAYOUT`.
    Layout,
    /// When the engine started, microseconds of the monotonic clock.
    Started,
    /// When its main thread was last awake, by the same clock.
    Beat,
    /// Reports written so far.
    Generation,
    /// Connections open now.
    Open,
    /// Most that were open at once.
    Peak,
    /// When the peak was last raised, microseconds since the start.
    PeakUs,
    /// Connections ever opened.
    Opened,
    /// Connections closed.
    Closed,
    /// Closed by the other end or an error.
    Lost,
    /// Connects that the other end refused or reset.
    Refused,
    /// Connects under way.
    InFlight,
    /// Greetings echoed.
    Greeted,
    /// Echo bytes waiting for slow readers.
    Buffered,
}

/// Where the report of a generation has its length; its words follow.
fn place(generation: u64) -> usize {
    REPORTS + (generation % 2) as usize * (1 + REPORT)
}

/// The engine's side.
#[derive(Debug)]
pub struct Page {
    words: SharedWords,
}

impl Page {
    /// A page whose counters are zero.
    ///
    /// # Errors
    /// What `memfd_create(2)`, ftruncate(2), mmap(2) or fcntl(2) says.
    pub fn new() -> io::Result<Self> {
        let page = Self { words: SharedWords::create(c"c1m-top-counters", WORDS)? };
        page.word(Word::Layout).store(LAYOUT, Relaxed);
        page.word(Word::Started).store(sys::monotonic_us(), Relaxed);
        page.beat();
        page.word(Word::Magic).store(MAGIC, Release);
        Ok(page)
    }

    /// One of its words.
    pub fn word(&self, at: Word) -> &AtomicU64 {
        &self.words[at as usize]
    }

    /// Number of its descriptor in the main table.
    pub fn number(&self) -> RawFd {
        self.words.number()
    }

    /// Microseconds since it was made.
    pub fn now_us(&self) -> u64 {
        sys::monotonic_us().saturating_sub(self.word(Word::Started).load(Relaxed))
    }

    /// Says that the main thread is awake.
    pub fn beat(&self) {
        self.word(Word::Beat).store(sys::monotonic_us(), Relaxed);
    }

    /// Writes a report; the main thread alone does.
    pub fn report(&self, mut stats: EngineStats) {
        let json = loop {
            let json = serde_json::to_vec(&stats).unwrap_or_default();
            if json.len() <= REPORT * 8 {
                break json;
            }
            if stats.events.is_empty() {
                return;
            }
            stats.events.drain(..stats.events.len().div_ceil(2));
        };
        let generation = self.word(Word::Generation).load(Relaxed) + 1;
        let place = place(generation);
        // A reader that sees a word of this report sees also that the one before, in the other place, was the newest: what it
        // copied from here belonged to no report any more.
        fence(Release);
        self.words[place].store(json.len() as u64, Relaxed);
        for (to, from) in self.words[place + 1..].iter().zip(json.chunks(8)) {
            let mut bytes = [0; 8];
            bytes[..from.len()].copy_from_slice(from);
            to.store(u64::from_le_bytes(bytes), Relaxed);
        }
        self.word(Word::Generation).store(generation, Release);
    }
}

/// The side of whoever watches.
#[derive(Debug)]
pub struct Reader {
    words: SharedView,
    pid: u32,
    /// The newest report that was whole, and its generation.
    last: Option<(u64, EngineStats)>,
}

impl Reader {
    /// Maps the page that the process `pid` has open under this number. The kernel lets its own user and root.
    ///
    /// # Errors
    /// When there is none, or it is not what an engine of this user and version makes.
    pub fn open(pid: u32, number: RawFd) -> io::Result<Self> {
        let path = format!("/proc/{pid}/fd/{number}");
        // Not blocking: what is behind the number may be a pipe.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let refused = |why: &str| Err(io::Error::other(format!("its counters cannot be trusted: {why}")));
        if file.metadata()?.uid() != sys::euid() {
            return refused("they belong to another user");
        }
        let words = SharedView::open(&file, WORDS)?;
        if words.load(Word::Magic as usize) != MAGIC {
            return refused("not of c1m-top");
        }
        let layout = words.load(Word::Layout as usize);
        if layout != LAYOUT {
            return refused(&format!("layout {layout}; this program knows layout {LAYOUT}"));
        }
        Ok(Self { words, pid, last: None })
    }

    /// What the engine says of itself, with every event it keeps.
    ///
    /// # Errors
    /// When there is no whole report: one sentence without a full stop.
    pub fn read(&mut self) -> Result<EngineStats, String> {
        if let Some((generation, bytes)) = self.newest() {
            self.last = Some((generation, parse(&bytes)?));
        }
        let (_, stats) = self.last.as_ref().ok_or("the engine has written no report")?;
        let mut stats = stats.clone();
        // Of the report's own moment; the descriptors of tables and listeners are what is left.
        let own = stats.descriptors.saturating_sub(stats.open + stats.in_flight);
        counts(&mut stats, |at| self.word(at).min(MOST));
        stats.descriptors = own + stats.open + stats.in_flight;
        let now = sys::monotonic_us();
        let since = |at| now.saturating_sub(self.word(at)).min(MOST);
        stats.t_us = since(Word::Started);
        stats.silent_ms = since(Word::Beat) / 1000;
        // Of this moment, as the counts are; of a process that has ended the report's holds.
        stats.cpu_us = sys::cpu_time_of(self.pid).map_or(stats.cpu_us, micros);
        Ok(stats)
    }

    fn word(&self, at: Word) -> u64 {
        self.words.load(at as usize)
    }

    /// The newest report, where it is not the one that is known. Always within a few copies: an engine that is stopped does
    /// not change it, and one that changes it all the time is not honest.
    fn newest(&self) -> Option<(u64, Vec<u8>)> {
        for _ in 0..LOOKS {
            let generation = self.word(Word::Generation);
            fence(Acquire);
            if generation == 0 || self.last.as_ref().is_some_and(|l| l.0 == generation) {
                return None;
            }
            let place = place(generation);
            let len = usize::try_from(self.words.load(place)).unwrap_or(REPORT * 8).min(REPORT * 8);
            let words = place + 1..=place + len.div_ceil(8);
            let mut bytes: Vec<u8> = words.flat_map(|at| self.words.load(at).to_le_bytes()).collect();
            bytes.truncate(len);
            fence(Acquire);
            if self.word(Word::Generation) == generation {
                return Some((generation, bytes));
            }
        }
        None
    }
}

/// Puts the counts of a page into a report.
pub(super) fn counts(stats: &mut EngineStats, count: impl Fn(Word) -> u64) {
    for (to, at) in [
        (&mut stats.open, Word::Open),
        (&mut stats.peak, Word::Peak),
        (&mut stats.opened, Word::Opened),
        (&mut stats.closed, Word::Closed),
        (&mut stats.lost, Word::Lost),
        (&mut stats.refused, Word::Refused),
        (&mut stats.in_flight, Word::InFlight),
        (&mut stats.greeted, Word::Greeted),
        (&mut stats.buffered_bytes, Word::Buffered),
    ] {
        *to = count(at);
    }
    stats.peak_us = (stats.peak > 0).then(|| count(Word::PeakUs));
}

/// A report whose numbers can be used in sums.
fn parse(bytes: &[u8]) -> Result<EngineStats, String> {
    let unreadable = |e| format!("the engine's report is unreadable: {e}");
    let mut value: Value = serde_json::from_slice(bytes).map_err(unreadable)?;
    bound(&mut value);
    serde_json::from_value(value).map_err(unreadable)
}

fn bound(value: &mut Value) {
    match value {
        Value::Number(n) if n.as_u64().is_some_and(|n| n > MOST) => *value = MOST.into(),
        Value::Array(items) => items.iter_mut().for_each(bound),
        Value::Object(fields) => fields.values_mut().for_each(bound),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::super::counters::Counters;
    use super::*;
    use crate::protocol::{Role, Severity};

    /// As an engine's own process maps it.
    fn reader(page: &Page) -> Reader {
        Reader::open(std::process::id(), page.number()).unwrap()
    }

    #[test]
    fn counters_are_read_as_they_are_and_the_rest_as_reported() {
        let counters = Counters::new().unwrap();
        let page = counters.page();
        let mut reader = reader(page);
        assert!(reader.read().is_err(), "before the first report");
        counters.add_opened(5);
        page.report(EngineStats { descriptors: 105, target: 9, ..counters.stats(Role::Client) });
        counters.add_opened(2);
        counters.add_closed(3, 1);
        counters.change(Word::InFlight, 0, 4);
        let seen = reader.read().unwrap();
        assert_eq!((seen.open, seen.peak, seen.opened, seen.closed, seen.lost), (4, 7, 7, 3, 1));
        // A hundred descriptors are not connections.
        assert_eq!((seen.in_flight, seen.descriptors, seen.target), (4, 108, 9));
        for round in 0..10 {
            counters.note(Severity::Info, "x", round.to_string());
            page.report(counters.stats(Role::Client));
            assert_eq!(reader.read().unwrap().events.len(), round + 1, "each of both places");
        }
    }

    #[test]
    fn a_report_that_is_too_long_loses_its_oldest_events() {
        let counters = Counters::new().unwrap();
        for i in 0..200 {
            counters.note(Severity::Info, "x", format!("{i} {}", "x".repeat(1000)));
        }
        counters.page().report(counters.stats(Role::Server));
        let events = reader(counters.page()).read().unwrap().events;
        assert_eq!((events.len(), events.last().unwrap().seq), (100, 200));
    }

    #[test]
    fn a_report_that_is_being_written_at_the_death_leaves_the_one_before() {
        let counters = Counters::new().unwrap();
        let page = counters.page();
        page.report(EngineStats { target: 1, ..counters.stats(Role::Client) });
        let next = place(page.word(Word::Generation).load(Relaxed) + 1);
        page.words[next].store(u64::MAX, Relaxed);
        page.words[next + 1..next + 100].iter().for_each(|w| w.store(u64::MAX, Relaxed));
        assert_eq!(reader(page).read().unwrap().target, 1);
    }

    #[test]
    fn what_no_engine_makes_is_refused() {
        let shared = |change: fn(&Page)| {
            let page = Page::new().unwrap();
            change(&page);
            page
        };
        let foreign = shared(|p| p.word(Word::Magic).store(7, Relaxed));
        let newer = shared(|p| p.word(Word::Layout).store(LAYOUT + 1, Relaxed));
        let short = SharedWords::create(c"short", WORDS - 1).unwrap();
        // Of the right size and in memory, but it could be made shorter.
        let mut unsealed = tempfile::tempfile_in("/dev/shm").unwrap();
        unsealed.write_all(&vec![0; WORDS * 8]).unwrap();
        let (pipe, _writer) = io::pipe().unwrap();
        let null = File::open("/dev/null").unwrap();
        for (number, want) in [
            (foreign.number(), "not of c1m-top"),
            (newer.number(), "layout 3; this program knows layout 2"),
            (short.number(), "shared memory of"),
            (unsealed.as_raw_fd(), "not sealed"),
            (pipe.as_raw_fd(), "nvalid argument"),
            (null.as_raw_fd(), ""),
            (-1, "No such file"),
        ] {
            let said = Reader::open(std::process::id(), number).unwrap_err().to_string();
            assert!(said.contains(want), "{want}: {said}");
        }
    }

    #[test]
    fn no_content_harms_whoever_reads() {
        let counters = Counters::new().unwrap();
        let page = counters.page();
        page.report(counters.stats(Role::Client));
        let honest = serde_json::to_string(&counters.stats(Role::Client)).unwrap();
        let write = |json: &[u8], len: u64| {
            let generation = page.word(Word::Generation).load(Relaxed).wrapping_add(1);
            let at = place(generation);
            page.words[at].store(len, Relaxed);
            for (word, bytes) in page.words[at + 1..].iter().zip(json.chunks(8)) {
                let mut whole = [0; 8];
                whole[..bytes.len()].copy_from_slice(bytes);
                word.store(u64::from_le_bytes(whole), Relaxed);
            }
            page.word(Word::Generation).store(generation, Relaxed);
        };
        let mut reader = reader(page);
        for (json, len) in [
            ("", 0),
            ("", u64::MAX),
            ("{}", 2),
            ("[[[[[[[[", 8),
            (&honest, honest.len() as u64 - 1),
            (&honest.replace("starting", "dancing"), honest.len() as u64 - 1),
            (&honest.replace("\"tables\":0", "\"tables\":-1"), honest.len() as u64 + 1),
            (&"[".repeat(100_000), 100_000),
        ] {
            write(json.as_bytes(), len);
            assert!(reader.read().is_err(), "{json:.40}");
        }
        let huge = honest.replace("\"target\":0", &format!("\"target\":{}", u64::MAX));
        write(huge.as_bytes(), huge.len() as u64);
        for at in [Word::Open, Word::Peak, Word::InFlight, Word::Started, Word::Beat] {
            page.word(at).store(u64::MAX, Relaxed);
        }
        let seen = reader.read().unwrap();
        assert_eq!((seen.target, seen.open, seen.descriptors), (MOST, MOST, 2 * MOST));
        assert_eq!((seen.t_us, seen.silent_ms), (0, 0), "clocks that run ahead");
    }

    #[test]
    fn a_page_that_changes_while_it_is_read_gives_whole_reports_or_none() {
        let counters = Counters::new().unwrap();
        let page = counters.page();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                // Reports of two lengths, each of which says its own number throughout.
                for i in 0..3_000 {
                    let mut stats = counters.stats(Role::Client);
                    (stats.target, stats.table_limit, stats.table_room) = (i, i, i);
                    if i % 2 == 0 {
                        stats.events.clear();
                    }
                    page.report(stats);
                }
                done.store(true, Relaxed);
            });
            let mut reader = reader(page);
            while !done.load(Relaxed) {
                // Before the first report there is none.
                if let Ok(seen) = reader.read() {
                    assert_eq!((seen.target, seen.target), (seen.table_limit, seen.table_room));
                }
            }
            assert_eq!(reader.read().unwrap().target, 2_999);
        });
    }
}
