//! Queues, which the rate fills and not the count; and what a mass close does.

use crate::advise::row::{Row, Setting};
use crate::advise::{Program, Side, Verdict};
use crate::units::grouped;

use super::Given;

/// A server that does not accept for so long, in milliseconds, should lose nothing: a garbage collection, a busy core.
const PAUSE_MS: u64 = 100;

pub(super) fn rows(given: &Given<'_>, out: &mut Vec<Row>) {
    if given.ask.accepts() {
        accepting(given, out);
    } else {
        out.push(Row::na("accept_queue", "bounds who accepts: check on the server's machine"));
        out.push(Row::na("syn_queue", "bounds who accepts: check on the server's machine"));
    }
    out.push(backlog(given));
    closing(given, out);
}

/// Connections that one listener may have waiting, and how that comes about.
fn waiting(given: &Given<'_>) -> (u64, String) {
    let ask = given.ask;
    if ask.role == Side::Both {
        let n = ask.engines.in_flight;
        return (n, format!("c1m-top's client has {} connects under way at most", grouped(n)));
    }
    let n = (ask.rate * PAUSE_MS / 1000).div_ceil(u64::from(ask.ports.max(1)));
    let ports = if ask.ports == 1 { "one port".to_owned() } else { format!("{} ports", ask.ports) };
    (n, format!("{}/s over {ports}, if the server does not accept for {PAUSE_MS} ms", grouped(ask.rate)))
}

fn accepting(given: &Given<'_>, out: &mut Vec<Row>) {
    let (n, why) = waiting(given);
    let net = &given.kernel.net;
    out.push(match &net.somaxconn {
        Err(error) => Row::unknown("accept_queue", error),
        Ok(somaxconn) => Row::held("accept_queue", "net.core.somaxconn", *somaxconn, n)
            .because(why.clone())
            .mild()
            .set(|| Setting::sysctl("net.core.somaxconn", n)),
    });
    out.push(match &net.max_syn_backlog {
        Err(error) => Row::unknown("syn_queue", error),
        Ok(backlog) => Row::held("syn_queue", "tcp_max_syn_backlog", *backlog, n)
            .because(why)
            .mild()
            .set(|| Setting::sysctl("net.ipv4.tcp_max_syn_backlog", n)),
    });
}

/// Packets that wait for a core.
fn backlog(given: &Given<'_>) -> Row {
    let in_flight = given.ask.engines.in_flight;
    match (given.ask.role, given.around.netdev_max_backlog) {
        (_, None) => Row::without("backlog", Verdict::Unknown, "net.core.netdev_max_backlog cannot be read"),
        (Side::Both, Some(limit)) => Row::held("backlog", "netdev_max_backlog", limit, in_flight)
            .because("a packet for each connect under way")
            .mild()
            .set(|| Setting::sysctl("net.core.netdev_max_backlog", in_flight)),
        (_, Some(limit)) => Row::without(
            "backlog",
            Verdict::Unknown,
            format!("netdev_max_backlog is {}; what fills it is the rate: a run counts the drops", grouped(limit)),
        ),
    }
}

fn closing(given: &Given<'_>, out: &mut Vec<Row>) {
    let net = &given.kernel.net;
    for (id, max, what) in
        [("orphans", &net.max_orphans, "orphaned sockets"), ("time_wait", &net.max_tw, "sockets in TIME_WAIT")]
    {
        out.push(match (max, given.ask.program) {
            (Err(why), _) => Row::unknown(id, why),
            (Ok(_), Program::Own) => {
                Row::na(id, format!("c1m-top closes by reset: no {what} (--close fin leaves some)"))
            }
            (Ok(max), Program::Other { .. }) => Row::held(id, "at the close", *max, given.ask.target)
                .because(format!("{what}, if all are closed at once from this end"))
                .mild()
                .cured(|| "close at a pace, or from the other end: nothing to set".to_owned()),
        });
    }
}
