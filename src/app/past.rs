//! The past of a run that goes on, made from its recording: in a thread of its own, for it takes as long as there are samples
//! since the nearest state that is kept.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::message::Message;
use crate::record::{self, Past, Recording};

/// How long to wait for what has just been recorded to be written: a disk that takes longer has the rest of the past.
const WRITTEN: Duration = Duration::from_secs(1);

/// How long the past is kept when the user looks at the present again: who goes back and forth need not wait.
const KEPT: Duration = Duration::from_mins(1);

/// A question: the file, what tells that it is written, and the moment.
type Question = (PathBuf, Receiver<u64>, u64);

/// Where the user looks.
#[derive(Debug)]
enum Order {
    /// At this moment.
    Show(Question),
    /// At the present.
    Leave,
}

/// Asks. The thread begins with the first question.
#[derive(Debug)]
pub(super) struct Historian {
    to: SyncSender<Message>,
    thread: Option<Sender<Order>>,
}

impl Historian {
    pub(super) fn new(to: SyncSender<Message>) -> Self {
        Self { to, thread: None }
    }

    /// Has the run made as it was at this moment. A message comes of it, unless another question is asked before its turn.
    pub(super) fn ask(&mut self, path: PathBuf, written: Receiver<u64>, t_ms: u64) {
        let thread = self.thread.take().or_else(|| start(self.to.clone()));
        // A thread that has gone is started anew by the next question.
        self.thread = thread.filter(|thread| thread.send(Order::Show((path, written, t_ms))).is_ok());
        if self.thread.is_none() {
            // Without waiting: the loop itself is what empties the channel.
            let _ = self.to.try_send(Message::Past(t_ms, None));
        }
    }

    /// The user looks at the present: the states of the past go, after a while.
    pub(super) fn leave(&self) {
        if let Some(thread) = &self.thread {
            // One that has gone keeps nothing.
            let _ = thread.send(Order::Leave);
        }
    }
}

/// What the thread keeps from one question to the next.
#[derive(Debug, Default)]
struct Memory {
    past: Past,
    /// The user looks at the present.
    left: bool,
}

impl Memory {
    /// Waits for the next question, no longer than `kept` with what is only kept for one; `None` where there was none by then.
    fn next(&mut self, asked: &Receiver<Order>, kept: Duration) -> Result<Option<Question>, RecvTimeoutError> {
        let mut order = if self.left { asked.recv_timeout(kept) } else { asked.recv().map_err(Into::into) };
        // The newest alone: the user looks at that.
        while let Ok(newer) = asked.try_recv() {
            order = Ok(newer);
        }
        match order {
            Ok(Order::Show(question)) => {
                self.left = false;
                return Ok(Some(question));
            }
            Ok(Order::Leave) => self.left = true,
            Err(RecvTimeoutError::Timeout) => *self = Self::default(),
            Err(RecvTimeoutError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
        }
        Ok(None)
    }
}

fn start(to: SyncSender<Message>) -> Option<Sender<Order>> {
    let (ask, asked) = channel::<Order>();
    let run = move || {
        let mut memory = Memory::default();
        while let Ok(question) = memory.next(&asked, KEPT) {
            let Some((path, written, t_ms)) = question else { continue };
            let _ = written.recv_timeout(WRITTEN);
            let model = record::open(&path).ok().map(|recording| memory.past.at(&recording, t_ms).into_shown());
            if to.send(Message::Past(t_ms, model)).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("past".into()).spawn(run).ok().map(|_| ask)
}

/// How often it is told how far a recording has been read.
const TELL_EVERY: Duration = Duration::from_millis(300);

/// Reads a recording from its beginning to its end, and answers which run it was at a moment before and after that. The thread
/// ends with the sender, or with the program.
pub(super) fn read(recording: Recording, to: SyncSender<Message>) -> std::io::Result<(Sender<u64>, JoinHandle<()>)> {
    let (ask, asked) = channel::<u64>();
    let run = move || {
        let mut past = Past::default();
        let mut whole = false;
        let mut told = std::time::Instant::now();
        loop {
            let mut question = None;
            if whole {
                match asked.recv() {
                    Ok(t_ms) => question = Some(t_ms),
                    Err(_) => return,
                }
            }
            while let Ok(newer) = asked.try_recv() {
                question = Some(newer);
            }
            let message = if let Some(t_ms) = question {
                Message::Past(t_ms, Some(past.at(&recording, t_ms).into_shown()))
            } else {
                whole = !past.prepare(&recording);
                if !whole && told.elapsed() < TELL_EVERY {
                    continue;
                }
                told = std::time::Instant::now();
                match past.furthest() {
                    Some(course) => Message::Known(Box::new(course.shown().clone()), whole),
                    None => continue,
                }
            };
            if to.send(message).is_err() {
                return;
            }
        }
    };
    let thread = thread::Builder::new().name("past".into()).spawn(run)?;
    Ok((ask, thread))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::record::{Entry, Header};

    #[test]
    fn the_past_of_a_run_is_forgotten_when_nobody_looks_at_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.c1m");
        let fixture = record::open(Path::new("tests/fixtures/runs/nginx-1.c1m")).unwrap();
        let entries = fixture.entries().filter(Entry::is_sample);
        record::write_all(File::create(&path).unwrap(), Header::clone(fixture.header()), entries).unwrap();
        let recording = record::open(&path).unwrap();
        let (ask, asked) = channel();
        let show = || Order::Show((path.clone(), sync_channel(0).1, 0));
        let mut memory = Memory::default();
        ask.send(show()).unwrap();
        assert!(memory.next(&asked, Duration::ZERO).unwrap().is_some());
        memory.past.at(&recording, recording.span_ms().1);
        assert!(memory.past.states() > 3, "{}", memory.past.states());
        ask.send(Order::Leave).unwrap();
        assert!(memory.next(&asked, Duration::ZERO).unwrap().is_none());
        assert!(memory.past.states() > 3, "who comes back at once finds it");
        assert!(memory.next(&asked, Duration::ZERO).unwrap().is_none());
        assert_eq!(memory.past.states(), 0);
        ask.send(Order::Leave).unwrap();
        ask.send(show()).unwrap();
        assert!(memory.next(&asked, Duration::ZERO).unwrap().is_some() && !memory.left);
        drop(ask);
        assert!(memory.next(&asked, Duration::ZERO).is_err());
    }
}
