//! Connections and messages: how many, and how long they took.

use std::borrow::Cow;

use super::text::PLACES;
use super::{Family, Kind, Moment, PROCESS, Point, by_role, count, float};
use crate::model::{CountSource, Engine};
use crate::protocol::{EngineStats, Role, Traffic};

pub(super) static FAMILIES: &[Family] = &[
    Family {
        name: "c1m_top_connections",
        kind: Kind::Gauge,
        help: "Connections now, by who counts them (an engine, a watched process; the network namespace where nothing else is watched) and state.",
        labels: &["role", "state"],
        read: connections,
    },
    Family {
        name: "c1m_top_connections_target",
        kind: Kind::Gauge,
        help: "Target of the run, connections.",
        labels: &[],
        read: |m| count(m.model.now().target.filter(|target| *target > 0)),
    },
    Family {
        name: "c1m_top_connections_peak",
        kind: Kind::Gauge,
        help: "Most connections an engine has held at once.",
        labels: &["role"],
        read: |m| counted(m, |e| e.peak),
    },
    Family {
        name: "c1m_top_connections_opened",
        kind: Kind::Counter,
        help: "Connections an engine has opened or accepted.",
        labels: &["role"],
        read: |m| counted(m, |e| e.opened),
    },
    Family {
        name: "c1m_top_connections_closed",
        kind: Kind::Counter,
        help: "Connections closed, by either end.",
        labels: &["role"],
        read: |m| counted(m, |e| e.closed),
    },
    Family {
        name: "c1m_top_connections_lost",
        kind: Kind::Counter,
        help: "Connections that were not asked to close: of a client those it did not close itself, of a server those that ended in an error.",
        labels: &["role"],
        read: |m| counted(m, |e| e.lost),
    },
    Family {
        name: "c1m_top_connections_refused",
        kind: Kind::Counter,
        help: "Connects the other end refused or reset.",
        labels: &[],
        read: |m| count(client(m).map(|c| c.refused)),
    },
    Family {
        name: "c1m_top_calls_failed",
        kind: Kind::Counter,
        help: "Failed system calls of an engine, by call and error.",
        labels: &["role", "call", "error"],
        read: failed,
    },
    Family {
        name: "c1m_top_backoff_seconds",
        kind: Kind::Gauge,
        help: "Pause between two attempts while the server refuses or loses too many connections; else 0.",
        labels: &[],
        read: |m| super::one(client(m).map(|c| float(c.backoff_ms) / 1000.0)),
    },
    Family {
        name: "c1m_top_greetings_echoed",
        kind: Kind::Counter,
        help: "Greetings that came back, with --greet.",
        labels: &[],
        read: |m| count(client(m).filter(|c| c.greet).map(|c| c.greeted)),
    },
    Family {
        name: "c1m_top_messages_sent",
        kind: Kind::Counter,
        help: "Messages sent. Counts of messages start again from 0 when the target is reached.",
        labels: &[],
        read: |m| messages(m, |t| t.sent),
    },
    Family {
        name: "c1m_top_messages_echoed",
        kind: Kind::Counter,
        help: "Messages that came back unchanged.",
        labels: &[],
        read: |m| messages(m, |t| t.echoed),
    },
    Family {
        name: "c1m_top_messages_late",
        kind: Kind::Counter,
        help: "Messages that left more than 5 ms (or --every, if that is less) after they were due.",
        labels: &[],
        read: |m| messages(m, |t| t.late),
    },
    Family {
        name: "c1m_top_messages_skipped",
        kind: Kind::Counter,
        help: "Messages not sent because the one before was still unanswered.",
        labels: &[],
        read: |m| messages(m, |t| t.skipped),
    },
    Family {
        name: "c1m_top_messages_mismatched",
        kind: Kind::Counter,
        help: "Echoes that differed from what was sent.",
        labels: &[],
        read: |m| messages(m, |t| t.mismatched),
    },
    Family {
        name: "c1m_top_connect_duration_seconds",
        kind: Kind::Histogram,
        help: "From a connect until the client noticed that it was established: at full rate mostly its own queue.",
        labels: &[],
        read: |m| times(client(m).map(|c| (&c.connect_spread, c.connect_sum_us))),
    },
    Family {
        name: "c1m_top_handshake_duration_seconds",
        kind: Kind::Histogram,
        help: "From SYN to established, as the kernel measured it.",
        labels: &[],
        read: |m| times(client(m).map(|c| (&c.handshake_spread, c.handshake_sum_us))),
    },
    Family {
        name: "c1m_top_echo_duration_seconds",
        kind: Kind::Histogram,
        help: "From when a message was due until its echo was complete.",
        labels: &[],
        read: |m| times(client(m).filter(|c| c.traffic.is_some()).map(|c| (&c.echo_spread, c.echo_sum_us))),
    },
];

/// What the client says of itself, or said last.
fn client<'a>(m: &Moment<'a>) -> Option<&'a EngineStats> {
    m.model.engine(Role::Client)?.stats.as_ref()
}

fn counted(m: &Moment<'_>, value: fn(&EngineStats) -> u64) -> Vec<Point> {
    by_role(m, |engine| engine.stats.as_ref().map(|stats| float(value(stats))))
}

fn messages(m: &Moment<'_>, value: fn(&Traffic) -> u64) -> Vec<Point> {
    count(client(m).and_then(|c| c.traffic.as_ref()).map(value))
}

fn connections(m: &Moment<'_>) -> Vec<Point> {
    let mut points = Vec::new();
    let mut add = |role: &str, state: &str, n: Option<u64>| {
        points.extend(n.map(|n| Point::new([("role", role), ("state", state)], float(n))));
    };
    // Of an engine that has died nothing is open, and its last count is none of now.
    let living = |role| m.model.last_sample().and_then(|sample| sample.engine(role));
    if let Some(client) = living(Role::Client) {
        add("client", "established", Some(client.open));
        add("client", "connecting", Some(client.in_flight));
    }
    add("server", "established", living(Role::Server).map(|s| s.open));
    if let Some(program) = m.model.program() {
        add(PROCESS, "established", program.connections);
        add(PROCESS, "waiting", program.queued);
        add(PROCESS, "close_wait", program.close_wait);
    } else if m.model.now().source == CountSource::Namespace && m.model.engines().is_empty() {
        add("namespace", "established", m.model.last_sample().map(|_| m.model.now().connections));
    }
    points
}

fn failed(m: &Moment<'_>) -> Vec<Point> {
    let engines = [Role::Client, Role::Server].into_iter().filter_map(|role| m.model.engine(role));
    let errors = engines.flat_map(|engine: &Engine| {
        let role = engine.role.map_or("", Role::name);
        engine.stats.iter().flat_map(|s| &s.errors).map(move |error| (role, error))
    });
    errors.map(|(role, e)| Point::new([("role", role), ("call", &e.op), ("error", &e.name)], float(e.count))).collect()
}

/// Times as they are spread over two places to each doubling: every second bound is one of the text's.
fn times(spread: Option<(&Vec<u64>, u64)>) -> Vec<Point> {
    let Some((spread, sum_us)) = spread else { return Vec::new() };
    let mut so_far = 0;
    let mut up_to = Vec::with_capacity(PLACES);
    for place in 0..PLACES {
        let within = if place == 0 { 0..1 } else { 2 * place - 1..2 * place + 1 };
        so_far += within.filter_map(|i| spread.get(i)).sum::<u64>();
        up_to.push(so_far);
    }
    let labels: Vec<(Cow<'static, str>, String)> = Vec::new();
    vec![Point::times(labels, up_to, spread.iter().sum(), float(sum_us) / 1e6)]
}
