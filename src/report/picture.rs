//! A run as one picture, for a README: what was held, at which cost, and memory over connections with its limits.

use maud::html;

use super::charts;
use super::facts::Facts;
use super::svg::{COLOURS, Ink, Width};
use super::words::{ended, next};
use crate::units::{grouped, printable, whole};

const WIDTH: f64 = 860.0;
const CHART: f64 = 360.0;
const HEAD: f64 = 102.0;

/// The picture.
pub fn write(facts: &Facts) -> String {
    let ink = Ink::PAPER;
    let chart = charts::memory(facts, CHART);
    let each = facts.cost.total.map(|total| format!(", {} bytes each", grouped(whole(total.per_connection.round()))));
    let title = format!("{} connections{}: {}", grouped(facts.peak), each.unwrap_or_default(), ended(facts.verdict));
    let comes = next(facts, 2);
    let next =
        if comes.is_empty() { "no limit in sight".to_owned() } else { format!("next: {}", comes.join(", then ")) };
    let machine = printable(&facts.machine.to_string()).into_owned();
    let height = HEAD + CHART + 12.0;
    let picture = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(WIDTH) height=(height) viewBox=(format!("0 0 {WIDTH} {height}"))
            role="img" aria-label=(title) font-family="system-ui, sans-serif" fill=(ink.text) {
            title { (title) }
            rect width="100%" height="100%" rx="8" fill=(ink.paper) {}
            text x="20" y="34" font-size="20" font-weight="600" { (title) }
            text x="20" y="54" font-size="12" fill-opacity="0.75" { (printable(&next)) }
            text x="20" y="70" font-size="12" fill-opacity="0.75" { (machine) }
            @for (i, curve) in chart.curves.iter().enumerate() {
                @let x = 20.0 + 170.0 * i as f64;
                line x1=(x) x2=(x + 18.0) y1="88" y2="88" stroke=(COLOURS[curve.colour]) stroke-width="3"
                    stroke-dasharray=[curve.dashed.then_some("4 3")] {}
                text x=(x + 24.0) y="92" font-size="12" { (curve.label) }
            }
            (chart.draw(ink, Width::Pixels(WIDTH - 40.0), (20.0, HEAD)))
        }
    };
    picture.into_string() + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;

    #[test]
    fn it_says_what_was_held_and_is_read_on_any_background() {
        let picture = write(&facts(200_000));
        assert!(picture.starts_with(r#"<svg xmlns="http://www.w3.org/2000/svg" width="860""#), "{picture}");
        assert!(picture.contains("200,000 connections, 8,125 bytes each: target reached"), "{picture}");
        for never in ["style", "currentColor", "Canvas", "href", "NaN", "vector-effect"] {
            assert!(!picture.contains(never), "{never}");
        }
    }
}
