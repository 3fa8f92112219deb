//! `/proc/pressure/memory`: the share of time in which tasks waited for memory (Linux 4.20 and later).

use super::text::odd;
use crate::sample::kernel::Reading;

/// The `some` line: percent of the last ten seconds in which at least one task waited.
pub(crate) fn parse(text: &str) -> Reading<f64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "));
    let share = some.and_then(|line| line.split_ascii_whitespace().find_map(|word| word.strip_prefix("avg10=")));
    let share = share.and_then(|value| value.parse().ok()).filter(|value| (0.0..=100.0).contains(value));
    share.ok_or(odd("has no figure for the last 10 s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_some() {
        let text = "some avg10=1.25 avg60=0.38 avg300=0.45 total=3644480\nfull avg10=0.50 avg60=0.00 total=0\n";
        assert_eq!(parse(text), Ok(1.25));
    }

    #[test]
    fn hostile_input_is_a_reason() {
        for text in ["", "some", "some avg10=", "some avg10=NaN", "some avg10=inf", "some avg10=-1", "full avg10=1"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
