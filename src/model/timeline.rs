//! What the run did over time: rates, CPU, latencies, losses, memory, on one time axis. Bounded whatever the run's length:
//! the last minutes sample by sample, the whole run in a few hundred means.

use crate::limits::Headroom;
use crate::protocol::{EngineStats, Role};
use crate::sample::Sample;
use crate::units::whole;

use super::now::{Now, RunPhase};
use super::rate::Rate;
use super::series::{Point, Series};
use super::shared::Shared;
use super::spread::Recent;

/// What is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Connections opened per second.
    Opened,
    /// Connections closed per second, whoever closed them.
    Closed,
    /// Calls that failed per second, at both engines.
    Failed,
    /// Connections lost per second.
    Lost,
    /// CPU of the server engine in user mode, share of one core.
    ServerUser,
    /// The same in the kernel.
    ServerSystem,
    /// CPU of the client engine in user mode, share of one core.
    ClientUser,
    /// The same in the kernel.
    ClientSystem,
    /// CPU of a watched program, all its processes, share of one core.
    Program,
    /// Soft interrupts of the machine, in cores.
    SoftInterrupts,
    /// Messages echoed per second.
    Messages,
    /// Median of the echoes of the last second, microseconds.
    EchoMedian,
    /// Their 99th percentile.
    EchoP99,
    /// Median of the connects of the last second, microseconds.
    ConnectMedian,
    /// Their 99th percentile.
    ConnectP99,
    /// TCP segments of the namespace sent again per second.
    Retransmits,
    /// Packets and connections dropped per second because a queue was full.
    Drops,
    /// Memory in use, bytes: the machine's, or a watched program's own.
    Memory,
    /// Connections open.
    Connections,
}

/// How many quantities a point has; the count of connections it has anyway.
const QUANTITIES: usize = Quantity::Connections as usize;

/// Points of the last minutes: more than a wide terminal has columns.
const RECENT: usize = 600;

/// Least time between two of them, milliseconds: five minutes in all.
const APART_MS: f64 = 500.0;

/// What rates are taken over, microseconds.
const OVER_US: u64 = 1_000_000;

/// Time from which on a drift is told, milliseconds.
const LEAST_DRIFT_MS: f64 = 20_000.0;

type At = Point<QUANTITIES>;

/// How memory moves while connections are held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    /// Bytes a minute; negative where it falls.
    pub bytes_per_min: f64,
    /// Standard error of that, bytes a minute.
    pub spread: f64,
    /// What it rests on, milliseconds.
    pub over_ms: u64,
}

impl Drift {
    /// Whether memory rises by more than it moves anyway.
    pub fn rises(self) -> bool {
        self.bytes_per_min > 3.0 * self.spread && self.bytes_per_min > 1024.0 * 1024.0
    }
}

/// The rates of one engine's CPU time: all of it, and what the kernel did for it.
type Cpu = [Rate; 2];

/// Everything followed.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    whole: Series<QUANTITIES>,
    recent: Shared<At>,
    cpu: [Cpu; 2],
    soft_interrupts: Rate,
    echoed_bytes: Rate,
    lost: Rate,
    retransmits: Rate,
    drops: Rate,
    echo: Recent,
    connect: Recent,
    broken: bool,
    held_since: Option<u64>,
    /// When it began: the first point of `whole` is soon a mean of many moments.
    first_ms: Option<u64>,
}

impl Default for Timeline {
    fn default() -> Self {
        let rate = || Rate::over(OVER_US);
        Self {
            whole: Series::default(),
            recent: Shared::default(),
            cpu: [[rate(), rate()], [rate(), rate()]],
            soft_interrupts: rate(),
            echoed_bytes: rate(),
            lost: rate(),
            retransmits: rate(),
            drops: rate(),
            echo: Recent::default(),
            connect: Recent::default(),
            broken: true,
            held_since: None,
            first_ms: None,
        }
    }
}

