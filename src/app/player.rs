//! `c1m-top replay` on a terminal: the same screens, over a run that has been.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, sync_channel};
use std::time::{Duration, Instant};

use signal_hook::consts::SIGTSTP;

use super::message::{self, Message};
use super::screen::Screen;
use super::{Failure, no_thread, past};
use crate::cli::ReplayArgs;
use crate::config::Config;
use crate::model::Model;
use crate::record::Recording;
use crate::sample::Absent;
use crate::ui::{Action, Input, Playing};

/// Time between two pictures of a run that plays.
const PICTURE: Duration = Duration::from_millis(200);
/// How fast it can be played.
const SPEEDS: [u64; 9] = [1, 2, 5, 10, 30, 60, 300, 1000, 3600];
/// What is said of a command that drives engines.
const OVER: &str = "this is a replay: the run is over and takes no commands";

/// A run that is replayed.
struct Player {
    screen: Screen,
    /// The run as far as it is known.
    model: Box<Model>,
    whole: bool,
    /// Where it is, milliseconds since the dashboard started; `None` is the end.
    at: Option<u64>,
    running: bool,
    speed: usize,
    ask: Sender<u64>,
    /// A moment has been asked for, and which.
    asked: Option<u64>,
}

/// Shows it until the user leaves.
pub(super) fn play(args: &ReplayArgs, recording: Recording) -> Result<(), Failure> {
    let config = Config::of_user(|name| std::env::var_os(name)).map_err(Failure::Usage)?;
    let failed = |e: io::Error| no_thread::failure("the replay", &e);
    let (to, messages) = sync_channel::<Message>(64);
    message::catch_signals(to.clone()).map_err(failed)?;
    let (start, _) = recording.span_ms();
    let mut model = Box::new(Model::new(recording.header().setup.clone()));
    model.disown();
    let screen = Screen::open(&args.screen, config, to.clone()).map_err(failed)?;
    let (ask, thread) = past::read(recording, to.clone()).map_err(failed)?;
    message::report_panic(thread, to, Message::ThreadFailed);
    let mut player = Player { screen, model, whole: false, at: Some(start), running: true, speed: 0, ask, asked: None };
    player.go(Some(start));
    player
        .screen
        .say("Space plays and stops, comma plays slower, full stop faster; the arrows and : move through time");
    let ended = player.run(&messages);
    player.screen.close();
    ended
}

impl Player {
    fn run(&mut self, messages: &Receiver<Message>) -> Result<(), Failure> {
        let terminal = |e: io::Error| Failure::Internal(format!("terminal: {e}"));
        let mut last = Instant::now();
        loop {
            self.screen.draw(&self.model).map_err(terminal)?;
            let wait = if self.running { PICTURE.saturating_sub(last.elapsed()) } else { Duration::from_hours(1) };
            let mut next = match messages.recv_timeout(wait) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            while let Some(message) = next {
                if self.take(message).map_err(terminal)? {
                    return Ok(());
                }
                next = messages.try_recv().ok();
            }
            if !self.running {
                last = Instant::now();
            } else if last.elapsed() >= PICTURE {
                let passed = u64::try_from(last.elapsed().as_millis()).unwrap_or(0);
                last = Instant::now();
                self.play_on(passed);
            }
        }
    }

    /// So much time has passed.
    fn play_on(&mut self, passed_ms: u64) {
        // An answer that takes longer than a picture is waited for: what is shown is what was asked for.
        if self.asked.is_some() {
            return;
        }
        let end = self.model.now().t_ms;
        let to = self.at.unwrap_or(end).saturating_add(passed_ms * SPEEDS[self.speed]);
        if to < end {
            self.go(Some(to));
        } else if self.whole {
            self.running = false;
            self.go(None);
        }
    }

    /// Goes to a moment; `None` is the end.
    fn go(&mut self, to: Option<u64>) {
        self.at = to;
        if let Some(t_ms) = to {
            self.asked = Some(t_ms);
            if self.ask.send(t_ms).is_err() {
                self.reading_failed();
            }
        } else {
            self.asked = None;
        }
        self.show();
    }

    /// The thread that reads the recording has gone: what is shown stays.
    fn reading_failed(&mut self) {
        (self.asked, self.running) = (None, false);
        self.screen.fail("reading the recording has failed; these are the last figures read");
    }

    fn show(&mut self) {
        let playing = Playing { running: self.running, speed: SPEEDS[self.speed], whole: self.whole };
        self.screen.play(self.at, playing);
    }

    /// Takes what comes; whether it is the end.
    fn take(&mut self, message: Message) -> io::Result<bool> {
        match message {
            Message::Past(t_ms, past) if self.asked == Some(t_ms) => {
                self.asked = None;
                self.screen.past(past);
            }
            Message::Known(model, whole) => {
                (self.model, self.whole) = (model, whole);
                self.model.disown();
                self.show();
            }
            Message::Input(Input::Gone) => return Ok(true),
            Message::Input(Input::Resize) => self.screen.resized()?,
            Message::Input(Input::Mouse(mouse)) => {
                let action = self.screen.mouse(mouse, &self.model);
                return self.act(action);
            }
            Message::Input(Input::Key(key)) => {
                let action = self.screen.key(key, &self.model);
                return self.act(action);
            }
            Message::Input(_) => self.screen.dirty(),
            Message::Signal(SIGTSTP) => self.screen.suspend()?,
            Message::Signal(_) => return Ok(true),
            Message::ThreadFailed => {
                self.reading_failed();
                self.show();
            }
            Message::Past(..) | Message::Report(_) | Message::Peers(..) | Message::Metrics(_) | Message::Fleet(_) => {}
        }
        Ok(false)
    }

    /// Plays, or stops.
    fn toggle(&mut self) {
        self.running = !self.running;
        if self.running && self.at.is_none() {
            // From the end there is nowhere to go but to the beginning.
            self.go(Some(self.model.timespan().map_or(0, |(start, _)| start)));
        }
        self.show();
    }

    /// Plays at this speed, one of `SPEEDS`.
    fn play_at(&mut self, speed: usize) {
        self.speed = speed.min(SPEEDS.len() - 1);
        self.show();
    }

    fn act(&mut self, action: Option<Action>) -> io::Result<bool> {
        self.screen.dirty();
        match action {
            None | Some(Action::Redraw) => {}
            Some(Action::Quit) => return Ok(true),
            Some(Action::PlayToggle) => self.toggle(),
            Some(Action::Faster) => self.play_at(self.speed + 1),
            Some(Action::Slower) => self.play_at(self.speed.saturating_sub(1)),
            Some(Action::Suspend) => self.screen.suspend()?,
            Some(Action::Seek(to)) => {
                // Whoever goes somewhere wants to look at it.
                self.running = false;
                self.go(to);
            }
            Some(action @ (Action::Copy(_) | Action::Mouse(_) | Action::Theme(_))) => self.screen.terminal(action)?,
            Some(Action::Peers(port)) => {
                let why = Absent::because("who was connected is not recorded");
                self.screen.peers(port, Err(why), &self.model);
            }
            Some(_) => self.screen.say(OVER),
        }
        Ok(false)
    }
}
