//! The sampler on trees of files as several kernels and set-ups write them (`tests/fixtures/proc-*`).
//!
//! In a tree the size of the plain file `fd` stands for the number of open descriptors.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use c1m_top::limits::LimitId;
use c1m_top::model::{Cause, Model, Setup};
use c1m_top::probe::{Roots, Sampler, Watch};
use c1m_top::sample::{
    Conntrack, FileNr, Kernel, MemCgroup, Neighbours, Own, PidsCgroup, PortRange, Reading, Sample, Sockstat, SoftHard,
    Softnet,
};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn roots(tree: &Path) -> Roots {
    Roots { proc: tree.join("proc"), sys: tree.join("sys") }
}

fn watch(pid: u32) -> Watch {
    Watch::process(pid)
}

fn sampler(tree: &str, pid: u32) -> Sampler {
    Sampler::new(roots(&fixture(tree)), &[watch(pid)]).unwrap()
}

fn sample(tree: &str, pid: u32) -> Kernel {
    sampler(tree, pid).read().0
}

#[track_caller]
fn absent<T: std::fmt::Debug>(reading: &Reading<T>, why: &str) {
    assert_eq!(reading.as_ref().unwrap_err().to_string(), why);
}

/// Bytes of one slab cache, in pages.
fn pages(sample: &Kernel, name: &str) -> Option<u64> {
    let slab = sample.host.slab.as_ref().unwrap();
    slab.iter().find(|cache| cache.name == name).map(|cache| cache.bytes / procfs::page_size())
}

#[test]
fn kernel_4_18_with_cgroups_of_version_1() {
    let (s, own) = sampler("proc-4.18", 4021).read();
    let mem = s.host.mem.as_ref().unwrap();
    assert_eq!((mem.total, mem.s_reclaimable), (16_218_532 * 1024, 700_000 * 1024));
    assert_eq!(s.host.page_size, procfs::page_size());
    assert_eq!(pages(&s, "TCP"), Some(28_572 * 8));
    assert_eq!(pages(&s, "eventpoll_pwq"), Some(3572));
    assert_eq!(pages(&s, "ext4_inode_cache"), None);
    assert_eq!(s.host.reserve_bytes, Ok((20 + 5000 + 15_000) * procfs::page_size()));
    assert_eq!(s.host.files, Ok(FileNr { used: 401_234, max: 1_600_000 }));
    assert_eq!(s.host.oom_kills, Ok(2));
    assert_eq!(s.host.tasks, Ok(385));
    assert_eq!(s.host.softnet, Ok(Softnet { dropped: 1, cores: 2 }));
    absent(&s.host.memory_pressure, "this kernel has no /proc/pressure/memory");

    assert_eq!(s.net.scope, "this");
    let want = Sockstat { used: 400_200, inuse: 400_010, orphan: 3, tw: 12, alloc: 400_020, mem_pages: 120 };
    assert_eq!(s.net.sockstat, Ok(want));
    assert_eq!(s.net.tcp.as_ref().unwrap().curr_estab, 400_000);
    let ext = s.net.ext.as_ref().unwrap();
    assert_eq!((ext.listen_overflows, ext.listen_drops, ext.time_wait_overflow), (7, 9, 5));
    assert_eq!(s.net.conntrack, Ok(Conntrack { count: 4000, max: 65_536, drop: Some(16) }));
    assert_eq!(s.net.tcp_mem, Ok([190_000, 254_000, 380_000]));
    absent(&s.net.ehash_entries, "this kernel has no /proc/sys/net/ipv4/tcp_ehash_entries");

    let target = &s.processes[0];
    assert_eq!((target.name.as_str(), target.alive), ("beam.smp", true));
    assert_eq!(target.cpu_us, Ok(15_450_000));
    assert_eq!(target.rss_bytes, Ok(25_000 * procfs::page_size()));
    assert_eq!(target.threads, Ok(24));
    assert_eq!(target.nofile, Ok(SoftHard { soft: 400_000, hard: 400_000 }));
    absent(&target.descriptors, "this kernel does not count them (Linux 6.2 and later do)");
    let memcg = target.memcg.as_ref().unwrap();
    let nearest = MemCgroup {
        path: "/system.slice/ejabberd.service".into(),
        dir: "/sys/fs/cgroup/memory/system.slice/ejabberd.service".into(),
        version: 1,
        used: 3_000_000_000,
        limit: Some(4_294_967_296),
        with_swap: None,
        file_bytes: 1500,
        oom_kills: 3,
        max_hits: 17,
    };
    assert_eq!(memcg[0], nearest);
    let above: Vec<_> = memcg[1..].iter().map(|cg| (cg.path.as_str(), cg.limit, cg.used)).collect();
    assert_eq!(above, [("/system.slice", None, 3_300_000_000), ("/", None, 3_500_000_000)]);
    assert_eq!(
        target.pids_cgroups,
        Ok(vec![PidsCgroup { dir: "/sys/fs/cgroup/pids/system.slice".into(), used: 60, limit: 4000 }])
    );
    assert_eq!(own.rss_bytes, 2048 * procfs::page_size());
}

