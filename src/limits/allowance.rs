//! Connections that a cloud tracks for the machine, in tables outside of it.

use super::prelude::*;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "allowance",
    label: "cloud",
    unit: Unit::Count,
    help: "Connections that the cloud tracks for this machine, by its size. Beyond it packets of new ones are dropped, and nothing \
           in the kernel shows it.",
    sources: "conntrack_allowance_available and _exceeded of the interface's driver (ethtool -S; ENA 2.8.1 and later)",
    stops_run: true,
    counters: &COUNTERS,
    read,
    need,
    phrase: |limit| format!("the cloud's allowance of tracked connections on {}", limit.scope),
    swallows: |limit, _, _| limit.share().filter(|s| *s >= FULL).map(|_| full(limit)),
    ..PLAIN
};

const ID: LimitId = LimitId::Allowance;

/// Share from which on it counts as used up: connections come and go between two readings.
const FULL: f64 = 0.9;

/// Where no driver tells.
const UNTOLD: &str = "no driver here tells of one (ENA on AWS does)";

static COUNTERS: [CounterInfo; 1] = [CounterInfo {
    id: "allowance_exceeded",
    proof: "conntrack_allowance_exceeded (ethtool -S)",
    read: |s| s.kernel.net.allowance.as_ref().map(|a| a.exceeded),
    severity: Severity::Critical,
    what: "the cloud dropped packets because it tracks as many connections as it allows this machine",
    cure: || cure(0),
    with_numbers: true,
    speaks_for_limit_from: 5,
    proves_met_from: Some(FULL),
    ..COUNTER
}];

fn cure(_: u64) -> Cure {
    Cure::from([
        Remedy::advice(
            Level::Host,
            "a security-group rule that is not tracked (the port open to every address, inbound and outbound)",
        ),
        Remedy::advice(Level::Host, "a larger instance"),
    ])
}

fn full(limit: &Limit) -> String {
    let numbers = limit.numbers().map_or(String::new(), |n| format!(" ({n})"));
    format!("; the cloud tracks as many connections as it allows this machine{numbers}{}", limit.cure.advice())
}

/// Of the cloud's table only what is left is known: what watching began with is the limit, and what has gone since is used. Where
/// no driver tells, which is nearly everywhere, there is no row.
fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let Some(allowance) = &context.sample.kernel.net.allowance else { return };
    let scope = &allowance.interface;
    if context.both_ends {
        return out.push(Meter::not_applicable(ID, scope, "both ends here: nothing passes the interface"));
    }
    let used = allowance.most.saturating_sub(allowance.available);
    let mut meter = Meter::growing(ID, scope, used, allowance.most, 64.0).levels(0.75, 0.95).cured(cure);
    meter.reason = Some("of what was left when watching began".into());
    out.push(meter);
}

fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    let Some(allowance) = &given.kernel.net.allowance else { return out.push(Need::not_applicable(ID, UNTOLD)) };
    if given.ask.role == Side::Both {
        return out.push(Need::not_applicable(ID, "both ends here: nothing passes the interface"));
    }
    out.push(
        Need::compare(ID, allowance.interface.as_str(), allowance.available, given.guarded(given.ask.target))
            .met_at(given.usable(allowance.available))
            .because("what the cloud tracks already is not counted in")
            .cured(|| cure(0)),
    );
}
