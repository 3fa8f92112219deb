//! Attaching: to a run that somebody else started, and to a process that knows nothing of this program.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use c1m_top::model::{LimitState, RunPhase, Verdict};

use super::support::{
    AS_NOBODY, Cgroup, Control, Controller, Home, Run, Started, Version, is_running, own_namespace, require,
};

#[test]
fn a_second_dashboard_sees_the_same_counts_and_leaves_the_run_alone() {
    own_namespace!();
    let mut run = Run::start("--server --client 127.0.0.1 9900 --target 4k --interval 100ms");
    let engines = run.engines(true, true);
    run.until("both ends", |p| p.samples.last().is_some_and(|s| s.accepted == Some(4_000)));
    // By the dashboard, by either engine: the same run.
    for pid in [run.pid(), engines.server.unwrap(), engines.client.unwrap()] {
        let second = Run::start(&format!("--attach {pid} --duration 500ms --interval 100ms"));
        let ended = second.finish();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        for sample in &ended.samples {
            assert_eq!((sample.established, sample.accepted, sample.target), (4_000, Some(4_000), Some(4_000)));
            assert_eq!(sample.phase, RunPhase::Holding);
        }
        assert_eq!(ended.summary().peak_established, Some(4_000));
        assert!(is_running(engines.server.unwrap()) && is_running(engines.client.unwrap()));
        assert_eq!(Control::connect(engines.client.unwrap()).unwrap().stats().open, 4_000);
    }
    let ended = run.interrupt();
    assert_eq!((ended.code, ended.summary().verdict), (Some(0), Verdict::TargetReached), "{ended:#?}");
}

/// Words before a command line that start it without any of the variables that name directories.
const BARE: [&str; 9] = ["env", "-u", "HOME", "-u", "XDG_RUNTIME_DIR", "-u", "XDG_STATE_HOME", "-u", "TMPDIR"];

/// A shell that makes directories read-only for what it becomes.
fn read_only(directories: &str) -> Vec<String> {
    let script = format!(
        r#"for d in {directories}; do mount --bind $d $d && mount -o remount,bind,ro $d || exit 9; done; exec "$0" "$@""#
    );
    ["unshare", "--mount", "sh", "-c", &script].map(ToOwned::to_owned).to_vec()
}

#[test]
fn a_run_needs_no_directory_and_no_name() {
    require!(OtherUser, Program("unshare"));
    own_namespace!();
    let words = |parts: &[&[&str]]| parts.concat().into_iter().map(ToOwned::to_owned).collect::<Vec<String>>();
    let long = Home::path().join("x".repeat(200));
    std::fs::create_dir(&long).unwrap();
    let long = format!("XDG_RUNTIME_DIR={}", long.display());
    // Whether the engines can be attached to: where nothing at all can be written to, they cannot.
    let rows: [(&str, Vec<String>, bool); 8] = [
        ("root", words(&[&BARE]), true),
        ("nobody", words(&[&BARE, &AS_NOBODY]), true),
        ("root in a user namespace of nobody", words(&[&BARE, &AS_NOBODY, &["unshare", "--map-root-user"]]), true),
        ("root again", words(&[&BARE]), true),
        ("a long directory", words(&[&["env", &long]]), true),
        ("no such directory", words(&[&["env", "XDG_RUNTIME_DIR=/nowhere"]]), true),
        ("/tmp read-only", [words(&[&BARE]), read_only("/tmp")].concat(), true),
        ("all read-only", [words(&[&BARE, &["env", "-C", "/"]]), read_only("/ /tmp /dev/shm /run")].concat(), false),
    ];
    for (name, wrapper, attachable) in rows {
        eprintln!("{name}");
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        let mut run = Run::under(&wrapper, "--server --client 127.0.0.1 9900 --target 200 --ports 4 --interval 100ms");
        run.until_holding();
        // By the same user, who has his own namespaces in hand, from where everything can be written to.
        let as_user = if wrapper.contains(&AS_NOBODY[0]) { &AS_NOBODY[..] } else { &[] };
        let second = Run::under(as_user, &format!("--attach {} --duration 300ms --interval 100ms", run.pid())).finish();
        assert_eq!(second.code, Some(0), "{name}: {second:#?}");
        assert_eq!(second.summary().peak_established, attachable.then_some(200), "{name}: {second:#?}");
        let ended = run.interrupt();
        assert_eq!((ended.code, ended.summary().peak_established), (Some(0), Some(200)), "{name}: {ended:#?}");
        let refused = ["server/no_control_socket", "client/no_control_socket"].map(|id| ended.event(id).is_some());
        assert_eq!(refused, [!attachable; 2], "{name}: {}", ended.log());
        assert_eq!(ended.alarms().len(), 0, "{name}: {}", ended.log());
    }
}

