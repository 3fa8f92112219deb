//! From `/proc/PID/cgroup` and `/proc/self/mountinfo` to the directories of a cgroup and its ancestors (cgroups(7)).

use super::super::text::odd;
use crate::sample::kernel::{Absent, Reading};

/// One directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Level {
    /// 1 or 2.
    pub(super) version: u8,
    /// Path below the mount point, `/` for the topmost that can be seen.
    pub(super) path: String,
    /// Where it is: mount point and path.
    pub(super) dir: String,
}

/// More ancestors than this are not followed: each keeps files open. Real trees are under 10 deep.
const DEEPEST: usize = 32;

/// The cgroup of `controller` and its ancestors, nearest first.
///
/// A controller is in one hierarchy only. In the hybrid layout version 2 is mounted as well, without the controller, so
/// that the line of version 1 decides when there is one.
pub(super) fn levels(membership: &str, mountinfo: &str, controller: &str) -> Reading<Vec<Level>> {
    let (version, path) = path(membership, controller).ok_or(odd("its cgroup is not listed"))?;
    let mount = mountinfo
        .lines()
        .filter_map(mount)
        .find(|mount| match version {
            1 => mount.fstype == "cgroup" && mount.options.split(',').any(|option| option == controller),
            _ => mount.fstype == "cgroup2",
        })
        .ok_or(odd("its cgroup hierarchy is not mounted here"))?;
    let (root, point) = (unescape(mount.root), unescape(mount.point));
    // In a container the mount shows a part of the tree only, and a path from outside starts with `/..`.
    let hidden = Absent::because("its cgroup is not visible from here");
    let below = match path.strip_prefix(root.trim_end_matches('/')) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest.trim_end_matches('/'),
        _ => return Err(hidden),
    };
    if below.split('/').any(|part| part == "..") {
        return Err(hidden);
    }
    let mut levels = Vec::new();
    let mut rest = below;
    loop {
        let shown = if rest.is_empty() { "/" } else { rest };
        levels.push(Level { version, path: shown.to_owned(), dir: format!("{}{rest}", point.trim_end_matches('/')) });
        match rest.rsplit_once('/') {
            Some((parent, _)) if levels.len() < DEEPEST => rest = parent,
            _ => return Ok(levels),
        }
    }
}

/// Version and path from the lines `ID:controller,…:path` and, for version 2, `0::path`.
fn path<'m>(membership: &'m str, controller: &str) -> Option<(u8, &'m str)> {
    let mut unified = None;
    for line in membership.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(id), Some(names), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        if names.split(',').any(|name| name == controller) {
            return Some((1, path));
        }
        if id == "0" && names.is_empty() {
            // A zombie whose cgroup has been removed.
            unified = Some((2, path.strip_suffix(" (deleted)").unwrap_or(path)));
        }
    }
    unified
}

struct Mount<'m> {
    root: &'m str,
    point: &'m str,
    fstype: &'m str,
    options: &'m str,
}

/// A line of mountinfo: `ID parent dev root point options [optional…] - type source superoptions`.
fn mount(line: &str) -> Option<Mount<'_>> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let mut right = right.split(' ');
    Some(Mount { root: left.next()?, point: left.next()?, fstype: right.next()?, options: right.nth(1)? })
}

/// Undoes the `\040` by which mountinfo writes a blank, and its like.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        let octal = match tail {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] if *byte == b'\\' => {
                Some((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'))
            }
            _ => None,
        };
        out.push(octal.unwrap_or(*byte));
        if octal.is_some() {
            rest = &tail[3..];
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                      32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                      35 31 0:32 / /sys/fs/cgroup/memory rw shared:10 master:1 - cgroup cgroup rw,memory\n";
    const V2: &str = "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    fn dirs(membership: &str, mountinfo: &str) -> Vec<String> {
        levels(membership, mountinfo, "memory").unwrap().into_iter().map(|level| level.dir).collect()
    }

    #[test]
    fn version_one_two_and_both() {
        let one = "4:memory:/system.slice/x.service\n3:cpu,cpuacct:/\n";
        let want = ["/sys/fs/cgroup/memory/system.slice/x.service", "/sys/fs/cgroup/memory/system.slice"];
        assert_eq!(dirs(one, V1), [want[0], want[1], "/sys/fs/cgroup/memory"]);
        assert_eq!(dirs("0::/a/b\n", V2), ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"]);
        assert_eq!(dirs("0::/\n", V2), ["/sys/fs/cgroup"]);
        assert_eq!(dirs("0::/a (deleted)\n", V2), ["/sys/fs/cgroup/a", "/sys/fs/cgroup"]);
        let hybrid = format!("{V1}41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
        assert_eq!(dirs(&format!("{one}0::/elsewhere\n"), &hybrid)[0], want[0]);
        let top = &levels("0::/a\n", V2, "memory").unwrap()[1];
        assert_eq!((top.path.as_str(), top.version), ("/", 2));
    }

    #[test]
    fn a_container_sees_its_part_of_the_tree() {
        let mounts = "35 31 0:32 /docker/0123 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        assert_eq!(dirs("4:memory:/docker/0123\n", mounts), ["/sys/fs/cgroup/memory"]);
        let want = ["/sys/fs/cgroup/memory/in", "/sys/fs/cgroup/memory"];
        assert_eq!(dirs("4:memory:/docker/0123/in\n", mounts), want);
        for outside in ["4:memory:/docker/01234\n", "4:memory:/docker\n", "4:memory:/../other\n"] {
            let why = levels(outside, mounts, "memory").unwrap_err().to_string();
            assert_eq!(why, "its cgroup is not visible from here", "{outside:?}");
        }
        assert!(levels("0::/../other\n", V2, "memory").is_err());
    }

    #[test]
    fn blanks_are_written_in_octal() {
        assert_eq!(unescape(r"/a\040b\134\011"), "/a b\\\t");
        for odd in [r"\", r"\0", r"\04", r"\999", r"\377"] {
            unescape(odd);
        }
    }

    #[test]
    fn hostile_input_is_a_reason() {
        for membership in ["", "\0", "::", ":", "4:cpu:/", "0", "x::/"] {
            assert!(levels(membership, V1, "memory").is_err(), "{membership:?}");
        }
        for mounts in ["", "\0", "a - b", "1 2 3 4 5 - cgroup2", " -  - "] {
            assert!(levels("0::/a\n", mounts, "memory").is_err(), "{mounts:?}");
        }
        assert_eq!(levels(&format!("0::{}\n", "/a".repeat(5000)), V2, "memory").unwrap().len(), DEEPEST);
    }
}
