//! The harness itself: that it fails where it must, skips only what it may, and leaves nothing.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail it by panicking")]

mod support;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use support::{
    Controller, Home, HostSetting, Need, Run, Started, Version, hierarchy, is_running, permits, poll, run_again,
    wait_until, without_privilege,
};

/// What `body` says when it panics, which it must.
#[track_caller]
fn panic_of<T>(body: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(body)).err().expect("a panic");
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap()
}

/// Set, to the name of the test, where a test is run by itself to see what becomes of it.
const INSIDE: &str = "C1M_TOP_TEST_OF_THE_HARNESS";

/// Whether this is that inner run.
fn is_inner_run(name: &str) -> bool {
    std::env::var(INSIDE).is_ok_and(|inside| inside == name)
}

/// Runs a test as an inner run, with these rings and no other.
fn inner_run(name: &str, variables: &[&str]) -> Output {
    let mut test = Command::new(std::env::current_exe().unwrap());
    for ring in ["C1M_TEST_HOST", "C1M_TEST_STRICT", "C1M_TEST_LONG"] {
        test.env_remove(ring);
    }
    test.args(["--exact", name, "--nocapture"]).env(INSIDE, name);
    test.envs(variables.iter().map(|v| (*v, "1"))).output().unwrap()
}

fn text(out: &Output) -> String {
    [&out.stdout[..], &out.stderr].concat().iter().map(|b| char::from(*b)).collect()
}

/// A program that prints these lines.
fn printing(lines: &str) -> Run {
    Run::spawn(Command::new("printf").args(["%s\\n", lines]))
}

#[test]
fn a_line_that_is_not_of_the_programs_output_fails() {
    const EVENT: &str = r#"{"kind":"event","t_ms":1,"severity":"info","id":"a","text":"b","count":1}"#;
    let good = printing(EVENT).finish();
    assert_eq!((good.events.len(), good.code), (1, Some(0)));
    for (lines, part) in [
        (format!("{EVENT}\nthread panicked"), "thread panicked"),
        (format!("{EVENT}\n"), "EOF"),
        (format!("{EVENT}\n{{\"kind\":\"surprise\"}}"), "surprise"),
        (format!("{EVENT}\n{{\"kind\":\"sample\"}}"), "missing field"),
        (format!("{EVENT}\n{{\"kind\":\"event\",\"t_ms\":-1}}"), "-1"),
    ] {
        let said = panic_of(|| printing(&lines).finish());
        assert!(said.contains(part), "{lines}: {said}");
        let said = panic_of(|| printing(&lines).until("the end", |_| false));
        assert!(said.contains(part), "{lines}: {said}");
    }
    // A real summary, twice.
    let real = support::program().args("--duration 100ms --interval 100ms --output json".split(' ')).output().unwrap();
    let real = String::from_utf8(real.stdout).unwrap();
    let said = panic_of(|| printing(&format!("{real}{EVENT}")).finish());
    assert!(said.contains("after the summary"), "{said}");
}

#[test]
fn waiting_fails_with_what_was_waited_for() {
    let mut looks = 0;
    assert_eq!(poll(Duration::ZERO, || (looks > 3).then_some(())), None);
    let seen = wait_until("a third look", || {
        looks += 1;
        (looks == 3).then_some(looks)
    });
    assert_eq!(seen, 3);
    let said = panic_of(|| support::wait_within(Duration::ZERO, "Godot", || None::<()>));
    assert!(said.contains("in vain: Godot"), "{said}");
    let said =
        panic_of(|| Run::start("--duration 100ms --interval 100ms").until("a million", |p| p.peak() > 1_000_000));
    assert!(said.contains("ended before: a million"), "{said}");
    let said = panic_of(|| Run::start("--interval 0").until("a sample", |p| !p.samples.is_empty()));
    assert!(said.contains("--interval"), "shows what it wrote to standard error: {said}");
    let said = panic_of(|| Run::start("--interval 0").engines(true, true));
    assert!(said.contains("ended before: the engines") && said.contains("--interval"), "{said}");
    let said = panic_of(|| Run::start("--interval 0").finish().summary().elapsed_s);
    assert!(said.contains("no summary"), "{said}");
}

