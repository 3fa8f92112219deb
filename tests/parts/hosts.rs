//! Seven parts on seven hosts, killed one by one: what is merged of their recordings is what their kernels counted.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use c1m_top::model::{Summary, Verdict};
use c1m_top::protocol::Role;
use c1m_top::record::Entry;
use c1m_top::sample::Sample;

use super::support::{Net, Run, print_uncaptured, program, require, wait_until};
use super::{file, merge, open, text, until_recorded};

const PARTS: usize = 7;
/// Does not come out even.
const TARGET: u64 = 20_003;
/// What the server listens on besides: four ports.
const OPTIONS: &str = "--ports 4 --interval 200ms";

/// A server's host with a bridge, and clients' hosts on it.
fn bridged() -> (Net, Vec<Net>) {
    let server = Net::new();
    server.sh("ip link add br0 type bridge && ip addr add 10.99.0.1/24 dev br0 && ip link set br0 up");
    let clients = (0..PARTS).map(|i| {
        let client = Net::new();
        server.sh(&format!("ip link add to{i} type veth peer name wire netns {}", client.pid()));
        server.sh(&format!("ip link set to{i} master br0 && ip link set to{i} up"));
        client.sh(&format!("ip addr add 10.99.0.{}/24 dev wire && ip link set wire up", 10 + i));
        client
    });
    let clients = clients.collect();
    (server, clients)
}

/// Everything that the merged run says.
struct Merged {
    samples: Vec<Sample>,
    summary: Summary,
    parts: Vec<(String, Summary)>,
}

fn read(path: &std::path::Path) -> Merged {
    let mut merged = (Vec::new(), None, Vec::new());
    for entry in open(path).entries() {
        match entry {
            Entry::Sample { sample, .. } => merged.0.push(std::sync::Arc::unwrap_or_clone(sample)),
            Entry::Summary { summary } => merged.1 = Some(*summary),
            Entry::Part { name, summary, .. } => merged.2.push((name, *summary)),
            _ => {}
        }
    }
    Merged { samples: merged.0, summary: merged.1.unwrap(), parts: merged.2 }
}

