//! One loop for every output: reports come in, the model is updated, the controller decides, an output shows.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;

use super::advise::Tuned;
use super::child::Engine;
use super::controller::{Controller, Step};
use super::lines::{Lines, Unwritten};
use super::screen::Screen;
use super::setup::{self, Ready};
use super::watcher::{self, Handle, Order, Report};
use super::{Failure, plan, summary_text};
use crate::cli::{Output, RunArgs};
use crate::engine::main_loop::LAST_CLOSE;
use crate::limits::fin_forecast;
use crate::model::{Cause, Model, Severity, Summary, Verdict};
use crate::protocol::{CloseMode, Command};
use crate::ui::{Action, Input};

/// Messages that wait for the loop. The probe thread blocks when it is full, which is right: nobody looks.
const CHANNEL: usize = 64;

/// How long an engine may take to end once told to. Its sockets are closed by then, as a rule.
const PATIENCE: Duration = Duration::from_secs(3);

/// The same where the program leaves at once: the engine still resets what it can, and a terminal that has gone ends all within
/// a second.
const HASTE: Duration = LAST_CLOSE.saturating_add(Duration::from_millis(200));

/// What comes to the loop.
#[derive(Debug)]
pub(super) enum Message {
    /// From the probe thread.
    Report(Report),
    /// From the terminal.
    Input(Input),
    /// A signal.
    Signal(i32),
    /// The probe thread has ended, in a panic.
    ProbeFailed,
}

impl From<Report> for Message {
    fn from(report: Report) -> Self {
        Message::Report(report)
    }
}

impl From<Input> for Message {
    fn from(input: Input) -> Self {
        Message::Input(input)
    }
}

/// Where the run is shown.
enum View {
    Screen(Box<Screen>),
    Lines(Lines),
}

/// What ends the loop.
enum End {
    /// The run is over.
    Over,
    /// Leave at once: the terminal has gone, or a second signal came.
    AtOnce,
}

struct Session {
    model: Model,
    controller: Controller,
    engines: Vec<Engine>,
    /// Engines attached to that have not said goodbye.
    attached: usize,
    /// Engines whose control connection has ended and whose status is not known yet.
    dying: Vec<u32>,
    probe: Handle,
    /// The model as it was when the first engine died: that stays on the screen, and not what falls apart after it.
    last_state: Option<Box<Model>>,
    view: View,
    interrupted: bool,
    /// A sample was ordered and has not come.
    asked: bool,
}

/// Runs what the command line asks for.
pub(super) fn run(args: &RunArgs) -> Result<Verdict, Failure> {
    let plan = plan::plan(args).map_err(Failure::Usage)?;
    let output = args.output.unwrap_or(if io::stdout().is_terminal() && args.output_file.is_none() {
        Output::Tui
    } else {
        Output::Text
    });
    if output == Output::Tui && !io::stdout().is_terminal() {
        return Err(Failure::Usage("--output tui needs a terminal; write --output text or json".into()));
    }
    let lines = match output {
        Output::Tui => None,
        other => Some(Lines::open(other == Output::Json, args.output_file.as_deref()).map_err(Failure::Usage)?),
    };
    let tuned = args.tune.then(|| Tuned::apply(args)).transpose()?;
    let interval = plan.interval;
    let Ready { engines, links, sampler, setup, terms, capacity } = setup::prepare(plan, output == Output::Tui)?;
    let (to, messages) = sync_channel::<Message>(CHANNEL);
    let failed = |e: io::Error| Failure::Internal(e.to_string());
    catch_signals(to.clone()).map_err(failed)?;
    let view = match lines {
        Some(lines) => View::Lines(lines),
        None => View::Screen(Box::new(Screen::open(args.marker, to.clone()).map_err(failed)?)),
    };
    let attached = if engines.is_empty() { links.len() } else { 0 };
    let (probe, thread) = watcher::start(sampler, links, interval, to.clone()).map_err(failed)?;
    report_panic(thread, to);
    let mut session = Session {
        model: Model::new(setup),
        controller: Controller::new(terms, Instant::now()),
        engines,
        attached,
        dying: Vec::new(),
        probe,
        last_state: None,
        view,
        interrupted: false,
        asked: false,
    };
    if let Some(sentence) = capacity {
        session.model.note(Severity::Info, "capacity", sentence);
    }
    for done in tuned.iter().flat_map(|t| &t.done) {
        let severity = if done.is_well() { Severity::Info } else { Severity::Warning };
        session.model.note(severity, &format!("tuned/{}", done.key), done.to_string());
    }
    let ended = session.run(&messages);
    session.leave(ended)
}

/// Turns signals into messages. SIGHUP is a terminal that has gone.
fn catch_signals(to: SyncSender<Message>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGWINCH])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            let message = if signal == SIGWINCH { Message::Input(Input::Resize) } else { Message::Signal(signal) };
            if to.send(message).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// Says so when the probe thread ends in a panic: the screen would otherwise just stand still.
