//! Threads: of the machine, of the engines' cgroup, of their user.

use super::cure::Setting;
use super::meter::Guarded;
use super::need::{Holder, tables};
use super::prelude::*;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "threads",
    label: "threads",
    unit: Unit::Count,
    help: "Threads of the machine (threads-max, pid_max), of the cgroup (pids.max) or of the user (RLIMIT_NPROC), whichever runs out first. When all are used, clone fails with EAGAIN.",
    sources: "/proc/loadavg, threads-max, pid_max; pids.current, pids.max; /proc/PID/status, /proc/PID/limits",
    sysctls: &[THREADS_MAX, PID_MAX],
    stops_run: true,
    errnos: &[("thread", "EAGAIN"), ("clone", "EAGAIN"), ("spawn", "EAGAIN")],
    read,
    need,
    phrase: |limit| match limit.scope.as_str() {
        "host" => "the machine's thread limit".to_owned(),
        "user" => "the user's thread limit (RLIMIT_NPROC)".to_owned(),
        _ => "the cgroup's thread limit (pids.max)".to_owned(),
    },
    ..PLAIN
};

const ID: LimitId = LimitId::Threads;
const THREADS_MAX: &str = "kernel.threads-max";
const PID_MAX: &str = "kernel.pid_max";

/// Threads of an engine besides its workers.
const ENGINE_OWN: u64 = 2;

/// Threads that come or go without a connection: this program's own as it starts, and a thread's worth of connections that a
/// starved server has not taken yet. On a loaded machine they made 800 connections look half as dear again as they are.
const NOISE: f64 = 4.0;

/// The smaller of the machine's two limits, and its key.
fn of_machine(threads_max: u64, pid_max: u64) -> (u64, &'static str) {
    if threads_max <= pid_max { (threads_max, THREADS_MAX) } else { (pid_max, PID_MAX) }
}

/// What lets a cgroup have so many tasks.
fn more_tasks(need: u64, dir: &str) -> Cure {
    let lasting = format!("TasksMax={need} in the service's systemd unit (a container: its pids limit)");
    Cure::from([
        Remedy::cgroup(need, dir, "pids.max"),
        Remedy::advice(Level::Cgroup, lasting).needs("root").with(Setting::TasksMax(need)),
        Remedy::advice(Level::User, "larger descriptor tables (ulimit -n), which need fewer threads"),
    ])
}

/// What lets a user have so many threads: `RLIMIT_NPROC`, which the user may raise up to the hard limit.
fn more_of_user(need: u64, hard: u64) -> Remedy {
    if need <= hard {
        let command = format!("ulimit -u {need}");
        let text = format!("{command} before the start, or LimitNPROC={need} in the service's systemd unit");
        Remedy { command: Some(command), ..Remedy::advice(Level::User, text) }
    } else {
        let text =
            format!("LimitNPROC={need} in the service's systemd unit, or nproc in limits.conf for a login (needs root)");
        Remedy::advice(Level::User, text).needs("root")
    }
}

fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let host = &context.sample.kernel.host;
    let growing = |scope, used, limit| Meter::growing(ID, scope, used, limit, 8.0).expecting(0.0);
    let machine = match (&host.tasks, &host.threads_max, &host.pid_max) {
        (Err(why), ..) | (_, Err(why), _) | (_, _, Err(why)) => Meter::unknown(ID, "host", why),
        (Ok(tasks), Ok(threads_max), Ok(pid_max)) => {
            let (limit, key) = of_machine(*threads_max, *pid_max);
            growing("host", *tasks, limit).sysctl(key)
        }
    };
    // The nearest of each kind among the watched processes.
    let left = |used: u64, limit: u64| limit.saturating_sub(used);
    let living = || context.sample.living();
    let groups = living().filter_map(|t| t.process.pids_cgroups.as_ref().ok()).flatten();
    let group = groups.min_by_key(|g| left(g.used, g.limit)).map(|group| {
        let dir = group.dir.clone();
        growing("cgroup", group.used, group.limit).cured(move |need| more_tasks(need, &dir))
    });
    let users = living().filter_map(|t| t.process.user_threads.as_ref().ok()?.as_ref());
    let user = users.min_by_key(|u| left(u.used, u.limit)).map(|user| {
        let hard = user.hard;
        growing("user", user.used, user.limit).cured(move |need| more_of_user(need, hard))
    });
    // The kernel asks each of them; whichever has the least room left answers first.
    let room = |m: &Meter| m.limit.zip(m.used).map_or(u64::MAX, |(limit, used)| left(used, limit));
    let Some(mut meter) = [Some(machine), group, user].into_iter().flatten().min_by_key(room) else { return };
    if let (Some(used), Some(limit), Some((room_left, per_connection, engines))) =
        (meter.used, meter.limit, filling(context.sample))
    {
        // Threads come in steps of a whole descriptor table; how far the newest tables are filled smooths them.
        let at = used as f64 - room_left;
        meter.followed = Some(at);
        // A lane that finds no thread for a new table leaves that of the other half filled, on average.
        meter.progress = Some((at, limit as f64 - 0.5 * engines));
        meter.expected = per_connection;
        meter.set_noise(NOISE);
    }
    // Of another program nobody outside sees that the next one fails with EAGAIN.
    let full = meter.used.zip(meter.limit).is_some_and(|(used, limit)| used >= limit);
    let scope = &meter.scope;
    meter.met = context.sample.kernel.program.as_ref().filter(|_| full).map(|program| match scope.as_str() {
        "user" => format!("the user of {} may have no more threads", program.name),
        _ => format!("{} may have no more threads ({scope})", program.name),
    });
    // Two engines, each with a worker more than its connections need by now.
    meter.guarded = Some(Guarded { step: 2.0, ..meter.guarded() });
    out.push(meter);
}

