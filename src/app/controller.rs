//! What the run does next: go, hold, close, end, and with which verdict. Fed with samples and events; decides, does nothing.

use std::time::{Duration, Instant};

use super::watcher::Order;
use crate::model::{Cause, LimitState, Model, Verdict};
use crate::protocol::{CloseMode, Command, Phase, Role, StopCause};
use crate::units::{grouped, whole};

/// Closing may take long (a million connections some ten seconds); without any progress for so long it is given up.
const CLOSE_STALLED: Duration = Duration::from_secs(15);

/// How often to look while closing: more often than a long interval between samples would.
const CLOSE_LOOK: Duration = Duration::from_millis(200);

/// How long the client of a server that refuses waits to hear whether the server has died.
const DEATH_KNOWN: Duration = Duration::from_secs(1);

/// What the controller knows of the run.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub(super) struct Terms {
    /// A client of this run's own: ramp, hold and close are ours to decide.
    pub(super) own_client: bool,
    /// A server of this run's own.
    pub(super) own_server: bool,
    /// Somebody watches and decides when to leave: nothing ends by itself but what was asked for.
    pub(super) interactive: bool,
    pub(super) guard: bool,
    pub(super) hold: Option<Duration>,
    pub(super) duration: Option<Duration>,
    pub(super) close: CloseMode,
    pub(super) close_rate: Option<u64>,
    /// It begins when the others of its fleet are ready.
    pub(super) in_fleet: bool,
}

/// Where the run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first sample: nothing has been told to go.
    Warming,
    /// Everything is up, and the others of the fleet are waited for.
    Waiting,
    Running,
    /// Closing, and then the end.
    Closing {
        progress: Instant,
        left: u64,
        /// When to look again.
        next: Instant,
        /// The server was told too: connections of others are not the client's to close.
        both: bool,
    },
    Ended,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Give this to the probe thread.
    Order(Order),
    /// The run is over.
    End,
    /// The first connection failed: the command line asked for what cannot be. One line.
    Unreachable(String),
}

/// The run's course.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the run")]
pub(super) struct Controller {
    terms: Terms,
    state: State,
    started: Instant,
    /// Since when the run has been as far as it gets.
    settled: Option<Instant>,
    /// Something other than the guard keeps it from its target.
    blocked: bool,
    /// The client has not opened a single connection.
    none_opened: bool,
    guarded: bool,
    /// What has ended, by how that ends the run.
    died: Option<Verdict>,
    /// An engine did not run when the run came to its end.
    silent: bool,
    time_up: bool,
    /// Workers of the fleet did not come, or were lost.
    missing: bool,
    /// The others are ready.
    go: bool,
    /// It is to begin paused.
    begins_paused: bool,
    /// What the fleet's servers allow.
    allowed: Option<u64>,
    /// That is less than what this machine's limits do.
    of_fleet: bool,
    ceiling: Option<u64>,
    /// The rate last asked for, until a sample shows it: two keys may come between two samples.
    asked_rate: Option<Rate>,
}

/// Connections per second; `None` is as fast as it goes.
type Rate = Option<u64>;

impl Step {
    /// What it does, for the one whose key asked for it.
    pub(super) fn notice(&self) -> Option<String> {
        let Step::Order(Order::Tell(_, command)) = self else { return None };
        Some(match command {
            Command::Pause => "paused".to_owned(),
            Command::Resume => "resumed".to_owned(),
            Command::Rate { per_s: None } => "rate: as fast as it goes".to_owned(),
            Command::Rate { per_s: Some(n) } => format!("rate: {} per second at most", grouped(*n)),
            Command::Target { connections } => format!("target: {} connections", grouped(*connections)),
            Command::Close { per_s: Some(n), .. } => format!("closing all connections, {} per second", grouped(*n)),
            Command::Close { per_s: None, .. } => "closing all connections".to_owned(),
            Command::Ceiling { .. } | Command::Stop => return None,
        })
    }
}

impl Controller {
    pub(super) fn new(terms: Terms, now: Instant) -> Self {
        Self {
            terms,
            state: State::Warming,
            started: now,
            settled: None,
            blocked: false,
            none_opened: true,
            guarded: false,
            died: None,
            silent: false,
            time_up: false,
            missing: false,
            go: !terms.in_fleet,
            begins_paused: false,
            allowed: None,
            of_fleet: false,
            ceiling: None,
            asked_rate: None,
        }
    }

