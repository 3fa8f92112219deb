//! Memory of the machine, of cgroups, and of TCP buffers.

use crate::model::cost::held;
use crate::model::limit::LimitState;
use crate::model::now::PAGE;
use crate::sample::{MemCgroup, Sample};
use crate::units;

use super::descriptors::ENDED;
use super::{Context, Growth, Meter, write};

const MIB: f64 = 1024.0 * 1024.0;

pub(super) fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let sample = context.sample;
    out.push(match (&sample.kernel.host.mem, context.headroom) {
        (Err(why), _) => Meter::unknown("memory", "host", why),
        (Ok(_), None) => Meter::without("memory", "host", LimitState::Unknown, "not readable"),
        (Ok(_), Some(headroom)) => Meter {
            // Memory in use moves with whatever else runs here; the cost of a connection does not.
            // What cannot be told now is not learnt from: use itself moves with everybody's memory.
            followed: Some(held(sample).map_or(f64::NAN, |b| b as f64)),
            ..Meter::growing("memory", "host", headroom.used_bytes(), headroom.capacity_bytes, 2.0 * MIB)
        }
        .expecting(per_connection(context.both_ends))
        .cured(|need| {
            format!(
                "a machine with {} of memory, or a lower --target (smaller buffers save nothing on idle connections)",
                units::bytes(need)
            )
        }),
    });
    groups(context, out);
    out.push(tcp_mem(sample));
}

/// Kernel memory of an idle connection on Linux 6.18, bytes: what to reckon with before it has been measured.
pub(crate) fn per_connection(both_ends: bool) -> f64 {
    if both_ends { 8232.0 } else { 4116.0 }
}

/// What a memory cgroup is charged of it, bytes. Measured: 5,900 B of the 8,232.
pub(crate) fn charged_per_connection(both_ends: bool) -> f64 {
    per_connection(both_ends) * 0.72
}

/// The charge that counts against a cgroup's limit: page cache is reclaimed before anyone is killed.
pub(crate) fn charge(group: &MemCgroup) -> u64 {
    group.used.saturating_sub(group.file_bytes)
}

/// A limit that is one: cgroup v1 writes "none" as a number near 2^63.
pub(crate) fn bound(group: &MemCgroup) -> Option<u64> {
    group.limit.filter(|l| *l < 1 << 60)
}

/// For each distinct chain the group whose limit is met first.
pub(crate) fn tightest<'a>(chains: impl Iterator<Item = &'a [MemCgroup]>) -> Vec<&'a MemCgroup> {
    let mut found: Vec<&MemCgroup> = Vec::new();
    for chain in chains {
        let left = |g: &&MemCgroup| bound(g).unwrap_or(u64::MAX).saturating_sub(charge(g));
        // min_by_key takes the first of equals: the nearest.
        if let Some(group) = chain.iter().filter(|g| bound(g).is_some()).min_by_key(left)
            && !found.iter().any(|f| f.path == group.path)
        {
            found.push(group);
        }
    }
    found
}

/// The chains of the living targets.
pub(crate) fn chains(sample: &Sample) -> impl Iterator<Item = &[MemCgroup]> {
    sample.living().filter_map(|t| t.process.memcg.as_deref().ok())
}

fn groups(context: &Context<'_>, out: &mut Vec<Meter>) {
    let sample = context.sample;
    let limiting = tightest(chains(sample));
    for group in &limiting {
        let (dir, with_swap) = (group.dir.clone(), group.with_swap);
        let v2 = group.version == 2;
        let limit = bound(group).unwrap_or(u64::MAX);
        out.push(
            Meter::growing("memcg", &group.path, charge(group), limit, MIB)
                .expecting(charged_per_connection(context.both_ends))
                .cured(move |need| {
                    let file = if v2 { "memory.max" } else { "memory.limit_in_bytes" };
                    // Memory alone may not be allowed more than memory and swap.
                    let first = with_swap
                        .filter(|most| *most < need)
                        .map_or(String::new(), |_| format!("{} && ", write(need, &dir, "memory.memsw.limit_in_bytes")));
                    format!("{first}{} (a container: its memory limit)", write(need, &dir, file))
                }),
        );
    }
    if limiting.is_empty() {
        let why = sample.kernel.processes.iter().find_map(|t| t.memcg.as_ref().err());
        out.push(match (why, chains(sample).next()) {
            (_, Some(_)) => Meter::without("memcg", "cgroup", LimitState::NotApplicable, "no limit in any cgroup"),
            (Some(why), None) => Meter::without("memcg", "cgroup", LimitState::NotApplicable, why.to_string()),
            (None, None) => {
                let why = if sample.kernel.processes.is_empty() { "no process watched" } else { ENDED };
                Meter::without("memcg", "cgroup", LimitState::NotApplicable, why)
            }
        });
    }
}

/// Judged by data in flight: idle connections add nothing, so its slope usually says "never".
fn tcp_mem(sample: &Sample) -> Meter {
    let (pages, marks) = match (&sample.kernel.net.sockstat, &sample.kernel.net.tcp_mem) {
        (Err(why), _) | (_, Err(why)) => return Meter::unknown("tcp_mem", "host", why),
        (Ok(sockstat), Ok(marks)) => (sockstat.mem_pages, marks),
    };
    let [low, pressure, max] = marks.map(|p| p.saturating_mul(PAGE));
    let share = |mark: u64, otherwise: f64| if max > 0 { mark as f64 / max as f64 } else { otherwise };
    let mut meter = Meter::growing("tcp_mem", "host", pages * PAGE, max, 8.0 * MIB)
        .expecting(0.0)
        .levels(share(pressure, 0.66), 0.9)
        .cured(move |need| {
            let pages = |bytes: u64| bytes.div_ceil(PAGE);
            format!(
                "read faster, or sysctl -w net.ipv4.tcp_mem=\"{} {} {}\"",
                pages(need.saturating_mul(low) / max.max(1)),
                pages(need.saturating_mul(pressure) / max.max(1)),
                pages(need)
            )
        });
    if max == 0 {
        meter.growth = Growth::Apart;
    }
    meter
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
}