/// Threads' worth of connections that the engines' present tables still have room for, and threads that a connection
/// needs (each worker is a thread, and each brings one table), and the number of such engines. `None` where no engine may
/// start another.
fn filling(sample: &Sample) -> Option<(f64, f64, f64)> {
    let mut growing = sample.counters().filter(|s| s.tables < s.tables_max && s.table_room > 0).peekable();
    growing.peek()?;
    Some(growing.fold((0.0, 0.0, 0.0), |(left, each, engines), s| {
        let room = s.table_room as f64;
        (left + (f64::from(s.tables) - s.open as f64 / room).max(0.0), each + 1.0 / room, engines + 1.0)
    }))
}

/// Worker threads that an engine starts.
fn workers(given: &Given<'_>, holder: &Holder<'_>) -> Option<u64> {
    let engines = given.ask.engines;
    let hard = holder.process?.nofile.as_ref().ok()?.hard;
    let needed = tables(given.ask.target, hard, engines.fixed(holder.listeners))?;
    Some(engines.workers.unwrap_or(needed).min(engines.most_workers) + ENGINE_OWN)
}

fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    let holders = given.holders();
    let own: Vec<&Holder<'_>> = holders.iter().filter(|h| h.program == Program::Own).collect();
    let Some(process) = own.first().and_then(|h| h.process) else {
        return out.push(Need::not_applicable(ID, "the program's own threads are not known here"));
    };
    let needed: u64 = own.iter().filter_map(|h| workers(given, h)).sum();
    let host = &given.kernel.host;
    let mut rows = Vec::new();
    if let (Ok(tasks), Ok(threads_max), Ok(pid_max)) = (&host.tasks, &host.threads_max, &host.pid_max) {
        let (max, key) = of_machine(*threads_max, *pid_max);
        let all = given.guarded(tasks + needed);
        rows.push(Need::compare(ID, "host", max, all).cured(|| rounded_sysctl(key, all)));
    }
    for group in process.pids_cgroups.iter().flatten() {
        let all = given.guarded(group.used + needed);
        rows.push(Need::compare(ID, "cgroup", group.limit, all).cured(|| more_tasks(all, &group.dir)));
    }
    if let Ok(Some(user)) = &process.user_threads {
        let all = given.guarded(user.used + needed);
        rows.push(Need::compare(ID, "user", user.limit, all).cured(|| more_of_user(all, user.hard)));
    }
    let nearest = rows.into_iter().min_by_key(|r| {
        r.present.unwrap_or_default().saturating_sub(r.needed.unwrap_or_default()).max(u64::from(!r.is_short()))
    });
    out.push(match nearest {
        Some(row) => row.because(format!("the engines start {} threads", grouped(needed))),
        None => match (&host.tasks, &host.threads_max) {
            (Err(why), _) | (_, Err(why)) => Need::unknown(ID, why),
            _ => Need::not_applicable(ID, "no limit can be read"),
        },
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_that_bounds_a_user_is_named() {
        assert!(more_of_user(400, 500).text.starts_with("ulimit -u 400 before the start"));
        assert!(
            more_of_user(501, 500).text.starts_with("LimitNPROC=501 in the service's systemd unit"),
            "beyond the hard limit"
        );
    }
}
