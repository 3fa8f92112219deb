//! `c1m-top replay` where it writes lines, and `c1m-top runs`.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::print::{print, written};
use super::view::{Reader, View};
use super::{Failure, export, gather, player, runs};
use crate::cli::{OutputArg, ReplayArgs, ReportArg, RunsArgs, RunsSub};
use crate::model::{Expect, Expectation, Summary, Verdict};
use crate::output::{FORMATS, Writer, object, unobeyed};
use crate::record::{self, Course, Entry, Header, Recording, verdict_so_far};
use crate::units::{bytes, date, grouped};

/// All is as expected.
const AS_EXPECTED: u8 = 0;
/// An expectation failed.
pub(super) const UNEXPECTED: u8 = 5;

/// `c1m-top replay`.
pub(super) fn replay(args: &ReplayArgs) -> Result<u8, Failure> {
    gather::check(&args.to)?;
    let on_terminal = io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    let dashboard = on_terminal && args.to.output_file.is_none() && args.expect.is_empty();
    let format = match args.output.unwrap_or(if dashboard { OutputArg::Tui } else { OutputArg::Lines(FORMATS[0]) }) {
        OutputArg::Lines(format) => format,
        OutputArg::Tui if !on_terminal => {
            return Err(Failure::Usage("--output tui needs a terminal; write --output text or json".into()));
        }
        OutputArg::Tui => return player::play(args, runs::open(&args.run)?).map(|()| AS_EXPECTED),
    };
    let recording = runs::open(&args.run)?;
    if !args.expect.is_empty() && args.output.is_none() && args.to.output_file.is_none() {
        let summary = outcome(&recording);
        let told = hold(&args.expect, &summary);
        let lines: Vec<String> = told.iter().map(ToString::to_string).collect();
        print(&(lines.join("\n") + "\n"))?;
        return Ok(status(&told));
    }
    gather::not_itself(&args.to, recording.path())?;
    let mut view = View::Lines(Writer::open(format, args.to.output_file.as_deref()).map_err(Failure::Usage)?);
    let mut course = Course::new(recording.header().setup.clone());
    let mut told = None;
    for entry in recording.entries() {
        course.take(&entry);
        match entry {
            // Nobody reads on.
            Entry::Sample { shown: true, .. } | Entry::Shown { .. }
                if view.sample(course.model_mut())? == Reader::Gone =>
            {
                return Ok(AS_EXPECTED);
            }
            Entry::Summary { summary } => {
                let summary = expected(&args.expect, *summary);
                view.summary(course.model_mut(), &summary)?;
                told = Some(summary.expectations);
            }
            _ => {}
        }
    }
    // A run that was cut short has one as well: what it had come to by then.
    let told = if let Some(told) = told {
        told
    } else {
        eprintln!("c1m-top: {}", cut_short(&recording));
        let summary = expected(&args.expect, course.summary(verdict_so_far(course.model())));
        view.summary(course.model_mut(), &summary)?;
        summary.expectations
    };
    Ok(if args.expect.is_empty() { AS_EXPECTED } else { status(&told) })
}

/// That there is no summary, for people.
fn cut_short(recording: &Recording) -> String {
    let end = crate::units::clock(recording.span_ms().1);
    format!(
        "{}: the recording ends at {end} without a summary: the run was killed or is still running; these are the results so far",
        recording.path().display()
    )
}

/// What a run came to, or had come to where it was cut short.
pub(super) fn outcome(recording: &Recording) -> Summary {
    recording.summary().cloned().unwrap_or_else(|| {
        let mut course = Course::new(recording.header().setup.clone());
        recording.entries().for_each(|entry| course.take(&entry));
        course.summary(verdict_so_far(course.model()))
    })
}

/// A summary with what came of these expectations, if there are any.
fn expected(expect: &[Expect], summary: Summary) -> Summary {
    if expect.is_empty() {
        return summary;
    }
    Summary { expectations: hold(expect, &summary), ..summary }
}

/// What comes of each.
pub(super) fn hold(expect: &[Expect], summary: &Summary) -> Vec<Expectation> {
    expect.iter().map(|expect| expect.hold_against(summary)).collect()
}

/// The exit status that expectations make where nothing else makes one.
pub(super) fn status(told: &[Expectation]) -> u8 {
    if told.iter().all(|told| told.holds) { AS_EXPECTED } else { UNEXPECTED }
}

/// One run of `c1m-top runs`.
#[derive(Debug, Serialize)]
struct Row {
    /// Its number.
    run: usize,
    path: String,
    bytes: u64,
    /// Start, milliseconds since the Unix epoch; null where the file cannot be read.
    started_ms: Option<u64>,
    what: Option<String>,
    /// Null where it has none: it goes on, or was cut short.
    verdict: Option<Verdict>,
    /// Most connections at once.
    peak: Option<u64>,
    running: bool,
    /// Why the file cannot be read.
    error: Option<String>,
}

