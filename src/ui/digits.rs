//! Large digits, three rows high, for a count that is read from two metres.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::text::put;

/// Rows of a digit.
pub(super) const ROWS: u16 = 3;

/// The digits from 0 to 9.
const DIGITS: [[&str; 3]; 10] = [
    ["█▀█", "█ █", "█▄█"],
    ["▄█ ", " █ ", "▄█▄"],
    ["▀▀█", "█▀▀", "█▄▄"],
    ["▀▀█", " ▀█", "▄▄█"],
    ["█ █", "▀▀█", "  █"],
    ["█▀▀", "▀▀█", "▄▄█"],
    ["█▀▀", "█▀█", "█▄█"],
    ["▀▀█", "  █", "  █"],
    ["█▀█", "█▀█", "█▄█"],
    ["█▀█", "▀▀█", "▄▄█"],
];

/// Columns of a number such as `1,234`, written large.
pub(super) fn width(number: &str) -> u16 {
    number.chars().map(|c| if c.is_ascii_digit() { 4 } else { 2 }).sum()
}

/// Writes a number large, from a column on.
pub(super) fn draw(buf: &mut Buffer, area: Rect, mut column: u16, number: &str, style: Style) {
    for c in number.chars() {
        if let Some(digit) = c.to_digit(10) {
            for (row, cells) in DIGITS[digit as usize].iter().enumerate() {
                // Blanks leave what is behind them alone.
                for (i, cell) in cells.chars().enumerate().filter(|(_, cell)| *cell != ' ') {
                    put(buf, area, column + i as u16, row as u16, cell.encode_utf8(&mut [0; 4]), style);
                }
            }
            column += 4;
        } else {
            if c == ',' {
                put(buf, area, column, ROWS - 1, "▖", style);
            }
            column += 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_as_wide_as_it_says() {
        let area = Rect::new(0, 0, 30, 3);
        let mut buf = Buffer::empty(area);
        draw(&mut buf, area, 0, "1,024", Style::new());
        let rows: Vec<String> =
            (0..3).map(|y| (0..30).map(|x| buf[(x, y)].symbol()).collect::<String>().trim_end().to_owned()).collect();
        assert_eq!(rows, ["▄█    █▀█ ▀▀█ █ █", " █    █ █ █▀▀ ▀▀█", "▄█▄ ▖ █▄█ █▄▄   █"]);
        assert_eq!(width("1,024"), 18);
    }
}
