//! Frames made of entries, and entries of frames.

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zstd::bulk::{Compressor, Decompressor};

use super::delta;
use super::format::{Entry, HEAD, Head};
use super::header::SCHEMA;
use crate::sample::Sample;

/// Level of compression: higher ones take several times as long for a tenth less.
const LEVEL: i32 = 3;

/// A sample as it stands in a file: the first of a frame whole, each other as what has changed.
#[derive(Serialize, Deserialize)]
struct SampleLine {
    kind: Kind,
    shown: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sample: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delta: Option<Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Sample,
}

/// How [`SampleLine`] begins, which tells it from any other line.
const SAMPLE: &[u8] = br#"{"kind":"sample","#;

/// Gathers entries to a frame.
pub(super) struct Builder {
    lines: Vec<u8>,
    last: Option<Value>,
    head: Head,
    packer: Compressor<'static>,
}

impl Builder {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { lines: Vec::new(), last: None, head: Self::EMPTY, packer: Compressor::new(LEVEL)? })
    }

    const EMPTY: Head =
        Head { schema: SCHEMA, packed: 0, unpacked: 0, first_ms: 0, last_ms: 0, samples: 0, others: 0, crc: 0 };

    /// Bytes of the lines so far.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
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
            Entry::Sample { shown, sample } => {
                self.head.samples += 1;
                let value = serde_json::to_value(sample)?;
                let changed = self.last.as_ref().map(|last| delta::between(last, &value));
                let mut line = SampleLine { kind: Kind::Sample, shown: *shown, sample: None, delta: None };
                match changed {
                    None => line.sample = Some(value.clone()),
                    Some(delta) => line.delta = Some(delta.unwrap_or_else(|| Value::Object(serde_json::Map::new()))),
                }
                self.last = Some(value);
                serde_json::to_writer(&mut self.lines, &line)?;
            }
            other => {
                // A header's time is that of whatever comes next.
                self.head.others += u32::from(other.t_ms().is_some());
                serde_json::to_writer(&mut self.lines, other)?;
            }
        }
        self.lines.push(b'\n');
        Ok(())
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
    last: Option<Value>,
}

impl Lines {
    pub(super) fn new(text: Vec<u8>) -> Self {
        Self { text, at: 0, last: None }
    }

    /// The next entry; an error is a line that cannot be understood.
    pub(super) fn next(&mut self) -> Option<io::Result<Entry>> {
        let rest = self.text.get(self.at..)?;
        let line = rest.split(|b| *b == b'\n').next().filter(|line| !line.is_empty())?;
        let (from, to) = (self.at, self.at + line.len());
        self.at = to + 1;
        Some(self.read(from, to))
    }

    fn read(&mut self, from: usize, to: usize) -> io::Result<Entry> {
        let line = &self.text[from..to];
        if !line.starts_with(SAMPLE) {
            return Ok(serde_json::from_slice(line)?);
        }
        let line: SampleLine = serde_json::from_slice(line)?;
        match (line.sample, line.delta) {
            (Some(whole), _) => self.last = Some(whole),
            (None, Some(delta)) => {
                let misfit = || io::Error::other("a change of a sample that is not there");
                delta::apply(self.last.as_mut().ok_or_else(misfit)?, delta).map_err(|_| misfit())?;
            }
            (None, None) => return Err(io::Error::other("a sample without one")),
        }
        let value = self.last.as_ref().ok_or_else(|| io::Error::other("no sample"))?;
        Ok(Entry::Sample { shown: line.shown, sample: Box::new(Sample::deserialize(value)?) })
    }
}
