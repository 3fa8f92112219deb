//! What cannot be: one clear line on standard error, exit status 2, nothing on standard output.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Output, Stdio};

use super::support::{BINARY, Run, own_namespace, program, require, wait_until, without_privilege};

fn start(args: &[&str]) -> Child {
    program().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs to the end; a run that goes on would be the defect.
fn run(args: &[&str]) -> Output {
    let mut child = start(args);
    wait_until(&format!("the end of {args:?}"), || child.try_wait().unwrap());
    child.wait_with_output().unwrap()
}

/// Holds the form of a refusal, and that it carries `part`.
fn refused(args: &[&str], part: &str) {
    let out = run(args);
    let err = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(2), "{args:?}: {err}");
    assert_eq!(err.lines().count(), 1, "{args:?}: {err}");
    assert!(err.starts_with("c1m-top: ") && err.contains(part), "{args:?}: wants {part}: {err}");
    assert!(!err.contains("panicked"), "{args:?}: {err}");
    assert_eq!(String::from_utf8(out.stdout).unwrap(), "", "{args:?}");
}

#[test]
fn what_the_command_line_shows_to_be_wrong() {
    for (line, part) in [
        // Ports.
        ("--server --port 65500 --ports 100", "65599"),
        ("--server --port 65536", "65536"),
        ("--server --port 0", "--port: '0' is not a port"),
        ("--server --port zzz", "--port: 'zzz' is not a port; write a number from 1 to 65535"),
        ("--server --ports 0", "--ports: '0'"),
        ("--server --ports 66k", "--ports: '66k'"),
        ("--client 127.0.0.1 99999", "99999"),
        ("--client 127.0.0.1 zzz", "zzz"),
        ("--client 127.0.0.1 9900 --port 9901", "9901"),
        // Addresses.
        ("--client 127.0.0.256 9900", "127.0.0.256"),
        ("--client 127.0.0.1:zzz", "'zzz' is not a port"),
        ("--client 127.0.0.1:9900 9901", "differ"),
        ("--client [::1", "[::1"),
        ("--client fe80::1 9900", "name the interface"),
        ("--client fe80::1%nowhere0 9900", "the interface nowhere0"),
        ("--client 8.8.8.8 9900", "8.8.8.8"),
        ("--client 2001:4860::8 9900", "2001:4860::8"),
        ("--client 0.0.0.0 9900", "0.0.0.0"),
        ("--server --listen nowhere", "--listen: 'nowhere' is not an IP address"),
        ("--client 127.0.0.1 --source nowhere", "nowhere"),
        ("--client 127.0.0.1 --source 127.0.0.0/33", "127.0.0.0/33"),
        ("--client 127.0.0.1 --source ::1", "::1"),
        // Numbers with units.
        ("--client 127.0.0.1 --target 0", "--target: 0 opens nothing"),
        ("--client 127.0.0.1 --target -5", "--target: '-5' is not a count"),
        ("--client 127.0.0.1 --target many", "many"),
        ("--client 127.0.0.1 --rate 0", "--rate: 0 per second would never start"),
        ("--client 127.0.0.1 --guard 0", "--guard: '0' is under 1 %"),
        ("--client 127.0.0.1 --active 101%", "101%"),
        ("--client 127.0.0.1 --active=-1%", "-1%"),
        ("--client 127.0.0.1 --active 5% --message 1XB", "1XB"),
        ("--client 127.0.0.1 --active 5% --message 0", "--message: 0 sends nothing"),
        ("--client 127.0.0.1 --active 5% --every 1y", "1y"),
        ("--client 127.0.0.1 --active 5% --every 10us", "--every: '10us'"),
        ("--interval 99ms", "--interval: '99ms' is under 100ms"),
        ("--interval 0", "--interval: '0'"),
        ("--duration 1m30", "1m30s"),
        ("--client 127.0.0.1 --hold forever", "--hold: 'forever' is not a duration"),
        ("--server --workers 0", "--workers: '0'"),
        // What does not go together, and what does not exist.
        ("--attach 1 --server", "--server"),
        ("--attach unit:", "--attach: 'unit:' names nothing"),
        ("--attach :99999", "--attach: ':99999' is not a port"),
        ("--attach zzz", "--attach zzz: no process has that name (see: ps -e)"),
        ("--attach 2", "--attach 2: 2 is a kernel thread, which has no connections"),
        ("--metrics zzz", "--metrics: 'zzz' is not an address and a port; write for example 9464"),
        ("--metrics 127.0.0.1", "--metrics: '127.0.0.1' is not an address and a port"),
        ("--metrics 0", "--metrics: '0' is not"),
        ("--metrics 192.0.2.1:9464", "--metrics 192.0.2.1:9464: this machine has no such address"),
        ("--server --metrics 9950", "--metrics 127.0.0.1:9950: the run itself uses the ports 9900 to 9999"),
        ("--metrics-linger 5s", "--metrics-linger does nothing without --metrics"),
        ("--metrics 9464 --metrics-linger long", "--metrics-linger: 'long' is not a duration"),
        ("--output html", "write one of tui, text, json"),
        ("--output jsn", "a similar value exists: 'json'"),
        ("--no-such-option", "--no-such-option"),
        ("--targt 5", "a similar argument exists: '--target'"),
        ("chek", "a similar subcommand exists: 'check'"),
        ("surplus", "surplus"),
        ("--output tui", "tui"),
    ] {
        let mut args: Vec<&str> = line.split_whitespace().collect();
        if !line.contains("--output") {
            args.extend(["--output", "json"]);
        }
        refused(&args, part);
    }
}