#[test]
fn a_need_that_nothing_meets() {
    if is_inner_run("a_need_that_nothing_meets") {
        require!(Program("no-such-program"));
        panic!("it has been met");
    }
    let plain = inner_run("a_need_that_nothing_meets", &[]);
    assert!(plain.status.success(), "{}", text(&plain));
    assert!(text(&plain).contains("skipped: a_need_that_nothing_meets: no-such-program is not installed"));
    let strict = inner_run("a_need_that_nothing_meets", &["C1M_TEST_STRICT"]);
    assert!(
        !strict.status.success() && text(&strict).contains("C1M_TEST_STRICT=1 does not permit"),
        "{}",
        text(&strict)
    );
}

#[test]
fn a_need_whose_skip_is_permitted() {
    if is_inner_run("a_need_whose_skip_is_permitted") {
        require!(Long);
        println!("it has been met");
        return;
    }
    for (variables, met) in [
        (&[][..], false),
        (&["C1M_TEST_STRICT"], false),
        (&["C1M_TEST_LONG"], true),
        (&["C1M_TEST_STRICT", "C1M_TEST_LONG"], true),
    ] {
        let out = inner_run("a_need_whose_skip_is_permitted", variables);
        assert!(out.status.success(), "{variables:?}: {}", text(&out));
        assert_eq!(text(&out).contains("it has been met"), met, "{variables:?}");
        assert_eq!(text(&out).contains("skipped: a_need_whose_skip_is_permitted: C1M_TEST_LONG=1"), !met);
    }
}

/// Source files below a directory.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let (dirs, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|x| x == "rs"));
    files.chain(dirs.iter().filter(|dir| !dir.ends_with("fixtures")).flat_map(|dir| sources(dir))).collect()
}

#[test]
fn no_test_skips_but_by_what_it_requires() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut saying = [sources(&root.join("src")), sources(&root.join("tests"))].concat();
    saying.retain(|path| fs::read_to_string(path).unwrap().contains("\"skipped: "));
    saying.sort();
    // The harness and its test: of any other C1M_TEST_STRICT=1 would not hear.
    let harness = ["tests/harness.rs", "tests/support/process.rs", "tests/support/require.rs"];
    assert_eq!(saying, harness.map(|path| root.join(path)));
}

#[test]
fn the_list_of_permitted_skips_holds_need_and_reason() {
    let v2 = Need::Cgroup(Controller::Memory, Version::V2);
    assert!(permits(v2, "memory is a controller of version 1 here").is_some());
    assert_eq!(permits(v2, "no cgroup hierarchy has the controller memory"), None);
    assert_eq!(permits(Need::Root, "memory is a controller of version 1 here"), None);
    assert_eq!(permits(Need::Host, &Need::Host.missing().unwrap_or_default()), None);
}

/// A setting that harms nobody: for how many microseconds the kernel takes packets in one go, 8000 by default.
const FILE: &str = "/proc/sys/net/core/netdev_budget_usecs";

#[test]
fn a_setting_of_the_machine_needs_consent() {
    if is_inner_run("a_setting_of_the_machine_needs_consent") {
        let _setting = HostSetting::set(FILE, "8003");
        return;
    }
    let before = fs::read_to_string(FILE).unwrap();
    let out = inner_run("a_setting_of_the_machine_needs_consent", &[]);
    assert!(!out.status.success() && text(&out).contains("requires Host"), "{}", text(&out));
    assert_eq!(fs::read_to_string(FILE).unwrap(), before);
}

