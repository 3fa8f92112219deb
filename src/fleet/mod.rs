//! A run on several hosts: workers that meet in a store (Redis or Valkey), start together, hold together, and are seen as one.
//!
//! There is no coordinator. Each worker publishes its own [`WorkerState`]; whoever looks reads all of them and makes a
//! [`FleetView`], which is pure.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `address` | where they meet, without its secrets wherever it is shown |
//! | `worker` | what a worker says of itself |
//! | `row`, `view` | a row a worker, and sums; all of them as one: skew, the nearest limit |
//! | `bottleneck`, `outcome` | who keeps the fleet from more; how its run ended |
//! | `clock` | the store's clock, as this process sees it |
//! | `hold`, `given` | the server's guard over all clients; the room that they were given and have not used |
//! | `command` | commands, signed and counted |
//! | `store`, `keys` | the connection to the store; what the keys are called |
//! | `member`, `handle`, `slot` | a worker's place: it joins; what the run has of it; what it hands over |
//! | `round`, `say`, `barrier`, `others`, `leave` | its thread: when it speaks with the store; what it says and hears; all ready; who is lost; its last word |
//! | `gathered` | which of those that were ready still are |
//! | `outage` | a store that is away: when it is tried again, and when that is told |
//! | `feed`, `show` | a worker's own run, while somebody looks at it: what waits; how it is sent |
//! | `look` | looking on, and giving commands |

#![expect(clippy::cast_precision_loss, reason = "shares and rates of counts far below 2^52")]

mod address;
mod barrier;
mod bottleneck;
mod clock;
mod command;
mod feed;
mod gathered;
mod given;
mod handle;
mod hold;
mod keys;
mod leave;
mod look;
mod member;
mod others;
mod outage;
mod outcome;
mod round;
mod row;
mod say;
mod show;
mod slot;
mod store;
mod view;
mod worker;

pub use address::Address;
pub use bottleneck::{Bottleneck, Bound};
pub use command::{FleetCommand, Refused, Token};
pub use feed::FeedTo;
pub use handle::Handle;
pub use look::Looker;
pub use member::{Member, News, Terms};
pub use outcome::FleetVerdict;
pub use row::{Count, LOST_MS, Row, SILENT_MS, Standing, Totals};
pub use store::StoreError;
pub use view::{FleetGuard, FleetLimit, FleetView, ServerMemory, Skew};
pub use worker::{
    ClockReading, CpuUse, Held, Identity, ServerSide, Stage, WorkerEvent, WorkerLimit, WorkerRole, WorkerState,
};
