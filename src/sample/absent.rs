//! A value, or why there is none.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A value, or the reason why there is none. Absence is never shown as 0.
pub type Reading<T> = Result<T, Absent>;

/// Why a source has no value. Code tells reasons apart by their variant, people read them by `Display`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Absent {
    /// The process that it belonged to has ended.
    ProcessEnded,
    /// The process is on its way out and has given it back.
    ProcessEnding,
    /// There is no such process.
    NoProcess {
        /// Its number.
        pid: u32,
    },
    /// This user may not read it.
    NeedsRoot {
        /// The file.
        path: String,
    },
    /// The kernel is too old for it, or was built without it.
    NotInThisKernel {
        /// The file.
        path: String,
    },
    /// The kernel has it, and was booted without it.
    SwitchedOff {
        /// The file.
        path: String,
    },
    /// It is shown in the first network namespace alone.
    NotInThisNamespace,
    /// It belongs to the target's network namespace, and only from inside could it be read.
    InTargetsNamespace,
    /// Connection tracking is not loaded.
    NotTracking,
    /// The kernel answers no question about sockets: no `tcp_diag`, neither built in nor to be loaded.
    NoSockDiag,
    /// It could not be opened for want of a descriptor.
    NoDescriptor {
        /// The file.
        path: String,
    },
    /// It is longer than anything that is expected there.
    TooLong {
        /// The file.
        path: String,
    },
    /// Any other failure of a read.
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        error: String,
    },
    /// It was read and says something else than expected.
    Malformed {
        /// In which way: `cut short`, `not a number`.
        what: Cow<'static, str>,
        /// The file, where it is one.
        path: Option<Cow<'static, str>>,
    },
    /// Any other reason: for people, lower case, no full stop.
    Because(Cow<'static, str>),
}

impl Absent {
    /// An absence with a fixed reason that no code needs to tell from others.
    pub const fn because(why: &'static str) -> Self {
        Self::Because(Cow::Borrowed(why))
    }
}

/// For people, lower case, no full stop.
impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProcessEnded => f.write_str("the process has ended"),
            Self::ProcessEnding => f.write_str("the process is ending"),
            Self::NoProcess { pid } => write!(f, "there is no process {pid}"),
            Self::NeedsRoot { path } => write!(f, "needs root ({path})"),
            Self::NotInThisKernel { path } => write!(f, "this kernel has no {path}"),
            Self::SwitchedOff { path } => write!(f, "switched off in this kernel ({path})"),
            Self::NotInThisNamespace => f.write_str("not in this network namespace"),
            Self::InTargetsNamespace => {
                f.write_str("set in the watched process's network namespace, not visible from this one")
            }
            Self::NotTracking => f.write_str("connection tracking is not loaded"),
            Self::NoSockDiag => f.write_str("this kernel does not report accept queues (no tcp_diag)"),
            Self::NoDescriptor { path } => write!(f, "out of open files, cannot open {path}"),
            Self::TooLong { path } => write!(f, "longer than 4 MiB, not read ({path})"),
            Self::Unreadable { path, error } => write!(f, "{path}: {error}"),
            Self::Malformed { what, path: Some(path) } => write!(f, "{what} ({path})"),
            Self::Malformed { what, path: None } => f.write_str(what),
            Self::Because(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_words_and_survives_a_recording() {
        let path = || "/proc/x".to_owned();
        let rows = [
            (Absent::ProcessEnded, "the process has ended"),
            (Absent::ProcessEnding, "the process is ending"),
            (Absent::NoProcess { pid: 4022 }, "there is no process 4022"),
            (Absent::NeedsRoot { path: path() }, "needs root (/proc/x)"),
            (Absent::NotInThisKernel { path: path() }, "this kernel has no /proc/x"),
            (Absent::SwitchedOff { path: path() }, "switched off in this kernel (/proc/x)"),
            (Absent::NotInThisNamespace, "not in this network namespace"),
            (Absent::InTargetsNamespace, "set in the watched process's network namespace, not visible from this one"),
            (Absent::NotTracking, "connection tracking is not loaded"),
            (Absent::NoSockDiag, "this kernel does not report accept queues (no tcp_diag)"),
            (Absent::NoDescriptor { path: path() }, "out of open files, cannot open /proc/x"),
            (Absent::TooLong { path: path() }, "longer than 4 MiB, not read (/proc/x)"),
            (Absent::Unreadable { path: path(), error: "Is a directory".into() }, "/proc/x: Is a directory"),
            (Absent::Malformed { what: "cut short".into(), path: Some("/proc/x".into()) }, "cut short (/proc/x)"),
            (Absent::Malformed { what: "not a number".into(), path: None }, "not a number"),
            (Absent::because("IPv6 is switched off"), "IPv6 is switched off"),
        ];
        for (absent, words) in rows {
            assert_eq!(absent.to_string(), words);
            let text = serde_json::to_string(&absent).unwrap();
            assert_eq!(serde_json::from_str::<Absent>(&text).unwrap(), absent, "{text}");
        }
    }
}
