//! The screen of all limits: a row each, nearest first; below, what the chosen one means, how to raise it, and its use over
//! the run.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::limits::{amount, in_seconds, name_columns, row_of, when};
use super::panel::{self, Look};
use super::text::{cut, put, put_right, wrap};
use crate::limits::{Forecast, Limit, LimitState, Unit};
use crate::model::Model;
use crate::units;
use crate::units::whole;

/// Rows kept for the chosen limit where there are as many, its rule included.
const ABOUT: u16 = 9;
/// Rows of a graph that is not to look like more than it is.
const GRAPH: u16 = 12;

/// Draws the screen with the limit of row `chosen`. The parts do not move with what is chosen.
pub(super) fn draw(buf: &mut Buffer, area: Rect, model: &Model, limits: &[&Limit], chosen: usize, theme: Look) {
    let table = table_height(area, limits.len(), theme);
    draw_table(buf, Rect { height: table, ..area }, limits, chosen, theme);
    let theme = Look { focused: false, ..theme };
    if let Some(limit) = limits.get(chosen) {
        let below = Rect { y: area.y + table, height: area.height - table, ..area };
        draw_chosen(buf, below, model, limit, theme);
    }
}

/// Rows of the table.
fn table_height(area: Rect, limits: usize, look: Look) -> u16 {
    let about = if area.height >= 2 * ABOUT { ABOUT + look.rows() } else { area.height / 2 };
    (limits as u16 + 1 + look.rows()).min(area.height - about)
}

/// The limit that stands at a height of the screen, by its row.
pub(super) fn row_at(area: Rect, limits: usize, chosen: usize, look: Look, y: u16) -> Option<usize> {
    let inner = panel::inner(Rect { height: table_height(area, limits, look), ..area }, look);
    let heading = u16::from(Columns::of(inner.width).is_some() && inner.height > 1);
    let rows = inner.height - heading;
    let line = y.checked_sub(inner.y + heading).filter(|line| *line < rows)?;
    let row = (chosen + 1).saturating_sub(rows.into()) + usize::from(line);
    (row < limits).then_some(row)
}

fn draw_table(buf: &mut Buffer, area: Rect, limits: &[&Limit], chosen: usize, theme: Look) {
    let title = format!("Limits, nearest first ({} of {})", (chosen + 1).min(limits.len()), limits.len());
    let mut inner = panel::frame(buf, area, &title, theme);
    let columns = Columns::of(inner.width);
    if let Some(columns) = &columns
        && inner.height > 1
    {
        columns.heading(buf, inner, theme);
        inner = Rect { y: inner.y + 1, height: inner.height - 1, ..inner };
    }
    let first = (chosen + 1).saturating_sub(inner.height.into());
    for (row, limit) in limits.iter().skip(first).take(inner.height.into()).enumerate() {
        let line = Rect { y: inner.y + row as u16, height: 1, ..inner };
        match &columns {
            Some(columns) => columns.row(buf, line, limit, theme),
            None => row_of(buf, line, limit, theme),
        }
        if first + row == chosen {
            put(buf, line, 0, 0, theme.chosen_mark(), theme.strong());
        }
    }
}

/// What it is called and what it belongs to, which the name may say already.
fn heading(limit: &Limit) -> String {
    let name = limit.name();
    if name.starts_with(&format!("{}:", limit.scope)) { name } else { format!("{name}, {}", limit.scope) }
}

/// What there is to know of one limit.
fn draw_chosen(buf: &mut Buffer, area: Rect, model: &Model, limit: &Limit, theme: Look) {
    let inner = panel::frame(buf, area, &heading(limit), theme);
    let wide = usize::from(inner.width.saturating_sub(2));
    let mut text = limit.info.help.to_owned();
    if let Some(reason) = &limit.reason {
        text = format!("{text} Here: {reason}.");
    }
    let mut lines = wrap(&text, wide);
    if !limit.cure.is_empty() && limit.state != LimitState::NotApplicable {
        let cure = wrap(&format!("fix: {}", limit.cure), wide);
        // Without room for both, what to do.
        if lines.len() + cure.len() > inner.height.into() {
            lines.clear();
        }
        lines.extend(cure);
    }
    for (row, line) in lines.iter().enumerate() {
        let last = row + 1 == usize::from(inner.height) && row + 1 < lines.len();
        let line = if last { cut(&format!("{line} {}", lines[row + 1]), wide) } else { line.clone() };
        put(buf, inner, 1, row as u16, &line, theme.text());
    }
    let used = (lines.len() as u16 + 1).min(inner.height);
    graph(buf, Rect { y: inner.y + used, height: inner.height - used, ..inner }, model, limit, theme);
}