#[test]
fn an_engine_of_another_user_is_only_watched() {
    require!(OtherUser);
    own_namespace!();
    for (owner, other) in [(&AS_NOBODY[..], &[][..]), (&[], &AS_NOBODY)] {
        let mut run = Run::under(owner, "--server --listen 127.0.0.1 --ports 4 --interval 100ms");
        run.until("a sample", |p| !p.samples.is_empty());
        let second = Run::under(other, &format!("--attach {} --duration 300ms --interval 100ms", run.pid())).finish();
        assert_eq!(second.code, Some(0), "{second:#?}");
        assert_eq!(second.summary().peak_accepted, None, "{second:#?}");
        second
            .assert_event("attach", &["is c1m-top of another user (uid ", "watched from outside", "takes no commands"]);
        assert_eq!(run.interrupt().summary().peak_accepted, Some(0));
    }
}

#[test]
fn a_process_is_found_by_its_port_its_cgroup_and_its_name() {
    require!(Root, Cgroup(Controller::Pids, Version::V1));
    own_namespace!();
    let group = Cgroup::pids(Version::V1, "attach", 50);
    let script = format!("{} && exec \"$0\" \"$@\"", group.join());
    let mut run = Run::start("--server --listen 127.0.0.1 --ports 2 --port 9941 --interval 100ms");
    run.until("a sample", |p| !p.samples.is_empty());
    // The engine of that run, with what it counts itself.
    let by_port = Run::start("--attach :9942 --duration 300ms --interval 100ms").finish();
    assert_eq!((by_port.code, by_port.summary().peak_accepted), (Some(0), Some(0)), "{by_port:#?}");
    run.interrupt();

    let name = Home::path().join("c1mt-sleeper");
    std::fs::copy("/bin/sleep", &name).unwrap();
    let sleeper = || {
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).arg(&name).arg("60");
        Started::become_program(&mut shell, "c1mt-sleeper")
    };
    let first = sleeper();
    for selector in ["c1mt-sleeper", &format!("cgroup:/sys/fs/cgroup/pids/{}", group.name())] {
        let found = Run::start(&format!("--attach {selector} --duration 200ms --interval 100ms")).finish();
        assert_eq!((found.code, found.summary().verdict), (Some(0), Verdict::Watched), "{selector}: {found:#?}");
    }
    let second = sleeper();
    let refused = Run::start("--attach c1mt-sleeper --duration 200ms").finish();
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    let refused = refused.stderr;
    let (list, line) = refused.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(
        line,
        "c1m-top: --attach c1mt-sleeper: 2 processes have that name; give the number of one, or several with commas"
    );
    for pid in [first.id(), second.id()] {
        let row = list.lines().find(|l| l.split_whitespace().next() == Some(&pid.to_string()));
        assert!(row.is_some_and(|row| row.contains("root") && row.contains("c1mt-sleeper")), "{refused}");
    }
}

#[test]
fn an_attached_dashboard_says_when_the_run_dies() {
    own_namespace!();
    let run = Run::start("--server --listen 127.0.0.1");
    let pid = run.engines(true, false).server.unwrap();
    let mut second = Run::start(&format!("--attach {pid} --interval 100ms"));
    second.until("a sample", |p| p.samples.len() > 1);
    drop(run);
    let ended = second.finish();
    assert_eq!((ended.code, ended.summary().verdict), (Some(4), Verdict::EngineKilled), "{ended:#?}");
}

