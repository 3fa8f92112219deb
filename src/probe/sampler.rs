//! One pass over all sources of the kernel.

use std::ops::RangeInclusive;
use std::time::Instant;

use super::host::HostSources;
use super::net::NetSources;
use super::network::Unseen;
use super::program::{Attach, ProgramSource};
use super::settings::SettingSources;
use super::source::Roots;
use super::target::{OwnSources, TargetSources, Watch};
use super::user::User;
use crate::sample::Own;
use crate::sample::kernel::{Kernel, Process, Program, Reading};
use crate::units::micros;

/// Reads every source into one [`Kernel`]. All files are opened before the ramp and kept.
#[derive(Debug)]
pub struct Sampler {
    roots: Roots,
    host: HostSources,
    net: NetSources,
    settings: SettingSources,
    targets: Vec<TargetSources>,
    /// The program that is watched, where it is none of ours: its processes are the targets, as they come and go.
    program: Option<ProgramSource>,
    /// The ports that it was last seen to listen on.
    ports: Vec<u16>,
    /// Threads that each user bound by `RLIMIT_NPROC` had in other processes when the last target was opened.
    others: Vec<(User, Reading<u64>)>,
    own: OwnSources,
    page_size: u64,
    /// Every source is read into this one.
    buf: Vec<u8>,
}

impl Sampler {
    /// Opens the machine's sources and those of `targets`, in the order in which samples shall list them. The first one's
    /// network namespace is the one that is read; without any, the dashboard's own.
    ///
    /// # Errors
    /// A target does not exist or may not be read. Nothing else fails: a source that is not there is absent in the samples.
    pub fn new(roots: Roots, targets: &[Watch]) -> Reading<Self> {
        let page_size = procfs::page_size();
        let mut buf = Vec::new();
        let net = NetSources::open(&roots, targets.first().map(|watch| watch.pid), &mut buf);
        let mut sampler = Self {
            host: HostSources::open(&roots, page_size, &mut buf),
            settings: SettingSources::open(&roots, net.network()),
            net,
            targets: Vec::with_capacity(targets.len()),
            program: None,
            ports: Vec::new(),
            others: Vec::new(),
            own: OwnSources::open(&roots, page_size, &mut buf),
            page_size,
            roots,
            buf,
        };
        for watch in targets {
            sampler.push(watch)?;
        }
        sampler.count_others();
        Ok(sampler)
    }

    /// Opens the machine's sources and watches a program that is no engine of ours: its processes, as they come and go.
    ///
    /// # Errors
    /// None of those named exists, or they may not be read.
    pub fn of_program(roots: Roots, attach: &Attach) -> Reading<Self> {
        let watches: Vec<Watch> = attach.pids.iter().map(|pid| Watch::process(*pid)).collect();
        let mut sampler = Self::new(roots, &watches)?;
        sampler.program = Some(ProgramSource::open(&sampler.roots, attach, sampler.page_size)?);
        Ok(sampler)
    }

    /// Takes up those processes of the program that are new among its largest, and lets go those that have ended, once the
    /// walk over all processes has seen that too: before that it still names them.
    fn follow(&mut self) {
        let Some(program) = &self.program else { return };
        let followed = program.followed();
        if self.targets.iter().any(TargetSources::is_alive) {
            self.targets.retain(|target| target.is_alive() || followed.contains(&target.pid()));
        }
        if self.targets.len() > 2 * followed.len() {
            self.targets.retain(|target| followed.contains(&target.pid()));
        }
        let new: Vec<u32> = followed.into_iter().filter(|pid| self.targets.iter().all(|t| t.pid() != *pid)).collect();
        for pid in &new {
            // One that has ended meanwhile is none.
            let _ = self.push(&Watch::process(*pid));
        }
        // What others of a user run was counted without them.
        if !new.is_empty() {
            self.count_others();
        }
    }

    fn push(&mut self, watch: &Watch) -> Reading<()> {
        self.targets.push(TargetSources::open(&self.roots, watch, self.page_size, &mut self.buf)?);
        Ok(())
    }

