//! One frame: what is where at which size. As on the screen of a run the sum, what comes next and whether anything is wrong keep
//! their places, and the footer has the keys.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::board::{Board, Pane};
use super::{events, footer, memory, next, table, total, worker};
use crate::fleet::FleetView;
use crate::model::RunPhase;
use crate::ui::glyphs;
use crate::ui::panel::Look;
use crate::ui::text::{put, put_right, width, wrap};
use crate::ui::theme::Theme;
use crate::units;

/// From this size on panels stand in boxes.
const BOXED: (u16, u16) = (100, 30);
/// Below this size there is room for the sum and the rows alone.
const SMALL: (u16, u16) = (60, 16);
/// Columns from which on the chart and the events stand beside the workers.
const BESIDE: u16 = 180;

/// Draws the screen.
pub fn draw(frame: &mut Frame<'_>, board: &Board, theme: Theme) {
    let area = frame.area();
    let buf = frame.buffer_mut();
    if area.is_empty() {
        return;
    }
    buf.set_style(area, theme.ground());
    let last = Rect { y: area.y + area.height - 1, height: 1, ..area };
    header(buf, Rect { height: 1, ..area }, board, theme);
    if let Some(view) = &board.view {
        for (panel, place) in layout(area, view, board) {
            let look = Look { theme, boxed: is_boxed(area), focused: panel == Panel::Of(focus(area, view, board)) };
            draw_panel(buf, place, panel, board, view, look);
        }
    } else {
        nobody(buf, area, board, theme);
    }
    footer::draw(buf, last, board, theme);
    if board.help {
        footer::help(buf, area, board, theme);
    }
    glyphs::reduce(buf, theme.charset);
}

/// What has a place of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Panel {
    Total,
    Next,
    /// One that can have the focus.
    Of(Pane),
    /// The chosen worker.
    Worker,
}

impl Panel {
    /// What can have the focus.
    pub(super) fn pane(self) -> Option<Pane> {
        if let Panel::Of(pane) = self { Some(pane) } else { None }
    }
}

fn is_boxed(area: Rect) -> bool {
    area.width >= BOXED.0 && area.height >= BOXED.1
}

fn draw_panel(buf: &mut Buffer, area: Rect, panel: Panel, board: &Board, view: &FleetView, look: Look) {
    match panel {
        Panel::Total => total::draw(buf, area, view, look),
        Panel::Next => next::draw(buf, area, board, view, look),
        Panel::Of(Pane::Workers) => table::draw(buf, area, board, view, look),
        Panel::Of(Pane::Memory) => memory::draw(buf, area, board, view, look),
        Panel::Of(Pane::Events) => events::draw(buf, area, board, view, look),
        Panel::Worker => match board.opened_row() {
            Some(row) => worker::draw(buf, area, view, row, look),
            None => worker::gone(buf, area, look),
        },
    }
}

/// Where each panel stands: what is drawn, what Tab goes through and what a click finds.
pub(super) fn layout(area: Rect, view: &FleetView, board: &Board) -> Vec<(Panel, Rect)> {
    let boxed = is_boxed(area);
    let mut rest = Rect { y: area.y + 1, height: area.height.saturating_sub(2), ..area };
    let mut top = |height: u16| {
        let taken = Rect { height: height.min(rest.height), ..rest };
        rest.y += taken.height;
        rest.height -= taken.height;
        taken
    };
    let small = area.width < SMALL.0 || area.height < SMALL.1;
    let total = match (boxed, small) {
        (true, _) => 5,
        (false, false) => 3,
        (false, true) => 2,
    };
    let mut out = vec![(Panel::Total, top(total)), (Panel::Next, top(if area.height >= 28 { 2 } else { 1 }))];
    if board.opened {
        out.push((Panel::Worker, rest));
    } else if let Some(pane) = board.enlarged {
        out.push((Panel::Of(pane), rest));
    } else if small {
        out.push((Panel::Of(Pane::Workers), rest));
    } else {
        panes(rest, view, boxed, &mut out);
    }
    out.retain(|(_, place)| !place.is_empty());
    out
}

