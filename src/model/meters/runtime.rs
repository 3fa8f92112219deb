//! What the runtime of a watched process limits itself to: ports of BEAM, heaps of others.

use crate::model::limit::{LimitState, Unit};
use crate::sample::{Runtime, RuntimeLimit, Watched};

use super::{Context, Growth, Meter};

const MIB: f64 = 1024.0 * 1024.0;

/// What a heap moves by without any connection: garbage that waits for its collector.
const GARBAGE: f64 = 16.0 * MIB;

pub(super) fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let sample = context.sample;
    let na = |why| Meter::without("runtime", "process", LimitState::NotApplicable, why);
    let mut foreign = sample.watched().filter(|t| t.engine.is_none()).peekable();
    if foreign.peek().is_none() {
        let why = if sample.kernel.processes.is_empty() { "no process watched" } else { "c1m-top's engines set none" };
        return out.push(na(why));
    }
    out.extend(foreign.filter(|t| t.alive).map(|target| match &target.runtime {
        Err(why) => Meter::unknown("runtime", target.scope(), why),
        Ok(None) => Meter { scope: target.scope(), ..na("its start options set none") },
        Ok(Some(limit)) if limit.runtime == Runtime::Beam => ports(target, limit),
        Ok(Some(limit)) => heap(target, limit),
    }));
}

/// Ports, which nobody outside can count: of the descriptors each socket is one.
fn ports(target: Watched<'_>, limit: &RuntimeLimit) -> Meter {
    let used = match &target.descriptors {
        Err(why) => return Meter { limit: Some(limit.limit), ..Meter::unknown("runtime", target.scope(), why) },
        Ok(used) => *used,
    };
    let meter = Meter {
        reason: Some(format!("ports ({}); each open descriptor is taken for one, as a socket is", limit.set_by)),
        ..Meter::growing("runtime", target.scope(), used, limit.limit, 8.0).levels(0.95, 0.99).cured(more_ports)
    };
    // So many more cannot be ports: they are sockets of the module `socket`, which take none.
    if used > limit.limit + limit.limit / 10 {
        return Meter {
            growth: Growth::Apart,
            state: Some(LimitState::Ok),
            reason: Some(format!("ports ({}); its sockets take none (inet_backend socket)", limit.set_by)),
            ..meter
        };
    }
    meter
}

/// Bytes of a heap, held against resident memory, which is more. Never an alarm: a heap may fill to its limit and be
/// collected, and memory may lie outside of it.
fn heap(target: Watched<'_>, limit: &RuntimeLimit) -> Meter {
    let used = match &target.rss_bytes {
        Err(why) => {
            let meter = Meter::unknown("runtime", target.scope(), why);
            return Meter { unit: Unit::Bytes, limit: Some(limit.limit), ..meter };
        }
        Ok(used) => *used,
    };
    let meter = Meter {
        unit: Unit::Bytes,
        state: Some(LimitState::Ok),
        reason: Some(format!("{}: {}", limit.set_by, heap_note(limit.runtime))),
        ..Meter::growing("runtime", target.scope(), used, limit.limit, GARBAGE).expecting(0.0)
    };
    let runtime = limit.runtime;
    let meter = meter.cured(move |need| more_heap(runtime, need));
    match runtime {
        // What grows with connections in JavaScript stays until it goes: the slope means something.
        Runtime::V8 => meter,
        _ => Meter { growth: Growth::Apart, ..meter },
    }
}

/// What the limit of a heap bounds, and how meeting it shows.
pub(crate) fn heap_note(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::V8 => {
            "bounds the old part of the heap, resident memory is more; met, it ends with \"heap out of memory\""
        }
        Runtime::Jvm => {
            "bounds the heap, resident memory is more; a heap near it is usual, met it throws OutOfMemoryError"
        }
        Runtime::Go | Runtime::Beam => "if this is a Go program, its collector works harder near it; nothing fails",
    }
}

/// The option that gives a heap so many bytes.
pub(crate) fn more_heap(runtime: Runtime, need: u64) -> String {
    let mib = need.div_ceil(1 << 20);
    match runtime {
        Runtime::V8 => format!("--max-old-space-size={mib}"),
        Runtime::Jvm => format!("-Xmx{mib}m"),
        Runtime::Go | Runtime::Beam => format!("GOMEMLIMIT={mib}MiB in its environment"),
    }
}

/// How BEAM is given room for so many ports.
pub(crate) fn more_ports(need: u64) -> String {
    format!("start it with +Q {need}, or with ERL_MAX_PORTS={need} in its environment (ejabberd: in ejabberdctl.cfg)")
}

/// The limit in words.
pub(crate) fn name(unit: Unit, scope: &str) -> String {
    if unit == Unit::Count { format!("the port limit (+Q) of {scope}") } else { format!("the heap limit of {scope}") }
}
