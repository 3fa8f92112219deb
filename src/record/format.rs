//! What a run file is made of: frames, each of them a row of lines. `docs/recordings.md` describes it for people.
//!
//! A frame is two frames of zstd: one that decoders skip, with the head below in it, and one with JSON lines. So the file as a
//! whole is an ordinary zstd stream, and yet each frame can be found, checked and read without those before it. The head's
//! layout is the same in every schema: a program finds its way through a file that is newer than itself.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::header::Header;
use crate::limits::Limit;
use crate::model::{Cause, EventLine, Severity, Summary};
use crate::protocol::{Command, Role};
use crate::sample::Sample;

/// Bytes of a head.
pub(super) const HEAD: usize = 64;

/// How a head begins: the magic number of a frame that zstd skips, the bytes that follow in it (56), and a name of our own.
pub(super) const MARK: [u8; 12] = [0x5C, 0x2A, 0x4D, 0x18, 56, 0, 0, 0, b'c', b'1', b'm', b't'];

/// More than any frame has, compressed and not: what claims more is no frame of ours. A writer ends a frame at one MiB, and what
/// waits for it then is a few more.
const MOST: u32 = 16 << 20;

/// What stands before the lines of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) schema: u32,
    /// Bytes that follow.
    pub(super) packed: u32,
    /// Bytes of the lines.
    pub(super) unpacked: u32,
    /// Time of the first and of the last entry, milliseconds since the dashboard started.
    pub(super) first_ms: u64,
    pub(super) last_ms: u64,
    /// Samples in it.
    pub(super) samples: u32,
    /// Other entries in it.
    pub(super) others: u32,
    /// Number of the reference sample that its first sample is a change of, from 1; 0 where it has no sample.
    pub(super) reference: u32,
    /// Number of the reference sample that it carries; 0: none.
    pub(super) carries: u32,
    /// CRC-32 of the bytes that follow.
    pub(super) crc: u32,
}

impl Head {
    /// As it stands in the file.
    pub(super) fn encode(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        let mut parts: Vec<u8> = MARK.to_vec();
        parts.extend([self.schema, self.packed, self.unpacked].iter().flat_map(|word| word.to_le_bytes()));
        parts.extend([self.first_ms, self.last_ms].iter().flat_map(|word| word.to_le_bytes()));
        parts.extend(
            [self.samples, self.others, self.reference, self.carries, self.crc]
                .iter()
                .flat_map(|word| word.to_le_bytes()),
        );
        parts.extend(crc32fast::hash(&parts).to_le_bytes());
        bytes.copy_from_slice(&parts);
        bytes
    }

    /// The head in these bytes, if there is one and nothing in it has changed since.
    pub(super) fn decode(bytes: &[u8; HEAD]) -> Option<Self> {
        let short = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| u64::from(short(at)) | u64::from(short(at + 4)) << 32;
        let whole = bytes.starts_with(&MARK) && short(HEAD - 4) == crc32fast::hash(&bytes[..HEAD - 4]);
        let head = Self {
            schema: short(12),
            packed: short(16),
            unpacked: short(20),
            first_ms: long(24),
            last_ms: long(32),
            samples: short(40),
            others: short(44),
            reference: short(48),
            carries: short(52),
            crc: short(56),
        };
        (whole && head.packed <= MOST && head.unpacked <= MOST).then_some(head)
    }
}

