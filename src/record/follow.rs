//! A run that goes on elsewhere, made from the pieces of a recording as they come.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;

use rustix::fs::{MemfdFlags, memfd_create};

use super::course::Course;
use super::past::Past;
use super::read::{self, Recording};
use crate::model::Model;

/// Most bytes of a piece, and of all: more than any worker sends.
const MOST_OF_PIECE: usize = 1 << 20;
const MOST: u64 = 32 << 20;

/// A run that is followed.
#[derive(Debug)]
pub struct Follower {
    /// What has come, in memory: a file, so that it is read as any other.
    file: File,
    bytes: u64,
    /// The same once its header has come.
    recording: Option<Recording>,
    course: Course,
    /// Frames of it that the course has taken.
    played: usize,
    past: Past,
}

impl Follower {
    /// A run of which nothing has come.
    ///
    /// # Errors
    /// The kernel has no memory for it.
    pub fn new() -> io::Result<Self> {
        let file = File::from(memfd_create("c1m-top", MemfdFlags::CLOEXEC)?);
        Ok(Self { file, bytes: 0, recording: None, course: Course::default(), played: 0, past: Past::default() })
    }

    /// Takes the next piece of its recording, and plays what is whole by now.
    ///
    /// # Errors
    /// It cannot be kept, or is more than a run has.
    pub fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.bytes += piece.len() as u64;
        if piece.len() > MOST_OF_PIECE || self.bytes > MOST {
            return Err(io::Error::other("too much"));
        }
        self.file.write_all(piece)?;
        if let Some(recording) = &mut self.recording {
            recording.grow()?;
        } else {
            // What has come may end amid the header.
            let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            self.recording = read::open(path.as_ref()).ok();
            let setup = self.recording.as_ref().map(|recording| recording.header().setup.clone());
            self.course = Course::new(setup.unwrap_or_default());
        }
        let Some(recording) = &self.recording else { return Ok(()) };
        for entry in recording.entries_of(self.played) {
            self.course.take(&entry);
        }
        self.played = recording.frames();
        Ok(())
    }

    /// The run as it is now; `None` before its first sample has come.
    pub fn now(&self) -> Option<&Model> {
        Some(self.course.shown()).filter(|model| model.last_sample().is_some())
    }

    /// Nobody looks at its past any more.
    pub fn forget_past(&mut self) {
        self.past = Past::default();
    }

    /// The run as it was at a moment, milliseconds since its dashboard started; `None` before anything is known of it.
    pub fn at(&mut self, t_ms: u64) -> Option<Box<Model>> {
        let recording = self.recording.as_ref()?;
        Some(self.past.at(recording, t_ms).into_shown())
    }
}
