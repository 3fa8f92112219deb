//! A file of `/proc` or `/sys`, opened once and re-read in place.
//!
//! At `EMFILE` or `ENFILE` an `open` fails just when the data matters, so every file is opened before the ramp.
//! `pread` at offset 0 makes the kernel produce the text anew on a kept descriptor.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::sample::kernel::{Absent, Reading};

/// Bytes asked for in one read. The kernel hands out what it has, for some files a page at a time.
const CHUNK: usize = 16 * 1024;

/// Nothing read here is ever this long, whatever the machine; a file that is has another content than expected.
const MOST: usize = 4 * 1024 * 1024;

/// The reason given by everything that belonged to a process which has ended.
pub(crate) const ENDED: Absent = Absent::because("the process has ended");

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
    missing: Option<Cow<'static, str>>,
    /// Whether a file that could not be opened is tried again: it may come later (a module is loaded) or a descriptor
    /// may be free again. Never for a file of a process, whose number may by then belong to another one.
    retry: bool,
}

impl Source {
    /// Opens a machine-wide file, which is tried again at each reading while it cannot be opened.
    pub(crate) fn open(roots: &Roots, shown: impl Into<String>) -> Self {
        Self::new(roots, shown.into(), None, true)
    }

    /// The same, with what it means when the file is not there.
    pub(crate) fn open_or(roots: &Roots, shown: impl Into<String>, missing: impl Into<Cow<'static, str>>) -> Self {
        Self::new(roots, shown.into(), Some(missing.into()), true)
    }

    /// Opens a file of one process or cgroup, once.
    pub(crate) fn open_once(roots: &Roots, shown: impl Into<String>, missing: impl Into<Cow<'static, str>>) -> Self {
        Self::new(roots, shown.into(), Some(missing.into()), false)
    }

    fn new(roots: &Roots, shown: String, missing: Option<Cow<'static, str>>, retry: bool) -> Self {
        let path = roots.place(&shown);
        let file = File::open(&path).map_err(|error| reason(&error, &shown, missing.as_ref()));
        Self { file, path, shown, missing, retry }
    }

    /// Whether the file is open.
    pub(crate) fn is_open(&self) -> bool {
        self.file.is_ok()
    }

    /// The whole content now, in `buf`.
    pub(crate) fn read<'b>(&mut self, buf: &'b mut Vec<u8>) -> Reading<&'b str> {
        if self.file.is_err() && self.retry {
            self.file = File::open(&self.path).map_err(|error| self.reason(&error));
        }
        let file = self.file.as_ref().map_err(Absent::clone)?;
        match read_all(file, buf) {
            Ok(Some(len)) => Ok(text(&mut buf[..len])),
            Ok(None) => Err(Absent { why: format!("longer than 4 MiB, not read ({})", self.shown).into() }),
            Err(error) => Err(self.reason(&error)),
        }
    }

    /// Reads and parses; a reason of the parser gets the file's name.
    pub(crate) fn get<T>(&mut self, buf: &mut Vec<u8>, parse: impl FnOnce(&str) -> Reading<T>) -> Reading<T> {
        parse(self.read(buf)?).map_err(|absent| Absent { why: format!("{} ({})", absent.why, self.shown).into() })
    }

    fn reason(&self, error: &io::Error) -> Absent {
        reason(error, &self.shown, self.missing.as_ref())
    }
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

/// What went wrong with `shown`, in words.
pub(crate) fn reason(error: &io::Error, shown: &str, missing: Option<&Cow<'static, str>>) -> Absent {
    let why = match (error.raw_os_error(), missing) {
        (Some(libc::ENOENT | libc::ENOTDIR | libc::ENODEV), Some(missing)) => return Absent { why: missing.clone() },
        (Some(libc::ENOENT | libc::ENOTDIR | libc::ENODEV), None) => format!("this kernel has no {shown}"),
        (Some(libc::ESRCH), _) => return ENDED,
        (Some(libc::EACCES | libc::EPERM), _) => format!("needs root ({shown})"),
        // Pressure files exist but cannot be opened on a kernel booted with psi=0.
        (Some(libc::EOPNOTSUPP), _) => format!("switched off in this kernel ({shown})"),
        (Some(libc::EMFILE | libc::ENFILE), _) => format!("no descriptor left to open {shown}"),
        _ => format!("{shown}: {error}"),
    };
    Absent { why: why.into() }
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
    fn each_error_has_its_words() {
        let missing = Some(Cow::Borrowed("connection tracking is not loaded"));
        for (errno, missing, want) in [
            (libc::EACCES, None, "needs root (/proc/x)"),
            (libc::EPERM, None, "needs root (/proc/x)"),
            (libc::ENOENT, None, "this kernel has no /proc/x"),
            (libc::ENOENT, missing, "connection tracking is not loaded"),
            (libc::ESRCH, None, "the process has ended"),
            (libc::EOPNOTSUPP, None, "switched off in this kernel (/proc/x)"),
            (libc::EMFILE, None, "no descriptor left to open /proc/x"),
            (libc::EISDIR, None, "/proc/x: Is a directory (os error 21)"),
        ] {
            assert_eq!(reason(&io::Error::from_raw_os_error(errno), "/proc/x", missing.as_ref()).why, want);
        }
    }

    #[test]
    fn a_kept_file_is_read_anew_and_one_that_comes_later_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let roots = roots(dir.path());
        let mut buf = Vec::new();
        let mut source = Source::open(&roots, "/proc/a");
        let mut once = Source::open_once(&roots, "/proc/a", "gone");
        assert_eq!(source.read(&mut buf).unwrap_err().why, "this kernel has no /proc/a");
        std::fs::create_dir(&roots.proc).unwrap();
        std::fs::write(roots.proc.join("a"), "one").unwrap();
        assert_eq!(source.read(&mut buf).unwrap(), "one");
        std::fs::write(roots.proc.join("a"), "fifteen").unwrap();
        assert_eq!(source.read(&mut buf).unwrap(), "fifteen");
        assert_eq!(once.read(&mut buf).unwrap_err().why, "gone");
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
        let why = Source::open(&roots, "/proc/long").read(&mut buf).unwrap_err().why;
        assert_eq!(why, "longer than 4 MiB, not read (/proc/long)");
        assert!(buf.len() <= CHUNK, "the buffer does not stay long");
    }

    #[test]
    fn bytes_that_are_not_text_do_not_hide_the_rest() {
        assert_eq!(text(&mut b"1 (a\xff\xfeb) S".to_vec()), "1 (a??b) S");
        assert_eq!(text(&mut "1 (ä) S".as_bytes().to_vec()), "1 (ä) S");
    }
}
