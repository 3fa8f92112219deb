//! Every `unsafe` line of the program but one call: thin wrappers over system calls that std, mio, socket2 and rustix do not
//! offer, or offer only with more system calls than one. Each says why it is sound.
#![expect(unsafe_code, reason = "this is the one module that may; every block says why it is sound")]

use std::ffi::CStr;
use std::io;
use std::num::NonZeroU64;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Turns the -1 of a system call into the error it left in errno.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The size of an option, as the calls want it.
#[expect(clippy::cast_possible_truncation, reason = "options are a few bytes")]
const fn length_of<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}

/// Effective user id.
pub fn euid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Soft and hard `RLIMIT_NOFILE` of this process: descriptors one table may hold.
pub fn nofile() -> (u64, u64) {
    let limit = getrlimit(Resource::Nofile);
    // `None` is no limit, which the kernel does not allow for this one (fs.nr_open bounds it).
    (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX))
}

/// Raises the soft `RLIMIT_NOFILE` to the hard one, which needs no privilege.
///
/// # Errors
/// What setrlimit(2) says.
pub fn raise_nofile() -> io::Result<()> {
    let (soft, hard) = nofile();
    if soft < hard {
        setrlimit(Resource::Nofile, Rlimit { current: Some(hard), maximum: Some(hard) })?;
    }
    Ok(())
}

/// Starts a thread with a descriptor table of its own, with a full `RLIMIT_NOFILE` of its own, and returns when it has it. Of
/// this process' table it keeps the standard streams and `keep`, under the same numbers; what other threads own stays open
/// in theirs. Needs no privilege.
///
/// # Safety
/// A descriptor is a number of one table, and no type says of which: a value that owns or borrows one can be captured by
/// `body`, be sent, or be in a static. So the caller warrants that the thread
/// - neither uses nor drops a descriptor that another thread opened, but for the standard streams and those of `keep`;
/// - drops one of `keep` only when it uses it no more, and uses none that another thread may have dropped;
/// - hands none that it opened to another thread, not by its end either.
///
/// # Errors
/// What starting a thread or unshare(2) says; `body` then does not run.
pub unsafe fn spawn_with_own_table(
    thread: thread::Builder,
    keep: &[BorrowedFd<'_>],
    body: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let keep: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd().cast_unsigned()).collect();
    let (ready, is_ready) = channel();
    // What `keep` borrows stays open until the thread has its copy: this function waits for it. A descriptor opened
    // meanwhile by another thread would be copied too, and then closed.
    thread.spawn(move || {
        // Nothing has run in this thread that opened a descriptor.
        let table = own_table();
        let refused = table.is_err();
        if !refused {
            // SAFETY: the table is this thread's alone, and the caller warrants that `body` means no other number of it.
            unsafe { close_inherited(keep) };
        }
        let _ = ready.send(table);
        if !refused {
            body();
        }
    })?;
    is_ready.recv().map_err(io::Error::other)?
}

/// Gives the calling thread a descriptor table of its own, a copy.
fn own_table() -> io::Result<()> {
    // SAFETY: no memory is touched.
    let Err(refused) = check(unsafe { libc::unshare(libc::CLONE_FILES) }) else { return Ok(()) };
    if refused.raw_os_error() != Some(libc::EPERM) {
        return Err(refused);
    }
    // The kernel asks for no privilege. The default seccomp profiles of Docker and containerd do, whatever is to be unshared; they
    // permit close_range(2), which does the same (Linux 5.9). No descriptor has this number, so that none is closed.
    // SAFETY: no memory is touched.
    let done = unsafe { libc::syscall(libc::SYS_close_range, u32::MAX, u32::MAX, libc::CLOSE_RANGE_UNSHARE) };
    let why = "a seccomp profile forbids unshare(2), which c1m-top needs before Linux 5.9; allow it";
    if done == -1 { Err(io::Error::new(io::ErrorKind::PermissionDenied, why)) } else { Ok(()) }
}

/// Closes every descriptor above 2 that is not in `keep`.
///
/// # Safety
/// The table is the calling thread's alone, and no value that the thread will use or drop has one of those numbers.
unsafe fn close_inherited(mut keep: Vec<u32>) {
    keep.push(2);
    keep.sort_unstable();
    keep.push(u32::MAX);
    for pair in keep.windows(2) {
        let (first, last) = (pair[0] + 1, pair[1] - 1);
        if first > last {
            continue;
        }
        // SAFETY: no memory is touched; the caller warrants that nobody means these numbers.
        let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        if done == -1 {
            // Linux before 5.9. The main thread opens few descriptors: listeners, eventfds, control connections.
            for fd in first..=last.min(8192) {
                // SAFETY: as above; closing a number that is not open only returns EBADF.
                unsafe { libc::close(fd.cast_signed()) };
            }
        }
    }
}

