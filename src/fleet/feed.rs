//! A worker's own run, sent through the store while somebody looks at it: pieces of a recording, in a list.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::slot::Slot;

/// Where the pieces of a worker's own run go. It ends when this is dropped.
#[derive(Debug)]
pub struct FeedTo {
    slot: Arc<Slot>,
    number: u64,
}

impl FeedTo {
    pub(super) fn new(slot: Arc<Slot>, number: u64) -> Self {
        Self { slot, number }
    }

    /// Gives the next piece, to be sent when the store takes it; whether anybody looks. Never waits.
    pub fn send(&self, piece: Vec<u8>) -> bool {
        self.slot.feed(self.number, piece)
    }
}

impl Drop for FeedTo {
    fn drop(&mut self) {
        self.slot.end_feed(self.number);
    }
}

/// What is sent.
#[derive(Debug, Default)]
pub(super) struct Feeding {
    /// Which feed; `None` while nobody looks.
    pub(super) number: Option<u64>,
    pub(super) waiting: VecDeque<Vec<u8>>,
    /// Pieces in the store, and their bytes.
    pub(super) pieces: usize,
    pub(super) bytes: usize,
    /// One that the store may still have, and is to forget.
    pub(super) left: Option<u64>,
    /// None begins before.
    pub(super) rests_until: Option<Instant>,
}

impl Feeding {
    /// The feed that can be read in the store.
    pub(super) fn shown(&self) -> Option<u64> {
        self.number.filter(|_| self.pieces > 0)
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn take(&mut self, pieces: Vec<Vec<u8>>) {
        if self.number.is_some() {
            self.waiting.extend(pieces);
        }
    }
}
