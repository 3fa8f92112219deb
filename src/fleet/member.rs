//! A worker's place in the fleet: it joins, claims its part, and agrees with the others on the run.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::Pipeline;

use super::address::Address;
use super::command::{FleetCommand, Refused, Token};
use super::keys::{CLAIM_MS, KEPT_MS, Keys, mortal};
use super::look::{CHUNK, states};
use super::store::{Store, StoreError};
use super::worker::{Held, Identity, WorkerState};
use crate::units::micros;

/// How long a store that does not answer is tried before the run begins.
const TRIED: Duration = Duration::from_secs(3);

/// What a worker asks of its fleet.
#[derive(Debug, Clone)]
pub struct Terms {
    /// How long it waits until all others are ready.
    pub wait: Duration,
    /// What signs the commands that it obeys; without one it obeys none.
    pub token: Option<Token>,
}

/// What a worker hears from its fleet.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// It waits, and these are missing or not ready.
    Waiting(Vec<String>),
    /// All are ready: the ramp begins now.
    Go {
        /// By how much this is later than was agreed, microseconds; `None` where nobody is waited for.
        late_us: Option<u64>,
        /// The store's time is known to this, microseconds.
        error_us: u64,
    },
    /// Not all were ready in time: these were not.
    WaitOver(Vec<String>),
    /// How many connections the servers' guards allow now; `None`: none bounds this client.
    Held(Option<Held>),
    /// The fleet's screen wants this.
    Command(FleetCommand),
    /// Somebody gave a command that is not obeyed.
    Refused(Refused),
    /// The store has not answered for two seconds.
    Away {
        /// In a few words.
        why: String,
        /// Which outage it is, counted from 1.
        number: u32,
    },
    /// It does again. Said after each [`News::Away`].
    Back {
        /// How long it was away.
        after: Duration,
        /// Which outage that was.
        number: u32,
    },
    /// These have not been heard of for twenty seconds.
    Lost(Vec<String>),
    /// These are back.
    Returned(Vec<String>),
    /// Another worker has this one's part.
    Displaced(String),
    /// Somebody looks at this worker's own run: its pieces are to be given to [`super::Handle::feed`], under this number.
    LookedAt(u64),
    /// Every client of the fleet has left. These have not said so: they have been lost for longer than `--fleet-wait`.
    ClientsLeft(Vec<String>),
    /// The first of the fleet runs another version of this program: one sentence.
    OtherVersion(String),
}

/// A worker that has joined and does not speak yet.
#[derive(Debug)]
pub struct Member {
    pub(super) store: Store,
    pub(super) keys: Keys,
    pub(super) who: Identity,
    pub(super) terms: Terms,
    /// Another version in the run, in a sentence, until that is told.
    pub(super) version_note: Option<String>,
}

impl Member {
    /// Joins a fleet, before anything of the run is started.
    ///
    /// # Errors
    /// One line: the store cannot be used, or the part is taken.
    pub fn join(address: &Address, authority: Option<&[u8]>, who: Identity, terms: Terms) -> Result<Self, String> {
        let mut store = Store::new(address, authority)?;
        let who = Identity { id: format!("{:016x}", random()), ..who };
        let said = |e: &StoreError| format!("the store {address}: {e}");
        connect_patiently(&mut store).map_err(|e| said(&e))?;
        let run = claim_run(&mut store, address.name(), &format!("{:016x}", random())).map_err(|e| said(&e))?;
        let keys = Keys::new(address.name(), &run);
        let mut member = Self { store, keys, who, terms, version_note: None };
        if let Some(taken) = member.claim_part().map_err(|e| said(&e))? {
            return Err(format!(
                "{taken}: give each worker a part of its own (a worker that was killed gives its part back after {} s)",
                CLAIM_MS / 1000
            ));
        }
        member.enter().map_err(|e| said(&e))?;
        Ok(member)
    }

    /// The run's id: the same at every worker.
    pub fn run_id(&self) -> &str {
        self.keys.run_id()
    }

    /// How far this host's wall clock is ahead of the store's, which all workers go by, microseconds.
    pub fn clock_offset_us(&self) -> i64 {
        wall_ahead_us(&self.store)
    }

    /// How long it waits for the others.
    pub(super) fn wait(&self) -> Duration {
        self.terms.wait
    }

    /// Claims its part, or renews the claim. Who has it, in a sentence, where that is another.
    pub(super) fn claim_part(&mut self) -> Result<Option<String>, StoreError> {
        let Some(part) = self.who.part else { return Ok(None) };
        let key = self.keys.part(part.number);
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(&key).arg(&self.who.id).arg("NX").arg("PX").arg(CLAIM_MS).ignore();
        pipe.get(&key);
        let (holder,): (Option<String>,) = self.store.ask(&pipe)?;
        if holder.is_none_or(|holder| holder == self.who.id) {
            let mut pipe = redis::pipe();
            pipe.cmd("PEXPIRE").arg(&key).arg(CLAIM_MS).ignore();
            self.store.ask::<()>(&pipe)?;
            return Ok(None);
        }
        let mut pipe = redis::pipe();
        pipe.get(&key);
        let (holder,): (Option<String>,) = self.store.ask(&pipe)?;
        let holders: Vec<String> = holder.into_iter().collect();
        let other = states(&mut self.store, &self.keys, &holders)?.into_iter().next();
        let by = other.map_or_else(
            || "another worker".to_owned(),
            |state| {
                let heard = self.store.now_us().saturating_sub(state.at_us) / 1_000_000;
                format!("{} (process {}), heard {heard} s ago", state.who.host, state.who.pid)
            },
        );
        Ok(Some(format!("part {}/{} is taken by {by}", part.number, part.of)))
    }

