//! Threads: of the machine, and of the engines' cgroup.

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
        .filter_map(|t| t.pids_cgroup.as_ref().ok().copied().flatten())
        .min_by_key(|g| g.limit.saturating_sub(g.used));
    let nearer = match (&machine, group) {
        (Ok((tasks, max, _)), Some(g)) => g.limit.saturating_sub(g.used) < max.saturating_sub(*tasks),
        (Err(_), Some(_)) => true,
        _ => false,
    };
    out.push(match (machine, group) {
        (_, Some(group)) if nearer => Meter::growing("threads", "cgroup", group.used, group.limit, 8.0)
            .expecting(0.0)
            .cured(|need| format!("raise pids.max of the engines' cgroup to {need}, or fewer --workers")),
        (Ok((tasks, max, key)), _) => Meter::growing("threads", "host", tasks, max, 8.0).expecting(0.0).sysctl(key),
        (Err(why), _) => Meter::unknown("threads", "host", why),
    });
}
