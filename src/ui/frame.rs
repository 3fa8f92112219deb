//! One frame: what is where at which size. More room shows more panels.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::keys::Screen;
use super::panel::Look;
use super::panels::{self, Panel};
use super::state::View;
use super::theme::Theme;
use super::{
    banner, begin, chart, connections, cost, engines, events, glyphs, header, help, latency, limit_table, limits, next,
    over_time, peers, program, statusbar, strips,
};
use crate::model::{Model, ProcessLine};
use crate::protocol::Role;

/// From this size on panels stand in boxes.
const BOXED: (u16, u16) = (100, 30);
/// From this size on there is room for what is looked at now and then.
const LARGE: (u16, u16) = (160, 50);
/// Below this size panels make no sense: a few rows of numbers instead.
const SMALL: (u16, u16) = (60, 16);
/// Columns that two panels side by side need.
const PAIR: u16 = 76;
/// Rows that processes and listeners need to have one of each.
const BOTH: u16 = 8;

/// Draws the model as the view wants it.
pub fn draw(frame: &mut Frame<'_>, model: &Model, view: &View, theme: Theme) {
    let area = frame.area();
    let buf = frame.buffer_mut();
    if area.is_empty() {
        return;
    }
    buf.set_style(area, theme.ground());
    let shown = view.shown(model);
    let mut rest = Rows(area);
    header::draw(buf, rest.top(1), shown, theme);
    // A death is news even to a frozen screen.
    let lines = banner::lines(model, view.failure.as_deref(), area.width);
    banner::draw(buf, rest.top(lines.len() as u16), &lines, theme);
    let panels = layout(area, model, view);
    let focus = panels::focused(view.focus, &panels);
    statusbar::draw(buf, rest.bottom(1), model, view, focus, theme);
    // What the time cursor moves over goes on to now.
    let live = view.frozen.as_deref().unwrap_or(model);
    for (panel, place) in &panels {
        let look = Look { theme, boxed: has(area, BOXED), focused: focus == Some(*panel) };
        match panel {
            Panel::OverTime => {
                let shown = over_time::Shown { model: live, cursor: view.cursor, then: view.past.as_deref() };
                over_time::draw(buf, *place, &shown, look);
            }
            _ => draw_panel(buf, *place, *panel, shown, view, look),
        }
    }
    if view.help {
        help::draw(buf, area, view, theme);
    }
    glyphs::reduce(buf, theme.charset);
}

/// Connections at which the client lets the guard hold its ramp.
fn ceiling(model: &Model) -> Option<u64> {
    model.engine(Role::Client).filter(|client| client.alive)?.stats.as_ref()?.ceiling
}

fn draw_panel(buf: &mut Buffer, area: Rect, panel: Panel, model: &Model, view: &View, look: Look) {
    let watched = model.program();
    let enlarged = view.enlarged == Some(panel);
    match (panel, &watched) {
        (Panel::Count, _) if is_small(buf.area) => connections::draw_small(buf, area, model, look),
        (Panel::Count, _) => connections::draw(buf, area, model, look),
        (Panel::Next, _) => next::draw(buf, area, model, look),
        (Panel::Memory, _) => {
            let nearest = model.nearest().map(|l| l.state);
            chart::draw(buf, area, &model.chart(view.axis(model), view.range), nearest, ceiling(model), look);
        }
        (Panel::Limits, _) if view.screen == Screen::Limits || enlarged => {
            let rows = view.limit_rows(model);
            limit_table::draw(buf, area, model, &rows.rows, view.chosen_limit(&rows), look);
        }
        (Panel::Limits, _) => {
            let rows = view.limit_rows(model);
            limits::draw(buf, area, &rows, view.chosen_limit(&rows), look);
        }
        (Panel::Cost, _) => cost::draw(buf, area, model, look),
        (Panel::Events, _) => {
            let rows = view.event_rows(model);
            events::draw(buf, area, model, &rows, view.chosen_event(&rows), enlarged, look);
        }
        (Panel::Engines, _) => engines::draw(buf, area, model, look),
        (Panel::Latency, _) => latency::draw(buf, area, model, look),
        (Panel::Strips, _) => strips::draw(buf, area, model, look),
        (Panel::Begin, _) => begin::draw(buf, area, look),
        (Panel::Processes, Some(watched)) => {
            let rows = view.member_rows(watched);
            let chosen = look.focused.then(|| view.chosen_member(&rows));
            program::processes(buf, area, model, watched, (&rows, chosen), look);
        }
        (Panel::Listeners, Some(watched)) => {
            let rows = view.listener_rows(watched);
            let chosen = look.focused.then(|| view.chosen_listener(&rows));
            program::listeners(buf, area, &rows, chosen, look);
        }
        (Panel::Peers, Some(watched)) => {
            if let Some(opened) = &view.opened {
                peers::draw(buf, area, watched, opened, look);
            }
        }
        (Panel::OverTime | Panel::Processes | Panel::Listeners | Panel::Peers, _) => {}
    }
}

