//! What a connection is said to cost is the same in every run: hundred of them, of 20,000 to 100,000 connections, some ended
//! as soon as they are there, some with a walk over the tree of files beside them.

#![expect(clippy::unwrap_used, reason = "in the helpers of tests: what is missing there fails the test")]

mod support;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use c1m_top::model::Verdict;
use support::{Net, print_uncaptured};

const RUNS: u64 = 100;

/// All of them lie within this share of their median.
const SPREAD: f64 = 0.03;

/// Somebody who looks at every file, which fills the caches of names and inodes.
struct Walk(Child);

impl Walk {
    fn start() -> Self {
        // As if for the first time: what is cached already fills nothing. It takes nothing from anybody but time.
        let _ = std::fs::write("/proc/sys/vm/drop_caches", "2");
        let mut find = Command::new("find");
        find.args(["/", "-xdev", "-type", "f", "-size", "-1"]).stdout(Stdio::null()).stderr(Stdio::null());
        Self(find.spawn().unwrap())
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_hundred_runs_cost_the_same() {
    require!(Long, Host, Root, NetworkNamespace, Program("find"));
    let net = Net::new();
    let mut seen: Vec<(f64, String)> = Vec::new();
    for i in 0..RUNS {
        let target = 20_000 + i * 7 % 9 * 10_000;
        let walk = (i % 2 == 1).then(Walk::start);
        // A walk under way, or over before the ramp has begun: both have happened.
        std::thread::sleep(Duration::from_millis(i % 3 * 200));
        let options = format!("--server --client 127.0.0.1 9900 --target {target}");
        let early = i % 5 == 4;
        let run = if early {
            let mut run = net.run(&options);
            run.until_holding();
            run.interrupt()
        } else {
            net.run(&format!("{options} --hold {}ms", 500 + i % 4 * 500)).finish()
        };
        assert_eq!(run.summary().verdict, Verdict::TargetReached, "{}", run.log());
        let total = run.summary().bytes_per_connection.total;
        let how = format!("run {i}: {target}{}", if walk.is_some() { ", beside a walk" } else { "" });
        match total {
            Some(total) => seen.push((total, how)),
            // Between two readings of the slab nothing is known, and that is what it says.
            None => assert!(early, "{how}: nothing was learnt"),
        }
    }
    seen.sort_by(|a, b| a.0.total_cmp(&b.0));
    let median = seen[seen.len() / 2].0;
    let (least, most) = (&seen[0], &seen[seen.len() - 1]);
    let off = |bytes: f64| (bytes / median - 1.0) * 100.0;
    print_uncaptured(&format!(
        "{} of {RUNS} runs, the others over before anything was learnt: median {median:.0} B, from {:.0} ({:+.2} %, {}) to {:.0} ({:+.2} %, {})",
        seen.len(),
        least.0,
        off(least.0),
        least.1,
        most.0,
        off(most.0),
        most.1
    ));
    assert!(off(least.0).abs() <= SPREAD * 100.0 && off(most.0).abs() <= SPREAD * 100.0, "{seen:#?}");
}
