//! What the kernel said at one moment: the machine, a network namespace, the watched processes.

use serde::{Deserialize, Serialize};

pub use super::absent::{Absent, Reading};
pub use super::peers::{IdlePeer, Network, Peers};
pub use super::program::{Census, ListenerCensus, Member, Program};
pub use crate::units::PortRange;

/// Every source of the kernel, read once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    /// What reading all of them took, microseconds.
    pub took_us: u64,
    /// The machine.
    pub host: Host,
    /// The network namespace of the first process (the server's, where both ends are known), or the dashboard's own.
    pub net: Net,
    /// Every process watched, in the order in which they were named: a server before a client. Of a program that is no engine
    /// of ours the one that was named, and those with the most descriptors.
    pub processes: Vec<Process>,
    /// The program that is watched, where it is none of ours.
    pub program: Option<Program>,
}

/// What an older record lacks.
fn not_recorded() -> Reading<u64> {
    Err(Absent::because("not in this record"))
}

/// Machine-wide sources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Bytes in a page, where the kernel counts pages: 4 KiB on most machines, 16 or 64 KiB on some of ARM and POWER.
    pub page_size: u64,
    /// `/proc/meminfo`.
    pub mem: Reading<Mem>,
    /// `/proc/slabinfo`: only caches that grow with sockets.
    pub slab: Reading<Vec<SlabCache>>,
    /// Whether `slab` is of an earlier sample and sockets have been opened since: reading it again so soon would cost too much.
    pub slab_is_old: bool,
    /// Sum over zones of the `low` watermark, bytes (`/proc/zoneinfo`).
    pub reserve_bytes: Reading<u64>,
    /// Free pages that wait on per-core lists, bytes (`/proc/zoneinfo`): free memory that `MemFree` leaves out.
    pub core_lists_bytes: Reading<u64>,
    /// `/proc/sys/fs/file-nr`.
    pub files: Reading<FileNr>,
    /// `/proc/sys/fs/nr_open`.
    pub nr_open: Reading<u64>,
    /// `/proc/sys/fs/epoll/max_user_watches`.
    pub max_user_watches: Reading<u64>,
    /// `oom_kill` of `/proc/vmstat`: processes killed since boot, cgroup kills included.
    pub oom_kills: Reading<u64>,
    /// Share of the last ten seconds in which some task waited for memory, percent (`/proc/pressure/memory`).
    pub memory_pressure: Reading<f64>,
    /// `/proc/net/softnet_stat`.
    pub softnet: Reading<Softnet>,
    /// Time of all cores in soft interrupts since boot, microseconds (`/proc/stat`).
    #[serde(default = "not_recorded")]
    pub soft_interrupts_us: Reading<u64>,
    /// `/proc/sys/kernel/threads-max`.
    pub threads_max: Reading<u64>,
    /// `/proc/sys/kernel/pid_max`.
    pub pid_max: Reading<u64>,
    /// Tasks that exist: field 4 of `/proc/loadavg` after the slash.
    pub tasks: Reading<u64>,
    /// The neighbour tables of IPv4 and of IPv6.
    pub neighbours: [Reading<Neighbours>; 2],
    /// What the kernel has logged since the sample before, where that is of use here (`/dev/kmsg`).
    pub log: Reading<Log>,
}

/// One neighbour table, all network namespaces together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Neighbours {
    /// Entries.
    pub entries: u64,
    /// Times an entry was refused because the table was full (`table_fulls` of `/proc/net/stat/arp_cache`, `ndisc_cache`).
    pub table_fulls: u64,
    /// `gc_thresh3`: the most entries; `None` where it cannot be seen, which is every network namespace but the first.
    pub max: Option<u64>,
}

/// The kernel's log since the sample before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Log {
    /// Lines that prove something.
    pub lines: Vec<LogLine>,
    /// Whether every line has been read: not so in a flood of them.
    pub whole: bool,
}

/// One line of the kernel's log that proves something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// What it is about.
    pub topic: LogTopic,
    /// As logged.
    pub text: String,
}