#[test]
fn a_setting_is_put_back_whatever_becomes_of_the_test() {
    const NAME: &str = "a_setting_is_put_back_whatever_becomes_of_the_test";
    let now = || fs::read_to_string(FILE).unwrap().trim().to_owned();
    if is_inner_run(NAME) {
        let _setting = HostSetting::set(FILE, "8001");
        println!("set to {}", now());
        // No destructor runs.
        std::process::abort();
    }
    require!(Host, Root);
    let before = now();
    let out = inner_run(NAME, &["C1M_TEST_HOST"]);
    assert!(text(&out).contains("set to 8001") && !out.status.success(), "{}", text(&out));
    wait_until("the value before", || (now() == before).then_some(()));
    let setting = HostSetting::set(FILE, "8002");
    assert_eq!(now(), "8002");
    drop(setting);
    assert_eq!(now(), before);
}

#[test]
fn a_test_that_panics_leaves_no_directory_and_no_process() {
    const NAME: &str = "a_test_that_panics_leaves_no_directory_and_no_process";
    if is_inner_run(NAME) {
        own_namespace!();
        let run = Run::start("--server --listen 127.0.0.1 --ports 1");
        let engine = run.engines(true, false).server.unwrap();
        panic!("home={} dashboard={} engine={engine} end", Home::path().display(), run.pid());
    }
    require!(NetworkNamespace);
    let out = inner_run(NAME, &[]);
    let said = text(&out);
    let word = |key: &str| said.split_once(key).unwrap_or_else(|| panic!("{said}")).1.split(' ').next().unwrap();
    assert!(!out.status.success(), "{said}");
    assert!(word("home=").starts_with("/tmp/c1m-") && !Path::new(word("home=")).exists(), "{said}");
    for pid in ["dashboard=", "engine="].map(|key| word(key).parse().unwrap()) {
        wait_until("the end of what the test started", || (!is_running(pid)).then_some(()));
    }
}

#[test]
fn what_a_test_started_ends_with_it() {
    let mut sleep = Command::new("sleep");
    sleep.arg("60");
    let pid = {
        let started = Started::become_program(&mut sleep, "sleep");
        assert!(is_running(started.id()));
        started.id()
    };
    assert!(!is_running(pid));
    let said = panic_of(|| Started::become_program(Command::new("sh").args(["-c", "exit 3"]), "sleep"));
    assert!(said.contains("ended: Some(ExitStatus(unix_wait_status(768)))"), "{said}");
    let said = panic_of(|| Started::spawn(&mut Command::new("/no/such/program")));
    assert!(said.contains("/no/such/program"), "{said}");
}

/// Set to what the process is called that the inner run leaves behind, and to `yes` where the inner run then stays.
const LEFT: &str = "C1M_TOP_TEST_LEFT_BEHIND";
const STAYS: &str = "C1M_TOP_TEST_STAYS";

#[test]
fn what_a_test_left_behind_ends_with_it_even_when_it_is_killed() {
    const NAME: &str = "what_a_test_left_behind_ends_with_it_even_when_it_is_killed";
    if is_inner_run(NAME) {
        own_processes!();
        // Of another session, and nobody's child: the server that a script starts.
        let line = "(exec setsid bash -c 'exec -a \"$0\" sleep 600' \"$0\" &) >/dev/null 2>&1 </dev/null";
        support::succeed(Command::new("bash").args(["-c", line]).arg(left()));
        wait_until("the process", || is_there(&left()).then_some(()));
        if std::env::var_os(STAYS).is_some() {
            std::thread::sleep(Duration::from_mins(2));
        }
        return;
    }
    require!(Root, PidNamespace);
    for stays in [false, true] {
        let left = format!("left-behind-by-{}-{stays}", std::process::id());
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args(["--exact", NAME, "--nocapture"]).env(INSIDE, NAME).env(LEFT, &left);
        if stays {
            let test = Started::spawn(test.env(STAYS, "yes"));
            wait_until("the process", || is_there(&left).then_some(()));
            // Killed: without a chance to put anything in order.
            drop(test);
        } else {
            let out = test.output().unwrap();
            assert!(out.status.success(), "{}", text(&out));
        }
        wait_until("the end of the process", || (!is_there(&left)).then_some(()));
    }
}

fn left() -> String {
    std::env::var(LEFT).unwrap()
}

