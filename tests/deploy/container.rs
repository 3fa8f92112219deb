//! The static binary of `deploy/container/build` where there is nothing else: in a container that may do as little as can be, in an
//! empty root directory, and in the image that buildah has made of it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use c1m_top::model::Verdict;

use super::deployed;
use super::support::{Home, Run, Started, own_processes, require, sockstat, succeed, wait_until};

/// A root directory. What was mounted below it goes with it.
#[derive(Debug)]
struct Root(PathBuf);

impl Drop for Root {
    fn drop(&mut self) {
        // Nothing was mounted where a test ended before.
        let _ = Command::new("umount").args(["--recursive", "--lazy", "--quiet"]).arg(&self.0).status();
    }
}

/// Has buildah keep images in a directory of the test, and not in the machine's.
fn own_storage(command: &mut Command) -> &mut Command {
    let file = Home::path().join("storage.conf");
    let [graph, run] = ["images", "images-run"].map(|name| Home::path().join(name).display().to_string());
    fs::write(&file, format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{graph}\"\nrunroot = \"{run}\"\n")).unwrap();
    command.env("CONTAINERS_STORAGE_CONF", file)
}

/// A root directory with the binary and nothing else in it.
fn root_directory() -> Root {
    // What the script prints, the names of its tools among it, is read only where it fails.
    succeed(own_storage(&mut Command::new(deployed("container/build"))).env("CARGO_TARGET_DIR", "target"));
    let root = Home::path().join("root");
    fs::create_dir_all(&root).unwrap();
    let binary = concat!(env!("CARGO_MANIFEST_DIR"), "/target/container/c1m-top");
    fs::copy(binary, root.join("c1m-top")).unwrap();
    Root(root)
}

/// The binary in that directory, read-only, as a user without privilege, with nothing in the environment. The test is among
/// processes of its own, so that it mounts what it likes.
fn inside(root: &str, options: &str) -> Command {
    let mut command = Command::new("chroot");
    command.env_clear().env("HOME", "/").env("PATH", std::env::var_os("PATH").unwrap());
    command.args(["--userspec=65532:65532", root, "/c1m-top"]).args(options.split_whitespace());
    command
}

/// The one line that a run ends with that cannot begin.
#[track_caller]
fn refusal(out: &Output) -> String {
    let said = String::from_utf8(out.stderr.clone()).unwrap();
    assert!(out.status.code() == Some(2) && said.lines().count() == 1, "{out:?}");
    said
}

fn sh(line: &str) -> String {
    succeed(Command::new("sh").args(["-ec", line]))
}

#[test]
fn it_runs_in_an_empty_root_directory() {
    require!(Long, Root, Program("musl-gcc"), Program("rustup"), Program("dnsmasq"));
    own_processes!();
    let directory = root_directory();
    let root = directory.0.to_str().unwrap();
    sh(&format!("mount --bind {root} {root} && mkdir {root}/proc {root}/dev {root}/etc"));
    let say = |options: &str| refusal(&inside(root, options).output().unwrap());
    for options in ["--server --client 127.0.0.1 9900", "check --target 1m", "--duration 1s"] {
        assert!(say(options).contains("/proc is missing"), "{options}");
    }
    sh(&format!("mount -t proc proc {root}/proc"));
    assert!(say("--server").contains("/dev/null is missing"));
    sh(&format!("touch {root}/dev/null && mount --bind /dev/null {root}/dev/null && mount -o remount,ro,bind {root}"));

    // Without /sys, /tmp, a user's name, a place to write to.
    let mut run = Run::spawn(&mut inside(
        root,
        "--output json --server --client localhost 9900 --target 25k --interval 200ms --hold 1s",
    ));
    run.until_holding();
    let memory = ["server", "client"].map(|role| resident(&format!("c1m-top-{role}")));
    let ended = run.finish();
    assert_eq!((ended.code, ended.summary().verdict), (Some(0), Verdict::TargetReached), "{}", ended.log());
    assert_eq!((ended.peak(), ended.summary().peak_accepted), (25_000, Some(25_000)), "{}", ended.log());
    assert_eq!(sockstat("inuse"), 0, "nothing is left");
    eprintln!("measured: static binary, resident with 25,000 connections: {memory:?} KiB");

    // Names: without a resolver, by file, by a name server with the search list that Kubernetes gives a pod.
    let missing = say("--client web1 9900");
    assert!(missing.contains("web1") && missing.contains("there is no /etc/resolv.conf here"), "{missing}");
    sh(&format!(
        "mount -t tmpfs none {root}/etc && echo '127.0.0.7 byfile' > {root}/etc/hosts && \
         printf 'search c1m.svc.cluster.local svc.cluster.local cluster.local\nnameserver 127.0.0.53\noptions ndots:5\n' \
         > {root}/etc/resolv.conf"
    ));
    let _server = name_server();
    for (name, address) in [("byfile", "127.0.0.7"), ("c1m-server", "127.0.0.8")] {
        let options =
            format!("--output json --server --client {name} 9900 --listen {address} --target 500 --hold 100ms");
        assert_connects(Run::spawn(&mut inside(root, &options)), name, address);
    }
}

/// A name server at 127.0.0.53 that knows `c1m-server`, as a cluster's does.
fn name_server() -> Started {
    let mut server = Command::new("dnsmasq");
    server.args(
        "--keep-in-foreground --conf-file=/dev/null --no-hosts --no-resolv --bind-interfaces --user=root".split(' '),
    );
    server.args([
        "--pid-file=",
        "--listen-address=127.0.0.53",
        // What a cluster's has no address for is not there, and not refused.
        "--local=/cluster.local/",
        "--host-record=c1m-server.c1m.svc.cluster.local,127.0.0.8",
    ]);
    let server = Started::spawn(&mut server);
    wait_until("the name server", || sh("ss -lun").contains("127.0.0.53:53").then_some(()));
    server
}

