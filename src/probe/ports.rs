//! `ip_local_port_range` and `ip_local_reserved_ports`: the ports that a connect may take by itself.

use super::text::{number, numbers, odd};
use crate::sample::kernel::{PortRange, Reading};

/// Parses the range; the reserved ports are added by [`reserved`].
pub(crate) fn range(text: &str) -> Reading<PortRange> {
    let [low, high] = numbers(text)?;
    let port = |n: u64| u16::try_from(n).map_err(|_| odd("not a port"));
    let range = PortRange { low: port(low)?, high: port(high)?, reserved: 0 };
    if range.low > range.high { Err(odd("not a range")) } else { Ok(range) }
}

/// How many ports of `range` a list like `8080,9148-9200` takes out. The kernel prints it in order and without overlap.
pub(crate) fn reserved(text: &str, range: PortRange) -> Reading<u32> {
    let (low, high) = (u64::from(range.low), u64::from(range.high));
    let mut count = 0_u64;
    let mut next = 0_u64;
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (number(from)?, number(to)?);
        if from > to || to > u64::from(u16::MAX) || from < next {
            return Err(odd("not a list of ports"));
        }
        next = to + 1;
        count += (to.min(high) + 1).saturating_sub(from.max(low));
    }
    Ok(count as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_count_within_the_range() {
        let all = range("32768\t60999\n").unwrap();
        assert_eq!(all.usable(), 28_232);
        for (list, want) in [
            ("\n", 0),
            ("8080\n", 0),
            ("40000\n", 1),
            ("8080,40000-40009,50000\n", 11),
            ("0-65535\n", 28_232),
            ("60990-61010\n", 10),
        ] {
            assert_eq!(reserved(list, all), Ok(want), "{list:?}");
        }
        assert_eq!(range("1024 65535\n").unwrap().usable(), 64_512);
    }

    #[test]
    fn hostile_input_is_a_reason() {
        for text in ["", "\0", "1024", "1024 65536", "60999 32768", "a b", "-1 5"] {
            assert!(range(text).is_err(), "{text:?}");
        }
        let all = PortRange { low: 0, high: u16::MAX, reserved: 0 };
        for text in ["x", "1-", "-", "5-1", "1-65536", "1-2-3", "99999999999999999999", "1-10,5-20"] {
            assert!(reserved(text, all).is_err(), "{text:?}");
        }
    }
}
