//! Sockets for each bucket of the established hash.

use super::prelude::*;
use crate::units::whole;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "hash_load",
    label: "socket hash table",
    unit: Unit::Count,
    help: "Sockets per bucket of the kernel's table of connections. Nothing fails, but connecting slows down as chains grow.",
    sources: "inuse in /proc/net/sockstat and sockstat6; tcp_ehash_entries",
    is_met: false,
    read,
    need,
    ..PLAIN
};

const ID: LimitId = LimitId::HashLoad;

/// Sockets for each bucket from which on connecting is noticeably slower.
const LONG_CHAIN: f64 = 4.0;

fn cure(need: u64) -> Remedy {
    let buckets = need.next_power_of_two();
    let text = format!(
        "thash_entries={buckets} on the kernel command line, or a network namespace of its own with \
         net.ipv4.tcp_child_ehash_entries"
    );
    Remedy::advice(Level::Host, text).needs("root")
}

fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let (net, scope) = (&context.sample.kernel.net, context.namespace());
    let (sockets, buckets) = match (net.tcp_sockets(), &net.ehash_entries) {
        (Err(why), _) | (_, Err(why)) => return out.push(Meter::unknown(ID, scope, why)),
        (Ok(sockets), Ok(buckets)) => (sockets, *buckets),
    };
    let chain = sockets as f64 / buckets.max(1) as f64;
    let mut meter = Meter::independent(ID, scope, sockets, Some(buckets)).cured(cure);
    meter.state = Some(LimitState::Ok);
    if chain >= LONG_CHAIN {
        meter.reason = Some(format!("{chain:.0} sockets per bucket: connecting slows down, nothing fails"));
    }
    out.push(meter);
}

/// Long chains fail nothing.
fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    let buckets = match &given.kernel.net.ehash_entries {
        Ok(buckets) => *buckets,
        Err(why) => return out.push(Need::unknown(ID, why)),
    };
    let needed = whole((given.sockets() as f64 / LONG_CHAIN).ceil());
    out.push(
        Need::compare(ID, "buckets", buckets, needed)
            .met_at(whole(given.count_of(buckets) as f64 * LONG_CHAIN))
            .because(format!(
                "{:.1} sockets per bucket at the target: nothing fails, but connecting slows down from {LONG_CHAIN} on",
                given.sockets() as f64 / buckets.max(1) as f64
            ))
            .mild()
            .cured(|| cure(needed)),
    );
}
