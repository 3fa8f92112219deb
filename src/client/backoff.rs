//! What keeps the client from hammering a server that does not hold what it is sent: when too much of what is opened is lost
//! or refused, a pause that doubles, then a small lot to see whether it holds, and larger ones until full speed. A pure state
//! machine: the caller gives the times and the totals.

#![expect(clippy::cast_precision_loss, reason = "rates and times for people, and a number from 0 to 1")]

use std::time::{Duration, Instant};

use crate::units::{grouped, seconds, whole};

/// More than one in so many lost or refused is too much.
const SHARE: u64 = 10;

/// Losses that show it at once, however short the time.
const ENOUGH: u64 = 16;

/// Time over which losses are held against what was opened, where enough was.
const WINDOW: Duration = Duration::from_millis(100);

/// The same where less was: a second, or up to ten of them for so few that one loss would be too much.
const SLOW_WINDOW: Duration = Duration::from_secs(1);
const SLOWEST_WINDOW: Duration = Duration::from_secs(10);

/// The first pause, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Connections opened after a pause to see whether they hold. Each lot that holds is followed by one of [`GROWTH`] times as
/// many; after one of [`LAST_LOT`] there is no need to look any more.
const LOT: u64 = 16;
const GROWTH: u64 = 4;
const LAST_LOT: u64 = 1024;

/// How long a lot has to hold: twice as long as what was lost lived on average, within these. What a low rate has not opened
/// of it after the longest does not belong to it any more.
const SHORTEST_HOLD: Duration = Duration::from_millis(100);
const LONGEST_HOLD: Duration = Duration::from_secs(1);

/// Time without net progress after which the client gives up, and at full speed after which trouble is over.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Longer than the client waits between two questions while it opens anything: it was paused, or the guard held it.
const IDLE: Duration = Duration::from_secs(6);

/// A server that closes connections sooner than this after they were established, on the whole, closes them at once.
const AT_ONCE_US: u64 = 100_000;

/// Totals of the engine: what the judgement is made from.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    /// Connections ever opened.
    pub(super) opened: u64,
    /// Of these, closed by the other end.
    pub(super) lost: u64,
    /// Connects refused or reset by a server that is there.
    pub(super) refused: u64,
    /// Connections open.
    pub(super) open: u64,
    /// Connects under way.
    pub(super) in_flight: u64,
    /// How long those lost had lived, added up, microseconds.
    pub(super) lived_us: u64,
}

impl Totals {
    fn failed_since(&self, from: &Self) -> u64 {
        // Read one by one while others count: a difference may come out a little below zero.
        self.lost.saturating_sub(from.lost) + self.refused.saturating_sub(from.refused)
    }

    /// What came to something: opened or refused.
    fn tried_since(&self, from: &Self) -> u64 {
        self.opened.saturating_sub(from.opened) + self.refused.saturating_sub(from.refused)
    }
}

/// What may be opened now.
#[derive(Debug, PartialEq)]
pub(super) enum Leave {
    /// So many; [`Backoff::took`] says how many were taken.
    Open(u64),
    /// None for so long.
    Wait(Duration),
    /// None any more: there has been no progress for [`PATIENCE`].
    GiveUp(Seen),
}

/// What a server did that was given up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    /// Lost or refused a second, before the client backed off.
    pub(super) per_s: f64,
    /// Lost and refused since then.
    pub(super) lost: u64,
    pub(super) refused: u64,
    /// Connections held in the end.
    pub(super) held: u64,
}

/// A server that does not hold what is opened, from the first back-off on.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    /// Where the window began in which it showed.
    from: Totals,
    per_s: f64,
    /// Connections open when last nothing was being opened.
    held: u64,
    /// The most of these, and when that was seen.
    most: u64,
    progress: Instant,
}

