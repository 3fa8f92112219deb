//! The most that `RLIMIT_NOFILE` of any process may be set to.

use super::nofile::of_one_table;
use super::prelude::*;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "nr_open",
    label: "open files ceiling",
    unit: Unit::Count,
    help: "The highest open-file limit any process can be given (fs.nr_open). Beyond it setrlimit fails with EPERM, even for root.",
    sources: "hard limits of the watched processes; /proc/sys/fs/nr_open",
    sysctls: &[KEY],
    is_met: false,
    read,
    need,
    phrase: |_| "the ceiling of open-file limits (fs.nr_open)".to_owned(),
    ..PLAIN
};

const ID: LimitId = LimitId::NrOpen;
const KEY: &str = "fs.nr_open";

fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let kernel = &context.sample.kernel;
    out.push(match &kernel.host.nr_open {
        Err(why) => Meter::unknown(ID, "host", why),
        Ok(limit) => {
            let wanted = kernel.processes.iter().filter_map(|t| Some(t.nofile.as_ref().ok()?.hard)).max();
            let meter = Meter::independent(ID, "host", wanted.unwrap_or(0), Some(*limit));
            Meter {
                used: wanted,
                // A hard limit as high as nr_open is a machine well set up, not one about to fail.
                state: Some(LimitState::Ok),
                reason: Some("limits one descriptor table".into()),
                ..meter.sysctl(KEY)
            }
        }
    });
}

fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    let holders = given.holders();
    let largest = holders.iter().filter_map(|holder| match holder.program {
        Program::Own => None,
        Program::Other { processes } => {
            let processes = processes.max(1);
            Some((of_one_table(given, holder, processes).0, processes))
        }
    });
    out.push(match (&given.kernel.host.nr_open, largest.max()) {
        (Err(why), _) => Need::unknown(ID, why),
        (Ok(_), None) => Need::not_applicable(ID, "limits one descriptor table; c1m-top has one per worker thread"),
        (Ok(nr_open), Some((need, processes))) => Need::compare(ID, "host", *nr_open, need)
            .met_at(nr_open.saturating_mul(processes))
            .because("the highest a hard limit can be")
            .cured(|| rounded_sysctl(KEY, need)),
    });
}
