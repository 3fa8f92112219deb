//! `c1m-top runs export`: a recording for Prometheus, in one pass.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::scrape::labels;
use super::{Failure, gather, runs};
use crate::cli::ToArgs;
use crate::model::Model;
use crate::output::metrics::{Moment, Timed};
use crate::record::{Course, Entry, verdict_so_far};

/// Writes a run as `OpenMetrics` text with times.
pub(super) fn openmetrics(run: &str, to: &ToArgs) -> Result<u8, Failure> {
    gather::check(to)?;
    let recording = runs::open(run)?;
    gather::not_itself(to, recording.path())?;
    let unwritten =
        |e: io::Error| Failure::Usage(format!("cannot write a temporary file: {e} (TMPDIR names another place)"));
    let near = to.output_file.as_deref().and_then(Path::parent).filter(|dir| !dir.as_os_str().is_empty());
    let mut timed = Timed::new(scratch(near).map_err(unwritten)?);
    let header = recording.header();
    let run = labels(header, None);
    let mut course = Course::new(header.setup.clone());
    // A clock that is set does not turn the run's time back.
    let mut began = None;
    let mut at = |model: &Model| {
        let sample = model.last_sample()?;
        Some(*began.get_or_insert(sample.wall_ms.saturating_sub(sample.t_ms)) + sample.t_ms)
    };
    for entry in recording.entries() {
        course.take(&entry);
        if matches!(entry, Entry::Sample { shown: true, .. } | Entry::Shown { .. })
            && let Some(at_ms) = at(course.model())
        {
            timed.add(&Moment { model: course.model(), run: &run, verdict: None }, at_ms).map_err(unwritten)?;
        }
    }
    let verdict = recording.summary().map_or_else(|| verdict_so_far(course.model()), |summary| summary.verdict);
    if let Some(at_ms) = at(course.model()) {
        timed.add(&Moment { model: course.model(), run: &run, verdict: Some(verdict) }, at_ms).map_err(unwritten)?;
    }
    if timed.left_out() > 0 {
        eprintln!(
            "c1m-top: {} values were left out: too many processes, listeners or limits came and went",
            timed.left_out()
        );
    }
    gather::write_with(to, |out| timed.finish(out))?;
    Ok(0)
}

/// A file without a name, for as long as the program has it open.
fn scratch(dir: Option<&Path>) -> io::Result<File> {
    let dir = dir.map_or_else(std::env::temp_dir, Path::to_owned);
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    if let Ok(file) = options.clone().custom_flags(libc::O_TMPFILE).open(&dir) {
        return Ok(file);
    }
    // Some file systems have no such files.
    let path = dir.join(format!(".c1m-top-{}.tmp", std::process::id()));
    let file = options.create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
