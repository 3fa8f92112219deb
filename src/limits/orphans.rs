//! Sockets closed by their program but not yet by TCP.

use super::prelude::*;
use crate::units::whole;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "orphans",
    label: "orphans",
    unit: Unit::Count,
    help: "Sockets their program has closed and TCP has not yet (tcp_max_orphans). Matters when many close at once: from a quarter or half of it on, the kernel resets them.",
    sources: "orphan in /proc/net/sockstat; tcp_max_orphans",
    log: &[LogTopic::Orphans],
    read,
    need,
    phrase: |_| "the orphan limit".to_owned(),
    ..PLAIN
};

const ID: LimitId = LimitId::Orphans;
const KEY: &str = "net.ipv4.tcp_max_orphans";

/// Shares at which the kernel begins to reset orphans: those that send nothing for long count twice or four times
/// (`tcp_out_of_resources` in `net/ipv4/tcp_timer.c`).
const WARN: f64 = 0.25;
const CRITICAL: f64 = 0.5;

fn cure(need: u64) -> Cure {
    Cure::from([Remedy::advice(Level::Process, "close at a lower rate"), Remedy::host_sysctl(KEY, need)])
}

fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let net = &context.sample.kernel.net;
    out.push(match (&net.sockstat, &net.max_orphans) {
        (Err(why), _) | (_, Err(why)) => Meter::unknown(ID, "host", why),
        (Ok(sockstat), Ok(max)) => {
            Meter::independent(ID, "host", sockstat.orphan, Some(*max)).levels(WARN, CRITICAL).cured(cure)
        }
    });
}

fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    out.push(match (&given.kernel.net.max_orphans, given.ask.program) {
        (Err(why), _) => Need::unknown(ID, why),
        (Ok(_), Program::Own) => {
            Need::not_applicable(ID, "c1m-top closes by reset and leaves no orphans (--close fin leaves some)")
        }
        (Ok(max), Program::Other { .. }) => {
            let needed = whole((given.ask.target as f64 / CRITICAL).ceil());
            Need::compare(ID, "at the close", *max, needed)
                .because("orphans if this end closes all at once: resets begin at half of the limit")
                .mild()
                .cured(|| cure(round_up(needed)).by_hand())
        }
    });
}
