//! The summary for people: what the run came to, in 80 columns. What the screen showed is gone with it, so that warnings and
//! their cures are said once more, and what would have come next.

use std::fmt::Write as _;

use crate::limits::{Cure, Limit, LimitId, LimitState};
use crate::model::{Event, Latency, Model, Severity, Summary, Verdict};
use crate::units::{bytes, clock, fine_time, grouped, printable, seconds, whole};

/// Columns of a terminal that nobody has made larger.
const COLUMNS: usize = 80;
/// Columns of what stands in front of a fact.
const NAME: usize = 16;
/// Warnings that are repeated: the worst, in the order in which they came.
const WARNINGS: usize = 12;

/// What the run came to, in lines that may go to a terminal. Lines have at most 80 columns, unless one word, such as a path in a
/// command, is longer.
pub fn write(summary: &Summary, model: &Model) -> String {
    let mut page = Page::default();
    page.wrapped("", "", &format!("c1m-top: {}", verdict(summary, model)));
    facts(&mut page, summary, model);
    warnings(&mut page, model);
    next(&mut page, summary, model);
    page.0
}

/// Lines, each of them harmless.
#[derive(Debug, Default)]
struct Page(String);

impl Page {
    /// `text` behind `first`, its further lines behind `rest`, broken at spaces.
    fn wrapped(&mut self, first: &str, rest: &str, text: &str) {
        let mut line = first.to_owned();
        let mut begun = false;
        for word in printable(text).split_whitespace() {
            let gap = usize::from(begun);
            if begun && line.chars().count() + gap + word.chars().count() > COLUMNS {
                self.0 += line.trim_end();
                self.0.push('\n');
                rest.clone_into(&mut line);
                begun = false;
            }
            if begun {
                line.push(' ');
            }
            line += word;
            begun = true;
        }
        self.0 += line.trim_end();
        self.0.push('\n');
    }

    fn fact(&mut self, name: &str, text: &str) {
        let indent = " ".repeat(NAME + 2);
        self.wrapped(&format!("  {name:<NAME$}"), &indent, text);
    }

    fn heading(&mut self, text: &str) {
        self.0.push('\n');
        self.wrapped("", "", text);
    }

    /// Each remedy on a line of its own, so that its command can be copied.
    fn cure(&mut self, cure: &Cure) {
        for (i, remedy) in cure.0.iter().enumerate() {
            let word = if i == 0 { "fix:" } else { "or: " };
            self.wrapped(&format!("    {word} "), "         ", &remedy.text);
        }
    }
}

/// How it ended, in a sentence.
fn verdict(s: &Summary, model: &Model) -> String {
    let named = |id: &str| {
        if id == "fleet_guard" {
            return "the fleet's server is near its own".to_owned();
        }
        let hit = s.limits.iter().find(|l| l.id.name() == id && l.state == LimitState::Hit);
        let label = || LimitId::named(id).map_or(id.to_owned(), |id| id.descriptor().label.to_owned());
        hit.map_or_else(label, |l| l.id.descriptor().name_of(&l.scope))
    };
    let limit = s.stopped_by.as_deref().map_or(String::new(), |id| format!(": {}", named(id)));
    match s.verdict {
        Verdict::TargetReached => "the target was reached".to_owned(),
        Verdict::LimitHit => format!("stopped by a limit{limit}"),
        Verdict::GuardStopped => format!("stopped by the guard, short of a limit{limit}"),
        Verdict::EngineKilled => "an engine died".to_owned(),
        Verdict::ProcessDied => "the watched process died".to_owned(),
        Verdict::EngineSilent => "an engine was no longer running (stopped, or getting no CPU)".to_owned(),
        Verdict::ServerRefuses => format!("the server refuses connections{}", stop(model)),
        Verdict::ServerStalled => format!("the server takes no more connections{}", stop(model)),
        Verdict::Late => "the target was reached, but messages were sent too late".to_owned(),
        Verdict::TimeUp => "time was up before the target was reached".to_owned(),
        Verdict::WorkersMissing => "a fleet worker never joined, or was lost".to_owned(),
        Verdict::Served | Verdict::Watched => "ended".to_owned(),
        Verdict::Interrupted => "ended by the user".to_owned(),
    }
}

/// What the client saw when it gave up, where no event says it.
fn stop(model: &Model) -> String {
    let stop = model.engines().iter().find_map(|e| e.stats.as_ref()?.stop.as_ref());
    let said = |text: &str| model.events().all().iter().any(|e| e.severity > Severity::Info && e.text.contains(text));
    stop.filter(|stop| !said(&stop.text)).map_or(String::new(), |stop| format!(": {}", stop.text))
}

/// `p50 140 us, p99 670 us, p99.9 1.90 ms, max 3.20 ms`.
fn percentiles(l: &Latency) -> String {
    let [p50, p99, p999, max] = times([l.p50_us, l.p99_us, l.p999_us, l.max_us]);
    format!("p50 {p50}, p99 {p99}, p99.9 {p999}, max {max}")
}

#[expect(clippy::cast_precision_loss, reason = "times far below 2^52 microseconds")]
fn times<const N: usize>(us: [u64; N]) -> [String; N] {
    us.map(|us| fine_time(us as f64))
}

/// Seconds, with a tenth where that matters.
fn tenths(s: f64) -> String {
    if s < 60.0 { format!("{s:.1} s") } else { seconds(s) }
}

