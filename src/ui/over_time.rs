//! What changes with time, on one axis: a graph each for rates, CPU, latencies, losses and memory. The time cursor reads all
//! of them at one moment; events are marks on the axis.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::panel::{self, Look};
use super::spark;
use super::text::{cut, mark as mark_at, put, put_right, width};
use crate::model::{Model, Quantity, Severity};
use crate::protocol::Role;
use crate::units;
use crate::units::whole;

/// Lengths of the axis, milliseconds: the shortest that holds the run, so that the picture does not creep; then the last of
/// them, which moves along.
const LENGTHS_MS: [u64; 4] = [30_000, 60_000, 120_000, 300_000];

/// Columns of names and of values.
const NAME: u16 = 12;
const VALUE: u16 = 9;

/// What is to be drawn.
pub(super) struct Shown<'a> {
    pub(super) model: &'a Model,
    /// Where the time cursor stands; `None` is now.
    pub(super) cursor: Option<u64>,
    /// The run as it was there, where that is known: of the axis a point is soon a mean of several moments.
    pub(super) then: Option<&'a Model>,
}

impl Shown<'_> {
    /// A quantity as it was at that moment.
    fn at(&self, quantity: Quantity, at_ms: u64) -> Option<f64> {
        let (model, at_ms) = self.then.map_or((self.model, at_ms), |then| (then, then.now().t_ms));
        model.at(quantity, at_ms)
    }
}

/// How a quantity is written.
#[derive(Clone, Copy)]
enum As {
    PerSecond,
    /// Of a core.
    Cpu,
    Micros,
    Bytes,
    Count,
}

/// One graph: layers upon one another, of which the values are sums or, for percentiles, each on its own.
struct Row {
    name: &'static str,
    quantities: &'static [Quantity],
    /// The layers are values that contain one another (percentiles), and not parts of a sum.
    nested: bool,
    unit: As,
    /// How needed it is where rows are few: the lowest stay.
    rank: u8,
}

const fn row(name: &'static str, quantities: &'static [Quantity], unit: As, rank: u8) -> Row {
    Row { name, quantities, nested: false, unit, rank }
}

use Quantity as Q;

/// Every graph, in the order of the screen.
const ROWS: [Row; 15] = [
    row("connections", &[Q::Connections], As::Count, 8),
    row("opened", &[Q::Opened], As::PerSecond, 0),
    row("closed", &[Q::Closed], As::PerSecond, 10),
    row("failed", &[Q::Failed], As::PerSecond, 6),
    row("lost", &[Q::Lost], As::PerSecond, 5),
    row("messages", &[Q::Messages], As::PerSecond, 1),
    Row { nested: true, ..row("echo time", &[Q::EchoMedian, Q::EchoP99], As::Micros, 1) },
    Row { nested: true, ..row("connect time", &[Q::ConnectMedian, Q::ConnectP99], As::Micros, 4) },
    row("CPU program", &[Q::Program], As::Cpu, 1),
    row("CPU server", &[Q::ServerSystem, Q::ServerUser], As::Cpu, 3),
    row("CPU client", &[Q::ClientSystem, Q::ClientUser], As::Cpu, 2),
    row("soft irq", &[Q::SoftInterrupts], As::Cpu, 12),
    row("retransmits", &[Q::Retransmits], As::PerSecond, 9),
    row("drops", &[Q::Drops], As::PerSecond, 7),
    row("memory", &[Q::Memory], As::Bytes, 2),
];

impl Row {
    /// Whether it means anything here: what is known of it does not change during a run, so that rows stay where they are.
    fn applies(&self, model: &Model) -> bool {
        let engines = model.engine(Role::Client).is_some() || model.engine(Role::Server).is_some();
        let starting = model.last_sample().is_none();
        let client = model.engine(Role::Client);
        match self.quantities.first() {
            None => false,
            Some(Q::Connections) => !engines && !starting,
            Some(Q::Opened | Q::Closed | Q::Failed | Q::Lost) => engines || starting,
            Some(Q::Messages | Q::EchoMedian) => client.and_then(|c| c.stats.as_ref()?.traffic).is_some(),
            Some(Q::ConnectMedian | Q::ClientSystem) => client.is_some() || starting,
            Some(Q::ServerSystem) => model.engine(Role::Server).is_some() || starting,
            Some(Q::Program) => model.program().is_some(),
            Some(_) => true,
        }
    }

