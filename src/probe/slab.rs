//! `/proc/slabinfo`: what the kernel's object caches take. The cost of an idle connection is here.
//!
//! It is the dearest source, more than all others of a sample together: the kernel writes a line for each of its 200 caches
//! and walks the lists of partly filled slabs (`count_partial` in `mm/slub.c`; newer kernels stop at 10,000 a list). Full
//! slabs cost nothing, so that a ramp does not make it dearer; a half-finished teardown does.

use std::collections::BTreeSet;

use super::source::Roots;
use super::text::odd;
use crate::sample::kernel::{Reading, SlabCache};

/// Caches that grow with sockets, by name.
const WANTED: &[&str] = &[
    "TCP",
    "TCPv6",
    "sock_inode_cache",
    "dentry",
    "filp",
    "eventpoll_epi",
    "eventpoll_pwq", // eppoll_entry in the source
    "ep_head",
    "lsm_inode_cache",
    "lsm_file_cache",
    "request_sock_TCP",
    "request_sock_TCPv6",
    "tw_sock_TCP",
    "tw_sock_TCPv6",
    "tcp_bind_bucket",
    "tcp_bind2_bucket",
    "inet_peer",
    "inet_peer_cache", // on older kernels
    "nf_conntrack",
    "skbuff_head_cache",
    "skbuff_small_head",
];

/// Caches that may hold `eventpoll_pwq` (64 bytes) under their own name where sysfs does not say which one does: caches of
/// one size and kind are merged (`find_mergeable` in `mm/slab_common.c`) and listed once, under the name of the first.
const ALIASES: &[&str] = &["anon_vma_chain", "fs_cache"];

/// Which lines of `/proc/slabinfo` to keep.
#[derive(Debug)]
pub(crate) struct Tracked(BTreeSet<String>);

impl Tracked {
    /// The wanted caches and, for those that the kernel merged into another, the name they are listed under. The names of
    /// one merged cache are links to the same directory of `/sys/kernel/slab`.
    pub(crate) fn resolve(roots: &Roots, slabinfo: &str) -> Self {
        let home = roots.place("/sys/kernel/slab");
        let link = |name: &str| std::fs::read_link(home.join(name)).ok();
        let mut names: BTreeSet<String> = WANTED.iter().map(|&name| name.to_owned()).collect();
        if home.is_dir() {
            let merged: BTreeSet<_> = WANTED.iter().filter_map(|&name| link(name)).collect();
            for name in slabinfo.lines().filter_map(|line| line.split_ascii_whitespace().next()) {
                if !name.contains('/') && link(name).is_some_and(|target| merged.contains(&target)) {
                    names.insert(name.to_owned());
                }
            }
        } else {
            names.extend(ALIASES.iter().map(|&name| name.to_owned()));
        }
        Self(names)
    }

    fn has(&self, name: &str) -> bool {
        // Small buffers of every kind: bind buckets, security blobs, hash tables.
        name.starts_with("kmalloc-") || self.0.contains(name)
    }
}

/// Parses `/proc/slabinfo` version 2.1, keeping the tracked caches.
pub(crate) fn parse(text: &str, tracked: &Tracked, page_size: u64) -> Reading<Vec<SlabCache>> {
    if !text.starts_with("slabinfo - version: 2.") {
        return Err(odd("not slabinfo version 2"));
    }
    let mut caches = Vec::with_capacity(64);
    for line in text.lines().skip(1).filter(|line| !line.starts_with('#')) {
        let Some(name) = line.split_ascii_whitespace().next() else { continue };
        if tracked.has(name) {
            caches.push(cache(name, line, page_size).ok_or(odd("cut short"))?);
        }
    }
    if caches.is_empty() { Err(odd("lists none of the caches of sockets")) } else { Ok(caches) }
}

/// `name active_objs num_objs objsize objperslab pagesperslab : tunables a b c : slabdata active_slabs num_slabs shared`.
fn cache(name: &str, line: &str, page_size: u64) -> Option<SlabCache> {
    let mut parts = line.split(':');
    let mut head = parts.next()?.split_ascii_whitespace().skip(1).map(|word| word.parse::<u64>().ok());
    let mut data = parts.nth(1)?.split_ascii_whitespace().skip(1).map(|word| word.parse::<u64>().ok());
    let active_objs = head.next()??;
    let obj_size = head.nth(1)??;
    let objs_per_slab = head.next()??;
    let slab_bytes = head.next()??.saturating_mul(page_size);
    let slabs = data.nth(1)??;
    let bytes = slabs.saturating_mul(slab_bytes);
    Some(SlabCache { name: name.to_owned(), active_objs, obj_size, bytes, objs_per_slab, slab_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "slabinfo - version: 2.1\n# name <active_objs> <num_objs> …\n";
    const TCP: &str = "TCP 630501 630513 2368 13 8 : tunables 0 0 0 : slabdata 48501 48501 0\n";

    fn no_sysfs() -> Tracked {
        Tracked::resolve(&Roots { proc: "/nonexistent".into(), sys: "/nonexistent".into() }, "")
    }

    #[test]
    fn bytes_are_slabs_times_pages() {
        let text = format!("{HEAD}ext4_inode_cache 1 1 1 1 1 : tunables 0 0 0 : slabdata 1 1 0\n{TCP}");
        let caches = parse(&text, &no_sysfs(), 4096).unwrap();
        let want = SlabCache {
            name: "TCP".into(),
            active_objs: 630_501,
            obj_size: 2368,
            bytes: 48_501 * 8 * 4096,
            objs_per_slab: 13,
            slab_bytes: 8 * 4096,
        };
        assert_eq!(crate::units::whole(want.each_bytes().round()), 2521, "a slab of 32 KiB has room for 13");
        assert_eq!(caches, [want]);
    }

    #[test]
    fn a_merged_cache_is_found_under_its_other_name() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("kernel/slab");
        std::fs::create_dir_all(&home).unwrap();
        for (name, target) in [("eventpoll_pwq", ":A-64"), ("anon_vma_chain", ":A-64"), ("seq_file", ":A-120")] {
            std::os::unix::fs::symlink(target, home.join(name)).unwrap();
        }
        let roots = Roots { proc: "/nonexistent".into(), sys: dir.path().into() };
        let line = |name: &str| format!("{name} 1 1 64 64 1 : tunables 0 0 0 : slabdata 1 2 0\n");
        let text = [HEAD.to_owned(), line("seq_file"), line("anon_vma_chain"), line("kmalloc-64")].concat();
        let names: Vec<_> =
            parse(&text, &Tracked::resolve(&roots, &text), 4096).unwrap().into_iter().map(|c| c.name).collect();
        assert_eq!(names, ["anon_vma_chain", "kmalloc-64"]);
    }

    #[test]
    fn hostile_input_is_a_reason() {
        let short = format!("{HEAD}TCP 1 2 3\n");
        let words = format!("{HEAD}TCP a b c d e : tunables : slabdata x y z\n");
        let cut = format!("{HEAD}{}", &TCP[..50]);
        for text in ["", "\0\0", "slabinfo - version: 3.0\n", HEAD, &short, &words, &cut] {
            assert!(parse(text, &no_sysfs(), 4096).is_err(), "{text:?}");
        }
        let most = format!("{HEAD}TCP 1 1 1 1 {0} : tunables 0 0 0 : slabdata 1 {0} 0\n", u64::MAX);
        assert_eq!(parse(&most, &no_sysfs(), 4096).unwrap()[0].bytes, u64::MAX);
    }
}
