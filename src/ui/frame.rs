//! One frame: what is shown at which size. Numbers before graphs; panels drop from the bottom.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::keys::Screen;
use super::state::View;
use super::theme::Theme;
use super::{
    banner, chart, connections, cost, engines, events, header, help, limit_table, limits, peers, program, statusbar,
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
    let shown = view.shown(model);
    let mut rest = Rows(area);
    header::draw(buf, rest.top(1), shown, theme);
    // A death is news even to a frozen screen.
    let lines = banner::lines(model, view.failure.as_deref(), area.width);
    banner::draw(buf, rest.top(lines.len() as u16), &lines, theme);
    statusbar::draw(buf, rest.bottom(1), model, view, theme);
    let small = area.width < SMALL.0 || area.height < SMALL.1;
    if small {
        small_screen(buf, rest, shown, view, theme);
    } else {
        // One row more for where the target came from, if that needs saying and costs no panel.
        let note = shown.setup().target_note.is_some() && area.height >= WIDE.1;
        connections::draw(buf, rest.top(if note { 4 } else { 3 }), shown, theme);
        let wide_enough = area.width >= WIDE.0 && area.height >= WIDE.1;
        let watched = shown.program();
        match (view.screen, &watched) {
            (Screen::Overview, Some(program)) if wide_enough => wide_program(buf, &rest, shown, program, view, theme),
            (Screen::Overview, Some(program)) => stacked_program(buf, rest, shown, program, view, theme),
            (Screen::Engines, Some(program)) => whole_program(buf, rest, shown, program, view, theme),
            (Screen::Overview, None) if wide_enough => wide(buf, rest, shown, view, theme),
            (Screen::Overview, None) => stacked(buf, rest, shown, view, theme),
            (Screen::Memory, _) => memory(buf, rest, shown, view, theme),
            (Screen::Limits, _) => limit_table::draw(buf, rest.0, shown, view.chosen(shown), theme),
            (Screen::Engines, None) => engines::draw(buf, rest.0, shown, theme),
        }
    }
    if view.help {
        help::draw(buf, area, theme);
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
fn wide(buf: &mut Buffer, mut rest: Rows, model: &Model, view: &View, theme: Theme) {
    let right = (rest.0.width * 9 / 20).clamp(limits::full_width(), 90);
    let low = rest.bottom((rest.0.height / 3).clamp(8, 13));
    let (chart_area, limits_area) = beside(rest.0, right);
    let (cost_area, events_area) = beside(low, right);
    draw_chart(buf, chart_area, model, view, theme);
    limits::draw(buf, limits_area, model, theme);
    cost::draw(buf, cost_area, model, theme);
    events::draw(buf, events_area, model, view.chosen_event(model), theme);
}

/// ```text
/// limits          │ cost
/// chart
/// events
/// ```
fn stacked(buf: &mut Buffer, mut rest: Rows, model: &Model, view: &View, theme: Theme) {
    let numbers = rest.top((rest.0.height * 2 / 5).clamp(6, 12));
    if numbers.width >= 78 {
        let (limits_area, cost_area) = beside(numbers, numbers.width / 5 * 2);
        limits::draw(buf, limits_area, model, theme);
        cost::draw(buf, cost_area, model, theme);
    } else {
        limits::draw(buf, numbers, model, theme);
    }
    // Drawn where they fit whole: first the chart goes, then the events.
    let low = if rest.0.height >= 11 { rest.bottom((rest.0.height / 3).max(4)) } else { rest.bottom(3) };
    if rest.0.height >= 5 {
        draw_chart(buf, rest.0, model, view, theme);
        events::draw(buf, low, model, view.chosen_event(model), theme);
    } else {
        let both = Rect { y: rest.0.y, height: rest.0.height + low.height, ..low };
        events::draw(buf, both, model, view.chosen_event(model), theme);
    }
}

/// ```text
/// processes                 │ limits
/// listens on                │
/// chart                     │ events
/// ```
fn wide_program(buf: &mut Buffer, rest: &Rows, model: &Model, watched: &ProcessLine, view: &View, theme: Theme) {
    let right = (rest.0.width * 2 / 5).clamp(limits::full_width(), 90);
    let (left, right) = beside(rest.0, right);
    let (processes, listeners) = program::heights(watched);
    let (mut left, mut right) = (Rows(left), Rows(right));
    let most = left.0.height * 2 / 5;
    program::processes(buf, left.top(processes.min(most)), model, watched, theme);
    program::listeners(buf, left.top(listeners.min(most / 2)), watched, None, theme);
    draw_chart(buf, left.0, model, view, theme);
    limits::draw(buf, right.top(right.0.height / 2), model, theme);
    events::draw(buf, right.0, model, view.chosen_event(model), theme);
}

/// ```text
/// processes
/// listens on
/// limits
/// chart, where there is room
/// events
/// ```
fn stacked_program(buf: &mut Buffer, mut rest: Rows, model: &Model, watched: &ProcessLine, view: &View, theme: Theme) {
    let height = rest.0.height;
    let (processes, listeners) = program::heights(watched);
    program::processes(buf, rest.top(processes.min((height / 3).max(4))), model, watched, theme);
    program::listeners(buf, rest.top(listeners.min((height / 5).max(4))), watched, None, theme);
    limits::draw(buf, rest.top((height / 4).max(4)), model, theme);
    if rest.0.height >= 14 {
        draw_chart(buf, rest.top(rest.0.height - 6), model, view, theme);
    }
    events::draw(buf, rest.0, model, view.chosen_event(model), theme);
}

/// All its processes, and what it listens on; or who is connected there.
fn whole_program(buf: &mut Buffer, mut rest: Rows, model: &Model, watched: &ProcessLine, view: &View, theme: Theme) {
    if let Some(opened) = &view.opened {
        return peers::draw(buf, rest.0, watched, opened, theme);
    }
    let (processes, listeners) = program::heights(watched);
    if rest.0.height < BOTH {
        // What can be chosen from.
        return program::listeners(buf, rest.0, watched, Some(view.chosen_listener(watched)), theme);
    }
    let below = rest.bottom(listeners.min(rest.0.height / 3));
    program::processes(buf, rest.top(processes), model, watched, theme);
    program::listeners(buf, below, watched, Some(view.chosen_listener(watched)), theme);
}

/// The chart over as much as possible, the cost below it.
fn memory(buf: &mut Buffer, mut rest: Rows, model: &Model, view: &View, theme: Theme) {
    if rest.0.height >= 14 {
        let low = rest.bottom((rest.0.height / 3).clamp(5, 12));
        cost::draw(buf, low, model, theme);
    }
    draw_chart(buf, rest.0, model, view, theme);
}

fn draw_chart(buf: &mut Buffer, area: Rect, model: &Model, view: &View, theme: Theme) {
    let nearest = model.nearest().map(|l| l.state);
    chart::draw(buf, area, &model.chart(view.axis(model), None), nearest, theme);
}

/// Count, nearest limit, then the list of the view as far as it goes.
fn small_screen(buf: &mut Buffer, mut rest: Rows, model: &Model, view: &View, theme: Theme) {
    connections::draw_small(buf, rest.top(if rest.0.height >= 5 { 3 } else { 1 }), model, theme);
    limits::draw_nearest(buf, rest.top(1), model, theme);
    match view.screen {
        Screen::Overview if rest.0.height >= 3 => limits::draw(buf, rest.0, model, theme),
        Screen::Overview => {}
        Screen::Memory => memory(buf, rest, model, view, theme),
        Screen::Limits => limit_table::draw(buf, rest.0, model, view.chosen(model), theme),
        Screen::Engines => match model.program() {
            Some(watched) => whole_program(buf, rest, model, watched, view, theme),
            None => engines::draw(buf, rest.0, model, theme),
        },
    }
}