    /// Looks at a new sample.
    pub(super) fn on_sample(&mut self, model: &Model, now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        steps.extend(self.bound(model));
        if self.state == State::Warming {
            self.state = State::Waiting;
        }
        if self.state == State::Waiting && self.go {
            steps.extend(self.begin());
        }
        if self.asked_rate == Some(rate_limit(model)) {
            self.asked_rate = None;
        }
        self.look_at_client(model, now, &mut steps);
        match self.state {
            State::Running => self.look_at_clock(model, now, &mut steps),
            State::Closing { progress, left, both, .. } => {
                self.look_at_close(model, now, (progress, left, both), &mut steps);
            }
            State::Warming | State::Waiting | State::Ended => {}
        }
        steps
    }

    /// The most connections that this machine's limits and the fleet's servers allow, where that has changed.
    fn bound(&mut self, model: &Model) -> Option<Step> {
        if !self.terms.own_client || self.state == State::Ended {
            return None;
        }
        let own = model.guard_ceiling().filter(|_| self.terms.guard);
        let ceiling = own.into_iter().chain(self.allowed).min();
        self.of_fleet = self.allowed.is_some_and(|allowed| own.is_none_or(|own| allowed < own));
        if std::mem::replace(&mut self.ceiling, ceiling) == ceiling {
            return None;
        }
        Some(client(Command::Ceiling { connections: ceiling }))
    }

    /// The fleet's servers allow so many connections here; `None`: none bounds this client.
    pub(super) fn allow(&mut self, model: &Model, connections: Option<u64>) -> Vec<Step> {
        self.allowed = connections;
        self.bound(model).into_iter().collect()
    }

    /// Whether the fleet's servers allow less than this machine's limits.
    pub(super) fn is_bound_by_fleet(&self) -> bool {
        self.of_fleet
    }

    /// All of the fleet are ready: begins now.
    pub(super) fn all_ready(&mut self, now: Instant) -> Vec<Step> {
        self.go = true;
        self.started = now;
        if self.state == State::Waiting { self.begin().into_iter().collect() } else { Vec::new() }
    }

    /// The ramp begins. A sample at its very start follows with the phase change.
    fn begin(&mut self) -> Option<Step> {
        self.state = State::Running;
        let command = if self.begins_paused { Command::Pause } else { Command::Resume };
        self.terms.own_client.then(|| client(command))
    }

    /// Workers of the fleet did not come, or are lost, and the run is to end for it.
    pub(super) fn workers_missing(&mut self) -> Vec<Step> {
        self.missing = true;
        match self.state {
            State::Warming | State::Waiting | State::Running => self.close(),
            State::Closing { .. } | State::Ended => Vec::new(),
        }
    }

    /// The clients of the fleet have left: a server that nobody watches has served, and so has what watches one.
    pub(super) fn clients_left(&mut self) -> Vec<Step> {
        let serves = !self.terms.own_client && !self.terms.interactive;
        if serves && self.state == State::Running { self.close() } else { Vec::new() }
    }

    /// The clients of the fleet were told to close. A server is told when they have left, but not before the start.
    pub(super) fn clients_close(&mut self) -> Vec<Step> {
        let serves = !self.terms.own_client && !self.terms.interactive;
        if serves && matches!(self.state, State::Warming | State::Waiting) { self.close() } else { Vec::new() }
    }

    fn look_at_client(&mut self, model: &Model, now: Instant, steps: &mut Vec<Step>) {
        if !self.terms.own_client {
            return;
        }
        let Some(client) = model.engine(Role::Client) else { return };
        match client.phase() {
            // Somebody else's dashboard has closed everything: a run that nobody watches has come to its end.
            Some(Phase::Closed) if matches!(self.state, State::Waiting | State::Running) && !self.terms.interactive => {
                return steps.extend(self.end());
            }
            Some(Phase::Closing | Phase::Closed) | None => return,
            // It has not heard yet that it is to close: what it does until then is not how the run ended.
            Some(_) if self.closing() => {}
            // Held back for a moment is not stopped by the guard.
            Some(phase) => self.guarded = phase == Phase::Guarded,
        }
        let Some(stats) = &client.stats else { return };
        self.none_opened = stats.opened == 0;
        if let Some(stop) = stats.stop.as_ref().filter(|s| self.none_opened && s.cause == StopCause::Unreachable) {
            steps.push(Step::Unreachable(stop.text.clone()));
        }
        self.blocked = model.blocked().is_some();
        let settled = model.reached() || self.blocked || self.guarded;
        self.settled = if settled { self.settled.or(Some(now)) } else { None };
    }

