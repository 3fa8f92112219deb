//! Descriptors: the table of a process, `nr_open` above it, `file-max` above all, and epoll registrations.

use crate::model::limit::LimitState;
use crate::sample::{Sample, Watched};

use super::{Context, Meter};

/// Why there is nothing to say of a process any more.
pub(super) const ENDED: &str = "the process has ended";

/// `file-nr` is summed from per-core counters that run up to a batch of 32 each before they show.
const FILE_NR_NOISE: f64 = 128.0;

pub(super) fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let sample = context.sample;
    let nr_open = sample.kernel.host.nr_open.as_ref().ok().copied();
    // One --workers is for both engines of a run: the smaller tables decide.
    let rooms = sample.counters();
    let room = rooms.map(|s| s.table_room).filter(|room| *room > 0).min();
    for target in sample.watched() {
        out.push(if target.alive {
            table(target, nr_open, room)
        } else {
            Meter::without("nofile", target.scope(), LimitState::Unknown, ENDED)
        });
    }
    out.push(match &sample.kernel.host.nr_open {
        Err(why) => Meter::unknown("nr_open", "host", why),
        Ok(limit) => {
            let wanted = sample.kernel.processes.iter().filter_map(|t| Some(t.nofile.as_ref().ok()?.hard)).max();
            let meter = Meter::apart("nr_open", "host", wanted.unwrap_or(0), Some(*limit)).sysctl("fs.nr_open");
            // A hard limit as high as nr_open is a machine well set up, not one about to fail.
            Meter {
                used: wanted,
                state: Some(LimitState::Ok),
                reason: Some("bounds the descriptors of one table".into()),
                ..meter
            }
        }
    });
    out.push(match &sample.kernel.host.files {
        Err(why) => Meter::unknown("file-max", "host", why),
        Ok(files) if exempt(sample) => Meter {
            reason: Some("binds programs without CAP_SYS_ADMIN, not this run".into()),
            // Over the maximum the run goes on, and every other user's program can open nothing.
            state: Some(if files.used >= files.max { LimitState::Warn } else { LimitState::Ok }),
            ..Meter::apart("file-max", "host", files.used, Some(files.max)).sysctl("fs.file-max")
        },
        Ok(files) => Meter::growing("file-max", "host", files.used, files.max, FILE_NR_NOISE)
            .expecting(context.ends())
            .levels(0.7, 0.9)
            .sysctl("fs.file-max"),
    });
    out.push(epoll(context));
}

/// Whether every watched process may go beyond `file-max`.
fn exempt(sample: &Sample) -> bool {
    let mut living = sample.living().peekable();
    living.peek().is_some() && living.all(|t| t.exempt_from_file_max == Ok(true))
}

/// The descriptors of one process.
fn table(target: Watched<'_>, nr_open: Option<u64>, least: Option<u64>) -> Meter {
    let scope = target.scope();
    let hard = target.nofile.as_ref().ok().map(|n| n.hard);
    match target.engine.map(|e| &e.stats) {
        Some(Ok(stats)) => {
            let (per_table, tables) = (stats.table_limit, stats.tables_max);
            let limit = per_table.saturating_mul(u64::from(tables));
            let room = if stats.table_room > 0 { stats.table_room } else { per_table.max(1) };
            let others = stats.descriptors.saturating_sub(stats.open);
            let mut meter =
                Meter::growing("nofile", scope, stats.descriptors, limit, 8.0).levels(0.95, 0.99).cured(move |need| {
                    // More than any machine's memory holds.
                    if limit >= 10_000_000 {
                        return String::new();
                    }
                    // Of what is needed that part is connections; each table has its own listeners and the like besides.
                    let connections = need.saturating_sub(others);
                    let workers = connections.div_ceil(least.unwrap_or(room).min(room));
                    let each = connections.div_ceil(u64::from(tables).max(1)) + per_table.saturating_sub(room);
                    format!("--workers {workers}, or {}", raise(each, per_table, hard, nr_open))
                });
            meter.planned = true;
            // What the engine itself opens, and the few it keeps free, are no connections: its own count of rooms is exact.
            if stats.table_room > 0 {
                let rooms = stats.table_room.saturating_mul(u64::from(tables));
                meter.way = Some((stats.open as f64, rooms as f64));
            }
            if tables > 1 {
                meter.reason = Some(format!("{tables} tables of {per_table}, {} in use", stats.tables));
            }
            meter
        }
        Some(Err(why)) => Meter::unknown("nofile", scope, why),
        None => match (&target.descriptors, &target.nofile) {
            (Ok(used), Ok(nofile)) => {
                let soft = nofile.soft;
                Meter::growing("nofile", scope, *used, soft, 8.0)
                    .levels(0.95, 0.99)
                    .cured(move |need| raise(need, soft, hard, nr_open))
            }
            (Err(why), _) | (_, Err(why)) => Meter::unknown("nofile", scope, why),
        },
    }
}

