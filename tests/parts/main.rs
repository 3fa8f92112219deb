//! Runs in parts: what each takes, and what they are together when their recordings are merged. The parts are processes that never
//! hear of one another, on hosts made of network namespaces.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod hosts;
mod launcher;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Output;

use c1m_top::protocol::Role;
use c1m_top::record::{self, Entry, Header, Recording};

use support::{Home, Run, program, wait_until};

/// Where a test's recording goes.
fn file(name: &str) -> PathBuf {
    Home::path().join(name)
}

/// Runs `c1m-top merge`.
fn merge(runs: &[PathBuf], to: &Path, options: &[&str]) -> Output {
    program().arg("merge").args(runs).arg("-o").arg(to).args(options).output().unwrap()
}

/// What it wrote, without its errors.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Opens a recording that is whole.
fn open(path: &Path) -> Recording {
    record::open(path).unwrap()
}

/// A short run, recorded under this name.
fn recorded(name: &str, options: &str) -> PathBuf {
    let path = file(name);
    let ended = Run::start(&format!("{options} --ports 2 --interval 100ms --record {}", path.display())).finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    path
}

/// A copy of a recording with another header.
fn rewritten(from: &Path, name: &str, change: impl Fn(&mut Header)) -> PathBuf {
    let recording = open(from);
    let mut header = recording.header().clone();
    change(&mut header);
    let entries = recording.entries().filter(|entry| !matches!(entry, Entry::Header { .. }));
    let path = file(name);
    record::write_all(File::create(&path).unwrap(), header, entries).unwrap();
    path
}

/// Waits until the file has a sample of this moment or later, milliseconds since the Unix epoch, in which so many connections are
/// open at that end. It is written a few seconds after it was taken.
fn until_recorded(path: &Path, role: Role, connections: u64, wall_ms: u64) {
    wait_until("the recording", || {
        let recording = record::open(path).ok()?;
        let holds = |entry: Entry| match entry {
            Entry::Sample { sample, .. } if sample.wall_ms >= wall_ms => {
                sample.engine(role).is_some_and(|engine| engine.open == connections)
            }
            _ => false,
        };
        recording.entries().any(holds).then_some(())
    });
}
