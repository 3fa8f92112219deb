//! What is known of a run. Whatever changes it is an entry of the recording, so that a replay shows the same.

use std::collections::HashMap;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use crate::model::{Cause, EventLine, Model, Setup, Severity, Summary, Verdict};
use crate::protocol::{Command, Role};
use crate::record::{Course, Entry, Feed, Header, News, Recorder};
use crate::sample::Sample;

/// The run so far, and its recording.
#[derive(Debug)]
pub(super) struct State {
    course: Course,
    recorder: Option<Recorder>,
    /// For whoever looks at it from elsewhere.
    feed: Option<Feed>,
    /// Events that are recorded, and how bad they were then.
    told: HashMap<String, Severity>,
    /// Up to when the recording was last made to be written, milliseconds since the dashboard started.
    flushed: Option<u64>,
}

impl Deref for State {
    type Target = Model;

    fn deref(&self) -> &Model {
        self.course.model()
    }
}

impl State {
    pub(super) fn new(setup: Setup, recorder: Option<Recorder>) -> Self {
        Self { course: Course::new(setup), recorder, feed: None, told: HashMap::new(), flushed: None }
    }

    /// What is shown.
    pub(super) fn shown(&self) -> &Model {
        self.course.shown()
    }

    /// The model, for an output that takes what is new of the events.
    pub(super) fn for_output(&mut self) -> &mut Model {
        self.course.model_mut()
    }

    /// A sample; whether outputs show it at once, before anything else is told of it.
    pub(super) fn sample(&mut self, sample: Arc<Sample>, shown: bool) {
        self.take(Entry::Sample { shown, sample });
        let news = self.recorder.as_mut().and_then(Recorder::news);
        let Some((news, path)) = news.zip(self.recording()) else { return };
        match news {
            News::Stopped(why) => {
                let text = format!("Recording to {path} stopped: {why}. The run continues unrecorded.");
                self.note(Severity::Warning, "recording", text);
            }
            News::GoesOn => self.note(Severity::Info, "recording/on", format!("Recording to {path} continues.")),
        }
    }

    /// The last sample is shown, with what has been told since.
    pub(super) fn shown_now(&mut self) {
        self.take(Entry::Shown { t_ms: self.now().t_ms });
    }

    /// Something to say of what the program does.
    pub(super) fn note(&mut self, severity: Severity, id: &str, text: impl Into<String>) {
        self.take(Entry::Note { t_ms: self.now().t_ms, severity, id: id.to_owned(), text: text.into() });
    }

    /// A process has ended.
    pub(super) fn note_death(&mut self, pid: u32, cause: Cause) {
        self.take(Entry::Death { t_ms: self.now().t_ms, pid, cause });
    }

    /// Keeps what is shown, because an engine has ended; the screen says so until it is known how.
    pub(super) fn keep(&mut self, id: &str, text: String) {
        self.take(Entry::Kept { t_ms: self.now().t_ms, id: id.to_owned(), text });
    }

    /// The user gave a command.
    pub(super) fn commanded(&mut self, to: Option<Role>, command: Command) {
        self.take(Entry::Command { t_ms: self.now().t_ms, to, command });
    }

    /// The guard of the fleet's server begins or ceases to allow this client less than its own guard.
    pub(super) fn fleet_bound(&mut self, binds: bool) {
        self.take(Entry::FleetBound { t_ms: self.now().t_ms, binds });
    }

    /// The user wanted to leave.
    pub(super) fn quit(&mut self) {
        self.take(Entry::Quit { t_ms: self.now().t_ms });
    }

    fn take(&mut self, entry: Entry) {
        self.course.take(&entry);
        // Whoever looks on asks for another.
        self.feed.take_if(|feed| !feed.put(entry.clone()));
        let Some(recorder) = &mut self.recorder else { return };
        recorder.put(entry);
        for event in self.course.model().events().all() {
            if self.told.get(&event.id).is_none_or(|told| *told < event.severity) {
                self.told.insert(event.id.clone(), event.severity);
                recorder.put(Entry::Event { event: Box::new(EventLine::from(event)) });
            }
        }
    }

    /// Sends the run to whoever looks at it from elsewhere: what is recorded of it, and all that comes.
    pub(super) fn feed(&mut self, header: Header, to: impl FnMut(Vec<u8>) -> bool + Send + 'static) {
        let past = self.recorder.as_ref().map(|recorder| (recorder.path().to_owned(), recorder.flush()));
        // Without a thread nothing is sent, and the worker is asked again.
        self.feed = Feed::start(header, past, to).ok();
    }

    /// Has what has been recorded up to this moment written, so that it can be read: where, and what tells that it is done.
    /// `None` where nothing is recorded.
    pub(super) fn past(&mut self, t_ms: u64) -> Option<(PathBuf, Receiver<u64>)> {
        let now = self.now().t_ms;
        let recorder = self.recorder.as_ref()?;
        let written = if self.flushed.is_none_or(|flushed| t_ms > flushed) {
            self.flushed = Some(now);
            recorder.flush()
        } else {
            // It is written: a channel that has ended.
            sync_channel(0).1
        };
        Some((recorder.path().to_owned(), written))
    }

    /// The file that the run is recorded into.
    pub(super) fn recording(&self) -> Option<String> {
        self.recorder.as_ref().map(|recorder| recorder.path().display().to_string())
    }

    /// The run could not begin: nothing of it is kept.
    pub(super) fn discard(&mut self) {
        if let Some(recorder) = self.recorder.take() {
            let path = recorder.path().to_owned();
            drop(recorder);
            // Somebody else may have removed it.
            let _ = std::fs::remove_file(path);
        }
    }

    /// What the run came to.
    pub(super) fn summary(&self, verdict: Verdict) -> Summary {
        Summary { recording: self.recording(), ..self.course.summary(verdict) }
    }

    /// The run is over, and this is its summary: ends the recording.
    pub(super) fn finish(&mut self, summary: &Summary) {
        if let Some(feed) = self.feed.take() {
            feed.finish();
        }
        if let Some(recorder) = self.recorder.take() {
            recorder.finish(Entry::Summary { summary: Box::new(summary.clone()) });
        }
    }
}
