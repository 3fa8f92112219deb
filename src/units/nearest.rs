//! The known names that somebody may have meant.

/// How alike a name must be to be offered; of the same beginning is as alike as can be (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.8;

/// The known names that are nearest to what was written, in their order; none where all are far off.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let alike = |name: &str| if name.starts_with(written) { 1.0 } else { strsim::jaro_winkler(name, written) };
    let known: Vec<(f64, &str)> = known.into_iter().map(|name| (alike(name), name)).collect();
    let best = known.iter().map(|(alike, _)| *alike).fold(ALIKE, f64::max);
    known.into_iter().filter(|(alike, _)| *alike >= best).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_finds_the_name_and_a_beginning_finds_all_that_begin_so() {
        let known = ["target", "theme", "pause"];
        for (written, want) in
            [("tarjet", vec!["target"]), ("t", vec!["target", "theme"]), ("paus", vec!["pause"]), ("xyzzy", vec![])]
        {
            assert_eq!(nearest(written, known), want, "{written}");
        }
    }
}