#[test]
fn kernel_5_15_with_cgroups_of_version_2() {
    let s = sample("proc-5.15", 4021);
    assert_eq!(s.host.memory_pressure, Ok(1.25));
    assert_eq!(s.host.files.as_ref().unwrap().max, i64::MAX as u64);
    assert_eq!(pages(&s, "anon_vma_chain"), Some(188), "may hold eventpoll_pwq: there is no sysfs to ask");
    assert_eq!(s.net.ports, Ok(PortRange { low: 1024, high: 65_535, reserved: 101 }));
    assert_eq!(s.net.inuse6, Ok(100));
    assert_eq!(s.net.syncookies, Ok(1));
    let neighbours = Neighbours { entries: 1102, table_fulls: 3, max: Some(1024) };
    assert_eq!(s.host.neighbours[0], Ok(neighbours));
    assert_eq!(s.host.neighbours[1].as_ref().unwrap_err().to_string(), "not in this network namespace");
    assert!(s.host.log.is_err(), "the log is of the machine that the test runs on");
    assert_eq!(s.net.conntrack, Ok(Conntrack { count: 20_000, max: 20_000, drop: Some(32) }));
    let target = &s.processes[0];
    assert_eq!(target.name, "tmux: server");
    assert_eq!(target.user_threads, Ok(None), "unlimited");
    // The root counts nothing and is not in the list.
    let memcg: Vec<_> =
        target.memcg.as_ref().unwrap().iter().map(|cg| (cg.path.as_str(), cg.limit, cg.file_bytes)).collect();
    let want = [
        ("/user.slice/user-1000.slice/session-3.scope", None, 12_288),
        ("/user.slice/user-1000.slice", Some(400_000_000), 122_880),
        ("/user.slice", None, 140_000),
    ];
    assert_eq!(memcg, want);
    let limited = &target.memcg.as_ref().unwrap()[1];
    assert_eq!((limited.version, limited.oom_kills, limited.max_hits), (2, 2, 12));
    assert_eq!(
        target.pids_cgroups,
        Ok(vec![PidsCgroup { dir: "/sys/fs/cgroup/user.slice/user-1000.slice".into(), used: 40, limit: 10_813 }])
    );
}

