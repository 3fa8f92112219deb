//! Connections half open at a listening socket.

use super::accept_queue::{Drops, ELSEWHERE, SOMAXCONN, burst, faster_or_larger, larger};
use super::prelude::*;
use crate::sample::Net;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "syn_queue",
    label: "SYN queue",
    unit: Unit::Count,
    help: "Half-open connections; the bound is the listener's backlog or net.core.somaxconn, whichever is smaller, and without SYN cookies also three quarters of tcp_max_syn_backlog. When it overflows, the kernel answers with SYN cookies or drops.",
    sources: "TCPReqQFullDoCookies, TCPReqQFullDrop, ListenDrops; somaxconn, tcp_max_syn_backlog, tcp_syncookies",
    sysctls: &[BACKLOG],
    counters: &COUNTERS,
    log: &[LogTopic::SynQueue],
    read,
    need,
    ..PLAIN
};

const ID: LimitId = LimitId::SynQueue;
const BACKLOG: &str = "net.ipv4.tcp_max_syn_backlog";

/// `tcp_syncookies`, where it can be seen.
pub(super) fn syncookies(net: &Net) -> Option<u64> {
    net.syncookies.as_ref().ok().copied()
}

/// `ListenDrops` counts each overflow of either queue again; only what exceeds those is its own.
pub(super) fn other_drops(sample: &Sample) -> Option<u64> {
    ext(sample, |e| e.listen_drops.saturating_sub(e.listen_overflows + e.req_q_full_drop))
}

fn cookies_on() -> Remedy {
    Remedy::root(Level::Namespace, "sysctl -w net.ipv4.tcp_syncookies=1")
}

/// What makes room for half-open connections: without SYN cookies it is `tcp_max_syn_backlog` that is met first, with them
/// the listener's own size.
fn cure(cookies: Option<u64>, to: u64) -> Cure {
    if cookies == Some(0) {
        Cure::from([Remedy::sysctl(BACKLOG, to), cookies_on()])
    } else {
        larger(to).into()
    }
}

static COUNTERS: [CounterInfo; 4] = [
    CounterInfo {
        id: "syn_drop",
        proof: "ListenDrops less ListenOverflows and TCPReqQFullDrop",
        read: |s| if syncookies(&s.kernel.net) == Some(0) { other_drops(s) } else { None },
        what: "SYNs were dropped: three quarters of net.ipv4.tcp_max_syn_backlog were half open, and SYN cookies are off",
        cure: || cure(Some(0), 65_535),
        log: &[LogTopic::SynQueue],
        ..COUNTER
    },
    CounterInfo {
        id: "syn_cookies",
        proof: "TCPReqQFullDoCookies",
        read: |s| if syncookies(&s.kernel.net) == Some(2) { None } else { ext(s, |e| e.req_q_full_do_cookies) },
        what: "the SYN queue of a listening socket was full: connections were answered with SYN cookies, which keep no place in it",
        cure: faster_or_larger,
        log: &[LogTopic::SynQueue],
        ..COUNTER
    },
    CounterInfo {
        id: "syn_cookies_always",
        proof: "TCPReqQFullDoCookies",
        read: |s| if syncookies(&s.kernel.net) == Some(2) { ext(s, |e| e.req_q_full_do_cookies) } else { None },
        severity: Severity::Info,
        what: "every connection is answered with a SYN cookie because net.ipv4.tcp_syncookies is 2; no queue was full",
        cure: || {
            let text = format!("{}, unless that is intended", cookies_on().text);
            cookies_on().worded(text).into()
        },
        ..COUNTER
    },
    CounterInfo {
        id: "req_q_full_drop",
        proof: "TCPReqQFullDrop",
        read: |s| ext(s, |e| e.req_q_full_drop),
        what: "the SYN queue of a listening socket was full and SYNs were dropped, because SYN cookies are off",
        cure: faster_or_larger,
        log: &[LogTopic::SynQueue],
        ..COUNTER
    },
];

fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let (net, scope) = (&context.sample.kernel.net, context.namespace());
    let max = |reading: &Result<u64, _>| reading.as_ref().map_or("unknown".to_owned(), u64::to_string);
    let cookies = syncookies(net);
    out.push(match &net.ext {
        Err(why) => Meter::unknown(ID, scope, why),
        // Cookies that are always sent say nothing of a queue.
        Ok(_) => Drops::of(context, COUNTERS.iter().filter(|c| c.severity > Severity::Info))
            .meter(ID, scope, || {
                let (backlog, somaxconn) = (max(&net.max_syn_backlog), max(&net.somaxconn));
                format!("overflows since the start; tcp_max_syn_backlog is {backlog}, net.core.somaxconn {somaxconn}")
            })
            .cured(move |_| cure(cookies, 65_535)),
    });
}

fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    if !given.ask.accepts() {
        return out.push(Need::not_applicable(ID, ELSEWHERE));
    }
    let net = &given.kernel.net;
    let (n, why) = burst(given);
    // With cookies `tcp_max_syn_backlog` bounds nothing (`tcp_conn_request` in `net/ipv4/tcp_input.c`).
    let cookies = syncookies(net);
    let bound = match (&net.somaxconn, &net.max_syn_backlog, cookies) {
        (Err(error), ..) | (_, Err(error), Some(0)) => Err(error),
        (Ok(somaxconn), Ok(backlog), Some(0)) if backlog / 4 * 3 < *somaxconn => Ok((BACKLOG, *backlog, n * 4 / 3)),
        (Ok(somaxconn), ..) => Ok((SOMAXCONN, *somaxconn, n)),
    };
    out.push(match bound {
        Err(error) => Need::unknown(ID, error),
        Ok((of, present, n)) => {
            Need::compare(ID, of, present, n).because(why).mild().cured(|| cure(cookies, round_up(n)))
        }
    });
}
