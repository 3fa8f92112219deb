//! The summary for people, in 80 columns, of runs in states worth looking at.

#[expect(dead_code, reason = "what is asked for by a key is of the screen alone")]
mod scenes;
mod synthetic;

use c1m_top::model::{Model, Setup, Severity, Verdict};
use c1m_top::output::summary_text;
use c1m_top::protocol::{Latency, Role, Traffic};

const VERDICTS: [Verdict; 14] = [
    Verdict::EngineKilled,
    Verdict::ProcessDied,
    Verdict::EngineSilent,
    Verdict::LimitHit,
    Verdict::GuardStopped,
    Verdict::ServerRefuses,
    Verdict::ServerStalled,
    Verdict::Late,
    Verdict::TimeUp,
    Verdict::WorkersMissing,
    Verdict::TargetReached,
    Verdict::Served,
    Verdict::Watched,
    Verdict::Interrupted,
];

fn of(model: &Model, verdict: Verdict) -> String {
    summary_text(&model.summary(verdict), model)
}

#[test]
fn it_fits_80_columns_whatever_happened() {
    for (name, scene) in scenes::ALL {
        let model = scene();
        for verdict in VERDICTS {
            let text = of(&model, verdict);
            for line in text.lines() {
                assert!(line.chars().count() <= 80 && !line.ends_with(' '), "{name} {verdict:?}: {line:?}");
            }
            assert!(text.starts_with("c1m-top: ") && text.ends_with('\n'), "{name}: {text}");
        }
    }
}

#[test]
fn it_carries_every_warning_with_its_cure() {
    let mut warned = 0;
    for (name, scene) in scenes::ALL {
        let model = scene();
        let text = of(&model, Verdict::Interrupted);
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for event in model.events().all().iter().filter(|e| e.severity > Severity::Info) {
            warned += 1;
            let start = event.text.split(": ").next().unwrap();
            assert!(words.contains(start), "{name}: {start:?} is missing in\n{text}");
            for remedy in &event.cure.0 {
                let remedy_words = remedy.text.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(words.contains(&remedy_words), "{name}: {remedy_words:?} is missing in\n{text}");
            }
        }
    }
    assert!(warned > 5, "{warned} warnings are too few to show anything");
}

#[test]
fn it_says_what_would_have_come_next_and_how_to_get_past_it() {
    let text = of(&scenes::hold(), Verdict::TargetReached);
    assert!(
        text.contains(
            "\nNext limit: system open files, at 1,039,250 connections (± 3)\n    fix: sysctl -w fs.file-max="
        ),
        "{text}"
    );
    // The one that stopped the run is not the next.
    let stopped = of(&scenes::stopped(), Verdict::LimitHit);
    assert!(stopped.starts_with("c1m-top: stopped by a limit: client: open files\n"), "{stopped}");
    assert!(stopped.contains("\nNext limit: ") && !stopped.contains("Next limit: client: open files"), "{stopped}");
}

#[test]
fn it_carries_what_was_reached_percentiles_and_losses() {
    let mut model = Model::new(Setup { target: Some(100_000), interval_ms: 1000, ..Setup::default() });
    for mut sample in synthetic::ramp(100_000, 20_000, 1000) {
        let client = synthetic::engine(&mut sample, Role::Client).unwrap();
        let times = |p50_us| Latency { count: 9, p50_us, p99_us: 670, p999_us: 1900, max_us: 3_200_000 };
        (client.connect, client.lost, client.refused) = (times(140), 12, 3);
        client.traffic =
            Some(Traffic { active: 5, sent: 1234, echoed: 1230, late: 2, echo: times(71), ..Traffic::default() });
        model.update(&sample);
    }
    let text = of(&model, Verdict::TargetReached);
    for line in [
        "c1m-top: the target was reached",
        "  connections     100,000 of 100,000, in 5.0 s (20,000/s)",
        "  accepted        100,000 by the server",
        "  connect time    p50 140 us, p99 670 us, p99.9 1.90 ms, max 3.2 s",
        "  messages        1,234 sent, 1,230 echoed, 2 late",
        "  echo time       p50 71 us, p99 670 us, p99.9 1.90 ms, max 3.2 s",
        "  lost            12 closed by the other end, 3 refused by the server",
    ] {
        assert!(text.lines().any(|l| l == line), "{line:?} is missing in\n{text}");
    }
}