    fn look_at_close(&mut self, model: &Model, now: Instant, was: (Instant, u64, bool), steps: &mut Vec<Step>) {
        let (progress, left, mut both) = was;
        let silent = |role| model.now().silent_ms(role).is_some();
        let open = open(model, silent);
        let progress = if open < left { now } else { progress };
        let client = model.engine(Role::Client);
        let closed = client.is_none_or(|c| !c.alive || c.phase() == Some(Phase::Closed) || silent(Role::Client));
        if !both && self.terms.own_server && closed {
            both = true;
            let command = Command::Close { mode: CloseMode::Rst, per_s: None };
            steps.push(Step::Order(Order::Tell(Some(Role::Server), command)));
        }
        if open == 0 || now.duration_since(progress) > CLOSE_STALLED {
            return steps.extend(self.end());
        }
        self.state = State::Closing { progress, left: open.min(left), next: now + CLOSE_LOOK, both };
    }

    fn look_at_clock(&mut self, model: &Model, now: Instant, steps: &mut Vec<Step>) {
        self.silent = !model.now().stale.is_empty();
        let stays = match (self.settled, self.terms.hold) {
            // Refused by a server of our own it may have died, and what of is known in a moment.
            (Some(since), _) if self.blocked && self.terms.own_server && now.duration_since(since) < DEATH_KNOWN => {
                true
            }
            // There is nothing to look at, and the command line is where to begin again.
            (Some(_), _) if self.blocked && self.none_opened => false,
            (Some(since), Some(hold)) => now.duration_since(since) < hold,
            // A ramp that cannot go on has nothing to wait for; a target that is held is what one came for.
            (Some(_), None) => self.terms.interactive || !self.blocked,
            (None, _) => true,
        };
        let over = self.terms.duration.is_some_and(|d| now.duration_since(self.started) >= d);
        self.time_up |= over;
        let dead = self.died.is_some() && !self.terms.interactive;
        if !stays || over || dead {
            steps.extend(self.close());
        }
    }

