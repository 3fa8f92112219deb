//! Buffer memory of all TCP sockets: data in flight or unread.


use super::prelude::*;
use crate::sample::Kernel;
use super::syn_queue::{other_drops, syncookies};
use crate::units::whole;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "tcp_mem",
    label: "TCP buffers",
    unit: Unit::Bytes,
    help: "Buffers of all TCP sockets (tcp_mem): data in flight or unread. Idle connections need none. Above the pressure mark every socket slows down; at the maximum, sends fail.",
    sources: "mem in /proc/net/sockstat; tcp_mem",
    sysctls: &[KEY],
    counters: &COUNTERS,
    log: &[LogTopic::TcpMemory],
    holds_unread: true,
    read,
    need,
    phrase: |_| "TCP buffer memory (tcp_mem)".to_owned(),
    ..PLAIN
};

const ID: LimitId = LimitId::TcpMem;
const KEY: &str = "net.ipv4.tcp_mem";

const MIB: f64 = 1024.0 * 1024.0;

/// What a buffer takes besides its bytes: `SKB_TRUESIZE(0)` of `include/linux/skbuff.h` on 64-bit machines.
const BUFFER_OWN: u64 = 576;

/// What helps where no number is known.
fn larger_buffers() -> Cure {
    Remedy::advice(Level::Server, "read faster, or raise net.ipv4.tcp_rmem and tcp_mem").into()
}

static COUNTERS: [CounterInfo; 5] = [
    CounterInfo {
        id: "listen_drops",
        proof: "ListenDrops less ListenOverflows and TCPReqQFullDrop",
        read: |s| if syncookies(&s.kernel.net) == Some(0) { None } else { other_drops(s) },
        what: "a listening socket dropped connections for a reason other than a full queue, most often lack of memory",
        cure: || Remedy::advice(Level::Host, "look at memory and tcp_mem").into(),
        ..COUNTER
    },
    CounterInfo {
        id: "memory_pressures",
        proof: "TCPMemoryPressures",
        read: |s| ext(s, |e| e.memory_pressures),
        // Counts how often pressure began, not whom it met.
        few: 1,
        what: "TCP buffers passed their pressure mark: every socket slows down",
        cure: || Remedy::advice(Level::Host, "read faster, or raise net.ipv4.tcp_mem").into(),
        with_numbers: true,
        speaks_for_limit_from: 1,
        ..COUNTER
    },
    CounterInfo {
        id: "prune_called",
        proof: "PruneCalled",
        read: |s| ext(s, |e| e.prune_called),
        what: "receive queues were squeezed for lack of buffer memory: someone is not reading what is sent to them",
        cure: larger_buffers,
        ..COUNTER
    },
    CounterInfo {
        id: "rcv_pruned",
        proof: "RcvPruned",
        read: |s| ext(s, |e| e.rcv_pruned),
        what: "packets were dropped from receive queues for lack of buffer memory",
        cure: larger_buffers,
        ..COUNTER
    },
    CounterInfo {
        id: "abort_on_memory",
        proof: "TCPAbortOnMemory",
        read: |s| ext(s, |e| e.abort_on_memory),
        severity: Severity::Critical,
        what: "the kernel reset connections for lack of TCP memory, or because there were too many orphans",
        cure: || {
            Cure::from([
                Remedy::advice(Level::Host, "raise net.ipv4.tcp_mem"),
                Remedy::option("close at a lower rate (net.ipv4.tcp_max_orphans)"),
            ])
        },
        log: &[LogTopic::TcpMemory, LogTopic::Orphans],
        ..COUNTER
    },
];

/// The three marks of `tcp_mem`, scaled so that the one at `of` pages becomes `to` pages.
fn scaled(marks: [u64; 3], of: u64, to: u64, round: fn(u64) -> u64) -> Remedy {
    let scale = |mark: u64| round(u64::try_from((u128::from(mark) * u128::from(to)).div_ceil(u128::from(of.max(1)))).unwrap_or(u64::MAX));
    let [low, pressure, max] = marks.map(scale);
    Remedy::host_sysctl(KEY, format!("{low} {pressure} {max}"))
}

/// Judged by data in flight: idle connections add nothing, so its slope usually says "never".
fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let Kernel { net, host, .. } = &context.sample.kernel;
    let page = host.page_size;
    let (pages, marks) = match (&net.sockstat, &net.tcp_mem) {
        (Err(why), _) | (_, Err(why)) => return out.push(Meter::unknown(ID, "host", why)),
        (Ok(sockstat), Ok(marks)) => (sockstat.mem_pages, *marks),
    };
    let [_, pressure, max] = marks.map(|p| p.saturating_mul(page));
    let share = |mark: u64, otherwise: f64| if max > 0 { mark as f64 / max as f64 } else { otherwise };
    let mut meter = Meter::growing(ID, "host", pages.saturating_mul(page), max, 8.0 * MIB)
        .expecting(0.0)
        .levels(share(pressure, 0.66), 0.9)
        .cured(move |need| {
            Cure::from([
                Remedy::advice(Level::Server, "read faster"),
                scaled(marks, marks[2], need.div_ceil(page), |pages| pages),
            ])
        });
    if max == 0 {
        meter.growth = Growth::Independent;
    }
    out.push(meter);
}

/// Buffers are for data in flight: at the worst each active connection has one message unread, in pages of its own.
fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    let marks = match &given.kernel.net.tcp_mem {
        Ok(marks) => *marks,
        Err(why) => return out.push(Need::unknown(ID, why)),
    };
    let (page, pressure) = (given.kernel.host.page_size, marks[1]);
    let each = given.ask.traffic.map_or(0.0, |t| t.share * (t.message + BUFFER_OWN).div_ceil(page) as f64);
    let pages = whole((given.ask.target as f64 * each).ceil());
    let need = Need::compare(ID, "host", pressure.saturating_mul(page), pages.saturating_mul(page));
    if pages == 0 {
        return out.push(need.because("idle connections hold no buffers (Linux 6.0 and later)"));
    }
    out.push(
        need.met_at(whole(pressure as f64 / each))
            .because("the pressure mark, if every active connection leaves one message unread")
            .mild()
            .cured(|| scaled(marks, pressure, pages, round_up)),
    );
}
