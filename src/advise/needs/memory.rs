//! Memory of the machine, of the cgroup, of TCP buffers.

use crate::advise::Verdict;
use crate::advise::bytes_per_connection;
use crate::advise::row::{Row, Setting};
use crate::model::now::PAGE;
use crate::model::{Headroom, KEEP, Unit, bound, charge, charged_per_connection, tightest};
use crate::units::{bytes, grouped, round_up};

use super::Given;

/// What a buffer takes besides its bytes: `SKB_TRUESIZE(0)` of `include/linux/skbuff.h` on 64-bit machines.
const BUFFER_OWN: u64 = 576;

pub(super) fn rows(given: &Given<'_>, out: &mut Vec<Row>) {
    out.push(host(given));
    groups(given, out);
    out.push(tcp_mem(given));
}

/// The share of free memory that the run may take: the rest the guard keeps, and prudence where there is none.
fn share(given: &Given<'_>) -> f64 {
    given.ask.share().min(1.0 - KEEP)
}

fn host(given: &Given<'_>) -> Row {
    let mem = match &given.kernel.host.mem {
        Ok(mem) => mem,
        Err(why) => return Row::unknown("memory", why),
    };
    let Some(headroom) = Headroom::of(given.kernel, None) else {
        return Row::without("memory", Verdict::Unknown, "not readable");
    };
    let each = bytes_per_connection(given.ask);
    let needed = (given.ask.target as f64 * each) as u64;
    let share = share(given);
    let room = (headroom.bytes as f64 * share) as u64;
    let row = Row::held("memory", "host", room, needed);
    let row = Row { unit: Unit::Bytes, ..row };
    row.met_at((room as f64 / each) as u64)
        .because(format!(
            "{} B a connection; {:.0} % of the {} free is kept",
            grouped(each as u64),
            (1.0 - share) * 100.0,
            bytes(headroom.bytes)
        ))
        .cured(|| {
            format!(
                "a machine of {}, or a lower target; smaller buffers save nothing on idle connections",
                bytes(round_up(mem.total + needed - room))
            )
        })
}

fn groups(given: &Given<'_>, out: &mut Vec<Row>) {
    let holders = given.holders();
    let chains: Vec<_> = holders.iter().filter_map(|h| h.process).map(|p| &p.memcg).collect();
    let tight = tightest(chains.iter().filter_map(|c| c.as_deref().ok()));
    if tight.is_empty() {
        let why = match chains.iter().find_map(|c| c.as_ref().err()) {
            Some(why) => why.to_string(),
            None => "no limit in any cgroup from here up".to_owned(),
        };
        out.push(Row::na("memcg", why));
    }
    let share = share(given);
    for group in tight {
        // c1m-top's engines both live in the group this command was started in; a running server may have its own.
        let inside = chains.iter().filter(|c| c.as_ref().is_ok_and(|c| c.iter().any(|g| g.path == group.path))).count();
        let each = charged_per_connection(inside > 1) + given.ask.user_bytes as f64;
        let charged = charge(group);
        let needed = (given.ask.target as f64 * each) as u64;
        let limit = bound(group).unwrap_or(u64::MAX);
        let room = (limit.saturating_sub(charged) as f64 * share) as u64;
        let to = limit.saturating_add(((needed.saturating_sub(room)) as f64 / share).ceil() as u64);
        let row = Row { unit: Unit::Bytes, ..Row::held("memcg", &group.path, room, needed) };
        out.push(
            row.met_at((room as f64 / each) as u64)
                .because(format!(
                    "{} B a connection are charged; {} of {} are in use, {:.0} % of the rest is kept",
                    grouped(each as u64),
                    bytes(charged),
                    bytes(limit),
                    (1.0 - share) * 100.0
                ))
                .set(|| Setting::MemoryMax(round_up(to))),
        );
    }
}

/// Buffers are for data in flight: at the worst each active connection has one message unread, in pages of its own.
fn tcp_mem(given: &Given<'_>) -> Row {
    let marks = match &given.kernel.net.tcp_mem {
        Ok(marks) => *marks,
        Err(why) => return Row::unknown("tcp_mem", why),
    };
    let [low, pressure, max] = marks;
    let each = given.ask.traffic.map_or(0.0, |t| t.share * (t.message + BUFFER_OWN).div_ceil(PAGE) as f64);
    let pages = (given.ask.target as f64 * each).ceil() as u64;
    let row = Row::held("tcp_mem", "host", pressure.saturating_mul(PAGE), pages.saturating_mul(PAGE));
    let row = Row { unit: Unit::Bytes, ..row };
    if pages == 0 {
        return row.because("idle connections hold no buffers (Linux 6.0 and later)");
    }
    row.met_at((pressure as f64 / each) as u64)
        .because("the pressure mark, if every active connection has one message unread")
        .mild()
        .set(|| {
            let scale = |mark: u64| {
                round_up((u128::from(mark) * u128::from(pages)).div_ceil(u128::from(pressure.max(1))) as u64)
            };
            Setting::Sysctl {
                key: "net.ipv4.tcp_mem",
                to: format!("{} {} {}", scale(low), scale(pressure), scale(max)),
            }
        })
}