impl Timeline {
    /// Takes a sample.
    pub(super) fn update(&mut self, sample: &Sample, now: &Now, headroom: Option<Headroom>, program_cpu: Option<f64>) {
        match now.phase {
            RunPhase::Holding => _ = self.held_since.get_or_insert(now.t_ms),
            RunPhase::Closing | RunPhase::Closed | RunPhase::EngineDied => {}
            _ => self.held_since = None,
        }
        let mut values = [f64::NAN; QUANTITIES];
        let mut set = |quantity: Quantity, value: Option<f64>| values[quantity as usize] = value.unwrap_or(f64::NAN);
        set(Quantity::Opened, now.opened_per_s);
        set(Quantity::Closed, now.closed_per_s);
        set(Quantity::Failed, now.failed_per_s);
        let t_us = sample.t_ms * 1000;
        for (role, user, system) in [
            (Role::Server, Quantity::ServerUser, Quantity::ServerSystem),
            (Role::Client, Quantity::ClientUser, Quantity::ClientSystem),
        ] {
            let shares = cpu(&mut self.cpu[role as usize], sample, role);
            set(user, shares.map(|s| s.0));
            set(system, shares.and_then(|s| s.1));
        }
        set(Quantity::Program, program_cpu);
        let host = &sample.kernel.host;
        set(
            Quantity::SoftInterrupts,
            per_s(&mut self.soft_interrupts, t_us, host.soft_interrupts_us.as_ref().ok()).map(|us| us / 1e6),
        );
        let client = sample.engine(Role::Client);
        let counts = client.or(sample.engine(Role::Server));
        set(Quantity::Lost, counts.and_then(|c| per_s(&mut self.lost, c.t_us, Some(&c.lost))));
        let traffic = client.and_then(|c| Some((c, c.traffic?))).filter(|(_, t)| t.active > 0);
        set(Quantity::Messages, traffic.and_then(|(c, t)| self.messages(c, t.echoed_bytes, t.message)));
        let echo = client.and_then(|c| self.echo.take(sample.t_ms, &c.echo_spread));
        set(Quantity::EchoMedian, echo.map(|e| e.0));
        set(Quantity::EchoP99, echo.map(|e| e.1));
        let connect = client.and_then(|c| self.connect.take(sample.t_ms, &c.connect_spread));
        set(Quantity::ConnectMedian, connect.map(|c| c.0));
        set(Quantity::ConnectP99, connect.map(|c| c.1));
        let retransmits = sample.kernel.net.tcp.as_ref().ok().map(|tcp| tcp.retrans_segs);
        set(Quantity::Retransmits, per_s(&mut self.retransmits, t_us, retransmits.as_ref()));
        set(Quantity::Drops, per_s(&mut self.drops, t_us, drops(sample).as_ref()));
        let memory = match &sample.kernel.program {
            Some(program) => Some(program.rss_bytes),
            None => headroom.map(Headroom::used_bytes),
        };
        set(Quantity::Memory, memory.map(|bytes| bytes as f64));
        self.push(now, values);
    }

    fn messages(&mut self, client: &EngineStats, echoed_bytes: u64, message: u64) -> Option<f64> {
        let bytes = per_s(&mut self.echoed_bytes, client.t_us, Some(&echoed_bytes))?;
        Some(bytes / message.max(1) as f64)
    }

    fn push(&mut self, now: &Now, values: [f64; QUANTITIES]) {
        self.first_ms.get_or_insert(now.t_ms);
        self.whole.push(now.t_ms, now.connections, values);
        let begins = std::mem::take(&mut self.broken);
        let point = Point::of(now.t_ms, now.connections, values, begins);
        match self.recent.last_mut() {
            Some(last) if !begins && point.t_ms - last.t_ms < APART_MS => last.merge(&point),
            _ => self.recent.push(point),
        }
        if self.recent.len() > RECENT + RECENT / 4 {
            self.recent.keep_newest(RECENT);
        }
    }

    /// The next sample does not continue the last.
    pub(super) fn gap(&mut self) {
        self.broken = true;
        self.whole.gap();
    }

    /// Since when everything has been held, milliseconds since the dashboard started.
    pub(super) fn held_since(&self) -> Option<u64> {
        self.held_since
    }

    /// First and last moment, milliseconds since the dashboard started.
    pub(super) fn span(&self) -> Option<(u64, u64)> {
        Some((self.first_ms?, whole(self.recent.last()?.t_ms)))
    }

