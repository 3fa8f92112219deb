//! A report as one page of HTML: complete without a script, without a style and without the network, so that it can be kept, sent and
//! served under the strictest content policy. Its colours are the reader's own; what is wide or narrow is for the browser to lay out.

use maud::{DOCTYPE, Markup, html};

use super::around::{Section, differences};
use super::compare::{Comparison, Side, Verdict, compare};
use super::facts::Facts;
use super::figure::level_text;
use super::svg::{ALARM, COLOURS, Chart, Ink, Width};
use super::table::{change, value_text};
use super::words::{self, ended, outcome, short_time};
use super::{charts, defaults};
use crate::limits::{Cure, Limit, LimitState};
use crate::model::{Merged, Severity};
use crate::units::{bytes, clock, date, fine_time, grouped, printable, whole};

/// Height of the large chart and of the others, pixels.
const LARGE: f64 = 340.0;
const SMALL: f64 = 190.0;

/// The page of one run, or of several held against the first.
pub fn write(runs: &[Facts]) -> String {
    let title = match runs {
        [one] => format!("{} connections: {}", grouped(one.peak), ended(one.verdict)),
        _ => format!("{} runs compared", runs.len()),
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Dark where the reader's system is, without a line of style.
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(concat!("c1m-top ", env!("CARGO_PKG_VERSION")));
                title { (title) }
            }
            body {
                @match runs {
                    [one] => (run(one)),
                    several => (comparison(several)),
                }
            }
        }
    };
    page.into_string()
}

/// Text of others: names of processes and cgroups are anything their owner likes.
fn plain(text: &str) -> String {
    text.split('\n').map(|line| printable(line).into_owned()).collect::<Vec<_>>().join(" ")
}

fn run(facts: &Facts) -> Markup {
    html! {
        header {
            (verdict(facts, true))
            (headline(facts))
        }
        main { (body(facts, "")) }
        (footer(std::slice::from_ref(facts)))
    }
}

/// The sentence, its proof and its cure.
fn verdict(facts: &Facts, alone: bool) -> Markup {
    let outcome = outcome(facts);
    let next = words::next(facts, 2);
    html! {
        @if alone { h1 { (plain(&outcome.sentence)) } } @else { p { strong { (plain(&outcome.sentence)) } } }
        @if let Some(proof) = &outcome.proof { p { "Proof: " (plain(proof)) } }
        @if !outcome.cure.is_empty() { p { "What helps: " (plain(&outcome.cure.to_string())) } (commands(&outcome.cure)) }
        @if !next.is_empty() { p { "What comes next: " (next.join(", then ")) " connections." } }
        @if let Some(damage) = facts.file.as_ref().and_then(|f| f.damage.as_ref()) { p { "Part of the file could not be read: " (plain(damage)) } }
    }
}

/// Commands as they can be copied.
fn commands(cure: &Cure) -> Markup {
    let commands: Vec<&str> = cure.0.iter().filter_map(|remedy| remedy.command.as_deref()).collect();
    html! { @if !commands.is_empty() { pre { code { (commands.join("\n")) } } } }
}

/// The figures that everybody looks for, each in a small picture; they flow as words do.
fn headline(facts: &Facts) -> Markup {
    let summary = facts.summary.as_ref();
    let mut figures = vec![("held at once", grouped(facts.peak))];
    let mut add = |label, value: Option<String>| figures.extend(value.map(|value| (label, value)));
    add("bytes a connection", facts.cost.total.map(|s| grouped(whole(s.per_connection.round()))));
    add("opened a second", summary.and_then(|s| s.mean_rate_per_s).map(|rate| grouped(whole(rate))));
    add("CPU a connection", summary.and_then(|s| s.cpu_us_per_connection).map(fine_time));
    add("time to the highest count", summary.and_then(|s| s.time_to_peak_s).map(short_time));
    add("connect, p99", facts.connect().map(|l| fine_time(l.p99_us as f64)));
    add("echo, p99", facts.traffic().map(|t| fine_time(t.echo.p99_us as f64)));
    html! {
        p {
            @for (label, value) in &figures {
                svg width="172" height="56" role="img" aria-label=(format!("{label}: {value}")) fill="currentColor" font-family="system-ui, sans-serif" {
                    rect x="1" y="1" width="164" height="52" rx="6" fill="currentColor" fill-opacity="0.07" {}
                    text x="12" y="27" font-size="20" font-weight="600" { (value) }
                    text x="12" y="44" font-size="11" fill-opacity="0.75" { (label) }
                }
                " "
            }
        }
    }
}

