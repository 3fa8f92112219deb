//! `ip_local_port_range` and `ip_local_reserved_ports`: the ports that a connect may take by itself.

use serde::{Deserialize, Serialize};

/// Local ports a connect may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// First.
    pub low: u16,
    /// Last.
    pub high: u16,
    /// Ports in the range that `ip_local_reserved_ports` takes out.
    pub reserved: u32,
}

impl PortRange {
    /// Parses the range, `32768 60999`, without reserved ports.
    ///
    /// # Errors
    /// What it is not.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut words = text.split_ascii_whitespace();
        let [low, high] = [port(words.next().unwrap_or_default())?, port(words.next().unwrap_or_default())?];
        if low > high { Err("not a range") } else { Ok(Self { low, high, reserved: 0 }) }
    }

    /// Takes out what a list like `8080,9148-9200` has of it. The kernel prints the list in order and without overlap.
    ///
    /// # Errors
    /// What the list is not.
    pub fn without(self, list: &str) -> Result<Self, &'static str> {
        let (mut reserved, mut next) = (0, 0);
        for part in list.trim().split(',').filter(|part| !part.is_empty()) {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let (from, to) = (port(from)?, port(to)?);
            if from > to || u32::from(from) < next {
                return Err("not a list of ports");
            }
            next = u32::from(to) + 1;
            reserved += (u32::from(to.min(self.high)) + 1).saturating_sub(u32::from(from.max(self.low)));
        }
        Ok(Self { reserved, ..self })
    }

    /// Ports one (source, destination, destination port) can use.
    pub fn usable(self) -> u64 {
        (u64::from(self.high) + 1).saturating_sub(u64::from(self.low)).saturating_sub(u64::from(self.reserved))
    }
}

fn port(text: &str) -> Result<u16, &'static str> {
    text.parse().map_err(|_| "not a port")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_count_within_the_range() {
        let all = PortRange::parse("32768\t60999\n").unwrap();
        assert_eq!(all.usable(), 28_232);
        for (list, want) in [
            ("\n", 0),
            ("8080\n", 0),
            ("40000\n", 1),
            ("8080,40000-40009,50000\n", 11),
            ("8080,32768-32777,60990-65000\n", 20),
            ("0-65535\n", 28_232),
            ("60990-61010\n", 10),
        ] {
            assert_eq!(all.without(list), Ok(PortRange { reserved: want, ..all }), "{list:?}");
        }
        assert_eq!(PortRange::parse("1024 65535\n").unwrap().usable(), 64_512);
    }

    #[test]
    fn hostile_input_is_a_reason() {
        for text in ["", "\0", "1024", "1024 65536", "60999 32768", "a b", "-1 5"] {
            assert!(PortRange::parse(text).is_err(), "{text:?}");
        }
        let all = PortRange { low: 0, high: u16::MAX, reserved: 0 };
        for text in ["x", "1-", "-", "5-1", "1-65536", "1-2-3", "99999999999999999999", "1-10,5-20"] {
            assert!(all.without(text).is_err(), "{text:?}");
        }
    }
}
