//! A straight line through points.

/// Points below this share of the largest x are left out: the fixed part of a process is made there.
const FROM: f64 = 0.05;

/// Least-squares slope of y over x; `None` with fewer than five points.
pub(crate) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let most = points.iter().map(|p| p.0).fold(0.0, f64::max);
    let used: Vec<_> = points.iter().filter(|p| p.0 > most * FROM).collect();
    if used.len() < 5 {
        return None;
    }
    let n = used.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| used.iter().map(|p| of(p)).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let spread: f64 = used.iter().map(|p| (p.0 - x).powi(2)).sum();
    let both: f64 = used.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    (spread > 0.0).then(|| both / spread)
}
