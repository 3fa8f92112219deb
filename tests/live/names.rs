//! A process is called what it likes: that makes it neither an engine of ours nor a master of the terminal.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use c1m_top::model::{Severity, Verdict};
use c1m_top::sys;

use super::support::{Run, Started, own_namespace, program, wait_until};

/// A process that calls itself so, and lives until its standard input ends.
fn called(name: &str) -> Started {
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"printf %s "$0" > /proc/$$/comm && read line"#, name]);
    let child = Started::spawn(shell.stdin(Stdio::piped()));
    let path = format!("/proc/{}/comm", child.id());
    wait_until("the name", || std::fs::read_to_string(&path).unwrap().starts_with(name).then_some(()));
    child
}

#[test]
fn a_foreign_process_called_server_is_no_engine_when_it_dies() {
    own_namespace!();
    for name in ["server", "client"] {
        let mut child = called(name);
        let mut run = Run::start(&format!("--attach {} --interval 100ms --duration 1m", child.id()));
        run.until("two samples", |p| p.samples.len() > 1);
        sys::kill(child.id(), libc::SIGKILL).unwrap();
        child.wait().unwrap();
        run.wait_for("the event", |p| p.event("death/").map(|_| ()));
        let ended = run.finish();
        let event = ended.assert_event("death/", &[&format!("{name} ({}) is gone", child.id())]);
        assert_eq!(event.severity, Severity::Warning, "{event:?}");
        assert!(!event.text.contains("engine"), "{event:?}");
        assert_eq!(ended.summary().verdict, Verdict::ProcessDied);
    }
}

#[test]
fn a_name_with_escapes_and_line_ends_does_not_reach_the_terminal() {
    own_namespace!();
    // Of the 15 bytes that the kernel keeps: clear the screen, a line end, a red word.
    let name = "a\u{1b}[2J\nb\u{1b}[31mc";
    for output in ["text", "json"] {
        let mut child = called(name);
        let pid = child.id().to_string();
        let mut command = program();
        command.args(["--attach", &pid, "--interval", "100ms", "--duration", "1s", "--output", output]);
        let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut told, mut text) = (BufReader::new(run.stdout.take().unwrap()), String::new());
        // Until a sample has been printed it may have been seen by nothing that remembers its name.
        while !text.contains("watching") && told.read_line(&mut text).unwrap() > 0 {}
        drop(child.stdin.take());
        child.wait().unwrap();
        told.read_to_string(&mut text).unwrap();
        text += &String::from_utf8(run.wait_with_output().unwrap().stderr).unwrap();
        assert!(text.contains(&format!("({pid}) is gone")), "{text:?}");
        assert!(text.lines().all(|line| !line.contains(char::is_control)), "{text:?}");
        let shown = r"a\u{1b}[2J\nb\u{1b}[31mc (";
        let shown = if output == "json" { shown.replace('\\', r"\\") } else { shown.to_owned() };
        assert!(text.contains(&shown), "{text:?}");
    }
    // The report of `check` and the files of `tune` name the process as well.
    let mut child = called(name);
    let pid = child.id().to_string();
    for command in ["check", "tune"] {
        let out = program().args([command, "--pid", &pid, "--target", "1m"]).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap();
        assert!(!text.is_empty() && text.lines().all(|line| !line.contains(char::is_control)), "{text:?}");
    }
    drop(child.stdin.take());
    child.wait().unwrap();
}
