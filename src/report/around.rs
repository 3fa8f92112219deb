//! What is around a run: plan, kernel, settings, limits, versions. A comparison says first what of it differs.

use std::fmt;

use serde::Serialize;

/// Everything around a run, in the order in which it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Around(pub Vec<Setting>);

/// One thing that a run was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// What kind of thing it is.
    pub section: Section,
    /// Its name: `net.core.somaxconn`.
    pub key: String,
    /// What it was.
    pub value: String,
}

/// Kinds of things around a run, in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// What was asked for: figures of different plans say nothing of each other.
    Plan,
    /// How it was asked for: ports, addresses, when it ends. Figures may be compared all the same.
    Option,
    /// Of the program.
    Version,
    /// Kernel, distribution, CPU, memory.
    Machine,
    /// Of the kernel.
    Sysctl,
    /// Of the process, its user, its cgroup.
    Limit,
}

impl Section {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Option => "option",
            Self::Version => "version",
            Self::Machine => "machine",
            Self::Sysctl => "sysctl",
            Self::Limit => "limit",
        }
    }
}

impl Section {
    /// As a heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Plan => "What was asked for",
            Self::Option => "Other options",
            Self::Version => "Versions",
            Self::Machine => "The machine",
            Self::Sysctl => "Sysctls",
            Self::Limit => "Limits of processes and cgroups",
        }
    }
}

impl Around {
    /// Adds what is known.
    pub fn add(&mut self, section: Section, key: impl Into<String>, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.0.push(Setting { section, key: key.into(), value: value.to_string() });
        }
    }

    /// What it was.
    pub fn get(&self, section: Section, key: &str) -> Option<&str> {
        self.0.iter().find(|s| s.section == section && s.key == key).map(|s| s.value.as_str())
    }

    /// Of one kind.
    pub fn of(&self, section: Section) -> impl Iterator<Item = &Setting> {
        self.0.iter().filter(move |setting| setting.section == section)
    }
}

/// Something that is not the same around all runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What kind of thing it is.
    pub section: Section,
    /// Its name.
    pub key: String,
    /// What it was around each run; null where that is not known.
    pub values: Vec<Option<String>>,
}

/// A value, or that it is not known.
pub(super) fn shown(value: Option<&str>) -> String {
    value.unwrap_or("not known").to_owned()
}

/// `sysctl net.core.somaxconn: 4096 | 128`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = self.values.iter().map(|value| shown(value.as_deref())).collect();
        write!(f, "{} {}: {}", self.section.word(), self.key, values.join(" | "))
    }
}

/// What differs between these, kind by kind.
pub fn differences(all: &[&Around]) -> Vec<Difference> {
    let mut found: Vec<Difference> = Vec::new();
    for setting in all.iter().flat_map(|around| &around.0) {
        if found.iter().any(|d| d.section == setting.section && d.key == setting.key) {
            continue;
        }
        let values: Vec<Option<String>> =
            all.iter().map(|around| around.get(setting.section, &setting.key).map(ToOwned::to_owned)).collect();
        found.push(Difference { section: setting.section, key: setting.key.clone(), values });
    }
    found.retain(|difference| difference.values.iter().any(|value| *value != difference.values[0]));
    found.sort_by_key(|difference| difference.section);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told_kind_by_kind() {
        let around = |somaxconn: &str, target: Option<&str>| {
            let mut around = Around::default();
            around.add(Section::Sysctl, "net.core.somaxconn", Some(somaxconn));
            around.add(Section::Machine, "kernel", Some("6.18"));
            around.add(Section::Plan, "target", target);
            around
        };
        let (a, b) = (around("4096", Some("7")), around("128", None));
        let found = differences(&[&a, &b]);
        let want = [
            (Section::Plan, "target", vec![Some("7".to_owned()), None]),
            (Section::Sysctl, "net.core.somaxconn", vec![Some("4096".to_owned()), Some("128".to_owned())]),
        ];
        let found: Vec<_> = found.iter().map(|d| (d.section, d.key.as_str(), d.values.clone())).collect();
        assert_eq!(found, want);
        assert!(differences(&[&a, &a]).is_empty());
    }
}
