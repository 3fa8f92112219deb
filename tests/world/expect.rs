//! What is expected of a server, and how it is held against what happened.

use std::ops::RangeInclusive;

use c1m_top::model::{LimitState, Severity, Verdict};

use super::fill::{Filled, Filler, fill};
use super::servers::Server;

/// A server, the limit that it has here, and what becomes of it.
#[derive(Debug)]
pub(crate) struct Case {
    /// As the watcher calls it.
    pub(crate) name: &'static str,
    /// Starts it with a limit, in the unit that its configuration has.
    pub(crate) start: fn(u64) -> Server,
    pub(crate) setting: u64,
    pub(crate) filler: Filler,
    /// Connections that it holds with that.
    pub(crate) holds: RangeInclusive<u64>,
    /// Connections that wait to be accepted when it is full: the client has these too.
    pub(crate) queued: u64,
    pub(crate) cure: Cured,
    /// Id of the limit, and how far off a forecast may be, as a share.
    pub(crate) limit: &'static str,
    pub(crate) within: f64,
    /// Beginning of the id of the event that says so at the watcher, parts of its text, and of its cure.
    pub(crate) event: &'static str,
    pub(crate) says: &'static [&'static str],
    pub(crate) advises: &'static [&'static str],
    /// What would look like a cure to its clients, and is none: neither end may say it.
    pub(crate) never_advises: &'static [&'static str],
    pub(crate) watcher: Verdict,
    /// `None` where another client fills it.
    pub(crate) client: Option<Verdict>,
    /// Whether it is more processes than one that hold its connections.
    pub(crate) tree: bool,
}

/// What lets a server hold more.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cured {
    /// Another start, with this setting.
    Restart(u64),
    /// More descriptors for the running process.
    Raise(u64),
}

/// One thing that is held against what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// At half, this limit is named as the next, with the right count.
    Half,
    /// It holds as many as it should, and the watcher says how many these are.
    Held,
    /// The limit's row says that it was met, for this process.
    Hit,
    /// The event says what happened.
    Said,
    /// It says what helps.
    Advised,
    /// Neither end offers what is no cure: a longer queue to a server that does not accept.
    NoFalseCure,
    /// A client that gets no answer names the commonest causes first.
    CommonFirst,
    /// The tree's processes and their shares are told.
    Members,
    /// How the watching ended.
    Watcher,
    /// How the client ended.
    Client,
}

/// All of them.
const CHECKS: [Check; 10] = [
    Check::Half,
    Check::Held,
    Check::Hit,
    Check::Said,
    Check::Advised,
    Check::NoFalseCure,
    Check::CommonFirst,
    Check::Members,
    Check::Watcher,
    Check::Client,
];

impl Case {
    fn start(&self) -> Server {
        (self.start)(self.setting)
    }

    /// A third more than it holds, and what its queue takes.
    fn too_many(&self) -> u64 {
        self.holds.end() * 13 / 10 + self.queued
    }

    /// Fills it beyond its limit and holds everything against what is expected.
    #[track_caller]
    pub(crate) fn met(&self) {
        let filled = fill(&self.start(), self.filler, self.too_many());
        self.report(&filled);
        let failed: Vec<String> = CHECKS
            .iter()
            .filter_map(|check| Some(format!("{check:?}: {}", self.check(*check, &filled).err()?)))
            .collect();
        assert!(failed.is_empty(), "{}:\n{}", self.name, failed.join("\n"));
    }

    /// Fills it to 60 %.
    #[track_caller]
    pub(crate) fn healthy(&self) {
        let filled = fill(&self.start(), self.filler, self.holds.start() * 6 / 10);
        self.report(&filled);
        let ends = [Some(&filled.watcher), filled.client.as_ref()];
        for end in ends.into_iter().flatten() {
            let alarms: Vec<_> = end.alarms().into_iter().filter(|e| !self.is_expected(&e.id)).collect();
            assert!(alarms.is_empty(), "{}: {alarms:#?}", self.name);
            assert_eq!(end.code, Some(0), "{}: {:?}", self.name, end.summary().verdict);
        }
    }

