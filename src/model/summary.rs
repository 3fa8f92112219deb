//! The lines of `--output json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Model;
use super::engine::Cause;
use super::event::{Event, Severity};
use super::headroom::Headroom;
use super::limit::{Forecast, LimitState};
use super::now::RunPhase;
use super::run::RunLog;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The target was reached (or, when only watching, nothing stopped it).
    TargetReached,
    /// A limit stopped the ramp.
    LimitHit,
    /// The guard stopped the ramp.
    GuardStopped,
    /// An engine died.
    EngineKilled,
    /// The user ended it before the target.
    Interrupted,
}

/// The `kind` of a [`SampleLine`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SampleKind {
    /// `sample`.
    #[default]
    Sample,
}

/// The `kind` of an [`EventLine`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// `event`.
    #[default]
    Event,
}

/// The `kind` of a [`Summary`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SummaryKind {
    /// `summary`.
    #[default]
    Summary,
}

/// One line per interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleLine {
    /// `sample`.
    pub kind: SampleKind,
    /// Milliseconds since the dashboard started.
    pub t_ms: u64,
    /// What the run is doing.
    pub phase: RunPhase,
    /// Connections open.
    pub established: u64,
    /// Connections open at the server engine.
    pub accepted: Option<u64>,
    /// Connections aimed at.
    pub target: Option<u64>,
    /// Connects under way.
    pub in_flight: Option<u64>,
    /// Connections per second.
    pub rate_per_s: Option<f64>,
    /// Seconds to the target.
    pub eta_s: Option<f64>,
    /// The limit that comes first.
    pub nearest_limit: Option<NearestLimit>,
    /// Memory in use: capacity less real headroom, bytes.
    pub mem_used_bytes: Option<u64>,
    /// Real headroom, bytes.
    pub headroom_bytes: Option<u64>,
    /// TCP buffer memory, bytes.
    pub tcp_mem_bytes: Option<u64>,
    /// TCP sockets of the namespace.
    pub sockets: Option<u64>,
    /// Sockets in `TIME_WAIT`.
    pub time_wait: Option<u64>,
    /// Orphaned sockets.
    pub orphans: Option<u64>,
    /// Failures so far.
    pub failures: u64,
    /// CPU of the dashboard, share of one core.
    pub own_cpu_share: Option<f64>,
    /// Resident memory of the dashboard, bytes.
    pub own_rss_bytes: u64,
    /// What taking this sample cost, microseconds.
    pub sample_us: u64,
}

/// The limit that comes first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NearestLimit {
    /// Its id.
    pub id: String,
    /// Count at which it is reached; null when it has been hit and no forecast was possible.
    pub connections: Option<u64>,
    /// Seconds until then; null while the count stands still.
    pub seconds: Option<f64>,
}

/// One line per event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLine {
    /// `event`.
    pub kind: EventKind,
    /// Milliseconds since the dashboard started.
    pub t_ms: u64,
    /// How bad.
    pub severity: Severity,
    /// Stable id.
    pub id: String,
    /// One sentence.
    pub text: String,
    /// Times it happened.
    pub count: u64,
}

impl From<&Event> for EventLine {
    fn from(event: &Event) -> Self {
        Self {
            kind: EventKind::Event,
            t_ms: event.t_ms,
            severity: event.severity,
            id: event.id.clone(),
            text: event.text.clone(),
            count: event.count,
        }
    }
}

