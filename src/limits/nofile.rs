//! Open descriptors of one process: `RLIMIT_NOFILE` for each descriptor table, times its tables.

use crate::protocol::MOST_TABLES;
use crate::sample::{SoftHard, Watched};

use super::cure::{Setting, raise, raise_running};
use super::need::{Holder, tables};
use super::prelude::*;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "nofile",
    label: "open files",
    unit: Unit::Count,
    of_process: true,
    help: "Open files of a process (ulimit -n): RLIMIT_NOFILE per descriptor table, times the number of tables. When all are used, accept or socket fails with EMFILE; to a client, such a server just stalls.",
    sources: "engines: their own count; others: size of /proc/PID/fd, /proc/PID/limits",
    stops_run: true,
    errnos: &[("", "EMFILE")],
    unless_met: Some("one descriptor table is full, and the next worker thread takes over"),
    // A full table among many is how one worker hands over to the next.
    met_by: |engine| {
        let rooms = engine.table_room.saturating_mul(u64::from(engine.tables_max));
        engine.stop.is_some() || engine.open as f64 >= 0.95 * rooms as f64
    },
    read,
    need,
    phrase: |limit| match limit.scope.as_str() {
        process if process.contains(' ') => format!("the open-file limit of {process}"),
        role => format!("the {role}'s open-file limit"),
    },
    ..PLAIN
};

const ID: LimitId = LimitId::Nofile;

/// Why there is nothing to say of a process any more.
pub(super) const ENDED: &str = "the process has ended";

/// Descriptors that a program of one table per process needs besides connections and listeners: logs, timers, files.
const OTHER_OWN: u64 = 100;

fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let sample = context.sample;
    let nr_open = sample.kernel.host.nr_open.as_ref().ok().copied();
    // One --workers is for both engines of a run: the smaller tables decide.
    let room = sample.counters().map(|s| s.table_room).filter(|room| *room > 0).min();
    let most = fullest(sample);
    for target in sample.watched().filter(|t| t.engine.is_some() || most.contains(&t.pid)) {
        out.push(if target.alive {
            table(target, nr_open, room)
        } else {
            Meter::without(ID, target.scope(), LimitState::Unknown, ENDED)
        });
    }
}

/// Processes of a program whose tables are shown: of a worker for each core, or a backend for each connection, those that come
/// first.
const SHOWN: usize = 4;

/// As full as this, of the fullest, a table must be to be shown.
const LEAST: f64 = 0.1;

/// The processes of a foreign program with the fullest tables.
fn fullest(sample: &Sample) -> Vec<u32> {
    let mut foreign: Vec<Watched<'_>> = sample.watched().filter(|t| t.engine.is_none()).collect();
    let several = foreign.iter().filter(|t| t.alive).count() > SHOWN;
    foreign.retain(|t| t.alive || !several);
    let share = |t: &Watched<'_>| match (&t.process.descriptors, t.process.usable_descriptors()) {
        (Ok(used), Some(most)) => *used as f64 / most.max(1) as f64,
        _ => 0.0,
    };
    foreign.sort_by(|a, b| share(b).total_cmp(&share(a)));
    // A helper that has hardly any open says nothing beside one that has thousands.
    let least = foreign.first().map_or(0.0, |t| share(t) * LEAST);
    foreign.retain(|t| share(t) >= least);
    foreign.into_iter().take(SHOWN).map(|t| t.pid).collect()
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
                Meter::growing(ID, scope, stats.descriptors, limit, 8.0).levels(0.95, 0.99).cured(move |need| {
                    // More than any machine's memory holds.
                    if limit >= 10_000_000 {
                        return Cure::none();
                    }
                    // The rest of what is needed is connections; each table has its own listeners and the like besides.
                    let connections = need.saturating_sub(others);
                    let workers = connections.div_ceil(least.unwrap_or(room).min(room));
                    // Fewer than it might start were named, or its main table has room for no more.
                    let most = if u64::from(tables) < room { tables } else { MOST_TABLES };
                    let each = room_for(connections, u64::from(most)) + per_table.saturating_sub(room);
                    // Something of each worker's is in the main table, which is no larger.
                    let more = (workers <= room).then(|| Remedy::option(format!("--workers {workers}")));
                    Cure(more.into_iter().chain([raise(each, per_table, hard, nr_open)]).collect())
                });
            meter.planned = true;
            // What the engine itself opens, and the few it keeps free, are no connections: its own count of rooms is exact.
            if stats.table_room > 0 {
                let rooms = stats.table_room.saturating_mul(u64::from(tables));
                meter.progress = Some((stats.open as f64, rooms as f64));
            }
            if tables > 1 {
                meter.reason = Some(format!("{tables} tables of {per_table}, {} in use", stats.tables));
            }
            meter
        }
        Some(Err(why)) => Meter::unknown(ID, scope, why),
        None => match (&target.process.descriptors, &target.process.nofile) {
            (Ok(used), Ok(nofile)) => {
                let (pid, limit, at_start) = (target.pid, *nofile, target.process.nofile_at_start);
                let most = target.process.usable_descriptors().unwrap_or(limit.soft);
                let meter = Meter::growing(ID, scope, *used, most, 8.0).levels(0.95, 0.99);
                let meter = meter.cured(move |need| raise_running(pid, need, limit, at_start, nr_open));
                Meter { divides: true, met: met(&target.scope(), *used, most, limit.soft), ..meter }
            }
            (Err(why), _) | (_, Err(why)) => Meter::unknown(ID, scope, why),
        },
    }
}