/// What a line of the kernel's log is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogTopic {
    /// `fs.file-max` was met (`fs/file_table.c`).
    FileMax,
    /// TCP buffer memory was at its maximum (`net/ipv4/tcp.c`).
    TcpMemory,
    /// Too many orphans (`net/ipv4/tcp.c`).
    Orphans,
    /// The TIME_WAIT table was full (`net/ipv4/inet_timewait_sock.c`).
    TimeWait,
    /// The connection tracking table was full (`net/netfilter/nf_conntrack_core.c`).
    Conntrack,
    /// A SYN queue was full, or nearly (`net/ipv4/tcp_input.c`).
    SynQueue,
    /// A neighbour table was full (`net/core/neighbour.c`).
    Neighbours,
    /// Memory could not be allocated (`mm/page_alloc.c`).
    Allocation,
    /// The OOM killer took this process (`mm/oom_kill.c`).
    OomKill {
        /// Its number, in the first pid namespace.
        pid: u32,
        /// Whether for the limit of a memory cgroup, or because the machine had no memory left; not told before Linux 5.1.
        cgroup: Option<bool>,
    },
}

/// What is used of `/proc/meminfo`, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is the line of /proc/meminfo of the same name")]
pub struct Mem {
    pub total: u64,
    pub free: u64,
    pub active_file: u64,
    pub inactive_file: u64,
    pub slab: u64,
    pub s_reclaimable: u64,
}

/// One slab cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlabCache {
    /// Name as in `/proc/slabinfo`.
    pub name: String,
    /// Objects in use.
    pub active_objs: u64,
    /// Object size, bytes.
    pub obj_size: u64,
    /// Pages times slabs, bytes: what the cache takes from the machine.
    pub bytes: u64,
    /// Objects that one slab has room for; 0 in a record that does not tell.
    #[serde(default)]
    pub objs_per_slab: u64,
    /// Pages of one slab, bytes.
    #[serde(default)]
    pub slab_bytes: u64,
}

impl SlabCache {
    /// What one object takes of a full slab, bytes: its size, and its part of what is left over at the end.
    #[expect(clippy::cast_precision_loss, reason = "sizes of slabs and objects")]
    pub fn each_bytes(&self) -> f64 {
        if self.objs_per_slab == 0 { self.obj_size as f64 } else { self.slab_bytes as f64 / self.objs_per_slab as f64 }
    }
}

/// `/proc/sys/fs/file-nr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileNr {
    /// Open files, host-wide.
    pub used: u64,
    /// `fs.file-max`.
    pub max: u64,
}

/// What is used of `/proc/net/softnet_stat`, all cores summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Softnet {
    /// Packets dropped because the backlog was full (`net.core.netdev_max_backlog`).
    pub dropped: u64,
    /// Cores that are online: a line each.
    #[serde(default)]
    pub cores: u64,
}

/// Sources of one network namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Net {
    /// Which namespace: `this` or `of PID`.
    pub scope: String,
    /// `sockstat`.
    pub sockstat: Reading<Sockstat>,
    /// TCP `inuse` of `sockstat6`.
    pub inuse6: Reading<u64>,
    /// The `Tcp:` lines of `snmp`.
    pub tcp: Reading<TcpCounters>,
    /// The `TcpExt:` lines of `netstat`.
    pub ext: Reading<TcpExt>,
    /// `nf_conntrack_count`, `nf_conntrack_max` and drops.
    pub conntrack: Reading<Conntrack>,
    /// `tcp_mem`, pages: low, pressure, max. Host-wide; absent in a child namespace, read from the dashboard's then.
    pub tcp_mem: Reading<[u64; 3]>,
    /// `ip_local_port_range` less reserved ports.
    pub ports: Reading<PortRange>,
    /// What a socket may buffer at most, bytes: third value of `tcp_rmem` and of `tcp_wmem`.
    pub max_buffers: Reading<[u64; 2]>,
    /// What has been received.
    pub received: Reading<Received>,
    /// `tcp_max_tw_buckets`.
    pub max_tw: Reading<u64>,
    /// `tcp_max_orphans`.
    pub max_orphans: Reading<u64>,
    /// `net.core.somaxconn`.
    pub somaxconn: Reading<u64>,
    /// `tcp_max_syn_backlog`.
    pub max_syn_backlog: Reading<u64>,
    /// `tcp_syncookies`: 0 never, 1 when a SYN queue is full, 2 always.
    pub syncookies: Reading<u64>,
    /// `tcp_ehash_entries`: buckets of the established hash.
    pub ehash_entries: Reading<u64>,
    /// The fastest link that is up.
    pub link: Reading<Link>,
    /// What the cloud under this machine lets its interface track; `None` where no driver tells.
    #[serde(default)]
    pub allowance: Option<Allowance>,
    /// Listening TCP sockets: on the ports of the run where one is known, else all. Up to ten seconds old, longer where asking
    /// is costly.
    pub listeners: Reading<Listeners>,
}

