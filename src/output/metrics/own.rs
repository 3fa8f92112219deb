//! What watching costs.

use super::{Family, Kind, count, float, one};

pub(super) static FAMILIES: &[Family] = &[
    Family {
        name: "c1m_top_own_cpu_seconds",
        kind: Kind::Counter,
        help: "CPU time of c1m-top itself, without its engines.",
        labels: &[],
        read: |m| one(m.model.last_sample().map(|sample| float(sample.own.cpu_us) / 1e6)),
    },
    Family {
        name: "c1m_top_own_resident_memory_bytes",
        kind: Kind::Gauge,
        help: "Resident memory of c1m-top itself, without its engines.",
        labels: &[],
        read: |m| count(m.model.last_sample().map(|sample| sample.own.rss_bytes)),
    },
    Family {
        name: "c1m_top_sample_duration_seconds",
        kind: Kind::Gauge,
        help: "What reading the kernel took for the last sample.",
        labels: &[],
        read: |m| one(m.model.last_sample().map(|sample| float(sample.kernel.took_us) / 1e6)),
    },
    Family {
        name: "c1m_top_samples",
        kind: Kind::Counter,
        help: "Samples taken.",
        labels: &[],
        read: |m| count(m.model.last_sample().map(|_| m.model.dashboard().samples)),
    },
    Family {
        name: "c1m_top_samples_late",
        kind: Kind::Counter,
        help: "Samples that came more than half an interval late.",
        labels: &[],
        read: |m| count(m.model.last_sample().map(|_| m.model.dashboard().late_samples)),
    },
];