#[test]
fn a_foreign_process_and_the_sockets_of_its_namespace() {
    const CONNECTIONS: u64 = 300;
    own_namespace!();
    // This test process is the stranger: a listener and both ends of its connections.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let pairs: Vec<_> =
        (0..CONNECTIONS).map(|_| (TcpStream::connect(at).unwrap(), listener.accept().unwrap().0)).collect();
    let own = std::process::id();
    // The dashboard looks from a namespace in which there is no socket at all.
    let elsewhere = Run::under(&["unshare", "--net"], &format!("--attach {own} --duration 500ms --interval 100ms"));
    let ended = elsewhere.finish();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let sample = ended.samples.last().unwrap();
    assert_eq!(sample.sockets, Some(2 * CONNECTIONS + 1), "{sample:?}");
    // Both ends are in this namespace, and this process': a connection of its listener is one.
    assert_eq!(sample.established, CONNECTIONS, "{sample:?}");
    let process = sample.process.as_ref().unwrap();
    assert_eq!((process.pid, process.connections, process.queued), (own, Some(CONNECTIONS), Some(0)), "{process:?}");
    assert_eq!(process.listeners.len(), 1, "{process:?}");
    let nofile = ended.limit("nofile");
    let soft: u64 = limit_of_this_process("Max open files");
    assert_eq!(nofile.limit, Some(soft), "{nofile:?}");
    if let Some(used) = nofile.used {
        let room = 2 * CONNECTIONS..2 * CONNECTIONS + 100;
        assert!(room.contains(&used), "{nofile:?}");
    }
    assert_eq!((ended.summary().peak_established, ended.summary().peak_accepted), (None, None));
    drop(pairs);
}

/// A server that accepts so many, and then no more; it prints its port, and goes on until its input ends.
const SERVER: &str = "import socket, sys
s = socket.create_server(('127.0.0.1', 0), backlog=64)
print(s.getsockname()[1], flush=True)
held = [s.accept() for _ in range(int(sys.argv[1]))]
print('held', flush=True)
sys.stdin.read()";

