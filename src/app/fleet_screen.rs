//! The fleet's screen, and on it the own screens of the worker that is opened: its eyes look and give the commands, this draws.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, sync_channel};
use std::time::{Duration, Instant};

use signal_hook::consts::SIGTSTP;

use super::fleet_eyes::{self, Ask, Seen};
use super::message::{self, Caught};
use super::{Failure, controller, fleet, no_thread, screen};
use crate::cli::ScreenArgs;
use crate::config::Config;
use crate::fleet::{FleetCommand, FleetView, Looker, StoreError};
use crate::model::{Model, RunPhase};
use crate::sample::Absent;
use crate::sys;
use crate::ui::{self, Action, Board, Charset, Input, Remote, Terminal, Theme, View, Wake};
use crate::units::{self, whole};

/// Connections per second; `None` is as fast as it goes.
type Rate = Option<u64>;

/// What comes to the loop.
#[derive(Debug)]
enum Come {
    Input(Input),
    Signal(i32),
    /// What the eyes see.
    Seen(Seen),
}

impl From<Input> for Come {
    fn from(input: Input) -> Self {
        Come::Input(input)
    }
}

impl From<Seen> for Come {
    fn from(seen: Seen) -> Self {
        Come::Seen(seen)
    }
}

impl From<Caught> for Come {
    fn from(caught: Caught) -> Self {
        Come::Signal(caught.0)
    }
}

/// A worker that sends nothing for so long is late with it.
const LATE: Duration = Duration::from_secs(5);

/// The screen, and what it is drawn on.
struct Shown {
    terminal: Option<Terminal>,
    /// Has the loop draw again once the terminal is free.
    wake: Wake,
    board: Board,
    theme: Theme,
    dirty: bool,
    /// The rate that was asked for from here.
    asked_rate: Option<Rate>,
    ask: Sender<Ask>,
    /// The worker that is followed.
    followed: Option<String>,
    /// Its own screens, once its run has come.
    worker: Option<Worker>,
    /// How these begin.
    fresh: View,
}

/// A worker's own screens.
struct Worker {
    model: Box<Model>,
    /// When that came.
    come: Instant,
    view: View,
    /// What people call it.
    name: String,
    /// The moment that is looked at, milliseconds since its dashboard started.
    sought: Option<u64>,
}

/// Shows the fleet until the viewer leaves; the exit status, that of the verdict if the run is over.
pub(super) fn show(looker: Looker, last: bool, args: &ScreenArgs) -> Result<u8, Failure> {
    let config = Config::of_user(|name| std::env::var_os(name)).map_err(Failure::Usage)?;
    let failed = |e: io::Error| no_thread::failure("the fleet's screen", &e);
    let (to, come) = sync_channel::<Come>(64);
    message::catch_signals(to.clone()).map_err(failed)?;
    let theme = screen::theme(args, &config, |name| std::env::var(name).ok());
    let mouse = args.mouse || config.mouse.unwrap_or(false);
    let token = fleet::token();
    let board = Board::new(looker.shown(), token.is_some()).with_keys(config.keys.clone());
    let ascii = theme.charset == Charset::Ascii;
    let board = board.with(mouse, ascii);
    let waker = to.clone();
    // A loop that has so much to do will draw anyway.
    let wake: Wake = Arc::new(move || _ = waker.try_send(Input::Free.into()));
    let mut terminal = Terminal::enter(Arc::clone(&wake)).map_err(failed)?;
    if mouse {
        terminal.mouse(true).map_err(failed)?;
    }
    ui::input::spawn(to.clone()).map_err(failed)?;
    let ask = fleet_eyes::open(looker, last, token, to).map_err(failed)?;
    let terminal = Some(terminal);
    let fresh = View::new().on(config.view.unwrap_or_default()).with_keys(config.keys).with(mouse, ascii);
    let (followed, worker) = (None, None);
    let mut shown = Shown { terminal, wake, board, theme, dirty: true, asked_rate: None, ask, followed, worker, fresh };
    let ended = shown.run(&come);
    shown.terminal = None;
    ended?;
    let over = shown.board.view().filter(|view| view.is_over());
    Ok(over.map_or(0, |view| view.verdict.status()))
}

