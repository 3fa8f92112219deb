//! What the active connections send each way, against the fastest link.

use crate::protocol::Traffic;
use crate::units::{bits_per_s, whole};

use super::prelude::*;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "bandwidth",
    label: "bandwidth",
    unit: Unit::BitsPerSecond,
    help: "What the active connections send each way, headers included, against the fastest link. Beyond it messages are late.",
    sources: "the plan of messages; /sys/class/net/*/speed",
    read,
    need,
    phrase: |limit| format!("the speed of the link {}", limit.scope),
    ..PLAIN
};

const ID: LimitId = LimitId::Bandwidth;

/// Payload of a full segment: an MTU of 1500 less IPv4 and TCP headers with timestamps.
const SEGMENT: u64 = 1448;
/// Bytes on the wire besides: preamble, Ethernet, checksum and gap 38, IPv4 20, TCP with timestamps 32.
const HEADERS: u64 = 90;

/// Bits that a message of so many bytes takes on a wire, headers included.
fn on_the_wire(message: u64) -> u64 {
    (message + message.div_ceil(SEGMENT).max(1) * HEADERS) * 8
}

fn cure(need: u64) -> Cure {
    let link = format!("a link of {}, fewer active connections", bits_per_s(need));
    Cure::from([Remedy::advice(Level::Host, link), Remedy::option("less often (--every)")])
}

/// By the schedule: late messages are still to be sent.
fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let na = |why| Meter::not_applicable(ID, "link", why);
    let Some(client) = context.sample.engine(Role::Client) else {
        return out.push(na("applies to the client: there is none here"));
    };
    let Some(traffic) = client.traffic.filter(|t| t.every_us > 0) else {
        return out.push(na("idle connections: no --active"));
    };
    if context.both_ends {
        return out.push(na("both ends are here, and loopback has no link speed"));
    }
    let used = demand(&traffic);
    out.push(match &context.sample.kernel.net.link {
        Err(why) => Meter { used: Some(used), ..Meter::unknown(ID, "link", why) },
        Ok(link) => Meter::growing(ID, &link.name, used, link.bits_per_s, on_the_wire(traffic.message) as f64)
            .levels(0.9, 1.0)
            .expecting(used as f64 / client.open.max(1) as f64)
            .cured(cure),
    });
}

/// Bits per second in each direction.
fn demand(traffic: &Traffic) -> u64 {
    let messages_per_s = traffic.active as f64 * 1e6 / traffic.every_us as f64;
    whole(messages_per_s * on_the_wire(traffic.message) as f64)
}

fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    let ask = given.ask;
    let Some(traffic) = ask.traffic else {
        return out.push(Need::not_applicable(ID, "idle connections: no --active"));
    };
    let payload = ask.payload_bits_per_s(ask.target);
    let sum = format!("{} of payload each way; the rest is headers", bits_per_s(payload));
    let needed = whole(ask.messages_per_s(ask.target) * on_the_wire(traffic.message) as f64);
    let without = |verdict, why: String| Need { needed: Some(needed), ..Need::without(ID, verdict, why) };
    if ask.role == Side::Both {
        return out.push(without(Verdict::NotApplicable, format!("both ends are here, and loopback has no link speed. {sum}")));
    }
    let link = match &given.kernel.net.link {
        Ok(link) => link,
        Err(why) => return out.push(without(Verdict::Unknown, format!("{why}. {sum}"))),
    };
    let met = u128::from(ask.target) * u128::from(link.bits_per_s) / u128::from(needed.max(1));
    out.push(
        Need::compare(ID, link.name.as_str(), link.bits_per_s, needed)
            .met_at(u64::try_from(met).unwrap_or(u64::MAX))
            .because(sum)
            .cured(|| cure(needed)),
    );
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