fn facts(page: &mut Page, s: &Summary, model: &Model) {
    if let Some(part) = s.part {
        page.fact("part", &format!("{} of {}, from {}", part.number, part.of, part.from.name()));
    }
    for part in s.merged.iter().flat_map(|merged| &merged.parts) {
        page.fact(&part.name, &part.to_string());
    }
    if let Some(peak) = s.peak_established.or(s.process.as_ref().and_then(|p| p.connections)) {
        let of = s.target.filter(|t| *t > 0).map_or(String::new(), |target| format!(" of {}", grouped(target)));
        let took = match (s.time_to_peak_s, s.mean_rate_per_s) {
            (Some(time), Some(rate)) => format!(", in {} ({}/s)", tenths(time), grouped(whole(rate))),
            _ => String::new(),
        };
        page.fact("connections", &format!("{}{of}{took}", grouped(peak)));
    }
    if let Some(peak) = s.peak_accepted {
        page.fact("accepted", &format!("{} by the server", grouped(peak)));
    }
    if let Some(greeted) = s.greeted {
        page.fact("greeted", &grouped(greeted));
    }
    if let Some(program) = &s.process {
        let or_unknown = |n: Option<u64>, write: fn(u64) -> String| n.map_or_else(|| "?".to_owned(), write);
        let last = format!(
            "{} at the end: {} resident, {} open files, {} waiting",
            grouped(program.processes),
            or_unknown(program.rss_bytes, bytes),
            or_unknown(program.descriptors, grouped),
            or_unknown(program.queued, grouped)
        );
        page.fact("processes", &last);
    }
    if let Some(connect) = &s.connect {
        page.fact("connect time", &percentiles(connect));
    }
    if let Some(handshake) = &s.handshake {
        page.fact("handshake", &percentiles(handshake));
    }
    if let Some(t) = &s.traffic {
        let mut what = format!("{} sent, {} echoed", grouped(t.sent), grouped(t.echoed));
        for (n, fate) in [(t.late, "late"), (t.skipped, "skipped"), (t.mismatched, "altered")] {
            if n > 0 {
                let _ = write!(what, ", {} {fate}", grouped(n));
            }
        }
        page.fact("messages", &what);
        if t.echo.count > 0 {
            page.fact("echo time", &percentiles(&t.echo));
        }
    }
    if let Some(lost) = s.lost {
        let refused = s.refused.map_or(String::new(), |n| format!(", {} refused by the server", grouped(n)));
        page.fact("lost", &format!("{} closed by the other end{refused}", grouped(lost)));
        page.fact("failed calls", &grouped(s.failures));
    }
    if let Some(total) = s.bytes_per_connection.total {
        let (bytes, ends) = (grouped(whole(total.round())), model.cost().ends());
        page.fact("memory", &format!("{bytes} B per connection, {ends}"));
    }
    if let Some(cpu) = s.cpu_us_per_connection {
        page.fact("engine CPU", &format!("{cpu:.1} us per connection"));
    }
    let mut hit: Vec<String> = Vec::new();
    for limit in s.limits.iter().filter(|l| l.state == LimitState::Hit) {
        hit.push(limit.id.descriptor().name_of(&limit.scope));
    }
    if !hit.is_empty() {
        page.fact("limits hit", &hit.join(", "));
    }
    if let Some(took) = s.close_s {
        page.fact("closing", &format!("took {}", tenths(took)));
    }
    for expectation in &s.expectations {
        page.wrapped("  ", "    ", &expectation.to_string());
    }
    let d = &s.dashboard;
    let [sample] = times([d.sample_us_p50]);
    page.fact("dashboard", &format!("{:.2} s of CPU, {}, {sample} per sample", d.cpu_s, bytes(d.rss_bytes)));
}

/// What warned, with what helps.
fn warnings(page: &mut Page, model: &Model) {
    let mut events: Vec<&Event> = model.events().all().iter().filter(|e| e.severity > Severity::Info).collect();
    let left_out = events.len().saturating_sub(WARNINGS);
    if left_out > 0 {
        events.sort_by_key(|e| std::cmp::Reverse(e.severity));
        events.truncate(WARNINGS);
        events.sort_by_key(|e| e.t_ms);
    }
    if !events.is_empty() {
        page.heading("Warnings:");
    }
    for event in events {
        let when = format!("  {} {} ", clock(event.t_ms), event.severity.word());
        page.wrapped(&when, "    ", without_cure(&event.text, &event.cure));
        page.cure(&event.cure);
    }
    if left_out > 0 {
        page.wrapped("  ", "  ", &format!("and {left_out} more, none more severe"));
    }
}

/// The sentence of an event, whose cure follows on lines of its own.
fn without_cure<'a>(text: &'a str, cure: &Cure) -> &'a str {
    if cure.is_empty() {
        return text;
    }
    let Some(before) = text.strip_suffix(&cure.to_string()) else { return text };
    let before = before.trim_end();
    before.strip_suffix("Cure:").unwrap_or(before).trim_end_matches([' ', ':', ';', ',', '.'])
}

/// The limit that would have come next, and what puts it off.
fn next(page: &mut Page, s: &Summary, model: &Model) {
    let met = |limit: &&Limit| {
        let hit = s.limits.iter().any(|l| limit.is(l.id, &l.scope) && l.state == LimitState::Hit);
        hit || s.verdict == Verdict::LimitHit && s.stopped_by.as_deref() == Some(limit.info.name)
    };
    let Some(limit) = model.ahead().iter().find(|limit| !met(limit)) else { return };
    let Some((at, doubt)) = limit.forecast.connections().zip(limit.forecast.plus_minus()) else { return };
    let doubt = if doubt > 0 { format!(" (± {})", grouped(doubt)) } else { String::new() };
    page.heading(&format!("Next limit: {}, at {} connections{doubt}", limit.name(), grouped(at)));
    if limit.cure.is_empty() {
        page.wrapped("    ", "    ", "c1m-top check --target COUNT says what it takes");
    }
    page.cure(&limit.cure);
}
