//! Text for people: a line for a sample, one for an event, the summary in a few.

#![expect(clippy::cast_precision_loss, reason = "shares of counts far below 2^52")]

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use super::{Output, summary_text};
use crate::model::{CountSource, Event, Model, ProcessLine, Summary};
use crate::units::{bytes, clock, grouped, millis, printable, seconds, short_count, signed};

/// Lines of text.
#[derive(Debug)]
pub(super) struct Text;

impl Output for Text {
    fn sample(&mut self, to: &mut dyn Write, model: &Model) -> io::Result<()> {
        writeln!(to, "{}", printable(&progress(model)))
    }

    fn event(&mut self, to: &mut dyn Write, event: &Event) -> io::Result<()> {
        writeln!(to, "{}", printable(&event_text(event)))
    }

    fn summary(&mut self, to: &mut dyn Write, model: &Model, summary: &Summary) -> io::Result<()> {
        write!(to, "{}", summary_text(summary, model))
    }
}

/// An event as a line.
fn event_text(event: &Event) -> String {
    let word = event.severity.word();
    let gap = if word.is_empty() { "" } else { " " };
    format!("{} {word}{gap}{}", clock(event.t_ms), event.text)
}

/// A sample as a line.
fn progress(model: &Model) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_progress(&mut text, model);
    text
}

fn write_progress(text: &mut String, model: &Model) -> fmt::Result {
    let now = model.now();
    write!(text, "{} {:<9} {:>11}", clock(now.t_ms), now.word().to_lowercase(), grouped(now.connections))?;
    if let Some(program) = model.program() {
        write!(text, "{}", if now.source == CountSource::Process { " held" } else { " in its network namespace" })?;
        write_program(text, program)?;
    }
    if let Some(target) = now.target.filter(|t| *t > 0) {
        let percent = now.connections as f64 / target as f64 * 100.0;
        write!(text, " of {} ({percent:>5.1} %)", grouped(target))?;
    }
    if let Some(rate) = now.rate_per_s {
        write!(text, "  {:>8}/s", signed(rate))?;
    }
    if let Some(eta) = now.eta_s {
        write!(text, "  ETA {}", seconds(eta))?;
    }
    if let Some(headroom) = model.headroom() {
        write!(text, "  headroom {}", bytes(headroom.bytes))?;
    }
    if let Some(limit) = model.nearest() {
        write!(text, "  next {}", limit.name())?;
        if let Some((at, doubt)) = limit.forecast.connections().zip(limit.forecast.plus_minus()) {
            // A number that may be a quarter off is none.
            if doubt > at / 4 {
                write!(text, " at {} to {}", short_count(at.saturating_sub(doubt)), short_count(at + doubt))?;
            } else {
                write!(text, " at {}", short_count(at))?;
            }
        }
    }
    if let Some(percent) = now.memory_pressure_percent.filter(|p| *p > 0.0) {
        write!(text, "  memory pressure {percent:.1} %")?;
    }
    for stale in &now.stale {
        write!(text, "  {} silent for {}", stale.role.name(), millis(stale.silent_ms))?;
    }
    if let Some(ms) = now.backoff_ms {
        write!(text, "  backing off: {}", millis(ms))?;
    }
    if let Some(segments) = now.retransmits.filter(|n| *n > 0) {
        write!(text, "  retransmits {}", grouped(segments))?;
    }
    Ok(())
}

/// What a watched server has, behind the connections that it holds.
fn write_program(text: &mut String, program: &ProcessLine) -> fmt::Result {
    let number = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), grouped);
    write!(text, "  waiting {}  open files {}", number(program.queued), number(program.descriptors))?;
    write!(text, "  RSS {}", program.rss_bytes.map_or_else(|| "?".to_owned(), bytes))?;
    write!(text, "  CPU {}", program.cpu_percent.map_or_else(|| "?".to_owned(), |p| format!("{p:.1} %")))?;
    if program.processes != 1 {
        write!(text, "  processes {}", grouped(program.processes))?;
    }
    let draining: u64 = program.members.iter().filter(|m| m.draining).filter_map(|m| m.connections).sum();
    if draining > 0 { write!(text, "  draining {}", grouped(draining)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Severity, Verdict, synthetic};
    use crate::protocol::{Phase, Role};

    #[test]
    fn an_event_is_one_line_whatever_its_names_are() {
        for (severity, text, want) in [
            (Severity::Info, "the ramp has started", "00:00:00 the ramp has started\n"),
            (Severity::Warning, "a\u{1b}[2Jb\nc (77) is gone", "00:00:00 WARN a\\u{1b}[2Jb\\nc (77) is gone\n"),
        ] {
            let mut out = Vec::new();
            Text.event(&mut out, &Event::new(Kind::Program, severity, "a", text)).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }

    #[test]
    fn a_count_that_falls_has_a_rate_below_zero() {
        let mut model = Model::default();
        for (i, open) in [57_646, 51_432].into_iter().enumerate() {
            let mut sample = synthetic::sample(open, i as u64 * 1000);
            synthetic::engine(&mut sample, Role::Client).unwrap().phase = Phase::Closing;
            model.update(&sample);
        }
        let mut out = Vec::new();
        Text.sample(&mut out, &model).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("  -6,214/s"));
    }

    #[test]
    fn a_summary_is_lines_without_control_characters() {
        let mut model = Model::default();
        for sample in synthetic::ramp(1000, 1000, 1000) {
            model.update(&sample);
        }
        let mut out = Vec::new();
        Text.summary(&mut out, &model, &model.summary(Verdict::TargetReached)).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().count() > 3 && text.ends_with('\n'), "{text}");
        assert!(text.lines().all(|line| !line.contains(char::is_control)), "{text:?}");
    }
}
