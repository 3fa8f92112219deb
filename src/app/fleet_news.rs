//! What a worker hears from its fleet, told and carried out.

use std::time::{Duration, Instant};

use super::Failure;
use super::controller::Step;
use super::session::{End, Session};
use crate::fleet::{FleetCommand, Held, News, Refused, Skew};
use crate::model::Severity;
use crate::protocol::Role;
use crate::ui::Action;
use crate::units::{grouped, seconds};

/// Most outages of the store that have lines of their own: the log is bounded, and other things are to stay in it.
const OUTAGES: u32 = 20;

/// Most lines that say who is waited for.
const WAITS: u32 = 30;

/// How a command is obeyed.
enum Obeyed {
    /// Whatever the last sample saw: another command may have come since.
    Pause(bool),
    /// The engine is told.
    Told(Step),
    /// As if its key were pressed here.
    As(Action),
}

impl Session {
    /// Takes one piece of news.
    pub(super) fn heard(&mut self, news: News) -> Result<Option<End>, Failure> {
        match news {
            News::Waiting(missing) => {
                let text = format!("waiting for {}", missing.join(", "));
                self.view.say(&text);
                // Each is news, and a line is printed once an id; one that flaps must not fill the list.
                self.waits = (self.waits + 1).min(WAITS);
                self.tell(Severity::Info, &format!("fleet/waiting/{}", self.waits), text);
            }
            News::Go { late_us, error_us } => {
                let text = match late_us {
                    Some(us) if us >= Skew::LATECOMER_US => {
                        format!(
                            "joined a run that is already under way, {} after its start",
                            seconds(Duration::from_micros(us).as_secs_f64())
                        )
                    }
                    Some(us) => format!(
                        "all workers are ready: started {us} us after the agreed time (store's clock ± {error_us} us)"
                    ),
                    None => "not waiting for other workers (no --expect-workers or --part)".to_owned(),
                };
                self.tell(Severity::Info, "fleet/start", text);
                let steps = self.controller.all_ready(Instant::now());
                return self.carry_out(steps);
            }
            News::WaitOver(missing) => {
                let who = if missing.is_empty() { "all workers".to_owned() } else { missing.join(", ") };
                let text = format!("--fleet-wait ran out; still missing: {who}. Nothing was opened");
                self.tell(Severity::Critical, "fleet/missing", text);
                let steps = self.controller.workers_missing();
                return self.carry_out(steps);
            }
            News::Held(held) => return self.held(held),
            News::Command(command) => return self.command(command),
            News::Refused(Refused::Old) => {
                let text = "a repeated command was ignored";
                self.tell(Severity::Warning, "fleet/repeated", text.to_owned());
            }
            News::Refused(Refused::Forged) => {
                let text = "a command with a wrong signature was ignored";
                self.tell(Severity::Warning, "fleet/forged", text.to_owned());
            }
            News::Away { why, number } => {
                let text = format!("the fleet's store is unreachable ({why}): this run goes on, unseen by the others");
                self.tell(Severity::Warning, &format!("fleet/away/{}", number.min(OUTAGES)), text);
            }
            News::Back { after, number } => {
                let text = format!("the fleet's store is back after {}", seconds(after.as_secs_f64()));
                self.tell(Severity::Info, &format!("fleet/back/{}", number.min(OUTAGES)), text);
            }
            News::Lost(names) => {
                let text = format!("no word from {} for 20 s", names.join(", "));
                self.tell(Severity::Warning, &format!("fleet/lost/{}", names.join("/")), text);
                if self.fleet.as_ref().is_some_and(|fleet| fleet.ends_on_loss) {
                    let steps = self.controller.workers_missing();
                    return self.carry_out(steps);
                }
            }
            News::Returned(names) => {
                let text = format!("{} {} back", names.join(", "), if names.len() == 1 { "is" } else { "are" });
                self.tell(Severity::Info, &format!("fleet/returned/{}", names.join("/")), text);
            }
            News::Displaced(taken) => {
                let text = format!("{taken}: this one was away too long; the fleet now counts the other");
                self.tell(Severity::Warning, "fleet/displaced", text);
            }
            News::OtherVersion(text) => self.tell(Severity::Warning, "fleet/version", text),
            News::LookedAt(number) => {
                if let Some(fleet) = &self.fleet {
                    fleet.feed(number, &mut self.state);
                }
            }
            News::ClientsLeft(gone) => {
                let left = "every client of the fleet has left";
                let (severity, text) = if gone.is_empty() {
                    (Severity::Info, left.to_owned())
                } else {
                    let gone = gone.join(", ");
                    (Severity::Warning, format!("{left}, or has been lost for longer than --fleet-wait: {gone}"))
                };
                self.tell(severity, "fleet/clients_left", text);
                let steps = self.controller.clients_left();
                return self.carry_out(steps);
            }
        }
        Ok(None)
    }

