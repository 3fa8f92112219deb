//! What a target needs of a limit, before any connection.

use serde::{Serialize, Serializer};

use crate::sample::{Absent, Kernel, Process, Reading};

use super::LimitId;
use super::ask::{Ask, OwnEngines, Program, Side, Surroundings};
use super::cure::Cure;
use super::limit::Unit;
use crate::units::whole;

/// Whether a limit is large enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Large enough.
    Fits,
    /// The run meets it before the target.
    TooSmall,
    /// The target is reached, but slower or less smoothly than need be.
    Caution,
    /// Does not bound this run.
    NotApplicable,
    /// Cannot be known beforehand.
    Unknown,
}

impl Verdict {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Fits => "fits",
            Verdict::TooSmall => "TOO SMALL",
            Verdict::Caution => "caution",
            Verdict::NotApplicable => "not applicable",
            Verdict::Unknown => "unknown",
        }
    }
}

/// All that is known before a run.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// What the run is to be.
    pub ask: &'a Ask,
    /// The machine.
    pub kernel: &'a Kernel,
    /// What of it no sample tells.
    pub around: &'a Surroundings,
}

/// Who keeps one end of the connections open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holder<'a> {
    pub(super) role: &'static str,
    pub(super) program: Program,
    /// Listeners in each of its tables.
    pub(super) listeners: u64,
    /// The process whose limits it has: itself, or who will start it.
    pub(super) process: Option<&'a Process>,
}

impl Given<'_> {
    /// Server first, client second.
    pub(super) fn holders(&self) -> Vec<Holder<'_>> {
        let (ask, processes) = (self.ask, &self.kernel.processes);
        // c1m-top listens on both families, but on loopback alone where its own client targets that.
        let families = if ask.role == Side::Both { 1 } else { 2 };
        let listeners = u64::from(ask.ports) * families;
        // The running program comes first, this process last.
        let process = |program| if program == Program::Own { processes.last() } else { processes.first() };
        let mut found = Vec::new();
        if ask.accepts() {
            found.push(Holder { role: "server", program: ask.program, listeners, process: process(ask.program) });
        }
        if ask.connects() {
            let program = if ask.accepts() { Program::Own } else { ask.program };
            found.push(Holder { role: "client", program, listeners: 0, process: process(program) });
        }
        found
    }

    /// The first of them that is another program, and its processes.
    pub(super) fn other(&self) -> Option<(Holder<'_>, u64)> {
        self.holders().into_iter().find_map(|holder| match holder.program {
            Program::Other { processes } => Some((holder, processes.max(1))),
            Program::Own => None,
        })
    }

    /// How large a limit has to be for the run to use so much of it, below the share at which its guard holds.
    pub(super) fn guarded(&self, used: u64) -> u64 {
        whole((used as f64 / self.ask.share()).ceil())
    }

    /// So much of a limit can be used before the run's guard holds.
    pub(super) fn usable(&self, limit: u64) -> u64 {
        whole(limit as f64 * self.ask.share())
    }

    /// Sockets of this machine at the target.
    pub(super) fn sockets(&self) -> u64 {
        self.ask.target.saturating_mul(self.ask.ends())
    }

    /// The count at which so much room is used up by both ends.
    pub(super) fn count_of(&self, room: u64) -> u64 {
        room / self.ask.ends()
    }
}

impl OwnEngines {
    /// Descriptors that each table of an engine needs besides connections.
    pub(super) fn fixed(self, listeners: u64) -> u64 {
        listeners + self.table_own
    }
}

/// Worker threads that hold `target` connections with tables of `table`; `None` where a table holds none.
pub(super) fn tables(target: u64, table: u64, fixed: u64) -> Option<u64> {
    table.checked_sub(fixed).filter(|room| *room > 0).map(|room| target.div_ceil(room))
}

