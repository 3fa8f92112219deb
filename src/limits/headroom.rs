//! The memory that is really left, which is less than `MemAvailable` says.
//!
//! `MemAvailable` counts all of `SReclaimable`, but the inodes and dentries of open sockets sit there and cannot be
//! reclaimed: 2,114 B for a connection with both ends here, a third of what it costs. Real headroom is
//! `MemFree` + free pages on per-core lists + page cache that can go + `SReclaimable` less what sockets pin − the kernel's
//! reserve.
//!
//! `MemFree` leaves the per-core lists out, and since Linux 6.7 they grow with use: after a teardown of two million sockets
//! they held 686 MiB of 24 GiB, so that a second run seemed to cost 4,900 B a connection instead of 8,230.
//!
//! Page cache that can go is `Active(file)` + `Inactive(file)`: `Cached` would count shared memory, and `Buffers` lie on
//! those two lists already. The result is not cut off at `MemAvailable`: the kernel deducts more for itself (its high
//! watermarks, and as much again of page cache and slab), so on an idle machine this is above it, by 334 MiB of 22 GiB
//! on Linux 6.18, and a cut would put a knee into the very line whose slope everything rests on. From some 170,000
//! connections on it is below. What it claims too much is a small part of the tenth that the guard keeps.

use crate::sample::{Kernel, Sample, SlabCache};

/// Bytes that one socket pins in `SReclaimable` where slabinfo cannot be read: an 832-byte inode, 19 of them in a slab of
/// 16 KiB, and a 192-byte dentry (Linux 6.18, measured 2,114 B for two).
const PINNED_PER_SOCKET: u64 = 1057;
/// A dentry's size where slabinfo lists the inodes but no dentries.
const DENTRY: u64 = 192;

/// Real headroom of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Headroom {
    /// Free now, bytes.
    pub bytes: u64,
    /// Free at the first sample, bytes.
    pub at_start_bytes: u64,
    /// `bytes` as a share of `at_start_bytes`.
    pub share: f64,
    /// All that programs and kernel can use: `MemTotal` less the kernel's reserve, bytes.
    pub capacity_bytes: u64,
}

impl Headroom {
    /// Memory in use: all that is not headroom, bytes.
    pub fn used_bytes(self) -> u64 {
        self.capacity_bytes.saturating_sub(self.bytes)
    }

    /// Headroom at this sample, with `first` as its start; `None` where meminfo cannot be read.
    pub fn of(kernel: &Kernel, first: Option<Headroom>) -> Option<Self> {
        let mem = kernel.host.mem.as_ref().ok()?;
        // Without zoneinfo: the low watermark is below a hundredth of memory on every machine but a tiny one.
        let reserve = kernel.host.reserve_bytes.as_ref().map_or(mem.total / 100, |r| *r);
        let unpinned = mem.s_reclaimable.saturating_sub(pinned_bytes(kernel));
        let on_lists = kernel.host.core_lists_bytes.as_ref().map_or(0, |b| *b);
        let bytes = (mem.free + on_lists + mem.active_file + mem.inactive_file + unpinned).saturating_sub(reserve);
        let at_start_bytes = first.map_or(bytes, |f| f.at_start_bytes);
        Some(Self {
            bytes,
            at_start_bytes,
            share: if at_start_bytes == 0 { 0.0 } else { bytes as f64 / at_start_bytes as f64 },
            capacity_bytes: mem.total.saturating_sub(reserve),
        })
    }
}

/// Bytes of `SReclaimable` that open sockets hold on to.
fn pinned_bytes(kernel: &Kernel) -> u64 {
    if let Ok(slab) = &kernel.host.slab {
        let cache = |name: &str| slab.iter().find(|c| c.name == name);
        // Every socket of the host has one inode and one dentry, so the inodes in use count the dentries.
        if let Some(inodes) = cache("sock_inode_cache") {
            return inodes.bytes + inodes.active_objs * cache("dentry").map_or(DENTRY, |d| d.obj_size);
        }
    }
    // `used` is the namespace's, of every family; `alloc` the host's, TCP alone. The larger is nearer to the truth.
    kernel.net.sockstat.as_ref().map_or(0, |s| s.used.max(s.alloc)) * PINNED_PER_SOCKET
}

