//! Memory over connections (or over time): what has been measured as an area, zones and limits under it, the slope carried on in
//! dots.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::panel::{self, Look};
use super::raster::Raster;
use super::spark;
use super::text::{mark as mark_at, put, put_right, width};
use super::theme::Marker;
use super::{lines, zones};
use crate::limits::LimitState;
use crate::model::chart::{Chart, Curve, XAxis};
use crate::units;
use crate::units::axis::{Scale, Tick, ticks, unit};
use crate::units::whole;

/// Columns left of the y axis: `1000 MiB`, `23.5 GiB`.
const GUTTER: u16 = 8;

/// Draws the panel. At `ceiling` connections the guard holds the ramp.
pub(super) fn draw(
    buf: &mut Buffer,
    area: Rect,
    chart: &Chart,
    nearest: Option<LimitState>,
    ceiling: Option<u64>,
    look: Look,
) {
    let whose = chart.of.as_ref().map_or(String::new(), |of| format!(" of {of}"));
    let mut name = match chart.x {
        XAxis::Connections => format!("Memory{whose} over connections"),
        XAxis::Time => format!("Memory{whose} over time"),
    };
    let entries = legend(chart, look);
    let room = |name: &str| area.width.saturating_sub(width(name) as u16 + 6);
    // Rather a shorter name than curves nobody can tell apart.
    if legend_width(&entries, false) > room(&name) {
        "Memory".clone_into(&mut name);
    }
    let inner = panel::frame(buf, area, &name, look);
    draw_legend(buf, area, room(&name), entries, look);
    if let Some(range) = chart.range.filter(|_| chart.x == XAxis::Connections) {
        panel::foot(buf, area, &format!("z: {}", range.word()), look);
    }
    if inner.height < 3 || inner.width < GUTTER + 12 {
        return;
    }
    let plot = Rect {
        x: inner.x + GUTTER + 1,
        y: inner.y,
        width: inner.width - GUTTER - 2,
        height: inner.height - if inner.height < 5 { 1 } else { 2 },
    };
    axes(buf, inner, plot, chart, look);
    if chart.curves.iter().all(|c| c.segments.iter().all(Vec::is_empty)) {
        let text = "waiting for the first samples";
        let column = plot.width.saturating_sub(width(text) as u16) / 2;
        put(buf, plot, column, plot.height / 2, text, look.dim());
        return;
    }
    zones::draw(buf, plot, chart, look);
    let lines = lines::draw(buf, plot, chart, nearest, ceiling, look);
    let filled = areas(buf, plot, chart, look);
    let raster = dots(chart, plot, look);
    raster.blit(buf, plot);
    let fallen = |column: u16, row: u16| filled.get(usize::from(column)).is_some_and(|top| row >= *top);
    let used = |column: u16, row: u16| raster.used(column, row) || fallen(column, row);
    lines::label(buf, plot, &lines, used);
    zones::label(buf, plot, chart, used, look);
    tip(buf, plot, chart, &filled, look);
}

/// What is in use now, beside the end of the area, where nothing else stands.
fn tip(buf: &mut Buffer, plot: Rect, chart: &Chart, filled: &[u16], look: Look) {
    let last = chart.curves.first().and_then(|c| c.segments.last()?.last());
    let end = filled.iter().rposition(|top| *top < plot.height);
    let (Some((_, bytes)), Some(end)) = (last, end) else { return };
    let mark = if look.is_plain() { "<" } else { "◀" };
    let text = format!("{mark} now {}", units::bytes(whole(*bytes)));
    let (column, wide) = (end as u16 + 2, width(&text) as u16);
    let free = |row: u16| {
        (column..column + wide).all(|c| buf.cell((plot.x + c, plot.y + row)).is_some_and(|cell| cell.symbol() == " "))
    };
    // Below the forecast, which goes on from the end.
    let rows = (filled[end] + 1..(filled[end] + 3).min(plot.height)).find(|row| free(*row));
    if let Some(row) = rows.filter(|_| column + wide <= plot.width) {
        put(buf, plot, column, row, &text, look.strong());
    }
}

