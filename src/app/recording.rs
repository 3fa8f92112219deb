//! The recording of a run: its file, opened before anything else is, and what stands at its beginning.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Failure, runs};
use crate::cli::RunArgs;
use crate::model::Setup;
use crate::probe::{self, Roots, Sampler, Watch};
use crate::record::{Header, Place, Privilege, Recorder, RunRole};
use crate::sys;
use crate::units::micros;

/// The sysctls that limits are read from or cured by; a test holds the list against `src/limits`.
const SYSCTLS: &[&str] = &[
    "fs.epoll.max_user_watches",
    "fs.file-max",
    "fs.nr_open",
    "kernel.pid_max",
    "kernel.threads-max",
    "net.core.netdev_max_backlog",
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.neigh.default.gc_thresh3",
    "net.ipv4.tcp_ehash_entries",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_mem",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
    "net.ipv6.neigh.default.gc_thresh3",
    "net.netfilter.nf_conntrack_max",
];

/// A file for a run that has not begun. Dropped before it has, nothing of it is left.
#[derive(Debug)]
pub(super) struct Opened {
    path: PathBuf,
    file: File,
    /// It did not exist before.
    new: bool,
    /// It is one of those that are kept without being asked for.
    kept: bool,
    started_ms: u64,
    begun: bool,
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.new && !self.begun {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens the file; `Ok(Err(…))` is a sentence that says why a run nobody asked to record is not recorded.
pub(super) fn open(args: &RunArgs) -> Result<Option<Result<Opened, String>>, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let started_ms = micros(now) / 1000;
    match &args.record {
        Some(path) => {
            let (file, new) =
                create(path, args.force).map_err(|e| Failure::Usage(format!("--record {}: {e}", path.display())))?;
            Ok(Some(Ok(Opened { path: path.clone(), file, new, kept: false, started_ms, begun: false })))
        }
        None if args.no_record => Ok(None),
        None => {
            let kept = runs::directory().and_then(|dir| keep(&dir, started_ms).map_err(|e| e.to_string()));
            Ok(Some(kept.map_err(|why| format!("This run is not recorded: {why}"))))
        }
    }
}

fn keep(dir: &Path, started_ms: u64) -> io::Result<Opened> {
    let shown = |e: io::Error| io::Error::other(format!("{}: {e}", dir.display()));
    runs::make(dir).map_err(shown)?;
    runs::prune(dir, 1);
    let path = dir.join(runs::name(started_ms));
    let (file, new) = create(&path, false).map_err(|e| io::Error::other(format!("{}: {e}", path.display())))?;
    Ok(Opened { path, file, new, kept: true, started_ms, begun: false })
}

/// A file to write to; whether it is new. One that is there is left as it is until the run begins.
fn create(path: &Path, force: bool) -> Result<(File, bool), String> {
    let mut options = OpenOptions::new();
    // What one user's server does is not for every other user to read.
    options.write(true).mode(0o600);
    let (file, new) = match options.clone().create_new(true).open(path) {
        Ok(file) => (file, true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            if !path.is_file() {
                return Err("it exists and is not a regular file".to_owned());
            }
            if !force {
                return Err("it is there already: name another file, or overwrite it with --force".to_owned());
            }
            (options.open(path).map_err(|e| e.to_string())?, false)
        }
        Err(e) => return Err(e.to_string()),
    };
    // Whoever lists or removes recordings sees that this one is being written.
    // A file system without locks is none the worse for recording.
    if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        return Err("another run is being recorded into it".to_owned());
    }
    Ok((file, new))
}

