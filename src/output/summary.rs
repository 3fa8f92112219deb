//! The summary for people: what the run came to, in a few lines.

use std::fmt::Write;

use crate::limits::LimitState;
use crate::model::{Kind, Model, Severity, Summary, Verdict};
use crate::units::{bytes, grouped, whole};

/// What the run came to, in lines that may go to a terminal.
pub fn write(summary: &Summary, model: &Model) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = lines(&mut text, summary, model);
    super::harmless(&text)
}

/// What the client saw when it gave up.
fn stop(model: &Model) -> String {
    let stop = model.engines().iter().find_map(|e| e.stats.as_ref()?.stop.as_ref());
    stop.map_or(String::new(), |stop| format!(": {}", stop.text))
}

fn lines(text: &mut String, s: &Summary, model: &Model) -> std::fmt::Result {
    let stopped = s.stopped_by.as_deref().unwrap_or("a limit");
    let verdict = match s.verdict {
        Verdict::TargetReached => "the target was reached".to_owned(),
        Verdict::LimitHit => format!("stopped by {stopped}"),
        Verdict::GuardStopped => format!("held back by the guard before {stopped}"),
        Verdict::EngineKilled => "an engine died".to_owned(),
        Verdict::ProcessDied => "the watched process died".to_owned(),
        Verdict::EngineSilent => "an engine did not run any more (stopped, or without CPU)".to_owned(),
        Verdict::ServerRefuses => format!("the server refuses{}", stop(model)),
        Verdict::ServerStalled => format!("the server takes no more{}", stop(model)),
        Verdict::Late => "the target was reached, and messages left too late".to_owned(),
        Verdict::TimeUp => "the time was up before the target was reached".to_owned(),
        Verdict::Served | Verdict::Watched => "ended".to_owned(),
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
    if let Some(program) = &s.process {
        let said = |n: Option<u64>, write: fn(u64) -> String| n.map_or_else(|| "?".to_owned(), write);
        writeln!(
            text,
            "  its processes at last {:>11}, {} resident, {} descriptors, {} waiting",
            grouped(program.processes),
            said(program.rss_bytes, bytes),
            said(program.descriptors, grouped),
            said(program.queued, grouped)
        )?;
    }
    if let (Some(time), Some(rate)) = (s.time_to_peak_s, s.mean_rate_per_s) {
        writeln!(text, "  time to that          {time:>11.1} s   ({} connections/s)", grouped(whole(rate)))?;
    }
    if let Some(cpu) = s.cpu_us_per_connection {
        writeln!(text, "  engine CPU            {cpu:>11.1} us  per connection")?;
    }
    if let Some(total) = s.bytes_per_connection.total {
        let (bytes, ends) = (grouped(whole(total.round())), model.cost().ends());
        writeln!(text, "  memory                {bytes:>11} B   per connection, {ends}")?;
    }
    for (count, what) in [(s.refused, "refused by the server"), (s.lost, "lost (closed by the other end)")] {
        if let Some(count) = count.filter(|n| *n > 0) {
            writeln!(text, "  {what:<32}{:>11}", grouped(count))?;
        }
    }
    for limit in s.limits.iter().filter(|l| l.state >= LimitState::Warn) {
        // Of one that both engines have, whose it is.
        let others = s.limits.iter().filter(|l| l.id == limit.id).count() > 1;
        let name = if others { format!("{} ({})", limit.id, limit.scope) } else { limit.id.to_string() };
        write!(text, "  limit {name:<16}{:>11}", limit.state.word())?;
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
    // What this program could not do as it should have.
    for event in model.events().all().iter().filter(|e| e.of == Kind::Program && e.severity > Severity::Info) {
        writeln!(text, "  {}", event.text)?;
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
