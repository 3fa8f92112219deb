//! `/proc/net/snmp` and `/proc/net/netstat`: a line of names, then a line of numbers. Columns come and go with kernels, so
//! each is found by its name.

use super::text::odd;
use crate::sample::kernel::{Reading, TcpCounters, TcpExt};

/// Parses the `Tcp:` lines of `snmp`.
pub(crate) fn parse_tcp(text: &str) -> Reading<TcpCounters> {
    let mut tcp = TcpCounters::default();
    let mut found = 0_u32;
    columns(text, "Tcp:", |name, value| {
        let slot = match name {
            "PassiveOpens" => &mut tcp.passive_opens,
            "InSegs" => &mut tcp.in_segs,
            "CurrEstab" => &mut tcp.curr_estab,
            "RetransSegs" => &mut tcp.retrans_segs,
            _ => return Some(()),
        };
        *slot = value.parse().ok()?;
        found += 1;
        Some(())
    })?;
    // All four are in RFC 4022; a file without one is not what it says.
    if found == 4 { Ok(tcp) } else { Err(odd("lacks columns of RFC 4022")) }
}

/// Parses the `TcpExt:` lines of `netstat`.
pub(crate) fn parse_ext(text: &str) -> Reading<TcpExt> {
    let mut ext = TcpExt::default();
    columns(text, "TcpExt:", |name, value| {
        let slot = match name {
            "ListenOverflows" => &mut ext.listen_overflows,
            "ListenDrops" => &mut ext.listen_drops,
            "TCPReqQFullDoCookies" => &mut ext.req_q_full_do_cookies,
            "TCPReqQFullDrop" => &mut ext.req_q_full_drop,
            "TCPMemoryPressures" => &mut ext.memory_pressures,
            "PruneCalled" => &mut ext.prune_called,
            "RcvPruned" => &mut ext.rcv_pruned,
            "TCPAbortOnMemory" => &mut ext.abort_on_memory,
            "TCPTimeWaitOverflow" => &mut ext.time_wait_overflow,
            "TCPBacklogDrop" => &mut ext.backlog_drop,
            _ => return Some(()),
        };
        *slot = value.parse().ok()?;
        Some(())
    })?;
    Ok(ext)
}

/// `InOctets` of the `IpExt:` lines of `netstat`.
pub(crate) fn octets(text: &str) -> Option<u64> {
    let mut octets = None;
    columns(text, "IpExt:", |name, value| {
        if name == "InOctets" {
            octets = Some(value.parse().ok()?);
        }
        Some(())
    })
    .ok()?;
    octets
}

/// Hands out each name with its number (as text: some are negative) of the two lines that start with `head`.
fn columns(text: &str, head: &str, mut take: impl FnMut(&str, &str) -> Option<()>) -> Reading<()> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(head));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return Err(odd("lacks its lines")) };
    let mut values = values.split_ascii_whitespace();
    for name in names.split_ascii_whitespace() {
        let value = values.next().ok_or(odd("cut short"))?;
        take(name, value).ok_or(odd("not a number"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNMP: &str = "Ip: Forwarding\nIp: 2\nTcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens \
        AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors\n\
        Tcp: 1 200 120000 -1 61 2 3 51 630400 2573 1989 4 0 53 0\nUdp: InDatagrams\nUdp: 117\n";
    const NETSTAT: &str = "TcpExt: SyncookiesSent PruneCalled NewAndUnknown ListenOverflows ListenDrops\n\
        TcpExt: 1 2 99 4 5\nIpExt: InOctets\nIpExt: 7\n";

    #[test]
    fn columns_go_by_name() {
        let tcp = parse_tcp(SNMP).unwrap();
        assert_eq!(tcp, TcpCounters { passive_opens: 2, in_segs: 2573, curr_estab: 630_400, retrans_segs: 4 });
        let ext = parse_ext(NETSTAT).unwrap();
        let want = TcpExt { prune_called: 2, listen_overflows: 4, listen_drops: 5, ..TcpExt::default() };
        assert_eq!(ext, want);
        assert_eq!(octets(NETSTAT), Some(7));
        assert_eq!(octets(&NETSTAT.replace("InOctets", "Renamed")), None);
    }

    #[test]
    fn hostile_input_is_a_reason() {
        let no_column = SNMP.replace("CurrEstab", "Renamed");
        for text in ["", "\0", "Tcp:\n", "Tcp:\nTcp:\n", &SNMP[..200], &no_column, &SNMP.replace("630400", "x")] {
            assert!(parse_tcp(text).is_err(), "{text:?}");
        }
        for text in ["", "TcpExt:\n", "TcpExt: PruneCalled\n", "TcpExt: PruneCalled\nTcpExt:\n", &NETSTAT[..90]] {
            assert!(parse_ext(text).is_err(), "{text:?}");
        }
    }
}
