//! Recordings side by side in time: one sample of all of them at each moment.

use std::collections::VecDeque;
use std::sync::Arc;

use super::engines::{self, Held};
use super::feed::Feed;
use super::limits::{self, Judged};
use super::parts::Checked;
use super::{kernel, outcome};
use crate::model::{EventLine, MergedFrom, RunPhase, Setup, Severity, Summary};
use crate::protocol::{Phase, Role};
use crate::record::{Course, Entry};
use crate::sample::{Own, Sample};

/// Time between two samples of the merged run, milliseconds: as often as a run that changes is sampled.
const APART_MS: u64 = 200;
/// The same of its limits: while something moves, and while everything is held.
const LIMITS_MS: u64 = 1000;
const LIMITS_HELD_MS: u64 = 10_000;

/// The merged run, entry by entry.
pub(super) struct Stream<'a> {
    pub(super) feeds: Vec<Feed<'a>>,
    remarks: &'a [String],
    setup: Setup,
    started_ms: u64,
    /// The run as its samples make it: for its summary.
    course: Course,
    memory: [engines::Memory; 2],
    queue: VecDeque<Entry>,
    /// When the last sample, the last shown and the last limits were.
    sampled: Option<u64>,
    shown: Option<u64>,
    judged: Option<u64>,
    over: bool,
    summary: Option<Summary>,
}

