//! What a scenario changes on this machine, each with a watcher that puts it back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Skipped;

/// A shell that waits for the end of its standard input, which comes when we drop it, panic, or are killed in any way, and
/// then puts something back. Signals of the terminal do not reach it.
#[derive(Debug)]
pub struct Undo(Child);

impl Undo {
    fn watch(script: &str, args: &[&str]) -> Result<Self, Skipped> {
        let script = format!("trap '' INT TERM HUP; cat >/dev/null; {script}");
        let child = Command::new("setsid")
            .args(["sh", "-c", &script, "undo"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("setsid: {e}"))?;
        Ok(Self(child))
    }

    /// Writes `value` to a file of /proc/sys until dropped.
    pub fn sysctl(path: &str, value: &str) -> Result<Self, Skipped> {
        let old = fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
        let undo = Self::watch("printf '%s' \"$2\" > \"$1\"", &[path, old.trim()])?;
        fs::write(path, value).map_err(|e| format!("{path}: {e}"))?;
        Ok(undo)
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The number in a file.
pub fn number(path: &str) -> Result<u64, Skipped> {
    let text = fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    text.split_whitespace().next().and_then(|w| w.parse().ok()).ok_or_else(|| format!("{path} holds no number"))
}

/// Objects in use in a slab cache.
pub fn slab_objects(cache: &str) -> Result<u64, Skipped> {
    let text = fs::read_to_string("/proc/slabinfo").map_err(|e| format!("/proc/slabinfo: {e}"))?;
    let line = text.lines().find(|l| l.split_whitespace().next() == Some(cache));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse().ok()).ok_or_else(|| format!("no slab cache {cache}"))
}

/// A version 1 cgroup of its own.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    _undo: Undo,
}

impl Cgroup {
    /// Makes one below `hierarchy` (`memory`, `pids`), with one limit.
    pub fn new(hierarchy: &str, file: &str, value: &str) -> Result<Self, Skipped> {
        let root = Path::new("/sys/fs/cgroup").join(hierarchy);
        if !root.join("cgroup.procs").exists() {
            return Err(format!("no version 1 cgroup hierarchy of {hierarchy} is mounted"));
        }
        let path = root.join(format!("c1m-top-{}-{hierarchy}", std::process::id()));
        let _ = fs::create_dir(&path);
        let text = path.to_string_lossy().into_owned();
        let undo = Undo::watch("for i in $(seq 100); do rmdir \"$1\" && exit; sleep 0.1; done", &[&text])?;
        fs::write(path.join(file), value).map_err(|e| format!("{text}/{file}: {e}"))?;
        Ok(Self { path, _undo: undo })
    }

    /// Sets another of its files, where the kernel has it.
    pub fn set(&self, file: &str, value: &str) {
        let _ = fs::write(self.path.join(file), value);
    }

    /// The file that a process joins by.
    pub fn procs(&self) -> String {
        self.path.join("cgroup.procs").to_string_lossy().into_owned()
    }
}

/// A network namespace that lives as long as this.
#[derive(Debug)]
pub struct Net(Child);

impl Net {
    /// Makes one, with loopback up.
    pub fn new() -> Result<Self, Skipped> {
        let holder = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("unshare: {e}"))?;
        let net = Self(holder);
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        let deadline = Instant::now() + Duration::from_secs(10);
        while of(&net.0.id().to_string()).is_none_or(|n| Some(n) == of("self")) {
            if Instant::now() > deadline {
                return Err("no network namespace can be made here".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        net.sh("ip link set lo up")?;
        Ok(net)
    }

    /// Process that holds it.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// A program to be run inside.
    pub fn command(&self, program: &str) -> Command {
        // A run whose test has gone ends too.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "nsenter", &format!("--net=/proc/{}/ns/net", self.0.id()), program]);
        command
    }

    /// Runs a line of shell inside.
    pub fn sh(&self, line: &str) -> Result<(), Skipped> {
        let out = self.command("sh").args(["-c", line]).output().map_err(|e| format!("nsenter: {e}"))?;
        if out.status.success() {
            Ok(())
        } else {
            Err(format!("{line}: {}", String::from_utf8_lossy(&out.stderr).trim()))
        }
    }

    /// Joins two by a veth pair: 10.9.0.1 here, 10.9.0.2 there.
    pub fn join(&self, other: &Net) -> Result<(), Skipped> {
        self.sh(&format!("ip link add v0 type veth peer name v1 netns {}", other.pid()))?;
        self.sh("ip addr add 10.9.0.1/24 dev v0 && ip link set v0 up")?;
        other.sh("ip addr add 10.9.0.2/24 dev v1 && ip link set v1 up")
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
