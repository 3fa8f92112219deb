//! What a run is expected to have come to: `bytes_per_connection.total < 9000`, held against its summary.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::summary::{Expectation, LimitLine, MemberLine, ProcessLine, Summary, Verdict};
use super::{LimitState, Model, Unit};
use crate::limits::{LIMITS, LimitId};
use crate::protocol::{Latency, Traffic};
use crate::units::{self, grouped, parse_bytes, parse_count, parse_duration};

/// How two numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    Unequal,
}

/// As they are written; those of two characters first.
const COMPARISONS: [(&str, Comparison); 6] = [
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("==", Comparison::Equal),
    ("!=", Comparison::Unequal),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

/// One expectation: a key of the summary, and what its number has to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Expect {
    key: String,
    comparison: Comparison,
    number: f64,
    /// As it was written, with one space around the comparison.
    text: String,
}

/// For people, in a line.
impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.holds { "holds" } else { "FAILS" };
        match self.value {
            Some(value) => write!(f, "expect {}: {word}, it is {}", self.expect, number(value)),
            None => write!(f, "expect {}: {word}, this run has no such number", self.expect),
        }
    }
}

/// A number, with a fraction where it has one.
fn number(value: f64) -> String {
    if value.fract() == 0.0 && (0.0..1e15).contains(&value) {
        grouped(units::whole(value))
    } else {
        format!("{value:.3}")
    }
}

impl FromStr for Expect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' compares nothing; write a key of the summary and a number: 'bytes_per_connection.total < 9000'"
            )
        };
        // The comparison that comes first, and of two at the same place the longer.
        let at = |(sign, _): &&(&str, Comparison)| text.find(sign).unwrap_or(usize::MAX);
        let (sign, comparison) =
            COMPARISONS.iter().min_by_key(at).filter(|row| text.contains(row.0)).ok_or_else(wrong)?;
        let (key, value) = text.split_once(sign).ok_or_else(wrong)?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || value.is_empty() {
            return Err(wrong());
        }
        check_key(key)?;
        let number = parse_number(key, value)
            .ok_or_else(|| format!("'{value}' is not a number for {key}; write for example {}", example(key)))?;
        Ok(Self { key: key.to_owned(), comparison: *comparison, number, text: format!("{key} {sign} {value}") })
    }
}

impl Expect {
    /// Holds it against what a run came to.
    pub fn hold_against(&self, summary: &Summary) -> Expectation {
        // A summary is an object: it can be written as one.
        let all = serde_json::to_value(summary).unwrap_or_default();
        let found: Vec<Option<f64>> = look_up(&all, &self.key).into_iter().map(Value::as_f64).collect();
        let failing = found.iter().find(|value| !self.is_met_by(**value));
        let value = failing.or(found.first()).copied().flatten();
        Expectation { expect: self.text.clone(), value, holds: !found.is_empty() && failing.is_none() }
    }

    #[expect(clippy::float_cmp, reason = "asked for: a count is equal or it is not")]
    fn is_met_by(&self, value: Option<f64>) -> bool {
        let Some(value) = value else { return false };
        match self.comparison {
            Comparison::Less => value < self.number,
            Comparison::LessOrEqual => value <= self.number,
            Comparison::Greater => value > self.number,
            Comparison::GreaterOrEqual => value >= self.number,
            Comparison::Equal => value == self.number,
            Comparison::Unequal => value != self.number,
        }
    }
}

/// Whether a key counts bytes.
fn is_bytes(key: &str) -> bool {
    key.ends_with("_bytes") || key.starts_with("bytes_per_connection.")
}

fn example(key: &str) -> &'static str {
    if is_bytes(key) {
        "9000 or 9KiB"
    } else if key.ends_with("_us") || key.ends_with("_ms") || key.ends_with("_s") && !key.ends_with("per_s") {
        "5 or 5ms"
    } else {
        "200k or 1m"
    }
}