#[test]
fn a_target_in_another_network_namespace_decides_what_is_read() {
    let elsewhere = "set in the watched process's network namespace, not visible from this one";
    let tree = roots(&fixture("proc-5.15"));
    let mut alone = Sampler::new(tree.clone(), &[]).unwrap();
    assert_eq!(alone.read().0.net.sockstat.unwrap().inuse, 20_010);
    let mut sampler = Sampler::new(tree, &[watch(5000), watch(4021)]).unwrap();
    let s = sampler.read().0;
    assert_eq!(s.net.scope, "of 5000");
    assert_eq!(
        (s.net.sockstat.unwrap().inuse, s.net.tcp.unwrap().curr_estab, s.net.ext.unwrap().listen_drops),
        (7, 7, 1)
    );
    absent(&s.net.inuse6, "IPv6 is switched off");
    // Entries and drops are the namespace's, the maximum is the machine's.
    assert_eq!(s.net.conntrack, Ok(Conntrack { count: 0x1f, max: 20_000, drop: Some(2) }));
    assert_eq!(s.net.tcp_mem, Ok([93_000, 124_000, 186_000]));
    assert_eq!(s.net.max_orphans, Ok(32_768));
    absent(&s.net.ports, elsewhere);
    absent(&s.net.listeners, "the process has ended");
    for sysctl in [&s.net.max_tw, &s.net.somaxconn, &s.net.max_syn_backlog, &s.net.ehash_entries] {
        absent(sysctl, elsewhere);
    }
    assert_eq!(s.processes[0].memcg, Ok(vec![]), "in the root cgroup, which counts nothing");
}

#[test]
fn kernel_6_1_hybrid_without_conntrack() {
    let s = sample("proc-6.1-hybrid", 4021);
    absent(&s.net.conntrack, "connection tracking is not loaded");
    absent(&s.net.inuse6, "IPv6 is switched off");
    assert_eq!(s.net.ports.unwrap().usable(), 28_231);
    let target = &s.processes[0];
    assert_eq!(target.name, "a) Z (b");
    let memcg = target.memcg.as_ref().unwrap();
    assert_eq!((memcg[0].path.as_str(), memcg[0].version, memcg[0].limit), ("/lxc", 1, Some(104_857_600)));
    assert_eq!(memcg.len(), 2);
    assert_eq!(target.pids_cgroups, Ok(vec![]));
}

#[test]
fn kernel_6_18_with_merged_slab_caches() {
    let s = sample("proc-6.18", 4021);
    assert_eq!(pages(&s, "anon_vma_chain"), Some(9860), "holds eventpoll_pwq, says sysfs");
    assert_eq!(pages(&s, "seq_file"), None);
    assert_eq!(pages(&s, "kmalloc-cg-64"), Some(2));
    assert_eq!(s.net.ehash_entries, Ok(262_144));
    assert_eq!(s.net.conntrack.unwrap().count, 0);
    assert_eq!(s.processes[0].descriptors, Ok(268));
    assert_eq!(
        s.processes[0].pids_cgroups,
        Ok(vec![PidsCgroup { dir: "/sys/fs/cgroup/pids/run".into(), used: 30, limit: 500 }])
    );
}

#[test]
fn a_container_sees_its_own_part() {
    let s = sample("proc-container", 1);
    absent(&s.host.slab, "this kernel has no /proc/slabinfo");
    absent(&s.net.tcp_mem, "not in this network namespace");
    absent(&s.net.max_orphans, "not in this network namespace");
    assert_eq!(s.net.ehash_entries, Ok(262_144), "shared with the first namespace, so written as negative");
    let top = &s.processes[0].memcg.as_ref().unwrap()[0];
    assert_eq!((top.path.as_str(), top.limit, top.oom_kills, top.max_hits), ("/", Some(536_870_912), 1, 3));
    assert_eq!(s.processes[0].pids_cgroups, Ok(vec![PidsCgroup { dir: "/sys/fs/cgroup".into(), used: 4, limit: 100 }]));

    let outside = sample("proc-container", 8);
    absent(&outside.processes[0].memcg, "its cgroup is not visible from here");
    absent(&outside.processes[0].nofile, "the process has ended");
}

