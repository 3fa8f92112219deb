//! What a RUN of the command line means.

use std::path::Path;

use super::Failure;
use crate::record::{self, Recording};

/// Opens a RUN of the command line.
pub(super) fn open(run: &str) -> Result<Recording, Failure> {
    let path = Path::new(run);
    record::open(path).map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))
}