impl Shown {
    fn run(&mut self, come: &Receiver<Come>) -> Result<(), Failure> {
        let failed = |e: io::Error| Failure::Internal(format!("terminal: {e}"));
        loop {
            self.draw().map_err(failed)?;
            let Ok(first) = come.recv() else { return Ok(()) };
            let mut next = Some(first);
            while let Some(message) = next {
                if let Come::Seen(Seen::Fleet(Err(e @ StoreError::Unusable(_)))) = &message
                    && self.board.view().is_none()
                {
                    return Err(Failure::Usage(format!("the store {}: {e}", self.board.place())));
                }
                if self.take(message).map_err(failed)? {
                    return Ok(());
                }
                next = come.try_recv().ok();
            }
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let Some(terminal) = self.terminal.as_mut().filter(|_| self.dirty) else { return Ok(()) };
        let drawn = terminal.draw(|frame| {
            self.board.fit(frame.area());
            match &mut self.worker {
                Some(worker) => {
                    worker.view.fit(frame.area());
                    ui::draw(frame, &worker.model, &worker.view, self.theme);
                }
                None => ui::draw_fleet(frame, &self.board, self.theme),
            }
        })?;
        self.dirty = !drawn;
        Ok(())
    }

    /// Takes what comes; whether it is the end.
    fn take(&mut self, come: Come) -> io::Result<bool> {
        self.dirty = true;
        match come {
            Come::Seen(seen) => self.see(seen),
            Come::Input(Input::Gone) => return Ok(true),
            Come::Input(Input::Resize) => self.terminal.as_mut().map_or(Ok(()), Terminal::repaint)?,
            Come::Input(Input::Mouse(mouse)) => {
                let action = match &mut self.worker {
                    Some(worker) => worker.view.on_mouse(mouse, &worker.model),
                    None => self.board.on_mouse(mouse),
                };
                return self.act(action);
            }
            Come::Input(Input::Key(key)) => {
                let action = match &mut self.worker {
                    Some(worker) => worker.view.on_key(key, &worker.model),
                    None => self.board.on_key(key),
                };
                return self.act(action);
            }
            Come::Input(_) => {}
            Come::Signal(SIGTSTP) => self.suspend()?,
            Come::Signal(_) => return Ok(true),
        }
        Ok(false)
    }

    /// Takes what the eyes see.
    fn see(&mut self, seen: Seen) {
        match seen {
            Seen::Fleet(Ok(view)) => self.board.take(view.map(|view| *view)),
            Seen::Fleet(Err(e)) => self.board.lose(&e.to_string()),
            Seen::Failed => self.board.lose("reading the store failed"),
            Seen::Given(Err(e)) => self.board.say(format!("command not sent: {e}")),
            Seen::Run(id, model) if self.followed.as_ref() == Some(&id) => match &mut self.worker {
                Some(worker) => (worker.model, worker.come) = (model, Instant::now()),
                // What is being typed is not for it; it comes again in a moment.
                None if self.board.is_asking() => {}
                None => {
                    let view = self.fresh.clone();
                    self.worker = Some(Worker { model, come: Instant::now(), view, name: String::new(), sought: None });
                }
            },
            // A command was given; or the run is that of another, which was closed meanwhile.
            Seen::Given(Ok(())) | Seen::Run(..) => {}
            Seen::Then(at, then) => {
                if let Some(worker) = self.worker.as_mut().filter(|worker| worker.sought == Some(at)) {
                    worker.view.show_past(then);
                }
            }
        }
        self.follow();
        self.name_worker();
    }

    /// Does what a key asks for; whether it is the end.
    fn act(&mut self, action: Option<Action>) -> io::Result<bool> {
        match action {
            Some(Action::Quit) => return Ok(true),
            Some(Action::Suspend) => self.suspend()?,
            Some(Action::Theme(palette)) => self.theme.palette = palette,
            Some(Action::Copy(text)) => self.terminal.as_mut().map_or(Ok(()), |terminal| terminal.copy(&text))?,
            Some(Action::Leave) => self.board.close(),
            Some(Action::Seek(to)) => self.seek(to),
            Some(Action::Peers(port)) => self.refuse_peers(port),
            Some(Action::Mouse(on)) => {
                self.board.set_mouse(on);
                self.fresh = self.fresh.clone().with(on, self.theme.charset == Charset::Ascii);
                self.terminal.as_mut().map_or(Ok(()), |terminal| terminal.mouse(on))?;
            }
            Some(action) => self.drive(&action),
            None => {}
        }
        self.follow();
        Ok(false)
    }

    /// Follows the worker that is opened, and no other.
    fn follow(&mut self) {
        let opened = self.board.opened().map(str::to_owned);
        if opened != self.followed {
            self.followed.clone_from(&opened);
            self.worker = None;
            // The thread that looks has gone only with the program.
            let _ = self.ask.send(Ask::Follow(opened));
        }
    }

    /// Which worker it is, and whether what is shown of it is old.
    fn name_worker(&mut self) {
        let Some(worker) = &mut self.worker else { return };
        let row = self.board.opened_row();
        if let Some(row) = row {
            worker.name = row.state.who.name();
        }
        // A run that takes few samples sends few.
        let late = LATE.max(Duration::from_millis(3 * worker.model.setup().interval_ms));
        let late = (worker.come.elapsed() > late)
            .then(|| format!("no news for {}", units::seconds(worker.come.elapsed().as_secs_f64())));
        let old = row.map_or(Some("gone".to_owned()), |row| self.board.trouble_of(row).or(late));
        worker.view.look_at(Remote { name: worker.name.clone(), old });
    }

    /// Shows the opened worker's run as it was at a moment; `None` is now.
    fn seek(&mut self, to: Option<u64>) {
        let Some(worker) = &mut self.worker else { return };
        worker.sought = to;
        if to.is_none() {
            worker.view.show_past(None);
        }
        let _ = self.ask.send(Ask::Moment(to));
    }

    /// Sockets are counted by who is there.
    fn refuse_peers(&mut self, port: u16) {
        let Some(worker) = &mut self.worker else { return };
        let why = Absent::because("who is connected can be counted only on that host: start c1m-top --attach there");
        worker.view.peers_told(port, Err(why), &worker.model);
    }

    /// Gives the fleet a command.
    fn drive(&mut self, action: &Action) {
        let Some(view) = self.board.view() else { return };
        let of = view.divided_by();
        let (command, said) = match *action {
            Action::PauseToggle if is_paused(view) => (FleetCommand::Resume, "told every client to resume".to_owned()),
            Action::PauseToggle => (FleetCommand::Pause, "told every client to pause".to_owned()),
            Action::Close => (FleetCommand::Close, "told every client to close".to_owned()),
            Action::Rate(per_s) => rate(per_s, of),
            Action::RateUp | Action::RateDown => {
                let limits = view.clients().map(|row| row.state.rate_limit);
                let asked = self.asked_rate.unwrap_or_else(|| limits.sum());
                let now = asked.unwrap_or_else(|| whole(view.totals.rate_per_s.max(0.0)));
                let up = *action == Action::RateUp;
                if now == 0 || up && asked.is_none() {
                    return self.board.say("there is no rate limit; :rate 200k sets one");
                }
                rate(controller::step(now, up), of)
            }
            Action::Target(connections) => {
                let said = format!("told the clients: target {}", units::grouped(connections));
                (FleetCommand::Target { connections, of }, said)
            }
            _ => return,
        };
        if let Some(why) = fleet::refuse(&command, view.clients().count()) {
            return self.board.say(why);
        }
        if let FleetCommand::Rate { per_s, .. } = command {
            self.asked_rate = Some(per_s);
        }
        // The thread that gives it has gone only with the program.
        let _ = self.ask.send(Ask::Give(command));
        self.board.say(said);
    }

    /// Gives the terminal back, stops, and takes it again once the program is continued.
    fn suspend(&mut self) -> io::Result<()> {
        self.terminal = None;
        let stopped = sys::stop_self();
        let mut terminal = Terminal::enter(Arc::clone(&self.wake))?;
        if self.board.has_mouse() {
            terminal.mouse(true)?;
        }
        self.terminal = Some(terminal);
        stopped
    }
}

/// Whether a client that hears of it is to go on.
fn is_paused(view: &FleetView) -> bool {
    view.clients().any(|row| row.state.phase == RunPhase::Paused)
}

/// The fleet's rate, and what is said of it.
fn rate(per_s: Rate, of: u64) -> (FleetCommand, String) {
    let said = per_s.map_or_else(|| "no rate limit".to_owned(), |rate| format!("at most {}/s", units::grouped(rate)));
    (FleetCommand::Rate { per_s, of }, format!("told the clients: {said} in all"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{LOST_MS, Stage, WorkerState};

    #[test]
    fn a_client_that_hears_nothing_does_not_say_what_the_key_does() {
        let now_us = 60_000_000;
        let paused =
            WorkerState { at_us: now_us, stage: Stage::Running, phase: RunPhase::Paused, ..WorkerState::default() };
        let ramping = WorkerState { phase: RunPhase::Ramping, ..paused.clone() };
        let beside =
            |other: &WorkerState| is_paused(&FleetView::of("night", now_us, vec![ramping.clone(), other.clone()]));
        assert!(beside(&paused));
        assert!(!beside(&WorkerState { at_us: now_us - LOST_MS * 1000, ..paused.clone() }), "lost");
        assert!(!beside(&WorkerState { stage: Stage::Left, ..paused }));
    }
}
