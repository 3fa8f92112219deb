//! What single options take, and what is wrong with the rest: one sentence each.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::output::{FORMATS, Format};
use crate::part::Part;
pub(super) use crate::probe::parse_pid as pid;
use crate::ui::Palette;
use crate::units::{parse_bytes, parse_count, parse_duration, parse_percent, parse_rate};

/// A rate: a number per second, or as fast as it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub Option<u64>);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_rate(text).map(Self)
    }
}

/// Which part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartArg {
    /// This one.
    Named(Part),
    /// As the launcher of this process says.
    Auto,
}

impl FromStr for PartArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::Named) }
    }
}

/// One value of `--source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// An address of the prefix.
    pub ip: IpAddr,
    /// Prefix length; `None` is the one address.
    pub prefix: Option<u8>,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not an address or a prefix; write for example 10.0.0.7 or 10.0.0.0/28");
        let (ip, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((ip, prefix)) => (ip, Some(prefix.parse::<u8>().map_err(|_| wrong())?)),
        };
        let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        if prefix.is_some_and(|p| p > most) {
            return Err(wrong());
        }
        // An IPv4 address in IPv6 clothes is the IPv4 address; of a prefix the length would have to change as well.
        Ok(Self { ip: if prefix.is_none() { ip.to_canonical() } else { ip }, prefix })
    }
}

/// An address of this machine.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    let wrong = |_| format!("'{text}' is not an IP address; write for example 127.0.0.1 or ::1");
    text.parse::<IpAddr>().map(|ip| ip.to_canonical()).map_err(wrong)
}

/// A count within bounds.
fn within<T: TryFrom<u64>>(text: &str, least: u64, most: u64, what: &str) -> Result<T, String> {
    let n = parse_count(text).ok().filter(|n| (least..=most).contains(n));
    n.and_then(|n| T::try_from(n).ok())
        .ok_or_else(|| format!("'{text}' is not {what}; write a number from {least} to {most}"))
}

/// A port.
///
/// # Errors
/// A sentence that says what is accepted.
pub fn port(text: &str) -> Result<u16, String> {
    // `9.9k` is a count and no port.
    let digits = if text.bytes().all(|b| b.is_ascii_digit()) { text } else { "" };
    within(digits, 1, 65_535, "").map_err(|_| format!("'{text}' is not a port; write a number from 1 to 65535"))
}

/// Where metrics are served: a port alone is on loopback.
pub(super) fn metrics(text: &str) -> Result<SocketAddr, String> {
    let wrong =
        || format!("'{text}' is not an address and a port; write for example 9464, 127.0.0.1:9464 or [fd00::7]:9464");
    let (host, number) = text.rsplit_once(':').unwrap_or(("", text));
    let number = port(number).map_err(|_| wrong())?;
    let ip = match host {
        "" | "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        // In brackets, as in a URL.
        host => match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(six) => IpAddr::V6(six.parse().map_err(|_| wrong())?),
            None => IpAddr::V4(host.parse().map_err(|_| wrong())?),
        },
    };
    Ok(SocketAddr::new(ip, number))
}

pub(super) fn ports(text: &str) -> Result<u16, String> {
    within(text, 1, 65_535, "a number of ports")
}

/// Workers of a fleet.
pub(super) fn fleet_workers(text: &str) -> Result<u32, String> {
    within(text, 1, u64::from(Part::MOST), "a number of workers")
}

pub(super) fn parts(text: &str) -> Result<u32, String> {
    within(text, 1, u64::from(Part::MOST), "a number of parts")
}

pub(super) fn workers(text: &str) -> Result<u32, String> {
    within(text, 1, 4096, "a number of worker threads")
}

/// What is not less than the least.
fn at_least<T: PartialOrd + Copy>(least: T, value: T, why: impl FnOnce() -> String) -> Result<T, String> {
    if value < least { Err(why()) } else { Ok(value) }
}

pub(super) fn target(text: &str) -> Result<u64, String> {
    at_least(1, parse_count(text)?, || "0 opens nothing; write a count such as 200k or 1m".to_owned())
}

