//! `--warm`: memory as it is on a machine of one's own.
//!
//! A virtual machine with a reporting balloon gives pages that are free back to its host, and has to fetch each anew when it
//! is used again: 3.5 us for 4 KiB where this was measured, which is 7 us for the 8.2 KB of a connection, as much as the kernel
//! takes for all the rest of it. The floor, with its few connections, never meets that. Touching as much memory as a run needs
//! just before it brings the pages back, so that the run shows the program and not the host.

use std::hint::black_box;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::measure::kernel::Meminfo;
use crate::measure::{Interrupted, Outcome};
use crate::support::Started;

/// First argument of the process that touches memory.
pub(crate) const TOUCH: &str = "--touch-memory";

/// Bytes touched for a connection: its 8.2 KB and a little.
const PER_CONNECTION: u64 = 8600;

/// Bytes of available memory that are left alone.
const SPARE: u64 = 2 << 30;

/// Touches what `connections` will need, in a process that then ends.
pub(crate) fn memory(connections: u64, stop: &Interrupted) -> Outcome<()> {
    let most = Meminfo::read()?.get("MemAvailable")?.saturating_sub(SPARE);
    let bytes = (connections * PER_CONNECTION).min(most);
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--bench", TOUCH, &bytes.to_string()]).stdin(Stdio::null());
    let mut process = Started::spawn(command.process_group(0));
    while process.try_wait()?.is_none() {
        stop.sleep(Duration::from_millis(50))?;
    }
    Ok(())
}

/// What that process does: writes to every page of so many bytes.
pub(crate) fn touch(bytes: usize) {
    // Should memory run short after all, this goes first. Not fatal where /proc is read-only.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let mut memory = vec![0_u8; bytes];
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    black_box(&memory);
}
