//! The last row: keys, or the question being asked.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::keys::{Command, KEYS, Key};
use super::state::{Question, View, can_drive};
use super::text::{put, width};
use super::theme::Theme;
use crate::model::{Model, RunPhase, XAxis};
use crate::units;

/// Draws the row.
pub(super) fn draw(buf: &mut Buffer, area: Rect, model: &Model, view: &View, theme: Theme) {
    if let Some(question) = view.question {
        let all = units::grouped(model.now().connections);
        let what = if area.width >= 60 { " connections" } else { "" };
        let does = match question {
            Question::Close => "Close all",
            Question::Quit => "Quit and close all",
        };
        let column = put(buf, area, 0, 0, &format!(" {does} {all}{what}? "), theme.paused());
        put(buf, area, column + 1, 0, "y yes  n no", theme.text());
        return;
    }
    let mut column = 1;
    if view.frozen.is_some() {
        column = put(buf, area, 0, 0, " FROZEN ", theme.paused()) + 1;
    }
    let room = usize::from(area.width.saturating_sub(column));
    for key in chosen(model, room) {
        column = put(buf, area, column, 0, key.label, theme.key());
        column = put(buf, area, column, 0, &format!(" {}", word(key, model, view)), theme.text()) + 2;
    }
}

/// What the key would do now.
fn word(key: &Key, model: &Model, view: &View) -> &'static str {
    match key.command {
        Command::Pause if model.now().phase == RunPhase::Paused => "go on",
        Command::Freeze if view.frozen.is_some() => "go on",
        Command::Axis if view.axis(model) == XAxis::Time => "count axis",
        _ => key.short,
    }
}

/// The keys that mean something now and fit, in the order of the table; the least needed go first.
fn chosen(model: &Model, room: usize) -> Vec<&'static Key> {
    let mut keys: Vec<&Key> = KEYS.iter().filter(|k| !k.short.is_empty() && (!k.drives || can_drive(model))).collect();
    while keys.iter().map(|k| width(k.label) + width(k.short) + 3).sum::<usize>() > room + 2 {
        let Some(worst) = keys.iter().map(|k| k.rank).max() else { break };
        keys.retain(|k| k.rank != worst);
    }
    keys
}