#[test]
fn seven_parts_that_are_killed_one_by_one_add_up() {
    require!(Root, NetworkNamespace, Veth);
    let (server_host, hosts) = bridged();
    let server_file = file("server.c1m");
    let server = server_host.run(&format!("--server --target {TARGET} {OPTIONS} --record {}", server_file.display()));
    server.engines(true, false);
    let files: Vec<PathBuf> = (1..=PARTS).map(|n| file(&format!("part{n}.c1m"))).collect();
    let mut runs: Vec<Run> = (hosts.iter().zip(&files).zip(1..))
        .map(|((host, file), n)| {
            let part = format!("--part {n}/{PARTS} --record {}", file.display());
            host.run(&format!("--client 10.99.0.1 9900 --target {TARGET} --active 10% {OPTIONS} {part}"))
        })
        .collect();
    runs.iter_mut().for_each(Run::until_holding);
    wait_until("the server taking all", || (server_host.sockstat("inuse") >= TARGET).then_some(()));
    let held: Vec<u64> = hosts.iter().map(|host| host.sockstat("inuse")).collect();
    assert_eq!(held, [2858, 2858, 2858, 2858, 2857, 2857, 2857], "as the kernel of each host counts");
    // A second in which all of them hold everything.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let later = u64::try_from(now).unwrap() + 1000;
    for (path, held) in files.iter().zip(&held) {
        until_recorded(path, Role::Client, *held, later);
    }
    until_recorded(&server_file, Role::Server, TARGET, later);
    let listeners = server_host.sockstat("inuse") - TARGET;
    for (i, run) in runs.into_iter().enumerate() {
        run.signal(libc::SIGKILL);
        drop(run);
        // Its engine ends with it, and resets what it held.
        let left: u64 = held[i + 1..].iter().sum();
        wait_until("its connections going", || (server_host.sockstat("inuse") == left + listeners).then_some(()));
    }
    assert_eq!(server.interrupt().code, Some(0));

    let all = file("all.c1m");
    let out = merge(&[files.clone(), vec![server_file]].concat(), &all, &[]);
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), String::new()));
    let merged = read(&all);
    let client = |sample: &Sample| sample.engine(Role::Client).map_or(0, |client| client.open);

    // At its highest the run is what all kernels counted together.
    let mut most = merged.samples.iter().filter(|s| client(s) == TARGET);
    let whole = most.rfind(|s| s.engine(Role::Server).unwrap().open == TARGET).unwrap();
    let sockstat = whole.kernel.net.sockstat.as_ref().unwrap();
    let inet6 = whole.kernel.net.inuse6.as_ref().unwrap();
    assert_eq!(sockstat.inuse + inet6, 2 * TARGET + listeners, "both ends, in eight namespaces");
    let machine = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total = machine.lines().next().unwrap().split_whitespace().nth(1).unwrap().parse::<u64>().unwrap();
    assert_eq!(whole.kernel.host.mem.as_ref().unwrap().total, total * 1024, "one machine, however many parts");
    let alloc = |path: &PathBuf| {
        open(path)
            .entries()
            .filter_map(|entry| match entry {
                Entry::Sample { sample, .. } => sample.kernel.net.sockstat.as_ref().ok().map(|own| own.alloc),
                _ => None,
            })
            .max()
    };
    let most = files.iter().filter_map(alloc).max().unwrap();
    // Others may hold millions beside it.
    assert!(sockstat.alloc >= 2 * TARGET && sockstat.alloc <= most, "its sockets once: {} of {most}", sockstat.alloc);

    // From then on it loses a part at a time.
    let mut levels: Vec<u64> = merged.samples.iter().map(client).skip_while(|open| *open < TARGET).collect();
    levels.dedup();
    let steps: Vec<u64> = levels.windows(2).map(|pair| pair[0] - pair[1]).collect();
    let mut lost = steps.clone();
    lost.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(lost, held, "{levels:?}");

    let summary = &merged.summary;
    assert_eq!((summary.target, summary.peak_established), (Some(TARGET), Some(TARGET)));
    assert_eq!(summary.verdict, Verdict::TargetReached, "each had reached its own when it was killed");
    assert_eq!(summary.traffic.unwrap().active, TARGET / 10, "a tenth of all, exactly");
    let count = |of: fn(&Summary) -> u64| merged.parts.iter().map(|(_, summary)| of(summary)).sum::<u64>();
    assert_eq!(summary.connect.unwrap().count, TARGET);
    assert_eq!(count(|s| s.connect.map_or(0, |connect| connect.count)), TARGET);
    let slowest = merged.parts.iter().filter_map(|(_, s)| s.connect).map(|connect| connect.max_us).max();
    assert_eq!(Some(summary.connect.unwrap().max_us), slowest);
    // Others that close their sockets meanwhile may leave it unknown.
    let cost = summary.bytes_per_connection.total.map_or("unknown".to_owned(), |cost| format!("{cost:.0} B"));
    print_uncaptured(&format!("measured: seven parts and their server, {cost} a connection, both ends"));
    let parts = &summary.merged.as_ref().unwrap().parts;
    let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names[0], "server");
    assert_eq!(names[1..], ["1", "2", "3", "4", "5", "6", "7"].map(|n| format!("client {n}")));
    assert!(parts[1..].iter().all(|part| part.cut_short) && !parts[0].cut_short, "{parts:?}");
    assert_eq!(parts[1..].iter().map(|part| part.peak).collect::<Vec<_>>(), held);

    // Whoever takes a run takes this one, and each part is in it.
    for output in ["html", "md", "card"] {
        let out = program().args(["report", "--output", output]).arg(&all).output().unwrap();
        let page = text(&out.stdout);
        assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
        assert!(names.iter().all(|name| page.contains(*name)), "{output}: {page}");
        assert!(page.contains("20,003"), "{output}");
    }
    let out = program().arg("replay").arg(&all).args(["--expect", "peak_established == 20003"]).output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stdout));
    let out = program().arg("replay").arg(&all).args(["--output", "text"]).output().unwrap();
    let lines = text(&out.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(lines.contains("client 7 2,857 of 2,857 connections on "), "{lines}");
    assert!(lines.contains("its recording ends here without a summary"), "{lines}");
    let out = program().arg("compare").args([&all, &all]).output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let out = program().args(["runs", "cat"]).arg(&all).output().unwrap();
    assert_eq!(text(&out.stdout).lines().filter(|line| line.starts_with(r#"{"kind":"part""#)).count(), PARTS + 1);
}
