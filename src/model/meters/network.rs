//! Ports, connection tracking, orphans, TIME_WAIT, the hash and the link: what the network bounds.

use crate::model::limit::LimitState;
use crate::protocol::{Role, Traffic};
use crate::sample::{Neighbours, Reading};
use crate::units;

use super::{Context, Growth, Meter, namespace};

/// How many addresses there are on the link nobody knows: room for a /20.
const ENOUGH_NEIGHBOURS: u64 = 4096;

/// Sockets for each bucket of the established hash from which on connecting is noticeably slower.
pub(crate) const LONG_CHAIN: f64 = 4.0;

/// Payload of a full segment: an MTU of 1500 less IPv4 and TCP headers with timestamps.
const SEGMENT: u64 = 1448;
/// Bytes on the wire besides: preamble, Ethernet, checksum and gap 38, IPv4 20, TCP with timestamps 32.
const HEADERS: u64 = 90;

/// Bits that a message of so many bytes takes on a wire, headers included.
pub(crate) fn on_the_wire(message: u64) -> u64 {
    (message + message.div_ceil(SEGMENT).max(1) * HEADERS) * 8
}

pub(super) fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let net = &context.sample.kernel.net;
    let scope = namespace(context.sample);
    out.push(ports(context));
    out.push(conntrack(context, &scope));
    out.push(neighbours(context));
    out.push(bandwidth(context));
    let sockstat = match &net.sockstat {
        Ok(sockstat) => sockstat,
        Err(why) => {
            out.extend(["orphans", "time_wait", "hash_load"].map(|id| Meter::unknown(id, &scope, why)));
            return;
        }
    };
    out.push(match &net.max_orphans {
        Err(why) => Meter::unknown("orphans", "host", why),
        Ok(max) => Meter::apart("orphans", "host", sockstat.orphan, Some(*max))
            .levels(0.25, 0.5)
            .cured(|need| format!("close at a lower rate, or sysctl -w net.ipv4.tcp_max_orphans={need}")),
    });
    out.push(match &net.max_tw {
        Err(why) => Meter::unknown("time_wait", &scope, why),
        // Full it fails nothing: connections end without the wait.
        Ok(max) => {
            Meter::apart("time_wait", &scope, sockstat.tw, Some(*max)).levels(0.9, f64::INFINITY).cured(|need| {
                format!("close by reset or at a lower rate, or sysctl -w net.ipv4.tcp_max_tw_buckets={need}")
            })
        }
    });
    out.push(match &net.ehash_entries {
        Err(why) => Meter::unknown("hash_load", &scope, why),
        Ok(buckets) => {
            let sockets = sockstat.inuse + net.inuse6.as_ref().map_or(0, |n| *n);
            let chain = sockets as f64 / (*buckets).max(1) as f64;
            let mut meter = Meter::apart("hash_load", &scope, sockets, Some(*buckets)).cured(|need| {
                format!(
                    "thash_entries={need} on the kernel command line, or a network namespace of its own with \
                     net.ipv4.tcp_child_ehash_entries"
                )
            });
            meter.state = Some(LimitState::Ok);
            if chain >= LONG_CHAIN {
                meter.reason =
                    Some(format!("{chain:.0} sockets for each bucket: connecting slows down, nothing fails"));
            }
            meter
        }
    });
}

