//! Whose network namespace is read.

use std::os::unix::fs::MetadataExt;

use super::source::Roots;

/// Whether `pid` is in the network namespace of this process; `None` when that cannot be told.
pub(crate) fn same_network(roots: &Roots, pid: u32) -> Option<bool> {
    let link = |who: &str| std::fs::read_link(roots.proc.join(who).join("ns/net"));
    if let (Ok(own), Ok(theirs)) = (link("self"), link(&pid.to_string())) {
        return Some(own == theirs);
    }
    // The link of another user's process may not be read, the files under net may. Each namespace has its own set of
    // them, and so other inode numbers.
    let inode = |who: &str| Some(std::fs::metadata(roots.proc.join(who).join("net/sockstat")).ok()?.ino());
    Some(inode("self")? == inode(&pid.to_string())?)
}
