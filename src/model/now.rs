//! What holds at the moment of the last sample.

use serde::{Deserialize, Serialize};

use crate::protocol::{EngineStats, Latency, Phase, Role};
use crate::sample::Sample;

use super::rate::{CpuShare, Rate};

/// Where the count of connections comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CountSource {
    /// `open` of the client engine.
    Client,
    /// `open` of the server engine.
    Server,
    /// The watched process: the sockets of the ports it listens on.
    Process,
    /// `CurrEstab` of the namespace (RFC 4022: ESTABLISHED and CLOSE-WAIT): a connection with both ends in the
    /// namespace counts twice.
    #[default]
    Namespace,
}

/// The run as a whole in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunPhase {
    /// No engine: only watching.
    #[default]
    Watching,
    /// Engines are starting.
    Starting,
    /// Connections are being opened (or accepted, with a server alone).
    Ramping,
    /// Paused by the user.
    Paused,
    /// Held back by the guard.
    Guarded,
    /// At the target.
    Holding,
    /// Closing.
    Closing,
    /// All closed.
    Closed,
    /// The client cannot open more.
    Stopped,
    /// An engine has died.
    EngineDied,
}

impl RunPhase {
    /// Whether the target is still wanted: a pause does not take a limit away.
    pub(super) fn aims(self) -> bool {
        !matches!(self, RunPhase::Holding | RunPhase::Closing | RunPhase::Closed | RunPhase::EngineDied)
    }

    /// The word for it where the end that connects is another's (`serves`): a server has no ramp of its own, and no end of one. It
    /// accepts what comes.
    pub fn word_of(self, serves: bool) -> &'static str {
        if serves && self == RunPhase::Ramping { "ACCEPTING" } else { self.word() }
    }

    /// The word in the header.
    pub fn word(self) -> &'static str {
        match self {
            RunPhase::Watching => "WATCHING",
            RunPhase::Starting => "STARTING",
            RunPhase::Ramping => "RAMPING",
            RunPhase::Paused => "PAUSED",
            RunPhase::Guarded => "GUARDED",
            RunPhase::Holding => "HOLDING",
            RunPhase::Closing => "CLOSING",
            RunPhase::Closed => "CLOSED",
            RunPhase::Stopped => "STOPPED",
            RunPhase::EngineDied => "ENGINE DIED",
        }
    }
}

impl From<Phase> for RunPhase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Starting => RunPhase::Starting,
            Phase::Ramping => RunPhase::Ramping,
            Phase::Paused => RunPhase::Paused,
            Phase::Guarded => RunPhase::Guarded,
            Phase::Holding => RunPhase::Holding,
            Phase::Closing => RunPhase::Closing,
            Phase::Closed => RunPhase::Closed,
            Phase::Stopped => RunPhase::Stopped,
        }
    }
}

/// The latest derived values. `None` is "cannot be known", never 0.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Now {
    /// Time of the sample, milliseconds since the dashboard started.
    pub t_ms: u64,
    /// What the run is doing.
    pub phase: RunPhase,
    /// The guard's ceiling holds the ramp, be it for a moment: `phase` says so when it goes on.
    pub held: bool,
    /// Where `connections` comes from.
    pub source: CountSource,
    /// Connections open.
    pub connections: u64,
    /// Connections aimed at.
    pub target: Option<u64>,
    /// Connections per second over the last output interval, those opened less those closed, by the engine's own clock;
    /// negative while closing.
    pub rate_per_s: Option<f64>,
    /// The same over the last three seconds, for what is foretold: a forecast that jumps with each sample is not read.
    pub trend_per_s: Option<f64>,
    /// Connections opened per second over the last output interval; `None` where no engine counts them.
    pub opened_per_s: Option<f64>,
    /// The same of those closed, whoever closed them.
    pub closed_per_s: Option<f64>,
    /// The same of calls that failed, at both engines.
    pub failed_per_s: Option<f64>,
    /// Connections that the other end or an error closed since the start; `None` where no engine counts them.
    pub lost: Option<u64>,
    /// Connects that the other end refused or reset since the start; `None` without a client engine.
    pub refused: Option<u64>,
    /// How long those that were lost had been open.
    pub lifetime: Option<Latency>,
    /// How long the client waits between two attempts because too many are lost or refused, milliseconds.
    pub backoff_ms: Option<u64>,
    /// Engines that do not run: what they say of themselves is old.
    pub stale: Vec<Stale>,
    /// Seconds to the target at this rate; `None` when not ramping.
    pub eta_s: Option<f64>,
    /// Connections open at the server engine.
    pub accepted: Option<u64>,
    /// Connects under way at the client engine.
    pub in_flight: Option<u64>,
    /// Failures of both engines, every errno.
    pub failures: u64,
    /// TCP sockets of the namespace, IPv4 and IPv6 (`inuse` of sockstat and sockstat6).
    pub sockets: Option<u64>,
    /// Sockets in `TIME_WAIT`.
    pub time_wait: Option<u64>,
    /// Orphaned sockets, host-wide.
    pub orphans: Option<u64>,
    /// TCP buffer memory, bytes, host-wide.
    pub tcp_mem_bytes: Option<u64>,
    /// Share of the last ten seconds in which some task of the machine waited for memory, percent.
    pub memory_pressure_percent: Option<f64>,
    /// TCP segments of the namespace sent again since the first sample.
    pub retransmits: Option<u64>,
    /// CPU of the dashboard, share of one core.
    pub own_cpu_share: Option<f64>,
    /// Resident memory of the dashboard, bytes.
    pub own_rss_bytes: u64,
    /// What taking this sample cost, microseconds.
    pub sample_us: u64,
}

