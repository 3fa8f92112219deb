//! The engines of a run: which are there, which have ended, and how.

use std::path::Path;
use std::time::Duration;

use super::child::Engine;
use crate::model::Cause;

/// The engines of a run.
#[derive(Debug)]
pub(super) struct Processes {
    /// Those that this program started.
    own: Vec<Engine>,
    /// How many of those attached to have not taken their leave.
    attached: usize,
    /// Those whose control connection has ended and whose status is not known yet.
    dying: Vec<u32>,
}

/// An engine that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) pid: u32,
    pub(super) cause: Cause,
    /// The first line of its standard error.
    pub(super) message: Option<String>,
}

impl Processes {
    /// Engines that were started, or so many that are attached to.
    pub(super) fn new(own: Vec<Engine>, links: usize) -> Self {
        let attached = if own.is_empty() { links } else { 0 };
        Self { own, attached, dying: Vec::new() }
    }

    /// Whether this program started it.
    pub(super) fn is_own(&self, pid: u32) -> bool {
        self.own.iter().any(|e| e.pid() == pid)
    }

    /// Whether this program started any.
    pub(super) fn has_own(&self) -> bool {
        !self.own.is_empty()
    }

    /// An engine that was attached to has taken its leave; whether it was the last.
    pub(super) fn left(&mut self) -> bool {
        self.attached = self.attached.saturating_sub(1);
        self.attached == 0
    }

    /// The control connection of an engine has ended. How it died is known once the kernel has taken it apart, which takes
    /// seconds with many sockets.
    pub(super) fn disconnected(&mut self, pid: u32) {
        self.dying.push(pid);
    }

    /// Whether the end of one is not understood yet.
    pub(super) fn are_dying(&self) -> bool {
        !self.dying.is_empty()
    }

    /// Whether the end of one can be understood by now.
    pub(super) fn have_news(&mut self) -> bool {
        self.dying.clone().into_iter().any(|pid| self.status(pid).is_some())
    }

    /// Those whose end is known since the last call.
    pub(super) fn take_ended(&mut self) -> Vec<Ended> {
        let mut ended = Vec::new();
        for pid in std::mem::take(&mut self.dying) {
            let Some(cause) = self.status(pid) else {
                self.dying.push(pid);
                continue;
            };
            let message = self.engine(pid).and_then(Engine::message);
            ended.push(Ended { pid, cause, message });
        }
        ended
    }

    /// Waits for those that this program started; kills one that takes longer than its `patience`. Returns those.
    pub(super) fn finish(&mut self, patience: impl Fn(u32) -> Duration) -> Vec<u32> {
        // One that cannot be waited for has been.
        let slow = self.own.iter_mut().filter_map(|e| e.finish(patience(e.pid())).ok()?.then(|| e.pid()));
        slow.collect()
    }

    /// How a process that has ended did so; `None` while the kernel still takes it apart.
    fn status(&mut self, pid: u32) -> Option<Cause> {
        match self.engine(pid) {
            Some(engine) => engine.ended(),
            // Not our child: nobody tells us how.
            None => (!Path::new(&format!("/proc/{pid}")).exists()).then_some(Cause::Vanished),
        }
    }

    fn engine(&mut self, pid: u32) -> Option<&mut Engine> {
        self.own.iter_mut().find(|e| e.pid() == pid)
    }
}