impl Net {
    /// TCP sockets, IPv4 and IPv6.
    ///
    /// # Errors
    /// `sockstat` cannot be read.
    pub fn tcp_sockets(&self) -> Result<u64, &Absent> {
        Ok(self.sockstat.as_ref()?.inuse + self.inuse6.as_ref().map_or(0, |n| *n))
    }

    /// The fullest accept queue, where it can be read and something listens.
    pub fn fullest_queue(&self) -> Option<AcceptQueue> {
        self.listeners.as_ref().ok()?.fullest
    }
}

/// Listening TCP sockets of a namespace and what waits in their accept queues (`sock_diag(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Listeners {
    /// Number of the reading: it is kept until the kernel is asked again.
    pub reading: u64,
    /// Sockets that listen, IPv4 and IPv6.
    pub count: u64,
    /// Connections that wait in all of them.
    pub waiting: u64,
    /// The queue with the largest share in use.
    pub fullest: Option<AcceptQueue>,
}

/// The accept queue of one listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptQueue {
    /// Port that it listens on.
    pub port: u16,
    /// Connections that wait for accept.
    pub used: u64,
    /// The smaller of the listener's backlog and `net.core.somaxconn`.
    pub max: u64,
}

impl AcceptQueue {
    /// Whether the next connection is dropped: one more waits than `max` (`sk_acceptq_is_full` in `include/net/sock.h`).
    pub fn is_full(self) -> bool {
        self.used > self.max
    }
}

/// `/proc/net/sockstat`, its TCP line and the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sockstat {
    /// `sockets: used`: every family.
    pub used: u64,
    /// TCP sockets of this namespace bound to a port, listeners included, `TIME_WAIT` not.
    pub inuse: u64,
    /// Orphans, host-wide.
    pub orphan: u64,
    /// `TIME_WAIT` sockets of this namespace.
    pub tw: u64,
    /// TCP sockets allocated, host-wide, IPv6 included.
    pub alloc: u64,
    /// TCP buffer memory, pages, host-wide.
    pub mem_pages: u64,
}

/// What is used of `Tcp:` in `/proc/net/snmp`. Counters are since boot (of the namespace).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is the column of /proc/net/snmp of the same name (RFC 1213, RFC 4022)")]
pub struct TcpCounters {
    pub passive_opens: u64,
    pub in_segs: u64,
    /// Sockets in `ESTABLISHED` or `CLOSE_WAIT`, both ends counted on loopback, IPv6 included.
    pub curr_estab: u64,
    pub retrans_segs: u64,
}

/// Columns of `TcpExt:` in `/proc/net/netstat`, each of something refused or lost; one that the kernel lacks is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is the column of the same name in /proc/net/netstat")]
pub struct TcpExt {
    pub listen_overflows: u64,
    pub listen_drops: u64,
    pub req_q_full_do_cookies: u64,
    pub req_q_full_drop: u64,
    pub memory_pressures: u64,
    pub prune_called: u64,
    pub rcv_pruned: u64,
    pub abort_on_memory: u64,
    pub time_wait_overflow: u64,
    pub backlog_drop: u64,
}

