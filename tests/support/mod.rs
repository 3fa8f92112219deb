//! The one harness of every test and benchmark: what a test requires, runs of the program, its control socket, network
//! namespaces, cgroups of both versions, settings of the machine, other processes, waiting. `tests/harness.rs` holds it.

#![expect(dead_code, unused_imports, reason = "every test and benchmark includes all of it and uses its part")]
#![expect(clippy::cast_precision_loss, reason = "distances between counts")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail it by panicking")]

mod cgroup;
mod control;
mod home;
mod namespace;
mod process;
mod require;
mod run;
mod setting;
mod wait;

pub(crate) use cgroup::{Cgroup, Controller, Version, hierarchy};
pub(crate) use control::Control;
pub(crate) use home::Home;
pub(crate) use namespace::{Net, is_among_own_processes, is_in_own_namespace, sockstat};
pub(crate) use process::{AS_NOBODY, NOBODY, Started, run_again, succeed, venv, without_privilege};
pub(crate) use require::{Need, are_met, first_missing, permits, print_uncaptured, slab_objects, tries};
pub(crate) use run::{BINARY, Engines, Finished, Printed, Run, engines_of, program};
pub(crate) use setting::HostSetting;
pub(crate) use wait::{PATIENCE, is_running, poll, wait_until, wait_within};

// Exported, a macro is at the root of the crate and none is told to be unused.
pub(crate) use crate::{both_versions, own_namespace, own_processes, require, test_name};