#[test]
fn what_a_process_holds_is_told_from_its_queue_and_from_its_neighbours() {
    require!(Program("python3"));
    own_namespace!();
    let serve = |most: &str| {
        let mut command = Command::new("python3");
        command.args(["-c", SERVER, most]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = Started::spawn(&mut command);
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
        let port: u16 = lines.next().unwrap().parse().unwrap();
        (server, lines, port)
    };
    let connect = |port, n: usize| -> Vec<TcpStream> {
        (0..n).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect()
    };
    let (server, mut lines, port) = serve("100");
    let (_neighbour, _lines, other) = serve("500");
    let mut clients = connect(port, 120);
    let _others = connect(other, 300);
    assert_eq!(lines.next().as_deref(), Some("held"));
    // Closed by the client, and not by the server.
    clients.drain(..10);
    let ended = Run::start(&format!("--attach {} --duration 500ms --interval 100ms", server.id())).finish();
    let process = ended.samples.last().unwrap().process.clone().unwrap();
    assert_eq!(
        (process.connections, process.queued, process.close_wait),
        (Some(100), Some(20), Some(10)),
        "{process:?}"
    );
    let listener = &process.listeners[0];
    assert_eq!((listener.port, listener.established, listener.queued, listener.backlog), (port, 120, 20, 64));
    assert_eq!(ended.summary().process.as_ref().and_then(|p| p.connections), Some(100), "{}", ended.log());

    // What comes and goes between two counts is seen by the descriptors; the others' are not.
    let (server, mut lines, port) = serve("50");
    let mut run = Run::start(&format!("--attach {} --interval 100ms", server.id()));
    run.until("a sample", |p| p.samples.len() > 1);
    let _clients = connect(port, 50);
    assert_eq!(lines.next().as_deref(), Some("held"));
    run.until("its connections", |p| p.established() == 50);
    assert_eq!(run.interrupt().summary().process.as_ref().and_then(|p| p.connections), Some(50));
}

#[test]
fn the_runtime_of_a_foreign_process_is_read_from_how_it_was_started() {
    // A shell that calls itself so, in this environment and with these words after its script.
    let rows = [
        ("/usr/lib/erlang/bin/beam.smp", "ERL_MAX_PORTS", "3000", "-Q 5000 --", Some(8192)),
        ("/usr/lib/erlang/bin/beam.smp", "ERL_MAX_PORTS", "3000", "", Some(4096)),
        ("node", "NODE_OPTIONS", "--max-old-space-size=300", "", Some(300 << 20)),
        ("/srv/chat", "GOMEMLIMIT", "2GiB", "", Some(2 << 30)),
        ("/srv/chat", "GOMEMLIMIT", "off", "", None),
    ];
    for (name, variable, value, words, limit) in rows {
        let mut shell = Command::new("sh");
        shell
            .arg0(name)
            .env(variable, value)
            .args(["-c", "read line"])
            .args(words.split_whitespace())
            .stdin(Stdio::piped());
        let mut shell = Started::spawn(&mut shell);
        let ended = Run::start(&format!("--attach {} --duration 200ms --interval 100ms", shell.id())).finish();
        drop(shell.stdin.take());
        shell.wait().unwrap();
        let runtime = ended.limit("runtime");
        assert_eq!(runtime.limit, limit, "{name} {variable}={value} {words:?}: {runtime:?}");
    }
}

#[test]
fn the_ports_of_a_real_erlang_are_as_many_as_it_says_itself() {
    const SAY: &str = "io:format(\"~p~n\", [erlang:system_info(port_limit)]).";
    require!(Program("erl"));
    for flags in [&[][..], &["+Q", "5000"], &["+Q100000"]] {
        let mut erl = Command::new("erl");
        erl.args(["-noshell", "-noinput", "-eval", SAY]).args(flags).stdout(Stdio::piped());
        let mut erl = Started::spawn(&mut erl);
        let mut said = String::new();
        BufReader::new(erl.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        let ended = Run::start(&format!("--attach {} --duration 200ms --interval 100ms", erl.id())).finish();
        erl.kill().unwrap();
        erl.wait().unwrap();
        let runtime = ended.limit("runtime");
        assert_eq!(runtime.limit, said.trim().parse().ok(), "{flags:?}: {runtime:?}");
    }
}

#[test]
fn a_foreign_server_that_does_not_accept_is_told_before_anything_is_dropped() {
    own_namespace!();
    // This test process listens, and never accepts.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:9900".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(8).unwrap();
    let held: Vec<_> = (0..9).map(|_| TcpStream::connect("127.0.0.1:9900").unwrap()).collect();
    let options = format!("--attach {} --duration 5s --interval 200ms", std::process::id());
    // From its own network namespace, and from another one.
    let runs = [Run::start(&options), Run::under(&["unshare", "--net"], &options)];
    for run in runs {
        let ended = run.finish();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        let queue = ended.limit("accept_queue");
        assert_eq!((queue.used, queue.limit, queue.state), (Some(9), Some(8), LimitState::Warn), "{queue:?}");
        assert_eq!(queue.reason.as_deref(), Some("port 9900: 9 of 8 waiting"));
        let told: Vec<_> = ended.events.iter().filter(|e| e.text.contains("accept queue")).collect();
        assert_eq!(told.len(), 1, "{}", ended.log());
        let text =
            "the server on port 9900 is not accepting: 9 of 8 waiting in its accept queue; is the server stopped";
        assert!(told[0].text.starts_with(text), "{}", told[0].text);
    }
    drop(held);
}

/// The soft limit of a line of /proc/self/limits.
fn limit_of_this_process(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
