//! How many messages a second the cores can echo.
//!
//! Measured by `cargo bench --bench echo` on two virtual cores under Linux 6.18, over loopback, with 20,000 connections that all
//! send: messages echoed per second of one core's time (docs/benchmarks.md). With 1,000 connections it is up to twice as many,
//! with 100,000 a fifth fewer. Other machines differ, and so do network cards: an estimate, which never alarms louder than a warning.

use crate::protocol::{EngineStats, Phase};

use super::prelude::*;
use crate::units::whole;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "echo",
    label: "echo rate",
    unit: Unit::PerSecond,
    help: "Messages a second the active connections are to send, against what the cores can echo: an estimate from measurements on one machine. Beyond it messages are late; at the target it shows whether they are.",
    sources: "the plan of messages; lines of /proc/net/softnet_stat, one a core",
    cure_in_advance: false,
    read,
    need,
    phrase: |_| "what the cores can echo".to_owned(),
    alarm: |limit, _| Some(format!("{}: {}", limit.reason.as_deref()?, limit.cure)),
    ..PLAIN
};

const ID: LimitId = LimitId::Echo;

/// Bytes of a message, and how many of them one core echoes a second: both ends, a server alone, a client alone.
const MEASURED: [(f64, [f64; 3]); 3] = [
    (64.0, [60_000.0, 127_000.0, 119_000.0]),
    (1024.0, [56_000.0, 123_000.0, 107_000.0]),
    (16_384.0, [34_000.0, 76_000.0, 65_000.0]),
];

/// Share of messages from which on a load is not the one that was asked for.
const LATE: f64 = 0.01;

/// Messages a second that one core echoes where these ends are: the time for one grows evenly between the sizes that were
/// measured, and beyond.
fn per_core(message: u64, ends: Side) -> f64 {
    let column = match ends {
        Side::Both => 0,
        Side::Server => 1,
        Side::Client => 2,
    };
    let message = (message as f64).max(MEASURED[0].0);
    let at = usize::from(message > MEASURED[1].0);
    let ((low, fast), (high, slow)) = (MEASURED[at], MEASURED[at + 1]);
    let (short, long) = (1.0 / fast[column], 1.0 / slow[column]);
    1.0 / (short + (long - short) * (message - low) / (high - low))
}

/// What is to be sent, and what there is to send it with.
#[derive(Debug, Clone, Copy)]
struct Load {
    /// Connections that send.
    active: f64,
    message: u64,
    every_us: u64,
    cores: u64,
    ends: Side,
}

impl Load {
    /// Messages a second asked for.
    fn needed(&self) -> f64 {
        self.active * 1e6 / self.every_us.max(1) as f64
    }

    /// Messages a second that all cores echo.
    fn present(&self) -> f64 {
        self.cores as f64 * per_core(self.message, self.ends)
    }

    /// Where the number comes from.
    fn reason(&self) -> String {
        let cores = if self.cores == 1 { "1 core".to_owned() } else { format!("{} cores", self.cores) };
        let ends = match self.ends {
            Side::Both => "both ends",
            Side::Server => "a server",
            Side::Client => "a client",
        };
        let each = grouped(whole(self.present()) / self.cores.max(1));
        format!("an estimate: {cores} x {each} messages of {}, {ends}, from measurements on one machine", bytes(self.message))
    }

    fn cure(&self) -> Cure {
        let part = self.present() / self.needed();
        let active = Remedy::option(format!("{} active connections (--active)", grouped(whole(self.active * part))));
        let every = Remedy::option(format!("--every {}", pause(self.every_us as f64 / part)));
        let smaller = Remedy::option("smaller messages (--message)");
        let cores = whole((self.needed() / per_core(self.message, self.ends)).ceil());
        let cores = Remedy::advice(Level::Host, format!("{} cores", grouped(cores)));
        let apart = (self.ends == Side::Both).then(|| Remedy::advice(Level::Host, "the client on another host"));
        Cure([active, every, smaller, cores].into_iter().chain(apart).collect())
    }
}

/// Microseconds as `--every` takes them, rounded up.
fn pause(us: f64) -> String {
    if us > 1e6 { format!("{}s", (us / 1e6).ceil()) } else { format!("{}ms", (us / 1e3).ceil()) }
}

/// Whether more connections are to come, and with them messages.
fn ramps(client: &EngineStats) -> bool {
    matches!(client.phase, Phase::Starting | Phase::Ramping | Phase::Paused | Phase::Guarded)
}

/// Whether messages are late; `None` while connections are opened, for they are counted from then on.
fn is_late(client: &EngineStats) -> Option<bool> {
    let traffic = client.traffic.filter(|t| !ramps(client) && t.sent > 0)?;
    let due = traffic.sent + traffic.skipped;
    Some((traffic.overdue + traffic.skipped) as f64 > LATE * due as f64)
}

fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let sample = context.sample;
    let na = |why| Meter::not_applicable(ID, "host", why);
    let Some(client) = sample.engine(Role::Client) else {
        return out.push(na("the client's plan is not known here"));
    };
    let Some(traffic) = client.traffic.filter(|t| t.every_us > 0) else {
        return out.push(na("idle connections: no --active"));
    };
    let ends = if sample.engine(Role::Server).is_some() { Side::Both } else { Side::Client };
    let cores = match &sample.kernel.host.softnet {
        Ok(softnet) => softnet.cores,
        Err(why) => return out.push(Meter::unknown(ID, "host", why)),
    };
    let load = Load { active: traffic.active as f64, message: traffic.message, every_us: traffic.every_us, cores, ends };
    // The peak, for a connection that is lost or closed leaves the count before it is no longer active.
    let peak = client.peak.max(1) as f64;
    let active = if ramps(client) { load.active * client.target as f64 / peak } else { load.active };
    let at_target = Load { active, ..load };
    let beyond = at_target.needed() > load.present();
    let late = is_late(client);
    let needed = grouped(whole(at_target.needed()));
    let (state, reason) = match late {
        _ if !beyond => (LimitState::Ok, load.reason()),
        Some(false) => {
            (LimitState::Ok, format!("messages are on time, although there are more of them than the estimate allows ({})", load.reason()))
        }
        _ => {
            let are = if late.is_some() { "are" } else { "will be" };
            let text = format!("{needed} messages a second are more than the cores can echo, and {are} late ({})", load.reason());
            (LimitState::Warn, text)
        }
    };
    let meter = Meter::growing(ID, "host", whole(load.needed()), whole(load.present()), 1e6 / traffic.every_us as f64);
    out.push(
        Meter {
            // An estimate is proved wrong, or right, by what comes back: no share and no forecast decides.
            state: Some(state),
            reason: Some(reason),
            ..meter
        }
        .expecting(load.needed() / peak)
        .cured(move |_| if beyond { at_target.cure() } else { Cure::none() }),
    );
}

fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    let ask = given.ask;
    let Some(traffic) = ask.traffic else {
        return out.push(Need::not_applicable(ID, "idle connections: no --active"));
    };
    let needed = ask.messages_per_s(ask.target);
    let unknown = |why: &str| {
        let row = Need::without(ID, Verdict::Unknown, why);
        Need { needed: Some(whole(needed)), ..row }
    };
    if ask.program != Program::Own {
        return out.push(unknown("what a message costs a program of yours is not known"));
    }
    let Some(cores) = given.around.machine.cores else {
        return out.push(unknown("the number of cores cannot be read"));
    };
    let load = Load {
        active: ask.target as f64 * traffic.share,
        message: traffic.message,
        every_us: traffic.every_us,
        cores: cores as u64,
        ends: ask.role,
    };
    let present = load.present();
    out.push(
        Need::compare(ID, "host", whole(present), whole(needed.ceil()))
            .met_at(whole(ask.target as f64 * present / needed.max(1.0)))
            .because(load.reason())
            .cured(|| load.cure()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_takes_what_was_measured_and_evenly_more_between() {
        for (message, rates) in MEASURED {
            for (ends, rate) in [Side::Both, Side::Server, Side::Client].into_iter().zip(rates) {
                assert!((per_core(whole(message), ends) - rate).abs() < 1e-6, "{message} {ends:?}");
            }
        }
        assert!((per_core(1, Side::Both) - MEASURED[0].1[0]).abs() < 1e-6, "no message is cheaper than the smallest");
        let time = |message| 1.0 / per_core(message, Side::Both);
        let (a, b, c) = (time(16_384), time(1 << 20), time(2 << 20));
        assert!(b > a && ((c - b) / (b - a) - 1.0).abs() < 0.02, "{a} {b} {c}");
    }

    #[test]
    fn a_cure_is_enough_by_the_same_sum() {
        let load = Load { active: 1e6, message: 16_384, every_us: 1_000_000, cores: 2, ends: Side::Both };
        assert!(load.needed() > 10.0 * load.present());
        let texts: Vec<String> = load.cure().0.into_iter().map(|r| r.text).collect();
        let number = |text: &str| -> f64 {
            text.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
        };
        for fixed in [
            Load { active: number(&texts[0]), ..load },
            Load { every_us: whole(number(&texts[1]) * 1e6), ..load },
            Load { cores: whole(number(&texts[3])), ..load },
        ] {
            let share = fixed.needed() / fixed.present();
            assert!(share <= 1.0 && share > 0.9, "{share}: {texts:?}");
        }
        assert_eq!(texts[4], "the client on another host");
        assert_eq!(Load { ends: Side::Client, ..load }.cure().0.len(), 4);
        assert_eq!((pause(1500.0), pause(1e6), pause(1.5e6)), ("2ms".into(), "1000ms".into(), "2s".into()));
    }
}
