//! What `tune --apply` changed: enough to put it back exactly.
//!
//! The file is written before the first change, with every value that will be set. A value found later is one of three:
//! the old one (nothing was done, or a reboot undid it), one that this program set (put the old one back), or another one
//! (somebody else's: it is left alone). After a reboot nothing of what was set is in force, so that whatever differs from
//! the old value then is somebody else's.

use serde::{Deserialize, Serialize};

use crate::limits::LIMITS;

/// First field of the file.
const PROGRAM: &str = "c1m-top tune";
const VERSION: u32 = 1;

/// Whether a key is one that is ever set. A state file that names another one is not ours.
pub fn is_known(key: &str) -> bool {
    LIMITS.iter().any(|limit| limit.sysctls.contains(&key))
}

/// The machine as far as values belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// `net:[4026531840]`: values of `net.` belong to a network namespace.
    pub netns: String,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    program: String,
    version: u32,
    /// Boot in which the values were set.
    pub boot_id: String,
    /// Network namespace in which they were set.
    pub netns: String,
    /// One for each key.
    pub entries: Vec<Entry>,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// `fs.file-max`.
    pub key: String,
    /// Value before the first `--apply`.
    pub old: String,
    /// Every value that was set since, or was about to be.
    pub set: Vec<String>,
}

/// Whose a value found at `--revert` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The old one: nothing is left to do.
    Old,
    /// Set by `tune`: the old one is to be put back.
    Ours,
    /// Somebody else's.
    Foreign,
}

impl State {
    /// Nothing set yet.
    pub fn new(here: &Here) -> Self {
        Self {
            program: PROGRAM.into(),
            version: VERSION,
            boot_id: here.boot_id.clone(),
            netns: here.netns.clone(),
            entries: Vec::new(),
        }
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// It is torn, or not ours: a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let state: Self =
            serde_json::from_str(text).map_err(|e| format!("is damaged, or not a state file of c1m-top tune ({e})"))?;
        if state.program != PROGRAM {
            return Err(format!("belongs to '{}', not to c1m-top tune", state.program));
        }
        if state.version != VERSION {
            return Err(format!("is of version {}, this program writes version {VERSION}", state.version));
        }
        if state.boot_id.is_empty() || state.netns.is_empty() {
            return Err("does not say when and where it was written".into());
        }
        for (i, entry) in state.entries.iter().enumerate() {
            if !is_known(&entry.key) {
                return Err(format!("names {}, which c1m-top never sets", entry.key));
            }
            if state.entries[..i].iter().any(|e| e.key == entry.key) {
                return Err(format!("names {} twice", entry.key));
            }
            if !std::iter::once(&entry.old).chain(&entry.set).all(|v| is_value(v)) {
                return Err(format!("has a value of {} that is not numbers", entry.key));
            }
        }
        Ok(state)
    }

    /// The file's text.
    pub fn write(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Whether it was written in this boot.
    pub fn of_this_boot(&self, here: &Here) -> bool {
        self.boot_id == here.boot_id
    }

    /// Whether its values can be this process's: what another network namespace holds cannot be put back from here.
    ///
    /// # Errors
    /// A sentence.
    pub fn in_this_namespace(&self, here: &Here) -> Result<(), String> {
        let net = self.entries.iter().any(|e| e.key.starts_with("net."));
        if net && self.of_this_boot(here) && self.netns != here.netns {
            return Err(format!(
                "was written in network namespace {}, this is {}: run it there",
                self.netns, here.netns
            ));
        }
        Ok(())
    }

    /// Notes that `key` is about to be set; the first old value is kept.
    pub fn note(&mut self, key: &str, now: &str, to: &str) {
        let to = normal(to);
        match self.entries.iter_mut().find(|e| e.key == key) {
            Some(entry) => {
                if !entry.set.contains(&to) {
                    entry.set.push(to);
                }
            }
            None => self.entries.push(Entry { key: key.into(), old: normal(now), set: vec![to] }),
        }
    }

    /// Whose value is found now.
    pub fn origin(&self, entry: &Entry, now: &str, here: &Here) -> Origin {
        let now = normal(now);
        if now == entry.old {
            Origin::Old
        } else if self.of_this_boot(here) && entry.set.contains(&now) {
            Origin::Ours
        } else {
            Origin::Foreign
        }
    }
}

/// The kernel separates numbers by tabs, people by blanks.
pub fn normal(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_value(text: &str) -> bool {
    !text.is_empty() && text.split(' ').all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(boot: &str) -> Here {
        Here { boot_id: boot.into(), netns: "net:[1]".into() }
    }

    fn state() -> State {
        let mut state = State::new(&here("a"));
        state.note("net.ipv4.ip_local_port_range", "32768\t60999", "10000 65535");
        state
    }

    #[test]
    fn a_second_apply_keeps_the_first_old_value() {
        let mut state = state();
        state.note("net.ipv4.ip_local_port_range", "10000\t65535", "9000 65535");
        assert_eq!(state.entries.len(), 1);
        assert_eq!((state.entries[0].old.as_str(), state.entries[0].set.len()), ("32768 60999", 2));
        assert_eq!(State::parse(&state.write()), Ok(state));
    }

    #[test]
    fn what_is_found_decides() {
        let state = state();
        let entry = &state.entries[0];
        for (now, boot, want) in [
            ("32768\t60999", "a", Origin::Old),
            ("10000\t65535", "a", Origin::Ours),
            ("1024\t65535", "a", Origin::Foreign),
            ("32768 60999", "b", Origin::Old),
            ("10000 65535", "b", Origin::Foreign),
        ] {
            assert_eq!(state.origin(entry, now, &here(boot)), want, "{now} {boot}");
        }
    }

    #[test]
    fn torn_and_foreign_files_are_refused() {
        let good = state().write();
        for (text, part) in [
            (String::new(), "damaged"),
            (good[..good.len() / 2].to_owned(), "damaged"),
            ("{}".to_owned(), "damaged"),
            (good.replace("c1m-top tune", "other"), "belongs to 'other'"),
            (good.replace("\"version\": 1", "\"version\": 9"), "version 9"),
            (good.replace("net.ipv4.ip_local_port_range", "kernel.core_pattern"), "kernel.core_pattern"),
            (good.replace("net.ipv4.ip_local_port_range", "../../etc/passwd"), "never sets"),
            (good.replace("32768 60999", "|/bin/sh"), "not numbers"),
            (good.replace("\"boot_id\": \"a\"", "\"boot_id\": \"\""), "when and where"),
        ] {
            let why = State::parse(&text).unwrap_err();
            assert!(why.contains(part), "{part}: {why}");
        }
    }

    #[test]
    fn another_namespace_cannot_be_put_back_from_here() {
        let other = Here { netns: "net:[2]".into(), ..here("a") };
        assert!(state().in_this_namespace(&other).unwrap_err().contains("net:[1]"));
        assert!(state().in_this_namespace(&Here { boot_id: "b".into(), ..other.clone() }).is_ok());
        let mut host = State::new(&here("a"));
        host.note("fs.file-max", "1", "2");
        assert!(host.in_this_namespace(&other).is_ok());
    }
}
