//! Runs held against each other, aligned by connections: what differs around them, and which figures are better or worse by more
//! than they move by themselves.
//!
//! How far that is: what the run's own slopes leave open, and what the same figure did in repeats. Where a run stands for itself,
//! what equal runs were seen to differ by ([`super::figure::Floor`]).

use serde::Serialize;

use super::around::{Difference, Section, differences};
use super::facts::Facts;
use super::figure::{Better, Figure, Unit, figures, levels};

/// One side of a comparison: a run, or several of the same plan.
#[derive(Debug, Clone)]
pub struct Side<'a> {
    /// Its letter.
    pub letter: char,
    /// Its runs; never empty.
    pub runs: Vec<&'a Facts>,
}

impl Side<'_> {
    /// What it is called: its first run, and how many more there are.
    pub fn name(&self) -> String {
        let first = self.runs.first().map_or("", |run| run.name.as_str());
        if self.runs.len() > 1 { format!("{first} and {} more", self.runs.len() - 1) } else { first.to_owned() }
    }
}

/// What one figure is on one side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Value {
    /// The mean of the side's runs.
    pub value: f64,
    /// What it moves by itself.
    pub noise: f64,
    /// A word to go with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub word: Option<String>,
}

/// How a side stands against the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is what the others are held against.
    Baseline,
    /// By more than noise.
    Better,
    /// Within noise.
    Same,
    /// By more than noise.
    Worse,
    /// The first does not have it.
    OnlyHere,
    /// The first alone has it.
    OnlyInFirst,
    /// Neither has it: a third does.
    Neither,
}

impl Verdict {
    /// For people, of the side with this letter.
    pub fn word(self, letter: char) -> String {
        match self {
            Verdict::Baseline => String::new(),
            Verdict::Better => "better".into(),
            Verdict::Same => "same".into(),
            Verdict::Worse => "WORSE".into(),
            Verdict::OnlyHere => format!("only in {letter}"),
            Verdict::OnlyInFirst => "only in A".into(),
            Verdict::Neither => "in neither".into(),
        }
    }
}

/// One figure of all sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub key: String,
    /// For people.
    #[serde(skip)]
    pub label: String,
    /// At so many connections; null is of the whole run.
    pub at_connections: Option<u64>,
    /// What it counts.
    pub unit: Unit,
    /// Which way is better.
    pub better: Better,
    /// Side by side; null where it is not known.
    pub values: Vec<Option<Value>>,
    /// Side by side.
    pub verdicts: Vec<Verdict>,
}

/// Who is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Who {
    /// `A`, `B`.
    pub side: char,
    /// Names of its runs.
    pub runs: Vec<String>,
    /// Most connections of each.
    pub held: Vec<u64>,
    /// How each ended; null where the record ends before.
    pub verdicts: Vec<Option<crate::model::Verdict>>,
}

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// `comparison`.
    pub kind: &'static str,
    /// The sides.
    pub sides: Vec<Who>,
    /// What differs around them.
    pub differences: Vec<Difference>,
    /// Figure by figure.
    pub figures: Vec<Row>,
    /// Figures that are worse on some side.
    pub worse: usize,
}

impl Comparison {
    /// The first thing in which what was asked for differs.
    pub fn plan_difference(&self) -> Option<&Difference> {
        self.differences.iter().find(|difference| difference.section == Section::Plan)
    }

    /// Figures of one side by how they stand: better, the same, worse, only in one.
    pub fn counts(&self, side: usize) -> [usize; 4] {
        let mut counts = [0; 4];
        for row in &self.figures {
            match row.verdicts[side] {
                Verdict::Better => counts[0] += 1,
                Verdict::Same => counts[1] += 1,
                Verdict::Worse => counts[2] += 1,
                Verdict::OnlyHere | Verdict::OnlyInFirst => counts[3] += 1,
                Verdict::Baseline | Verdict::Neither => {}
            }
        }
        counts
    }
}

