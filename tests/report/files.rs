//! Files of runs, made of synthetic samples.

use std::fs::File;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::synthetic;
use c1m_top::model::{Setup, Verdict};
use c1m_top::protocol::{Phase, Role};
use c1m_top::record::{Course, Entry, Header, Recorder, RunRole};
use c1m_top::sample::{Machine, Sample};
use serde_json::json;

use super::support::Home;

/// A run to be written.
pub(crate) struct Made {
    pub(crate) target: u64,
    pub(crate) per_s: u64,
    pub(crate) header: Header,
    /// Changes each sample, knowing how many are open.
    pub(crate) change: fn(&mut Sample, u64),
    /// What it came to; `None` leaves the end out, as a kill does.
    pub(crate) verdict: Option<Verdict>,
}

impl Made {
    /// To this target at 50,000 a second, reached.
    pub(crate) fn to(target: u64) -> Self {
        let machine = Machine {
            host_name: Some("web-1".into()),
            cores: Some(2),
            cpu: Some("EPYC 9654".into()),
            distribution: Some("Debian GNU/Linux 12".into()),
            kernel: Some("6.18.5".into()),
        };
        let setup = Setup { own_engines: true, target: Some(target), machine, interval_ms: 1000, ..Setup::default() };
        let mut header = Header::new(setup);
        header.role = RunRole::Both;
        header.what = "server and client 127.0.0.1:9900-9999".into();
        header.started_ms = 1_790_000_000_000;
        header.plan.insert("target".into(), json!(target));
        header.plan.insert("port".into(), json!(9900));
        header.sysctls.insert("net.core.somaxconn".into(), "4096".into());
        header.limits.insert("RLIMIT_NOFILE".into(), "20000 20000".into());
        Self { target, per_s: 50_000, header, change: |_, _| {}, verdict: Some(Verdict::TargetReached) }
    }

    /// Writes it under this name into the test's own directory.
    pub(crate) fn write(self, name: &str) -> PathBuf {
        let path = Home::path().join(name);
        let setup = self.header.setup.clone();
        let mut recorder = Recorder::start(&path, File::create(&path).unwrap(), self.header).unwrap();
        let mut course = Course::new(setup);
        for mut sample in samples(self.target, self.per_s) {
            let open = synthetic::engine(&mut sample, Role::Client).map_or(0, |client| client.open);
            (self.change)(&mut sample, open);
            let entry = Entry::Sample { shown: true, sample: sample.into() };
            course.take(&entry);
            recorder.put(entry);
            // It never waits for the disk, and a test is faster than a run.
            thread::sleep(Duration::from_millis(3));
        }
        recorder.finish(match self.verdict {
            Some(verdict) => Entry::Summary { summary: Box::new(course.summary(verdict)) },
            None => Entry::Quit { t_ms: course.model().now().t_ms },
        });
        path
    }
}

/// A ramp, a hold of three seconds and a close.
fn samples(target: u64, per_s: u64) -> Vec<Sample> {
    let mut samples = synthetic::ramp(target, per_s, 200);
    let last = samples[samples.len() - 1].clone();
    for (i, open) in (1..).zip([target, target, target, target / 2, 0]) {
        let mut more = synthetic::sample(open, last.t_ms + i * 1000);
        synthetic::set_target(&mut more, target);
        for role in [Role::Server, Role::Client] {
            let engine = synthetic::engine(&mut more, role).unwrap();
            (engine.peak, engine.opened, engine.cpu_us) = (target, target, 10 * target);
            engine.peak_us = Some(last.t_ms * 1000 + 50_000);
            engine.ramp_cpu_us = Some(10 * target);
            engine.connect.count = target;
            if open < target && role == Role::Client {
                engine.phase = if open == 0 { Phase::Closed } else { Phase::Closing };
            }
        }
        samples.push(more);
    }
    samples
}
