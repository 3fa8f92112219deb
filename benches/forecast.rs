//! `cargo bench --bench forecast [-- NAME…]`: real runs into real limits; the count forecast at a quarter and at half of the
//! way against the count at which the limit was then met. Some of them change settings of the whole machine for a while and
//! put them back: `C1M_TEST_HOST=1` permits that.

#![expect(clippy::cast_precision_loss, reason = "rates and means of counts far below 2^52")]

use std::fmt::Write;

use c1m_top::units::grouped;

#[path = "../tests/scenario/mod.rs"]
mod scenario;
#[path = "../tests/support/mod.rs"]
mod support;

use scenario::Mode;
use scenario::limits::SCENARIOS;
use scenario::standstill::{LOADS, NEEDS, standstill};
use support::{Finished, first_missing};

/// Part of the way, and how far the forecast may be off, percent.
const PARTS: [(f64, f64); 2] = [(0.25, 5.0), (0.5, 2.0)];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    println!("| limit met | count | forecast at a quarter | off | forecast at half | off | ended as |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | --- |");
    let mut missed = 0;
    let mut sentences = Vec::new();
    for scenario in &SCENARIOS {
        if !wanted.is_empty() && !wanted.iter().any(|w| scenario.name.contains(w) || scenario.limit == w) {
            continue;
        }
        if let Some((_, why)) = first_missing(scenario.needs) {
            println!("| {} | skipped: {why} | | | | | |", scenario.name);
            continue;
        }
        let outcome = (scenario.run)(Mode::Meet);
        missed += row(scenario.name, scenario.limit, &outcome);
        sentences.push((scenario.name, outcome));
    }
    standstills(&wanted);
    println!("\ngoal: within 5 % at a quarter, 2 % at half; missed: {missed}");
    for (name, outcome) in sentences {
        println!("\n{name}:");
        for event in &outcome.events {
            println!("  {:>6} ms {:?} {} x{}: {}", event.t_ms, event.severity, event.id, event.count, event.text);
        }
    }
}

/// For how long a server may stand still: forecast, and until `tcp_mem` was full. Whole seconds are what the row shows.
fn standstills(wanted: &[String]) {
    if !wanted.is_empty() && !wanted.iter().any(|w| "freeze".contains(w.as_str())) {
        return;
    }
    if let Some((_, why)) = first_missing(NEEDS) {
        println!("\nstandstill of the server: skipped: {why}");
        return;
    }
    println!("\n| standstill, message | forecast | took | off (goal 15 %) |\n| --- | ---: | ---: | ---: |");
    for load in LOADS {
        let (forecast, took) = standstill(load);
        println!("| {} | {forecast} s | {took:.1} s | {:+.1} % |", load.message, (forecast / took - 1.0) * 100.0);
    }
}

/// Prints one row; how many of its forecasts missed the goal.
fn row(name: &str, limit: &str, outcome: &Finished) -> u32 {
    let actual = outcome.peak();
    let mut line = format!("| {name} | {} ", grouped(actual));
    let mut missed = 0;
    for (part, goal) in PARTS {
        if let Some((at, forecast)) = outcome.forecast(limit, part * actual as f64) {
            let off = (forecast as f64 / actual as f64 - 1.0) * 100.0;
            let mark = if off.abs() > goal { " MISSED" } else { "" };
            missed += u32::from(off.abs() > goal);
            let _ = write!(line, "| {} (at {}) | {off:+.2} %{mark} ", grouped(forecast), grouped(at));
        } else {
            missed += 1;
            line.push_str("| none | MISSED ");
        }
    }
    let summary = outcome.summary();
    println!("{line}| {:?} {} |", summary.verdict, summary.stopped_by.as_deref().unwrap_or_default());
    missed
}
