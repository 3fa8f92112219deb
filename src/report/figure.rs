//! The figures of a run that are compared: each knows how it is written, which way is better, and how far it moves by itself.

use serde::Serialize;

use super::facts::{Facts, Point};
use crate::limits::LimitState;
use crate::units::{fine_time, grouped, seconds, short_count, whole};

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// The less the better.
    Less,
    /// The more the better.
    More,
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Connections.
    Connections,
    /// Bytes.
    Bytes,
    /// Connections a second.
    PerSecond,
    /// Microseconds.
    Microseconds,
    /// Seconds.
    Seconds,
    /// Hundredths.
    Percent,
}

impl Unit {
    /// A number of it, for people.
    pub fn write(self, n: f64) -> String {
        let count = || grouped(whole(n.round()));
        match self {
            Unit::Connections => count(),
            Unit::Bytes if n >= 1e6 => crate::units::bytes(whole(n)),
            Unit::Bytes if n < 100.0 => format!("{n:.1} B"),
            Unit::Bytes => count() + " B",
            Unit::PerSecond => count() + "/s",
            Unit::Microseconds => fine_time(n),
            Unit::Seconds if n < 100.0 => format!("{n:.1} s"),
            Unit::Seconds => seconds(n),
            Unit::Percent => format!("{n:.1} %"),
        }
    }
}

/// What a figure moves by itself from run to run, where nothing in the run tells: a share of it, and at least so much. Found from
/// twenty equal runs of 100,000 connections, in a row, on a machine whose cores others used too: `docs/compare.md` has the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Floor {
    share: f64,
    least: f64,
}

impl Floor {
    /// Of this value.
    pub fn of(self, value: f64) -> f64 {
        (self.share * value.abs()).max(self.least)
    }
}

const MIB: f64 = 1024.0 * 1024.0;
const COUNT: Floor = Floor { share: 0.005, least: 1.0 };
const FORECAST: Floor = Floor { share: 0.08, least: 100.0 };
const COST: Floor = Floor { share: 0.02, least: 16.0 };
const CACHE: Floor = Floor { share: 0.05, least: 32.0 };
const USER: Floor = Floor { share: 0.10, least: 24.0 };
const MEMORY: Floor = Floor { share: 0.04, least: 24.0 * MIB };
const RATE: Floor = Floor { share: 0.30, least: 50.0 };
const CPU: Floor = Floor { share: 0.25, least: 2.0 };
const LATENCY: Floor = Floor { share: 0.70, least: 300.0 };
const TIME: Floor = Floor { share: 0.30, least: 0.5 };
const ERROR: Floor = Floor { share: 0.5, least: 20.0 };

/// Bytes that caches gave or took between equal runs though their objects were the same: slabs that an earlier run has left half
/// empty are filled first. Whatever a connection is said to cost is known to this, divided by the connections.
const LEFT_OVER: f64 = 8.0 * MIB;

/// One figure of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its name in JSON: `bytes_per_connection.total`, `rate`.
    pub key: String,
    /// For people.
    pub label: String,
    /// At so many connections; `None` is of the whole run.
    pub at: Option<u64>,
    /// What it counts.
    pub unit: Unit,
    /// Which way is better.
    pub better: Better,
    /// What it was.
    pub value: f64,
    /// Half width of its uncertainty as the run itself tells it.
    pub spread: f64,
    /// What it moves by itself.
    pub floor: Floor,
    /// A word to go with it: which limit.
    pub word: Option<String>,
}

/// Counts at which runs are held against each other.
const LEVELS: [u64; 10] =
    [1_000, 10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000];
/// Lower ones are left out: what a run does in its first moments is its start, and few samples see it.
const LEAST_SHARE: u64 = 20;

/// The levels for runs that came so far.
pub fn levels(peaks: &[u64]) -> Vec<u64> {
    let most = peaks.iter().copied().max().unwrap_or(0);
    LEVELS.into_iter().filter(|level| (most / LEAST_SHARE..=most).contains(level)).collect()
}

/// Every figure of a run that is known, those of the whole run first, then level by level.
pub fn figures(facts: &Facts, levels: &[u64]) -> Vec<Figure> {
    let mut list = List(Vec::new());
    let rising = facts.rising();
    let pace = Pace::of(&rising);
    whole_run(facts, pace, &mut list);
    for level in levels {
        at_level(facts, &rising, *level, pace, &mut list);
    }
    list.0.retain(|figure| figure.value.is_finite());
    list.0
}

