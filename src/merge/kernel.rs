//! The kernels of several hosts as one: what is the machine's counts once for each machine, what is a network namespace's once for
//! each of those, however many parts ran there.

use crate::sample::{
    Absent, Conntrack, FileNr, Host, Kernel, Listeners, Log, Mem, Net, Reading, Received, SlabCache, Sockstat, Softnet,
    TcpCounters, TcpExt,
};

/// What one part has seen last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) kernel: &'a Kernel,
    /// Its machine and its network namespace.
    pub(super) host: &'a str,
    pub(super) network: &'a str,
    /// When, milliseconds since the first part started; of a part that has not begun before all others.
    pub(super) at_ms: u64,
    /// Its recording covers this moment.
    pub(super) live: bool,
}

/// The kernel that all of them are together. Processes are for the caller to put in.
pub(super) fn together(seen: &[Seen<'_>]) -> Option<Kernel> {
    let hosts = latest(seen, |s| s.host);
    let networks = latest(seen, |s| s.network);
    let first = hosts.first()?;
    let alone = hosts.len() == 1;
    let machines: Vec<&Host> = hosts.iter().map(|s| &s.kernel.host).collect();
    Some(Kernel {
        // The dearest: each was read on a host of its own, at the same time.
        took_us: seen.iter().filter(|s| s.live).map(|s| s.kernel.took_us).max().unwrap_or(first.kernel.took_us),
        host: host(&machines)?,
        net: net(&networks, &hosts, alone)?,
        processes: Vec::new(),
        program: None,
    })
}

/// Of each place the part that has seen it last: one that goes on, where there is one.
fn latest<'a>(seen: &[Seen<'a>], place: fn(&Seen<'a>) -> &'a str) -> Vec<Seen<'a>> {
    let mut places: Vec<Seen<'a>> = Vec::new();
    for one in seen {
        match places.iter_mut().find(|there| place(there) == place(one)) {
            Some(there) if (one.live, one.at_ms) > (there.live, there.at_ms) => *there = *one,
            Some(_) => {}
            None => places.push(*one),
        }
    }
    places
}

/// What a sum over machines would say nothing of: bounds, which each part has judged.
fn of_several<T>() -> Reading<T> {
    Err(Absent::because("of several machines, each with its own"))
}

/// The sum of a reading; where one is missing the sum is not known.
fn sum<'a, S: 'a, T: Clone + 'a>(
    from: impl IntoIterator<Item = &'a S>,
    of: impl Fn(&'a S) -> &'a Reading<T>,
    add: impl Fn(&mut T, &T),
) -> Reading<T> {
    let mut readings = from.into_iter().map(of);
    let first = readings.next().cloned().unwrap_or_else(of_several);
    readings.fold(first, |all, next| {
        let mut all = all?;
        add(&mut all, next.as_ref().map_err(Clone::clone)?);
        Ok(all)
    })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "other sums are of what is not copied")]
fn plus(all: &mut u64, more: &u64) {
    *all = all.saturating_add(*more);
}

fn host(all: &[&Host]) -> Option<Host> {
    let log = Ok(Log { lines: Vec::new(), whole: true });
    let first = *all.first()?;
    if all.len() == 1 {
        // What the log said the part has told.
        return Some(Host { log, ..first.clone() });
    }
    let each = || all.iter();
    Some(Host {
        page_size: first.page_size,
        mem: sum(
            each(),
            |h| &h.mem,
            |a: &mut Mem, b| {
                for (a, b) in [
                    (&mut a.total, b.total),
                    (&mut a.free, b.free),
                    (&mut a.active_file, b.active_file),
                    (&mut a.inactive_file, b.inactive_file),
                    (&mut a.slab, b.slab),
                    (&mut a.s_reclaimable, b.s_reclaimable),
                ] {
                    *a += b;
                }
            },
        ),
        slab: sum(each(), |h| &h.slab, |a, b| add_caches(a, b)),
        slab_is_old: each().any(|h| h.slab_is_old),
        reserve_bytes: sum(each(), |h| &h.reserve_bytes, plus),
        core_lists_bytes: sum(each(), |h| &h.core_lists_bytes, plus),
        files: sum(
            each(),
            |h| &h.files,
            |a: &mut FileNr, b| {
                (a.used, a.max) = (a.used + b.used, a.max.saturating_add(b.max));
            },
        ),
        nr_open: of_several(),
        max_user_watches: of_several(),
        oom_kills: sum(each(), |h| &h.oom_kills, plus),
        memory_pressure: sum(each(), |h| &h.memory_pressure, |a: &mut f64, b| *a = a.max(*b)),
        softnet: sum(
            each(),
            |h| &h.softnet,
            |a: &mut Softnet, b| {
                (a.dropped, a.cores) = (a.dropped + b.dropped, a.cores + b.cores);
            },
        ),
        soft_interrupts_us: sum(each(), |h| &h.soft_interrupts_us, plus),
        threads_max: of_several(),
        pid_max: of_several(),
        tasks: sum(each(), |h| &h.tasks, plus),
        neighbours: [of_several(), of_several()],
        log,
    })
}

