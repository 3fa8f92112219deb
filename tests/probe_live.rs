//! The sampler on the real kernel, held against independent readings.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use c1m_top::probe::{Roots, Sampler, Watch};
use c1m_top::sample::{AcceptQueue, Listeners, Reading};

fn watch(pid: u32) -> Watch {
    Watch::process(pid)
}

/// Ends the process it started, whatever the test does.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first number after `key` in a file, read in another way than the sampler does.
fn number_after(path: &str, key: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(key).unwrap_or_else(|| panic!("{path} has no {key}"));
    let digits: String = rest.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn this_process_on_this_machine() {
    let pid = std::process::id();
    let mut sampler = Sampler::new(Roots::default(), &[watch(pid)]).unwrap();
    let held: Vec<_> = (0..50).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
    let (s, own) = sampler.read();

    let mem = s.host.mem.unwrap();
    assert_eq!(mem.total, number_after("/proc/meminfo", "MemTotal:") * 1024);
    assert!(mem.free <= mem.total && mem.slab <= mem.total && mem.free > 0);
    assert_eq!(s.host.nr_open, Ok(number_after("/proc/sys/fs/nr_open", "")));
    assert!(s.host.reserve_bytes.unwrap() < mem.total);
    assert!(s.host.files.unwrap().used > 0);
    assert!(s.host.tasks.unwrap() > 1);
    assert_eq!(s.host.pid_max, Ok(number_after("/proc/sys/kernel/pid_max", "")));

    assert_eq!(s.net.scope, "this");
    let sockstat = s.net.sockstat.unwrap();
    assert!(sockstat.alloc >= sockstat.inuse.saturating_sub(1), "{sockstat:?}");
    assert!(s.net.tcp.is_ok() && s.net.ext.is_ok());
    let ports = s.net.ports.unwrap();
    assert_eq!(u64::from(ports.low), number_after("/proc/sys/net/ipv4/ip_local_port_range", ""));

    let target = &s.processes[0];
    assert!(target.alive);
    let rss = number_after("/proc/self/status", "VmRSS:") * 1024;
    let read = *target.rss_bytes.as_ref().unwrap();
    assert!(read > rss / 2 && read < rss * 2, "{read} against {rss}");
    assert!(*target.threads.as_ref().unwrap() >= 1);
    let soft = number_after("/proc/self/limits", "Max open files");
    assert_eq!(target.nofile.as_ref().unwrap().soft, soft);
    match &target.descriptors {
        // 50 files, and what the sampler keeps open itself.
        Ok(count) => assert!(*count > held.len() as u64 + 20 && *count < 1000, "{count}"),
        Err(absent) => assert!(absent.to_string().contains("does not count"), "{absent:?}"),
    }
    assert!(own.rss_bytes > 0);
    assert!(sampler.read().1.cpu_us >= own.cpu_us);
}

#[test]
fn a_process_that_ends_is_noticed_and_its_number_is_not_read_again() {
    let mut child = Started(Command::new("sleep").arg("60").spawn().unwrap());
    let pid = child.0.id();
    let mut sampler = Sampler::new(Roots::default(), &[watch(pid)]).unwrap();
    assert!(sampler.read().0.processes[0].alive);
    child.0.kill().unwrap();
    // Not waited for: a zombie, as an engine is until the dashboard has asked for its status.
    let ended = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        !sampler.read().0.processes[0].alive
    });
    assert!(ended, "a zombie counts as ended");
    child.0.wait().unwrap();
    let target = sampler.read().0.processes.remove(0);
    assert!(!target.alive);
    assert_eq!(target.rss_bytes.unwrap_err().to_string(), "the process has ended");
    assert_eq!(target.descriptors.unwrap_err().to_string(), "the process has ended");

    let mut child = Started(Command::new("sleep").arg("60").spawn().unwrap());
    let mut sampler = Sampler::new(Roots::default(), &[watch(child.0.id())]).unwrap();
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    // Gone for good between two samples: the kept file answers ESRCH.
    let target = sampler.read().0.processes.remove(0);
    assert_eq!((target.alive, target.rss_bytes.unwrap_err().to_string().as_str()), (false, "the process has ended"));
}

