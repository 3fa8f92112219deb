//! The program that is watched: which processes it has, what each of them has open, and its connections.
//!
//! A walk over all processes and a count of sockets cost milliseconds, or seconds at a million. So a thread of its own does
//! both, for a hundredth of the time at the most, and what its processes' descriptors have changed by since carries the count on.

#![expect(clippy::cast_precision_loss, reason = "counts of descriptors and connections, far below 2^52")]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::census::Counter;
use super::find::Selector;
use super::listeners;
use super::namespace::same_network;
use super::process::{self, first_sockets};
use super::snmp;
use super::source::{Roots, Source};
use super::target::TICK_US;
use super::tree::{Seen, Tree, Walk};
use crate::sample::kernel::{Absent, Census, Member, Process, Program, Reading};
use crate::sys;

/// Least time between two questions.
const LEAST: Duration = Duration::from_secs(1);
/// At most this part of the time goes into asking.
const REST: u32 = 100;
/// How often the thread looks whether anybody still wants to know.
const NAP: Duration = Duration::from_millis(100);
/// Descriptors that are listed again whenever their number has changed.
const FEW: u64 = 128;
/// Processes of which they are; the others, such as a backend for each connection, are looked into once.
const LISTED: usize = 64;
/// Processes that are listed one by one.
const MEMBERS: usize = 1024;
/// Of them, those that are watched with all their limits, the named one besides.
const WATCHED: usize = 15;

/// What to attach to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attach {
    /// The processes that were named.
    pub pids: Vec<u32>,
    /// Not what descends from them.
    pub alone: bool,
    /// Everything that this selector means belongs to it as well, also what comes later: a cgroup.
    pub group: Option<Selector>,
    /// Connections that it allows itself, as the user says.
    pub app_limit: Option<u64>,
}

/// The newest answer.
#[derive(Debug)]
struct Answer {
    program: Program,
    at: Instant,
}

/// Asks, in a thread of its own, for as long as this lives.
#[derive(Debug)]
pub(crate) struct ProgramSource {
    answer: Arc<Mutex<Answer>>,
}

/// What the thread needs.
struct Asking {
    roots: Roots,
    attach: Attach,
    page_size: u64,
    socket: Reading<Socket>,
    snmp: Source,
    walk: Walk,
    tree: Tree,
    /// What is known of each member, and when that was started.
    known: HashMap<u32, (u64, Known)>,
    /// Listeners of the namespace when ports were last looked up.
    inodes: HashMap<u64, u16>,
    ports: Vec<u16>,
    counter: Counter,
    buf: Vec<u8>,
}

/// What was found among the first descriptors of a process.
#[derive(Debug, Default, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Known {
    /// Sockets, until it is known which of them are connections.
    sockets: HashSet<u64>,
    /// Descriptors that are no sockets; with the sockets that are no connections once those are known.
    at_rest: u64,
    counted: bool,
    /// They were listed: another user's may not be.
    looked: bool,
    /// How many it had open then.
    descriptors: Option<u64>,
    /// One of its listeners: descriptor and inode.
    listener: Option<(u32, u64)>,
    /// It was still there at a later look: what forks for each connection has its parent's for a moment.
    listens: bool,
    /// It listens no more, or says that it is shutting down.
    draining: bool,
    /// Resident memory, pages, and what of it is shared, bytes.
    shared: Option<(u64, u64)>,
}

impl ProgramSource {
    /// Looks once and goes on.
    pub(crate) fn open(roots: &Roots, attach: &Attach, page_size: u64) -> Reading<Self> {
        let first = *attach.pids.first().ok_or(Absent::because("no process was named"))?;
        let other = same_network(&roots.proc, first) == Some(false);
        let mut asking = Asking {
            roots: roots.clone(),
            attach: attach.clone(),
            page_size,
            socket: listeners::open(roots, other.then_some(first)),
            snmp: Source::open_once(roots, format!("/proc/{first}/net/snmp"), Absent::ProcessEnded),
            walk: Walk::default(),
            tree: Tree::new(&attach.pids, attach.alone),
            known: HashMap::new(),
            inodes: HashMap::new(),
            ports: Vec::new(),
            counter: Counter::default(),
            buf: Vec::new(),
        };
        let start = sys::thread_cpu_time();
        let answer = Arc::new(Mutex::new(asking.ask()));
        let (told, took) = (Arc::downgrade(&answer), sys::thread_cpu_time().saturating_sub(start));
        let thread = thread::Builder::new().name("census".into());
        thread.spawn(move || asking.go_on(&told, took)).map_err(|e| Absent::Because(e.to_string().into()))?;
        Ok(Self { answer })
    }

