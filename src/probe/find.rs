//! Which processes a selector of `--attach` means, read once before anything is watched, and the ports that a process listens
//! on: here the first of its descriptors are listed.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::str::FromStr;

use super::listeners;
use super::process::{self, first_sockets};
use super::source::Roots;
use super::tree::{self, Seen, in_cgroup};

/// What `--attach` takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The processes with these numbers.
    Pids(Vec<u32>),
    /// Those called so.
    Name(String),
    /// Those that listen on this port: in this network namespace, or where nothing does, in another one.
    Port(u16),
    /// Those of a systemd unit.
    Unit(String),
    /// Those in a cgroup, or below it.
    Cgroup(String),
    /// Those of a container, by its id or the beginning of it.
    Container(String),
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(port) = text.strip_prefix(':') {
            let port = port.parse().ok().filter(|port| *port > 0);
            return port.map(Self::Port).ok_or_else(|| format!("'{text}' is not a port; write for example :443"));
        }
        let of_a_kind = text.split_once(':').filter(|(kind, _)| matches!(*kind, "unit" | "cgroup" | "container"));
        if let Some((kind, name)) = of_a_kind {
            let name = name.trim_end_matches('/').to_owned();
            return match kind {
                _ if name.is_empty() => Err(format!("'{text}' names nothing")),
                "unit" => Ok(Self::Unit(name)),
                "cgroup" => Ok(Self::Cgroup(name)),
                _ => Ok(Self::Container(name)),
            };
        }
        if text.trim().is_empty() {
            return Err("an empty name is no process".to_owned());
        }
        if !text.bytes().all(|b| b.is_ascii_digit() || b == b',') {
            return Ok(Self::Name(text.to_owned()));
        }
        text.split(',').map(parse_pid).collect::<Result<_, _>>().map(Self::Pids)
    }
}

impl Selector {
    /// Whether it means a cgroup: everything in it, also what comes later.
    pub fn is_group(&self) -> bool {
        matches!(self, Self::Unit(_) | Self::Cgroup(_) | Self::Container(_))
    }

    /// Whether it means this process; who listens on a port is not asked here.
    pub(crate) fn means(&self, roots: &Roots, process: &Seen) -> bool {
        let within = |is_meant: &dyn Fn(&str) -> bool| in_cgroup(roots, process.pid, is_meant);
        match self {
            Self::Pids(pids) => pids.contains(&process.pid),
            Self::Name(name) => is_called(roots, process, name),
            Self::Port(_) => false,
            Self::Unit(name) => within(&|path| path.split('/').any(|part| part == name)),
            Self::Cgroup(group) => within(&|path| is_below(path, group)),
            Self::Container(id) => within(&|path| path.split('/').any(|part| is_container(part, id))),
        }
    }
}

/// The number of a process.
///
/// # Errors
/// A sentence that says what is accepted.
pub fn parse_pid(text: &str) -> Result<u32, String> {
    let wrong = || format!("'{text}' is not a process id; write the number that pgrep -a NAME prints");
    text.parse().ok().filter(|pid| *pid > 0).ok_or_else(wrong)
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pids(pids) => f.write_str(&pids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
            Self::Name(name) => f.write_str(name),
            Self::Port(port) => write!(f, ":{port}"),
            Self::Unit(name) => write!(f, "unit:{name}"),
            Self::Cgroup(path) => write!(f, "cgroup:{path}"),
            Self::Container(id) => write!(f, "container:{id}"),
        }
    }
}

/// A process that a selector may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its number.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// Its name.
    pub name: String,
    /// The name of its user, or the number of one without.
    pub user: String,
    /// Open descriptors, where the kernel tells (Linux 6.2) and this user may ask.
    pub descriptors: Option<u64>,
    /// Ports it listens on, in order.
    pub ports: Vec<u16>,
    /// Where, if that is not this network namespace: its container, or what the kernel calls that namespace.
    pub place: Option<String>,
}

/// Whether it is one of the kernel's own threads, which have no connections.
pub fn is_kernel_thread(roots: &Roots, pid: u32) -> bool {
    tree::seen(roots, pid).is_some_and(|p| p.kernel)
}

