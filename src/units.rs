//! Numbers with units, read and written: `1m` connections, `1KiB`, `500ms`, `23.5 GiB`.

mod ports;

use std::time::Duration;

pub use ports::PortRange;

/// Parses a count with an optional decimal suffix: `200k`, `1m`, `2.5M`, `1g`.
///
/// # Errors
/// A sentence that says what is accepted.
pub fn parse_count(text: &str) -> Result<u64, String> {
    scaled(text, &[("k", 1e3), ("m", 1e6), ("g", 1e9), ("", 1.0)])
        .ok_or_else(|| format!("'{text}' is not a count; write for example 200k, 1m or 2500000"))
}

/// Parses a size in bytes: `512`, `1KiB`, `64k`, `2MiB`, `1MB`. `k`, `m` and `g` alone are decimal, like counts.
///
/// # Errors
/// A sentence that says what is accepted.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    const K: f64 = 1024.0;
    let units = [
        ("kib", K),
        ("mib", K * K),
        ("gib", K * K * K),
        ("kb", 1e3),
        ("mb", 1e6),
        ("gb", 1e9),
        ("k", 1e3),
        ("m", 1e6),
        ("g", 1e9),
        ("b", 1.0),
        ("", 1.0),
    ];
    scaled(text, &units).ok_or_else(|| format!("'{text}' is not a size; write for example 512, 1KiB or 64k"))
}

/// Parses a duration: `500ms`, `1s`, `2.5s`, `5m`, `1h`; a bare number is seconds.
///
/// # Errors
/// A sentence that says what is accepted.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 6e7), ("h", 3.6e9), ("", 1e6)];
    scaled(text, &units)
        .map(Duration::from_micros)
        .ok_or_else(|| format!("'{text}' is not a duration; write for example 500ms, 1s or 5m"))
}

/// Parses a percentage from 0 to 100, with or without the sign.
///
/// # Errors
/// A sentence that says what is accepted.
pub fn parse_percent(text: &str) -> Result<f64, String> {
    text.trim()
        .trim_end_matches('%')
        .trim()
        .parse::<f64>()
        .ok()
        .filter(|p| (0.0..=100.0).contains(p))
        .ok_or_else(|| format!("'{text}' is not a percentage from 0 to 100; write for example 20%"))
}

/// The number before the longest matching suffix, times its factor; `None` unless it is finite, not negative and fits.
fn scaled(text: &str, units: &[(&str, f64)]) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let (number, factor) = units.iter().find_map(|(suffix, factor)| {
        let number = lower.strip_suffix(suffix)?.trim_end();
        number.ends_with(|c: char| c.is_ascii_digit()).then_some((number, factor))
    })?;
    if number.starts_with(['+', '-']) || number.contains('e') {
        return None;
    }
    let number: String = number.chars().filter(|c| *c != '_' && *c != ',').collect();
    let value = number.parse::<f64>().ok()? * factor;
    (value.is_finite() && value < 9e15).then_some(value.round() as u64)
}

/// `1234567` as `1,234,567`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A count in at most six characters: `950`, `12.3 k`, `1.23 M`.
pub fn short_count(n: u64) -> String {
    short(n as f64, 1000.0, &["", "k", "M", "G", "T"])
}

/// Bytes with a binary unit: `512 B`, `1.23 GiB`.
pub fn bytes(n: u64) -> String {
    short(n as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
}

/// Bits per second with a decimal unit: `35.2 Mbit/s`, `1.60 Gbit/s`.
pub fn bits_per_s(n: u64) -> String {
    short(n as f64, 1000.0, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])
}

/// Three significant digits and a unit.
fn short(mut value: f64, base: f64, units: &[&str]) -> String {
    let mut unit = 0;
    // 999.5 would be written as 1000 of the smaller unit.
    while value >= base.min(999.5) && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    if units[unit].is_empty() { format!("{value:.0}") } else { format!("{value:.digits$} {}", units[unit]) }
}

/// Seconds for people: `9 s`, `2 min 05 s`, `3 h 10 min`.
pub fn seconds(s: f64) -> String {
    let whole = s.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3600..360_000 => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
        _ => "over 100 h".to_owned(),
    }
}

/// A running clock: `00:00:17`.
pub fn clock(ms: u64) -> String {
    let s = ms / 1000;
    format!("{:02}:{:02}:{:02}", s / 3600, s % 3600 / 60, s % 60)
}

/// Rounded up to three digits: at most a hundredth more than is needed.
pub fn round_up(n: u64) -> u64 {
    let unit = 10_u64.pow(n.max(1).ilog10().saturating_sub(2));
    n.div_ceil(unit).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_up_by_a_hundredth_at_most() {
        for (n, want) in
            [(0, 0), (7, 7), (128, 128), (1_000_000, 1_000_000), (1_000_001, 1_010_000), (2_001_500, 2_010_000)]
        {
            assert_eq!(round_up(n), want);
        }
        assert!((1..200_000).all(|n| round_up(n) >= n && round_up(n) as f64 <= n as f64 * 1.01));
    }

    #[test]
    fn counts_take_decimal_suffixes() {
        for (text, want) in [("0", 0), ("200k", 200_000), ("1m", 1_000_000), ("2.5M", 2_500_000), ("1_000", 1000)] {
            assert_eq!(parse_count(text), Ok(want), "{text}");
        }
        for text in ["", "k", "-1", "1x", "1e3", "nan", "inf", "99999999g", "1 1"] {
            assert!(parse_count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_tell_binary_from_decimal() {
        for (text, want) in [("512", 512), ("1KiB", 1024), ("1kb", 1000), ("64k", 64_000), ("1.5 MiB", 1_572_864)] {
            assert_eq!(parse_bytes(text), Ok(want), "{text}");
        }
        assert!(parse_bytes("KiB").is_err());
    }

    #[test]
    fn durations_and_percentages() {
        assert_eq!(parse_duration("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(parse_duration("2"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_mins(5)));
        assert!(parse_duration("soon").is_err());
        assert_eq!(parse_percent("20%"), Ok(20.0));
        assert!(parse_percent("101").is_err());
        assert!(parse_percent("NaN").is_err());
    }

    #[test]
    fn numbers_are_written_with_three_digits() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999), "999");
        for (n, want) in
            [(0, "0"), (999, "999"), (1000, "1.00 k"), (12_345, "12.3 k"), (999_999, "1.00 M"), (2_710_000, "2.71 M")]
        {
            assert_eq!(short_count(n), want);
        }
        assert_eq!(bytes(8232), "8.04 KiB");
        assert_eq!(bytes(1_048_575), "1.00 MiB");
        assert_eq!(bits_per_s(1_600_000_000), "1.60 Gbit/s");
        assert_eq!(bits_per_s(40_000_000), "40.0 Mbit/s");
        assert_eq!(seconds(125.0), "2 min 05 s");
        assert_eq!(clock(3_661_000), "01:01:01");
    }
}