    /// Applies the cure.
    #[track_caller]
    pub(crate) fn cured(&self) {
        let (server, target) = match self.cure {
            Cured::Restart(setting) => ((self.start)(setting), self.holds.end() * 13 / 10),
            Cured::Raise(to) => {
                // It helps one that has met its limit, and has had connections.
                let server = self.start();
                self.report(&fill(&server, self.filler, self.too_many()));
                server.raise_descriptors(to);
                (server, self.holds.end() * 13 / 10)
            }
        };
        let rest = server.open_files();
        let filled = fill(&server, self.filler, target);
        self.report(&filled);
        server.until_at_rest(rest);
        assert_eq!(filled.open, target, "{}", self.name);
        if let Some(client) = &filled.client {
            assert_eq!(client.summary().verdict, Verdict::TargetReached, "{}: {}", self.name, client.log());
            assert!(client.alarms().iter().all(|e| self.is_expected(&e.id)), "{}: {}", self.name, client.log());
        }
        assert_eq!(filled.watcher.summary().verdict, Verdict::Watched, "{}", self.name);
    }

    /// Alarms that a healthy filling may have. Nobody knows how far the clients of a server want to go: more than half of a
    /// limit that is seconds away is one. And other programs on this machine may fill what all share.
    fn is_expected(&self, id: &str) -> bool {
        id.starts_with(&format!("limit/{}/", self.limit)) || id == "softnet_dropped"
    }

    fn check(&self, check: Check, filled: &Filled) -> Result<(), String> {
        let watcher = &filled.watcher;
        let held = self.held(filled);
        match check {
            Check::Half => {
                let half = held as f64 / 2.0;
                let Some((at, forecast)) = watcher.forecast(self.limit, half) else {
                    return Err(format!("no forecast of {}", self.limit));
                };
                ensure(share_off(at as f64, half) < 0.4, || format!("none near half: {forecast} at {at}"))?;
                // What is known within bounds only is right where those hold the truth.
                let doubt = watcher.doubt(self.limit, half).unwrap_or(0) as f64;
                let off = (forecast as f64 - held as f64).abs();
                ensure(off <= doubt + self.within * held as f64, || {
                    format!("{forecast} ± {doubt} forecast at {at}, {held} held")
                })
            }
            Check::Held => {
                ensure(self.holds.contains(&held), || format!("{held} held, and not {:?}", self.holds))?;
                // The summary has the peak, which nginx goes back from.
                let last = watcher.samples.iter().rev().filter_map(|s| s.process.as_ref());
                let counted = match self.watcher {
                    // What was left of one that died says nothing.
                    Verdict::ProcessDied => watcher.summary().process.as_ref().and_then(|p| p.connections),
                    _ => last.filter_map(|p| p.connections).find(|n| *n > 0),
                };
                // What a client opened last may wait to be accepted by one that died.
                let room = if self.watcher == Verdict::ProcessDied { self.within } else { 0.01 };
                let near = counted.is_some_and(|n| share_off(n as f64, held as f64) <= room);
                ensure(near, || format!("{counted:?} counted, {held} held"))
            }
            Check::Hit => {
                let mut rows = watcher.summary().limits.iter().filter(|l| l.id.name() == self.limit);
                // A limit of the server's own belongs to it, by name and number.
                let is_its = |scope: &str| self.limit != "app" || scope.starts_with(&format!("{} ", self.name));
                let hit = rows.clone().any(|row| row.state == LimitState::Hit && is_its(&row.scope));
                ensure(hit, || format!("{:?}", rows.next()))
            }
            Check::Said => self.event_has(filled, self.says),
            Check::Advised => self.event_has(filled, self.advises),
            Check::NoFalseCure => {
                let ends = [Some(watcher), filled.client.as_ref()];
                let mut events = ends.into_iter().flatten().flat_map(|end| &end.events);
                let offered = events.find(|e| self.never_advises.iter().any(|cure| e.text.contains(cure)));
                ensure(offered.is_none(), || offered.unwrap().text.clone())
            }
            Check::CommonFirst => {
                let event = filled.client.as_ref().and_then(|c| c.event("client/connect/ETIMEDOUT"));
                let Some(text) = event.map(|e| e.text.as_str()) else { return Ok(()) };
                let of = |word: &str| text.find(word).unwrap_or(usize::MAX);
                ensure(of("accept queue") < of("conntrack"), || text.to_owned())
            }
            Check::Members if self.tree => self.members_hold(filled),
            Check::Watcher => same(&watcher.summary().verdict, &self.watcher),
            Check::Client => same(&filled.client.as_ref().map(|c| c.summary().verdict), &self.client),
            Check::Members => Ok(()),
        }
    }

