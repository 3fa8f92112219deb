//! Which run it is, and how far it has come.

use std::borrow::Cow;

use super::{Family, Kind, Moment, Point, Value, flag, float, one};
use crate::model::{RunPhase, Verdict};

pub(super) static FAMILIES: &[Family] = &[
    Family {
        name: "c1m_top_run",
        kind: Kind::Info,
        help: "What runs: version, role, the fleet of a worker, and the options of the run.",
        labels: &["version", "role", "what", "fleet", "option_*"],
        read: info,
    },
    Family {
        name: "c1m_top_phase",
        kind: Kind::Gauge,
        help: "1 for the current phase of the run, 0 for the others.",
        labels: &["phase"],
        read: |m| PHASES.iter().map(|p| Point::new([("phase", &word(*p))], flag(*p == m.model.now().phase))).collect(),
    },
    Family {
        name: "c1m_top_verdict",
        kind: Kind::Gauge,
        help: "1 for the verdict of the run; absent before its end.",
        labels: &["verdict"],
        read: |m| m.verdict.map(|v| Point::new([("verdict", &name_of(v))], 1.0)).into_iter().collect(),
    },
    Family {
        name: "c1m_top_last_sample_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the figures were taken, Unix time.",
        labels: &[],
        read: |m| one(m.model.last_sample().map(|sample| float(sample.wall_ms) / 1000.0)),
    },
    Family {
        name: "c1m_top_target_eta_seconds",
        kind: Kind::Gauge,
        help: "Time left to the target at the present rate; absent while it is not ramping.",
        labels: &[],
        read: |m| one(m.model.now().eta_s),
    },
    Family {
        name: "c1m_top_guard_ceiling_connections",
        kind: Kind::Gauge,
        help: "Most connections the guard allows; absent without a guard.",
        labels: &[],
        read: |m| one(client(m).and_then(|c| c.ceiling).map(float)),
    },
    Family {
        name: "c1m_top_guard_holding",
        kind: Kind::Gauge,
        help: "Whether the guard is holding the ramp back.",
        labels: &[],
        read: |m| one(client(m).and_then(|c| c.ceiling).map(|_| flag(m.model.now().phase == RunPhase::Guarded))),
    },
];

/// Every phase of a run.
const PHASES: [RunPhase; 10] = [
    RunPhase::Watching,
    RunPhase::Starting,
    RunPhase::Ramping,
    RunPhase::Paused,
    RunPhase::Guarded,
    RunPhase::Holding,
    RunPhase::Closing,
    RunPhase::Closed,
    RunPhase::Stopped,
    RunPhase::EngineDied,
];

/// As JSON has it.
fn word(phase: RunPhase) -> String {
    phase.word().to_lowercase().replace(' ', "_")
}

/// As JSON has it.
fn name_of(verdict: Verdict) -> String {
    serde_json::to_value(verdict).ok().and_then(|v| v.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}

fn client<'a>(m: &Moment<'a>) -> Option<&'a crate::protocol::EngineStats> {
    m.model.engine(crate::protocol::Role::Client)?.stats.as_ref()
}

fn info(m: &Moment<'_>) -> Vec<Point> {
    if m.run.is_empty() {
        return Vec::new();
    }
    let label = |(name, value): &(String, String)| (Cow::Owned(name.clone()), value.clone());
    vec![Point { labels: m.run.iter().map(label).collect(), value: Value::Number(1.0) }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_and_a_verdict_are_called_what_json_calls_them() {
        for phase in PHASES {
            assert_eq!(serde_json::to_value(phase).unwrap(), word(phase));
        }
        assert_eq!(name_of(Verdict::TargetReached), "target_reached");
    }
}
