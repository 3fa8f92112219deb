//! Distributions added up. Percentiles of several engines have no sum and no mean: the distribution itself has.

use hdrhistogram::Histogram;

use crate::protocol::Latency;

/// One kind of times of all engines.
#[derive(Debug, Default)]
pub(super) struct Sum {
    /// What it was made from.
    texts: Vec<String>,
    latency: Latency,
}

impl Sum {
    /// The percentiles of all of them together. It is made anew only when one has changed, which is a few times a minute.
    pub(super) fn of(&mut self, texts: Vec<String>) -> Latency {
        if texts != self.texts {
            self.latency = together(texts.iter().map(String::as_str)).unwrap_or_default();
            self.texts = texts;
        }
        self.latency
    }
}

/// See [`crate::protocol::Times`]; what is no such text is left out.
fn together<'a>(texts: impl Iterator<Item = &'a str>) -> Option<Latency> {
    // Two digits from 1 us on, as every engine counts: equal times fall into equal places.
    let mut all = Histogram::<u64>::new(2).ok()?;
    for pair in texts.flat_map(str::split_whitespace) {
        let Some((us, count)) = pair.split_once(':') else { continue };
        if let (Ok(us), Ok(count)) = (us.parse::<u64>(), count.parse()) {
            // It grows with what it is given, up to what no engine counts.
            let _ = all.record_n(us.clamp(1, 1 << 50), count);
        }
    }
    Some(Latency {
        count: all.len(),
        p50_us: all.value_at_quantile(0.5),
        p99_us: all.value_at_quantile(0.99),
        p999_us: all.value_at_quantile(0.999),
        max_us: all.max(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::counters::{LONGEST_WAIT_US, histogram, latency, record, written};

    #[test]
    fn several_together_are_what_one_engine_would_have_counted() {
        let mut whole = histogram(LONGEST_WAIT_US).unwrap();
        let mut parts: Vec<_> = (0..7).map(|_| histogram(LONGEST_WAIT_US).unwrap()).collect();
        for i in 0..20_000_u64 {
            // The parts are as different as can be: each has its own decade.
            let us = (i * 7919 % 977 + 1) * 10_u64.pow(u32::try_from(i % 6).unwrap());
            record(&mut whole, us);
            record(&mut parts[usize::try_from(i % 6).unwrap()], us);
        }
        let mut sum = Sum::default();
        let texts: Vec<String> = parts.iter().map(written).collect();
        assert_eq!(sum.of(texts.clone()), latency(&whole));
        assert_eq!(sum.of(texts).count, 20_000, "kept");
        assert_eq!(sum.of(vec!["x".into(), "5".into(), ":".into(), "7:2 9:y".into()]).count, 2);
        assert_eq!(sum.of(Vec::new()), Latency::default());
    }
}
