//! The sources of one watched process.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::cgroup::Cgroups;
use super::process::{self, Stat};
use super::sample::{Absent, Own, Reading, SoftHard, Target, TargetKind};
use super::source::{ENDED, Roots, Source, exists, reason};
use crate::sys;

/// A process to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Process id.
    pub pid: u32,
    /// Engine or foreign.
    pub kind: TargetKind,
    /// Name to show; where there is none, the role of an engine and the `comm` of any other process.
    pub name: Option<String>,
}

/// The link of the first user namespace: `PROC_USER_INIT_INO` of `include/linux/proc_ns.h`.
const FIRST_USER_NAMESPACE: &str = "user:[4026531837]";

/// Microseconds of one clock tick in `/proc/PID/stat`: `USER_HZ` is 100 on every machine Linux runs on today.
const TICK_US: u64 = 10_000;

/// Kept-open files of a process.
#[derive(Debug)]
pub(crate) struct TargetSources {
    pid: u32,
    kind: TargetKind,
    name: String,
    alive: bool,
    stat: Source,
    limits: Source,
    /// `/proc/PID/fd`, whose size is the number of open descriptors. It is never listed: that would leave an inode and a
    /// dentry in the kernel for each of them.
    fd: PathBuf,
    cgroups: Cgroups,
    exempt_from_file_max: Reading<bool>,
    page_size: u64,
}

/// Why a process on its way out has no RSS.
const EXITING: Absent = Absent::because("the process is ending");

/// What is only known while the process lives.
struct Live {
    rss_bytes: Reading<u64>,
    cpu_us: Reading<u64>,
    threads: Reading<u64>,
    exiting: bool,
}

