//! The eyes of the fleet's screen: a thread that looks at the store, follows the worker that is opened, and gives the commands.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::message;
use crate::fleet::{FleetCommand, FleetView, Looker, StoreError, Token};
use crate::model::Model;
use crate::record::Follower;

/// Between two looks at all workers.
const LOOK: Duration = Duration::from_secs(1);

/// The same while a worker has not begun to send its own run, and between two looks at what it sends.
const FEED: Duration = Duration::from_millis(250);

/// How long a worker is expected to begin to send: one that is gone, or of another version, may never.
const EXPECTED: Duration = Duration::from_secs(5);

/// Between two times that a worker is told that somebody looks.
const TELL: Duration = Duration::from_secs(2);

/// What the screen asks for.
#[derive(Debug)]
pub(super) enum Ask {
    /// Give this command.
    Give(FleetCommand),
    /// Follow this worker's own run; `None`: none any more.
    Follow(Option<String>),
    /// That run as it was at a moment, milliseconds since its dashboard started; `None`: its present alone.
    Moment(Option<u64>),
}

/// What comes of it.
#[derive(Debug)]
pub(super) enum Seen {
    /// The fleet as it is now.
    Fleet(Result<Option<Box<FleetView>>, StoreError>),
    /// A command has been given, or why not.
    Given(Result<(), StoreError>),
    /// A worker's own run as it is now.
    Run(String, Box<Model>),
    /// The same as it was at a moment, milliseconds since its dashboard started.
    Then(u64, Option<Box<Model>>),
    /// The thread has ended, in a panic.
    Failed,
}

/// Begins to look, in a thread of its own, until nobody wants to know any more.
pub(super) fn open<T>(looker: Looker, last: bool, token: Option<Token>, to: SyncSender<T>) -> io::Result<Sender<Ask>>
where
    T: From<Seen> + Send + 'static,
{
    let (ask, asked) = channel();
    let mut eyes = Eyes { looker, last, token, to: to.clone(), followed: None };
    let thread = thread::Builder::new().name("fleet".into()).spawn(move || _ = eyes.run(&asked))?;
    message::report_panic(thread, to, Seen::Failed.into());
    Ok(ask)
}

/// The screen has gone.
struct Gone;

struct Eyes<T> {
    looker: Looker,
    last: bool,
    token: Option<Token>,
    to: SyncSender<T>,
    followed: Option<Followed>,
}

/// The worker that is opened.
struct Followed {
    id: String,
    /// When it was opened.
    since: Instant,
    /// When it was last told that somebody looks.
    told: Option<Instant>,
    /// The moment that the viewer looks at; `None` is now.
    sought: Option<u64>,
    feed: Option<Feed>,
}

/// What it sends.
struct Feed {
    number: u64,
    /// Pieces that have come.
    pieces: usize,
    /// Whether all that there was has come, at least once.
    caught_up: bool,
    /// `None` once something was sent that is no run.
    run: Option<Follower>,
}

impl<T: From<Seen>> Eyes<T> {
    fn run(&mut self, asked: &Receiver<Ask>) -> Result<(), Gone> {
        let mut next = Instant::now();
        loop {
            let now = Instant::now();
            if now >= next {
                let view = self.looker.look(self.last).map(|view| view.map(Box::new));
                if let Ok(Some(view)) = &view {
                    self.find_feed(view);
                }
                self.say(Seen::Fleet(view))?;
                let comes = |followed: &Followed| followed.feed.is_none() && followed.since.elapsed() < EXPECTED;
                next = now + if self.followed.as_ref().is_some_and(comes) { FEED } else { LOOK };
            }
            self.follow()?;
            let wake = if self.followed.is_some() { next.min(Instant::now() + FEED) } else { next };
            match asked.recv_timeout(wake.saturating_duration_since(Instant::now())) {
                Ok(mut ask) => {
                    while let Ok(newer) = asked.try_recv() {
                        // Of several moments the newest alone: the viewer looks at that.
                        if !matches!((&ask, &newer), (Ask::Moment(_), Ask::Moment(_))) {
                            self.take(ask)?;
                        }
                        ask = newer;
                    }
                    if !matches!(ask, Ask::Moment(_)) {
                        // What comes of it is to be seen at once.
                        next = Instant::now();
                    }
                    self.take(ask)?;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    fn say(&self, seen: Seen) -> Result<(), Gone> {
        self.to.send(seen.into()).map_err(|_| Gone)
    }

    fn take(&mut self, ask: Ask) -> Result<(), Gone> {
        match ask {
            Ask::Give(command) => {
                let Some(token) = &self.token else { return Ok(()) };
                let given = self.looker.command(token, command);
                self.say(Seen::Given(given))
            }
            Ask::Follow(worker) => {
                self.followed =
                    worker.map(|id| Followed { id, since: Instant::now(), told: None, sought: None, feed: None });
                Ok(())
            }
            Ask::Moment(at) => {
                let Some(followed) = &mut self.followed else { return Ok(()) };
                followed.sought = at;
                self.look_back()
            }
        }
    }

    /// Says how the opened worker's run was at the moment that is looked at.
    fn look_back(&mut self) -> Result<(), Gone> {
        let Some(followed) = &mut self.followed else { return Ok(()) };
        // While it begins anew what was shown stays.
        let feed = followed.feed.as_mut().filter(|feed| feed.caught_up);
        let Some(run) = feed.and_then(|feed| feed.run.as_mut()) else { return Ok(()) };
        let Some(at) = followed.sought else {
            run.forget_past();
            return Ok(());
        };
        let then = run.at(at);
        self.say(Seen::Then(at, then))
    }

    /// The feed that the opened worker has begun, or begun anew.
    fn find_feed(&mut self, view: &FleetView) {
        let Some(followed) = &mut self.followed else { return };
        let row = view.rows.iter().find(|row| row.state.who.id == followed.id);
        let number = row.and_then(|row| row.state.feed);
        if let Some(number) = number.filter(|number| followed.feed.as_ref().is_none_or(|feed| feed.number != *number)) {
            let run = Follower::new().ok();
            followed.feed = Some(Feed { number, pieces: 0, caught_up: false, run });
        }
    }

    /// Takes what the opened worker has sent. What is wrong with the store the next look tells.
    fn follow(&mut self) -> Result<(), Gone> {
        let Some(followed) = &mut self.followed else { return Ok(()) };
        if followed.told.is_none_or(|told| told.elapsed() >= TELL) && self.looker.look_at(&followed.id).is_ok() {
            followed.told = Some(Instant::now());
        }
        let Some(feed) = &mut followed.feed else { return Ok(()) };
        let Some(run) = &mut feed.run else { return Ok(()) };
        let before = feed.pieces;
        // Until all that there is has come it is the past.
        loop {
            let pieces = self.looker.feed(&followed.id, feed.number, feed.pieces).unwrap_or_default();
            if pieces.is_empty() {
                break;
            }
            feed.pieces += pieces.len();
            if pieces.iter().try_for_each(|piece| run.take(piece)).is_err() {
                feed.run = None;
                return Ok(());
            }
        }
        if feed.pieces == before {
            return Ok(());
        }
        let Some(model) = run.now() else { return Ok(()) };
        let mut model: Box<Model> = Box::new(model.clone());
        model.disown();
        let anew = !std::mem::replace(&mut feed.caught_up, true);
        let id = followed.id.clone();
        self.say(Seen::Run(id, model))?;
        if anew { self.look_back() } else { Ok(()) }
    }
}
