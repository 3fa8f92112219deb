//! `cargo bench --bench screen`: what a frame costs, in time and in bytes written to the terminal, at each size and view.
//!
//! A ramp and a hold are drawn sample by sample, as the dashboard does; the CPU time is that of one whole frame (layout, panels,
//! comparison with the frame before, writing), the bytes are what a terminal gets. Goal: at most a millisecond at 200x60.

#![expect(clippy::cast_precision_loss, reason = "means of times and of bytes")]

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use c1m_top::model::{Model, Setup, synthetic};
use c1m_top::sample::Sample;
use c1m_top::ui::{self, Screen, Theme, View};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};

/// Rounds over the samples: the first warms caches and is not counted.
const ROUNDS: usize = 6;

const SIZES: [(u16, u16); 4] = [(80, 24), (120, 40), (200, 60), (250, 80)];

const SCREENS: [(&str, Screen); 4] = [
    ("overview", Screen::Overview),
    ("memory", Screen::Memory),
    ("limits", Screen::Limits),
    ("engines", Screen::Engines),
];

/// A terminal that counts what it is sent.
struct Counting(Rc<Cell<usize>>);

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.set(self.0.get() + bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// CPU time of this thread: what others do on the machine meanwhile is not the frame's.
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// A ramp at five samples a second, then a hold at one.
fn samples() -> Vec<Sample> {
    let mut samples = synthetic::ramp(1_000_000, 20_000, 200);
    let last = samples[samples.len() - 1].clone();
    for t in 1..=50 {
        let mut more = last.clone();
        more.t_ms = last.t_ms + t * 1000;
        for engine in &mut more.engines {
            if let Ok(stats) = &mut engine.stats {
                stats.t_us += t * 1_000_000;
            }
        }
        samples.push(more);
    }
    samples
}

fn main() -> std::io::Result<()> {
    let samples = samples();
    println!("| view | size | mean us | most us | bytes a frame | first frame |");
    println!("| --- | --- | ---: | ---: | ---: | ---: |");
    for (name, screen) in SCREENS {
        for size in SIZES {
            measure(name, screen, size, &samples)?;
        }
    }
    Ok(())
}

fn measure(name: &str, screen: Screen, (width, height): (u16, u16), samples: &[Sample]) -> std::io::Result<()> {
    let (mut times, mut bytes, mut first) = (Vec::new(), 0, 0);
    for round in 0..ROUNDS {
        let area = Rect::new(0, 0, width, height);
        let options = TerminalOptions { viewport: Viewport::Fixed(area) };
        let sent = Rc::new(Cell::new(0));
        let mut terminal = Terminal::with_options(CrosstermBackend::new(Counting(Rc::clone(&sent))), options)?;
        let mut view = View::new().on(screen);
        view.fit(area);
        let mut model = Model::new(Setup { target: Some(1_000_000), interval_ms: 1000, ..Setup::default() });
        for (i, sample) in samples.iter().enumerate() {
            model.update(sample);
            let before = sent.get();
            let start = cpu_time();
            terminal.draw(|frame| ui::draw(frame, &model, &view, Theme::default()))?;
            let took = cpu_time().saturating_sub(start);
            let written = sent.get() - before;
            if i == 0 {
                first = written;
            } else if round > 0 {
                times.push(took.as_secs_f64() * 1e6);
                bytes += written;
            }
        }
    }
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    let most = times.iter().copied().fold(0.0, f64::max);
    println!(
        "| {name} | {width}x{height} | {mean:.0} | {most:.0} | {:.0} | {first} |",
        bytes as f64 / times.len() as f64
    );
    Ok(())
}
