//! A cgroup of a test's own, of either version.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::setting::Undo;
use super::{BINARY, Run};

/// What a cgroup bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Controller {
    Memory,
    Pids,
}

/// The two hierarchies. A controller is in one of them at a time (cgroups(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

impl Controller {
    fn name(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Pids => "pids",
        }
    }
}

/// The directory below `root` (`/sys/fs/cgroup`) in which groups of a controller are made, or why there is none.
pub(crate) fn hierarchy(root: &Path, controller: Controller, version: Version) -> Result<PathBuf, String> {
    let name = controller.name();
    let v1 = Some(root.join(name)).filter(|dir| dir.join("cgroup.procs").exists());
    let lists = |dir: &Path, file: &str| {
        fs::read_to_string(dir.join(file)).is_ok_and(|text| text.split_whitespace().any(|word| word == name))
    };
    // Beside version 1 it is mounted as `unified`.
    let v2 = [root.to_owned(), root.join("unified")].into_iter().find(|dir| lists(dir, "cgroup.controllers"));
    match (version, v1, v2) {
        (Version::V1, Some(dir), _) => Ok(dir),
        (Version::V2, _, Some(dir)) if lists(&dir, "cgroup.subtree_control") => Ok(dir),
        (Version::V2, _, Some(dir)) => Err(format!("{}/cgroup.subtree_control does not list {name}", dir.display())),
        (Version::V1, None, Some(_)) => Err(format!("{name} is a controller of version 2 here")),
        (Version::V2, Some(_), None) => Err(format!("{name} is a controller of version 1 here")),
        (_, None, None) => Err(format!("no cgroup hierarchy has the controller {name}")),
    }
}

/// As [`hierarchy`] on this machine, where this user may make a group.
pub(crate) fn usable(controller: Controller, version: Version) -> Result<PathBuf, String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let home = hierarchy(Path::new("/sys/fs/cgroup"), controller, version)?;
    let group = home.join(format!("c1m-top-{}-try-{}", std::process::id(), COUNT.fetch_add(1, Relaxed)));
    fs::create_dir(&group)
        .and_then(|()| fs::remove_dir(&group))
        .map_err(|e| format!("no group can be made in {}: {e}", home.display()))?;
    Ok(home)
}

/// A cgroup with a limit. Removed at the end, when its processes are gone.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
    _undo: Undo,
}

impl Cgroup {
    /// Of so many bytes, and where `swap` is given so many more of swap. The test requires the controller. The last part of
    /// its path ends in `name`.
    pub(crate) fn memory(version: Version, name: &str, bytes: u64, swap: Option<u64>) -> Self {
        let group = Self::new(Controller::Memory, version, name);
        group.set(if version == Version::V1 { "memory.limit_in_bytes" } else { "memory.max" }, bytes);
        if let Some(swap) = swap {
            // Version 1 bounds both together. A kernel without swap has neither file.
            let (file, most) = match version {
                Version::V1 => ("memory.memsw.limit_in_bytes", bytes + swap),
                Version::V2 => ("memory.swap.max", swap),
            };
            if group.path.join(file).exists() {
                group.set(file, most);
            }
        }
        group
    }

    /// Of so many processes and threads. The test requires the controller.
    pub(crate) fn pids(version: Version, name: &str, most: u64) -> Self {
        let group = Self::new(Controller::Pids, version, name);
        group.set("pids.max", most);
        group
    }

    fn new(controller: Controller, version: Version, name: &str) -> Self {
        // Numbers of processes begin anew in each pid namespace.
        let namespace = fs::metadata("/proc/self/ns/pid").unwrap().ino();
        let group = format!("c1m-top-{namespace}-{}-{name}", std::process::id());
        let path = usable(controller, version).unwrap().join(group);
        fs::create_dir(&path).unwrap();
        // The last of its processes may still be dying, and charges of closed sockets linger.
        let script = "for i in $(seq 600); do rmdir \"$1\" && exit; sleep 0.1; done; exit 1";
        let undo = Undo::watch(script, &[path.to_str().unwrap()], Stdio::null());
        Self { path, _undo: undo }
    }

    fn set(&self, file: &str, value: u64) {
        fs::write(self.path.join(file), value.to_string()).unwrap_or_else(|e| panic!("{file}: {e}"));
    }

    /// Its last path component.
    pub(crate) fn name(&self) -> &str {
        self.path.file_name().unwrap().to_str().unwrap()
    }

    /// The line of shell by which a process joins.
    pub(crate) fn join(&self) -> String {
        format!("echo $$ > {}/cgroup.procs", self.path.display())
    }

    /// Moves a process into it.
    pub(crate) fn move_in(&self, pid: u32) {
        self.set("cgroup.procs", pid.into());
    }

    /// Moves a process to the group above.
    pub(crate) fn move_up(&self, pid: u32) {
        fs::write(self.path.parent().unwrap().join("cgroup.procs"), pid.to_string()).unwrap();
    }

    /// Starts the program inside.
    pub(crate) fn run(&self, options: &str) -> Run {
        Run::under(&["sh", "-c", &format!(r#"{} && exec "$0" "$@""#, self.join())], options)
    }
}
