//! `deploy/slurm/run.sbatch` as a job of a real Slurm: five nodes, one of them set down amid the ramp, the job cancelled.

use std::process::Stdio;

use c1m_top::model::{RunPhase, SampleLine, Summary, Verdict};

use super::cluster::{Cluster, count_of};
use super::deployed;
use super::support::{Started, own_processes, require, wait_until};

/// The last sample in what a run has printed.
fn last_sample(text: &str) -> Option<SampleLine> {
    // The last line may still be on its way.
    let whole = &text[..text.rfind('\n')?];
    whole.lines().rev().find_map(|line| serde_json::from_str(line).ok())
}

/// The summary that a run printed last; `None` where it was given no time to.
fn summary(text: &str) -> Option<Summary> {
    serde_json::from_str(text.lines().next_back()?).ok()
}

/// What the tasks of a job have printed: of the server, and of each client.
fn printed(cluster: &Cluster, job: &str) -> (String, Vec<String>) {
    let of = |task: &str| cluster.written(&format!("c1m-{job}/{task}.jsonl"));
    (of("server"), (0..4).map(|n| of(&format!("client-{n}"))).collect())
}

/// Waits until every task is gone and no connection is left on any node, nor in TIME_WAIT: but on that of an engine killed.
#[track_caller]
fn assert_nothing_is_left(cluster: &Cluster, killed: Option<usize>) {
    wait_until("the end of every task", || {
        let names = ["c1m-top", "c1m-top-server", "c1m-top-client", "slurmstepd"];
        names.iter().all(|name| count_of(name) == 0).then_some(())
    });
    wait_until("sockets of slurmd alone", || cluster.sockets("inuse").iter().all(|n| *n <= 3).then_some(()));
    let waiting = cluster.sockets("tw");
    // What Slurm's own tools have closed is among them.
    let few = waiting.iter().enumerate().all(|(n, waiting)| Some(n) == killed || *waiting < 100);
    assert!(few, "{waiting:?}");
}

#[test]
fn five_nodes_hold_what_the_script_says() {
    require!(Long, Root, Veth, Program("slurmctld"), Program("munged"));
    own_processes!();
    let cluster = Cluster::start(5);
    // The clients do not start together: each holds until the last has its part.
    let job = cluster.submit(&deployed("slurm/run.sbatch"), "HOLD=30s");
    let how = cluster.ended(&job);
    let log = cluster.written(&format!("c1m-{job}.log"));
    assert_eq!(how, "COMPLETED 0:0", "{log}");
    let (server, clients) = printed(&cluster, &job);
    for (n, client) in clients.iter().enumerate() {
        let summary = summary(client).unwrap_or_else(|| panic!("client {n}: {client}"));
        assert_eq!((summary.verdict, summary.peak_established), (Verdict::TargetReached, Some(100_000)), "client {n}");
    }
    let server = summary(&server).unwrap();
    assert_eq!((server.verdict, server.peak_accepted), (Verdict::Served, Some(400_000)), "{server:#?}");
    // What the job's log says of each; and the parts, put together.
    assert_eq!(log.matches("verdict:").count(), 5, "{log}");
    let merged = summary(&cluster.sh(&format!("c1m-top replay c1m-{job}/clients.c1m --output json"))).unwrap();
    assert_eq!((merged.verdict, merged.peak_established), (Verdict::TargetReached, Some(400_000)), "{merged:#?}");
    assert_nothing_is_left(&cluster, None);
}

#[test]
fn a_node_set_down_amid_the_ramp_takes_its_part_and_no_other() {
    require!(Long, Root, Veth, Program("slurmctld"), Program("munged"));
    own_processes!();
    let cluster = Cluster::start(5);
    let job = cluster.submit(&deployed("slurm/run.sbatch"), "TARGET=40k,RATE=4k,HOLD=10s");
    wait_until("a quarter of them", || {
        let sample = last_sample(&printed(&cluster, &job).0)?;
        (sample.accepted? >= 10_000).then_some(())
    });
    // The second client's.
    cluster.sh("scontrol update NodeName=n3 State=DOWN Reason=test");
    let how = cluster.ended(&job);
    let log = cluster.written(&format!("c1m-{job}.log"));
    let (server, clients) = printed(&cluster, &job);
    eprintln!("measured: a node down: {how}\n{log}");
    for n in [0, 2, 3] {
        let summary = summary(&clients[n]).unwrap_or_else(|| panic!("client {n}: {log}"));
        assert_eq!((summary.verdict, summary.peak_established), (Verdict::TargetReached, Some(10_000)), "client {n}");
    }
    let lost = summary(&clients[1]);
    assert!(lost.is_none_or(|s| s.verdict != Verdict::TargetReached), "{log}");
    let accepted = summary(&server).unwrap().peak_accepted.unwrap();
    assert!((30_000..40_000).contains(&accepted), "{accepted}");
    assert_nothing_is_left(&cluster, Some(2));
}

