//! Looking at a fleet from anywhere, and giving it commands.

use std::time::{Duration, Instant};

use redis::Pipeline;

use super::address::Address;
use super::command::{FleetCommand, Run, Signed, Token};
use super::keys::{KEPT_MS, Keys, LOOKS_MS};
use super::row::LOST_MS;
use super::store::{Store, StoreError};
use super::view::FleetView;
use super::worker::WorkerState;

/// Most workers that are read at once: what is read in one go is bounded.
pub(super) const CHUNK: usize = 256;

/// Most pieces of a worker's own run that are read at once: they are of 16 KiB.
const PIECES: isize = 32;

/// Who looks. It changes nothing in the store but by [`Looker::command`], and says there which worker's own run it looks at.
#[derive(Debug)]
pub struct Looker {
    store: Store,
    fleet: String,
    run: Option<Keys>,
    /// The store does not answer.
    away: bool,
    /// When it last did again.
    back: Option<Instant>,
}

impl Looker {
    /// Looks at the fleet of an address. `authority` are the certificates of the one that signed the store's own, PEM; without them
    /// those of the system count.
    ///
    /// # Errors
    /// One line: what cannot be.
    pub fn new(address: &Address, authority: Option<&[u8]>) -> Result<Self, String> {
        Ok(Self {
            store: Store::new(address, authority)?,
            fleet: address.name().to_owned(),
            run: None,
            away: false,
            back: None,
        })
    }

    /// The fleet as it is now: the run that goes on, to its end; `last` takes the one that was last where none does. `None` where
    /// there is none.
    ///
    /// # Errors
    /// What is wrong with the store.
    pub fn look(&mut self, last: bool) -> Result<Option<FleetView>, StoreError> {
        let seen = self.seen(last);
        let was_away = std::mem::replace(&mut self.away, seen.is_err());
        if was_away && seen.is_ok() {
            self.back = Some(Instant::now());
        }
        // Nobody was heard of while it was away: who is lost is known once all had time to find it again.
        let knows = self.back.is_none_or(|back| back.elapsed() >= Duration::from_millis(LOST_MS));
        let of = |workers| FleetView::known(&self.fleet, self.store.now_us(), workers, knows);
        Ok(seen?.map(of))
    }

    fn seen(&mut self, last: bool) -> Result<Option<Vec<WorkerState>>, StoreError> {
        self.store.connect()?;
        if self.run.is_none() {
            let mut pipe = redis::pipe();
            pipe.get(Keys::run_of(&self.fleet)).get(Keys::last_of(&self.fleet));
            let (now, before): (Option<String>, Option<String>) = self.store.ask(&pipe)?;
            let run = now.or(before.filter(|_| last));
            self.run = run.map(|run| Keys::new(&self.fleet, &run));
        }
        let Some(keys) = self.run.clone() else { return Ok(None) };
        // One reading a look: the round trip is short beside it.
        self.store.read_clock()?;
        let mut pipe = redis::pipe();
        pipe.smembers(keys.workers());
        let (ids,): (Vec<String>,) = self.store.ask(&pipe)?;
        let workers = states(&mut self.store, &keys, &ids)?;
        if workers.is_empty() {
            // A store that was started anew has forgotten it; its workers name it again in a moment, or another.
            self.run = None;
            return Ok(None);
        }
        Ok(Some(workers))
    }

    /// Says that somebody looks at a worker's own run. Its state then has the number of a feed. To be said again every two seconds.
    ///
    /// # Errors
    /// What is wrong with the store.
    pub fn look_at(&mut self, worker: &str) -> Result<(), StoreError> {
        let Some(keys) = &self.run else { return Ok(()) };
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(keys.looked_at(worker)).arg(1).arg("PX").arg(LOOKS_MS).ignore();
        self.store.ask(&pipe)
    }

    /// The pieces of that feed from one on, counted from 0, as far as they are there: not all at once.
    ///
    /// # Errors
    /// What is wrong with the store.
    pub fn feed(&mut self, worker: &str, number: u64, from: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let Some(keys) = &self.run else { return Ok(Vec::new()) };
        let from = isize::try_from(from).unwrap_or(isize::MAX - PIECES);
        let mut pipe = redis::pipe();
        pipe.lrange(keys.feed(worker, number), from, from + PIECES - 1);
        let (pieces,): (Vec<Vec<u8>>,) = self.store.ask(&pipe)?;
        Ok(pieces)
    }

    /// Where the store is, without user and password.
    pub fn shown(&self) -> &str {
        self.store.shown()
    }

    /// Gives a command to the run that was last looked at; whoever has another token does not obey it.
    ///
    /// # Errors
    /// What is wrong with the store; that no run goes on.
    pub fn command(&mut self, token: &Token, command: FleetCommand) -> Result<(), StoreError> {
        let Some(keys) = &self.run else {
            return Err(StoreError::Unusable("no worker has joined this fleet yet".to_owned()));
        };
        let of = Run { fleet: keys.fleet(), id: keys.run_id() };
        // A later command has a later time, whoever gives it.
        let signed = Signed::new(token, of, self.store.now_us(), command);
        let text = serde_json::to_string(&signed).unwrap_or_default();
        let mut pipe: Pipeline = redis::pipe();
        let kept = i64::try_from(KEPT_MS).unwrap_or(i64::MAX);
        pipe.zadd(keys.commands(), text, signed.counter()).ignore().pexpire(keys.commands(), kept).ignore();
        self.store.ask::<()>(&pipe)
    }
}

/// What these workers last said of themselves.
pub(super) fn states(store: &mut Store, keys: &Keys, ids: &[String]) -> Result<Vec<WorkerState>, StoreError> {
    let mut found = Vec::new();
    for chunk in ids.chunks(CHUNK) {
        let mut pipe = redis::pipe();
        pipe.mget(chunk.iter().map(|id| keys.worker(id)).collect::<Vec<_>>());
        let (texts,): (Vec<Option<Vec<u8>>>,) = store.ask(&pipe)?;
        // What does not read as a worker is none of ours.
        found.extend(texts.iter().flatten().filter_map(|text| serde_json::from_slice::<WorkerState>(text).ok()));
    }
    Ok(found)
}
