//! What is known of recorded runs, played once each; and where what is made of them goes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::print::{print, written};
use super::{Failure, runs};
use crate::cli::ToArgs;
use crate::record::{Course, Entry, Header, Recording, RunRole, verdict_so_far};
use crate::report::{self, Around, Collector, Facts, Section, WHAT};
use crate::units::bytes;

/// What is known of a run, from its file.
pub(super) fn facts(run: &str) -> Result<Facts, Failure> {
    let recording = runs::open(run)?;
    let mut facts = play(&recording);
    let path = recording.path();
    facts.name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let unreadable = |e: io::Error| Failure::Usage(format!("{}: {e}", path.display()));
    facts.file = Some(report::File {
        sha256: sha256(path).map_err(unreadable)?,
        bytes: recording.bytes(),
        damage: recording.damage().first().map(ToString::to_string),
    });
    Ok(facts)
}

/// Plays a recording and keeps what a report needs.
fn play(recording: &Recording) -> Facts {
    let header = recording.header();
    let mut course = Course::new(header.setup.clone());
    let mut collector = Collector::default();
    for entry in recording.entries() {
        match &entry {
            Entry::Sample { sample, .. } => {
                collector.before(course.shown(), sample);
                course.take(&entry);
                collector.after(course.model(), sample);
            }
            Entry::Gap { .. } => {
                collector.gap();
                course.take(&entry);
            }
            _ => course.take(&entry),
        }
    }
    let verdict = recording.summary().map(|summary| summary.verdict);
    let summary = recording.summary().cloned().unwrap_or_else(|| course.summary(verdict_so_far(course.model())));
    let mut facts = collector.finish(course.shown(), summary, verdict);
    facts.version.clone_from(&header.version);
    facts.memory_bytes = facts.memory_bytes.or(header.memory_bytes);
    facts.started_ms = Some(header.started_ms).filter(|ms| *ms > 0).or(facts.started_ms);
    facts.around = around(header);
    facts
}

/// Options that make figures comparable; the others may differ.
const PLAN: [&str; 8] = ["target", "rate_per_s", "traffic", "greet", "ports", "workers", "app_limit", "only"];

/// What stands in the head of a recording, as it is shown and compared.
fn around(header: &Header) -> Around {
    let mut around = Around::default();
    let text = |value: &Value| match value {
        Value::Null => "not given".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let role = match header.role {
        RunRole::Both => "server and client",
        RunRole::Server => "server",
        RunRole::Client => "client",
        RunRole::Attach => "attached",
        RunRole::Watch => "this machine alone",
    };
    around.add(Section::Plan, "role", Some(role));
    for (key, value) in &header.plan {
        let section = if PLAN.contains(&key.as_str()) { Section::Plan } else { Section::Option };
        around.add(section, key, Some(text(value)));
    }
    around.add(Section::Option, WHAT, Some(header.what.as_str()).filter(|what| !what.is_empty()));
    around.add(Section::Version, "c1m-top", Some(header.version.as_str()));
    let machine = &header.setup.machine;
    around.add(Section::Machine, "host", machine.host_name.as_ref());
    around.add(Section::Machine, "kernel", machine.kernel.as_ref());
    around.add(Section::Machine, "distribution", machine.distribution.as_ref());
    around.add(Section::Machine, "CPU", machine.cpu.as_ref());
    around.add(Section::Machine, "cores", machine.cores);
    around.add(Section::Machine, "memory", header.memory_bytes.map(bytes));
    around.add(
        Section::Machine,
        "link",
        header.link.as_ref().map(|link| format!("{} {}", link.name, crate::units::bits_per_s(link.bits_per_s))),
    );
    add_all(&mut around, Section::Sysctl, &header.sysctls);
    add_all(&mut around, Section::Limit, &header.limits);
    around.add(Section::Limit, "cgroup", header.cgroup.as_ref());
    around.add(Section::Limit, "user", Some(header.privilege.uid));
    around.add(
        Section::Limit,
        "capabilities",
        Some(header.privilege.capabilities.as_str()).filter(|mask| !mask.is_empty()),
    );
    around
}

fn add_all(around: &mut Around, section: Section, settings: &BTreeMap<String, String>) {
    for (key, value) in settings {
        around.add(section, key, Some(value));
    }
}

/// The checksum of a file, as `sha256sum` writes it.
fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    let mut text = String::with_capacity(64);
    for byte in hash.finalize() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// Refuses a file that is there already, before anything is read: a long recording takes seconds.
pub(super) fn check(to: &ToArgs) -> Result<(), Failure> {
    match &to.output_file {
        Some(path) if !to.force && path.symlink_metadata().is_ok() => Err(exists(path)),
        _ => Ok(()),
    }
}

/// Refuses to write over the recording that is read, by whatever name.
pub(super) fn not_itself(to: &ToArgs, read: &Path) -> Result<(), Failure> {
    let Some(path) = &to.output_file else { return Ok(()) };
    let file = |path: &Path| path.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    match file(path).zip(file(read)) {
        Some((there, read)) if there == read => {
            let what = "it is the recording that is read: name another file";
            Err(Failure::Usage(format!("cannot write {}: {what} (--output-file)", path.display())))
        }
        _ => Ok(()),
    }
}

fn exists(path: &Path) -> Failure {
    let what = "it is there already: name another file, or overwrite it with --force";
    Failure::Usage(format!("cannot write {}: {what} (--output-file)", path.display()))
}

/// Writes what was made: to the file, or to standard output, where it may go to a terminal.
pub(super) fn write(to: &ToArgs, text: &str) -> Result<(), Failure> {
    if to.output_file.is_none() {
        return print(text);
    }
    write_with(to, |out| out.write_all(text.as_bytes()))
}

/// The same, with something that writes bit by bit.
pub(super) fn write_with(to: &ToArgs, write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> Result<(), Failure> {
    let Some(path) = &to.output_file else {
        let mut out = io::BufWriter::new(io::stdout().lock());
        return written(write(&mut out).and_then(|()| out.flush())).map(|_| ());
    };
    let mut options = OpenOptions::new();
    options.write(true);
    if to.force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let done = options.open(path).and_then(|file| {
        let mut out = io::BufWriter::new(file);
        write(&mut out).and_then(|()| out.flush())
    });
    done.map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        _ => Failure::Usage(format!("cannot write {}: {e} (--output-file)", path.display())),
    })
}
