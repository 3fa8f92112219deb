//! What came of a run, in sentences.

use super::facts::Facts;
use crate::limits::{Cure, Forecast, Limit, LimitState};
use crate::model::{Event, Severity, Verdict};
use crate::units::{grouped, seconds, short_count, whole};

/// How a run ended, in a few words.
pub fn ended(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        None => "the record ends before the run did",
        Some(Verdict::TargetReached) => "target reached",
        Some(Verdict::LimitHit) => "stopped by a limit",
        Some(Verdict::GuardStopped) => "held back by the guard",
        Some(Verdict::EngineKilled) => "an engine died",
        Some(Verdict::ProcessDied) => "the watched process died",
        Some(Verdict::EngineSilent) => "an engine had stopped running",
        Some(Verdict::ServerRefuses) => "the server refused",
        Some(Verdict::ServerStalled) => "the server took no more",
        Some(Verdict::Late) => "messages left too late",
        Some(Verdict::TimeUp) => "the time was up",
        Some(Verdict::WorkersMissing) => "workers of the fleet were missing",
        Some(Verdict::Served | Verdict::Watched) => "watched until it was ended",
        Some(Verdict::Interrupted) => "ended by the user",
    }
}

/// `B: 2 better, 14 the same, 1 WORSE, 3 in one run only.`
pub fn counted(letter: char, [better, same, worse, one]: [usize; 4]) -> String {
    let mut parts = vec![format!("{same} the same")];
    let others = [(better, "better"), (worse, "WORSE"), (one, "in one run only")];
    parts.extend(others.iter().filter(|part| part.0 > 0).map(|(n, word)| format!("{n} {word}")));
    format!("{letter} against A: {}.", parts.join(", "))
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// One sentence with its numbers.
    pub sentence: String,
    /// What proves it: the event that told it first.
    pub proof: Option<String>,
    /// What helps.
    pub cure: Cure,
}

/// What a run came to, with proof and cure.
pub fn outcome(facts: &Facts) -> Outcome {
    let held = grouped(facts.peak);
    let target = facts.summary.as_ref().and_then(|s| s.target).filter(|target| *target > 0);
    let of = target.map_or(String::new(), |target| format!(" of {}", grouped(target)));
    let stopped = stopped_by(facts);
    let by = stopped.map_or("a limit".to_owned(), |limit| (limit.info.phrase)(limit));
    let numbers = stopped.map_or(String::new(), Limit::in_brackets);
    let sentence = match facts.verdict {
        Some(Verdict::TargetReached) => format!("All {held} connections were open at once{}.", cost_and_time(facts)),
        Some(Verdict::LimitHit) => format!("Stopped at {held}{of} connections by {by}{numbers}."),
        Some(Verdict::GuardStopped) => {
            format!("Held back by the guard at {held}{of} connections, before {by}{numbers}.")
        }
        Some(Verdict::EngineKilled) => format!("An engine died; {held}{of} connections had been open at once."),
        Some(Verdict::ProcessDied) => format!("The watched process died; it had held {held} connections."),
        Some(Verdict::EngineSilent) => {
            format!("An engine had stopped running at the end; {held}{of} connections were open at once.")
        }
        Some(Verdict::ServerRefuses) => format!("The server refuses: {held}{of} connections were open at once."),
        Some(Verdict::ServerStalled) => {
            format!("The server takes no more than {held}{of} connections, and no limit that can be seen explains it.")
        }
        Some(Verdict::Late) => {
            format!("All {held} connections were open, but messages left too late to be the load you asked for.")
        }
        Some(Verdict::TimeUp) => format!("Time ran out at {held}{of} connections."),
        Some(Verdict::WorkersMissing) => {
            format!("Fleet workers were missing; {held}{of} connections were open here at once.")
        }
        Some(Verdict::Served | Verdict::Watched) => {
            format!("At most {held} connections were open at once{}.", cost_and_time(facts))
        }
        Some(Verdict::Interrupted) => format!("Ended by the user; {held}{of} connections had been open at once."),
        None => format!("The record ends before the run did; until then {held}{of} connections were open at once."),
    };
    let told = told(facts, stopped);
    let cure = stopped.map(|l| Cure::clone(&l.cure)).filter(|c| !c.is_empty());
    let cure = cure.or_else(|| told.map(|event| event.cure.clone())).unwrap_or_default();
    Outcome { sentence, proof: told.map(|event| event.text.clone()), cure }
}

/// The limit behind the end of a run.
fn stopped_by(facts: &Facts) -> Option<&Limit> {
    let name = facts.summary.as_ref()?.stopped_by.as_deref();
    let named = || facts.limits.iter().find(|limit| Some(limit.info.name) == name);
    let hit = || facts.limits.iter().find(|limit| limit.state == LimitState::Hit);
    match facts.verdict {
        Some(Verdict::TargetReached | Verdict::Served | Verdict::Watched | Verdict::Interrupted | Verdict::TimeUp) => {
            None
        }
        Some(Verdict::LimitHit | Verdict::GuardStopped | Verdict::EngineKilled | Verdict::ProcessDied) => {
            named().or_else(hit)
        }
        _ => named(),
    }
}

