//! One limit held against a target.

use serde::Serialize;

use crate::model::Unit;
use crate::model::names;
use crate::sample::Absent;
use crate::units::round_up;

/// Whether a limit is large enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Large enough.
    Fits,
    /// The run meets it before the target.
    TooSmall,
    /// The target is reached, but slower or less smoothly than need be.
    Caution,
    /// Does not bound this run.
    NotApplicable,
    /// Cannot be known beforehand.
    Unknown,
}

impl Verdict {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Fits => "fits",
            Verdict::TooSmall => "TOO SMALL",
            Verdict::Caution => "caution",
            Verdict::NotApplicable => "not applicable",
            Verdict::Unknown => "unknown",
        }
    }
}

/// A setting that cures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// A sysctl.
    Sysctl {
        /// `fs.file-max`.
        key: &'static str,
        /// Value that is enough.
        to: String,
    },
    /// `RLIMIT_NOFILE` of whoever starts the program.
    Nofile {
        /// What one table needs.
        soft: u64,
        /// The hard limit: the same, or what it is already.
        hard: u64,
    },
    /// Memory limit of a cgroup, bytes.
    MemoryMax(u64),
    /// Task limit of a cgroup.
    TasksMax(u64),
}

impl Setting {
    /// A sysctl of one number, rounded up.
    pub(crate) fn sysctl(key: &'static str, need: u64) -> Self {
        Setting::Sysctl { key, to: round_up(need).to_string() }
    }

    /// The command that sets it now.
    pub fn command(&self) -> String {
        match self {
            Setting::Sysctl { key, to } if to.contains(' ') => format!("sysctl -w {key}=\"{to}\""),
            Setting::Sysctl { key, to } => format!("sysctl -w {key}={to}"),
            Setting::Nofile { soft, .. } => {
                format!("LimitNOFILE={soft} in the service's systemd unit; limits.conf for a login")
            }
            Setting::MemoryMax(n) => {
                format!("MemoryMax={} in the service's systemd unit; a container: its memory limit", mib(*n))
            }
            Setting::TasksMax(n) => format!("TasksMax={n} in the service's systemd unit; a container: its pids limit"),
        }
    }
}

/// Bytes as systemd writes them, in mebibytes.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{}M", bytes.div_ceil(1 << 20))
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Id, as in the summary of a run: `file-max`.
    pub id: &'static str,
    /// What it belongs to.
    pub scope: String,
    /// What its numbers count.
    pub unit: Unit,
    /// Present value.
    pub present: Option<u64>,
    /// Value that the target needs.
    pub needed: Option<u64>,
    /// Whether it is enough.
    pub verdict: Verdict,
    /// The count of connections at which it is met.
    pub met_at_connections: Option<u64>,
    /// Whether the run fails where it is met; else it goes on more slowly or less smoothly.
    pub fails: bool,
    /// Why; or how the numbers come about.
    pub reason: Option<String>,
    /// What cures it on this machine; `None` where nothing needs to.
    pub cure: Option<String>,
    /// The setting behind the cure, where one is enough.
    #[serde(skip)]
    pub setting: Option<Setting>,
}

impl Row {
    /// A limit of which nothing needs to, or can, be said.
    pub(crate) fn without(id: &'static str, verdict: Verdict, why: impl Into<String>) -> Self {
        Self {
            id,
            scope: String::new(),
            unit: Unit::Count,
            present: None,
            needed: None,
            verdict,
            met_at_connections: None,
            fails: true,
            reason: Some(why.into()),
            cure: None,
            setting: None,
        }
    }

    pub(crate) fn unknown(id: &'static str, why: &Absent) -> Self {
        Self::without(id, Verdict::Unknown, why.to_string())
    }

    /// Does not bound this run.
    pub(crate) fn na(id: &'static str, why: impl Into<String>) -> Self {
        Self::without(id, Verdict::NotApplicable, why)
    }

    /// A limit of which `needed` has to fit into `present`.
    pub(crate) fn held(id: &'static str, scope: impl Into<String>, present: u64, needed: u64) -> Self {
        let verdict = if needed <= present { Verdict::Fits } else { Verdict::TooSmall };
        Self {
            scope: scope.into(),
            present: Some(present),
            needed: Some(needed),
            reason: None,
            ..Self::without(id, verdict, "")
        }
    }

    pub(crate) fn of(self, scope: impl Into<String>) -> Self {
        Self { scope: scope.into(), ..self }
    }

    pub(crate) fn met_at(self, connections: u64) -> Self {
        // A limit that is not there is never met.
        let met_at_connections = (self.present.is_none_or(|p| p < 1 << 60)).then_some(connections);
        Self { met_at_connections, ..self }
    }

    pub(crate) fn because(self, why: impl Into<String>) -> Self {
        Self { reason: Some(why.into()), ..self }
    }

    /// Fails nothing: too small is a caution.
    pub(crate) fn mild(mut self) -> Self {
        self.fails = false;
        if self.verdict == Verdict::TooSmall {
            self.verdict = Verdict::Caution;
        }
        self
    }

    /// Whether something should be done.
    pub fn is_short(&self) -> bool {
        matches!(self.verdict, Verdict::TooSmall | Verdict::Caution)
    }

    /// What is done where it is too small.
    pub(crate) fn cured(mut self, cure: impl FnOnce() -> String) -> Self {
        if self.is_short() {
            self.cure = Some(cure());
        }
        self
    }

    /// A setting that is done where it is too small, and its command as the cure.
    pub(crate) fn set(mut self, setting: impl FnOnce() -> Setting) -> Self {
        if self.is_short() {
            let setting = setting();
            self.cure.get_or_insert_with(|| setting.command());
            self.setting = Some(setting);
        }
        self
    }

    /// Its name for people.
    pub fn label(&self) -> &'static str {
        names::info(self.id).map_or(self.id, |i| i.label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_none_is_never_met() {
        let row = Row::held("file-max", "host", i64::MAX as u64, 5).met_at(7);
        assert_eq!((row.verdict, row.met_at_connections), (Verdict::Fits, None));
    }
}
