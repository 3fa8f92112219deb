//! Something that no longer moves though it should: connects under way, or messages without an answer.

use crate::limits::{LimitState, shown_by};
use crate::model::event::{Event, Kind, Severity};
use crate::model::progress::Progress;
use crate::protocol::{EngineStats, Phase, Role};
use crate::units;

use super::failures::silence;
use super::{Facts, Say};

/// Time without a new connection that is a stall, microseconds: the first SYN is retried after one second. The same for
/// messages, whose segments are retried sooner.
const STALL_US: u64 = 2_000_000;

/// One event within a quarter of a minute or so, per second.
const OF_LATE: f64 = 0.02;

/// Progress, and whether its want has been said.
#[derive(Debug, Clone, Default)]
struct Still {
    progress: Progress,
    told: bool,
}

impl Still {
    /// Microseconds for which the count has stood though it was `due` to rise, said once a stall.
    fn stands(&mut self, count: u64, t_us: u64, due: bool) -> Option<u64> {
        let since = self.progress.stands(count, t_us, due);
        let new = since >= STALL_US && !self.told;
        self.told = since > 0 && (self.told || new);
        new.then_some(since)
    }
}

/// What is watched.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch {
    connects: Still,
    accepts: Still,
    greetings: Still,
    echoes: Still,
    /// Messages not sent for want of an answer to the one before, when an answer last came.
    skipped: u64,
}

impl Watch {
    pub(super) fn update(&mut self, facts: &Facts<'_>, say: Say<'_>) {
        let Some(client) = facts.sample.engine(Role::Client) else { return };
        if facts.now.silent_ms(Role::Client).is_some() {
            // Its clock goes on, and it does not.
            *self = Self { skipped: self.skipped, ..Self::default() };
            return;
        }
        let due = client.phase == Phase::Ramping && client.in_flight > 0;
        if let Some(since) = self.connects.stands(client.opened, client.t_us, due) {
            let text = format!(
                "no connection was established for {} at {} with {} under way{}",
                units::seconds(since as f64 / 1e6),
                units::grouped(client.open),
                units::grouped(client.in_flight),
                cause(facts, client.open)
            );
            say(Event::new(Kind::Stall, Severity::Warning, "stall", text));
        }
        self.other_end(client, facts, say);
        self.messages(client, facts, say);
    }

    /// What the client has opened and the server does not take.
    fn other_end(&mut self, client: &EngineStats, facts: &Facts<'_>, say: Say<'_>) {
        let taking = !facts.ending() && !facts.server_gone();
        let server = facts.sample.engine(Role::Server);
        let due = taking && client.phase == Phase::Holding && facts.sample.is_unaccepted();
        let accepted = server.map_or(0, |server| server.opened);
        if let (Some(since), Some(server)) = (self.accepts.stands(accepted, client.t_us, due), server) {
            let text = format!(
                "the client has opened {}; the server has accepted {} of them, and none for {}{}",
                units::grouped(client.open),
                units::grouped(server.open),
                units::seconds(since as f64 / 1e6),
                cause(facts, server.open)
            );
            say(Event::new(Kind::Stall, Severity::Warning, "stall/accept", text)
                .proved("opened", client.open)
                .proved("accepted", server.open));
        }
        let due = taking && client.is_ungreeted();
        if let Some(since) = self.greetings.stands(client.greeted, client.t_us, due) {
            let text = format!(
                "no greeting has come back for {}: {} of {} connections have been answered. The server accepts but \
                 does not answer: it hangs, or it is no echo server (--greet needs one)",
                units::seconds(since as f64 / 1e6),
                units::grouped(client.greeted),
                units::grouped(client.opened),
            );
            say(Event::new(Kind::Stall, Severity::Warning, "stall/greeting", text)
                .proved("opened", client.opened)
                .proved("greeted", client.greeted));
        }
    }

    fn messages(&mut self, client: &EngineStats, facts: &Facts<'_>, say: Say<'_>) {
        let Some(traffic) = client.traffic else { return };
        // A part of a large message is an answer too.
        let echoed = traffic.echoed + traffic.echoed_bytes;
        if self.echoes.progress.has_moved(echoed) {
            self.skipped = traffic.skipped;
        }
        // Where nothing was due nothing is missing: a message that falls due while the one before is unanswered is skipped.
        let due = !facts.ending() && traffic.skipped > self.skipped;
        if let Some(since) = self.echoes.stands(echoed, client.t_us, due) {
            let text = format!(
                "no message has come back for {} on {} active connections{}",
                units::seconds(since as f64 / 1e6),
                units::grouped(traffic.active),
                unread(facts)
            );
            say(Event::new(Kind::Stall, Severity::Warning, "echo_stall", text));
        }
    }
}

