//! Connection tracking: entries, maximum, drops.
//!
//! The count is `nf_conntrack_count`, opened inside the namespace; that of one that cannot be entered is the column `entries` of `/proc/PID/net/stat/nf_conntrack`, which has a row per core, all with the same
//! `entries` (`net/netfilter/nf_conntrack_standalone.c`).

use super::text::per_core;
use crate::sample::kernel::Reading;

/// `/proc/net/stat/nf_conntrack`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stat {
    /// Entries in the namespace.
    pub(crate) entries: u64,
    /// Packets dropped because the table was full.
    pub(crate) drop: u64,
}

/// Parses the columns wanted.
pub(crate) fn parse(text: &str) -> Reading<Stat> {
    let (last, sum) = per_core(text, ["entries", "drop"])?;
    Ok(Stat { entries: last[0], drop: sum[1] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_summed_and_entries_are_not() {
        let new = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp\n\
            00004e20  00000000 0 0 0 0 0 0 0 0 0000000a 00000001 0\n00004e20  00000000 0 0 0 0 0 0 0 0 00000006 00000000 0\n";
        assert_eq!(parse(new), Ok(Stat { entries: 20_000, drop: 16 }));
        // Older kernels have other columns in between.
        let old = "entries  searched found new invalid ignore delete delete_list insert insert_failed drop early_drop\n\
            00000010  0 0 0 0 0 0 0 0 0 00000002 00000003\n";
        assert_eq!(parse(old), Ok(Stat { entries: 16, drop: 2 }));
    }

    #[test]
    fn hostile_input_is_a_reason() {
        let head = "entries drop\n";
        for rows in ["", "1\n", "g 0\n", "-1 0\n", "\n"] {
            assert!(parse(&format!("{head}{rows}")).is_err(), "{rows:?}");
        }
        for text in ["", "\0", "entries\n1\n"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
