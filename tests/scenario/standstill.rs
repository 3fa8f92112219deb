//! A server that stands still while its clients send on, until TCP buffer memory is full: how long that was forecast to take,
//! and how long it took.

#![expect(clippy::cast_precision_loss, reason = "pages of memory")]

use std::time::{Duration, Instant};

use c1m_top::protocol::Role;
use c1m_top::sys;

use crate::support::{HostSetting, Need, Run, sockstat, wait_within};

/// What it needs: `tcp_mem` is the whole machine's, and seen in the first network namespace alone.
pub(crate) const NEEDS: &[Need] = &[Need::Host, Need::Root];

/// What is sent, and the room for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) connections: u64,
    pub(crate) message: &'static str,
    pub(crate) every: &'static str,
    /// Pages of `tcp_mem`.
    pub(crate) pages: u64,
}

/// Three sizes of messages, each for some seconds.
pub(crate) const LOADS: [Load; 3] = [
    Load { connections: 2000, message: "64", every: "50ms", pages: 36_000 },
    Load { connections: 2000, message: "1KiB", every: "200ms", pages: 64_000 },
    Load { connections: 1000, message: "16KiB", every: "500ms", pages: 160_000 },
];

/// Longest that a standstill may take.
const LONGEST: Duration = Duration::from_mins(1);

/// Seconds that were forecast, and that it took.
pub(crate) fn standstill(load: Load) -> (f64, f64) {
    // Pages in use; below the pressure mark nothing is squeezed.
    let max = sockstat("mem") + load.pages;
    let marks = format!("{} {} {max}", max - 2, max - 1);
    let _setting = HostSetting::set("/proc/sys/net/ipv4/tcp_mem", &marks);
    let Load { connections, message, every, .. } = load;
    let traffic = format!("--active 100% --message {message} --every {every} --no-wait");
    let options = format!("--server --client 127.0.0.1 9900 --ports 10 --target {connections} --hold 80s {traffic}");
    let mut run = Run::start(&options);
    run.until("the hold", |p| p.event("phase/holding").is_some());
    let engines = run.engines(true, true);
    let watched = Run::start(&format!("--attach {} --duration 3s --interval 500ms", engines.client.unwrap())).finish();
    let limit = watched.limit("freeze");
    let forecast = limit.limit.unwrap_or_else(|| panic!("no forecast: {limit:?}")) as f64;
    let server = run.engine(Role::Server);
    sys::kill(server, libc::SIGSTOP).unwrap();
    let start = Instant::now();
    wait_within(LONGEST, "tcp_mem to fill", || (sockstat("mem") + 4 >= max).then_some(()));
    let took = start.elapsed().as_secs_f64();
    sys::kill(server, libc::SIGCONT).unwrap();
    run.interrupt();
    (forecast, took)
}
