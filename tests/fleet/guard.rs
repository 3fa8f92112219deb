//! One guard: the server holds every client before its limit.

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::thread;

use c1m_top::model::Verdict;
use serde_json::Value;

use super::store::{Store, View, rows, sh, url, worker};
use super::support::{Finished, Home, Run, Started, own_namespace, print_uncaptured, require, wait_until};

/// Fails unless the guard of a server ended this client.
#[track_caller]
fn assert_held(end: &Finished) {
    assert_eq!((end.code, end.summary().verdict), (Some(3), Verdict::GuardStopped), "{end:#?}");
    assert_eq!(end.summary().stopped_by.as_deref(), Some("fleet_guard"));
    end.assert_event("phase/guarded", &["the fleet's guard holds the ramp"]);
}

/// Waits for the end of a fleet that a server's guard stopped.
#[track_caller]
fn assert_guarded(view: View) {
    let (code, summary) = view.finish();
    assert_eq!((code, summary["verdict"].as_str()), (Some(3), Some("guard_stopped")), "{summary:#}");
    assert_eq!(summary["bottleneck"]["bound"], "server", "{summary:#}");
}

/// nginx, one process with so many descriptors, on port 8080.
fn nginx(descriptors: u32) -> Started {
    let dir = Home::path();
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|of| format!("{of}_temp_path {of};")).join(" ");
    let http = "access_log off; client_header_timeout 10m; server { listen 127.0.0.1:8080; return 204; }";
    let main = "user root; daemon off; master_process off; pid nginx.pid; error_log error.log crit;";
    let conf = format!("{main} events {{ worker_connections 19000; }} http {{ {http} {temp} }}");
    fs::write(dir.join("nginx.conf"), conf).unwrap();
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={descriptors}")).arg("nginx").arg("-p").arg(&dir);
    let started = Started::become_program(command.args(["-c", "nginx.conf", "-e", "error.log"]), "nginx");
    wait_until("nginx", || TcpStream::connect(("127.0.0.1", 8080)).ok());
    started
}

#[test]
fn a_run_with_both_ends_is_nobody_elses_client() {
    require!(Root, Program("redis-server"));
    own_namespace!();
    let store = Store::start(&[]);
    let mut both = worker("night", "--server --client 127.0.0.1 9900 --ports 4 --target 100 --hold 30s");
    both.until_holding();
    let ours = store.ask(&["KEYS", "c1m-top:1:night:*"]);
    assert!(ours.contains(":present") && !ours.contains(":clients") && !ours.contains(":joined"), "{ours}");
    assert_eq!(both.interrupt().code, Some(0));
}

#[test]
fn servers_hold_all_clients_before_their_own_limits() {
    require!(Root, Program("redis-server"), Program("nginx"), Program("prlimit"));
    own_namespace!();
    let _store = Store::start(&[]);
    // Fleets in one store, which know nothing of one another.
    thread::scope(|scope| [one_server, foreign_server, two_servers].map(|of| drop(scope.spawn(of))));
}

