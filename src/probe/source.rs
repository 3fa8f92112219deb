//! A file of `/proc` or `/sys`, opened once and re-read in place.
//!
//! At `EMFILE` or `ENFILE` an `open` fails just when the data matters, so every file is opened before the ramp.
//! `pread` at offset 0 makes the kernel produce the text anew on a kept descriptor.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::namespace::Namespace;
use crate::sample::kernel::{Absent, Reading};

/// Bytes asked for in one read. The kernel hands out what it has, for some files a page at a time.
const CHUNK: usize = 16 * 1024;

/// Bytes asked of a file that hands out all it has at once. For one of `/proc/sys` the kernel zeroes a buffer as long as
/// what is asked for (`proc_sys_call_handler` in `fs/proc/proc_sysctl.c`): asked for 40 KiB, each took ten times as long.
const VALUE: usize = 4095;

/// Nothing read here is ever this long, whatever the machine; a file that is has another content than expected.
const MOST: usize = 4 * 1024 * 1024;

/// Which of the two trees a path is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// Where procfs is mounted.
    pub proc: PathBuf,
    /// Where sysfs is mounted.
    pub sys: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into() }
    }
}

impl Roots {
    /// The real place of `/proc/…` or `/sys/…`. Any other path is taken as it is.
    pub(crate) fn place(&self, shown: &str) -> PathBuf {
        for (prefix, root) in [("/proc/", &self.proc), ("/sys/", &self.sys)] {
            if let Some(rest) = shown.strip_prefix(prefix) {
                return root.join(rest);
            }
        }
        PathBuf::from(shown)
    }
}

/// A kept-open file.
#[derive(Debug)]
pub(crate) struct Source {
    /// The open file, or why there is none.
    file: Reading<File>,
    /// Where it really is.
    path: PathBuf,
    /// What people call it: `/proc/…`, whatever the root.
    shown: String,
    /// What it means when the file is not there.
    missing: Option<Absent>,
    /// Whether the first read has it all, unless it fills what was asked for: true of `/proc/sys` and of a cgroup's files.
    value: bool,
    retry: Retry,
}

/// Whether a file that could not be opened is tried again: it may come later (a module is loaded) or a descriptor may be free
/// again.
#[derive(Debug)]
enum Retry {
    /// A file of a process, whose number may by then belong to another one.
    Never,
    /// By whoever reads.
    Here,
    /// In this network namespace: opened by whoever reads, it would be another one's file.
    Inside(Arc<Namespace>),
}

impl Source {
    /// Opens a machine-wide file, which is tried again at each reading while it cannot be opened.
    pub(crate) fn open(roots: &Roots, shown: impl Into<String>) -> Self {
        Self::new(roots, shown.into(), None, Retry::Here)
    }

    /// The same, with what it means when the file is not there.
    pub(crate) fn open_or(roots: &Roots, shown: impl Into<String>, missing: Absent) -> Self {
        Self::new(roots, shown.into(), Some(missing), Retry::Here)
    }

    /// Opens a file of one process or cgroup, once.
    pub(crate) fn open_once(roots: &Roots, shown: impl Into<String>, missing: Absent) -> Self {
        Self::new(roots, shown.into(), Some(missing), Retry::Never)
    }

    /// Opens a file of `/proc/sys/net` that is to be the one of this network namespace, now and whenever it is tried again.
    pub(crate) fn open_inside(
        roots: &Roots,
        shown: impl Into<String>,
        missing: Option<Absent>,
        namespace: &Arc<Namespace>,
    ) -> Self {
        Self::new(roots, shown.into(), missing, Retry::Inside(Arc::clone(namespace)))
    }

    /// One that is not looked for, for this reason.
    pub(crate) fn absent(shown: impl Into<String>, why: Absent) -> Self {
        let shown = shown.into();
        Self { file: Err(why), path: PathBuf::new(), shown, missing: None, value: true, retry: Retry::Never }
    }

