//! What the mouse does: a click focuses a panel and chooses a row, the wheel scrolls lists and zooms the chart of memory.

use crossterm::event::{MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use super::action::Action;
use super::frame::{layout, row_at};
use super::keys::Command;
use super::panels::Panel;
use super::state::View;
use crate::model::{Model, Range};

/// Rows that one notch of the wheel goes.
const NOTCH: usize = 3;

impl View {
    /// Takes a press or a turn of the wheel; `None` when nothing is to be drawn for it.
    pub fn on_mouse(&mut self, event: MouseEvent, model: &Model) -> Option<Action> {
        if self.question.is_some() || self.prompt.is_some() {
            // Those are answered with keys.
            return None;
        }
        self.hush();
        let down = event.kind == MouseEventKind::ScrollDown;
        let wheel = down || event.kind == MouseEventKind::ScrollUp;
        if self.help {
            if !wheel {
                self.help = false;
                return Some(Action::Redraw);
            }
            for _ in 0..NOTCH {
                self.scroll_help(if down { Command::Down } else { Command::Up });
            }
            return Some(Action::Redraw);
        }
        let at = Position::new(event.column, event.row);
        let panels = layout(self.area, model, self);
        let (panel, place) = panels.into_iter().find(|(_, place)| place.contains(at))?;
        if !wheel {
            self.focus = panel;
            if let Some(row) = row_at(self.area, (panel, place), self.shown(model), self, event.row) {
                self.choose(model, panel, row);
            }
            return Some(Action::Redraw);
        }
        match panel {
            _ if panel.has_rows() => {
                self.focus = panel;
                let (row, rows) = self.place(model, panel);
                let to = if down { (row + NOTCH).min(rows.saturating_sub(1)) } else { row.saturating_sub(NOTCH) };
                self.choose(model, panel, to);
            }
            Panel::Memory => {
                let now = self.range_of(model).unwrap_or(Range::Data);
                // Three on are one back.
                let next = if down { now.next() } else { now.next().next().next() };
                self.range = Some(next);
                self.say(format!("memory: {}", next.word()));
            }
            _ => return None,
        }
        Some(Action::Redraw)
    }
}
