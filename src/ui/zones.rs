//! What happens at which size, behind the chart of memory: what may be used, where the guard holds a ramp, and where the kernel
//! kills. By colour and by pattern, for those who see no colours.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::axis::unit;
use super::panel::Look;
use super::text::{mark as mark_at, put, width};
use crate::limits::LimitState;
use crate::model::chart::{Chart, Zone, ZoneKind};

/// The rows of a plot that a zone takes, from above; `None` where it is not on the screen.
fn rows(zone: &Zone, plot: Rect, chart: &Chart) -> Option<(u16, u16)> {
    let row = |bytes: f64| {
        let above = 1.0 - unit(bytes.min(chart.y_bounds.1), chart.y_bounds);
        (above.clamp(0.0, 1.0) * f64::from(plot.height)).round() as u16
    };
    let (from, to) = (row(zone.to), row(zone.from));
    (from < to).then_some((from, to))
}

fn look_of(kind: ZoneKind, look: Look) -> (&'static str, u16, Style) {
    match (kind, look.is_plain()) {
        (ZoneKind::Safe, false) => ("·", 14, look.bar(LimitState::Ok).patch(look.dim())),
        (ZoneKind::Safe, true) => (".", 14, look.dim()),
        (ZoneKind::Guard, false) => ("·", 3, look.bar(LimitState::Warn)),
        (ZoneKind::Guard, true) => (".", 3, look.bar(LimitState::Warn)),
        (ZoneKind::Oom, false) => ("░", 1, look.bar(LimitState::Critical)),
        (ZoneKind::Oom, true) => ("x", 2, look.bar(LimitState::Critical)),
    }
}

/// Draws the zones, under everything that follows.
pub(super) fn draw(buf: &mut Buffer, plot: Rect, chart: &Chart, look: Look) {
    for zone in &chart.zones {
        let Some((from, to)) = rows(zone, plot, chart) else { continue };
        let (mark, every, style) = look_of(zone.kind, look);
        for row in from..to {
            // Rows of sparse marks are set off, so that they make a pattern and no columns.
            for column in (0..plot.width).skip(usize::from(row % 2 * (every / 2))).step_by(every.into()) {
                mark_at(buf, plot, column, row, mark, style);
            }
        }
    }
}

/// Says what each zone is, where that covers nothing.
pub(super) fn label(buf: &mut Buffer, plot: Rect, chart: &Chart, used: impl Fn(u16, u16) -> bool, look: Look) {
    for zone in &chart.zones {
        let Some((from, to)) = rows(zone, plot, chart) else { continue };
        let text = match zone.kind {
            ZoneKind::Safe => continue,
            ZoneKind::Guard => " the guard holds here ",
            ZoneKind::Oom => " OOM kills here ",
        };
        let wide = width(text) as u16;
        let (_, _, style) = look_of(zone.kind, look);
        let mark = look.limit_marks().1;
        // A row that has no limit's name on it, and a place where no line passes.
        let free = |row: u16, column: u16| {
            (column..column + wide).all(|c| {
                let symbol = buf.cell((plot.x + c, plot.y + row)).map_or(" ", |cell| cell.symbol());
                !used(c, row) && symbol != mark && !symbol.chars().any(char::is_alphanumeric)
            })
        };
        let places = (from..to).flat_map(|row| {
            [2, plot.width.saturating_sub(wide) / 2, plot.width.saturating_sub(wide + 2)].map(|column| (row, column))
        });
        let mut places = places.filter(|(_, column)| column + wide <= plot.width);
        if let Some((row, column)) = places.find(|(row, column)| free(*row, *column)) {
            put(buf, plot, column, row, text, style);
        }
    }
}
