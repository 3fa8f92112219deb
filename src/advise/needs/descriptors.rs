//! Descriptors, each level apart: soft and hard limit of a table, `nr_open` above it, `file-max` above all; epoll watches.

use crate::advise::ask::Program;
use crate::advise::row::{Row, Setting};
use crate::model::raise;
use crate::units::{grouped, round_up};

use super::{Given, Holder, fixed, tables};

/// Descriptors that a program of one table per process needs besides connections and listeners: logs, timers, files.
const OTHER_OWN: u64 = 100;

pub(super) fn rows(given: &Given<'_>, out: &mut Vec<Row>) {
    let mut largest: Option<(u64, u64)> = None;
    for holder in given.holders() {
        match holder.program {
            Program::Own => out.push(own(given, &holder)),
            Program::Other { processes } => {
                let processes = processes.max(1);
                let (need, besides) = of_one_table(given, &holder, processes);
                other(given, &holder, need, besides, processes, out);
                largest = Some((need, processes));
            }
        }
    }
    out.push(nr_open(given, largest));
    out.push(file_max(given));
    out.push(epoll(given));
}

/// What the table of each process of another program holds at the target, and what of that is no connection.
pub(super) fn of_one_table(given: &Given<'_>, holder: &Holder<'_>, processes: u64) -> (u64, u64) {
    let besides = u64::from(if holder.listeners > 0 { given.ask.ports } else { 0 }) + OTHER_OWN;
    (given.ask.target.div_ceil(processes) + besides, besides)
}

/// c1m-top's engines: as many tables as needed, each as large as the hard limit.
fn own(given: &Given<'_>, holder: &Holder<'_>) -> Row {
    let (target, engines) = (given.ask.target, given.ask.engines);
    let limit = match holder.process.map(|p| &p.nofile) {
        Some(Ok(limit)) => *limit,
        Some(Err(why)) => return Row::unknown("nofile", why).of(holder.role),
        None => return Row::na("nofile", "no process to look at").of(holder.role),
    };
    let fixed = fixed(engines, holder.listeners);
    let most = engines.workers.unwrap_or(engines.most_workers).max(1);
    let room = limit.hard.saturating_sub(fixed);
    let wanted = tables(target, limit.hard, fixed);
    // Where not even one connection fits into a table: what the most workers would need of theirs.
    let per_table = target.div_ceil(most) + fixed;
    let needed = wanted.map_or(per_table.saturating_mul(most), |n| target + n * fixed);
    let raised = if limit.soft < limit.hard {
        format!("; the engine raises its soft limit {} itself", grouped(limit.soft))
    } else {
        String::new()
    };
    let plural = if wanted == Some(1) { "a table" } else { "tables" };
    let row = Row::held("nofile", holder.role, limit.hard.saturating_mul(most), needed)
        .met_at(room.saturating_mul(most))
        .because(format!(
            "{} {plural} of {}, one a worker{raised}",
            grouped(wanted.unwrap_or(most)),
            grouped(limit.hard)
        ));
    match (engines.workers, wanted) {
        // A worker whose table is full hands its lane to one that has none: the last lanes need a table of their own.
        (Some(_), Some(n)) if n <= engines.most_workers => {
            row.cured(|| format!("--workers {}, or none: as many as it needs", n + engines.lanes.saturating_sub(1)))
        }
        _ => row
            .cured(|| {
                let nr_open = given.kernel.host.nr_open.as_ref().ok().copied();
                raise(round_up(per_table), limit.hard, Some(limit.hard), nr_open)
            })
            .set(|| Setting::Nofile { soft: round_up(per_table), hard: round_up(per_table) }),
    }
}

/// Any other program: one table a process, the soft limit binds unless it raises that itself, the hard one in any case.
fn other(given: &Given<'_>, holder: &Holder<'_>, need: u64, besides: u64, processes: u64, out: &mut Vec<Row>) {
    let (limit, process) = match holder.process.map(|p| (&p.nofile, p)) {
        Some((Ok(limit), process)) => (*limit, process),
        Some((Err(why), _)) => return out.push(Row::unknown("nofile", why).of(holder.role)),
        None => return out.push(Row::na("nofile", "no process to look at").of(holder.role)),
    };
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
        Row::held("nofile", format!("{} soft, {whose}", holder.role), limit.soft, need)
            .met_at(sum(limit.soft))
            .because(format!(
                "{} connections, its listeners and {OTHER_OWN} others in one table{each}",
                grouped(given.ask.target.div_ceil(processes))
            ))
            .cured(|| {
                if hard_is_enough {
                    raise(to, limit.soft, Some(limit.hard), nr_open)
                } else {
                    "the hard limit first, which bounds it".to_owned()
                }
            })
            .set(|| Setting::Nofile { soft: to, hard: limit.hard.max(to) }),
    );
    let hard = Row::held("nofile", format!("{} hard, {whose}", holder.role), limit.hard, need).met_at(sum(limit.hard));
    out.push(if hard_is_enough {
        hard.because("a program may raise its soft limit this far itself")
    } else {
        hard.because("set by systemd (LimitNOFILE) for services, by limits.conf at login")
            .cured(|| {
                let lasting = raise(to, limit.hard, Some(limit.hard), nr_open);
                if given.ask.running && nr_open.is_none_or(|most| to <= most) {
                    format!("now: prlimit --pid {} --nofile={to}; lasting: {lasting}", process.pid)
                } else {
                    lasting
                }
            })
            .set(|| Setting::Nofile { soft: to, hard: to })
    });
}

fn nr_open(given: &Given<'_>, largest: Option<(u64, u64)>) -> Row {
    match (&given.kernel.host.nr_open, largest) {
        (Err(why), _) => Row::unknown("nr_open", why),
        (Ok(_), None) => Row::na("nr_open", "bounds one table; c1m-top's workers have one each"),
        (Ok(nr_open), Some((need, processes))) => Row::held("nr_open", "host", *nr_open, need)
            .met_at(nr_open.saturating_mul(processes))
            .because("the most that any hard limit may be")
            .set(|| Setting::sysctl("fs.nr_open", need)),
    }
}

fn file_max(given: &Given<'_>) -> Row {
    let files = match &given.kernel.host.files {
        Ok(files) => files,
        Err(why) => return Row::unknown("file-max", why),
    };
    let exempt = |holder: &Holder<'_>| {
        // Who will start another program says nothing of its privilege: servers give theirs up.
        (holder.program == Program::Own || given.ask.running)
            && holder.process.is_some_and(|p| p.exempt_from_file_max == Ok(true))
    };
    if given.holders().iter().all(exempt) {
        let short = if files.used.saturating_add(given.sockets()) > files.max {
            "; programs of other users can open nothing at the target"
        } else {
            ""
        };
        let why = format!("CAP_SYS_ADMIN is exempt: {} does not bind this run{short}", grouped(files.max));
        return Row::na("file-max", why);
    }
    let needed = given.guarded(files.used.saturating_add(given.sockets()));
    Row::held("file-max", "host", files.max, needed)
        .met_at(given.count_of(given.usable(files.max).saturating_sub(files.used)))
        .set(|| Setting::sysctl("fs.file-max", needed))
}

/// One registration for each socket, all of one user.
fn epoll(given: &Given<'_>) -> Row {
    match &given.kernel.host.max_user_watches {
        Err(why) => Row::unknown("epoll", why),
        Ok(watches) => {
            let needed = given.guarded(given.sockets());
            Row::held("epoll", "user", *watches, needed)
                .met_at(given.count_of(given.usable(*watches)))
                .set(|| Setting::sysctl("fs.epoll.max_user_watches", needed))
        }
    }
}
