//! The names of a fleet's keys: one prefix with a schema version, so that nothing of another program is touched, and each with a
//! time to live.

use redis::Pipeline;

/// Version of what the keys hold. Programs of different versions do not meet.
const SCHEMA: u32 = 1;

/// How long what a run leaves behind can be looked at, milliseconds.
pub(super) const KEPT_MS: u64 = 3_600_000;

/// Between two times that somebody lets all that a run leaves behind live on, milliseconds.
pub(super) const RENEW_MS: u64 = 60_000;

/// How long a claim (the run's name, a part's number) holds without being renewed, milliseconds. It is renewed every three
/// seconds.
pub(super) const CLAIM_MS: u64 = 15_000;

/// How long somebody looks at a worker's own dashboard without saying so again, milliseconds. It is said every two seconds.
pub(super) const LOOKS_MS: u64 = 10_000;

/// Lets a key end by itself.
pub(super) fn mortal(pipe: &mut Pipeline, key: &str) {
    pipe.cmd("PEXPIRE").arg(key).arg(KEPT_MS).ignore();
}

/// The keys of a fleet, and of one of its runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keys {
    fleet: String,
    run: String,
}

impl Keys {
    pub(super) fn new(fleet: &str, run: &str) -> Self {
        Self { fleet: fleet.to_owned(), run: run.to_owned() }
    }

    fn of_run(&self, what: &str) -> String {
        format!("c1m-top:{SCHEMA}:{}:{}:{what}", self.fleet, self.run)
    }

    /// The run's id.
    pub(super) fn run_id(&self) -> &str {
        &self.run
    }

    /// The fleet's name.
    pub(super) fn fleet(&self) -> &str {
        &self.fleet
    }

    /// The id of the run that goes on.
    pub(super) fn run_of(fleet: &str) -> String {
        format!("c1m-top:{SCHEMA}:{fleet}:run")
    }

    /// The id of the run that was last.
    pub(super) fn last_of(fleet: &str) -> String {
        format!("c1m-top:{SCHEMA}:{fleet}:last")
    }

    /// What a worker last said of itself.
    pub(super) fn worker(&self, id: &str) -> String {
        self.of_run(&format!("worker:{id}"))
    }

    /// Somebody looks at this worker's own dashboard.
    pub(super) fn looked_at(&self, id: &str) -> String {
        self.of_run(&format!("looked_at:{id}"))
    }

    /// A list: the pieces of a worker's own run, for those who look at it.
    pub(super) fn feed(&self, id: &str, number: u64) -> String {
        self.of_run(&format!("feed:{id}:{number}"))
    }

    /// A set: the ids of all who have come.
    pub(super) fn workers(&self) -> String {
        self.of_run("workers")
    }

    /// A sorted set: the ids of those that are ready or running, with when each was heard of.
    pub(super) fn alive(&self) -> String {
        self.of_run("alive")
    }

    /// The same of parts, by their numbers, while they wait.
    pub(super) fn ready_parts(&self) -> String {
        self.of_run("ready_parts")
    }

    /// How often a worker has become ready so far.
    pub(super) fn became_ready(&self) -> String {
        self.of_run("became_ready")
    }

    /// A set: all who have come and not left.
    pub(super) fn present(&self) -> String {
        self.of_run("present")
    }

    /// The program's version of who came first.
    pub(super) fn version(&self) -> String {
        self.of_run("version")
    }

    /// A set: the clients that were ready and have not left.
    pub(super) fn clients(&self) -> String {
        self.of_run("clients")
    }

    /// How often one has come there so far.
    pub(super) fn clients_came(&self) -> String {
        self.of_run("clients_came")
    }

    /// A set: the clients that want more connections, and share the room that the server has.
    pub(super) fn ramping(&self) -> String {
        self.of_run("ramping")
    }

    /// How many have joined these so far.
    pub(super) fn joined(&self) -> String {
        self.of_run("joined")
    }

    /// Somebody has let all keys of the run live on just now.
    pub(super) fn renewed(&self) -> String {
        self.of_run("renewed")
    }

    /// When all start, by the store's clock.
    pub(super) fn start(&self) -> String {
        self.of_run("start")
    }

    /// A hash: what each server's guard says.
    pub(super) fn hold(&self) -> String {
        self.of_run("hold")
    }

    /// A hash: what each client is given and has not used yet, and the sum (no name).
    pub(super) fn given(&self) -> String {
        self.of_run("given")
    }

    /// Who has a part.
    pub(super) fn part(&self, number: u32) -> String {
        self.of_run(&format!("part:{number}"))
    }

    /// A sorted set: signed commands by their counters.
    pub(super) fn commands(&self) -> String {
        self.of_run("commands")
    }

    /// All that live as long as the run can be looked at, but for the workers' own.
    pub(super) fn shared(&self) -> [String; 14] {
        [
            self.workers(),
            self.alive(),
            self.present(),
            self.ready_parts(),
            self.became_ready(),
            self.version(),
            self.clients(),
            self.clients_came(),
            self.ramping(),
            self.joined(),
            self.start(),
            self.hold(),
            self.given(),
            self.commands(),
        ]
    }
}