/// Holds every side against the first.
pub fn compare(sides: &[Side<'_>]) -> Comparison {
    let runs: Vec<&Facts> = sides.iter().flat_map(|side| side.runs.iter().copied()).collect();
    let levels = levels(&runs.iter().map(|run| run.peak).collect::<Vec<_>>());
    let each: Vec<Vec<Vec<Figure>>> =
        sides.iter().map(|side| side.runs.iter().map(|run| figures(run, &levels)).collect()).collect();
    // Each figure where the first run that has it has it; a cache that only a later one has comes behind those of its kind.
    let mut order: Vec<&Figure> = Vec::new();
    for figure in each.iter().flatten().flatten() {
        if order.iter().any(|known| same(known, figure)) {
            continue;
        }
        let kin = |known: &&Figure| known.at == figure.at && stem(&known.key) == stem(&figure.key);
        let at = order.iter().rposition(kin).or_else(|| order.iter().rposition(|known| known.at <= figure.at));
        order.insert(at.map_or(order.len(), |at| at + 1), figure);
    }
    let rows: Vec<Row> = order.into_iter().map(|figure| row(figure, &each)).filter(is_worth_a_row).collect();
    let around: Vec<_> = runs.iter().map(|run| &run.around).collect();
    let worse = rows.iter().filter(|row| row.verdicts.contains(&Verdict::Worse)).count();
    let who = |side: &Side<'_>| Who {
        side: side.letter,
        runs: side.runs.iter().map(|run| run.name.clone()).collect(),
        held: side.runs.iter().map(|run| run.peak).collect(),
        verdicts: side.runs.iter().map(|run| run.verdict).collect(),
    };
    Comparison {
        kind: "comparison",
        sides: sides.iter().map(who).collect(),
        differences: differences(&around),
        figures: rows,
        worse,
    }
}

/// Bytes of a cache for each connection below which it is the kernel's small change, and moves with it.
const LEAST_CACHE: f64 = 100.0;

fn is_worth_a_row(row: &Row) -> bool {
    let most = row.values.iter().flatten().map(|value| value.value).fold(0.0, f64::max);
    !row.key.contains(".slab.") || most >= LEAST_CACHE
}

fn same(a: &Figure, b: &Figure) -> bool {
    a.key == b.key && a.at == b.at
}

fn stem(key: &str) -> &str {
    key.rsplit_once('.').map_or(key, |(stem, _)| stem)
}

fn row(figure: &Figure, sides: &[Vec<Vec<Figure>>]) -> Row {
    let of_side = |runs: &Vec<Vec<Figure>>| -> Option<Value> {
        let found: Vec<&Figure> = runs.iter().filter_map(|run| run.iter().find(|f| same(f, figure))).collect();
        combined(&found)
    };
    let values: Vec<Option<Value>> = sides.iter().map(of_side).collect();
    let verdicts = values.iter().enumerate().map(|(i, value)| match (i, &values[0], value) {
        (0, ..) => Verdict::Baseline,
        (_, Some(first), Some(value)) => judge(first, value, figure.better),
        (_, None, Some(_)) => Verdict::OnlyHere,
        (_, Some(_), None) => Verdict::OnlyInFirst,
        (_, None, None) => Verdict::Neither,
    });
    Row {
        verdicts: verdicts.collect(),
        key: figure.key.clone(),
        label: figure.label.clone(),
        at_connections: figure.at,
        unit: figure.unit,
        better: figure.better,
        values,
    }
}

fn judge(first: &Value, value: &Value, better: Better) -> Verdict {
    let more = value.value - first.value;
    if more.abs() <= first.noise.hypot(value.noise) {
        return Verdict::Same;
    }
    if (more > 0.0) == (better == Better::More) { Verdict::Better } else { Verdict::Worse }
}

/// Two-sided 95 % of Student's t by degrees of freedom.
const T: [f64; 9] = [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26];

