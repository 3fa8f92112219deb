//! Neighbour entries: peers on the same link.

use crate::sample::{Neighbours, Reading};

use super::prelude::*;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "neighbours",
    label: "neighbour table",
    unit: Unit::Count,
    help: "Hosts on the link in the ARP and neighbour tables (gc_thresh3). When one is full, sends to further hosts on the link fail with EHOSTUNREACH or ENOBUFS.",
    sources: "/proc/net/stat/arp_cache, ndisc_cache; gc_thresh3",
    sysctls: &[V4, V6],
    counters: &COUNTERS,
    log: &[LogTopic::Neighbours],
    read,
    need,
    ..PLAIN
};

const ID: LimitId = LimitId::Neighbours;
const V4: &str = "net.ipv4.neigh.default.gc_thresh3";
const V6: &str = "net.ipv6.neigh.default.gc_thresh3";

/// How many addresses there are on the link nobody knows: room for a /20.
const ENOUGH: u64 = 4096;

static COUNTERS: [CounterInfo; 1] = [CounterInfo {
    id: "neighbours_full",
    proof: "table_fulls in /proc/net/stat",
    read: |s| s.kernel.host.neighbours.iter().flatten().map(|n| n.table_fulls).reduce(|a, b| a + b),
    what: "the neighbour table was full: packets to further hosts on the link were dropped silently",
    cure: || {
        Cure::from([routed(), Remedy::advice(Level::Host, "raise net.ipv4.neigh.default.gc_thresh3").needs("root")])
    },
    with_numbers: true,
    speaks_for_limit_from: 5,
    log: &[LogTopic::Neighbours],
    ..COUNTER
}];

fn routed() -> Remedy {
    Remedy::advice(Level::Host, "a routed prefix for the clients")
}

/// The table exists once on a machine, whatever the namespace.
fn cure(key: &'static str, need: u64) -> Cure {
    Cure::from([routed(), Remedy::host_sysctl(key, need)])
}

/// The fuller table of the two. It grows with peers on the same link, not with connections: a client adds one entry for its
/// server, a server one for each address it is connected from.
fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let [v4, v6] = &context.sample.kernel.host.neighbours;
    let of = |table: &Reading<Neighbours>, key| table.as_ref().ok().and_then(|t| Some((t.entries, t.max?, key)));
    let known = [of(v4, V4), of(v6, V6)];
    let fuller = known.into_iter().flatten().max_by(|a, b| (a.0 * b.1).cmp(&(b.0 * a.1)));
    out.push(match (fuller, v4) {
        (Some((used, max, key)), _) => Meter::independent(ID, "host", used, Some(max))
            .levels(0.95, f64::INFINITY)
            .cured(move |need| cure(key, need.max(ENOUGH))),
        (None, Err(why)) => Meter::unknown(ID, "host", why),
        (None, Ok(_)) => {
            Meter::without(ID, "host", LimitState::Unknown, "this network namespace has no gc_thresh3")
        }
    });
}

/// Entries for peers on the same link: only many source addresses make many.
fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    let sources = given.ask.sources_named;
    let limit = given.kernel.host.neighbours[0].as_ref().ok().and_then(|table| table.max);
    out.push(match (given.ask.role, limit) {
        (Side::Both, _) => Need::not_applicable(ID, "both ends are here"),
        (_, None) => Need::without(ID, Verdict::Unknown, "gc_thresh3 cannot be read"),
        (Side::Client, Some(_)) => Need::not_applicable(ID, "one entry, for the server"),
        (Side::Server, Some(_)) if sources == 0 => Need::not_applicable(
            ID,
            "matters with hundreds of client addresses on this link (--source names them)",
        ),
        (Side::Server, Some(limit)) => Need::compare(ID, "host", limit, sources)
            .because("if the client's addresses are on this link")
            .cured(|| cure(V4, round_up(sources))),
    });
}
