//! What the memory chart shows, from the history and the limits.

use crate::limits::{Forecast, Headroom, Limit, LimitState, Oom, Unit, chains, charge, per_connection, tightest};
use crate::sample::Sample;
use crate::units;

use super::chart::{Chart, Curve, Line, LineAt, Range, XAxis, Zone, ZoneKind};
use super::now::Now;
use super::series::{Point, Series};
use super::slope::Slope;
use crate::units::whole;

/// Positions in a [`Point`]'s values.
const MEMORY: usize = 0;
const SLAB: usize = 1;
const GROUP: usize = 2;
/// How many there are.
const VALUES: usize = 3;

/// Unless somebody chose, the axes reach to the first limit when it is at most so many times beyond target and count.
const IN_SIGHT: f64 = 10.0;
/// However far the axes are to reach, what has been measured can still be seen.
const FARTHEST: f64 = 20.0;
/// The memory line is drawn to scale when it is at most this many times what the run will need.
const TO_SCALE: f64 = 4.0;
/// The same where the limits are what is looked at.
const TO_SCALE_OF_LIMITS: f64 = 8.0;
/// Above all the memory that there is: room for the zone where the kernel kills.
const SLIGHTLY_MORE: f64 = 1.08;
/// Memory beyond all that there is needs no more room than this.
const BEYOND: f64 = 1.25;

/// What is known of the moment, besides the history.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// What holds now.
    pub now: &'a Now,
    /// The limits, nearest first.
    pub limits: &'a [Limit],
    /// Real headroom.
    pub headroom: Option<Headroom>,
    /// Bytes that the machine loses per connection.
    pub total: Option<Slope>,
    /// Bytes that the tightest cgroup is charged per connection.
    pub charged: Option<Slope>,
    /// Whether a connection has both its ends here.
    pub both_ends: bool,
    /// The name of the program that is watched, where it is no engine: the chart is of its own memory.
    pub program: Option<&'a str>,
    /// Share of a limit's room up to which the guard lets the ramp go.
    pub guard_share: f64,
}

impl View<'_> {
    fn nearest(&self) -> Option<&Limit> {
        self.limits.first().filter(|l| l.state == LimitState::Hit || l.forecast.connections().is_some())
    }

    /// The cgroup's row when it comes before the machine's memory.
    fn group(&self) -> Option<&Limit> {
        let at = |oom: Oom| {
            let row = self.limits.iter().find(|l| l.info.oom == Some(oom) && l.limit.is_some())?;
            // A limit that was hit comes first whatever was forecast.
            let hit = row.state == LimitState::Hit;
            Some((row, if hit { 0 } else { row.forecast.connections().unwrap_or(u64::MAX) }))
        };
        let (group, first) = at(Oom::Cgroup)?;
        let memory = at(Oom::Machine).map_or(u64::MAX, |m| m.1);
        (first < memory).then_some(group)
    }

    /// Where the first limit comes, connections.
    fn first(&self) -> Option<f64> {
        self.nearest()?.forecast.connections().map(|n| n as f64)
    }

    /// All the memory that there is: the tightest cgroup's where that comes first. `None` where what is drawn is not bounded
    /// by it.
    fn capacity(&self) -> Option<f64> {
        if self.program.is_some() {
            return None;
        }
        let group = self.group().and_then(|g| g.limit);
        group.or(self.headroom.map(|h| h.capacity_bytes)).map(|bytes| bytes as f64)
    }

    /// How far the axes reach unless somebody chooses.
    fn usual_range(&self, peak: u64) -> Range {
        match self.first() {
            Some(first) if first <= IN_SIGHT * self.aim(peak) => Range::FirstLimit,
            _ => Range::Target,
        }
    }

    /// Target or count, whichever is more.
    fn aim(&self, peak: u64) -> f64 {
        self.now.target.unwrap_or(0).max(peak).max(1) as f64
    }
}

/// Points over time and over connections, and axes that do not crawl.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    by_time: Series<VALUES>,
    /// Only the rising part: on the way back the curve would be drawn over itself, elsewhere.
    rising: Series<VALUES>,
    peak: Option<u64>,
    /// The newest point of the rising part, and of all, unmerged.
    top: Option<(f64, [f64; VALUES])>,
    last: Option<(f64, [f64; VALUES])>,
    first_ms: Option<u64>,
    slab_at_start: Option<u64>,
    with_slabinfo: bool,
    /// Largest value of each quantity.
    highest: [f64; VALUES],
    /// What the tightest cgroup was charged at the start.
    group_at_start: Option<f64>,
    /// By [`Range`].
    x_connections: [Axis; 4],
    x_seconds: Axis,
    y: [Axis; 4],
}

