//! `c1m-top compare`, from files.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::files::Made;
use super::support::program;

/// Compares; its exit status and what it printed.
pub(crate) fn compare(runs: &[&Path], more: &[&str]) -> Output {
    program().arg("compare").args(runs).args(more).output().unwrap()
}

pub(crate) fn text(out: &[u8]) -> String {
    String::from_utf8(out.to_vec()).unwrap()
}

/// The figures of a side that stand so.
pub(crate) fn standing(comparison: &Value, side: usize, verdict: &str) -> Vec<String> {
    let rows = comparison["figures"].as_array().unwrap().iter();
    let of = rows.filter(|row| row["verdicts"][side] == verdict);
    of.map(|row| format!("{} at {}: {}", row["key"].as_str().unwrap(), row["at_connections"], row["values"])).collect()
}

#[test]
fn equal_runs_are_the_same_and_the_status_says_so() {
    let (a, b) = (Made::to(100_000).write("a.c1m"), Made::to(100_000).write("b.c1m"));
    let out = compare(&[&a, &b], &[]);
    let printed = text(&out.stdout);
    assert_eq!((out.status.code(), text(&out.stderr).as_str()), (Some(0), ""), "{printed}");
    for part in ["Around the runs nothing differs.", "taken since the start", "At 100 k connections", "B against A: "] {
        assert!(printed.contains(part), "{part}\n{printed}");
    }
    assert!(!printed.contains("WORSE") && !printed.contains('\u{1b}'), "{printed}");
}

#[test]
fn what_is_worse_is_named_and_fails() {
    let mut worse = Made::to(100_000);
    worse.header.sysctls.insert("net.core.somaxconn".into(), "128".into());
    worse.header.plan.insert("port".into(), 9000.into());
    worse.change = |sample, open| {
        if let Ok(mem) = &mut sample.kernel.host.mem {
            mem.free -= 4000 * open;
        }
        if let Ok(caches) = &mut sample.kernel.host.slab {
            caches[0].bytes += 4000 * open;
        }
    };
    let (a, b) = (Made::to(100_000).write("a.c1m"), worse.write("b.c1m"));
    let out = compare(&[&a, &b], &["--output", "json"]);
    assert_eq!(out.status.code(), Some(5), "{}", text(&out.stderr));
    let comparison: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&comparison["schema"], &comparison["kind"]), (&2.into(), &"comparison".into()));
    let keys: Vec<&str> =
        comparison["differences"].as_array().unwrap().iter().map(|d| d["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["port", "net.core.somaxconn"], "another port is no other plan");
    let worse = standing(&comparison, 1, "worse");
    for key in ["bytes_per_connection.total", "bytes_per_connection.slab.TCP", "memory at 100000"] {
        assert!(worse.iter().any(|w| w.starts_with(key)), "{key}: {worse:?}");
    }
    assert!(standing(&comparison, 1, "same").iter().any(|s| s.starts_with("rate at 50000")));
    // The other way round nothing is worse.
    assert_eq!(compare(&[&b, &a], &[]).status.code(), Some(0));
    let markdown = compare(&[&a, &b], &["--output", "markdown"]);
    assert!(text(&markdown.stdout).contains("| **memory per connection** |"), "{}", text(&markdown.stdout));
}

#[test]
fn other_plans_are_compared_only_when_told_to() {
    let (a, b) = (Made::to(100_000).write("a.c1m"), Made::to(60_000).write("b.c1m"));
    let out = compare(&[&a, &b], &[]);
    let error = text(&out.stderr);
    assert_eq!((out.status.code(), error.lines().count()), (Some(2), 1), "{error}");
    assert!(error.contains("plan target: 100000 | 60000") && error.contains("--any-plan"), "{error}");
    let out = compare(&[&a, &b], &["--any-plan"]);
    let printed = text(&out.stdout);
    assert!(printed.contains("only in A") && printed.contains("plan target: 100000 | 60000"), "{printed}");
    assert_eq!(out.status.code(), Some(5), "it held fewer");
}

#[test]
fn repeats_are_joined_by_commas() {
    let names = ["a1.c1m", "a2.c1m", "b1.c1m", "b2.c1m"];
    let paths = names.map(|name| Made::to(50_000).write(name).display().to_string());
    let sides = [format!("{},{}", paths[0], paths[1]), format!("{},{}", paths[2], paths[3])];
    let out = program().arg("compare").args(&sides).args(["--output", "json"]).output().unwrap();
    let comparison: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(comparison["sides"][0]["runs"], serde_json::json!(["a1.c1m", "a2.c1m"]));
    assert_eq!((out.status.code(), comparison["worse"].as_u64()), (Some(0), Some(0)));
}

#[test]
fn three_runs_are_each_held_against_the_first() {
    let runs = ["a.c1m", "b.c1m", "c.c1m"].map(|name| Made::to(50_000).write(name));
    let out = compare(&runs.each_ref().map(std::path::PathBuf::as_path), &[]);
    let printed = text(&out.stdout);
    assert!(printed.contains("B against A: ") && printed.contains("C against A: "), "{printed}");
    assert_eq!(out.status.code(), Some(0));
}
