//! Which processes belong together: those named, what descends from them, and what did before its parent ended.

use std::collections::{HashMap, HashSet};
use std::fs;

use super::process;
use super::source::Roots;

/// What a walk over all processes sees of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its number.
    pub(crate) pid: u32,
    /// Its parent's.
    pub(crate) parent: u32,
    /// Its name.
    pub(crate) comm: String,
    /// One of the kernel's own threads.
    pub(crate) kernel: bool,
    /// When it was started, ticks since boot.
    pub(crate) started: u64,
    /// User plus system time, ticks.
    pub(crate) ticks: u64,
    /// Threads.
    pub(crate) threads: u64,
    /// Resident memory, pages; `None` while it ends.
    pub(crate) rss_pages: Option<u64>,
}

/// What is seen of one process; `None` once it has ended.
pub(crate) fn seen(roots: &Roots, pid: u32) -> Option<Seen> {
    // Its name may be any bytes.
    let text = fs::read(roots.proc.join(format!("{pid}/stat"))).ok()?;
    let text = String::from_utf8_lossy(&text);
    let stat = process::stat(&text).ok().filter(|stat| !stat.ended)?;
    Some(Seen {
        pid,
        parent: stat.parent,
        comm: stat.comm.to_owned(),
        kernel: stat.kernel,
        started: stat.started,
        ticks: stat.ticks,
        threads: stat.threads,
        rss_pages: (!stat.exiting).then_some(stat.rss_pages),
    })
}

/// Every process there is: some 10 us for each.
pub(crate) fn every(roots: &Roots) -> Vec<Seen> {
    numbers(roots).filter_map(|pid| seen(roots, pid)).collect()
}

fn numbers(roots: &Roots) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(&roots.proc).into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok())
}

/// Walks over all processes, one after another.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    strangers: HashMap<u32, Seen>,
    walks: u32,
}

/// Every so many walks those who are no members are looked at anew: one of them may have ended, and its number have been given
/// to another.
const ANEW: u32 = 16;

impl Walk {
    /// Every process there is. Of those that were no members the last time nothing is read again.
    pub(crate) fn every(&mut self, roots: &Roots, is_member: impl Fn(u32) -> bool) -> Vec<Seen> {
        self.walks += 1;
        if self.walks.is_multiple_of(ANEW) {
            self.strangers.clear();
        }
        let all: Vec<Seen> = numbers(roots)
            .filter_map(|pid| match self.strangers.get(&pid) {
                Some(known) if !is_member(pid) => Some(known.clone()),
                _ => seen(roots, pid),
            })
            .collect();
        self.strangers = all.iter().map(|p| (p.pid, p.clone())).collect();
        all
    }
}

/// Whether one of the cgroups of a process, of any hierarchy, is meant.
pub(crate) fn in_cgroup(roots: &Roots, pid: u32, is_meant: impl Fn(&str) -> bool) -> bool {
    let text = fs::read_to_string(roots.proc.join(format!("{pid}/cgroup"))).unwrap_or_default();
    text.lines().filter_map(|line| line.splitn(3, ':').nth(2)).any(is_meant)
}

/// Those of `pids` that descend from no other of them.
pub(crate) fn tops(all: &[Seen], pids: &[u32]) -> Vec<u32> {
    let parents: HashMap<u32, u32> = all.iter().map(|p| (p.pid, p.parent)).collect();
    let has_ancestor = |pid: u32| {
        // A process that ends meanwhile could close a ring.
        let line = std::iter::successors(parents.get(&pid), |parent| parents.get(parent)).take(64);
        line.into_iter().any(|ancestor| *ancestor != pid && pids.contains(ancestor))
    };
    pids.iter().copied().filter(|pid| !has_ancestor(*pid)).collect()
}

/// The processes of a program, as they come and go.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    named: Vec<u32>,
    /// Not what descends from them.
    alone: bool,
    /// Every member, and when it was started.
    members: HashMap<u32, u64>,
}

