//! A container, attached to from outside: its processes have numbers, files, a network and a cgroup of their own.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::support::{
    AS_NOBODY, Cgroup, Controller, Home, Printed, Run, Started, Version, both_versions, own_namespace, program,
    require, succeed, wait_until,
};

/// The port that is listened on inside.
const PORT: u16 = 9947;

/// What `net.core.somaxconn` is inside.
const SOMAXCONN: u64 = 300;

/// A server in namespaces of its own. It ends with this.
#[derive(Debug)]
struct Container {
    /// The first of its processes, as it is numbered outside.
    outer: u32,
    /// How a container engine calls it.
    id: String,
    /// Ends before the cgroup is removed.
    _unshare: Started,
    _cgroup: Cgroup,
}

impl Container {
    /// Has a shell inside, in a cgroup that is made for the id, become the server: `line` does, after `/srv` has been made its
    /// own. The test requires root, unshare(1) and the controller.
    fn start(cgroup: impl FnOnce(&str) -> Cgroup, line: &str, name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let id = format!("{:08x}{:04x}{:052x}", std::process::id(), COUNT.fetch_add(1, Relaxed), 0xc1);
        let cgroup = cgroup(&format!("docker-{id}.scope"));
        let mut unshare = Command::new("setpriv");
        let namespaces = "--pdeathsig KILL unshare --net --pid --mount --uts --ipc --fork --kill-child --mount-proc";
        unshare.args(namespaces.split(' ')).args(["sh", "-c"]).arg(format!(
            "{} && ip link set lo up && echo {SOMAXCONN} > /proc/sys/net/core/somaxconn && mount -t tmpfs none /srv && \
             ulimit -n 600 && {line}",
            cgroup.join()
        ));
        let unshare = Started::spawn(unshare.stdin(Stdio::null()));
        let children = format!("/proc/{0}/task/{0}/children", unshare.id());
        let outer = wait_until("the first process inside", || {
            let first = std::fs::read_to_string(&children).ok()?.split_whitespace().next()?.parse().ok()?;
            let comm = std::fs::read_to_string(format!("/proc/{first}/comm")).ok()?;
            (comm.trim() == name).then_some(first)
        });
        let container = Self { outer, id, _unshare: unshare, _cgroup: cgroup };
        wait_until("its listener", || {
            let sockets = std::fs::read_to_string(format!("/proc/{outer}/net/tcp")).unwrap();
            sockets.contains(&format!(":{PORT:04X} 00000000:0000 0A")).then_some(())
        });
        container
    }

    /// What a user types of the id.
    fn short(&self) -> &str {
        &self.id[..12]
    }

    /// Where its network namespace is, as nsenter(1) takes it.
    fn network(&self) -> String {
        format!("--net=/proc/{}/ns/net", self.outer)
    }

    /// Opens so many connections inside, and holds them.
    fn fill(&self, connections: u64) -> Run {
        let mut client = Run::under(
            &["nsenter", &self.network()],
            &format!(
                "--client 127.0.0.1 {PORT} --ports 1 --target {connections} --rate 200 --no-guard --hold 2m --duration 2m"
            ),
        );
        client.until_holding();
        client
    }
}

/// nginx with one worker, which alone sees its configuration.
fn nginx() -> Container {
    let conf = format!(
        "user root;
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log crit;
events {{ worker_connections 400; }}
http {{
    access_log off;
    client_header_timeout 10m;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{ listen {PORT}; return 204; }}
}}
"
    );
    let outside = Home::path().join("container.conf");
    std::fs::write(&outside, conf).unwrap();
    let line =
        format!("cp {} /srv/c1m.conf && exec nginx -p /srv -c /srv/c1m.conf -e /srv/error.log", outside.display());
    let container = Container::start(|name| Cgroup::pids(Version::V1, name, 100), &line, "nginx");
    std::fs::remove_file(outside).unwrap();
    assert!(!Path::new("/srv/c1m.conf").exists(), "it is there inside alone");
    container
}

/// A server that accepts so many and then takes memory until it has none left.
const EATER: &str = "import socket, sys, time
s = socket.create_server(('127.0.0.1', int(sys.argv[1])), backlog=4096)
held = [s.accept() for _ in range(int(sys.argv[2]))]
time.sleep(2)
eaten = []
while True:
    eaten.append(bytearray(b'x') * (1 << 20))
    time.sleep(0.02)";

/// As [`EATER`], waiting for so many.
fn eater(cgroup: impl FnOnce(&str) -> Cgroup, accepts: u64) -> Container {
    let script = Home::path().join("eater.py");
    std::fs::write(&script, EATER).unwrap();
    let python = succeed(Command::new("python3").args(["-c", "import sys; print(sys.executable)"]));
    let python = std::fs::canonicalize(python.trim()).unwrap();
    let name = python.file_name().unwrap().to_str().unwrap().to_owned();
    Container::start(cgroup, &format!("exec {} {} {PORT} {accepts}", python.display(), script.display()), &name)
}

