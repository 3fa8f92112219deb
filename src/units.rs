//! Numbers with units, read and written: `1m` connections, `1KiB`, `500ms`, `23.5 GiB`.

#![expect(clippy::cast_precision_loss, reason = "a few digits are shown of each number")]

pub mod axis;
mod nearest;
mod ports;

use std::borrow::Cow;
use std::time::Duration;

pub use nearest::nearest;
pub use ports::PortRange;

/// The whole part of a number of things; 0 below zero and of no number, the largest count above it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast from a float saturates")]
pub fn whole(number: f64) -> u64 {
    number as u64
}

/// A time in whole microseconds; the largest count where it is longer (584,000 years).
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Parses a count with an optional decimal suffix: `200k`, `1m`, `2.5M`, `1g`.
///
/// # Errors
/// A sentence that says what is accepted.
pub fn parse_count(text: &str) -> Result<u64, String> {
    scaled(text, &[("k", 1e3), ("m", 1e6), ("g", 1e9), ("", 1.0)])
        .ok_or_else(|| format!("'{text}' is not a count; write for example 200k, 1m or 2500000"))
}

/// Parses a rate: `20k`, `1500/s`, or `max` for as fast as it goes.
///
/// # Errors
/// A sentence that says what is accepted.
pub fn parse_rate(text: &str) -> Result<Option<u64>, String> {
    if text.eq_ignore_ascii_case("max") {
        return Ok(None);
    }
    match parse_count(text.trim_end_matches("/s")) {
        Ok(0) => Err("0 per second would never start; write a number from 1, or max".to_owned()),
        Ok(n) => Ok(Some(n)),
        Err(_) => Err(format!("'{text}' is not a rate; write a number per second such as 20k, or max")),
    }
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

/// Parses a duration: `500ms`, `2.5s`, `5m`, `1d`, `1m30s`; a bare number is seconds.
///
/// # Errors
/// A sentence that says what is accepted.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 7] =
        [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 6e7), ("h", 3.6e9), ("d", 8.64e10), ("", 1e6)];
    let micros = match duration_parts(text).as_slice() {
        [one] => scaled(one, &UNITS),
        // `1m30` might be seconds or minutes: every part of several has its unit, each smaller than the one before.
        parts => parts
            .iter()
            .try_fold((0_u64, f64::INFINITY), |(sum, last), part| {
                let unit = part.trim_start_matches(|c: char| !c.is_ascii_alphabetic()).trim_end().to_ascii_lowercase();
                let factor = UNITS.iter().find(|u| !unit.is_empty() && u.0 == unit)?.1;
                (factor < last).then_some(())?;
                Some((sum.checked_add(scaled(part, &UNITS)?)?, factor))
            })
            .map(|(sum, _)| sum),
    };
    micros
        .map(Duration::from_micros)
        .ok_or_else(|| format!("'{text}' is not a duration; write for example 500ms, 5m, 1m30s or 1d"))
}

/// A number and its unit each: a part begins where a digit follows a letter.
fn duration_parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut lettered) = (0, false);
    for (at, c) in text.char_indices() {
        if c.is_ascii_digit() && lettered {
            parts.push(&text[start..at]);
            (start, lettered) = (at, false);
        }
        lettered |= c.is_ascii_alphabetic();
    }
    parts.push(&text[start..]);
    parts
}

/// Parses a time between two samples.
///
/// # Errors
/// A sentence that says what is accepted.
pub fn parse_interval(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        time if time < Duration::from_millis(100) => Err(format!(
            "'{text}' is under 100ms: sampling that often would disturb what it measures; use 100ms or more"
        )),
        time => Ok(time),
    }
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
    (value.is_finite() && value < 9e15).then_some(whole(value.round()))
}