#[test]
fn a_fleet_of_a_job_starts_together_and_names_the_node_that_was_set_down() {
    const FLEET: &str = "redis://10.99.0.1:7398/job";
    require!(Long, Root, Veth, Program("slurmctld"), Program("munged"), Program("redis-server"));
    own_processes!();
    let cluster = Cluster::start(5);
    let mut redis = cluster.command("redis-server");
    let redis = redis.args("--port 7398 --bind 10.99.0.1 --protected-mode no --save".split(' ')).arg("");
    let _redis = Started::spawn(redis.stdout(Stdio::null()));
    let mut watcher = cluster.command("sh");
    watcher.args([
        "-c",
        &format!("c1m-top fleet {FLEET} --output json > fleet.jsonl 2> fleet.err; echo $? > fleet.status"),
    ]);
    let _watcher = Started::spawn(&mut watcher);
    let job = cluster.submit(&deployed("slurm/run.sbatch"), &format!("TARGET=40k,RATE=4k,HOLD=20s,C1M_FLEET={FLEET}"));
    wait_until("a quarter of them", || {
        let sample = last_sample(&printed(&cluster, &job).0)?;
        (sample.accepted? >= 10_000).then_some(())
    });
    cluster.sh("scontrol update NodeName=n3 State=DOWN Reason=test");
    let status = wait_until("the fleet's end", || cluster.written("fleet.status").trim().parse::<i32>().ok());
    let said = cluster.written("fleet.jsonl");
    let last: serde_json::Value = serde_json::from_str(said.lines().next_back().unwrap()).unwrap();
    eprintln!("measured: a fleet whose node was set down: {}", last["text"]);
    assert_eq!((status, last["verdict"].as_str()), (3, Some("workers_missing")), "{last:#}");
    assert_eq!((last["workers"].as_u64(), last["of_workers"].as_u64()), (Some(4), Some(5)), "{last:#}");
    assert!(last["missing"][0].as_str().is_some_and(|who| who.starts_with("part 2/4 on n3")), "{last:#}");
    // The others have what they were to open, and started within a tenth of a second: the spread is of one machine.
    let view: serde_json::Value = serde_json::from_str(said.lines().rev().nth(1).unwrap()).unwrap();
    let peaks = view["rows"].as_array().unwrap().iter().filter(|row| row["state"]["peak"] == 10_000).count();
    assert_eq!(peaks, 3, "{view:#}");
    assert!(view["skew"]["start_us"].as_u64().is_some_and(|spread| spread < 100_000), "{}", view["skew"]);
    cluster.ended(&job);
    assert_nothing_is_left(&cluster, Some(2));
}

#[test]
fn a_cancelled_job_leaves_nothing_behind() {
    require!(Long, Root, Veth, Program("slurmctld"), Program("munged"));
    own_processes!();
    let cluster = Cluster::start(5);
    let job = cluster.submit(&deployed("slurm/run.sbatch"), "TARGET=40k,HOLD=5m");
    wait_until("every client at its target", || {
        let clients = printed(&cluster, &job).1;
        clients.iter().all(|text| last_sample(text).is_some_and(|s| s.phase == RunPhase::Holding)).then_some(())
    });
    let held: u64 = cluster.sockets("inuse").iter().sum();
    assert!(held >= 80_000, "both ends of 40,000: {held}");
    cluster.sh(&format!("scancel {job}"));
    let how = cluster.ended(&job);
    assert!(how.starts_with("CANCELLED"), "{how}");
    assert_nothing_is_left(&cluster, None);
}