/// The workers come first: as many rows as there are, as long as one line of events has room. What they leave is for the server's
/// memory and the events, side by side, or beside the workers on a wide screen.
fn panes(rest: Rect, view: &FleetView, boxed: bool, out: &mut Vec<(Panel, Rect)>) {
    let frame = if boxed { 2 } else { 1 };
    let has_memory = view.memory.is_some();
    let split = |area: Rect, right: u16| {
        let gap = if boxed { 0 } else { 2 };
        let left = Rect { width: area.width.saturating_sub(right + gap), ..area };
        (left, Rect { x: area.x + area.width - right, width: right, ..area })
    };
    if rest.width >= BESIDE && has_memory {
        let (left, right) = split(rest, rest.width * 9 / 25);
        let memory = Rect { height: right.height * 11 / 20, ..right };
        let events = Rect { y: right.y + memory.height, height: right.height - memory.height, ..right };
        return out.extend([
            (Panel::Of(Pane::Workers), left),
            (Panel::Of(Pane::Memory), memory),
            (Panel::Of(Pane::Events), events),
        ]);
    }
    let wanted = table::height(rest.width.saturating_sub(frame), view.rows.len()).saturating_add(frame);
    let workers = Rect { height: wanted.min(rest.height.saturating_sub(frame + 1)).max(rest.height.min(4)), ..rest };
    let below = Rect { y: rest.y + workers.height, height: rest.height - workers.height, ..rest };
    out.push((Panel::Of(Pane::Workers), workers));
    if has_memory && below.height >= 8 && below.width >= 76 {
        let (memory, events) = split(below, below.width * 9 / 20);
        out.extend([(Panel::Of(Pane::Memory), memory), (Panel::Of(Pane::Events), events)]);
    } else {
        out.push((Panel::Of(Pane::Events), below));
    }
}

/// The panel that has the focus: the chosen one if it is on the screen, else the first.
pub(super) fn focus(area: Rect, view: &FleetView, board: &Board) -> Pane {
    let there = layout(area, view, board);
    let mut panes = there.iter().filter_map(|(panel, _)| panel.pane());
    let first = panes.clone().next();
    panes.find(|pane| *pane == board.focus).or(first).unwrap_or_default()
}

/// The first row: which fleet, what it is doing, since when, and where it meets.
fn header(buf: &mut Buffer, area: Rect, board: &Board, theme: Theme) {
    let column = put(buf, area, 1, 0, "c1m-top", theme.strong()) + 2;
    let Some(view) = &board.view else {
        put(buf, area, column, 0, " FLEET ", theme.phase());
        return;
    };
    let (word, style) = phase(view, theme);
    let mut column = put(buf, area, column, 0, &format!(" {word:^11} "), style) + 1;
    let started = view.rows.iter().filter_map(|row| row.state.started_us).min();
    let since = started.map_or(0, |at| view.at_us.saturating_sub(at) / 1000);
    column = put(buf, area, column, 0, &units::clock(since), theme.text()) + 2;
    column = put(buf, area, column, 0, &format!("fleet {}", view.name), theme.text()) + 2;
    let old = board.trouble.as_ref().map(|_| "store unreachable, figures old".to_owned());
    let right = old.unwrap_or_else(|| board.place.clone());
    if usize::from(column) + width(&right) + 2 < usize::from(area.width) {
        let style = if board.trouble.is_some() { theme.alarm() } else { theme.dim() };
        put_right(buf, area, area.width - 1, 0, &right, style);
    }
}

/// What the fleet as a whole is doing: what the least advanced of its clients does.
fn phase(view: &FleetView, theme: Theme) -> (&'static str, ratatui::style::Style) {
    let any = |phases: &[RunPhase]| view.clients().any(|row| phases.contains(&row.state.phase));
    if view.is_over() {
        let failed = view.verdict.status() != 0;
        return ("ENDED", if failed { theme.alarm() } else { theme.phase() });
    }
    if view.count.running == 0 && view.count.waiting > 0 {
        return ("WAITING", theme.paused());
    }
    if view.guard.as_ref().is_some_and(|guard| guard.holds > 0) {
        return ("HELD", theme.paused());
    }
    for (phases, word) in [
        (&[RunPhase::Closing][..], "CLOSING"),
        (&[RunPhase::Paused], "PAUSED"),
        (&[RunPhase::Starting, RunPhase::Ramping], "RAMPING"),
        (&[RunPhase::Guarded], "HELD"),
        (&[RunPhase::Holding], "HOLDING"),
    ] {
        if any(phases) {
            return (word, if matches!(word, "PAUSED" | "HELD") { theme.paused() } else { theme.phase() });
        }
    }
    ("RUNNING", theme.phase())
}

/// Before any worker has come.
fn nobody(buf: &mut Buffer, area: Rect, board: &Board, theme: Theme) {
    let text = match &board.trouble {
        Some(why) => format!("The store does not answer: {why}"),
        None => format!(
            "No worker has joined {} yet. Start each with --fleet and this address, or set C1M_FLEET; they appear here \
             as they join.",
            board.place
        ),
    };
    for (row, line) in wrap(&text, usize::from(area.width.saturating_sub(4))).iter().enumerate() {
        put(buf, area, 2, 2 + row as u16, line, theme.text());
    }
}

/// The workers' panel on a screen of this size, and how it looks; `None` where it is not there.
pub(super) fn workers(board: &Board, view: &FleetView) -> Option<(Rect, Look)> {
    let panels = layout(board.area, view, board);
    let place = panels.into_iter().find(|(panel, _)| *panel == Panel::Of(Pane::Workers))?.1;
    let focused = focus(board.area, view, board) == Pane::Workers;
    Some((place, Look { theme: Theme::default(), boxed: is_boxed(board.area), focused }))
}
