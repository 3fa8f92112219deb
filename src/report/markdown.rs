//! A report for a pull request.

use std::fmt::Write;

use super::card;
use super::compare::{Side, compare};
use super::facts::Facts;
use super::table;
use super::words::{at, outcome};
use crate::limits::LimitState;
use crate::model::Severity;
use crate::units::{clock, fine_time, grouped};

/// The report: of several runs the comparison first.
pub fn write(runs: &[Facts]) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = all(&mut out, runs);
    out
}

fn all(out: &mut String, runs: &[Facts]) -> std::fmt::Result {
    if runs.len() > 1 {
        let sides: Vec<Side<'_>> = ('A'..).zip(runs).map(|(letter, run)| Side { letter, runs: vec![run] }).collect();
        writeln!(out, "### {} runs compared\n\n{}", runs.len(), table::markdown(&compare(&sides)))?;
    }
    for facts in runs {
        run(out, facts)?;
    }
    Ok(())
}

fn run(out: &mut String, facts: &Facts) -> std::fmt::Result {
    let outcome = outcome(facts);
    writeln!(out, "### {}\n\n**{}**\n", text(&facts.name), text(&outcome.sentence))?;
    if let Some(proof) = &outcome.proof {
        writeln!(out, "Proof: {}\n", text(proof))?;
    }
    if !outcome.cure.is_empty() {
        writeln!(out, "What helps: {}\n", text(&outcome.cure.to_string()))?;
    }
    writeln!(out, "```text\n{}```\n", card::write(facts).replace("```", "'''"))?;
    if let Some(merged) = facts.summary.as_ref().and_then(|s| s.merged.as_ref()) {
        writeln!(
            out,
            "| part | held | began after | lost | failed calls | connect p99 |\n| --- | --- | ---: | ---: | ---: | ---: |"
        )?;
        for part in &merged.parts {
            let p99 = part.connect.map_or("-".to_owned(), |l| fine_time(l.p99_us as f64));
            let lost = part.lost.map_or("-".to_owned(), grouped);
            let (name, held) = (text(&part.name), text(&part.to_string()).replace('|', "\\|"));
            let (began, failed) = (clock(part.starts_ms), grouped(part.failures));
            writeln!(out, "| {name} | {held} | {began} | {lost} | {failed} | {p99} |")?;
        }
        writeln!(out)?;
    }
    writeln!(out, "| limit | used | comes at | state |\n| --- | ---: | ---: | --- |")?;
    for limit in facts.limits.iter().filter(|l| l.state != LimitState::NotApplicable && l.limit.is_some()).take(8) {
        let used = limit.share().map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0));
        let at = at(limit).unwrap_or_else(|| "-".into());
        let name = format!("{} ({})", limit.info.label, limit.scope);
        writeln!(
            out,
            "| {} | {used} | {at} | {} |",
            text(&name.replace('\\', "\\\\")).replace('|', "\\|"),
            limit.state.word()
        )?;
    }
    let told: Vec<_> = facts.events.iter().filter(|e| e.severity > Severity::Info).take(10).collect();
    if !told.is_empty() {
        writeln!(out, "\n<details><summary>Warnings</summary>\n")?;
        for event in told {
            writeln!(out, "- `{}` **{}** {}", clock(event.t_ms), event.severity.word(), text(&event.text))?;
        }
        writeln!(out, "\n</details>")?;
    }
    writeln!(out)
}

/// Words of others, which are no markup.
fn text(words: &str) -> String {
    crate::units::printable(words).replace('&', "&amp;").replace('<', "&lt;").replace('*', "\\*").replace('`', "'")
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;

    #[test]
    fn one_run_and_several() {
        let mut one = facts(200_000);
        one.name = "a <b> *c*".into();
        let text = write(&[one.clone()]);
        assert!(text.starts_with("### a &lt;b> \\*c\\*\n\n**All 200,000 connections"), "{text}");
        assert!(text.contains("```text\nc1m-top ") && text.contains("| limit | used |"), "{text}");
        let both = write(&[one.clone(), one]);
        assert!(both.starts_with("### 2 runs compared\n") && both.contains("B against A: "), "{both}");
    }
}