/// `text` in one line that leaves a terminal alone: control characters, line ends and marks that turn the direction of writing
/// become escapes such as `\u{1b}`. Names of processes and cgroups are anything their owner likes.
pub fn printable(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if harmful(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
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

/// A number that may be negative, rounded, with its digits in groups: `-76,950`.
pub fn signed(n: f64) -> String {
    let digits = grouped(whole(n.abs().round()));
    if n <= -0.5 { format!("-{digits}") } else { digits }
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
    let whole = whole(s.round());
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3600..360_000 => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
        _ => "over 100 h".to_owned(),
    }
}

/// A time in milliseconds, as [`seconds`] writes it.
pub fn millis(ms: u64) -> String {
    seconds(ms as f64 / 1000.0)
}

/// A time given in microseconds, to two or three digits: `8.3 us`, `820 us`, `1.24 ms`, `45.0 ms`, `3.20 s`.
pub fn fine_time(us: f64) -> String {
    match us {
        _ if us < 9.95 && us.fract() != 0.0 => format!("{us:.1} us"),
        ..999.5 => format!("{us:.0} us"),
        ..9995.0 => format!("{:.2} ms", us / 1e3),
        ..99_950.0 => format!("{:.1} ms", us / 1e3),
        ..999_500.0 => format!("{:.0} ms", us / 1e3),
        ..9_995_000.0 => format!("{:.2} s", us / 1e6),
        ..60e6 => format!("{:.1} s", us / 1e6),
        _ => seconds(us / 1e6),
    }
}

/// Seconds in eight columns or fewer: `119 s`, `12 min`, `41.3 h`, `250 h`.
pub fn short_seconds(s: u64) -> String {
    match s {
        0..120 => format!("{s} s"),
        120..7200 => format!("{} min", s / 60),
        7200..360_000 => format!("{:.1} h", s as f64 / 3600.0),
        _ => format!("{} h", (s / 3600).min(999_999)),
    }
}

/// A moment of the Unix epoch as date and time of UTC: `2026-11-29 17:41:05`.
pub fn date(ms: u64) -> String {
    let (days, rest) = (ms / 86_400_000, ms / 1000 % 86_400);
    // Howard Hinnant, "chrono-compatible low-level date algorithms": years begin in March, eras have 146,097 days.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
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
    #[test]
    fn a_number_that_falls_has_its_sign() {
        let rows = [(76_950.4, "76,950"), (-76_950.6, "-76,951"), (0.0, "0"), (-0.4, "0"), (f64::NAN, "0")];
        for (n, want) in rows {
            assert_eq!(signed(n), want);
        }
    }

    #[test]
    fn what_does_not_fit_a_count_is_the_nearest_that_does() {
        assert_eq!([-0.5, f64::NAN, 2.9, f64::INFINITY].map(whole), [0, 0, 2, u64::MAX]);
        assert_eq!([Duration::from_nanos(1_999), Duration::MAX].map(micros), [1, u64::MAX]);
    }

    #[test]
    fn short_seconds_fit_eight_columns() {
        for (s, want) in [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (148_740, "41.3 h")] {
            assert_eq!(super::short_seconds(s), want);
        }
        for s in [359_999, 360_000, u64::MAX] {
            assert!(super::short_seconds(s).len() <= 8, "{}", super::short_seconds(s));
        }
    }

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
        for (text, seconds) in [("1m30s", 90), ("1h30m", 5400), ("1d", 86_400), ("1d 2h", 93_600), ("1M 5S", 65)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_duration("1s500ms"), Ok(Duration::from_millis(1500)));
        for text in ["soon", "", "1m30", "30s1m", "1m1m", "1m-30s", "s", "1y", "1mm", "1m30x", "999999d1h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(parse_percent("20%"), Ok(20.0));
        assert!(parse_percent("101").is_err());
        assert!(parse_percent("NaN").is_err());
    }

    #[test]
    fn a_fine_time_has_few_digits_and_one_unit() {
        for (us, want) in [
            (0.0, "0 us"),
            (20.0, "20 us"),
            (8.31, "8.3 us"),
            (20.04, "20 us"),
            (999.4, "999 us"),
            (999.6, "1.00 ms"),
            (1240.0, "1.24 ms"),
            (9996.0, "10.0 ms"),
            (45_000.0, "45.0 ms"),
            (99_960.0, "100 ms"),
            (250_000.0, "250 ms"),
            (999_600.0, "1.00 s"),
            (3.2e6, "3.20 s"),
            (12.34e6, "12.3 s"),
            (61e6, "1 min 01 s"),
        ] {
            assert_eq!(fine_time(us), want);
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        for (text, want) in [
            ("beam.smp", "beam.smp"),
            ("naïve ⠿", "naïve ⠿"),
            ("a\u{1b}[31mb\nc", "a\\u{1b}[31mb\\nc"),
            ("\u{9b}2J\u{7f}", "\\u{9b}2J\\u{7f}"),
            ("\u{202e}gpj", "\\u{202e}gpj"),
        ] {
            assert_eq!(printable(text), want);
        }
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
