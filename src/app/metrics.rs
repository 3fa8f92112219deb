//! A run served to Prometheus while it goes on, and for a while after its end.
//!
//! The text is made in the loop of the run, which has the model, and only when somebody asks for it; whoever asks again within a
//! moment gets the same text.

use std::io::{self, IsTerminal};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGSTOP, SIGTSTP};

use super::message::Message;
use super::scrape::{Labels, Scrape, labels};
use super::{http, request};
use crate::engine::config::Common;
use crate::model::{Model, Verdict};
use crate::output::metrics::{Format, Moment, write};
use crate::record::Header;
use crate::ui::Input;
use crate::units::{micros, millis};

/// Whoever asks again so soon gets what there was: a thousand scrapers cost what one does.
const FRESH: Duration = Duration::from_millis(200);
/// How long the run's loop may take to answer: while it writes to a pipe that nobody empties, it cannot. Well below a scrape's
/// own patience, which is a second where it comes each second.
const PATIENCE: Duration = Duration::from_millis(400);

/// Where metrics will be served: taken before anything else of a run is, so that a port in use stops nothing that has begun.
#[derive(Debug)]
pub(super) struct Door {
    at: SocketAddr,
    listener: TcpListener,
}

impl Door {
    /// Takes the address, which is none of the run's own (`engine`).
    ///
    /// # Errors
    /// One line.
    pub(super) fn open(at: SocketAddr, engine: Option<&Common>) -> Result<Self, String> {
        if let Some(own) = engine.filter(|own| (own.port..=own.port.saturating_add(own.ports - 1)).contains(&at.port()))
        {
            let last = own.port.saturating_add(own.ports - 1);
            return Err(format!(
                "--metrics {at}: the run itself uses the ports {} to {last}: choose another one",
                own.port
            ));
        }
        let listener = TcpListener::bind(at).map_err(|e| {
            let why = match e.kind() {
                io::ErrorKind::AddrInUse => "another program listens there: choose another port".to_owned(),
                io::ErrorKind::AddrNotAvailable => {
                    "this machine has no such address (see: ip address): name one that it has".to_owned()
                }
                io::ErrorKind::PermissionDenied => {
                    format!("this user may not listen on port {}: choose one from 1024 on", at.port())
                }
                _ => format!("cannot listen there: {e}"),
            };
            format!("--metrics {at}: {why}")
        })?;
        Ok(Self { at, listener })
    }

    /// Begins to serve the run that this header describes, a worker of this `fleet`; whoever has its loop answers.
    ///
    /// # Errors
    /// There is no thread or no descriptor for it.
    pub(super) fn serve(self, header: &Header, fleet: Option<&str>, run: SyncSender<Message>) -> io::Result<Metrics> {
        let over = Arc::new(Over::default());
        let site = Site { run, labels: Arc::new(labels(header, fleet)), over: Arc::clone(&over), kept: [None, None] };
        let metrics = Metrics { at: self.at, labels: Arc::clone(&site.labels), over };
        http::serve(self.listener, site)?;
        Ok(metrics)
    }
}

/// What is left of a run that has ended.
#[derive(Debug, Default)]
struct Over {
    /// The text in both formats.
    text: OnceLock<[Arc<str>; 2]>,
    /// Somebody has read it.
    read: AtomicBool,
}

/// Metrics that are served.
#[derive(Debug)]
pub(super) struct Metrics {
    at: SocketAddr,
    labels: Arc<Labels>,
    over: Arc<Over>,
}

impl Metrics {
    /// Where they can be read, for people.
    pub(super) fn where_to_read(&self) -> String {
        let open = if self.at.ip().is_loopback() { "" } else { ", readable by anyone who can reach that address" };
        format!("Metrics for Prometheus: http://{}{}{open}", self.at, request::PATH)
    }

    /// The run has ended so.
    pub(super) fn over(&self, model: &Model, verdict: Verdict) {
        let moment = Moment { model, run: &self.labels, verdict: Some(verdict) };
        let _ = self.over.text.set([Format::OpenMetrics, Format::Prometheus].map(|f| Arc::from(write(&moment, f))));
    }

    /// Stays until the last figures have been read, or somebody does not want to wait for that.
    pub(super) fn linger(&self, messages: &Receiver<Message>, time: Duration) {
        let until = Instant::now() + time;
        let has_been_read = || self.over.read.load(Ordering::Acquire);
        if !time.is_zero() && !has_been_read() && io::stderr().is_terminal() {
            let most = millis(micros(time) / 1000);
            eprintln!("Waiting up to {most} for the last scrape of the metrics (Ctrl-C to stop).");
        }
        while !has_been_read() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            match messages.recv_timeout(left.min(Duration::from_millis(100))) {
                Ok(Message::Signal(SIGTSTP)) => {
                    let _ = signal_hook::low_level::raise(SIGSTOP);
                }
                Ok(Message::Signal(_) | Message::Input(Input::Gone)) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// The page, from whoever has the model.
struct Site {
    run: SyncSender<Message>,
    labels: Arc<Labels>,
    over: Arc<Over>,
    /// The last text in each format, and since when it is that.
    kept: [Option<(Instant, Arc<str>)>; 2],
}

/// A format's place in a row of two.
fn place(format: Format) -> usize {
    match format {
        Format::OpenMetrics => 0,
        Format::Prometheus => 1,
    }
}

impl http::Site for Site {
    fn page(&mut self, format: Format) -> Option<Arc<str>> {
        if let Some(last) = self.over.text.get() {
            return last.get(place(format)).cloned();
        }
        let kept = &mut self.kept[place(format)];
        if let Some((since, text)) = kept
            && since.elapsed() < FRESH
        {
            return Some(Arc::clone(text));
        }
        let (to, text) = sync_channel(1);
        let scrape = Scrape { run: Arc::clone(&self.labels), format, to };
        let asked = self.run.try_send(Message::Metrics(scrape));
        if let Some(text) = asked.ok().and_then(|()| text.recv_timeout(PATIENCE).ok()) {
            *kept = Some((Instant::now(), Arc::from(text)));
        } else if let Some((since, _)) = kept {
            // A loop that cannot answer is not asked by each of many; the text says of when it is.
            *since = Instant::now();
        }
        kept.as_ref().map(|(_, text)| Arc::clone(text))
    }

    fn sent(&mut self, page: &Arc<str>) {
        if self.over.text.get().is_some_and(|last| last.iter().any(|text| Arc::ptr_eq(text, page))) {
            self.over.read.store(true, Ordering::Release);
        }
    }
}
