//! What the runtime of a watched process limits itself to: ports of BEAM, heaps of others.

use crate::sample::{HeapSource, HeapUse, Runtime, RuntimeLimit, Watched};

use super::meter::Doubt;
use super::nofile::of_one_table;
use super::prelude::*;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "runtime",
    label: "runtime limit",
    unit: Unit::Count,
    of_process: true,
    help: "A limit the program was started with: BEAM's ports (+Q), the heap of Node and the JVM, Go's GOMEMLIMIT.",
    sources: "/proc/PID/cmdline, /proc/PID/environ; descriptors, /proc/PID/maps, hsperfdata, or resident memory",
    read,
    need,
    phrase: |limit| {
        let scope = &limit.scope;
        match limit.unit {
            Unit::Count => format!("the port limit (+Q) of {scope}"),
            _ => format!("the heap limit of {scope}"),
        }
    },
    ..PLAIN
};

const ID: LimitId = LimitId::Runtime;

const MIB: f64 = 1024.0 * 1024.0;

/// What resident memory moves by without any connection: garbage that waits for its collector.
const GARBAGE: f64 = 16.0 * MIB;

/// Shares of a heap that is certainly in use from which on it is an alarm. V8 gives up from 0.8 on, when collecting takes most
/// of its time ("Ineffective mark-compacts near heap limit"; measured at 0.80, 0.80, 0.81, 0.87 and 0.92).
const LEVELS: (f64, f64) = (0.8, 0.95);
/// Where V8 may give up, as shares of its limit: pages are not all full when it does.
const V8_ENDS: (f64, f64) = (0.8, 1.05);
/// Where a JVM throws `OutOfMemoryError`: with all of it in use, or when collecting takes nearly all of its time.
const JVM_ENDS: (f64, f64) = (0.95, 1.05);
/// What a connection takes of a heap at the least, bytes. A bare socket of node 20: 960 B.
const V8_LEAST: f64 = 900.0;
/// The same of a JVM: a channel with its key in `OpenJDK` 17 is 600 B.
const JVM_LEAST: f64 = 500.0;

fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let sample = context.sample;
    let mut foreign = sample.watched().filter(|t| t.engine.is_none()).peekable();
    if foreign.peek().is_none() {
        let none = sample.kernel.processes.is_empty();
        let why = if none { "no process watched" } else { "c1m-top's engines have none" };
        return out.push(Meter::not_applicable(ID, "process", why));
    }
    // Of the many processes of a program those that have a limit are enough.
    let living: Vec<Watched<'_>> = foreign.filter(|t| t.alive).collect();
    let limited = living.iter().any(|t| matches!(t.process.runtime, Ok(Some(_))));
    let shown = living.iter().enumerate().filter(|(i, t)| match t.process.runtime {
        Ok(Some(_)) => true,
        _ => *i == 0 && !limited,
    });
    out.extend(shown.map(|(_, target)| match &target.process.runtime {
        Err(why) => Meter::unknown(ID, target.scope(), why),
        Ok(None) => Meter::not_applicable(ID, target.scope(), "none in its start options"),
        Ok(Some(limit)) if limit.runtime == Runtime::Beam => ports(context, *target, limit),
        Ok(Some(limit)) => heap(*target, limit),
    }));
}

/// Ports, which nobody outside can count: of the descriptors each socket is one.
fn ports(context: &Context<'_>, target: Watched<'_>, limit: &RuntimeLimit) -> Meter {
    let used = match &target.process.descriptors {
        Err(why) => return Meter { limit: Some(limit.limit), ..Meter::unknown(ID, target.scope(), why) },
        Ok(used) => *used,
    };
    // It has a few ports fewer than descriptors: what it does tells that they are used up.
    let full = context.noted.turnover.closes(Some(limit.limit)).is_some() || context.noted.standing.is_long();
    let met = used >= limit.limit && full;
    let meter = Meter {
        met: met.then(|| format!("{} has no port left, and accepts no more connections", target.scope())),
        divides: true,
        reason: Some(format!("ports ({}); every open file is counted as one, as a socket is", limit.set_by)),
        ..Meter::growing(ID, target.scope(), used, limit.limit, 8.0).levels(0.95, 0.99).cured(more_ports)
    };
    // So many more cannot be ports: they are sockets of the module `socket`, which take none.
    if used > limit.limit + limit.limit / 10 {
        return Meter {
            growth: Growth::Independent,
            state: Some(LimitState::Ok),
            reason: Some(format!("ports ({}); its sockets take none (inet_backend socket)", limit.set_by)),
            ..meter
        };
    }
    meter
}

