//! `/proc/PID/stat`, `/proc/PID/status` and `/proc/PID/limits`.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::source::Roots;
use super::text::odd;
use crate::sample::kernel::{Reading, SoftHard};

/// What is taken from `/proc/PID/stat` (`proc_pid_stat(5)`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own in that file")]
pub(crate) struct Stat<'t> {
    /// The name the process gave itself: anything, parentheses and line ends included.
    pub(crate) comm: &'t str,
    /// Its parent's number.
    pub(crate) parent: u32,
    /// One of the kernel's own threads.
    pub(crate) kernel: bool,
    /// True for a zombie or a dead process.
    pub(crate) ended: bool,
    /// Stopped by a signal, or by whoever traces it.
    pub(crate) stopped: bool,
    /// On its way out: its memory is gone, its descriptors are being closed, and version 1 cgroups show it in their root
    /// (`proc_cgroup_show`, `kernel/cgroup/cgroup.c`). With a million sockets this takes many seconds.
    pub(crate) exiting: bool,
    /// User plus system time, clock ticks.
    pub(crate) ticks: u64,
    /// Of them, system time.
    pub(crate) system_ticks: u64,
    /// Threads.
    pub(crate) threads: u64,
    /// When it was started, ticks since boot: tells it from another that gets its number later.
    pub(crate) started: u64,
    /// Resident memory, pages.
    pub(crate) rss_pages: u64,
}

/// `PF_EXITING` and `PF_KTHREAD` of `include/linux/sched.h`.
const EXITING: i64 = 4;
const KERNEL_THREAD: i64 = 0x0020_0000;

/// Open descriptors of a process, by the size of its `/proc/PID/fd` (Linux 6.2 and later). `None` where the kernel does not
/// count them: of a process without any it says the same, and none is watched.
///
/// # Errors
/// What stat(2) says.
pub(crate) fn descriptors(fd: &Path) -> io::Result<Option<u64>> {
    Ok(Some(fs::metadata(fd)?.size()).filter(|n| *n > 0))
}

/// Descriptors of a process that are looked at: what it opened before its connections is among them.
const FIRST: usize = 1024;

/// Among the first descriptors of a process its sockets, by inode, each with a descriptor that is it; and how many are none.
///
/// # Errors
/// They may not be listed: it is another user's.
pub(crate) fn first_sockets(roots: &Roots, pid: u32) -> io::Result<(HashMap<u64, u32>, u64)> {
    let entries = fs::read_dir(roots.proc.join(format!("{pid}/fd")))?;
    let (mut sockets, mut others) = (HashMap::new(), 0);
    for entry in entries.flatten().take(FIRST) {
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        match inode(&entry.path()).zip(number) {
            Some((inode, number)) => drop(sockets.insert(inode, number)),
            None => others += 1,
        }
    }
    Ok((sockets, others))
}

/// The inode of the socket that a descriptor is, where it is one.
fn inode(descriptor: &Path) -> Option<u64> {
    let target = fs::read_link(descriptor).ok()?;
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// The inode of the socket that descriptor `number` of a process is, where it is one.
pub(crate) fn socket_at(roots: &Roots, pid: u32, number: u32) -> Option<u64> {
    inode(&roots.proc.join(format!("{pid}/fd/{number}")))
}

/// Whether the title that a process has given itself says that it ends once its connections do: `nginx: worker process is
/// shutting down`.
pub(crate) fn is_shutting_down(roots: &Roots, pid: u32) -> bool {
    let title = fs::read(roots.proc.join(format!("{pid}/cmdline"))).unwrap_or_default();
    title.split(|b| *b == 0).next().is_some_and(|title| title.ends_with(b" is shutting down"))
}

/// Parses `/proc/PID/stat`.
pub(crate) fn stat(text: &str) -> Reading<Stat<'_>> {
    const CUT: crate::sample::kernel::Absent = odd("cut short");
    let (head, rest) = text.rsplit_once(')').ok_or(CUT)?;
    let (_, comm) = head.split_once('(').ok_or(CUT)?;
    let mut words = rest.split_ascii_whitespace();
    let state = words.next().ok_or(CUT)?;
    // Field 3 is the state, so that field n is n - 4 words further on.
    let mut field = |skip: usize| words.nth(skip).and_then(|word| word.parse::<i64>().ok()).ok_or(CUT);
    let parent = field(0)?;
    let flags = field(9 - 5)?;
    let utime = field(14 - 10)?;
    let stime = field(0)?;
    let threads = field(20 - 16)?;
    let started = field(22 - 21)?;
    let rss = field(24 - 23)?;
    let count = |n: i64| n.max(0).cast_unsigned();
    Ok(Stat {
        comm,
        parent: u32::try_from(parent).unwrap_or_default(),
        kernel: flags & KERNEL_THREAD != 0,
        // A main thread that has ended before the others is shown as a zombie while the process goes on.
        ended: matches!(state, "Z" | "X" | "x") && threads <= 1,
        stopped: matches!(state, "T" | "t"),
        exiting: flags & EXITING != 0,
        ticks: count(utime).saturating_add(count(stime)),
        system_ticks: count(stime),
        threads: count(threads),
        started: count(started),
        rss_pages: count(rss),
    })
}

/// Of the resident memory, pages of files and of shared memory: the third number of `/proc/PID/statm`.
pub(crate) fn shared_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(2)?.parse().ok()
}

