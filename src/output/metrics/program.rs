//! The watched processes: engines, or a server that is none with its processes and listeners.

use super::{Family, Kind, Moment, PROCESS, Point, by_role, count, flag, float, one};
use crate::model::{Cause, MemberLine, ProcessLine};
use crate::protocol::Role;
use crate::sample::ListenerCensus;

/// Processes of a watched server that are exported one by one: those named first, then the largest.
const MOST_MEMBERS: usize = 32;
/// Its listeners that are exported one by one, by port.
const MOST_LISTENERS: usize = 64;

pub(super) static FAMILIES: &[Family] = &[
    Family {
        name: "c1m_top_engine_silent",
        kind: Kind::Gauge,
        help: "Whether an engine has not run for two seconds (stopped, or getting no CPU): its figures are old.",
        labels: &["role"],
        read: |m| by_role(m, |engine| Some(flag(engine.silent))),
    },
    Family {
        name: "c1m_top_process_died",
        kind: Kind::Gauge,
        help: "Whether an engine or the watched server has ended without being asked to.",
        labels: &["role"],
        read: died,
    },
    Family {
        name: "c1m_top_process_cpu_cores",
        kind: Kind::Gauge,
        help: "CPU of an engine or of the watched server (all its processes), in cores.",
        labels: &["role"],
        read: |m| of_each(m, |e| e.cpu_share, |p| p.cpu_percent.map(|percent| percent / 100.0)),
    },
    Family {
        name: "c1m_top_process_resident_memory_bytes",
        kind: Kind::Gauge,
        help: "Resident memory of an engine, or of the watched server.",
        labels: &["role"],
        read: |m| of_each(m, |e| e.rss_bytes.as_ref().ok().map(|n| float(*n)), |p| p.rss_bytes.map(float)),
    },
    Family {
        name: "c1m_top_process_open_descriptors",
        kind: Kind::Gauge,
        help: "Open descriptors of an engine, or of the watched server.",
        labels: &["role"],
        read: |m| of_each(m, |e| e.open_descriptors().map(float), |p| p.descriptors.map(float)),
    },
    Family {
        name: "c1m_top_members",
        kind: Kind::Gauge,
        help: "Living processes of the watched server.",
        labels: &[],
        read: |m| count(m.model.program().map(|p| p.processes)),
    },
    Family {
        name: "c1m_top_members_left_out",
        kind: Kind::Gauge,
        help: "Processes left out: at most 32 are exported one by one.",
        labels: &[],
        read: |m| count(m.model.program().map(|p| p.processes.saturating_sub(members(p).count() as u64))),
    },
    Family {
        name: "c1m_top_member_connections",
        kind: Kind::Gauge,
        help: "Connections of one process of the watched server.",
        labels: &["pid", "name"],
        read: |m| by_member(m, |member| member.connections.map(float)),
    },
    Family {
        name: "c1m_top_member_resident_memory_bytes",
        kind: Kind::Gauge,
        help: "Resident memory of one process of the watched server.",
        labels: &["pid", "name"],
        read: |m| by_member(m, |member| member.rss_bytes.map(float)),
    },
    Family {
        name: "c1m_top_member_draining",
        kind: Kind::Gauge,
        help: "Whether a process has stopped listening, as after a reload, and serves what it still holds.",
        labels: &["pid", "name"],
        read: |m| by_member(m, |member| Some(flag(member.draining))),
    },
    Family {
        name: "c1m_top_listener_connections",
        kind: Kind::Gauge,
        help: "Connections of a listener of the watched server: established, and those of them that wait to be accepted.",
        labels: &["address", "port", "state"],
        read: listeners,
    },
    Family {
        name: "c1m_top_listener_backlog",
        kind: Kind::Gauge,
        help: "How many connections may wait to be accepted at a listener.",
        labels: &["address", "port"],
        read: backlogs,
    },
    Family {
        name: "c1m_top_listeners_left_out",
        kind: Kind::Gauge,
        help: "Listeners left out: at most 64 are exported one by one.",
        labels: &[],
        read: |m| count(m.model.program().map(|p| p.listeners.len().saturating_sub(MOST_LISTENERS) as u64)),
    },
    Family {
        name: "c1m_top_count_age_seconds",
        kind: Kind::Gauge,
        help: "Age of the last full count of the watched server's connections; descriptors update it in between.",
        labels: &[],
        read: |m| one(m.model.program().and_then(|p| p.age_ms).map(|ms| float(ms) / 1000.0)),
    },
];