/// How it shows that a process of others can use no more descriptors.
fn met(scope: &str, used: u64, most: u64, soft: u64) -> Option<String> {
    if used < most {
        None
    } else if most < soft {
        // Its limit was raised while it ran: what it accepts since looks well to its clients.
        Some(format!("{scope} accepts connections beyond the open files it was started with, and does not serve them"))
    } else {
        // Its next descriptor fails with EMFILE: nobody outside sees that it does.
        Some(format!("{scope} is out of open files"))
    }
}

fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    for holder in given.holders() {
        match holder.program {
            Program::Own => out.push(own(given, &holder)),
            Program::Other { processes } => other(given, &holder, processes.max(1), out),
        }
    }
}

/// Connections that each of at most so many tables must have room for. The main table has something of each worker's, so that
/// there are no more tables than one has room for.
fn room_for(connections: u64, most: u64) -> u64 {
    let square = connections.isqrt();
    connections.div_ceil(most.max(1)).max(square + u64::from(square * square < connections))
}

/// What the table of each process of another program holds at the target, and what of that is no connection.
pub(super) fn of_one_table(given: &Given<'_>, holder: &Holder<'_>, processes: u64) -> (u64, u64) {
    let besides = u64::from(if holder.listeners > 0 { given.ask.ports } else { 0 }) + OTHER_OWN;
    (given.ask.target.div_ceil(processes) + besides, besides)
}

