//! `c1m-top merge`: the parts of a run as one recording.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::print::print;
use super::{Failure, runs};
use crate::cli::MergeArgs;
use crate::merge::{self, Run};
use crate::model::Summary;
use crate::record;
use crate::units::grouped;

/// Merges.
pub(super) fn run(args: &MergeArgs) -> Result<u8, Failure> {
    let to = &args.output_file;
    if !args.force && to.symlink_metadata().is_ok() {
        return Err(refused(to, "it is there already: name another file, or overwrite it with --force"));
    }
    if to.symlink_metadata().is_ok_and(|meta| !meta.is_file()) {
        return Err(refused(to, "it exists and is not a regular file"));
    }
    let mut named = Vec::new();
    for run in &args.runs {
        let path = runs::file_of(run)?;
        if same(&path, to) {
            return Err(refused(to, "it is one of the runs that are merged: name another file"));
        }
        let file = path.file_name().map_or_else(|| run.clone(), |name| name.to_string_lossy().into_owned());
        // Of two files of one name the whole paths are told.
        let taken = named.iter().any(|(other, ..): &(String, PathBuf)| *other == file);
        named.push((if taken { path.display().to_string() } else { file }, path));
    }
    let runs = named.into_iter().map(|(file, path)| Run { file, recording: record::open(&path) });
    let checked = merge::check(runs.collect(), args.partial).map_err(Failure::Usage)?;
    for member in &checked.members {
        for damage in member.recording.damage().iter().take(3) {
            eprintln!("c1m-top: {}: {damage}", member.file);
        }
    }
    for remark in &checked.remarks {
        eprintln!("c1m-top: {remark}");
    }
    // It is whole or it is not there: a run that was half merged would look like one that was cut short.
    let (file, half) = beside(to).map_err(|e| refused(to, &e.to_string()))?;
    let merged = merge::merge(&checked, file).and_then(|summary| fs::rename(&half, to).map(|()| summary));
    let summary = merged.map_err(|e| {
        let _ = fs::remove_file(&half);
        refused(to, &e.to_string())
    })?;
    let told = summary.map_or(String::new(), |summary| told(&summary, to));
    print(&told)?;
    Ok(0)
}

fn refused(path: &Path, why: &str) -> Failure {
    Failure::Usage(format!("cannot write {}: {why} (--output-file)", path.display()))
}

fn same(a: &Path, b: &Path) -> bool {
    let file = |path: &Path| path.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    file(a).is_some_and(|a| file(b) == Some(a))
}

/// A new file in the directory of `to`, for this user alone.
fn beside(to: &Path) -> io::Result<(File, PathBuf)> {
    let name = to.file_name().ok_or_else(|| io::Error::other("it is a directory; name a file in it"))?;
    let mut name = name.to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let half = to.with_file_name(name);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half)?;
    Ok((file, half))
}

/// Two lines: what it came to, and where it is.
fn told(summary: &Summary, to: &Path) -> String {
    let parts = summary.merged.as_ref().map_or(0, |merged| merged.parts.len());
    let held = grouped(summary.peak_established.or(summary.peak_accepted).unwrap_or(0));
    let of = summary.target.map_or(String::new(), |target| format!(" of {}", grouped(target)));
    let file = to.display();
    format!(
        "Merged {parts} recordings: at most {held}{of} connections at once.\nWritten to {file}: c1m-top report {file} makes a page of it.\n"
    )
}