#[test]
fn a_client_that_alone_has_lost_the_store_keeps_its_share() {
    require!(Root, Program("redis-server"), Program("nft"), Program("prlimit"));
    own_namespace!();
    let store = Store::start(&["--bind", "0.0.0.0", "--protected-mode", "no"]);
    let server = server();
    let client = "--client 127.0.0.1 9900 --ports 10 --target 8k --expect-workers 3 --hold 10s --interval 200ms";
    let fast = worker("night", &format!("{client} --rate 400"));
    let mut slow = Run::start(&format!("{client} --rate 200 --fleet redis://127.0.0.2/night"));
    slow.until("some", |p| p.established() >= 300);
    sh("nft 'add table inet c1m; add chain inet c1m out { type filter hook output priority 0; };
        add rule inet c1m out ip daddr 127.0.0.2 drop'");
    // Of some 1,800 that are left it has half. The other goes on twice as fast, and would be given more than the rest.
    let share = slow.wait_for("its share", |p| p.event("phase/guarded").map(|_| p.established()));
    slow.until("the store is missed", |p| p.event("fleet/away").is_some());
    let fast = fast.finish();
    sh("nft delete table inet c1m");
    drop(store);
    let server = server.interrupt();
    let peak = server.summary().peak_accepted.unwrap();
    assert!(peak <= 2700, "{peak} of 3,000: {share} of one, {:?} of the other", fast.summary().peak_established);
    assert!((800..=1350).contains(&share), "it goes on without the store: {share}");
}

/// A server with one table, so that its 3,000 open files are its limit; its two clients have all they want.
#[track_caller]
fn server() -> Run {
    let options =
        "--server --listen 127.0.0.1 --ports 10 --workers 1 --expect-workers 3 --duration 40s --interval 200ms";
    Run::under(&["prlimit", "--nofile=3000:3000"], &format!("{options} --fleet {}", url("night")))
}

/// A server holds all its clients.
fn one_server() {
    let view = View::open("night");
    let server = server();
    let client =
        "--client 127.0.0.1 9900 --ports 10 --target 8k --rate 6k --expect-workers 3 --hold 1s --interval 200ms";
    let ends = [1, 2].map(|n| worker("night", &format!("{client} --part {n}/2"))).map(Run::finish);
    ends.iter().for_each(assert_held);
    let server = server.finish();
    let peak = server.summary().peak_accepted.unwrap();
    let limit = server.limit("nofile").limit.unwrap();
    // Nine tenths of it, and not much less.
    assert!(peak <= limit * 9 / 10 && peak >= limit * 8 / 10, "{peak} of {limit}: {}", server.log());
    let held = view.views().into_iter().filter_map(|view| view["guard"]["late_us"].as_u64()).max();
    print_uncaptured(&format!(
        "held at {peak} of {limit}; obeyed {} ms after the server's sample at the latest",
        held.unwrap() / 1000
    ));
    assert_guarded(view);
}

/// A worker that is attached to nginx holds all clients before its limit.
fn foreign_server() {
    let server = nginx(2000);
    let view = View::open("web");
    let beside = worker("web", &format!("--attach {} --expect-workers 3 --interval 200ms", server.id()));
    let client =
        "--client 127.0.0.1 8080 --ports 1 --target 8k --rate 4k --expect-workers 3 --hold 2s --interval 200ms";
    let ends = [1, 2].map(|n| worker("web", &format!("{client} --part {n}/2"))).map(Run::finish);
    ends.iter().for_each(assert_held);
    let beside = beside.finish();
    assert_eq!((beside.code, beside.summary().verdict), (Some(0), Verdict::Watched), "{beside:#?}");
    let views = view.views();
    let most = views.iter().filter_map(|view| view["totals"]["accepted"].as_u64()).max().unwrap();
    // How many files it has open is counted a moment before its connections are.
    assert!((1600..1950).contains(&most), "{most} of 2,000 files");
    let holds = |view: &&Value| view["guard"]["holds"].as_u64() > Some(0);
    let seen = views.iter().find(holds).unwrap_or_else(|| panic!("nobody is held: {views:#?}"));
    assert_eq!(seen["rows"][0]["state"]["who"]["role"], "attach", "{seen:#}");
    assert!(seen["bottleneck"]["text"].as_str().unwrap().starts_with("server-bound: attach on "), "{seen:#}");
    assert_guarded(view);
}

/// Two servers are summed, and neither is filled.
fn two_servers() {
    let view = View::open("day");
    let server = |n: u32, files: u32| {
        let options =
            format!("--server --listen 127.0.1.{n} --ports 4 --workers 1 --expect-workers 4 --interval 200ms");
        Run::under(&["prlimit", &format!("--nofile={files}")], &format!("{options} --fleet {}", url("day")))
    };
    let servers = [server(1, 1500), server(2, 3000)];
    // One of each, and what both have open is more than either may hold.
    let client = |n: u32| {
        let to = format!("--client 127.0.1.{n} 9900 --ports 4 --part {n}/2");
        worker("day", &format!("{to} --target 8k --rate 2k --expect-workers 4 --hold 1s --interval 200ms"))
    };
    let ends = [client(1), client(2)].map(Run::finish);
    ends.iter().for_each(assert_held);
    for (server, files) in servers.map(Run::finish).iter().zip([1500, 3000]) {
        assert_eq!(server.code, Some(0), "{server:#?}");
        assert!(server.peak() <= files * 9 / 10, "{} of {files}", server.peak());
    }
    let views = view.views();
    for seen in &views {
        let sum = |role: &str, of: &str| -> u64 {
            let rows = seen["rows"].as_array().unwrap().iter();
            let open = rows.filter(|row| row["standing"] == "running" && row["state"]["who"]["role"] == role);
            open.map(|row| row["state"][of].as_u64().unwrap()).sum()
        };
        assert_eq!(seen["totals"]["connections"], sum("client", "connections"), "{seen:#}");
        if !seen["totals"]["accepted"].is_null() {
            assert_eq!(seen["totals"]["accepted"], sum("server", "connections"), "{seen:#}");
        }
    }
    let accepted = views.iter().filter_map(|view| view["totals"]["accepted"].as_u64()).max();
    assert!(accepted > Some(1500), "more than either may hold: {accepted:?}");
    assert!(views.iter().any(|view| rows(view).iter().filter(|row| row.0 == "server").count() == 2));
    assert_guarded(view);
}
