//! What the target needs of each limit: one file per kind of resource.

mod descriptors;
mod memory;
mod network;
mod ports;
mod queues;
mod tasks;

use crate::sample::{Kernel, Process};

use super::ask::{Ask, OwnEngines, Program, Side, Surroundings};
use super::row::Row;

/// All that is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) ask: &'a Ask,
    pub(super) kernel: &'a Kernel,
    pub(super) around: &'a Surroundings,
}

/// Who holds one end.
#[derive(Debug, Clone, Copy)]
struct Holder<'a> {
    role: &'static str,
    program: Program,
    /// Listeners in each of its tables.
    listeners: u64,
    /// The process whose limits it has: itself, or who will start it.
    process: Option<&'a Process>,
}

impl Given<'_> {
    /// Server first, client second.
    fn holders(&self) -> Vec<Holder<'_>> {
        let (ask, targets) = (self.ask, &self.kernel.processes);
        // c1m-top listens on both families, but on loopback alone where its own client targets that.
        let families = if ask.role == Side::Both { 1 } else { 2 };
        let listeners = u64::from(ask.ports) * families;
        // The running program comes first, this process last.
        let process = |program| if program == Program::Own { targets.last() } else { targets.first() };
        let mut found = Vec::new();
        if ask.accepts() {
            found.push(Holder { role: "server", program: ask.program, listeners, process: process(ask.program) });
        }
        if ask.connects() {
            let program = if ask.accepts() { Program::Own } else { ask.program };
            found.push(Holder { role: "client", program, listeners: 0, process: process(program) });
        }
        found
    }

    /// How large a limit has to be for the run to use so much of it, below the share at which its guard holds.
    fn guarded(&self, used: u64) -> u64 {
        (used as f64 / self.ask.share()).ceil() as u64
    }

    /// So much of a limit can be used before the run's guard holds.
    fn usable(&self, limit: u64) -> u64 {
        (limit as f64 * self.ask.share()) as u64
    }

    /// Sockets of this machine at the target.
    fn sockets(&self) -> u64 {
        self.ask.target.saturating_mul(self.ask.ends())
    }

    /// The count at which so much room is used up by both ends.
    fn count_of(&self, room: u64) -> u64 {
        room / self.ask.ends()
    }
}

/// Descriptors that each table of an engine needs besides connections.
fn fixed(engines: OwnEngines, listeners: u64) -> u64 {
    listeners + engines.table_own
}

/// Worker threads that hold `target` connections with tables of `table`; `None` where a table holds none.
fn tables(target: u64, table: u64, fixed: u64) -> Option<u64> {
    table.checked_sub(fixed).filter(|room| *room > 0).map(|room| target.div_ceil(room))
}

/// Every limit, in the order in which people look for them.
pub(super) fn rows(given: &Given<'_>) -> Vec<Row> {
    let mut out = Vec::with_capacity(24);
    descriptors::rows(given, &mut out);
    out.push(ports::row(given));
    memory::rows(given, &mut out);
    network::rows(given, &mut out);
    queues::rows(given, &mut out);
    tasks::rows(given, &mut out);
    out
}
