//! Prints a frame made from synthetic data, to look at: `cargo run --example frames -- ramp 120x40 overview dark braille`.
//! `ports peers` are the peers of a listener.
//! With `live` in place of a scene the ramp runs in the real terminal, keys included.

#![expect(clippy::cast_possible_truncation, reason = "one of sixteen colours")]

#[path = "../tests/scenes/mod.rs"]
mod scenes;

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use c1m_top::model::{Model, Setup, synthetic};
use c1m_top::ui::{self, Action, Input, Marker, Palette, Screen, Theme, View};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|w| w == word);
    let palette = match () {
        () if has("light") => Palette::Light,
        () if has("plain") => Palette::Plain,
        () if has("live") => Theme::of_terminal(|name| std::env::var(name).ok()).palette,
        () => Palette::Dark,
    };
    let marker = match () {
        () if has("block") => Marker::Block,
        () if has("dot") => Marker::Dot,
        () => Marker::Braille,
    };
    let screen = match () {
        () if has("memory") => Screen::Memory,
        () if has("limits") => Screen::Limits,
        () if has("engines") => Screen::Engines,
        () => Screen::Overview,
    };
    let theme = Theme::new(palette, marker);
    let mut view = View::new().on(screen);
    if has("live") {
        return live(&mut view, theme);
    }
    let (width, height) = words.iter().find_map(|w| w.split_once('x')).unwrap_or(("120", "40"));
    let size = (width.parse()?, height.parse()?);
    let scene = scenes::ALL.iter().find(|(name, _)| has(name)).map_or(scenes::ramp as fn() -> Model, |(_, make)| *make);
    let model = scene();
    for (word, key) in [("time", 't'), ("help", '?'), ("frozen", 'f'), ("confirm", 'c')] {
        if has(word) {
            view.on_key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE), &model);
        }
    }
    if has("peers") {
        for code in [KeyCode::Char('4'), KeyCode::Down, KeyCode::Enter, KeyCode::Enter] {
            view.on_key(KeyEvent::new(code, KeyModifiers::NONE), &model);
        }
        view.peers_told(443, Ok(scenes::peers()), &model);
    }
    if has("fault") {
        view.fail("thread probe failed at src/probe/mod.rs:12: index out of bounds");
    }
    let mut terminal = ratatui::Terminal::new(TestBackend::new(size.0, size.1))?;
    terminal.draw(|frame| ui::draw(frame, &model, &view, theme))?;
    println!("{}", ansi(terminal.backend().buffer()));
    Ok(())
}

/// The ramp in the real terminal, ten times a second.
fn live(view: &mut View, theme: Theme) -> Result<(), Box<dyn std::error::Error>> {
    if !std::io::stdout().is_terminal() {
        return Err("live needs a terminal".into());
    }
    let (to, from) = sync_channel::<Input>(64);
    let mut model = Model::new(Setup { target: Some(1_000_000), interval_ms: 100, ..Setup::default() });
    let mut samples = synthetic::ramp(1_000_000, 38_420, 100).into_iter();
    let mut terminal = ui::Terminal::enter(std::sync::Arc::new(|| {}))?;
    let _reader = ui::input::spawn(to)?;
    loop {
        terminal.draw(|frame| ui::draw(frame, &model, view, theme))?;
        match from.recv_timeout(Duration::from_millis(100)) {
            Ok(Input::Key(key)) if key.code == KeyCode::Char('P') => panic!("a panic asked for"),
            Ok(Input::Key(key)) if view.on_key(key, &model) == Some(Action::Quit) => return Ok(()),
            Ok(Input::Gone) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Ok(Input::Key(_) | Input::Resize | Input::Free | Input::Mouse(_)) => {}
            Err(RecvTimeoutError::Timeout) => {
                if let Some(sample) = samples.next() {
                    model.update(&sample);
                }
            }
        }
        if let Some(text) = ui::terminal::take_helper_panic() {
            view.fail(text);
        }
    }
}

/// A buffer as text with ANSI colours.
fn ansi(buf: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buf.area.height {
        for x in 0..buf.area.width {
            let cell = &buf[(x, y)];
            let mut codes = vec![0];
            for (modifier, code) in [(Modifier::BOLD, 1), (Modifier::DIM, 2), (Modifier::REVERSED, 7)] {
                if cell.modifier.contains(modifier) {
                    codes.push(code);
                }
            }
            codes.extend(code(cell.fg).map(|c| c + 30));
            codes.extend(code(cell.bg).map(|c| c + 40));
            let codes: Vec<String> = codes.iter().map(u8::to_string).collect();
            let _ = write!(out, "\x1b[{}m{}", codes.join(";"), cell.symbol());
        }
        out.push_str("\x1b[0m\n");
    }
    out
}

/// Number of an ANSI colour, of 0 to 7 and 60 to 67.
fn code(colour: Color) -> Option<u8> {
    let colours = [
        Color::Black,
        Color::Red,
        Color::Green,
        Color::Yellow,
        Color::Blue,
        Color::Magenta,
        Color::Cyan,
        Color::Gray,
        Color::DarkGray,
        Color::LightRed,
        Color::LightGreen,
        Color::LightYellow,
        Color::LightBlue,
        Color::LightMagenta,
        Color::LightCyan,
        Color::White,
    ];
    let at = colours.iter().position(|c| *c == colour)? as u8;
    Some(if at < 8 { at } else { at + 52 })
}
