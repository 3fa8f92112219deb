//! How times are spread: how long connects took, and echoes, as histograms with their percentiles.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::panel::{self, Look};
use super::spark;
use super::text::{put, put_right, width};
use crate::model::Model;
use crate::protocol::{Latency, Role, spread_bound_us};
use crate::units::fine_time;

/// Draws the panel: one histogram, or two side by side.
pub(super) fn draw(buf: &mut Buffer, area: Rect, model: &Model, look: Look) {
    let name = "How long it takes";
    let inner = panel::frame(buf, area, name, look);
    let Some(stats) = model.engine(Role::Client).and_then(|e| e.stats.as_ref()) else {
        put(buf, inner, 1, 0, "only a client measures it, and none runs here", look.dim());
        return;
    };
    let echo = stats.traffic.map(|t| t.echo).filter(|e| e.count > 0);
    let connect = Some(stats.connect).filter(|c| c.count > 0);
    let both = echo.is_some() && connect.is_some();
    let half = if both { inner.width / 2 } else { inner.width };
    let left = Rect { width: half, ..inner };
    let right = Rect { x: inner.x + half, width: inner.width - half, ..inner };
    match (connect, echo) {
        (None, None) => _ = put(buf, inner, 1, 0, "no connection has been opened yet", look.dim()),
        (Some(connect), echo) => {
            one(buf, left, "connects", connect, &stats.connect_spread, look.first(), look);
            if let Some(echo) = echo {
                one(buf, right, "echoes", echo, &stats.echo_spread, look.second(), look);
            }
        }
        (None, Some(echo)) => one(buf, inner, "echoes", echo, &stats.echo_spread, look.second(), look),
    }
}

/// One histogram: a column a step, the percentiles in words above it, times below.
fn one(buf: &mut Buffer, area: Rect, what: &str, latency: Latency, spread: &[u64], style: Style, look: Look) {
    let us = |n: u64| fine_time(n as f64);
    let mut column = put(buf, area, 1, 0, what, look.text()) + 2;
    for (caption, value) in [
        ("median", us(latency.p50_us)),
        ("99 %", us(latency.p99_us)),
        ("99.9 %", us(latency.p999_us)),
        ("longest", us(latency.max_us)),
    ] {
        if column as usize + width(caption) + width(&value) + 1 >= usize::from(area.width) {
            break;
        }
        column = put(buf, area, column, 0, caption, look.dim()) + 1;
        column = put(buf, area, column, 0, &value, look.strong()) + 2;
    }
    let first = spread.iter().position(|n| *n > 0).unwrap_or(0);
    let counts: Vec<f64> = spread[first..].iter().map(|n| *n as f64).collect();
    if counts.is_empty() || area.height < 4 {
        return;
    }
    let room = area.width.saturating_sub(3);
    let each = (room / counts.len() as u16).clamp(1, 6);
    let columns = each * (counts.len() as u16).min(room / each);
    let values: Vec<f64> = (0..columns).map(|c| counts[usize::from(c / each)]).collect();
    let most = counts.iter().copied().fold(0.0, f64::max);
    let plot = Rect { x: area.x + 1, y: area.y + 1, width: columns, height: area.height - 2 };
    spark::stacked(buf, plot, &[(&values, style)], most, look.theme);
    let below = Rect { y: area.y + area.height - 1, height: 1, ..plot };
    let low = if first == 0 { 0.0 } else { spread_bound_us(first - 1) };
    put(buf, below, 0, 0, &fine_time(low), look.dim());
    let high = fine_time(spread_bound_us(spread.len().saturating_sub(1)));
    if usize::from(columns) >= width(&high) + 10 {
        put_right(buf, below, columns, 0, &high, look.dim());
    }
}
