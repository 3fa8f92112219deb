//! The files that a sample reads, read the same way: opened once, a value in one `pread` of a page, any other from offset 0
//! to the end; and the listening sockets, asked for on a kept netlink socket.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "constants of the kernel's, each cast to the width of its field"
)]

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;

use socket2::{Domain, Protocol, Socket, Type};

use crate::measure::Outcome;

/// Read with each sample.
const FILES: [&str; 11] = [
    "/proc/meminfo",
    "/proc/sys/fs/file-nr",
    "/proc/pressure/memory",
    "/proc/net/softnet_stat",
    "/proc/loadavg",
    "/proc/net/sockstat",
    "/proc/net/sockstat6",
    "/proc/net/snmp",
    "/proc/net/netstat",
    "/proc/net/stat/nf_conntrack",
    "/proc/sys/net/netfilter/nf_conntrack_count",
];

/// Kept while nothing moves, or for a while.
const KEPT: [&str; 5] =
    ["/proc/slabinfo", "/proc/zoneinfo", "/proc/vmstat", "/proc/net/stat/arp_cache", "/proc/net/stat/ndisc_cache"];

/// What is set: `probe::settings`.
const SETTINGS: [&str; 14] = [
    "/proc/sys/fs/nr_open",
    "/proc/sys/fs/epoll/max_user_watches",
    "/proc/sys/kernel/threads-max",
    "/proc/sys/kernel/pid_max",
    "/proc/sys/net/netfilter/nf_conntrack_max",
    "/proc/sys/net/ipv4/tcp_mem",
    "/proc/sys/net/ipv4/ip_local_port_range",
    "/proc/sys/net/ipv4/ip_local_reserved_ports",
    "/proc/sys/net/ipv4/tcp_max_tw_buckets",
    "/proc/sys/net/ipv4/tcp_max_orphans",
    "/proc/sys/net/core/somaxconn",
    "/proc/sys/net/ipv4/tcp_max_syn_backlog",
    "/proc/sys/net/ipv4/tcp_syncookies",
    "/proc/sys/net/ipv4/tcp_ehash_entries",
];

/// Of each engine; `limits` is kept for a while.
const OF_PROCESS: [&str; 3] = ["stat", "limits", "cgroup"];

/// Of the memory cgroup, version 1 or 2, where there is one; every ancestor costs the same again.
const OF_CGROUP: [&str; 6] = [
    "memory/memory.usage_in_bytes",
    "memory/memory.stat",
    "memory/memory.oom_control",
    "memory.stat",
    "memory.events",
    "pids/pids.current",
];

/// Asked of a file that hands out all it has at once; and what was once asked for, after slabinfo had grown the buffer: the
/// kernel zeroes as much.
const VALUE: usize = 4095;
const GROWN: usize = 41_792;

/// One source.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    what: What,
}

#[derive(Debug)]
enum What {
    /// Read to the end.
    Kept(File),
    /// Values, each in one read of so many bytes.
    Values(Vec<File>, usize),
    /// Size of a descriptor directory: a `stat`, never a listing.
    Size(String),
    /// Every listener of one family after the other: `probe::listeners`, which does so every two seconds at the most.
    Listeners(Socket),
}

impl Source {
    /// Reads it once.
    pub(crate) fn read(&mut self, buf: &mut Vec<u8>) -> Outcome<()> {
        buf.resize(64 * 1024, 0);
        match &self.what {
            What::Size(path) => {
                fs::metadata(path)?;
            }
            What::Listeners(socket) => {
                for family in [libc::AF_INET, libc::AF_INET6] {
                    listeners(socket, family as u8, buf)?;
                }
            }
            What::Values(files, ask) => {
                for file in files {
                    file.read_at(&mut buf[..*ask], 0)?;
                }
            }
            What::Kept(file) => {
                let mut at = 0;
                // 0 says that it is over; a seq_file may hand out less than it has.
                loop {
                    match file.read_at(buf, at)? {
                        0 => break,
                        n => at += n as u64,
                    }
                }
            }
        }
        Ok(())
    }
}

/// One dump, to its end: `struct nlmsghdr`, then `struct inet_diag_req_v2` for the state `TCP_LISTEN`.
fn listeners(mut socket: &Socket, family: u8, buf: &mut [u8]) -> Outcome<()> {
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    let mut question = [0; 72];
    question[..4].copy_from_slice(&72_u32.to_ne_bytes());
    question[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    question[6..8].copy_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    question[16..18].copy_from_slice(&[family, libc::IPPROTO_TCP as u8]);
    question[20..24].copy_from_slice(&(1_u32 << 10).to_ne_bytes());
    socket.send(&question)?;
    loop {
        let len = socket.read(buf)?;
        let mut rest = &buf[..len];
        while let Some((head, _)) = rest.split_first_chunk::<6>() {
            let size = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
            match i32::from(u16::from_ne_bytes([head[4], head[5]])) {
                libc::NLMSG_DONE => return Ok(()),
                libc::NLMSG_ERROR => return Err("the kernel does not tell of listeners".into()),
                _ => rest = rest.get(size.max(16).next_multiple_of(4)..).unwrap_or_default(),
            }
        }
    }
}

/// Opens every source that exists here.
pub(crate) fn open(server: u32, client: u32) -> Vec<Source> {
    let kept = |name: String, path: &str| {
        let file = File::open(path).ok()?;
        let value = path.starts_with("/proc/sys/") || path.starts_with("/sys/fs/cgroup/");
        let what = if value { What::Values(vec![file], VALUE) } else { What::Kept(file) };
        Some(Source { name, what })
    };
    let mut all: Vec<Source> = FILES.iter().filter_map(|path| kept((*path).to_owned(), path)).collect();
    all.extend(KEPT.iter().filter_map(|path| kept(format!("kept: {path}"), path)));
    for ask in [VALUE, GROWN] {
        let files: Vec<File> = SETTINGS.iter().filter_map(|path| File::open(path).ok()).collect();
        let name = format!("kept: {} settings, {ask} bytes asked for", files.len());
        all.push(Source { name, what: What::Values(files, ask) });
    }
    let diag = Protocol::from(libc::NETLINK_SOCK_DIAG);
    if let Ok(socket) = Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(diag)) {
        all.push(Source { name: "sock_diag: listeners".into(), what: What::Listeners(socket) });
    }
    for (role, pid) in [("server", server), ("client", client)] {
        let files = OF_PROCESS.iter().map(|f| (format!("{role}: {f}"), format!("/proc/{pid}/{f}")));
        all.extend(files.filter_map(|(name, path)| kept(name, &path)));
        all.push(Source { name: format!("{role}: size of fd/"), what: What::Size(format!("/proc/{pid}/fd")) });
    }
    let own = OF_CGROUP.iter().map(|f| format!("/sys/fs/cgroup/{f}"));
    all.extend(own.filter_map(|path| kept(path.clone(), &path)));
    all
}
