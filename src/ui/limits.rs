//! The limits, a row each: the panel beside the chart.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::panel::{self, Look};
use super::rows::LimitRows;
use super::text::{cut, put};
use crate::limits::{Forecast, Limit, LimitState, Unit};
use crate::units;

/// Columns of a name where there are few, and where there is room for the longest.
const NARROW: u16 = 18;
const WIDE: u16 = crate::limits::NAME as u16;
/// Columns of a row from which on there is.
const ROOM: u16 = 50;
/// Columns of the forecast: `not tracking`, or where there are few `at 1.23 M`.
const WHEN: u16 = 12;
const WHEN_NARROW: u16 = 9;
/// Columns of the longest state word.
const WORD: u16 = 8;

/// Columns of a name in an area so wide.
pub(super) fn name_columns(width: u16) -> u16 {
    if width >= ROOM { WIDE } else { NARROW }
}

/// One number of a limit in its unit, eight columns or fewer.
pub(super) fn amount(unit: Unit, value: u64) -> String {
    match unit {
        Unit::Count => units::short_count(value),
        Unit::Bytes => units::bytes(value),
        // Per second, as the label says: `12.3 Gb`.
        Unit::BitsPerSecond => units::short_count(value) + "b",
        Unit::Seconds => units::short_seconds(value),
        Unit::PerSecond => units::short_count(value) + "/s",
    }
}

/// When it comes, in few words. A forecast count is right-aligned in six columns.
pub(super) fn when(limit: &Limit) -> String {
    match (limit.state, limit.forecast) {
        (LimitState::NotApplicable | LimitState::Unknown, _) => limit.reason.clone().unwrap_or_else(|| "–".into()),
        (LimitState::Hit, _) => "reached".into(),
        (_, Forecast::NotYet) => "–".into(),
        // What follows a server's pace comes at no count: where it is, at least.
        // Nothing is refused, though it is beyond its size: hash chains grow.
        (_, Forecast::Never) if !limit.info.stops_run && limit.share().is_some_and(|s| s > 1.0) => "slower".into(),
        (_, Forecast::Never) => limit.place.clone().unwrap_or_else(|| "never".to_owned()),
        (_, Forecast::NotTracking) => "not tracking".into(),
        (_, Forecast::At { connections, .. }) => format!("at {:>6}", units::short_count(connections)),
    }
}

/// The panel: nearest first, one row each, and those of no interest behind one line.
pub(super) fn draw(buf: &mut Buffer, area: Rect, rows: &LimitRows<'_>, chosen: usize, look: Look) {
    let inner = panel::frame(buf, area, "Limits, nearest first", look);
    if rows.rows.is_empty() && rows.folded.is_empty() {
        put(buf, inner, 1, 0, "not yet known", look.dim());
    }
    let fold = fold_text(&rows.folded);
    let places = usize::from(inner.height);
    let shown = rows.rows.len() + usize::from(!rows.folded.is_empty());
    let first = if look.focused { (chosen + 1).saturating_sub(places) } else { 0 };
    // The line that opens is always on the screen: what is not shown is said.
    let last = first + places;
    for row in first..last.min(shown) {
        let line = Rect { y: inner.y + (row - first) as u16, height: 1, ..inner };
        let hidden = shown - row > 1 && row + 1 == last;
        match rows.rows.get(row) {
            Some(_) if hidden => {
                put(buf, line, 1, 0, &format!("{} more below", shown - row), look.dim());
            }
            Some(limit) => row_of(buf, line, limit, look),
            None => _ = put(buf, line, 1, 0, &cut(&fold, usize::from(line.width).saturating_sub(1)), look.dim()),
        }
        if look.focused && row == chosen {
            put(buf, line, 0, 0, look.chosen_mark(), look.strong());
        }
    }
}

/// The row that stands at a height of the screen.
pub(super) fn row_at(area: Rect, rows: &LimitRows<'_>, chosen: usize, look: Look, y: u16) -> Option<usize> {
    let inner = panel::inner(area, look);
    let line = y.checked_sub(inner.y).filter(|line| *line < inner.height)?;
    let first = if look.focused { (chosen + 1).saturating_sub(inner.height.into()) } else { 0 };
    let row = first + usize::from(line);
    (row < rows.rows.len() + usize::from(!rows.folded.is_empty())).then_some(row)
}

