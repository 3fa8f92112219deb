//! The end of a run, in the order in which it must be: the engines end, what they died of is known, the summary is written,
//! the sysctls are put back.

use std::time::Duration;

use super::metrics::Metrics;
use super::session::{End, Session};
use super::watcher::Order;
use super::{Failure, replay, runs};
use crate::engine::main_loop::LAST_CLOSE;
use crate::model::{Expect, Severity};
use crate::protocol::Command;

/// How long an engine may take to end once told to. Its sockets are closed by then, as a rule.
const PATIENCE: Duration = Duration::from_secs(3);

/// The same where the program leaves at once: the engine still resets what it can, and a terminal that has gone ends all within
/// a second.
const HASTE: Duration = LAST_CLOSE.saturating_add(Duration::from_millis(200));

/// Ends a run whose loop has ended: its engines, then the terminal, then the summary, held against what was expected; none where
/// the run could not begin. The sysctls are put back when it returns, and its metrics have their last figures. The exit status
/// comes back.
pub(super) fn finish(
    mut session: Session,
    end: Result<End, Failure>,
    expect: &[Expect],
    metrics: Option<&Metrics>,
) -> Result<u8, Failure> {
    stop_engines(&mut session, matches!(end, Ok(End::AtOnce)));
    if let Err(failure @ Failure::Usage(_)) = end {
        session.state.discard();
        return Err(failure);
    }
    let verdict = session.controller.verdict(&session.state);
    let mut summary = session.state.summary(verdict);
    summary.expectations = replay::hold(expect, &summary);
    session.state.finish(&summary);
    if let Some(metrics) = metrics {
        metrics.over(&session.state, verdict);
    }
    // What it has grown to may leave no room for the oldest.
    if let Ok(dir) = runs::directory() {
        runs::prune(&dir, 0);
    }
    let written = session.view.summary(session.state.for_output(), &summary);
    if let Some(fleet) = &mut session.fleet {
        fleet.leave(verdict);
    }
    written?;
    // Of several ways in which a run is no success the verdict's counts more.
    let expected = replay::status(&summary.expectations);
    end.map(|_| if verdict.status() == 0 { expected } else { verdict.status() })
}

/// Ends the engines that this program started, and finds out what those that were killed died of.
fn stop_engines(session: &mut Session, haste: bool) {
    if session.processes.has_own() {
        session.probe.give(Order::Tell(None, Command::Stop));
    }
    let silent: Vec<u32> = session.state.engines().iter().filter(|e| e.alive && e.silent).map(|e| e.pid).collect();
    let patience = |pid| if haste || silent.contains(&pid) { HASTE } else { PATIENCE };
    let killed = session.processes.finish(patience);
    let ended = session.processes.take_ended();
    session.note_deaths(ended);
    for pid in killed {
        let name = session.name(pid);
        let text = format!("the {name} engine {pid} did not end when asked, and was killed");
        session.state.note(Severity::Warning, &format!("killed/{name}"), text);
    }
}