impl History {
    /// Takes a sample.
    pub(super) fn update(&mut self, sample: &Sample, view: &View<'_>) {
        let values = match &sample.kernel.program {
            Some(program) => [program.rss_bytes as f64, f64::NAN, f64::NAN],
            None => self.values(sample, view.headroom),
        };
        if !values[GROUP].is_nan() {
            self.group_at_start.get_or_insert(values[GROUP]);
        }
        for (highest, value) in self.highest.iter_mut().zip(values) {
            *highest = highest.max(value);
        }
        let connections = view.now.connections;
        self.first_ms.get_or_insert(sample.t_ms);
        self.last = Some((sample.t_ms as f64 / 1000.0, values));
        self.by_time.push(sample.t_ms, connections, values);
        if self.peak.is_none_or(|p| connections > p) {
            self.peak = Some(connections);
            self.top = Some((connections as f64, values));
            self.rising.push(sample.t_ms, connections, values);
        } else if self.peak == Some(connections) && !sample.kernel.host.slab_is_old {
            // What is read at a pace comes after the count that it belongs to.
            self.rising.settle(SLAB, values[SLAB]);
        }
        self.fit(view);
    }

    /// The next sample does not continue the last.
    pub(super) fn gap(&mut self) {
        self.by_time.gap();
        self.rising.gap();
    }

    /// Connections are counted anew: the curve over them starts over.
    pub(super) fn restart(&mut self) {
        self.rising = Series::default();
        self.x_connections = <[Axis; 4]>::default();
        (self.peak, self.top) = (None, None);
    }

    fn values(&mut self, sample: &Sample, headroom: Option<Headroom>) -> [f64; VALUES] {
        let slab = match &sample.kernel.host.slab {
            Ok(caches) => {
                self.with_slabinfo = true;
                let bytes = caches.iter().map(|c| c.bytes).sum::<u64>();
                // That of the start says nothing of the sockets that have been opened since.
                Some(bytes).filter(|bytes| !sample.kernel.host.slab_is_old || self.slab_at_start != Some(*bytes))
            }
            Err(_) => sample.kernel.host.mem.as_ref().ok().map(|m| m.slab),
        };
        let grown = slab.map(|bytes| bytes.saturating_sub(*self.slab_at_start.get_or_insert(bytes)));
        let group = tightest(chains(sample)).first().map(|g| charge(g));
        let number = |n: Option<u64>| n.map_or(f64::NAN, |n| n as f64);
        [number(headroom.map(Headroom::used_bytes)), number(grown), number(group)]
    }

    /// Fits the axes of every range to data, target, and limits.
    fn fit(&mut self, view: &View<'_>) {
        let peak = self.peak.unwrap_or(0);
        let aim = view.aim(peak);
        let seconds = self.last.map_or(0.0, |l| l.0);
        self.x_seconds.fit((seconds + view.now.eta_s.unwrap_or(0.0)).max(10.0), 10.0);
        let slope = match view.group() {
            Some(_) if view.program.is_none() => view.charged.or(view.total),
            _ => view.total,
        };
        let none = if view.program.is_some() { 0.0 } else { per_connection(view.both_ends) };
        let cost = slope.map_or(none, |s| s.per_connection);
        let measured = if view.group().is_some() && view.program.is_none() { GROUP } else { MEMORY };
        let (top, highest) = (self.top.map_or(f64::NAN, |t| t.1[measured]), self.highest[measured]);
        let highest = highest.max(self.highest[SLAB]);
        for (i, range) in Range::ALL.into_iter().enumerate() {
            let x = match range {
                Range::Data => peak.max(1) as f64,
                Range::Target => aim,
                Range::FirstLimit => view.first().map_or(aim, |first| first * 1.04).max(aim),
                Range::Everything => {
                    let all = view.limits.iter().filter_map(|l| l.forecast.connections()).map(|n| n as f64);
                    all.filter(|n| *n <= FARTHEST * aim).fold(view.first().unwrap_or(aim).max(aim), f64::max) * 1.04
                }
            };
            self.x_connections[i].fit(x, 10.0);
            // NaN where nothing has been measured yet: then it is the highest that counts.
            let need = highest.max(top + cost * (x - peak as f64));
            let y = match (range, view.capacity()) {
                (Range::Data, _) => highest * 1.05,
                (_, None) => need * 1.05,
                (Range::Target, Some(all)) if all > TO_SCALE * need => need * 1.05,
                (Range::FirstLimit, Some(all)) if all > TO_SCALE_OF_LIMITS * need => need * 1.05,
                (_, Some(all)) => need.min(BEYOND * all).max(all * SLIGHTLY_MORE),
            };
            let unit = 1024_f64.powf(y.max(1.0).log(1024.0).floor());
            match view.capacity() {
                // All that there is does not change, so that an axis that ends just above it stays.
                Some(all) if (y / all - SLIGHTLY_MORE).abs() < 1e-9 => self.y[i].high = y,
                _ => self.y[i].fit_in(y.max(highest), unit),
            }
        }
    }