/// Bytes of a heap, within the bounds that can be told from outside.
fn heap(target: Watched<'_>, limit: &RuntimeLimit) -> Meter {
    let why = match &target.process.heap {
        Ok(Some(heap)) => return heap_in_use(target, limit, *heap),
        Ok(None) => String::new(),
        Err(why) => format!("; its heap: {why}"),
    };
    resident(target, limit, &why)
}

/// A heap that is read. An alarm is raised for what is certainly in use and counts against the limit.
fn heap_in_use(target: Watched<'_>, limit: &RuntimeLimit, heap: HeapUse) -> Meter {
    let runtime = limit.runtime;
    let doubt = doubt(runtime, heap);
    let share = heap.least_bytes as f64 / heap.limit_bytes.max(1) as f64;
    let state = match share {
        share if share >= LEVELS.1 => LimitState::Critical,
        share if share >= LEVELS.0 => LimitState::Warn,
        _ => LimitState::Ok,
    };
    let middle = u64::midpoint(heap.least_bytes, heap.most_bytes);
    let used = middle.min(heap.limit_bytes).max(heap.least_bytes);
    let [least, most] = [heap.least_bytes, heap.most_bytes].map(bytes);
    let how = match heap.by {
        HeapSource::Pages => "its pages do not tell old from young, and only the old ones count",
        HeapSource::PerfData => "the lower figure is what the last collection left; what came since may be garbage",
    };
    let ends = match runtime {
        Runtime::V8 => "when it is full, it ends with \"heap out of memory\"",
        _ => "a full one throws OutOfMemoryError",
    };
    Meter {
        unit: Unit::Bytes,
        state: Some(state),
        reason: Some(format!("{}: {least} to {most} in use ({how}); {ends}", limit.set_by)),
        followed: Some(doubt.middle()),
        doubt: Some(doubt),
        ..Meter::growing(ID, target.scope(), used, heap.limit_bytes, 0.0).expecting(0.0)
    }
    .cured(move |need| more_heap(runtime, need))
}

/// Within which bounds a heap is used, and where it ends.
fn doubt(runtime: Runtime, heap: HeapUse) -> Doubt {
    let (ends, floor) = if runtime == Runtime::V8 { (V8_ENDS, V8_LEAST) } else { (JVM_ENDS, JVM_LEAST) };
    let limit = heap.limit_bytes as f64;
    Doubt {
        least: heap.least_bytes as f64,
        most: heap.most_bytes as f64,
        from: ends.0 * limit,
        to: ends.1 * limit,
        floor,
    }
}

/// Bytes of a heap that cannot be read, against resident memory, which is more. Never an alarm: a heap may fill to its limit
/// and be collected, and memory may lie outside of it.
fn resident(target: Watched<'_>, limit: &RuntimeLimit, why: &str) -> Meter {
    let used = match &target.process.rss_bytes {
        Err(why) => {
            let meter = Meter::unknown(ID, target.scope(), why);
            return Meter { unit: Unit::Bytes, limit: Some(limit.limit), ..meter };
        }
        Ok(used) => *used,
    };
    let runtime = limit.runtime;
    let meter = Meter {
        unit: Unit::Bytes,
        state: Some(LimitState::Ok),
        reason: Some(format!("{}: {}{why}", limit.set_by, heap_note(runtime))),
        ..Meter::growing(ID, target.scope(), used, limit.limit, GARBAGE).expecting(0.0)
    };
    let meter = meter.cured(move |need| more_heap(runtime, need));
    match runtime {
        // What grows with connections in JavaScript stays until it goes: the slope means something. But none of it may be heap.
        Runtime::V8 => {
            let (most_bytes, limit_bytes) = (used, limit.limit);
            let doubt = doubt(runtime, HeapUse { least_bytes: 0, most_bytes, limit_bytes, by: HeapSource::Pages });
            Meter { used: Some(used.min(limit.limit)), followed: Some(doubt.middle()), doubt: Some(doubt), ..meter }
        }
        _ => Meter { growth: Growth::Independent, ..meter },
    }
}

