//! What a run says of failures that show nothing by themselves, on the real kernel; and that a healthy run says nothing.

mod scenario;
mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use c1m_top::model::EventLine;
use c1m_top::protocol::{Command, Role};
use c1m_top::sys;

use scenario::standstill::{LOADS, Load, standstill};
use scenario::{Mode, scenario, server};
use support::{Control, Net, Run, Started, are_met};

/// No queue of this namespace is longer.
const SHORT_QUEUES: &str = "echo 64 > /proc/sys/net/core/somaxconn";

/// A run inside `net`, a sample every 100 ms.
fn start(net: &Net, options: &str) -> Run {
    net.run(&format!("--interval 100ms {options}"))
}

/// Two hosts that are linked.
fn hosts() -> (Net, Net) {
    let (here, there) = (Net::new(), Net::new());
    here.join(&there);
    (here, there)
}

#[test]
fn a_server_elsewhere_without_descriptors_is_seen_as_a_stall() {
    require!(Root, NetworkNamespace, Veth);
    let (here, there) = hosts();
    there.sh(SHORT_QUEUES);
    let mut far = server(&there, "ulimit -n 1024", "--workers 1 --ports 2");
    let mut client = start(&here, "--client 10.9.0.2 9900 --ports 2 --target 5k --rate 1k --duration 30s");
    client.until("the stall", |p| p.event("stall").is_some());
    far.until("the limit", |p| p.event("nofile/server").is_some());
    let (client, far) = (client.interrupt(), far.interrupt());
    client.assert_event(
        "stall",
        &[
            "no connection was established",
            "near 1,024",
            "look at the other host: c1m-top --attach PID",
            "/proc/PID/limits",
        ],
    );
    far.assert_event("nofile/server/accept/EMFILE", &["open-file limit", "1,024", "Cure: ", "LimitNOFILE="]);
    assert_eq!(client.code, Some(0), "ended by the user, and no limit of this host was met");
}

#[test]
fn a_stopped_server_overflows_its_accept_queue() {
    require!(Root, NetworkNamespace);
    let net = Net::new();
    net.sh(SHORT_QUEUES);
    let server = server(&net, ":", "--listen 127.0.0.1 --ports 1");
    let engine = server.engine(Role::Server);
    sys::kill(engine, libc::SIGSTOP).unwrap();
    let mut client = start(&net, "--client 127.0.0.1 9900 --ports 1 --target 2k --rate 1k --duration 30s");
    client.until("the stall", |p| p.event("stall").is_some());
    sys::kill(engine, libc::SIGCONT).unwrap();
    let (client, server) = (client.interrupt(), server.interrupt());
    let full = "the accept queue of port 9900 is full (65 of 64 waiting): the server is not accepting";
    client.assert_event("stall", &["no connection was established for 2", full]);
    // The same from the server's side, whose engine is stopped and whose queue nobody has to be asked for.
    server.assert_event("listen_overflows", &["the one on port 9900 still is, 65 of 64 waiting", "ListenOverflows +"]);
}

#[test]
fn a_server_paused_by_command_is_named() {
    require!(Root, NetworkNamespace);
    let net = Net::new();
    let options = "--server --client 127.0.0.1 9900 --ports 1 --target 20k --rate 1k --duration 30s";
    net.sh(SHORT_QUEUES);
    let mut run = start(&net, options);
    run.until("connections", |p| p.established() > 200);
    Control::wait_for(run.engine(Role::Server)).tell(&Command::Pause);
    run.until("the stall", |p| p.event("stall").is_some());
    run.interrupt().assert_event("stall", &["no connection was established for 2", ": the server is paused"]);
}