/// The event that tells why: about that limit, else the worst of the run.
fn told<'a>(facts: &'a Facts, limit: Option<&Limit>) -> Option<&'a Event> {
    if matches!(facts.verdict, Some(Verdict::TargetReached | Verdict::Served | Verdict::Watched)) {
        return None;
    }
    let of_limit =
        |event: &&Event| limit.is_some_and(|l| event.about.as_ref().is_some_and(|about| about.id == l.info.id));
    let bad = |event: &&Event| event.severity >= Severity::Warning;
    let worst = |events: Vec<&'a Event>| events.into_iter().rev().max_by_key(|event| event.severity);
    let about = worst(facts.events.iter().filter(of_limit).collect());
    about.or_else(|| worst(facts.events.iter().filter(bad).collect()))
}

fn cost_and_time(facts: &Facts) -> String {
    let after = facts.summary.as_ref().and_then(|s| s.time_to_peak_s).map(|s| format!(" after {}", short_time(s)));
    let each = facts.cost.total.map(|slope| {
        format!(", at {} bytes of memory each ({})", grouped(whole(slope.per_connection.round())), facts.cost.ends())
    });
    after.unwrap_or_default() + &each.unwrap_or_default()
}

/// Seconds with a tenth where they are few: `2.4 s`, `12 min 05 s`.
pub fn short_time(s: f64) -> String {
    if s < 100.0 { format!("{s:.1} s") } else { seconds(s) }
}

/// What comes next: `epoll at 2.75 M ± 1.20 k`.
pub fn next(facts: &Facts, most: usize) -> Vec<String> {
    let ahead = facts.limits.iter().filter(|l| l.state != LimitState::Hit);
    ahead
        .filter_map(|limit| Some(format!("{} at {}", limit.info.name_of(&limit.scope), at(limit)?)))
        .take(most)
        .collect()
}

/// The count at which a limit is met; `None` where there is none.
pub fn at(limit: &Limit) -> Option<String> {
    let Forecast::At { connections, plus_minus, .. } = limit.forecast else { return None };
    Some(if plus_minus > connections / 4 {
        format!("{} to {}", short_count(connections.saturating_sub(plus_minus)), short_count(connections + plus_minus))
    } else {
        short_count(connections)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{facts, facts_with, played};
    use super::*;
    use crate::model::synthetic;
    use crate::protocol::{FailedCall, Phase, Role, Stop, StopCause};

    #[test]
    fn a_target_that_was_reached_says_when_and_at_which_cost() {
        let outcome = outcome(&facts(200_000));
        let start = "All 200,000 connections were open at once after 4.0 s, at 8,1";
        assert!(outcome.sentence.starts_with(start), "{outcome:?}");
        assert!(outcome.sentence.ends_with(" bytes of memory each (both ends)."), "{outcome:?}");
        assert_eq!((outcome.proof, outcome.cure), (None, Cure::none()));
        assert_eq!(counted('B', [0, 12, 1, 0]), "B against A: 12 the same, 1 WORSE.");
    }

    #[test]
    fn a_limit_that_was_met_is_named_with_proof_and_cure() {
        let mut samples = synthetic::ramp(100_000, 50_000, 200);
        for sample in &mut samples {
            let open = synthetic::engine(sample, Role::Client).unwrap().open;
            if let Ok(conntrack) = &mut sample.kernel.net.conntrack {
                (conntrack.count, conntrack.max) = (open.min(65_536), 65_536);
            }
            if open > 65_536 {
                if let Ok(conntrack) = &mut sample.kernel.net.conntrack {
                    conntrack.drop = Some(open - 65_536);
                }
                let client = synthetic::engine(sample, Role::Client).unwrap();
                (client.phase, client.open) = (Phase::Stopped, 65_536);
                let call = FailedCall { op: "connect".into(), errno: 110, name: "ETIMEDOUT".into() };
                client.stop = Some(Stop { cause: StopCause::Stall, call, text: "nothing answers".into() });
            }
        }
        let facts = played(&samples, Some(Verdict::LimitHit));
        let outcome = outcome(&facts);
        assert!(outcome.sentence.contains("65,536 of 65,536"), "{outcome:?}");
        assert!(outcome.proof.as_deref().is_some_and(|text| text.contains("onnection")), "{outcome:?}");
        assert!(outcome.cure.to_string().contains("nf_conntrack_max"), "{outcome:?}");
    }

    #[test]
    fn an_end_that_nobody_saw_is_said() {
        let mut facts = facts_with(50_000, |_, _| {});
        facts.verdict = None;
        assert!(outcome(&facts).sentence.starts_with("The record ends before the run did"));
        assert_eq!(next(&facts, 2).len(), 2);
    }
}
