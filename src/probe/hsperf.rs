//! The file that a JVM keeps for its tools (jstat(1)), and what it says of the heap.
//!
//! `HotSpot` maps `/tmp/hsperfdata_USER/PID` and writes counters into it, unless `-XX:-UsePerfData`. A header, then entries, each
//! with its name and its value (`src/hotspot/share/runtime/perfMemory.hpp`, `perfData.hpp`; the same since JDK 6).
//!
//! Measured with `OpenJDK` 17 and `-Xmx64m`: Serial and Parallel write the use of eden 20 times a second, G1 with each region it
//! begins; the old generation and the survivors are written by each collection. Garbage in eden and data in eden look the same.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::sample::kernel::{Absent, HeapSource, HeapUse, Reading};

/// First bytes of the file, whatever the byte order.
const MAGIC: [u8; 4] = [0xca, 0xfe, 0xc0, 0xc0];
/// An entry of one `long`: `T_LONG` of the JVM's own signatures.
const LONG: u8 = b'J';
/// An entry of text: bytes.
const TEXT: u8 = b'B';
/// An old generation of which less than a part in so many is free takes nothing in: after a collection, data stays in eden.
const FULL: u64 = 20;
/// Readings over which the least of eden is what no collection has freed.
const READINGS: usize = 4;

/// The counters of a heap, bytes. 0 where the collector in use writes none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counters {
    eden: u64,
    survivors: u64,
    /// Room in the survivor space that is kept empty.
    spare: u64,
    old: u64,
    old_most: u64,
    young_most: u64,
    /// Each generation may take the whole heap.
    shared: bool,
}

/// What is known of one JVM's heap: eden over the last readings.
#[derive(Debug, Default)]
pub(crate) struct Jvm {
    eden: VecDeque<u64>,
}

impl Jvm {
    /// Takes the content of the file.
    pub(crate) fn take(&mut self, file: &[u8]) -> Reading<HeapUse> {
        let counters = counters(file)?;
        let limit = counters.limit();
        if limit == 0 {
            return Err(Absent::because("its collector writes no size of its heap"));
        }
        if self.eden.len() == READINGS {
            self.eden.pop_front();
        }
        self.eden.push_back(counters.eden);
        let kept = counters.old.saturating_add(counters.survivors);
        // While there is room in the old generation a collection empties eden: that all of it is garbage cannot be ruled out.
        let full = counters.old >= counters.old_most - counters.old_most / FULL;
        let stays = if full && self.eden.len() == READINGS { self.eden.iter().min().copied() } else { None };
        Ok(HeapUse {
            least_bytes: kept.saturating_add(stays.unwrap_or(0)),
            most_bytes: kept.saturating_add(counters.eden),
            limit_bytes: limit,
            by: HeapSource::PerfData,
        })
    }
}

impl Counters {
    /// What `Runtime.maxMemory()` says: both generations but for the survivor space that is kept empty.
    fn limit(&self) -> u64 {
        if self.shared {
            return self.old_most.max(self.young_most);
        }
        self.old_most.saturating_add(self.young_most).saturating_sub(self.spare)
    }
}

/// Numbers in the byte order of the machine that wrote them.
#[derive(Clone, Copy)]
struct Bytes<'a> {
    file: &'a [u8],
    little: bool,
}

impl<'a> Bytes<'a> {
    fn at<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.file.get(at..)?.first_chunk().copied()
    }

    /// A 32-bit number that is an offset, a length or a count.
    fn size(self, at: usize) -> Option<usize> {
        let bytes = self.at(at)?;
        usize::try_from(if self.little { i32::from_le_bytes(bytes) } else { i32::from_be_bytes(bytes) }).ok()
    }

    fn long(self, at: usize) -> Option<u64> {
        let bytes = self.at(at)?;
        u64::try_from(if self.little { i64::from_le_bytes(bytes) } else { i64::from_be_bytes(bytes) }).ok()
    }

    /// Text up to its zero.
    fn text(self, at: usize) -> Option<&'a str> {
        let rest = self.file.get(at..)?;
        let end = rest.iter().position(|b| *b == 0)?;
        std::str::from_utf8(&rest[..end]).ok()
    }
}

fn malformed(what: &'static str) -> Absent {
    Absent::Malformed { what: what.into(), path: Some(Cow::Borrowed("/tmp/hsperfdata_USER/PID")) }
}

/// The counters of the two generations.
fn counters(file: &[u8]) -> Reading<Counters> {
    if file.get(..4) != Some(&MAGIC) {
        return Err(malformed("no performance data"));
    }
    let bytes = Bytes { file, little: file.get(4) == Some(&1) };
    // Byte 7: whether it may be read yet.
    if file.get(7) != Some(&1) {
        return Err(malformed("not written yet"));
    }
    let (Some(mut at), Some(entries)) = (bytes.size(24), bytes.size(28)) else { return Err(malformed("cut short")) };
    let mut found = Counters::default();
    for _ in 0..entries {
        let Some(length) = bytes.size(at).filter(|length| *length >= 20) else { return Err(malformed("cut short")) };
        entry(bytes, at, &mut found).ok_or_else(|| malformed("cut short"))?;
        at += length;
    }
    Ok(found)
}