/// What a network namespace has received since it exists, loopback included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Received {
    /// Bytes of IPv4, headers included (`InOctets` of `IpExt:` in netstat).
    pub bytes: u64,
    /// TCP segments (`InSegs` of snmp).
    pub segments: u64,
}

/// Connection tracking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Conntrack {
    /// Entries in this namespace.
    pub count: u64,
    /// `nf_conntrack_max`, host-wide.
    pub max: u64,
    /// Packets dropped because the table was full (`drop` of `/proc/net/stat/nf_conntrack`), where readable.
    pub drop: Option<u64>,
}

/// A network link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its interface: `eth0`.
    pub name: String,
    /// Speed in each direction, bits per second (`/sys/class/net/NAME/speed`).
    pub bits_per_s: u64,
}

/// Connections that a cloud tracks for an interface of this machine, by its driver's own statistics (ethtool -S).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Allowance {
    /// The interface: `ens5`.
    pub interface: String,
    /// Connections that may still be opened (`conntrack_allowance_available`).
    pub available: u64,
    /// The most that has been available since watching began: the cloud does not say how many are allowed in all.
    pub most: u64,
    /// Packets dropped for want of it, since the driver was loaded (`conntrack_allowance_exceeded`).
    pub exceeded: u64,
}

/// One watched process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Its `comm`, unless whoever watches it gave it another name.
    pub name: String,
    /// False once it has ended (sources keep their last reason).
    pub alive: bool,
    /// Resident memory, bytes.
    pub rss_bytes: Reading<u64>,
    /// User plus system time, microseconds, since its start.
    pub cpu_us: Reading<u64>,
    /// Of `cpu_us` what the kernel did for it, microseconds.
    #[serde(default = "not_recorded")]
    pub system_us: Reading<u64>,
    /// Stopped by a signal or a debugger.
    #[serde(default)]
    pub stopped: bool,
    /// Threads.
    pub threads: Reading<u64>,
    /// Open descriptors of its main table (`stat` of `/proc/PID/fd`; Linux 6.2 and later).
    pub descriptors: Reading<u64>,
    /// Soft and hard `RLIMIT_NOFILE`.
    pub nofile: Reading<SoftHard>,
    /// The soft `RLIMIT_NOFILE` that it was started with, of a program that never uses more than that, whatever it is given
    /// later (BEAM); `None` of any other.
    #[serde(default)]
    pub nofile_at_start: Option<u64>,
    /// Threads of its user against its soft `RLIMIT_NPROC`; `None` where that does not bind it. The other processes of the
    /// user were counted once, when this one was opened; those watched, and the dashboard, are counted now.
    pub user_threads: Reading<Option<UserThreads>>,
    /// What its runtime limits itself to, from how it was started; `None` where it names no limit, or was not to be looked at.
    pub runtime: Reading<Option<RuntimeLimit>>,
    /// How many connections it is configured to hold; `None` where that cannot be told, or was not to be looked at.
    pub app: Reading<Option<AppLimit>>,
    /// What its runtime has in the heap that it limits; `None` where it limits none, or none that can be told from outside.
    pub heap: Reading<Option<HeapUse>>,
    /// Its memory cgroup and every ancestor that can be seen, nearest first.
    pub memcg: Reading<Vec<MemCgroup>>,
    /// Its cgroup and every ancestor that can be seen, nearest first, as far as they limit tasks.
    pub pids_cgroups: Reading<Vec<PidsCgroup>>,
    /// Whether `fs.file-max` does not bind it: `CAP_SYS_ADMIN` in the first user namespace (`alloc_empty_file` in
    /// `fs/file_table.c`).
    pub exempt_from_file_max: Reading<bool>,
}

