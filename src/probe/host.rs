//! The sources of the whole machine.

use std::time::Instant;

use super::kept::{Kept, PACE};
use super::kernel_log::KernelLog;
use super::neighbours::NeighbourTable;
use super::settings::Settings;
use super::slab::{self, Tracked};
use super::slab_pace::{SlabPace, Turn};
use super::source::{Roots, Source};
use super::text::{number, numbers, odd};
use super::{meminfo, pressure, softnet, vmstat};
use crate::sample::kernel::{Absent, FileNr, Host, Reading, SlabCache};
use crate::sys;

/// Before the first reading.
const NOT_READ: Absent = Absent::because("not read yet");
/// See [`SlabPace`].
const CLOSING: Absent =
    Absent::because("not read while sockets are closed: the kernel would walk every half-empty slab");

/// Kept-open files.
#[derive(Debug)]
pub(crate) struct HostSources {
    meminfo: Source,
    slabinfo: Source,
    tracked: Tracked,
    slab_pace: SlabPace,
    /// The caches as last read.
    caches: Reading<Vec<SlabCache>>,
    file_nr: Source,
    vmstat: Source,
    /// By how many watched processes live: the kernel counts a kill before its victim can be seen to end.
    oom_kills: Kept<Reading<u64>, usize>,
    memory_pressure: Source,
    softnet: Source,
    stat: Source,
    loadavg: Source,
    neighbours: [NeighbourTable; 2],
    log: KernelLog,
    zoneinfo: Zoneinfo,
    page_size: u64,
}

impl HostSources {
    pub(crate) fn open(roots: &Roots, page_size: u64, buf: &mut Vec<u8>) -> Self {
        let open = |path: &str| Source::open(roots, path);
        let mut slabinfo = open("/proc/slabinfo");
        let tracked = Tracked::resolve(roots, slabinfo.read(buf).unwrap_or_default());
        Self {
            meminfo: open("/proc/meminfo"),
            slabinfo,
            tracked,
            slab_pace: SlabPace::default(),
            caches: Err(NOT_READ),
            file_nr: open("/proc/sys/fs/file-nr"),
            vmstat: open("/proc/vmstat"),
            oom_kills: Kept::every(PACE),
            memory_pressure: open("/proc/pressure/memory"),
            softnet: open("/proc/net/softnet_stat"),
            stat: open("/proc/stat"),
            loadavg: open("/proc/loadavg"),
            neighbours: ["ipv4", "ipv6"].map(|family| NeighbourTable::open(roots, family)),
            log: KernelLog::open(roots),
            zoneinfo: Zoneinfo::open(open("/proc/zoneinfo"), buf, page_size),
            page_size,
        }
    }

    /// Reads all but what [`Self::last_words`] does. `sockets` is how many TCP sockets the host has now, where known.
    pub(crate) fn read(&mut self, set: &Settings, sockets: Option<u64>, now: Instant, buf: &mut Vec<u8>) -> Host {
        let page_size = self.page_size;
        let (slab, slab_is_old) = self.slab(sockets, now, buf);
        let mem = self.meminfo.get(buf, meminfo::parse);
        let free = mem.as_ref().map_or(0, |mem| mem.free);
        Host {
            page_size,
            mem,
            slab,
            slab_is_old,
            reserve_bytes: self.zoneinfo.reserve_bytes.clone(),
            core_lists_bytes: self.zoneinfo.core_lists(now, (sockets, free), buf, page_size),
            files: self.file_nr.get(buf, file_nr),
            nr_open: set.nr_open.clone(),
            max_user_watches: set.max_user_watches.clone(),
            oom_kills: Err(NOT_READ),
            memory_pressure: self.memory_pressure.get(buf, pressure::parse),
            softnet: self.softnet.get(buf, softnet::parse),
            soft_interrupts_us: self.stat.get(buf, soft_interrupts),
            threads_max: set.threads_max.clone(),
            pid_max: set.pid_max.clone(),
            tasks: self.loadavg.get(buf, tasks),
            neighbours: self.neighbours.each_mut().map(|table| table.read(now, buf)),
            log: Err(NOT_READ),
        }
    }

    /// OOM kills and what has been logged. To be read last: what the other sources of a sample show, and whose process has
    /// ended, has been counted and logged by then. `living` is how many of the watched processes have not begun to end.
    pub(crate) fn last_words(&mut self, host: &mut Host, living: usize, now: Instant, buf: &mut Vec<u8>) {
        let vmstat = &mut self.vmstat;
        host.oom_kills.clone_from(self.oom_kills.get(now, living, || vmstat.get(buf, vmstat::oom_kills)));
        host.log = self.log.read(buf);
    }

