//! How far and how fast: the target, the guard's ceiling, the rate, back-off, pause and the reason for giving up, shared by
//! the lanes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::backoff::{Backoff, Leave, Totals};
use crate::engine::counters::lock;
use crate::engine::pace::Pace;
use crate::protocol::{Phase, Stop};

/// No ceiling.
const NONE: u64 = u64::MAX;

/// The ramp.
#[derive(Debug)]
pub(super) struct Ramp {
    target: AtomicU64,
    ceiling: AtomicU64,
    /// Connections open or under way.
    claimed: AtomicU64,
    reached: AtomicBool,
    paused: AtomicBool,
    /// It has been told whether to go: it is no longer starting.
    told: AtomicBool,
    ended: AtomicBool,
    /// Microseconds since the engine's start, `NONE` before.
    started_us: AtomicU64,
    speed: Mutex<Speed>,
    stop: Mutex<Option<Stop>>,
}

/// What the user allows, and what the server bears.
#[derive(Debug)]
struct Speed {
    pace: Pace,
    backoff: Backoff,
}

impl Ramp {
    pub(super) fn new(target: u64, rate: Option<u64>, backoff: Backoff, now: Instant) -> Self {
        Self {
            target: AtomicU64::new(target),
            ceiling: AtomicU64::new(NONE),
            claimed: AtomicU64::new(0),
            reached: AtomicBool::new(false),
            // The dashboard takes its first sample before the first connect, and then says go.
            paused: AtomicBool::new(true),
            told: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            started_us: AtomicU64::new(NONE),
            speed: Mutex::new(Speed { pace: Pace::new(rate, now), backoff }),
            stop: Mutex::new(None),
        }
    }

    /// Claims up to `want` connections, after what has become of those before. `None` until something changes: at the target or
    /// ceiling, paused, stopped.
    pub(super) fn claim(&self, want: u64, now: Instant, totals: &Totals) -> Option<Leave> {
        if self.paused.load(Relaxed) || self.ended.load(Relaxed) || self.reached.load(Relaxed) {
            return None;
        }
        let limit = self.target().min(self.ceiling.load(Relaxed));
        let mut take = 0;
        let claimed = self.claimed.fetch_update(Relaxed, Relaxed, |claimed| {
            take = want.min(limit.saturating_sub(claimed));
            (take > 0).then_some(claimed + take)
        });
        if claimed.is_err() {
            return None;
        }
        let claim = lock(&self.speed).claim(take, now, totals);
        let got = if let Leave::Open(got) = claim { got } else { 0 };
        self.claimed.fetch_sub(take - got, Relaxed);
        Some(claim)
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
        open >= self.target() && !self.reached.swap(true, Relaxed)
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
        self.told.store(true, Relaxed);
    }

    pub(super) fn set_rate(&self, per_s: Option<u64>, now: Instant) {
        lock(&self.speed).pace.set(per_s, now);
    }

    pub(super) fn rate(&self) -> Option<u64> {
        lock(&self.speed).pace.per_s()
    }

    /// The pause between two attempts because too many are lost or refused; zero without one, and where nothing is tried.
    pub(super) fn backoff(&self) -> Duration {
        if self.ended.load(Relaxed) || self.reached() { Duration::ZERO } else { lock(&self.speed).backoff.pause() }
    }

    /// Connections aimed at.
    pub(super) fn target(&self) -> u64 {
        self.target.load(Relaxed)
    }

    /// Aims at another count, with `held` open or under way; whether the ramp goes on that was over.
    pub(super) fn set_target(&self, target: u64, held: u64) -> bool {
        self.target.store(target, Relaxed);
        if held >= target {
            self.reached.store(true, Relaxed);
            return false;
        }
        if !self.reached() {
            return false;
        }
        // What was lost at the old target was not given back; from here on it is replaced like any other.
        self.claimed.store(held, Relaxed);
        self.reached.store(false, Relaxed);
        true
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
            if self.told.load(Relaxed) { Phase::Paused } else { Phase::Starting }
        } else if self.ceiling.load(Relaxed) <= open {
            Phase::Guarded
        } else {
            Phase::Ramping
        }
    }
}