#[test]
fn the_threads_of_a_user_without_privilege_are_counted_and_those_of_root_are_not() {
    let nobody = || {
        let mut sleep = Command::new("setpriv");
        sleep.args("--reuid=65534 --clear-groups prlimit --nproc=5000:5000 sleep 60".split_whitespace());
        Started(sleep.spawn().unwrap())
    };
    if number_after("/proc/self/status", "Uid:") != 0 {
        return eprintln!("skipped: only root can become another user");
    }
    let ps = || Command::new("ps").args(["-L", "-U", "65534", "-o", "lwp="]).output();
    if ps().is_err() {
        return eprintln!("skipped: ps is not installed");
    }
    let (beside, target) = (nobody(), nobody());
    let becomes_sleep = |pid: u32| {
        (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == "sleep")
        })
    };
    assert!(becomes_sleep(beside.0.id()) && becomes_sleep(target.0.id()));
    let mut sampler = Sampler::new(Roots::default(), &[watch(target.0.id()), watch(std::process::id())]).unwrap();
    let s = sampler.read().0;
    let threads = s.processes[0].user_threads.clone().unwrap().unwrap();
    assert_eq!(threads.used, String::from_utf8_lossy(&ps().unwrap().stdout).lines().count() as u64);
    assert_eq!(threads.limit, 5000);
    assert_eq!(s.processes[1].user_threads, Ok(None), "root is not bound");
}

/// A memory cgroup of 20 MB for one test; removed at the end.
struct Cgroup(std::path::PathBuf);

