//! Threads: of the machine, and of the engines' cgroup.

use crate::probe::sample::Sample;

use super::{Context, Meter};

pub(super) fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let host = &context.sample.host;
    let machine = match (&host.tasks, &host.threads_max, &host.pid_max) {
        (Err(why), ..) | (_, Err(why), _) | (_, _, Err(why)) => Err(why),
        (Ok(tasks), Ok(threads_max), Ok(pid_max)) => {
            let key = if threads_max <= pid_max { "kernel.threads-max" } else { "kernel.pid_max" };
            Ok((*tasks, *threads_max.min(pid_max), key))
        }
    };
    let group = context
        .sample
        .targets
        .iter()
        .filter(|t| t.alive)
        .filter_map(|t| t.pids_cgroup.as_ref().ok()?.as_ref())
        .min_by_key(|g| g.limit.saturating_sub(g.used));
    let nearer = match (&machine, group) {
        (Ok((tasks, max, _)), Some(g)) => g.limit.saturating_sub(g.used) < max.saturating_sub(*tasks),
        (Err(_), Some(_)) => true,
        _ => false,
    };
    let mut meter = match (machine, group) {
        (_, Some(group)) if nearer => Meter::growing("threads", "cgroup", group.used, group.limit, 8.0)
            .expecting(0.0)
            .cured({
                let dir = group.dir.clone();
                move |need| {
                    format!("echo {need} > {dir}/pids.max, or larger descriptor tables (ulimit -n), which need fewer threads")
                }
            }),
        (Ok((tasks, max, key)), _) => Meter::growing("threads", "host", tasks, max, 8.0).expecting(0.0).sysctl(key),
        (Err(why), _) => Meter::unknown("threads", "host", why),
    };
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

/// Threads' worth of connections that the engines' present tables still have room for, and threads that a connection
/// needs (each worker is a thread, and each brings one table), and the number of such engines. `None` where no engine may start another.
fn tables(sample: &Sample) -> Option<(f64, f64, f64)> {
    let engines = sample.targets.iter().filter(|t| t.alive).filter_map(|t| t.stats.as_ref()?.as_ref().ok());
    let mut growing = engines.filter(|s| s.tables < s.tables_max && s.table_room > 0).peekable();
    growing.peek()?;
    Some(growing.fold((0.0, 0.0, 0.0), |(left, each, engines), s| {
        let room = s.table_room as f64;
        (left + (f64::from(s.tables) - s.open as f64 / room).max(0.0), each + 1.0 / room, engines + 1.0)
    }))
}
