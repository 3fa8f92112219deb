//! Connections that wait for accept on a listening socket.

use crate::sample::{AcceptQueue, Watched};

use super::cure::raise_running;
use super::memcg::{bound, charge, tightest};
use super::prelude::*;
use super::app;
use super::Noted;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "accept_queue",
    label: "accept queue",
    unit: Unit::Count,
    help: "Connections waiting to be accepted on a listening socket; the bound is its backlog or net.core.somaxconn, whichever is smaller. When it overflows, new connections are dropped and retried a second later.",
    sources: "sock_diag of listeners, ListenOverflows; net.core.somaxconn",
    sysctls: &[SOMAXCONN],
    counters: &COUNTERS,
    read,
    need,
    alarm: |limit, sample| {
        let queue = sample.kernel.net.fullest_queue()?;
        let (port, cure) = (queue.port, &limit.cure);
        let waiting = waiting(queue);
        Some(match &limit.note {
            Some(cause) => {
                let advice = cure.advice();
                format!("the server on port {port} is not accepting ({waiting} in its accept queue): {cause}{advice}")
            }
            None => format!("the server on port {port} is not accepting: {waiting} in its accept queue; {cure}"),
        })
    },
    swallows: |_, sample, counters| {
        if let Some(queue) = full(sample) {
            let (port, waiting) = (queue.port, waiting(queue));
            return Some(format!("; the accept queue of port {port} is full ({waiting}): the server is not accepting"));
        }
        Some(counters.total(OVERFLOWS)).filter(|n| *n > 0).map(|n| {
            let n = grouped(n);
            format!("; the accept queue here overflowed {n} times (ListenOverflows): the server accepts too slowly")
        })
    },
    ..PLAIN
};

const ID: LimitId = LimitId::AcceptQueue;
pub(super) const SOMAXCONN: &str = "net.core.somaxconn";
const OVERFLOWS: &str = "listen_overflows";

static COUNTERS: [CounterInfo; 1] = [CounterInfo {
    id: OVERFLOWS,
    proof: "ListenOverflows",
    read: |s| ext(s, |e| e.listen_overflows),
    what: "the accept queue of a listening socket was full: connections were dropped, and are retried a second later",
    cure: faster_or_larger,
    speaks_for_limit_from: 1,
    still_full: true,
    ..COUNTER
}];

/// How the queues of a listening socket are made larger. `listen(2)` reads `somaxconn`, and since Linux 4.4 it bounds the SYN
/// queue as well as the accept queue (`inet_csk_reqsk_queue_is_full`).
pub(super) fn larger(to: u64) -> Remedy {
    let remedy = Remedy::sysctl(SOMAXCONN, to);
    let text = format!(
        "{}, then restart the server with a backlog as large: a listener keeps the size it was opened with",
        remedy.text
    );
    remedy.worded(text)
}

/// What helps against a queue that overflows.
pub(super) fn faster_or_larger() -> Cure {
    Cure::from([Remedy::advice(Level::Server, "accept faster"), larger(65_535)])
}

/// Drops per second from which on an overflow is a warning, and critical; over ten seconds or so (netdata's thresholds,
/// whose minute would be three million connections late).
const WARN: f64 = 1.0;
const CRITICAL: f64 = 5.0;

/// Share of an accept queue from which on it counts as full.
const FULL: f64 = 0.9;
/// Descriptors that a server may have left and still find none, and connections that are between two tables.
const FEW: u64 = 2;
/// Milliseconds for which it must stay so: longer than a server of a few ten thousand accepts per second can be held up by
/// a burst, and three readings or so.
const STANDING_MS: u64 = 3000;
/// Share from which on its row says where.
const NAMED: f64 = 0.1;

/// A full accept queue that nobody takes from: its server does not accept.
///
/// What is looked at is whether anything entered a queue of the namespace (`PassiveOpens`), not whether the count of
/// connections grows: a busy server that closes as many as it accepts keeps both its count and a full queue.
///
/// Of a watched program its own sockets tell more: those that it holds are the same ones, and what waits grows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Standing {
    /// Port, when it was first seen so, and `PassiveOpens` then.
    since: Option<(u16, u64, u64)>,
    /// The reading that saw it first: one that is kept sees nothing anew.
    first: u64,
    /// Whether another reading has seen it since.
    again: bool,
    /// Milliseconds it has stood.
    ms: u64,
    /// `PassiveOpens` and what waited at the last sample, and what was accepted in the namespace between that and the one before.
    last: Option<(u64, u64)>,
    accepted: u64,
    /// When the last sample was, and milliseconds between that and the one before.
    last_ms: Option<u64>,
    over_ms: u64,
    program: Option<Untaken>,
}

