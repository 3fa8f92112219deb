//! Threads: of the machine, of the engines' cgroup, of their user.

use crate::sample::Sample;

use super::{Context, Meter, write};

pub(super) fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let host = &context.sample.kernel.host;
    let growing = |scope, used, limit| Meter::growing("threads", scope, used, limit, 8.0).expecting(0.0);
    let machine = match (&host.tasks, &host.threads_max, &host.pid_max) {
        (Err(why), ..) | (_, Err(why), _) | (_, _, Err(why)) => Meter::unknown("threads", "host", why),
        (Ok(tasks), Ok(threads_max), Ok(pid_max)) => {
            let key = if threads_max <= pid_max { "kernel.threads-max" } else { "kernel.pid_max" };
            growing("host", *tasks, *threads_max.min(pid_max)).sysctl(key)
        }
    };
    // The nearest of each kind among the watched processes.
    let left = |used: u64, limit: u64| limit.saturating_sub(used);
    let living = || context.sample.living();
    let group =
        living().filter_map(|t| t.process.pids_cgroup.as_ref().ok()?.as_ref()).min_by_key(|g| left(g.used, g.limit));
    let group = group.map(|group| {
        let dir = group.dir.clone();
        growing("cgroup", group.used, group.limit).cured(move |need| {
            format!(
                "{}, or larger descriptor tables (ulimit -n), which need fewer threads",
                write(need, &dir, "pids.max")
            )
        })
    });
    let user =
        living().filter_map(|t| t.process.user_threads.as_ref().ok()?.as_ref()).min_by_key(|u| left(u.used, u.limit));
    let user = user.map(|user| {
        let hard = user.hard;
        growing("user", user.used, user.limit).cured(move |need| more_threads(need, hard))
    });
    // The kernel asks each of them; whichever has the least room left answers first.
    let room = |m: &Meter| m.limit.zip(m.used).map_or(u64::MAX, |(limit, used)| left(used, limit));
    let Some(mut meter) = [Some(machine), group, user].into_iter().flatten().min_by_key(room) else { return };
    if let (Some(used), Some(limit), Some((room_left, per_connection, engines))) =
        (meter.used, meter.limit, tables(context.sample))
    {
        // Threads come in steps of a whole descriptor table; how far the newest tables are filled smooths them.
        let at = used as f64 - room_left;
        meter.followed = Some(at);
        // A lane that finds no thread for a new table leaves that of the other half filled, on average.
        meter.way = Some((at, limit as f64 - 0.5 * engines));
        meter.expected = per_connection;
        meter.noise(1.0);
    }
    out.push(meter);
}

/// What lets a user have so many threads: `RLIMIT_NPROC`, which the user may raise up to the hard limit.
pub(crate) fn more_threads(need: u64, hard: u64) -> String {
    if need <= hard {
        format!("ulimit -u {need} before the start, or LimitNPROC={need} in the service's systemd unit")
    } else {
        format!("LimitNPROC={need} in the service's systemd unit, or nproc in limits.conf for a login (needs root)")
    }
}

/// Threads' worth of connections that the engines' present tables still have room for, and threads that a connection
/// needs (each worker is a thread, and each brings one table), and the number of such engines. `None` where no engine may start another.
fn tables(sample: &Sample) -> Option<(f64, f64, f64)> {
    let mut growing = sample.counters().filter(|s| s.tables < s.tables_max && s.table_room > 0).peekable();
    growing.peek()?;
    Some(growing.fold((0.0, 0.0, 0.0), |(left, each, engines), s| {
        let room = s.table_room as f64;
        (left + (f64::from(s.tables) - s.open as f64 / room).max(0.0), each + 1.0 / room, engines + 1.0)
    }))
}
