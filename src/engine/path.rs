//! Where control sockets live: one directory a user, one socket an engine, named by its process id.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::sys;

/// Directories to look in, best first: the session's runtime directory, then one in `/tmp` that carries the user id. Two,
/// because the attaching shell may have `XDG_RUNTIME_DIR` where the engine had none (or the reverse, after `su`).
fn candidates() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|p| p.is_absolute() && p.is_dir());
    let systemd = Some(PathBuf::from(format!("/run/user/{}", sys::euid()))).filter(|p| p.is_dir());
    let mut all: Vec<PathBuf> = runtime.into_iter().chain(systemd).map(|p| p.join("c1m-top")).collect();
    all.push(PathBuf::from(format!("/tmp/c1m-top-{}", sys::euid())));
    all.dedup();
    all
}

/// Makes the directory (mode 0700) and returns the path of this process's socket in it.
///
/// # Errors
/// When no candidate can be made, or one is not a directory of this user alone (somebody else's trap in `/tmp`).
pub fn create(pid: u32) -> io::Result<PathBuf> {
    let mut last = io::Error::other("no directory for the control socket");
    for dir in candidates() {
        match private_dir(&dir) {
            Ok(()) => {
                sweep(&dir);
                return Ok(dir.join(format!("{pid}.sock")));
            }
            Err(e) => last = io::Error::new(e.kind(), format!("{}: {e}", dir.display())),
        }
    }
    Err(last)
}

/// Makes a directory of mode 0700, or checks that the one there is this user's and nobody else can write to it.
fn private_dir(dir: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    let meta = std::fs::symlink_metadata(dir)?;
    if meta.is_dir() && meta.uid() == sys::euid() && meta.mode() & 0o777 == 0o700 {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "is not a directory of this user with mode 0700"))
}

/// Removes what engines that were killed left behind.
fn sweep(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|n| n.strip_suffix(".sock")?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The socket of the engine `pid`, where one exists.
pub fn find(pid: u32) -> Option<PathBuf> {
    candidates().into_iter().map(|dir| dir.join(format!("{pid}.sock"))).find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_directory_others_can_enter_is_refused() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("run");
        private_dir(&dir).unwrap();
        private_dir(&dir).unwrap();
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(private_dir(&dir).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_symbolic_link_is_refused() {
        let tmp = tempfile::tempdir().unwrap();
        let link = tmp.path().join("link");
        std::os::unix::fs::symlink(tmp.path(), &link).unwrap();
        assert!(private_dir(&link).is_err());
    }
}
