//! Sets running sysctl values and puts them back, with a state file that is on disk before the first change.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::advise::proposal::Change;
use crate::advise::state::{Entry, Here, Origin, State, normal};
use crate::sys;

/// `/proc/sys`.
#[derive(Debug, Clone)]
pub(super) struct Sysctls {
    root: PathBuf,
}

impl Sysctls {
    pub(super) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root.join(key.replace('.', "/"))
    }

    pub(super) fn read(&self, key: &str) -> io::Result<String> {
        fs::read_to_string(self.path(key)).map(|text| text.trim().to_owned())
    }

    /// Opens it for writing and writes nothing: whether it may be set.
    fn may_set(&self, key: &str) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.path(key)).map(drop)
    }

    /// Sets a value and reads it back: the kernel may clamp it.
    fn write(&self, key: &str, value: &str) -> io::Result<String> {
        // One write: the kernel takes a value whole.
        let line = format!("{value}\n");
        let mut file = OpenOptions::new().write(true).truncate(true).open(self.path(key))?;
        if file.write(line.as_bytes())? != line.len() {
            return Err(io::Error::other("the kernel took only a part of it"));
        }
        self.read(key)
    }
}

/// The state file where none is named.
///
/// # Errors
/// There is no place for one: a sentence.
pub(super) fn default_state() -> Result<PathBuf, String> {
    let base = if sys::euid() == 0 {
        Some(PathBuf::from("/var/lib"))
    } else {
        let named = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        named("XDG_STATE_HOME").or_else(|| named("HOME").map(|home| home.join(".local/state")))
    };
    let none = || "neither XDG_STATE_HOME nor HOME is set: name a file with --state".to_owned();
    base.map(|base| base.join("c1m-top/tune.json")).ok_or_else(none)
}

/// The command that puts back what a state file holds, from whatever directory it is run in.
pub(super) fn revert_command(file: &Path) -> String {
    let command = "c1m-top tune --revert";
    if default_state().is_ok_and(|default| default == file) {
        return command.to_owned();
    }
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let text = file.to_string_lossy();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+,:@%=".contains(&b);
    if text.bytes().all(plain) {
        format!("{command} --state {text}")
    } else {
        format!("{command} --state '{}'", text.replace('\'', r"'\''"))
    }
}

/// What became of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Done {
    pub(super) key: String,
    /// Value found.
    pub(super) from: Option<String>,
    /// Value that was to be set.
    pub(super) to: String,
    pub(super) result: Outcome,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It is set.
    Set,
    /// It was so already.
    Unchanged,
    /// The kernel made another value of it.
    Became(String),
    /// Somebody else has changed it since: left alone.
    Foreign,
    /// It could not be set, and why.
    Failed(String),
}

impl Done {
    /// Whether it is as it should be.
    pub(super) fn is_well(&self) -> bool {
        matches!(self.result, Outcome::Set | Outcome::Unchanged)
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Done { key, to, .. } = self;
        let from = self.from.as_deref().unwrap_or("unreadable");
        match &self.result {
            Outcome::Set => write!(f, "{key}: {from} -> {to}"),
            Outcome::Unchanged => write!(f, "{key}: {to} already"),
            Outcome::Became(value) => write!(f, "{key}: {from} -> {value}, though {to} was asked for"),
            Outcome::Foreign => {
                write!(f, "{key}: is {from}, which c1m-top did not set; left alone (--revert --force sets {to})")
            }
            Outcome::Failed(why) => write!(f, "{key}: NOT set, still {from} ({to} asked for): {why}"),
        }
    }
}

/// Sets the values. The old ones are on disk before the first change; those of an earlier `apply` are kept.
///
/// # Errors
/// The state file cannot be used: a sentence. Nothing has been set then.
pub(super) fn apply(sysctls: &Sysctls, file: &Path, here: &Here, changes: &[Change]) -> Result<Vec<Done>, String> {
    let mut done: Vec<Done> = Vec::new();
    let mut todo = Vec::new();
    for change in changes {
        let from = sysctls.read(change.key).map(|v| normal(&v));
        let refused = from.as_ref().err().map(why).or_else(|| sysctls.may_set(change.key).err().as_ref().map(why));
        let result = Done {
            key: change.key.to_owned(),
            from: from.ok(),
            to: change.to.clone(),
            result: refused.clone().map_or(Outcome::Set, Outcome::Failed),
        };
        if refused.is_none() {
            todo.push(done.len());
        }
        done.push(result);
    }
    if todo.is_empty() {
        // Nothing may be set: then nothing is written either.
        return Ok(done);
    }
    let _lock = lock(file)?;
    let mut state = match load(file)? {
        Some(state) if !state.of_this_boot(here) => {
            return Err(format!(
                "{} is from before the last reboot: {} checks what is left of it and removes it",
                file.display(),
                revert_command(file)
            ));
        }
        Some(state) => {
            state.in_this_namespace(here).map_err(|e| format!("{} {e}", file.display()))?;
            state
        }
        None => State::new(here),
    };
    for &at in &todo {
        let row = &done[at];
        state.note(&row.key, row.from.as_deref().unwrap_or_default(), &row.to);
    }
    save(file, &state)?;
    for &at in &todo {
        let row = &mut done[at];
        match sysctls.write(&row.key, &row.to).map(|v| normal(&v)) {
            Ok(value) if value == normal(&row.to) => {}
            Ok(value) => {
                state.note(&row.key, "", &value);
                row.result = Outcome::Became(value);
            }
            Err(e) => row.result = Outcome::Failed(why(&e)),
        }
    }
    if done.iter().any(|d| matches!(d.result, Outcome::Became(_))) {
        save(file, &state)?;
    }
    Ok(done)
}

