//! The last row, the footer: the keys of the panel with the focus; or the question that is asked, the line that is typed,
//! what the last key did.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::keys::{Command, KEYS, Row, Screen};
use super::panels::Panel;
use super::prompt::For;
use super::state::{Question, View, can_drive, has_listeners};
use super::text::{cut, put, width};
use super::theme::Theme;
use crate::model::{Model, RunPhase, XAxis};
use crate::sample::Peers;
use crate::units;

/// Draws the row. `focus` is the panel that has the focus.
pub(super) fn draw(buf: &mut Buffer, area: Rect, model: &Model, view: &View, focus: Option<Panel>, theme: Theme) {
    if let Some(question) = view.question {
        return ask(buf, area, model, question, theme);
    }
    if let Some(prompt) = &view.prompt {
        let mark = if prompt.what == For::Command { ":" } else { "/" };
        let hint = match prompt.what {
            For::Command => "Enter runs it, Tab completes, Esc closes",
            For::Filter(_) => "Enter keeps it, Esc shows all rows",
        };
        let column = put(buf, area, 1, 0, &format!("{mark}{}", prompt.text), theme.strong());
        let column = put(buf, area, column, 0, " ", theme.focused()) + 2;
        put(buf, area, column, 0, hint, theme.dim());
        return;
    }
    let mut column = chips(buf, area, model, view, theme);
    if let Some(notice) = view.notice() {
        let room = usize::from(area.width.saturating_sub(column));
        put(buf, area, column, 0, &cut(notice, room), theme.strong());
        return;
    }
    let room = usize::from(area.width.saturating_sub(column));
    for (label, word) in entries(model, view, focus, room) {
        column = put(buf, area, column, 0, &label, theme.key());
        column = put(buf, area, column, 0, &format!(" {word}"), theme.text()) + 2;
    }
}

/// The question in place of the keys.
fn ask(buf: &mut Buffer, area: Rect, model: &Model, question: Question, theme: Theme) {
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
}

/// What is not as usual: not now, frozen, filtered. Returns the column after it.
fn chips(buf: &mut Buffer, area: Rect, model: &Model, view: &View, theme: Theme) -> u16 {
    let mut chips = Vec::new();
    let remote = view.remote.as_ref().map(|remote| match &remote.old {
        Some(old) => (format!(" {}, {old} ", remote.name), theme.paused()),
        None => (format!(" {} ", remote.name), theme.phase()),
    });
    if let Some(playing) = view.playing {
        let word = if playing.running { format!("PLAYING {}x", playing.speed) } else { "STOPPED".to_owned() };
        let at = view.cursor.unwrap_or(model.now().t_ms);
        let of = if playing.whole { units::clock(model.now().t_ms) } else { "…".to_owned() };
        chips.push(format!(" REPLAY {word}, {} of {of} ", units::clock(at)));
    } else if let Some(at) = view.cursor {
        let ago = model.now().t_ms.saturating_sub(at);
        chips.push(format!(" AT {}, {} ago ", units::clock(at), units::millis(ago)));
    } else if view.frozen.is_some() {
        chips.push(" FROZEN ".to_owned());
    }
    if !view.filter.is_empty() {
        chips.push(format!(" {} with '{}' ", view.filtered.title(), view.filter));
    }
    let mut column = 0;
    for (chip, style) in remote.into_iter().chain(chips.into_iter().map(|chip| (chip, theme.paused()))) {
        column = put(buf, area, column, 0, &chip, style) + 1;
    }
    column.max(1)
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
fn word(row: &Row, model: &Model, view: &View, focus: Option<Panel>) -> &'static str {
    match row.first() {
        Command::Pause if model.now().phase == RunPhase::Paused => "resume",
        Command::Freeze if view.playing.is_some_and(|playing| playing.running) => "stop",
        Command::Freeze if view.playing.is_some() => "play",
        Command::Freeze if view.frozen.is_some() => "live",
        Command::Axis if view.axis(model) == XAxis::Time => "count axis",
        Command::Axis => "time axis",
        Command::Open if view.opened.is_some() => "count again",
        Command::Open if focus == Some(Panel::Listeners) && has_listeners(model) => "peers",
        Command::Open if focus == Some(Panel::Limits) && view.screen == Screen::Limits => "enlarge",
        Command::Enlarge if view.enlarged.is_some() => "all panels",
        Command::Back if view.opened.is_some() || view.from.is_some() || view.remote.is_some() => "back",
        Command::Mouse if view.mouse => "mouse off",
        _ => row.short,
    }
}

/// The keys that mean something now and fit: quit and help, those of the panel that has the focus, the others. The least
/// needed go first.
fn entries(model: &Model, view: &View, focus: Option<Panel>, room: usize) -> Vec<(String, &'static str)> {
    let replayed = view.playing.is_some();
    let plays = |row: &Row| replayed && (row.replays || row.first() == Command::Freeze);
    let belongs = |row: &Row| plays(row) || focus.is_some_and(|panel| row.panels.contains(&panel));
    let means = |row: &&Row| {
        let here = row.panels.is_empty() || belongs(row);
        // What drives the client of a run that goes on has nothing to drive in a replay.
        let now = if replayed { !row.drives } else { !row.replays && (!row.drives || can_drive(model, view)) };
        here && now && !word(row, model, view, focus).is_empty()
    };
    let mut rows: Vec<&Row> = KEYS.iter().filter(means).collect();
    // Stable: within each, the order of the table.
    rows.sort_by_key(|row| match row.rank {
        0 => 0,
        _ if belongs(row) => 1,
        _ => 2,
    });
    let entry = |row: &&Row| (view.keys.short_label(row, view.ascii), word(row, model, view, focus));
    let columns = |row: &&Row| {
        let (label, word) = entry(row);
        // Words that change keep the room of the usual one.
        width(&label) + word.len().max(row.short.len()) + 3
    };
    // The panel's own stay longer than its neighbours in the table.
    let rank = |row: &&Row| {
        // The way back to where one came from.
        if plays(row) || (view.remote.is_some() && row.first() == Command::Back) {
            1
        } else if belongs(row) {
            row.rank.saturating_sub(3).max(1)
        } else {
            row.rank
        }
    };
    while rows.iter().map(columns).sum::<usize>() > room + 2 {
        let Some(worst) = rows.iter().map(rank).max() else { break };
        let Some(place) = rows.iter().rposition(|row| rank(row) == worst) else { break };
        rows.remove(place);
    }
    rows.iter().map(entry).filter(|(label, _)| !label.is_empty()).collect()
}