/// Which of the levels has to be raised so that one table holds `need`: soft, hard, or `nr_open`.
pub(crate) fn raise(need: u64, soft: u64, hard: Option<u64>, nr_open: Option<u64>) -> String {
    let Some(hard) = hard else { return format!("raise its soft limit: prlimit --nofile={need}") };
    if need <= hard && soft < hard {
        return format!(
            "raise the soft limit {soft} to the hard limit {hard}: ulimit -n {hard} before the start (no privilege needed)"
        );
    }
    let limits = format!("LimitNOFILE={need} in its systemd unit, or limits.conf for a login (needs CAP_SYS_RESOURCE)");
    match nr_open {
        Some(nr_open) if need > nr_open => format!("sysctl -w fs.nr_open={need}, then {limits}"),
        _ => limits,
    }
}

/// Registrations of our engines: exactly one for each connection, from the first step of its connect on.
pub(super) fn own_registrations(sample: &Sample) -> Option<u64> {
    let mut engines = sample.engines.iter().filter_map(|e| e.stats.as_ref().ok()).peekable();
    engines.peek()?;
    Some(engines.map(|s| s.open + s.in_flight).sum())
}

/// Registrations: those of our engines grow with connections, those of the user's other programs count as well.
fn epoll(context: &Context<'_>) -> Meter {
    let sample = context.sample;
    let limit = match &sample.kernel.host.max_user_watches {
        Ok(limit) => *limit,
        Err(why) => return Meter::unknown("epoll", "host", why),
    };
    // The limit counts whatever else the user runs too. How much that is, slabinfo shows to root, whose most of it is then; but
    // only before the run: free objects kept for later are active to slabinfo, a third of all in the middle of a ramp (6.18).
    if let Some(own) = own_registrations(sample) {
        let used = own + context.baseline.epoll.unwrap_or(0);
        return Meter::growing("epoll", "user", used, limit, 8.0)
            .expecting(context.ends())
            .sysctl("fs.epoll.max_user_watches");
    }
    match &sample.kernel.host.slab {
        Err(why) => Meter::unknown("epoll", "host", why),
        Ok(slab) => match slab.iter().find(|c| c.name == "eventpoll_epi") {
            Some(cache) => Meter::growing("epoll", "host", cache.active_objs, limit, 512.0)
                .expecting(context.ends())
                .sysctl("fs.epoll.max_user_watches"),
            None => Meter::without("epoll", "host", LimitState::Unknown, "no eventpoll_epi cache in slabinfo"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::synthetic;

    #[test]
    fn file_max_does_not_bind_root() {
        let mut sample = synthetic::sample(1000, 0);
        assert!(!exempt(&sample));
        for target in &mut sample.kernel.processes {
            target.exempt_from_file_max = Ok(true);
        }
        assert!(exempt(&sample));
        sample.kernel.processes[0].exempt_from_file_max = Ok(false);
        assert!(!exempt(&sample), "one of the engines is bound");
        sample.kernel.processes.clear();
        assert!(!exempt(&sample), "nobody is watched: other programs are what there is");
    }

    #[test]
    fn the_level_that_bounds_is_named() {
        let rows = [
            (10_000, 1024, Some(20_000), Some(1 << 20), "raise the soft limit 1024 to the hard limit 20000"),
            (50_000, 20_000, Some(20_000), Some(1 << 20), "LimitNOFILE=50000"),
            (50_000, 1024, Some(20_000), Some(1 << 20), "LimitNOFILE=50000"),
            (
                2_000_000,
                1 << 20,
                Some(1 << 20),
                Some(1 << 20),
                "sysctl -w fs.nr_open=2000000, then LimitNOFILE=2000000",
            ),
        ];
        for (need, soft, hard, nr_open, want) in rows {
            let got = raise(need, soft, hard, nr_open);
            assert!(got.starts_with(want), "{got}");
        }
    }
}
