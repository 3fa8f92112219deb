//! Parts as launchers number them, and parts beside one another on one host.

use std::path::PathBuf;

use c1m_top::model::Verdict;
use c1m_top::record::Entry;

use super::support::{BINARY, Run, own_namespace, program, wait_until};
use super::{file, merge, open, recorded, rewritten, text};

/// Options of a client that holds nothing for long.
const CLIENT: &str = "--client 127.0.0.1 9900 --ports 2 --interval 100ms";

fn serve() -> Run {
    let server = Run::start("--server --ports 2 --interval 100ms");
    server.engines(true, false);
    server
}

#[test]
fn the_summary_says_which_part_and_from_where() {
    own_namespace!();
    let server = serve();
    for (variables, parts, want) in [
        (
            "OMPI_COMM_WORLD_RANK=6 OMPI_COMM_WORLD_SIZE=7 SLURM_PROCID=0 SLURM_NTASKS=2",
            "",
            (7, 7, "OMPI_COMM_WORLD_RANK"),
        ),
        ("SLURM_PROCID=2 SLURM_NTASKS=7", "", (3, 7, "SLURM_PROCID")),
        ("JOB_COMPLETION_INDEX=0", "--parts 3", (1, 3, "JOB_COMPLETION_INDEX")),
    ] {
        let words = [variables.split_whitespace().collect::<Vec<_>>(), vec![BINARY]].concat();
        let run = Run::under(
            &[&["env"], &words[..words.len() - 1]].concat(),
            &format!("{CLIENT} --target 71 --hold 0s --part auto {parts}"),
        );
        let ended = run.finish();
        let part = ended.summary().part.unwrap();
        assert_eq!((part.number, part.of, part.from.name()), want);
        let share = 71 / u64::from(part.of) + u64::from(71 % part.of >= part.number);
        assert_eq!(ended.summary().peak_established, Some(share), "{variables}");
    }
    let mut command = program();
    command.env("SLURM_PROCID", "2").env("SLURM_NTASKS", "7");
    let out =
        command.args(CLIENT.split(' ')).args("--target 70 --hold 0s --part auto --output text".split(' ')).output();
    let lines = text(&out.unwrap().stdout);
    assert!(lines.contains("  part            3 of 7, from SLURM_PROCID\n"), "{lines}");
    assert!(lines.contains("This is part 3 of 7, from SLURM_PROCID: 10 of 70 connections."), "{lines}");
    server.interrupt();
}

#[test]
fn parts_beside_one_another_do_not_collide() {
    own_namespace!();
    // Three parts share the two sources that there are, and 400 local ports: together they take half of all.
    super::support::succeed(
        std::process::Command::new("sysctl").args(["-qw", "net.ipv4.ip_local_port_range=40000 40399"]),
    );
    let server = serve();
    let sources = "--source 127.0.0.5,127.0.0.6 --target 801 --active 50%";
    let files: Vec<_> = (1..=3).map(|n| file(&format!("{n}.c1m"))).collect();
    let mut runs: Vec<Run> = (1..=3)
        .zip(&files)
        .map(|(n, file)| Run::start(&format!("{CLIENT} {sources} --part {n}/3 --record {}", file.display())))
        .collect();
    runs.iter_mut().for_each(Run::until_holding);
    wait_until("the server taking all", || {
        let out = super::support::succeed(std::process::Command::new("ss").args([
            "-Htn",
            "state",
            "established",
            "sport = :9900 or sport = :9901",
        ]));
        (out.lines().count() == 801).then_some(())
    });
    for run in runs {
        let ended = run.interrupt();
        assert_eq!((ended.summary().verdict, ended.summary().failures), (Verdict::TargetReached, 0), "{}", ended.log());
    }
    server.interrupt();
    let out = merge(&files, &file("all.c1m"), &[]);
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), String::new()));
    let wants = "Merged 3 recordings: at most 801 of 801 connections at once.\n";
    assert!(text(&out.stdout).starts_with(wants), "{}", text(&out.stdout));
}

#[test]
fn a_header_says_which_clock_and_which_host() {
    own_namespace!();
    let server = serve();
    let [one, two] = [1, 2].map(|n| {
        recorded(&format!("{n}.c1m"), &format!("--client 127.0.0.1 9900 --target 100 --hold 1s --part {n}/2"))
    });
    server.interrupt();
    let merged = |name: &str, runs: [&PathBuf; 2]| {
        let to = file(name);
        let out = merge(&runs.map(Clone::clone), &to, &[]);
        assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), String::new()));
        let recording = open(&to);
        let starts = recording.summary().unwrap().merged.as_ref().unwrap().parts.iter().map(|part| part.starts_ms);
        let memory = recording.entries().find_map(|entry| match entry {
            Entry::Sample { sample, .. } => Some(sample.kernel.host.mem.as_ref().unwrap().total),
            _ => None,
        });
        (starts.collect::<Vec<_>>(), memory.unwrap(), recording.header().memory_bytes.unwrap())
    };
    let (starts, memory, told) = merged("as-it-was.c1m", [&one, &two]);
    assert!(starts[0] == 0 && starts[1] > 0 && memory == told, "{starts:?}");
    // A clock that was ten seconds ahead: the second part was the first.
    let ahead = rewritten(&two, "ahead.c1m", |header| header.clock_offset_us = Some(10_000_000));
    assert_eq!(merged("aligned.c1m", [&one, &ahead]).0, [10_000 - starts[1], 0]);
    // Another machine, of which nothing else is known.
    let elsewhere = rewritten(&two, "elsewhere.c1m", |header| header.place.host = Some("another".into()));
    let (_, both, told) = merged("two-hosts.c1m", [&one, &elsewhere]);
    assert_eq!((both, told), (2 * memory, 2 * memory));
}