/// The mean of repeats and what it moves by itself: never less than what each run leaves open, and what the repeats show where
/// there are any.
fn combined(found: &[&Figure]) -> Option<Value> {
    let first = found.first()?;
    let n = found.len() as f64;
    let mean = found.iter().map(|f| f.value).sum::<f64>() / n;
    let own = found.iter().map(|f| f.spread).sum::<f64>() / n;
    let floor = first.floor.of(mean);
    let noise = match found.len() {
        1 => floor,
        runs => {
            let off = |f: &&Figure| f.value - mean;
            let deviation = (found.iter().map(|f| off(f).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
            let of_mean = T[(runs - 2).min(T.len() - 1)] * deviation / n.sqrt();
            let widest = found.iter().map(|f| off(f).abs()).fold(0.0, f64::max);
            // Two that happen to agree say little, and two that do not say more than they should: what is usual bounds both.
            of_mean.clamp(floor / 4.0, floor.max(widest))
        }
    };
    Some(Value { value: mean, noise: noise.max(own), word: first.word.clone() })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{facts, facts_with};
    use super::*;
    use crate::model::synthetic;

    fn sides<'a>(all: &'a [Vec<&'a Facts>]) -> Vec<Side<'a>> {
        ('A'..).zip(all).map(|(letter, runs)| Side { letter, runs: runs.clone() }).collect()
    }

    fn row<'a>(comparison: &'a Comparison, key: &str) -> &'a Row {
        comparison.figures.iter().find(|row| row.key == key).unwrap_or_else(|| panic!("{key}"))
    }

    #[test]
    fn equal_runs_are_the_same_in_everything() {
        let (a, b) = (facts(100_000), facts(100_000));
        let comparison = compare(&sides(&[vec![&a], vec![&b]]));
        let [better, same, worse, one] = comparison.counts(1);
        assert_eq!((better, worse, one, comparison.worse), (0, 0, 0, 0), "{comparison:#?}");
        assert!(same > 20, "{same}");
        assert!(comparison.differences.is_empty());
    }

    #[test]
    fn what_costs_more_is_worse_and_is_named_by_its_cache() {
        let a = facts(100_000);
        let b = facts_with(100_000, |sample, open| {
            // An entry of connection tracking each.
            if let Ok(caches) = &mut sample.kernel.host.slab {
                let mut entry = caches[0].clone();
                entry.name = "nf_conntrack".into();
                entry.bytes = 320 * open;
                caches.push(entry);
            }
            if let Ok(mem) = &mut sample.kernel.host.mem {
                mem.free -= 320 * open;
            }
            if let Ok(conntrack) = &mut sample.kernel.net.conntrack {
                conntrack.count = open;
            }
        });
        let comparison = compare(&sides(&[vec![&a], vec![&b]]));
        assert_eq!(row(&comparison, "bytes_per_connection.total").verdicts[1], Verdict::Worse);
        assert_eq!(row(&comparison, "bytes_per_connection.slab.nf_conntrack").verdicts[1], Verdict::OnlyHere);
        assert_eq!(row(&comparison, "bytes_per_connection.slab.TCP").verdicts[1], Verdict::Same);
        let first = row(&comparison, "first_limit");
        let words: Vec<_> = first.values.iter().map(|v| v.as_ref().unwrap().word.as_deref().unwrap()).collect();
        assert_eq!(
            (words[1], first.verdicts[1]),
            (crate::limits::LimitId::Conntrack.descriptor().label, Verdict::Worse),
            "{words:?}"
        );
        // Turned round it is better.
        let comparison = compare(&sides(&[vec![&b], vec![&a]]));
        assert_eq!(row(&comparison, "bytes_per_connection.total").verdicts[1], Verdict::Better);
        assert_eq!(row(&comparison, "bytes_per_connection.slab.nf_conntrack").verdicts[1], Verdict::OnlyInFirst);
        // It stands among the caches, whoever has it.
        let at = |key: &str| comparison.figures.iter().position(|r| r.key == key).unwrap();
        let (cache, time) = (at("bytes_per_connection.slab.nf_conntrack"), at("time_to_peak"));
        assert!(at("bytes_per_connection.total") < cache && cache < time);
    }

    #[test]
    fn a_level_that_one_run_did_not_reach_is_only_in_the_other() {
        let (a, b) = (facts(100_000), facts(60_000));
        let comparison = compare(&sides(&[vec![&a], vec![&b]]));
        let at =
            |level| comparison.figures.iter().find(|r| r.key == "memory" && r.at_connections == Some(level)).unwrap();
        assert_eq!(at(50_000).verdicts[1], Verdict::Same);
        assert_eq!(at(100_000).verdicts[1], Verdict::OnlyInFirst);
        assert_eq!(row(&comparison, "held").verdicts[1], Verdict::Worse);
    }

    #[test]
    fn repeats_tell_the_noise() {
        let run = |cpu: u64| {
            facts_with(50_000, move |sample, _| {
                for role in [crate::protocol::Role::Server, crate::protocol::Role::Client] {
                    let engine = synthetic::engine(sample, role).unwrap();
                    engine.cpu_us = engine.cpu_us * cpu / 100;
                    engine.ramp_cpu_us = engine.ramp_cpu_us.map(|us| us * cpu / 100);
                }
            })
        };
        let cpu = |a: &[u64], b: &[u64]| {
            let (a, b): (Vec<_>, Vec<_>) = (a.iter().map(|c| run(*c)).collect(), b.iter().map(|c| run(*c)).collect());
            let comparison = compare(&sides(&[a.iter().collect(), b.iter().collect()]));
            row(&comparison, "cpu_us_per_connection").verdicts[1]
        };
        assert_eq!(cpu(&[100], &[125]), Verdict::Same, "one run each: what equal runs differ by");
        assert_eq!(cpu(&[100], &[160]), Verdict::Worse);
        assert_eq!(cpu(&[100, 101, 99], &[125, 126, 124]), Verdict::Worse, "repeats that agree tell more");
        assert_eq!(cpu(&[100, 130, 80], &[125, 90, 150]), Verdict::Same, "and those that do not tell less");
        assert_eq!(cpu(&[160, 161, 162], &[100, 99, 98]), Verdict::Better);
    }
}
