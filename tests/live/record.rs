//! Runs as files: recorded, killed, listed, replayed, held against what is expected.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use c1m_top::model::Verdict;
use c1m_top::protocol::Role;
use c1m_top::record::{self, Entry, play};

use super::support::{AS_NOBODY, BINARY, Home, Net, Run, own_namespace, program, require};

/// Runs it to its end.
fn output(args: &[&str]) -> Output {
    program().args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What a command prints, which succeeds.
fn printed(args: &[&str]) -> String {
    let out = output(args);
    assert_eq!(out.status.code(), Some(0), "{args:?}: {}", text(&out.stderr));
    text(&out.stdout).to_owned()
}

/// One line on standard error that has `part`, exit status 2, and nothing printed.
fn refused(args: &[&str], part: &str) {
    let out = output(args);
    let err = text(&out.stderr);
    assert_eq!((out.status.code(), err.lines().count()), (Some(2), 1), "{args:?}: {err}");
    assert!(err.starts_with("c1m-top: ") && err.contains(part) && !err.contains("panicked"), "{args:?}: {err}");
    assert_eq!(text(&out.stdout), "", "{args:?}");
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/runs/nginx-1.c1m")
}

#[test]
fn a_replay_is_what_the_run_wrote_line_for_line() {
    own_namespace!();
    let run =
        "--server --client 127.0.0.1 9900 --target 3k --greet --hold 1s --interval 200ms --active 10% --every 200ms";
    for format in ["json", "text"] {
        let file = Home::path().join(format!("run-{format}.c1m"));
        let file = file.to_str().unwrap();
        let words: Vec<&str> = run.split(' ').chain(["--output", format, "--record", file]).collect();
        let live = printed(&words);
        assert!(live.lines().count() > 8, "{live}");
        assert_eq!(printed(&["replay", file, "--output", format]), live, "{format}");
        refused(&["replay", file, "--output", format, "-o", file], "overwrite it with --force");
        refused(&["replay", file, "--output", format, "-o", file, "--force"], "the recording that is read");
    }
}

#[test]
fn an_engine_that_is_killed_is_told_in_a_replay_as_it_was() {
    own_namespace!();
    let file = Home::path().join("killed.c1m");
    let shown = file.to_str().unwrap();
    let out = Home::path().join("live.json");
    let options = format!("--server --client 127.0.0.1 9900 --target 2k --record {shown} -o {}", out.display());
    // The output is in a file: what it printed is held against what a replay prints.
    let mut child = program().args(options.split(' ')).args(["--output", "json"]).spawn().unwrap();
    let engines = super::support::engines_of(child.id(), true, true);
    super::support::wait_until("the target", || {
        fs::read_to_string(&out).ok()?.contains("\"phase\":\"holding\"").then_some(())
    });
    c1m_top::sys::kill(engines.get(Role::Server).unwrap(), 9).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(4));
    let live = fs::read_to_string(&out).unwrap();
    assert!(live.contains("SIGKILL") && live.contains("\"verdict\":\"engine_killed\""), "{live}");
    assert_eq!(printed(&["replay", shown, "--output", "json"]), live);
    let kinds: Vec<Entry> = record::open(&file).unwrap().happenings().collect();
    assert!(
        kinds.iter().any(|e| matches!(e, Entry::Death { .. })) && kinds.iter().any(|e| matches!(e, Entry::Kept { .. }))
    );
}

