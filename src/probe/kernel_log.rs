//! The kernel's log, `/dev/kmsg` (`Documentation/ABI/testing/dev-kmsg`): one record a read, `EAGAIN` when there is no more.
//!
//! A line is the best proof there is, and names what no counter does. It is not always there: most are rate-limited, and
//! `kernel.dmesg_restrict` leaves the log to root.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use super::source::{Roots, reason};
use crate::sample::kernel::{Absent, Log, LogLine, LogTopic, Reading};

/// Where it is.
const PATH: &str = "/dev/kmsg";
/// The link of the first pid namespace: `PROC_PID_INIT_INO` of `include/linux/proc_ns.h`.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";
/// No record is longer (`CONSOLE_EXT_LOG_MAX` of `kernel/printk/internal.h`): a shorter buffer would get `EINVAL`.
const RECORD: usize = 8 * 1024;
/// Records read at most for one sample, under a microsecond each; the report of an OOM kill alone has a hundred and more. A
/// flood of them is read on with the next.
const MOST: usize = 2048;
/// Bytes of a line that are kept.
const LONGEST: usize = 160;

/// The kept-open log, behind its last record.
#[derive(Debug)]
pub(crate) struct KernelLog {
    file: Reading<File>,
}

impl KernelLog {
    /// Opens it; what was logged before is not read.
    pub(crate) fn open(roots: &Roots) -> Self {
        // Other roots hold the files of another machine, whose log this is not.
        if *roots != Roots::default() {
            return Self { file: Err(Absent::because("not read")) };
        }
        let first = std::fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == FIRST_PID_NAMESPACE);
        if !first {
            return Self { file: Err(Absent::because("uses other PIDs than this pid namespace")) };
        }
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(PATH).and_then(|mut file| {
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        });
        Self { file: opened.map_err(|error| reason(&error, PATH, None)) }
    }

    /// What has been logged since the last reading.
    pub(crate) fn read(&mut self, buf: &mut Vec<u8>) -> Reading<Log> {
        let file = self.file.as_mut().map_err(|absent| absent.clone())?;
        if buf.len() < RECORD {
            buf.resize(RECORD, 0);
        }
        let mut log = Log::default();
        let mut lost = false;
        for _ in 0..MOST {
            match file.read(&mut buf[..RECORD]) {
                Ok(len) => log.lines.extend(parse(&String::from_utf8_lossy(&buf[..len]))),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // EPIPE: the records that came next have been overwritten.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => lost = true,
                Err(error) => {
                    log.whole = error.kind() == ErrorKind::WouldBlock && !lost;
                    break;
                }
            }
        }
        Ok(log)
    }
}

/// How the kernel writes what is of use here. Both spellings of "neighbour", and both cases, have been in use.
const PHRASES: [(&str, LogTopic); 9] = [
    ("VFS: file-max limit", LogTopic::FileMax),
    ("TCP: out of memory", LogTopic::TcpMemory),
    ("TCP: too many orphaned sockets", LogTopic::Orphans),
    ("TCP: time wait bucket table overflow", LogTopic::TimeWait),
    ("nf_conntrack: table full", LogTopic::Conntrack),
    ("ossible SYN flooding", LogTopic::SynQueue),
    ("drop open request from", LogTopic::SynQueue),
    ("table overflow!", LogTopic::Neighbours),
    ("page allocation failure", LogTopic::Allocation),
];

/// A record: `priority,number,microseconds,flags;text`, and lines of keys that start with a blank.
fn parse(record: &str) -> Option<LogLine> {
    let (head, text) = record.split_once(';')?;
    let priority: u32 = head.split(',').next()?.parse().ok()?;
    // The facility in the upper bits is 0 for the kernel and for nobody else: other programs write to the log too.
    if priority >> 3 != 0 {
        return None;
    }
    let text = text.lines().next()?.trim_end();
    let topic = match killed(text) {
        Some((pid, cgroup)) => LogTopic::OomKill { pid, cgroup },
        None => PHRASES.iter().find(|(phrase, _)| text.contains(phrase))?.1,
    };
    let cut = (0..=LONGEST.min(text.len())).rev().find(|&i| text.is_char_boundary(i))?;
    Some(LogLine { topic, text: text[..cut].to_owned() })
}

