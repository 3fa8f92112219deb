//! The dashboard in a pseudo-terminal: what it shows, and how it leaves the terminal.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use c1m_top::protocol::Phase;
use c1m_top::sys;
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

use super::support::{
    BINARY, Control, Engines, Home, PATIENCE, Run, Started, engines_of, is_running, own_namespace, own_processes, poll,
    require, succeed, wait_until,
};

const WHOLE: &str = "--server --client 127.0.0.1 9900 --target 5k --rate 2k --interval 100ms";

/// The program in a terminal of its own.
pub(super) struct Tty {
    child: Box<dyn Child + Send + Sync>,
    master: Option<Box<dyn MasterPty + Send>>,
    /// Kept open: a terminal whose program has ended can still be asked for its settings.
    slave: Option<Box<dyn portable_pty::SlavePty + Send>>,
    keys: Option<Box<dyn Write + Send>>,
    pub(super) seen: Arc<Mutex<Seen>>,
    reader: Option<JoinHandle<()>>,
}

/// What the program wrote: as a screen, and as it came.
pub(super) struct Seen {
    pub(super) screen: vt100::Parser,
    pub(super) raw: Vec<u8>,
    /// The reader shall close its copy of the terminal.
    leave: bool,
    /// The reader takes no more than 9,600 baud.
    pub(super) slow: bool,
}

fn cells(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap()
}