/// What the limit of a heap bounds, and how meeting it shows.
fn heap_note(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::V8 => {
            "limits the old part of the heap; resident memory is more. When it is full the process ends with \"heap out of memory\""
        }
        Runtime::Jvm => {
            "limits the heap; resident memory is more. A heap close to it is normal, a full one throws OutOfMemoryError"
        }
        Runtime::Go | Runtime::Beam => "if this is a Go program, its collector works harder close to it; nothing fails",
    }
}

/// The option that gives a heap so many bytes.
fn more_heap(runtime: Runtime, need: u64) -> Remedy {
    let mib = need.div_ceil(1 << 20);
    let text = match runtime {
        Runtime::V8 => format!("--max-old-space-size={mib}"),
        Runtime::Jvm => format!("-Xmx{mib}m"),
        Runtime::Go | Runtime::Beam => format!("GOMEMLIMIT={mib}MiB in its environment"),
    };
    Remedy::advice(Level::Server, text)
}

/// How BEAM is given room for so many ports.
fn more_ports(need: u64) -> Remedy {
    let text =
        format!("start it with +Q {need}, or with ERL_MAX_PORTS={need} in its environment (ejabberd: in ejabberdctl.cfg)");
    Remedy::advice(Level::Server, text)
}

/// What a program limits itself to when it starts; of one that runs it can be read.
fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    let Some((holder, processes)) = given.other() else {
        return out.push(Need::not_applicable(ID, "c1m-top's engines have none"));
    };
    let Some(process) = holder.process.filter(|_| given.ask.running) else {
        return out.push(Need::without(
            ID,
            Verdict::Unknown,
            "the program's own options cannot be seen from here: BEAM +Q, V8 --max-old-space-size, JVM -Xmx, GOMEMLIMIT, nginx worker_connections",
        ));
    };
    let row = match &process.runtime {
        Err(why) => Need::unknown(ID, why),
        Ok(None) => Need::without(
            ID,
            Verdict::Unknown,
            "none in its start options; its configuration cannot be seen from here (nginx: worker_connections)",
        ),
        Ok(Some(limit)) if limit.runtime == Runtime::Beam => {
            let (need, besides) = of_one_table(given, &holder, processes);
            Need::compare(ID, "", limit.limit, need)
                .met_at(limit.limit.saturating_sub(besides).saturating_mul(processes))
                .because(format!("ports ({}): one for each socket, unless with inet_backend socket", limit.set_by))
                .cured(|| more_ports(round_up(need)))
        }
        Ok(Some(limit)) => heap_need(given, limit, processes),
    };
    out.push(row.of(format!("{} {}", process.name, process.pid)));
}

/// A heap, where `--user-memory` says what a connection needs of it.
fn heap_need(given: &Given<'_>, limit: &RuntimeLimit, processes: u64) -> Need {
    let about = format!("{}: {}", limit.set_by, heap_note(limit.runtime));
    let each = given.ask.user_bytes;
    let row = if each == 0 {
        let why = format!("{about}. What a connection needs of it: --user-memory");
        Need { present: Some(limit.limit), ..Need::without(ID, Verdict::Unknown, why) }
    } else {
        let need = given.ask.target.div_ceil(processes).saturating_mul(each);
        Need::compare(ID, "", limit.limit, need)
            .met_at((limit.limit / each).saturating_mul(processes))
            .because(about)
            // How much of a program's memory lies in that heap only the program knows.
            .mild()
            .cured(|| more_heap(limit.runtime, round_up(need)))
    };
    Need { unit: Unit::Bytes, ..row }
}
