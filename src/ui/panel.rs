//! A panel's frame: a titled box where there is room, a rule with a name where there is not. And bars and percentages.

use std::ops::Deref;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::text::{cut, mark, put, put_right, width};
use super::theme::{Marker, Theme};

/// How a panel is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Look {
    pub(super) theme: Theme,
    /// In a box, which takes two rows and two columns.
    pub(super) boxed: bool,
    /// It has the focus.
    pub(super) focused: bool,
}

impl Deref for Look {
    type Target = Theme;

    fn deref(&self) -> &Theme {
        &self.theme
    }
}

/// A rule, without the focus.
impl From<Theme> for Look {
    fn from(theme: Theme) -> Self {
        Self { theme, ..Self::default() }
    }
}

impl Look {
    fn border(self) -> Style {
        if self.focused { self.title() } else { self.dim() }
    }

    /// Whether marks beyond ASCII may be used.
    pub(super) fn is_plain(self) -> bool {
        self.marker == Marker::Dot
    }

    /// Rows that the frame takes.
    pub(super) fn rows(self) -> u16 {
        if self.boxed { 2 } else { 1 }
    }
}

/// What is left inside of a frame.
pub(super) fn inner(area: Rect, look: Look) -> Rect {
    let boxed = look.boxed && area.width >= 4 && area.height >= 2;
    if boxed {
        return Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 2 };
    }
    Rect { y: area.y + area.height.min(1), height: area.height.saturating_sub(1), ..area }
}

/// Draws the frame and returns what is left inside.
pub(super) fn frame(buf: &mut Buffer, area: Rect, name: &str, look: impl Into<Look>) -> Rect {
    let look = look.into();
    if area.is_empty() {
        return Rect { height: 0, ..area };
    }
    let style = look.border();
    let rule = look.rule().repeat(area.width.into());
    put(buf, area, 0, 0, &rule, style);
    let boxed = look.boxed && area.width >= 4 && area.height >= 2;
    if boxed {
        let [above_left, above_right, below_left, below_right, side] = look.box_marks();
        let (right, low) = (area.width - 1, area.height - 1);
        put(buf, area, 0, low, &rule, style);
        for row in 1..low {
            mark(buf, area, 0, row, side, style);
            mark(buf, area, right, row, side, style);
        }
        for (column, row, corner) in
            [(0, 0, above_left), (right, 0, above_right), (0, low, below_left), (right, low, below_right)]
        {
            mark(buf, area, column, row, corner, style);
        }
    }
    let name = cut(name, usize::from(area.width).saturating_sub(6));
    if !name.is_empty() {
        let style = if look.focused { look.theme.focused() } else { look.title() };
        put(buf, area, 2, 0, &format!(" {name} "), style);
    }
    if boxed {
        Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 2 }
    } else {
        Rect { y: area.y + 1, height: area.height - 1, ..area }
    }
}

/// Writes a remark on the right of a panel's first row, if it fits beside the name.
pub(super) fn remark(buf: &mut Buffer, area: Rect, name: &str, text: &str, look: Look) {
    let room = usize::from(area.width).saturating_sub(width(name) + 10);
    if width(text) <= room && !text.is_empty() {
        put_right(buf, area, area.width - 2, 0, &format!(" {text} "), look.text());
    }
}

/// Writes a remark on the right of a box' last row, if there is a box and it fits.
pub(super) fn foot(buf: &mut Buffer, area: Rect, text: &str, look: Look) {
    if look.boxed && !text.is_empty() && width(text) + 6 <= usize::from(area.width) && area.height >= 2 {
        put_right(buf, area, area.width - 2, area.height - 1, &format!(" {text} "), look.text());
    }
}

/// A bar of `columns` cells, `share` of it (0 to 1) filled: the filled part and the rest.
pub(super) fn bar((full, empty): (&str, &str), share: f64, columns: u16) -> (String, String) {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let mut filled = (share * f64::from(columns)).floor() as usize;
    // Something is never drawn as nothing.
    if filled == 0 && share > 0.005 && columns > 0 {
        filled = 1;
    }
    (full.repeat(filled), empty.repeat(usize::from(columns) - filled))
}

/// A share as a percentage in five columns: `  5 %`, ` 53 %`, `100 %`, and `999+%` for anything above.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if !percent.is_finite() || percent > 999.0 { "999+%".into() } else { format!("{:>3} %", percent.floor()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_full_only_at_the_limit() {
        let marks = ("█", "░");
        for (share, want) in
            [(0.0, "░░░░"), (0.01, "█░░░"), (0.5, "██░░"), (0.999, "███░"), (1.0, "████"), (7.0, "████")]
        {
            let (full, empty) = bar(marks, share, 4);
            assert_eq!(full + &empty, want, "{share}");
        }
        assert_eq!(bar(marks, f64::NAN, 2).0, "");
        assert_eq!(bar(marks, 0.5, 0), (String::new(), String::new()));
    }

    #[test]
    fn percentages_keep_their_width() {
        for (share, want) in [(0.0, "  0 %"), (0.534, " 53 %"), (0.9999, " 99 %"), (1.0, "100 %"), (99.0, "999+%")] {
            assert_eq!(percent(share), want);
        }
    }

    #[test]
    fn a_frame_is_a_box_or_a_rule_and_says_what_is_left() {
        let area = Rect::new(0, 0, 12, 4);
        for (boxed, inner, corner) in [(true, Rect::new(1, 1, 10, 2), "╭"), (false, Rect::new(0, 1, 12, 3), "─")] {
            let mut buf = Buffer::empty(area);
            let look = Look { boxed, ..Look::default() };
            assert_eq!(frame(&mut buf, area, "Name", look), inner);
            assert_eq!(buf[(0, 0)].symbol(), corner);
            assert_eq!(buf[(3, 0)].symbol(), "N");
        }
        let mut buf = Buffer::empty(Rect::new(0, 0, 3, 1));
        frame(&mut buf, Rect::new(0, 0, 3, 1), "Name", Look { boxed: true, ..Look::default() });
        frame(&mut buf, Rect::ZERO, "Name", Look::default());
    }
}
