//! Why no thread or process could be started: what refused it, before there is a run that would tell.

use std::io;
use std::time::Duration;

use super::Failure;
use crate::limits::shown_by;
use crate::model::{Model, Setup};
use crate::probe::{Roots, Sampler, Watch};
use crate::protocol::errno;
use crate::sample::Sample;

/// A failure of starting `what`: where threads are used up, with the limit, its numbers and its cure, and the user's to mend.
pub(super) fn failure(what: &str, error: &io::Error) -> Failure {
    match limit(error) {
        Some(limit) => Failure::Usage(format!("cannot start {what}: {limit}")),
        None => Failure::Internal(format!("cannot start {what}: {error}")),
    }
}

/// The limit of threads that this process meets, where the error is one of that.
pub(super) fn limit(error: &io::Error) -> Option<String> {
    let no_thread = error.raw_os_error() == Some(libc::EAGAIN);
    let id = shown_by("thread", "EAGAIN").filter(|_| no_thread)?.id;
    let (kernel, own) = Sampler::new(Roots::default(), &[Watch::process(std::process::id())]).ok()?.read();
    let mut model = Model::new(Setup::default());
    model.update(&Sample::join(Duration::ZERO, kernel, Vec::new(), own));
    let limit = model.limits().iter().find(|l| l.info.id == id)?;
    let (why, what) = (errno::meaning("EAGAIN"), (limit.info.phrase)(limit));
    Some(format!("{why}: {what} is used up{}. Cure: {}", limit.in_brackets(), limit.cure))
}