    /// The processes to be watched with all their limits, the named one first.
    pub(crate) fn followed(&self) -> Vec<u32> {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.program.members.iter().take(WATCHED + 1).map(|member| member.pid).collect()
    }

    /// Every process of it that is listed.
    pub(crate) fn members(&self) -> Vec<u32> {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.program.members.iter().map(|member| member.pid).collect()
    }

    /// The program now: as last looked at, with what has just been read of its `processes`.
    pub(crate) fn read(&self, processes: &[Process]) -> Program {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        carried(answer.program.clone(), answer.at.elapsed(), processes)
    }
}

/// A program as it was so long ago, with what its processes are by now.
fn carried(mut program: Program, age: Duration, processes: &[Process]) -> Program {
    let mut descriptors = program.descriptors;
    for member in &mut program.members {
        let Some(now) = processes.iter().find(|p| p.pid == member.pid) else { continue };
        program.other_threads = program.other_threads.saturating_sub(member_threads(now));
        if !now.alive {
            program.processes = program.processes.saturating_sub(1);
        }
        let rss = now.rss_bytes.as_ref().ok().copied();
        program.rss_bytes = (program.rss_bytes + rss.unwrap_or(0)).saturating_sub(member.rss_bytes.unwrap_or(0));
        member.rss_bytes = rss;
        member.cpu_us = now.cpu_us.as_ref().map_or(member.cpu_us, |us| *us);
        let open = if now.alive { now.descriptors.as_ref().ok().copied() } else { Some(0) };
        if let (Some(all), Some(then), Some(open)) = (&mut descriptors, member.descriptors, open) {
            *all = (*all + open).saturating_sub(then);
            member.descriptors = Some(open);
        }
    }
    if let Ok(census) = &mut program.census {
        census.age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        if let (Some(then), Some(now)) = (program.descriptors, descriptors) {
            let at_rest: u64 = program.members.iter().filter_map(|m| m.at_rest).sum();
            let held = then.saturating_sub(at_rest);
            // A proxy has a socket to either side of each connection.
            let each = (held as f64 / census.connections.max(1) as f64).clamp(1.0, 4.0);
            // What was opened while sockets were counted is not to look like a part of a descriptor.
            let each = if (each - each.round()).abs() < 0.2 { each.round() } else { each };
            let more = (now as f64 - then as f64) / each;
            census.connections = crate::units::whole((census.connections as f64 + more).round());
            census.carried = true;
        }
    }
    program.descriptors = descriptors;
    share_out(&mut program);
    program.members.retain(|member| processes.iter().all(|p| p.alive || p.pid != member.pid));
    program
}

/// Threads of a watched process.
fn member_threads(process: &Process) -> u64 {
    process.threads.as_ref().map_or(0, |n| *n)
}

/// Gives each process its part of the connections: they are where the descriptors are that are not at rest.
fn share_out(program: &mut Program) {
    let all: u64 = program.members.iter().filter_map(Member::held).sum();
    let Ok(census) = &program.census else { return };
    let one = program.processes <= 1;
    for member in &mut program.members {
        member.connections = if one {
            Some(census.connections)
        } else {
            // Between two counts the sum may be ahead of what is open.
            member.held().map(|n| (census.connections * n + all / 2).checked_div(all).unwrap_or(0).min(n))
        };
    }
}

impl Asking {
    /// Until nobody wants to know any more.
    fn go_on(&mut self, told: &Weak<Mutex<Answer>>, first: Duration) {
        let mut took = first;
        loop {
            let next = Instant::now() + LEAST.max(took * REST);
            while Instant::now() < next {
                thread::sleep(NAP);
                if told.strong_count() == 0 {
                    return;
                }
            }
            // What it costs, not how long others had the core meanwhile.
            let start = sys::thread_cpu_time();
            let answer = self.ask();
            took = sys::thread_cpu_time().saturating_sub(start);
            let Some(place) = told.upgrade() else { return };
            *place.lock().unwrap_or_else(PoisonError::into_inner) = answer;
        }
    }

