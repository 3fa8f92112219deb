//! Writing a run file: in a thread of its own, so that a disk that is slow or full delays no sample and costs the recording
//! alone.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::format::Entry;
use super::frame::Builder;
use super::header::Header;
use crate::units::micros;

/// How long an entry may wait to be written.
const FLUSH: Duration = Duration::from_secs(5);
/// Lines of a frame that are written before that, bytes.
const LARGE: usize = 1 << 20;
/// The header is written again after so long.
const REPEAT: Duration = Duration::from_hours(1);
/// Entries that wait for the disk: some ten seconds of a ramp, a minute of a run that holds.
const WAITING: usize = 64;
/// How long the end of a run waits for the disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time between two attempts to hand over the last entry.
const RETRY: Duration = Duration::from_millis(10);

/// A recording that goes on.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    to: SyncSender<Order>,
    done: Receiver<()>,
    shared: Arc<Mutex<Shared>>,
    /// Entries that found no room, since the last that did.
    missed: u64,
    /// Moment of the last entry that has one, milliseconds since the dashboard started.
    last_ms: u64,
    /// The disk does not take what comes, and this has been told.
    stalled: bool,
}

/// What the thread is told.
#[derive(Debug)]
enum Order {
    /// Record this.
    Record(Box<Entry>),
    /// Write what there is, and say how many bytes the file has then.
    Flush(SyncSender<u64>),
}

/// What the thread tells.
#[derive(Debug, Default)]
struct Shared {
    /// Something to tell the user, not yet told.
    news: Option<News>,
}

/// How the recording fares, when that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// What comes is not recorded; why.
    Stopped(String),
    /// It is again.
    GoesOn,
}

impl Recorder {
    /// Begins to record into this file, which is open for writing and empty.
    ///
    /// # Errors
    /// No thread can be started, or the first frame cannot be written.
    pub fn start(path: &Path, file: File, header: Header) -> io::Result<Self> {
        let (to, orders) = sync_channel(WAITING);
        let (end, done) = sync_channel(1);
        let shared = Arc::new(Mutex::new(Shared::default()));
        let mut writer = Writer { shared: Arc::clone(&shared), ..Writer::new(file, header)? };
        // What cannot be written at all is found out here, before the run begins.
        writer.with_header()?;
        let frame = writer.builder.finish()?;
        writer.append(&frame)?;
        thread::Builder::new().name("record".into()).spawn(move || {
            writer.run(&orders);
            // Nobody waits for it any more.
            let _ = end.try_send(());
        })?;
        Ok(Self { path: path.to_owned(), to, done, shared, missed: 0, last_ms: 0, stalled: false })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records an entry. Never waits: what finds no room is missed, and the file says so.
    pub fn put(&mut self, entry: Entry) {
        self.last_ms = entry.t_ms().unwrap_or(self.last_ms);
        if self.missed > 0 {
            let gap = Entry::Gap { t_ms: self.last_ms, entries: Some(self.missed) };
            if self.to.try_send(Order::Record(Box::new(gap))).is_err() {
                self.missed += 1;
                return;
            }
            self.missed = 0;
        }
        match self.to.try_send(Order::Record(Box::new(entry))) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.missed += 1,
        }
    }

    /// Has everything up to now written; the channel tells when that is done, and how many bytes of the file it is, or ends.
    pub fn flush(&self) -> Receiver<u64> {
        let (say, done) = sync_channel(1);
        // A disk that is slow has something to write anyway.
        let _ = self.to.try_send(Order::Flush(say));
        done
    }

    /// Something about the recording that the user has not been told.
    pub fn news(&mut self) -> Option<News> {
        let told = self.shared.lock().unwrap_or_else(PoisonError::into_inner).news.take();
        let stalled = self.missed > 0;
        if told.is_none() && stalled != self.stalled {
            self.stalled = stalled;
            let why = || "the disk takes too long to write".to_owned();
            return Some(if stalled { News::Stopped(why()) } else { News::GoesOn });
        }
        told
    }

    /// Ends the file with this entry. Waits for a disk that is slow, though not for long.
    pub fn finish(self, last: Entry) {
        let Self { to, done, missed, last_ms, .. } = self;
        let until = Instant::now() + PATIENCE;
        let gap = (missed > 0).then(|| Entry::Gap { t_ms: last.t_ms().unwrap_or(last_ms), entries: Some(missed) });
        let taken = gap.into_iter().chain([last]).all(|entry| give(&to, entry, until));
        drop(to);
        if taken {
            // Either it has ended, or the disk hangs, and the program with it is of no use to anybody.
            let _ = done.recv_timeout(PATIENCE);
        }
    }
}