/// User plus system time of the whole process.
pub fn cpu_time() -> Duration {
    Duration::from_micros(clock_us(libc::CLOCK_PROCESS_CPUTIME_ID).unwrap_or_default())
}

/// User plus system time of the calling thread.
pub fn thread_cpu_time() -> Duration {
    Duration::from_micros(clock_us(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or_default())
}

/// Process and user id of the other end of a Unix stream socket, as of its connect (`SO_PEERCRED`). Not rustix': its process
/// id cannot be 0, which is what the kernel says of a process that this namespace does not see.
///
/// # Errors
/// What getsockopt(2) says.
pub fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<(u32, u32)> {
    let mut cred = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = length_of::<libc::ucred>();
    // SAFETY: `cred` and `len` are valid for the kernel to fill, and `len` is the size of `cred`.
    check(unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut cred).cast(), &raw mut len)
    })?;
    Ok((cred.pid.cast_unsigned(), cred.uid))
}

/// Gives a descriptor another number; whatever had that number is closed.
///
/// # Errors
/// What dup3(2) says.
pub fn renumber(fd: OwnedFd, number: RawFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() == number {
        return Ok(fd);
    }
    // SAFETY: dup3 touches no memory.
    check(unsafe { libc::dup3(fd.as_raw_fd(), number, libc::O_CLOEXEC) })?;
    // SAFETY: just made, and the caller says that nothing else of this process owns the number.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Memory of this process that others may map: words, of which each side reads what the other writes. It is sealed: nobody
/// can make it shorter, which would end whoever reads it.
#[derive(Debug)]
pub struct SharedWords {
    map: Map,
    file: OwnedFd,
}

/// The same memory as a reader has it.
#[derive(Debug)]
pub struct SharedView {
    map: Map,
}

/// A mapping, unmapped with this value.
#[derive(Debug)]
struct Map {
    start: std::ptr::NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: the mapping belongs to no thread, and its words are only reached as atomics.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

/// Neither shorter nor longer, for ever.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

impl Map {
    fn new(file: BorrowedFd<'_>, words: usize, protection: ProtFlags) -> io::Result<Self> {
        let len = words * size_of::<AtomicU64>();
        // SAFETY: a new mapping at an address of the kernel's choice; `file` is sealed to at least this length.
        let start = unsafe { mmap(std::ptr::null_mut(), len, protection, MapFlags::SHARED, file, 0) }?;
        let start = std::ptr::NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at 0"))?;
        Ok(Self { start, words })
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped, and nothing borrowed from it outlives this value.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.words * size_of::<AtomicU64>()) };
    }
}

impl SharedWords {
    /// So many words, all zero. The name is what /proc/PID/fd shows.
    ///
    /// # Errors
    /// What `memfd_create(2)`, ftruncate(2), fcntl(2) or mmap(2) says.
    pub fn create(name: &CStr, words: usize) -> io::Result<Self> {
        let file = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&file, (words * size_of::<AtomicU64>()) as u64)?;
        fcntl_add_seals(&file, SEALS)?;
        Ok(Self { map: Map::new(file.as_fd(), words, ProtFlags::READ | ProtFlags::WRITE)?, file })
    }

    /// The number of its descriptor.
    pub fn number(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl Deref for SharedWords {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: mapped for reading and writing as long as `self` lives, aligned to a page, and zero is a value of each word.
        unsafe { std::slice::from_raw_parts(self.map.start.as_ptr(), self.map.words) }
    }
}

impl SharedView {
    /// Maps what another process shares, for reading alone.
    ///
    /// # Errors
    /// When it is not sealed memory of so many words, or what mmap(2) says.
    pub fn open(file: &std::fs::File, words: usize) -> io::Result<Self> {
        // What cannot be sealed is refused with EINVAL. In this order: once it is sealed, its length is what it was.
        if !fcntl_get_seals(file)?.contains(SealFlags::SHRINK) {
            return Err(io::Error::other("shared memory that is not sealed against shrinking"));
        }
        let len = file.metadata()?.len();
        if len != (words * size_of::<AtomicU64>()) as u64 {
            return Err(io::Error::other(format!("shared memory of {len} bytes instead of {}", words * 8)));
        }
        Ok(Self { map: Map::new(file.as_fd(), words, ProtFlags::READ)? })
    }