    fn ask(&mut self) -> Answer {
        let all = self.walk.every(&self.roots, |pid| self.tree.has(pid));
        let (roots, group) = (&self.roots, self.attach.group.as_ref());
        let found = self.tree.grow(&all, |p| group.is_some_and(|group| group.means(roots, p)));
        self.known.retain(|pid, (started, _)| found.iter().any(|p| p.pid == *pid && p.started == *started));
        let mut members: Vec<(Member, &Seen)> = found.into_iter().map(|p| (self.member(p), p)).collect();
        // Those that were named come first, in their order; then the largest.
        let named = |m: &Member| self.attach.pids.iter().position(|pid| *pid == m.pid).unwrap_or(usize::MAX);
        members.sort_by_key(|(m, _)| (named(m), std::cmp::Reverse(m.descriptors), m.pid));
        let before = members.iter().map(|(m, _)| m.descriptors).sum::<Option<u64>>();
        self.look_into(&members);
        let (census, at) = (self.census(), Instant::now());
        for (member, _) in &mut members {
            // Nothing is known of one that may not be looked into.
            let known = self.known.get(&member.pid).map(|(_, known)| known);
            member.at_rest = known.filter(|known| known.counted).map(|known| known.at_rest);
            member.draining = known.is_some_and(|known| known.draining);
        }
        // Of a program whose connections came or went meanwhile the middle is nearest.
        let again = |(place, m): (usize, &Member)| if place < LISTED { self.descriptors(m.pid) } else { m.descriptors };
        let after = members.iter().map(|(m, _)| m).enumerate().map(again).sum::<Option<u64>>();
        let descriptors = before.zip(after).map(|(a, b)| u64::midpoint(a, b));
        let census = whose(census, descriptors, members.iter().map(|(m, _)| m));
        let shared = members.iter().enumerate().map(|(place, (_, p))| self.shared(p, place < LISTED)).sum();
        let first = members.first().map(|(m, _)| (m.pid, m.name.clone()));
        let (pid, name) = first.unwrap_or((self.attach.pids[0], String::new()));
        let program = Program {
            pid,
            name,
            processes: members.len() as u64,
            rss_bytes: members.iter().filter_map(|(m, _)| m.rss_bytes).sum(),
            shared_bytes: shared,
            other_threads: members.iter().map(|(_, p)| p.threads).sum(),
            descriptors,
            census,
            app_limit: self.attach.app_limit,
            members: members.into_iter().map(|(m, _)| m).take(MEMBERS).collect(),
        };
        Answer { program, at }
    }

    fn member(&self, process: &Seen) -> Member {
        Member {
            pid: process.pid,
            name: crate::units::printable(&process.comm).into_owned(),
            rss_bytes: process.rss_pages.map(|pages| pages.saturating_mul(self.page_size)),
            cpu_us: process.ticks.saturating_mul(TICK_US),
            descriptors: self.descriptors(process.pid),
            at_rest: None,
            connections: None,
            draining: false,
        }
    }

    /// Memory of a process that it may have in common with others, bytes. Of a small one it is read again only when its resident
    /// memory has changed.
    fn shared(&mut self, process: &Seen, anew: bool) -> u64 {
        let known = self.known.get(&process.pid).and_then(|(_, known)| known.shared);
        match known {
            Some((rss, shared)) if !anew && Some(rss) == process.rss_pages => shared,
            _ => {
                let path = self.roots.proc.join(format!("{}/statm", process.pid));
                let statm = fs::read_to_string(path).unwrap_or_default();
                let shared = process::shared_pages(&statm).unwrap_or(0).saturating_mul(self.page_size);
                if let Some((_, known)) = self.known.get_mut(&process.pid) {
                    known.shared = process.rss_pages.map(|rss| (rss, shared));
                }
                shared
            }
        }
    }

    fn descriptors(&self, pid: u32) -> Option<u64> {
        process::descriptors(&self.roots.proc.join(format!("{pid}/fd"))).ok().flatten()
    }

