//! The table: a row a quantity, a column a count.

use std::fmt::Write;

use c1m_top::units::{grouped, whole};
use serde::Serialize;

use crate::floor::Floor;
use crate::holder::{self, MassClose, OneCore};
use crate::measure::numbers::short;
use crate::run::Run;

/// Everything measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) program: String,
    pub(crate) memory_touched_before: bool,
    pub(crate) floor: Floor,
    pub(crate) mass_close: Option<MassClose>,
    pub(crate) sample_us_p50_at_rest: Option<f64>,
    pub(crate) runs: Vec<Run>,
    pub(crate) one_core: Vec<OneCore>,
    pub(crate) skipped: Vec<String>,
}

/// A cell of a run.
type Cell<'a> = Box<dyn Fn(&Run) -> Option<String> + 'a>;

impl Report {
    /// The table as lines.
    #[expect(clippy::too_many_lines, reason = "a row of the table after the other")]
    pub(crate) fn table(&self) -> String {
        let floor = &self.floor;
        let rest = self.sample_us_p50_at_rest;
        let close = self.mass_close.as_ref();
        let mib = |bytes: u64| format!("{:.1}", bytes as f64 / 1_048_576.0);
        let cpu = |r: &Run| r.server_cpu_us_per_connection + r.client_cpu_us_per_connection;
        let teardown_us = |r: &Run| r.teardown_s * 1e6 / r.target as f64;
        let alone = |r: &Run| self.one_core.iter().find(|o| o.connections == r.target).copied();
        let one = |x: f64| format!("{x:.1}");
        let two = |x: f64| format!("{x:.2}");
        let rows: Vec<(&str, Option<String>, Cell<'_>, &str)> = vec![
            ("connections", Some(grouped(floor.connections)), Box::new(|r| Some(grouped(r.target))), ""),
            ("seconds", None, Box::new(|r| Some(two(r.seconds))), ""),
            (
                "connections per second",
                Some(grouped(whole(floor.rate_per_s))),
                Box::new(|r| Some(grouped(whole(r.rate_per_s)))),
                "",
            ),
            (
                "  ratio to the floor",
                Some(two(1.0)),
                Box::new(|r| Some(two(r.rate_per_s / floor.rate_per_s))),
                "500 k: 1.4, 1 M: 1.2 or more",
            ),
            (
                "  ratio to one core, same count",
                None,
                Box::new(move |r| Some(two(r.rate_per_s / alone(r)?.rate_per_s))),
                "",
            ),
            (
                "CPU of both ends, us/connection",
                Some(one(floor.cpu_us_per_connection)),
                Box::new(|r| Some(one(cpu(r)))),
                "",
            ),
            (
                "  ratio to the floor",
                Some(two(1.0)),
                Box::new(|r| Some(two(cpu(r) / floor.cpu_us_per_connection))),
                "500 k: 1.3 or less",
            ),
            (
                "  ratio to one core, same count",
                None,
                Box::new(move |r| Some(two(cpu(r) / alone(r)?.cpu_us_per_connection))),
                "",
            ),
            ("  server", None, Box::new(|r| Some(one(r.server_cpu_us_per_connection))), ""),
            ("  client", None, Box::new(|r| Some(one(r.client_cpu_us_per_connection))), ""),
            ("connect time p50, us", None, Box::new(|r| Some(grouped(r.connect.p50_us))), ""),
            ("connect time p99, us", None, Box::new(|r| Some(grouped(r.connect.p99_us))), ""),
            ("bytes per connection, all", None, Box::new(|r| r.bytes_per_connection.map(|b| grouped(whole(b)))), ""),
            (
                "  by the fall of free memory",
                None,
                Box::new(|r| r.free_bytes_per_connection.map(|b| grouped(whole(b)))),
                "",
            ),
            (
                "  by the program's summary",
                None,
                Box::new(|r| r.summary_bytes_per_connection.map(|b| grouped(whole(b)))),
                "",
            ),
            ("  of it user, server", None, Box::new(|r| r.server_user_bytes_per_connection.map(one)), "16 or less"),
            ("  of it user, client", None, Box::new(|r| r.client_user_bytes_per_connection.map(one)), "16 or less"),
            ("RSS at the target, server, MiB", None, Box::new(|r| Some(mib(r.server_rss_bytes))), ""),
            ("RSS at the target, client, MiB", None, Box::new(|r| Some(mib(r.client_rss_bytes))), ""),
            ("established at the peak", None, Box::new(|r| Some(grouped(r.peak_established))), "all"),
            ("accepted at the peak", None, Box::new(|r| Some(grouped(r.peak_accepted))), "all"),
            ("sockets held (sockstat)", None, Box::new(|r| Some(grouped(r.sockets_held))), "twice as many"),
            ("lost, failed", None, Box::new(|r| Some(format!("{}, {}", r.lost, r.failures))), "0, 0"),
            ("one sample, p50, us", rest.map(one), Box::new(|r| r.sample_us_p50.map(one)), ""),
            (
                "  ratio to the one at rest",
                rest.map(|_| two(1.0)),
                Box::new(move |r| Some(two(r.sample_us_p50? / rest?))),
                "1.5 or less",
            ),
            ("dashboard, % of a core", None, Box::new(|r| Some(two(r.dashboard_share_of_core * 100.0))), "0.5 or less"),
            ("dashboard, RSS, MiB", None, Box::new(|r| Some(mib(r.dashboard_rss_bytes))), "10 or less"),
            ("teardown by reset, s", None, Box::new(|r| Some(two(r.teardown_s))), ""),
            ("  us per connection", close.map(|c| one(c.reset_us())), Box::new(move |r| Some(one(teardown_us(r)))), ""),
            (
                "  ratio to a killed process, reset",
                close.map(|_| two(1.0)),
                Box::new(move |r| Some(two(teardown_us(r) / close?.reset_us()))),
                "1.2 or less",
            ),
            (
                "  ratio to a killed process, FIN",
                close.and_then(|c| Some(two(c.reset_us() / c.fin_us()?))),
                Box::new(move |r| Some(two(teardown_us(r) / close?.fin_us()?))),
                "",
            ),
            ("TIME_WAIT left", None, Box::new(|r| Some(grouped(r.time_wait_left))), "0"),
        ];
        let mut out = line("", "floor", self.runs.iter().map(|r| short(r.target)), "goal");
        for (name, of_floor, cell, goal) in rows {
            let cells = self.runs.iter().map(|r| cell(r).unwrap_or_else(|| "-".into()));
            out += &line(name, &of_floor.unwrap_or_default(), cells, goal);
        }
        out
    }

