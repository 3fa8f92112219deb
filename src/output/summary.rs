//! The summary for people: what the run came to, in a few lines.

use std::fmt::Write;

use crate::limits::LimitState;
use crate::model::{Model, Summary, Verdict};
use crate::units::{bytes, grouped};

/// What the run came to, in lines that may go to a terminal.
pub fn write(summary: &Summary, model: &Model) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = lines(&mut text, summary, model);
    super::harmless(&text)
}

fn lines(text: &mut String, s: &Summary, model: &Model) -> std::fmt::Result {
    let stopped = s.stopped_by.as_deref().unwrap_or("a limit");
    let verdict = match s.verdict {
        Verdict::TargetReached => "the target was reached".to_owned(),
        Verdict::LimitHit => format!("stopped by {stopped}"),
        Verdict::GuardStopped => format!("held back by the guard before {stopped}"),
        Verdict::EngineKilled => "an engine died".to_owned(),
        Verdict::Interrupted => "ended by the user".to_owned(),
    };
    writeln!(text, "c1m-top: {verdict}")?;
    if let Some(peak) = s.peak_established {
        write!(text, "  established at once   {:>11}", grouped(peak))?;
        match s.target {
            Some(target) if target > 0 => writeln!(text, " of {}", grouped(target))?,
            _ => writeln!(text)?,
        }
    }
    if let Some(peak) = s.peak_accepted {
        writeln!(text, "  accepted at once      {:>11}", grouped(peak))?;
    }
    if let (Some(time), Some(rate)) = (s.time_to_peak_s, s.mean_rate_per_s) {
        writeln!(text, "  time to that          {time:>11.1} s   ({} connections/s)", grouped(rate as u64))?;
    }
    if let Some(cpu) = s.cpu_us_per_connection {
        writeln!(text, "  engine CPU            {cpu:>11.1} us  per connection")?;
    }
    if let Some(total) = s.bytes_per_connection.total {
        let (bytes, ends) = (grouped(total.max(0.0).round() as u64), model.cost().ends());
        writeln!(text, "  memory                {bytes:>11} B   per connection, {ends}")?;
    }
    for limit in s.limits.iter().filter(|l| l.state >= LimitState::Warn) {
        write!(text, "  limit {:<16}{:>11}", limit.id, limit.state.word())?;
        if let Some(at) = limit.forecast_connections {
            write!(text, "     at {} connections", grouped(at))?;
        }
        writeln!(text)?;
    }
    for death in model.deaths() {
        writeln!(
            text,
            "  {} {} ended at {} connections: {}",
            death.name,
            death.pid,
            grouped(death.at_connections),
            death.cause
        )?;
    }
    let d = &s.dashboard;
    writeln!(
        text,
        "  dashboard             {:>11.2} s   CPU, {}, a sample {} us (median of {})",
        d.cpu_s,
        bytes(d.rss_bytes),
        d.sample_us_p50,
        d.samples
    )
}