    /// The chart over `x`, as far as `range` says or is usual.
    pub(super) fn chart(&self, x: XAxis, range: Option<Range>, view: &View<'_>) -> Chart {
        let range = range.unwrap_or_else(|| view.usual_range(self.peak.unwrap_or(0)));
        let (x_high, y_high) = (self.x_connections[range as usize].high, self.y[range as usize].high);
        let (series, bounds) = match x {
            XAxis::Connections => (&self.rising, (0.0, x_high)),
            XAxis::Time => (&self.by_time, (self.first_ms.map_or(0.0, |t| (t / 1000) as f64), self.x_seconds.high)),
        };
        let curve = |label, value: usize| {
            let at = |p: &Point<VALUES>| {
                let x = match x {
                    XAxis::Connections => p.connections,
                    XAxis::Time => p.t_ms / 1000.0,
                };
                (!p.value(value).is_nan()).then_some((x, p.value(value)))
            };
            Curve { label, segments: series.segments(at) }
        };
        let slab = if self.with_slabinfo { "socket slab" } else { "kernel slab" };
        let memory = if view.program.is_some() { "resident memory" } else { "memory in use" };
        let mut curves = vec![curve(memory, MEMORY), curve(slab, SLAB)];
        if view.group().is_some() {
            curves.insert(0, curve("cgroup charge", GROUP));
        }
        curves.retain(|c| !c.segments.is_empty());
        let (forecast, band) = self.forecast(x, view).unzip();
        Chart {
            x,
            of: view.program.map(ToOwned::to_owned),
            curves,
            lines: Self::lines(x, (x_high, y_high), view),
            zones: self.zones(view),
            range: Some(range),
            target: view.now.target,
            forecast,
            band: band.unwrap_or(0.0),
            x_bounds: bounds,
            y_bounds: (0.0, y_high),
        }
    }

    /// Where the guard begins to hold, and where the kernel kills.
    fn zones(&self, view: &View<'_>) -> Vec<Zone> {
        let Some(all) = view.capacity() else { return Vec::new() };
        let room = match view.group() {
            Some(_) => all - self.group_at_start.unwrap_or(0.0),
            None => view.headroom.map_or(0.0, |h| h.at_start_bytes as f64),
        };
        let guard = all - room * (1.0 - view.guard_share);
        let zone = |kind, from, to| Zone { kind, from, to };
        let mut zones = vec![
            zone(ZoneKind::Safe, 0.0, guard),
            zone(ZoneKind::Guard, guard, all),
            zone(ZoneKind::Oom, all, f64::INFINITY),
        ];
        zones.retain(|zone| zone.from < zone.to);
        zones
    }

