//! The last row: keys, or the question being asked.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::keys::{Command, KEYS, Key, Screen};
use super::state::{Question, View, can_drive, has_listeners};
use super::text::{put, width};
use super::theme::Theme;
use crate::model::{Model, RunPhase, XAxis};
use crate::sample::Peers;
use crate::units;

/// Draws the row.
pub(super) fn draw(buf: &mut Buffer, area: Rect, model: &Model, view: &View, theme: Theme) {
    if let Some(question) = view.question {
        if let Question::Peers { sockets, .. } = question {
            let column = put(buf, area, 0, 0, &counting(sockets, area.width), theme.paused());
            put(buf, area, column + 1, 0, "Enter again does it", theme.text());
            return;
        }
        let all = units::grouped(model.now().connections);
        let what = if area.width >= 60 { " connections" } else { "" };
        let does = match question {
            Question::Quit => "Quit and close all",
            Question::Close | Question::Peers { .. } => "Close all",
        };
        let column = put(buf, area, 0, 0, &format!(" {does} {all}{what}? "), theme.paused());
        put(buf, area, column + 1, 0, "y yes  n no", theme.text());
        return;
    }
    if let Some(notice) = view.notice(model) {
        put(buf, area, 1, 0, notice, theme.text());
        return;
    }
    let mut column = 1;
    if view.frozen.is_some() {
        column = put(buf, area, 0, 0, " FROZEN ", theme.paused()) + 1;
    }
    let room = usize::from(area.width.saturating_sub(column));
    for key in chosen(model, view, room) {
        column = put(buf, area, column, 0, key.label, theme.key());
        column = put(buf, area, column, 0, &format!(" {}", word(key, model, view)), theme.text()) + 2;
    }
}

/// What counting so many sockets costs, as far as there is room to say it.
fn counting(sockets: u64, columns: u16) -> String {
    let (all, time) = (units::grouped(sockets), Peers::cost_us(sockets) as f64 / 1e6);
    match columns {
        90.. => format!(" Counts {all} sockets one by one: about {time:.2} s of one core. "),
        75.. => format!(" Counts {all} sockets: about {time:.2} s of one core. "),
        _ => format!(" {all}: {time:.2} s. "),
    }
}

/// What the key would do now.
fn word(key: &Key, model: &Model, view: &View) -> &'static str {
    match key.command {
        Command::Pause if model.now().phase == RunPhase::Paused => "go on",
        Command::Freeze if view.frozen.is_some() => "go on",
        Command::Axis if view.axis(model) == XAxis::Time => "count axis",
        Command::Open if view.opened.is_some() => "count again",
        Command::Open if view.screen == Screen::Engines && has_listeners(model) => "peers",
        Command::Back if view.opened.is_some() => "back",
        _ => key.short,
    }
}

/// The keys that mean something now and fit, in the order of the table; the least needed go first.
fn chosen(model: &Model, view: &View, room: usize) -> Vec<&'static Key> {
    let means = |k: &&Key| !word(k, model, view).is_empty() && (!k.drives || can_drive(model));
    let mut keys: Vec<&Key> = KEYS.iter().filter(means).collect();
    let columns =
        |k: &&Key| width(k.label) + width(if k.short.is_empty() { word(k, model, view) } else { k.short }) + 3;
    while keys.iter().map(columns).sum::<usize>() > room + 2 {
        let Some(worst) = keys.iter().map(|k| k.rank).max() else { break };
        keys.retain(|k| k.rank != worst);
    }
    keys
}
