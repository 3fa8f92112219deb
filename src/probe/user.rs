//! Whom `RLIMIT_NPROC` counts: the threads of one real user, in its user namespace.
//!
//! `copy_process` of `kernel/fork.c`: the limit of the process that wants one more binds, unless its real user is root of the
//! first user namespace, or it has `CAP_SYS_RESOURCE` or `CAP_SYS_ADMIN` there. Since Linux 5.14 each user namespace counts
//! its own, and for who made it in the one above (`inc_rlimit_ucounts` of `kernel/ucount.c`).

use std::path::{Path, PathBuf};

use super::process::{self, Status};
use super::source::{Roots, Source, reason};
use super::text::number;
use crate::sample::kernel::{Absent, Reading};

/// The link of the first user namespace: `PROC_USER_INIT_INO` of `include/linux/proc_ns.h`.
const FIRST: &str = "user:[4026531837]";

/// Who a process is to the kernel, as it was when opened: a server gives privilege up when it starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    status: Status,
    /// Its user namespace, where that is known to be another than the first.
    inner: Option<u64>,
    /// Whether this process, through whose eyes user numbers are seen, is in the first.
    seen_from_first: bool,
}

/// The threads that count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct User {
    uid: u32,
    inner: Option<u64>,
}

impl Identity {
    /// Reads it of the process below `home`.
    pub(crate) fn read(roots: &Roots, home: &Path, status: &mut Source, buf: &mut Vec<u8>) -> Reading<Self> {
        Ok(Self {
            status: status.get(buf, process::status)?,
            inner: inner(home),
            seen_from_first: inner(&roots.proc.join("self")).is_none(),
        })
    }

    /// Whether it has `CAP_SYS_ADMIN` in the first user namespace. Root of a container has it only in its own.
    pub(crate) fn is_admin(self) -> bool {
        self.status.is_admin() && self.inner.is_none()
    }

    /// Its user; `None` where `RLIMIT_NPROC` does not bind it.
    pub(crate) fn bound(self) -> Option<User> {
        let capable = self.inner.is_none() && (self.status.is_admin() || self.status.may_exceed());
        let root = self.status.uid == 0 && self.seen_from_first;
        (!capable && !root).then(|| self.user())
    }

    /// Its user, bound or not.
    pub(crate) fn user(self) -> User {
        User { uid: self.status.uid, inner: self.inner }
    }
}

impl User {
    /// Threads of this user in every process but `watched`. A walk over all processes: 20 us or so for each.
    pub(crate) fn others(self, roots: &Roots, watched: &[u32], buf: &mut Vec<u8>) -> Reading<u64> {
        let entries = std::fs::read_dir(&roots.proc).map_err(|error| reason(&error, "/proc", None))?;
        let mut threads = 0;
        for entry in entries.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| number(name).ok()) else { continue };
            if watched.iter().any(|w| u64::from(*w) == pid) {
                continue;
            }
            let mut status = Source::open_once(roots, format!("/proc/{pid}/status"), Absent::ProcessEnded);
            // What has ended since it was listed, or may not be seen, is not counted.
            let Ok(status) = status.get(buf, process::status) else { continue };
            // What its user runs in namespaces of its own counts for it as well, but not the other way round.
            let here = || self.inner.is_none() || inner(&entry.path()) == self.inner;
            if status.uid == self.uid && here() {
                threads += status.threads;
            }
        }
        Ok(threads)
    }
}

/// The number of a process' user namespace, unless it is the first one or may not be read.
fn inner(home: &Path) -> Option<u64> {
    let link: PathBuf = std::fs::read_link(home.join("ns/user")).ok().filter(|link| link.as_os_str() != FIRST)?;
    number(link.to_str()?.strip_prefix("user:[")?.strip_suffix(']')?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process of this user, namespace, capabilities and threads.
    fn process(proc: &Path, pid: &str, uid: u32, namespace: &str, effective: u64, threads: u64) -> PathBuf {
        let home = proc.join(pid);
        std::fs::create_dir_all(home.join("ns")).unwrap();
        std::os::unix::fs::symlink(namespace, home.join("ns/user")).unwrap();
        let text = format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nThreads:\t{threads}\nCapEff:\t{effective:016x}\n");
        std::fs::write(home.join("status"), text).unwrap();
        home
    }

    fn identity(roots: &Roots, home: &Path) -> Identity {
        let mut status = Source::open_once(roots, home.join("status").to_str().unwrap(), Absent::ProcessEnded);
        Identity::read(roots, home, &mut status, &mut Vec::new()).unwrap()
    }

    #[test]
    fn root_of_the_machine_and_its_capabilities_are_not_bound() {
        const INNER: &str = "user:[4026532999]";
        let rows = [
            // uid, namespace, capabilities, the reader's namespace, bound
            (0, FIRST, u64::MAX, FIRST, false),
            (0, FIRST, 0, FIRST, false),
            (1000, FIRST, 0, FIRST, true),
            (1000, FIRST, 1 << 21, FIRST, false),
            (1000, FIRST, 1 << 24, FIRST, false),
            (1000, FIRST, 1 << 12, FIRST, true),
            // Capabilities of a container count in the container alone; root of it is some user of the machine.
            (100_000, INNER, u64::MAX, FIRST, true),
            (0, INNER, u64::MAX, FIRST, false),
            (0, INNER, u64::MAX, INNER, true),
        ];
        for (uid, namespace, effective, reader, bound) in rows {
            let dir = tempfile::tempdir().unwrap();
            let roots = Roots { proc: dir.path().into(), sys: dir.path().into() };
            process(dir.path(), "self", 0, reader, 0, 1);
            let home = process(dir.path(), "7", uid, namespace, effective, 1);
            let found = identity(&roots, &home).bound();
            assert_eq!(found.is_some(), bound, "{uid} {namespace} {effective:x} seen from {reader}");
        }
    }

    #[test]
    fn the_threads_of_a_user_are_added_up_but_for_those_watched() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots { proc: dir.path().into(), sys: dir.path().into() };
        process(dir.path(), "self", 0, FIRST, 0, 1);
        let home = process(dir.path(), "7", 1000, FIRST, 0, 40);
        process(dir.path(), "8", 1000, FIRST, 0, 2);
        process(dir.path(), "9", 1000, "user:[4026532999]", 0, 5);
        process(dir.path(), "10", 1001, FIRST, 0, 100);
        std::fs::create_dir(dir.path().join("11")).unwrap();
        let user = identity(&roots, &home).bound().unwrap();
        assert_eq!(user.others(&roots, &[7], &mut Vec::new()), Ok(7));
        let inside = identity(&roots, &dir.path().join("9")).bound().unwrap();
        assert_eq!(inside.others(&roots, &[], &mut Vec::new()), Ok(5), "its namespace counts its own");
    }
}