struct List(Vec<Figure>);

impl List {
    fn add(&mut self, key: &str, label: &str, unit: Unit, better: Better, floor: Floor, value: Option<f64>) {
        self.0.extend(value.map(|value| Figure {
            key: key.to_owned(),
            label: label.to_owned(),
            at: None,
            unit,
            better,
            value,
            spread: 0.0,
            floor,
            word: None,
        }));
    }

    /// The same as the last one, known so far.
    fn within(&mut self, spread: f64) {
        if let Some(last) = self.0.last_mut() {
            last.spread = spread;
        }
    }

    /// The same to a share of it.
    fn within_share(&mut self, share: f64) {
        if let Some(last) = self.0.last_mut() {
            last.spread = share * last.value.abs();
        }
    }
}

/// How steadily a run went up: what others do to its cores shows in it. Shares of the mean.
#[derive(Debug, Clone, Copy)]
struct Pace {
    rate: f64,
    cpu: f64,
}

impl Pace {
    fn of(rising: &[&Point]) -> Self {
        let rates: Vec<f64> = rising.iter().map(|p| p.rate).filter(|rate| *rate > 0.0).collect();
        let each = |p: &[&Point]| {
            let more = (p[1].connections - p[0].connections) as f64;
            (p[1].cpu_us - p[0].cpu_us) / more
        };
        let cpu: Vec<f64> = rising.windows(2).map(each).filter(|us| us.is_finite()).collect();
        let rate = scatter(rates);
        // Whoever takes the cores leaves the caches cold too.
        Self { rate: 2.0 * rate, cpu: (2.0 * scatter(cpu)).max(rate) }
    }
}

/// The standard deviation as a share of the median, told from the quartiles: what begins and ends is no scatter. 0 of too few.
fn scatter(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let at = |share: usize| values[values.len() * share / 4];
    if values.len() < 4 || at(2) <= 0.0 { 0.0 } else { (at(3) - at(1)) / 1.35 / at(2) }
}

fn whole_run(facts: &Facts, pace: Pace, list: &mut List) {
    use Better::{Less, More};
    list.add("held", "held at once", Unit::Connections, More, COUNT, Some(facts.peak as f64));
    if let Some(limit) = facts.nearest() {
        let met = limit.state == LimitState::Hit;
        let at = if met { Some(facts.peak) } else { limit.forecast.connections() };
        if let Some(at) = at {
            let doubt = if met { 0 } else { limit.forecast.plus_minus().unwrap_or(0) };
            list.add("first_limit", "first limit", Unit::Connections, More, FORECAST, Some(at as f64));
            list.within(doubt as f64);
            if let Some(last) = list.0.last_mut() {
                last.word = Some(limit.info.name_of(&limit.scope));
            }
        }
        list.add("forecast_error", "its forecast was off by", Unit::Percent, Less, ERROR, forecast_error(facts));
    }
    let cost = &facts.cost;
    let objects = &cost.objects;
    let doubt = LEFT_OVER / (facts.peak.max(1) as f64) + bent(facts);
    for (key, label, slope, floor) in [
        ("bytes_per_connection.total", "memory per connection", cost.total, COST),
        ("bytes_per_connection.kernel", "  the kernel's", cost.kernel, COST),
        ("bytes_per_connection.server_user", "  the server's own", cost.server_user, USER),
        ("bytes_per_connection.client_user", "  the client's own", cost.client_user, USER),
        ("bytes_per_connection.user", "  the program's own", cost.user, USER),
    ] {
        list.add(key, label, Unit::Bytes, Less, floor, slope.map(|s| s.per_connection.max(0.0)));
        if let Some(slope) = slope {
            list.within(2.0 * slope.spread);
            if !key.ends_with("user") {
                list.within(doubt.max(2.0 * slope.spread));
            }
        }
    }
    for (name, bytes) in &cost.slab {
        let key = format!("bytes_per_connection.slab.{name}");
        list.add(&key, &format!("    {name}"), Unit::Bytes, Less, CACHE, Some(*bytes));
        let by_size = objects.iter().find(|object| object.0 == *name).map(|object| object.1);
        list.within(LEFT_OVER / (facts.peak.max(1) as f64) + by_size.map_or(0.0, |size| beyond(*bytes, size)));
    }
    let Some(summary) = &facts.summary else { return };
    list.add("time_to_peak", "time to the highest count", Unit::Seconds, Less, TIME, summary.time_to_peak_s);
    list.within_share(pace.rate);
    list.add("rate", "rate to it, mean", Unit::PerSecond, More, RATE, summary.mean_rate_per_s);
    list.within_share(pace.rate);
    let cpu = summary.cpu_us_per_connection;
    list.add("cpu_us_per_connection", "CPU per connection", Unit::Microseconds, Less, CPU, cpu);
    list.within_share(pace.cpu);
    for (key, what, latency) in [("connect", "connect", summary.connect), ("handshake", "handshake", summary.handshake)]
    {
        let p99 = latency.map(|l| l.p99_us as f64);
        list.add(&format!("{key}.p99_us"), &format!("{what}, p99"), Unit::Microseconds, Less, LATENCY, p99);
        list.within_share(pace.rate);
    }
    if let Some(traffic) = facts.traffic() {
        for (key, label, us) in
            [("echo.p50_us", "echo, median", traffic.echo.p50_us), ("echo.p99_us", "echo, p99", traffic.echo.p99_us)]
        {
            list.add(key, label, Unit::Microseconds, Less, LATENCY, Some(us as f64));
        }
    }
}