/// Every section of a run. Headings of one among several stand below that run's own.
fn body(facts: &Facts, prefix: &str) -> Markup {
    let id = |name: &str| format!("{prefix}{name}");
    let over_time = charts::over_time_of(facts, SMALL);
    html! {
        @if let Some(merged) = facts.summary.as_ref().and_then(|s| s.merged.as_ref()) {
            section id=(id("parts")) { (heading(prefix, "Parts")) (parts(merged)) }
        }
        section id=(id("memory")) {
            (heading(prefix, "Memory over connections, with its limits"))
            (figure(&charts::memory(facts, LARGE)))
        }
        section id=(id("time")) {
            (heading(prefix, "Connections, rate, CPU and latency over time"))
            @for chart in &over_time { (figure(chart)) }
            @if over_time.is_empty() { p { "Nothing was sampled." } }
        }
        section id=(id("cost")) { (heading(prefix, "What a connection costs")) (cost(facts)) }
        section id=(id("limits")) { (heading(prefix, "Limits")) (limits(facts)) }
        section id=(id("forecasts")) { (heading(prefix, "Forecasts and outcomes")) (forecasts(facts)) }
        section id=(id("events")) { (heading(prefix, "What happened")) (events(facts)) }
        section id=(id("environment")) { (heading(prefix, "Environment")) (environment(facts)) }
    }
}

/// What a merged run is made of.
fn parts(merged: &Merged) -> Markup {
    html! {
        @for remark in &merged.remarks { p { strong { (plain(remark)) } } }
        table {
            thead {
                tr {
                    @for title in ["part", "held", "began\u{a0}after", "lost", "failed\u{a0}calls", "connect\u{a0}p99", "recording"] {
                        th scope="col" { (title) "\u{a0}" }
                    }
                }
            }
            tbody {
                @for part in &merged.parts {
                    tr {
                        th scope="row" { (plain(&part.name)) "\u{a0}" }
                        td { (plain(&part.to_string())) "\u{a0}" }
                        td { code { (clock(part.starts_ms)) } "\u{a0}" }
                        td { (number(&part.lost.map_or("-".to_owned(), grouped), 7)) "\u{a0}" }
                        td { (number(&grouped(part.failures), 7)) "\u{a0}" }
                        td { (number(&part.connect.map_or("-".to_owned(), |l| fine_time(l.p99_us as f64)), 7)) "\u{a0}" }
                        td { code { (plain(&part.file)) } }
                    }
                }
            }
        }
    }
}

fn heading(prefix: &str, text: &str) -> Markup {
    html! { @if prefix.is_empty() { h2 { (text) } } @else { h3 { (text) } } }
}

fn figure(chart: &Chart) -> Markup {
    html! {
        @if chart.is_empty() { p { (chart.title) ": not known." } } @else {
            p { (chart.title) br; (chart.legend()) }
            (chart.draw(Ink::PAGE, Width::Room, (0.0, 0.0)))
        }
    }
}

/// A number in a column: to the right, by blanks that do not break.
fn number(text: &str, width: usize) -> Markup {
    html! { code { (format!("{text:\u{a0}>width$}").replace(' ', "\u{a0}")) } }
}

/// A share as a bar.
fn bar(share: f64, colour: &str) -> Markup {
    let wide = (share.clamp(0.0, 1.0) * 100.0).max(0.5);
    html! {
        svg width="100" height="12" role="img" aria-label=(format!("{:.0} %", share * 100.0)) {
            rect width="100" height="12" rx="2" fill="currentColor" fill-opacity="0.1" {}
            rect width=(format!("{wide:.1}")) height="12" rx="2" fill=(colour) {}
        }
    }
}

