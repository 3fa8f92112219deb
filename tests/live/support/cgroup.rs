//! A memory cgroup of a test's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{BINARY, Run, wait_until};

/// A memory cgroup of the test's own; removed at the end.
pub(crate) struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes one with a limit, v1 or v2; `Err` says why not.
    pub(crate) fn with_limit(name: &str, bytes: u64) -> Result<Self, String> {
        let (root, file) = if Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists() {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            ("/sys/fs/cgroup", "memory.max")
        };
        let path = Path::new(root).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let made = Self(path);
        std::fs::write(made.0.join(file), bytes.to_string()).map_err(|e| format!("{file}: {e}"))?;
        Ok(made)
    }

    /// Its last path component.
    pub(crate) fn name(&self) -> &str {
        self.0.file_name().unwrap().to_str().unwrap()
    }

    /// Starts the program inside.
    pub(crate) fn run(&self, options: &str) -> Run {
        let mut command = Command::new("sh");
        command.args(["-c", r#"echo $$ > "$1/cgroup.procs" && shift && exec "$0" "$@""#, BINARY]).arg(&self.0);
        Run::spawn(command.args(options.split_whitespace()).args(["--output", "json"]))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Charges of closed sockets may linger; the processes are gone.
        wait_until("the cgroup empty", || std::fs::remove_dir(&self.0).ok());
    }
}
