//! The dashboard on all sorts of terminals: old ones, slow ones, with a configuration file, with a mouse.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use super::support::{BINARY, Home, own_namespace, wait_until};
use super::tty::{Tty, engines_end};

const WHOLE: &str = "--server --client 127.0.0.1 9900 --target 2k --rate 2k --interval 100ms";

/// What was written in between, as the terminal got it.
fn raw(tty: &Tty) -> Vec<u8> {
    tty.seen.lock().unwrap().raw.clone()
}

fn count(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).filter(|window| *window == needle).count()
}

/// Leaves, and gives back what the terminal has been sent.
fn quit(tty: &mut Tty) -> Vec<u8> {
    let sent = raw(tty);
    tty.press("q");
    assert_eq!(tty.ended().exit_code(), 0);
    tty.is_restored();
    sent
}

#[test]
fn each_terminal_gets_what_it_understands() {
    own_namespace!();
    for (term, most) in [("vt100", 0x7f), ("screen", 0xff), ("linux", 0xff)] {
        let mut tty = Tty::start(WHOLE, 24, 80, &[("TERM", term)]);
        tty.shows("HOLDING");
        let sent = quit(&mut tty);
        assert!(sent.iter().all(|byte| *byte <= most), "{term}: bytes beyond ASCII");
        for colour in [&b"\x1b[38;2;"[..], b"\x1b[38;5;2", b";38;2;"] {
            let many = count(&sent, colour);
            assert!(many == 0 || (colour == b"\x1b[38;5;2" && term != "vt100"), "{term}: {many} colours it has not");
        }
        let text = String::from_utf8_lossy(&sent);
        assert!(term == "screen" || !text.chars().any(|c| ('\u{2800}'..='\u{28ff}').contains(&c)), "{term}: braille");
    }
    let mut tty = Tty::start(WHOLE, 24, 80, &[("COLORTERM", "truecolor")]);
    tty.shows("HOLDING");
    assert!(count(&quit(&mut tty), b"38;2;") > 0, "true colour where it is announced");
}

#[test]
fn a_resize_clears_nothing_and_each_frame_appears_at_once() {
    own_namespace!();
    let mut tty = Tty::start(WHOLE, 24, 80, &[]);
    tty.shows("HOLDING");
    let before = count(&raw(&tty), b"\x1b[2J");
    for (rows, cols) in [(40, 120), (30, 100), (24, 80)] {
        tty.resize(rows, cols);
        tty.shows("q quit");
        tty.shows("HOLDING");
    }
    let sent = quit(&mut tty);
    assert_eq!(count(&sent, b"\x1b[2J"), before, "the screen is cleared when it is taken and never again");
    let (begun, ended) = (count(&sent, b"\x1b[?2026h"), count(&sent, b"\x1b[?2026l"));
    assert!(begun > 3 && begun.abs_diff(ended) <= 1, "{begun} begun, {ended} ended");
}

/// Seconds on the clock of the first row.
fn shown_seconds(tty: &Tty) -> Option<u64> {
    let text = tty.text();
    let clock = text.lines().next()?.split_whitespace().find(|word| word.matches(':').count() == 2)?;
    clock.split(':').map(|part| part.parse::<u64>().ok()).try_fold(0, |all, part| Some(all * 60 + part?))
}

/// Bytes that a pseudo-terminal keeps for whoever reads it slowly, at most: what the kernel bounds it to, and what lies in
/// between.
const PTY: usize = 16 * 1024;

#[test]
fn a_slow_line_drops_frames_and_never_queues_them() {
    own_namespace!();
    let options = "--server --client 127.0.0.1 9900 --target 1m --rate 500 --interval 100ms";
    let mut tty = Tty::start(options, 40, 120, &[]);
    tty.shows("RAMPING");
    let engines = tty.engines();
    let taken = raw(&tty).len();
    std::thread::sleep(Duration::from_secs(4));
    let each_second = (raw(&tty).len() - taken) / 4;
    tty.seen.lock().unwrap().slow = true;
    let begun = (Instant::now(), shown_seconds(&tty).unwrap());
    std::thread::sleep(Duration::from_secs(14));
    let behind = begun.1 + begun.0.elapsed().as_secs() - shown_seconds(&tty).unwrap_or(0);
    // From here on the terminal is fast again: what it still has to take before it shows now is what was queued.
    let now = begun.1 + begun.0.elapsed().as_secs();
    let at = raw(&tty).len();
    tty.seen.lock().unwrap().slow = false;
    wait_until("the present", || (shown_seconds(&tty)? >= now).then_some(()));
    let queued = raw(&tty).len() - at;
    assert!(each_second > 2 * 960, "it would write {each_second} bytes a second where 960 are taken");
    println!("{each_second} B/s would be written; {queued} B were queued, {behind} s behind");
    assert!(queued < PTY + 8 * 1024, "{queued} bytes were queued of {} that were drawn", each_second * 14);
    assert!(behind <= PTY as u64 / 960 + 3, "{behind} s behind");
    // It can be left while the line is slow.
    tty.seen.lock().unwrap().slow = true;
    tty.press("\u{3}");
    let asked = Instant::now();
    engines_end(engines);
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    tty.seen.lock().unwrap().slow = false;
    assert_eq!(tty.ended().exit_code(), 0);
    tty.is_restored();
}