impl Speed {
    fn claim(&mut self, want: u64, now: Instant, totals: &Totals) -> Leave {
        let allowed = match self.backoff.ask(want, now, totals) {
            Leave::Open(allowed) => allowed,
            none => return none,
        };
        match self.pace.take(allowed, now) {
            Ok(got) => {
                self.backoff.took(got, now);
                Leave::Open(got)
            }
            Err(delay) => Leave::Wait(delay),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::StopCause;
    use crate::protocol::errno::failed;

    const NONE_LOST: Totals = Totals { opened: 0, lost: 0, refused: 0, open: 0, in_flight: 0, lived_us: 0 };

    fn ramp(rate: Option<u64>, now: Instant) -> Ramp {
        Ramp::new(100, rate, Backoff::new(false, 1, now), now)
    }

    impl Ramp {
        fn claim_of_none_lost(&self, want: u64, now: Instant) -> Option<Leave> {
            self.claim(want, now, &NONE_LOST)
        }
    }

    #[test]
    fn never_claims_beyond_target_or_ceiling() {
        let now = Instant::now();
        let ramp = ramp(None, now);
        assert_eq!((ramp.claim_of_none_lost(64, now), ramp.phase(0)), (None, Phase::Starting));
        ramp.pause(false);
        assert_eq!(ramp.claim_of_none_lost(64, now), Some(Leave::Open(64)));
        assert_eq!(ramp.claim_of_none_lost(64, now), Some(Leave::Open(36)));
        assert_eq!(ramp.claim_of_none_lost(1, now), None);
        ramp.give_back(10);
        ramp.set_ceiling(Some(95));
        assert_eq!(ramp.claim_of_none_lost(64, now), Some(Leave::Open(5)));
        assert_eq!(ramp.phase(95), Phase::Guarded);
        ramp.set_ceiling(None);
        assert_eq!(ramp.claim_of_none_lost(64, now), Some(Leave::Open(5)));
        assert!(ramp.check_reached(100));
        assert!(!ramp.check_reached(100), "once");
        ramp.give_back(50);
        assert_eq!(ramp.claim_of_none_lost(1, now), None, "what is lost at the target is not replaced");
    }

    #[test]
    fn one_that_is_told_to_pause_before_it_began_is_paused() {
        let now = Instant::now();
        let ramp = ramp(None, now);
        assert_eq!(ramp.phase(0), Phase::Starting);
        ramp.pause(true);
        assert_eq!((ramp.phase(0), ramp.claim_of_none_lost(64, now)), (Phase::Paused, None));
        ramp.pause(false);
        assert_eq!(ramp.phase(0), Phase::Ramping);
    }

    #[test]
    fn another_target_goes_on_from_what_is_open() {
        let now = Instant::now();
        let ramp = ramp(None, now);
        ramp.pause(false);
        assert_eq!(ramp.claim_of_none_lost(100, now), Some(Leave::Open(100)));
        assert!(ramp.check_reached(100));
        // Seven were lost at the target.
        assert!(ramp.set_target(150, 93), "the ramp goes on");
        assert_eq!((ramp.target(), ramp.phase(93)), (150, Phase::Ramping));
        assert_eq!(ramp.claim_of_none_lost(100, now), Some(Leave::Open(57)));
        assert!(!ramp.check_reached(149) && ramp.check_reached(150));
        assert!(!ramp.set_target(120, 150));
        assert_eq!((ramp.phase(150), ramp.claim_of_none_lost(1, now)), (Phase::Holding, None));
        // Raised on the way, nothing is claimed twice.
        assert!(ramp.set_target(200, 150));
        assert_eq!(ramp.claim_of_none_lost(30, now), Some(Leave::Open(30)));
        assert!(!ramp.set_target(300, 170), "it was under way");
        assert_eq!(ramp.claim_of_none_lost(500, now), Some(Leave::Open(120)));
    }

    #[test]
    fn a_rate_that_allows_none_claims_none() {
        let now = Instant::now();
        let ramp = ramp(Some(10), now);
        ramp.pause(false);
        assert_eq!(ramp.claim_of_none_lost(64, now), Some(Leave::Wait(Duration::from_millis(100))));
        assert_eq!(ramp.claim_of_none_lost(64, now + Duration::from_millis(100)), Some(Leave::Open(1)));
        ramp.set_rate(None, now);
        assert_eq!(ramp.claim_of_none_lost(200, now), Some(Leave::Open(99)));
    }

    #[test]
    fn the_first_reason_to_stop_stays() {
        let ramp = ramp(None, Instant::now());
        for (op, errno) in [("connect", libc::EADDRNOTAVAIL), ("socket", libc::EMFILE)] {
            ramp.stop(Stop { cause: StopCause::Limit, call: failed(op, errno), text: String::new() });
        }
        assert_eq!(ramp.stopped().map(|s| s.call.name), Some("EADDRNOTAVAIL".to_owned()));
        assert_eq!(ramp.phase(5), Phase::Stopped);
        assert_eq!(ramp.claim_of_none_lost(1, Instant::now()), None);
    }

    #[test]
    fn what_is_lost_holds_the_ramp_back_whatever_the_rate_allows() {
        let now = Instant::now();
        for rate in [None, Some(1000)] {
            let ramp = ramp(rate, now);
            ramp.pause(false);
            assert_eq!(ramp.claim_of_none_lost(0, now), None);
            let later = now + Duration::from_millis(20);
            assert!(matches!(ramp.claim_of_none_lost(20, later), Some(Leave::Open(20))));
            ramp.give_back(20);
            let lost = Totals { opened: 20, lost: 20, ..NONE_LOST };
            assert!(
                matches!(ramp.claim(20, later, &lost), Some(Leave::Wait(wait)) if wait >= Duration::from_millis(75))
            );
            assert!(ramp.backoff() > Duration::ZERO);
            let again = later + Duration::from_millis(100);
            assert_eq!(ramp.claim(20, again, &lost), Some(Leave::Open(16)), "a small lot");
            assert_eq!(
                ramp.claim(20, again, &lost),
                Some(Leave::Wait(Duration::from_millis(100))),
                "which has to hold"
            );
            ramp.end();
            assert_eq!(ramp.backoff(), Duration::ZERO);
        }
    }
}
