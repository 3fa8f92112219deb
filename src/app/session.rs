//! One loop for every output: reports come in, the model is updated, the controller decides, the view shows.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTSTP};

use super::Failure;
use super::advise::Tuned;
use super::controller::{Controller, Step};
use super::fleet::Fleet;
use super::message::Message;
use super::past::Historian;
use super::peers::Asker;
use super::processes::{Ended, Processes};
use super::state::State;
use super::view::{Reader, View};
use super::watcher::{Handle, Order, Report};
use crate::limits::fin_forecast;
use crate::model::{Cause, Severity};
use crate::protocol::{CloseMode, Command};
use crate::ui::{Action, Input};

/// A run that goes on.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) state: State,
    pub(super) controller: Controller,
    pub(super) processes: Processes,
    pub(super) probe: Handle,
    peers: Asker,
    past: Historian,
    /// The moment that is looked at, milliseconds since the dashboard started.
    sought: Option<u64>,
    pub(super) view: View,
    pub(super) fleet: Option<Fleet>,
    /// How often it was told who is waited for.
    pub(super) waits: u32,
    interrupted: bool,
    /// Somebody at the keyboard has ended it, and waits to have the terminal back.
    pub(super) left: bool,
    /// A sample was ordered and has not come.
    asked: bool,
    /// Sysctls that were set for it. The last field: put back when everything else has gone.
    _tuned: Option<Tuned>,
}

/// What ends the loop of a run.
#[derive(Debug)]
pub(super) enum End {
    /// The run is over.
    Over,
    /// Leave at once: the terminal has gone, or a second signal came.
    AtOnce,
}

impl Session {
    #[expect(clippy::too_many_arguments, reason = "each is a part of the run, and its one caller has just made them")]
    pub(super) fn new(
        state: State,
        controller: Controller,
        processes: Processes,
        probe: Handle,
        to: SyncSender<Message>,
        view: View,
        tuned: Option<Tuned>,
        fleet: Option<Fleet>,
    ) -> Self {
        Self {
            state,
            controller,
            processes,
            probe,
            peers: Asker::new(to.clone()),
            past: Historian::new(to),
            sought: None,
            view,
            fleet,
            waits: 0,
            interrupted: false,
            left: false,
            asked: false,
            _tuned: tuned,
        }
    }

    /// The loop.
    pub(super) fn until_end(&mut self, messages: &Receiver<Message>) -> Result<End, Failure> {
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
        let dying = self.processes.are_dying().then_some(Duration::from_millis(100));
        deadline.into_iter().chain(dying).min().unwrap_or(Duration::from_hours(1)).max(Duration::from_millis(1))
    }

    /// Nothing came: a deadline has passed, or an engine is dying.
    fn look(&mut self, now: Instant) {
        let over = self.controller.deadline().is_some_and(|at| at <= now);
        if self.processes.have_news() || over {
            // The decision is taken on a fresh sample.
            self.probe.give(Order::Sample);
            self.asked = true;
        }
    }

