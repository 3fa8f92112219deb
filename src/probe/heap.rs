//! What is in the heap that a watched process' runtime limits: V8's from the map of its memory, a JVM's from what it writes for
//! its tools. Neither is asked anything.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::hsperf::Jvm;
use super::source::{Roots, Source, reason};
use crate::sample::kernel::{Absent, HeapSource, HeapUse, Reading, Runtime, RuntimeLimit};

/// At most this part of the time goes into reading: each 256 KiB of a V8 heap are a line of the map, and a line takes
/// 0.6 us: 0.5 ms for a heap of 200 MiB, some 10 ms for one of 4 GiB.
const REST: u32 = 100;
/// How often a file that is not there is looked for again: a JVM writes it a moment after its start.
const RETRY: Duration = Duration::from_secs(5);

/// A page of V8's heap, bytes: what it reserves is a multiple of this and begins at one. Measured with node 20: the sum of
/// such mappings is `process.memoryUsage().heapTotal` to 256 KiB.
const PAGE: u64 = 256 << 10;
/// V8 asks for its pages at addresses of 46 bits that it draws by lot, below all that the kernel places by itself
/// (`GetRandomMmapAddr` in `src/base/platform/platform-posix.cc`, x86-64 and arm64).
const BELOW: u64 = 1 << 46;
/// What V8's old generation has from its start: 3.6 MiB in node 20.
const AT_START: u64 = 3 << 20;

/// No such file of a JVM is longer: 32 KiB, unless `-XX:PerfDataMemorySize` is set.
const PERF_DATA_MOST: u64 = 1 << 20;

/// The reader of one process' heap.
#[derive(Debug)]
pub(crate) struct HeapProbe {
    kind: Kind,
    due: Option<Instant>,
    last: Reading<Option<HeapUse>>,
}

#[derive(Debug)]
enum Kind {
    None,
    V8 { maps: Source, limit: u64, young: u64 },
    Jvm { file: Option<File>, home: PathBuf, heap: Jvm },
}

impl HeapProbe {
    /// Opens what tells of the heap of a process whose runtime has this limit.
    pub(crate) fn open(roots: &Roots, pid: u32, limit: Option<&RuntimeLimit>) -> Self {
        let home = roots.proc.join(pid.to_string());
        let kind = match limit {
            Some(RuntimeLimit { runtime: Runtime::V8, limit, besides, .. }) => {
                let maps = Source::open_once(roots, format!("/proc/{pid}/maps"), Absent::ProcessEnded);
                Kind::V8 { maps, limit: *limit, young: *besides }
            }
            Some(RuntimeLimit { runtime: Runtime::Jvm, .. }) => Kind::Jvm { file: None, home, heap: Jvm::default() },
            _ => Kind::None,
        };
        Self { kind, due: None, last: Ok(None) }
    }

    /// The use now, or a moment ago: see [`REST`].
    pub(crate) fn read(&mut self, now: Instant, buf: &mut Vec<u8>) -> Reading<Option<HeapUse>> {
        if matches!(self.kind, Kind::None) || self.due.is_some_and(|due| now < due) {
            return self.last.clone();
        }
        let start = Instant::now();
        let mut pause = Duration::ZERO;
        self.last = match &mut self.kind {
            Kind::None => Ok(None),
            Kind::V8 { maps, limit, young } => maps.get(buf, |text| Ok(Some(of_pages(pages(text), *limit, *young)))),
            Kind::Jvm { file, home, heap } => {
                if file.is_none() {
                    *file = find(home);
                }
                if let Some(file) = file {
                    read_perf(file, buf).and_then(|()| heap.take(buf)).map(Some)
                } else {
                    pause = RETRY;
                    Err(Absent::because("it writes no file for its tools (hsperfdata) that can be read"))
                }
            }
        };
        self.due = Some(now + pause.max(start.elapsed() * REST));
        self.last.clone()
    }
}

/// Bytes of V8's pages in `/proc/PID/maps`: private, writable, of no file, where and as large as V8 maps them.
fn pages(text: &str) -> u64 {
    let size = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (range, rights) = (words.next()?, words.next()?);
        // Offset, device and inode; a name is a seventh.
        if rights != "rw-p" || words.nth(2)? != "0" || words.next().is_some() {
            return None;
        }
        let (from, to) = range.split_once('-')?;
        let (from, to) = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
        (from % PAGE == 0 && to < BELOW).then(|| to.saturating_sub(from))
    };
    text.lines().filter_map(size).sum()
}

/// The limit bounds the old generation, and nobody outside can tell its pages from those of the young one.
fn of_pages(total: u64, limit: u64, young: u64) -> HeapUse {
    let young = young.min(total.saturating_sub(AT_START));
    HeapUse { least_bytes: total - young, most_bytes: total, limit_bytes: limit, by: HeapSource::Pages }
}

