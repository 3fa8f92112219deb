//! What changes or goes away while it is watched: a limit that is raised, a process that ends or whose number another one
//! takes, a cgroup that is removed.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

#[expect(dead_code, unreachable_pub, unused_imports, reason = "shared with the benchmark and other tests")]
mod scenario;

use std::process::{Child, Command, Stdio};

use c1m_top::model::{LimitState, Severity, Summary};
use scenario::{Cgroup, Net, Outcome, Run, Skipped, Undo};

/// The program.
const BINARY: &str = env!("CARGO_BIN_EXE_c1m-top");

/// Says so where a test cannot be run here.
fn or_skip(outcome: Result<(), Skipped>) {
    if let Err(why) = outcome {
        eprintln!("skipped: {why}");
    }
}

/// A dashboard that watches `pid`.
fn watch(pid: u32, options: &str) -> Run {
    let mut command = Command::new(BINARY);
    command.args(["--attach", &pid.to_string(), "--output", "json", "--interval", "100ms"]);
    command.args(options.split_whitespace());
    let mut run = Run::start(command).unwrap();
    run.until(|o| o.samples.len() > 2);
    run
}

/// A process that sleeps, after a line of shell.
fn sleeper(line: &str) -> Child {
    Command::new("sh").args(["-c", &format!("{line} exec sleep 30")]).stdin(Stdio::null()).spawn().unwrap()
}

#[track_caller]
fn row(summary: &Summary, id: &str) -> (Option<u64>, LimitState, String) {
    let row = summary.limits.iter().find(|l| l.id.name() == id).unwrap_or_else(|| panic!("no row {id}: {summary:#?}"));
    (row.used, row.state, row.reason.clone().unwrap_or_default())
}

#[track_caller]
fn told(outcome: &Outcome, id: &str, severity: Severity, part: &str) {
    let event = outcome.event(id).unwrap_or_else(|| panic!("no event {id}: {:#?}", outcome.events));
    eprintln!("{id}: {}", event.text);
    assert!(event.text.contains(part), "'{part}' is not in: {}", event.text);
    assert_eq!(event.severity, severity);
}

#[test]
fn a_limit_that_is_raised_on_the_way_is_followed() {
    or_skip((|| {
        let net = Net::new()?;
        net.sh("nft 'add table inet c1m; add chain inet c1m in { type filter hook input priority 0; }; \
             add rule inet c1m in ct state new,established,related accept'")?;
        let _undo = Undo::sysctl("/proc/sys/net/netfilter/nf_conntrack_max", "8000")?;
        let mut command = net.command(BINARY);
        command.args("--server --client 127.0.0.1 9900 --ports 2 --target 14k --rate 3k --output json".split(' '));
        command.args("--interval 100ms --hold 3s --duration 30s".split(' '));
        let mut run = Run::start(command)?;
        run.until(|o| o.event("phase/guarded").is_some());
        let forecast = |o: &Outcome| o.samples.last().and_then(|s| s.nearest_limit.clone()).and_then(|l| l.connections);
        assert!(forecast(&run.printed()).is_some_and(|n| n <= 8_200), "{:?}", run.printed().samples.last());
        std::fs::write("/proc/sys/net/netfilter/nf_conntrack_max", "20000").map_err(|e| e.to_string())?;
        let outcome = run.finish();
        assert_eq!((outcome.code, outcome.peak()), (Some(0), 14_000), "{:#?}", outcome.events);
        assert!(outcome.event("phase/resumed").is_some(), "{:#?}", outcome.events);
        assert!(outcome.event("conntrack_drop").is_none(), "{:#?}", outcome.events);
        Ok(())
    })());
}

#[test]
fn the_end_of_a_watched_process_is_told_and_ends_its_rows() {
    let mut child = sleeper("");
    let mut run = watch(child.id(), "");
    child.kill().unwrap();
    child.wait().unwrap();
    run.until(|o| o.event("death/").is_some());
    run.interrupt();
    let outcome = run.finish();
    told(&outcome, "death/", Severity::Warning, "is gone at");
    let summary = outcome.summary.as_ref().unwrap();
    assert_eq!(row(summary, "nofile"), (None, LimitState::Unknown, "the process has ended".into()));
    assert_eq!(outcome.code, Some(0));
}

#[test]
fn a_watched_process_that_the_oom_killer_takes_is_told_as_such() {
    or_skip((|| {
        let group = Cgroup::new("memory", "memory.limit_in_bytes", "20M")?;
        let line = format!("echo $$ > {}; read line; exec tail /dev/zero;", group.procs());
        let mut child =
            Command::new("sh").args(["-c", &line]).stdin(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
        let mut run = watch(child.id(), "");
        // It takes memory once its input is at its end.
        drop(child.stdin.take());
        child.wait().map_err(|e| e.to_string())?;
        run.until(|o| o.event("death/").is_some());
        run.interrupt();
        told(
            &run.finish(),
            "death/",
            Severity::Critical,
            "was killed by the kernel's OOM killer at 0 connections: memory cgroup /c1m-top-",
        );
        Ok(())
    })());
}

#[test]
fn a_cgroup_that_is_removed_ends_its_row() {
    or_skip((|| {
        let group = Cgroup::new("memory", "memory.limit_in_bytes", "200M")?;
        let mut child = sleeper(&format!("echo $$ > {};", group.procs()));
        let mut run = watch(child.id(), "--duration 20s");
        let elsewhere = std::fs::write("/sys/fs/cgroup/memory/cgroup.procs", child.id().to_string());
        drop(group);
        run.until(|o| o.samples.len() > 8);
        run.interrupt();
        let outcome = run.finish();
        child.kill().unwrap();
        child.wait().unwrap();
        elsewhere.map_err(|e| e.to_string())?;
        let (used, state, reason) = row(outcome.summary.as_ref().unwrap(), "memcg");
        assert_eq!((used, state), (None, LimitState::NotApplicable), "{reason}");
        assert_eq!(reason, "no limit in any cgroup", "it is in the root now");
        Ok(())
    })());
}

/// In a pid namespace of its own, where the next number can be chosen.
#[test]
fn a_number_that_another_process_takes_is_not_the_one_watched() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.json");
    let script = "sleep 30 & first=$!
        \"$0\" --attach $first --duration 2s --interval 100ms --output json > \"$1\" & dashboard=$!
        sleep 0.7; kill -9 $first; wait $first
        echo $((first - 1)) > /proc/sys/kernel/ns_last_pid || exit 77
        sleep 31 & second=$!
        wait $dashboard; status=$?
        kill $second
        [ $first = $second ] || exit 77
        exit $status";
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", script, BINARY]).arg(&out);
    let status = command.stderr(Stdio::null()).status();
    match status.map(|s| s.code()) {
        Ok(Some(0)) => {}
        Ok(Some(1 | 77)) | Err(_) => {
            return eprintln!("skipped: no pid namespace, or the next number cannot be chosen");
        }
        other => panic!("{other:?}"),
    }
    let text = std::fs::read_to_string(out).unwrap();
    let of = |kind: &str| text.lines().filter(|l| l.contains(&format!("\"kind\":\"{kind}\""))).collect::<Vec<_>>();
    assert!(of("event").iter().any(|l| l.contains("death/sleep/") && l.contains("is gone at")), "{text}");
    let summary: Summary = serde_json::from_str(of("summary")[0]).unwrap();
    assert_eq!(row(&summary, "nofile"), (None, LimitState::Unknown, "the process has ended".into()));
}
