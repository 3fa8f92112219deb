//! Connections that a server allows itself: `worker_connections`, `maxconn`, `maxclients`, `max_connections`.
//!
//! The kernel knows nothing of it and refuses nothing. Some servers accept and close at once what is too much, others stop
//! accepting, and the queue of their listener fills.

use std::collections::VecDeque;

use crate::sample::{AppLimit, Program as Watched, Sample};

use super::Doubt;
use super::prelude::*;
use super::slope::Slope;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: ID,
    name: "app",
    label: "app limit",
    unit: Unit::Count,
    of_process: true,
    help: "The most connections a server's own configuration allows: nginx worker_connections, haproxy maxconn, redis maxclients, mosquitto and PostgreSQL max_connections; give any other with --app-limit. Once it is reached the server closes what it accepts, or stops accepting; the kernel refuses nothing.",
    sources: "its command line and the configuration file named on it; sock_diag and PassiveOpens show that it is full",
    read,
    need,
    phrase: |limit| match &limit.place {
        Some(setting) => format!("{setting} of {}", limit.scope),
        None => "its app limit".to_owned(),
    },
    ..PLAIN
};

const ID: LimitId = LimitId::App;

/// Workers whose own limit is shown: the fullest.
const SHOWN: usize = 4;

/// From this share of a known limit on a server that behaves as if it were full is.
const FULL: f64 = 0.97;

/// Whether a server with so many is at this limit, if it behaves so.
pub(super) fn is_full(used: u64, limit: u64) -> bool {
    used as f64 >= FULL * limit as f64
}

fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let sample = context.sample;
    let Some(program) = &sample.kernel.program else {
        return out.push(Meter::not_applicable(ID, "process", "c1m-top's engines have none"));
    };
    let turnover = &context.noted.turnover;
    let mut rows = known(sample, program);
    if rows.is_empty() {
        rows.push(shown(program, turnover));
    }
    for row in &mut rows {
        let (Some(used), Some(limit)) = (row.used, row.limit) else { continue };
        let full = is_full(used, limit);
        // Of idle ones it closes up to 32 at a time, so that the count falls again.
        let idle = row.doubt.as_ref().map(|doubt| doubt.from);
        let nearly = idle.is_some_and(|idle| (used + 2 * AT_ONCE) as f64 >= idle && used as f64 >= 0.8 * idle);
        if let Some(closing) = turnover.closes(Some(limit)).filter(|_| full) {
            row.met = Some(closing.sentence(program, ACCEPTED));
        } else if let Some(closing) = turnover.makes_room().filter(|_| nearly) {
            row.met = Some(closing.sentence(program, "its oldest idle connections for new ones"));
        } else if full && context.noted.standing.is_long() {
            row.met = Some(format!("{} has stopped accepting, and its accept queue is filling up", program.name));
        }
    }
    out.append(&mut rows);
}

/// The row of a server of which no limit is known: what it held when it was seen to close what it accepts.
fn shown(program: &Watched, turnover: &Turnover) -> Meter {
    let scope = program.scope();
    if let (Ok(census), Some(met)) = (&program.census, turnover.met) {
        let meter = Meter {
            met: turnover.closes(None).map(|closing| closing.sentence(program, ACCEPTED)),
            ..Meter::independent(ID, scope, census.connections, Some(met))
        };
        return meter.cured(|need| more("--app-limit", "", need));
    }
    let why = "none found in its configuration, or it cannot be read; give it with --app-limit";
    let short = turnover.may_close().map_or(String::new(), |closing| {
        format!("; it closes {:.0}/s straight after accepting: short requests, or a limit", closing.per_s)
    });
    Meter::not_applicable(ID, scope, why.to_owned() + &short)
}

