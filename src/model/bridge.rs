//! Bridges a moment in which a living engine did not answer: its last counters hold, and nothing is learnt from them.

use std::borrow::Cow;

use crate::protocol::EngineStats;
use crate::sample::{Absent, Sample};

/// The last counters of each engine, by pid.
#[derive(Debug, Clone, Default)]
pub(super) struct Bridge {
    known: Vec<(u32, Box<EngineStats>)>,
}

impl Bridge {
    /// The sample with every living engine's counters, and whether some of them are old.
    pub(super) fn fill<'a>(&mut self, sample: &'a Sample) -> (Cow<'a, Sample>, bool) {
        for engine in &sample.engines {
            let (pid, Ok(stats)) = (engine.hello.pid, &engine.stats) else { continue };
            match self.known.iter_mut().find(|k| k.0 == pid) {
                Some(known) => known.1.clone_from(stats),
                None => self.known.push((pid, stats.clone())),
            }
        }
        let silent = |i: usize| {
            let engine = &sample.engines[i];
            let known = self.known.iter().find(|k| k.0 == engine.hello.pid)?;
            let alive = sample.living().any(|w| w.pid == known.0);
            (alive && engine.stats.as_ref().is_err_and(|e| *e == Absent::NoAnswer)).then_some((i, &known.1))
        };
        let gaps: Vec<_> = (0..sample.engines.len()).filter_map(silent).collect();
        if gaps.is_empty() {
            return (Cow::Borrowed(sample), false);
        }
        let mut filled = sample.clone();
        for (i, stats) in gaps {
            filled.engines[i].stats = Ok(stats.clone());
        }
        (Cow::Owned(filled), true)
    }
}