/// One entry: length, offset of the name, elements, type, flags, unit, variability, offset of the value.
fn entry(bytes: Bytes<'_>, at: usize, found: &mut Counters) -> Option<()> {
    let name = bytes.text(at + bytes.size(at + 4)?)?;
    let elements = bytes.size(at + 8)?;
    let kind = *bytes.file.get(at + 12)?;
    let value = at + bytes.size(at + 16)?;
    if kind == TEXT && name == "sun.gc.policy.name" {
        // "GarbageFirst", and any later collector of regions; generations of their own have "Copy:MSC", "ParScav:MSC".
        found.shared = !bytes.text(value)?.contains(':');
    }
    let Some(name) = name.strip_prefix("sun.gc.generation.").filter(|_| kind == LONG && elements == 0) else {
        return Some(());
    };
    let value = bytes.long(value)?;
    match name {
        "0.space.0.used" => found.eden = value,
        "0.space.1.used" | "0.space.2.used" => found.survivors = found.survivors.saturating_add(value),
        "0.space.1.capacity" => found.spare = value,
        "0.maxCapacity" => found.young_most = value,
        "1.space.0.used" => found.old = value,
        "1.maxCapacity" => found.old_most = value,
        _ => {}
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A file with these entries.
    fn file(policy: &str, longs: &[(&str, u64)], little: bool) -> Vec<u8> {
        let word = |n: u32| if little { n.to_le_bytes() } else { n.to_be_bytes() };
        let long = |n: u64| if little { n.to_le_bytes() } else { n.to_be_bytes() };
        let mut out = vec![0xca, 0xfe, 0xc0, 0xc0, u8::from(little), 2, 0, 1];
        out.extend([0; 16]);
        out.extend(word(32));
        out.extend(word(u32::try_from(longs.len()).unwrap() + 1));
        let mut add = |name: &str, kind: u8, elements: u32, value: &[u8]| {
            let data = (20 + u32::try_from(name.len()).unwrap() + 1).next_multiple_of(8);
            let length = (data + u32::try_from(value.len()).unwrap()).next_multiple_of(8);
            let start = out.len();
            out.extend(word(length));
            out.extend(word(20));
            out.extend(word(elements));
            out.extend([kind, 1, 2, 3]);
            out.extend(word(data));
            out.extend(name.bytes());
            out.resize(start + data as usize, 0);
            out.extend(value);
            out.resize(start + length as usize, 0);
        };
        let text = format!("{policy}\0");
        add("sun.gc.policy.name", TEXT, u32::try_from(text.len()).unwrap(), text.as_bytes());
        for (name, value) in longs {
            add(&format!("sun.gc.generation.{name}"), LONG, 0, &long(*value));
        }
        out
    }

    /// As Serial of `OpenJDK` 17 has it with -Xmx64m; bytes.
    fn serial(eden: u64, old: u64) -> Vec<(&'static str, u64)> {
        vec![
            ("0.maxCapacity", 22_347_776),
            ("0.space.0.used", eden),
            ("0.space.0.capacity", 17_891_328),
            ("0.space.1.used", 2_228_224),
            ("0.space.1.capacity", 2_228_224),
            ("0.space.2.used", 0),
            ("1.maxCapacity", 44_761_088),
            ("1.space.0.used", old),
        ]
    }

    #[test]
    fn a_heap_is_between_what_a_collection_left_and_all_that_is_in_it() {
        for little in [true, false] {
            let heap = Jvm::default().take(&file("Copy:MSC", &serial(10 * MIB, 20 * MIB), little)).unwrap();
            assert_eq!(heap.limit_bytes, 64_880_640, "Runtime.maxMemory()");
            assert_eq!((heap.least_bytes, heap.most_bytes), (20 * MIB + 2_228_224, 30 * MIB + 2_228_224));
        }
        let g1 = [
            ("0.maxCapacity", 67_108_888),
            ("0.space.0.used", 5 * MIB),
            ("1.maxCapacity", 67_108_872),
            ("1.space.0.used", 14 * MIB),
        ];
        let heap = Jvm::default().take(&file("GarbageFirst", &g1, true)).unwrap();
        assert_eq!(heap.limit_bytes / MIB, 64);
        assert_eq!((heap.least_bytes, heap.most_bytes), (14 * MIB, 19 * MIB));
    }

    #[test]
    fn with_a_full_old_generation_what_stays_in_eden_counts() {
        let mut jvm = Jvm::default();
        let mut least = 0;
        for i in 0..12 {
            least = jvm.take(&file("Copy:MSC", &serial((16 - i % 4) * MIB, 44_000_000), true)).unwrap().least_bytes;
        }
        assert_eq!(least, 44_000_000 + 2_228_224 + 13 * MIB);
    }

    #[test]
    fn what_is_no_such_file_is_refused_however_it_is_cut() {
        let whole = file("Copy:MSC", &serial(MIB, MIB), true);
        for len in 0..whole.len() - 8 {
            assert!(Jvm::default().take(&whole[..len]).is_err(), "{len}");
        }
        let mut other = whole.clone();
        for at in 24..whole.len() {
            other[at] = 0xff;
            let _ = Jvm::default().take(&other);
            other[at] = whole[at];
        }
        let mut early = whole.clone();
        early[7] = 0;
        assert!(Jvm::default().take(&early).is_err());
        assert!(Jvm::default().take(&file("Z", &[], true)).unwrap_err().to_string().contains("no size"));
    }
}