    /// One of its words, as [`Ordering::Relaxed`] loads it: another ordering than this with fences is not defined for memory
    /// that cannot be written to.
    ///
    /// # Panics
    /// Beyond its end.
    pub fn load(&self, at: usize) -> u64 {
        assert!(at < self.map.words, "word {at} of {}", self.map.words);
        // SAFETY: mapped for reading as long as `self` lives, aligned, and inside the mapping.
        unsafe { self.map.start.add(at).as_ref() }.load(Ordering::Relaxed)
    }
}

/// The monotonic clock, microseconds: the same for every process of a machine (of a time namespace).
pub fn monotonic_us() -> u64 {
    clock_us(libc::CLOCK_MONOTONIC).unwrap_or_default()
}

/// User plus system time of another process, to the nanosecond where /proc has ticks; `None` once it has ended.
pub fn cpu_time_of(pid: u32) -> Option<Duration> {
    let mut clock = 0;
    let pid = libc::pid_t::try_from(pid).ok()?;
    // SAFETY: `clock` is valid for the library to fill.
    let result = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
    (result == 0).then(|| clock_us(clock)).flatten().map(Duration::from_micros)
}

fn clock_us(clock: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for the kernel to fill; an unknown clock is an error.
    check(unsafe { libc::clock_gettime(clock, &raw mut time) }).ok()?;
    Some(time.tv_sec.cast_unsigned() * 1_000_000 + time.tv_nsec.cast_unsigned() / 1000)
}

/// A new non-blocking eventfd: what wakes a thread that sleeps in epoll, one descriptor instead of a pipe's two.
///
/// # Errors
/// What eventfd(2) says.
pub fn eventfd() -> io::Result<OwnedFd> {
    Ok(rustix::event::eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?)
}

/// Adds 1 to an eventfd. A full counter is already a wake-up, so that failing is not an error.
pub fn eventfd_signal(fd: BorrowedFd<'_>) {
    let _ = rustix::io::write(fd, &1u64.to_ne_bytes());
}

/// Sets an eventfd back to 0.
pub fn eventfd_clear(fd: BorrowedFd<'_>) {
    let _ = rustix::io::read(fd, &mut [0u8; 8]);
}

/// Takes one connection from a listener, non-blocking and close-on-exec, without asking for the peer's address: one system
/// call (std and socket2 copy the address out).
///
/// # Errors
/// What accept4(2) says; `WouldBlock` when the queue is empty.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?)
}

/// Sets `IP_BIND_ADDRESS_NO_PORT` (Linux 4.2): bind takes the address alone, and connect chooses the local port for the
/// one destination. IPv6 sockets take it too.
///
/// # Errors
/// What setsockopt(2) says.
pub fn bind_address_no_port(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_ip(socket, libc::IP_BIND_ADDRESS_NO_PORT, 1)
}

/// Sets `IP_LOCAL_PORT_RANGE` (Linux 6.3): the local ports that bind and connect of this socket choose from.
///
/// # Errors
/// What setsockopt(2) says; `ENOPROTOOPT` on older kernels.
pub fn local_port_range(socket: BorrowedFd<'_>, low: u16, high: u16) -> io::Result<()> {
    /// From the kernel's `include/uapi/linux/in.h`; the low half is the first port, the high half the last.
    const IP_LOCAL_PORT_RANGE: libc::c_int = 51;
    set_ip(socket, IP_LOCAL_PORT_RANGE, u32::from(low) | u32::from(high) << 16)
}

/// Sets an option of four bytes at the level of IP.
fn set_ip(socket: BorrowedFd<'_>, option: libc::c_int, value: u32) -> io::Result<()> {
    // SAFETY: `value` is valid for reads of its size.
    check(unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, option, (&raw const value).cast(), length_of::<u32>())
    })
    .map(drop)
}

/// How long the handshake of a TCP connection took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// From SYN to SYN-ACK, microseconds, as the kernel measured it.
    Took(u64),
    /// It is not known: the SYN was sent more than once.
    Repeated,
}

