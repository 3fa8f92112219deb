//! Recordings that are no parts of one run: named, and left out where that was asked for.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use c1m_top::record::RunRole;

use super::support::{Run, own_namespace, program};
use super::{file, merge, open, recorded, rewritten, text};

/// Refused in one line that has these words, with nothing written.
fn refused(runs: &[&PathBuf], words: &[&str]) {
    let to = file("refused.c1m");
    let runs: Vec<PathBuf> = runs.iter().map(|path| (*path).clone()).collect();
    let out = merge(&runs, &to, &[]);
    let line = text(&out.stderr);
    assert_eq!((out.status.code(), line.lines().count()), (Some(2), 1), "{line}");
    assert!(words.iter().all(|word| line.contains(word)), "{line} has not {words:?}");
    assert!(!to.exists());
}

#[test]
fn what_does_not_belong_together_is_named() {
    own_namespace!();
    let server = Run::start("--server --ports 2 --interval 100ms");
    server.engines(true, false);
    let part = |n: u32, target: u64| {
        recorded(
            &format!("{n}-of-3-{target}.c1m"),
            &format!("--client 127.0.0.1 9900 --target {target} --hold 1s --part {n}/3"),
        )
    };
    let [one, two, three] = [1, 2, 3].map(|n| part(n, 100));
    let other = part(3, 200);
    let whole = recorded("whole.c1m", "--client 127.0.0.1 9900 --target 100 --hold 0s");
    server.interrupt();
    let newer = rewritten(&three, "newer.c1m", |header| header.version = "9.9.9".into());
    let of_five = rewritten(&three, "five.c1m", |header| header.setup.part = "3/5".parse().ok());
    let junk = file("junk.c1m");
    fs::write(&junk, "no recording").unwrap();

    refused(&[&one, &two], &["part 3 of 3 is missing", "--partial"]);
    refused(&[&two], &["parts 1, 3 of 3 are missing"]);
    refused(&[&one, &two, &three, &two], &["2-of-3-100.c1m", "are both part 2 of 3"]);
    refused(&[&one, &two, &other], &["3-of-3-200.c1m has another plan than 1-of-3-100.c1m: target 200 and not 100"]);
    refused(&[&one, &two, &newer], &["newer.c1m is of c1m-top 9.9.9"]);
    refused(&[&one, &two, &of_five], &["five.c1m is part 3 of 5, but 1-of-3-100.c1m is part 1 of 3"]);
    refused(&[&one, &two, &whole], &["whole.c1m is a whole run, but 1-of-3-100.c1m is part 1 of 3"]);
    refused(&[&whole, &rewritten(&whole, "again.c1m", |_| ())], &["are no parts", "--part 2/5"]);
    refused(&[&whole], &["two runs at least"]);
    // A part with both ends is a part like those of clients.
    let both = rewritten(&one, "both.c1m", |header| header.role = RunRole::Both);
    refused(&[&both, &two], &["part 3 of 3 is missing"]);
    refused(&[&both, &two, &three, &one], &["1-of-3-100.c1m and both.c1m are both part 1 of 3"]);
    refused(&[&one, &two, &junk], &["junk.c1m: it is not a c1m-top recording"]);
    refused(&[&one, &file("nowhere.c1m")], &["nowhere.c1m", "No such file"]);

    // What is there, where that is asked for.
    let all = file("some.c1m");
    let out = merge(&[two.clone(), junk, one.clone(), other], &all, &["--partial"]);
    let told = text(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{told}");
    for words in ["left out: junk.c1m", "left out: 3-of-3-200.c1m has another plan", "part 3 of 3 is missing"] {
        assert!(told.contains(words), "{told}");
        let out = program().arg("replay").arg(&all).args(["--output", "text"]).output().unwrap();
        assert!(text(&out.stdout).contains(words), "{}", text(&out.stdout));
    }
    let summary = open(&all).summary().unwrap().clone();
    assert_eq!((summary.target, summary.merged.unwrap().parts.len()), (Some(67), 2), "two thirds of a hundred");

    // Files are not lost.
    let whole = [one.clone(), two.clone(), three.clone()];
    let before = fs::read(&all).unwrap();
    let out = merge(&whole, &all, &[]);
    assert!(out.status.code() == Some(2) && text(&out.stderr).contains("--force"), "{}", text(&out.stderr));
    let out = merge(&whole, &one, &["--force"]);
    assert!(out.status.code() == Some(2) && text(&out.stderr).contains("that are merged"), "{}", text(&out.stderr));
    assert_eq!(fs::read(&all).unwrap(), before);
    assert_eq!(merge(&whole, &all, &["--force"]).status.code(), Some(0));
    assert_eq!(open(&all).summary().unwrap().target, Some(100));
    let out = merge(&whole, Path::new("/dev/null"), &["--force"]);
    assert!(out.status.code() == Some(2) && text(&out.stderr).contains("not a regular file"), "{}", text(&out.stderr));
    refused(&[&all, &one], &["some.c1m is merged already"]);

    // A file that is torn is as good as its beginning.
    let length = fs::metadata(&three).unwrap().len();
    OpenOptions::new().write(true).open(&three).unwrap().set_len(length - 100).unwrap();
    let torn = file("torn.c1m");
    let out = merge(&whole, &torn, &[]);
    assert!(out.status.code() == Some(0) && text(&out.stderr).contains("not whole"), "{}", text(&out.stderr));
    let parts = open(&torn).summary().unwrap().merged.clone().unwrap().parts;
    assert_eq!(parts.iter().map(|part| part.cut_short).collect::<Vec<_>>(), [false, false, true]);
    let out = program().arg("replay").arg(&torn).args(["--output", "text"]).output().unwrap();
    assert!(text(&out.stdout).contains("part of its recording cannot be read"), "{}", text(&out.stdout));
}
