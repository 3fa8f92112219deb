//! `/proc/meminfo`: where the machine's memory is.

use super::text::odd;
use crate::sample::kernel::{Absent, Mem, Reading};

/// The lines that are used. Any other may be missing.
const NAMES: [&str; 6] = ["MemTotal", "MemFree", "Active(file)", "Inactive(file)", "Slab", "SReclaimable"];

/// Parses `/proc/meminfo`, whose unit is 1024 bytes whatever it says.
pub(crate) fn parse(text: &str) -> Reading<Mem> {
    let mut found = [None; NAMES.len()];
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let Some(i) = NAMES.iter().position(|wanted| *wanted == name) else { continue };
        let kib = value.split_ascii_whitespace().next().and_then(|v| v.parse::<u64>().ok());
        found[i] = Some(kib.ok_or(odd("not a number"))?.saturating_mul(1024));
    }
    let line =
        |i: usize| found[i].ok_or_else(|| Absent::Malformed { what: format!("lacks {}", NAMES[i]).into(), path: None });
    Ok(Mem {
        total: line(0)?,
        free: line(1)?,
        active_file: line(2)?,
        inactive_file: line(3)?,
        slab: line(4)?,
        s_reclaimable: line(5)?,
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
        assert_eq!((mem.active_file, mem.inactive_file), (4 * 1024, 5 * 1024));
        assert_eq!((mem.slab, mem.s_reclaimable), (9 * 1024, 10 * 1024));
    }

    #[test]
    fn only_lines_that_are_used_are_needed() {
        for name in WHOLE.lines().filter_map(|line| Some(line.trim().split_once(':')?.0)) {
            let rest = WHOLE.replace(&format!("{name}:"), "Other:");
            let lacks = format!("lacks {name}");
            let want = if NAMES.contains(&name) { Err(lacks) } else { Ok(parse(WHOLE).unwrap()) };
            assert_eq!(parse(&rest).map_err(|absent| absent.to_string()), want);
        }
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