/// The limits that are known before they are met.
fn known(sample: &Sample, program: &Watched) -> Vec<Meter> {
    let held = program.census.as_ref().ok().map(|census| census.connections);
    if let Some(limit) = program.app_limit {
        let limit = AppLimit {
            limit,
            idle: None,
            each_process: false,
            closes: true,
            setting: "--app-limit".into(),
            set_in: "the command line of c1m-top".into(),
        };
        return vec![of_all(program, held, limit)];
    }
    let of = |p: &crate::sample::Process| p.app.as_ref().ok().cloned().flatten();
    let Some(first) = sample.kernel.processes.iter().find_map(of) else { return Vec::new() };
    if !first.each_process {
        return vec![of_all(program, held, first)];
    }
    let held_by = |pid: u32| program.members.iter().find(|m| m.pid == pid).and_then(|m| m.connections);
    let mut workers: Vec<(String, u64, AppLimit)> = sample
        .living()
        // A master serves none.
        .filter(|w| w.pid != program.pid || program.processes == 1)
        .filter_map(|w| Some((w.scope(), held_by(w.pid)?, of(w.process)?)))
        .collect();
    workers.sort_by_key(|(_, held, _)| std::cmp::Reverse(*held));
    workers.truncate(SHOWN);
    workers.into_iter().map(|(scope, held, limit)| row(scope, Some(held), limit)).collect()
}

/// A limit of all processes together: a connection is one.
fn of_all(program: &Watched, held: Option<u64>, own: AppLimit) -> Meter {
    let one = Slope { per_connection: 1.0, spread: 0.0, points: 1 };
    Meter { slope: Some(one), ..row(program.scope(), held, own) }
}

fn row(scope: String, used: Option<u64>, own: AppLimit) -> Meter {
    let full = match (own.idle, own.closes) {
        (Some(_), _) => format!("the oldest idle ones are closed to make room for new ones; all {} can be busy", grouped(own.limit)),
        (None, true) => "the server closes what it accepts".to_owned(),
        (None, false) => "the server stops accepting".to_owned(),
    };
    let meter = Meter {
        used,
        reason: Some(format!("{} ({}); when it is full, {full}", own.setting, own.set_in)),
        place: Some(own.setting.clone()),
        state: used.is_none().then_some(LimitState::Unknown),
        divides: true,
        // Somewhere between the most that can be idle and the most that can be busy: whether they ask anything is not seen.
        doubt: used.zip(own.idle).map(|(used, idle)| Doubt {
            least: used as f64,
            most: used as f64,
            from: idle as f64,
            to: own.limit as f64,
            floor: 1e-3,
        }),
        ..Meter::growing(ID, scope, used.unwrap_or(0), own.limit, 4.0)
    };
    meter.levels(0.95, 0.99).cured(move |need| {
        // A sixteenth and more is not for idle ones.
        let need = own.idle.map_or(need, |_| round_up(need + need / 12 + AT_ONCE));
        more(&own.setting, &own.set_in, need)
    })
}

/// How a server is given room for so many.
pub(super) fn more(setting: &str, set_in: &str, need: u64) -> Remedy {
    // What it takes off for itself follows.
    let place = set_in.split_once(", ").map_or(set_in, |(place, _)| place);
    let text = match place {
        _ if setting.starts_with("--") => {
            "raise it in the server's configuration, then reload or restart it".to_owned()
        }
        "its command line" => format!("start it with {setting} {need}"),
        "the default" => format!("set {setting} to {need} in its configuration, then reload or restart it"),
        file => format!("{setting} {need} in {file}, then reload or restart it"),
    };
    Remedy::advice(Level::Server, text)
}

/// What it allows itself is known of a server that runs.
fn need(given: &Given<'_>, out: &mut Vec<Need>) {
    let Some((holder, processes)) = given.other() else {
        return out.push(Need::not_applicable(ID, "c1m-top's engines have none"));
    };
    let app = holder.process.filter(|_| given.ask.running).map(|p| (p, &p.app));
    let Some((process, Ok(Some(app)))) = app else {
        let why = "cannot be seen from here: worker_connections, maxconn, maxclients, max_connections of the server";
        return out.push(Need::without(ID, Verdict::Unknown, why));
    };
    let processes = if app.each_process { processes } else { 1 };
    let needed = given.ask.target.div_ceil(processes);
    let row = Need::compare(ID, "", app.limit, needed)
        .met_at(app.limit.saturating_mul(processes))
        .because(format!("{} ({})", app.setting, app.set_in))
        .cured(|| more(&app.setting, &app.set_in, round_up(needed)));
    out.push(row.of(format!("{} {}", process.name, process.pid)));
}

