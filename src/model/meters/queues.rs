//! Queues: what waits for accept, and what overflowed. State comes from drop counters, for a queue that a burst fills is
//! empty again a moment later; and from a queue that stays full while nothing enters any.

use crate::model::counters::LARGER_QUEUES;
use crate::model::limit::LimitState;
use crate::sample::{AcceptQueue, Sample};
use crate::units;

use super::{Context, Meter, namespace};

/// Drops per second from which on an overflow is a warning, and critical; over ten seconds or so (netdata's thresholds,
/// whose minute would be three million connections late).
const WARN: f64 = 1.0;
const CRITICAL: f64 = 5.0;

/// Share of an accept queue from which on it counts as full.
const FULL: f64 = 0.9;
/// Milliseconds for which it must stay so: longer than a server of a few ten thousand accepts per second can be held up by
/// a burst, and three readings or so.
const STANDING_MS: u64 = 3000;

/// A full accept queue that nobody takes from: its server does not accept.
///
/// What is looked at is whether anything entered a queue of the namespace (`PassiveOpens`), not whether the count of
/// connections grows: a busy server that closes as many as it accepts keeps both its count and a full queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::model) struct Standing {
    /// Port, when it was first seen so, and `PassiveOpens` then.
    since: Option<(u16, u64, u64)>,
    /// The reading that saw it first: one that is kept sees nothing anew.
    first: u64,
    /// Whether another reading has seen it since.
    again: bool,
    /// Milliseconds it has stood.
    ms: u64,
}

impl Standing {
    /// Takes a sample.
    pub(in crate::model) fn update(&mut self, sample: &Sample) {
        let full = sample.kernel.net.fullest_queue().filter(|q| q.used as f64 >= FULL * q.max.max(1) as f64);
        let opens = sample.kernel.net.tcp.as_ref().ok().map(|tcp| tcp.passive_opens);
        self.since = full.zip(opens).map(|(queue, opens)| {
            let known = self.since.filter(|known| (known.0, known.2) == (queue.port, opens));
            known.unwrap_or((queue.port, sample.t_ms, opens))
        });
        let reading = sample.kernel.net.listeners.as_ref().map_or(0, |l| l.reading);
        if self.since.is_none_or(|known| known.1 == sample.t_ms) {
            (self.first, self.again) = (reading, false);
        }
        self.again |= reading != self.first;
        self.ms = self.since.map_or(0, |known| sample.t_ms.saturating_sub(known.1));
    }

    fn is_long(self) -> bool {
        self.again && self.ms >= STANDING_MS
    }
}

pub(super) fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let net = &context.sample.kernel.net;
    let scope = namespace(context.sample);
    out.push(accept(context, &scope));
    let max = |reading: &Result<u64, _>| reading.as_ref().map_or("unknown".to_owned(), u64::to_string);
    match &net.ext {
        Err(why) => out.push(Meter::unknown("syn_queue", &scope, why)),
        Ok(_) => out.push(
            overflowing(
                "syn_queue",
                &scope,
                Drops::of(context, &["syn_cookies", "req_q_full_drop", "syn_drop"]),
                || {
                    let (backlog, somaxconn) = (max(&net.max_syn_backlog), max(&net.somaxconn));
                    format!(
                        "overflows since the start; tcp_max_syn_backlog is {backlog}, net.core.somaxconn {somaxconn}"
                    )
                },
            )
            .cured(|_| LARGER_QUEUES.into()),
        ),
    }
    match &context.sample.kernel.host.softnet {
        Err(why) => out.push(Meter::unknown("backlog", "host", why)),
        Ok(_) => out.push(
            overflowing("backlog", "host", Drops::of(context, &["softnet_dropped"]), || {
                "packets dropped since the start".into()
            })
            .cured(|_| "sysctl -w net.core.netdev_max_backlog=10000".into()),
        ),
    }
}

/// What counters say of a queue.
#[derive(Clone, Copy)]
struct Drops {
    total: u64,
    per_s: f64,
}

impl Drops {
    fn of(context: &Context<'_>, counters: &[&str]) -> Self {
        Self {
            total: counters.iter().map(|c| context.counters.total(c)).sum(),
            per_s: counters.iter().map(|c| context.counters.per_s(c)).sum(),
        }
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
}

/// A queue of which only the drops can be read.
fn overflowing(id: &'static str, scope: &str, drops: Drops, what: impl FnOnce() -> String) -> Meter {
    let reason = (drops.total > 0).then(what);
    Meter { state: Some(drops.state()), reason, ..Meter::apart(id, scope, drops.total, None) }
}

/// The accept queue: the fullest one where it can be read, or else its drops alone.
fn accept(context: &Context<'_>, scope: &str) -> Meter {
    const ID: &str = "accept_queue";
    let net = &context.sample.kernel.net;
    // ListenDrops counts every overflow again.
    let drops = Drops::of(context, &["listen_overflows"]);
    let meter = match (net.fullest_queue(), &net.ext) {
        (None, Err(why)) => return Meter::unknown(ID, scope, why),
        (None, Ok(_)) => {
            let mut meter = overflowing(ID, scope, drops, || {
                let somaxconn = net.somaxconn.as_ref().map_or("unknown".to_owned(), u64::to_string);
                format!("overflows since the start; net.core.somaxconn is {somaxconn}")
            });
            if let Err(absent) = &net.listeners {
                meter.reason.get_or_insert_with(|| format!("how full it is cannot be read: {absent}"));
            }
            meter
        }
        (Some(queue), _) => {
            let standing = if context.standing.is_long() { LimitState::Warn } else { LimitState::Ok };
            let overflows = match drops.total {
                0 => String::new(),
                n => format!("; {} overflows since the start", units::grouped(n)),
            };
            let reason = (queue.used > 0 || drops.total > 0)
                .then(|| format!("port {}: {}{overflows}", queue.port, waiting(queue)));
            let state = Some(drops.state().max(standing));
            Meter { state, reason, ..Meter::apart(ID, scope, queue.used, Some(queue.max)) }
        }
    };
    let cure = if context.standing.is_long() {
        "is the server stopped, out of descriptors (grep files /proc/PID/limits) or short of CPU? A larger backlog only \
         puts it off"
    } else {
        LARGER_QUEUES
    };
    meter.cured(|_| cure.into())
}

/// `480 of 511 wait`.
pub(in crate::model) fn waiting(queue: AcceptQueue) -> String {
    format!("{} of {} wait", units::grouped(queue.used), units::grouped(queue.max))
}