/// How long the handshake of a connection took that has carried nothing since (tcp(7), `TCP_INFO`): later the kernel's round
/// trip time is a mean of others too.
///
/// # Errors
/// What getsockopt(2) says.
pub fn handshake(socket: BorrowedFd<'_>) -> io::Result<Handshake> {
    // SAFETY: integers and bits, for which zeros are values; the kernel fills as much of it as it knows.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = length_of::<libc::tcp_info>();
    // SAFETY: `info` and `length` are ours, and `length` is the size of `info`.
    check(unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut info).cast(), &raw mut length)
    })?;
    let repeated = info.tcpi_total_retrans > 0 || info.tcpi_rtt == 0;
    Ok(if repeated { Handshake::Repeated } else { Handshake::Took(info.tcpi_rtt.into()) })
}

/// Reads from a socket into `buf`; returns how many bytes.
///
/// # Errors
/// What recv(2) says.
pub fn recv(socket: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::net::recv(socket, buf, RecvFlags::empty())?.1)
}

/// Writes `buf` to a socket; a closed peer is an error and not a signal. Returns how many bytes it took.
///
/// # Errors
/// What send(2) says.
pub fn send(socket: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, buf, SendFlags::NOSIGNAL)?)
}

/// Stops this process until `SIGCONT`, all its threads.
///
/// # Errors
/// What kill(2) says.
pub fn stop_self() -> io::Result<()> {
    kill(std::process::id(), libc::SIGSTOP)
}

/// Has this process go on at a signal that would end it.
///
/// # Errors
/// What signal(2) says.
pub fn ignore(signal: i32) -> io::Result<()> {
    // SAFETY: no handler of ours is called.
    let before = unsafe { libc::signal(signal, libc::SIG_IGN) };
    if before == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Asks the kernel to send this process `SIGCONT` when the thread that started it ends: stopped or not, it shall see that its
/// owner has gone.
///
/// # Errors
/// What prctl(2) says.
pub fn wake_with_parent() -> io::Result<()> {
    Ok(set_parent_process_death_signal(Some(Signal::CONT))?)
}

/// Moves the calling thread, and it alone, into a network namespace: sockets and files of `/proc/sys/net` that it opens from now
/// on belong there.
///
/// # Errors
/// What setns(2) says; `EPERM` without `CAP_SYS_ADMIN`.
pub fn enter_network(namespace: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?)
}

/// A sysfs that shows the interfaces of the calling thread's network namespace: its root directory. It is attached to no place
/// and gone when it is closed.
///
/// # Errors
/// What fsopen(2) and its kin say: `EPERM` without `CAP_SYS_ADMIN`, `ENOSYS` before Linux 5.2.
pub fn sysfs_of_this_network() -> io::Result<OwnedFd> {
    let context = fsopen("sysfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(context.as_fd())?;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)?)
}

/// From the kernel's `include/uapi/linux/sockios.h`. libc has it in glibc's type, which is not musl's.
const SIOCETHTOOL: libc::Ioctl = 0x8946;
/// From the kernel's `include/uapi/linux/ethtool.h`.
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSTATS: u32 = 0x1d;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETH_SS_STATS: u32 = 1;
/// `ETH_GSTRING_LEN`: the bytes of a name.
const NAME_BYTES: usize = 32;
/// Statistics of an interface beyond which none is asked: a driver has some dozens for each of its queues.
const MOST_STATISTICS: usize = 1 << 16;
/// The kernel writes as many as there are when it is asked, however few were expected, and a driver has more of them once it
/// has more queues. Room for four times as many, and for so many besides.
const MORE_STATISTICS: usize = 4096;

/// Asks the driver of an interface; the kernel reads and writes what `about` points to.
///
/// # Safety
/// `about` is valid for as many bytes as the command that it begins with reads and writes.
unsafe fn ethtool(socket: BorrowedFd<'_>, interface: &str, about: *mut libc::c_void) -> io::Result<()> {
    // SAFETY: integers, an address and bytes, for which zeros are values.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero.
    let name = request.ifr_name.split_last_mut().map_or(&mut [][..], |(_, name)| name);
    if interface.len() > name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, byte) in name.iter_mut().zip(interface.bytes()) {
        *to = byte.cast_signed();
    }
    request.ifr_ifru.ifru_data = about.cast();
    // SAFETY: `request` is ours, and the caller warrants for what it points to.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) }).map(drop)
}

/// Two words of four bytes, one behind the other in memory.
fn words_of(first: u32, second: u32) -> u64 {
    let mut both = [0; 8];
    both[..4].copy_from_slice(&first.to_ne_bytes());
    both[4..].copy_from_slice(&second.to_ne_bytes());
    u64::from_ne_bytes(both)
}

/// The reverse.
fn two_words(both: u64) -> (u32, u32) {
    let word = |shift: u32| u32::try_from(both >> shift & u64::from(u32::MAX)).unwrap_or_default();
    if cfg!(target_endian = "big") { (word(32), word(0)) } else { (word(0), word(32)) }
}

