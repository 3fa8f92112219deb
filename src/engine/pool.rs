//! Worker threads, each with a descriptor table of its own, and the slots of work that pass from worker to worker.
//!
//! A slot is the right to open connections: for a server a share of the listeners, for a client a lane of the ramp. There
//! are as many slots as cores to feed; a worker whose table is full gives its slot back, and the main thread hands it to
//! the next. All other workers sleep in epoll until their own connections want something. Fifty workers waiting on the
//! same listeners would wake one another for every connection, which halves the rate (measured).

#![expect(clippy::cast_possible_truncation, reason = "descriptors of a table and workers of a process, far below 2^32")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use super::counters::lock;
use crate::protocol::{EngineStats, MOST_TABLES};
use crate::sys;

/// Stack of a worker, bytes. It runs a flat loop; what is not touched costs nothing.
const STACK: usize = 256 * 1024;

/// Descriptors a table keeps free: what the worker itself opens, and room for the kernel's count to lag.
pub const SPARE: u32 = 8;

/// Descriptors of each table that are neither listeners nor connections: standard streams, the two eventfds and the worker's
/// epoll.
pub const OWN: u64 = 6;

/// Workers an engine may start when the command line names no number.
pub const MOST_WORKERS: usize = MOST_TABLES as usize;

/// Most slots: a worker's are the bits of one word.
pub const MOST_SLOTS: usize = 64;

/// What a worker tells the main thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A table is full; here are its worker's slots back, a bit each.
    Full {
        /// The slots.
        slots: u64,
    },
    /// Look at the counters: target reached, stopped, or all closed.
    Look,
}

/// Where workers leave notices and wake the main thread.
#[derive(Debug)]
pub struct Bell {
    notices: Mutex<Vec<Notice>>,
    wake: OwnedFd,
}

impl Bell {
    fn new() -> io::Result<Self> {
        Ok(Self { notices: Mutex::new(Vec::new()), wake: sys::eventfd()? })
    }

    /// Leaves a notice and wakes the main thread. The descriptor number is the same in every worker's table: it was opened
    /// before the first of them.
    pub fn ring(&self, notice: Notice) {
        let mut notices = lock(&self.notices);
        if notice != Notice::Look || !notices.contains(&Notice::Look) {
            notices.push(notice);
        }
        drop(notices);
        sys::eventfd_signal(self.wake.as_fd());
    }

    /// Takes what was left.
    pub fn take(&self) -> Vec<Notice> {
        sys::eventfd_clear(self.wake.as_fd());
        std::mem::take(&mut lock(&self.notices))
    }

    /// The descriptor to wait on, as a number: mio registers nothing else.
    pub fn fd(&self) -> RawFd {
        self.wake.as_raw_fd()
    }
}

/// What the main thread and one worker share.
#[derive(Debug)]
pub struct Mailbox {
    /// Position in the pool.
    pub index: usize,
    slots: AtomicU64,
    used: AtomicU32,
    wake: OwnedFd,
    closing: AtomicBool,
}

impl Mailbox {
    /// The slots this worker holds, a bit each: one as a rule, more when every other table is full.
    pub fn slots(&self) -> u64 {
        self.slots.load(SeqCst)
    }

    /// Takes the slots away (by the worker, when its table is full).
    fn release(&self) -> u64 {
        self.slots.swap(0, SeqCst)
    }

    /// Reports how many descriptors the worker's table holds.
    pub fn set_used(&self, used: usize) {
        self.used.store(used as u32, SeqCst);
    }

    /// Descriptor that wakes this worker, the same number in both tables; mio registers numbers alone.
    pub fn wake_fd(&self) -> RawFd {
        self.wake.as_raw_fd()
    }

    /// Takes note of a wake-up: the descriptor is quiet until the next.
    pub fn clear_wake(&self) {
        sys::eventfd_clear(self.wake.as_fd());
    }

    /// Wakes the worker.
    pub fn wake(&self) {
        sys::eventfd_signal(self.wake.as_fd());
    }

    /// Whether the worker has been told to close its connections.
    pub fn closing(&self) -> bool {
        self.closing.load(SeqCst)
    }
}

