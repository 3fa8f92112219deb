//! The limits, a row each: the panel beside the chart.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::panel;
use super::text::{cut, put, width};
use super::theme::Theme;
use crate::limits::{Forecast, Limit, LimitState, Unit};
use crate::model::Model;
use crate::units;

/// Columns of a label.
pub(super) const LABEL: u16 = 12;
/// Columns of the forecast: `not tracking`.
const WHEN: u16 = 12;
/// Columns of the longest state word.
const WORD: u16 = 8;

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
        (_, Forecast::Never) => limit.place.clone().unwrap_or_else(|| "never".to_owned()),
        (_, Forecast::NotTracking) => "not tracking".into(),
        (_, Forecast::At { connections, .. }) => format!("at {:>6}", units::short_count(connections)),
    }
}

/// The panel: nearest first, one row each.
pub(super) fn draw(buf: &mut Buffer, area: Rect, model: &Model, theme: Theme) {
    let inner = panel::frame(buf, area, "Limits, nearest first", theme);
    if model.limits().is_empty() {
        put(buf, inner, 1, 0, "not yet known", theme.dim());
    }
    for (row, limit) in model.limits().iter().take(usize::from(inner.height)).enumerate() {
        row_of(buf, Rect { y: inner.y + row as u16, height: 1, ..inner }, &label(model, limit), limit, theme);
    }
}

/// The label, with whose limit it is where two have the same: `descr server`, `descr client`.
pub(super) fn label(model: &Model, limit: &Limit) -> String {
    let twins = model.limits().iter().filter(|l| l.info.id == limit.info.id).count();
    // Of the processes of one program the number tells them apart.
    let scope = limit.scope.rsplit(' ').next().unwrap_or_default();
    if twins < 2 || width(scope) > 7 {
        return cut(limit.info.label, LABEL.into());
    }
    let room = usize::from(LABEL) - 1 - width(scope);
    let short: String = limit.info.label.chars().take(room).collect();
    // Half a word behind a whole one says nothing.
    let whole = short.rsplit_once(' ').filter(|_| !limit.info.label[short.len()..].is_empty());
    format!("{} {scope}", whole.map_or(short.as_str(), |(whole, _)| whole))
}

/// `file-max     ██████░░░░░  53 %  at 1.23 M  warn`; with room to spare also use, bound and seconds.
pub(super) fn row_of(buf: &mut Buffer, area: Rect, label: &str, limit: &Limit, theme: Theme) {
    let quiet = matches!(limit.state, LimitState::NotApplicable | LimitState::Unknown);
    put(buf, area, 1, 0, label, if quiet { theme.dim() } else { theme.text() });
    let after_label = LABEL + 2;
    if quiet {
        put(buf, area, after_label, 0, &when(limit), theme.dim());
        return;
    }
    // label, bar, percentage (5), forecast (9 to 12), word (8)
    let fixed = after_label + 1 + 5 + 2 + WHEN;
    let word = if area.width >= fixed + 6 + WORD + 2 { WORD + 1 } else { 0 };
    let extra = if area.width >= fixed + word + 8 + 21 + 14 { 21 + 14 } else { 0 };
    let bar = area.width.saturating_sub(fixed + word + extra + 1).min(40);
    let mut column = after_label;
    if let Some(share) = limit.share()
        && bar >= 4
    {
        let (full, empty) = panel::bar(theme.bar_marks(), share, bar);
        let after = put(buf, area, column, 0, &full, theme.bar(limit.state));
        put(buf, area, after, 0, &empty, theme.dim());
    }
    column += if bar >= 4 { bar + 1 } else { 0 };
    let percent = limit.share().map_or_else(|| "  –  ".to_owned(), panel::percent);
    column = put(buf, area, column, 0, &percent, theme.text()) + 2;
    if extra > 0
        && let (Some(used), Some(bound)) = (limit.used, limit.limit)
    {
        let unit = limit.unit;
        let both = format!("{:>8} / {:<8}", amount(unit, used), amount(unit, bound));
        put(buf, area, column, 0, &both, theme.dim());
    }
    column += if extra > 0 { 21 } else { 0 };
    let alarm = limit.state >= LimitState::Warn;
    let style = if matches!(limit.forecast, Forecast::At { .. }) { theme.text() } else { theme.dim() };
    if word == 0 && alarm {
        // No room for both: the word is the alarm, the count is in the wide view.
        put(buf, area, column, 0, limit.state.word(), theme.state(limit.state));
        return;
    }
    put(buf, area, column, 0, &when(limit), style);
    column += WHEN + 1;
    if extra > 0 {
        put(buf, area, column, 0, &in_seconds(limit), theme.dim());
        column += 14;
    }
    if word > 0 && alarm {
        put(buf, area, column, 0, limit.state.word(), theme.state(limit.state));
    }
}

/// `in 15 s`, or nothing.
pub(super) fn in_seconds(limit: &Limit) -> String {
    match limit.forecast {
        Forecast::At { seconds: Some(s), .. } if limit.state != LimitState::Hit => format!("in {}", units::seconds(s)),
        _ => String::new(),
    }
}

/// The nearest limit in one row, for a screen without the panel.
pub(super) fn draw_nearest(buf: &mut Buffer, area: Rect, model: &Model, theme: Theme) {
    let Some(limit) = model.nearest() else {
        put(buf, area, 1, 0, "no limit in sight", theme.dim());
        return;
    };
    let mut column = put(buf, area, 1, 0, "next limit ", theme.dim());
    column = put(buf, area, column, 0, limit.info.label, theme.strong()) + 1;
    column = put(buf, area, column, 0, &when(limit), theme.text()) + 1;
    if limit.state >= LimitState::Warn {
        put(buf, area, column, 0, limit.state.word(), theme.state(limit.state));
    } else {
        put(buf, area, column, 0, &in_seconds(limit), theme.dim());
    }
}

/// Columns a row of the panel needs so that bar, percentage, forecast and word all fit.
pub(super) fn full_width() -> u16 {
    LABEL + 2 + 8 + 1 + 5 + 2 + WHEN + 1 + WORD
}