/// What is behind the line: `+ 14 more, under 1 % or not limiting`; it fits beside the events of 80 columns.
fn fold_text(folded: &[&Limit]) -> String {
    let idle = folded.iter().filter(|l| matches!(l.state, LimitState::NotApplicable | LimitState::Unknown)).count();
    match (folded.len(), folded.len() - idle) {
        (0, _) => String::new(),
        (n, 0) => format!("+ {n} more, none limits this run"),
        (n, low) if low == n => format!("+ {n} more, all under 1 %"),
        (n, _) => format!("+ {n} more, under 1 % or not limiting"),
    }
}

/// `open files (host)  ██████░░░░░  53 %  at 1.23 M  warn`; with room to spare also use, bound and seconds.
pub(super) fn row_of(buf: &mut Buffer, area: Rect, limit: &Limit, look: Look) {
    let quiet = matches!(limit.state, LimitState::NotApplicable | LimitState::Unknown);
    let names = name_columns(area.width);
    put(buf, area, 1, 0, &cut(&limit.short_name(), names.into()), if quiet { look.dim() } else { look.text() });
    let after_name = names + 2;
    if quiet {
        put(buf, area, after_name, 0, &when(limit), look.dim());
        return;
    }
    // name, bar, percentage (5), forecast, word (8)
    let when_columns = if names == NARROW { WHEN_NARROW } else { WHEN };
    let fixed = after_name + 1 + 5 + 2 + when_columns;
    let word = if area.width >= fixed + 6 + WORD + 2 { WORD + 1 } else { 0 };
    let seconds = if area.width >= fixed + word + 8 + 14 { 14 } else { 0 };
    let numbers = if area.width >= fixed + word + 8 + 21 + seconds { 21 } else { 0 };
    let bar = area.width.saturating_sub(fixed + word + seconds + numbers + 1).min(40);
    let mut column = after_name;
    if bar >= 4 {
        draw_bar(buf, area, column, limit, bar, look);
        column += bar + 1;
    }
    let percent = limit.share().map_or_else(|| "  –  ".to_owned(), panel::percent);
    column = put(buf, area, column, 0, &percent, look.text()) + 2;
    if numbers > 0
        && let (Some(used), Some(bound)) = (limit.used, limit.limit)
    {
        let unit = limit.unit;
        let both = format!("{:>8} / {:<8}", amount(unit, used), amount(unit, bound));
        put(buf, area, column, 0, &both, look.dim());
    }
    column += numbers;
    let alarm = limit.state >= LimitState::Warn;
    let style = if matches!(limit.forecast, Forecast::At { .. }) { look.text() } else { look.dim() };
    if word == 0 && alarm {
        // No room for both: the word is the alarm, the count is in the wide view.
        put(buf, area, column, 0, limit.state.word(), look.state(limit.state));
        return;
    }
    put(buf, area, column, 0, &when(limit), style);
    column += when_columns + 1;
    if seconds > 0 {
        put(buf, area, column, 0, &in_seconds(limit), look.dim());
        column += seconds;
    }
    if word > 0 && alarm {
        put(buf, area, column, 0, limit.state.word(), look.state(limit.state));
    }
}

/// The bar of a limit. What is used more than once over (hash chains, that grow) ends in an arrow, and is no calm green.
fn draw_bar(buf: &mut Buffer, area: Rect, column: u16, limit: &Limit, columns: u16, look: Look) {
    let Some(share) = limit.share() else { return };
    let (full, empty) = panel::bar(look.bar_marks(), share, columns);
    let over = share > 1.0;
    let state = if over { limit.state.max(LimitState::Warn) } else { limit.state };
    let mut after = column;
    for (i, cell) in full.chars().enumerate() {
        // What is far from its limit is calm, and warmer the nearer it comes; an alarm has one colour.
        let style = if state == LimitState::Ok { look.heat(i as f64 / f64::from(columns)) } else { look.bar(state) };
        after = put(buf, area, after, 0, cell.encode_utf8(&mut [0; 4]), style);
    }
    put(buf, area, after, 0, &empty, look.dim());
    if over {
        put(buf, area, column + columns - 1, 0, if look.is_plain() { ">" } else { "▶" }, look.bar(state));
    }
}

/// `in 15 s`, or nothing.
pub(super) fn in_seconds(limit: &Limit) -> String {
    match limit.forecast {
        Forecast::At { seconds: Some(s), .. } if limit.state != LimitState::Hit => format!("in {}", units::seconds(s)),
        _ => String::new(),
    }
}

/// Columns a row of the panel needs so that bar, percentage, forecast and word all fit.
pub(super) fn full_width() -> u16 {
    NARROW + 2 + 8 + 1 + 5 + 2 + WHEN + 1 + WORD
}
