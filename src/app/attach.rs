//! Finding what to attach to: an engine, the engines of a running dashboard, or any other process.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::Failure;
use super::link::Link;
use crate::engine::socket;
use crate::probe::{self, Candidate, Roots, Selector};
use crate::{sys, units};

/// How long an engine may take to greet.
const GREETING: Duration = Duration::from_secs(5);

/// What a pid turned out to be.
#[derive(Debug)]
pub(super) enum Found {
    /// Engines of one run, the server's first.
    Engines(Vec<Link>),
    /// Another process; why it is not controlled, where one would expect that.
    Foreign(Option<String>),
}

/// The one process that a selector means.
pub(super) fn choose(selector: &Selector) -> Result<u32, Failure> {
    let roots = Roots::default();
    let pid = match selector {
        Selector::Pid(pid) => *pid,
        other => {
            let found = probe::find(&roots, other).map_err(|why| Failure::Usage(format!("--attach {other}: {why}")))?;
            only(other, &found)?
        }
    };
    if probe::is_kernel_thread(&roots, pid) {
        return Err(Failure::Usage(format!(
            "--attach {selector}: that is a thread of the kernel, which has no connections"
        )));
    }
    Ok(pid)
}

/// That of one; a sentence where there is none, or more than one, of which a list is printed to choose from.
fn only(selector: &Selector, found: &[Candidate]) -> Result<u32, Failure> {
    let what = |many: bool| match selector {
        Selector::Pid(_) | Selector::Name(_) => (if many { "are called so" } else { "is called so" }).to_owned(),
        Selector::Port(port) => {
            let listen = if many { "listen" } else { "listens" };
            let seen = if many || sys::euid() == 0 { "" } else { ", as far as this user can see: root sees all" };
            format!("{listen} on port {port} in this network namespace{seen}")
        }
        Selector::Unit(_) | Selector::Cgroup(_) | Selector::Container(_) => {
            (if many { "are in it" } else { "is in it" }).to_owned()
        }
    };
    match found {
        [] => Err(Failure::Usage(format!("--attach {selector}: no process {} (see: ps -e)", what(false)))),
        [one] => Ok(one.pid),
        many => {
            eprint!("{}", list(many));
            let text = format!("--attach {selector}: {} processes {}; name one by its number", many.len(), what(true));
            Err(Failure::Usage(text))
        }
    }
}

/// Most processes of a list: what fits on a screen.
const MOST_LISTED: usize = 20;

/// A line for each, below a line of captions.
fn list(found: &[Candidate]) -> String {
    let name = |c: &Candidate| units::printable(&c.name).into_owned();
    let ports = |c: &Candidate| {
        let ports: Vec<String> = c.ports.iter().take(4).map(ToString::to_string).collect();
        let more = if c.ports.len() > 4 { ", …" } else { "" };
        if ports.is_empty() { "–".to_owned() } else { format!("{}{more}", ports.join(", ")) }
    };
    let row = |pid: &str, parent: &str, user: &str, descriptors: &str, name: &str, ports: &str| {
        format!("  {pid:>8}  {parent:>8}  {user:<12}  {descriptors:>11}  {name:<16}  {ports}\n")
    };
    let lines = found.iter().take(MOST_LISTED).map(|c| {
        let descriptors = c.descriptors.map_or("–".to_owned(), units::grouped);
        row(&c.pid.to_string(), &c.parent.to_string(), &c.user, &descriptors, &name(c), &ports(c))
    });
    let more = found.len().saturating_sub(MOST_LISTED);
    let rest = if more > 0 { format!("  and {more} more\n") } else { String::new() };
    let head = row("PID", "PARENT", "USER", "DESCRIPTORS", "NAME", "LISTENS ON");
    std::iter::once(head).chain(lines).chain(std::iter::once(rest)).collect()
}

/// Looks at a pid: an engine brings the other engine of its run along, a dashboard both of its own.
pub(super) fn find(pid: u32) -> Result<Found, Failure> {
    if !Path::new(&format!("/proc/{pid}")).exists() {
        return Err(Failure::Usage(format!(
            "--attach {pid}: there is no process with this number (see: pgrep -a NAME)"
        )));
    }
    let mut links = Vec::new();
    let owner = match connect(pid)? {
        Some(link) => {
            let owner = link.hello().owner;
            links.push(link);
            owner
        }
        None => pid,
    };
    for child in children(owner) {
        if child != pid
            && let Some(link) = connect(child)?
        {
            links.push(link);
        }
    }
    if links.is_empty() {
        return Ok(Found::Foreign(of_another_user(pid)));
    }
    links.sort_by_key(|link| link.hello().role == crate::protocol::Role::Client);
    Ok(Found::Engines(links))
}

/// What there is to say of an engine or dashboard that does not let this user in.
fn of_another_user(pid: u32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    let owner = std::fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    let ours = name.starts_with("c1m-top") && owner != sys::euid();
    ours.then(|| {
        format!(
            "process {pid} is {} of another user (uid {owner}): it is watched from outside, as any process is; what it \
             counts itself is not known here, and it takes no commands. Attach as that user to control it",
            name.trim_end()
        )
    })
}

/// Connects to the control socket of a process, where it is an engine of this user.
fn connect(pid: u32) -> Result<Option<Link>, Failure> {
    let failed = |e: io::Error| Failure::Usage(format!("--attach {pid}: {e}"));
    let Some(stream) = socket::connect(pid).map_err(failed)? else { return Ok(None) };
    let link = Link::greeted(stream, GREETING).map_err(failed)?;
    Ok(Some(link).filter(|link| link.hello().pid == pid))
}

/// Child processes, where the kernel lists them (`CONFIG_PROC_CHILDREN`); engines are started by the main thread.
fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|p| p.parse().ok()).collect()
}