#[test]
fn what_cannot_be_exported() {
    for (line, part) in [
        ("last", "--openmetrics"),
        ("--openmetrics", "<RUN>"),
        ("--openmetrics /nowhere.c1m", "/nowhere.c1m"),
        ("--openmetrics last", "no run is kept"),
        ("--openmetrics last --force", "--output-file"),
        ("--openmetrics last -o /dev/null", "cannot write /dev/null: it is there already"),
    ] {
        refused(&["runs", "export"].into_iter().chain(line.split_whitespace()).collect::<Vec<_>>(), part);
    }
}

#[test]
fn where_metrics_cannot_be_served() {
    own_namespace!();
    require!(OtherUser);
    let taken = TcpListener::bind("127.0.0.1:9464").unwrap();
    refused(&["--metrics", "9464", "--output", "json"], "--metrics 127.0.0.1:9464: another program listens there");
    drop(taken);
    let mut nobody = without_privilege(Path::new(BINARY));
    let out = nobody.args(["--metrics", "80", "--output", "json"]).output().unwrap();
    let err = String::from_utf8(out.stderr).unwrap();
    assert_eq!((out.status.code(), err.lines().count()), (Some(2), 1), "{err}");
    assert!(err.contains("--metrics 127.0.0.1:80: this user may not listen on port 80"), "{err}");
}

#[test]
fn options_that_do_nothing_in_a_mode() {
    const ATTACHED: &str = "does nothing with --attach, which watches what is already running: leave it out";
    const NO_ACTIVE: &str = "does nothing without --active: add --active 20%, or leave it out";
    const ON_A_SERVER: &str = "does nothing with a server alone: add --client, or leave it out";
    const WATCHING: &str = "does nothing when nothing is started: add --client, or leave it out";
    const NOT_STARTED: &str = "does nothing when nothing is started: add --server or --client, or leave it out";
    const FOR_THE_FILE: &str = "does nothing with --revert, which puts back what is in the state file: leave it out";
    let own = std::process::id();
    // The option comes last; one with a value is refused by its name.
    for (line, why) in [
        ("--server --hold 5m", ON_A_SERVER),
        ("--server --rate 1k", ON_A_SERVER),
        ("--server --greet", ON_A_SERVER),
        ("--server --persist", ON_A_SERVER),
        ("--server --guard 50%", ON_A_SERVER),
        ("--server --no-guard", ON_A_SERVER),
        ("--server --active 5%", ON_A_SERVER),
        ("--server --source 127.0.0.2", ON_A_SERVER),
        ("--server --allow-public", ON_A_SERVER),
        ("--client 127.0.0.1 --listen 127.0.0.1", "does nothing with a client alone: add --server, or leave it out"),
        ("--client 127.0.0.1 --message 1KiB", NO_ACTIVE),
        ("--client 127.0.0.1 --every 2s", NO_ACTIVE),
        ("--hold 5m", WATCHING),
        ("--target 1m", NOT_STARTED),
        ("--tune", NOT_STARTED),
        ("--ports 5", NOT_STARTED),
        ("--close fin", NOT_STARTED),
        ("--only", "does nothing without --attach: add it, or leave it out"),
        ("--server --app-limit 500", "does nothing without --attach: add it, or leave it out"),
        ("--attach {pid} --target 1m", ATTACHED),
        ("--attach {pid} --tune", ATTACHED),
        ("--attach {pid} --workers 2", ATTACHED),
        ("--attach {pid} --output text --close fin", ATTACHED),
        ("--output tui --output-file /dev/null", "does nothing with --output tui: write --output text or json"),
        ("--output text --marker dot", "does nothing without the dashboard: leave it out"),
        ("check --message 1KiB", NO_ACTIVE),
        ("check --rate 5k", "does nothing when the client is on this machine: add --role server, or leave it out"),
        ("check --role server --guard 50%", "does nothing without c1m-top's client on this machine: leave it out"),
        ("tune --role server --no-guard", "does nothing without c1m-top's client on this machine: leave it out"),
        ("check --limits --target 1m", "does nothing with check --limits, which checks nothing: leave it out"),
        ("tune --state /tmp/state", "does nothing without --apply or --revert: add one of them, or leave it out"),
        ("tune --revert --target 1m", FOR_THE_FILE),
        ("tune --revert --pid 1", FOR_THE_FILE),
        (
            "check --pid {pid} --program c1m-top",
            "c1m-top does nothing with --pid, which is another program: leave one of them out",
        ),
    ] {
        let line = line.replace("{pid}", &own.to_string());
        let args: Vec<&str> = line.split_whitespace().collect();
        let option = args.iter().rfind(|word| word.starts_with("--")).unwrap();
        refused(&args, &format!("c1m-top: {option} {why}\n"));
    }
}