    /// Whether it is nothing as a rule, or of little interest.
    fn is_quiet(&self) -> bool {
        matches!(
            self.quantities,
            [Q::Closed | Q::Failed | Q::Lost | Q::Retransmits | Q::Drops | Q::SoftInterrupts | Q::Connections]
        )
    }

    fn styles(&self, look: Look) -> [Style; 2] {
        match self.quantities {
            [Q::Failed | Q::Lost | Q::Retransmits | Q::Drops] => {
                [look.bar(crate::limits::LimitState::Critical), look.dim()]
            }
            [Q::ServerSystem | Q::ClientSystem, _] => [look.second(), look.first()],
            [Q::EchoMedian | Q::ConnectMedian, _] => [look.first(), look.second()],
            [Q::Memory] => [look.third(), look.dim()],
            _ => [look.first(), look.dim()],
        }
    }

    /// The value beside the name, in [`VALUE`] columns: the sum of parts, or the outermost percentile.
    fn value(&self, shown: &Shown<'_>, at_ms: u64) -> String {
        let mut values = self.quantities.iter().map(|q| shown.at(*q, at_ms));
        let value = if self.nested { values.next_back().flatten() } else { values.flatten().reduce(|a, b| a + b) };
        value.map_or_else(|| "–".to_owned(), |v| self.unit.write(v))
    }
}

impl As {
    fn write(self, value: f64) -> String {
        match self {
            As::PerSecond => format!("{}/s", units::short_count(whole(value.round()))),
            As::Cpu => format!("{:.0} %", value * 100.0),
            As::Micros => units::fine_time(value),
            As::Bytes => units::bytes(whole(value)),
            As::Count => units::short_count(whole(value)),
        }
    }
}

/// From when to when the axis reaches, milliseconds since the dashboard started.
fn window(shown: &Shown<'_>) -> Option<(u64, u64)> {
    let (first, last) = shown.model.timespan()?;
    let passed = last - first;
    let longest = LENGTHS_MS[LENGTHS_MS.len() - 1];
    if let Some(length) = LENGTHS_MS.into_iter().find(|length| passed <= *length) {
        return Some((first, first + length));
    }
    let from = last - longest;
    // What the cursor stands on is always on the screen: before the last minutes, with the whole run around it.
    Some(if shown.cursor.is_some_and(|at| at < from) { (first, last) } else { (from, last) })
}

/// Draws the panel.
pub(super) fn draw(buf: &mut Buffer, area: Rect, shown: &Shown<'_>, look: Look) {
    let window = window(shown);
    let name = "Over time";
    let inner = panel::frame(buf, area, name, look);
    let Some((from, to)) = window else {
        put(buf, inner, 1, 0, "waiting for the first sample", look.dim());
        return;
    };
    let at = shown.cursor.unwrap_or(shown.model.now().t_ms);
    let remark = if shown.cursor.is_some() { format!("at {}", units::clock(at)) } else { units::millis(to - from) };
    panel::remark(buf, area, name, &remark, look);
    let graph = inner.width.saturating_sub(NAME + VALUE + 3);
    if inner.height < 2 || graph < 6 {
        return;
    }
    let axis = if inner.height >= 7 { 2 } else { 1 };
    let rows = chosen(shown.model, inner.height - axis);
    let heights = heights(inner.height - axis, &rows);
    let columns = usize::from(graph);
    let plot = Rect { x: inner.x + NAME + VALUE + 2, width: graph, ..inner };
    let mut y = 0;
    for (row, height) in rows.iter().zip(heights) {
        let place = Rect { y: plot.y + y, height, ..plot };
        let line = Rect { y: inner.y + y, height, ..inner };
        one(buf, line, place, row, shown, (from, to, at, columns), look);
        y += height;
    }
    let below = Rect { y: inner.y + y, height: inner.height - y, ..inner };
    let place = |ms: u64| (ms >= from && ms <= to).then(|| column_of(ms, (from, to), graph));
    if let Some(column) = shown.cursor.and_then(place) {
        cursor(buf, Rect { height: y, ..plot }, column, look);
    }
    time_axis(buf, below, Rect { y: below.y, height: below.height, ..plot }, shown, (from, to), look);
}