/// The last line: what the run came to. The keys are the machine interface; README lists them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// `summary`.
    pub kind: SummaryKind,
    /// How it ended.
    pub verdict: Verdict,
    /// Id of the limit that stopped it.
    pub stopped_by: Option<String>,
    /// Connections aimed at.
    pub target: Option<u64>,
    /// Most connections established at once, by the client engine; null without one.
    pub peak_established: Option<u64>,
    /// Most connections accepted and open at once, by the server engine; null without one.
    pub peak_accepted: Option<u64>,
    /// Seconds from the start of the ramp (without engines: of the watching) to the last sample.
    pub elapsed_s: f64,
    /// Seconds from the start of the ramp to the highest count.
    pub time_to_peak_s: Option<f64>,
    /// Highest count divided by the time to it.
    pub mean_rate_per_s: Option<f64>,
    /// CPU of both engines, user and system, during the ramp, per connection of the highest count, microseconds.
    pub cpu_us_per_connection: Option<f64>,
    /// Slopes, bytes per connection.
    pub bytes_per_connection: BytesPerConnection,
    /// Every limit, nearest first.
    pub limits: Vec<LimitLine>,
    /// What was predicted when.
    pub forecasts: Vec<ForecastLine>,
    /// What watching cost.
    pub dashboard: Dashboard,
}

/// Slopes, bytes per connection; null where there was too little to tell.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BytesPerConnection {
    /// What the machine lost per connection.
    pub total: Option<f64>,
    /// Of it, kernel memory.
    pub kernel: Option<f64>,
    /// Of it, resident memory of the server engine.
    pub server_user: Option<f64>,
    /// Of it, resident memory of the client engine.
    pub client_user: Option<f64>,
    /// By slab cache; empty where slabinfo cannot be read.
    pub slab: BTreeMap<String, f64>,
}

/// One limit at the end of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitLine {
    /// Its id.
    pub id: String,
    /// What it belongs to.
    pub scope: String,
    /// Use.
    pub used: Option<u64>,
    /// Bound.
    pub limit: Option<u64>,
    /// How near.
    pub state: LimitState,
    /// Count at which it is reached.
    pub forecast_connections: Option<u64>,
    /// Why it is unknown, not applicable, or was hit.
    pub reason: Option<String>,
}

/// What was predicted at one moment, to be held against what came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForecastLine {
    /// Connections when it was predicted.
    pub at_connections: u64,
    /// Id of the limit.
    pub limit_id: String,
    /// Count predicted for it.
    pub predicted_connections: u64,
}

/// What watching cost.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Dashboard {
    /// User plus system time of the dashboard, seconds.
    pub cpu_s: f64,
    /// Its resident memory, bytes.
    pub rss_bytes: u64,
    /// Median cost of a sample, microseconds.
    pub sample_us_p50: u64,
    /// Dearest sample, microseconds.
    pub sample_us_max: u64,
    /// Samples taken.
    pub samples: u64,
    /// Samples that came more than half an interval late.
    pub late_samples: u64,
}

pub(super) fn sample_line(model: &Model) -> SampleLine {
    let now = model.now();
    let nearest_limit = model.nearest().map(|limit| NearestLimit {
        id: limit.info.id.to_owned(),
        connections: limit.forecast.connections(),
        seconds: match limit.forecast {
            Forecast::At { seconds, .. } => seconds,
            _ => None,
        },
    });
    let headroom = model.headroom();
    SampleLine {
        kind: SampleKind::Sample,
        t_ms: now.t_ms,
        phase: now.phase,
        established: now.connections,
        accepted: now.accepted,
        target: now.target,
        in_flight: now.in_flight,
        rate_per_s: now.rate_per_s,
        eta_s: now.eta_s,
        nearest_limit,
        mem_used_bytes: headroom.map(Headroom::used_bytes),
        headroom_bytes: headroom.map(|h| h.bytes),
        tcp_mem_bytes: now.tcp_mem_bytes,
        sockets: now.sockets,
        time_wait: now.time_wait,
        orphans: now.orphans,
        failures: now.failures,
        own_cpu_share: now.own_cpu_share,
        own_rss_bytes: now.own_rss_bytes,
        sample_us: now.sample_us,
    }
}