#[test]
fn check_and_tune_take_the_ranges_of_a_run() {
    for option in
        ["--target 0", "--rate 0", "--guard 0", "--message 0", "--every 10us", "--ports 0", "--port 0", "--workers 0"]
    {
        let mut lines = Vec::new();
        for command in ["check", "tune", "--client 127.0.0.1"] {
            let line = format!("{command} {option}");
            let out = run(&line.split_whitespace().collect::<Vec<_>>());
            assert_eq!(out.status.code(), Some(2), "{line}");
            let err = String::from_utf8(out.stderr).unwrap();
            lines.push(err.split(" (see").next().unwrap().to_owned());
        }
        assert!(lines.iter().all(|line| *line == lines[0]), "{lines:?}");
    }
}

#[test]
fn a_host_name_that_there_is_not() {
    // Where no name server can be asked the answer comes at once.
    own_namespace!();
    refused(
        &["--client", "c1m-top.invalid", "9900", "--output", "json"],
        "the host name c1m-top.invalid has no address",
    );
}

#[test]
fn what_a_terminal_would_obey_is_not_repeated_to_it() {
    let out = run(&["--target", "a\u{1b}[31mb\nc"]);
    let err = String::from_utf8(out.stderr).unwrap();
    assert_eq!((out.status.code(), err.lines().count()), (Some(2), 1), "{err:?}");
    assert!(err.contains("a\\u{1b}[31mb") && !err.trim_end().contains(char::is_control), "{err:?}");
}

#[test]
fn a_process_that_does_not_exist() {
    // Above the largest pid_max there is (2^22, include/linux/threads.h).
    refused(&["--attach", "4194999", "--output", "json"], "4194999");
    refused(&["--attach", "0", "--output", "json"], "0");
}

#[test]
fn an_output_that_cannot_be_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    refused(&["--output", "json", "--output-file", path], path);
    let below = format!("{path}/none/out.json");
    refused(&["--output", "text", "--output-file", &below], &below);
}

#[test]
fn a_port_that_is_in_use() {
    own_namespace!();
    let _held = TcpListener::bind("127.0.0.1:9950").unwrap();
    refused(&["--server", "--output", "json"], ":9950");
    refused(&["--server", "--client", "127.0.0.1", "9900", "--target", "100", "--output", "json"], "127.0.0.1:9950");
}

#[test]
fn addresses_that_are_not_of_this_machine() {
    own_namespace!();
    refused(&["--client", "127.0.0.1", "--source", "10.9.8.7", "--output", "json"], "10.9.8.7");
    refused(&["--server", "--listen", "10.9.8.7", "--output", "json"], "10.9.8.7");
}

#[test]
fn an_address_that_cannot_be_reached() {
    own_namespace!();
    let ended = Run::start("--client 10.9.8.7 9900 --target 100").finish();
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.stderr.starts_with("c1m-top: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("10.9.8.7") && ended.stderr.lines().count() == 1, "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

#[test]
fn an_output_that_cannot_be_written_is_bad_input() {
    let out = run(&["--output", "json", "--interval", "100ms", "--output-file", "/dev/full"]);
    let err = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(2), "{err}");
    assert!(err.starts_with("c1m-top: ") && err.contains("/dev/full") && err.lines().count() == 1, "{err}");
}

#[test]
fn a_reader_that_leaves_ends_the_run_without_a_panic() {
    let mut child = start(&["--output", "json", "--interval", "100ms"]);
    drop(child.stdout.take());
    wait_until("the end after a broken pipe", || child.try_wait().unwrap());
    let err = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    assert!(!err.contains("panicked") && err.lines().count() <= 1, "{err}");
}

#[test]
fn a_garbled_engine_configuration_is_one_line() {
    let out = run(&["engine", "{\"role\":\"nobody\"}"]);
    let err = String::from_utf8(out.stderr).unwrap();
    assert_eq!((out.status.code(), err.lines().count()), (Some(2), 1), "{err}");
}