#[test]
fn what_was_recorded_before_a_kill_is_there() {
    own_namespace!();
    let file = Home::path().join("cut.c1m");
    let mut run =
        Run::start(&format!("--server --client 127.0.0.1 9900 --target 1m --rate 500 --record {}", file.display()));
    // Two frames of five seconds.
    run.until("eleven seconds of the ramp", |p| p.samples.last().is_some_and(|s| s.t_ms > 11_000));
    let last = run.printed().samples.last().unwrap().clone();
    run.signal(9);
    drop(run);
    let recording = record::open(&file).unwrap();
    assert!(recording.summary().is_none() && recording.damage().is_empty());
    let (_, end) = recording.span_ms();
    assert!(last.t_ms.saturating_sub(end) < 6000, "{end} of {}", last.t_ms);
    let model = play(&recording);
    assert!(model.now().connections > 1000, "{}", model.now().connections);
    let file = file.to_str().unwrap();
    let out = output(&["replay", file, "--output", "json"]);
    assert_eq!(out.status.code(), Some(0));
    assert!(text(&out.stderr).contains("without a summary"), "{}", text(&out.stderr));
    assert!(text(&out.stdout).lines().last().unwrap().contains(r#""verdict":"interrupted""#));
    // Half of a frame more is said, and the rest is used.
    let bytes = fs::read(file).unwrap();
    fs::write(file, &bytes[..bytes.len() - 20]).unwrap();
    let out = output(&["replay", file, "--output", "json"]);
    assert!(out.status.code() == Some(0) && text(&out.stderr).contains("not whole"), "{}", text(&out.stderr));
}

#[test]
fn settings_of_the_network_are_those_of_the_targets_namespace_or_none() {
    require!(Root, OtherUser, Program("sysctl"));
    own_namespace!();
    let there = Net::new();
    there.sh("sysctl -qw net.core.somaxconn=77 net.ipv4.tcp_max_syn_backlog=78");
    let recorded = |wrapper: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let file = dir.path().join("run.c1m");
        let options = format!("--attach {} --interval 100ms --duration 300ms --record {}", there.pid(), file.display());
        let ended = Run::under(wrapper, &options).finish();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        record::open(&file).unwrap().header().sysctls.clone()
    };
    let by_root = recorded(&[]);
    let names = ["net.core.somaxconn", "net.ipv4.tcp_max_syn_backlog"];
    assert_eq!(names.map(|name| by_root[name].as_str()), ["77", "78"]);
    let by_nobody = recorded(&AS_NOBODY);
    assert!(by_nobody.contains_key("fs.nr_open") && names.iter().all(|name| !by_nobody.contains_key(*name)));
}

#[test]
fn a_disk_that_is_full_costs_the_recording_alone() {
    own_namespace!();
    require!(Program("prlimit"));
    let file = Home::path().join("full.c1m");
    let wrapper = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];
    let options = format!("--server --client 127.0.0.1 9900 --target 2k --interval 200ms --record {}", file.display());
    let mut run = Run::under(&wrapper, &options);
    run.until_holding();
    // As a disk that has room for no more.
    let size = fs::metadata(&file).unwrap().len();
    let limit = format!("--fsize={}", size + 40);
    let done = Command::new("prlimit").args(["--pid", &run.pid().to_string(), &limit]).status().unwrap();
    assert!(done.success());
    run.wait_for("that it is told", |p| p.event("recording").cloned());
    let ended = run.interrupt();
    assert_eq!((ended.code, ended.summary().verdict), (Some(0), Verdict::TargetReached), "{}", ended.log());
    ended.assert_event("recording", &["full.c1m", "Recording to ", " stopped: ", "The run continues unrecorded"]);
    let recording = record::open(&file).unwrap();
    assert_eq!((recording.damage(), recording.summary()), (&[][..], None));
    assert!(recording.samples() > 0);
}

#[test]
fn runs_are_kept_listed_and_named_by_number() {
    own_namespace!();
    for target in ["100", "200"] {
        printed(
            &format!("--server --client 127.0.0.1 9900 --target {target} --hold 0s").split(' ').collect::<Vec<_>>(),
        );
    }
    printed(&["--duration", "100ms", "--no-record"]);
    let list = printed(&["runs"]);
    assert_eq!(list.lines().count(), 4, "{list}");
    let rows: Vec<&str> = list.lines().collect();
    assert!(rows[1].contains("   1  20") && rows[1].contains("200") && rows[1].contains("target_reached"), "{list}");
    assert!(rows[2].contains("   2  20") && rows[2].contains(" 100 "), "{list}");
    let all: serde_json::Value = serde_json::from_str(&printed(&["runs", "--output", "json"])).unwrap();
    assert_eq!((all["kind"].as_str(), all["runs"][0]["peak"].as_u64()), (Some("runs"), Some(200)));
    let summary = printed(&["replay", "last", "--output", "json"]);
    let summary: serde_json::Value = serde_json::from_str(summary.lines().last().unwrap()).unwrap();
    assert_eq!((&summary["peak_established"], &summary["recording"]), (&200.into(), &all["runs"][0]["path"]));
    let lines = printed(&["runs", "cat", "2"]);
    let kinds: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&kinds[0]["kind"], &kinds.last().unwrap()["kind"]), (&"header".into(), &"summary".into()));
    assert_eq!(kinds[0]["header"]["sysctls"]["fs.nr_open"], printed_file("/proc/sys/fs/nr_open"));
    // No environment, no command lines.
    assert!(!lines.contains("XDG_STATE_HOME") && !lines.contains("engine {"), "{lines}");
    refused(&["replay", "7"], "there are 2 runs, numbered from 1");
}

fn printed_file(path: &str) -> String {
    fs::read_to_string(path).unwrap().trim().to_owned()
}

