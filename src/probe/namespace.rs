//! Network namespaces: whether two processes are in one, and doing something inside another.
//!
//! A file of `/proc/sys/net` belongs to the namespace of the thread that opens it (`net_ctl_header_lookup` in
//! `net/sysctl_net.c`), a socket to that of the thread that makes it, and each stays what it is. So a thread that is there for
//! nothing else enters, opens, and ends: no other thread of the dashboard ever leaves its own.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;

use crate::sys;

/// A network namespace, which lives at least as long as this.
#[derive(Debug)]
pub(crate) struct Namespace(File);

impl Namespace {
    /// That of `pid`. `proc` is where procfs is mounted.
    ///
    /// # Errors
    /// The process has ended, or this user may not look into it.
    pub(crate) fn of(proc: &Path, pid: u32) -> io::Result<Self> {
        File::open(proc.join(format!("{pid}/ns/net"))).map(Self)
    }

    /// Does something in a thread that has entered it, and ends.
    ///
    /// # Errors
    /// What `work` says, or what setns(2) does: `EPERM` without `CAP_SYS_ADMIN`, in the user namespace that owns it as well as
    /// in one's own.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let enter = || {
            sys::enter_network(self.0.as_fd())?;
            work()
        };
        thread::scope(|scope| {
            let thread = thread::Builder::new().name("namespace".into()).spawn_scoped(scope, enter)?;
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that looks into it failed")))
        })
    }
}

/// Whether `pid` is in the network namespace of this process; `None` when that cannot be told.
pub(crate) fn same_network(proc: &Path, pid: u32) -> Option<bool> {
    let link = |who: &str| std::fs::read_link(proc.join(who).join("ns/net"));
    if let (Ok(own), Ok(theirs)) = (link("self"), link(&pid.to_string())) {
        return Some(own == theirs);
    }
    // The link of another user's process may not be read, the files under net may. Each namespace has its own set of
    // them, and so other inode numbers.
    let inode = |who: &str| Some(std::fs::metadata(proc.join(who).join("net/sockstat")).ok()?.ino());
    Some(inode("self")? == inode(&pid.to_string())?)
}
