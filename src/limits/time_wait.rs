//! Closed connections that keep their ports for a minute.

use super::prelude::*;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "time_wait",
    label: "TIME_WAIT",
    unit: Unit::Count,
    help: "Closed connections that keep their ports for 60 s (tcp_max_tw_buckets). Beyond it they end without the wait.",
    sources: "tw in /proc/net/sockstat, TCPTimeWaitOverflow; tcp_max_tw_buckets",
    counters: &COUNTERS,
    log: &[LogTopic::TimeWait],
    read,
    need,
    phrase: |_| "the TIME_WAIT limit".to_owned(),
    ..PLAIN
};

const ID: LimitId = LimitId::TimeWait;
const KEY: &str = "net.ipv4.tcp_max_tw_buckets";

/// How long a closed connection stays in `TIME_WAIT`: `TCP_TIMEWAIT_LEN` of `include/net/tcp.h`, 60 s.
const TIME_WAIT_S: u64 = 60;

static COUNTERS: [CounterInfo; 1] = [CounterInfo {
    id: "time_wait_overflow",
    proof: "TCPTimeWaitOverflow",
    read: |s| ext(s, |e| e.time_wait_overflow),
    what: "the TIME_WAIT table was full: connections ended without the wait",
    cure: || Cure::from([gentler(), Remedy::advice(Level::Namespace, "raise net.ipv4.tcp_max_tw_buckets").needs("root")]),
    with_numbers: true,
    speaks_for_limit_from: 5,
    log: &[LogTopic::TimeWait],
    ..COUNTER
}];

fn gentler() -> Remedy {
    Remedy::advice(Level::Process, "close by reset or at a lower rate")
}

fn cure(need: u64) -> Cure {
    Cure::from([gentler(), Remedy::sysctl(KEY, need)])
}

fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let (net, scope) = (&context.sample.kernel.net, context.namespace());
    out.push(match (&net.sockstat, &net.max_tw) {
        (Err(why), _) | (_, Err(why)) => Meter::unknown(ID, scope, why),
        // Full it fails nothing: connections end without the wait.
        (Ok(sockstat), Ok(max)) => {
            // A close that overflows has just begun: all that was open will be closed.
            let to_come = context.sample.counters().map(|s| s.peak).max().unwrap_or(0);
            Meter::independent(ID, scope, sockstat.tw, Some(*max))
                .levels(0.9, f64::INFINITY)
                .cured(move |need| cure(need.max(round_up(to_come + to_come / 4))))
        }
    });
}

fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    out.push(match (&given.kernel.net.max_tw, given.ask.program) {
        (Err(why), _) => Need::unknown(ID, why),
        (Ok(_), Program::Own) => {
            Need::not_applicable(ID, "c1m-top closes by reset and leaves none in TIME_WAIT (--close fin leaves some)")
        }
        (Ok(max), Program::Other { .. }) => Need::compare(ID, "at the close", *max, given.ask.target)
            .because("sockets in TIME_WAIT if this end closes all at once")
            .mild()
            .cured(|| cure(round_up(given.ask.target)).by_hand()),
    });
}

/// Forecast of closing `connections` by FIN at `per_s` (`None`: as fast as it goes) from this machine: how many will be in
/// `TIME_WAIT` at once, whether the table holds them, and the pace at which it does.
pub fn fin_forecast(sample: &Sample, connections: u64, per_s: Option<u64>) -> (Severity, String) {
    let waiting = per_s.map_or(connections, |rate| connections.min(rate * TIME_WAIT_S));
    let already = sample.kernel.net.sockstat.as_ref().map_or(0, |s| s.tw);
    let stays = format!(
        "closing {} connections by FIN leaves up to {} in TIME_WAIT for {TIME_WAIT_S} s each, with their local ports",
        grouped(connections),
        grouped(waiting)
    );
    let Ok(max) = sample.kernel.net.max_tw else { return (Severity::Info, stays) };
    let room = max.saturating_sub(already);
    if waiting <= room {
        return (Severity::Info, format!("{stays}; tcp_max_tw_buckets has room for {}", grouped(room)));
    }
    (
        Severity::Warning,
        format!(
            "{stays}; tcp_max_tw_buckets has room for {}, the rest end without the wait (TCPTimeWaitOverflow): --close-rate {} \
             avoids that, --close rst leaves none",
            grouped(room),
            room / TIME_WAIT_S
        ),
    )
}

#[cfg(test)]
mod tests {
    use crate::model::synthetic;
    use super::*;

    #[test]
    fn a_pace_below_the_table_overflows_nothing() {
        let mut sample = synthetic::sample(1000, 0);
        sample.kernel.net.max_tw = Ok(131_072);
        if let Ok(sockstat) = &mut sample.kernel.net.sockstat {
            sockstat.tw = 1072;
        }
        for (connections, per_s, severity, part) in [
            (1_000_000, None, Severity::Warning, "--close-rate 2166 "),
            (1_000_000, Some(5000), Severity::Warning, "300,000 in TIME_WAIT"),
            (1_000_000, Some(2166), Severity::Info, "129,960 in TIME_WAIT"),
            (100_000, None, Severity::Info, "room for 130,000"),
        ] {
            let (got, text) = fin_forecast(&sample, connections, per_s);
            assert_eq!(got, severity, "{text}");
            assert!(text.contains(part), "{text}");
        }
        sample.kernel.net.max_tw = Err(crate::sample::Absent::because("x"));
        assert_eq!(fin_forecast(&sample, 1_000_000, None).0, Severity::Info);
    }
}