/// What a worker thread is given.
#[derive(Debug)]
pub struct Worker {
    /// Shared with the main thread.
    pub mail: Arc<Mailbox>,
    /// Wakes the main thread.
    pub bell: Arc<Bell>,
    /// Connections its table has room for.
    pub room: usize,
    /// Set while some slot waits for room.
    wanted: Arc<AtomicBool>,
}

impl Worker {
    /// To be called after [`Mailbox::set_used`] has told of closed connections: wakes the main thread where a slot waits for
    /// their room, or where everything is being closed.
    ///
    /// No slot is forgotten. The worker stores `used` and then loads `wanted`; [`Pool::place`] stores `wanted` and then loads
    /// `used`. All four are sequentially consistent, so that they have one order in which at least one of the two sees what
    /// the other stored: the main thread the room, or the worker that it is wanted. With a weaker load here both could miss
    /// it (on ARM a relaxed load may be done before the store that precedes it).
    pub fn ring_if_wanted(&self) {
        if self.wanted.load(SeqCst) || self.mail.closing() {
            self.bell.ring(Notice::Look);
        }
    }

    /// Gives the slots back, for another worker with room: this one's table is full.
    pub fn hand_on(&self) {
        let slots = self.mail.release();
        if slots != 0 {
            self.bell.ring(Notice::Full { slots });
        }
    }
}

/// The body of a worker thread. It runs until the process ends; an error it returns is noted by the main thread.
///
/// It has a descriptor table of its own: of what others opened it may use what the pool's workers inherit, its [`Worker`]'s
/// eventfds and the standard streams, and nothing that it opens may leave it.
pub(crate) type Body = Arc<dyn Fn(Worker) -> io::Result<()> + Send + Sync>;

/// The workers and the slots.
pub struct Pool {
    workers: Vec<Arc<Mailbox>>,
    body: Body,
    bell: Arc<Bell>,
    wanted: Arc<AtomicBool>,
    /// What every worker keeps open of the main table: the listeners.
    inherited: Arc<[OwnedFd]>,
    /// Slots nobody holds because every table is full.
    parked: Vec<usize>,
    max: usize,
    room: usize,
    limit: u64,
    failed: (Sender<io::Error>, Receiver<io::Error>),
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("workers", &self.workers.len())
            .field("parked", &self.parked)
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool without workers. `max` is the most it may start, `inherited` what each keeps open of the main table.
    ///
    /// # Errors
    /// When the limit cannot be read or the eventfd not be made.
    pub(crate) fn new(max: usize, inherited: Arc<[OwnedFd]>, body: Body) -> io::Result<Self> {
        let (soft, _) = sys::nofile();
        let fixed = inherited.len() as u64 + OWN + u64::from(SPARE);
        let room = soft.saturating_sub(fixed) as usize;
        if room == 0 {
            return Err(io::Error::other(format!(
                "RLIMIT_NOFILE is {soft}, of which listeners and the program itself need {fixed}: raise it with ulimit -n, or listen on fewer ports"
            )));
        }
        Ok(Self {
            workers: Vec::new(),
            body,
            bell: Arc::new(Bell::new()?),
            wanted: Arc::new(AtomicBool::new(false)),
            inherited,
            parked: Vec::new(),
            // The eventfd that wakes a worker is in the main table too, which has room for as many as any other.
            max: max.clamp(1, room),
            room,
            limit: soft,
            failed: channel(),
        })
    }

    /// Where workers leave notices.
    pub fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Gives a slot to a worker with room, starting one where needed; parks it where every table is full.
    ///
    /// # Errors
    /// When a thread cannot be started (`EAGAIN`: a limit on threads).
    pub fn place(&mut self, slot: usize) -> io::Result<()> {
        // Before the tables are looked at: a worker that closes its last connection right after has to ring.
        self.wanted.store(true, SeqCst);
        let placed = self.try_place(slot);
        if !matches!(placed, Ok(true)) {
            self.parked.push(slot);
        }
        if self.parked.is_empty() {
            self.wanted.store(false, SeqCst);
        }
        placed.map(drop)
    }

