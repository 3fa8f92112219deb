//! What the parsers share: numbers and reasons.

use std::borrow::Cow;

use crate::sample::kernel::{Absent, Reading};

/// The reason of a parser that cannot make sense of a text; whoever read the text names the file.
pub(crate) const fn odd(what: &'static str) -> Absent {
    Absent::Malformed { what: Cow::Borrowed(what), path: None }
}

/// A decimal number, alone but for white space: most files of `/proc/sys`.
pub(crate) fn number(text: &str) -> Reading<u64> {
    text.trim().parse().map_err(|_| odd("not a number"))
}

/// The first `N` decimal numbers of a line.
pub(crate) fn numbers<const N: usize>(text: &str) -> Reading<[u64; N]> {
    let mut out = [0; N];
    let mut words = text.split_ascii_whitespace();
    for slot in &mut out {
        *slot = words.next().ok_or(odd("cut short")).and_then(number)?;
    }
    Ok(out)
}

/// The number after `key` in lines of `key value`.
pub(crate) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Columns of a `/proc/net/stat` file: a row per core, hexadecimal under a line of names. The last row, for what is the same
/// in each, and the sum of all rows.
pub(crate) fn per_core<const N: usize>(text: &str, names: [&str; N]) -> Reading<([u64; N], [u64; N])> {
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let mut places = [0; N];
    for (place, name) in places.iter_mut().zip(names) {
        *place = head.split_ascii_whitespace().position(|n| n == name).ok_or(odd("lacks a column"))?;
    }
    let (mut last, mut sum) = ([0; N], [0_u64; N]);
    let mut cores = 0_u32;
    for line in lines {
        for (i, place) in places.iter().enumerate() {
            let word = line.split_ascii_whitespace().nth(*place);
            last[i] = word.and_then(|word| u64::from_str_radix(word, 16).ok()).ok_or(odd("cut short"))?;
            sum[i] = sum[i].saturating_add(last[i]);
        }
        cores += 1;
    }
    if cores == 0 { Err(odd("lists no core")) } else { Ok((last, sum)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_or_a_reason() {
        assert_eq!(number("1048576\n"), Ok(1_048_576));
        assert_eq!(numbers("287901\t383869\t575802\n"), Ok([287_901, 383_869, 575_802]));
        for text in ["", "x", "-1", "1 2", "99999999999999999999999", "\0"] {
            assert!(number(text).is_err(), "{text:?}");
        }
        for text in ["", "1", "1 x", "1 -2"] {
            assert!(numbers::<2>(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_key_is_a_whole_word() {
        assert_eq!(keyed("oom_kill_disable 0\noom_kill 7\n", "oom_kill"), Some(7));
        assert_eq!(keyed("oom_kill_disable 1\n", "oom_kill"), None);
        assert_eq!(keyed("oom_kill\noom_kill x\n", "oom_kill"), None);
    }
}
