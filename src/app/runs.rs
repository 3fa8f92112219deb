//! The runs that are kept without being asked for: where, how many, and what a RUN of the command line means.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::Failure;
use crate::record::{self, Recording};
use crate::sys;

/// Runs kept.
const MOST: usize = 10;
/// Bytes of all of them together.
const MOST_BYTES: u64 = 256 << 20;
/// How their names end.
const ENDING: &str = "c1m";

/// A run that is kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// It is being written.
    pub(super) running: bool,
}

/// Where runs are kept, whether or not it exists.
///
/// # Errors
/// There is no such place: why, for a sentence.
pub(super) fn directory() -> Result<PathBuf, String> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = named("XDG_STATE_HOME").or_else(|| named("HOME").map(|home| home.join(".local/state")));
    let user = sys::euid();
    match base {
        // Of another user's directory nothing is known but that it is not ours: with sudo HOME is often that of whoever called.
        Some(base) if is_of(&base, user) => Ok(base.join("c1m-top/runs")),
        _ if user == 0 => Ok(PathBuf::from("/var/lib/c1m-top/runs")),
        Some(base) => Err(format!("{} belongs to another user", base.display())),
        None => Err("neither XDG_STATE_HOME nor HOME is set".to_owned()),
    }
}

/// Whether a directory is this user's, or would be made in one that is. Symbolic links are not followed: whoever owns one says
/// where it leads. Root trusts nobody on the way to it.
fn is_of(path: &Path, user: u32) -> bool {
    let mut owners = path.ancestors().filter_map(|path| fs::symlink_metadata(path).ok()).map(|meta| meta.uid());
    owners.next() == Some(user) && (user != 0 || owners.all(|owner| owner == 0))
}

/// Makes the directory, for this user alone: a run has addresses and names of processes.
///
/// # Errors
/// It cannot be made, or it is there and others can put files into it.
pub(super) fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let meta = fs::symlink_metadata(dir)?;
    if !meta.is_dir() {
        return Err(io::Error::other("it is a symbolic link"));
    }
    if meta.uid() != sys::euid() {
        return Err(io::Error::other("it belongs to another user"));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(io::Error::other("other users may write to it (chmod 700 keeps them out)"));
    }
    Ok(())
}

/// The name of a run that starts now.
pub(super) fn name(started_ms: u64) -> String {
    let when: String = crate::units::date(started_ms).chars().filter(char::is_ascii_digit).collect();
    let (day, time) = when.split_at(8.min(when.len()));
    format!("{day}-{time}-{}.{ENDING}", std::process::id())
}

/// What is kept, the newest first.
pub(super) fn list(dir: &Path) -> io::Result<Vec<Kept>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(found),
        other => other?,
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let ours = path.file_name().and_then(|name| name.to_str()).is_some_and(is_name);
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if ours && meta.is_file() {
            found.push(Kept { bytes: meta.len(), running: is_locked(&path), path });
        }
    }
    found.sort_by(|a, b| b.path.cmp(&a.path));
    Ok(found)
}

/// As [`name`] makes them: nothing else in that directory is ours to remove.
fn is_name(name: &str) -> bool {
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let Some((stem, ENDING)) = name.split_once('.') else { return false };
    let parts: Vec<&str> = stem.split('-').collect();
    let [day, time, pid] = parts.as_slice() else { return false };
    digits(day, 8) && digits(time, 6) && digits(pid, pid.len().max(1))
}

/// Whoever writes a run holds a lock on it.
fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Removes the oldest until `more` fit in beside them; what is being written stays.
pub(super) fn prune(dir: &Path, more: usize) {
    let Ok(kept) = list(dir) else { return };
    let (mut count, mut bytes) = (more, 0);
    for run in kept {
        let fits = count < MOST && bytes + run.bytes <= MOST_BYTES;
        if fits || run.running || (count == more && more == 0) {
            count += 1;
            bytes += run.bytes;
        } else {
            // Somebody else may have.
            let _ = fs::remove_file(&run.path);
        }
    }
}

