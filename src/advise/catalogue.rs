//! Every limit, explained: what it limits, what happens when it is hit, where its numbers come from.

use std::fmt::Write as _;

use serde::Serialize;

use crate::limits::{LIMITS, LimitId, Unit};

/// One limit, for the machine interface.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// Its id.
    pub id: LimitId,
    /// Its name for people.
    pub label: &'static str,
    /// What its numbers count.
    pub unit: Unit,
    /// What it limits, and what happens when it is hit.
    pub help: &'static str,
    /// Where use and bound come from.
    pub sources: &'static str,
    /// Whether meeting it ends a ramp.
    pub stops_run: bool,
}

/// All of them, in the order in which people look for them.
pub fn entries() -> Vec<Entry> {
    let entry = |l: &&'static crate::limits::Descriptor| Entry {
        id: l.id,
        label: l.label,
        unit: l.unit,
        help: l.help,
        sources: l.sources,
        stops_run: l.stops_run,
    };
    LIMITS.iter().map(entry).collect()
}

/// All of them, for people.
pub fn write() -> String {
    let mut out = String::new();
    for entry in entries() {
        let id = if entry.id.name() == entry.label { String::new() } else { format!(" ({})", entry.id) };
        let _ = writeln!(out, "{}{id}", entry.label);
        let _ = writeln!(out, "  {}\n  Read from: {}\n", entry.help, entry.sources);
    }
    let _ = writeln!(out, "{} limits.", LIMITS.len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_listed_with_help_and_sources() {
        let text = write();
        for limit in LIMITS {
            assert!(text.contains(limit.name) && text.contains(limit.label), "{}", limit.name);
        }
        assert_eq!(text.matches("  Read from: ").count(), LIMITS.len());
    }
}