/// Tuples the client's plan allows; held by open connections, those under way, and TIME_WAIT.
fn ports(context: &Context<'_>) -> Meter {
    let net = &context.sample.kernel.net;
    let Some(client) = context.sample.engine(Role::Client) else {
        return Meter::without(
            "ports",
            "client",
            LimitState::NotApplicable,
            "bounds who connects: no client engine here",
        );
    };
    let Some(planned) = client.capacity else {
        return Meter::without("ports", "client", LimitState::Unknown, "the client has no address plan yet");
    };
    // The plan was made from the range as it was then; a range that has been changed since holds for every connect to come.
    let capacity = match (&net.ports, context.baseline.ports) {
        (Ok(now), Some(then)) if then > 0 => (planned as f64 * now.usable() as f64 / then as f64) as u64,
        _ => planned,
    };
    let time_wait = net.sockstat.as_ref().map_or(0, |s| s.tw);
    let wide = net.ports.as_ref().is_ok_and(|p| p.low <= 1024 && p.high == u16::MAX);
    // A connect that finds no port is under way for a moment and holds none.
    let used = (client.open + client.in_flight + time_wait).min(capacity);
    let hello = context.sample.engines.iter().map(|e| &e.hello).find(|h| h.role == Role::Client);
    let (first, ports) = hello.map_or((0, 1), |h| (u64::from(h.port), u64::from(h.ports)));
    let mut meter = Meter::growing("ports", "client", used, capacity, 8.0).levels(0.95, 0.99).cured(move |need| {
        let more = (need.saturating_mul(ports)).div_ceil(capacity.max(1));
        let range = if wide { "" } else { ", or sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"" };
        let more =
            if first + more > 1 << 16 { String::new() } else { format!("--ports {more} (at the server too), or ") };
        format!("{more}more addresses to connect from (--source){range}")
    });
    meter.planned = true;
    meter.way = Some(((client.open + time_wait) as f64, capacity as f64));
    meter
}

/// The fuller table of the two. It grows with peers on the same link, not with connections: a client adds one entry for its
/// server, a server one for each address it is connected from.
fn neighbours(context: &Context<'_>) -> Meter {
    let [v4, v6] = &context.sample.kernel.host.neighbours;
    let of = |table: &Reading<Neighbours>, family| table.as_ref().ok().and_then(|t| Some((t.entries, t.max?, family)));
    let known = [of(v4, "ipv4"), of(v6, "ipv6")];
    let fuller = known.into_iter().flatten().max_by(|a, b| (a.0 * b.1).cmp(&(b.0 * a.1)));
    match (fuller, v4) {
        (Some((used, max, family)), _) => Meter::apart("neighbours", "host", used, Some(max))
            .expecting(0.0)
            .levels(0.95, f64::INFINITY)
            .cured(move |need| {
                let most = need.max(ENOUGH_NEIGHBOURS);
                format!("a routed prefix for the clients, or sysctl -w net.{family}.neigh.default.gc_thresh3={most}")
            }),
        (None, Err(why)) => Meter::unknown("neighbours", "host", why),
        (None, Ok(_)) => {
            Meter::without("neighbours", "host", LimitState::Unknown, "gc_thresh3 is not in this network namespace")
        }
    }
}

fn conntrack(context: &Context<'_>, scope: &str) -> Meter {
    let table = match &context.sample.kernel.net.conntrack {
        Err(why) => return Meter::without("conntrack", scope, LimitState::NotApplicable, why.to_string()),
        Ok(table) => table,
    };
    let mut meter = Meter::growing("conntrack", scope, table.count, table.max, 64.0).levels(0.75, 0.95).cured(|need| {
        format!("sysctl -w net.netfilter.nf_conntrack_max={need}, or a NOTRACK rule for the ports of this run")
    });
    if table.count == 0 {
        meter.growth = Growth::NotTracking;
        meter.reason = Some("not tracking: no rule asks for connection states".into());
    }
    meter
}

/// What the active connections have to send each way, by their schedule: late messages are still to be sent.
fn bandwidth(context: &Context<'_>) -> Meter {
    let na = |why| Meter::without("bandwidth", "link", LimitState::NotApplicable, why);
    let Some(client) = context.sample.engine(Role::Client) else {
        return na("bounds who sends: no client engine here");
    };
    let Some(traffic) = client.traffic.filter(|t| t.every_us > 0) else { return na("idle connections: no --active") };
    if context.both_ends {
        return na("both ends here: loopback has no link");
    }
    let used = demand(&traffic);
    match &context.sample.kernel.net.link {
        Err(why) => Meter { used: Some(used), ..Meter::unknown("bandwidth", "link", why) },
        Ok(link) => Meter::growing("bandwidth", &link.name, used, link.bits_per_s, on_the_wire(traffic.message) as f64)
            .levels(0.9, 1.0)
            .expecting(used as f64 / client.open.max(1) as f64)
            .cured(|need| {
                let link = units::bits_per_s(need);
                format!("a link of {link}, fewer active connections, or less often (--every)")
            }),
    }
}

/// Bits per second in each direction.
fn demand(traffic: &Traffic) -> u64 {
    let messages_per_s = traffic.active as f64 * 1e6 / traffic.every_us as f64;
    (messages_per_s * on_the_wire(traffic.message) as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classic_sum_with_headers() {
        // 20 % of a million times 1,000 bytes a second: 1.6 Gbit/s of payload.
        let traffic = Traffic { active: 200_000, message: 1000, every_us: 1_000_000, ..Traffic::default() };
        assert_eq!(demand(&traffic), 1_744_000_000);
        assert_eq!(on_the_wire(1448), 8 * 1538);
        assert_eq!(on_the_wire(1449), 8 * 1629, "two segments");
    }
}