/// How far what the slab grew by is below what the objects of a connection's sockets take, bytes per connection: who has closed many
/// sockets before leaves slabs half empty, which are filled first, and then a connection seems to cost less, down to nothing.
fn bent(facts: &Facts) -> f64 {
    let by_size: f64 = facts.cost.objects.iter().map(|object| object.1).sum();
    facts.cost.kernel.filter(|_| by_size > 0.0).map_or(0.0, |kernel| beyond(kernel.per_connection, by_size))
}

/// How far a cost is below what the sizes of its objects are, with a tenth on top; 0 up to 3 % of it, which is usual. What is more
/// than the sizes is no doubt: something is taken that was not.
fn beyond(grown: f64, by_size: f64) -> f64 {
    let short = by_size - grown;
    if short > 0.03 * by_size { 1.1 * short } else { 0.0 }
}

/// How far the forecast of the limit that comes first was off half way to the highest count, held against what came (it was met
/// there) or what is known at the end, percent.
fn forecast_error(facts: &Facts) -> Option<f64> {
    let limit = facts.nearest()?;
    let came = if limit.state == LimitState::Hit { facts.peak } else { limit.forecast.connections()? } as f64;
    let half = facts.peak / 2;
    // Both engines may have a limit of this name: the nearest forecast of those at that time is the one that was shown.
    let before = facts.forecasts(limit).filter(|line| line.at_connections <= half.max(1));
    let last = before.last().or_else(|| facts.forecasts(limit).next())?;
    let of_then = facts.forecasts(limit).filter(|line| line.at_connections == last.at_connections);
    let predicted = of_then.map(|line| line.predicted_connections).min()? as f64;
    (came > 0.0).then(|| (predicted - came).abs() / came * 100.0)
}

/// A level that is less than this part of the way belongs to the start of a run, whose times are no measure.
const START: u64 = 5;

fn at_level(facts: &Facts, rising: &[&Point], level: u64, pace: Pace, list: &mut List) {
    use Better::{Less, More};
    if facts.peak < level {
        return;
    }
    let value = |of: fn(&Point) -> f64| at(rising, level, of).map(|found| found.0);
    let first = list.0.len();
    let n = level as f64;
    // What is known at the same count later is known of that count: the caches are read seldom in a fast ramp.
    let known: Vec<&Point> = facts.highest().into_iter().filter(|p| !p.own_memory.is_nan()).collect();
    let measured = known.first().filter(|p| p.connections < level / 10).and_then(|_| {
        let (then, apart) = at(&known, level, |p| p.own_memory)?;
        // What lies between two readings is a guess.
        Some((then, apart / 8.0))
    });
    let by_slope = || facts.cost.total.map(|slope| (slope.per_connection * n, 2.0 * slope.spread * n));
    if let Some((bytes, doubt)) = measured.or_else(by_slope) {
        list.add("memory", "memory taken", Unit::Bytes, Less, MEMORY, Some(bytes).filter(|bytes| *bytes > 0.0));
        // Half-empty slabs are filled first: all of them count at every level.
        list.within(doubt + bent(facts) * facts.peak as f64 + offset(facts, &known));
    }
    if level >= facts.peak / START {
        let cpu = value(|p| p.cpu_us).map(|us| us / n);
        list.add("cpu_us_per_connection", "CPU per connection", Unit::Microseconds, Less, CPU, cpu);
        list.within_share(pace.cpu);
        let rate = value(|p| p.ramp_s).filter(|s| *s > 0.0).map(|s| n / s);
        list.add("rate", "rate to here, mean", Unit::PerSecond, More, RATE, rate);
        list.within_share(pace.rate);
        for (key, label, p99) in [
            ("connect.p99_us", "connect, p99", value(|p| p.connect_p99)),
            ("handshake.p99_us", "handshake, p99", value(|p| p.handshake_p99)),
        ] {
            list.add(key, label, Unit::Microseconds, Less, LATENCY, p99);
            list.within_share(pace.rate);
        }
    }
    for figure in &mut list.0[first..] {
        figure.at = Some(level);
    }
}