impl Now {
    /// The word for what the run is doing.
    pub fn word(&self) -> &'static str {
        self.phase.word_of(self.source == CountSource::Server)
    }
}

/// An engine that has not been awake for longer than any work of its own takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale {
    /// Which end.
    pub role: Role,
    /// For how long, milliseconds.
    pub silent_ms: u64,
}

impl Now {
    /// How long the engine of a role has not run, where it does not, milliseconds.
    pub fn silent_ms(&self, role: Role) -> Option<u64> {
        self.stale.iter().find(|s| s.role == role).map(|s| s.silent_ms)
    }
}

/// Whether an engine of this sample is on its way out: its memory is given back, and its connections go. With many of them
/// that takes seconds, in which it does not count as dead.
pub(super) fn engine_dies(sample: &Sample) -> bool {
    sample.watched().any(|t| t.is_ending() && t.engine.is_some())
}

/// Whether an engine of this sample has ended.
pub(super) fn engine_died(sample: &Sample) -> bool {
    sample.watched().any(|t| !t.alive && t.engine.is_some())
}

/// A ceiling that holds the ramp for less than this is none: early in a ramp, while costs are being learnt, it is raised again
/// with the next sample.
const HELD_MS: u64 = 400;

/// What forecasts are taken over, microseconds.
const TREND_US: u64 = 3_000_000;

/// What [`Now`] needs from samples before.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// Between two outputs.
    interval_ms: u64,
    opened: Rate,
    closed: Rate,
    failed: Rate,
    open: Rate,
    trend: Rate,
    source: CountSource,
    phase: RunPhase,
    /// Since when the guard's ceiling has held the ramp.
    guarded: Option<u64>,
    /// What the client holds has been open at every end that is known.
    complete: bool,
    own: CpuShare,
    /// `RetransSegs` of the first sample that had it.
    retrans_segs: Option<u64>,
}

impl Default for Pace {
    fn default() -> Self {
        Self::new(1000)
    }
}

impl Pace {
    /// With so many milliseconds between two outputs.
    pub(super) fn new(interval_ms: u64) -> Self {
        let rate = || Rate::over(interval_ms * 1000);
        Self {
            interval_ms,
            opened: rate(),
            closed: rate(),
            failed: rate(),
            open: rate(),
            trend: Rate::over(TREND_US),
            source: CountSource::default(),
            phase: RunPhase::default(),
            guarded: None,
            complete: false,
            own: CpuShare::default(),
            retrans_segs: None,
        }
    }

    fn rates(&mut self) -> [&mut Rate; 5] {
        [&mut self.opened, &mut self.closed, &mut self.failed, &mut self.open, &mut self.trend]
    }

    /// Connections of a watched program that is no engine, where they can be counted. One that has ended holds nothing.
    fn held(&self, sample: &Sample) -> Option<u64> {
        let program = sample.kernel.program.as_ref()?;
        if self.source == CountSource::Process && sample.living().next().is_none() {
            return Some(0);
        }
        program.census.as_ref().ok().map(|census| census.connections)
    }

