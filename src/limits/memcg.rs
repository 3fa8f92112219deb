//! The memory limit of a cgroup or of one of its ancestors.

use crate::sample::{Kernel, MemCgroup};

use super::Oom;
use super::cure::{Setting, mib, write};
use super::memory::{guarded, per_connection, share};
use super::nofile::ENDED;
use super::prelude::*;
use crate::units::whole;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "memcg",
    label: "cgroup memory",
    unit: Unit::Bytes,
    help: "The tightest limit of the memory cgroup and its parents. Sockets are charged to it. When it is full, the OOM killer ends a process although the machine has memory left.",
    sources: "memory.current, memory.max, memory.stat, memory.events; version 1: memory.usage_in_bytes, memory.limit_in_bytes",
    stops_run: true,
    oom: Some(Oom::Cgroup),
    read,
    need,
    phrase: |limit| format!("the memory limit of cgroup {}", limit.scope),
    ..PLAIN
};

const ID: LimitId = LimitId::Memcg;


/// The part of a connection's kernel memory that a memory cgroup is charged. Measured: 5,900 B of the 8,232.
const CHARGED: f64 = 0.72;

/// What a memory cgroup is charged of a connection, bytes.
fn charged_per_connection(both_ends: bool) -> f64 {
    per_connection(both_ends) * CHARGED
}

/// The charge that counts against a cgroup's limit, bytes: page cache is reclaimed before anyone is killed.
pub fn charge(group: &MemCgroup) -> u64 {
    group.used.saturating_sub(group.file_bytes)
}

/// A limit that is one, bytes: cgroup v1 writes "none" as a number near 2^63.
pub fn bound(group: &MemCgroup) -> Option<u64> {
    group.limit.filter(|l| *l < 1 << 60)
}

/// What may still be charged to it, bytes; `None` where it has no limit.
pub fn room(group: &MemCgroup) -> Option<u64> {
    Some(bound(group)?.saturating_sub(charge(group)))
}

/// For each distinct chain the group whose limit is met first.
pub fn tightest<'a>(chains: impl Iterator<Item = &'a [MemCgroup]>) -> Vec<&'a MemCgroup> {
    let mut found: Vec<&MemCgroup> = Vec::new();
    for chain in chains {
        // min_by_key takes the first of equals: the nearest.
        if let Some((_, group)) = chain.iter().filter_map(|g| Some((room(g)?, g))).min_by_key(|r| r.0)
            && !found.iter().any(|f| f.path == group.path)
        {
            found.push(group);
        }
    }
    found
}

/// The chains of the living processes.
pub(crate) fn chains(sample: &Sample) -> impl Iterator<Item = &[MemCgroup]> {
    sample.living().filter_map(|t| t.process.memcg.as_deref().ok())
}

/// The chains of every process.
pub(crate) fn all_chains(kernel: &Kernel) -> impl Iterator<Item = &[MemCgroup]> {
    kernel.processes.iter().filter_map(|p| p.memcg.as_deref().ok())
}

/// What lets a cgroup be charged so many bytes.
fn cure(group: &MemCgroup) -> impl Fn(u64) -> Cure + Send + use<> {
    let (dir, with_swap, v2) = (group.dir.clone(), group.with_swap, group.version == 2);
    move |need| {
        let file = if v2 { "memory.max" } else { "memory.limit_in_bytes" };
        // Memory alone may not be allowed more than memory and swap.
        let first = with_swap
            .filter(|most| *most < need)
            .map_or(String::new(), |_| format!("{} && ", write(need, &dir, "memory.memsw.limit_in_bytes")));
        let lasting = format!("MemoryMax={} in the service's systemd unit (a container: its memory limit)", mib(need));
        Cure::from([
            Remedy::root(Level::Cgroup, format!("{first}{}", write(need, &dir, file))),
            Remedy::advice(Level::Cgroup, lasting).needs("root").with(Setting::MemoryMax(need)),
            Remedy::option("a lower --target"),
        ])
    }
}

fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let sample = context.sample;
    let limiting = tightest(chains(sample));
    for group in &limiting {
        let limit = bound(group).unwrap_or(u64::MAX);
        let meter = Meter::growing(ID, &group.path, charge(group), limit, MIB)
            .expecting(charged_per_connection(context.both_ends))
            .cured(cure(group));
        out.push(Meter { guarded: Some(guarded(context.both_ends)), ..meter });
    }
    if limiting.is_empty() {
        let why = sample.kernel.processes.iter().find_map(|t| t.memcg.as_ref().err());
        let why = match (why, chains(sample).next()) {
            (_, Some(_)) => "no limit in any cgroup".to_owned(),
            (Some(why), None) => why.to_string(),
            (None, None) if sample.kernel.processes.is_empty() => "no process watched".to_owned(),
            (None, None) => ENDED.to_owned(),
        };
        out.push(Meter::not_applicable(ID, "cgroup", why));
    }
}

fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    let holders = given.holders();
    let chains: Vec<_> = holders.iter().filter_map(|h| h.process).map(|p| &p.memcg).collect();
    let tight = tightest(chains.iter().filter_map(|c| c.as_deref().ok()));
    if tight.is_empty() {
        let why = match chains.iter().find_map(|c| c.as_ref().err()) {
            Some(why) => why.to_string(),
            None => "no limit in this cgroup or its parents".to_owned(),
        };
        out.push(Need::not_applicable(ID, why));
    }
    let share = share(given);
    for group in tight {
        // c1m-top's engines both live in the group this command was started in; a running server may have its own.
        let inside = chains.iter().filter(|c| c.as_ref().is_ok_and(|c| c.iter().any(|g| g.path == group.path))).count();
        let each = given.ask.measured.map_or_else(
            || charged_per_connection(inside > 1) + given.ask.user_bytes as f64,
            |measured| measured.user_bytes + (measured.total_bytes - measured.user_bytes) * CHARGED,
        );
        let charged = charge(group);
        let needed = whole(given.ask.target as f64 * each);
        let limit = bound(group).unwrap_or(u64::MAX);
        let room = whole(limit.saturating_sub(charged) as f64 * share);
        let to = limit.saturating_add(whole(((needed.saturating_sub(room)) as f64 / share).ceil()));
        out.push(
            Need::compare(ID, &group.path, room, needed)
                .met_at(whole(room as f64 / each))
                .because(format!(
                    "a connection is charged {} B; {} of {} are in use, and {:.0} % of the rest is kept free",
                    grouped(whole(each)),
                    bytes(charged),
                    bytes(limit),
                    (1.0 - share) * 100.0
                ))
                .cured(|| cure(group)(round_up(to))),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(path: &str, used: u64, limit: Option<u64>) -> MemCgroup {
        MemCgroup {
            path: path.into(),
            dir: path.into(),
            version: 2,
            used,
            limit,
            with_swap: None,
            file_bytes: 0,
            oom_kills: 0,
            max_hits: 0,
        }
    }

    #[test]
    fn the_tightest_ancestor_limits() {
        let chain = vec![
            group("/a/b", 10, Some(1000)),
            group("/a", 300, Some(500)),
            group("/", 5000, None),
            group("/v1-none", 0, Some(0x7fff_ffff_ffff_f000)),
        ];
        let found = tightest([chain.as_slice(), chain.as_slice()].into_iter());
        assert_eq!(found.iter().map(|g| g.path.as_str()).collect::<Vec<_>>(), ["/a"]);
    }

    #[test]
    fn memory_with_swap_is_raised_first_where_it_binds() {
        let v1 = MemCgroup { version: 1, with_swap: Some(500), ..group("/a", 300, Some(500)) };
        let cure = cure(&v1)(800).to_string();
        let want = "echo 800 > /a/memory.memsw.limit_in_bytes && echo 800 > /a/memory.limit_in_bytes, or MemoryMax=1M";
        assert!(cure.starts_with(want), "{cure}");
    }
}
