//! The network namespace that is read: the dashboard's own or a target's, and what of that one this user can see.
//!
//! `/proc/PID/net` shows the counters of another namespace to anybody. What is set there, the speed of its links and its sockets
//! are for those alone who may enter it.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use super::link;
use super::namespace::{Namespace, same_network};
use super::source::{Roots, Source, reason};
use crate::sample::kernel::{Absent, Link, Reading};
use crate::sys;

/// Which one, and the way into it.
#[derive(Debug)]
pub(crate) struct Network {
    roots: Roots,
    other: Option<Other>,
}

/// One that is not the dashboard's own.
#[derive(Debug)]
struct Other {
    /// The process that led to it.
    pid: u32,
    entered: Reading<Arc<Namespace>>,
}

/// Another network namespace that cannot be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// The process in it.
    pub pid: u32,
    /// Why it cannot be entered.
    pub why: Absent,
    /// What is not known of it.
    pub what: Vec<String>,
}

impl Network {
    /// That of `pid`, or the dashboard's own.
    pub(crate) fn of(roots: &Roots, pid: Option<u32>) -> Self {
        let other = pid.filter(|&pid| same_network(&roots.proc, pid) == Some(false));
        let enter = |pid| -> io::Result<Arc<Namespace>> {
            let namespace = Namespace::of(&roots.proc, pid)?;
            namespace.inside(|| Ok(()))?;
            Ok(Arc::new(namespace))
        };
        let other = other.map(|pid| Other {
            pid,
            entered: enter(pid)
                .map_err(|error| reason(&error, &format!("/proc/{pid}/ns/net"), Some(&Absent::ProcessEnded))),
        });
        Self { roots: roots.clone(), other }
    }

    /// The process that led to it, where it is not the dashboard's own.
    pub(crate) fn other(&self) -> Option<u32> {
        self.other.as_ref().map(|other| other.pid)
    }

    /// A file below `/proc/sys/net` that each namespace has for itself; `missing` is what it means that it is not there.
    pub(crate) fn own(&self, path: &str, missing: Option<Absent>) -> Source {
        match self.other.as_ref().map(|other| other.entered.as_ref()) {
            None => self.here(path, missing),
            Some(Ok(namespace)) => Source::open_inside(&self.roots, shown(path), missing, namespace),
            Some(Err(_)) => Source::absent(shown(path), Absent::InTargetsNamespace),
        }
    }

    /// One that is the machine's, and shown in the first namespace alone or in any: as the dashboard sees it, or else as it is
    /// seen inside.
    pub(crate) fn of_machine(&self, path: &str, missing: Option<Absent>) -> Source {
        let here = self.here(path, missing.clone());
        if here.is_open() || !matches!(self.other, Some(Other { entered: Ok(_), .. })) {
            return here;
        }
        let inside = self.own(path, missing);
        if inside.is_open() { inside } else { here }
    }

    /// One that each namespace has for itself since some kernel, and that was the machine's before: where there is no way
    /// in, as the dashboard sees it.
    pub(crate) fn own_or_of_machine(&self, path: &str, missing: Option<Absent>) -> Source {
        match self.other {
            Some(Other { entered: Err(_), .. }) => self.here(path, missing),
            _ => self.own(path, missing),
        }
    }

    fn here(&self, path: &str, missing: Option<Absent>) -> Source {
        match missing {
            Some(missing) => Source::open_or(&self.roots, shown(path), missing),
            None => Source::open(&self.roots, shown(path)),
        }
    }

    /// Its fastest link. A mounted `/sys` shows the interfaces of the namespace that it was mounted in; so inside another one
    /// a second is mounted, nowhere, and gone when it is closed.
    pub(crate) fn link(&self, buf: &mut Vec<u8>) -> Reading<Link> {
        let Some(other) = &self.other else { return link::fastest(&self.roots, "/proc/net/dev", buf) };
        let namespace = other.entered.as_ref().map_err(|_| Absent::InTargetsNamespace)?;
        let sysfs = namespace.inside(sys::sysfs_of_this_network);
        let sysfs = sysfs
            .map_err(|e| Absent::Because(format!("the watched process's interfaces cannot be seen: {e}").into()))?;
        let roots = Roots { sys: format!("/proc/self/fd/{}", sysfs.as_raw_fd()).into(), ..self.roots.clone() };
        link::fastest(&roots, &format!("/proc/{}/net/dev", other.pid), buf)
    }

    /// Does something in it.
    ///
    /// # Errors
    /// What `work` says, or that it cannot be entered.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        match self.other.as_ref().map(|other| other.entered.as_ref()) {
            None => work(),
            Some(Ok(namespace)) => namespace.inside(work),
            Some(Err(why)) => Err(io::Error::other(why.to_string())),
        }
    }

    /// What is missed where it cannot be entered; `settings` are those that are not seen for that reason.
    pub(crate) fn unseen<'a>(&self, settings: impl Iterator<Item = &'a str>) -> Option<Unseen> {
        let Other { pid, entered: Err(why) } = self.other.as_ref()? else { return None };
        let what =
            ["its listeners and their connections"].into_iter().chain(settings).chain(["the speed of its links"]);
        Some(Unseen { pid: *pid, why: why.clone(), what: what.map(ToOwned::to_owned).collect() })
    }
}

fn shown(path: &str) -> String {
    format!("/proc/sys/net/{path}")
}
