//! What the summary needs from the whole run: peaks, times, CPU, what was predicted when, the dashboard's own cost.

use crate::limits::{Limit, LimitId, LimitState};
use crate::protocol::{Phase, Role};
use crate::sample::Sample;

use super::entry;
use super::now::{Now, RunPhase};
use super::summary::{Dashboard, ForecastLine};
use crate::units::whole;

/// Growth of the count between two records of the nearest limit's forecast.
const GROWTH: f64 = 1.25;
/// Parts of the way to a limit at which its forecast is recorded.
const PARTS: f64 = 8.0;
/// Most records kept.
const MOST: usize = 400;

/// One engine, as the summary needs it.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    peak: u64,
    /// CPU when the ramp ended, or the latest while it lasts, microseconds.
    ramp_cpu_us: u64,
    /// CPU while the target was held, where it was raised then, microseconds.
    held_cpu_us: u64,
}

/// Times, counted by their size, 32 places to each doubling. Few places are ever used, and every state of the past has its own: a
/// table of all takes 10 KiB.
#[derive(Debug, Clone, Default)]
struct Times(Vec<Place>);

/// Times that are about the same.
#[derive(Debug, Clone, Copy)]
struct Place {
    index: u64,
    count: u64,
    sum: u64,
}

impl Times {
    fn add(&mut self, us: u64) {
        let shift = u64::from(us.max(1).ilog2().saturating_sub(5));
        let place = shift * 32 + (us >> shift);
        match self.0.binary_search_by_key(&place, |p| p.index) {
            Ok(i) => (self.0[i].count, self.0[i].sum) = (self.0[i].count + 1, self.0[i].sum.saturating_add(us)),
            Err(i) => self.0.insert(i, Place { index: place, count: 1, sum: us }),
        }
    }

    /// The mean of those about the median; 0 where there are none.
    fn median(&self) -> u64 {
        let mut left = self.0.iter().map(|p| p.count).sum::<u64>().div_ceil(2);
        for place in &self.0 {
            if place.count >= left {
                return place.sum / place.count;
            }
            left -= place.count;
        }
        0
    }
}

/// The run so far.
#[derive(Debug, Clone, Default)]
pub(super) struct RunLog {
    first_ms: Option<u64>,
    last_ms: Option<u64>,
    parts: [Option<Part>; 2],
    /// Start of the ramp and time of the highest count, by the clock of the engine that counts, seconds.
    ramp_s: Option<f64>,
    peak_s: Option<f64>,
    elapsed_s: f64,
    ramp_over: bool,
    /// CPU of the ramp as the client tells it once that is over.
    told_cpu_us: Option<u64>,
    /// The target was raised after it had been reached.
    raised: bool,
    /// When closing began and when all were closed, milliseconds.
    close_ms: (Option<u64>, Option<u64>),
    peak: u64,
    forecasts: Vec<ForecastLine>,
    recorded_at: u64,
    /// Parts of its way that each limit had covered when last recorded.
    covered: Vec<(LimitId, String, Option<u64>)>,
    sample_us: Times,
    sample_us_max: u64,
    samples: u64,
    late: u64,
    own_cpu_us: u64,
    own_rss_bytes: u64,
    /// The next limits while the run was on its way or held: a run that closes aims at none any more.
    ahead: Vec<Limit>,
}

/// Limits that are kept for the end: of the nearest, the first may turn out to be the one that was hit.
const AHEAD: usize = 3;

impl RunLog {
    /// Takes a sample that should have come `interval_ms` after the last (0: unknown).
    pub(super) fn update(&mut self, sample: &Sample, now: &Now, limits: &[Limit], interval_ms: u64) {
        self.own(sample, interval_ms);
        self.engines(sample, now);
        if now.connections > self.peak {
            self.peak = now.connections;
            self.record(now.connections, limits);
        }
        let next = |l: &&Limit| l.forecast.connections().is_some() && l.state != LimitState::Hit;
        if matches!(now.phase, RunPhase::Ramping | RunPhase::Guarded | RunPhase::Holding | RunPhase::Watching)
            && limits.iter().any(|l| next(&l))
        {
            self.ahead.clear();
            self.ahead.extend(limits.iter().filter(next).take(AHEAD).cloned());
        }
        match now.phase {
            RunPhase::Closing => _ = self.close_ms.0.get_or_insert(sample.t_ms),
            RunPhase::Closed => _ = self.close_ms.1.get_or_insert(sample.t_ms),
            _ => {}
        }
        let first = *self.first_ms.get_or_insert(sample.t_ms);
        if self.ramp_s.is_none() {
            self.elapsed_s = sample.t_ms.saturating_sub(first) as f64 / 1000.0;
        }
    }

    /// Seconds from the first close until all connections were closed.
    pub(super) fn close_s(&self) -> Option<f64> {
        let (began, done) = self.close_ms;
        Some(done?.checked_sub(began?)? as f64 / 1000.0)
    }

    /// The next sample does not continue the last.
    pub(super) fn gap(&mut self) {
        self.last_ms = None;
    }

