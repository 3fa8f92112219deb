//! The guard on the real kernel: a run that would meet a limit holds at 90 % of it.

#[expect(dead_code, unreachable_pub, unused_imports, reason = "shared with the benchmark and other tests")]
mod scenario;

use c1m_top::model::{LimitState, Verdict};
use scenario::SCENARIOS;

/// Runs a scenario with the guard on and holds what came against the limit.
fn holds(name: &str) {
    let scenario = SCENARIOS.iter().find(|s| s.name == name).unwrap();
    let outcome = match (scenario.run)(true) {
        Ok(outcome) => outcome,
        Err(why) => return eprintln!("skipped: {name}: {why}"),
    };
    let summary = outcome.summary.as_ref().unwrap();
    let told = outcome.event("phase/guarded").unwrap_or_else(|| panic!("no event of the guard: {:#?}", outcome.events));
    eprintln!("{name}: {} at {}", told.text, outcome.peak());
    assert_eq!((summary.verdict, summary.stopped_by.as_deref()), (Verdict::GuardStopped, Some(scenario.limit)));
    assert_eq!(outcome.code, Some(3));
    assert!(outcome.event(&format!("{}/", scenario.limit)).is_none(), "the limit was met: {:#?}", outcome.events);
    assert!(summary.limits.iter().all(|l| l.state != LimitState::Hit), "{:#?}", summary.limits);
    let last = outcome.samples.iter().rev().find(|s| s.established == outcome.peak()).unwrap();
    assert!(last.failures == 0, "{last:?}");
}

#[test]
fn descriptors() {
    holds("descriptors of the client");
}

#[test]
fn ports() {
    holds("ports");
}

#[test]
fn conntrack() {
    holds("conntrack");
}

#[test]
fn memory_cgroup() {
    holds("memory cgroup");
}

#[test]
fn threads() {
    holds("threads");
}
