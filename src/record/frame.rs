//! Frames made of entries, and entries of frames.

use std::sync::Arc;
use std::{fmt, io};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use super::delta;
use super::format::{Entry, HEAD, Head};
use super::header::SCHEMA;
use super::tree::Tree;
use crate::sample::Sample;

/// Level of compression: higher ones take several times as long for a tenth less.
const LEVEL: i32 = 3;
/// Its two tables, 32 KiB each, however large a frame is: those of the level take half a megabyte from the first large frame on.
const TABLE_LOG: u32 = 13;

/// A reference sample is taken anew where what a frame's first sample differs by is more than so much of it whole.
const WORN: usize = 4;

/// A sample as it stands in a file: what has changed since the one before, of the first in a frame since the reference.
#[derive(Serialize)]
struct SampleLine {
    kind: Kind,
    shown: bool,
    delta: Value,
}

/// A sample that those that come first in a frame are changes of.
#[derive(Serialize)]
struct ReferenceLine {
    kind: Kind,
    number: u32,
    sample: Value,
}

/// The same as it is read.
#[derive(Deserialize)]
struct ReferenceRead {
    number: u32,
    sample: Tree,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Sample,
    Reference,
}

/// How a [`SampleLine`] and a [`ReferenceLine`] begin, which tells them from any other line.
const SAMPLE: &[u8] = br#"{"kind":"sample","#;
const REFERENCE: &[u8] = br#"{"kind":"reference","#;

/// The sample that others are changes of.
struct Reference {
    number: u32,
    /// As JSON: a tree of it takes ten times as much memory, and is needed once a frame.
    text: Vec<u8>,
    /// It is to be taken anew.
    stale: bool,
    /// Frames that carry it.
    copies: u32,
}

impl Reference {
    fn sample(&self) -> io::Result<Value> {
        Ok(serde_json::from_slice(&self.text)?)
    }
}

/// Gathers entries to a frame.
pub(super) struct Builder {
    lines: Vec<u8>,
    reference: Option<Reference>,
    /// Number of the next reference sample.
    next: u32,
    last: Option<Value>,
    head: Head,
    packer: Compressor<'static>,
}

impl Builder {
    pub(super) fn new() -> io::Result<Self> {
        Self::numbered_from(1)
    }

    /// Numbers its reference samples from `first` on, so that its frames can follow those of another.
    pub(super) fn numbered_from(first: u32) -> io::Result<Self> {
        let mut packer = Compressor::new(LEVEL)?;
        packer.set_parameter(CParameter::HashLog(TABLE_LOG))?;
        packer.set_parameter(CParameter::ChainLog(TABLE_LOG))?;
        Ok(Self { lines: Vec::new(), reference: None, next: first, last: None, head: Self::EMPTY, packer })
    }

    const EMPTY: Head = Head {
        schema: SCHEMA,
        packed: 0,
        unpacked: 0,
        first_ms: 0,
        last_ms: 0,
        samples: 0,
        others: 0,
        reference: 0,
        carries: 0,
        crc: 0,
    };

    /// Bytes of the lines so far.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Has the next frame begin with a reference of its own.
    pub(super) fn renew(&mut self) {
        if let Some(reference) = &mut self.reference {
            reference.stale = true;
        }
    }

