//! What changes or goes away while it is watched: a limit that is raised, a process that ends or whose number another one
//! takes, a cgroup that is removed.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

mod support;

use std::process::{Command, Stdio};

use c1m_top::model::{LimitState, Severity};

use support::{BINARY, Cgroup, Finished, HostSetting, Net, Printed, Run, Started, Version};

/// A dashboard that watches `pid`.
fn watch(pid: u32, options: &str) -> Run {
    let mut run = Run::start(&format!("--attach {pid} --interval 100ms {options}"));
    run.until("samples", |p| p.samples.len() > 2);
    run
}

/// A process that sleeps, after a line of shell.
fn sleeper(line: &str) -> Started {
    Started::spawn(Command::new("sh").args(["-c", &format!("{line} exec sleep 30")]).stdin(Stdio::null()))
}

#[track_caller]
fn row(outcome: &Finished, id: &str) -> (Option<u64>, LimitState, String) {
    let row = outcome.limit(id);
    (row.used, row.state, row.reason.clone().unwrap_or_default())
}

#[test]
fn a_limit_that_is_raised_on_the_way_is_followed() {
    require!(Host, Root, NetworkNamespace, Program("nft"));
    let net = Net::new();
    net.track();
    let _setting = HostSetting::set("/proc/sys/net/netfilter/nf_conntrack_max", "8000");
    let options = "--server --client 127.0.0.1 9900 --ports 2 --target 14k --rate 3k --interval 100ms";
    let mut run = net.run(&format!("{options} --hold 3s --duration 30s"));
    run.until("the guard", |p| p.event("phase/guarded").is_some());
    let forecast = |p: &Printed| p.samples.last().and_then(|s| s.nearest_limit.clone()).and_then(|l| l.connections);
    assert!(forecast(&run.printed()).is_some_and(|n| n <= 8_200), "{:?}", run.printed().samples.last());
    std::fs::write("/proc/sys/net/netfilter/nf_conntrack_max", "20000").unwrap();
    let outcome = run.finish();
    assert_eq!((outcome.code, outcome.peak()), (Some(0), 14_000), "{:#?}", outcome.events);
    assert!(outcome.event("phase/resumed").is_some(), "{:#?}", outcome.events);
    assert!(outcome.event("conntrack_drop").is_none(), "{:#?}", outcome.events);
}

#[test]
fn the_end_of_a_watched_process_is_told_and_ends_its_rows() {
    let mut child = sleeper("");
    let mut run = watch(child.id(), "");
    child.kill().unwrap();
    child.wait().unwrap();
    run.until("its end", |p| p.event("death/").is_some());
    let outcome = run.finish();
    assert_eq!(outcome.assert_event("death/", &["is gone at"]).severity, Severity::Warning);
    assert_eq!(row(&outcome, "nofile"), (None, LimitState::Unknown, "the process has ended".into()));
    assert_eq!(outcome.code, Some(4));
}

fn told_of_an_oom_kill(version: Version) {
    let group = Cgroup::memory(version, "killed", 20 << 20, None);
    let line = format!("{}; read line; exec tail /dev/zero;", group.join());
    let mut child = Started::spawn(Command::new("sh").args(["-c", &line]).stdin(Stdio::piped()));
    let mut run = watch(child.id(), "");
    // It takes memory once its input is at its end.
    drop(child.stdin.take());
    child.wait().unwrap();
    run.until("its end", |p| p.event("death/").is_some());
    let text = "was killed by the kernel's OOM killer at 0 connections: memory cgroup /c1m-top-";
    assert_eq!(run.interrupt().assert_event("death/", &[text]).severity, Severity::Critical);
}

both_versions!(
    told_of_an_oom_kill,
    a_watched_process_that_the_oom_killer_takes_is_told_as_such_in_version_1,
    a_watched_process_that_the_oom_killer_takes_is_told_as_such_in_version_2
);

fn row_ends_with_its_cgroup(version: Version) {
    let group = Cgroup::memory(version, "removed", 200 << 20, None);
    let mut child = sleeper(&format!("{};", group.join()));
    let mut run = watch(child.id(), "--duration 20s");
    group.move_up(child.id());
    drop(group);
    run.until("samples afterwards", |p| p.samples.len() > 8);
    let outcome = run.interrupt();
    child.kill().unwrap();
    child.wait().unwrap();
    let (used, state, reason) = row(&outcome, "memcg");
    assert_eq!((used, state), (None, LimitState::NotApplicable), "{reason}");
    assert_eq!(reason, "no limit in any cgroup", "it is in the root now");
}

both_versions!(
    row_ends_with_its_cgroup,
    a_cgroup_of_version_1_that_is_removed_ends_its_row,
    a_cgroup_of_version_2_that_is_removed_ends_its_row
);

/// In a pid namespace of its own, where the next number can be chosen.
#[test]
fn a_number_that_another_process_takes_is_not_the_one_watched() {
    require!(NextPid);
    // A thread of the dashboard may be quicker.
    let script = "sleep 30 >/dev/null & first=$!
        \"$0\" --attach $first --duration 2s --interval 100ms --output json & dashboard=$!
        sleep 0.7; kill -9 $first; wait $first
        for i in 1 2 3 4 5 6 7 8 9 10; do
            echo $((first - 1)) > /proc/sys/kernel/ns_last_pid || exit 77
            sleep 31 >/dev/null & second=$!
            [ $first = $second ] && break
            kill $second
        done
        wait $dashboard; status=$?
        kill $second
        [ $first = $second ] || exit 77
        exit $status";
    let mut command = Command::new("unshare");
    let run =
        Run::spawn(command.args("--pid --fork --mount-proc --kill-child sh -c".split(' ')).args([script, BINARY]));
    let outcome = run.finish();
    assert_eq!(outcome.code, Some(4), "77: the number could not be chosen: {}", outcome.stderr);
    outcome.assert_event("death/sleep/", &["is gone at"]);
    assert_eq!(row(&outcome, "nofile"), (None, LimitState::Unknown, "the process has ended".into()));
}
