//! Waiting that fails loudly.

use std::path::Path;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up. Machines are noisy; only a defect takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Polls until `look` sees what is wanted.
#[track_caller]
pub(crate) fn wait_until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_within(PATIENCE, what, look)
}

/// As [`wait_until`], with another patience.
#[track_caller]
pub(crate) fn wait_within<T>(patience: Duration, what: &str, look: impl FnMut() -> Option<T>) -> T {
    poll(patience, look).unwrap_or_else(|| panic!("waited {patience:?} in vain: {what}"))
}

/// As [`wait_within`], for those who have more to say than what was waited for: `None` when the time is up.
#[must_use]
pub(crate) fn poll<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(seen) = look() {
            return Some(seen);
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process exists and is not a zombie.
pub(crate) fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    // The state follows the name, which is in parentheses and may hold anything (proc(5)).
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}
