//! The rows of the lists: what the filter leaves, in which order, what is folded away, and which one is chosen.

use super::keys::Screen;
use super::panels::Panel;
use super::state::{Chosen, Sort, View};
use crate::limits::{Forecast, Limit, LimitState};
use crate::model::{Event, MemberLine, Model, ProcessLine};
use crate::sample::ListenerCensus as Listener;

/// The limits as a list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LimitRows<'a> {
    /// A row each.
    pub(super) rows: Vec<&'a Limit>,
    /// Those behind the one line that opens; it stands below the rows and can be chosen like one.
    pub(super) folded: Vec<&'a Limit>,
}

/// Used less than this, and not growing towards the target: folded away.
const LITTLE: f64 = 0.01;
/// So many times the target is out of sight.
const FAR: u64 = 10;

impl View {
    /// The limits. `model` is the one that is shown, here and below.
    pub(super) fn limit_rows<'a>(&self, model: &'a Model) -> LimitRows<'a> {
        let words = |l: &Limit| format!("{} {} {} {}", l.info.label, l.info.name, l.scope, l.state.word());
        let mut all: Vec<&Limit> = model.limits().iter().filter(|l| self.lets(Panel::Limits, &words(l))).collect();
        match self.sort_of(Panel::Limits) {
            Sort::Given => {}
            Sort::Largest => all.sort_by(|a, b| b.share().unwrap_or(-1.0).total_cmp(&a.share().unwrap_or(-1.0))),
            Sort::Name => all.sort_by_key(|l| l.info.label),
        }
        let whole = self.screen == Screen::Limits || self.enlarged == Some(Panel::Limits) || self.unfolded;
        if whole || self.filter_of(Panel::Limits).is_some() {
            return LimitRows { rows: all, folded: Vec::new() };
        }
        let nearest = model.nearest();
        let (folded, rows) = all.into_iter().partition(|l| folds(model, l) && nearest.is_none_or(|n| n != *l));
        LimitRows { rows, folded }
    }

    /// The events, newest first unless sorted.
    pub(super) fn event_rows<'a>(&self, model: &'a Model) -> Vec<&'a Event> {
        let words = |e: &Event| format!("{} {}", e.severity.word(), e.text);
        let mut all: Vec<&Event> =
            model.events().all().iter().rev().filter(|e| self.lets(Panel::Events, &words(e))).collect();
        match self.sort_of(Panel::Events) {
            Sort::Given => {}
            Sort::Largest => all.sort_by_key(|e| std::cmp::Reverse((e.severity, e.count))),
            Sort::Name => all.sort_by(|a, b| a.text.cmp(&b.text)),
        }
        all
    }

    /// The processes of a watched program.
    pub(super) fn member_rows<'a>(&self, program: &'a ProcessLine) -> Vec<&'a MemberLine> {
        let words = |m: &MemberLine| format!("{} {}", m.pid, m.name);
        let mut all: Vec<&MemberLine> =
            program.members.iter().filter(|m| self.lets(Panel::Processes, &words(m))).collect();
        match self.sort_of(Panel::Processes) {
            Sort::Given => {}
            Sort::Largest => all.sort_by_key(|m| std::cmp::Reverse(m.connections)),
            Sort::Name => all.sort_by(|a, b| a.name.cmp(&b.name)),
        }
        all
    }

    /// What a watched program listens on.
    pub(super) fn listener_rows<'a>(&self, program: &'a ProcessLine) -> Vec<&'a Listener> {
        let mut all: Vec<&Listener> =
            program.listeners.iter().filter(|l| self.lets(Panel::Listeners, &l.to_string())).collect();
        match self.sort_of(Panel::Listeners) {
            Sort::Given => {}
            Sort::Largest => all.sort_by_key(|l| std::cmp::Reverse(l.established)),
            Sort::Name => all.sort_by_key(|l| l.port),
        }
        all
    }

    /// The row of the limit chosen; the number of rows where the folded line is.
    pub(super) fn chosen_limit(&self, rows: &LimitRows<'_>) -> usize {
        match &self.limit {
            Chosen::First => 0,
            Chosen::Fold if rows.folded.is_empty() => 0,
            Chosen::Fold => rows.rows.len(),
            Chosen::One((id, scope)) => rows.rows.iter().position(|l| l.is(*id, scope)).unwrap_or(0),
        }
    }

    /// The row of the event chosen.
    pub(super) fn chosen_event(&self, rows: &[&Event]) -> usize {
        rows.iter().position(|e| self.event.as_ref() == Some(&e.id)).unwrap_or(0)
    }

    /// The row of the process chosen.
    pub(super) fn chosen_member(&self, rows: &[&MemberLine]) -> usize {
        rows.iter().position(|m| self.member == Some(m.pid)).unwrap_or(0)
    }

    /// The row of the listener chosen.
    pub(super) fn chosen_listener(&self, rows: &[&Listener]) -> usize {
        rows.iter().position(|l| self.listener == Some(l.port)).unwrap_or(0)
    }
}

/// Whether a limit is of no interest now: it does not bound this run, or is hardly used and comes far beyond the target if at all.
fn folds(model: &Model, limit: &Limit) -> bool {
    match limit.state {
        LimitState::NotApplicable | LimitState::Unknown => return true,
        LimitState::Warn | LimitState::Critical | LimitState::Hit => return false,
        LimitState::Ok => {}
    }
    let aim = model.now().target.unwrap_or(model.now().connections).saturating_mul(FAR);
    let comes = matches!(limit.forecast, Forecast::At { connections, .. } if connections <= aim);
    !comes && limit.share().is_none_or(|share| share < LITTLE)
}