    /// Adds an entry.
    pub(super) fn add(&mut self, entry: &Entry) -> io::Result<()> {
        if let Some(t_ms) = entry.t_ms() {
            if self.head.samples + self.head.others == 0 {
                self.head.first_ms = t_ms;
            }
            self.head.last_ms = self.head.last_ms.max(t_ms);
        }
        match entry {
            Entry::Sample { shown, sample } => self.add_sample(*shown, serde_json::to_value(sample)?),
            other => {
                // A header's time is that of whatever comes next.
                self.head.others += u32::from(other.t_ms().is_some());
                self.line(other)
            }
        }
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.lines, line)?;
        self.lines.push(b'\n');
        Ok(())
    }

    fn add_sample(&mut self, shown: bool, sample: Value) -> io::Result<()> {
        self.head.samples += 1;
        let delta = match &self.last {
            Some(last) => delta::between(last, &sample),
            None => self.begin(&sample)?,
        };
        let delta = delta.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        self.last = Some(sample);
        self.line(&SampleLine { kind: Kind::Sample, shown, delta })
    }

    /// The first sample of a frame, as a change of the reference: writes that where it has to be, and makes it of this sample
    /// where it is worn.
    fn begin(&mut self, sample: &Value) -> io::Result<Option<Value>> {
        let mut delta = None;
        let worn = match &self.reference {
            Some(reference) if !reference.stale => {
                delta = delta::between(&reference.sample()?, sample);
                delta.as_ref().map_or(0, |delta| delta.to_string().len()) * WORN > reference.text.len()
            }
            _ => true,
        };
        if worn {
            delta = None;
            let text = serde_json::to_vec(sample)?;
            self.reference = Some(Reference { number: self.next, text, stale: false, copies: 0 });
            self.next += 1;
        }
        let Some(mut reference) = self.reference.take() else { return Ok(delta) };
        self.head.reference = reference.number;
        // Twice, so that a frame that is damaged costs itself alone.
        if reference.copies < 2 {
            reference.copies += 1;
            self.head.carries = reference.number;
            let sample = reference.sample()?;
            self.line(&ReferenceLine { kind: Kind::Reference, number: reference.number, sample })?;
        }
        self.reference = Some(reference);
        Ok(delta)
    }

    /// The frame, as it is written to a file; the next is begun.
    pub(super) fn finish(&mut self) -> io::Result<Vec<u8>> {
        let mut out = vec![0; HEAD];
        let packed = self.packer.compress(&self.lines)?;
        let length = |n: usize| u32::try_from(n).map_err(io::Error::other);
        let head = Head {
            packed: length(packed.len())?,
            unpacked: length(self.lines.len())?,
            crc: crc32fast::hash(&packed),
            ..self.head
        };
        out.copy_from_slice(&head.encode());
        out.extend_from_slice(&packed);
        (self.head, self.last) = (Self::EMPTY, None);
        self.lines.clear();
        // A burst must not keep its memory for the rest of the run.
        self.lines.shrink_to(256 << 10);
        Ok(out)
    }
}

/// Takes frames apart.
pub(super) struct Opener(Decompressor<'static>);

impl Opener {
    pub(super) fn new() -> io::Result<Self> {
        Decompressor::new().map(Self)
    }

    /// The lines of a frame whose checksum has been found right.
    pub(super) fn lines(&mut self, head: &Head, packed: &[u8]) -> io::Result<Vec<u8>> {
        self.0.decompress(packed, head.unpacked as usize)
    }
}

/// The entries in the lines of a frame, one by one.
#[derive(Default)]
pub(super) struct Lines {
    text: Vec<u8>,
    at: usize,
    last: Option<Tree>,
}

impl Lines {
    /// With the sample that the first of them is a change of.
    pub(super) fn new(text: Vec<u8>, reference: Option<Tree>) -> Self {
        Self { text, at: 0, last: reference }
    }

    /// The next entry; an error is a line that cannot be understood.
    pub(super) fn next(&mut self) -> Option<io::Result<Entry>> {
        loop {
            let rest = self.text.get(self.at..)?;
            let line = rest.split(|b| *b == b'\n').next().filter(|line| !line.is_empty())?;
            self.at += line.len() + 1;
            if line.starts_with(REFERENCE) {
                continue;
            }
            if !line.starts_with(SAMPLE) {
                return Some(serde_json::from_slice(line).map_err(Into::into));
            }
            return Some(Self::sample(line, &mut self.last));
        }
    }

    fn sample(line: &[u8], last: &mut Option<Tree>) -> io::Result<Entry> {
        let tree = last.as_mut().ok_or_else(|| io::Error::other("a change of a sample that is not there"))?;
        let mut reader = serde_json::Deserializer::from_slice(line);
        let shown = Changed(tree).deserialize(&mut reader)?;
        reader.end()?;
        Ok(Entry::Sample { shown, sample: Arc::new(Sample::deserialize(&*tree)?) })
    }
}

/// Reads a [`SampleLine`]: the sample becomes what it says, and whether that was shown is returned.
struct Changed<'a>(&'a mut Tree);

impl<'de> DeserializeSeed<'de> for Changed<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, line: D) -> Result<bool, D::Error> {
        line.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Changed<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sample as it stands in a file")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut line: A) -> Result<bool, A::Error> {
        let (mut shown, mut changed) = (None, false);
        while let Some(key) = line.next_key::<String>()? {
            match key.as_str() {
                "shown" => shown = Some(line.next_value()?),
                "delta" => {
                    line.next_value_seed(delta::Change(&mut *self.0))?;
                    changed = true;
                }
                _ => _ = line.next_value::<IgnoredAny>()?,
            }
        }
        shown.filter(|_| changed).ok_or_else(|| A::Error::missing_field(if changed { "shown" } else { "delta" }))
    }
}

/// The reference sample of that number in the lines of a frame.
pub(super) fn reference(lines: &[u8], number: u32) -> Option<Tree> {
    let mut rows = lines.split(|b| *b == b'\n').filter(|line| line.starts_with(REFERENCE));
    rows.find_map(|row| {
        let row: ReferenceRead = serde_json::from_slice(row).ok()?;
        (row.number == number).then_some(row.sample)
    })
}
