//! How a fleet's run ended: "7 of 8 workers, 875,000 of 1,000,000".

use serde::Serialize;

use super::bottleneck::Bottleneck;
use super::row::{Count, Row, Standing, Totals};
use crate::model::Verdict;
use crate::units::grouped;

/// How a fleet's run ended, or would end now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FleetVerdict {
    /// The word: the worst of what the workers say; `workers_missing` where one did not come, could not begin or was lost
    /// and nothing worse happened; `None` while they are going on and nothing is wrong.
    pub verdict: Option<Verdict>,
    /// Workers that count: come, begun, and not lost.
    pub workers: u64,
    /// Workers that should have been.
    pub of_workers: u64,
    /// Connections that they had open at the most.
    pub connections: u64,
    /// Connections aimed at by all of them.
    pub of_connections: Option<u64>,
    /// One sentence: `7 of 8 workers, 875,000 of 1,000,000 connections`, who is missing, and who was the bottleneck.
    pub text: String,
}

impl FleetVerdict {
    /// Exit status of `c1m-top fleet`.
    pub fn status(&self) -> u8 {
        self.verdict.map_or(0, Verdict::status)
    }
}

pub(super) fn verdict(
    rows: &[Row],
    count: &Count,
    totals: &Totals,
    missing: &[String],
    bottleneck: Option<&Bottleneck>,
) -> FleetVerdict {
    let of_workers = count.expected.unwrap_or(0).max(count.come);
    let workers = count.come - count.lost;
    let over = count.waiting + count.running + count.silent == 0;
    let said = rows.iter().filter(|row| row.standing == Standing::Left).filter_map(|row| row.state.verdict);
    // The worst comes first in their order.
    let worst = said.min();
    let short = workers < of_workers && count.waiting == 0;
    let verdict = match worst {
        Some(worst) if worst.status() != 0 => Some(worst),
        _ if short && (over || count.lost > 0 || rows.iter().any(Row::never_began)) => Some(Verdict::WorkersMissing),
        worst => worst.filter(|_| over),
    };
    let target = totals.target.map_or(String::new(), |target| format!(" of {}", grouped(target)));
    let mut parts = vec![format!("{workers} of {of_workers} workers, {}{target} connections", grouped(totals.peak))];
    parts.extend((!missing.is_empty()).then(|| format!("missing: {}", listed(missing))));
    parts.extend(bottleneck.map(|bottleneck| bottleneck.text.clone()));
    let text = parts.join("; ");
    FleetVerdict { verdict, workers, of_workers, connections: totals.peak, of_connections: totals.target, text }
}

/// The first few of them: a thousand names are no sentence.
pub(super) fn listed(names: &[String]) -> String {
    const MOST: usize = 8;
    let shown = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(MOST);
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}
