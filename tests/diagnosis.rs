//! What a run says of failures that show nothing by themselves, on the real kernel; and that a healthy run says nothing.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

#[expect(dead_code, unreachable_pub, unused_imports, reason = "shared with the benchmark and other tests")]
mod scenario;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use c1m_top::engine::path;
use c1m_top::protocol::Command;
use scenario::{Mode, Net, Outcome, Run, engine, signal};

/// The program.
const BINARY: &str = env!("CARGO_BIN_EXE_c1m-top");

/// A run inside `net`, a sample every 100 ms, after a line of shell.
fn start(net: &Net, before: &str, options: &str) -> Run {
    let mut command = net.command("sh");
    command.args(["-c", &format!("{before}; exec \"$0\" \"$@\""), BINARY]);
    command.args(["--output", "json", "--interval", "100ms"]).args(options.split_whitespace());
    Run::start(command).unwrap()
}

/// A server that listens.
fn server(net: &Net, before: &str, options: &str) -> Run {
    let mut server = start(net, before, &format!("--server {options}"));
    server.until(|o| !o.samples.is_empty());
    assert!(!server.printed().samples.is_empty(), "{}", server.finish().noise);
    server
}

fn ended(run: Run) -> Outcome {
    run.interrupt();
    run.finish()
}

/// The text of an event, with everything that was said where there is none.
#[track_caller]
fn said(outcome: &Outcome, id: &str, parts: &[&str]) {
    let event = outcome.event(id).unwrap_or_else(|| panic!("no event {id}: {:#?}", outcome.events));
    eprintln!("{id} x{}: {}", event.count, event.text);
    for part in parts {
        assert!(event.text.contains(part), "'{part}' is not in: {}", event.text);
    }
}

/// Namespaces, or a line that says why not.
fn net() -> Option<Net> {
    Net::new().map_err(|why| eprintln!("skipped: {why}")).ok()
}

#[test]
fn a_server_elsewhere_without_descriptors_is_seen_as_a_stall() {
    let (Some(here), Some(there)) = (net(), net()) else { return };
    here.join(&there).unwrap();
    there.sh("echo 64 > /proc/sys/net/core/somaxconn").unwrap();
    let mut far = server(&there, "ulimit -n 1024", "--workers 1 --ports 2");
    let mut client = start(&here, ":", "--client 10.9.0.2 9900 --ports 2 --target 5k --rate 1k --duration 30s");
    client.until(|o| o.event("stall").is_some());
    far.until(|o| o.event("nofile/server").is_some());
    let (client, far) = (ended(client), ended(far));
    said(
        &client,
        "stall",
        &[
            "no connection was established",
            "near 1,024",
            "look at the other host: c1m-top --attach PID",
            "/proc/PID/limits",
        ],
    );
    said(&far, "nofile/server/accept/EMFILE", &["descriptor", "1,024", "Cure: ", "LimitNOFILE="]);
    assert_eq!(client.code, Some(0), "ended by the user, and no limit of this host was met");
}

#[test]
fn a_stopped_server_overflows_its_accept_queue() {
    let Some(net) = net() else { return };
    net.sh("echo 64 > /proc/sys/net/core/somaxconn").unwrap();
    let server = server(&net, ":", "--listen 127.0.0.1 --ports 1");
    signal(engine(&server, "server"), "STOP");
    let mut client = start(&net, ":", "--client 127.0.0.1 9900 --ports 1 --target 2k --rate 1k --duration 30s");
    client.until(|o| o.event("stall").is_some());
    signal(engine(&server, "server"), "CONT");
    let (client, server) = (ended(client), ended(server));
    let full = "the accept queue of port 9900 is full (65 of 64 wait): the server does not accept";
    said(&client, "stall", &["no connection was established for 2", full]);
    // The same from the server's side, whose engine is stopped and whose queue nobody has to be asked for.
    said(&server, "listen_overflows", &["that of port 9900 still is, 65 of 64 wait", "ListenOverflows +"]);
}

#[test]
fn a_server_paused_by_command_is_named() {
    let Some(net) = net() else { return };
    let options = "--server --client 127.0.0.1 9900 --ports 1 --target 20k --rate 1k --duration 30s";
    let mut run = start(&net, "echo 64 > /proc/sys/net/core/somaxconn", options);
    run.until(|o| o.samples.last().is_some_and(|s| s.established > 200));
    let socket = path::find(engine(&run, "server")).unwrap();
    let mut control = UnixStream::connect(socket).unwrap();
    writeln!(control, "{}", serde_json::to_string(&Command::Pause).unwrap()).unwrap();
    run.until(|o| o.event("stall").is_some());
    said(&ended(run), "stall", &["no connection was established for 2", ": the server is paused"]);
}