/// The file of a RUN: `last`, a number from `c1m-top runs`, or a path.
pub(super) fn file_of(run: &str) -> Result<PathBuf, Failure> {
    let number = if run == "last" { Some(1) } else { run.parse::<usize>().ok() };
    let Some(number) = number else { return Ok(PathBuf::from(run)) };
    let usage = |why: String| Failure::Usage(format!("{run}: {why}"));
    let dir = directory().map_err(|why| usage(format!("no runs are kept: {why}")))?;
    let kept = list(&dir).map_err(|e| usage(format!("cannot read {}: {e}", dir.display())))?;
    match number.checked_sub(1).and_then(|i| kept.get(i)) {
        Some(run) => Ok(run.path.clone()),
        None if kept.is_empty() => Err(usage(format!("no run is kept in {}", dir.display()))),
        None => Err(usage(format!("there are {} runs, numbered from 1, the newest (see: c1m-top runs)", kept.len()))),
    }
}

/// Opens a RUN of the command line; says on standard error what of it cannot be used.
pub(super) fn open(run: &str) -> Result<Recording, Failure> {
    let path = file_of(run)?;
    let recording = record::open(&path).map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))?;
    let damage = recording.damage();
    for part in damage.iter().take(3) {
        eprintln!("c1m-top: {}: {part}", path.display());
    }
    if damage.len() > 3 {
        eprintln!("c1m-top: {}: and {} more places", path.display(), damage.len() - 3);
    }
    Ok(recording)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_newest_ten_stay_and_nothing_else_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let names: Vec<String> = (0..14).map(|i| format!("20260101-0000{i:02}-7.c1m")).collect();
        for name in names.iter().map(String::as_str).chain(["notes.c1m", "20260101-000000-7.txt", "x-y-z.c1m"]) {
            fs::write(at(name), b"x").unwrap();
        }
        let writing = File::open(at(&names[0])).unwrap();
        writing.try_lock().unwrap();
        prune(dir.path(), 1);
        let left: Vec<bool> = names.iter().map(|name| at(name).exists()).collect();
        // Nine, for the one that starts, and the one that is being written.
        assert_eq!(left, [vec![true], vec![false; 4], vec![true; 9]].concat());
        assert!(at("notes.c1m").exists() && at("20260101-000000-7.txt").exists() && at("x-y-z.c1m").exists());
        assert!(list(dir.path()).unwrap()[9].running);
    }

    #[test]
    fn the_oldest_go_first_where_they_are_too_large() {
        let dir = tempfile::tempdir().unwrap();
        let at = |i: u32| dir.path().join(format!("20260101-00000{i}-7.c1m"));
        for i in 0..4 {
            File::create(at(i)).unwrap().set_len(100 << 20).unwrap();
        }
        prune(dir.path(), 0);
        assert_eq!([0, 1, 2, 3].map(|i| at(i).exists()), [false, false, true, true]);
    }

    #[test]
    fn a_directory_that_others_write_to_or_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (own, link) = (dir.path().join("a/b"), dir.path().join("link"));
        make(&own).unwrap();
        assert_eq!(fs::metadata(&own).unwrap().mode() & 0o777, 0o700);
        make(&own).unwrap();
        std::os::unix::fs::symlink(&own, &link).unwrap();
        assert!(make(&link).unwrap_err().to_string().contains("symbolic link"));
        fs::set_permissions(&own, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(make(&own).unwrap_err().to_string().contains("may write"));
    }

    #[test]
    fn what_another_user_owns_is_not_this_users_whatever_it_leads_to() {
        let user = sys::euid();
        let dir = tempfile::tempdir().unwrap();
        assert!(is_of(&dir.path().join("not/yet"), user));
        assert!(!is_of(dir.path(), user + 1));
        if user == 0 {
            // A link of somebody else's into a directory of root's.
            let link = dir.path().join("link");
            std::os::unix::fs::symlink("/root", &link).unwrap();
            assert!(is_of(&link, 0));
            std::os::unix::fs::lchown(&link, Some(65_534), None).unwrap();
            assert!(!is_of(&link, 0) && !is_of(&link.join(".local/state"), 0));
        }
    }

    #[test]
    fn a_run_is_named_after_its_start() {
        let name = name(1_793_295_665_000);
        assert!(is_name(&name) && name.starts_with("20261029-"), "{name}");
    }
}
