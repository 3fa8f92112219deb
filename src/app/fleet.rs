//! This run as a worker of a fleet: joined before anything is started, told of every sample, and what it hears carried out.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use super::message::Message;
use super::plan::Plan;
use super::state::State;
use super::{Failure, no_thread};
use crate::cli::{OnLostArg, RunArgs, WorkerArgs};
use crate::fleet::{Address, FleetCommand, Handle, Identity, Member, Terms, Token, WorkerRole, WorkerState};
use crate::model::{Model, RunPhase, Verdict};
use crate::record::Header;
use crate::units::grouped;

/// The variable that names the fleet, as `--fleet` does.
pub(super) const FLEET: &str = Address::VARIABLE;

/// The variable with the token that commands are signed with.
pub(super) const TOKEN: &str = "C1M_FLEET_TOKEN";

/// How long the others are waited for where nobody says.
const WAIT: Duration = Duration::from_mins(2);

/// A worker that has joined.
#[derive(Debug)]
pub(super) struct Fleet {
    handle: Handle,
    /// The fleet's name.
    pub(super) name: String,
    /// Whether the loss of another ends this run.
    pub(super) ends_on_loss: bool,
    /// How far this host's wall clock was ahead of the store's when it joined, microseconds.
    pub(super) clock_offset_us: i64,
    /// What is known of the run from its start.
    header: Option<Box<Header>>,
    ready: bool,
}

impl Fleet {
    /// A sample has been taken, which began `at` this moment: this is how things stand. The first says that everything is up.
    /// `begins_paused`: the start will not let it go.
    pub(super) fn publish(&mut self, model: &Model, at: Instant, begins_paused: bool) {
        let mut state = WorkerState::of(model, self.handle.who(), self.handle.now_us());
        if begins_paused {
            state.phase = RunPhase::Paused;
        }
        self.handle.publish(at, state);
        if !std::mem::replace(&mut self.ready, true) {
            self.handle.ready();
        }
    }

    /// This is known of the run from its start.
    pub(super) fn describe(&mut self, header: Header) {
        self.header = Some(Box::new(header));
    }

    /// Somebody looks at this run from the fleet's screen.
    pub(super) fn feed(&self, number: u64, state: &mut State) {
        let Some(header) = &self.header else { return };
        let to = self.handle.feed(number);
        state.feed(Header::clone(header), move |piece| to.send(piece));
    }

    /// The run is over.
    pub(super) fn leave(&mut self, verdict: Verdict) {
        self.handle.leave(Some(verdict));
    }
}