/// One thing of a run, in the order in which it came. Given one by one to a [`super::Course`], they make again what the run
/// showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// What is known from the start. It is repeated, so that a file that is damaged at its beginning still has it.
    Header {
        /// See [`Header`].
        header: Box<Header>,
    },
    /// A sample.
    Sample {
        /// Whether outputs show it at once; others show it not at all, or at the next [`Entry::Shown`].
        shown: bool,
        /// As it was taken.
        sample: Arc<Sample>,
    },
    /// Outputs show the last sample now, with what has been told since.
    Shown {
        /// Milliseconds since the dashboard started.
        t_ms: u64,
    },
    /// Something that the program had to say of what it does.
    Note {
        /// Milliseconds since the dashboard started.
        t_ms: u64,
        /// How bad.
        severity: Severity,
        /// Stable id.
        id: String,
        /// One sentence.
        text: String,
    },
    /// A watched process has ended, and a sample since has seen it gone.
    Death {
        /// Milliseconds since the dashboard started.
        t_ms: u64,
        /// The process.
        pid: u32,
        /// How.
        cause: Cause,
    },
    /// An engine is ending: the screen stays as it is, with this note.
    Kept {
        /// Milliseconds since the dashboard started.
        t_ms: u64,
        /// Id of the note.
        id: String,
        /// One sentence.
        text: String,
    },
    /// The user gave the engines a command.
    Command {
        /// Milliseconds since the dashboard started.
        t_ms: u64,
        /// Which of them; null is all.
        to: Option<Role>,
        /// What.
        command: Command,
    },
    /// The guard of the fleet's server begins or ceases to allow this client less than its own guard.
    FleetBound {
        /// Milliseconds since the dashboard started.
        t_ms: u64,
        /// Whether it does.
        binds: bool,
    },
    /// The user wanted to leave.
    Quit {
        /// Milliseconds since the dashboard started.
        t_ms: u64,
    },
    /// What the model made of it, for whoever reads the file without it: an event that is new, or has become worse.
    Event {
        /// As outputs write it.
        event: Box<EventLine>,
    },
    /// Entries are missing here.
    Gap {
        /// Milliseconds since the dashboard started.
        t_ms: u64,
        /// How many, where that is known.
        entries: Option<u64>,
    },
    /// What the run came to.
    Summary {
        /// As outputs write it.
        summary: Box<Summary>,
    },
    /// One of the runs that this one was merged from: what stood at its beginning, and what it came to.
    Part {
        /// What its limits and events begin with.
        name: String,
        /// Its own header.
        header: Box<Header>,
        /// Its own summary; where it was cut short, what it had come to.
        summary: Box<Summary>,
    },
    /// Something that one of the parts told, at its place in time.
    Told {
        /// Milliseconds since the first part started.
        t_ms: u64,
        /// The name of the part.
        name: String,
        /// As that part told it.
        event: Box<EventLine>,
    },
    /// The limits of a merged run: of each the nearest, as the part that has it judged it.
    Limits {
        /// Milliseconds since the first part started.
        t_ms: u64,
        /// Every limit.
        limits: Vec<Limit>,
    },
}

impl Entry {
    /// When it was, milliseconds since the dashboard started; `None` of what is of no time.
    pub fn t_ms(&self) -> Option<u64> {
        match self {
            Entry::Sample { sample, .. } => Some(sample.t_ms),
            Entry::Note { t_ms, .. }
            | Entry::Death { t_ms, .. }
            | Entry::Kept { t_ms, .. }
            | Entry::Command { t_ms, .. }
            | Entry::Quit { t_ms }
            | Entry::FleetBound { t_ms, .. }
            | Entry::Shown { t_ms }
            | Entry::Told { t_ms, .. }
            | Entry::Limits { t_ms, .. }
            | Entry::Gap { t_ms, .. } => Some(*t_ms),
            Entry::Event { event } => Some(event.t_ms),
            Entry::Header { .. } | Entry::Summary { .. } | Entry::Part { .. } => None,
        }
    }

    /// Whether it comes with time, and not because something has happened.
    pub fn is_routine(&self) -> bool {
        matches!(self, Entry::Sample { .. } | Entry::Limits { .. })
    }

    /// Whether it is a sample.
    pub fn is_sample(&self) -> bool {
        matches!(self, Entry::Sample { .. })
    }
}

/// Bytes of a file that are no frame, or none any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Where they begin.
    pub offset: u64,
    /// How many.
    pub bytes: u64,
    /// The file ends in them: the last frame was being written.
    pub at_end: bool,
    /// The last moment known before them, milliseconds since the dashboard started.
    pub after_ms: u64,
}

/// For people.
impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = crate::units::clock(self.after_ms);
        let bytes = crate::units::bytes(self.bytes);
        if self.at_end {
            write!(f, "it ends in a frame that is not whole ({bytes}): what came after {when} is missing")
        } else {
            write!(f, "{bytes} at byte {} are damaged: some seconds after {when} are missing", self.offset)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD_OF: Head = Head {
        schema: 1,
        packed: 700,
        unpacked: 9000,
        first_ms: 1000,
        last_ms: 1 << 40,
        samples: 5,
        others: 1,
        reference: 2,
        carries: 3,
        crc: 7,
    };

    #[test]
    fn a_head_is_read_as_it_was_written() {
        assert_eq!(Head::decode(&HEAD_OF.encode()), Some(HEAD_OF));
    }

    #[test]
    fn a_flipped_bit_is_noticed_wherever_it_is() {
        for bit in 0..HEAD * 8 {
            let mut bytes = HEAD_OF.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::decode(&bytes), None, "bit {bit}");
        }
    }

    #[test]
    fn what_claims_to_be_too_large_is_no_frame() {
        assert_eq!(Head::decode(&Head { unpacked: u32::MAX, ..HEAD_OF }.encode()), None);
    }
}
