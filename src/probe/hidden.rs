//! What of a watched process, and of the machine, this user may not read.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::find;
use super::source::Roots;

/// What is not seen for want of a privilege.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// The process.
    pub pid: u32,
    /// The name of its user, or the number of one without.
    pub user: String,
    /// What of it that user, and root, would see.
    pub of_process: Vec<&'static str>,
    /// What of the machine root alone would see.
    pub of_machine: Vec<&'static str>,
}

/// What this user may not read of a process, and of the machine; `None` where that is nothing.
pub fn hidden(roots: &Roots, pid: u32) -> Option<Hidden> {
    let home = roots.proc.join(pid.to_string());
    let refused = |result: std::io::Result<()>| result.is_err_and(|e| e.kind() == ErrorKind::PermissionDenied);
    let open = |path: &Path| refused(File::open(path).map(drop));
    let of_process = [
        ("its listeners", refused(fs::read_dir(home.join("fd")).map(drop))),
        ("which of its descriptors are connections", refused(fs::read_dir(home.join("fd")).map(drop))),
        ("its configuration", refused(fs::read_link(home.join("root")).map(drop))),
        ("its environment", open(&home.join("environ"))),
        ("what is in its heap", open(&home.join("maps"))),
    ];
    let of_machine = [
        ("the kernel's memory for sockets (/proc/slabinfo)", open(&roots.proc.join("slabinfo"))),
        ("the kernel's log", open(Path::new("/dev/kmsg"))),
    ];
    let named =
        |all: &[(&'static str, bool)]| all.iter().filter(|(_, hidden)| *hidden).map(|(what, _)| *what).collect();
    let (of_process, of_machine): (Vec<_>, Vec<_>) = (named(&of_process), named(&of_machine));
    let uid = fs::metadata(&home).ok()?.uid();
    let some = !of_process.is_empty() || !of_machine.is_empty();
    some.then(|| Hidden { pid, user: find::name_of_user(uid), of_process, of_machine })
}
