//! What the kernel says, read independently of the program under test.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use c1m_top::units::bytes;

use super::numbers::short;
use super::{Interrupted, Outcome};

/// TCP sockets in use, from a kept-open `/proc/net/sockstat`.
#[derive(Debug)]
pub(crate) struct Sockets {
    file: File,
}

impl Sockets {
    pub(crate) fn open() -> Outcome<Self> {
        Ok(Self { file: File::open("/proc/net/sockstat")? })
    }

    /// `TCP: inuse` now.
    pub(crate) fn in_use(&self) -> Outcome<u64> {
        let mut buf = [0; 1024];
        let n = self.file.read_at(&mut buf, 0)?;
        let text = std::str::from_utf8(&buf[..n])?;
        let line = text.lines().find_map(|l| l.strip_prefix("TCP: inuse ")).ok_or("sockstat has no TCP line")?;
        Ok(line.split(' ').next().unwrap_or_default().parse()?)
    }

    /// Waits until at most `most` are in use, looking every 2 ms; the time it took since `since`.
    pub(crate) fn wait_for(
        &self,
        most: u64,
        since: Instant,
        longest: Duration,
        stop: &Interrupted,
    ) -> Outcome<Duration> {
        loop {
            let now = self.in_use()?;
            if now <= most {
                return Ok(since.elapsed());
            }
            stop.check()?;
            if since.elapsed() > longest {
                return Err(format!("after {} s there are still {now} sockets", longest.as_secs()).into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// `/proc/meminfo` at one moment.
#[derive(Debug)]
pub(crate) struct Meminfo(String);

impl Meminfo {
    pub(crate) fn read() -> Outcome<Self> {
        Ok(Self(fs::read_to_string("/proc/meminfo")?))
    }

    /// A line of it, bytes.
    pub(crate) fn get(&self, name: &str) -> Outcome<u64> {
        let found = self.0.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
        let kib = found.ok_or_else(|| format!("/proc/meminfo has no {name}"))?.trim().trim_end_matches(" kB");
        Ok(kib.parse::<u64>()? * 1024)
    }
}

/// Where memory does not suffice for so many connections: the line that says so.
pub(crate) fn too_little_memory(connections: u64) -> Outcome<Option<String>> {
    let (needed, available) = (memory_needed(connections), Meminfo::read()?.get("MemAvailable")?);
    let line = || {
        let (needed, available) = (bytes(needed), bytes(available));
        format!("{} connections skipped: they need {needed}, available are {available}", short(connections))
    };
    Ok((available < needed).then(line))
}

/// Bytes that so many connections need, both ends on this machine: 8.3 KB each (the slab of two sockets, measured), and
/// 1 GiB for everything else.
fn memory_needed(connections: u64) -> u64 {
    connections * 8300 + (1 << 30)
}

/// The machine in one line.
pub(crate) fn describe() -> Outcome<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (_, hard) = c1m_top::sys::nofile();
    let total = bytes(Meminfo::read()?.get("MemTotal")?);
    Ok(format!("Linux {}, {cores} cores, {total}, hard RLIMIT_NOFILE {hard}", kernel.trim()))
}