    /// Whether some worker took the slot.
    fn try_place(&mut self, slot: usize) -> io::Result<bool> {
        // Room enough that the slot does not come back at once: a sixteenth of the table.
        let enough = (self.room / 16).max(1);
        let free = |m: &Arc<Mailbox>| self.room.saturating_sub(m.used.load(SeqCst) as usize);
        let most = |idle: bool| {
            let candidates = self.workers.iter().filter(|m| !idle || m.slots() == 0);
            candidates.max_by_key(|m| free(m)).map(|m| (m.index, free(m)))
        };
        let index = match (most(true), most(false)) {
            (Some((index, free)), _) if free >= enough => index,
            _ if self.workers.len() < self.max => self.start()?,
            // The last tables: one worker does the work of several slots rather than leave ports alone.
            (_, Some((index, free))) if free > 0 => index,
            _ => return Ok(false),
        };
        self.workers[index].slots.fetch_or(1 << slot, SeqCst);
        self.workers[index].wake();
        Ok(true)
    }

    /// Tries the parked slots again.
    ///
    /// # Errors
    /// See [`Pool::place`].
    pub fn retry_parked(&mut self) -> io::Result<()> {
        // Every slot is tried: one that cannot be placed must not take the others with it.
        std::mem::take(&mut self.parked).into_iter().map(|slot| self.place(slot)).fold(Ok(()), Result::and)
    }

    /// Slots that wait for room in some table.
    pub fn parked(&self) -> usize {
        self.parked.len()
    }

    /// Starts a worker with a table of its own.
    fn start(&mut self) -> io::Result<usize> {
        let index = self.workers.len();
        let mail = Arc::new(Mailbox {
            index,
            slots: AtomicU64::new(0),
            used: AtomicU32::new(0),
            wake: sys::eventfd()?,
            closing: AtomicBool::new(false),
        });
        let worker = Worker {
            mail: Arc::clone(&mail),
            bell: Arc::clone(&self.bell),
            room: self.room,
            wanted: Arc::clone(&self.wanted),
        };
        let own = [self.bell.wake.as_fd(), mail.wake.as_fd()];
        let keep: Vec<BorrowedFd<'_>> = self.inherited.iter().map(AsFd::as_fd).chain(own).collect();
        let body = Arc::clone(&self.body);
        let failed = self.failed.0.clone();
        let bell = Arc::clone(&self.bell);
        let run = move || {
            if let Err(e) = body(worker) {
                let _ = failed.send(e);
                bell.ring(Notice::Look);
            }
        };
        let thread = thread::Builder::new().name(format!("worker-{index}")).stack_size(STACK);
        #[expect(unsafe_code, reason = "what the bodies of this program use and drop is known here, not in sys")]
        // SAFETY: there are two bodies, `server::worker::run` and `client::worker::run`. Each keeps what it opens in a `State`
        // of its own. Of what is shared they use the listeners and the two eventfds, which `keep` has and which this
        // pool and its engine own until the process ends; all else that is shared they reach by reference.
        unsafe { sys::spawn_with_own_table(thread, &keep, run) }?;
        self.workers.push(mail);
        Ok(index)
    }

    /// Wakes every worker that holds a slot: the ramp's settings have changed.
    pub fn wake_slots(&self) {
        self.workers.iter().filter(|m| m.slots() != 0).for_each(|m| m.wake());
    }

    /// Tells every worker to close its connections.
    pub fn close_all(&self) {
        for mail in &self.workers {
            mail.closing.store(true, SeqCst);
            mail.wake();
        }
    }

    /// An error that ended a worker.
    pub fn failure(&self) -> Option<io::Error> {
        self.failed.1.try_recv().ok()
    }

    /// Adds what it knows to an engine's statistics.
    pub fn described(&self, stats: EngineStats) -> EngineStats {
        let tables = self.workers.len();
        // Of one table what is no connection: listeners have an epoll of their own.
        let listeners = self.inherited.len() as u64;
        let fixed = listeners + u64::from(listeners > 0) + OWN;
        EngineStats {
            tables: tables as u32,
            tables_max: self.max as u32,
            table_limit: self.limit,
            table_room: self.room as u64,
            table_use: self.workers.iter().map(|m| m.used.load(SeqCst)).collect(),
            descriptors: stats.open + stats.in_flight + tables as u64 * fixed,
            ..stats
        }
    }

    /// Most workers it may start.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Connections one table has room for.
    pub fn room(&self) -> usize {
        self.room
    }
}