    fn new(roots: &Roots, shown: String, missing: Option<Absent>, retry: Retry) -> Self {
        let value = shown.starts_with("/proc/sys/") || shown.starts_with("/sys/fs/cgroup/");
        let path = roots.place(&shown);
        let mut source = Self { file: Err(Absent::ProcessEnded), path, shown, missing, value, retry };
        source.try_open();
        source
    }

    fn try_open(&mut self) {
        let opened = match &self.retry {
            Retry::Inside(namespace) => namespace.inside(|| File::open(&self.path)),
            Retry::Never | Retry::Here => File::open(&self.path),
        };
        self.file = opened.map_err(|error| self.reason(&error));
    }

    /// Whether the file is open.
    pub(crate) fn is_open(&self) -> bool {
        self.file.is_ok()
    }

    /// Its name without the directories, where it is not looked for because it belongs to a network namespace that cannot be
    /// entered.
    pub(crate) fn unseen(&self) -> Option<&str> {
        let unseen = matches!(self.file, Err(Absent::InTargetsNamespace));
        unseen.then(|| self.shown.rsplit_once('/').map_or(self.shown.as_str(), |(_, name)| name))
    }

    /// The whole content now, in `buf`.
    pub(crate) fn read<'b>(&mut self, buf: &'b mut Vec<u8>) -> Reading<&'b str> {
        if self.file.is_err() && !matches!(self.retry, Retry::Never) {
            self.try_open();
        }
        let file = self.file.as_ref().map_err(Absent::clone)?;
        match if self.value { read_value(file, buf) } else { read_all(file, buf) } {
            Ok(Some(len)) => Ok(text(&mut buf[..len])),
            Ok(None) => Err(Absent::TooLong { path: self.shown.clone() }),
            Err(error) => Err(self.reason(&error)),
        }
    }

    /// Reads and parses; a reason of the parser gets the file's name.
    pub(crate) fn get<T>(&mut self, buf: &mut Vec<u8>, parse: impl FnOnce(&str) -> Reading<T>) -> Reading<T> {
        parse(self.read(buf)?).map_err(|absent| match absent {
            Absent::Malformed { what, path: None } => Absent::Malformed { what, path: Some(self.shown.clone().into()) },
            other => other,
        })
    }

    fn reason(&self, error: &io::Error) -> Absent {
        reason(error, &self.shown, self.missing.as_ref())
    }
}

