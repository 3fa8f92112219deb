//! Quantiles and counts.

#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a position in a list")]

/// The value below which a share `q` of the values lies; `None` without values.
pub(crate) fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * q).round() as usize).copied()
}

/// `100 k`, `2.5 M`.
pub(crate) fn short(n: u64) -> String {
    match n {
        0..1000 => n.to_string(),
        1000..1_000_000 => format!("{} k", n as f64 / 1e3),
        _ => format!("{} M", n as f64 / 1e6),
    }
}
