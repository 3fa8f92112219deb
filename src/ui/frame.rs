//! One frame: what is shown at which size. Numbers before graphs; panels drop from the bottom.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::keys::Screen;
use super::panels::{self, Panel};
use super::state::View;
use super::theme::Theme;
use super::{
    banner, chart, connections, cost, engines, events, glyphs, header, help, limit_table, limits, peers, program,
    statusbar,
};
use crate::model::{Model, ProcessLine};

/// From this size on there is room for panels side by side with the chart.
const WIDE: (u16, u16) = (110, 28);
/// Rows that processes and listeners need to have one of each.
const BOTH: u16 = 8;
/// Below this size panels make no sense: a few rows of numbers instead.
const SMALL: (u16, u16) = (60, 16);

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
    for (panel, place) in &panels {
        let focused = focus == Some(*panel);
        draw_panel(buf, *place, *panel, shown, view, Look { theme, focused, small: is_small(area) });
    }
    if view.help {
        help::draw(buf, area, view, theme);
    }
    glyphs::reduce(buf, theme.charset);
}

/// How one panel is drawn.
#[derive(Debug, Clone, Copy)]
struct Look {
    theme: Theme,
    focused: bool,
    small: bool,
}

fn draw_panel(buf: &mut Buffer, area: Rect, panel: Panel, model: &Model, view: &View, look: Look) {
    let theme = look.theme;
    let watched = model.program();
    match (panel, &watched) {
        (Panel::Count, _) if look.small => connections::draw_small(buf, area, model, theme),
        (Panel::Count, _) => connections::draw(buf, area, model, theme),
        (Panel::Next, _) => limits::draw_nearest(buf, area, model, theme),
        (Panel::Memory | Panel::OverTime, _) => draw_chart(buf, area, model, view, theme),
        (Panel::Limits, _) if view.screen == Screen::Limits => {
            let rows = view.limit_rows(model);
            limit_table::draw(buf, area, model, &rows.rows, view.chosen_limit(&rows), theme);
        }
        (Panel::Limits, _) => limits::draw(buf, area, model, theme),
        (Panel::Cost, _) => cost::draw(buf, area, model, theme),
        (Panel::Events, _) => {
            let rows = view.event_rows(model);
            events::draw(buf, area, model, &rows, view.chosen_event(&rows), theme);
        }
        (Panel::Engines, _) => engines::draw(buf, area, model, theme),
        (Panel::Processes, Some(watched)) => program::processes(buf, area, model, watched, theme),
        (Panel::Listeners, Some(watched)) => {
            let rows = view.listener_rows(watched);
            let chosen = look.focused.then(|| view.chosen_listener(&rows));
            program::listeners(buf, area, &rows, chosen, theme);
        }
        (Panel::Peers, Some(watched)) => {
            if let Some(opened) = &view.opened {
                peers::draw(buf, area, watched, opened, theme);
            }
        }
        (Panel::Processes | Panel::Listeners | Panel::Peers, None) => {}
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
    let small = is_small(area);
    if small {
        out.push((Panel::Count, rest.top(if rest.0.height >= 5 { 3 } else { 1 })));
        out.push((Panel::Next, rest.top(1)));
    } else {
        // One row more for where the target came from, if that needs saying and costs no panel.
        let note = shown.setup().target_note.is_some() && area.height >= WIDE.1;
        out.push((Panel::Count, rest.top(if note { 4 } else { 3 })));
    }
    if let Some(enlarged) = view.enlarged {
        out.retain(|(panel, _)| *panel != enlarged);
        out.push((enlarged, rest.0));
        return out;
    }
    let wide_enough = area.width >= WIDE.0 && area.height >= WIDE.1;
    let watched = shown.program();
    match (view.screen, &watched) {
        (Screen::Overview, _) if small && rest.0.height >= 3 => out.push((Panel::Limits, rest.0)),
        (Screen::Overview, _) if small => {}
        (Screen::Overview, Some(program)) if wide_enough => wide_program(&rest, program, &mut out),
        (Screen::Overview, Some(program)) => stacked_program(rest, program, &mut out),
        (Screen::Overview, None) if wide_enough => wide(rest, &mut out),
        (Screen::Overview, None) => stacked(rest, &mut out),
        (Screen::Memory, _) => memory(rest, &mut out),
        (Screen::Limits, _) => out.push((Panel::Limits, rest.0)),
        (Screen::Engines, Some(_)) if view.opened.is_some() => out.push((Panel::Peers, rest.0)),
        (Screen::Engines, Some(program)) => whole_program(rest, program, &mut out),
        (Screen::Engines, None) => out.push((Panel::Engines, rest.0)),
    }
    out.retain(|(_, place)| !place.is_empty());
    out
}

/// Whether there is only room for a few rows of numbers.
fn is_small(area: Rect) -> bool {
    area.width < SMALL.0 || area.height < SMALL.1
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

/// Two parts side by side, the right one `right` columns wide, a gap of two columns between.
fn beside(area: Rect, right: u16) -> (Rect, Rect) {
    let right = right.min(area.width);
    let left = Rect { width: area.width.saturating_sub(right + 2), ..area };
    (left, Rect { x: area.x + area.width - right, width: right, ..area })
}

/// ```text
/// chart                     │ limits
/// cost                      │ events
/// ```
fn wide(mut rest: Rows, out: &mut Vec<(Panel, Rect)>) {
    let right = (rest.0.width * 9 / 20).clamp(limits::full_width(), 90);
    let low = rest.bottom((rest.0.height / 3).clamp(8, 13));
    let (chart_area, limits_area) = beside(rest.0, right);
    let (cost_area, events_area) = beside(low, right);
    out.extend([
        (Panel::Memory, chart_area),
        (Panel::Limits, limits_area),
        (Panel::Cost, cost_area),
        (Panel::Events, events_area),
    ]);
}

/// ```text
/// limits          │ cost
/// chart
/// events
/// ```
fn stacked(mut rest: Rows, out: &mut Vec<(Panel, Rect)>) {
    let numbers = rest.top((rest.0.height * 2 / 5).clamp(6, 12));
    if numbers.width >= 78 {
        let (limits_area, cost_area) = beside(numbers, numbers.width / 5 * 2);
        out.extend([(Panel::Limits, limits_area), (Panel::Cost, cost_area)]);
    } else {
        out.push((Panel::Limits, numbers));
    }
    // Drawn where they fit whole: first the chart goes, then the events.
    let low = if rest.0.height >= 11 { rest.bottom((rest.0.height / 3).max(4)) } else { rest.bottom(3) };
    if rest.0.height >= 5 {
        out.extend([(Panel::Memory, rest.0), (Panel::Events, low)]);
    } else {
        let both = Rect { y: rest.0.y, height: rest.0.height + low.height, ..low };
        out.push((Panel::Events, both));
    }
}

/// ```text
/// processes                 │ limits
/// listens on                │
/// chart                     │ events
/// ```
fn wide_program(rest: &Rows, watched: &ProcessLine, out: &mut Vec<(Panel, Rect)>) {
    let right = (rest.0.width * 2 / 5).clamp(limits::full_width(), 90);
    let (left, right) = beside(rest.0, right);
    let (processes, listeners) = program::heights(watched);
    let (mut left, mut right) = (Rows(left), Rows(right));
    let most = left.0.height * 2 / 5;
    out.push((Panel::Processes, left.top(processes.min(most))));
    out.push((Panel::Listeners, left.top(listeners.min(most / 2))));
    out.push((Panel::Memory, left.0));
    out.push((Panel::Limits, right.top(right.0.height / 2)));
    out.push((Panel::Events, right.0));
}

/// ```text
/// processes
/// listens on
/// limits
/// chart, where there is room
/// events
/// ```
fn stacked_program(mut rest: Rows, watched: &ProcessLine, out: &mut Vec<(Panel, Rect)>) {
    let height = rest.0.height;
    let (processes, listeners) = program::heights(watched);
    out.push((Panel::Processes, rest.top(processes.min((height / 3).max(4)))));
    out.push((Panel::Listeners, rest.top(listeners.min((height / 5).max(4)))));
    out.push((Panel::Limits, rest.top((height / 4).max(4))));
    if rest.0.height >= 14 {
        out.push((Panel::Memory, rest.top(rest.0.height - 6)));
    }
    out.push((Panel::Events, rest.0));
}

/// All its processes, and what it listens on.
fn whole_program(mut rest: Rows, watched: &ProcessLine, out: &mut Vec<(Panel, Rect)>) {
    let (processes, listeners) = program::heights(watched);
    if rest.0.height < BOTH {
        // What can be chosen from.
        out.push((Panel::Listeners, rest.0));
        return;
    }
    let below = rest.bottom(listeners.min(rest.0.height / 3));
    out.push((Panel::Processes, rest.top(processes)));
    out.push((Panel::Listeners, below));
}

/// The chart over as much as possible, the cost below it.
fn memory(mut rest: Rows, out: &mut Vec<(Panel, Rect)>) {
    let low = (rest.0.height >= 14).then(|| rest.bottom((rest.0.height / 3).clamp(5, 12)));
    out.push((Panel::Memory, rest.0));
    out.extend(low.map(|low| (Panel::Cost, low)));
}

fn draw_chart(buf: &mut Buffer, area: Rect, model: &Model, view: &View, theme: Theme) {
    let nearest = model.nearest().map(|l| l.state);
    chart::draw(buf, area, &model.chart(view.axis(model), None), nearest, theme);
}