/// A worker that has joined, and what there is to say of it: an id and a sentence each.
type Joined = (Fleet, Vec<(&'static str, String)>);

/// Joins the fleet that the command line or the environment names; `None` where none is named.
pub(super) fn join(args: &RunArgs, plan: &Plan, to: SyncSender<Message>) -> Result<Option<Joined>, Failure> {
    let run = plan.server.is_some() || plan.client.is_some() || plan.attach.is_some();
    let Some(address) = address(args.worker.fleet.as_ref()).map_err(Failure::Usage)?.filter(|_| run) else {
        return refuse_without(&args.worker).map(|()| None);
    };
    let authority = authority(args.worker.fleet_ca.as_deref(), &address).map_err(Failure::Usage)?;
    let terms = Terms { wait: args.worker.fleet_wait.unwrap_or(WAIT), token: token() };
    let token = terms.token.is_some();
    let who = identity(args, plan);
    let member = Member::join(&address, authority.as_deref(), who, terms)
        .map_err(|e| Failure::Usage(format!("--fleet: {e}")))?;
    let clock_offset_us = member.clock_offset_us();
    let obeys = if token {
        "pauses, changes its rate and closes at the fleet's command"
    } else {
        "takes no commands (C1M_FLEET_TOKEN is not set)"
    };
    let notes = vec![("fleet", format!("This run is a worker of the fleet {address} and {obeys}."))];
    let handle = member
        .start(move |news| to.send(Message::Fleet(Box::new(news))).is_ok())
        .map_err(|e| no_thread::failure("the fleet's thread", &e))?;
    let ends_on_loss = args.worker.on_lost == Some(OnLostArg::Fail);
    let name = address.name().to_owned();
    Ok(Some((Fleet { handle, name, ends_on_loss, clock_offset_us, header: None, ready: false }, notes)))
}

/// Why a number of the whole fleet cannot be divided among its `clients`; `None` where it can.
pub(super) fn refuse(command: &FleetCommand, clients: usize) -> Option<String> {
    let share = |n: u64, what: &str| {
        let few = n < clients as u64;
        few.then(|| format!("a {what} of {} cannot be divided among {clients} clients", grouped(n)))
    };
    match *command {
        _ if command.has_no_base() => {
            Some("no client has named its target yet: give the command again in a moment".to_owned())
        }
        FleetCommand::Target { connections: 0, .. } => {
            Some("a target of 0 opens nothing; close closes every connection".to_owned())
        }
        FleetCommand::Target { connections, .. } => share(connections, "target"),
        FleetCommand::Rate { per_s: Some(per_s), .. } => share(per_s, "rate"),
        _ => None,
    }
}

/// The address of a fleet: the command line's, else the environment's.
pub(super) fn address(named: Option<&Address>) -> Result<Option<Address>, String> {
    if let Some(address) = named {
        return Ok(Some(address.clone()));
    }
    let Some(text) = Address::of_environment() else { return Ok(None) };
    let text = text.to_str().ok_or_else(|| format!("{FLEET} is not text"))?;
    text.parse().map(Some).map_err(|e| format!("{FLEET}: {e}"))
}

/// The token of the environment.
pub(super) fn token() -> Option<Token> {
    std::env::var_os(TOKEN).as_deref().map(OsStr::as_encoded_bytes).and_then(Token::new)
}

/// The certificates of a file.
pub(super) fn authority(path: Option<&Path>, address: &Address) -> Result<Option<Vec<u8>>, String> {
    let Some(path) = path else { return Ok(None) };
    let shown = path.display();
    if !address.is_tls() {
        return Err(format!("--fleet-ca {shown} does nothing with redis://, which is not encrypted: write rediss://"));
    }
    let bytes = fs::read(path).map_err(|e| format!("--fleet-ca {shown}: {e}"))?;
    let begins = b"-----BEGIN CERTIFICATE-----";
    if !bytes.windows(begins.len()).any(|window| window == begins) {
        return Err(format!("--fleet-ca {shown} has no certificate in it; it is a PEM file"));
    }
    Ok(Some(bytes))
}

/// Options of a worker that is none.
fn refuse_without(args: &WorkerArgs) -> Result<(), Failure> {
    let given = [
        ("--fleet-ca", args.fleet_ca.is_some()),
        ("--expect-workers", args.expect_workers.is_some()),
        ("--fleet-wait", args.fleet_wait.is_some()),
        ("--on-lost", args.on_lost.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((option, _)) => {
            Err(Failure::Usage(format!("{option} does nothing without --fleet or {FLEET}: add one, or leave it out")))
        }
        None => Ok(()),
    }
}

/// Who this worker is.
fn identity(args: &RunArgs, plan: &Plan) -> Identity {
    let role = match (plan.attach.is_some(), plan.server.is_some(), plan.client.is_some()) {
        (true, ..) => WorkerRole::Attach,
        (_, true, true) => WorkerRole::Both,
        (_, true, false) => WorkerRole::Server,
        _ => WorkerRole::Client,
    };
    let what = match (&args.client, &args.attach) {
        (Some(words), _) => words.join(":"),
        (None, Some(Some(selector))) => selector.to_string(),
        (None, _) => String::new(),
    };
    // As uname(2) has it in this namespace; a file that every kernel has.
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    Identity {
        id: String::new(),
        host: if host.is_empty() { "?".to_owned() } else { host },
        pid: std::process::id(),
        role,
        part: plan.part.filter(|_| role.connects()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        what,
        expects: args.worker.expect_workers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_cannot_be_divided_is_refused() {
        let target = |connections| FleetCommand::Target { connections, of: 1000 };
        let rate = |per_s| FleetCommand::Rate { per_s, of: 1000 };
        let why = |command| refuse(&command, 3).unwrap_or_default();
        assert!(why(target(0)).contains("close closes every connection"));
        assert_eq!(why(target(2)), "a target of 2 cannot be divided among 3 clients");
        assert_eq!(why(rate(Some(1))), "a rate of 1 cannot be divided among 3 clients");
        assert!(why(FleetCommand::Target { connections: 9, of: 0 }).contains("no client has named its target"));
        for command in [target(3), rate(Some(3)), rate(None), FleetCommand::Pause, FleetCommand::Close] {
            assert_eq!(refuse(&command, 3), None, "{command:?}");
        }
    }
}
