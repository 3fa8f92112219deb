//! The sum: how many of how many, how fast; who counts, and how far they are apart.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::fleet::{FleetView, Totals};
use crate::model::RunPhase;
use crate::ui::connections::meter;
use crate::ui::digits;
use crate::ui::panel::{self, Look};
use crate::ui::text::{put, width};
use crate::units;

/// Columns from which on the count is written large.
const LARGE_FROM: u16 = 100;

/// Draws the panel.
pub(super) fn draw(buf: &mut Buffer, area: Rect, view: &FleetView, look: Look) {
    let clients = view.rows.iter().any(|row| row.state.who.role.connects());
    let by = if clients { "by its clients" } else { "by its servers" };
    let over = view.is_over();
    let title = if over {
        "Peak connections of the fleet".to_owned()
    } else {
        format!("Connections of the fleet, counted {by}")
    };
    let inner = panel::frame(buf, area, &title, look);
    panel::remark(buf, area, &title, &workers(view), look);
    let totals = &view.totals;
    let wide = totals.target.map_or(0, |t| units::grouped(t).len()).max(9);
    // One that has left has closed what it had.
    let connections = if over { totals.peak } else { totals.connections };
    let count = format!("{:>wide$}", units::grouped(connections));
    let large = inner.height >= digits::ROWS && inner.width >= LARGE_FROM && !look.is_plain();
    let beside = if large {
        let taken = digits::width(&count.replace(' ', "0"));
        let number = count.trim_start();
        digits::draw(buf, inner, 2 + taken - digits::width(number).min(taken), number, look.strong());
        Rect { x: inner.x + taken + 3, width: inner.width.saturating_sub(taken + 3), ..inner }
    } else {
        let column = put(buf, inner, 1, 0, &count, look.strong()) + 1;
        Rect { x: inner.x + column, width: inner.width.saturating_sub(column), ..inner }
    };
    let column = match totals.target {
        Some(target) => put(buf, beside, 0, 0, &format!("of {}", units::grouped(target)), look.text()),
        None => put(buf, beside, 0, 0, "connections", look.dim()),
    };
    let pace = if over { String::new() } else { pace(totals) };
    // Beside large digits the pace has a row of its own.
    let taken = if large { 0 } else { width(&pace) as u16 };
    let room = beside.width.saturating_sub(column + 3 + 10 + taken).min(100);
    let mut after = column;
    if let Some(target) = totals.target.filter(|target| *target > 0 && room >= 6) {
        after = meter(buf, beside, column + 2, 0, room, connections as f64 / target as f64, look);
    }
    if large {
        put(buf, beside, 0, 1, &pace, look.text());
        details(buf, Rect { y: beside.y + 2, height: 1, ..beside }, view, look);
    } else {
        put(buf, beside, after + 2, 0, &pace, look.text());
        if inner.height > 1 {
            details(
                buf,
                Rect { x: inner.x + 1, y: inner.y + 1, width: inner.width.saturating_sub(1), height: 1 },
                view,
                look,
            );
        }
    }
}

/// `8 of 9 workers`.
fn workers(view: &FleetView) -> String {
    let counting = view.count.come - view.count.lost;
    let all = view.count.expected.unwrap_or(0).max(view.count.come);
    format!("{} of {} workers", units::grouped(counting), units::grouped(all))
}

/// `  38,420/s     9 s to go`.
fn pace(totals: &Totals) -> String {
    let rate = format!("{:>9}/s", units::signed(totals.rate_per_s));
    let left = totals.target.map_or(0, |target| target.saturating_sub(totals.connections));
    let to_go = if left > 0 && totals.rate_per_s >= 1.0 {
        units::seconds(left as f64 / totals.rate_per_s)
    } else {
        String::new()
    };
    let text = if to_go.is_empty() { String::new() } else { format!("{to_go:>7} to go") };
    format!("{rate}  {text:<16}")
}

/// What stands beside the count, as much as there is room for.
fn details(buf: &mut Buffer, area: Rect, view: &FleetView, look: Look) {
    let totals = &view.totals;
    let warn = look.paused();
    let calm = |n: u64| if n > 0 { warn } else { look.text() };
    let mut parts = Vec::new();
    if let Some(accepted) = totals.accepted.filter(|_| !view.is_over()) {
        parts.push(("at server", units::grouped(accepted), look.text()));
    }
    let holding = view.rows.iter().filter(|row| row.state.phase == RunPhase::Holding).count();
    if holding > 0 {
        parts.push(("holding", units::grouped(holding as u64), look.text()));
    }
    parts.push(("failures", units::grouped(totals.failures), calm(totals.failures)));
    parts.push(("lost", units::grouped(totals.lost), calm(totals.lost)));
    parts.extend(skew(view).into_iter().map(|(caption, text)| (caption, text, look.text())));
    let mut column = 0;
    for (caption, value, style) in parts {
        if usize::from(column) + width(caption) + 1 + width(&value) > usize::from(area.width) {
            // A shorter one may have room.
            continue;
        }
        column = put(buf, area, column, 0, caption, look.dim()) + 1;
        column = put(buf, area, column, 0, &value, style) + 3;
    }
}

/// How far the workers are apart: their progress, and when they were let go.
fn skew(view: &FleetView) -> Vec<(&'static str, String)> {
    let skew = &view.skew;
    let mut parts = Vec::new();
    if let (Some((slowest, least)), Some((fastest, most))) = (skew.slowest, skew.fastest)
        && slowest != fastest
        && most - least >= 0.01
    {
        let name = view.rows[slowest].state.who.name();
        parts.push(("progress", format!("{:.0} to {:.0} % ({name} slowest)", least * 100.0, most * 100.0)));
    }
    if let Some(start) = skew.start_us {
        let doubt = 2.0 * skew.clock_error_us as f64 / 1000.0;
        parts.push(("started within", format!("{:.1} ms (± {doubt:.1})", start as f64 / 1000.0)));
    }
    parts
}
