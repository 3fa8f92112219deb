//! Reading a run file: what is whole of it, in the order of time, from any moment on.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use super::format::{Damage, Entry, HEAD, Head, MARK};
use super::frame::{self, Lines, Opener};
use super::header::{Header, SCHEMA};
use super::tree::Tree;
use crate::model::{Setup, Summary};

/// Why nothing of a file can be used: one line for people, without the file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// The system refuses.
    Refused(String),
    /// It is a directory.
    Directory,
    /// There is nothing in it.
    Empty,
    /// It is something else.
    Foreign,
    /// It ends, or is damaged, before its header is whole.
    NoHeader,
    /// It was written by a later version of this program.
    Newer {
        /// Its schema.
        schema: u32,
        /// The oldest version that reads it, where that can be read.
        needs: Option<String>,
    },
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::Directory => f.write_str("it is a directory; name a file in it (c1m-top runs lists those there are)"),
            Self::Empty => f.write_str("it is empty: nothing was recorded"),
            Self::Foreign => f.write_str("it is not a c1m-top recording (--record FILE writes one)"),
            Self::NoHeader => f.write_str("its beginning is damaged or missing, and without it nothing can be read"),
            Self::Newer { schema, needs: Some(needs) } => {
                write!(f, "it needs c1m-top {needs} or later: its schema is {schema}, and this version reads {SCHEMA}")
            }
            Self::Newer { schema, needs: None } => {
                write!(f, "it needs a later c1m-top: its schema is {schema}, and this version reads {SCHEMA}")
            }
        }
    }
}

/// A frame that is whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// Where its lines begin in the file.
    pub(super) at: u64,
    head: Head,
    /// Something is missing before it.
    after_damage: bool,
}

/// A run file.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    file: File,
    bytes: u64,
    header: Header,
    summary: Option<Summary>,
    frames: Vec<Frame>,
    damage: Vec<Damage>,
    /// The reference sample that was needed last, by its number: there is one for an hour or so.
    reference: Mutex<Option<(u32, Tree)>>,
}

/// Opens a run file, and checks all of it.
///
/// # Errors
/// Nothing of it can be used.
pub fn open(path: &Path) -> Result<Recording, Unreadable> {
    let refused = |e: io::Error| Unreadable::Refused(e.to_string());
    let file = File::open(path).map_err(refused)?;
    let meta = file.metadata().map_err(refused)?;
    if meta.is_dir() {
        return Err(Unreadable::Directory);
    }
    let bytes = meta.len();
    if bytes == 0 {
        return Err(if meta.is_file() { Unreadable::Empty } else { Unreadable::Foreign });
    }
    let Scanned { frames, damage, newer } = scan(&file, 0, bytes).map_err(refused)?;
    if let Some(frame) = newer {
        let needs = needed(&file, &frame);
        return Err(Unreadable::Newer { schema: frame.head.schema, needs });
    }
    if frames.is_empty() {
        let mut first = [0; MARK.len()];
        let begins = file.read_exact_at(&mut first, 0).is_ok() && first == MARK;
        return Err(if begins { Unreadable::NoHeader } else { Unreadable::Foreign });
    }
    let mut recording = Recording {
        path: path.to_owned(),
        file,
        bytes,
        header: Header::new(Setup::default()),
        summary: None,
        frames,
        damage,
        reference: Mutex::new(None),
    };
    let header = recording.entries().find_map(|entry| match entry {
        Entry::Header { header } => Some(*header),
        _ => None,
    });
    recording.header = header.ok_or(Unreadable::NoHeader)?;
    // It is the last entry there is.
    let last = recording.frames.len().saturating_sub(1);
    recording.summary = recording.entries_of(last).find_map(|entry| match entry {
        Entry::Summary { summary } => Some(*summary),
        _ => None,
    });
    Ok(recording)
}

impl Recording {
    /// The lines of a frame, unless they cannot be had.
    fn lines(&self, frame: &Frame, opener: &mut Opener) -> Option<Vec<u8>> {
        let mut packed = vec![0; frame.head.packed as usize];
        self.file.read_exact_at(&mut packed, frame.at).ok()?;
        opener.lines(&frame.head, &packed).ok()
    }