/// One count of a program's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count {
    t_ms: u64,
    connections: u64,
    queued: u64,
    /// Connections that had entered an accept queue by then, of those that can be this program's.
    opens: u64,
    known: u64,
    gone: u64,
}

/// How the connections of a program come and go, by its counts of half a minute.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Turnover {
    reading: u64,
    opens: Option<u64>,
    counts: VecDeque<Count>,
    closing: Option<Closing>,
    /// What it held when it was seen to close what it accepts, and has not held more since.
    met: Option<u64>,
}

/// A server that closes at once what it accepts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Closing {
    /// How many it has closed.
    closed: u64,
    /// The same per second.
    per_s: f64,
    /// Connections that it holds.
    held: u64,
    /// Whether it held nearly all that came before: it has met a limit, and does not answer short requests.
    after_growth: bool,
}

impl Closing {
    fn sentence(self, program: &Watched, what: &str) -> String {
        let (name, held) = (&program.name, grouped(self.held));
        if self.per_s >= 20.0 {
            format!("{name} closes {what}, {:.0}/s, at {held} held", self.per_s)
        } else {
            format!("{name} closes {what} ({} so far), at {held} held", grouped(self.closed))
        }
    }
}

/// What most servers close when they are full.
const ACCEPTED: &str = "what it accepts";
/// Idle connections that nginx closes at once to make room (`ngx_drain_connections`).
const AT_ONCE: u64 = 32;

const COUNTS: usize = 32;
/// Milliseconds for which a server must have closed what it accepts.
const FOR_MS: u64 = 1800;
/// The same of one that is at a limit which is known.
const SURELY_MS: u64 = 900;
/// Connections that it must have closed.
const CLOSED: u64 = 10;
/// Share of those held that may go without any having come.
const FEW_GO: f64 = 0.002;
/// Share of what comes that a full server may keep: one that goes makes room for another.
const KEEPS: f64 = 0.05;
/// What it closed while it grew, as a share of what it closes now: short requests come then as well.
const BEFORE: f64 = 0.5;

impl Turnover {
    /// Takes a sample.
    pub(super) fn update(&mut self, sample: &Sample) {
        let Some(program) = &sample.kernel.program else { return };
        let Ok(census) = &program.census else { return };
        let Some(opens) = census.opens.filter(|_| census.by_socket && census.reading != self.reading) else { return };
        self.reading = census.reading;
        let last = self.counts.back().copied();
        let all = opens.saturating_sub(self.opens.replace(opens).unwrap_or(opens));
        // What others in the namespace take in is not this program's: what it has closed itself then tells.
        let own = if census.alone { all } else { all.min(2 * census.time_wait) };
        let t_ms = sample.t_ms.saturating_sub(census.age_ms);
        self.counts.push_back(Count {
            t_ms,
            // As counted, and not as carried on since.
            connections: census.counted(),
            queued: census.queued,
            opens: last.map_or(0, |last| last.opens) + own,
            known: census.known,
            gone: census.gone,
        });
        if self.counts.len() > COUNTS {
            self.counts.pop_front();
        }
        self.closing = self.find();
        let more = |met: &u64| census.connections > met + met / 20 + AT_ONCE;
        let met = self.met.filter(|met| !more(met));
        self.met = self.closes(None).map(|closing| closing.held).or(met);
    }

    /// Whether the server closes what it accepts; without a `limit` that is known, only where it met one before our eyes.
    pub(super) fn closes(&self, limit: Option<u64>) -> Option<Closing> {
        self.closing.filter(|closing| limit.is_some() || closing.after_growth)
    }

