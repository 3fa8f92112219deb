//! `c1m-top report`, from files.

use std::fs;

use c1m_top::model::Verdict;
use scraper::{Html, Selector};

use super::compare::text;
use super::files::Made;
use super::support::{Home, program, succeed};

#[test]
fn a_page_is_well_formed_and_whole() {
    let run = Made::to(200_000).write("run.c1m");
    let page = Home::path().join("run.html");
    succeed(program().arg("report").arg(&run).arg("-o").arg(&page));
    let html = Html::parse_document(&fs::read_to_string(&page).unwrap());
    assert_eq!(html.errors, Vec::<String>::new());
    let count = |selector: &str| html.select(&Selector::parse(selector).unwrap()).count();
    for id in ["memory", "time", "cost", "limits", "forecasts", "events", "environment"] {
        assert_eq!(count(&format!("main > section#{id} > h2")), 1, "{id}");
    }
    assert_eq!(count("h1"), 1);
    assert!(count("#memory svg path") >= 2 && count("#time svg path") >= 4, "curves are drawn");
    assert!(count("svg title") > 50, "what is pointed at says its numbers");
    assert_eq!(count("script, style, link, img, iframe, [style], [class], [onload]"), 0);
    let shown = html.root_element().text().collect::<String>();
    let sum = text(&succeed(std::process::Command::new("sha256sum").arg(&run)).into_bytes());
    assert!(shown.contains(sum.split(' ').next().unwrap()), "the checksum is what sha256sum says");
}

#[test]
fn a_run_that_was_killed_has_its_report_and_says_so() {
    let killed = Made { verdict: None, ..Made::to(100_000) };
    let run = killed.write("killed.c1m");
    let card = succeed(program().arg("report").arg(&run).args(["--output", "card"]));
    assert!(card.contains("held      100,000 of 100,000 connections: the record ends before the run did"), "{card}");
    assert_eq!(card.lines().count(), 15, "{card}");
    let page = succeed(program().arg("report").arg(&run));
    assert!(page.contains("<h1>The record ends before the run did"), "{page}");
}

#[test]
fn a_limit_that_was_met_is_the_first_sentence() {
    let mut stopped = Made { verdict: Some(Verdict::LimitHit), ..Made::to(100_000) };
    stopped.change = |sample, open| {
        if let Ok(conntrack) = &mut sample.kernel.net.conntrack {
            (conntrack.count, conntrack.max) = (open.min(100_000), 100_000);
            conntrack.drop = Some(if open >= 100_000 { 500 } else { 0 });
        }
    };
    let run = stopped.write("stopped.c1m");
    let markdown = succeed(program().arg("report").arg(&run).args(["--output", "md"]));
    let first = markdown.lines().find(|line| line.starts_with("**")).unwrap();
    assert!(first.contains("100,000 of 100,000"), "{markdown}");
    assert!(markdown.contains("What helps: ") && markdown.contains("nf_conntrack_max"), "{markdown}");
}

#[test]
fn a_picture_is_xml() {
    let run = Made::to(200_000).write("run.c1m");
    let picture = succeed(program().arg("report").arg(&run).args(["--output", "svg"]));
    // What a parser of XML would stumble over: attributes without quotes, tags that are left open, bare signs.
    let html = Html::parse_fragment(&picture);
    assert_eq!(html.errors, Vec::<String>::new());
    assert_eq!(picture.matches("<svg").count(), picture.matches("</svg>").count());
    assert!(!picture.contains("&nbsp;") && picture.contains("xmlns=\"http://www.w3.org/2000/svg\""));
}

#[test]
fn several_runs_are_one_page() {
    let (a, b) = (Made::to(100_000).write("a.c1m"), Made::to(60_000).write("b.c1m"));
    let page = succeed(program().arg("report").args([&a, &b]));
    let html = Html::parse_document(&page);
    assert_eq!(html.errors, Vec::<String>::new());
    let count = |selector: &str| html.select(&Selector::parse(selector).unwrap()).count();
    assert_eq!((count("#around"), count("#comparison"), count("#run-A-memory"), count("#run-B-limits")), (1, 1, 1, 1));
    let cards = succeed(program().arg("report").args([&a, &b]).args(["--output", "card"]));
    assert_eq!(cards.lines().count(), 31, "{cards}");
}

#[test]
fn our_own_result_is_read_and_is_what_its_card_says() {
    let results = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/results");
    let card = succeed(program().arg("report").arg(results.join("200k.c1m")).args(["--output", "card"]));
    let kept = fs::read_to_string(results.join("200k.txt")).unwrap();
    // Figures and checksum; words may be put better.
    let line = |text: &str, name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    for name in ["held", "of it", "rate", "file"] {
        assert_eq!(line(&card, name), line(&kept, name));
    }
}
