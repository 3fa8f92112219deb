//! The way out to the terminal: one frame at a time, written by a thread of its own. A terminal that takes its bytes slowly
//! (a serial line, a bad link) holds up that thread alone, and frames meanwhile are dropped: what is drawn next is the newest.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes written at once: a terminal of 9,600 baud takes them in a second, which is how long leaving may wait.
const CHUNK: usize = 1024;
/// How long leaving waits for a write that is under way. A terminal that takes nothing at all is left as it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// Held while something is written, so that nothing gets between.
static WRITING: Mutex<()> = Mutex::new(());
/// Whether what is being written is of no use any more.
static ABANDONED: AtomicBool = AtomicBool::new(false);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Called when the terminal has taken a frame while others were dropped: there is something newer to draw.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Collects a frame and sends it off.
pub(super) struct Outlet {
    frame: Vec<u8>,
    to: SyncSender<Vec<u8>>,
    /// Buffers come back to be filled again, and what went wrong.
    back: Receiver<io::Result<Vec<u8>>>,
    away: bool,
    missed: Arc<AtomicBool>,
}

impl std::fmt::Debug for Outlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outlet").field("frame", &self.frame.len()).field("away", &self.away).finish_non_exhaustive()
    }
}

impl Outlet {
    /// Starts the thread, which writes to `out`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(mut out: impl Write + Send + 'static, wake: Wake) -> io::Result<Self> {
        let (to, frames) = sync_channel::<Vec<u8>>(1);
        let (done, back) = sync_channel(1);
        let missed = Arc::new(AtomicBool::new(false));
        let dropped = Arc::clone(&missed);
        ABANDONED.store(false, SeqCst);
        thread::Builder::new().name("screen".into()).spawn(move || {
            for mut frame in frames {
                let written = write_out(&mut out, &frame);
                frame.clear();
                if done.send(written.map(|()| frame)).is_err() {
                    return;
                }
                if dropped.swap(false, SeqCst) {
                    wake();
                }
            }
        })?;
        Ok(Self { frame: Vec::new(), to, back, away: false, missed })
    }

    /// Whether the terminal has taken all that it was given. Where it has not, the one who asks is woken when it has.
    ///
    /// # Errors
    /// When the terminal could not be written to: it is gone.
    pub(super) fn is_free(&mut self) -> io::Result<bool> {
        if self.away {
            // Before looking: the thread may be done in between.
            self.missed.store(true, SeqCst);
            match self.back.try_recv() {
                Ok(written) => {
                    let mut empty = written?;
                    empty.append(&mut self.frame);
                    self.frame = empty;
                    self.away = false;
                }
                Err(TryRecvError::Empty) => return Ok(false),
                Err(TryRecvError::Disconnected) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        self.missed.store(false, SeqCst);
        Ok(true)
    }

    /// Sends off what has been collected, if the terminal is free; else it goes with the next frame.
    ///
    /// # Errors
    /// See [`Outlet::is_free`].
    pub(super) fn send(&mut self) -> io::Result<()> {
        if self.frame.is_empty() || !self.is_free()? {
            return Ok(());
        }
        self.away = true;
        self.to.send(std::mem::take(&mut self.frame)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Bytes collected so far.
    pub(super) fn len(&self) -> usize {
        self.frame.len()
    }

    /// Forgets what has been collected beyond so many bytes.
    pub(super) fn truncate(&mut self, len: usize) {
        self.frame.truncate(len);
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// A frame leaves whole, when it is sent.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An outlet for a library that wants one of its own.
#[derive(Debug)]
pub(super) struct Collector(pub(super) Rc<RefCell<Outlet>>);

impl Write for Collector {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_out(out: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    let _writing = lock(&WRITING);
    for chunk in frame.chunks(CHUNK) {
        if ABANDONED.load(SeqCst) {
            return Ok(());
        }
        out.write_all(chunk)?;
    }
    out.flush()
}

/// Writes last words, after what is being written has ended or been cut short. Any thread.
pub(super) fn leave(last: impl FnOnce()) {
    ABANDONED.store(true, SeqCst);
    let end = Instant::now() + PATIENCE;
    let mut writing = WRITING.try_lock();
    while writing.is_err() && Instant::now() < end {
        thread::sleep(Duration::from_millis(10));
        writing = WRITING.try_lock();
    }
    last();
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc::channel;

    use super::*;

    /// A terminal that takes one write whenever it is told to.
    struct Slow {
        go: Receiver<()>,
        took: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.go.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            lock(&self.took).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn one_frame_is_under_way_and_the_next_is_the_newest() {
        let (go, gate) = channel();
        let took = Arc::new(Mutex::new(Vec::new()));
        let woken = Arc::new(AtomicUsize::new(0));
        let (count, rung) = (Arc::clone(&woken), sync_channel(8));
        let wake = move || {
            count.fetch_add(1, SeqCst);
            let _ = rung.0.send(());
        };
        let mut outlet = Outlet::start(Slow { go: gate, took: Arc::clone(&took) }, Arc::new(wake)).unwrap();
        assert!(outlet.is_free().unwrap());
        outlet.write_all(b"first").unwrap();
        outlet.send().unwrap();
        // While it is on its way nothing else is: whoever draws is told so, again and again.
        for _ in 0..100 {
            assert!(!outlet.is_free().unwrap());
        }
        go.send(()).unwrap();
        rung.1.recv().unwrap();
        assert!(outlet.is_free().unwrap());
        assert_eq!((lock(&took).clone(), woken.load(SeqCst)), (b"first".to_vec(), 1));
        outlet.write_all(b" newest").unwrap();
        outlet.send().unwrap();
        go.send(()).unwrap();
        while !outlet.is_free().unwrap() {
            thread::yield_now();
        }
        assert_eq!(*lock(&took), b"first newest");
        // What is collected while the terminal is busy goes with the next frame.
        outlet.write_all(b" a").unwrap();
        outlet.send().unwrap();
        outlet.write_all(b" b").unwrap();
        outlet.send().unwrap();
        assert_eq!(outlet.len(), 2);
        drop(go);
        let gone = (0..1000).find_map(|_| {
            thread::sleep(Duration::from_millis(1));
            outlet.is_free().err()
        });
        assert!(gone.is_some(), "a terminal that has gone is told of");
    }
}
