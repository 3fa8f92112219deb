//! The fleet's screen: a thread looks at the store once a second and gives the commands, this one draws.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use signal_hook::consts::SIGTSTP;

use super::message::{self, Caught};
use super::{Failure, controller, fleet, no_thread, screen};
use crate::cli::ScreenArgs;
use crate::config::Config;
use crate::fleet::{FleetCommand, FleetView, Looker, StoreError, Token};
use crate::model::RunPhase;
use crate::sys;
use crate::ui::{self, Action, Board, Charset, Input, Terminal, Theme, Wake};
use crate::units::{self, whole};

/// Connections per second; `None` is as fast as it goes.
type Rate = Option<u64>;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// What comes to the loop.
#[derive(Debug)]
enum Come {
    Input(Input),
    Signal(i32),
    /// The fleet as it is now.
    Seen(Result<Option<Box<FleetView>>, StoreError>),
    /// A command has been given, or why not.
    Given(Result<(), StoreError>),
}

impl From<Input> for Come {
    fn from(input: Input) -> Self {
        Come::Input(input)
    }
}

impl From<Caught> for Come {
    fn from(caught: Caught) -> Self {
        Come::Signal(caught.0)
    }
}

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
    orders: Sender<FleetCommand>,
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
    let board = Board::new(looker.shown(), token.is_some()).with_keys(config.keys);
    let board = board.with(mouse, theme.charset == Charset::Ascii);
    let waker = to.clone();
    // A loop that has so much to do will draw anyway.
    let wake: Wake = Arc::new(move || _ = waker.try_send(Input::Free.into()));
    let (orders, given) = channel();
    let mut terminal = Terminal::enter(Arc::clone(&wake)).map_err(failed)?;
    if mouse {
        terminal.mouse(true).map_err(failed)?;
    }
    ui::input::spawn(to.clone()).map_err(failed)?;
    let eyes = thread::Builder::new().name("fleet".into());
    eyes.spawn(move || look(looker, last, token.as_ref(), &to, &given)).map_err(failed)?;
    let terminal = Some(terminal);
    let mut shown = Shown { terminal, wake, board, theme, dirty: true, asked_rate: None, orders };
    let ended = shown.run(&come);
    shown.terminal = None;
    ended?;
    let over = shown.board.view().filter(|view| view.is_over());
    Ok(over.map_or(0, |view| view.verdict.status()))
}

/// Looks once a second, and at once after a command, until nobody wants to know any more.
fn look(mut looker: Looker, last: bool, token: Option<&Token>, to: &SyncSender<Come>, given: &Receiver<FleetCommand>) {
    loop {
        let seen = looker.look(last).map(|view| view.map(Box::new));
        if to.send(Come::Seen(seen)).is_err() {
            return;
        }
        match given.recv_timeout(LOOK) {
            Ok(command) => {
                let Some(token) = token else { continue };
                if to.send(Come::Given(looker.command(token, command))).is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

impl Shown {
    fn run(&mut self, come: &Receiver<Come>) -> Result<(), Failure> {
        let failed = |e: io::Error| Failure::Internal(format!("terminal: {e}"));
        loop {
            self.draw().map_err(failed)?;
            let Ok(first) = come.recv() else { return Ok(()) };
            let mut next = Some(first);
            while let Some(message) = next {
                if let Come::Seen(Err(e @ StoreError::Unusable(_))) = &message
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
            ui::draw_fleet(frame, &self.board, self.theme);
        })?;
        self.dirty = !drawn;
        Ok(())
    }

    /// Takes what comes; whether it is the end.
    fn take(&mut self, come: Come) -> io::Result<bool> {
        self.dirty = true;
        match come {
            Come::Seen(Ok(view)) => self.board.take(view.map(|view| *view)),
            Come::Seen(Err(e)) => self.board.lose(&e.to_string()),
            Come::Given(Err(e)) => self.board.say(format!("not given: {e}")),
            Come::Input(Input::Gone) => return Ok(true),
            Come::Input(Input::Resize) => self.terminal.as_mut().map_or(Ok(()), Terminal::repaint)?,
            Come::Input(Input::Mouse(mouse)) => {
                let action = self.board.on_mouse(mouse);
                return self.act(action);
            }
            Come::Input(Input::Key(key)) => {
                let action = self.board.on_key(key);
                return self.act(action);
            }
            Come::Given(Ok(())) | Come::Input(_) => {}
            Come::Signal(SIGTSTP) => self.suspend()?,
            Come::Signal(_) => return Ok(true),
        }
        Ok(false)
    }

    /// Does what a key asks for; whether it is the end.
    fn act(&mut self, action: Option<Action>) -> io::Result<bool> {
        match action {
            Some(Action::Quit) => return Ok(true),
            Some(Action::Suspend) => self.suspend()?,
            Some(Action::Theme(palette)) => self.theme.palette = palette,
            Some(Action::Mouse(on)) => self.terminal.as_mut().map_or(Ok(()), |terminal| terminal.mouse(on))?,
            Some(action) => self.drive(&action),
            None => {}
        }
        Ok(false)
    }

    /// Gives the fleet a command.
    fn drive(&mut self, action: &Action) {
        let Some(view) = self.board.view() else { return };
        let of = view.totals.target.unwrap_or(0);
        let clients = || view.rows.iter().filter(|row| row.state.who.role.connects());
        let (command, said) = match *action {
            Action::PauseToggle if clients().any(|row| row.state.phase == RunPhase::Paused) => {
                (FleetCommand::Resume, "told every client to go on".to_owned())
            }
            Action::PauseToggle => (FleetCommand::Pause, "told every client to pause".to_owned()),
            Action::Close => (FleetCommand::Close, "told every client to close".to_owned()),
            Action::Rate(per_s) => rate(per_s, of),
            Action::RateUp | Action::RateDown => {
                let limits = clients().map(|row| row.state.rate_limit);
                let asked = self.asked_rate.unwrap_or_else(|| limits.sum());
                let now = asked.unwrap_or_else(|| whole(view.totals.rate_per_s.max(0.0)));
                let up = *action == Action::RateUp;
                if now == 0 || up && asked.is_none() {
                    return self.board.say("as fast as it goes; :rate 200k sets a rate");
                }
                rate(controller::step(now, up), of)
            }
            Action::Target(connections) => {
                let said = format!("told the clients to aim at {}", units::grouped(connections));
                (FleetCommand::Target { connections, of }, said)
            }
            _ => return,
        };
        if command.has_no_base() {
            return self.board.say(fleet::NO_BASE);
        }
        if let FleetCommand::Rate { per_s, .. } = command {
            self.asked_rate = Some(per_s);
        }
        // The thread that gives it has gone only with the program.
        let _ = self.orders.send(command);
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

/// The fleet's rate, and what is said of it.
fn rate(per_s: Rate, of: u64) -> (FleetCommand, String) {
    let said =
        per_s.map_or_else(|| "as fast as it goes".to_owned(), |rate| format!("at most {}/s", units::grouped(rate)));
    (FleetCommand::Rate { per_s, of }, format!("told the clients: {said} in all"))
}
