//! The view of a fleet made of states alone: no store, no clock.

use c1m_top::fleet::{
    Bound, CpuUse, FleetView, Held, Identity, LOST_MS, ServerSide, Stage, WorkerLimit, WorkerRole, WorkerState,
};
use c1m_top::limits::{LimitId, LimitState};
use c1m_top::model::{RunPhase, Verdict};
use c1m_top::part::{Origin, Part};

const NOW: u64 = 1_000_000_000;

/// Worker `number` of four, with this many of 250,000.
fn client(number: u32, connections: u64) -> WorkerState {
    let part = Part { number, of: 4, from: Origin::Option };
    let who = Identity { host: format!("web{number}"), part: Some(part), expects: Some(5), ..Identity::default() };
    WorkerState {
        who,
        at_us: NOW,
        stage: Stage::Running,
        phase: RunPhase::Ramping,
        connections,
        peak: connections,
        target: Some(250_000),
        rate_per_s: Some(1000.0),
        ..WorkerState::default()
    }
}

fn server(connections: u64) -> WorkerState {
    let who = Identity { host: "db".into(), role: WorkerRole::Server, expects: Some(5), ..Identity::default() };
    WorkerState { who, target: None, server: Some(ServerSide::default()), ..client(1, connections) }
}

fn limit(id: LimitId, connections: u64, seconds: f64) -> WorkerLimit {
    WorkerLimit {
        id,
        name: id.descriptor().label.to_owned(),
        state: LimitState::Ok,
        share: Some(0.5),
        connections: Some(connections),
        seconds: Some(seconds),
    }
}

fn view(workers: Vec<WorkerState>) -> FleetView {
    FleetView::of("night", NOW, workers)
}

#[test]
fn rows_are_in_order_and_sums_are_of_the_clients() {
    let seen = view(vec![client(2, 30), client(1, 20), server(45)]);
    let hosts: Vec<&str> = seen.rows.iter().map(|row| row.state.who.host.as_str()).collect();
    assert_eq!(hosts, ["db", "web1", "web2"]);
    assert_eq!((seen.totals.connections, seen.totals.accepted, seen.totals.target), (50, Some(45), Some(500_000)));
    assert_eq!(seen.missing, ["part 3/4", "part 4/4"]);
    assert_eq!(seen.count.expected, Some(5));
    assert_eq!(seen.skew.slowest.unwrap().0, 1);
    assert!(!seen.is_over() && seen.verdict.verdict.is_none());
    assert_eq!(view(vec![client(1, 0), client(2, 0), client(3, 0), client(4, 0)]).missing, ["the server"]);
}

#[test]
fn a_lost_worker_counts_no_more_and_is_named() {
    let gone = WorkerState { at_us: NOW - (LOST_MS + 5000) * 1000, ..client(4, 250_000) };
    let left = |n, verdict| WorkerState { stage: Stage::Left, verdict: Some(verdict), ..client(n, 250_000) };
    let mut all = vec![server(0), gone];
    all[0].stage = Stage::Left;
    all[0].verdict = Some(Verdict::Served);
    all.extend([1, 2, 3].map(|n| left(n, Verdict::TargetReached)));
    let seen = view(all.clone());
    assert!(seen.is_over());
    assert_eq!(seen.missing, ["part 4/4 on web4 (LOST, heard 25 s ago)"]);
    assert_eq!((seen.verdict.verdict, seen.verdict.status()), (Some(Verdict::WorkersMissing), 3));
    assert!(seen.verdict.text.starts_with("4 of 5 workers, 750,000 of 1,000,000 connections"), "{}", seen.verdict.text);
    // What is worse than that comes first.
    all[2].verdict = Some(Verdict::EngineKilled);
    assert_eq!(view(all).verdict.status(), 4);
}

#[test]
fn a_command_is_divided_by_what_all_who_may_hear_it_were_started_for() {
    let all = [1, 2, 3, 4].map(|n| WorkerState { started_for: Some(250_000), ..client(n, 100) });
    let [one, two, three, four] = all;
    let lowered = WorkerState { target: Some(125_000), ..one };
    let lost = WorkerState { at_us: NOW - (LOST_MS + 5000) * 1000, ..two };
    let left = WorkerState { stage: Stage::Left, ..three };
    // Of another version.
    let silent_of_it = WorkerState { started_for: None, ..four };
    assert_eq!(view(vec![server(300), lowered, lost, left, silent_of_it]).divided_by(), 750_000);
    assert_eq!(view(vec![server(300)]).divided_by(), 0);
}