    /// Connections that the server held, as its clients know.
    fn held(&self, filled: &Filled) -> u64 {
        match (self.watcher, &filled.client) {
            // None is left at the end.
            (Verdict::ProcessDied, Some(client)) => client.peak(),
            (_, Some(client)) if client.summary().verdict == Verdict::ServerStalled => filled.open - self.queued,
            _ => filled.open,
        }
    }

    fn event_has(&self, filled: &Filled, parts: &[&str]) -> Result<(), String> {
        let mut events = filled.watcher.events.iter().filter(|e| e.id.starts_with(self.event));
        let has_all = |text: &str| parts.iter().all(|part| text.contains(part));
        let found = events.any(|e| e.severity > Severity::Info && has_all(&e.text));
        ensure(found, || format!("no event {} with {parts:?}:\n{}", self.event, filled.watcher.log()))
    }

    /// The members' connections add up.
    fn members_hold(&self, filled: &Filled) -> Result<(), String> {
        let process = filled.watcher.summary().process.as_ref();
        // By the keys of the output, which is what is promised.
        let process = serde_json::to_value(process).unwrap();
        let members = process["members"].as_array().cloned().unwrap_or_default();
        let counts: Vec<u64> = members.iter().filter_map(|m| m["connections"].as_u64()).collect();
        ensure(!counts.is_empty(), || "no members".to_owned())?;
        let (sum, held) = (counts.iter().sum::<u64>(), self.held(filled));
        // Of many only the first are listed.
        if process["processes"].as_u64() > Some(members.len() as u64) {
            return ensure(counts.iter().skip(1).all(|n| *n <= 1) && sum > 0, || format!("{counts:?}"));
        }
        ensure(share_off(sum as f64, held as f64) < 0.02, || format!("{counts:?} of {held}"))
    }

    /// What happened, for whoever reads the output of a test.
    fn report(&self, filled: &Filled) {
        let watcher = &filled.watcher;
        let held = self.held(filled);
        let process = watcher.summary().process.as_ref();
        let half = watcher.samples.iter().filter(|s| s.nearest_limit.is_some() && s.established > 0);
        let half = half.min_by_key(|s| s.established.abs_diff(held / 2));
        let near = half.and_then(|s| Some((s.established, s.nearest_limit.as_ref()?)));
        eprintln!("{}: {held} held, {:?} counted", self.name, process.and_then(|p| p.connections));
        eprintln!("at half: {near:?}; {}: {:?}", self.limit, watcher.forecast(self.limit, held as f64 / 2.0));
        eprintln!("watcher: {:?}\n{}", watcher.summary().verdict, watcher.log());
        for row in watcher.summary().limits.iter().filter(|l| l.id.name() == self.limit) {
            eprintln!("{row:?}");
        }
        if let Some(client) = &filled.client {
            eprintln!("client: {:?}, at most {}\n{}", client.summary().verdict, client.peak(), client.log());
        }
    }
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

fn same<T: PartialEq + std::fmt::Debug>(is: &T, should: &T) -> Result<(), String> {
    ensure(is == should, || format!("{is:?}, and not {should:?}"))
}

/// How far a number is from the right one, as a share of that.
fn share_off(is: f64, right: f64) -> f64 {
    (is - right).abs() / right.max(1.0)
}
