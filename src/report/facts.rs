//! One run, reduced to what a comparison and a report need of it.

use crate::limits::{Limit, LimitState, socket_memory};
use crate::model::summary::ForecastLine;
use crate::model::{Chart, Cost, CountSource, Event, Model, RunPhase, Summary, Verdict, XAxis};
use crate::protocol::{EngineStats, Latency, Role, Traffic};
use crate::sample::{Machine, Sample};

use super::around::Around;

/// One run.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// What it is called: the name of its file.
    pub name: String,
    /// When it began, milliseconds since the Unix epoch.
    pub started_ms: Option<u64>,
    /// The file it comes from, where there is one.
    pub file: Option<File>,
    /// Version of the program that ran it.
    pub version: String,
    /// The machine.
    pub machine: Machine,
    /// Memory of the machine, bytes.
    pub memory_bytes: Option<u64>,
    /// Whose connections were counted.
    pub source: CountSource,
    /// How it ended; `None` where the record ends before the run did.
    pub verdict: Option<Verdict>,
    /// What it came to.
    pub summary: Option<Summary>,
    /// What a connection cost, with its uncertainty.
    pub cost: Cost,
    /// Every limit as it was when the most connections were open, nearest first; met ones as they were met.
    pub limits: Vec<Limit>,
    /// Memory over connections, with its limits, as it was then.
    pub chart: Chart,
    /// What happened.
    pub events: Vec<Event>,
    /// What was sampled, in the order of time.
    pub points: Vec<Point>,
    /// Most connections that any sample saw, or an engine said.
    pub peak: u64,
    /// Plan, kernel, settings, limits, versions.
    pub around: Around,
}

/// The file of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its SHA-256, hexadecimal: what `sha256sum` says.
    pub sha256: String,
    /// Its size, bytes.
    pub bytes: u64,
    /// What of it could not be read, for people.
    pub damage: Option<String>,
}

/// One sample, as far as it is drawn or compared. NaN is "not known".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Milliseconds since the dashboard started.
    pub t_ms: u64,
    /// What the run was doing.
    pub phase: RunPhase,
    /// It does not continue the one before: time without samples lies between.
    pub begins: bool,
    /// Connections open.
    pub connections: u64,
    /// Memory in use on the machine, bytes: everybody's.
    pub memory: f64,
    /// What sockets and watched processes have taken since the start, bytes.
    pub own_memory: f64,
    /// Connections opened a second since the sample before; of what is not counted by an engine, net.
    pub rate: f64,
    /// Cores used since the sample before: by the server (or the watched program), and by the client.
    pub cores: [f64; 2],
    /// CPU of both engines since they started, microseconds.
    pub cpu_us: f64,
    /// Seconds since the ramp began, by the clock of the engine that counts.
    pub ramp_s: f64,
    /// Ninety-nine of a hundred connects so far took at most so long, microseconds.
    pub connect_p99: f64,
    /// The same of the network's part of it.
    pub handshake_p99: f64,
    /// The same of echoes since the target was reached, and their median.
    pub echo: [f64; 2],
}

impl Facts {
    /// The limit that comes first, or was met.
    pub fn nearest(&self) -> Option<&Limit> {
        self.limits.iter().find(|limit| limit.state == LimitState::Hit || limit.forecast.connections().is_some())
    }

    /// What was foretold of a limit, in the order in which it was.
    pub fn forecasts<'a>(&'a self, limit: &'a Limit) -> impl Iterator<Item = &'a ForecastLine> {
        self.summary.iter().flat_map(|s| &s.forecasts).filter(|line| line.limit_id == limit.info.id)
    }

    /// Connect times at the end of the run.
    pub fn connect(&self) -> Option<Latency> {
        self.summary.as_ref()?.connect
    }

    /// Messages, where there were any.
    pub fn traffic(&self) -> Option<Traffic> {
        self.summary.as_ref()?.traffic.filter(|traffic| traffic.echo.count > 0)
    }

    /// The part in which the count was as high as ever: where it rose, and where it stood.
    pub fn highest(&self) -> Vec<&Point> {
        let mut most = 0;
        let highest = |point: &&Point| {
            most = most.max(point.connections);
            point.connections == most
        };
        self.points.iter().filter(highest).collect()
    }

    /// The part in which the count rose: each point has more connections open than every one before it.
    pub fn rising(&self) -> Vec<&Point> {
        let mut most = None;
        let higher = |point: &&Point| {
            let rises = Some(point.connections) > most;
            most = most.max(Some(point.connections));
            rises
        };
        self.points.iter().filter(higher).collect()
    }
}

