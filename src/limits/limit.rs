//! A limit as it stands, for whoever shows it.

use serde::{Deserialize, Serialize};

use crate::units;

use super::cure::OnDemand;
use super::{Descriptor, LimitId};

/// Characters of the longest name of a limit: a column of a panel.
pub const NAME: usize = 22;

/// How a limit's numbers are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Things.
    #[default]
    Count,
    /// Bytes.
    Bytes,
    /// Bits per second.
    BitsPerSecond,
    /// Seconds.
    Seconds,
    /// Things per second.
    PerSecond,
}

impl Unit {
    /// A number of it, for people.
    pub fn write(self, n: u64) -> String {
        match self {
            // file-max and cgroups write "no limit" as a number near 2^63.
            _ if n >= 1 << 60 => "no limit".to_owned(),
            Unit::Count => units::grouped(n),
            Unit::Bytes => units::bytes(n),
            Unit::BitsPerSecond => units::bits_per_s(n),
            Unit::Seconds => units::seconds(n as f64),
            Unit::PerSecond => units::grouped(n) + "/s",
        }
    }
}

/// How near a limit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitState {
    /// Does not bound this run.
    NotApplicable,
    /// Cannot be read.
    Unknown,
    /// Far.
    Ok,
    /// Near, or reached before the target at the present slope.
    Warn,
    /// About to be reached.
    Critical,
    /// Reached: something failed because of it.
    Hit,
}

impl LimitState {
    /// The word beside the colour: an alarm is a colour and a word.
    pub fn word(self) -> &'static str {
        match self {
            LimitState::NotApplicable => "n/a",
            LimitState::Unknown => "unknown",
            LimitState::Ok => "ok",
            LimitState::Warn => "warn",
            LimitState::Critical => "CRITICAL",
            LimitState::Hit => "HIT",
        }
    }
}

/// When a limit comes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forecast {
    /// Too few points.
    NotYet,
    /// Its use does not grow with connections.
    Never,
    /// Nothing counts against it now (conntrack without a rule).
    NotTracking,
    /// Reached at this count.
    At {
        /// Connections.
        connections: u64,
        /// Half width of the uncertainty, connections.
        plus_minus: u64,
        /// Seconds left at the present rate; `None` while the count stands still.
        seconds: Option<f64>,
    },
}

impl Forecast {
    /// The forecast count, if there is one.
    pub fn connections(self) -> Option<u64> {
        match self {
            Forecast::At { connections, .. } => Some(connections),
            _ => None,
        }
    }

    /// Half width of its uncertainty, connections.
    pub fn plus_minus(self) -> Option<u64> {
        match self {
            Forecast::At { plus_minus, .. } => Some(plus_minus),
            _ => None,
        }
    }
}

/// One limit now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Its words; in a record its id.
    #[serde(rename = "id", with = "by_id")]
    pub info: &'static Descriptor,
    /// Whose it is: `host`, `server`, `client`, a cgroup's path, `network namespace of 4021`.
    pub scope: String,
    /// What its numbers count: a runtime bounds ports or bytes, under one name.
    pub unit: Unit,
    /// Use now; `None` when it cannot be read.
    pub used: Option<u64>,
    /// The bound; `None` when there is none or it cannot be read.
    pub limit: Option<u64>,
    /// How near.
    pub state: LimitState,
    /// When it comes.
    pub forecast: Forecast,
    /// What one connection adds to its use, own unit; `None` where that has not been measured or it does not grow.
    pub per_connection: Option<f64>,
    /// Why it is unknown or not applicable; or what was seen when it was hit.
    pub reason: Option<String>,
    /// Where, or how long, in a word or two, for a row that comes at no count: `port 9900`, `survives 28 s`.
    pub place: Option<String>,
    /// What an alarm adds to its sentence.
    pub note: Option<String>,
    /// How it is known to be reached, if no failed call, counter or death shows it.
    pub met: Option<String>,
    /// What raises it on this machine.
    pub cure: OnDemand,
}

/// A descriptor is written as the id that leads to it.
mod by_id {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Descriptor, LimitId};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference to the field")]
    pub(super) fn serialize<S: Serializer>(info: &&'static Descriptor, to: S) -> Result<S::Ok, S::Error> {
        info.id.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<&'static Descriptor, D::Error> {
        LimitId::deserialize(from).map(LimitId::descriptor)
    }
}

impl Limit {
    /// The row of a limit: that of `scope` if there is one, else the first.
    pub fn row<'a>(rows: &'a [Self], id: LimitId, scope: Option<&str>) -> Option<&'a Self> {
        let mut rows = rows.iter().filter(|l| l.info.id == id);
        rows.clone().find(|l| scope == Some(l.scope.as_str())).or_else(|| rows.next())
    }

    /// Whether it is this one, of this scope.
    pub fn is(&self, id: LimitId, scope: &str) -> bool {
        self.info.id == id && self.scope == scope
    }

    /// What people call it, and whose it is where each process has one: `server: open files`.
    pub fn name(&self) -> String {
        self.info.name_of(&self.scope)
    }

    /// The same for a column: at most [`NAME`] characters.
    pub fn short_name(&self) -> String {
        self.info.short_name_of(&self.scope)
    }

    /// Use and bound, with its label: `conntrack table 8,000 of 8,000`; `None` where either is missing.
    pub fn numbers(&self) -> Option<String> {
        let (used, limit) = (self.used?, self.limit?);
        Some(format!("{} {} of {}", self.info.label, self.unit.write(used), self.unit.write(limit)))
    }

    /// The same in brackets, with a space in front.
    pub fn in_brackets(&self) -> String {
        self.numbers().map_or(String::new(), |numbers| format!(" ({numbers})"))
    }

    /// Use as a share of the bound, 0 to 1 and over; `None` where either is missing.
    pub fn share(&self) -> Option<f64> {
        match (self.used, self.limit) {
            (Some(used), Some(limit)) if limit > 0 => Some(used as f64 / limit as f64),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_their_unit() {
        assert_eq!(Unit::Count.write(65_536), "65,536");
        assert_eq!(Unit::Bytes.write(1 << 30), "1.00 GiB");
        assert_eq!(Unit::BitsPerSecond.write(1_600_000_000), "1.60 Gbit/s");
        assert_eq!(Unit::Seconds.write(90), "1 min 30 s");
        assert_eq!(Unit::PerSecond.write(72_000), "72,000/s");
        assert_eq!(Unit::Count.write(i64::MAX as u64), "no limit");
    }
}