#[test]
fn messages_that_nobody_reads_are_told_from_both_sides() {
    require!(Root, NetworkNamespace, Veth);
    let (here, there) = hosts();
    let traffic = "--ports 1 --target 50 --active 100% --message 1KiB --every 100ms --hold 10s";
    let mut joint = start(&here, &format!("--server --client 127.0.0.1 9900 {traffic}"));
    let far = server(&there, ":", "--ports 1");
    let mut client = start(&here, &format!("--client 10.9.0.2 9900 {traffic}"));
    for (run, of) in [(&mut joint, None), (&mut client, Some(&far))] {
        run.until("all", |p| p.established() == 50);
        let server = of.unwrap_or(run).engine(Role::Server);
        sys::kill(server, libc::SIGSTOP).unwrap();
        run.until("the stall", |p| p.event("echo_stall").is_some());
        sys::kill(server, libc::SIGCONT).unwrap();
    }
    let (joint, client) = (joint.interrupt(), client.interrupt());
    let what = "no message has come back for 2";
    joint.assert_event("echo_stall", &[what, "on 50 active connections: the server engine has been silent for 2"]);
    client.assert_event("echo_stall", &[what, "look at the other host. If ss -tn there shows"]);
    far.interrupt();
}

#[test]
fn a_server_that_takes_more_than_it_keeps_is_told() {
    require!(Root, NetworkNamespace, Program("python3"));
    let net = Net::new();
    // It accepts, keeps a hundred, and closes the oldest for each new one.
    let script = "import socket
s = socket.create_server(('127.0.0.1', 9900), backlog=512)
print('listens', flush=True)
held = []
while True:
    held.append(s.accept()[0])
    if len(held) > 100: held.pop(0).close()
";
    let mut python = Started::spawn(net.command("python3").args(["-c", script]).stdout(Stdio::piped()));
    let mut line = String::new();
    BufReader::new(python.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "listens\n");
    let options = "--client 127.0.0.1 9900 --ports 1 --target 2k --rate 500 --duration 10s";
    let mut client = start(&net, options);
    client.until("the losses", |p| p.alarms().iter().any(|e| e.id == "lost"));
    python.kill().unwrap();
    python.wait().unwrap();
    client
        .interrupt()
        .assert_event("lost", &["the other end has closed", "it has a maximum (nginx: worker_connections)"]);
}

#[test]
fn cookies_that_are_always_sent_are_no_alarm() {
    require!(Root, NetworkNamespace);
    let net = Net::new();
    net.sh("echo 2 > /proc/sys/net/ipv4/tcp_syncookies");
    let run = start(&net, "--server --client 127.0.0.1 9900 --ports 1 --target 1k --rate 2k --hold 100ms");
    let outcome = run.finish();
    outcome
        .assert_event("syn_cookies_always", &["every connection is answered with a SYN cookie", "no queue was full"]);
    assert_eq!(outcome.alarms(), Vec::<&EventLine>::new());
}

#[test]
fn a_full_connection_table_is_the_cause_of_the_stall() {
    let scenario = scenario("conntrack");
    if are_met("a_full_connection_table_is_the_cause_of_the_stall", scenario.needs) {
        let outcome = (scenario.run)(Mode::Meet);
        outcome.assert_event("stall", &["8,000 of 8,000", "sysctl -w net.netfilter.nf_conntrack_max="]);
    }
}

#[test]
fn a_healthy_run_and_each_end_of_one_raise_no_alarm() {
    require!(Root, NetworkNamespace, Veth);
    let (here, there) = hosts();
    let joint = start(&here, "--server --client 127.0.0.1 9900 --target 20k --hold 500ms").finish();
    let mut far = server(&there, ":", "");
    let client = start(&here, "--client 10.9.0.2 9900 --target 20k --hold 500ms").finish();
    far.until("none left", |p| p.established() == 0);
    let far = far.interrupt();
    for (view, outcome) in [("joint", joint), ("client", client), ("server", far)] {
        assert_eq!(outcome.alarms(), Vec::<&EventLine>::new(), "{view}");
        assert_eq!(outcome.code, Some(0), "{view}");
    }
}

#[test]
fn how_long_a_server_may_stand_still_is_forecast() {
    require!(Host, Root);
    let load = Load { pages: 16_000, ..LOADS[1] };
    let (forecast, took) = standstill(load);
    // How near it is `cargo bench --bench forecast -- freeze` says; here it is of the right order.
    assert!(forecast > took / 2.0 && forecast < took * 2.0, "{forecast} s were forecast, it took {took} s");
}