/// Adds the caches of another machine, by name. Objects of different kernels differ in size: what a cache takes is right all the
/// same, and the size is that of the first.
fn add_caches(all: &mut Vec<SlabCache>, more: &[SlabCache]) {
    for cache in more {
        match all.iter_mut().find(|there| there.name == cache.name) {
            Some(there) => {
                there.active_objs += cache.active_objs;
                there.bytes += cache.bytes;
            }
            None => all.push(cache.clone()),
        }
    }
}

fn net(networks: &[Seen<'_>], hosts: &[Seen<'_>], alone: bool) -> Option<Net> {
    let first = &networks.first()?.kernel.net;
    let of_one = networks.len() == 1;
    // What is in a namespace that nobody watches any more is not known, and what was there need not be. What it has counted has
    // happened.
    let gone = |s: &Seen<'_>| !s.live;
    let sockstat = networks.iter().try_fold(Sockstat::default(), |all, s| {
        let own = s.kernel.net.sockstat.as_ref().map_err(Clone::clone)?;
        let own = if gone(s) { Sockstat::default() } else { *own };
        Ok(Sockstat { used: all.used + own.used, inuse: all.inuse + own.inuse, tw: all.tw + own.tw, ..all })
    });
    // Its host-wide columns are the same in every namespace of a host.
    let page = hosts.first()?.kernel.host.page_size.max(1);
    let sockstat = sockstat.and_then(|all: Sockstat| {
        hosts.iter().try_fold(all, |all, s| {
            let own = s.kernel.net.sockstat.as_ref().map_err(Clone::clone)?;
            Ok(Sockstat {
                orphan: all.orphan + own.orphan,
                alloc: all.alloc + own.alloc,
                mem_pages: all.mem_pages + own.mem_pages * s.kernel.host.page_size / page,
                ..all
            })
        })
    });
    let mut inuse6 = networks.iter().filter(|s| !gone(s)).map(|s| &s.kernel.net.inuse6);
    let inuse6 = inuse6.try_fold(0, |all, own| Ok(all + *own.as_ref().map_err(Clone::clone)?));
    let nets = || networks.iter();
    let tcp = sum(
        nets(),
        |s| &s.kernel.net.tcp,
        |a: &mut TcpCounters, b| {
            a.passive_opens += b.passive_opens;
            a.in_segs += b.in_segs;
            a.curr_estab += b.curr_estab;
            a.retrans_segs += b.retrans_segs;
        },
    );
    let left: u64 =
        nets().filter(|s| gone(s)).filter_map(|s| s.kernel.net.tcp.as_ref().ok()).map(|t| t.curr_estab).sum();
    let bound = |reading: &Reading<u64>| if of_one { reading.clone() } else { of_several() };
    Some(Net {
        scope: if of_one { first.scope.clone() } else { format!("{} namespaces", networks.len()) },
        sockstat,
        inuse6,
        tcp: tcp.map(|tcp| TcpCounters { curr_estab: tcp.curr_estab.saturating_sub(left), ..tcp }),
        ext: sum(nets(), |s| &s.kernel.net.ext, add_ext),
        conntrack: sum(
            nets(),
            |s| &s.kernel.net.conntrack,
            |a: &mut Conntrack, b| {
                a.count += b.count;
                a.max = a.max.saturating_add(b.max);
                a.drop = a.drop.zip(b.drop).map(|(a, b)| a + b);
            },
        ),
        tcp_mem: if alone { first.tcp_mem.clone() } else { of_several() },
        ports: if of_one { first.ports.clone() } else { of_several() },
        max_buffers: if of_one { first.max_buffers.clone() } else { of_several() },
        received: sum(
            nets(),
            |s| &s.kernel.net.received,
            |a: &mut Received, b| {
                (a.bytes, a.segments) = (a.bytes + b.bytes, a.segments + b.segments);
            },
        ),
        max_tw: bound(&first.max_tw),
        max_orphans: if alone { first.max_orphans.clone() } else { of_several() },
        somaxconn: bound(&first.somaxconn),
        max_syn_backlog: bound(&first.max_syn_backlog),
        syncookies: bound(&first.syncookies),
        ehash_entries: bound(&first.ehash_entries),
        link: if of_one { first.link.clone() } else { of_several() },
        allowance: None,
        listeners: sum(
            nets(),
            |s| &s.kernel.net.listeners,
            |a: &mut Listeners, b| {
                a.reading = a.reading.max(b.reading);
                a.count += b.count;
                a.waiting += b.waiting;
                // The fullest by its share of what may wait.
                let fuller =
                    |(a, b): (crate::sample::AcceptQueue, crate::sample::AcceptQueue)| a.used * b.max >= b.used * a.max;
                a.fullest = match (a.fullest, b.fullest) {
                    (Some(x), Some(y)) => Some(if fuller((x, y)) { x } else { y }),
                    (x, y) => x.or(y),
                };
            },
        ),
    })
}