    /// When to look again without a new sample: the end of the hold or of the duration.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Running => {}
            State::Closing { next, .. } => return Some(next),
            State::Warming | State::Waiting | State::Ended => return None,
        }
        let moment = (self.blocked && (!self.terms.interactive || self.none_opened)).then_some(DEATH_KNOWN);
        let hold = self.settled.zip(self.terms.hold.or(moment)).map(|(since, hold)| since + hold);
        let over = self.terms.duration.map(|d| self.started + d);
        hold.into_iter().chain(over).min()
    }

    /// An engine has ended. While everything is being closed, one that ends by itself is no accident.
    pub(super) fn on_death(&mut self, cause: &Cause) {
        if !(self.closing() && matches!(cause, Cause::Exit(0) | Cause::Vanished)) {
            self.died = Some(Verdict::EngineKilled);
        }
    }

    /// A process of others that was watched has ended.
    pub(super) fn on_foreign_death(&mut self) {
        self.died.get_or_insert(Verdict::ProcessDied);
    }

    /// Every engine of an attached run has ended because it was told to: there is nothing left to watch.
    pub(super) fn on_farewell(&mut self) -> Vec<Step> {
        if self.terms.interactive { Vec::new() } else { self.end() }
    }

    /// The user wants to leave: closes first, and at the second time leaves at once.
    pub(super) fn quit(&mut self) -> Vec<Step> {
        match self.state {
            State::Warming | State::Waiting | State::Running => self.close(),
            State::Closing { .. } | State::Ended => self.end(),
        }
    }

    /// Closes what is ours; ends at once where nothing is.
    fn close(&mut self) -> Vec<Step> {
        if !self.terms.own_client && !self.terms.own_server {
            return self.end();
        }
        let now = Instant::now();
        self.state =
            State::Closing { progress: now, left: u64::MAX, next: now + CLOSE_LOOK, both: !self.terms.own_client };
        let command = Command::Close { mode: self.terms.close, per_s: self.terms.close_rate };
        // The client closes, so that the server's end goes with the reset; a server alone closes its own.
        let role = if self.terms.own_client { Role::Client } else { Role::Server };
        vec![Step::Order(Order::Tell(Some(role), command)), Step::Order(Order::Sample)]
    }

    fn end(&mut self) -> Vec<Step> {
        let before = std::mem::replace(&mut self.state, State::Ended);
        if before == State::Ended { Vec::new() } else { vec![Step::End] }
    }

    /// Whether everything is being closed before the end.
    pub(super) fn closing(&self) -> bool {
        matches!(self.state, State::Closing { .. })
    }

    /// Whether the ramp is paused, or is to begin so.
    pub(super) fn is_paused(&self, model: &Model) -> bool {
        let driven = driven(model).and_then(|role| model.engine(role));
        if self.rests() { self.begins_paused } else { driven.is_some_and(|e| e.phase() == Some(Phase::Paused)) }
    }

    /// Whether the ramp has not begun and is to begin paused.
    pub(super) fn begins_paused(&self) -> bool {
        self.rests() && self.begins_paused
    }

    /// Whether there is a client of this run's own.
    pub(super) fn opens(&self) -> bool {
        self.terms.own_client
    }

    /// Whether there is a client that has not been let go: a word to it now would be forgotten then, or let it go too early.
    fn rests(&self) -> bool {
        self.terms.own_client && matches!(self.state, State::Warming | State::Waiting)
    }

    /// Pauses or resumes the ramp; a run without a client pauses accepting. `None` where that is remembered until the ramp begins.
    pub(super) fn pause(&mut self, model: &Model, pause: bool) -> Option<Step> {
        if self.rests() {
            self.begins_paused = pause;
            return None;
        }
        let command = if pause { Command::Pause } else { Command::Resume };
        Some(Step::Order(Order::Tell(driven(model), command)))
    }

    /// A higher or lower rate, in steps of 1, 2 and 5; `None` where nothing says lower than what.
    pub(super) fn change_rate(&mut self, model: &Model, up: bool) -> Option<Step> {
        let client_rate = self.asked_rate.unwrap_or_else(|| rate_limit(model));
        let now = client_rate.unwrap_or_else(|| model.now().rate_per_s.map_or(0, whole));
        if client_rate.is_none() && now == 0 {
            return None;
        }
        let per_s = if up && client_rate.is_none() { None } else { step(now, up) };
        self.asked_rate = Some(per_s);
        Some(client(Command::Rate { per_s }))
    }

    /// This rate.
    pub(super) fn set_rate(&mut self, per_s: Rate) -> Step {
        self.asked_rate = Some(per_s);
        client(Command::Rate { per_s })
    }

    /// Another target.
    ///
    /// # Errors
    /// A sentence for the user: why it cannot be.
    pub(super) fn set_target(&self, model: &Model, connections: u64) -> Result<Step, String> {
        let Some(stats) = model.engine(Role::Client).and_then(|e| e.stats.as_ref()) else {
            return Err("the client has not begun yet".to_owned());
        };
        if let Some(stop) = &stats.stop {
            return Err(format!("the ramp has stopped, so its target cannot change: {}", stop.text));
        }
        match stats.phase {
            Phase::Closing | Phase::Closed => return Err("all connections are being closed".to_owned()),
            _ if self.closing() => return Err("the run is ending".to_owned()),
            _ => {}
        }
        if connections < stats.open {
            let open = grouped(stats.open);
            return Err(format!(
                "{open} connections are open already, and a lower target closes none; close closes all"
            ));
        }
        if let Some(most) = stats.capacity.filter(|most| connections > *most) {
            let most = grouped(most);
            return Err(format!("ports and sources of this run allow {most}; start it with more --ports or --source"));
        }
        Ok(client(Command::Target { connections }))
    }

    /// Closes every connection at a pace that takes about ten seconds, and stays.
    pub(super) fn paced_close(&self, model: &Model) -> Step {
        let role = driven(model);
        let per_s = self.terms.close_rate.unwrap_or(model.now().connections / 10).max(100);
        Step::Order(Order::Tell(role, Command::Close { mode: self.terms.close, per_s: Some(per_s) }))
    }

    /// How the run ended.
    pub(super) fn verdict(&self, model: &Model) -> Verdict {
        match (self.died, self.terms.own_client, self.terms.own_server) {
            (Some(died), ..) => died,
            (None, ..) if self.silent => Verdict::EngineSilent,
            (None, ..) if self.missing => Verdict::WorkersMissing,
            (None, true, _) => self.of_target(model),
            (None, false, true) => Verdict::Served,
            (None, false, false) => Verdict::Watched,
        }
    }

    /// What became of the target.
    fn of_target(&self, model: &Model) -> Verdict {
        if model.reached() {
            return if model.late() { Verdict::Late } else { Verdict::TargetReached };
        }
        let hits = || model.limits().iter().filter(|l| l.state == LimitState::Hit);
        // What was hit before the guard looked has stopped the run, and not the guard.
        let hit_first = model.guard_limit().is_some_and(|by| hits().any(|l| l.info.id == by));
        match model.blocked() {
            Some(blocked) => blocked,
            None if self.guarded && !hit_first => Verdict::GuardStopped,
            // A limit that answers nothing (a full conntrack table, a server without descriptors) leaves the client waiting
            // until the run is ended.
            None if hits().next().is_some() => Verdict::LimitHit,
            None if self.time_up => Verdict::TimeUp,
            None => Verdict::Interrupted,
        }
    }
}

