//! What comes to the loop of a run.

use std::io;
use std::sync::mpsc::SyncSender;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::iterator::Signals;

use super::scrape::Scrape;
use super::watcher::Report;
use crate::fleet::News;
use crate::model::Model;
use crate::sample::{Peers, Reading};
use crate::ui::Input;

/// One thing that comes.
#[derive(Debug)]
pub(super) enum Message {
    /// From the probe thread.
    Report(Report),
    /// From the terminal.
    Input(Input),
    /// A signal.
    Signal(i32),
    /// From the fleet that this run is a worker of.
    Fleet(Box<News>),
    /// Who is connected to a port, counted as the user asked.
    Peers(u16, Box<Reading<Peers>>),
    /// The run as it was at a moment that was asked for, milliseconds since the dashboard started; `None`: it cannot be read.
    Past(u64, Option<Box<Model>>),
    /// A recording has been read up to here, and whether that is its end.
    Known(Box<Model>, bool),
    /// The metrics are asked for.
    Metrics(Scrape),
    /// A helper thread has ended, in a panic.
    ThreadFailed,
}

impl From<Report> for Message {
    fn from(report: Report) -> Self {
        Message::Report(report)
    }
}

impl From<Input> for Message {
    fn from(input: Input) -> Self {
        Message::Input(input)
    }
}

/// A signal that has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caught(pub(super) i32);

impl From<Caught> for Message {
    fn from(caught: Caught) -> Self {
        Message::Signal(caught.0)
    }
}

/// Turns signals into messages. SIGHUP is a terminal that has gone.
pub(super) fn catch_signals<T>(to: SyncSender<T>) -> io::Result<()>
where
    T: From<Input> + From<Caught> + Send + 'static,
{
    let mut signals = Signals::new([SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            let message = if signal == SIGWINCH { Input::Resize.into() } else { Caught(signal).into() };
            if to.send(message).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// Says so when a helper thread ends in a panic: the screen would otherwise just stand still.
pub(super) fn report_panic<T: Send + 'static>(thread: thread::JoinHandle<()>, to: SyncSender<T>, failed: T) {
    // Without this thread a panic goes unnoticed, and nothing else depends on it.
    let _ = thread::Builder::new().name("watch".into()).spawn(move || {
        if thread.join().is_err() {
            let _ = to.send(failed);
        }
    });
}
