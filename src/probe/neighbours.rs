//! The neighbour tables: entries, refusals, and how many there may be.
//!
//! A table is one for all network namespaces (`net/core/neighbour.c`), but its files are in the first one alone. From
//! another, the counts are read by way of process 1; the maximum cannot be.

use std::time::{Duration, Instant};

use super::kept::Kept;
use super::source::{Roots, Source};
use super::text::{number, per_core};
use crate::sample::kernel::{Absent, Neighbours, Reading};

/// Kept-open files of one table.
#[derive(Debug)]
pub(crate) struct NeighbourTable {
    stat: Source,
    max: Source,
    /// A row a core is much on hundreds of them.
    kept: Kept<Reading<Neighbours>>,
}

/// A reading holds for so long: each sample of a second has its own.
const PACE: Duration = Duration::from_millis(900);

impl NeighbourTable {
    /// Opens the table of `ipv4` or `ipv6`.
    pub(crate) fn open(roots: &Roots, family: &str) -> Self {
        let file = if family == "ipv4" { "arp_cache" } else { "ndisc_cache" };
        let open = |path: String| Source::open_or(roots, path, Absent::NotInThisNamespace);
        let own = open(format!("/proc/net/stat/{file}"));
        let stat = if own.is_open() { own } else { open(format!("/proc/1/net/stat/{file}")) };
        let max = open(format!("/proc/sys/net/{family}/neigh/default/gc_thresh3"));
        Self { stat, max, kept: Kept::every(PACE) }
    }

    pub(crate) fn read(&mut self, now: Instant, buf: &mut Vec<u8>) -> Reading<Neighbours> {
        let (stat, max) = (&mut self.stat, &mut self.max);
        let read = || stat.get(buf, parse).map(|stat| Neighbours { max: max.get(buf, number).ok(), ..stat });
        self.kept.get(now, (), read).clone()
    }

    /// Has the next sample read it.
    pub(crate) fn refresh(&mut self) {
        self.kept.forget();
    }
}

fn parse(text: &str) -> Reading<Neighbours> {
    let (last, sum) = per_core(text, ["entries", "table_fulls"])?;
    Ok(Neighbours { entries: last[0], table_fulls: sum[1], max: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_summed_and_entries_are_not() {
        let text = "entries  allocs   destroys hash_grows lookups  table_fulls\n\
                    00000067 00000564 000004e8 00000002   000012c9 00000cc0\n\
                    00000067 000004be 000004d3 00000002   0000111e 00000140\n";
        assert_eq!(parse(text), Ok(Neighbours { entries: 103, table_fulls: 0xcc0 + 0x140, max: None }));
    }

    #[test]
    fn hostile_input_is_a_reason() {
        for text in ["", "\0", "entries\n1\n", "entries table_fulls\n", "entries table_fulls\n1\n"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
