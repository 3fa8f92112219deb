//! What cannot be: one clear line on standard error, exit status 2, nothing on standard output.

use std::net::TcpListener;
use std::process::{Child, Output, Stdio};

use super::support::{Run, own_namespace, program, wait_until};

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
        ("--server --port 0", "0"),
        ("--server --ports 0", "0"),
        ("--client 127.0.0.1 99999", "99999"),
        ("--client 127.0.0.1 zzz", "zzz"),
        ("--client 127.0.0.1 9900 --port 9901", "9901"),
        // Addresses.
        ("--client 127.0.0.256 9900", "127.0.0.256"),
        ("--client localhost 9900", "localhost"),
        ("--client 127.0.0.1:9900", "127.0.0.1:9900"),
        ("--client 8.8.8.8 9900", "8.8.8.8"),
        ("--client 2001:4860::8 9900", "2001:4860::8"),
        ("--client 0.0.0.0 9900", "0.0.0.0"),
        ("--server --listen nowhere", "nowhere"),
        ("--client 127.0.0.1 --source nowhere", "nowhere"),
        ("--client 127.0.0.1 --source 127.0.0.0/33", "127.0.0.0/33"),
        ("--client 127.0.0.1 --source ::1", "::1"),
        // Numbers with units.
        ("--client 127.0.0.1 --target 0", "--target 0"),
        ("--client 127.0.0.1 --target -5", "-5"),
        ("--client 127.0.0.1 --target many", "many"),
        ("--client 127.0.0.1 --rate 0", "0"),
        ("--client 127.0.0.1 --active 101%", "101%"),
        ("--client 127.0.0.1 --active=-1%", "-1%"),
        ("--client 127.0.0.1 --active 5% --message 1XB", "1XB"),
        ("--client 127.0.0.1 --active 5% --message 0", "--message 0"),
        ("--client 127.0.0.1 --active 5% --every 1y", "1y"),
        ("--interval 99ms", "99ms"),
        ("--interval 0", "--interval 0"),
        ("--hold forever", "forever"),
        ("--server --workers 0", "0"),
        // What does not go together, and what does not exist.
        ("--attach 1 --server", "--server"),
        ("--attach zzz", "zzz"),
        ("--active 20%", "--client"),
        ("--output html", "html"),
        ("--no-such-option", "--no-such-option"),
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
fn a_target_that_refuses_or_cannot_be_reached() {
    own_namespace!();
    for ip in ["127.0.0.1", "10.9.8.7"] {
        let run = Run::start(&format!("--client {ip} 9900 --target 100"));
        let ended = run.finish();
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        assert!(ended.stderr.starts_with("c1m-top: "), "{}", ended.stderr);
        assert!(ended.stderr.contains(ip) && ended.stderr.lines().count() == 1, "{}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
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