    /// The phase to show: the ramp's own while the guard has held it for a moment.
    fn held_for_long(&mut self, phase: RunPhase, t_ms: u64) -> RunPhase {
        self.guarded = (phase == RunPhase::Guarded).then(|| self.guarded.unwrap_or(t_ms));
        let for_a_moment = self.guarded.is_some_and(|since| t_ms.saturating_sub(since) < HELD_MS);
        if self.phase == RunPhase::Ramping && for_a_moment { self.phase } else { phase }
    }

    /// Derives the values of this moment. `target` is the run's own; without one an engine's is taken.
    pub(super) fn now(&mut self, sample: &Sample, target: Option<u64>) -> Now {
        let (client, server) = (sample.engine(Role::Client), sample.engine(Role::Server));
        let counts = client.or(server);
        let estab = sample.kernel.net.tcp.as_ref().map_or(0, |t| t.curr_estab);
        // The namespace counts both ends and everybody's; when the engines are gone their connections are, too.
        let gone = matches!(self.source, CountSource::Client | CountSource::Server) && counts.is_none();
        let held = self.held(sample);
        let (source, t_us, open) = match (client, server) {
            _ if gone => (self.source, 0, 0),
            (Some(c), _) => (CountSource::Client, c.t_us, c.open),
            (None, Some(s)) => (CountSource::Server, s.t_us, s.open),
            (None, None) => match held {
                Some(held) => (CountSource::Process, sample.t_ms * 1000, held),
                None => (CountSource::Namespace, sample.t_ms * 1000, estab),
            },
        };
        // An engine that ends after it has closed everything has done its work.
        let phase = if engine_died(sample) && self.phase == RunPhase::Closed {
            RunPhase::Closed
        } else if engine_died(sample) {
            RunPhase::EngineDied
        } else {
            let otherwise = if gone { self.phase } else { RunPhase::Watching };
            counts.map_or(otherwise, |e| RunPhase::from(e.phase))
        };
        self.complete = phase == RunPhase::Holding && (self.complete || sample.is_complete());
        // The client has opened all, and the server has yet to take some: the ramp goes on.
        let phase = if phase == RunPhase::Holding && !self.complete { RunPhase::Ramping } else { phase };
        let phase = self.held_for_long(phase, sample.t_ms);
        if source != self.source {
            *self = Self { source, own: self.own, retrans_segs: self.retrans_segs, ..Self::new(self.interval_ms) };
        }
        let failures = failures(client) + failures(server);
        if !gone {
            self.open.add(t_us, open);
            self.trend.add(t_us, open);
            self.failed.add(t_us, failures);
        }
        if let Some(counts) = counts {
            self.opened.add(t_us, counts.opened);
            self.closed.add(t_us, counts.closed);
        }
        if phase != self.phase {
            let before = std::mem::replace(&mut self.phase, phase);
            let start = counts.and_then(|e| e.ramp_started_us);
            if phase != RunPhase::Ramping {
                // A mean over the end of a ramp is neither the ramp's rate nor the hold's.
                self.rates().into_iter().for_each(Rate::restart);
            } else if let (Some(start), RunPhase::Starting | RunPhase::Watching) = (start, before) {
                // The time before the ramp is none of it.
                let opened = counts.map_or(0, |e| e.opened);
                for (rate, value) in [(&mut self.opened, opened), (&mut self.open, open), (&mut self.trend, open)] {
                    rate.clear();
                    rate.add(start, 0);
                    rate.add(t_us, value);
                }
            }
        }
        // What the client aims at now comes first: it may have been told another one than it began with.
        let target = (client.map(|e| e.target).filter(|t| *t > 0))
            .or(target)
            .or_else(|| counts.map(|e| e.target).filter(|t| *t > 0))
            .or_else(|| sample.engines.iter().map(|e| e.hello.target).next().filter(|t| *t > 0));
        // One that does not run is on its way nowhere.
        let stale = stale(sample);
        let ramping = phase == RunPhase::Ramping && client.is_none_or(|c| stale.iter().all(|s| s.role != c.role));
        let (rate_per_s, trend_per_s) = (self.open.per_s(), self.trend.per_s());
        let eta_s = match (target, trend_per_s) {
            // A count that stood still in the last interval is on its way nowhere, whatever it did before.
            (Some(target), Some(rate)) if ramping && rate > 0.0 && rate_per_s > Some(0.0) && target > open => {
                Some((target - open) as f64 / rate)
            }
            _ => None,
        };
        let counted = |rate: &Rate| counts.and_then(|_| rate.per_s());
        let sockstat = sample.kernel.net.sockstat.as_ref().ok();
        let retrans_segs = sample.kernel.net.tcp.as_ref().ok().map(|tcp| tcp.retrans_segs);
        self.retrans_segs = self.retrans_segs.or(retrans_segs);
        Now {
            t_ms: sample.t_ms,
            phase,
            held: self.guarded.is_some(),
            source,
            connections: open,
            target,
            rate_per_s,
            trend_per_s,
            opened_per_s: counted(&self.opened),
            closed_per_s: counted(&self.closed),
            failed_per_s: counted(&self.failed),
            lost: counts.map(|e| e.lost),
            refused: client.map(|c| c.refused),
            lifetime: client.map(|c| c.lifetime).filter(|l| l.count > 0),
            backoff_ms: client.map(|c| c.backoff_ms).filter(|ms| *ms > 0),
            stale,
            eta_s,
            accepted: server.map(|s| s.open),
            in_flight: client.map(|c| c.in_flight),
            failures,
            sockets: sample.kernel.net.tcp_sockets().ok(),
            time_wait: sockstat.map(|s| s.tw),
            orphans: sockstat.map(|s| s.orphan),
            tcp_mem_bytes: sockstat.map(|s| s.mem_pages.saturating_mul(sample.kernel.host.page_size)),
            memory_pressure_percent: sample.kernel.host.memory_pressure.as_ref().ok().copied(),
            retransmits: retrans_segs.zip(self.retrans_segs).map(|(now, first)| now.saturating_sub(first)),
            own_cpu_share: self.own.add(sample.t_ms * 1000, sample.own.cpu_us),
            own_rss_bytes: sample.own.rss_bytes,
            sample_us: sample.kernel.took_us,
        }
    }
}