    /// The points that reach back far enough, the finest there are.
    fn points(&self, from_ms: f64) -> &Shared<At> {
        match self.recent.first() {
            Some(first) if first.t_ms <= from_ms => &self.recent,
            // Until it is full the ring has everything.
            Some(first) if self.whole.points().first().is_none_or(|p| p.t_ms >= first.t_ms) => &self.recent,
            _ => self.whole.points(),
        }
    }

    /// A quantity in `columns` equal steps from one moment to another: the most within each, between points on a straight line;
    /// NaN where nothing is known.
    pub(super) fn columns(&self, quantity: Quantity, (from_ms, to_ms): (u64, u64), columns: usize) -> Vec<f64> {
        let (from, to) = (from_ms as f64, to_ms as f64);
        let points = self.points(from);
        let step = ((to - from) / columns.max(1) as f64).max(1.0);
        let column = |c: usize| {
            let (low, high) = (from + step * c as f64, from + step * (c + 1) as f64);
            let (first, end) = (points.partition_point(|p| p.t_ms < low), points.partition_point(|p| p.t_ms < high));
            let inside = points.range(first, end).map(|p| value(p, quantity)).filter(|v| !v.is_nan());
            let between = || match (first.checked_sub(1).and_then(|i| points.get(i)), points.get(first)) {
                (Some(a), Some(b)) if !b.begins() => {
                    let (y0, y1) = (value(a, quantity), value(b, quantity));
                    y0 + (y1 - y0) * ((low - a.t_ms) / (b.t_ms - a.t_ms).max(1.0))
                }
                // The newest holds until the next is due.
                (Some(a), None) if high - a.t_ms <= step + 2.0 * APART_MS => value(a, quantity),
                _ => f64::NAN,
            };
            inside.reduce(f64::max).unwrap_or_else(between)
        };
        (0..columns).map(column).collect()
    }

    /// A quantity at one moment: that of the last point before it.
    pub(super) fn at(&self, quantity: Quantity, t_ms: u64) -> Option<f64> {
        let points = self.points(t_ms as f64);
        let end = points.partition_point(|p| p.t_ms <= t_ms as f64);
        let found = value(points.get(end.saturating_sub(1))?, quantity);
        (!found.is_nan()).then_some(found)
    }

    /// How memory has moved since everything is held, by least squares over the last minutes; `None` before there is enough.
    pub(super) fn drift(&self) -> Option<Drift> {
        let since = self.held_since? as f64;
        let points: Vec<(f64, f64)> = self
            .recent
            .iter()
            .filter(|p| p.t_ms >= since)
            .map(|p| (p.t_ms, value(p, Quantity::Memory)))
            .filter(|p| !p.1.is_nan())
            .collect();
        let (first, last) = (points.first()?, points.last()?);
        let n = points.len() as f64;
        if last.0 - first.0 < LEAST_DRIFT_MS || points.len() < 5 {
            return None;
        }
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
        let (t, y) = (mean(|p| p.0), mean(|p| p.1));
        let tt: f64 = points.iter().map(|p| (p.0 - t).powi(2)).sum();
        let slope = points.iter().map(|p| (p.0 - t) * (p.1 - y)).sum::<f64>() / tt;
        let rest: f64 = points.iter().map(|p| (p.1 - y - slope * (p.0 - t)).powi(2)).sum();
        let error = (rest / (n - 2.0) / tt).sqrt();
        let over_ms = whole(last.0 - first.0);
        Some(Drift { bytes_per_min: slope * 60_000.0, spread: error * 60_000.0, over_ms })
    }
}

fn value(point: &At, quantity: Quantity) -> f64 {
    match quantity {
        Quantity::Connections => point.connections,
        other => point.value(other as usize),
    }
}

/// Per second, of a counter that may not be there.
fn per_s(rate: &mut Rate, t_us: u64, counter: Option<&u64>) -> Option<f64> {
    rate.add(t_us, *counter?);
    rate.per_s().map(|n| n.max(0.0))
}

/// What an engine takes of one core in user mode and, where that is told, in the kernel.
fn cpu([all, system]: &mut Cpu, sample: &Sample, role: Role) -> Option<(f64, Option<f64>)> {
    let engine = sample.living().find(|w| w.role() == Some(role))?;
    let stats = engine.stats()?;
    let share = |us: f64| us / 1e6;
    let of_system = per_s(system, stats.t_us, engine.system_us.as_ref().ok()).map(share);
    let of_all = share(per_s(all, stats.t_us, Some(&stats.cpu_us))?);
    Some(match of_system {
        Some(system) => ((of_all - system).max(0.0), Some(system.min(of_all))),
        None => (of_all, None),
    })
}