/// The number in `Memory cgroup out of memory: Killed process 4021 (c1m-top) total-vm:…`, and whether it is of a cgroup. Before
/// Linux 5.1 nothing stood before "Killed"; `Out of memory (oom_kill_allocating_task): Killed` is of the machine too.
fn killed(text: &str) -> Option<(u32, Option<bool>)> {
    let (before, after) = text.split_once("Killed process ")?;
    let cgroup = match before {
        "" => None,
        _ if before.starts_with("Memory cgroup out of memory") => Some(true),
        _ if before.starts_with("Out of memory") => Some(false),
        _ => return None,
    };
    let pid = after.split_ascii_whitespace().next()?.trim_end_matches(',');
    Some((pid.parse().ok()?, cgroup))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_topic() {
        let rows = [
            ("VFS: file-max limit 8000 reached", LogTopic::FileMax),
            ("TCP: out of memory -- consider tuning tcp_mem", LogTopic::TcpMemory),
            ("TCP: too many orphaned sockets", LogTopic::Orphans),
            ("TCP: time wait bucket table overflow", LogTopic::TimeWait),
            ("nf_conntrack: nf_conntrack: table full, dropping packet", LogTopic::Conntrack),
            (
                "TCP: request_sock_TCP: Possible SYN flooding on port 127.0.0.1:9900. Sending cookies.",
                LogTopic::SynQueue,
            ),
            (
                "TCP: request_sock_TCP: possible SYN flooding on port 9900. Dropping request.  Check SNMP counters.",
                LogTopic::SynQueue,
            ),
            ("TCP: drop open request from 127.0.0.1/41200", LogTopic::SynQueue),
            ("neighbour: arp_cache: neighbor table overflow!", LogTopic::Neighbours),
            ("ipv4: Neighbour table overflow!", LogTopic::Neighbours),
            ("worker-0: page allocation failure: order:0, mode:0x40820", LogTopic::Allocation),
            (
                "Memory cgroup out of memory: Killed process 17636 (tail) total-vm:23140kB",
                LogTopic::OomKill { pid: 17_636, cgroup: Some(true) },
            ),
            (
                "Out of memory: Killed process 4021 (c1m-top) total-vm:1kB",
                LogTopic::OomKill { pid: 4021, cgroup: Some(false) },
            ),
            ("Killed process 4021 (c1m-top) total-vm:1kB", LogTopic::OomKill { pid: 4021, cgroup: None }),
            (
                "Out of memory (oom_kill_allocating_task): Killed process 4021 (c1m-top) total-vm:1kB",
                LogTopic::OomKill { pid: 4021, cgroup: Some(false) },
            ),
        ];
        for (text, topic) in rows {
            let record = format!("4,5635,7514171235,-;{text}\n SUBSYSTEM=net\n");
            assert_eq!(parse(&record), Some(LogLine { topic, text: text.to_owned() }), "{text}");
            assert_eq!(parse(&format!("12,5635,7514171235,-;{text}\n")), None, "written by a program");
        }
    }

    #[test]
    fn anything_else_is_no_line() {
        for record in
            ["", ";", "4", "x,1;TCP: out of memory", "4,1,1,-;", "4,1,1,-;eth0: link up\n", "6,1;Killed process x"]
        {
            assert_eq!(parse(record), None, "{record:?}");
        }
        let long = format!("4,1,1,-;TCP: out of memory {}", "ä".repeat(500));
        assert!(parse(&long).unwrap().text.len() <= LONGEST);
    }
}
