//! What is drawn, in the characters that the terminal has: the last step of a frame, so that no panel needs to know.

use ratatui::buffer::Buffer;

/// The characters of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Charset {
    /// Everything: UTF-8 and a font that has box drawing.
    #[default]
    Unicode,
    /// The Linux console: the 256 characters of its font.
    Console,
    /// ASCII alone: serial lines, old terminals, logs.
    Ascii,
}

/// What the console's font (code page 437) has of what this program draws.
const CONSOLE: &str = "─│┌┐└┘├┤┬┴┼═║╔╗╚╝█▄▀▌▐░▒▓■·•°±²≤≥≈µ►◄▲▼↑↓←→éèêëâäàåçîïìôöòûùüÿáíóúñ";

/// Puts a frame into the characters there are.
pub(super) fn reduce(buf: &mut Buffer, charset: Charset) {
    if charset == Charset::Unicode {
        return;
    }
    for cell in &mut buf.content {
        let symbol = cell.symbol();
        if symbol.is_ascii() {
            continue;
        }
        let mut chars = symbol.chars();
        let (first, more) = (chars.next().unwrap_or(' '), chars.next().is_some());
        let instead = match charset {
            Charset::Console if !more && CONSOLE.contains(first) => continue,
            Charset::Console => console(first),
            _ => ascii(first),
        };
        cell.set_char(instead);
    }
}

/// The console's nearest.
fn console(c: char) -> char {
    match c {
        '╭' => '┌',
        '╮' => '┐',
        '╰' => '└',
        '╯' => '┘',
        '━' | '╌' | '┄' | '┈' | '╍' => '─',
        '┃' | '┆' | '┊' | '╎' => '│',
        '▃' => '▄',
        '▅' | '▆' | '▇' | '▉' | '▊' | '▋' => '█',
        '▍' | '▎' | '▏' => '▌',
        '▸' | '▶' => '►',
        '◂' | '◀' => '◄',
        '▾' => '▼',
        '▴' => '▲',
        '●' => '•',
        '˙' => '·',
        _ => ascii(c),
    }
}

/// The nearest of ASCII.
fn ascii(c: char) -> char {
    match c {
        '─' | '━' | '╌' | '┄' | '┈' | '╍' | '═' | '–' | '—' | '−' => '-',
        '│' | '┃' | '┆' | '┊' | '╎' | '║' | '▏' | '▎' | '▍' => '|',
        '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' | '╭' | '╮' | '╰' | '╯' | '╔' | '╗' | '╚' | '╝' => {
            '+'
        }
        '▁' | '▂' | '░' | '·' | '•' | '∙' | '…' | '⋯' => '.',
        '▃' | '▒' => ':',
        '▄' | '▅' => '=',
        '▆' | '▇' | '█' | '▓' | '▉' | '▊' | '▋' | '▌' | '▐' | '■' => '#',
        '▀' | '↑' | '▲' | '▴' => '^',
        '↓' | '▼' | '▾' => 'v',
        '←' | '◂' | '◀' | '◄' | '≤' => '<',
        '→' | '▸' | '▶' | '►' | '≥' => '>',
        '×' => 'x',
        '±' | '≈' => '~',
        'µ' | 'μ' => 'u',
        '˙' | '’' | '‘' => '\'',
        '“' | '”' => '"',
        '●' | '◆' => '*',
        '○' | '□' | '°' => 'o',
        '\u{a0}' | '\u{2800}' => ' ',
        // The more dots, the darker.
        '\u{2801}'..='\u{28ff}' => match (c as u32 & 0xff).count_ones() {
            0..=2 => '.',
            3..=5 => ':',
            _ => '#',
        },
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::*;

    fn reduced(text: &str, charset: Charset) -> String {
        let mut buf = Buffer::empty(Rect::new(0, 0, text.chars().count() as u16, 1));
        buf.set_string(0, 0, text, ratatui::style::Style::new());
        reduce(&mut buf, charset);
        buf.content().iter().map(ratatui::buffer::Cell::symbol).collect()
    }

    #[test]
    fn each_terminal_gets_what_it_has() {
        let text = "╭─┤▸ 1.2 ± 3 … ⣿⠁ ▁▄█ × é";
        assert_eq!(reduced(text, Charset::Unicode), text);
        assert_eq!(reduced(text, Charset::Console), "┌─┤► 1.2 ± 3 . #. .▄█ x é");
        assert_eq!(reduced(text, Charset::Ascii), "+-+> 1.2 ~ 3 . #. .=# x ?");
    }

    #[test]
    fn what_the_console_is_given_is_in_its_font() {
        for c in ('\u{a0}'..='\u{2fff}').filter(|c| !CONSOLE.contains(*c)) {
            assert!(console(c).is_ascii() || CONSOLE.contains(console(c)), "{c}");
            assert!(ascii(c).is_ascii(), "{c}");
        }
    }
}