fn column_of(ms: u64, (from, to): (u64, u64), columns: u16) -> u16 {
    let share = ms.saturating_sub(from) as f64 / (to - from).max(1) as f64;
    (share * f64::from(columns)).floor().min(f64::from(columns.saturating_sub(1))) as u16
}

/// The rows that fit, the most needed of them, in their order.
fn chosen(model: &Model, height: u16) -> Vec<&'static Row> {
    let mut rows: Vec<&'static Row> = ROWS.iter().filter(|row| row.applies(model)).collect();
    while rows.len() > usize::from(height) {
        let Some(worst) = rows.iter().map(|row| row.rank).max() else { break };
        let at = rows.iter().rposition(|row| row.rank == worst).unwrap_or(0);
        rows.remove(at);
    }
    rows
}

/// Rows of each graph: first one each, then up to four for what is looked at, then two for what is zero as a rule, then more, until
/// all are given away.
fn heights(room: u16, rows: &[&Row]) -> Vec<u16> {
    let mut heights = vec![1; rows.len()];
    let mut left = room.saturating_sub(rows.len() as u16);
    for (quiet, most) in [(false, 4), (true, 2), (false, 8), (true, 4), (false, u16::MAX)] {
        let mut order: Vec<usize> = (0..rows.len()).filter(|i| rows[*i].is_quiet() == quiet).collect();
        // The most needed first: where there is not enough for all, those have more.
        order.sort_by_key(|i| rows[*i].rank);
        while left > 0 && order.iter().any(|i| heights[*i] < most) {
            for i in &order {
                if left > 0 && heights[*i] < most {
                    heights[*i] += 1;
                    left -= 1;
                }
            }
        }
    }
    heights
}

/// One graph with its name and value.
fn one(
    buf: &mut Buffer,
    line: Rect,
    plot: Rect,
    row: &Row,
    shown: &Shown<'_>,
    (from, to, at, columns): (u64, u64, u64, usize),
    look: Look,
) {
    let mut layers: Vec<Vec<f64>> =
        row.quantities.iter().map(|q| shown.model.over_time(*q, (from, to), columns)).collect();
    if row.nested
        && let [inner, outer] = &mut layers[..]
    {
        for (outer, inner) in outer.iter_mut().zip(inner) {
            *outer -= inner.max(0.0);
        }
    }
    let number = |v: f64| if v.is_nan() { 0.0 } else { v };
    let sums: Vec<f64> = (0..columns).map(|c| layers.iter().map(|l| number(l[c])).sum()).collect();
    let most = match row.unit {
        // A tenth of a core is not to look like all of it.
        As::Cpu => spark::scale(&sums).max(0.1),
        _ => spark::scale(&sums),
    };
    let nothing = sums.iter().all(|v| *v <= 0.0);
    put(buf, line, 1, 0, row.name, if nothing { look.dim() } else { look.text() });
    put_right(buf, line, 1 + NAME + VALUE, 0, &row.value(shown, at), if nothing { look.dim() } else { look.strong() });
    if line.height >= 2 {
        put(buf, line, 1, 1, &cut(&note(row, shown, at), usize::from(NAME + VALUE)), look.dim());
    }
    if line.height >= 3 && !nothing {
        put(buf, line, 1, 2, &format!("scale {}", row.unit.write(most)), look.dim());
    }
    // A line on the ground where there is nothing: it is known to be nothing.
    let styles = row.styles(look);
    let ground = look.rule();
    let known = layers.first().map_or(&[][..], |l| &l[..]);
    for (column, _) in known.iter().enumerate().filter(|(c, v)| !v.is_nan() && sums[*c] <= 0.0) {
        mark_at(buf, plot, column as u16, plot.height - 1, if look.is_plain() { "_" } else { ground }, look.dim());
    }
    let drawn: Vec<spark::Layer<'_>> = layers.iter().map(Vec::as_slice).zip(styles).collect();
    // A row of air above each graph that has room for it.
    let air = u16::from(plot.height >= 3);
    spark::stacked(buf, Rect { y: plot.y + air, height: plot.height - air, ..plot }, &drawn, most, look.theme);
}