/// The file that the JVM at `home` (`/proc/PID`) writes: named by its number in its own pid namespace, below a directory named
/// by a user of its own `/etc/passwd`; so the one of that number that belongs to whoever it runs as.
fn find(home: &Path) -> Option<File> {
    let status = std::fs::read_to_string(home.join("status")).ok()?;
    let number = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_ascii_whitespace().next_back()?;
    let owner = std::fs::metadata(home).ok()?.uid();
    let entries = std::fs::read_dir(home.join("root/tmp")).ok()?;
    let open = |entry: std::fs::DirEntry| {
        if !entry.file_name().to_str()?.starts_with("hsperfdata_") || !entry.file_type().ok()?.is_dir() {
            return None;
        }
        // Anybody may put anything into that directory: no link is followed, and no pipe waited for.
        let mut options = File::options();
        let file = options
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(entry.path().join(number))
            .ok()?;
        let about = file.metadata().ok()?;
        (about.is_file() && about.uid() == owner && about.len() <= PERF_DATA_MOST).then_some(file)
    };
    entries.flatten().find_map(open)
}

/// The whole file. It is read and not mapped: mapped, a file that is cut short would be the end of who reads it.
fn read_perf(file: &File, buf: &mut Vec<u8>) -> Reading<()> {
    let failed = |error: &std::io::Error| reason(error, "/tmp/hsperfdata_USER/PID", None);
    let len = file.metadata().map_err(|e| failed(&e))?.len().min(PERF_DATA_MOST);
    buf.clear();
    buf.resize(usize::try_from(len).unwrap_or(0), 0);
    file.read_exact_at(buf, 0).map_err(|e| failed(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of node 20.20 under `--max-old-space-size=64`.
    const MAPS: &str = "\
00400000-00b71000 r--p 00000000 fd:00 1835062                            /usr/bin/node
0565d000-05689000 rw-p 00000000 00:00 0 
29de940000-29de980000 rw-p 00000000 00:00 0 
2d6a8000-2d7c1000 rw-p 00000000 00:00 0                                  [heap]
43f94540000-43f9454d000 r--p 00000000 00:00 0 
130bd700000-130bd7a1000 rw-p 00000000 00:00 0 
7f63b4000000-7f63b4040000 rw-p 00000000 00:00 0 
7f63dcd40000-7f63dcd66000 r--p 00000000 fd:00 1835270                    /usr/lib/x86_64-linux-gnu/libc.so.6
";

    #[test]
    fn the_pages_of_v8_are_told_from_other_memory() {
        assert_eq!(pages(MAPS), (256 << 10) + 0xa1000);
        assert_eq!(pages("nothing\n\n1-2 rw-p\nzz-10 rw-p 0 0 0\n"), 0);
        let mib = |n: u64| n << 20;
        for (total, least) in [(0, 0), (2, 2), (4, 3), (40, 8), (400, 368)] {
            let heap = of_pages(mib(total), mib(64), mib(32));
            assert_eq!((heap.least_bytes, heap.most_bytes), (mib(least), mib(total)));
        }
    }

    #[test]
    fn the_file_of_a_jvm_is_its_owners_and_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path();
        let at = |user: &str| home.join("root/tmp").join(format!("hsperfdata_{user}"));
        std::fs::create_dir_all(at("a")).unwrap();
        std::fs::create_dir_all(at("b")).unwrap();
        assert!(find(home).is_none());
        std::fs::write(home.join("status"), "Name:\tjava\nNSpid:\t4711\t7\n").unwrap();
        assert!(find(home).is_none());
        std::os::unix::fs::symlink("/etc/passwd", at("a").join("7")).unwrap();
        assert!(find(home).is_none());
        std::fs::write(at("b").join("7"), "abc").unwrap();
        let mut buf = Vec::new();
        read_perf(&find(home).unwrap(), &mut buf).unwrap();
        assert_eq!(buf, b"abc");
    }

    #[test]
    fn without_a_limit_or_a_file_there_is_nothing_or_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots { proc: dir.path().to_owned(), sys: dir.path().to_owned() };
        let limit = |runtime| RuntimeLimit { runtime, limit: 64 << 20, set_by: String::new(), besides: 0 };
        let read = |limit: Option<RuntimeLimit>| {
            HeapProbe::open(&roots, 7, limit.as_ref()).read(Instant::now(), &mut Vec::new())
        };
        assert_eq!(read(None), Ok(None));
        assert_eq!(read(Some(limit(Runtime::Go))), Ok(None));
        assert_eq!(read(Some(limit(Runtime::V8))), Err(Absent::ProcessEnded));
        assert!(read(Some(limit(Runtime::Jvm))).unwrap_err().to_string().contains("hsperfdata"));
        std::fs::create_dir(dir.path().join("7")).unwrap();
        std::fs::write(dir.path().join("7/maps"), MAPS).unwrap();
        let heap = read(Some(limit(Runtime::V8))).unwrap().unwrap();
        assert_eq!((heap.most_bytes, heap.limit_bytes), (pages(MAPS), 64 << 20));
    }
}