/// The runtimes whose limits are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// Erlang's emulator.
    Beam,
    /// JavaScript, as Node.js runs it.
    V8,
    /// Java's machine.
    Jvm,
    /// Go, or whatever else was given `GOMEMLIMIT`.
    Go,
}

/// A limit that a program's runtime keeps itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeLimit {
    /// Whose.
    pub runtime: Runtime,
    /// Ports of BEAM, bytes of any other.
    pub limit: u64,
    /// What sets it: `+Q 5000`, `-Xmx2g`, `the default`.
    pub set_by: String,
    /// Bytes that the heap may have besides what `limit` bounds: V8's young generation. 0 of any other.
    #[serde(default)]
    pub besides: u64,
}

/// What is in a heap. From outside it is known within bounds only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeapUse {
    /// At least so many bytes count against the limit.
    pub least_bytes: u64,
    /// At most so many.
    pub most_bytes: u64,
    /// The limit, bytes.
    pub limit_bytes: u64,
    /// How it was read.
    pub by: HeapSource,
}

/// How a heap is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeapSource {
    /// V8's pages, in `/proc/PID/maps`.
    Pages,
    /// What a JVM writes for its tools, in `/tmp/hsperfdata_USER/PID`.
    PerfData,
}

/// A server's own limit of client connections, as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppLimit {
    /// Connections of clients that may be open at once: what is configured, less what the server takes of it for itself.
    pub limit: u64,
    /// So many of which nobody asks anything are the most (nginx): beyond them it closes the oldest for each that comes.
    pub idle: Option<u64>,
    /// Whether that is for each process (nginx: each worker) and not for all of them.
    pub each_process: bool,
    /// What it does when the limit is reached: true: it closes what it accepts; false: it stops accepting (haproxy).
    pub closes: bool,
    /// The setting: `worker_connections`, `maxclients`.
    pub setting: String,
    /// Where it is set, and what was taken off: `/etc/redis/redis.conf`, `its command line`, `the default, 512 less 2 of its own`.
    pub set_in: String,
}

/// A pair of limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of getrlimit(2)")]
pub struct SoftHard {
    pub soft: u64,
    pub hard: u64,
}

impl Process {
    /// Whether it is on its way out: its memory has been given back, and its descriptors are being closed.
    pub fn is_ending(&self) -> bool {
        self.alive && self.rss_bytes.is_err()
    }

    /// Descriptors that it can use: its soft limit, or what it was started with where it keeps to that.
    pub fn usable_descriptors(&self) -> Option<u64> {
        let soft = self.nofile.as_ref().ok()?.soft;
        Some(self.nofile_at_start.map_or(soft, |started| started.min(soft)))
    }
}

/// Threads of a process' user, and its `RLIMIT_NPROC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserThreads {
    /// Threads that count.
    pub used: u64,
    /// The soft limit.
    pub limit: u64,
    /// The hard limit, up to which the user may raise the soft one.
    pub hard: u64,
}

/// One pids cgroup that limits its tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PidsCgroup {
    /// Its directory.
    pub dir: String,
    /// `pids.current`.
    pub used: u64,
    /// `pids.max`.
    pub limit: u64,
}

/// One memory cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemCgroup {
    /// Path below the mount point: `/system.slice/ejabberd.service`.
    pub path: String,
    /// Its directory: mount point and path.
    pub dir: String,
    /// 1 or 2.
    pub version: u8,
    /// Charge, bytes.
    pub used: u64,
    /// Limit, bytes; `None` is no limit.
    pub limit: Option<u64>,
    /// Version 1: what `memory.memsw.limit_in_bytes` bounds memory and swap to, which `limit` may not exceed; as it was when
    /// first seen.
    pub with_swap: Option<u64>,
    /// Page cache in the charge that can be reclaimed (`inactive_file` + `active_file` of memory.stat), bytes.
    pub file_bytes: u64,
    /// Processes killed for this cgroup (`oom_kill`).
    pub oom_kills: u64,
    /// Times the limit was met (`memory.failcnt`, or `max` of memory.events).
    pub max_hits: u64,
}
