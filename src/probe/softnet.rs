//! `/proc/net/softnet_stat`: packets between the driver and the protocols, a line per core, hexadecimal.

use super::text::odd;
use crate::sample::kernel::{Reading, Softnet};

/// Sums the drops of all cores, and counts them.
pub(crate) fn parse(text: &str) -> Reading<Softnet> {
    let mut sum = Softnet::default();
    for line in text.lines() {
        let dropped = line.split_ascii_whitespace().nth(1).and_then(|word| u64::from_str_radix(word, 16).ok());
        sum.dropped = sum.dropped.saturating_add(dropped.ok_or(odd("cut short"))?);
        sum.cores += 1;
    }
    if sum.cores == 0 { Err(odd("lists no core")) } else { Ok(sum) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_summed() {
        let text = "00000011 00000001 00000002 00000000\n00000a76 00000010 00000000 00000000\n";
        assert_eq!(parse(text), Ok(Softnet { dropped: 0x11, cores: 2 }));
    }

    #[test]
    fn hostile_input_is_a_reason() {
        for text in ["", "\n", "00000011\n", "x y z\n", "0 -1 0\n", "0 ffffffffffffffffff 0\n"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
