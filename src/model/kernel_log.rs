//! Lines of the kernel's log, kept for a moment: the proof that a sentence quotes.

use std::collections::VecDeque;

use crate::probe::sample::{LogLine, LogTopic, Sample};

/// A line is of what happens now for so long, milliseconds: most are rate-limited to a few in five seconds.
const FRESH_MS: u64 = 5_000;
/// Lines kept.
const MOST: usize = 64;

/// The newest lines.
#[derive(Debug, Clone, Default)]
pub(super) struct KernelLog {
    lines: VecDeque<(u64, LogLine)>,
    readable: bool,
    t_ms: u64,
}

impl KernelLog {
    /// Takes a sample.
    pub(super) fn update(&mut self, sample: &Sample) {
        self.t_ms = sample.t_ms;
        self.readable = sample.host.log.is_ok();
        for line in sample.host.log.iter().flatten() {
            if self.lines.len() == MOST {
                self.lines.pop_front();
            }
            self.lines.push_back((sample.t_ms, line.clone()));
        }
    }

    /// The newest line on one of these topics, to be added to a sentence; empty where there is none.
    pub(super) fn quote(&self, topics: &[LogTopic]) -> String {
        self.newest(topics).map_or(String::new(), quoted)
    }

    /// The limit that the newest line on one of these topics is about.
    pub(super) fn limit(&self, topics: &[LogTopic]) -> Option<&'static str> {
        match self.newest(topics)?.topic {
            LogTopic::Orphans => Some("orphans"),
            LogTopic::TcpMemory => Some("tcp_mem"),
            _ => None,
        }
    }

    fn newest(&self, topics: &[LogTopic]) -> Option<&LogLine> {
        let fresh = self.lines.iter().rev().take_while(|(t_ms, _)| t_ms + FRESH_MS >= self.t_ms);
        fresh.map(|(_, line)| line).find(|line| topics.contains(&line.topic))
    }

    /// Whether the OOM killer took this process; `None` where the log cannot be read. Of all lines this one is never
    /// rate-limited (`__oom_kill_process` in `mm/oom_kill.c`).
    pub(super) fn killed(&self, pid: u32) -> Option<bool> {
        self.readable.then(|| self.kill(pid).is_some())
    }

    /// The line of that kill, to be added to a sentence.
    pub(super) fn quote_kill(&self, pid: u32) -> String {
        self.kill(pid).map_or(String::new(), quoted)
    }

    fn kill(&self, pid: u32) -> Option<&LogLine> {
        self.lines.iter().rev().map(|(_, line)| line).find(|line| line.topic == LogTopic::OomKill { pid })
    }
}

/// What follows in the line of a kill are sizes of user memory, of which connections take next to none.
fn quoted(line: &LogLine) -> String {
    let text = line.text.split(" total-vm:").next().unwrap_or_default().trim_end_matches('.');
    format!("; the kernel's log: \"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::super::synthetic;
    use super::*;

    #[test]
    fn a_line_is_quoted_while_it_is_fresh() {
        let mut log = KernelLog::default();
        let mut sample = synthetic::sample(1000, 1000);
        assert_eq!(log.killed(4021), None, "nothing is known before the log is read");
        sample.host.log = Ok(vec![
            LogLine { topic: LogTopic::TimeWait, text: "TCP: time wait bucket table overflow".into() },
            LogLine { topic: LogTopic::OomKill { pid: 4021 }, text: "Killed process 4021 (x) total-vm:1kB".into() },
        ]);
        log.update(&sample);
        let quote = "; the kernel's log: \"TCP: time wait bucket table overflow\"";
        assert_eq!(log.quote(&[LogTopic::Orphans, LogTopic::TimeWait]), quote);
        assert_eq!(log.quote(&[LogTopic::Orphans]), "");
        assert_eq!(log.limit(&[LogTopic::Orphans]), None);
        (sample.t_ms, sample.host.log) = (9_000, Ok(Vec::new()));
        log.update(&sample);
        assert_eq!(log.quote(&[LogTopic::TimeWait]), "", "eight seconds ago");
        assert_eq!((log.killed(4021), log.killed(4022)), (Some(true), Some(false)), "a process takes a while to die");
        assert_eq!(log.quote_kill(4021), "; the kernel's log: \"Killed process 4021 (x)\"");
    }
}
