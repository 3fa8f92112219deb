//! What a test requires of the machine, of its user and of the one who runs the tests, and what becomes of a test that does
//! not have it.

use std::io::Write;

use c1m_top::sys;

use super::cgroup::usable;
use super::{AS_NOBODY, Controller, Version, namespace};

/// Something that a test needs and that is not everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Consent to change settings of the whole machine for a while: `C1M_TEST_HOST=1`.
    Host,
    /// Consent to take long: `C1M_TEST_LONG=1`.
    Long,
    Root,
    /// The right to start a program as user 65534, by setpriv(1): root of a user namespace may not have it.
    OtherUser,
    /// For a whole test, which need not be root: `own_namespace!`. For `Net` it must.
    NetworkNamespace,
    /// Pairs of virtual links in such a namespace.
    Veth,
    /// For a whole test: `own_processes!`.
    PidNamespace,
    /// A pid namespace in which the number of the next process can be chosen.
    NextPid,
    Cgroup(Controller, Version),
    /// An installed program.
    Program(&'static str),
    /// An installed file: a library.
    File(&'static str),
    /// A package of Python's, put into a directory of the test: [`super::venv`].
    PyPi(&'static str),
    /// So few epoll registrations on this machine that a limit for a test leaves the others alone.
    FewEpollItems,
}

/// A skip that `C1M_TEST_STRICT=1` permits.
struct Permitted {
    need: Need,
    /// As [`Need::missing`] says it.
    why: &'static str,
    because: &'static str,
}

/// The only ones.
const PERMITTED: [Permitted; 9] = [
    Permitted {
        need: Need::Cgroup(Controller::Memory, Version::V2),
        why: "memory is a controller of version 1 here",
        because: "version 1 is tested for real, version 2 with trees of files (tests/fixtures)",
    },
    Permitted {
        need: Need::Cgroup(Controller::Pids, Version::V2),
        why: "pids is a controller of version 1 here",
        because: "version 1 is tested for real, version 2 with trees of files (tests/fixtures)",
    },
    Permitted {
        need: Need::Cgroup(Controller::Memory, Version::V1),
        why: "memory is a controller of version 2 here",
        because: "version 2 is tested for real, version 1 with trees of files (tests/fixtures)",
    },
    Permitted {
        need: Need::Cgroup(Controller::Pids, Version::V1),
        why: "pids is a controller of version 2 here",
        because: "version 2 is tested for real, version 1 with trees of files (tests/fixtures)",
    },
    Permitted {
        need: Need::Long,
        why: "C1M_TEST_LONG=1 is not set",
        because: "these are run before an issue is called resolved, not with every change",
    },
    Permitted {
        need: Need::Program("erl"),
        why: "erl is not installed",
        because: "foreign servers belong to C1M_TEST_LONG=1, which does not permit this skip",
    },
    Permitted {
        need: Need::Program("node"),
        why: "node is not installed",
        because: "foreign servers belong to C1M_TEST_LONG=1, which does not permit this skip",
    },
    Permitted {
        need: Need::Program("chromium"),
        why: "chromium is not installed",
        because: "a browser belongs to C1M_TEST_LONG=1, which does not permit this skip",
    },
    Permitted {
        need: Need::Program("javac"),
        why: "javac is not installed",
        because: "foreign servers belong to C1M_TEST_LONG=1, which does not permit this skip",
    },
];

/// Whether a skip is permitted under `C1M_TEST_STRICT=1`: the reason.
pub(crate) fn permits(need: Need, why: &str) -> Option<&'static str> {
    if is_set("C1M_TEST_LONG") && matches!(need, Need::Program(_) | Need::File(_)) {
        return None;
    }
    PERMITTED.iter().find(|p| p.need == need && p.why == why).map(|p| p.because)
}

fn is_set(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| value == "1")
}