/// A program that has taken nothing from its queues since this count of its sockets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Untaken {
    since_ms: u64,
    /// Number of the newest count, and what it said.
    reading: u64,
    held: u64,
    queued: u64,
    /// For how long counts have shown it.
    ms: u64,
    /// CPU time of each process at the start, microseconds.
    cpu_us: Vec<(u32, u64)>,
}

/// Connections that must wait before that says anything of the server.
const WAIT: u64 = 5;

impl Untaken {
    fn of(sample: &Sample, before: Option<Self>) -> Option<Self> {
        let program = sample.kernel.program.as_ref()?;
        let census = program.census.as_ref().ok().filter(|census| census.by_socket && census.queued >= WAIT)?;
        let held = census.counted();
        match before {
            Some(before) if before.reading == census.reading => Some(before),
            // Listeners are read before connections, so that one may be on its way from here to there.
            Some(before)
                if before.held.abs_diff(held) <= FEW && census.gone == 0 && census.queued >= before.queued => Some(Self {
                reading: census.reading,
                queued: census.queued,
                ms: sample.t_ms.saturating_sub(before.since_ms),
                ..before
            }),
            _ => Some(Self {
                since_ms: sample.t_ms,
                reading: census.reading,
                held,
                queued: census.queued,
                ms: 0,
                cpu_us: program.members.iter().map(|m| (m.pid, m.cpu_us)).collect(),
            }),
        }
    }

    /// The process that has had a core to itself all that time, and its share of one.
    fn busiest(&self, sample: &Sample) -> Option<(u32, f64)> {
        let program = sample.kernel.program.as_ref()?;
        let us = sample.t_ms.saturating_sub(self.since_ms).saturating_mul(1000).max(1) as f64;
        let share = |(pid, then): &(u32, u64)| {
            let member = program.members.iter().find(|m| m.pid == *pid)?;
            Some((*pid, member.cpu_us.saturating_sub(*then) as f64 / us))
        };
        self.cpu_us.iter().filter_map(share).max_by(|a, b| a.1.total_cmp(&b.1)).filter(|busy| busy.1 >= BUSY)
    }
}

/// Share of a core from which on an event loop has no time left to accept.
const BUSY: f64 = 0.9;

/// Milliseconds within which a server need not have accepted anything.
const SOON_MS: u64 = 100;

impl Standing {
    /// Takes a sample.
    pub(super) fn update(&mut self, sample: &Sample) {
        let net = &sample.kernel.net;
        let full = net.fullest_queue().filter(|q| q.used as f64 >= FULL * q.max.max(1) as f64);
        let opens = net.tcp.as_ref().ok().map(|tcp| tcp.passive_opens);
        self.since = full.zip(opens).map(|(queue, opens)| {
            let known = self.since.filter(|known| (known.0, known.2) == (queue.port, opens));
            known.unwrap_or((queue.port, sample.t_ms, opens))
        });
        let waiting = net.listeners.as_ref().map_or(0, |l| l.waiting);
        if let Some(opens) = opens {
            let before = self.last.replace((opens, waiting));
            self.accepted = before.map_or(0, |(then, waited)| (opens + waited).saturating_sub(then + waiting));
        }
        self.over_ms = self.last_ms.replace(sample.t_ms).map_or(0, |before| sample.t_ms.saturating_sub(before));
        let reading = net.listeners.as_ref().map_or(0, |l| l.reading);
        if self.since.is_none_or(|known| known.1 == sample.t_ms) {
            (self.first, self.again) = (reading, false);
        }
        self.again |= reading != self.first;
        self.ms = self.since.map_or(0, |known| sample.t_ms.saturating_sub(known.1));
        self.program = Untaken::of(sample, self.program.take());
    }

    /// Whether so many have just been accepted that a queue which is full was filled by a burst. A sample that follows another
    /// at once (a ramp has begun) is too early to tell: 51 connects of the first milliseconds overflowed a queue of 8 before its
    /// server had run.
    pub(super) fn is_burst(&self, queue: AcceptQueue) -> bool {
        self.accepted > 2 * queue.max || self.over_ms < SOON_MS
    }

