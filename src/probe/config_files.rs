//! The configuration files of a watched process, as it sees them: below its own root, and from its own working directory.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::process;
use super::source::{Roots, reason};
use crate::sample::kernel::{Absent, Reading};

/// No configuration is longer, bytes.
const MOST: u64 = 1024 * 1024;
/// Files that one pattern may name.
const FILES: usize = 256;
/// Ancestors that are looked at for one that is not confined to a directory.
const STEPS: usize = 8;
/// `btime` of `/proc/stat` is in whole seconds.
const SLACK: Duration = Duration::from_secs(2);

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigFile {
    /// Its path, as the process has it.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
}

/// Where the files of a process are.
#[derive(Debug)]
pub(crate) struct ConfigFiles {
    /// Roots, the first with the file counts: its own, and that in which it was before chroot(2).
    places: Vec<PathBuf>,
    /// Its working directory.
    cwd: Reading<String>,
    /// When whoever read the files was started.
    since: Option<SystemTime>,
}

impl ConfigFiles {
    /// Those of `owner`, as they were when `reader` was started.
    pub(crate) fn of(roots: &Roots, owner: u32, reader: u32) -> Self {
        let home = roots.proc.join(owner.to_string());
        let mut places = vec![home.join("root")];
        places.extend(outside(roots, owner));
        let cwd = std::fs::read_link(home.join("cwd"))
            .map(|path| path.to_string_lossy().into_owned())
            .map_err(|error| reason(&error, &format!("/proc/{owner}/cwd"), Some(&Absent::ProcessEnded)));
        Self { places, cwd, since: started(roots, reader) }
    }