impl Tty {
    pub(super) fn start(options: &str, rows: u16, cols: u16, env: &[(&str, &str)]) -> Self {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(BINARY);
        command.args(options.split_whitespace());
        // By default it starts in the home directory, which a user may not have.
        command.cwd("/");
        command.env("TERM", "xterm-256color");
        for unset in ["NO_COLOR", "COLORTERM", "COLORFGBG"] {
            command.env_remove(unset);
        }
        // No configuration of whoever runs the tests.
        command.env("XDG_CONFIG_HOME", Home::path().join("no-config"));
        for (name, value) in Home::variables() {
            command.env(name, value);
        }
        for (name, value) in env {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let keys = pair.master.take_writer().unwrap();
        let seen = Arc::new(Mutex::new(Seen {
            screen: vt100::Parser::new(cells(rows), cells(cols), 0),
            raw: Vec::new(),
            leave: false,
            slow: false,
        }));
        let into = Arc::clone(&seen);
        let reader = std::thread::spawn(move || {
            let mut buf = [0; 4096];
            loop {
                let slow = into.lock().unwrap().slow;
                let Ok(n @ 1..) = reader.read(&mut buf[..if slow { 96 } else { 4096 }]) else { return };
                if slow {
                    std::thread::sleep(Duration::from_millis(100));
                }
                let mut seen = into.lock().unwrap();
                seen.screen.process(&buf[..n]);
                seen.raw.extend_from_slice(&buf[..n]);
                if seen.leave {
                    return;
                }
            }
        });
        Self { child, master: Some(pair.master), slave: Some(pair.slave), keys: Some(keys), seen, reader: Some(reader) }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    pub(super) fn engines(&self) -> Engines {
        engines_of(self.pid(), true, true)
    }

    pub(super) fn press(&mut self, keys: &str) {
        let to = self.keys.as_mut().unwrap();
        to.write_all(keys.as_bytes()).unwrap();
        to.flush().unwrap();
    }

    pub(super) fn text(&self) -> String {
        self.seen.lock().unwrap().screen.screen().contents()
    }

    /// Waits until the screen shows something.
    #[track_caller]
    pub(super) fn shows(&self, what: &str) {
        let shown = poll(PATIENCE, || self.text().contains(what).then_some(()));
        assert!(shown.is_some(), "{what:?} is not on the screen:\n{}", self.text());
    }

    pub(super) fn resize(&self, rows: u16, cols: u16) {
        {
            let mut seen = self.seen.lock().unwrap();
            seen.screen.screen_mut().set_size(cells(rows), cells(cols));
            // What a terminal does with the screen then is its own affair; this one loses it.
            seen.screen.process(b"\x1b[2J");
        }
        self.master.as_ref().unwrap().resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
    }

    pub(super) fn ended(&mut self) -> ExitStatus {
        wait_until("the end of the program", || self.child.try_wait().unwrap())
    }

    /// The terminal is as it was found: main screen, cursor shown, cooked.
    pub(super) fn is_restored(&self) {
        wait_until("the main screen and a cursor", || {
            let seen = self.seen.lock().unwrap();
            let screen = seen.screen.screen();
            (!screen.alternate_screen() && !screen.hide_cursor()).then_some(())
        });
        let modes = self.stty();
        for mode in ["icanon", "echo", "isig", "opost", "icrnl"] {
            assert!(modes.split_whitespace().any(|m| m == mode), "{mode} is off: {modes}");
        }
    }

    /// The settings of the terminal, as stty(1) says them.
    fn stty(&self) -> String {
        assert!(self.slave.is_some(), "the terminal is open");
        let path = self.master.as_ref().unwrap().tty_name().unwrap();
        succeed(std::process::Command::new("stty").arg("-F").arg(path).arg("-a")).replace(';', " ")
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_listener_of_a_watched_program_leads_to_its_peers() {
    own_namespace!();
    // This process is the program that is watched.
    let listener = std::net::TcpListener::bind("127.0.0.1:9900").unwrap();
    let held: Vec<_> = (0..30)
        .map(|_| (std::net::TcpStream::connect("127.0.0.1:9900").unwrap(), listener.accept().unwrap()))
        .collect();
    let mut tty = Tty::start(&format!("--attach {} --only --interval 100ms", std::process::id()), 24, 80, &[]);
    tty.shows("WATCHING");
    tty.press("4");
    tty.shows("Enter peers");
    tty.press("\r");
    tty.shows("30 connections from 1 address");
    tty.shows("127.0.0.0/24");
    tty.press("\u{1b}");
    tty.shows("Listens on");
    assert!(!tty.text().contains("Peers of"), "{}", tty.text());
    tty.press("q");
    assert_eq!(tty.ended().exit_code(), 0);
    tty.is_restored();
    drop(held);
}

#[test]
fn on_a_terminal_it_is_asked_which_listening_process_is_meant() {
    own_namespace!();
    let listener = std::net::TcpListener::bind("127.0.0.1:9900").unwrap();
    let own = std::process::id();
    let start = || {
        let tty = Tty::start("--attach --only --interval 100ms", 24, 100, &[]);
        tty.shows("Attach to which PID?");
        let row = tty.text().lines().find(|line| line.trim_start().starts_with(&own.to_string())).map(str::to_owned);
        assert!(row.is_some_and(|row| row.trim_end().ends_with("9900")), "{}", tty.text());
        tty
    };
    let mut tty = start();
    tty.press("99999999\r");
    tty.shows("99999999 is not in the list");
    tty.press(&format!("{own}\r"));
    tty.shows("WATCHING");
    tty.shows("127.0.0.1:9900");
    tty.press("q");
    assert_eq!(tty.ended().exit_code(), 0);
    tty.is_restored();
    // Nothing is chosen.
    let mut tty = start();
    tty.press("\r");
    assert_eq!(tty.ended().exit_code(), 2);
    tty.shows("give the number of one, or several with commas");
    drop(listener);
}

#[test]
fn on_a_terminal_it_is_asked_which_process_of_a_name_is_meant() {
    require!(Root);
    own_processes!();
    let name = Home::path().join("c1mt-picked");
    std::fs::copy("/bin/sleep", &name).unwrap();
    let sleepers = [0; 2].map(|_| Started::become_program(std::process::Command::new(&name).arg("600"), "c1mt-picked"));
    let mut tty = Tty::start("--attach c1mt-picked --interval 100ms", 24, 100, &[]);
    tty.shows("Attach to which PID?");
    for sleeper in &sleepers {
        let row = |line: &str| line.split_whitespace().next() == Some(&sleeper.id().to_string());
        assert!(tty.text().lines().any(row), "{}", tty.text());
    }
    let chosen = sleepers[1].id();
    tty.press(&format!("{chosen}\r"));
    tty.shows("WATCHING");
    tty.shows(&format!("c1mt-picked {chosen}"));
    tty.press("q");
    assert_eq!(tty.ended().exit_code(), 0);
    tty.is_restored();
}

/// No engine is left.
pub(super) fn engines_end(engines: Engines) {
    for pid in [engines.server.unwrap(), engines.client.unwrap()] {
        wait_until("the end of an engine", || (!is_running(pid)).then_some(()));
    }
}

#[test]
fn climbs_holds_helps_and_leaves_a_clean_terminal() {
    own_namespace!();
    let mut tty = Tty::start(WHOLE, 40, 120, &[]);
    tty.shows("RAMPING");
    tty.shows("of 5,000");
    assert!(tty.seen.lock().unwrap().screen.screen().alternate_screen());
    assert!(tty.stty().contains("-icanon"), "keys are read one by one");
    let engines = tty.engines();
    tty.shows("HOLDING");
    tty.shows("100.0 %");
    tty.press("?");
    tty.shows("Keys and words");
    tty.press("?");
    tty.press("q");
    assert_eq!(tty.ended().exit_code(), 0);
    tty.is_restored();
    // After the dashboard, on the main screen: what was going to happen, and what the run came to.
    tty.shows("Opening 5,000 connections to 127.0.0.1:");
    tty.shows("Changes no system setting.");
    tty.shows("c1m-top: the target was reached");
    tty.shows("  connections ");
    assert!(!tty.text().contains("HOLDING"), "{}", tty.text());
    engines_end(engines);
}

#[test]
fn keys_pause_and_resume_the_ramp() {
    own_namespace!();
    let mut tty = Tty::start("--server --client 127.0.0.1 9900 --target 1m --rate 500 --interval 100ms", 40, 120, &[]);
    tty.shows("RAMPING");
    let mut client = Control::connect(tty.engines().client.unwrap()).unwrap();
    tty.press("p");
    tty.shows("PAUSED");
    tty.press("p");
    tty.shows("RAMPING");
    tty.press("+");
    wait_until("a higher rate", || (client.stats().rate_limit == Some(1_000)).then_some(()));
    tty.press("-");
    wait_until("the rate before", || (client.stats().rate_limit == Some(500)).then_some(()));
    // Ctrl-C is a key in raw mode.
    tty.press("\u{3}");
    assert_eq!(tty.ended().exit_code(), 0);
    tty.is_restored();
}

#[test]
fn a_second_terminal_pauses_and_resumes_the_run() {
    own_namespace!();
    let run = Run::start("--server --client 127.0.0.1 9900 --target 1m --rate 500 --interval 100ms");
    let engines = run.engines(true, true);
    let mut client = Control::connect(engines.client.unwrap()).unwrap();
    let mut tty = Tty::start(&format!("--attach {} --interval 100ms", run.pid()), 40, 120, &[]);
    tty.shows("RAMPING");
    tty.press("p");
    wait_until("the pause", || (client.stats().phase == Phase::Paused).then_some(()));
    tty.shows("PAUSED");
    tty.press("p");
    wait_until("the ramp going on", || (client.stats().phase == Phase::Ramping).then_some(()));
    tty.shows("RAMPING");
    tty.press("q");
    assert_eq!(tty.ended().exit_code(), 0);
    tty.is_restored();
    assert!(is_running(run.pid()) && is_running(engines.client.unwrap()), "leaving does not end the run");
}

#[test]
fn fits_any_size_it_is_given() {
    own_namespace!();
    let mut tty = Tty::start(WHOLE, 40, 120, &[]);
    tty.shows("HOLDING");
    // 1x1 is gone again before it can be looked at.
    for (rows, cols) in [(12, 40), (24, 80), (1, 1), (24, 80), (1, 1), (40, 120), (60, 200)] {
        tty.resize(rows, cols);
        if rows > 1 {
            tty.shows("5,000");
        }
    }
    tty.shows("HOLDING");
    tty.press("q");
    assert_eq!(tty.ended().exit_code(), 0);
    tty.is_restored();
}

#[test]
fn signals_restore_the_terminal() {
    own_namespace!();
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
        let mut tty = Tty::start(WHOLE, 40, 120, &[]);
        tty.shows("RAMPING");
        let engines = tty.engines();
        sys::kill(tty.pid(), signal).unwrap();
        tty.ended();
        tty.is_restored();
        engines_end(engines);
    }
}

#[test]
fn a_terminal_that_vanishes_ends_program_and_engines() {
    own_namespace!();
    let mut tty = Tty::start(WHOLE, 40, 120, &[]);
    tty.shows("RAMPING");
    let engines = tty.engines();
    // Every copy of the master goes; the reader's with the next frame.
    tty.seen.lock().unwrap().leave = true;
    tty.reader.take().unwrap().join().unwrap();
    (tty.slave, tty.keys, tty.master) = (None, None, None);
    tty.ended();
    engines_end(engines);
}

#[test]
fn an_engine_that_dies_stays_on_the_screen_and_ends_with_4() {
    own_namespace!();
    let mut tty = Tty::start(WHOLE, 40, 120, &[]);
    tty.shows("HOLDING");
    let engines = tty.engines();
    sys::kill(engines.client.unwrap(), libc::SIGKILL).unwrap();
    tty.shows("signal 9");
    tty.shows("at 5,000 connections");
    assert_eq!(tty.child.try_wait().unwrap().map(|s| s.exit_code()), None, "stays until somebody leaves");
    tty.press("q");
    assert_eq!(tty.ended().exit_code(), 4);
    tty.is_restored();
    engines_end(engines);
}

/// `ESC [ … m` with a parameter that sets a colour: 30 to 49 and 90 to 107 (ECMA-48, and the bright ones of xterm).
fn colours(raw: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(raw);
    let mut found = Vec::new();
    for sequence in text.split("\u{1b}[").skip(1) {
        let end = sequence.find(|c: char| !(c.is_ascii_digit() || c == ';' || c == ':')).unwrap_or(sequence.len());
        if !sequence[end..].starts_with('m') {
            continue;
        }
        let sets = |p: &str| p.parse::<u32>().is_ok_and(|n| matches!(n, 30..=38 | 40..=48 | 90..=107));
        if sequence[..end].split([';', ':']).any(sets) {
            found.push(sequence[..end].to_owned());
        }
    }
    found
}

#[test]
fn a_dumb_terminal_gets_lines() {
    own_namespace!();
    let options = "--server --client 127.0.0.1 9900 --target 500 --interval 100ms --hold 500ms";
    let mut tty = Tty::start(options, 40, 120, &[("TERM", "dumb")]);
    assert_eq!(tty.ended().exit_code(), 0);
    tty.shows("c1m-top: the target was reached");
    let seen = tty.seen.lock().unwrap();
    assert!(!seen.raw.contains(&0x1b), "{}", String::from_utf8_lossy(&seen.raw));
}

#[test]
fn no_color_means_no_colour() {
    own_namespace!();
    for (env, wanted) in [(&[("NO_COLOR", "1")][..], false), (&[][..], true)] {
        let mut tty = Tty::start(WHOLE, 40, 120, env);
        tty.shows("HOLDING");
        tty.press("q");
        tty.ended();
        tty.is_restored();
        let colours = colours(&tty.seen.lock().unwrap().raw);
        assert_eq!(!colours.is_empty(), wanted, "{colours:?}");
    }
}

/// Whether a process is stopped by a signal.
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

#[test]
fn a_stop_gives_the_terminal_back_and_a_continuation_takes_it_again() {
    own_namespace!();
    let mut tty = Tty::start(WHOLE, 40, 120, &[]);
    tty.shows("HOLDING");
    let engines = tty.engines();
    for by_key in [true, false] {
        if by_key {
            tty.press("\u{1a}");
        } else {
            sys::kill(tty.pid(), libc::SIGTSTP).unwrap();
        }
        wait_until("the stop", || is_stopped(tty.pid()).then_some(()));
        tty.is_restored();
        assert!(is_running(engines.client.unwrap()) && !is_stopped(engines.client.unwrap()), "the engines go on");
        sys::kill(tty.pid(), libc::SIGCONT).unwrap();
        tty.shows("HOLDING");
        wait_until("the screen taken again", || {
            let raw = tty.stty().contains("-icanon");
            (raw && tty.seen.lock().unwrap().screen.screen().alternate_screen()).then_some(())
        });
    }
    tty.press("?");
    tty.shows("Keys and words");
    // The help is closed by the first, and nothing is left for the second: it ends no run.
    tty.press("\u{1b}");
    wait_until("the help gone", || (!tty.text().contains("Everything at a glance")).then_some(()));
    tty.press("\u{1b}");
    tty.press("4");
    tty.shows("opened so far");
    tty.press("q");
    assert_eq!(tty.ended().exit_code(), 0);
    tty.is_restored();
    engines_end(engines);
}

#[test]
fn quitting_asks_where_it_would_close_many() {
    own_namespace!();
    let mut tty = Tty::start("--server --client 127.0.0.1 9900 --target 12k --interval 100ms", 40, 120, &[]);
    tty.shows("HOLDING");
    tty.press("q");
    tty.shows("Quit and close all 12,000 connections?");
    tty.press("n");
    wait_until("the question gone", || (!tty.text().contains("Quit and close")).then_some(()));
    tty.shows("HOLDING");
    tty.press("q");
    tty.shows("Quit and close all");
    tty.press("y");
    assert_eq!(tty.ended().exit_code(), 0);
    tty.is_restored();
}