/// The processes that a selector means, by number; never this one. Without a selector, those that listen. Where nothing listens in
/// this network namespace, others are asked that this user may enter. Unless `alone`, of those of which one descends from
/// another only that other one.
///
/// # Errors
/// Where who listens cannot be asked: why, as a sentence.
pub fn find(roots: &Roots, selector: Option<&Selector>, alone: bool) -> Result<Vec<Candidate>, String> {
    let by_port = matches!(selector, None | Some(Selector::Port(_)));
    let ports = listeners::open(roots, None).and_then(|socket| listeners::inodes(&socket, &mut Vec::new()));
    if let (true, Err(why)) = (by_port, &ports) {
        return Err(format!("cannot see who listens: {why}"));
    }
    let all = tree::every(roots);
    let others: Vec<&Seen> = all.iter().filter(|p| !p.kernel && p.pid != std::process::id()).collect();
    let mut found = listed(roots, selector, &others, &ports.unwrap_or_default());
    if by_port && found.is_empty() {
        found = listed(roots, selector, &others, &ports_elsewhere(roots, &others));
        for candidate in &mut found {
            candidate.place = place(roots, candidate.pid);
        }
    }
    if !alone {
        let pids: Vec<u32> = found.iter().map(|c| c.pid).collect();
        let tops = tree::tops(&all, &pids);
        found.retain(|c| tops.contains(&c.pid));
    }
    found.sort_by_key(|c| c.pid);
    Ok(found)
}

/// Those of `processes` that are meant. `ports` has the listeners that there are, by the inode of their socket.
fn listed(
    roots: &Roots,
    selector: Option<&Selector>,
    processes: &[&Seen],
    ports: &HashMap<u64, u16>,
) -> Vec<Candidate> {
    let by_port = matches!(selector, None | Some(Selector::Port(_)));
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut found = Vec::new();
    if by_port && ports.is_empty() {
        return found;
    }
    for process in processes {
        if !by_port && !selector.is_some_and(|selector| selector.means(roots, process)) {
            continue;
        }
        let own = ports_of(roots, process.pid, ports);
        let listens = match selector {
            Some(Selector::Port(port)) => own.contains(port),
            Some(_) => true,
            None => !own.is_empty(),
        };
        if !listens {
            continue;
        }
        let place = roots.proc.join(process.pid.to_string());
        let uid = fs::metadata(&place).map_or(0, |m| m.uid());
        found.push(Candidate {
            pid: process.pid,
            parent: process.parent,
            name: process.comm.clone(),
            user: user(&users, uid),
            descriptors: process::descriptors(&place.join("fd")).ok().flatten(),
            ports: own,
            place: None,
        });
    }
    found
}

/// The listeners of every other network namespace in which one of `processes` is and that may be entered, each asked once. No
/// two sockets of a machine have the same inode, whatever their namespaces.
fn ports_elsewhere(roots: &Roots, processes: &[&Seen]) -> HashMap<u64, u16> {
    let mut asked: HashSet<_> = network(roots, "self").into_iter().collect();
    let (mut found, mut buf) = (HashMap::new(), Vec::new());
    for process in processes {
        if network(roots, &process.pid.to_string()).is_some_and(|network| asked.insert(network))
            && let Ok(socket) = listeners::open(roots, Some(process.pid))
        {
            found.extend(listeners::inodes(&socket, &mut buf).unwrap_or_default());
        }
    }
    found
}

/// What the kernel calls the network namespace of a process: `net:[4026532281]`.
fn network(roots: &Roots, process: &str) -> Option<String> {
    Some(fs::read_link(roots.proc.join(process).join("ns/net")).ok()?.to_string_lossy().into_owned())
}

/// Where a process in another network namespace is.
fn place(roots: &Roots, pid: u32) -> Option<String> {
    let text = fs::read_to_string(roots.proc.join(format!("{pid}/cgroup"))).unwrap_or_default();
    let container = text.split(['/', '\n']).find_map(container);
    container.map(|id| format!("container {id:.12}")).or_else(|| network(roots, &pid.to_string()))
}

/// By the name that the kernel keeps, which is cut after 15 bytes, or by that of the program it was started as.
fn is_called(roots: &Roots, process: &Seen, name: &str) -> bool {
    let started_as = || {
        let line = fs::read(roots.proc.join(format!("{}/cmdline", process.pid))).unwrap_or_default();
        let first = line.split(|b| *b == 0).next().unwrap_or_default().to_vec();
        let path = String::from_utf8(first).unwrap_or_default();
        path.rsplit('/').next().is_some_and(|program| program == name)
    };
    process.comm == name || started_as()
}

