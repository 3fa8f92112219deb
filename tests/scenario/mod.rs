//! Real limits on the real kernel: namespaces, cgroups and sysctls that are put back whatever happens to the program, and
//! runs of the real binary in them.

mod kernel;
mod limits;
mod run;

pub use kernel::{Net, Undo};
pub use limits::{SCENARIOS, Scenario};
pub use run::{Outcome, Run, finish};

/// Why a scenario cannot be run here.
pub type Skipped = String;
