//! Curves as characters, for a terminal or a text file.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Widget};

use super::facts::Facts;
use crate::units::{bytes, printable, short_count, whole};

/// Colours of the sides, and what draws them where there is no colour.
const SIDES: [(Color, Marker); 4] = [
    (Color::Cyan, Marker::Dot),
    (Color::Yellow, Marker::Braille),
    (Color::Magenta, Marker::HalfBlock),
    (Color::Green, Marker::Bar),
];

/// Its place in [`SIDES`], its name, its points.
type Curve = (usize, String, Vec<(f64, f64)>);

/// Memory over connections of these runs, each with the letter of its side; empty where there is nothing to draw.
pub fn memory(runs: &[(char, &Facts)], width: u16, height: u16, coloured: bool) -> Vec<String> {
    let curves: Vec<Curve> = runs
        .iter()
        .enumerate()
        .map(|(i, (letter, run))| {
            let highest = run.highest();
            let known = highest.iter().filter(|p| !p.own_memory.is_nan());
            let points = known.map(|p| (p.connections as f64, p.own_memory));
            (i % SIDES.len(), format!("{letter} {}", printable(&run.name)), points.collect())
        })
        .filter(|(_, _, points): &Curve| points.len() > 1)
        .collect();
    let most = |of: fn(&(f64, f64)) -> f64| curves.iter().flat_map(|c| &c.2).map(of).fold(0.0, f64::max);
    let (x, y) = (most(|p| p.0), most(|p| p.1));
    if x <= 0.0 || y <= 0.0 || width < 20 || height < 6 {
        return Vec::new();
    }
    let datasets = curves.iter().map(|(side, name, points)| {
        let (colour, marker) = SIDES[*side];
        let line = Dataset::default().name(name.as_str()).data(points).graph_type(GraphType::Line);
        line.marker(if coloured { Marker::Braille } else { marker }).style(Style::new().fg(colour))
    });
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    let count = |share: f64| short_count(whole(x * share));
    let size = |share: f64| bytes(whole(y * share));
    Chart::new(datasets.collect())
        .x_axis(Axis::default().bounds([0.0, x]).labels(["0".to_owned(), count(0.5), count(1.0)]))
        .y_axis(Axis::default().bounds([0.0, y]).labels(["0".to_owned(), size(0.5), size(1.0)]))
        .legend_position(None)
        .render(area, &mut buffer);
    let mut lines = vec!["Memory taken since the start (sockets, processes), over connections".to_owned()];
    lines.extend(curves.iter().map(|(side, name, _)| {
        let (colour, marker) = SIDES[*side];
        let mark = match marker {
            _ if coloured => "━━",
            Marker::Dot => "••",
            Marker::Braille => "⣀⡠",
            Marker::HalfBlock => "▀▄",
            _ => "▄▄",
        };
        format!("  {} {name}", paint(mark, colour, coloured))
    }));
    lines.extend((0..height).map(|row| line(&buffer, row, width, coloured)));
    lines
}

fn line(buffer: &Buffer, row: u16, width: u16, coloured: bool) -> String {
    let mut text = String::new();
    for column in 0..width {
        let cell = &buffer[(column, row)];
        if coloured && cell.fg != Color::Reset && cell.symbol() != " " {
            text += &paint(cell.symbol(), cell.fg, true);
        } else {
            text += cell.symbol();
        }
    }
    text.trim_end().to_owned()
}

fn paint(text: &str, colour: Color, coloured: bool) -> String {
    let number = match colour {
        _ if !coloured => return text.to_owned(),
        Color::Cyan => 36,
        Color::Yellow => 33,
        Color::Magenta => 35,
        _ => 32,
    };
    format!("\u{1b}[{number}m{text}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{facts, facts_with};
    use super::*;

    #[test]
    fn both_curves_are_there_and_told_apart() {
        let a = facts(100_000);
        let b = facts_with(100_000, |sample, open| {
            if let Ok(caches) = &mut sample.kernel.host.slab {
                caches[0].bytes += 8000 * open;
            }
        });
        let lines = memory(&[('A', &a), ('B', &b)], 70, 14, false);
        let text = lines.join("\n");
        assert_eq!(lines.len(), 1 + 2 + 14);
        assert!(text.contains("•• A run-100000") && text.contains("100 k") && text.contains("1.5"), "{text}");
        let braille = |c: char| ('\u{2801}'..='\u{28ff}').contains(&c);
        let plot = lines[3..].join("\n");
        assert!(plot.contains('•') && plot.contains(braille), "{text}");
        assert!(lines.iter().all(|line| !line.contains('\u{1b}') && line.chars().count() <= 70));
        let coloured = memory(&[('A', &a), ('B', &b)], 70, 14, true).join("\n");
        assert!(coloured.contains("\u{1b}[36m") && coloured.contains("\u{1b}[33m"));
        assert!(memory(&[('A', &a)], 10, 3, false).is_empty());
        assert!(memory(&[], 70, 14, false).is_empty());
    }
}