impl Trouble {
    fn look(&mut self, now: Instant, open: u64) {
        self.held = open;
        if open > self.most {
            (self.most, self.progress) = (open, now);
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Full speed: the time at which that began, and the window.
    Free {
        since: Instant,
        window: Option<(Instant, Totals)>,
    },
    Paused {
        until: Instant,
    },
    /// A lot is being opened, or shall show whether it holds.
    Trying {
        lot: u64,
        /// Not yet taken of it.
        left: u64,
        begun: Instant,
        from: Totals,
        /// Of them opened, when last looked at, and when that last changed.
        opened: u64,
        changed: Instant,
    },
}

/// The state machine.
#[derive(Debug)]
pub(super) struct Backoff {
    persist: bool,
    state: State,
    trouble: Option<Trouble>,
    /// Doublings of the pause.
    level: u32,
    pause: Duration,
    /// When it was last asked.
    asked: Instant,
    random: u64,
}

impl Backoff {
    /// `persist` never gives up. `seed` makes the pauses of many clients differ.
    pub(super) fn new(persist: bool, seed: u64, now: Instant) -> Self {
        let state = State::Free { since: now, window: None };
        Self { persist, state, trouble: None, level: 0, pause: Duration::ZERO, asked: now, random: seed | 1 }
    }

    /// The pause between two attempts; zero where what is opened holds.
    pub(super) fn pause(&self) -> Duration {
        match self.state {
            State::Paused { .. } | State::Trying { lot: LOT, .. } => self.pause,
            State::Free { .. } | State::Trying { .. } => Duration::ZERO,
        }
    }

    /// How many of `want` may be opened.
    pub(super) fn ask(&mut self, want: u64, now: Instant, totals: &Totals) -> Leave {
        if now.saturating_duration_since(self.asked) > IDLE {
            self.leave_idle_time_out(now);
        }
        self.asked = now;
        loop {
            let next = match self.state {
                State::Free { since, window } => {
                    let window = window.unwrap_or((now, *totals));
                    if !is_trouble(window, now, totals) {
                        let window = Some(if is_over(window, now, totals) { (now, *totals) } else { window });
                        self.state = State::Free { since, window };
                        return Leave::Open(want);
                    }
                    self.trouble_shows(since, window, now, totals)
                }
                State::Paused { until } if now < until => Some(Leave::Wait(until - now)),
                State::Paused { .. } => {
                    self.look(now, totals);
                    self.begin_lot(LOT, now, totals);
                    None
                }
                State::Trying { .. } => self.judge_lot(want, now, totals),
            };
            if let Some(leave) = next {
                return leave;
            }
        }
    }

    /// Of what was allowed so many are being opened.
    pub(super) fn took(&mut self, n: u64, now: Instant) {
        if let State::Trying { left, changed, .. } = &mut self.state {
            *left = left.saturating_sub(n);
            *changed = now;
        }
    }

    /// The rest of a lot, or whether it holds; `None` when the state has changed.
    fn judge_lot(&mut self, want: u64, now: Instant, totals: &Totals) -> Option<Leave> {
        let State::Trying { lot, left, begun, from, opened, changed } = self.state else { return None };
        let (tried, failed) = (totals.tried_since(&from), totals.failed_since(&from));
        if failed * SHARE > lot {
            return self.fail(now, totals);
        }
        let seen = totals.opened.saturating_sub(from.opened);
        let changed = if seen == opened { changed } else { now };
        let left = if tried > 0 && now >= begun + LONGEST_HOLD { 0 } else { left };
        self.state = State::Trying { lot, left, begun, from, opened: seen, changed };
        if left > 0 {
            return Some(Leave::Open(want.min(left)));
        }
        // An answer that takes longer is to a SYN that was sent again; the others are enough.
        let settled = changed + if totals.in_flight == 0 { self.hold(totals) } else { LONGEST_HOLD };
        if now < settled {
            return Some(Leave::Wait(settled - now));
        }
        if failed * SHARE > tried {
            return self.fail(now, totals);
        }
        match (tried, totals.in_flight) {
            // Nothing came of it that the server had a hand in: a full table, say.
            (0, 0) => self.begin_lot(lot, now, totals),
            (0, _) => return Some(Leave::Wait(LONGEST_HOLD)),
            _ => {
                self.look(now, totals);
                self.level = self.level.saturating_sub(1);
                if lot < LAST_LOT {
                    self.begin_lot(lot * GROWTH, now, totals);
                } else {
                    self.state = State::Free { since: now, window: None };
                }
            }
        }
        None
    }

    /// What was lost while nothing was opened is no answer to what was opened, and time without an attempt none without
    /// progress.
    fn leave_idle_time_out(&mut self, now: Instant) {
        if let State::Free { window, .. } = &mut self.state {
            *window = None;
        }
        if let Some(trouble) = &mut self.trouble {
            trouble.progress = now;
        }
    }

    fn begin_lot(&mut self, lot: u64, now: Instant, totals: &Totals) {
        self.state = State::Trying { lot, left: lot, begun: now, from: *totals, opened: 0, changed: now };
    }

    fn look(&mut self, now: Instant, totals: &Totals) {
        if let Some(trouble) = &mut self.trouble {
            trouble.look(now, totals.open);
        }
    }

    /// Too much was lost or refused at full speed.
    fn trouble_shows(
        &mut self,
        free_since: Instant,
        (start, from): (Instant, Totals),
        now: Instant,
        totals: &Totals,
    ) -> Option<Leave> {
        let age = now.saturating_duration_since(start).max(Duration::from_millis(1));
        let per_s = totals.failed_since(&from) as f64 / age.as_secs_f64();
        if self.trouble.is_none() || now.saturating_duration_since(free_since) >= PATIENCE {
            self.level = 0;
            self.trouble = Some(Trouble { from, per_s, held: totals.open, most: 0, progress: now });
        } else {
            self.look(now, totals);
        }
        self.fail(now, totals)
    }

    /// Backs off, or gives up where that has gone on for too long.
    fn fail(&mut self, now: Instant, totals: &Totals) -> Option<Leave> {
        let decides = self.trouble.filter(|_| !self.persist).map(|t| (t.progress + PATIENCE, t));
        if let Some((_, t)) = decides.filter(|(at, _)| now >= *at) {
            return Some(Leave::GiveUp(Seen {
                per_s: t.per_s,
                lost: totals.lost.saturating_sub(t.from.lost),
                refused: totals.refused.saturating_sub(t.from.refused),
                held: t.held,
            }));
        }
        let whole = FIRST_PAUSE.saturating_mul(1 << self.level.min(16)).min(LONGEST_PAUSE);
        self.level += 1;
        // Up to a quarter less, so that the clients of a test do not all come back at once.
        let pause = whole.mul_f64(1.0 - self.random() / 4.0);
        // The attempt that decides is not put off.
        self.pause = decides.map_or(pause, |(at, _)| pause.min(at - now));
        self.state = State::Paused { until: now + self.pause };
        None
    }

    /// How long a lot has to hold.
    fn hold(&self, totals: &Totals) -> Duration {
        let from = self.trouble.map_or(*totals, |t| t.from);
        let (lost, lived) = (totals.lost.saturating_sub(from.lost), totals.lived_us.saturating_sub(from.lived_us));
        Duration::from_micros(2 * lived / lost.max(1)).clamp(SHORTEST_HOLD, LONGEST_HOLD)
    }

    /// From 0 to 1 (xorshift64).
    fn random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Whether too much of what was opened in a window was lost or refused.
fn is_trouble((start, from): (Instant, Totals), now: Instant, totals: &Totals) -> bool {
    let (tried, failed) = (totals.tried_since(&from), totals.failed_since(&from));
    let slow = now.saturating_duration_since(start) >= SLOW_WINDOW && tried >= SHARE;
    failed * SHARE > tried && (failed >= ENOUGH || slow)
}

/// Whether a window has seen enough.
fn is_over((start, from): (Instant, Totals), now: Instant, totals: &Totals) -> bool {
    let (age, tried) = (now.saturating_duration_since(start), totals.tried_since(&from));
    let least = if tried >= ENOUGH * SHARE {
        WINDOW
    } else if tried >= SHARE {
        SLOW_WINDOW
    } else {
        SLOWEST_WINDOW
    };
    age >= least
}

impl Seen {
    /// In words; `lifetime_us` is the median of all that were lost.
    pub(super) fn sentence(&self, lifetime_us: u64) -> String {
        let rate = grouped(whole(self.per_s.round().max(1.0)));
        let held = if self.held == 0 { "none".to_owned() } else { grouped(self.held) };
        if self.refused > self.lost {
            return format!(
                "the server refuses or resets connections: {rate}/s before the client backed off; {held} held. It is \
                 full, or has stopped listening; this machine is not the limit"
            );
        }
        let (what, limit) = match (lifetime_us < AT_ONCE_US, self.held) {
            (true, 0) => ("accepts and closes at once", "its client limit, or its access rules"),
            (true, _) => ("accepts and closes at once", "its client limit"),
            (false, _) => ("closes what it has accepted", "its client limit, or a timeout"),
        };
        let lived = match lifetime_us {
            0..1_000_000 => format!("{:.1} ms", lifetime_us as f64 / 1e3),
            _ => seconds(lifetime_us as f64 / 1e6),
        };
        format!(
            "the server {what}: {rate}/s before the client backed off, half of them within {lived}; {held} held. It \
             is the server's own limit ({limit}), not this machine"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::micros;
    use std::collections::VecDeque;

    const MS: Duration = Duration::from_millis(1);

    /// A client without a rate against a server that keeps so many and closes others after a time, or refuses them.
    struct Run {
        backoff: Backoff,
        now: Instant,
        totals: Totals,
        keeps: u64,
        lifetime: Duration,
        refuses: bool,
        /// Connections a millisecond.
        speed: u64,
        /// When those that are not kept are closed.
        doomed: VecDeque<Instant>,
        /// Each new pause.
        pauses: Vec<Duration>,
    }

    impl Run {
        fn new(keeps: u64, persist: bool) -> Self {
            let now = Instant::now();
            Self {
                backoff: Backoff::new(persist, 7, now),
                now,
                totals: Totals::default(),
                keeps,
                lifetime: Duration::ZERO,
                refuses: false,
                speed: 100,
                doomed: VecDeque::new(),
                pauses: Vec::new(),
            }
        }

        /// Goes on for so long, or until it gives up.
        fn go(&mut self, time: Duration) -> Option<Seen> {
            let end = self.now + time;
            while self.now < end {
                self.now += MS;
                while self.doomed.front().is_some_and(|at| *at <= self.now) {
                    self.doomed.pop_front();
                    self.totals.lost += 1;
                    self.totals.open -= 1;
                    self.totals.lived_us += micros(self.lifetime);
                }
                let mut left = self.speed;
                while left > 0 {
                    let before = self.backoff.pause();
                    match self.backoff.ask(left, self.now, &self.totals) {
                        Leave::Open(n) => {
                            self.backoff.took(n, self.now);
                            left -= n;
                            (0..n).for_each(|_| self.connect());
                        }
                        Leave::Wait(_) => left = 0,
                        Leave::GiveUp(seen) => return Some(seen),
                    }
                    let pause = self.backoff.pause();
                    if pause != before && !pause.is_zero() {
                        self.pauses.push(pause);
                    }
                }
            }
            None
        }

        fn connect(&mut self) {
            if self.refuses {
                self.totals.refused += 1;
                return;
            }
            self.totals.opened += 1;
            self.totals.open += 1;
            if self.totals.open - self.doomed.len() as u64 > self.keeps {
                self.doomed.push_back(self.now + self.lifetime.max(MS));
            }
        }

        fn tried(&self) -> u64 {
            self.totals.opened + self.totals.refused
        }
    }

    #[test]
    fn a_few_lost_among_many_change_nothing() {
        let mut run = Run::new(u64::MAX, false);
        for _ in 0..1000 {
            assert_eq!(run.go(MS * 10), None);
            // Nine in a hundred.
            run.totals.lost += 90;
            run.totals.open -= 90;
        }
        assert_eq!((run.totals.opened, run.backoff.pause(), run.pauses.len()), (1_000_000, Duration::ZERO, 0));
    }

    #[test]
    fn a_server_that_closes_at_once_sees_few_and_is_given_up_after_ten_seconds() {
        for keeps in [0, 3000] {
            let mut run = Run::new(keeps, false);
            let start = run.now;
            assert_eq!(run.go(MS * 10_000), None);
            let seen = run.go(MS * 2000).unwrap();
            assert!(run.now - start < MS * 12_000, "the last attempt is at ten seconds, whatever the pause");
            // What is lost before it shows, and some fifteen of every lot.
            assert!(run.tried() - keeps < 1000, "{}", run.tried());
            assert_eq!((seen.held, seen.refused, seen.lost), (keeps, 0, run.totals.lost));
            assert!(seen.per_s > 1000.0, "{seen:?}");
        }
    }

    #[test]
    fn a_server_that_refuses_what_it_took_before_is_given_up_too() {
        let mut run = Run::new(u64::MAX, false);
        assert_eq!(run.go(MS * 20), None);
        run.refuses = true;
        let seen = run.go(MS * 15_000).unwrap();
        assert_eq!((seen.held, seen.lost, seen.refused), (2000, 0, run.totals.refused));
        assert!(run.totals.refused < 1000, "{}", run.totals.refused);
    }

    #[test]
    fn pauses_double_to_five_seconds_and_go_on_for_as_long_as_is_wished() {
        let mut run = Run::new(500, true);
        assert_eq!(run.go(Duration::from_mins(10)), None);
        for (i, pause) in run.pauses.iter().enumerate() {
            let whole = (FIRST_PAUSE * (1 << i.min(10))).min(LONGEST_PAUSE);
            assert!(*pause <= whole && *pause >= whole.mul_f64(0.75), "{i}: {pause:?}");
        }
        assert!(run.pauses.len() > 100, "{}", run.pauses.len());
        let same = run.pauses.windows(2).skip(10).filter(|two| two[0] == two[1]).count();
        assert_eq!(same, 0, "jitter");
        // Sixteen in some four seconds.
        assert!(run.tried() < 500 + 1000 + 600 * 6, "{}", run.tried());
    }

    #[test]
    fn full_speed_comes_back_when_what_is_opened_holds() {
        for refuses in [false, true] {
            let mut run = Run::new(1000, false);
            assert_eq!(run.go(MS * 10), None);
            run.refuses = refuses;
            assert_eq!(run.go(MS * 5000), None);
            assert!(!run.backoff.pause().is_zero());
            (run.keeps, run.refuses) = (u64::MAX, false);
            // The rest of the pause, and four lots.
            assert_eq!(run.go(MS * 5000), None);
            let before = run.totals.opened;
            assert_eq!(run.go(MS * 1000), None);
            assert_eq!((run.totals.opened - before, run.backoff.pause()), (100_000, Duration::ZERO), "{refuses}");
        }
    }

    #[test]
    fn a_server_that_closes_after_a_while_does_not_pass_for_one_that_holds() {
        // For 1,500 ms the first lots seem to hold; once it is known how long connections live no lot does.
        for lifetime in [50, 400, 1500_u64] {
            let mut run = Run::new(100, false);
            run.lifetime = Duration::from_millis(lifetime);
            let end = run.go(Duration::from_mins(1));
            assert!(end.is_some(), "{lifetime}");
            let at_full_speed = 100 + run.speed * (lifetime + 100);
            assert!(run.tried() < 3 * at_full_speed + 10_000, "{lifetime}: {} of {at_full_speed}", run.tried());
        }
    }

    #[test]
    fn progress_is_no_reason_to_give_up_however_slow() {
        let mut run = Run::new(1000, false);
        for _ in 0..12 {
            assert_eq!(run.go(MS * 5000), None);
            run.keeps += 10;
        }
        assert!(run.totals.open >= 1090 && !run.backoff.pause().is_zero(), "{:?}", run.totals);
        assert!(run.go(MS * 20_000).is_some());
    }

    #[test]
    fn what_happens_while_nothing_is_opened_does_not_count() {
        let hour = Duration::from_hours(1);
        let mut run = Run::new(u64::MAX, false);
        assert_eq!(run.go(MS * 500), None);
        // At the guard's ceiling; then the server starts anew.
        run.now += hour;
        (run.totals.lost, run.totals.open) = (run.totals.open, 0);
        assert_eq!(run.go(MS * 100), None);
        assert_eq!((run.totals.opened, run.pauses.len()), (60_000, 0));

        let mut run = Run::new(100, false);
        assert_eq!(run.go(MS * 5000), None);
        // Paused by the user: it has ten seconds after that, as it would have had before.
        run.now += hour;
        assert_eq!(run.go(MS * 10_000), None);
        assert!(run.go(MS * 2000).is_some());
    }

    #[test]
    fn a_low_rate_is_judged_too_and_loses_little_by_it() {
        for (keeps, gives_up) in [(u64::MAX, false), (20, true)] {
            let mut run = Run::new(keeps, false);
            let mut ended = None;
            for _ in 0..60 * 10 {
                // Ten a second.
                run.speed = 1;
                ended = ended.or_else(|| run.go(MS));
                run.speed = 0;
                ended = ended.or_else(|| run.go(MS * 99));
            }
            assert_eq!(ended.is_some(), gives_up, "{:?}", run.totals);
            assert!(gives_up || run.totals.opened == 600, "{:?}", run.totals);
        }
    }

    #[test]
    fn a_lot_of_which_nothing_came_is_opened_again() {
        let mut run = Run::new(0, false);
        assert_eq!(run.go(MS * 10), None);
        let mut at = run.now + FIRST_PAUSE * 4;
        let totals = Totals { open: 0, lost: run.totals.opened, ..run.totals };
        for _ in 0..3 {
            let Leave::Open(n) = run.backoff.ask(100, at, &totals) else { panic!("no lot") };
            run.backoff.took(n, at);
            assert!(matches!(run.backoff.ask(100, at, &totals), Leave::Wait(_)));
            // Under way and without an answer it is waited for.
            at += LONGEST_HOLD;
            let waiting = Totals { in_flight: n, ..totals };
            assert!(matches!(run.backoff.ask(100, at, &waiting), Leave::Wait(_)));
        }
    }

    #[test]
    fn says_what_was_seen() {
        let seen = Seen { per_s: 500.4, lost: 900, refused: 0, held: 3000 };
        assert_eq!(
            seen.sentence(400),
            "the server accepts and closes at once: 500/s before the client backed off, half of them within 0.4 ms; 3,000 \
             held. It is the server's own limit (its client limit), not this machine"
        );
        let text = Seen { held: 0, ..seen }.sentence(400);
        assert!(
            text.contains("none held. It is the server's own limit (its client limit, or its access rules)"),
            "{text}"
        );
        let text = seen.sentence(30_000_000);
        assert!(text.starts_with("the server closes what it has accepted: 500/s"), "{text}");
        assert!(text.contains("within 30 s; 3,000 held. ") && text.contains("or a timeout)"), "{text}");
        assert_eq!(
            Seen { refused: 901, ..seen }.sentence(400),
            "the server refuses or resets connections: 500/s before the client backed off; 3,000 held. It is full, or \
             has stopped listening; this machine is not the limit"
        );
    }
}