/// The row of a list that stands at a height of the screen; `None` where there is none.
pub(super) fn row_at(screen: Rect, (panel, area): (Panel, Rect), model: &Model, view: &View, y: u16) -> Option<usize> {
    let focus = panels::focused(view.focus, &layout(screen, model, view));
    let look = Look { theme: Theme::default(), boxed: has(screen, BOXED), focused: focus == Some(panel) };
    let enlarged = view.enlarged == Some(panel);
    match (panel, model.program()) {
        (Panel::Limits, _) => {
            let rows = view.limit_rows(model);
            let chosen = view.chosen_limit(&rows);
            if view.screen == Screen::Limits || enlarged {
                return limit_table::row_at(area, rows.rows.len(), chosen, look, y);
            }
            limits::row_at(area, &rows, chosen, look, y)
        }
        (Panel::Events, _) => {
            let rows = view.event_rows(model);
            events::row_at(area, &rows, view.chosen_event(&rows), enlarged, look, y)
        }
        (Panel::Processes, Some(watched)) => {
            let rows = view.member_rows(watched);
            let all = if rows.len() < watched.members.len() { rows.len() } else { watched.processes as usize };
            program::row_at(area, rows.len(), all - rows.len(), view.chosen_member(&rows), look, y)
        }
        (Panel::Listeners, Some(watched)) => {
            let rows = view.listener_rows(watched);
            program::row_at(area, rows.len(), 0, view.chosen_listener(&rows), look, y)
        }
        _ => None,
    }
}

/// Where each panel stands: what is drawn, what Tab goes through and what a click finds.
pub(super) fn layout(area: Rect, model: &Model, view: &View) -> Vec<(Panel, Rect)> {
    let shown = view.shown(model);
    let mut rest = Rows(area);
    rest.top(1);
    rest.top(banner::lines(model, view.failure.as_deref(), area.width).len() as u16);
    rest.bottom(1);
    let mut out = Vec::new();
    let (small, boxed) = (is_small(area), has(area, BOXED));
    if small {
        out.push((Panel::Count, rest.top(if rest.0.height >= 5 { 3 } else { 1 })));
        out.push((Panel::Next, rest.top(1)));
    } else {
        // One row more for where the target came from, if that needs saying and costs no panel: a box has a place for it.
        let note = u16::from(shown.setup().target_note.is_some() && area.height >= 28);
        out.push((Panel::Count, rest.top(if boxed { 5 } else { 3 + note })));
        out.push((Panel::Next, rest.top(if area.height >= 28 { 2 } else { 1 })));
    }
    if let Some(enlarged) = view.enlarged {
        out.retain(|(panel, _)| *panel != enlarged);
        out.push((enlarged, rest.0));
        return out;
    }
    let size = Size { boxed, large: has(area, LARGE), small };
    let watched = shown.program();
    match (view.screen, &watched) {
        (Screen::Overview, _) if small && rest.0.height >= 3 => out.push((Panel::Limits, rest.0)),
        (Screen::Overview, _) if small => {}
        (Screen::Overview, Some(program)) if boxed => wide_program(&rest, program, size, &mut out),
        (Screen::Overview, Some(program)) => stacked_program(rest, program, size, &mut out),
        (Screen::Overview, None) => {
            if is_idle(shown) {
                out.push((Panel::Begin, rest.top(begin::ROWS + size.frame())));
                idle(rest, size, &mut out);
            } else {
                let limits = view.limit_rows(shown);
                let rows = limits.rows.len() as u16 + u16::from(!limits.folded.is_empty());
                overview(rest, rows, size, &mut out);
            }
        }
        (Screen::Memory, _) => memory(rest, size, &mut out),
        (Screen::Limits, _) => {
            // Every limit has its row before anything else has one.
            let rows = shown.limits().len() as u16 + 18;
            if rest.0.height >= rows + 10 && !small {
                out.push((Panel::OverTime, rest.bottom((rest.0.height - rows).min(24))));
            }
            out.insert(out.len().min(2), (Panel::Limits, rest.0));
        }
        (Screen::Engines, Some(_)) if view.opened.is_some() => out.push((Panel::Peers, rest.0)),
        (Screen::Engines, Some(program)) => whole_program(rest, program, size, &mut out),
        (Screen::Engines, None) => engines_screen(rest, size, &mut out),
    }
    out.retain(|(_, place)| !place.is_empty());
    out
}

fn has(area: Rect, (width, height): (u16, u16)) -> bool {
    area.width >= width && area.height >= height
}

