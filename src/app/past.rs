//! The past of a run that goes on, made from its recording: in a thread of its own, for it takes as long as there are samples
//! since the nearest state that is kept.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::message::Message;
use crate::record::{self, Past, Recording};

/// How long to wait for what has just been recorded to be written: a disk that takes longer has the rest of the past.
const WRITTEN: Duration = Duration::from_secs(1);

/// A question: the file, what tells that it is written, and the moment.
type Question = (PathBuf, Receiver<()>, u64);

/// Asks. The thread begins with the first question.
#[derive(Debug)]
pub(super) struct Historian {
    to: SyncSender<Message>,
    thread: Option<Sender<Question>>,
}

impl Historian {
    pub(super) fn new(to: SyncSender<Message>) -> Self {
        Self { to, thread: None }
    }

    /// Has the run made as it was at this moment. A message comes of it, unless another question is asked before its turn.
    pub(super) fn ask(&mut self, path: PathBuf, written: Receiver<()>, t_ms: u64) {
        let thread = self.thread.take().or_else(|| start(self.to.clone()));
        // A thread that has gone is started anew by the next question.
        self.thread = thread.filter(|thread| thread.send((path, written, t_ms)).is_ok());
        if self.thread.is_none() {
            // Without waiting: the loop itself is what empties the channel.
            let _ = self.to.try_send(Message::Past(t_ms, None));
        }
    }
}

fn start(to: SyncSender<Message>) -> Option<Sender<Question>> {
    let (ask, asked) = channel::<Question>();
    let run = move || {
        let mut past = Past::default();
        while let Ok(mut question) = asked.recv() {
            // The newest alone: the user looks at that.
            while let Ok(newer) = asked.try_recv() {
                question = newer;
            }
            let (path, written, t_ms) = question;
            let _ = written.recv_timeout(WRITTEN);
            let model = record::open(&path).ok().map(|recording| past.at(&recording, t_ms).into_shown());
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