/// A number in the unit of the key: plain, or with a suffix.
#[expect(clippy::cast_precision_loss, reason = "counts, bytes and microseconds far below 2^52")]
fn parse_number(key: &str, text: &str) -> Option<f64> {
    if let Ok(number) = text.parse::<f64>() {
        return Some(number).filter(|n| n.is_finite());
    }
    if let Some(percent) = text.strip_suffix('%') {
        return percent.trim().parse().ok().filter(|n: &f64| n.is_finite());
    }
    if is_bytes(key) {
        return parse_bytes(text).ok().map(|n| n as f64);
    }
    if !key.ends_with("per_s") {
        let time = || parse_duration(text).ok().map(|time| units::micros(time) as f64);
        for (ending, us) in [("_us", 1.0), ("_ms", 1e3), ("_s", 1e6)] {
            if key.ends_with(ending) {
                return time().map(|time| time / us);
            }
        }
    }
    let rate = if key.ends_with("per_s") { text.trim_end_matches("/s") } else { text };
    parse_count(rate).ok().map(|n| n as f64)
}

/// The values that a key names: one, but for `limits.ID.key`, which may be in several rows.
fn look_up<'a>(all: &'a Value, key: &str) -> Vec<&'a Value> {
    if let Some((id, rest)) = key.strip_prefix("limits.").and_then(|rest| rest.split_once('.')) {
        let rows = all["limits"].as_array().into_iter().flatten();
        return rows.filter(|row| row["id"] == id).filter_map(|row| find(row, rest)).collect();
    }
    find(all, key).into_iter().collect()
}

fn find<'a>(object: &'a Value, key: &str) -> Option<&'a Value> {
    key.split('.').try_fold(object, |at, part| at.get(part))
}

/// Whether a summary can have a number by this key.
fn check_key(key: &str) -> Result<(), String> {
    let known = keys();
    // Which caches there are is the kernel's to say.
    if known.iter().any(|k| k == key)
        || key.strip_prefix("bytes_per_connection.slab.").is_some_and(|name| !name.is_empty())
    {
        return Ok(());
    }
    let mut near: Vec<(usize, &String)> = known.iter().map(|k| (distance(key, k), k)).collect();
    near.sort();
    let best: Vec<&str> = near.iter().take(3).map(|(_, k)| k.as_str()).collect();
    Err(format!("the summary has no number '{key}'; nearest are {}", best.join(", ")))
}

/// How many changes lie between two keys; a key that contains what was written, or has all of its words, is near.
fn distance(written: &str, key: &str) -> usize {
    let words = written.split(['.', '_']).filter(|word| !word.is_empty());
    let strange = words.filter(|word| !key.contains(word)).count();
    strsim::levenshtein(written, key) + 4 * strange
}

/// Every key of a summary that can be a number.
fn keys() -> Vec<String> {
    let mut found = Vec::new();
    let full = serde_json::to_value(full()).unwrap_or_default();
    gather("", &full, &mut found);
    found
}

fn gather(prefix: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                gather(&key, member, found);
            }
        }
        Value::Array(rows) if prefix == "limits" => {
            for row in rows {
                let id = row["id"].as_str().unwrap_or_default();
                gather(&format!("limits.{id}"), row, found);
            }
        }
        Value::Number(_) => found.push(prefix.to_owned()),
        _ => {}
    }
}