    /// The same of a server that did so before it was watched: short requests look alike.
    pub(super) fn may_close(&self) -> Option<Closing> {
        self.closing.filter(|closing| !closing.after_growth)
    }

    /// A server whose count has stood for two seconds or so, give or take what it closes at once, while as many came as went.
    fn makes_room(&self) -> Option<Closing> {
        let newest = self.counts.back()?;
        let near = |c: &&Count| c.connections.abs_diff(newest.connections) <= 2 * AT_ONCE;
        let first = self.counts.iter().rev().take_while(near).last()?;
        let ms = newest.t_ms.saturating_sub(first.t_ms);
        let closed = closed(first, newest);
        let per_s = closed as f64 * 1000.0 / ms.max(1) as f64;
        let closing = Closing { closed, per_s, held: newest.connections, after_growth: false };
        (ms >= SURELY_MS && closed >= CLOSED).then_some(closing)
    }

    fn find(&self) -> Option<Closing> {
        let newest = self.counts.back()?;
        let pairs: Vec<(&Count, &Count)> = self.counts.iter().zip(self.counts.iter().skip(1)).collect();
        let standing = pairs.iter().rev().take_while(|(a, b)| stands(a, b)).count();
        let (before, during) = pairs.split_at(pairs.len() - standing);
        let ms = newest.t_ms.saturating_sub(during.first()?.0.t_ms);
        // It was met somewhere between two counts: a client that is refused comes back less and less often.
        let edge = before.last().map_or(during.first()?.0, |(a, _)| a);
        let closed = closed(edge, newest);
        if ms < SURELY_MS || closed < CLOSED {
            return None;
        }
        let per_s = closed as f64 * 1000.0 / ms as f64;
        // What came before that was kept, all but nothing.
        let start = before.first().map_or(edge, |(a, _)| a);
        let kept = newest.connections.saturating_sub(start.connections);
        let closed_before = self::closed(start, edge) as f64;
        let seconds = edge.t_ms.saturating_sub(start.t_ms).max(1) as f64 / 1000.0;
        let grew = kept >= 50 && kept as f64 >= 0.1 * newest.connections as f64;
        let after_growth = ms >= FOR_MS && grew && closed_before <= KEEPS * kept as f64 && closed_before / seconds <= BEFORE * per_s;
        Some(Closing { closed, per_s, held: newest.connections, after_growth })
    }
}

/// Of those that came between two counts, how many are not there any more.
fn closed(a: &Count, b: &Count) -> u64 {
    let kept = (b.connections + b.queued).saturating_sub(a.connections + a.queued);
    (b.opens - a.opens).saturating_sub(kept)
}

