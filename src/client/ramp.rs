//! How far and how fast: the target, the guard's ceiling, the rate, pause and the reason for giving up, shared by the lanes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::engine::counters::lock;
use crate::engine::pace::Pace;
use crate::protocol::{Phase, Stop};

/// No ceiling.
const NONE: u64 = u64::MAX;

/// The ramp.
#[derive(Debug)]
pub(super) struct Ramp {
    target: u64,
    ceiling: AtomicU64,
    /// Connections open or under way.
    claimed: AtomicU64,
    reached: AtomicBool,
    paused: AtomicBool,
    ended: AtomicBool,
    /// Microseconds since the engine's start, `NONE` before.
    started_us: AtomicU64,
    pace: Mutex<Pace>,
    stop: Mutex<Option<Stop>>,
}

/// What a lane may do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Open so many.
    Open(u64),
    /// The rate allows none for so long.
    Wait(Duration),
    /// None until something changes: at the target or ceiling, paused, stopped.
    Nothing,
}

impl Ramp {
    pub(super) fn new(target: u64, rate: Option<u64>, now: Instant) -> Self {
        Self {
            target,
            ceiling: AtomicU64::new(NONE),
            claimed: AtomicU64::new(0),
            reached: AtomicBool::new(false),
            // The dashboard takes its first sample before the first connect, and then says go.
            paused: AtomicBool::new(true),
            ended: AtomicBool::new(false),
            started_us: AtomicU64::new(NONE),
            pace: Mutex::new(Pace::new(rate, now)),
            stop: Mutex::new(None),
        }
    }

    /// Claims up to `want` connections.
    pub(super) fn claim(&self, want: u64, now: Instant) -> Claim {
        if self.paused.load(Relaxed) || self.ended.load(Relaxed) || self.reached.load(Relaxed) {
            return Claim::Nothing;
        }
        let limit = self.target.min(self.ceiling.load(Relaxed));
        let mut take = 0;
        let claimed = self.claimed.fetch_update(Relaxed, Relaxed, |claimed| {
            take = want.min(limit.saturating_sub(claimed));
            (take > 0).then_some(claimed + take)
        });
        if claimed.is_err() {
            return Claim::Nothing;
        }
        match lock(&self.pace).take(take, now) {
            Ok(got) => {
                self.claimed.fetch_sub(take - got, Relaxed);
                Claim::Open(got)
            }
            Err(delay) => {
                self.claimed.fetch_sub(take, Relaxed);
                Claim::Wait(delay)
            }
        }
    }

    /// Gives back claims that became no connection, so that others are opened in their place.
    pub(super) fn give_back(&self, n: u64) {
        self.claimed.fetch_sub(n, Relaxed);
    }

    /// Notes the first connect.
    pub(super) fn begin(&self, now_us: u64) {
        let _ = self.started_us.compare_exchange(NONE, now_us, Relaxed, Relaxed);
    }

    /// Told the count after each batch; true once, when it is the target.
    pub(super) fn check_reached(&self, open: u64) -> bool {
        open >= self.target && !self.reached.swap(true, Relaxed)
    }

    /// Whether the target has been reached: connections lost from now on are not replaced.
    pub(super) fn reached(&self) -> bool {
        self.reached.load(Relaxed)
    }

    /// Gives up; the first reason stays.
    pub(super) fn stop(&self, reason: Stop) {
        self.ended.store(true, Relaxed);
        lock(&self.stop).get_or_insert(reason);
    }

    /// Opens nothing any more, without a reason of its own: the connections are being closed.
    pub(super) fn end(&self) {
        self.ended.store(true, Relaxed);
    }

    pub(super) fn stopped(&self) -> Option<Stop> {
        lock(&self.stop).clone()
    }

    pub(super) fn pause(&self, paused: bool) {
        self.paused.store(paused, Relaxed);
    }

    pub(super) fn set_rate(&self, per_s: Option<u64>, now: Instant) {
        lock(&self.pace).set(per_s, now);
    }

    pub(super) fn rate(&self) -> Option<u64> {
        lock(&self.pace).per_s()
    }

    pub(super) fn set_ceiling(&self, connections: Option<u64>) {
        self.ceiling.store(connections.unwrap_or(NONE), Relaxed);
    }

    pub(super) fn ceiling(&self) -> Option<u64> {
        Some(self.ceiling.load(Relaxed)).filter(|c| *c != NONE)
    }

    pub(super) fn started_us(&self) -> Option<u64> {
        Some(self.started_us.load(Relaxed)).filter(|us| *us != NONE)
    }

    /// What the ramp is doing with `open` connections.
    pub(super) fn phase(&self, open: u64) -> Phase {
        if self.reached() {
            Phase::Holding
        } else if lock(&self.stop).is_some() {
            Phase::Stopped
        } else if self.paused.load(Relaxed) {
            if self.started_us().is_none() { Phase::Starting } else { Phase::Paused }
        } else if self.ceiling.load(Relaxed) <= open {
            Phase::Guarded
        } else {
            Phase::Ramping
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::StopCause;
    use crate::protocol::errno::failed;

    #[test]
    fn never_claims_beyond_target_or_ceiling() {
        let now = Instant::now();
        let ramp = Ramp::new(100, None, now);
        assert_eq!((ramp.claim(64, now), ramp.phase(0)), (Claim::Nothing, Phase::Starting));
        ramp.pause(false);
        assert_eq!(ramp.claim(64, now), Claim::Open(64));
        assert_eq!(ramp.claim(64, now), Claim::Open(36));
        assert_eq!(ramp.claim(1, now), Claim::Nothing);
        ramp.give_back(10);
        ramp.set_ceiling(Some(95));
        assert_eq!(ramp.claim(64, now), Claim::Open(5));
        assert_eq!(ramp.phase(95), Phase::Guarded);
        ramp.set_ceiling(None);
        assert_eq!(ramp.claim(64, now), Claim::Open(5));
        assert!(ramp.check_reached(100));
        assert!(!ramp.check_reached(100), "once");
        ramp.give_back(50);
        assert_eq!(ramp.claim(1, now), Claim::Nothing, "what is lost at the target is not replaced");
    }

    #[test]
    fn a_rate_that_allows_none_claims_none() {
        let now = Instant::now();
        let ramp = Ramp::new(100, Some(10), now);
        ramp.pause(false);
        assert_eq!(ramp.claim(64, now), Claim::Wait(Duration::from_millis(100)));
        assert_eq!(ramp.claim(64, now + Duration::from_millis(100)), Claim::Open(1));
        ramp.set_rate(None, now);
        assert_eq!(ramp.claim(200, now), Claim::Open(99));
    }

    #[test]
    fn the_first_reason_to_stop_stays() {
        let ramp = Ramp::new(100, None, Instant::now());
        for (op, errno) in [("connect", libc::EADDRNOTAVAIL), ("socket", libc::EMFILE)] {
            ramp.stop(Stop { cause: StopCause::Limit, call: failed(op, errno), text: String::new() });
        }
        assert_eq!(ramp.stopped().map(|s| s.call.name), Some("EADDRNOTAVAIL".to_owned()));
        assert_eq!(ramp.phase(5), Phase::Stopped);
        assert_eq!(ramp.claim(1, Instant::now()), Claim::Nothing);
    }
}
