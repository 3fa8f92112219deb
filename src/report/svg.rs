//! Charts as SVG that needs no style and no script: presentation attributes alone, as a strict content policy allows.
//!
//! A chart is as wide as there is room. Its curves are in a picture within it that is stretched (strokes are not), its words and rules
//! stand at shares of the width, so that they keep their size on a telephone, on paper and on a wide screen.

use std::fmt::Write;

use maud::{Markup, html};

use super::thin::thin;
use crate::units::axis::{Scale, ticks, unit};

/// Colours that can be read on black and on white.
pub const COLOURS: [&str; 5] = ["#3b82f6", "#d97706", "#0d9488", "#a855f7", "#dc4a68"];
/// Of what is bad.
pub const ALARM: &str = "#e5484d";

/// Steps of x in which a curve is kept: as many as a wide screen shows of it.
const COLUMNS: usize = 240;
/// Units of x within the stretched picture.
const SPAN: f64 = 1000.0;

/// How wide a chart is.
#[derive(Debug, Clone, Copy)]
pub enum Width {
    /// As wide as there is room.
    Room,
    /// So many pixels.
    Pixels(f64),
}
/// Room above the highest tick, and below the plot for the numbers, pixels.
const ABOVE: f64 = 20.0;
const BELOW: f64 = 20.0;

/// What a chart is drawn with.
#[derive(Debug, Clone, Copy)]
pub struct Ink {
    /// Words and rules.
    pub text: &'static str,
    /// What is behind them.
    pub paper: &'static str,
}

impl Ink {
    /// Of a page: the reader's own, dark or light.
    pub const PAGE: Self = Self { text: "currentColor", paper: "Canvas" };
    /// Of a picture that stands by itself: nobody knows what is behind it.
    pub const PAPER: Self = Self { text: "#1f2328", paper: "#ffffff" };
}

/// One curve.
#[derive(Debug, Clone, Default)]
pub struct Curve {
    /// Its name in the legend.
    pub label: String,
    /// Of [`COLOURS`].
    pub colour: usize,
    /// Runs of points without a gap.
    pub segments: Vec<Vec<(f64, f64)>>,
    /// Whether it is foretold: drawn with dashes.
    pub dashed: bool,
}

/// A line across the chart.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Its words.
    pub label: String,
    /// Where, on the axis that it crosses.
    pub at: f64,
    /// Whether it stands upright, at an x.
    pub upright: bool,
    /// Whether it is the one to look at.
    pub strong: bool,
}

/// A chart.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What it shows, for whoever cannot see it.
    pub title: String,
    /// What x counts.
    pub x: Scale,
    /// What y counts, and what is written behind its numbers.
    pub y: (Scale, &'static str),
    /// Lowest and highest x and y.
    pub bounds: [(f64, f64); 2],
    /// Curves, the most important first.
    pub curves: Vec<Curve>,
    /// Limits.
    pub marks: Vec<Mark>,
    /// What is said of parts of x when they are pointed at.
    pub hints: Vec<(f64, f64, String)>,
    /// Height, pixels.
    pub height: f64,
}

impl Chart {
    /// Bounds that hold every point of the curves, from 0, with a little room above.
    pub fn fit(curves: &[Curve]) -> [(f64, f64); 2] {
        let points = || curves.iter().flat_map(|c| &c.segments).flatten();
        let most = |of: fn(&(f64, f64)) -> f64| points().map(of).filter(|v| v.is_finite()).fold(0.0, f64::max);
        let first = points().map(|p| p.0).fold(f64::INFINITY, f64::min);
        [(if first.is_finite() { first } else { 0.0 }, most(|p| p.0)), (0.0, most(|p| p.1) * 1.08)]
    }

    /// Whether there is anything to draw.
    pub fn is_empty(&self) -> bool {
        self.curves.iter().flat_map(|c| &c.segments).all(Vec::is_empty) || self.bounds.iter().any(|b| b.1 <= b.0)
    }