/// Puts the old values back and removes the state file last. Where a value is somebody else's, or could not be set, the
/// file stays with what is left to do.
///
/// # Errors
/// The state file cannot be used: a sentence. Nothing has been set then.
pub(super) fn revert(sysctls: &Sysctls, file: &Path, here: &Here, force: bool) -> Result<Vec<Done>, String> {
    match file.try_exists() {
        Ok(true) => {}
        Ok(false) => return Ok(Vec::new()),
        Err(e) => return Err(format!("{} cannot be read: {}", file.display(), why_file(&e))),
    }
    let _lock = lock(file)?;
    let Some(state) = load(file)? else { return Ok(Vec::new()) };
    state.in_this_namespace(here).map_err(|e| format!("{} {e}", file.display()))?;
    // The last that was set first, as far as one bounds another.
    let done: Vec<Done> = state.entries.iter().rev().map(|e| put_back(sysctls, &state, e, here, force)).collect();
    let left = |entry: &Entry| done.iter().any(|d| d.key == entry.key && !d.is_well());
    let before = state.entries.len();
    let mut kept = state.clone();
    kept.entries.retain(left);
    if kept.entries.is_empty() {
        fs::remove_file(file)
            .and_then(|()| sync_dir(file))
            .map_err(|e| format!("every value is back, but {} cannot be removed: {}", file.display(), why(&e)))?;
    } else if kept.entries.len() < before {
        save(file, &kept)?;
    }
    Ok(done)
}

fn put_back(sysctls: &Sysctls, state: &State, entry: &Entry, here: &Here, force: bool) -> Done {
    let found = sysctls.read(&entry.key).map(|v| normal(&v));
    let result = match &found {
        Err(e) => Outcome::Failed(why(e)),
        Ok(now) => match state.origin(entry, now, here) {
            Origin::Old => Outcome::Unchanged,
            Origin::Foreign if !force => Outcome::Foreign,
            Origin::Foreign | Origin::Ours => match sysctls.write(&entry.key, &entry.old).map(|v| normal(&v)) {
                Ok(value) if value == entry.old => Outcome::Set,
                Ok(value) => Outcome::Became(value),
                Err(e) => Outcome::Failed(why(&e)),
            },
        },
    };
    Done { key: entry.key.clone(), from: found.ok(), to: entry.old.clone(), result }
}

/// An I/O error in a few words.
fn why(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::PermissionDenied => "needs root".into(),
        io::ErrorKind::ReadOnlyFilesystem => "read-only here: a container's /proc/sys is set from the host".into(),
        io::ErrorKind::NotFound => "not in this kernel or network namespace".into(),
        io::ErrorKind::InvalidInput => "the kernel refuses this value".into(),
        _ => e.to_string(),
    }
}

fn dir(file: &Path) -> &Path {
    file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Holds the directory against a second `tune`; nothing is left behind.
fn lock(file: &Path) -> Result<File, String> {
    let dir = dir(file);
    let cannot = |e: &io::Error| {
        format!("the state file cannot be kept in {}: {}; name one with --state", dir.display(), why_file(e))
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| cannot(&e))?;
    let directory = File::open(dir).map_err(|e| cannot(&e))?;
    match directory.try_lock() {
        Ok(()) => Ok(directory),
        Err(fs::TryLockError::WouldBlock) => {
            Err(format!("another c1m-top tune is using {}: try again when it has finished", file.display()))
        }
        Err(fs::TryLockError::Error(e)) => Err(cannot(&e)),
    }
}

fn why_file(e: &io::Error) -> String {
    if e.kind() == io::ErrorKind::PermissionDenied { "permission denied".into() } else { e.to_string() }
}

fn load(file: &Path) -> Result<Option<State>, String> {
    // What it says is written into the kernel: nobody else may have had a hand in it.
    if let Ok(data) = fs::symlink_metadata(file)
        && (!data.is_file() || data.uid() != sys::euid() || data.mode() & 0o022 != 0)
    {
        let shown = file.display();
        return Err(format!("{shown} is not a file that only you can write; nothing was changed"));
    }
    match fs::read(file) {
        Ok(bytes) => State::parse(&String::from_utf8_lossy(&bytes))
            .map(Some)
            .map_err(|e| format!("{} {e}; nothing was changed", file.display())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(format!("{} cannot be read: {}", file.display(), why_file(&e))),
    }
}

/// Whole or not at all, and on disk when it returns.
fn save(file: &Path, state: &State) -> Result<(), String> {
    let write = || -> io::Result<()> {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = file.with_file_name(name);
        // One that an interrupted run left; never followed, where it is a link.
        let _ = fs::remove_file(&new);
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        out.write_all(state.write().as_bytes())?;
        out.sync_all()?;
        fs::rename(&new, file)?;
        sync_dir(file)
    };
    write().map_err(|e| format!("the state file {} cannot be written: {}", file.display(), why_file(&e)))
}

fn sync_dir(file: &Path) -> io::Result<()> {
    File::open(dir(file))?.sync_all()
}

#[cfg(test)]
#[path = "tuning_tests.rs"]
mod tests;