/// Whether nothing of what came between two counts was kept: the count stands, and those that were there still are.
fn stands(a: &Count, b: &Count) -> bool {
    let opens = (b.opens - a.opens) as f64;
    let changed = b.connections.abs_diff(a.connections) as f64 + b.queued.saturating_sub(a.queued) as f64;
    let replaced = b.gone as f64 / b.known.max(1) as f64;
    // By chance each of them would be as likely to go as those that came.
    let by_chance = opens / b.connections.max(1) as f64;
    changed <= KEEPS * opens + 2.0 && replaced <= 0.2 * by_chance.min(1.0) + FEW_GO
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::synthetic;
    use crate::sample::{Census, ListenerCensus, Process};

    /// A program whose counts, a second apart, show: connections, opened so far, share of those known before that have gone.
    fn turnover(rows: &[(u64, u64, f64)]) -> Turnover {
        let mut turnover = Turnover::default();
        for (i, (connections, opens, gone)) in rows.iter().enumerate() {
            turnover.update(&sample(i as u64, *connections, *opens, *gone));
        }
        turnover
    }

    fn sample(s: u64, connections: u64, opens: u64, gone: f64) -> Sample {
        let mut sample = synthetic::host_only(s * 1000);
        synthetic::foreign(&mut sample, 77, "redis-server", connections + 20, 20_000);
        let program = sample.kernel.program.as_mut().unwrap();
        let known = connections.min(1000);
        let gone = crate::units::whole(known as f64 * gone);
        program.census = Ok(Census {
            reading: s + 1,
            connections,
            by_socket: true,
            alone: true,
            opens: Some(opens),
            listeners: vec![ListenerCensus { established: connections, ..ListenerCensus::default() }],
            known,
            gone,
            ..Census::default()
        });
        sample
    }

    #[test]
    fn a_server_that_closes_what_it_accepts_is_told_from_short_requests() {
        let full = turnover(&[(0, 0, 0.0), (1500, 1500, 0.0), (3000, 3000, 0.0), (3000, 3500, 0.0)]);
        assert_eq!(full.closes(None), None, "not for one second");
        let full = turnover(&[
            (0, 0, 0.0),
            (1500, 1500, 0.0),
            (3000, 3000, 0.0),
            (3001, 3500, 0.0),
            (3000, 4000, 0.0),
            (3000, 4500, 0.0),
        ]);
        let closing = full.closes(None).unwrap();
        assert_eq!((closing.per_s, closing.held, closing.after_growth), (500.0, 3000, true));
        // Each lives for two seconds: half of them have been replaced at each count.
        let busy: Vec<_> = (0..9).map(|s| (1000, s * 500, 0.5)).collect();
        assert_eq!(turnover(&busy).closes(Some(1000)), None);
        // A thousand that stay, and health checks: as they were before it was watched, nobody can tell.
        let checks: Vec<_> = (0..9).map(|s| (1000, s * 100, 0.0)).collect();
        assert_eq!(turnover(&checks).closes(None), None);
        assert!(turnover(&checks).may_close().is_some());
        // They came with the checks from the start, and slower than the connections.
        let grew = [(0, 0, 0.0), (500, 520, 0.0), (1000, 1040, 0.0), (1000, 1060, 0.0), (1000, 1080, 0.0), (1000, 1100, 0.0)];
        assert_eq!(turnover(&grew).closes(None), None);
        assert_eq!(turnover(&[(0, 0, 0.0), (500, 500, 0.0), (500, 500, 0.0), (500, 500, 0.0)]).closes(None), None, "idle");
    }

    #[test]
    fn what_others_take_in_is_not_this_programs() {
        let mut turnover = Turnover::default();
        for s in 0..9 {
            let grown = 1000.min(s * 500);
            let mut sample = sample(s, grown, s * 500, 0.0);
            sample.kernel.program.as_mut().unwrap().census.as_mut().unwrap().alone = false;
            turnover.update(&sample);
        }
        assert_eq!((turnover.closes(None), turnover.may_close()), (None, None));
    }

    #[test]
    fn a_limit_that_is_configured_is_a_row_of_each_worker_or_of_all() {
        let mut sample = sample(1, 400, 0, 0.0);
        let set = |p: &mut Process, each_process| {
            p.app = Ok(Some(AppLimit {
                limit: 500,
                idle: None,
                each_process,
                closes: true,
                setting: "worker_connections".into(),
                set_in: "/etc/nginx/nginx.conf".into(),
            }));
        };
        set(&mut sample.kernel.processes[0], false);
        let program = sample.kernel.program.clone().unwrap();
        let rows = known(&sample, &program);
        assert_eq!((rows[0].used, rows[0].limit), (Some(400), Some(500)));
        let cure = (rows[0].cure)(1000).to_string();
        assert_eq!(cure, "worker_connections 1000 in /etc/nginx/nginx.conf, then reload or restart it");
        let mut program = program;
        (program.app_limit, program.processes) = (Some(450), 2);
        assert_eq!(known(&sample, &program)[0].limit, Some(450), "what the user says");
        program.app_limit = None;
        set(&mut sample.kernel.processes[0], true);
        assert!(known(&sample, &program).is_empty(), "a master");
        (program.processes, program.members[0].connections) = (1, Some(300));
        assert_eq!(known(&sample, &program)[0].used, Some(300));
    }
}
