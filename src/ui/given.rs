//! Which destination ports and source addresses have been given the most connections, and which the fewest: a small table each.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::panel::Look;
use super::text::{put, put_right};
use crate::model::{Engine, Model};
use crate::protocol::Role;
use crate::units;

/// Rows below which no table is begun: a heading, the most, the fewest.
const LEAST: u16 = 3;
/// Columns of a table and its gap.
const WIDE: u16 = 33;

/// One row: a port or an address, and its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Row {
    Of(usize, u64),
    /// So many between the most and the fewest are not shown.
    Between(usize),
}

/// Draws the tables side by side where there is room; one that would have a single row says nothing and is left out.
pub(super) fn draw(buf: &mut Buffer, area: Rect, model: &Model, look: Look) {
    let client = model.engines().iter().find(|engine| engine.role == Some(Role::Client));
    let Some(stats) = client.and_then(|client: &Engine| client.stats.as_ref()) else { return };
    if area.height < LEAST {
        return;
    }
    let first = model.setup().endpoint.as_deref().and_then(first_port);
    let port = |at: usize| first.map_or_else(|| nth(at), |first| (usize::from(first) + at).to_string());
    let mut column = 0;
    for (name, given) in [("port", &stats.port_given), ("source", &stats.source_given)] {
        let all: u64 = given.iter().sum();
        if given.len() < 2 || all == 0 || column + WIDE > area.width {
            continue;
        }
        let place = Rect { x: area.x + column, width: WIDE, ..area };
        put_right(buf, place, 7, 0, name, look.dim());
        put_right(buf, place, 19, 0, "connections", look.dim());
        put_right(buf, place, 28, 0, "share", look.dim());
        for (row, what) in rows(given, usize::from(area.height - 1)).into_iter().enumerate() {
            let y = row as u16 + 1;
            match what {
                Row::Of(at, count) => {
                    put_right(buf, place, 7, y, &if name == "port" { port(at) } else { nth(at) }, look.text());
                    put_right(buf, place, 19, y, &units::grouped(count), look.text());
                    put_right(buf, place, 28, y, &share(count, all), look.text());
                }
                Row::Between(left) => _ = put(buf, place, 1, y, &format!("{left} in between"), look.dim()),
            }
        }
        column += WIDE;
    }
}

/// The most first. Where not all fit, the most and the fewest, with how many are between them.
fn rows(given: &[u64], room: usize) -> Vec<Row> {
    let mut all: Vec<(usize, u64)> = given.iter().copied().enumerate().collect();
    // Equal ones stay in their order.
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let of = |&(at, count): &(usize, u64)| Row::Of(at, count);
    if all.len() <= room {
        return all.iter().map(of).collect();
    }
    // In two rows there is no place for what is between.
    let between = usize::from(room > 2);
    let top = (room - between).div_ceil(2);
    let low = room - between - top;
    let mut out: Vec<Row> = all[..top].iter().map(of).collect();
    out.extend((between > 0).then(|| Row::Between(all.len() - top - low)));
    out.extend(all[all.len() - low..].iter().map(of));
    out
}

/// `9900` of `127.0.0.1:9900-9999`.
fn first_port(endpoint: &str) -> Option<u16> {
    let (_, ports) = endpoint.rsplit_once(':')?;
    ports.split('-').next()?.parse().ok()
}

/// One that has no name here, by its place in the plan.
fn nth(at: usize) -> String {
    format!("no. {}", at + 1)
}

/// A tenth of a per cent shows a skew among a hundred ports.
fn share(count: u64, all: u64) -> String {
    format!("{:.2} %", count as f64 / all as f64 * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_and_the_fewest_are_shown_and_how_many_are_between() {
        let given = [5, 9, 1, 7, 3];
        let all = [Row::Of(1, 9), Row::Of(3, 7), Row::Of(0, 5), Row::Of(4, 3), Row::Of(2, 1)];
        assert_eq!(rows(&given, 5), all);
        assert_eq!(rows(&given, 9), all);
        assert_eq!(rows(&given, 4), [Row::Of(1, 9), Row::Of(3, 7), Row::Between(2), Row::Of(2, 1)]);
        assert_eq!(rows(&given, 3), [Row::Of(1, 9), Row::Between(3), Row::Of(2, 1)]);
        assert_eq!(rows(&given, 2), [Row::Of(1, 9), Row::Of(2, 1)]);
        assert_eq!(rows(&[4, 4, 4], 2), [Row::Of(0, 4), Row::Of(2, 4)], "equal ones stay in their order");
    }

    #[test]
    fn the_first_port_is_read_from_the_endpoint() {
        for (endpoint, want) in [
            ("127.0.0.1:9900-9999", Some(9900)),
            ("[::1]:9900-9999", Some(9900)),
            ("10.0.0.5:443", Some(443)),
            ("somewhere", None),
        ] {
            assert_eq!(first_port(endpoint), want, "{endpoint}");
        }
    }
}
