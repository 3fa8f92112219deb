//! Runs that were really made: equal ones are the same, and a rule of a firewall shows.

use std::path::PathBuf;

use c1m_top::limits::LimitId;
use c1m_top::model::Verdict;
use serde_json::Value;

use super::compare::{compare, standing, text};
use super::support::{Home, Net, Run, own_namespace, print_uncaptured, program, require, succeed, tries};

/// Connections of each run: with fewer a slope is known too badly to compare anything.
const TARGET: &str = "60k";

/// Options of a run that is recorded under this name, and its file.
fn recorded(name: &str) -> (String, PathBuf) {
    let file = Home::path().join(name);
    (format!("--server --client 127.0.0.1 9900 --target {TARGET} --hold 3s --record {}", file.display()), file)
}

fn ended(run: Run) {
    let ended = run.finish();
    assert_eq!(ended.summary().verdict, Verdict::TargetReached, "{}", ended.log());
}

#[test]
fn equal_runs_are_the_same() {
    own_namespace!();
    // One pair, or ten where tests may take long.
    for pair in tries() {
        let files = ["a", "b"].map(|side| {
            let (options, file) = recorded(&format!("{side}{pair}.c1m"));
            ended(Run::start(&options));
            file
        });
        let out = compare(&[&files[0], &files[1]], &["--output", "json"]);
        let comparison: Value = serde_json::from_slice(&out.stdout).unwrap();
        let same = standing(&comparison, 1, "same").len();
        print_uncaptured(&format!("measured: pair {pair} of equal runs: {same} figures the same"));
        for verdict in ["worse", "better"] {
            assert_eq!(standing(&comparison, 1, verdict), Vec::<String>::new(), "pair {pair}");
        }
        assert!(same > 8, "{comparison}");
        assert_eq!(out.status.code(), Some(0));
    }
}

#[test]
fn a_rule_that_tracks_connections_is_seen_in_what_they_cost() {
    require!(Root, NetworkNamespace, Program("nft"));
    let (plain, tracked) = (Net::new(), Net::new());
    tracked.track();
    let [before, after] = [(&plain, "before.c1m"), (&tracked, "after.c1m")].map(|(net, name)| {
        let (options, file) = recorded(name);
        ended(net.run(&options));
        file
    });
    let out = compare(&[&before, &after], &["--output", "json"]);
    assert_eq!(out.status.code(), Some(5), "{}", text(&out.stderr));
    let comparison: Value = serde_json::from_slice(&out.stdout).unwrap();
    let worse = standing(&comparison, 1, "worse");
    assert!(worse.iter().any(|figure| figure.starts_with("first_limit")), "{worse:?}");
    let only_there = standing(&comparison, 1, "only_here");
    let entry = |figure: &String| figure.starts_with("bytes_per_connection.slab.nf_conntrack");
    assert!(only_there.iter().any(entry), "an entry of the table for each connection: {only_there:?}");
    let limit = comparison["figures"].as_array().unwrap().iter().find(|row| row["key"] == "first_limit").unwrap();
    assert_eq!(limit["values"][1]["word"], LimitId::Conntrack.descriptor().label, "{limit}");
}

#[test]
fn the_last_run_is_reported_by_its_name() {
    own_namespace!();
    let (options, _) = recorded("unused.c1m");
    // What nobody asks to be recorded is kept, and is the last.
    ended(Run::start(options.split(" --record").next().unwrap()));
    let card = succeed(program().args(["report", "last", "--output", "card"]));
    assert!(card.contains("held      60,000 of 60,000 connections: target reached"), "{card}");
    let by_number = succeed(program().args(["report", "1", "--output", "card"]));
    assert_eq!(card, by_number);
    // What a connection costs is known only where the kernel's caches could be read amid the ramp.
    let certain = card.lines().filter(|line| !["cost ", "of it ", "caches "].iter().any(|name| line.starts_with(name)));
    assert!(certain.into_iter().all(|line| !line.contains("not known")), "of a real run all else is: {card}");
}