    /// The sample that the first one of a frame is a change of, from whichever frame still has it.
    fn reference(&self, number: u32, opener: &mut Opener) -> Option<Tree> {
        let mut kept = self.reference.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, value)) = kept.as_ref().filter(|(kept, _)| *kept == number) {
            return Some(value.clone());
        }
        let carriers = self.frames.iter().filter(|frame| number > 0 && frame.head.carries == number);
        let value =
            carriers.filter_map(|f| self.lines(f, opener)).find_map(|lines| frame::reference(&lines, number))?;
        *kept = Some((number, value.clone()));
        Some(value)
    }

    /// Takes what has been written since it was opened, or last grew.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn grow(&mut self) -> io::Result<()> {
        let bytes = self.file.metadata()?.len();
        // A frame that was not whole may be now.
        let rest = self.damage.pop_if(|damage| damage.at_end).map_or(self.bytes, |damage| damage.offset);
        let Scanned { frames, damage, .. } = scan(&self.file, rest, bytes)?;
        self.bytes = bytes;
        self.frames.extend(frames);
        self.damage.extend(damage);
        Ok(())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size, bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is known from the start of the run.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What the run came to; `None` where the file ends before the run did.
    pub fn summary(&self) -> Option<&Summary> {
        self.summary.as_ref()
    }

    /// What of the file cannot be used.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Time of the first and of the last entry, milliseconds since the dashboard started.
    pub fn span_ms(&self) -> (u64, u64) {
        let timed = || self.frames.iter().filter(|f| f.head.samples + f.head.others > 0);
        let first = timed().map(|f| f.head.first_ms).min().unwrap_or(0);
        (first, timed().map(|f| f.head.last_ms).max().unwrap_or(0))
    }

    /// Samples in it.
    pub fn samples(&self) -> u64 {
        self.frames.iter().map(|f| u64::from(f.head.samples)).sum()
    }

    /// Every entry, in the order in which they came. What is damaged is a [`Entry::Gap`].
    pub fn entries(&self) -> Entries<'_> {
        self.entries_of(0)
    }

    /// The frame in which this moment is.
    pub fn frame_of(&self, t_ms: u64) -> usize {
        self.frames.partition_point(|f| f.head.last_ms < t_ms)
    }

    /// Frames in it.
    pub fn frames(&self) -> usize {
        self.frames.len()
    }

    /// Entries from this frame on, counted from 0.
    pub fn entries_of(&self, frame: usize) -> Entries<'_> {
        Entries { recording: self, next: frame, opener: Opener::new().ok(), lines: Lines::default(), last_ms: 0 }
    }

    /// Entries other than samples of the frames that have any, in order: events, notes, commands.
    pub fn happenings(&self) -> impl Iterator<Item = Entry> + '_ {
        let with = self.frames.iter().enumerate().filter(|(_, frame)| frame.head.others > 0);
        with.flat_map(|(i, _)| {
            let mut entries = self.entries_of(i);
            std::iter::from_fn(move || entries.next_within(i + 1))
        })
        .filter(|entry| !entry.is_routine())
    }
}

/// Entries of a run file, one by one.
pub struct Entries<'a> {
    recording: &'a Recording,
    /// The frame that is read next.
    next: usize,
    opener: Option<Opener>,
    lines: Lines,
    last_ms: u64,
}

impl fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("next", &self.next).finish_non_exhaustive()
    }
}

impl Entries<'_> {
    /// The next entry, if it is in a frame before this one.
    pub(super) fn next_within(&mut self, frame: usize) -> Option<Entry> {
        loop {
            match self.lines.next() {
                Some(Ok(entry)) => {
                    self.last_ms = entry.t_ms().unwrap_or(self.last_ms);
                    return Some(entry);
                }
                // Its checksum was right: it was written so. The rest of the frame may build on it.
                Some(Err(_)) => {
                    self.lines = Lines::default();
                    return Some(Entry::Gap { t_ms: self.last_ms, entries: None });
                }
                None => {}
            }
            if self.next >= frame {
                return None;
            }
            let at = self.recording.frames.get(self.next)?;
            self.next += 1;
            let opener = self.opener.as_mut()?;
            let lines = self.recording.lines(at, opener);
            let reference = self.recording.reference(at.head.reference, opener);
            let whole = lines.is_some();
            self.lines = Lines::new(lines.unwrap_or_default(), reference);
            if !whole || at.after_damage {
                return Some(Entry::Gap { t_ms: at.head.first_ms, entries: None });
            }
        }
    }
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        self.next_within(usize::MAX)
    }
}

