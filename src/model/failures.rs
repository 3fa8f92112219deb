//! Failures of the engines, as steps between samples.

use crate::protocol::{ErrorCount, Role};
use crate::sample::Sample;
use crate::units;

use super::entry;

/// A kind of failure that happened since the sample before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// Whose.
    pub role: Role,
    /// What failed, with the count since the engine's start.
    pub error: ErrorCount,
    /// Times since the sample before.
    pub step: u64,
}

/// Counts seen so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Failures {
    seen: Vec<(u32, String, i32, u64)>,
    risen: Vec<Failure>,
}

impl Failures {
    /// Takes a sample.
    pub(super) fn update(&mut self, sample: &Sample) {
        self.risen.clear();
        for role in [Role::Server, Role::Client] {
            let Some(stats) = sample.engine(role) else { continue };
            for error in &stats.errors {
                let new = || (stats.pid, error.op.clone(), error.errno, 0);
                let is = |s: &(u32, String, i32, u64)| s.0 == stats.pid && s.1 == error.op && s.2 == error.errno;
                let known = &mut entry(&mut self.seen, is, new).3;
                let step = error.count.saturating_sub(std::mem::replace(known, error.count));
                if step > 0 {
                    self.risen.push(Failure { role, error: error.clone(), step });
                }
            }
        }
    }

    /// What failed since the sample before.
    pub(super) fn risen(&self) -> &[Failure] {
        &self.risen
    }
}

/// What failed, and how often, as the rest of a sentence that begins with whose: `connect failed with ETIMEDOUT once`. What
/// an engine noticed by itself has no errno.
pub fn happened(error: &ErrorCount) -> String {
    let times = if error.count == 1 { "once".to_owned() } else { format!("{} times", units::grouped(error.count)) };
    match (error.op.as_str(), error.errno) {
        ("greeting", 0) => format!("a greeting came back altered {times}"),
        ("self_connect", 0) => format!("a connect hit its own port {times} and was undone"),
        (op, 0) => format!("{op} failed {times}, and the kernel does not say why"),
        (op, _) => format!("{op} failed with {} {times}", error.name),
    }
}

#[cfg(test)]
mod tests {
    use super::super::synthetic;
    use super::*;

    #[test]
    fn each_failure_counts_once() {
        let mut failures = Failures::default();
        for (count, step) in [(0, None), (3, Some(3)), (3, None), (10, Some(7))] {
            let mut sample = synthetic::sample(0, 0);
            let error = ErrorCount { op: "connect".into(), errno: 111, name: "ECONNREFUSED".into(), count };
            synthetic::engine(&mut sample, Role::Client).unwrap().errors = vec![error];
            failures.update(&sample);
            assert_eq!(failures.risen().first().map(|f| f.step), step);
        }
    }

    #[test]
    fn a_failure_without_an_errno_says_what_happened() {
        use crate::protocol::errno::name;
        let count = |op: &str, errno, count| ErrorCount { op: op.to_owned(), errno, name: name(errno), count };
        for (error, want) in [
            (count("connect", libc::ETIMEDOUT, 1), "connect failed with ETIMEDOUT once"),
            (count("connect", libc::ETIMEDOUT, 1200), "connect failed with ETIMEDOUT 1,200 times"),
            (count("connect", 0, 2), "connect failed 2 times, and the kernel does not say why"),
            (count("greeting", 0, 1), "a greeting came back altered once"),
            (count("self_connect", 0, 3), "a connect hit its own port 3 times and was undone"),
        ] {
            assert_eq!(happened(&error), want);
        }
    }
}