/// What there is to say of a row besides its value.
fn note(row: &Row, shown: &Shown<'_>, at: u64) -> String {
    let value = |q: Quantity| shown.at(q, at);
    match row.quantities {
        [system @ (Q::ServerSystem | Q::ClientSystem), user] => match (value(*user), value(*system)) {
            (Some(user), Some(system)) => format!("user {:.0} kernel {:.0}", user * 100.0, system * 100.0),
            _ => "of a core".to_owned(),
        },
        [Q::EchoMedian | Q::ConnectMedian, _] => {
            format!("99 %, median {}", value(row.quantities[0]).map_or_else(|| "–".to_owned(), units::fine_time))
        }
        [Q::SoftInterrupts] => "all cores".to_owned(),
        [Q::Program] => "of a core".to_owned(),
        _ => String::new(),
    }
}

/// The time cursor, over all graphs.
fn cursor(buf: &mut Buffer, plot: Rect, column: u16, look: Look) {
    let bar = look.axis_marks()[0];
    for row in 0..plot.height {
        if let Some(cell) = buf.cell_mut((plot.x + column, plot.y + row)) {
            if cell.symbol() == " " {
                cell.set_symbol(bar);
            }
            cell.set_style(look.strong().add_modifier(Modifier::REVERSED));
        }
    }
}