    /// Whether a server has accepted nothing for so long that it does not.
    pub(super) fn is_long(&self) -> bool {
        let untaken = self.program.as_ref().is_some_and(|untaken| untaken.ms >= STANDING_MS);
        untaken || (self.again && self.ms >= STANDING_MS)
    }

    /// Why a watched program accepts nothing, where that can be seen, and what helps.
    fn cause(&self, sample: &Sample) -> Option<(String, Cure)> {
        let program = sample.kernel.program.as_ref()?;
        let living: Vec<Watched<'_>> = sample.living().filter(|w| w.engine.is_none()).collect();
        if let Some(stopped) = living.iter().find(|w| w.process.stopped) {
            let command = format!("kill -CONT {}", stopped.pid);
            let cure = Remedy { command: Some(command.clone()), ..Remedy::advice(Level::Process, command) };
            return Some((format!("{} is stopped (SIGSTOP, or a debugger)", stopped.scope()), cure.into()));
        }
        let full = living.iter().find_map(|w| {
            let (used, limit) = (*w.descriptors.as_ref().ok()?, *w.nofile.as_ref().ok()?);
            (used + FEW >= limit.soft).then_some((w, used, limit))
        });
        if let Some((w, used, limit)) = full {
            let nr_open = sample.kernel.host.nr_open.as_ref().ok().copied();
            let text = format!("{} is out of open files ({} of {})", w.scope(), grouped(used), grouped(limit.soft));
            let need = round_up(limit.soft * 2);
            return Some((text, raise_running(w.pid, need, limit, w.nofile_at_start, nr_open).into()));
        }
        let held = program.census.as_ref().map_or(0, |census| census.connections);
        let own = living.iter().find_map(|w| w.app.as_ref().ok().cloned().flatten()).filter(|own| !own.each_process);
        if let Some(own) = own.filter(|own| app::is_full(held, own.limit)) {
            let text = format!(
                "it holds {}, and {} ({}) allows {}",
                grouped(held),
                own.setting,
                own.set_in,
                grouped(own.limit)
            );
            return Some((text, app::more(&own.setting, &own.set_in, round_up(own.limit * 2)).into()));
        }
        let tight = tightest(sample.living().filter_map(|w| w.process.memcg.as_deref().ok()));
        let group = tight.first().filter(|group| bound(group).is_some_and(|b| charge(group) as f64 >= 0.98 * b as f64));
        if let Some(group) = group {
            return Some((format!("its memory cgroup {} is full, and it is waiting for memory", group.path), Cure::none()));
        }
        let (pid, share) = self.program.as_ref()?.busiest(sample)?;
        let text = format!("process {pid} is busy ({:.0} % of a core all that time) and has no time to accept", share * 100.0);
        Some((text, Remedy::advice(Level::Server, "more workers, or less work per connection").into()))
    }
}

/// What counters say of a queue.
#[derive(Clone, Copy)]
pub(super) struct Drops {
    total: u64,
    per_s: f64,
}

impl Drops {
    pub(super) fn of<'c>(context: &Context<'_>, counters: impl IntoIterator<Item = &'c CounterInfo>) -> Self {
        counters.into_iter().fold(Self { total: 0, per_s: 0.0 }, |sum, counter| Self {
            total: sum.total + context.counters.total(counter.id),
            per_s: sum.per_s + context.counters.per_s(counter.id),
        })
    }

    fn state(self) -> LimitState {
        if self.per_s > CRITICAL {
            LimitState::Critical
        } else if self.per_s > WARN {
            LimitState::Warn
        } else {
            LimitState::Ok
        }
    }

    /// A queue of which only the drops can be read.
    pub(super) fn meter(self, id: LimitId, scope: impl Into<String>, what: impl FnOnce() -> String) -> Meter {
        let reason = (self.total > 0).then(what);
        Meter { state: Some(self.state()), reason, ..Meter::independent(id, scope, self.total, None) }
    }
}

/// The fullest accept queue here, if it is full now.
fn full(sample: &Sample) -> Option<AcceptQueue> {
    sample.kernel.net.fullest_queue().filter(|queue| queue.is_full())
}