/// Follows a model from sample to sample.
#[derive(Debug, Default)]
pub struct Collector {
    facts: Facts,
    /// Connections and times of the sample before: what each engine had opened, and its CPU.
    before: Option<Counts>,
    /// The count has been at its highest since the limits were kept.
    rose: bool,
    /// Slab has been read cache by cache.
    by_cache: bool,
    /// What there was at the start.
    memory: Option<Memory>,
}

/// What the growth of memory is made from: bytes, and sockets of the machine.
#[derive(Debug, Clone, Copy)]
struct Memory {
    kernel: f64,
    user: f64,
    sockets: f64,
}

/// What rates are made from.
#[derive(Debug, Clone, Copy)]
struct Counts {
    t_us: u64,
    opened: u64,
    cpu_us: [Option<u64>; 2],
}

impl Collector {
    /// Looks at a model before it takes this sample: what it is at the highest count is kept before it falls.
    pub fn before(&mut self, model: &Model, next: &Sample) {
        let falls = open(next).is_none_or(|open| open < model.now().connections);
        if falls && self.rose {
            self.keep(model);
        }
    }

    /// Looks at a model that has taken this sample.
    pub fn after(&mut self, model: &Model, sample: &Sample) {
        let now = model.now();
        if now.connections > self.facts.peak || self.facts.limits.is_empty() {
            self.facts.peak = self.facts.peak.max(now.connections);
            self.rose = true;
        }
        if self.facts.memory_bytes.is_none() {
            self.facts.memory_bytes = sample.kernel.host.mem.as_ref().ok().map(|mem| mem.total);
        }
        self.facts.started_ms.get_or_insert(sample.wall_ms.saturating_sub(sample.t_ms));
        self.facts.source = now.source;
        let point = self.point(model, sample);
        self.facts.points.push(point);
    }

    /// The next sample does not continue the last.
    pub fn gap(&mut self) {
        self.before = None;
    }

    /// The run is over, and came to this. `verdict` is the summary's; `None` where the record ends before the run did, and the
    /// summary is of what there is.
    pub fn finish(mut self, model: &Model, summary: Summary, verdict: Option<Verdict>) -> Facts {
        if self.rose {
            self.keep(model);
        }
        let mut facts = self.facts;
        for limit in model.limits().iter().filter(|limit| limit.state == LimitState::Hit) {
            match facts.limits.iter().position(|l| l.is(limit.info.id, &limit.scope)) {
                Some(at) => {
                    let mut met = facts.limits.remove(at);
                    (met.state, met.reason) = (limit.state, limit.reason.clone());
                    facts.limits.insert(0, met);
                }
                None => facts.limits.insert(0, limit.clone()),
            }
        }
        facts.verdict = verdict;
        facts.events = model.events().all().to_vec();
        facts.machine = model.setup().machine.clone();
        facts.peak = facts.peak.max(summary.peak_established.or(summary.peak_accepted).unwrap_or(0));
        facts.summary = Some(summary);
        facts
    }

    fn keep(&mut self, model: &Model) {
        self.rose = false;
        self.facts.cost = model.cost().clone();
        self.facts.limits = model.limits().to_vec();
        self.facts.chart = model.chart(XAxis::Connections, None);
    }

    /// What the run has taken since it began: memory of the kernel for sockets, and of the watched processes themselves. Of the
    /// kernel's, the part that goes with the sockets of the run where others open some as well.
    fn own_memory(&mut self, model: &Model, sample: &Sample) -> f64 {
        // All of the slab stands for caches that cannot be read, and is something else where they can.
        let by_cache = sample.kernel.host.slab.is_ok();
        self.by_cache |= by_cache;
        let kernel = socket_memory(sample).filter(|_| by_cache == self.by_cache);
        let sockets = sample.kernel.net.sockstat.as_ref().ok().map(|s| s.alloc);
        let (Some(kernel), Some(sockets)) = (kernel, sockets) else { return f64::NAN };
        let user: u64 = match &sample.kernel.program {
            Some(program) => program.private_bytes(),
            None => sample.living().filter_map(|w| w.process.rss_bytes.as_ref().ok().copied()).sum(),
        };
        let now = Memory { kernel: kernel as f64, user: user as f64, sockets: sockets as f64 };
        let start = *self.memory.get_or_insert(now);
        let all = now.sockets - start.sockets;
        let own = model.now().connections as f64 * if model.cost().both_ends { 2.0 } else { 1.0 };
        // A program that is no engine may have several for each connection: its own are not told from others'.
        let share = if sample.engines.is_empty() || all <= own { 1.0 } else { own / all };
        (now.kernel - start.kernel) * share + now.user - start.user
    }