/// What `check` says that there is of a limit, for a process that runs.
fn present(pid: u32, id: &str) -> Option<u64> {
    let mut command = program();
    command.args(["check", "--target", "1m", "--role", "server", "--output", "json", "--pid"]).arg(pid.to_string());
    let report: serde_json::Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    let row = report["limits"].as_array().unwrap().iter().find(|row| row["id"] == id);
    row.unwrap_or_else(|| panic!("no limit {id}: {report:#}"))["present"].as_u64()
}

#[test]
fn a_container_is_seen_from_outside_with_all_that_bounds_it() {
    const CONNECTIONS: u64 = 250;
    require!(Root, Program("unshare"), Program("nginx"), Cgroup(Controller::Pids, Version::V1));
    own_namespace!();
    let container = nginx();
    let selectors = [format!("container:{}", container.short()), container.outer.to_string(), format!(":{PORT}")];
    let mut watchers: Vec<Run> =
        selectors.iter().map(|s| Run::start(&format!("--attach {s} --interval 200ms --duration 2m"))).collect();
    for watcher in &mut watchers {
        watcher.until("samples of a server at rest", |p| p.samples.len() > 2);
    }
    let client = container.fill(CONNECTIONS);
    for (selector, mut watcher) in selectors.iter().zip(watchers) {
        let counted = |p: &Printed| {
            let process = p.samples.last().and_then(|s| s.process.as_ref());
            process.is_some_and(|p| p.connections == Some(CONNECTIONS) && p.listeners[0].established == CONNECTIONS)
        };
        watcher.until(&format!("{selector}: its connections"), counted);
        let ended = watcher.interrupt();
        assert_eq!(ended.code, Some(0), "{selector}: {ended:#?}");
        let process = ended.samples.last().unwrap().process.clone().unwrap();
        assert_eq!((process.pid, process.name.as_str()), (container.outer, "nginx"), "{selector}");
        assert!(process.members.len() == 2 && process.members.iter().all(|m| m.name == "nginx"), "{process:?}");
        let listener = &process.listeners[0];
        assert_eq!((listener.port, listener.backlog), (PORT, SOMAXCONN), "{selector}: {listener:?}");
        let nofile = ended.limit("nofile");
        assert_eq!(nofile.limit, Some(600), "{selector}: {nofile:?}");
        let own = ended.limit("app");
        eprintln!("{selector}: nofile {:?}, app {own:?}", nofile.forecast_connections);
        assert!(nofile.forecast_connections.is_some_and(|n| (560..600).contains(&n)), "{selector}: {nofile:?}");
        assert!(own.limit.is_some_and(|n| (390..=400).contains(&n)), "{selector}: {own:?}");
        assert!(ended.event("attach/namespace").is_none(), "{selector}: {}", ended.log());
    }
    drop(client);

    // What is set inside, and what is the same for the whole machine.
    assert_eq!(present(container.outer, "accept_queue"), Some(SOMAXCONN));
    let look = format!("--attach {} --duration 300ms --interval 100ms", container.outer);
    let unseen = Run::under(&AS_NOBODY, &look).finish();
    assert_eq!(unseen.code, Some(0), "{unseen:#?}");
    let said = unseen.assert_event("attach/namespace", &["which this user may not enter: ", "; root sees them"]);
    for name in ["somaxconn", "ip_local_port_range", "tcp_max_tw_buckets"] {
        assert!(said.text.contains(name) && said.count == 1, "{}", said.text);
    }

    // A second one that listens on the same port: which is meant is asked, and where each is.
    let second = eater(|name| Cgroup::pids(Version::V1, name, 100), 5_000);
    let refused = Run::start(&format!("--attach :{PORT} --duration 200ms")).finish();
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    for one in [&container, &second] {
        let row = refused.stderr.lines().find(|l| l.split_whitespace().next() == Some(&one.outer.to_string()));
        assert!(row.is_some_and(|row| row.contains(&format!("container {}", one.short()))), "{}", refused.stderr);
    }
}

fn a_kill_for_memory_inside(version: Version) {
    const CONNECTIONS: u64 = 200;
    require!(Root, Program("unshare"), Program("python3"));
    let container = eater(|name| Cgroup::memory(version, name, 48 << 20, None), CONNECTIONS);
    let mut watcher = Run::start(&format!("--attach container:{} --interval 200ms --duration 2m", container.short()));
    watcher.until("samples of a server at rest", |p| p.samples.len() > 2);
    let _client = container.fill(CONNECTIONS);
    let ended = watcher.finish();
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    let death = ended.assert_event("death", &["OOM killer", container.short(), "48.0 MiB"]);
    assert!(death.text.contains(&container.outer.to_string()), "by its number here: {}", death.text);
    assert_eq!(ended.summary().process.as_ref().and_then(|p| p.connections), Some(CONNECTIONS), "{}", ended.log());
}

both_versions!(
    a_kill_for_memory_inside,
    a_kill_for_memory_in_a_container_of_version_1_is_named_from_outside,
    a_kill_for_memory_in_a_container_of_version_2_is_named_from_outside,
    own_namespace
);
