//! What a merged run came to, and what stands at its beginning.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::feed::Feed;
use super::parts::{Checked, Member};
use crate::model::summary::Dashboard;
use crate::model::{Merged, MergedFrom, PartLine, Setup, Summary, Verdict};
use crate::protocol::Role;
use crate::record::{Course, Header, RunRole};
use crate::sample::Machine;
use crate::units::grouped;

/// What the model is told.
pub(super) fn setup(checked: &Checked, from: MergedFrom, target: Option<u64>) -> Setup {
    let setups = || checked.members.iter().map(|member| &member.header().setup);
    let client = lead(checked).map(|member| &member.header().setup);
    let machine = match setups().next() {
        Some(first) if setups().all(|setup| setup.machine == first.machine) => first.machine.clone(),
        _ => machines(checked, from),
    };
    Setup {
        own_engines: true,
        part: None,
        merged: Some(from),
        target,
        target_note: None,
        machine,
        endpoint: client.and_then(|setup| setup.endpoint.clone()),
        listen: setups().find_map(|setup| setup.listen.clone()),
        guard_per_mille: client.and_then(|setup| setup.guard_per_mille),
        interval_ms: setups().map(|setup| setup.interval_ms).max().unwrap_or(0),
        hold_ms: setups().filter_map(|setup| setup.hold_ms).max(),
    }
}

/// The part whose options stand for all: a client's, where there is one.
fn lead(checked: &Checked) -> Option<&Member> {
    checked.members.iter().find(|member| member.has(Role::Client)).or(checked.members.first())
}

/// Several machines as one: what they have in common, and their cores together.
fn machines(checked: &Checked, from: MergedFrom) -> Machine {
    let mut seen = BTreeSet::new();
    let each = checked.members.iter().filter(|member| {
        let header = member.header();
        seen.insert(header.place.host.clone().or(header.setup.machine.host_name.clone()))
    });
    let each: Vec<&Machine> = each.map(|member| &member.header().setup.machine).collect();
    let common = |of: fn(&Machine) -> &Option<String>| {
        let values: BTreeSet<&str> = each.iter().filter_map(|machine| of(machine).as_deref()).collect();
        (!values.is_empty()).then(|| values.into_iter().collect::<Vec<_>>().join(" | "))
    };
    Machine {
        host_name: if from.hosts > 1 { Some(format!("{} hosts", from.hosts)) } else { common(|m| &m.host_name) },
        cores: each.iter().map(|machine| machine.cores).sum(),
        cpu: common(|m| &m.cpu),
        distribution: common(|m| &m.distribution),
        kernel: common(|m| &m.kernel),
    }
}

/// What stands at the beginning of the merged file.
pub(super) fn header(checked: &Checked, setup: Setup, started_ms: u64) -> Header {
    let new = Header::new(setup);
    let Some(lead) = lead(checked).map(Member::header) else { return new };
    let has = |role| checked.members.iter().any(|member| member.has(role));
    let role = match (has(Role::Server), has(Role::Client)) {
        (true, true) => RunRole::Both,
        (true, false) => RunRole::Server,
        _ => RunRole::Client,
    };
    let mut plan = lead.plan.clone();
    plan.remove("part");
    plan.insert("server".to_owned(), json!(has(Role::Server)));
    plan.insert("parts".to_owned(), json!(new.setup.merged.map(|from| from.parts)));
    // A host's memory counts once.
    let mut memory: BTreeMap<String, Option<u64>> = BTreeMap::new();
    for (i, member) in checked.members.iter().enumerate() {
        let header = member.header();
        memory.insert(header.place.host.clone().unwrap_or_else(|| i.to_string()), header.memory_bytes);
    }
    let all = |of: fn(&Header) -> &BTreeMap<String, String>| {
        let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (key, value) in checked.members.iter().flat_map(|member| of(member.header())) {
            values.entry(key.clone()).or_default().insert(value.clone());
        }
        values.into_iter().map(|(key, set)| (key, set.into_iter().collect::<Vec<_>>().join(" | "))).collect()
    };
    let at = new.setup.endpoint.as_ref().map_or(String::new(), |at| format!(" {at}"));
    Header {
        version: lead.version.clone(),
        started_ms,
        role,
        what: format!("{}{at}", counted(checked)),
        plan,
        memory_bytes: memory.into_values().sum(),
        sysctls: all(|header| &header.sysctls),
        limits: all(|header| &header.limits),
        privilege: lead.privilege.clone(),
        ..new
    }
}

