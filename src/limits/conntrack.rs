//! Connections that the firewall tracks.

use super::prelude::*;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "conntrack",
    label: "conntrack table",
    unit: Unit::Count,
    help: "Connections the firewall tracks (nf_conntrack_max). When the table is full, SYNs are dropped silently.",
    sources: "nf_conntrack_count, nf_conntrack_max, /proc/net/stat/nf_conntrack",
    sysctls: &[KEY],
    stops_run: true,
    counters: &COUNTERS,
    log: &[LogTopic::Conntrack],
    read,
    need,
    phrase: |_| "the conntrack table".to_owned(),
    swallows: |limit, _, _| limit.share().filter(|s| *s >= FULL).map(|_| full(limit)),
    ..PLAIN
};

const ID: LimitId = LimitId::Conntrack;
const KEY: &str = "net.netfilter.nf_conntrack_max";

/// Share of its table from which on it counts as full: entries come and go between two samples.
const FULL: f64 = 0.9;

static COUNTERS: [CounterInfo; 1] = [CounterInfo {
    id: "conntrack_drop",
    proof: "drop in /proc/net/stat/nf_conntrack",
    read: |s| s.kernel.net.conntrack.as_ref().ok().and_then(|c| c.drop),
    severity: Severity::Critical,
    what: "connection tracking dropped packets silently, as it does when the conntrack table is full",
    cure: || {
        Cure::from([Remedy::advice(Level::Host, "raise net.netfilter.nf_conntrack_max"), untracked()])
    },
    with_numbers: true,
    speaks_for_limit_from: 5,
    proves_met_from: Some(FULL),
    log: &[LogTopic::Conntrack],
    ..COUNTER
}];

fn untracked() -> Remedy {
    Remedy::advice(Level::Namespace, "a NOTRACK rule for the ports of this run").needs("root")
}

fn cure(need: u64) -> Cure {
    Cure::from([Remedy::host_sysctl(KEY, need), untracked()])
}

fn full(limit: &Limit) -> String {
    let numbers = limit.used.zip(limit.limit);
    let numbers = numbers.map_or(String::new(), |(used, max)| format!(" ({} of {})", grouped(used), grouped(max)));
    format!("; the conntrack table is full{numbers}{}", limit.cure.advice())
}

fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let scope = context.namespace();
    let table = match &context.sample.kernel.net.conntrack {
        Err(why) => return out.push(Meter::not_applicable(ID, scope, why.to_string())),
        Ok(table) => table,
    };
    let mut meter = Meter::growing(ID, scope, table.count, table.max, 64.0).levels(0.75, 0.95).cured(cure);
    if table.count == 0 {
        meter.growth = Growth::NotTracking;
        meter.reason = Some("not tracking: no firewall rule matches connection states".into());
    }
    out.push(meter);
}

/// One entry for each connection, also when both ends are here.
fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    let table = match &given.kernel.net.conntrack {
        Ok(table) => table,
        Err(why) => return out.push(Need::not_applicable(ID, why.to_string())),
    };
    if table.count == 0 {
        let why = format!(
            "not tracking: no firewall rule matches connection states. If one did, {} would be the most",
            grouped(table.max)
        );
        return out.push(Need::not_applicable(ID, why));
    }
    let needed = given.guarded(table.count.saturating_add(given.ask.target));
    out.push(
        Need::compare(ID, "network namespace", table.max, needed)
            .met_at(given.usable(table.max).saturating_sub(table.count))
            .because(format!("{} entries are already in use", grouped(table.count)))
            .cured(|| cure(round_up(needed))),
    );
}