impl Opened {
    /// Begins to record; `Ok(Err(…))` is a sentence that says why a run nobody asked to record is not recorded.
    pub(super) fn begin(mut self, mut header: Header) -> Result<Result<Recorder, String>, Failure> {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        header.started_ms = self.started_ms;
        let started = self.file.set_len(0).and_then(|()| {
            let file = self.file.try_clone()?;
            Recorder::start(&path, file, header)
        });
        match started {
            Ok(recorder) => {
                self.begun = true;
                Ok(Ok(recorder))
            }
            Err(e) if self.kept => Ok(Err(format!("This run is not recorded: cannot write {}: {e}", path.display()))),
            Err(e) => Err(Failure::Usage(format!("cannot record into {}: {e}", path.display()))),
        }
    }
}

/// What is known of a run before its first sample; `watched` is its first process, the dashboard itself where there is none.
pub(super) fn header(args: &RunArgs, setup: Setup, port: u16, watched: Option<u32>) -> Header {
    let pid = watched.unwrap_or_else(std::process::id);
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let own = Sampler::new(Roots::default(), &[Watch::process(pid)]).ok();
    let kernel = own.map(|mut sampler| sampler.read().0);
    let limits = read(&format!("/proc/{pid}/limits"));
    let limit = |(name, word): (&str, &str)| {
        let rest = limits.lines().find_map(|line| line.strip_prefix(word))?;
        let numbers: Vec<&str> = rest.split_whitespace().take(2).collect();
        Some((name.to_owned(), numbers.join(" ")))
    };
    let status = read("/proc/self/status");
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default().trim();
    let role = match (args.attach.is_some(), args.server, args.client.is_some()) {
        (true, ..) => RunRole::Attach,
        (_, true, true) => RunRole::Both,
        (_, true, false) => RunRole::Server,
        (_, false, true) => RunRole::Client,
        _ => RunRole::Watch,
    };
    Header {
        role,
        what: what(args, role, &setup) + &setup.part.map_or(String::new(), |part| format!(", {part}")),
        plan: plan(args, &setup, port),
        memory_bytes: kernel.as_ref().and_then(|k| k.host.mem.as_ref().ok()).map(|mem| mem.total),
        link: kernel.as_ref().and_then(|k| k.net.link.as_ref().ok()).cloned(),
        cgroup: kernel.as_ref().and_then(|k| k.processes.first()?.memcg.as_ref().ok()?.first()).map(|g| g.path.clone()),
        sysctls: probe::sysctls(&Roots::default(), pid, SYSCTLS),
        limits: [("RLIMIT_NOFILE", "Max open files"), ("RLIMIT_NPROC", "Max processes")]
            .into_iter()
            .filter_map(limit)
            .collect(),
        privilege: Privilege { uid: sys::euid(), capabilities: capabilities.to_owned() },
        place: place(pid),
        ..Header::new(setup)
    }
}

/// Where a process is. A boot has a number of its own, also where two machines are copies of one image, and the kernel's
/// number of a namespace is unique within it.
fn place(pid: u32) -> Place {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let namespace = fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let named = |parts: &[&[u8]]| {
        let digest = parts.iter().fold(Sha256::new(), Digest::chain_update).finalize();
        let (head, _) = digest.split_at(8);
        format!("{:016x}", head.iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte)))
    };
    let boot = boot.as_ref().map(|id| id.trim().as_bytes());
    Place {
        host: boot.map(|boot| named(&[boot])),
        network: boot.zip(namespace).map(|(boot, ns)| named(&[boot, ns.as_os_str().as_bytes()])),
    }
}

/// What runs, in a few words.
fn what(args: &RunArgs, role: RunRole, setup: &Setup) -> String {
    let at = setup.endpoint.as_ref().map_or(String::new(), |at| format!(" {at}"));
    match role {
        RunRole::Both => format!("server and client{at}"),
        RunRole::Server => format!("server{at}"),
        RunRole::Client => format!("client{at}"),
        RunRole::Attach => match &args.attach {
            Some(Some(selector)) => format!("attached to {selector}"),
            _ => "attached".to_owned(),
        },
        RunRole::Watch => "this machine".to_owned(),
    }
}

