//! Sends a worker's own run while somebody looks at it.

use std::time::Instant;

use super::feed::Feeding;
use super::member::News;
use super::round::Rounds;
use super::store::StoreError;

/// Bytes in the store after which a feed begins anew: they are the store's memory.
const MOST: usize = 16 << 20;

/// How long a feed stays after its last piece, milliseconds: longer than samples are apart.
const KEPT_MS: u64 = 300_000;

impl Rounds {
    /// Somebody looks at this worker's own run, or nobody does.
    pub(super) fn looked_at(&mut self, looked: bool, news: &mut Vec<News>) -> Result<(), StoreError> {
        let ended = self.feeding.number.is_some_and(|number| !self.slot.feeds(number));
        if self.feeding.number.is_some() && (ended || !looked) {
            self.end_feed()?;
        }
        if looked && self.feeding.number.is_none() {
            // One that has another number is another.
            let number = self.member.store.now_us();
            self.slot.begin_feed(number);
            self.feeding.number = Some(number);
            news.push(News::LookedAt(number));
        }
        Ok(())
    }

    /// Nothing more is sent of it.
    fn end_feed(&mut self) -> Result<(), StoreError> {
        let Feeding { number: Some(number), .. } = std::mem::take(&mut self.feeding) else { return Ok(()) };
        self.slot.end_feed(number);
        let mut pipe = redis::pipe();
        pipe.del(self.member.keys.feed(&self.member.who.id, number)).ignore();
        self.member.store.ask::<()>(&pipe)
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
        let (pieces,): (usize,) = self.member.store.ask(&pipe)?;
        // A store that has lost some of it, and one that is given too much: whoever looks begins anew.
        if pieces != self.feeding.pieces || self.feeding.bytes > MOST {
            return self.end_feed();
        }
        if pieces == 1 {
            // Whoever looks is told at once.
            self.next.publish = Instant::now();
        }
        Ok(())
    }
}
