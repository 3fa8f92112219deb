//! For how long the server may stand still: a garbage collection, a profile, SIGSTOP.
//!
//! What arrives meanwhile waits unread in kernel buffers, which are charged in pages to `tcp_mem`, to the cgroup (version 2; version 1
//! is charged nothing) and to the machine. Measured on Linux 6.18 with 1,000 to 2,000 connections over loopback whose server was
//! stopped, a message each 200 or 500 ms, bytes of `tcp_mem` a connection:
//!
//! | message | charged after |
//! | --- | --- |
//! | 64 B | 4,719 (9 messages), 8,913 (32), 18,432 (102), 73,728 (608) |
//! | 1 KiB | 4,719 (1), 17,302 (12), 33,554 (27), 45,613 (38) |
//! | 16 KiB | 22,303 (1), 52,711 (3), 118,772 (7), 255,295 (15) |

use super::headroom::Headroom;
use super::prelude::*;
use crate::sample::{Kernel, Net};
use crate::units::{short_seconds, whole};

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "freeze",
    label: "server pause",
    unit: Unit::Seconds,
    help: "How long the server may pause (garbage collection, a heap dump, SIGSTOP) before what is sent to it in the meantime fills TCP buffers, its cgroup or the machine's memory. A client that waits for each answer leaves at most one message per connection unread.",
    sources: "the plan of messages, or InOctets and InSegs; tcp_mem, memory.max, real headroom; tcp_rmem, tcp_wmem",
    read,
    need,
    phrase: |_| "the pause that the server survives".to_owned(),
    alarm: |limit, _| {
        let why = limit.reason.as_deref().unwrap_or_default();
        let seconds = limit.unit.write(limit.limit?);
        Some(format!("the server does not survive a pause of {seconds}: {why}; {}", limit.cure))
    },
    ..PLAIN
};

const ID: LimitId = LimitId::Freeze;

/// Seconds below which a standstill is likely to happen, and is sure to.
const WARN_S: f64 = 10.0;
const CRITICAL_S: f64 = 3.0;

/// Headers of a segment: IPv4 20, TCP with timestamps 32.
const HEADERS: f64 = 52.0;
/// Payload a second below which nothing is sent worth the name, bytes.
const NO_TRAFFIC: f64 = 1000.0;

/// Messages that arrive at sockets of this machine.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Load {
    /// Connections that carry them.
    active: f64,
    /// Bytes of one.
    message: f64,
    /// Seconds between two of one connection.
    every_s: f64,
    /// The most that one connection can leave unread, bytes as charged.
    most: f64,
    /// Bytes of a page.
    page: f64,
}

/// What the first unread message of a connection is charged: whole pages, and some that the sender keeps ready.
fn first(message: f64, page: f64) -> f64 {
    ((message + 700.0) / page).ceil() * page + 620.0
}

/// What each message after it adds on average.
fn each(message: f64) -> f64 {
    1.02 * message + 55.0
}

impl Load {
    /// A client that waits for each answer leaves one message unread.
    fn waiting(self) -> Self {
        Self { most: first(self.message, self.page), ..self }
    }

    /// Seconds until so many bytes are charged; `None` where it never comes to that.
    fn seconds_to_fill(self, room: f64) -> Option<f64> {
        if self.active * self.most <= room {
            return None;
        }
        // Messages are spread evenly over the time between two of one connection.
        let (each_room, first) = (room / self.active.max(1.0), first(self.message, self.page));
        let messages =
            if each_room <= first { each_room / first } else { 1.0 + (each_room - first) / each(self.message) };
        Some(messages.max(0.0) * self.every_s)
    }

    fn per_s(self) -> f64 {
        self.active / self.every_s
    }
}

