//! The settings that make a target fit, and no more: as files to put into place.

use std::fmt::Write as _;

use serde::Serialize;

use crate::limits::{LimitId, Need, Setting, Verdict, mib};

use super::obsolete::Finding;
use super::table::title;
use super::{Ask, Report};

/// One sysctl to set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `fs.file-max`.
    pub key: &'static str,
    /// The value that is enough.
    pub to: String,
    /// Why, for people.
    pub why: String,
}

/// What is proposed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename = "tune")]
pub struct Proposal {
    /// Whether the target fits once everything here is set.
    pub fits_then: bool,
    /// Sysctls.
    pub sysctl: Vec<Change>,
    /// `RLIMIT_NOFILE` for the program.
    pub nofile: Option<Nofile>,
    /// Memory limit of its cgroup, bytes.
    pub memory_max_bytes: Option<u64>,
    /// Task limit of its cgroup.
    pub tasks_max: Option<u64>,
    /// Limits that no setting cures: id and what to do.
    pub beyond: Vec<Beyond>,
    /// Keys of the running configuration that do nothing, or harm.
    pub obsolete: Vec<Finding>,
}

/// Soft and hard limit of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Nofile {
    /// What the program needs.
    pub soft: u64,
    /// The same, or what it is already where that is more.
    pub hard: u64,
    /// Whether the present hard limit is too small as well.
    pub raises_hard: bool,
}

/// A limit that no setting cures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Beyond {
    /// Its id.
    pub id: LimitId,
    /// What to do.
    pub cure: String,
    /// Whether the run fails for it.
    pub fails: bool,
}

impl Proposal {
    /// From the limits that are too small.
    pub fn new(report: &Report, obsolete: Vec<Finding>) -> Self {
        let mut new = Self {
            fits_then: true,
            sysctl: Vec::new(),
            nofile: None,
            memory_max_bytes: None,
            tasks_max: None,
            beyond: Vec::new(),
            obsolete,
        };
        for row in report.limits.iter().filter(|r| r.is_short()) {
            match row.cure.setting() {
                Some(Setting::Sysctl { key, to }) => {
                    new.change(Change { key, to: to.clone(), why: why(row) });
                }
                Some(Setting::Nofile { soft, hard }) => {
                    // The hard limit's row follows that of the soft one.
                    let raises_hard = row.present.is_some_and(|present| present < *soft) && soft == hard;
                    new.nofile = Some(Nofile { soft: *soft, hard: *hard, raises_hard });
                }
                Some(Setting::MemoryMax(n)) => new.memory_max_bytes = new.memory_max_bytes.max(Some(*n)),
                Some(Setting::TasksMax(n)) => new.tasks_max = new.tasks_max.max(Some(*n)),
                None => new.beyond.push(Beyond {
                    id: row.id,
                    cure: row.cure.to_string(),
                    fails: row.verdict == Verdict::TooSmall,
                }),
            }
        }
        new.fits_then = !new.beyond.iter().any(|b| b.fails);
        new
    }

    /// Adds a sysctl; of two limits that one key raises the larger value counts.
    fn change(&mut self, change: Change) {
        let number = |c: &Change| c.to.parse::<u64>().unwrap_or(u64::MAX);
        match self.sysctl.iter_mut().find(|known| known.key == change.key) {
            Some(known) if number(known) >= number(&change) => {}
            Some(known) => *known = change,
            None => self.sysctl.push(change),
        }
    }

    /// Whether there is nothing to set.
    pub fn is_empty(&self) -> bool {
        self.sysctl.is_empty() && self.service().is_empty()
    }

    /// Lines of the `[Service]` section.
    pub fn service(&self) -> Vec<String> {
        let lines = [
            self.nofile.map(|n| {
                let hard = if n.raises_hard { String::new() } else { format!(":{}", n.hard) };
                format!("LimitNOFILE={}{hard}", n.soft)
            }),
            self.memory_max_bytes.map(|n| format!("MemoryMax={}", mib(n))),
            self.tasks_max.map(|n| format!("TasksMax={n}")),
        ];
        lines.into_iter().flatten().collect()
    }

    /// The files, one after the other, each line with its reason.
    pub fn write(&self, ask: &Ask) -> String {
        let mut out = format!("# {}\n", title(ask));
        if self.is_empty() {
            out.push_str("# Nothing to set: every setting of this machine is large enough.\n");
        }
        if !self.sysctl.is_empty() {
            file(&mut out, "/etc/sysctl.d/90-c1m-top.conf", "takes effect after: sysctl --system");
            for change in &self.sysctl {
                let _ = writeln!(out, "# {}", change.why);
                let _ = writeln!(out, "{} = {}", change.key, change.to);
            }
        }
        if let Some(n) = self.nofile {
            file(
                &mut out,
                "/etc/security/limits.d/90-c1m-top.conf",
                "takes effect at the next login; does not apply to systemd services",
            );
            out.push_str(
                "# One descriptor table has to hold every connection of its process. '*' does not include root.\n",
            );
            for who in ["*   ", "root"] {
                let levels = if n.raises_hard { ["soft", "hard"].as_slice() } else { &["soft"] };
                for level in levels {
                    let _ = writeln!(out, "{who} {level} nofile {}", n.soft);
                }
            }
        }
        let service = self.service();
        if !service.is_empty() {
            file(
                &mut out,
                "/etc/systemd/system/YOUR-SERVICE.service.d/90-c1m-top.conf",
                "takes effect after: systemctl daemon-reload, and a restart of the service",
            );
            out.push_str("[Service]\n");
            for line in service {
                let _ = writeln!(out, "{line}");
            }
        }
        self.remarks(&mut out);
        out
    }

    fn remarks(&self, out: &mut String) {
        if !self.beyond.is_empty() {
            out.push_str("\n# What no setting can fix:\n");
            for beyond in &self.beyond {
                let word = if beyond.fails { "too small" } else { "caution" };
                let _ = writeln!(out, "# {} ({word}): {}", beyond.id, beyond.cure);
            }
        }
        if !self.obsolete.is_empty() {
            out.push_str("\n# In the configuration of this machine:\n");
            for finding in &self.obsolete {
                let _ = writeln!(out, "# {finding}");
            }
        }
    }
}

fn file(out: &mut String, path: &str, when: &str) {
    let _ = writeln!(out, "\n# ---- {path} ({when})");
}

/// `descriptors: 1,024 now, 1,000,200 needed; …`.
fn why(row: &Need) -> String {
    let number = |n: Option<u64>| n.map_or_else(|| "unknown".to_owned(), |n| row.unit.write(n));
    let reason = row.reason.as_ref().map_or_else(String::new, |r| format!("; {r}"));
    format!("{}: {} now, {}{} needed{reason}", row.label(), number(row.present), number(row.needed), row.of_what)
}