/// Caches that walking files fills as well: a socket's share is one object an inode.
const OF_EVERY_FILE: [&str; 2] = ["dentry", "lsm_inode_cache"];

/// Bytes of kernel memory that the sockets of the machine hold, and what else is in those caches: only its growth means
/// anything. All of the slab where slabinfo cannot be read; `None` while slabinfo lags behind the sockets or is left out: two
/// sources would be no growth of either.
pub fn socket_memory(sample: &Sample) -> Option<u64> {
    if sample.kernel.host.slab_is_old {
        return None;
    }
    match (&sample.kernel.host.slab, &sample.kernel.host.mem) {
        (Ok(caches), _) => {
            let object = |name: &str| caches.iter().find(|c| c.name == name);
            let inodes = object("sock_inode_cache").map(|c| c.active_objs);
            let bytes = |c: &SlabCache| match inodes {
                Some(inodes) if OF_EVERY_FILE.contains(&c.name.as_str()) => inodes * c.obj_size,
                _ => c.bytes,
            };
            Some(caches.iter().map(bytes).sum())
        }
        (Err(_), Ok(mem)) => Some(mem.slab),
        _ => None,
    }
}

/// The same, with the resident memory of the watched processes, all of a program's.
pub(super) fn connection_memory(sample: &Sample) -> Option<u64> {
    let user = match &sample.kernel.program {
        Some(program) => program.private_bytes(),
        None => sample.living().filter_map(|t| t.process.rss_bytes.as_ref().ok()).sum(),
    };
    socket_memory(sample).map(|kernel| kernel + user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::synthetic;
    use crate::sample::Absent;

    /// Fall of headroom per connection over a million of them.
    fn fall(change: impl Fn(&mut Sample)) -> f64 {
        let [a, b] = [0, 1_000_000].map(|n| {
            let mut sample = synthetic::sample(n, 0);
            change(&mut sample);
            Headroom::of(&sample.kernel, None).unwrap().bytes as f64
        });
        (a - b) / 1e6
    }

    #[test]
    fn pinned_slab_is_not_headroom() {
        let want = synthetic::SLAB_PER_CONNECTION as f64;
        assert!((fall(|_| ()) / want - 1.0).abs() < 0.005, "with slabinfo: {}", fall(|_| ()));
        let without = fall(|s| s.kernel.host.slab = Err(Absent::because("needs root")));
        assert!((without / want - 1.0).abs() < 0.005, "without slabinfo: {without}");
    }

    #[test]
    fn a_scanner_that_fills_reclaimable_slab_takes_nothing() {
        let before = synthetic::sample(100_000, 0);
        let mut after = before.clone();
        let mem = after.kernel.host.mem.as_mut().unwrap();
        mem.free -= 3 << 30;
        mem.s_reclaimable += 3 << 30;
        assert_eq!(Headroom::of(&after.kernel, None), Headroom::of(&before.kernel, None));
    }

    #[test]
    fn no_meminfo_no_headroom() {
        let mut sample = synthetic::sample(0, 0);
        sample.kernel.host.mem = Err(Absent::because("not mounted"));
        assert_eq!(Headroom::of(&sample.kernel, None), None);
    }

    #[test]
    fn files_that_somebody_walks_are_no_memory_of_sockets() {
        let mut sample = synthetic::sample(10_000, 0);
        let before = socket_memory(&sample).unwrap();
        for cache in sample.kernel.host.slab.as_mut().unwrap() {
            if OF_EVERY_FILE.contains(&cache.name.as_str()) {
                (cache.active_objs, cache.bytes) =
                    (cache.active_objs + 500_000, cache.bytes + 500_000 * cache.obj_size);
            }
        }
        assert_eq!(socket_memory(&sample), Some(before));
    }
}
