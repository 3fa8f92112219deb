//! The control socket that other dashboards connect to. No name leads to it, so that nobody can take the name first, and
//! nothing stays behind when the engine is killed.
//!
//! A listening Unix socket has to be bound to a name, but the name may go at once: a descriptor of the file itself
//! (`O_PATH`) still leads to the socket, and `/proc/PID/fd/3` leads to that descriptor. The kernel lets only the engine's own
//! user and root follow it (`PTRACE_MODE_READ`, proc(5)), and it leads across mount and network namespaces.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::sys;

/// Where an engine keeps the file of its control socket: dashboards look at this one descriptor and list no table.
const NUMBER: RawFd = 3;

/// How the file is called for the moment in which it has a name, and by which it is known afterwards.
const PREFIX: &str = "c1m-top-control-";

/// How long an engine that does not accept is waited for.
const CONNECT: Duration = Duration::from_secs(5);

/// A listening socket and the file that leads to it, which has to stay open.
pub type Listening = (UnixListener, OwnedFd);

/// Listens. Has to come before anything else of this process opens a descriptor that it needs at number 3.
///
/// # Errors
/// When a socket can be bound in none of the usual directories: the reason of the last.
pub fn listen() -> io::Result<Listening> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let usual = ["/dev/shm", "/run", "."].map(PathBuf::from);
    let candidates = runtime.into_iter().chain([std::env::temp_dir()]).chain(usual);
    let mut last = io::Error::other("no directory to put it in");
    for dir in candidates {
        match listen_in(&dir) {
            Ok((listener, file)) => return Ok((listener, sys::renumber(file, NUMBER)?)),
            Err(e) => last = io::Error::new(e.kind(), format!("{}: {e}", dir.display())),
        }
    }
    Err(last)
}

fn listen_in(dir: &Path) -> io::Result<Listening> {
    let dir = File::open(dir)?;
    // By way of the descriptor: the address of a socket has room for 107 bytes only.
    let name = RandomState::new().hash_one(std::process::id());
    let path = format!("/proc/self/fd/{}/{PREFIX}{name:016x}", dir.as_raw_fd());
    let listener = UnixListener::bind(&path)?;
    let file = OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW).open(&path);
    fs::remove_file(&path)?;
    Ok((listener, file?.into()))
}

/// Connects to the engine `pid` of this user; `None` where it is no engine, or somebody else's.
///
/// # Errors
/// When it is one, and its socket does not take the connection.
pub fn connect(pid: u32) -> io::Result<Option<UnixStream>> {
    let path = format!("/proc/{pid}/fd/{NUMBER}");
    let target = fs::read_link(&path).unwrap_or_default();
    let name = target.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if !(name.starts_with(PREFIX) && name.ends_with(" (deleted)")) {
        return Ok(None);
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None)?;
    // Bounds connect(2) on a queue that is full; what is sent later does not block.
    socket.set_write_timeout(Some(CONNECT))?;
    match socket.connect(&SockAddr::unix(&path)?) {
        Ok(()) => {}
        // It is ending, or has ended.
        Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => return Ok(None),
        Err(e) => return Err(e),
    }
    // Whoever listens is that process, and of this user: a file at number 3 may have been put there by anybody's program.
    let known = sys::peer_credentials(socket.as_fd())? == (pid, sys::euid());
    Ok(known.then(|| OwnedFd::from(socket).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_no_file_in_a_directory_of_any_length() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("x".repeat(200));
        fs::create_dir(&dir).unwrap();
        let (_listener, file) = listen_in(&dir).unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        // The name is gone, the way is not.
        UnixStream::connect(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
    }

    #[test]
    fn a_process_without_a_control_socket_is_none() {
        for pid in [1, std::process::id(), u32::MAX] {
            assert!(connect(pid).unwrap().is_none(), "{pid}");
        }
    }
}
