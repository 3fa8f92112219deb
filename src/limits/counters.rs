//! Counters of the kernel since the first sample: what was dropped, refused or squeezed, and what that means.

use crate::protocol::Severity;
use crate::sample::{LogTopic, Sample, TcpExt};

use super::cure::{Cure, Level, Remedy};
use super::{LIMITS, LimitId, other_network};

/// One counter and its sentence.
#[derive(Debug)]
pub struct CounterInfo {
    /// Id of its event, and its name here.
    pub id: &'static str,
    /// Its name in the kernel, the proof.
    pub proof: &'static str,
    /// Where it is.
    pub read: fn(&Sample) -> Option<u64>,
    /// How bad a rise is.
    pub severity: Severity,
    /// A rise by less is worth knowing, not a warning: other programs drop a packet now and then.
    pub few: u64,
    /// What happened, to be followed by the number.
    pub what: &'static str,
    /// What helps.
    pub cure: fn() -> Cure,
    /// Whether the limit's own numbers and cure say more, where they can be read.
    pub with_numbers: bool,
    /// It counts what happens to anybody on the machine.
    pub host_wide: bool,
    /// From this many on it has said all there is to say of its limit, whose own alarm is then left out.
    pub speaks_for_limit_from: u64,
    /// From this share of the limit's bound on, a rise proves that the limit was met.
    pub proves_met_from: Option<f64>,
    /// Whether to say which accept queue has not drained since.
    pub still_full: bool,
    /// What the kernel logs with it.
    pub log: &'static [LogTopic],
}

impl CounterInfo {
    /// What helps, where this sample was taken.
    pub fn cure_in(&self, sample: &Sample) -> Cure {
        let cure = (self.cure)();
        match other_network(&sample.kernel) {
            Some(pid) => cure.inside_network_of(pid),
            None => cure,
        }
    }
}

/// A column of `TcpExt`.
pub(super) fn ext(sample: &Sample, read: fn(&TcpExt) -> u64) -> Option<u64> {
    sample.kernel.net.ext.as_ref().ok().map(read)
}

/// What most counters leave out.
pub(super) const COUNTER: CounterInfo = CounterInfo {
    id: "",
    proof: "",
    read: |_| None,
    severity: Severity::Warning,
    few: 5,
    what: "",
    cure: Cure::none,
    with_numbers: false,
    host_wide: false,
    speaks_for_limit_from: u64::MAX,
    proves_met_from: None,
    still_full: false,
    log: &[],
};

/// Counters that speak of no limit.
static OF_NO_LIMIT: [CounterInfo; 1] = [CounterInfo {
    id: "backlog_drop",
    proof: "TCPBacklogDrop",
    read: |s| ext(s, |e| e.backlog_drop),
    what: "packets were dropped because a socket's own backlog was full",
    cure: || Remedy::advice(Level::Server, "read faster, or raise net.ipv4.tcp_rmem").into(),
    ..COUNTER
}];

/// Every counter, with the limit that it speaks of.
fn all() -> impl Iterator<Item = (Option<LimitId>, &'static CounterInfo)> {
    let of_limits = LIMITS.iter().flat_map(|l| l.counters.iter().map(|c| (Some(l.id), c)));
    of_limits.chain(OF_NO_LIMIT.iter().map(|c| (None, c)))
}

/// Seconds over which a rate fades.
const FADE_S: f64 = 10.0;

#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    last: Option<u64>,
    total: u64,
    step: u64,
    per_s: f64,
}

/// A counter that rose with the last sample.
#[derive(Debug, Clone, Copy)]
pub struct Risen {
    /// The limit that it speaks of.
    pub about: Option<LimitId>,
    /// Its words.
    pub info: &'static CounterInfo,
    /// By how much.
    pub step: u64,
    /// Since the first sample.
    pub total: u64,
}

/// Every counter of the limits, followed.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    counters: Vec<Counter>,
    t_ms: u64,
}

impl Counters {
    /// Takes a sample.
    pub fn update(&mut self, sample: &Sample) {
        // Before an engine has opened anything it is others who make the whole machine's rise.
        let begun = sample.engines.is_empty() || sample.counters().any(|e| e.opened > 0 || e.ramp_started_us.is_some());
        let seconds = sample.t_ms.saturating_sub(self.t_ms) as f64 / 1000.0;
        self.t_ms = sample.t_ms;
        // The mean over the interval has its weight whatever the interval is.
        let kept = (-seconds / FADE_S).exp();
        self.counters.resize(all().count(), Counter::default());
        for (counter, (_, info)) in self.counters.iter_mut().zip(all()) {
            counter.step = 0;
            let value = (info.read)(sample);
            if let Some(value) = value.filter(|_| begun || !info.host_wide) {
                // A counter that fell belongs to another namespace or a restarted table: start over.
                counter.step = value.saturating_sub(counter.last.unwrap_or(value));
            }
            // What it rises by while it cannot be read is left out.
            counter.last = value;
            counter.total += counter.step;
            let of_step = if seconds > 0.0 { counter.step as f64 / seconds * (1.0 - kept) } else { 0.0 };
            counter.per_s = counter.per_s * kept + of_step;
        }
    }

