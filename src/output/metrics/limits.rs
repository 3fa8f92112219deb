//! Limits: how far each is used, what bounds it, when it comes; and what a connection costs.

use super::{Family, Kind, Moment, Point, count, float, one};
use crate::limits::{Forecast, Limit, LimitState};

/// Limits that are exported, the nearest first: each process of a watched server may have some of its own.
const MOST_LIMITS: usize = 200;

/// Slab caches that are exported, the largest first.
const MOST_CACHES: usize = 40;

/// Use and bound from here on mean "no limit": file-max and cgroups write it so.
const NO_LIMIT: u64 = 1 << 60;

pub(super) static FAMILIES: &[Family] = &[
    Family {
        name: "c1m_top_limit_used",
        kind: Kind::Gauge,
        help: "How far a limit is used, in its own unit.",
        labels: &["limit", "scope", "unit"],
        read: |m| in_unit(m, |l| l.used),
    },
    Family {
        name: "c1m_top_limit_bound",
        kind: Kind::Gauge,
        help: "The limit itself, in its own unit; absent where there is none.",
        labels: &["limit", "scope", "unit"],
        read: |m| in_unit(m, |l| l.limit),
    },
    Family {
        name: "c1m_top_limit_forecast_connections",
        kind: Kind::Gauge,
        help: "Connections at which a limit will be reached; absent while unknown, and where use does not grow with connections.",
        labels: &["limit", "scope"],
        read: |m| by_limit(m, |l| l.forecast.connections().map(float)),
    },
    Family {
        name: "c1m_top_limit_forecast_uncertainty_connections",
        kind: Kind::Gauge,
        help: "How far the forecast may be off either way, connections.",
        labels: &["limit", "scope"],
        read: |m| by_limit(m, |l| l.forecast.plus_minus().map(float)),
    },
    Family {
        name: "c1m_top_limit_forecast_seconds",
        kind: Kind::Gauge,
        help: "Time left until a limit is reached at the present rate; absent while the count stands still.",
        labels: &["limit", "scope"],
        read: |m| by_limit(m, seconds),
    },
    Family {
        name: "c1m_top_limit_alarm_level",
        kind: Kind::Gauge,
        help: "How near a limit is: 0 ok, 1 warning, 2 critical, 3 hit (reached, and something failed because of it).",
        labels: &["limit", "scope"],
        read: |m| by_limit(m, |l| level(l.state)),
    },
    Family {
        name: "c1m_top_limits_left_out",
        kind: Kind::Gauge,
        help: "Limits left out: only the 200 nearest are exported.",
        labels: &[],
        read: |m| count(m.model.last_sample().map(|_| m.model.limits().len().saturating_sub(MOST_LIMITS) as u64)),
    },
    Family {
        name: "c1m_top_connection_memory_bytes",
        kind: Kind::Gauge,
        help: "Memory per connection, kernel and user, of all ends on this machine.",
        labels: &[],
        read: |m| one(m.model.cost().total.map(|slope| slope.per_connection)),
    },
    Family {
        name: "c1m_top_connection_kernel_memory_bytes",
        kind: Kind::Gauge,
        help: "The kernel's part of the memory per connection.",
        labels: &[],
        read: |m| one(m.model.cost().kernel.map(|slope| slope.per_connection)),
    },
    Family {
        name: "c1m_top_connection_user_memory_bytes",
        kind: Kind::Gauge,
        help: "Memory per connection in an engine, or in the watched server.",
        labels: &["role"],
        read: user,
    },
    Family {
        name: "c1m_top_connection_cache_memory_bytes",
        kind: Kind::Gauge,
        help: "Memory per connection in a slab cache; the 40 largest.",
        labels: &["cache"],
        read: caches,
    },
];

fn exported<'a>(m: &Moment<'a>) -> impl Iterator<Item = &'a Limit> {
    m.model.limits().iter().take(MOST_LIMITS)
}

fn by_limit(m: &Moment<'_>, value: impl Fn(&Limit) -> Option<f64>) -> Vec<Point> {
    let known = exported(m).filter_map(|limit| Some((limit, value(limit)?)));
    known.map(|(l, value)| Point::new([("limit", l.info.name), ("scope", &l.scope)], value)).collect()
}

fn in_unit(m: &Moment<'_>, value: fn(&Limit) -> Option<u64>) -> Vec<Point> {
    let known = exported(m).filter_map(|limit| Some((limit, value(limit).filter(|n| *n < NO_LIMIT)?)));
    known
        .map(|(l, n)| {
            // The words of JSON.
            let unit = serde_json::to_value(l.unit).unwrap_or_default();
            Point::new([("limit", l.info.name), ("scope", &l.scope), ("unit", unit.as_str().unwrap_or(""))], float(n))
        })
        .collect()
}

fn seconds(limit: &Limit) -> Option<f64> {
    match limit.forecast {
        Forecast::At { seconds, .. } => seconds,
        _ => None,
    }
}

fn level(state: LimitState) -> Option<f64> {
    match state {
        LimitState::NotApplicable | LimitState::Unknown => None,
        LimitState::Ok => Some(0.0),
        LimitState::Warn => Some(1.0),
        LimitState::Critical => Some(2.0),
        LimitState::Hit => Some(3.0),
    }
}

fn user(m: &Moment<'_>) -> Vec<Point> {
    let cost = m.model.cost();
    let parts = [("client", cost.client_user), ("server", cost.server_user), (super::PROCESS, cost.user)];
    let known = parts.into_iter().filter_map(|(role, slope)| Some((role, slope?.per_connection)));
    known.map(|(role, bytes)| Point::new([("role", role)], bytes)).collect()
}

fn caches(m: &Moment<'_>) -> Vec<Point> {
    let caches = m.model.cost().slab.iter().take(MOST_CACHES);
    caches.map(|(cache, bytes)| Point::new([("cache", cache)], *bytes)).collect()
}