    /// The files that `pattern` names, in order of their names: a path, or one with `*` and `?` in its last part. None at all
    /// where there is no such file, or it is a directory.
    pub(crate) fn look(&self, pattern: &str) -> Reading<Vec<ConfigFile>> {
        let pattern = match &self.cwd {
            _ if pattern.starts_with('/') => pattern.to_owned(),
            Ok(cwd) => format!("{cwd}/{pattern}"),
            Err(why) => return Err(why.clone()),
        };
        for place in &self.places {
            let paths = paths(place, &pattern)?;
            let mut found = Vec::new();
            for path in paths {
                if let Some(text) = self.text(place, &path)? {
                    found.push(ConfigFile { path, text });
                }
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    /// The text of one file that has not been changed since it was read.
    fn text(&self, place: &Path, path: &str) -> Reading<Option<String>> {
        // A pipe of that name is not waited for.
        let read = open(place, path, OFlags::NONBLOCK).map(File::from).and_then(|file| {
            let meta = file.metadata()?;
            let mut bytes = Vec::new();
            if meta.is_file() {
                (&file).take(MOST + 1).read_to_end(&mut bytes)?;
            }
            Ok(Some((meta, bytes)))
        });
        let Some((meta, bytes)) = missing_is_empty(read, path)?.filter(|(meta, _)| meta.is_file()) else {
            return Ok(None);
        };
        if bytes.len() as u64 > MOST {
            return Err(Absent::Because(format!("{path} is longer than a configuration").into()));
        }
        // Not when it was written: one that is moved into place may be old.
        let seconds = Duration::from_secs(meta.ctime().max(0).cast_unsigned());
        if self.since.is_some_and(|since| UNIX_EPOCH + seconds > since + SLACK) {
            return Err(Absent::Because(format!("{path} has been changed since the process read it").into()));
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// What a pattern stands for below `place`.
fn paths(place: &Path, pattern: &str) -> Reading<Vec<String>> {
    let wild = |text: &str| text.contains(['*', '?', '[']);
    let (dir, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    if !wild(pattern) {
        return Ok(vec![pattern.to_owned()]);
    }
    if wild(dir) || name.contains('[') {
        return Err(Absent::Because(format!("its configuration includes {pattern}, which is not followed").into()));
    }
    let shown = if dir.is_empty() { "/" } else { dir };
    let listed = match open(place, shown, OFlags::DIRECTORY) {
        Ok(fd) => names(fd),
        Err(error) => Err(error),
    };
    let mut names = missing_is_empty(listed, shown)?;
    names.retain(|n| !n.starts_with('.') && matches(name.as_bytes(), n.as_bytes()));
    if names.len() > FILES {
        return Err(Absent::Because(format!("{pattern} names more than {FILES} files").into()));
    }
    names.sort_unstable();
    Ok(names.into_iter().map(|name| format!("{dir}/{name}")).collect())
}

/// Nothing, where there is no such file.
fn missing_is_empty<T: Default>(result: io::Result<T>, shown: &str) -> Reading<T> {
    match result {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(T::default()),
        other => other.map_err(|error| reason(&error, shown, None)),
    }
}

/// Opens an absolute path below `root`. Its links are followed as from inside: in a container `/etc/x` is another file.
fn open(root: &Path, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let relative = path.trim_start_matches('/');
    let relative = if relative.is_empty() { "." } else { relative };
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    match openat2(&root, relative, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
        // Before Linux 5.6, or where a filter of system calls does not know it.
        Err(Errno::NOSYS | Errno::PERM) => Ok(openat(&root, relative, flags, Mode::empty())?),
        other => Ok(other?),
    }
}

/// What is in a directory, directories left out.
fn names(dir: OwnedFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::new(dir)? {
        let entry = entry?;
        if entry.file_type() != FileType::Directory {
            names.extend(entry.file_name().to_str().ok().map(ToOwned::to_owned));
        }
    }
    Ok(names)
}

/// Whether a name fits a pattern of `*` and `?`.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            matches(rest, name) || name.split_first().is_some_and(|(_, name)| matches(pattern, name))
        }
        ([b'?', pattern @ ..], [_, name @ ..]) => matches(pattern, name),
        ([a, pattern @ ..], [b, name @ ..]) if a == b => matches(pattern, name),
        _ => false,
    }
}

/// For a process that is confined (chroot(2)), the root of one in the same mount namespace that is not: an ancestor, or this one.
fn outside(roots: &Roots, pid: u32) -> Option<PathBuf> {
    let link = |pid: &str, name: &str| std::fs::read_link(roots.proc.join(pid).join(name)).ok();
    let is_free = |pid: &str| link(pid, "root").is_some_and(|root| root.as_os_str() == "/");
    let namespace = link(&pid.to_string(), "ns/mnt")?;
    if is_free(&pid.to_string()) {
        return None;
    }
    let parent = |pid: &u32| {
        let text = std::fs::read_to_string(roots.proc.join(format!("{pid}/stat"))).ok()?;
        Some(process::stat(&text).ok()?.parent)
    };
    let ancestors = std::iter::successors(parent(&pid), parent).take(STEPS).map(|pid| pid.to_string());
    let mut all = ancestors.chain(["self".to_owned()]);
    let free = all.find(|pid| link(pid, "ns/mnt").as_ref() == Some(&namespace) && is_free(pid))?;
    Some(roots.proc.join(free).join("root"))
}

/// When a process was started, to the second.
fn started(roots: &Roots, pid: u32) -> Option<SystemTime> {
    let boot = std::fs::read_to_string(roots.proc.join("stat")).ok()?;
    let boot: u64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let text = std::fs::read_to_string(roots.proc.join(format!("{pid}/stat"))).ok()?;
    let ticks = process::stat(&text).ok()?.started;
    Some(UNIX_EPOCH + Duration::from_secs(boot) + Duration::from_millis(ticks.saturating_mul(10)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn files(root: &Path, since: Option<SystemTime>) -> ConfigFiles {
        ConfigFiles { places: vec![root.join("confined"), root.to_owned()], cwd: Ok("/etc/a".into()), since }
    }

    #[test]
    fn files_are_found_from_inside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("etc/a/sub.conf")).unwrap();
        std::fs::create_dir(dir.path().join("confined")).unwrap();
        for (name, text) in [("x.conf", "one"), ("b.conf", "two"), (".c.conf", "hidden"), ("y.cfg", "three")] {
            std::fs::write(dir.path().join("etc/a").join(name), text).unwrap();
        }
        // From the outside this would be a file of the host.
        symlink("/etc/a/x.conf", dir.path().join("etc/link")).unwrap();
        let files = files(dir.path(), None);
        let look = |pattern: &str| -> Vec<(String, String)> {
            files.look(pattern).unwrap().into_iter().map(|file| (file.path, file.text)).collect()
        };
        let pair = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        assert_eq!(look("/etc/a/x.conf"), [pair("/etc/a/x.conf", "one")]);
        assert_eq!(look("x.conf"), [pair("/etc/a/x.conf", "one")]);
        assert_eq!(look("/etc/link"), [pair("/etc/link", "one")]);
        assert_eq!(look("/etc/a/*.conf"), [pair("/etc/a/b.conf", "two"), pair("/etc/a/x.conf", "one")]);
        for none in ["/etc/none", "/etc/a", "/etc/none/*.conf", "/etc/a/x.conf/y"] {
            assert_eq!(look(none), [], "{none}");
        }
        assert!(files.look("/etc/*/x.conf").is_err() && files.look("/etc/[a]").is_err());
    }

    #[test]
    fn a_file_that_was_changed_later_tells_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x"), "one").unwrap();
        let hour = Duration::from_hours(1);
        assert_eq!(files(dir.path(), Some(SystemTime::now() + hour)).look("/x").unwrap().len(), 1);
        let why = files(dir.path(), Some(SystemTime::now() - hour)).look("/x").unwrap_err().to_string();
        assert_eq!(why, "/x has been changed since the process read it");
    }

    #[test]
    fn patterns() {
        for (pattern, name, want) in
            [("*.conf", "a.conf", true), ("*.conf", "a.cfg", false), ("?x*", "ax", true), ("?x", "x", false)]
        {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), want, "{pattern} {name}");
        }
    }

    #[test]
    fn the_start_of_this_process_is_before_now() {
        let started = started(&Roots::default(), std::process::id()).unwrap();
        assert!(started < SystemTime::now() + SLACK, "{started:?}");
    }
}
