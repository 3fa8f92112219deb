//! The sources of one watched process.

use std::path::PathBuf;
use std::time::Instant;

use super::app_limit;
use super::beam;
use super::cgroup::Cgroups;
use super::heap::HeapProbe;
use super::kept::{Kept, PACE};
use super::process;
use super::runtime;
use super::source::{Roots, Source, exists, reason};
use super::user::{Identity, User};
use crate::sample::Own;
use crate::sample::kernel::{Absent, AppLimit, Process, Reading, RuntimeLimit, SoftHard, UserThreads};
use crate::sys;
use crate::units;
use crate::units::micros;

/// A process to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Process id.
    pub pid: u32,
    /// Name to show; without one, its `comm`.
    pub name: Option<String>,
    /// Whether to look for the limits that it keeps itself: in its command line, its environment and its configuration.
    pub inspect: bool,
}

impl Watch {
    /// Any process, as it is.
    pub fn process(pid: u32) -> Self {
        Self { pid, name: None, inspect: true }
    }

    /// A process whose options are known, under another name than its own.
    pub fn named(pid: u32, name: &str) -> Self {
        Self { pid, name: Some(name.to_owned()), inspect: false }
    }
}

/// Microseconds of one clock tick in `/proc/PID/stat`: `USER_HZ` is 100 on every machine Linux runs on today.
pub(crate) const TICK_US: u64 = 10_000;

/// Kept-open files of a process.
#[derive(Debug)]
pub(crate) struct TargetSources {
    pid: u32,
    name: String,
    alive: bool,
    stat: Source,
    limits: Source,
    /// What `limits` said: prlimit(2) can change it.
    kept_limits: Kept<Reading<(SoftHard, SoftHard)>>,
    nofile_at_start: Option<u64>,
    /// `/proc/PID/fd`, whose size is the number of open descriptors. It is never listed: that would leave an inode and a
    /// dentry in the kernel for each of them.
    fd: PathBuf,
    cgroups: Cgroups,
    /// Read once: a server gives privilege up when it starts.
    identity: Reading<Identity>,
    /// Whether `RLIMIT_NPROC` was a limit when it was opened; where it was not, its user's threads are not counted.
    nproc_limited: bool,
    runtime: Reading<Option<RuntimeLimit>>,
    app: Reading<Option<AppLimit>>,
    heap: HeapProbe,
    page_size: u64,
}

