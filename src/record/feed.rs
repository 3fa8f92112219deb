//! A run that somebody looks at from elsewhere: what has been recorded of it, and then what comes, as pieces of a recording.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::format::Entry;
use super::frame::Builder;
use super::header::Header;

/// Most bytes of the past that are sent: half a day of a run that holds is less than 20 MB, and nobody waits for that.
const PAST: u64 = 4 << 20;

/// Most bytes of a piece: a line of 128 kbit/s takes it within a second.
const PIECE: usize = 16 << 10;

/// How long what has just been recorded is waited for: a disk that takes longer has what came before to itself.
const WRITTEN: Duration = Duration::from_secs(1);

/// Entries that wait to be packed: more than come while the past is sent.
const WAITING: usize = 256;

/// Reference samples of a recording are numbered from 1: those that follow it from here.
const FIRST_REFERENCE: u32 = 1 << 31;

/// Where the past of a run stands: its file, and what tells how much of that is its past.
pub type Written = (PathBuf, Receiver<u64>);

/// What is sent of a run. It ends when this is dropped, or finished.
#[derive(Debug)]
pub struct Feed {
    entries: SyncSender<Entry>,
    thread: JoinHandle<()>,
}

impl Feed {
    /// Begins to send, from a thread of its own: first what `past` has, where the run is recorded, then every entry that is
    /// [`put`](Feed::put). What `to` is given in this order is a recording; it returns whether there is more to be had of it.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        header: Header,
        past: Option<Written>,
        to: impl FnMut(Vec<u8>) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        Self::of(header, past, PAST, to)
    }

    /// The same with no more than so many bytes of the past.
    pub(super) fn of(
        header: Header,
        past: Option<Written>,
        most: u64,
        to: impl FnMut(Vec<u8>) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let (put, entries) = sync_channel(WAITING);
        let builder = Builder::numbered_from(FIRST_REFERENCE)?;
        let mut sender = Sender { builder, header: Entry::Header { header: Box::new(header) }, most, to };
        // Whoever looks sees that no more comes.
        let thread = thread::Builder::new().name("feed".into()).spawn(move || _ = sender.run(past, &entries))?;
        Ok(Self { entries: put, thread })
    }

    /// Sends an entry. Never waits; `false` where it cannot be sent, and nothing after it.
    #[must_use]
    pub fn put(&self, entry: Entry) -> bool {
        self.entries.try_send(entry).is_ok()
    }

    /// Ends it when all that was put has been given on.
    pub fn finish(self) {
        drop(self.entries);
        // One that has panicked gives nothing on.
        let _ = self.thread.join();
    }
}

struct Sender<T> {
    builder: Builder,
    header: Entry,
    /// Bytes of the past.
    most: u64,
    to: T,
}

/// Nobody takes it, or it cannot be had.
struct Ended;

impl<T: FnMut(Vec<u8>) -> bool> Sender<T> {
    fn run(&mut self, past: Option<Written>, entries: &Receiver<Entry>) -> Result<(), Ended> {
        let written = past.and_then(|(path, written)| {
            let bytes = written.recv_timeout(WRITTEN).ok()?;
            // It may have been moved away since.
            Some((File::open(path).ok()?, bytes))
        });
        let from = written.as_ref().map_or(0, |(_, bytes)| bytes.saturating_sub(self.most));
        if written.is_none() || from > 0 {
            // It stands at the beginning of the file, which is not sent.
            let header = self.header.clone();
            self.pack(&header)?;
            self.send()?;
        }
        if let Some((file, bytes)) = written {
            let mut at = from;
            while at < bytes {
                let mut piece = vec![0; PIECE.min(usize::try_from(bytes - at).unwrap_or(PIECE))];
                // What cannot be read is missing, and whoever follows is told.
                if file.read_exact_at(&mut piece, at).is_err() {
                    break;
                }
                at += piece.len() as u64;
                self.hand(&piece)?;
            }
        }
        while let Ok(entry) = entries.recv() {
            self.pack(&entry)?;
            while let Ok(entry) = entries.try_recv() {
                self.pack(&entry)?;
            }
            self.send()?;
        }
        Ok(())
    }

    fn pack(&mut self, entry: &Entry) -> Result<(), Ended> {
        self.builder.add(entry).map_err(|_| Ended)
    }

    fn send(&mut self) -> Result<(), Ended> {
        let frame = self.builder.finish().map_err(|_| Ended)?;
        self.hand(&frame)
    }

    fn hand(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        if bytes.chunks(PIECE).all(|piece| (self.to)(piece.to_vec())) { Ok(()) } else { Err(Ended) }
    }
}
