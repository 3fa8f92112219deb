//! Ticks at round numbers (1, 2, 5 × 10ⁿ of a unit that people read) and their labels.

#![expect(clippy::cast_possible_truncation, reason = "a few dozen ticks")]

/// What an axis counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Connections, and other whole things.
    Connections,
    /// Numbers with fractions: cores, milliseconds.
    Number,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

/// A place on an axis and its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Where, in what the axis counts.
    pub at: f64,
    /// `500 k`, `2 GiB`, `30 s`.
    pub label: String,
}

/// At most `most` + 1 ticks from `low` to `high`.
pub fn ticks(scale: Scale, (low, high): (f64, f64), most: usize) -> Vec<Tick> {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 || most == 0 {
        return Vec::new();
    }
    let (step, unit) = step(scale, span / most as f64);
    let first = (low / step).ceil() as i64;
    let last = ((high / step) * (1.0 + 1e-9)).floor() as i64;
    (first..=last)
        .take(most + 1)
        .map(|n| {
            let at = n as f64 * step;
            Tick { at, label: label(at, unit.unwrap_or_else(|| count_unit(at))) }
        })
        .collect()
}

/// A unit: its size and how it is written.
type Unit = (f64, &'static str);

/// The smallest round step not below `least`, and the unit all labels share (counts choose theirs one by one).
fn step(scale: Scale, least: f64) -> (f64, Option<Unit>) {
    match scale {
        Scale::Connections => (one_two_five(least).max(1.0), None),
        Scale::Number => (one_two_five(least), None),
        Scale::Bytes => {
            let units = BYTES.iter().rev();
            // 0.5 GiB reads better than 500 MiB beside 1 GiB: a step just below a unit is written in that one.
            let unit = units.copied().find(|(size, _)| least > 0.2 * size).unwrap_or(BYTES[0]);
            ((one_two_five(least / unit.0) * unit.0).max(1.0), Some(unit))
        }
        Scale::Seconds => {
            let step = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0]
                .into_iter()
                .find(|step| *step >= least)
                .unwrap_or_else(|| one_two_five(least / 3600.0).max(1.0) * 3600.0);
            let unit = SECONDS.iter().rev().copied().find(|(size, _)| step >= *size).unwrap_or(SECONDS[0]);
            (step, Some(unit))
        }
    }
}

const BYTES: [Unit; 5] = [
    (1.0, "B"),
    (1024.0, "KiB"),
    (1024.0 * 1024.0, "MiB"),
    (1024.0 * 1024.0 * 1024.0, "GiB"),
    (1024.0 * 1024.0 * 1024.0 * 1024.0, "TiB"),
];

const SECONDS: [Unit; 3] = [(1.0, "s"), (60.0, "min"), (3600.0, "h")];

fn count_unit(at: f64) -> Unit {
    if at >= 1e6 {
        (1e6, "M")
    } else if at >= 1e3 {
        (1e3, "k")
    } else {
        (1.0, "")
    }
}

/// The smallest of 1, 2, 5 × 10ⁿ not below `least`.
fn one_two_five(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= least * (1.0 - 1e-9)).unwrap_or(power)
}

fn label(at: f64, (size, name): Unit) -> String {
    if at == 0.0 {
        return "0".into();
    }
    // Two decimals at most, and no trailing zeros: 0.5, 1, 1.25.
    let number = format!("{:.2}", at / size);
    let number = number.trim_end_matches('0').trim_end_matches('.');
    if name.is_empty() { number.to_owned() } else { format!("{number} {name}") }
}

/// Where a value lies between bounds: 0 to 1 inside.
pub fn unit(value: f64, (low, high): (f64, f64)) -> f64 {
    if high > low { (value - low) / (high - low) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, high: f64, most: usize) -> Vec<String> {
        ticks(scale, (0.0, high), most).into_iter().map(|t| t.label).collect()
    }

    #[test]
    fn ticks_are_round_numbers_with_units() {
        const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
        assert_eq!(labels(Scale::Connections, 2e6, 4), ["0", "500 k", "1 M", "1.5 M", "2 M"]);
        assert_eq!(labels(Scale::Connections, 3.0, 10), ["0", "1", "2", "3"]);
        assert_eq!(labels(Scale::Number, 0.6, 3), ["0", "0.2", "0.4", "0.6"]);
        assert_eq!(labels(Scale::Number, 1500.0, 3), ["0", "500", "1 k", "1.5 k"]);
        assert_eq!(labels(Scale::Bytes, 24.0 * GIB, 5), ["0", "5 GiB", "10 GiB", "15 GiB", "20 GiB"]);
        assert_eq!(labels(Scale::Bytes, 2.0 * GIB, 4), ["0", "0.5 GiB", "1 GiB", "1.5 GiB", "2 GiB"]);
        assert_eq!(labels(Scale::Bytes, GIB / 2.0, 3), ["0", "200 MiB", "400 MiB"]);
        assert_eq!(labels(Scale::Seconds, 90.0, 3), ["0", "30 s", "60 s", "90 s"]);
        assert_eq!(labels(Scale::Seconds, 600.0, 5), ["0", "2 min", "4 min", "6 min", "8 min", "10 min"]);
        assert_eq!(labels(Scale::Seconds, 36_000.0, 5), ["0", "2 h", "4 h", "6 h", "8 h", "10 h"]);
    }

    #[test]
    fn bounds_without_a_span_have_no_ticks() {
        for bounds in [(0.0, 0.0), (1.0, 0.0), (0.0, f64::NAN), (0.0, f64::INFINITY)] {
            assert!(ticks(Scale::Bytes, bounds, 5).is_empty(), "{bounds:?}");
        }
        assert!(ticks(Scale::Bytes, (0.0, 1.0), 0).is_empty());
    }
}
