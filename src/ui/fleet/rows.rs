//! Which workers are listed, in which order, and which are folded into one line because there is nothing to say of them.

use super::board::{Board, Order};
use crate::fleet::{FleetView, Row, Standing};
use crate::limits::LimitState;
use crate::model::RunPhase;
use crate::ui::state::Chosen;

/// The workers as a list, by their places in [`FleetView::rows`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// A row each.
    pub(super) rows: Vec<usize>,
    /// Those behind the one line that opens; it stands below the rows and can be chosen like one.
    pub(super) folded: Vec<usize>,
}

impl Listed {
    /// Rows that can be chosen.
    pub(super) fn len(&self) -> usize {
        self.rows.len() + usize::from(!self.folded.is_empty())
    }
}

impl Board {
    /// What is listed where there is room for so many rows, of which the line of those that are folded takes some.
    pub(super) fn listed(&self, view: &FleetView, (room, line): (usize, usize)) -> Listed {
        let filter = self.filter.to_lowercase();
        let lets = |row: &Row| filter.is_empty() || words(row).to_lowercase().contains(&filter);
        let mut all: Vec<usize> = (0..view.rows.len()).filter(|i| lets(&view.rows[*i])).collect();
        self.sort(view, &mut all);
        if all.len() <= room || self.unfolded || !filter.is_empty() {
            return Listed { rows: all, folded: Vec::new() };
        }
        // What there is to see comes first, then as many others as fit above the line.
        let told = all.iter().filter(|i| is_told(view, **i)).count();
        let mut others = room.saturating_sub(told + line);
        let (rows, folded) = all.into_iter().partition(|i| {
            let stays = is_told(view, *i) || others > 0;
            others -= usize::from(stays && !is_told(view, *i));
            stays
        });
        Listed { rows, folded }
    }

    fn sort(&self, view: &FleetView, all: &mut [usize]) {
        let row = |i: &usize| &view.rows[*i];
        let last = |n: Option<f64>| n.unwrap_or(f64::INFINITY);
        match self.order {
            Order::Given => {}
            Order::Behind => all.sort_by(|a, b| last(row(a).progress).total_cmp(&last(row(b).progress))),
            Order::Host => all.sort_by(|a, b| row(a).state.who.host.cmp(&row(b).state.who.host)),
            Order::Limit => all.sort_by(|a, b| {
                let rank = |i: &usize| {
                    let limit = row(i).state.nearest.as_ref();
                    (limit.map_or(1.0, |l| -f64::from(l.state as u8)), last(limit.and_then(|l| l.seconds)))
                };
                let (a, b) = (rank(a), rank(b));
                a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
            }),
        }
    }

    /// The place of the row chosen.
    pub(super) fn row_of(&self, view: &FleetView, listed: &Listed) -> usize {
        match &self.chosen {
            Chosen::First => 0,
            Chosen::Fold if listed.folded.is_empty() => 0,
            Chosen::Fold => listed.rows.len(),
            Chosen::One(id) => listed.rows.iter().position(|i| view.rows[*i].state.who.id == *id).unwrap_or(0),
        }
    }
}

/// What the filter looks at.
fn words(row: &Row) -> String {
    let who = &row.state.who;
    let part = who.part.map_or(String::new(), |part| format!("{}/{}", part.number, part.of));
    let limit = row.state.nearest.as_ref().map_or("", |limit| limit.name.as_str());
    format!("{} {part} {} {} {limit} {}", who.host, who.role.name(), row.word(), who.what)
}

/// Whether a worker is one to see among many: it serves, something is the matter, or it is the first or the last.
fn is_told(view: &FleetView, i: usize) -> bool {
    let row = &view.rows[i];
    let places = [
        view.nearest.as_ref().map(|nearest| nearest.row),
        view.bottleneck.as_ref().map(|bottleneck| bottleneck.row),
        view.skew.slowest.map(|(row, _)| row),
        view.skew.fastest.map(|(row, _)| row),
    ];
    row.state.who.role.serves() || places.contains(&Some(i)) || is_amiss(row)
}

/// Whether something is the matter with a worker.
pub(super) fn is_amiss(row: &Row) -> bool {
    let state = &row.state;
    matches!(row.standing, Standing::Silent | Standing::Lost)
        || matches!(state.phase, RunPhase::Guarded | RunPhase::EngineDied | RunPhase::Stopped)
        || state.engine_silent
        || state.blocked.is_some()
        || row.never_began()
        || state.verdict.is_some_and(|verdict| verdict.status() != 0)
        || state.nearest.as_ref().is_some_and(|limit| limit.state >= LimitState::Warn)
}