fn died(m: &Moment<'_>) -> Vec<Point> {
    let unasked = |role: Option<Role>| m.model.deaths().iter().any(|d| d.role == role && d.cause != Cause::Exit(0));
    let mut points = by_role(m, |engine| Some(flag(unasked(engine.role))));
    if m.model.program().is_some() {
        points.push(Point::new([("role", PROCESS)], flag(unasked(None))));
    }
    points
}

/// A series for each living engine, and for a watched server.
fn of_each(
    m: &Moment<'_>,
    engine: fn(&crate::model::Engine) -> Option<f64>,
    program: fn(&ProcessLine) -> Option<f64>,
) -> Vec<Point> {
    let mut points = by_role(m, |e| engine(e).filter(|_| e.alive));
    points.extend(m.model.program().and_then(program).map(|value| Point::new([("role", PROCESS)], value)));
    points
}

fn members(program: &ProcessLine) -> impl Iterator<Item = &MemberLine> {
    program.members.iter().take(MOST_MEMBERS)
}

fn by_member(m: &Moment<'_>, value: fn(&MemberLine) -> Option<f64>) -> Vec<Point> {
    let of = |member: &MemberLine| {
        Some(Point::new([("pid", &member.pid.to_string()), ("name", &member.name)], value(member)?))
    };
    m.model.program().into_iter().flat_map(members).filter_map(of).collect()
}

/// The listeners that are exported.
fn exported<'a>(m: &Moment<'a>) -> impl Iterator<Item = &'a ListenerCensus> {
    m.model.program().into_iter().flat_map(|p| p.listeners.iter().take(MOST_LISTENERS))
}

fn listeners(m: &Moment<'_>) -> Vec<Point> {
    let of = |l: &ListenerCensus| {
        let port = l.port.to_string();
        [("established", l.established), ("waiting", l.queued)]
            .map(|(state, n)| Point::new([("address", &l.address), ("port", &port), ("state", state)], float(n)))
    };
    exported(m).flat_map(of).collect()
}

fn backlogs(m: &Moment<'_>) -> Vec<Point> {
    exported(m)
        .map(|l| Point::new([("address", &l.address), ("port", &l.port.to_string())], float(l.backlog)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Moment, families};
    use super::*;
    use crate::model::{Model, synthetic};

    #[test]
    fn a_server_of_many_processes_and_listeners_has_a_bounded_number_of_series() {
        let mut sample = synthetic::sample(5000, 1000);
        synthetic::foreign(&mut sample, 77, "postgres", 90, 1024);
        let program = sample.kernel.program.as_mut().unwrap();
        let (member, mut census) = (program.members[0].clone(), synthetic::census(5000, 80));
        program.members = (77..577).map(|pid| crate::sample::Member { pid, ..member.clone() }).collect();
        program.processes = 500;
        let listener = census.listeners[0].clone();
        census.listeners = (1..=300).map(|port| crate::sample::ListenerCensus { port, ..listener.clone() }).collect();
        program.census = Ok(census);
        let mut model = Model::default();
        model.update(&sample);
        let moment = Moment { model: &model, run: &[], verdict: None };
        let of = |name: &str| families().find(|f| f.name == name).unwrap().points(&moment);
        assert_eq!(of("c1m_top_member_draining").len(), MOST_MEMBERS);
        assert_eq!(of("c1m_top_members_left_out"), count(Some(500 - MOST_MEMBERS as u64)));
        assert_eq!(of("c1m_top_listener_backlog").len(), MOST_LISTENERS);
        assert_eq!(of("c1m_top_listeners_left_out"), count(Some(300 - MOST_LISTENERS as u64)));
    }
}