#[test]
fn broken_files_are_absent_with_a_reason_that_names_them() {
    let (s, own) = sampler("proc-broken", 4021).read();
    absent(&s.host.mem, "lacks Active(file) (/proc/meminfo)");
    absent(&s.host.slab, "cut short (/proc/slabinfo)");
    absent(&s.host.reserve_bytes, "not a number (/proc/zoneinfo)");
    absent(&s.host.files, "cut short (/proc/sys/fs/file-nr)");
    absent(&s.host.nr_open, "not a number (/proc/sys/fs/nr_open)");
    absent(&s.host.max_user_watches, "not a number (/proc/sys/fs/epoll/max_user_watches)");
    absent(&s.host.oom_kills, "this kernel does not count OOM kills (/proc/vmstat)");
    absent(&s.host.memory_pressure, "has no figure for the last 10 s (/proc/pressure/memory)");
    absent(&s.host.softnet, "cut short (/proc/net/softnet_stat)");
    absent(&s.net.sockstat, "has no whole TCP line (/proc/net/sockstat)");
    absent(&s.net.tcp, "cut short (/proc/net/snmp)");
    absent(&s.net.ports, "not a range (/proc/sys/net/ipv4/ip_local_port_range)");
    absent(&s.processes[0].nofile, "cut short (/proc/4021/limits)");
    absent(&s.processes[0].memcg, "its cgroup is not listed");
    assert!(s.host.threads_max.is_err() && s.host.pid_max.is_err());
    assert!(s.host.tasks.is_err() && s.net.inuse6.is_err() && s.net.ext.is_err() && s.net.conntrack.is_err());
    assert!(s.net.tcp_mem.is_err() && s.net.max_tw.is_err() && s.net.max_orphans.is_err());
    assert!(s.net.somaxconn.is_err() && s.net.max_syn_backlog.is_err() && s.net.ehash_entries.is_err());
    assert_eq!(own.rss_bytes, 0);
}

#[test]
fn a_process_that_is_not_there_is_refused() {
    let tree = roots(&fixture("proc-6.18"));
    let why = Sampler::new(tree, &[watch(4022)]).unwrap_err().to_string();
    assert_eq!(why, "there is no process 4022");
}

#[test]
fn what_a_dead_process_leaves_is_still_read() {
    let (dir, _) = copy("proc-4.18");
    let mut sampler = Sampler::new(roots(dir.path()), &[watch(4021)]).unwrap();
    assert!(sampler.read().0.processes[0].alive);
    end(dir.path(), 4021);
    let s = sampler.read().0;
    let target = &s.processes[0];
    assert!(!target.alive);
    for reading in [&target.rss_bytes, &target.cpu_us, &target.threads, &target.descriptors] {
        absent(reading, "the process has ended");
    }
    absent(&target.nofile, "the process has ended");
    assert_eq!(target.memcg.as_ref().unwrap()[0].oom_kills, 3, "who killed it is written there");
}

/// Has a process end: a zombie of one thread.
fn end(tree: &Path, pid: u32) {
    let stat = tree.join(format!("proc/{pid}/stat"));
    let text = std::fs::read_to_string(&stat).unwrap();
    let ended = text.replace(") S ", ") Z ").replace(" 20 0 24 0 ", " 20 0 1 0 ");
    assert_ne!(ended, text);
    std::fs::write(stat, ended).unwrap();
}

