//! What a close by FIN leaves behind, said before the first one.

use crate::sample::Sample;
use crate::units::grouped;

use super::event::Severity;

/// How long a closed connection stays in `TIME_WAIT`: `TCP_TIMEWAIT_LEN` of `include/net/tcp.h`, 60 s.
const TIME_WAIT_S: u64 = 60;

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
            "{stays}; tcp_max_tw_buckets has room for {}, the rest is dropped without it (TCPTimeWaitOverflow): --close-rate {} \
             overflows nothing, --close rst leaves nothing",
            grouped(room),
            room / TIME_WAIT_S
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::synthetic;
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