#[test]
fn messages_that_nobody_reads_are_told_from_both_sides() {
    let (Some(here), Some(there)) = (net(), net()) else { return };
    here.join(&there).unwrap();
    let traffic = "--ports 1 --target 50 --active 100% --message 1KiB --every 100ms --hold 10s";
    let mut joint = start(&here, ":", &format!("--server --client 127.0.0.1 9900 {traffic}"));
    let far = server(&there, ":", "--ports 1");
    let mut client = start(&here, ":", &format!("--client 10.9.0.2 9900 {traffic}"));
    let holds = |o: &Outcome| o.samples.last().is_some_and(|s| s.established == 50);
    for (run, of) in [(&mut joint, None), (&mut client, Some(&far))] {
        run.until(holds);
        let server = engine(of.unwrap_or(run), "server");
        signal(server, "STOP");
        run.until(|o| o.event("echo_stall").is_some());
        signal(server, "CONT");
    }
    let (joint, client) = (ended(joint), ended(client));
    let what = "no message has come back for 2";
    said(&joint, "echo_stall", &[what, "on 50 active connections: the server's engine does not read"]);
    said(&client, "echo_stall", &[what, "look at the other host. There, ss -tn"]);
    ended(far);
}

#[test]
fn a_server_that_takes_more_than_it_keeps_is_told() {
    let Some(net) = net() else { return };
    // It accepts, keeps a hundred, and closes the oldest for each new one.
    let script = "import socket
s = socket.create_server(('127.0.0.1', 9900), backlog=512)
print('listens', flush=True)
held = []
while True:
    held.append(s.accept()[0])
    if len(held) > 100: held.pop(0).close()
";
    let mut python = net.command("python3");
    let Ok(mut python) = python.args(["-c", script]).stdout(Stdio::piped()).spawn() else {
        return eprintln!("skipped: python3 is not installed");
    };
    let mut line = String::new();
    BufReader::new(python.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    if line.is_empty() {
        python.wait().unwrap();
        return eprintln!("skipped: python3 is not installed");
    }
    let options = "--client 127.0.0.1 9900 --ports 1 --target 2k --rate 500 --duration 10s";
    let mut client = start(&net, ":", options);
    client.until(|o| o.alarms().iter().any(|e| e.id == "lost"));
    python.kill().unwrap();
    python.wait().unwrap();
    said(&ended(client), "lost", &["the other end has closed", "does not hold so many (nginx: worker_connections)"]);
}

#[test]
fn cookies_that_are_always_sent_are_no_alarm() {
    let Some(net) = net() else { return };
    let set = "echo 2 > /proc/sys/net/ipv4/tcp_syncookies";
    let run = start(&net, set, "--server --client 127.0.0.1 9900 --ports 1 --target 1k --rate 2k --hold 100ms");
    let outcome = run.finish();
    said(&outcome, "syn_cookies_always", &["every connection is answered with a SYN cookie", "no queue was full"]);
    assert_eq!(outcome.alarms(), Vec::<&_>::new());
}

#[test]
fn a_full_connection_table_is_the_cause_of_the_stall() {
    let scenario = scenario::SCENARIOS.iter().find(|s| s.limit == "conntrack").unwrap();
    match (scenario.run)(Mode::Meet) {
        Err(why) => eprintln!("skipped: {why}"),
        Ok(outcome) => said(&outcome, "stall", &["8,000 of 8,000", "sysctl -w net.netfilter.nf_conntrack_max="]),
    }
}

#[test]
fn a_healthy_run_and_each_end_of_one_raise_no_alarm() {
    let (Some(here), Some(there)) = (net(), net()) else { return };
    here.join(&there).unwrap();
    let joint = start(&here, ":", "--server --client 127.0.0.1 9900 --target 20k --hold 500ms").finish();
    let mut far = server(&there, ":", "");
    let client = start(&here, ":", "--client 10.9.0.2 9900 --target 20k --hold 500ms").finish();
    far.until(|o| o.samples.last().is_some_and(|s| s.established == 0));
    let far = ended(far);
    for (view, outcome) in [("joint", joint), ("client", client), ("server", far)] {
        assert_eq!(outcome.alarms(), Vec::<&_>::new(), "{view}");
        assert_eq!(outcome.code, Some(0), "{view}");
    }
}
