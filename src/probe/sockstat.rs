//! `/proc/net/sockstat` and `sockstat6` (net/ipv4/proc.c): sockets by state.

use super::text::odd;
use crate::sample::kernel::{Reading, Sockstat};

/// Parses `sockstat`.
pub(crate) fn parse(text: &str) -> Reading<Sockstat> {
    let tcp = |key| field(text, "TCP:", key).ok_or(odd("has no whole TCP line"));
    Ok(Sockstat {
        used: field(text, "sockets:", "used").ok_or(odd("has no count of sockets"))?,
        inuse: tcp("inuse")?,
        orphan: tcp("orphan")?,
        tw: tcp("tw")?,
        alloc: tcp("alloc")?,
        mem_pages: tcp("mem")?,
    })
}

/// Parses `sockstat6`: TCP sockets in use.
pub(crate) fn parse6(text: &str) -> Reading<u64> {
    field(text, "TCP6:", "inuse").ok_or(odd("has no TCP6 line"))
}

/// The number after `key` in the line that starts with `head`.
fn field(text: &str, head: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(head))?;
    let mut words = line.split_ascii_whitespace();
    while let Some(name) = words.next() {
        let value = words.next()?;
        if name == key {
            // `orphan` is a sum of per-core counters and can read below zero for a moment.
            return value.parse::<i64>().ok().map(|n| n.max(0).cast_unsigned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "sockets: used 630613\nTCP: inuse 630502 orphan 3 tw 17 alloc 630510 mem 236\n\
                         UDP: inuse 0 mem 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n";

    #[test]
    fn the_tcp_line() {
        let want = Sockstat { used: 630_613, inuse: 630_502, orphan: 3, tw: 17, alloc: 630_510, mem_pages: 236 };
        assert_eq!(parse(WHOLE), Ok(want));
        assert_eq!(parse6("TCP6: inuse 5\nUDP6: inuse 0\n"), Ok(5));
        assert_eq!(parse(&WHOLE.replace("orphan 3", "orphan -1")).unwrap().orphan, 0);
    }

    #[test]
    fn hostile_input_is_a_reason() {
        for text in
            ["", "\0", "TCP:", "sockets: used", &WHOLE[..60], &WHOLE.replace("630502", "x"), "TCP6:\n", "TCP6: inuse x"]
        {
            assert!(parse(text).is_err(), "{text:?}");
            assert!(parse6(text).is_err(), "{text:?}");
        }
    }
}