pub(super) fn summary(model: &Model, run: &RunLog, verdict: Verdict) -> Summary {
    let cost = model.cost();
    let bytes = |slope: Option<super::Slope>| slope.map(|s| s.per_connection);
    let time_to_peak_s = run.time_to_peak_s();
    Summary {
        kind: SummaryKind::Summary,
        verdict,
        stopped_by: stopped_by(model, verdict),
        target: model.now().target,
        peak_established: run.peak_established(),
        peak_accepted: run.peak_accepted(),
        elapsed_s: run.elapsed_s(),
        time_to_peak_s,
        mean_rate_per_s: time_to_peak_s.filter(|s| *s > 0.0).map(|s| run.peak() as f64 / s),
        cpu_us_per_connection: run.cpu_us_per_connection(),
        bytes_per_connection: BytesPerConnection {
            total: bytes(cost.total),
            kernel: bytes(cost.kernel),
            server_user: bytes(cost.server_user),
            client_user: bytes(cost.client_user),
            slab: cost.slab.iter().cloned().collect(),
        },
        limits: model
            .limits()
            .iter()
            .map(|l| LimitLine {
                id: l.info.id.to_owned(),
                scope: l.scope.clone(),
                used: l.used,
                limit: l.limit,
                state: l.state,
                forecast_connections: l.forecast.connections(),
                reason: l.reason.clone(),
            })
            .collect(),
        forecasts: run.forecasts().to_vec(),
        dashboard: run.dashboard(),
    }
}

/// The limit that stopped the run; none for a run that reached its target or that the user ended.
fn stopped_by(model: &Model, verdict: Verdict) -> Option<String> {
    let hit = || model.limits().iter().find(|l| l.state == LimitState::Hit).map(|l| l.info.id.to_owned());
    match verdict {
        Verdict::TargetReached | Verdict::Interrupted => None,
        Verdict::LimitHit => {
            model.engines().iter().find_map(|e| e.stop.as_ref()).map(|s| s.limit_id.clone()).or_else(hit)
        }
        Verdict::GuardStopped => {
            // The guard watches memory alone; the nearer of its two bounds stopped it.
            let near = model.limits().iter().find(|l| matches!(l.info.id, "memory" | "memcg") && l.limit.is_some());
            near.map(|l| l.info.id.to_owned())
        }
        Verdict::EngineKilled => model.deaths().iter().find_map(|d| match &d.cause {
            Cause::OomKilled { cgroup: Some(_) } => Some("memcg".to_owned()),
            Cause::OomKilled { cgroup: None } => Some("memory".to_owned()),
            _ => None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Setup, synthetic};
    use super::*;

    #[test]
    fn the_keys_are_those_of_the_interface_and_kind_is_first() {
        let mut model = Model::new(Setup { interval_ms: 1000, ..Setup::default() });
        for sample in synthetic::ramp(100_000, 20_000, 1000) {
            model.update(&sample);
        }
        let text = serde_json::to_string(&model.summary(Verdict::TargetReached)).unwrap();
        assert!(text.starts_with(r#"{"kind":"summary","verdict":"target_reached","stopped_by":null"#), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let keys = |v: &serde_json::Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let mut want = [
            "kind",
            "verdict",
            "stopped_by",
            "target",
            "peak_established",
            "peak_accepted",
            "elapsed_s",
            "time_to_peak_s",
            "mean_rate_per_s",
            "cpu_us_per_connection",
            "bytes_per_connection",
            "limits",
            "forecasts",
            "dashboard",
        ];
        want.sort_unstable();
        let mut got = keys(&value);
        got.sort_unstable();
        assert_eq!(got, want);
        let limit = keys(&value["limits"][0]);
        for key in ["id", "scope", "used", "limit", "state", "forecast_connections", "reason"] {
            assert!(limit.iter().any(|k| k == key), "{key}");
        }
        for key in ["cpu_s", "rss_bytes", "sample_us_p50", "sample_us_max", "samples", "late_samples"] {
            assert!(value["dashboard"].get(key).is_some(), "{key}");
        }
        let line = serde_json::to_string(&model.sample_line()).unwrap();
        assert!(line.starts_with(r#"{"kind":"sample","t_ms":5000,"phase":"holding","established":100000,"#), "{line}");
        let event = serde_json::to_string(&EventLine::from(&model.events().all()[0])).unwrap();
        assert!(event.starts_with(r#"{"kind":"event","t_ms":0,"severity":"info","id":"phase/ramping""#), "{event}");
    }
}
