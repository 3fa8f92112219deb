//! Choosing a row of a list.

use super::panels::Panel;
use super::state::{Chosen, View};
use crate::model::Model;

impl View {
    /// So many rows up or down in the list that has the focus.
    pub(super) fn step(&mut self, model: &Model, by: isize) {
        let Some(panel) = self.panel(model).filter(|panel| panel.has_rows()) else {
            return self.say("no rows to choose from in this panel; Tab goes to the next");
        };
        let (row, rows) = self.place(model, panel);
        let to = row.saturating_add_signed(by).min(rows.saturating_sub(1));
        if to == row {
            return self.say(match rows {
                0 => "no rows",
                _ if by < 0 => "this is the first row",
                _ => "this is the last row",
            });
        }
        self.choose(model, panel, to);
    }

    /// The row chosen in a list, and how many rows it has.
    pub(super) fn place(&self, model: &Model, panel: Panel) -> (usize, usize) {
        let shown = self.shown(model);
        match (panel, shown.program()) {
            (Panel::Events, _) => {
                let rows = self.event_rows(shown);
                (self.chosen_event(&rows), rows.len())
            }
            (Panel::Limits, _) => {
                let rows = self.limit_rows(shown);
                (self.chosen_limit(&rows), rows.rows.len() + usize::from(!rows.folded.is_empty()))
            }
            (Panel::Processes, Some(program)) => {
                let rows = self.member_rows(program);
                (self.chosen_member(&rows), rows.len())
            }
            (Panel::Listeners, Some(program)) => {
                let rows = self.listener_rows(program);
                (self.chosen_listener(&rows), rows.len())
            }
            (Panel::Peers, _) => self.opened.as_ref().map_or((0, 0), |opened| (opened.row, opened.networks())),
            _ => (0, 0),
        }
    }

    /// Chooses a row, the last one at the most. The first is whichever is first from now on.
    pub(super) fn choose(&mut self, model: &Model, panel: Panel, row: usize) {
        let shown = self.shown(model);
        match (panel, shown.program()) {
            (Panel::Events, _) => {
                let rows = self.event_rows(shown);
                self.event = rows.get(row).filter(|_| row > 0).map(|e| e.id.clone());
            }
            (Panel::Limits, _) => {
                let rows = self.limit_rows(shown);
                self.limit = match rows.rows.get(row) {
                    _ if row == 0 => Chosen::First,
                    Some(limit) => Chosen::One((limit.info.id, limit.scope.clone())),
                    None => Chosen::Fold,
                };
            }
            (Panel::Processes, Some(program)) => {
                let rows = self.member_rows(program);
                self.member = rows.get(row).filter(|_| row > 0).map(|m| m.pid);
            }
            (Panel::Listeners, Some(program)) => {
                let rows = self.listener_rows(program);
                self.listener = rows.get(row).filter(|_| row > 0).map(|l| l.port);
            }
            (Panel::Peers, _) => {
                if let Some(opened) = &mut self.opened {
                    opened.row = row.min(opened.networks().saturating_sub(1));
                }
            }
            _ => {}
        }
    }
}