/// What a file is made of.
pub(super) struct Scanned {
    pub(super) frames: Vec<Frame>,
    pub(super) damage: Vec<Damage>,
    /// The first frame of a schema that is not known.
    newer: Option<Frame>,
}

/// Goes from frame to frame and checks each, from `at` on. Where there is none, looks for the next.
pub(super) fn scan(file: &File, mut at: u64, bytes: u64) -> io::Result<Scanned> {
    let mut found = Scanned { frames: Vec::new(), damage: Vec::new(), newer: None };
    let (mut bad, mut last_ms) = (None, 0);
    let mut packed = Vec::new();
    while at < bytes {
        let Some(head) = whole_frame(file, at, bytes, &mut packed)? else {
            bad.get_or_insert(at);
            at = next_mark(file, at + 1, bytes)?;
            continue;
        };
        let frame = Frame { at: at + HEAD as u64, head, after_damage: bad.is_some() };
        if head.schema > SCHEMA {
            found.newer = Some(frame);
            return Ok(found);
        }
        if let Some(from) = bad.take() {
            found.damage.push(Damage { offset: from, bytes: at - from, at_end: false, after_ms: last_ms });
        }
        last_ms = last_ms.max(head.last_ms);
        found.frames.push(frame);
        at += HEAD as u64 + u64::from(head.packed);
    }
    if let Some(from) = bad {
        found.damage.push(Damage { offset: from, bytes: bytes - from, at_end: true, after_ms: last_ms });
    }
    Ok(found)
}

/// The head of the frame that begins here, if all of it is whole.
fn whole_frame(file: &File, at: u64, bytes: u64, packed: &mut Vec<u8>) -> io::Result<Option<Head>> {
    let mut head = [0; HEAD];
    if at + HEAD as u64 > bytes {
        return Ok(None);
    }
    file.read_exact_at(&mut head, at)?;
    let Some(head) = Head::decode(&head) else { return Ok(None) };
    if at + HEAD as u64 + u64::from(head.packed) > bytes {
        return Ok(None);
    }
    packed.resize(head.packed as usize, 0);
    file.read_exact_at(packed, at + HEAD as u64)?;
    Ok(Some(head).filter(|head| crc32fast::hash(packed) == head.crc))
}

/// Where the next head may begin: the end of the file, where there is none.
fn next_mark(file: &File, from: u64, bytes: u64) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 18];
    let mut at = from;
    while at + (MARK.len() as u64) <= bytes {
        let read = file.read_at(&mut buffer, at)?;
        let (whole, mut from) = (&buffer[..read], 0);
        while let Some(i) = whole[from..].iter().position(|b| *b == MARK[0]) {
            if whole[from + i..].starts_with(&MARK) {
                return Ok(at + (from + i) as u64);
            }
            from += i + 1;
        }
        if read < MARK.len() {
            break;
        }
        at += (read - MARK.len() + 1) as u64;
    }
    Ok(bytes)
}

/// What the first line of a newer file says that it needs.
fn needed(file: &File, frame: &Frame) -> Option<String> {
    #[derive(Deserialize)]
    struct Line {
        header: Needs,
    }
    #[derive(Deserialize)]
    struct Needs {
        needs: String,
    }
    let mut packed = vec![0; frame.head.packed as usize];
    file.read_exact_at(&mut packed, frame.at).ok()?;
    let lines = Opener::new().ok()?.lines(&frame.head, &packed).ok()?;
    let first = lines.split(|b| *b == b'\n').next()?;
    serde_json::from_slice::<Line>(first).ok().map(|line| line.header.needs)
}