/// A summary in which everything that can be a number is one.
fn full() -> Summary {
    let mut full = Model::default().summary(Verdict::Watched);
    let (count, number) = (Some(0), Some(0.0));
    (full.target, full.peak_established, full.peak_accepted) = (count, count, count);
    (full.lost, full.refused, full.greeted) = (count, count, count);
    (full.time_to_peak_s, full.mean_rate_per_s, full.cpu_us_per_connection, full.close_s) =
        (number, number, number, number);
    full.part = "1/1".parse().ok();
    let cost = &mut full.bytes_per_connection;
    for part in [
        &mut cost.total,
        &mut cost.mem_free,
        &mut cost.kernel,
        &mut cost.server_user,
        &mut cost.client_user,
        &mut cost.user,
    ] {
        *part = number;
    }
    let latency = Some(Latency::default());
    (full.lifetime_us, full.connect, full.handshake) = (latency, latency, latency);
    full.traffic = Some(Traffic::default());
    let member = MemberLine {
        pid: 0,
        name: String::new(),
        connections: count,
        rss_bytes: count,
        cpu_percent: number,
        descriptors: count,
        draining: false,
    };
    full.process = Some(ProcessLine {
        pid: 0,
        name: String::new(),
        processes: 0,
        rss_bytes: count,
        shared_bytes: count,
        cpu_percent: number,
        descriptors: count,
        connections: count,
        queued: count,
        close_wait: count,
        age_ms: count,
        members: vec![member],
        members_left_out: 0,
        listeners: Vec::new(),
    });
    let line = |id: LimitId| LimitLine {
        id,
        scope: String::new(),
        unit: Unit::Count,
        used: count,
        limit: count,
        state: LimitState::Ok,
        forecast_connections: count,
        forecast_plus_minus: count,
        reason: None,
    };
    full.limits = LIMITS.iter().map(|limit| line(limit.id)).collect();
    full
}

#[cfg(test)]
mod tests {
    use super::super::synthetic;
    use super::*;

    fn summary() -> Summary {
        let mut model = Model::default();
        for sample in synthetic::ramp(40_000, 40_000, 500) {
            model.update(&sample);
        }
        model.summary(Verdict::TargetReached)
    }

    fn held(text: &str) -> Expectation {
        text.parse::<Expect>().unwrap().hold_against(&summary())
    }

    #[test]
    fn each_comparison_and_each_unit() {
        for (text, holds) in [
            ("peak_established == 40k", true),
            ("peak_established==40000", true),
            ("peak_established != 40k", false),
            ("peak_established > 40k", false),
            ("peak_established >= 40k", true),
            ("bytes_per_connection.total < 9000", true),
            ("bytes_per_connection.total < 8KiB", true),
            ("bytes_per_connection.total < 8124", false),
            ("bytes_per_connection.slab.TCP <= 5100", true),
            ("connect.p99_us < 5ms", true),
            ("connect.p99_us < 3ms", false),
            ("elapsed_s < 1m", true),
            ("mean_rate_per_s > 20k/s", true),
            ("limits.nofile.used < 50k", true),
            ("limits.nofile.used < 30k", false),
            ("failures == 0", true),
        ] {
            assert_eq!(held(text).holds, holds, "{:?}", held(text));
        }
    }

    #[test]
    fn what_a_run_does_not_have_fails() {
        for text in ["traffic.sent > 0", "greeted != 5", "limits.app.used >= 0", "bytes_per_connection.slab.none != 1"]
        {
            let told = held(text);
            assert!(!told.holds && told.value.is_none(), "{told:?}");
            assert!(told.to_string().contains("FAILS, this run has no such number"), "{told}");
        }
        assert_eq!(held("failures < 1").to_string(), "expect failures < 1: holds, it is 0");
    }

    #[test]
    fn a_key_that_is_not_known_names_those_that_are_near() {
        let told = |text: &str| text.parse::<Expect>().unwrap_err();
        for (text, near) in [
            ("bytes_per_conection.total < 9000", "bytes_per_connection.total"),
            ("peak > 1m", "peak_accepted"),
            ("limits.nofiles.used < 1", "limits.nofile.used"),
            ("p99_us < 1ms", "connect.p99_us"),
            ("verdict == 1", "nearest are"),
        ] {
            assert!(told(text).contains(near), "{}", told(text));
        }
        for text in ["", "peak_established", "< 5", "peak_established <", "peak_established < many"] {
            assert!(!told(text).contains('\n'), "{}", told(text));
        }
        assert!(told("elapsed_s < 5KiB").contains("5 or 5ms"));
    }
}
