//! What stands in a worker's row: as many cells as the width has room for, the most needed first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::rows::is_amiss;
use crate::fleet::{Row, Standing, WorkerLimit};
use crate::limits::LimitState;
use crate::model::RunPhase;
use crate::ui::panel::{self, Look};
use crate::ui::text::{cut, put, put_right, width};
use crate::units;

/// One cell of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    Host,
    Part,
    Count,
    Bar,
    Share,
    Rate,
    Cpu,
    Limit,
    State,
    Heard,
}

/// The cells from the left: the columns that each takes at least and at most, a gap among them, and its rank; a higher one goes
/// first where there is no room.
const CELLS: [(Cell, u16, u16, u8); 10] = [
    (Cell::Host, 9, 20, 0),
    (Cell::Part, 8, 10, 1),
    (Cell::Count, 10, 12, 0),
    (Cell::Bar, 6, 26, 4),
    (Cell::Share, 6, 6, 8),
    (Cell::Rate, 8, 10, 3),
    (Cell::Cpu, 6, 7, 5),
    (Cell::Limit, 22, 46, 6),
    (Cell::State, 10, 12, 2),
    (Cell::Heard, 7, 8, 7),
];

/// Columns of the mark of the chosen row.
const MARK: u16 = 1;

/// Columns from which on a row tells the essential.
pub(super) const LEAST: u16 = 58;

/// The cells that have room in so many columns: each with its first column and its width.
pub(super) fn fitting(columns: u16) -> Vec<(Cell, u16, u16)> {
    let mut kept: Vec<(Cell, u16, u16, u8)> = CELLS.to_vec();
    let least = |kept: &[(Cell, u16, u16, u8)]| MARK + kept.iter().map(|cell| cell.1).sum::<u16>();
    while least(&kept) > columns && kept.len() > 1 {
        let Some(worst) = kept.iter().map(|cell| cell.3).max() else { break };
        kept.retain(|cell| cell.3 != worst);
    }
    let mut spare = columns.saturating_sub(least(&kept));
    // Whose names are cut grow first.
    for growing in
        [Cell::Host, Cell::State, Cell::Limit, Cell::Part, Cell::Count, Cell::Rate, Cell::Cpu, Cell::Heard, Cell::Bar]
    {
        if let Some(cell) = kept.iter_mut().find(|cell| cell.0 == growing) {
            let more = spare.min(cell.2 - cell.1);
            cell.1 += more;
            spare -= more;
        }
    }
    let mut at = MARK;
    let placed = kept.into_iter().map(|(cell, wide, _, _)| {
        at += wide;
        (cell, at - wide, wide)
    });
    placed.collect()
}

impl Cell {
    fn heading(self) -> &'static str {
        match self {
            Cell::Host => "host",
            Cell::Part => "part",
            Cell::Count => "open",
            Cell::Bar => "done",
            Cell::Share => "",
            Cell::Rate => "per s",
            Cell::Cpu => "CPU",
            Cell::Limit => "next limit",
            Cell::State => "state",
            Cell::Heard => "heard",
        }
    }

    /// Whether it is a number, which ends where its column does.
    fn is_number(self) -> bool {
        matches!(self, Cell::Count | Cell::Share | Cell::Rate | Cell::Cpu | Cell::Heard)
    }
}

/// Writes the headings of these cells into the first row of `area`.
pub(super) fn headings(buf: &mut Buffer, area: Rect, cells: &[(Cell, u16, u16)], look: Look) {
    for (cell, column, wide) in cells {
        let text = cut(cell.heading(), usize::from(wide - 1));
        if cell.is_number() {
            put_right(buf, area, column + wide - 1, 0, &text, look.dim());
        } else {
            put(buf, area, *column, 0, &text, look.dim());
        }
    }
}

/// Writes a worker's row into the first row of `area`.
pub(super) fn row(buf: &mut Buffer, area: Rect, row: &Row, cells: &[(Cell, u16, u16)], look: Look) {
    // What is no longer so is faint.
    let old = matches!(row.standing, Standing::Lost | Standing::Left | Standing::Silent) || row.state.engine_silent;
    let style = if old { look.dim() } else { look.text() };
    for (cell, column, wide) in cells.iter().copied() {
        match cell {
            Cell::Bar => bar(buf, area, row, (column, wide), if old { look.dim() } else { look.first() }, look),
            Cell::State => {
                put(buf, area, column, 0, &cut(row.word(), usize::from(wide - 1)), state_style(row, look));
            }
            Cell::Limit => {
                let text = row.state.nearest.as_ref().map_or(String::new(), |limit| limit_text(limit, wide - 1));
                let style = row.state.nearest.as_ref().map_or(style, |limit| limit_style(limit, style, look));
                put(buf, area, column, 0, &text, style);
            }
            _ => {
                let text = cut(&text(cell, row), usize::from(wide - 1));
                if cell.is_number() {
                    put_right(buf, area, column + wide - 1, 0, &text, style);
                } else {
                    put(buf, area, column, 0, &text, style);
                }
            }
        }
    }
}

