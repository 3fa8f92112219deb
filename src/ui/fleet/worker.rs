//! One worker, opened: all that it says of itself, until its own dashboard has come.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::cells::{heard, state_style};
use crate::fleet::{FleetView, Row, Standing};
use crate::ui::panel::{self, Look};
use crate::ui::text::{put, wrap};
use crate::units;
use crate::units::whole;

/// Column at which what is known starts.
const INDENT: u16 = 18;

/// Draws the worker.
pub(super) fn draw(buf: &mut Buffer, area: Rect, view: &FleetView, row: &Row, look: Look) {
    let state = &row.state;
    let name = format!("{}, process {}, c1m-top {}", state.who.name(), state.who.pid, state.who.version);
    let inner = panel::frame(buf, area, &name, look);
    panel::remark(buf, area, &name, &format!("heard {} ago", heard(row.age_ms)), look);
    let columns = usize::from(inner.width.saturating_sub(INDENT + 1));
    let mut at = 0;
    for line in wrap(&own_dashboard(row), usize::from(inner.width.saturating_sub(2))) {
        put(buf, inner, 1, at, &line, look.dim());
        at += 1;
    }
    for (caption, text) in facts(view, row) {
        for (i, line) in wrap(&text, columns).iter().enumerate() {
            if i == 0 {
                put(buf, inner, 1, at, caption, look.dim());
            }
            let style = if caption == "state" { state_style(row, look) } else { look.text() };
            put(buf, inner, INDENT, at, line, style);
            at += 1;
        }
    }
    at += 1;
    for event in &state.events {
        let word = event.severity.word();
        let ago = heard(view.at_us.saturating_sub(event.at_us) / 1000);
        put(buf, inner, 1, at, &format!("{ago} ago"), look.dim());
        let times = if event.count > 1 { format!(" ×{}", units::grouped(event.count)) } else { String::new() };
        let lines = wrap(&format!("{word} {}{times}", event.text), columns);
        for line in &lines {
            put(buf, inner, INDENT, at, line, look.text());
            at += 1;
        }
        put(buf, inner, INDENT, at - lines.len() as u16, word, look.severity(event.severity));
    }
}

/// Draws that it is there no more.
pub(super) fn gone(buf: &mut Buffer, area: Rect, look: Look) {
    let inner = panel::frame(buf, area, "Worker", look);
    put(buf, inner, 1, 0, "It is no longer in the fleet.", look.text());
}

/// Whether its own dashboard comes.
fn own_dashboard(row: &Row) -> String {
    let version = &row.state.who.version;
    match row.standing {
        Standing::Left => "Its run has ended; this is its last report.".to_owned(),
        Standing::Silent | Standing::Lost => "No word from it; this is its last report.".to_owned(),
        _ if version != env!("CARGO_PKG_VERSION") => {
            format!("Loading its dashboard, if c1m-top {version} sends one; this is its last report.")
        }
        _ => "Loading its dashboard; this is its last report.".to_owned(),
    }
}

/// What there is to know, the most important first.
fn facts(view: &FleetView, row: &Row) -> Vec<(&'static str, String)> {
    let state = &row.state;
    let mut facts = vec![("state", row.word().to_owned())];
    let mut add = |caption, text: Option<String>| facts.extend(text.map(|text| (caption, text)));
    add(
        "ended",
        state
            .verdict
            .map(|verdict| serde_json::to_string(&verdict).unwrap_or_default().trim_matches('"').replace('_', " ")),
    );
    add("what", Some(state.who.what.clone()).filter(|what| !what.is_empty()));
    let of = state.target.map_or(String::new(), |target| format!(" of {}", units::grouped(target)));
    add("connections", Some(format!("{}{of}, peak {}", units::grouped(state.connections), units::grouped(state.peak))));
    let limit = state.rate_limit.map_or(String::new(), |limit| format!(", held to {}/s", units::grouped(limit)));
    add("rate", state.rate_per_s.map(|rate| format!("{}/s{limit}", units::signed(rate))));
    let lost = state.lost.map_or(String::new(), |lost| format!(", {} connections lost", units::grouped(lost)));
    add("failures", Some(format!("{} failed calls{lost}", units::grouped(state.failures))));
    add("CPU", state.cpu.map(|cpu| format!("{:.1} of {} cores", cpu.cores_used, cpu.cores)));
    add(
        "next limit",
        state.nearest.as_ref().map(|limit| {
            let at = limit
                .connections
                .map_or(String::new(), |n| format!(", at {} connections of its own", units::grouped(n)));
            let used = limit.share.map_or(String::new(), |share| format!(", {:.0} % used", (share * 100.0).floor()));
            let when = limit.seconds.map_or(String::new(), |s| format!(", in {}", units::seconds(s)));
            format!("{} ({}){used}{at}{when}", limit.name, limit.state.word())
        }),
    );
    if let Some(side) = &state.server {
        add("its memory", side.rss_bytes.map(|bytes| format!("{} resident", units::bytes(bytes))));
        let used = side.mem_used_bytes.map(|bytes| format!("{} in use", units::bytes(bytes)));
        let left = side.headroom_bytes.map(|bytes| format!("{} left", units::bytes(bytes)));
        add("of its machine", used.zip(left).map(|(used, left)| format!("{used}, {left}")));
        add(
            "a connection",
            side.bytes_per_connection.map(|bytes| format!("costs {} there", units::bytes(whole(bytes)))),
        );
        let by = side.ceiling_by.map_or(String::new(), |id| format!(", because of {}", id.descriptor().label));
        add("its guard", side.ceiling.map(|n| format!("holds the fleet at {}{by}", units::grouped(n))));
    }
    add(
        "the guard",
        state.held.map(|held| {
            let obeys = if held.holds { "holds it at" } else { "allows it" };
            let (late, age) = (held.late_us as f64 / 1000.0, heard(held.age_ms));
            format!(
                "{obeys} {} connections; delay {late:.0} ms, the worst lately; heard {age} ago",
                units::grouped(held.allowed)
            )
        }),
    );
    add("echoes", state.echo.map(|echo| format!("99 % within {} us", units::grouped(echo.p99_us))));
    let starts = view.rows.iter().filter_map(|row| row.state.started_us).min();
    add(
        "started",
        state
            .started_us
            .zip(starts)
            .map(|(own, first)| format!("{:.1} ms after the first worker", own.saturating_sub(first) as f64 / 1000.0)),
    );
    let wall = state.clock.wall_ahead_us as f64 / 1e6;
    let ahead = if wall < 0.0 { "behind" } else { "ahead of" };
    add(
        "clock",
        Some(format!(
            "the store's time is known to {:.1} ms; its wall clock is {:.1} s {ahead} it",
            state.clock.error_us as f64 / 1000.0,
            wall.abs()
        )),
    );
    facts
}