    /// Lists the first descriptors of those processes that have not been looked into, or have few. Once somebody listens elsewhere, of all:
    /// a server that is reloaded opens others.
    fn look_into(&mut self, members: &[(Member, &Seen)]) {
        let Ok(socket) = &self.socket else { return };
        let Ok(inodes) = listeners::inodes(socket, &mut self.buf) else { return };
        if inodes != self.inodes {
            self.known.values_mut().for_each(|(_, known)| known.counted = false);
            self.inodes = inodes;
            self.ports.clear();
        }
        for (place, (member, process)) in members.iter().enumerate() {
            let (started, known) = self.known.entry(process.pid).or_default();
            if place >= LISTED && known.looked {
                continue;
            }
            // Of one that has few it costs little to see what it has opened besides, a pipe to each new worker.
            let few = member.descriptors.is_some_and(|open| open <= FEW && known.descriptors != Some(open));
            let is_there = |(number, inode)| process::socket_at(&self.roots, process.pid, number) == Some(inode);
            let there = known.listener.map(is_there);
            known.listens |= there == Some(true);
            if known.counted && !few && there != Some(false) {
                continue;
            }
            let Ok((sockets, at_rest)) = first_sockets(&self.roots, process.pid) else {
                continue;
            };
            self.ports.extend(sockets.keys().filter_map(|inode| self.inodes.get(inode)));
            let listener = sockets.iter().find(|(inode, _)| self.inodes.contains_key(inode));
            let listener = listener.map(|(inode, number)| (*number, *inode));
            let ends = known.draining || known.listens || process::is_shutting_down(&self.roots, process.pid);
            *started = process.started;
            *known = Known {
                sockets: sockets.into_keys().collect(),
                at_rest,
                counted: false,
                looked: true,
                descriptors: member.descriptors,
                listener,
                listens: known.listens,
                draining: listener.is_none() && ends,
                shared: known.shared,
            };
        }
        self.ports.sort_unstable();
        self.ports.dedup();
    }

    /// Counts sockets; what was found among descriptors is told apart by them.
    fn census(&mut self) -> Reading<Census> {
        let socket = self.socket.as_ref().map_err(Absent::clone)?;
        let new = || self.known.values().map(|(_, known)| known).filter(|known| !known.counted);
        let asked: HashSet<u64> = new().flat_map(|known| &known.sockets).copied().collect();
        let mut connected = HashSet::new();
        let mut census = self.counter.count(socket, &self.ports, &asked, &mut connected, &mut self.buf)?;
        census.opens = self.snmp.get(&mut self.buf, snmp::parse_tcp).ok().map(|tcp| tcp.passive_opens);
        for (_, known) in self.known.values_mut().filter(|(_, known)| known.looked && !known.counted) {
            let sockets = std::mem::take(&mut known.sockets);
            known.at_rest += sockets.iter().filter(|inode| !connected.contains(inode)).count() as u64;
            known.counted = true;
        }
        let unseen = self.known.iter().find(|(_, (_, known))| !known.looked).map(|(pid, _)| *pid);
        match unseen {
            _ if !self.ports.is_empty() => Ok(census),
            Some(pid) => Err(Absent::NeedsRoot { path: format!("/proc/{pid}/fd") }),
            None => Err(NOWHERE),
        }
    }
}

/// The count, if the sockets can be this program's alone; its descriptors tell where they cannot.
fn whose<'a>(
    census: Reading<Census>,
    descriptors: Option<u64>,
    members: impl Iterator<Item = &'a Member>,
) -> Reading<Census> {
    // What is accepted while the sockets are counted is in one of the two numbers alone.
    let shared = |census: &Census| descriptors.is_some_and(|open| census.connections > open + open / 20 + 64);
    let why = match census {
        Ok(census) if !shared(&census) => return Ok(census),
        Ok(_) => SHARED,
        Err(why) => why,
    };
    let held: Option<u64> = members.map(Member::held).sum();
    held.map(|connections| Census { connections, ..Census::default() }).ok_or(why)
}

const NOWHERE: Absent = Absent::because("it listens on no port that can be seen here");
const SHARED: Absent =
    Absent::because("its listeners are other processes' as well: a count of sockets cannot tell whose they are");
