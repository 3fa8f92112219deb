//! Memory over connections (or over time): curves, limits as lines under them, the slope carried on.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::raster::Raster;
use super::text::{put, put_right, width};
use super::theme::{Marker, Theme};
use super::{lines, panel};
use crate::limits::LimitState;
use crate::model::chart::{Chart, XAxis};
use crate::units;
use crate::units::axis::{Scale, Tick, ticks, unit};
use crate::units::whole;

/// Columns left of the y axis: `1000 MiB`, `23.5 GiB`.
const GUTTER: u16 = 8;

/// Draws the panel.
pub(super) fn draw(buf: &mut Buffer, area: Rect, chart: &Chart, nearest: Option<LimitState>, theme: Theme) {
    let whose = chart.of.as_ref().map_or(String::new(), |of| format!(" of {of}"));
    let mut name = match chart.x {
        XAxis::Connections => format!("Memory{whose} over connections"),
        XAxis::Time => format!("Memory{whose} over time"),
    };
    let entries = legend(chart, theme);
    let room = |name: &str| area.width.saturating_sub(width(name) as u16 + 6);
    // Rather a shorter name than curves nobody can tell apart.
    if legend_width(&entries, false) > room(&name) {
        "Memory".clone_into(&mut name);
    }
    let inner = panel::frame(buf, area, &name, theme);
    draw_legend(buf, area, room(&name), entries, theme);
    if inner.height < 3 || inner.width < GUTTER + 12 {
        return;
    }
    let plot = Rect {
        x: inner.x + GUTTER + 1,
        y: inner.y,
        width: inner.width - GUTTER - 2,
        height: inner.height - if inner.height < 5 { 1 } else { 2 },
    };
    axes(buf, inner, plot, chart, theme);
    if chart.curves.iter().all(|c| c.segments.iter().all(Vec::is_empty)) {
        let text = "waiting for the first samples";
        let column = plot.width.saturating_sub(width(text) as u16) / 2;
        put(buf, plot, column, plot.height / 2, text, theme.dim());
        return;
    }
    let to_unit = |(x, y): (f64, f64)| (unit(x, chart.x_bounds), unit(y, chart.y_bounds));
    let mut raster = Raster::new(theme.marker, plot.width, plot.height);
    if let Some([from, to]) = chart.forecast {
        let every = if theme.marker == Marker::Braille { 4 } else { 2 };
        // Where the band is narrower than a dot its edges fall on the line.
        for off in [chart.band, -chart.band] {
            raster.line(to_unit(from), to_unit((to.0, to.1 + off)), theme.dim(), 2 * every);
        }
        raster.line(to_unit(from), to_unit(to), theme.first(), every);
    }
    for (i, curve) in chart.curves.iter().enumerate().rev() {
        for segment in &curve.segments {
            if let [only] = segment[..] {
                raster.line(to_unit(only), to_unit(only), curve_style(theme, i), 1);
            }
            for pair in segment.windows(2) {
                raster.line(to_unit(pair[0]), to_unit(pair[1]), curve_style(theme, i), 1);
            }
        }
    }
    let lines = lines::draw(buf, plot, chart, nearest, theme);
    raster.blit(buf, plot);
    lines::label(buf, plot, &lines, &raster);
}

fn curve_style(theme: Theme, index: usize) -> Style {
    match index {
        0 => theme.first(),
        1 => theme.second(),
        _ => theme.third(),
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
fn legend(chart: &Chart, theme: Theme) -> Vec<Entry> {
    let mark = if theme.marker == Marker::Dot { "**" } else { "━━" };
    chart
        .curves
        .iter()
        .enumerate()
        .filter_map(|(i, curve)| {
            let value = curve.segments.iter().rev().find_map(|s| s.last()).map(|(_, y)| *y);
            value.is_some().then(|| Entry { mark, label: curve.label, value, style: curve_style(theme, i) })
        })
        .collect()
}

fn legend_width(entries: &[Entry], with_values: bool) -> u16 {
    entries.iter().map(|e| width(&e.text(with_values)) + width(e.mark) + 1).sum::<usize>() as u16
}

/// The legend on the panel's rule, with the latest values where there is room: no label has to find a place among the
/// data.
fn draw_legend(buf: &mut Buffer, area: Rect, room: u16, mut entries: Vec<Entry>, theme: Theme) {
    let with_values = legend_width(&entries, true) <= room;
    while legend_width(&entries, with_values) > room && entries.pop().is_some() {}
    let mut column = area.width.saturating_sub(legend_width(&entries, with_values) + 2);
    for entry in &entries {
        column = put(buf, area, column, 0, " ", theme.text());
        column = put(buf, area, column, 0, entry.mark, entry.style);
        column = put(buf, area, column, 0, &entry.text(with_values), theme.text());
    }
}

/// The two axes with ticks and labels.
fn axes(buf: &mut Buffer, inner: Rect, plot: Rect, chart: &Chart, theme: Theme) {
    let [bar, y_tick, corner, rule, x_tick] = theme.axis_marks();
    let axis = Rect { x: plot.x - 1, width: plot.width + 1, height: plot.height + 1, ..plot };
    for row in 0..plot.height {
        put(buf, axis, 0, row, bar, theme.dim());
    }
    for column in 1..axis.width {
        put(buf, axis, column, plot.height, rule, theme.dim());
    }
    put(buf, axis, 0, plot.height, corner, theme.dim());
    let mut free_below = u16::MAX;
    for Tick { at, label } in ticks(Scale::Bytes, chart.y_bounds, usize::from(plot.height / 3).clamp(2, 8)) {
        let row = ((1.0 - unit(at, chart.y_bounds)) * f64::from(plot.height - 1)).round() as u16;
        // Zero belongs to the corner, where the x axis says it already.
        if at > 0.0 && row < free_below {
            free_below = row;
            put(buf, axis, 0, row, y_tick, theme.dim());
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
        draw(&mut buf, area, chart, None, Theme::default());
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
            // Every dot of the curve is where it is without any limit line.
            for (a, b) in with.iter().zip(&without).skip(1) {
                for (x, (a, b)) in a.chars().zip(b.chars()).enumerate() {
                    if ('\u{2800}'..='\u{28ff}').contains(&b) {
                        assert_eq!(a, b, "column {x} of {width}x{height}");
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
        let row = drawn.iter().skip(1).find(|r| r.chars().any(|c| ('\u{2800}'..='\u{28ff}').contains(&c))).unwrap();
        let middle: String = row.chars().skip(30).take(20).collect();
        assert_eq!(middle.trim(), "", "{row}");
    }

    #[test]
    fn empty_or_broken_bounds_draw_no_curve_and_do_not_panic() {
        for bounds in [(0.0, 0.0), (1.0, 0.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
            rows(&Chart { x_bounds: bounds, y_bounds: bounds, ..chart() }, 80, 20);
        }
        assert!(rows(&Chart::default(), 80, 20).join("").contains("waiting"));
    }
}