/// Hands over an entry as soon as there is room; whether there was any by then.
fn give(to: &SyncSender<Order>, entry: Entry, until: Instant) -> bool {
    let mut order = Order::Record(Box::new(entry));
    loop {
        order = match to.try_send(order) {
            Ok(()) => return true,
            Err(TrySendError::Full(order)) if Instant::now() < until => order,
            Err(_) => return false,
        };
        thread::sleep(RETRY);
    }
}

/// Writes a whole recording at once, in the frames that a run would have made of it: of five seconds, ended by whatever is no
/// sample.
///
/// # Errors
/// It cannot be written.
pub fn write_all(file: File, header: Header, entries: impl IntoIterator<Item = Entry>) -> io::Result<()> {
    let mut writer = Writer::new(file, header)?;
    writer.with_header()?;
    let (mut due, mut failed) = (None, false);
    for entry in entries {
        let now = entry.t_ms();
        if due.zip(now).is_some_and(|(due, now)| now >= due) {
            writer.flush();
            due = None;
        }
        due = due.or(now.map(|now| now + micros(FLUSH) / 1000));
        writer.add(&entry);
        if !entry.is_routine() {
            writer.flush();
            due = None;
        }
        failed |= writer.failing;
    }
    writer.flush();
    if failed || writer.failing { Err(io::Error::other("a part of it could not be written")) } else { Ok(()) }
}

struct Writer {
    file: File,
    /// Bytes of whole frames.
    good: u64,
    builder: Builder,
    header: Entry,
    copies: u32,
    repeat: Instant,
    failing: bool,
    shared: Arc<Mutex<Shared>>,
}

impl Writer {
    fn new(file: File, header: Header) -> io::Result<Self> {
        Ok(Self {
            file,
            good: 0,
            builder: Builder::new()?,
            header: Entry::Header { header: Box::new(header) },
            copies: 0,
            repeat: Instant::now(),
            failing: false,
            shared: Arc::default(),
        })
    }

    fn run(&mut self, orders: &Receiver<Order>) {
        // When what is gathered has to be written.
        let mut due: Option<Instant> = None;
        loop {
            let wait = due.map_or(REPEAT, |due| due.saturating_duration_since(Instant::now()));
            let mut next = match orders.recv_timeout(wait) {
                Ok(order) => Some(order),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return self.flush(),
            };
            let mut urgent = next.is_none();
            while let Some(order) = next {
                match order {
                    Order::Record(entry) => {
                        urgent |= !entry.is_sample();
                        due.get_or_insert_with(|| Instant::now() + FLUSH);
                        self.add(&entry);
                    }
                    Order::Flush(done) => {
                        self.flush();
                        // Whoever wanted to know may not wait any more.
                        let _ = done.try_send(self.good);
                    }
                }
                urgent |= self.builder.len() > LARGE;
                // What happens at once is written at once.
                next = match orders.try_recv() {
                    Ok(order) => Some(order),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => return self.flush(),
                };
            }
            if urgent || due.is_some_and(|due| due <= Instant::now()) {
                self.flush();
                due = None;
            }
        }
    }

    fn add(&mut self, entry: &Entry) {
        if self.builder.is_empty() && (self.copies < 2 || self.repeat.elapsed() > REPEAT) {
            // It is JSON, and was written before.
            let _ = self.with_header();
            if self.copies > 2 {
                self.builder.renew();
            }
        }
        if let Err(e) = self.builder.add(entry) {
            self.fail(&e);
        }
    }

    fn with_header(&mut self) -> io::Result<()> {
        self.copies += 1;
        self.repeat = Instant::now();
        self.builder.add(&self.header)
    }

    fn flush(&mut self) {
        if self.builder.is_empty() {
            return;
        }
        match self.builder.finish().and_then(|frame| self.append(&frame)) {
            Err(e) => self.fail(&e),
            Ok(()) if std::mem::take(&mut self.failing) => self.tell(News::GoesOn),
            Ok(()) => {}
        }
    }

    fn fail(&mut self, e: &io::Error) {
        // The reference may have been in what is lost.
        self.builder.renew();
        if !std::mem::replace(&mut self.failing, true) {
            self.tell(News::Stopped(e.to_string()));
        }
    }

    fn tell(&self, news: News) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).news = Some(news);
    }

    /// Writes a frame, and has the disk keep it. A part of one is taken back.
    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.good))?;
        let written = self.file.write_all(frame);
        if written.is_err() {
            // A pipe or a device cannot be cut.
            let _ = self.file.set_len(self.good);
            return written;
        }
        self.good += frame.len() as u64;
        // Of a file system that cannot, nothing is lost but what a loss of power takes.
        let _ = self.file.sync_data();
        Ok(())
    }
}