/// Connections per second that the client is held to.
fn rate_limit(model: &Model) -> Rate {
    model.engine(Role::Client).and_then(|e| e.stats.as_ref()?.rate_limit)
}

fn client(command: Command) -> Step {
    Step::Order(Order::Tell(Some(Role::Client), command))
}

/// The engine that keys drive: the client where there is one, else the server.
fn driven(model: &Model) -> Option<Role> {
    [Role::Client, Role::Server].into_iter().find(|role| model.engine(*role).is_some())
}

/// Connections still open at engines that are able to close them.
fn open(model: &Model, silent: impl Fn(Role) -> bool) -> u64 {
    let engines = model.engines().iter().filter(|e| e.alive && !e.role.is_some_and(&silent));
    engines.filter_map(|e| e.stats.as_ref()).map(|s| s.open + s.in_flight).sum()
}

/// The next of 1, 2, 5, 10, … above or below; `None` above 500,000, which is as fast as it goes.
pub(super) fn step(now: u64, up: bool) -> Option<u64> {
    let mut steps = (0..6).flat_map(|e| [1, 2, 5].map(|m| m * 10u64.pow(e)));
    if up { steps.find(|s| *s > now) } else { Some(steps.rfind(|s| *s < now.max(2)).unwrap_or(1)) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::synthetic;

    /// A run with both ends that somebody watches, and no option.
    const WATCHED: Terms = Terms {
        own_client: true,
        own_server: true,
        interactive: true,
        guard: true,
        hold: None,
        duration: None,
        close: CloseMode::Rst,
        close_rate: None,
        in_fleet: false,
    };

    #[test]
    fn rates_step_by_1_2_5() {
        assert_eq!(step(0, true), Some(1));
        assert_eq!(step(1000, true), Some(2000));
        assert_eq!(step(38_420, true), Some(50_000));
        assert_eq!(step(500_000, true), None);
        assert_eq!(step(38_420, false), Some(20_000));
        assert_eq!(step(20_000, false), Some(10_000));
        assert_eq!(step(1, false), Some(1));
    }

    #[test]
    fn at_hold_there_is_no_rate_to_lower() {
        assert_eq!(Controller::new(WATCHED, Instant::now()).change_rate(&Model::default(), false), None);
    }

    #[test]
    fn watching_ends_at_once_and_a_second_quit_does_not_wait() {
        let now = Instant::now();
        let mut terms = Terms { own_client: false, own_server: false, ..WATCHED };
        assert_eq!(Controller::new(terms, now).quit(), [Step::End]);
        terms.own_client = true;
        let mut own = Controller::new(terms, now);
        assert!(matches!(own.quit()[0], Step::Order(Order::Tell(Some(Role::Client), Command::Close { .. }))));
        assert_eq!(own.quit(), [Step::End]);
        assert!(own.quit().is_empty());
        assert_eq!(own.verdict(&Model::default()), Verdict::Interrupted);
    }

    #[test]
    fn what_is_told_before_the_start_holds_from_then_on() {
        let now = Instant::now();
        let terms = Terms { interactive: false, in_fleet: true, ..WATCHED };
        let model = Model::default();
        let (go, rest) = ([client(Command::Resume)], [client(Command::Pause)]);
        for waits in [true, false] {
            let begun = |orders: &[bool]| {
                let mut run = Controller::new(terms, now);
                if waits {
                    run.on_sample(&model, now);
                }
                for pause in orders {
                    assert_eq!(run.pause(&model, *pause), None, "nobody is told yet");
                    assert_eq!(run.is_paused(&model), *pause);
                }
                let mut steps = run.all_ready(now);
                steps.extend(run.on_sample(&model, now));
                assert!(!run.begins_paused() && run.pause(&model, false).is_some(), "the engine is told");
                steps
            };
            assert_eq!((begun(&[]), begun(&[true])), (go.to_vec(), rest.to_vec()));
            assert_eq!((begun(&[true, false]), begun(&[false, true])), (go.to_vec(), rest.to_vec()));
        }
    }

    #[test]
    fn a_close_before_the_start_ends_who_is_not_watched() {
        let start = Instant::now();
        for interactive in [false, true] {
            let terms = Terms { interactive, in_fleet: true, own_server: false, ..WATCHED };
            let (mut run, mut model) = (Controller::new(terms, start), Model::default());
            let mut sample = synthetic::sample(0, 1000);
            synthetic::engine(&mut sample, Role::Client).unwrap().phase = Phase::Closed;
            model.take(Arc::new(sample));
            assert_eq!(run.on_sample(&model, start).contains(&Step::End), !interactive);
            assert_eq!(run.verdict(&model), Verdict::Interrupted);
            let mut server = Controller::new(Terms { own_client: false, own_server: true, ..terms }, start);
            server.on_sample(&Model::default(), start);
            assert_eq!((server.clients_left(), server.clients_close().is_empty()), (Vec::new(), interactive));
        }
    }

    #[test]
    fn a_death_while_closing_is_no_accident() {
        let now = Instant::now();
        let terms = Terms { interactive: false, ..WATCHED };
        let mut run = Controller::new(terms, now);
        run.quit();
        run.on_death(&Cause::Exit(0));
        assert_eq!(run.verdict(&Model::default()), Verdict::Interrupted);
        run.on_death(&Cause::Signal(9));
        assert_eq!(run.verdict(&Model::default()), Verdict::EngineKilled, "killed while closing is one");
        let mut run = Controller::new(terms, now);
        run.on_death(&Cause::Exit(0));
        assert_eq!(run.verdict(&Model::default()), Verdict::EngineKilled);
    }

    #[test]
    fn what_a_client_does_before_it_hears_that_all_is_closed_changes_no_verdict() {
        let start = Instant::now();
        let terms = Terms { own_server: false, interactive: false, hold: Some(Duration::from_secs(1)), ..WATCHED };
        let (mut run, mut model) = (Controller::new(terms, start), Model::default());
        run.all_ready(start);
        let mut see = |run: &mut Controller, phase, t_ms| {
            let mut sample = synthetic::sample(5000, t_ms);
            synthetic::engine(&mut sample, Role::Client).unwrap().phase = phase;
            model.take(Arc::new(sample));
            let closes = |step: &Step| matches!(step, Step::Order(Order::Tell(_, Command::Close { .. })));
            let steps = run.on_sample(&model, start + Duration::from_millis(t_ms));
            (steps.iter().any(closes), run.verdict(&model))
        };
        assert!(!see(&mut run, Phase::Ramping, 1000).0);
        assert!(!see(&mut run, Phase::Guarded, 2000).0);
        assert_eq!(see(&mut run, Phase::Guarded, 3000), (true, Verdict::GuardStopped));
        // Its ceiling was raised at that moment.
        assert_eq!(see(&mut run, Phase::Ramping, 3010), (false, Verdict::GuardStopped));
    }
}