    /// Connections are counted anew.
    pub(super) fn restart(&mut self) {
        (self.peak, self.recorded_at) = (0, 0);
        self.forecasts.clear();
        self.covered.clear();
    }

    fn own(&mut self, sample: &Sample, interval_ms: u64) {
        if let Some(last) = self.last_ms
            && interval_ms > 0
            && sample.t_ms.saturating_sub(last) * 2 > interval_ms * 3
        {
            self.late += 1;
        }
        self.last_ms = Some(sample.t_ms);
        self.samples += 1;
        self.sample_us_max = self.sample_us_max.max(sample.kernel.took_us);
        self.sample_us.add(sample.kernel.took_us);
        self.own_cpu_us = sample.own.cpu_us;
        self.own_rss_bytes = sample.own.rss_bytes;
    }

    fn engines(&mut self, sample: &Sample, now: &Now) {
        let ramping = matches!(
            now.phase,
            RunPhase::Starting | RunPhase::Ramping | RunPhase::Paused | RunPhase::Guarded | RunPhase::Watching
        );
        // What an engine that has died had reached counts.
        let of_role =
            |role| sample.watched().filter(move |w| w.role() == Some(role)).find_map(|w| Some((w.alive, w.stats()?)));
        let told = of_role(Role::Client).filter(|(alive, _)| *alive).map(|(_, stats)| stats.ramp_cpu_us);
        let again = self.told_cpu_us.is_some() && told == Some(None);
        self.told_cpu_us = told.map_or(self.told_cpu_us, |told| told);
        self.raised |= again;
        // The ramp goes on, and what holding has cost meanwhile is none of its own.
        self.ramp_over &= !(self.raised && told == Some(None));
        for (i, role) in [Role::Server, Role::Client].into_iter().enumerate() {
            let Some((alive, stats)) = of_role(role) else { continue };
            let part = self.parts[i].get_or_insert_default();
            part.peak = part.peak.max(stats.peak);
            // The sample at the end of the ramp still counts: it is taken at the change of phase.
            let over = self.ramp_over || !alive;
            if again {
                part.held_cpu_us = stats.cpu_us.saturating_sub(part.ramp_cpu_us);
            }
            let ramped = stats.cpu_us.saturating_sub(part.held_cpu_us);
            part.ramp_cpu_us = stats.ramp_cpu_us.unwrap_or(if over { part.ramp_cpu_us } else { ramped });
        }
        self.ramp_over |= !ramping && now.phase != RunPhase::EngineDied;
        // The client's clock tells the times of the run, if there is a client, and not that of whoever survives it.
        if let Some((alive, stats)) = of_role(Role::Client).or_else(|| of_role(Role::Server))
            && let Some(start) = stats.ramp_started_us
        {
            let since_start = |us: u64| us.saturating_sub(start) as f64 / 1e6;
            self.ramp_s = Some(start as f64 / 1e6);
            if alive {
                self.elapsed_s = since_start(stats.t_us);
            }
            if stats.peak > 0 && stats.phase != Phase::Starting {
                self.peak_s = stats.peak_us.map(since_start);
            }
        }
    }

    /// Records forecasts: the nearest limit's whenever the count has grown by a quarter, and each limit's at every eighth
    /// of its way.
    fn record(&mut self, connections: u64, limits: &[Limit]) {
        if self.forecasts.len() >= MOST {
            return;
        }
        let grown = connections as f64 >= self.recorded_at as f64 * GROWTH;
        let mut nearest = true;
        for limit in limits {
            let Some(predicted) = limit.forecast.connections() else { continue };
            let part = whole(limit.share().unwrap_or(0.0) * PARTS);
            let new = || (limit.info.id, limit.scope.clone(), None);
            let before = entry(&mut self.covered, |c| limit.is(c.0, &c.1), new).2.replace(part);
            let advanced = before.is_none_or(|before| before < part);
            if advanced || (nearest && grown) {
                self.forecasts.push(ForecastLine {
                    at_connections: connections,
                    limit_id: limit.info.id,
                    predicted_connections: predicted,
                });
                if nearest {
                    self.recorded_at = connections;
                }
            }
            nearest = false;
        }
    }

    /// Highest count of the client engine.
    pub(super) fn peak_established(&self) -> Option<u64> {
        self.parts[1].map(|p| p.peak)
    }

    /// Highest count of the server engine.
    pub(super) fn peak_accepted(&self) -> Option<u64> {
        self.parts[0].map(|p| p.peak)
    }

    /// Highest count of the run, whoever counted.
    pub(super) fn peak(&self) -> u64 {
        self.peak_established().or(self.peak_accepted()).unwrap_or(self.peak)
    }

    /// Seconds from the start of the ramp, or of the watching.
    pub(super) fn elapsed_s(&self) -> f64 {
        self.elapsed_s
    }

    /// Seconds from the start of the ramp to the highest count.
    pub(super) fn time_to_peak_s(&self) -> Option<f64> {
        self.peak_s
    }

    /// Connections a second from the start of the ramp to the highest count; none where that time has a hold in it.
    pub(super) fn mean_rate_per_s(&self) -> Option<f64> {
        self.peak_s.filter(|s| *s > 0.0 && !self.raised).map(|s| self.peak() as f64 / s)
    }

