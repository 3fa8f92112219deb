//! `/proc/meminfo`: where the machine's memory is.

use super::text::odd;
use crate::sample::kernel::{Mem, Reading};

/// Parses `/proc/meminfo`, whose unit is 1024 bytes whatever it says.
pub(crate) fn parse(text: &str) -> Reading<Mem> {
    let mut mem = Mem::default();
    let mut found = 0_u32;
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let Some(slot) = slot(&mut mem, name) else { continue };
        let Some(kib) = value.split_ascii_whitespace().next().and_then(|v| v.parse::<u64>().ok()) else {
            return Err(odd("not a number"));
        };
        *slot = kib.saturating_mul(1024);
        found += 1;
    }
    // Every kernel from 3.14 (MemAvailable) on has all of them; a part would turn into wrong sums.
    if found == FIELDS { Ok(mem) } else { Err(odd("cut short")) }
}

/// Lines taken by [`slot`].
const FIELDS: u32 = 15;

fn slot<'m>(mem: &'m mut Mem, name: &str) -> Option<&'m mut u64> {
    Some(match name {
        "MemTotal" => &mut mem.total,
        "MemFree" => &mut mem.free,
        "MemAvailable" => &mut mem.available,
        "Buffers" => &mut mem.buffers,
        "Cached" => &mut mem.cached,
        "Active(file)" => &mut mem.active_file,
        "Inactive(file)" => &mut mem.inactive_file,
        "Shmem" => &mut mem.shmem,
        "Slab" => &mut mem.slab,
        "SReclaimable" => &mut mem.s_reclaimable,
        "SUnreclaim" => &mut mem.s_unreclaim,
        "KernelStack" => &mut mem.kernel_stack,
        "PageTables" => &mut mem.page_tables,
        "SwapTotal" => &mut mem.swap_total,
        "SwapFree" => &mut mem.swap_free,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "MemTotal: 24684096 kB\nMemFree: 24407488 kB\nMemAvailable: 1 kB\nBuffers: 2 kB\n\
        Cached: 3 kB\nSwapCached: 0 kB\nActive(file): 4 kB\nInactive(file): 5 kB\nSwapTotal: 6 kB\nSwapFree: 7 kB\n\
        Shmem: 8 kB\nSlab: 9 kB\nSReclaimable: 10 kB\nSUnreclaim: 11 kB\nKernelStack: 12 kB\nPageTables: 13 kB\n\
        HugePages_Total: 0\n";

    #[test]
    fn lines_become_bytes() {
        let mem = parse(WHOLE).unwrap();
        assert_eq!(mem.total, 24_684_096 * 1024);
        assert_eq!((mem.inactive_file, mem.s_unreclaim, mem.page_tables), (5 * 1024, 11 * 1024, 13 * 1024));
    }

    #[test]
    fn a_part_is_not_a_reading() {
        for text in ["", "\0", "MemTotal: 1 kB\n", &WHOLE[..200], &WHOLE.replace("24407488", "-1"), ":::\n:\n"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        let huge = WHOLE.replace("24684096", "18446744073709551615");
        assert_eq!(parse(&huge).unwrap().total, u64::MAX);
    }
}