impl<'a> Stream<'a> {
    pub(super) fn new(checked: &'a Checked) -> Self {
        let firsts = checked.members.iter().filter_map(|member| {
            let first = member.recording.entries().find_map(|entry| match entry {
                Entry::Sample { sample, .. } => Some(sample),
                _ => None,
            })?;
            // By the wall clock, less what it was found to be ahead.
            let wall_ms = first.wall_ms.saturating_sub(first.t_ms).cast_signed();
            let ahead_ms = member.header().clock_offset_us.unwrap_or(0) / 1000;
            Some((member, first, u64::try_from(wall_ms - ahead_ms).unwrap_or(0)))
        });
        let firsts: Vec<_> = firsts.collect();
        let started_ms = firsts.iter().map(|(.., wall_ms)| *wall_ms).min().unwrap_or(0);
        let whole = |role: Role| -> u64 {
            let of_role = checked.members.iter().filter(|member| member.has(role));
            of_role.filter_map(|member| member.header().setup.target).sum()
        };
        let (servers, clients) = (whole(Role::Server), whole(Role::Client));
        let mut feeds = Vec::new();
        for (i, (member, first, wall_ms)) in firsts.into_iter().enumerate() {
            let header = member.header();
            let (role, all) = if member.has(Role::Client) { (Role::Client, clients) } else { (Role::Server, servers) };
            let like = checked.members.iter().filter(|other| other.has(role)).count().max(1);
            let share = match header.setup.target {
                Some(target) if all > 0 => target as f64 / all as f64,
                _ => 1.0 / like as f64,
            };
            let mut entries = member.recording.entries();
            let place = header.place.clone();
            // What does not say is taken for a host of its own.
            let named = |name: Option<String>| name.unwrap_or_else(|| format!("unknown {i}"));
            let setup = header.setup.clone();
            feeds.push(Feed {
                next: entries.next(),
                member,
                entries,
                course: Course::new(setup),
                start_ms: wall_ms - started_ms,
                host: named(place.host),
                network: named(place.network),
                share,
                sample: first,
                at_ms: 0,
                begun: false,
                ended: false,
                summary: None,
            });
        }
        let mut hosts: Vec<&str> = feeds.iter().map(|feed| feed.host.as_str()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let from = MergedFrom { parts: count(feeds.len()), hosts: count(hosts.len()) };
        let target = if clients > 0 { clients } else { servers };
        let setup = outcome::setup(checked, from, Some(target).filter(|target| *target > 0));
        let mut stream = Self {
            feeds,
            remarks: &checked.remarks,
            course: Course::new(setup.clone()),
            setup,
            started_ms,
            memory: Default::default(),
            queue: VecDeque::new(),
            sampled: None,
            shown: None,
            judged: None,
            over: false,
            summary: None,
        };
        for (i, remark) in stream.remarks.iter().enumerate() {
            stream.note(0, &format!("merge/{i}"), remark.clone());
        }
        stream
    }

    pub(super) fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Start of the first part, milliseconds since the Unix epoch.
    pub(super) fn started_ms(&self) -> u64 {
        self.started_ms
    }

    /// What the merged run came to, once all of it has been taken.
    pub(super) fn into_summary(self) -> Option<Summary> {
        self.summary
    }

    fn put(&mut self, entry: Entry) {
        self.course.take(&entry);
        self.queue.push_back(entry);
    }

    fn note(&mut self, t_ms: u64, id: &str, text: String) {
        self.put(Entry::Note { t_ms, severity: Severity::Warning, id: id.to_owned(), text });
    }

    /// Takes the earliest entry of all parts.
    fn advance(&mut self) {
        let due = |feed: &Feed<'_>| feed.due();
        let next = (0..self.feeds.len()).filter_map(|i| Some((due(&self.feeds[i])?, i))).min();
        let Some((t_ms, i)) = next else { return self.finish() };
        let feed = &mut self.feeds[i];
        let Some(entry) = feed.next.take() else { return };
        feed.next = feed.entries.next();
        let name = feed.member.name.clone();
        match entry {
            Entry::Sample { .. } => {
                feed.course.take(&entry);
                let Entry::Sample { sample, .. } = entry else { return };
                let phase = |sample: &Sample| sample.counters().map(|c| c.phase).collect::<Vec<Phase>>();
                let turns = phase(&feed.sample) != phase(&sample) || !feed.begun;
                (feed.sample, feed.begun, feed.at_ms) = (sample, true, t_ms);
                // When a part reaches its target that moment is kept, as it is live.
                if turns || self.sampled.is_none_or(|last| t_ms >= last + self.apart_ms()) {
                    self.sample(t_ms);
                }
            }
            Entry::Event { event } => {
                let event = Box::new(EventLine { t_ms, ..*event });
                self.put(Entry::Told { t_ms, name, event });
            }
            Entry::Summary { summary } => feed.summary = Some(*summary),
            Entry::Gap { .. } => {
                feed.course.take(&entry);
                let text = format!("{name}: entries are missing here in its recording");
                self.note(t_ms, &format!("gap/{name}"), text);
            }
            other => feed.course.take(&other),
        }
        if self.feeds[i].next.is_none() {
            self.end(i);
        }
    }

    /// How long after the last sample the next may come. While all is held each part is sampled once an interval: more often some
    /// would stand still and then leap.
    fn apart_ms(&self) -> u64 {
        let held = self.course.model().now().phase == RunPhase::Holding;
        if held { self.setup.interval_ms.max(APART_MS) } else { APART_MS }
    }

    /// A recording has come to its end.
    fn end(&mut self, i: usize) {
        let feed = &mut self.feeds[i];
        feed.ended = true;
        let (t_ms, name) = (feed.at_ms, feed.member.name.clone());
        let damage = feed
            .member
            .recording
            .damage()
            .first()
            .map(|damage| format!("{name}: part of its recording cannot be read: {damage}"));
        if feed.summary.is_none() {
            let held = feed.course.model().now().connections;
            let text = format!(
                "{name}: its recording ends here without a summary, it was killed or is still running: the {} connections it held are not counted any more",
                crate::units::grouped(held)
            );
            self.note(t_ms, &format!("end/{name}"), text);
        }
        if let Some(text) = damage {
            self.note(t_ms, &format!("damage/{name}"), text);
        }
        // What the others hold without it.
        let t_ms = self.sampled.map_or(t_ms, |last| t_ms.max(last)) + 1;
        self.sample(t_ms);
    }

    /// A sample of all parts at this moment.
    fn sample(&mut self, t_ms: u64) {
        // Several parts may end within a millisecond, each with a sample after it.
        let t_ms = self.sampled.map_or(t_ms, |last| t_ms.max(last));
        let seen: Vec<kernel::Seen<'_>> = self
            .feeds
            .iter()
            .map(|feed| kernel::Seen {
                kernel: &feed.sample.kernel,
                host: &feed.host,
                network: &feed.network,
                at_ms: feed.at_ms,
                live: feed.live(),
            })
            .collect();
        let Some(mut kernel) = kernel::together(&seen) else { return };
        let mut engines = Vec::new();
        for (role, memory) in [Role::Server, Role::Client].into_iter().zip(&mut self.memory) {
            // Of one that has not begun its target counts, and nothing else.
            let held: Vec<Held<'_>> =
                self.feeds.iter().filter(|feed| feed.begun).filter_map(|feed| feed.held(role)).collect();
            let waits = self.feeds.iter().any(|feed| feed.member.has(role) && !feed.begun);
            let target = self.feeds.iter().filter(|feed| feed.member.has(role));
            let target = target.map(|feed| match feed.held(role).filter(|_| feed.begun) {
                Some(held) => held.stats.target,
                None => feed.member.header().setup.target.unwrap_or(0),
            });
            let now = engines::Now { target: target.sum(), waits, us: t_ms * 1000 };
            if let Some((process, engine)) = engines::together(role, &held, now, memory) {
                kernel.processes.push(process);
                engines.push(engine);
            }
        }
        let own = self.feeds.iter().filter(|feed| feed.begun).fold(Own::default(), |all, feed| Own {
            cpu_us: all.cpu_us + feed.sample.own.cpu_us,
            rss_bytes: all.rss_bytes + feed.sample.own.rss_bytes,
        });
        let sample = Arc::new(Sample { t_ms, wall_ms: self.started_ms + t_ms, kernel, engines, own });
        let shown = self.shown.is_none_or(|last| t_ms >= last + self.setup.interval_ms.max(APART_MS));
        if shown {
            self.shown = Some(t_ms);
        }
        self.sampled = Some(t_ms);
        self.put(Entry::Sample { shown, sample });
        let held = self.course.model().now().phase == RunPhase::Holding;
        let apart = if held { LIMITS_HELD_MS } else { LIMITS_MS };
        if self.judged.is_none_or(|last| t_ms >= last + apart) {
            self.judge(t_ms);
        }
    }

    fn judge(&mut self, t_ms: u64) {
        self.judged = Some(t_ms);
        let judged: Vec<Judged<'_>> = self
            .feeds
            .iter()
            .filter(|feed| feed.begun)
            .map(|feed| Judged {
                name: &feed.member.name,
                host: &feed.host,
                network: &feed.network,
                live: feed.live(),
                opens: feed.member.has(Role::Client),
                share: feed.share,
                connections: feed.course.shown().now().connections,
                limits: feed.course.shown().limits(),
            })
            .collect();
        let mut limits = limits::nearest(&judged, self.course.model().now().connections);
        if !judged.iter().any(|part| part.live) {
            // Nothing comes next any more: what was said last stands, but for what was met since.
            limits::keep(&mut limits, self.course.model().limits());
        }
        self.put(Entry::Limits { t_ms, limits });
    }

    /// Every recording is at its end.
    fn finish(&mut self) {
        self.over = true;
        if let Some(t_ms) = self.sampled {
            self.judge(t_ms);
        }
        let summary = outcome::summary(&self.course, &self.feeds, self.remarks);
        for text in outcome::doubts(&summary) {
            self.note(self.sampled.unwrap_or(0), "merge/verdict", text);
        }
        for feed in &self.feeds {
            let (name, header) = (feed.member.name.clone(), Box::new(feed.member.header().clone()));
            self.queue.push_back(Entry::Part { name, header, summary: Box::new(feed.came_to()) });
        }
        self.queue.push_back(Entry::Summary { summary: Box::new(summary.clone()) });
        self.summary = Some(summary);
    }
}

impl Iterator for Stream<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        while self.queue.is_empty() && !self.over {
            self.advance();
        }
        self.queue.pop_front()
    }
}