/// c1m-top's engines: as many tables as needed, each as large as the hard limit.
fn own(given: &Given<'_>, holder: &Holder<'_>) -> Need {
    let (target, engines) = (given.ask.target, given.ask.engines);
    let limit = match holder.process.map(|p| &p.nofile) {
        Some(Ok(limit)) => *limit,
        Some(Err(why)) => return Need::unknown(ID, why).of(holder.role),
        None => return Need::not_applicable(ID, "no process to look at").of(holder.role),
    };
    let fixed = engines.fixed(holder.listeners);
    let room = limit.hard.saturating_sub(fixed);
    // The main table has something of each worker's.
    let most = engines.workers.unwrap_or(engines.most_workers).clamp(1, room.max(1));
    let wanted = tables(target, limit.hard, fixed);
    // Where not even one connection fits into a table: what the most workers would need of theirs.
    let most_wanted = engines.workers.unwrap_or(engines.most_workers);
    let per_table = room_for(target, most_wanted) + fixed;
    let needed = wanted.map_or(per_table.saturating_mul(most_wanted), |n| target + n * fixed);
    let raised = if limit.soft < limit.hard {
        format!("; the engine raises its soft limit {} itself", grouped(limit.soft))
    } else {
        String::new()
    };
    let plural = if wanted == Some(1) { "a table" } else { "tables" };
    Need::compare(ID, holder.role, limit.hard.saturating_mul(most), needed)
        .met_at(room.saturating_mul(most))
        .because(format!(
            "{} {plural} of {}, one per worker thread{raised}",
            grouped(wanted.unwrap_or(most)),
            grouped(limit.hard)
        ))
        .cured(|| match (engines.workers, wanted) {
            // A worker whose table is full hands its lane to one that has none: the last lanes need a table of their own.
            (Some(_), Some(n)) if n <= engines.most_workers => {
                let workers = n + engines.lanes.saturating_sub(1);
                Remedy::option(format!("--workers {workers}, or none: as many as it needs"))
            }
            _ => {
                let nr_open = given.kernel.host.nr_open.as_ref().ok().copied();
                let to = round_up(per_table);
                raise(to, limit.hard, Some(limit.hard), nr_open)
            }
        })
}

/// Any other program: one table a process, the soft limit binds unless it raises that itself, the hard one in any case.
fn other(given: &Given<'_>, holder: &Holder<'_>, processes: u64, out: &mut Vec<Need>) {
    let (limit, process) = match holder.process.map(|p| (&p.nofile, p)) {
        Some((Ok(limit), process)) => {
            (SoftHard { soft: process.usable_descriptors().unwrap_or(limit.soft), ..*limit }, process)
        }
        Some((Err(why), _)) => return out.push(Need::unknown(ID, why).of(holder.role)),
        None => return out.push(Need::not_applicable(ID, "no process to look at").of(holder.role)),
    };
    let (need, besides) = of_one_table(given, holder, processes);
    let whose =
        if given.ask.running { format!("{} {}", process.name, process.pid) } else { "as started from here".to_owned() };
    let nr_open = given.kernel.host.nr_open.as_ref().ok().copied();
    // Rounded up beyond a level that is enough it would need a second cure.
    let levels = [Some(limit.hard), nr_open].into_iter().flatten().filter(|level| need <= *level);
    let to = levels.fold(round_up(need), u64::min);
    let sum = |level: u64| level.saturating_sub(besides).saturating_mul(processes);
    let each = if processes > 1 { format!(", in each of {processes} processes") } else { String::new() };
    let hard_is_enough = need <= limit.hard;
    out.push(
        Need::compare(ID, format!("{} soft, {whose}", holder.role), limit.soft, need)
            .met_at(sum(limit.soft))
            .because(format!(
                "{} connections, its listeners and {OTHER_OWN} other files in one table{each}",
                grouped(given.ask.target.div_ceil(processes))
            ))
            .cured(|| {
                let remedy = if hard_is_enough {
                    raise(to, limit.soft, Some(limit.hard), nr_open)
                } else {
                    Remedy::advice(Level::User, "raise the hard limit first: it caps this one")
                };
                remedy.with(Setting::Nofile { soft: to, hard: limit.hard.max(to) })
            }),
    );
    let hard = Need::compare(ID, format!("{} hard, {whose}", holder.role), limit.hard, need).met_at(sum(limit.hard));
    out.push(if hard_is_enough {
        hard.because("a program may raise its own soft limit this far")
    } else {
        hard.because("set by systemd (LimitNOFILE) for services, by limits.conf for logins").cured(|| {
            let lasting = raise(to, limit.hard, Some(limit.hard), nr_open);
            let helps_now = process.nofile_at_start.is_none() && nr_open.is_none_or(|most| to <= most);
            if given.ask.running && helps_now {
                let now = format!("prlimit --pid {} --nofile={to}", process.pid);
                let text = format!("now: {now}; for good: {lasting}", lasting = lasting.text);
                Remedy { command: Some(now), ..lasting.worded(text) }
            } else {
                lasting
            }
        })
    });
}
