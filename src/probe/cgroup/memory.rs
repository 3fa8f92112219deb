//! The files of a memory cgroup.

use super::super::source::{Roots, Source};
use super::super::text::{keyed, number, odd};
use super::locate::Level;
use super::{limit, source};
use crate::sample::kernel::{Absent, MemCgroup, Reading};

/// Kept open for one cgroup.
#[derive(Debug)]
pub(super) struct MemoryFiles {
    level: Level,
    usage: Source,
    limit: Source,
    stat: Source,
    /// `memory.events` in version 2, `memory.oom_control` in version 1.
    oom: Source,
    /// Version 1 only: in version 2 the count is in `memory.events`.
    failcnt: Option<Source>,
    /// Version 1 with swap accounting.
    with_swap: Option<u64>,
}

/// Opens what counts memory. The root of version 2 does not, nor does a cgroup that has the controller switched off: its
/// ancestors do.
pub(super) fn open(roots: &Roots, levels: &[Level], buf: &mut Vec<u8>) -> Reading<Vec<MemoryFiles>> {
    let files: Vec<_> =
        levels.iter().map(|level| MemoryFiles::open(roots, level, buf)).filter(|files| files.usage.is_open()).collect();
    // A version 1 root counts too.
    if files.is_empty() && (levels.len() > 1 || levels.iter().any(|level| level.version == 1)) {
        return Err(Absent::because("the memory controller is off in its cgroup"));
    }
    Ok(files)
}

impl MemoryFiles {
    fn open(roots: &Roots, level: &Level, buf: &mut Vec<u8>) -> Self {
        let source = |file: &str| source(roots, level, file);
        let memsw = (level.version == 1).then(|| source("memory.memsw.limit_in_bytes"));
        let (usage, limit, oom) = match level.version {
            1 => ("memory.usage_in_bytes", "memory.limit_in_bytes", "memory.oom_control"),
            _ => ("memory.current", "memory.max", "memory.events"),
        };
        Self {
            level: level.clone(),
            usage: source(usage),
            limit: source(limit),
            stat: source("memory.stat"),
            oom: source(oom),
            failcnt: (level.version == 1).then(|| source("memory.failcnt")),
            with_swap: memsw.and_then(|mut memsw| memsw.get(buf, super::limit).ok().flatten()),
        }
    }

    pub(super) fn read(&mut self, buf: &mut Vec<u8>) -> Reading<MemCgroup> {
        let version = self.level.version;
        let (oom_kills, events_max) = self.oom.get(buf, oom)?;
        let max_hits = match &mut self.failcnt {
            Some(failcnt) => failcnt.get(buf, number)?,
            None => events_max,
        };
        Ok(MemCgroup {
            path: self.level.path.clone(),
            dir: self.level.dir.clone(),
            version,
            used: self.usage.get(buf, number)?,
            limit: self.limit.get(buf, limit)?,
            with_swap: self.with_swap,
            file_bytes: self.stat.get(buf, |text| file_bytes(text, version))?,
            oom_kills,
            max_hits,
        })
    }
}

/// `oom_kill`, and `max` where the file has it. A kernel before 4.13 has no `oom_kill`; nothing was counted then.
fn oom(text: &str) -> Reading<(u64, u64)> {
    if keyed(text, "oom_kill").or(keyed(text, "under_oom")).or(keyed(text, "oom")).is_none() {
        return Err(odd("counts no OOM"));
    }
    Ok((keyed(text, "oom_kill").unwrap_or(0), keyed(text, "max").unwrap_or(0)))
}

/// Page cache that can go, of the cgroup and those below it. Version 1 has lines of its own for the sum.
fn file_bytes(text: &str, version: u8) -> Reading<u64> {
    let keys = match version {
        1 => ["total_inactive_file", "total_active_file"],
        _ => ["inactive_file", "active_file"],
    };
    match keys.map(|key| keyed(text, key)) {
        [Some(inactive), Some(active)] => Ok(inactive.saturating_add(active)),
        _ => Err(odd("cut short")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_cache_of_the_subtree() {
        let text = "inactive_file 8\nactive_file 2\ntotal_inactive_file 80\ntotal_active_file 20\n";
        assert_eq!(file_bytes(text, 1), Ok(100));
        assert_eq!(file_bytes(text, 2), Ok(10));
    }

    #[test]
    fn kills_and_hits() {
        assert_eq!(oom("low 0\nhigh 0\nmax 12\noom 2\noom_kill 1\noom_group_kill 0\n"), Ok((1, 12)));
        assert_eq!(oom("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"), Ok((5, 0)));
        assert_eq!(oom("oom_kill_disable 0\nunder_oom 0\n"), Ok((0, 0)));
    }

    #[test]
    fn hostile_input_is_a_reason() {
        for text in ["", "\0", "inactive_file", "inactive_file x\nactive_file 1\n", "oom_kill -1\n", "oom_kill\n"] {
            assert!(file_bytes(text, 2).is_err(), "{text:?}");
            assert!(oom(text).is_err(), "{text:?}");
        }
    }
}
