//! Graphs of filled columns: one value a column, layers upon one another, an eighth of a row fine.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::text::mark as mark_at;
use super::theme::Theme;

/// One layer: a value for each column, and how it is drawn. NaN is nothing.
pub(super) type Layer<'a> = (&'a [f64], Style);

/// Draws layers, each upon the one before, on a scale from nothing to `most`.
pub(super) fn stacked(buf: &mut Buffer, area: Rect, layers: &[Layer<'_>], most: f64, theme: Theme) {
    if area.is_empty() || most <= 0.0 || !most.is_finite() {
        return;
    }
    let marks = theme.bar_steps();
    let steps = f64::from(area.height) * 8.0;
    for column in 0..area.width {
        // Where each layer ends, in eighths of a row from below.
        let mut sum = 0.0;
        let mut ends = [0_u16; LAYERS];
        for (end, (values, _)) in ends.iter_mut().zip(layers) {
            let value = values.get(usize::from(column)).copied().filter(|v| v.is_finite()).unwrap_or(0.0);
            sum += value.max(0.0);
            let eighths = (sum / most * steps).round().min(steps) as u16;
            // Something is never drawn as nothing.
            *end = if sum > 0.0 { eighths.max(1) } else { 0 };
        }
        for row in 0..area.height {
            let below = (area.height - 1 - row) * 8;
            if let Some((mark, style)) = cell(&ends[..layers.len().min(LAYERS)], layers, below, marks) {
                mark_at(buf, area, column, row, mark, style);
            }
        }
    }
}

/// Most layers of a graph.
const LAYERS: usize = 3;

/// The mark of the cell that begins `below` eighths from the ground.
fn cell(ends: &[u16], layers: &[Layer<'_>], below: u16, marks: [&'static str; 8]) -> Option<(&'static str, Style)> {
    let here = |end: u16| end.saturating_sub(below).min(8);
    let top = ends.last().map_or(0, |end| here(*end));
    if top == 0 {
        return None;
    }
    // The layer that reaches highest within the cell without filling it, with the next one behind it.
    let mut from = 0;
    let mut largest = (0, Style::new());
    for (i, end) in ends.iter().enumerate() {
        let to = here(*end);
        if to > from && to - from >= largest.0 {
            largest = (to - from, layers[i].1);
        }
        if to > 0 && to < 8 && top == 8 && from == 0 {
            let behind = layers.get(i + 1).and_then(|l| l.1.fg);
            let style = behind.map_or(layers[i].1, |fg| layers[i].1.bg(fg));
            return Some((marks[usize::from(to) - 1], style));
        }
        from = from.max(to);
    }
    Some((marks[usize::from(top) - 1], largest.1))
}

/// The upper end of a scale that holds a value: the next of 1, 2, 5 times a power of ten, so that it does not crawl.
pub(super) fn scale(values: &[f64]) -> f64 {
    let most = values.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
    if most <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(most.log10().floor());
    [1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
        .into_iter()
        .map(|s| s * power)
        // What is known to seven digits is not over by less.
        .find(|s| *s * (1.0 + 1e-6) >= most)
        .unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::Color;

    fn drawn(height: u16, layers: &[Layer<'_>], most: f64) -> (Vec<String>, Buffer) {
        let area = Rect::new(0, 0, layers[0].0.len() as u16, height);
        let mut buf = Buffer::empty(area);
        stacked(&mut buf, area, layers, most, Theme::default());
        let rows = (0..height).map(|y| (0..area.width).map(|x| buf[(x, y)].symbol().to_owned()).collect()).collect();
        (rows, buf)
    }

    #[test]
    fn columns_are_an_eighth_fine_and_something_is_never_nothing() {
        let values = [0.0, 0.001, 4.0, 8.0, 9.0, 16.0, 99.0, f64::NAN, -1.0];
        let (rows, _) = drawn(2, &[(&values, Style::new())], 16.0);
        assert_eq!(rows, ["    ▁██  ", " ▁▄████  "]);
    }

    #[test]
    fn layers_share_a_cell() {
        let (red, blue) = (Style::new().fg(Color::Red), Style::new().fg(Color::Blue));
        let (rows, buf) = drawn(1, &[(&[4.0, 2.0, 6.0], red), (&[4.0, 4.0, 1.0], blue)], 8.0);
        assert_eq!(rows, ["▄▆▇"]);
        assert_eq!((buf[(0, 0)].fg, buf[(0, 0)].bg), (Color::Red, Color::Blue), "half and half");
        assert_eq!((buf[(1, 0)].fg, buf[(2, 0)].fg), (Color::Blue, Color::Red), "whichever has more");
    }

    #[test]
    fn scales_are_round() {
        assert!((scale(&[0.4000001]) - 0.4).abs() < 1e-9);
        assert_eq!((scale(&[37_000.0, 4.0]), scale(&[0.9]), scale(&[f64::NAN]), scale(&[])), (40_000.0, 1.0, 1.0, 1.0));
    }
}