/// Whether there is only room for a few rows of numbers.
fn is_small(area: Rect) -> bool {
    !has(area, SMALL)
}

/// Whether nothing runs and nothing is watched: only the machine is seen.
fn is_idle(model: &Model) -> bool {
    model.setup().target.is_none()
        && model.engines().is_empty()
        && model.program().is_none()
        && !model.setup().own_engines
}

/// Which panels there is room for.
#[derive(Debug, Clone, Copy)]
struct Size {
    boxed: bool,
    large: bool,
    small: bool,
}

impl Size {
    /// Rows that a panel's frame takes.
    fn frame(self) -> u16 {
        if self.boxed { 2 } else { 1 }
    }

    /// Two parts side by side, the right one `right` columns wide. Boxes touch; what has no sides has a gap of two columns.
    fn beside(self, area: Rect, right: u16) -> (Rect, Rect) {
        let right = right.min(area.width);
        let gap = if self.boxed { 0 } else { 2 };
        let left = Rect { width: area.width.saturating_sub(right + gap), ..area };
        (left, Rect { x: area.x + area.width - right, width: right, ..area })
    }
}

/// What is left of the screen, taken from above and below.
struct Rows(Rect);

impl Rows {
    /// The next `height` rows, or as many as are left.
    fn top(&mut self, height: u16) -> Rect {
        let taken = Rect { height: height.min(self.0.height), ..self.0 };
        self.0.y += taken.height;
        self.0.height -= taken.height;
        taken
    }

    /// The last `height` rows.
    fn bottom(&mut self, height: u16) -> Rect {
        let height = height.min(self.0.height);
        self.0.height -= height;
        Rect { y: self.0.y + self.0.height, height, ..self.0 }
    }
}

/// ```text
/// memory                    │ over time
/// limits                    │ cost, how long it takes│ spread
/// events                    │                        │
/// ```
/// In the middle size the second row is limits, cost and events, in the small one limits and events; where there is no room for two
/// side by side, each stands alone. `rows` is how many limits there are to show.
fn overview(mut rest: Rows, rows: u16, size: Size, out: &mut Vec<(Panel, Rect)>) {
    let (width, height) = (rest.0.width, rest.0.height);
    if width < PAIR {
        let limits = rest.top((height / 3).max(5));
        if rest.0.height >= 12 {
            out.push((Panel::Memory, rest.top(rest.0.height - 5)));
        }
        out.extend([(Panel::Limits, limits), (Panel::Events, rest.0)]);
        return;
    }
    if height >= 13 {
        let (memory, over_time) = size.beside(rest.top(height * 11 / 20), width * 9 / 20);
        out.extend([(Panel::Memory, memory), (Panel::OverTime, over_time)]);
    }
    if !size.boxed {
        let (limits, events) = size.beside(rest.0, width * 9 / 20);
        return out.extend([(Panel::Limits, limits), (Panel::Events, events)]);
    }
    let (limits, right) = size.beside(rest.0, width * 11 / 20);
    let (middle, events) = size.beside(right, right.width * 11 / 20);
    if size.large {
        // Limits as many as there are, and below them sentences that are read whole.
        let (mut left, mut middle) = (Rows(limits), Rows(middle));
        let (rows, height) = (rows + size.frame(), left.0.height);
        out.push((Panel::Limits, left.top(rows.clamp(6, height * 3 / 5))));
        out.push((Panel::Events, left.0));
        out.push((Panel::Cost, middle.top(12)));
        out.extend([(Panel::Latency, middle.0), (Panel::Strips, events)]);
    } else {
        out.extend([(Panel::Limits, limits), (Panel::Cost, middle), (Panel::Events, events)]);
    }
}

/// The machine alone.
/// ```text
/// memory                    │ over time
/// limits                    │ events
/// ```
fn idle(mut rest: Rows, size: Size, out: &mut Vec<(Panel, Rect)>) {
    let (width, height) = (rest.0.width, rest.0.height);
    if height < 13 || width < PAIR {
        return out.push((Panel::Limits, rest.0));
    }
    let (limits, events) = size.beside(rest.bottom((height / 3).clamp(5, 12)), width * 9 / 20);
    let (memory, over_time) = size.beside(rest.0, width * 9 / 20);
    out.extend([
        (Panel::Memory, memory),
        (Panel::OverTime, over_time),
        (Panel::Limits, limits),
        (Panel::Events, events),
    ]);
}