/// What was asked for, so that two runs can be told to have been asked for the same.
fn plan(args: &RunArgs, setup: &Setup, port: u16) -> BTreeMap<String, Value> {
    let seconds = |time: std::time::Duration| time.as_secs_f64();
    let traffic = args.traffic.active.map(|share| {
        json!({
            "active_percent": share,
            "message_bytes": args.traffic.message,
            "every_s": seconds(args.traffic.every),
            "no_wait": args.no_wait,
        })
    });
    let sources: Vec<String> = args
        .addresses
        .source
        .iter()
        .map(|s| s.prefix.map_or_else(|| s.ip.to_string(), |prefix| format!("{}/{prefix}", s.ip)))
        .collect();
    let rows = [
        ("server", json!(args.server)),
        ("client", json!(args.client.as_ref().map(|words| words.join(" ")))),
        ("attach", json!(args.attach.as_ref().map(|s| s.as_ref().map(ToString::to_string).unwrap_or_default()))),
        ("only", json!(args.only)),
        ("app_limit", json!(args.app_limit)),
        ("target", json!(args.ramp.target)),
        ("rate_per_s", json!(args.ramp.rate.0)),
        ("guard_percent", json!((!args.ramp.no_guard).then_some(args.ramp.guard))),
        ("hold_s", json!(args.hold.map(seconds))),
        ("duration_s", json!(args.duration.map(seconds))),
        ("persist", json!(args.persist)),
        ("tune", json!(args.tune)),
        ("close", json!(format!("{:?}", args.close).to_lowercase())),
        ("close_rate_per_s", json!(args.close_rate.0)),
        ("port", json!(port)),
        ("ports", json!(args.addresses.ports_or_default())),
        ("sources", json!(sources)),
        ("listen", json!(args.listen)),
        ("workers", json!(args.engines.workers)),
        ("traffic", json!(traffic)),
        ("greet", json!(args.greet)),
        ("interval_ms", json!(setup.interval_ms)),
    ];
    let which = setup.part.map(|which| ("part", json!(format!("{}/{}", which.number, which.of))));
    rows.into_iter().chain(which).map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_recording_that_was_asked_for_stops_the_run() {
        let begin = |kept| {
            // It can be opened, and not be cut.
            let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
            let opened = Opened { path: "/dev/full".into(), file, new: false, kept, started_ms: 0, begun: false };
            opened.begin(Header::new(Setup::default()))
        };
        assert!(matches!(begin(true), Ok(Err(why)) if why.contains("/dev/full")));
        assert!(matches!(begin(false), Err(Failure::Usage(why)) if why.contains("/dev/full")));
    }

    #[test]
    fn limits_are_those_of_the_process_that_is_watched() {
        use std::io::Read;
        let mut child = std::process::Command::new("sh")
            .args(["-c", "ulimit -n 77; echo; exec sleep 60"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        let args = crate::cli::Cli::read(["c1m-top"]).unwrap().run;
        let header = header(&args, Setup::default(), 0, Some(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(header.limits["RLIMIT_NOFILE"], "77 77");
        assert!(header.sysctls.contains_key("net.core.somaxconn"), "it is in this namespace");
    }

    #[test]
    fn every_sysctl_of_a_limit_is_recorded() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/limits");
        let mut seen = 0;
        for file in fs::read_dir(dir).unwrap().flatten() {
            let text = fs::read_to_string(file.path()).unwrap();
            let code = text.split("\n#[cfg(test)]").next().unwrap();
            for quoted in code.split('"').skip(1).step_by(2) {
                let key = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
                let group = ["net.", "fs.", "kernel."].iter().any(|group| quoted.starts_with(group));
                if group && quoted.chars().all(key) {
                    assert!(SYSCTLS.contains(&quoted), "{quoted} of {:?}", file.path());
                    seen += 1;
                }
            }
        }
        assert!(seen > 10, "{seen}");
    }
}