/// How many statistics of its own the driver of an interface has.
fn count_statistics(socket: BorrowedFd<'_>, interface: &str) -> io::Result<usize> {
    // The command, a reserved word, a set of bits, and for each bit that is answered a number (`struct ethtool_sset_info`).
    let mut info = [words_of(ETHTOOL_GSSET_INFO, 0), 1 << ETH_SS_STATS, 0];
    // SAFETY: one bit is asked for, so that one number of four bytes is written behind the set.
    unsafe { ethtool(socket, interface, info.as_mut_ptr().cast()) }?;
    let [_, answered, number] = info;
    let count = usize::try_from(two_words(number).0).unwrap_or(usize::MAX);
    match answered {
        0 => Ok(0),
        _ if count > MOST_STATISTICS => Err(io::Error::other(format!("{count} statistics of one interface"))),
        _ => Ok(count),
    }
}

/// The names of the statistics that the driver of an interface has of its own (`ethtool -S`), in its order. `socket` is any
/// socket of the interface's network namespace; needs no privilege.
///
/// # Errors
/// What ioctl(2) says: `EOPNOTSUPP` of a driver that has none, `ENODEV` where there is no such interface.
pub fn statistic_names(socket: BorrowedFd<'_>, interface: &str) -> io::Result<Vec<String>> {
    let count = count_statistics(socket, interface)?;
    // Command, set of strings, number of names, and the names.
    let mut words = vec![0_u32; 3 + (count * 4 + MORE_STATISTICS) * NAME_BYTES / 4];
    (words[0], words[1]) = (ETHTOOL_GSTRINGS, ETH_SS_STATS);
    // SAFETY: room for far more names than there were a moment ago (`MORE_STATISTICS`).
    unsafe { ethtool(socket, interface, words.as_mut_ptr().cast()) }?;
    let count = usize::try_from(words[2]).unwrap_or(usize::MAX);
    let bytes: Vec<u8> = words[3..].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let name = |bytes: &[u8]| {
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    };
    Ok(bytes.chunks_exact(NAME_BYTES).take(count).map(name).collect())
}

/// Their values, in the same order.
///
/// # Errors
/// As of [`statistic_names`].
pub fn statistics(socket: BorrowedFd<'_>, interface: &str) -> io::Result<Vec<u64>> {
    let count = count_statistics(socket, interface)?;
    let mut words = vec![0_u64; 1 + count * 4 + MORE_STATISTICS];
    words[0] = words_of(ETHTOOL_GSTATS, u32::try_from(count).unwrap_or_default());
    // SAFETY: room for far more values than there were a moment ago (`MORE_STATISTICS`).
    unsafe { ethtool(socket, interface, words.as_mut_ptr().cast()) }?;
    let count = usize::try_from(two_words(words[0]).1).unwrap_or(usize::MAX);
    Ok(words.into_iter().skip(1).take(count).collect())
}

/// Sends a signal to one process.
///
/// # Errors
/// What kill(2) says.
pub fn kill(pid: u32, signal: i32) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid.max(1)).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: no memory is touched; pid is positive, so that no group is meant.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Lets this thread's timers fire when they are due; the kernel may otherwise add 50 us to save a wake-up (prctl(2),
/// `PR_SET_TIMERSLACK`).
///
/// # Errors
/// What prctl(2) says.
pub fn exact_timers() -> io::Result<()> {
    Ok(rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?)
}

/// What waiting on a descriptor came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Bytes can be read.
    Ready,
    /// Nothing within the time, or a signal (a resize, perhaps) came first.
    Nothing,
    /// The other end is gone: reading gives no more, writing fails.
    HungUp,
}