/// The use over the run, from nothing to the most that it was.
fn graph(buf: &mut Buffer, area: Rect, model: &Model, limit: &Limit, theme: Look) {
    let wide = area.width.saturating_sub(2);
    let (values, most) = model.limit_history(limit, wide.into());
    if area.height < 2 || most == 0 {
        return;
    }
    let name = format!("Use over the run, peak {}", amount(limit.unit, most).trim());
    let most = most as f64;
    put(buf, area, 1, 0, &name, theme.dim());
    let marks = theme.bar_steps();
    let rows = (area.height - 1).min(GRAPH);
    for (column, value) in values.iter().enumerate() {
        // Something is never drawn as nothing.
        let eighths = (value / most * f64::from(rows) * 8.0).round() as u16;
        let eighths = if *value > 0.0 { eighths.max(1) } else { eighths };
        for row in 0..rows {
            let here = eighths.saturating_sub((rows - 1 - row) * 8).min(8);
            if here > 0 {
                put(buf, area, 1 + column as u16, 1 + row, marks[usize::from(here) - 1], theme.first());
            }
        }
    }
}

/// What one connection adds: `1.00`, `8.05 KiB`, `1 in 9.94 k`.
fn each(limit: &Limit) -> String {
    match limit.per_connection {
        None => "–".to_owned(),
        Some(n) if limit.unit != Unit::Count && n < 1.0 => "under 1".to_owned(),
        Some(n) if limit.unit != Unit::Count => amount(limit.unit, whole(n)),
        Some(n) if n < 0.01 => format!("1 in {}", units::short_count(whole(1.0 / n)).trim()),
        Some(n) => format!("{n:.2}"),
    }
}

/// Columns of the table; 0 is left out.
struct Columns {
    used: u16,
    bound: u16,
    percent: u16,
    each: u16,
    state: u16,
    at: u16,
    seconds: u16,
    of: u16,
}

impl Columns {
    /// `None` where the table would be cut.
    fn of(width: u16) -> Option<Self> {
        let used = name_columns(width) + 2;
        let each = if width >= 114 { 13 } else { 0 };
        let state = used + 29 + each;
        let at = state + 10;
        let seconds = if width >= 102 { at + 18 } else { 0 };
        (width >= at + 16).then_some(Self {
            used,
            bound: used + 11,
            percent: used + 22,
            each: if each > 0 { used + 29 } else { 0 },
            state,
            at,
            seconds,
            of: if width >= 140 { seconds + 14 } else { 0 },
        })
    }

    fn heading(&self, buf: &mut Buffer, area: Rect, theme: Look) {
        put(buf, area, 1, 0, "limit", theme.dim());
        put_right(buf, area, self.used + 9, 0, "used", theme.dim());
        put_right(buf, area, self.bound + 9, 0, "bound", theme.dim());
        put_right(buf, area, self.percent + 5, 0, "share", theme.dim());
        if self.each > 0 {
            put_right(buf, area, self.each + 11, 0, "each adds", theme.dim());
        }
        put(buf, area, self.state, 0, "state", theme.dim());
        put(buf, area, self.at, 0, "reached at", theme.dim());
        if self.seconds > 0 {
            put(buf, area, self.seconds, 0, "in", theme.dim());
        }
        if self.of > 0 {
            put(buf, area, self.of, 0, "of", theme.dim());
        }
    }

    fn row(&self, buf: &mut Buffer, area: Rect, limit: &Limit, theme: Look) {
        let unit = limit.unit;
        put(buf, area, 1, 0, &cut(&limit.short_name(), usize::from(self.used) - 2), theme.strong());
        for (column, value) in [(self.used, limit.used), (self.bound, limit.limit)] {
            let text = value.map_or_else(|| "–".into(), |v| amount(unit, v));
            put_right(buf, area, column + 9, 0, &text, theme.text());
        }
        if let Some(share) = limit.share() {
            put_right(buf, area, self.percent + 5, 0, &panel::percent(share), theme.text());
        }
        if self.each > 0 {
            put_right(buf, area, self.each + 11, 0, &each(limit), theme.dim());
        }
        put(buf, area, self.state, 0, limit.state.word(), theme.state(limit.state));
        match limit.forecast {
            Forecast::At { connections, plus_minus, .. } if limit.state != LimitState::Hit => {
                let at = format!("{:>6} ± {}", units::short_count(connections), units::short_count(plus_minus));
                put(buf, area, self.at, 0, &at, theme.text());
                if self.seconds > 0 {
                    put(buf, area, self.seconds, 0, in_seconds(limit).trim_start_matches("in "), theme.text());
                }
            }
            _ => {
                let room = usize::from(if self.of > 0 { self.of - self.at - 1 } else { area.width - self.at });
                put(buf, area, self.at, 0, &cut(&when(limit), room), theme.dim());
            }
        }
        if self.of > 0 {
            put(buf, area, self.of, 0, &limit.scope, theme.dim());
        }
    }
}