    /// The names of the curves, each with its colour; they flow as words do, and none is torn.
    pub fn legend(&self) -> Markup {
        html! {
            @for curve in &self.curves {
                svg width="22" height="10" aria-hidden="true" {
                    line x1="2" x2="20" y1="5" y2="5" stroke=(COLOURS[curve.colour]) stroke-width="3"
                        stroke-dasharray=[curve.dashed.then_some("4 3")] {}
                }
                "\u{a0}" (curve.label.replace(' ', "\u{a0}")) " \u{2003}"
            }
        }
    }

    /// The chart, `at` this place in what it stands in, pixels.
    pub fn draw(&self, ink: Ink, width: Width, at: (f64, f64)) -> Markup {
        // Where the width is known nothing has to be stretched, which older readers of SVG cannot do without the strokes.
        let (wide, span, effect) = match width {
            Width::Room => ("100%".to_owned(), SPAN, Some("non-scaling-stroke")),
            Width::Pixels(wide) => (wide.to_string(), wide, None),
        };
        let plot = self.height - ABOVE - BELOW;
        let [x_bounds, y_bounds] = self.bounds;
        let percent = |x: f64| format!("{:.2}%", unit(x, x_bounds) * 100.0);
        // A limit above all that is drawn stands at the edge: its label says so.
        let row = |y: f64| ABOVE + (1.0 - unit(y, y_bounds).min(1.0)) * plot;
        let inside = |v: f64, b: (f64, f64)| (b.0..=b.1).contains(&v);
        let bottom = ABOVE + plot;
        let x_ticks = ticks(self.x, x_bounds, 4);
        let y_ticks = ticks(self.y.0, y_bounds, if self.height > 250.0 { 5 } else { 3 });
        let upright: Vec<&Mark> = self.marks.iter().filter(|m| m.upright && inside(m.at, x_bounds)).collect();
        let level: Vec<&Mark> = self.marks.iter().filter(|m| !m.upright && m.at >= y_bounds.0).collect();
        html! {
            svg x=(at.0) y=(at.1) width=(wide) height=(self.height) role="img" aria-label=(self.title)
                font-family="system-ui, sans-serif" font-size="12" fill=(ink.text) {
                title { (self.title) }
                @for tick in &y_ticks {
                    line x1="0" x2="100%" y1=(px(row(tick.at))) y2=(px(row(tick.at))) stroke=(ink.text) stroke-opacity="0.18" {}
                }
                @for tick in &x_ticks {
                    line x1=(percent(tick.at)) x2=(percent(tick.at)) y1=(px(bottom)) y2=(px(bottom + 4.0)) stroke=(ink.text) stroke-opacity="0.5" {}
                    text x=(percent(tick.at)) y=(px(bottom + 16.0)) text-anchor=(anchor(unit(tick.at, x_bounds))) { (tick.label) }
                }
                line x1="0" x2="100%" y1=(px(bottom)) y2=(px(bottom)) stroke=(ink.text) stroke-opacity="0.6" {}
                @for mark in &level {
                    line x1="0" x2="100%" y1=(px(row(mark.at))) y2=(px(row(mark.at))) stroke=(colour(mark)) stroke-width="1.5" stroke-dasharray="6 4" {}
                }
                @for mark in &upright {
                    line x1=(percent(mark.at)) x2=(percent(mark.at)) y1=(px(ABOVE)) y2=(px(bottom)) stroke=(colour(mark)) stroke-width="1.5" stroke-dasharray="6 4" {}
                }
                svg y=(px(ABOVE)) width="100%" height=(px(plot)) viewBox=(format!("0 0 {span} {plot:.0}")) preserveAspectRatio="none" {
                    @for curve in self.curves.iter().rev() {
                        path d=(self.path(curve, (span, plot))) fill="none" stroke=(COLOURS[curve.colour]) stroke-width="2" stroke-linejoin="round"
                            stroke-linecap="round" stroke-dasharray=[curve.dashed.then_some("5 4")] vector-effect=[effect] {}
                    }
                    @for (from, to, text) in &self.hints {
                        @let left = unit(*from, x_bounds) * span;
                        rect x=(px(left)) width=(px((unit(*to, x_bounds) * span - left).max(0.1))) y="0" height=(px(plot)) fill-opacity="0" { title { (text) } }
                    }
                }
                @for tick in y_ticks.iter().filter(|tick| tick.at > 0.0) {
                    (words(ink, ("0", 2.0), row(tick.at) - 4.0, "start", ink.text, &format!("{}{}", tick.label, self.y.1)))
                }
                @for mark in &level {
                    (words(ink, ("100%", -4.0), row(mark.at) - 5.0, "end", colour(mark), &mark.label))
                }
                @for (i, mark) in upright.iter().enumerate() {
                    @let share = unit(mark.at, x_bounds);
                    @let (side, dx) = if share > 0.5 { ("end", -5.0) } else { ("start", 5.0) };
                    (words(ink, (&percent(mark.at), dx), ABOVE + 14.0 + 15.0 * (i % 8) as f64, side, colour(mark), &mark.label))
                }
            }
        }
    }

