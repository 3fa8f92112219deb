//! What a test changes on the machine, and a watcher that puts it back whatever becomes of the test.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Need, wait_within};

/// A shell that waits for the end of its standard input, which comes when this is dropped, the test panics, or it is killed
/// in any way, and then puts something back. Signals of the terminal do not reach it.
#[derive(Debug)]
pub(crate) struct Undo(Child);

impl Undo {
    /// Keeps `out` open until it is done.
    pub(super) fn watch(script: &str, args: &[&str], out: Stdio) -> Self {
        let script = format!("trap '' INT TERM HUP; cat >/dev/null; {script}");
        let mut shell = Command::new("setsid");
        shell.args(["sh", "-c", &script, "undo"]).args(args);
        Self(shell.stdin(Stdio::piped()).stdout(out).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let status = self.0.wait();
        if !std::thread::panicking() {
            assert!(status.is_ok_and(|s| s.success()), "what the test changed could not be put back");
        }
    }
}

/// Tests that change settings of the whole machine hold a lock on this file, so that no two overlap: those of one test
/// program, of several, of several users' `cargo test`.
const LOCK: &str = "/tmp/c1m-top-tests.lock";

/// How long others may hold it.
const TURN: Duration = Duration::from_mins(15);

/// A setting of the whole machine that has another value while this exists.
#[derive(Debug)]
pub(crate) struct HostSetting(Undo);

impl HostSetting {
    /// Writes to a file of /proc/sys. The test requires [`Need::Host`].
    pub(crate) fn set(path: &str, value: &str) -> Self {
        assert_eq!(Need::Host.missing(), None, "a test that sets {path} requires Host");
        let lock = File::options().create(true).append(true).open(LOCK).unwrap();
        wait_within(TURN, "the lock of those who change the machine", || lock.try_lock().ok());
        let old = fs::read_to_string(path).unwrap();
        // The watcher holds the lock too: it ends when the old value is back.
        let undo = Undo::watch("printf '%s' \"$2\" > \"$1\"", &[path, old.trim()], lock.into());
        fs::write(path, value).unwrap_or_else(|e| panic!("{path}: {e}"));
        Self(undo)
    }
}
