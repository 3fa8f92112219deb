//! The first row: what runs, against what, in which phase, since when; and on the right what watching it costs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::text::{put, width};
use super::theme::Theme;
use crate::model::{Model, RunPhase};
use crate::units;

/// The longest phase word: the chip keeps this width, so that nothing beside it moves.
const PHASE: usize = "ENGINE DIED".len();

/// Draws the row.
pub(super) fn draw(buf: &mut Buffer, area: Rect, model: &Model, theme: Theme) {
    let now = model.now();
    let mut column = put(buf, area, 1, 0, "c1m-top", theme.strong()) + 2;
    // Before the first sample the model cannot know the phase; a run that has a target is about to start.
    let starting = model.last_sample().is_none() && model.setup().target.is_some();
    let word = if starting { RunPhase::Starting.word() } else { now.word() };
    let style = match now.phase {
        RunPhase::EngineDied | RunPhase::Stopped => theme.alarm(),
        RunPhase::Paused | RunPhase::Guarded => theme.paused(),
        _ => theme.phase(),
    };
    column = put(buf, area, column, 0, &format!(" {word:^PHASE$} "), style) + 1;
    column = put(buf, area, column, 0, &units::clock(now.t_ms), theme.text()) + 2;
    let setup = model.setup();
    let part = setup.part.map(|part| part.to_string()).or(setup.merged.map(|from| from.to_string()));
    let mut parts: Vec<String> = [endpoint(model), part.clone(), processes(model)].into_iter().flatten().collect();
    if model.program().is_some() {
        // Which server it is matters more than where.
        parts.reverse();
    }
    let wanted = parts.iter().map(|part| width(part) as u16 + 2).sum::<u16>();
    let own = own_cost(model);
    let fits = |right: &str| column + wanted + (width(right) as u16) < area.width;
    // On a narrow screen what runs matters more than how long reading the kernel took, and which part this is more than memory.
    let right = match (fits(&own), &part) {
        (true, _) => own,
        (false, Some(_)) if !fits(&own_cost_short(model)) => own_share(model),
        (false, _) => own_cost_short(model),
    };
    let mut end = area.width;
    let right_column = area.width.saturating_sub(width(&right) as u16 + 1);
    if right_column > column {
        put(buf, area, right_column, 0, &right, theme.dim());
        end = right_column - 2;
    }
    // Where it runs gives way to all the rest.
    let short = setup.part.map(|part| format!("{}/{}", part.number, part.of));
    let short = short.or(setup.merged.map(|from| format!("{} parts", from.parts)));
    let short_of = |words: &str| short.clone().filter(|_| part.as_deref() == Some(words));
    for words in parts.into_iter().chain(model.setup().machine.short()) {
        let too_long = column + width(&words) as u16 > end;
        let part = short_of(&words).filter(|_| too_long).unwrap_or(words);
        if column + width(&part) as u16 <= end {
            column = put(buf, area, column, 0, &part, theme.text()) + 2;
        }
    }
}

/// `server 4021  client 4022`, or a foreign process by its name.
fn processes(model: &Model) -> Option<String> {
    if let Some(program) = model.program() {
        let more = if program.processes > 1 {
            format!(" ({} processes)", units::grouped(program.processes))
        } else {
            String::new()
        };
        return Some(format!("{} {}{more}", program.name, program.pid));
    }
    // The engines of several parts have no number between them.
    if model.setup().merged.is_some() {
        return None;
    }
    let names: Vec<String> = model.engines().iter().map(|e| format!("{} {}", e.name, e.pid)).collect();
    (!names.is_empty()).then(|| names.join("  "))
}

/// Where the run connects to; what a foreign program listens on.
fn endpoint(model: &Model) -> Option<String> {
    let Some(program) = model.program() else { return model.setup().endpoint.clone() };
    let mut on: Vec<String> = program.listeners.iter().take(3).map(ToString::to_string).collect();
    if program.listeners.len() > 3 {
        on.push("…".to_owned());
    }
    (!on.is_empty()).then(|| format!("on {}", on.join(", ")))
}

/// The dashboard's own cost: time to read the kernel once, then as below.
fn own_cost(model: &Model) -> String {
    format!("sample {:>5.1} ms  {}", model.now().sample_us as f64 / 1000.0, own_cost_short(model))
}

/// The dashboard's share of one core and its resident memory.
fn own_cost_short(model: &Model) -> String {
    format!("{} {:>8}", own_share(model), units::bytes(model.now().own_rss_bytes))
}

/// Its share of one core alone.
fn own_share(model: &Model) -> String {
    let cpu = model.now().own_cpu_share.map_or_else(|| "   –".to_owned(), |share| format!("{:>4.1}", share * 100.0));
    format!("self {cpu} %")
}
