//! Lines of the kernel's log, kept for a moment: the proof that a sentence quotes.

use std::collections::VecDeque;

use crate::limits::{LimitId, logged_by};
use crate::sample::{LogLine, LogTopic, Sample};

/// A line is of what happens now for so long, milliseconds: most are rate-limited to a few in five seconds.
const FRESH_MS: u64 = 5_000;
/// Lines kept.
const MOST: usize = 64;
/// Where lines were missed, a kill may have been among them for so long: with many sockets a process takes a while to die.
const MISSED_MS: u64 = 30_000;

/// The newest lines.
#[derive(Debug, Clone, Default)]
pub(super) struct KernelLog {
    lines: VecDeque<(u64, LogLine)>,
    /// Kills, which no flood of other lines may push out.
    kills: VecDeque<LogLine>,
    readable: bool,
    /// When lines were missed last.
    missed: Option<u64>,
    t_ms: u64,
}

/// What the log says of a process that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing that decides: it cannot be read, or not all of it was.
    Unknown,
    /// The OOM killer did not take it.
    NotKilled,
    /// It took it; why is not said.
    Killed,
    /// It took it for the limit of a memory cgroup.
    ByCgroup,
    /// It took it because the machine had no memory left.
    ByMachine,
}

impl KernelLog {
    /// Takes a sample.
    pub(super) fn update(&mut self, sample: &Sample) {
        self.t_ms = sample.t_ms;
        let Ok(log) = &sample.kernel.host.log else {
            self.readable = false;
            return;
        };
        self.readable = true;
        if !log.whole {
            self.missed = Some(sample.t_ms);
        }
        for line in &log.lines {
            if matches!(line.topic, LogTopic::OomKill { .. }) {
                self.kills.push_back(line.clone());
                self.kills.drain(..self.kills.len().saturating_sub(MOST));
            } else {
                self.lines.push_back((sample.t_ms, line.clone()));
                self.lines.drain(..self.lines.len().saturating_sub(MOST));
            }
        }
    }

    /// The newest line on one of these topics, to be added to a sentence; empty where there is none.
    pub(super) fn quote(&self, topics: &[LogTopic]) -> String {
        quoted(self.line(topics))
    }

    /// The newest line on one of these topics.
    pub(super) fn line(&self, topics: &[LogTopic]) -> Option<String> {
        self.newest(topics).map(shortened)
    }

    /// The limit that the newest line on one of these topics is about.
    pub(super) fn limit(&self, topics: &[LogTopic]) -> Option<LimitId> {
        logged_by(self.newest(topics)?.topic)
    }

    fn newest(&self, topics: &[LogTopic]) -> Option<&LogLine> {
        let fresh = self.lines.iter().rev().take_while(|(t_ms, _)| t_ms + FRESH_MS >= self.t_ms);
        fresh.map(|(_, line)| line).find(|line| topics.contains(&line.topic))
    }

    /// Whether the OOM killer took this process. Of all lines this one is never rate-limited (`__oom_kill_process` in
    /// `mm/oom_kill.c`).
    pub(super) fn verdict(&self, pid: u32) -> Verdict {
        let missed = self.missed.is_some_and(|at| self.t_ms < at + MISSED_MS);
        match self.kill(pid).map(|line| line.topic) {
            Some(LogTopic::OomKill { cgroup: Some(true), .. }) => Verdict::ByCgroup,
            Some(LogTopic::OomKill { cgroup: Some(false), .. }) => Verdict::ByMachine,
            Some(_) => Verdict::Killed,
            None if self.readable && !missed => Verdict::NotKilled,
            None => Verdict::Unknown,
        }
    }

    /// The line of that kill, to be added to a sentence.
    pub(super) fn quote_kill(&self, pid: u32) -> String {
        quoted(self.kill_line(pid))
    }

    /// The line of that kill.
    pub(super) fn kill_line(&self, pid: u32) -> Option<String> {
        self.kill(pid).map(shortened)
    }

    fn kill(&self, pid: u32) -> Option<&LogLine> {
        self.kills.iter().rev().find(|line| matches!(line.topic, LogTopic::OomKill { pid: p, .. } if p == pid))
    }
}

/// What follows in the line of a kill are sizes of user memory, of which connections take next to none.
fn shortened(line: &LogLine) -> String {
    line.text.split(" total-vm:").next().unwrap_or_default().trim_end_matches('.').to_owned()
}

fn quoted(line: Option<String>) -> String {
    line.map_or(String::new(), |text| format!("; the kernel's log: \"{text}\""))
}

#[cfg(test)]
mod tests {
    use super::super::synthetic;
    use super::*;
    use crate::sample::Log;

    #[test]
    fn a_line_is_quoted_while_it_is_fresh() {
        let mut log = KernelLog::default();
        let mut sample = synthetic::sample(1000, 1000);
        assert_eq!(log.verdict(4021), Verdict::Unknown, "nothing is known before the log is read");
        let kill = LogTopic::OomKill { pid: 4021, cgroup: Some(false) };
        let lines = vec![
            LogLine { topic: LogTopic::TimeWait, text: "TCP: time wait bucket table overflow".into() },
            LogLine { topic: kill, text: "Out of memory: Killed process 4021 (x) total-vm:1kB".into() },
        ];
        sample.kernel.host.log = Ok(Log { lines, whole: true });
        log.update(&sample);
        let quote = "; the kernel's log: \"TCP: time wait bucket table overflow\"";
        assert_eq!(log.quote(&[LogTopic::Orphans, LogTopic::TimeWait]), quote);
        assert_eq!(log.quote(&[LogTopic::Orphans]), "");
        assert_eq!(log.limit(&[LogTopic::Orphans]), None);
        (sample.t_ms, sample.kernel.host.log) = (9_000, Ok(Log { whole: true, ..Log::default() }));
        log.update(&sample);
        assert_eq!(log.quote(&[LogTopic::TimeWait]), "", "eight seconds ago");
        assert_eq!(log.verdict(4021), Verdict::ByMachine, "a process takes a while to die");
        assert_eq!(log.verdict(4022), Verdict::NotKilled);
        assert_eq!(log.quote_kill(4021), "; the kernel's log: \"Out of memory: Killed process 4021 (x)\"");
        // A flood of which not all could be read may have hidden a kill, and hides none that is known.
        let line = LogLine { topic: LogTopic::TimeWait, text: String::new() };
        sample.kernel.host.log = Ok(Log { lines: vec![line; 2 * MOST], whole: false });
        log.update(&sample);
        assert_eq!((log.verdict(4021), log.verdict(4022)), (Verdict::ByMachine, Verdict::Unknown));
    }
}
