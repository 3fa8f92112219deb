//! How frames look in each theme, and in the characters of each terminal.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use c1m_top::ui::{Charset, Depth, Marker, Palette, Screen, Theme, View};
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

use super::{SIZES, frame, scenes, snapshot, text};

/// A frame with its styles: below each row a letter for each cell's style, and what the letters mean.
fn styled(buf: &Buffer) -> String {
    let mut styles: Vec<String> = vec![String::new()];
    let mut out = String::new();
    for y in 0..buf.area.height {
        let (mut row, mut letters) = (String::new(), String::new());
        for x in 0..buf.area.width {
            let cell = &buf[(x, y)];
            row.push_str(cell.symbol());
            let style = describe(cell.fg, cell.bg, cell.modifier);
            let place = styles.iter().position(|known| *known == style).unwrap_or_else(|| {
                styles.push(style);
                styles.len() - 1
            });
            letters.push(
                b" abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".get(place).map_or('?', |b| char::from(*b)),
            );
        }
        let _ = writeln!(out, "{}\n{}", row.trim_end(), letters.trim_end());
    }
    for (style, letter) in styles.iter().zip(" abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".chars()).skip(1) {
        let _ = writeln!(out, "{letter} {style}");
    }
    out
}

fn describe(fg: Color, bg: Color, modifier: Modifier) -> String {
    let mut parts = Vec::new();
    if fg != Color::Reset {
        parts.push(fg.to_string());
    }
    if bg != Color::Reset {
        parts.push(format!("on {bg}"));
    }
    for (name, one) in [("bold", Modifier::BOLD), ("dim", Modifier::DIM), ("reversed", Modifier::REVERSED)] {
        if modifier.contains(one) {
            parts.push(name.to_owned());
        }
    }
    parts.join(" ")
}

#[test]
fn each_theme_looks_as_stored() {
    let model = scenes::hold();
    let mut wrong = Vec::new();
    for (name, palette) in Palette::NAMED {
        let theme = Theme::new(palette, Marker::Braille).with_depth(Depth::True);
        let got = styled(&frame(&model, &View::new(), theme, (80, 24)));
        wrong.extend(snapshot(&format!("theme-{name}"), &got).err());
    }
    let few = Theme::new(Palette::Dark, Marker::Braille).with_depth(Depth::Indexed);
    wrong.extend(snapshot("theme-dark-256", &styled(&frame(&model, &View::new(), few, (80, 24)))).err());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every colour of a frame.
fn colours(buf: &Buffer) -> BTreeSet<String> {
    buf.content().iter().flat_map(|c| [c.fg.to_string(), c.bg.to_string()]).collect()
}

#[test]
fn a_terminal_gets_no_colour_that_it_has_not() {
    for (_, make) in scenes::ALL {
        let model = make();
        for screen in [Screen::Overview, Screen::Memory, Screen::Limits, Screen::Engines] {
            let of = |palette, depth| {
                let theme = Theme::new(palette, Marker::Braille).with_depth(depth);
                colours(&frame(&model, &View::new().on(screen), theme, (120, 40)))
            };
            for (_, palette) in Palette::NAMED {
                let sixteen = of(palette, Depth::Sixteen);
                assert!(
                    sixteen.iter().all(|c| !c.starts_with('#') && c.parse::<u8>().is_err()),
                    "{palette:?}: {sixteen:?}"
                );
                let indexed = of(palette, Depth::Indexed);
                assert!(indexed.iter().all(|c| !c.starts_with('#')), "{palette:?}: {indexed:?}");
            }
            let own = of(Palette::Ansi, Depth::True);
            assert!(own.iter().all(|c| !c.starts_with('#')), "the terminal's own 16: {own:?}");
            assert_eq!(of(Palette::Plain, Depth::True), BTreeSet::from(["Reset".to_owned()]));
        }
    }
    let dark = Theme::new(Palette::Dark, Marker::Braille).with_depth(Depth::True);
    assert!(colours(&frame(&scenes::hold(), &View::new(), dark, (120, 40))).iter().any(|c| c.starts_with('#')));
}

#[test]
fn high_contrast_has_its_own_ground_everywhere() {
    let theme = Theme::new(Palette::Contrast, Marker::Braille).with_depth(Depth::True);
    for (name, make) in scenes::ALL {
        let buf = frame(&make(), &View::new(), theme, (120, 40));
        let bare = buf.content().iter().filter(|c| c.bg == Color::Reset).count();
        assert_eq!(bare, 0, "{name}: cells on the terminal's own ground");
    }
}

#[test]
fn ascii_is_ascii_in_every_scene_and_at_every_size() {
    let theme = Theme::default().in_ascii();
    for (name, make) in scenes::ALL {
        let model = make();
        for screen in [Screen::Overview, Screen::Memory, Screen::Limits, Screen::Engines] {
            for size in SIZES {
                let view = View::new().with(false, true).on(screen);
                let shown = text(&frame(&model, &view, theme, size));
                let odd: BTreeSet<char> = shown.chars().filter(|c| !c.is_ascii()).collect();
                assert!(odd.is_empty(), "{name} {screen:?} {size:?}: {odd:?}");
            }
        }
    }
    let shown = text(&frame(&scenes::hold(), &View::new().with(false, true), theme, (80, 24)));
    assert!(!shown.contains('?') || shown.matches('?').count() <= 2, "a mark without a stand-in:\n{shown}");
    snapshot("ascii-80x24", &shown).unwrap_or_else(|diff| panic!("{diff}"));
    let console = Theme { charset: Charset::Console, ..Theme::new(Palette::Dark, Marker::Block) };
    let shown = text(&frame(&scenes::hold(), &View::new(), console, (80, 24)));
    assert!(!shown.chars().any(|c| ('\u{2800}'..='\u{28ff}').contains(&c) || "╭╮╰╯▁▃▸…–".contains(c)), "{shown}");
}