fn cost(facts: &Facts) -> Markup {
    let cost = &facts.cost;
    let Some(total) = cost.total else {
        return html! { p { "Too few connections were opened to tell." } };
    };
    let parts = [
        ("the kernel", cost.kernel),
        ("the server", cost.server_user),
        ("the client", cost.client_user),
        ("the program", cost.user),
    ];
    let row = |name: &str, n: f64, spread: Option<f64>, colour: &str| {
        html! {
            tr {
                th scope="row" { (plain(name)) "\u{a0}" }
                td { (number(&grouped(whole(n.max(0.0).round())), 7)) }
                td { @if let Some(spread) = spread { (number(&format!("±{spread:.0}"), 5)) "\u{a0}" } }
                td { (bar(n / total.per_connection, colour)) }
            }
        }
    };
    html! {
        p {
            (grouped(whole(total.per_connection.round()))) " bytes for each connection, " (cost.ends())
            @if let Some(basis) = cost.basis { "; " (basis.words()) } "."
        }
        table {
            thead { tr { th scope="col" { "of it" } th scope="col" { "bytes" } th scope="col" { "±" } th scope="col" { "share" } } }
            tbody {
                @for (name, slope) in parts { @if let Some(slope) = slope { (row(name, slope.per_connection, Some(slope.spread), COLOURS[0])) } }
                @for (name, n) in &cost.slab { (row(name, *n, None, COLOURS[2])) }
            }
        }
        @if let Some(cpu) = facts.summary.as_ref().and_then(|s| s.cpu_us_per_connection) {
            p { (fine_time(cpu)) " of a core for each connection, both engines." }
        }
    }
}

fn limits(facts: &Facts) -> Markup {
    let shown = facts.limits.iter().filter(|l| l.state != LimitState::NotApplicable);
    let rest: Vec<&Limit> = facts.limits.iter().filter(|l| l.state == LimitState::NotApplicable).collect();
    html! {
        p { "As they stood when the most connections were open, the one that comes first at the top." }
        table {
            thead { tr { th scope="col" { "limit" } th scope="col" { "used" } th scope="col" { "comes at" } th scope="col" { "state" } } }
            tbody {
                @for limit in shown.clone() {
                    tr {
                        th scope="row" { (limit.info.label) "\u{a0}" br; small { (plain(&limit.scope)) } }
                        td {
                            @if let Some(share) = limit.share() { (bar(share, if limit.state >= LimitState::Warn { ALARM } else { COLOURS[0] })) br; }
                            small { (used(limit)) } "\u{a0}"
                        }
                        td { (number(&words::at(limit).unwrap_or_else(|| "-".into()), 8)) "\u{a0}" }
                        td { @if limit.state >= LimitState::Warn { strong { (limit.state.word()) } } @else { (limit.state.word()) } }
                    }
                }
            }
        }
        @for limit in shown { (limit_details(limit)) }
        @if !rest.is_empty() {
            p { "Not of this run: " (rest.iter().map(|l| l.info.name_of(&l.scope)).collect::<Vec<_>>().join(", ")) "." }
        }
    }
}

fn used(limit: &Limit) -> String {
    let write = |n: Option<u64>| n.map_or_else(|| "not known".to_owned(), |n| limit.unit.write(n));
    match (limit.used, limit.limit) {
        (None, None) => "not known".to_owned(),
        (used, None) => write(used),
        (used, limit) => format!("{} of {}", write(used), write(limit)),
    }
}

fn limit_details(limit: &Limit) -> Markup {
    html! {
        details {
            summary { (limit.info.label) ", " (plain(&limit.scope)) }
            p { (limit.info.help) }
            @if let Some(reason) = &limit.reason { p { (plain(reason)) } }
            @if let Some(each) = limit.per_connection { p { "A connection adds " (format!("{each:.2}")) "." } }
            @if !limit.cure.is_empty() { p { "What helps: " (plain(&limit.cure.to_string())) } (commands(&limit.cure)) }
            p { small { "Read from " (limit.info.sources) } }
        }
    }
}

/// Limits whose forecast is drawn; the others are in the table above.
const MOST_FORECASTS: usize = 4;

