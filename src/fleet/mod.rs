//! A run on several hosts: workers that meet in a store (Redis or Valkey), start together, hold together, and are seen as one.
//!
//! There is no coordinator. Each worker publishes its own [`WorkerState`]; whoever looks reads all of them and makes a
//! [`FleetView`], which is pure.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `worker` | what a worker says of itself |
//! | `view` | all of them as one: rows, sums, skew, the nearest limit |
//! | `bottleneck` | who keeps the fleet from more |
//! | `outcome` | how its run ended |

#![expect(clippy::cast_precision_loss, reason = "shares and rates of counts far below 2^52")]

mod bottleneck;
mod outcome;
mod view;
mod worker;

pub use bottleneck::{Bottleneck, Bound};
pub use outcome::FleetVerdict;
pub use view::{
    Count, FleetGuard, FleetLimit, FleetView, LOST_MS, Row, SILENT_MS, ServerMemory, Skew, Standing, Totals,
};
pub use worker::{
    ClockReading, CpuUse, Held, Identity, PartOf, ServerSide, Stage, WorkerEvent, WorkerLimit, WorkerRole, WorkerState,
};