/// Whether a cgroup is the named one or below it; the name may begin with where version 2, or a controller, is mounted.
fn is_below(path: &str, group: &str) -> bool {
    let group = group.strip_prefix("/sys/fs/cgroup").unwrap_or(group);
    let named = |group: &str| path == group || path.strip_prefix(group).is_some_and(|rest| rest.starts_with('/'));
    let after_controller = group.strip_prefix('/').and_then(|g| g.split_once('/')).map(|(_, rest)| format!("/{rest}"));
    !group.is_empty() && (named(group) || after_controller.is_some_and(|group| named(&group)))
}

/// The id of the container whose part of a cgroup's path this is: `ID`, `docker-ID.scope`, `cri-containerd-ID.scope`,
/// `libpod-ID`.
fn container(part: &str) -> Option<&str> {
    let part = part.strip_suffix(".scope").unwrap_or(part);
    let own = part.rsplit('-').next().unwrap_or(part);
    (own.len() >= 32 && own.bytes().all(|b| b.is_ascii_hexdigit())).then_some(own)
}

/// Whether a part of a cgroup's path is that of a container whose id begins so.
fn is_container(part: &str, id: &str) -> bool {
    container(part).is_some_and(|own| own.starts_with(id))
}

/// The ports whose listeners are among the first descriptors of a process.
fn ports_of(roots: &Roots, pid: u32, ports: &HashMap<u64, u16>) -> Vec<u16> {
    // Of one that may not be looked into none is known.
    let sockets = first_sockets(roots, pid).map(|(sockets, _)| sockets).unwrap_or_default();
    let mut own: Vec<u16> = sockets.keys().filter_map(|i| ports.get(i).copied()).collect();
    own.sort_unstable();
    own.dedup();
    own
}

/// The name of a user, or the number of one without.
pub(crate) fn name_of_user(uid: u32) -> String {
    user(&fs::read_to_string("/etc/passwd").unwrap_or_default(), uid)
}

/// The name of a user in the text of `/etc/passwd`.
fn user(passwd: &str, uid: u32) -> String {
    let name = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    };
    passwd.lines().find_map(name).unwrap_or_else(|| uid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_selector_is_told_by_its_form() {
        let name = |kind: fn(String) -> Selector, text: &str| Ok(kind(text.to_owned()));
        for (text, want) in [
            ("4021", Ok(Selector::Pids(vec![4021]))),
            ("4021,77", Ok(Selector::Pids(vec![4021, 77]))),
            (":443", Ok(Selector::Port(443))),
            ("nginx", name(Selector::Name, "nginx")),
            ("7zip", name(Selector::Name, "7zip")),
            ("unit:nginx.service", name(Selector::Unit, "nginx.service")),
            ("cgroup:/system.slice/", name(Selector::Cgroup, "/system.slice")),
            ("container:3f2a", name(Selector::Container, "3f2a")),
        ] {
            assert_eq!(text.parse(), want, "{text}");
            if let Ok(selector) = want {
                assert_eq!(selector.to_string(), text.trim_end_matches('/'));
            }
        }
        for wrong in ["", "0", "99999999999", "1,", ",", "1,0", ":0", ":x", "unit:", "cgroup:/", "container:"] {
            assert!(wrong.parse::<Selector>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_cgroup_means_what_is_below_it_too_and_nothing_that_is_merely_called_alike() {
        for (path, group, want) in [
            ("/system.slice/nginx.service", "/system.slice/nginx.service", true),
            ("/system.slice/nginx.service/worker", "/system.slice/nginx.service", true),
            ("/system.slice/nginx.service2", "/system.slice/nginx.service", false),
            ("/system.slice/nginx.service", "/sys/fs/cgroup/system.slice/nginx.service", true),
            ("/load/a", "/sys/fs/cgroup/memory/load", true),
            ("/", "/load", false),
        ] {
            assert_eq!(is_below(path, group), want, "{path} {group}");
        }
    }

    #[test]
    fn a_container_is_known_by_the_beginning_of_its_id() {
        let id = "3f2a9c1d5e6b7a8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708";
        for part in
            [id.to_owned(), format!("docker-{id}.scope"), format!("cri-containerd-{id}.scope"), format!("libpod-{id}")]
        {
            assert!(is_container(&part, "3f2a9c") && is_container(&part, id), "{part}");
            assert!(!is_container(&part, "9c1d"), "{part}");
        }
        assert!(!is_container("session-3.scope", "3"));
    }

    #[test]
    fn users_have_names_where_they_have_one() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\n";
        assert_eq!((user(passwd, 33), user(passwd, 34)), ("www-data".to_owned(), "34".to_owned()));
    }
}
