//! Two sentences over the whole width: what will stop the fleet, where and when; and whether anything is wrong now.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::board::Board;
use crate::fleet::{FleetLimit, FleetView, Standing};
use crate::limits::LimitState;
use crate::model::Severity;
use crate::ui::panel::Look;
use crate::ui::text::{cut, put};
use crate::units;

/// Columns of the word in front.
const WORD: usize = 8;

/// Beyond this nobody waits for it, seconds.
const FORESEEN_S: f64 = 48.0 * 3600.0;

/// How long a warning is news, microseconds.
const NEWS_US: u64 = 30_000_000;

/// Most names in a sentence.
const NAMES: usize = 4;

/// A word, how it looks, the sentence behind it.
type Sentence = (&'static str, Style, String);

/// Draws one row, or two.
pub(super) fn draw(buf: &mut Buffer, area: Rect, board: &Board, view: &FleetView, look: Look) {
    for (row, (word, style, text)) in
        [next(view, look), now(board, view, look)].into_iter().take(area.height.into()).enumerate()
    {
        let word = format!(" {word:^wide$} ", wide = if area.width < 60 { 4 } else { WORD });
        let column = put(buf, area, 1, row as u16, &word, style) + 1;
        let left = usize::from(area.width.saturating_sub(column));
        put(buf, area, column, row as u16, &cut(&text, left), look.text());
    }
}

/// The name of the worker at a place.
fn name(view: &FleetView, row: usize) -> String {
    view.rows.get(row).map_or_else(String::new, |row| row.state.who.name())
}

/// What will stop it, and when.
fn next(view: &FleetView, look: Look) -> Sentence {
    if view.is_over() {
        return ("OVER", look.phase(), view.verdict.text.clone());
    }
    if view.count.running == 0 && view.count.waiting > 0 {
        let of = view.count.expected.unwrap_or(0).max(view.count.come);
        let whom = if view.missing.is_empty() { "the last to be ready".to_owned() } else { listed(&view.missing) };
        return (
            "WAITING",
            look.paused(),
            format!("{} of {of} workers have joined; waiting for {whom}", view.count.come),
        );
    }
    if let Some(guard) = view.guard.as_ref().filter(|guard| guard.holds > 0) {
        let by = view.rows[guard.row].state.server.as_ref().and_then(|side| side.ceiling_by);
        let limit = by.map_or("a limit", |id| id.descriptor().label);
        let at = units::grouped(guard.ceiling);
        let text =
            format!("{} holds the fleet at {at}: beyond that, {limit} would be too close", name(view, guard.row));
        return ("GUARD", look.paused(), text);
    }
    let Some(nearest) = &view.nearest else {
        return ("NEXT", look.phase(), "no limit in sight yet: forecasts need more connections".to_owned());
    };
    let (word, style) = match nearest.limit.state {
        LimitState::Hit => ("HIT", look.alarm()),
        LimitState::Critical => ("SOON", look.alarm()),
        LimitState::Warn => ("NEXT", look.paused()),
        _ => ("NEXT", look.phase()),
    };
    (word, style, coming(view, nearest))
}

/// `server on web1: memory, at 2.75 M connections of the fleet, in 38 s`.
fn coming(view: &FleetView, nearest: &FleetLimit) -> String {
    let limit = &nearest.limit;
    let (whose, what) = (name(view, nearest.row), &limit.name);
    if limit.state == LimitState::Hit {
        return format!("{whose}: {what} has been reached");
    }
    let Some(at) = nearest.fleet_connections else { return format!("{whose}: {what}") };
    let short = units::short_count(at);
    if limit.state < LimitState::Warn && view.totals.target.is_some_and(|target| at > target) {
        return format!("nothing before the target; beyond it {what} of {whose}, at {}", short.trim());
    }
    let used = limit.share.filter(|_| limit.state >= LimitState::Warn);
    let used = used.map_or(String::new(), |share| format!(" {:.0} % used,", (share * 100.0).floor()));
    let when =
        limit.seconds.filter(|s| *s < FORESEEN_S).map_or(String::new(), |s| format!(", in {}", units::seconds(s)));
    format!("{whose}: {what},{used} at {} connections of the fleet{when}", short.trim())
}

/// The first few of them.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(NAMES);
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// The names of the workers that stand so.
fn standing(view: &FleetView, standing: Standing) -> Vec<String> {
    view.rows.iter().filter(|row| row.standing == standing).map(|row| row.state.who.name()).collect()
}

/// Whether anything is wrong now: the worst.
fn now(board: &Board, view: &FleetView, look: Look) -> Sentence {
    let warning = |text: String| (Severity::Warning.word(), look.severity(Severity::Warning), text);
    let critical = |text: String| (Severity::Critical.word(), look.severity(Severity::Critical), text);
    if let Some(why) = &board.trouble {
        return warning(format!("the store is unreachable, so this is old; the workers go on: {why}"));
    }
    if view.is_over() {
        let failed = view.verdict.status() != 0;
        let lost = standing(view, Standing::Lost);
        let text = match &view.bottleneck {
            _ if !lost.is_empty() => format!("lost: {}; the others have ended", listed(&lost)),
            Some(bottleneck) => bottleneck.text.clone(),
            None => "every worker has ended".to_owned(),
        };
        return if failed { critical(text) } else { ("OK", look.bar(LimitState::Ok), text) };
    }
    let lost = standing(view, Standing::Lost);
    if !lost.is_empty() {
        let holds = if lost.len() == 1 { "its connections are" } else { "their connections are" };
        return critical(format!("lost: {}; {holds} not counted", listed(&lost)));
    }
    let bad = view.events.iter().filter(|(_, event)| view.at_us.saturating_sub(event.at_us) < NEWS_US);
    let worst = bad.max_by_key(|(_, event)| (event.severity, event.at_us));
    if let Some((row, event)) = worst.filter(|(_, event)| event.severity == Severity::Critical) {
        return critical(format!("{}: {}", name(view, *row), event.text));
    }
    let silent = standing(view, Standing::Silent);
    if !silent.is_empty() {
        return warning(format!("silent: {}; stopped, or cut off from the store", listed(&silent)));
    }
    if let Some(versions) = &view.versions {
        return warning(format!("workers of different versions: {versions}"));
    }
    if let Some(bottleneck) = &view.bottleneck {
        return warning(bottleneck.text.clone());
    }
    if let Some((row, event)) = worst {
        return warning(format!("{}: {}", name(view, *row), event.text));
    }
    let earlier = match view.events.len() {
        0 => "nothing is wrong".to_owned(),
        1 => "nothing is wrong now; one warning earlier".to_owned(),
        n => format!("nothing is wrong now; {n} warnings earlier"),
    };
    ("OK", look.bar(LimitState::Ok), earlier)
}