/// A copy that a test may change.
fn copy(tree: &str) -> (tempfile::TempDir, Vec<PathBuf>) {
    fn walk(from: &Path, to: &Path, files: &mut Vec<PathBuf>) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let from = entry.unwrap().path();
            let to = to.join(from.file_name().unwrap());
            let kind = from.symlink_metadata().unwrap();
            if kind.is_symlink() {
                std::os::unix::fs::symlink(std::fs::read_link(&from).unwrap(), to).unwrap();
            } else if kind.is_dir() {
                walk(&from, &to, files);
            } else {
                std::fs::copy(&from, &to).unwrap();
                files.push(to);
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    walk(&fixture(tree), dir.path(), &mut files);
    (dir, files)
}

#[test]
fn a_process_moved_to_another_cgroup_is_followed() {
    let (dir, _) = copy("proc-4.18");
    let mut sampler = Sampler::new(roots(dir.path()), &[watch(4021)]).unwrap();
    assert_eq!(sampler.read().0.processes[0].memcg.as_ref().unwrap().len(), 3);
    std::fs::write(dir.path().join("proc/4021/cgroup"), "12:memory:/system.slice\n11:pids:/\n").unwrap();
    let s = sampler.read().0;
    assert_eq!(s.processes[0].memcg.as_ref().unwrap()[0].path, "/system.slice");
    assert_eq!(s.processes[0].pids_cgroups, Ok(vec![]));
}

/// What is left counts, not how near the cgroup is: a service of 4,096 tasks in a slice that has room for 10 more.
#[test]
fn every_cgroup_that_limits_tasks_is_told() {
    for (tree, service, slice) in [
        ("proc-4.18", "pids/system.slice/ejabberd.service", "pids/system.slice"),
        ("proc-6.1-v2", "system.slice/ejabberd.service", "system.slice"),
    ] {
        let (dir, _) = copy(tree);
        let mut sampler = Sampler::new(roots(dir.path()), &[watch(4021)]).unwrap();
        for (group, limit, used) in [(service, "4096\n", "25\n"), (slice, "70\n", "60\n")] {
            let files = dir.path().join("sys/fs/cgroup").join(group);
            std::fs::write(files.join("pids.max"), limit).unwrap();
            std::fs::write(files.join("pids.current"), used).unwrap();
        }
        let s = sampler.read().0;
        assert_eq!(
            s.processes[0].pids_cgroups.as_ref().unwrap().iter().map(|g| g.limit).collect::<Vec<_>>(),
            [4096, 70]
        );
        let mut model = Model::new(Setup { target: Some(200_000), ..Setup::default() });
        model.update(&Sample::join(Duration::ZERO, s, Vec::new(), Own::default()));
        let threads = model.limits().iter().find(|l| l.info.id == LimitId::Threads).unwrap();
        assert_eq!((threads.scope.as_str(), threads.used, threads.limit), ("cgroup", Some(60), Some(70)), "{tree}");
        assert!(threads.cure.to_string().contains(&format!("> /sys/fs/cgroup/{slice}/pids.max")), "{}", threads.cure);
    }
}

#[test]
fn a_zombie_has_ended() {
    let (dir, _) = copy("proc-6.1-hybrid");
    let mut sampler = Sampler::new(roots(dir.path()), &[watch(4021)]).unwrap();
    let stat = dir.path().join("proc/4021/stat");
    let text = std::fs::read_to_string(&stat).unwrap();
    std::fs::write(&stat, text.replace(") S 1", ") Z 1").replace(" 20 0 2 0 9 ", " 20 0 1 0 9 ")).unwrap();
    let s = sampler.read().0;
    assert!(!s.processes[0].alive);
    absent(&s.processes[0].rss_bytes, "the process has ended");
}

#[test]
fn only_a_line_of_meminfo_that_is_used_can_cost_the_memory() {
    let (dir, _) = copy("proc-4.18");
    let file = dir.path().join("proc/meminfo");
    let whole = std::fs::read_to_string(&file).unwrap();
    let mut sampler = Sampler::new(roots(dir.path()), &[]).unwrap();
    let mem = sampler.read().0.host.mem.unwrap();
    let mut without = |names: &[&str]| {
        let kept = whole.lines().filter(|line| !names.iter().any(|name| line.starts_with(&format!("{name}:"))));
        std::fs::write(&file, kept.collect::<Vec<_>>().join("\n")).unwrap();
        sampler.read().0.host.mem
    };
    assert_eq!(
        without(&["MemAvailable", "Buffers", "Cached", "Shmem", "SUnreclaim", "PageTables", "SwapFree"]),
        Ok(mem)
    );
    absent(&without(&["SReclaimable"]), "lacks SReclaimable (/proc/meminfo)");
    absent(&without(&["Inactive(file)", "Slab"]), "lacks Inactive(file) (/proc/meminfo)");
}

/// Within two seconds of the first sample: each hint alone has to bring the new values.
#[test]
fn what_is_set_is_read_anew_when_asked_for_and_when_something_was_refused() {
    let (dir, _) = copy("proc-5.15");
    let file = |path: &str| dir.path().join(path);
    let set = |path: &str, text: &str| std::fs::write(file(path), text).unwrap();
    let mut sampler = Sampler::new(roots(dir.path()), &[watch(4021)]).unwrap();
    let before = sampler.read().0;
    assert_ne!(before.net.somaxconn, Ok(65_535));

    set("proc/sys/net/core/somaxconn", "65535\n");
    set("proc/sys/net/netfilter/nf_conntrack_max", "1048576\n");
    set("proc/sys/fs/file-nr", "1 0 777\n");
    let limits = std::fs::read_to_string(file("proc/4021/limits")).unwrap();
    let soft = before.processes[0].nofile.as_ref().unwrap().soft;
    set(
        "proc/4021/limits",
        &limits.replace(&format!("Max open files            {soft} "), "Max open files            4321 "),
    );
    assert_eq!(sampler.read().0.host.files.unwrap().max, 777, "comes with what is counted");

    let netstat = std::fs::read_to_string(file("proc/net/netstat")).unwrap();
    let overflows = netstat.lines().next().unwrap().split(' ').position(|name| name == "ListenOverflows").unwrap();
    let risen = netstat.lines().enumerate().map(|(i, line)| {
        let mut words: Vec<_> = line.split(' ').collect();
        if i == 1 {
            words[overflows] = "4711";
        }
        words.join(" ") + "\n"
    });
    set("proc/net/netstat", &risen.collect::<String>());
    let refused = sampler.read().0;
    assert_eq!((refused.net.somaxconn, refused.net.conntrack.unwrap().max), (Ok(65_535), 1_048_576));

    set("proc/sys/fs/nr_open", "2000000\n");
    sampler.refresh();
    let asked = sampler.read().0;
    assert_eq!((asked.host.nr_open, asked.processes[0].nofile.as_ref().unwrap().soft), (Ok(2_000_000), 4321));
}

#[test]
fn two_processes_of_one_cgroup_read_alike_and_one_that_is_moved_reads_its_own() {
    let (dir, _) = copy("proc-6.1-v2");
    let home = |pid: u32| dir.path().join(format!("proc/{pid}"));
    std::fs::create_dir(home(4022)).unwrap();
    for file in ["cgroup", "limits", "stat"] {
        std::fs::copy(home(4021).join(file), home(4022).join(file)).unwrap();
    }
    let mut sampler = Sampler::new(roots(dir.path()), &[watch(4021), watch(4022)]).unwrap();
    let s = sampler.read().0;
    assert_eq!(s.processes[0].memcg.as_ref().unwrap().len(), 2);
    assert_eq!(
        (&s.processes[0].memcg, &s.processes[0].pids_cgroups),
        (&s.processes[1].memcg, &s.processes[1].pids_cgroups)
    );
    end(dir.path(), 4022);
    std::fs::write(dir.path().join("proc/4021/cgroup"), "0::/system.slice\n").unwrap();
    let s = sampler.read().0;
    assert_eq!(s.processes[0].memcg.as_ref().unwrap()[0].path, "/system.slice");
    assert_eq!(s.processes[1].memcg.as_ref().unwrap()[0].path, "/system.slice/ejabberd.service", "where it was killed");
}

/// Debian 12 with cgroups of version 2 alone: a server of 400 MiB, before and after the OOM killer took it.
#[test]
fn a_kill_in_a_cgroup_of_version_2_is_told_from_its_files() {
    let (dir, _) = copy("proc-6.1-v2");
    let mut sampler = Sampler::new(roots(dir.path()), &[watch(4021)]).unwrap();
    let (before, own) = sampler.read();
    let service = MemCgroup {
        path: "/system.slice/ejabberd.service".into(),
        dir: "/sys/fs/cgroup/system.slice/ejabberd.service".into(),
        version: 2,
        used: 418_963_456,
        limit: Some(419_430_400),
        with_swap: None,
        file_bytes: 524_288 + 393_216,
        oom_kills: 0,
        max_hits: 37,
    };
    let memcg = before.processes[0].memcg.clone().unwrap();
    assert_eq!(memcg[0], service);
    // The root has memory.stat, and counts nothing.
    assert_eq!(
        (memcg[1].path.as_str(), memcg[1].limit, memcg[1].oom_kills, memcg.len()),
        ("/system.slice", None, 2, 2)
    );
    let pids = PidsCgroup { dir: service.dir.clone(), used: 24, limit: 4644 };
    assert_eq!(before.processes[0].pids_cgroups, Ok(vec![pids]));
    assert_eq!(before.host.oom_kills, Ok(2));

    overwrite(&fixture("proc-6.1-v2-killed"), dir.path());
    let after = sampler.read().0;
    assert!(!after.processes[0].alive, "a zombie, nobody has waited for it yet");
    let killed = &after.processes[0].memcg.as_ref().unwrap()[0];
    assert_eq!((killed.path.as_str(), killed.oom_kills, killed.max_hits), (service.path.as_str(), 1, 1204));
    assert_eq!(after.host.oom_kills, Ok(3), "read anew, because a process has ended");

    let mut model = Model::new(Setup { target: Some(200_000), ..Setup::default() });
    for (at, kernel) in [before, after].into_iter().enumerate() {
        model.update(&Sample::join(Duration::from_secs(at as u64), kernel, Vec::new(), own));
        if at == 0 {
            let row = |id| model.limits().iter().find(|l| l.info.id == id).unwrap();
            assert_eq!(
                (row(LimitId::Memcg).used, row(LimitId::Memcg).limit),
                (Some(service.used - service.file_bytes), service.limit)
            );
            let cure = &row(LimitId::Memcg).cure;
            assert!(cure.to_string().contains("> /sys/fs/cgroup/system.slice/ejabberd.service/memory.max"), "{cure}");
        }
    }
    model.note_death(4021, Cause::Signal(9));
    let cgroup = Some("/system.slice/ejabberd.service".to_owned());
    assert_eq!(model.deaths()[0].cause, Cause::OomKilled { cgroup });
    let told = model.events().all().iter().find(|e| e.text.contains("OOM killer")).unwrap().text.clone();
    for part in ["memory cgroup /system.slice/ejabberd.service", "400 MiB", "RSS was 35.2 MiB"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

/// Writes every file of `tree` into the copy of its twin, which a sampler may have open.
fn overwrite(tree: &Path, copy: &Path) {
    for entry in std::fs::read_dir(tree).unwrap() {
        let from = entry.unwrap().path();
        let to = copy.join(from.file_name().unwrap());
        let kind = from.symlink_metadata().unwrap();
        if kind.is_dir() {
            overwrite(&from, &to);
        } else if kind.is_file() {
            // In place: a new file would be another one.
            std::fs::write(to, std::fs::read(from).unwrap()).unwrap();
        }
    }
}

/// Any content of any file, at opening and while open, is a value or a reason and never a panic; and other files are
/// read as before.
#[test]
fn no_content_of_any_file_breaks_a_sample() {
    for tree in ["proc-6.18", "proc-5.15"] {
        let (dir, files) = copy(tree);
        let roots = roots(dir.path());
        let watched = [watch(4021)];
        let mut kept = Sampler::new(roots.clone(), &watched).unwrap();
        for file in files {
            let good = std::fs::read(&file).unwrap();
            let half = &good[..good.len() / 2];
            let digits = good.iter().map(|b| if b.is_ascii_digit() { b'9' } else { *b }).collect::<Vec<_>>();
            let wide = String::from_utf8_lossy(&good).replace(' ', " 18446744073709551615 ");
            let binary: Vec<u8> = (0..=255).cycle().take(40_000).collect();
            let huge = good.repeat(100_000 / good.len().max(1));
            for bad in [b"", half, b"\n\n\n", b"-1\n", &digits, wide.as_bytes(), &binary, &huge] {
                std::fs::write(&file, bad).unwrap();
                kept.read();
                if let Ok(mut fresh) = Sampler::new(roots.clone(), &watched) {
                    fresh.read();
                }
            }
            std::fs::write(&file, &good).unwrap();
        }
        let (after, _) = kept.read();
        assert!(after.host.mem.is_ok() && after.net.sockstat.is_ok() && after.processes[0].memcg.is_ok());
    }
}