    fn lines(x: XAxis, (x_high, y_high): (f64, f64), view: &View<'_>) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        let mut drawn = Vec::new();
        let nearest = view.nearest();
        let is_nearest = |limit: &Limit| nearest.is_some_and(|n| n.info.id == limit.info.id && n.scope == limit.scope);
        for limit in view.limits {
            let at = match (limit.info.oom, limit.unit, limit.limit) {
                // Those bound more than what is drawn.
                (Some(_), ..) if view.program.is_some() => continue,
                (Some(Oom::Machine), _, Some(bytes)) => LineAt::Bytes(bytes as f64),
                (Some(Oom::Cgroup), _, Some(bytes)) if view.group().is_some_and(|g| g.scope == limit.scope) => {
                    LineAt::Bytes(bytes as f64)
                }
                (_, Unit::Count | Unit::BitsPerSecond | Unit::PerSecond, _) if x == XAxis::Connections => {
                    match limit.forecast.connections() {
                        Some(count) if count as f64 <= x_high => LineAt::Connections(count as f64),
                        _ => continue,
                    }
                }
                _ => continue,
            };
            let label = match at {
                LineAt::Bytes(bytes) => {
                    let name = limit.short_name();
                    let above = if bytes > y_high { ", above" } else { "" };
                    format!("{name} {}{above}", units::bytes(whole(bytes)))
                }
                LineAt::Connections(count) => format!("{} at {}", limit.short_name(), units::short_count(whole(count))),
            };
            // Both engines meet their open-file limits at about the same count: the first of them says it.
            let again = !is_nearest(limit) && drawn.contains(&limit.info.id);
            if !again && !lines.iter().any(|l| l.label == label) {
                drawn.push(limit.info.id);
                lines.push(Line { label, at, nearest: is_nearest(limit) });
            }
        }
        lines
    }

    /// The slope carried on from the newest point to the limit that comes first, and how far it may be off there.
    fn forecast(&self, x: XAxis, view: &View<'_>) -> Option<([(f64, f64); 2], f64)> {
        let limit = view.nearest()?;
        let Forecast::At { connections, seconds, .. } = limit.forecast else { return None };
        let (count, values) = self.top?;
        let (value, slope) = match view.group().filter(|_| view.program.is_none()) {
            Some(_) => (GROUP, view.charged?),
            None => (MEMORY, view.total?),
        };
        let ahead = connections as f64 - count;
        if ahead <= 0.0 || values[value].is_nan() {
            return None;
        }
        let there = values[value] + slope.per_connection * ahead;
        let band = slope.spread * ahead;
        let line = match x {
            XAxis::Connections => [(count, values[value]), (connections as f64, there)],
            XAxis::Time => {
                let (t, values) = self.last?;
                [(t, values[value]), (t + seconds?, there)]
            }
        };
        Some((line, band))
    }
}

/// The upper bound of an axis, in steps.
#[derive(Debug, Clone, Copy, Default)]
struct Axis {
    high: f64,
}

impl Axis {
    /// Covers `value`, in steps of powers of ten; stays where it is as long as that is neither too small nor far too large.
    fn fit(&mut self, value: f64, least: f64) {
        if value > self.high || value < 0.6 * self.high {
            self.high = nice(value.max(least));
        }
    }

    /// The same in multiples of a unit such as 1 GiB.
    fn fit_in(&mut self, value: f64, unit: f64) {
        if value.is_finite() && (value > self.high || value < 0.6 * self.high) {
            self.high = nice((value / unit).max(1.0)) * unit;
        }
    }
}

/// The next bound at or above `value` that ends on a tick, ticks being 1, 2 or 5 times a power of ten and at most six.
fn nice(value: f64) -> f64 {
    let rough = value / 6.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|s| s * power).find(|s| *s * 1.000_001 >= rough).unwrap_or(rough);
    ((value / step - 1e-6).ceil() * step).max(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_end_on_a_tick() {
        let rows = [
            (1_000_000.0, 1_000_000.0),
            (1_230_000.0, 1_500_000.0),
            (2_710_000.0, 3_000_000.0),
            (200_000.0, 200_000.0),
            (23.9, 25.0),
            (10.0, 10.0),
            (1.0, 1.0),
        ];
        for (value, want) in rows {
            assert!((nice(value) / want - 1.0_f64).abs() < 1e-9, "{value}: {}", nice(value));
        }
    }

    #[test]
    fn an_axis_does_not_crawl() {
        let mut axis = Axis::default();
        let mut changes = 0;
        for i in 1..=1000 {
            let before = axis.high;
            // A forecast that trembles by a percent.
            axis.fit(2_900_000.0 + f64::from(i % 3) * 30_000.0, 10.0);
            changes += usize::from((axis.high - before).abs() > 1.0);
        }
        assert_eq!(changes, 1);
    }
}
