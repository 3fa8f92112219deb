//! Fills the lines of `--output json` from the model.

use super::run::RunLog;
use super::summary::{BytesPerConnection, LimitLine, NearestLimit, ProcessLine, SampleLine, Summary, Verdict};
use super::{CountSource, Model};
use crate::limits::{self, Forecast, Headroom, LimitId, LimitState};
use crate::protocol::Role;

pub(super) fn sample_line(model: &Model) -> SampleLine {
    let now = model.now();
    let nearest_limit = model.nearest().map(|limit| NearestLimit {
        id: limit.info.id,
        connections: limit.forecast.connections(),
        plus_minus: limit.forecast.plus_minus(),
        seconds: match limit.forecast {
            Forecast::At { seconds, .. } => seconds,
            _ => None,
        },
    });
    let headroom = model.headroom();
    SampleLine {
        t_ms: now.t_ms,
        phase: now.phase,
        established: now.connections,
        accepted: now.accepted,
        target: now.target,
        in_flight: now.in_flight,
        rate_per_s: now.rate_per_s,
        opened_per_s: now.opened_per_s,
        closed_per_s: now.closed_per_s,
        failed_per_s: now.failed_per_s,
        eta_s: now.eta_s,
        nearest_limit,
        mem_used_bytes: headroom.map(Headroom::used_bytes),
        headroom_bytes: headroom.map(|h| h.bytes),
        tcp_mem_bytes: now.tcp_mem_bytes,
        sockets: now.sockets,
        time_wait: now.time_wait,
        orphans: now.orphans,
        memory_pressure_percent: now.memory_pressure_percent,
        retransmits: now.retransmits,
        failures: now.failures,
        lost: now.lost,
        refused: now.refused,
        lifetime_us: now.lifetime,
        stale: now.stale.iter().map(|s| s.role).collect(),
        process: model.whole_program(),
        own_cpu_share: now.own_cpu_share,
        own_rss_bytes: now.own_rss_bytes,
        sample_us: now.sample_us,
    }
}

pub(super) fn summary(model: &Model, run: &RunLog, verdict: Verdict) -> Summary {
    let cost = model.cost();
    let engine = |role| model.engine(role).and_then(|e| e.stats.as_ref());
    let (client, server) = (engine(Role::Client), engine(Role::Server));
    let bytes = |slope: Option<super::Slope>| slope.map(|s| s.per_connection);
    let time_to_peak_s = run.time_to_peak_s();
    let held = model.now().source == CountSource::Process;
    Summary {
        verdict,
        stopped_by: stopped_by(model, verdict),
        part: model.setup().part,
        merged: None,
        target: model.now().target,
        peak_established: run.peak_established(),
        peak_accepted: run.peak_accepted(),
        elapsed_s: run.elapsed_s(),
        time_to_peak_s,
        mean_rate_per_s: run.mean_rate_per_s(),
        cpu_us_per_connection: run.cpu_us_per_connection(),
        bytes_per_connection: BytesPerConnection {
            total: bytes(cost.total),
            mem_free: bytes(cost.mem_free),
            kernel: bytes(cost.kernel),
            server_user: bytes(cost.server_user),
            client_user: bytes(cost.client_user),
            user: bytes(cost.user),
            basis: cost.basis,
            slab: cost.slab.iter().cloned().collect(),
        },
        limits: model
            .limits()
            .iter()
            .map(|l| LimitLine {
                id: l.info.id,
                scope: l.scope.clone(),
                unit: l.unit,
                used: l.used,
                limit: l.limit,
                state: l.state,
                forecast_connections: l.forecast.connections(),
                forecast_plus_minus: l.forecast.plus_minus(),
                reason: l.reason.clone(),
            })
            .collect(),
        forecasts: run.forecasts().to_vec(),
        close_s: run.close_s(),
        // Of engines that have ended too.
        failures: client.iter().chain(&server).flat_map(|e| &e.errors).map(|e| e.count).sum(),
        lost: client.or(server).map(|e| e.lost),
        refused: client.map(|c| c.refused),
        lifetime_us: client.map(|c| c.lifetime).filter(|l| l.count > 0),
        connect: client.map(|c| c.connect).filter(|c| c.count > 0),
        handshake: client.map(|c| c.handshake).filter(|h| h.count > 0),
        greeted: client.filter(|c| c.greet).map(|c| c.greeted),
        traffic: client.and_then(|c| c.traffic),
        process: model.whole_program().map(|p| ProcessLine { connections: held.then(|| run.peak()), ..p }),
        dashboard: run.dashboard(),
        recording: None,
        expectations: Vec::new(),
    }
}

/// What stopped the run: the id of a limit, or the word for how a client gave up.
fn stopped_by(model: &Model, verdict: Verdict) -> Option<String> {
    let hit = || model.limits().iter().find(|l| l.state == LimitState::Hit).map(|l| l.info.name.to_owned());
    let stop = model.engines().iter().find_map(|e| e.stats.as_ref()?.stop.as_ref());
    match verdict {
        Verdict::LimitHit => stop.and_then(limits::stopped_by).map(|limit| limit.name().to_owned()).or_else(hit),
        // No call failed: the server has accepted, and closed. The kernel does not do that.
        Verdict::ServerRefuses if stop.is_some_and(|s| s.call.errno == 0) => Some(LimitId::App.name().to_owned()),
        Verdict::ServerRefuses | Verdict::ServerStalled => stop.map(|s| s.cause.name().to_owned()),
        Verdict::GuardStopped if model.held_by_fleet() => Some("fleet_guard".to_owned()),
        Verdict::GuardStopped => model.guard_limit().map(|id| id.name().to_owned()),
        Verdict::EngineKilled | Verdict::ProcessDied => {
            model.deaths().iter().find_map(|d| Some(limits::behind(d.cause.oom()?).name().to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::summary::EventLine;
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
            "part",
            "merged",
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
            "close_s",
            "failures",
            "lost",
            "refused",
            "lifetime_us",
            "connect",
            "handshake",
            "greeted",
            "traffic",
            "process",
            "recording",
            "expectations",
        ];
        want.sort_unstable();
        let mut got = keys(&value);
        got.sort_unstable();
        assert_eq!(got, want);
        let limit = keys(&value["limits"][0]);
        for key in ["id", "scope", "unit", "used", "limit", "state", "forecast_connections", "reason"] {
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