impl Tree {
    /// Of those named.
    pub(crate) fn new(named: &[u32], alone: bool) -> Self {
        Self { named: named.to_vec(), alone, members: HashMap::new() }
    }

    /// Whether it was a member when last looked at.
    pub(crate) fn has(&self, pid: u32) -> bool {
        self.members.contains_key(&pid)
    }

    /// Its processes among all; `more` says which others belong to it: those of a cgroup.
    pub(crate) fn grow<'a>(&mut self, all: &'a [Seen], more: impl Fn(&Seen) -> bool) -> Vec<&'a Seen> {
        let known = |p: &Seen| self.members.get(&p.pid).is_some_and(|started| *started == p.started);
        // The number of one that has ended may be another's by now.
        let named = |p: &Seen| self.named.contains(&p.pid) && self.members.get(&p.pid).is_none_or(|s| *s == p.started);
        let mut children: HashMap<u32, Vec<&Seen>> = HashMap::new();
        for process in all {
            children.entry(process.parent).or_default().push(process);
        }
        let own = std::process::id();
        let starts = all.iter().filter(|p| named(p) || known(p) || more(p));
        let mut found: Vec<&Seen> = starts.filter(|p| p.pid != own && !p.kernel).collect();
        let mut seen: HashSet<u32> = found.iter().map(|p| p.pid).collect();
        let mut next = 0;
        while let Some(process) = found.get(next).filter(|_| !self.alone) {
            next += 1;
            for child in children.get(&process.pid).into_iter().flatten() {
                if child.pid != own && seen.insert(child.pid) {
                    found.push(child);
                }
            }
        }
        // Those named stay known when they have ended, so that nobody takes their place.
        self.members.retain(|pid, _| self.named.contains(pid) || seen.contains(pid));
        self.members.extend(found.iter().map(|p| (p.pid, p.started)));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, parent: u32, started: u64) -> Seen {
        let comm = "x".to_owned();
        Seen { pid, parent, comm, kernel: false, started, ticks: 0, threads: 1, rss_pages: Some(1) }
    }

    fn pids(found: &[&Seen]) -> Vec<u32> {
        let mut pids: Vec<u32> = found.iter().map(|p| p.pid).collect();
        pids.sort_unstable();
        pids
    }

    #[test]
    fn a_program_is_what_was_named_and_what_descends_from_it() {
        // su -> shell -> beam, a neighbour, and a worker of another.
        let all = [process(10, 1, 5), process(11, 10, 6), process(12, 11, 7), process(20, 1, 5), process(21, 20, 9)];
        let mut tree = Tree::new(&[10], false);
        assert_eq!(pids(&tree.grow(&all, |_| false)), [10, 11, 12]);
        // The shell ends, and what it has started belongs to init from then on.
        let all = [process(10, 1, 5), process(12, 1, 7), process(13, 12, 12), process(20, 1, 5)];
        assert_eq!(pids(&tree.grow(&all, |_| false)), [10, 12, 13]);
        // All end, and others get their numbers.
        assert!(tree.grow(&[process(10, 1, 50), process(12, 1, 51)], |_| false).is_empty());
        assert_eq!(pids(&Tree::new(&[20, 12], true).grow(&all, |_| false)), [12, 20]);
        assert_eq!(pids(&Tree::new(&[], false).grow(&all, |p| p.pid == 12)), [12, 13]);
    }

    #[test]
    fn of_a_master_and_its_workers_the_master_is_meant() {
        let all = [process(10, 1, 5), process(11, 10, 6), process(12, 11, 7), process(20, 1, 5)];
        assert_eq!(tops(&all, &[10, 11, 12]), [10]);
        assert_eq!(tops(&all, &[12, 10]), [10], "with a shell between them");
        assert_eq!(tops(&all, &[11, 20]), [11, 20]);
        assert_eq!(tops(&[process(1, 2, 0), process(2, 1, 0)], &[1]), [1], "a ring ends");
    }
}