/// What can be filled, and how much of it is left, bytes.
fn rooms(kernel: &Kernel, headroom: Option<Headroom>) -> Vec<(String, f64)> {
    let mut rooms = Vec::new();
    if let (Ok(marks), Ok(sockstat)) = (&kernel.net.tcp_mem, &kernel.net.sockstat) {
        let left = marks[2].saturating_sub(sockstat.mem_pages).saturating_mul(kernel.host.page_size);
        rooms.push(("TCP buffer memory (tcp_mem)".to_owned(), left as f64));
    }
    // The first process is the server, where there is one. Buffers are charged to cgroups of version 2 alone.
    let chain = kernel.processes.first().and_then(|p| p.memcg.as_deref().ok()).unwrap_or_default();
    for group in chain.iter().filter(|g| g.version == 2) {
        if let Some(left) = super::room(group) {
            rooms.push((format!("the memory cgroup {}", group.path), left as f64));
        }
    }
    rooms.extend(headroom.map(|h| ("the machine's memory".to_owned(), h.bytes as f64)));
    rooms
}

/// The room that is filled first, and when; `Err` says why none is.
fn first_filled(load: Load, rooms: &[(String, f64)]) -> Result<(String, f64), String> {
    if rooms.is_empty() {
        return Err("neither tcp_mem nor memory can be read".to_owned());
    }
    let filled = rooms.iter().filter_map(|(what, room)| Some((what.clone(), load.seconds_to_fill(*room)?)));
    filled.min_by(|a, b| a.1.total_cmp(&b.1)).ok_or_else(|| {
        let all = bytes(whole(load.active * load.most));
        let one = bytes(whole(load.most));
        format!("unread messages take at most {one} per connection, {all} in all: it survives any pause")
    })
}

/// The most that a socket may leave unread and unsent, bytes; the kernel's own where `tcp_rmem` or `tcp_wmem` is out of sight.
fn max_buffers(net: &Net) -> [u64; 2] {
    *net.max_buffers.as_ref().unwrap_or(&[32 << 20, 4 << 20])
}

/// What arrives here; `Err` says why nothing does.
fn load(context: &Context<'_>) -> Result<Load, &'static str> {
    let (sample, net) = (context.sample, &context.sample.kernel.net);
    let page = sample.kernel.host.page_size as f64;
    let [read, write] = max_buffers(net);
    if let Some(client) = sample.engine(Role::Client) {
        let traffic = client.traffic.filter(|t| t.every_us > 0).ok_or("idle connections: no --active")?;
        if !context.both_ends {
            return Err("applies where messages arrive: check on the server's machine");
        }
        let load = Load {
            active: traffic.active as f64,
            message: traffic.message as f64,
            every_s: traffic.every_us as f64 / 1e6,
            most: (read + write) as f64,
            page,
        };
        return Ok(if traffic.no_wait { load } else { load.waiting() });
    }
    let received = context.noted.received.ok_or("not yet known what arrives here")?;
    let payload = received.bytes_per_s - HEADERS * received.segments_per_s;
    let established = net.tcp.as_ref().map_or(0, |t| t.curr_estab) as f64;
    if payload < NO_TRAFFIC || established < 1.0 {
        return Err("hardly anything arrives: idle connections");
    }
    // Segments without payload count too, so that a message looks smaller than it is, and dearer.
    let message = (payload / received.segments_per_s.max(1.0)).max(1.0);
    Ok(Load { active: established, message, every_s: established * message / payload, most: read as f64, page })
}

fn cure(load: Load, seconds: f64) -> Cure {
    let fewer = Remedy::option("fewer, smaller or less frequent messages (--active, --message, --every)");
    let more = format!(
        "room for {} more, enough for {WARN_S:.0} s",
        bytes(whole(load.per_s() * each(load.message) * (WARN_S - seconds)))
    );
    let server = "a server with shorter pauses (its garbage collector), or one that limits what clients may send";
    Cure::from([fewer, Remedy::advice(Level::Host, more), Remedy::advice(Level::Server, server)])
}

fn state(seconds: f64) -> LimitState {
    if seconds < CRITICAL_S {
        LimitState::Critical
    } else if seconds < WARN_S {
        LimitState::Warn
    } else {
        LimitState::Ok
    }
}

fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let load = match load(context) {
        Ok(load) => load,
        Err(why) => return out.push(Meter::not_applicable(ID, "host", why)),
    };
    out.push(match first_filled(load, &rooms(&context.sample.kernel, context.headroom)) {
        Err(why) => Meter {
            state: Some(LimitState::Ok),
            place: Some("survives any".into()),
            ..Meter::not_applicable(ID, "host", why)
        },
        Ok((what, seconds)) => Meter {
            used: None,
            state: Some(state(seconds)),
            place: Some(format!("survives {}", short_seconds(whole(seconds.round())))),
            reason: Some(format!(
                "unread, {} messages a second of {} B fill {what}",
                grouped(whole(load.per_s())),
                grouped(whole(load.message))
            )),
            ..Meter::independent(ID, "host", 0, Some(whole(seconds.round())))
        }
        .cured(move |_| cure(load, seconds)),
    });
}

