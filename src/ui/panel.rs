//! A panel's frame: a rule with its name. Half the ink of a box, and two rows and columns more for the content.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::text::{cut, put, put_right, width};
use super::theme::Theme;

/// Draws the rule on the first row and returns what is left below it.
pub(super) fn frame(buf: &mut Buffer, area: Rect, name: &str, theme: Theme) -> Rect {
    if area.is_empty() {
        return Rect { height: 0, ..area };
    }
    for column in 0..area.width {
        put(buf, area, column, 0, theme.rule(), theme.dim());
    }
    put(buf, area, 2, 0, &format!(" {} ", cut(name, usize::from(area.width).saturating_sub(6))), theme.title());
    Rect { y: area.y + 1, height: area.height - 1, ..area }
}

/// Writes a remark on the right of a panel's rule, if it fits beside the name.
pub(super) fn remark(buf: &mut Buffer, area: Rect, name: &str, text: &str, theme: Theme) {
    let room = usize::from(area.width).saturating_sub(width(name) + 10);
    if width(text) <= room {
        put_right(buf, area, area.width - 2, 0, &format!(" {text} "), theme.text());
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
}
