//! Memory of the machine, judged by real headroom.

use super::Oom;
use super::headroom::{Headroom, connection_memory};
use super::meter::{Guarded, Keeps};
use super::prelude::*;
use crate::units::whole;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "memory",
    label: "memory",
    unit: Unit::Bytes,
    help: "Memory of the machine, judged by real headroom: what open sockets hold cannot be freed. When it runs out, the kernel's OOM killer ends a process.",
    sources: "/proc/meminfo, /proc/zoneinfo, /proc/slabinfo",
    stops_run: true,
    errnos: &[("", "ENOMEM"), ("", "ENOBUFS")],
    log: &[LogTopic::Allocation],
    oom: Some(Oom::Machine),
    sure_from: 50_000.0,
    cure_in_advance: false,
    read,
    need,
    phrase: |_| "memory (by real headroom)".to_owned(),
    ..PLAIN
};

const ID: LimitId = LimitId::Memory;

const MIB: f64 = 1024.0 * 1024.0;

/// Unless told otherwise the guard keeps this share of the headroom that was there at the start.
const KEEP: f64 = 0.1;
/// Doubt in the cost of a connection before it has been measured.
pub(super) const DOUBT: f64 = 1.25;
/// A measured cost is not believed below this share of the cost of one idle end: a ramp that reuses memory freed by the
/// last one looks cheaper than it is.
const FLOOR: f64 = 0.5;

/// Kernel memory of an idle connection on Linux 6.18, bytes: what to expect before it has been measured.
pub fn per_connection(both_ends: bool) -> f64 {
    if both_ends { 8232.0 } else { 4116.0 }
}

/// How the guard reckons with memory, of the machine or of a cgroup.
pub(super) fn guarded(both_ends: bool) -> Guarded {
    Guarded {
        keeps: Keeps::OfRoomAtStart,
        unmeasured: per_connection(both_ends) * DOUBT,
        floor: FLOOR * per_connection(false),
        step: 0.0,
        with_in_flight: false,
    }
}

fn cure(need: u64) -> Cure {
    Cure::from([
        Remedy::advice(Level::Host, format!("a machine with {} of memory", bytes(need))),
        Remedy::option("a lower --target (smaller buffers save nothing on idle connections)"),
    ])
}

fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let sample = context.sample;
    out.push(match (&sample.kernel.host.mem, context.headroom) {
        (Err(why), _) => Meter::unknown(ID, "host", why),
        (Ok(_), None) => Meter::without(ID, "host", LimitState::Unknown, "not readable"),
        (Ok(_), Some(headroom)) => Meter {
            // Memory in use moves with whatever else runs here; the cost of a connection does not.
            // What cannot be told now is not learnt from: use itself moves with everybody's memory.
            followed: Some(connection_memory(sample).map_or(f64::NAN, |b| b as f64)),
            // Of what others beside it open nothing is this run's.
            slope: context.cost,
            guarded: Some(guarded(context.both_ends)),
            ..Meter::growing(ID, "host", headroom.used_bytes(), headroom.capacity_bytes, 2.0 * MIB)
        }
        .expecting(per_connection(context.both_ends))
        .cured(cure),
    });
}

/// The share of free memory that the run may take: the rest the guard keeps, and prudence where there is none.
pub(super) fn share(given: &Given<'_>) -> f64 {
    given.ask.share().min(1.0 - KEEP)
}

fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    let mem = match &given.kernel.host.mem {
        Ok(mem) => mem,
        Err(why) => return out.push(Need::unknown(ID, why)),
    };
    let Some(headroom) = Headroom::of(given.kernel, None) else {
        return out.push(Need::without(ID, Verdict::Unknown, "not readable"));
    };
    let expected = per_connection(given.ask.role == Side::Both) + given.ask.user_bytes as f64;
    let each = given.ask.measured.map_or(expected, |measured| measured.total_bytes);
    let needed = whole(given.ask.target as f64 * each);
    let share = share(given);
    let room = whole(headroom.bytes as f64 * share);
    out.push(
        Need::compare(ID, "host", room, needed)
            .met_at(whole(room as f64 / each))
            .because(format!(
                "{} B per connection; {:.0} % of the {} free is kept",
                grouped(whole(each)),
                (1.0 - share) * 100.0,
                bytes(headroom.bytes)
            ))
            .cured(|| cure(round_up(mem.total + needed - room))),
    );
}