    /// CPU of both engines during the ramp for each connection, microseconds.
    pub(super) fn cpu_us_per_connection(&self) -> Option<f64> {
        let parts: Vec<Part> = self.parts.iter().flatten().copied().collect();
        let cpu: u64 = parts.iter().map(|p| p.ramp_cpu_us).sum();
        (!parts.is_empty() && self.peak() > 0).then(|| cpu as f64 / self.peak() as f64)
    }

    /// What was predicted when.
    pub(super) fn forecasts(&self) -> &[ForecastLine] {
        &self.forecasts
    }

    /// The next limits when the run last was on its way or held, nearest first.
    pub(super) fn ahead(&self) -> &[Limit] {
        &self.ahead
    }

    /// What watching cost.
    pub(super) fn dashboard(&self) -> Dashboard {
        Dashboard {
            cpu_s: self.own_cpu_us as f64 / 1e6,
            rss_bytes: self.own_rss_bytes,
            sample_us_p50: self.sample_us.median(),
            sample_us_max: self.sample_us_max,
            samples: self.samples,
            late_samples: self.late,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::synthetic;
    use super::*;

    #[test]
    fn cpu_is_of_the_ramp_alone() {
        let mut log = RunLog::default();
        let phase = |p| Now { phase: p, ..Now::default() };
        for sample in synthetic::ramp(100_000, 20_000, 1000) {
            log.update(&sample, &phase(RunPhase::Ramping), &[], 1000);
        }
        let mut hold = synthetic::sample(100_000, 6000);
        synthetic::set_target(&mut hold, 100_000);
        log.update(&hold, &phase(RunPhase::Holding), &[], 1000);
        let mut late = synthetic::sample(100_000, 60_000);
        synthetic::engine(&mut late, Role::Client).unwrap().cpu_us *= 50;
        log.update(&late, &phase(RunPhase::Holding), &[], 1000);
        assert_eq!(log.cpu_us_per_connection(), Some(20.0));
        assert_eq!((log.peak_established(), log.peak_accepted()), (Some(100_000), Some(100_000)));
        let own = log.dashboard();
        assert_eq!((own.samples, own.late_samples, own.sample_us_max), (8, 1, 400));
        assert!(own.sample_us_p50.abs_diff(400) <= 4);
    }

    #[test]
    fn a_ramp_that_goes_on_to_a_higher_target_costs_what_both_parts_cost() {
        let mut log = RunLog::default();
        let mut at = |t_ms, held, phase, [client, server]: [u64; 2], told| {
            let mut sample = synthetic::sample(held, t_ms);
            let engine = synthetic::engine(&mut sample, Role::Client).unwrap();
            (engine.cpu_us, engine.ramp_cpu_us) = (client, told);
            synthetic::engine(&mut sample, Role::Server).unwrap().cpu_us = server;
            log.update(&sample, &Now { phase, ..Now::default() }, &[], 1000);
            (log.cpu_us_per_connection(), log.mean_rate_per_s().is_some())
        };
        at(1000, 500, RunPhase::Ramping, [500, 500], None);
        assert_eq!(at(2000, 1000, RunPhase::Holding, [1000, 1000], Some(1000)), (Some(2.0), true));
        // Holding costs as much again.
        assert_eq!(at(9000, 1000, RunPhase::Holding, [2000, 2000], Some(1000)), (Some(2.0), true));
        at(9100, 1000, RunPhase::Ramping, [2000, 2000], None);
        at(10_000, 1500, RunPhase::Ramping, [2500, 2500], None);
        assert_eq!(at(11_000, 2000, RunPhase::Holding, [3000, 3000], Some(2000)), (Some(2.0), false));
        assert_eq!(at(19_000, 2000, RunPhase::Holding, [9000, 9000], Some(2000)), (Some(2.0), false));
    }

    #[test]
    fn the_median_is_that_of_a_list() {
        assert_eq!(Times::default().median(), 0);
        for spread in [1, 63, 64, 1000, 90_000_000] {
            let mut times = Times::default();
            let mut list: Vec<u64> = (0..1001).map(|i| i * 7919 % 1009 * spread).collect();
            for us in &list {
                times.add(*us);
            }
            list.sort_unstable();
            let (want, got) = (list[500] as f64, times.median() as f64);
            assert!((got / want - 1.0).abs() < 0.02, "{got} for {want}");
            // A damaged figure.
            for us in [u64::MAX, u64::MAX, 0] {
                times.add(us);
            }
            assert!(times.0.len() < 320 && times.0.is_sorted_by_key(|p| p.index), "{}", times.0.len());
        }
    }

    #[test]
    fn a_gap_is_not_a_late_sample() {
        let mut log = RunLog::default();
        log.update(&synthetic::host_only(0), &Now::default(), &[], 1000);
        log.gap();
        log.update(&synthetic::host_only(60_000), &Now::default(), &[], 1000);
        assert_eq!(log.dashboard().late_samples, 0);
        assert_eq!((log.peak_established(), log.time_to_peak_s(), log.cpu_us_per_connection()), (None, None, None));
    }
}
