//! The sampler on the real kernel, held against independent readings.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use c1m_top::probe::{Roots, Sampler, Watch, peers};
use c1m_top::sample::{Absent, AcceptQueue, Listeners, Peers, Process};
use c1m_top::sys;
use socket2::{Domain, Socket, Type};

use support::{Cgroup, Net, Started, Version, run_again, succeed, wait_until, without_privilege};

/// A sampler of this machine and these processes.
fn watching(pids: &[u32]) -> Sampler {
    let watched: Vec<Watch> = pids.iter().map(|pid| Watch::process(*pid)).collect();
    Sampler::new(Roots::default(), &watched).unwrap()
}

/// The first number after `key` in a file, read in another way than the sampler does.
fn number_after(path: &str, key: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(key).unwrap_or_else(|| panic!("{path} has no {key}"));
    let digits: String = rest.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn a_drivers_own_statistics_are_read_by_name() {
    own_namespace!();
    let ip = |line: &str| succeed(Command::new("ip").args(line.split(' ')));
    ip("link add left type veth peer name right");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let of = |interface: &str| {
        let names = sys::statistic_names(socket.as_fd(), interface).unwrap();
        let values = sys::statistics(socket.as_fd(), interface).unwrap();
        assert_eq!(names.len(), values.len(), "{names:?}");
        let at = names.iter().position(|name| name == "peer_ifindex").unwrap_or_else(|| panic!("{names:?}"));
        values[at]
    };
    // `2: right@left: ...`
    let index = |interface: &str| {
        let line = ip(&format!("-o link show dev {interface}"));
        line.split(':').next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!((of("left"), of("right")), (index("right"), index("left")));
    // One that has none, none of that name, and what can be none.
    for (interface, errno) in [("lo", libc::EOPNOTSUPP), ("middle", libc::ENODEV), (&"x".repeat(99), libc::ENODEV)] {
        let refused = [
            sys::statistic_names(socket.as_fd(), interface).map(drop),
            sys::statistics(socket.as_fd(), interface).map(drop),
        ];
        assert!(
            refused.iter().all(|r| r.as_ref().unwrap_err().raw_os_error() == Some(errno)),
            "{interface}: {refused:?}"
        );
    }
}

#[test]
fn this_process_on_this_machine() {
    let pid = std::process::id();
    let mut sampler = watching(&[pid]);
    let held: Vec<_> = (0..50).map(|_| File::open("/dev/null").unwrap()).collect();
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
    let has_ended = |target: &Process| {
        assert!(!target.alive);
        assert_eq!(target.rss_bytes.clone().unwrap_err().to_string(), "the process has ended");
        assert_eq!(target.descriptors.clone().unwrap_err().to_string(), "the process has ended");
    };
    let sleep = || Started::spawn(Command::new("sleep").arg("60"));
    let mut child = sleep();
    let mut sampler = watching(&[child.id()]);
    assert!(sampler.read().0.processes[0].alive);
    child.kill().unwrap();
    // Not waited for: a zombie, as an engine is until the dashboard has asked for its status.
    wait_until("a zombie that counts as ended", || (!sampler.read().0.processes[0].alive).then_some(()));
    child.wait().unwrap();
    has_ended(&sampler.read().0.processes[0]);

    let mut child = sleep();
    let mut sampler = watching(&[child.id()]);
    child.kill().unwrap();
    child.wait().unwrap();
    // Gone for good between two samples: the kept file answers ESRCH.
    has_ended(&sampler.read().0.processes[0]);
}

#[test]
fn the_threads_of_a_user_without_privilege_are_counted_and_those_of_root_are_not() {
    require!(Root, Program("setpriv"), Program("prlimit"));
    // A user who runs nothing else, nor does another run of this test at the same time.
    let user = 50_000 + std::process::id() % 10_000;
    let line = format!("--nproc=5000:5000 setpriv --reuid={user} --clear-groups sleep 60");
    let sleep = || Started::become_program(Command::new("prlimit").args(line.split(' ')), "sleep");
    let (_beside, target) = (sleep(), sleep());
    let s = watching(&[target.id(), std::process::id()]).read().0;
    let threads = s.processes[0].user_threads.clone().unwrap().unwrap();
    assert_eq!((threads.used, threads.limit), (2, 5000));
    assert_eq!(s.processes[1].user_threads, Ok(None), "root is not bound");
}

fn counts_a_kill_for_memory(version: Version) {
    let group = Cgroup::memory(version, "probe", 20 << 20, None);
    // Waits for the end of its input, then wants more than it may have.
    let mut shell = Command::new("sh");
    shell.args(["-c", "read line; exec tail /dev/zero"]).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = Started::spawn(&mut shell);
    let mut sampler = watching(&[child.id()]);
    group.move_in(child.id());
    let before = sampler.read().0.processes[0].memcg.clone().unwrap().remove(0);
    assert!(before.path.ends_with(group.name()), "moved after it was opened: {before:?}");
    assert_eq!((before.limit, before.oom_kills), (Some(20 << 20), 0));

    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    let target = sampler.read().0.processes.remove(0);
    assert!(!target.alive);
    let after = target.memcg.unwrap().remove(0);
    assert_eq!((after.path, after.oom_kills), (before.path, 1));
    assert!(after.max_hits > 0);
}

both_versions!(
    counts_a_kill_for_memory,
    a_kill_for_memory_is_counted_after_the_process_is_gone_in_version_1,
    a_kill_for_memory_is_counted_after_the_process_is_gone_in_version_2
);

#[test]
fn the_network_namespace_of_the_target_is_the_one_that_is_read() {
    own_namespace!();
    let other = Net::new();
    other.sh("cd /proc/sys/net && echo 300 > core/somaxconn && echo 20000 21000 > ipv4/ip_local_port_range");
    // Something that this namespace has and the other one has not.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = watching(&[]).read().0.net;
    assert_eq!(here.sockstat.unwrap().inuse, 1);
    let one = here.listeners.unwrap();
    assert_eq!((one.count, one.waiting), (1, 0));

    let mut sampler = watching(&[other.pid()]);
    let there = sampler.read().0.net;
    assert_eq!(there.scope, format!("of {}", other.pid()));
    assert_eq!(there.sockstat.unwrap().inuse, 0);
    assert_eq!(there.tcp.unwrap().passive_opens, 0);
    assert_eq!((there.somaxconn, there.ports.unwrap().usable()), (Ok(300), 1001), "opened inside the other namespace");
    assert_ne!(here.somaxconn, Ok(300));
    assert_eq!((there.tcp_mem, there.max_orphans), (here.tcp_mem, here.max_orphans), "the machine's");
    assert!(there.ehash_entries.is_ok() && there.max_buffers.is_ok() && there.max_tw.is_ok());
    assert_eq!(sampler.unseen(), None);
    let none = Ok(Listeners { reading: 1, ..Listeners::default() });
    assert_eq!(there.listeners, none, "asked inside the other namespace");
    let again = watching(&[]).read().0.net;
    assert_eq!(again.listeners, Ok(one), "and back again");
    drop(listener);

    // An open file keeps its namespace: the last words of a killed server can still be read.
    drop(other);
    let after = sampler.read().0;
    assert!(!after.processes[0].alive);
    assert_eq!(after.net.sockstat.unwrap().inuse, 0);
    assert_eq!((after.net.listeners, after.net.somaxconn), (none, Ok(300)));
}

#[test]
fn the_links_of_another_network_namespace_are_seen() {
    require!(Root, Veth);
    let (one, other) = (Net::new(), Net::new());
    one.join(&other);
    for (net, name) in [(&one, "v0"), (&other, "v1")] {
        let want = format!("{name} reports no link speed (virtual)");
        // It takes the second one a moment to be up.
        wait_until(&want, || {
            let link = watching(&[net.pid()]).read().0.net.link;
            (link.unwrap_err().to_string() == want).then_some(())
        });
    }
}

#[test]
fn what_waits_in_an_accept_queue_is_counted_for_both_families() {
    const PORT: u16 = 9900;
    own_namespace!();
    let listen = |address: &str| {
        let address: SocketAddr = address.parse().unwrap();
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(8).unwrap();
        TcpListener::from(socket)
    };
    let connect = |at: &str, n| (0..n).map(|_| TcpStream::connect(at).unwrap()).collect::<Vec<_>>();
    let listener = listen("127.0.0.1:9900");
    let mut sampler = watching(&[]);
    let mut sample = || {
        // Asked anew, however short ago it was.
        sampler.only_listeners(PORT..=PORT);
        sampler.read().0.net.listeners.unwrap()
    };
    let queue = |used| AcceptQueue { port: PORT, used, max: 8 };
    assert_eq!(sample(), Listeners { reading: 1, count: 1, waiting: 0, fullest: Some(queue(0)) });
    let held = connect("127.0.0.1:9900", 9);
    assert_eq!(sample(), Listeners { reading: 2, count: 1, waiting: 9, fullest: Some(queue(9)) });
    assert!(queue(9).is_full(), "the tenth would be dropped");
    drop(listener.accept().unwrap());
    assert_eq!(sample(), Listeners { reading: 3, count: 1, waiting: 8, fullest: Some(queue(8)) });
    assert!(!queue(8).is_full());
    let _six = listen("[::1]:9900");
    let more = connect("[::1]:9900", 2);
    assert_eq!(sample(), Listeners { reading: 4, count: 2, waiting: 10, fullest: Some(queue(8)) });
    drop((held, more));
}

/// A connection from this address to port 9900, and the server's end of it.
fn connected(from: &str, to: &str, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let socket = Socket::new(Domain::for_address(from), Type::STREAM, None).unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    (socket.into(), listener.accept().unwrap().0)
}

#[test]
fn peers_are_told_by_network_and_the_one_that_is_silent_by_its_address() {
    const PORT: u16 = 9900;
    own_namespace!();
    let own = std::process::id();
    let ask = |pid| peers(&Roots::default(), pid, PORT).unwrap();
    // Of both families: connections of IPv4 are mapped addresses to it.
    let both = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
    both.set_only_v6(false).unwrap();
    both.bind(&"[::]:9900".parse::<SocketAddr>().unwrap().into()).unwrap();
    both.listen(64).unwrap();
    let listener = TcpListener::from(both);
    assert_eq!(Peers { cpu_us: 0, ..ask(own) }, Peers::default(), "nobody yet; the listener is no peer");

    let (silent, silent_server) = connected("127.0.3.9:0", "127.0.0.1:9900", &listener);
    let since = Instant::now();
    // The kernel counts in ticks, of ten milliseconds at the most: the silence of any other is shorter by some of them.
    std::thread::sleep(Duration::from_millis(100));
    let mut talking: Vec<(TcpStream, TcpStream)> = Vec::new();
    for (network, count) in [(1, 20), (2, 10), (3, 4)] {
        for i in 1..=count {
            // Two connections from each address of the second network.
            let host = if network == 2 { (i + 1) / 2 } else { i };
            talking.push(connected(&format!("127.0.{network}.{host}:0"), "127.0.0.1:9900", &listener));
        }
    }
    talking.push(connected("[::1]:0", "[::1]:9900", &listener));
    // One whose data nobody reads.
    let (mut unread, _unread_server) = connected("127.0.2.200:0", "127.0.0.1:9900", &listener);
    unread.write_all(&[7; 300]).unwrap();
    let mut byte = [0];
    while since.elapsed() < Duration::from_secs(2) {
        for (client, server) in &mut talking {
            client.write_all(b"x").unwrap();
            server.read_exact(&mut byte).unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let waiting = TcpStream::connect("127.0.0.1:9900").unwrap();
    let told = ask(own);
    let rows: Vec<(String, u64, u64)> = told.top.iter().map(|n| (n.to_string(), n.connections, n.addresses)).collect();
    let row = |network: &str, connections, addresses| (network.to_owned(), connections, addresses);
    let want = [
        row("127.0.1.0/24", 20, 20),
        row("127.0.2.0/24", 11, 6),
        row("127.0.3.0/24", 5, 5),
        row("127.0.0.0/24", 1, 1),
        row("::/56", 1, 1),
    ];
    assert_eq!(rows, want);
    assert_eq!((told.connections, told.addresses, told.networks), (38, 33, 5));
    assert_eq!((told.queued, told.close_wait, told.untold), (1, 0, 0));
    // No time is asserted but that it waited for: this one has been silent for two seconds, all others have talked since.
    let oldest = told.oldest[0];
    assert_eq!((oldest.peer, oldest.unread), (silent.local_addr().unwrap(), 0));
    assert!(oldest.idle_ms >= 1_990, "{oldest:?}");
    assert_eq!(told.oldest.len(), Peers::OLDEST);
    assert!(told.oldest[1].idle_ms < oldest.idle_ms, "{:?}", told.oldest);
    let of_unread = told.oldest.iter().find(|idle| idle.unread > 0).expect("it has been silent almost as long");
    assert_eq!((of_unread.peer, of_unread.unread), (unread.local_addr().unwrap(), 300));
    assert_eq!(told.idle.iter().sum::<u64>(), 38);

    // The same port elsewhere is another one; and what the peer has closed is still there.
    let other = Net::new();
    assert_eq!(ask(other.pid()).connections, 0, "asked inside the other namespace");
    drop(silent);
    wait_until("the end that the peer has closed", || (ask(own).close_wait == 1).then_some(()));
    assert_eq!(ask(own).connections, 38);
    drop((silent_server, waiting));

    let mut ended = Started::spawn(&mut Command::new("true"));
    ended.wait().unwrap();
    assert_eq!(peers(&Roots::default(), ended.id(), PORT), Err(Absent::ProcessEnded));
}

/// Looks at process 1, which belongs to somebody else.
#[test]
fn without_privilege_the_reason_is_named_and_the_rest_is_read() {
    require!(Program("setpriv"));
    if sys::euid() == 0 {
        return run_again(test_name!(), &mut without_privilege(&std::env::current_exe().unwrap()));
    }
    let s = watching(&[1]).read().0;
    assert_eq!(s.host.slab.unwrap_err().to_string(), "needs root (/proc/slabinfo)");
    let target = &s.processes[0];
    assert!(target.alive && target.rss_bytes.is_ok() && target.nofile.is_ok(), "{target:?}");
    assert_eq!(s.net.scope, "this", "told by the inode numbers: the link may not be read");
    assert!(s.host.mem.is_ok() && s.net.sockstat.is_ok() && s.net.ext.is_ok());
    assert!(s.net.listeners.is_ok(), "{:?}", s.net.listeners);
    assert!(s.host.oom_kills.is_ok(), "{:?}", s.host.oom_kills);
}

/// With a limit of 150 descriptors, all of them used.
#[test]
fn a_sample_is_whole_when_no_descriptor_is_left() {
    require!(Program("prlimit"));
    let pid = std::process::id();
    if number_after("/proc/self/limits", "Max open files") != 150 {
        let mut few = Command::new("prlimit");
        return run_again(test_name!(), few.arg("--nofile=150:150").arg(std::env::current_exe().unwrap()));
    }
    let mut sampler = watching(&[pid]);
    let before = sampler.read().0;
    let mut held = Vec::new();
    let error = loop {
        match File::open("/dev/null") {
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
}