/// `1 server, 7 clients`.
fn counted(checked: &Checked) -> String {
    let rows = [(RunRole::Server, "server"), (RunRole::Both, "part"), (RunRole::Client, "client")];
    let count = |(role, word)| {
        let n = checked.members.iter().filter(|member| member.header().role == role).count();
        (n > 0).then(|| format!("{n} {word}{}", if n == 1 { "" } else { "s" }))
    };
    rows.into_iter().filter_map(count).collect::<Vec<_>>().join(", ")
}

/// What it came to: the figures of the merged samples, and of the parts what no sum tells.
pub(super) fn summary(course: &Course, feeds: &[Feed<'_>], remarks: &[String]) -> Summary {
    let each: Vec<(&Feed<'_>, Summary)> = feeds.iter().map(|feed| (feed, feed.came_to())).collect();
    let worst = worst(each.iter().map(|(feed, summary)| (feed.member.has(Role::Client), summary.verdict)));
    let (verdict, stopped_by) = match worst {
        Some((i, verdict)) => (verdict, each[i].1.stopped_by.clone()),
        None => (Verdict::Interrupted, None),
    };
    let mut summary = course.summary(verdict);
    // Each part reached its own, and yet they were not open at one time.
    if verdict == Verdict::TargetReached && summary.peak_established < summary.target {
        summary.verdict = Verdict::Interrupted;
    }
    summary.stopped_by = stopped_by;
    let boards = || each.iter().map(|(_, summary)| &summary.dashboard);
    summary.dashboard = Dashboard {
        cpu_s: boards().map(|d| d.cpu_s).sum(),
        rss_bytes: boards().map(|d| d.rss_bytes).sum(),
        sample_us_p50: boards().map(|d| d.sample_us_p50).max().unwrap_or(0),
        sample_us_max: boards().map(|d| d.sample_us_max).max().unwrap_or(0),
        samples: boards().map(|d| d.samples).sum(),
        late_samples: boards().map(|d| d.late_samples).sum(),
    };
    let cpu = each.iter().filter_map(|(feed, summary)| {
        let held = summary.peak_established.or(summary.peak_accepted)?;
        Some((feed.member.has(Role::Client), held, summary.cpu_us_per_connection?))
    });
    summary.cpu_us_per_connection = cpu_per_connection(&cpu.collect::<Vec<_>>());
    let parts = each.iter().map(|(feed, summary)| line(feed, summary)).collect();
    summary.merged = Some(Merged { parts, remarks: remarks.to_vec() });
    summary
}

/// CPU for each connection, of parts that have a client or not, hold so many, and take so much for each: a mean by what they
/// hold, and what servers take besides. The highest count of all is nothing to divide by, for parts need not be at their own then.
fn cpu_per_connection(parts: &[(bool, u64, f64)]) -> Option<f64> {
    let mean = |client: bool| {
        let of_role = || parts.iter().filter(|part| part.0 == client);
        let held: u64 = of_role().map(|part| part.1).sum();
        (held > 0).then(|| of_role().map(|part| part.1 as f64 * part.2).sum::<f64>() / held as f64)
    };
    match (mean(true), mean(false)) {
        (None, None) => None,
        (clients, servers) => Some(clients.unwrap_or(0.0) + servers.unwrap_or(0.0)),
    }
}

/// The verdict of all, and whose it is: that every part reached its target only if every part did; else the worst of those that
/// did not. A server has no target of its own.
fn worst(parts: impl Iterator<Item = (bool, Verdict)>) -> Option<(usize, Verdict)> {
    let good = |client: bool, verdict: Verdict| match verdict {
        Verdict::TargetReached => true,
        // A server is ended when its clients are done.
        Verdict::Served | Verdict::Watched | Verdict::Interrupted => !client,
        _ => false,
    };
    let all: Vec<(usize, (bool, Verdict))> = parts.enumerate().collect();
    let bad = all.iter().filter(|(_, (client, verdict))| !good(*client, *verdict)).min_by_key(|(_, part)| part.1);
    let clients = all.iter().find(|(_, (client, _))| *client);
    bad.or(clients).or(all.first()).map(|(i, (_, verdict))| (*i, *verdict))
}

fn line(feed: &Feed<'_>, summary: &Summary) -> PartLine {
    let header = feed.member.header();
    PartLine {
        name: feed.member.name.clone(),
        part: feed.member.part,
        file: feed.member.file.clone(),
        host: header.setup.machine.host_name.clone(),
        verdict: summary.verdict,
        stopped_by: summary.stopped_by.clone(),
        cut_short: feed.is_cut_short(),
        target: summary.target,
        peak: summary.peak_established.or(summary.peak_accepted).unwrap_or(0),
        starts_ms: feed.start_ms,
        ends_ms: feed.at_ms,
        lost: summary.lost,
        failures: summary.failures,
        connect: summary.connect,
    }
}

/// What the verdict does not tell.
pub(super) fn doubts(summary: &Summary) -> Vec<String> {
    let Some(merged) = &summary.merged else { return Vec::new() };
    let clients = || merged.parts.iter().filter(|part| !part.name.starts_with("server"));
    let reached = clients().all(|part| part.verdict == Verdict::TargetReached);
    let mut sentences = Vec::new();
    if let Some((peak, target)) = summary.peak_established.zip(summary.target).filter(|(peak, target)| peak < target)
        && reached
    {
        sentences.push(format!(
            "every part reached its own target, but not all at the same time: at most {} of {} were open together",
            grouped(peak),
            grouped(target)
        ));
    }
    for part in &merged.parts {
        let meets = |other: &PartLine| other.starts_ms <= part.ends_ms && part.starts_ms <= other.ends_ms;
        if merged.parts.len() > 1 && !merged.parts.iter().any(|other| other.name != part.name && meets(other)) {
            sentences.push(format!("{} ran when none of the others did: is it of the same run?", part.name));
        }
    }
    let without = clients().filter(|part| part.connect.is_some_and(|connect| connect.count > 0)).count();
    if summary.connect.is_none() && without > 0 {
        sentences.push("no recording has its connect times as a whole: they cannot be added up".to_owned());
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_a_mean_by_what_parts_hold_and_that_of_servers_comes_on_top() {
        let clients = [(true, 100, 10.0), (true, 300, 20.0)];
        assert_eq!(cpu_per_connection(&clients), Some(17.5));
        assert_eq!(cpu_per_connection(&[&clients[..], &[(false, 400, 5.0)]].concat()), Some(22.5));
        assert_eq!((cpu_per_connection(&[]), cpu_per_connection(&[(true, 0, 1.0)])), (None, None));
    }

    #[test]
    fn all_have_reached_it_only_if_each_has() {
        use Verdict::{EngineKilled, Interrupted, LimitHit, Served, TargetReached, TimeUp};
        for (parts, want) in [
            (vec![(false, Served), (true, TargetReached), (true, TargetReached)], (1, TargetReached)),
            (vec![(false, Interrupted), (true, TargetReached)], (1, TargetReached)),
            (vec![(true, TargetReached), (true, Interrupted)], (1, Interrupted)),
            (vec![(true, TimeUp), (true, LimitHit), (true, TargetReached)], (1, LimitHit)),
            (vec![(false, EngineKilled), (true, LimitHit)], (0, EngineKilled)),
            (vec![(false, Served), (false, Interrupted)], (0, Served)),
        ] {
            assert_eq!(worst(parts.clone().into_iter()), Some(want), "{parts:?}");
        }
        assert_eq!(worst(std::iter::empty()), None);
    }
}