    /// Counts what the users of the targets run besides. Not with each sample: it is a walk over all processes.
    fn count_others(&mut self) {
        self.others.clear();
        let members = self.program.as_ref().map(ProgramSource::members).unwrap_or_default();
        let targets = self.targets.iter().map(TargetSources::pid);
        let watched: Vec<u32> = targets.chain(members).chain([std::process::id()]).collect();
        for user in self.targets.iter().filter_map(|target| target.bound_user().ok().flatten()) {
            if !self.others.iter().any(|(known, _)| *known == user) {
                self.others.push((user, user.others(&self.roots, &watched, &mut self.buf)));
            }
        }
    }

    /// Adds to what each target uses of its `RLIMIT_NPROC` what else its user runs.
    fn add_others(&self, targets: &mut [Process], program: Option<&Program>) {
        let dashboard = std::process::id();
        let own = Some(&self.own).filter(|_| self.targets.iter().all(|target| target.pid() != dashboard));
        let threads: Vec<u64> = targets.iter().map(|target| target.threads.as_ref().map_or(0, |n| *n)).collect();
        for (target, sources) in targets.iter_mut().zip(&self.targets) {
            let (Ok(Some(user)), Ok(Some(count))) = (sources.bound_user(), &mut target.user_threads) else { continue };
            let watched = self.targets.iter().zip(&threads).filter(|(other, _)| other.user() == Some(user));
            // Of those that are too many to be watched one by one: they are the named one's children.
            let more = program.filter(|_| self.targets[0].user() == Some(user)).map_or(0, |p| p.other_threads);
            let seen = watched.map(|(_, n)| n).sum::<u64>() + more + own.map_or(0, |own| own.threads_of(user));
            match self.others.iter().find(|(known, _)| *known == user) {
                Some((_, Err(why))) => target.user_threads = Err(why.clone()),
                Some((_, Ok(others))) => count.used = seen + others,
                None => count.used = seen,
            }
        }
    }

    /// Looks at the accept queues of a run's ports alone: another program's full queue is not the run's. Without this call,
    /// at those of the whole network namespace. Call it after the first target was added.
    pub fn only_listeners(&mut self, ports: RangeInclusive<u16>) {
        self.net.only_listeners(ports.collect());
    }

    /// What is not known of the network namespace that is read, where that is another one that this user may not enter.
    pub fn unseen(&self) -> Option<Unseen> {
        self.net.unseen(&self.settings)
    }

    /// Has the next sample read what is kept for two seconds because it is set and seldom changed: limits and sysctls. To be
    /// called when something hints that one was met or changed.
    pub fn refresh(&mut self) {
        self.settings.refresh();
        self.host.refresh();
        self.targets.iter_mut().for_each(TargetSources::refresh);
    }

    /// Reads every source once; and what this program itself costs.
    pub fn read(&mut self) -> (Kernel, Own) {
        let start = Instant::now();
        self.follow();
        let (roots, buf) = (&self.roots, &mut self.buf);
        let (net, set) = self.net.read(&mut self.settings, start, buf);
        let sockets = net.sockstat.as_ref().ok().map(|s| s.alloc);
        let host = self.host.read(set, sockets, start, buf);
        let mut processes: Vec<Process> = Vec::with_capacity(self.targets.len());
        for i in 0..self.targets.len() {
            let (before, rest) = self.targets.split_at_mut(i);
            let read = rest[0].read(roots, start, before.iter().zip(&processes), buf);
            processes.push(read);
        }
        let program = self.program.as_ref().map(|program| program.read(&processes));
        let ports: Vec<u16> = program.iter().flat_map(Program::ports).collect();
        if !ports.is_empty() && ports != self.ports {
            self.net.only_listeners(ports.clone());
            self.ports = ports;
        }
        let mut kernel = Kernel { took_us: 0, host, net, processes, program };
        let own = self.own.read(buf);
        let living = kernel.processes.iter().filter(|p| p.alive && !p.is_ending()).count();
        self.host.last_words(&mut kernel.host, living, start, buf);
        self.add_others(&mut kernel.processes, kernel.program.as_ref());
        kernel.took_us = micros(start.elapsed());
        (kernel, own)
    }
}