    /// Rise since the first sample.
    pub fn total(&self, id: &str) -> u64 {
        self.find(id).map_or(0, |c| c.total)
    }

    /// Rise per second, over the last ten seconds or so.
    pub fn per_s(&self, id: &str) -> f64 {
        self.find(id).map_or(0.0, |c| c.per_s)
    }

    /// Those that rose with the last sample.
    pub fn risen(&self) -> impl Iterator<Item = Risen> {
        let counters = all().zip(&self.counters).filter(|(_, c)| c.step > 0);
        counters.map(|((about, info), c)| Risen { about, info, step: c.step, total: c.total })
    }

    /// Whether one of this limit has said all there is to say.
    pub fn spoke_for(&self, limit: LimitId) -> bool {
        all().zip(&self.counters).any(|((of, info), c)| of == Some(limit) && c.total >= info.speaks_for_limit_from)
    }

    /// Limits that a risen counter proves to have been met once they are used to that share, and the rise.
    pub fn proofs(&self) -> impl Iterator<Item = (LimitId, f64, u64)> {
        let proofs = all().zip(&self.counters).filter(|(_, c)| c.total > 0);
        proofs.filter_map(|((of, info), c)| Some((of?, info.proves_met_from?, c.total)))
    }

    fn find(&self, id: &str) -> Option<&Counter> {
        all().position(|(_, info)| info.id == id).and_then(|i| self.counters.get(i))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::synthetic;

    #[test]
    fn only_what_rose_since_the_first_sample_counts() {
        let mut counters = Counters::default();
        let mut sample = synthetic::sample(0, 0);
        for (t_ms, value, step, total) in [(0, 500, 0, 0), (1000, 510, 10, 10), (2000, 510, 0, 10), (3000, 3, 0, 10)] {
            sample.t_ms = t_ms;
            sample.kernel.net.ext.as_mut().unwrap().listen_overflows = value;
            counters.update(&sample);
            let risen: Vec<_> = counters.risen().filter(|r| r.info.id == "listen_overflows").map(|r| r.step).collect();
            assert_eq!(risen, if step > 0 { vec![step] } else { vec![] });
            assert_eq!(counters.total("listen_overflows"), total);
        }
        assert!(counters.per_s("listen_overflows") < 1.0);
    }

    #[test]
    fn the_whole_machines_drops_count_once_this_run_has_begun() {
        let mut counters = Counters::default();
        for (n, t_ms, dropped, total) in [(0, 0, 500, 0), (0, 1000, 510, 0), (100, 2000, 513, 3)] {
            let mut sample = synthetic::sample(n, t_ms);
            for engine in &mut sample.engines {
                let stats = engine.stats.as_mut().unwrap();
                (stats.opened, stats.ramp_started_us) = (n, (n > 0).then_some(1));
            }
            sample.kernel.host.softnet.as_mut().unwrap().dropped = dropped;
            counters.update(&sample);
            assert_eq!(counters.total("softnet_dropped"), total, "after {t_ms} ms");
        }
    }

    #[test]
    fn a_rate_is_the_same_whatever_the_interval() {
        for interval_ms in [100, 1000, 10_000, 60_000] {
            let mut counters = Counters::default();
            let mut sample = synthetic::sample(0, 0);
            // Three a second for two minutes.
            for t_ms in (0..=120_000).step_by(interval_ms) {
                sample.t_ms = t_ms;
                sample.kernel.net.ext.as_mut().unwrap().listen_overflows = t_ms * 3 / 1000;
                counters.update(&sample);
            }
            let got = counters.per_s("listen_overflows");
            assert!((got - 3.0).abs() < 0.05, "every {interval_ms} ms: {got}");
        }
    }

    #[test]
    fn every_counter_makes_a_sentence_and_has_an_id_of_its_own() {
        let ids: Vec<&str> = all().map(|(_, info)| info.id).collect();
        for (i, (_, info)) in all().enumerate() {
            let cure = (info.cure)().to_string();
            assert!(!info.what.is_empty() && !info.what.ends_with('.') && !info.proof.is_empty(), "{}", info.id);
            assert!(!cure.is_empty() && !cure.ends_with('.'), "{}", info.id);
            assert!(!ids[i + 1..].contains(&info.id), "{}", info.id);
        }
    }
}