impl Need {
    /// Why it is not there; `None` where it is.
    pub(crate) fn missing(self) -> Option<String> {
        let unless = |there: bool, why: &str| (!there).then(|| why.to_owned());
        match self {
            Need::Host => {
                unless(is_set("C1M_TEST_HOST"), "it changes settings of the whole machine (C1M_TEST_HOST=1 permits it)")
            }
            Need::Long => unless(is_set("C1M_TEST_LONG"), "C1M_TEST_LONG=1 is not set"),
            Need::Root => unless(sys::euid() == 0, "it needs root"),
            Need::OtherUser => {
                let mut other = std::process::Command::new(AS_NOBODY[0]);
                other.args(&AS_NOBODY[1..]).arg("true");
                let done = other.output().is_ok_and(|out| out.status.success());
                unless(done, "no program can be started as another user")
            }
            Need::NetworkNamespace => namespace::refused(":").map(|e| format!("no network namespace can be made: {e}")),
            Need::Veth => {
                namespace::refused("ip link add type veth").map(|e| format!("no virtual link can be made: {e}"))
            }
            Need::PidNamespace => {
                let done = namespace::contained(":").output().is_ok_and(|out| out.status.success());
                unless(done, "no pid namespace can be made")
            }
            Need::NextPid => {
                let mut shell = std::process::Command::new("unshare");
                shell.args("--pid --fork --mount-proc sh -c".split(' ')).arg("echo 100 > /proc/sys/kernel/ns_last_pid");
                let done = shell.output().is_ok_and(|out| out.status.success());
                unless(done, "no pid namespace can be made in which the next number can be chosen")
            }
            Need::Cgroup(controller, version) => usable(controller, version).err(),
            Need::Program(name) => {
                let path = std::env::var_os("PATH").unwrap_or_default();
                let there = std::env::split_paths(&path).any(|dir| dir.join(name).exists());
                unless(there, &format!("{name} is not installed"))
            }
            Need::File(path) => unless(std::path::Path::new(path).exists(), &format!("there is no {path}")),
            Need::PyPi(package) => super::process::into_venv(package).err(),
            Need::FewEpollItems => match slab_objects("eventpoll_epi") {
                Some(..=40_000) => None,
                Some(used) => Some(format!("other programs hold {used} epoll registrations")),
                None => Some("/proc/slabinfo, which counts epoll registrations, cannot be read".to_owned()),
            },
        }
    }
}

/// Objects in use in a slab cache.
pub(crate) fn slab_objects(cache: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/slabinfo").ok()?;
    let line = text.lines().find(|l| l.split_whitespace().next() == Some(cache))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The first of these that is not there, and why.
pub(crate) fn first_missing(needs: &[Need]) -> Option<(Need, String)> {
    needs.iter().find_map(|need| Some((*need, need.missing()?)))
}

/// How often a test tries what chance has a part in: once, and ten times where tests may take long.
pub(crate) fn tries() -> std::ops::Range<u32> {
    0..if Need::Long.missing().is_none() { 10 } else { 1 }
}

/// Whether a test has all it needs. Where it has not, this says so; with `C1M_TEST_STRICT=1` it panics instead, unless that
/// skip is permitted.
#[track_caller]
pub(crate) fn are_met(test: &str, needs: &[Need]) -> bool {
    let Some((need, why)) = first_missing(needs) else { return true };
    let line = format!("skipped: {test}: {why}");
    assert!(!is_set("C1M_TEST_STRICT") || permits(need, &why).is_some(), "C1M_TEST_STRICT=1 does not permit: {line}");
    print_uncaptured(&line);
    false
}

/// Writes a line past the capture of libtest, so that it is seen.
pub(crate) fn print_uncaptured(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Ends the test here, saying so, where something is missing that it needs: `require!(Root, Program("nft"))`.
#[macro_export]
macro_rules! require {
    ($($need:ident $(($($of:expr),+))?),+ $(,)?) => {
        if !$crate::support::are_met(
            $crate::test_name!(),
            &[$($crate::support::Need::$need $(($($of),+))?),+],
        ) {
            return;
        }
    };
}

/// The full name of the test in which this stands (`module::function`), as libtest has it.
#[macro_export]
macro_rules! test_name {
    () => {{
        fn here() {}
        let name = std::any::type_name_of_val(&here);
        let name = name.strip_suffix("::here").unwrap_or(name);
        // The first part is the crate.
        name.split_once("::").map_or(name, |(_, name)| name)
    }};
}

/// Two tests of one function: in a memory cgroup of version 1 and of version 2; with `own_namespace` in a namespace of its own.
#[macro_export]
macro_rules! both_versions {
    ($run:ident, $v1:ident, $v2:ident $(, $first:ident)?) => {
        $crate::both_versions!(@ V1, $v1, $run $(, $first)?);
        $crate::both_versions!(@ V2, $v2, $run $(, $first)?);
    };
    (@ $version:ident, $test:ident, $run:ident $(, $first:ident)?) => {
        #[test]
        fn $test() {
            $crate::require!(Cgroup($crate::support::Controller::Memory, $crate::support::Version::$version));
            $($crate::$first!();)?
            $run($crate::support::Version::$version);
        }
    };
}
