//! `/proc/vmstat` and `/proc/zoneinfo`: processes killed for memory, what the kernel keeps back, and what it hides.

use super::text::{keyed, odd};
use crate::sample::kernel::Reading;

/// `oom_kill` of `/proc/vmstat` (Linux 4.13 and later).
pub(crate) fn oom_kills(text: &str) -> Reading<u64> {
    keyed(text, "oom_kill").ok_or(odd("this kernel does not count OOM kills"))
}

/// The `low` watermarks of `/proc/zoneinfo` summed, in bytes: below them the kernel reclaims, so that they are no room for
/// sockets.
pub(crate) fn reserve(text: &str, page_size: u64) -> Reading<u64> {
    pages(text, "low", "lists no zone", page_size)
}

/// Free pages on the per-core lists of `/proc/zoneinfo`, in bytes (`count` of each `pagesets` entry, `mm/vmstat.c`).
/// `MemFree` leaves them out, and since Linux 6.7 a list may hold an eighth of a zone divided by the cores: after two million sockets
/// were closed, 686 MiB of 24 GiB lay there. The kernel drains them before it reclaims anything.
pub(crate) fn on_core_lists(text: &str, page_size: u64) -> Reading<u64> {
    pages(text, "count:", "lists no core", page_size)
}

/// The pages that stand behind `key` at the start of a line, all of them, in bytes.
fn pages(text: &str, key: &str, none: &'static str, page_size: u64) -> Reading<u64> {
    let mut sum: Option<u64> = None;
    let behind = text.lines().filter_map(|line| line.trim_start().strip_prefix(key));
    for pages in behind.filter(|rest| rest.is_empty() || rest.starts_with(' ')) {
        let pages = pages.trim().parse().map_err(|_| odd("not a number"))?;
        sum = Some(sum.unwrap_or(0).saturating_add(pages));
    }
    Ok(sum.ok_or(odd(none))?.saturating_mul(page_size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_and_watermarks() {
        assert_eq!(oom_kills("nr_free_pages 1\noom_kill 3\n"), Ok(3));
        let zones = "Node 0, zone DMA\n  pages free 5\n        min      47\n        low      58\n        high 69\n\
                     Node 0, zone Normal\n        low      9115\n      cpu: 0\n              high_min: 29\n";
        assert_eq!(reserve(zones, 4096), Ok((58 + 9115) * 4096));
    }

    #[test]
    fn lists_of_every_core_and_zone_are_summed() {
        let zones = "Node 0, zone Normal\n  pagesets\n    cpu: 0\n              count:    27\n              high:     1444\n    cpu: 1\n              count: 3\n";
        assert_eq!(on_core_lists(zones, 4096), Ok(30 * 4096));
        for text in ["", "count", "  count: x", "count: -1"] {
            assert!(on_core_lists(text, 4096).is_err(), "{text:?}");
        }
    }

    #[test]
    fn hostile_input_is_a_reason() {
        for text in ["", "\0", "oom_kill", "oom_kill -1", "  low", "low x", "low 99999999999999999999"] {
            assert!(oom_kills(text).is_err(), "{text:?}");
            assert!(reserve(text, 4096).is_err(), "{text:?}");
        }
        assert_eq!(reserve(&format!("low {}\nlow 1\n", u64::MAX), 4096), Ok(u64::MAX));
    }
}
