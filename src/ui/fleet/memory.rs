//! The memory of the server's machine over the connections of the whole fleet, with the slope carried on to the target.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::board::Board;
use crate::fleet::FleetView;
use crate::model::chart::{Chart, Curve, Line, LineAt};
use crate::ui::chart;
use crate::ui::panel::Look;

/// How far the axes reach beyond what is drawn.
const MARGIN: f64 = 1.1;

/// Draws the panel.
pub(super) fn draw(buf: &mut Buffer, area: Rect, board: &Board, view: &FleetView, look: Look) {
    let nearest = view.nearest.as_ref().map(|nearest| nearest.limit.state);
    let ceiling = view.guard.as_ref().map(|guard| guard.ceiling);
    chart::draw(buf, area, &chart_of(board, view), nearest, ceiling, look);
}

fn chart_of(board: &Board, view: &FleetView) -> Chart {
    let Some(memory) = &view.memory else { return Chart::default() };
    let (now, mut far) = (board.curve.last().copied().unwrap_or((0.0, 0.0)), view.totals.connections as f64);
    if let Some(target) = view.totals.target {
        far = far.max(target as f64);
    }
    let mut lines = Vec::new();
    if let Some((at, nearest)) =
        view.nearest.as_ref().and_then(|nearest| Some((nearest.fleet_connections? as f64, nearest)))
    {
        // One that is far beyond the target would squeeze all that is measured into a corner.
        if at <= far * 3.0 {
            far = far.max(at);
        }
        let name = view.rows[nearest.row].state.who.host.as_str();
        lines.push(Line {
            label: format!("{name}: {}", nearest.limit.name),
            at: LineAt::Connections(at),
            nearest: true,
        });
    }
    let all = memory.mem_used_bytes.zip(memory.headroom_bytes).map(|(used, left)| (used + left) as f64);
    let forecast =
        memory.bytes_per_connection.filter(|slope| *slope > 0.0 && now.0 > 0.0 && far > now.0).map(|slope| {
            let end = (far, now.1 + (far - now.0) * slope);
            [now, end]
        });
    let mut high = forecast.map_or(now.1, |[_, end]| end.1).max(now.1) * MARGIN;
    if let Some(all) = all.filter(|all| high > all * 0.5) {
        high = high.max(all * 1.02);
        lines.push(Line { label: "all of its memory".to_owned(), at: LineAt::Bytes(all), nearest: false });
    }
    let server = view.rows.get(memory.row).map(|row| row.state.who.host.clone());
    let curve = Curve { label: "in use", segments: vec![board.curve.clone()] };
    Chart {
        of: server,
        curves: vec![curve],
        lines,
        target: view.totals.target,
        forecast,
        x_bounds: (0.0, (far * MARGIN).max(1.0)),
        y_bounds: (0.0, high.max(1.0)),
        ..Chart::default()
    }
}