#[test]
fn expectations_decide_the_exit_status() {
    own_namespace!();
    let file = Home::path().join("expect.c1m");
    let file = file.to_str().unwrap();
    let run = ["--server", "--client", "127.0.0.1", "9900", "--target", "500", "--hold", "0s", "--record", file];
    let run: Vec<&str> = run.into_iter().chain(["--output", "json", "--expect", "peak_established == 500"]).collect();
    let held: Vec<&str> = run.iter().copied().chain(["--force", "--expect", "failures < 1"]).collect();
    assert_eq!(output(&run).status.code(), Some(0));
    let out = output(&[&held[..], &["--expect", "bytes_per_connection.total < 10"]].concat());
    assert_eq!(out.status.code(), Some(5));
    let summary: serde_json::Value = serde_json::from_str(text(&out.stdout).lines().last().unwrap()).unwrap();
    let holds: Vec<bool> = summary["expectations"].as_array().unwrap().iter().map(|e| e["holds"] == true).collect();
    assert_eq!(holds, [true, true, false]);
    // The same on the file; a line each.
    let out = output(&["replay", file, "--expect", "peak_established >= 500", "--expect", "greeted > 0"]);
    assert_eq!(out.status.code(), Some(5));
    let lines: Vec<&str> = text(&out.stdout).lines().collect();
    assert_eq!(lines[0], "expect peak_established >= 500: holds, it is 500");
    assert_eq!(lines[1], "expect greeted > 0: FAILS, this run has no such number");
    refused(&["replay", file, "--expect", "peak_establshed > 1"], "nearest are peak_established");
    refused(&["--expect", "verdict"], "compares nothing");
}

#[test]
fn what_cannot_be_recorded_or_read_is_refused_in_a_line() {
    let dir = Home::path();
    let at = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    fs::write(at("there"), "mine").unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::write(at("foreign"), "#!/bin/sh\necho hello\n").unwrap();
    let short = ["--duration", "100ms", "--record"];
    refused(&[&short[..], &[&at("there")]].concat(), "overwrite it with --force");
    assert_eq!(fs::read_to_string(at("there")).unwrap(), "mine");
    refused(&[&short[..], &[dir.to_str().unwrap()]].concat(), "is not a regular file");
    refused(&[&short[..], &["/nowhere/run.c1m"]].concat(), "No such file");
    refused(&[&short[..], &["/dev/full"]].concat(), "is not a regular file");
    refused(&["--no-record", "--record", "x"], "cannot be used with");
    refused(&["--force"], "does nothing without --record");
    for (file, part) in [
        (at("empty"), "it is empty"),
        (at("foreign"), "not a c1m-top recording"),
        (at("missing"), "No such file"),
        (dir.to_str().unwrap().to_owned(), "it is a directory"),
    ] {
        for command in [&["replay"][..], &["runs", "cat"], &["check", "--from"]] {
            refused(&[command, &[&file]].concat(), part);
        }
    }
    refused(&["replay", "last"], "no run is kept");
    let out = Command::new("sh")
        .args(["-c", "\"$0\" runs cat \"$1\" > /dev/full", BINARY, fixture().to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!((out.status.code(), text(&out.stderr).lines().count()), (Some(2), 1), "{}", text(&out.stderr));
}

#[test]
fn a_file_that_may_not_be_read_is_refused() {
    require!(Root);
    let home = Home::of_user(65_534);
    let file = home.join("secret.c1m");
    fs::copy(fixture(), &file).unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let out = Command::new(AS_NOBODY[0])
        .args(&AS_NOBODY[1..])
        .args([BINARY, "replay", file.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2), "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("Permission denied"), "{}", text(&out.stderr));
}

#[test]
fn a_file_of_each_schema_is_read() {
    let shown = fixture();
    let shown = shown.to_str().unwrap();
    let lines = printed(&["replay", shown, "--output", "json"]);
    assert!(lines.lines().count() > 50, "{lines}");
    let recording = record::open(&fixture()).unwrap();
    assert!(recording.damage().is_empty() && recording.samples() == 101 && recording.header().schema == 1);
    let out = output(&["check", "--from", shown, "--output", "json"]);
    let report: serde_json::Value = serde_json::from_str(text(&out.stdout)).unwrap();
    let cost = recording.summary().unwrap().bytes_per_connection.total.unwrap();
    assert_eq!(report["bytes_per_connection"].as_f64(), Some(cost));
    let memory = report["limits"].as_array().unwrap().iter().find(|l| l["id"] == "memory").unwrap();
    assert_eq!((report["role"].as_str(), report["program"].as_str()), (Some("server"), Some("other")));
    assert!((memory["needed"].as_f64().unwrap() - cost * 1e6).abs() < 1.0, "{memory}");
}
