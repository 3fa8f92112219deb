//! Finding what to attach to: an engine, the engines of a running dashboard, or any other process.

use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::Failure;
use super::link::Link;
use crate::engine::socket;
use crate::probe::{self, Attach, Candidate, Roots, Selector};
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

/// The processes that are meant. Without a selector, or where more than one thing could be meant, the user is asked.
pub(super) fn choose(selector: Option<&Selector>, only: bool, app_limit: Option<u64>) -> Result<Attach, Failure> {
    let roots = Roots::default();
    let attach = |pids: Vec<u32>| Attach { pids, alone: only, group: None, app_limit };
    let refused = |why: String| match selector {
        Some(selector) => Failure::Usage(format!("--attach {selector}: {why}")),
        None => Failure::Usage(format!("--attach: {why}")),
    };
    if let Some(Selector::Pids(pids)) = selector {
        for pid in pids {
            if !Path::new(&format!("/proc/{pid}")).exists() {
                return Err(refused(format!("there is no process {pid} (see: pgrep -a NAME)")));
            }
            if probe::is_kernel_thread(&roots, *pid) {
                return Err(refused(format!("{pid} is a kernel thread, which has no connections")));
            }
        }
        return Ok(attach(pids.clone()));
    }
    let found = probe::find(&roots, selector, only).map_err(refused)?;
    match (selector, found.as_slice()) {
        (_, []) => Err(refused(none(selector))),
        (Some(_), [one]) => Ok(attach(vec![one.pid])),
        // A cgroup is one thing, however many processes are in it.
        (Some(group), all) if group.is_group() => {
            let pids = all.iter().map(|c| c.pid).collect();
            Ok(Attach { group: Some(group.clone()), ..attach(pids) })
        }
        (_, many) => match picked(many)? {
            Some(pid) => Ok(attach(vec![pid])),
            None => Err(refused(too_many(selector, many))),
        },
    }
}

/// Why there is nothing to attach to.
fn none(selector: Option<&Selector>) -> String {
    // Who listens is told to those alone who may look into the process.
    let seen = if sys::euid() == 0 { " or any other" } else { ", as far as this user can see: root sees all" };
    match selector {
        None => format!("no process listens in this network namespace{seen}"),
        Some(Selector::Port(port)) => format!("no process listens on port {port} in this network namespace{seen}"),
        Some(Selector::Pids(_) | Selector::Name(_)) => "no process has that name (see: ps -e)".to_owned(),
        Some(_) => "no process is in it (see: ps -e -o pid,comm,cgroup)".to_owned(),
    }
}

/// Why it is not known which is meant.
fn too_many(selector: Option<&Selector>, found: &[Candidate]) -> String {
    let count = found.len();
    let what = match selector {
        None if found.iter().any(|c| c.place.is_some()) => "listen in other network namespaces".to_owned(),
        None => "listen here".to_owned(),
        Some(Selector::Port(port)) => format!("listen on port {port}"),
        Some(_) => "have that name".to_owned(),
    };
    format!("{count} processes {what}; give the number of one, or several with commas")
}

/// Lists them; on a terminal the user picks one.
fn picked(found: &[Candidate]) -> Result<Option<u32>, Failure> {
    eprint!("{}", list(found));
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(None);
    }
    loop {
        eprint!("Attach to which PID? (Enter: none) ");
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line).map_err(|e| Failure::Usage(format!("--attach: {e}")))?;
        let line = line.trim();
        if read == 0 || line.is_empty() {
            return Ok(None);
        }
        match found.iter().find(|c| c.pid.to_string() == line) {
            Some(one) => return Ok(Some(one.pid)),
            None => eprintln!("{} is not in the list", units::printable(line)),
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
    // Either all are in another network namespace, or none is.
    let elsewhere = found.iter().any(|c| c.place.is_some());
    let row = |pid: &str, parent: &str, user: &str, descriptors: &str, name: &str, ports: &str, place: &str| {
        let place = if elsewhere { format!("{place:<22}  ") } else { String::new() };
        format!("  {pid:>8}  {parent:>8}  {user:<12}  {descriptors:>11}  {name:<16}  {place}{ports}\n")
    };
    let lines = found.iter().take(MOST_LISTED).map(|c| {
        let descriptors = c.descriptors.map_or("–".to_owned(), units::grouped);
        let place = c.place.as_deref().unwrap_or("–");
        row(&c.pid.to_string(), &c.parent.to_string(), &c.user, &descriptors, &name(c), &ports(c), place)
    });
    let more = found.len().saturating_sub(MOST_LISTED);
    let rest = if more > 0 { format!("  and {more} more\n") } else { String::new() };
    let head = row("PID", "PARENT", "USER", "DESCRIPTORS", "NAME", "LISTENS ON", "WHERE");
    std::iter::once(head).chain(lines).chain(std::iter::once(rest)).collect()
}

/// Looks at a pid: an engine brings the other engine of its run along, a dashboard both of its own.
pub(super) fn find(pid: u32) -> Result<Found, Failure> {
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
            "process {pid} is {} of another user (uid {owner}): it is watched from outside like any process, without \
             its own counts, and takes no commands. Attach as that user to control it",
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