/// One read, larger until it is not filled.
fn read_value(file: &File, buf: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let mut ask = VALUE;
    while ask <= MOST {
        if buf.len() < ask {
            buf.resize(ask, 0);
        }
        match file.read_at(&mut buf[..ask], 0) {
            Ok(len) if len < ask => return Ok(Some(len)),
            Ok(_) => ask *= 4,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Fills `buf` from offset 0 to the end; `None` when there is more than [`MOST`].
///
/// Several reads: a `seq_file` returns at most its own buffer each time, and only 0 says that it is over.
fn read_all(file: &File, buf: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let mut len = 0;
    loop {
        if buf.len() - len < CHUNK {
            buf.resize(len + CHUNK, 0);
        }
        match file.read_at(&mut buf[len..], len as u64) {
            Ok(0) => return Ok(Some(len)),
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if len > MOST {
            buf.truncate(CHUNK);
            buf.shrink_to_fit();
            return Ok(None);
        }
    }
}

/// The bytes as text. Only names that a process chose itself can be anything but ASCII; where such a name is not UTF-8
/// its bytes become `?`.
fn text(bytes: &mut [u8]) -> &str {
    if std::str::from_utf8(bytes).is_err() {
        for byte in bytes.iter_mut().filter(|byte| !byte.is_ascii()) {
            *byte = b'?';
        }
    }
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// What went wrong with `shown`; `missing` is what it means that it is not there.
pub(crate) fn reason(error: &io::Error, shown: &str, missing: Option<&Absent>) -> Absent {
    let path = || shown.to_owned();
    match (error.raw_os_error(), missing) {
        (Some(libc::ENOENT | libc::ENOTDIR | libc::ENODEV), Some(missing)) => missing.clone(),
        (Some(libc::ENOENT | libc::ENOTDIR | libc::ENODEV), None) => Absent::NotInThisKernel { path: path() },
        (Some(libc::ESRCH), _) => Absent::ProcessEnded,
        (Some(libc::EACCES | libc::EPERM), _) => Absent::NeedsRoot { path: path() },
        // Pressure files exist but cannot be opened on a kernel booted with psi=0.
        (Some(libc::EOPNOTSUPP), _) => Absent::SwitchedOff { path: path() },
        (Some(libc::EMFILE | libc::ENFILE), _) => Absent::NoDescriptor { path: path() },
        _ => Absent::Unreadable { path: path(), error: error.to_string() },
    }
}

/// Whether a process has a place in `/proc`, so that "no such process" can be told from "may not be read".
pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn roots(dir: &Path) -> Roots {
        Roots { proc: dir.join("proc"), sys: dir.join("sys") }
    }

    #[test]
    fn each_error_has_its_reason() {
        let path = || "/proc/x".to_owned();
        let missing = Some(&Absent::NotTracking);
        for (errno, missing, want) in [
            (libc::EACCES, None, Absent::NeedsRoot { path: path() }),
            (libc::EPERM, None, Absent::NeedsRoot { path: path() }),
            (libc::ENOENT, None, Absent::NotInThisKernel { path: path() }),
            (libc::ENOENT, missing, Absent::NotTracking),
            (libc::ESRCH, missing, Absent::ProcessEnded),
            (libc::EOPNOTSUPP, None, Absent::SwitchedOff { path: path() }),
            (libc::EMFILE, None, Absent::NoDescriptor { path: path() }),
            (libc::EISDIR, None, Absent::Unreadable { path: path(), error: "Is a directory (os error 21)".into() }),
        ] {
            assert_eq!(reason(&io::Error::from_raw_os_error(errno), "/proc/x", missing), want);
        }
    }

    #[test]
    fn a_kept_file_is_read_anew_and_one_that_comes_later_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let roots = roots(dir.path());
        let mut buf = Vec::new();
        let mut source = Source::open(&roots, "/proc/a");
        let mut once = Source::open_once(&roots, "/proc/a", Absent::because("gone"));
        assert_eq!(source.read(&mut buf), Err(Absent::NotInThisKernel { path: "/proc/a".into() }));
        std::fs::create_dir(&roots.proc).unwrap();
        std::fs::write(roots.proc.join("a"), "one").unwrap();
        assert_eq!(source.read(&mut buf).unwrap(), "one");
        std::fs::write(roots.proc.join("a"), "fifteen").unwrap();
        assert_eq!(source.read(&mut buf).unwrap(), "fifteen");
        assert_eq!(once.read(&mut buf), Err(Absent::because("gone")));
    }

    #[test]
    fn long_files_are_whole_and_endless_ones_refused() {
        let dir = tempfile::tempdir().unwrap();
        let roots = roots(dir.path());
        std::fs::create_dir(&roots.proc).unwrap();
        let mut file = File::create(roots.proc.join("long")).unwrap();
        let line = "x".repeat(3 * CHUNK + 7);
        file.write_all(line.as_bytes()).unwrap();
        let mut buf = Vec::new();
        assert_eq!(Source::open(&roots, "/proc/long").read(&mut buf).unwrap(), line);
        file.set_len(MOST as u64 * 2).unwrap();
        let read = Source::open(&roots, "/proc/long").read(&mut buf).map(str::len);
        assert_eq!(read, Err(Absent::TooLong { path: "/proc/long".into() }));
        assert!(buf.len() <= CHUNK, "the buffer does not stay long");
    }

    #[test]
    fn bytes_that_are_not_text_do_not_hide_the_rest() {
        assert_eq!(text(&mut b"1 (a\xff\xfeb) S".to_vec()), "1 (a??b) S");
        assert_eq!(text(&mut "1 (ä) S".as_bytes().to_vec()), "1 (ä) S");
    }
}