impl TargetSources {
    /// Opens the files of a process.
    ///
    /// # Errors
    /// There is no such process, or it may not be read.
    pub(crate) fn open(roots: &Roots, watch: &Watch, page_size: u64, buf: &mut Vec<u8>) -> Reading<Self> {
        let pid = watch.pid;
        let home = roots.proc.join(pid.to_string());
        if !exists(&home) {
            return Err(Absent { why: format!("there is no process {pid}").into() });
        }
        let open = |file: &str| Source::open_once(roots, format!("/proc/{pid}/{file}"), ENDED.why);
        let mut stat = open("stat");
        let found = stat.get(buf, |text| process::stat(text).map(|stat| (stat.comm.to_owned(), stat.ended)));
        let (comm, ended) = found.map_err(|absent| {
            let why = format!("process {pid} may not be watched: {}", absent.why);
            Absent { why: why.into() }
        })?;
        let default = match watch.kind {
            TargetKind::Engine(role) => role.name().to_owned(),
            TargetKind::Foreign => comm,
        };
        Ok(Self {
            pid,
            kind: watch.kind,
            name: watch.name.clone().unwrap_or(default),
            alive: !ended,
            stat,
            limits: open("limits"),
            fd: home.join("fd"),
            cgroups: Cgroups::open(roots, pid, buf),
            exempt_from_file_max: admin(open("status"), &home, buf),
            page_size,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn set_alive(&mut self, alive: bool) {
        self.alive = alive;
    }

    pub(crate) fn read(&mut self, roots: &Roots, buf: &mut Vec<u8>) -> Target {
        let live = self.live(buf);
        let (mut descriptors, mut nofile, mut nproc) = (Err(ENDED), Err(ENDED), Err(ENDED));
        if self.alive {
            // Not by a kept descriptor; safe from a reused number because `stat` has just answered for the process.
            descriptors = self.descriptors();
            (nofile, nproc) = match self.limits.get(buf, limits) {
                Ok((files, processes)) => (Ok(files), Ok(processes)),
                Err(absent) => (Err(absent.clone()), Err(absent)),
            };
            // What was found before stays open and is read below. A process on its way out is shown in the root of version 1
            // hierarchies, and it is the cgroup before that tells what killed it.
            if !live.exiting {
                let _ = self.cgroups.follow(roots, buf);
            }
        }
        Target {
            pid: self.pid,
            kind: self.kind,
            name: self.name.clone(),
            alive: self.alive,
            rss_bytes: live.rss_bytes,
            cpu_us: live.cpu_us,
            threads: live.threads,
            descriptors,
            nofile,
            nproc,
            // Of a dead process too: who killed it is written here.
            memcg: self.cgroups.memory(buf),
            pids_cgroup: self.cgroups.pids(buf),
            exempt_from_file_max: self.exempt_from_file_max.clone(),
            hello: None,
            stats: None,
        }
    }

    fn live(&mut self, buf: &mut Vec<u8>) -> Live {
        if !self.alive {
            return Live::absent(&ENDED);
        }
        let page_size = self.page_size;
        let read = self.stat.get(buf, |text| {
            process::stat(text).map(|stat| if stat.ended { None } else { Some(Live::of(&stat, page_size)) })
        });
        match read {
            Ok(Some(live)) => live,
            Ok(None) => {
                self.alive = false;
                Live::absent(&ENDED)
            }
            Err(absent) => {
                self.alive = absent != ENDED;
                Live::absent(&absent)
            }
        }
    }

    fn descriptors(&self) -> Reading<u64> {
        let shown = format!("/proc/{}/fd", self.pid);
        match std::fs::metadata(&self.fd) {
            Ok(data) if data.size() > 0 => Ok(data.size()),
            // A process without any descriptor cannot be told from a kernel that does not count. None is watched.
            Ok(_) => Err(Absent::because("this kernel does not count them (Linux 6.2 and later do)")),
            Err(error) => Err(reason(&error, &shown, Some(&ENDED.why))),
        }
    }
}

impl Live {
    fn of(stat: &Stat<'_>, page_size: u64) -> Self {
        // Its memory is given back before its sockets are.
        let rss_bytes = if stat.exiting { Err(EXITING) } else { Ok(stat.rss_pages.saturating_mul(page_size)) };
        Self {
            rss_bytes,
            cpu_us: Ok(stat.ticks.saturating_mul(TICK_US)),
            threads: Ok(stat.threads),
            exiting: stat.exiting,
        }
    }

    fn absent(why: &Absent) -> Self {
        Self { rss_bytes: Err(why.clone()), cpu_us: Err(why.clone()), threads: Err(why.clone()), exiting: false }
    }
}

/// Whether a process has `CAP_SYS_ADMIN` in the first user namespace. Read once: a server gives privilege up when it starts.
fn admin(mut status: Source, home: &Path, buf: &mut Vec<u8>) -> Reading<bool> {
    let capable = status.get(buf, process::sys_admin)?;
    // Root of a container has the capability only in its own user namespace. Where the link cannot be read, say what the
    // capability says.
    let first = std::fs::read_link(home.join("ns/user")).map_or(true, |link| link.as_os_str() == FIRST_USER_NAMESPACE);
    Ok(capable && first)
}

/// Descriptors and processes.
fn limits(text: &str) -> Reading<(SoftHard, SoftHard)> {
    Ok((process::limit(text, "Max open files")?, process::limit(text, "Max processes")?))
}

/// The dashboard's own cost: memory from its kept-open `/proc/self/stat`, CPU from getrusage, because the ticks of `stat`
/// (10 ms) are more than a sample costs.
#[derive(Debug)]
pub(crate) struct OwnSources {
    stat: Source,
    page_size: u64,
}

impl OwnSources {
    pub(crate) fn open(roots: &Roots, page_size: u64) -> Self {
        Self { stat: Source::open(roots, "/proc/self/stat"), page_size }
    }

    pub(crate) fn read(&mut self, buf: &mut Vec<u8>) -> Own {
        let own =
            self.stat.get(buf, |text| process::stat(text).map(|stat| stat.rss_pages.saturating_mul(self.page_size)));
        Own { cpu_us: sys::cpu_time().as_micros() as u64, rss_bytes: own.unwrap_or_default() }
    }
}
