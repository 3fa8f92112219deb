//! Sends a worker's own run while somebody looks at it.

use std::time::{Duration, Instant};

use redis::Pipeline;

use super::feed::Feeding;
use super::member::News;
use super::round::Rounds;
use super::store::StoreError;

/// Bytes in the store after which a feed begins anew: they are the store's memory.
const MOST: usize = 16 << 20;

/// How long a feed stays when nothing more is heard of its worker, milliseconds.
const KEPT_MS: u64 = 30_000;

/// How long nothing is sent to a store that did not take a piece within a second: what all workers need comes first.
const REST: Duration = Duration::from_secs(30);

impl Rounds {
    /// Somebody looks at this worker's own run, or nobody does.
    pub(super) fn looked_at(&mut self, looked: bool, news: &mut Vec<News>) -> Result<(), StoreError> {
        if self.feeding.number.is_some_and(|number| !looked || !self.slot.feeds(number)) {
            self.end_feed();
        }
        self.forget_feed()?;
        let rests = self.feeding.rests_until.is_some_and(|until| Instant::now() < until);
        if looked && self.feeding.number.is_none() && !rests {
            // One that has another number is another.
            let number = self.member.store.now_us();
            self.slot.begin_feed(number);
            self.feeding.number = Some(number);
            news.push(News::LookedAt(number));
        }
        Ok(())
    }

    /// Nothing more is sent of it.
    pub(super) fn end_feed(&mut self) {
        let Some(number) = self.feeding.number else { return };
        self.slot.end_feed(number);
        let rests_until = self.feeding.rests_until;
        self.feeding = Feeding { left: Some(number), rests_until, ..Feeding::default() };
    }

    /// Has the store forget the one that has ended.
    pub(super) fn forget_feed(&mut self) -> Result<(), StoreError> {
        let Some(number) = self.feeding.left else { return Ok(()) };
        let mut pipe = redis::pipe();
        pipe.del(self.member.keys.feed(&self.member.who.id, number)).ignore();
        self.member.store.ask::<()>(&pipe)?;
        self.feeding.left = None;
        Ok(())
    }

    /// What is there of it stays for a while.
    pub(super) fn keep_feed(&self, pipe: &mut Pipeline) {
        if let Some(number) = self.feeding.shown() {
            pipe.cmd("PEXPIRE").arg(self.member.keys.feed(&self.member.who.id, number)).arg(KEPT_MS).ignore();
        }
    }

    /// Sends one piece, so that nothing else waits long for it.
    pub(super) fn send_piece(&mut self) -> Result<(), StoreError> {
        let Some((number, piece)) = self.feeding.number.zip(self.feeding.waiting.pop_front()) else { return Ok(()) };
        self.slot.piece_taken(piece.len());
        self.feeding.pieces += 1;
        self.feeding.bytes += piece.len();
        let key = self.member.keys.feed(&self.member.who.id, number);
        let mut pipe = redis::pipe();
        pipe.rpush(&key, piece).cmd("PEXPIRE").arg(&key).arg(KEPT_MS).ignore();
        let (pieces,): (usize,) = self.member.store.ask(&pipe).inspect_err(|_| {
            self.feeding.rests_until = Some(Instant::now() + REST);
        })?;
        // A store that has lost some of it, and one that is given too much: whoever looks begins anew.
        if pieces != self.feeding.pieces || self.feeding.bytes > MOST {
            self.end_feed();
            return self.forget_feed();
        }
        if pieces == 1 {
            // Whoever looks is told at once.
            self.next.publish = Instant::now();
        }
        Ok(())
    }
}
