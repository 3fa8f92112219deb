//! How far the run has come at every end that is known, and what keeps it from coming further.

use crate::limits::{Limit, LimitState};
use crate::protocol::{EngineStats, Phase, Role, StopCause};
use crate::sample::Sample;

use super::now::Now;
use super::progress::Progress;
use super::summary::Verdict;

/// How long the server may take no connection of those that the client has open before that is how the run ends,
/// milliseconds: the verdict comes within five seconds of the last.
const UNACCEPTED_MS: u64 = 3000;

/// The same of greetings that do not come back.
const UNGREETED_MS: u64 = 10_000;

/// How long an engine may not run.
const SILENT_MS: u64 = 30_000;

/// Share of the messages due that may leave late, or not at all.
const LATE: f64 = 0.01;

/// For how long more than that have to.
const LATE_MS: u64 = 5000;

/// Parts of a second by which lateness is judged, milliseconds: less would be chance.
const JUDGED_MS: u64 = 900;

/// Messages that should have left on time.
#[derive(Debug, Clone, Copy, Default)]
struct Lateness {
    /// Time, messages due and messages not on time at the last judgement.
    last: Option<(u64, u64, u64)>,
    /// Since when too many have been late.
    since_ms: Option<u64>,
    /// Share of the messages due that were not on time, at the last judgement.
    share: f64,
}

impl Lateness {
    /// Whether too many have left too late for too long.
    fn update(&mut self, client: &EngineStats, t_ms: u64) -> bool {
        let Some(traffic) = client.traffic.filter(|_| client.phase == Phase::Holding) else {
            *self = Self::default();
            return false;
        };
        let (due, late) = (traffic.sent + traffic.skipped, traffic.overdue + traffic.skipped);
        match self.last {
            Some((then, ..)) if t_ms.saturating_sub(then) < JUDGED_MS => {}
            Some((then, due_then, late_then)) if due >= due_then => {
                self.share = late.saturating_sub(late_then) as f64 / (due - due_then).max(1) as f64;
                self.since_ms = (self.share > LATE).then(|| self.since_ms.unwrap_or(then));
                self.last = Some((t_ms, due, late));
            }
            // The first reading, or the client counts anew.
            _ => *self = Self { last: Some((t_ms, due, late)), ..Self::default() },
        }
        self.since_ms.is_some_and(|since| t_ms.saturating_sub(since) >= LATE_MS)
    }
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    reached: bool,
    /// The client's target at the last sample: with a higher one it is on its way again.
    target: u64,
    late: bool,
    blocked: Option<Verdict>,
    accepted: Progress,
    greeted: Progress,
    lateness: Lateness,
}

impl Outcome {
    /// Takes a sample with the limits as they stand at it.
    pub(super) fn update(&mut self, sample: &Sample, now: &Now, limits: &[Limit]) {
        let Some(client) = sample.engine(Role::Client) else { return };
        if matches!(client.phase, Phase::Closing | Phase::Closed) || sample.watched().any(|w| !w.alive || w.is_ending())
        {
            return;
        }
        self.late |= self.lateness.update(client, now.t_ms);
        let silent = now.stale.iter().any(|s| s.silent_ms >= SILENT_MS);
        // While one does not run nothing can be expected of it.
        let running = now.stale.is_empty();
        let server = sample.engine(Role::Server);
        self.reached &= client.target <= std::mem::replace(&mut self.target, client.target);
        self.reached |= client.phase == Phase::Holding && sample.is_complete();
        // What a user has paused is not stalled.
        let open_to = server.is_none_or(|server| server.phase != Phase::Paused);
        let accepted = server.map_or(0, |server| server.opened);
        let unaccepted = sample.is_unaccepted() && running && open_to;
        let unaccepted_ms = self.accepted.stands(accepted, now.t_ms, unaccepted);
        let ungreeted_ms = self.greeted.stands(client.greeted, now.t_ms, client.is_ungreeted() && running && open_to);
        let full = limits.iter().any(|l| l.state == LimitState::Hit);
        let stalled = if full { Verdict::LimitHit } else { Verdict::ServerStalled };
        // Before the target a server that is slow is only slow, unless it is known to be full.
        let expected = client.phase == Phase::Holding || full;
        self.blocked = if let Some(stop) = &client.stop {
            Some(match stop.cause {
                StopCause::Limit => Verdict::LimitHit,
                StopCause::Refused => Verdict::ServerRefuses,
                StopCause::Stall | StopCause::Unreachable => stalled,
            })
        } else if expected && unaccepted_ms >= UNACCEPTED_MS {
            Some(stalled)
        } else if ungreeted_ms >= UNGREETED_MS {
            Some(Verdict::ServerStalled)
        } else {
            // A target that has been reached outlives a standstill.
            (silent && !self.reached).then_some(Verdict::EngineSilent)
        };
    }

    /// Whether everything asked for has been open at every end that is known, and greeted.
    pub(super) fn reached(&self) -> bool {
        self.reached
    }

    /// Whether too many messages left too late.
    pub(super) fn late(&self) -> bool {
        self.late
    }

