//! What a run was, for whoever was not there: held against other runs, or as a page, a picture, a few lines. Pure: a run comes as
//! [`Facts`], which a [`Collector`] takes from the model as it is played.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `facts` | one run, reduced to what is shown |
//! | `around` | plan, kernel, settings, limits, versions, and what differs between runs |
//! | `figure` | the figures that are compared: unit, which way is better, how far they move by themselves |
//! | `compare` | runs held against each other by connections |
//! | `table`, `plot` | a comparison as text and Markdown; curves as characters |
//! | `page`, `picture`, `markdown` | a report as HTML, as SVG for a README, as Markdown for a pull request |
//! | `charts`, `svg`, `thin` | the charts of a report; as SVG; with as many points as can be seen |
//! | `card`, `defaults` | a run in fifteen lines; what sysctls are until somebody sets them |
//! | `words` | what came of a run, in sentences |

#![expect(
    clippy::cast_precision_loss,
    reason = "counts, bytes and microseconds that are compared and drawn, all of them far below 2^52"
)]

pub mod around;
pub mod card;
pub mod charts;
pub mod compare;
mod defaults;
pub mod facts;
pub mod figure;
pub mod markdown;
pub mod page;
pub mod picture;
pub mod plot;
pub mod svg;
pub mod table;
mod thin;
pub mod words;

pub use around::{Around, Section};
pub use card::WHAT;
pub use compare::{Comparison, Side, compare};
pub use facts::{Collector, Facts, File, Point};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Model, Setup, Verdict, synthetic};
    use crate::protocol::{Phase, Role};
    use crate::sample::{Machine, Sample};

    /// Plays samples through a model.
    pub(super) fn played(samples: &[Sample], verdict: Option<Verdict>) -> Facts {
        let machine = Machine {
            host_name: Some("web-1".into()),
            cores: Some(2),
            cpu: Some("EPYC 9654".into()),
            distribution: Some("Debian GNU/Linux 12".into()),
            kernel: Some("6.18.5".into()),
        };
        let setup = Setup { own_engines: true, machine, interval_ms: 1000, ..Setup::default() };
        let mut model = Model::new(setup);
        let mut collector = Collector::default();
        for sample in samples {
            collector.before(&model, sample);
            model.update(sample);
            collector.after(&model, sample);
        }
        collector.finish(&model, model.summary(verdict.unwrap_or(Verdict::Interrupted)), verdict)
    }

    /// A run to this target at 50,000 a second, held for a while and closed.
    pub(super) fn facts(target: u64) -> Facts {
        facts_with(target, |_, _| {})
    }

    /// The same, each sample changed knowing how many are open.
    pub(super) fn facts_with(target: u64, change: impl Fn(&mut Sample, u64)) -> Facts {
        let mut samples = synthetic::ramp(target, 50_000, 200);
        let last = samples[samples.len() - 1].clone();
        for (i, open) in (1..).zip([target, target, target, target / 2, 0]) {
            let mut more = synthetic::sample(open, last.t_ms + i * 1000);
            synthetic::set_target(&mut more, target);
            for role in [Role::Server, Role::Client] {
                let engine = synthetic::engine(&mut more, role).unwrap();
                (engine.peak, engine.opened, engine.cpu_us) = (target, target, 10 * target);
                engine.peak_us = Some(last.t_ms * 1000 + 50_000);
                engine.ramp_cpu_us = Some(10 * target);
                engine.connect.count = target;
                engine.handshake.count = target;
                if open < target && role == Role::Client {
                    engine.phase = if open == 0 { Phase::Closed } else { Phase::Closing };
                }
            }
            samples.push(more);
        }
        for sample in &mut samples {
            let open = synthetic::engine(sample, Role::Client).map_or(0, |client| client.open);
            change(sample, open);
        }
        let mut facts = played(&samples, Some(Verdict::TargetReached));
        facts.name = format!("run-{target}");
        facts
    }
}
