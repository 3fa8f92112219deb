//! How connections are spread over worker tables, ports and source addresses: a strip each, in which a skew is seen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::panel::{self, Look};
use super::spark;
use super::text::{put, width};
use crate::model::{Engine, Model};
use crate::protocol::Role;
use crate::units;

/// One strip.
struct Strip {
    name: String,
    values: Vec<f64>,
    /// What a full column is; 0: the largest value.
    most: f64,
    note: String,
}

/// Draws the panel.
pub(super) fn draw(buf: &mut Buffer, area: Rect, model: &Model, look: Look) {
    let inner = panel::frame(buf, area, "How connections are spread", look);
    let strips: Vec<Strip> = model.engines().iter().flat_map(of).collect();
    if strips.is_empty() {
        put(buf, inner, 1, 0, "known once an engine reports its tables", look.dim());
        return;
    }
    let each = (inner.height / strips.len() as u16).max(2);
    for (i, strip) in strips.iter().enumerate() {
        let y = i as u16 * each;
        if y + 2 > inner.height {
            break;
        }
        let place = Rect { y: inner.y + y, height: each.min(inner.height - y), ..inner };
        one(buf, place, strip, look);
    }
}

/// What an engine says.
fn of(engine: &Engine) -> Vec<Strip> {
    let Some(stats) = &engine.stats else { return Vec::new() };
    let number = |values: &[u64]| values.iter().map(|n| *n as f64).collect::<Vec<_>>();
    let mut strips = Vec::new();
    if !stats.table_use.is_empty() {
        let values = stats.table_use.iter().map(|n| f64::from(*n)).collect();
        let note = format!(
            "{} of {}, {} open files each",
            stats.table_use.len(),
            units::grouped(stats.tables_max.into()),
            units::grouped(stats.table_limit)
        );
        strips.push(Strip { name: format!("{} tables", engine.name), values, most: stats.table_limit as f64, note });
    }
    if stats.role == Role::Client {
        for (name, one, given) in [("ports", "port", &stats.port_given), ("sources", "source", &stats.source_given)] {
            let all: u64 = given.iter().sum();
            if all == 0 {
                continue;
            }
            strips.push(Strip { name: name.to_owned(), values: number(given), most: 0.0, note: skew(one, given) });
        }
    }
    strips
}

/// `100, 6,531 each, the fullest 2 % over the mean`.
fn skew(one: &str, given: &[u64]) -> String {
    let all: u64 = given.iter().sum();
    let mean = all as f64 / given.len().max(1) as f64;
    let most = given.iter().max().copied().unwrap_or(0) as f64;
    let mean_text = units::grouped(units::whole(mean));
    if given.len() == 1 {
        return format!("one {one}, {mean_text} connections");
    }
    let more = if mean > 0.0 { (most / mean - 1.0) * 100.0 } else { 0.0 };
    if more < 1.0 {
        format!("{}, {mean_text} each, even", units::grouped(given.len() as u64))
    } else {
        format!("{}, {mean_text} each, the fullest {more:.0} % over the mean", units::grouped(given.len() as u64))
    }
}

/// Name and note on the first row, the strip below.
fn one(buf: &mut Buffer, area: Rect, strip: &Strip, look: Look) {
    let column = put(buf, area, 1, 0, &strip.name, look.text()) + 2;
    if usize::from(area.width) > usize::from(column) + width(&strip.note) {
        put(buf, area, column, 0, &strip.note, look.dim());
    }
    let room = usize::from(area.width.saturating_sub(2));
    let values = columns(&strip.values, room);
    let most = if strip.most > 0.0 { strip.most } else { values.iter().copied().fold(0.0, f64::max) };
    let height = (area.height - 1).min(4);
    let plot = Rect { x: area.x + 1, y: area.y + 1, width: values.len() as u16, height };
    spark::stacked(buf, plot, &[(&values, look.first())], most, look.theme);
}

/// The values in at most `room` columns: more of them than that are put together, the fullest shows; few are drawn wider.
fn columns(values: &[f64], room: usize) -> Vec<f64> {
    if values.is_empty() || room == 0 {
        return Vec::new();
    }
    if values.len() > room {
        let edge = |c: usize| c * values.len() / room;
        return (0..room)
            .map(|c| values[edge(c)..edge(c + 1).max(edge(c) + 1)].iter().copied().fold(0.0, f64::max))
            .collect();
    }
    // A column of air between wide ones.
    let each = (room / values.len()).min(8);
    let one = |v: &f64| {
        let mut columns = vec![*v; each];
        if each >= 3 {
            columns[each - 1] = f64::NAN;
        }
        columns
    };
    values.iter().flat_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_shows_however_narrow() {
        let mut values = vec![1.0; 1000];
        values[517] = 9.0;
        for room in [1, 7, 80, 999] {
            let drawn = columns(&values, room);
            assert_eq!((drawn.len(), drawn.iter().copied().fold(0.0, f64::max)), (room, 9.0));
        }
        assert_eq!(columns(&[1.0, 2.0], 5), [1.0, 1.0, 2.0, 2.0]);
        assert!(columns(&[], 5).is_empty());
    }

    #[test]
    fn a_skew_is_said() {
        assert_eq!(skew("port", &[100, 100]), "2, 100 each, even");
        assert_eq!(skew("port", &[100, 300]), "2, 200 each, the fullest 50 % over the mean");
        assert_eq!(skew("source", &[7]), "one source, 7 connections");
    }
}
