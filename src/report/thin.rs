//! Curves with as many points as can be seen, and every peak of those there were.

/// A curve in at most `columns` steps of x, four points each: the first, the lowest, the highest and the last of what is in it, in
/// their order. Drawn that wide it looks as the whole does: no peak is averaged away or stepped over.
pub(super) fn thin(points: &[(f64, f64)], columns: usize) -> Vec<(f64, f64)> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let step = (last.0 - first.0) / columns.max(1) as f64;
    if points.len() <= 4 * columns || step <= 0.0 {
        return points.to_vec();
    }
    let column = |x: f64| crate::units::whole((x - first.0) / step);
    let mut kept = Vec::with_capacity(4 * columns);
    let mut from = 0;
    while from < points.len() {
        let this = column(points[from].0);
        let to = from + points[from..].partition_point(|p| column(p.0) == this).max(1);
        let part = from..to;
        let by_y = |a: &usize, b: &usize| points[*a].1.total_cmp(&points[*b].1);
        let lowest = part.clone().min_by(by_y).unwrap_or(from);
        let highest = part.max_by(by_y).unwrap_or(from);
        let mut of_column = [from, lowest, highest, to - 1];
        of_column.sort_unstable();
        for at in of_column {
            if kept.last() != Some(&points[at]) {
                kept.push(points[at]);
            }
        }
        from = to;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_and_ends_survive() {
        let mut points: Vec<(f64, f64)> = (0..86_400).map(|i| (f64::from(i), f64::from(i % 7))).collect();
        points[12_345].1 = 1000.0;
        points[12_346].1 = -50.0;
        points[70_000].1 = 400.0;
        let kept = thin(&points, 240);
        assert!(kept.len() <= 4 * 241, "{}", kept.len());
        for peak in [points[0], points[12_345], points[12_346], points[70_000], points[86_399]] {
            assert!(kept.contains(&peak), "{peak:?}");
        }
        assert!(kept.windows(2).all(|w| w[0].0 < w[1].0));
    }

    #[test]
    fn few_points_stay_as_they_are() {
        let points = [(0.0, 1.0), (1.0, 3.0), (1.0, 2.0)];
        assert_eq!(thin(&points, 240), points);
        assert_eq!(thin(&vec![(5.0, 1.0); 3000], 10).len(), 3000, "no span to divide");
        assert!(thin(&[], 10).is_empty());
    }
}