fn forecasts(facts: &Facts) -> Markup {
    let mut drawn: Vec<(&Limit, Chart)> = Vec::new();
    for limit in &facts.limits {
        if drawn.iter().all(|(known, _)| known.info.id != limit.info.id) {
            drawn.extend(charts::forecasts(facts, limit, SMALL).map(|chart| (limit, chart)));
        }
    }
    drawn.truncate(MOST_FORECASTS);
    html! {
        @if drawn.is_empty() { p { "No limit was forecast more than once." } }
        @for (limit, chart) in &drawn {
            (figure(chart))
            details {
                summary { (limit.info.label) ": numbers" }
                table {
                    thead { tr { th scope="col" { "at\u{a0}connections\u{a0}" } th scope="col" { "forecast" } } }
                    tbody {
                        @for line in facts.forecasts(limit) {
                            tr { td { (number(&grouped(line.at_connections), 10)) "\u{a0}" } td { (number(&grouped(line.predicted_connections), 10)) } }
                        }
                    }
                }
            }
        }
    }
}

/// Events that are shown at once; the others are behind a fold.
const MOST_EVENTS: usize = 20;

fn events(facts: &Facts) -> Markup {
    let rows = |events: &[crate::model::Event]| {
        html! {
            table {
                thead { tr { th scope="col" { "time" } th scope="col" { "what" } } }
                tbody {
                    @for event in events {
                        tr {
                            td { code { (clock(event.t_ms)) } "\u{a0}" }
                            td {
                                @if event.severity > Severity::Info { strong { (event.severity.word()) } " " }
                                (plain(&event.text))
                                @if event.count > 1 { " (" (grouped(event.count)) " times)" }
                            }
                        }
                    }
                }
            }
        }
    };
    let (first, rest) = facts.events.split_at(facts.events.len().min(MOST_EVENTS));
    html! {
        @if first.is_empty() { p { "No events." } } @else { (rows(first)) }
        @if !rest.is_empty() { details { summary { (rest.len()) " more" } (rows(rest)) } }
    }
}

/// What is around a run, in the order in which it is shown.
const SECTIONS: [Section; 6] =
    [Section::Plan, Section::Option, Section::Version, Section::Machine, Section::Sysctl, Section::Limit];