fn failures(engine: Option<&EngineStats>) -> u64 {
    engine.iter().flat_map(|e| &e.errors).map(|e| e.count).sum()
}

/// The engines that do not run.
fn stale(sample: &Sample) -> Vec<Stale> {
    sample.living().filter_map(|w| Some(Stale { role: w.role()?, silent_ms: w.silent_ms()? })).collect()
}

#[cfg(test)]
mod tests {
    use super::super::synthetic;
    use super::*;
    use crate::sample::Absent;

    #[test]
    fn the_count_comes_from_the_best_source_there_is() {
        let both = synthetic::sample(5000, 1000);
        let mut server_alone = both.clone();
        server_alone.kernel.processes.truncate(1);
        server_alone.engines.truncate(1);
        let mut dead_client = both.clone();
        dead_client.kernel.processes[1].alive = false;
        let rows = [
            (both, CountSource::Client, 5000, RunPhase::Ramping),
            (server_alone, CountSource::Server, 5000, RunPhase::Ramping),
            (dead_client, CountSource::Server, 5000, RunPhase::EngineDied),
            (synthetic::host_only(1000), CountSource::Namespace, 4, RunPhase::Watching),
        ];
        for (sample, source, connections, phase) in rows {
            let now = Pace::default().now(&sample, None);
            assert_eq!((now.source, now.connections, now.phase), (source, connections, phase));
        }
    }

    #[test]
    fn a_ceiling_that_is_raised_at_once_does_not_show_as_held() {
        use crate::protocol::Phase;
        let mut pace = Pace::default();
        let phases = [
            (0, Phase::Ramping, RunPhase::Ramping),
            (134, Phase::Guarded, RunPhase::Ramping),
            (137, Phase::Ramping, RunPhase::Ramping),
            (147, Phase::Guarded, RunPhase::Ramping),
            (540, Phase::Guarded, RunPhase::Ramping),
            (550, Phase::Guarded, RunPhase::Guarded),
            (560, Phase::Closing, RunPhase::Closing),
        ];
        for (t_ms, phase, want) in phases {
            let mut sample = synthetic::sample(5000, t_ms);
            synthetic::engine(&mut sample, Role::Client).unwrap().phase = phase;
            assert_eq!(pace.now(&sample, None).phase, want, "{t_ms}");
        }
    }

    #[test]
    fn a_watched_process_has_what_can_be_counted_and_nothing_once_it_has_ended() {
        use crate::sample::Census;
        let mut sample = synthetic::sample(5000, 1000);
        synthetic::foreign(&mut sample, 77, "nginx", 90, 1024);
        let mut pace = Pace::default();
        let unknown = || Err(Absent::because("others listen there too"));
        for (alive, census, want) in [
            (true, unknown(), (CountSource::Namespace, 10_004)),
            (true, Ok(Census { connections: 70, ..Census::default() }), (CountSource::Process, 70)),
            (false, Err(Absent::ProcessEnded), (CountSource::Process, 0)),
            (true, unknown(), (CountSource::Namespace, 10_004)),
        ] {
            sample.kernel.processes[0].alive = alive;
            sample.kernel.program.as_mut().unwrap().census = census;
            let now = pace.now(&sample, None);
            assert_eq!((now.source, now.connections), want);
        }
    }

