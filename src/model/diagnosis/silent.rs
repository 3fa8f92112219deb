//! Engines that do not run: stopped, frozen, or getting no CPU.

use crate::model::event::{Event, Kind, Severity};
use crate::protocol::Role;
use crate::sample::Watched;
use crate::units;

use super::{Facts, Say};

/// An engine that was silent in the last sample.
#[derive(Debug, Clone, Copy)]
struct Silent {
    role: Role,
    /// For how long then, milliseconds.
    ms: u64,
    told: bool,
}

/// Who was silent.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch {
    silent: Vec<Silent>,
}

impl Watch {
    pub(super) fn update(&mut self, facts: &Facts<'_>, say: Say<'_>) {
        for before in std::mem::take(&mut self.silent) {
            let Some(engine) = facts.sample.living().find(|w| w.role() == Some(before.role)) else { continue };
            if before.told && facts.now.silent_ms(before.role).is_none() && !engine.is_ending() {
                let name = before.role.name();
                let text =
                    format!("the {name} engine is running again; it was silent for {}", units::millis(before.ms));
                say(Event::new(Kind::Stall, Severity::Info, format!("silent/{name}/over"), text));
            } else {
                self.silent.push(before);
            }
        }
        for stale in &facts.now.stale {
            match self.silent.iter_mut().find(|s| s.role == stale.role) {
                // One look is not enough: where everything stood still, this program woke first.
                None => self.silent.push(Silent { role: stale.role, ms: stale.silent_ms, told: false }),
                Some(known) => {
                    known.ms = stale.silent_ms;
                    if !std::mem::replace(&mut known.told, true) {
                        say(event(facts, stale.role, stale.silent_ms));
                    }
                }
            }
        }
        self.silent.retain(|s| s.told || facts.now.silent_ms(s.role).is_some());
    }
}

fn event(facts: &Facts<'_>, role: Role, silent_ms: u64) -> Event {
    let name = role.name();
    let engine = facts.sample.living().find(|w| w.role() == Some(role));
    let pid = engine.map_or(0, |e| e.pid);
    let why = match engine {
        Some(Watched { process, .. }) if process.stopped => {
            format!("stopped by a signal or a debugger; kill -CONT {pid} resumes it")
        }
        _ => "frozen, or getting no CPU".to_owned(),
    };
    let text = format!(
        "the {name} engine {pid} has been silent for {}: {why}. Its figures are stale until it runs again; the \
         kernel's are live",
        units::millis(silent_ms)
    );
    Event::new(Kind::Stall, Severity::Warning, format!("silent/{name}"), text).proved("silent_ms", silent_ms)
}