fn report_panic(probe: thread::JoinHandle<()>, to: SyncSender<Message>) {
    // Without this thread a panic goes unnoticed, and nothing else depends on it.
    let _ = thread::Builder::new().name("probe-watch".into()).spawn(move || {
        if probe.join().is_err() {
            let _ = to.send(Message::ProbeFailed);
        }
    });
}

impl Session {
    fn run(&mut self, messages: &Receiver<Message>) -> Result<End, Failure> {
        self.show()?;
        loop {
            let wait = self.next_look();
            let first = match messages.recv_timeout(wait) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(End::AtOnce),
            };
            if first.is_none() {
                self.look(Instant::now());
            }
            // A burst is drained before anything is drawn.
            let mut next = first;
            while let Some(message) = next {
                if let Some(end) = self.take(message)? {
                    return Ok(end);
                }
                next = messages.try_recv().ok();
            }
            self.show()?;
        }
    }

    /// How long to wait for a message: until a hold or the duration is over, shortly while an engine is dying.
    fn next_look(&self) -> Duration {
        if self.asked {
            return Duration::from_secs(1);
        }
        let deadline = self.controller.deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let dying = (!self.dying.is_empty()).then_some(Duration::from_millis(100));
        deadline.into_iter().chain(dying).min().unwrap_or(Duration::from_hours(1)).max(Duration::from_millis(1))
    }

    /// Nothing came: a deadline has passed, or an engine is dying.
    fn look(&mut self, now: Instant) {
        let over = self.controller.deadline().is_some_and(|at| at <= now);
        let dead = self.dying.clone().into_iter().any(|pid| self.status(pid).is_some());
        if over || dead {
            // The decision is taken on a fresh sample.
            self.probe.give(Order::Sample);
            self.asked = true;
        }
    }

    fn take(&mut self, message: Message) -> Result<Option<End>, Failure> {
        match message {
            Message::Report(Report::Sample(sample)) => {
                self.asked = false;
                self.model.update(&sample);
                self.note_deaths();
                // Nobody else tells of the end of a process that is only watched.
                for target in sample.watched().filter(|t| t.engine.is_none() && !t.alive) {
                    self.model.note_death(&target.name, target.pid, Cause::Vanished);
                }
                if let View::Lines(lines) = &mut self.view {
                    match lines.sample(&mut self.model) {
                        Ok(()) => {}
                        Err(Unwritten::NobodyReads) => return Ok(Some(End::AtOnce)),
                        Err(Unwritten::Never(text)) => return Err(Failure::Usage(text)),
                        Err(Unwritten::Failed(text)) => return Err(Failure::Internal(text)),
                    }
                }
                let steps = self.controller.on_sample(&self.model, Instant::now());
                self.carry_out(steps)
            }
            Message::Report(Report::Gone { pid, bye: true }) if !self.is_own(pid) => {
                let name = self.name(pid);
                self.model.note(Severity::Info, &format!("ended/{name}"), format!("the {name} engine {pid} has ended"));
                self.redraw();
                self.attached = self.attached.saturating_sub(1);
                if self.attached > 0 {
                    return Ok(None);
                }
                let steps = self.controller.on_farewell();
                self.carry_out(steps)
            }
            Message::Report(Report::Gone { pid, .. }) => {
                if !self.controller.closing() {
                    self.keep_last_state(pid);
                }
                self.dying.push(pid);
                Ok(None)
            }
            Message::Report(Report::Refused(text)) => {
                self.model.note(Severity::Warning, "engine_refused", text);
                Ok(None)
            }
            Message::Input(Input::Gone) | Message::Signal(SIGHUP) => Ok(Some(End::AtOnce)),
            Message::Input(Input::Key(key)) => {
                let action = match &mut self.view {
                    View::Screen(screen) => screen.key(key, self.last_state.as_deref().unwrap_or(&self.model)),
                    View::Lines(_) => None,
                };
                self.act(action)
            }
            Message::Input(Input::Resize) => {
                if let View::Screen(screen) = &mut self.view {
                    screen.resized().map_err(|e| Failure::Internal(format!("terminal: {e}")))?;
                }
                Ok(None)
            }
            Message::Signal(_) => {
                if std::mem::replace(&mut self.interrupted, true) {
                    return Ok(Some(End::AtOnce));
                }
                let steps = self.controller.quit();
                self.carry_out(steps)
            }
            Message::ProbeFailed => {
                let text = "the probe thread has failed; what is shown is the last it saw";
                match &mut self.view {
                    View::Screen(screen) => screen.fail(text),
                    View::Lines(_) => return Err(Failure::Internal(text.to_owned())),
                }
                Ok(None)
            }
        }
    }

    fn act(&mut self, action: Option<Action>) -> Result<Option<End>, Failure> {
        self.redraw();
        let step = match action {
            None | Some(Action::Redraw) => return Ok(None),
            Some(Action::Quit) => {
                let steps = self.controller.quit();
                return self.carry_out(steps);
            }
            Some(Action::PauseToggle) => Controller::toggle_pause(&self.model),
            Some(Action::RateUp) => self.controller.change_rate(&self.model, true),
            Some(Action::RateDown) => self.controller.change_rate(&self.model, false),
            Some(Action::Close) => self.controller.paced_close(&self.model),
        };
        self.carry_out(vec![step, Step::Order(Order::Sample)])
    }

    fn carry_out(&mut self, steps: Vec<Step>) -> Result<Option<End>, Failure> {
        for step in steps {
            match step {
                Step::Order(order) => {
                    if let Order::Tell(_, Command::Close { mode: CloseMode::Fin, per_s }) = &order
                        && let Some(sample) = self.model.last_sample()
                    {
                        let (severity, text) = fin_forecast(sample, self.model.now().connections, *per_s);
                        self.model.note(severity, "time_wait/forecast", text);
                    }
                    self.probe.give(order);
                }
                Step::End => return Ok(Some(End::Over)),
                Step::Unreachable(why) => {
                    let at = self.model.setup().endpoint.clone().unwrap_or_default();
                    return Err(Failure::Usage(format!("cannot connect to {at}: {why}")));
                }
            }
        }
        Ok(None)
    }

    /// How a process that has ended did so; `None` while the kernel still takes it apart.
    fn status(&mut self, pid: u32) -> Option<Cause> {
        match self.engines.iter_mut().find(|e| e.pid() == pid) {
            Some(engine) => engine.ended(),
            // Not our child: nobody tells us how.
            None => (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(Cause::Vanished),
        }
    }

    /// After a sample that saw them gone: what killed the engines.
    fn note_deaths(&mut self) {
        for pid in std::mem::take(&mut self.dying) {
            let Some(cause) = self.status(pid) else {
                self.dying.push(pid);
                continue;
            };
            let name = self.name(pid);
            let closing = self.controller.closing();
            self.controller.on_death(&cause);
            if closing && cause == Cause::Exit(0) {
                continue;
            }
            let said = self.engines.iter_mut().find(|e| e.pid() == pid).map(Engine::said).unwrap_or_default();
            self.model.note_death(&name, pid, cause);
            if let Some(last) = &mut self.last_state {
                last.adopt_deaths(&self.model);
            }
            self.redraw();
            if let Some(line) = said.lines().next() {
                self.model.note(Severity::Critical, &format!("{name}_said"), format!("The {name} engine said: {line}"));
            }
        }
    }

    /// An engine's connection has ended. How it died is known once the kernel has taken it apart, which takes seconds with
    /// many sockets; the screen says so meanwhile.
    fn keep_last_state(&mut self, pid: u32) {
        let name = self.name(pid);
        let text = format!("the {name} engine {pid} has ended; the kernel still frees its sockets");
        let mut last = self.last_state.take().unwrap_or_else(|| Box::new(self.model.clone()));
        last.note(Severity::Warning, &format!("gone/{name}"), text);
        self.last_state = Some(last);
        self.redraw();
    }

    /// Whether we started it.
    fn is_own(&self, pid: u32) -> bool {
        self.engines.iter().any(|e| e.pid() == pid)
    }

    fn name(&self, pid: u32) -> String {
        self.model.engines().iter().find(|e| e.pid == pid).map_or_else(String::new, |e| e.name.clone())
    }

    fn redraw(&mut self) {
        if let View::Screen(screen) = &mut self.view {
            screen.dirty();
        }
    }

    fn show(&mut self) -> Result<(), Failure> {
        match &mut self.view {
            View::Screen(screen) => {
                let model = self.last_state.as_deref().unwrap_or(&self.model);
                screen.draw(model).map_err(|e| Failure::Internal(format!("terminal: {e}")))
            }
            View::Lines(_) => Ok(()),
        }
    }

    /// Ends the engines, gives the terminal back, prints the summary.
    fn leave(mut self, ended: Result<End, Failure>) -> Result<Verdict, Failure> {
        let at_once = matches!(ended, Ok(End::AtOnce));
        if !self.engines.is_empty() {
            self.probe.give(Order::Tell(None, Command::Stop));
        }
        for engine in &mut self.engines {
            let _ = engine.finish(if at_once { HASTE } else { PATIENCE });
        }
        // What an engine that was killed died of is known by now.
        self.note_deaths();
        let verdict = self.controller.verdict(&self.model);
        let mut summary = self.model.summary(verdict);
        if let Some(last) = &self.last_state {
            // Queues and TIME_WAIT after a death are its consequence.
            summary.limits = last.summary(verdict).limits;
        }
        let ran = match ended {
            Err(failure @ Failure::Usage(_)) => return Err(failure),
            Err(failure) => Err(failure),
            Ok(_) => Ok(verdict),
        };
        self.say(&summary)?;
        ran
    }

    fn say(&mut self, summary: &Summary) -> Result<(), Failure> {
        match &mut self.view {
            View::Lines(lines) => match lines.summary(&mut self.model, summary) {
                Ok(()) | Err(Unwritten::NobodyReads) => Ok(()),
                Err(Unwritten::Never(text) | Unwritten::Failed(text)) => Err(Failure::Internal(text)),
            },
            View::Screen(screen) => {
                screen.close();
                // A terminal that has gone cannot be told.
                let _ = io::Write::write_all(&mut io::stdout(), summary_text::write(summary, &self.model).as_bytes());
                Ok(())
            }
        }
    }
}