/// Packets and connections that the kernel dropped because a queue or a table was full.
fn drops(sample: &Sample) -> Option<u64> {
    let net = &sample.kernel.net;
    let ext = net.ext.as_ref().ok()?;
    let softnet = sample.kernel.host.softnet.as_ref().map_or(0, |s| s.dropped);
    let conntrack = net.conntrack.as_ref().ok().and_then(|c| c.drop).unwrap_or(0);
    Some(ext.listen_drops + ext.req_q_full_drop + ext.backlog_drop + ext.rcv_pruned + softnet + conntrack)
}

#[cfg(test)]
mod tests {
    use super::super::synthetic;
    use super::*;

    fn holding(t_ms: u64, memory: u64) -> (Now, Headroom) {
        let now = Now { t_ms, phase: RunPhase::Holding, connections: 1000, ..Now::default() };
        (now, Headroom { capacity_bytes: 1 << 34, bytes: (1 << 34) - memory, ..Headroom::default() })
    }

    #[test]
    fn a_long_run_stays_bounded_and_a_short_peak_is_seen() {
        let mut line = Timeline::default();
        for i in 0..20_000_u64 {
            let (mut now, headroom) = holding(i * 1000, 1 << 30);
            now.opened_per_s = Some(if i == 19_900 { 500.0 } else { 1.0 });
            line.update(&synthetic::host_only(i * 1000), &now, Some(headroom), None);
        }
        assert!(line.recent.len() <= RECENT + RECENT / 4 && line.whole.points().len() <= 600);
        let (from, to) = (19_700_000, 20_000_000);
        for columns in [7, 30, 200] {
            let drawn = line.columns(Quantity::Opened, (from, to), columns);
            assert_eq!((drawn.len(), drawn.iter().fold(0.0_f64, |a, b| a.max(*b))), (columns, 500.0));
        }
        assert_eq!(line.at(Quantity::Opened, 19_900_400), Some(500.0));
        assert_eq!(line.at(Quantity::Opened, 19_901_000), Some(1.0));
        assert_eq!(line.span(), Some((0, 19_999_000)), "the beginning can be reached, however long the run");
        assert!(line.columns(Quantity::Opened, (0, to), 100).iter().all(|v| *v >= 1.0), "the whole run, in means");
    }

    #[test]
    fn what_is_not_known_is_no_zero() {
        let mut line = Timeline::default();
        for i in 0..10_u64 {
            if i == 5 {
                line.gap();
            }
            let t_ms = i * 1000 + if i >= 5 { 20_000 } else { 0 };
            line.update(&synthetic::host_only(t_ms), &Now { t_ms, ..Now::default() }, None, Some(0.5));
        }
        let drawn = line.columns(Quantity::Program, (0, 30_000), 30);
        assert!(drawn[15].is_nan() && drawn[2] > 0.0 && drawn[27] > 0.0, "{drawn:?}");
        assert_eq!(line.at(Quantity::EchoP99, 3000), None);
    }

    #[test]
    fn memory_that_rises_at_hold_is_a_drift() {
        let mut line = Timeline::default();
        for i in 0..120_u64 {
            let noise = i * 7919 % 100 * 1024;
            let (now, headroom) = holding(i * 1000, (1 << 30) + i * (1 << 20) + noise);
            line.update(&synthetic::host_only(i * 1000), &now, Some(headroom), None);
            assert!(i >= 20 || line.drift().is_none(), "{i}");
        }
        let drift = line.drift().unwrap();
        let mib = f64::from(1 << 20);
        assert!((drift.bytes_per_min / mib - 60.0).abs() < 1.0 && drift.rises(), "{drift:?}");
        let mut still = Timeline::default();
        for i in 0..120_u64 {
            let (now, headroom) = holding(i * 1000, (1 << 30) + i * 7919 % 100 * 1024);
            still.update(&synthetic::host_only(i * 1000), &now, Some(headroom), None);
        }
        assert!(!still.drift().unwrap().rises(), "{:?}", still.drift());
    }
}