#[test]
fn one_that_could_not_begin_is_missing_until_it_is_started_again() {
    let told =
        |expects, state: WorkerState| WorkerState { who: Identity { expects, part: None, ..state.who }, ..state };
    let ended = |verdict, state| WorkerState { stage: Stage::Left, verdict, ..state };
    let well = |state| ended(Some(Verdict::TargetReached), state);
    let seen = |all: &[WorkerState]| {
        let FleetView { verdict, missing, .. } = view(all.to_vec());
        (verdict.verdict, format!("{} of {}", verdict.workers, verdict.of_workers), missing)
    };
    let words = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    for expects in [Some(3), None] {
        let (server, first) = (well(told(expects, server(500))), well(told(expects, client(1, 500))));
        let failed = ended(None, told(expects, client(2, 0)));
        let missing = (Some(Verdict::WorkersMissing), "2 of 3".into(), words(&["client on web2 (could not begin)"]));
        assert_eq!(seen(&[server.clone(), first.clone(), failed.clone()]), missing);
        let whole = (Some(Verdict::TargetReached), "3 of 3".into(), Vec::new());
        let after = Some(failed.at_us + 1);
        let again = WorkerState { started_us: after, ..well(told(expects, client(2, 500))) };
        assert_eq!(seen(&[server.clone(), first.clone(), failed.clone(), again]), whole);
        // In its place on another host, where it is known how many are to come.
        let elsewhere = WorkerState { started_us: after, ..well(told(expects, client(3, 500))) };
        let seen = seen(&[server, first, failed, elsewhere]);
        assert!(if expects.is_some() { seen == whole } else { seen.0 == missing.0 }, "{seen:?}");
    }
    let parts = [server(500), client(1, 500), client(3, 500), ended(None, client(2, 0))];
    let missing = words(&["part 2/4 on web2 (could not begin)", "part 4/4"]);
    assert_eq!(seen(&parts), (Some(Verdict::WorkersMissing), "3 of 5".into(), missing));
    // Another part that its host began later stands for itself.
    let mut beside = parts.clone();
    beside[2].who.host = parts[3].who.host.clone();
    beside[2].started_us = Some(beside[3].at_us + 1);
    assert_eq!(seen(&beside).2, words(&["part 2/4 on web2 (could not begin)", "part 4/4"]));
    // So far all wait: the two may yet come.
    let waiting = parts.map(|state| match state.stage {
        Stage::Left => state,
        _ => WorkerState { stage: Stage::Waiting, ..state },
    });
    assert_eq!(seen(&waiting).0, None);
}

#[test]
fn a_guard_holds_those_that_are_there() {
    let side = ServerSide { ceiling: Some(1000), ..ServerSide::default() };
    let held = |n| WorkerState {
        held: Some(Held { allowed: 100, holds: true, late_us: 0, age_ms: 0 }),
        phase: RunPhase::Guarded,
        ..client(n, 100)
    };
    let lost = WorkerState { at_us: NOW - (LOST_MS + 5000) * 1000, ..held(2) };
    let left = WorkerState { stage: Stage::Left, ..held(3) };
    let guarding = WorkerState { server: Some(side), ..server(300) };
    let holds = |first| view(vec![guarding.clone(), first, lost.clone(), left.clone()]).guard.unwrap().holds;
    assert_eq!((holds(client(1, 100)), holds(held(1))), (0, 1));
}

#[test]
fn after_an_outage_of_the_store_nobody_is_lost_yet() {
    let ago = |state| WorkerState { at_us: NOW - (LOST_MS + 5000) * 1000, ..state };
    let all = vec![ago(server(300)), ago(client(1, 300))];
    assert!(view(all.clone()).is_over());
    let seen = FleetView::known("night", NOW, all.clone(), false);
    assert!(!seen.is_over() && seen.count.silent == 2 && seen.verdict.verdict.is_none(), "{seen:#?}");
    let left = all.into_iter().map(|state| WorkerState { stage: Stage::Left, ..state }).collect();
    assert!(FleetView::known("night", NOW, left, false).is_over());
}

#[test]
fn a_part_that_was_started_anew_counts_once() {
    let killed = WorkerState { at_us: NOW - (LOST_MS + 5000) * 1000, started_us: Some(1), ..client(1, 40_000) };
    let again = WorkerState { started_us: Some(NOW - 1_000_000), ..client(1, 250) };
    for all in [[killed.clone(), again.clone()], [again.clone(), killed.clone()]] {
        let seen = view(vec![all[0].clone(), all[1].clone(), client(2, 50), client(3, 0), client(4, 0), server(300)]);
        assert_eq!((seen.rows.len(), seen.totals.connections, seen.count.come), (5, 300, 5));
        assert_eq!((seen.totals.target, seen.missing.len(), seen.count.lost), (Some(1_000_000), 0, 0));
    }
    // Both go on: the later one, whoever spoke last.
    let away = WorkerState { at_us: NOW, started_us: Some(1), ..client(1, 40_000) };
    let again = WorkerState { at_us: NOW - 900_000, ..again };
    assert_eq!(view(vec![away, again]).totals.connections, 250);
}

#[test]
fn a_server_alone_holds_when_its_clients_do() {
    let holding = |n, open| WorkerState { phase: RunPhase::Holding, ..client(n, open) };
    let word = |workers: Vec<WorkerState>| view(workers).rows[0].word();
    assert_eq!(word(vec![server(500_000), client(1, 250_000), holding(2, 249_000)]), "HOLDING");
    assert_eq!(word(vec![server(499_000), client(1, 249_000), holding(2, 250_000)]), "ACCEPTING");
    assert_eq!(word(vec![server(490_000), holding(1, 250_000), holding(2, 240_000)]), "HOLDING");
    assert_eq!(word(vec![server(490_000)]), "ACCEPTING", "nobody is there to hold");
}