/// Every run, as JSON.
#[derive(Debug, Serialize)]
struct Kept {
    kind: &'static str,
    directory: String,
    runs: Vec<Row>,
}

/// `c1m-top runs`.
pub(super) fn list(args: &RunsArgs) -> Result<u8, Failure> {
    match &args.command {
        Some(RunsSub::Cat { run }) => return cat(run),
        Some(RunsSub::Export { run, to, .. }) => return export::openmetrics(run, to),
        None => {}
    }
    let dir = runs::directory().map_err(|why| Failure::Usage(format!("no runs are kept: {why}")))?;
    let kept = runs::list(&dir).map_err(|e| Failure::Usage(format!("cannot read {}: {e}", dir.display())))?;
    let rows: Vec<Row> = kept.into_iter().enumerate().map(|(i, run)| row(i + 1, &run)).collect();
    if args.output == ReportArg::Json {
        let all = Kept { kind: "runs", directory: dir.display().to_string(), runs: rows };
        print(&(object(&all).map_err(|e| Failure::Internal(e.to_string()))? + "\n"))?;
        return Ok(AS_EXPECTED);
    }
    if rows.is_empty() {
        print(&format!("No runs are kept in {}.\n", dir.display()))?;
        return Ok(AS_EXPECTED);
    }
    let line = |run: &str, when: &str, what: &str, verdict: &str, peak: &str, size: &str| {
        format!("{run:>4}  {when:<19}  {what:<44}  {verdict:<15}  {peak:>11}  {size:>9}\n")
    };
    let mut text = line("RUN", "WHEN (UTC)", "WHAT", "VERDICT", "PEAK", "SIZE");
    for row in &rows {
        let when = row.started_ms.map_or_else(String::new, date);
        let what = row.what.clone().or_else(|| row.error.clone()).unwrap_or_default();
        let what: String =
            if what.chars().count() > 44 { what.chars().take(43).chain(['…']).collect() } else { what };
        let verdict = match (row.verdict, row.running) {
            (Some(verdict), _) => word(verdict),
            (None, true) => "running".to_owned(),
            (None, false) if row.error.is_some() => "unreadable".to_owned(),
            (None, false) => "cut short".to_owned(),
        };
        let peak = row.peak.map_or_else(|| "–".to_owned(), grouped);
        text += &line(&row.run.to_string(), &when, &what, &verdict, &peak, &bytes(row.bytes));
    }
    text += "Kept in ";
    text += &dir.display().to_string();
    text += ": c1m-top replay RUN plays one, c1m-top runs cat RUN writes it as JSON.\n";
    print(&text)?;
    Ok(AS_EXPECTED)
}

/// As it stands in JSON.
fn word(verdict: Verdict) -> String {
    serde_json::to_value(verdict).ok().and_then(|v| v.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}

/// What ran; of a process that was named by its number, its name too.
fn what(header: &Header, summary: Option<&Summary>) -> String {
    let name = summary.and_then(|s| s.process.as_ref()).map(|p| p.name.as_str()).filter(|n| !header.what.contains(n));
    name.map_or_else(|| header.what.clone(), |name| format!("{} ({name})", header.what))
}

fn row(number: usize, run: &runs::Kept) -> Row {
    let read = record::open(&run.path);
    let summary = read.as_ref().ok().and_then(|r| r.summary());
    let peak = summary.and_then(|s| {
        s.peak_established.or(s.peak_accepted).or_else(|| s.process.as_ref().and_then(|p| p.connections))
    });
    let header = read.as_ref().ok().map(Recording::header);
    Row {
        run: number,
        path: run.path.display().to_string(),
        bytes: run.bytes,
        started_ms: header.map(|h| h.started_ms),
        what: header.map(|h| what(h, summary)),
        verdict: summary.map(|s| s.verdict),
        peak,
        running: run.running,
        error: read.as_ref().err().map(ToString::to_string),
    }
}

/// Everything in a run, as JSON lines.
fn cat(run: &str) -> Result<u8, Failure> {
    let recording = runs::open(run)?;
    let mut to = io::BufWriter::new(io::stdout().lock());
    let mut header = false;
    for entry in recording.entries() {
        // It is repeated in the file for the sake of one that is damaged.
        if matches!(entry, Entry::Header { .. }) && std::mem::replace(&mut header, true) {
            continue;
        }
        let line = serde_json::to_string(&entry).map_err(|e| Failure::Internal(e.to_string()))?;
        let line = unobeyed(line);
        if !written(writeln!(to, "{line}"))? {
            return Ok(AS_EXPECTED);
        }
    }
    written(to.flush()).map(|_| AS_EXPECTED)
}