impl Cgroup {
    fn make() -> Option<Self> {
        let name = format!("probe-test-{}", std::process::id());
        let v1 = std::path::Path::new("/sys/fs/cgroup/memory");
        let (home, limit) = if v1.is_dir() {
            (v1, "memory.limit_in_bytes")
        } else {
            (std::path::Path::new("/sys/fs/cgroup"), "memory.max")
        };
        let dir = home.join(name);
        std::fs::create_dir(&dir).ok()?;
        let this = Self(dir);
        std::fs::write(this.0.join(limit), "20971520").ok()?;
        Some(this)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn a_kill_for_memory_is_counted_after_the_process_is_gone() {
    let Some(cgroup) = Cgroup::make() else {
        eprintln!("skipped: may not make a memory cgroup");
        return;
    };
    // Waits for a line, then wants more than it may have.
    let mut child = Started(
        Command::new("sh")
            .args(["-c", "read line; exec tail /dev/zero"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let pid = child.0.id();
    let mut sampler = Sampler::new(Roots::default(), &[watch(pid)]).unwrap();
    std::fs::write(cgroup.0.join("cgroup.procs"), pid.to_string()).unwrap();
    let before = sampler.read().0.processes[0].memcg.clone().unwrap().remove(0);
    assert!(before.path.contains("probe-test-"), "moved after it was opened: {before:?}");
    assert_eq!((before.limit, before.oom_kills), (Some(20_971_520), 0));

    std::io::Write::write_all(&mut child.0.stdin.take().unwrap(), b"go\n").unwrap();
    let status = child.0.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    let target = sampler.read().0.processes.remove(0);
    assert!(!target.alive);
    let after = target.memcg.unwrap().remove(0);
    assert_eq!((after.path, after.oom_kills), (before.path, 1));
    assert!(after.max_hits > 0);
}

/// A process in a network namespace of its own; `None` where that is not permitted.
fn in_own_namespace() -> Option<Started> {
    // Up to the exec by unshare the child is in the old namespace: it says when it is in the new one.
    let child = Command::new("unshare").args(["-n", "sleep", "60"]).stderr(Stdio::null()).spawn().ok()?;
    let mut child = Started(child);
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    for _ in 0..500 {
        std::thread::sleep(std::time::Duration::from_millis(10));
        if child.0.try_wait().unwrap().is_some() {
            return None;
        }
        let theirs = std::fs::read_link(format!("/proc/{}/ns/net", child.0.id())).ok()?;
        let comm = std::fs::read_to_string(format!("/proc/{}/comm", child.0.id())).ok()?;
        if theirs != own && comm.trim() == "sleep" {
            return Some(child);
        }
    }
    None
}

#[test]
fn the_network_namespace_of_the_target_is_the_one_that_is_read() {
    let Some(child) = in_own_namespace() else {
        eprintln!("skipped: may not make a network namespace (unshare -n)");
        return;
    };
    // Something that this namespace has and the new one has not.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let here = Sampler::new(Roots::default(), &[]).unwrap().read().0.net;
    assert!(here.sockstat.unwrap().inuse >= 1);

    let mut sampler = Sampler::new(Roots::default(), &[]).unwrap();
    sampler.add(&watch(child.0.id())).unwrap();
    let there = sampler.read().0.net;
    assert_eq!(there.scope, format!("of {}", child.0.id()));
    assert_eq!(there.sockstat.unwrap().inuse, 0);
    assert_eq!(there.tcp.unwrap().passive_opens, 0);
    assert_eq!(
        there.somaxconn.unwrap_err().to_string(),
        "set in the target's network namespace, not visible from this one"
    );
    assert_eq!(there.tcp_mem, here.tcp_mem);
    assert!(here.listeners.unwrap().count >= 1);
    assert_eq!(
        there.listeners,
        Ok(Listeners { reading: 1, ..Listeners::default() }),
        "asked inside the other namespace"
    );
    assert!(Sampler::new(Roots::default(), &[]).unwrap().read().0.net.listeners.unwrap().count >= 1, "and back again");
    drop(listener);

    // An open file keeps its namespace: the last words of a killed server can still be read.
    drop(child);
    let after = sampler.read().0;
    assert!(!after.processes[0].alive);
    assert_eq!(after.net.sockstat.unwrap().inuse, 0);
    assert_eq!(after.net.listeners, Ok(Listeners { reading: 1, ..Listeners::default() }));
}

#[test]
fn what_waits_in_an_accept_queue_is_counted_for_both_families() {
    let listen = |address: &str| {
        let address: std::net::SocketAddr = address.parse().unwrap();
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
        socket.bind(&address.into())?;
        socket.listen(8)?;
        Ok::<_, std::io::Error>(std::net::TcpListener::from(socket))
    };
    let connect = |at, n| (0..n).map(|_| std::net::TcpStream::connect(at).unwrap()).collect::<Vec<_>>();
    let listener = listen("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let mut sampler = Sampler::new(Roots::default(), &[]).unwrap();
    sampler.only_listeners(at.port()..=at.port());
    let mut sample = || {
        // Asked anew, however short ago it was.
        sampler.only_listeners(at.port()..=at.port());
        sampler.read().0.net.listeners.unwrap()
    };
    let queue = |used| AcceptQueue { port: at.port(), used, max: 8 };
    assert_eq!(sample(), Listeners { reading: 1, count: 1, waiting: 0, fullest: Some(queue(0)) });
    let held = connect(at, 9);
    assert_eq!(sample(), Listeners { reading: 2, count: 1, waiting: 9, fullest: Some(queue(9)) });
    assert!(queue(9).is_full(), "the tenth would be dropped");
    drop(listener.accept().unwrap());
    assert_eq!(sample(), Listeners { reading: 3, count: 1, waiting: 8, fullest: Some(queue(8)) });
    assert!(!queue(8).is_full());
    let Ok(six) = listen(&format!("[::1]:{}", at.port())) else {
        eprintln!("skipped: no IPv6 here");
        return;
    };
    let more = connect(six.local_addr().unwrap(), 2);
    assert_eq!(sample(), Listeners { reading: 4, count: 2, waiting: 10, fullest: Some(queue(8)) });
    drop((held, more));
}

const AS_NOBODY: &str = "PROBE_TEST_AS_NOBODY";

/// Runs itself again as nobody and looks at process 1, which belongs to somebody else.
#[test]
fn without_privilege_the_reason_is_named_and_the_rest_is_read() {
    if std::env::var_os(AS_NOBODY).is_some() {
        let s = Sampler::new(Roots::default(), &[watch(1)]).unwrap().read().0;
        let want = "needs root (/proc/slabinfo)";
        assert!(matches!(&s.host.slab, Err(absent) if absent.to_string() == want), "{:?}", s.host.slab);
        let target = &s.processes[0];
        assert!(target.alive && target.rss_bytes.is_ok() && target.nofile.is_ok(), "{target:?}");
        assert_eq!(s.net.scope, "this", "told by the inode numbers: the link may not be read");
        assert!(s.host.mem.is_ok() && s.net.sockstat.is_ok() && s.net.ext.is_ok());
        assert!(s.net.listeners.is_ok(), "{:?}", s.net.listeners);
        let whole: Reading<u64> = s.host.oom_kills;
        assert!(whole.is_ok());
        println!("checked as nobody");
        return;
    }
    let name = "without_privilege_the_reason_is_named_and_the_rest_is_read";
    // A copy in a place that nobody may reach.
    let dir =
        tempfile::Builder::new().permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755)).tempdir().unwrap();
    let copy = dir.path().join("probe-test");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let run = Command::new(&copy)
        .args(["--exact", name, "--nocapture"])
        .env(AS_NOBODY, "1")
        .current_dir("/")
        .uid(65_534)
        .gid(65_534)
        .output();
    match run {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && said.contains("checked as nobody"), "{said}");
        }
        Err(error) => eprintln!("skipped: may not run as another user: {error}"),
    }
}

const FEW_DESCRIPTORS: &str = "PROBE_TEST_FEW_DESCRIPTORS";

/// Runs itself again with a limit of 150 descriptors, uses them up and samples.
#[test]
fn a_sample_is_whole_when_no_descriptor_is_left() {
    let name = "a_sample_is_whole_when_no_descriptor_is_left";
    if std::env::var_os(FEW_DESCRIPTORS).is_some() {
        let mut sampler = Sampler::new(Roots::default(), &[watch(std::process::id())]).unwrap();
        let before = sampler.read().0;
        let mut held = Vec::new();
        let error = loop {
            match std::fs::File::open("/dev/null") {
                Ok(file) => held.push(file),
                Err(error) => break error,
            }
        };
        let after = sampler.read().0;
        drop(held);
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
        assert_eq!(after.processes[0].nofile.as_ref().unwrap().soft, 150);
        for target in [&before.processes[0], &after.processes[0]] {
            assert!(target.rss_bytes.is_ok() && target.nofile.is_ok());
        }
        // The same sources answer; of the numbers only those that cannot move in between are compared.
        assert_eq!(after.processes[0].descriptors.is_ok(), before.processes[0].descriptors.is_ok());
        assert_eq!(after.processes[0].memcg.is_ok(), before.processes[0].memcg.is_ok());
        assert_eq!(after.host.slab.is_ok(), before.host.slab.is_ok());
        assert!(after.host.mem.is_ok() && after.net.sockstat.is_ok() && after.net.ext.is_ok());
        assert_eq!((after.net.tcp_mem, after.net.max_tw), (before.net.tcp_mem, before.net.max_tw));
        println!("checked without descriptors");
        return;
    }
    let run = Command::new("prlimit")
        .arg("--nofile=150:150")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(FEW_DESCRIPTORS, "1")
        .output();
    match run {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && said.contains("checked without descriptors"), "{said}");
        }
        Err(error) => eprintln!("skipped: prlimit (util-linux) is missing: {error}"),
    }
}
