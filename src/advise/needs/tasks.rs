//! Threads of c1m-top's engines; and the limits in a program's own options.

use crate::advise::row::{Row, Setting};
use crate::advise::{Program, Verdict};
use crate::units::grouped;

use super::{Given, Holder, fixed, tables};

/// Threads of an engine besides its workers.
const ENGINE_OWN: u64 = 2;

pub(super) fn rows(given: &Given<'_>, out: &mut Vec<Row>) {
    out.push(threads(given));
    out.push(if given.ask.program == Program::Own {
        Row::na("runtime", "c1m-top's engines set themselves no limit")
    } else {
        Row::without(
            "runtime",
            Verdict::Unknown,
            "what the program's own options bound is not seen from here: BEAM +Q, V8 --max-old-space-size, JVM -Xmx, GOMEMLIMIT, nginx worker_connections",
        )
    });
}

/// Worker threads that an engine starts, and the process whose limits it has.
fn workers(given: &Given<'_>, holder: &Holder<'_>) -> Option<u64> {
    let engines = given.ask.engines;
    let hard = holder.process?.nofile.as_ref().ok()?.hard;
    let needed = tables(given.ask.target, hard, fixed(engines, holder.listeners))?;
    Some(engines.workers.unwrap_or(needed).min(engines.most_workers) + ENGINE_OWN)
}

fn threads(given: &Given<'_>) -> Row {
    let holders = given.holders();
    let own: Vec<&Holder<'_>> = holders.iter().filter(|h| h.program == Program::Own).collect();
    let Some(process) = own.first().and_then(|h| h.process) else {
        return Row::na("threads", "the program's own threads are not known here");
    };
    let needed: u64 = own.iter().filter_map(|h| workers(given, h)).sum();
    let host = &given.sample.host;
    let mut rows = Vec::new();
    if let (Ok(tasks), Ok(threads_max), Ok(pid_max)) = (&host.tasks, &host.threads_max, &host.pid_max) {
        let (max, key) =
            if threads_max <= pid_max { (*threads_max, "kernel.threads-max") } else { (*pid_max, "kernel.pid_max") };
        let all = tasks + needed;
        rows.push(Row::held("threads", "host", max, all).set(|| Setting::sysctl(key, all)));
    }
    if let Ok(Some(group)) = &process.pids_cgroup {
        let all = group.used + needed;
        rows.push(Row::held("threads", "cgroup", group.limit, all).set(|| Setting::TasksMax(all)));
    }
    // RLIMIT_NPROC does not bind CAP_SYS_ADMIN (`copy_process` in `kernel/fork.c`).
    if let (Ok(limit), Ok(false)) = (&process.nproc, &process.exempt_from_file_max) {
        let row = Row::held("threads", "user", limit.soft, needed);
        rows.push(row.cured(|| format!("ulimit -u {needed}")));
    }
    let nearest = rows.into_iter().min_by_key(|r| {
        r.present.unwrap_or_default().saturating_sub(r.needed.unwrap_or_default()).max(u64::from(!r.is_short()))
    });
    match nearest {
        Some(row) => row.because(format!("the engines start {}", grouped(needed))),
        None => match (&host.tasks, &host.threads_max) {
            (Err(why), _) | (_, Err(why)) => Row::unknown("threads", why),
            _ => Row::na("threads", "no bound is readable"),
        },
    }
}