fn add_ext(a: &mut TcpExt, b: &TcpExt) {
    for (a, b) in [
        (&mut a.listen_overflows, b.listen_overflows),
        (&mut a.listen_drops, b.listen_drops),
        (&mut a.req_q_full_do_cookies, b.req_q_full_do_cookies),
        (&mut a.req_q_full_drop, b.req_q_full_drop),
        (&mut a.memory_pressures, b.memory_pressures),
        (&mut a.prune_called, b.prune_called),
        (&mut a.rcv_pruned, b.rcv_pruned),
        (&mut a.abort_on_memory, b.abort_on_memory),
        (&mut a.time_wait_overflow, b.time_wait_overflow),
        (&mut a.backlog_drop, b.backlog_drop),
    ] {
        *a += b;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::synthetic;

    /// So many MiB free, and sockets of the namespace and of the machine.
    fn kernel(free_mib: u64, inuse: u64, alloc: u64) -> Kernel {
        let mut kernel = synthetic::host_only(0).kernel;
        kernel.host.mem.as_mut().unwrap().free = free_mib << 20;
        let sockstat = kernel.net.sockstat.as_mut().unwrap();
        (sockstat.inuse, sockstat.alloc, sockstat.tw) = (inuse, alloc, 1);
        kernel.net.inuse6 = Ok(0);
        kernel.net.tcp.as_mut().unwrap().curr_estab = inuse;
        kernel
    }

    #[test]
    fn a_host_counts_once_and_so_does_a_namespace() {
        let kernels = [kernel(10, 100, 600), kernel(11, 200, 600), kernel(12, 205, 601), kernel(50, 300, 300)];
        let places = [("a", "a1"), ("a", "a2"), ("a", "a2"), ("b", "b1")];
        let seen = |live: [bool; 4]| -> Kernel {
            let seen: Vec<Seen<'_>> = kernels
                .iter()
                .zip(places)
                .zip(live)
                .zip(1..)
                .map(|(((kernel, (host, network)), live), at_ms)| Seen { kernel, host, network, at_ms, live })
                .collect();
            together(&seen).unwrap()
        };
        let all = seen([true; 4]);
        let sockstat = all.net.sockstat.unwrap();
        assert_eq!((sockstat.inuse, sockstat.tw, sockstat.alloc), (100 + 205 + 300, 3, 601 + 300));
        assert_eq!(all.host.mem.unwrap().free, (12 + 50) << 20);
        assert_eq!(all.net.tcp.unwrap().curr_estab, 605);
        assert!(all.host.nr_open.is_err() && all.net.somaxconn.is_err(), "bounds have no sum");
        // One that has ended: the other part of its namespace goes on, and tells of it.
        let some = seen([false, true, false, true]);
        let sockstat = some.net.sockstat.unwrap();
        assert_eq!((sockstat.inuse, sockstat.alloc), (200 + 300, 600 + 300), "nobody sees a1 any more");
        assert_eq!(some.net.tcp.unwrap().curr_estab, 500);
        assert_eq!(some.host.mem.unwrap().free, (11 + 50) << 20, "a host is as it was last seen");
        let none = seen([false; 4]);
        assert_eq!((none.net.sockstat.unwrap().inuse, none.host.mem.unwrap().free), (0, 62 << 20));
        assert!(together(&[]).is_none());
    }

    #[test]
    fn a_reading_that_one_host_lacks_is_not_known_of_all() {
        let (a, mut b) = (kernel(10, 100, 100), kernel(10, 100, 100));
        b.host.slab = of_several();
        let of = |kernel, host| Seen { kernel, host, network: host, at_ms: 1, live: true };
        let all = together(&[of(&a, "a"), of(&b, "b")]).unwrap();
        assert!(all.host.slab.is_err() && all.host.mem.is_ok());
    }
}