/// How far what was taken in the end is from what the slope says, bytes: what was not this run's, before or after it.
fn offset(facts: &Facts, known: &[&Point]) -> f64 {
    let each = facts.cost.total.map(|slope| slope.per_connection);
    let last = known.last().filter(|last| last.connections > 0);
    last.zip(each).map_or(0.0, |(last, each)| (each * last.connections as f64 - last.own_memory).abs())
}

/// What a value was at so many connections, on a straight line between the samples around it, and how far those are apart.
fn at(rising: &[&Point], level: u64, of: fn(&Point) -> f64) -> Option<(f64, f64)> {
    let known = |point: &&&Point| !of(point).is_nan();
    let above = rising.iter().filter(known).find(|p| p.connections >= level)?;
    let Some(below) = rising.iter().filter(known).rfind(|p| p.connections <= level) else {
        return Some((of(above), 0.0));
    };
    let span = (above.connections - below.connections) as f64;
    let share = if span > 0.0 { (level - below.connections) as f64 / span } else { 0.0 };
    Some((of(below) + (of(above) - of(below)) * share, (of(above) - of(below)).abs()))
}

/// `100 k`: a level as a heading says it.
pub fn level_text(level: u64) -> String {
    short_count(level).replace(".00", "").replace(".0", "")
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;

    #[test]
    fn figures_are_those_of_the_run() {
        let facts = facts(200_000);
        let figures = figures(&facts, &levels(&[facts.peak]));
        let figure = |key: &str, at: Option<u64>| figures.iter().find(|f| f.key == key && f.at == at).unwrap();
        assert_eq!(whole(figure("held", None).value), 200_000);
        let total = figure("bytes_per_connection.total", None);
        assert!((total.value / 8128.0 - 1.0).abs() < 0.02, "{total:?}");
        let memory = figure("memory", Some(100_000));
        assert!((memory.value / 812_800_000.0 - 1.0).abs() < 0.02, "{memory:?}");
        assert_eq!(whole(figure("cpu_us_per_connection", Some(50_000)).value.round()), 20);
        let rate = figure("rate", Some(100_000));
        assert!((rate.value / 50_000.0 - 1.0).abs() < 0.05, "{rate:?}");
        assert!(figure("forecast_error", None).value < 5.0);
        assert_eq!(
            figure("first_limit", None).word.as_deref(),
            facts.nearest().map(|l| l.info.name_of(&l.scope)).as_deref()
        );
        assert_eq!(whole(figure("connect.p99_us", Some(100_000)).value), 4000);
    }

    #[test]
    fn what_begins_and_ends_is_no_scatter() {
        assert!(scatter(vec![1.0, 50.0, 50.0, 50.0, 50.0, 50.0, 50.0, 3.0]) < 1e-9);
        assert!(scatter(vec![10.0, 90.0, 20.0, 80.0, 30.0, 70.0]) > 0.5);
        assert!(scatter(vec![10.0, 90.0]) < 1e-9, "too few to tell");
    }

    #[test]
    fn levels_are_the_highest_that_were_reached() {
        assert_eq!(levels(&[30_000, 120_000]), [10_000, 50_000, 100_000]);
        assert_eq!(levels(&[1_000_000]), [50_000, 100_000, 250_000, 500_000, 1_000_000]);
        assert_eq!(levels(&[999]), [0_u64; 0]);
        assert_eq!([50_000, 100_000, 1_000_000, 500].map(level_text), ["50 k", "100 k", "1 M", "500"]);
    }
}