    fn tell(&mut self, severity: Severity, id: &str, text: String) {
        self.state.note(severity, id, text);
        self.view.dirty();
    }

    /// What the servers' guards allow here.
    fn held(&mut self, held: Option<Held>) -> Result<Option<End>, Failure> {
        let steps = self.controller.allow(&self.state, held.map(|held| held.allowed));
        self.note_bound();
        self.carry_out(steps)
    }

    /// Tells the model whose guard it is that would stop the ramp, where that has changed.
    pub(super) fn note_bound(&mut self) {
        let bound = self.controller.is_bound_by_fleet();
        if bound != self.state.fleet_binds() {
            self.state.fleet_bound(bound);
        }
    }

    /// A command of the fleet's screen; numbers are the whole fleet's.
    fn command(&mut self, command: FleetCommand) -> Result<Option<End>, Failure> {
        let client = self.state.engine(Role::Client).and_then(|client| client.stats.as_ref());
        let started_for = self.state.setup().target;
        // A client may hear of it before its first sample.
        let own = client.map(|client| started_for.unwrap_or(client.target));
        let Some(own) = own.or(started_for.filter(|_| self.controller.opens())) else {
            // A server closes with its clients.
            let steps = if command == FleetCommand::Close { self.controller.clients_close() } else { Vec::new() };
            if !steps.is_empty() {
                self.tell(Severity::Info, "fleet/command/close", "fleet command: close".to_owned());
            }
            return self.carry_out(steps);
        };
        let (obeyed, said) = match command {
            FleetCommand::Pause => (Obeyed::Pause(true), "pause".to_owned()),
            FleetCommand::Resume => (Obeyed::Pause(false), "resume".to_owned()),
            FleetCommand::Rate { .. } | FleetCommand::Target { .. } if command.has_no_base() => return Ok(None),
            FleetCommand::Rate { per_s, of } => {
                let part = per_s.and_then(|n| FleetCommand::part(n, own, of));
                let said = part.map_or("rate max".to_owned(), |n| format!("rate {}/s here", grouped(n)));
                (Obeyed::As(Action::Rate(part)), said)
            }
            FleetCommand::Target { connections, of } => {
                // Never beyond what this worker was started for.
                let part = FleetCommand::part(connections, own, of).map_or(own, |part| part.min(own));
                let said = format!("target {} here", grouped(part));
                match self.controller.set_target(&self.state, part) {
                    Ok(step) => (Obeyed::Told(step), said),
                    Err(why) => {
                        // Whoever commands does not see this run's screen.
                        let text = format!("fleet command refused: {said}: {why}");
                        self.view.say(&text);
                        self.tell(Severity::Warning, &format!("fleet/refused/{said}"), text);
                        return Ok(None);
                    }
                }
            }
            FleetCommand::Close => (Obeyed::As(Action::Close), "close".to_owned()),
        };
        self.tell(Severity::Info, &format!("fleet/command/{said}"), format!("fleet command: {said}"));
        match obeyed {
            Obeyed::Pause(pause) => self.pause(pause),
            Obeyed::Told(step) => self.tell_engine(step),
            Obeyed::As(action) => self.act(Some(action)),
        }
    }
}
