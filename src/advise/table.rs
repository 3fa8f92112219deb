//! The report as text.

use std::fmt::Write as _;

use crate::units::{bits_per_s, bytes, grouped, whole};

use crate::limits::{Ask, Need, Program, Side, Verdict};

use super::Report;

/// One line: what was asked.
pub fn title(ask: &Ask) -> String {
    let ends = match ask.role {
        Side::Both => "both ends on this machine",
        Side::Server => "the accepting end on this machine",
        Side::Client => "the connecting end on this machine",
    };
    let mut held = match ask.program {
        Program::Own => "c1m-top, a descriptor table for each worker".to_owned(),
        Program::Other { processes: 1 } => "a program of your own, one descriptor table".to_owned(),
        Program::Other { processes } => {
            format!("a program of your own, {} processes with a descriptor table each", grouped(processes))
        }
    };
    if ask.role == Side::Both && ask.program != Program::Own {
        held.push_str("; c1m-top's client");
    }
    format!("{} connections, {ends}, held by {held}", grouped(ask.target))
}

/// The table, the sums, the verdict.
pub fn write(ask: &Ask, report: &Report) -> String {
    let mut out = format!("{}\n{}\n\n", title(ask), report.machine);
    let cells: Vec<[String; 6]> = report.limits.iter().map(cells).collect();
    let head = ["limit", "of", "present", "needed", "verdict", "reached at"].map(ToOwned::to_owned);
    let mut widths = [0; 6];
    for row in std::iter::once(&head).chain(&cells) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    line(&mut out, &head, widths);
    for (row, cells) in report.limits.iter().zip(&cells) {
        line(&mut out, cells, widths);
        if let Some(reason) = &row.reason {
            let _ = writeln!(out, "  {reason}");
        }
        if !row.cure.is_empty() {
            let _ = writeln!(out, "  -> {}", row.cure);
        }
    }
    out.push('\n');
    sums(&mut out, ask, report);
    out
}

fn cells(row: &Need) -> [String; 6] {
    let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| row.unit.write(n));
    let scope = if row.scope.is_empty() { "-".to_owned() } else { row.scope.clone() };
    [
        row.label().to_owned(),
        scope,
        number(row.present),
        number(row.needed),
        row.verdict.word().to_owned(),
        row.met_at_connections.map_or_else(|| "-".to_owned(), grouped),
    ]
}

/// Numbers to the right, words to the left.
fn line(out: &mut String, cells: &[String; 6], widths: [usize; 6]) {
    let mut text = String::new();
    for (i, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let _ = match i {
            2 | 3 | 5 => write!(text, "{cell:>width$}  "),
            _ => write!(text, "{cell:<width$}  "),
        };
    }
    out.push_str(text.trim_end());
    out.push('\n');
}

fn sums(out: &mut String, ask: &Ask, report: &Report) {
    let whose = if ask.measured.is_some() {
        "as that run measured it".to_owned()
    } else if ask.user_bytes > 0 {
        format!("{} B of it the program's own", grouped(ask.user_bytes))
    } else {
        match ask.program {
            Program::Own => "the engines themselves need almost none".to_owned(),
            Program::Other { .. } => "add what the program itself needs: --user-memory".to_owned(),
        }
    };
    let _ = writeln!(
        out,
        "Memory needed: {} ({} B per connection; {whose}).",
        bytes(report.memory_needed_bytes),
        grouped(report.memory_needed_bytes / report.target.max(1))
    );
    if ask.share() < 1.0 {
        let _ = writeln!(
            out,
            "Allows for the guard, which stops a run at {} % of memory, epoll watches, system open files, conntrack table and threads (--guard, --no-guard).",
            (ask.share() * 1000.0).round() / 10.0
        );
    }
    if let Some(traffic) = ask.traffic {
        let _ = writeln!(
            out,
            "Bandwidth needed: {} each way, {} in all ({:.0} % of the connections x {} B, {} messages a second).",
            bits_per_s(report.bandwidth_bits_per_s),
            bits_per_s(2 * report.bandwidth_bits_per_s),
            traffic.share * 100.0,
            grouped(traffic.message),
            grouped(whole(ask.messages_per_s(ask.target))),
        );
    }
    let first = report.first_limit.as_ref().map(|f| {
        let label = f.id.descriptor().label;
        let of = if f.scope.is_empty() { String::new() } else { format!(" ({})", f.scope) };
        format!("{label}{of}, at {} connections", grouped(f.connections))
    });
    let short = report.limits.iter().filter(|r| r.verdict == Verdict::TooSmall).count();
    if report.fits {
        let beyond = first.map_or(String::new(), |f| format!(" The first limit beyond it: {f}."));
        let _ = writeln!(out, "The target fits.{beyond}");
    } else {
        let first = first.map_or(String::new(), |f| format!(" The first to stop the run: {f}."));
        let of = if short == 1 { "limit is" } else { "limits are" };
        let _ = writeln!(out, "The target does not fit: {short} {of} too small.{first}");
    }
}