/// What is only known while the process lives.
#[derive(PartialEq, Eq)]
struct Live {
    rss_bytes: u64,
    cpu_us: u64,
    system_us: u64,
    threads: u64,
    stopped: bool,
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
            return Err(Absent::NoProcess { pid });
        }
        let open = |file: &str| Source::open_once(roots, format!("/proc/{pid}/{file}"), Absent::ProcessEnded);
        let mut stat = open("stat");
        let found = stat.get(buf, |text| process::stat(text).map(|stat| (stat.comm.to_owned(), stat.ended)));
        let (comm, ended) =
            found.map_err(|absent| Absent::Because(format!("process {pid} cannot be watched: {absent}").into()))?;
        let mut limits = open("limits");
        let when_opened = limits.get(buf, limits_of);
        // Who is watched from its start on has no helper yet, and its limit is that of its start.
        let files = || when_opened.as_ref().ok().map(|l| l.0.soft);
        let nofile_at_start =
            if watch.inspect && beam::is_beam(&comm) { beam::at_start(roots, pid).or_else(files) } else { None };
        let runtime = if watch.inspect {
            let program = std::fs::read_link(home.join("exe")).ok();
            let program = program.as_ref().and_then(|path| path.file_name()?.to_str());
            runtime::read(open("cmdline"), open("environ"), program, nofile_at_start, buf)
        } else {
            Ok(None)
        };
        Ok(Self {
            pid,
            name: watch.name.clone().unwrap_or_else(|| units::printable(&comm).into_owned()),
            alive: !ended,
            stat,
            limits,
            kept_limits: Kept::every(PACE),
            nofile_at_start,
            fd: home.join("fd"),
            cgroups: Cgroups::open(roots, pid, buf),
            identity: Identity::read(roots, &home, &mut open("status"), buf),
            nproc_limited: when_opened.is_ok_and(|l| l.1.soft < u64::MAX),
            heap: HeapProbe::open(roots, pid, runtime.as_ref().ok().and_then(Option::as_ref)),
            runtime,
            app: if watch.inspect { app_limit::read(roots, pid) } else { Ok(None) },
            page_size,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The user that `RLIMIT_NPROC` counts for this process; `None` where it does not bind it.
    pub(crate) fn bound_user(&self) -> Reading<Option<User>> {
        if !self.nproc_limited {
            return Ok(None);
        }
        Ok(self.identity.as_ref().map_err(Absent::clone)?.bound())
    }

    /// Its user, bound or not.
    pub(crate) fn user(&self) -> Option<User> {
        self.identity.as_ref().ok().map(|identity| identity.user())
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive
    }

    /// Has the next sample read the limits.
    pub(crate) fn refresh(&mut self) {
        self.kept_limits.forget();
    }

    /// Reads all. `before` are those read for the same sample: what two have in common is read once.
    pub(crate) fn read<'a>(
        &mut self,
        roots: &Roots,
        now: Instant,
        mut before: impl Iterator<Item = (&'a Self, &'a Process)>,
        buf: &mut Vec<u8>,
    ) -> Process {
        let live = self.live(buf);
        let number = |of: fn(&Live) -> u64| live.as_ref().map(of).map_err(Absent::clone);
        let (threads, exiting) = (number(|live| live.threads), live.as_ref().is_ok_and(|live| live.exiting));
        let (mut descriptors, mut nofile, mut user_threads) =
            (Err(Absent::ProcessEnded), Err(Absent::ProcessEnded), Err(Absent::ProcessEnded));
        if self.alive {
            // Not by a kept descriptor; safe from a reused number because `stat` has just answered for the process.
            descriptors = self.descriptors();
            (nofile, user_threads) = match self.limits(now, buf) {
                Ok((files, processes)) => (Ok(files), self.own_share(&threads, processes)),
                Err(absent) => (Err(absent.clone()), Err(absent)),
            };
            // What was found before stays open and is read below. A process on its way out is shown in the root of version 1
            // hierarchies, and it is the cgroup before that tells what killed it.
            if !exiting {
                let _ = self.cgroups.follow(roots, buf);
            }
        }
        // Of a dead process too: who killed it is written here. Its files may be those of a cgroup that is gone.
        let same = |other: &Self| self.alive && other.alive && other.cgroups.is_same(&self.cgroups);
        let (memcg, pids_cgroups) = match before.find(|(other, _)| same(other)) {
            Some((_, read)) => (read.memcg.clone(), read.pids_cgroups.clone()),
            None => (self.cgroups.memory(buf), self.cgroups.pids(buf)),
        };
        let heap = if self.alive && !exiting { self.heap.read(now, buf) } else { Err(Absent::ProcessEnded) };
        Process {
            pid: self.pid,
            name: self.name.clone(),
            alive: self.alive,
            // Its memory is given back before its sockets are.
            rss_bytes: if exiting { Err(Absent::ProcessEnding) } else { number(|live| live.rss_bytes) },
            cpu_us: number(|live| live.cpu_us),
            system_us: number(|live| live.system_us),
            threads,
            stopped: live.is_ok_and(|live| live.stopped),
            descriptors,
            nofile,
            nofile_at_start: self.nofile_at_start,
            user_threads,
            runtime: self.runtime.clone(),
            app: self.app.clone(),
            heap,
            memcg,
            pids_cgroups,
            exempt_from_file_max: self.identity.clone().map(Identity::is_admin),
        }
    }

    fn limits(&mut self, now: Instant, buf: &mut Vec<u8>) -> Reading<(SoftHard, SoftHard)> {
        let limits = &mut self.limits;
        self.kept_limits.get(now, (), || limits.get(buf, limits_of)).clone()
    }

    /// What this process alone uses of its `RLIMIT_NPROC`; the sampler adds what others of its user do.
    fn own_share(&self, threads: &Reading<u64>, limit: SoftHard) -> Reading<Option<UserThreads>> {
        Ok(match self.bound_user()? {
            Some(_) => {
                let used = *threads.as_ref().map_err(Absent::clone)?;
                Some(UserThreads { used, limit: limit.soft, hard: limit.hard })
            }
            None => None,
        })
    }

    fn live(&mut self, buf: &mut Vec<u8>) -> Reading<Live> {
        if !self.alive {
            return Err(Absent::ProcessEnded);
        }
        let page_size = self.page_size;
        let live = self.stat.get(buf, |text| {
            let stat = process::stat(text)?;
            if stat.ended {
                return Err(Absent::ProcessEnded);
            }
            Ok(Live {
                rss_bytes: stat.rss_pages.saturating_mul(page_size),
                cpu_us: stat.ticks.saturating_mul(TICK_US),
                system_us: stat.system_ticks.saturating_mul(TICK_US),
                threads: stat.threads,
                stopped: stat.stopped,
                exiting: stat.exiting,
            })
        });
        self.alive = live != Err(Absent::ProcessEnded);
        live
    }

    fn descriptors(&self) -> Reading<u64> {
        let shown = format!("/proc/{}/fd", self.pid);
        match process::descriptors(&self.fd) {
            Ok(Some(open)) => Ok(open),
            Ok(None) => Err(Absent::because("this kernel does not count them (Linux 6.2 and later do)")),
            Err(error) => Err(reason(&error, &shown, Some(&Absent::ProcessEnded))),
        }
    }
}

/// Descriptors and processes.
fn limits_of(text: &str) -> Reading<(SoftHard, SoftHard)> {
    Ok((process::limit(text, "Max open files")?, process::limit(text, "Max processes")?))
}

/// The dashboard's own cost: memory from its kept-open `/proc/self/stat`, CPU from its clock, because the ticks of `stat`
/// (10 ms) are more than a sample costs.
#[derive(Debug)]
pub(crate) struct OwnSources {
    stat: Source,
    user: Option<User>,
    threads: u64,
    page_size: u64,
}

impl OwnSources {
    pub(crate) fn open(roots: &Roots, page_size: u64, buf: &mut Vec<u8>) -> Self {
        let mut status = Source::open(roots, "/proc/self/status");
        let identity = Identity::read(roots, &roots.proc.join("self"), &mut status, buf);
        let user = identity.ok().map(Identity::user);
        Self { stat: Source::open(roots, "/proc/self/stat"), user, threads: 0, page_size }
    }

    pub(crate) fn read(&mut self, buf: &mut Vec<u8>) -> Own {
        let stat = self.stat.get(buf, |text| process::stat(text).map(|stat| (stat.rss_pages, stat.threads)));
        let (pages, threads) = stat.unwrap_or_default();
        self.threads = threads;
        Own { cpu_us: micros(sys::cpu_time()), rss_bytes: pages.saturating_mul(self.page_size) }
    }

    /// The dashboard's threads as last read, if it runs as that user.
    pub(crate) fn threads_of(&self, user: User) -> u64 {
        if self.user == Some(user) { self.threads } else { 0 }
    }
}
