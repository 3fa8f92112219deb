//! The files of a pids cgroup: how many tasks it may have.

use super::super::sample::{Reading, UsedLimit};
use super::super::source::{Roots, Source};
use super::super::text::number;
use super::locate::Level;
use super::{limit, source};

/// Kept open for one cgroup.
#[derive(Debug)]
pub(super) struct PidsFiles {
    current: Source,
    max: Source,
}

/// Opens every level that limits; a root does not.
pub(super) fn open(roots: &Roots, levels: &[Level]) -> Vec<PidsFiles> {
    let files =
        |level| PidsFiles { current: source(roots, level, "pids.current"), max: source(roots, level, "pids.max") };
    levels.iter().map(files).filter(|files| files.max.is_open()).collect()
}

/// The first level, from the process upwards, that has a limit.
pub(super) fn nearest(levels: &mut [PidsFiles], buf: &mut Vec<u8>) -> Reading<Option<UsedLimit>> {
    for level in levels {
        if let Some(limit) = level.max.get(buf, limit)? {
            return Ok(Some(UsedLimit { used: level.current.get(buf, number)?, limit }));
        }
    }
    Ok(None)
}
