//! Bridges a moment in which a living engine did not answer: its last counters hold, and nothing is learnt from them.

use std::borrow::Cow;

use crate::probe::sample::Sample;
use crate::protocol::EngineStats;

/// The last counters of each engine, by pid.
#[derive(Debug, Clone, Default)]
pub(super) struct Bridge {
    known: Vec<(u32, Box<EngineStats>)>,
}

impl Bridge {
    /// The sample with every living engine's counters, and whether some of them are old.
    pub(super) fn fill<'a>(&mut self, sample: &'a Sample) -> (Cow<'a, Sample>, bool) {
        for target in &sample.targets {
            let Some(Ok(stats)) = &target.stats else { continue };
            match self.known.iter_mut().find(|k| k.0 == target.pid) {
                Some(known) => known.1.clone_from(stats),
                None => self.known.push((target.pid, stats.clone())),
            }
        }
        let silent = |i: usize| {
            let target = &sample.targets[i];
            let known = self.known.iter().find(|k| k.0 == target.pid)?;
            (target.alive && matches!(target.stats, Some(Err(_)))).then_some((i, &known.1))
        };
        let gaps: Vec<_> = (0..sample.targets.len()).filter_map(silent).collect();
        if gaps.is_empty() {
            return (Cow::Borrowed(sample), false);
        }
        let mut filled = sample.clone();
        for (i, stats) in gaps {
            filled.targets[i].stats = Some(Ok(stats.clone()));
        }
        (Cow::Owned(filled), true)
    }
}
