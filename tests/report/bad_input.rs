//! What cannot be: one clear line on standard error, exit status 2, nothing on standard output.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;

use super::compare::text;
use super::files::Made;
use super::support::{Home, program};

fn refused<A: AsRef<OsStr>>(args: &[A], part: &str) {
    let out = program().args(args).output().unwrap();
    let error = text(&out.stderr);
    assert_eq!((out.status.code(), error.lines().count()), (Some(2), 1), "{error}");
    assert!(error.starts_with("c1m-top: ") && error.contains(part), "wants {part}: {error}");
    assert_eq!(text(&out.stdout), "");
}

#[test]
fn one_line_each() {
    let run = Made::to(20_000).write("run.c1m").display().to_string();
    let home = Home::path();
    let at = |name: &str| home.join(name).display().to_string();
    fs::write(at("foreign"), "a text of somebody's\n").unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::write(at("there.html"), "mine").unwrap();
    symlink(at("nowhere"), at("dangling")).unwrap();
    for command in ["report", "compare"] {
        let (command, run) = (command.to_owned(), run.clone());
        refused(&[command.clone(), at("missing"), run.clone()], "missing: No such file");
        refused(&[command.clone(), run.clone(), at("foreign")], "not a c1m-top recording");
        refused(&[command.clone(), run.clone(), at("empty")], "it is empty");
        refused(&[command.clone(), at("."), run.clone()], "it is a directory");
        let there = [command.clone(), run.clone(), run.clone(), "-o".to_owned(), at("there.html")];
        refused(&there, "it is there already: name another file, or overwrite it with --force");
        refused(&[command.clone(), run.clone(), run.clone(), "-o".to_owned(), at("no/such/dir.html")], "cannot write");
        refused(&[command.clone(), run.clone(), run.clone(), "-o".to_owned(), at("dangling")], "it is there already");
        refused(&[command.clone(), run.clone(), run.clone(), "--force".to_owned()], "--output-file");
        refused(&[command], "RUN");
    }
    assert_eq!(fs::read_to_string(at("there.html")).unwrap(), "mine");
    refused(&["compare".to_owned(), run.clone()], "compare needs two runs at least");
    refused(&["compare".to_owned(), run.clone(), format!("{run},")], "empty run name next to a comma");
    refused(&["report".to_owned(), run.clone(), run.clone(), "--output".to_owned(), "svg".to_owned()], "is of one run");
    refused(&["report".to_owned(), run.clone(), "--output".to_owned(), "pdf".to_owned()], "html");
}

#[test]
fn a_file_that_is_there_is_overwritten_when_told_to() {
    let run = Made::to(20_000).write("run.c1m");
    let file = Home::path().join("there.html");
    fs::write(&file, "x".repeat(1_000_000)).unwrap();
    let out = program().arg("report").arg(&run).arg("-o").arg(&file).arg("--force").output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert!(fs::read_to_string(&file).unwrap().ends_with("</html>"), "and nothing of it is left");
}

#[test]
fn a_damaged_file_is_reported_as_far_as_it_goes() {
    let path = Made::to(100_000).write("run.c1m");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    let out = program().arg("report").arg(&path).args(["--output", "card"]).output().unwrap();
    let card = text(&out.stdout);
    assert_eq!((out.status.code(), card.lines().count()), (Some(0), 15), "{card}{}", text(&out.stderr));
    let page = text(&program().arg("report").arg(&path).output().unwrap().stdout);
    assert!(page.contains("Part of the file could not be read"), "{page}");
}