#[test]
fn a_part_that_cannot_be_is_no_worker() {
    let text = serde_json::to_string(&client(1, 5)).unwrap();
    assert!(serde_json::from_str::<WorkerState>(&text).is_ok());
    for part in [r#""number":1,"of":4294967295"#, r#""number":0,"of":4"#, r#""number":5,"of":4"#] {
        let wrong = text.replace(r#""number":1,"of":4"#, part);
        assert!(wrong != text && serde_json::from_str::<WorkerState>(&wrong).is_err(), "{part}");
    }
}

#[test]
fn the_nearest_limit_is_the_soonest_and_counts_for_the_fleet() {
    let mut all = vec![server(40_000), client(1, 10_000), client(2, 30_000)];
    all[0].nearest = Some(limit(LimitId::Memory, 1_000_000, 60.0));
    all[1].nearest = Some(limit(LimitId::Ports, 28_000, 18.0));
    let seen = view(all.clone());
    let nearest = seen.nearest.unwrap();
    assert_eq!((nearest.row, nearest.limit.id, nearest.fleet_connections), (1, LimitId::Ports, Some(112_000)));
    all[1].nearest = None;
    let nearest = view(all.clone()).nearest.unwrap();
    assert_eq!((nearest.row, nearest.fleet_connections), (0, Some(1_000_000)));
    // One that was hit comes before all.
    all[2].nearest = Some(limit(LimitId::Nofile, 30_000, 900.0));
    all[2].nearest.as_mut().unwrap().state = LimitState::Hit;
    assert_eq!(view(all).nearest.unwrap().row, 2);
}

#[test]
fn who_is_the_bottleneck() {
    let find = |workers: Vec<WorkerState>| view(workers).bottleneck.map(|b| (b.bound, b.row, b.by, b.text));
    assert_eq!(find(vec![server(0), client(1, 100)]), None, "nothing is short of anything");
    let busy = |state: WorkerState| WorkerState { cpu: Some(CpuUse { cores_used: 3.9, cores: 4 }), ..state };
    let (bound, row, by, text) = find(vec![server(0), client(1, 100), busy(client(2, 100))]).unwrap();
    assert_eq!((bound, row, by.as_str()), (Bound::Generator, 2, "CPU"));
    assert_eq!(text, "generator-bound: part 2/4 on web2 uses 98 % of its 4 cores");
    let (bound, ..) = find(vec![busy(server(0)), busy(client(1, 100))]).unwrap();
    assert_eq!(bound, Bound::Server, "clients wait where the server does");
    // As fast as it was asked to go, it is no bottleneck.
    let asked = WorkerState { rate_limit: Some(1000), ..busy(client(1, 100)) };
    assert_eq!(find(vec![asked]), None);
    let held = Held { allowed: 100, holds: true, late_us: 0, age_ms: 0 };
    let (bound, _, _, text) = find(vec![server(100), WorkerState { held: Some(held), ..client(1, 100) }]).unwrap();
    assert_eq!(
        (bound, text.as_str()),
        (Bound::Server, "server-bound: server on db stops the clients short of its limit (its guard)")
    );
    // Of two servers the nearer to its ceiling; and so it stays when all have ended.
    let side = |ceiling| Some(ServerSide { ceiling: Some(ceiling), ..ServerSide::default() });
    let two = [WorkerState { server: side(900), ..server(100) }, WorkerState { server: side(110), ..server(100) }];
    let ended = Some(Verdict::GuardStopped);
    let stopped = WorkerState { stage: Stage::Left, verdict: ended, stopped_by_server: true, ..client(1, 100) };
    let [far, near] = two.clone();
    let (bound, row, ..) = find(vec![far, near, stopped]).unwrap();
    assert_eq!((bound, row), (Bound::Server, 1));
    let [far, near] = two;
    let own = WorkerState { stage: Stage::Left, verdict: ended, ..client(1, 100) };
    let (bound, row, ..) = find(vec![far, near, own]).unwrap();
    assert_eq!((bound, row), (Bound::Generator, 2), "its own guard stopped it");
    let refused = WorkerState { blocked: Some(Verdict::ServerRefuses), ..client(1, 100) };
    let (bound, _, _, text) = find(vec![server(100), refused]).unwrap();
    assert_eq!((bound, text.as_str()), (Bound::Server, "server-bound: server on db refuses connections"));
}

#[test]
fn who_joins_a_run_that_is_under_way_is_no_skew() {
    let started = |n, us| WorkerState { started_us: Some(NOW + us), ..client(n, 0) };
    let skew = |late| view(vec![started(1, 0), started(2, 700), started(3, late)]).skew.start_us;
    assert_eq!((skew(9_000), skew(4_900_000)), (Some(9_000), Some(4_900_000)));
    assert_eq!(skew(600_000_000), Some(700));
    assert_eq!(view(vec![started(1, 0), started(2, 600_000_000)]).skew.start_us, None);
}