/// The axis, with events as marks on it and, where there is room, times below.
fn time_axis(buf: &mut Buffer, below: Rect, plot: Rect, shown: &Shown<'_>, span: (u64, u64), look: Look) {
    let rule = look.rule();
    for column in 0..plot.width {
        mark_at(buf, plot, column, 0, rule, look.dim());
    }
    put(buf, below, 1, 0, "events", look.dim());
    let mark = if look.is_plain() { "^" } else { "▲" };
    let mut worst = vec![None; usize::from(plot.width)];
    for event in shown.model.events().all() {
        if event.t_ms >= span.0 && event.t_ms <= span.1 {
            let place = &mut worst[usize::from(column_of(event.t_ms, span, plot.width))];
            *place = (*place).max(Some(event.severity));
        }
    }
    for (column, severity) in worst.iter().enumerate() {
        let style = match severity {
            None => continue,
            Some(Severity::Info) => look.text(),
            Some(Severity::Warning) => look.bar(crate::limits::LimitState::Warn),
            Some(Severity::Critical) => look.bar(crate::limits::LimitState::Critical),
        };
        put(buf, plot, column as u16, 0, mark, style);
    }
    if plot.height >= 2 {
        let (first, last) = (units::clock(span.0), units::clock(span.1));
        put(buf, plot, 0, 1, &first, look.dim());
        let middle = units::clock(u64::midpoint(span.0, span.1));
        if usize::from(plot.width) >= 3 * width(&first) + 6 {
            put(buf, plot, plot.width / 2 - width(&middle) as u16 / 2, 1, &middle, look.dim());
        }
        if usize::from(plot.width) >= 2 * width(&first) + 2 {
            put_right(buf, plot, plot.width, 1, &last, look.dim());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ramp of 40,000/s for ten seconds and then a standstill of ten, drawn.
    fn drawn(cursor: Option<u64>, (width, height): (u16, u16)) -> (Vec<String>, Buffer) {
        let mut model = Model::new(crate::model::Setup { interval_ms: 1000, ..crate::model::Setup::default() });
        let mut samples = crate::model::synthetic::ramp(400_000, 40_000, 1000);
        let last = samples[samples.len() - 1].clone();
        for t in 1..=10 {
            let mut more = last.clone();
            more.t_ms += t * 1000;
            for engine in &mut more.engines {
                engine.stats.as_mut().unwrap().t_us += t * 1_000_000;
            }
            samples.push(more);
        }
        for sample in &samples {
            model.update(sample);
        }
        model.note(Severity::Warning, "odd", "something odd");
        let area = Rect::new(0, 0, width, height);
        let mut buf = Buffer::empty(area);
        draw(&mut buf, area, &Shown { model: &model, cursor, then: None }, Look::default());
        let row = |y| (0..width).map(|x| buf[(x, y)].symbol()).collect::<String>();
        ((0..height).map(row).collect(), buf)
    }

    #[test]
    fn figures_at_the_cursor_are_what_the_screen_showed_then() {
        let (mut model, mut then) = (Model::default(), None);
        // Two samples or three make a point.
        for (i, sample) in crate::model::synthetic::ramp(400_000, 40_000, 200).iter().enumerate() {
            model.update(sample);
            then = then.or((i == 20).then(|| model.clone()));
        }
        let then = then.unwrap();
        let figures = |shown: &Shown<'_>| {
            let area = Rect::new(0, 0, 80, 40);
            let mut buf = Buffer::empty(area);
            draw(&mut buf, area, shown, Look::default());
            let row = |y| (0..1 + NAME + VALUE).map(|x| buf[(x, y)].symbol()).collect::<String>();
            // How far a graph reaches is of the whole axis.
            (1..40).map(row).filter(|row| !row.contains("scale")).collect::<Vec<String>>()
        };
        let showed = figures(&Shown { model: &then, cursor: None, then: None });
        let cursor = Some(then.now().t_ms);
        assert_eq!(figures(&Shown { model: &model, cursor, then: Some(&then) }), showed);
        assert_ne!(figures(&Shown { model: &model, cursor, then: None }), showed, "a mean of several moments");
    }

    #[test]
    fn the_cursor_reads_every_graph_at_one_moment() {
        let of =
            |rows: &[String], name: &str| rows.iter().find(|r| r.starts_with(&format!(" {name}"))).unwrap().clone();
        let (now, _) = drawn(None, (80, 20));
        assert!(of(&now, "opened").contains(" 0/s"), "{}", now.join("\n"));
        let (then, buf) = drawn(Some(5_000), (80, 20));
        assert!(then[0].contains("at 00:00:05"), "{}", then[0]);
        assert!(of(&then, "opened").contains("40.0 k/s"), "{}", then.join("\n"));
        let value = |row: String| row.chars().skip(usize::from(NAME)).take(usize::from(VALUE)).collect::<String>();
        assert_ne!(value(of(&now, "memory")), value(of(&then, "memory")));
        // It stands on the same column of each graph, a sixth along the axis of 30 s.
        let columns =
            |y: u16| (0..80).filter(|x| buf[(*x, y)].modifier.contains(Modifier::REVERSED)).collect::<Vec<_>>();
        let at = columns(1);
        assert_eq!(at.len(), 1, "{}", then.join("\n"));
        assert!((2..17).all(|y| columns(y) == at), "{}", then.join("\n"));
        assert_eq!(at[0], 23 + (80 - NAME - VALUE - 3) / 6);
    }

    #[test]
    fn events_are_marks_on_the_axis() {
        let (rows, buf) = drawn(None, (80, 20));
        let y = rows.iter().position(|r| r.starts_with(" events")).unwrap();
        let marks: Vec<usize> = rows[y].chars().enumerate().filter(|(_, c)| *c == '▲').map(|(x, _)| x).collect();
        assert!(marks.len() >= 2, "{}", rows[y]);
        let style = Look::default().bar(crate::limits::LimitState::Warn);
        assert_eq!(Some(buf[(marks[marks.len() - 1] as u16, y as u16)].fg), style.fg, "the newest is a warning");
    }

    #[test]
    fn rows_share_the_room_and_the_least_needed_go_first() {
        let rows: Vec<&Row> = ROWS.iter().filter(|r| ["opened", "failed", "memory"].contains(&r.name)).collect();
        assert_eq!((heights(3, &rows), heights(4, &rows)), (vec![1, 1, 1], vec![2, 1, 1]));
        assert_eq!((heights(9, &rows), heights(10, &rows)), (vec![4, 1, 4], vec![4, 2, 4]));
        let few = chosen(&Model::default(), 3);
        assert_eq!(few.iter().map(|r| r.name).collect::<Vec<_>>(), ["opened", "CPU client", "memory"]);
        assert!(chosen(&Model::default(), 50).len() > 8);
    }
}