/// What is measured, filled: the first curve, and within it what the kernel holds for sockets. Returns the highest row that each
/// column takes.
fn areas(buf: &mut Buffer, plot: Rect, chart: &Chart, look: Look) -> Vec<u16> {
    let columns = |curve: &Curve| columns(curve, chart.x_bounds, plot.width.into());
    let Some(all) = chart.curves.first().map(columns) else { return Vec::new() };
    let inner = chart.curves.get(1..).and_then(<[Curve]>::last).map_or_else(|| vec![f64::NAN; all.len()], columns);
    let least = |i: usize| if inner[i].is_nan() { 0.0 } else { inner[i].min(all[i]) };
    let below: Vec<f64> = (0..all.len()).map(least).collect();
    let above: Vec<f64> = all.iter().zip(&below).map(|(all, below)| all - below).collect();
    let (low, high) = chart.y_bounds;
    let styles = (curve_style(look, chart.curves.len() - 1), curve_style(look, 0));
    let single = chart.curves.len() == 1;
    let layers: [spark::Layer<'_>; 2] = [(&below, styles.0), (&above, styles.1)];
    spark::stacked(buf, plot, if single { &layers[1..] } else { &layers }, high - low, look.theme);
    shade(buf, plot, look);
    let top = |v: &f64| {
        if v.is_nan() {
            return plot.height;
        }
        let cells = (unit(*v, chart.y_bounds) * f64::from(plot.height)).ceil().clamp(0.0, f64::from(plot.height));
        plot.height - cells as u16
    };
    all.iter().map(top).collect()
}

/// The area's colour, darker towards the ground, where the terminal has shades.
fn shade(buf: &mut Buffer, plot: Rect, look: Look) {
    let Some(plain) = look.first().fg else { return };
    for row in 0..plot.height {
        let shade = look.shade(1.0 - 0.8 * f64::from(row + 1) / f64::from(plot.height)).fg.unwrap_or(plain);
        for column in 0..plot.width {
            let Some(cell) = buf.cell_mut((plot.x + column, plot.y + row)) else { continue };
            if cell.fg == plain {
                cell.fg = shade;
            }
            if cell.bg == plain {
                cell.bg = shade;
            }
        }
    }
}

/// A curve's value at each column; NaN where it has none.
fn columns(curve: &Curve, bounds: (f64, f64), columns: usize) -> Vec<f64> {
    let mut out = vec![f64::NAN; columns];
    for segment in &curve.segments {
        let at = |x: f64| unit(x, bounds) * columns as f64;
        let (Some(first), Some(last)) = (segment.first(), segment.last()) else { continue };
        if !at(first.0).is_finite() || !at(last.0).is_finite() {
            continue;
        }
        let from = at(first.0).floor().clamp(0.0, columns as f64) as usize;
        let to = (at(last.0).floor() + 1.0).clamp(0.0, columns as f64) as usize;
        for (column, value) in out.iter_mut().enumerate().take(to).skip(from) {
            let x = bounds.0 + (bounds.1 - bounds.0) * (column as f64 + 0.5) / columns as f64;
            let next = segment.partition_point(|p| p.0 < x);
            *value = match (next.checked_sub(1).map(|i| segment[i]), segment.get(next)) {
                (Some(a), Some(b)) => a.1 + (b.1 - a.1) * ((x - a.0) / (b.0 - a.0).max(f64::MIN_POSITIVE)),
                (Some(only), None) => only.1,
                (None, Some(only)) => only.1,
                (None, None) => f64::NAN,
            };
        }
    }
    out
}

/// What is no area: a curve between the first and the last, and the forecast with its band, in dots.
fn dots(chart: &Chart, plot: Rect, look: Look) -> Raster {
    let to_unit = |(x, y): (f64, f64)| (unit(x, chart.x_bounds), unit(y, chart.y_bounds));
    let mut raster = Raster::new(look.marker, plot.width, plot.height);
    if let Some([from, to]) = chart.forecast {
        let every = if look.marker == Marker::Braille { 4 } else { 2 };
        // Where the band is narrower than a dot its edges fall on the line.
        for off in [chart.band, -chart.band] {
            raster.line(to_unit(from), to_unit((to.0, to.1 + off)), look.dim(), 2 * every);
        }
        raster.line(to_unit(from), to_unit(to), look.strong(), every);
    }
    let between = chart.curves.len().saturating_sub(1).max(1);
    for (i, curve) in chart.curves.iter().enumerate().take(between).skip(1) {
        for segment in &curve.segments {
            for pair in segment.windows(2) {
                raster.line(to_unit(pair[0]), to_unit(pair[1]), curve_style(look, i), 1);
            }
        }
    }
    raster
}

fn curve_style(look: Look, index: usize) -> Style {
    match index {
        0 => look.first(),
        1 => look.second(),
        _ => look.third(),
    }
}

/// One entry of the legend.
struct Entry {
    mark: &'static str,
    label: &'static str,
    /// The curve's latest value, bytes.
    value: Option<f64>,
    style: Style,
}

impl Entry {
    fn text(&self, with_value: bool) -> String {
        match self.value {
            Some(bytes) if with_value => format!(" {} {:>8} ", self.label, units::bytes(whole(bytes))),
            _ => format!(" {} ", self.label),
        }
    }
}

/// The curves that have data.
fn legend(chart: &Chart, look: Look) -> Vec<Entry> {
    let mark = if look.is_plain() { "##" } else { "██" };
    chart
        .curves
        .iter()
        .enumerate()
        .filter_map(|(i, curve)| {
            let value = curve.segments.iter().rev().find_map(|s| s.last()).map(|(_, y)| *y);
            value.is_some().then(|| Entry { mark, label: curve.label, value, style: curve_style(look, i) })
        })
        .collect()
}

fn legend_width(entries: &[Entry], with_values: bool) -> u16 {
    entries.iter().map(|e| width(&e.text(with_values)) + width(e.mark) + 1).sum::<usize>() as u16
}

/// The legend on the panel's first row, with the latest values where there is room: no label has to find a place among the
/// data.
fn draw_legend(buf: &mut Buffer, area: Rect, room: u16, mut entries: Vec<Entry>, look: Look) {
    let with_values = legend_width(&entries, true) <= room;
    while legend_width(&entries, with_values) > room && entries.pop().is_some() {}
    let mut column = area.width.saturating_sub(legend_width(&entries, with_values) + 2);
    for entry in &entries {
        column = put(buf, area, column, 0, " ", look.text());
        column = put(buf, area, column, 0, entry.mark, entry.style);
        column = put(buf, area, column, 0, &entry.text(with_values), look.text());
    }
}

/// The two axes with ticks and labels.
fn axes(buf: &mut Buffer, inner: Rect, plot: Rect, chart: &Chart, theme: Look) {
    let [bar, y_tick, corner, rule, x_tick] = theme.axis_marks();
    let axis = Rect { x: plot.x - 1, width: plot.width + 1, height: plot.height + 1, ..plot };
    for row in 0..plot.height {
        mark_at(buf, axis, 0, row, bar, theme.dim());
    }
    for column in 1..axis.width {
        mark_at(buf, axis, column, plot.height, rule, theme.dim());
    }
    put(buf, axis, 0, plot.height, corner, theme.dim());
    let mut free_below = u16::MAX;
    for Tick { at, label } in ticks(Scale::Bytes, chart.y_bounds, usize::from(plot.height / 3).clamp(2, 8)) {
        let row = ((1.0 - unit(at, chart.y_bounds)) * f64::from(plot.height - 1)).round() as u16;
        // Zero belongs to the corner, where the x axis says it already.
        if at > 0.0 && row < free_below {
            free_below = row;
            put(buf, axis, 0, row, y_tick, theme.dim());
            // A faint grid, under all that follows, where zones do not show how high it is.
            for column in (4..axis.width).step_by(4).filter(|_| chart.zones.is_empty()) {
                mark_at(buf, axis, column, row, if theme.is_plain() { "." } else { "·" }, theme.dim());
            }
            put_right(buf, inner, GUTTER - 1, row, &label, theme.dim());
        }
    }
    let scale = match chart.x {
        XAxis::Connections => Scale::Connections,
        XAxis::Time => Scale::Seconds,
    };
    let own_row = inner.height - plot.height >= 2;
    let mut free_from = 0;
    for Tick { at, label } in ticks(scale, chart.x_bounds, usize::from(plot.width / 12).clamp(1, 10)) {
        let column = 1 + (unit(at, chart.x_bounds) * f64::from(plot.width - 1)).round() as u16;
        let wide = width(&label) as u16;
        let start = column.saturating_sub(wide / 2).min(axis.width.saturating_sub(wide));
        if own_row {
            put(buf, axis, column, plot.height, x_tick, theme.dim());
        }
        if start >= free_from {
            let row = Rect { height: inner.height, ..axis };
            let label = if own_row { label } else { format!(" {label} ") };
            put(buf, row, start, inner.height - 1, &label, theme.dim());
            free_from = start + wide + 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::chart::{Curve, Line, LineAt};

    fn rows(chart: &Chart, width: u16, height: u16) -> Vec<String> {
        let area = Rect::new(0, 0, width, height);
        let mut buf = Buffer::empty(area);
        draw(&mut buf, area, chart, None, None, Look::default());
        (0..height).map(|y| (0..width).map(|x| buf[(x, y)].symbol()).collect()).collect()
    }

    fn line(label: &str, at: LineAt, nearest: bool) -> Line {
        Line { label: label.into(), at, nearest }
    }

    fn chart() -> Chart {
        Chart {
            x: XAxis::Connections,
            of: None,
            curves: vec![Curve { label: "memory in use", segments: vec![vec![(0.0, 0.0), (1e6, 8e9)]] }],
            lines: vec![
                line("first at 1.00 M", LineAt::Connections(1.00e6), true),
                line("second at 1.02 M", LineAt::Connections(1.02e6), false),
                line("third at 1.04 M", LineAt::Connections(1.04e6), false),
                line("memory 9 GiB", LineAt::Bytes(9e9), false),
                line("beyond", LineAt::Connections(9e6), false),
            ],
            zones: Vec::new(),
            range: None,
            target: None,
            forecast: None,
            band: 0.0,
            x_bounds: (0.0, 1.1e6),
            y_bounds: (0.0, 1e10),
        }
    }

    #[test]
    fn labels_are_whole_apart_and_off_the_data() {
        let bare = Chart { lines: Vec::new(), ..chart() };
        for (width, height) in [(120, 30), (80, 12), (60, 9), (44, 8)] {
            let (with, without) = (rows(&chart(), width, height), rows(&bare, width, height));
            assert!(with.iter().any(|r| r.contains(" first at 1.00 M ")), "{width}x{height}\n{}", with.join("\n"));
            assert!(!with.iter().any(|r| r.contains("beyond")));
            // What is measured is where it is without any limit; a line may show above it in the cell of its edge.
            let unnamed = |row: &&String| !row.contains(" first at");
            for (a, b) in with.iter().zip(&without).skip(1).filter(|(a, _)| unnamed(a)) {
                for (x, (a, b)) in a.chars().zip(b.chars()).enumerate() {
                    if "▁▂▃▄▅▆▇█".contains(b) {
                        assert!(a == b || a == '┆', "column {x} of {width}x{height}: {a} {b}");
                    }
                }
            }
        }
        let large = rows(&chart(), 120, 30).join("\n");
        for label in [" second at 1.02 M ", " third at 1.04 M ", " memory 9 GiB "] {
            assert!(large.contains(label), "{label}\n{large}");
        }
    }

    #[test]
    fn a_gap_is_not_a_line() {
        let segments = vec![vec![(0.0, 5e9), (1e5, 5e9)], vec![(9e5, 5e9), (1e6, 5e9)]];
        let chart = Chart { curves: vec![Curve { label: "x", segments }], lines: Vec::new(), ..chart() };
        let drawn = rows(&chart, 80, 20);
        let row = drawn.iter().skip(1).rfind(|r| r.contains('█')).unwrap();
        let middle: String = row.chars().skip(30).take(20).collect();
        assert!(!middle.contains('█'), "{row}");
    }

    #[test]
    fn empty_or_broken_bounds_draw_no_curve_and_do_not_panic() {
        for bounds in [(0.0, 0.0), (1.0, 0.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
            rows(&Chart { x_bounds: bounds, y_bounds: bounds, ..chart() }, 80, 20);
        }
        assert!(rows(&Chart::default(), 80, 20).join("").contains("waiting"));
    }
}
