//! A comparison as lines of text, and as Markdown.

use std::fmt::Write;

use super::around::shown;
use super::compare::{Comparison, Row, Verdict};
use super::figure::{Unit, level_text};
use super::words;
use crate::units::{grouped, printable, short_count, whole};

/// A comparison for people: who, what differs around them, `plot`, figures, the count.
pub fn text(comparison: &Comparison, plot: &[String]) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_text(&mut out, comparison, plot);
    out
}

/// The same as Markdown.
pub fn markdown(comparison: &Comparison) -> String {
    let mut out = String::new();
    let _ = write_markdown(&mut out, comparison);
    out
}

fn write_text(out: &mut String, comparison: &Comparison, plot: &[String]) -> std::fmt::Result {
    for who in &comparison.sides {
        for ((run, held), verdict) in who.runs.iter().zip(&who.held).zip(&who.verdicts) {
            writeln!(
                out,
                "{}  {}: {} connections, {}",
                who.side,
                printable(run),
                grouped(*held),
                words::ended(*verdict)
            )?;
        }
    }
    writeln!(out)?;
    if comparison.differences.is_empty() {
        writeln!(out, "Around the runs nothing differs.")?;
    } else {
        writeln!(out, "What differs around the runs:")?;
        for difference in &comparison.differences {
            writeln!(out, "  {}", printable(&difference.to_string()))?;
        }
    }
    writeln!(out)?;
    for line in plot {
        writeln!(out, "{line}")?;
    }
    if !plot.is_empty() {
        writeln!(out)?;
    }
    let rows: Vec<(Option<u64>, Vec<String>)> = comparison.figures.iter().map(|row| cells(row, comparison)).collect();
    let columns = rows.iter().map(|row| row.1.len()).max().unwrap_or(0);
    let wide = |column: usize| rows.iter().map(|row| row.1[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(wide).collect();
    let letters = comparison.sides.iter().enumerate().flat_map(|(i, who)| {
        let against = (i > 0).then(|| "against A".to_owned());
        [who.side.to_string()].into_iter().chain(against)
    });
    let head: Vec<String> = std::iter::once("The whole run".to_owned()).chain(letters).collect();
    write_line(out, &head, &widths)?;
    let mut at = None;
    for (level, cells) in &rows {
        if *level != at {
            at = *level;
            writeln!(out, "At {} connections", level.map_or(String::new(), level_text))?;
        }
        write_line(out, cells, &widths)?;
    }
    writeln!(out)?;
    for (i, who) in comparison.sides.iter().enumerate().skip(1) {
        writeln!(out, "{}", words::counted(who.side, comparison.counts(i)))?;
    }
    Ok(())
}

/// The first cell to the left, numbers to the right, what they mean to the left.
fn write_line(out: &mut String, cells: &[String], widths: &[usize]) -> std::fmt::Result {
    let mut line = String::new();
    for (i, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let is_number = i == 1 || (i > 1 && i % 2 == 0);
        match (i, is_number) {
            (0, _) => write!(line, "  {cell:<width$}", width = (*width).max(26))?,
            (_, true) => write!(line, "  {cell:>width$}", width = (*width).max(10))?,
            _ => write!(line, "  {cell:<width$}", width = *width)?,
        }
    }
    writeln!(out, "{}", line.trim_end())
}

/// Label, the first value, and of each other side its value and how it stands.
fn cells(row: &Row, comparison: &Comparison) -> (Option<u64>, Vec<String>) {
    let mut cells = vec![printable(&row.label).into_owned()];
    for (i, value) in row.values.iter().enumerate() {
        cells.push(value_text(row, i));
        if i > 0 {
            let letter = comparison.sides[i].side;
            let more = value.as_ref().zip(row.values[0].as_ref()).map(|(b, a)| change(row.unit, a.value, b.value));
            cells.push([more.unwrap_or_default(), row.verdicts[i].word(letter)].join("  ").trim().to_owned());
        }
    }
    (row.at_connections, cells)
}

/// A value with its word.
pub(super) fn value_text(row: &Row, side: usize) -> String {
    let Some(value) = &row.values[side] else { return "-".to_owned() };
    match &value.word {
        Some(word) => format!("{word} {}", short_count(whole(value.value))),
        None => row.unit.write(value.value),
    }
}

/// By how much, percent of the first; of what is percent already, the difference.
pub(super) fn change(unit: Unit, from: f64, to: f64) -> String {
    match unit {
        Unit::Percent => format!("{:+.1}", to - from),
        _ if from == 0.0 => String::new(),
        _ => format!("{:+.1} %", (to / from - 1.0) * 100.0),
    }
}

/// Text within a cell of a Markdown table.
pub(super) fn cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}

fn write_markdown(out: &mut String, comparison: &Comparison) -> std::fmt::Result {
    for who in &comparison.sides {
        for ((run, held), verdict) in who.runs.iter().zip(&who.held).zip(&who.verdicts) {
            writeln!(
                out,
                "- **{}** {}: {} connections, {}",
                who.side,
                cell(run),
                grouped(*held),
                words::ended(*verdict)
            )?;
        }
    }
    writeln!(out)?;
    for (i, who) in comparison.sides.iter().enumerate().skip(1) {
        writeln!(out, "{}", words::counted(who.side, comparison.counts(i)))?;
    }
    writeln!(out)?;
    if !comparison.differences.is_empty() {
        let runs = comparison.sides.iter().flat_map(|who| who.runs.iter().map(move |run| (who.side, run)));
        let heads: Vec<String> = runs.map(|(side, run)| format!("{side} {}", cell(run))).collect();
        writeln!(out, "| What differs around the runs | {} |", heads.join(" | "))?;
        writeln!(out, "| --- | {} |", vec!["---"; heads.len()].join(" | "))?;
        for difference in &comparison.differences {
            let values: Vec<String> = difference.values.iter().map(|v| cell(&shown(v.as_deref()))).collect();
            let key = cell(&difference.key);
            writeln!(out, "| {} `{key}` | {} |", difference.section.word(), values.join(" | "))?;
        }
        writeln!(out)?;
    }
    let others = &comparison.sides[1..];
    let heads: Vec<String> = others.iter().map(|who| format!(" {} | against A |", who.side)).collect();
    writeln!(out, "| | A |{}", heads.concat())?;
    writeln!(out, "| --- | ---: |{}", " ---: | --- |".repeat(others.len()))?;
    for row in &comparison.figures {
        let at = row.at_connections.map_or(String::new(), |level| format!(" at {}", level_text(level)));
        let (_, mut cells) = cells(row, comparison);
        cells[0] = format!("{}{at}", cells[0].trim_start());
        if row.verdicts.contains(&Verdict::Worse) {
            cells[0] = format!("**{}**", cells[0]);
        }
        writeln!(out, "| {} |", cells.iter().map(|text| cell(text)).collect::<Vec<_>>().join(" | "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::around::Section;
    use super::super::compare::{Side, compare};
    use super::super::tests::facts;
    use super::*;

    fn comparison() -> Comparison {
        let (mut a, mut b) = (facts(100_000), facts(60_000));
        a.around.add(Section::Sysctl, "net.core.somaxconn", Some("4096"));
        b.around.add(Section::Sysctl, "net.core.somaxconn", Some("12|8"));
        let sides = [Side { letter: 'A', runs: vec![&a] }, Side { letter: 'B', runs: vec![&b] }];
        compare(&sides)
    }

    #[test]
    fn the_text_says_who_what_differs_and_how_each_stands() {
        let text = text(&comparison(), &["a plot".into()]);
        for part in [
            "A  run-100000: 100,000 connections, target reached\n",
            "  sysctl net.core.somaxconn: 4096 | 12|8\n",
            "a plot\n",
            "At 100 k connections\n",
            "only in A",
            "WORSE",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 110 && line == line.trim_end()), "{text}");
    }

    #[test]
    fn every_row_of_markdown_has_its_cells() {
        let text = markdown(&comparison());
        assert!(text.contains("12\\|8"), "{text}");
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert!(rows.len() > 20, "{text}");
        for row in rows {
            let cells = row.replace("\\|", "").matches('|').count() - 1;
            assert!([3, 4].contains(&cells), "{row}");
        }
    }
}
