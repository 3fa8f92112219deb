//! What `deploy/` has is so: the container on a real runtime and in an empty root directory, the manifests against the schemas of
//! Kubernetes, the batch script on a real Slurm.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod cluster;
mod container;
mod kubernetes;
mod slurm;

use std::path::PathBuf;

/// A file of `deploy/`.
fn deployed(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}
