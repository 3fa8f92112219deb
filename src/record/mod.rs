//! A run as a file: written while it goes on, read, and played again. `docs/recordings.md` describes the file.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `format` | what a file is made of: heads of frames, entries |
//! | `header` | what is known of a run before its first sample |
//! | `delta` | a sample as what has changed since the one before |
//! | `tree` | a sample that is changed bit by bit as it is read |
//! | `frame` | frames made of entries, and entries of frames |
//! | `write` | the thread that writes |
//! | `read` | the reader: what is whole, from any moment on |
//! | `past` | the run as it was at any moment |
//! | `feed`, `follow` | a run that goes on, sent as a recording; and followed elsewhere |
//! | `course` | the model and what is shown of it, driven by entries |

mod course;
mod delta;
mod feed;
mod follow;
mod format;
mod frame;
mod header;
mod past;
mod read;
mod tree;
mod write;

pub use course::{Course, play, play_with, verdict_so_far};
pub use feed::{Feed, Written};
pub use follow::Follower;
pub use format::{Damage, Entry};
pub use header::{Header, Place, Privilege, RunRole, SCHEMA};
pub use past::Past;
pub use read::{Entries, Recording, Unreadable, open};
pub use write::{News, Recorder, write_all};

#[cfg(test)]
mod tests;