    #[test]
    fn with_both_engines_gone_their_connections_are() {
        let mut pace = Pace::default();
        let mut sample = synthetic::sample(5000, 1000);
        pace.now(&sample, None);
        for engine in &mut sample.engines {
            engine.stats = Err(Absent::because("no answer"));
        }
        let now = pace.now(&sample, None);
        assert_eq!((now.source, now.connections, now.phase), (CountSource::Client, 0, RunPhase::Ramping));
        sample.kernel.processes.iter_mut().for_each(|t| t.alive = false);
        let now = pace.now(&sample, None);
        assert_eq!((now.connections, now.phase, now.rate_per_s), (0, RunPhase::EngineDied, None));
    }

    #[test]
    fn retransmits_count_from_the_first_sample_and_pressure_is_what_the_kernel_says() {
        let mut pace = Pace::default();
        let mut now = Now::default();
        // The engines come with the second sample, and what counts changes.
        for (mut sample, segments) in
            [(synthetic::host_only(0), 700), (synthetic::sample(0, 1000), 700), (synthetic::sample(9, 2000), 742)]
        {
            sample.kernel.net.tcp.as_mut().unwrap().retrans_segs = segments;
            sample.kernel.host.memory_pressure = Ok(segments as f64 / 100.0);
            now = pace.now(&sample, None);
        }
        assert_eq!((now.retransmits, now.memory_pressure_percent), (Some(42), Some(7.42)));
        let mut blind = synthetic::sample(9, 3000);
        blind.kernel.net.tcp = Err(Absent::because("hidden"));
        blind.kernel.host.memory_pressure = Err(Absent::because("hidden"));
        let now = pace.now(&blind, None);
        assert_eq!((now.retransmits, now.memory_pressure_percent), (None, None));
    }

    #[test]
    fn rate_and_eta_follow_the_engines_clock() {
        let mut pace = Pace::default();
        let mut now = Now::default();
        for mut sample in synthetic::ramp(1_000_000, 40_000, 1000).into_iter().take(11) {
            // The dashboard's clock stumbles; the engine's does not.
            sample.t_ms += sample.t_ms % 3 * 200;
            now = pace.now(&sample, None);
        }
        assert_eq!(now.connections, 400_000);
        assert_eq!(now.rate_per_s, Some(40_000.0));
        assert_eq!(now.eta_s, Some(15.0));
        assert_eq!(now.target, Some(1_000_000));
    }

    #[test]
    fn waiting_before_the_ramp_does_not_slow_it() {
        let mut pace = Pace::default();
        for t_ms in [0, 1000, 2000] {
            let mut sample = synthetic::sample(0, t_ms);
            synthetic::engine(&mut sample, Role::Client).unwrap().phase = Phase::Starting;
            pace.now(&sample, None);
        }
        let mut sample = synthetic::sample(20_000, 3000);
        synthetic::engine(&mut sample, Role::Client).unwrap().ramp_started_us = Some(2_550_000);
        assert_eq!(pace.now(&sample, None).rate_per_s, Some(40_000.0));
    }

    #[test]
    fn an_engine_that_ends_when_all_is_closed_has_not_died() {
        let mut pace = Pace::default();
        let mut sample = synthetic::sample(0, 0);
        synthetic::engine(&mut sample, Role::Client).unwrap().phase = Phase::Closed;
        pace.now(&sample, None);
        sample.kernel.processes[1].alive = false;
        assert_eq!(pace.now(&sample, None).phase, RunPhase::Closed);
    }

    #[test]
    fn at_the_target_nothing_is_left_of_the_ramps_rate() {
        let mut pace = Pace::default();
        for sample in synthetic::ramp(100_000, 40_000, 1000) {
            pace.now(&sample, Some(100_000));
        }
        let mut hold = synthetic::sample(100_000, 4000);
        synthetic::set_target(&mut hold, 100_000);
        let now = pace.now(&hold, Some(100_000));
        assert_eq!((now.phase, now.rate_per_s, now.eta_s), (RunPhase::Holding, Some(0.0), None));
    }
}
