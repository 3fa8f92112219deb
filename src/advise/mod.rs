//! What a target needs of this machine, before any connection: needs against a [`Kernel`], verdicts, and the settings that
//! cure. Pure: what the kernel said and the [`Surroundings`] come in, rows and texts go out.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `catalogue` | every limit there is, in words |
//! | `table` | the report as text |
//! | `proposal` | the settings that make the target fit, as files |
//! | `obsolete` | keys of the running configuration that do nothing, or harm |
//! | `state` | what `tune --apply` changed, so that it can be put back |

#![expect(clippy::cast_precision_loss, reason = "bytes of a target's connections, far below 2^52")]

pub mod catalogue;
pub mod obsolete;
pub mod proposal;
pub mod state;
pub mod table;

use serde::Serialize;

pub use crate::limits::{Addresses, Ask, Measured, OwnEngines, Program, Side, Surroundings, Traffic};
use crate::limits::{Given, LimitId, Need, Verdict, needs, per_connection};
use crate::sample::{Kernel, Machine};
use crate::units::whole;

pub use proposal::Proposal;

/// Everything found out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Always `check`.
    pub kind: &'static str,
    /// This machine.
    pub machine: Machine,
    /// Connections asked for.
    pub target: u64,
    /// Which ends are on this machine.
    pub role: Side,
    /// Whose program holds them: `c1m-top` or `other`.
    pub program: &'static str,
    /// Whether no limit is too small.
    pub fits: bool,
    /// The limit that the run meets first, or would meet first beyond the target.
    pub first_limit: Option<First>,
    /// Kernel memory of all connections on this machine, bytes, and what the program itself needs where that was named.
    pub memory_needed_bytes: u64,
    /// Payload in each direction, bits per second.
    pub bandwidth_bits_per_s: u64,
    /// Every limit.
    pub limits: Vec<Need>,
}

/// The limit that comes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct First {
    /// Its id.
    pub id: LimitId,
    /// What it belongs to.
    pub scope: String,
    /// The count at which it is met.
    pub connections: u64,
}

/// Holds every limit against the target.
pub fn check(ask: &Ask, kernel: &Kernel, around: &Surroundings) -> Report {
    let limits = needs(&Given { ask, kernel, around });
    let small = || limits.iter().filter(|r| r.verdict == Verdict::TooSmall);
    let fits = small().next().is_none();
    let first = limits
        .iter()
        .filter(|r| r.fails && (fits || r.verdict == Verdict::TooSmall))
        .filter_map(|r| Some(First { id: r.id, scope: r.scope.clone(), connections: r.met_at_connections? }))
        .min_by_key(|f| f.connections);
    Report {
        kind: "check",
        machine: around.machine.clone(),
        target: ask.target,
        role: ask.role,
        program: ask.program.name(),
        fits,
        first_limit: first,
        memory_needed_bytes: memory_needed(ask),
        bandwidth_bits_per_s: ask.payload_bits_per_s(ask.target),
        limits,
    }
}

/// Bytes a connection takes on this machine.
fn bytes_per_connection(ask: &Ask) -> f64 {
    let expected = per_connection(ask.role == Side::Both) + ask.user_bytes as f64;
    ask.measured.map_or(expected, |measured| measured.total_bytes)
}

fn memory_needed(ask: &Ask) -> u64 {
    whole(ask.target as f64 * bytes_per_connection(ask))
}
