//! Connection tracking, the hash, bandwidth, neighbours: what the network takes.

use crate::advise::row::{Row, Setting};
use crate::advise::{Side, Verdict};
use crate::model::{LONG_CHAIN, Unit, on_the_wire};
use crate::units::{bits_per_s, grouped};

use super::Given;

pub(super) fn rows(given: &Given<'_>, out: &mut Vec<Row>) {
    out.push(conntrack(given));
    out.push(hash(given));
    out.push(bandwidth(given));
    out.push(neighbours(given));
}

/// One entry for each connection, also when both ends are here.
fn conntrack(given: &Given<'_>) -> Row {
    let table = match &given.kernel.net.conntrack {
        Ok(table) => table,
        Err(why) => return Row::na("conntrack", why.to_string()),
    };
    let needed = given.guarded(table.count.saturating_add(given.ask.target));
    if table.count == 0 {
        let why = format!(
            "not tracking: no rule asks for states. With one, the maximum of {} would be met at that count",
            grouped(table.max)
        );
        return Row::na("conntrack", why);
    }
    Row::held("conntrack", "network namespace", table.max, needed)
        .met_at(given.usable(table.max).saturating_sub(table.count))
        .because(format!("{} entries are there already", grouped(table.count)))
        .cured(|| {
            let command = Setting::sysctl("net.netfilter.nf_conntrack_max", needed).command();
            format!("{command}, or a NOTRACK rule for the ports of this run")
        })
        .set(|| Setting::sysctl("net.netfilter.nf_conntrack_max", needed))
}

/// Long chains fail nothing.
fn hash(given: &Given<'_>) -> Row {
    let buckets = match &given.kernel.net.ehash_entries {
        Ok(buckets) => *buckets,
        Err(why) => return Row::unknown("hash_load", why),
    };
    let needed = (given.sockets() as f64 / LONG_CHAIN).ceil() as u64;
    Row::held("hash_load", "buckets", buckets, needed)
        .met_at((given.count_of(buckets) as f64 * LONG_CHAIN) as u64)
        .because(format!(
            "{:.1} sockets to a bucket at the target: fails nothing, from {LONG_CHAIN} on connecting slows down",
            given.sockets() as f64 / buckets.max(1) as f64
        ))
        .mild()
        .cured(|| format!("thash_entries={} on the kernel's command line", needed.next_power_of_two()))
}

fn bandwidth(given: &Given<'_>) -> Row {
    let ask = given.ask;
    let Some(traffic) = ask.traffic else { return Row::na("bandwidth", "idle connections: no --active") };
    let payload = ask.payload_bits_per_s(ask.target);
    let sum = format!("{} of payload each way, the rest is headers", bits_per_s(payload));
    let needed = (ask.messages_per_s(ask.target) * on_the_wire(traffic.message) as f64) as u64;
    let without = |verdict, why: String| Row {
        unit: Unit::BitsPerSecond,
        needed: Some(needed),
        ..Row::without("bandwidth", verdict, why)
    };
    if ask.role == Side::Both {
        return without(Verdict::NotApplicable, format!("both ends here: loopback has no link. {sum}"));
    }
    let link = match &given.kernel.net.link {
        Ok(link) => link,
        Err(why) => return without(Verdict::Unknown, format!("{why}. {sum}")),
    };
    let row = Row::held("bandwidth", link.name.as_str(), link.bits_per_s, needed);
    let met = u128::from(ask.target) * u128::from(link.bits_per_s) / u128::from(needed.max(1));
    Row { unit: Unit::BitsPerSecond, ..row }
        .met_at(u64::try_from(met).unwrap_or(u64::MAX))
        .because(sum)
        .cured(|| "a faster link, fewer active connections, or less often (--every)".to_owned())
}

/// Entries for peers on the same link: only many source addresses make many.
fn neighbours(given: &Given<'_>) -> Row {
    let sources = given.ask.sources_named;
    let limit = given.kernel.host.neighbours[0].as_ref().ok().and_then(|table| table.max);
    match (given.ask.role, limit) {
        (Side::Both, _) => Row::na("neighbours", "both ends here"),
        (_, None) => Row::without("neighbours", Verdict::Unknown, "gc_thresh3 cannot be read"),
        (Side::Client, Some(_)) => Row::na("neighbours", "one entry, for the server"),
        (Side::Server, Some(_)) if sources == 0 => {
            Row::na("neighbours", "matters with hundreds of client addresses on this link (--source names them)")
        }
        (Side::Server, Some(limit)) => Row::held("neighbours", "host", limit, sources)
            .because("if the client's addresses are on this link")
            .cured(|| "a routed prefix for the clients; or gc_thresh3".to_owned())
            .set(|| Setting::sysctl("net.ipv4.neigh.default.gc_thresh3", sources)),
    }
}
