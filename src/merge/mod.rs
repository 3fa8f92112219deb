//! Parts of a run, merged to one: what `c1m-top merge` makes of the recordings of several hosts. `docs/parts.md` has the rule of each
//! figure.
//!
//! A merged run is a recording like any other. Its samples are what a single dashboard would have read, had it seen every host at
//! once: one server engine and one client engine, whose counters are sums, and one kernel, of each host and each network namespace
//! once. What cannot be added up is taken from the parts as they judged it: limits, events, how each ended.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `parts` | which recordings belong together |
//! | `kernel` | the kernels of several hosts as one |
//! | `engines` | several engines of a role as one |
//! | `times` | distributions added up |
//! | `limits` | of each limit the nearest |
//! | `feed` | one recording on its way through time |
//! | `stream` | recordings side by side in time, sample by sample |
//! | `outcome` | what the run came to, and what stands at its beginning |

#![expect(
    clippy::cast_precision_loss,
    reason = "counts of connections and microseconds that are divided, all of them far below 2^52"
)]

mod engines;
mod feed;
mod kernel;
mod limits;
mod outcome;
mod parts;
mod stream;
mod times;

use std::fs::File;
use std::io;

pub use parts::{Checked, Member, Run, check};

use crate::model::Summary;
use crate::record;

/// Writes the merged run to a file, which is open for writing and empty; what it came to.
///
/// # Errors
/// It cannot be written.
pub fn merge(checked: &Checked, to: File) -> io::Result<Option<Summary>> {
    let mut stream = stream::Stream::new(checked);
    let header = outcome::header(checked, stream.setup().clone(), stream.started_ms());
    record::write_all(to, header, &mut stream)?;
    Ok(stream.into_summary())
}