#[test]
fn the_configuration_file_is_followed_and_what_is_wrong_in_it_named() {
    own_namespace!();
    let home = Home::path().join("config-of-screens");
    fs::create_dir_all(home.join("c1m-top")).unwrap();
    let file = home.join("c1m-top/config.toml");
    let dir = home.to_str().unwrap();
    fs::write(&file, "theme = \"plain\"\nview = \"limits\"\ninterval = \"200ms\"\n[keys]\nquit = \"Q\"\n").unwrap();
    let mut tty = Tty::start("--duration 30s", 24, 80, &[("XDG_CONFIG_HOME", dir), ("COLORTERM", "truecolor")]);
    tty.shows("Limits, nearest first (");
    tty.shows("Q quit");
    assert_eq!(count(&raw(&tty), b"38;2;"), 0, "plain");
    tty.press("q");
    tty.shows("q does nothing here");
    tty.press("Q");
    assert_eq!(tty.ended().exit_code(), 0);
    tty.is_restored();
    // A flag comes first.
    let env = [("XDG_CONFIG_HOME", dir), ("COLORTERM", "truecolor"), ("NO_COLOR", "1")];
    let mut tty = Tty::start("--theme light --duration 30s", 24, 80, &env);
    tty.shows("Q quit");
    assert!(count(&raw(&tty), b"38;2;") > 0, "a flag comes before the environment and the file");
    tty.press("Q");
    assert_eq!(tty.ended().exit_code(), 0);

    fs::write(&file, "theme = \"dark\"\n\ntheem = \"light\"\n").unwrap();
    let mut tty = Tty::start("--duration 30s", 24, 80, &[("XDG_CONFIG_HOME", dir)]);
    assert_eq!(tty.ended().exit_code(), 2);
    tty.shows("config.toml:3:");
    // It is for the screen alone.
    let lines = Command::new(BINARY)
        .args(["--duration", "200ms", "--output", "text"])
        .env("XDG_CONFIG_HOME", dir)
        .output()
        .unwrap();
    assert_eq!(lines.status.code(), Some(0), "{lines:?}");
}

#[test]
fn the_defaults_are_printed_with_or_without_a_home() {
    for home in [Some("/home/somebody"), None] {
        let mut command = Command::new(BINARY);
        command.arg("config").env_remove("XDG_CONFIG_HOME").env_remove("HOME");
        home.map(|home| command.env("HOME", home));
        let out = command.output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(out.status.success() && text.contains("#theme = \"dark\"") && text.contains("[keys]"), "{text}");
        assert_eq!(home.is_some(), text.contains("/home/somebody/.config/c1m-top/config.toml"), "{text}");
    }
}

#[test]
fn mouse_and_clipboard_are_asked_for_and_given_back() {
    own_namespace!();
    let mut tty = Tty::start(&format!("{WHOLE} --mouse"), 40, 120, &[]);
    tty.shows("HOLDING");
    assert_eq!((count(&raw(&tty), b"\x1b[?1000h"), count(&raw(&tty), b"\x1b[?1003h")), (1, 0));
    // A click on the first row of the limits' screen, in the terminal's own words.
    tty.press("3");
    tty.shows("Limits, nearest first (1 of");
    let text = tty.text();
    let row = text.lines().position(|line| line.contains("Limits, nearest first")).unwrap() + 5;
    tty.press(&format!("\x1b[<0;10;{row}M"));
    tty.shows("Limits, nearest first (3 of");
    tty.press("2y");
    tty.shows("sent to terminal: ");
    assert_eq!(count(&raw(&tty), b"\x1b]52;c;"), 1);
    tty.press("m");
    tty.shows("text can be selected");
    assert_eq!(count(&raw(&tty), b"\x1b[?1000l"), 1);
    tty.press("m");
    tty.shows("mouse: click");
    tty.press("q");
    assert_eq!(tty.ended().exit_code(), 0);
    tty.is_restored();
    assert_eq!(count(&raw(&tty), b"\x1b[?1000l"), 2);
}

#[test]
fn a_target_and_a_rate_can_be_typed() {
    own_namespace!();
    let mut tty = Tty::start(WHOLE, 40, 120, &[]);
    tty.shows("HOLDING");
    tty.press(":target 3k\r");
    tty.shows("of 3,000");
    tty.shows("HOLDING");
    wait_until("three thousand", || tty.text().contains("100.0 %").then_some(()));
    tty.press(":target 2k\r");
    tty.shows("3,000 connections are open already");
    tty.press(":target 90g\r");
    tty.shows("ports and sources of this run allow");
    tty.press(":rate 700\r");
    tty.shows("rate: 700 per second at most");
    tty.press(":targt 1\r");
    tty.shows("did you mean target?");
    quit(&mut tty);
}
