//! Connections that the other end closes though the client holds on to them: a server that takes more than it keeps looks
//! healthy otherwise, for each of its accepts succeeds.

use crate::model::event::{Event, Kind, Severity};
use crate::protocol::Role;
use crate::units;

use super::{Facts, Say};

/// Fewer than this are worth knowing, not a warning: a connection may break.
const FEW: u64 = 5;

/// What was seen last.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch {
    /// The client's process, and how many it had lost.
    last: Option<(u32, u64)>,
}

impl Watch {
    pub(super) fn update(&mut self, facts: &Facts<'_>, say: Say<'_>) {
        let Some(client) = facts.sample.engine(Role::Client) else { return };
        let known = self.last.filter(|last| last.0 == client.pid).map_or(0, |last| last.1);
        self.last = Some((client.pid, client.lost));
        let step = client.lost.saturating_sub(known);
        // The end of a run closes everything, and so does a server that dies.
        if step == 0 || facts.ending() || facts.server_gone() {
            return;
        }
        let text = format!(
            "the other end has closed {} of {} connections this client opened: it has a maximum (nginx: \
             worker_connections), or a timeout for idle ones",
            units::grouped(client.lost),
            units::grouped(client.opened)
        );
        let severity = if client.lost < FEW { Severity::Info } else { Severity::Warning };
        say(Event::new(Kind::Stall, severity, "lost", text).times(step).proved("lost", client.lost));
    }
}
