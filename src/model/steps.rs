//! The steps that a sample goes through, each of which needs what the one before returns: observed, learnt from, judged,
//! told. So their order is the compiler's to keep.

use crate::limits::{Context, Counters, Headroom, Limit, Noted, Oom};
use crate::sample::Sample;

use super::SPARE;
use super::cost::{Cost, CostTrends};
use super::death::Witness;
use super::diagnosis::{Diagnosis, Facts};
use super::engine::{Death, Roster};
use super::event::EventLog;
use super::failures::Failures;
use super::guard::Guard;
use super::history::{History, View};
use super::kernel_log::KernelLog;
use super::now::{self, Now, Pace, RunPhase};
use super::outcome::Outcome;
use super::program::ProgramLog;
use super::run::RunLog;
use super::table::{LimitTable, Seen};

/// First step: what samples show, before anything is concluded.
#[derive(Debug, Clone, Default)]
pub(super) struct Observer {
    pace: Pace,
    pub(super) roster: Roster,
    pub(super) counters: Counters,
    pub(super) failures: Failures,
    pub(super) log: KernelLog,
    pub(super) noted: Noted,
    pub(super) program: ProgramLog,
}

/// A sample, observed.
pub(super) struct Moment<'a> {
    /// As it was taken.
    pub(super) sample: &'a Sample,
    /// What holds now.
    pub(super) now: Now,
    /// An engine is on its way out: nothing is learnt from what its counters say.
    pub(super) old: bool,
    /// Connections are counted from another source than before.
    pub(super) restarted: bool,
}

impl Moment<'_> {
    /// Whether an engine has died: what the kernel frees behind it says nothing of a run.
    pub(super) fn is_over(&self) -> bool {
        self.now.phase == RunPhase::EngineDied
    }
}

impl Observer {
    /// With so many milliseconds between two outputs.
    pub(super) fn new(interval_ms: u64) -> Self {
        Self { pace: Pace::new(interval_ms), ..Self::default() }
    }

    /// Takes a sample; `before` is what was true at the last one, if there was one.
    pub(super) fn take<'a>(&mut self, sample: &'a Sample, target: Option<u64>, before: Option<&Now>) -> Moment<'a> {
        let now = self.pace.now(sample, target);
        self.roster.update(sample);
        self.counters.update(sample);
        self.failures.update(sample);
        self.log.update(sample);
        self.noted.update(sample);
        self.program.update(sample);
        let old = now::engine_dies(sample);
        let restarted = now.phase != RunPhase::EngineDied && before.is_some_and(|b| b.source != now.source);
        Moment { sample, now, old, restarted }
    }
}

/// Second step: what a connection costs, and how much memory is left.
#[derive(Debug, Clone, Default)]
pub(super) struct Learning {
    trends: CostTrends,
    cost: Cost,
    headroom: Option<Headroom>,
}

/// What has been learnt so far.
#[derive(Clone, Copy)]
pub(super) struct Learnt<'a> {
    pub(super) cost: &'a Cost,
    pub(super) headroom: Option<Headroom>,
}

impl Learning {
    pub(super) fn take(&mut self, moment: &Moment<'_>) -> Learnt<'_> {
        if moment.restarted {
            // Counts of another source are of other connections: what grew with those says nothing of these.
            self.trends = CostTrends::default();
        }
        self.headroom = Headroom::of(&moment.sample.kernel, self.headroom);
        // While an engine does not run a connection costs less than it will; what is freed is not what it cost.
        let closes = matches!(moment.now.phase, RunPhase::Closing | RunPhase::Closed);
        if !moment.is_over() && !moment.old && !closes && moment.now.stale.is_empty() {
            self.trends.update(moment.sample, moment.now.connections);
            self.cost = self.trends.cost(moment.sample);
        }
        self.learnt()
    }

    pub(super) fn learnt(&self) -> Learnt<'_> {
        Learnt { cost: &self.cost, headroom: self.headroom }
    }
}

/// Third step: the limits, what the guard makes of them, and the chart.
#[derive(Debug, Clone, Default)]
pub(super) struct Outlook {
    pub(super) table: LimitTable,
    pub(super) guard: Guard,
    pub(super) history: History,
}

/// The limits, judged at this moment.
pub(super) struct Judged<'a> {
    limits: &'a [Limit],
    guard: &'a Guard,
}

impl Outlook {
    pub(super) fn take(
        &mut self,
        moment: &Moment<'_>,
        learnt: &Learnt<'_>,
        seen: &Observer,
        deaths: &[Death],
        merged: bool,
    ) -> Judged<'_> {
        if moment.restarted {
            self.table.restart();
            self.history.restart();
        }
        let context = Context {
            sample: moment.sample,
            headroom: learnt.headroom,
            counters: &seen.counters,
            both_ends: learnt.cost.both_ends,
            cost: learnt.cost.total,
            noted: &seen.noted,
        };
        let spare = SPARE / self.guard.share();
        let failures = seen.failures.risen();
        // Limits are of one machine each: the parts of a merged run have judged theirs.
        if !merged {
            self.table.update(&context, &moment.now, Seen { failures, deaths, old: moment.old, spare });
        }
        if !moment.is_over() && !merged {
            self.guard.update(&moment.now, self.table.guard_inputs());
        }
        let view = view(moment.sample, &moment.now, &self.table, *learnt, self.guard.share());
        self.history.update(moment.sample, &view);
        Judged { limits: self.table.limits(), guard: &self.guard }
    }
}

/// What the chart needs besides its history.
pub(super) fn view<'a>(
    sample: &'a Sample,
    now: &'a Now,
    table: &'a LimitTable,
    learnt: Learnt<'_>,
    guard_share: f64,
) -> View<'a> {
    let program = sample.kernel.program.as_ref().map(|program| program.name.as_str());
    let group = table.limits().iter().find(|l| l.info.oom == Some(Oom::Cgroup));
    View {
        now,
        limits: table.limits(),
        headroom: learnt.headroom,
        total: if program.is_some() { learnt.cost.user } else { learnt.cost.total },
        program,
        charged: group.and_then(|g| table.slope(g.info.id, &g.scope)),
        both_ends: learnt.cost.both_ends,
        guard_share,
    }
}

/// Last step: what is said of it, and what the run comes to.
#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    pub(super) diagnosis: Diagnosis,
    pub(super) outcome: Outcome,
    pub(super) witness: Witness,
    pub(super) run: RunLog,
    pub(super) events: EventLog,
    pub(super) deaths: Vec<Death>,
}

impl Account {
    /// Takes a moment; samples should come `interval_ms` apart (0: unknown).
    /// Of a merged run the parts have told what happened.
    pub(super) fn take(
        &mut self,
        moment: &Moment<'_>,
        judged: &Judged<'_>,
        seen: &Observer,
        interval_ms: u64,
        merged: bool,
    ) {
        if moment.restarted {
            self.run.restart();
        }
        let (sample, now) = (moment.sample, &moment.now);
        self.outcome.update(sample, now, judged.limits);
        let facts = Facts {
            sample,
            now,
            limits: judged.limits,
            failures: seen.failures.risen(),
            counters: &seen.counters,
            log: &seen.log,
            guard: judged.guard,
            outcome: &self.outcome,
            program: &seen.program,
            noted: &seen.noted,
        };
        if !merged {
            self.diagnosis.update(&facts, &mut self.events);
        }
        self.run.update(sample, now, judged.limits, interval_ms);
        self.witness.update(sample, now);
    }
}