/// Clients of c1m-top's own wait for each answer; what others do nobody knows.
fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    let Some(traffic) = given.ask.traffic else {
        return out.push(Need::not_applicable(ID, "idle connections: no --active"));
    };
    if !given.ask.accepts() {
        return out.push(Need::not_applicable(ID, "applies where messages arrive: check on the server's machine"));
    }
    let [read, write] = max_buffers(&given.kernel.net);
    let load = Load {
        active: given.ask.target as f64 * traffic.share,
        message: traffic.message as f64,
        every_s: traffic.every_us as f64 / 1e6,
        most: if given.ask.role == Side::Both { read + write } else { read } as f64,
        page: given.kernel.host.page_size as f64,
    };
    let load = if given.ask.role == Side::Both { load.waiting() } else { load };
    let rooms = rooms(given.kernel, Headroom::of(given.kernel, None));
    out.push(match first_filled(load, &rooms) {
        Err(why) => Need::without(ID, Verdict::Fits, why),
        Ok((what, seconds)) => Need::compare(ID, "host", whole(seconds.round()), whole(WARN_S))
            .because(format!("a pause that long fills {what}, if clients keep sending"))
            .mild()
            .cured(|| cure(load, seconds)),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A load of one connection a unit of time, so that seconds are messages.
    fn load(message: f64) -> Load {
        Load { active: 1.0, message, every_s: 1.0, most: 36e6, page: 4096.0 }
    }

    #[test]
    fn what_was_measured_is_what_is_reckoned() {
        let rows = [
            (64.0, 8913.0, 31.9),
            (64.0, 18_432.0, 102.0),
            (64.0, 73_728.0, 608.0),
            (1024.0, 10_486.0, 6.5),
            (1024.0, 17_302.0, 11.6),
            (1024.0, 33_554.0, 27.3),
            (1024.0, 45_613.0, 37.6),
            (16_384.0, 52_711.0, 3.0),
            (16_384.0, 118_772.0, 7.0),
            (16_384.0, 255_295.0, 15.1),
        ];
        for (message, charged, messages) in rows {
            let got = load(message).seconds_to_fill(charged).unwrap();
            assert!((got / messages - 1.0_f64).abs() < 0.15, "{message}: {got} for {messages}");
        }
    }

    #[test]
    fn buffers_that_are_full_first_survive_any_standstill() {
        let rooms = [("x".to_owned(), 5000.0)];
        assert!(first_filled(load(64.0).waiting(), &rooms).is_err(), "one message of 64 B a connection");
        assert!(first_filled(Load { active: 2.0, ..load(64.0).waiting() }, &rooms).is_ok());
        assert!(first_filled(load(64.0), &rooms).is_ok());
        assert!(first_filled(load(64.0), &[]).is_err());
    }

    #[test]
    fn before_a_page_each_is_full_the_first_messages_are_spread() {
        // 1,000 connections, room for half of their first pages: half of the time between two messages.
        let load = Load { active: 1000.0, every_s: 10.0, ..load(64.0) };
        let got = load.seconds_to_fill(500.0 * first(64.0, 4096.0)).unwrap();
        assert!((got - 5.0).abs() < 1e-9, "{got}");
        assert_eq!((state(got), state(1.0), state(11.0)), (LimitState::Warn, LimitState::Critical, LimitState::Ok));
    }
}
