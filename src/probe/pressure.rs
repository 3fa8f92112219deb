//! `/proc/pressure/*`: the share of time in which tasks waited (Linux 4.20 and later).

use super::text::odd;
use crate::sample::kernel::{Pressure, Reading};

/// Parses one pressure file.
pub(crate) fn parse(text: &str) -> Reading<Pressure> {
    let share = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(' '))?;
        let value: f64 = line.split_ascii_whitespace().find_map(|word| word.strip_prefix("avg10="))?.parse().ok()?;
        (0.0..=100.0).contains(&value).then_some(value)
    };
    let some_avg10 = share("some").ok_or(odd("has no share of the last 10 s"))?;
    Ok(Pressure { some_avg10, full_avg10: share("full").unwrap_or(0.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines_or_the_first() {
        let text = "some avg10=1.25 avg60=0.38 avg300=0.45 total=3644480\nfull avg10=0.50 avg60=0.00 total=0\n";
        assert_eq!(parse(text), Ok(Pressure { some_avg10: 1.25, full_avg10: 0.5 }));
        assert_eq!(parse("some avg10=3.00 avg60=0\n"), Ok(Pressure { some_avg10: 3.0, full_avg10: 0.0 }));
    }

    #[test]
    fn hostile_input_is_a_reason() {
        for text in ["", "some", "some avg10=", "some avg10=NaN", "some avg10=inf", "some avg10=-1", "full avg10=1"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
