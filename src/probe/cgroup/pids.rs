//! The files of a pids cgroup: how many tasks it may have.

use super::super::source::{Roots, Source};
use super::super::text::number;
use super::locate::Level;
use super::{limit, source};
use crate::sample::kernel::{PidsCgroup, Reading};

/// Kept open for one cgroup.
#[derive(Debug)]
pub(super) struct PidsFiles {
    dir: String,
    current: Source,
    max: Source,
}

/// Opens every level that limits; a root does not.
pub(super) fn open(roots: &Roots, levels: &[Level]) -> Vec<PidsFiles> {
    let files = |level: &Level| PidsFiles {
        dir: level.dir.clone(),
        current: source(roots, level, "pids.current"),
        max: source(roots, level, "pids.max"),
    };
    levels.iter().map(files).filter(|files| files.max.is_open()).collect()
}

impl PidsFiles {
    /// `None` where it does not limit.
    pub(super) fn read(&mut self, buf: &mut Vec<u8>) -> Reading<Option<PidsCgroup>> {
        let Some(limit) = self.max.get(buf, limit)? else { return Ok(None) };
        Ok(Some(PidsCgroup { dir: self.dir.clone(), used: self.current.get(buf, number)?, limit }))
    }
}