    fn take(&mut self, message: Message) -> Result<Option<End>, Failure> {
        match message {
            Message::Report(Report::Sample { at, sample, shown }) => {
                self.asked &= !shown;
                // Nobody else tells of the end of a program that is only watched.
                let gone = sample.kernel.program.as_ref().filter(|program| program.processes == 0).map(|p| p.pid);
                let ended = self.processes.take_ended();
                let ends = gone.is_some() || !ended.is_empty();
                self.state.sample(sample, shown && !ends);
                self.note_deaths(ended);
                if let Some(pid) = gone {
                    self.state.note_death(pid, Cause::Vanished);
                    self.controller.on_foreign_death();
                }
                if shown && ends {
                    self.state.shown_now();
                }
                if shown && self.view.sample(self.state.for_output())? == Reader::Gone {
                    return Ok(Some(End::AtOnce));
                }
                if let Some(fleet) = &mut self.fleet {
                    fleet.publish(&self.state, at, self.controller.begins_paused());
                }
                let steps = self.controller.on_sample(&self.state, Instant::now());
                self.note_bound();
                self.carry_out(steps)
            }
            Message::Fleet(news) => self.heard(*news),
            Message::Report(Report::Gone { pid, bye: true }) if !self.processes.is_own(pid) => {
                let name = self.name(pid);
                self.state.note(Severity::Info, &format!("ended/{name}"), format!("the {name} engine {pid} has ended"));
                self.view.dirty();
                if !self.processes.left() {
                    return Ok(None);
                }
                let steps = self.controller.on_farewell();
                self.carry_out(steps)
            }
            Message::Report(Report::Gone { pid, .. }) => {
                if !self.controller.closing() {
                    let name = self.name(pid);
                    let text = format!("the {name} engine {pid} has ended; the kernel is still freeing its sockets");
                    self.state.keep(&format!("gone/{name}"), text);
                    self.view.dirty();
                }
                self.processes.disconnected(pid);
                Ok(None)
            }
            Message::Report(Report::Refused(text)) => {
                self.state.note(Severity::Warning, "engine_refused", text);
                Ok(None)
            }
            Message::Peers(port, peers) => {
                self.view.peers(port, *peers, &self.state);
                if let Some((port, why)) = self.peers.answered() {
                    self.view.peers(port, Err(why), &self.state);
                }
                Ok(None)
            }
            Message::Input(Input::Gone) | Message::Signal(SIGHUP | SIGQUIT) => Ok(Some(End::AtOnce)),
            Message::Signal(SIGTSTP) => self.view.suspend().map(|()| None),
            Message::Input(Input::Key(key)) => {
                let action = self.view.key(key, self.state.shown());
                self.act(action)
            }
            Message::Input(Input::Mouse(mouse)) => {
                let action = self.view.mouse(mouse, self.state.shown());
                self.act(action)
            }
            // What was dropped is drawn when everything that has come is taken.
            Message::Input(Input::Resize) => self.view.resized().map(|()| None),
            Message::Metrics(scrape) => {
                scrape.answer(&self.state);
                Ok(None)
            }
            Message::Signal(signal) => {
                self.left |= signal == SIGINT;
                if std::mem::replace(&mut self.interrupted, true) {
                    return Ok(Some(End::AtOnce));
                }
                self.state.quit();
                let steps = self.controller.quit();
                self.carry_out(steps)
            }
            // Back at now meanwhile, or somewhere else: another answer comes.
            Message::Past(at, past) if self.sought == Some(at) => {
                if past.is_none() {
                    self.view.say("the recording cannot be read: the screens show now");
                }
                self.view.past(past);
                Ok(None)
            }
            Message::Past(..) | Message::Known(..) | Message::Input(Input::Free) => Ok(None),
            Message::ThreadFailed => {
                self.view.fail("the probe thread has failed; these are its last figures").map(|()| None)
            }
        }
    }

    pub(super) fn act(&mut self, action: Option<Action>) -> Result<Option<End>, Failure> {
        self.view.dirty();
        let step = match action {
            // Only a replay plays, and only a fleet's worker was opened from another screen.
            None | Some(Action::Redraw | Action::Leave | Action::PlayToggle | Action::Faster | Action::Slower) => {
                return Ok(None);
            }
            Some(Action::Seek(to)) => {
                self.seek(to);
                return Ok(None);
            }
            Some(Action::Copy(_) | Action::Mouse(_) | Action::Theme(_)) => {
                return self.view.terminal(action).map(|()| None);
            }
            Some(Action::Quit) => {
                self.left = true;
                self.state.quit();
                let steps = self.controller.quit();
                return self.carry_out(steps);
            }
            Some(Action::Suspend) => return self.view.suspend().map(|()| None),
            Some(Action::Peers(port)) => {
                let asked = self.state.program().map(|program| self.peers.ask(program.pid, port));
                if let Some(Err(why)) = asked {
                    self.view.peers(port, Err(why), &self.state);
                }
                return Ok(None);
            }
            Some(Action::PauseToggle) => return self.pause(!self.controller.is_paused(&self.state)),
            Some(action @ (Action::RateUp | Action::RateDown)) => {
                let Some(step) = self.controller.change_rate(&self.state, action == Action::RateUp) else {
                    self.view.say("there is no rate to change yet");
                    return Ok(None);
                };
                step
            }
            Some(Action::Rate(per_s)) => self.controller.set_rate(per_s),
            Some(Action::Target(connections)) => match self.controller.set_target(&self.state, connections) {
                Ok(step) => step,
                Err(why) => {
                    self.view.say(&why);
                    return Ok(None);
                }
            },
            Some(Action::Close) => self.controller.paced_close(&self.state),
        };
        self.tell_engine(step)
    }

