//! Epoll registrations of one user.

use crate::sample::Kernel;

use super::prelude::*;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "epoll",
    label: "epoll watches",
    unit: Unit::Count,
    help: "File descriptors one user watches with epoll (fs.epoll.max_user_watches). When all are used, epoll_ctl fails with ENOSPC.",
    sources: "engines: their own count; others: eventpoll_epi in /proc/slabinfo; /proc/sys/fs/epoll/max_user_watches",
    sysctls: &[KEY],
    stops_run: true,
    errnos: &[("epoll_ctl", "ENOSPC")],
    read,
    need,
    phrase: |_| "the user's limit of epoll watches".to_owned(),
    ..PLAIN
};

const ID: LimitId = LimitId::Epoll;
const KEY: &str = "fs.epoll.max_user_watches";

/// Registrations of all users, where slabinfo can be read.
fn registered(kernel: &Kernel) -> Option<u64> {
    let slab = kernel.host.slab.as_ref().ok()?;
    Some(slab.iter().find(|c| c.name == "eventpoll_epi")?.active_objs)
}

/// Registrations of our engines: exactly one for each connection, from the first step of its connect on.
fn of_engines(sample: &Sample) -> Option<u64> {
    let mut engines = sample.engines.iter().filter_map(|e| e.stats.as_ref().ok()).peekable();
    engines.peek()?;
    Some(engines.map(|s| s.open + s.in_flight).sum())
}

/// Registrations of other programs beside our engines'.
pub(super) fn of_others(sample: &Sample) -> Option<u64> {
    let own = of_engines(sample)?;
    sample.kernel.host.slab.as_ref().ok()?;
    Some(registered(&sample.kernel).unwrap_or(0).saturating_sub(own))
}

/// Those of our engines grow with connections, those of the user's other programs count as well.
fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let kernel = &context.sample.kernel;
    let limit = match &kernel.host.max_user_watches {
        Ok(limit) => *limit,
        Err(why) => return out.push(Meter::unknown(ID, "host", why)),
    };
    let growing = |scope, used, noise| {
        Meter::growing(ID, scope, used, limit, noise).expecting(context.ends()).sysctl(KEY)
    };
    // The limit counts whatever else the user runs too. How much that is, slabinfo shows to root, whose most of it is then; but
    // only before the run: free objects kept for later are active to slabinfo, a third of all in the middle of a ramp (6.18).
    out.push(match (of_engines(context.sample), &kernel.host.slab, registered(kernel)) {
        (Some(own), ..) => growing("user", own + context.noted.epoll.unwrap_or(0), 8.0),
        (None, Err(why), _) => Meter::unknown(ID, "host", why),
        (None, Ok(_), Some(used)) => growing("host", used, 512.0),
        (None, Ok(_), None) => Meter::without(ID, "host", LimitState::Unknown, "no eventpoll_epi cache in slabinfo"),
    });
}

/// One registration for each socket, all of one user, beside those registered already.
fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    let watches = match &given.kernel.host.max_user_watches {
        Err(why) => return out.push(Need::unknown(ID, why)),
        Ok(watches) => *watches,
    };
    let there = registered(given.kernel).unwrap_or(0);
    let needed = given.guarded(given.sockets().saturating_add(there));
    let need = Need::compare(ID, "user", watches, needed)
        .met_at(given.count_of(given.usable(watches).saturating_sub(there)))
        .cured(|| rounded_sysctl(KEY, needed));
    out.push(if there > 0 { need.because(format!("{} are already in use", grouped(there))) } else { need });
}
