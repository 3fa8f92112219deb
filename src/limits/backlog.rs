//! Packets that wait for a core.

use super::accept_queue::Drops;
use super::prelude::*;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "backlog",
    label: "packet backlog",
    unit: Unit::Count,
    help: "Packets waiting for a core to process them (net.core.netdev_max_backlog). When the queue overflows, packets are dropped.",
    sources: "column 2 of /proc/net/softnet_stat; net.core.netdev_max_backlog",
    sysctls: &[KEY],
    counters: &COUNTERS,
    read,
    need,
    ..PLAIN
};

const ID: LimitId = LimitId::Backlog;
const KEY: &str = "net.core.netdev_max_backlog";

static COUNTERS: [CounterInfo; 1] = [CounterInfo {
    id: "softnet_dropped",
    proof: "column 2 of softnet_stat",
    read: |s| s.kernel.host.softnet.as_ref().ok().map(|n| n.dropped),
    what: "packets were dropped because a core's backlog was full",
    cure: || cure(10_000).into(),
    host_wide: true,
    ..COUNTER
}];

fn cure(need: u64) -> Remedy {
    Remedy::host_sysctl(KEY, need)
}

fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    out.push(match &context.sample.kernel.host.softnet {
        Err(why) => Meter::unknown(ID, "host", why),
        Ok(_) => Drops::of(context, &COUNTERS)
            .meter(ID, "host", || "packets dropped since the start".into())
            .cured(|_| cure(10_000)),
    });
}

fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    let in_flight = given.ask.engines.in_flight;
    out.push(match (given.ask.role, given.around.netdev_max_backlog) {
        (_, None) => Need::without(ID, Verdict::Unknown, "net.core.netdev_max_backlog cannot be read"),
        (Side::Both, Some(limit)) => Need::compare(ID, "netdev_max_backlog", limit, in_flight)
            .because("one packet for each connect under way")
            .mild()
            .cured(|| cure(round_up(in_flight))),
        (_, Some(limit)) => Need::without(
            ID,
            Verdict::Unknown,
            format!("netdev_max_backlog is {}; it fills with the rate, not the count: a run counts the drops", grouped(limit)),
        ),
    });
}
