//! How many descriptors BEAM was allowed when it started: it never watches more than that.
//!
//! The emulator asks for its soft `RLIMIT_NOFILE` once (`erts_init_check_io`). A descriptor beyond it is accepted all the same,
//! and then neither read nor closed: `driver_select(...) failed: fd=1024 is larger than the largest allowed fd=1023`. Measured
//! with OTP 25: raised to 10,000 by prlimit(1), 991 of 1,500 connections were answered.

use super::process;
use super::source::Roots;

/// What the emulator starts first, to start other programs for it: it keeps the limits of that moment.
const HELPER: &str = "erl_child_setup";

/// Whether a program of this name is the emulator: `beam`, `beam.smp`, `beam.debug.smp`.
pub(crate) fn is_beam(name: &str) -> bool {
    name == "beam" || name.starts_with("beam.")
}

/// The soft limit that an emulator was started with, where its helper tells (Linux with `CONFIG_PROC_CHILDREN`).
pub(crate) fn at_start(roots: &Roots, pid: u32) -> Option<u64> {
    let read = |pid: &str, file: &str| std::fs::read_to_string(roots.proc.join(pid).join(file)).ok();
    let tasks = std::fs::read_dir(roots.proc.join(pid.to_string()).join("task")).ok()?;
    let children = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let helper = children.into_iter().find_map(|list| {
        let is_helper = |pid: &&str| read(pid, "comm").is_some_and(|comm| comm.trim_end() == HELPER);
        list.split_ascii_whitespace().find(is_helper).map(ToOwned::to_owned)
    })?;
    Some(process::limit(&read(&helper, "limits")?, "Max open files").ok()?.soft)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_helper_has_the_limit_of_the_start() {
        let home = tempfile::tempdir().unwrap();
        let roots = Roots { proc: home.path().to_owned(), ..Roots::default() };
        let write = |file: &str, text: &str| {
            let path = home.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(at_start(&roots, 7), None, "no such process");
        write("7/task/7/children", "");
        write("7/task/8/children", "20 21 ");
        write("20/comm", "sh\n");
        assert_eq!(at_start(&roots, 7), None, "another child");
        write("21/comm", "erl_child_setup\n");
        assert_eq!(at_start(&roots, 7), None, "nothing known of it");
        write("21/limits", "Limit  Soft Limit  Hard Limit  Units\nMax open files  1024  20000  files\n");
        assert_eq!(at_start(&roots, 7), Some(1024));
        assert!(is_beam("beam.smp") && is_beam("beam") && !is_beam("beamer"));
    }
}