/// ```text
/// processes                 │ over time
/// listens on                │
/// memory                    │ limits
///                           │ events
/// ```
fn wide_program(rest: &Rows, watched: &ProcessLine, size: Size, out: &mut Vec<(Panel, Rect)>) {
    let right = (rest.0.width * 9 / 20).clamp(limits::full_width(), 96);
    let (left, right) = size.beside(rest.0, right);
    let (processes, listeners) = program::heights(watched);
    let (mut left, mut right) = (Rows(left), Rows(right));
    let most = left.0.height * 2 / 5;
    out.push((Panel::Processes, left.top((processes + size.frame()).min(most))));
    out.push((Panel::Listeners, left.top((listeners + size.frame()).min(most).max(4))));
    out.push((Panel::Memory, left.0));
    let height = right.0.height;
    out.push((Panel::OverTime, right.top(height * 2 / 5)));
    out.push((Panel::Limits, right.top(height * 7 / 20)));
    out.push((Panel::Events, right.0));
}

/// ```text
/// processes
/// listens on
/// limits                     │ events
/// memory, where there is room│ over time
/// ```
/// In between what changes with time has the whole width.
fn stacked_program(mut rest: Rows, watched: &ProcessLine, size: Size, out: &mut Vec<(Panel, Rect)>) {
    let height = rest.0.height;
    let (processes, listeners) = program::heights(watched);
    out.push((Panel::Processes, rest.top((processes + size.frame()).min((height / 3).max(4)))));
    out.push((Panel::Listeners, rest.top((listeners + size.frame()).min((height / 3).max(4)))));
    if rest.0.height >= 16 && rest.0.width >= PAIR {
        let (memory, over_time) = size.beside(rest.bottom(rest.0.height / 2), rest.0.width * 9 / 20);
        out.extend([(Panel::Memory, memory), (Panel::OverTime, over_time)]);
    } else if rest.0.height >= 9 {
        out.push((Panel::OverTime, rest.bottom(4)));
    }
    if rest.0.width >= PAIR {
        let (limits, events) = size.beside(rest.0, rest.0.width * 9 / 20);
        out.extend([(Panel::Limits, limits), (Panel::Events, events)]);
    } else {
        out.push((Panel::Limits, rest.top((rest.0.height / 2).max(4))));
        out.push((Panel::Events, rest.0));
    }
}

/// All its processes, and what it listens on; below, where there is room, what changes with time.
fn whole_program(mut rest: Rows, watched: &ProcessLine, size: Size, out: &mut Vec<(Panel, Rect)>) {
    let (processes, listeners) = program::heights(watched);
    if rest.0.height < BOTH {
        // What can be chosen from.
        out.push((Panel::Listeners, rest.0));
        return;
    }
    let (processes, listeners) = (processes + size.frame(), listeners + size.frame());
    if rest.0.height >= processes + listeners + 6 && !size.small {
        out.push((Panel::Processes, rest.top(processes)));
        out.push((Panel::Listeners, rest.top(listeners)));
        if rest.0.height >= 14 && rest.0.width >= PAIR {
            let (memory, over_time) = size.beside(rest.0, rest.0.width * 9 / 20);
            out.extend([(Panel::Memory, memory), (Panel::OverTime, over_time)]);
        } else {
            out.push((Panel::OverTime, rest.0));
        }
        return;
    }
    let below = rest.bottom(listeners.min((rest.0.height / 2).max(5)));
    out.push((Panel::Processes, rest.0));
    out.push((Panel::Listeners, below));
}

/// The chart over as much as possible, the cost and what changes with time below it.
fn memory(mut rest: Rows, size: Size, out: &mut Vec<(Panel, Rect)>) {
    let height = rest.0.height;
    let low = if height >= 14 { rest.bottom((height / 3).clamp(6, 22)) } else { Rect::ZERO };
    out.push((Panel::Memory, rest.0));
    if low.width >= PAIR {
        let (cost, over_time) = size.beside(low, low.width / 2);
        out.extend([(Panel::Cost, cost), (Panel::OverTime, over_time)]);
    } else {
        out.push((Panel::Cost, low));
    }
}

/// ```text
/// engines         │ how long it takes
///                 │ spread
/// over time
/// ```
fn engines_screen(mut rest: Rows, size: Size, out: &mut Vec<(Panel, Rect)>) {
    let height = rest.0.height;
    if !size.boxed {
        if height >= 18 && rest.0.width >= PAIR {
            let (takes, spread) = size.beside(rest.bottom(6), rest.0.width / 2);
            out.extend([(Panel::Latency, takes), (Panel::Strips, spread)]);
        }
        out.insert(out.len().min(2), (Panel::Engines, rest.0));
        return;
    }
    let low = if height >= 34 { rest.bottom((height / 3).max(12)) } else { Rect::ZERO };
    let (engines, right) = size.beside(rest.0, (rest.0.width * 9 / 20).min(110));
    let mut right = Rows(right);
    out.push((Panel::Engines, engines));
    out.push((Panel::Latency, right.top((right.0.height * 9 / 20).min(20))));
    out.push((Panel::Strips, right.0));
    out.push((Panel::OverTime, low));
}
