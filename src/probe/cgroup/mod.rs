//! The cgroups of a process: memory and pids, version 1 or 2, with every ancestor that can be seen.

mod locate;
mod memory;
mod pids;

use super::source::{Roots, Source};
use crate::sample::kernel::{Absent, MemCgroup, PidsCgroup, Reading};
use locate::{Level, levels};
use memory::MemoryFiles;
use pids::PidsFiles;

/// What it means when a file of a cgroup cannot be read any more.
const GONE: Absent = Absent::because("the cgroup is gone");

/// The kept-open files of one process' cgroups.
#[derive(Debug)]
pub(crate) struct Cgroups {
    /// `/proc/PID/cgroup`.
    membership: Source,
    /// Its text when the files were opened: a process can be moved.
    last: String,
    memory: Reading<Vec<MemoryFiles>>,
    pids: Reading<Vec<PidsFiles>>,
}

impl Cgroups {
    /// Finds the cgroups of `pid` and opens their files.
    pub(crate) fn open(roots: &Roots, pid: u32, buf: &mut Vec<u8>) -> Self {
        let membership =
            Source::open_once(roots, format!("/proc/{pid}/cgroup"), Absent::because("this kernel has no cgroups"));
        let unread = Absent::because("not read yet");
        let mut this = Self { membership, last: String::new(), memory: Err(unread.clone()), pids: Err(unread) };
        if let Err(absent) = this.follow(roots, buf) {
            this.memory = Err(absent.clone());
            this.pids = Err(absent);
        }
        this
    }

    /// Opens the files of another cgroup if the process has been moved to one.
    ///
    /// # Errors
    /// The membership cannot be read; what was open stays open: the counters of a cgroup are worth most just after the
    /// process was killed.
    pub(crate) fn follow(&mut self, roots: &Roots, buf: &mut Vec<u8>) -> Reading<()> {
        let membership = self.membership.read(buf)?;
        if membership == self.last {
            return Ok(());
        }
        let membership = membership.to_owned();
        // Only now: the list of mounts can be long. If no descriptor is left for it, the next sample tries again.
        let mounts = Source::open(roots, "/proc/self/mountinfo").read(buf)?;
        let open = |controller| levels(&membership, mounts, controller);
        let (memory, pids) = (open("memory"), open("pids"));
        self.memory = memory.and_then(|levels| memory::open(roots, &levels, buf));
        self.pids = pids.map(|levels| pids::open(roots, &levels));
        self.last = membership;
        Ok(())
    }

    /// Whether both are the same cgroups.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.last == other.last && self.memory.is_ok() && other.memory.is_ok()
    }

    /// The memory cgroup and its ancestors, nearest first; empty in a root cgroup that counts nothing.
    pub(crate) fn memory(&mut self, buf: &mut Vec<u8>) -> Reading<Vec<MemCgroup>> {
        match &mut self.memory {
            Ok(levels) => levels.iter_mut().map(|level| level.read(buf)).collect(),
            Err(absent) => Err(absent.clone()),
        }
    }

    /// Every cgroup that limits its tasks, nearest first: the kernel asks each of them.
    pub(crate) fn pids(&mut self, buf: &mut Vec<u8>) -> Reading<Vec<PidsCgroup>> {
        match &mut self.pids {
            Ok(levels) => levels.iter_mut().filter_map(|level| level.read(buf).transpose()).collect(),
            Err(absent) => Err(absent.clone()),
        }
    }
}

/// Opens `file` of a level.
fn source(roots: &Roots, level: &Level, file: &str) -> Source {
    Source::open_once(roots, format!("{}/{file}", level.dir), GONE)
}

/// A number, or `None` for "no limit": `max` in version 2, the largest count of pages in version 1 (`PAGE_COUNTER_MAX`,
/// 2^63 less a page).
fn limit(text: &str) -> Reading<Option<u64>> {
    match text.trim() {
        "max" => Ok(None),
        number => super::text::number(number).map(|n| (n < 1 << 62).then_some(n)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_has_two_spellings() {
        for (text, want) in
            [("max\n", None), ("9223372036854771712\n", None), ("9223372036854710272\n", None), ("0", Some(0))]
        {
            assert_eq!(limit(text), Ok(want), "{text:?}");
        }
        for text in ["", "maximum", "-1", "\0"] {
            assert!(limit(text).is_err(), "{text:?}");
        }
    }
}