    /// Share of the messages due that were not on time of late.
    pub(super) fn late_share(&self) -> f64 {
        self.lateness.share
    }

    /// Why it does not go on.
    pub(super) fn blocked(&self) -> Option<Verdict> {
        self.blocked
    }
}

#[cfg(test)]
mod tests {
    use super::super::now::Stale;
    use super::super::synthetic;
    use super::*;
    use crate::protocol::{Stop, Traffic, errno};

    /// A client that has opened 5,000 with a server that has accepted so many, `s` seconds into the run.
    fn sample(s: u64, accepted: u64, change: impl Fn(&mut EngineStats)) -> Sample {
        let mut sample = synthetic::sample(5000, s * 1000);
        synthetic::set_target(&mut sample, 5000);
        let server = synthetic::engine(&mut sample, Role::Server).unwrap();
        (server.open, server.opened) = (accepted, accepted);
        change(synthetic::engine(&mut sample, Role::Client).unwrap());
        sample
    }

    fn now(s: u64, stale: &[Stale]) -> Now {
        Now { t_ms: s * 1000, stale: stale.to_vec(), ..Now::default() }
    }

    #[test]
    fn reached_is_what_both_ends_hold() {
        let mut outcome = Outcome::default();
        for (s, accepted, reached) in [(0, 300, false), (1, 4999, false), (2, 5000, true), (3, 4000, true)] {
            outcome.update(&sample(s, accepted, |_| ()), &now(s, &[]), &[]);
            assert_eq!(outcome.reached(), reached, "{accepted}");
            assert_eq!(outcome.blocked(), None);
        }
        let mut greeted = Outcome::default();
        for (n, reached) in [(4990, false), (4991, true)] {
            // Nine were lost before they were.
            let ungreeted = |c: &mut EngineStats| (c.greet, c.greeted, c.lost) = (true, n, 9);
            greeted.update(&sample(0, 5000, ungreeted), &now(0, &[]), &[]);
            assert_eq!(greeted.reached(), reached, "{n}");
        }
    }

    #[test]
    fn a_server_that_takes_no_more_is_stalled_and_a_slow_one_is_not() {
        let mut outcome = Outcome::default();
        for s in 0..10 {
            outcome.update(&sample(s, 300 + s, |_| ()), &now(s, &[]), &[]);
            assert_eq!(outcome.blocked(), None, "{s}");
        }
        for (s, blocked) in [(10, None), (11, None), (12, Some(Verdict::ServerStalled))] {
            outcome.update(&sample(s, 309, |_| ()), &now(s, &[]), &[]);
            assert_eq!(outcome.blocked(), blocked, "{s}");
        }
        outcome.update(&sample(13, 400, |_| ()), &now(13, &[]), &[]);
        assert_eq!(outcome.blocked(), None, "it goes on");
    }

    #[test]
    fn of_a_silent_server_nothing_is_expected_for_a_while() {
        let mut outcome = Outcome::default();
        for s in 0..35 {
            let stale = [Stale { role: Role::Server, silent_ms: s * 1000 }];
            outcome.update(&sample(s, 300, |_| ()), &now(s, &stale), &[]);
            assert_eq!(outcome.blocked(), (s >= 30).then_some(Verdict::EngineSilent), "{s}");
        }
    }

    #[test]
    fn why_the_client_gave_up_is_the_verdict() {
        for (cause, verdict) in [
            (StopCause::Limit, Verdict::LimitHit),
            (StopCause::Refused, Verdict::ServerRefuses),
            (StopCause::Stall, Verdict::ServerStalled),
        ] {
            let mut outcome = Outcome::default();
            let stopped = |c: &mut EngineStats| {
                c.phase = Phase::Stopped;
                c.stop = Some(Stop { cause, call: errno::failed("connect", 0), text: String::new() });
            };
            outcome.update(&sample(0, 5000, stopped), &now(0, &[]), &[]);
            assert_eq!(outcome.blocked(), Some(verdict));
        }
    }

    #[test]
    fn late_is_what_lasts() {
        /// Whether it is late at each second, when so many of each second's 1,000 messages are overdue or skipped.
        fn late(overdue: &[u64], skipped: u64) -> Vec<bool> {
            let mut outcome = Outcome::default();
            let mut all = 0;
            let one = |(s, more): (usize, &u64)| {
                all += more;
                let s = s as u64;
                let traffic =
                    Traffic { sent: s * (1000 - skipped), overdue: all, skipped: s * skipped, ..Traffic::default() };
                outcome.update(&sample(s, 5000, |c| c.traffic = Some(traffic)), &now(s, &[]), &[]);
                outcome.late()
            };
            overdue.iter().enumerate().map(one).collect()
        }
        assert_eq!(late(&[0, 11, 11, 11, 11, 11, 11], 0), [false, false, false, false, false, true, true]);
        assert_eq!(late(&[0; 7], 11), [false, false, false, false, false, true, true]);
        assert!(!late(&[0, 10, 10, 10, 10, 10, 10, 10], 0).contains(&true), "one in a hundred is not more than that");
        assert!(!late(&[0, 900, 900, 900, 900, 0, 900, 900, 900, 900], 0).contains(&true), "never for five seconds");
    }
}