    /// Agrees with the others on the run, also where the store has lost it and somebody has named another: who has started stays
    /// and names its own again, who has not goes over to the one that is named. Where the store has lost nothing, the run of who has
    /// started is over for the others: the name is that of the next. Whether this one went over.
    pub(super) fn agree(&mut self, started: bool) -> Result<bool, StoreError> {
        let named = claim_run(&mut self.store, self.keys.fleet(), self.keys.run_id())?;
        if named == self.keys.run_id() {
            return Ok(false);
        }
        if !started {
            self.keys = Keys::new(self.keys.fleet(), &named);
            return Ok(true);
        }
        let mut pipe = redis::pipe();
        pipe.sismember(self.keys.workers(), &self.who.id);
        let (known,): (bool,) = self.store.ask(&pipe)?;
        if !known {
            let name = Keys::run_of(self.keys.fleet());
            let mut pipe = redis::pipe();
            pipe.cmd("SET").arg(name).arg(self.keys.run_id()).arg("PX").arg(CLAIM_MS).ignore();
            self.store.ask::<()>(&pipe)?;
        }
        Ok(false)
    }

    /// Puts itself on the lists, again where the store has lost them.
    pub(super) fn enter(&mut self) -> Result<(), StoreError> {
        let (keys, id) = (&self.keys, &self.who.id);
        let mut pipe = redis::pipe();
        pipe.sadd(keys.workers(), id).ignore().sadd(keys.present(), id).ignore();
        self.keep_shared(&mut pipe);
        pipe.cmd("SET").arg(keys.version()).arg(&self.who.version).arg("NX").arg("PX").arg(KEPT_MS).ignore();
        pipe.get(keys.version());
        let (version,): (Option<String>,) = self.store.ask(&pipe)?;
        self.version_note = version.filter(|version| *version != self.who.version).map(|version| {
            format!(
                "the first worker of this fleet runs c1m-top {version}, this one {}: use one version",
                self.who.version
            )
        });
        let state = WorkerState { who: self.who.clone(), at_us: self.store.now_us(), ..WorkerState::default() };
        let mut pipe = redis::pipe();
        let text = serde_json::to_vec(&state).unwrap_or_default();
        // Only where it has said nothing yet: one that comes back has more to say.
        pipe.cmd("SET").arg(self.keys.worker(&self.who.id)).arg(text).arg("NX").arg("PX").arg(KEPT_MS).ignore();
        self.store.ask::<()>(&pipe)
    }

    /// What all share lives on, and this is the run that was last.
    fn keep_shared(&self, pipe: &mut Pipeline) {
        let keys = &self.keys;
        keys.shared().iter().for_each(|key| mortal(pipe, key));
        pipe.cmd("SET").arg(Keys::last_of(keys.fleet())).arg(keys.run_id()).arg("PX").arg(KEPT_MS).ignore();
    }

    /// Lets all that can be looked at live on for an hour, also what those said last who have left long before the others.
    pub(super) fn renew(&mut self) -> Result<(), StoreError> {
        let mut pipe = redis::pipe();
        self.keep_shared(&mut pipe);
        pipe.smembers(self.keys.workers());
        let (ids,): (Vec<String>,) = self.store.ask(&pipe)?;
        ids.chunks(CHUNK).try_for_each(|chunk| {
            let mut pipe = redis::pipe();
            for id in chunk {
                mortal(&mut pipe, &self.keys.worker(id));
            }
            self.store.ask::<()>(&pipe)
        })
    }
}

/// Connects to a store that may be starting just now.
fn connect_patiently(store: &mut Store) -> Result<(), StoreError> {
    let until = Instant::now() + TRIED;
    loop {
        match store.connect() {
            Err(StoreError::Away(_)) if Instant::now() < until => thread::sleep(Duration::from_millis(200)),
            other => return other,
        }
    }
}

/// The id of the run that goes on, `new` where none does; the claim is renewed.
fn claim_run(store: &mut Store, fleet: &str, new: &str) -> Result<String, StoreError> {
    let key = Keys::run_of(fleet);
    let mut pipe = redis::pipe();
    pipe.cmd("SET").arg(&key).arg(new).arg("NX").arg("PX").arg(CLAIM_MS).ignore();
    pipe.cmd("PEXPIRE").arg(&key).arg(CLAIM_MS).ignore().get(&key);
    let (run,): (Option<String>,) = store.ask(&pipe)?;
    let run = run.unwrap_or_else(|| new.to_owned());
    // Whoever writes into the store may have put anything there: it becomes a part of keys, and is signed.
    let ours = run.len() == 16 && run.bytes().all(|b| b.is_ascii_hexdigit());
    if ours {
        Ok(run)
    } else {
        Err(StoreError::Unusable("another program uses this fleet's keys: choose another name".to_owned()))
    }
}

/// By how much this host's wall clock is ahead of the store's, microseconds.
pub(super) fn wall_ahead_us(store: &Store) -> i64 {
    let wall = micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    i64::try_from(i128::from(wall) - i128::from(store.now_us())).unwrap_or(i64::MAX)
}

/// A number that no other worker has: the keys of std's hash maps come from the kernel.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