    /// Has the next sample read what is kept because it is set.
    pub(crate) fn refresh(&mut self) {
        self.neighbours.iter_mut().for_each(NeighbourTable::refresh);
    }

    /// The caches, and whether sockets have been opened since they were read.
    fn slab(&mut self, sockets: Option<u64>, now: Instant, buf: &mut Vec<u8>) -> (Reading<Vec<SlabCache>>, bool) {
        let turn = self.slab_pace.next(sockets, now);
        match turn {
            Turn::Keep | Turn::KeepOld => {}
            Turn::Leave => return (Err(CLOSING), true),
            Turn::Read => {
                let cpu = sys::cpu_time();
                let (tracked, page_size) = (&self.tracked, self.page_size);
                self.caches = self.slabinfo.get(buf, |text| slab::parse(text, tracked, page_size));
                // What it cost, not how long others had the core meanwhile.
                self.slab_pace.took(sys::cpu_time().saturating_sub(cpu), Instant::now());
            }
        }
        (self.caches.clone(), turn == Turn::KeepOld)
    }
}

/// `/proc/zoneinfo`, which grows with cores.
#[derive(Debug)]
struct Zoneinfo {
    source: Source,
    /// Set at boot and by `vm.min_free_kbytes`.
    reserve_bytes: Reading<u64>,
    short: bool,
    /// By steps of the host's sockets and of free memory: while neither moves, hardly anything does on the lists.
    core_lists: Kept<Reading<u64>, (Option<u64>, u64)>,
}

impl Zoneinfo {
    /// Longer than this it is read once: on hundreds of cores it would cost more than all other sources.
    const LONGEST: usize = 64 * 1024;
    /// Steps that are worth a reading.
    const SOCKETS: u64 = 512;
    const FREE: u64 = 16 << 20;

    fn open(mut source: Source, buf: &mut Vec<u8>, page_size: u64) -> Self {
        let mut short = true;
        let reserve_bytes = source.get(buf, |text| {
            short = text.len() <= Self::LONGEST;
            vmstat::reserve(text, page_size)
        });
        Self { source, reserve_bytes, short, core_lists: Kept::every(PACE) }
    }

    /// `sockets` and `free` memory are those of now.
    fn core_lists(
        &mut self,
        now: Instant,
        (sockets, free): (Option<u64>, u64),
        buf: &mut Vec<u8>,
        page_size: u64,
    ) -> Reading<u64> {
        if !self.short {
            return Err(Absent::because("too long to read every time on this many cores"));
        }
        let (source, steps) = (&mut self.source, (sockets.map(|n| n / Self::SOCKETS), free / Self::FREE));
        self.core_lists.get(now, steps, || source.get(buf, |text| vmstat::on_core_lists(text, page_size))).clone()
    }
}

/// `/proc/sys/fs/file-nr`: allocated, free (always 0), maximum.
fn file_nr(text: &str) -> Reading<FileNr> {
    let [used, _, max] = numbers(text)?;
    Ok(FileNr { used, max })
}

/// Time in soft interrupts, from the first line of `/proc/stat` (proc(5)); a tick is a hundredth of a second.
fn soft_interrupts(text: &str) -> Reading<u64> {
    let line = text.lines().next().and_then(|line| line.strip_prefix("cpu ")).ok_or(odd("cut short"))?;
    let [.., ticks] = numbers::<7>(line)?;
    Ok(ticks.saturating_mul(10_000))
}

/// Tasks that exist, from `0.07 0.10 0.04 1/85 4854` of `/proc/loadavg`.
fn tasks(text: &str) -> Reading<u64> {
    let field = text.split_ascii_whitespace().nth(3).ok_or(odd("cut short"))?;
    number(field.split_once('/').ok_or(odd("has no count of tasks"))?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_files() {
        assert_eq!(file_nr("412\t0\t2466183\n"), Ok(FileNr { used: 412, max: 2_466_183 }));
        assert_eq!(file_nr("1 0 9223372036854775807\n").unwrap().max, i64::MAX as u64);
        assert_eq!(tasks("0.07 0.10 0.04 1/85 4854\n"), Ok(85));
        assert_eq!(soft_interrupts("cpu  97 0 55 8143 22 0 31 4 0 0\ncpu0 1 2\n"), Ok(310_000));
        for text in ["", "cpu", "cpu  1 2 3", "cpu0 1 2 3 4 5 6 7", "cpu  1 2 3 4 5 6 x"] {
            assert!(soft_interrupts(text).is_err(), "{text:?}");
        }
        for text in ["", "\0", "1 2", "a b c", "0 0 0 1 5", "0 0 0 1/ 5", "0 0 0 1/x 5", "0 0 -1 /"] {
            assert!(file_nr(text).is_err() || tasks(text).is_err(), "{text:?}");
        }
    }
}
