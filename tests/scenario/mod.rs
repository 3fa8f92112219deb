//! Real limits on the real kernel: namespaces, cgroups and sysctls that are put back whatever happens to the program, and
//! runs of the real binary in them.

mod kernel;
mod limits;
mod run;
mod silent;

pub use kernel::{Cgroup, Net, Undo};
pub use limits::{Mode, SCENARIOS, Scenario};
pub use run::{Outcome, Run, engine, finish, signal};
pub use silent::SILENT;

/// Why a scenario cannot be run here.
pub type Skipped = String;