fn text(cell: Cell, row: &Row) -> String {
    let state = &row.state;
    let none = || "–".to_owned();
    match cell {
        Cell::Host => state.who.host.clone(),
        Cell::Part => {
            state.who.part.map_or_else(|| state.who.role.name().to_owned(), |p| format!("{}/{}", p.number, p.of))
        }
        Cell::Count => units::grouped(state.connections),
        Cell::Share => row.progress.map_or_else(String::new, panel::percent),
        Cell::Rate => state.rate_per_s.map_or_else(none, units::signed),
        Cell::Cpu => state.cpu.map_or_else(none, |cpu| panel::percent(cpu.cores_used / f64::from(cpu.cores.max(1)))),
        Cell::Heard => heard(row.age_ms),
        Cell::Bar | Cell::Limit | Cell::State => String::new(),
    }
}

/// How long ago a worker was heard of: `0.4 s`, `25 s`.
pub(super) fn heard(ms: u64) -> String {
    if ms < 10_000 { format!("{:.1} s", ms as f64 / 1000.0) } else { units::short_seconds(ms / 1000) }
}

fn bar(buf: &mut Buffer, area: Rect, row: &Row, (column, wide): (u16, u16), style: Style, look: Look) {
    let Some(share) = row.progress else { return };
    let (full, empty) = panel::bar(look.bar_marks(), share, wide - 1);
    let column = put(buf, area, column, 0, &full, style);
    put(buf, area, column, 0, &empty, look.dim());
}

/// `memory at 1.20 M, 38 s`, without what there is no room for.
fn limit_text(limit: &WorkerLimit, columns: u16) -> String {
    let columns = usize::from(columns);
    let name = limit.name.as_str();
    let at = match (limit.state, limit.connections) {
        (LimitState::Hit, _) => "HIT".to_owned(),
        (_, Some(n)) => format!("at {}", units::short_count(n).trim()),
        (_, None) => return cut(name, columns),
    };
    let when =
        limit.seconds.filter(|s| *s < 48.0 * 3600.0).map_or(String::new(), |s| format!(", {}", units::seconds(s)));
    let whole = format!("{name} {at}{when}");
    if width(&whole) <= columns {
        return whole;
    }
    // Rather a name cut short than no number.
    format!("{} {at}", cut(name, columns.saturating_sub(width(&at) + 1)))
}

fn limit_style(limit: &WorkerLimit, plain: Style, look: Look) -> Style {
    if limit.state >= LimitState::Warn { look.state(limit.state) } else { plain }
}

/// An alarm is a word and a colour.
pub(super) fn state_style(row: &Row, look: Look) -> Style {
    let failed = row.never_began() || row.state.verdict.is_some_and(|verdict| verdict.status() != 0);
    let dead = matches!(row.state.phase, RunPhase::EngineDied | RunPhase::Stopped);
    match row.standing {
        Standing::Lost => look.alarm(),
        Standing::Left if failed => look.alarm(),
        Standing::Left => look.dim(),
        Standing::Silent => look.paused(),
        _ if dead => look.alarm(),
        _ if is_amiss(row) || row.state.phase == RunPhase::Paused => look.paused(),
        _ => look.text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_fit_and_the_most_needed_stay() {
        for columns in 1..=240 {
            let cells = fitting(columns);
            let end = cells.last().map_or(0, |(_, column, wide)| column + wide);
            assert!(end <= columns || cells.len() == 1, "{columns}: {cells:?}");
            assert!(columns < 60 || cells.iter().any(|c| c.0 == Cell::Bar), "{columns}: {cells:?}");
        }
        let names = |columns| fitting(columns).into_iter().map(|c| c.0).collect::<Vec<_>>();
        assert_eq!(names(LEAST), [Cell::Host, Cell::Part, Cell::Count, Cell::Bar, Cell::Rate, Cell::Cpu, Cell::State]);
        assert!(names(80).contains(&Cell::Limit));
        assert_eq!(names(118).len(), CELLS.len());
        // Twice into a box of 120 columns.
        assert_eq!(names(58), names(LEAST));
    }
}
