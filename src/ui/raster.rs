//! A field of dots over terminal cells: curves finer than one character.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::theme::Marker;

/// Dots set so far, and the style of each cell.
#[derive(Debug)]
pub(super) struct Raster {
    marker: Marker,
    columns: usize,
    rows: usize,
    /// One bit a dot, in the order of `bit`.
    cells: Vec<u8>,
    styles: Vec<Style>,
}

impl Raster {
    pub(super) fn new(marker: Marker, columns: u16, rows: u16) -> Self {
        let (columns, rows) = (usize::from(columns), usize::from(rows));
        Self { marker, columns, rows, cells: vec![0; columns * rows], styles: vec![Style::new(); columns * rows] }
    }

    /// Dots in one cell, across and down.
    fn dots(&self) -> (usize, usize) {
        match self.marker {
            Marker::Braille => (2, 4),
            Marker::Block => (1, 2),
            Marker::Dot => (1, 1),
        }
    }

    /// Draws a line between two points of the unit square (0, 0 is bottom left), clipped to it; of its dots only every
    /// `every`-th.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), style: Style, every: usize) {
        let Some((from, to)) = clip(from, to) else { return };
        let (across, down) = self.dots();
        let most = ((self.columns * across) as f64 - 1.0, (self.rows * down) as f64 - 1.0);
        if most.0 < 0.0 || most.1 < 0.0 {
            return;
        }
        let (x0, y0) = (from.0 * most.0, (1.0 - from.1) * most.1);
        let (x1, y1) = (to.0 * most.0, (1.0 - to.1) * most.1);
        let steps = (x1 - x0).abs().max((y1 - y0).abs()).ceil().max(1.0);
        for step in (0..=steps as usize).step_by(every.max(1)) {
            let part = step as f64 / steps;
            self.dot((x0 + (x1 - x0) * part).round() as usize, (y0 + (y1 - y0) * part).round() as usize, style);
        }
    }

    fn dot(&mut self, x: usize, y: usize, style: Style) {
        let (across, down) = self.dots();
        let (column, row) = (x / across, y / down);
        if column < self.columns && row < self.rows {
            let at = row * self.columns + column;
            self.cells[at] |= 1 << ((y % down) * across + x % across);
            self.styles[at] = style;
        }
    }

    /// Whether a cell holds a dot.
    pub(super) fn used(&self, column: u16, row: u16) -> bool {
        let (column, row) = (usize::from(column), usize::from(row));
        column < self.columns && row < self.rows && self.cells[row * self.columns + column] != 0
    }

    /// Copies the cells that hold dots; the others stay as they are.
    pub(super) fn blit(&self, buf: &mut Buffer, area: Rect) {
        for row in 0..self.rows.min(usize::from(area.height)) {
            for column in 0..self.columns.min(usize::from(area.width)) {
                let at = row * self.columns + column;
                if self.cells[at] != 0
                    && let Some(cell) = buf.cell_mut((area.x + column as u16, area.y + row as u16))
                {
                    cell.reset();
                    cell.set_char(self.symbol(self.cells[at])).set_style(self.styles[at]);
                }
            }
        }
    }

    fn symbol(&self, bits: u8) -> char {
        match self.marker {
            Marker::Dot => '*',
            Marker::Block => [' ', '▀', '▄', '█'][usize::from(bits & 3)],
            Marker::Braille => {
                // Unicode numbers the dots of a cell down the left column, down the right, then the bottom pair.
                const UNICODE: [u8; 8] = [0, 3, 1, 4, 2, 5, 6, 7];
                let code = UNICODE
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| bits & (1 << i) != 0)
                    .fold(0, |sum, (_, d)| sum | (1 << d));
                char::from_u32(0x2800 + code).unwrap_or(' ')
            }
        }
    }
}

/// The part of a line within the unit square (Liang and Barsky, 1984).
fn clip(from: (f64, f64), to: (f64, f64)) -> Option<((f64, f64), (f64, f64))> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
    for (step, room) in [(-dx, from.0), (dx, 1.0 - from.0), (-dy, from.1), (dy, 1.0 - from.1)] {
        if !step.is_finite() || !room.is_finite() || (step == 0.0 && room < 0.0) {
            return None;
        }
        if step < 0.0 {
            enter = enter.max(room / step);
        } else if step > 0.0 {
            leave = leave.min(room / step);
        }
    }
    let at = |part: f64| (from.0 + dx * part, from.1 + dy * part);
    (enter <= leave).then(|| (at(enter), at(leave)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(marker: Marker, columns: u16, rows: u16, lines: &[[(f64, f64); 2]]) -> Vec<String> {
        let area = Rect::new(0, 0, columns, rows);
        let mut buf = Buffer::empty(area);
        let mut raster = Raster::new(marker, columns, rows);
        for [from, to] in lines {
            raster.line(*from, *to, Style::new(), 1);
        }
        raster.blit(&mut buf, area);
        (0..rows).map(|y| (0..columns).map(|x| buf[(x, y)].symbol().to_owned()).collect()).collect()
    }

    #[test]
    fn a_diagonal_in_each_marker() {
        let diagonal = [[(0.0, 0.0), (1.0, 1.0)]];
        assert_eq!(drawn(Marker::Dot, 3, 3, &diagonal), ["  *", " * ", "*  "]);
        assert_eq!(drawn(Marker::Block, 2, 1, &diagonal), ["▄▀"]);
        assert_eq!(drawn(Marker::Braille, 2, 1, &diagonal), ["⡠⠊"]);
        assert_eq!(drawn(Marker::Braille, 1, 1, &[[(0.0, 0.0), (0.0, 1.0)]]), ["⡇"]);
    }

    #[test]
    fn lines_are_clipped_not_lost() {
        assert_eq!(drawn(Marker::Dot, 3, 1, &[[(-5.0, 0.5), (9.0, 0.5)]]), ["***"]);
        assert_eq!(drawn(Marker::Dot, 3, 1, &[[(-5.0, 2.0), (9.0, 2.0)]]), ["   "]);
        assert_eq!(clip((f64::NAN, 0.0), (1.0, 1.0)), None);
        assert_eq!(clip((0.0, 0.0), (f64::INFINITY, 1.0)), None);
        assert!(drawn(Marker::Braille, 0, 0, &[[(0.0, 0.0), (1.0, 1.0)]]).is_empty());
    }
}