    /// Pauses the ramp, or lets it go on.
    pub(super) fn pause(&mut self, pause: bool) -> Result<Option<End>, Failure> {
        let Some(step) = self.controller.pause(&self.state, pause) else {
            self.view.say(if pause { "the ramp will begin paused" } else { "the ramp will not begin paused" });
            return Ok(None);
        };
        self.tell_engine(step)
    }

    /// Carries out what an engine is told, and says so.
    pub(super) fn tell_engine(&mut self, step: Step) -> Result<Option<End>, Failure> {
        if let Step::Order(Order::Tell(to, command)) = &step {
            self.state.commanded(*to, command.clone());
        }
        if let Some(notice) = step.notice() {
            self.view.say(&notice);
        }
        self.carry_out(vec![step, Step::Order(Order::Sample)])
    }

    /// Shows the run as it was at a moment; `None` is now.
    fn seek(&mut self, to: Option<u64>) {
        self.sought = to;
        let Some(t_ms) = to else {
            self.past.leave();
            return self.view.past(None);
        };
        match self.state.past(t_ms) {
            Some((path, written)) => self.past.ask(path, written, t_ms),
            None => self.view.say("this run is not recorded: the screens show now, the charts what has been"),
        }
    }

    pub(super) fn carry_out(&mut self, steps: Vec<Step>) -> Result<Option<End>, Failure> {
        for step in steps {
            match step {
                Step::Order(order) => {
                    if let Order::Tell(_, Command::Close { mode: CloseMode::Fin, per_s }) = &order
                        && let Some(sample) = self.state.last_sample()
                    {
                        let (severity, text) = fin_forecast(sample, self.state.now().connections, *per_s);
                        self.state.note(severity, "time_wait/forecast", text);
                    }
                    self.probe.give(order);
                }
                Step::End => return Ok(Some(End::Over)),
                Step::Unreachable(why) => {
                    let at = self.state.setup().endpoint.clone().unwrap_or_default();
                    return Err(Failure::Usage(format!("cannot connect to {at}: {why}")));
                }
            }
        }
        Ok(None)
    }

    /// After a sample that saw them gone: what killed the engines.
    pub(super) fn note_deaths(&mut self, all: Vec<Ended>) {
        for ended in all {
            let by_itself = self.controller.closing() && ended.cause == Cause::Exit(0);
            self.controller.on_death(&ended.cause);
            if by_itself {
                continue;
            }
            self.state.note_death(ended.pid, ended.cause);
            self.view.dirty();
            if let Some(line) = ended.message {
                let name = self.name(ended.pid);
                let text = format!("The {name} engine wrote: {line}");
                self.state.note(Severity::Critical, &format!("{name}_message"), text);
            }
        }
    }

    pub(super) fn name(&self, pid: u32) -> String {
        self.state.engines().iter().find(|e| e.pid == pid).map_or_else(String::new, |e| e.name.clone())
    }

    fn show(&mut self) -> Result<(), Failure> {
        self.view.draw(self.state.shown())
    }
}