pub(super) fn guard(text: &str) -> Result<f64, String> {
    at_least(1.0, parse_percent(text)?, || {
        format!("'{text}' is under 1 % and leaves room for no connection; write a share such as 90%, or --no-guard")
    })
}

pub(super) fn message(text: &str) -> Result<u64, String> {
    at_least(1, parse_bytes(text)?, || "0 sends nothing; write a size such as 64 or 1KiB".to_owned())
}

pub(super) fn every(text: &str) -> Result<Duration, String> {
    let least = Duration::from_millis(1);
    at_least(least, parse_duration(text)?, || format!("'{text}' is under 1ms; write a time such as 1s"))
}

/// A theme by its name.
pub(super) fn theme() -> impl TypedValueParser<Value = Palette> {
    PossibleValuesParser::new(Palette::NAMED.iter().map(|(name, _)| *name))
        .map(|name| Palette::named(&name).unwrap_or_default())
}

/// Where the run is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OutputArg {
    /// The dashboard.
    Tui,
    /// One of [`FORMATS`].
    Lines(Format),
}

pub(super) fn output() -> impl TypedValueParser<Value = OutputArg> {
    let tui = PossibleValue::new("tui").help("The dashboard; the default on a terminal");
    let formats = FORMATS.iter().map(|f| PossibleValue::new(f.name).help(f.help));
    PossibleValuesParser::new(std::iter::once(tui).chain(formats)).map(|name| {
        let format = FORMATS.iter().find(|f| f.name == name);
        format.map_or(OutputArg::Tui, |format| OutputArg::Lines(*format))
    })
}

/// How connections are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CloseArg {
    /// Reset: no `TIME_WAIT`, every port free at once.
    Rst,
    /// Orderly, by FIN: the client's end stays in `TIME_WAIT` for 60 s.
    Fin,
}

/// How the chart is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MarkerArg {
    /// Eight dots per cell.
    Braille,
    /// Half blocks.
    Block,
    /// One dot per cell.
    Dot,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_rates() {
        assert_eq!("10.0.0.0/28".parse(), Ok(Source { ip: "10.0.0.0".parse().unwrap(), prefix: Some(28) }));
        assert_eq!("::ffff:10.0.0.7".parse::<Source>().unwrap().ip.to_string(), "10.0.0.7");
        for wrong in ["10.0.0.0/33", "host", "10.0.0.0/", "::/129"] {
            assert!(wrong.parse::<Source>().is_err(), "{wrong}");
        }
        assert_eq!("max".parse(), Ok(Rate(None)));
        assert_eq!("50k".parse(), Ok(Rate(Some(50_000))));
        assert!("0".parse::<Rate>().is_err());
    }

    #[test]
    fn a_port_alone_is_on_loopback_and_an_address_is_taken_at_its_word() {
        for (text, want) in [
            ("9464", "127.0.0.1:9464"),
            (":9464", "127.0.0.1:9464"),
            ("localhost:9464", "127.0.0.1:9464"),
            ("0.0.0.0:9464", "0.0.0.0:9464"),
            ("10.0.0.5:80", "10.0.0.5:80"),
            ("[::1]:9464", "[::1]:9464"),
        ] {
            assert_eq!(metrics(text).unwrap().to_string(), want, "{text}");
        }
        for wrong in
            ["", ":", "0", "127.0.0.1", "::1", "::1:9464", "127.0.0.1:0", "host:9464", "[::1]", "1:2:3", "9.4k"]
        {
            assert!(metrics(wrong).is_err_and(|e| e.contains("write for example")), "{wrong}");
        }
    }

    #[test]
    fn ports_are_numbers_and_their_count_takes_a_suffix() {
        assert_eq!((port("9900"), ports("1k"), workers("4096")), (Ok(9900), Ok(1000), Ok(4096)));
        for text in ["0", "65536", "zzz", "", "9.9k", "1k", "-1"] {
            assert!(port(text).is_err_and(|e| e.contains("1 to 65535")), "{text}");
        }
        assert!(ports("0").is_err() && ports("66k").is_err() && workers("0").is_err() && pid("0").is_err());
    }
}