/// One limit against a target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Need {
    /// Which limit.
    pub id: LimitId,
    /// What it belongs to.
    pub scope: String,
    /// What its numbers count.
    pub unit: Unit,
    /// Present value.
    pub present: Option<u64>,
    /// Value that the target needs.
    pub needed: Option<u64>,
    /// Whether it is enough.
    pub verdict: Verdict,
    /// The count of connections at which it is met.
    pub met_at_connections: Option<u64>,
    /// Whether the run fails where it is met; else it goes on more slowly or less smoothly.
    pub fails: bool,
    /// Why; or how the numbers come about.
    pub reason: Option<String>,
    /// What raises it on this machine; nothing where nothing needs to be.
    #[serde(serialize_with = "sentence")]
    pub cure: Cure,
    /// What is counted, where that is not what the setting counts: ` connections`.
    #[serde(skip)]
    pub of_what: &'static str,
}

/// In the machine interface a cure of `check` is its sentence, or null.
fn sentence<S: Serializer>(cure: &Cure, serializer: S) -> Result<S::Ok, S::Error> {
    if cure.is_empty() { serializer.serialize_none() } else { serializer.collect_str(cure) }
}

impl Need {
    /// A limit about which there is nothing to say, or nothing can be said.
    pub(super) fn without(id: LimitId, verdict: Verdict, why: impl Into<String>) -> Self {
        Self {
            id,
            scope: String::new(),
            unit: id.descriptor().unit,
            present: None,
            needed: None,
            verdict,
            met_at_connections: None,
            fails: true,
            reason: Some(why.into()),
            cure: Cure::none(),
            of_what: "",
        }
    }

    pub(super) fn unknown(id: LimitId, why: &Absent) -> Self {
        Self::without(id, Verdict::Unknown, why.to_string())
    }

    /// Does not bound this run.
    pub(super) fn not_applicable(id: LimitId, why: impl Into<String>) -> Self {
        Self::without(id, Verdict::NotApplicable, why)
    }

    /// A limit of which `needed` has to fit into `present`.
    pub(super) fn compare(id: LimitId, scope: impl Into<String>, present: u64, needed: u64) -> Self {
        let verdict = if needed <= present { Verdict::Fits } else { Verdict::TooSmall };
        Self {
            scope: scope.into(),
            present: Some(present),
            needed: Some(needed),
            reason: None,
            ..Self::without(id, verdict, "")
        }
    }

    pub(super) fn of(self, scope: impl Into<String>) -> Self {
        Self { scope: scope.into(), ..self }
    }

    pub(super) fn met_at(self, connections: u64) -> Self {
        // A limit that is not there is never met.
        let met_at_connections = (self.present.is_none_or(|p| p < 1 << 60)).then_some(connections);
        Self { met_at_connections, ..self }
    }

    pub(super) fn because(self, why: impl Into<String>) -> Self {
        Self { reason: Some(why.into()), ..self }
    }

    /// Fails nothing: too small is a caution.
    pub(super) fn mild(mut self) -> Self {
        self.fails = false;
        if self.verdict == Verdict::TooSmall {
            self.verdict = Verdict::Caution;
        }
        self
    }

    /// Whether something should be done.
    pub fn is_short(&self) -> bool {
        matches!(self.verdict, Verdict::TooSmall | Verdict::Caution)
    }

    /// What is done where it is too small.
    pub(super) fn cured<C: Into<Cure>>(mut self, cure: impl FnOnce() -> C) -> Self {
        if self.is_short() {
            self.cure = cure().into();
        }
        self
    }

    /// Its name for people.
    pub fn label(&self) -> &'static str {
        self.id.descriptor().label
    }
}

/// What was read of a limit; where it could not be, a row that says why.
pub(super) fn known<'r, T>(id: LimitId, reading: &'r Reading<T>, out: &mut Vec<Need>) -> Option<&'r T> {
    reading.as_ref().map_err(|why| out.push(Need::unknown(id, why))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_none_is_never_met() {
        let need = Need::compare(LimitId::FileMax, "host", i64::MAX as u64, 5).met_at(7);
        assert_eq!((need.verdict, need.met_at_connections), (Verdict::Fits, None));
    }
}