/// Waits until `fd` can be read, its other end is gone, a signal arrives or `timeout` (at most 60 s) is over.
pub fn wait_readable(fd: BorrowedFd<'_>, timeout: Duration) -> Wait {
    let time = Timespec::try_from(timeout.min(Duration::from_mins(1))).ok();
    let mut entry = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    let n = poll(&mut entry, time.as_ref());
    let seen = entry[0].revents();
    match n {
        Ok(1..) if seen.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) => Wait::HungUp,
        Ok(1..) if seen.contains(PollFlags::IN) => Wait::Ready,
        _ => Wait::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn no_number_of_a_process_means_all_of_them() {
        // As -1 it would reach every process; signal 0 would do nothing to them.
        assert_eq!(kill(u32::MAX, 0).unwrap_err().raw_os_error(), Some(libc::ESRCH));
        assert!(kill(std::process::id(), 0).is_ok());
    }

    #[test]
    fn a_thread_with_its_own_table_has_what_it_keeps_and_no_more() {
        let (_kept_reader, kept) = std::io::pipe().unwrap();
        let (mut left_reader, mut left) = std::io::pipe().unwrap();
        let numbers = [kept.as_raw_fd(), left.as_raw_fd()];
        let (tell, told) = channel();
        let body = move || {
            let open = |fd: &RawFd| std::fs::exists(format!("/proc/thread-self/fd/{fd}")).unwrap();
            tell.send([0, numbers[0], numbers[1]].each_ref().map(open)).unwrap();
        };
        // SAFETY: the thread captures numbers and a channel, and opens nothing.
        unsafe { spawn_with_own_table(thread::Builder::new(), &[kept.as_fd()], body) }.unwrap();
        assert_eq!(told.recv().unwrap(), [true, true, false]);
        // It closed its copy alone.
        left.write_all(b"x").unwrap();
        drop(left);
        assert_eq!(std::io::read_to_string(&mut left_reader).unwrap(), "x", "no writer is left in the other table");
    }

    /// Has the kernel refuse unshare(2) to the calling thread and those that it starts, as the seccomp profiles of containers do.
    fn forbid_unshare() {
        let word = |code: u32, jt: u8, k: u32| libc::sock_filter { code: u16::try_from(code).unwrap(), jt, jf: 0, k };
        let number = u32::try_from(libc::SYS_unshare).unwrap();
        let mut program = [
            // The number of the call is the first word that the filter sees; one that differs goes by the refusal.
            word(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
            libc::sock_filter { jf: 1, ..word(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, number) },
            word(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned()),
            word(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let filter = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
        // SAFETY: the kernel copies the filter, which is ours and as long as it says.
        let done = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter)
        };
        check(done).unwrap();
    }

    #[test]
    fn a_thread_has_its_own_table_where_unshare_is_forbidden() {
        let inside = thread::spawn(|| {
            forbid_unshare();
            // SAFETY: no memory is touched.
            let refused = check(unsafe { libc::unshare(libc::CLONE_FILES) }).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
            let (mut reader, left) = std::io::pipe().unwrap();
            let (tell, told) = channel();
            let (end, ended) = channel::<()>();
            let number = left.as_raw_fd();
            let body = move || {
                tell.send(std::fs::exists(format!("/proc/thread-self/fd/{number}")).unwrap()).unwrap();
                let _ = ended.recv();
            };
            // SAFETY: the thread captures a number and two channels, and opens nothing.
            unsafe { spawn_with_own_table(thread::Builder::new(), &[], body) }.unwrap();
            assert!(!told.recv().unwrap(), "it has closed its copy");
            drop(left);
            assert_eq!(std::io::read_to_string(&mut reader).unwrap(), "", "no writer is left in the other table");
            drop(end);
        });
        inside.join().unwrap();
    }

    #[test]
    fn a_handshake_is_timed_by_the_kernel_unless_its_syn_was_repeated() {
        use socket2::{Domain, SockAddr, Socket, Type};
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
        // Of one place, as the kernel counts: two fit in.
        listener.listen(1).unwrap();
        let connect = || {
            let start = std::time::Instant::now();
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.connect(&listener.local_addr().unwrap()).unwrap();
            (handshake(socket.as_fd()).unwrap(), start.elapsed(), socket)
        };
        let (first, second) = (connect(), connect());
        for (handshake, took, _) in [&first, &second] {
            assert!(matches!(handshake, Handshake::Took(us) if u128::from(*us) <= took.as_micros()), "{handshake:?}");
        }
        let third = thread::scope(|scope| {
            let third = scope.spawn(connect);
            thread::sleep(Duration::from_millis(300));
            listener.accept().unwrap();
            third.join().unwrap()
        });
        assert_eq!(third.0, Handshake::Repeated, "after {:?}", third.1);
    }

    #[test]
    fn a_pipe_is_quiet_then_ready_then_gone() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        assert_eq!(wait_readable(reader.as_fd(), Duration::ZERO), Wait::Nothing);
        writer.write_all(b"x").unwrap();
        assert_eq!(wait_readable(reader.as_fd(), Duration::ZERO), Wait::Ready);
        drop(writer);
        assert_eq!(wait_readable(reader.as_fd(), Duration::ZERO), Wait::HungUp);
    }
}
