//! Limits as lines in the chart: drawn under the data, labelled where the label covers nothing.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::panel::Look;
use super::text::{mark, put, width};
use crate::limits::LimitState;
use crate::model::chart::{Chart, Line, LineAt, XAxis};
use crate::units;
use crate::units::axis::unit;

/// A limit line on the screen.
pub(super) struct Drawn {
    label: String,
    /// Row of a horizontal line, column of a vertical one, within the plot.
    at: LineOn,
    style: Style,
}

enum LineOn {
    Row(u16),
    Column(u16),
}

/// Draws the lines, under everything that follows, the nearest last; first of all where the guard holds the ramp, whose label gives
/// way to those of limits.
pub(super) fn draw(
    buf: &mut Buffer,
    plot: Rect,
    chart: &Chart,
    nearest: Option<LimitState>,
    ceiling: Option<u64>,
    theme: Look,
) -> Vec<Drawn> {
    let (flat, upright) = theme.limit_marks();
    let mut lines: Vec<&Line> = chart.lines.iter().collect();
    lines.sort_by_key(|line| line.nearest);
    let mut drawn = Vec::new();
    let guard = ceiling.filter(|_| chart.x == XAxis::Connections);
    if let Some((count, column)) = guard.and_then(|n| Some((n, place(unit(n as f64, chart.x_bounds), plot.width)?))) {
        let style = theme.bar(LimitState::Warn);
        for row in 0..plot.height {
            mark(buf, plot, column, row, upright, style);
        }
        let label = format!(" guard at {} ", units::short_count(count).trim());
        drawn.push(Drawn { label, at: LineOn::Column(column), style });
    }
    for line in lines {
        let style = match nearest {
            _ if !line.nearest => theme.dim(),
            Some(state @ (LimitState::Critical | LimitState::Hit)) => theme.bar(state),
            _ => theme.strong(),
        };
        let at = match line.at {
            LineAt::Bytes(bytes) => {
                let Some(row) = place(1.0 - unit(bytes, chart.y_bounds), plot.height) else { continue };
                for column in 0..plot.width {
                    mark(buf, plot, column, row, flat, style);
                }
                LineOn::Row(row)
            }
            LineAt::Connections(_) if chart.x == XAxis::Time => continue,
            LineAt::Connections(count) => {
                let Some(column) = place(unit(count, chart.x_bounds), plot.width) else { continue };
                for row in 0..plot.height {
                    mark(buf, plot, column, row, upright, style);
                }
                LineOn::Column(column)
            }
        };
        drawn.push(Drawn { label: format!(" {} ", line.label), at, style });
    }
    drawn
}

/// The cell of `cells` in which a place between 0 and 1 falls; `None` outside.
fn place(unit: f64, cells: u16) -> Option<u16> {
    (0.0..=1.0).contains(&unit).then(|| (unit * f64::from(cells.saturating_sub(1))).round() as u16)
}

/// Writes each label where it covers neither data nor another label, nor, if it can, an upright line: the nearest limit
/// chooses first; one that finds no room is left out (the limits panel has it).
pub(super) fn label(buf: &mut Buffer, plot: Rect, lines: &[Drawn], used: impl Fn(u16, u16) -> bool) {
    let uprights: Vec<u16> =
        lines.iter().filter_map(|l| if let LineOn::Column(x) = l.at { Some(x) } else { None }).collect();
    let mut taken: Vec<Rect> = Vec::new();
    let flat_rows: Vec<u16> =
        lines.iter().filter_map(|l| if let LineOn::Row(y) = l.at { Some(y) } else { None }).collect();
    for (i, line) in lines.iter().rev().enumerate() {
        let wide = width(&line.label) as u16;
        if wide > plot.width {
            continue;
        }
        let spots: Vec<(u16, u16)> = match line.at {
            LineOn::Row(y) => [2, plot.width / 2, plot.width.saturating_sub(wide + 2)]
                .into_iter()
                .flat_map(|x| [(x, y), (x, y + 1)])
                .collect(),
            LineOn::Column(x) => (0..plot.height)
                .filter(|y| !flat_rows.contains(y))
                .flat_map(|y| [Some((x + 1, y)), x.checked_sub(wide).map(|left| (left, y))])
                .flatten()
                .collect(),
        };
        let fits = |(x, y): &(u16, u16)| {
            let spot = Rect::new(*x, *y, wide, 1);
            x + wide <= plot.width && *y < plot.height && !taken.iter().any(|t| t.intersects(spot))
        };
        let free = |at: &(u16, u16)| fits(at) && !(at.0..at.0 + wide).any(|column| used(column, at.1));
        let crosses = |(x, _): &(u16, u16)| uprights.iter().any(|up| (*x..x + wide).contains(up));
        // Better over another line than nowhere.
        let best = spots.iter().find(|s| free(s) && !crosses(s)).or_else(|| spots.iter().find(|s| free(s)));
        // The nearest is named even where that covers a part of what is measured.
        let best = best.or_else(|| spots.iter().find(|s| i == 0 && fits(s)));
        if let Some(&(x, y)) = best {
            put(buf, plot, x, y, &line.label, line.style);
            taken.push(Rect::new(x, y, wide, 1));
        }
    }
}
