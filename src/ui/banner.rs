//! What must not be overlooked, over the whole width: an engine that died or does not run, a part of this program that failed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::text::{put, wrap};
use super::theme::Theme;
use crate::model::{Death, Model, Stale};
use crate::units;

/// Rows of banner at most: the numbers below matter as well.
const MOST: usize = 4;

/// The banner's lines for a screen of `columns`.
pub(super) fn lines(model: &Model, failure: Option<&str>, columns: u16) -> Vec<String> {
    let mut texts: Vec<String> = model.deaths().iter().map(death).collect();
    texts.extend(model.now().stale.iter().map(silent));
    if let Some(failure) = failure {
        texts.push(format!("DASHBOARD FAULT  {failure}. What is shown may be out of date."));
    }
    let mut lines: Vec<String> =
        texts.iter().flat_map(|text| wrap(text, usize::from(columns.saturating_sub(2)))).collect();
    lines.truncate(MOST);
    lines
}

/// Draws the lines.
pub(super) fn draw(buf: &mut Buffer, area: Rect, lines: &[String], theme: Theme) {
    for (row, line) in lines.iter().enumerate() {
        put(buf, area, 0, row as u16, &" ".repeat(area.width.into()), theme.alarm());
        put(buf, area, 1, row as u16, line, theme.alarm());
    }
}

/// Who does not run, since when.
fn silent(stale: &Stale) -> String {
    let time = units::millis(stale.silent_ms);
    format!(
        "{} SILENT for {time}: stopped, or getting no CPU. Its figures are old; the kernel's are live.",
        stale.role.name()
    )
}

/// Who died of what, when, at which count.
fn death(death: &Death) -> String {
    format!(
        "{} {} DIED at {} connections, {} into the run: {}",
        death.name,
        death.pid,
        units::grouped(death.at_connections),
        units::millis(death.t_ms),
        death.cause
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Cause;
    use crate::protocol::Role;

    #[test]
    fn a_death_names_cause_and_count() {
        let mut one = Death {
            role: Some(Role::Client),
            name: "client".into(),
            pid: 4022,
            cause: Cause::OomKilled { cgroup: Some("/c1m".into()) },
            at_connections: 62_113,
            t_ms: 16_000,
        };
        let text = death(&one);
        for part in ["client 4022 DIED", "62,113 connections", "16 s", "memory cgroup /c1m"] {
            assert!(text.contains(part), "{text}");
        }
        for (cause, want) in [
            (Cause::Signal(9), "SIGKILL (9)"),
            (Cause::Signal(64), "signal 64"),
            (Cause::Exit(101), "exit code 101"),
            (Cause::OomKilled { cgroup: None }, "machine is out of memory"),
            (Cause::OutOfHeap, "its heap was full"),
            (Cause::Vanished, "nobody saw"),
        ] {
            one.cause = cause;
            assert!(death(&one).contains(want), "{want}");
        }
    }
}
