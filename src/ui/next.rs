//! Two sentences over the whole width: what will stop the run and when, with its cure; and whether anything is wrong now.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::panel::Look;
use super::text::{cut, put, put_right, width};
use crate::limits::{Forecast, Limit, LimitState};
use crate::model::{Event, Model, RunPhase, Severity};
use crate::units;

/// Columns of the word in front.
const WORD: usize = 8;

/// Beyond this nobody waits for it, seconds.
const FORESEEN_S: f64 = 48.0 * 3600.0;

/// How long a warning is news, milliseconds.
const NEWS_MS: u64 = 30_000;

/// One sentence.
struct Sentence {
    word: &'static str,
    style: Style,
    text: String,
    /// What helps, as it can be typed.
    fix: Option<String>,
}

/// Draws one row, or two.
pub(super) fn draw(buf: &mut Buffer, area: Rect, model: &Model, look: Look) {
    for (row, sentence) in [next(model, look), now(model, look)].into_iter().take(area.height.into()).enumerate() {
        write(buf, Rect { y: area.y + row as u16, height: 1, ..area }, &sentence, look);
    }
}

fn write(buf: &mut Buffer, area: Rect, sentence: &Sentence, look: Look) {
    let word = format!(" {:^wide$} ", sentence.word, wide = if area.width < 60 { 4 } else { WORD });
    let column = put(buf, area, 1, 0, &word, sentence.style) + 1;
    let left = usize::from(area.width.saturating_sub(column));
    let Some(fix) = sentence.fix.as_ref().filter(|_| left >= 44) else {
        put(buf, area, column, 0, &cut(&sentence.text, left), look.text());
        return;
    };
    let text = cut(&sentence.text, left);
    let after = put(buf, area, column, 0, &text, look.text());
    let room = usize::from(area.width - after);
    // Rather a whole sentence than half of a command.
    if room < 24 {
        return;
    }
    let fix = cut(fix, room.saturating_sub(9));
    let start = area.width - width(&fix) as u16 - 1;
    put_right(buf, area, start.saturating_sub(2), 0, "fix", look.dim());
    put(buf, area, start, 0, &fix, look.key());
}

/// What will stop it, and when.
fn next(model: &Model, look: Look) -> Sentence {
    let plain = |text: String| Sentence { word: "NEXT", style: look.phase(), text, fix: None };
    if model.last_sample().is_none() {
        return plain("known once the first connections are open".to_owned());
    }
    if matches!(model.now().phase, RunPhase::Guarded) && model.held_by_fleet() {
        let at = units::grouped(model.now().connections);
        let text = format!("the fleet's guard holds the ramp at {at}: more would bring the server too near its limit");
        return Sentence { word: "GUARD", style: look.paused(), text, fix: None };
    }
    if matches!(model.now().phase, RunPhase::Guarded) {
        let limit = model.guard_limit().and_then(|id| model.limits().iter().find(|l| l.info.id == id));
        let what = limit.map_or("a limit".to_owned(), Limit::name);
        let at = model.guard_ceiling().map_or(String::new(), |n| format!(" at {}", units::grouped(n)));
        let text = format!("the guard holds the ramp{at}: beyond that, {what} would be too close");
        return Sentence { word: "GUARD", style: look.paused(), text, fix: limit.and_then(fix) };
    }
    if model.setup().target.is_none() && model.engines().is_empty() && model.program().is_none() {
        return plain("nothing is watched: limits are forecast once connections grow".to_owned());
    }
    if matches!(model.now().phase, RunPhase::Closing | RunPhase::Closed) {
        return plain("nothing: connections are being closed".to_owned());
    }
    let Some(limit) = model.nearest() else {
        let early = model.limits().iter().any(|l| l.forecast == Forecast::NotYet && l.state == LimitState::Ok);
        let why = if early { " yet: forecasts need more connections" } else { ": none grows with connections" };
        return plain(format!("no limit in sight{why}"));
    };
    let name = limit.name();
    if limit.state == LimitState::Hit {
        let text = match limit.numbers() {
            Some(_) if limit.share().is_some_and(|share| share >= 0.9) => format!("{name} is used up: {}", of(limit)),
            // What it met may have gone since: raised by someone, or used less.
            Some(_) => format!("{name} has been reached; now {}", of(limit)),
            None => format!("{name} has been reached"),
        };
        return Sentence { word: "HIT", style: look.alarm(), text, fix: fix(limit) };
    }
    let (word, style) = match limit.state {
        LimitState::Critical => ("SOON", look.alarm()),
        LimitState::Warn => ("NEXT", look.state(LimitState::Warn)),
        _ => ("NEXT", look.phase()),
    };
    Sentence { word, style, text: coming(model, limit, &name), fix: fix(limit) }
}

/// `epoll watches, at 2.75 M connections, in 38 s`; of what comes beyond the target, that nothing comes before it.
fn coming(model: &Model, limit: &Limit, name: &str) -> String {
    let Forecast::At { connections, seconds, .. } = limit.forecast else {
        return format!("{name}, {}", super::limits::when(limit));
    };
    let at = format!("at {} connections", units::short_count(connections).trim());
    let aims = model.now().phase != RunPhase::EngineDied;
    if limit.state >= LimitState::Warn
        && let Some(share) = limit.share()
    {
        let used = format!("{:.0} % used", (share * 100.0).floor());
        let when = seconds.map_or(String::new(), |s| format!(", in {}", units::seconds(s)));
        return format!("{name}, {used}, full {at}{when}");
    }
    match seconds {
        _ if aims && model.now().target.is_some_and(|target| connections > target) => {
            // Short enough for 80 columns with the longest name.
            let at = units::short_count(connections);
            format!("nothing before the target; beyond it {name} at {}", at.trim())
        }
        Some(s) if s < FORESEEN_S => format!("{name}, {at}, in {}", units::seconds(s)),
        _ => format!("{name}, {at}"),
    }
}

/// `1,000 of 1,000`.
fn of(limit: &Limit) -> String {
    let write = |n: Option<u64>| n.map_or_else(|| "–".to_owned(), |n| limit.unit.write(n));
    format!("{} of {}", write(limit.used), write(limit.limit))
}

/// What helps.
fn fix(limit: &Limit) -> Option<String> {
    limit.cure.first().map(ToOwned::to_owned)
}

/// Whether anything is wrong now.
fn now(model: &Model, look: Look) -> Sentence {
    let now = model.now().t_ms;
    let bad = || model.events().all().iter().filter(|e| e.severity > Severity::Info);
    let lasts = |e: &Event| model.limit_of(e).is_some_and(|l| l.state >= LimitState::Warn);
    let news = bad().filter(|e| now.saturating_sub(e.t_ms) < NEWS_MS || lasts(e));
    // The worst, and of those the newest.
    if let Some(event) = news.max_by_key(|e| (e.severity, e.t_ms)) {
        let times = if event.count > 1 { format!(" ×{}", units::grouped(event.count)) } else { String::new() };
        let text = format!("{}{times}", event.text);
        return Sentence { word: event.severity.word(), style: look.severity(event.severity), text, fix: None };
    }
    let (word, style) = ("OK", look.bar(LimitState::Ok));
    let text = match bad().count() {
        _ if model.last_sample().is_none() => "waiting for the first sample".to_owned(),
        0 => "nothing is wrong".to_owned(),
        1 => "nothing is wrong now; one warning earlier".to_owned(),
        n => format!("nothing is wrong now; {n} warnings earlier"),
    };
    Sentence { word, style, text, fix: None }
}
