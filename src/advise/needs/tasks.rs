//! Threads of c1m-top's engines; and the limits in a program's own options.

use crate::advise::row::{Row, Setting};
use crate::advise::{Program, Verdict};
use crate::model::{Unit, heap_note, more_heap, more_ports, more_threads};
use crate::sample::{Runtime, RuntimeLimit};
use crate::units::{grouped, round_up};

use super::descriptors::of_one_table;
use super::{Given, Holder, fixed, tables};

/// Threads of an engine besides its workers.
const ENGINE_OWN: u64 = 2;

pub(super) fn rows(given: &Given<'_>, out: &mut Vec<Row>) {
    out.push(threads(given));
    out.push(runtime(given));
}

/// What a program limits itself to when it starts; of one that runs it can be read.
fn runtime(given: &Given<'_>) -> Row {
    let holders = given.holders();
    let other = holders.iter().find_map(|holder| match holder.program {
        Program::Other { processes } => Some((holder, processes.max(1))),
        Program::Own => None,
    });
    let Some((holder, processes)) = other else {
        return Row::na("runtime", "c1m-top's engines set themselves no limit");
    };
    let Some(process) = holder.process.filter(|_| given.ask.running) else {
        return Row::without(
            "runtime",
            Verdict::Unknown,
            "what the program's own options bound is not seen from here: BEAM +Q, V8 --max-old-space-size, JVM -Xmx, GOMEMLIMIT, nginx worker_connections",
        );
    };
    let row = match &process.runtime {
        Err(why) => Row::unknown("runtime", why),
        Ok(None) => Row::without(
            "runtime",
            Verdict::Unknown,
            "its start options set none; what its configuration bounds is not seen from here (nginx: worker_connections)",
        ),
        Ok(Some(limit)) if limit.runtime == Runtime::Beam => {
            let (need, besides) = of_one_table(given, holder, processes);
            Row::held("runtime", "", limit.limit, need)
                .met_at(limit.limit.saturating_sub(besides).saturating_mul(processes))
                .because(format!("ports ({}): one for each socket, unless with inet_backend socket", limit.set_by))
                .cured(|| more_ports(round_up(need)))
        }
        Ok(Some(limit)) => heap(given, limit, processes),
    };
    row.of(format!("{} {}", process.name, process.pid))
}

/// A heap, where `--user-memory` says what a connection needs of it.
fn heap(given: &Given<'_>, limit: &RuntimeLimit, processes: u64) -> Row {
    let about = format!("{}: {}", limit.set_by, heap_note(limit.runtime));
    let each = given.ask.user_bytes;
    let row = if each == 0 {
        let why = format!("{about}. What a connection needs of it: --user-memory");
        Row { present: Some(limit.limit), ..Row::without("runtime", Verdict::Unknown, why) }
    } else {
        let need = given.ask.target.div_ceil(processes).saturating_mul(each);
        Row::held("runtime", "", limit.limit, need)
            .met_at((limit.limit / each).saturating_mul(processes))
            .because(about)
            // How much of a program's memory lies in that heap only the program knows.
            .mild()
            .cured(|| more_heap(limit.runtime, round_up(need)))
    };
    Row { unit: Unit::Bytes, ..row }
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
    let host = &given.kernel.host;
    let mut rows = Vec::new();
    if let (Ok(tasks), Ok(threads_max), Ok(pid_max)) = (&host.tasks, &host.threads_max, &host.pid_max) {
        let (max, key) =
            if threads_max <= pid_max { (*threads_max, "kernel.threads-max") } else { (*pid_max, "kernel.pid_max") };
        let all = given.guarded(tasks + needed);
        rows.push(Row::held("threads", "host", max, all).set(|| Setting::sysctl(key, all)));
    }
    if let Ok(Some(group)) = &process.pids_cgroup {
        let all = given.guarded(group.used + needed);
        rows.push(Row::held("threads", "cgroup", group.limit, all).set(|| Setting::TasksMax(all)));
    }
    if let Ok(Some(user)) = &process.user_threads {
        let all = given.guarded(user.used + needed);
        rows.push(Row::held("threads", "user", user.limit, all).cured(|| more_threads(all, user.hard)));
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
