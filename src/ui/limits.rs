//! The limits: the panel beside the chart, and the wide table with every cure.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::panel;
use super::text::{cut, put, put_right, width, wrap};
use super::theme::Theme;
use crate::model::Model;
use crate::model::limit::{Forecast, Limit, LimitState, Unit};
use crate::units;

/// Columns of a label.
const LABEL: u16 = 12;
/// Columns of the forecast: `not tracking`.
const WHEN: u16 = 12;
/// Columns of the longest state word.
const WORD: u16 = 8;

/// One number of a limit in its unit, eight columns or fewer.
fn amount(unit: Unit, value: u64) -> String {
    match unit {
        Unit::Count => units::short_count(value),
        Unit::Bytes => units::bytes(value),
        // Per second, as the label says: `12.3 Gb`.
        Unit::BitsPerSecond => units::short_count(value) + "b",
    }
}

/// When it comes, in few words. A forecast count is right-aligned in six columns.
pub(super) fn when(limit: &Limit) -> String {
    match (limit.state, limit.forecast) {
        (LimitState::NotApplicable | LimitState::Unknown, _) => limit.reason.clone().unwrap_or_else(|| "–".into()),
        (LimitState::Hit, _) => "reached".into(),
        (_, Forecast::NotYet) => "–".into(),
        (_, Forecast::Never) => place(limit).unwrap_or("never").to_owned(),
        (_, Forecast::NotTracking) => "not tracking".into(),
        (_, Forecast::At { connections, .. }) => format!("at {:>6}", units::short_count(connections)),
    }
}

/// `port 9900`, of an accept queue in which something waits: it follows a server's pace and comes at no count.
fn place(limit: &Limit) -> Option<&str> {
    limit.share().filter(|share| limit.info.id == "accept_queue" && *share > 0.0)?;
    limit.reason.as_deref()?.split(':').next()
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
fn label(model: &Model, limit: &Limit) -> String {
    let twins = model.limits().iter().filter(|l| l.info.id == limit.info.id).count();
    let scope = limit.scope.as_str();
    if twins < 2 || width(scope) > 6 {
        return cut(limit.info.label, LABEL.into());
    }
    let room = usize::from(LABEL) - 1 - width(scope);
    let short: String = limit.info.label.chars().take(room).collect();
    format!("{short} {scope}")
}

/// `file-max     ██████░░░░░  53 %  at 1.23 M  warn`; with room to spare also use, bound and seconds.
fn row_of(buf: &mut Buffer, area: Rect, label: &str, limit: &Limit, theme: Theme) {
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
fn in_seconds(limit: &Limit) -> String {
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

/// The wide table: the numbers, whose they are, how to raise the limit; and what it means, for the first row and as many of
/// the next as there is room for.
pub(super) fn draw_table(buf: &mut Buffer, area: Rect, model: &Model, scroll: usize, theme: Theme) {
    let limits = model.limits();
    let name = format!("Limits, nearest first ({} of {})", (scroll + 1).min(limits.len()), limits.len());
    let inner = panel::frame(buf, area, &name, theme);
    let columns = Columns::of(inner.width);
    let mut row = 0;
    if let Some(columns) = &columns {
        columns.heading(buf, inner, theme);
        row = 1;
    }
    let indent = if columns.is_some() { LABEL + 2 } else { 3 };
    let wide = usize::from(inner.width.saturating_sub(indent + 1));
    let under = |limit: &Limit, with_help| below(limit, with_help, columns.is_none(), wide);
    let plain: usize = limits.iter().skip(scroll).map(|l| 1 + under(l, false).len()).sum();
    let mut spare = usize::from(inner.height).saturating_sub(plain + usize::from(row));
    for (i, limit) in limits.iter().skip(scroll).enumerate() {
        if row >= inner.height {
            break;
        }
        let line = Rect { y: inner.y + row, height: 1, ..inner };
        match &columns {
            Some(columns) => columns.numbers(buf, line, limit, theme),
            None => row_of(buf, line, &label(model, limit), limit, theme),
        }
        row += 1;
        let help = under(limit, true).len() - under(limit, false).len();
        let with_help = i == 0 || help <= spare;
        spare = spare.saturating_sub(if with_help { help } else { 0 });
        for line in under(limit, with_help) {
            if row >= inner.height {
                break;
            }
            put(buf, inner, indent, row, &line, theme.dim());
            row += 1;
        }
    }
}

/// What stands under a limit's numbers: why it is unknown or what was seen, whose it is, how to raise it.
fn below(limit: &Limit, with_help: bool, with_numbers: bool, columns: usize) -> Vec<String> {
    let mut text = limit.scope.clone();
    if with_numbers && let (Some(used), Some(bound)) = (limit.used, limit.limit) {
        let unit = limit.unit;
        text = format!("{} of {}, {text}", amount(unit, used), amount(unit, bound));
    }
    if limit.state >= LimitState::Warn
        && let Some(reason) = &limit.reason
    {
        text = format!("{text}: {reason}");
    }
    if !limit.cure.is_empty() && !matches!(limit.state, LimitState::NotApplicable) {
        text = format!("{text}; to raise it: {}", limit.cure);
    }
    let mut lines = wrap(&text, columns);
    // What does not bound this run needs no explaining.
    if with_help && limit.state != LimitState::NotApplicable {
        lines.extend(wrap(limit.info.help, columns));
    }
    lines
}

/// Where the columns of the wide table start; 0 is left out.
struct Columns {
    used: u16,
    bound: u16,
    percent: u16,
    state: u16,
    at: u16,
    seconds: u16,
}

impl Columns {
    /// `None` where the table would be cut.
    fn of(width: u16) -> Option<Self> {
        let used = LABEL + 2;
        let wide = width >= used + 39 + 18 + 12;
        (width >= used + 39 + 18).then_some(Self {
            used,
            bound: used + 11,
            percent: used + 22,
            state: used + 29,
            at: used + 39,
            seconds: if wide { used + 39 + 18 } else { 0 },
        })
    }

    fn heading(&self, buf: &mut Buffer, area: Rect, theme: Theme) {
        put(buf, area, 1, 0, "limit", theme.dim());
        put_right(buf, area, self.used + 9, 0, "used", theme.dim());
        put_right(buf, area, self.bound + 9, 0, "bound", theme.dim());
        put_right(buf, area, self.percent + 5, 0, "share", theme.dim());
        put(buf, area, self.state, 0, "state", theme.dim());
        put(buf, area, self.at, 0, "reached at", theme.dim());
        if self.seconds > 0 {
            put(buf, area, self.seconds, 0, "in", theme.dim());
        }
    }

    fn numbers(&self, buf: &mut Buffer, area: Rect, limit: &Limit, theme: Theme) {
        let unit = limit.unit;
        put(buf, area, 1, 0, &cut(limit.info.label, LABEL.into()), theme.strong());
        for (column, value) in [(self.used, limit.used), (self.bound, limit.limit)] {
            let text = value.map_or_else(|| "–".into(), |v| amount(unit, v));
            put_right(buf, area, column + 9, 0, &text, theme.text());
        }
        if let Some(share) = limit.share() {
            put_right(buf, area, self.percent + 5, 0, &panel::percent(share), theme.text());
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
                put(buf, area, self.at, 0, &when(limit), theme.dim());
            }
        }
    }
}

/// Columns a row of the panel needs so that bar, percentage, forecast and word all fit.
pub(super) fn full_width() -> u16 {
    LABEL + 2 + 8 + 1 + 5 + 2 + WHEN + 1 + WORD
}
