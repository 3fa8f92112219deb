//! Which recordings belong together.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::part::Part;
use crate::protocol::Role;
use crate::record::{Entry, Header, Recording, RunRole, Unreadable};

/// What two parts of one run have been asked for alike.
const SAME: [&str; 6] = ["target", "rate_per_s", "traffic", "greet", "port", "ports"];
/// What a server and its clients have.
const SAME_AT_BOTH_ENDS: [&str; 2] = ["port", "ports"];
/// Problems that are told one by one.
const TOLD: usize = 4;

/// A recording that was named.
#[derive(Debug)]
pub struct Run {
    /// Its file, as people name it.
    pub file: String,
    /// What could be read of it.
    pub recording: Result<Recording, Unreadable>,
}

/// One part of the merged run.
#[derive(Debug)]
pub struct Member {
    /// What its limits and events begin with: `client 3`, `server`.
    pub name: String,
    /// Which part it is; `None` of a run that was all of its role.
    pub part: Option<Part>,
    /// Its file, as people name it.
    pub file: String,
    /// What was recorded.
    pub recording: Recording,
}

impl Member {
    pub(super) fn header(&self) -> &Header {
        self.recording.header()
    }

    /// Whether it has an engine of that role.
    pub(super) fn has(&self, role: Role) -> bool {
        match self.header().role {
            RunRole::Both => true,
            RunRole::Client => role == Role::Client,
            RunRole::Server => role == Role::Server,
            RunRole::Attach | RunRole::Watch => false,
        }
    }
}

/// Recordings that make a run.
#[derive(Debug)]
pub struct Checked {
    /// Servers first, then by the number of the part.
    pub members: Vec<Member>,
    /// What is missing or was left out, a sentence each.
    pub remarks: Vec<String>,
}

/// Which of the recordings make a run. With `partial` what does not fit is left out, and what is missing is missing; both are
/// told.
///
/// # Errors
/// One line: which do not fit, or are missing.
pub fn check(runs: Vec<Run>, partial: bool) -> Result<Checked, String> {
    let mut members: Vec<Member> = Vec::new();
    let mut remarks = Vec::new();
    let named = runs.len();
    for Run { file, recording } in runs {
        let taken = recording.map_err(|why| format!("{file}: {why}")).and_then(|recording| {
            fits(&file, &recording, &members)?;
            Ok(recording)
        });
        match taken {
            Ok(recording) => {
                let part = recording.header().setup.part;
                members.push(Member { name: name(recording.header().role, part), part, file, recording });
            }
            Err(why) => remarks.push(why),
        }
    }
    let left_out = remarks.len();
    remarks.extend(missing(&members));
    if partial && members.is_empty() {
        return Err(format!("no run to merge is left: {}", told(&remarks)));
    }
    if !partial && !remarks.is_empty() {
        return Err(format!("{}: name the parts of one run, or add --partial", told(&remarks)));
    }
    if named < 2 && !partial {
        return Err("merge needs two runs at least: c1m-top merge RUN RUN -o FILE".to_owned());
    }
    for (i, remark) in remarks.iter_mut().enumerate() {
        let what = if i < left_out { "left out: " } else { "" };
        *remark = format!("{what}{remark}");
    }
    let order = |m: &Member| (m.header().role == RunRole::Client, m.part.map_or(0, |part| part.number));
    members.sort_by_key(order);
    Ok(Checked { members, remarks })
}

fn told(problems: &[String]) -> String {
    let more = problems.len().saturating_sub(TOLD);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    problems.iter().take(TOLD).cloned().collect::<Vec<_>>().join("; ") + &more
}

fn name(role: RunRole, part: Option<Part>) -> String {
    let word = word(role);
    part.map_or_else(|| word.to_owned(), |part| format!("{word} {}", part.number))
}

fn word(role: RunRole) -> &'static str {
    match role {
        RunRole::Server => "server",
        RunRole::Client => "client",
        RunRole::Both => "part",
        RunRole::Attach | RunRole::Watch => "watch",
    }
}

/// Whether it has a client: a part with both ends is one of the clients' parts.
fn opens(role: RunRole) -> bool {
    matches!(role, RunRole::Client | RunRole::Both)
}

/// Whether a recording is a part of the same run as those before it.
fn fits(file: &str, recording: &Recording, before: &[Member]) -> Result<(), String> {
    let header = recording.header();
    if header.setup.merged.is_some() {
        return Err(format!("{file} is merged already: name the runs that it was merged from"));
    }
    if matches!(header.role, RunRole::Attach | RunRole::Watch) {
        return Err(format!("{file} is no part of a run: it only watched ({})", header.what));
    }
    if !recording.entries().any(|entry| matches!(entry, Entry::Sample { .. })) {
        return Err(format!("{file} has no sample that can be read: the run ended before the first, or it is damaged"));
    }
    let Some(first) = before.first() else { return Ok(()) };
    let (there, other) = (first.header(), &first.file);
    if (&header.version, header.schema) != (&there.version, there.schema) {
        let of = |h: &Header| format!("c1m-top {} (schema {})", h.version, h.schema);
        return Err(format!("{file} is of {}, {other} of {}", of(header), of(there)));
    }
    differs(file, header, first, &SAME_AT_BOTH_ENDS)?;
    let part = header.setup.part;
    for member in before.iter().filter(|member| opens(member.header().role) == opens(header.role)) {
        differs(file, header, member, &SAME)?;
        let other = &member.file;
        match (part, member.part) {
            (Some(a), Some(b)) if a.of != b.of => return Err(format!("{file} is {a}, but {other} is {b}")),
            (Some(a), Some(b)) if a.number == b.number => return Err(format!("{file} and {other} are both {a}")),
            (Some(_), Some(_)) => {}
            (None, None) => {
                return Err(format!("{file} and {other} are no parts: each is all of a run (--part 2/5 makes parts)"));
            }
            (Some(a), None) => return Err(format!("{file} is {a}, but {other} is a whole run")),
            (None, Some(b)) => return Err(format!("{file} is a whole run, but {other} is {b}")),
        }
    }
    Ok(())
}

fn differs(file: &str, header: &Header, member: &Member, keys: &[&str]) -> Result<(), String> {
    let value = |plan: &BTreeMap<String, Value>, key: &str| match plan.get(key) {
        None | Some(Value::Null) => "none".to_owned(),
        Some(value) => value.to_string(),
    };
    for key in keys {
        let (here, there) = (value(&header.plan, key), value(&member.header().plan, key));
        if here != there {
            return Err(format!("{file} has another plan than {}: {key} {here} and not {there}", member.file));
        }
    }
    Ok(())
}

/// Which parts are not there.
fn missing(members: &[Member]) -> Vec<String> {
    let mut sentences = Vec::new();
    for clients in [false, true] {
        let there = members.iter().filter(|m| opens(m.header().role) == clients);
        let there: Vec<Part> = there.filter_map(|m| m.part).collect();
        let Some(of) = there.first().map(|part| part.of) else { continue };
        let gone: Vec<u32> = (1..=of).filter(|n| there.iter().all(|part| part.number != *n)).collect();
        if gone.is_empty() {
            continue;
        }
        let list = gone.iter().take(8).map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let more = gone.len().saturating_sub(8);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let (word, are) = if gone.len() == 1 { ("part", "is") } else { ("parts", "are") };
        let whose = if clients { "" } else { " of the server" };
        sentences.push(format!("{word} {list}{more} of {of}{whose} {are} missing"));
    }
    sentences
}
