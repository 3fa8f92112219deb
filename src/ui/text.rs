//! Text in fixed widths: cut, padded, wrapped. Widths are terminal columns.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

/// Columns that `text` takes.
pub(super) fn width(text: &str) -> usize {
    // Most of it is ASCII, and printable.
    if text.is_ascii() { text.len() } else { Span::raw(text).width() }
}

/// `text` in at most `most` columns, with an ellipsis where something was cut.
pub(super) fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        if width(&out) + width(c.encode_utf8(&mut [0; 4])) + 1 > most {
            break;
        }
        out.push(c);
    }
    if most > 0 {
        out.push('…');
    }
    out
}

/// `text` wrapped at spaces into lines of at most `columns`; a word longer than a line is broken.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    if columns == 0 {
        return Vec::new();
    }
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word = word.to_owned();
        loop {
            let Some(line) = lines.last_mut() else { return lines };
            let gap = usize::from(!line.is_empty());
            if width(line) + gap + width(&word) <= columns {
                line.push_str(&" "[..gap]);
                line.push_str(&word);
                break;
            }
            if line.is_empty() {
                let mut at = word.len();
                while at > 0 && (!word.is_char_boundary(at) || width(&word[..at]) > columns) {
                    at -= 1;
                }
                if at == 0 {
                    // One character wider than the whole line: nothing fits, now or later.
                    break;
                }
                line.push_str(&word[..at]);
                word.drain(..at);
            }
            lines.push(String::new());
        }
    }
    lines
}

/// Writes `text` at a column of a row of `area`, cut to what is left of the row. Returns the column after it. What was
/// there before leaves no trace, its style included.
pub(super) fn put(buf: &mut Buffer, area: Rect, column: u16, row: u16, text: &str, style: Style) -> u16 {
    if column >= area.width || row >= area.height || !buf.area.contains((area.x + column, area.y + row).into()) {
        return column;
    }
    let left = usize::from(area.width - column);
    let style = Style::reset().patch(style);
    let (x, _) = if width(text) <= left {
        buf.set_stringn(area.x + column, area.y + row, text, left, style)
    } else {
        buf.set_stringn(area.x + column, area.y + row, cut(text, left), left, style)
    };
    x - area.x
}

/// Sets one cell: [`put`] for a mark of one column, of which a frame has thousands.
pub(super) fn mark(buf: &mut Buffer, area: Rect, column: u16, row: u16, mark: &str, style: Style) {
    if column < area.width
        && row < area.height
        && let Some(cell) = buf.cell_mut((area.x + column, area.y + row))
    {
        cell.reset();
        cell.set_symbol(mark).set_style(style);
    }
}

/// Like [`put`], ending at the column before `end`.
pub(super) fn put_right(buf: &mut Buffer, area: Rect, end: u16, row: u16, text: &str, style: Style) {
    let column = end.saturating_sub(width(text) as u16);
    put(buf, area, column, row, text, style);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_marks_what_is_missing() {
        for (text, most, want) in [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("abc", 0, ""), ("日本語", 4, "日…")]
        {
            assert_eq!(cut(text, most), want);
            assert!(width(&cut(text, most)) <= most);
        }
    }

    #[test]
    fn wrapping_keeps_every_word() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a longwordhere b", 4), ["a", "long", "word", "here", "b"]);
        assert_eq!(wrap("", 5), [""]);
        assert!(wrap("x", 0).is_empty());
        assert_eq!(wrap("日", 1), [""]);
    }

    #[test]
    fn writing_outside_is_nothing() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 4, 1));
        assert_eq!(put(&mut buf, Rect::new(0, 0, 9, 9), 5, 0, "x", Style::new()), 5);
        assert_eq!(put(&mut buf, Rect::new(0, 0, 4, 1), 0, 3, "x", Style::new()), 0);
        assert_eq!(put(&mut buf, Rect::new(1, 0, 3, 1), 0, 0, "abcdef", Style::new()), 3);
        put_right(&mut buf, Rect::new(0, 0, 4, 1), 4, 0, "z", Style::new());
        assert_eq!(buf.content().iter().map(ratatui::buffer::Cell::symbol).collect::<String>(), " abz");
    }
}