    /// What the numbers mean.
    pub(crate) fn notes(&self) -> String {
        let floor = &self.floor;
        let mut out = format!(
            "Floor: one thread doing socket, connect, accept4 and two epoll_ctl in batches, {} connections, median of {} rounds \
             ({} to {} per second); it closes a connection, both ends by reset, in {:.1} us.\n",
            grouped(floor.connections),
            floor.rounds,
            grouped(whole(floor.rate_lowest)),
            grouped(whole(floor.rate_highest)),
            floor.close_us_per_connection,
        );
        out += "One core, same count: the same thread going on to as many connections as the run. It shows what the kernel and the \
                machine take for more sockets and for memory that was not in use before, whoever opens them.\n";
        for one in &self.one_core {
            let _ = writeln!(
                out,
                "  {} connections: {} per second, {:.1} us",
                grouped(one.connections),
                grouped(whole(one.rate_per_s)),
                one.cpu_us_per_connection
            );
        }
        out += if self.memory_touched_before {
            "Memory was touched before each run (--warm), so that a host that takes back free pages is not what is measured.\n"
        } else {
            "Memory was taken as found: where a host takes back free pages, fetching them is part of the time (see --warm).\n"
        };
        if let Some(close) = &self.mass_close {
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                "Killed process: holds {} connections, both ends, and gets SIGKILL; from there until sockstat is back: {:.2} s by \
                 reset (median of {}), {:.2} s by FIN. The other counts are compared with it per connection.",
                grouped(close.connections),
                close.reset_s,
                holder::ROUNDS,
                close.fin_s.unwrap_or_default(),
            );
        }
        out += "Bytes are least-squares slopes over the ramp: of slab and both engines' resident memory; and, as a check, of free \
                memory with page cache and per-core lists of free pages. Seconds run from the first connect until both ends have all.\n";
        out
    }
}

fn line(name: &str, floor: &str, cells: impl Iterator<Item = String>, goal: &str) -> String {
    let mut out = format!("{name:<35}{floor:>10}");
    for cell in cells {
        let _ = write!(out, "{cell:>12}");
    }
    let _ = write!(out, "   {goal}");
    out.truncate(out.trim_end().len());
    out + "\n"
}
