//! The workers: a row each, side by side where there are more than rows, and those that there is nothing to say of in one line.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::board::Board;
use super::cells;
use super::rows::Listed;
use crate::fleet::FleetView;
use crate::ui::panel::{self, Look};
use crate::ui::text::put;
use crate::units;

/// Columns between two rows side by side.
const GAP: u16 = 2;

/// Most rows side by side.
const MOST: u16 = 3;

/// How the rows stand in a panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    /// Rows below one another.
    tall: usize,
    /// Side by side.
    beside: usize,
    /// Columns of each.
    wide: u16,
}

impl Grid {
    /// For so many workers, inside of a frame.
    pub(super) fn of(inner: Rect, workers: usize) -> Self {
        let tall = usize::from(inner.height.saturating_sub(1)).max(1);
        let fit = ((inner.width + GAP) / (cells::LEAST + GAP)).clamp(1, MOST);
        let beside = workers.div_ceil(tall).clamp(1, fit.into());
        let wide = (inner.width + GAP) / beside as u16 - GAP.min(inner.width);
        Self { tall, beside, wide }
    }

    /// Workers that have room at once.
    pub(super) fn room(self) -> usize {
        self.tall * self.beside
    }
}

/// Rows that the panel needs inside of its frame to show so many workers at this width.
pub(super) fn height(columns: u16, workers: usize) -> u16 {
    let fit = ((columns + GAP) / (cells::LEAST + GAP)).clamp(1, MOST);
    // Side by side only what would not stand in a quarter of an hour's scroll otherwise: a dozen reads better in one column.
    let beside = if workers <= 12 { 1 } else { usize::from(fit) };
    u16::try_from(workers.div_ceil(beside)).unwrap_or(u16::MAX - 1).saturating_add(1)
}

/// What is on the screen: which rows, from which one on, and the line below them.
struct Shown {
    listed: Listed,
    grid: Grid,
    first: usize,
    rows: usize,
    chosen: usize,
}

impl Shown {
    fn of(board: &Board, view: &FleetView, inner: Rect) -> Self {
        let grid = Grid::of(inner, view.rows.len());
        let listed = board.listed(view, (grid.room(), grid.beside));
        let chosen = board.row_of(view, &listed);
        // A line below the rows tells of those that are not there; it takes one from each column.
        let whole = listed.rows.len() <= grid.room() && listed.folded.is_empty();
        let grid = if whole { grid } else { Grid { tall: grid.tall.saturating_sub(1).max(1), ..grid } };
        let first = (chosen.min(listed.rows.len().saturating_sub(1)) + 1).saturating_sub(grid.room());
        let rows = listed.rows.len().saturating_sub(first).min(grid.room());
        Self { listed, grid, first, rows, chosen }
    }
}

/// Draws the panel.
pub(super) fn draw(buf: &mut Buffer, area: Rect, board: &Board, view: &FleetView, look: Look) {
    let name = format!("Workers ({})", units::grouped(view.rows.len() as u64));
    let inner = panel::frame(buf, area, &name, look);
    panel::remark(buf, area, &name, board.order.word(), look);
    if inner.height < 2 {
        return;
    }
    let shown = Shown::of(board, view, inner);
    let cells = cells::fitting(shown.grid.wide);
    for (place, i) in shown.listed.rows.iter().skip(shown.first).take(shown.rows).enumerate() {
        let line = line(inner, shown.grid, place);
        if place % shown.grid.tall == 0 {
            cells::headings(buf, Rect { y: inner.y, ..line }, &cells, look);
        }
        cells::row(buf, line, &view.rows[*i], &cells, look);
        if shown.first + place == shown.chosen && look.focused {
            put(buf, line, 0, 0, look.chosen_mark(), look.strong());
        }
    }
    below(buf, inner, view, &shown, look);
}

/// Where the row at a place of the screen stands.
fn line(inner: Rect, grid: Grid, place: usize) -> Rect {
    let (column, row) = ((place / grid.tall) as u16, (place % grid.tall) as u16);
    Rect { x: inner.x + column * (grid.wide + GAP), y: inner.y + 1 + row, width: grid.wide, height: 1 }
}

/// The line below the rows: those that are folded away, or those before and after what is shown.
fn below(buf: &mut Buffer, inner: Rect, view: &FleetView, shown: &Shown, look: Look) {
    let at = Rect { y: inner.y + inner.height - 1, height: 1, ..inner };
    let more = |n: usize, where_: &str| (n > 0).then(|| format!("{} more {where_}", units::grouped(n as u64)));
    if shown.listed.folded.is_empty() {
        let parts = [more(shown.first, "above"), more(shown.listed.rows.len() - shown.first - shown.rows, "below")];
        let text = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        put(buf, at, 2, 0, &text, look.dim());
        return;
    }
    let hidden = shown.listed.rows.len() - shown.rows;
    let shares: Vec<f64> = shown.listed.folded.iter().filter_map(|i| view.rows[*i].progress).collect();
    let least = shares.iter().copied().reduce(f64::min).zip(shares.iter().copied().reduce(f64::max));
    let of = least.map_or(String::new(), |(low, high)| {
        format!(", at {:.0} to {:.0} % of their targets", low * 100.0, high * 100.0)
    });
    let also = more(hidden, "above and below").map_or(String::new(), |text| format!("; {text}"));
    let count = units::grouped(shown.listed.folded.len() as u64);
    put(buf, at, 2, 0, &format!("and {count} with nothing wrong{of} (Enter lists them){also}"), look.dim());
    if shown.chosen == shown.listed.rows.len() && look.focused {
        put(buf, at, 0, 0, look.chosen_mark(), look.strong());
    }
}

/// The row of the list that stands at a place of the screen.
pub(super) fn row_at(area: Rect, board: &Board, view: &FleetView, look: Look, (x, y): (u16, u16)) -> Option<usize> {
    let inner = panel::inner(area, look);
    let shown = Shown::of(board, view, inner);
    let down = usize::from(y.checked_sub(inner.y + 1)?);
    let across = usize::from(x.saturating_sub(inner.x) / (shown.grid.wide + GAP)).min(shown.grid.beside - 1);
    if down >= shown.grid.tall {
        return (!shown.listed.folded.is_empty()).then_some(shown.listed.rows.len());
    }
    let place = across * shown.grid.tall + down;
    (place < shown.rows).then_some(shown.first + place)
}

/// What is listed in a panel of this size, for choosing.
pub(super) fn listed(area: Rect, board: &Board, view: &FleetView, look: Look) -> (Listed, usize) {
    let shown = Shown::of(board, view, panel::inner(area, look));
    (shown.listed, shown.chosen)
}
