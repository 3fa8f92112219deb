//! Messages that do not leave when they are due: the load is not the one that was asked for.

use crate::model::event::{Event, Kind, Severity};
use crate::protocol::Role;
use crate::units;

use super::{Facts, Say};

/// Whether it has been said.
#[derive(Debug, Clone, Default)]
pub(super) struct Told(bool);

impl Told {
    pub(super) fn update(&mut self, facts: &Facts<'_>, say: Say<'_>) {
        let traffic = facts.sample.engine(Role::Client).and_then(|c| c.traffic);
        let Some(traffic) = traffic.filter(|_| facts.outcome.late() && !self.0) else { return };
        self.0 = true;
        let text = format!(
            "for five seconds more than 1 % of messages have been sent late (by more than a tenth of --every) or not \
             at all; lately {:.0} % ({} active connections, a message of {} every {}). This is not the load you \
             asked for: use fewer active connections (--active), a longer --every, smaller messages (--message) or \
             more cores",
            facts.outcome.late_share() * 100.0,
            units::grouped(traffic.active),
            units::bytes(traffic.message),
            units::seconds(traffic.every_us as f64 / 1e6),
        );
        let event = Event::new(Kind::Stall, Severity::Critical, "late", text);
        say(event.proved("overdue", traffic.overdue).proved("skipped", traffic.skipped).proved("sent", traffic.sent));
    }
}