fn environment(facts: &Facts) -> Markup {
    let machine = facts.machine.to_string();
    let changed: Vec<&str> = defaults::changed(&facts.around).map(|s| s.key.as_str()).collect();
    html! {
        @if !machine.is_empty() { p { (plain(&machine)) @if let Some(memory) = facts.memory_bytes { ", " (bytes(memory)) " of memory" } "." } }
        @for section in SECTIONS {
            @let settings: Vec<_> = facts.around.of(section).collect();
            @if !settings.is_empty() {
                details open[section == Section::Plan] {
                    summary {
                        (section.title())
                        @if section == Section::Sysctl && !changed.is_empty() { " (" (changed.len()) " set to something else than the kernel's default)" }
                    }
                    table {
                        thead { tr { th scope="col" { "name" } th scope="col" { "value" } } }
                        tbody {
                            @for setting in settings {
                                tr {
                                    th scope="row" { (plain(&setting.key)) "\u{a0}" }
                                    td {
                                        code { (plain(&setting.value.replace('\t', " "))) }
                                        @if changed.contains(&setting.key.as_str()) {
                                            " " strong { "set" } " (default " (defaults::default_of(&setting.key).unwrap_or_default()) ")"
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        @if facts.around.0.is_empty() { p { "Not in the record." } }
    }
}

fn comparison(runs: &[Facts]) -> Markup {
    let sides: Vec<Side<'_>> = ('A'..).zip(runs).map(|(letter, run)| Side { letter, runs: vec![run] }).collect();
    let named: Vec<(String, &Facts)> =
        sides.iter().map(|s| (format!("{} {}", s.letter, plain(&s.name())), s.runs[0])).collect();
    let compared = compare(&sides);
    html! {
        header {
            h1 { (runs.len()) " runs compared" }
            ul { @for (name, run) in &named { li { strong { (name) } ": " (grouped(run.peak)) " connections, " (ended(run.verdict)) } } }
            @for (i, who) in compared.sides.iter().enumerate().skip(1) { p { (words::counted(who.side, compared.counts(i))) } }
        }
        main {
            section id="around" { h2 { "What differs around the runs" } (around(runs, &named)) }
            section id="comparison" {
                h2 { "Side by side, by connections" }
                (figure(&charts::memory_of(&named, LARGE)))
                (figure(&charts::connections_of(&named, SMALL)))
                (figures(&compared))
            }
            @for (i, ((name, run), side)) in named.iter().zip(&sides).enumerate() {
                section {
                    h2 { (name) }
                    (verdict(run, false))
                    (headline(run))
                    details open[i == 0] { summary { "Everything of " (side.letter) } (body(run, &format!("run-{}-", side.letter))) }
                }
            }
        }
        (footer(runs))
    }
}

fn around(runs: &[Facts], named: &[(String, &Facts)]) -> Markup {
    let differences = differences(&runs.iter().map(|run| &run.around).collect::<Vec<_>>());
    html! {
        @if differences.is_empty() { p { "Nothing." } } @else {
            table {
                thead { tr { th scope="col" { "what" } @for (name, _) in named { th scope="col" { (name) } } } }
                tbody {
                    @for difference in &differences {
                        tr {
                            th scope="row" { (difference.section.word()) " " (plain(&difference.key)) "\u{a0}" }
                            @for value in &difference.values { td { code { (plain(value.as_deref().unwrap_or("not known"))) } "\u{a0}" } }
                        }
                    }
                }
            }
        }
    }
}

fn figures(compared: &Comparison) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "figure" }
                    @for (i, who) in compared.sides.iter().enumerate() {
                        th scope="col" { (who.side) }
                        @if i > 0 { th scope="col" { "against A" } }
                    }
                }
            }
            tbody {
                @for row in &compared.figures {
                    tr {
                        th scope="row" {
                            (row.label.trim_start())
                            @if let Some(level) = row.at_connections { " at " (level_text(level)) }
                            "\u{a0}"
                        }
                        @for (i, value) in row.values.iter().enumerate() {
                            td { (number(&value_text(row, i), 10)) "\u{a0}" }
                            @if i > 0 {
                                td {
                                    @if let (Some(a), Some(b)) = (&row.values[0], value) { (change(row.unit, a.value, b.value)) " " }
                                    @let word = row.verdicts[i].word(compared.sides[i].side);
                                    @if row.verdicts[i] == Verdict::Worse { strong { (word) } } @else { (word) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn footer(runs: &[Facts]) -> Markup {
    html! {
        footer {
            hr;
            @for run in runs {
                p {
                    small {
                        "From " (plain(&run.name))
                        @if let Some(started) = run.started_ms { ", begun " (date(started)) " UTC" }
                        @if !run.version.is_empty() { ", recorded by c1m-top " (run.version) }
                        @if let Some(file) = &run.file { ", " (bytes(file.bytes)) ", sha256 " code { (file.sha256) } }
                        "."
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{facts, facts_with};
    use super::*;

    const IDS: [&str; 7] = ["memory", "time", "cost", "limits", "forecasts", "events", "environment"];

    #[test]
    fn a_page_has_every_section_and_needs_nothing() {
        let page = write(&[facts(200_000)]);
        for section in IDS {
            assert!(page.contains(&format!(r#"<section id="{section}">"#)), "{section}");
        }
        for never in ["style", "<script", "class=", " onload", "href=", "src=", "url("] {
            assert!(!page.contains(never), "{never}");
        }
        assert!(page.contains("<h1>All 200,000 connections were open at once after 4.0 s"));
        assert!(page.len() < 400_000, "{}", page.len());
    }

    #[test]
    fn several_runs_are_a_comparison() {
        let (a, mut b) = (facts(100_000), facts(60_000));
        b.around.add(Section::Sysctl, "net.core.somaxconn", Some("128"));
        let page = write(&[a, b]);
        for part in [
            "2 runs compared",
            r#"id="around""#,
            r#"id="comparison""#,
            r#"id="run-A-memory""#,
            r#"id="run-B-limits""#,
            "only in A",
        ] {
            assert!(page.contains(part), "{part}");
        }
    }

    #[test]
    fn names_of_others_are_only_text() {
        let mut facts = facts_with(20_000, |_, _| {});
        facts.name = "<img src=x>\u{1b}[2J".into();
        let page = write(&[facts]);
        assert!(page.contains("&lt;img src=x&gt;\\u{1b}[2J") && !page.contains("<img"));
    }

    #[test]
    fn a_run_of_which_nothing_is_known_is_a_page_too() {
        let page = write(&[Facts::default()]);
        assert!(IDS.iter().all(|section| page.contains(&format!(r#"id="{section}""#))));
        assert!(!page.contains("NaN"));
    }
}
