//! What the tests share: running the program, its control socket, namespaces, waiting.

mod cgroup;
mod control;
mod namespace;
mod run;

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) use cgroup::Cgroup;
pub(crate) use control::Control;
pub(crate) use namespace::{in_namespace, sockstat};
pub(crate) use run::{BINARY, Engines, Finished, Run, engines_of};

/// How long anything may take before a test gives up. Machines are noisy; only a defect takes this long.
const PATIENCE: Duration = Duration::from_mins(2);

/// Polls until `look` sees what is wanted.
pub(crate) fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Says why a test has nothing to do here. Written past the capture of the test harness, so that it is seen.
pub(crate) fn skip(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

/// Whether a process exists and is not a zombie.
pub(crate) fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    // The state follows the name, which is in parentheses and may hold anything (proc(5)).
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}