/// Whether a process calls itself so.
fn is_there(name: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path().join("cmdline")));
    let mut lines = processes.filter_map(|path| fs::read(path).ok());
    lines.any(|line| line.split(|b| *b == 0).next() == Some(name.as_bytes()))
}

#[test]
fn a_test_that_runs_again_has_been_run() {
    const NAME: &str = "a_test_that_runs_again_has_been_run";
    assert!(!is_inner_run(NAME), "seen");
    let again = || Command::new(std::env::current_exe().unwrap());
    run_again("each_test_has_directories_of_its_own", &mut again());
    let said = panic_of(|| run_again("no_such_test", &mut again()));
    assert!(said.contains("no_such_test is not the full name of a test"), "{said}");
    let said = panic_of(|| run_again(NAME, again().env(INSIDE, NAME)));
    assert!(said.contains("seen"), "{said}");
}

/// What the program run without privilege says of its user, its directory and whether it may write there.
#[test]
fn without_privilege_is_without_any() {
    require!(Program("setpriv"));
    let script = "id -u; id -G; grep -c '^CapEff:.0*$' /proc/self/status; touch \"$XDG_STATE_HOME/x\" && echo written";
    let out = without_privilege(Path::new("/bin/sh")).args(["-c", script]).output().unwrap();
    let said = text(&out);
    let mut lines = said.lines();
    assert!(lines.next().is_some_and(|user| user != "0"), "{said}");
    assert!(lines.next().is_some_and(|groups| !groups.split(' ').any(|group| group == "0")), "{said}");
    assert_eq!(lines.collect::<Vec<_>>(), ["1", "written"], "{said}");
}

#[test]
fn each_test_has_directories_of_its_own() {
    let mine = Home::path();
    assert_eq!(mine, Home::path(), "one for all that a test starts");
    let other = std::thread::spawn(Home::path).join().unwrap();
    assert_ne!(mine, other);
    assert!(mine.join("run").is_dir());
    wait_until("the other's end", || (!other.exists()).then_some(()));
}

/// A tree as the kernel mounts it: these files with these words.
fn tree(files: &[(&str, &str)]) -> PathBuf {
    let root = Home::path().join(format!("cgroup-{}", fs::read_dir(Home::path()).unwrap().count()));
    for (file, words) in files {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, words).unwrap();
    }
    root
}

#[test]
fn cgroups_of_either_version_are_found() {
    let v1 = tree(&[("memory/cgroup.procs", ""), ("pids/cgroup.procs", "")]);
    let v2 = tree(&[("cgroup.controllers", "cpu memory pids\n"), ("cgroup.subtree_control", "memory\n")]);
    let hybrid = tree(&[
        ("memory/cgroup.procs", ""),
        ("unified/cgroup.controllers", "pids"),
        ("unified/cgroup.subtree_control", "pids"),
    ]);
    let none = tree(&[("unified/cgroup.controllers", "hugetlb")]);
    for (root, controller, version, found) in [
        (&v1, Controller::Memory, Version::V1, Ok("memory")),
        (&v1, Controller::Pids, Version::V1, Ok("pids")),
        (&v1, Controller::Memory, Version::V2, Err("memory is a controller of version 1 here")),
        (&v2, Controller::Memory, Version::V2, Ok("")),
        (&v2, Controller::Memory, Version::V1, Err("memory is a controller of version 2 here")),
        (&v2, Controller::Pids, Version::V2, Err("cgroup.subtree_control does not list pids")),
        (&hybrid, Controller::Memory, Version::V1, Ok("memory")),
        (&hybrid, Controller::Pids, Version::V2, Ok("unified")),
        (&none, Controller::Memory, Version::V1, Err("no cgroup hierarchy has the controller memory")),
        (&none, Controller::Memory, Version::V2, Err("no cgroup hierarchy has the controller memory")),
    ] {
        match (hierarchy(root, controller, version), found) {
            (Ok(dir), Ok(below)) => assert_eq!(dir, root.join(below)),
            (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
            (got, wanted) => panic!("{root:?} {controller:?} {version:?}: {got:?}, not {wanted:?}"),
        }
    }
}