    /// A curve as a path within the stretched picture.
    fn path(&self, curve: &Curve, (span, plot): (f64, f64)) -> String {
        let mut d = String::new();
        for segment in &curve.segments {
            for (i, (x, y)) in thin(segment, COLUMNS).into_iter().enumerate() {
                let (x, y) = (unit(x, self.bounds[0]) * span, (1.0 - unit(y, self.bounds[1])) * plot);
                let mut to = |letter: char| {
                    // Writing to a String cannot fail.
                    let _ = write!(d, "{letter}{x:.1} {y:.1}");
                };
                to(if i == 0 { 'M' } else { 'L' });
                if segment.len() == 1 {
                    // A point of its own: a round end makes it a dot.
                    to('L');
                }
            }
        }
        d
    }
}

fn colour(mark: &Mark) -> &'static str {
    if mark.strong { ALARM } else { "#7d8590" }
}

fn px(n: f64) -> String {
    format!("{n:.1}")
}

/// Labels at the ends of an axis do not leave it.
fn anchor(share: f64) -> &'static str {
    match share {
        _ if share < 0.03 => "start",
        _ if share > 0.97 => "end",
        _ => "middle",
    }
}

/// Words with the paper around each letter, so that no curve crosses them out.
fn words(ink: Ink, (x, dx): (&str, f64), y: f64, anchor: &str, fill: &str, text: &str) -> Markup {
    html! {
        text x=(x) dx=(px(dx)) y=(px(y)) text-anchor=(anchor) fill=(fill) stroke=(ink.paper) stroke-width="3" paint-order="stroke"
            stroke-linejoin="round" { (text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let curves = vec![Curve {
            label: "a <b>".into(),
            segments: vec![vec![(0.0, 0.0), (10.0, 5.0)], vec![(20.0, 3.0)]],
            ..Curve::default()
        }];
        Chart {
            title: "what & why".into(),
            x: Scale::Seconds,
            y: (Scale::Connections, "/s"),
            bounds: Chart::fit(&curves),
            curves,
            marks: vec![
                Mark { label: "memory".into(), at: 4.0, upright: false, strong: true },
                Mark { label: "beyond".into(), at: 900.0, upright: true, strong: false },
            ],
            hints: vec![(0.0, 10.0, "0 s to 10 s".into())],
            height: 200.0,
        }
    }

    #[test]
    fn nothing_in_it_needs_a_style_or_a_script() {
        let text = chart().draw(Ink::PAGE, Width::Room, (0.0, 0.0)).into_string() + &chart().legend().into_string();
        for never in ["style", "<script", "class=", " on", "href", "url("] {
            assert!(!text.contains(never), "{never}: {text}");
        }
        assert!(text.contains("what &amp; why") && text.contains("a\u{a0}&lt;b&gt;"), "{text}");
        assert!(text.contains(">memory<") && !text.contains("beyond"), "only what is within its bounds: {text}");
        assert!(text.contains("<title>0 s to 10 s</title>"));
    }

    #[test]
    fn a_gap_is_not_a_line_and_a_lone_point_is_a_dot() {
        let chart = chart();
        let path = chart.path(&chart.curves[0], (1000.0, 100.0));
        assert_eq!(path.matches('M').count(), 2, "{path}");
        assert!(path.ends_with("M1000.0 44.4L1000.0 44.4"), "{path}");
        assert!(!chart.is_empty());
        let nothing = Chart { curves: Vec::new(), ..chart };
        assert!(nothing.is_empty());
    }
}
