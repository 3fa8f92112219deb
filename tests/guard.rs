//! The guard on the real kernel: a run that would meet a limit holds at 90 % of it.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

mod scenario;
mod support;
#[expect(dead_code, reason = "what other tests use")]
mod synthetic;

use c1m_top::limits::LimitId;
use c1m_top::model::{LimitState, Model, Setup, Verdict};
use c1m_top::protocol::Role;
use c1m_top::sample::Sample;

use scenario::{Mode, scenario};
use support::are_met;

/// Runs a scenario with the guard on and holds what came against the limit.
fn holds(name: &str) {
    let scenario = scenario(name);
    if !are_met(name, scenario.needs) {
        return;
    }
    let outcome = (scenario.run)(Mode::Guarded);
    let summary = outcome.summary();
    outcome.assert_event("phase/guarded", &[]);
    assert_eq!((summary.verdict, summary.stopped_by.as_deref()), (Verdict::GuardStopped, Some(scenario.limit)));
    assert_eq!(outcome.code, Some(3));
    assert!(outcome.event(&format!("{}/", scenario.limit)).is_none(), "the limit was met: {:#?}", outcome.events);
    assert!(summary.limits.iter().all(|l| l.state != LimitState::Hit), "{:#?}", summary.limits);
    if let Some(most) = scenario.ninety {
        assert!((most * 98 / 100..=most).contains(&outcome.peak()), "{} for {most}", outcome.peak());
    }
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
fn memory_cgroup_of_version_1() {
    holds("memory cgroup, version 1");
}

#[test]
fn memory_cgroup_of_version_2() {
    holds("memory cgroup, version 2");
}

#[test]
fn threads_of_version_1() {
    holds("threads, version 1");
}

#[test]
fn threads_of_version_2() {
    holds("threads, version 2");
}

#[test]
fn threads_of_a_user() {
    holds("threads of a user");
}

/// A client that obeys the ceiling between samples at 50,000 connections a second, one sample a second, towards a limit
/// that is two seconds away.
#[test]
fn at_full_speed_no_limit_is_used_further_than_allowed() {
    type Row = (&'static str, fn(&mut Sample, u64), Option<u32>, f64);
    let rows: [Row; 6] = [
        ("conntrack", |s, n| conntrack_of(s, n, 100_000), None, 0.9),
        ("conntrack", |s, n| conntrack_of(s, n, 100_000), Some(500), 0.5),
        // Two entries for each connection, which nobody expects.
        ("conntrack", |s, n| conntrack_of(s, 2 * n, 200_000), None, 0.9),
        (
            "file-max",
            |s, n| {
                let files = s.kernel.host.files.as_mut().unwrap();
                (files.used, files.max) = (30_000 + 2 * n, 230_000);
            },
            None,
            0.9,
        ),
        ("epoll", |s, _| s.kernel.host.max_user_watches = Ok(200_000), None, 0.9),
        (
            "nofile",
            |s, n| {
                let server = synthetic::engine(s, Role::Server).unwrap();
                (server.tables_max, server.table_limit, server.table_room) = (10, 10_000, 9_990);
                server.descriptors = n + 60;
            },
            None,
            0.9,
        ),
    ];
    for (id, change, per_mille, share) in rows {
        let setup =
            Setup { target: Some(1_000_000), guard_per_mille: per_mille, interval_ms: 1000, ..Setup::default() };
        let mut model = Model::new(setup);
        let (mut count, mut used) = (0, 0.0_f64);
        for i in 0..12 {
            let mut sample = synthetic::sample(count, i * 1000);
            synthetic::engine(&mut sample, Role::Client).unwrap().in_flight = 0;
            change(&mut sample, count);
            model.update(&sample);
            let row = model.limits().iter().find(|l| l.info.name == id && l.scope != "client").unwrap();
            used = used.max(row.share().unwrap());
            count = (count + 50_000).min(model.guard_ceiling().unwrap()).max(count);
        }
        assert!(used <= share + 1e-9 && used > share - 0.02, "{id}: {used} of {share} at {count}");
        assert_eq!(model.guard_limit().map(LimitId::name), Some(id));
    }
}

fn conntrack_of(sample: &mut Sample, count: u64, max: u64) {
    let table = sample.kernel.net.conntrack.as_mut().unwrap();
    (table.count, table.max) = (count, max);
}

#[test]
fn a_target_that_fits_is_not_held_back_by_what_the_run_alone_fills() {
    for (target, held) in [(9_900, false), (10_500, true)] {
        let mut model = Model::new(Setup { target: Some(target), interval_ms: 1000, ..Setup::default() });
        let mut sample = synthetic::sample(1_000, 0);
        let client = synthetic::engine(&mut sample, Role::Client).unwrap();
        (client.capacity, client.target) = (Some(10_000), target);
        model.update(&sample);
        assert_eq!(model.guard_ceiling().unwrap() < target, held, "{target}");
    }
}