/// The line `name` of `/proc/PID/limits`; `u64::MAX` is unlimited.
pub(crate) fn limit(text: &str, name: &str) -> Reading<SoftHard> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or(odd("lacks a line"))?;
    let mut words = line.split_ascii_whitespace().map(|word| match word {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    });
    match (words.next().flatten(), words.next().flatten()) {
        (Some(soft), Some(hard)) => Ok(SoftHard { soft, hard }),
        _ => Err(odd("cut short")),
    }
}

/// What is taken from `/proc/PID/status` (`proc_pid_status(5)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    /// Real user, as this process' user namespace calls it.
    pub(crate) uid: u32,
    /// Effective capabilities, a bit each (capabilities(7)).
    effective: u64,
    /// Threads; 1 for a zombie.
    pub(crate) threads: u64,
}

impl Status {
    /// `CAP_SYS_ADMIN`, in whichever user namespace it is.
    pub(crate) fn is_admin(self) -> bool {
        self.effective & 1 << 21 != 0
    }

    /// `CAP_SYS_RESOURCE`, in whichever user namespace it is.
    pub(crate) fn may_exceed(self) -> bool {
        self.effective & 1 << 24 != 0
    }
}

/// Parses `/proc/PID/status`.
pub(crate) fn status(text: &str) -> Reading<Status> {
    const NUMBER: crate::sample::kernel::Absent = odd("not a number");
    let word = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key)).ok_or(odd("lacks a line"))?;
        value.split_ascii_whitespace().next().ok_or(odd("cut short"))
    };
    Ok(Status {
        uid: word("Uid:")?.parse().map_err(|_| NUMBER)?,
        effective: u64::from_str_radix(word("CapEff:")?, 16).map_err(|_| NUMBER)?,
        threads: word("Threads:")?.parse().map_err(|_| NUMBER)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4859 (cat) R 4845 4845 3386 0 -1 4194304 100 0 0 0 7 5 0 0 20 0 3 0 71343 3133440 388 \
                        18446744073709551615 94581946048512 0\n";

    #[test]
    fn fields_are_counted_from_the_last_parenthesis() {
        let want = Stat {
            comm: "cat",
            parent: 4845,
            kernel: false,
            ended: false,
            stopped: false,
            exiting: false,
            ticks: 12,
            system_ticks: 5,
            threads: 3,
            started: 71_343,
            rss_pages: 388,
        };
        assert_eq!(stat(STAT), Ok(want.clone()));
        assert_eq!(stat(&STAT.replace("cat", "a) Z (b")), Ok(Stat { comm: "a) Z (b", ..want }));
    }

    #[test]
    fn stopped_is_told_from_asleep() {
        for (state, stopped) in [("T", true), ("t", true), ("S", false), ("D", false)] {
            assert_eq!(stat(&STAT.replace(" R ", &format!(" {state} "))).unwrap().stopped, stopped, "{state}");
        }
    }

    #[test]
    fn a_zombie_has_ended_unless_its_threads_go_on() {
        assert!(!stat(&STAT.replace(" R ", " Z ")).unwrap().ended);
        assert!(stat(&STAT.replace(" R ", " Z ").replace(" 3 0 71343", " 1 0 71343")).unwrap().ended);
    }

    #[test]
    fn a_process_on_its_way_out_is_told_by_its_flags() {
        assert!(stat(&STAT.replace("4194304", "4194308")).unwrap().exiting);
    }

    #[test]
    fn limits_by_name() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max processes             96365                unlimited            processes \n\
                    Max open files            1024                 20000                files     \n";
        assert_eq!(limit(text, "Max open files"), Ok(SoftHard { soft: 1024, hard: 20_000 }));
        assert_eq!(limit(text, "Max processes"), Ok(SoftHard { soft: 96_365, hard: u64::MAX }));
        for text in ["", "Max open files", "Max open files 1", "Max open files x y", "Max open files -1 2"] {
            assert!(limit(text, "Max open files").is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_shared_is_the_third_number() {
        assert_eq!(shared_pages("3133 388 120 9 0 99 0\n"), Some(120));
        assert_eq!((shared_pages("3133 388"), shared_pages("")), (None, None));
    }

    #[test]
    fn hostile_input_is_a_reason() {
        for text in
            ["", "\0", ")", ")(", "1 (a", "1 (a)", "1 (a) R 1 2 3", "()", &STAT.replace("388", "x"), &STAT[..60]]
        {
            assert!(stat(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn users_and_what_they_may() {
        let text = |uid: &str, caps: &str| format!("Name:\tx\nUid:\t{uid}\t7\t7\t7\nThreads:\t3\nCapEff:\t{caps}\n");
        for (uid, caps, admin, exceed) in [
            ("0", "000001fffeffffff", true, false),
            ("1000", "0000000000000000", false, false),
            ("65534", "0000000001000000", false, true),
        ] {
            let status = status(&text(uid, caps)).unwrap();
            assert_eq!((status.uid.to_string().as_str(), status.threads), (uid, 3));
            assert_eq!((status.is_admin(), status.may_exceed()), (admin, exceed), "{caps}");
        }
        for text in [text("0", "zz"), text("x", "0"), text("0", ""), String::new(), "Uid:\nThreads:\nCapEff:\n".into()]
        {
            assert!(status(&text).is_err(), "{text:?}");
        }
    }
}