    fn point(&mut self, model: &Model, sample: &Sample) -> Point {
        let (client, server) = (sample.engine(Role::Client), sample.engine(Role::Server));
        let now = model.now();
        let counting = client.or(server);
        let counts = Counts {
            t_us: counting.map_or(sample.t_ms * 1000, |engine| engine.t_us),
            opened: counting.map_or(now.connections, |engine| engine.opened),
            cpu_us: [server, client].map(|engine| engine.map(|e| e.cpu_us)),
        };
        let before = self.before.replace(counts).filter(|before| before.t_us < counts.t_us);
        let per_us =
            |from: u64, to: u64| before.map_or(f64::NAN, |b| (to as f64 - from as f64) / (counts.t_us - b.t_us) as f64);
        let mut cores = [0, 1].map(|i| {
            let earlier = before.and_then(|b| b.cpu_us[i]);
            counts.cpu_us[i].zip(earlier).map_or(f64::NAN, |(to, from)| per_us(from, to))
        });
        if let Some(percent) = model.program().and_then(|program| program.cpu_percent) {
            cores[0] = percent / 100.0;
        }
        let ramp_s = counting.and_then(|e| Some(e.t_us.checked_sub(e.ramp_started_us?)? as f64 / 1e6));
        let latency = |of: fn(&EngineStats) -> Latency| {
            client.map(of).filter(|l| l.count > 0).map_or(f64::NAN, |l| l.p99_us as f64)
        };
        // Until the target is reached they are of the ramp, and begin anew then.
        let holds = now.phase == RunPhase::Holding;
        let echo = client.and_then(|c| c.traffic).map(|t| t.echo).filter(|echo| holds && echo.count > 0);
        let cpu: Vec<u64> = counts.cpu_us.into_iter().flatten().collect();
        Point {
            t_ms: sample.t_ms,
            phase: now.phase,
            begins: before.is_none(),
            connections: now.connections,
            memory: model.headroom().map_or(f64::NAN, |h| h.used_bytes() as f64),
            own_memory: self.own_memory(model, sample),
            rate: before.map_or(f64::NAN, |b| per_us(b.opened, counts.opened) * 1e6),
            cores,
            cpu_us: if cpu.is_empty() { f64::NAN } else { cpu.iter().sum::<u64>() as f64 },
            ramp_s: ramp_s.unwrap_or(f64::NAN),
            connect_p99: latency(|e| e.connect),
            handshake_p99: latency(|e| e.handshake),
            echo: echo.map_or([f64::NAN; 2], |echo| [echo.p99_us as f64, echo.p50_us as f64]),
        }
    }
}

/// Connections of a sample, where it tells without a model.
fn open(sample: &Sample) -> Option<u64> {
    let engine = sample.engine(Role::Client).or(sample.engine(Role::Server)).map(|engine| engine.open);
    let held = || Some(sample.kernel.program.as_ref()?.census.as_ref().ok()?.connections);
    let namespace = || sample.kernel.net.tcp.as_ref().ok().map(|tcp| tcp.curr_estab);
    engine.or_else(held).or_else(namespace)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{facts, played};
    use crate::limits::Forecast;
    use crate::model::synthetic;

    #[test]
    fn what_is_kept_is_of_the_highest_count() {
        let facts = facts(200_000);
        assert_eq!(facts.peak, 200_000);
        let nearest = facts.nearest().unwrap();
        assert!(matches!(nearest.forecast, Forecast::At { .. }), "{nearest:?}");
        assert!(facts.cost.total.is_some());
        // The run has closed everything by then.
        assert_eq!(facts.points.last().unwrap().connections, 0);
        assert!(facts.limits.iter().any(|l| l.info.name == "memory" && l.used.unwrap() > 200_000 * 8000));
    }

    #[test]
    fn rates_and_cores_are_of_the_time_between_two_samples() {
        let facts = facts(200_000);
        assert!(facts.points[0].rate.is_nan());
        let third = facts.points[2];
        assert_eq!((third.rate.round(), third.cores), (50_000.0, [0.5, 0.5]));
        assert!((third.ramp_s - 0.4).abs() < 1e-9);
    }

    #[test]
    fn the_rising_part_leaves_dips_out() {
        let counts = [0, 10, 30, 20, 30, 40, 0];
        let samples: Vec<_> = (0..).zip(counts).map(|(i, n)| synthetic::sample(n, i * 1000)).collect();
        let facts = played(&samples, None);
        let rising: Vec<u64> = facts.rising().iter().map(|p| p.connections).collect();
        assert_eq!(rising, [0, 10, 30, 40]);
    }
}
