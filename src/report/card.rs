//! A run in fifteen lines, made to be posted and held against another's.

use super::around::Section;
use super::defaults;
use super::facts::Facts;
use super::words::{self, ended, short_time};
use crate::units::{bytes, date, fine_time, grouped, printable, whole};

/// Lines of a card.
pub const LINES: usize = 15;
/// What a line is cut at, columns.
const WIDE: usize = 100;

/// The card. What is not known says so: every line is always there, in the same place. Of a merged run a line for each part
/// follows.
pub fn write(facts: &Facts) -> String {
    let unknown = || "not known".to_owned();
    let machine = &facts.machine;
    let join = |parts: Vec<Option<String>>| {
        let known: Vec<String> = parts.into_iter().flatten().collect();
        if known.is_empty() { unknown() } else { known.join(", ") }
    };
    let cores = machine.cores.map(|n| if n == 1 { "1 core".to_owned() } else { format!("{n} cores") });
    let summary = facts.summary.as_ref();
    let target = summary.and_then(|s| s.target).filter(|t| *t > 0);
    let cost = &facts.cost;
    let each = |slope: Option<crate::model::Slope>, what: &str| {
        slope.map(|s| format!("{what} {}", grouped(whole(s.per_connection.max(0.0).round()))))
    };
    let caches = cost.slab.iter().take(5).map(|(name, n)| format!("{name} {}", grouped(whole(n.round()))));
    let time = summary.and_then(|s| s.time_to_peak_s).zip(summary.and_then(|s| s.mean_rate_per_s));
    let most = facts.points.iter().map(|p| p.rate).filter(|r| r.is_finite()).fold(0.0, f64::max);
    let cpu = summary.and_then(|s| s.cpu_us_per_connection);
    let latency = |what: &str, l: Option<crate::protocol::Latency>| {
        l.map(|l| format!("{what} p50 {} p99 {}", fine_time(l.p50_us as f64), fine_time(l.p99_us as f64)))
    };
    let echo = facts.traffic().map(|t| t.echo);
    let changed: Vec<String> = defaults::changed(&facts.around)
        .map(|s| format!("{}={}", s.key, s.value.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect();
    let known = facts.around.of(Section::Sysctl).next().is_some();
    let next = words::next(facts, 3);
    let own = summary.map(|s| &s.dashboard);
    let rows: [(&str, String); LINES] = [
        (
            "c1m-top",
            join(vec![
                Some(facts.version.clone()).filter(|v| !v.is_empty()),
                facts.started_ms.map(|ms| date(ms) + " UTC"),
            ]),
        ),
        ("hardware", join(vec![machine.cpu.clone(), cores, facts.memory_bytes.map(bytes)])),
        ("system", join(vec![machine.distribution.clone(), machine.kernel.as_ref().map(|k| format!("Linux {k}"))])),
        ("plan", facts.around.get(Section::Option, WHAT).map_or_else(unknown, ToOwned::to_owned)),
        (
            "held",
            format!(
                "{}{} connections: {}",
                grouped(facts.peak),
                target.map_or(String::new(), |t| format!(" of {}", grouped(t))),
                ended(facts.verdict)
            ),
        ),
        (
            "cost",
            cost.total.map_or_else(unknown, |total| {
                format!("{} bytes each, {}", grouped(whole(total.per_connection.round())), cost.ends())
            }),
        ),
        (
            "of it",
            join(vec![
                each(cost.kernel, "kernel"),
                each(cost.server_user, "server"),
                each(cost.client_user, "client"),
                each(cost.user, "program"),
            ]),
        ),
        ("caches", join(caches.map(Some).collect())),
        (
            "rate",
            time.map_or_else(unknown, |(s, rate)| {
                format!("{}/s over {}, at most {}/s", grouped(whole(rate)), short_time(s), grouped(whole(most)))
            }),
        ),
        ("CPU", cpu.map_or_else(unknown, |us| format!("{} of a core per connection, both engines", fine_time(us)))),
        (
            "latency",
            join(vec![
                latency("connect", facts.connect()),
                latency("handshake", summary.and_then(|s| s.handshake)),
                latency("echoes", echo),
            ]),
        ),
        ("next", if next.is_empty() { "no limit in sight".to_owned() } else { next.join(", then ") }),
        (
            "sysctls",
            match (known, changed.is_empty()) {
                (false, _) => unknown(),
                (true, true) => "the kernel's defaults".to_owned(),
                (true, false) => changed.join(", "),
            },
        ),
        (
            "watching",
            own.map_or_else(unknown, |own| {
                format!("{:.2} s of a core, {}, {} samples", own.cpu_s, bytes(own.rss_bytes), grouped(own.samples))
            }),
        ),
        ("file", facts.file.as_ref().map_or_else(unknown, |f| format!("{}, sha256 {}", bytes(f.bytes), f.sha256))),
    ];
    let parts = summary.and_then(|s| s.merged.as_ref()).map_or(&[][..], |merged| &merged.parts);
    let parts = parts.iter().map(|part| line(&part.name, &part.to_string()));
    rows.iter().map(|(name, text)| line(name, text)).chain(parts).collect()
}

/// Among the options of a run: what it was, in a few words.
pub const WHAT: &str = "what";

fn line(name: &str, text: &str) -> String {
    let text = printable(text);
    let mut line = format!("{name:<9} {text}");
    if line.chars().count() > WIDE {
        line = line.chars().take(WIDE - 1).chain(['…']).collect();
    }
    line.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;
    use crate::report::File;

    #[test]
    fn a_card_has_fifteen_lines_whatever_is_known() {
        let mut facts = facts(200_000);
        facts.around.add(Section::Sysctl, "net.core.somaxconn", Some("65535"));
        facts.file = Some(File { sha256: "ab".repeat(32), bytes: 123_456, damage: None });
        for facts in [facts, Facts::default()] {
            let card = write(&facts);
            assert_eq!(card.lines().count(), LINES, "{card}");
            assert!(card.lines().all(|line| line.chars().count() <= WIDE), "{card}");
            let names = ["c1m-top", "hardware", "system", "plan", "held", "cost", "of it", "caches", "rate", "CPU"];
            assert!(card.lines().zip(names).all(|(line, name)| line.starts_with(name)), "{card}");
        }
    }

    #[test]
    fn a_card_says_what_was_held_at_which_cost() {
        let mut facts = facts(200_000);
        facts.around.add(Section::Sysctl, "net.core.somaxconn", Some("65535"));
        let card = write(&facts);
        for part in [
            "hardware  EPYC 9654, 2 cores, 24.0 GiB\n",
            "system    Debian GNU/Linux 12, Linux 6.18.5\n",
            "held      200,000 of 200,000 connections: target reached\n",
            "sysctls   net.core.somaxconn=65535\n",
            "20 us of a core per connection",
            "connect p50 900 us p99 4.00 ms",
        ] {
            assert!(card.contains(part), "{part}\n{card}");
        }
    }
}
