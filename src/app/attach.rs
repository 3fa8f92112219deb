//! Finding what to attach to: an engine, the engines of a running dashboard, or any other process.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::Failure;
use super::link::Link;
use crate::engine::socket;
use crate::sys;

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