/// Ends a run to `name`, which was found to be at `address`.
#[track_caller]
fn assert_connects(mut run: Run, name: &str, address: &str) {
    run.wait_for("its end", |p| p.summary.as_ref().map(|_| ()));
    let ended = run.finish();
    assert_eq!(ended.code, Some(0), "{name}: {ended:#?}");
    let said = ended.events.iter().any(|e| e.text.contains(&format!("connects to {address}: {name}")));
    assert!(said, "{name}: {}", ended.log());
}

/// Resident memory of the process of this name, KiB.
fn resident(name: &str) -> u64 {
    // The kernel keeps 15 bytes of it.
    let pid = sh(&format!("pgrep -x {}", &name[..name.len().min(15)]));
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().split(' ').next().unwrap().parse().unwrap()
}

/// What Docker's and containerd's default profiles refuse to whoever lacks `CAP_SYS_ADMIN`. Kubernetes calls it `RuntimeDefault`.
const REFUSED: &str = "bpf clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount \
    open_tree perf_event_open pidfd_getfd ptrace quotactl setdomainname sethostname setns syslog umount2 unshare";

/// Turns what `runc spec` writes into the pod's securityContext of `deploy/kubernetes`: no user name, no capability, no new
/// privilege, a root directory that cannot be written to, the default seccomp profile.
fn restrict(spec: &str, options: &str) -> String {
    let mut spec: serde_json::Value = serde_json::from_str(spec).unwrap();
    let args: Vec<&str> = std::iter::once("/c1m-top").chain(options.split_whitespace()).collect();
    let process = &mut spec["process"];
    process["terminal"] = false.into();
    process["args"] = serde_json::json!(args);
    process["user"] = serde_json::json!({ "uid": 65532, "gid": 65532 });
    process["noNewPrivileges"] = true.into();
    process["capabilities"] = serde_json::json!({});
    // Two tables for each engine.
    process["rlimits"] = serde_json::json!([{ "type": "RLIMIT_NOFILE", "hard": 3000, "soft": 1024 }]);
    spec["root"] = serde_json::json!({ "path": "root", "readonly": true });
    let refused: Vec<&str> = REFUSED.split_whitespace().collect();
    spec["linux"]["seccomp"] = serde_json::json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            { "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::ENOSYS },
            { "names": refused.iter().filter(|n| **n != "clone3").collect::<Vec<_>>(), "action": "SCMP_ACT_ERRNO", "errnoRet": libc::EPERM },
        ],
    });
    spec.to_string()
}

#[test]
fn it_runs_in_a_container_without_any_privilege() {
    const TARGET: u64 = 5_000;
    require!(Long, Root, Program("musl-gcc"), Program("rustup"), Program("runc"));
    let bundle = Home::path();
    let _root = root_directory();
    let spec = bundle.join("config.json");
    succeed(Command::new("runc").args(["spec", "--bundle"]).arg(&bundle));
    let options =
        format!("--output json --server --client 127.0.0.1 9900 --target {TARGET} --interval 200ms --hold 1s");
    let text = restrict(&fs::read_to_string(&spec).unwrap(), &options);
    fs::write(&spec, text).unwrap();
    let id = format!("c1m-{}", std::process::id());
    let mut runc = Command::new("runc");
    runc.arg("--root").arg(bundle.join("runc")).args(["run", "--bundle"]).arg(&bundle).arg(id);
    let mut run = Run::spawn(&mut runc);
    run.until_holding();
    let ended = run.finish();
    assert_eq!((ended.code, ended.summary().verdict), (Some(0), Verdict::TargetReached), "{}", ended.log());
    assert_eq!((ended.peak(), ended.summary().peak_accepted), (TARGET, Some(TARGET)), "{}", ended.log());
}

#[test]
fn the_image_runs_as_its_user_and_looks_names_up() {
    require!(Long, Root, Program("musl-gcc"), Program("rustup"), Program("dnsmasq"), Program("buildah"));
    own_processes!();
    let _root = root_directory();
    let _server = name_server();
    let buildah = |words: &str| {
        let mut command = Command::new("buildah");
        own_storage(&mut command).args(words.split_whitespace());
        command
    };
    // As Kubernetes tells a pod.
    let search = ["c1m.svc.cluster.local", "svc.cluster.local", "cluster.local"].map(|s| format!("--dns-search {s}"));
    let from = format!("from --dns 127.0.0.53 --dns-option ndots:5 {} localhost/c1m-top", search.join(" "));
    let container = succeed(&mut buildah(&from));
    let run = |options: &str| {
        let words = format!("run --isolation chroot --network host {} -- /c1m-top {options}", container.trim());
        Run::spawn(&mut buildah(&words))
    };
    let options = "--output json --server --client c1m-server 9900 --listen 127.0.0.8 --target 5k --interval 200ms";
    let mut holding = run(&format!("{options} --hold 1s"));
    holding.until_holding();
    let pid = sh("pgrep -x c1m-top-server");
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap();
    assert!(status.contains("Uid:\t65532\t65532\t65532\t65532\n"), "{status}");
    assert!(status.contains("CapEff:\t0000000000000000\n"), "{status}");
    assert_connects(holding, "c1m-server", "127.0.0.8");
}