/// Why messages have no answer.
fn unread(facts: &Facts<'_>) -> String {
    // Of late, or where that can be seen now: pressure passes.
    let row = facts.limits.iter().find(|l| l.info.holds_unread && l.share().is_some());
    let high = row.is_some_and(|l| l.state >= LimitState::Warn);
    if high || (row.is_none() && facts.counters.per_s("memory_pressures") > OF_LATE) {
        let cure = row.map_or(String::new(), |l| facts.advice(&l.cure));
        return format!(": TCP buffers are nearly full, and what has been sent is waiting unread{cure}");
    }
    if let Some(ms) = facts.now.silent_ms(Role::Server) {
        return silent(ms);
    }
    match facts.sample.engine(Role::Server) {
        Some(_) => ": the server engine is not reading: it is short of CPU".into(),
        None => ": look at the other host. If ss -tn there shows a Recv-Q that does not shrink, the server is not \
                 reading: it is stopped, or short of CPU"
            .into(),
    }
}

/// The server's engine has not run for so many milliseconds.
fn silent(ms: u64) -> String {
    format!(": the server engine has been silent for {}", units::millis(ms))
}

/// The likeliest cause: what this machine can see first, the round number second, the other host last.
fn cause(facts: &Facts<'_>, open: u64) -> String {
    if let Some(server) = facts.sample.engine(Role::Server) {
        if server.phase == Phase::Paused {
            return ": the server is paused".into();
        }
        if let Some(ms) = facts.now.silent_ms(Role::Server) {
            return silent(ms);
        }
        if server.errors.iter().any(|e| e.op == "accept" && e.name == "EMFILE") {
            let limit = shown_by("accept", "EMFILE").and_then(|l| facts.limit(l.id, Some(Role::Server.name())));
            let cure = limit.map_or(String::new(), |l| facts.advice(&l.cure));
            return format!(": the server is out of open files (EMFILE on accept){cure}");
        }
    }
    let swallowed = silence(facts);
    if !swallowed.is_empty() {
        return swallowed;
    }
    let hint = round_number(open).map_or(String::new(), |hint| format!(": {hint}"));
    if facts.sample.engine(Role::Server).is_some() { hint } else { format!("{hint}: {ELSEWHERE}") }
}

/// What tells the causes apart that only the server's host can see.
const ELSEWHERE: &str = "look at the other host: c1m-top --attach PID there shows why. Or check: ss -ltn (Recv-Q as \
                         large as Send-Q: the server is not accepting; it is paused, slow or out of open files, see \
                         /proc/PID/limits), sysctl net.netfilter.nf_conntrack_count (full at nf_conntrack_max), \
                         nstat -az TcpExtListenOverflows (accept queue), dmesg (neighbour table)";

/// A client that stalls at a round number meets a known limit. A few connections of other programs and those under way
/// make the count a little lower.
fn round_number(open: u64) -> Option<&'static str> {
    // The number, how far below and above it still counts, what it is. Above: what waits in the accept queues of a server
    // that has no descriptor left is established to the client.
    let known: [(u64, u64, u64, &'static str); 6] = [
        (1_024, 24, 256, "near 1,024, a server's usual open-file limit (ulimit -n)"),
        (28_232, 100, 0, "near 28,232, all ports of the default ip_local_port_range for one destination port"),
        (64_512, 100, 0, "near 64,512, all local ports above 1023 for one destination port"),
        (65_536, 400, 0, "near 65,536, a common nf_conntrack_max"),
        (262_144, 600, 0, "near 262,144, a common nf_conntrack_max"),
        (
            1_048_576,
            1_000,
            0,
            "near 1,048,576, the default fs.nr_open: the most open files one descriptor table can have",
        ),
    ];
    known.iter().find(|(n, below, above, _)| open <= n + above && open + below >= *n).map(|k| k.3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_numbers_are_known() {
        let rows = [
            (1_020, Some("1,024")),
            (1_136, Some("1,024")),
            (1_400, None),
            (28_232, Some("28,232")),
            (28_200, Some("28,232")),
            (64_512, Some("64,512")),
            (65_200, Some("65,536")),
            (262_144, Some("262,144")),
            (1_048_560, Some("1,048,576")),
            (500_000, None),
            (0, None),
            (30_000, None),
        ];
        for (open, want) in rows {
            let got = round_number(open);
            assert_eq!(got.is_some(), want.is_some(), "{open}");
            assert!(got.unwrap_or_default().contains(want.unwrap_or_default()), "{open}: {got:?}");
        }
    }
}
