//! Open files of the whole machine.

use super::need::Holder;
use super::prelude::*;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "file-max",
    label: "system open files",
    unit: Unit::Count,
    help: "Open files of the whole system (fs.file-max). When all are used, every open fails with ENFILE, for everyone but root.",
    sources: "/proc/sys/fs/file-nr",
    sysctls: &[KEY],
    stops_run: true,
    errnos: &[("", "ENFILE")],
    log: &[LogTopic::FileMax],
    read,
    need,
    phrase: |_| "the system's open-file limit (fs.file-max)".to_owned(),
    ..PLAIN
};

const ID: LimitId = LimitId::FileMax;
const KEY: &str = "fs.file-max";

/// `file-nr` is summed from per-core counters that run up to a batch of 32 each before they show.
const NOISE: f64 = 128.0;

fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    out.push(match &context.sample.kernel.host.files {
        Err(why) => Meter::unknown(ID, "host", why),
        Ok(files) if exempt(context.sample) => {
            let whom = "limits programs without CAP_SYS_ADMIN, not this run";
            Meter {
                reason: Some(whom.into()),
                note: Some(format!("it {whom}")),
                // Over the maximum the run goes on, and every other user's program can open nothing.
                state: Some(if files.used >= files.max { LimitState::Warn } else { LimitState::Ok }),
                ..Meter::independent(ID, "host", files.used, Some(files.max)).sysctl(KEY)
            }
        }
        Ok(files) => Meter::growing(ID, "host", files.used, files.max, NOISE)
            .expecting(context.ends())
            .levels(0.7, 0.9)
            .sysctl(KEY),
    });
}

/// Whether every watched process may go beyond `file-max`.
fn exempt(sample: &Sample) -> bool {
    let mut living = sample.living().peekable();
    living.peek().is_some() && living.all(|t| t.exempt_from_file_max == Ok(true))
}

fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    let files = match &given.kernel.host.files {
        Ok(files) => files,
        Err(why) => return out.push(Need::unknown(ID, why)),
    };
    let exempt = |holder: &Holder<'_>| {
        // Who will start another program says nothing of its privilege: servers give theirs up.
        (holder.program == Program::Own || given.ask.running)
            && holder.process.is_some_and(|p| p.exempt_from_file_max == Ok(true))
    };
    if given.holders().iter().all(exempt) {
        let short = if files.used.saturating_add(given.sockets()) > files.max {
            "; at the target, programs of other users can open nothing"
        } else {
            ""
        };
        let why = format!("this run has CAP_SYS_ADMIN, so {} does not limit it{short}", grouped(files.max));
        return out.push(Need::not_applicable(ID, why));
    }
    let needed = given.guarded(files.used.saturating_add(given.sockets()));
    out.push(
        Need::compare(ID, "host", files.max, needed)
            .met_at(given.count_of(given.usable(files.max).saturating_sub(files.used)))
            .cured(|| rounded_sysctl(KEY, needed)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::synthetic;

    #[test]
    fn it_does_not_bind_root() {
        let mut sample = synthetic::sample(1000, 0);
        assert!(!exempt(&sample));
        for target in &mut sample.kernel.processes {
            target.exempt_from_file_max = Ok(true);
        }
        assert!(exempt(&sample));
        sample.kernel.processes[0].exempt_from_file_max = Ok(false);
        assert!(!exempt(&sample), "one of the engines is bound");
        sample.kernel.processes.clear();
        assert!(!exempt(&sample), "nobody is watched: other programs are what there is");
    }
}