/// The queue that overflowed, where it has not drained since.
pub fn still_full(sample: &Sample) -> String {
    let still = |queue: AcceptQueue| format!("; the one on port {} still is, {}", queue.port, waiting(queue));
    full(sample).map_or(String::new(), still)
}

/// What helps where a queue has overflowed and is full still: no longer one, unless a server that accepts met a burst.
pub fn overflowed(sample: &Sample, noted: &Noted) -> Cure {
    let stands = full(sample).is_some_and(|queue| !noted.standing.is_burst(queue));
    if stands { not_accepting() } else { faster_or_larger() }
}

/// What helps a server that does not accept.
fn not_accepting() -> Cure {
    let why = "is the server stopped, out of open files (grep files /proc/PID/limits), at its app limit, or short of CPU? \
               A longer queue only delays it";
    Remedy::advice(Level::Server, why).into()
}

/// `480 of 511 waiting`.
fn waiting(queue: AcceptQueue) -> String {
    format!("{} of {} waiting", grouped(queue.used), grouped(queue.max))
}

/// The fullest one where it can be read, or else its drops alone.
fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let (net, scope) = (&context.sample.kernel.net, context.namespace());
    // ListenDrops counts every overflow again.
    let drops = Drops::of(context, &COUNTERS);
    let standing = context.noted.standing.is_long();
    let meter = match (net.fullest_queue(), &net.ext) {
        (None, Err(why)) => return out.push(Meter::unknown(ID, scope, why)),
        (None, Ok(_)) => {
            let mut meter = drops.meter(ID, scope, || {
                let somaxconn = net.somaxconn.as_ref().map_or("unknown".to_owned(), u64::to_string);
                format!("overflows since the start; net.core.somaxconn is {somaxconn}")
            });
            if let Err(absent) = &net.listeners {
                meter.reason.get_or_insert_with(|| format!("cannot tell how full it is: {absent}"));
            }
            meter
        }
        (Some(queue), _) => {
            let standing = if standing { LimitState::Warn } else { LimitState::Ok };
            let overflows = match drops.total {
                0 => String::new(),
                n => format!("; {} overflows since the start", grouped(n)),
            };
            let place = format!("port {}", queue.port);
            let reason =
                (queue.used > 0 || drops.total > 0).then(|| format!("{place}: {}{overflows}", waiting(queue)));
            let named = queue.used as f64 >= NAMED * queue.max as f64 && queue.used > 0;
            Meter {
                state: Some(drops.state().max(standing)),
                reason,
                place: named.then_some(place),
                ..Meter::independent(ID, scope, queue.used, Some(queue.max))
            }
        }
    };
    let (cause, cured) = if standing { context.noted.standing.cause(context.sample).unzip() } else { (None, None) };
    out.push(Meter { note: cause, ..meter }.cured(move |_| {
        if let Some(cure) = &cured {
            cure.clone()
        } else if standing {
            not_accepting()
        } else {
            faster_or_larger()
        }
    }));
}

/// A server that does not accept for so long, in milliseconds, should lose nothing: a garbage collection, a busy core.
const PAUSE_MS: u64 = 100;

/// Connections that one listener may have waiting, and how that comes about.
pub(super) fn burst(given: &Given<'_>) -> (u64, String) {
    let ask = given.ask;
    if ask.role == Side::Both {
        let n = ask.engines.in_flight;
        return (n, format!("c1m-top's client never has more than {} connects under way", grouped(n)));
    }
    let n = (ask.rate * PAUSE_MS / 1000).div_ceil(u64::from(ask.ports.max(1)));
    let ports = if ask.ports == 1 { "one port".to_owned() } else { format!("{} ports", ask.ports) };
    (n, format!("{}/s over {ports}, if the server does not accept for {PAUSE_MS} ms", grouped(ask.rate)))
}

/// Why a queue of listeners does not matter to a client.
pub(super) const ELSEWHERE: &str = "applies where connections are accepted: check on the server's machine";

fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    if !given.ask.accepts() {
        return out.push(Need::not_applicable(ID, ELSEWHERE));
    }
    let (n, why) = burst(given);
    out.push(match &given.kernel.net.somaxconn {
        Err(error) => Need::unknown(ID, error),
        Ok(somaxconn) => Need::compare(ID, SOMAXCONN, *somaxconn, n)
            .because(why)
            .mild()
            .cured(|| larger(round_up(n))),
    });
}
